//! Puts the parts together. The only place that names two sibling crates.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use monitor_core::{
    BoxError, Counts, Enricher, Integration, Pipeline, Project, ProjectError, Projects, Receiver, Service, Setup, Sink, Store, Transport,
    enrich,
};
use monitor_transport::{Spool, SpoolBuilder, SpoolError};
use tokio::{sync::watch, task::JoinHandle};

/// A running monitor: pipeline, spool, lanes, and what integrations brought.
///
/// Dropping it is a crash, which is safe: whatever was acknowledged is on disk and goes on at the next start.
/// [`shutdown`](Monitor::shutdown) is the polite way.
#[must_use = "a monitor that is dropped stops at once"]
pub struct Monitor {
    pipeline: Pipeline,
    spool: Arc<Spool>,
    projects: Arc<Projects>,
    store: Option<Arc<dyn Store>>,
    services: Vec<Arc<dyn Service>>,
    receivers: Vec<JoinHandle<()>>,
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
    /// No project was added: nobody could send anything.
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

    /// The spool, to look at dead letters and take them up again.
    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
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
    /// stop. What is not delivered stays in the spool. `true` when everything ended by itself in time.
    pub async fn shutdown(self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let left = || deadline.saturating_duration_since(Instant::now());
        #[cfg(feature = "http")]
        let mut in_time = {
            self.http.close();
            self.http.closed(left()).await
        };
        #[cfg(not(feature = "http"))]
        let mut in_time = true;
        self.stop.send_replace(true);
        for mut receiver in self.receivers {
            if tokio::time::timeout(left(), &mut receiver).await.is_err() {
                receiver.abort();
                in_time = false;
            }
        }
        // Deliver what was accepted so far, but leave time to stop in an orderly way.
        self.spool.flush(left() / 2).await;
        in_time &= self.spool.close(left()).await;
        for service in self.services.iter().rev() {
            service.close(left()).await;
        }
        in_time
    }
}

impl MonitorBuilder {
    /// Adds a project that may send. At least one is needed.
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

    /// Leaves the [built-in enrichers](enrich::standard) out: scrubbing of secrets, IP truncation, clock correction, user agent,
    /// fingerprints. Add those you want with [`enricher`](MonitorBuilder::enricher).
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

    /// Says who may read. Default: nobody.
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
        if self.projects.is_empty() {
            return Err(BuildError::NoProject);
        }
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
        let spool = self.spool.open(sinks, counts.clone()).await?;
        let transport: Arc<dyn Transport> = spool.clone();

        #[cfg(feature = "http")]
        let live = monitor_http::LiveHub::new(counts.clone());
        #[cfg(feature = "http")]
        let observers: Vec<Arc<dyn monitor_core::Observer>> = vec![live.clone()];
        #[cfg(not(feature = "http"))]
        let observers = Vec::new();

        let pipeline = Pipeline::new(enrichers, transport, observers, counts);
        #[cfg(feature = "http")]
        let http = {
            let builder = monitor_http::HttpService::builder(projects.clone(), pipeline.clone());
            let builder = builder.live(live).access(self.access).config(self.http);
            match &store {
                Some(store) => builder.store(store.clone()).build(),
                None => builder.build(),
            }
        };
        let stop = watch::Sender::new(false);
        let receivers = receivers.into_iter().map(|receiver| start(receiver, pipeline.clone(), stop.subscribe())).collect();
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

/// Runs a receiver in a task; one that ends before it is told to is an error that somebody has to see.
fn start(receiver: Box<dyn Receiver>, pipeline: Pipeline, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let stopped = stop.clone();
    let shutdown = Box::pin(async move {
        // An error means that the monitor is gone, which is a reason to stop, too.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    tokio::spawn(async move {
        match receiver.run(pipeline, shutdown).await {
            Err(error) => tracing::error!(%error, "a receiver failed"),
            Ok(()) if !*stopped.borrow() => tracing::error!("a receiver ended before it was told to"),
            Ok(()) => (),
        }
    })
}
