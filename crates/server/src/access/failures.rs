//! How often an address may come with credentials that are none.

use std::net::IpAddr;

use crate::tally::{Count, Tally, network};

/// Failures of one address within a minute that are still answered as such.
const MOST: u32 = 30;

/// Counts failures by address. Of IPv6, a network of 64 bits is one address.
#[derive(Default)]
pub(crate) struct Failures(Tally<IpAddr>);

/// One more failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How many there were within a minute, this one included.
    pub(crate) count: Count,
}

impl Failure {
    /// Whether the address has had its share.
    pub(crate) const fn is_too_many(self) -> bool {
        self.count.0 > MOST
    }
}

impl Failures {
    /// Whether `address` has had its share at `now` (seconds since 1970).
    pub(crate) fn is_over(&self, address: IpAddr, now: u64) -> bool {
        self.0.count(&network(address), now).0 >= MOST
    }

    /// Counts a failure of `address` at `now` (seconds since 1970).
    pub(crate) fn note(&self, address: IpAddr, now: u64) -> Failure {
        Failure { count: self.0.note(network(address), now) }
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
        for _ in 0..MOST {
            assert!(!failures.note(one, 100).is_too_many());
        }
        assert!(failures.is_over(neighbour, 159) && !failures.is_over(other, 159));
        assert!(!failures.is_over(one, 160));
        assert!(failures.note(neighbour, 159).is_too_many());
        assert!(!failures.note(other, 159).is_too_many());
        assert!(!failures.note(one, 160).is_too_many());
    }
}
