//! A disk that is really full: a small file system of its own, filled to the last page. And memory that is.

use std::fs::{self, File};
use std::io::{ErrorKind as Io, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use quipu_fetch::storage::Memory;
use quipu_fetch::{Cache, ErrorKind, FileKind, Upstream as _};

use crate::support::modules::Module;
use crate::support::server::Server;
use crate::support::{Judge, cache, chain, client, options, own, path, skipped, tree};

/// Pages of the file system.
const PAGE: usize = 4096;

/// A file system in memory, unmounted when dropped.
struct Volume(tempfile::TempDir);

impl Volume {
    /// One of so many bytes, or `None` where nothing may be mounted.
    fn new(bytes: usize) -> Option<Self> {
        let volume = Self(tempfile::tempdir().unwrap());
        let options = format!("size={bytes},mode=0755");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(volume.path()).output();
        let refused = match mounted {
            Ok(output) if output.status.success() => return Some(volume),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        skipped(&format!("no full disk was tried, because a file system cannot be mounted here: {refused}"));
        // Nothing to unmount.
        let Self(directory) = &volume;
        assert!(fs::read_dir(directory.path()).unwrap().next().is_none());
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it until only so many pages are free; the file that does it goes when dropped.
    fn fill_but(&self, pages: usize) -> Filling {
        let filling = Filling(self.path().join(".filling"));
        let mut file = File::create(&filling.0).unwrap();
        let mut written: u64 = 0;
        loop {
            match file.write_all(&[1; PAGE]) {
                Ok(()) => written += PAGE as u64,
                Err(error) if error.kind() == Io::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        file.set_len(written.saturating_sub((pages * PAGE) as u64)).unwrap();
        filling
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Where nothing was mounted this fails and does no harm.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

struct Filling(PathBuf);

impl Drop for Filling {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_zip_that_does_not_fit_leaves_nothing_and_what_fits_still_comes() {
    let Some(volume) = Volume::new(1 << 20) else { return };
    let (server, judge) = (Server::start().await, Judge::new());
    let big = Module::new("example.com/big@v1.0.0", 2 << 20);
    let small = Module::new("example.com/small@v1.0.0", 1000);
    big.serve(&server);
    small.serve(&server);
    let cache = cache(volume.path(), &server.url, &judge);
    for _ in 0..2 {
        let error = cache.file(&big.version, FileKind::Zip).await.unwrap_err();
        assert_eq!((error.kind(), error.text()), (ErrorKind::Unavailable, "the cache disk is full"));
        assert!(cache.open(&big.version, FileKind::Zip).unwrap().is_none());
        assert_eq!(
            tree(volume.path()),
            ["example.com/big/@v/v1.0.0.mod", "example.com/big/@v/v1.0.0.mod.ok"]
        );
        assert_eq!((own(volume.path(), ".staging").len(), own(volume.path(), ".evidence").len()), (0, 0));
    }
    let file = cache.file(&small.version, FileKind::Zip).await.unwrap();
    assert_eq!(file.bytes().await.unwrap(), small.zip);
    // An answer is good without being stored.
    let filling = volume.fill_but(0);
    assert_eq!(cache.list(&path("example.com/big")).await.unwrap().len(), 1);
    drop(filling);
    // There is more room now.
    let grow = Command::new("mount").args(["-o", "remount,size=16777216"]).arg(volume.path()).status();
    assert!(grow.unwrap().success());
    let file = cache.file(&big.version, FileKind::Zip).await.unwrap();
    assert_eq!(file.bytes().await.unwrap(), big.zip);
}

/// From no page free to enough for everything: whatever step it is that finds the disk full, nothing half done shows.
#[tokio::test]
async fn wherever_the_disk_is_full_nothing_half_done_is_served() {
    let Some(volume) = Volume::new(1 << 20) else { return };
    let (server, judge) = (Server::start().await, Judge::new());
    let cache = cache(volume.path(), &server.url, &judge);
    let mut full = 0;
    for pages in 0..16 {
        let module = Module::new(&format!("example.com/m{pages}@v1.0.0"), 5 * PAGE);
        module.serve(&server);
        let filling = volume.fill_but(pages);
        match cache.file(&module.version, FileKind::Zip).await {
            Ok(file) => assert_eq!(file.bytes().await.unwrap(), module.zip),
            Err(error) => {
                assert_eq!((error.kind(), error.text()), (ErrorKind::Unavailable, "the cache disk is full"));
                full += 1;
            }
        }
        assert_eq!(own(volume.path(), ".staging"), [""; 0], "{pages} pages");
        for (name, content) in [("v1.0.0.mod", &module.go_mod), ("v1.0.0.zip", &module.zip)] {
            let stored = volume.path().join(format!("example.com/m{pages}/@v/{name}"));
            assert!(!stored.exists() || fs::read(&stored).unwrap() == *content, "{pages} pages: {name}");
        }
        drop(filling);
        let file = cache.file(&module.version, FileKind::Zip).await.unwrap();
        assert_eq!(file.bytes().await.unwrap(), module.zip);
    }
    assert!((3..16).contains(&full), "full {full} times");
    assert_eq!((cache.stats().refused, own(volume.path(), ".evidence").len()), (0, 0));
}

#[tokio::test]
async fn memory_that_is_full_says_so_and_serves_what_is_there() {
    let (server, judge, memory) = (Server::start().await, Judge::new(), Memory::new(1 << 20));
    let big = Module::new("example.com/big@v1.0.0", 2 << 20);
    let [one, two] =
        ["example.com/one@v1.0.0", "example.com/two@v1.0.0"].map(|name| Module::new(name, 600_000));
    [&big, &one, &two].into_iter().for_each(|module| module.serve(&server));
    let (client, _) = client(&[&server.url]);
    let chain = chain(&server.url, &client);
    let cache = Cache::open_storage(Arc::new(memory.clone()), chain, judge, options()).unwrap();
    let full = "the memory of the cache is full: it takes 1048576 bytes at most";
    for _ in 0..3 {
        let error = cache.file(&big.version, FileKind::Zip).await.unwrap_err();
        assert_eq!((error.kind(), error.text()), (ErrorKind::Unavailable, full));
        assert!(memory.used() < 4096, "{memory:?}");
    }
    let file = cache.file(&one.version, FileKind::Zip).await.unwrap();
    assert_eq!(file.bytes().await.unwrap(), one.zip);
    for _ in 0..3 {
        assert_eq!(cache.file(&two.version, FileKind::Zip).await.unwrap_err().text(), full);
        assert!(memory.used() < 620_000, "{memory:?}");
    }
    assert_eq!(cache.file(&one.version, FileKind::Zip).await.unwrap().length, one.zip.len() as u64);
    assert_eq!(cache.room().unwrap().free, (1 << 20) - memory.used());
}
