//! What lies on this machine: go.sum files of the current directory, and the module cache.

use std::path::{Path, PathBuf};

use quipu_module::{ModuleVersion, SumKind, parse_go_sum};

use super::view::{Held, Kind, View};
use crate::goenv::go_env;
use crate::local;

/// The views of go.sum files and of the module cache.
pub(super) fn views(module: &ModuleVersion) -> Vec<View> {
    let mut views: Vec<View> =
        ["go.sum", "go.work.sum"].iter().flat_map(|file| go_sum(module, file)).collect();
    let cache = go_env("GOMODCACHE").map(PathBuf::from);
    match cache {
        Some(cache) => views.extend(module_cache(module, &cache)),
        None => {
            let held = Held::NotAsked("GOMODCACHE is not set, and there is no go command".to_owned());
            views.push(View { zip: held, ..View::new(Kind::Cache, "module cache".to_owned()) });
        }
    }
    views
}

/// A view of each line for the module; the lines for its zip and its go.mod come together.
fn go_sum(module: &ModuleVersion, file: &str) -> Vec<View> {
    let content = match local::read(Path::new(file), MAX_GO_SUM) {
        Ok(content) => content,
        Err(local::NoHash::Absent) => return Vec::new(),
        Err(why) => {
            let held = Held::Failed(why.to_string());
            return vec![View { zip: held, ..View::new(Kind::GoSum, file.to_owned()) }];
        }
    };
    let mut views: Vec<View> = Vec::new();
    for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
        let line = parse_go_sum(line).ok().and_then(|entries| entries.first()?.to_line().ok());
        let Some(line) = line.filter(|line| line.module == *module) else { continue };
        let free = |view: &&mut View| *view.held(line.kind) == Held::Nothing;
        let held = Held::Hash(line.hash, format!("line {number}"));
        let mut fresh = View::new(Kind::GoSum, file.to_owned());
        let view = views.iter_mut().find(free).unwrap_or(&mut fresh);
        match line.kind {
            SumKind::Zip => view.zip = held,
            SumKind::GoMod => view.go_mod = held,
        }
        if fresh.zip != Held::Nothing || fresh.go_mod != Held::Nothing {
            views.push(fresh);
        }
    }
    views
}

fn module_cache(module: &ModuleVersion, cache: &Path) -> Vec<View> {
    let file = |ending: &str| cache.join("cache").join("download").join(module_file(module, ending));
    let held = |hash, path: &Path| Held::of(hash, path.display().to_string());
    let (zip, go_mod, recorded) = (file("zip"), file("mod"), file("ziphash"));
    let noted = View::new(Kind::Recorded, ".ziphash in the cache".to_owned());
    let cached = View::new(Kind::Cache, "module cache".to_owned());
    vec![
        View { zip: held(local::recorded_hash(&recorded), &recorded), ..noted },
        View {
            zip: held(local::zip_hash(&zip), &zip),
            go_mod: held(local::go_mod_hash(&go_mod), &go_mod),
            file: zip.is_file().then_some(zip),
            ..cached
        },
    ]
}

/// The path of a file of the module below a proxy or in a cache.
pub(super) fn module_file(module: &ModuleVersion, ending: &str) -> String {
    format!("{}/@v/{}.{ending}", module.path().escaped(), module.version().escaped())
}

const MAX_GO_SUM: u64 = 64 << 20;
