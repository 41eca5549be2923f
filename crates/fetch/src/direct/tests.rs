//! Faults on the way to a repository, told from faults of one.

use super::*;
use crate::client::{ClientOptions, Named, Url};
use crate::discover::DiscoveryRules;

/// Finds repositories by asking hosts none of which is reached: nobody listens for https on this machine.
fn direct() -> Direct {
    let mut named = Named::default();
    named.insert(Url::parse("https://127.0.0.1").unwrap().authority().clone());
    let client = Client::new(ClientOptions { named, ..ClientOptions::default() }).unwrap();
    let rules = DiscoveryRules { within: Patterns::new("*"), ..DiscoveryRules::default() };
    Direct::new(DirectParts {
        map: RepositoryMap::default(),
        discovery: Arc::new(Discovery::new(client.clone(), rules)),
        insecure: Patterns::default(),
        git: Vec::new(),
        trusted: Patterns::default(),
        strangers: None,
        client,
        command: None,
    })
}

#[tokio::test]
async fn a_path_is_unlocated_until_it_has_led_to_a_repository() {
    let (direct, path) = (direct(), ModulePath::parse("127.0.0.1/team/m").unwrap());
    let fault = direct.list(&path).await.unwrap_err();
    assert!(fault.is_unlocated() && fault.kind().is_transient(), "{fault}");
    direct.known.note(&path, "https://127.0.0.1/r");
    let fault = direct.list(&path).await.unwrap_err();
    assert!(!fault.is_unlocated() && fault.kind().is_transient(), "{fault}");

    let github = direct.list(&ModulePath::parse("github.com/a/b").unwrap()).await.unwrap_err();
    assert!(!github.is_unlocated(), "{github}");
}
