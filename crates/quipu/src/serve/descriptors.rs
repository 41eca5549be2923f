//! How many connections fit into what the system lets this process have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors for all that is no client: tables of the store, connections to upstreams, git.
const OWN: u64 = 512;

/// Connections, unless configured.
const USUAL: usize = 10_000;

/// Fewer than these are worth a word, also where nobody configured more.
const FEW: usize = 1000;

/// Takes as many descriptors as the system allows (for most programs it allows few unless they ask for more), and says how
/// many connections may come: as many as were configured if they fit, since each may need a file besides.
pub(super) fn connections(configured: Option<usize>) -> usize {
    let (limit, wanted) = (raise(), configured.unwrap_or(USUAL));
    let room = usize::try_from(limit.saturating_sub(OWN) / 2).unwrap_or(usize::MAX).max(1);
    if room < configured.unwrap_or(FEW) {
        warn!(
            descriptors = limit,
            connections = room,
            "the system lets this process open few files, so fewer connections are taken than usual or configured: raise the limit \
             (LimitNOFILE of systemd, ulimit -n)"
        );
    }
    room.min(wanted)
}

/// The limit, after the soft one was raised to the hard one.
fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    // `None` is without limit.
    if raised.is_ok() { maximum } else { current }.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_connections_fit_into_any_limit_and_no_more_than_wanted() {
        assert_eq!(connections(Some(1)), 1);
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        if let Some(limit) = current {
            assert!(connections(Some(usize::MAX)) as u64 <= limit / 2);
        }
    }
}
