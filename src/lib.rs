//! Front-end monitoring that you embed: a Rust service receives what happens in your visitors' browsers, makes it durable,
//! enriches it, writes it to ClickHouse exactly once and shows it on a live dashboard.
//!
//! ```
//! use std::time::Duration;
//! use monitor_kit::{Monitor, Project};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let spool = folder.path().join("spool");
//! use monitor_kit::testing::{MemorySink, envelope};
//!
//! let sink = std::sync::Arc::new(MemorySink::new("memory"));
//! let monitor = Monitor::builder()
//!     .project(Project::new("shop", "public-key"))
//!     .spool(spool)
//!     .sink(sink.clone())
//!     .build()
//!     .await?;
//!
//! // What the HTTP service does with a request: `Ok` means that the events are on disk.
//! monitor.pipeline().submit(envelope(1, &["page_view", "click"])).await?;
//!
//! assert!(monitor.shutdown(Duration::from_secs(20)).await);
//! assert_eq!(sink.events().len(), 2);
//! # Ok(()) }
//! ```
//!
//! With the default features the same builder brings the database and the HTTP side:
//!
//! ```no_run
//! # use std::time::Duration;
//! # #[cfg(all(feature = "http", feature = "clickhouse"))]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use monitor_kit::{Monitor, Project, access, clickhouse::ClickHouse};
//!
//! let monitor = Monitor::builder()
//!     .project(Project::new("shop", "public-key").allow_origin("https://shop.example"))
//!     .spool("/var/lib/shop/monitor-spool")
//!     .integration(ClickHouse::new("http://localhost:8123").database("monitor"))
//!     .access(access::token(std::env::var("MONITOR_TOKEN")?))
//!     .build()
//!     .await?;
//!
//! let service = monitor.service();
//! let app: axum::Router = axum::Router::new().nest_service("/monitor", service.clone().under("/monitor"));
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! axum::serve(listener, app)
//!     .with_graceful_shutdown(async move {
//!         let _ = tokio::signal::ctrl_c().await;
//!         service.close(); // or axum would wait for live viewers
//!     })
//!     .await?;
//! monitor.shutdown(Duration::from_secs(20)).await;
//! # Ok(()) }
//! ```
//!
//! # What a 202 promises
//!
//! Every event that was answered with 2xx is on the receiver's disk (`fsync`) and will be returned by the query API exactly once.
//! What is lost before that (in the browser) or refused is counted with a reason, see [`Counts`].
//!
//! # Parts
//!
//! The traits and the event model are in [`monitor_core`], re-exported here. A host plugs in
//!
//! - an [`Enricher`] to add to events, change or drop them,
//! - a [`Sink`] to write them elsewhere, with batching, retries and dead letters done for it,
//! - a [`Store`] to answer queries from elsewhere,
//! - a [`Receiver`] to bring events in by another way than HTTP,
//! - an [`Integration`] that installs several of these together.
//!
//! # Features
//!
//! `http`, `server` and `clickhouse` are on by default; `clickhouse-tls` speaks to servers behind `https://` URLs; `kafka` sends events
//! through Kafka, `kafka-tls` encrypted; `testing` brings test doubles. Without any, what remains is the pipeline, the durable spool and the
//! lanes to your own sinks.

mod monitor;

#[doc(inline)]
pub use monitor_core::*;
#[doc(inline)]
pub use monitor_transport as transport;

#[cfg(feature = "http")]
#[doc(inline)]
pub use monitor_http::{self as http, access};
#[cfg(feature = "clickhouse")]
#[doc(inline)]
pub use monitor_sink_clickhouse as clickhouse;
#[cfg(feature = "kafka")]
#[doc(inline)]
pub use monitor_sink_kafka as kafka;

pub use monitor::{BuildError, Monitor, MonitorBuilder};
