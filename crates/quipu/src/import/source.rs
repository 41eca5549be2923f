//! Module files as somebody else arranged them, as a source that the module cache can be filled from.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use quipu_fetch::{BoxFuture, Error, FileKind, Info, MAX_GO_MOD, Staged, Upstream};
use quipu_module::{ModulePath, ModuleVersion, Query, Version};
use tokio::task::spawn_blocking;

use super::Kind;
use crate::bundle::Manifest;
use crate::files::{Files, Piece};

/// Read at once from a zip, in bytes.
const CHUNK: usize = 256 << 10;

/// The names of a version's files; those that are not there are left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    info: Option<String>,
    go_mod: Option<String>,
    zip: Option<String>,
}

impl Names {
    fn of(&self, kind: FileKind) -> Option<&str> {
        match kind {
            FileKind::Info => self.info.as_deref(),
            FileKind::GoMod => self.go_mod.as_deref(),
            FileKind::Zip => self.zip.as_deref(),
        }
    }

    fn place(&mut self, kind: FileKind) -> &mut Option<String> {
        match kind {
            FileKind::Info => &mut self.info,
            FileKind::GoMod => &mut self.go_mod,
            FileKind::Zip => &mut self.zip,
        }
    }

    /// The kinds that are there, in the order in which they are taken.
    pub(super) fn kinds(&self) -> impl Iterator<Item = FileKind> {
        [FileKind::GoMod, FileKind::Zip, FileKind::Info].into_iter().filter(|kind| self.of(*kind).is_some())
    }
}

/// Modules to take in.
pub(super) struct Source {
    pub(super) files: Files,
    pub(super) versions: BTreeMap<ModuleVersion, Names>,
    /// For a bundle: what it says of itself.
    pub(super) manifest: Option<Manifest>,
}

impl Source {
    /// Looks through what lies at `path`. Files that belong to no module version are passed over.
    ///
    /// # Errors
    /// It is not of this kind, or cannot be read.
    pub(super) fn open(path: &Path, kind: Kind) -> Result<Arc<Self>> {
        let files = Files::open(path)?;
        let (names, manifest) = match kind {
            Kind::GoSum => bail!("a go.sum file holds no modules"),
            Kind::ModCache => {
                let prefix = cache_prefix(&files).unwrap_or_default();
                (files.names(prefix)?, None)
            }
            Kind::Proxy | Kind::Athens => (files.names("")?, None),
            Kind::Bundle => {
                let manifest = Manifest::read(&files)?;
                (manifest.files.keys().cloned().collect(), Some(manifest))
            }
        };
        let prefix = if kind == Kind::ModCache { cache_prefix(&files).unwrap_or_default() } else { "" };
        let mut versions: BTreeMap<ModuleVersion, Names> = BTreeMap::new();
        for name in names {
            let below = name.strip_prefix(prefix).map_or(name.as_str(), |rest| rest.trim_start_matches('/'));
            let of = if kind == Kind::Athens { of_athens(below) } else { of_proxy(below) };
            if let Some((version, kind)) = of {
                *versions.entry(version).or_default().place(kind) = Some(name);
            }
        }
        ensure!(kind == Kind::Bundle || !versions.is_empty(), "there are no module files in it");
        Ok(Arc::new(Self { files, versions, manifest }))
    }

    /// A file of a version; `None` if it is not there.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn file(&self, version: &ModuleVersion, kind: FileKind) -> std::io::Result<Option<Piece>> {
        let name = self.versions.get(version).and_then(|names| names.of(kind));
        name.map_or(Ok(None), |name| self.files.find(name))
    }

    /// The content of a small file of a version; `None` if it is not there.
    ///
    /// # Errors
    /// The disk fails, or the file is too long.
    pub(super) fn read(&self, version: &ModuleVersion, kind: FileKind) -> std::io::Result<Option<Vec<u8>>> {
        let most = if kind == FileKind::Info { Info::MAX_BYTES as u64 } else { MAX_GO_MOD };
        let name = self.versions.get(version).and_then(|names| names.of(kind));
        name.map_or(Ok(None), |name| self.files.read(name, most))
    }

    async fn small(self: Arc<Self>, version: ModuleVersion, kind: FileKind) -> quipu_fetch::Result<Bytes> {
        let missing = Error::not_found(format!("{version}: there is no .{} beside it", kind.extension()));
        let read = blocking(move || self.read(&version, kind)).await?;
        read.map(Bytes::from).ok_or(missing)
    }

    async fn copy_zip(&self, version: &ModuleVersion, zip: &mut Staged) -> quipu_fetch::Result<()> {
        let piece = self.file(version, FileKind::Zip).map_err(|error| unreadable(&error))?;
        let missing = || Error::not_found(format!("{version}: there is no .zip beside it"));
        let mut piece = piece.ok_or_else(missing)?;
        zip.restart().await?;
        loop {
            let read = move || {
                let mut chunk = vec![0; CHUNK];
                let read = piece.read(&mut chunk)?;
                chunk.truncate(read);
                Ok((piece, chunk))
            };
            let (rest, chunk) = blocking(read).await?;
            if chunk.is_empty() {
                return Ok(());
            }
            zip.write(&chunk).await?;
            piece = rest;
        }
    }
}

/// The source as the cache sees it: it has files of versions, and no lists.
pub(super) struct Shelf(pub(super) Arc<Source>);

impl Upstream for Shelf {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, quipu_fetch::Result<Vec<Version>>> {
        Box::pin(std::future::ready(Err(no_answer(path))))
    }

    fn info<'a>(
        &'a self,
        path: &'a ModulePath,
        query: &'a Query,
    ) -> BoxFuture<'a, quipu_fetch::Result<Info>> {
        Box::pin(async move {
            let version =
                query.as_version().and_then(|version| ModuleVersion::new(path.clone(), version).ok());
            let version = version.ok_or_else(|| no_answer(path))?;
            Info::parse(path, &Arc::clone(&self.0).small(version, FileKind::Info).await?)
        })
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, quipu_fetch::Result<Info>> {
        Box::pin(std::future::ready(Err(no_answer(path))))
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, quipu_fetch::Result<Bytes>> {
        Box::pin(Arc::clone(&self.0).small(version.clone(), FileKind::GoMod))
    }

    fn zip<'a>(
        &'a self,
        version: &'a ModuleVersion,
        zip: &'a mut Staged,
    ) -> BoxFuture<'a, quipu_fetch::Result<()>> {
        Box::pin(self.0.copy_zip(version, zip))
    }
}

fn no_answer(path: &ModulePath) -> Error {
    Error::not_found(format!("{path}: only files of versions are taken in"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> quipu_fetch::Result<T> {
    let failed = || Error::unavailable("internal fault while reading a file");
    spawn_blocking(work).await.map_err(|_| failed())?.map_err(|error| unreadable(&error))
}

fn unreadable(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::FileTooLarge => Error::rejected(error.to_string()),
        _ => Error::unavailable(format!("cannot read the file: {error}")),
    }
}

/// Where the downloads lie in a module cache (or in the GOPATH above it); `None` if it is none. The directory of the
/// downloads itself is the tree of a proxy.
pub(super) fn cache_prefix(files: &Files) -> Option<&'static str> {
    ["cache/download", "pkg/mod/cache/download"].into_iter().find(|prefix| files.has_directory(prefix))
}

/// The version and kind of `<escaped path>/@v/<escaped version>.<kind>`.
pub(crate) fn of_proxy(name: &str) -> Option<(ModuleVersion, FileKind)> {
    let (path, file) = name.split_once("/@v/")?;
    let (version, extension) = file.rsplit_once('.')?;
    let kinds = [FileKind::Info, FileKind::GoMod, FileKind::Zip];
    let kind = kinds.into_iter().find(|kind| kind.extension() == extension)?;
    let version = ModuleVersion::new(ModulePath::unescape(path).ok()?, Version::unescape(version).ok()?);
    Some((version.ok()?, kind))
}

/// The version and kind of `<path>/<version>/{go.mod,source.zip,<version>.info}`, path and version as they are; older
/// versions of Athens escaped them.
fn of_athens(name: &str) -> Option<(ModuleVersion, FileKind)> {
    let (directory, file) = name.rsplit_once('/')?;
    let (path, version) = directory.rsplit_once('/')?;
    let kind = match file {
        "go.mod" => FileKind::GoMod,
        "source.zip" => FileKind::Zip,
        _ => file.strip_suffix(".info").filter(|stem| *stem == version).map(|_| FileKind::Info)?,
    };
    let plain = ModuleVersion::parse(path, version);
    let escaped = || {
        let path = ModulePath::unescape(path)?;
        ModuleVersion::new(path, Version::unescape(version)?)
    };
    Some((plain.or_else(|_| escaped()).ok()?, kind))
}

impl Manifest {
    fn read(files: &Files) -> Result<Self> {
        let text = files.read(crate::bundle::MANIFEST, Self::MAX_BYTES)?;
        let text = text.with_context(|| {
            format!("there is no {} in it: it is no bundle, or not all of one", crate::bundle::MANIFEST)
        })?;
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(found: Option<(ModuleVersion, FileKind)>) -> String {
        found.map_or("-".to_owned(), |(version, kind)| format!("{version} {}", kind.extension()))
    }

    #[test]
    fn names_in_the_tree_of_a_proxy() {
        for (name, expected) in [
            ("example.com/!big/@v/v1.0.0-!r!c1.zip", "example.com/Big@v1.0.0-RC1 zip"),
            ("example.com/m/v2/@v/v2.0.0.mod", "example.com/m/v2@v2.0.0 mod"),
            ("example.com/m/@v/v1.0.0.info", "example.com/m@v1.0.0 info"),
            ("example.com/m/@v/v2.0.0.info", "-"),
            ("example.com/m/@v/main.info", "-"),
            ("example.com/m/@v/v1.0.0.ziphash", "-"),
            ("example.com/m/@v/v1.0.0.lock", "-"),
            ("example.com/m/@v/v1.0.0.zip.ok", "-"),
            ("example.com/m/@v/list", "-"),
            ("example.com/Big/@v/v1.0.0.zip", "-"),
            ("m/@v/v1.0.0.zip", "-"),
            ("sumdb/sum.golang.org/lookup/x", "-"),
        ] {
            assert_eq!(shown(of_proxy(name)), expected, "{name}");
        }
    }

    #[test]
    fn names_on_an_athens_disk() {
        for (name, expected) in [
            ("github.com/Azure/x/v1.0.0/source.zip", "github.com/Azure/x@v1.0.0 zip"),
            ("github.com/!azure/x/v1.0.0/go.mod", "github.com/Azure/x@v1.0.0 mod"),
            ("example.com/m/v1.0.0/v1.0.0.info", "example.com/m@v1.0.0 info"),
            ("example.com/m/v1.0.0/v1.0.1.info", "-"),
            ("example.com/m/v1.0.0/README", "-"),
            ("example.com/m/source.zip", "-"),
            ("source.zip", "-"),
        ] {
            assert_eq!(shown(of_athens(name)), expected, "{name}");
        }
    }
}
