//! Where events end up.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Batch, BoxError};

/// Writes batches somewhere: a database, a topic, a file.
///
/// Implement it to bring your own storage. A lane of the transport calls [`write`](Sink::write), one batch at a time and in order;
/// batching, retries and dead letters are the lane's work, so a sink does none of them.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Names the sink's lane in the spool, in metrics and logs. Must be unique in a process and the same after a
    /// restart: delivery goes on where the lane of this name stopped.
    fn name(&self) -> &str;

    /// Returns when the batch is safe.
    ///
    /// - `Ok`: the batch is confirmed and never offered again.
    /// - a [retryable](WriteError::retryable) error: the very same batch (id, events, order) is offered again, after a while, for ever.
    /// - a [rejecting](WriteError::rejected) error: the batch is halved until the events that cannot be written are alone; these
    ///   go to the dead letters with the error's text.
    ///
    /// The same batch can be offered again although it was written (the process died before the confirmation):
    /// a sink that must not double events uses [`Batch::id`] to notice.
    async fn write(&self, batch: &Batch) -> Result<(), WriteError>;
}

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
#[error("{}", if self.retry { "the sink cannot write now" } else { "the sink refuses the batch" })]
pub struct WriteError {
    retry: bool,
    after: Option<Duration>,
    source: BoxError,
}

impl WriteError {
    /// Trying the same batch later can succeed.
    pub fn retryable(source: impl Into<BoxError>) -> WriteError {
        WriteError { retry: true, after: None, source: source.into() }
    }

    /// Trying the same batch again is useless: something in it cannot be written.
    pub fn rejected(source: impl Into<BoxError>) -> WriteError {
        WriteError { retry: false, after: None, source: source.into() }
    }

    /// Asks not to be tried again earlier than this.
    pub fn after(mut self, wait: Duration) -> WriteError {
        self.after = Some(wait);
        self
    }

    /// Whether the same batch may be tried again.
    pub fn is_retryable(&self) -> bool {
        self.retry
    }

    /// The wait that the sink asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        self.after
    }

    /// The error and its causes in one line, for dead letters and logs.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
