//! Modules straight from repositories, and much that passes through: a real `git http-backend` on loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::Args;
use crate::fixture;
use crate::forge::Forge;
use crate::http::Http;
use crate::process::Running;
use crate::report::{Goal, Report, median, quantile};

/// Files of the large tree, of about 20 KB each: 10 MB.
const FILES: usize = 500;

/// Tags of the repository that has many.
const TAGS: usize = 4000;

/// Clients that ask at the same time.
const CLIENTS: usize = 500;

/// Versions of 100 MB that pass, and how many at a time.
const LARGE: usize = 64;
const AT_A_TIME: usize = 8;

pub(crate) fn measure(args: &Args, report: &mut Report) {
    let dir = args.dir.join("sources");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let ground = Ground::new(args, &dir);
    ground.versions(args, report);
    ground.list(report);
    ground.crowd(report);
    drop(ground);
    if args.wants("memory, 64 zips of 100 MB : half of them") {
        pass_large(args, &dir, report);
    }
    fs::remove_dir_all(&dir).unwrap();
}

/// A forge with repositories, and quipu before it.
struct Ground {
    forge: Forge,
    root: PathBuf,
    quipu: Running,
}

impl Ground {
    fn new(args: &Args, dir: &Path) -> Self {
        let root = dir.join("forge");
        fs::create_dir_all(&root).unwrap();
        let forge = Forge::start(&root);
        let data = dir.join("data");
        fixture::found(&data);
        let config = dir.join("quipu.toml");
        let repository = format!("[[repository]]\nroot = \"corp.test/*\"\nurl = \"{}/$1.git\"\n", forge.url);
        fs::write(&config, repository).unwrap();
        let more = ["--config", config.to_str().unwrap(), "--goprivate", "corp.test"];
        let quipu = Running::quipu_with(&args.program, &data, ("off", "off"), &more);
        Self { forge, root, quipu }
    }

    /// A version just tagged, and its zip when its commit is already here.
    fn versions(&self, args: &Args, report: &mut Report) {
        let tree = self.root.join("large");
        for n in 0..FILES {
            let lines =
                (0..300_u64).map(|line| format!("var v{line} = \"{:064x}\"\n", line * line + n as u64));
            let text = format!("package p{n}\n{}", lines.collect::<String>());
            fs::create_dir_all(tree.join(format!("p{n}"))).unwrap();
            fs::write(tree.join(format!("p{n}/p.go")), text).unwrap();
        }
        fs::write(tree.join("go.mod"), "module corp.test/large\n\ngo 1.24\n").unwrap();
        self.commit("large", &tree, "v1.0.0");
        self.get("/corp.test/large/@v/v1.0.0.zip");
        let (mut infos, mut zips, mut git) = (Vec::new(), Vec::new(), Vec::new());
        for n in 1..=args.turns {
            fs::write(tree.join("p0/p.go"), format!("package p0\n\nconst N = {n}\n")).unwrap();
            self.commit("large", &tree, &format!("v1.0.{n}"));
            git.push(self.git_fetches("large", n));
            // References are remembered for three seconds.
            thread::sleep(Duration::from_secs(4));
            infos.push(self.get(&format!("/corp.test/large/@v/v1.0.{n}.info")));
            zips.push(self.get(&format!("/corp.test/large/@v/v1.0.{n}.zip")));
        }
        let detail =
            format!("of a repository that is cached; git's own listing and fetch: {:.0} ms", median(git));
        report.add(".info of a new tag", (median(infos), " ms"), Goal::Most(100.0, 100.0), detail);
        let detail = "the commit in the cached repository; zipped, hashed, logged, sent".to_owned();
        report.add("first zip of a 10 MB tree", (median(zips), " ms"), Goal::Most(300.0, 300.0), detail);
    }

    /// The versions of a repository with many, as they are remembered.
    fn list(&self, report: &mut Report) {
        let tree = self.root.join("many");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("go.mod"), "module corp.test/many\n\ngo 1.24\n").unwrap();
        self.commit("many", &tree, "v1.0.0");
        let bare = self.root.join("many.git");
        let commit = String::from_utf8(git(&bare, &["rev-parse", "HEAD"])).unwrap();
        let packed: String = (0..TAGS).map(|n| format!("{} refs/tags/v1.1.{n}\n", commit.trim())).collect();
        fs::write(
            bare.join("packed-refs"),
            format!("# pack-refs with: peeled fully-peeled sorted \n{}", sorted(&packed)),
        )
        .unwrap();
        let first = self.get("/corp.test/many/@v/list");
        let mut took: Vec<f64> = (0..200).map(|_| self.get("/corp.test/many/@v/list")).collect();
        let detail = format!("median {:.2} ms of 200; the first {first:.0} ms", quantile(&mut took, 0.5));
        report.add(
            "list of 4,000 versions, p99",
            (quantile(&mut took, 0.99), " ms"),
            Goal::Most(5.0, 5.0),
            detail,
        );
    }

    /// Many clients that ask for one version nobody has asked for: what the forge is asked, beside what one client asks.
    fn crowd(&self, report: &mut Report) {
        let tree = self.root.join("crowd");
        fs::create_dir_all(&tree).unwrap();
        let asked_by = |name: &str, clients: usize| {
            fs::write(tree.join("go.mod"), format!("module corp.test/{name}\n\ngo 1.24\n")).unwrap();
            self.commit(name, &tree, "v1.0.0");
            self.forge.forget();
            let begun = Instant::now();
            thread::scope(|scope| {
                for _ in 0..clients {
                    scope.spawn(|| self.get(&format!("/corp.test/{name}/@v/v1.0.0.zip")));
                }
            });
            (self.forge.asked().len() as f64, begun.elapsed().as_secs_f64() * 1e3)
        };
        let (alone, alone_took) = asked_by("alone", 1);
        let (crowd, crowd_took) = asked_by("crowd", CLIENTS);
        let detail =
            format!("{crowd} : {alone} requests; {crowd_took:.0} : {alone_took:.0} ms to the last client");
        report.add(
            "500 clients, a cold module from git : 1 client",
            (crowd / alone, ""),
            Goal::Most(1.0, 1.0),
            detail,
        );
    }

    /// Milliseconds to the last byte of a `200`.
    fn get(&self, path: &str) -> f64 {
        let begun = Instant::now();
        let (status, body) = Http::new(&self.quipu.url()).get(path).unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        begun.elapsed().as_secs_f64() * 1e3
    }

    /// Makes the files the next commit of a bare repository, with a tag.
    fn commit(&self, name: &str, tree: &Path, tag: &str) {
        let bare = self.root.join(format!("{name}.git"));
        if !bare.exists() {
            git(&self.root, &["init", "--quiet", "--bare", "--initial-branch=main", bare.to_str().unwrap()]);
        }
        let (dir, tree) =
            (format!("--git-dir={}", bare.display()), format!("--work-tree={}", tree.display()));
        let run = |args: &[&str]| git(&self.root, &[&[&*dir, &*tree], args].concat());
        run(&["add", "--all"]);
        run(&["-c", "user.name=A", "-c", "user.email=a@corp.test", "commit", "--quiet", "--message", tag]);
        run(&["tag", tag]);
    }

    /// Milliseconds that git itself takes for the references and a tag of the forge, with all before it at hand.
    fn git_fetches(&self, name: &str, n: usize) -> f64 {
        let (url, tag) = (format!("{}/{name}.git", self.forge.url), format!("refs/tags/v1.0.{n}"));
        let clone = self.root.join("clone.git");
        if !clone.exists() {
            let clone = clone.to_str().unwrap();
            git(&self.root, &["clone", "--quiet", "--bare", "--depth=1", "--branch=v1.0.0", &url, clone]);
        }
        let begun = Instant::now();
        git(&clone, &["ls-remote", "--quiet", &url]);
        git(&clone, &["fetch", "--quiet", "--depth=1", &url, &format!("{tag}:{tag}")]);
        begun.elapsed().as_secs_f64() * 1e3
    }
}

/// Memory while large zips pass, many at a time: it must not grow with what has passed.
fn pass_large(args: &Args, dir: &Path, report: &mut Report) {
    let tree = dir.join("upstream");
    (0..LARGE).for_each(|n| fixture::write_module(&tree, &format!("large{n}"), 100 << 20));
    let upstream = Running::nginx(dir, &tree);
    let data = dir.join("large-data");
    fixture::found(&data);
    let quipu = Running::quipu(&args.program, &data, &upstream.url(), "off");
    let idle = quipu.memory().0;
    let pass = |first: usize| {
        thread::scope(|scope| {
            for n in first..first + AT_A_TIME {
                let url = quipu.url();
                scope.spawn(move || {
                    let path = format!("/bench.example/large{n}/@v/v1.0.0.zip");
                    let (status, _) = Http::new(&url).get(&path).unwrap();
                    assert_eq!(status, 200, "{path}");
                });
            }
        });
        quipu.memory().1
    };
    let begun = Instant::now();
    // One turn alone says little: how the peaks of those at a time fall together is chance.
    let peaks = |versions: std::ops::Range<usize>| versions.step_by(AT_A_TIME).map(pass).fold(0.0, f64::max);
    let (half, all) = (peaks(0..LARGE / 2), peaks(LARGE / 2..LARGE));
    let seconds = begun.elapsed().as_secs_f64();
    let detail = format!("{all:.0} : {half:.0} MB, idle {idle:.0}; {AT_A_TIME} at a time; {seconds:.0} s");
    report.add("memory, 64 zips of 100 MB : half of them", (all / half, ""), Goal::Most(1.2, 1.1), detail);
}

/// The lines in the order of their references, as git keeps them.
fn sorted(lines: &str) -> String {
    let mut lines: Vec<&str> = lines.split_inclusive('\n').collect();
    lines.sort_by_key(|line| line.split(' ').nth(1));
    lines.concat()
}

/// What git writes.
fn git(dir: &Path, args: &[&str]) -> Vec<u8> {
    let out = Command::new("git").current_dir(dir).args(args).output().expect("git does not start");
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}
