//! Versions that come under no known licence: found out once for each, beside everything else, and kept for a shorter time if
//! that is wanted.
//!
//! What was found out lies beside the zip, and stays when that is removed: a zip that comes back is the same. It is not synced,
//! since one that is lost is found out again. Nothing is removed that [making room](super::retain) would not remove.

use std::cell::OnceCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use quipu_module::ModuleVersion;

use super::Shared;
use super::in_use::now;
use super::retain::{Candidate, Evicted, MAX_CANDIDATES};
use super::survey::Modules;
use super::tree::{FileKind, Name};
use crate::error::Result;
use crate::licence::Licences;

/// First line of what was found out. The second is the SPDX name of the licence, or `none`.
const FORMAT: &str = "quipu-licence 1";
const NONE: &str = "none";

/// Longest such file, in bytes.
const MAX_FOUND: u64 = 1 << 10;

/// Most zips that are looked into in one go; the others have their turn the next time.
const MAX_LOOKS: usize = 10_000;

/// One going through all versions.
struct Look {
    /// Loaded when the first zip has to be looked into.
    licences: OnceCell<Licences>,
    looks: usize,
    /// How many versions come under no known licence.
    unlicensed: u64,
    expired: Vec<Candidate>,
}

impl Shared {
    pub(super) async fn expire_unlicensed(self: &Arc<Self>) -> Result<Evicted> {
        let period = self.options.unlicensed.as_secs();
        if period == 0 {
            return Ok(Evicted::default());
        }
        let before = now().saturating_sub(period);
        let (unlicensed, expired) = self.on_disk(move |shared| Ok(shared.look_for_licences(before))).await?;
        self.counters.unlicensed.store(unlicensed, Relaxed);
        let evicted = self.evict_all(expired, u64::MAX).await?;
        self.counters.unlicensed.store(unlicensed.saturating_sub(evicted.files), Relaxed);
        Ok(evicted)
    }

    /// Goes through all zips: how many come under no known licence, and those of them that were last used `before`. Blocks,
    /// perhaps for minutes.
    fn look_for_licences(&self, before: u64) -> (u64, Vec<Candidate>) {
        let mut look = Look { licences: OnceCell::new(), looks: 0, unlicensed: 0, expired: Vec::new() };
        for path in Modules::of(&self.tree) {
            self.zips(&path, |version, length, used| {
                if let Some(used) = used {
                    self.look_at(&mut look, Candidate { used, version, length }, before);
                }
            });
        }
        (look.unlicensed, look.expired)
    }

    fn look_at(&self, look: &mut Look, candidate: Candidate, before: u64) {
        let is_licensed = self.is_licensed(look, &candidate.version).unwrap_or_else(|error| {
            tracing::warn!(version = %candidate.version, %error, "whether it comes under a licence cannot be found out");
            true
        });
        if is_licensed || !self.admit.is_replaceable(&candidate.version) {
            return;
        }
        look.unlicensed += 1;
        if candidate.used < before && look.expired.len() < MAX_CANDIDATES {
            look.expired.push(candidate);
        }
    }

    /// Whether a version comes under a known licence; one that was not looked into does.
    fn is_licensed(&self, look: &mut Look, version: &ModuleVersion) -> io::Result<bool> {
        let name = Name::licence(version);
        if let Some(found) = self.tree.read_up_to(&name, MAX_FOUND)?
            && let Some(is_licensed) = parse(&found)
        {
            return Ok(is_licensed);
        }
        if look.looks >= MAX_LOOKS {
            return Ok(true);
        }
        look.looks += 1;
        let Some(zip) = self.tree.open(&Name::file(version, FileKind::Zip))? else { return Ok(true) };
        let found = look.licences.get_or_init(Licences::load).find(version, zip.reader())?;
        let text = format(found.as_deref());
        self.tree.write_unsynced(&self.staging.new_name(), &name, text.as_bytes())?;
        Ok(found.is_some())
    }
}

fn format(licence: Option<&str>) -> String {
    format!("{FORMAT}\n{}\n", licence.unwrap_or(NONE))
}

/// Whether there is a licence; `None` if the file is damaged.
fn parse(text: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(text).ok()?;
    let [FORMAT, licence, ""] = text.split('\n').collect::<Vec<_>>()[..] else { return None };
    (!licence.is_empty()).then_some(licence != NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_round_trips_and_damage_shows() {
        for (licence, is_licensed) in [(Some("BSD-3-Clause"), true), (None, false)] {
            let text = format(licence);
            assert_eq!(parse(text.as_bytes()), Some(is_licensed));
            for end in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..end]), None, "{end}");
            }
        }
        assert_eq!(parse(b"quipu-licence 2\nMIT\n"), None);
        assert_eq!(parse(b"quipu-licence 1\n\n"), None);
        assert_eq!(parse(b"\xff"), None);
    }
}
