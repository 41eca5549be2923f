//! What is in use: noted about once a day and file, so that what nobody uses can be told, and so that a version that is in
//! use is compared with its origin now and then.
//!
//! Nothing of this has a file of its own: when a zip was used last is the time of its mark, and when a version was last
//! compared with its origin is the time of its `.info`. Both are only hints, and are not synced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use quipu_module::ModuleVersion;
use tokio::runtime::Handle;

use super::Shared;
use super::tree::{FileKind, Name};

/// How exact the time of the last use is, in seconds.
pub(super) const DAY: u64 = 24 * 60 * 60;

/// Most comparisons with origins that begin in a second.
const CHECKS_A_SECOND: u64 = 1;

/// The use of one file that is known in memory.
pub(super) struct InUse {
    version: ModuleVersion,
    /// When the use of the zip was noted last, in seconds since 1970; nothing is noted of other files.
    noted: Option<AtomicU64>,
    /// When the version was compared with its origin last; never if it has no `.info`.
    checked: Option<AtomicU64>,
}

impl Shared {
    /// To be made when a file is loaded.
    pub(super) fn in_use(&self, version: &ModuleVersion, kind: FileKind) -> Option<Arc<InUse>> {
        if kind == FileKind::GoMod {
            return None;
        }
        let time = |name: &Name| self.tree.modified(name).ok().flatten().map(AtomicU64::new);
        let noted = (kind == FileKind::Zip).then(|| time(&Name::file(version, kind).mark())).flatten();
        let checked = time(&Name::file(version, FileKind::Info));
        Some(Arc::new(InUse { version: version.clone(), noted, checked }))
    }

    /// A file is served.
    pub(super) fn touch(self: &Arc<Self>, in_use: &InUse) {
        let now = now();
        if let Some(noted) = &in_use.noted
            && is_due(noted, now, DAY)
        {
            let mark = Name::file(&in_use.version, FileKind::Zip).mark();
            // A lost note makes the zip look less used than it is.
            let _ = self.tree.set_modified(&mark, now);
        }
        let period = self.options.compare.as_secs();
        if let Some(checked) = &in_use.checked
            && period > 0
            && now.saturating_sub(checked.load(Relaxed)) >= period
            && is_due(&self.last_check, now, CHECKS_A_SECOND)
            && is_due(checked, now, period)
            && Handle::try_current().is_ok()
        {
            let work = || self.clone().compare(in_use.version.clone());
            self.comparisons.launch(&in_use.version.to_string(), work);
        }
    }
}

/// Whether `period` has passed since `last`, which then becomes `now`; of many who ask at once one is told so.
fn is_due(last: &AtomicU64, now: u64, period: u64) -> bool {
    let then = last.load(Relaxed);
    now.saturating_sub(then) >= period && last.compare_exchange(then, now, Relaxed, Relaxed).is_ok()
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
