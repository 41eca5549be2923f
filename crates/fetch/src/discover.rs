//! Where the code behind a module path is: known from the path, or said by the path's own host (`go help importpath`).

mod pages;
mod reach;
mod repository;

use std::fmt;
use std::sync::Arc;

use quipu_module::{GoImport, Govcs, KnownRoot, ModulePath, Patterns, Vcs};

use crate::client::{Client, Credentials};
use crate::error::{Error, ErrorKind, Result};
use pages::{Page, Pages, Place};
pub(crate) use reach::Reach;
pub use repository::RepositoryUrl;

/// Most pages that are asked for above one that is not shown.
const MAX_PARENTS: usize = 6;

/// What discovery may do, in the words of the `go` command.
#[derive(Clone, Debug, Default)]
pub struct DiscoveryRules {
    /// The paths that may be looked for at all, by asking their own hosts. All others are private.
    pub within: Patterns,
    /// GOINSECURE: the paths whose repositories may be behind schemes that protect nothing.
    pub insecure: Patterns,
    /// Modules for which what the operator allows for certain hosts counts wherever their pages lead. For all others only
    /// what is at the very host of the path is asked so, and everything else must be on the public internet: anybody who has
    /// a host can say that a module of theirs lives at one of the operator's.
    pub trusted: Patterns,
    /// GOPRIVATE, as far as GOVCS depends on it.
    pub private: Patterns,
    /// GOVCS.
    pub govcs: Govcs,
    /// What hosts are shown when they are asked for paths that the patterns match: the first for the very host counts. It goes
    /// to that host alone, not to where it redirects.
    pub credentials: Vec<(Patterns, Credentials)>,
}

/// The repository, or the proxy, that holds the modules below an import path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The import path of the repository root: the module path or leading elements of it.
    pub root: String,
    /// How to speak to it; for [`Vcs::Mod`] it is a module proxy to be asked for the module path.
    pub vcs: Vcs,
    /// Where it is. One or more, to be tried in this order until one works; only a path such as `a.example/x.git` has
    /// more than one.
    pub urls: Vec<RepositoryUrl>,
    /// The directory in the repository that `root` stands for, as clean slash-separated elements; empty for its root.
    pub subdir: String,
}

/// Finds repositories.
///
/// A path is asked of its own host and of no other: what is asked for is made from the path itself, after the rules were
/// consulted. What a host says is remembered for a minute, that it says nothing for ten seconds, and faults not at all.
pub struct Discovery {
    reach: Arc<Reach>,
    pages: Pages,
    rules: DiscoveryRules,
}

impl Discovery {
    /// Discovery by these rules. Hosts must be on the public internet, unless the operator named them to the client.
    pub fn new(client: Client, rules: DiscoveryRules) -> Self {
        let reach = Arc::new(Reach::new(client, rules.trusted.clone()));
        Self { pages: Pages::new(Arc::clone(&reach)), reach, rules }
    }

    /// How to ask what paths led to.
    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The repository of the module `path`. Nothing is said about whether there is such a module in it.
    ///
    /// # Errors
    /// [`ErrorKind::Private`] if the rules do not let the path be asked for, [`ErrorKind::Forbidden`] if they exclude
    /// what was found, [`ErrorKind::NotFound`] if its host knows no repository, [`ErrorKind::Rejected`] if what the
    /// host says contradicts itself, and transient kinds if it does not answer.
    pub async fn find(&self, path: &ModulePath) -> Result<Found> {
        let place = Place::of(path, &self.rules)?;
        let found = match KnownRoot::of(path).map_err(|error| Error::not_found(error.to_string()))? {
            Some(known) => self.at_known(path, known)?,
            None => self.ask(path, &place).await.map_err(|error| unrecognized(path, &error))?,
        };
        self.permit(path, found.vcs, &found.root)?;
        Ok(found)
    }

    /// Whether GOVCS lets this kind of version control be used for the repository at `root`, in which `path` is.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] if it does not.
    pub fn permit(&self, path: &ModulePath, vcs: Vcs, root: &str) -> Result<()> {
        let checked = self.rules.govcs.check(vcs, root, &self.rules.private);
        checked.map_err(|error| unrecognized(path, &forbidden(&error)))
    }

    /// Asks anew the next time, whatever was remembered about `path`.
    pub fn forget(&self, path: &ModulePath) {
        self.pages.forget(path);
    }

    /// Secure schemes first, and insecure ones only where they are allowed: an address that does not answer must not
    /// lead to one that anybody on the way can answer for (CVE-2023-45285).
    fn at_known(&self, path: &ModulePath, known: KnownRoot) -> Result<Found> {
        let insecure = self.rules.insecure.matches(path).then_some("http");
        let others = match known.vcs {
            Vcs::Git => &["git+ssh", "ssh"][..],
            Vcs::Hg => &["ssh"],
            Vcs::Svn => &["svn+ssh"],
            Vcs::Bzr => &["bzr+ssh"],
            Vcs::Fossil | Vcs::Mod => &[],
        };
        let schemes = ["https"].into_iter().chain(insecure).chain(others.iter().copied());
        let count = if known.any_scheme { usize::MAX } else { 1 };
        let urls = schemes.take(count).map(|scheme| {
            RepositoryUrl::parse(&format!("{scheme}://{}", known.repository)).map_err(Error::rejected)
        });
        let urls = urls.collect::<Result<_>>()?;
        Ok(Found { root: known.root, vcs: known.vcs, urls, subdir: String::new() })
    }

    async fn ask(&self, path: &ModulePath, place: &Place) -> Result<Found> {
        let page = self.pages.get(place).await?;
        let above = if page.is_closed() { self.above(path, place).await } else { None };
        let (page, place) = above.as_ref().map_or((&page, place), |(page, place)| (page, place));
        let tag = choose(page, path, place)?;
        if let Some(root) = place.leading(&tag.prefix) {
            // Whoever may speak for a path need not speak for what is above it.
            let second = self.pages.get(&root).await?;
            if !matches!(&*second, Page::Read(imports) if !imports.tags.is_empty()) {
                return Err(second.absence(&root));
            }
            if !choose(&second, path, &root).is_ok_and(|other| other == tag) {
                let text = format!("{place} and {root} disagree about go-import for {}", tag.prefix);
                return Err(Error::rejected(text));
            }
        }
        self.judge(path, tag).map_err(|error| error.about(place))
    }

    /// The nearest page above one that is not shown that says where `path` is. Hosts refuse pages of what they do not have,
    /// lest anybody learn what they have, and the go command asks for the paths below a module too.
    async fn above(&self, path: &ModulePath, place: &Place) -> Option<(Arc<Page>, Place)> {
        for parent in place.parents().take(MAX_PARENTS) {
            let Ok(page) = self.pages.get(&parent).await else { return None };
            if choose(&page, path, &parent).is_ok() {
                return Some((page, parent));
            }
        }
        None
    }

    fn judge(&self, path: &ModulePath, tag: &GoImport) -> Result<Found> {
        let subdir = clean_subdir(&tag.subdir)
            .map_err(|why| Error::rejected(format!("invalid subdirectory {:?}: {why}", tag.subdir)))?;
        let url = RepositoryUrl::parse(&tag.url).map_err(|why| {
            // A password that somebody put there is not for others to read.
            let shown = if tag.url.contains('@') { "…" } else { &tag.url };
            Error::rejected(format!("invalid repo root {shown:?}: {why}"))
        })?;
        let vcs =
            Vcs::parse(&tag.vcs).ok_or_else(|| Error::not_found(format!("unknown vcs {:?}", tag.vcs)))?;
        if !url.is_secure() && !self.rules.insecure.matches(path) {
            let text =
                format!("the scheme {} is insecure and GOINSECURE does not match the path", url.scheme());
            return Err(Error::new(ErrorKind::Forbidden, text));
        }
        if vcs == Vcs::Mod && !matches!(url.scheme(), "https" | "http") {
            return Err(Error::rejected(format!("a module proxy cannot be at a {} address", url.scheme())));
        }
        Ok(Found { root: tag.prefix.clone(), vcs, urls: vec![url], subdir })
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("rules", &self.rules).finish_non_exhaustive()
    }
}

fn choose<'p>(page: &'p Arc<Page>, path: &ModulePath, place: &Place) -> Result<&'p GoImport> {
    let Page::Read(imports) = &**page else { return Err(page.absence(place)) };
    let chosen = imports.choose(path.as_str());
    let chosen = chosen.map_err(|error| Error::rejected(format!("parse {place}: {error}")))?;
    chosen.ok_or_else(|| {
        let others = imports
            .tags
            .iter()
            .map(|tag| format!("meta tag {} did not match import path {path}", tag.prefix));
        let others: Vec<_> = others.take(3).collect();
        Error::not_found(format!("parse {place}: no go-import meta tags ({})", others.join(", ")))
    })
}

fn unrecognized(path: &ModulePath, error: &Error) -> Error {
    error.about(format_args!("unrecognized import path \"{path}\""))
}

fn forbidden(error: &quipu_module::Error) -> Error {
    Error::new(ErrorKind::Forbidden, error.to_string())
}

/// The elements that count of a directory in a repository.
fn clean_subdir(subdir: &str) -> std::result::Result<String, &'static str> {
    let elements = || subdir.split('/').filter(|element| !matches!(*element, "" | "."));
    match subdir.chars().next() {
        Some('/') => Err("leading slash"),
        Some('-') => Err("leading hyphen"),
        _ if subdir.chars().any(|c| c.is_control() || c == '\\') => Err("invalid character"),
        _ if elements().any(|element| element == "..") => Err("outside of the repository"),
        _ => Ok(elements().collect::<Vec<_>>().join("/")),
    }
}
