//! Everything of Monitor Kit that answers HTTP, as one [`tower_service::Service`]: ingest, query API, live stream, dashboard, health and metrics.
//!
//! The service mounts in axum, in plain hyper, in anything that serves `tower` services:
//!
//! ```
//! # use std::sync::Arc;
//! # use monitor_core::{Counts, Pipeline, Project, Projects, testing::MemoryTransport};
//! use monitor_http::{HttpService, LiveHub, access};
//!
//! # let counts = Arc::new(Counts::new());
//! # let transport = Arc::new(MemoryTransport::default());
//! let live = LiveHub::new(counts.clone());
//! let pipeline = Pipeline::new(vec![], transport, vec![live.clone()], counts);
//! let projects = Arc::new(Projects::new(vec![Project::new("shop", "public-key")])?);
//! let service = HttpService::builder(projects, pipeline).live(live).access(access::token("secret")).build().under("/monitor");
//! let app: axum::Router = axum::Router::new().nest_service("/monitor", service);
//! # Ok::<(), monitor_core::BoxError>(())
//! ```
//!
//! # The path of a request with events
//!
//! Cheapest check first: path and method, length, content type, [key, origin, rates](monitor_core::Project), then the body with a
//! deadline and a lowest speed, then capped decompression, then [`monitor_core::wire`]. The answer `202` goes out when the
//! transport has made the events durable, not earlier. Whatever goes another way is refused with a stable code and counted.
//!
//! # What it needs
//!
//! A tokio runtime with timers. The address of the client, as the request extension [`ClientAddr`]: [`Server`] inserts it, other
//! hosts do so themselves. Limits on connections and heads are the HTTP server's: [`Server`] sets them.

pub mod access;

mod answer;
mod assets;
mod budget;
mod client;
mod clock;
mod config;
mod cors;
mod decompress;
mod export;
mod format;
mod ingest;
mod limiter;
mod live;
mod login;
mod meter;
mod metrics;
mod reader;
mod request;
mod response;
mod routes;
#[cfg(feature = "server")]
mod server;
mod service;
mod system;
mod url;
mod websocket;

pub use client::{ClientAddr, Network, ParseNetworkError};
pub use config::{Config, ForwardedHeader};
pub use live::LiveHub;
pub use response::{Body, Broken};
#[cfg(feature = "server")]
pub use server::{Server, ServerConfig};
pub use service::{HttpService, HttpServiceBuilder};
