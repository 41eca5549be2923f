//! Everything that git is told through its environment: settings that no file can change, and whom it may talk to.
//!
//! Settings go in variables rather than in arguments, as every user of a machine may read the arguments of all processes.

use std::fmt;

/// What `git` writes into `info/attributes` of a repository is decided by this program: archives leave nothing out and
/// fill nothing in, as those of the go command.
pub(super) const ATTRIBUTES: &str = "\n* -export-subst -export-ignore\n";

/// Whom one run of git may talk to. Made by [`Remote`](super::Remote) once its host was judged.
pub(super) struct Access {
    /// The one protocol that it may speak.
    pub(super) protocol: &'static str,
    /// The address as git takes it, without credentials.
    pub(super) address: String,
    /// Settings besides the fixed ones. They may hold secrets.
    pub(super) settings: Vec<(String, String)>,
    /// The command line that makes an ssh connection.
    pub(super) ssh: Option<String>,
    /// The host, if nobody named it.
    pub(super) stranger: Option<String>,
}

impl Access {
    /// Access that needs nothing but the address, to what the operator named.
    pub(super) const fn plain(protocol: &'static str, address: String) -> Self {
        Self { protocol, address, settings: Vec::new(), ssh: None, stranger: None }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({})", self.protocol)
    }
}

/// The variables of one run of git, besides PATH and GIT_DIR. It has no others.
pub(super) fn environment(access: Option<&Access>) -> Vec<(String, String)> {
    let mut variables: Vec<_> = VARIABLES.iter().map(|(key, value)| own(key, value)).collect();
    // Takes precedence over all settings of protocols; a name that no protocol has allows none.
    variables.push(own("GIT_ALLOW_PROTOCOL", access.map_or("none", |access| access.protocol)));
    let ssh = access.and_then(|access| access.ssh.as_deref());
    variables.push(own("GIT_SSH_COMMAND", ssh.unwrap_or("false")));
    variables.push(own("GIT_SSH_VARIANT", "ssh"));
    let ignored = IGNORED_FLAWS.iter().map(|flaw| (format!("fetch.fsck.{flaw}"), "ignore".to_owned()));
    let settings = SETTINGS.iter().map(|(key, value)| own(key, value)).chain(ignored);
    let special = access.map(|access| access.settings.clone()).unwrap_or_default();
    let mut count = 0_usize;
    for (key, value) in settings.chain(special) {
        variables.push((format!("GIT_CONFIG_KEY_{count}"), key));
        variables.push((format!("GIT_CONFIG_VALUE_{count}"), value));
        count += 1;
    }
    variables.push(("GIT_CONFIG_COUNT".to_owned(), count.to_string()));
    variables
}

fn own(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

const VARIABLES: [(&str, &str); 18] = [
    ("HOME", "/nonexistent"),
    ("XDG_CONFIG_HOME", "/nonexistent"),
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_SYSTEM", "/dev/null"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "/bin/false"),
    ("SSH_ASKPASS", "/bin/false"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_PROTOCOL_FROM_USER", "0"),
    ("GIT_ADVICE", "0"),
    ("GIT_PAGER", "cat"),
];

const SETTINGS: [(&str, &str); 38] = [
    ("protocol.allow", "never"),
    ("protocol.version", "2"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.askPass", "/bin/false"),
    // What the go command sets for its archives.
    ("core.autocrlf", "input"),
    ("core.eol", "lf"),
    ("core.packedGitWindowSize", "64m"),
    ("core.packedGitLimit", "1g"),
    ("credential.helper", ""),
    ("credential.interactive", "false"),
    ("transfer.fsckObjects", "true"),
    ("transfer.bundleURI", "false"),
    ("transfer.credentialsInUrl", "die"),
    // What was fetched stays the one pack that it came as: no flood of small files.
    ("transfer.unpackLimit", "1"),
    ("fetch.unpackLimit", "1"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "true"),
    ("fetch.showForcedUpdates", "false"),
    ("submodule.recurse", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("log.showSignature", "false"),
    ("pack.threads", "2"),
    ("pack.windowMemory", "256m"),
    ("tar.umask", "0022"),
    ("init.defaultBranch", "main"),
    ("http.followRedirects", "false"),
    ("http.proxy", ""),
    ("http.cookieFile", ""),
    ("http.saveCookies", "false"),
    ("http.delegation", "none"),
    ("http.extraHeader", ""),
    ("http.sslVerify", "true"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
];

/// Flaws of objects that mean nothing here and that old but ordinary repositories have. All others refuse the pack.
const IGNORED_FLAWS: [&str; 24] = [
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badGpgsig",
    "badName",
    "badTagName",
    "badTimezone",
    "extraHeaderEntry",
    "gitmodulesLarge",
    "gitmodulesMissing",
    "gitmodulesName",
    "gitmodulesParse",
    "gitmodulesPath",
    "gitmodulesUpdate",
    "gitmodulesUrl",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "missingTaggerEntry",
    "multipleAuthors",
    "nulInCommit",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn value(variables: &[(String, String)], key: &str) -> Option<String> {
        variables.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    #[test]
    fn all_settings_are_counted_and_nothing_is_allowed_by_default() {
        let variables = environment(None);
        let count: usize = value(&variables, "GIT_CONFIG_COUNT").unwrap().parse().unwrap();
        assert_eq!(count, SETTINGS.len() + IGNORED_FLAWS.len());
        assert!(value(&variables, &format!("GIT_CONFIG_VALUE_{}", count - 1)).is_some());
        assert_eq!(value(&variables, "GIT_ALLOW_PROTOCOL").as_deref(), Some("none"));
        assert_eq!(value(&variables, "GIT_SSH_COMMAND").as_deref(), Some("false"));
        let mut names: Vec<_> = variables.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), variables.len());
    }

    #[test]
    fn what_is_special_comes_last_and_wins() {
        let special = Access {
            protocol: "https",
            address: "https://a.example/r".to_owned(),
            settings: vec![("http.sslVerify".to_owned(), "false".to_owned())],
            ssh: None,
            stranger: None,
        };
        let variables = environment(Some(&special));
        let last = SETTINGS.len() + IGNORED_FLAWS.len();
        assert_eq!(value(&variables, &format!("GIT_CONFIG_KEY_{last}")).as_deref(), Some("http.sslVerify"));
        assert_eq!(value(&variables, "GIT_ALLOW_PROTOCOL").as_deref(), Some("https"));
    }
}
