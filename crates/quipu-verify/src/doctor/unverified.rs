//! What nobody verifies: modules outside the database, go.sum with holes, go commands that can be deceived.

use quipu_module::Patterns;

use super::finding::{Finding, Group, Severity};
use super::places::{PUBLIC_DATABASE, privacy};
use super::project::Project;
use super::settings::Settings;
use super::text::{some_of, without_credentials};
use super::version::{self, Age};

/// All findings about what is not verified.
pub(crate) fn findings(settings: &Settings, project: &Project, private: &Patterns) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(database(settings));
    found.extend(exempt(settings, project, private));
    found.extend(flags(settings));
    found.extend(sums(settings, project));
    found.extend(go_versions(settings));
    found.extend(malformed_lists(settings));
    found
}

fn finding(severity: Severity, id: &'static str, what: impl std::fmt::Display, why: &str) -> Finding {
    Finding::new((Group::Unverified, severity), id, what, why)
}

fn database(settings: &Settings) -> Option<Finding> {
    match settings.database() {
        Ok(Some(_)) => None,
        Ok(None) => Some(
            finding(
                Severity::Problem,
                "gosumdb-off",
                "GOSUMDB=off: no database is asked",
                "the first download of every version is believed, whoever it comes from; toolchains \
                 cannot be downloaded at all",
            )
            .repair("go env -u GOSUMDB   # or your own database's key"),
        ),
        Err(why) => Some(
            finding(
                Severity::Problem,
                "gosumdb-malformed",
                format!("GOSUMDB cannot be used: {}", without_credentials(&why)),
                "go stops at the first module that is not in go.sum yet",
            )
            .repair("go env -u GOSUMDB   # or <name>+<id>+<key> [URL]"),
        ),
    }
}

/// Modules that the database is not asked about.
fn exempt(settings: &Settings, project: &Project, private: &Patterns) -> Vec<Finding> {
    let Ok(Some(database)) = settings.database() else { return Vec::new() };
    let (list, mut found) = (settings.no_sum(), Vec::new());
    // `none` is how one says that nothing is exempt although GOPRIVATE is set.
    if list.is_empty() || list.to_string() == "none" {
        return found;
    }
    let name = if settings.get("GONOSUMDB").is_empty() { "GOPRIVATE" } else { "GONOSUMDB" };
    if PROBES.iter().all(|path| list.matches(path)) {
        let what = format!("{name}={list} exempts every module from the database");
        let why = "it is GOSUMDB=off by another name";
        return vec![finding(Severity::Problem, "all-exempt", what, why).repair(without(settings, name))];
    }
    let hosts: Vec<&str> =
        OPEN_HOSTS.iter().filter(|(_, probe)| list.matches(probe)).map(|(host, _)| *host).collect();
    if !hosts.is_empty() {
        let what = format!("{name}={list} exempts everybody's modules on {}", some_of(&hosts));
        let why = "of public modules anybody could be given other bytes than the world; list your own \
                   account, as in github.com/account";
        found.push(finding(Severity::Warning, "host-exempt", what, why).repair(without(settings, name)));
    }
    let matching: Vec<&String> = project.required.keys().filter(|path| list.matches(path)).collect();
    if database.name() != PUBLIC_DATABASE {
        found.push(own_database_bypassed(settings, &list, &matching));
        return found;
    }
    let is_public = |path: &&String| privacy(path, project, private, &[]).is_none();
    let (public, own): (Vec<&String>, Vec<&String>) = matching.into_iter().partition(is_public);
    if !own.is_empty() {
        let what = format!("required modules that only go.sum vouches for: {}", some_of(&own));
        let why = "right for private modules as long as the database is the public one: go.sum still \
                   notices later changes, nobody notices a false first download. A database that knows \
                   them closes the gap";
        found.push(finding(Severity::Note, "private-exempt", what, why));
    }
    if !public.is_empty() && hosts.is_empty() {
        let what = format!(
            "required modules that do not look private and are exempt by {name}: {}",
            some_of(&public)
        );
        let why = "the public database has records of public modules: asking it costs nothing";
        found.push(finding(Severity::Warning, "public-exempt", what, why).repair(without(settings, name)));
    }
    found
}

fn own_database_bypassed(settings: &Settings, list: &Patterns, matching: &[&String]) -> Finding {
    let both = list.to_string() == settings.no_proxy().to_string();
    let what = match matching {
        [] => format!("{list} is kept from the database although the database is your own"),
        some => format!("kept from your own database: {}", some_of(some)),
    };
    let what = if both { format!("{what} (and from the proxy)") } else { what };
    let why = "a database that knows private modules needs no exceptions: without them go asks proxy and \
               database for everything, and nothing leaves";
    let severity = if matching.is_empty() { Severity::Note } else { Severity::Warning };
    finding(severity, "own-database-bypassed", what, why).repair("go env -w GONOPROXY=none GONOSUMDB=none")
}

fn without(settings: &Settings, name: &str) -> String {
    let broad = |pattern: &&str| {
        let one = Patterns::new(pattern);
        !OPEN_HOSTS.iter().any(|(_, probe)| one.matches(probe))
            && !PROBES.iter().all(|path| one.matches(path))
    };
    let kept: Vec<&str> = settings.get(name).split(',').filter(broad).collect();
    let kept = kept.join(",");
    if kept.is_empty() || kept == settings.get(name) {
        return format!("go env -u {name}");
    }
    format!("go env -w {}", super::text::shell(&format!("{name}={kept}")))
}

/// GOFLAGS, and a variable that means nothing any more.
fn flags(settings: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    for flag in settings.get("GOFLAGS").split_whitespace() {
        let flag = flag.trim_start_matches('-');
        let name = flag.split('=').next().unwrap_or(flag);
        let Some((_, severity, why)) = FLAGS.iter().find(|(known, ..)| *known == name || *known == flag)
        else {
            continue;
        };
        // The value may be a path or worse; nobody needs it.
        let what = format!("GOFLAGS has -{}", if name == "mod" { flag } else { name });
        found.push(
            finding(*severity, "goflags", what, why)
                .repair("go env -u GOFLAGS   # and set what is still needed"),
        );
    }
    if !settings.get("GONOSUMCHECK").is_empty() {
        let why =
            "go does not know this variable any more: whoever set it expects something that does not happen";
        found.push(
            finding(Severity::Note, "gonosumcheck", "GONOSUMCHECK is set", why).repair("unset GONOSUMCHECK"),
        );
    }
    found
}

/// What go.sum has and has not.
fn sums(settings: &Settings, project: &Project) -> Vec<Finding> {
    let Some(root) = &project.root else { return Vec::new() };
    let tidy = format!("go -C {} mod tidy", super::text::shell_path(root));
    let mut found: Vec<Finding> = project
        .unreadable
        .iter()
        .map(|why| {
            finding(
                Severity::Problem,
                "project-unreadable",
                why,
                "go cannot use it either, and neither can this check",
            )
        })
        .collect();
    let Some(sums) = &project.sums else {
        if !project.required.is_empty() {
            let off = matches!(settings.database(), Ok(None));
            let severity = if off { Severity::Problem } else { Severity::Warning };
            let why = "every checkout trusts the network anew: commit go.sum";
            found.push(finding(severity, "go-sum-missing", "there is no go.sum", why).repair(tidy));
        }
        return found;
    };
    let has = |path: &str, version: &str| {
        let of_go_mod = format!("{version}/go.mod");
        sums.iter().any(|line| line.path == path && (line.version == version || line.version == of_go_mod))
    };
    let required =
        project.required.iter().flat_map(|(path, versions)| versions.iter().map(move |v| (path, v)));
    let missing: Vec<String> = required
        .filter(|(path, version)| !has(path, version))
        .map(|(path, v)| format!("{path}@{v}"))
        .collect();
    if !missing.is_empty() {
        let what = format!("go.sum has no line of {}", some_of(&missing));
        let why = "what they are is decided by the first who downloads them, not by who reviewed the \
                   project";
        found.push(finding(Severity::Warning, "go-sum-holes", what, why).repair(&tidy));
    }
    found.extend(conflicts(sums));
    if project.vendored {
        let what = "the project has a vendor directory";
        let why = "go builds from it and compares it with go.mod only: no hash vouches for what lies there";
        found.push(
            finding(Severity::Note, "vendored", what, why)
                .repair("go mod vendor && git diff --exit-code vendor"),
        );
    }
    found
}

/// Two hashes for one file.
fn conflicts(sums: &[quipu_module::GoSumEntry]) -> Option<Finding> {
    let mut sorted: Vec<_> = sums.iter().filter(|line| line.hash.starts_with("h1:")).collect();
    sorted.sort_by_key(|line| (&line.path, &line.version));
    let pairs = sorted.iter().zip(sorted.iter().skip(1));
    let differ = pairs.filter(|(a, b)| a.path == b.path && a.version == b.version && a.hash != b.hash);
    let names: Vec<String> = differ.map(|(a, _)| format!("{} {}", a.path, a.version)).collect();
    let first = names.first()?.replace("/go.mod", "").replacen(' ', "@", 1);
    let why = "go accepts the one or stops at the other, depending on what it is given: one of them is \
               false";
    let what = format!("go.sum names two hashes for {}", some_of(&names));
    Some(finding(Severity::Problem, "go-sum-conflict", what, why).repair(format!("quipu-verify why {first}")))
}

/// Go commands that a hostile proxy and database can deceive.
fn go_versions(settings: &Settings) -> Vec<Finding> {
    let pinned = settings.get("GOTOOLCHAIN").split('+').next().filter(|name| name.starts_with("go1"));
    let mut found = Vec::new();
    for (version, from) in [(Some(settings.get("GOVERSION")), "go version"), (pinned, "GOTOOLCHAIN")] {
        let Some(version) = version.filter(|version| !version.is_empty()) else { continue };
        let why = "older ones can be given modules that no log holds (CVE-2026-42501, CVE-2026-56864, \
                   CVE-2026-56865): safe are 1.25.13, 1.26.6 and later";
        match version::age(version) {
            Age::Safe => {}
            Age::Old => found.push(
                finding(Severity::Problem, "go-too-old", format!("{from} is {version}"), why)
                    .repair("go env -w GOTOOLCHAIN=go1.26.6+auto   # or install a newer Go"),
            ),
            Age::Unknown => {
                found.push(finding(Severity::Note, "go-unknown", format!("{from} is {version}"), why));
            }
        }
    }
    found
}

fn malformed_lists(settings: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in ["GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE"] {
        let patterns = Patterns::new(settings.get(name));
        if !patterns.malformed().is_empty() {
            let what = format!("{name} has patterns that match nothing: {}", some_of(patterns.malformed()));
            let why = "what they were to protect is not protected";
            found.push(Finding::new((Group::Setup, Severity::Problem), "malformed-pattern", what, why));
        }
    }
    if settings.proxies().is_err() {
        // The text of the list may hold anything, so it is not shown.
        let why = "go stops at the first download";
        found.push(
            Finding::new(
                (Group::Setup, Severity::Problem),
                "goproxy-malformed",
                "GOPROXY cannot be used",
                why,
            )
            .repair("go env GOPROXY"),
        );
    }
    found
}

/// Paths of owners that have nothing in common.
const PROBES: [&str; 4] =
    ["golang.org/x/text", "github.com/quipu-probe/probe", "quipu-probe.io/a/b/c", "probe.quipu-probe.net/x"];

/// Hosts of everybody's modules, and a path on each that is nobody's.
const OPEN_HOSTS: [(&str, &str); 5] = [
    ("github.com", "github.com/quipu-probe/probe"),
    ("gitlab.com", "gitlab.com/quipu-probe/probe"),
    ("bitbucket.org", "bitbucket.org/quipu-probe/probe"),
    ("golang.org/x", "golang.org/x/quipu-probe"),
    ("gopkg.in", "gopkg.in/quipu-probe.v1"),
];

const FLAGS: [(&str, Severity, &str); 7] = [
    (
        "insecure",
        Severity::Note,
        "it has no effect in GOFLAGS since Go 1.16: whoever set it expects something else",
    ),
    ("mod=mod", Severity::Note, "every build may change go.mod and go.sum instead of failing: not for CI"),
    (
        "mod=vendor",
        Severity::Note,
        "go builds from the vendor directory, and no hash vouches for what lies there",
    ),
    ("modcacherw", Severity::Note, "modules in the cache can be changed by accident; go mod verify tells"),
    ("modfile", Severity::Warning, "another go.mod and go.sum than the project's are used"),
    ("overlay", Severity::Warning, "files of the source are replaced by others when building"),
    ("toolexec", Severity::Warning, "a program of somebody's choice runs every tool of every build"),
];

#[cfg(test)]
#[path = "unverified/tests.rs"]
mod tests;
