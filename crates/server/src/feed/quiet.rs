//! Where the index shows nothing, for a while: under a policy that refuses most of a large log a page would otherwise read
//! through all of it each time it is asked for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a range is passed over. What the policy offers anew is shown so much later.
const KEPT: Duration = Duration::from_secs(60);

/// Most ranges remembered.
const MOST: usize = 4096;

/// Shorter ranges are read again: so many records take a moment.
const SHORTEST: u64 = 1000;

/// Half-open ranges of record indexes, by where they begin: where they end, and when their oldest part was read.
#[derive(Default)]
pub(super) struct Quiet(Mutex<BTreeMap<u64, (u64, Instant)>>);

impl Quiet {
    /// Remembers that nothing is shown of the records in `range`, which were read just now.
    pub(super) fn note(&self, range: Range<u64>) {
        let mut ranges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ranges.retain(|_, (_, read)| read.elapsed() < KEPT);
        let before = ranges.range(..=range.start).next_back().map(|(start, known)| (*start, *known));
        match before.filter(|(_, (end, _))| *end >= range.start) {
            Some((start, (end, read))) => {
                ranges.insert(start, (end.max(range.end), read));
            }
            None if range.end.saturating_sub(range.start) >= SHORTEST && ranges.len() < MOST => {
                ranges.insert(range.start, (range.end, Instant::now()));
            }
            None => {}
        }
    }

    /// The first index from `from` on of which nothing is known.
    pub(super) fn skip(&self, mut from: u64) -> u64 {
        let ranges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, (end, read))) = ranges.range(..=from).next_back()
            && *end > from
            && read.elapsed() < KEPT
        {
            from = *end;
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_read_is_passed_over_for_a_while() {
        let quiet = Quiet::default();
        assert_eq!(quiet.skip(5), 5);
        quiet.note(2000..4000);
        tokio::time::advance(Duration::from_secs(30)).await;
        quiet.note(4000..4001);
        quiet.note(10..20);
        quiet.note(4001..6000);
        for (from, next) in
            [(0, 0), (10, 10), (1999, 1999), (2000, 6000), (4000, 6000), (5999, 6000), (6000, 6000)]
        {
            assert_eq!(quiet.skip(from), next, "{from}");
        }
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(quiet.skip(2000), 2000, "as old as its oldest part");
    }

    #[tokio::test(start_paused = true)]
    async fn ranges_that_meet_are_passed_together_and_few_are_remembered() {
        let quiet = Quiet::default();
        quiet.note(3000..4000);
        quiet.note(2000..3500);
        assert_eq!(quiet.skip(2000), 4000);
        for start in 0..10_000 {
            quiet.note(start * 2000..start * 2000 + 1000);
        }
        assert!(quiet.0.lock().unwrap().len() <= MOST);
    }
}
