//! The audit log against several writers, crashes and changes.

use std::fs;
use std::path::PathBuf;

use super::*;

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    (dir, path)
}

fn check(path: &Path) -> AuditReport {
    check_audit_log(io::BufReader::new(fs::File::open(path).unwrap()), None).unwrap()
}

fn publish(n: usize) -> Event {
    Event::new(EventKind::Publish).who("token abc").what(&format!("example.test/m@v1.0.{n}"))
}

fn write(path: &Path, entries: usize) {
    let log = AuditLog::open(path).unwrap();
    (0..entries).for_each(|n| log.note(publish(n)));
    log.close();
}

#[test]
fn runs_and_processes_continue_one_chain() {
    let (_dir, path) = place();
    write(&path, 3);
    let first = check(&path);
    assert_eq!((first.entries, first.fault), (3, None));
    let (one, two) = (AuditLog::open(&path).unwrap(), AuditLog::open(&path).unwrap());
    std::thread::scope(|scope| {
        for log in [&one, &two] {
            scope.spawn(move || (0..200).for_each(|n| log.note(publish(n))));
        }
    });
    one.close();
    two.close();
    let all = check(&path);
    assert_eq!((all.entries, all.fault), (403, None));
    let file = || io::BufReader::new(fs::File::open(&path).unwrap());
    assert!(check_audit_log(file(), Some(&first.last)).unwrap().holds_known);
    assert!(!check_audit_log(file(), Some(&"0".repeat(64))).unwrap().holds_known);
}

#[test]
fn no_changed_byte_and_no_missing_line_is_overlooked() {
    let (_dir, path) = place();
    write(&path, 4);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert!(check(&path).fault.is_some(), "byte {at}");
    }
    let lines: Vec<_> = good.split_inclusive(|&byte| byte == b'\n').collect();
    for out in 0..lines.len() - 1 {
        let rest: Vec<u8> =
            lines.iter().enumerate().filter(|(n, _)| *n != out).flat_map(|(_, l)| l.to_vec()).collect();
        fs::write(&path, rest).unwrap();
        assert_eq!(check(&path).fault.unwrap().line, out as u64 + 1);
    }
}

#[test]
fn a_line_cut_by_a_crash_goes_and_the_chain_goes_on() {
    let (_dir, path) = place();
    write(&path, 2);
    let good = fs::read(&path).unwrap();
    let second = good.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for end in second..good.len() {
        fs::write(&path, &good[..end]).unwrap();
        write(&path, 1);
        let report = check(&path);
        assert_eq!((report.entries, report.fault), (2, None), "cut at {end}");
    }
    fs::write(&path, b"something else\n").unwrap();
    assert!(AuditLog::open(&path).is_err());
}

#[test]
fn whatever_others_write_stays_in_its_field() {
    let (_dir, path) = place();
    let log = AuditLog::open(&path).unwrap();
    let nasty = "a\n0000 {\"seq\":9}\u{202e}\u{9b}\"\\\u{1f9f6}\0";
    log.note(Event::new(EventKind::AuthFailure).who(nasty).detail(&"\u{10ffff}".repeat(5000)).what(nasty));
    log.note(publish(0));
    log.close();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    assert_eq!(text.lines().count(), 2);
    assert_eq!(check(&path).entries, 2);
    let json: serde_json::Value = serde_json::from_str(&text.lines().next().unwrap()[65..]).unwrap();
    assert_eq!(json["who"], nasty);
}

#[tokio::test]
async fn after_a_sync_it_is_there() {
    let (_dir, path) = place();
    let log = AuditLog::open(&path).unwrap();
    log.note(publish(0));
    log.sync().await;
    assert_eq!(check(&path).entries, 1);
    log.close();
    log.note(publish(1));
    log.sync().await;
    assert_eq!(check(&path).entries, 1);
    AuditLog::none().note(publish(2));
}

#[test]
fn a_run_that_noted_no_end_is_known() {
    let (_dir, path) = place();
    let note = |kinds: &[EventKind]| {
        let log = AuditLog::open(&path).unwrap();
        kinds.iter().for_each(|kind| log.note(Event::new(*kind)));
        log.close();
    };
    assert_eq!(last_run_ended(&path).unwrap(), None);
    note(&[EventKind::TokenNew]);
    assert_eq!(last_run_ended(&path).unwrap(), None);
    note(&[EventKind::Start, EventKind::Publish]);
    assert_eq!(last_run_ended(&path).unwrap(), Some(false));
    note(&[EventKind::Stop, EventKind::TokenRevoked]);
    assert_eq!(last_run_ended(&path).unwrap(), Some(true));
    // A line that a crash tore is none.
    note(&[EventKind::Start]);
    let good = fs::read(&path).unwrap();
    let last = good[..good.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for end in last..good.len() - 1 {
        fs::write(&path, &good[..end]).unwrap();
        assert_eq!(last_run_ended(&path).unwrap(), Some(true), "cut at {end}");
    }
    // Further back than is looked.
    fs::write(&path, &good).unwrap();
    (0..8).for_each(|_| write(&path, 3000));
    assert_eq!(last_run_ended(&path).unwrap(), None);
}

/// Whatever is written to this file finds no space left on the device.
#[tokio::test]
async fn a_full_disk_keeps_nobody_waiting() {
    let log = AuditLog::open(Path::new("/dev/full")).unwrap();
    for n in 0..3 {
        log.note(publish(n));
        log.sync().await;
    }
    log.note(Event::new(EventKind::Stop));
    log.close();
    assert_eq!(log.0.unwrap().lost.load(Ordering::Relaxed), 4);
    assert_eq!(last_run_ended(Path::new("/dev/full")).unwrap(), None);
}
