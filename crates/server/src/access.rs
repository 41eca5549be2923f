//! Who may do what: tokens, the file that holds them, and the rules by which they open things. No HTTP types.

mod failures;
mod file;
mod live;
mod oidc;
mod rules;
mod secret;
mod token;

use std::net::IpAddr;
use std::sync::Arc;

pub use file::{TokenError, TokenFile};
pub(crate) use oidc::IdToken;
pub use oidc::{Issuers, OidcRule};
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
    issuers: Option<Issuers>,
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
    /// Perhaps the token of an identity that somebody else vouches for.
    IdToken(IdToken),
}

/// Somebody with credentials that are none here, as the log calls it.
struct Stranger {
    what: String,
    /// Whose they are, where that is certain all the same.
    whose: String,
}

impl Stranger {
    fn plain(what: &str) -> Self {
        Self { what: what.to_owned(), whose: String::new() }
    }
}

/// One caller too many with credentials that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Access {
    /// Access by `rules` and the tokens of `file`, whose changes count within a second, and by ID tokens of `issuers`. What
    /// happens is noted in `audit`.
    ///
    /// # Errors
    /// There is a file of tokens, and it cannot be used.
    pub fn open_with(
        rules: Rules,
        file: TokenFile,
        issuers: Issuers,
        audit: AuditLog,
    ) -> Result<Self, TokenError> {
        Ok(Self::new(rules, Some(Tokens::open(file)?), Some(issuers), audit))
    }

    /// The same with the tokens of `file` alone.
    ///
    /// # Errors
    /// There is a file of tokens, and it cannot be used.
    pub fn open(rules: Rules, file: TokenFile, audit: AuditLog) -> Result<Self, TokenError> {
        Ok(Self::new(rules, Some(Tokens::open(file)?), None, audit))
    }

    /// Everybody may read everything, and nobody publish.
    #[must_use]
    pub fn everybody() -> Self {
        Self::new(Rules::default(), None, None, AuditLog::none())
    }

    fn new(rules: Rules, tokens: Option<Tokens>, issuers: Option<Issuers>, audit: AuditLog) -> Self {
        Self(Arc::new(Inner { rules, tokens, issuers, failures: Failures::default(), audit }))
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

    /// Sees to it that what is needed to judge this token is here: the key that it says it is signed with. It may ask the
    /// issuer and wait for it, but for nobody who has had the share of failures.
    pub(crate) async fn prepare(&self, token: &IdToken, peer: IpAddr, now: u64) {
        if let Some(issuers) = &self.0.issuers
            && !self.0.failures.is_over(peer, now)
        {
            issuers.learn(token, now).await;
        }
    }

    /// Who comes with this offer from that address at `now`, in seconds since 1970.
    pub(crate) fn recognise(&self, offer: &Offer, peer: IpAddr, now: u64) -> Result<Caller, TooMany> {
        let known = match offer {
            Offer::None => return Ok(Caller::Anonymous),
            Offer::Other => Err(Stranger::plain("credentials that are no token")),
            Offer::Secret(secret) => {
                let known = self.0.tokens.as_ref().and_then(|tokens| tokens.find(secret, now));
                known.ok_or_else(|| Stranger::plain("a token that is unknown, revoked or expired"))
            }
            Offer::IdToken(token) => match &self.0.issuers {
                Some(issuers) => issuers.find(token, now).map_err(|unproven| Stranger {
                    what: format!("an ID token {}", unproven.fault),
                    whose: unproven.whose,
                }),
                None => Err(Stranger::plain("credentials that are no token")),
            },
        };
        known.map(Caller::Holder).or_else(|stranger| self.note_stranger(&stranger, peer, now))
    }

    /// Whose token this is, where everybody is let in anyway. What is no token of this server is nobody's, and no failure.
    pub(crate) fn holder(&self, offer: &Offer, now: u64) -> Option<Arc<Token>> {
        match offer {
            Offer::Secret(secret) => self.0.tokens.as_ref()?.find(secret, now),
            Offer::IdToken(token) => self.0.issuers.as_ref()?.find(token, now).ok(),
            Offer::None | Offer::Other => None,
        }
    }

    fn note_stranger(&self, stranger: &Stranger, peer: IpAddr, now: u64) -> Result<Caller, TooMany> {
        metrics::counter!("quipu_auth_failures_total").increment(1);
        let failure = self.0.failures.note(peer, now);
        if failure.count.is_telling() {
            let mut detail = format!("failure {} of this address within a minute", failure.count.0);
            if !stranger.whose.is_empty() {
                detail = format!("{detail}; {}", stranger.whose);
            }
            let event = Event::new(EventKind::AuthFailure).peer(peer).what(&stranger.what);
            self.0.audit.note(event.detail(&detail));
        }
        if failure.is_too_many() { Err(TooMany) } else { Ok(Caller::Stranger) }
    }
}
