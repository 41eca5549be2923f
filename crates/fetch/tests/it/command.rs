//! Repositories read through the go command: real ones of each system, and what it may not do.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu_fetch::{Command, CommandOptions, Discovery, DiscoveryRules, ErrorKind, Staging, Upstream as _};
use quipu_module::{Patterns, check_zip};

use crate::discover::{Site, page};
use crate::support::{path, query, skipped, version};

const MODULE: &str = "example.com/r";

/// A repository that is served, and the page that leads to it.
struct Served {
    root: tempfile::TempDir,
    site: Site,
    server: Option<Child>,
}

impl Served {
    /// `serve` is given the directory and the port.
    async fn start(vcs: &str, serve: impl Fn(&Path, u16) -> Process) -> Self {
        let root = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let site = Site::start_at(&[("http://repo.example.com", port)]).await;
        site.on("/r", page(&[&format!("{MODULE} {vcs} http://repo.example.com/repo")]));
        let mut served = Self { root, site, server: None };
        served.build(vcs);
        let log = std::fs::File::create(served.root.path().join("log")).unwrap();
        let mut process = serve(served.root.path(), port);
        process.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        served.server = Some(process.spawn().unwrap());
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "{vcs} is not served");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        served
    }

    fn build(&self, vcs: &str) {
        let script = match vcs {
            "hg" => HG,
            "svn" => SVN,
            _ => FOSSIL,
        };
        self.shell(script);
    }

    fn shell(&self, script: &str) {
        let mut shell = Process::new("bash");
        shell.args(["-euc", &format!("{COMMON}{script}")]).current_dir(self.root.path());
        shell.env("HOME", self.root.path()).env("USER", "test").env("HGUSER", "test").env("HGRCPATH", "");
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self) -> Command {
        let options = CommandOptions::new(self.root.path().join("go"));
        self.command_by(&options)
    }

    fn command_by(&self, options: &CommandOptions) -> Command {
        Command::new(self.discovery(), options).unwrap()
    }

    fn discovery(&self) -> Arc<Discovery> {
        let rules = DiscoveryRules {
            within: Patterns::new("*"),
            insecure: Patterns::new("example.com"),
            trusted: Patterns::new("example.com"),
            private: Patterns::new("example.com"),
            ..DiscoveryRules::default()
        };
        Arc::new(self.site.discovery_by(rules))
    }

    async fn list(&self, command: &Command) -> Vec<String> {
        let versions = command.list(&path(MODULE)).await.unwrap();
        versions.iter().map(ToString::to_string).collect()
    }

    /// Every answer about `text`, with the zip judged.
    async fn check_version(&self, command: &Command, text: &str) {
        let version = version(&format!("{MODULE}@{text}"));
        let info = command.info(version.path(), &query(text)).await.unwrap();
        assert_eq!(info.version().as_str(), text);
        assert!(info.time().is_some(), "{}", info.format());
        let go_mod = command.go_mod(&version).await.unwrap();
        assert_eq!(go_mod, format!("module {MODULE}\n").as_bytes());
        let staging = Staging::new(&self.root.path().join("staging")).unwrap();
        let mut zip = staging.create(1 << 20).await.unwrap();
        command.zip(&version, &mut zip).await.unwrap();
        let zip = zip.finish().await.unwrap();
        check_zip(&version, zip.open().unwrap()).unwrap();
    }

    /// What `script` adds a file of 2 MB by cannot be had where files may have one.
    async fn check_limit(&self, script: &str) {
        self.shell(&format!("big() {{ head -c 2000000 /dev/urandom >big; }}\n{script}"));
        let [whole, small] = ["large", "small"].map(|name| CommandOptions::new(self.root.path().join(name)));
        let small = CommandOptions { file_bytes: 1 << 20, ..small };
        for (options, expected) in [(whole, None), (small, Some(ErrorKind::TooLarge))] {
            let command = self.command_by(&options);
            let got = async {
                let latest = command.info(&path(MODULE), &query("latest")).await?;
                let staging = Staging::new(&self.root.path().join("staging")).unwrap();
                let mut zip = staging.create(4 << 20).await?;
                command.zip(&version(&format!("{MODULE}@{}", latest.version())), &mut zip).await
            };
            let failure = got.await.err();
            assert_eq!(failure.as_ref().map(|error| error.kind()), expected, "{failure:?}");
        }
    }

    /// Nobody was asked but the path's own host and the repository's.
    fn check_egress(&self) {
        for record in self.site.egress.0.lock().unwrap().iter() {
            let whither = (record.method, record.host.as_str(), record.path.as_str());
            let page = ("GET", "https://example.com", "/r?go-get=1");
            assert!(whither == page || whither == ("CONNECT", "http://repo.example.com", ""), "{whither:?}");
        }
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether all of these programs are here; says loudly if not.
fn have(programs: &[&str]) -> bool {
    let search = std::env::var_os("PATH").unwrap();
    let found =
        |program: &&&str| std::env::split_paths(&search).any(|directory| directory.join(program).is_file());
    let missing: Vec<_> = programs.iter().filter(|program| !found(program)).collect();
    if !missing.is_empty() {
        skipped(&format!("there is no {missing:?}: repositories of that kind are NOT tested"));
    }
    missing.is_empty()
}

const COMMON: &str = "module() { echo 'module example.com/r' >go.mod; echo 'package r // '\"$1\" >r.go; }\n";

const HG: &str = "
    hg init repo; cd repo; module 1; hg add -q go.mod r.go
    hg commit -qm one -d '2024-01-01 00:00:00 +0000'; hg tag v0.1.0
    module 2; hg commit -qm two -d '2024-02-01 00:00:00 +0000'; hg tag v0.2.0
    module 3; hg commit -qm three -d '2024-03-01 00:00:00 +0000'; hg branch -q work; module 4; hg commit -qm four";

const SVN: &str = "
    chmod a+rx .; svnadmin create repo; mkdir w; cd w; module 1
    svn import -q -m one . file://${PWD%/w}/repo; chmod -R a+rwX ../repo";

const FOSSIL: &str = "
    fossil init repo.fossil >/dev/null; mkdir w; cd w; fossil open -f ../repo.fossil >/dev/null; module 1
    fossil add go.mod r.go >/dev/null; fossil commit -m one --tag v0.1.0 --no-warnings >/dev/null 2>&1
    fossil user capabilities nobody gjorz -R ../repo.fossil";

fn hg_serve(root: &Path, port: u16) -> Process {
    let mut serve = Process::new("hg");
    std::fs::write(root.join("hgweb"), "[paths]\n/repo = repo\n").unwrap();
    serve.args(["serve", "-a", "127.0.0.1", "-p", &port.to_string(), "--web-conf", "hgweb"]);
    serve.current_dir(root).env("HGRCPATH", "");
    serve
}

#[tokio::test]
async fn mercurial() {
    if !have(&["go", "hg"]) {
        return;
    }
    let mut served = Served::start("hg", hg_serve).await;
    let command = served.command();
    assert_eq!(served.list(&command).await, ["v0.1.0", "v0.2.0"]);
    served.check_version(&command, "v0.1.0").await;
    let latest = command.latest(&path(MODULE)).await.unwrap();
    assert_eq!((latest.version().as_str(), latest.origin().unwrap().vcs.as_str()), ("v0.2.0", "hg"));
    let branch = async || command.info(&path(MODULE), &query("work")).await.unwrap().version().to_string();
    let before = branch().await;
    assert!(before.starts_with("v0.2.1-0."), "{before}");
    // What is new is seen, although the repository was cloned before.
    served.shell("cd repo; module 5; hg commit -qm five; hg tag v0.3.0");
    assert_ne!(branch().await, before);
    assert_eq!(served.list(&command).await, ["v0.1.0", "v0.2.0", "v0.3.0"]);
    let unknown = command.info(&path(MODULE), &query("v9.9.9")).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert_eq!(unknown.text(), "example.com/r@v9.9.9: invalid version: unknown revision v9.9.9");
    let big = "cd repo; hg up -q default; big; hg add -q big; hg commit -qm big; hg tag v0.4.0";
    served.check_limit(big).await;
    served.stop();
    for result in [
        command.list(&path(MODULE)).await.map(|_| ()),
        command.info(&path(MODULE), &query("v8.8.8")).await.map(|_| ()),
        command.latest(&path(MODULE)).await.map(|_| ()),
    ] {
        let error = result.unwrap_err();
        assert!(
            error.kind() == ErrorKind::Unavailable && error.text().contains("does not accept connections"),
            "{error}"
        );
    }
    served.check_egress();
}

#[tokio::test]
async fn fossil() {
    if !have(&["go", "fossil"]) {
        return;
    }
    let serve = |root: &Path, port: u16| {
        let mut serve = Process::new("fossil");
        serve
            .args(["server", "--port", &port.to_string(), "--localhost", "--repolist", "."])
            .current_dir(root);
        serve.env("HOME", root).env("USER", "test");
        serve
    };
    let served = Served::start("fossil", serve).await;
    let command = served.command();
    served.check_version(&command, "v0.1.0").await;
    // The go command lists no tags of fossil.
    assert_eq!(served.list(&command).await, [""; 0]);
    assert!(command.latest(&path(MODULE)).await.unwrap().version().is_pseudo());
    let unknown = command.info(&path(MODULE), &query("v9.9.9")).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
    let big = "cd w; big; fossil add big >/dev/null; fossil commit -m big --no-warnings >/dev/null 2>&1";
    served.check_limit(big).await;
    served.check_egress();
}

#[tokio::test]
async fn subversion() {
    const APACHE: &str = "/usr/sbin/apache2";
    let modules = Path::new("/usr/lib/apache2/modules");
    if !have(&["go", "svn", "svnadmin"])
        || !modules.join("mod_dav_svn.so").is_file()
        || !Path::new(APACHE).is_file()
    {
        skipped("Subversion is NOT tested, it needs svn and apache2 with libapache2-mod-svn");
        return;
    }
    let serve = |root: &Path, port: u16| {
        let load = ["mpm_event", "authz_core", "authn_core", "dav", "dav_svn"];
        let load: String = load
            .iter()
            .map(|name| format!("LoadModule {name}_module {}/mod_{name}.so\n", modules.display()))
            .collect();
        let root = root.display();
        let config = format!(
            "{load}ServerRoot {root}\nServerName localhost\nUser www-data\nGroup www-data\nListen 127.0.0.1:{port}\nPidFile {root}/pid\nErrorLog {root}/errors\n\
             <Location /repo>\nDAV svn\nSVNPath {root}/repo\n</Location>\n"
        );
        let file = PathBuf::from(root.to_string()).join("apache.conf");
        std::fs::write(&file, config).unwrap();
        let mut serve = Process::new(APACHE);
        serve.args(["-X", "-f"]).arg(file);
        serve
    };
    let mut served = Served::start("svn", serve).await;
    let command = served.command();
    assert_eq!(served.list(&command).await, [""; 0]);
    let latest = command.latest(&path(MODULE)).await.unwrap();
    assert!(latest.version().as_str().ends_with("-000000000001"), "{}", latest.format());
    served.check_version(&command, latest.version().as_str()).await;
    let unknown = command.info(&path(MODULE), &query("v0.9.9")).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
    served.check_limit("big; svn import -q -m large big file://$PWD/repo/big; chmod -R a+rwX repo").await;
    served.stop();
    // To svn every failure is an unknown revision.
    let error = command.info(&path(MODULE), &query("v0.9.8")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    served.check_egress();
}

#[tokio::test]
async fn off_means_off() {
    let site = Site::start().await;
    for (at, vcs) in [("/r", "hg"), ("/s", "fossil"), ("/g", "git")] {
        site.on(at, page(&[&format!("example.com{at} {vcs} https://example.com/repo")]));
    }
    let rules = DiscoveryRules {
        within: Patterns::new("*"),
        private: Patterns::new("example.com/*"),
        ..DiscoveryRules::default()
    };
    let command = Command::off(Arc::new(site.discovery_by(rules)), "fetch.command");
    for module in ["example.com/r", "example.com/s", "example.com/h.bzr"] {
        let error = command.list(&path(module)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error.text().ends_with("needs the go command, which fetch.command does not allow"),
            "{error}"
        );
    }
    assert_eq!(command.list(&path("example.com/g")).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// A `go` that does what a test says, to see how it is held.
struct Fake {
    root: tempfile::TempDir,
    site: Site,
    command: Command,
}

impl Fake {
    async fn start(script: &str, deadline: Duration) -> Self {
        Self::start_at(&[], ("https://example.com/repo", ""), (script, deadline)).await
    }

    /// With the repository at a URL, where other addresses are at these ports, and what is trusted.
    async fn start_at(
        others: &[(&str, u16)],
        (url, trusted): (&str, &str),
        (script, deadline): (&str, Duration),
    ) -> Self {
        let root = tempfile::tempdir().unwrap();
        let site = Site::start_at(others).await;
        site.on("/r", page(&[&format!("example.com/r hg {url}")]));
        let go = root.path().join("go");
        let out = root.path().join("out");
        std::fs::write(&go, format!("#!/bin/bash\nout={}\n{script}\n", out.display())).unwrap();
        std::os::unix::fs::symlink("/usr/bin/prlimit", root.path().join("prlimit")).unwrap();
        Process::new("chmod").arg("755").arg(&go).status().unwrap();
        let mut search = root.path().as_os_str().to_owned();
        search.push(":/usr/bin:/bin");
        let options = CommandOptions { search, deadline, ..CommandOptions::new(root.path().join("kept")) };
        let (within, trusted) = (Patterns::new("*"), Patterns::new(trusted));
        let rules = DiscoveryRules { within, trusted, ..DiscoveryRules::default() };
        let command = Command::new(Arc::new(site.discovery_by(rules)), &options).unwrap();
        Self { root, site, command }
    }

    async fn latest(&self) -> quipu_fetch::Error {
        self.command.latest(&path("example.com/r")).await.unwrap_err()
    }

    fn out(&self) -> String {
        std::fs::read_to_string(self.root.path().join("out")).unwrap_or_default()
    }
}

#[tokio::test]
async fn nothing_of_this_environment_gets_in() {
    let fake =
        Fake::start("env >$out; ulimit -a >>$out; echo \"$@\" >>$out; echo '{}'", Duration::from_secs(20))
            .await;
    assert_eq!(fake.latest().await.kind(), ErrorKind::Rejected);
    let out = fake.out();
    assert!(!out.contains("CARGO") && out.contains("GOVCS=example.com/r:hg,*:off\n"), "{out}");
    assert!(
        out.contains("GOPROXY=direct\n") && out.contains("GOSUMDB=off\n") && out.contains("GOFLAGS=\n"),
        "{out}"
    );
    assert!(
        out.contains("list -m -e -modcacherw -json -- example.com/r@latest example.com/r@tip\n"),
        "{out}"
    );
    let home = out.lines().find_map(|line| line.strip_prefix("HOME=")).unwrap();
    assert!(home.starts_with(fake.root.path().to_str().unwrap()), "{home}");
    assert!(out.contains("core file size              (blocks, -c) 0"), "{out}");
}

#[tokio::test]
async fn the_gate_leads_to_the_repository_alone() {
    let script = r#"
        port=${http_proxy##*:}
        say() { exec 3<>/dev/tcp/127.0.0.1/$port; printf "$1\r\n\r\n" >&3; head -n1 <&3 >>$out; exec 3>&-; }
        say "CONNECT other.example.com:443 HTTP/1.1"
        say "CONNECT 127.0.0.1:$port HTTP/1.1"
        say "CONNECT example.com:22 HTTP/1.1"
        say "GET http://169.254.169.254/latest HTTP/1.1"
        say "GET http://example.com/secret?go-get=1 HTTP/1.1"
        say "CONNECT example.com:443 HTTP/1.1\r\nUser-Agent: Go-http-client/1.1"
        say "GET http://example.com/r?go-get=1 HTTP/1.1"
        say "CONNECT example.com:443 HTTP/1.1"
        echo '{}'"#;
    let fake = Fake::start(script, Duration::from_secs(20)).await;
    fake.latest().await;
    let lines: Vec<_> = fake.out().lines().map(|line| line.trim_end().to_owned()).collect();
    let refused = "HTTP/1.1 403 Forbidden";
    assert_eq!(lines[..6], [refused; 6]);
    assert_eq!(lines[6..], ["HTTP/1.1 200 OK"; 2]);
    // A connection is recorded when it has ended.
    while fake.site.egress.0.lock().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let records = fake.site.egress.0.lock().unwrap();
    let hosts: Vec<_> = records.iter().map(|record| (record.method, record.host.as_str())).collect();
    assert_eq!(hosts, [("GET", "https://example.com"), ("CONNECT", "https://example.com")]);
}

/// Else whoever has a host could have what the operator may read shown as a module of the own host.
#[tokio::test]
async fn a_stranger_does_not_lead_a_command_to_the_hosts_of_the_operator() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = format!("127.0.0.1:{port}");
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/${{http_proxy##*:}}; printf 'CONNECT {host} HTTP/1.1\\r\\n\\r\\n' >&3
        head -n1 <&3 >>$out; echo '{{}}'"
    );
    let url = format!("https://{host}");
    for (trusted, answer) in [("corp.example", "502 Bad Gateway"), ("example.com", "200 OK")] {
        let at = [(url.as_str(), port)];
        let run = (script.as_str(), Duration::from_secs(20));
        let fake = Fake::start_at(&at, (&format!("{url}/repo"), trusted), run).await;
        let error = fake.latest().await;
        assert_eq!(fake.out().trim_end(), format!("HTTP/1.1 {answer}"), "{trusted}: {error}");
    }
}

#[tokio::test]
async fn what_takes_too_long_ends_with_all_it_started() {
    let script = "(sleep 1000 & echo $! >>$out; wait) & echo $! >>$out; sleep 1000";
    let fake = Fake::start(script, Duration::from_secs(1)).await;
    assert_eq!(fake.latest().await.kind(), ErrorKind::Timeout);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let out = fake.out();
    assert_eq!(out.lines().count(), 2);
    for process in out.lines() {
        let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(" Z "), "{process} still runs: {state}");
    }
}

#[tokio::test]
async fn output_is_bounded_and_must_be_an_answer() {
    for (script, kind) in [
        ("head -c 20000000 /dev/zero", ErrorKind::TooLarge),
        ("head -c 2000000 /dev/zero >&2; echo '{\"Version\":\"v1.0\"}'", ErrorKind::Rejected),
        ("echo no", ErrorKind::Unavailable),
        ("exit 1", ErrorKind::Unavailable),
        (
            "echo '{\"Error\":{\"Err\":\"module example.com/r: something in /secret/place\"}}'",
            ErrorKind::Unavailable,
        ),
        ("echo '{\"Error\":\"example.com/r@latest: no matching versions for query\"}'", ErrorKind::NotFound),
    ] {
        let fake = Fake::start(script, Duration::from_secs(20)).await;
        let error = fake.latest().await;
        assert_eq!(error.kind(), kind, "{script}: {error}");
        assert!(!error.text().contains("secret"), "{error}");
    }
}
