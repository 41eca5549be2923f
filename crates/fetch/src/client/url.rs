//! Addresses of what is fetched: absolute `http` and `https` URLs, and the credentials that may go with them.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;

/// The two schemes that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Where a request goes: scheme, host and port. Credentials and trust belong to one of these, never to a host alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    scheme: Scheme,
    host: Arc<str>,
    port: u16,
}

impl Authority {
    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also when the URL left it out.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is `localhost` or a loopback address literal.
    pub fn is_loopback(&self) -> bool {
        let literal = self.host.parse::<std::net::IpAddr>().map(|ip| ip.is_loopback());
        &*self.host == "localhost" || literal.unwrap_or(false)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.as_str())?;
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// An absolute URL without user info and without fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    authority: Authority,
    /// Begins with a slash; printable ASCII.
    path_and_query: Arc<str>,
}

impl Url {
    /// Parses an absolute URL. Returns `None` for another scheme, user info, a fragment or anything malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = match uri.scheme_str()? {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let authority = uri.authority()?;
        // Brackets stand around the whole of an IPv6 address and nowhere else.
        let host = match authority.host().strip_prefix('[') {
            Some(address) => address.strip_suffix(']')?,
            None => authority.host(),
        };
        let host = host.to_ascii_lowercase();
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" => scheme.default_port(),
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        if host.is_empty() || host.contains(['[', ']']) || text.contains('#') || !is_printable(text) {
            return None;
        }
        let path_and_query = match uri.path_and_query()?.as_str() {
            path if path.starts_with('/') => path.into(),
            path => format!("/{path}").into(),
        };
        Some(Self { authority: Authority { scheme, host: host.into(), port }, path_and_query })
    }

    /// This URL with `path` (already percent-encoded) added after its own path; both without a slash at the seam.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let base = self.path_and_query.trim_end_matches('/');
        let path_and_query = format!("{base}/{path}").into();
        Self { authority: self.authority.clone(), path_and_query }
    }

    /// Resolves the `Location` of a redirect as RFC 3986 section 5.2 does, short of dot segments.
    pub fn resolve(&self, location: &str) -> Option<Self> {
        let location = location.split('#').next().unwrap_or_default();
        if location.contains("://") && !location.starts_with('/') {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{}:{location}", self.authority.scheme.as_str()));
        }
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        let directory = path.rfind('/').map_or("/", |slash| path.get(..=slash).unwrap_or("/"));
        let target = match location.bytes().next()? {
            b'/' => location.to_owned(),
            b'?' => format!("{path}{location}"),
            _ => format!("{directory}{location}"),
        };
        Self::parse(&format!("{}{target}", self.authority))
    }

    /// Scheme, host and port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Path and query as they go on the wire.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// The same as the type that the HTTP library takes. `None` cannot happen for what [`Url::parse`] and
    /// [`Url::join`] of an encoded path made.
    pub(crate) fn to_uri(&self) -> Option<Uri> {
        self.to_string().parse().ok()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.authority, self.path_and_query)
    }
}

/// A user name and password, or a token, for the one authority that they were given for. Never printed.
#[derive(Clone)]
pub struct Credentials {
    authority: Authority,
    header: http::HeaderValue,
}

impl Credentials {
    /// Basic credentials from the percent-encoded `user[:password]` of a URL.
    ///
    /// Returns `None` where they would cross a network in clear text (neither `https` nor a loopback host) or are
    /// not properly encoded.
    pub fn basic(authority: &Authority, userinfo: &str) -> Option<Self> {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        Self::login(authority, &decode_percent(user)?, &decode_percent(password)?)
    }

    /// Basic credentials of a user name and a password (or token) as they are.
    ///
    /// Returns `None` where they would cross a network in clear text: neither `https` nor a loopback host.
    pub fn login(authority: &Authority, user: &[u8], password: &[u8]) -> Option<Self> {
        let pair = [user, b":", password].concat();
        Self::of(authority, &format!("Basic {}", STANDARD.encode(pair)))
    }

    /// A token as `Bearer` (RFC 6750).
    ///
    /// Returns `None` for a token that is not printable, or that would cross a network in clear text: neither `https` nor
    /// a loopback host.
    pub fn bearer(authority: &Authority, token: &str) -> Option<Self> {
        is_printable(token).then(|| Self::of(authority, &format!("Bearer {token}")))?
    }

    fn of(authority: &Authority, value: &str) -> Option<Self> {
        if authority.scheme != Scheme::Https && !authority.is_loopback() {
            return None;
        }
        let mut header = http::HeaderValue::try_from(value).ok()?;
        header.set_sensitive(true);
        Some(Self { authority: authority.clone(), header })
    }

    /// The header value for a request to `authority`, if these credentials are for it.
    pub(crate) fn for_authority(&self, authority: &Authority) -> Option<&http::HeaderValue> {
        (self.authority == *authority).then_some(&self.header)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials(for {})", self.authority)
    }
}

/// Percent-encodes one path element: everything but letters, digits and what module paths, versions and their
/// escapes are made of. In particular `%`, `/`, `?`, `#` and space never stay literal.
fn encode_element(element: &str) -> String {
    let mut encoded = String::with_capacity(element.len());
    for byte in element.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!+@,$&=".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// [`encode_element`] for each element of a slash-separated path.
pub(crate) fn encode_path(path: &str) -> String {
    path.split('/').map(encode_element).collect::<Vec<_>>().join("/")
}

/// Decodes `%XX`; `None` for a broken escape.
pub(crate) fn decode_percent(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (hex_digit(bytes.next()?)? << 4) | hex_digit(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn urls_print_as_they_parse(text in "https?://[a-z0-9.:\\[\\]@-]{0,20}[!-~]{0,20}", location in ".{0,40}") {
            if let Some(url) = Url::parse(&text) {
                prop_assert_eq!(Url::parse(&url.to_string()), Some(url.clone()));
                prop_assert!(url.to_uri().is_some());
                if let Some(target) = url.resolve(&location) {
                    prop_assert_eq!(Url::parse(&target.to_string()), Some(target));
                }
            }
        }

        #[test]
        fn encoded_elements_decode_and_stay_one_element(element in ".{0,40}") {
            let encoded = encode_element(&element);
            prop_assert!(!encoded.contains(['/', '?', '#', ' ']));
            prop_assert_eq!(decode_percent(&encoded), Some(element.into_bytes()));
            let joined = Url::parse("https://a.example/base").unwrap().join(&encoded);
            prop_assert_eq!(Url::parse(&joined.to_string()), Some(joined));
        }
    }

    #[test]
    fn urls_parse_and_format() {
        for (text, formatted) in [
            ("https://Proxy.Example", "https://proxy.example/"),
            ("https://proxy.example:443/a/b/", "https://proxy.example/a/b/"),
            ("http://127.0.0.1:8081/x?y=z", "http://127.0.0.1:8081/x?y=z"),
            ("http://[::1]:8081/", "http://[::1]:8081/"),
        ] {
            assert_eq!(Url::parse(text).map(|url| url.to_string()).as_deref(), Some(formatted));
        }
        for bad in [
            "",
            "proxy.example",
            "ftp://a/b",
            "https://u:p@a/b",
            "https://a/b#c",
            "https:///b",
            "https://a:x/",
            "https://a/\u{e9}",
        ] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn joined_paths_have_one_slash() {
        let url = |text| Url::parse(text).unwrap();
        assert_eq!(url("https://a").join("m/@v/list").to_string(), "https://a/m/@v/list");
        assert_eq!(url("https://a/go/").join("m/@v/list").to_string(), "https://a/go/m/@v/list");
    }

    #[test]
    fn redirects_resolve() {
        let base = Url::parse("https://a.example/x/y?q=1").unwrap();
        for (location, target) in [
            ("https://b.example/z", Some("https://b.example/z")),
            ("//b.example/z", Some("https://b.example/z")),
            ("/z?w#frag", Some("https://a.example/z?w")),
            ("z", Some("https://a.example/x/z")),
            ("?w", Some("https://a.example/x/y?w")),
            ("/z?u=http://other", Some("https://a.example/z?u=http://other")),
            ("", None),
            ("file:///etc/passwd", None),
            ("https://user:pass@b.example/z", None),
        ] {
            assert_eq!(base.resolve(location).map(|url| url.to_string()).as_deref(), target, "{location}");
        }
    }

    #[test]
    fn credentials_stay_with_their_authority_and_off_the_wire() {
        let url = |text: &str| Url::parse(text).unwrap().authority().clone();
        let credentials = Credentials::basic(&url("https://a.example"), "us%65r:p%40ss").unwrap();
        let header = credentials.for_authority(&url("https://a.example/other")).unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic dXNlcjpwQHNz");
        for other in ["http://a.example", "https://a.example:8443", "https://b.a.example"] {
            assert!(credentials.for_authority(&url(other)).is_none(), "{other}");
        }
        assert!(!format!("{credentials:?}{header:?}").contains("dXNl"));
        assert!(Credentials::basic(&url("http://a.example"), "u:p").is_none());
        assert!(Credentials::basic(&url("http://127.0.0.1:80"), "u:p").is_some());
        assert!(Credentials::basic(&url("https://a.example"), "u%zz").is_none());
        let bearer = Credentials::bearer(&url("https://a.example"), "abc").unwrap();
        assert_eq!(bearer.for_authority(&url("https://a.example")).unwrap(), "Bearer abc");
        assert!(Credentials::bearer(&url("http://a.example"), "abc").is_none());
        assert!(Credentials::bearer(&url("https://a.example"), "a\r\nb").is_none());
    }

    #[test]
    fn elements_are_encoded() {
        assert_eq!(encode_element("a b%2f?#é!x+1"), "a%20b%252f%3F%23%C3%A9!x+1");
        assert_eq!(encode_path("a/b c"), "a/b%20c");
    }
}
