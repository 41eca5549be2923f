//! What must never reach the outside: the names that a story keeps private, looked for in every request to the upstream.

use std::collections::BTreeMap;

/// The names that the settings keep from others, in lower case: patterns as far as they are literal.
pub(crate) fn names(env: &BTreeMap<String, String>, config: Option<&toml::Table>) -> Vec<String> {
    let set = ["GOPRIVATE", "QUIPU_PUBLISH_PATTERNS"].into_iter().filter_map(|name| env.get(name).cloned());
    let mut lists: Vec<String> = set.collect();
    if let Some(config) = config {
        let text = |value: &toml::Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
        lists.extend(config.get("go").and_then(|go| text(go, "GOPRIVATE")));
        lists.extend(config.get("publish").and_then(|publish| text(publish, "patterns")));
        let sources = config.get("source").and_then(toml::Value::as_array).into_iter().flatten();
        let sources = sources.filter(|rule| rule.get("public").and_then(toml::Value::as_bool) != Some(true));
        lists.extend(sources.filter_map(|rule| text(rule, "pattern")));
    }
    let patterns = lists.iter().flat_map(|list| list.split(','));
    let literal = patterns.map(|pattern| {
        let pattern = pattern.trim().trim_start_matches("*.");
        pattern.split(['*', '?', '[', '\\']).next().unwrap_or_default().trim_end_matches('/').to_lowercase()
    });
    literal.filter(|name| !name.is_empty()).collect()
}

/// The first of the names that the head of a request holds, however it is escaped.
pub(crate) fn leaked<'n>(names: &'n [String], head: &str) -> Option<&'n str> {
    let said = plain(head);
    names.iter().map(String::as_str).find(|name| said.contains(name))
}

/// In lower case, without percent-encoding and without the `!` of module paths.
fn plain(head: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = head.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        let code = rest.as_slice().get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| byte == b'%') {
            Some(decoded) => {
                bytes.push(decoded);
                rest.by_ref().take(2).for_each(drop);
            }
            None if byte == b'!' => {}
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).to_lowercase()
}

#[test]
fn private_names_are_found_in_every_disguise() {
    let config = "[[source]]\npattern = \"tools.test/*\"\nfrom = \"x\"\n[[source]]\npattern = \"open.test\"\n\
                  from = \"x\"\npublic = true\n[publish]\npatterns = \"lib.test\"";
    let env = BTreeMap::from([("GOPRIVATE".to_owned(), "Corp.test/Team, *.corp.test,*".to_owned())]);
    let names = names(&env, Some(&config.parse().unwrap()));
    assert_eq!(names, ["corp.test/team", "corp.test", "lib.test", "tools.test"]);
    for leak in [
        "GET /corp.test/x/@v/list HTTP/1.1",
        "GET /sumdb/x/lookup/corp.test/!team/x@v1.0.0 HTTP/1.1",
        "GET /%63orp%2Etest/x HTTP/1.1",
        "GET / HTTP/1.1\nX-Why: https://git.CORP.test",
        "GET /?q=tools.test HTTP/1.1",
    ] {
        assert!(leaked(&names, leak).is_some(), "{leak}");
    }
    assert_eq!(leaked(&names, "GET /open.test/corp/@v/list HTTP/1.1\nHost: 127.0.0.1:1"), None);
}
