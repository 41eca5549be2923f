//! Cooldown: what is younger than some days is not offered yet, so that somebody else finds what is wrong with it.

use quipu_ledger::Micros;
use quipu_module::{ModuleVersion, Patterns, format_rfc3339, parse_rfc3339};

use super::rules::{Action, patterns, reason_for};
use super::toolchain::is_toolchain;
use super::versions::Versions;
use super::{PolicyError, Refused, RefusedBy};

/// Microseconds in a day.
const DAY: u64 = 86_400_000_000;

/// What is too young is not offered. Toolchains are: they have rules of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cooldown {
    /// How old a version must be, in days.
    pub days: u16,
    /// What is offered all the same.
    pub waivers: Vec<Waiver>,
}

/// A version that is offered although it is young, until some day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    modules: Patterns,
    versions: Versions,
    reason: String,
    until: Micros,
}

impl Waiver {
    /// A waiver for the modules that a list of globs matches, in these versions, for a reason. It ends with the day
    /// `until` (`2026-12-31`) or at that time (RFC 3339).
    ///
    /// # Errors
    /// A glob that is malformed, no reason, or an end that is no day and no time.
    pub fn new(modules: &str, versions: Versions, reason: &str, until: &str) -> Result<Self, PolicyError> {
        let modules = patterns(modules)?;
        // It is for those who read the configuration and the audit log: nobody is refused anything.
        let reason = reason_for(Action::Deny, reason)
            .map_err(|_| PolicyError::new("a waiver needs a reason, on one line"))?;
        Ok(Self { modules, versions, reason, until: parse_end(until)? })
    }

    /// Why it was given.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether the waiver is still in force.
    #[must_use]
    pub const fn is_in_force(&self, now: Micros) -> bool {
        now < self.until
    }

    fn covers(&self, module: &ModuleVersion) -> bool {
        self.modules.matches(module.path().as_str()) && self.versions.contains(module.version().as_str())
    }
}

impl Cooldown {
    /// Whether age matters for it.
    #[must_use]
    pub fn concerns(&self, module: &ModuleVersion) -> bool {
        !is_toolchain(module)
    }

    /// The first waiver in force by which the version is offered whatever its age.
    #[must_use]
    pub fn waiver(&self, module: &ModuleVersion, now: Micros) -> Option<&Waiver> {
        self.waivers.iter().find(|waiver| waiver.is_in_force(now) && waiver.covers(module))
    }

    /// Whether a version that was made at `time` (RFC 3339) is old enough. Without a time that can be read it is not.
    ///
    /// # Errors
    /// It is too young, or nobody knows its age.
    pub fn judge(&self, module: &ModuleVersion, time: Option<&str>, now: Micros) -> Result<(), Refused> {
        let days = self.days;
        let refused = |text| Err(Refused { by: RefusedBy::Cooldown, text });
        let Some(made) = time.and_then(parse_rfc3339) else {
            return refused(format!(
                "{module}: when it was made is not known, and this server offers nothing younger than {days} days"
            ));
        };
        let offered = made.saturating_add(i128::from(u64::from(days).saturating_mul(DAY)) * 1000);
        if offered <= i128::from(now) * 1000 {
            return Ok(());
        }
        let day = |nanos| {
            format_rfc3339(nanos).map_or_else(|| "later".to_owned(), |text| text.chars().take(16).collect())
        };
        refused(format!(
            "{module}: made {} UTC, and this server offers nothing younger than {days} days: from {} UTC on",
            day(made),
            day(offered),
        ))
    }
}

fn parse_end(until: &str) -> Result<Micros, PolicyError> {
    let nanos = match parse_rfc3339(&format!("{until}T00:00:00Z")) {
        Some(day) => day.checked_add(i128::from(DAY) * 1000),
        None => parse_rfc3339(until),
    };
    let micros = nanos.and_then(|nanos| Micros::try_from(nanos.div_euclid(1000)).ok());
    micros
        .ok_or_else(|| PolicyError::new(format!("{until:?} is no day (2026-12-31) and no time of RFC 3339")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Micros {
        u64::try_from(parse_rfc3339(time).unwrap() / 1000).unwrap()
    }

    fn module() -> ModuleVersion {
        "example.com/m@v1.2.3".parse().unwrap()
    }

    #[test]
    fn what_is_young_waits_and_what_has_no_time_waits_for_ever() {
        let cooldown = Cooldown { days: 7, waivers: Vec::new() };
        let now = at("2026-01-08T12:00:00Z");
        for old in [
            "2026-01-01T12:00:00Z",
            "2026-01-01T13:00:00+01:00",
            "1970-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(cooldown.judge(&module(), Some(old), now), Ok(()), "{old}");
        }
        for young in [
            "2026-01-01T12:00:00.000001Z",
            "2026-01-08T12:00:00Z",
            "2030-01-01T00:00:00Z",
            "9999-12-31T00:00:00Z",
        ] {
            let refused = cooldown.judge(&module(), Some(young), now).unwrap_err();
            assert_eq!(refused.by, RefusedBy::Cooldown, "{young}");
        }
        for unknown in [None, Some(""), Some("2026-02-30T00:00:00Z"), Some("yesterday")] {
            assert!(cooldown.judge(&module(), unknown, now).unwrap_err().text.contains("not known"));
        }
        let text = cooldown.judge(&module(), Some("2026-01-05T10:11:12Z"), now).unwrap_err().text;
        assert_eq!(
            text,
            "example.com/m@v1.2.3: made 2026-01-05T10:11 UTC, and this server offers nothing younger than 7 days: \
             from 2026-01-12T10:11 UTC on"
        );
    }

    #[test]
    fn waivers_hold_for_what_they_name_and_until_they_end() {
        let waiver = |until: &str| {
            let versions = Versions::parse(&["v1.2.3"]).unwrap();
            Waiver::new("example.com/m", versions, "asked for by team x", until)
        };
        let cooldown = Cooldown { days: 7, waivers: vec![waiver("2026-01-31").unwrap()] };
        let exempt = |module: &str, now: &str| {
            let waiver = cooldown.waiver(&module.parse().unwrap(), at(now));
            waiver.is_some_and(|waiver| waiver.reason() == "asked for by team x")
        };
        assert!(exempt("example.com/m@v1.2.3", "2026-01-31T23:59:59Z"));
        assert!(!exempt("example.com/m/v2@v2.0.0", "2026-01-01T00:00:00Z"));
        assert!(!exempt("example.com/m@v1.2.3", "2026-02-01T00:00:00Z"));
        assert!(!exempt("example.com/m@v1.2.4", "2026-01-01T00:00:00Z"));
        assert!(!exempt("example.com/n@v1.2.3", "2026-01-01T00:00:00Z"));
        let toolchain = "golang.org/toolchain@v0.0.1-go1.26.0.linux-amd64".parse().unwrap();
        assert!(!cooldown.concerns(&toolchain) && cooldown.concerns(&module()));
        assert_eq!(waiver("2026-01-31T12:00:00+01:00").unwrap().until, at("2026-01-31T11:00:00Z"));
        for wrong in ["", "never", "31.12.2026", "2026-02-30", "1969-12-01"] {
            assert!(waiver(wrong).is_err(), "{wrong}");
        }
        assert!(Waiver::new("example.com", Versions::default(), "", "2026-01-31").is_err());
    }
}
