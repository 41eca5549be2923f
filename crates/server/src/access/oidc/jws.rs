//! A signed JWT (RFC 7519) in its compact form (RFC 7515, section 7.1), taken apart. Nothing in it is believed yet.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::Fault;
use super::keys::Algorithm;

/// A token in parts.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    /// What the signature is over.
    pub(super) signed: &'a str,
    pub(super) algorithm: Algorithm,
    /// Which key of the issuer signed it.
    pub(super) kid: String,
    pub(super) claims: Members,
    pub(super) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes a token apart. One that names no key, or that must be understood in a way that this is not, is refused.
    pub(super) fn parse(text: &'a str) -> Result<Self, Fault> {
        let (signed, signature) = text.rsplit_once('.').ok_or(Fault::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Fault::Malformed)?;
        let header = Members::parse(&decode(header)?)?;
        let typ = header.0.get("typ").map(|typ| typ.as_str().unwrap_or_default());
        if header.0.contains_key("crit") || typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(Fault::Malformed);
        }
        let algorithm = header.text("alg").and_then(Algorithm::parse).ok_or(Fault::Algorithm)?;
        let kid = header.text("kid").filter(|kid| !kid.is_empty()).ok_or(Fault::Malformed)?.to_owned();
        let (claims, signature) = (Members::parse(&decode(claims)?)?, decode(signature)?);
        Ok(Self { signed, algorithm, kid, claims, signature })
    }
}

/// The members of a JSON object, none of them twice: which of two counts is what readers differ about.
#[derive(Debug)]
pub(super) struct Members(BTreeMap<String, Value>);

impl Members {
    fn parse(json: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(json).map_err(|_| Fault::Malformed)
    }

    /// A member, whatever it is.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A member that is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(de::Error::custom("a member is there twice"));
                    }
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(Reader)
    }
}

/// Base64 for URLs without padding, in the one way that it is written.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Malformed)
}
