//! Who may do what: tokens, the file that holds them, and the rules by which they open things. No HTTP types.

mod failures;
mod file;
mod live;
mod rules;
mod secret;
mod token;

use std::net::IpAddr;
use std::sync::Arc;

pub use file::{TokenError, TokenFile};
pub use rules::Rules;
pub(crate) use rules::{Caller, Need, Verdict};
pub use secret::Secret;
pub use token::{Grant, Scope, Token};

use crate::audit::{AuditLog, Event, EventKind};
use failures::Failures;
use live::Tokens;

/// Who may do what on one server: rules, tokens, and the log of what was done.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    rules: Rules,
    tokens: Option<Tokens>,
    failures: Failures,
    audit: AuditLog,
}

/// What a request came with to say who asks.
#[derive(Clone, Debug)]
pub(crate) enum Offer {
    /// Nothing.
    None,
    /// Something that is no token of any server of this kind.
    Other,
    /// A token, perhaps one of ours.
    Secret(Secret),
}

/// One caller too many with credentials that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Access {
    /// Access by `rules` and the tokens of `file`, whose changes count within a second. What happens is noted in `audit`.
    ///
    /// # Errors
    /// There is a file of tokens, and it cannot be used.
    pub fn open(rules: Rules, file: TokenFile, audit: AuditLog) -> Result<Self, TokenError> {
        let tokens = Some(Tokens::open(file)?);
        Ok(Self(Arc::new(Inner { rules, tokens, failures: Failures::default(), audit })))
    }

    /// Everybody may read everything, and nobody publish.
    #[must_use]
    pub fn everybody() -> Self {
        let (rules, failures) = (Rules::default(), Failures::default());
        Self(Arc::new(Inner { rules, tokens: None, failures, audit: AuditLog::none() }))
    }

    /// Where to note what is done.
    #[must_use]
    pub fn audit(&self) -> &AuditLog {
        &self.0.audit
    }

    /// Writes down when tokens were last used: for a good end.
    pub fn write_uses(&self) {
        if let Some(Err(error)) = self.0.tokens.as_ref().map(Tokens::write_uses) {
            tracing::warn!(%error, "cannot write down when tokens were last used");
        }
    }

    /// Whether everybody may read everything.
    pub(crate) fn is_open(&self) -> bool {
        self.0.rules.is_open()
    }

    pub(crate) fn decide(&self, caller: &Caller, need: &Need) -> Verdict {
        self.0.rules.decide(caller, need)
    }

    /// Who comes with this offer from that address at `now`, in seconds since 1970.
    pub(crate) fn recognise(&self, offer: &Offer, peer: IpAddr, now: u64) -> Result<Caller, TooMany> {
        let secret = match offer {
            Offer::None => return Ok(Caller::Anonymous),
            Offer::Other => None,
            Offer::Secret(secret) => Some(secret),
        };
        let known = secret.and_then(|secret| self.0.tokens.as_ref()?.find(secret, now));
        match known {
            Some(token) => Ok(Caller::Holder(token)),
            None => self.note_stranger(secret, peer, now),
        }
    }

    /// Whose token this is, where everybody is let in anyway. What is no token of this server is nobody's, and no failure.
    pub(crate) fn holder(&self, offer: &Offer, now: u64) -> Option<Arc<Token>> {
        let Offer::Secret(secret) = offer else { return None };
        self.0.tokens.as_ref()?.find(secret, now)
    }

    fn note_stranger(&self, secret: Option<&Secret>, peer: IpAddr, now: u64) -> Result<Caller, TooMany> {
        metrics::counter!("quipu_auth_failures_total").increment(1);
        let failure = self.0.failures.note(peer, now);
        if failure.count.is_telling() {
            let what = match secret {
                Some(_) => "a token that is unknown, revoked or expired",
                None => "credentials that are no token",
            };
            let detail = format!("failure {} of this address within a minute", failure.count.0);
            self.0.audit.note(Event::new(EventKind::AuthFailure).peer(peer).what(what).detail(&detail));
        }
        if failure.is_too_many() { Err(TooMany) } else { Ok(Caller::Stranger) }
    }
}
