//! Identities: signatures made by others, attacks, times, rules, and keys that come and go.

#[path = "../../../tests/common/minter.rs"]
mod minter;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use proptest::prelude::*;
use quipu_fetch::{Client, ClientOptions, Named, Url};
use quipu_module::ModulePath;
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::keys::{Algorithm, KeySet};
use super::*;
use crate::access::Scope;
use minter::{Key, RFC_N, encode, jwks};

const ISSUER: &str = "https://ci.example/actions";
const AUDIENCE: &str = "sum.corp.example";
const NOW: u64 = 1_800_000_000;

/// Asks nobody. One for all, since making one reads the certificates of the system.
static CLIENT: LazyLock<Client> = LazyLock::new(|| Client::new(ClientOptions::default()).unwrap());

fn rule(name: &str, issuer: &str, repository: &str) -> OidcRule {
    OidcRule {
        name: name.to_owned(),
        issuer: issuer.to_owned(),
        audience: AUDIENCE.to_owned(),
        claims: BTreeMap::from([
            ("repository".to_owned(), repository.to_owned()),
            ("ref".to_owned(), "refs/tags/*".to_owned()),
        ]),
        scopes: vec![Scope::Publish],
        patterns: "corp.example/lib".to_owned(),
    }
}

fn issuers(rules: Vec<OidcRule>, keys: &[&Key]) -> Issuers {
    let issuers = Issuers::new(rules, &CLIENT).unwrap();
    for issuer in issuers.0.iter() {
        issuer.set_keys(&jwks(keys), NOW);
    }
    issuers
}

/// One rule of the one issuer.
fn one(keys: &[&Key]) -> Issuers {
    issuers(vec![rule("release", ISSUER, "corp/lib")], keys)
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "repo:corp/lib:ref:refs/tags/v1.0.0",
        "repository": "corp/lib", "ref": "refs/tags/v1.0.0", "run_id": "4711",
        "iat": NOW - 10, "nbf": NOW - 600, "exp": NOW + 290,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn judge(issuers: &Issuers, token: &str, now: u64) -> Result<Arc<Token>, Fault> {
    let token = IdToken::parse(token).ok_or(Fault::Malformed)?;
    issuers.find(&token, now).map_err(|unproven| unproven.fault)
}

/// The examples of RFC 7515, appendices A.2 and A.3, and of RFC 8037, appendix A.4.
#[test]
fn signatures_made_by_others() {
    let claims =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let keys = json!({ "keys": [
        { "kty": "RSA", "kid": "k", "n": RFC_N, "e": "AQAB" },
        { "kty": "EC", "kid": "k", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
          "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" },
        { "kty": "OKP", "kid": "k", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
    ]});
    let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
    for (algorithm, signed, signature) in [
        (
            Algorithm::Rs256,
            format!("eyJhbGciOiJSUzI1NiJ9.{claims}"),
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            Algorithm::Es256,
            format!("eyJhbGciOiJFUzI1NiJ9.{claims}"),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            Algorithm::EdDsa,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let claims = serde_json::from_str("{}").unwrap();
        let signature = jws::decode(signature).unwrap();
        let mut jws = Jws { signed: &signed, algorithm, kid: "k".to_owned(), claims, signature };
        assert_eq!(keys.verify(&jws), Ok(()), "{algorithm:?}");
        for at in 0..jws.signature.len() {
            jws.signature[at] ^= 1;
            assert_eq!(keys.verify(&jws), Err(Fault::Signature), "{algorithm:?} {at}");
            jws.signature[at] ^= 1;
        }
        let other = signed.replace("eyJ", "eyK");
        assert_eq!(keys.verify(&Jws { signed: &other, ..jws }), Err(Fault::Signature));
    }
}

#[test]
fn a_good_token_opens_what_its_rule_says() {
    for key in [Key::rsa("a"), Key::p256("b"), Key::ed25519("c")] {
        let token = judge(&one(&[&key]), &key.token(&claims()), NOW).unwrap();
        let path = |text| ModulePath::parse(text).unwrap();
        assert!(token.covers(Scope::Publish, &path("corp.example/lib/sub")));
        assert!(!token.covers(Scope::Publish, &path("corp.example/other")));
        assert!(!token.has(Scope::Read) && !token.has(Scope::Admin));
        assert_eq!(
            token.to_string(),
            "oidc release: issuer https://ci.example/actions, subject repo:corp/lib:ref:refs/tags/v1.0.0, repository \
             corp/lib, ref refs/tags/v1.0.0, run 4711"
        );
        assert_eq!((token.name(), token.expires()), ("release corp/lib", Some(NOW + 290)));
        // The id is that of the repository by this rule, whatever the run.
        let later = judge(&one(&[&key]), &key.token(&with("run_id", json!("4712"))), NOW).unwrap();
        assert_eq!((token.id(), token.id().len()), (later.id(), 12));
    }
}

#[test]
fn attacks_on_the_signature() {
    let (rsa, ec, stranger) = (Key::rsa("rsa"), Key::p256("ec"), Key::p256("ec"));
    let issuers = one(&[&rsa, &ec]);
    let text = claims().to_string();
    let head = |alg: &str, kid: &str| json!({ "typ": "JWT", "alg": alg, "kid": kid }).to_string();
    let unsigned =
        |alg: &str| format!("{}.{}.", encode(head(alg, "rsa").as_bytes()), encode(text.as_bytes()));
    let shared_secret = |secret: &[u8]| {
        let signed = format!("{}.{}", encode(head("HS256", "rsa").as_bytes()), encode(text.as_bytes()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", encode(tag.as_ref()))
    };
    let modulus = jws::decode(RFC_N).unwrap();
    let own =
        json!({ "alg": "ES256", "kid": "x", "jwk": stranger.jwk(), "jku": "https://evil.example/keys" });
    for (token, fault) in [
        (unsigned("none"), Fault::Algorithm),
        (unsigned("None"), Fault::Algorithm),
        (unsigned("RS256"), Fault::Signature),
        (shared_secret(&modulus), Fault::Algorithm),
        (shared_secret(jwks(&[&rsa]).as_bytes()), Fault::Algorithm),
        (rsa.sign(&head("RS512", "rsa"), &text), Fault::Algorithm),
        (rsa.sign(&head("ES256", "rsa"), &text), Fault::Algorithm),
        (ec.sign(&head("RS256", "ec"), &text), Fault::Algorithm),
        (rsa.sign(&head("RS256", "ec"), &text), Fault::Algorithm),
        (rsa.sign(&head("RS256", "gone"), &text), Fault::Key),
        (stranger.sign(&head("ES256", "ec"), &text), Fault::Signature),
        (stranger.sign(&own.to_string(), &text), Fault::Key),
        (rsa.sign(r#"{"alg":"RS256"}"#, &text), Fault::Malformed),
        (rsa.sign(r#"{"alg":"RS256","kid":""}"#, &text), Fault::Malformed),
        (rsa.sign(r#"{"alg":"RS256","kid":"rsa","crit":["exp"]}"#, &text), Fault::Malformed),
        (rsa.sign(r#"{"alg":"RS256","kid":"rsa","typ":"at+jwt"}"#, &text), Fault::Malformed),
        (rsa.sign(r#"{"alg":"RS256","kid":"rsa","alg":"RS256"}"#, &text), Fault::Malformed),
        (
            rsa.sign(&head("RS256", "rsa"), &text.replacen('{', r#"{"repository":"corp/lib","#, 1)),
            Fault::Malformed,
        ),
        (rsa.sign(&head("RS256", "rsa"), &format!("{text}{text}")), Fault::Malformed),
        (rsa.sign(&head("RS256", "rsa"), "[]"), Fault::Malformed),
        (rsa.token(&with("padding", json!("x".repeat(17 << 10)))), Fault::Malformed),
        (rsa.token(&claims()) + "=", Fault::Malformed),
        (format!("{}.x", rsa.token(&claims())), Fault::Malformed),
        (String::new(), Fault::Malformed),
    ] {
        assert_eq!(judge(&issuers, &token, NOW).err(), Some(fault), "{}", token.get(..60).unwrap_or(&token));
    }
    for key in [&rsa, &ec] {
        assert!(judge(&issuers, &key.token(&claims()), NOW).is_ok());
    }
}

#[test]
fn issuer_audience_and_claims_must_fit() {
    let key = Key::p256("k");
    let issuers = one(&[&key]);
    for (claims, fault) in [
        (with("iss", json!("https://ci.example")), Fault::Issuer),
        (with("iss", json!("https://ci.example/actions/")), Fault::Issuer),
        (without("iss"), Fault::Malformed),
        (without("aud"), Fault::Audience),
        (with("aud", json!("https://github.com/corp")), Fault::Audience),
        (with("aud", json!("sum.corp.example.evil")), Fault::Audience),
        (with("aud", json!(["a", "b"])), Fault::Audience),
        (with("aud", json!([AUDIENCE, 1])), Fault::Audience),
        (with("aud", json!({ "sum.corp.example": 1 })), Fault::Audience),
        (without("repository"), Fault::Claims),
        (with("repository", json!("corp/lib-evil")), Fault::Claims),
        (with("repository", json!("evil/corp/lib")), Fault::Claims),
        (with("repository", json!(["corp/lib"])), Fault::Claims),
        (with("repository", Value::Null), Fault::Claims),
        (with("ref", json!("refs/heads/main")), Fault::Claims),
        (with("ref", json!("refs/tags/sub/v1.0.0")), Fault::Claims),
    ] {
        assert_eq!(judge(&issuers, &key.token(&claims), NOW).err(), Some(fault), "{claims}");
    }
    assert!(judge(&issuers, &key.token(&with("aud", json!(["x", AUDIENCE]))), NOW).is_ok());
    // What its issuer has signed may be named in the log, and nothing else.
    let whose = |key: &Key, claims: &Value| {
        let token = IdToken::parse(&key.token(claims)).unwrap();
        issuers.find(&token, NOW).unwrap_err().whose
    };
    assert!(whose(&key, &with("repository", json!("corp/\nx"))).contains("repository corp/\u{fffd}x, ref"));
    assert_eq!(whose(&Key::p256("k"), &with("repository", json!("corp/x"))), "");
}

#[test]
fn times() {
    let key = Key::p256("k");
    let issuers = one(&[&key]);
    let at = |iat: Value, nbf: Value, exp: Value| {
        let mut claims = claims();
        for (name, value) in [("iat", iat), ("nbf", nbf), ("exp", exp)] {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value,
            }
        }
        judge(&issuers, &key.token(&claims), NOW).err()
    };
    let no = || Value::Null;
    for (iat, nbf, exp, fault) in [
        (json!(NOW), no(), json!(NOW + 1), None),
        (json!(NOW - 5), no(), json!(NOW), Some(Fault::Expired)),
        (json!(NOW - 5), no(), json!(NOW - 1), Some(Fault::Expired)),
        (json!(NOW + 60), no(), json!(NOW + 90), None),
        (json!(NOW + 61), no(), json!(NOW + 90), Some(Fault::Early)),
        (json!(NOW), json!(NOW + 60), json!(NOW + 90), None),
        (json!(NOW), json!(NOW + 61), json!(NOW + 90), Some(Fault::Early)),
        (json!(NOW), no(), json!(NOW + 86_400), None),
        (json!(NOW), no(), json!(NOW + 86_401), Some(Fault::Times)),
        (json!(NOW), no(), no(), Some(Fault::Times)),
        (no(), no(), json!(NOW + 90), Some(Fault::Times)),
        (json!(NOW), no(), json!("never"), Some(Fault::Malformed)),
        (json!(NOW), no(), json!((NOW + 90).to_string()), Some(Fault::Malformed)),
        (json!(NOW), json!("x"), json!(NOW + 90), Some(Fault::Malformed)),
        (json!(NOW), json!([]), json!(NOW + 90), Some(Fault::Malformed)),
        (json!(-1), no(), json!(NOW + 90), Some(Fault::Malformed)),
        (json!(NOW), no(), json!(1e300), Some(Fault::Malformed)),
        (json!(NOW), no(), json!(u64::MAX), Some(Fault::Times)),
        (json!(1_799_999_990.7), no(), json!(1_800_000_000.9), Some(Fault::Expired)),
        (json!(1_799_999_990.7), no(), json!(1_800_000_001.5), None),
    ] {
        assert_eq!(at(iat.clone(), nbf.clone(), exp.clone()), fault, "{iat} {nbf} {exp}");
    }
}

#[test]
fn the_first_rule_that_fits_counts() {
    let key = Key::p256("k");
    let elsewhere = OidcRule { audience: "other".to_owned(), ..rule("elsewhere", ISSUER, "corp/lib") };
    let reading = OidcRule { scopes: vec![Scope::Read], ..rule("reading", ISSUER, "corp/*") };
    let other = rule("other-issuer", "https://other.example", "corp/*");
    let issuers = issuers(vec![elsewhere, other, rule("release", ISSUER, "corp/lib"), reading], &[&key]);
    let name = |repository: &str| {
        let token = judge(&issuers, &key.token(&with("repository", json!(repository))), NOW);
        token.map(|token| token.name().split(' ').next().unwrap_or_default().to_owned())
    };
    assert_eq!(name("corp/lib"), Ok("release".to_owned()));
    assert_eq!(name("corp/tool"), Ok("reading".to_owned()));
    assert_eq!(name("else/tool"), Err(Fault::Claims));
    let twice = vec![rule("a", ISSUER, "corp/a"), rule("a", ISSUER, "corp/b")];
    assert!(Issuers::new(twice, &CLIENT).is_err());
}

#[test]
fn keys_for_other_ends_are_none() {
    let key = Key::p256("k");
    for (name, value) in
        [("use", json!("enc")), ("alg", json!("ES384")), ("alg", json!("HS256")), ("crv", json!("P-384"))]
    {
        let mut jwk = key.jwk();
        jwk[name] = value;
        assert!(KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).is_none(), "{name}");
    }
    let secret = json!({ "keys": [{ "kty": "oct", "kid": "k", "k": "AAAA" }] }).to_string();
    assert!(KeySet::parse(secret.as_bytes()).is_none());
    // A key of 1024 bits has signed nothing.
    let short = json!({ "kty": "RSA", "kid": "k", "n": RFC_N.get(..172), "e": "AQAB" });
    let keys = KeySet::parse(json!({ "keys": [short] }).to_string().as_bytes()).unwrap();
    let token = Key::rsa("k").token(&claims());
    assert_eq!(keys.verify(&Jws::parse(&token).unwrap()), Err(Fault::Signature));
    for broken in ["", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":[1,null,{}]}"#] {
        assert!(KeySet::parse(broken.as_bytes()).is_none(), "{broken}");
    }
}

#[test]
fn keys_count_for_a_day() {
    let key = Key::p256("k");
    let issuers = one(&[&key]);
    let token = |at: u64| {
        let mut claims = claims();
        (claims["iat"], claims["exp"]) = (json!(at - 5), json!(at + 300));
        judge(&issuers, &key.token(&claims), at).err()
    };
    assert_eq!(token(NOW + 86_399), None);
    assert_eq!(token(NOW + 86_400), Some(Fault::NoKeys));
}

proptest! {
    #[test]
    fn no_change_of_a_token_is_taken(at in 0..400usize, to in "[A-Za-z0-9_.-]") {
        let key = Key::ed25519("k");
        let good = key.token(&claims());
        let at = at % good.len();
        let mut changed = good.clone();
        changed.replace_range(at..=at, &to);
        prop_assert!(changed == good || judge(&one(&[&key]), &changed, NOW).is_err());
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(header in ".{0,40}", claims in ".{0,40}", rest in "[A-Za-z0-9_=.-]{0,40}") {
        let key = Key::ed25519("k");
        prop_assert!(judge(&one(&[&key]), &key.sign(&header, &claims), NOW).is_err());
        let text = format!("eyJ{rest}");
        prop_assert!(judge(&one(&[&key]), &text, NOW).is_err());
    }
}

/// An issuer over HTTP.
struct Site {
    url: String,
    jwks: Mutex<String>,
    jwks_uri: Mutex<String>,
    calls_itself: Mutex<String>,
    is_away: AtomicBool,
    asked: AtomicUsize,
}

impl Site {
    async fn start(keys: &[&Key]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ci", listener.local_addr().unwrap());
        let site = Arc::new(Self {
            jwks: Mutex::new(jwks(keys)),
            jwks_uri: Mutex::new(format!("{url}/keys")),
            calls_itself: Mutex::new(url.clone()),
            url,
            is_away: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&site);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                let answer = shared.answer(&String::from_utf8_lossy(&head[..read]));
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        site
    }

    fn answer(&self, head: &str) -> String {
        let body = match head.split(' ').nth(1) {
            _ if self.is_away.load(Ordering::Relaxed) => None,
            Some("/ci/.well-known/openid-configuration") => {
                self.asked.fetch_add(1, Ordering::Relaxed);
                let (issuer, jwks_uri) =
                    (&*self.calls_itself.lock().unwrap(), &*self.jwks_uri.lock().unwrap());
                Some(json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string())
            }
            Some("/ci/keys") => Some(self.jwks.lock().unwrap().clone()),
            _ => None,
        };
        let status = if body.is_some() { "200 OK" } else { "503 Away" };
        let body = body.unwrap_or_default();
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    fn issuers(&self) -> Issuers {
        let mut named = Named::default();
        named.insert(Url::parse(&self.url).unwrap().authority().clone());
        let client = Client::new(ClientOptions { named, ..ClientOptions::default() }).unwrap();
        Issuers::new(vec![rule("release", &self.url, "corp/lib")], &client).unwrap()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Whether a token of that moment, of that key, is taken once the keys were seen to.
async fn is_taken(issuers: &Issuers, site: &Site, key: &Key, now: u64) -> Option<Fault> {
    let mut claims = with("iss", json!(site.url));
    (claims["iat"], claims["nbf"], claims["exp"]) = (json!(now), json!(now), json!(now + 300));
    let token = IdToken::parse(&key.token(&claims)).unwrap();
    issuers.learn(&token, now).await;
    issuers.find(&token, now).err().map(|unproven| unproven.fault)
}

#[tokio::test]
async fn keys_are_fetched_renewed_and_kept() {
    let (old, new, unknown) = (Key::rsa("old"), Key::p256("new"), Key::p256("unknown"));
    let site = Site::start(&[&old]).await;
    let issuers = site.issuers();
    assert_eq!(is_taken(&issuers, &site, &old, NOW).await, None);
    assert_eq!(site.asked(), 1);

    // A new key is looked for, at most once a minute.
    *site.jwks.lock().unwrap() = jwks(&[&old, &new]);
    assert_eq!(is_taken(&issuers, &site, &new, NOW + 59).await, Some(Fault::Key));
    assert_eq!(is_taken(&issuers, &site, &new, NOW + 60).await, None);
    assert_eq!(site.asked(), 2);
    for second in 61..120 {
        assert_eq!(is_taken(&issuers, &site, &unknown, NOW + second).await, Some(Fault::Key));
    }
    assert_eq!(site.asked(), 2);

    // Many at once ask once.
    let many = (0..50).map(|_| {
        let (issuers, site) = (issuers.clone(), Arc::clone(&site));
        tokio::spawn(async move { is_taken(&issuers, &site, &Key::p256("x"), NOW + 200).await })
    });
    for one in many.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), Some(Fault::Key));
    }
    assert_eq!(site.asked(), 3);

    // A key that was taken back ends when the keys are renewed.
    *site.jwks.lock().unwrap() = jwks(&[&new]);
    assert_eq!(is_taken(&issuers, &site, &old, NOW + 1099).await, None);
    assert_eq!(is_taken(&issuers, &site, &old, NOW + 1100).await, None, "renewed in the background");
    while site.asked() < 4 || is_taken(&issuers, &site, &old, NOW + 1101).await.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(is_taken(&issuers, &site, &new, NOW + 1102).await, None);

    // While the issuer is away the last keys count, for a day.
    site.is_away.store(true, Ordering::Relaxed);
    let last = NOW + 1100 + 86_400;
    assert_eq!(is_taken(&issuers, &site, &new, last - 1).await, None);
    assert_eq!(is_taken(&issuers, &site, &new, last).await, Some(Fault::NoKeys));
    site.is_away.store(false, Ordering::Relaxed);
    assert_eq!(is_taken(&issuers, &site, &new, last + 60).await, None);
}

#[tokio::test]
async fn an_issuer_that_is_another_or_leads_elsewhere_is_not_believed() {
    let key = Key::p256("k");
    let site = Site::start(&[&key]).await;
    let good = site.jwks_uri.lock().unwrap().clone();
    for (name, uri) in [
        ("https://other.example", good.as_str()),
        (&site.url, "http://keys.example/keys"),
        (&site.url, "https://10.0.0.1/keys"),
        (&site.url, "https://127.0.0.1:1/keys"),
        (&site.url, "file:///etc/passwd"),
        (&site.url, "keys"),
    ] {
        name.clone_into(&mut site.calls_itself.lock().unwrap());
        uri.clone_into(&mut site.jwks_uri.lock().unwrap());
        assert_eq!(is_taken(&site.issuers(), &site, &key, NOW).await, Some(Fault::NoKeys), "{name} {uri}");
    }
    site.url.clone_into(&mut site.calls_itself.lock().unwrap());
    good.clone_into(&mut site.jwks_uri.lock().unwrap());
    assert_eq!(is_taken(&site.issuers(), &site, &key, NOW).await, None);
    *site.jwks.lock().unwrap() = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300 << 10));
    assert_eq!(is_taken(&site.issuers(), &site, &key, NOW).await, Some(Fault::NoKeys));
}
