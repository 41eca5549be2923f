//! URLs of proxies and databases, checked as Go's `net/url` checks them.

use std::{fmt, net::Ipv6Addr};

use crate::quote::quote;

/// A URL with a scheme, as an administrator wrote it. It may hold a password: `Display` and `Debug` mask
/// it, [`BaseUrl::as_str`] does not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    text: String,
    /// Lower case.
    scheme: String,
    /// Where user name and password stand in `text`, without the `@`.
    user_info: Option<std::ops::Range<usize>>,
}

impl BaseUrl {
    /// The URL as given, password included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme in lower case, such as `https`; empty if the text has none.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether it holds a user name or a password.
    #[must_use]
    pub const fn has_user_info(&self) -> bool {
        self.user_info.is_some()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let context = |reason: String| format!("parse {}: {reason}", quote(mask_any_user_info(text)));
        parse(text).map_err(context)
    }

    /// Whether the text is scheme, `://` and path, without host, query and fragment.
    pub(crate) fn is_path_only(&self) -> bool {
        let rest = self.text.get(self.scheme.len()..).and_then(|rest| rest.strip_prefix("://"));
        let rest = rest.map(|rest| rest.strip_suffix('#').unwrap_or(rest));
        rest.is_some_and(|path| (path.is_empty() || path.starts_with('/')) && !path.contains(['?', '#']))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((user_info, at)) =
            self.user_info.as_ref().and_then(|r| Some((self.text.get(r.clone())?, r)))
        else {
            return f.write_str(&self.text);
        };
        let user = user_info.split_once(':').map(|(user, _)| user);
        let (before, after) = (self.text.get(..at.start), self.text.get(at.end..));
        match user {
            Some(user) => write!(f, "{}{user}:xxxxx{}", before.unwrap_or(""), after.unwrap_or("")),
            None => f.write_str(&self.text),
        }
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}

/// Hides everything between `//` and the last `@` before the next slash, in a text that may be no URL.
fn mask_any_user_info(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("//") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}//xxxxx@{host}{path}"),
        None => text.to_owned(),
    }
}

fn parse(text: &str) -> Result<BaseUrl, String> {
    let (before_fragment, fragment) = text.split_once('#').unwrap_or((text, ""));
    if before_fragment.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err("net/url: invalid control character in URL".into());
    }
    let (scheme, rest_of_text) = split_scheme(before_fragment)?;
    let mut url = BaseUrl { text: text.to_owned(), scheme: scheme.to_ascii_lowercase(), user_info: None };
    let hierarchy = rest_of_text.split_once('?').map_or(rest_of_text, |(hierarchy, _)| hierarchy);
    check_percent(fragment)?;
    if !hierarchy.starts_with('/') {
        let first = hierarchy.split_once('/').map_or(hierarchy, |(first, _)| first);
        return match scheme {
            "" if first.contains(':') => Err("first path segment in URL cannot contain colon".into()),
            "" => check_percent(hierarchy).map(|()| url),
            _ => Ok(url),
        };
    }
    let path = match hierarchy.strip_prefix("//") {
        Some(rest) if !scheme.is_empty() || !hierarchy.starts_with("///") => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let start = before_fragment.len() - rest_of_text.len() + 2;
            url.user_info = check_authority(&url.scheme, authority)?.map(|length| start..start + length);
            path
        }
        _ => hierarchy,
    };
    check_percent(path)?;
    Ok(url)
}

fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    let is_scheme_char = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let end = text.find(|c| !is_scheme_char(c)).unwrap_or(text.len());
    let (scheme, rest) = text.split_at(end);
    match rest.strip_prefix(':') {
        Some(_) if scheme.is_empty() => Err("missing protocol scheme".into()),
        Some(rest) if scheme.starts_with(|c: char| c.is_ascii_alphabetic()) => Ok((scheme, rest)),
        _ => Ok(("", text)),
    }
}

/// Checks `[user[:password]@]host[:port]`; gives the length of what stands before the `@`.
fn check_authority(scheme: &str, authority: &str) -> Result<Option<usize>, String> {
    let Some((user_info, host)) = authority.rsplit_once('@') else {
        return check_host(scheme, authority).map(|()| None);
    };
    check_host(scheme, host)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !user_info.chars().all(good) {
        return Err("net/url: invalid userinfo".into());
    }
    check_percent(user_info)?;
    Ok(Some(user_info.len()))
}

fn check_host(scheme: &str, host: &str) -> Result<(), String> {
    if let Some(bracket) = host.rfind('[') {
        return if bracket == 0 { check_ip_literal(host) } else { Err("invalid IP-literal".into()) };
    }
    let strict = scheme == "http" || scheme == "https";
    if let Some(colon) = if strict { host.find(':') } else { host.rfind(':') } {
        check_port(host.get(colon..).unwrap_or_default())?;
    }
    check_host_chars(host)
}

fn check_ip_literal(host: &str) -> Result<(), String> {
    let (inside, port) = host.rsplit_once(']').ok_or("missing ']' in host")?;
    check_port(port)?;
    let inside = inside.trim_start_matches('[');
    let (address, zone) = inside.split_once("%25").map_or((inside, None), |(address, z)| (address, Some(z)));
    if let Some(zone) = zone {
        check_zone(zone)?;
    }
    let good = address.parse::<Ipv6Addr>().is_ok() && zone != Some("");
    if good { Ok(()) } else { Err(format!("invalid host: {}", quote(inside))) }
}

/// The zone of an address may be written with escapes, but only of what a host may have, `%` and space.
fn check_zone(zone: &str) -> Result<(), String> {
    check_percent(zone)?;
    let (plain, escaped) = zone.split_once('%').unwrap_or((zone, ""));
    check_plain_host(plain)?;
    for part in escaped.split('%').filter(|part| !part.is_empty()) {
        let (digits, plain) = part.split_at_checked(2).unwrap_or((part, ""));
        let byte = u8::from_str_radix(digits, 16).unwrap_or_default();
        if !(byte.is_ascii() && (b"% ".contains(&byte) || is_host_char(byte.into()))) {
            return Err(format!("invalid URL escape {}", quote(format!("%{digits}"))));
        }
        check_plain_host(plain)?;
    }
    Ok(())
}

fn check_port(port: &str) -> Result<(), String> {
    let good =
        port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    if good { Ok(()) } else { Err(format!("invalid port {} after host", quote(port))) }
}

/// In a host, escapes may only stand for bytes above 0x7F and for `%` itself.
fn check_host_chars(host: &str) -> Result<(), String> {
    check_percent(host)?;
    let bad = |rest: &&str| rest.starts_with(|c: char| c < '8') && !rest.starts_with("25");
    if let Some(bad) = host.split('%').skip(1).find(bad) {
        return Err(format!("invalid URL escape {}", quote(format!("%{}", bad.get(..2).unwrap_or(bad)))));
    }
    host.split('%').try_for_each(check_plain_host)
}

/// Characters of a host or zone, escapes left out.
fn check_plain_host(text: &str) -> Result<(), String> {
    match text.chars().find(|&c| !is_host_char(c)) {
        Some(c) => Err(format!("invalid character {} in host name", quote(c.to_string()))),
        None => Ok(()),
    }
}

fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii() || "-_.~!$&'()*+,;=:[]<>\"".contains(c)
}

/// Every `%` is followed by two hex digits.
fn check_percent(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('%') {
        let rest = text.get(at..).unwrap_or_default();
        let mut digits = rest.bytes().skip(1).take(2);
        if !(digits.len() == 2 && digits.all(|b| b.is_ascii_hexdigit())) {
            let shown: String = rest.chars().take(3).collect();
            return Err(format!("invalid URL escape {}", quote(shown)));
        }
    }
    Ok(())
}
