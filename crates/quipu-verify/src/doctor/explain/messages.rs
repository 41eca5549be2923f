//! Messages of go about checksums and their database, each with what it means and what to run next.

use super::super::finding::{Finding, Group, Severity};
use super::super::text::{shell, without_credentials};
use super::module_in;

/// One message: words that the line has, all of them.
struct Message {
    id: &'static str,
    words: &'static [&'static str],
    /// Other words that would make it another message.
    unless: &'static [&'static str],
    why: &'static str,
    /// `{}` stands for the module version that the line names.
    next: &'static str,
}

/// A finding for each kind of message in the text, at its first line.
pub(super) fn known(text: &str) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for line in text.lines() {
        let is_said = |m: &&Message| {
            m.words.iter().all(|w| line.contains(w)) && !m.unless.iter().any(|w| line.contains(w))
        };
        let Some(message) = MESSAGES.iter().find(is_said) else { continue };
        if found.iter().any(|finding| finding.id == message.id) {
            continue;
        }
        let module = module_in(line).map_or_else(|| "MODULE@VERSION".to_owned(), |m| shell(&m.to_string()));
        let said = without_credentials(line.trim());
        let finding = Finding::new(
            (Group::Said, Severity::Problem),
            message.id,
            format!("go said: {said}"),
            message.why,
        );
        found.push(finding.repair(message.next.replace("{}", &module)));
    }
    found
}

/// The more particular come first.
const MESSAGES: [Message; 27] = [
    Message {
        id: "record-without-lines",
        words: &["checksum missing from sumdb response"],
        unless: &[],
        why: "the log holds a record at this place that has no such line: the database is broken, or \
              somebody tries what older go commands took for success (CVE-2026-42501, CVE-2026-56864)",
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "maybe-fork",
        words: &["checking tree#", "inconsistent tile"],
        unless: &[],
        why: "the tree that go remembers does not fit the one that is served: the database may have \
              signed two histories, of which go says only this much, or a proxy serves tiles of another \
              time. The remembered head tells: do not remove it",
        next: "quipu-verify doctor",
    },
    Message {
        id: "maybe-fork",
        words: &["checking tree#"],
        unless: &[],
        why: "the tree that go remembers could not be compared with the one that is served: a tile is \
              missing or damaged, or the served tree is another. The remembered head tells: do not remove \
              it",
        next: "quipu-verify doctor",
    },
    Message {
        id: "inconsistent-tile",
        words: &["downloaded inconsistent tile"],
        unless: &[],
        why: "a tile does not hash to what is above it: a damaged cache of this machine or of a proxy, or \
              a false tile",
        next: "quipu-verify doctor",
    },
    Message {
        id: "tile-length",
        words: &["TileReader returned bad result slice"],
        unless: &[],
        why: "a tile has another length than its name says: cut off or mixed up by a proxy or a cache",
        next: "quipu-verify doctor",
    },
    Message {
        id: "other-record",
        words: &["cannot authenticate record data in server response"],
        unless: &[],
        why: "the answer is not the record that the log holds at this place: the server or a proxy \
              changed it, or gave a false place. go used none of it",
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "record-beyond-tree",
        words: &["cannot validate record"],
        unless: &[],
        why: "the answer names a place beyond the signed tree that came with it: a server or cache mixes \
              answers of different times",
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "remembered-head",
        words: &["initializing sumdb.Client"],
        unless: &[],
        why: "the head that go remembers is not signed with the key in use: GOSUMDB has another key than \
              it had, or the database changed its key",
        next: "quipu-verify doctor",
    },
    Message {
        id: "bad-signature",
        words: &["invalid signature for key"],
        unless: &[],
        why: "a tree has a line with the name of the database's key, and the signature is false: somebody \
              changed it on the way, or forges it",
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "unknown-signer",
        words: &["no verifiable signatures"],
        unless: &[],
        why: "a tree is signed, but not with the key in GOSUMDB: another database answers at this URL, or \
              its key was changed. Get the key from its operators, by another way than this URL",
        next: "go env GOSUMDB",
    },
    Message {
        id: "no-note",
        words: &["reading tree"],
        unless: &[],
        why: "what should be a signed tree is none: another kind of server answers at this URL, such as a \
              sign-in page",
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "no-record",
        words: &["malformed record data"],
        unless: &[],
        why: "what should be a record is none: another kind of server answers at this URL, such as a \
              sign-in page",
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "database-off",
        words: &["checksum database disabled by GOSUMDB=off"],
        unless: &[],
        why: "toolchains are not downloaded without a database",
        next: "go env -u GOSUMDB",
    },
    Message {
        id: "gosumdb-malformed",
        words: &["invalid GOSUMDB"],
        unless: &[],
        why: "want sum.golang.org, or <name>+<id>+<key>, and perhaps a URL after a blank",
        next: "quipu-verify doctor",
    },
    Message {
        id: "not-supported",
        words: &["/supported: "],
        unless: &[],
        why: "a proxy of GOPROXY does not say whether it serves the database: only 200, 404 and 410 are \
              answers, all else stops go, unless a pipe follows the proxy",
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "not-in-log",
        words: &["/lookup/", ": 404"],
        unless: &[],
        why: NOT_IN_LOG,
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "not-in-log",
        words: &["/lookup/", ": 410"],
        unless: &[],
        why: NOT_IN_LOG,
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "refused-by-server",
        words: &["/sumdb/", ": 403"],
        unless: &[],
        why: "the proxy refuses the question on purpose: a blocked or private module, or missing \
              credentials",
        next: "quipu-verify doctor",
    },
    Message {
        id: "refused-by-server",
        words: &["/sumdb/", ": 401"],
        unless: &[],
        why: "the proxy wants credentials: go sends those of netrc or GOAUTH, and only over https",
        next: "quipu-verify doctor",
    },
    Message {
        id: "server-fault",
        words: &["/lookup/", ": 5"],
        unless: &[],
        why: "the database or a proxy fails at the moment: nothing is wrong with the module. Try again; \
              do not switch the database off",
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "server-fault",
        words: &["/lookup/", ": 429"],
        unless: &[],
        why: "the database or a proxy wants fewer questions: nothing is wrong with the module. Try again \
              later",
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "tile-missing",
        words: &["/tile/8/", "reading "],
        unless: &[],
        why: "a piece of the proof cannot be had: a proxy in between keeps old heads but not the tiles \
              for them, or the database fails",
        next: "quipu-verify lookup {}",
    },
    Message {
        id: "go-sum-entry",
        words: &["missing go.sum entry"],
        unless: &[],
        why: "the build needs a module that go.sum does not have, and builds do not add it by themselves: \
              go.sum was not committed whole, or go.mod was changed by hand",
        next: "go mod tidy && quipu-verify check go.sum",
    },
    Message {
        id: "go-sum-entry",
        words: &["updates to go.sum needed"],
        unless: &[],
        why: "go.sum was not committed whole, or go.mod was changed by hand",
        next: "go mod tidy && quipu-verify check go.sum",
    },
    Message {
        id: "go-sum-malformed",
        words: &["malformed go.sum"],
        unless: &[],
        why: "a line of go.sum is none: often what is left of a merge conflict",
        next: "quipu-verify check go.sum",
    },
    Message {
        id: "go-sum-unknown-hash",
        words: &["unknown hashes in go.sum"],
        unless: &[],
        why: "go.sum has a hash of a kind that this go does not know, so it verified nothing",
        next: "quipu-verify check go.sum",
    },
    Message {
        id: "database-unreachable",
        words: &["/lookup/", "dial tcp"],
        unless: &[],
        why: "no proxy serves the database, so go asks it directly, and cannot reach it: behind a \
              firewall the proxy has to pass it through (it answers 200 at /sumdb/<name>/supported)",
        next: "quipu-verify doctor",
    },
];

/// 404 and 410 mean the same.
const NOT_IN_LOG: &str = "the database cannot find the version: a typing error, a tag that is not public, or a \
                          private module that a public database cannot know (then a database of your own, or \
                          GOPRIVATE for just this module)";
