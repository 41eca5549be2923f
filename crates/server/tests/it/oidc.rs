//! Publishing and reading with ID tokens over real HTTP, with an issuer that is one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quipu_fetch::{Cache, CacheOptions, Chain, Client, ClientOptions, Named, Policy, Url};
use quipu_ledger::{Ledger, MemoryStore, OpenOptions};
use quipu_module::Patterns;
use quipu_note::SignerKey;
use quipu_server::{
    Access, Admission, App, AuditLog, Issuers, ListenOptions, OidcRule, Parts, Rules, Scope, TokenFile,
    Vouching, check_audit_log,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::access::zip;
use crate::minter::{Key, jwks};

const NAME: &str = "sum.corp.example";
const ZIP: &str = "/corp.example/team/m/@v/v1.0.0.zip";

struct World {
    addr: SocketAddr,
    issuer: String,
    /// How often the issuer was asked for its keys.
    asked: Arc<AtomicUsize>,
    audit: AuditLog,
    _stop: watch::Sender<bool>,
    dir: tempfile::TempDir,
}

/// An issuer with these keys.
async fn issuer(keys: String, asked: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let discovery = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }).to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            let wants_keys = head[..read].starts_with(b"GET /keys ");
            asked.fetch_add(usize::from(wants_keys), Ordering::Relaxed);
            let body = if wants_keys { &keys } else { &discovery };
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    url
}

fn issuers(issuer: &str) -> Issuers {
    let mut named = Named::default();
    named.insert(Url::parse(issuer).unwrap().authority().clone());
    let client = Client::new(ClientOptions { named, ..ClientOptions::default() }).unwrap();
    let rule = OidcRule {
        name: "release".to_owned(),
        issuer: issuer.to_owned(),
        audience: NAME.to_owned(),
        claims: BTreeMap::from([("repository".to_owned(), "corp/lib".to_owned())]),
        scopes: vec![Scope::Read, Scope::Publish],
        patterns: "corp.example/team".to_owned(),
    };
    Issuers::new(vec![rule], &client).unwrap()
}

impl World {
    async fn start(keys: &[&Key]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let issuer = issuer(jwks(keys), Arc::clone(&asked)).await;
        let signer = SignerKey::from_seed(NAME.parse().unwrap(), &[7; 32].into());
        let verifier = signer.verifier().clone();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let store = Arc::new(MemoryStore::new());
        let ledger = Ledger::open(OpenOptions::new(store, &data, vec![signer], [1; 16])).unwrap();
        let published = Patterns::new("corp.example");
        let vouching = Vouching {
            policy: Policy::default().publishing(published.clone()),
            upstream: None,
            prefer: false,
            evidence: quipu_verify::EvidenceDir::new(dir.path()),
        };
        let admission = Admission::new(ledger.clone(), vouching);
        let options = CacheOptions { disk_floor: 0, published, ..CacheOptions::default() };
        let chain = Arc::new(Chain::of(Vec::new()));
        let modules =
            Cache::open_root(&dir.path().join("modules"), chain, admission.admit(), options).unwrap();
        let audit = AuditLog::open(&dir.path().join("audit.log")).unwrap();
        let rules = Rules::new(Patterns::new("open.example"));
        let tokens = TokenFile::new(&dir.path().join("tokens.json"));
        let access = Access::open_with(rules, tokens, issuers(&issuer), audit.clone()).unwrap();
        let app = App::new(Parts { access, ..Parts::new(ledger, &verifier, admission, modules) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move { app.serve(listener, ListenOptions::default(), stopped).await });
        Self { addr, issuer, asked, audit, _stop: stop, dir }
    }

    fn claims(&self) -> Value {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        json!({
            "iss": self.issuer, "aud": NAME, "sub": "repo:corp/lib", "repository": "corp/lib", "run_id": "4711",
            "iat": now, "exp": now + 300,
        })
    }

    fn with(&self, name: &str, value: impl Into<Value>) -> Value {
        let mut claims = self.claims();
        claims[name] = value.into();
        claims
    }

    /// Status, and the whole answer but for its date.
    async fn ask(&self, method: &str, path: &str, authorization: &str, body: &[u8]) -> (u16, String) {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}Authorization: {authorization}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        // A refused body is not read to its end, so sending it may fail while the answer is there.
        let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
        let mut raw = Vec::new();
        let _ = stream.read_to_end(&mut raw).await;
        let text = String::from_utf8_lossy(&raw).into_owned();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let lines = text.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        (status, lines.collect::<Vec<_>>().join("\n"))
    }

    async fn audited(&self) -> String {
        self.audit.sync().await;
        let path = self.dir.path().join("audit.log");
        let report = check_audit_log(std::io::BufReader::new(std::fs::File::open(&path).unwrap()), None);
        assert_eq!(report.unwrap().fault, None);
        std::fs::read_to_string(path).unwrap()
    }
}

#[tokio::test]
async fn a_job_publishes_and_reads_and_the_audit_log_says_whose_it_was() {
    let (rsa, ec, ed) = (Key::rsa("rsa"), Key::p256("ec"), Key::ed25519("ed"));
    let world = World::start(&[&rsa, &ec, &ed]).await;
    let content = zip("v1.0.0", "x");
    // What needs no credentials asks no issuer, whatever comes along.
    let bearer = format!("Bearer {}", rsa.token(&world.claims()));
    assert_eq!(world.ask("GET", "/healthz", &bearer, b"").await.0, 200);
    assert_eq!(world.ask("GET", "/open.example/m/@v/list", &bearer, b"").await.0, 503, "no upstream");
    assert_eq!(world.asked.load(Ordering::Relaxed), 0);

    assert_eq!(world.ask("PUT", ZIP, &bearer, &content).await.0, 201);
    let bearer = format!("bearer {}", ec.token(&world.with("run_id", "4712")));
    assert_eq!(world.ask("PUT", ZIP, &bearer, &content).await.0, 200);
    let basic = format!("Basic {}", STANDARD.encode(format!("ci:{}", ed.token(&world.claims()))));
    assert_eq!(world.ask("GET", ZIP, &basic, b"").await.0, 200);
    assert_eq!(world.ask("GET", "/latest", &basic, b"").await.0, 200);
    for forbidden in ["/corp.example/other/@v/list", "/index", "/metrics"] {
        assert_eq!(world.ask("GET", forbidden, &basic, b"").await.0, 403, "{forbidden}");
    }
    assert_eq!(world.asked.load(Ordering::Relaxed), 1);

    let audited = world.audited().await;
    for run in ["4711", "4712"] {
        let who = format!(
            "\"event\":\"publish\",\"who\":\"oidc release: issuer {}, subject repo:corp/lib, repository corp/lib, run {run}\"",
            world.issuer
        );
        assert!(audited.contains(&who), "{audited}");
    }
}

#[tokio::test]
async fn who_is_refused_learns_nothing_and_the_log_says_why() {
    let (key, stranger) = (Key::rsa("rsa"), Key::p256("rsa"));
    let world = World::start(&[&key]).await;
    let unknown = world.ask("GET", ZIP, "Bearer quipu_x", b"").await;
    assert_eq!(unknown.0, 401);
    for token in [
        key.token(&world.with("repository", "corp/lib-evil")),
        key.token(&world.with("aud", "other")),
        key.token(&world.with("iss", "https://other.example")),
        key.token(&world.with("exp", 1_000_000_000)),
        stranger.token(&world.claims()),
        Key::p256("other").token(&world.claims()),
        key.sign(r#"{"alg":"none","kid":"rsa"}"#, &world.claims().to_string()),
    ] {
        assert_eq!(world.ask("GET", ZIP, &format!("Bearer {token}"), b"").await, unknown);
    }
    // The head of a request has its own limit.
    let long = key.token(&world.with("padding", "x".repeat(17 << 10)));
    assert_eq!(world.ask("GET", ZIP, &format!("Bearer {long}"), b"").await.0, 431);

    // Failures of one address count together, and are noted ever less often: the first, the tenth.
    let wrong = format!("Bearer {}", key.token(&world.with("repository", "corp/lib-evil")));
    assert_eq!(world.ask("GET", ZIP, &wrong, b"").await.0, 401);
    assert_eq!(world.ask("GET", ZIP, &wrong, b"").await.0, 401);
    for _ in 10..30 {
        assert_eq!(world.ask("GET", ZIP, &wrong, b"").await.0, 401);
    }
    assert_eq!(world.ask("GET", ZIP, &wrong, b"").await.0, 429);
    assert_eq!(world.ask("GET", ZIP, &format!("Bearer {}", key.token(&world.claims())), b"").await.0, 404);
    let audited = world.audited().await;
    let tenth = format!(
        "\"what\":\"an ID token without the claims of any rule\",\"detail\":\"failure 10 of this address within a minute; \
         issuer {}, subject repo:corp/lib, repository corp/lib-evil, run 4711\"",
        world.issuer
    );
    assert!(audited.contains(&tenth), "{audited}");
    assert_eq!(world.asked.load(Ordering::Relaxed), 1);
}
