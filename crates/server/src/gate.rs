//! The gate: every request passes it before anything is done for it. What does a route need, who asks, is that enough.
//!
//! It looks at the path alone, never at what exists, so what is forbidden looks the same whether it exists or not.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use quipu_module::{ModulePath, ModuleVersion};

use crate::access::{Access, Caller, IdToken, Need, Offer, Secret, Token, Verdict};
use crate::passthrough::{Passthrough, strip_name};
use crate::reply::Refusal;
use crate::route::{LogRoute, ModuleRoute, Route};
use crate::wall_clock::now;

/// Longest credentials that are looked at, in bytes: ID tokens have some thousand.
const MAX_CREDENTIALS: usize = 32 << 10;

/// The gate of one server.
pub(crate) struct Gate(Access);

/// A request that has passed.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// Everybody may have the answer, shared caches too.
    pub(crate) is_public: bool,
    /// Whose token opened the gate, or came along where none was needed.
    pub(crate) holder: Option<Arc<Token>>,
}

impl Gate {
    pub(crate) const fn new(access: Access) -> Self {
        Self(access)
    }

    pub(crate) const fn access(&self) -> &Access {
        &self.0
    }

    /// Whether everybody may read everything.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Lets a request to read through, or says what is missing. What it needs is only worked out where not everybody may
    /// read everything.
    pub(crate) async fn check_reading(
        &self,
        need: impl FnOnce() -> Need,
        asked: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Pass, Refusal> {
        if self.is_open() {
            return Ok(self.public(asked));
        }
        self.pass(&need(), asked, peer).await
    }

    /// The same as [`Gate::check`], once what it takes to judge the credentials is here. This alone may wait for others, and
    /// only where credentials are needed and are an ID token.
    pub(crate) async fn pass(&self, need: &Need, asked: &HeaderMap, peer: IpAddr) -> Result<Pass, Refusal> {
        if self.0.decide(&Caller::Anonymous, need) != Verdict::Public
            && let Offer::IdToken(token) = offer(asked)
        {
            // Boxed because it is rare, and every request moves the memory that its futures would need.
            Box::pin(self.0.prepare(&token, peer, now())).await;
        }
        self.check(need, asked, peer)
    }

    /// Lets a request through, or says what is missing. Credentials that are not needed open and close nothing.
    pub(crate) fn check(&self, need: &Need, asked: &HeaderMap, peer: IpAddr) -> Result<Pass, Refusal> {
        if self.0.decide(&Caller::Anonymous, need) == Verdict::Public {
            return Ok(self.public(asked));
        }
        let caller = self.0.recognise(&offer(asked), peer, now()).map_err(|_| Refusal::TooOften)?;
        match (self.0.decide(&caller, need), caller) {
            (Verdict::Public, _) => Ok(Pass { is_public: true, holder: None }),
            (Verdict::Private, Caller::Holder(token)) => Ok(Pass { is_public: false, holder: Some(token) }),
            (Verdict::Private, _) | (Verdict::Authenticate, _) => Err(Refusal::Unauthorized),
            (Verdict::Forbidden, _) => {
                Err(Refusal::Forbidden("this token does not allow that here".to_owned()))
            }
        }
    }

    /// What everybody may do. It is known whose token came along, if it is one.
    pub(crate) fn public(&self, asked: &HeaderMap) -> Pass {
        let shown = asked.contains_key(header::AUTHORIZATION);
        let holder = shown.then(|| self.0.holder(&offer(asked), now())).flatten();
        Pass { is_public: true, holder }
    }
}

/// What reading a route needs. Every route is named, so that none that is added is open by oversight.
pub(crate) fn need(route: Route<'_>, own: &str, others: &Passthrough) -> Need {
    match route {
        // A path of no resource tells nothing, nor does reading at one for webhooks; load balancers have no tokens.
        Route::Unknown | Route::Hook(_) | Route::Health | Route::Ready => Need::Nothing,
        Route::Home | Route::Checkpoint => Need::Belong,
        Route::Metrics => Need::Admin,
        Route::Index => Need::Audit,
        Route::Feed(path) => need_of_path(path, Need::Read),
        Route::Log(log) => need_of_log(log),
        Route::Sumdb(rest) | Route::StoredSumdb(rest) => match strip_name(rest, own) {
            Some(path) => LogRoute::parse(path).map_or(Need::Belong, need_of_log),
            None => others.find(rest).map_or(Need::Belong, |(_, path)| need_of_other(path)),
        },
        Route::Module(module) => need_of_path(module.path, Need::Read),
    }
}

/// What publishing at a route needs.
pub(crate) fn need_to_publish(route: ModuleRoute<'_>) -> Need {
    need_of_path(route.path, Need::Publish)
}

fn need_of_log(route: LogRoute<'_>) -> Need {
    match route {
        LogRoute::Latest => Need::Belong,
        LogRoute::Lookup(module) => need_of_lookup(module),
        // `tile/<height>/data/…` in the go command's form, `tile/entries/…` in C2SP's: records, with all their names.
        LogRoute::Tile(path) => {
            let holds_names = path.split('/').any(|element| element == "data" || element == "entries");
            if holds_names { Need::Audit } else { Need::Belong }
        }
    }
}

/// Another database's records are public; what one asks for is not.
fn need_of_other(path: &str) -> Need {
    match LogRoute::parse(path) {
        Some(LogRoute::Lookup(module)) => need_of_lookup(module),
        _ => Need::Belong,
    }
}

fn need_of_lookup(escaped: &str) -> Need {
    ModuleVersion::parse_escaped(escaped).map_or(Need::Belong, |module| Need::Read(module.path().clone()))
}

/// What is no module path cannot exist, nor match a pattern.
fn need_of_path(escaped: &str, need: impl Fn(ModulePath) -> Need) -> Need {
    ModulePath::unescape(escaped).map_or(Need::Belong, need)
}

/// The credentials of a request: a token, of this server or an ID token, as `Bearer` or as the password of `Basic`, under
/// whatever name.
fn offer(asked: &HeaderMap) -> Offer {
    let mut given = asked.get_all(header::AUTHORIZATION).iter();
    let credentials = match (given.next(), given.next()) {
        (None, _) => return Offer::None,
        (Some(one), None) if one.len() <= MAX_CREDENTIALS => one.to_str().ok(),
        _ => None,
    };
    credentials.and_then(token).unwrap_or(Offer::Other)
}

fn token(credentials: &str) -> Option<Offer> {
    let (scheme, rest) = credentials.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return read(rest);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    // Some programs can only be given a name.
    read(if password.is_empty() { user } else { password })
}

fn read(token: &str) -> Option<Offer> {
    let secret = Secret::parse(token).map(Offer::Secret);
    secret.or_else(|| IdToken::parse(token).map(Offer::IdToken))
}

#[cfg(test)]
mod tests;
