//! Where an audited log is read: a tree of files, or a transport.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quipu_tlog::Tile;

use crate::transport::{Fetch, Transport, TransportError};

/// A log as its signed head and its tiles, read by blocking calls from many threads at once.
///
/// Nothing that comes from here is believed. As a [`Transport`], a source must end every call and stay within the size it
/// was given.
pub trait Source: Sync {
    /// In which of the two forms heads, paths and data tiles are.
    fn layout(&self) -> Layout;

    /// The body of the file at `path`, a path of the layout without a leading slash.
    ///
    /// # Errors
    /// [`TransportError`]; what is longer than `max_bytes` is [`TransportError::TooLarge`].
    fn get(&self, path: &str, max_bytes: usize) -> Result<Bytes, TransportError>;
}

/// How a log is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// As the Go checksum database: `latest`, `tile/8/<L>/<N>`, `tile/8/data/<N>`.
    #[default]
    Sumdb,
    /// As [C2SP tlog-tiles](https://c2sp.org/tlog-tiles): `checkpoint`, `tile/<L>/<N>`, `tile/entries/<N>`. The origin
    /// of the checkpoint must be the name of the log's first key.
    TlogTiles,
}

impl Layout {
    /// The path of the signed head.
    pub fn head_path(self) -> &'static str {
        match self {
            Self::Sumdb => "latest",
            Self::TlogTiles => "checkpoint",
        }
    }

    /// The path of a tile.
    pub fn tile_path(self, tile: &Tile) -> String {
        match self {
            Self::Sumdb => tile.sumdb_path(),
            Self::TlogTiles => tile.c2sp_path(),
        }
    }
}

/// A log in a directory.
#[derive(Clone, Debug)]
pub struct FileTree {
    root: PathBuf,
    layout: Layout,
}

impl FileTree {
    /// The log in `root`: in the layout of the checksum database if there is a file `latest`, in that of tlog-tiles if
    /// there is a file `checkpoint`.
    ///
    /// # Errors
    /// There is neither.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        for layout in [Layout::Sumdb, Layout::TlogTiles] {
            if fs::metadata(root.join(layout.head_path())).is_ok_and(|file| file.is_file()) {
                return Ok(Self { root, layout });
            }
        }
        let why = format!("no log in {}: want a file `latest` or `checkpoint` there", root.display());
        Err(io::Error::new(io::ErrorKind::NotFound, why))
    }
}

impl Source for FileTree {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn get(&self, path: &str, max_bytes: usize) -> Result<Bytes, TransportError> {
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                TransportError::NotFound("no such file".to_owned())
            }
            _ => TransportError::Unavailable(e.to_string()),
        };
        let body = read_file(&self.root.join(path), max_bytes).map_err(failed)?;
        if body.len() > max_bytes { Err(TransportError::TooLarge(max_bytes)) } else { Ok(body.into()) }
    }
}

/// Reads a regular file, one byte more than `max_bytes` at most. Anything else could keep the reader waiting.
fn read_file(path: &Path, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(max_bytes);
    // Whole in one read, and not in several growing ones: there are thousands of files.
    let mut body = vec![0; expected + 1];
    let mut filled = 0;
    while filled < body.len() {
        match file.read(body.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    body.truncate(filled);
    Ok(body)
}

/// A log behind a [`Transport`], in the layout of the checksum database.
pub struct Remote<W> {
    transport: Arc<dyn Transport>,
    wait: W,
}

impl<W> Remote<W>
where
    W: for<'a> Fn(Fetch<'a>) -> Result<Bytes, TransportError> + Sync,
{
    /// Fetches through `transport`; `wait` runs a fetch to its end, from any thread and many at once.
    pub fn new(transport: Arc<dyn Transport>, wait: W) -> Self {
        Self { transport, wait }
    }
}

impl<W> Source for Remote<W>
where
    W: for<'a> Fn(Fetch<'a>) -> Result<Bytes, TransportError> + Sync,
{
    fn layout(&self) -> Layout {
        Layout::Sumdb
    }

    fn get(&self, path: &str, max_bytes: usize) -> Result<Bytes, TransportError> {
        (self.wait)(self.transport.get(&format!("/{path}"), max_bytes))
    }
}
