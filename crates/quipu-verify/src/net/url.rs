//! The URL of a server: where it is, and what it may be told of who asks.

use std::fmt;

use ::http::{HeaderValue, Uri};
use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::exit::wrong_usage;

/// An `http` or `https` URL without query. Credentials in it are sent, and never shown.
#[derive(Clone)]
pub(crate) struct Url {
    /// Without credentials and without slash at the end.
    base: String,
    https: bool,
    authorization: Option<HeaderValue>,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// Wrong usage: it is none, or of another scheme.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let malformed = || wrong_usage(format!("{:?} is no http or https URL", without_password(text)));
        let (scheme, rest) = text.split_once("://").ok_or_else(malformed)?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(malformed()),
        };
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let base = format!("{}://{host}{}", if https { "https" } else { "http" }, path.trim_end_matches('/'));
        let uri: Uri = format!("{base}/").parse().map_err(|_| malformed())?;
        if host.is_empty() || uri.query().is_some() || text.contains('#') {
            return Err(malformed());
        }
        let authorization = user.map(|user| basic(user).ok_or_else(malformed)).transpose()?;
        Ok(Self { base, https, authorization })
    }

    /// The URL of a path below this one, which begins with a slash.
    pub(crate) fn at(&self, path: &str) -> Option<Uri> {
        let mut url = self.base.clone();
        for byte in path.bytes() {
            let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
            if plain { url.push(char::from(byte)) } else { url.push_str(&format!("%{byte:02X}")) }
        }
        url.parse().ok()
    }

    /// A path below this one as a URL of its own.
    pub(crate) fn join(&self, path: &str) -> Self {
        let base = format!("{}/{}", self.base, path.trim_matches('/'));
        Self { base, ..self.clone() }
    }

    /// Whether the connection is to be encrypted.
    pub(crate) const fn is_https(&self) -> bool {
        self.https
    }

    /// What is sent to this server, and to no other, to say who asks.
    pub(crate) const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

fn basic(user: &str) -> Option<HeaderValue> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let plain = [decode(name)?, b":".to_vec(), decode(password)?].concat();
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(plain))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}…{}", &text[..scheme + 3], &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_sent_and_not_shown() {
        let url = Url::parse("HTTPS://me:s%40crt@go.corp:8443/sumdb/x/").unwrap();
        assert_eq!(url.to_string(), "https://go.corp:8443/sumdb/x");
        assert_eq!(url.authorization().unwrap(), &format!("Basic {}", STANDARD.encode("me:s@crt")));
        assert!(!Url::parse("ftp://me:secret@go.corp").err().unwrap().to_string().contains("secret"));
    }

    #[test]
    fn paths_are_escaped() {
        let url = Url::parse("http://localhost:1/a").unwrap();
        let at = |path| url.at(path).unwrap().to_string();
        assert_eq!(
            at("/lookup/a.test/!b@v1.0.0+incompatible"),
            "http://localhost:1/a/lookup/a.test/!b@v1.0.0+incompatible"
        );
        assert_eq!(at("/x y%?#"), "http://localhost:1/a/x%20y%25%3F%23");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "go.corp",
            "http://",
            "http:///x",
            "https://a/?q",
            "https://a/#f",
            "file:///x",
            "http://a b/",
            "http://%zz@a/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
