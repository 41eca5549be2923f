//! `[[oidc]]`, as it stands in the file: whose ID tokens are taken.

use std::collections::BTreeMap;

use quipu_server::Scope;
use serde::{Deserialize, Serialize};

/// What identities of an issuer may do here. The first rule whose audience and claims fit a token counts.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OidcRule {
    /// What the audit log calls it.
    pub(crate) name: String,
    /// The issuer, exactly as in its tokens.
    pub(crate) issuer: String,
    /// What the tokens are for [default: the log's name].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audience: Option<String>,
    /// What they may do.
    pub(crate) scopes: Vec<Scope>,
    /// Paths of modules that `read` and `publish` are for, in the form of GOPRIVATE.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) patterns: String,
    /// Claims and their patterns, which must all match.
    #[serde(default)]
    pub(crate) claims: BTreeMap<String, String>,
}
