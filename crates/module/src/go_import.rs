//! The go-import tags of a page: where a host says that the code behind an import path is (`go help importpath`).

mod scan;

use std::collections::HashSet;

use crate::error::Error;
use crate::quote::quote;
use scan::{Scanner, Token};

/// What a tag `<meta name="go-import" content="prefix vcs url [subdir]">` says, as it was written: nothing is checked
/// beyond the number of fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoImport {
    /// The import path of the repository root.
    pub prefix: String,
    /// The version control system, or `mod` for a module proxy.
    pub vcs: String,
    /// Where the repository or the proxy is.
    pub url: String,
    /// The directory of the repository that `prefix` stands for; empty for its root. Read since Go 1.25.
    pub subdir: String,
}

/// What was read of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoImports {
    /// The tags, those for `mod` first; a tag for another system is left out if there is one for `mod` with its prefix.
    pub tags: Vec<GoImport>,
    /// Whether the reading came to the end of the head, so that nothing more of the page would change it.
    pub complete: bool,
}

impl GoImports {
    /// Reads the head of an HTML page as the `go` command does: like lenient XML, up to `</head>` or `<body>`.
    ///
    /// What cannot be read as that ends the reading; tags before it count.
    ///
    /// # Errors
    /// The page cannot be read, and no tag came before that.
    pub fn parse(html: &[u8]) -> Result<Self, Error> {
        let mut scanner = Scanner::new(html);
        let mut tags = Vec::new();
        let complete = loop {
            match scanner.token() {
                Ok(Some(Token::Start(name, _))) if name.eq_ignore_ascii_case("body") => break true,
                Ok(Some(Token::End(name))) if name.eq_ignore_ascii_case("head") => break true,
                Ok(Some(Token::Start(name, attributes))) if name.eq_ignore_ascii_case("meta") => {
                    tags.extend(read_tag(&attributes));
                }
                Ok(Some(_)) => {}
                Ok(None) => break false,
                Err(fault) if tags.is_empty() => {
                    return Err(Error::malformed(format!("XML syntax error: {fault}")));
                }
                Err(_) => break false,
            }
        };
        Ok(Self { tags: prefer_mod(tags), complete })
    }

    /// The tag for `path`: the only one whose prefix is `path` or leading elements of it, or the first for `mod`.
    /// `None` if there is no such tag.
    ///
    /// # Errors
    /// Several tags match.
    pub fn choose(&self, path: &str) -> Result<Option<&GoImport>, Error> {
        let mut matching = self.tags.iter().filter(|tag| leads(&tag.prefix, path));
        match (matching.next(), matching.next()) {
            (Some(first), Some(second)) if first.vcs != "mod" || second.vcs == "mod" => {
                let text = format!("multiple meta tags match import path {}", quote(path));
                Err(Error::malformed(text))
            }
            (first, _) => Ok(first),
        }
    }
}

/// Whether `prefix` is `path` or some of its leading elements.
fn leads(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the attributes say; of several with one name the first counts.
fn read_tag(attributes: &[(String, String)]) -> Option<GoImport> {
    let value = |name: &str| {
        attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    if value("name") != Some("go-import") {
        return None;
    }
    let fields: Vec<&str> = value("content")?.split_whitespace().collect();
    let (fields, subdir) = match *fields.as_slice() {
        [prefix, vcs, url] => ([prefix, vcs, url], ""),
        [prefix, vcs, url, subdir] => ([prefix, vcs, url], subdir),
        _ => return None,
    };
    let [prefix, vcs, url] = fields.map(str::to_owned);
    Some(GoImport { prefix, vcs, url, subdir: subdir.to_owned() })
}

fn prefer_mod(tags: Vec<GoImport>) -> Vec<GoImport> {
    let (mut list, others): (Vec<_>, Vec<_>) = tags.into_iter().partition(|tag| tag.vcs == "mod");
    let superseded: HashSet<String> = list.iter().map(|tag| tag.prefix.clone()).collect();
    list.extend(others.into_iter().filter(|tag| !superseded.contains(&tag.prefix)));
    list
}
