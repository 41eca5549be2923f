//! A bounded map that keeps what was used lately.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

/// Keys are spread over so many locks.
const SHARDS: usize = 16;

/// What one entry costs besides its content, in bytes: key, value and the map's own.
const OVERHEAD: usize = 256;

/// A map from names to values that holds at most a budget of bytes.
///
/// Two generations: what is used moves to the young one; when that has half the budget, it becomes the old one and the
/// former old one is dropped. So an entry lives at least until half a budget of others was used after it.
pub(super) struct Recent<V> {
    shards: Vec<Mutex<Shard<V>>>,
    hasher: RandomState,
    /// Most bytes of one generation in one shard.
    generation: usize,
}

struct Shard<V> {
    young: HashMap<Arc<str>, (V, usize)>,
    old: HashMap<Arc<str>, (V, usize)>,
    young_cost: usize,
}

impl<V: Clone> Recent<V> {
    /// A map of at most `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        let shard = || Mutex::new(Shard { young: HashMap::new(), old: HashMap::new(), young_cost: 0 });
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: RandomState::new(),
            generation: budget / SHARDS / 2,
        }
    }

    /// The value, which counts as used now.
    pub(super) fn get(&self, key: &str) -> Option<V> {
        self.with(key, |shard, generation| {
            if let Some((value, _)) = shard.young.get(key) {
                return Some(value.clone());
            }
            let (key, (value, cost)) = shard.old.remove_entry(key)?;
            shard.insert(key, (value.clone(), cost), generation);
            Some(value)
        })
    }

    /// Keeps `value`, which takes `bytes` besides a fixed overhead. What is too big for the budget is not kept.
    pub(super) fn insert(&self, key: &Arc<str>, value: V, bytes: usize) {
        self.with(key, |shard, generation| {
            shard.take(key);
            shard.keep(key, (value, bytes), generation);
        });
    }

    /// Keeps what `change` makes of the value, with the bytes it takes, and returns it. Nobody else changes it meanwhile.
    pub(super) fn update(&self, key: &Arc<str>, change: impl FnOnce(Option<V>) -> (V, usize)) -> V {
        self.with(key, |shard, generation| {
            let (value, bytes) = change(shard.take(key));
            shard.keep(key, (value.clone(), bytes), generation);
            value
        })
    }

    /// Forgets the value.
    pub(super) fn remove(&self, key: &str) {
        self.with(key, |shard, _| shard.take(key));
    }

    fn with<T>(&self, key: &str, work: impl FnOnce(&mut Shard<V>, usize) -> T) -> T {
        let at = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        // The modulus keeps the index in range.
        let mut shard = self.shards[at].lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut shard, self.generation)
    }
}

impl<V> Shard<V> {
    fn insert(&mut self, key: Arc<str>, (value, cost): (V, usize), generation: usize) {
        if self.young_cost.saturating_add(cost) > generation {
            self.old = std::mem::take(&mut self.young);
            self.young_cost = 0;
        }
        self.young_cost = self.young_cost.saturating_add(cost);
        self.young.insert(key, (value, cost));
    }

    /// Inserts a value that is not there, unless it is too big.
    fn keep(&mut self, key: &Arc<str>, (value, bytes): (V, usize), generation: usize) {
        let cost = bytes.saturating_add(OVERHEAD).saturating_add(key.len());
        if cost <= generation {
            self.insert(key.clone(), (value, cost), generation);
        }
    }

    fn take(&mut self, key: &str) -> Option<V> {
        let old = self.old.remove(key);
        let young = self.young.remove(key);
        if let Some((_, cost)) = &young {
            self.young_cost = self.young_cost.saturating_sub(*cost);
        }
        young.or(old).map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<V> Recent<V> {
        fn len(&self) -> usize {
            self.shards.iter().map(|shard| shard.lock().unwrap()).map(|s| s.young.len() + s.old.len()).sum()
        }
    }

    #[test]
    fn the_budget_holds_and_what_is_used_stays() {
        let recent = Recent::new(1 << 20);
        let used: Arc<str> = "used".into();
        recent.insert(&used, 0, 100);
        for n in 0..100_000 {
            recent.insert(&format!("key {n}").into(), n, 100);
            assert_eq!(recent.get("used"), Some(0), "after {n}");
        }
        assert!(recent.len() <= (1 << 20) / (100 + OVERHEAD), "{}", recent.len());
        assert!(recent.len() > 500, "{}", recent.len());
        assert_eq!(recent.get("key 0"), None);
        assert_eq!(recent.get("key 99999"), Some(99_999));
        recent.remove("key 99999");
        assert_eq!(recent.get("key 99999"), None);
    }

    #[test]
    fn too_big_is_not_kept_and_replacing_is_not_adding() {
        let recent = Recent::new(1 << 16);
        let key: Arc<str> = "key".into();
        recent.insert(&key, 1, 1 << 16);
        assert_eq!(recent.get("key"), None);
        for n in 0..1000 {
            recent.insert(&key, n, 100);
        }
        assert_eq!((recent.get("key"), recent.len()), (Some(999), 1));
        assert_eq!(recent.update(&key, |value| (value.unwrap_or_default() + 1, 100)), 1000);
        assert_eq!((recent.get("key"), recent.len()), (Some(1000), 1));
        assert_eq!(recent.update(&key, |value| (value.unwrap_or_default() + 1, 1 << 16)), 1001);
        assert_eq!((recent.get("key"), recent.len()), (None, 0));
    }
}
