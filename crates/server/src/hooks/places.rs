//! Places for webhooks whose bodies are being read: few for each sender, since who it is is known only afterwards.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::tally::network;

/// Most bodies that are being read at once.
const AT_ONCE: usize = 16;

/// Most of those from one network.
const OF_ONE: usize = 2;

/// How long a sender waits for its place; forges wait ten seconds for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// All places.
pub(super) struct Places {
    all: Semaphore,
    /// Those of each network from which somebody waits or sends: no more than there are connections. Held for a look or a
    /// change, never while waiting.
    by_network: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
pub(super) struct Place<'a> {
    _own: OwnedSemaphorePermit,
    _any: SemaphorePermit<'a>,
    /// Last, since it looks at who else is there.
    _sender: Sender<'a>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self { all: Semaphore::new(AT_ONCE), by_network: Mutex::default() }
    }

    /// A place for who sends from `peer`, if one comes free in time.
    pub(super) async fn take(&self, peer: IpAddr) -> Option<Place<'_>> {
        let sender = Sender::new(self, network(peer));
        let both = async {
            // The own first: whoever waits for that takes no other's.
            let own = Arc::clone(&sender.own).acquire_owned().await.ok()?;
            Some((own, self.all.acquire().await.ok()?))
        };
        let (own, any) = timeout(PATIENCE, both).await.ok()??;
        Some(Place { _own: own, _any: any, _sender: sender })
    }

    fn by_network(&self) -> MutexGuard<'_, HashMap<IpAddr, Arc<Semaphore>>> {
        self.by_network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits or sends.
struct Sender<'a> {
    places: &'a Places,
    network: IpAddr,
    own: Arc<Semaphore>,
}

impl<'a> Sender<'a> {
    fn new(places: &'a Places, network: IpAddr) -> Self {
        let mut by_network = places.by_network();
        let own = by_network.entry(network).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE)));
        Self { places, network, own: Arc::clone(own) }
    }
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        let mut by_network = self.places.by_network();
        // The map's and this one: nobody else of this network is there, and nobody comes while the map is held.
        if Arc::strong_count(&self.own) == 2 {
            by_network.remove(&self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn peer(network: u8) -> IpAddr {
        [10, 0, 0, network].into()
    }

    #[tokio::test(start_paused = true)]
    async fn one_sender_leaves_places_for_others() {
        let places = Places::new();
        let first = places.take(peer(1)).await.unwrap();
        let _second = places.take(peer(1)).await.unwrap();
        let begun = Instant::now();
        assert!(places.take(peer(1)).await.is_none());
        assert_eq!(begun.elapsed(), PATIENCE);
        assert!(places.take(peer(2)).await.is_some());
        assert_eq!(begun.elapsed(), PATIENCE, "another one does not wait");
        let (third, ()) = tokio::join!(places.take(peer(1)), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
        });
        assert!(third.is_some(), "it came free in time");
    }

    #[tokio::test(start_paused = true)]
    async fn all_together_are_bounded_and_none_is_remembered() {
        let places = Places::new();
        let mut held = Vec::new();
        for network in 0..8 {
            for _ in 0..2 {
                held.push(places.take(peer(network)).await.unwrap());
            }
        }
        assert!(places.take(peer(8)).await.is_none());
        assert_eq!(places.by_network().len(), 8);
        held.pop();
        assert!(places.take(peer(8)).await.is_some());
        held.clear();
        assert!(places.by_network().is_empty());
        assert_eq!(places.all.available_permits(), AT_ONCE);
    }
}
