//! Keeps the keys of a step in rough order while they come in, so that little is left to sort.

use std::sync::{Mutex, PoisonError};

use super::runs::Key;

/// Takes keys from many threads. Hashes are uniform, so their first bits part them evenly: a bucket for each value.
pub(super) struct Sorter(Mutex<Vec<Vec<Key>>>);

impl Sorter {
    pub(super) fn new() -> Self {
        Self(Mutex::new(vec![Vec::new(); 1 << BITS]))
    }

    /// Takes keys in any order.
    pub(super) fn add(&self, keys: &[Key]) {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            buckets[(key.hash >> (u64::BITS - BITS)) as usize].push(*key);
        }
    }

    /// The keys, in buckets: those of each one are all smaller than those of the next, and not yet sorted.
    pub(super) fn finish(self) -> Vec<Vec<Key>> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A full step leaves some 128 KiB in each of 256 buckets, which the nearest cache but one holds.
const BITS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_hold_every_key() {
        let key = |record: u64| Key { hash: record.wrapping_mul(0x9e37_79b9_7f4a_7c15), record };
        let (sorter, count) = (Sorter::new(), 100_000);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let keys: Vec<Key> = (0..count).filter(|n| n % 3 == thread).map(key).collect();
                let sorter = &sorter;
                scope.spawn(move || keys.chunks(256).for_each(|keys| sorter.add(keys)));
            }
        });
        let mut buckets = sorter.finish();
        buckets.iter_mut().for_each(|bucket| bucket.sort_unstable());
        let keys = buckets.concat();
        assert!(keys.is_sorted());
        let mut records: Vec<u64> = keys.iter().map(|key| key.record).collect();
        records.sort_unstable();
        assert!(records.into_iter().eq(0..count));
    }
}
