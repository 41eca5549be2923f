//! Progress on a terminal; nothing anywhere else.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// A bar on stderr: how much is done, how fast, how long it will take. Gone when it is dropped.
///
/// If stderr is no terminal, nothing is ever printed.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Progress of `what`, in a verb's -ing form, towards `total`.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        Self::styled(
            ProgressBar::new(total),
            what,
            "{msg} [{wide_bar}] {human_pos}/{human_len} ({rate}/s), {eta} left",
        )
    }

    /// Progress of `what` through bytes of an unknown number.
    pub(crate) fn bytes(what: &'static str) -> Self {
        Self::styled(ProgressBar::no_length(), what, "{msg} {bytes} ({bytes_per_sec})")
    }

    /// So much is done altogether.
    pub(crate) fn show(&self, done: u64) {
        self.0.set_position(done);
    }

    fn styled(bar: ProgressBar, what: &'static str, template: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("rate", whole_rate).progress_chars("=> "));
        }
        bar.set_message(what);
        // Moves on while a single large piece is waited for.
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

/// The rate in whole numbers: nobody reads thousandths of a record.
fn whole_rate(state: &ProgressState, out: &mut dyn Write) {
    let _ = write!(out, "{:.0}", state.per_sec());
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

const TICK: Duration = Duration::from_millis(200);
