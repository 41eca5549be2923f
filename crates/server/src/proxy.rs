//! The module proxy over HTTP: the GOPROXY protocol on the module cache.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use quipu_fetch::storage::Stored;
use quipu_fetch::{BoxFuture, Cache, CachedFile, FileKind, Info};
use quipu_module::{ModulePath, ModuleVersion, Query, Version};

use crate::body::Body;
use crate::filter::{Filter, Reach};
use crate::lookup::FetchZip;
use crate::reply::{self, Freshness, NO_FETCH, Refusal, Reply};
use crate::requirements::Requirements;
use crate::route::{Leaf, ModuleRoute};

/// Queries that the go command resolves itself from the list; a branch of such a name could not be meant.
const OWN_QUERIES: [&str; 3] = ["latest", "upgrade", "patch"];

/// Answers [`ModuleRoute`]s.
pub(crate) struct ModuleProxy {
    modules: Cache,
    filter: Arc<Filter>,
    requirements: Requirements,
    counted: Counted,
}

impl FetchZip for Cache {
    fn fetch_zip<'a>(&'a self, module: &'a ModuleVersion) -> BoxFuture<'a, quipu_fetch::Result<()>> {
        Box::pin(async move { self.file(module, FileKind::Zip).await.map(drop) })
    }
}

impl ModuleProxy {
    /// Answers from `modules`, as far as `filter` lets through. So many requirements at once of what is fetched are fetched
    /// ahead.
    pub(crate) fn new(modules: Cache, filter: Arc<Filter>, ahead: u16) -> Self {
        let requirements = Requirements::new(modules.clone(), Arc::clone(&filter), ahead);
        Self { modules, filter, requirements, counted: Counted::new() }
    }

    /// Fetches nothing ahead any more.
    pub(crate) fn stop(&self) {
        self.requirements.stop();
    }

    /// Answers a route of the module tree if its file was asked for a moment ago and nothing has to be judged.
    pub(crate) fn at_hand(&self, route: ModuleRoute<'_>, asked: &HeaderMap) -> Option<Reply> {
        let kind = kind_of(route.leaf).filter(|_| self.filter.is_open())?;
        let file = self.modules.recent(route.name)?;
        self.counted.hits[place(kind)].increment(1);
        Some(reply::vary_on_fetch(send(file, media_type(kind), asked)))
    }

    /// Answers a route of the module tree.
    pub(crate) async fn answer(&self, route: ModuleRoute<'_>, asked: &HeaderMap) -> Reply {
        let reach = if route.cached_only || no_fetch(asked) { Reach::Stored } else { Reach::Anywhere };
        let answer = match ModulePath::unescape(route.path) {
            Ok(path) => self.leaf(&path, route.leaf, reach, asked).await,
            Err(error) => Err(Refusal::NotFound(error.to_string())),
        };
        reply::vary_on_fetch(answer.unwrap_or_else(|refusal| reply::refuse(&refusal)))
    }

    async fn leaf(
        &self,
        path: &ModulePath,
        leaf: Leaf<'_>,
        reach: Reach,
        asked: &HeaderMap,
    ) -> Result<Reply, Refusal> {
        match leaf {
            Leaf::List => self.list(path, reach).await,
            Leaf::Latest => self.latest(path, reach).await,
            Leaf::Info(query) => self.info(path, query, reach, asked).await,
            Leaf::GoMod(version) => self.file(&named(path, version)?, FileKind::GoMod, reach, asked).await,
            Leaf::Zip(version) => self.file(&named(path, version)?, FileKind::Zip, reach, asked).await,
        }
    }

    async fn list(&self, path: &ModulePath, reach: Reach) -> Result<Reply, Refusal> {
        let versions = self.filter.list(path, reach).await?;
        Ok(reply::ok(Bytes::from(lines(&versions)), reply::TEXT, Freshness::Seconds(60)))
    }

    async fn latest(&self, path: &ModulePath, reach: Reach) -> Result<Reply, Refusal> {
        Ok(json(&absent_if(self.filter.latest(path, reach).await, reach)?))
    }

    async fn info(
        &self,
        path: &ModulePath,
        query: &str,
        reach: Reach,
        asked: &HeaderMap,
    ) -> Result<Reply, Refusal> {
        let query = Query::unescape(query).map_err(|error| Refusal::NotFound(error.to_string()))?;
        if OWN_QUERIES.contains(&query.as_str()) {
            let why = format!("{path}@{query}: the go command resolves this query from the list of versions");
            return Err(Refusal::NotFound(why));
        }
        if let Some(version) = query.as_version()
            && let Ok(version) = ModuleVersion::new(path.clone(), version)
        {
            return self.file(&version, FileKind::Info, reach, asked).await;
        }
        Ok(json(&absent_if(self.filter.info(path, &query, reach).await, reach)?))
    }

    async fn file(
        &self,
        version: &ModuleVersion,
        kind: FileKind,
        reach: Reach,
        asked: &HeaderMap,
    ) -> Result<Reply, Refusal> {
        absent_if(self.filter.check(version, reach).await, reach)?;
        let file = match self.modules.open(version, kind)? {
            Some(file) => {
                self.counted.hits[place(kind)].increment(1);
                file
            }
            None if reach == Reach::Stored => return Err(elsewhere()),
            None => {
                self.counted.misses[place(kind)].increment(1);
                let file = self.modules.file(version, kind).await?;
                if let (FileKind::GoMod, Stored::Bytes(go_mod)) = (kind, &file.body) {
                    self.requirements.follow(go_mod);
                }
                file
            }
        };
        Ok(send(file, media_type(kind), asked))
    }
}

/// A file of the cache as a reply, whole or the range asked for.
fn send(file: CachedFile, kind: HeaderValue, asked: &HeaderMap) -> Reply {
    let tag = HeaderValue::from_str(&file.etag).ok();
    match file.body {
        Stored::Bytes(bytes) => {
            let whole = reply::ok(bytes.clone(), kind, Freshness::Immutable);
            reply::ranged(reply::tagged(whole, tag, asked), asked, |start, end| part(&bytes, start, end))
        }
        Stored::File(open) => {
            let open = Arc::new(open);
            let whole = reply::ok(Body::file(Arc::clone(&open), 0, file.length), kind, Freshness::Immutable);
            reply::ranged(reply::tagged(whole, tag, asked), asked, |start, end| Body::file(open, start, end))
        }
    }
}

fn part(bytes: &Bytes, start: u64, end: u64) -> Body {
    let at = |place| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
    Body::from(bytes.slice(at(start)..at(end)))
}

/// Only canonical versions that agree with the path have a go.mod and a zip.
fn named(path: &ModulePath, escaped: &str) -> Result<ModuleVersion, Refusal> {
    Version::unescape(escaped)
        .and_then(|version| ModuleVersion::new(path.clone(), version))
        .map_err(|error| Refusal::NotFound(error.to_string()))
}

/// Does the client want nothing fetched for it.
fn no_fetch(asked: &HeaderMap) -> bool {
    asked.get(NO_FETCH).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// What is not stored may be had elsewhere, or here without the wish to fetch nothing: not an absence to remember.
fn absent_if<T>(answer: quipu_fetch::Result<T>, reach: Reach) -> Result<T, Refusal> {
    answer.map_err(|error| match error.kind() {
        quipu_fetch::ErrorKind::NotFound if reach == Reach::Stored => elsewhere(),
        _ => error.into(),
    })
}

/// The text that clients of caches know.
fn elsewhere() -> Refusal {
    Refusal::NotHere("temporarily unavailable".to_owned())
}

fn json(info: &Info) -> Reply {
    reply::ok(Bytes::from(info.format()), reply::JSON, Freshness::Seconds(60))
}

fn lines(versions: &[Version]) -> String {
    versions.iter().fold(String::new(), |list, version| list + version.as_str() + "\n")
}

const fn media_type(kind: FileKind) -> HeaderValue {
    match kind {
        FileKind::Info => reply::JSON,
        FileKind::GoMod => reply::TEXT,
        FileKind::Zip => reply::ZIP,
    }
}

/// The kind of file that a leaf names, if it names one.
const fn kind_of(leaf: Leaf<'_>) -> Option<FileKind> {
    match leaf {
        Leaf::Info(_) => Some(FileKind::Info),
        Leaf::GoMod(_) => Some(FileKind::GoMod),
        Leaf::Zip(_) => Some(FileKind::Zip),
        Leaf::List | Leaf::Latest => None,
    }
}

/// Lookups of files by kind; the handles are looked up once.
struct Counted {
    hits: [metrics::Counter; 3],
    misses: [metrics::Counter; 3],
}

impl Counted {
    fn new() -> Self {
        let counters = |result: &'static str| {
            [FileKind::Info, FileKind::GoMod, FileKind::Zip].map(|kind| {
                let kind = kind.extension();
                metrics::counter!("proxy_cache_lookup_total", "cache_result" => result, "cache_type" => kind)
            })
        };
        Self { hits: counters("hit"), misses: counters("miss") }
    }
}

/// The place of a kind among the counters.
const fn place(kind: FileKind) -> usize {
    match kind {
        FileKind::Info => 0,
        FileKind::GoMod => 1,
        FileKind::Zip => 2,
    }
}
