//! What generated histories do not have, or the `go` command tells in other words.

use quipu_fetch::{ErrorKind, Place, Resolver, Result};
use quipu_module::Version;

use crate::repository::Repository;
use crate::vectors::pack;

fn place(suffix: &str) -> Place {
    let root = "example.com/r";
    Place::git(format!("{root}{suffix}").parse().unwrap(), root, "", "https://git.example/r").unwrap()
}

fn commit(number: usize, files: &[(&str, &str)]) -> String {
    let mut stream = format!(
        "commit refs/heads/main\nmark :{number}\ncommitter A <a@example.com> {}00 +0000\ndata 0\n",
        15_000_000 + number
    );
    for (path, content) in files {
        stream += &format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len());
    }
    stream
}

fn tag(name: &str, mark: usize) -> String {
    format!("tag {name}\nfrom :{mark}\ntagger A <a@example.com> 1500000000 +0000\ndata 0\n")
}

fn refusal<T>(result: Result<T>) -> String {
    let error = result.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    error.text().to_owned()
}

fn names(versions: &[Version]) -> Vec<&str> {
    versions.iter().map(Version::as_str).collect()
}

#[tokio::test]
async fn tags_on_what_is_no_commit() {
    let blob = "blob\nmark :9\ndata 1\nx\n";
    let stream =
        [commit(1, &[("a.go", "package a\n")]), tag("v1.0.0", 1), blob.into(), tag("v1.1.0", 9)].concat();
    let repository = Repository::import(stream.as_bytes());
    let place = place("");
    let resolver = Resolver::new(&repository, &place);
    assert_eq!(names(&resolver.list().await.unwrap()), ["v1.0.0", "v1.1.0"]);
    let text = refusal(resolver.info("v1.1.0").await);
    assert_eq!(text, "example.com/r@v1.1.0: invalid version: unknown revision v1.1.0");
    assert_eq!(resolver.info("main").await.unwrap().version().as_str(), "v1.0.0");
    // Here it would decide about the incompatible versions.
    let repository = Repository::import([stream, tag("v2.0.0", 9)].concat().as_bytes());
    let resolver = Resolver::new(&repository, &place);
    assert_eq!(refusal(resolver.list().await), "module example.com/r: unknown revision v1.1.0");
    assert_eq!(resolver.info("main").await.unwrap().version().as_str(), "v1.0.0");
}

#[tokio::test]
async fn an_empty_repository_has_no_module() {
    let repository = Repository::import(b"");
    let place = place("");
    let resolver = Resolver::new(&repository, &place);
    let no_latest = "module example.com/r: no matching versions for query \"latest\"";
    assert_eq!(refusal(resolver.list().await), no_latest);
    assert_eq!(refusal(resolver.latest().await), no_latest);
    assert_eq!(
        refusal(resolver.info("HEAD").await),
        "example.com/r@HEAD: invalid version: unknown revision HEAD"
    );
}

#[tokio::test]
async fn what_a_client_chooses_from_the_list_is_no_revision_even_if_there_is_a_branch() {
    let stream = commit(1, &[("a.go", "package a\n")]) + "reset refs/heads/patch\nfrom :1\n\n";
    let repository = Repository::import(stream.as_bytes());
    let place = place("");
    let resolver = Resolver::new(&repository, &place);
    for query in ["latest", "upgrade", "patch"] {
        let text = refusal(resolver.info(query).await);
        assert_eq!(text, format!("example.com/r@{query}: invalid version: unknown revision {query}"));
    }
}

#[tokio::test]
async fn the_latest_commit_is_that_of_the_default_branch_whatever_else_is_called_head() {
    for other in ["refs/heads/HEAD", "refs/tags/HEAD"] {
        let stream = commit(1, &[("a.go", "package a\n")])
            + &format!("reset {other}\nfrom :1\n\n")
            + &commit(2, &[("a.go", "package b\n")]);
        let repository = Repository::import(stream.as_bytes());
        let place = place("");
        let resolver = Resolver::new(&repository, &place);
        let (latest, called) = (resolver.latest().await.unwrap(), resolver.info("HEAD").await.unwrap());
        assert_eq!(latest.time(), Some("2017-07-14T02:43:20Z"), "{other}");
        assert_eq!(called.time(), Some("2017-07-14T02:41:40Z"), "{other}");
    }
}

#[tokio::test]
async fn a_go_mod_is_judged_as_it_is_packed() {
    // In UTF-16 it is no go.mod that could be read, so the rule of old versions counts.
    let files = [
        (".gitattributes", "go.mod text working-tree-encoding=UTF-16LE\n"),
        ("go.mod", "module example.com/r\n\ngo 1.24\n"),
        ("vendor/modules.txt", "# packed by the old rule only\n"),
    ];
    let repository = Repository::import((commit(1, &files) + &tag("v1.0.0", 1)).as_bytes());
    let place = place("");
    let resolver = Resolver::new(&repository, &place);
    let packed = pack(&repository, &resolver, &"v1.0.0".parse().unwrap()).await.unwrap();
    let packed: Vec<&str> = packed.files.keys().map(String::as_str).collect();
    assert_eq!(packed, [".gitattributes", "go.mod", "vendor/modules.txt"]);
}

#[tokio::test]
async fn a_license_that_is_too_large_is_not_taken_from_the_root() {
    let license = "x".repeat((16 << 20) + 1);
    let files = [("LICENSE", license.as_str()), ("sub/go.mod", "module example.com/r/sub\n")];
    let repository = Repository::import((commit(1, &files) + &tag("sub/v1.0.0", 1)).as_bytes());
    let place = place("/sub");
    let resolver = Resolver::new(&repository, &place);
    let text = refusal(pack(&repository, &resolver, &"v1.0.0".parse().unwrap()).await);
    assert_eq!(text, "create zip: LICENSE: LICENSE file too large (max size is 16777216 bytes)");
}
