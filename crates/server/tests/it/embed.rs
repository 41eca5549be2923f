//! The example of a program that the server is part of, over real HTTP.

#[path = "../../examples/embed.rs"]
#[expect(dead_code, reason = "an example has a main function")]
mod example;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use quipu_fetch::{Base, Client, ClientOptions, Database, Limits, Named, Policy, Purpose, Request, Url};
use quipu_module::ModuleVersion;
use quipu_note::{SignerKey, VerifierKey};
use quipu_server::Reached;
use quipu_verify as verify;

const GO_MOD: &str = "module example.com/m\n";

/// A program with the example's router, behind a tree of one module.
struct Program {
    addr: SocketAddr,
    key: VerifierKey,
    _dir: tempfile::TempDir,
}

impl Program {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let versions = dir.path().join("upstream/example.com/m/@v");
        fs::create_dir_all(&versions).unwrap();
        fs::write(versions.join("list"), "v1.0.0\n").unwrap();
        fs::write(versions.join("v1.0.0.mod"), GO_MOD).unwrap();
        fs::write(versions.join("v1.0.0.info"), r#"{"Version":"v1.0.0"}"#).unwrap();
        fs::write(versions.join("v1.0.0.zip"), zip("example.com/m@v1.0.0/go.mod", GO_MOD)).unwrap();
        let upstream = format!("file://{}", dir.path().join("upstream").display());
        let key = SignerKey::from_seed("sum.example.com".parse().unwrap(), &[7; 32].into());
        let verifier = key.verifier().clone();
        let router = example::router(&upstream, &dir.path().join("data"), key).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { addr, key: verifier, _dir: dir }
    }

    fn client(&self) -> (Client, String) {
        let url = format!("http://{}", self.addr);
        let mut named = Named::default();
        named.insert(Base::parse(&url).unwrap().authority().unwrap().clone());
        (Client::new(ClientOptions { named, ..ClientOptions::default() }).unwrap(), url)
    }

    async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let (client, url) = self.client();
        let url = Url::parse(&format!("{url}{path}")).unwrap();
        let limits = Limits::small(1 << 20);
        let request = Request { url: &url, credentials: None, purpose: Purpose::Zip, limits };
        let response = client.get(request).await.unwrap();
        (response.status.as_u16(), response.body.bytes().await.unwrap().to_vec())
    }
}

/// A zip of one stored file.
fn zip(name: &str, content: &str) -> Vec<u8> {
    let (name, data) = (name.as_bytes(), content.as_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(data);
    let length = u32::try_from(data.len()).unwrap().to_le_bytes();
    let named = u16::try_from(name.len()).unwrap().to_le_bytes();
    // Version, flags and method; time and date; checksum and sizes; lengths of name and extra field.
    let common =
        [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &crc.sum().to_le_bytes(), &length, &length, &named, &[0, 0]];
    let common = common.concat();
    let mut zip = [&b"PK\x03\x04"[..], &common, name, data].concat();
    let start = u32::try_from(zip.len()).unwrap();
    let central = [&b"PK\x01\x02\x14\x00"[..], &common, &[0; 14], name].concat();
    let size = u32::try_from(central.len()).unwrap().to_le_bytes();
    zip.extend(central);
    zip.extend(b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00");
    zip.extend([&size[..], &start.to_le_bytes(), &[0, 0]].concat());
    zip
}

#[tokio::test]
async fn modules_come_through_all_mounts_and_the_log_proves_them() {
    let program = Program::start().await;
    assert_eq!(program.get("/").await.0, 200);
    for mount in ["/plain", "/memory", "/go"] {
        let at = |rest: &str| format!("{mount}/example.com/m/@v/{rest}");
        assert_eq!(program.get(&at("list")).await, (200, b"v1.0.0\n".to_vec()), "{mount}");
        assert_eq!(program.get(&at("v1.0.0.mod")).await, (200, GO_MOD.into()));
        let (status, body) = program.get(&at("v1.0.0.zip")).await;
        assert_eq!((status, &body[..4]), (200, &b"PK\x03\x04"[..]));
        assert_eq!(program.get(&at("v1.9.0.zip")).await.0, 404);
    }
    assert_eq!(program.get("/plain/latest").await.0, 404);
    assert_eq!(program.get("/go/sumdb/sum.example.com/supported").await.0, 200);

    let (client, url) = program.client();
    let way = Database::new(
        "sum.example.com",
        Some(&format!("{url}/go")),
        &[],
        &client,
        Arc::new(Policy::default()),
    );
    let state = Arc::new(verify::MemoryState::new());
    let verifier = verify::Client::new(
        vec![program.key.clone()],
        Arc::new(Reached(way.unwrap())),
        state,
        verify::Limits::default(),
    );
    let module: ModuleVersion = "example.com/m@v1.0.0".parse().unwrap();
    let verified = verifier.unwrap().lookup(&module).await.unwrap();
    assert_eq!(verified.record.go_mod(), quipu_module::hash_go_mod(GO_MOD.as_bytes()));
}
