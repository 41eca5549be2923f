//! The server inside another program: tower services for routers such as axum's.
//!
//! Connections, TLS and their limits are then the other program's business: [`App::serve`] has limits for each phase of a
//! request and a drain at the end, a bare router has none.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request};
use http_body::Body as HttpBody;
use quipu_fetch::{Cache, Hops, Policy};
use tower_service::Service;

use crate::app::App;
use crate::filter::Filter;
use crate::path;
use crate::policy::Offering;
use crate::proxy::ModuleProxy;
use crate::reply::{self, Refusal, Reply};
use crate::route::Route;

/// Who sent a request: to be put into its extensions by a program that knows. Without it all callers count as one where
/// wrong tokens are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Peer {
    fn of<B>(request: &Request<B>) -> SocketAddr {
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        request.extensions().get::<Self>().map_or(unknown, |peer| peer.0)
    }
}

/// The future of an answer.
pub type Answering = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

/// The whole server. It wants paths from the root: nest it below a prefix with a router that takes the prefix away, and clients
/// get that prefix in their `GOPROXY` (and in the URL of their `GOSUMDB`, if they name one).
impl<B> Service<Request<B>> for App
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    type Response = Reply;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let (app, peer) = (self.clone(), Peer::of(&request));
        Box::pin(async move { Ok(app.answer(request, peer).await) })
    }
}

/// The module proxy alone, without a database and without tokens: everybody who reaches it may read everything. What it lets in
/// is decided by the [`Admit`](quipu_fetch::Admit) that its cache was made with.
#[derive(Clone)]
pub struct Modules(Arc<ModuleProxy>, Arc<str>);

impl Modules {
    /// A proxy in front of `cache`. `instance` is a name that no other proxy has: it ends loops of proxies.
    #[must_use]
    pub fn new(cache: Cache, instance: &str) -> Self {
        let offering = Arc::new(Offering::everything());
        let filter = Filter::new(offering, cache.clone(), None, Policy::default());
        Self(Arc::new(ModuleProxy::new(cache, Arc::new(filter), 0)), instance.into())
    }

    async fn answer(self, request: Request<()>) -> Reply {
        let reply = match self.find(&request).await {
            Ok(reply) => reply,
            Err(refusal) => reply::refuse(&refusal),
        };
        reply::for_method(reply, request.method())
    }

    async fn find(&self, request: &Request<()>) -> Result<Reply, Refusal> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Err(Refusal::Method);
        }
        let path = path::decode(request.uri().path()).map_err(|e| Refusal::BadRequest(e.to_string()))?;
        let Route::Module(module) = Route::parse(&path) else {
            return Err(Refusal::NotFound("not a resource of a module proxy".to_owned()));
        };
        if let Some(reply) = self.0.at_hand(module, request.headers()) {
            return Ok(reply);
        }
        let hops = Hops::read(request.headers());
        if hops.is_loop(&self.1) {
            return Err(Refusal::Loop);
        }
        Ok(hops.scope(self.0.answer(module, request.headers())).await)
    }
}

impl<B> Service<Request<B>> for Modules {
    type Response = Reply;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let (proxy, request) = (self.clone(), request.map(drop));
        Box::pin(async move { Ok(proxy.answer(request).await) })
    }
}
