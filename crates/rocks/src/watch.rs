//! Opening in a thread of its own, so that an opening that comes to no end is told, and given up.
//!
//! RocksDB has no limit on opening, and a thread in it cannot be stopped. Time alone says little: a slow disk may need
//! minutes. But whatever opening does for so long it reads or writes something, so an opening during which the process did
//! neither for [`Options::patience`](crate::Options::patience) is caught in a loop, or waits for a disk that hangs.

use std::fs;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use quipu_ledger::ReadError;

use crate::open::OpenError;
use crate::tuning::Options;

/// Between two looks. They are counted, not the time: while the process is stopped nobody loses patience.
const LOOK: Duration = Duration::from_secs(1);

/// Looks between two words that it still goes on.
const TELL_EVERY: u64 = 10;

/// Does `work`, which opens the store `dir`, in a thread that is left alone when it stands still.
pub(crate) fn watched<T: Send + 'static>(
    dir: &Path,
    options: &Options,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OpenError> {
    let mut io = Io::default();
    watched_by(dir, options, || io.moved(), work)
}

fn watched_by<T: Send + 'static>(
    dir: &Path,
    options: &Options,
    mut moved: impl FnMut() -> Option<u64>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OpenError> {
    let (done, result) = mpsc::sync_channel(1);
    let failed = |error| ReadError::Io(format!("starting a thread to open {}: {error}", dir.display()));
    let worker = thread::Builder::new().name("open store".to_owned());
    let worker = worker.spawn(move || drop(done.send(work()))).map_err(failed)?;
    let (mut before, mut still) = (moved(), 0);
    for look in 1_u64.. {
        match result.recv_timeout(LOOK) {
            Ok(opened) => return Ok(opened),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        still = if before.is_some() && moved() == before { still + 1 } else { 0 };
        if still >= options.patience.as_secs() {
            return Err(OpenError::Still(dir.display().to_string(), still));
        }
        if look.is_multiple_of(TELL_EVERY) {
            (options.tell)(&format!("still opening {} after {look} s", dir.display()));
        }
        // Only now: what was just told may have been written by this process.
        before = moved();
    }
    match worker.join() {
        Err(panicked) => resume_unwind(panicked),
        Ok(()) => Err(ReadError::Io(format!("opening {} ended without a result", dir.display())).into()),
    }
}

/// How much this process has read and written.
#[derive(Default)]
struct Io {
    /// Bytes of its own looks, which count as read.
    looks: u64,
}

impl Io {
    /// Bytes read and written by this process in all calls so far, also from memory of the system; `None` where the system
    /// does not tell.
    fn moved(&mut self) -> Option<u64> {
        let text = fs::read_to_string("/proc/self/io").ok()?;
        let moved = sum_of_calls(&text)?.saturating_sub(self.looks);
        self.looks += text.len() as u64;
        Some(moved)
    }
}

/// The sum of `rchar` and `wchar`, see proc_pid_io(5).
fn sum_of_calls(io: &str) -> Option<u64> {
    let of =
        |name| io.lines().find_map(|line| line.strip_prefix(name)).and_then(|n| n.trim().parse::<u64>().ok());
    of("rchar:")?.checked_add(of("wchar:")?)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn options(seconds: u64) -> Options {
        Options { patience: Duration::from_secs(seconds), ..Options::default() }
    }

    fn open<T: Send + 'static>(
        seconds: u64,
        moved: impl FnMut() -> Option<u64>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OpenError> {
        watched_by(Path::new("some/log"), &options(seconds), moved, work)
    }

    /// Ends when the test does.
    fn endless() -> (mpsc::Sender<()>, impl FnOnce() + Send) {
        let (end, ended) = mpsc::channel();
        (end, move || assert!(ended.recv().is_err()))
    }

    #[test]
    fn what_ends_gives_its_result() {
        assert_eq!(open(1, || Some(0), || 7).unwrap(), 7);
        let slow = || thread::sleep(LOOK * 3 / 2);
        open(2, || Some(0), slow).unwrap();
        // Where the system does not tell, nothing is given up.
        open(1, || None, slow).unwrap();
    }

    #[test]
    fn what_stands_still_is_given_up() {
        let (_end, work) = endless();
        let error = open(2, || Some(5), work).unwrap_err();
        assert!(matches!(&error, OpenError::Still(dir, 2) if dir == "some/log"), "{error}");
    }

    #[test]
    fn what_moves_is_waited_for_and_told() {
        static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let (end, work) = endless();
        let (mut end, mut bytes) = (Some(end), 0);
        let moved = || {
            bytes += 1;
            // Two looks a second, and one at the beginning.
            if bytes > 21 {
                end = None;
            }
            Some(bytes)
        };
        let options = Options { tell: |text| TOLD.lock().unwrap().push(text.to_owned()), ..options(1) };
        watched_by(Path::new("some/log"), &options, moved, work).unwrap();
        assert_eq!(*TOLD.lock().unwrap(), ["still opening some/log after 10 s"]);
    }

    #[test]
    fn a_panic_goes_on() {
        let caught = std::panic::catch_unwind(|| open(1, || None, || panic!("as expected")));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"as expected"));
    }

    #[test]
    fn calls_are_summed() {
        assert_eq!(sum_of_calls("rchar: 12\nwchar: 30\nsyscr: 5\n"), Some(42));
        assert_eq!(sum_of_calls("rchar: 12\n"), None);
    }
}
