//! An issuer of ID tokens, as the CI of a forge is one: its keys, and an endpoint at which jobs get their tokens.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::minter::{Key, jwks};

/// What a job shows to get its token.
const JOB: &str = "authorization: bearer of-the-job";

/// A running issuer. It listens until the test process ends.
pub(crate) struct Issuer {
    pub(crate) url: String,
    state: Arc<State>,
}

struct State {
    url: String,
    keys: [Key; 3],
    /// The claims of the job, and how many tokens there were.
    job: Mutex<(Value, usize)>,
}

impl Issuer {
    /// An issuer on a port of its own, with a job of `corp/secret` that builds a tag.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ci", listener.local_addr().unwrap());
        let job = json!({
            "sub": "repo:corp/secret:ref:refs/tags/v1.1.0", "repository": "corp/secret",
            "ref": "refs/tags/v1.1.0", "run_id": "4711",
        });
        let keys = [Key::rsa("rsa"), Key::p256("ec"), Key::ed25519("ed")];
        let state = Arc::new(State { url: url.clone(), keys, job: Mutex::new((job, 0)) });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(&shared, &stream);
            }
        });
        Self { url, state }
    }

    /// From now on the job says this of itself.
    pub(crate) fn claim(&self, name: &str, value: &str) {
        self.state.job.lock().unwrap().0[name] = Value::from(value);
    }

    /// A token of the job.
    pub(crate) fn token(&self, audience: &str) -> String {
        self.state.token(audience)
    }
}

impl State {
    /// Signed with each key in turn.
    fn token(&self, audience: &str) -> String {
        let mut job = self.job.lock().unwrap();
        job.1 += 1;
        let mut claims = job.0.clone();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        (claims["iss"], claims["aud"]) = (Value::from(self.url.as_str()), Value::from(audience));
        (claims["iat"], claims["exp"]) = (Value::from(now), Value::from(now + 300));
        self.keys[job.1 % self.keys.len()].token(&claims)
    }

    fn answer(&self, target: &str, is_job: bool) -> Option<String> {
        match target.split_once("audience=") {
            None if target == "/ci/.well-known/openid-configuration" => {
                Some(json!({ "issuer": self.url, "jwks_uri": format!("{}/keys", self.url) }).to_string())
            }
            None if target == "/ci/keys" => Some(jwks(&self.keys.each_ref())),
            Some(("/ci/request?run=1&", audience)) if is_job => {
                Some(json!({ "value": self.token(audience) }).to_string())
            }
            _ => None,
        }
    }
}

/// One request a connection is enough.
fn serve(state: &State, mut stream: &TcpStream) {
    let head: Vec<String> =
        BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let target = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let is_job = head.iter().any(|line| line.eq_ignore_ascii_case(JOB));
    let (status, body) = match state.answer(target, is_job) {
        Some(body) => ("200 OK", body),
        None => ("403 Forbidden", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}
