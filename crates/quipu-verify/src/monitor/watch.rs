//! What the answers of a round mean. Knows no clock, no network and no disk: all three are handed in.

use std::collections::BTreeMap;

use super::event::{Alert, Kind};
use super::memory::{Memory, Place};

/// What came of asking a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It served a head of this size; the largest head seen anywhere has the other.
    Head { served: u64, latest: u64 },
    /// Its answer is good.
    Good,
    /// There is no good answer: why, in a word and in words, and where the evidence is.
    Bad { kind: Kind, text: String, evidence: Option<String> },
}

/// Watches a database: takes in what places answer, and raises alerts when something begins to be wrong or ends to be.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    memory: Memory,
    /// For how many seconds the log may stay as it is.
    max_age: Option<u64>,
    /// What each place has shown since the start.
    seen: BTreeMap<String, Seen>,
    counts: BTreeMap<Kind, u64>,
    /// Alerts that could not be kept because too many are undelivered.
    dropped: u64,
    /// How often somebody who is to be told of events did not take one.
    undeliverable: u64,
    /// The last time that all places asked gave a good answer.
    last_good: Option<u64>,
}

/// What a place has shown since the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The size of the head served last.
    pub(super) served: Option<u64>,
    /// When it last gave a good answer, in seconds since 1970.
    pub(super) good: Option<u64>,
    /// Answers that were none or not good.
    pub(super) errors: u64,
    /// What is wrong with it at the moment, also if it is too early for an alert.
    pub(super) bad: Option<Kind>,
}

impl Watch {
    pub(super) const fn new(memory: Memory, max_age: Option<u64>) -> Self {
        Self {
            memory,
            max_age,
            seen: BTreeMap::new(),
            counts: BTreeMap::new(),
            dropped: 0,
            undeliverable: 0,
            last_good: None,
        }
    }

    /// What has to be kept.
    pub(super) const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Takes in what a place answered at a time. Alerts that this raises are returned, and are undelivered from now on.
    pub(super) fn take(&mut self, now: u64, from: &str, outcome: Outcome) -> Vec<Alert> {
        let mut place = self.memory.places.remove(from).unwrap_or_default();
        let bad = judge(&mut place, &outcome);
        self.count(now, from, &outcome, bad);
        let mut alerts = Vec::new();
        if let Outcome::Head { latest, .. } = outcome {
            alerts.extend(self.advance(now, from, latest));
        }
        if let Some(kind) = transition(&mut place, bad) {
            let (text, evidence) = describe(kind, &place, outcome);
            alerts.push(self.raise(Alert { evidence, ..self.alert(now, kind, from, text) }));
        }
        self.memory.places.insert(from.to_owned(), place);
        alerts
    }

    /// Looks at the time: a stall shows by nothing else.
    pub(super) fn tick(&mut self, now: u64) -> Option<Alert> {
        // A clock that was set back must not make the log look fresh for as long.
        self.memory.advanced = self.memory.advanced.min(now);
        let age = now - self.memory.advanced;
        if self.memory.stalled || self.max_age.is_none_or(|max| age <= max) {
            return None;
        }
        self.memory.stalled = true;
        let size = self.memory.size;
        let mut places = self.seen.values();
        let silent = places.all(|seen| seen.good.is_none_or(|good| good <= self.memory.advanced));
        let text = if silent {
            format!("no good answer for {age} s; the last head seen has {size} records")
        } else {
            format!("the log has not grown for {age} s and has {size} records")
        };
        Some(self.raise(self.alert(now, Kind::Stall, "all", text)))
    }

    /// Says when a whole round is over.
    pub(super) fn round(&mut self, now: u64) {
        if self.seen.values().all(|seen| seen.bad.is_none()) {
            self.last_good = Some(now);
        }
    }

    /// Where the reading of records begins, unless that is remembered. Says whether it was taken.
    pub(super) const fn begin(&mut self, position: u64) -> bool {
        let first = self.memory.position.is_none();
        if first {
            self.memory.position = Some(position);
        }
        first
    }

    /// The records that are to be looked at next, half-open; none if there are none.
    pub(super) fn unread(&self) -> Option<(u64, u64)> {
        let position = self.memory.position?;
        (position < self.memory.size).then_some((position, self.memory.size))
    }

    /// All records before this one are dealt with.
    pub(super) fn reported(&mut self, position: u64) {
        self.memory.position = self.memory.position.max(Some(position));
    }

    /// The oldest alert that is undelivered.
    pub(super) fn undelivered(&self) -> Option<&Alert> {
        self.memory.undelivered.front()
    }

    /// The alert of this number was delivered.
    pub(super) fn delivered(&mut self, number: u64) {
        self.memory.undelivered.retain(|alert| alert.number != number);
    }

    /// Counts an event of a kind.
    pub(super) fn count_event(&mut self, kind: Kind) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// How many events of a kind there were since the start.
    pub(super) fn events(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// What each place has shown since the start.
    pub(super) const fn seen(&self) -> &BTreeMap<String, Seen> {
        &self.seen
    }

    /// Somebody did not take an event.
    pub(super) const fn undeliverable(&mut self) {
        self.undeliverable += 1;
    }

    pub(super) const fn delivery_failures(&self) -> u64 {
        self.undeliverable
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) const fn last_good(&self) -> Option<u64> {
        self.last_good
    }

    /// What is known to be wrong with a place.
    pub(super) fn trouble(&self, from: &str) -> Option<Kind> {
        self.memory.places.get(from)?.trouble
    }

    /// All that is wrong at the moment, with what has not been reported yet because it may pass.
    pub(super) fn wrong(&self) -> Vec<Kind> {
        let stall = self.memory.stalled.then_some(Kind::Stall);
        self.seen.values().filter_map(|seen| seen.bad).chain(stall).collect()
    }

    fn advance(&mut self, now: u64, from: &str, latest: u64) -> Option<Alert> {
        if latest <= self.memory.size {
            return None;
        }
        (self.memory.size, self.memory.advanced) = (latest, now);
        let stalled = std::mem::take(&mut self.memory.stalled);
        let text = format!("the log grows again and has {latest} records");
        stalled.then(|| self.raise(self.alert(now, Kind::Recovered, from, text)))
    }

    fn count(&mut self, now: u64, from: &str, outcome: &Outcome, bad: Option<Kind>) {
        let seen = self.seen.entry(from.to_owned()).or_default();
        seen.bad = bad;
        match outcome {
            Outcome::Bad { .. } => seen.errors += 1,
            Outcome::Good => seen.good = Some(now),
            Outcome::Head { served, .. } => (seen.good, seen.served) = (Some(now), Some(*served)),
        }
    }

    fn alert(&self, time: u64, kind: Kind, from: &str, text: String) -> Alert {
        let (number, size) = (self.memory.alerts, self.memory.size);
        Alert { number, kind, time, from: from.to_owned(), text, size, evidence: None }
    }

    /// Counts an alert, and keeps it until it is delivered.
    fn raise(&mut self, alert: Alert) -> Alert {
        self.memory.alerts += 1;
        self.count_event(alert.kind);
        if self.memory.undelivered.len() < MAX_UNDELIVERED {
            self.memory.undelivered.push_back(alert.clone());
        } else {
            self.dropped += 1;
        }
        alert
    }
}

/// What is wrong with a place after an answer; also remembers how large its heads were and how often it was silent.
fn judge(place: &mut Place, outcome: &Outcome) -> Option<Kind> {
    place.silent = match outcome {
        Outcome::Bad { kind: Kind::Unreachable, .. } => place.silent.saturating_add(1),
        _ => 0,
    };
    match outcome {
        Outcome::Good => None,
        Outcome::Bad { kind, .. } => Some(*kind),
        Outcome::Head { served, .. } => {
            let back = *served < place.high;
            place.high = place.high.max(*served);
            back.then_some(Kind::Rollback)
        }
    }
}

/// The alert that a change of what is wrong calls for; remembers what it was.
fn transition(place: &mut Place, bad: Option<Kind>) -> Option<Kind> {
    if bad == Some(Kind::Unreachable) {
        // A silence may pass, and does not end what a place was found to do before it.
        let grave = matches!(place.trouble, Some(Kind::Fork | Kind::Rollback));
        if place.silent < PATIENCE || grave {
            return None;
        }
    }
    if place.trouble == bad {
        return None;
    }
    place.trouble = bad;
    Some(bad.unwrap_or(Kind::Recovered))
}

fn describe(kind: Kind, place: &Place, outcome: Outcome) -> (String, Option<String>) {
    match (kind, outcome) {
        (_, Outcome::Bad { text, evidence, .. }) => (text, evidence),
        (Kind::Rollback, Outcome::Head { served, .. }) => {
            (format!("serves a head of {served} records and had served one of {}", place.high), None)
        }
        (_, Outcome::Head { served, .. }) => (format!("answers well, with a head of {served} records"), None),
        (_, Outcome::Good) => ("answers well".to_owned(), None),
    }
}

/// How often in a row a place may not answer before that is reported.
const PATIENCE: u32 = 3;
/// Alerts that are kept at most.
const MAX_UNDELIVERED: usize = 100;

#[cfg(test)]
mod tests;
