//! Addresses of repositories, as others write them.

use std::fmt;

use crate::client::{Authority, Url};

/// The address of a repository: `scheme://[user@]host[:port]/path`, printable ASCII without secrets.
///
/// The scheme is one that some version control system has for what lies elsewhere: `https`, `http`, `git`, `git+ssh`,
/// `ssh`, `svn`, `svn+ssh`, `bzr` or `bzr+ssh`. Host and user begin with a letter or digit, so that none is taken for an
/// option of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryUrl {
    text: String,
    scheme: &'static str,
}

/// The schemes, and whether they keep others from changing what is fetched.
const SCHEMES: [(&str, bool); 9] = [
    ("https", true),
    ("ssh", true),
    ("git+ssh", true),
    ("svn+ssh", true),
    ("bzr+ssh", true),
    ("http", false),
    ("git", false),
    ("svn", false),
    ("bzr", false),
];

/// Longest address, in bytes.
const MAX_LENGTH: usize = 2048;

impl RepositoryUrl {
    /// Checks an address.
    ///
    /// # Errors
    /// It is none of a kind that is spoken; the text says why without repeating it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_LENGTH || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("too long, or not of printable characters");
        }
        let (scheme, rest) = text.split_once("://").ok_or("no scheme")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "" => return Err("no scheme"),
            "file" => return Err("file scheme disallowed"),
            lower => SCHEMES.iter().find(|(name, _)| *name == lower).ok_or("unknown scheme")?.0,
        };
        let text = format!("{scheme}://{rest}");
        match scheme {
            "https" | "http" if rest.split('/').next().is_some_and(|authority| authority.contains('@')) => {
                Err("user information in a public address")
            }
            "https" | "http" => check_url(&text),
            _ => check_authority(rest),
        }?;
        Ok(Self { text, scheme })
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme, in lower case.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Whether nobody on the way can change what is fetched.
    pub fn is_secure(&self) -> bool {
        SCHEMES.contains(&(self.scheme, true))
    }

    /// The host and port, for schemes that this program itself speaks: `https` and `http`.
    pub fn authority(&self) -> Option<Authority> {
        Url::parse(&self.text).map(|url| url.authority().clone())
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An address of the web.
fn check_url(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).ok_or("malformed address")?;
    let host = url.authority().host();
    let is_ipv6 = host.contains(':');
    let good = is_ipv6 || host.starts_with(|c: char| c.is_ascii_alphanumeric());
    if good { Ok(()) } else { Err("malformed address") }
}

/// `[user@]host[:port]` in front of a path.
fn check_authority(rest: &str) -> Result<(), &'static str> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.split_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let (host, port) = host.split_once(':').map_or((host, "0"), |(host, port)| (host, port));
    let name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    let good = name(host) && user.is_none_or(name) && port.parse::<u16>().is_ok();
    if good && !path.contains(['?', '#', '\\', '@']) { Ok(()) } else { Err("malformed address") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_repositories() {
        for (text, secure) in [
            ("https://h.example/x/y.git", true),
            ("HTTPS://h.example", true),
            ("ssh://git@h.example:2222/x", true),
            ("git+ssh://h.example/~u/x", true),
            ("svn+ssh://h.example/x", true),
            ("http://127.0.0.1:8080/x", false),
            ("https://[::1]/x", true),
            ("git://h.example/x", false),
            ("svn://h.example/x", false),
        ] {
            assert_eq!(RepositoryUrl::parse(text).unwrap().is_secure(), secure, "{text}");
        }
        for (text, why) in [
            ("", "no scheme"),
            ("h.example/x", "no scheme"),
            ("git@h.example:x", "no scheme"),
            ("://x", "no scheme"),
            ("file:///x", "file scheme disallowed"),
            ("FILE:///x", "file scheme disallowed"),
            ("ext::sh -c x", "too long, or not of printable characters"),
            ("ext::sh://x", "unknown scheme"),
            ("-u://x", "unknown scheme"),
            ("https://u:p@h.example/x", "user information in a public address"),
            ("https:///x", "malformed address"),
            ("https://-u.example/x", "malformed address"),
            ("http://-", "malformed address"),
            ("https://h.example/x#y", "malformed address"),
            ("ssh://-oProxyCommand=x/y", "malformed address"),
            ("ssh://u:p@h.example/x", "malformed address"),
            ("ssh://-l@h.example/x", "malformed address"),
            ("ssh://h.example:port/x", "malformed address"),
        ] {
            assert_eq!(
                RepositoryUrl::parse(text).map_err(|why| why.to_owned()),
                Err(why.to_owned()),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn addresses_print_as_they_parse(text in "(https?|ssh|svn)://[!-~]{0,20}", any in ".*") {
            let _ = RepositoryUrl::parse(&any);
            if let Ok(url) = RepositoryUrl::parse(&text) {
                prop_assert_eq!(RepositoryUrl::parse(url.as_str()), Ok(url.clone()));
                prop_assert!(!url.as_str().contains("://-"));
            }
        }
    }
}
