//! Typed questions to SQL, and rows to answers.
//!
//! Every piece of SQL here is a literal that an enum selects; whatever a reader wrote is a bound value (see [`Sql`]). The tenant filter is
//! added in one place, [`filter::tenant`].
//!
//! # Modules
//!
//! - `filter`: which rows a question reads.
//! - `aggregate`: a [`Query`], from its plan to its table. `plan` decides where it is read from, by what is `known` of the tables; `raw` asks
//!   the events or the rollup that holds a sample of them, `values` and `people` the others; `trust` says how far a sample can be relied on.
//! - `events`: whole events; `sessions` and `issues`: lists of what events belong to.
//! - `funnel`, `retention`, `paths`: what visitors do one after the other.
//! - `storage`: what is kept.

mod aggregate;
mod answer;
mod events;
mod filter;
mod funnel;
mod issues;
mod known;
mod paths;
mod people;
mod plan;
mod raw;
mod retention;
mod sessions;
mod storage;
mod trust;
mod values;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use clickhouse::error::Result as Outcome;
use monitor_core::{
    Document, QueryError, Scope, Store,
    query::{
        Cursor, EventPage, EventQuery, FunnelQuery, IssueQuery, IssueState, PathQuery, Query, RetentionQuery, SessionQuery, Source, Stats,
        Table,
    },
};
use serde_json::value::RawValue;

use crate::{
    classify::{is_rolled_up_since, query_error},
    connection::{Answer, Connection, Settings},
    schema::Schema,
    sql::Sql,
};
use filter::Selection;
use known::{Knowledge, Known};
use raw::Sample;

/// To put the sets of several threads together takes longer than to fill one.
const ONE_THREAD: Settings = &[("max_threads", 1)];
/// Rows of forty columns: a few granules of them are work for more than one thread.
const WIDE: Settings = &[("merge_tree_min_rows_for_concurrent_read", 16_384), ("merge_tree_min_bytes_for_concurrent_read", 1 << 20)];

/// How long the readiness probe waits.
const PING: Duration = Duration::from_secs(2);

/// Answers questions from the events and their rollups.
pub struct ClickHouseStore {
    connection: Arc<Connection>,
    schema: Arc<Schema>,
    knowledge: Arc<Knowledge>,
    /// Questions that the server is answering.
    asked: AtomicUsize,
}

/// A question that the server is answering.
struct Asked<'a> {
    all: &'a AtomicUsize,
    /// Their number when it was asked, itself included.
    at_once: usize,
}

impl Asked<'_> {
    fn new(all: &AtomicUsize) -> Asked<'_> {
        Asked { all, at_once: all.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ClickHouseStore {
    pub(crate) fn new(connection: Arc<Connection>, schema: Arc<Schema>) -> ClickHouseStore {
        let knowledge = Knowledge::new(Arc::clone(&connection));
        ClickHouseStore { connection, schema, knowledge, asked: AtomicUsize::new(0) }
    }

    /// What is known of the tables.
    async fn known(&self) -> Result<Arc<Known>, QueryError> {
        self.schema.ensure().await.map_err(|error| self.judge(error))?;
        Ok(self.knowledge.get().await)
    }

    fn limits(&self) -> plan::Limits {
        plan::Limits::new(self.connection.options().quick_scan)
    }

    async fn ask<Row: serde::de::DeserializeOwned>(&self, sql: &Sql) -> Result<Answer<Row>, QueryError> {
        self.ask_with(sql, &[]).await
    }

    /// With settings of its own, if the server's user may have any.
    async fn ask_with<Row: serde::de::DeserializeOwned>(&self, sql: &Sql, settings: Settings) -> Result<Answer<Row>, QueryError> {
        let answer = async {
            self.schema.ensure().await?;
            let asked = Asked::new(&self.asked);
            self.connection.ask(&self.connection.reader(settings, asked.at_once).await?, sql).await
        };
        answer.await.map_err(|error| self.judge(error))
    }

    fn judge(&self, error: clickhouse::error::Error) -> QueryError {
        self.schema.doubt(&error);
        let answer = query_error(error);
        if let QueryError::Failed(error) = &answer {
            tracing::error!(%error, "a question failed");
        }
        answer
    }
}

#[async_trait]
impl Store for ClickHouseStore {
    async fn query(&self, scope: &Scope, query: &Query) -> Result<Table, QueryError> {
        let begin = Instant::now();
        query.validate().map_err(QueryError::Invalid)?;
        let known = self.known().await?;
        let table = match aggregate::answer(self, &known, scope, query).await {
            Err(error) if is_rolled_up_since(&error) => aggregate::answer(self, &known.of_closed_days(), scope, query).await?,
            answer => answer?,
        };
        Ok(timed(table, begin))
    }

    async fn events(&self, scope: &Scope, query: &EventQuery) -> Result<EventPage, QueryError> {
        let begin = Instant::now();
        query.validate().map_err(QueryError::Invalid)?;
        let selection = Selection { scope, project: &query.project, kinds: &query.kinds, filters: &query.filters };
        let columns = events::columns(query);
        let limit = query.limit as usize;
        let mut events: Vec<Document> = Vec::new();
        let mut rows_read = 0;
        // One more than asked for tells whether there is a next page.
        for window in events::Windows::new(query) {
            let sql = events::select_events(&columns, &selection, query, window, limit + 1 - events.len())?;
            let answer: Answer<Vec<Box<RawValue>>> = self.ask_with(&sql, WIDE).await?;
            rows_read += answer.statistics.rows_read;
            let found =
                answer.data.iter().map(|row| events::document(&columns, row)).collect::<Outcome<Vec<Document>>>().map_err(query_error)?;
            events.extend(found);
            if events.len() > limit {
                break;
            }
            if begin.elapsed() > self.connection.options().query_timeout {
                return Err(QueryError::TooExpensive("it takes too long".into()));
            }
        }
        let more = events.len() > limit;
        events.truncate(limit);
        let next = events.last().filter(|_| more).map(|last| Cursor { time: last.time, id: last.id });
        Ok(EventPage { events, next, stats: Stats { elapsed_ms: elapsed(begin), rows_read, ..Stats::default() } })
    }

    async fn funnel(&self, scope: &Scope, query: &FunnelQuery) -> Result<Table, QueryError> {
        let begin = Instant::now();
        query.validate().map_err(QueryError::Invalid)?;
        Ok(timed(funnel::answer(self, scope, query).await?, begin))
    }

    async fn retention(&self, scope: &Scope, query: &RetentionQuery) -> Result<Table, QueryError> {
        let begin = Instant::now();
        query.validate().map_err(QueryError::Invalid)?;
        Ok(timed(retention::answer(self, scope, query).await?, begin))
    }

    async fn paths(&self, scope: &Scope, query: &PathQuery) -> Result<Table, QueryError> {
        let begin = Instant::now();
        query.validate().map_err(QueryError::Invalid)?;
        Ok(timed(paths::answer(self, scope, query).await?, begin))
    }

    async fn sessions(&self, scope: &Scope, query: &SessionQuery) -> Result<Table, QueryError> {
        let begin = Instant::now();
        query.validate().map_err(QueryError::Invalid)?;
        Ok(timed(sessions::answer(self, scope, query).await?, begin))
    }

    async fn issues(&self, scope: &Scope, query: &IssueQuery) -> Result<Table, QueryError> {
        let begin = Instant::now();
        query.validate().map_err(QueryError::Invalid)?;
        let known = self.known().await?;
        let table = match issues::answer(self, &known, scope, query).await {
            Err(error) if is_rolled_up_since(&error) => issues::answer(self, &known.of_closed_days(), scope, query).await?,
            answer => answer?,
        };
        Ok(timed(table, begin))
    }

    async fn set_issue(&self, scope: &Scope, state: &IssueState, at: i64) -> Result<(), QueryError> {
        state.validate().map_err(QueryError::Invalid)?;
        let sql = issues::decide(scope, state, at)?;
        let decision = async {
            self.schema.ensure().await?;
            self.connection.execute(&self.connection.writer().await?, &sql).await
        };
        decision.await.map_err(|error| self.judge(error))
    }

    async fn storage(&self, _scope: &Scope) -> Result<Table, QueryError> {
        let begin = Instant::now();
        Ok(timed(storage::answer(self).await?, begin))
    }

    async fn is_available(&self) -> bool {
        self.connection.ping(PING).await
    }
}

/// The present, ms.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What an answer about visitors or sessions cost. `seen` is the largest figure of it, before it is multiplied.
#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn counted(rows_read: u64, source: Source, sample: Sample, seen: u64) -> Stats {
    Stats { elapsed_ms: 0.0, rows_read, source, sample: sample.share(), error: trust::of_seen(seen as f64, sample) }
}

fn timed(mut table: Table, begin: Instant) -> Table {
    table.stats.elapsed_ms = elapsed(begin);
    table
}

fn elapsed(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}
