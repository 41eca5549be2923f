//! Claims against answers: what agrees, and what does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use quipu_module::{ModuleVersion, SumKind};
use quipu_verify::{Error, SignedHead, Verified};

use super::ask::Answer;
use super::claims::{Claim, Input};
use super::finding::{Finding, Rule};
use crate::exit::Exit;

/// What came of it all.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Hashes that are those in the log.
    pub(super) agree: usize,
    /// Everything else, by place.
    pub(super) findings: Vec<Finding>,
    /// Hashes that were not looked at, because the go command would not either.
    pub(super) skipped: usize,
    /// Modules that were looked up.
    pub(super) modules: usize,
    /// What was read.
    pub(super) sources: Vec<String>,
    pub(super) seen: Seen,
}

/// What was seen of the database.
#[derive(Debug)]
pub(super) struct Seen {
    /// The latest head; all that agrees was proven in its tree, or in one that it begins with.
    pub(super) head: Option<Arc<SignedHead>>,
    /// The size of the head that it gave as its latest, if it was asked.
    pub(super) served: Option<u64>,
    /// Answers that could not be kept for the next time.
    pub(super) unkept: u64,
}

impl Outcome {
    /// Compares all claims.
    pub(super) fn new(input: Input, answers: &BTreeMap<ModuleVersion, Answer>, seen: Seen) -> Self {
        let Input { claims, mut findings, sources } = input;
        let all = claims.len();
        let judged: Vec<_> = claims.into_iter().filter_map(|claim| judge(claim, answers)).collect();
        let agree = all - judged.len();
        findings.extend(judged);
        findings.sort_by(|a, b| (&a.place, &a.subject).cmp(&(&b.place, &b.subject)));
        Self { agree, findings, skipped: 0, modules: answers.len(), sources, seen }
    }

    /// How many findings there are of a kind.
    pub(super) fn count(&self, rule: Rule) -> usize {
        self.findings.iter().filter(|finding| finding.rule == rule).count()
    }

    /// What it means as a whole.
    pub(super) fn exit(&self) -> Exit {
        if self.findings.iter().any(|finding| finding.rule.is_difference()) {
            Exit::Differs
        } else if self.findings.is_empty() {
            Exit::Good
        } else {
            Exit::Failed
        }
    }

    /// The size of the latest head, if the database gave a smaller one.
    pub(super) fn rolled_back(&self) -> Option<(u64, u64)> {
        let (head, served) = (self.seen.head.as_ref()?.size(), self.seen.served?);
        (served < head).then_some((served, head))
    }

    /// Says on stderr what is odd and changes nothing.
    pub(super) fn warn(&self, database: &str) {
        if let Some((served, head)) = self.rolled_back() {
            eprintln!(
                "quipu-verify: {database} gives a head of {served} records, although it has signed one of {head}, \
                 which begins with it: an old copy between here and there, or the database was rolled back"
            );
        }
        if self.seen.unkept > 0 {
            eprintln!("quipu-verify: {} answers could not be kept for the next time", self.seen.unkept);
        }
    }
}

/// What is wrong with a claim; none if it agrees with the log.
fn judge(claim: Claim, answers: &BTreeMap<ModuleVersion, Answer>) -> Option<Finding> {
    let (rule, why) = match answers.get(&claim.module) {
        Some(Answer::Proven(verified)) => return compare(claim, verified),
        Some(Answer::Refused(error)) => (rule_of(error), error.to_string()),
        Some(Answer::NotAsked) | None => (Rule::Unchecked, TOO_MANY.to_owned()),
    };
    Some(Finding::of(claim, rule, why))
}

fn compare(claim: Claim, verified: &Verified) -> Option<Finding> {
    let record = verified.record.record();
    let logged = match claim.kind {
        SumKind::Zip => record.zip,
        SumKind::GoMod => record.go_mod,
    };
    if logged == claim.hash {
        return None;
    }
    let why = format!("the log holds {logged} in record {}", verified.id);
    Some(Finding { logged: Some((logged, verified.id)), ..Finding::of(claim, Rule::Differs, why) })
}

const fn rule_of(error: &Error) -> Rule {
    match error {
        Error::NotFound(_) => Rule::NotInLog,
        Error::Unproven(_) | Error::Misbehaved(_) => Rule::Unproven,
        Error::Unavailable(_) | Error::Malformed(_) | Error::State(_) => Rule::Unchecked,
    }
}

const TOO_MANY: &str = "not asked any more: too many lookups in a row had failed";
