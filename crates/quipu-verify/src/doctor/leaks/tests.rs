//! Rules about leaks, one by one.

use super::*;

fn found(values: &[(&str, &str)], go_mod: &str, private: &str, known: &[&str]) -> Vec<Finding> {
    let (settings, mut project) = (Settings::of(values), Project::default());
    project.add_go_mod(go_mod);
    let known: Vec<String> = known.iter().map(|&module| module.to_owned()).collect();
    let (netrc, private) = (Netrc::default(), Patterns::new(private));
    findings(&Scene {
        settings: &settings,
        project: &project,
        netrc: &netrc,
        private: &private,
        known: &known,
    })
}

fn named<'a>(found: &'a [Finding], id: &str) -> &'a Finding {
    found.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("no {id} in {found:#?}"))
}

const STOCK: [(&str, &str); 2] = [("GOPROXY", "https://mirror.public,direct"), ("GOSUMDB", "")];
const CORP: &str = "module git.corp/app\nrequire git.corp/lib v1.0.0\nrequire golang.org/x/text v0.3.0\n";
const OWN_DATABASE: &str = "sum.corp+bdd4f679+ASFS+NGbeR0kRTJC4V8uq2y3z/p7al7TAJeWDgaYgdsS";

#[test]
fn stock_settings_with_public_modules_leak_nothing() {
    let public = "module github.com/me/app\nrequire golang.org/x/text v0.3.0\n";
    assert_eq!(found(&STOCK, public, "", &[]), []);
}

#[test]
fn private_names_leave_with_stock_settings() {
    let found = found(&STOCK, CORP, "", &[]);
    let leak = named(&found, "private-names-leave");
    assert_eq!(leak.severity, Severity::Problem);
    assert!(
        leak.what.ends_with("https://mirror.public, the database sum.golang.org: git.corp/lib"),
        "{leak:?}"
    );
    assert_eq!(leak.repair.as_deref(), Some("go env -w GOPRIVATE=git.corp"));
}

#[test]
fn exceptions_and_own_places_keep_names() {
    for more in [
        [("GOPRIVATE", "git.corp"), ("GOSUMDB", "")],
        [("GOPROXY", "https://go.corp"), ("GOSUMDB", OWN_DATABASE)],
        [("GONOPROXY", "git.corp/*"), ("GONOSUMDB", "*.corp")],
        [("GONOPROXY", "git.corp"), ("GOSUMDB", "off")],
    ] {
        assert_eq!(found(&[&STOCK[..], &more].concat(), CORP, "", &[]), [], "{more:?}");
    }
}

#[test]
fn an_exception_for_one_way_leaves_the_other() {
    let values = [STOCK[0], ("GONOPROXY", "git.corp"), ("GOSUMDB", "")];
    let found = found(&values, CORP, "", &[]);
    let leak = named(&found, "private-names-leave");
    assert!(!leak.what.contains("mirror.public") && leak.what.contains("sum.golang.org"), "{leak:?}");
    assert_eq!(leak.repair.as_deref(), Some("go env -w GONOPROXY=git.corp GONOSUMDB=git.corp"));
}

#[test]
fn modules_of_the_same_owner_are_a_warning_unless_known() {
    let kin = "module github.com/acme/app\nrequire github.com/acme/lib v1.0.0\n";
    let warned = found(&STOCK, kin, "", &[]);
    assert_eq!(named(&warned, "own-names-leave").severity, Severity::Warning);
    assert_eq!(found(&STOCK, kin, "", &["github.com/acme/lib"]), []);
    let said = found(&STOCK, kin, "github.com/acme/*", &["github.com/acme/lib"]);
    let leak = named(&said, "private-names-leave");
    assert_eq!(
        (leak.severity, leak.repair.as_deref()),
        (Severity::Problem, Some("go env -w GOPRIVATE=github.com/acme"))
    );
}

#[test]
fn a_list_that_goes_on_tells_the_next() {
    let fallback = |list: &str| {
        let found = found(&[("GOPROXY", list), ("GOSUMDB", OWN_DATABASE)], "module x\n", "", &[]);
        found.into_iter().map(|finding| (finding.id, finding.severity)).collect::<Vec<_>>()
    };
    assert_eq!(fallback("https://go.corp"), []);
    assert_eq!(fallback("https://go.corp,off"), []);
    assert_eq!(fallback("https://go.corp,direct"), [("proxy-fallback", Severity::Note)]);
    assert_eq!(fallback("https://go.corp|direct"), [("proxy-fallback", Severity::Warning)]);
    assert_eq!(fallback("https://go.corp,https://mirror.public"), [("proxy-fallback", Severity::Warning)]);
    assert_eq!(fallback("https://mirror.public,direct"), []);
    let values = [("GOPROXY", "https://a.corp,https://b.corp|direct")];
    let found = found(&values, "module x\n", "", &[]);
    assert_eq!(
        found.last().unwrap().repair.as_deref(),
        Some(r#"go env -w GOPROXY="$(go env GOPROXY | sed -E 's/^(([^,|]*[,|]){1}[^,|]*).*/\1/')""#)
    );
}

#[test]
fn what_is_not_encrypted_is_named() {
    let values = [("GOPROXY", "http://go.corp:80/x"), ("GOINSECURE", "*.corp"), ("GOSUMDB", OWN_DATABASE)];
    let plain = found(&values, "module x\n", "", &[]);
    assert!(named(&plain, "plain-http").what.contains("http://go.corp:80"));
    assert!(named(&plain, "goinsecure").what.contains("GOINSECURE=*.corp"));
    let values = [("GOPROXY", "http://127.0.0.1:8080"), ("GOSUMDB", OWN_DATABASE)];
    assert_eq!(found(&values, "module x\n", "", &[]), []);
    let database = format!("{OWN_DATABASE} http://u:s3cret@sum.corp");
    let plain = found(&[("GOPROXY", "https://go.corp"), ("GOSUMDB", &database)], "module x\n", "", &[]);
    assert!(named(&plain, "plain-http").what.contains("GOSUMDB"));
    assert!(named(&plain, "credentials-in-url").what.contains("http://sum.corp"));
}

#[test]
fn no_finding_shows_a_secret() {
    let values = [
        (
            "GOPROXY",
            "https://me:s3cret@go.corp/s3cret?k=s3cret|http://s3cret@b.corp,https://go.corp/s3cret/x,direct",
        ),
        (
            "GOSUMDB",
            "sum.corp+bdd4f679+ASFS+NGbeR0kRTJC4V8uq2y3z/p7al7TAJeWDgaYgdsS https://s3cret@sum.corp/s3cret",
        ),
        ("GOAUTH", "helper s3cret"),
    ];
    let found = found(&values, CORP, "", &[]);
    named(&found, "credentials-in-url");
    assert!(!format!("{found:?}").contains("s3cret"), "{found:#?}");
}
