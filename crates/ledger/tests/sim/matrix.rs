//! The crash matrix: one founding, one append and one restart, broken off at every operation in every way, and every
//! pair of faults on the way back. No chance here: all cases are run.

use std::collections::BTreeMap;

use crate::disk::{AMPLE, Fault};
use crate::mutant::Mutant;
use crate::world::World;

const FAULTS: [Fault; 4] = [Fault::PowerCut, Fault::Kill, Fault::Io, Fault::NoRoom];

/// A log of three records, and two more that clients ask for.
fn grown(seed: u64) -> World {
    let mut world = World::new(seed, Mutant::None);
    world.begin().unwrap();
    world.ask_new(3);
    world.append_all().unwrap();
    world.check().unwrap();
    world.ask_new(2);
    world
}

/// Strikes one append at its `after`-th operation; what was struck, if the append has so many.
fn strike(world: &mut World, after: u64, fault: Fault) -> Option<String> {
    world.disk.plan(after, fault);
    world.append_all().unwrap();
    world.disk.unplan();
    world.check().unwrap();
    world.last_struck.take()
}

/// Everything works again: each client gets its answer, and each record is there once.
fn peace(world: &mut World, size: usize) {
    world.disk.unplan();
    world.disk.set_capacity(AMPLE);
    for _ in 0..20 {
        if world.process.is_none() {
            world.begin().unwrap();
        }
        world.append_all().unwrap();
        world.check().unwrap();
        if world.waiting.is_empty() {
            assert_eq!(world.oracle().size(), size);
            return;
        }
    }
    panic!("clients wait in vain:\n{}", world.trace.join("\n"));
}

#[test]
fn an_append_broken_off_anywhere_ends_well() {
    // By the operation that was struck and the way: the sizes that the log can have after the restart.
    let mut seen: BTreeMap<(String, &str), Vec<u64>> = BTreeMap::new();
    for seed in 0..40 {
        for fault in FAULTS {
            for after in 0.. {
                let mut world = grown(seed);
                let Some(what) = strike(&mut world, after, fault) else { break };
                let stopped = world.process.is_none();
                if stopped {
                    world.begin().unwrap();
                    world.check().unwrap();
                }
                let sizes = seen.entry((what, fault.name())).or_default();
                sizes.push(world.published());
                // A lack of room is no reason to stop, everything else is.
                assert_eq!(stopped, fault != Fault::NoRoom);
                peace(&mut world, 5);
            }
        }
    }
    let sizes = |what: &str, fault: &'static str| {
        let mut sizes = seen.remove(&(what.to_owned(), fault)).unwrap_or_default();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    };
    check_matrix(sizes);
    assert_eq!(seen, BTreeMap::new(), "operations that the matrix does not know");
}

/// The rows: what was broken off and how, and what is in the log after the restart. 3 is without the round, 5 with it.
fn check_matrix(mut sizes: impl FnMut(&str, &'static str) -> Vec<u64>) {
    // Broken off while it is written: it is gone.
    assert_eq!(sizes("write /data/log", "power cut"), [3]);
    assert_eq!(sizes("write /data/log", "kill"), [3]);
    // Written but not synced when the power goes: it is gone, or by luck it is whole; never in part.
    assert_eq!(sizes("sync /data/log", "power cut"), [3, 5]);
    // Written but not synced when the process dies: the page cache has it.
    assert_eq!(sizes("sync /data/log", "kill"), [5]);
    // The outcome is unknown: the restart decides.
    assert_eq!(sizes("write /data/log", "io"), [3]);
    assert_eq!(sizes("sync /data/log", "io"), [3, 5]);
    // No room: nothing was written, nobody stops.
    assert_eq!(sizes("write /data/log", "no room"), [3]);
    // Durable but not guarded, whole or torn: the restart guards and signs it.
    for fault in ["power cut", "kill", "io"] {
        assert_eq!(sizes("write /guard/log.guard", fault), [5]);
        assert_eq!(sizes("sync /guard/log.guard", fault), [5]);
    }
}

#[test]
fn a_founding_broken_off_anywhere_ends_well() {
    for seed in 0..10 {
        for fault in FAULTS {
            for after in 0.. {
                let mut world = World::new(seed, Mutant::None);
                world.disk.plan(after, fault);
                world.start_struck().unwrap();
                if world.last_struck.take().is_none() {
                    assert!(after > 12, "a founding has more operations than {after}");
                    break;
                }
                world.ask_new(2);
                peace(&mut world, 2);
            }
        }
    }
}

#[test]
fn a_restart_after_a_broken_append_broken_off_anywhere_ends_well() {
    for fault in [Fault::PowerCut, Fault::Kill, Fault::Io] {
        for after in 0..4 {
            for second in FAULTS {
                for again in 0.. {
                    let mut world = grown(after);
                    strike(&mut world, after, fault).unwrap();
                    world.disk.plan(again, second);
                    world.start_struck().unwrap();
                    if world.last_struck.take().is_none() {
                        assert!(again > 8, "a restart has more operations than {again}");
                        break;
                    }
                    peace(&mut world, 5);
                }
            }
        }
    }
}

#[test]
fn two_broken_restarts_end_well_too() {
    for first in FAULTS {
        for second in FAULTS {
            for (after, again) in (0..18).flat_map(|after| (0..18).map(move |again| (after, again))) {
                let mut world = grown(after * 18 + again);
                strike(&mut world, 3, Fault::Kill).unwrap();
                world.disk.plan(after, first);
                world.start_struck().unwrap();
                if world.process.is_none() {
                    world.disk.plan(again, second);
                    world.start_struck().unwrap();
                }
                peace(&mut world, 5);
            }
        }
    }
}
