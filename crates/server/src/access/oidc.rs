//! Identities that others vouch for: ID tokens (JWTs) of OpenID Connect issuers, as CI systems hand them to their jobs.
//!
//! A token is believed when its issuer is one that the configuration names, its signature is one of that issuer's keys, its
//! times hold and its audience is this server; it opens what the first rule opens whose claims it has. Nothing in a token
//! says where a key is to be found, and no algorithm is taken that the configuration of its key does not fit.

mod claims;
mod glob;
mod issuer;
mod jws;
mod keys;
mod rule;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use quipu_fetch::Client;

use super::file::TokenError;
use super::token::Token;
use issuer::Issuer;
use jws::Jws;
pub use rule::OidcRule;
use rule::Rule;

/// Longest token, in bytes.
const MAX_TOKEN: usize = 16 << 10;

/// Most rules.
const MAX_RULES: usize = 1000;

/// The issuers whose tokens are taken, with the rules for each. Clones share the keys.
#[derive(Clone)]
pub struct Issuers(Arc<Vec<Arc<Issuer>>>);

/// The text of an ID token: its holder can act with it until it ends.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IdToken(Box<str>);

impl IdToken {
    /// A text that has the outer form of a signed JWT: three parts, the first of which is a JSON object.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts = text.bytes().filter(|byte| *byte == b'.').count();
        (text.starts_with("eyJ") && parts == 2 && text.len() <= MAX_TOKEN).then(|| Self(text.into()))
    }
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdToken(…)")
    }
}

/// What is wrong with an ID token, for the log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("malformed")]
    Malformed,
    #[error("of an issuer that is not configured")]
    Issuer,
    #[error("signed in a way that is not taken")]
    Algorithm,
    #[error("not to be judged, since the keys of its issuer cannot be had")]
    NoKeys,
    #[error("signed with a key that its issuer does not have")]
    Key,
    #[error("not signed by its issuer")]
    Signature,
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    Early,
    #[error("without times, or valid for more than a day")]
    Times,
    #[error("meant for another audience")]
    Audience,
    #[error("without the claims of any rule")]
    Claims,
}

/// A token that opens nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unproven {
    pub(super) fault: Fault,
    /// Of whom it is, if its issuer has signed that; else empty.
    pub(super) whose: String,
}

impl From<Fault> for Unproven {
    fn from(fault: Fault) -> Self {
        Self { fault, whose: String::new() }
    }
}

impl Issuers {
    /// The issuers of `rules`, whose keys are fetched with `client` when they are needed. Of several rules for one issuer
    /// the first that fits a token counts.
    ///
    /// # Errors
    /// A rule makes no sense, or would let in anybody; the text names it.
    pub fn new(rules: Vec<OidcRule>, client: &Client) -> Result<Self, TokenError> {
        if rules.len() > MAX_RULES {
            return Err(TokenError::Refused(format!("more than {MAX_RULES} rules for identities")));
        }
        let mut names = BTreeSet::new();
        let mut issuers: Vec<Issuer> = Vec::new();
        for rule in rules {
            let rule = Rule::new(rule)?;
            if !names.insert(rule.name.clone()) {
                return Err(TokenError::Refused(format!(
                    "two rules for identities are named {:?}",
                    rule.name
                )));
            }
            match issuers.iter_mut().find(|issuer| issuer.text() == rule.issuer) {
                Some(issuer) => issuer.rules.push(rule),
                None => issuers.push(Issuer::new(rule, client.clone())),
            }
        }
        Ok(Self(Arc::new(issuers.into_iter().map(Arc::new).collect())))
    }

    /// Fetches the keys of all issuers that have none yet, and says in the log which cannot be had: for the start.
    pub async fn fetch_keys(&self, now: u64) {
        self.0.iter().for_each(|issuer| issuer.show());
        for issuer in self.0.iter() {
            issuer.learn("", now).await;
        }
    }

    /// Sees to it that the key of this token is here, if its issuer has it. Waits for the issuer at most once a minute.
    pub(super) async fn learn(&self, token: &IdToken, now: u64) {
        if let Ok(jws) = Jws::parse(&token.0)
            && let Ok(issuer) = self.issuer(&jws)
        {
            issuer.learn(&jws.kid, now).await;
        }
    }

    /// What this token opens at `now` (seconds since 1970), judged by the keys that are here.
    pub(super) fn find(&self, token: &IdToken, now: u64) -> Result<Arc<Token>, Unproven> {
        let jws = Jws::parse(&token.0)?;
        let issuer = self.issuer(&jws)?;
        issuer.verify(&jws, now)?;
        let whose = claims::describe(&jws.claims);
        let unproven = |fault| Unproven { fault, whose: whose.clone() };
        let span = claims::span(&jws.claims, now).map_err(unproven)?;
        let rule = rule::choose(&issuer.rules, &jws.claims).map_err(unproven)?;
        Ok(Arc::new(rule.open(&jws.claims, span, &whose)))
    }

    fn issuer(&self, jws: &Jws<'_>) -> Result<&Arc<Issuer>, Fault> {
        let named = jws.claims.text("iss").ok_or(Fault::Malformed)?;
        self.0.iter().find(|issuer| issuer.text() == named).ok_or(Fault::Issuer)
    }
}

#[cfg(test)]
mod tests;
