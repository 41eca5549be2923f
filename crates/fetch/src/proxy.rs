//! Another proxy as a source: the GOPROXY protocol from the client's side.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use quipu_module::{ModulePath, ModuleVersion, Query, Version};

use crate::client::{Client, Limits, Purpose};
use crate::error::{Error, Result};
use crate::info::Info;
use crate::origin::{Ask, Base, Origin};
use crate::policy::Policy;
use crate::staged::Staged;
use crate::upstream::{BoxFuture, MAX_GO_MOD, MAX_LIST, MAX_ZIP, Upstream};

/// A GOPROXY tree at an address (`https`, `http` or `file`), as `go help goproxy` describes it.
#[derive(Clone)]
pub struct Proxy {
    origin: Origin,
    policy: Arc<Policy>,
}

impl Proxy {
    /// The proxy at `base`. Its authority should be among those that the client's address policy names.
    pub fn new(base: Base, client: Client, policy: Arc<Policy>) -> Self {
        Self { origin: Origin::new(base, client), policy }
    }

    /// Where it is.
    pub fn base(&self) -> &Base {
        self.origin.base()
    }

    async fn get_list(&self, path: &ModulePath) -> Result<Vec<Version>> {
        let place = self.policy.module(path, "@v/list")?;
        let body = self.origin.get(&place, Ask::small(Purpose::List, MAX_LIST)).await;
        Ok(parse_list(path, &body.map_err(|error| about(&error, path, format_args!("module {path}")))?))
    }

    async fn get_info(&self, path: &ModulePath, query: &Query) -> Result<Info> {
        let what = format!("{path}@{query}");
        let place = self.policy.module(path, &format!("@v/{}.info", query.escaped()))?;
        let ask = Ask::small(Purpose::Info, Info::MAX_BYTES as u64);
        let info = self.origin.get(&place, ask).await.map_err(|error| about(&error, path, &what))?;
        let info = Info::parse(path, &info)?;
        match query.as_version().filter(|version| agrees(path, version)) {
            Some(version) if version != *info.version() => {
                Err(Error::rejected(format!("{what}: upstream describes {} instead", info.version())))
            }
            _ => Ok(info),
        }
    }

    async fn get_latest(&self, path: &ModulePath) -> Result<Info> {
        let place = self.policy.module(path, "@latest")?;
        let ask = Ask::small(Purpose::Latest, Info::MAX_BYTES as u64);
        let info = self.origin.get(&place, ask).await;
        Info::parse(path, &info.map_err(|error| about(&error, path, format_args!("{path}@latest")))?)
    }

    async fn get_go_mod(&self, version: &ModuleVersion) -> Result<Bytes> {
        let place = self.policy.module(version.path(), &format!("@v/{}.mod", version.version().escaped()))?;
        let go_mod = self.origin.get(&place, Ask::small(Purpose::GoMod, MAX_GO_MOD)).await;
        go_mod.map_err(|error| about(&error, version.path(), version))
    }

    async fn get_zip(&self, version: &ModuleVersion, zip: &mut Staged) -> Result<()> {
        let place = self.policy.module(version.path(), &format!("@v/{}.zip", version.version().escaped()))?;
        let ask = Ask { purpose: Purpose::Zip, limits: Limits::large(MAX_ZIP) };
        let about = |error: Error| about(&error, version.path(), version);
        let mut content = self.origin.open(&place, ask).await.map_err(about)?;
        zip.restart().await?;
        while let Some(chunk) = content.chunk().await.map_err(about)? {
            zip.write(&chunk).await?;
        }
        Ok(())
    }
}

impl Upstream for Proxy {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        Box::pin(self.get_list(path))
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        Box::pin(self.get_info(path, query))
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        Box::pin(self.get_latest(path))
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(self.get_go_mod(version))
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, zip: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.get_zip(version, zip))
    }
}

/// The versions of a list as the `go` command reads it: the first word of each line, if it is a canonical version
/// that agrees with the path and no pseudo-version. Ascending, each once; whatever else stands there is dropped.
pub(crate) fn parse_list(path: &ModulePath, body: &[u8]) -> Vec<Version> {
    let text = String::from_utf8_lossy(body);
    let words = text.lines().filter_map(|line| line.split_whitespace().next());
    let versions = words.filter_map(|word| Version::parse(word).ok());
    let mut versions: Vec<_> =
        versions.filter(|version| agrees(path, version) && !version.is_pseudo()).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// Whether `version` may be a version of `path`.
pub(crate) fn agrees(path: &ModulePath, version: &Version) -> bool {
    quipu_module::check_path_major(version.as_str(), path.path_major()).is_ok()
}

/// Puts what was asked for in front of the reason, unless the reason names the module itself.
fn about(error: &Error, path: &ModulePath, what: impl fmt::Display) -> Error {
    if error.text().contains(path.as_str()) { error.clone() } else { error.about(what) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_keep_only_what_may_be_listed() {
        let path = ModulePath::parse("example.com/m").unwrap();
        let body = b"v1.10.0\r\nv1.2.0 2020-01-01T00:00:00Z\n\nv1.2\nmain\nv2.0.0\nv2.0.0+incompatible\n\
            v1.2.0\nv0.0.0-20200101000000-abcdefabcdef\nv1.0.0+meta\n\xff\nv1.2.0-rc.1";
        let versions: Vec<_> = parse_list(&path, body).iter().map(ToString::to_string).collect();
        assert_eq!(versions, ["v1.2.0-rc.1", "v1.2.0", "v1.10.0", "v2.0.0+incompatible"]);
    }

    proptest! {
        #[test]
        fn any_list_is_read(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse_list(&ModulePath::parse("example.com/m/v2").unwrap(), &body);
        }
    }
}
