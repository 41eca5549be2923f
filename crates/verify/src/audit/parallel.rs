//! The same work for many numbers, on several threads.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does `work` for each number of a range, on at most `threads` threads. After an error nothing new is begun; of several
/// the one with the lowest number is returned.
pub(super) fn parallel<E: Send>(
    threads: usize,
    range: Range<u64>,
    work: impl Fn(u64) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let next = AtomicU64::new(range.start);
    let first_error: Mutex<Option<(u64, E)>> = Mutex::new(None);
    let one_thread = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= range.end {
                break;
            }
            if let Err(error) = work(n) {
                next.store(range.end, Ordering::Relaxed);
                let mut first = first_error.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|(before, _)| n < *before) {
                    *first = Some((n, error));
                }
            }
        }
    };
    let threads =
        threads.max(1).min(usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX));
    thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(one_thread)));
        one_thread();
    });
    match first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}
