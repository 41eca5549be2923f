//! Rules about what is not verified, one by one.

use super::*;

fn found(values: &[(&str, &str)], project: &Project) -> Vec<(&'static str, Severity)> {
    let found = findings(&Settings::of(values), project, &Patterns::default());
    found.into_iter().map(|finding| (finding.id, finding.severity)).collect()
}

fn alone(values: &[(&str, &str)]) -> Vec<(&'static str, Severity)> {
    found(values, &Project::default())
}

fn project(go_mod: &str, go_sum: Option<&str>) -> Project {
    let mut project = Project { root: Some("/p".into()), ..Project::default() };
    project.add_go_mod(go_mod);
    project.sums = go_sum.map(|text| quipu_module::parse_go_sum(text.as_bytes()).unwrap());
    project
}

const OWN_DATABASE: &str = "sum.corp+bdd4f679+ASFS+NGbeR0kRTJC4V8uq2y3z/p7al7TAJeWDgaYgdsS";
const H: &str = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[test]
fn stock_settings_are_fine() {
    assert_eq!(
        alone(&[("GOVERSION", "go1.26.8"), ("GOTOOLCHAIN", "auto"), ("GOFLAGS", "-buildvcs=false")]),
        []
    );
}

#[test]
fn a_database_that_is_off_or_wrong() {
    assert_eq!(alone(&[("GOSUMDB", "off")]), [("gosumdb-off", Severity::Problem)]);
    assert_eq!(alone(&[("GOSUMDB", "sum.corp")]), [("gosumdb-malformed", Severity::Problem)]);
}

#[test]
fn exceptions_are_judged_by_what_they_exempt() {
    for all in ["*", "*.*,a", "git.corp,*"] {
        assert_eq!(alone(&[("GONOSUMDB", all)]), [("all-exempt", Severity::Problem)], "{all}");
    }
    for host in ["github.com", "github.com/*", "*.com", "a.test,gitlab.com/*/*"] {
        assert_eq!(alone(&[("GOPRIVATE", host)]), [("host-exempt", Severity::Warning)], "{host}");
    }
    assert_eq!(alone(&[("GOPRIVATE", "github.com/acme")]), []);
    assert_eq!(alone(&[("GOPRIVATE", "github.com/acme,[")]), [("malformed-pattern", Severity::Problem)]);
}

#[test]
fn exempt_modules_are_told_apart() {
    let sums = format!("git.corp/lib v1.0.0 {H}\nb.dev/x v1.0.0 {H}\n");
    let project =
        project("module git.corp/app\nrequire git.corp/lib v1.0.0\nrequire b.dev/x v1.0.0\n", Some(&sums));
    assert_eq!(found(&[("GOPRIVATE", "git.corp")], &project), [("private-exempt", Severity::Note)]);
    assert_eq!(found(&[("GOPRIVATE", "b.dev")], &project), [("public-exempt", Severity::Warning)]);
    let own = [("GOSUMDB", OWN_DATABASE), ("GOPRIVATE", "git.corp")];
    assert_eq!(found(&own, &project), [("own-database-bypassed", Severity::Warning)]);
    assert_eq!(
        found(&[("GOSUMDB", OWN_DATABASE), ("GONOSUMDB", "none"), ("GOPRIVATE", "git.corp")], &project),
        []
    );
    assert_eq!(alone(&own), [("own-database-bypassed", Severity::Note)]);
}

#[test]
fn only_what_is_too_broad_is_taken_out() {
    let settings = Settings::of(&[("GOPRIVATE", "git.corp,github.com,*.x")]);
    assert_eq!(without(&settings, "GOPRIVATE"), "go env -w 'GOPRIVATE=git.corp,*.x'");
}

#[test]
fn flags_that_change_what_is_built() {
    let flags = "-mod=mod -mod=readonly -insecure --toolexec=/s3cret -modcacherw -v -overlay=x -mod=vendor";
    assert_eq!(
        alone(&[("GOFLAGS", flags), ("GONOSUMCHECK", "1")]),
        [
            ("goflags", Severity::Note),
            ("goflags", Severity::Note),
            ("goflags", Severity::Warning),
            ("goflags", Severity::Note),
            ("goflags", Severity::Warning),
            ("goflags", Severity::Note),
            ("gonosumcheck", Severity::Note),
        ]
    );
    let all = findings(&Settings::of(&[("GOFLAGS", flags)]), &Project::default(), &Patterns::default());
    assert!(!format!("{all:?}").contains("s3cret"));
}

#[test]
fn go_sum_with_holes() {
    let go_mod = "module x\nrequire (\n a.test/x v1.0.0\n b.test/y v1.0.0\n)\n";
    assert_eq!(found(&[], &project(go_mod, None)), [("go-sum-missing", Severity::Warning)]);
    assert_eq!(
        found(&[("GOSUMDB", "off")], &project(go_mod, None)),
        [("gosumdb-off", Severity::Problem), ("go-sum-missing", Severity::Problem)]
    );
    assert_eq!(found(&[], &project("module x\n", None)), []);
    let one = format!("a.test/x v1.0.0/go.mod {H}\n");
    assert_eq!(found(&[], &project(go_mod, Some(&one))), [("go-sum-holes", Severity::Warning)]);
    let both = format!("{one}b.test/y v1.0.0 {H}\n");
    assert_eq!(found(&[], &project(go_mod, Some(&both))), []);
    let two = format!("{both}b.test/y v1.0.0 {}\n", H.replace("AAA=", "BBA="));
    assert_eq!(found(&[], &project(go_mod, Some(&two))), [("go-sum-conflict", Severity::Problem)]);
}

#[test]
fn a_go_command_that_can_be_deceived() {
    assert_eq!(alone(&[("GOVERSION", "go1.26.5")]), [("go-too-old", Severity::Problem)]);
    assert_eq!(
        alone(&[("GOVERSION", "go1.26.6"), ("GOTOOLCHAIN", "go1.25.1+auto")]),
        [("go-too-old", Severity::Problem)]
    );
    assert_eq!(alone(&[("GOVERSION", "devel go1.28-x")]), [("go-unknown", Severity::Note)]);
}
