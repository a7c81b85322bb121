//! Where events come from, other than HTTP.

use std::{future::Future, pin::Pin};

use async_trait::async_trait;

use crate::{BoxError, Pipeline};

/// Brings events in by itself: consumes a topic, tails a file.
///
/// HTTP needs no receiver: the host mounts a service. A receiver submits to the [`Pipeline`] and may forget what it read
/// only when `submit` returned `Ok`. One whose source keeps what it has brought, as a topic does, can also write to sinks of its
/// own and leave the pipeline alone: then its position in the source moves only when everything before it is written.
#[async_trait]
pub trait Receiver: Send {
    /// Runs until `shutdown` resolves. An error, a panic, or a return before that, is a failure, and nobody starts the receiver again: the
    /// host's monitor logs and counts it (`receivers_failed`), is not ready from then on, and its `shutdown` returns `false`.
    async fn run(self: Box<Self>, pipeline: Pipeline, shutdown: Shutdown) -> Result<(), BoxError>;
}

/// Resolves when the receiver should stop.
pub type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;
