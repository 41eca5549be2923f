//! Asking the log for many modules: what is remembered in one go, the rest side by side.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures_util::stream::{self, StreamExt as _};
use quipu_module::ModuleVersion;
use quipu_verify::{Client, Error, Verified};

use crate::progress::Progress;

/// What the log says of a module version.
#[derive(Debug)]
pub(super) enum Answer {
    /// It holds this record.
    Proven(Box<Verified>),
    /// There is no verified answer.
    Refused(Error),
    /// It was not asked any more: too many questions in a row had failed, or it was found to misbehave.
    NotAsked,
}

/// Asks for each of `modules`, which have no doubles. `patient`: failures in a row are no reason to stop.
pub(super) async fn ask(
    client: &Client,
    modules: Vec<ModuleVersion>,
    patient: bool,
) -> BTreeMap<ModuleVersion, Answer> {
    let kept = client.lookup_kept(&modules).await;
    let mut answers = BTreeMap::new();
    let mut open = Vec::new();
    for (module, kept) in modules.into_iter().zip(kept) {
        match kept {
            Some(verified) => drop(answers.insert(module, Answer::Proven(Box::new(verified)))),
            None => open.push(module),
        }
    }
    let progress = Progress::new("looking up", open.len() as u64);
    let done = AtomicU64::new(0);
    let health =
        Health { failures: AtomicUsize::new(0), bearable: if patient { usize::MAX } else { BEARABLE } };
    let questions = open.into_iter().map(|module| {
        let (health, progress, done) = (&health, &progress, &done);
        async move {
            let answer = health.ask(client, &module).await;
            progress.show(done.fetch_add(1, Ordering::Relaxed) + 1);
            (module, answer)
        }
    });
    answers.extend(stream::iter(questions).buffer_unordered(PARALLEL).collect::<Vec<_>>().await);
    answers
}

/// The error that has evidence of misbehaviour, if one of them does.
pub(super) fn misbehaviour(answers: &BTreeMap<ModuleVersion, Answer>) -> Option<&Error> {
    answers.values().find_map(|answer| match answer {
        Answer::Refused(error @ Error::Misbehaved(_)) => Some(error),
        _ => None,
    })
}

/// Whether it makes sense to go on asking.
struct Health {
    /// Questions in a row that could not be answered.
    failures: AtomicUsize,
    /// As many are taken before the rest is given up.
    bearable: usize,
}

impl Health {
    async fn ask(&self, client: &Client, module: &ModuleVersion) -> Answer {
        if self.failures.load(Ordering::Relaxed) >= self.bearable {
            return Answer::NotAsked;
        }
        match client.lookup(module).await {
            Ok(verified) => {
                self.failures.store(0, Ordering::Relaxed);
                Answer::Proven(Box::new(verified))
            }
            Err(error) => {
                match &error {
                    Error::Misbehaved(_) => self.failures.store(self.bearable, Ordering::Relaxed),
                    Error::Unavailable(_) => drop(self.failures.fetch_add(1, Ordering::Relaxed)),
                    _ => self.failures.store(0, Ordering::Relaxed),
                }
                Answer::Refused(error)
            }
        }
    }
}

/// Lookups at a time.
const PARALLEL: usize = 16;
/// With the network gone, each would take as long as it may.
const BEARABLE: usize = 2 * PARALLEL;
