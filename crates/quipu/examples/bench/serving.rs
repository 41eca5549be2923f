//! Reading over HTTP: quipu and another server with the same answers, in turns.

use std::fs;
use std::path::Path;

use crate::Args;
use crate::fixture;
use crate::http::Http;
use crate::load::{Done, Load, request};
use crate::process::Running;
use crate::random::Random;
use crate::report::{Goal, Report, median};

const RECORDS: u64 = 1_000_000;
const CONNECTIONS: usize = 64;
/// Different requests made before the clock runs.
const REQUESTS: usize = 100_000;

/// A row: what is asked of both servers.
struct Row {
    name: &'static str,
    goal: Goal,
    other: Other,
    figure: Figure,
    connections: usize,
    /// Paths, asked in this order.
    paths: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Nginx,
    /// x/mod's server on x/mod's own log in memory.
    Refserver,
    /// x/mod's server on a log without locks whose head is signed once.
    Lean,
}

#[derive(Clone, Copy)]
enum Figure {
    Answers,
    Bytes,
}

pub(crate) fn measure(args: &Args, report: &mut Report) {
    let rows: Vec<Row> = rows().into_iter().filter(|row| args.wants(row.name)).collect();
    if rows.is_empty() {
        return;
    }
    let data = fixture::log_of(&args.dir, RECORDS);
    let root = args.dir.join("www");
    fixture::write_module(&root, "small", 120_000);
    fixture::write_module(&root, "big", 10 << 20);
    let nginx = Running::nginx(&args.dir, &root);
    let quipu = Running::quipu(&args.program, &data, &nginx.url(), "off");
    let go = |other, log| {
        let wanted = rows.iter().any(|row| row.other == other);
        wanted.then(|| Running::refserver(&args.refserver, RECORDS, log, &args.dir))
    };
    let (refserver, lean) = (go(Other::Refserver, "test"), go(Other::Lean, "lean"));
    let idle = quipu.memory().0;
    for row in &rows {
        let other = match row.other {
            Other::Nginx => &nginx,
            Other::Refserver => refserver.as_ref().unwrap(),
            Other::Lean => lean.as_ref().unwrap(),
        };
        if row.other == Other::Nginx {
            copy(&quipu, &root, &row.paths);
        }
        compare(args, report, row, (&quipu, other));
    }
    let (_, most) = quipu.memory();
    report.add("memory, idle with 1 M records", (idle, " MB"), Goal::Most(60.0, 60.0), "resident".into());
    report.add(
        "memory, most under the loads above",
        (most, " MB"),
        Goal::Most(300.0, 300.0),
        "resident".into(),
    );
}

fn rows() -> Vec<Row> {
    use Figure::{Answers, Bytes};
    use Other::{Lean, Nginx, Refserver};
    let tiles = RECORDS / 256;
    let row = |name, goal, other, figure, paths| {
        let connections = if matches!(figure, Bytes) { 16 } else { CONNECTIONS };
        Row { name, goal, other, figure, connections, paths }
    };
    let file = |module: &str, kind: &str| vec![format!("/bench.example/{module}/@v/v1.0.0.{kind}")];
    vec![
        row("hash tile", Goal::Least(1.0, 1.2), Nginx, Answers, tile_paths("0", tiles)),
        row("/latest", Goal::Least(1.0, 1.2), Nginx, Answers, vec!["/latest".into()]),
        row("/lookup, any of 1 M", Goal::Least(3.5, 5.0), Refserver, Answers, lookups(RECORDS)),
        row("/lookup, 1,000 hot ones", Goal::Least(5.0, 7.0), Refserver, Answers, lookups(1000)),
        row("/lookup, any of 1 M", Goal::None, Lean, Answers, lookups(RECORDS)),
        row("/lookup, 1,000 hot ones", Goal::None, Lean, Answers, lookups(1000)),
        row("hash tile", Goal::Least(3.0, 3.0), Refserver, Answers, tile_paths("0", tiles)),
        row("data tile, any of 3,906", Goal::Least(8.0, 8.0), Refserver, Answers, tile_paths("data", tiles)),
        row("data tile, 100 hot ones", Goal::Least(8.0, 8.0), Refserver, Answers, tile_paths("data", 100)),
        row(".info", Goal::Least(0.9, 1.0), Nginx, Answers, file("small", "info")),
        row(".mod", Goal::Least(0.9, 1.0), Nginx, Answers, file("small", "mod")),
        row(".zip of 120 KB", Goal::Least(0.9, 1.0), Nginx, Answers, file("small", "zip")),
        row(".zip of 10 MiB", Goal::Least(1.2, 1.6), Nginx, Bytes, file("big", "zip")),
    ]
}

fn lookups(below: u64) -> Vec<String> {
    let mut random = Random(1);
    (0..REQUESTS).map(|_| fixture::lookup(random.below(below))).collect()
}

/// Full tiles of level 0, or data tiles, in any order.
fn tile_paths(level: &str, tiles: u64) -> Vec<String> {
    let mut random = Random(2);
    (0..10_000)
        .map(|_| random.below(tiles))
        .map(|n| match n {
            0..1000 => format!("/tile/8/{level}/{n:03}"),
            _ => format!("/tile/8/{level}/x{:03}/{:03}", n / 1000, n % 1000),
        })
        .collect()
}

/// Gives nginx the very bytes that quipu serves.
fn copy(quipu: &Running, root: &Path, paths: &[String]) {
    let mut http = Http::new(&quipu.url());
    for path in paths {
        let file = root.join(&path[1..]);
        let (status, body) = http.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        if !fs::read(&file).is_ok_and(|there| there == body) {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, body).unwrap();
        }
    }
}

/// One side's turn.
struct Turn {
    figure: f64,
    /// Microseconds of the server's processor time for an answer.
    cpu: f64,
    /// How busy the generator was.
    busy: f64,
}

fn compare(args: &Args, report: &mut Report, row: &Row, sides: (&Running, &Running)) {
    let turn = |server: &Running| {
        let requests: Vec<Vec<u8>> = row.paths.iter().map(|path| request(server.address, path)).collect();
        let load = Load { address: server.address, requests: &requests, connections: row.connections };
        let before = server.cpu();
        let done: Done = load.run(args.time);
        Turn {
            figure: match row.figure {
                Figure::Answers => done.per_second(),
                Figure::Bytes => done.bytes_per_second() / 1e6,
            },
            cpu: (server.cpu() - before).as_secs_f64() / done.answers as f64 * 1e6,
            busy: done.cpu.as_secs_f64() / done.took.as_secs_f64(),
        }
    };
    // Once unmeasured: the first answers come from the disk.
    turn(sides.0);
    turn(sides.1);
    let turns: Vec<(Turn, Turn)> = (0..args.turns).map(|_| (turn(sides.0), turn(sides.1))).collect();
    let of = |get: &dyn Fn(&(Turn, Turn)) -> f64| median(turns.iter().map(get).collect());
    let unit = match row.figure {
        Figure::Answers => "/s",
        Figure::Bytes => " MB/s",
    };
    let detail = format!(
        "{:.0} : {:.0}{unit}; server CPU {:.1} : {:.1} µs; generator {:.0} % busy",
        of(&|(ours, _)| ours.figure),
        of(&|(_, theirs)| theirs.figure),
        of(&|(ours, _)| ours.cpu),
        of(&|(_, theirs)| theirs.cpu),
        of(&|(ours, _)| ours.busy * 100.0),
    );
    let name = match row.other {
        Other::Nginx => format!("{} : nginx", row.name),
        Other::Refserver => format!("{} : x/mod server", row.name),
        Other::Lean => format!("{} : lean x/mod server", row.name),
    };
    let ratio = of(&|(ours, theirs)| ours.figure / theirs.figure);
    report.add(&name, (ratio, ""), row.goal, detail);
}
