//! What the log lets into the module cache: what is recorded, and nothing that would record a doubt for ever.

use std::sync::Arc;

use bytes::Bytes;
use quipu_fetch::{Admit, Hashes, Policy, Refusal};
use quipu_ledger::{Entry, Ledger, MemoryStore, OpenOptions};
use quipu_module::{H1, ModuleVersion, Patterns, Record, hash_go_mod};
use quipu_note::SignerKey;
use quipu_server::policy::{Offering, Quarantine};
use quipu_server::{Admission, Vouching};
use quipu_verify as verify;

use crate::server;

/// A log of which nobody else vouches for anything.
struct Log {
    ledger: Ledger,
    admit: Arc<dyn Admit>,
    _dir: tempfile::TempDir,
}

impl Log {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signer = SignerKey::from_seed("sum.example".parse().unwrap(), &[7; 32].into());
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let options = OpenOptions::new(Arc::new(MemoryStore::new()), &data, vec![signer], [1; 16]);
        let ledger = Ledger::open(options).unwrap();
        let vouching = Vouching {
            policy: Policy::default(),
            upstream: None,
            prefer: false,
            evidence: quipu_verify::EvidenceDir::new(dir.path()),
        };
        let admit = Admission::new(ledger.clone(), vouching).admit();
        Self { ledger, admit, _dir: dir }
    }

    /// Records these hashes, as a proof of another database does.
    async fn record(&self, module: &ModuleVersion, zip: H1, go_mod: H1) {
        let text = Record { module: module.clone(), zip, go_mod }.to_string();
        let key = format!("{} {} ", module.path(), module.version()).len();
        self.ledger.append(Entry::new(Bytes::from(text), key).unwrap()).await.unwrap();
    }
}

fn h1(content: &str) -> H1 {
    hash_go_mod(content.as_bytes())
}

fn module() -> ModuleVersion {
    "example.test/m@v1.0.0".parse().unwrap()
}

#[tokio::test]
async fn where_nobody_vouches_the_two_go_mods_must_agree() {
    let (log, module) = (Log::new(), module());
    let differing = Hashes { zip: h1("zip"), go_mod: h1("served"), go_mod_in_zip: h1("within") };
    log.admit.admit_go_mod(&module, differing.go_mod).await.unwrap();
    log.admit.expect_zip(&module).await.unwrap();
    let refusal = log.admit.admit_zip(&module, differing).await.unwrap_err();
    let Refusal::Refused { text, .. } = refusal else { panic!("{refusal:?}") };
    for part in ["example.test/m@v1.0.0: ", &h1("served").to_string(), &h1("within").to_string()] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(log.ledger.head().size(), 0, "nothing is logged");

    let agreeing = Hashes { go_mod_in_zip: differing.go_mod, ..differing };
    log.admit.admit_zip(&module, agreeing).await.unwrap();
    assert_eq!(log.ledger.head().size(), 1);
}

#[tokio::test]
async fn what_is_recorded_decides_alone() {
    let (log, module) = (Log::new(), module());
    log.record(&module, h1("zip"), h1("served")).await;
    let recorded = Hashes { zip: h1("zip"), go_mod: h1("served"), go_mod_in_zip: h1("within") };
    log.admit.admit_go_mod(&module, recorded.go_mod).await.unwrap();
    log.admit.admit_zip(&module, recorded).await.unwrap();
    for other in
        [Hashes { zip: h1("other"), ..recorded }, Hashes { go_mod: recorded.go_mod_in_zip, ..recorded }]
    {
        let refusal = log.admit.admit_zip(&module, other).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Refused { evidence, .. } if !evidence.is_empty()));
    }
    assert_eq!(log.ledger.head().size(), 1);
}

#[tokio::test]
async fn what_is_in_quarantine_or_asked_of_nobody_is_not_replaceable() {
    let (upstream, dir, log) = (server::Server::start().await, tempfile::tempdir().unwrap(), Log::new());
    let client = verify::Client::new(
        vec![upstream.vkey.clone()],
        Arc::new(upstream.reached()),
        Arc::new(verify::MemoryState::default()),
        verify::Limits::default(),
    );
    let client = client.unwrap();
    let vouching = Vouching { upstream: Some(client.clone()), ..Vouching::nobody(dir.path()) };
    let offering = Arc::new(Offering::everything());
    let admit = Admission::under(log.ledger.clone(), vouching, Arc::clone(&offering)).admit();
    let [held, other] = [1, 2].map(server::module);
    for version in [&held, &other] {
        assert!(!admit.is_replaceable(version), "nothing is known of it");
        admit.expect_zip(version).await.unwrap();
        assert!(admit.is_replaceable(version), "logged, with a proof");
    }
    let mut quarantine = Quarantine::default();
    quarantine.add(held.clone(), "INC-7", 0).unwrap();
    offering.set_quarantine(quarantine);
    assert!(!admit.is_replaceable(&held));
    assert!(admit.is_replaceable(&other));
    offering.set_quarantine(Quarantine::default());
    assert!(admit.is_replaceable(&held), "for as long as it is in quarantine");

    // What was proven once, and comes under GONOPROXY, GONOSUMDB or is published here since then, is not asked for any more.
    let (none, private) = (|| Patterns::new(""), || Patterns::new(held.path().as_str()));
    for (policy, rule) in [
        (Policy::new(private(), none()), "GONOPROXY"),
        (Policy::new(none(), private()), "GONOSUMDB"),
        (Policy::new(private(), private()), "GOPRIVATE"),
        (Policy::default().publishing(private()), "published"),
    ] {
        let vouching = Vouching { upstream: Some(client.clone()), policy, ..Vouching::nobody(dir.path()) };
        let admit = Admission::new(log.ledger.clone(), vouching).admit();
        assert!(!admit.is_replaceable(&held), "{rule}");
        assert!(admit.is_replaceable(&other), "{rule}");
    }
    let alone = Admission::new(log.ledger.clone(), Vouching::nobody(dir.path())).admit();
    assert!(!alone.is_replaceable(&other), "nobody has proven it");
}
