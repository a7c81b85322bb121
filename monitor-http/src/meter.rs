//! Pays for what came of a message that is not complete yet.
//!
//! A body is paid for as it comes. The pieces of a WebSocket message lie in the protocol layer, out of sight, until the last one is
//! there; so the bytes are counted where they come in, from the same budget.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::budget::{Hold, UsedUp};

/// A stream whose unsettled bytes are held. Reading fails with [`UsedUp`] when the budget is used up.
pub(crate) struct Metered<S> {
    stream: S,
    hold: Hold,
    /// When the first unsettled byte came.
    since: Option<Instant>,
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, hold: Hold) -> Metered<S> {
        Metered { stream, hold, since: None }
    }

    /// The message is done: nothing is held for it any more.
    pub(crate) fn settle(&mut self) {
        self.settle_part(usize::MAX);
    }

    /// So many bytes were no part of a message that is still coming.
    pub(crate) fn settle_part(&mut self, bytes: usize) {
        self.hold.shrink(bytes);
        if self.hold.held() == 0 {
            self.since = None;
        }
    }

    /// Whether a message has been coming for at least this time.
    pub(crate) fn is_late(&self, after: Duration) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= after)
    }
}

/// Whether reading failed because the budget is used up.
pub(crate) fn is_used_up(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<UsedUp>())
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let came = buffer.filled().len().saturating_sub(before);
        if came > 0 {
            self.hold.grow(came).map_err(io::Error::other)?;
            self.since.get_or_insert_with(Instant::now);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
