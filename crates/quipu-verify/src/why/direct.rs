//! What the module's own repository holds now, as the go command fetches it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use quipu_module::ModuleVersion;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::view::{Held, Kind, View};
use crate::goenv::find_go;
use crate::local;
use crate::output::one_line;

/// The view of the repository. Everything is fetched into `downloads`, and nothing of the user's caches is used.
pub(super) async fn view(module: &ModuleVersion, downloads: &Path) -> View {
    let view = View::new(Kind::Direct, "repository".to_owned());
    let fetched = match fetch(module, downloads).await {
        Ok(fetched) => fetched,
        Err(why) => return View { zip: Held::Failed(why.clone()), go_mod: Held::Failed(why), ..view },
    };
    let file = |name: &str| fetched.get(name).and_then(Value::as_str).map(PathBuf::from);
    match (file("Zip"), file("GoMod")) {
        (Some(zip), Some(go_mod)) => View {
            zip: Held::of(local::zip_hash(&zip), ""),
            go_mod: Held::of(local::go_mod_hash(&go_mod), ""),
            file: Some(zip),
            ..view
        },
        _ => {
            let why = fetched.get("Error").and_then(Value::as_str).unwrap_or("go said nothing of a zip");
            let why = one_line(why);
            View { zip: Held::Failed(why.clone()), go_mod: Held::Failed(why), ..view }
        }
    }
}

/// What `go mod download -json` says.
async fn fetch(module: &ModuleVersion, downloads: &Path) -> Result<Value, String> {
    let dir = downloads.join("direct");
    std::fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut go = Command::new(find_go().ok_or("there is no go command")?);
    go.args(["mod", "download", "-json", &module.to_string()]).current_dir(&dir);
    go.env("GOPROXY", "direct")
        .env("GONOSUMDB", "*")
        .env("GOSUMDB", "off")
        .env("GOMODCACHE", dir.join("mod"));
    // A cache that can be deleted; no other settings of the go command, no other go command, no questions.
    go.env("GOFLAGS", "-modcacherw")
        .env("GOWORK", "off")
        .env("GO111MODULE", "on")
        .env("GOTOOLCHAIN", "local");
    go.env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LONGEST, go.output()).await;
    let output = output.map_err(|_| format!("go took longer than {} s", LONGEST.as_secs()))?;
    let output = output.map_err(|error| format!("go cannot be started: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("go says: {}", one_line(&said))
    })
}

const LONGEST: Duration = Duration::from_secs(600);
