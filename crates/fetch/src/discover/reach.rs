//! How far the word of others leads: whoever has a host can say that a module of theirs lives at any other.

use quipu_module::{ModulePath, Patterns};

use crate::client::{Authority, Client};

/// The clients for what paths and pages lead to. What the operator allows for the hosts that are named to `client` counts
/// only for the modules of which the settings speak, and for a host whose own paths lead there; all else is asked as any
/// host on the public internet.
pub(crate) struct Reach {
    client: Client,
    public: Client,
    trusted: Patterns,
}

impl Reach {
    pub(super) fn new(client: Client, trusted: Patterns) -> Self {
        Self { public: client.without_named(), client, trusted }
    }

    /// Whether what the operator allows for `host` counts for `path`, which led there.
    pub(crate) fn trusts(&self, path: &ModulePath, host: Option<&str>) -> bool {
        let own = path.as_str().split('/').next().unwrap_or_default();
        self.trusted.matches(path) || host.is_some_and(|host| host.eq_ignore_ascii_case(own))
    }

    /// By which that is asked to which `path` led.
    pub(crate) fn client(&self, is_trusted: bool) -> &Client {
        if is_trusted { &self.client } else { &self.public }
    }

    /// By which a page is asked for at the host that its path begins with. Where that one is not named itself, it does not
    /// redirect to one that is.
    pub(super) fn client_of_page(&self, is_trusted: bool, own: &Authority) -> &Client {
        self.client(is_trusted || self.client.names(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{ClientOptions, Named, Url};

    fn authority(host: &str) -> Authority {
        Url::parse(&format!("https://{host}/")).unwrap().authority().clone()
    }

    #[test]
    fn what_the_operator_named_counts_for_whom_the_settings_speak_of() {
        let mut named = Named::default();
        named.insert(authority("forge.corp.example"));
        let client = Client::new(ClientOptions { named, ..ClientOptions::default() }).unwrap();
        let reach = Reach::new(client, Patterns::new("lib.corp.example"));
        for (path, host, trusted) in [
            ("lib.corp.example/x", "forge.corp.example", true),
            ("forge.corp.example/x", "Forge.corp.example", true),
            ("evil.example/x", "forge.corp.example", false),
            ("evil.example/forge.corp.example", "forge.corp.example", false),
            ("evil.example/x", "evil.example", true),
        ] {
            let path = ModulePath::parse(path).unwrap();
            assert_eq!(reach.trusts(&path, Some(host)), trusted, "{path} {host}");
        }
        assert!(reach.trusts(&ModulePath::parse("lib.corp.example/x").unwrap(), None));
        assert!(!reach.trusts(&ModulePath::parse("evil.example/x").unwrap(), None));
        // Whether a page may redirect to the forge.
        for (host, trusted, may) in [
            ("evil.example", false, false),
            ("lib.corp.example", true, true),
            ("forge.corp.example", false, true),
        ] {
            let client = reach.client_of_page(trusted, &authority(host));
            assert_eq!(client.names(&authority("forge.corp.example")), may, "{host}");
        }
    }
}
