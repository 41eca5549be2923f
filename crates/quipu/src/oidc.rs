//! The issuers of ID tokens that the settings name.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use quipu_fetch::{Client, ClientOptions, Named, Url};
use quipu_server::{Issuers, OidcRule};

use crate::config::{Config, Settings};
use crate::time::now;
use crate::upstream::Counting;

/// Documents of issuers that are fetched at once.
const MAX_CONCURRENT: usize = 8;

/// The issuers, for a log of this name; `None` if there are no rules.
///
/// They are asked by a client of their own: that one of them is named opens no way for modules into a private network, and
/// however many modules are being fetched, keys do not wait.
///
/// # Errors
/// A rule makes no sense, or would let in anybody.
pub(crate) fn issuers(set: &Settings, log: &str) -> Result<Option<Issuers>> {
    if set.oidc.is_empty() {
        return Ok(None);
    }
    let mut named = Named::default();
    for url in set.oidc.iter().filter_map(|rule| Url::parse(&rule.issuer)) {
        named.insert(url.authority().clone());
    }
    let options = ClientOptions {
        named,
        max_concurrent: MAX_CONCURRENT,
        observer: Arc::new(Counting),
        ..ClientOptions::default()
    };
    let client = Client::new(options).map_err(|e| anyhow!("the client for issuers cannot be set up: {e}"))?;
    Issuers::new(rules(set, log), &client).context("[[oidc]]").map(Some)
}

/// Whether the rules are good, as far as can be told without asking anybody.
///
/// # Errors
/// What is wrong with one.
pub(crate) fn check(config: &Config) -> Result<()> {
    issuers(&config.set, config.set.name.as_deref().unwrap_or("sum.HOSTNAME")).map(drop)
}

/// Fetches the keys ahead, so that who configured an issuer that cannot be asked reads of it at the start.
pub(crate) fn fetch_keys(issuers: Issuers) {
    tokio::spawn(async move { issuers.fetch_keys(now()).await });
}

fn rules(set: &Settings, log: &str) -> Vec<OidcRule> {
    let rule = |rule: &crate::config::OidcRule| OidcRule {
        name: rule.name.clone(),
        issuer: rule.issuer.clone(),
        audience: rule.audience.clone().unwrap_or_else(|| log.to_owned()),
        claims: rule.claims.clone(),
        scopes: rule.scopes.clone(),
        patterns: rule.patterns.clone(),
    };
    set.oidc.iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_faults_name_the_rule() {
        let good = "[[oidc]]\nname = \"release\"\nissuer = \"https://token.actions.githubusercontent.com\"\n\
                    claims = { repository = \"corp/lib\", ref = \"refs/tags/*\" }\nscopes = [\"publish\"]\n\
                    patterns = \"corp.example/lib\"\n";
        let set: Settings = toml::from_str(good).unwrap();
        assert!(issuers(&set, "sum.corp.example").unwrap().is_some());
        assert_eq!(rules(&set, "sum.corp.example")[0].audience, "sum.corp.example");
        let shown: Settings = toml::from_str(&toml::to_string(&set).unwrap()).unwrap();
        assert_eq!(shown.oidc[0].claims["ref"], "refs/tags/*");
        assert!(issuers(&Settings::default(), "sum.corp.example").unwrap().is_none());
        for (from, to, why) in [
            ("\"corp/lib\"", "\"*\"", "\"release\""),
            ("claims = {", "audience = \"\"\nclaims = {", "audience"),
            ("https://", "http://", "https"),
            ("patterns = \"corp", "patterns = \"[corp", "malformed pattern"),
        ] {
            let set: Settings = toml::from_str(&good.replace(from, to)).unwrap();
            let error = format!("{:#}", issuers(&set, "sum.corp.example").map(drop).unwrap_err());
            assert!(error.contains("[[oidc]]") && error.contains(why), "{error}");
        }
        assert!(toml::from_str::<Settings>(&good.replace("\"publish\"", "\"write\"")).is_err());
        assert!(toml::from_str::<Settings>(&good.replace("claims", "claim")).is_err());
    }
}
