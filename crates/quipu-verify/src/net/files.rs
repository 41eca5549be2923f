//! A database in a directory: the same paths, as files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use bytes::Bytes;
use quipu_verify::{Fetch, Transport, TransportError};

use crate::exit::wrong_usage;
use crate::local::bounded;

/// A directory with `latest`, `tile/…` and perhaps `lookup/…`.
pub(crate) struct Files(PathBuf);

impl Files {
    /// The directory that a `file` URL names.
    ///
    /// # Errors
    /// Wrong usage: it names none.
    pub(crate) fn at(url: &str) -> Result<Self> {
        let files = Self::below(url, "")?;
        if !files.0.is_dir() {
            return Err(wrong_usage(format!("{} is no directory", files.0.display())));
        }
        Ok(files)
    }

    /// A path below the directory that a `file` URL names; it need not be there.
    ///
    /// # Errors
    /// Wrong usage: it is no `file` URL.
    pub(crate) fn below(url: &str, path: &str) -> Result<Self> {
        let dir = url.get("file://".len()..).filter(|dir| dir.starts_with('/'));
        let dir = dir.ok_or_else(|| wrong_usage(format!("{url:?} is no file URL: want file:///dir")))?;
        Ok(Self(Path::new(dir).join(path)))
    }

    /// The file at a path below.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

impl Transport for Files {
    fn get<'a>(&'a self, path: &'a str, max_bytes: usize) -> Fetch<'a> {
        Box::pin(std::future::ready(read(&self.file(path), max_bytes)))
    }
}

fn read(path: &Path, max_bytes: usize) -> Result<Bytes, TransportError> {
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => TransportError::NotFound(format!("no file {}", path.display())),
        _ => TransportError::Unavailable(format!("{}: {error}", path.display())),
    };
    let body = bounded(path, max_bytes as u64).map_err(unreadable)?;
    body.map(Bytes::from).ok_or(TransportError::TooLarge(max_bytes))
}
