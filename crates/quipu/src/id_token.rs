//! The ID token of the CI job that this runs in, as its system hands it out.

use std::env;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use quipu_fetch::{Client, ClientOptions, Credentials, Limits, Named, Purpose, Request, Url};
use quipu_module::SumDb;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A token that is there already: GitLab puts it there (`id_tokens:`).
const TOKEN: &str = "QUIPU_ID_TOKEN";
/// Where GitHub and Forgejo Actions make one, and what they are asked with.
const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// Longest answer with a token, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

#[derive(Deserialize)]
struct Answer {
    value: String,
}

/// A token is used no longer than this: those of GitHub end after five minutes.
const USED_FOR: Duration = Duration::from_secs(2 * 60);

/// The token of this job, asked for when it is first needed, and anew before it ends.
pub(crate) struct JobToken {
    audience: Option<String>,
    token: Renewed<String>,
}

impl JobToken {
    /// A token for `audience`, or for the log that the go commands of this job verify against.
    pub(crate) fn new(audience: Option<String>) -> Self {
        Self { audience, token: Renewed::new(USED_FOR) }
    }

    /// The token to show now.
    ///
    /// # Errors
    /// There is none here, and none is given out.
    pub(crate) async fn get(&self) -> Result<String> {
        self.token.get(async || obtain(self.audience.as_deref()).await).await
    }
}

/// Something that is made when it is first needed, and again when it has become old.
struct Renewed<T> {
    after: Duration,
    made: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Renewed<T> {
    fn new(after: Duration) -> Self {
        Self { after, made: Mutex::new(None) }
    }

    /// Whoever comes while it is being made waits for it.
    async fn get(&self, make: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
        let mut made = self.made.lock().await;
        if let Some((at, made)) = made.as_ref()
            && at.elapsed() < self.after
        {
            return Ok(made.clone());
        }
        let new = make().await?;
        *made = Some((Instant::now(), new.clone()));
        Ok(new)
    }
}

async fn obtain(audience: Option<&str>) -> Result<String> {
    if let Some(token) = variable(TOKEN) {
        return Ok(token.trim().to_owned());
    }
    let (Some(url), Some(bearer)) = (variable(REQUEST_URL), variable(REQUEST_TOKEN)) else {
        bail!(
            "this job has no ID token. GitHub Actions: give the job `permissions: id-token: write`. Forgejo Actions: \
             `enable-openid-connect: true`. GitLab CI: `id_tokens: {{ {TOKEN}: {{ aud: … }} }}`. Elsewhere: set {TOKEN}"
        );
    };
    let audience = match audience {
        Some(audience) => audience.to_owned(),
        None => name_of_log(variable("GOSUMDB").as_deref())?,
    };
    request(&url, &bearer, &audience)
        .await
        .with_context(|| format!("asking for an ID token at {REQUEST_URL}"))
}

/// The name of the log that the go commands of this job verify against.
fn name_of_log(gosumdb: Option<&str>) -> Result<String> {
    let named = match gosumdb.filter(|value| !value.is_empty()).map(SumDb::parse) {
        Some(Ok(SumDb::Database(database))) => Some(database.name().to_owned()),
        _ => None,
    };
    named.context("whom is the token for? Say --audience, the name of the log, or set GOSUMDB to its line")
}

async fn request(url: &str, bearer: &str, audience: &str) -> Result<String> {
    let separator = if url.contains('?') { '&' } else { '?' };
    let url =
        Url::parse(&format!("{url}{separator}audience={}", encode(audience))).context("it is no URL")?;
    let credentials = Credentials::bearer(url.authority(), bearer).context("it must be https")?;
    let mut named = Named::default();
    named.insert(url.authority().clone());
    let client = Client::new(ClientOptions { named, ..ClientOptions::default() });
    let client = client.map_err(|error| anyhow!("{error}"))?;
    let limits = Limits::small(MAX_ANSWER);
    let request = Request { url: &url, credentials: Some(&credentials), purpose: Purpose::Keys, limits };
    let response = client.get(request).await.map_err(|error| anyhow!("{error}"))?;
    let status = response.status.as_u16();
    ensure!(status == 200, "it answers {status}");
    let body = response.body.bytes().await.map_err(|error| anyhow!("{error}"))?;
    let answer: Answer = serde_json::from_slice(&body).context("it answers without a token")?;
    Ok(answer.value)
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Percent-encodes what stands in a query.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::block_on;

    #[test]
    fn the_audience_is_the_log_that_go_verifies_against() {
        let key = "sum.corp.example+c82f8e69+AdCvW1qQu4JAIl8zJg6mT7eE5xG1rB0oDPZ3u3u8Y0d4";
        assert_eq!(name_of_log(Some(key)).ok().as_deref(), Some("sum.corp.example"));
        let with_url = format!("{key} https://go.corp.example");
        assert_eq!(name_of_log(Some(&with_url)).ok().as_deref(), Some("sum.corp.example"));
        for other in [None, Some("off"), Some("")] {
            assert!(name_of_log(other).unwrap_err().to_string().contains("--audience"), "{other:?}");
        }
        assert_eq!(encode("sum.corp/x&y=z +"), "sum.corp%2Fx%26y%3Dz%20%2B");
    }

    #[test]
    fn what_is_old_is_made_again() {
        let made = |after| {
            block_on(async {
                let (renewed, count) = (Renewed::new(after), std::cell::Cell::new(0));
                let make = async || {
                    count.set(count.get() + 1);
                    if count.get() == 1 { bail!("not yet") } else { Ok(count.get()) }
                };
                assert!(renewed.get(make).await.is_err());
                Ok((renewed.get(make).await?, renewed.get(make).await?))
            })
        };
        assert_eq!(made(Duration::from_secs(3600)).unwrap(), (2, 2));
        assert_eq!(made(Duration::ZERO).unwrap(), (2, 3));
    }
}
