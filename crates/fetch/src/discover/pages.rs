//! The pages with go-import tags: asked for at the host that a path begins with, and remembered for a moment.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use quipu_module::{GoImports, ModulePath};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::{DiscoveryRules, Reach};
use crate::client::{Body, Credentials, Limits, Purpose, Request, Url};
use crate::error::{Error, ErrorKind, Result};

/// Longest head of a page that is read, in bytes.
const MAX_HEAD: usize = 1 << 20;

/// What one page may cost. Only its head is read, however long it is.
const LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(20),
    total: Duration::from_secs(30),
    idle: Duration::from_secs(10),
    ..Limits::small(64 << 20)
};

/// How long a page with tags is believed.
const READ_FOR: Duration = Duration::from_secs(60);

/// How long the absence of tags is believed.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// Most pages that are remembered.
const MAX_PAGES: usize = 4096;

/// A page that the rules allow to be asked for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// A module path or leading elements of one.
    path: String,
    /// Whether it may be asked for without encryption, too.
    insecure: bool,
    /// Whether it may lead to whatever the operator named.
    trusted: bool,
    /// What its host is shown, and which of the rules' that is.
    login: Option<(usize, Credentials)>,
}

impl Place {
    /// The page of `path` itself.
    pub(super) fn of(path: &ModulePath, rules: &DiscoveryRules) -> Result<Self> {
        if !rules.within.matches(path) {
            let text = format!("{path}: not among the paths that may be looked for at their own hosts");
            return Err(Error::new(ErrorKind::Private, text));
        }
        let plain = Self {
            path: path.to_string(),
            insecure: rules.insecure.matches(path),
            trusted: rules.trusted.matches(path),
            login: None,
        };
        let url = plain.url("https");
        let login = rules.credentials.iter().enumerate().find(|(_, (patterns, credentials))| {
            let is_its = |url: &Url| credentials.for_authority(url.authority()).is_some();
            patterns.matches(path) && url.as_ref().is_some_and(is_its)
        });
        Ok(Self { login: login.map(|(nth, (_, credentials))| (nth, credentials.clone())), ..plain })
    }

    /// The page of `prefix`, if that is leading elements of the path and not all.
    pub(super) fn leading(&self, prefix: &str) -> Option<Self> {
        let rest = self.path.strip_prefix(prefix)?;
        let leads = !prefix.is_empty() && rest.starts_with('/');
        leads.then(|| Self { path: prefix.to_owned(), ..self.clone() })
    }

    /// The pages of the leading elements of the path, longest first.
    pub(super) fn parents(&self) -> impl Iterator<Item = Self> {
        let ends = self.path.match_indices('/').map(|(at, _)| at).rev();
        ends.filter_map(|end| self.leading(self.path.get(..end)?))
    }

    /// What tells its page from all others.
    fn key(&self) -> Key {
        (self.path.clone(), self.insecure, self.trusted, self.login.as_ref().map(|(nth, _)| *nth))
    }

    fn url(&self, scheme: &str) -> Option<Url> {
        let slash = if self.path.contains('/') { "" } else { "/" };
        Url::parse(&format!("{scheme}://{}{slash}?go-get=1", self.path))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.path.contains('/') { "" } else { "/" };
        write!(f, "https://{}{slash}?go-get=1", self.path)
    }
}

/// What a host definitely says about a path.
pub(super) enum Page {
    /// These tags, perhaps none.
    Read(GoImports),
    /// There is no such page.
    Missing(StatusCode),
    /// It is not to be read, and why.
    Unreadable(String),
    /// It is not shown, whether there is one or not.
    Closed(Error),
}

impl Page {
    /// That there are no tags for the path, as an error.
    pub(super) fn absence(&self, place: &Place) -> Error {
        Error::not_found(match self {
            Self::Read(_) => format!("fetching {place}: no go-import meta tag found"),
            Self::Missing(status) => format!("reading {place}: {status}"),
            Self::Unreadable(why) => format!("parsing {place}: {why}"),
            Self::Closed(error) => return error.clone(),
        })
    }

    /// Whether it says nothing at all, not even whether there is one.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    fn lifetime(&self) -> Duration {
        match self {
            Self::Read(imports) if !imports.tags.is_empty() => READ_FOR,
            Self::Closed(_) => Duration::ZERO,
            _ => ABSENT_FOR,
        }
    }
}

/// A path, whether it may be asked for without encryption, whether it may lead to whatever the operator named, and with which
/// of the rules' credentials.
type Key = (String, bool, bool, Option<usize>);

/// What was read, and when.
type Cell = Arc<OnceCell<(Instant, Arc<Page>)>>;

pub(super) struct Pages {
    reach: Arc<Reach>,
    /// Pages read and being read. One request for a page however many ask. What may be asked for without encryption is
    /// kept apart, so that it says nothing about other paths, and so is what was read with credentials or at named hosts.
    recent: Mutex<HashMap<Key, Cell>>,
}

impl Pages {
    pub(super) fn new(reach: Arc<Reach>) -> Self {
        Self { reach, recent: Mutex::default() }
    }

    pub(super) async fn get(&self, place: &Place) -> Result<Arc<Page>> {
        let cell = self.cell(place);
        let read = || async {
            let page = self.read(place).await?;
            Ok((Instant::now(), Arc::new(page)))
        };
        cell.get_or_try_init(read).await.map(|(_, page)| page.clone())
    }

    pub(super) fn forget(&self, path: &ModulePath) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let leads = |prefix: &str| {
            let rest = path.as_str().strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        recent.retain(|(prefix, ..), _| !leads(prefix));
    }

    /// Where the page is or will be.
    fn cell(&self, place: &Place) -> Cell {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MAX_PAGES {
            recent.retain(|_, cell| cell.initialized() && !is_stale(cell));
        }
        if recent.len() >= MAX_PAGES {
            recent.clear();
        }
        let cell = recent.entry(place.key()).or_default();
        if is_stale(cell) {
            *cell = Cell::default();
        }
        cell.clone()
    }

    /// Asks over `https`; where insecure schemes are allowed and that brings no answer at all, over `http` too.
    async fn read(&self, place: &Place) -> Result<Page> {
        let secure = self.read_over("https", place).await;
        match secure {
            Err(error) if place.insecure && is_unanswered(&error) => {
                self.read_over("http", place).await.map_err(|_| error)
            }
            secure => secure,
        }
    }

    async fn read_over(&self, scheme: &str, place: &Place) -> Result<Page> {
        let url = place.url(scheme).ok_or_else(|| Error::not_found("not the path of a page"))?;
        let credentials = place.login.as_ref().map(|(_, credentials)| credentials);
        let request = Request { url: &url, credentials, purpose: Purpose::Discovery, limits: LIMITS };
        let client = self.reach.client_of_page(place.trusted, url.authority());
        let response = client.get(request).await.map_err(|error| error.about(place))?;
        let status = response.status;
        let head = read_head(response.body).await.map_err(|error| error.about(place));
        // Tags count whatever the status is: sites without a program behind them have them on their page for errors.
        match head {
            Ok(Ok(imports)) if status.is_success() || !imports.tags.is_empty() => Ok(Page::Read(imports)),
            Ok(Err(why)) if status.is_success() => Ok(Page::Unreadable(why)),
            Err(error) if status.is_success() => Err(error),
            _ => {
                let page = refusal(status, credentials.is_some());
                let closed = matches!(status.as_u16(), 401 | 403);
                page.map_err(|error| error.about(place))
                    .or_else(|error| if closed { Ok(Page::Closed(error)) } else { Err(error) })
            }
        }
    }
}

fn is_stale(cell: &Cell) -> bool {
    cell.get().is_some_and(|(read, page)| read.elapsed() >= page.lifetime())
}

fn is_unanswered(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// The tags of the page, or why it cannot be read. Of a long page only what is needed is fetched.
async fn read_head(mut body: Body) -> Result<std::result::Result<GoImports, String>> {
    let mut page = Vec::new();
    let mut parse_at = 16 << 10;
    loop {
        let chunk = body.chunk().await?;
        let whole = chunk.is_none();
        page.extend_from_slice(&chunk.unwrap_or_default());
        page.truncate(MAX_HEAD);
        if !whole && page.len() < parse_at {
            continue;
        }
        // Doubling keeps the work in proportion to the length.
        parse_at = page.len().saturating_mul(2).min(MAX_HEAD);
        let parsed = GoImports::parse(&page).map_err(|error| error.to_string());
        if whole || parsed.as_ref().is_ok_and(|imports| imports.complete) {
            return Ok(parsed);
        }
        if page.len() >= MAX_HEAD {
            return Err(Error::too_large(MAX_HEAD as u64));
        }
    }
}

/// What a page without tags means by its status. Only 404 and 410 say that there is nothing.
fn refusal(status: StatusCode, has_login: bool) -> Result<Page> {
    match status.as_u16() {
        404 | 410 => Ok(Page::Missing(status)),
        403 => Err(Error::new(ErrorKind::Forbidden, "its host refuses to say where it is")),
        401 if has_login => Err(Error::unavailable("its host does not accept the credentials it was shown")),
        401 | 407 => Err(Error::unavailable("its host demands credentials that this server does not have")),
        429 => Err(Error::unavailable("its host limits the rate of requests")),
        504 => Err(Error::timeout("its host timed out itself")),
        status => Err(Error::unavailable(format!("its host answers with status {status}"))),
    }
}
