//! The service: what hosts build and mount, and which path leads where.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::Future,
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, header, request::Parts};
use monitor_core::{FOR_EVER, Gauge, Labelled, Pipeline, Projects, Sample, Store, wire::SimpleForm};
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, watch};

use crate::{
    LiveHub,
    access::{self, ReadAccess},
    answer::{self, Refusal},
    assets,
    budget::{Budget, Places},
    config::Config,
    cors,
    ingest::Endpoint,
    limiter::{Bucket, Buckets, Rate},
    metrics,
    request::{BodyRef, Incoming},
    response::Body,
    routes,
    system::History,
};

/// All of Monitor Kit's HTTP. Clone it freely: clones share everything.
///
/// It is a [`tower_service::Service`] for requests with any body, and with the feature `server` also a `hyper` service.
/// [`ingest`](HttpService::ingest), [`reader`](HttpService::reader) and [`internal`](HttpService::internal) give parts of it, to be
/// served on different listeners.
#[derive(Clone)]
pub struct HttpService {
    shared: Arc<Shared>,
    surface: Surface,
    prefix: Arc<str>,
}

/// Which paths are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surface {
    All,
    Ingest,
    Reader,
    Internal,
}

/// What all clones share.
pub(crate) struct Shared {
    pub(crate) projects: Arc<Projects>,
    pub(crate) pipeline: Pipeline,
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) live: Option<Arc<LiveHub>>,
    pub(crate) access: Arc<dyn ReadAccess>,
    pub(crate) config: Config,
    /// `true` once the service closes.
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) bodies: Arc<Budget>,
    pub(crate) requests: Arc<Budget>,
    pub(crate) sockets: Arc<Places>,
    pub(crate) queries: Semaphore,
    pub(crate) exports: Arc<Semaphore>,
    pub(crate) history: History,
    /// By project id; events.
    pub(crate) project_rates: HashMap<String, Bucket>,
    /// Requests.
    pub(crate) client_rates: Option<Buckets<IpAddr>>,
    metrics: Registry,
    is_ready: IsReady,
}

/// What the host says about the parts beside the service.
type IsReady = Box<dyn Fn() -> bool + Send + Sync>;

/// Puts a service together.
#[must_use = "a builder does nothing until `build`"]
pub struct HttpServiceBuilder {
    projects: Arc<Projects>,
    pipeline: Pipeline,
    store: Option<Arc<dyn Store>>,
    live: Option<Arc<LiveHub>>,
    access: Arc<dyn ReadAccess>,
    config: Config,
    is_ready: IsReady,
}

impl HttpServiceBuilder {
    /// Answers queries; without one they are answered with 503.
    pub fn store(mut self, store: Arc<dyn Store>) -> HttpServiceBuilder {
        self.store = Some(store);
        self
    }

    /// Feeds the live stream. The hub must also be among the pipeline's observers. Without one there is no live stream.
    pub fn live(mut self, live: Arc<LiveHub>) -> HttpServiceBuilder {
        self.live = Some(live);
        self
    }

    /// Decides who may read. By default [nobody](access::closed).
    pub fn access(mut self, access: Arc<dyn ReadAccess>) -> HttpServiceBuilder {
        self.access = access;
        self
    }

    /// Limits and addresses.
    pub fn config(mut self, config: Config) -> HttpServiceBuilder {
        self.config = config;
        self
    }

    /// Asked by `/readyz` besides the transport: whether all that runs beside the service does. Events are taken all the same.
    pub fn readiness(mut self, is_ready: impl Fn() -> bool + Send + Sync + 'static) -> HttpServiceBuilder {
        self.is_ready = Box::new(is_ready);
        self
    }

    /// The service.
    pub fn build(self) -> HttpService {
        let HttpServiceBuilder { projects, pipeline, store, live, access, config, is_ready } = self;
        let start = Instant::now();
        let project_rate = |per_second: u32| Rate::new(per_second, per_second);
        let project_rates = projects.iter().map(|p| (p.id.clone(), Bucket::new(project_rate(p.max_events_per_second), start))).collect();
        let client_rates = config
            .requests_per_second_per_client
            .map(|rate| Buckets::new(Rate::new(rate, rate.saturating_mul(2)), config.remembered_clients, start));
        let shared = Shared {
            metrics: metrics::registry(pipeline.counts().clone()),
            closing: watch::Sender::new(false),
            bodies: Budget::new(config.in_flight_bytes),
            requests: Budget::new(config.requests),
            sockets: Places::new(config.web_sockets, config.web_sockets_per_client),
            queries: Semaphore::new(config.queries),
            exports: Arc::new(Semaphore::new(config.exports)),
            history: History::new(),
            project_rates,
            client_rates,
            projects,
            pipeline,
            store,
            live,
            access,
            config,
            is_ready,
        };
        HttpService { shared: Arc::new(shared), surface: Surface::All, prefix: "".into() }
    }
}

impl HttpService {
    /// Takes events of these projects and hands them to the pipeline.
    pub fn builder(projects: Arc<Projects>, pipeline: Pipeline) -> HttpServiceBuilder {
        HttpServiceBuilder {
            projects,
            pipeline,
            store: None,
            live: None,
            access: access::closed(),
            config: Config::default(),
            is_ready: Box::new(|| true),
        }
    }

    /// The path under which the host serves this: `/monitor`. It is taken off the paths of requests that still have it,
    /// and used for DSNs and redirects. A router that takes it off itself (axum's `nest_service`) does no harm, unless the prefix is
    /// one of the service's own folders: `/api`, `/query`, `/sdk` and `/assets` would be taken off twice.
    pub fn under(mut self, prefix: &str) -> HttpService {
        let prefix = prefix.trim_matches('/');
        self.prefix = if prefix.is_empty() { "".into() } else { format!("/{prefix}").into() };
        self
    }

    /// Only what takes events, the browser script included, and the health probes.
    pub fn ingest(&self) -> HttpService {
        HttpService { surface: Surface::Ingest, ..self.clone() }
    }

    /// Only queries, live stream and dashboard, and the health probes.
    pub fn reader(&self) -> HttpService {
        HttpService { surface: Surface::Reader, ..self.clone() }
    }

    /// Only `/metrics` and the health probes: for a listener that the public cannot reach. No other part has `/metrics`.
    pub fn internal(&self) -> HttpService {
        HttpService { surface: Surface::Internal, ..self.clone() }
    }

    /// Begins to close: `/readyz` says 503, requests whose body is still coming and new ones are refused with 503,
    /// live streams and WebSockets end. Requests that were read completely are answered as usual.
    ///
    /// The `Server` of this crate does this by itself. Another server's graceful shutdown waits for open answers, and a live stream is one
    /// that nothing else ends: call this as soon as the shutdown begins, for axum inside of the future given to `with_graceful_shutdown`.
    pub fn close(&self) {
        self.shared.closing.send_replace(true);
        if let Some(live) = &self.shared.live {
            live.close();
        }
    }

    /// Waits until nothing that was accepted for work is still being worked on; `false` when that took longer than `within`.
    pub async fn closed(&self, within: Duration) -> bool {
        let Shared { requests, sockets, .. } = &*self.shared;
        let deadline = tokio::time::Instant::now() + within.min(FOR_EVER);
        while requests.used() + sockets.used() > 0 {
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }

    #[cfg(feature = "server")]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// One request, one answer, whatever happens on the way.
    async fn respond<B: Incoming>(self, request: Request<B>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let body = pin!(body);
        // A copy is a pointer; the parts themselves are changed on the way.
        let uri = parts.uri.clone();
        let path = self.path(&uri);
        let family = Family::of(path);
        let work = AssertUnwindSafe(self.route(path, &mut parts, body)).catch_unwind();
        let outcome = work.await.unwrap_or_else(|_panic| {
            // The host's panic hook has told where; the message of a panic may hold data of a request.
            tracing::error!(%path, "a request made the service panic");
            Err(Refusal::Internal)
        });
        let mut response = outcome.unwrap_or_else(|refusal| {
            // A probe asks every few seconds: it would drown what happens to clients.
            if family != Family::Probe {
                self.shared.pipeline.counts().count(Labelled::RequestsRefused, refusal.told().code, 1);
            }
            refusal.answer()
        });
        if family == Family::Ingest {
            cors::make_readable(&mut response);
        }
        finish(&mut response);
        response
    }

    /// The path below the mount point.
    fn path<'a>(&self, uri: &'a Uri) -> &'a str {
        let path = uri.path();
        path.strip_prefix(&*self.prefix).filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path)
    }

    async fn route(&self, path: &str, parts: &mut Parts, body: BodyRef<'_>) -> Result<Response<Body>, Refusal> {
        check_host(parts)?;
        check_headers(&parts.headers, &self.shared.config)?;
        let serves = |surface| self.surface == Surface::All || self.surface == surface;
        let shared = &self.shared;
        match path {
            "/livez" | "/readyz" => {
                only_get(parts)?;
                if path == "/readyz" {
                    shared.check_ready()?;
                }
                Ok(answer::ok("text/plain; charset=utf-8", "ok\n"))
            }
            "/metrics" if self.surface == Surface::Internal => {
                only_get(parts)?;
                shared.metrics()
            }
            _ if self.surface == Surface::Internal => Err(Refusal::NotFound),
            _ if path.starts_with("/api/") || path.starts_with("/sdk/") => {
                if !serves(Surface::Ingest) {
                    return Err(Refusal::NotFound);
                }
                if let Some(file) = path.strip_prefix("/sdk/") {
                    only_get(parts)?;
                    return assets::sdk(file, &parts.headers);
                }
                let endpoint = path.strip_prefix("/api/").and_then(endpoint).ok_or(Refusal::NotFound)?;
                shared.ingest(endpoint, parts, body).await
            }
            _ if !serves(Surface::Reader) => Err(Refusal::NotFound),
            _ if let Some(found) = routes::find(path, &parts.method) => {
                let route = found.map_err(Refusal::MethodNotAllowed)?;
                shared.read(route, &self.prefix, parts, body).await
            }
            // The dashboard's relative URLs need the slash.
            "" if !self.prefix.is_empty() => {
                only_get(parts)?;
                let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
                let to = HeaderValue::try_from(format!("{}/{query}", self.prefix)).map_err(|_| Refusal::NotFound)?;
                Ok(answer::redirect(to))
            }
            "" | "/" => {
                only_get(parts)?;
                Ok(assets::index(&parts.headers))
            }
            _ => {
                only_get(parts)?;
                assets::dashboard(path.trim_start_matches('/'), &parts.headers)
            }
        }
    }
}

/// What all answers of a path have in common, errors included.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Ingest,
    Probe,
    Other,
}

impl Family {
    fn of(path: &str) -> Family {
        match path {
            "/livez" | "/readyz" => Family::Probe,
            _ if path.starts_with("/api/") => Family::Ingest,
            _ => Family::Other,
        }
    }
}

fn endpoint(path: &str) -> Option<Endpoint<'_>> {
    match path {
        "events" => return Some(Endpoint::Simple(SimpleForm::Events)),
        "monitoring" => return Some(Endpoint::Simple(SimpleForm::Monitoring)),
        "report-metric" => return Some(Endpoint::Simple(SimpleForm::Metric)),
        "report-metrics" => return Some(Endpoint::Simple(SimpleForm::Metrics)),
        _ => {}
    }
    let (project, rest) = path.split_once('/')?;
    match rest {
        "events" => Some(Endpoint::Envelope(project)),
        "pixel.gif" => Some(Endpoint::Pixel(project)),
        "ws" => Some(Endpoint::WebSocket(project)),
        _ => None,
    }
}

/// Requests that name no host, or two, are answered by nobody: caches and proxies in front could understand them differently.
fn check_host(parts: &Parts) -> Result<(), Refusal> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (parts.version == Version::HTTP_11 && host.is_none()) {
        return Err(Refusal::BadHost);
    }
    let is_host_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte);
    match host {
        Some(host) if !host.as_bytes().iter().all(is_host_byte) => Err(Refusal::BadHost),
        _ => Ok(()),
    }
}

/// Servers limit the head, but seldom to as little as this service needs.
fn check_headers(headers: &HeaderMap, config: &Config) -> Result<(), Refusal> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    if bytes > config.head_bytes || headers.len() > config.headers { Err(Refusal::HeadTooLarge) } else { Ok(()) }
}

pub(crate) fn only_get(parts: &Parts) -> Result<(), Refusal> {
    match parts.method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(Refusal::MethodNotAllowed("GET, HEAD")),
    }
}

/// What every answer carries.
fn finish(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

impl Shared {
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    pub(crate) fn check_ready(&self) -> Result<(), Refusal> {
        match () {
            () if self.is_closing() => Err(Refusal::ShuttingDown),
            () if !self.pipeline.transport().is_ready() || !(self.is_ready)() => Err(Refusal::NotReady),
            () => Ok(()),
        }
    }

    fn metrics(&self) -> Result<Response<Body>, Refusal> {
        self.update_gauges();
        let text = metrics::render(&self.metrics).map_err(|_| Refusal::Internal)?;
        Ok(answer::ok(metrics::CONTENT_TYPE, text))
    }

    /// The numbers that an exporter gets.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.update_gauges();
        self.pipeline.counts().samples()
    }

    fn update_gauges(&self) {
        let in_flight = i64::try_from(self.bodies.used()).unwrap_or(i64::MAX);
        self.pipeline.counts().set(Gauge::InFlightBytes, "", in_flight);
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").field("surface", &self.surface).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The answer to one request.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<B> tower_service::Service<Request<B>> for HttpService
where
    B: http_body::Body + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    /// Always ready: what is too much is refused with an answer.
    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        Box::pin(self.clone().respond(request).map(Ok))
    }
}

#[cfg(feature = "server")]
impl<B> hyper::service::Service<Request<B>> for HttpService
where
    B: http_body::Body + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<B>) -> Answering {
        Box::pin(self.clone().respond(request).map(Ok))
    }
}

/// Names of headers that `http` has no constant for.
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
