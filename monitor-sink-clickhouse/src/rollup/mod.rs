//! Rollups: what questions need of a day, worked out once.
//!
//! ```text
//! events of a day ──▸ staging tables ── REPLACE PARTITION ──▸ rollup_hours, rollup_routes … ── last: rollup_state
//!  signature: rows, block                                                                      until, rows, block
//! ```
//!
//! A day is built as a whole. It is **dirty**, and will be built again, when the signature of its events (their number and the largest number
//! their parts have been given) is not the one on record. So nothing has to be marked when events are written, and no mark can be lost: a
//! late event, a repair, a deletion and an import all change the signature. A rollup that has lost rows is dirty, too.
//!
//! The signature is read before the events are, so an event that comes in between makes the day dirty again. The state is written after
//! everything else, so whoever is killed leaves a dirty day, and building it again gives the same rows. One process builds at a time (see
//! [`lock`]); if two ever did, the later would only do the same again.
//!
//! The day that is not over is in the tables up to `until`, the beginning of the current hour. What happened later is read from the events. Two minutes
//! after the hour, the next one is added. Rows about a whole day say up to when they are complete: which build they are of cannot be seen otherwise.
//!
//! - [`bucket`]: which bucket a value falls into, here and in SQL.
//! - [`definitions`]: the statements that work the rollups out.
//! - [`days`]: which days are dirty.
//! - [`build`]: builds one of them.
//! - [`months`]: copies closed days into tables by month, which questions over weeks read.
//! - [`repair`]: removes events that are stored more than once.
//! - [`retention`]: whose events of a day are no longer kept.
//! - [`service`]: does all this in the background.

pub(crate) mod bucket;
mod build;
mod days;
mod definitions;
mod lock;
mod months;
mod repair;
mod retention;
pub(crate) mod service;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clickhouse::error::{Error, Result};
use monitor_core::{BoxError, Counts};

pub(crate) use definitions::{DEFINITION, SAMPLED, TARGETED, UNSAMPLED, band, of_event};

use self::lock::Lock;
use crate::{connection::Connection, schema::Schema, sql::Sql};

/// How long after an hour its events are still waited for, ms: those that come later make the day dirty.
const SETTLE: i64 = 120_000;
/// How often a day is built again at once although its events have not changed.
const MOST_AGAIN: u32 = 3;
/// Pause before asking again for a lock that somebody else holds.
const BUSY: Duration = Duration::from_millis(500);

/// Keeps the rollups up to date. From [`ClickHouse::rollup_job`](crate::ClickHouse::rollup_job).
///
/// A process that installs [`ClickHouse`](crate::ClickHouse) does this by itself; build one when there is no such process, or to know that
/// everything is rolled up: after an import, before a measurement, in a test.
pub struct Rollups {
    connection: Arc<Connection>,
    schema: Arc<Schema>,
    counts: Arc<Counts>,
    /// Nobody else can hold the lock: what is there was left by an earlier process.
    alone: AtomicBool,
    closing: AtomicBool,
}

/// What was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Built {
    /// Days, counted as often as they were built.
    pub days: u64,
    /// Their events.
    pub events: u64,
}

/// What was repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// Days that were looked at.
    pub days: u64,
    /// Copies that were removed.
    pub copies: u64,
}

/// The rollups could not be brought up to date. What was done is kept; the next attempt goes on from there.
#[derive(Debug, thiserror::Error)]
#[error("the rollups could not be brought up to date")]
pub struct RollupError(#[source] BoxError);

impl From<Error> for RollupError {
    fn from(error: Error) -> RollupError {
        RollupError(error.into())
    }
}

impl Rollups {
    pub(crate) fn new(connection: Arc<Connection>, schema: Arc<Schema>, counts: Arc<Counts>) -> Rollups {
        let alone = AtomicBool::new(connection.is_embedded());
        Rollups { connection, schema, counts, alone, closing: AtomicBool::new(false) }
    }

    /// Builds, the newest first, until no day is dirty, and copies months that have changed. `now` is the time, ms since the Unix epoch: hours
    /// that ended less than two minutes before it are not over yet. Waits while another process builds.
    ///
    /// # Errors
    /// The server does not answer, or refuses a statement.
    pub async fn build(&self, now: i64) -> Result<Built, RollupError> {
        let begin = Instant::now();
        let later = || now.saturating_add(i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX));
        let mut built = Built::default();
        if !self.are_local().await? {
            return Err(RollupError("the events are on other servers: build rollups there".into()));
        }
        let mut again = (None, 0);
        loop {
            let dirty = self.dirty(now).await?;
            let Some(day) = dirty.first() else {
                self.copy_months(now, begin).await?;
                return Ok(built);
            };
            // Something else removes what we build, and would go on doing so.
            again = if again.0 == Some((day.day, day.signature)) { (again.0, again.1 + 1) } else { (Some((day.day, day.signature)), 0) };
            if again.1 > MOST_AGAIN {
                return Err(RollupError(format!("the rollups of {day} do not stay as they are built").into()));
            }
            match self.build_day(day, now, later()).await? {
                Some(events) => {
                    built.days += 1;
                    built.events += events;
                    tracing::info!(%day, events, left = dirty.len() - 1, "a day was rolled up");
                }
                None => {
                    again.1 = 0;
                    tokio::time::sleep(BUSY).await;
                }
            }
        }
    }

    /// Lets nothing begin any more.
    fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Asked before each step.
    fn go_on(&self) -> Result<()> {
        if self.closing.load(Ordering::Acquire) { Err(Error::Other("the work on rollups was closed".into())) } else { Ok(()) }
    }

    /// Takes the lock; whoever holds it longer than it says has lost it at `now`.
    async fn lock(&self, now: i64, lease: Duration) -> Result<Option<Lock>> {
        self.go_on()?;
        let now_or_never = if self.alone.load(Ordering::Acquire) { i64::MAX } else { now };
        let lock = Lock::take(&self.connection, now, now_or_never, lease).await?;
        self.alone.store(false, Ordering::Release);
        Ok(lock)
    }

    /// Whether the events are in this database, and not only a door to those of other servers.
    async fn are_local(&self) -> Result<bool> {
        Ok(self.engine_of_events().await?.ends_with("MergeTree"))
    }

    /// `""` when it cannot be seen.
    async fn engine_of_events(&self) -> Result<String> {
        self.schema.ensure().await?;
        let sql = Sql::new("SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'events'");
        let engines = self.connection.ask::<(String,)>(&self.client().await?, &sql).await?.data;
        Ok(engines.into_iter().next().map(|(engine,)| engine).unwrap_or_default())
    }
}
