//! What proxies serve: each of the list is asked, also behind one that has it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use quipu_module::{MAX_ROOT_FILE, MAX_ZIP, ModuleVersion, ProxyList, ProxyTarget, hash_go_mod};
use quipu_verify::TransportError;

use super::here::module_file;
use super::view::{Held, Kind, View};
use crate::exit::wrong_usage;
use crate::local;
use crate::net::{Files, Http, Url};
use crate::output::one_line;
use crate::progress::Progress;

/// The views of all proxies of a GOPROXY list. Zips are put into `downloads`.
///
/// # Errors
/// Wrong usage: the list is malformed.
pub(super) async fn views(
    module: &ModuleVersion,
    list: &str,
    timeout: Duration,
    downloads: &Path,
) -> Result<Vec<View>> {
    let list = ProxyList::parse(list).map_err(|e| wrong_usage(format!("GOPROXY: {e}")))?;
    let (small, large) = (Http::new(timeout), Http::new(timeout.max(ZIP_TIMEOUT)));
    let mut views = Vec::new();
    for (number, entry) in list.entries().iter().take(MAX_PROXIES).enumerate() {
        let ProxyTarget::Url(url) = &entry.target else { continue };
        let view = View::new(Kind::Proxy, url.to_string());
        if url.scheme() == "file" {
            views.push(from_files(module, &Files::below(url.as_str(), "")?, view));
            continue;
        }
        let place = Url::parse(url.as_str())?;
        let file = downloads.join(format!("proxy-{number}.zip"));
        let zip = download(&large, &place, &path(module, "zip"), &file).await;
        let got = matches!(zip, Held::Hash(..) | Held::Damaged(..));
        let go_mod = match small.get(&place, &path(module, "mod"), MAX_ROOT_FILE as usize).await {
            Ok(content) => Held::Hash(hash_go_mod(&content), String::new()),
            Err(error) => refused(error),
        };
        views.push(View { zip, go_mod, file: got.then_some(file), ..view });
    }
    Ok(views)
}

fn from_files(module: &ModuleVersion, files: &Files, view: View) -> View {
    let at = |ending| files.file(&path(module, ending));
    let held = |hash, path: PathBuf| Held::of(hash, path.display().to_string());
    let (zip, go_mod) = (at("zip"), at("mod"));
    View {
        file: zip.is_file().then(|| zip.clone()),
        zip: held(local::zip_hash(&zip), zip),
        go_mod: held(local::go_mod_hash(&go_mod), go_mod),
        ..view
    }
}

async fn download(http: &Http, from: &Url, path: &str, to: &Path) -> Held {
    let mut file = match File::create(to) {
        Ok(file) => file,
        Err(error) => return Held::Failed(format!("{}: {error}", to.display())),
    };
    let (progress, mut done) = (Progress::bytes("downloading"), 0);
    let written = http.get_into(from, path, MAX_ZIP as usize, |piece| {
        done += piece.len() as u64;
        progress.show(done);
        file.write_all(&piece)
    });
    match written.await {
        Ok(()) => Held::of(local::zip_hash(to), ""),
        Err(error) => refused(error),
    }
}

fn path(module: &ModuleVersion, ending: &str) -> String {
    format!("/{}", module_file(module, ending))
}

fn refused(error: TransportError) -> Held {
    match error {
        TransportError::NotFound(why) => Held::Absent(one_line(&why)),
        TransportError::TooLarge(_) => Held::Damaged(error.to_string(), String::new()),
        TransportError::Unavailable(why) => Held::Failed(one_line(&why)),
    }
}

/// Longer lists are cut here.
const MAX_PROXIES: usize = 16;
/// Zips may be large.
const ZIP_TIMEOUT: Duration = Duration::from_secs(600);
