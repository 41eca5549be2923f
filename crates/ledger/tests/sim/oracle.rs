//! What must hold after every step, checked against the durable bytes and against all that was ever signed or answered.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bytes::Bytes;
use quipu_ledger::{Entry, Head, Notes, Receipt, Record, SignedHead, Store};
use quipu_tlog::{Hash, leaf_hash, node_hash, parse_checkpoint, parse_tree};

use crate::disk::SimDisk;
use crate::store::{LOG, frame_at};

pub(crate) const NAME: &str = "sum.sim.example";
pub(crate) const GUARD: &str = "/guard/log.guard";

/// What is found wrong; the text goes into the report.
pub(crate) type Verdict = Result<(), String>;

#[derive(Default)]
pub(crate) struct Oracle {
    /// Every head ever signed, also those that nobody got to see.
    signed: BTreeMap<u64, Hash>,
    /// The records below the largest signed head, in order: they may never change again.
    records: Vec<Record>,
    keys: HashMap<Bytes, u64>,
    tree: Tree,
    /// Every receipt ever given: index and text by key.
    acknowledged: BTreeMap<Bytes, (u64, Bytes)>,
    /// The largest head that readers saw.
    seen: Option<Head>,
    durable: Durable,
    violation: Option<String>,
}

/// The log file as it durably is, read as far as it is whole.
#[derive(Default)]
struct Durable {
    number: u64,
    end: usize,
    records: Vec<Record>,
    /// Sizes after each round that brought records.
    rounds: Vec<u64>,
}

impl Oracle {
    /// Called for every pair of notes at the moment they are made.
    pub(crate) fn signed(&mut self, disk: &SimDisk, notes: &Notes) {
        if let Err(why) = self.check_signed(disk, notes) {
            self.violation.get_or_insert(format!("signing {}: {why}", notes.size));
        }
    }

    pub(crate) fn take_violation(&mut self) -> Verdict {
        self.violation.take().map_or(Ok(()), Err)
    }

    fn check_signed(&mut self, disk: &SimDisk, notes: &Notes) -> Verdict {
        let text = |note: &Bytes| -> Result<String, String> {
            let note = std::str::from_utf8(note).map_err(|error| error.to_string())?;
            let end = note.find("\n\n").ok_or("no signatures")?;
            Ok(note[..=end].to_owned())
        };
        let tree = parse_tree(text(&notes.sumdb)?).map_err(|error| error.to_string())?;
        let other = parse_checkpoint(text(&notes.checkpoint)?, NAME).map_err(|error| error.to_string())?;
        if tree != other || tree.size != notes.size {
            return Err(format!("the notes say {tree:?} and {other:?}"));
        }
        let known = *self.signed.entry(tree.size).or_insert(tree.root);
        if known != tree.root {
            return Err(format!("two roots: {known} and {}", tree.root));
        }
        self.read_durable(disk);
        if (self.durable.records.len() as u64) < tree.size {
            return Err(format!("only {} records are durable", self.durable.records.len()));
        }
        self.extend(tree.size as usize)?;
        let root = self.tree.root(0, tree.size as usize);
        if root != tree.root {
            return Err(format!("the durable records make {root}, signed is {}", tree.root));
        }
        let guarded = guarded(disk);
        if !guarded.iter().any(|(_, size, root)| *size == tree.size && *root == tree.root.to_string()) {
            return Err(format!("the durable guard has {guarded:?}"));
        }
        Ok(())
    }

    /// Takes durable records into what was signed.
    fn extend(&mut self, size: usize) -> Verdict {
        for index in self.records.len()..size {
            let record = self.durable.records[index].clone();
            let key = key_of(&record.text);
            if let Some(first) = self.keys.insert(key, index as u64) {
                return Err(format!("records {first} and {index} have one key"));
            }
            if self.records.last().is_some_and(|last| last.time >= record.time) {
                return Err(format!("the time of record {index} does not increase"));
            }
            self.tree.leaves.push(leaf_hash(&record.text));
            self.records.push(record);
        }
        Ok(())
    }

    /// Reads the durable log on from where it was read to; anew if it is another file.
    fn read_durable(&mut self, disk: &SimDisk) {
        let durable = &mut self.durable;
        let read = disk.durable(Path::new(LOG), |number, bytes| {
            if number != durable.number {
                *durable = Durable { number, ..Durable::default() };
            }
            while let Some((expected, round, next)) = frame_at(bytes, durable.end) {
                if expected != durable.records.len() as u64 {
                    break;
                }
                if !round.records.is_empty() {
                    durable.rounds.push(round.head.size);
                }
                let records = round.records.into_iter();
                durable
                    .records
                    .extend(records.map(|(time, entry)| Record { time, text: entry.text().clone() }));
                durable.end = next;
            }
        });
        if read.is_none() {
            *durable = Durable::default();
        }
    }

    /// Checks what the disk durably holds; `stored` says whether the data volume is the real one just now.
    pub(crate) fn check_disk(&mut self, disk: &SimDisk, anew: bool) -> Verdict {
        self.take_violation()?;
        if anew {
            self.durable = Durable::default();
        }
        self.read_durable(disk);
        let kept = self.durable.records.get(..self.records.len());
        if kept != Some(&self.records[..]) {
            return Err(format!(
                "of {} signed records {} are durable",
                self.records.len(),
                self.durable.records.len()
            ));
        }
        let newest = guarded(disk).into_iter().max();
        let largest = self.signed.last_key_value();
        match (newest, largest) {
            (Some((_, guarded, _)), Some((&signed, _))) if guarded < signed => {
                Err(format!("{signed} is signed, durably guarded is {guarded}"))
            }
            (None, Some((&signed, _))) => Err(format!("{signed} is signed, nothing is durably guarded")),
            _ => Ok(()),
        }
    }

    /// Checks what a running log shows: the head, all records, tiles and keys.
    pub(crate) fn check_log(&mut self, store: &dyn Store, head: &SignedHead) -> Verdict {
        let Head { size, root, .. } = head.head;
        if self.signed.get(&size) != Some(&root) || head.notes.size != size {
            return Err(format!("a head of {size} is shown that was not signed"));
        }
        if self.seen.is_some_and(|seen| seen.size > size) {
            return Err(format!("the head went back to {size}"));
        }
        self.seen = Some(head.head);
        if self
            .records
            .last()
            .is_some_and(|last| self.records.len() as u64 == size && last.time > head.head.time)
        {
            return Err("the head is older than its records".to_owned());
        }
        let error = |error: quipu_ledger::ReadError| error.to_string();
        if store.records(0..size).map_err(error)? != self.records[..size as usize] {
            return Err("the store shows other records".to_owned());
        }
        for (key, (index, text)) in &self.acknowledged {
            let found = store.find(key).map_err(error)?;
            if !found.is_some_and(|(at, record)| at == *index && record.text == *text) {
                return Err(format!("record {index} was acknowledged and is not found"));
            }
        }
        self.check_tiles(store, size as usize)
    }

    fn check_tiles(&mut self, store: &dyn Store, size: usize) -> Verdict {
        let mut width = 1;
        let mut level = 0;
        while size / width > 0 {
            for n in 0..(size / width).div_ceil(256) {
                let own = n * 256..((n + 1) * 256).min(size / width);
                let want: Vec<u8> =
                    own.flat_map(|i| *self.tree.root(i * width, (i + 1) * width).as_bytes()).collect();
                let stored =
                    store.tile(level, n as u64).map_err(|error| error.to_string())?.unwrap_or_default();
                if !stored.starts_with(&want) {
                    return Err(format!("tile {n} of level {level} is not of its records"));
                }
            }
            level += 1;
            width *= 256;
        }
        Ok(())
    }

    /// Checks a receipt against everything answered before, and keeps it.
    pub(crate) fn acknowledge(&mut self, entry: &Entry, receipt: &Receipt) -> Verdict {
        let index = receipt.index;
        let known = self.records.get(index as usize);
        if receipt.head.size() <= index
            || self.signed.get(&receipt.head.size()) != Some(&receipt.head.head.root)
        {
            return Err(format!("record {index} is acknowledged by a head that does not cover it"));
        }
        if !known.is_some_and(|record| record.text == *entry.text() && record.time == receipt.time) {
            return Err(format!("record {index} is acknowledged and is another one"));
        }
        let key = Bytes::copy_from_slice(entry.key());
        let told = self.acknowledged.entry(key).or_insert((index, entry.text().clone()));
        if told.0 != index {
            Err(format!("one record is acknowledged as {} and {index}", told.0))
        } else {
            Ok(())
        }
    }

    /// Checks a conflict: the log must have that other text under the key.
    pub(crate) fn conflict(&self, entry: &Entry, index: u64, record: &Record) -> Verdict {
        let right = self.records.get(index as usize) == Some(record)
            && record.text.starts_with(entry.key())
            && record.text != *entry.text();
        if right { Ok(()) } else { Err(format!("a false conflict with record {index}")) }
    }

    /// Records that are durable, those of rounds past `guarded` and how many rounds these are.
    pub(crate) fn rounds_past(&mut self, disk: &SimDisk, guarded: u64) -> (u64, usize) {
        self.durable = Durable::default();
        self.read_durable(disk);
        let past = self.durable.rounds.iter().filter(|size| **size > guarded).count();
        (self.durable.records.len() as u64, past)
    }

    /// Some key that is in the log, and its text.
    pub(crate) fn some_record(&self, at: u64) -> Option<&Record> {
        self.records.get((at % (self.records.len() as u64).max(1)) as usize)
    }

    pub(crate) fn size(&self) -> usize {
        self.records.len()
    }
}

/// The heads in the durable guard file: sequence, size, root. Torn lines are left out by their length.
pub(crate) fn guarded(disk: &SimDisk) -> Vec<(u64, u64, String)> {
    let heads = disk.durable(Path::new(GUARD), |_, bytes| {
        let heads = bytes.chunks(4096).filter(|block| block.starts_with(b"head "));
        let lines = heads.filter_map(|block| std::str::from_utf8(block).ok()?.lines().next());
        let heads = lines.filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let ["head", seq, size, root, _, _, check] = words[..] else { return None };
            (check.len() == 44).then_some((seq.parse().ok()?, size.parse().ok()?, root.to_owned()))
        });
        heads.collect()
    });
    heads.unwrap_or_default()
}

pub(crate) fn key_of(text: &Bytes) -> Bytes {
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len() - 1);
    text.slice(..=end)
}

/// The tree by its definition (RFC 6962 §2.1), remembering complete subtrees.
#[derive(Default)]
struct Tree {
    leaves: Vec<Hash>,
    complete: HashMap<(usize, usize), Hash>,
}

impl Tree {
    fn root(&mut self, start: usize, end: usize) -> Hash {
        match end - start {
            0 => return Hash::EMPTY_TREE,
            1 => return self.leaves[start],
            _ => {}
        }
        if let Some(known) = self.complete.get(&(start, end)) {
            return *known;
        }
        let middle = start + (end - start).next_power_of_two() / 2;
        let hash = node_hash(&self.root(start, middle), &self.root(middle, end));
        if (end - start).is_power_of_two() {
            self.complete.insert((start, end), hash);
        }
        hash
    }
}
