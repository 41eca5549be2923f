//! Is a webhook from whom it says: each forge's way of showing that it knows the secret.

use std::fmt;

use http::HeaderMap;
use ring::hmac;

/// A kind of forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forge {
    /// GitHub: `X-Hub-Signature-256: sha256=HEX`, HMAC-SHA256 of the body.
    GitHub,
    /// GitLab: `X-Gitlab-Token`, the secret itself.
    GitLab,
    /// Gitea: `X-Gitea-Signature: HEX`, HMAC-SHA256 of the body.
    Gitea,
    /// Forgejo: `X-Forgejo-Signature: HEX`, likewise; older ones send Gitea's header.
    Forgejo,
}

impl Forge {
    /// The forge by its name in the URL.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "github" => Some(Self::GitHub),
            "gitlab" => Some(Self::GitLab),
            "gitea" => Some(Self::Gitea),
            "forgejo" => Some(Self::Forgejo),
            _ => None,
        }
    }

    /// What it signs with the header that it signs in, as it was sent; the first header that is there counts.
    fn shown(self, headers: &HeaderMap) -> Option<Shown> {
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let hex = |text: &str| hex(text).map(Shown::Hmac);
        match self {
            Self::GitHub => hex(value("x-hub-signature-256")?.strip_prefix("sha256=")?),
            Self::GitLab => Some(Shown::Secret(headers.get("x-gitlab-token")?.as_bytes().to_vec())),
            Self::Gitea => hex(value("x-gitea-signature")?),
            Self::Forgejo => hex(value("x-forgejo-signature").or_else(|| value("x-gitea-signature"))?),
        }
    }
}

enum Shown {
    /// HMAC-SHA256 of the body under the secret.
    Hmac(Vec<u8>),
    /// The secret.
    Secret(Vec<u8>),
}

/// What a forge and this server both know. Several while one takes the place of another. Never printed.
#[derive(Clone)]
pub struct Secrets(Vec<hmac::Key>);

impl Secrets {
    /// Shortest secret that is taken, in bytes.
    pub const MIN_BYTES: usize = 16;

    /// One secret a line, without the white space around it; empty lines do not count.
    ///
    /// # Errors
    /// There is none, or one is shorter than [`Secrets::MIN_BYTES`]. The text does not repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            return Err("holds no secret".to_owned());
        }
        if lines.iter().any(|line| line.len() < Self::MIN_BYTES) {
            return Err(format!("holds a secret shorter than {} bytes", Self::MIN_BYTES));
        }
        Ok(Self(lines.iter().map(|line| hmac::Key::new(hmac::HMAC_SHA256, line.as_bytes())).collect()))
    }

    /// Whether `headers` alone could show that their sender knows one of the secrets: they hold a signature, or the secret
    /// itself where that is what the forge sends.
    pub(crate) fn may_fit(&self, forge: Forge, headers: &HeaderMap) -> bool {
        match forge.shown(headers) {
            Some(Shown::Secret(_)) => self.check(forge, headers, b""),
            Some(Shown::Hmac(_)) => true,
            None => false,
        }
    }

    /// Whether `headers` show that the sender of `body` knows one of the secrets. Takes the same time whatever is wrong
    /// with what is shown.
    pub(crate) fn check(&self, forge: Forge, headers: &HeaderMap, body: &[u8]) -> bool {
        let Some(shown) = forge.shown(headers) else { return false };
        // All of them, so that time does not tell which.
        self.0.iter().fold(false, |good, key| good | matches(key, &shown, body))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

fn matches(key: &hmac::Key, shown: &Shown, body: &[u8]) -> bool {
    match shown {
        Shown::Hmac(tag) => hmac::verify(key, body, tag).is_ok(),
        // Two secrets are the same if they sign the same, and signatures are compared without telling where they differ.
        Shown::Secret(secret) => {
            let other = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"secret");
            hmac::verify(key, b"secret", other.as_ref()).is_ok()
        }
    }
}

/// Bytes from hexadecimal in either case.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    (0..32).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        headers
    }

    /// The example in GitHub's documentation of webhook signatures.
    #[test]
    fn the_documented_example_is_right() {
        let secrets = Secrets::parse("It's a Secret to Everybody\n").unwrap();
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let body = b"Hello, World!";
        let check = |name, value: &str, body| secrets.check(Forge::GitHub, &headers(name, value), body);
        assert!(check("x-hub-signature-256", good, body));
        assert!(check("x-hub-signature-256", &good.to_uppercase().replace("SHA256", "sha256"), body));
        assert!(!check("x-hub-signature-256", good, b"Hello, World?"));
        assert!(!check("x-hub-signature", good, body));
        for at in 7..good.len() {
            let mut wrong = good.to_owned();
            wrong.replace_range(at..=at, if &good[at..=at] == "0" { "1" } else { "0" });
            assert!(!check("x-hub-signature-256", &wrong, body), "{wrong}");
            assert!(!check("x-hub-signature-256", &good[..at], body));
        }
        for value in ["", "sha256=", "sha1=757107ea", &good[7..], &format!("{good}00")] {
            assert!(!check("x-hub-signature-256", value, body), "{value}");
        }
    }

    #[test]
    fn each_forge_has_its_header_and_old_and_new_secrets_count() {
        let secrets =
            Secrets::parse("  the old secret, long enough\n\nthe new secret, long enough\n").unwrap();
        let body = br#"{"ref":"refs/tags/v1.0.0"}"#;
        for secret in
            ["the old secret, long enough", "the new secret, long enough", "another, long enough too"]
        {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
            let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            let known = !secret.starts_with("another");
            for (forge, header, value) in [
                (Forge::GitHub, "x-hub-signature-256", format!("sha256={tag}")),
                (Forge::GitLab, "x-gitlab-token", secret.to_owned()),
                (Forge::Gitea, "x-gitea-signature", tag.clone()),
                (Forge::Forgejo, "x-forgejo-signature", tag.clone()),
                (Forge::Forgejo, "x-gitea-signature", tag.clone()),
            ] {
                let shown = headers(header, &value);
                assert_eq!(secrets.check(forge, &shown, body), known, "{forge:?} {secret}");
                // Before the body only a secret itself says more than that something is signed.
                assert_eq!(secrets.may_fit(forge, &shown), known || forge != Forge::GitLab);
                assert!(!secrets.check(forge, &HeaderMap::new(), body));
                assert!(!secrets.may_fit(forge, &HeaderMap::new()));
                assert!(!secrets.may_fit(forge, &headers(header, "deadbeef")));
            }
            assert!(!secrets.check(Forge::Gitea, &headers("x-hub-signature-256", &tag), body));
        }
        assert!(!secrets.check(Forge::GitLab, &headers("x-gitlab-token", ""), body));
    }

    #[test]
    fn no_secret_and_short_ones_are_refused() {
        for text in ["", "\n \n", "short", "long enough, this one is\nshort"] {
            assert!(Secrets::parse(text).is_err(), "{text}");
        }
        let shown = format!("{:?}", Secrets::parse("a secret that is not shown").unwrap());
        assert_eq!(shown, "1 secrets");
    }
}
