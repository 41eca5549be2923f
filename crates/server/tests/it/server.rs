//! A server whose log holds some records, over real HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use quipu_fetch::{
    AdmitAll, Base, Cache, CacheOptions, Chain, Client, ClientOptions, Database, Named, Policy,
};
use quipu_ledger::{Entry, Ledger, MemoryStore, OpenOptions};
use quipu_module::ModuleVersion;
use quipu_note::{SignerKey, VerifierKey};
use quipu_server::policy::Offering;
use quipu_server::{
    Access, Admission, App, Forge, ListenOptions, Operation, Parts, Reached, Secrets, Vouching,
};
use quipu_verify as verify;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) const NAME: &str = "sum.example/team";
/// GitLab shows it in its webhooks.
pub(crate) const SECRET: &str = "the secret of the forge";
pub(crate) const RECORDS: u64 = 300;

/// A running server; it ends with this.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) vkey: VerifierKey,
    pub(crate) ledger: Ledger,
    _stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

/// What it answered; the head in lower case.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// A server whose log holds `RECORDS` records and that has no upstream at all.
    pub(crate) async fn start() -> Self {
        Self::start_under(Offering::everything()).await
    }

    /// The same, where not everything is offered.
    pub(crate) async fn start_under(offering: Offering) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signer = SignerKey::from_seed(NAME.parse().unwrap(), &[7; 32].into());
        let vkey = signer.verifier().clone();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let ledger =
            Ledger::open(OpenOptions::new(Arc::new(MemoryStore::new()), &data, vec![signer], [1; 16]))
                .unwrap();
        let answers = ledger.append_all((0..RECORDS).map(entry).collect()).await;
        assert!(answers.iter().all(Result::is_ok));
        let vouching = Vouching {
            policy: Policy::default(),
            upstream: None,
            prefer: false,
            evidence: verify::EvidenceDir::new(dir.path()),
        };
        let chain = Arc::new(Chain::of(Vec::new()));
        let options = CacheOptions { disk_floor: 0, ..CacheOptions::default() };
        let modules =
            Cache::open_root(&dir.path().join("modules"), chain, Arc::new(AdmitAll), options).unwrap();
        let operation = Operation {
            exports: "export GOPROXY=x".to_owned(),
            metrics: Arc::new(|| "metrics\n".to_owned()),
        };
        let app = App::new(Parts {
            ledger: ledger.clone(),
            name: NAME.to_owned(),
            instance: "test".to_owned(),
            admission: Admission::new(ledger.clone(), vouching),
            modules,
            others: Vec::new(),
            access: Access::everybody(),
            hooks: [(Forge::GitLab, Secrets::parse(SECRET).unwrap())].into(),
            operation,
            offering: Arc::new(offering),
            downloads: quipu_server::Downloads::none(),
            ahead: 0,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move { app.serve(listener, ListenOptions::default(), stopped).await });
        Self { addr, vkey, ledger, _stop: stop, _dir: dir }
    }

    pub(crate) async fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).await.unwrap();
        let split = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(raw[..split].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: raw[split + 4..].to_vec() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}")).await
    }

    /// The way of a verifying client to it.
    pub(crate) fn reached(&self) -> Reached {
        let url = format!("http://{}", self.addr);
        let mut named = Named::default();
        named.insert(Base::parse(&url).unwrap().authority().unwrap().clone());
        let client = Client::new(ClientOptions { named, ..ClientOptions::default() }).unwrap();
        Reached(Database::new(NAME, Some(&url), &[], &client, Arc::new(Policy::default())).unwrap())
    }
}

pub(crate) fn module(i: u64) -> ModuleVersion {
    ModuleVersion::parse(&format!("example.test/Mod{i}"), "v1.0.0").unwrap()
}

pub(crate) fn text(i: u64) -> String {
    let module = module(i);
    let (path, version) = (module.path(), module.version());
    let h1 = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    format!("{path} {version} {h1}\n{path} {version}/go.mod {h1}\n")
}

pub(crate) fn entry(i: u64) -> Entry {
    let module = module(i);
    let key = format!("{} {} ", module.path(), module.version()).len();
    Entry::new(Bytes::from(text(i)), key).unwrap()
}
