//! Faults on the way to a repository, told from faults of one.

use quipu_module::Govcs;

use super::*;
use crate::client::{Client, ClientOptions, Named, Url};
use crate::discover::DiscoveryRules;

/// Finds repositories by asking hosts none of which is reached: nobody listens for https on this machine.
fn direct() -> Direct {
    with(RepositoryMap::default(), Govcs::default())
}

fn with(map: RepositoryMap, govcs: Govcs) -> Direct {
    let mut named = Named::default();
    named.insert(Url::parse("https://127.0.0.1").unwrap().authority().clone());
    let client = Client::new(ClientOptions { named, ..ClientOptions::default() }).unwrap();
    let rules = DiscoveryRules { within: Patterns::new("*"), govcs, ..DiscoveryRules::default() };
    Direct::new(DirectParts {
        map,
        discovery: Arc::new(Discovery::new(client, rules)),
        insecure: Patterns::default(),
        git: Vec::new(),
        strangers: None,
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

#[tokio::test]
async fn what_may_not_be_read_is_not_reached_though_it_is_named() {
    let mut map = RepositoryMap::default();
    for (root, url) in [
        ("one.example/*", "https://127.0.0.1/$1"),
        ("two.example/*/*", "https://127.0.0.1/$1/$2"),
        ("two.example/*", "https://127.0.0.1/$1"),
    ] {
        map.add(root, url).unwrap();
    }
    let off = with(map, Govcs::parse("one.example/closed:off,two.example:hg").unwrap());
    for (path, root) in
        [("one.example/closed/sub", "one.example/closed"), ("two.example/team/lib", "two.example/team/lib")]
    {
        let refused = off.list(&ModulePath::parse(path).unwrap()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Forbidden, "{refused}");
        let why = format!("{path}\": GOVCS disallows using git for public {root}; see 'go help vcs'");
        assert!(refused.text().contains(&why), "{refused}");
    }
    let open = off.whereabouts(&ModulePath::parse("one.example/open").unwrap()).await.unwrap();
    assert_eq!((open.url.as_str(), open.is_named), ("https://127.0.0.1/open", true));
}
