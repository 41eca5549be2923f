//! How often an address may come with credentials that are none.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Failures of one address within a window that are still answered as such.
const MOST: u32 = 30;

/// Length of a window, in seconds.
const WINDOW: u64 = 60;

/// Addresses remembered at once.
const MAX_ADDRESSES: usize = 10_000;

/// Counts failures by address. Of IPv6, a network of 64 bits is one address.
#[derive(Default)]
pub(crate) struct Failures {
    /// Number of failures and when the first of them was, in seconds since 1970.
    by_address: Mutex<HashMap<IpAddr, (u32, u64)>>,
}

/// One more failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How many there were in this window, this one included.
    pub(crate) count: u32,
}

impl Failure {
    /// Whether the address has had its share.
    pub(crate) const fn is_too_many(self) -> bool {
        self.count > MOST
    }

    /// Whether this one is worth an entry in the audit log: of many, ever fewer are.
    pub(crate) const fn is_telling(self) -> bool {
        matches!(self.count, 1 | 10 | 100 | 1000 | 10_000 | 100_000 | 1_000_000)
    }
}

impl Failures {
    /// Counts a failure of `address` at `now` (seconds since 1970).
    pub(crate) fn note(&self, address: IpAddr, now: u64) -> Failure {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let key = network(address);
        if !by_address.contains_key(&key) && by_address.len() >= MAX_ADDRESSES {
            by_address.retain(|_, (_, since)| now.saturating_sub(*since) < WINDOW);
            // So many at once are no single guesser: beginning anew bounds the memory.
            if by_address.len() >= MAX_ADDRESSES {
                by_address.clear();
            }
        }
        let (count, since) = by_address.entry(key).or_insert((0, now));
        if now.saturating_sub(*since) >= WINDOW {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        Failure { count: *count }
    }
}

/// What one host can take addresses from at will.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_share_each_minute() {
        let failures = Failures::default();
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff:1".parse().unwrap();
        let other: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        for n in 1..=MOST {
            assert_eq!(failures.note(one, 100), Failure { count: n });
        }
        assert!(failures.note(neighbour, 159).is_too_many());
        assert!(!failures.note(other, 159).is_too_many());
        assert!(!failures.note(one, 160).is_too_many());
    }

    #[test]
    fn memory_is_bounded() {
        let failures = Failures::default();
        for n in 0..50_000u32 {
            failures.note(IpAddr::V4(n.into()), u64::from(n / 1000));
        }
        assert!(failures.by_address.lock().unwrap().len() <= MAX_ADDRESSES);
    }
}
