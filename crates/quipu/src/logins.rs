//! What hosts are shown that want to know who asks: the secrets of `[[credential]]`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use quipu_fetch::{Base, Credentials};
use quipu_module::{BaseUrl, Patterns, ProxyEntry, ProxyList, ProxyTarget};
use tracing::warn;

use crate::config::{CredentialRule, Settings, patterns};
use crate::sources::authority;

/// The pattern of a rule that is for all modules.
pub(crate) const EVERYTHING: &str = "*";

/// The modules that a rule is for.
pub(crate) fn pattern_of(rule: &CredentialRule) -> &str {
    rule.pattern.as_deref().unwrap_or(EVERYTHING)
}

/// The login of a rule, whose secret is in `file`.
///
/// # Errors
/// The file cannot be read, or its secret cannot be sent.
pub(crate) fn login(rule: &CredentialRule, file: &Path) -> Result<Credentials> {
    let secret = secret(file)?;
    let credentials = Credentials::login(&authority(&rule.host)?, user(rule).as_bytes(), &secret);
    credentials.ok_or_else(|| unusable(rule))
}

/// What hosts are shown that are asked where a repository is, for which modules.
///
/// # Errors
/// As [`login`]; a pattern is malformed.
pub(crate) fn of_hosts(set: &Settings) -> Result<Vec<(Patterns, Credentials)>> {
    let read = |(rule, file): (&CredentialRule, &PathBuf)| {
        Ok((patterns("[[credential]] pattern", pattern_of(rule))?, login(rule, file)?))
    };
    with_secret(set).map(read).collect()
}

/// The entries of a GOPROXY list. A URL in which nobody logs in gets the login of a rule for exactly its host: one for all
/// modules, or for those of this `pattern` of a `[[source]]`.
///
/// # Errors
/// As [`login`].
pub(crate) fn of_proxies(
    set: &Settings,
    pattern: Option<&str>,
    entries: &[ProxyEntry],
) -> Result<Vec<ProxyEntry>> {
    let applies =
        |rule: &CredentialRule| [EVERYTHING, pattern.unwrap_or(EVERYTHING)].contains(&pattern_of(rule));
    let with_login = |entry: &ProxyEntry| {
        let ProxyTarget::Url(url) = &entry.target else { return Ok(entry.clone()) };
        let base = Base::parse(url.as_str()).map_err(|e| anyhow!("{url}: {e}"))?;
        let Some(host) = base.authority().filter(|_| !url.has_user_info()) else { return Ok(entry.clone()) };
        for (rule, file) in with_secret(set).filter(|(rule, _)| applies(rule)) {
            if authority(&rule.host)? == *host {
                return Ok(ProxyEntry { target: logged_in(url, rule, file)?, ..entry.clone() });
            }
        }
        Ok(entry.clone())
    };
    entries.iter().map(with_login).collect()
}

fn logged_in(url: &BaseUrl, rule: &CredentialRule, file: &Path) -> Result<ProxyTarget> {
    let (scheme, rest) = url.as_str().split_once("://").ok_or_else(|| unusable(rule))?;
    let login = format!("{}:{}", encode(user(rule).as_bytes()), encode(&secret(file)?));
    let url = format!("{scheme}://{login}@{rest}");
    // What is wrong with it is not repeated: it would hold the secret.
    Base::parse(&url).map_err(|_| unusable(rule))?;
    let list = ProxyList::parse(&url).map_err(|_| unusable(rule))?;
    list.entries().first().map(|entry| entry.target.clone()).ok_or_else(|| unusable(rule))
}

fn with_secret(set: &Settings) -> impl Iterator<Item = (&CredentialRule, &PathBuf)> {
    set.credentials.iter().filter_map(|rule| Some((rule, rule.secret_file.as_ref()?)))
}

fn user(rule: &CredentialRule) -> &str {
    rule.username.as_deref().unwrap_or("quipu")
}

fn secret(file: &Path) -> Result<Vec<u8>> {
    let secret = fs::read(file).with_context(|| format!("cannot read the secret {}", file.display()))?;
    if fs::metadata(file)?.mode() & 0o077 != 0 {
        warn!(file = %file.display(), "others on this machine can read this secret (chmod 0400)");
    }
    Ok(secret.trim_ascii().to_vec())
}

fn unusable(rule: &CredentialRule) -> anyhow::Error {
    anyhow!("[[credential]] for {}: not printable, or it would cross the network in clear text", rule.host)
}

/// Percent-encodes all that could mean something in a URL.
fn encode(text: &[u8]) -> String {
    text.iter()
        .map(|byte| match byte {
            b'-' | b'.' | b'_' => char::from(*byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &str) -> Vec<ProxyEntry> {
        ProxyList::parse(list).unwrap().entries().to_vec()
    }

    #[test]
    fn proxies_get_the_login_for_exactly_their_host() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, "p@ss/w%rd\n").unwrap();
        let set = format!(
            "[[credential]]\npattern = \"tools.example\"\nhost = \"a.example\"\nusername = \"tools\"\nsecret_file = {file:?}\n\
             [[credential]]\nhost = \"a.example\"\nsecret_file = {file:?}\n\
             [[credential]]\nhost = \"http://plain.example\"\nsecret_file = {file:?}\n"
        );
        let set: Settings = toml::from_str(&set).unwrap();
        let list = "https://a.example/go|https://me:own@a.example,https://a.example:8443,file:///srv,direct";
        let given = |pattern| {
            let entries = of_proxies(&set, pattern, &entries(list)).unwrap();
            entries
                .iter()
                .map(|entry| match &entry.target {
                    ProxyTarget::Url(url) => url.as_str().to_owned(),
                    word => word.to_string(),
                })
                .collect::<Vec<_>>()
        };
        let rest = ["https://me:own@a.example", "https://a.example:8443", "file:///srv", "direct"];
        assert_eq!(given(None)[0], "https://quipu:p%40ss%2Fw%25rd@a.example/go");
        assert_eq!(given(None)[1..], rest);
        assert_eq!(given(Some("tools.example"))[0], "https://tools:p%40ss%2Fw%25rd@a.example/go");
        assert_eq!(given(Some("other.example"))[0], given(None)[0]);
        let fallbacks = of_proxies(&set, None, &entries(list)).unwrap();
        assert!(fallbacks.iter().zip(entries(list)).all(|(ours, given)| ours.fallback == given.fallback));
        let error = of_proxies(&set, None, &entries("http://plain.example")).unwrap_err().to_string();
        assert!(error.contains("clear text") && !error.contains("p%40ss"), "{error}");
    }
}
