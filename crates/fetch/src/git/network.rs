//! Conversations with repositories: listing references and fetching commits, and what their failures mean.

use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use super::fence::{Fence, Job};
use super::refs::RefsReader;
use super::remote::{GitAccess, Remote};
use super::settings::Access;
use crate::child::running::{Exit, Limit};
use crate::client::{Egress, Observe, Purpose};
use crate::error::{Error, ErrorKind, Result};
use crate::vcs::Refs;

/// Most that a list of references may have, in bytes.
const MAX_REFS: u64 = 64 << 20;

/// What git notes of the first words of a git server over HTTP, in the second version of the protocol and in earlier ones.
const GREETINGS: [&str; 2] = ["< version 2", "< # service=git-upload-pack"];

/// Talks to repositories.
pub(super) struct Network {
    pub(super) fence: Fence,
    pub(super) access: GitAccess,
    pub(super) observer: Arc<dyn Observe>,
}

/// How a fetch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// What was asked for is here.
    Done,
    /// A reference that was asked for does not exist any more.
    Gone,
}

impl Network {
    /// The references of `remote` now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is definitely no such repository; every other kind for the faults.
    pub(super) async fn list(&self, remote: &Remote) -> Result<Refs> {
        let mut call = Call::start(self, remote);
        call.over(self.try_list(remote).await)
    }

    /// Brings what `refspecs` name, with its whole history, into the repository in `git_dir`.
    ///
    /// # Errors
    /// As [`Network::list`]; [`ErrorKind::TooLarge`] if the pack is.
    pub(super) async fn fetch(
        &self,
        remote: &Remote,
        git_dir: &Path,
        refspecs: &[String],
    ) -> Result<Fetched> {
        let mut call = Call::start(self, remote);
        call.over(self.try_fetch(remote, git_dir, refspecs).await)
    }

    async fn try_list(&self, remote: &Remote) -> Result<Refs> {
        let access = self.access.open(remote).await?;
        let (refs, _) = self.ask(remote, &access, false).await?;
        if refs != Refs::default() || remote.authority().is_none() {
            return Ok(refs);
        }
        // Any page at all may look like a list of references without any, unless a git server is overheard.
        let (refs, exit) = self.ask(remote, &access, true).await?;
        if GREETINGS.iter().any(|greeting| exit.stderr().contains(greeting)) {
            return Ok(refs);
        }
        Err(Error::rejected("what answers is not a git server"))
    }

    async fn ask(&self, remote: &Remote, access: &Access, overheard: bool) -> Result<(Refs, Exit)> {
        let args = ["ls-remote", "-q", "--end-of-options", &access.address];
        let job = Job { overheard, ..Job::remote(&args, Some(access), MAX_REFS) };
        let mut running = self.fence.start(job).await?;
        let mut reader = RefsReader::default();
        while let Some(chunk) = running.chunk().await? {
            reader.push(&chunk)?;
        }
        let exit = running.finish().await?;
        if exit.is_success() {
            return Ok((reader.finish()?, exit));
        }
        Err(explain(remote, &exit, self.fence.limits().file_bytes))
    }

    async fn try_fetch(&self, remote: &Remote, git_dir: &Path, refspecs: &[String]) -> Result<Fetched> {
        let access = self.access.open(remote).await?;
        let args = [
            "fetch",
            "--quiet",
            "--force",
            "--prune",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--stdin",
            "--end-of-options",
            &access.address,
        ];
        let job = Job {
            git_dir: Some(git_dir),
            stdin: format!("{}\n", refspecs.join("\n")).into(),
            ..Job::remote(&args, Some(&access), 1 << 20)
        };
        let (exit, _) = self.fence.output(job).await?;
        if exit.is_success() {
            return Ok(Fetched::Done);
        }
        if spoken_by_git(exit.stderr()).any(|line| line.contains("couldn't find remote ref")) {
            return Ok(Fetched::Gone);
        }
        Err(explain(remote, &exit, self.fence.limits().file_bytes))
    }
}

/// Tells the observer when it is over, also when nobody waits any more.
struct Call {
    observer: Arc<dyn Observe>,
    started: Instant,
    record: Egress,
}

impl Call {
    fn start(network: &Network, remote: &Remote) -> Self {
        let (host, path) = remote.for_record();
        let record = Egress {
            method: "GIT",
            host,
            path,
            purpose: Purpose::Repository,
            status: None,
            bytes: 0,
            duration: std::time::Duration::ZERO,
            failure: Some(ErrorKind::Unavailable),
        };
        Self { observer: network.observer.clone(), started: Instant::now(), record }
    }

    fn over<T>(&mut self, result: Result<T>) -> Result<T> {
        self.record.failure = result.as_ref().err().map(Error::kind);
        result
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.record.duration = self.started.elapsed();
        self.observer.egress(&self.record);
    }
}

/// Turns the end of a conversation into words without addresses; the log gets what git itself said.
fn explain(remote: &Remote, exit: &Exit, max_file: u64) -> Error {
    let said: Vec<_> = spoken_by_git(exit.stderr()).collect();
    tracing::debug!(%remote, code = exit.code(), said = said.join(" | "), "git failed");
    match exit.hit_limit() {
        Some(Limit::FileSize) => return Error::too_large(max_file),
        Some(Limit::Time) => return Error::timeout("git used too much processor time on the repository"),
        None => {}
    }
    let reason = REASONS
        .iter()
        .find(|(signs, ..)| said.iter().any(|line| signs.iter().any(|sign| line.contains(sign))));
    match reason {
        Some((_, ErrorKind::Timeout, text)) => Error::timeout(text),
        Some((_, kind, text)) => Error::new(*kind, text),
        None => Error::unavailable("git cannot read the repository"),
    }
}

/// The lines of `stderr` that git itself wrote. What the other side says proves nothing, and could echo anything.
fn spoken_by_git(stderr: &str) -> impl Iterator<Item = &str> {
    let foreign = |line: &&str| line.starts_with("remote:") || line.contains("remote error:");
    stderr.lines().filter(move |line| !foreign(line) && !line.trim().is_empty())
}

/// What git says (in English, as it is told to), and what it means; the first that fits.
const REASONS: [(&[&str], ErrorKind, &str); 13] = [
    (
        &["/' not found", "returned error: 410", "returned error: 404"],
        ErrorKind::NotFound,
        "the repository does not exist",
    ),
    (
        &[
            "could not read Username",
            "could not read Password",
            "Authentication failed",
            "returned error: 401",
            "returned error: 403",
            "Permission denied (",
        ],
        ErrorKind::Forbidden,
        "the repository asks for credentials, or refuses those that it was given",
    ),
    (
        &["returned error: 30", "unable to update url base from redirection"],
        ErrorKind::Rejected,
        "the repository redirects elsewhere, which git does not follow",
    ),
    (
        &["returned error: 429", "returned error: 5"],
        ErrorKind::Unavailable,
        "the host of the repository cannot answer now",
    ),
    (
        &["timed out", "Operation too slow", "Timeout was reached"],
        ErrorKind::Timeout,
        "the repository does not answer",
    ),
    (
        &["does not match target host name", "no alternative certificate subject name"],
        ErrorKind::Unavailable,
        "the certificate of the repository's host is for another name",
    ),
    (
        &["certificate verification failed", "SSL certificate problem"],
        ErrorKind::Unavailable,
        "the certificate of the repository's host is not trusted here: its authority must be among the root \
         certificates, to which ca_file adds",
    ),
    (
        &["certificate", "SSL", "TLS", "gnutls"],
        ErrorKind::Unavailable,
        "cannot make a secure connection to the repository",
    ),
    (
        &["HOST IDENTIFICATION HAS CHANGED"],
        ErrorKind::Unavailable,
        "the ssh key of the repository's host is another than the known one: ask its operator, and change the file of \
         known hosts only for a key that was confirmed",
    ),
    (
        &["Host key verification failed"],
        ErrorKind::Unavailable,
        "the ssh key of the repository's host is not among the known ones: compare what ssh-keyscan prints with what its \
         operator says, and add the line to the file of known hosts",
    ),
    (
        &["Failed to connect", "Couldn't connect", "Could not resolve", "Connection refused"],
        ErrorKind::Unavailable,
        "cannot reach the repository",
    ),
    (
        &[
            "fsck error",
            "not valid: is this a git repository?",
            "bad pack header",
            "missing necessary objects",
        ],
        ErrorKind::Rejected,
        "what the repository sends is not what a git repository has",
    ),
    (
        &["No space left on device", "Disk quota exceeded"],
        ErrorKind::Unavailable,
        "the disk of the cached repositories is full",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_side_says_is_left_out() {
        let stderr =
            "remote: Authorization: Basic c2VjcmV0\nfatal: remote error: c2VjcmV0\n\nfatal: the rest\n";
        assert_eq!(spoken_by_git(stderr).collect::<Vec<_>>(), ["fatal: the rest"]);
    }
}
