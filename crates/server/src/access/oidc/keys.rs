//! The public keys of an issuer (RFC 7517, RFC 7518, RFC 8037), and what they have signed.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

use super::Fault;
use super::jws::{Jws, decode};

/// Most keys of one issuer that are looked at.
const MAX_KEYS: usize = 64;

/// How tokens may be signed. There is no `none` here, and nothing with a shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSA of 2048 bits or more, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// ECDSA on P-256, SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    pub(super) fn parse(alg: &str) -> Option<Self> {
        match alg {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// The keys of an issuer at one time.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    kid: String,
    material: Material,
}

/// A key is for one algorithm alone, which its type decides and no token.
#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A key as it is published.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set of keys; those of other kinds, or for other ends, are left out. `None` if there is none left.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let published: Published = serde_json::from_slice(json).ok()?;
        let jwks = published.keys.into_iter().take(MAX_KEYS);
        let keys: Vec<_> = jwks.filter_map(|jwk| Key::read(serde_json::from_value(jwk).ok()?)).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// Whether there is a key of this name.
    pub(super) fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid == kid)
    }

    /// Whether the key that the token names has signed it.
    pub(super) fn verify(&self, jws: &Jws<'_>) -> Result<(), Fault> {
        if !self.has(&jws.kid) {
            return Err(Fault::Key);
        }
        let mut named =
            self.0.iter().filter(|key| key.kid == jws.kid && key.algorithm() == jws.algorithm).peekable();
        named.peek().ok_or(Fault::Algorithm)?;
        let signed = named.any(|key| key.has_signed(jws.signed.as_bytes(), &jws.signature));
        if signed { Ok(()) } else { Err(Fault::Signature) }
    }
}

impl Key {
    fn read(jwk: Jwk) -> Option<Self> {
        let part = |text: &Option<String>| decode(text.as_deref()?).ok();
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: unpadded(&part(&jwk.n)?), e: unpadded(&part(&jwk.e)?) },
            ("EC", Some("P-256")) => {
                let (x, y) = (part(&jwk.x)?, part(&jwk.y)?);
                // An uncompressed point, as SEC 1 has it.
                (x.len() == 32 && y.len() == 32).then(|| Material::P256([vec![4], x, y].concat()))?
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(part(&jwk.x)?),
            _ => return None,
        };
        let key = Self { kid: jwk.kid?, material };
        let fits = jwk.alg.is_none_or(|alg| Algorithm::parse(&alg) == Some(key.algorithm()));
        (fits && jwk.purpose.is_none_or(|purpose| purpose == "sig")).then_some(key)
    }

    const fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(message, signature),
        };
        verified.is_ok()
    }
}

/// A number without the leading zeros that some issuers write and RFC 7518 forbids.
fn unpadded(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}
