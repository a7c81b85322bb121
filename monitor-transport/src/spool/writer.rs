//! The one thread that writes. It gathers what waits into a group, commits it as one transaction, and only then answers.

use std::{
    fs::File,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use monitor_core::{Gauge, Labelled, SendError, Total};
use rusqlite::Connection;

use super::{
    Shared,
    error::{Failure, Remedy, remedy},
    files::{self, Opened},
    queue::{Group, Order},
    table::{Book, Change, Effects, Seal, Usage},
};

/// How often the disk, the ages and the gauges are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often the disk is looked at while it is full.
const FULL_TICK: Duration = Duration::from_millis(200);
/// Shortest time between two updates of the gauges.
const GAUGES: Duration = Duration::from_millis(50);
/// How long a database that could not be opened is left alone.
const REOPEN: Duration = Duration::from_secs(1);
/// Bytes in the log that make a checkpoint due.
const CHECKPOINT: u64 = 4 << 20;
/// Entries deleted in a commit, so that deleting never stalls those who wait.
const DELETE: usize = 256;
/// Room that must be there before a disk that was full is tried again.
const PROBE: u64 = 256 << 10;
/// Free pages that are kept for use, and given back at once to the file system.
const KEEP_PAGES: i64 = 4096;
const VACUUM_PAGES: i64 = 1024;

pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// `None` after a failure, until it could be opened again.
    open: Option<(Connection, Book)>,
    clock: Clock,
    looked: Option<Instant>,
    gauged: Option<Instant>,
    /// Events of which a note was made outside of the database, see [`Files::note`](super::files::Files::note).
    noted: u64,
    retry: Instant,
    /// Bytes written since the last checkpoint, about.
    log: u64,
    /// The last commit found the disk full.
    full: bool,
    /// There are entries to delete, expire or pages to give back.
    more: bool,
}

/// Wall time when the spool was opened, running on with the monotonic clock: a jump of the wall clock expires nothing.
struct Clock {
    base: i64,
    since: Instant,
}

impl Clock {
    fn now(&self) -> i64 {
        self.base.saturating_add(i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

/// What an order came to, kept until the commit succeeded.
enum Outcome {
    Seal(Seal),
    Done,
    Moved(u64),
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, opened: Opened) -> Writer {
        let newest = opened.connection.query_row(
            "SELECT coalesce(max(stored), 0) FROM (SELECT stored FROM entry INDEXED BY entry_size ORDER BY seq DESC LIMIT 1)",
            [],
            |row| row.get(0),
        );
        let mut writer = Writer {
            shared,
            open: None,
            clock: Clock { base: files::now().max(newest.unwrap_or(0)), since: Instant::now() },
            looked: None,
            gauged: None,
            noted: u64::MAX,
            retry: Instant::now(),
            log: CHECKPOINT,
            full: false,
            more: true,
        };
        writer.shared.waited.store(opened.book.last, SeqCst);
        writer.adopt(opened);
        writer.look_at_disk();
        writer
    }

    /// Runs until the queue stops. The lock is given back at the very end.
    pub(crate) fn run(mut self, lock: File) {
        while catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
            tracing::error!("the spool's writer panicked; it starts again");
            self.shared.counts.count(Labelled::Restarts, "spool_writer", 1);
            self.open = None;
            thread::sleep(Duration::from_millis(100));
        }
        self.shared.queue.abandon();
        if let Some((connection, _)) = self.open.take()
            && let Err(error) = files::checkpoint(&connection, "TRUNCATE")
        {
            // The log stays and is read at the next start.
            tracing::debug!(%error, "the log could not be emptied");
        }
        drop(lock);
        self.shared.ended.send_replace(true);
    }

    fn serve(&mut self) {
        loop {
            let tick = match (self.more, self.full) {
                (true, _) if self.open.is_some() => Duration::ZERO,
                (_, true) => FULL_TICK,
                _ if self.gauged.is_none() => GAUGES,
                _ => TICK,
            };
            let group = self.shared.queue.take(tick, self.shared.config.commit_delay);
            let stop = group.stop;
            self.commit(group);
            self.maintain();
            if stop {
                return;
            }
        }
    }

    fn commit(&mut self, mut group: Group) {
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= TICK);
        if group.appends.is_empty() && group.orders.is_empty() && !self.more && !due {
            return;
        }
        if let Some(failure) = self.salvage_if_asked(&mut group).or_else(|| self.ensure_open()) {
            self.refuse(group, &failure, false);
            return;
        }
        let Some((connection, book)) = &self.open else { return };
        let mut change = Change { connection, book: book.clone(), effects: Effects::default(), now: self.clock.now() };
        let limit = if self.full { DELETE / 4 } else { DELETE };
        match transact(&mut change, &group, limit, &self.shared) {
            Ok((outcomes, more)) => {
                let Change { book, effects, .. } = change;
                let appended = effects.appended.iter().zip(&mut group.appends);
                self.shared.fresh.committed(appended.filter_map(|(seq, append)| Some((*seq, append.held.take()?))));
                self.more = more;
                self.log += 4 * 4096 + group.appends.iter().map(|append| append.entry.len() + 256).sum::<u64>();
                if let Some(open) = &mut self.open {
                    open.1 = book;
                }
                self.apply(effects);
                // Before the answers: whoever was answered must not see the numbers of before.
                self.publish();
                for append in group.appends {
                    // Whoever does not wait any more needs no answer.
                    let _ = append.done.send(Ok(()));
                }
                for (order, outcome) in group.orders.into_iter().zip(outcomes) {
                    answer(order, outcome);
                }
            }
            Err(error) => self.fail(group, error),
        }
    }

    fn fail(&mut self, group: Group, error: rusqlite::Error) {
        let remedy = remedy(&error);
        let failure = Failure::from(error);
        match remedy {
            Remedy::Wait => {
                if !mem::replace(&mut self.full, true) {
                    tracing::warn!("the disk of the spool is full");
                }
                self.shared.files.give_up_reserve();
                self.log = CHECKPOINT;
                self.shared.queue.set_disk(0);
            }
            _ => tracing::error!(error = %failure.report(), "the spool could not be written"),
        }
        if let Some((connection, _)) = &self.open
            && !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::debug!(%error, "the transaction had ended by itself");
        }
        match remedy {
            Remedy::Wait | Remedy::None => {
                let mut freed = Usage::new();
                for append in &group.appends {
                    *freed.entry(append.entry.project.as_str().into()).or_default() += append.entry.len();
                }
                self.shared.queue.release(&freed);
            }
            Remedy::Reopen => drop(self.reopen()),
            Remedy::Salvage => drop(self.salvage()),
        }
        self.refuse(group, &failure, remedy == Remedy::Wait);
        self.more = false;
    }

    fn refuse(&self, group: Group, failure: &Failure, full: bool) {
        for append in group.appends {
            let error = if full { SendError::Full { what: "disk" } } else { SendError::Failed(Box::new(failure.clone())) };
            // Whoever does not wait any more needs no answer.
            let _ = append.done.send(Err(error));
        }
        for order in group.orders {
            reject(order, failure);
        }
    }

    /// Opens the database if it is not open; the failure if that is not possible now.
    fn ensure_open(&mut self) -> Option<Failure> {
        if self.open.is_some() {
            return None;
        }
        let failure = match Instant::now() < self.retry {
            true => Some(Failure::from(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN), None))),
            false => self.reopen(),
        };
        if failure.is_some() {
            // What the refused group had reserved is found again when the database can be read.
            self.more = false;
        }
        failure
    }

    fn reopen(&mut self) -> Option<Failure> {
        // Readers hold connections of their own, which would keep the failed handles in use.
        let shared = self.shared.clone();
        let _alone = shared.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.open = None;
        let opened = shared.files.reopen(&shared.config, &shared.names(), &shared.counts);
        self.take_over(opened)
    }

    fn salvage(&mut self) -> Option<Failure> {
        let shared = self.shared.clone();
        let _alone = shared.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.open = None;
        let opened =
            shared.files.salvage(&shared.counts).and_then(|()| shared.files.reopen(&shared.config, &shared.names(), &shared.counts));
        self.take_over(opened)
    }

    fn salvage_if_asked(&mut self, group: &mut Group) -> Option<Failure> {
        let (asked, rest) = mem::take(&mut group.orders).into_iter().partition(|order| matches!(order, Order::Salvage { .. }));
        group.orders = rest;
        let asked: Vec<Order> = asked;
        let current = self.shared.openings.load(SeqCst);
        let due = asked.iter().any(|order| matches!(order, Order::Salvage { openings, .. } if *openings == current));
        // Lanes that met the same damage must not have the new file rebuilt as well.
        let failure = if due { self.salvage() } else { None };
        for order in asked {
            match &failure {
                Some(failure) => reject(order, failure),
                None => answer(order, Outcome::Done),
            }
        }
        failure
    }

    fn take_over(&mut self, opened: Result<Opened, super::SpoolError>) -> Option<Failure> {
        match opened {
            Ok(opened) => {
                self.adopt(opened);
                None
            }
            Err(error) => {
                tracing::error!(%error, "the spool could not be opened again; it refuses until it can");
                self.shared.queue.set_broken(true);
                self.retry = Instant::now() + REOPEN;
                Some(match error {
                    super::SpoolError::Database { source, .. } => source,
                    other => Failure::from(rusqlite::Error::ToSqlConversionFailure(Box::new(other))),
                })
            }
        }
    }

    fn adopt(&mut self, opened: Opened) {
        let Opened { connection, book, usage } = opened;
        self.shared.openings.fetch_add(1, SeqCst);
        self.shared.fresh.clear();
        self.shared.queue.recount(usage);
        self.shared.queue.set_broken(false);
        self.open = Some((connection, book));
        self.log = CHECKPOINT;
        self.more = true;
        self.publish();
    }

    /// Makes known what a commit changed.
    fn apply(&mut self, effects: Effects) {
        let counts = &self.shared.counts;
        counts.add(Total::SpoolCommits, 1);
        for (lane, events) in &effects.delivered {
            counts.count(Labelled::Delivered, lane, *events);
        }
        for lane in &effects.batches {
            counts.count(Labelled::Batches, lane, 1);
        }
        for (lane, events) in &effects.dead {
            counts.count(Labelled::DeadLettered, lane, *events);
        }
        for (lane, events) in &effects.expired {
            counts.count(Labelled::Expired, lane, *events);
        }
        for (reason, events) in &effects.quarantined {
            counts.count(Labelled::Quarantined, reason, *events);
        }
        for (lane, events) in &effects.requeued {
            counts.count(Labelled::Requeued, lane, *events);
        }
        counts.add(Total::DeadLettersDropped, effects.letters_dropped);
        self.shared.queue.occupy(&effects.used);
        self.shared.queue.release(&effects.freed);
        self.gauged = None;
    }

    fn publish(&self) {
        let Some((_, book)) = &self.open else { return };
        self.shared.publish(book);
    }

    fn maintain(&mut self) {
        if self.log >= CHECKPOINT && self.open.is_some() {
            self.log = 0;
            // While the disk is full, the log's own room is wanted back. That needs the absence of readers.
            let alone = if self.full { self.shared.gate.try_write().ok() } else { None };
            let mode = if alone.is_some() { "TRUNCATE" } else { "PASSIVE" };
            let copied = self.open.as_ref().map_or(Ok(()), |(connection, _)| files::checkpoint(connection, mode));
            drop(alone);
            if let Err(error) = copied {
                tracing::warn!(%error, "the spool's log could not be copied into the database");
                self.mend(remedy(&error));
            }
        }
        let interval = if self.full { FULL_TICK } else { TICK };
        if self.looked.is_none_or(|looked| looked.elapsed() >= interval) {
            self.looked = Some(Instant::now());
            self.look_at_disk();
            self.give_back();
            self.gauged = None;
            if self.open.is_none() {
                // Tried also when nobody sends: readiness comes back by itself. A failure is logged where it happens.
                let _ = self.ensure_open();
            }
        }
        if self.gauged.is_none_or(|gauged| gauged.elapsed() >= TICK) {
            self.gauge();
        }
    }

    fn look_at_disk(&mut self) {
        let config = &self.shared.config;
        let files = &self.shared.files;
        // Taken again only when there is room for the reserve and for something to come.
        let enough = |free: u64| free >= files::RESERVE + PROBE && files.keep_reserve();
        let free = files.free();
        if !self.full && free.is_none_or(|free| free > 2 * files::RESERVE) {
            files.keep_reserve();
        }
        let room = match free {
            Some(free) if self.full && !enough(free) => 0,
            Some(free) if config.min_free_disk > 0 => free.saturating_sub(config.min_free_disk),
            _ => u64::MAX,
        };
        if room > 0 && mem::take(&mut self.full) {
            tracing::info!("the disk of the spool has room again");
        }
        self.shared.queue.set_disk(room);
    }

    /// Gives pages that are not used any more back to the file system: a spool that was drained must not keep the disk full.
    fn give_back(&mut self) {
        let Some((connection, _)) = &self.open else { return };
        let vacuum = || -> rusqlite::Result<Option<bool>> {
            let free: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
            let (keep, pages) = if self.full { (0, VACUUM_PAGES / 16) } else { (KEEP_PAGES, VACUUM_PAGES) };
            if free <= keep {
                return Ok(None);
            }
            let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
            Ok(Some(free - pages > keep))
        };
        match vacuum() {
            Ok(Some(more)) => {
                // The file gets shorter when the log is copied into it.
                self.log = CHECKPOINT;
                if more {
                    // Soon again, not only with the next tick.
                    self.looked = None;
                    self.more = true;
                }
            }
            // While the disk is full, the log must be used again instead of growing.
            Ok(None) if self.full => self.log = CHECKPOINT,
            Ok(None) => {}
            Err(error) => {
                let remedy = remedy(&error);
                match remedy {
                    // Tried again at every look at the disk.
                    Remedy::Wait | Remedy::None => tracing::debug!(%error, "pages of the spool cannot be given back now"),
                    _ => tracing::warn!(%error, "pages of the spool could not be given back"),
                }
                self.mend(remedy);
            }
        }
    }

    /// Deals with an error for which nobody waits.
    fn mend(&mut self, remedy: Remedy) {
        match remedy {
            Remedy::Reopen => drop(self.reopen()),
            Remedy::Salvage => drop(self.salvage()),
            Remedy::Wait | Remedy::None => {}
        }
    }

    fn gauge(&mut self) {
        self.gauged = Some(Instant::now());
        let Some((connection, book)) = &self.open else { return };
        let undelivered = book.lanes.iter().map(|lane| lane.pending_events).max().unwrap_or(0);
        if mem::replace(&mut self.noted, undelivered) != undelivered {
            self.shared.files.note(undelivered);
        }
        let counts = &self.shared.counts;
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        counts.set(Gauge::SpoolBytes, "", number(self.shared.queue.used()));
        let now = self.clock.now();
        for lane in &book.lanes {
            counts.set(Gauge::SpoolEvents, &lane.name, number(lane.pending_events));
            counts.set(Gauge::DeadLetters, &lane.name, number(lane.letters));
            let oldest = Change::oldest(connection, lane).unwrap_or_default();
            counts.set(Gauge::SpoolAge, &lane.name, oldest.map_or(0, |stored| now.saturating_sub(stored).max(0)));
        }
    }
}

fn transact(change: &mut Change<'_>, group: &Group, least: usize, shared: &Shared) -> rusqlite::Result<(Vec<Outcome>, bool)> {
    let config = &shared.config;
    change.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for append in &group.appends {
        change.append(&append.entry)?;
    }
    let mut outcomes = Vec::with_capacity(group.orders.len());
    for order in &group.orders {
        outcomes.push(match order {
            Order::Seal { lane, first, last, rows, bad, .. } => Outcome::Seal(change.seal(*lane, *first, *last, *rows, bad)?),
            Order::Split { lane, .. } => {
                change.split(*lane)?;
                Outcome::Done
            }
            Order::Confirm { lane, last, delivered, dead, .. } => {
                change.confirm(*lane, *last, *delivered, dead, config)?;
                Outcome::Done
            }
            Order::Requeue { lane, .. } => {
                let taken = change.effects.used.values().sum();
                Outcome::Moved(change.requeue(lane, shared.queue.room(config).saturating_sub(taken))?)
            }
            Order::Salvage { .. } => Outcome::Done,
        });
    }
    // As many as come, and some more: deleting keeps up with any load.
    let limit = least + 2 * group.appends.len();
    let mut more = change.delete_confirmed(limit)?;
    let age = i64::try_from(config.max_age.as_millis()).unwrap_or(i64::MAX);
    more |= change.expire(change.now.saturating_sub(age), limit, |lane| shared.spared(lane))?;
    change.connection.prepare_cached("COMMIT")?.execute([])?;
    Ok((outcomes, more))
}

fn answer(order: Order, outcome: Outcome) {
    // Whoever does not wait any more needs no answer.
    match (order, outcome) {
        (Order::Seal { done, .. }, Outcome::Seal(seal)) => drop(done.send(Ok(seal))),
        (Order::Requeue { done, .. }, Outcome::Moved(moved)) => drop(done.send(Ok(moved))),
        (Order::Split { done, .. } | Order::Confirm { done, .. } | Order::Salvage { done, .. }, Outcome::Done) => drop(done.send(Ok(()))),
        _ => {}
    }
}

fn reject(order: Order, failure: &Failure) {
    // Whoever does not wait any more needs no answer.
    match order {
        Order::Seal { done, .. } => drop(done.send(Err(failure.clone()))),
        Order::Requeue { done, .. } => drop(done.send(Err(failure.clone()))),
        Order::Split { done, .. } | Order::Confirm { done, .. } | Order::Salvage { done, .. } => drop(done.send(Err(failure.clone()))),
    }
}
