//! What the layers of the configuration make together, and what they refuse.

use super::*;

#[test]
fn the_upper_layer_wins_and_the_origin_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("quipu.toml");
    fs::write(&file, "listen = \"127.0.0.1:1\"\nname = \"file.example\"\n[go]\nGOPROXY = \"off\"\n[log]\nupstream = \"prefer\"\n").unwrap();
    let given = Settings { listen: Some("127.0.0.1:2".to_owned()), ..Settings::default() };
    let config = Config::resolve(given, Some(&file)).unwrap();
    assert_eq!(config.listen(), "127.0.0.1:2");
    assert_eq!(config.set.name.as_deref(), Some("file.example"));
    assert_eq!(config.set.go.goproxy.as_deref(), Some("off"));
    assert_eq!(config.set.log.upstream, Some(Upstream::Prefer));
    assert_eq!(config.origins["listen"], "flag or QUIPU_ variable");
    assert_eq!(config.origins["go.GOPROXY"], "file");
}

#[test]
fn unknown_keys_are_errors_that_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("quipu.toml");
    for (text, named) in
        [("lisen = \"x\"", "lisen"), ("[go]\nGOPROXI = \"x\"", "GOPROXI"), ("[gone]\n", "gone")]
    {
        fs::write(&file, text).unwrap();
        let error = format!("{:#}", Config::resolve(Settings::default(), Some(&file)).unwrap_err());
        assert!(error.contains(named) && error.contains("quipu.toml"), "{error}");
    }
}

#[test]
fn what_is_shown_reads_back_the_same() {
    let given = Settings { name: Some("sum.example".to_owned()), ..Settings::default() };
    let mut config = Config::resolve(given, None).unwrap();
    config.set.go = Go { goproxy: Some("off".to_owned()), ..Go::default() };
    let shown = config.show().unwrap();
    assert!(shown.contains("name = \"sum.example\"  # flag or QUIPU_ variable"), "{shown}");
    let again: Settings = toml::from_str(&shown).unwrap();
    assert_eq!(again.go.goproxy.as_deref(), Some("off"));
}

#[test]
fn malformed_patterns_that_protect_are_errors() {
    let mut config = Config::resolve(Settings::default(), None).unwrap();
    assert!(config.rules().unwrap().is_open() && config.published().unwrap().is_empty());
    config.set.access.anonymous = Some("corp.example,[".to_owned());
    config.set.publish.patterns = Some("[".to_owned());
    assert!(config.rules().is_err() && config.published().is_err());
    config.set.access.anonymous = Some(String::new());
    assert!(!config.rules().unwrap().is_open());
}

#[test]
fn a_list_of_which_a_part_would_match_nothing_is_refused_wherever_it_stands() {
    let table = |head: &str, rest: &str| format!("[[{head}]]\npattern = \"LIST\"\n{rest}\n");
    for (text, named) in [
        ("[go]\nGOPRIVATE = \"LIST\"".to_owned(), "GOPRIVATE (file)"),
        ("[go]\nGONOPROXY = \"LIST\"".to_owned(), "GONOPROXY (file)"),
        ("[go]\nGONOSUMDB = \"LIST\"".to_owned(), "GONOSUMDB (file)"),
        ("[go]\nGOINSECURE = \"LIST\"".to_owned(), "GOINSECURE (file)"),
        ("[publish]\npatterns = \"LIST\"".to_owned(), "[publish] patterns"),
        ("[access]\nanonymous = \"LIST\"".to_owned(), "[access] anonymous"),
        (table("source", "from = \"direct\""), "[[source]] pattern"),
        (table("credential", "host = \"git.example\""), "[[credential]] pattern"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("quipu.toml");
        let check = |list: &str| {
            fs::write(&file, text.replace("LIST", list)).unwrap();
            Config::resolve(Settings::default(), Some(&file)).unwrap().check_patterns()
        };
        check("git.corp.example,corp.example").unwrap();
        for (list, entry) in
            [("git.corp.example, corp.example", "\" corp.example\""), ("a.b,c.d/[e", "\"c.d/[e\"")]
        {
            let error = format!("{:#}", check(list).unwrap_err());
            assert!(error.starts_with(named) && error.contains(entry), "{error}");
        }
    }
}

#[test]
fn lists_are_read_from_the_file_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("quipu.toml");
    let rule = "[[policy.rule]]\naction = \"deny\"\nmodules = \"a.b\"\nreason = \"r\"\n";
    fs::write(&file, format!("[policy]\ncooldown_days = 3\n{rule}{rule}")).unwrap();
    let mut given = Settings::default();
    given.policy.cooldown_days = Some(7);
    let config = Config::resolve(given, Some(&file)).unwrap();
    assert_eq!((config.set.policy.cooldown_days, config.set.policy.rules.len()), (Some(7), 2));
    let shown = config.show().unwrap();
    assert!(shown.contains("cooldown_days = 7  # flag or QUIPU_ variable"), "{shown}");
    assert_eq!(toml::from_str::<Settings>(&shown).unwrap().policy.rules.len(), 2);
    fs::write(&file, format!("{rule}version = \"v1\"\n")).unwrap();
    let error = format!("{:#}", Config::resolve(Settings::default(), Some(&file)).unwrap_err());
    assert!(error.contains("version") && error.contains("versions"), "{error}");
}

#[test]
fn the_guard_lies_beside_the_data() {
    let given = Settings { data: Some(PathBuf::from("/srv/quipu/data/")), ..Settings::default() };
    let config = Config::resolve(given, None).unwrap();
    assert_eq!(config.guard(), Path::new("/srv/quipu/data.guard"));
}

#[test]
fn passwords_in_urls_are_not_shown() {
    for (text, shown) in [
        (
            "GOPROXY = \"https://me:s%40c@a.example/go,https://b.example|direct\"",
            "GOPROXY = \"https://me:xxxxx@a.example/go,https://b.example|direct\"",
        ),
        ("'sum+1+A http://:p@h:1'", "'sum+1+A http://:xxxxx@h:1'"),
        ("https://user@a.example:8080/x:y@z", "https://user@a.example:8080/x:y@z"),
        ("no URL", "no URL"),
    ] {
        assert_eq!(mask_passwords(text), shown);
    }
    let mut config = Config::resolve(Settings::default(), None).unwrap();
    config.set.go.goproxy = Some("https://me:secret@a.example".to_owned());
    assert!(!config.show().unwrap().contains("secret"));
}

#[test]
fn an_empty_list_opens_nothing_that_a_lower_layer_keeps() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("quipu.toml");
    fs::write(&file, "[go]\nGOPRIVATE = \"corp.example\"\nGONOPROXY = \"\"\nGONOSUMDB = \"b.example\"\n")
        .unwrap();
    let empty = || Some(String::new());
    let go =
        Go { goprivate: empty(), gonoproxy: empty(), gonosumdb: Some("none".to_owned()), ..Go::default() };
    let given = Settings { go, ..Settings::default() };
    let go = Config::resolve(given, Some(&file)).unwrap().set.go;
    assert_eq!(go.goprivate.as_deref(), Some("corp.example"));
    assert_ne!(go.gonoproxy.as_deref(), Some(""));
    assert_eq!(go.gonosumdb.as_deref(), Some("none"));
}
