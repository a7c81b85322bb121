//! Reading a body: with a cap on its size, a deadline, and a lowest speed.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use monitor_core::FOR_EVER;

use crate::{
    answer::Refusal,
    budget::{Budget, Hold},
};

/// Any body, as the rest of this crate sees it: bytes and an end.
pub(crate) trait Incoming: Send {
    fn poll_chunk(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>>;
    /// Whether no chunk will come any more, as far as that is known.
    fn is_complete(&self) -> bool;
    /// The length still to come, if it is known.
    fn remaining(&self) -> Option<u64>;
}

/// The connection failed before the end of the body.
pub(crate) struct Broken;

impl<B> Incoming for B
where
    B: http_body::Body + Send,
{
    fn poll_chunk(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            let frame = match self.as_mut().poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(Broken))),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            // Trailers mean nothing here.
            if let Ok(mut data) = frame.into_data() {
                return Poll::Ready(Some(Ok(data.copy_to_bytes(data.remaining()))));
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.is_end_stream()
    }

    fn remaining(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}

/// A body of unknown kind, where it lies.
pub(crate) type BodyRef<'a> = Pin<&'a mut (dyn Incoming + 'a)>;

/// What a body may be.
pub(crate) struct BodyLimits {
    pub(crate) bytes: usize,
    pub(crate) timeout: Duration,
    /// Bytes per second.
    pub(crate) rate: u32,
    pub(crate) grace: Duration,
}

/// Reads a whole body. What it holds of the budget is given back when the hold is dropped.
pub(crate) async fn read(
    mut body: BodyRef<'_>,
    limits: &BodyLimits,
    budget: &Arc<Budget>,
    closing: &watch::Sender<bool>,
) -> Result<(Bytes, Hold), Refusal> {
    let mut hold = budget.hold(0)?;
    // Most bodies come in one piece, which is then returned as it is.
    let mut first = Bytes::new();
    let mut all = Vec::new();
    let mut len = 0usize;
    let start = Instant::now();
    let mut closing = closing.subscribe();
    loop {
        // The time a body of the lowest allowed speed would need for what is here: later than that, and it is slower.
        let earned = Duration::from_millis((len as u64).saturating_mul(1_000) / u64::from(limits.rate.max(1)));
        let deadline = start + limits.timeout.min(limits.grace.saturating_add(earned)).min(FOR_EVER);
        let next = timeout_at(deadline, poll_fn(|context| body.as_mut().poll_chunk(context)));
        let chunk = tokio::select! {
            biased;
            next = next => next.map_err(|_| Refusal::TooSlow)?,
            // A request that is not complete yet can be sent to another receiver.
            _ = closing.wait_for(|closing| *closing) => return Err(Refusal::ShuttingDown),
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|Broken| Refusal::ClientAbort)?;
        if len.saturating_add(chunk.len()) > limits.bytes {
            return Err(Refusal::TooLarge);
        }
        hold.grow(chunk.len())?;
        if len == 0 {
            first = chunk.clone();
        } else {
            if all.is_empty() {
                // Not as much as the client says will come: only what came is paid for.
                all.reserve(2 * len + chunk.len());
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&chunk);
        }
        len += chunk.len();
        if body.is_complete() {
            break;
        }
    }
    Ok((if all.is_empty() { first } else { all.into() }, hold))
}

/// Most bytes of a refused body that are read so that its sender gets to see the answer.
const DRAIN_BYTES: u64 = 4 * 1024 * 1024;
/// Longest time for that.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Reads and forgets the rest of a refused body, unless it is far too large. A connection that is closed with unread bytes is reset, and a
/// reset can overtake the answer: the client would see a network error, and not that it should split, wait or give up.
pub(crate) async fn drain(mut body: BodyRef<'_>) {
    if body.remaining().is_some_and(|remaining| remaining > DRAIN_BYTES) {
        return;
    }
    let read_all = async {
        let mut drained = 0;
        while let Some(Ok(chunk)) = poll_fn(|context| body.as_mut().poll_chunk(context)).await {
            drained += chunk.len() as u64;
            if drained > DRAIN_BYTES {
                break;
            }
        }
    };
    // Whether it ended or time is up: the answer goes out now.
    let _ended = tokio::time::timeout(DRAIN_TIME, read_all).await;
}
