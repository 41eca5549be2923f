//! Figures and health over HTTP, for those who watch the watcher.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Method, Request, Response, StatusCode};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::event::Kind;
use super::shared::{Shared, now};
use super::watch::Watch;

/// Listens at `address`; a port alone is one of this machine's own.
///
/// # Errors
/// It cannot.
pub(super) async fn listen(address: &str) -> Result<TcpListener> {
    let port = address.trim_start_matches(':');
    let address = if port.contains(':') { port.to_owned() } else { format!("127.0.0.1:{port}") };
    let listener = TcpListener::bind(&address).await;
    let listener = listener.with_context(|| format!("--metrics: cannot listen at {address}"))?;
    eprintln!("quipu-verify: figures at http://{}/metrics", listener.local_addr()?);
    Ok(listener)
}

/// Answers until it is dropped. Healthy is who had a good round within `fresh`.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, fresh: Duration) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of files, most likely: that passes, and must not become a busy loop.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            // Whatever goes wrong with a connection is the other side's concern.
            let _ = timeout(LONGEST, converse(stream, &shared, fresh)).await;
            drop(permit);
        });
    }
}

async fn converse(stream: TcpStream, shared: &Shared, fresh: Duration) -> hyper::Result<()> {
    let answer = service_fn(async |request| Ok::<_, Infallible>(answer(&request, shared, fresh)));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(LONGEST).keep_alive(false).max_buf_size(16 << 10);
    server.serve_connection(TokioIo::new(stream), answer).await
}

fn answer(request: &Request<Incoming>, shared: &Shared, fresh: Duration) -> Response<Full<Bytes>> {
    let known = request.method() == Method::GET || request.method() == Method::HEAD;
    let (status, text) = match request.uri().path() {
        _ if !known => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        "/metrics" => (StatusCode::OK, shared.with(|watch| figures(watch, now()))),
        "/healthz" => match shared.with(|watch| ailment(watch, now(), fresh)) {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        _ => (StatusCode::NOT_FOUND, "want /metrics or /healthz\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}

/// Why the monitor does not see what it should; none if it does.
pub(super) fn ailment(watch: &Watch, now: u64, fresh: Duration) -> Option<String> {
    let wrong: Vec<_> = watch.wrong().into_iter().map(Kind::name).collect();
    let age = watch.last_good().map(|good| now.saturating_sub(good));
    match age {
        None => Some(format!("no good round yet; {}", wrong.join(", "))),
        Some(age) if age > fresh.as_secs() => {
            Some(format!("no good round for {age} s; {}", wrong.join(", ")))
        }
        Some(_) if wrong.contains(&Kind::Fork.name()) => Some("fork".to_owned()),
        Some(_) => None,
    }
}

/// All figures in the text format of Prometheus.
pub(super) fn figures(watch: &Watch, now: u64) -> String {
    let (mut text, memory) = (String::new(), watch.memory());
    let backlog = watch.unread().map_or(0, |(position, size)| size - position);
    let plain: [(&str, &str, u64); 8] = [
        ("head_size", "gauge", memory.size),
        ("head_age_seconds", "gauge", now.saturating_sub(memory.advanced)),
        ("position", "gauge", memory.position.unwrap_or_default()),
        ("last_good_round_timestamp_seconds", "gauge", watch.last_good().unwrap_or_default()),
        ("backlog_records", "gauge", backlog),
        ("undelivered_alerts", "gauge", memory.undelivered.len() as u64),
        ("dropped_alerts_total", "counter", watch.dropped()),
        ("delivery_failures_total", "counter", watch.delivery_failures()),
    ];
    for (name, kind, value) in plain {
        describe(&mut text, name, kind);
        line(&mut text, format_args!("quipu_monitor_{name} {value}"));
    }
    describe(&mut text, "events_total", "counter");
    for kind in Kind::ALL {
        let (name, count) = (kind.name(), watch.events(kind));
        line(&mut text, format_args!("quipu_monitor_events_total{{kind=\"{name}\"}} {count}"));
    }
    places(&mut text, watch, memory.size);
    text
}

fn places(text: &mut String, watch: &Watch, size: u64) {
    type Figure = fn(&super::watch::Seen, u64) -> Option<u64>;
    let figures: [(&str, &str, Figure); 5] = [
        ("place_size", "gauge", |seen, _| seen.served),
        ("place_lag_records", "gauge", |seen, size| Some(size.saturating_sub(seen.served?))),
        ("place_errors_total", "counter", |seen, _| Some(seen.errors)),
        ("place_last_good_timestamp_seconds", "gauge", |seen, _| seen.good),
        ("place_wrong", "gauge", |seen, _| Some(seen.bad.is_some().into())),
    ];
    for (name, kind, figure) in figures {
        describe(text, name, kind);
        for (from, seen) in watch.seen() {
            let Some(value) = figure(seen, size) else { continue };
            let from = from.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
            line(text, format_args!("quipu_monitor_{name}{{from=\"{from}\"}} {value}"));
        }
    }
}

fn describe(text: &mut String, name: &str, kind: &str) {
    line(text, format_args!("# TYPE quipu_monitor_{name} {kind}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

const MAX_CONNECTIONS: usize = 16;
const LONGEST: Duration = Duration::from_secs(10);
