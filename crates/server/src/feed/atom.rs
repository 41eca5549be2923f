//! A module's versions as an Atom feed (RFC 4287).

use std::fmt::Write as _;

use quipu_ledger::Record;
use quipu_module::{ModulePath, Version};

use super::line::Line;

/// The feed of the module `path` in the log `name`: its versions, newest first, at least one.
///
/// An entry says what is in the log, with the hashes; when a version was made its `.info` says, to which the link leads.
pub(super) fn format(name: &str, path: &ModulePath, newest_first: &[(Line<'_>, &Record)]) -> String {
    let id = Id { host: name.split('/').next().unwrap_or(name), path };
    // Relative to the feed's own URL, so that they hold wherever the server is mounted.
    let root = "../".repeat(path.as_str().split('/').count());
    let escaped = path.escaped();
    let updated = newest_first.first().map_or("", |(line, _)| &line.timestamp);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
         <id>{}</id>\n<title>{path}</title>\n<updated>{updated}</updated>\n\
         <author><name>{}</name></author>\n<link rel=\"self\" href=\"{root}feed/{escaped}\"/>\n",
        id.of(""),
        text(name),
    );
    for (line, record) in newest_first {
        let (version, time) = (line.version, &line.timestamp);
        let file = Version::parse(version).map_or_else(|_| version.to_owned(), |version| version.escaped());
        let _ = write!(
            out,
            "<entry>\n<id>{}</id>\n<title>{path} {}</title>\n<updated>{time}</updated>\n\
             <link href=\"{root}{escaped}/@v/{}.info\" type=\"application/json\"/>\n\
             <content type=\"text\">{}</content>\n</entry>\n",
            id.of(&format!("@{version}")),
            text(version),
            text(&file),
            text(&String::from_utf8_lossy(&record.text)),
        );
    }
    out + "</feed>\n"
}

/// Names of feed and entries that stay when the server moves: tag URIs (RFC 4151) below the log's host.
struct Id<'a> {
    host: &'a str,
    path: &'a ModulePath,
}

impl Id<'_> {
    fn of(&self, rest: &str) -> String {
        text(&format!("tag:{},2026:{}{rest}", self.host, self.path))
    }
}

/// Text as it stands in XML.
fn text(plain: &str) -> String {
    plain
        .chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            c if c.is_control() && c != '\n' => "\u{fffd}".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_feed_of_two_versions() {
        let path = ModulePath::parse("example.com/Hello/x").unwrap();
        let record = |version: &str, time| {
            let text = format!("{path} {version} h1:a=\n{path} {version}/go.mod h1:b=\n");
            Record { time, text: Bytes::from(text) }
        };
        let records = [record("v1.1.0-RC", 1_000_000), record("v1.0.0", 1)];
        let lines: Vec<_> = records.iter().filter_map(|record| Some((Line::of(record)?, record))).collect();
        let feed = format("sum.corp.test/team", &path, &lines);
        for part in [
            "<id>tag:sum.corp.test,2026:example.com/Hello/x</id>",
            "<id>tag:sum.corp.test,2026:example.com/Hello/x@v1.1.0-RC</id>",
            "<updated>1970-01-01T00:00:01Z</updated>\n<author>",
            "<link rel=\"self\" href=\"../../../feed/example.com/!hello/x\"/>",
            "href=\"../../../example.com/!hello/x/@v/v1.1.0-!r!c.info\"",
            "<content type=\"text\">example.com/Hello/x v1.0.0 h1:a=\n",
        ] {
            assert!(feed.contains(part), "{part}\n{feed}");
        }
        assert!(feed.find("v1.1.0-RC").unwrap() < feed.find("v1.0.0").unwrap());
        assert_eq!(text("<a href=\"&\">\u{7}"), "&lt;a href=&quot;&amp;&quot;&gt;\u{fffd}");
    }
}
