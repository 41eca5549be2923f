//! The values of GOPROXY and GOSUMDB: which servers to ask for modules and for their checksums.

use std::fmt;

use crate::{error::Error, url::BaseUrl};

/// When the next entry of a [`ProxyList`] is tried after this one has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// Only if this entry says that it does not have the module (404, 410); the separator is a comma.
    OnNotFound,
    /// After any error; the separator is a pipe.
    OnAnyError,
}

/// Where an entry of a [`ProxyList`] sends its questions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProxyTarget {
    /// A proxy with scheme `https`, `http` or `file`.
    Url(BaseUrl),
    /// The module's own repository. Always the last entry.
    Direct,
    /// Nowhere: the download fails. Always the last entry.
    Off,
}

/// One entry of a [`ProxyList`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProxyEntry {
    /// Where to ask.
    pub target: ProxyTarget,
    /// When to go on to the next entry.
    pub fallback: Fallback,
}

/// The value of GOPROXY: one entry or more, tried in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyList(Vec<ProxyEntry>);

impl ProxyList {
    /// Parses a list as `go help goproxy` describes it: entries between commas and pipes, blanks around
    /// them and empty ones ignored, `https://` put before bare host names, nothing read after `direct` or
    /// `off`. What an unset GOPROXY means is the caller's affair.
    ///
    /// # Errors
    /// There is no entry, or one is not a URL of a supported scheme.
    pub fn parse(list: &str) -> Result<Self, Error> {
        let mut entries = Vec::new();
        for part in list.split_inclusive([',', '|']) {
            let fallback = if part.ends_with('|') { Fallback::OnAnyError } else { Fallback::OnNotFound };
            let target = match part.trim_end_matches([',', '|']).trim() {
                "" => continue,
                "off" => ProxyTarget::Off,
                "direct" => ProxyTarget::Direct,
                url => ProxyTarget::Url(parse_proxy_url(url).map_err(Error::malformed)?),
            };
            let last = !matches!(target, ProxyTarget::Url(_));
            let fallback = if last { Fallback::OnNotFound } else { fallback };
            entries.push(ProxyEntry { target, fallback });
            if last {
                break;
            }
        }
        if entries.is_empty() {
            return Err(Error::malformed("GOPROXY list is not the empty string, but contains no entries"));
        }
        Ok(Self(entries))
    }

    /// The entries, at least one.
    #[must_use]
    pub fn entries(&self) -> &[ProxyEntry] {
        &self.0
    }
}

impl fmt::Display for ProxyTarget {
    /// The entry's word or URL, a password masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Direct => f.write_str("direct"),
            Self::Off => f.write_str("off"),
        }
    }
}

impl fmt::Display for ProxyList {
    /// The list in GOPROXY syntax, passwords masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, ProxyEntry { target, fallback }) in self.0.iter().enumerate() {
            let separator = match fallback {
                _ if position + 1 == self.0.len() => "",
                Fallback::OnNotFound => ",",
                Fallback::OnAnyError => "|",
            };
            write!(f, "{target}{separator}")?;
        }
        Ok(())
    }
}

fn parse_proxy_url(text: &str) -> Result<BaseUrl, String> {
    // Single words are reserved; `:/` marks a URL, a leading slash a file name.
    let is_bare_host = text.contains(['.', ':', '/']) && !text.contains(":/") && !text.starts_with('/');
    let url = BaseUrl::parse(&if is_bare_host { format!("https://{text}") } else { text.to_owned() })?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        "file" if url.is_path_only() => Ok(url),
        "file" => Err(format!("invalid file:// proxy URL with non-path elements: {url}")),
        "" => Err(format!("invalid proxy URL missing scheme: {url}")),
        _ => Err(format!("invalid proxy URL scheme (must be https, http, file): {url}")),
    }
}

/// The verifier key of `sum.golang.org`, which every `go` command has built in.
pub const SUM_GOLANG_ORG_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

/// The value of GOSUMDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SumDb {
    /// No database: nothing is verified.
    Off,
    /// This database.
    Database(SumDatabase),
}

/// A checksum database: its key, and its URL if one was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumDatabase {
    name: String,
    key: String,
    url: Option<BaseUrl>,
}

impl SumDatabase {
    /// The name of the database: host, or host and path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The verifier key as text, `<name>+<id>+<base64>`. That it is a key is not checked here.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The URL to use in place of proxies and of `https://<name>`.
    #[must_use]
    pub fn url(&self) -> Option<&BaseUrl> {
        self.url.as_ref()
    }
}

impl SumDb {
    /// Parses a value: empty (`sum.golang.org`), `off`, or a key and perhaps a URL. For `sum.golang.org` the
    /// key is known; `sum.golang.google.cn` is the same database at another address.
    ///
    /// # Errors
    /// There are more than two fields, the key does not have the form of one, the name in it cannot be the
    /// name of a database, or the URL is none.
    pub fn parse(value: &str) -> Result<Self, Error> {
        let value = match value {
            "" => "sum.golang.org",
            "off" => return Ok(Self::Off),
            "sum.golang.google.cn" => "sum.golang.org https://sum.golang.google.cn",
            value => value,
        };
        let fields: Vec<&str> = value.split_whitespace().collect();
        let (key, url) = match *fields.as_slice() {
            [] => return Err(Error::malformed("missing GOSUMDB")),
            [key] => (key, None),
            [key, url] => (key, Some(url)),
            _ => return Err(Error::malformed("invalid GOSUMDB: too many fields")),
        };
        let key = if key == "sum.golang.org" { SUM_GOLANG_ORG_KEY } else { key };
        let name = key_name(key).ok_or_else(|| Error::malformed("invalid GOSUMDB: malformed verifier id"))?;
        if !is_database_name(name) {
            return Err(Error::malformed(format!("invalid sumdb name (must be host[/path]): {name}")));
        }
        let url = url.map(BaseUrl::parse).transpose();
        let url = url.map_err(|reason| Error::malformed(format!("invalid GOSUMDB URL: {reason}")))?;
        Ok(Self::Database(SumDatabase { name: name.into(), key: key.into(), url }))
    }
}

/// The name in a text of the form `<name>+<8 hex digits>+<something>`.
fn key_name(key: &str) -> Option<&str> {
    let (name, rest) = key.split_once('+')?;
    let (id, data) = rest.split_once('+')?;
    let good_id = id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (!name.is_empty() && good_id && !data.is_empty()).then_some(name)
}

/// Whether a go command can use a checksum database of this name: host or host/path, nothing that `https://<name>`
/// would read as something else, and nothing that is or would have to be escaped.
#[must_use]
pub fn is_database_name(name: &str) -> bool {
    let plain = !name.contains(['?', '#', '@', '%']) && !name.ends_with('/') && !name.starts_with('/');
    let path = name.split_once('/').map_or("", |(_, path)| path);
    let unescaped = |b: u8| b.is_ascii_alphanumeric() || b"-_.~$&,/:;=".contains(&b);
    plain && path.bytes().all(unescaped) && BaseUrl::parse(&format!("https://{name}")).is_ok()
}
