//! Single flight: however many ask for one thing at once, it is fetched once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};

/// The work under way, by what it is for.
///
/// Whoever asks while work for the same key runs waits for that; it goes on as long as anybody waits, no matter who
/// began it, and is dropped when nobody does.
pub(crate) struct Flights<K: Eq + Hash + Clone, V: Clone> {
    running: Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>,
}

impl<K: Eq + Hash + Clone, V: Clone> Flights<K, V> {
    pub(crate) fn new() -> Self {
        Self { running: Mutex::new(HashMap::new()) }
    }

    /// The outcome of the work for `key` that is under way, or else of the work that `start` gives.
    pub(crate) async fn join(&self, key: K, start: impl FnOnce() -> BoxFuture<'static, V>) -> V {
        // Dropped after the flight, also if this future is dropped half-way.
        let _leave = Leave { flights: self, key: key.clone() };
        self.board(key, start).await
    }

    fn board(&self, key: K, start: impl FnOnce() -> BoxFuture<'static, V>) -> Shared<BoxFuture<'static, V>> {
        let mut running = self.running();
        if let Some(flight) = running.get(&key).and_then(WeakShared::upgrade) {
            return flight;
        }
        let flight = start().shared();
        if let Some(weak) = flight.downgrade() {
            running.insert(key, weak);
        }
        flight
    }

    /// A panic elsewhere cannot leave the map half-changed.
    fn running(&self) -> MutexGuard<'_, HashMap<K, WeakShared<BoxFuture<'static, V>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a flight when the last one has left it.
struct Leave<'a, K: Eq + Hash + Clone, V: Clone> {
    flights: &'a Flights<K, V>,
    key: K,
}

impl<K: Eq + Hash + Clone, V: Clone> Drop for Leave<'_, K, V> {
    fn drop(&mut self) {
        if let Entry::Occupied(entry) = self.flights.running().entry(self.key.clone())
            && entry.get().upgrade().is_none()
        {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{join_all, pending};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn many_askers_one_flight() {
        let flights: Arc<Flights<u8, u32>> = Arc::new(Flights::new());
        let started = Arc::new(AtomicUsize::new(0));
        let ask = |_| {
            let (flights, started) = (flights.clone(), started.clone());
            async move {
                let start = move || {
                    started.fetch_add(1, Ordering::SeqCst);
                    async { tokio::task::yield_now().await }.map(|()| 7).boxed()
                };
                flights.join(1, start).await
            }
        };
        assert_eq!(join_all((0..100).map(ask)).await, [7; 100]);
        assert_eq!(started.load(Ordering::SeqCst), 1);
        assert!(flights.running().is_empty());
    }

    #[tokio::test]
    async fn an_abandoned_flight_is_forgotten() {
        let flights: Flights<u8, u32> = Flights::new();
        let stuck = flights.join(1, || pending().boxed());
        assert_eq!(stuck.now_or_never(), None);
        assert!(flights.running().is_empty());
        assert_eq!(flights.join(1, || async { 2 }.boxed()).await, 2);
    }
}
