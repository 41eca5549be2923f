//! The verdict: one sentence for what all the hashes mean together.

use quipu_module::{ModuleVersion, Record, SumKind};

use super::view::{Held, Kind, View};
use crate::exit::Exit;

/// What the log says.
#[derive(Debug)]
pub(super) enum Log {
    /// It holds this record, with this id.
    Holds(Record, u64),
    /// The database says that it does not hold the version.
    Absent(String),
    /// The database's answer is not what its signed tree holds.
    Unproven(String),
    /// It could not be asked.
    Unknown(String),
    /// It was not to be asked.
    NotAsked(String),
}

/// The sentence and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) exit: Exit,
    pub(super) text: String,
}

fn verdict(exit: Exit, text: impl Into<String>) -> Verdict {
    Verdict { exit, text: text.into() }
}

/// Judges what was found.
pub(super) fn judge(log: &Log, views: &[View]) -> Verdict {
    let others: Vec<&View> = views.iter().filter(|view| view.kind != Kind::Log).collect();
    match log {
        Log::Holds(record, _) => against(record, &others),
        Log::Absent(_) => absent(&others),
        Log::Unproven(why) => verdict(
            Exit::Differs,
            format!("the database's answer must not be used, its signed tree does not hold it: {why}"),
        ),
        Log::Unknown(why) => among(&others, &format!("the log could not be asked ({why})"), Exit::Failed),
        Log::NotAsked(why) => among(&others, &format!("the log was not asked ({why})"), Exit::Good),
    }
}

/// What of a view is not as in the log.
fn wrong(record: &Record, view: &View) -> Option<SumKind> {
    let differs = |kind: &SumKind| match view.held(*kind) {
        Held::Hash(hash, _) => *hash != record.line(*kind).hash,
        Held::Damaged(..) => true,
        _ => false,
    };
    [SumKind::Zip, SumKind::GoMod].into_iter().find(differs)
}

fn against(record: &Record, views: &[&View]) -> Verdict {
    let find = |kind: Kind| {
        let mut views = views.iter().filter(|view| view.kind == kind);
        views.find_map(|view| Some((*view, wrong(record, view)?)))
    };
    let text = if let Some((origin, _)) = find(Kind::Direct) {
        moved(origin, find(Kind::Proxy).map(|(proxy, _)| proxy))
    } else if let Some((proxy, what)) = find(Kind::Proxy) {
        foreign(proxy, what, views)
    } else if let Some((cache, what)) = find(Kind::Cache) {
        cached(cache, what, find(Kind::Recorded).is_some(), views)
    } else if let Some((recorded, _)) = find(Kind::Recorded) {
        let place = place(&recorded.zip);
        format!("the go command's note of the hash is wrong, the zip beside it is as logged: remove {place}")
    } else if let Some((go_sum, what)) = find(Kind::GoSum) {
        let line = place(go_sum.held(what));
        format!(
            "{} is wrong in {line}: everything else that could be asked agrees with the log",
            go_sum.label
        )
    } else {
        return agreeing(&record.module, views);
    };
    verdict(Exit::Differs, text)
}

/// The repository differs.
fn moved(origin: &View, proxy: Option<&View>) -> String {
    let moved = "the tag was moved after the log recorded it: the repository now holds other content";
    match proxy {
        Some(proxy) if proxy.zip.hash() == origin.zip.hash() => {
            format!("{moved}, and {} serves that", proxy.label)
        }
        Some(proxy) => format!("{moved}, and {} serves yet another", proxy.label),
        None => format!(
            "{moved} than was logged, so use another version or a proxy that still has the logged one"
        ),
    }
}

/// A proxy differs, and the repository does not as far as is known.
fn foreign(proxy: &View, what: SumKind, views: &[&View]) -> String {
    let mut text = format!(
        "the proxy {} serves a {} that the log does not know: do not use it",
        proxy.label,
        name(what)
    );
    if views.iter().any(|view| view.kind == Kind::Direct && view.zip.hash().is_some()) {
        text.push_str("; the repository still has what was logged");
    }
    let same = |view: &&&View| {
        view.kind != Kind::Proxy && proxy.held(what).hash().is_some() && {
            view.held(what).hash() == proxy.held(what).hash()
        }
    };
    if let Some(taken) = views.iter().find(same) {
        text.push_str(&format!("; {} has taken it over", taken.label));
    }
    text
}

/// The module cache differs, and no proxy does.
fn cached(cache: &View, what: SumKind, recorded_differs: bool, views: &[&View]) -> String {
    let place = place(cache.held(what));
    let recorded = views.iter().any(|view| view.kind == Kind::Recorded && view.zip.hash().is_some());
    if what == SumKind::Zip && recorded && !recorded_differs {
        return format!(
            "the local cache is damaged: its zip is not the one that go downloaded and checked, remove {place}"
        );
    }
    let what = name(what);
    format!(
        "the local cache holds a {what} that the log does not know: it was damaged, changed, or downloaded without \
         being checked against this log; remove {place}"
    )
}

fn agreeing(module: &ModuleVersion, views: &[&View]) -> Verdict {
    let agree: Vec<&str> = holders(views).map(|view| view.label.as_str()).collect();
    let failed = views.iter().find_map(|view| failure(view));
    match (failed, agree.is_empty()) {
        (Some((view, why)), true) => {
            verdict(Exit::Failed, format!("{} could not be asked: {why}", view.label))
        }
        (Some((view, why)), false) => verdict(
            Exit::Failed,
            format!("all that could be asked agree with the log, but {} could not be: {why}", view.label),
        ),
        (None, true) => {
            verdict(Exit::Failed, format!("only the log has {module}, there is nothing to compare"))
        }
        (None, false) => verdict(Exit::Good, format!("all agree: the log, {}", agree.join(", "))),
    }
}

fn absent(views: &[&View]) -> Verdict {
    let have: Vec<&str> = holders(views).map(|view| view.label.as_str()).collect();
    if have.is_empty() {
        return verdict(Exit::Failed, "neither the log nor anybody else that was asked has this version");
    }
    verdict(
        Exit::Differs,
        format!("the log does not hold this version, which these have: {}", have.join(", ")),
    )
}

/// Without the log only the others can be compared; `unanimous` is the code if they agree.
fn among(views: &[&View], why: &str, unanimous: Exit) -> Verdict {
    for kind in [SumKind::Zip, SumKind::GoMod] {
        let mut holders = views.iter().filter(|view| view.held(kind).hash().is_some());
        let Some(first) = holders.next() else { continue };
        if let Some(other) = holders.find(|view| view.held(kind).hash() != first.held(kind).hash()) {
            let what = name(kind);
            let text = format!("{why}, and {} and {} hold different {what}s", first.label, other.label);
            return verdict(Exit::Differs, text);
        }
    }
    if let Some(view) = views.iter().find(|view| matches!(view.zip, Held::Damaged(..))) {
        return verdict(Exit::Differs, format!("{why}, and the zip of {} is damaged", view.label));
    }
    match holders(views).count() {
        0 | 1 => verdict(Exit::Failed, format!("{why}, and there is nothing to compare")),
        _ if views.iter().any(|view| failure(view).is_some()) => {
            verdict(Exit::Failed, format!("{why}, and not all others could be; those that could agree"))
        }
        _ => verdict(unanimous, format!("{why}, all others agree")),
    }
}

fn holders<'a>(views: &[&'a View]) -> impl Iterator<Item = &'a View> {
    views.iter().copied().filter(|view| view.zip.hash().or(view.go_mod.hash()).is_some())
}

fn failure(view: &View) -> Option<(&View, &str)> {
    [&view.zip, &view.go_mod].into_iter().find_map(|held| match held {
        Held::Failed(why) => Some((view, why.as_str())),
        _ => None,
    })
}

/// Where exactly it lies.
fn place(held: &Held) -> &str {
    match held {
        Held::Hash(_, place) | Held::Damaged(_, place) => place,
        _ => "it",
    }
}

const fn name(kind: SumKind) -> &'static str {
    match kind {
        SumKind::Zip => "zip",
        SumKind::GoMod => "go.mod",
    }
}
