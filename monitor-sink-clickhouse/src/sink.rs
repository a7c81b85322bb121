//! Writes batches, each event once.
//!
//! Three things keep an event from appearing twice, each for another way in which it can come back:
//!
//! 1. **The same batch again** (the answer was lost, the process died): every insert carries a token made of the batch's
//!    id, and the table remembers the tokens of the last 10,000 parts. A part whose token is known is dropped by the server.
//! 2. **The same event in another batch**: keys of (project, id) that are known to be stored are kept in a bounded
//!    [window](RecentEvents). Events found there are left out. The window is filled from the store at the first write.
//! 3. **A declared repeat** (`attempt` above 1, or a batch that is marked as repeated): the ids are looked up in the store.
//!
//! # Why leaving events out does not lose any
//!
//! The server drops a part by its token *without comparing rows*. So this must hold: **when a part with a token is stored,
//! every event that a later attempt sends under that token is stored too.** It holds because
//!
//! - an event is left out only when it is known to be stored: its key entered the window after a confirmed insert or was
//!   read from the store, or the look-up returned it, or the same event is in the rows of this very batch already;
//! - which rows an attempt *could* send under a token is fixed by the batch alone: an insert's share is a set of days of
//!   the whole batch, worked out before anything is left out, and the batch's events never change (see [`Batch::id`]).
//!
//! Take two attempts at one share, with rows `R1` and `R2`. They may differ in both directions: the second may find this
//! batch's own rows in the store (`R2` smaller), or the window has forgotten something (`R2` larger). If the first took
//! place, `R1` is stored and what it left out was stored before; together that is the whole share, so whatever the second
//! sends is there already and dropping it is right. If the first did not take place, the second is the first. If only some
//! days of a share were stored (inserts are atomic for each partition), those days are dropped and the others written,
//! because the server keeps tokens for each partition.
//!
//! A row can only be *doubled* when all of it fails: by a copy in another batch that does not declare itself and of which
//! this process's window knows nothing (forgotten, or written by another receiver); by one that arrives more than 8 days
//! after the first; or by two that two receivers write at the same moment.
//!
//! # Counting
//!
//! Events left out are counted as duplicates by where that was noticed (`batch`, `window`, `store`), when the batch is
//! confirmed. Rows that an unconfirmed attempt of the same batch had stored count there too: to the store they are the same.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use clickhouse::error::Result;
use monitor_core::{Batch, Counts, EventId, EventKey, EventKeys, Labelled, RecentEvents, Sink, WriteError};
use tokio::sync::OnceCell;

use crate::{
    calendar::DAY,
    classify::{Class, classify, preparation_error, write_error},
    connection::Connection,
    row::{Row, encode},
    schema::Schema,
    sql::{Sql, Value},
};

/// Most days in one insert; the server's own limit is 100.
const MAX_DAYS: usize = 50;
/// Most ids in one look-up.
const MAX_IDS: usize = 1_000;
/// For how long after its first arrival a copy of an event is found by looking it up, ms.
const REPEAT_WITHIN: i64 = 8 * DAY;
/// How long before its arrival an event can have happened, ms: the `Clock` enricher believes 7 days.
const BELIEVED_AGE: i64 = 8 * DAY;
/// Events loaded into the window at the first write, and from how long before the batch's first arrival, ms.
const WARM_EVENTS: i64 = 200_000;
const WARM_TIME: i64 = 3_600_000;
/// Events that the window always knows: what two tables of 2¹⁹ places take before they grow, 18 MB.
const WINDOW: usize = 450_000;
/// Bytes handed to the connection at once.
const PIECE: usize = 1 << 20;

/// The sink named `clickhouse`. One call writes one batch, as one insert for each 50 days of event times.
///
/// A lane offers one batch at a time; two calls at the same time are safe for two different sets of events.
pub struct ClickHouseSink {
    connection: Arc<Connection>,
    schema: Arc<Schema>,
    counts: Arc<Counts>,
    keys: EventKeys,
    window: Mutex<RecentEvents>,
    warm: OnceCell<()>,
}

/// A row and its key.
type Keyed<'a> = (Row<'a>, EventKey);

/// What was left out, by where it was noticed.
#[derive(Default)]
struct Duplicates {
    batch: u64,
    window: u64,
    store: u64,
}

impl ClickHouseSink {
    pub(crate) fn new(connection: Arc<Connection>, schema: Arc<Schema>, counts: Arc<Counts>) -> ClickHouseSink {
        let window = Mutex::new(RecentEvents::new(WINDOW));
        ClickHouseSink { connection, schema, counts, keys: EventKeys::default(), window, warm: OnceCell::new() }
    }

    fn window(&self) -> MutexGuard<'_, RecentEvents> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write_batch(&self, batch: &Batch) -> Result<(), WriteError> {
        let rows = batch.events().map(|(origin, event)| Row::new(origin, event));
        let rows: Vec<Row<'_>> = rows.collect::<Result<_, _>>().map_err(WriteError::rejected)?;
        if rows.is_empty() {
            return Ok(());
        }
        // From here on nothing but the insert itself can refuse the batch.
        self.schema.ensure().await.map_err(preparation_error)?;
        self.warm.get_or_try_init(|| self.fill_window(&rows)).await.map_err(preparation_error)?;

        let mut duplicates = Duplicates::default();
        let shares = shares(&rows);
        let mut rows = self.new_to_window(rows, &mut duplicates);
        let suspects = rows.iter().filter(|(row, _)| batch.is_repeated() || row.origin.attempt > 1).copied().collect();
        let stored = self.look_up(suspects).await.map_err(preparation_error)?;
        let before = rows.len();
        rows.retain(|(_, key)| !stored.contains(key));
        duplicates.store = (before - rows.len()) as u64;

        for (n, days) in shares.iter().enumerate() {
            let share: Vec<Keyed<'_>> = rows.iter().filter(|(row, _)| days.contains(&row.day())).copied().collect();
            if !share.is_empty() {
                // One share is the rule; its token is the batch's id.
                let token = if n == 0 { batch.id().to_string() } else { format!("{}/{n}", batch.id()) };
                let inserted = self.insert(&share, token).await;
                inserted.inspect_err(|error| self.schema.doubt(error)).map_err(write_error)?;
                self.remember(share.iter().map(|(_, key)| *key));
            }
        }
        // Found by looking up: the next copy need not be looked up.
        self.remember(stored.into_iter());
        self.counts.count(Labelled::Duplicate, "batch", duplicates.batch);
        self.counts.count(Labelled::Duplicate, "window", duplicates.window);
        self.counts.count(Labelled::Duplicate, "store", duplicates.store);
        Ok(())
    }

    /// The rows that are neither earlier in this batch nor in the window.
    fn new_to_window<'a>(&self, rows: Vec<Row<'a>>, duplicates: &mut Duplicates) -> Vec<Keyed<'a>> {
        let window = self.window();
        let mut seen = RecentEvents::with_room(rows.len());
        let mut new = Vec::with_capacity(rows.len());
        for request in rows.chunk_by(|a, b| std::ptr::eq(a.origin, b.origin)) {
            let secret = request.first().map_or(0, |row| self.keys.secret(&row.origin.project));
            for row in request {
                let key = EventKeys::key(secret, row.event.id);
                if !seen.insert(key, 0) {
                    duplicates.batch += 1;
                } else if window.contains(key) {
                    duplicates.window += 1;
                } else {
                    new.push((*row, key));
                }
            }
        }
        new
    }

    /// Takes keys of stored events.
    fn remember(&self, keys: impl Iterator<Item = EventKey>) {
        let mut window = self.window();
        // Here it does not matter when they were seen.
        keys.for_each(|key| _ = window.insert(key, 0));
    }

    /// One insert of one block.
    async fn insert(&self, rows: &[Keyed<'_>], token: String) -> Result<()> {
        let options = self.connection.options();
        let limit = options.insert_timeout;
        let rows: Vec<Row<'_>> = rows.iter().map(|(row, _)| *row).collect();
        let mut insert = self
            .connection
            .writer()
            .await?
            .insert_formatted_with("INSERT INTO events FORMAT Native")
            // Never through the server's own queue, which confirms before it stores.
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplicate", "1")
            .with_setting("insert_deduplication_token", token)
            .with_setting("wait_end_of_query", "1")
            .with_setting("max_execution_time", limit.as_secs().max(1).to_string())
            .with_timeouts(Some(options.send_timeout), Some(Connection::patience(limit)));
        for part in encode(&rows) {
            let mut part = Bytes::from(part);
            while !part.is_empty() {
                insert.send(part.split_to(part.len().min(PIECE))).await?;
            }
        }
        insert.end().await
    }

    /// Which of these events are stored.
    async fn look_up(&self, mut suspects: Vec<Keyed<'_>>) -> Result<HashSet<EventKey>> {
        let mut stored = HashSet::new();
        suspects.sort_by_key(|(row, _)| &row.origin.project);
        for project in suspects.chunk_by(|(a, _), (b, _)| a.origin.project == b.origin.project) {
            for chunk in project.chunks(MAX_IDS) {
                self.look_up_chunk(chunk, &mut stored).await?;
            }
        }
        Ok(stored)
    }

    /// A chunk is of one project.
    ///
    /// A copy has the kind of the first, but not its time: the client's clock is corrected, and a time that cannot be true
    /// replaced by the time of arrival, anew for each send. What the times of the two have in common is when they arrived.
    async fn look_up_chunk(&self, chunk: &[Keyed<'_>], stored: &mut HashSet<EventKey>) -> Result<()> {
        let Some((first, _)) = chunk.first() else { return Ok(()) };
        let kinds: BTreeSet<&str> = chunk.iter().map(|(row, _)| row.event.kind.as_str()).collect();
        let since = chunk.iter().map(|(row, _)| row.origin.received).min().unwrap_or(0) - REPEAT_WITHIN;
        // Implied by `received` where a clock is corrected, the event's own where none is; spares partitions the reading.
        let oldest = chunk.iter().map(|(row, _)| row.event.time).min().unwrap_or(0).min(since - BELIEVED_AGE);
        let mut sql = Sql::new("SELECT DISTINCT id FROM events WHERE project = ");
        sql.bind(Value::Text(first.origin.project.clone()));
        sql.push(" AND kind IN ").bind(Value::Texts(kinds.into_iter().map(Into::into).collect()));
        sql.push(" AND received >= ").bind_time(since.max(0));
        sql.push(" AND time >= ").bind_time(oldest.max(0));
        sql.push(" AND id IN ").bind(Value::Ids(chunk.iter().map(|(row, _)| row.event.id.to_string()).collect()));
        let answer = self.connection.ask::<(EventId,)>(&self.connection.writer().await?, &sql).await;
        let found = answer.inspect_err(|error| self.schema.doubt(error))?.data;
        let secret = self.keys.secret(&first.origin.project);
        stored.extend(found.into_iter().map(|(id,)| EventKeys::key(secret, id)));
        Ok(())
    }

    /// Loads recent events, so that a restart does not forget what the process before it had just written.
    async fn fill_window(&self, rows: &[Row<'_>]) -> Result<()> {
        let since = rows.iter().map(|row| row.origin.received).min().unwrap_or(0) - WARM_TIME;
        let mut sql = Sql::new("SELECT project, id FROM events WHERE received >= ");
        sql.bind_time(since.max(0)).push(" AND time >= ").bind_time((since - BELIEVED_AGE).max(0));
        sql.push(" ORDER BY received DESC LIMIT ").bind(Value::Integer(WARM_EVENTS));
        let recent = match self.connection.ask::<(String, EventId)>(&self.connection.writer().await?, &sql).await {
            Ok(answer) => answer.data,
            // The window is worth much, but not a lane that stands still.
            Err(error) if classify(&error) == Class::Expensive => {
                tracing::warn!(%error, "recent event ids cannot be loaded: copies sent across this restart may be stored twice");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut window = self.window();
        for (project, id) in recent.iter().rev() {
            window.insert(EventKeys::key(self.keys.secret(project), *id), 0);
        }
        tracing::debug!(events = recent.len(), "recent event ids loaded");
        Ok(())
    }
}

/// The days of each insert. Made of all rows of the batch, so that they are the same for every attempt.
fn shares(rows: &[Row<'_>]) -> Vec<BTreeSet<i64>> {
    let days: BTreeSet<i64> = rows.iter().map(Row::day).collect();
    let days: Vec<i64> = days.into_iter().collect();
    days.chunks(MAX_DAYS).map(|share| share.iter().copied().collect()).collect()
}

#[async_trait]
impl Sink for ClickHouseSink {
    fn name(&self) -> &str {
        "clickhouse"
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let result = self.write_batch(batch).await;
        if let Err(error) = &result
            && error.retry_after() > Some(Duration::ZERO)
        {
            tracing::error!(error = error.report(), batch = %batch.id(), "nothing can be written until somebody acts");
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor_core::{Event, Kind, Origin};

    #[test]
    fn the_days_of_an_insert_depend_on_the_whole_batch_only() {
        let origin = Origin::new("shop", 0);
        let events: Vec<Event> = (0..120).rev().map(|day| Event::new(EventId(1), day * DAY + 5, Kind::Track, "x")).collect();
        let rows: Vec<Row<'_>> = events.iter().map(|event| Row { origin: &origin, event }).collect();
        let shares = shares(&rows);
        let sizes: Vec<usize> = shares.iter().map(BTreeSet::len).collect();
        assert_eq!(sizes, [50, 50, 20]);
        assert_eq!(shares[1].first(), Some(&50));
    }
}
