//! The application: from a request to the handler that answers it, with the rules that hold for all requests.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version, header};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use quipu_fetch::{BoxFuture, Cache, Hops};
use quipu_ledger::Ledger;
use quipu_note::VerifierKey;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{debug, info};

use crate::access::{Access, Token};
use crate::asker::Asker;
use crate::audit::AuditLog;
use crate::downloads::{DownloadKind, Downloads, Sent};
use crate::feed::Feed;
use crate::filter::Filter;
use crate::gate::{self, Gate, Pass};
use crate::hooks::{Forge, Hooks, Secrets};
use crate::listen::{self, Answer, ListenOptions};
use crate::lookup::{Lookup, Records, Vouching};
use crate::ops::{Operation, Ops};
use crate::passthrough::{Other, Passthrough, strip_name};
use crate::path;
use crate::policy::Offering;
use crate::proxy::ModuleProxy;
use crate::publish::{Publisher, Sender};
use crate::reply::{self, Freshness, Refusal, Reply};
use crate::route::{Leaf, LogRoute, ModuleRoute, Route};
use crate::sumdb::OwnLog;
use crate::wall_clock;

/// All that a server is made of.
pub struct Parts {
    /// The log.
    pub ledger: Ledger,
    /// The log's name.
    pub name: String,
    /// A name for this instance that no other has: it ends loops of proxies, and starts the tags of tiles.
    pub instance: String,
    /// The rules for new records, shared with the module cache that asks them.
    pub admission: Admission,
    /// The module cache.
    pub modules: Cache,
    /// Other databases passed through.
    pub others: Vec<Other>,
    /// Who may do what.
    pub access: Access,
    /// The forges whose webhooks are taken, and their secrets.
    pub hooks: BTreeMap<Forge, Secrets>,
    /// What the operator's pages show.
    pub operation: Operation,
    /// What of all that could be had is offered.
    pub offering: Arc<Offering>,
    /// Where it is noted who downloaded what.
    pub downloads: Downloads,
    /// Requirements of a go.mod that are fetched at once before they are asked for: the go.mod and the `.info` of each. Zero:
    /// none.
    pub ahead: u16,
}

impl Parts {
    /// A server that everybody may read from and nobody publish to, with a log of this key and no other databases.
    #[must_use]
    pub fn new(ledger: Ledger, verifier: &VerifierKey, admission: Admission, modules: Cache) -> Self {
        let name = verifier.name().to_string();
        Self {
            instance: format!("{name}-{}", verifier.id()),
            name,
            ledger,
            admission,
            modules,
            others: Vec::new(),
            access: Access::everybody(),
            hooks: BTreeMap::new(),
            offering: Arc::new(Offering::everything()),
            downloads: Downloads::none(),
            ahead: 0,
            operation: Operation { exports: String::new(), metrics: Arc::new(String::new) },
        }
    }
}

/// The rules by which records come into the log. Made first, because the module cache needs them to be made.
#[derive(Clone)]
pub struct Admission(Arc<Records>);

impl Admission {
    /// Rules for `ledger`.
    #[must_use]
    pub fn new(ledger: Ledger, vouching: Vouching) -> Self {
        Self(Arc::new(Records::new(ledger, vouching, None)))
    }

    /// The same, and the module cache keeps the files of what is in quarantine in `offering`, for as long as it is: they
    /// are evidence.
    #[must_use]
    pub fn under(ledger: Ledger, vouching: Vouching, offering: Arc<Offering>) -> Self {
        Self(Arc::new(Records::new(ledger, vouching, Some(offering))))
    }

    /// The same, and what is published is noted in `audit`: needed only without an [`App`], which sees to it itself.
    #[must_use]
    pub fn noting_in(self, audit: AuditLog) -> Self {
        self.0.note_in(audit);
        self
    }

    /// What the module cache asks.
    #[must_use]
    pub fn admit(&self) -> Arc<dyn quipu_fetch::Admit> {
        Arc::clone(&self.0) as Arc<dyn quipu_fetch::Admit>
    }
}

/// A server ready to listen.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    name: String,
    instance: String,
    gate: Gate,
    publisher: Publisher,
    hooks: Hooks,
    own: OwnLog,
    proxy: ModuleProxy,
    others: Passthrough,
    ops: Ops,
    feed: Feed,
    downloads: Downloads,
    counted: Counted,
}

impl App {
    /// Puts a server together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { ledger, name, instance, admission, modules, others, .. } = parts;
        let Parts { access, hooks, operation, offering, downloads, ahead, .. } = parts;
        let Admission(records) = admission;
        let filter = Filter::new(offering, modules.clone(), Some(ledger.clone()), records.policy().clone());
        let filter = Arc::new(filter);
        records.note_in(access.audit().clone());
        let lookup = Lookup::new(Arc::clone(&records), Arc::new(modules.clone()), Arc::clone(&filter));
        Self(Arc::new(Inner {
            own: OwnLog::new(ledger.clone(), Arc::new(lookup), instance.clone()),
            publisher: Publisher::new(modules.clone(), access.audit().clone(), Arc::clone(&filter)),
            hooks: Hooks::new(hooks, modules.clone(), Arc::clone(&filter), access.audit().clone()),
            others: Passthrough::new(
                others,
                records.policy().clone(),
                records.evidence().clone(),
                access.audit().clone(),
            ),
            gate: Gate::new(access),
            proxy: ModuleProxy::new(modules.clone(), Arc::clone(&filter), ahead),
            feed: Feed::new(ledger.clone(), filter, name.clone()),
            ops: Ops::new(ledger, modules, operation),
            downloads,
            counted: Counted::new(),
            name,
            instance,
        }))
    }

    /// Answers one request that came over somebody else's connection.
    pub(crate) async fn answer<B>(&self, request: Request<B>, peer: SocketAddr) -> Reply
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
    {
        match self.0.at_once(&request, peer, false) {
            Some(reply) => reply,
            None => self.0.answer_any(request, peer, false).await,
        }
    }

    /// Serves connections until `stop` becomes true, then lets requests under way finish. Returns how many
    /// connections had to be cut off.
    pub async fn serve(
        &self,
        listener: TcpListener,
        options: ListenOptions,
        stop: watch::Receiver<bool>,
    ) -> usize {
        let (inner, mut told) = (Arc::clone(&self.0), stop.clone());
        tokio::spawn(async move {
            // Also when nobody is left to tell it.
            let _ = told.wait_for(|stop| *stop).await;
            inner.proxy.stop();
        });
        let cut = listen::serve(listener, Arc::clone(&self.0), options, stop).await;
        self.0.publisher.finish().await;
        self.0.gate.access().write_uses();
        cut
    }
}

/// From where something is told, and whether all connections are in use.
struct Told {
    peer: IpAddr,
    crowded: bool,
}

impl Answer for Inner {
    fn at_once(&self, request: &Request<Incoming>, peer: SocketAddr, crowded: bool) -> Option<Reply> {
        self.at_once(request, peer, crowded)
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr, crowded: bool) -> Reply {
        self.answer_any(request, peer, crowded).await
    }
}

impl Inner {
    /// Answers what nearly all requests are: files, tiles and records at hand, on a server where everybody may have them. A
    /// future for each of them would cost as much as the answer. None: nothing is done yet.
    fn at_once<B>(&self, request: &Request<B>, peer: SocketAddr, crowded: bool) -> Option<Reply> {
        if crowded || !self.gate.is_open() {
            return None;
        }
        let begun = Instant::now();
        let (method, asked) = (request.method(), request.headers());
        if method != Method::GET && method != Method::HEAD || acceptable(request).is_err() {
            return None;
        }
        let path = path::decode(request.uri().path()).ok()?;
        let route = Route::parse(&path);
        let reply = self.at_hand(route, asked)?;
        self.note_download(route, method, &reply, self.gate.public(asked).holder.as_deref());
        self.counted.note(request, peer, &reply, begun.elapsed());
        Some(reply::for_method(reply, method))
    }

    async fn answer_any<B>(&self, request: Request<B>, peer: SocketAddr, crowded: bool) -> Reply
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
    {
        let begun = Instant::now();
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, ());
        let reply = match acceptable(&request) {
            Ok(()) => self.admit(&request, body, peer, crowded).await,
            Err(refusal) => reply::closing(reply::refuse(&refusal)),
        };
        self.counted.note(&request, peer, &reply, begun.elapsed());
        reply::for_method(reply, request.method())
    }

    /// Answers what may be answered: nothing is done for a request before the gate let it through.
    async fn admit<B>(&self, request: &Request<()>, body: B, peer: SocketAddr, crowded: bool) -> Reply
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
    {
        let path = match path::decode(request.uri().path()) {
            Ok(path) => path,
            Err(error) => return reply::refuse(&Refusal::BadRequest(error.to_string())),
        };
        let (route, asked) = (Route::parse(&path), request.headers());
        // Boxed, as all that is rare or waits: every request moves the memory that the largest of its futures would need.
        if request.method() == Method::PUT && !crowded {
            return reply::private(Box::pin(self.publish(route, asked, body, peer.ip())).await);
        }
        if request.method() == Method::POST {
            return Box::pin(self.told(route, asked, body, Told { peer: peer.ip(), crowded })).await;
        }
        let need = || gate::need(route, &self.name, &self.others);
        match self.gate.check_reading(need, asked, peer.ip()).await {
            Ok(pass) => {
                let asker = Asker { holder: pass.holder.clone(), peer: Some(peer.ip()) };
                let reply = asker.scope(self.route(route, request, crowded)).await;
                self.note_download(route, request.method(), &reply, pass.holder.as_deref());
                if pass.is_public { reply } else { reply::private(reply) }
            }
            Err(refusal) => reply::private(reply::refuse(&refusal)),
        }
    }

    /// Notes who is being sent a file of a module version, or told that the one they have is still the right one.
    fn note_download(&self, route: Route<'_>, method: &Method, reply: &Reply, holder: Option<&Token>) {
        let Route::Module(ModuleRoute { path, leaf, .. }) = route else { return };
        let (version, kind) = match leaf {
            Leaf::Zip(version) => (version, DownloadKind::Zip),
            Leaf::GoMod(version) => (version, DownloadKind::GoMod),
            Leaf::List | Leaf::Latest | Leaf::Info(_) => return,
        };
        let has_it = [StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED];
        if method == Method::GET && has_it.contains(&reply.status()) {
            self.downloads.note(Sent { path, version, kind }, holder, wall_clock::now());
        }
    }

    /// A webhook is let in by its signature, which is known when its body is. Nothing else is told here.
    async fn told<B>(&self, route: Route<'_>, asked: &HeaderMap, body: B, told: Told) -> Reply
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
    {
        match route {
            Route::Hook(forge) if !told.crowded => self.hooks.answer(forge, asked, body, told.peer).await,
            Route::Hook(_) => reply::closing(reply::refuse(&Refusal::Busy(
                "all connections of this server are in use".to_owned(),
            ))),
            _ => reply::closing(reply::refuse(&Refusal::Method)),
        }
    }

    /// Of all routes only zips can be written to.
    async fn publish<B>(&self, route: Route<'_>, asked: &HeaderMap, body: B, peer: IpAddr) -> Reply
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
    {
        let Route::Module(module @ ModuleRoute { leaf: Leaf::Zip(_), cached_only: false, .. }) = route else {
            return reply::closing(reply::refuse(&Refusal::Method));
        };
        match self.gate.pass(&gate::need_to_publish(module), asked, peer).await {
            Ok(Pass { holder: Some(token), .. }) => {
                let (sender, asker) =
                    (Sender::new(&token, peer), Asker { holder: Some(token), peer: Some(peer) });
                asker.scope(self.publisher.put(module, body, sender)).await
            }
            Ok(_) => reply::closing(reply::refuse(&Refusal::Unauthorized)),
            Err(refusal) => reply::closing(reply::refuse(&refusal)),
        }
    }

    async fn route(&self, route: Route<'_>, request: &Request<()>, crowded: bool) -> Reply {
        let asked = request.headers();
        match route {
            Route::Health => Ops::health(),
            Route::Ready => self.ops.ready(),
            Route::Metrics => self.ops.metrics(),
            _ if crowded => {
                let why = "all connections of this server are in use".to_owned();
                reply::closing(reply::refuse(&Refusal::Busy(why)))
            }
            Route::Home => self.ops.home(),
            Route::Checkpoint => self.own.checkpoint(),
            Route::Index => Box::pin(self.feed.index(request.uri().query().unwrap_or_default())).await,
            Route::Feed(module) => Box::pin(self.feed.atom(module)).await,
            Route::Log(log) => self.log(log, asked).await,
            Route::Sumdb(rest) => self.sumdb(rest, asked).await,
            Route::StoredSumdb(rest) => self.stored_sumdb(rest, asked).await,
            Route::Module(module) => match self.proxy.at_hand(module, asked) {
                Some(reply) => reply,
                None => self.passing(asked, Box::pin(self.proxy.answer(module, asked))).await,
            },
            Route::Hook(_) | Route::Unknown => {
                reply::refuse(&Refusal::NotFound("neither a module nor a resource of this server".to_owned()))
            }
        }
    }

    /// Does work that may ask others, who are told through whom the request came; none for a request that was here
    /// before.
    async fn passing(&self, asked: &HeaderMap, work: BoxFuture<'_, Reply>) -> Reply {
        let hops = Hops::read(asked);
        if hops.is_loop(&self.instance) {
            return reply::refuse(&Refusal::Loop);
        }
        hops.scope(work).await
    }

    /// What is answered without waiting for anybody and asked for all the time.
    fn at_hand(&self, route: Route<'_>, asked: &HeaderMap) -> Option<Reply> {
        match route {
            Route::Log(log) => self.log_at_hand(log, asked).ok(),
            Route::Sumdb(rest) => {
                let log = LogRoute::parse(strip_name(rest, &self.name)?)?;
                self.log_at_hand(log, asked).ok()
            }
            Route::Module(module) => self.proxy.at_hand(module, asked),
            _ => None,
        }
    }

    /// What the log itself answers, or else the module version that has to be looked up.
    fn log_at_hand<'a>(&self, route: LogRoute<'a>, asked: &HeaderMap) -> Result<Reply, &'a str> {
        match route {
            LogRoute::Latest => Ok(self.own.latest()),
            LogRoute::Tile(path) => Ok(self.own.tile(path, asked)),
            LogRoute::Lookup(module) => self.own.kept_lookup(module).ok_or(module),
        }
    }

    async fn log(&self, route: LogRoute<'_>, asked: &HeaderMap) -> Reply {
        match self.log_at_hand(route, asked) {
            Ok(reply) => reply,
            Err(module) => self.passing(asked, Box::pin(self.own.lookup(module))).await,
        }
    }

    /// A checksum database by its name: this one, or one passed through.
    async fn sumdb(&self, rest: &str, asked: &HeaderMap) -> Reply {
        if let Some(path) = strip_name(rest, &self.name) {
            if path == "/supported" {
                return reply::ok(bytes::Bytes::new(), reply::TEXT, Freshness::Seconds(60));
            }
            if let Some(route) = LogRoute::parse(path) {
                return self.log(route, asked).await;
            }
        } else if let Some((other, path)) = self.others.find(rest) {
            return self.passing(asked, Box::pin(self.others.answer(other, path, asked))).await;
        }
        reply::refuse(&no_database())
    }

    /// This server's own database as it stands: a go command whose GOPROXY is `<url>/cached-only` looks for it there.
    async fn stored_sumdb(&self, rest: &str, asked: &HeaderMap) -> Reply {
        match strip_name(rest, &self.name).map(LogRoute::parse) {
            Some(Some(LogRoute::Lookup(module))) => self.own.stored_lookup(module),
            Some(_) => self.sumdb(rest, asked).await,
            None => reply::refuse(&no_database()),
        }
    }
}

fn no_database() -> Refusal {
    Refusal::NotFound("no such resource of a checksum database that this server has".to_owned())
}

/// The rules that hold for every request: a method that reads, publishes or tells something, and no doubt about whom it is for and
/// where it ends.
fn acceptable<B>(request: &Request<B>) -> Result<(), Refusal> {
    let writes = request.method() == Method::PUT || request.method() == Method::POST;
    if !writes && request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(Refusal::Method);
    }
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if !writes && (length || headers.contains_key(header::TRANSFER_ENCODING)) {
        return Err(Refusal::BadRequest("a request to read has no body".to_owned()));
    }
    if request.version() >= Version::HTTP_2 {
        return Ok(());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (None, None) if request.version() < Version::HTTP_11 => return Ok(()),
        _ => return Err(Refusal::BadRequest("exactly one Host header is needed".to_owned())),
    };
    match request.uri().authority() {
        Some(authority) if authority.as_str().as_bytes() != host.as_bytes() => {
            Err(Refusal::BadRequest("this server is no proxy for other hosts".to_owned()))
        }
        _ => Ok(()),
    }
}

/// What is counted of every request; the handles are looked up once.
struct Counted {
    duration: metrics::Histogram,
    /// By the first digit of the status, from 2 on.
    classes: [metrics::Counter; 4],
}

impl Counted {
    fn new() -> Self {
        let class =
            |class: &'static str| metrics::counter!("proxy_http_server_requests_total", "class" => class);
        Self {
            duration: metrics::histogram!("proxy_http_server_request_duration"),
            classes: ["2xx", "3xx", "4xx", "5xx"].map(class),
        }
    }

    /// Counts a request and writes one line of it: at debug what went well, at info what did not.
    fn note<B>(&self, request: &Request<B>, peer: SocketAddr, reply: &Reply, took: Duration) {
        let status = reply.status().as_u16();
        self.duration.record(took.as_secs_f64());
        let class = usize::from(status / 100).saturating_sub(2).min(self.classes.len() - 1);
        self.classes[class].increment(1);
        let (method, path) = (request.method(), request.uri().path());
        if status < 500 {
            debug!(%method, path, status, %peer, ?took, "request");
        } else {
            info!(%method, path, status, %peer, ?took, "request failed");
        }
    }
}
