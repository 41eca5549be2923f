//! The netrc file: whom go gives credentials, and who else can read them. The credentials themselves are passed over.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Group, Severity};
use super::places::Place;
use super::settings::Settings;
use super::text::{shell_path, some_of};

/// What is known of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Netrc {
    /// The file; none if there is none.
    pub(crate) file: Option<PathBuf>,
    /// The machines that it has credentials for, in lower case.
    pub(crate) hosts: Vec<String>,
    /// Whether others than its owner may read it.
    pub(crate) readable_by_others: bool,
    /// Why it could not be read.
    pub(crate) unreadable: Option<String>,
}

impl Netrc {
    /// Reads the file that go would read: that of NETRC, else `.netrc` in the home directory.
    pub(crate) fn read(home: Option<&Path>) -> Self {
        let named = env::var_os("NETRC").filter(|file| !file.is_empty()).map(PathBuf::from);
        match named.or_else(|| Some(home?.join(".netrc"))) {
            Some(file) => Self::read_file(file),
            None => Self::default(),
        }
    }

    fn read_file(file: PathBuf) -> Self {
        let readable_by_others = fs::metadata(&file).is_ok_and(|meta| others_may_read(&meta));
        match fs::read(&file) {
            Ok(content) => {
                let hosts = machines(&String::from_utf8_lossy(&content));
                Self { file: Some(file), hosts, readable_by_others, unreadable: None }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Self::default(),
            Err(error) => {
                let unreadable = Some(format!("{}: {error}", file.display()));
                Self { file: Some(file), unreadable, ..Self::default() }
            }
        }
    }

    /// Who can read the credentials, and who is sent them.
    pub(crate) fn findings(&self, settings: &Settings, places: &[Place]) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(why) = &self.unreadable {
            let what = format!("netrc cannot be read: {why}");
            let why = "go fails where it needs credentials";
            found.push(Finding::new((Group::Setup, Severity::Warning), "netrc-unreadable", what, why));
        }
        let Some(file) = self.file.as_ref().filter(|_| !self.hosts.is_empty()) else { return found };
        if self.readable_by_others {
            let what = format!("{} has passwords, and others may read it", file.display());
            let why = "every account of this machine can use them";
            let finding = Finding::new((Group::Leaks, Severity::Warning), "netrc-readable", what, why);
            found.push(finding.repair(format!("chmod 600 {}", shell_path(file))));
        }
        let uses_netrc = ["", "netrc"].contains(&settings.get("GOAUTH"))
            || settings.get("GOAUTH").split(';').any(|command| command.trim() == "netrc");
        let is_sent =
            |place: &&Place| !place.is_http && place.host.as_ref().is_some_and(|h| self.hosts.contains(h));
        let sent: Vec<&str> = places.iter().filter(is_sent).map(|place| place.name.as_str()).collect();
        if uses_netrc && !sent.is_empty() {
            let what = format!("go sends credentials of {} to {}", file.display(), some_of(&sent));
            let why = "with every request to it, also those to a database behind it, and only over https";
            found.push(Finding::new((Group::Leaks, Severity::Note), "netrc-sent", what, why));
        }
        found
    }
}

/// The machines of a netrc file. Macros are left out.
fn machines(text: &str) -> Vec<String> {
    let mut hosts = Vec::new();
    let mut in_macro = false;
    for line in text.lines() {
        if in_macro {
            in_macro = !line.is_empty();
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.chunks_exact(2) {
            match pair {
                ["machine", host] => hosts.push(host.to_ascii_lowercase()),
                ["macdef", _] => in_macro = true,
                _ => {}
            }
        }
    }
    hosts
}

#[cfg(unix)]
fn others_may_read(meta: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    meta.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn others_may_read(_: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_read_and_nothing_else() {
        let text = "machine Go.corp login me password machine\nmacdef x\nmachine not.this\n\nmachine \
                    b.test\n  login x\n  password y\ndefault login z\n";
        assert_eq!(machines(text), ["go.corp", "b.test"]);
    }
}
