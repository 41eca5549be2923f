//! What must never reach the outside: the names that a story keeps private, looked for in every request to the upstream.

use std::collections::BTreeMap;

use crate::forge::decode_percent;

/// The names that settings keep from others, in lower case: patterns as far as they are literal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Nobody outside is to hear them.
    anywhere: Vec<String>,
    /// No checksum database is, whoever leads to it; a proxy may be asked for them.
    lookups: Vec<String>,
}

/// What a program was told when it was started.
pub(crate) struct Told<'a> {
    pub(crate) args: &'a [String],
    pub(crate) env: &'a BTreeMap<String, String>,
    /// The file that its arguments name.
    pub(crate) config: Option<&'a toml::Table>,
}

impl Told<'_> {
    /// What that keeps from others.
    pub(crate) fn names(&self) -> Names {
        let private = self.setting("goprivate", ("go", "GOPRIVATE"));
        let of = |flag: &str, name: &str| self.setting(flag, ("go", name)).or_else(|| private.clone());
        let ours =
            self.setting("publish-patterns", ("publish", "patterns")).into_iter().chain(self.sources());
        let no_proxy = of("gonoproxy", "GONOPROXY");
        let no_database = of("gonosumdb", "GONOSUMDB");
        Names {
            anywhere: literal(&ours.chain(no_proxy).collect::<Vec<_>>()),
            lookups: literal(&no_database.into_iter().collect::<Vec<_>>()),
        }
    }

    /// The first that says something: the flag, its `QUIPU_…` variable, the file, and for Go's own names its variable.
    fn setting(&self, flag: &str, (section, key): (&str, &str)) -> Option<String> {
        let var = format!("QUIPU_{}", flag.replace('-', "_").to_uppercase());
        let file = || self.config?.get(section)?.get(key)?.as_str().map(str::to_owned);
        let said = self.flag(flag).or_else(|| self.env.get(&var).cloned()).or_else(file);
        said.or_else(|| self.env.get(key).cloned()).filter(|list| !list.is_empty())
    }

    /// `--NAME VALUE` or `--NAME=VALUE`.
    fn flag(&self, name: &str) -> Option<String> {
        let at = self.args.iter().position(|arg| {
            let rest = arg.strip_prefix("--").and_then(|arg| arg.strip_prefix(name));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })?;
        let same = self.args.get(at)?.split_once('=').map(|(_, value)| value.to_owned());
        same.or_else(|| self.args.get(at + 1).cloned())
    }

    /// The patterns of `[[source]]` that others are not told of.
    fn sources(&self) -> Vec<String> {
        let rules = self.config.and_then(|config| config.get("source")).and_then(toml::Value::as_array);
        let secret = rules
            .into_iter()
            .flatten()
            .filter(|rule| rule.get("public").and_then(toml::Value::as_bool) != Some(true));
        secret.filter_map(|rule| rule.get("pattern")?.as_str().map(str::to_owned)).collect()
    }
}

/// The literal beginnings of the patterns in these lists. Go's word for "nothing" is no name.
fn literal(lists: &[String]) -> Vec<String> {
    let patterns = lists.iter().flat_map(|list| list.split(',')).filter(|pattern| pattern.trim() != "none");
    let literal = patterns.map(|pattern| {
        let pattern = pattern.trim().trim_start_matches("*.");
        pattern.split(['*', '?', '[', '\\']).next().unwrap_or_default().trim_end_matches('/').to_lowercase()
    });
    literal.filter(|name| !name.is_empty()).collect()
}

impl Names {
    /// What any of these keeps from others.
    pub(crate) fn all<'n>(many: impl IntoIterator<Item = &'n Self>) -> Self {
        many.into_iter().fold(Self::default(), |mut all, names| {
            all.anywhere.extend(names.anywhere.iter().cloned());
            all.lookups.extend(names.lookups.iter().cloned());
            all
        })
    }

    /// The first of the names that the head of a request holds and should not, however it is escaped.
    pub(crate) fn leaked(&self, head: &str) -> Option<&str> {
        let said = plain(head);
        let of_database = ["/lookup/", "/sumdb/"].iter().any(|part| said.contains(part));
        let lookups = self.lookups.iter().filter(|_| of_database);
        self.anywhere.iter().chain(lookups).map(String::as_str).find(|name| said.contains(name))
    }
}

/// In lower case, without percent-encoding and without the `!` of module paths.
fn plain(head: &str) -> String {
    String::from_utf8_lossy(&decode_percent(head)).replace('!', "").to_lowercase()
}

#[test]
fn private_names_are_found_in_every_disguise() {
    let config = "[[source]]\npattern = \"tools.test/*\"\nfrom = \"x\"\n[[source]]\npattern = \"open.test\"\n\
                  from = \"x\"\npublic = true\n[publish]\npatterns = \"lib.test\"";
    let env = BTreeMap::from([("GOPRIVATE".to_owned(), "Corp.test/Team, *.corp.test,*".to_owned())]);
    let names = Told { args: &[], env: &env, config: Some(&config.parse().unwrap()) }.names();
    assert_eq!(names.anywhere, ["lib.test", "tools.test", "corp.test/team", "corp.test"]);
    for leak in [
        "GET /corp.test/x/@v/list HTTP/1.1",
        "GET /sumdb/x/lookup/corp.test/!team/x@v1.0.0 HTTP/1.1",
        "GET /%63orp%2Etest/x HTTP/1.1",
        "GET / HTTP/1.1\nX-Why: https://git.CORP.test",
        "GET /?q=tools.test HTTP/1.1",
    ] {
        assert!(names.leaked(leak).is_some(), "{leak}");
    }
    assert_eq!(names.leaked("GET /open.test/corp/@v/list HTTP/1.1\nHost: 127.0.0.1:1"), None);
}

#[test]
fn what_a_program_was_told_last_counts_and_names_mean_what_they_mean_to_go() {
    let names = |args: &[&str], env: &[(&str, &str)], config: &str| {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let names = Told { args: &args, env: &env, config: Some(&config.parse().unwrap()) }.names();
        (names.anywhere.join(" "), names.lookups.join(" "))
    };
    let both = |name: &str| (name.to_owned(), name.to_owned());
    let (file, go) = ("[go]\nGOPRIVATE = \"file.test\"", [("GOPRIVATE", "go.test")]);
    let quipu = [("QUIPU_GOPRIVATE", "quipu.test"), ("GOPRIVATE", "go.test")];
    assert_eq!(names(&[], &go, ""), both("go.test"));
    assert_eq!(names(&[], &go, file), both("file.test"));
    assert_eq!(names(&[], &quipu, file), both("quipu.test"));
    assert_eq!(names(&["--goprivate", "flag.test"], &quipu, file), both("flag.test"));
    assert_eq!(names(&["--goprivate=flag.test"], &quipu, file), both("flag.test"));
    assert_eq!(names(&["--publish-patterns", "lib.test"], &[], ""), ("lib.test".to_owned(), String::new()));
    let env = [("QUIPU_PUBLISH_PATTERNS", "lib.test"), ("QUIPU_GONOSUMDB", "unproven.test")];
    assert_eq!(names(&[], &env, ""), ("lib.test".to_owned(), "unproven.test".to_owned()));
    let proxied = [("GOPRIVATE", "corp.test"), ("GONOPROXY", "none")];
    assert_eq!(names(&[], &proxied, ""), (String::new(), "corp.test".to_owned()));
    // An empty one is an unset one.
    let unset = "[go]\nGOPRIVATE = \"corp.test\"\nGONOPROXY = \"\"\nGONOSUMDB = \"\"";
    assert_eq!(names(&[], &[], unset), both("corp.test"));
}

#[test]
fn a_proxy_may_hear_what_only_databases_must_not() {
    let env = BTreeMap::from([("GONOSUMDB".to_owned(), "corp.test".to_owned())]);
    let names = Told { args: &[], env: &env, config: None }.names();
    assert_eq!(names.leaked("GET /corp.test/x/@v/list HTTP/1.1"), None);
    assert_eq!(names.leaked("GET /sumdb/x/lookup/other.test/x@v1.0.0 HTTP/1.1"), None);
    assert_eq!(names.leaked("GET /sumdb/x/lookup/corp.test/x@v1.0.0 HTTP/1.1"), Some("corp.test"));
    assert_eq!(names.leaked("GET /%6Cookup/corp.test/x@v1.0.0 HTTP/1.1"), Some("corp.test"));
}
