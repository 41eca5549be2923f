//! Records: found in the log, or made from what the upstream database proves or from what was fetched.
//!
//! Knows nothing of HTTP. [`Records`] says what the log holds or may take in for a module version; the cache asks it
//! before anything fetched becomes visible ([`Admit`]). [`Lookup`] adds the case in which the module must be fetched
//! first.

use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use quipu_fetch::{
    Admit, BoxFuture, Finding, FindingKind, Hashes, Hops, Policy, Publication, PublishError, Recorded,
    Refusal,
};
use quipu_ledger::{Entry, Ledger, SignedHead};
use quipu_module::{H1, ModuleVersion, Record};
use quipu_verify as verify;
use tokio::time::timeout;
use tracing::{error, warn};

use crate::audit::{AuditLog, Event, EventKind};
use crate::evidence;
use crate::filter::{Filter, Reach};
use crate::policy::Offering;

/// How long the upstream database's word on one record may take, all requests for its proof included.
const DEADLINE: Duration = Duration::from_secs(60);

/// A record in the log.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its index.
    pub(crate) index: u64,
    /// Its text.
    pub(crate) text: Bytes,
    /// A signed head that covers it.
    pub(crate) head: Arc<SignedHead>,
}

/// Why there is no record, in kinds named by what the caller should make of it. The text is for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// It does not exist, definitely.
    NotFound(String),
    /// Policy forbids to ask for it.
    Forbidden(String),
    /// What was fetched contradicts what is recorded.
    Contradicted(String),
    /// A fault here or upstream.
    Unavailable(String),
    /// It took too long.
    Timeout(String),
    /// There is no room in the queue or on the disk just now.
    Busy(String),
}

/// Who vouches for new records.
pub struct Vouching {
    /// Which modules may be asked of whom.
    pub policy: Policy,
    /// The upstream database; without it what was fetched is logged.
    pub upstream: Option<verify::Client>,
    /// Log what was fetched also when the upstream database does not know it or cannot be reached.
    pub prefer: bool,
    /// Where to keep the evidence of a database that signed two histories.
    pub evidence: verify::EvidenceDir,
}

impl Vouching {
    /// Nobody else vouches, and nothing is private: what is fetched first counts. `evidence` is a directory.
    #[must_use]
    pub fn nobody(evidence: &Path) -> Self {
        let evidence = verify::EvidenceDir::new(evidence);
        Self { policy: Policy::default(), upstream: None, prefer: false, evidence }
    }
}

/// What may be said about a module version before its content is known.
enum Standing {
    /// It is in the log.
    Logged(Found),
    /// The upstream database says that there is no such thing.
    Absent(String),
    /// Nobody else vouches, as for what is private: what is fetched first counts.
    Ours,
}

/// The records of the log, and the rules by which new ones come in.
pub(crate) struct Records {
    ledger: Ledger,
    vouching: Vouching,
    /// Knows what is in quarantine; none where nothing ever is.
    offering: Option<Arc<Offering>>,
    /// Where it is noted what is published.
    audit: OnceLock<AuditLog>,
}

impl Records {
    pub(crate) const fn new(ledger: Ledger, vouching: Vouching, offering: Option<Arc<Offering>>) -> Self {
        Self { ledger, vouching, offering, audit: OnceLock::new() }
    }

    /// What is published from now on is noted there, unless it is noted somewhere already.
    pub(crate) fn note_in(&self, audit: AuditLog) {
        // The first one stays.
        let _ = self.audit.set(audit);
    }

    /// Which modules may be asked of whom.
    pub(crate) const fn policy(&self) -> &Policy {
        &self.vouching.policy
    }

    /// Where the evidence of forked databases is kept.
    pub(crate) const fn evidence(&self) -> &verify::EvidenceDir {
        &self.vouching.evidence
    }

    /// The record of a module version, if the log has it.
    pub(crate) fn find(&self, module: &ModuleVersion) -> Result<Option<Found>, LookupError> {
        let found = self.ledger.find(key(module).as_bytes()).map_err(of_ledger)?;
        // The head is taken after the record, so it covers it.
        Ok(found.map(|(index, record)| Found { index, text: record.text, head: self.ledger.head() }))
    }

    async fn standing(&self, module: &ModuleVersion) -> Result<Standing, LookupError> {
        if let Some(found) = self.find(module)? {
            return Ok(Standing::Logged(found));
        }
        if self.vouching.policy.is_published(module.path()) {
            let text = format!("{module}: was not published here, and is not asked of anybody else");
            return Ok(Standing::Absent(text));
        }
        let upstream = match &self.vouching.upstream {
            Some(upstream) if !self.vouching.policy.is_unverified(module.path()) => upstream,
            _ => return Ok(Standing::Ours),
        };
        match timeout(DEADLINE, upstream.lookup(module)).await {
            Ok(Ok(verified)) => self.append(verified.record.record()).await.map(Standing::Logged),
            Ok(Err(error)) => self.unproven(module, error),
            Err(_) if self.vouching.prefer => Ok(self.ours(module, "no answer in time")),
            Err(_) => Err(LookupError::Timeout(format!(
                "{module}: fetch timed out: no proof from the upstream checksum database in {} seconds",
                DEADLINE.as_secs()
            ))),
        }
    }

    /// What follows when the upstream database does not vouch for a module version.
    fn unproven(&self, module: &ModuleVersion, error: verify::Error) -> Result<Standing, LookupError> {
        metrics::counter!("quipu_upstream_sumdb_errors_total", "kind" => kind(&error)).increment(1);
        match error {
            verify::Error::NotFound(failure) if self.vouching.prefer => Ok(self.ours(module, failure)),
            verify::Error::Unavailable(failure) if self.vouching.prefer => Ok(self.ours(module, failure)),
            verify::Error::NotFound(failure) => Ok(Standing::Absent(failure.why().to_owned())),
            verify::Error::Unavailable(failure) => {
                warn!(%module, %failure, "no proof from the upstream database");
                Err(LookupError::Unavailable(format!(
                    "{module}: the upstream checksum database gives no proof now: {}",
                    failure.why()
                )))
            }
            other => {
                if let verify::Error::Misbehaved(evidence) = &other {
                    evidence::keep(&self.vouching.evidence, evidence, self.audit.get());
                }
                error!(%module, error = %other, "the answer of the upstream database is refused");
                Err(LookupError::Unavailable(format!(
                    "{module}: the answer of the upstream checksum database does not verify"
                )))
            }
        }
    }

    fn ours(&self, module: &ModuleVersion, why: impl Display) -> Standing {
        warn!(%module, %why, "no proof from the upstream database: what was fetched counts");
        Standing::Ours
    }

    /// Takes a record into the log, or finds that it is there.
    async fn append(&self, record: &Record) -> Result<Found, LookupError> {
        let text = Bytes::from(record.to_string());
        let entry = Entry::new(text.clone(), key(&record.module).len()).ok_or_else(|| {
            LookupError::Unavailable(format!("{}: record too long for the log", record.module))
        })?;
        let receipt = self.ledger.append(entry).await.map_err(of_ledger)?;
        Ok(Found { index: receipt.index, text, head: receipt.head })
    }

    /// Whether a zip could be admitted. With `prefer` nothing is out of the question, so nobody is asked.
    async fn expect(&self, module: &ModuleVersion) -> Result<(), Refusal> {
        if self.vouching.prefer {
            return Ok(());
        }
        match self.standing(module).await.map_err(LookupError::refusal)? {
            Standing::Logged(_) | Standing::Ours => Ok(()),
            Standing::Absent(text) => Err(Refusal::Unknown { text }),
        }
    }

    /// What the log holds for a version that is published here, after `hashes` were offered to it: the first ones count.
    async fn enter(&self, module: &ModuleVersion, hashes: Hashes) -> Result<Recorded, LookupError> {
        if let Some(found) = self.find(module)? {
            return recorded(module, &found, false);
        }
        let record = Record { module: module.clone(), zip: hashes.zip, go_mod: hashes.go_mod };
        match self.append(&record).await {
            Ok(found) => recorded(module, &found, true),
            // Somebody was faster.
            Err(error @ LookupError::Contradicted(_)) => {
                let found = self.find(module)?.ok_or(error)?;
                recorded(module, &found, false)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes what became of a version that was sent to be published; returns when that is on the disk.
    async fn note_sent(
        &self,
        kind: EventKind,
        module: &ModuleVersion,
        (what, publication): (String, &Publication),
    ) {
        let Some(audit) = self.audit.get() else { return };
        let Publication { time, by, peer, is_resumed } = publication;
        let left =
            if *is_resumed { format!("; sent at {time} and left by an earlier run") } else { String::new() };
        let detail = format!("{what}{left}");
        audit.note(Event::new(kind).who(by).peer(*peer).what(&module.to_string()).detail(&detail));
        audit.sync().await;
    }

    /// Takes what was fetched into the log where nobody else vouches for it.
    async fn take_in(&self, module: &ModuleVersion, hashes: Hashes) -> Result<(), Refusal> {
        let Hashes { zip, go_mod, go_mod_in_zip } = hashes;
        // What is logged first stays, and one of the two is not what its author released.
        if go_mod != go_mod_in_zip {
            let text = format!(
                "{module}: nobody vouches for it, and the go.mod in its zip ({go_mod_in_zip}) is not the one that is \
                 served ({go_mod})"
            );
            return Err(Refusal::Refused { text, evidence: Vec::new() });
        }
        let record = Record { module: module.clone(), zip, go_mod };
        self.append(&record).await.map_err(LookupError::refusal)?;
        metrics::counter!("quipu_records_unproven_total").increment(1);
        Ok(())
    }
}

impl Admit for Records {
    /// Public, in the log, and proven by the upstream database. What is in quarantine is evidence, and stays.
    fn is_replaceable(&self, module: &ModuleVersion) -> bool {
        if self.offering.as_ref().is_some_and(|offering| offering.is_quarantined(module)) {
            return false;
        }
        let policy = &self.vouching.policy;
        let upstream = self.vouching.upstream.as_ref().filter(|_| !policy.is_unverified(module.path()));
        let proven = upstream.is_some_and(|upstream| upstream.kept_lookup(module).is_some());
        proven && self.find(module).is_ok_and(|found| found.is_some())
    }

    fn admit_go_mod<'a>(
        &'a self,
        module: &'a ModuleVersion,
        go_mod: H1,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            match self.standing(module).await.map_err(LookupError::refusal)? {
                Standing::Logged(found) => agree(module, &found, None, go_mod),
                // A go.mod that no database knows is served without a record.
                Standing::Absent(_) | Standing::Ours => Ok(()),
            }
        })
    }

    fn expect_zip<'a>(&'a self, module: &'a ModuleVersion) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(self.expect(module))
    }

    fn admit_zip<'a>(
        &'a self,
        module: &'a ModuleVersion,
        hashes: Hashes,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            match self.standing(module).await.map_err(LookupError::refusal)? {
                // Each hash has its line, so a go.mod in the zip that is not the `.mod` has nothing to add.
                Standing::Logged(found) => agree(module, &found, Some(hashes.zip), hashes.go_mod),
                Standing::Absent(text) => Err(Refusal::Unknown { text }),
                Standing::Ours => self.take_in(module, hashes).await,
            }
        })
    }

    fn note(&self, finding: &Finding<'_>) {
        let Some(audit) = self.audit.get() else { return };
        let kind = match finding.kind {
            FindingKind::Mismatch => EventKind::Mismatch,
            FindingKind::MovedTag => EventKind::MovedTag,
        };
        let detail = format!("{}: {}", finding.file.extension(), finding.text);
        audit.note(Event::new(kind).what(&finding.version.to_string()).detail(&detail));
    }

    fn record<'a>(
        &'a self,
        module: &'a ModuleVersion,
        hashes: Hashes,
        publication: &'a Publication,
    ) -> BoxFuture<'a, Result<Recorded, Refusal>> {
        Box::pin(async move {
            let recorded = self.enter(module, hashes).await.map_err(LookupError::refusal)?;
            if (recorded.zip, recorded.go_mod) == (hashes.zip, hashes.go_mod) {
                self.note_sent(EventKind::Publish, module, (recorded.zip.to_string(), publication)).await;
            }
            Ok(recorded)
        })
    }

    fn refuse_resumed<'a>(
        &'a self,
        module: &'a ModuleVersion,
        why: &'a PublishError,
        publication: &'a Publication,
    ) -> BoxFuture<'a, ()> {
        let kind = match why {
            PublishError::Conflict { .. } => EventKind::Conflict,
            PublishError::Broken(_) | PublishError::Failed(_) => EventKind::PublishRefused,
        };
        Box::pin(self.note_sent(kind, module, (why.to_string(), publication)))
    }
}

/// The hashes of a record.
fn recorded(module: &ModuleVersion, found: &Found, is_new: bool) -> Result<Recorded, LookupError> {
    let record = std::str::from_utf8(&found.text).ok().and_then(|text| Record::find(text, module).ok());
    let record = record
        .ok_or_else(|| LookupError::Unavailable(format!("{module}: the log holds no hashes for it")))?;
    Ok(Recorded { index: Some(found.index), zip: record.zip, go_mod: record.go_mod, is_new })
}

/// Fetches a zip so that its hash becomes known: what [`Lookup`] needs of the module cache.
pub(crate) trait FetchZip: Send + Sync + 'static {
    /// Returns when the module's zip is in the cache, and so its record in the log.
    fn fetch_zip<'a>(&'a self, module: &'a ModuleVersion) -> BoxFuture<'a, quipu_fetch::Result<()>>;
}

/// Lookups: records found, proven upstream, or made by fetching.
pub(crate) struct Lookup {
    records: Arc<Records>,
    modules: Arc<dyn FetchZip>,
    filter: Arc<Filter>,
}

impl Lookup {
    pub(crate) const fn new(records: Arc<Records>, modules: Arc<dyn FetchZip>, filter: Arc<Filter>) -> Self {
        Self { records, modules, filter }
    }

    /// The record of a module version, if the log has it; nobody is asked for it.
    pub(crate) fn stored(&self, module: &ModuleVersion) -> Result<Option<Found>, LookupError> {
        self.records.find(module)
    }

    /// The record of a module version. What is in the log is shown, whatever the policy; what is not offered comes not in.
    /// Work that others may wait for goes on when the caller goes away.
    pub(crate) async fn record(&self, module: &ModuleVersion) -> Result<Found, LookupError> {
        if let Some(found) = self.records.find(module)? {
            return Ok(found);
        }
        self.filter.check(module, Reach::Anywhere).await.map_err(|error| of_fetch(&error))?;
        let (records, modules, module) =
            (Arc::clone(&self.records), Arc::clone(&self.modules), module.clone());
        let work = async move { resolve(&records, modules.as_ref(), &module).await };
        tokio::spawn(Hops::current().scope(work))
            .await
            .unwrap_or_else(|_| Err(LookupError::Unavailable("internal fault".to_owned())))
    }
}

async fn resolve(
    records: &Records,
    modules: &dyn FetchZip,
    module: &ModuleVersion,
) -> Result<Found, LookupError> {
    match records.standing(module).await? {
        Standing::Logged(found) => Ok(found),
        Standing::Absent(why) => Err(LookupError::NotFound(why)),
        Standing::Ours => {
            modules.fetch_zip(module).await.map_err(|error| of_fetch(&error))?;
            let unlogged = || LookupError::Unavailable(format!("{module}: fetched, but no record was made"));
            records.find(module)?.ok_or_else(unlogged)
        }
    }
}

/// Does what was fetched have the hashes that the log holds.
fn agree(module: &ModuleVersion, found: &Found, zip: Option<H1>, go_mod: H1) -> Result<(), Refusal> {
    let recorded = std::str::from_utf8(&found.text).ok().and_then(|text| Record::find(text, module).ok());
    let Some(recorded) = recorded else {
        let text = format!("{module}: the log holds no hashes for it");
        return Err(Refusal::Unavailable { text, timeout: false });
    };
    let zip = zip.unwrap_or(recorded.zip);
    if (zip, go_mod) == (recorded.zip, recorded.go_mod) {
        return Ok(());
    }
    let fetched = Record { module: module.clone(), zip, go_mod };
    error!(%module, recorded = %recorded.zip, recorded_go_mod = %recorded.go_mod, fetched = %zip, fetched_go_mod = %go_mod,
        "what was fetched is not what is recorded: refused");
    metrics::counter!("quipu_mismatches_total").increment(1);
    let (name, logged, got) = if go_mod == recorded.go_mod {
        ("", recorded.zip, zip)
    } else {
        ("/go.mod", recorded.go_mod, go_mod)
    };
    let text = format!("{module}{name}: checksum mismatch: got {got}, the log has {logged}");
    let evidence =
        format!("recorded\n{}\n{recorded}fetched\n{fetched}\n{}", found.index, utf8(&found.head.notes.sumdb));
    Err(Refusal::Refused { text, evidence: evidence.into_bytes() })
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The prefix of a record's text that is unique in the log.
fn key(module: &ModuleVersion) -> String {
    format!("{} {} ", module.path(), module.version())
}

fn kind(error: &verify::Error) -> &'static str {
    match error {
        verify::Error::NotFound(_) => "not_found",
        verify::Error::Unavailable(_) => "unavailable",
        verify::Error::Malformed(_) => "malformed",
        verify::Error::Unproven(_) => "unproven",
        verify::Error::Misbehaved(_) => "misbehaved",
        verify::Error::State(_) => "state",
    }
}

fn of_ledger(error: quipu_ledger::Error) -> LookupError {
    use quipu_ledger::Error;
    match error {
        Error::Full(_) => LookupError::Busy("the log takes no new records just now".to_owned()),
        Error::Conflict { index, .. } => {
            error!(index, "a record for this key with other hashes is in the log");
            LookupError::Contradicted(format!(
                "record {index} of the log holds other hashes for this version"
            ))
        }
        other => {
            error!(error = %other, "the log failed");
            LookupError::Unavailable("the log cannot be used now".to_owned())
        }
    }
}

fn of_fetch(error: &quipu_fetch::Error) -> LookupError {
    use quipu_fetch::ErrorKind;
    let text = error.text().to_owned();
    match error.kind() {
        ErrorKind::NotFound => LookupError::NotFound(text),
        ErrorKind::Forbidden | ErrorKind::Private => LookupError::Forbidden(text),
        ErrorKind::Timeout => LookupError::Timeout(text),
        ErrorKind::Rejected | ErrorKind::TooLarge => LookupError::Contradicted(text),
        ErrorKind::Unavailable => LookupError::Unavailable(text),
    }
}

impl LookupError {
    /// What the cache should make of it.
    fn refusal(self) -> Refusal {
        match self {
            Self::NotFound(text) => Refusal::Unknown { text },
            Self::Contradicted(text) => Refusal::Refused { text, evidence: Vec::new() },
            Self::Timeout(text) => Refusal::Unavailable { text, timeout: true },
            Self::Forbidden(text) => Refusal::Forbidden { text },
            Self::Unavailable(text) | Self::Busy(text) => Refusal::Unavailable { text, timeout: false },
        }
    }
}
