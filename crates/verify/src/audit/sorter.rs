//! Sorts keys while they come in, on the threads that bring them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::runs::Key;

/// Keys in pieces, each of which is sorted by the thread that has filled it: at the end only merging is left.
#[derive(Default)]
pub(super) struct Sorter {
    open: Mutex<Vec<Key>>,
    sorted: Mutex<Vec<Vec<Key>>>,
}

impl Sorter {
    /// Takes keys in any order.
    pub(super) fn add(&self, keys: &[Key]) {
        let mut open = lock(&self.open);
        open.extend_from_slice(keys);
        if open.len() >= PIECE {
            let piece = std::mem::replace(&mut *open, Vec::with_capacity(PIECE + keys.len()));
            drop(open);
            self.close(piece);
        }
    }

    /// The sorted pieces.
    pub(super) fn finish(self) -> Vec<Vec<Key>> {
        let last = std::mem::take(&mut *lock(&self.open));
        self.close(last);
        self.sorted.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, mut piece: Vec<Key>) {
        piece.sort_unstable_by_key(Key::order);
        lock(&self.sorted).push(piece);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keys of a piece, 1 MiB: what the cache of a processor holds.
const PIECE: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_sorted_and_hold_every_key() {
        let key = |record: u64| Key { hash: record.wrapping_mul(0x9e37_79b9_7f4a_7c15), record };
        let (sorter, count) = (Sorter::default(), 2 * PIECE as u64 + 1000);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let keys: Vec<Key> = (0..count).filter(|n| n % 3 == thread).map(key).collect();
                let sorter = &sorter;
                scope.spawn(move || keys.chunks(256).for_each(|keys| sorter.add(keys)));
            }
        });
        let pieces = sorter.finish();
        assert_eq!(pieces.len(), 3);
        assert!(pieces.iter().all(|piece| piece.is_sorted()));
        let mut records: Vec<u64> = pieces.iter().flatten().map(|key| key.record).collect();
        records.sort_unstable();
        assert!(records.into_iter().eq(0..count));
    }
}
