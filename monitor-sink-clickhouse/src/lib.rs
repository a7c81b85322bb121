//! ClickHouse for Monitor Kit: a sink that writes each event once, a store that answers questions, and their schema.
//!
//! ```no_run
//! use monitor_core::{Counts, Integration, Setup};
//! use monitor_sink_clickhouse::ClickHouse;
//!
//! # fn main() -> Result<(), monitor_core::BoxError> {
//! let mut setup = Setup::new(std::sync::Arc::new(Counts::new()));
//! Box::new(ClickHouse::new("http://localhost:8123").retention_days(30)).install(&mut setup)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Modules, in the order of an event's way
//!
//! - `config`: what a host says; installs sink and store.
//! - `schema`: the tables, as numbered migrations; `clustered`: the same for a cluster.
//! - `sink`: one batch, one insert; three layers against copies.
//! - `row`, `block`: events to columns, columns to bytes; `calendar`: the days and hours that tables are divided by.
//! - `classify`: what an error of the server means.
//! - [`embedded`]: the engine as a helper process of this one.
//! - `query`: questions to SQL, rows to answers; `sql` keeps outside text out of statements.
//! - `rollup`: what questions need of a day, worked out once.

mod block;
mod calendar;
mod classify;
mod clustered;
mod config;
mod connection;
pub mod embedded;
mod query;
mod rollup;
mod row;
mod schema;
mod sink;
mod sql;

pub use clustered::Cluster;
pub use config::{ClickHouse, ConfigError};
pub use query::ClickHouseStore;
pub use rollup::{Built, Repaired, RollupError, Rollups};
pub use schema::SchemaError;
pub use sink::ClickHouseSink;
