//! GOPROXY and GOSUMDB values, as `go help goproxy` and `go help module-auth` describe them. What is
//! wanted was seen with go 1.26.

use quipu_module::{Fallback, ProxyList, ProxyTarget, SUM_GOLANG_ORG_KEY, SumDb};

#[test]
fn proxy_lists() {
    let cases = [
        ("https://a.example", "https://a.example"),
        ("a.example", "https://a.example"),
        ("a.example:8080/x", "https://a.example:8080/x"),
        (" http://a.example , direct ", "http://a.example,direct"),
        ("a.example|b.example,direct|c.example", "https://a.example|https://b.example,direct"),
        ("off,a.example", "off"),
        (",,|a.example,", "https://a.example"),
        ("file:///var/proxy", "file:///var/proxy"),
        ("HTTPS://a.example", "HTTPS://a.example"),
        ("https://me:secret@a.example/x", "https://me:xxxxx@a.example/x"),
        ("https://token@a.example", "https://token@a.example"),
        ("https://[::1]:80,direct", "https://[::1]:80,direct"),
    ];
    for (list, want) in cases {
        assert_eq!(ProxyList::parse(list).unwrap().to_string(), want, "{list:?}");
    }
}

#[test]
fn separators_say_when_to_go_on() {
    let list = ProxyList::parse("a.example|b.example,c.example|off").unwrap();
    let fallbacks: Vec<Fallback> = list.entries().iter().map(|entry| entry.fallback).collect();
    assert_eq!(
        fallbacks,
        [Fallback::OnAnyError, Fallback::OnNotFound, Fallback::OnAnyError, Fallback::OnNotFound]
    );
    assert_eq!(list.entries().last().unwrap().target, ProxyTarget::Off);
}

#[test]
fn bad_proxy_lists() {
    let empty = "GOPROXY list is not the empty string, but contains no entries";
    let cases = [
        ("", empty),
        (" ", empty),
        (",|,", empty),
        ("proxy", "invalid proxy URL missing scheme: proxy"),
        ("/var/proxy", "invalid proxy URL missing scheme: /var/proxy"),
        ("ftp://a.example", "invalid proxy URL scheme (must be https, http, file): ftp://a.example"),
        ("file://host/x", "invalid file:// proxy URL with non-path elements: file://host/x"),
        ("file:/x", "invalid file:// proxy URL with non-path elements: file:/x"),
        ("file:///x?q", "invalid file:// proxy URL with non-path elements: file:///x?q"),
        ("https://a.example:port", r#"parse "https://a.example:port": invalid port ":port" after host"#),
        ("https://a b", r#"parse "https://a b": invalid character " " in host name"#),
        ("https://a.example/%zz", r#"parse "https://a.example/%zz": invalid URL escape "%zz""#),
        ("https://[::1", r#"parse "https://[::1": missing ']' in host"#),
        ("://a.example", r#"parse "://a.example": missing protocol scheme"#),
        (
            "https://a.example/\u{7f}",
            r#"parse "https://a.example/\x7f": net/url: invalid control character in URL"#,
        ),
    ];
    for (list, want) in cases {
        assert_eq!(ProxyList::parse(list).unwrap_err().to_string(), want, "{list:?}");
    }
}

#[test]
fn passwords_are_not_shown() {
    for list in
        ["https://me:secret@a.example:x", "https://me:secret@a.example/%z", "ftp://me:secret@a.example"]
    {
        assert!(!ProxyList::parse(list).unwrap_err().to_string().contains("secret"), "{list}");
    }
    let list = ProxyList::parse("https://me:secret@a.example/x").unwrap();
    assert!(!format!("{list:?} {list}").contains("secret"));
    let ProxyTarget::Url(url) = &list.entries()[0].target else { panic!("no URL") };
    assert_eq!(url.as_str(), "https://me:secret@a.example/x");
}

#[test]
fn databases() {
    let own = "sum.corp.example/a+12345678+QUJD";
    let cases = [
        ("", "sum.golang.org", SUM_GOLANG_ORG_KEY, None),
        ("sum.golang.org", "sum.golang.org", SUM_GOLANG_ORG_KEY, None),
        ("sum.golang.google.cn", "sum.golang.org", SUM_GOLANG_ORG_KEY, Some("https://sum.golang.google.cn")),
        (
            "sum.golang.org https://x.example/y",
            "sum.golang.org",
            SUM_GOLANG_ORG_KEY,
            Some("https://x.example/y"),
        ),
        (own, "sum.corp.example/a", own, None),
        (&format!(" {own}  http://x.example "), "sum.corp.example/a", own, Some("http://x.example")),
    ];
    for (value, name, key, url) in cases {
        let SumDb::Database(database) = SumDb::parse(value).unwrap() else { panic!("{value} is off") };
        assert_eq!((database.name(), database.key()), (name, key), "{value}");
        assert_eq!(database.url().map(|url| url.as_str()), url, "{value}");
    }
    assert_eq!(SumDb::parse("off").unwrap(), SumDb::Off);
}

#[test]
fn bad_databases() {
    let malformed = "invalid GOSUMDB: malformed verifier id";
    let cases = [
        (" ", "missing GOSUMDB"),
        ("a b c", "invalid GOSUMDB: too many fields"),
        ("sum.corp.example", malformed),
        ("sum.golang.google.cn https://x.example", malformed),
        ("sum.corp.example+1234567+QUJD", malformed),
        ("sum.corp.example+1234567g+QUJD", malformed),
        ("sum.corp.example+12345678+", malformed),
        ("+12345678+QUJD", malformed),
        ("sum/+12345678+QUJD", "invalid sumdb name (must be host[/path]): sum/"),
        ("me@sum+12345678+QUJD", "invalid sumdb name (must be host[/path]): me@sum"),
        ("sum?q+12345678+QUJD", "invalid sumdb name (must be host[/path]): sum?q"),
        ("sum#f+12345678+QUJD", "invalid sumdb name (must be host[/path]): sum#f"),
        ("/sum+12345678+QUJD", "invalid sumdb name (must be host[/path]): /sum"),
        (
            "sum.golang.org https://a:b:c",
            r#"invalid GOSUMDB URL: parse "https://a:b:c": invalid port ":b:c" after host"#,
        ),
    ];
    for (value, want) in cases {
        assert_eq!(SumDb::parse(value).unwrap_err().to_string(), want, "{value:?}");
    }
}
