//! Starts of the simulated process: those that must succeed, and those that must be refused, each for its reason.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quipu_ledger::{FileSealer, OpenError, Sealer, Setup, Store, Vouch, Writer, start};
use quipu_note::SignerKey;

use crate::common::Passing;
use crate::disk::Image;
use crate::mutant::mutate;
use crate::oracle::{GUARD, NAME, Verdict, guarded};
use crate::store::{LOG, SimStore};
use crate::world::{DATA, Process, ROOM, Tells, World};

const GUARD_DIR: &str = "/guard";

impl World {
    /// A start with nothing odd on the disk and no fault: it must succeed.
    pub(crate) fn begin(&mut self) -> Verdict {
        let started = self.try_start(NAME, 1);
        self.note(format!("start: {}", said(&started)));
        match started {
            Ok(process) => {
                self.process = Some(process);
                Ok(())
            }
            Err(refusal) => Err(format!("refused without cause: {refusal}")),
        }
    }

    /// A start during which something may fail; a failure is no wonder then, and the next start tries again.
    pub(crate) fn start_perhaps_faulty(&mut self) -> Verdict {
        if !self.rng.chance(45) {
            self.make_room();
            return self.begin();
        }
        self.plan(20);
        self.start_struck()
    }

    /// A start that the planned fault may strike.
    pub(crate) fn start_struck(&mut self) -> Verdict {
        let started = self.try_start(NAME, 1);
        self.disk.unplan();
        let struck = self.disk.struck();
        self.last_struck = struck.as_ref().map(|(_, what)| what.clone());
        self.note(format!("start: {}, struck by {struck:?}", said(&started)));
        match (started, struck) {
            (Ok(process), None) => self.process = Some(process),
            // A fault that did no harm, on the reserve.
            (Ok(process), Some(_)) if !self.disk.is_down() => self.process = Some(process),
            (Ok(process), Some(_)) => {
                drop(process);
                self.end_process(true);
            }
            (Err(Refusal::Io(_)), _) => {
                let cut = self.rng.chance(50);
                self.end_process(cut);
            }
            (Err(refusal), _) => return Err(format!("refused without cause: {refusal}")),
        }
        Ok(())
    }

    /// The data volume is put back to an earlier day, and afterwards forward again.
    pub(crate) fn start_with_earlier_data(&mut self) -> Verdict {
        let Some((earlier, _)) = self.earlier.clone() else { return Ok(()) };
        let today = self.disk.image(Path::new(DATA));
        self.start_with_data(&earlier, "the data of an earlier day")?;
        self.disk.put_back(Path::new(DATA), &today);
        self.note("the data of today");
        Ok(())
    }

    /// Puts the data volume to an image; if records that were guarded are missing, the start must be refused.
    fn start_with_data(&mut self, image: &Image, what: &str) -> Verdict {
        self.disk.put_back(Path::new(DATA), image);
        let guard = guarded(&self.disk).into_iter().max().map_or(0, |(_, size, _)| size);
        let (stored, _) = self.oracle.lock().unwrap().rounds_past(&self.disk, guard);
        self.note(format!("{what}: {stored} records, {guard} guarded"));
        if stored >= guard {
            return Ok(());
        }
        self.expect("Behind", |refusal| {
            matches!(refusal, OpenError::Behind { .. } | OpenError::GuardWithoutStore { .. })
        })
    }

    /// One bit of the log flips, and the store drops what follows without a word, as storage engines do with what looks
    /// like a torn tail.
    pub(crate) fn start_with_flipped_bit(&mut self) -> Verdict {
        let today = self.disk.image(Path::new(DATA));
        let mut flipped = today.clone();
        flipped.flip(Path::new(LOG), self.rng.next());
        self.start_with_data(&flipped, "a flipped bit")?;
        self.disk.put_back(Path::new(DATA), &today);
        Ok(())
    }

    /// The guard's volume is put back to an earlier day: one round behind is what a crash leaves, more is refused.
    pub(crate) fn start_with_earlier_guard(&mut self) -> Verdict {
        let Some((_, earlier)) = self.earlier.clone() else { return Ok(()) };
        let today = self.disk.image(Path::new(GUARD_DIR));
        self.disk.put_back(Path::new(GUARD_DIR), &earlier);
        let guard = guarded(&self.disk).into_iter().max().map_or(0, |(_, size, _)| size);
        let oracle = Arc::clone(&self.oracle);
        let (stored, rounds) = oracle.lock().unwrap().rounds_past(&self.disk, guard);
        self.note(format!(
            "the guard of an earlier day: {guard} guarded, {stored} records, {rounds} rounds more"
        ));
        let refused = if rounds > 1 {
            self.expect("TooFarAhead", |refusal| matches!(refusal, OpenError::TooFarAhead { .. }))
        } else {
            Ok(())
        };
        self.disk.put_back(Path::new(GUARD_DIR), &today);
        self.note("the guard of today");
        refused
    }

    pub(crate) fn start_without_guard(&mut self) -> Verdict {
        let today = self.disk.image(Path::new(GUARD_DIR));
        if today.is_empty() || self.oracle().size() == 0 {
            return Ok(());
        }
        self.disk.put_back(Path::new(GUARD_DIR), &Image::default());
        let refused = self
            .expect("StoreWithoutGuard", |refusal| matches!(refusal, OpenError::StoreWithoutGuard { .. }));
        self.disk.put_back(Path::new(GUARD_DIR), &today);
        refused
    }

    /// A copy of one of the volumes has other file numbers.
    pub(crate) fn start_with_copy(&mut self) -> Verdict {
        if self.oracle().size() == 0 {
            return Ok(());
        }
        let volume = *self.rng.pick(&[DATA, GUARD_DIR]);
        let today = self.disk.image(Path::new(volume));
        self.disk.put_back(Path::new(volume), &today.copied());
        let refused = self.expect("Copied", |refusal| matches!(refusal, OpenError::Copied { .. }));
        self.disk.put_back(Path::new(volume), &today);
        refused
    }

    /// Another name, or another key.
    pub(crate) fn start_as_other(&mut self) -> Verdict {
        if self.oracle().size() == 0 {
            return Ok(());
        }
        let (name, key) = *self.rng.pick(&[("sum.other.example", 1), (NAME, 2)]);
        self.make_room();
        let started = self.try_start(name, key);
        self.refused("OtherLog", started, |refusal| matches!(refusal, OpenError::OtherLog { .. }))
    }

    /// Another process on the same directories, while the first one runs.
    pub(crate) fn second_process(&mut self) -> Verdict {
        let started = self.try_start(NAME, 1);
        self.refused("Busy", started, |refusal| matches!(refusal, OpenError::Busy { .. }))
    }

    fn expect(&mut self, name: &str, right: impl Fn(&OpenError) -> bool) -> Verdict {
        self.make_room();
        let started = self.try_start(NAME, 1);
        self.refused(name, started, right)
    }

    fn refused(
        &mut self,
        name: &str,
        started: Result<Process, Refusal>,
        right: impl Fn(&OpenError) -> bool,
    ) -> Verdict {
        let line = said(&started);
        self.note(format!("start, to be refused as {name}: {line}"));
        match started {
            Err(Refusal::Open(refusal)) if right(&refusal) => Ok(()),
            other => Err(format!("not refused as {name}: {}", said(&other))),
        }
    }

    fn make_room(&mut self) {
        self.disk.set_capacity(crate::disk::AMPLE);
    }

    fn try_start(&mut self, name: &str, key: u8) -> Result<Process, Refusal> {
        let io = |error: std::io::Error| Refusal::Io(error.to_string());
        // A second process would not get at the first one's store: its own lock keeps it out.
        let store = match &self.process {
            Some(process) => Arc::clone(&process.store),
            None => Arc::new(SimStore::open(&self.disk, self.mutant.faulty()).map_err(io)?),
        };
        let writer = self.start_writer(Arc::clone(&store), name, key)?;
        Ok(Process { writer, store })
    }

    fn start_writer(&mut self, store: Arc<SimStore>, name: &str, key: u8) -> Result<Writer, Refusal> {
        let signer = || SignerKey::from_seed(name.parse().unwrap(), &[key; 32].into());
        let disk = Arc::new(self.disk.clone());
        let sealer = FileSealer::open(disk.clone(), Path::new(GUARD), vec![signer()], self.clock.clone());
        let sealer = match sealer {
            Ok(sealer) => Box::new(sealer) as Box<dyn Sealer>,
            Err(quipu_ledger::SealError::Busy(what)) => return Err(Refusal::Open(OpenError::Busy { what })),
            Err(error) => return Err(Refusal::Io(error.to_string())),
        };
        let tells = Tells { disk: self.disk.clone(), oracle: Arc::clone(&self.oracle) };
        let observed = Passing { inner: sealer, then: tells };
        let setup = Setup {
            sealer: mutate(self.mutant, observed, signer(), Arc::clone(&store) as Arc<dyn Store>),
            store,
            data: PathBuf::from(DATA),
            guard: GUARD.to_owned(),
            random: [9; 16],
            clock: self.clock.clone(),
            disk,
            room: ROOM,
            vouch: Vouch::Nothing,
        };
        start(setup).map_err(|refusal| match refusal {
            OpenError::Io { .. } => Refusal::Io(refusal.to_string()),
            other => Refusal::Open(other),
        })
    }
}

/// Why a start did not succeed.
pub(crate) enum Refusal {
    /// Something could not be read or written: start again.
    Io(String),
    /// The log refuses, for a reason that stays.
    Open(OpenError),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(why) => write!(f, "I/O: {why}"),
            Self::Open(refusal) => refusal.fmt(f),
        }
    }
}

fn said(started: &Result<Process, Refusal>) -> String {
    match started {
        Ok(process) => format!("in service at {}", process.writer.published().size()),
        Err(refusal) => refusal.to_string(),
    }
}
