//! `doctor`, on a home directory made up for it, and on what the real go command says and leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quipu_module::{H1, ModuleVersion, hash_go_mod, hash_zip};
use quipu_tlog::{Tile, new_tiles};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::log::{Log, key, record, signed};
use crate::run::{Ran, finish, program};
use crate::site::{Reply, Site, honest};

const NAME: &str = "sum.example.test";

/// A home with what go keeps in it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn latest(&self, note: &str) -> PathBuf {
        self.put(&format!("go/pkg/sumdb/{NAME}/latest"), note)
    }

    fn tile(&self, log: &Log, tile: &Tile) -> PathBuf {
        self.cached(&tile.sumdb_path(), log.tile(tile).unwrap())
    }

    fn cached(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        self.put(&format!("go/pkg/mod/cache/download/sumdb/{NAME}/{name}"), content)
    }

    /// A cache as go leaves it: the head, all hash tiles of the tree of `size` records, and a lookup.
    fn with_log(log: &Log, size: u64) -> Self {
        let home = Self::new();
        home.latest(&log.note(size));
        for tile in
            new_tiles(0, size).filter(|tile| tile.sumdb_path().starts_with("tile/8/") && is_hashes(tile))
        {
            home.tile(log, &tile);
        }
        home.cached("lookup/filler.test/m7@v1.0.0", format!("7\n{}\n{}", log.records[7], log.note(size)));
        home
    }

    fn command(&self, database: &str, arguments: &[&str]) -> Command {
        let mut command = program(self.0.path());
        command.env("GOSUMDB", database).env("GOPROXY", "off").current_dir(self.0.path());
        command.arg("doctor").args(arguments);
        command
    }

    fn doctor(&self, database: &str, arguments: &[&str]) -> Ran {
        finish(&mut self.command(database, arguments))
    }

    /// The findings in JSON.
    fn findings(&self, database: &str, arguments: &[&str]) -> (i32, Vec<Value>) {
        let ran = self.doctor(database, &[&["--json", "--timeout", "5"], arguments].concat());
        (ran.code, ran.json()["findings"].as_array().unwrap().clone())
    }
}

fn is_hashes(tile: &Tile) -> bool {
    matches!(tile.level(), quipu_tlog::TileLevel::Hashes(_))
}

fn at(site: &Site) -> String {
    format!("{} {}", key(), site.url())
}

fn ids(findings: &[Value]) -> Vec<&str> {
    findings.iter().map(|finding| finding["id"].as_str().unwrap()).collect()
}

/// Runs the command that a finding recommends, if it only removes.
fn repair(finding: &Value) {
    let command = finding["repair"].as_str().unwrap();
    assert!(command.starts_with("rm -f "), "{command}");
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success());
}

#[test]
fn a_machine_in_good_health() {
    let log = Log::filler(600);
    let home = Home::with_log(&log, 300);
    let site = Site::honest(log, 600);
    home.doctor(&at(&site), &["--deep"])
        .ends(0)
        .prints(
            "the tree of 300 records that go remembers of sum.example.test begins the one of 600 \
                 records",
        )
        .prints("doctor: 0 problems, 0 warnings, 1 note");
}

/// Every file below a directory, with its content.
fn snapshot(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.push((path.clone(), Vec::new()));
            files.extend(snapshot(&path));
        } else {
            files.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn nothing_of_gos_is_changed() {
    let home = Home::with_log(&Log::filler(300), 300);
    home.cached("tile/8/0/000.p/9", "short");
    home.put("go/pkg/mod/cache/download/a.test/x/@v/v1.0.0.info", "{");
    let before = snapshot(&home.path("go"));
    let other = Log::new((0..400).map(|i| record(&format!("other.test/m{i}"), 'y')));
    for (site, code) in [(Site::honest(Log::filler(400), 400), 4), (Site::honest(other, 400), 3)] {
        for more in [&["--deep"][..], &["--offline"]] {
            let code = if more == ["--offline"] { 4 } else { code };
            home.doctor(&at(&site), more).ends(code);
        }
    }
    assert!(snapshot(&home.path("go")) == before);
}

#[test]
#[cfg(unix)]
fn nothing_that_lies_about_is_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    for dir in ["", "bin/"] {
        let go = home.put(&format!("{dir}go"), "#!/bin/sh\necho run >> \"$HOME/ran\"\n");
        fs::set_permissions(go, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for database in ["", "sum.golang.org"] {
        let mut command = home.command(database, &["--offline"]);
        finish(command.env("PATH", ".:bin:").env("GOPROXY", "")).ends(0).prints("[no-go]");
    }
    assert!(!home.path("ran").exists());
}

#[test]
fn a_projects_toolchain_is_not_asked_for() {
    let home = Home::new();
    home.put("go.mod", "module x\n\ngo 1.99.0\n");
    let mut command = home.command(&key().to_string(), &["--json", "--offline"]);
    let ran = finish(command.env("GOTOOLCHAIN", "go1.25.1+auto"));
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    assert_eq!((ran.code, ids(&findings)), (4, vec!["go-too-old"]), "{findings:#?}");
    assert_eq!(findings[0]["what"], "GOTOOLCHAIN is go1.25.1");
}

#[test]
fn nothing_is_asked_offline() {
    let home = Home::with_log(&Log::filler(300), 300);
    let site = Site::honest(Log::filler(300), 300);
    home.doctor(&at(&site), &["--offline"])
        .ends(0)
        .prints("not checked: whether the head")
        .prints("0 problems");
    assert_eq!(site.requests(), Vec::<String>::new());
}

#[test]
fn damage_is_found_named_and_repaired() {
    let log = Log::filler(600);
    for offline in [false, true] {
        let home = Home::with_log(&log, 600);
        let bad = home.path("go/pkg/mod/cache/download/sumdb/sum.example.test/tile/8/0/001");
        let mut body = fs::read(&bad).unwrap();
        body[1000] ^= 1;
        fs::write(&bad, body).unwrap();
        home.cached("tile/8/0/000.p/9", "short");
        home.cached("tile/8/0/x", "odd");
        home.cached("tile/8/3/000.p/1", [7; 32]);
        home.cached("lookup/filler.test/m8@v1.0.0", format!("8\n{}\n{}", log.records[9], log.note(600)));
        home.cached("lookup/filler.test/m9@v1.0.0", "9\ncut");
        let other = Log::new([record("other.test/m", 'y')]);
        home.cached("lookup/other.test/m@v1.0.0", format!("0\n{}\n{}", other.records[0], log.note(600)));
        let site = Site::honest(log.clone(), 600);
        let arguments: &[&str] = if offline { &["--offline"] } else { &[] };
        let (code, found) = home.findings(&at(&site), arguments);
        let wrong: Vec<&Value> = found.iter().filter(|finding| finding["severity"] == "problem").collect();
        assert_eq!(code, 4, "{found:#?}");
        assert_eq!(wrong.len(), 2, "{found:#?}");
        let names =
            |id: &str| wrong.iter().find(|f| f["id"] == id).unwrap()["what"].as_str().unwrap().to_owned();
        // Without the log nobody knows how large the tree is by now.
        let beyond = if offline { "0/x" } else { "3/000.p/1" };
        for name in ["0/000.p/9", "0/001", "0/x", beyond] {
            assert!(names("corrupt-tile").contains(&format!("8/{name}")), "{name} in {wrong:#?}");
        }
        for name in ["filler.test/m8@v1.0.0", "filler.test/m9@v1.0.0", "other.test/m@v1.0.0"] {
            assert!(names("corrupt-lookup").contains(name), "{name} in {wrong:#?}");
        }
        if !offline {
            assert!(!names("corrupt-lookup").contains("m7@"), "{wrong:#?}");
            wrong.iter().for_each(|finding| repair(finding));
            assert_eq!(home.findings(&at(&site), &[]).0, 0);
        }
    }
}

#[test]
fn a_fork_seen_by_this_client_is_proven() {
    let home = Home::with_log(&Log::filler(300), 300);
    let other = Log::new((0..400).map(|i| record(&format!("other.test/m{i}"), 'y')));
    let site = Site::honest(other, 400);
    let ran = home.doctor(&at(&site), &[]).ends(3).prints("MISBEHAVIOUR PROVEN").prints("[fork]");
    check_evidence(&ran);
    // What go remembers is left as it is.
    assert_eq!(fs::read_to_string(home.latest_path()).unwrap(), Log::filler(300).note(300));
}

impl Home {
    fn latest_path(&self) -> PathBuf {
        self.path(&format!("go/pkg/sumdb/{NAME}/latest"))
    }
}

fn check_evidence(ran: &Ran) {
    let path = ran.err.lines().find_map(|line| line.split_once("the evidence is in ")).unwrap().1;
    let evidence: quipu_verify::Evidence = fs::read_to_string(path).unwrap().parse().unwrap();
    evidence.check(&[key()]).unwrap();
}

#[test]
fn a_fork_between_a_cached_lookup_and_the_log_is_proven() {
    let log = Log::filler(300);
    let home = Home::with_log(&log, 300);
    let other = Log::new((0..300).map(|i| record(&format!("other.test/m{i}"), 'y')));
    home.cached("lookup/other.test/m7@v1.0.0", format!("7\n{}\n{}", other.records[7], other.note(300)));
    check_evidence(&home.doctor(&at(&Site::honest(log, 300)), &[]).ends(3));
}

#[test]
fn a_fork_between_what_go_and_this_program_saw_is_proven() {
    let other = Log::new((0..200).map(|i| record(&format!("other.test/m{i}"), 'y')));
    let home = Home::with_log(&Log::filler(300), 300);
    home.put(&format!("state/{NAME}/latest"), other.note(200));
    let site = Site::honest(Log::filler(300), 300);
    check_evidence(&home.doctor(&at(&site), &[]).ends(3));
}

#[test]
fn a_rolled_back_log_is_noticed() {
    let log = Log::filler(300);
    let home = Home::with_log(&log, 300);
    let (code, found) = home.findings(&at(&Site::honest(log, 290)), &[]);
    assert_eq!((code, ids(&found)[0]), (4, "rolled-back"), "{found:#?}");
}

#[test]
fn heads_of_other_keys_and_databases_are_told_apart() {
    let home = Home::new();
    let note = Log::filler(3).note(3).replace("sum.example.test", "other.example.test");
    home.latest(&note);
    home.put("go/pkg/sumdb/other.example.test/latest", &note);
    home.put("go/pkg/sumdb/a.test/with/path/latest", &note);
    let (code, found) = home.findings(&at(&Site::honest(Log::filler(3), 3)), &[]);
    assert_eq!((code, ids(&found)), (4, vec!["head-of-another-key", "other-heads"]), "{found:#?}");
    assert!(
        found[1]["what"].as_str().unwrap().ends_with("a.test/with/path, other.example.test"),
        "{found:#?}"
    );
}

#[test]
fn a_database_that_cannot_be_asked_is_no_good_health() {
    let home = Home::with_log(&Log::filler(300), 300);
    let database = format!("{} http://127.0.0.1:1", key());
    home.doctor(&database, &["--timeout", "2"])
        .ends(1)
        .prints("could not check: the head of sum.example.test");
}

#[test]
fn damaged_modules_are_found_and_repaired() {
    let home = Home::new();
    let dir = "go/pkg/mod/cache/download/a.test/!x/@v";
    let zip = zip_of("a.test/X@v1.0.0/x.go");
    let hash = hash_zip(std::io::Cursor::new(&zip)).unwrap();
    home.put(&format!("{dir}/v1.0.0.zip"), &zip);
    home.put(&format!("{dir}/v1.0.0.ziphash"), hash.to_string());
    home.put(&format!("{dir}/v1.0.0.info"), r#"{"Version":"v1.0.0"}"#);
    home.put(&format!("{dir}/v1.0.0.mod"), "module a.test/X\n");
    let site = Site::honest(Log::filler(3), 3);
    assert_eq!(home.findings(&at(&site), &[]), (0, vec![]));
    home.put(&format!("{dir}/v1.1.0.zip"), &zip);
    home.put(&format!("{dir}/v1.1.0.ziphash"), H1::EMPTY_GO_MOD.to_string());
    home.put(&format!("{dir}/v1.2.0.zip"), "no zip");
    home.put(&format!("{dir}/v1.2.0.ziphash"), hash.to_string());
    home.put(&format!("{dir}/v1.3.0.ziphash"), hash.to_string());
    home.put(&format!("{dir}/v1.4.0.zip"), &zip);
    home.put(&format!("{dir}/v1.5.0.info"), "{");
    home.put(&format!("{dir}/v1.5.0.mod"), [0; 20]);
    let extracted = home.put("go/pkg/mod/a.test/!x@v1.1.0/x.go", "");
    let (code, found) = home.findings(&at(&site), &[]);
    let wanted =
        ["broken-info", "broken-mod", "zip-changed", "zip-changed", "ziphash-alone", "zip-without-hash"];
    assert_eq!((code, ids(&found)), (4, wanted.to_vec()), "{found:#?}");
    assert!(found.iter().any(|f| f["what"].as_str().unwrap().contains("a.test/X@v1.1.0")), "{found:#?}");
    found.iter().for_each(repair);
    assert!(!extracted.exists());
    assert_eq!(home.findings(&at(&site), &[]), (0, vec![]));
}

/// The smallest zip: one empty file.
fn zip_of(name: &str) -> Vec<u8> {
    let short = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
    let long = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let common: Vec<u8> =
        [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0; 12], &short(name.len()), &[0, 0]].concat();
    let local = [b"PK\x03\x04", &common[..], name.as_bytes()].concat();
    let central = [b"PK\x01\x02\x14\x00", &common[..], &[0; 14], name.as_bytes()].concat();
    let end = [b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &long(central.len())[..], &long(local.len()), &[0, 0]];
    [&local[..], &central, &end.concat()].concat()
}

#[test]
fn no_secret_is_ever_printed() {
    let home = Home::with_log(&Log::filler(30), 30);
    home.put(".netrc", "machine go.corp login s3cret password s3cret\n");
    let database = format!("{} http://s3cret:s3cret@127.0.0.1:1/s3cret", key());
    let said = home.put(
        "said",
        "go: a.test/x@v1.0.0: verifying go.mod: reading https://u:s3cret@h/s3cret/lookup/x: 404 Not Found",
    );
    for arguments in [
        &["--offline"][..],
        &["--timeout", "1"],
        &["--json", "--timeout", "1"],
        &["--explain", said.to_str().unwrap()],
    ] {
        let mut command = home.command(&database, arguments);
        command.env("GOPROXY", "https://s3cret:s3cret@go.corp/s3cret?k=s3cret,http://s3cret@b.test|direct");
        command
            .env("GOAUTH", "helper s3cret")
            .env("GOFLAGS", "-toolexec=/s3cret")
            .env("GOPRIVATE", "corp.test");
        let ran = finish(&mut command);
        assert!(!ran.out.contains("s3cret") && !ran.err.contains("s3cret"), "{ran:#?}");
        assert!(ran.code == 4, "{ran:#?}");
    }
}

#[test]
fn a_readable_netrc_is_a_finding() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let netrc = home.put(".netrc", "machine go.corp login a password b\n");
    let mut modes = Vec::new();
    for mode in [0o644, 0o600] {
        fs::set_permissions(&netrc, fs::Permissions::from_mode(mode)).unwrap();
        let mut command = home.command(&key().to_string(), &["--offline", "--json"]);
        let ran = finish(command.env("GOPROXY", "https://go.corp"));
        modes.push((ran.code, ran.json()["findings"].as_array().unwrap().clone()));
    }
    assert_eq!((modes[0].0, ids(&modes[0].1)), (4, vec!["netrc-readable", "netrc-sent"]));
    assert_eq!((modes[1].0, ids(&modes[1].1)), (0, vec!["netrc-sent"]));
}

#[test]
fn without_a_go_command_the_environment_counts() {
    let home = Home::new();
    home.put("app/go.mod", "module git.corp/app\nrequire git.corp/lib v1.0.0\n");
    home.put("app/sub/x.go", "");
    let mut command = home.command("sum.golang.org", &["--offline", "--json", "-C", "app/sub"]);
    let ran = finish(command.env("PATH", "relative").env("GOPROXY", ""));
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    assert_eq!((ran.code, ids(&findings)), (4, vec!["no-go", "private-names-leave", "go-sum-missing"]));
}

#[test]
fn wrong_usage_is_told() {
    let home = Home::new();
    home.doctor(&key().to_string(), &["-C", "nowhere"]).ends(2);
    home.doctor(&key().to_string(), &["--explain", "nowhere"]).ends(2);
    home.doctor(&key().to_string(), &["--db", "nonsense"]).ends(2);
    home.put("said", "all is well\n");
    home.doctor(&key().to_string(), &["--explain", "said"]).ends(1).prints("nothing in this text");
}

/// A proxy with one module, whose database says first this and then that.
fn hostile_proxy(answers: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> (Site, Arc<AtomicUsize>) {
    let turn = Arc::new(AtomicUsize::new(0));
    let seen = turn.clone();
    let site = Site::new(move |path| match path {
        "/supported" => Reply::Good(Vec::new()),
        _ => match path.strip_prefix(&format!("/sumdb/{NAME}")) {
            Some("/supported") => Reply::Good(Vec::new()),
            Some(path) => answers(seen.load(Ordering::SeqCst), path),
            None => module_file(path),
        },
    });
    (site, turn)
}

const GO_MOD: &str = "module a.test/m0\n";

fn module_file(path: &str) -> Reply {
    let Some((module, file)) = path.trim_start_matches('/').split_once("/@v/") else {
        return Reply::Status(404, String::new(), Vec::new());
    };
    match file {
        "v1.0.0.info" => Reply::Good(br#"{"Version":"v1.0.0"}"#.to_vec()),
        "v1.0.0.mod" => Reply::Good(GO_MOD.replace("a.test/m0", module).into_bytes()),
        "v1.0.0.zip" => Reply::Good(zip_of(&format!("{module}@v1.0.0/x.go"))),
        _ => Reply::Status(404, String::new(), Vec::new()),
    }
}

/// The record of a module of the proxy.
fn true_record(module: &str) -> String {
    let module = ModuleVersion::parse(module, "v1.0.0").unwrap();
    let zip = hash_zip(std::io::Cursor::new(zip_of(&format!("{module}/x.go")))).unwrap();
    let go_mod = hash_go_mod(GO_MOD.replace("a.test/m0", module.path().as_str()).as_bytes());
    quipu_module::Record { module, zip, go_mod }.to_string()
}

/// Lets the real go download a module of the proxy; what it says.
fn go_says(home: &Home, site: &Site, module: &str) -> String {
    let mut go = Command::new("go");
    go.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.0.path());
    go.env("GOENV", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-modcacherw")
        .env("GOTELEMETRY", "off");
    go.env("GOPROXY", site.url()).env("GOSUMDB", key().to_string()).current_dir(home.0.path());
    let ran = finish(go.args(["mod", "download", &format!("{module}@v1.0.0")]));
    if ran.code == 0 { String::new() } else { ran.err }
}

fn explained(home: &Home, said: &str) -> Ran {
    assert!(!said.is_empty());
    let file = home.put("said", said);
    home.doctor(&key().to_string(), &["--explain", file.to_str().unwrap()])
}

fn log_of(prefix: &str, size: u64) -> Log {
    Log::new((0..size).map(|i| {
        if i < 2 { true_record(&format!("a.test/m{i}")) } else { record(&format!("{prefix}{i}"), 'x') }
    }))
}

#[test]
fn what_the_real_go_says_of_a_fork_is_proof() {
    let (first, second) = (log_of("b.test/m", 50), log_of("c.test/m", 50));
    let (site, turn) =
        hostile_proxy(move |turn, path| honest(if turn == 0 { &first } else { &second }, 50, path));
    let home = Home::new();
    assert_eq!(go_says(&home, &site, "a.test/m0"), "");
    turn.store(1, Ordering::SeqCst);
    let said = go_says(&home, &site, "a.test/m1");
    assert!(said.contains("SECURITY ERROR"), "{said}");
    check_evidence(&explained(&home, &said).ends(3).prints("[fork-report]"));
    // And what go left behind proves the same, without its report.
    let mut command = home.command(&key().to_string(), &[]);
    check_evidence(&finish(command.env("GOPROXY", site.url())).ends(3));
}

#[test]
fn what_the_real_go_says_of_a_false_download_names_both_hashes() {
    let log = Log::new([record("a.test/m0", 'z'), true_record("a.test/m1")]);
    let (site, _) = hostile_proxy(move |_, path| honest(&log, 2, path));
    let home = Home::new();
    let said = go_says(&home, &site, "a.test/m0");
    explained(&home, &said)
        .ends(4)
        .prints("[mismatch-database]")
        .prints("$ quipu-verify why a.test/m0@v1.0.0");
}

#[test]
fn what_the_real_go_says_of_go_sum_is_understood() {
    let log = log_of("b.test/m", 5);
    let (site, _) = hostile_proxy(move |_, path| honest(&log, 5, path));
    let home = Home::new();
    home.put("go.mod", "module x\n\ngo 1.21\n\nrequire a.test/m0 v1.0.0\n");
    home.put("go.sum", record("a.test/m0", 'q'));
    let said = go_says(&home, &site, "a.test/m0");
    explained(&home, &said).ends(4).prints("[mismatch-go-sum]").prints("go.sum says h1:");
}

#[test]
fn what_the_real_go_says_of_other_faults_is_known() {
    let forged = signed("go.sum database tree\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
        .replace("vdT2", "vdT3");
    for (body, id) in [
        (format!("0\n{}\n{forged}", true_record("a.test/m0")), "unknown-signer"),
        ("<html>sign in\n".to_owned(), "no-record"),
        (format!("5\n{}\n{}", true_record("a.test/m0"), Log::filler(2).note(2)), "record-beyond-tree"),
    ] {
        let (site, _) = hostile_proxy(move |_, _| Reply::Good(body.clone().into_bytes()));
        let home = Home::new();
        let said = go_says(&home, &site, "a.test/m0");
        explained(&home, &said).ends(4).prints(&format!("[{id}]"));
    }
}

#[test]
fn what_the_real_go_leaves_behind_is_good() {
    let log = log_of("b.test/m", 300);
    let (site, _) = hostile_proxy(move |turn, path| honest(&log, 280 + turn as u64 * 10, path));
    let home = Home::new();
    assert_eq!(go_says(&home, &site, "a.test/m0"), "");
    let mut command = home.command(&key().to_string(), &["--deep", "--offline"]);
    finish(command.env("GOPROXY", site.url())).ends(0);
    let mut command = home.command(&key().to_string(), &["--deep"]);
    finish(command.env("GOPROXY", site.url())).ends(0).prints("begins the one of 280 records");
    assert!(Path::new(&home.latest_path()).exists());
}
