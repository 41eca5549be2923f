//! The filter: the one place where what is offered is told from what could be had.
//!
//! Stands between the handlers and the module cache (and between lookups and new records), so that list, `@latest`,
//! `.info`, `.mod`, `.zip` and lookup say the same by one clock. What is in the log already is not young any more: its age
//! is never asked. How old something is says its `.info`.

use std::fmt::Display;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use quick_cache::sync::Cache as Kept;
use quipu_fetch::{Cache, Error, ErrorKind, Info, Policy, Result, Upstream as _, highest};
use quipu_ledger::{Ledger, Most};
use quipu_module::{ModulePath, ModuleVersion, Query, Version};
use tokio::time::timeout;

use crate::policy::{Offering, Refused, RefusedBy};

/// Versions of a list whose ages are asked for at once.
const AT_ONCE: usize = 32;

/// How long learning the ages of the versions of a list may take. What was learnt by then is kept.
const DEADLINE: Duration = Duration::from_secs(60);

/// Versions that are remembered as old enough.
const OLD: usize = 100_000;

/// Logged versions that `latest` may stand for where no version is listed.
const LOGGED: usize = 200;

/// How an answer is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Fetched if need be.
    Anywhere,
    /// From storage alone.
    Stored,
}

/// Judges what is asked for.
pub(crate) struct Filter {
    offering: Arc<Offering>,
    modules: Cache,
    /// None for a proxy without a log.
    ledger: Option<Ledger>,
    private: Policy,
    /// Versions found old enough, or in the log: neither ever changes.
    old: Kept<ModuleVersion, (), quick_cache::UnitWeighter, RandomState>,
}

impl Filter {
    pub(crate) fn new(
        offering: Arc<Offering>,
        modules: Cache,
        ledger: Option<Ledger>,
        private: Policy,
    ) -> Self {
        let old = Kept::with(
            OLD,
            OLD as u64,
            quick_cache::UnitWeighter,
            RandomState::new(),
            quick_cache::sync::DefaultLifecycle::default(),
        );
        Self { offering, modules, ledger, private, old }
    }

    /// Whether everything may be had, so that nothing has to be asked.
    pub(crate) fn is_open(&self) -> bool {
        self.offering.is_open()
    }

    /// Whether the version may be had.
    ///
    /// # Errors
    /// It is refused ([`ErrorKind::Forbidden`]), or its age cannot be learnt now.
    pub(crate) async fn check(&self, module: &ModuleVersion, reach: Reach) -> Result<()> {
        match self.judge(module, reach).await? {
            Err(refused) if self.note(module, &refused) => Err(forbidden(&refused)),
            Err(_) => Ok(()),
            Ok(()) => {
                self.note_exemption(module, reach).await;
                Ok(())
            }
        }
    }

    /// Notes what is let through although it is too young. A dry run lets everything through.
    async fn note_exemption(&self, module: &ModuleVersion, reach: Reach) {
        let Some((cooldown, now)) = self.offering.cooldown(module) else { return };
        // First, as nearly all are: those need no exception, and it takes the least to know it.
        if self.offering.is_dry() || self.is_old(module).unwrap_or(true) {
            return;
        }
        let Some(exemption) = self.offering.exemption(module, (cooldown, now)) else { return };
        let Ok(time) = self.time(module, reach).await else { return };
        if cooldown.judge(module, time.as_deref(), now).is_err() {
            self.offering.note_exempt(module, &exemption);
        }
    }

    /// Whether the version may be published here: by path and version alone, since what comes from here is nobody's young
    /// release.
    ///
    /// # Errors
    /// It is refused.
    pub(crate) fn check_publish(&self, module: &ModuleVersion) -> Result<()> {
        match self.offering.judge(module) {
            Err(refused) if self.note(module, &refused) => Err(forbidden(&refused)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether the version would be offered to a client. Nobody has asked for it yet, so a refusal is not noted.
    ///
    /// # Errors
    /// Its age cannot be learnt now.
    pub(crate) async fn would_offer(&self, module: &ModuleVersion) -> Result<bool> {
        let verdict = self.judge(module, Reach::Anywhere).await?;
        Ok(verdict.err().is_none_or(|refused| !self.offering.enforces(&refused)))
    }

    /// Whether no proxy is asked for the path, by the settings.
    pub(crate) fn is_private(&self, path: &ModulePath) -> bool {
        self.private.is_private(path)
    }

    /// Whether this version, which is in the log, is shown among those that can be had.
    pub(crate) fn shows(&self, path: &str, version: &str) -> bool {
        self.withheld(path, version).is_none()
    }

    /// Why this version, which is in the log, is not shown among those that can be had.
    pub(crate) fn withheld(&self, path: &str, version: &str) -> Option<Refused> {
        if self.is_open() {
            return None;
        }
        let refused = self.offering.judge(&ModuleVersion::parse(path, version).ok()?).err()?;
        self.offering.enforces(&refused).then_some(refused)
    }

    /// The versions that are offered.
    ///
    /// # Errors
    /// The cache's; or there are versions, and all are refused.
    pub(crate) async fn list(&self, path: &ModulePath, reach: Reach) -> Result<Vec<Version>> {
        self.check_path(path)?;
        let all = match reach {
            Reach::Anywhere => self.modules.list(path).await?,
            Reach::Stored => self.modules.held_list(path).await?,
        };
        if self.is_open() {
            return Ok(all);
        }
        let some = !all.is_empty();
        let (offered, refused) = self.sort_out(path, all, reach).await?;
        match refused {
            Some(refused) if some && offered.is_empty() => {
                self.offering.note(path, None, &refused);
                Err(forbidden(&refused))
            }
            _ => Ok(offered),
        }
    }

    /// What `latest` stands for among what is offered: the same as without a policy if that is offered, else the highest
    /// release of the list, else the highest pre-release, else what is in the log, or in storage where nothing is fetched; of
    /// those that are not retracted, as far as there are any.
    ///
    /// # Errors
    /// The cache's; what is retracted cannot be learnt now; or nothing that it could stand for is offered.
    pub(crate) async fn latest(&self, path: &ModulePath, reach: Reach) -> Result<Info> {
        self.check_path(path)?;
        let info = match reach {
            Reach::Anywhere => self.modules.latest(path).await?,
            Reach::Stored => self.modules.held_latest(path).await?,
        };
        if self.is_open() {
            return Ok(info);
        }
        let module = named(path, info.version())?;
        let refused = match self.judge(&module, reach).await? {
            Err(refused) if self.offering.enforces(&refused) => refused,
            _ => return Ok(info),
        };
        let mut offered = self.list(path, reach).await?;
        if offered.is_empty() {
            offered = match reach {
                Reach::Anywhere => self.logged(path)?,
                Reach::Stored => self.sort_out(path, self.modules.held_versions(path).await?, reach).await?.0,
            };
        }
        // By the word of those that are offered: a release that nobody may have yet takes nothing back.
        let standing = match reach {
            Reach::Anywhere => self.modules.unretracted(path, offered.clone()).await?.unwrap_or_default(),
            Reach::Stored => self.held_standing(path, &offered).await?,
        };
        match highest(&standing).or_else(|| highest(&offered)) {
            Some(version) => self.info(path, &Query::from(version.clone()), reach).await,
            None => {
                self.note(&module, &refused);
                Err(forbidden(&refused))
            }
        }
    }

    /// Those of `offered`, which ascend, that are not retracted, by the word of what is stored and offered.
    async fn held_standing(&self, path: &ModulePath, offered: &[Version]) -> Result<Vec<Version>> {
        let go_mods = self.modules.held_go_mods(path).await?;
        let (speaking, _) = self.sort_out(path, go_mods, Reach::Stored).await?;
        let mut standing = self.modules.held_unretracted(path, speaking).await?;
        standing.retain(|version| offered.binary_search(version).is_ok());
        Ok(standing)
    }

    /// Versions of the module that are in the log and offered, ascending: those that came last.
    fn logged(&self, path: &ModulePath) -> Result<Vec<Version>> {
        let Some(ledger) = &self.ledger else { return Ok(Vec::new()) };
        let group = ledger.group(format!("{path} ").as_bytes(), 0, Most::Last(LOGGED));
        let group = group.map_err(|error| unreadable(path, &error))?;
        let version = |text: &[u8]| Version::parse(std::str::from_utf8(text).ok()?).ok();
        let versions =
            group.iter().filter_map(|(_, record)| version(record.text.split(|byte| *byte == b' ').nth(1)?));
        let mut offered: Vec<Version> =
            versions.filter(|version| self.shows(path.as_str(), version.as_str())).collect();
        offered.sort_unstable();
        Ok(offered)
    }

    /// What a query stands for, if that is offered.
    ///
    /// # Errors
    /// The cache's, or as [`Filter::check`].
    pub(crate) async fn info(&self, path: &ModulePath, query: &Query, reach: Reach) -> Result<Info> {
        self.check_path(path)?;
        let info = match reach {
            Reach::Anywhere => self.modules.info(path, query).await?,
            Reach::Stored => self.modules.held_info(path, query).await?,
        };
        if !self.is_open() {
            self.check(&named(path, info.version())?, reach).await?;
        }
        Ok(info)
    }

    /// Whether anything of the module may be had, before anybody is asked for it.
    fn check_path(&self, path: &ModulePath) -> Result<()> {
        self.offering.judge_path(path).map_err(|refused| {
            self.offering.note(path, None, &refused);
            forbidden(&refused)
        })
    }

    fn note(&self, module: &ModuleVersion, refused: &Refused) -> bool {
        self.offering.note(module.path(), Some(module.version()), refused)
    }

    async fn judge(&self, module: &ModuleVersion, reach: Reach) -> Result<std::result::Result<(), Refused>> {
        if self.is_open() {
            return Ok(Ok(()));
        }
        if let Err(refused) = self.offering.judge(module) {
            return Ok(Err(refused));
        }
        let Some((cooldown, now)) = self.offering.cooldown(module) else { return Ok(Ok(())) };
        if self.offering.exemption(module, (cooldown, now)).is_some() || self.is_old(module)? {
            return Ok(Ok(()));
        }
        let time = match self.time(module, reach).await {
            Ok(time) => time,
            Err(_) if self.offering.is_dry() => return Ok(Ok(())),
            Err(error) => return Err(error),
        };
        let verdict = cooldown.judge(module, time.as_deref(), now);
        if verdict.is_ok() {
            self.old.insert(module.clone(), ());
        }
        Ok(verdict)
    }

    /// Whether its age is of no interest: it was found old enough, it is in the log, or it is private.
    fn is_old(&self, module: &ModuleVersion) -> Result<bool> {
        if self.private.is_unverified(module.path()) || self.old.get(module).is_some() {
            return Ok(true);
        }
        let key = format!("{} {} ", module.path(), module.version());
        let Some(ledger) = &self.ledger else { return Ok(false) };
        let logged = ledger.find(key.as_bytes()).map_err(|error| unreadable(module, &error))?;
        if logged.is_some() {
            self.old.insert(module.clone(), ());
        }
        Ok(logged.is_some())
    }

    /// When the version was made, as its `.info` says; `None` if that does not say, or is not to be believed.
    async fn time(&self, module: &ModuleVersion, reach: Reach) -> Result<Option<String>> {
        let query = Query::from(module.version().clone());
        let info = match reach {
            // A dry run asks for nothing on its own account.
            Reach::Anywhere if !self.offering.is_dry() => self.modules.info(module.path(), &query).await,
            _ => self.modules.held_info(module.path(), &query).await,
        };
        match info {
            Ok(info) => Ok(info.time().map(str::to_owned)),
            Err(error) if error.kind().is_wrong() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The versions that are offered, in their order, and the refusal of the highest one that is not.
    async fn sort_out(
        &self,
        path: &ModulePath,
        all: Vec<Version>,
        reach: Reach,
    ) -> Result<(Vec<Version>, Option<Refused>)> {
        let judged =
            stream::iter(all).map(|version| self.judge_listed(path, version, reach)).buffered(AT_ONCE);
        let judged: Vec<_> = timeout(DEADLINE, judged.collect()).await.map_err(|_| {
            let seconds = DEADLINE.as_secs();
            Error::unavailable(format!(
                "{path}: the ages of its versions were not all learnt in {seconds} seconds; ask again"
            ))
        })?;
        let (mut offered, mut last) = (Vec::with_capacity(judged.len()), None);
        for listed in judged {
            match listed? {
                (version, None) => offered.push(version),
                (_, Some(refused)) => last = Some(refused),
            }
        }
        Ok((offered, last))
    }

    /// A listed version, with what keeps it from being offered. A version without an age is withheld, unless its age is
    /// only not to be had now: then the list is not to be had either.
    async fn judge_listed(
        &self,
        path: &ModulePath,
        version: Version,
        reach: Reach,
    ) -> Result<(Version, Option<Refused>)> {
        let module = named(path, &version)?;
        let refused = match self.judge(&module, reach).await {
            Ok(verdict) => verdict.err(),
            Err(error) if error.kind().is_transient() => return Err(error),
            Err(error) => {
                let text = format!("{module}: when it was made is not known: {}", error.text());
                Some(Refused { by: RefusedBy::Cooldown, text })
            }
        };
        Ok((version, refused.filter(|refused| self.offering.enforces(refused))))
    }
}

fn unreadable(what: impl Display, error: &quipu_ledger::Error) -> Error {
    tracing::error!(%error, "reading the log failed");
    Error::unavailable(format!("{what}: the log cannot be read now"))
}

fn forbidden(refused: &Refused) -> Error {
    Error::new(ErrorKind::Forbidden, &refused.text)
}

fn named(path: &ModulePath, version: &Version) -> Result<ModuleVersion> {
    ModuleVersion::new(path.clone(), version.clone()).map_err(|error| Error::rejected(error.to_string()))
}

#[cfg(test)]
mod tests;
