//! Where events go: stdout, a command, a webhook. Each takes an event or says why not.

use std::fmt;
use std::io::{self, Write as _};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use anyhow::Result;
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::event::Event;
use crate::exit::wrong_usage;
use crate::net::{Http, Url};

/// All that are to be told of events.
pub(super) struct Sinks {
    pub(super) database: String,
    pub(super) as_json: bool,
    pub(super) exec: Option<Exec>,
    pub(super) webhook: Option<Webhook>,
}

/// How far the delivery of one event has come: those who took it are not told again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stage {
    printed: bool,
    executed: bool,
}

/// Why an event was not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Later it may be.
    Later(String),
    /// It never will be: nobody reads what is printed.
    Never(io::Error),
}

impl Sinks {
    /// Whether somebody is told whom a repetition costs more than a line.
    pub(super) const fn is_external(&self) -> bool {
        self.exec.is_some() || self.webhook.is_some()
    }

    /// Tells everybody who has not been told.
    pub(super) async fn deliver(&self, event: &Event, stage: &mut Stage) -> Result<(), Refusal> {
        if !stage.printed {
            self.print(event).map_err(Refusal::Never)?;
            stage.printed = true;
        }
        let json = event.json(&self.database).to_string();
        if let Some(exec) = &self.exec
            && !stage.executed
        {
            exec.run(&json).await.map_err(Refusal::Later)?;
            stage.executed = true;
        }
        match &self.webhook {
            Some(webhook) => webhook.post(json).await.map_err(Refusal::Later),
            None => Ok(()),
        }
    }

    /// As JSON everything; else the records, for alerts have been said on stderr.
    fn print(&self, event: &Event) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match event {
            _ if self.as_json => writeln!(out, "{}", event.json(&self.database))?,
            Event::Version { .. } => writeln!(out, "{event}")?,
            Event::BadRecord { .. } | Event::Alert(_) => return Ok(()),
        }
        out.flush()
    }
}

/// A command that is run for each event, with the event on its stdin.
#[derive(Clone, Debug)]
pub(super) struct Exec {
    program: String,
    arguments: Vec<String>,
    limit: Duration,
}

impl Exec {
    /// A command from its words, which spaces separate. No shell reads them.
    ///
    /// # Errors
    /// Wrong usage: there are none.
    pub(super) fn parse(text: &str, limit: Duration) -> Result<Self> {
        let mut words = text.split_whitespace().map(str::to_owned);
        let program = words.next().ok_or_else(|| wrong_usage("--exec: want a command"))?;
        Ok(Self { program, arguments: words.collect(), limit })
    }

    async fn run(&self, json: &str) -> Result<(), String> {
        let command = &self.program;
        let mut child = Command::new(command)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            // Stdout is for events only.
            .stdout(io::stderr())
            // Of a group of its own, so that Ctrl-C lets it finish.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot run {command}: {error}"))?;
        let work = async {
            if let Some(mut stdin) = child.stdin.take() {
                // A command need not read what it is given.
                let _ = stdin.write_all(format!("{json}\n").as_bytes()).await;
            }
            child.wait().await
        };
        match timeout(self.limit, work).await {
            Err(_) => Err(format!("{command} did not end in {} s and was killed", self.limit.as_secs())),
            Ok(Err(error)) => Err(format!("{command}: {error}")),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("{command} ended with {status}")),
        }
    }
}

/// A URL that each event is posted to.
pub(super) struct Webhook {
    http: Arc<Http>,
    url: Url,
    uri: Uri,
}

impl Webhook {
    /// A webhook at an http or https URL, which may have a query.
    ///
    /// # Errors
    /// Wrong usage: it is none.
    pub(super) fn parse(text: &str, http: Arc<Http>) -> Result<Self> {
        let (before, query) = text.split_once('?').map_or((text, None), |(url, query)| (url, Some(query)));
        let url = Url::parse(before).map_err(|e| wrong_usage(format!("--webhook: {e}")))?;
        let slash = if before.ends_with('/') { "/" } else { "" };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let uri: Result<Uri, _> = format!("{url}{slash}{query}").parse();
        let uri = uri.map_err(|e| wrong_usage(format!("--webhook: {e}")))?;
        Ok(Self { http, url, uri })
    }

    async fn post(&self, json: String) -> Result<(), String> {
        let posted = self.http.post_json(&self.url, &self.uri, Bytes::from(json)).await;
        posted.map_err(|why| format!("{self}: {why}"))
    }
}

impl fmt::Display for Webhook {
    /// Only where it is: path and query often are the secret that lets one post.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "webhook at {}", self.uri.authority().map_or("", |place| place.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_posted_to_as_it_is_written_and_not_shown() {
        let http = Arc::new(Http::new(Duration::from_secs(1)));
        let webhook = |text: &str| Webhook::parse(text, http.clone());
        for (text, uri) in [
            ("https://me:pass@hooks.test:8443/a/b?token=x", "https://hooks.test:8443/a/b?token=x"),
            ("http://hooks.test/a/", "http://hooks.test/a/"),
            ("http://hooks.test", "http://hooks.test/"),
        ] {
            let webhook = webhook(text).unwrap();
            assert_eq!(webhook.uri.to_string(), uri);
            assert!(!webhook.to_string().contains("/a") && !webhook.to_string().contains("pass"));
        }
        for text in ["", "hooks.test", "file:///x", "http://hooks.test/#x", "http://a b/"] {
            assert!(webhook(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_command_is_split_at_spaces() {
        let exec = Exec::parse(" /bin/tell  --who me ", Duration::from_secs(1)).unwrap();
        assert_eq!((exec.program.as_str(), exec.arguments.join("|").as_str()), ("/bin/tell", "--who|me"));
        assert!(Exec::parse("  ", Duration::from_secs(1)).is_err());
    }
}
