//! Quarantine: single versions that are served no longer, with the reason. Their records stay in the log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use quipu_ledger::Micros;
use quipu_module::{ModuleVersion, format_rfc3339, parse_rfc3339};

use super::{PolicyError, Refused, RefusedBy};

/// Why and since when a version is in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The reason, on one line.
    pub reason: String,
    /// Since when.
    pub since: Micros,
}

/// The versions in quarantine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quarantine(BTreeMap<ModuleVersion, Quarantined>);

/// The first line of the file.
const FORMAT: &str = "quipu quarantine v1";

/// Longest reason, in bytes: what the go command shows its user has room for it and the version.
const MAX_REASON: usize = 300;

impl Quarantine {
    /// Largest file that is read, in bytes.
    pub const MAX_FILE: usize = 16 << 20;

    /// Puts a version into quarantine; one that is there gets the new reason and keeps its time.
    ///
    /// # Errors
    /// There is no reason, or it is not one line of at most 300 bytes.
    pub fn add(&mut self, module: ModuleVersion, reason: &str, now: Micros) -> Result<(), PolicyError> {
        let reason = one_line(reason)?;
        if reason.is_empty() {
            return Err(PolicyError::new("quarantine needs a reason: clients are shown it"));
        }
        let since = self.0.get(&module).map_or(now, |known| known.since);
        self.0.insert(module, Quarantined { reason, since });
        Ok(())
    }

    /// Takes a version out of quarantine; whether it was there.
    pub fn remove(&mut self, module: &ModuleVersion) -> bool {
        self.0.remove(module).is_some()
    }

    /// All of them, by path and version.
    pub fn iter(&self) -> impl Iterator<Item = (&ModuleVersion, &Quarantined)> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the version may be served.
    ///
    /// # Errors
    /// It is in quarantine.
    pub fn judge(&self, module: &ModuleVersion) -> Result<(), Refused> {
        let Some(Quarantined { reason, .. }) = self.0.get(module) else { return Ok(()) };
        Err(Refused {
            by: RefusedBy::Quarantine,
            text: format!("{module}: in quarantine on this server: {reason}"),
        })
    }

    /// The text of the file: a first line that names the format, then `<module>@<version> <since> <reason>`.
    #[must_use]
    pub fn format(&self) -> String {
        let mut text = format!("{FORMAT}\n");
        for (module, Quarantined { reason, since }) in &self.0 {
            let since = format_rfc3339(i128::from(*since) * 1000).unwrap_or_default();
            let _ = writeln!(text, "{module} {since} {reason}");
        }
        text
    }

    /// Reads what [`Quarantine::format`] writes.
    ///
    /// # Errors
    /// A line that is not of that form, named by its number.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut lines = text.lines().zip(1..);
        if lines.next().is_none_or(|(first, _)| first != FORMAT) {
            return Err(PolicyError::new(format!("the first line is not {FORMAT:?}")));
        }
        let mut quarantine = Self::default();
        for (line, number) in lines {
            let entry = parse_line(line);
            let (module, since, reason) = entry
                .ok_or_else(|| PolicyError::new(format!("line {number} is no entry of a quarantine")))?;
            quarantine.add(module, reason, since)?;
        }
        Ok(quarantine)
    }
}

fn parse_line(line: &str) -> Option<(ModuleVersion, Micros, &str)> {
    let mut words = line.splitn(3, ' ');
    let module = words.next()?.parse().ok()?;
    let since = Micros::try_from(parse_rfc3339(words.next()?)?.div_euclid(1000)).ok()?;
    Some((module, since, words.next()?))
}

/// A reason as it is kept and shown: trimmed, one line, not too long.
pub(super) fn one_line(reason: &str) -> Result<String, PolicyError> {
    let reason = reason.trim();
    if reason.chars().any(char::is_control) {
        return Err(PolicyError::new("a reason is one line of text"));
    }
    if reason.len() > MAX_REASON {
        return Err(PolicyError::new(format!("a reason has at most {MAX_REASON} bytes")));
    }
    Ok(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(text: &str) -> ModuleVersion {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_in_quarantine_is_refused_with_the_reason() {
        let mut quarantine = Quarantine::default();
        quarantine.add(module("example.com/M@v1.0.0"), " steals tokens, see INC-7 ", 5).unwrap();
        let refused = quarantine.judge(&module("example.com/M@v1.0.0")).unwrap_err();
        assert_eq!(
            refused.text,
            "example.com/M@v1.0.0: in quarantine on this server: steals tokens, see INC-7"
        );
        for other in ["example.com/M@v1.0.1", "example.com/m@v1.0.0", "example.com/M/v2@v2.0.0"] {
            assert_eq!(quarantine.judge(&module(other)), Ok(()));
        }
        quarantine.add(module("example.com/M@v1.0.0"), "worse", 9).unwrap();
        let again = quarantine.iter().next().unwrap().1.clone();
        assert_eq!(again, Quarantined { reason: "worse".to_owned(), since: 5 });
        assert!(quarantine.remove(&module("example.com/M@v1.0.0")));
        assert!(!quarantine.remove(&module("example.com/M@v1.0.0")) && quarantine.is_empty());
        for wrong in ["", " ", "two\nlines", &"x".repeat(301)] {
            assert!(quarantine.add(module("example.com/M@v1.0.0"), wrong, 5).is_err());
        }
    }

    #[test]
    fn the_file_as_it_is_written() {
        let mut quarantine = Quarantine::default();
        quarantine.add(module("example.com/m@v2.0.0+incompatible"), "b c", 1_700_000_000_000_001).unwrap();
        quarantine.add(module("example.com/a@v1.0.0"), "x", 0).unwrap();
        let text = "quipu quarantine v1\nexample.com/a@v1.0.0 1970-01-01T00:00:00Z x\n\
                    example.com/m@v2.0.0+incompatible 2023-11-14T22:13:20.000001Z b c\n";
        assert_eq!(quarantine.format(), text);
        assert_eq!(Quarantine::parse(text), Ok(quarantine));
        for wrong in [
            "",
            "quipu quarantine v2\n",
            "quipu quarantine v1\nexample.com/a@v1.0.0 1970-01-01T00:00:00Z\n",
            "quipu quarantine v1\nexample.com/a@v1.0.0 1970-01-01T00:00:00Z \n",
            "quipu quarantine v1\nexample.com/a@master 1970-01-01T00:00:00Z x\n",
            "quipu quarantine v1\nexample.com/a@v1.0.0 never x\n",
            "quipu quarantine v1\n\n",
        ] {
            assert!(Quarantine::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn files_round_trip(entries in proptest::collection::btree_map("m[a-z]{0,7}", ("[!-~][ -~]{0,40}", 0_u64..4_000_000_000_000_000), 0..9)) {
            let mut quarantine = Quarantine::default();
            for (name, (reason, since)) in entries {
                quarantine.add(module(&format!("example.com/{name}@v1.0.0")), &reason, since).unwrap();
            }
            proptest::prop_assert_eq!(Quarantine::parse(&quarantine.format()), Ok(quarantine));
        }

        #[test]
        fn no_file_panics(text in "(quipu quarantine v1\n)?[ -~\n]{0,200}") {
            let _ = Quarantine::parse(&text);
        }
    }
}
