//! Puts the parts together. The only place that names two sibling crates.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use monitor_core::{
    BoxError, Counts, Enricher, Envelope, FOR_EVER, Integration, Labelled, Observer, Pipeline, Project, ProjectError, Projects, Receiver,
    SendError, Service, Setup, Sink, Store, Transport, async_trait, enrich,
};
use monitor_transport::{Spool, SpoolBuilder, SpoolError};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// A running monitor: pipeline, spool, lanes, and what integrations brought.
///
/// Dropping it, with every clone of its service and its pipeline, is a crash, which is safe: whatever was acknowledged is on disk and
/// goes on at the next start. [`shutdown`](Monitor::shutdown) is the polite way.
#[must_use = "end it with `shutdown`; dropping it is a crash"]
pub struct Monitor {
    pipeline: Pipeline,
    spool: Option<Arc<Spool>>,
    projects: Arc<Projects>,
    store: Option<Arc<dyn Store>>,
    services: Vec<Arc<dyn Service>>,
    /// Each says in the end whether it did as it should.
    receivers: Vec<JoinHandle<bool>>,
    stop: watch::Sender<bool>,
    #[cfg(feature = "http")]
    http: monitor_http::HttpService,
}

/// Configures a [`Monitor`].
#[must_use = "nothing runs before `build`"]
pub struct MonitorBuilder {
    spool: SpoolBuilder,
    projects: Vec<Project>,
    integrations: Vec<Box<dyn Integration>>,
    standard_enrichers: bool,
    enrichers: Vec<Box<dyn Enricher>>,
    sinks: Vec<Arc<dyn Sink>>,
    receivers: Vec<Box<dyn Receiver>>,
    counts: Arc<Counts>,
    #[cfg(feature = "http")]
    access: Arc<dyn monitor_http::access::ReadAccess>,
    #[cfg(feature = "http")]
    http: monitor_http::Config,
}

/// Why a monitor could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No project was added, and no receiver either: nobody could send anything.
    #[error("add a project first: `.project(Project::new(id, key))`")]
    NoProject,
    /// The projects contradict each other.
    #[error("the projects cannot be used")]
    Projects(#[from] ProjectError),
    /// The spool could not be opened.
    #[error("the spool cannot be opened")]
    Spool(#[from] SpoolError),
    /// An integration refused to be installed.
    #[error("the integration {name} cannot be installed")]
    Integration {
        /// Its name.
        name: &'static str,
        /// Why.
        source: BoxError,
    },
    /// Two sinks have the same name.
    #[error("two sinks are named {0:?}: lanes are kept apart by the sink's name")]
    SameSink(String),
}

impl Monitor {
    /// Starts to configure.
    pub fn builder() -> MonitorBuilder {
        MonitorBuilder {
            spool: Spool::builder("./monitor-spool"),
            projects: Vec::new(),
            integrations: Vec::new(),
            standard_enrichers: true,
            enrichers: Vec::new(),
            sinks: Vec::new(),
            receivers: Vec::new(),
            counts: Arc::new(Counts::new()),
            #[cfg(feature = "http")]
            access: monitor_http::access::closed(),
            #[cfg(feature = "http")]
            http: monitor_http::Config::default(),
        }
    }

    /// Everything that answers HTTP, as a `tower` service to mount in your server: ingest, query API, live stream, dashboard,
    /// `/livez` and `/readyz`. `ingest()`, `reader()` and `internal()` of it are the parts, for listeners of their own;
    /// `/metrics` is only on `internal()`. Under a mount path, also in axum's `nest_service`, add `.under("/path")`, so that the DSNs it shows have it.
    ///
    /// A server of your own has to call [`close`](monitor_http::HttpService::close) when its graceful shutdown begins: live streams end by
    /// nothing else, and it would wait for them.
    #[cfg(feature = "http")]
    pub fn service(&self) -> monitor_http::HttpService {
        self.http.clone()
    }

    /// The way in for the host's own events and receivers.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Answers the host's own questions; `None` when no integration brought a store.
    pub fn store(&self) -> Option<&Arc<dyn Store>> {
        self.store.as_ref()
    }

    /// The spool, to look at dead letters and take them up again. `None` in a process that only consumes: with
    /// receivers and without sinks of its own it refuses events, and needs no spool.
    pub fn spool(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref()
    }

    /// What happened to every event.
    pub fn counts(&self) -> &Arc<Counts> {
        self.pipeline.counts()
    }

    /// The projects that may send.
    pub fn projects(&self) -> &Projects {
        &self.projects
    }

    /// Stops in order: HTTP takes nothing new, receivers end, the spool commits, lanes deliver what they can within the time, services
    /// stop. What is not delivered stays in the spool. Each step may use half of the time that is left, so that one that hangs
    /// leaves enough to those after it. `true` when everything ended by itself in time, and no receiver had failed.
    pub async fn shutdown(self, within: Duration) -> bool {
        let deadline = Instant::now() + within.min(FOR_EVER);
        let left = || deadline.saturating_duration_since(Instant::now());
        #[cfg(feature = "http")]
        let mut in_time = {
            self.http.close();
            self.http.closed(left() / 2).await
        };
        #[cfg(not(feature = "http"))]
        let mut in_time = true;
        self.stop.send_replace(true);
        let receivers_end = Instant::now() + left() / 2;
        for mut receiver in self.receivers {
            let left = receivers_end.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, &mut receiver).await {
                Ok(ended) => in_time &= ended.unwrap_or(false),
                Err(_late) => {
                    receiver.abort();
                    in_time = false;
                }
            }
        }
        // What was accepted so far is delivered before the lanes are told to end.
        let transport = self.pipeline.transport();
        transport.flush(left() / 2).await;
        in_time &= transport.close(left() / 2).await;
        for service in self.services.iter().rev() {
            service.close(left()).await;
        }
        in_time && !left().is_zero()
    }
}

impl MonitorBuilder {
    /// Adds a project that may send. At least one is needed, unless receivers bring events in by themselves.
    pub fn project(mut self, project: Project) -> MonitorBuilder {
        self.projects.push(project);
        self
    }

    /// The directory of the durable spool. Default: `./monitor-spool`. It is
    /// created, its parent is not: a volume that is not mounted must not be mistaken for an empty spool. Only one process can use it at a time. Set this before
    /// [`configure_spool`](MonitorBuilder::configure_spool): it begins with default settings.
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> MonitorBuilder {
        self.spool = Spool::builder(directory);
        self
    }

    /// Changes the spool's settings: `.configure_spool(|spool| spool.max_bytes(2 << 30))`.
    pub fn configure_spool(mut self, configure: impl FnOnce(SpoolBuilder) -> SpoolBuilder) -> MonitorBuilder {
        self.spool = configure(self.spool);
        self
    }

    /// Adds a part that installs itself.
    pub fn integration(mut self, integration: impl Integration + 'static) -> MonitorBuilder {
        self.integrations.push(Box::new(integration));
        self
    }

    /// Adds an enricher; it runs after the built-in ones and before those of integrations.
    pub fn enricher(mut self, enricher: impl Enricher + 'static) -> MonitorBuilder {
        self.enrichers.push(Box::new(enricher));
        self
    }

    /// Leaves the [built-in enrichers](enrich::standard) out: scrubbing of secrets, IP truncation, clock correction, flags on
    /// impossible values, user agent, fingerprints. Add those you want with [`enricher`](MonitorBuilder::enricher).
    pub fn without_standard_enrichers(mut self) -> MonitorBuilder {
        self.standard_enrichers = false;
        self
    }

    /// Adds a sink; it gets a lane of its own.
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> MonitorBuilder {
        self.sinks.push(sink);
        self
    }

    /// Adds a receiver; it is started with the pipeline.
    pub fn receiver(mut self, receiver: impl Receiver + 'static) -> MonitorBuilder {
        self.receivers.push(Box::new(receiver));
        self
    }

    /// Says who may read, and who may decide about issues: one [token](monitor_http::access::token), [accounts](monitor_http::access::Accounts)
    /// with roles, or the host's own [`ReadAccess`](monitor_http::access::ReadAccess). Default: nobody.
    #[cfg(feature = "http")]
    pub fn access(mut self, access: Arc<dyn monitor_http::access::ReadAccess>) -> MonitorBuilder {
        self.access = access;
        self
    }

    /// Limits and addresses of the HTTP service.
    #[cfg(feature = "http")]
    pub fn http(mut self, config: monitor_http::Config) -> MonitorBuilder {
        self.http = config;
        self
    }

    /// Installs the integrations, opens the spool and starts the lanes. Must run inside a tokio runtime. It does not wait for
    /// databases: a server that is absent only delays delivery.
    pub async fn build(self) -> Result<Monitor, BuildError> {
        let projects = Arc::new(Projects::new(self.projects)?);
        let counts = self.counts;
        let mut setup = Setup::new(counts.clone());
        setup.enrichers = if self.standard_enrichers { enrich::standard() } else { Vec::new() };
        setup.enrichers.extend(self.enrichers);
        setup.sinks = self.sinks;
        setup.receivers = self.receivers;
        for integration in self.integrations {
            let name = integration.name();
            integration.install(&mut setup).map_err(|source| BuildError::Integration { name, source })?;
        }
        let Setup { enrichers, sinks, store, receivers, services, .. } = setup;
        for (n, sink) in sinks.iter().enumerate() {
            if sinks.iter().take(n).any(|other| other.name() == sink.name()) {
                return Err(BuildError::SameSink(sink.name().to_owned()));
            }
        }
        if projects.iter().next().is_none() && receivers.is_empty() {
            return Err(BuildError::NoProject);
        }
        let consumes_only = sinks.is_empty() && !receivers.is_empty();
        let spool =
            if consumes_only { None } else { Some(self.spool.projects(projects.iter().count()).open(sinks, counts.clone()).await?) };
        let transport: Arc<dyn Transport> = match &spool {
            Some(spool) => spool.clone(),
            None => Arc::new(NoTransport),
        };

        #[cfg(feature = "http")]
        let live = monitor_http::LiveHub::new(counts.clone());
        #[cfg(feature = "http")]
        let observers: Vec<Arc<dyn Observer>> = vec![Arc::new(Log), live.clone()];
        #[cfg(not(feature = "http"))]
        let observers: Vec<Arc<dyn Observer>> = vec![Arc::new(Log)];

        let pipeline = Pipeline::new(enrichers, transport, observers, counts);
        let stop = watch::Sender::new(false);
        let receivers: Vec<_> = receivers.into_iter().map(|receiver| start(receiver, pipeline.clone(), stop.subscribe())).collect();
        #[cfg(feature = "http")]
        let http = {
            let builder = monitor_http::HttpService::builder(projects.clone(), pipeline.clone());
            let builder = builder.live(live).access(self.access).config(self.http);
            // While the monitor runs, a receiver that has ended has failed.
            let running: Vec<_> = receivers.iter().map(JoinHandle::abort_handle).collect();
            let builder = builder.readiness(move || !running.iter().any(tokio::task::AbortHandle::is_finished));
            match &store {
                Some(store) => builder.store(store.clone()).build(),
                None => builder.build(),
            }
        };
        Ok(Monitor {
            pipeline,
            spool,
            projects,
            store,
            services,
            receivers,
            stop,
            #[cfg(feature = "http")]
            http,
        })
    }
}

/// Writes what the pipeline has to tell into the log.
struct Log;

impl Observer for Log {
    fn is_watching(&self) -> bool {
        false
    }

    fn accepted(&self, _envelope: Arc<Envelope>) {}

    fn panicked(&self, enricher: &'static str) {
        tracing::error!(enricher, "an enricher panicked; events that it panics on are dropped and counted");
    }
}

/// Of a process that takes no events itself: its receivers write to sinks of their own.
struct NoTransport;

#[async_trait]
impl Transport for NoTransport {
    async fn send(&self, _envelope: Envelope) -> Result<(), SendError> {
        Err(SendError::Closed)
    }

    async fn flush(&self, _within: Duration) -> bool {
        true
    }

    async fn close(&self, _within: Duration) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        true
    }
}

/// Runs a receiver in a task, which says whether it did as it should. One that ends before it is told to is an error that somebody has to see.
fn start(receiver: Box<dyn Receiver>, pipeline: Pipeline, stop: watch::Receiver<bool>) -> JoinHandle<bool> {
    let counts = pipeline.counts().clone();
    for how in [FAILED, PANICKED, EARLY] {
        counts.announce(Labelled::ReceiversFailed, how);
    }
    // An error means that the monitor is gone, which is a reason to stop, too.
    let is_told = |stop: &watch::Receiver<bool>| *stop.borrow() || stop.has_changed().is_err();
    let mut told = stop.clone();
    let shutdown = Box::pin(async move {
        let _ = told.wait_for(|stop| *stop).await;
    });
    tokio::spawn(async move {
        // In a set, it ends with this task.
        let mut running = JoinSet::new();
        running.spawn(async move { receiver.run(pipeline, shutdown).await });
        let how = match running.join_next().await {
            Some(Ok(Ok(()))) if is_told(&stop) => return true,
            Some(Ok(Ok(()))) => {
                tracing::error!("a receiver ended before it was told to");
                EARLY
            }
            Some(Ok(Err(error))) => {
                tracing::error!(%error, "a receiver failed");
                FAILED
            }
            // The host's panic hook has told where; the message of a panic may hold data of an event.
            Some(Err(_)) | None => {
                tracing::error!("a receiver panicked");
                PANICKED
            }
        };
        counts.count(Labelled::ReceiversFailed, how, 1);
        false
    })
}

/// How receivers fail.
const FAILED: &str = "failed";
const PANICKED: &str = "panicked";
const EARLY: &str = "early";

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may fail loudly
mod tests {
    use std::sync::Mutex;

    use monitor_core::{
        Shutdown,
        testing::{MemorySink, envelope},
    };

    use super::*;

    /// A receiver that does not hear that it should end.
    struct Deaf;

    #[async_trait]
    impl Receiver for Deaf {
        async fn run(self: Box<Self>, _pipeline: Pipeline, _shutdown: Shutdown) -> Result<(), BoxError> {
            std::future::pending().await
        }
    }

    type End = fn() -> Result<(), BoxError>;

    /// A receiver that ends in this way, when it is told to or at once.
    struct Ends {
        how: End,
        at_once: bool,
    }

    #[async_trait]
    impl Receiver for Ends {
        async fn run(self: Box<Self>, _pipeline: Pipeline, shutdown: Shutdown) -> Result<(), BoxError> {
            if !self.at_once {
                shutdown.await;
            }
            (self.how)()
        }
    }

    /// Remembers how much time it was given to stop, and what was delivered by then.
    struct Engine {
        sink: Arc<MemorySink>,
        stopped: Mutex<Option<(Duration, usize)>>,
    }

    #[async_trait]
    impl Service for Engine {
        async fn close(&self, within: Duration) {
            *self.stopped.lock().unwrap() = Some((within, self.sink.batches().len()));
        }
    }

    struct Installs(Arc<Engine>);

    impl Integration for Installs {
        fn name(&self) -> &'static str {
            "engine"
        }

        fn install(self: Box<Self>, setup: &mut Setup) -> Result<(), BoxError> {
            setup.sinks.push(self.0.sink.clone());
            setup.services.push(self.0);
            Ok(())
        }
    }

    fn engine() -> Arc<Engine> {
        Arc::new(Engine { sink: Arc::new(MemorySink::new("memory")), stopped: Mutex::new(None) })
    }

    fn builder(home: &std::path::Path, engine: &Arc<Engine>) -> MonitorBuilder {
        let spool = Monitor::builder().project(Project::new("shop", "pk_shop_0000000000")).spool(home.join("spool"));
        spool.configure_spool(|spool| spool.min_free_disk(0)).integration(Installs(engine.clone()))
    }

    #[tokio::test]
    async fn a_receiver_that_hangs_leaves_time_to_deliver_and_to_stop_the_services() {
        let home = tempfile::tempdir().unwrap();
        let engine = engine();
        let monitor = builder(home.path(), &engine).receiver(Deaf).build().await.unwrap();
        assert_eq!(monitor.pipeline().submit(envelope(1, &["a"])).await.unwrap().accepted, 1);
        assert!(!monitor.shutdown(Duration::from_secs(2)).await);
        let (within, delivered) = engine.stopped.lock().unwrap().unwrap();
        assert!(within > Duration::from_millis(200), "{within:?}");
        assert_eq!(delivered, 1);
    }

    #[tokio::test]
    async fn a_receiver_that_fails_is_counted_and_spoils_the_shutdown() {
        let ways: [(End, bool, &str); 5] = [
            (|| Ok(()), true, EARLY),
            (|| Err("no broker".into()), true, FAILED),
            (|| panic!("on purpose"), true, PANICKED),
            (|| Err("no commit".into()), false, FAILED),
            (|| Ok(()), false, ""),
        ];
        for (how, at_once, counted) in ways {
            let home = tempfile::tempdir().unwrap();
            let monitor = builder(home.path(), &engine()).receiver(Ends { how, at_once }).build().await.unwrap();
            if at_once {
                while !monitor.receivers.iter().all(JoinHandle::is_finished) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            let counts = monitor.counts().clone();
            assert_eq!(monitor.shutdown(Duration::from_secs(5)).await, counted.is_empty(), "{counted}");
            let expected = u64::from(!counted.is_empty());
            assert_eq!((counts.sum(Labelled::ReceiversFailed), counts.labelled(Labelled::ReceiversFailed, counted)), (expected, expected));
        }
    }

    #[cfg(feature = "server")]
    #[tokio::test]
    async fn a_process_whose_receiver_has_ended_is_not_ready() {
        for (at_once, status) in [(false, 200), (true, 503)] {
            let home = tempfile::tempdir().unwrap();
            let monitor = builder(home.path(), &engine()).receiver(Ends { how: || Ok(()), at_once }).build().await.unwrap();
            while at_once && !monitor.receivers.iter().all(JoinHandle::is_finished) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let request = hyper::Request::get("/readyz").header("host", "localhost").body(axum::body::Body::empty()).unwrap();
            let answer = hyper::service::Service::call(&monitor.service(), request).await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(monitor.shutdown(Duration::from_secs(5)).await, !at_once);
        }
    }

    #[tokio::test]
    async fn what_operators_are_alerted_by_is_there_before_the_first_loss() {
        let home = tempfile::tempdir().unwrap();
        let monitor = builder(home.path(), &engine()).receiver(Deaf).build().await.unwrap();
        let shown: Vec<_> = monitor.counts().samples().into_iter().filter_map(|sample| Some((sample.name, sample.label?.1))).collect();
        for (name, label) in [("events_dead_lettered", "memory"), ("events_expired", "memory"), ("receivers_failed", PANICKED)] {
            assert!(shown.contains(&(name, label.to_owned())), "{name}: {shown:?}");
        }
    }

    #[tokio::test]
    async fn a_process_that_only_consumes_needs_neither_project_nor_spool() {
        let home = tempfile::tempdir().unwrap();
        let spool = home.path().join("spool");
        let nobody = Monitor::builder().spool(&spool).build().await;
        assert!(matches!(nobody, Err(BuildError::NoProject)));
        let monitor = Monitor::builder().spool(&spool).receiver(Deaf).build().await.unwrap();
        assert!(monitor.spool().is_none() && !spool.exists());
        assert!(matches!(monitor.pipeline().submit(envelope(1, &["a"])).await, Err(SendError::Closed)));
        assert!(!monitor.shutdown(Duration::from_millis(500)).await, "the receiver does not hear");
    }

    #[tokio::test]
    async fn a_shutdown_may_have_all_the_time_in_the_world() {
        let home = tempfile::tempdir().unwrap();
        let engine = engine();
        let monitor = builder(home.path(), &engine).build().await.unwrap();
        assert!(monitor.shutdown(Duration::MAX).await);
        assert!(engine.stopped.lock().unwrap().is_some());
    }
}
