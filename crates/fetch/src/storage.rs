//! Where a cache keeps its files: one small trait, a directory, and memory.
//!
//! [`Storage`] is what a [`Cache`](crate::Cache) needs of a file system and no more: whole files under names, written as
//! drafts, given their name in one step, read in any order, and listed. What the files mean, which of them are synced when,
//! and what is done after a crash is decided by the cache alone, so it is the same wherever the files lie.
//!
//! [`Directory`] is a directory of a local file system, [`Memory`] a bounded amount of memory. An implementation of one's own
//! is shown to be right by the `conformance` suite (feature of that name).

mod directory;
mod memory;
mod name;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};

use bytes::Bytes;

pub use directory::Directory;
pub use memory::Memory;
pub use name::Name;

/// Files under names. Everything may block, for as long as a disk takes, but [`open`](Self::open) and
/// [`inspect`](Self::inspect) are also called where nobody would wait for a network.
///
/// Duties of an implementation, held by the `conformance` suite:
///
/// * What a name stands for changes in one step: whoever opens a name finds nothing, or one whole file. Whoever has opened
///   a file reads that one to its end, whatever happens to its name.
/// * Directories are not made: names that have one in common lie in it. A directory without files may be listed or not.
/// * A content is durable when [`Draft::sync`] has returned, and a name (also that it is gone) when [`sync`](Self::sync) of
///   its directory has. What is not synced may be lost by a power cut, and then a file may also be shorter or empty.
/// * What there is no room for fails with [`io::ErrorKind::StorageFull`]; a message of its own in that error is shown to
///   clients. Nothing is removed but by [`remove`](Self::remove).
///
/// One cache at a time uses a storage, from many threads, and no name is written by two of them at once.
pub trait Storage: Debug + Send + Sync + 'static {
    /// The file of this name; `None` if there is none.
    ///
    /// # Errors
    /// The storage fails.
    fn open(&self, name: &Name) -> io::Result<Option<Stored>>;

    /// What is known of the file of this name; `None` if there is none.
    ///
    /// # Errors
    /// The storage fails.
    fn inspect(&self, name: &Name) -> io::Result<Option<Facts>>;

    /// What lies directly in a directory, or at the root, in no order; nothing if there is no such directory.
    ///
    /// # Errors
    /// The storage fails.
    fn list(&self, directory: Option<&Name>) -> io::Result<Vec<Entry>>;

    /// Begins a file of a name that has none. What the name stands for until the draft is finished does not matter.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is such a file, or the storage fails.
    fn create(&self, name: &Name) -> io::Result<Box<dyn Draft>>;

    /// Gives a file another name, unless that one has a file already: then both stay.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no file to be named, or the storage fails.
    fn place(&self, from: &Name, to: &Name) -> io::Result<Placed>;

    /// Gives a file another name, in the place of what has it.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    fn replace(&self, from: &Name, to: &Name) -> io::Result<()>;

    /// Gives a file a second name, which has no file yet.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] and [`io::ErrorKind::AlreadyExists`] as the names say, or the storage fails.
    fn link(&self, from: &Name, to: &Name) -> io::Result<()>;

    /// Takes a name away; nothing happens if it has no file.
    ///
    /// # Errors
    /// The storage fails.
    fn remove(&self, name: &Name) -> io::Result<()>;

    /// Says that a file was changed at this time, in seconds since 1970, leaving its content. A hint that may be lost.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file, or the storage fails.
    fn set_modified(&self, name: &Name, seconds: u64) -> io::Result<()>;

    /// Makes the names in a directory, or at the root, durable.
    ///
    /// # Errors
    /// The storage fails.
    fn sync(&self, directory: Option<&Name>) -> io::Result<()>;

    /// Bytes that may still be written. [`CacheOptions::disk_floor`](crate::CacheOptions::disk_floor) is compared with this.
    ///
    /// # Errors
    /// The storage does not know.
    fn free(&self) -> io::Result<u64>;
}

/// A file being written. Dropped unfinished, its name is still to be removed.
pub trait Draft: Send {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// The storage fails, or is full. Then the draft is good for nothing more.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Forgets everything that was written.
    ///
    /// # Errors
    /// The storage fails.
    fn restart(&mut self) -> io::Result<()>;

    /// Makes durable what was written.
    ///
    /// # Errors
    /// The storage fails.
    fn sync(&mut self) -> io::Result<()>;

    /// Ends the writing: now the name stands for all that was written.
    ///
    /// # Errors
    /// The storage fails.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// The content of a file.
#[derive(Debug)]
pub enum Stored {
    /// All of it, shared.
    Bytes(Bytes),
    /// A file of the local system, opened for reading by its owner alone, and at its beginning.
    File(File),
}

impl Stored {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The disk fails.
    pub fn length(&self) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(file) => Ok(file.metadata()?.len()),
        }
    }

    /// It as something to read in any order, in small steps as well.
    pub fn reader(self) -> impl Read + Seek + Send {
        match self {
            Self::Bytes(bytes) => Reader::Bytes(Cursor::new(bytes)),
            Self::File(file) => Reader::File(BufReader::with_capacity(128 << 10, file)),
        }
    }

    /// All of its bytes. Blocks.
    ///
    /// # Errors
    /// The disk fails.
    pub fn read(self) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::File(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                Ok(bytes.into())
            }
        }
    }

    /// Its first bytes, `length` of them. Blocks.
    ///
    /// # Errors
    /// It is shorter, or the disk fails.
    pub(crate) fn read_exactly(&mut self, length: u64) -> io::Result<Bytes> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        match self {
            Self::Bytes(bytes) if bytes.len() >= length => Ok(bytes.slice(..length)),
            Self::Bytes(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Self::File(file) => {
                let mut bytes = vec![0; length];
                file.read_exact(&mut bytes)?;
                Ok(bytes.into())
            }
        }
    }
}

enum Reader {
    Bytes(Cursor<Bytes>),
    File(BufReader<File>),
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => bytes.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => bytes.seek(to),
            Self::File(file) => file.seek(to),
        }
    }
}

/// What is known of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its length in bytes.
    pub length: u64,
    /// When it was changed, in seconds since 1970.
    pub modified: u64,
}

/// What lies in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name there: one element.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// Whether a file got its name, or one was there already and stayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It has the name now.
    New,
    /// Another file has it.
    Existed,
}
