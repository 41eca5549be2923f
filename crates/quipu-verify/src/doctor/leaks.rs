//! What others learn: names of private modules, and credentials.

use quipu_module::{Fallback, Patterns};

use super::finding::{Finding, Group, Severity};
use super::netrc::Netrc;
use super::places::{Owner, PUBLIC_DATABASE, Place, Privacy, is_loopback, owner_prefix, places, privacy};
use super::project::Project;
use super::settings::Settings;
use super::text::{has_credentials, host_of, place_of, shell, some_of};

/// What the rules look at.
pub(crate) struct Scene<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) project: &'a Project,
    pub(crate) netrc: &'a Netrc,
    /// What the user says is private.
    pub(crate) private: &'a Patterns,
    /// Modules that the public database has records of.
    pub(crate) known: &'a [String],
}

/// All findings about leaks.
pub(crate) fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let places = places(scene.settings, scene.project, &scene.netrc.hosts);
    let mut found = Vec::new();
    for privacy in [Privacy::Private, Privacy::Kin] {
        found.extend(names(scene, &places, privacy));
    }
    found.extend(fallbacks(&places));
    found.extend(transports(scene.settings, &places));
    found.extend(credentials(scene, &places));
    found
}

/// Names of private modules that are told to others.
fn names(scene: &Scene<'_>, places: &[Place], wanted: Privacy) -> Option<Finding> {
    let (no_proxy, no_sum) = (scene.settings.no_proxy(), scene.settings.no_sum());
    let private = scene
        .project
        .required
        .keys()
        .filter(|path| privacy(path, scene.project, scene.private, scene.known) == Some(wanted));
    let foreign_database = matches!(scene.settings.database(), Ok(Some(db)) if db.name() == PUBLIC_DATABASE);
    let to_proxies: Vec<&Place> = places.iter().filter(|place| place.owner != Owner::Own).collect();
    let (mut modules, mut by_proxy, mut by_database) = (Vec::new(), false, false);
    for path in private {
        let proxied = !to_proxies.is_empty() && !no_proxy.matches(path);
        let looked_up = foreign_database && !no_sum.matches(path);
        if proxied || looked_up {
            modules.push(path.clone());
        }
        (by_proxy, by_database) = (by_proxy || proxied, by_database || looked_up);
    }
    if modules.is_empty() {
        return None;
    }
    let mut told: Vec<String> = Vec::new();
    if by_proxy {
        told.extend(to_proxies.iter().map(|place| place.name.clone()));
    }
    if by_database {
        told.push(format!("the database {PUBLIC_DATABASE}"));
    }
    let sure = by_database || to_proxies.iter().any(|place| place.owner == Owner::Public);
    let (id, severity, looks) = match (wanted, sure) {
        (Privacy::Private, true) => ("private-names-leave", Severity::Problem, "are private"),
        (Privacy::Private, false) => ("private-names-leave", Severity::Warning, "are private"),
        (Privacy::Kin, true) => ("own-names-leave", Severity::Warning, "have the owner of this project"),
        (Privacy::Kin, false) => ("own-names-leave", Severity::Note, "have the owner of this project"),
    };
    let what = format!("required modules that {looks} are told to {}: {}", some_of(&told), some_of(&modules));
    let why = match wanted {
        Privacy::Private => {
            "their names and versions are in the logs of whoever runs these servers. One place that knows \
             private and public modules (GOPROXY and GOSUMDB both) needs no exception for any of them"
        }
        Privacy::Kin => {
            "if they are public, this is as it should be; if they are not, their names are in the logs of \
                         whoever runs these servers (--private PATTERNS says which are)"
        }
    };
    let finding = Finding::new((Group::Leaks, severity), id, what, why);
    Some(finding.repair(exceptions(scene.settings, &modules)))
}

/// The command that keeps modules away from proxies and database.
fn exceptions(settings: &Settings, modules: &[String]) -> String {
    let mut patterns: Vec<String> =
        modules.iter().map(|m| owner_prefix(m).unwrap_or_else(|| m.clone())).collect();
    patterns.sort();
    patterns.dedup();
    let with = |name: &str| {
        let before = settings.get(name).split(',').filter(|pattern| !matches!(*pattern, "" | "none"));
        let mut all: Vec<&str> = before.collect();
        let new: Vec<&str> = patterns.iter().map(String::as_str).filter(|new| !all.contains(new)).collect();
        all.extend(new);
        shell(&format!("{name}={}", all.join(",")))
    };
    let inherits =
        |name: &str| settings.get(name).is_empty() || settings.get(name) == settings.get("GOPRIVATE");
    if inherits("GONOPROXY") && inherits("GONOSUMDB") {
        return format!("go env -w {}", with("GOPRIVATE"));
    }
    format!("go env -w {} {}", with("GONOPROXY"), with("GONOSUMDB"))
}

/// Lists that go on to somebody else with what one place does not have or refuses.
fn fallbacks(places: &[Place]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, (before, next)) in places.iter().zip(places.iter().skip(1)).enumerate() {
        if before.owner == Owner::Public && (next.direct || next.owner != Owner::Own) {
            // The names are out already: a question of private modules, which has its own rule.
            continue;
        }
        let when = match next.after {
            Some(Fallback::OnAnyError) => "after any error, a refusal too (a pipe in GOPROXY)",
            _ => "after 404 or 410 (a comma in GOPROXY)",
        };
        let to = if next.direct { "the modules' own repositories" } else { next.name.as_str() };
        let any_error = next.after == Some(Fallback::OnAnyError);
        let severity = if next.direct && !any_error { Severity::Note } else { Severity::Warning };
        let what = format!("what {} does not serve is asked of {to}, {when}", before.name);
        let why = if next.direct {
            "go then runs version control against hosts that the proxy may have kept it from; mistyped \
             and blocked modules are fetched all the same"
        } else {
            "the second learns every name that the first does not have: private modules not yet there, \
             typing errors, and what the first refuses on purpose if the separator is a pipe"
        };
        let finding = Finding::new((Group::Leaks, severity), "proxy-fallback", what, why);
        found.push(finding.repair(edit("GOPROXY", &format!(r"s/^(([^,|]*[,|]){{{at}}}[^,|]*).*/\1/"))));
    }
    found
}

/// The command that changes a setting with a script of sed: what it holds is not shown, and not known here in full.
fn edit(setting: &str, script: &str) -> String {
    format!("go env -w {setting}=\"$(go env {setting} | sed -E {})\"", shell(script))
}

/// Requests that everybody on the way can read.
fn transports(settings: &Settings, places: &[Place]) -> Vec<Finding> {
    let readable = |name: &str, setting: &str| {
        let what = format!("{setting} leads to {name}, not encrypted");
        let why = "everybody on the way reads which modules are built, and can change what no database \
                   vouches for";
        let finding = Finding::new((Group::Leaks, Severity::Warning), "plain-http", what, why);
        finding.repair(edit(setting, "s#http://#https://#g"))
    };
    let is_far = |host: &Option<String>| !host.as_deref().is_some_and(is_loopback);
    let plain = places.iter().filter(|place| place.is_http && is_far(&place.host));
    let mut found: Vec<Finding> = plain.map(|place| readable(&place.name, "GOPROXY")).collect();
    if let Ok(Some(database)) = settings.database()
        && let Some(url) = database.url()
        && url.scheme() == "http"
        && is_far(&host_of(url.as_str()))
    {
        found.push(readable(&place_of(url.as_str()), "GOSUMDB"));
    }
    let insecure = settings.get("GOINSECURE");
    if !insecure.is_empty() {
        let what = format!("GOINSECURE={insecure}: repositories of these modules are also asked without TLS");
        let why = "whoever is on the way can put other code in their place; only go.sum and the database \
                   notice, where they are asked";
        let finding = Finding::new((Group::Leaks, Severity::Warning), "goinsecure", what, why);
        found.push(finding.repair("go env -u GOINSECURE"));
    }
    found
}

/// Where passwords and tokens lie and go.
fn credentials(scene: &Scene<'_>, places: &[Place]) -> Vec<Finding> {
    let mut found = Vec::new();
    let database = scene.settings.database().ok().flatten();
    let url = database.as_ref().and_then(|database| database.url());
    let in_database =
        url.filter(|url| has_credentials(url.as_str())).map(|url| ("GOSUMDB", place_of(url.as_str())));
    let in_proxies =
        places.iter().filter(|place| place.has_credentials).map(|place| ("GOPROXY", place.name.clone()));
    for (setting, name) in in_proxies.chain(in_database) {
        let what = format!("{setting} has a user name or password for {name} in it");
        let why = "it is in the environment of every process, in the output of go env and in logs of CI; \
                   over http go does not even send it. A netrc file or a GOAUTH command keeps it apart";
        let finding = Finding::new((Group::Leaks, Severity::Warning), "credentials-in-url", what, why);
        found.push(finding.repair(edit(setting, "s#//[^/@]*@#//#g")));
    }
    let commands =
        scene.settings.get("GOAUTH").split(';').filter_map(|command| command.split_whitespace().next());
    if commands.into_iter().any(|word| !["netrc", "git", "off"].contains(&word)) {
        let what = "GOAUTH names a program that gives go its credentials";
        let why = "go runs it, and sends what it says to the servers that it names, over https only";
        found.push(Finding::new((Group::Leaks, Severity::Note), "goauth-program", what, why));
    }
    found.extend(scene.netrc.findings(scene.settings, places));
    found
}

#[cfg(test)]
#[path = "leaks/tests.rs"]
mod tests;
