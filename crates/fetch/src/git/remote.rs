//! The address of a repository, and what git needs to be let there: a judged address and credentials.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::settings::Access;
use crate::client::{Authority, Credentials, Named, Scheme, Url, forbidden_host, vet_named_host};
use crate::error::{Error, ErrorKind, Result};

/// Longest address, in bytes.
const MAX_ADDRESS: usize = 2048;

/// Where a repository is. Prints as the address that git is given, which never holds credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    address: Arc<str>,
    place: Place,
    insecure: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Http(Authority),
    Ssh { host: Arc<str>, port: u16 },
    Directory,
}

impl Remote {
    /// Parses an address from anywhere: `https://`, `http://`, or `ssh://[user@]host[:port]/path` (also as
    /// `git+ssh`). Whether it may be
    /// spoken to is asked later, of [`GitAccess`].
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] for every other scheme (`ext::`, `file://`, `git://`, …), an address with credentials, a
    /// query or a fragment, or anything malformed.
    pub fn parse(text: &str) -> Result<Self> {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        if text.len() > MAX_ADDRESS || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::rejected("the address of the repository is too long, or not printable ASCII"));
        }
        let parsed = match scheme {
            "https" | "http" => parse_http(text),
            "ssh" => parse_ssh(text.strip_prefix("ssh://")),
            "git+ssh" => parse_ssh(text.strip_prefix("git+ssh://")),
            _ => return Err(Error::rejected("repositories are read over https, http and ssh only")),
        };
        let malformed = "the address of the repository is malformed, or holds credentials or a query";
        parsed.ok_or_else(|| Error::rejected(malformed))
    }

    /// The repository in a directory of this machine: for tests, and for what the operator names. Never make one from
    /// what a request or an answer says.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] for a path that is not absolute or not UTF-8.
    pub fn directory(path: &Path) -> Result<Self> {
        let text = path.to_str().filter(|_| path.is_absolute());
        let text =
            text.ok_or_else(|| Error::rejected("a local repository needs an absolute path in UTF-8"))?;
        Ok(Self { address: format!("file://{text}").into(), place: Place::Directory, insecure: false })
    }

    /// The same for a module whose path matches GOINSECURE: plain http is spoken to it, and certificates are not checked.
    #[must_use]
    pub fn insecure(self) -> Self {
        Self { insecure: true, ..self }
    }

    /// Scheme, host and port, if it is reached over HTTP.
    pub fn authority(&self) -> Option<&Authority> {
        match &self.place {
            Place::Http(authority) => Some(authority),
            Place::Ssh { .. } | Place::Directory => None,
        }
    }

    /// The host; `None` for a directory.
    pub(crate) fn host(&self) -> Option<&str> {
        match &self.place {
            Place::Http(authority) => Some(authority.host()),
            Place::Ssh { host, .. } => Some(host),
            Place::Directory => None,
        }
    }

    /// What tells it from all others: the address, and whether certificates were checked.
    pub(super) fn key(&self) -> String {
        format!("{}{}", if self.insecure { "insecure " } else { "" }, self.address)
    }

    /// Host and path for the record of what left this machine.
    pub(super) fn for_record(&self) -> (String, String) {
        let after_scheme = self.address.find("://").map_or(0, |at| at.saturating_add(3));
        let slash = self.address.get(after_scheme..).and_then(|rest| rest.find('/'));
        let (host, path) = self.address.split_at(after_scheme.saturating_add(slash.unwrap_or(0)));
        (host.to_owned(), path.to_owned())
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// How to log in to one ssh host that the operator named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAccess {
    /// The host, in lower case, exactly as addresses name it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The file of the private key, without a passphrase.
    pub key: PathBuf,
    /// The file of the known keys of hosts. Nobody is spoken to whose key is not in it.
    pub known_hosts: PathBuf,
}

/// To whom git may talk, and with which credentials.
#[derive(Clone, Debug, Default)]
pub struct GitAccess {
    /// The authorities that the operator named. All others must be on the public internet and speak `https` on port 443.
    pub named: Named,
    /// Each goes to the one scheme, host and port that it is for.
    pub credentials: Vec<Credentials>,
    /// The hosts that ssh is spoken to; none by default.
    pub ssh: Vec<SshAccess>,
    /// A file of certificates in PEM to trust instead of those of the system, such as [`roots_as_pem`](crate::roots_as_pem)
    /// makes.
    pub ca_file: Option<PathBuf>,
    /// Whether repositories in directories of this machine may be read.
    pub directories: bool,
}

impl GitAccess {
    /// Whether `remote` may be spoken to as far as can be told without resolving its name.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] saying why not.
    pub fn check(&self, remote: &Remote) -> Result<()> {
        let refused = |text| Err(Error::new(ErrorKind::Rejected, text));
        match &remote.place {
            Place::Http(authority) if self.named.contains(authority) => Ok(()),
            Place::Http(authority) => match (authority.scheme(), authority.port()) {
                (Scheme::Https, 443) => Ok(()),
                (Scheme::Http, 80) if remote.insecure => Ok(()),
                (Scheme::Http, _) if !remote.insecure => {
                    refused("the repository is at an http address, which GOINSECURE does not allow")
                }
                _ => Err(forbidden_host()),
            },
            Place::Ssh { .. } if self.login(remote).is_some() => Ok(()),
            Place::Ssh { .. } => {
                refused("the repository is at an ssh address of a host that ssh is not set up for")
            }
            Place::Directory if self.directories => Ok(()),
            Place::Directory => refused("repositories in local directories are not read"),
        }
    }

    /// Judges where `remote` is, and opens the way there for one run of git.
    ///
    /// # Errors
    /// As [`GitAccess::check`]; its name does not resolve, or to where git must not go.
    pub(super) async fn open(&self, remote: &Remote) -> Result<Access> {
        self.check(remote)?;
        let address = remote.to_string();
        match &remote.place {
            Place::Http(authority) => {
                let addresses = self.named.vet(authority).await?;
                let settings = self.http_settings(remote, authority, &addresses);
                let stranger = self.named.stranger(authority).map(str::to_owned);
                Ok(Access { protocol: authority.scheme().as_str(), address, settings, ssh: None, stranger })
            }
            Place::Ssh { host, port } => {
                let addresses = vet_named_host(host, *port).await?;
                let command = self.login(remote).zip(addresses.first());
                let command = command.and_then(|(login, ip)| ssh_command(login, *ip));
                let ssh = command.ok_or_else(|| Error::unavailable("ssh is not set up properly"))?;
                Ok(Access { ssh: Some(ssh), ..Access::plain("ssh", address) })
            }
            Place::Directory => Ok(Access::plain("file", address)),
        }
    }

    fn http_settings(
        &self,
        remote: &Remote,
        authority: &Authority,
        addresses: &[IpAddr],
    ) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        if authority.host().parse::<IpAddr>().is_err() {
            settings.push(("http.curloptResolve".to_owned(), pin(authority, addresses)));
        }
        if remote.insecure {
            settings.push(("http.sslVerify".to_owned(), "false".to_owned()));
        }
        if let Some(file) = self.ca_file.as_ref().and_then(|file| file.to_str()) {
            settings.push(("http.sslCAInfo".to_owned(), file.to_owned()));
        }
        let header = self.credentials.iter().find_map(|credentials| credentials.for_authority(authority));
        if let Some(header) = header.and_then(|header| header.to_str().ok()) {
            // git compares scheme, host and port exactly, the port also when it is left out.
            settings.push((format!("http.{authority}/.extraHeader"), format!("Authorization: {header}")));
        }
        settings
    }

    fn login(&self, remote: &Remote) -> Option<&SshAccess> {
        let Place::Ssh { host, port } = &remote.place else { return None };
        self.ssh.iter().find(|login| *login.host == **host && login.port == *port)
    }
}

/// `host:port:address,…` as curl takes it.
fn pin(authority: &Authority, addresses: &[IpAddr]) -> String {
    let bracketed = |ip: &IpAddr| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    let addresses: Vec<_> = addresses.iter().map(bracketed).collect();
    format!("{}:{}:{}", authority.host(), authority.port(), addresses.join(","))
}

/// The command line for one host, for a shell. Nothing in it comes from an address but the judged IP.
///
/// `None` if a file name cannot be written in it.
fn ssh_command(login: &SshAccess, ip: IpAddr) -> Option<String> {
    let key = quote(login.key.to_str()?)?;
    let known_hosts = quote(login.known_hosts.to_str()?)?;
    // As ssh looks hosts up in the file of known keys.
    let alias =
        if login.port == 22 { login.host.clone() } else { format!("[{}]:{}", login.host, login.port) };
    let alias = quote(&alias)?;
    Some(format!(
        "ssh -F none -oBatchMode=yes -oStrictHostKeyChecking=yes -oUserKnownHostsFile={known_hosts} \
         -oGlobalKnownHostsFile=/dev/null -oHostName={ip} -oHostKeyAlias={alias} -oCheckHostIP=no \
         -oProxyCommand=none -oPermitLocalCommand=no -oClearAllForwardings=yes -oForwardAgent=no \
         -oIdentityAgent=none -oIdentitiesOnly=yes -oPasswordAuthentication=no -oControlPath=none \
         -oConnectTimeout=10 -i {key}"
    ))
}

/// One word of a shell. Characters that ssh itself would expand or cut at are refused.
fn quote(text: &str) -> Option<String> {
    let plain =
        |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '\'' | '"' | '%' | '\\' | '$' | '~');
    text.chars().all(plain).then(|| format!("'{text}'"))
}

fn parse_http(text: &str) -> Option<Remote> {
    let url = Url::parse(text)?;
    let path = url.path_and_query();
    if path.contains('?') || !is_plain_host(url.authority().host()) {
        return None;
    }
    let place = Place::Http(url.authority().clone());
    Some(Remote { address: url.to_string().into(), place, insecure: false })
}

/// `rest`: what stands after the scheme.
fn parse_ssh(rest: Option<&str>) -> Option<Remote> {
    let rest = rest?;
    let (login, path) = rest.split_at(rest.find('/')?);
    let (user, place) = login.split_once('@').map_or((None, login), |(user, place)| (Some(user), place));
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, port.parse::<u16>().ok().filter(|port| *port != 0)?),
        None => (place, 22),
    };
    let host = host.to_ascii_lowercase();
    let fine_user = user.is_none_or(|user| is_word(user, b"._-"));
    if !fine_user || !is_plain_host(&host) || host.contains(':') || path.contains(['?', '#']) {
        return None;
    }
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let shown_port = if port == 22 { String::new() } else { format!(":{port}") };
    let address = format!("ssh://{user}{host}{shown_port}{path}").into();
    Some(Remote { address, place: Place::Ssh { host: host.into(), port }, insecure: false })
}

/// Whether `host` is a name or an IP address and nothing that any program could take for more.
fn is_plain_host(host: &str) -> bool {
    is_word(host, b".-_:")
}

/// Letters, digits and `others`, not empty, and beginning with a letter or a digit (or the colon of an IPv6 address).
fn is_word(text: &str, others: &[u8]) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':');
    starts_well && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(text: &str) -> GitAccess {
        let mut named = Named::default();
        named.insert(Url::parse(text).unwrap().authority().clone());
        GitAccess { named, ..GitAccess::default() }
    }

    #[test]
    fn addresses_parse_and_print() {
        for (text, printed) in [
            ("https://Git.Example:443/a/B.git", "https://git.example/a/B.git"),
            ("http://127.0.0.1:8080/r", "http://127.0.0.1:8080/r"),
            ("https://[::1]:8443/r", "https://[::1]:8443/r"),
            ("ssh://git@Git.Example/a/b", "ssh://git@git.example/a/b"),
            ("ssh://git.example:2222/~a/b", "ssh://git.example:2222/~a/b"),
            ("ssh://git@git.example:22/a", "ssh://git@git.example/a"),
            ("git+ssh://git@git.example/a", "ssh://git@git.example/a"),
        ] {
            assert_eq!(Remote::parse(text).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn other_transports_and_options_are_refused() {
        for bad in [
            "",
            "ext::sh -c id",
            "ext::https://a.example/r",
            "file:///etc",
            "/etc",
            "fd::17",
            "git://a.example/r",
            "git@a.example:r",
            "ftp://a.example/r",
            "HTTPS://a.example/r",
            "-oProxyCommand=id",
            "--upload-pack=id",
            "https://-x.example/r",
            "https://user:password@a.example/r",
            "https://token@a.example/r",
            "https://a.example/r?x=y",
            "https://a.example/r#x",
            "https://a.example/r\n",
            "https://a b/r",
            "https://a,b/r",
            "ssh://-oProxyCommand=id/r",
            "ssh://-l@a.example/r",
            "ssh://git:password@a.example/r",
            "ssh://git@a.example:-1/r",
            "ssh://git@a.example:0/r",
            "ssh://git@a.example",
            "ssh://git@a@b.example/r",
            "ssh://git@[::1]/r",
            &format!("https://a.example/{}", "r".repeat(MAX_ADDRESS)),
        ] {
            let error = Remote::parse(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Rejected, "{bad}");
            assert!(!error.text().contains("example"), "{bad}");
        }
    }

    #[tokio::test]
    async fn only_named_hosts_may_be_private_or_plain() {
        let nobody = GitAccess::default();
        for refused in [
            "http://git.example/r",
            "https://git.example:8443/r",
            "https://127.0.0.1/r",
            "https://[::1]/r",
            "https://169.254.169.254/r",
            "https://10.1.1.1/r",
            "ssh://git@git.example/r",
        ] {
            let error = nobody.open(&Remote::parse(refused).unwrap()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Rejected, "{refused}");
        }
        let private = Remote::parse("http://127.0.0.1:8080/r").unwrap();
        let operator = named("http://127.0.0.1:8080");
        assert_eq!(operator.open(&private).await.unwrap().protocol, "http");
        for other in ["http://127.0.0.1:8081/r", "https://127.0.0.1:8080/r", "http://127.0.0.2:8080/r"] {
            assert!(operator.open(&Remote::parse(other).unwrap()).await.is_err(), "{other}");
        }
        let metadata = named("http://169.254.169.254");
        assert!(metadata.open(&Remote::parse("http://169.254.169.254/r").unwrap()).await.is_err());
        let insecure = Remote::parse("http://8.8.8.8/r").unwrap();
        assert!(nobody.open(&insecure).await.is_err());
        let opened = nobody.open(&insecure.insecure()).await.unwrap();
        assert!(opened.settings.contains(&("http.sslVerify".to_owned(), "false".to_owned())));
        assert!(nobody.open(&Remote::parse("http://10.0.0.1/r").unwrap().insecure()).await.is_err());
        assert!(nobody.open(&Remote::directory(Path::new("/srv/git/r")).unwrap()).await.is_err());
    }

    #[tokio::test]
    async fn the_judged_address_is_pinned() {
        let access = named("https://localhost:8443");
        let remote = Remote::parse("https://localhost:8443/r").unwrap();
        let opened = access.open(&remote).await.unwrap();
        let pinned = opened.settings.iter().find(|(key, _)| key == "http.curloptResolve").unwrap();
        assert!(pinned.1.starts_with("localhost:8443:"), "{}", pinned.1);
        assert!(pinned.1.contains("127.0.0.1") || pinned.1.contains("[::1]"), "{}", pinned.1);
    }

    #[test]
    fn credentials_are_bound_to_one_authority() {
        let url = Url::parse("https://git.example:8443/").unwrap();
        let credentials = vec![Credentials::basic(url.authority(), "u:secret").unwrap()];
        let access = GitAccess { credentials, ..named("https://git.example:8443") };
        let settings = |text: &str| {
            let remote = Remote::parse(text).unwrap();
            access.http_settings(&remote, remote.authority().unwrap(), &[])
        };
        let header = (
            "http.https://git.example:8443/.extraHeader".to_owned(),
            "Authorization: Basic dTpzZWNyZXQ=".to_owned(),
        );
        assert!(settings("https://git.example:8443/r").contains(&header));
        for other in ["https://git.example/r", "https://x.git.example:8443/r", "http://git.example:8443/r"] {
            assert!(!settings(other).iter().any(|(key, _)| key.contains("extraHeader")), "{other}");
        }
        assert!(!format!("{access:?}").contains("dTpz"));
    }

    #[tokio::test]
    async fn ssh_has_fixed_options() {
        let login = SshAccess {
            host: "127.0.0.1".to_owned(),
            port: 2222,
            key: "/etc/quipu/key".into(),
            known_hosts: "/etc/quipu/known_hosts".into(),
        };
        let access = GitAccess { ssh: vec![login.clone()], ..GitAccess::default() };
        let opened = access.open(&Remote::parse("ssh://git@127.0.0.1:2222/r").unwrap()).await.unwrap();
        let command = opened.ssh.unwrap();
        for option in [
            "-F none",
            "-oBatchMode=yes",
            "-oStrictHostKeyChecking=yes",
            "-oUserKnownHostsFile='/etc/quipu/known_hosts'",
            "-oHostName=127.0.0.1",
            "-oHostKeyAlias='[127.0.0.1]:2222'",
            "-oProxyCommand=none",
            "-oPermitLocalCommand=no",
            "-oIdentitiesOnly=yes",
            "-i '/etc/quipu/key'",
        ] {
            assert!(command.contains(option), "{option}");
        }
        assert!(access.check(&Remote::parse("ssh://git@127.0.0.1/r").unwrap()).is_err());
        let bad = SshAccess { key: "/etc/it's".into(), ..login };
        assert_eq!(ssh_command(&bad, IpAddr::from([127, 0, 0, 1])), None);
    }

    #[test]
    fn records_have_host_and_path() {
        for (text, host, path) in [
            ("https://git.example/a/b", "https://git.example", "/a/b"),
            ("ssh://git@git.example/a", "ssh://git@git.example", "/a"),
        ] {
            assert_eq!(Remote::parse(text).unwrap().for_record(), (host.to_owned(), path.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_and_parses_again(text in "(https?|ssh)://[a-zA-Z0-9@:.\\[\\]-]{0,20}/[!-~]{0,20}") {
            if let Ok(remote) = Remote::parse(&text) {
                prop_assert!(!remote.to_string().starts_with('-'));
                prop_assert_eq!(Remote::parse(&remote.to_string()).unwrap(), remote);
            }
        }
    }
}
