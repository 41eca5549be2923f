//! Whose are the servers that go asks, and which module names are nobody else's business: judged by names alone.

use std::net::IpAddr;

use quipu_module::{Fallback, Patterns, ProxyList, ProxyTarget};

use super::project::Project;
use super::settings::Settings;
use super::text::{has_credentials, host_of, place_of};

/// Whose a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// The user's own organisation, as far as one can see.
    Own,
    /// Nobody can say.
    Unknown,
    /// The world's.
    Public,
}

/// A server that modules are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Scheme and host; the words `direct` and `off` stand for themselves.
    pub(crate) name: String,
    pub(crate) owner: Owner,
    pub(crate) host: Option<String>,
    pub(crate) is_http: bool,
    pub(crate) has_credentials: bool,
    pub(crate) direct: bool,
    /// Which failures of the place before lead here; none for the first.
    pub(crate) after: Option<Fallback>,
}

/// The places of GOPROXY in their order, without `off`.
pub(crate) fn places(settings: &Settings, project: &Project, netrc_hosts: &[String]) -> Vec<Place> {
    let judge = Judge { settings, kin: kin_domains(settings, project), netrc_hosts };
    match settings.proxies() {
        Ok(Some(list)) => judge.places(&list),
        // What go has built in: the world's mirror, then the repositories.
        Ok(None) => vec![
            Place { owner: Owner::Public, ..plain("the public module mirror", None) },
            Place { direct: true, ..plain("direct", Some(Fallback::OnNotFound)) },
        ],
        Err(_) => Vec::new(),
    }
}

struct Judge<'a> {
    settings: &'a Settings,
    kin: Vec<String>,
    netrc_hosts: &'a [String],
}

impl Judge<'_> {
    fn places(&self, list: &ProxyList) -> Vec<Place> {
        let mut after = None;
        let mut places = Vec::new();
        for entry in list.entries() {
            match &entry.target {
                ProxyTarget::Off => {}
                ProxyTarget::Direct => places.push(Place { direct: true, ..plain("direct", after) }),
                ProxyTarget::Url(url) => {
                    let text = url.as_str();
                    let (host, has_credentials) = (host_of(text), has_credentials(text));
                    let owner = self.owner(host.as_deref(), has_credentials);
                    let is_http = url.scheme() == "http";
                    places.push(Place {
                        owner,
                        host,
                        is_http,
                        has_credentials,
                        ..plain(&place_of(text), after)
                    });
                }
            }
            after = Some(entry.fallback);
        }
        places
    }

    /// Credentials for a server mean an account there, and built-in proxies are everybody's.
    fn owner(&self, host: Option<&str>, has_credentials: bool) -> Owner {
        let Some(host) = host else { return Owner::Own };
        if self.settings.built_in_proxies.iter().any(|public| public == host) {
            return Owner::Public;
        }
        let own = has_credentials
            || is_internal(host)
            || self.netrc_hosts.iter().any(|known| known == host)
            || self.kin.contains(&domain(host));
        if own { Owner::Own } else { Owner::Unknown }
    }
}

fn plain(name: &str, after: Option<Fallback>) -> Place {
    let name = name.to_owned();
    Place {
        name,
        owner: Owner::Own,
        host: None,
        is_http: false,
        has_credentials: false,
        direct: false,
        after,
    }
}

/// How private the name of a required module looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Privacy {
    /// The user said so, or its host cannot exist on the Internet.
    Private,
    /// It has the same owner as the project itself.
    Kin,
}

/// How private a required module looks; none if it does not. `known` are modules that the public database has records
/// of, so that their names are no secret.
pub(crate) fn privacy(
    path: &str,
    project: &Project,
    private: &Patterns,
    known: &[String],
) -> Option<Privacy> {
    if private.matches(path) || is_internal(path.split('/').next()?) {
        return Some(Privacy::Private);
    }
    let is_kin = project.mains.iter().any(|main| owner_prefix(main).is_some_and(|own| is_below(path, &own)));
    let is_known = known.iter().any(|module| module == path);
    (is_kin && !is_known).then_some(Privacy::Kin)
}

/// The beginning of a module path that belongs to one owner: the host, and on hosts that everybody uses the account.
pub(crate) fn owner_prefix(path: &str) -> Option<String> {
    let mut elements = path.split('/');
    let host = elements.next().filter(|host| host.contains('.'))?;
    if !SHARED_HOSTS.contains(&host) {
        return Some(host.to_owned());
    }
    elements.next().map(|account| format!("{host}/{account}"))
}

/// Whether a host name or address cannot be one of the public Internet.
pub(crate) fn is_internal(host: &str) -> bool {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return match ip {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        };
    }
    match host.rsplit_once('.') {
        None => true,
        Some((_, last)) => INTERNAL_DOMAINS.contains(&last.to_ascii_lowercase().as_str()),
    }
}

/// Whether this machine itself is meant.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The domains of the project and of a database of its own.
fn kin_domains(settings: &Settings, project: &Project) -> Vec<String> {
    let hosts = project.mains.iter().filter_map(|main| main.split('/').next());
    let hosts = hosts.filter(|host| host.contains('.') && !SHARED_HOSTS.contains(host));
    let mut domains: Vec<String> = hosts.map(domain).collect();
    if let Ok(Some(database)) = settings.database()
        && database.name() != PUBLIC_DATABASE
    {
        domains.extend(database.name().split('/').next().map(domain));
    }
    domains
}

/// The part of a host name that one registers: two labels, or three below such as `co.uk`.
fn domain(host: &str) -> String {
    let labels: Vec<&str> = host.rsplit('.').collect();
    let second_level =
        |label: &&str| ["co", "com", "org", "net", "ac", "gov", "edu", "ne", "or"].contains(label);
    let is_country = labels.first().is_some_and(|top| top.len() == 2);
    let count = if is_country && labels.get(1).is_some_and(second_level) { 3 } else { 2 };
    let mut own: Vec<&str> = labels.into_iter().take(count).collect();
    own.reverse();
    own.join(".")
}

/// The database that everybody's go command asks.
pub(crate) const PUBLIC_DATABASE: &str = "sum.golang.org";

/// Top-level domains that are not delegated, by RFC 2606, RFC 6761, RFC 6762, RFC 8375 or by custom.
const INTERNAL_DOMAINS: [&str; 15] = [
    "internal",
    "local",
    "localhost",
    "localdomain",
    "lan",
    "corp",
    "home",
    "intranet",
    "private",
    "test",
    "example",
    "invalid",
    "arpa",
    "onion",
    "intra",
];

/// Hosts on which many owners have modules, each below a first element of their own.
pub(crate) const SHARED_HOSTS: [&str; 10] = [
    "github.com",
    "gitlab.com",
    "bitbucket.org",
    "codeberg.org",
    "git.sr.ht",
    "gitee.com",
    "gopkg.in",
    "golang.org",
    "dev.azure.com",
    "launchpad.net",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn project(main: &str) -> Project {
        Project { mains: vec![main.to_owned()], ..Project::default() }
    }

    #[test]
    fn names_tell_what_is_internal() {
        for host in ["go", "git.corp", "a.b.internal", "10.0.0.7", "::1", "localhost", "X.LOCAL"] {
            assert!(is_internal(host), "{host}");
        }
        for host in ["github.com", "corp.example.com", "8.8.8.8", "2001:4860::1", "internal.dev"] {
            assert!(!is_internal(host), "{host}");
        }
    }

    #[test]
    fn modules_of_the_same_owner_look_private() {
        let of = |main: &str, path: &str| privacy(path, &project(main), &Patterns::default(), &[]);
        assert_eq!(of("github.com/acme/app", "github.com/acme/lib"), Some(Privacy::Kin));
        assert_eq!(of("github.com/acme/app", "github.com/acmeother/lib"), None);
        assert_eq!(of("git.acme.dev/app", "git.acme.dev/x/lib"), Some(Privacy::Kin));
        assert_eq!(of("app", "golang.org/x/text"), None);
        assert_eq!(of("app", "git.corp/x"), Some(Privacy::Private));
        let known = ["github.com/acme/lib".to_owned()];
        let acme = project("github.com/acme/app");
        assert_eq!(privacy("github.com/acme/lib", &acme, &Patterns::default(), &known), None);
        let said = Patterns::new("github.com/acme/*");
        assert_eq!(privacy("github.com/acme/lib", &acme, &said, &known), Some(Privacy::Private));
    }

    #[test]
    fn whose_a_proxy_is() {
        let owners = |proxies: &str, main: &str| -> Vec<Owner> {
            let settings = Settings::of(&[("GOPROXY", proxies)]);
            places(&settings, &project(main), &["art.vendor.io".to_owned()]).iter().map(|p| p.owner).collect()
        };
        use Owner::{Own, Public, Unknown};
        assert_eq!(owners("https://mirror.public,direct", "x.test/app"), [Public, Own]);
        assert_eq!(owners("https://go.acme.co.uk|https://a.co.uk", "git.acme.co.uk/app"), [Own, Unknown]);
        assert_eq!(owners("https://u@c.dev,http://10.0.0.1:80,file:///x", "app"), [Own, Own, Own]);
        assert_eq!(owners("https://art.vendor.io/go,https://o.vendor.io,off", "app"), [Own, Unknown]);
        assert_eq!(owners("", "app"), [Public, Own]);
    }
}
