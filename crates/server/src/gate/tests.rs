//! The gate: all routes against all kinds of callers.

use http::HeaderValue;
use quipu_fetch::Policy;
use quipu_module::Patterns;
use quipu_verify::EvidenceDir;

use super::*;
use crate::access::{Grant, Rules, Scope, TokenFile};
use crate::audit::AuditLog;
use crate::route::SAMPLES;

const OWN: &str = "sum.corp.example";

/// What reading must need, said without looking at the code above: one letter for each sample of a route.
/// `n`othing, `b`elong, `r`ead, `a`udit, ad`m`in.
const NEEDS: &[(&str, char)] = &[
    ("/", 'b'),
    ("/healthz", 'n'),
    ("/readyz", 'n'),
    ("/metrics", 'm'),
    ("/index", 'a'),
    ("/feed/corp.example/m", 'r'),
    ("/feed/", 'b'),
    ("/checkpoint", 'b'),
    ("/latest", 'b'),
    ("/lookup/corp.example/m@v1.0.0", 'r'),
    ("/lookup/corp.example/m@master", 'b'),
    ("/tile/8/0/000", 'b'),
    ("/tile/8/data/000", 'a'),
    ("/tile/8/data/x001/000.p/7", 'a'),
    ("/tile/0/000", 'b'),
    ("/tile/entries/000", 'a'),
    ("/sumdb/sum.corp.example/supported", 'b'),
    ("/sumdb/sum.corp.example/latest", 'b'),
    ("/sumdb/sum.corp.example/lookup/corp.example/m@v1.0.0", 'r'),
    ("/sumdb/sum.corp.example/tile/8/data/000", 'a'),
    ("/sumdb/sum.other.example/latest", 'b'),
    ("/cached-only/sumdb/sum.corp.example/lookup/corp.example/m@v1.0.0", 'r'),
    ("/cached-only/sumdb/sum.corp.example/tile/8/data/000", 'a'),
    ("/corp.example/m/@v/list", 'r'),
    ("/corp.example/m/@latest", 'r'),
    ("/corp.example/m/@v/v1.0.0.info", 'r'),
    ("/corp.example/m/@v/v1.0.0.mod", 'r'),
    ("/corp.example/m/@v/v1.0.0.zip", 'r'),
    ("/cached-only/corp.example/m/@v/v1.0.0.zip", 'r'),
    ("/Corp.example/m/@v/list", 'b'),
    ("/-/hooks/github", 'n'),
    ("/no/resource", 'n'),
];

fn others() -> Passthrough {
    let unused = EvidenceDir::new(std::path::Path::new("unused"));
    Passthrough::new(Vec::new(), Policy::default(), unused, AuditLog::none())
}

struct World {
    gate: Gate,
    dir: tempfile::TempDir,
}

impl World {
    fn new(anonymous: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(&dir.path().join("tokens.json"));
        for (n, scope) in Scope::ALL.into_iter().enumerate() {
            let corp = Grant {
                name: scope.to_string(),
                scopes: vec![scope],
                patterns: "corp.example".to_owned(),
                expires: None,
            };
            file.issue(&token(n, "corp"), corp.clone(), 0).unwrap();
            let other = Grant { patterns: "other.example".to_owned(), ..corp };
            file.issue(&token(n, "other"), other, 0).unwrap();
        }
        let access = Access::open(Rules::new(Patterns::new(anonymous)), file, AuditLog::none()).unwrap();
        Self { gate: Gate::new(access), dir }
    }

    /// 200, 401 or 403, and whether shared caches may keep it.
    fn ask(&self, need: &Need, authorization: Option<&str>) -> (u16, bool) {
        let value = authorization.map(|value| HeaderValue::from_str(value).unwrap());
        let asked: HeaderMap = value.map(|value| (header::AUTHORIZATION, value)).into_iter().collect();
        // An address of its own for each, so that nobody comes too often.
        let peer = IpAddr::from(rand_address());
        match self.gate.check(need, &asked, peer) {
            Ok(pass) => (200, pass.is_public),
            Err(Refusal::Unauthorized) => (401, false),
            Err(Refusal::Forbidden(_)) => (403, false),
            Err(other) => panic!("{other:?}"),
        }
    }
}

fn rand_address() -> [u8; 4] {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_be_bytes()
}

fn token(scope: usize, patterns: &str) -> Secret {
    Secret::from_random([u8::try_from(scope).unwrap() + if patterns == "corp" { 1 } else { 101 }; 32])
}

fn bearer(secret: &Secret) -> String {
    format!("Bearer {}", secret.expose())
}

#[test]
fn every_route_has_a_line_in_the_table() {
    for (path, _) in SAMPLES {
        assert!(NEEDS.iter().any(|(known, _)| known == path), "{path} is not in the table");
    }
}

#[test]
fn routes_by_callers_on_a_private_server() {
    let world = World::new("");
    for (path, class) in NEEDS {
        let need = need(Route::parse(path), OWN, &others());
        let nobody = if *class == 'n' { (200, true) } else { (401, false) };
        assert_eq!(world.ask(&need, None), nobody, "{path} anonymous");
        let unknown = bearer(&Secret::from_random([99; 32]));
        for wrong in [unknown.as_str(), "Bearer quipu_", "Basic ???", "Digest x", "Bearer"] {
            assert_eq!(world.ask(&need, Some(wrong)), nobody, "{path} {wrong}");
        }
        for (n, scope) in Scope::ALL.into_iter().enumerate() {
            for patterns in ["corp", "other"] {
                let enough = match class {
                    'n' | 'b' => true,
                    'r' => scope == Scope::Read && patterns == "corp",
                    'a' => scope == Scope::Audit,
                    'm' => scope == Scope::Admin,
                    _ => unreachable!(),
                };
                let expected = if enough { (200, *class == 'n') } else { (403, false) };
                let got = world.ask(&need, Some(&bearer(&token(n, patterns))));
                assert_eq!(got, expected, "{path} with {scope} for {patterns}");
            }
        }
    }
    drop(world.dir);
}

#[test]
fn an_open_server_asks_nobody_for_anything_to_read() {
    let world = World::new("*");
    for (path, _) in NEEDS {
        let need = need(Route::parse(path), OWN, &others());
        for given in [None, Some("Bearer x"), Some(bearer(&token(0, "other")).as_str())] {
            assert_eq!(world.ask(&need, given), (200, true), "{path}");
        }
    }
}

#[test]
fn part_of_it_may_be_for_everybody() {
    let world = World::new("corp.example");
    let ask = |path| world.ask(&need(Route::parse(path), OWN, &others()), None);
    assert_eq!(ask("/corp.example/m/@v/v1.0.0.zip"), (200, true));
    assert_eq!(ask("/lookup/corp.example/m@v1.0.0"), (200, true));
    assert_eq!(ask("/other.example/m/@v/list"), (401, false));
    // The rest tells of what is not for everybody.
    assert_eq!(ask("/latest"), (401, false));
    assert_eq!(ask("/tile/8/data/000"), (401, false));
}

#[test]
fn only_a_token_for_that_path_publishes() {
    for anonymous in ["", "*"] {
        let world = World::new(anonymous);
        let Route::Module(route) = Route::parse("/corp.example/m/@v/v1.0.0.zip") else { panic!("no module") };
        let need = need_to_publish(route);
        assert_eq!(world.ask(&need, None), (401, false));
        for (n, scope) in Scope::ALL.into_iter().enumerate() {
            let expected = if scope == Scope::Publish { (200, false) } else { (403, false) };
            assert_eq!(world.ask(&need, Some(&bearer(&token(n, "corp")))), expected, "{scope}");
            assert_eq!(world.ask(&need, Some(&bearer(&token(n, "other")))), (403, false), "{scope}");
        }
    }
}

#[test]
fn tokens_come_in_the_ways_that_clients_can_send_them() {
    let world = World::new("");
    let secret = token(0, "corp");
    let basic = |pair: String| format!("Basic {}", STANDARD.encode(pair));
    for given in [
        bearer(&secret),
        format!("bearer  {}", secret.expose()),
        basic(format!("anybody:{}", secret.expose())),
        basic(format!(":{}", secret.expose())),
        basic(format!("{}:", secret.expose())),
    ] {
        assert_eq!(world.ask(&Need::Belong, Some(&given)), (200, false), "{given}");
    }
    for given in [basic(secret.expose().to_owned()), basic(format!("{}:x", secret.expose()))] {
        assert_eq!(world.ask(&Need::Belong, Some(&given)), (401, false), "{given}");
    }
    let twice = HeaderValue::from_str(&bearer(&secret)).unwrap();
    let mut asked = HeaderMap::new();
    asked.append(header::AUTHORIZATION, twice.clone());
    asked.append(header::AUTHORIZATION, twice);
    let refused = world.gate.check(&Need::Belong, &asked, IpAddr::from([9, 9, 9, 9]));
    assert_eq!(refused.unwrap_err(), Refusal::Unauthorized);
}

#[test]
fn who_guesses_is_slowed_down_and_who_knows_is_not() {
    let world = World::new("");
    let peer = IpAddr::from([10, 0, 0, 1]);
    let with =
        |given: &str| HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(given).unwrap())]);
    let wrong = with("Bearer guess");
    let refusals: Vec<_> =
        (0..100).map(|_| world.gate.check(&Need::Belong, &wrong, peer).unwrap_err()).collect();
    assert_eq!(refusals[0], Refusal::Unauthorized);
    assert_eq!(refusals[99], Refusal::TooOften);
    assert!(world.gate.check(&Need::Belong, &with(&bearer(&token(0, "corp"))), peer).is_ok());
    assert_eq!(world.gate.check(&Need::Belong, &HeaderMap::new(), peer).unwrap_err(), Refusal::Unauthorized);
}
