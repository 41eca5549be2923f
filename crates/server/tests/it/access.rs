//! Tokens and publishing over real HTTP.

#[path = "../../../module/tests/common/zip_writer.rs"]
mod zip_writer;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use quipu_fetch::{BoxFuture, Cache, CacheOptions, Error, Info, Policy, Staged, Upstream};
use quipu_ledger::{Ledger, MemoryStore, OpenOptions};
use quipu_module::{ModulePath, ModuleVersion, Patterns, Query, Version, check_zip};
use quipu_note::SignerKey;
use quipu_server::{
    Access, Admission, App, AuditLog, Download, Downloader, Downloads, Grant, ListenOptions, Operation,
    Parts, Rules, Scope, Secret, TokenFile, Vouching, check_audit_log, read_downloads,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zip_writer::{deflated, entry, write_zip};

const NAME: &str = "sum.corp.example";

/// An upstream that has everything and must be asked for nothing that is ours.
struct Squatter;

impl Squatter {
    fn version(path: &ModulePath) -> Version {
        assert!(!path.as_str().starts_with("corp.example"), "{path} was asked of an upstream");
        Version::parse("v1.9.9").unwrap()
    }
}

impl Upstream for Squatter {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>, Error>> {
        Box::pin(async move { Ok(vec![Self::version(path)]) })
    }

    fn info<'a>(&'a self, path: &'a ModulePath, _: &'a Query) -> BoxFuture<'a, Result<Info, Error>> {
        Box::pin(async move { Info::new(Self::version(path), None, None) })
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info, Error>> {
        Box::pin(async move { Info::new(Self::version(path), None, None) })
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<bytes::Bytes, Error>> {
        Box::pin(async move {
            Self::version(version.path());
            Ok(format!("module {}\n", version.path()).into())
        })
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, _: &'a mut Staged) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            Self::version(version.path());
            Err(Error::not_found("no zip"))
        })
    }
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) ledger: Ledger,
    pub(crate) modules: Cache,
    audit: AuditLog,
    downloads: Downloads,
    pub(crate) tokens: BTreeMap<&'static str, Secret>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) serving: JoinHandle<usize>,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Everything but the date.
    fn looks(&self) -> String {
        let head: Vec<_> = self.head.lines().filter(|line| !line.starts_with("date:")).collect();
        head.join("\n") + "\n\n" + &self.text()
    }
}

fn issue(file: &TokenFile, n: u8, scope: Scope, patterns: &str) -> Secret {
    let secret = Secret::from_random([n; 32]);
    let grant =
        Grant { name: scope.to_string(), scopes: vec![scope], patterns: patterns.to_owned(), expires: None };
    file.issue(&secret, grant, 0).unwrap();
    secret
}

impl Server {
    pub(crate) async fn start(anonymous: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), anonymous).await
    }

    /// Its module cache is in `modules`, with what is there.
    pub(crate) async fn start_in(dir: tempfile::TempDir, anonymous: &str) -> Self {
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let signer = SignerKey::from_seed(NAME.parse().unwrap(), &[7; 32].into());
        let ledger =
            Ledger::open(OpenOptions::new(Arc::new(MemoryStore::new()), &data, vec![signer], [1; 16]))
                .unwrap();
        let vouching = Vouching {
            policy: Policy::default().publishing(Patterns::new("corp.example")),
            upstream: None,
            prefer: false,
            evidence: quipu_verify::EvidenceDir::new(dir.path()),
        };
        let admission = Admission::new(ledger.clone(), vouching);
        let published = Patterns::new("corp.example");
        let options = CacheOptions { disk_floor: 0, published, ..CacheOptions::default() };
        let root = dir.path().join("modules");
        let modules = Cache::open_root(&root, Arc::new(Squatter), admission.admit(), options).unwrap();
        let file = TokenFile::new(&dir.path().join("tokens.json"));
        let tokens = BTreeMap::from([
            ("publish", issue(&file, 1, Scope::Publish, "corp.example/team")),
            ("read", issue(&file, 2, Scope::Read, "corp.example/team")),
            ("other", issue(&file, 3, Scope::Read, "corp.example/other")),
            ("audit", issue(&file, 4, Scope::Audit, "")),
        ]);
        let audit = AuditLog::open(&dir.path().join("audit.log")).unwrap();
        let downloads = Downloads::open(&dir.path().join("downloads"), 180).unwrap();
        let access = Access::open(Rules::new(Patterns::new(anonymous)), file, audit.clone()).unwrap();
        let app = App::new(Parts {
            ledger: ledger.clone(),
            name: NAME.to_owned(),
            instance: "test".to_owned(),
            admission,
            modules: modules.clone(),
            others: Vec::new(),
            access,
            hooks: BTreeMap::new(),
            operation: Operation { exports: String::new(), metrics: Arc::new(String::new) },
            offering: Arc::new(quipu_server::policy::Offering::everything()),
            downloads: downloads.clone(),
            ahead: 0,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving =
            tokio::spawn(async move { app.serve(listener, ListenOptions::default(), stopped).await });
        Self { addr, ledger, modules, audit, downloads, tokens, stop, serving, dir }
    }

    async fn ask(&self, method: &str, path: &str, token: &str, body: &[u8]) -> Answer {
        let authorization = match self.tokens.get(token) {
            Some(secret) => format!("Authorization: Bearer {}\r\n", secret.expose()),
            None if token.is_empty() => String::new(),
            None => format!("Authorization: {token}\r\n"),
        };
        let length =
            if method == "PUT" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}{length}\r\n"
        );
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        // A refused body is not read to its end, so sending it may fail while the answer is there.
        let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
        let mut raw = Vec::new();
        let _ = stream.read_to_end(&mut raw).await;
        let split = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(raw[..split].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: raw[split + 4..].to_vec() }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, token, b"").await
    }

    pub(crate) async fn put(&self, version: &str, token: &str, zip: &[u8]) -> Answer {
        self.ask("PUT", &format!("/corp.example/team/m/@v/{version}.zip"), token, zip).await
    }

    pub(crate) fn audited(&self) -> String {
        let path = self.dir.path().join("audit.log");
        let report = check_audit_log(std::io::BufReader::new(std::fs::File::open(&path).unwrap()), None);
        assert_eq!(report.unwrap().fault, None);
        std::fs::read_to_string(path).unwrap()
    }
}

pub(crate) fn zip(version: &str, content: &str) -> Vec<u8> {
    let root = format!("corp.example/team/m@{version}");
    write_zip(&[
        deflated(&format!("{root}/go.mod"), "module corp.example/team/m\n"),
        entry(&format!("{root}/m.go"), content),
    ])
}

fn h1(version: &str, zip: &[u8]) -> String {
    let module: ModuleVersion = format!("corp.example/team/m@{version}").parse().unwrap();
    check_zip(&module, std::io::Cursor::new(zip)).unwrap().hash.to_string()
}

#[tokio::test]
async fn what_is_published_is_logged_listed_and_served() {
    let server = Server::start("*").await;
    let (one, two) = (zip("v1.0.0", "package m\n"), zip("v1.0.0", "package m // other\n"));
    assert_eq!(server.get("/corp.example/team/m/@v/list", "").await.status, 404);

    let answer = server.put("v1.0.0", "publish", &one).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(answer.text().starts_with("0\ncorp.example/team/m v1.0.0 h1:"), "{}", answer.text());
    assert_eq!(server.put("v1.0.0", "publish", &one).await.status, 200);
    let conflict = server.put("v1.0.0", "publish", &two).await;
    assert_eq!(conflict.status, 409);
    for hash in [h1("v1.0.0", &one), h1("v1.0.0", &two)] {
        assert!(conflict.text().contains(&hash), "{}", conflict.text());
    }

    assert_eq!(server.get("/corp.example/team/m/@v/list", "").await.text(), "v1.0.0\n");
    let latest = server.get("/corp.example/team/m/@latest", "").await.text();
    assert!(latest.starts_with("{\"Version\":\"v1.0.0\",\"Time\":\"20"), "{latest}");
    assert_eq!(server.get("/corp.example/team/m/@v/v1.0.0.info", "").await.text(), latest);
    let go_mod = server.get("/corp.example/team/m/@v/v1.0.0.mod", "").await.text();
    assert_eq!(go_mod, "module corp.example/team/m\n");
    assert_eq!(server.get("/corp.example/team/m/@v/v1.0.0.zip", "").await.body, one);
    let lookup = server.get("/lookup/corp.example/team/m@v1.0.0", "").await.text();
    assert!(lookup.contains(&h1("v1.0.0", &one)), "{lookup}");
    let marker = server.dir.path().join("modules/corp.example/team/m/@v/v1.0.0.published");
    assert!(std::fs::read_to_string(marker).unwrap().starts_with("quipu-published 1\nh1:"));

    let audited = server.audited();
    assert_eq!(audited.matches("\"event\":\"publish\"").count(), 2);
    assert_eq!(audited.matches("\"event\":\"conflict\"").count(), 1);
    assert!(audited.contains("(publish)\",\"peer\":\"127.0.0.1\",\"what\":\"corp.example/team/m@v1.0.0\""));
}

#[tokio::test]
async fn what_breaks_a_rule_leaves_nothing_behind() {
    let server = Server::start("*").await;
    let other_module = zip("v1.0.0", "x");
    let good = zip("v1.1.0", "x");
    let with_junk = [good.as_slice(), b"x"].concat();
    for (version, body, why) in [
        ("v1.1.0", other_module.as_slice(), "does not have prefix"),
        ("v1.1.0", b"", "not a valid zip"),
        ("v1.1.0", &with_junk, "follows the end"),
        ("v1.1", &good, "v1.1"),
        ("v2.0.0", &good, "v2.0.0"),
    ] {
        let answer = server.put(version, "publish", body).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(why), "{}", answer.text());
    }
    assert_eq!(server.ledger.head().size(), 0);
    assert_eq!(server.get("/corp.example/team/m/@v/list", "").await.status, 404);
    let staged = std::fs::read_dir(server.dir.path().join("modules/.staging")).unwrap().count();
    assert_eq!(staged, 0);
    assert_eq!(server.put("v1.1.0", "publish", &good).await.status, 201);
}

#[tokio::test]
async fn who_may_publish_where_and_nothing_else_takes_a_body() {
    let server = Server::start("*").await;
    let good = zip("v1.0.0", "x");
    let anonymous = server.put("v1.0.0", "", &good).await;
    assert_eq!(anonymous.status, 401);
    assert!(anonymous.head.contains("www-authenticate: basic realm=\"quipu\""), "{}", anonymous.head);
    for token in ["read", "audit"] {
        assert_eq!(server.put("v1.0.0", token, &good).await.status, 403, "{token}");
    }
    for (path, status) in [
        ("/corp.example/other/@v/v1.0.0.zip", 403),
        ("/example.com/m/@v/v1.0.0.zip", 403),
        ("/cached-only/corp.example/team/m/@v/v1.0.0.zip", 405),
        ("/corp.example/team/m/@v/v1.0.0.mod", 405),
        ("/corp.example/team/m/@v/list", 405),
        ("/latest", 405),
        ("/", 405),
    ] {
        assert_eq!(server.ask("PUT", path, "publish", &good).await.status, status, "{path}");
    }
    for method in ["POST", "DELETE", "PATCH"] {
        let path = "/corp.example/team/m/@v/v1.0.0.zip";
        assert_eq!(server.ask(method, path, "publish", b"").await.status, 405, "{method}");
    }
    assert_eq!(server.ledger.head().size(), 0);
    server.audit.sync().await;
    assert!(!server.audited().contains("\"publish\""));
}

/// However many publish one version at once, one of them is the first, and everybody is served that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_of_many_counts() {
    let server = Arc::new(Server::start("*").await);
    for round in 0..8 {
        let version = format!("v1.0.{round}");
        let zips: Vec<_> = (0..12).map(|n| zip(&version, &format!("package m // {}\n", n / 2))).collect();
        let sent = zips.iter().cloned().map(|zip| {
            let (server, version) = (Arc::clone(&server), version.clone());
            tokio::spawn(async move { (server.put(&version, "publish", &zip).await, zip) })
        });
        let sent: Vec<_> = sent.collect();
        let (mut statuses, mut winner) = (BTreeMap::<u16, usize>::new(), None);
        for answer in sent {
            let (answer, zip) = answer.await.unwrap();
            *statuses.entry(answer.status).or_default() += 1;
            if answer.status == 201 {
                winner = Some(zip);
            }
        }
        let (server, winner) = (Arc::clone(&server), winner.unwrap());
        // One is new, its twin is the same, all others are not. Uploads above the limit are asked to come again.
        assert_eq!(statuses.get(&201), Some(&1), "{statuses:?}");
        assert!(statuses.keys().all(|status| [200, 201, 409, 503].contains(status)), "{statuses:?}");
        let served = server.get(&format!("/corp.example/team/m/@v/{version}.zip"), "").await.body;
        assert_eq!(h1(&version, &served), h1(&version, &winner));
        let lookup = server.get(&format!("/lookup/corp.example/team/m@{version}"), "").await.text();
        assert!(lookup.contains(&h1(&version, &winner)));
        assert_eq!(server.ledger.head().size(), round + 1);
    }
}

#[tokio::test]
async fn forbidden_looks_the_same_whether_it_exists_or_not() {
    let server = Server::start("").await;
    assert_eq!(server.put("v1.0.0", "publish", &zip("v1.0.0", "x")).await.status, 201);
    for token in ["", "other", "audit", "Bearer x"] {
        let status = if ["other", "audit"].contains(&token) { 403 } else { 401 };
        for shape in [
            "/corp.example/team/M/@v/list",
            "/corp.example/team/M/@latest",
            "/corp.example/team/M/@v/v1.0.0.info",
            "/corp.example/team/M/@v/v1.0.0.mod",
            "/corp.example/team/M/@v/v1.0.0.zip",
            "/cached-only/corp.example/team/M/@v/v1.0.0.zip",
            "/lookup/corp.example/team/M@v1.0.0",
            "/sumdb/sum.corp.example/lookup/corp.example/team/M@v1.0.0",
        ] {
            let there = server.get(&shape.replace('M', "m"), token).await;
            let absent = server.get(&shape.replace('M', "absent"), token).await;
            assert_eq!((there.status, absent.status), (status, status), "{shape} {token:?}");
            assert_eq!(there.looks(), absent.looks(), "{shape} {token:?}");
            assert!(there.head.contains("cache-control: no-store"), "{}", there.head);
        }
    }
}

#[tokio::test]
async fn answers_to_tokens_are_for_nobody_else() {
    let server = Server::start("").await;
    assert_eq!(server.put("v1.0.0", "publish", &zip("v1.0.0", "x")).await.status, 201);
    for path in [
        "/corp.example/team/m/@v/v1.0.0.zip",
        "/corp.example/team/m/@v/list",
        "/lookup/corp.example/team/m@v1.0.0",
        "/tile/8/0/000.p/1",
    ] {
        let answer = server.get(path, "read").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.head.contains("cache-control: private, no-cache"), "{path}: {}", answer.head);
        assert!(answer.head.contains("vary: authorization"), "{path}: {}", answer.head);
    }
    let names = server.get("/tile/8/data/000.p/1", "read").await;
    assert_eq!(names.status, 403);
    let names = server.get("/tile/8/data/000.p/1", "audit").await.text();
    assert!(names.starts_with("corp.example/team/m v1.0.0 h1:"), "{names}");
    // A token of that path reads what only its own path may know.
    assert_eq!(server.get("/corp.example/team/absent/@v/list", "read").await.status, 404);
    server.stop.send(true).unwrap();
}

#[tokio::test]
async fn nothing_of_ours_is_asked_of_an_upstream_that_has_it_all() {
    let server = Server::start("*").await;
    for path in [
        "/corp.example/team/m/@v/list",
        "/corp.example/team/m/@latest",
        "/corp.example/team/m/@v/v1.9.9.info",
        "/corp.example/team/m/@v/v1.9.9.mod",
        "/corp.example/team/m/@v/v1.9.9.zip",
        "/corp.example/team/m/@v/main.info",
        "/lookup/corp.example/team/m@v1.9.9",
    ] {
        let answer = server.get(path, "").await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    assert_eq!(server.get("/example.com/m/@v/list", "").await.text(), "v1.9.9\n");
    assert_eq!(server.put("v1.0.0", "publish", &zip("v1.0.0", "x")).await.status, 201);
    assert_eq!(server.get("/corp.example/team/m/@v/list", "").await.text(), "v1.0.0\n");
    assert!(Path::new(&server.dir.path().join("modules/corp.example/team/m/@v/v1.0.0.zip")).exists());
}

#[tokio::test]
async fn whose_token_came_along_is_known_and_decides_nothing() {
    let server = Server::start("*").await;
    assert_eq!(server.put("v1.0.0", "publish", &zip("v1.0.0", "x")).await.status, 201);
    let (zip, go_mod) = ("/corp.example/team/m/@v/v1.0.0.zip", "/corp.example/team/m/@v/v1.0.0.mod");
    let plain = server.get(zip, "").await;
    assert_eq!(plain.status, 200);
    for token in ["read", "other", "read", "Bearer quipu_none", "Basic ???"] {
        assert_eq!(server.get(zip, token).await.looks(), plain.looks(), "{token}");
    }
    assert_eq!(server.get(&format!("/cached-only{go_mod}"), "audit").await.status, 200);
    // Not sent: heads, what is not there, what has no code in it.
    assert_eq!(server.ask("HEAD", zip, "audit", b"").await.status, 200);
    for path in [zip.replace("v1.0.0", "v1.1.0"), zip.replace("zip", "info"), "/latest".to_owned()] {
        server.get(&path, "audit").await;
    }
    // However many credentials that are none came to where none are needed, they are no failures.
    for _ in 0..40 {
        assert_eq!(server.get(go_mod, "Bearer quipu_none").await.status, 200);
    }
    assert_eq!(server.put("v1.1.0", "Bearer quipu_none", b"").await.status, 401);

    server.downloads.close();
    let mut noted = Vec::new();
    let reach = read_downloads(
        &server.dir.path().join("downloads"),
        |_| true,
        |download| {
            let Download { module, kind, by, .. } = download;
            let by = match by {
                Downloader::Token { name, .. } => name,
                Downloader::Anonymous => "-".to_owned(),
            };
            noted.push(format!("{by} {kind:?} {module}"));
        },
    );
    assert_eq!(reach.unwrap().unreadable, 0);
    let want = ["- Zip", "read Zip", "read Zip", "audit GoMod", "- GoMod"];
    noted.sort();
    let mut want = want.map(|line| format!("{line} corp.example/team/m@v1.0.0"));
    want.sort();
    assert_eq!(noted, want);
}

#[tokio::test]
async fn where_a_token_is_needed_it_is_known_whose_it_was() {
    let server = Server::start("").await;
    assert_eq!(server.put("v1.0.0", "publish", &zip("v1.0.0", "x")).await.status, 201);
    for (token, status) in [("read", 200), ("other", 403), ("", 401), ("Bearer quipu_none", 401)] {
        assert_eq!(server.get("/corp.example/team/m/@v/v1.0.0.zip", token).await.status, status, "{token}");
    }
    server.downloads.close();
    let id = server.tokens["read"].digest()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut by = Vec::new();
    read_downloads(&server.dir.path().join("downloads"), |_| true, |download| by.push(download.by)).unwrap();
    assert_eq!(by, [Downloader::Token { id, name: "read".to_owned() }]);
}
