//! Writes one chunk to every sink, until each of its messages is written, dead or known as a copy.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use monitor_core::{BackOff, Batch, DeadEvent, Delivery, Labelled, Sink, Total, count_dropped};
use tokio::{sync::oneshot, task, time::sleep};

use crate::{
    consumer::{
        Shared,
        chunk::{Chunk, Raw},
        copies::Copies,
        dead_letters::DeadLetter,
        form::{Formed, batch_id, form, positions},
    },
    record::encode,
};

/// Names an assignment of a partition to this consumer; the next one is another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) assignment: u64,
}

/// A chunk whose bounds are committed.
pub(crate) struct Work {
    pub(crate) lease: Lease,
    pub(crate) chunk: Chunk,
    pub(crate) repeated: bool,
    /// The number of the command to read it again.
    pub(crate) again: Option<i64>,
    pub(crate) copies: Box<Copies>,
    /// When the commit that recorded the bounds was asked for: so old is the proof that the partition is ours.
    pub(crate) proved: Instant,
    /// The partition was taken away: what is not written yet is another's.
    pub(crate) revoked: Arc<AtomicBool>,
}

/// What a writer tells the thread that owns the partitions.
pub(crate) enum News {
    /// Every message is dealt with, or the partition was taken away in between.
    Ended { lease: Lease, chunk: Chunk, copies: Box<Copies>, written: bool },
    /// Asks whether the partition is still this consumer's.
    IsMine { lease: Lease, answer: oneshot::Sender<bool> },
    /// A sink or a processor panicked; the partition's memory of copies is gone with it.
    Panicked,
}

/// Another consumer has the partition now.
struct Revoked;

/// Writes in a task of its own.
pub(crate) fn start(shared: Arc<Shared>, work: Work, news: mpsc::SyncSender<News>) {
    let runtime = shared.runtime.clone();
    runtime.spawn(async move {
        let mut alarm = Alarm(Some(news.clone()));
        let Work { lease, chunk, repeated, again, copies, proved, revoked } = work;
        let writer = Writer { shared, lease: lease.clone(), revoked, news: news.clone() };
        let ended = match writer.form(chunk, repeated, again, copies).await {
            Some((formed, chunk, copies)) => {
                let written = writer.run(formed, &chunk, proved).await.is_ok();
                News::Ended { lease, chunk, copies, written }
            }
            None => News::Panicked,
        };
        alarm.0 = None;
        // Nobody listens any more when the consumer has ended: then the chunk is another's.
        let _ = news.send(ended);
    });
}

/// Tells of a panic when it is dropped.
struct Alarm(Option<mpsc::SyncSender<News>>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(news) = self.0.take() {
            let _ = news.send(News::Panicked);
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    lease: Lease,
    revoked: Arc<AtomicBool>,
    news: mpsc::SyncSender<News>,
}

impl Writer {
    /// Decodes on a thread that may be busy for a while. `None` when that panicked.
    async fn form(
        &self,
        chunk: Chunk,
        repeated: bool,
        again: Option<i64>,
        mut copies: Box<Copies>,
    ) -> Option<(Formed, Chunk, Box<Copies>)> {
        let (shared, lease) = (self.shared.clone(), self.lease.clone());
        let work = move || {
            let id = batch_id(&lease.topic, lease.partition, &chunk, again);
            let formed = form(id, repeated, &chunk, &mut copies, &shared.config.processors);
            (formed, chunk, copies)
        };
        task::spawn_blocking(work).await.inspect_err(|error| tracing::error!(%error, "reading a batch panicked")).ok()
    }

    async fn run(&self, formed: Formed, chunk: &Chunk, mut proved: Instant) -> Result<(), Revoked> {
        let Formed { batch, unreadable, copies, dropped } = formed;
        let counts = &self.shared.counts;
        let letter = |position: usize, reason: &str| {
            let raw = chunk.message(position)?;
            Some(DeadLetter::new(&self.lease.topic, self.lease.partition, raw, reason))
        };
        let mut letters: Vec<DeadLetter> = unreadable.iter().filter_map(|(position, reason)| letter(*position, reason)).collect();
        let unreadable = letters.len() as u64;
        // It is durable in the topic: who watches need not wait for the sinks.
        self.shared.pipeline.show(batch.envelopes());
        let mut batch = Some(batch);
        for (n, sink) in self.shared.sinks.iter().enumerate() {
            // The last one gets the batch itself.
            let last = n + 1 == self.shared.sinks.len();
            let Some(offered) = (if last { batch.take() } else { batch.clone() }) else { break };
            let (delivered, dead) = self.deliver(&**sink, offered, &mut proved).await?;
            counts.count(Labelled::Delivered, sink.name(), delivered);
            counts.count(Labelled::Batches, sink.name(), 1);
            counts.count(Labelled::DeadLettered, sink.name(), dead.len() as u64);
            let positions = if dead.is_empty() { HashMap::new() } else { positions(chunk) };
            for DeadEvent { batch, error } in dead {
                let reason = error.report();
                tracing::warn!(sink = sink.name(), batch = %batch.id(), error = reason, "an event was refused for good");
                for (origin, event) in batch.events() {
                    let found = positions.get(&(origin.project.clone(), event.id));
                    letters.extend(found.and_then(|position| letter(*position, &reason)).or_else(|| {
                        // A processor made it.
                        let mut payload = Vec::new();
                        encode(origin, event, &mut payload);
                        let raw = Raw { offset: -1, time: 0, key: &[], payload: &payload };
                        Some(DeadLetter::new(&self.lease.topic, self.lease.partition, raw, &reason))
                    }));
                }
            }
        }
        if !letters.is_empty() {
            let mut back_off = self.back_off();
            while let Err(error) = self.shared.dead_letters.send(&letters).await {
                tracing::warn!(error = error.report(), letters = letters.len(), "dead letters could not be put aside");
                if !error.is_retryable() {
                    letters.iter_mut().for_each(DeadLetter::cut);
                }
                self.pause(back_off.next(error.retry_after(), fastrand::f64())).await?;
            }
        }
        counts.add(Total::Consumed, chunk.len() as u64);
        counts.count(Labelled::DeadLettered, "unreadable", unreadable);
        counts.count(Labelled::Duplicate, "topic", copies);
        count_dropped(counts, &dropped);
        Ok(())
    }

    /// Offers a batch to a sink until all of its events are delivered or refused.
    async fn deliver(&self, sink: &dyn Sink, batch: Batch, proved: &mut Instant) -> Result<(u64, Vec<DeadEvent>), Revoked> {
        let mut delivery = Delivery::new(batch);
        while let Some(mut part) = delivery.next_part() {
            let mut back_off = self.back_off();
            loop {
                if proved.elapsed() > self.shared.config.lease {
                    let asked = Instant::now();
                    self.prove().await?;
                    *proved = asked;
                    // An earlier attempt may be older than what the store remembers of batches.
                    part = part.mark_repeated();
                }
                self.check()?;
                match sink.write(&part).await {
                    Ok(()) => {
                        delivery.delivered(&part);
                        break;
                    }
                    Err(error) if error.is_retryable() => {
                        self.shared.counts.count(Labelled::Retried, sink.name(), 1);
                        let wait = back_off.next(error.retry_after(), fastrand::f64());
                        tracing::warn!(sink = sink.name(), batch = %part.id(), error = error.report(), ?wait, "a batch was not written");
                        self.pause(wait).await?;
                    }
                    Err(error) => {
                        delivery.refused(part, error);
                        break;
                    }
                }
            }
            task::yield_now().await;
        }
        Ok(delivery.end())
    }

    fn check(&self) -> Result<(), Revoked> {
        if self.revoked.load(Ordering::SeqCst) { Err(Revoked) } else { Ok(()) }
    }

    /// Asks whether the partition is still ours. A process that was stopped for a while (a suspended machine, a debugger) would
    /// otherwise go on to write what another consumer has written long ago.
    async fn prove(&self) -> Result<(), Revoked> {
        let (answer, mine) = oneshot::channel();
        self.news.send(News::IsMine { lease: self.lease.clone(), answer }).map_err(|_| Revoked)?;
        if mine.await == Ok(true) { Ok(()) } else { Err(Revoked) }
    }

    async fn pause(&self, wait: Duration) -> Result<(), Revoked> {
        let end = Instant::now() + wait;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // In pieces: who waits for the partition should not wait for us.
            sleep(left.min(Duration::from_millis(200))).await;
        }
    }

    fn back_off(&self) -> BackOff {
        BackOff::new(self.shared.config.retry_min, self.shared.config.retry_max)
    }
}
