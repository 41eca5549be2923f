//! One simulated life of a log: clients, a process, a disk and a clock, all driven by one seed.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use quipu_ledger::{Clock, Disk as _, Entry, Error, Micros, Notes, Receipt, Room, SealError, Sealed, Writer};

use crate::common::{Passing, Then};
use crate::disk::{AMPLE, Fault, Image, SimDisk};
use crate::mutant::Mutant;
use crate::oracle::{Oracle, Verdict, key_of};
use crate::rng::Rng;
use crate::store::SimStore;

pub(crate) const DATA: &str = "/data";
const TEN_YEARS: u64 = 315_576_000_000_000;
pub(crate) const ROOM: Room = Room { reserve: 3000, floor: 2000 };

/// What a run leaves: what happened, line by line, and what was found wrong.
pub(crate) struct Outcome {
    pub(crate) trace: Vec<String>,
    pub(crate) verdict: Verdict,
    pub(crate) records: usize,
}

/// Runs one seed.
pub(crate) fn run(seed: u64, mutant: Mutant) -> Outcome {
    let mut world = World::new(seed, mutant);
    let verdict = world.live();
    let records = world.oracle().size();
    Outcome { trace: std::mem::take(&mut world.trace), verdict, records }
}

/// A clock that goes where it is put; the stop watch goes by itself.
#[derive(Default)]
pub(crate) struct SimClock {
    now: AtomicU64,
    watch: AtomicU64,
}

impl Clock for SimClock {
    fn now(&self) -> Micros {
        self.now.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.watch.fetch_add(1, Ordering::Relaxed))
    }
}

/// Tells the oracle of every signature at the moment it is made.
pub(crate) struct Tells {
    pub(crate) disk: SimDisk,
    pub(crate) oracle: Arc<Mutex<Oracle>>,
}

/// A sealer whose every signature is told.
pub(crate) type Observed = Passing<Tells>;

impl Tells {
    pub(crate) fn tell(&self, notes: &Notes) {
        self.oracle.lock().unwrap().signed(&self.disk, notes);
    }
}

impl Then for Tells {
    fn signed(&self, sealed: Sealed) -> Result<Sealed, SealError> {
        self.tell(&sealed.notes);
        Ok(sealed)
    }
}

/// A running process.
pub(crate) struct Process {
    pub(crate) writer: Writer,
    pub(crate) store: Arc<SimStore>,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) oracle: Arc<Mutex<Oracle>>,
    pub(crate) mutant: Mutant,
    pub(crate) process: Option<Process>,
    /// Asked for and not answered yet.
    pub(crate) waiting: Vec<Entry>,
    /// The operation that the last append or start was struck at.
    pub(crate) last_struck: Option<String>,
    names: u64,
    /// The data volume and the guard's volume on some earlier day.
    pub(crate) earlier: Option<(Image, Image)>,
    pub(crate) trace: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, mutant: Mutant) -> Self {
        let disk = SimDisk::new(seed);
        disk.lie(mutant.lies());
        Self {
            rng: Rng::new(seed),
            disk,
            clock: Arc::new(SimClock { now: AtomicU64::new(1_750_000_000_000_000), ..SimClock::default() }),
            oracle: Arc::default(),
            mutant,
            process: None,
            waiting: Vec::new(),
            last_struck: None,
            names: 0,
            earlier: None,
            trace: Vec::new(),
        }
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap()
    }

    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.trace.push(line.into());
    }

    /// Everything from the founding to a last start with nothing going wrong, after which every client has an answer.
    fn live(&mut self) -> Verdict {
        if self.rng.chance(25) {
            // Near a boundary of tiles.
            let count = 250 + self.rng.below(8);
            self.ask_new(count);
        }
        for _ in 0..10 + self.rng.below(25) {
            self.step()?;
            self.check()?;
        }
        self.note("peace");
        self.disk.unplan();
        self.disk.set_capacity(AMPLE);
        self.end_process(false);
        while !self.waiting.is_empty() {
            if self.process.is_none() {
                self.begin()?;
            }
            self.append(self.waiting.len())?;
            self.check()?;
        }
        self.end_process(true);
        self.begin()?;
        self.check()
    }

    fn step(&mut self) -> Verdict {
        self.move_clock();
        if self.process.is_none() {
            return match self.rng.below(100) {
                0..8 => self.start_with_earlier_data(),
                8..14 => self.start_with_flipped_bit(),
                14..20 => self.start_with_earlier_guard(),
                20..26 => self.start_without_guard(),
                26..32 => self.start_with_copy(),
                32..38 => self.start_as_other(),
                _ => self.start_perhaps_faulty(),
            };
        }
        match self.rng.below(100) {
            0..62 => self.append_perhaps_faulty(),
            62..72 => {
                let cut = self.rng.chance(50);
                self.end_process(cut);
                Ok(())
            }
            72..80 => {
                self.earlier = Some((self.disk.image(Path::new(DATA)), self.disk.image(Path::new("/guard"))));
                self.note("an image is taken of both volumes");
                Ok(())
            }
            80..88 => {
                let room = self.rng.below(40_000);
                self.disk.set_capacity(self.disk.used() + room);
                self.note(format!("the disk has room for {room} more"));
                Ok(())
            }
            88..94 => {
                self.disk.set_capacity(AMPLE);
                self.note("the disk has room again");
                Ok(())
            }
            94..97 => self.second_process(),
            _ => {
                let reads = 1 + self.rng.below(3) as u32;
                if let Some(process) = &self.process {
                    process.store.fail_reads(reads);
                }
                self.note(format!("{reads} reads will fail"));
                self.append(3)
            }
        }
    }

    fn move_clock(&mut self) {
        let now = self.clock.now();
        let to = match self.rng.below(20) {
            0 => now.saturating_add(TEN_YEARS),
            1 => now.saturating_sub(TEN_YEARS),
            2 => 0,
            3 => u64::MAX,
            4..8 => now,
            _ => now.saturating_add(1 + self.rng.below(10_000_000)),
        };
        self.clock.now.store(to, Ordering::Relaxed);
    }

    /// What must hold after every step.
    pub(crate) fn check(&mut self) -> Verdict {
        let mut oracle = self.oracle.lock().unwrap();
        oracle.check_disk(&self.disk, self.process.is_none())?;
        if let Some(process) = &self.process {
            process.store.fail_reads(0);
            oracle.check_log(process.store.as_ref(), &process.writer.published())?;
        }
        Ok(())
    }

    pub(crate) fn ask_new(&mut self, count: u64) {
        for _ in 0..count {
            self.names += 1;
            let filler = "x".repeat(self.rng.below(60) as usize);
            self.waiting.push(entry(self.names, &filler));
        }
    }

    /// Clients come with new keys, known ones, and known ones with another text.
    fn ask(&mut self) {
        let new = if self.rng.chance(6) { self.rng.below(300) } else { self.rng.below(6) };
        self.ask_new(new);
        for _ in 0..self.rng.below(3) {
            let known = self.rng.below(self.names + 1);
            let at = self.rng.next();
            let text = self.oracle().some_record(at).map(|record| record.text.clone());
            match text.filter(|_| self.rng.chance(50)) {
                Some(text) => {
                    let key = key_of(&text).len();
                    self.waiting.extend(Entry::new(text, key));
                }
                None => self.waiting.push(entry(known, "another text")),
            }
        }
    }

    fn append_perhaps_faulty(&mut self) -> Verdict {
        self.ask();
        if self.rng.chance(35) {
            self.plan(7);
        }
        let most = 1 + self.rng.below(self.waiting.len() as u64 + 1) as usize;
        let answered = self.append(most);
        self.disk.unplan();
        answered
    }

    pub(crate) fn plan(&mut self, operations: u64) {
        let fault = *self.rng.pick(&[Fault::PowerCut, Fault::Kill, Fault::Io, Fault::NoRoom]);
        let after = self.rng.below(operations);
        self.disk.plan(after, fault);
        self.note(format!("{fault:?} will strike after {after} operations"));
    }

    /// Sends some of what waits in one batch.
    fn append(&mut self, most: usize) -> Verdict {
        let dies = self.rng.chance(4);
        self.append_and(most, dies)
    }

    /// Sends all that waits in one batch.
    pub(crate) fn append_all(&mut self) -> Verdict {
        self.append_and(self.waiting.len(), false)
    }

    /// The newest head that the running process shows.
    pub(crate) fn published(&self) -> u64 {
        self.process.as_ref().map_or(0, |process| process.writer.published().size())
    }

    /// With `dies` the process ends before anybody hears an answer.
    fn append_and(&mut self, most: usize, dies: bool) -> Verdict {
        let Some(process) = &mut self.process else { return Ok(()) };
        let mut batch = Vec::new();
        while batch.len() < most && !self.waiting.is_empty() {
            let at = self.rng.below(self.waiting.len() as u64) as usize;
            batch.push(self.waiting.swap_remove(at));
        }
        let answers = process.writer.step(&batch);
        let struck = self.disk.struck();
        self.last_struck = struck.as_ref().map(|(_, what)| what.clone());
        let poisoned = process.writer.poisoned().is_some();
        self.trace.push(format!("append {} → {}", batch.len(), summary(&answers, struck.as_ref(), poisoned)));
        self.oracle().take_violation()?;
        let unheard = self.disk.is_down() || dies;
        if answers.len() != batch.len() {
            return Err(format!("{} answers to {} entries", answers.len(), batch.len()));
        }
        for (entry, answer) in batch.into_iter().zip(answers) {
            if unheard || !self.answered(&entry, answer, struck.is_some())? {
                self.waiting.push(entry);
            }
        }
        if let Some((fault, what)) = struck {
            return self.after_fault(fault, &what, poisoned);
        }
        if poisoned {
            return Err("the writer stopped without a fault".to_owned());
        }
        if dies {
            let cut = self.rng.chance(50);
            self.end_process(cut);
        }
        Ok(())
    }

    /// Whether the answer settles the request.
    fn answered(&self, entry: &Entry, answer: Result<Receipt, Error>, struck: bool) -> Result<bool, String> {
        let mut oracle = self.oracle();
        match answer {
            Ok(receipt) => oracle.acknowledge(entry, &receipt).map(|()| true),
            Err(Error::Conflict { index, record }) => oracle.conflict(entry, index, &record).map(|()| true),
            Err(Error::Full(why)) => {
                let room = self.disk.free(Path::new(DATA)).map_err(|error| error.to_string())?;
                if struck || room < 200_000 {
                    Ok(false)
                } else {
                    Err(format!("{why}, with {room} bytes free"))
                }
            }
            Err(Error::Unavailable(_)) => Ok(false),
            Err(Error::Stopped(_)) if struck => Ok(false),
            Err(error) => Err(format!("an answer without cause: {error}")),
        }
    }

    fn after_fault(&mut self, fault: Fault, what: &str, poisoned: bool) -> Verdict {
        match fault {
            Fault::PowerCut | Fault::Kill => self.end_process(fault == Fault::PowerCut),
            Fault::Io if poisoned => {
                let cut = self.rng.chance(50);
                self.end_process(cut);
            }
            // The reserve is no part of the log.
            Fault::Io if what.contains("reserve") => {}
            Fault::Io => return Err(format!("the writer goes on after a failed {what}")),
            Fault::NoRoom if poisoned => return Err(format!("the writer stopped for want of room: {what}")),
            Fault::NoRoom => {}
        }
        Ok(())
    }

    pub(crate) fn end_process(&mut self, power_cut: bool) {
        self.process = None;
        if power_cut {
            self.disk.power_cut();
        } else {
            self.disk.kill();
        }
        self.trace.push(if power_cut { "power cut" } else { "the process ends" }.to_owned());
    }
}

fn entry(name: u64, filler: &str) -> Entry {
    let key = format!("m{name}=");
    let text = format!("{key}{filler}\n");
    Entry::new(Bytes::from(text), key.len()).unwrap()
}

fn summary(answers: &[Result<Receipt, Error>], struck: Option<&(Fault, String)>, poisoned: bool) -> String {
    let mut counts = [0; 5];
    for answer in answers {
        let kind = match answer {
            Ok(_) => 0,
            Err(Error::Conflict { .. }) => 1,
            Err(Error::Full(_)) => 2,
            Err(Error::Unavailable(_)) => 3,
            Err(_) => 4,
        };
        counts[kind] += 1;
    }
    let [ok, conflicts, full, unavailable, stopped] = counts;
    let size = answers.iter().flatten().map(|receipt| receipt.head.size()).max().unwrap_or(0);
    format!(
        "{ok} ok at {size}, {conflicts} conflicts, {full} full, {unavailable} unavailable, {stopped} stopped, \
         struck by {struck:?}, poisoned {poisoned}"
    )
}
