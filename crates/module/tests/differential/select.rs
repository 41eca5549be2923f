//! The files of a module: which are kept, which are left out, and what no module may have.

use std::fmt::Write as _;

use quipu_module::{Listed, ListedKind, select_files};
use quipu_oracle::{Answer, Args, Comparison, Rng};

use crate::paths::FILE;

fn path(rng: &mut Rng) -> Vec<u8> {
    const ODD: [&str; 24] = [
        "Go.mod",
        "GO.MOD",
        "./a",
        "/abs",
        "b/../c",
        "a//b",
        "",
        ".",
        "d/",
        ".hg_archival.txt",
        "d/.hg_archival.txt",
        "vendor",
        "vendor/",
        "/vendor/x/y",
        "a",
        "A",
        "a/b",
        "A/b",
        "it's",
        "aux.go",
        "license",
        "\u{212a}",
        "k",
        "go.mod/x",
    ];
    match rng.below(40) {
        0 => return FILE.next(rng),
        1 => return rng.pick(&ODD).as_bytes().to_vec(),
        _ => {}
    }
    let mut path = String::new();
    for _ in 0..rng.below(4) {
        let directory = ["vendor", "vendor", "d", "pkg", "x.y", "longdirectory", "v2", "é"];
        let _ = write!(path, "{}/", rng.pick(&directory));
    }
    let base = ["a.go", "b.go", "c_test.go", "modules.txt", "LICENSE", "README", "z", "é.txt"];
    let base =
        if rng.one_in(12) { rng.pick(&["go.mod", "go.mod", "Go.Mod", "GO.MOD"]) } else { rng.pick(&base) };
    (path + base).into_bytes()
}

fn go_mod(rng: &mut Rng) -> String {
    let version = match rng.below(10) {
        0 => format!("{}.{}", rng.below(3), rng.below(40)),
        1 => rng
            .pick(&["1.24rc1", "1.24.0-custom", "1.24.x", "v1.24", "1.024", "1", "1.1000", "01.25", "2.0"])
            .into(),
        _ => rng.pick(&["1.23", "1.24", "1.23.9", "1.24.1", "1.25", "1.9"]).into(),
    };
    let rest = if rng.one_in(10) { "require (" } else { "" };
    format!("module example.com/m\n\ngo {version}\n{rest}")
}

fn size(rng: &mut Rng) -> u64 {
    match rng.below(60) {
        0 => 16 << 20,
        1 => (16 << 20) + 1,
        2 => 400 << 20,
        3 => 500 << 20,
        4 => (500 << 20) + 1,
        _ => rng.below(5000) as u64,
    }
}

fn files(rng: &mut Rng) -> Args {
    let mut args = Vec::new();
    let mut file = |kind: &str, size: u64, path: Vec<u8>, content: String| {
        args.extend([kind.into(), size.to_string().into_bytes(), path, content.into_bytes()]);
    };
    let count = rng.below(12);
    let root = rng.below(count + 1);
    let mut has_root = rng.one_in(5);
    for n in 0..count {
        let kind = if rng.one_in(15) { rng.pick(&["symlink", "other"]) } else { "file" };
        if n == root && !has_root {
            file("file", size(rng), "go.mod".into(), go_mod(rng));
            has_root = true;
        }
        let path = path(rng);
        // Of several of one name each has its own idea of which is the content.
        if path != b"go.mod" || !has_root {
            has_root |= path == b"go.mod";
            file(kind, size(rng), path, go_mod(rng));
        }
    }
    args
}

#[test]
fn selecting() {
    Comparison::of("zip.select").by_first_result().run(files, select);
}

fn select(args: &Args) -> Answer {
    let mut go_mod = None;
    let mut listed = Vec::new();
    for file in args.chunks(4) {
        let kind = match file[0].as_slice() {
            b"file" => ListedKind::File,
            b"symlink" => ListedKind::Symlink,
            _ => ListedKind::Other,
        };
        let size = String::from_utf8_lossy(&file[1]).parse().expect("a number");
        if file[2] == b"go.mod" && kind == ListedKind::File {
            go_mod = Some(file[3].as_slice());
        }
        listed.push(Listed { path: &file[2], kind, size });
    }
    let selection = select_files(go_mod, &listed);
    let truth = |yes: bool| if yes { "1" } else { "0" };
    let good = truth(selection.check().is_ok()).as_bytes();
    let too_large = truth(selection.too_large).as_bytes();
    if let Some((path, why)) = selection.invalid.first() {
        return Answer::ok([good, too_large, &[*path, b": ", why.as_bytes()].concat()]);
    }
    let omitted =
        selection.omitted.iter().map(|(path, why)| [*path, b": ", why.to_string().as_bytes()].concat());
    Answer::ok([
        good,
        too_large,
        selection.kept.join("\n").as_bytes(),
        &omitted.collect::<Vec<_>>().join(&b'\n'),
    ])
}
