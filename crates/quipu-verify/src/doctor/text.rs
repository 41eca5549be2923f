//! Texts of others made fit to print: no control characters, no credentials, safe to paste into a shell.

use std::path::Path;

use crate::output::one_line;

/// Scheme and host of a URL, and whether there is more. User names, passwords, paths and queries are left out: any of
/// them can be a token.
pub(crate) fn place_of(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, _)) => {
            let host = authority(url).map_or("…", |host| host);
            format!("{}://{host}", one_line(scheme))
        }
        None => "…".to_owned(),
    }
}

/// The host of a URL in lower case, without port; none for `file` URLs and what is no URL.
pub(crate) fn host_of(url: &str) -> Option<String> {
    let host = authority(url)?;
    let host = match host.strip_prefix('[') {
        Some(ip6) => ip6.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Whether a URL has a user name, with or without a password.
pub(crate) fn has_credentials(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// A text with the URLs in it cut down to scheme, host, and what a database or proxy is asked: everything else of them
/// can be a token.
pub(crate) fn without_credentials(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(|c: char| c.is_whitespace() || "\"'<>".contains(c)).unwrap_or(after.len());
        let (url, more) = after.split_at(end);
        let (authority, path) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
        let asked = QUESTIONS.iter().filter_map(|question| path.find(question)).min();
        clean += before;
        clean += host_and_port(authority);
        clean += match asked {
            Some(0) => "",
            _ if path.trim_matches([':', ',', '/']).is_empty() => "",
            _ => "/…",
        };
        clean += asked.and_then(|at| path.get(at..)).unwrap_or(if path.ends_with(':') { ":" } else { "" });
        rest = more;
    }
    clean + rest
}

/// A path as a word for a POSIX shell.
pub(crate) fn shell_path(path: &Path) -> String {
    shell(&path.display().to_string())
}

/// A word for a POSIX shell.
pub(crate) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@%+=:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The first names of a list, and how many more there are.
pub(crate) fn some_of(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(MAX_NAMES).map(AsRef::as_ref).collect();
    match names.len().checked_sub(MAX_NAMES) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let host = host_and_port(rest.split(['/', '?', '#']).next()?);
    (!host.is_empty()).then_some(host)
}

/// What follows the user name and password. If it does not end in a port, a slash in a password has come between.
fn host_and_port(authority: &str) -> &str {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((_, port)) if !host.ends_with(']') && !is_port(port) => "…",
        _ => host,
    }
}

/// How the paths begin that a database is asked for, at its own URL or behind a proxy.
const QUESTIONS: [&str; 4] = ["/sumdb/", "/lookup/", "/tile/8/", "/latest"];
const MAX_NAMES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_the_place_is_shown() {
        for (url, place) in [
            ("https://me:s3cret@go.corp:8443/t0ken/go?key=t0ken", "https://go.corp:8443"),
            ("https://t0ken@go.corp", "https://go.corp"),
            ("https://a@b:s3cret@go.corp/x", "https://go.corp"),
            ("file:///srv/t0ken", "file://…"),
            ("t0ken", "…"),
        ] {
            assert_eq!(place_of(url), place);
        }
        assert_eq!(host_of("https://x@[::1]:80/y"), Some("::1".to_owned()));
        assert!(has_credentials("http://u@h/") && !has_credentials("http://h/a@b"));
    }

    #[test]
    fn credentials_in_messages_are_hidden() {
        for (said, clean) in [
            (
                r#"Get "https://u:p@h/x": reading https://t@h2: 404"#,
                r#"Get "https://h/…": reading https://h2: 404"#,
            ),
            (
                "reading https://u:p@h:8/t0ken/sumdb/s/lookup/m@v1: 410",
                "reading https://h:8/…/sumdb/s/lookup/m@v1: 410",
            ),
            ("http://h/latest: Connection refused", "http://h/latest: Connection refused"),
            ("http://u:a/b@h/t0ken: no", "http://…/…: no"),
            ("no URL, a://", "no URL, a://"),
        ] {
            assert_eq!(without_credentials(said), clean);
        }
    }

    #[test]
    fn words_for_the_shell() {
        assert_eq!(shell("/a/!b@v1"), "'/a/!b@v1'");
        assert_eq!(shell("it's; rm"), r"'it'\''s; rm'");
        assert_eq!(shell("/a/b@v1.0.0+x"), "/a/b@v1.0.0+x");
        assert_eq!(shell("~/x"), "'~/x'");
    }
}
