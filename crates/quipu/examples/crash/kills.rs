//! Kill -9 at random moments under eight writers and two readers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::meddle;
use super::mirror::Seen;
use super::support::{Http, Server};
use super::{Run, finish};

const WRITERS: u64 = 8;
const READERS: u64 = 2;

/// Versions asked for so far, by all writers of all rounds: each is asked for once.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Records acknowledged so far.
static ACKNOWLEDGED: AtomicU64 = AtomicU64::new(0);

/// Does `rounds` rounds; returns how many passed and failed. What failed once cannot go on.
pub(crate) fn run(mut run: Run, rounds: u32) -> (u32, u32) {
    let started = Instant::now();
    for round in 1..=rounds {
        if let Err(why) = one(&mut run, round) {
            println!("round {round}: {why}");
            finish(&run, 1);
            return (round - 1, 1);
        }
        if round % 10 == 0 {
            let (records, acked) = (run.mirror.size(), run.mirror.compared());
            println!(
                "round {round}: {records} records, {acked} acknowledged and all there; {} s",
                started.elapsed().as_secs()
            );
        }
    }
    // What the last kill left is looked at as well.
    if let Err(why) = run.examine().map(drop) {
        println!("after the last round: {why}");
        finish(&run, 1);
        return (rounds, 1);
    }
    finish(&run, 0);
    (rounds, 0)
}

/// Starts, lets writers write, kills, checks.
fn one(run: &mut Run, round: u32) -> Result<(), String> {
    let mut server = run.examine()?;
    let seen = drive(run, &mut server);
    let seen = meddle::after_kill(run, round, seen)?;
    seen.into_iter().try_for_each(|seen| run.mirror.take(seen))?;
    run.fsck()?;
    if run.random.below(4) == 0 {
        // Killed again while it finds out what the first kill left.
        let mut child = run.spawn();
        thread::sleep(Duration::from_millis(run.random.below(400)));
        let _ = child.kill();
        let _ = child.wait();
    }
    Ok(())
}

/// Writers and readers until the server is killed under them.
fn drive(run: &mut Run, server: &mut Server) -> Vec<Seen> {
    let stop = AtomicBool::new(false);
    let url = server.url.clone();
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| write(&url, &stop))).collect();
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| read(&url, &stop))).collect();
        match run.meddle {
            None => thread::sleep(Duration::from_millis(run.random.below(1200))),
            // A few rounds of the engine to meddle with.
            Some(_) => wait_for(100),
        }
        server.kill();
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().chain(readers).map(|thread| thread.join().unwrap()).collect()
    })
}

/// One writer that has `count` records made, one after the other.
pub(crate) fn write_alone(url: &str, count: u64) -> Seen {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(url, &stop));
        wait_for(count);
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    })
}

/// Until so many more records were acknowledged; not for ever.
fn wait_for(count: u64) {
    let (end, started) = (ACKNOWLEDGED.load(Ordering::Relaxed) + count, Instant::now());
    while ACKNOWLEDGED.load(Ordering::Relaxed) < end && started.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(2));
    }
}

fn write(url: &str, stop: &AtomicBool) -> Seen {
    let (mut http, mut seen) = (Http::new(url), Seen::default());
    while !stop.load(Ordering::Relaxed) {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        match http.get(&format!("/lookup/crash.test/m{}@v1.0.{n}", n % 7)) {
            Ok((200, body)) => {
                seen.lookup(&body).expect("a lookup answer");
                ACKNOWLEDGED.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    seen
}

fn read(url: &str, stop: &AtomicBool) -> Seen {
    let (mut http, mut seen) = (Http::new(url), Seen::default());
    while !stop.load(Ordering::Relaxed) {
        match http.get("/latest") {
            Ok((200, body)) => seen.head(&String::from_utf8_lossy(&body)).expect("a signed head"),
            Ok(_) => {}
            Err(_) => break,
        }
        thread::sleep(std::time::Duration::from_millis(2));
    }
    seen
}
