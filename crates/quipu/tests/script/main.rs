//! Whole-program stories with the real `go` command: one test for each file in `testdata/script`.
//!
//! Run one with `cargo test -p quipu --test script <name>`. They need `go` on PATH and no network, but for the live
//! one, which asks the real upstream and only when QUIPU_LIVE=1.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod archive;
mod commands;
mod daemon;
mod database;
mod forge;
mod goproxy;
mod http;
mod issuer;
mod mercurial;
#[path = "../../../server/tests/common/minter.rs"]
mod minter;
mod modules;
mod network;
mod privacy;
mod program;
mod sshd;
mod story;
mod upstream;

use std::path::PathBuf;

/// One test for each story.
macro_rules! stories {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                if let Err(why) = story::play(&scripts().join(concat!(stringify!($name), ".txt"))) {
                    panic!("{why}");
                }
            }
        )*

        #[test]
        fn every_story_is_told() {
            let mut found: Vec<String> = std::fs::read_dir(scripts()).unwrap()
                .filter_map(|entry| entry.unwrap().file_name().into_string().unwrap().strip_suffix(".txt").map(str::to_owned))
                .collect();
            found.sort();
            assert_eq!(found, [$(stringify!($name)),*]);
        }
    };
}

fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/script")
}

/// A story in which a private name reaches the upstream fails, whoever told it.
#[test]
fn a_leak_is_noticed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let story = "upstream start\nquipu env GOPRIVATE=corp.test\nquipu start\nenv GOPROXY=$UPSTREAM\nenv GOSUMDB=off\n\
                 go mod download corp.test/secret@v1.0.0\nupstream forget\n-- go.mod --\nmodule main.test\n";
    std::fs::write(file.path(), story).unwrap();
    let why = story::play(file.path()).unwrap_err();
    assert!(why.contains("private names left") && why.contains("/corp.test/secret/@v/v1.0.0.zip"), "{why}");
    std::fs::write(file.path(), story.replace("corp.test\n", "other.test\n")).unwrap();
    story::play(file.path()).unwrap();
}

stories! {
    ahead
    altered_mod
    audit_stop
    auditor
    backup
    bundle
    bundle_delta
    bundle_tampered
    cached_only
    confusion
    cooldown
    credentials
    deny
    dependabot
    differing_mod
    direct_unreachable
    export_refused
    fallback
    file_proxy
    file_upstream
    first_hash_wins
    flood
    fresh_download
    go_get
    go_insecure
    go_names
    goproxy_behind
    goproxy_in_front
    gosumdb_url
    http_shapes
    import
    import_killed
    import_modules
    import_ours
    index
    list_versions
    live
    low_disk
    lying_sum
    mercurial
    moved_tag
    moved_tag_git
    no_loop
    no_upstream
    oidc
    one_writer
    own_exports
    passthrough
    patterns
    policy_dry_run
    policy_toolchain
    prefer
    private_ca
    private_patterns
    private_server
    publish
    publish_killed
    publish_zip
    quarantine
    quipu_chain
    quota
    repository
    repository_prefixes
    repository_ssh
    restart
    restore_token
    restored_data
    retracted
    source_nearby
    status
    stopped_at_once
    stranger
    tidy
    tls
    tokens
    toolchain
    unlicensed
    upstream_away
    upstream_forks
    warm
    webhook
    webhook_git
    who
    workspace
    wrong_zip
}
