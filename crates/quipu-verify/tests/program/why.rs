//! `why`: every way in which places can disagree, and the sentence that names it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::log::{Log, key, record};
use crate::modules::{Module, log_of};
use crate::run::{Ran, finish, program, skipped};
use crate::site::{Reply, Site, honest};

const NAME: &str = "a.test/Upper@v1.0.0";

fn logged() -> Module {
    Module::new("a.test/Upper", "package m\n\nconst A = 1\n")
}

fn other() -> Module {
    Module::new("a.test/Upper", "package m\n\nconst A = 2 // \u{1b}[2J\n")
}

/// A database below `/db`, and proxies at other paths that each serve a module.
fn serve(log: Log, proxies: Vec<(&'static str, Module)>) -> Site {
    let size = log.records.len() as u64;
    Site::new(move |path| {
        if let Some(path) = path.strip_prefix("/db") {
            return honest(&log, size, path);
        }
        for (proxy, module) in &proxies {
            let Some(file) = path.strip_prefix(proxy).and_then(|path| path.strip_prefix('/')) else {
                continue;
            };
            if file == module.file("zip") {
                return Reply::Good(module.zip.clone());
            } else if file == module.file("mod") {
                return Reply::Good(module.go_mod.clone().into());
            }
        }
        let status = if path.starts_with("/broken") { 500 } else { 404 };
        Reply::Status(status, String::new(), b"not found: nothing \x1b[2J here".to_vec())
    })
}

/// A directory with a go.sum and a module cache.
struct Place(TempDir);

impl Place {
    /// All that is there is as in the log.
    fn good() -> Self {
        let place = Self::empty();
        fs::write(place.path().join("go.sum"), logged().record()).unwrap();
        logged().put(&place.cache());
        place
    }

    fn empty() -> Self {
        Self(tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn cache(&self) -> PathBuf {
        self.path().join("mod")
    }

    fn why(&self, site: &Site, proxy: &str, more: &[&str]) -> Ran {
        finish(self.command(site, proxy).args(more))
    }

    fn command(&self, site: &Site, proxy: &str) -> Command {
        let database = format!("{} {}/db", key(), site.url());
        let proxy = proxy.replace('@', &site.url());
        let mut command = program(self.path());
        command.current_dir(self.path()).env("GOMODCACHE", self.cache());
        command.args(["why", NAME, "--timeout", "2", "--db", &database, "--proxy", &proxy]);
        command
    }
}

#[test]
fn all_agree() {
    let site = serve(log_of(&[&logged()]), vec![("/p", logged())]);
    let ran = Place::good().why(&site, "@/none,@/p,direct", &[]).ends(0);
    let ran = ran
        .prints(&format!("= {}  record 100, proven", logged().hash()))
        .prints("- not asked: --direct asks");
    let ran = ran
        .prints("go.sum")
        .prints("line 1\n")
        .prints("- has none: 404 Not Found: not found: nothing \u{fffd}[2J here");
    let verdict =
        format!("all agree: the log, go.sum, .ziphash in the cache, module cache, {}/p\n", site.url());
    assert!(ran.out.ends_with(&verdict), "{ran:#?}");
    assert!(!ran.out.contains('≠'), "{ran:#?}");
}

#[test]
fn a_proxy_that_serves_something_else_is_named_with_the_file() {
    let site = serve(log_of(&[&logged()]), vec![("/p", logged()), ("/q", other())]);
    let ran = Place::good().why(&site, "@/p|@/q", &[]).ends(4);
    let proxy = format!("{}/q", site.url());
    let ran =
        ran.prints(&format!("\nthe proxy {proxy} serves a zip that the log does not know: do not use it\n"));
    let ran = ran.prints(&format!("the zips of module cache and of {proxy} differ in 1 file:"));
    ran.prints("  m.go: 23 and 31 bytes, first in line 3:\n    module cache: const A = 1\\n\n")
        .prints("const A = 2 // \\u{1b}[2J\\n");

    let json = Place::good().why(&site, "@/p|@/q", &["--json"]).ends(4).json();
    assert_eq!((&json["verdict"], &json["module"]), (&json!("differs"), &json!("a.test/Upper")));
    let last = json["places"].as_array().unwrap().iter().find(|place| place["place"] == proxy).unwrap();
    assert_eq!(last["zip"]["hash"], other().hash().to_string());
    let files = &json["differences"][0]["files"];
    assert_eq!(
        (&files[0]["name"], &files[0]["line"], &files[0]["sizes"]),
        (&json!("m.go"), &json!(3), &json!([23, 31]))
    );
}

#[test]
fn who_took_the_wrong_zip_over_is_said() {
    let site = serve(log_of(&[&logged()]), vec![("/q", other())]);
    let place = Place::empty();
    fs::write(place.path().join("go.sum"), other().record()).unwrap();
    place.why(&site, "@/q", &[]).ends(4).prints("do not use it; go.sum has taken it over");
}

#[test]
fn a_damaged_cache_is_told_from_a_foreign_one() {
    let site = serve(log_of(&[&logged()]), vec![("/p", logged())]);
    let place = Place::good();
    let zip = logged().path(&place.cache(), "zip");
    other().put_file(&place.cache(), "zip", &other().zip);
    let remove = format!("the one that go downloaded and checked, remove {}\n", zip.display());
    place.why(&site, "@/p", &[]).ends(4).prints("the local cache is damaged").prints(&remove);
    fs::write(&zip, &logged().zip[..100]).unwrap();
    place.why(&site, "@/p", &[]).ends(4).prints("≠ damaged: zip: not a valid zip file").prints(&remove);
    other().put(&place.cache());
    place.why(&site, "@/p", &[]).ends(4).prints("the local cache holds a zip that the log does not know");
    logged().put(&place.cache());
    other().put_file(&place.cache(), "ziphash", other().hash().to_string().as_bytes());
    place.why(&site, "@/p", &[]).ends(4).prints("the go command's note of the hash is wrong");
    logged().put(&place.cache());
    logged().put_file(&place.cache(), "mod", b"module b.test/m\n");
    place.why(&site, "@/p", &[]).ends(4).prints("the local cache holds a go.mod that the log does not know");
}

#[test]
fn a_wrong_go_sum_is_named_with_its_line() {
    let site = serve(log_of(&[&logged()]), vec![("/p", logged())]);
    let place = Place::good();
    let text = format!("{}{}{}", record("x.test/m", 'z'), logged().record(), other().record());
    fs::write(place.path().join("go.sum"), text).unwrap();
    let sentence = "go.sum is wrong in line 5: everything else that could be asked agrees with the log";
    place.why(&site, "@/p", &[]).ends(4).prints(sentence);
}

#[test]
fn what_the_log_does_not_hold_is_said() {
    let site = serve(Log::filler(300), vec![("/p", logged())]);
    let ran = Place::empty().why(&site, "@/p", &[]).ends(4);
    ran.prints(&format!("the log does not hold this version, which these have: {}/p", site.url()));
    Place::empty()
        .why(&site, "@/none", &[])
        .ends(1)
        .prints("neither the log nor anybody else that was asked has");
}

#[test]
fn who_cannot_be_asked_is_no_difference() {
    let site = serve(log_of(&[&logged()]), vec![("/p", logged())]);
    let place = Place::good();
    place
        .why(&site, "@/p,@/broken", &[])
        .ends(1)
        .prints("all that could be asked agree with the log, but http");
    place.why(&site, "@/none", &["--offline"]).ends(0).prints("not asked: --offline");
    let nowhere = serve(Log::filler(300), vec![("/p", logged())]);
    fs::remove_dir_all(place.path().join("state")).unwrap();
    place
        .why(&nowhere, "@/p", &["--offline"])
        .ends(1)
        .prints("the log could not be asked")
        .prints("all others agree");
    other().put_file(&place.cache(), "zip", &other().zip);
    let ran = place.why(&nowhere, "@/p", &["--offline"]).ends(4);
    ran.prints("and go.sum and module cache hold different zips");
}

#[test]
fn an_answer_that_is_no_record_of_the_tree_must_not_be_used() {
    let log = log_of(&[&logged()]);
    let site = Site::new(move |path| match path.strip_prefix("/db") {
        Some(path) if path.starts_with("/lookup") => {
            Reply::Good(format!("100\n{}\n{}", other().record(), log.note(300)).into())
        }
        Some(path) => honest(&log, 300, path),
        None => Reply::Status(404, String::new(), Vec::new()),
    });
    Place::good().why(&site, "@/p", &[]).ends(4).prints("the database's answer must not be used");
}

#[test]
fn private_names_are_not_told_unless_demanded() {
    let site = serve(log_of(&[&logged()]), vec![("/p", logged())]);
    let place = Place::good();
    let ran = finish(place.command(&site, "@/p").env("GOPRIVATE", "a.test")).ends(0);
    ran.prints("GONOSUMDB keeps the name").prints("GONOPROXY keeps the name").prints("all others agree");
    assert_eq!(site.requests(), Vec::<String>::new());
    finish(place.command(&site, "@/p").env("GOPRIVATE", "a.test").arg("--all"))
        .ends(0)
        .prints("all agree: the log");
}

#[test]
fn directories_are_proxies_too() {
    let site = serve(log_of(&[&logged()]), Vec::new());
    let place = Place::empty();
    other().put(&place.path().join("tree"));
    let proxy = format!("file://{}/cache/download", place.path().join("tree").display());
    place.why(&site, &proxy, &[]).ends(4).prints(&format!("the proxy {proxy} serves a zip"));
}

#[test]
fn a_fork_ends_it_all() {
    let place = Place::good();
    place.why(&serve(log_of(&[&logged()]), Vec::new()), "@/p", &[]).ends(0);
    fs::remove_dir_all(place.path().join("state/sum.example.test/lookup")).unwrap();
    let fork = serve(log_of(&[&other()]), Vec::new());
    place.why(&fork, "@/p", &[]).ends(3).says("MISBEHAVIOUR PROVEN");
}

/// The go command fetches from what it takes for a host, and git from a directory.
#[test]
fn a_moved_tag_is_recognised() {
    for needed in ["go", "git"] {
        if Command::new(needed).arg("version").output().is_err() {
            skipped(&format!("needs {needed}"));
            return;
        }
    }
    let place = Place::empty();
    let repository = place.path().join("repository");
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", place.path());
        git.args(["-c", "user.name=a", "-c", "user.email=a@a.test", "-C"]).arg(&repository).args(args);
        assert!(git.status().unwrap().success(), "{args:?}");
    };
    fs::create_dir(&repository).unwrap();
    git(&["init", "-q"]);
    let path = "git.test/m.git";
    let commit = |text: &str| {
        fs::write(repository.join("go.mod"), format!("module {path}\n")).unwrap();
        fs::write(repository.join("m.go"), text).unwrap();
        git(&["add", "."]);
        git(&["commit", "-qm", "a"]);
        git(&["tag", "-f", "v1.0.0"]);
    };
    commit("package m\n");
    let (logged, moved) = (Module::new(path, "package m\n"), Module::new(path, "package m // moved\n"));
    let site = serve(log_of(&[&logged]), vec![("/p", Module::new(path, "package m\n")), ("/q", moved)]);
    let why = |proxy: &str| {
        let database = format!("{} {}/db", key(), site.url());
        let mut command = program(place.path());
        command.current_dir(place.path()).env("GOMODCACHE", place.cache());
        command
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", format!("url.{}.insteadOf", repository.display()));
        command.env("GIT_CONFIG_VALUE_0", "https://git.test/m").env("GOFLAGS", "-mod=mod");
        command.args(["why", &format!("{path}@v1.0.0"), "--direct", "--db", &database, "--timeout", "5"]);
        finish(command.args(["--proxy", &format!("{}{proxy}", site.url())]))
    };
    why("/p").ends(0).prints("all agree").prints("repository");
    let url = site.url();
    why("/q")
        .ends(4)
        .prints(&format!("the proxy {url}/q serves a zip"))
        .prints("the repository still has what was logged");
    commit("package m // moved\n");
    why("/p")
        .ends(4)
        .prints("the tag was moved after the log recorded it")
        .prints("m.go: 10 and 19 bytes, first in line 1:");
    why("/q").ends(4).prints("the tag was moved").prints(&format!("and {url}/q serves that"));
}
