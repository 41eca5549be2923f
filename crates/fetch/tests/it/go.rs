//! The tree on disk and the real `go` command. Without `go` on this machine these tests say so and pass.

use std::path::Path;
use std::process::Command;

use quipu_fetch::{FileKind, Upstream as _};

use crate::support::modules::Module;
use crate::support::server::Server;
use crate::support::{Judge, cache, skipped};

/// Runs `go` in `directory` with modules from `proxy` only; what it printed on both, and whether it succeeded.
fn go(directory: &Path, proxy: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("go")
        .args(arguments)
        .current_dir(directory)
        .env("GOPROXY", proxy)
        .env("GOMODCACHE", directory.join("modcache"))
        .env("GOCACHE", directory.join("gocache"))
        .env("GOPATH", directory.join("gopath"))
        .env("GOFLAGS", "-modcacherw -mod=mod")
        .env("GONOSUMDB", "*")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .env_remove("GOPRIVATE")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

fn has_go() -> bool {
    let found = Command::new("go").arg("version").output().is_ok();
    if !found {
        skipped("no go command here");
    }
    found
}

/// A main module in a directory of its own.
fn project(go_mod: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("go.mod"), go_mod).unwrap();
    directory
}

fn file_url(root: &Path) -> String {
    format!("file://{}", root.display())
}

#[tokio::test]
async fn the_cache_directory_is_a_proxy_and_a_module_cache_can_be_dropped_in() {
    if !has_go() {
        return;
    }
    let (server, root, judge) = (Server::start().await, tempfile::tempdir().unwrap(), Judge::new());
    let modules = [
        Module::new("example.com/Big/m@v1.0.0-RC1", 100_000),
        Module::without_go_mod("example.com/bare@v0.3.0"),
    ];
    let filled = cache(root.path(), &server.url, &judge);
    for module in &modules {
        module.serve(&server);
        for kind in [FileKind::Info, FileKind::GoMod, FileKind::Zip] {
            filled.file(&module.version, kind).await.unwrap();
        }
        filled.list(module.version.path()).await.unwrap();
    }

    // `go` takes modules from the cache's directory.
    let first = project("module example.com/main\n\ngo 1.20\n");
    let proxy = file_url(root.path());
    let arguments = ["mod", "download", "-json", "example.com/Big/m@v1.0.0-RC1", "example.com/bare@v0.3.0"];
    let (good, text) = go(first.path(), &proxy, &arguments);
    assert!(good, "{text}");
    for module in &modules {
        assert!(text.contains(&format!("\"Sum\": \"{}\"", module.zip_h1())), "{text}");
        assert!(text.contains(&format!("\"GoModSum\": \"{}\"", module.go_mod_h1())), "{text}");
    }
    let (good, text) =
        go(first.path(), &proxy, &["list", "-m", "-versions", "example.com/Big/m", "example.com/bare"]);
    assert!(good && text == "example.com/Big/m v1.0.0-RC1\nexample.com/bare v0.3.0\n", "{text}");
    let (good, text) = go(first.path(), &proxy, &["get", "example.com/bare@latest"]);
    assert!(good, "{text}");

    // The module cache that `go` made is a cache of ours as it stands.
    let made = first.path().join("modcache/cache/download");
    let judge = Judge::new();
    let dropped = cache(&made, "http://127.0.0.1:9", &judge);
    for module in &modules {
        for kind in [FileKind::Info, FileKind::GoMod, FileKind::Zip] {
            dropped.file(&module.version, kind).await.unwrap();
        }
        let zip = dropped.file(&module.version, FileKind::Zip).await.unwrap();
        assert_eq!(
            (zip.h1, zip.bytes().await.unwrap().to_vec()),
            (Some(module.zip_h1()), module.zip.clone())
        );
        assert_eq!(
            dropped.held_list(module.version.path()).await.unwrap(),
            [module.version.version().clone()]
        );
        assert_eq!(dropped.list(module.version.path()).await.unwrap(), [module.version.version().clone()]);
    }
    assert_eq!(judge.asked().len(), 4);
    let second = project("module example.com/main\n\ngo 1.20\n");
    let (good, text) = go(second.path(), &file_url(&made), &arguments);
    assert!(good, "{text}");
}
