//! The event model, wire formats, enrichers, query language and traits of Monitor Kit.
//!
//! This crate computes: it does no I/O, reads no clock and starts no task. Time comes in with [`Origin::received`].
//!
//! # The path of an event
//!
//! 1. A receiver reads bytes; [`wire`] turns them into an [`Envelope`] of [`Event`]s, and says of each event that it refuses why.
//! 2. [`Pipeline::submit`] runs the [`Enricher`]s and hands the envelope to the [`Transport`].
//! 3. The transport makes it durable. *Then* the sender is told that the events were accepted.
//! 4. Lanes of the transport form [`Batch`]es with repeatable ids and offer them to each [`Sink`].
//! 5. A [`Store`] answers typed [`query`] questions.
//!
//! Every event that goes another way is counted in [`Counts`] with a reason.

mod batch;
mod counts;
mod delivery;
mod document;
mod enricher;
mod event;
mod exception;
mod integration;
mod origin;
mod pipeline;
mod processor;
mod project;
mod receiver;
mod recent;
mod sink;
mod store;
mod transport;

pub mod enrich;
pub mod process;
pub mod query;
pub mod stack;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod wire;

pub use batch::{Batch, BatchId, Envelope};
pub use counts::{Counts, Gauge, Labelled, Reading, Sample, Total};
pub use delivery::{BackOff, DeadEvent, Delivery};
pub use document::{Document, FieldSet, Only, PROMOTED};
pub use enricher::{Enricher, Verdict};
pub use event::{Attributes, Event, EventId, Json, Kind, MAX_WEIGHT, ParseIdError, ParseKindError, attribute, empty_object};
pub use exception::{Exception, Role};
pub use integration::{Integration, Service, Setup};
pub use origin::{Agent, Device, Origin, Page};
pub use pipeline::{Observer, Pipeline, Submitted};
pub use processor::{Draft, Each, Processor, count_dropped};
pub use project::{Project, ProjectError, Projects};
pub use receiver::{Receiver, Shutdown};
pub use recent::{EventKey, EventKeys, RecentEvents};
pub use sink::{Sink, WriteError};
pub use store::{QueryError, Scope, Store};
pub use transport::{SendError, Transport};

/// For hosts that implement the traits: [`Sink`] and others are `async`.
pub use async_trait::async_trait;

/// Any error, as it crosses a trait.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Longer times are not told from this one: a deadline must be a time that the clock can show.
#[doc(hidden)]
pub const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);
