//! Who takes over responsibility for accepted events.

use std::time::Duration;

use async_trait::async_trait;

use crate::{BoxError, Envelope};

/// Takes envelopes from the pipeline and answers for them from then on.
///
/// The durable spool of `monitor-transport` is the one that is used; [`testing::MemoryTransport`](crate::testing::MemoryTransport)
/// remembers what it was given.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Returns `Ok` when the envelope is safe: only then may the client be told that its events were accepted.
    /// If the caller gives up waiting, the envelope may or may not have been taken.
    async fn send(&self, envelope: Envelope) -> Result<(), SendError>;

    /// Waits until everything taken so far has been delivered; `false` when that took longer than `within`.
    async fn flush(&self, within: Duration) -> bool;

    /// Takes nothing more and stops. What is not delivered yet stays safe and is delivered after the next start.
    /// `false` when that took longer than `within`.
    async fn close(&self, within: Duration) -> bool;

    /// `false` while sends are being refused (the readiness probe asks).
    fn is_ready(&self) -> bool;
}

/// Why an envelope was not taken. Nothing of it was kept, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No room right now: the queue, the spool or the disk is full, or the project has used up its share.
    #[error("no room in the spool")]
    Full {
        /// What had no room; a stable word for metrics: `queue`, `spool`, `disk`, `project_share`.
        what: &'static str,
    },
    /// The transport was closed.
    #[error("the transport is closed")]
    Closed,
    /// Writing failed. The envelope may appear all the same, once.
    #[error("the spool could not be written")]
    Failed(#[source] BoxError),
}
