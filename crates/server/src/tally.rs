//! How often something happens within a minute, by what it is about. Memory is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Length of a window, in seconds.
const WINDOW: u64 = 60;

/// Keys remembered at once.
const MAX_KEYS: usize = 10_000;

/// Counts by key within windows of a minute.
pub(crate) struct Tally<K> {
    /// How often, and when first, in seconds since 1970.
    by_key: Mutex<HashMap<K, (u32, u64)>>,
}

/// The how-manieth of its kind within a minute something is, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u32);

impl Count {
    /// Whether this one is worth an entry in the audit log: of many, ever fewer are.
    pub(crate) const fn is_telling(self) -> bool {
        matches!(self.0, 1 | 10 | 100 | 1000 | 10_000 | 100_000 | 1_000_000)
    }
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self { by_key: Mutex::default() }
    }
}

impl<K: Eq + Hash> Tally<K> {
    /// Counts one more of `key` at `now` (seconds since 1970).
    pub(crate) fn note(&self, key: K, now: u64) -> Count {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if !by_key.contains_key(&key) && by_key.len() >= MAX_KEYS {
            by_key.retain(|_, (_, since)| now.saturating_sub(*since) < WINDOW);
            // So many at once are no single sender: beginning anew bounds the memory.
            if by_key.len() >= MAX_KEYS {
                by_key.clear();
            }
        }
        let (count, since) = by_key.entry(key).or_insert((0, now));
        if now.saturating_sub(*since) >= WINDOW {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        Count(*count)
    }

    /// How many of `key` there were by `now` (seconds since 1970), within its minute.
    pub(crate) fn count(&self, key: &K, now: u64) -> Count {
        let by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let current = by_key.get(key).filter(|(_, since)| now.saturating_sub(*since) < WINDOW);
        Count(current.map_or(0, |(count, _)| *count))
    }
}

/// What one host can take addresses from at will: of IPv6, a network of 64 bits.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_counted_within_its_minute() {
        let tally = Tally::default();
        for n in 1..=30 {
            assert_eq!(tally.note("a", 100), Count(n));
        }
        assert_eq!(tally.note("b", 159), Count(1));
        assert_eq!(tally.note("a", 159), Count(31));
        assert_eq!(tally.note("a", 160), Count(1));
        let telling: Vec<_> = (1..=200).filter(|n| Count(*n).is_telling()).collect();
        assert_eq!(telling, [1, 10, 100]);
    }

    #[test]
    fn a_network_is_one_sender() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[test]
    fn memory_is_bounded() {
        let tally = Tally::default();
        for n in 0..50_000u32 {
            tally.note(n, u64::from(n / 1000));
        }
        assert!(tally.by_key.lock().unwrap().len() <= MAX_KEYS);
    }
}
