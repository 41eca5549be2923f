//! A bound on what is under way at once, of which hosts that nobody named have a share only: anybody can have this program
//! ask a host of theirs, and that one may be slow for as long as it likes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All places.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    of_one: usize,
    /// Those of each stranger for whom somebody waits or has a place; what is dead goes when another one comes. Held for a
    /// look or a change, never while waiting.
    by_host: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    _of_stranger: Option<[OwnedSemaphorePermit; 2]>,
    _any: OwnedSemaphorePermit,
}

impl Places {
    /// `most` places, at least one. Strangers have three quarters of them together, and each of them half.
    pub(crate) fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let strangers = most.div_ceil(4).saturating_mul(3).min(most);
        Self {
            all: Arc::new(Semaphore::new(most)),
            strangers: Arc::new(Semaphore::new(strangers)),
            of_one: most.div_ceil(2),
            by_host: Mutex::default(),
        }
    }

    /// Waits for a place. `stranger` is the host, where nobody named it.
    pub(crate) async fn take(&self, stranger: Option<&str>) -> Place {
        let of_stranger = match stranger {
            // The own first: whoever waits for that takes no other's.
            Some(host) => Some([acquire(self.of(host)).await, acquire(Arc::clone(&self.strangers)).await]),
            None => None,
        };
        Place { _of_stranger: of_stranger, _any: acquire(Arc::clone(&self.all)).await }
    }

    fn of(&self, host: &str) -> Arc<Semaphore> {
        let mut by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = by_host.get(host).and_then(Weak::upgrade) {
            return places;
        }
        by_host.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.of_one));
        by_host.insert(host.to_owned(), Arc::downgrade(&places));
        places
    }
}

#[expect(clippy::expect_used, reason = "nobody closes these semaphores")]
async fn acquire(places: Arc<Semaphore>) -> OwnedSemaphorePermit {
    places.acquire_owned().await.expect("never closed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn try_take(places: &Places, stranger: Option<&str>) -> Option<Place> {
        timeout(Duration::from_secs(1), places.take(stranger)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_leaves_places_for_others() {
        let places = Places::new(8);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(try_take(&places, Some("slow.example")).await.unwrap());
        }
        assert!(try_take(&places, Some("slow.example")).await.is_none());
        for host in ["a.example", "b.example"] {
            held.push(try_take(&places, Some(host)).await.unwrap());
        }
        assert!(try_take(&places, Some("c.example")).await.is_none(), "six of eight are strangers'");
        for _ in 0..2 {
            held.push(try_take(&places, None).await.unwrap());
        }
        assert!(try_take(&places, None).await.is_none());
        held.remove(0);
        assert!(try_take(&places, Some("slow.example")).await.is_some(), "what is given back can be had");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_his_own_takes_no_place_of_others() {
        let places = Places::new(4);
        let _held = [places.take(Some("slow.example")).await, places.take(Some("slow.example")).await];
        let waiting = std::pin::pin!(places.take(Some("slow.example")));
        assert!(timeout(Duration::from_secs(1), waiting).await.is_err());
        assert!(try_take(&places, Some("a.example")).await.is_some());
        assert_eq!(places.all.available_permits(), 2);
    }

    #[tokio::test]
    async fn nobody_is_remembered_and_one_place_is_one_for_all() {
        let places = Places::new(1);
        for host in ["a.example", "b.example", "c.example"] {
            drop(places.take(Some(host)).await);
        }
        assert_eq!(places.by_host.lock().unwrap().len(), 1);
        drop(Places::new(0).take(None).await);
    }
}
