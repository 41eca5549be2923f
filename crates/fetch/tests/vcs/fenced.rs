//! Attacks on the one place that starts git, and on whoever shares a machine with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quipu_fetch::{
    Archive as _, Credentials, ErrorKind, GitAccess, GitLimits, GitOptions, GitProgram, History as _, Remote,
    Repositories, Tree as _, Url,
};

use crate::served::commit;
use crate::site::{Instead, Site, git};

const MAIN: &str = "refs/heads/main";

fn limited(site: &Site, limits: GitLimits) -> GitOptions {
    GitOptions { program: GitProgram { limits, ..GitProgram::default() }, ..site.options() }
}

/// Arguments and variables of every process that mentions `what`, but for this one.
fn processes(what: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        if pid != std::process::id() && arguments.contains(what) {
            let variables = String::from_utf8_lossy(&read("environ")).replace('\0', "\n");
            found.push(format!("{arguments}\n{variables}"));
        }
    }
    found
}

async fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "it does not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (site, other, root) = (Site::start().await, Site::start().await, tempfile::tempdir().unwrap());
    other.import("r", &commit(MAIN, None, "a", "a"));
    let to = other.url.clone();
    site.script(move |seen| {
        let location = format!("Location: {to}{}\r\n", seen.target);
        Some(Instead::answer("302 Found", &location, ""))
    });
    let repositories = site.repositories(root.path()).await;
    let error = repositories.repository(&site.remote("r")).unwrap().snapshot().refs().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(other.seen().is_empty());
    assert_eq!(site.seen().len(), 1);
}

/// The name means nothing to git, which is told where its host was found.
#[tokio::test]
async fn the_judged_address_is_the_one_that_git_connects_to() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    site.import("r", &commit(MAIN, None, "a", "a"));
    let port = Url::parse(&site.url).unwrap().authority().port();
    let url = format!("http://git.example:{port}");
    let mut options = site.options();
    options
        .access
        .named
        .insert_at(Url::parse(&url).unwrap().authority().clone(), ([127, 0, 0, 1], port).into());
    let repositories = Repositories::open(root.path(), options).await.unwrap();
    let remote = Remote::parse(&format!("{url}/r")).unwrap();
    assert!(repositories.repository(&remote).unwrap().snapshot().refs().await.unwrap().head.is_some());
    assert_eq!(site.seen()[0].headers["host"], format!("git.example:{port}"));
}

#[tokio::test]
async fn directories_are_for_the_operator_alone() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let path = site.import("r", &commit(MAIN, None, "a", "a"));
    let remote = Remote::directory(&path).unwrap();
    let refused = site.repositories(root.path()).await.repository(&remote);
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::Rejected);
    assert!(Remote::parse(&remote.to_string()).is_err());
    let access = GitAccess { directories: true, ..GitAccess::default() };
    let options = GitOptions { access, ..GitOptions::default() };
    let allowed = Repositories::open(&root.path().join("other"), options).await.unwrap();
    let snapshot = allowed.repository(&remote).unwrap().snapshot();
    let tip = snapshot.refs().await.unwrap().head.clone().unwrap();
    assert_eq!(snapshot.file(&tip, "a", 10).await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn a_pack_that_is_too_large_stops() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let mut state = 1_u64;
    let mut noise = String::new();
    for _ in 0..400_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise.push_str(&format!("{:08x}", state >> 32));
    }
    site.import("r", &commit(MAIN, None, "noise", &noise));
    let limits = GitLimits { file_bytes: 1 << 20, ..GitLimits::default() };
    let repositories = Repositories::open(root.path(), limited(&site, limits)).await.unwrap();
    assert!(repositories.is_limited());
    let snapshot = repositories.repository(&site.remote("r")).unwrap().snapshot();
    let tip = snapshot.refs().await.unwrap().head.clone().unwrap();
    let error = snapshot.commit(tip.as_str()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(total(root.path()) < 1 << 20, "nothing is left of it");
}

fn total(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let size = |entry: std::fs::DirEntry| {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() { total(&entry.path()) } else { meta.len() }
    };
    entries.map(size).sum()
}

#[tokio::test]
async fn who_stalls_is_left_with_all_that_was_started() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    site.script(|_| Some(Instead::Stall));
    let limits = GitLimits { deadline: Duration::from_millis(1500), ..GitLimits::default() };
    let repositories = Repositories::open(root.path(), limited(&site, limits)).await.unwrap();
    let snapshot = repositories.repository(&site.remote("r")).unwrap().snapshot();
    let since = Instant::now();
    let asking = tokio::spawn(async move { snapshot.refs().await.unwrap_err() });
    until(|| !site.seen().is_empty()).await;
    assert!(processes(&site.url).len() >= 2, "git and its helper");
    let error = asking.await.unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.text().starts_with("fetch timed out: "));
    assert!(since.elapsed() < Duration::from_secs(5));
    until(|| processes(&site.url).is_empty()).await;
}

/// A tree of a hundred million files in a pack of a kilobyte.
#[tokio::test]
async fn bombs_end() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let path = site.import("r", &commit(MAIN, None, "a", "a"));
    let mut object = git(&path, &["rev-parse", "main:a"], b"").trim().to_owned();
    for level in 0..8 {
        let (mode, kind) = if level == 0 { ("100644", "blob") } else { ("040000", "tree") };
        let tree: String = (0..10).map(|n| format!("{mode} {kind} {object}\tname{n}\n")).collect();
        object = git(&path, &["mktree"], tree.as_bytes()).trim().to_owned();
    }
    let variables = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
    let made = git(&path, &[&variables[..], &["commit-tree", "-m", "bomb", &object]].concat(), b"");
    git(&path, &["update-ref", MAIN, made.trim()], b"");
    let limits =
        GitLimits { deadline: Duration::from_secs(4), memory_bytes: 1 << 30, ..GitLimits::default() };
    let repositories = Repositories::open(root.path(), limited(&site, limits)).await.unwrap();
    let snapshot = repositories.repository(&site.remote("r")).unwrap().snapshot();
    let tip = snapshot.refs().await.unwrap().head.clone().unwrap();
    assert!(snapshot.commit(tip.as_str()).await.unwrap().is_some());
    let since = Instant::now();
    let error = snapshot.entries(&tip, "").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Timeout), "{error}");
    let mut archive = snapshot.archive(&tip, "").await.unwrap();
    assert!(archive.next_file().await.is_err());
    assert!(since.elapsed() < Duration::from_secs(12));
}

#[tokio::test]
async fn credentials_go_to_one_host_and_nowhere_else() {
    let (site, other, root) = (Site::start().await, Site::start().await, tempfile::tempdir().unwrap());
    for site in [&site, &other] {
        site.import("r", &commit(MAIN, None, "a", "a"));
    }
    // base64 of user:secret
    let secret = "dXNlcjpzZWNyZXQ=";
    site.script(move |seen| {
        let given = seen.headers.get("authorization").map(String::as_str);
        let challenge = "WWW-Authenticate: Basic realm=\"r\"\r\n";
        (given != Some(&format!("Basic {secret}"))).then(|| Instead::answer("401 Who", challenge, ""))
    });
    let options = |password: &str| {
        let authority = Url::parse(&site.url).unwrap().authority().clone();
        let mut options = site.options();
        options.access.named.insert(Url::parse(&other.url).unwrap().authority().clone());
        options.access.credentials =
            vec![Credentials::basic(&authority, &format!("user:{password}")).unwrap()];
        options
    };
    let repositories = Repositories::open(root.path(), options("secret")).await.unwrap();
    let snapshot = repositories.repository(&site.remote("r")).unwrap().snapshot();
    let tip = snapshot.refs().await.unwrap().head.clone().unwrap();
    assert!(snapshot.commit(tip.as_str()).await.unwrap().is_some());
    assert_eq!(total_mentions(root.path(), secret), 0, "it is in no file");
    assert!(repositories.repository(&other.remote("r")).unwrap().snapshot().refs().await.is_ok());
    assert!(!other.seen().is_empty());
    assert!(other.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));

    let wrong = Repositories::open(&root.path().join("wrong"), options("other")).await.unwrap();
    let error = wrong.repository(&site.remote("r")).unwrap().snapshot().refs().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(!error.text().contains("user") && !error.text().contains("dXNl"), "{error}");

    site.script(|_| Some(Instead::Stall));
    site.forget();
    let snapshot = repositories.repository(&site.remote("r2")).unwrap().snapshot();
    let asking = tokio::spawn(async move { drop(snapshot.refs().await) });
    until(|| !site.seen().is_empty()).await;
    let running = processes(&site.url);
    assert!(!running.is_empty());
    for process in running {
        let arguments = process.lines().next().unwrap();
        assert!(!arguments.contains("secret") && !arguments.contains(secret), "{arguments}");
        let known = [
            "PATH=",
            "HOME=/nonexistent",
            "XDG_CONFIG_HOME=/nonexistent",
            "LC_ALL=C",
            "TZ=UTC",
            "SSH_ASKPASS=/bin/false",
            "GIT_",
        ];
        for variable in process.lines().skip(1) {
            assert!(known.iter().any(|known| variable.starts_with(known)), "{variable}");
        }
    }
    asking.abort();
}

fn total_mentions(directory: &Path, what: &str) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mentions = |path: PathBuf| {
        if path.is_dir() {
            return total_mentions(&path, what);
        }
        let bytes = std::fs::read(path).unwrap();
        usize::from(bytes.windows(what.len()).any(|window| window == what.as_bytes()))
    };
    entries.map(mentions).sum()
}

/// What the server was started with, and what its user has in files, must not matter.
#[tokio::test]
async fn nothing_of_the_environment_leaks_in() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("home");
    std::fs::create_dir_all(home.join("git")).unwrap();
    let marker = root.path().join("marker");
    let touch = format!("touch {}", marker.display());
    let config = format!(
        "[core]\n\thooksPath = {0}\n\tfsmonitor = {touch}\n\tsshCommand = {touch}\n[filter \"evil\"]\n\tsmudge = {touch}\n\tclean = {touch}\n\
         \tprocess = {touch}\n\trequired = true\n[filter \"lfs\"]\n\tsmudge = {touch}\n\trequired = true\n[diff \"evil\"]\n\ttextconv = {touch}\n\
         [http]\n\tproxy = http://127.0.0.1:1\n[credential]\n\thelper = !{touch}\n[tar \"tar\"]\n\tcommand = {touch}\n\
         [url \"http://127.0.0.1:1/\"]\n\tinsteadOf = http://127.0.0.1\n[fetch]\n\trecurseSubmodules = true\n[core]\n\tautocrlf = true\n",
        home.display()
    );
    for file in [".gitconfig", "git/config"] {
        std::fs::write(home.join(file), &config).unwrap();
    }
    for hook in ["post-checkout", "reference-transaction", "pre-auto-gc", "post-index-change"] {
        let path = home.join(hook);
        std::fs::write(&path, format!("#!/bin/sh\n{touch}\n")).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "fenced::a_repository_full_of_traps_is_read", "--ignored"]);
    command.envs([("HOME", &home), ("XDG_CONFIG_HOME", &home), ("GIT_DIR", &home), ("GIT_EXEC_PATH", &home)]);
    command.envs([("GIT_CONFIG_GLOBAL", home.join(".gitconfig")), ("GIT_TRACE", marker.clone())]);
    command.envs([
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "tar.tar.command"),
        ("GIT_CONFIG_VALUE_0", &touch),
    ]);
    command.envs([("GIT_SSH_COMMAND", &*touch), ("GIT_ASKPASS", &touch), ("GIT_PROXY_COMMAND", &touch)]);
    command.envs([
        ("GIT_CONFIG_PARAMETERS", "'http.proxy'='http://127.0.0.1:1'"),
        ("GIT_ALLOW_PROTOCOL", "ext"),
    ]);
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(proxy, "http://127.0.0.1:1");
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert!(!marker.exists());
}

#[tokio::test]
#[ignore = "run by nothing_of_the_environment_leaks_in, in an environment of its own"]
async fn a_repository_full_of_traps_is_read() {
    let (site, root) = (Site::start().await, tempfile::tempdir().unwrap());
    let stream = commit(MAIN, None, "a.txt", "a\n")
        + &commit(MAIN, None, ".gitattributes", "*.txt filter=evil diff=evil\n*.bin filter=lfs\n")
        + &commit(MAIN, None, "b.bin", "version https://git-lfs.github.com/spec/v1\n")
        + &commit(MAIN, None, ".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/\n")
        + &commit(
            MAIN,
            None,
            ".gitmodules",
            "[submodule \"x\"]\n\tpath = x\n\turl = http://127.0.0.1:1/x\n\tupdate = !touch /tmp/x\n",
        )
        + "M 160000 1234567890123456789012345678901234567890 x\n";
    let path = site.import("r", &stream);
    // Names that a command line could take for more.
    let tip = git(&path, &["rev-parse", "main"], b"");
    let names =
        ["refs/heads/-x", "refs/heads/--upload-pack=touch", "refs/tags/--output=x", "refs/tags/v1.0.0"];
    let lines: String = names.iter().map(|name| format!("{} {name}\n", tip.trim())).collect();
    std::fs::write(path.join("packed-refs"), lines).unwrap();
    let repositories = site.repositories(root.path()).await;
    let snapshot = repositories.repository(&site.remote("r")).unwrap().snapshot();
    let refs = snapshot.refs().await.unwrap();
    assert_eq!((refs.heads.len(), refs.tags.len()), (1, 1));
    let commit = snapshot.commit(&tip[..12]).await.unwrap().unwrap();
    let mut archive = snapshot.archive(&commit.id, "").await.unwrap();
    let mut files = Vec::new();
    while let Some(file) = archive.next_file().await.unwrap() {
        let mut content = Vec::new();
        while let Some(chunk) = archive.chunk().await.unwrap() {
            content.extend_from_slice(&chunk);
        }
        files.push((String::from_utf8(file.path).unwrap(), content));
    }
    assert_eq!(files.len(), 5);
    assert!(files.contains(&("a.txt".to_owned(), b"a\n".to_vec())));
    assert!(files.iter().any(|(path, content)| path == "b.bin" && content.starts_with(b"version ")));
}
