//! The commands of stories.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use crate::forge::{Forge, Whose};
use crate::goproxy::Goproxy;
use crate::http::{self, Answer};
use crate::issuer::Issuer;
use crate::mercurial::Mercurial;
use crate::modules;
use crate::network::{self, Entered};
use crate::sshd::Sshd;
use crate::story::Story;
use crate::upstream::{Fault, Upstream};

/// Whether a command held, or why it makes no sense.
type Held = Result<bool, String>;

impl Story {
    /// One command of a story.
    pub(crate) fn command(&mut self, name: &str, args: &[&str]) -> Held {
        match (name, args) {
            ("needs", ["live"]) => self.needs_live(),
            ("upstream", args) => self.upstream_command(args),
            ("forge", args) => self.forge_command(Whose::Operator, args),
            ("stranger", args) => self.forge_command(Whose::Stranger, args),
            ("mercurial", ["start"]) => self.start_mercurial(),
            ("network", hosts) => self.network(hosts),
            ("sshd", ["start"]) => self.start_sshd(),
            ("goproxy", args) => self.goproxy_command(args),
            ("issuer", args) => self.issuer_command(args),
            ("commit", [repository, directory, tags @ ..]) => self.commit(repository, directory, tags),
            ("quipu", args) => self.quipu_command(args),
            ("env", [pair]) => set(&mut self.go_env, pair),
            ("go", args) => self.exec("go", args),
            ("exec", [program, args @ ..]) => self.exec(program, args),
            ("http", [method, path, headers @ ..]) => self.http(method, path, headers),
            ("post", [path, file, headers @ ..]) => self.post(path, file, headers),
            ("put", [path, file, headers @ ..]) => self.put(path, file, headers),
            ("ask", [path]) => self.ask(path),
            ("certificate", [name]) => self.certificate(name),
            ("header", [name, header]) => self.header(name, header),
            ("flood", [count, path]) => self.flood(number(count)?, path),
            ("status", [status]) => Ok(self.answer.status == number::<u16>(status)?),
            ("code", [code]) => Ok(self.last.code == Some(number(code)?)),
            ("stdout" | "stderr" | "body" | "head" | "log", [text]) => self.contains(text, name),
            ("log", ["await", text]) => self.await_log(text),
            ("only", [what, text]) => Ok(self.text(what)?.trim_end() == *text),
            ("grep", [text, file]) => self.contains(text, file),
            ("save", [what, file]) => self.save(what, file),
            ("exists", [file]) => Ok(self.path(file).exists()),
            ("files", [directory, text]) => Ok(files(&self.path(directory)).iter().any(|f| f.contains(text))),
            ("cmp", [one, other]) => Ok(self.text(one)? == self.text(other)?),
            ("fill", [file]) => self.fill(file),
            ("mode", [mode, path]) => self.shell("chmod", &[mode, path]),
            ("copy", [from, to]) => self.shell("cp", &["-a", from, to]),
            ("flip", [file]) => self.flip(file),
            ("remove", [path]) => self.shell("rm", &["-r", path]),
            ("var", [name, what, nth]) => self.var(name, what, number(nth)?),
            _ => Err(format!("no such command: {name} with {} words", args.len())),
        }
    }

    fn upstream_command(&mut self, args: &[&str]) -> Held {
        match args {
            ["start"] => {
                let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/mod");
                let upstream = Upstream::start(modules::read_all(&testdata));
                for (name, value) in [("UPSTREAM", &upstream.url), ("UPSTREAM_KEY", &upstream.key)] {
                    self.vars.insert(name.to_owned(), value.clone());
                }
                self.server_env.insert("GOPROXY".to_owned(), upstream.url.clone());
                self.server_env.insert("GOSUMDB".to_owned(), upstream.key.clone());
                self.upstream = Some(upstream);
            }
            ["stop"] => self.upstream()?.away(true),
            ["back"] => self.upstream()?.away(false),
            ["origin", module, commit] => self.upstream()?.origin(module, commit),
            ["hide", module] => self.upstream()?.hide(module),
            ["heal"] => self.upstream()?.heal(),
            ["forget"] => self.upstream()?.forget(),
            ["fork"] => self.upstream()?.fork(),
            ["alter", module] => self.upstream()?.alter_zip(module),
            ["alter-mod", module] => self.upstream()?.alter_go_mod(module),
            ["age", module, days] => self.upstream()?.age(module, number(days)?),
            ["lie", module] => self.upstream()?.lie(module),
            ["status", path, status] => self.upstream()?.fault(path, Fault::Status(number(status)?)),
            ["delay", path, millis] => {
                self.upstream()?.fault(path, Fault::Delay(Duration::from_millis(number(millis)?)));
            }
            ["await", text] => return Ok(self.upstream()?.wait_for(text)),
            ["asked", text] => return Ok(self.upstream()?.asked().iter().any(|path| path.contains(text))),
            ["asked", text, times] => {
                let asked = self.upstream()?.asked();
                return Ok(asked.iter().filter(|path| path.contains(text)).count() == number::<usize>(times)?);
            }
            _ => return Err(format!("no such command: upstream {}", args.join(" "))),
        }
        Ok(true)
    }

    fn forge_command(&mut self, whose: Whose, args: &[&str]) -> Held {
        match args {
            ["start", tls @ ..] => {
                let root = self.path(whose.name());
                let ca = self.path(&format!("{}.ca", whose.name()));
                let forge = match tls {
                    [] => Forge::start(&root),
                    ["tls"] => Forge::start_tls(&root, &ca, None)?,
                    ["tls", "at", address] => Forge::start_tls(&root, &ca, Some(address))?,
                    ["at", address] => match Forge::start_at(&root, address) {
                        Ok(forge) => forge,
                        Err(error) => {
                            self.skipped = Some(format!("cannot listen at {address} here: {error}"));
                            return Ok(true);
                        }
                    },
                    _ => return Err("not a way to start a forge".to_owned()),
                };
                self.vars.insert(whose.name().to_uppercase(), forge.url.clone());
                self.forges.insert(whose, forge);
            }
            ["hide"] => self.forge(whose)?.hide(),
            ["lock", repository, userinfo] => self.forge(whose)?.lock(repository, userinfo),
            ["redirect", path, url] => self.forge(whose)?.redirect(path, url),
            ["forget"] => self.forge(whose)?.forget(),
            ["asked", text] => {
                return Ok(self.forge(whose)?.asked().iter().any(|asked| asked.contains(text)));
            }
            ["asked", text, times] => {
                let asked = self.forge(whose)?.asked();
                return Ok(
                    asked.iter().filter(|asked| asked.contains(text)).count() == number::<usize>(times)?
                );
            }
            _ => return Err(format!("no such command: {} {}", whose.name(), args.join(" "))),
        }
        Ok(true)
    }

    fn issuer_command(&mut self, args: &[&str]) -> Held {
        match args {
            ["start"] => {
                let issuer = Issuer::start();
                self.vars.insert("ISSUER".to_owned(), issuer.url.clone());
                self.issuer = Some(issuer);
            }
            ["claim", name, value] => self.issuer()?.claim(name, value),
            ["token", name, audience] => {
                let token = self.issuer()?.token(audience);
                self.vars.insert((*name).to_owned(), token);
            }
            _ => return Err(format!("no such command: issuer {}", args.join(" "))),
        }
        Ok(true)
    }

    /// Makes the files in a directory the next commit on `main` of a repository of the forge, with these tags.
    fn commit(&mut self, repository: &str, directory: &str, tags: &[&str]) -> Held {
        let bare = self.path("forge").join(repository).display().to_string();
        if !Path::new(&bare).exists() {
            self.shell("git", &["init", "--quiet", "--bare", "--initial-branch=main", &bare])?;
        }
        let files = self.path(directory).display().to_string();
        let git =
            ["--git-dir", &bare, "--work-tree", &files, "-c", "user.name=A", "-c", "user.email=a@corp.test"];
        let run = |story: &mut Self, args: &[&str]| story.shell("git", &[&git[..], args].concat());
        run(self, &["add", "--all"])?;
        run(self, &["commit", "--quiet", "--allow-empty", "--message", "next"])?;
        tags.iter().try_for_each(|tag| run(self, &["tag", "--force", tag]).map(drop))?;
        Ok(true)
    }

    /// A real sshd before the repositories below `./forge`.
    fn start_sshd(&mut self) -> Held {
        match Sshd::start(&self.work)? {
            Some(sshd) => {
                self.vars.insert("SSH".to_owned(), sshd.url.clone());
                self.vars.insert("HOSTSSH".to_owned(), sshd.host.clone());
                self.sshd = Some(sshd);
            }
            None => self.skipped = Some("sshd is not installed (Debian's openssh-server)".to_owned()),
        }
        Ok(true)
    }

    /// A real `hg serve` for the repository `./hg`.
    fn start_mercurial(&mut self) -> Held {
        match Mercurial::start(&self.work)? {
            Some(mercurial) => {
                self.vars.insert("HG".to_owned(), mercurial.url.clone());
                self.mercurial = Some(mercurial);
            }
            None => self.skipped = Some("hg is not installed (Debian's mercurial)".to_owned()),
        }
        Ok(true)
    }

    /// Goes on in a network of the story's own: tells the whole story there, unless this is that telling.
    fn network(&mut self, hosts: &[&str]) -> Held {
        match network::enter(&self.name, &self.path("hosts"), hosts)? {
            Entered::Inside => {}
            Entered::Told => self.told = true,
            Entered::Impossible(why) => {
                self.skipped = Some(format!("a network of its own cannot be made here: {why}"));
            }
        }
        Ok(true)
    }

    fn goproxy_command(&mut self, args: &[&str]) -> Held {
        match args {
            ["start", flags @ ..] => match Goproxy::start(&self.work, &self.go_env, flags)? {
                Some(goproxy) => {
                    self.vars.insert("GOPROXYD".to_owned(), goproxy.url.clone());
                    self.goproxy = Some(goproxy);
                }
                None => {
                    let why = "QUIPU_INTEROP names no directory with goproxy (tools/test builds it)";
                    self.skipped = Some(why.to_owned());
                }
            },
            ["stop"] => self.goproxy = None,
            _ => return Err(format!("no such command: goproxy {}", args.join(" "))),
        }
        Ok(true)
    }

    fn quipu_command(&mut self, args: &[&str]) -> Held {
        match args {
            ["start", flags @ ..] => self.start(flags),
            ["stop"] => self.server.take().ok_or("no server runs")?.stop(),
            ["kill"] => {
                self.server.take().ok_or("no server runs")?.kill();
                Ok(true)
            }
            ["behind"] => self.put_behind(),
            ["stop", "behind"] => self.behind.take().ok_or("no server runs behind")?.stop(),
            ["env", pair] => set(&mut self.server_env, pair),
            _ => Err(format!("no such command: quipu {}", args.join(" "))),
        }
    }

    /// Goes on only where the real upstream may be used; the server then asks what the go command here asks.
    fn needs_live(&mut self) -> Held {
        if std::env::var_os("QUIPU_LIVE").is_none_or(|value| value != "1") {
            self.skipped = Some("asks the real upstream; set QUIPU_LIVE=1".to_owned());
            return Ok(true);
        }
        let output = Command::new("go").args(["env", "GOPROXY"]).output().map_err(|e| e.to_string())?;
        let list = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let before = self.go_env.clone();
        self.go_env.insert("GOPROXY".to_owned(), list.clone());
        self.go_env.insert("GOMODCACHE".to_owned(), self.path("probe").display().to_string());
        let there = self.exec("go", &["list", "-m", "-versions", "github.com/google/uuid"])?;
        self.go_env = before;
        if !there {
            self.skipped = Some(format!("the upstream cannot be reached: {}", self.last.stderr));
        }
        self.server_env.insert("GOPROXY".to_owned(), list);
        Ok(true)
    }

    fn http(&mut self, method: &str, path: &str, headers: &[&str]) -> Held {
        let headers: Vec<String> = headers.iter().map(|line| (*line).to_owned()).collect();
        let asked = http::ask(self.server()?.addr(), method, path, &headers);
        self.answer = asked.map_err(|e| e.to_string())?;
        Ok(true)
    }

    /// Sends a file.
    fn put(&mut self, path: &str, file: &str, headers: &[&str]) -> Held {
        let body = fs::read(self.path(file)).map_err(|e| format!("{file}: {e}"))?;
        let headers: Vec<String> = headers.iter().map(|line| (*line).to_owned()).collect();
        let asked = http::send(self.server()?.addr(), ("PUT", path), &headers, &body);
        self.answer = asked.map_err(|e| e.to_string())?;
        Ok(true)
    }

    /// Sends a file; `$HMAC` in a header is what `secret`, the file, signs it with.
    fn post(&mut self, path: &str, file: &str, headers: &[&str]) -> Held {
        let body = fs::read(self.path(file)).map_err(|e| e.to_string())?;
        let secret = fs::read_to_string(self.path("secret")).unwrap_or_default();
        let tag = hmac_sha256(secret.trim().as_bytes(), &body);
        let headers: Vec<String> = headers.iter().map(|line| line.replace("HMAC", &tag)).collect();
        let addr = self.server()?.addr().to_owned();
        self.answer = http::post(&addr, path, &body, &headers).map_err(|e| e.to_string())?;
        Ok(true)
    }

    /// Asks without waiting for an answer, which may never come.
    fn ask(&mut self, path: &str) -> Held {
        let (addr, path) = (self.server()?.addr().to_owned(), path.to_owned());
        thread::spawn(move || http::ask(&addr, "GET", &path, &[]));
        Ok(true)
    }

    /// Makes a certificate for 127.0.0.1 that vouches for itself: `NAME.cert` and `NAME.key`.
    fn certificate(&mut self, name: &str) -> Held {
        let made =
            rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).map_err(|e| e.to_string())?;
        let files = [("cert", made.cert.pem()), ("key", made.signing_key.serialize_pem())];
        for (kind, pem) in files {
            fs::write(self.path(&format!("{name}.{kind}")), pem).map_err(|e| e.to_string())?;
        }
        Ok(true)
    }

    /// Names the value of a header of the answer.
    fn header(&mut self, name: &str, header: &str) -> Held {
        let lines = self.answer.head.lines().filter_map(|line| line.split_once(": "));
        let value =
            lines.filter(|(known, _)| known.eq_ignore_ascii_case(header)).map(|(_, value)| value).next();
        self.vars.insert(name.to_owned(), value.ok_or("there is no such header")?.to_owned());
        Ok(true)
    }

    /// Many clients at once; all must get one and the same answer.
    fn flood(&mut self, count: usize, path: &str) -> Held {
        let (addr, barrier) = (self.server()?.addr().to_owned(), Arc::new(Barrier::new(count)));
        let ask = |_| {
            let (addr, path, barrier) = (addr.clone(), path.to_owned(), Arc::clone(&barrier));
            let client = thread::Builder::new().stack_size(128 * 1024);
            client.spawn(move || {
                barrier.wait();
                http::ask(&addr, "GET", &path, &[])
            })
        };
        let clients: Vec<_> = (0..count).map(ask).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let answers = clients.into_iter().map(|client| client.join().unwrap());
        let answers: Vec<Answer> = answers.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        self.answer = answers.first().cloned().unwrap_or_default();
        let same = |answer: &Answer| (answer.status, &answer.body) == (self.answer.status, &self.answer.body);
        Ok(answers.iter().all(same))
    }

    /// Header lines are compared in lower case, everything else as it is.
    fn contains(&self, text: &str, what: &str) -> Held {
        let whole = self.text(what)?;
        if what == "head" {
            return Ok(whole.to_ascii_lowercase().contains(&text.to_ascii_lowercase()));
        }
        Ok(whole.contains(text))
    }

    /// Waits until the server has said it.
    fn await_log(&self, text: &str) -> Held {
        for _ in 0..2000 {
            if self.contains(text, "log")? {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(false)
    }

    fn save(&mut self, what: &str, file: &str) -> Held {
        let bytes = if what == "body" { self.answer.body.clone() } else { self.text(what)?.into_bytes() };
        fs::write(self.path(file), bytes).map_err(|e| format!("{file}: {e}"))?;
        Ok(true)
    }

    /// Puts into a file what the story knows, where `$NAME` stands.
    fn fill(&mut self, file: &str) -> Held {
        let text = self.text(file)?;
        let filled =
            self.vars.iter().fold(text, |text, (name, value)| text.replace(&format!("${name}"), value));
        fs::write(self.path(file), filled).map_err(|e| format!("{file}: {e}"))?;
        Ok(true)
    }

    /// Changes one bit in the middle of a file.
    fn flip(&mut self, file: &str) -> Held {
        let mut bytes = fs::read(self.path(file)).map_err(|e| format!("{file}: {e}"))?;
        let middle = bytes.len() / 2;
        *bytes.get_mut(middle).ok_or("an empty file has no bit")? ^= 1;
        fs::remove_file(self.path(file))
            .and_then(|()| fs::write(self.path(file), bytes))
            .map_err(|e| e.to_string())?;
        Ok(true)
    }

    /// Names the nth word (from 1) of a text.
    fn var(&mut self, name: &str, what: &str, nth: usize) -> Held {
        let text = self.text(what)?;
        let word = nth.checked_sub(1).and_then(|before| text.split_whitespace().nth(before));
        self.vars.insert(name.to_owned(), word.ok_or("there are not so many words")?.to_owned());
        Ok(true)
    }

    fn shell(&mut self, program: &str, args: &[&str]) -> Held {
        if self.exec(program, args)? { Ok(true) } else { Err(format!("{program} failed")) }
    }
}

/// Sets `NAME=VALUE`, or takes `NAME=` out.
fn set(env: &mut std::collections::BTreeMap<String, String>, pair: &str) -> Held {
    let (name, value) = pair.split_once('=').ok_or("not NAME=VALUE")?;
    if value.is_empty() {
        env.remove(name);
    } else {
        env.insert(name.to_owned(), value.to_owned());
    }
    Ok(true)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text}: not a number"))
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

/// HMAC-SHA256 as RFC 2104 has it, in hexadecimal.
fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    let mut block = [0; 64];
    match block.get_mut(..key.len()) {
        Some(start) => start.copy_from_slice(key),
        None => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    hex::encode(Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize())
}
