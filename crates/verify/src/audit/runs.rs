//! The keys of all records seen, on disk: sorted runs of hashes with the index of the record beside each.
//!
//! Runs are *loose* while an audit goes on: nobody has compared them yet. When it has come to the end of the log they are
//! *settled*: merged with each other and with settled ones of about their size, and looked up in those that are much
//! larger. So every key is compared with every other one, the memory needed does not depend on the log, and little is
//! written when little is new.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::{cmp, thread};

/// A key: its hash and the index of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) hash: u64,
    pub(super) record: u64,
}

/// A sorted file of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The name of its file.
    pub(super) number: u64,
    /// How many keys it has.
    pub(super) keys: u64,
    /// Whether it is known that no two of its keys have the same hash. Not kept across processes.
    pub(super) distinct: bool,
}

/// Two records whose keys have the same hash, the lower index first.
pub(super) type Twins = (u64, u64);

/// The runs of one log, in a directory of their own. What is kept of them across processes is up to the caller; a file
/// that is not named there is left over.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    dir: PathBuf,
    pub(super) settled: Vec<Run>,
    pub(super) loose: Vec<Run>,
    next: u64,
}

impl Runs {
    /// The runs known to be in `dir`, which is made if it is not there. Removes what is left over.
    pub(super) fn open(dir: PathBuf, settled: Vec<Run>, loose: Vec<Run>) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let next = settled.iter().chain(&loose).map(|run| run.number + 1).max().unwrap_or(0);
        let runs = Self { dir, settled, loose, next };
        for run in runs.settled.iter().chain(&runs.loose) {
            let bytes = fs::metadata(runs.path(*run))?.len();
            if bytes != run.keys * Key::SIZE as u64 {
                return Err(damaged(format_args!("{} has {bytes} bytes", runs.path(*run).display())));
            }
        }
        runs.clean()?;
        Ok(runs)
    }

    /// Forgets all runs.
    pub(super) fn clear(&mut self) {
        self.settled.clear();
        self.loose.clear();
    }

    /// Returns to an earlier state of these runs; file names are not used again.
    pub(super) fn return_to(&mut self, earlier: Self) {
        let next = self.next;
        *self = Self { next, ..earlier };
    }

    /// Adds keys as a loose run, durably. They come in buckets, those of each one smaller than those of the next; so many
    /// threads sort and write them.
    pub(super) fn add(&mut self, mut buckets: Vec<Vec<Key>>, threads: usize) -> io::Result<()> {
        if buckets.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let run = self.write_buckets(&mut buckets, threads)?;
        self.loose.push(run);
        if self.loose.len() > MAX_LOOSE {
            let all = std::mem::take(&mut self.loose);
            let merged = self.merge(&all, &mut |_| {})?;
            self.loose.push(merged);
        }
        Ok(())
    }

    /// Compares all loose runs with everything; hands out those whose hashes are equal. Afterwards all runs are settled.
    pub(super) fn settle(&mut self, twins: &mut impl FnMut(Twins)) -> io::Result<()> {
        let mut merged = std::mem::take(&mut self.loose);
        if merged.is_empty() {
            return Ok(());
        }
        let loose = merged.clone();
        let new: u64 = loose.iter().map(|run| run.keys).sum();
        self.settled.sort_by_key(|run| run.keys);
        // Large runs stay; so many of a size that they are worth rewriting do not come together.
        let mut sum = new;
        let worth = |run: &Run, sum: u64| run.keys <= cmp::max(new * LOOKUP_FACTOR, sum * 2);
        while let Some(run) = self.settled.first().copied().filter(|run| worth(run, sum)) {
            sum += run.keys;
            merged.push(self.settled.remove(0));
        }
        self.look_up(&loose, twins)?;
        let run = match merged.as_slice() {
            [only] if only.distinct => *only,
            [only] => {
                self.compare(*only, twins)?;
                *only
            }
            several => self.merge(several, twins)?,
        };
        self.settled.push(run);
        Ok(())
    }

    /// Removes the files of all other runs.
    pub(super) fn clean(&self) -> io::Result<()> {
        let known: Vec<PathBuf> = self.settled.iter().chain(&self.loose).map(|run| self.path(*run)).collect();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if !known.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Looks the keys of these runs up in all settled ones.
    fn look_up(&self, runs: &[Run], twins: &mut impl FnMut(Twins)) -> io::Result<()> {
        for settled in &self.settled {
            let mut file = File::open(self.path(*settled))?;
            for run in runs {
                for block in self.read(*run)? {
                    for key in block? {
                        for record in find(&mut file, settled.keys, key.hash)? {
                            twins((record.min(key.record), record.max(key.record)));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn compare(&self, run: Run, twins: &mut impl FnMut(Twins)) -> io::Result<()> {
        let mut neighbours = Neighbours::default();
        self.read(run)?
            .try_for_each(|block| block?.into_iter().try_for_each(|key| neighbours.follow(key, twins)))
    }

    fn merge(&mut self, runs: &[Run], twins: &mut impl FnMut(Twins)) -> io::Result<Run> {
        let readers = runs.iter().map(|run| self.read(*run)).collect::<io::Result<Vec<_>>>()?;
        self.write(Merge::new(readers), twins)
    }

    /// Sorts keys and writes them, on so many threads: each has its part of the buckets and of the file.
    fn write_buckets(&mut self, buckets: &mut [Vec<Key>], threads: usize) -> io::Result<Run> {
        let mut run = Run { number: self.next, keys: 0, distinct: true };
        self.next += 1;
        let file = File::create(self.path(run))?;
        let each = buckets.len().div_ceil(threads.max(1)).max(1);
        run.distinct = thread::scope(|scope| {
            let file = &file;
            let writers: Vec<_> = (buckets.chunks_mut(each))
                .map(|part| {
                    let from = run.keys;
                    run.keys += part.iter().map(|bucket| bucket.len() as u64).sum::<u64>();
                    scope.spawn(move || write_part(file, from, part))
                })
                .collect();
            let failed = |_| Err(io::Error::other("a thread that writes keys failed"));
            writers.into_iter().try_fold(true, |all, writer| {
                Ok::<_, io::Error>(writer.join().unwrap_or_else(failed)? && all)
            })
        })?;
        file.sync_all()?;
        Ok(run)
    }

    /// Writes blocks of keys, which a thread of its own gets ready.
    fn write(
        &mut self,
        blocks: impl Iterator<Item = io::Result<Vec<Key>>> + Send,
        twins: &mut impl FnMut(Twins),
    ) -> io::Result<Run> {
        let mut run = Run { number: self.next, keys: 0, distinct: true };
        self.next += 1;
        let mut file = File::create(self.path(run))?;
        let mut neighbours = Neighbours::default();
        let mut bytes = Vec::new();
        thread::scope(|scope| {
            let (ready, to_write) = mpsc::sync_channel(BLOCKS_READY);
            scope.spawn(move || {
                // In vain if writing has failed.
                for block in blocks {
                    if ready.send(block).is_err() {
                        break;
                    }
                }
            });
            for block in to_write {
                bytes.clear();
                for key in block? {
                    neighbours.follow(key, &mut |found| {
                        run.distinct = false;
                        twins(found);
                    })?;
                    bytes.extend_from_slice(&key.to_bytes());
                    run.keys += 1;
                }
                file.write_all(&bytes)?;
            }
            io::Result::Ok(())
        })?;
        file.sync_all()?;
        Ok(run)
    }

    fn read(&self, run: Run) -> io::Result<Reader> {
        let file = File::open(self.path(run))?;
        Ok(Reader { file, left: run.keys, buffer: Vec::new() })
    }

    fn path(&self, run: Run) -> PathBuf {
        path(&self.dir, run.number)
    }
}

impl Key {
    /// Bytes of a key in a file: the hash, then the index, little-endian.
    const SIZE: usize = 16;

    /// A number by which keys are in order: one comparison takes less time than two.
    pub(super) fn order(&self) -> u128 {
        u128::from(self.hash) << 64 | u128::from(self.record)
    }

    fn to_bytes(self) -> [u8; Self::SIZE] {
        (u128::from(self.record) << 64 | u128::from(self.hash)).to_le_bytes()
    }

    fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { hash: both as u64, record: (both >> 64) as u64 }
    }
}

/// Reads the keys of a run in order, block by block.
struct Reader {
    file: File,
    /// Keys not yet read.
    left: u64,
    buffer: Vec<u8>,
}

impl Iterator for Reader {
    type Item = io::Result<Vec<Key>>;

    fn next(&mut self) -> Option<io::Result<Vec<Key>>> {
        let keys = self.left.min(BLOCK as u64);
        if keys == 0 {
            return None;
        }
        self.left -= keys;
        // At most as long as a block.
        self.buffer.resize(keys as usize * Key::SIZE, 0);
        if let Err(error) = self.file.read_exact(&mut self.buffer) {
            self.left = 0;
            return Some(Err(error));
        }
        let (keys, _) = self.buffer.as_chunks();
        Some(Ok(keys.iter().copied().map(Key::from_bytes).collect()))
    }
}

/// Sorts buckets and writes them, so many keys after the start of the file. Says whether no two have one hash.
fn write_part(file: &File, from: u64, buckets: &mut [Vec<Key>]) -> io::Result<bool> {
    let (mut neighbours, mut distinct) = (Neighbours::default(), true);
    let (mut at, mut bytes) = (from * Key::SIZE as u64, Vec::with_capacity(2 * BLOCK * Key::SIZE));
    let mut write = |bytes: &mut Vec<u8>| {
        file.write_all_at(bytes, at)?;
        at += bytes.len() as u64;
        bytes.clear();
        io::Result::Ok(())
    };
    for bucket in buckets {
        bucket.sort_unstable_by_key(Key::order);
        for key in bucket {
            neighbours.follow(*key, &mut |_| distinct = false)?;
            bytes.extend_from_slice(&key.to_bytes());
        }
        if bytes.len() >= BLOCK * Key::SIZE {
            write(&mut bytes)?;
        }
    }
    write(&mut bytes)?;
    Ok(distinct)
}

/// Looks at keys in order and sees which have the same hash.
#[derive(Default)]
struct Neighbours {
    last: Option<Key>,
    /// The first records with the hash of the last key.
    same: Vec<u64>,
}

impl Neighbours {
    fn follow(&mut self, key: Key, twins: &mut impl FnMut(Twins)) -> io::Result<()> {
        let last = self.last.replace(key);
        if last.is_some_and(|last| last >= key) {
            return Err(damaged("a run of keys is not in order"));
        }
        if last.is_none_or(|last| last.hash != key.hash) {
            self.same.clear();
        }
        self.same.iter().for_each(|before| twins((*before, key.record)));
        if self.same.len() < MAX_SAME {
            self.same.push(key.record);
        }
        Ok(())
    }
}

/// Several sorted sources as one, block by block.
struct Merge<I> {
    sources: Vec<Source<I>>,
}

struct Source<I> {
    blocks: I,
    /// The last block.
    block: Vec<Key>,
    /// How many keys of it were handed out.
    at: usize,
}

impl<I: Iterator<Item = io::Result<Vec<Key>>>> Merge<I> {
    fn new(sources: impl IntoIterator<Item = I>) -> Self {
        let sources = sources.into_iter().map(|blocks| Source { blocks, block: Vec::new(), at: 0 });
        Self { sources: sources.collect() }
    }

    /// Sees to it that each source has keys.
    fn fill(&mut self) -> io::Result<()> {
        let mut failed = Ok(());
        self.sources.retain_mut(|source| {
            if source.at < source.block.len() {
                return true;
            }
            match source.blocks.next() {
                Some(Ok(block)) => (source.block, source.at) = (block, 0),
                Some(Err(error)) => failed = Err(error),
                None => return false,
            }
            true
        });
        failed
    }
}

impl<I: Iterator<Item = io::Result<Vec<Key>>>> Iterator for Merge<I> {
    type Item = io::Result<Vec<Key>>;

    fn next(&mut self) -> Option<io::Result<Vec<Key>>> {
        if let Err(error) = self.fill() {
            return Some(Err(error));
        }
        // Up to here all sources have been read.
        let bound = self.sources.iter().filter_map(|source| source.block.last()).min().copied()?;
        let mut merged = Vec::with_capacity(2 * BLOCK);
        for source in &mut self.sources {
            let rest = source.block.get(source.at..).unwrap_or_default();
            let until = rest.partition_point(|key| *key <= bound);
            merged.extend(rest.iter().take(until));
            source.at += until;
        }
        // The stable sort finds what is sorted already, and merges it.
        merged.sort_by_key(Key::order);
        Some(Ok(merged))
    }
}

/// The records that have this hash in a file of so many keys.
fn find(file: &mut File, keys: u64, hash: u64) -> io::Result<Vec<u64>> {
    let (mut low, mut high) = (0, keys);
    while low < high {
        let middle = low + (high - low) / 2;
        if read_at(file, middle)?.hash < hash { low = middle + 1 } else { high = middle }
    }
    let mut records = Vec::new();
    for place in low..keys {
        let key = read_at(file, place)?;
        if key.hash != hash || records.len() == MAX_SAME {
            break;
        }
        records.push(key.record);
    }
    Ok(records)
}

fn read_at(file: &mut File, place: u64) -> io::Result<Key> {
    file.seek(SeekFrom::Start(place * Key::SIZE as u64))?;
    let mut bytes = [0; Key::SIZE];
    file.read_exact(&mut bytes)?;
    Ok(Key::from_bytes(bytes))
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(number.to_string())
}

fn damaged(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged state: {why}"))
}

/// Loose runs beyond this are merged, so that few files are open at once.
const MAX_LOOSE: usize = 64;
/// Looking a key up costs about as much as reading so many in order.
const LOOKUP_FACTOR: u64 = 64;
/// Records of one hash that others are compared with. By chance there are hardly ever two.
const MAX_SAME: usize = 4;
/// Keys that are read and written together: 64 KiB.
const BLOCK: usize = 4096;
/// Blocks that wait for being written.
const BLOCKS_READY: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// The keys in buckets, of which one is often empty.
    fn buckets(keys: Vec<Key>) -> Vec<Vec<Key>> {
        let bounds = [1000, 2000, 3000, u64::MAX / 2];
        let mut buckets = vec![Vec::new(); bounds.len() + 1];
        for key in keys {
            buckets[bounds.partition_point(|bound| *bound <= key.hash)].push(key);
        }
        buckets
    }

    /// The records whose hash an earlier one has.
    fn expected(keys: &[Key]) -> BTreeSet<u64> {
        let mut by_hash: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        keys.iter().for_each(|key| {
            by_hash.entry(key.hash).or_default().insert(key.record);
        });
        by_hash.values().flat_map(|records| records.iter().skip(1).copied()).collect()
    }

    proptest! {
           #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

           /// However keys come in and whenever they are settled, each one whose hash was there before is found.
           #[test]
           fn whatever_is_there_twice_is_found(
               steps in prop::collection::vec((prop::collection::vec(0..3000_u64, 0..400), any::<bool>()), 1..12),
           ) {
               let dir = tempfile::tempdir().unwrap();
               let mut runs = Runs::open(dir.path().join("keys"), Vec::new(), Vec::new()).unwrap();
               let (mut all, mut found) = (Vec::new(), BTreeSet::new());
               for (hashes, settle) in steps {
                   let from = all.len() as u64;
                   let keys: Vec<Key> = (from..).zip(hashes).map(|(record, hash)| Key { hash, record }).collect();
                   all.extend(&keys);
                   runs.add(buckets(keys), 3).unwrap();
                   if settle {
                       runs.settle(&mut |(_, second)| {
    found.insert(second);
    }).unwrap();
                       prop_assert_eq!(&found, &expected(&all));
                   }
                   runs = Runs::open(dir.path().join("keys"), runs.settled, runs.loose).unwrap();
               }
               runs.settle(&mut |(_, second)| {
    found.insert(second);
    }).unwrap();
               prop_assert_eq!(&found, &expected(&all));
               prop_assert_eq!(runs.settled.iter().map(|run| run.keys).sum::<u64>(), all.len() as u64);
           }
       }

    #[test]
    fn few_runs_remain_and_large_ones_are_not_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let mut runs = Runs::open(dir.path().into(), Vec::new(), Vec::new()).unwrap();
        let mut record = 0_u64;
        let mut step = |runs: &mut Runs, count: u64| {
            let key = |record: u64| Key { hash: record.wrapping_mul(0x9e37_79b9_7f4a_7c15), record };
            runs.add(buckets((record..record + count).map(key).collect()), 2).unwrap();
            record += count;
            runs.settle(&mut |_| panic!("nothing is there twice")).unwrap();
            runs.clean().unwrap();
        };
        step(&mut runs, 100_000);
        let large = runs.settled[0];
        assert_eq!(large.keys, 100_000);
        for _ in 0..300 {
            step(&mut runs, 10);
        }
        assert!(runs.settled.contains(&large) && runs.settled.len() <= 4, "{:?}", runs.settled);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), runs.settled.len());
    }

    #[test]
    fn a_cut_or_unsorted_run_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut runs = Runs::open(dir.path().into(), Vec::new(), Vec::new()).unwrap();
        runs.add(vec![vec![Key { hash: 1, record: 0 }, Key { hash: 2, record: 1 }]], 1).unwrap();
        let file = path(dir.path(), 0);
        let body = fs::read(&file).unwrap();
        fs::write(&file, [&body[16..], &body[..16]].concat()).unwrap();
        // As another process finds it.
        runs.loose[0].distinct = false;
        assert!(runs.clone().settle(&mut |_| {}).is_err());
        fs::write(&file, &body[..31]).unwrap();
        assert!(Runs::open(dir.path().into(), Vec::new(), runs.loose).is_err());
    }
}
