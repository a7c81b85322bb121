//! A lane delivers to one sink: it forms batches from the spool, seals, writes, retries, halves what is refused, and confirms.
//!
//! ```text
//!            ┌──────────────── read again ◄── changed ──┐
//!            ▼                                          │
//! wait ──► read ──► seal (committed) ────────────────────┤
//!                                                       ▼
//!                 ┌──── back off ◄── retryable, panic ── write ◄──────┐
//!                 └─────────────────────────────────────► │           │
//!                                                        ok      refused: halve,
//!                                                         │      down to one event
//!                                                         ▼           │
//!                              confirm + dead letters (one commit) ◄──┘
//! ```
//!
//! While a batch is written and another full one waits, that one is read [ahead](Ahead).
//!
//! The id of a batch is `<spool id>-<sink>-<first>-<last>`, with `-<n>` appended when damage changed its rows n times, and `.0` or
//! `.1` for each halving, and then `~` and a hash of the events in it: at most 200 bytes. It can be made again from what is committed, so that a batch offered before a crash is
//! offered after it under the same id, with the same events in the same order.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use monitor_core::{BackOff, Batch, DeadEvent, Delivery, Envelope, Labelled, Sink, WriteError};
use tokio::{
    sync::watch,
    task,
    time::{Instant, sleep, sleep_until},
};

use crate::spool::{Failure, LaneState, Letter, Limits, Order, Range, Remedy, Seal, Sealed, Shared, encode, read};

/// Failed reads in a row after which the file is taken for damaged.
const READS: u32 = 5;
/// How long after the first attempt a sink is trusted to know a batch by its id: replicated tables of ClickHouse forget ids after an hour unless they
/// are told otherwise.
const REMEMBERED: Duration = Duration::from_secs(600);

pub(crate) struct Lane {
    shared: Arc<Shared>,
    index: usize,
    sink: Arc<dyn Sink>,
    /// The batch to be offered first: it was open when the last process ended, or the writer says that it is open.
    sealed: Option<Sealed>,
    closing: watch::Receiver<bool>,
    failed_reads: u32,
    ahead: Option<Ahead>,
}

/// What is read while the batch before it is written. It only saves time: whatever happened to the entries since then, the seal notices it, and
/// they are read again.
struct Ahead {
    first: i64,
    /// In which file: another opening may have found others.
    openings: u64,
    reading: task::JoinHandle<Result<Range, Failure>>,
}

/// A sealed batch.
struct Work {
    batch: Batch,
    last: i64,
}

/// The lane has to end.
struct Closing;

/// What became of a batch.
#[derive(Default)]
struct Resolved {
    delivered: u64,
    dead: Vec<Letter>,
}

impl Lane {
    pub(crate) fn new(shared: Arc<Shared>, index: usize, sink: Arc<dyn Sink>, sealed: Option<Sealed>) -> Lane {
        let closing = shared.closing.subscribe();
        Lane { shared, index, sink, sealed, closing, failed_reads: 0, ahead: None }
    }

    /// Runs until the spool closes. A panic (of this code: those of the sink are dealt with where it is called) starts it again.
    pub(crate) async fn supervise(mut self) {
        loop {
            match catch(self.run()).await {
                Ok(Closing) => {
                    // Nothing reads a spool that is closed; what came of it is of no interest any more.
                    if let Some(ahead) = self.ahead.take() {
                        let _ = ahead.reading.await;
                    }
                    return;
                }
                Err(panic) => {
                    tracing::error!(sink = self.sink.name(), panic = text(&*panic), "a lane panicked; it starts again");
                    self.shared.counts.count(Labelled::Restarts, self.sink.name(), 1);
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn run(&mut self) -> Closing {
        loop {
            let Ok(work) = self.next().await else { return Closing };
            let Ok(resolved) = self.deliver(work.batch).await else { return Closing };
            if self.confirm(work.last, resolved).await.is_err() {
                return Closing;
            }
        }
    }

    fn state(&self) -> Option<&LaneState> {
        self.shared.lanes.get(self.index)
    }

    /// The next batch, sealed.
    async fn next(&mut self) -> Result<Work, Closing> {
        let mut back_off = self.back_off();
        loop {
            let range = match self.sealed {
                Some(Sealed { first, last, .. }) => {
                    let range = self.read(first, last, Limits { events: u64::MAX, json: u64::MAX }).await;
                    // The bounds are part of the id: they stay, whatever was found between them.
                    range.map(|range| Range { first, last, ..range })
                }
                None => {
                    let (first, last) = self.wait().await?;
                    match self.take_ahead(first).await {
                        Some(range) => Some(range),
                        None => self.read(first, last, self.limits()).await,
                    }
                }
            };
            let Some(Range { first, last, envelopes, bad, events, json }) = range else {
                self.pause(back_off.next(None, fastrand::f64())).await?;
                continue;
            };
            if envelopes.is_empty() && bad.is_empty() && self.sealed.is_none() {
                self.confirm(last, Resolved::default()).await?;
                continue;
            }
            let (lane, rows) = (self.index, envelopes.len() as u64);
            match self.shared.ask(|done| Order::Seal { lane, first, last, rows, bad, done }).await {
                Some(Seal::Sealed { id, repeated }) => {
                    self.sealed = None;
                    self.read_ahead(last, events, json);
                    let batch = Batch::new(id.of_content(&envelopes), envelopes);
                    return Ok(Work { batch: if repeated { batch.mark_repeated() } else { batch }, last });
                }
                Some(Seal::Resume(sealed)) => self.sealed = Some(sealed),
                // If a batch is open all the same, the next answer says so.
                Some(Seal::Changed) => self.sealed = None,
                None => self.pause(back_off.next(None, fastrand::f64())).await?,
            }
        }
    }

    /// Waits until there is enough for a batch, or something for long enough. Returns where to read.
    async fn wait(&mut self) -> Result<(i64, i64), Closing> {
        let shared = self.shared.clone();
        let Some(state) = shared.lanes.get(self.index) else { return Err(Closing) };
        let config = &shared.config;
        let mut deadline = None;
        loop {
            if *self.closing.borrow() {
                return Err(Closing);
            }
            let (last, confirmed) = (shared.last.load(SeqCst), state.confirmed.load(SeqCst));
            if last > confirmed {
                let due = *deadline.get_or_insert_with(|| Instant::now() + config.linger);
                let enough = state.pending_events.load(SeqCst) >= config.batch_events
                    || state.pending_json.load(SeqCst) >= config.batch_bytes
                    || shared.hurry.load(SeqCst) > confirmed;
                if enough || Instant::now() >= due {
                    return Ok((confirmed + 1, last));
                }
            }
            // The wish is made known before the numbers are looked at again, so that no news falls in between.
            state.wants.store(if deadline.is_some() { config.batch_events } else { 0 }, SeqCst);
            if deadline.is_none() && shared.last.load(SeqCst) > state.confirmed.load(SeqCst) {
                continue;
            }
            tokio::select! {
                () = state.wake.notified() => {}
                () = async { match deadline { Some(due) => sleep_until(due).await, None => std::future::pending().await } } => {}
                _ = self.closing.changed() => {}
            }
        }
    }

    fn set_offered(&self, since: Option<Instant>) {
        if let Some(state) = self.state() {
            state.set_offered(since);
        }
    }

    fn limits(&self) -> Limits {
        let config = &self.shared.config;
        Limits { events: config.batch_events, json: config.batch_bytes }
    }

    /// Begins to read what comes behind a batch of so many events and bytes, if that is a full batch again.
    fn read_ahead(&mut self, last: i64, events: u64, json: u64) {
        let Some(state) = self.state() else { return };
        let limits = self.limits();
        let rest = |pending: &AtomicU64, open: u64| pending.load(SeqCst).saturating_sub(open);
        if rest(&state.pending_events, events) < limits.events && rest(&state.pending_json, json) < limits.json {
            return;
        }
        let (shared, name) = (self.shared.clone(), state.name.clone());
        let (first, newest, openings) = (last + 1, shared.last.load(SeqCst), shared.openings.load(SeqCst));
        let reading = task::spawn_blocking(move || read(&shared, &name, first, newest, limits));
        self.ahead = Some(Ahead { first, openings, reading });
    }

    /// What was read ahead, if it begins here.
    async fn take_ahead(&mut self, first: i64) -> Option<Range> {
        let ahead = self.ahead.take().filter(|ahead| ahead.first == first && ahead.openings == self.shared.openings.load(SeqCst))?;
        // Whatever failed, it is read once more, and told then. What is bad may be good when it is read again.
        ahead.reading.await.ok()?.ok().filter(|range| range.bad.is_empty())
    }

    /// Reads on a thread that may block; `None` when that failed (it is logged).
    async fn read(&mut self, first: i64, last: i64, limits: Limits) -> Option<Range> {
        let shared = self.shared.clone();
        let name = self.state()?.name.clone();
        let openings = shared.openings.load(SeqCst);
        let failure = match task::spawn_blocking(move || read(&shared, &name, first, last, limits)).await {
            Ok(Ok(range)) => {
                self.failed_reads = 0;
                return Some(range);
            }
            Ok(Err(failure)) => failure,
            Err(error) => {
                tracing::error!(sink = self.sink.name(), %error, "reading the spool panicked");
                return None;
            }
        };
        tracing::warn!(sink = self.sink.name(), error = %failure.report(), "the spool could not be read");
        self.failed_reads += 1;
        // A sector that stays unreadable is damage as well: it must not hold up the rest.
        let damaged = failure.remedy() == Remedy::Salvage || (failure.remedy() == Remedy::Reopen && self.failed_reads >= READS);
        if damaged && self.shared.ask(|done| Order::Salvage { openings, done }).await.is_some() {
            self.failed_reads = 0;
            self.sealed = None;
        }
        None
    }

    /// Offers a batch until all of its events are delivered or refused.
    async fn deliver(&mut self, batch: Batch) -> Result<Resolved, Closing> {
        let mut delivery = Delivery::new(batch);
        while let Some(part) = delivery.next_part() {
            self.set_offered(Some(Instant::now()));
            let offered = self.offer(&part).await?;
            self.set_offered(None);
            let Some(error) = offered else {
                delivery.delivered(&part);
                continue;
            };
            if !delivery.is_split() {
                // Whoever offers the whole batch after a crash must know that parts of it may have been written.
                let lane = self.index;
                let mut back_off = self.back_off();
                while self.shared.ask(|done| Order::Split { lane, done }).await.is_none() {
                    self.pause(back_off.next(None, fastrand::f64())).await?;
                }
            }
            delivery.refused(part, error);
            task::yield_now().await;
        }
        let (delivered, dead) = delivery.end();
        Ok(Resolved { delivered, dead: dead.into_iter().flat_map(|dead| self.letters(dead)).collect() })
    }

    /// Offers until the sink takes it (`None`) or refuses it for good.
    async fn offer(&mut self, batch: &Batch) -> Result<Option<WriteError>, Closing> {
        let mut back_off = self.back_off();
        let since = Instant::now();
        let mut doubtful: Option<Batch> = None;
        loop {
            // An attempt whose answer was lost may have been written, and no sink remembers the id of a batch for ever.
            if doubtful.is_none() && since.elapsed() > REMEMBERED {
                doubtful = Some(batch.clone().mark_repeated());
            }
            let batch = doubtful.as_ref().unwrap_or(batch);
            let wait = match catch(async { self.sink.write(batch).await }).await {
                Ok(Ok(())) => return Ok(None),
                Ok(Err(error)) if !error.is_retryable() => return Ok(Some(error)),
                Ok(Err(error)) => {
                    let wait = back_off.next(error.retry_after(), fastrand::f64());
                    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(sink = self.sink.name(), batch = %batch.id(), error = %error.report(), wait_ms, "a batch was not written");
                    wait
                }
                Err(panic) => {
                    tracing::error!(sink = self.sink.name(), batch = %batch.id(), panic = text(&*panic), "a sink panicked");
                    self.shared.counts.count(Labelled::Restarts, self.sink.name(), 1);
                    back_off.next(None, fastrand::f64())
                }
            };
            self.shared.counts.count(Labelled::Retried, self.sink.name(), 1);
            self.pause(wait).await?;
        }
    }

    /// The dead letter of what could not be halved any further.
    fn letters(&self, DeadEvent { batch, error }: DeadEvent) -> Vec<Letter> {
        let reason: Arc<str> = error.report().into();
        tracing::warn!(sink = self.sink.name(), batch = %batch.id(), error = &*reason, "an event was refused for good");
        let of = |(origin, event): (&monitor_core::Origin, &monitor_core::Event)| {
            let envelope = Envelope { origin: origin.clone(), events: vec![event.clone()] };
            // It was decoded from the same form: encoding it again cannot fail.
            let encoded = encode(&envelope).ok()?;
            Some(Letter { event: event.id, batch: batch.id().clone(), reason: reason.clone(), encoded: encoded.into() })
        };
        batch.events().filter_map(of).collect()
    }

    fn back_off(&self) -> BackOff {
        let config = &self.shared.config;
        BackOff::new(config.retry_min, config.retry_max)
    }

    async fn confirm(&mut self, last: i64, resolved: Resolved) -> Result<(), Closing> {
        let lane = self.index;
        let Resolved { delivered, dead } = resolved;
        let mut back_off = self.back_off();
        loop {
            let dead = dead.clone();
            if self.shared.ask(|done| Order::Confirm { lane, last, delivered, dead, done }).await.is_some() {
                return Ok(());
            }
            self.pause(back_off.next(None, fastrand::f64())).await?;
        }
    }

    /// Waits, unless the spool closes.
    async fn pause(&mut self, wait: Duration) -> Result<(), Closing> {
        tokio::select! {
            () = sleep(wait) => Ok(()),
            _ = self.closing.wait_for(|closing| *closing) => Err(Closing),
        }
    }
}

/// Runs a future; its panic becomes an error.
async fn catch<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    // After a panic the future is not polled again.
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => std::task::Poll::Ready(Err(panic)),
    })
    .await
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?")
}
