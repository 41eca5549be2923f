//! The lists of the configuration that say where modules come from, and what with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One source of modules.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceRule {
    /// The paths, in the form of GOPRIVATE.
    pub(crate) pattern: String,
    /// A GOPROXY list: proxies, `direct` for repositories, `off`.
    pub(crate) from: String,
    /// Whether the upstream database may be asked about them [default: false, as for GOPRIVATE].
    #[serde(default)]
    pub(crate) public: bool,
}

/// Where repositories are.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RepositoryRule {
    /// The module path of the root of the repository; an element `*` stands for any one.
    pub(crate) root: String,
    /// Its address; `$1` stands for what the first `*` stood for, and so on.
    pub(crate) url: String,
}

/// What one host is reached with.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialRule {
    /// Paths of modules for which it is used, in the form of GOPRIVATE [default: all].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pattern: Option<String>,
    /// The host that it is for, `[http://]host[:port]`, exactly.
    pub(crate) host: String,
    /// User name; many forges take any for a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// File that holds a password or token, readable by nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    /// File of a private key for ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ssh_key_file: Option<PathBuf>,
    /// File of the host keys that ssh accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) known_hosts_file: Option<PathBuf>,
}
