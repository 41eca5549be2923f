//! The rules in force, some of which change while the server runs, and what becomes of their refusals.

use std::sync::Arc;

use arc_swap::ArcSwap;
use quipu_ledger::{Clock, Micros, SystemClock};
use quipu_module::{ModulePath, ModuleVersion, Version};
use tracing::info;

use super::{Cooldown, Fixes, Quarantine, Refused, RefusedBy, Rulebook};

/// What became of something that a client asked for, where that is not the usual: it was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was refused.
    Refused,
    /// It would have been, without dry run.
    WouldBeRefused,
    /// It would have been for its age, but for an exception.
    Exempt,
}

/// A decision about what a client asked for.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// The module that was asked for.
    pub path: &'a ModulePath,
    /// The version, unless all versions were refused together.
    pub version: Option<&'a Version>,
    /// Which kind of rule refuses it, or of exception lets it through: `quarantine`, `rule`, `toolchain`, `cooldown`;
    /// `waiver`, `fix`.
    pub by: &'static str,
    /// Why: what the client is shown, if it is refused.
    pub text: &'a str,
    /// What became of it.
    pub outcome: Outcome,
}

/// Is told of every refusal before the client is, and of every exception; not of the versions that a list leaves out beside
/// others.
pub trait Decisions: Send + Sync + 'static {
    /// Takes note of it. Must not block for long.
    fn note(&self, decision: &Decision<'_>);
}

/// Writes a line of log for each.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogDecisions;

impl Decisions for LogDecisions {
    fn note(&self, decision: &Decision<'_>) {
        let Decision { path, version, by, text, outcome } = decision;
        let version = version.map_or("", Version::as_str);
        let what = match outcome {
            Outcome::Refused => "refused by policy",
            Outcome::WouldBeRefused => "would be refused by policy",
            Outcome::Exempt => "let through by policy although it is young",
        };
        info!(%path, version, by, why = text, "{what}");
    }
}

/// What is offered to clients: the rules in force.
pub struct Offering {
    rulebook: Rulebook,
    quarantine: ArcSwap<Quarantine>,
    fixes: ArcSwap<Fixes>,
    clock: Arc<dyn Clock>,
    decisions: Arc<dyn Decisions>,
    counted: [[metrics::Counter; 2]; 4],
}

/// Why a version is offered whatever its age.
pub(crate) struct Exemption {
    /// The kind of exception.
    by: &'static str,
    /// For the records.
    text: String,
}

impl Offering {
    /// These rules, by this clock, with nothing in quarantine and no fixes known; refusals are shown to `decisions`.
    #[must_use]
    pub fn new(rulebook: Rulebook, clock: Arc<dyn Clock>, decisions: Arc<dyn Decisions>) -> Self {
        let counter = |by: RefusedBy, mode: &'static str| metrics::counter!("quipu_policy_refused_total", "by" => by.name(), "mode" => mode);
        let counted = RefusedBy::ALL.map(|by| [counter(by, "dry_run"), counter(by, "enforced")]);
        let (quarantine, fixes) = (ArcSwap::default(), ArcSwap::default());
        let offering = Self { rulebook, quarantine, fixes, clock, decisions, counted };
        offering.show();
        offering
    }

    /// Everything is offered.
    #[must_use]
    pub fn everything() -> Self {
        Self::new(Rulebook::default(), Arc::new(SystemClock::new()), Arc::new(LogDecisions))
    }

    /// From now on these versions are in quarantine.
    pub fn set_quarantine(&self, quarantine: Quarantine) {
        self.quarantine.store(Arc::new(quarantine));
        self.show();
    }

    /// From now on these versions are known as fixes.
    pub fn set_fixes(&self, fixes: Fixes) {
        self.fixes.store(Arc::new(fixes));
        self.show();
    }

    /// Whether the version is in quarantine.
    pub(crate) fn is_quarantined(&self, module: &ModuleVersion) -> bool {
        self.quarantine.load().judge(module).is_err()
    }

    /// Whether there is nothing to judge: whatever is asked for is offered.
    pub(crate) fn is_open(&self) -> bool {
        self.rulebook.is_empty() && self.quarantine.load().is_empty()
    }

    /// Whether refusals by the rules of the configuration are only noted.
    pub(crate) const fn is_dry(&self) -> bool {
        self.rulebook.dry_run
    }

    /// The cooldown and the present time, if age matters for this version, exceptions apart.
    pub(crate) fn cooldown(&self, module: &ModuleVersion) -> Option<(&Cooldown, Micros)> {
        let cooldown = self.rulebook.cooldown.as_ref().filter(|cooldown| cooldown.concerns(module))?;
        Some((cooldown, self.clock.now()))
    }

    /// The exception from the cooldown that holds for this version.
    pub(crate) fn exemption(
        &self,
        module: &ModuleVersion,
        (cooldown, now): (&Cooldown, Micros),
    ) -> Option<Exemption> {
        if let Some(waiver) = cooldown.waiver(module, now) {
            let text = format!("{module}: waiver: {}", waiver.reason());
            return Some(Exemption { by: "waiver", text });
        }
        let fixes = self.fixes.load();
        let text = format!("{module}: fixes {}", fixes.advisory(module)?);
        Some(Exemption { by: "fix", text })
    }

    /// What is to be said by path and version alone.
    pub(crate) fn judge(&self, module: &ModuleVersion) -> Result<(), Refused> {
        self.quarantine.load().judge(module)?;
        self.rulebook.judge(module)
    }

    /// What is to be said by the path alone.
    pub(crate) fn judge_path(&self, path: &ModulePath) -> Result<(), Refused> {
        if self.is_dry() { Ok(()) } else { self.rulebook.judge_path(path) }
    }

    /// Whether a refusal is enforced. Quarantine is, also in a dry run: it is no rule on trial, but a decision about one
    /// version.
    pub(crate) const fn enforces(&self, refused: &Refused) -> bool {
        !self.is_dry() || matches!(refused.by, RefusedBy::Quarantine)
    }

    /// Counts a refusal of what was asked for and tells those who want to know. Whether it is enforced.
    pub(crate) fn note(&self, path: &ModulePath, version: Option<&Version>, refused: &Refused) -> bool {
        let enforced = self.enforces(refused);
        let Refused { by, text } = refused;
        let counters = RefusedBy::ALL.iter().zip(&self.counted).find(|(of, _)| *of == by);
        if let Some((_, [dry, real])) = counters {
            (if enforced { real } else { dry }).increment(1);
        }
        let outcome = if enforced { Outcome::Refused } else { Outcome::WouldBeRefused };
        self.decisions.note(&Decision { path, version, by: by.name(), text, outcome });
        enforced
    }

    /// Counts a version that was asked for and is let through by an exception, and tells those who want to know.
    pub(crate) fn note_exempt(&self, module: &ModuleVersion, exemption: &Exemption) {
        let Exemption { by, text } = exemption;
        metrics::counter!("quipu_policy_exempt_total", "by" => *by).increment(1);
        let (path, version) = (module.path(), Some(module.version()));
        self.decisions.note(&Decision { path, version, by, text, outcome: Outcome::Exempt });
    }

    /// Shows in the metrics what is in force.
    fn show(&self) {
        let count = |count: usize| u32::try_from(count).map_or(f64::INFINITY, f64::from);
        let Rulebook { rules, toolchains, cooldown, dry_run } = &self.rulebook;
        metrics::gauge!("quipu_policy_rules").set(count(rules.len() + toolchains.len()));
        metrics::gauge!("quipu_policy_cooldown_days")
            .set(cooldown.as_ref().map_or(0.0, |c| f64::from(c.days)));
        metrics::gauge!("quipu_policy_waivers").set(count(cooldown.as_ref().map_or(0, |c| c.waivers.len())));
        metrics::gauge!("quipu_policy_dry_run").set(f64::from(u8::from(*dry_run)));
        metrics::gauge!("quipu_policy_known_fixes").set(count(self.fixes.load().len()));
        metrics::gauge!("quipu_policy_quarantined").set(count(self.quarantine.load().len()));
    }
}
