//! The durable spool: one SQLite database (write-ahead log, synced at every commit), written by one thread.
//!
//! # Format 1
//!
//! ```text
//! meta         key → value             format = 1, id = 32 hex digits, repeated_through = a seq (after a salvage, or when a lane is dropped)
//!
//! entry        seq                     one envelope = one row; numbers are never given twice
//!              stored                  ms since the epoch, the spool's clock
//!              lane                    NULL: for every lane; else the only lane it is for (a dead letter sent again)
//!              project, events, json   whose, how many events, bytes of JSON
//!              bytes, crc, payload     the envelope: see `entry.rs`
//!   entry_size                         index over all of it but the payload: what counting and deleting read
//!
//! lane         name                    a sink
//!              confirmed               every entry up to this seq is done with
//!              sealed_first, _last     the open batch: may have been offered, not confirmed
//!              sealed_rows             how many entries it holds
//!              generation, split       its rows changed (damage); its parts may have been written apart
//!
//! dead_letter  lane, project, event → why, when, batch, and the event as an envelope of one; unique, so that a repeat adds nothing
//! quarantine   seq → why, and the row as it was; the newest 1,000 rows and 64 MiB
//!
//!        confirmed        sealed_first … sealed_last                    newest
//! ───────────┼──────────────────────┼──────────┼──────────────────────────┤   seq →
//!  deleted   │                      │open batch│  waits                    │
//!  when all  │                                                             │
//! ```
//!
//! # Invariants
//!
//! 1. A sender is answered after the commit that holds its envelope, never before.
//! 2. A batch is sealed (committed in `lane`) before its sink sees it, and confirmed after the sink returned. In between its rows
//!    cannot change: they do not expire, and if damage takes one away the batch gets another id.
//! 3. An entry is deleted only in the commit in which the last lane confirmed it or in a later one, or when it is too old and in no
//!    open batch, or when it is moved to the quarantine.
//! 4. Dead letters are committed together with the confirmation of their batch.
//! 5. The numbers in memory ([`Book`](table::Book) and the accounts of the queue) change when a commit succeeded, and are read
//!    from the tables at every opening: there is no second file that could disagree.
//! 6. After a failed read, write or sync the connection is not used again: every handle is closed, the log is copied into the
//!    database through new handles, and only then is anything written.
//! 7. A damaged file is set aside, never deleted.
//! 8. The table says what there is. An envelope that is still in memory ([`fresh`]) only stands in for its stored form.

mod config;
mod entry;
mod error;
mod files;
mod fresh;
mod queue;
mod reader;
mod table;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use async_trait::async_trait;
use monitor_core::{Counts, Envelope, EventId, FOR_EVER, Labelled, SendError, Sink, Transport};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot, watch},
    task,
    time::{Instant, timeout_at},
};

pub(crate) use config::Config;
pub use config::{Durability, SpoolBuilder};
pub(crate) use entry::encode;
pub(crate) use error::Remedy;
pub use error::{Failure, SpoolError};
use files::Files;
use fresh::Fresh;
use queue::{Append, Queue};
pub(crate) use queue::{Order, Reply};
pub(crate) use reader::{Limits, Range, read};
use table::Book;
pub(crate) use table::{Letter, Seal, Sealed};
use writer::Writer;

use crate::lane::Lane;

/// What waited while the process was not there is old, but was never offered: for so long it is not given up as long as its sink takes what it is offered.
const SPARED: Duration = Duration::from_secs(3600);

/// What tasks and the writer thread share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    files: Files,
    queue: Queue,
    fresh: Fresh,
    pub(crate) counts: Arc<Counts>,
    /// Counts how often the database was opened: a read that failed before an opening says nothing about what is open now.
    pub(crate) openings: AtomicU64,
    since: Instant,
    /// The newest entry that was there at the start.
    waited: AtomicI64,
    /// Held for reading while a reader has a connection, for writing while the files are replaced.
    gate: RwLock<()>,
    pub(crate) lanes: Vec<LaneState>,
    /// The newest committed entry.
    pub(crate) last: AtomicI64,
    /// Counts publications, so that a flush notices progress.
    progress: watch::Sender<u64>,
    /// Lanes do not linger for entries up to this one.
    pub(crate) hurry: AtomicI64,
    pub(crate) closing: watch::Sender<bool>,
    ended: watch::Sender<bool>,
}

/// What the writer tells a lane.
pub(crate) struct LaneState {
    pub(crate) name: Arc<str>,
    pub(crate) confirmed: AtomicI64,
    pub(crate) pending_events: AtomicU64,
    pub(crate) pending_json: AtomicU64,
    /// How many pending events are worth waking up for; 0: any new entry.
    pub(crate) wants: AtomicU64,
    pub(crate) wake: Notify,
    /// Since when its sink has been offered what it did not take yet.
    offered: Mutex<Option<Instant>>,
}

impl LaneState {
    pub(crate) fn set_offered(&self, since: Option<Instant>) {
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Whether its sink takes what it is offered, within so long.
    fn takes(&self, patience: Duration) -> bool {
        let offered = *self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        offered.is_none_or(|since| since.elapsed() < patience)
    }
}

impl Shared {
    fn names(&self) -> Vec<Arc<str>> {
        self.lanes.iter().map(|lane| lane.name.clone()).collect()
    }

    /// The last entry that is not given up however old it is, if a lane has any.
    fn spared(&self, lane: usize) -> Option<i64> {
        let patience = self.config.retry_max.saturating_mul(10);
        let takes = self.since.elapsed() < SPARED && self.lanes.get(lane).is_some_and(|lane| lane.takes(patience));
        takes.then(|| self.waited.load(SeqCst))
    }

    fn publish(&self, book: &Book) {
        self.last.store(book.last, SeqCst);
        for (state, lane) in self.lanes.iter().zip(&book.lanes) {
            state.confirmed.store(lane.confirmed, SeqCst);
            state.pending_events.store(lane.pending_events, SeqCst);
            state.pending_json.store(lane.pending_json, SeqCst);
            let wants = state.wants.load(SeqCst);
            let enough = match wants {
                0 => book.last > lane.confirmed,
                _ => lane.pending_events >= wants || lane.pending_json >= self.config.batch_bytes,
            };
            if enough {
                state.wake.notify_one();
            }
        }
        self.progress.send_modify(|publications| *publications = publications.wrapping_add(1));
    }

    /// Asks the writer thread; `None` when it has ended or could not do it (it logged why).
    pub(crate) async fn ask<T>(&self, order: impl FnOnce(Reply<T>) -> Order) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.queue.order(order(done)).ok()?;
        answer.await.ok()?.ok()
    }

    fn confirmed_by_all(&self, target: i64) -> bool {
        self.lanes.iter().all(|lane| lane.confirmed.load(SeqCst) >= target)
    }
}

/// A durable [`Transport`] on the local disk that delivers to sinks.
///
/// Every accepted envelope is committed to a database in the spool's directory before [`send`](Transport::send) returns; a task
/// per sink delivers from there, for as long as it takes. Close it with [`close`](Transport::close) before the process ends.
pub struct Spool {
    shared: Arc<Shared>,
    lanes: Mutex<Vec<task::JoinHandle<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// An event that a sink refused for good.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Ascending in the order of refusal.
    pub id: i64,
    /// The sink that refused it.
    pub sink: String,
    /// The batch it was alone in.
    pub batch: String,
    /// When it was refused, ms since the epoch.
    pub time: i64,
    /// The sink's error and its causes.
    pub reason: String,
    /// The project it belongs to.
    pub project: String,
    /// The event's id.
    pub event: EventId,
    /// The event, alone in an envelope; `None` when it can no longer be read.
    pub envelope: Option<Envelope>,
}

impl Spool {
    /// Sets up a spool in that directory, which is created if its parent exists. The directory belongs to one process at a time.
    pub fn builder(dir: impl Into<PathBuf>) -> SpoolBuilder {
        SpoolBuilder::new(dir.into())
    }

    async fn open(config: Config, sinks: Vec<Arc<dyn Sink>>, counts: Arc<Counts>) -> Result<Arc<Spool>, SpoolError> {
        let runtime = Handle::try_current().map_err(|_| SpoolError::NoRuntime)?;
        let mut names: Vec<Arc<str>> = Vec::new();
        for sink in &sinks {
            let name: Arc<str> = sink.name().into();
            if name.is_empty() || name.len() > 64 {
                return Err(SpoolError::BadSinkName(name.to_string()));
            }
            if names.contains(&name) {
                return Err(SpoolError::DuplicateSink(name.to_string()));
            }
            names.push(name);
        }
        let files = Files::new(&config.dir);
        let opening = {
            let (files, config, names, counts) = (files.clone(), config.clone(), names.clone(), counts.clone());
            // A long backlog takes a moment to count: not on a thread that serves others.
            task::spawn_blocking(move || {
                let lock = files.lock()?;
                files.open(&config, &names, &counts).map(|opened| (lock, opened))
            })
        };
        let (lock, opened) = opening.await.map_err(|error| SpoolError::Thread(std::io::Error::other(error)))??;
        let sealed: Vec<Option<Sealed>> = opened.book.lanes.iter().map(|lane| lane.sealed).collect();
        let state = |name: &Arc<str>| LaneState {
            name: name.clone(),
            confirmed: AtomicI64::new(0),
            pending_events: AtomicU64::new(0),
            pending_json: AtomicU64::new(0),
            wants: AtomicU64::new(0),
            wake: Notify::new(),
            offered: Mutex::new(None),
        };
        // Whoever is alerted by losses must see them grow from nothing.
        for lane in &names {
            counts.announce(Labelled::DeadLettered, lane);
            counts.announce(Labelled::Expired, lane);
        }
        for reason in ["checksum", "format", "compression", "json", "columns", "file"] {
            counts.announce(Labelled::Quarantined, reason);
        }
        // Nobody reads where there is no sink.
        let fresh = Fresh::new(if sinks.is_empty() { 0 } else { config.batch_bytes });
        let shared = Arc::new(Shared {
            config,
            files,
            queue: Queue::default(),
            fresh,
            counts,
            openings: AtomicU64::new(0),
            since: Instant::now(),
            waited: AtomicI64::new(0),
            gate: RwLock::new(()),
            lanes: names.iter().map(state).collect(),
            last: AtomicI64::new(0),
            progress: watch::Sender::new(0),
            hurry: AtomicI64::new(0),
            closing: watch::Sender::new(false),
            ended: watch::Sender::new(false),
        });
        let writer = Writer::new(shared.clone(), opened);
        let thread = thread::Builder::new().name("monitor-spool".into()).spawn(move || writer.run(lock)).map_err(SpoolError::Thread)?;
        let lanes = sinks.into_iter().zip(sealed).enumerate();
        let lanes =
            lanes.map(|(index, (sink, sealed))| runtime.spawn(Lane::new(shared.clone(), index, sink, sealed).supervise())).collect();
        Ok(Arc::new(Spool { shared, lanes: Mutex::new(lanes), thread: Mutex::new(Some(thread)) }))
    }

    /// The spool's directory.
    pub fn dir(&self) -> &Path {
        &self.shared.config.dir
    }

    /// Bytes of envelopes that are stored or on their way to the disk; what [`SpoolBuilder::max_bytes`] limits.
    pub fn bytes(&self) -> u64 {
        self.shared.queue.used()
    }

    /// Events that the sink of that name has not confirmed; `None` when there is no such sink.
    pub fn pending(&self, sink: &str) -> Option<u64> {
        self.shared.lanes.iter().find(|lane| &*lane.name == sink).map(|lane| lane.pending_events.load(SeqCst))
    }

    /// The newest dead letters, newest first, at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, SpoolError> {
        let shared = self.shared.clone();
        let read = move || {
            let _open = shared.gate.read().unwrap_or_else(PoisonError::into_inner);
            let letters = || {
                let connection = table::connect_read_only(&shared.files.database)?;
                let mut letters = connection.prepare(
                    "SELECT id, lane, batch, time, reason, project, event, crc, payload FROM dead_letter ORDER BY id DESC LIMIT ?",
                )?;
                let letters = letters.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                    let payload = row.get_ref(8)?.as_blob()?;
                    Ok(DeadLetter {
                        id: row.get(0)?,
                        sink: row.get(1)?,
                        batch: row.get(2)?,
                        time: row.get(3)?,
                        reason: row.get(4)?,
                        project: row.get(5)?,
                        event: EventId(u128::from_be_bytes(row.get(6)?)),
                        envelope: entry::decode(payload, row.get(7)?).ok(),
                    })
                })?;
                letters.collect::<rusqlite::Result<Vec<_>>>()
            };
            letters().map_err(|error| SpoolError::Database { path: shared.files.database.clone(), source: error.into() })
        };
        task::spawn_blocking(read).await.map_err(|_| SpoolError::Closed)?
    }

    /// Offers the dead letters of a sink to it again, in new batches, for example after its schema was repaired. Returns how many were
    /// taken; they are dead letters no longer, and become it again if they are refused again. Stops early when the spool is full; takes none of a sink that is not installed.
    ///
    /// # Errors
    /// The spool is closed or cannot be written.
    pub async fn requeue_dead_letters(&self, sink: &str) -> Result<u64, SpoolError> {
        let mut total = 0;
        loop {
            match self.shared.ask(|done| Order::Requeue { lane: sink.to_owned(), done }).await {
                Some(0) => return Ok(total),
                Some(moved) => total += moved,
                None => return Err(SpoolError::Closed),
            }
        }
    }

    fn hurry(&self) -> i64 {
        let target = self.shared.last.load(SeqCst);
        self.shared.hurry.fetch_max(target, SeqCst);
        self.shared.lanes.iter().for_each(|lane| lane.wake.notify_one());
        target
    }
}

#[async_trait]
impl Transport for Spool {
    async fn send(&self, envelope: Envelope) -> Result<(), SendError> {
        let entry = encode(&envelope).map_err(SendError::Failed)?;
        let held = self.shared.fresh.hold(envelope, entry.json);
        let (done, answer) = oneshot::channel();
        self.shared.queue.push(Append { entry, held, done }, &self.shared.config)?;
        // Nobody answers when the writer panicked in the middle of a commit: whether it succeeded is not known.
        answer.await.unwrap_or_else(|_| Err(SendError::Failed("the commit was interrupted".into())))
    }

    async fn flush(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within.min(FOR_EVER);
        let mut progress = self.shared.progress.subscribe();
        let target = self.hurry();
        loop {
            if self.shared.confirmed_by_all(target) {
                return true;
            }
            match timeout_at(deadline, progress.changed()).await {
                Ok(Ok(())) => {}
                _ => return self.shared.confirmed_by_all(target),
            }
        }
    }

    async fn close(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within.min(FOR_EVER);
        self.shared.queue.close();
        self.shared.closing.send_replace(true);
        let lanes = std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        // The writer needs some of the time for the last commit.
        let abandon = deadline - (within / 5).min(Duration::from_secs(1));
        let mut orderly = true;
        for lane in lanes {
            let handle = lane.abort_handle();
            if timeout_at(abandon, lane).await.is_err() {
                handle.abort();
                orderly = false;
            }
        }
        self.shared.queue.stop();
        let mut ended = self.shared.ended.subscribe();
        if !timeout_at(deadline, ended.wait_for(|ended| *ended)).await.is_ok_and(|ended| ended.is_ok()) {
            return false;
        }
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It has nothing left to do but return; its panics were dealt with inside.
            let _ = thread.join();
        }
        orderly
    }

    fn is_ready(&self) -> bool {
        self.shared.queue.is_ready(&self.shared.config)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if !self.shared.queue.is_closed() {
            tracing::warn!("the spool was dropped without being closed; nothing is lost, but what waits is delivered after the next start");
        }
        self.shared.closing.send_replace(true);
        for lane in self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner) {
            lane.abort();
        }
        self.shared.queue.stop();
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("dir", &self.dir()).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}
