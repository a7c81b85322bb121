//! What is known of the tables: which times the rollups hold, and how many rows there are to read.
//!
//! Read from the rollups' state and the server's list of parts, at most every half a minute, beside the questions: a question waits for it
//! only when nothing is known yet. Old knowledge gives slower answers, never wrong ones: the rollups only ever hold more than is known, and where
//! a row cannot be cut at what is known, the statement checks it ([`within_days`](super::filter::within_days)).

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clickhouse::error::Result;
use monitor_core::Kind;

use super::plan::Cube;
use crate::{
    calendar::DAY,
    connection::{Answer, Connection},
    rollup::{DEFINITION, TARGETED},
    sql::{Sql, Value},
};

/// How old knowledge may be before it is renewed.
const AGE: Duration = Duration::from_secs(30);
/// Days of which the projects' shares are taken.
const SHARE_DAYS: i64 = 7;

/// Days and shares.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// By day since 1970.
    pub(super) days: BTreeMap<i64, Day>,
    /// Share of the events that belong to a project, by kind and name.
    pub(super) shares: HashMap<String, HashMap<String, HashMap<String, f64>>>,
    /// Whether the rows of days are known.
    pub(super) counted: bool,
    /// Rollups of days are to be asked about days that are over only.
    pub(super) closed_only: bool,
}

/// What is known of a day.
#[derive(Clone, Debug, Default)]
pub(super) struct Day {
    /// Events before this time (ms) are in the rollups; the day's beginning when none are.
    pub(super) until: i64,
    /// Whether it is in the tables by month, too.
    pub(super) monthly: bool,
    /// Projects whose events of this day are gone, while their figures are kept.
    pub(super) frozen: Vec<String>,
    /// Rows of each table, of all projects.
    pub(super) events: u64,
    pub(super) hours: u64,
    pub(super) totals: u64,
    pub(super) route_totals: u64,
    pub(super) routes: u64,
    pub(super) clients: u64,
    pub(super) targets: u64,
    pub(super) sessions: u64,
}

impl Known {
    /// For a question that met a day which has been built again since: rows about more hours than are known here.
    pub(super) fn of_closed_days(&self) -> Known {
        Known { closed_only: true, ..self.clone() }
    }

    /// Whether figures of the project are kept of a day of the range whose events are gone.
    pub(super) fn is_outlived(&self, project: &str, range: &Range<i64>) -> bool {
        let first = range.start.div_euclid(DAY);
        let last = range.end.saturating_sub(1).div_euclid(DAY).max(first);
        self.days.range(first..=last).any(|(_, day)| day.frozen.iter().any(|frozen| frozen == project))
    }

    /// Events to be read of a range; `None` when that cannot be told.
    pub(super) fn events(&self, project: &str, kinds: &[Kind], names: Option<&[String]>, range: &Range<i64>) -> Option<u64> {
        // Before the first rollup nobody knows which project the rows belong to: a sample would be wrong for a small one.
        let told = self.counted && !self.shares.is_empty();
        told.then(|| whole(self.sum(std::slice::from_ref(range), |day| day.events) * self.share(project, kinds, names)))
    }

    /// Rows of a histogram rollup to be read.
    pub(super) fn rolled(&self, cube: Cube, project: &str, kinds: &[Kind], names: Option<&[String]>, ranges: &[Range<i64>]) -> u64 {
        let rows = self.sum(ranges, |day| match cube {
            Cube::Hours => day.hours,
            Cube::Totals => day.totals,
            Cube::RouteTotals => day.route_totals,
            Cube::Routes => day.routes,
            Cube::Clients => day.clients,
            Cube::Targets => day.targets,
        });
        // It holds some kinds only.
        let held = if cube == Cube::Targets { self.shares.keys().map(|project| self.share(project, &TARGETED, None)).sum() } else { 1.0 };
        whole(rows * self.share(project, kinds, names) / f64::max(held, f64::MIN_POSITIVE))
    }

    /// Rows of the rollup of sessions to be read.
    pub(super) fn sessions(&self, project: &str, ranges: &[Range<i64>]) -> u64 {
        whole(self.sum(ranges, |day| day.sessions) * self.share(project, &[], None))
    }

    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    fn sum(&self, ranges: &[Range<i64>], rows: impl Fn(&Day) -> u64) -> f64 {
        let of = |range: &Range<i64>| {
            let days = self.days.range(range.start.div_euclid(DAY)..=range.end.div_euclid(DAY));
            let parts = days.map(|(day, known)| {
                let within = range.end.min((day + 1) * DAY) - range.start.max(day * DAY);
                rows(known) as f64 * within.max(0) as f64 / DAY as f64
            });
            parts.sum::<f64>()
        };
        ranges.iter().map(of).sum()
    }

    /// The share of a project's kinds and names. What was not seen of late is taken for nothing, so that it is read as a whole.
    fn share(&self, project: &str, kinds: &[Kind], names: Option<&[String]>) -> f64 {
        let Some(of_project) = self.shares.get(project) else { return 0.0 };
        let of_kind = |of_kind: &HashMap<String, f64>| match names {
            None => of_kind.values().sum::<f64>(),
            Some(names) => names.iter().filter_map(|name| of_kind.get(name)).sum(),
        };
        if kinds.is_empty() {
            return of_project.values().map(of_kind).sum();
        }
        kinds.iter().filter_map(|kind| of_project.get(kind.as_str())).map(of_kind).sum()
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and rows are not negative")]
fn whole(rows: f64) -> u64 {
    rows.ceil() as u64
}

/// The latest knowledge, shared with the task that renews it.
pub(super) struct Knowledge {
    connection: Arc<Connection>,
    latest: RwLock<Option<(Instant, Arc<Known>)>>,
    renewing: AtomicBool,
    first: tokio::sync::Mutex<()>,
}

impl Knowledge {
    pub(super) fn new(connection: Arc<Connection>) -> Arc<Knowledge> {
        Arc::new(Knowledge { connection, latest: RwLock::new(None), renewing: AtomicBool::new(false), first: tokio::sync::Mutex::new(()) })
    }

    /// What is known. When it is old, it is renewed beside.
    pub(super) async fn get(self: &Arc<Knowledge>) -> Arc<Known> {
        if let Some((since, known)) = self.latest() {
            if since.elapsed() > AGE && !self.renewing.swap(true, Ordering::AcqRel) {
                let knowledge = Arc::clone(self);
                tokio::spawn(async move {
                    knowledge.renew().await;
                    knowledge.renewing.store(false, Ordering::Release);
                });
            }
            return known;
        }
        let _one_at_a_time = self.first.lock().await;
        match self.latest() {
            Some((_, known)) => known,
            None => self.renew().await,
        }
    }

    fn latest(&self) -> Option<(Instant, Arc<Known>)> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Without an answer nothing is known: the events themselves answer all questions.
    async fn renew(&self) -> Arc<Known> {
        let known = read(&self.connection).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the state of the rollups cannot be read: questions are answered from the events");
            Known::default()
        });
        let known = Arc::new(known);
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&known)));
        known
    }
}

async fn read(connection: &Connection) -> Result<Known> {
    let client = connection.reader(&[], 1).await?;
    let mut known = Known::default();

    let mut sql = Sql::new(
        "SELECT toUInt32(day), toUnixTimestamp(argMax(until, built)) * 1000, argMax(rows, built), argMax(monthly, built), argMax(frozen, built)",
    );
    sql.push(" FROM rollup_state GROUP BY day HAVING argMax(definition, built) = ").bind(Value::Integer(DEFINITION.into()));
    let state: Answer<(i64, i64, u64, u8, Vec<String>)> = connection.ask(&client, &sql).await?;
    for (day, until, events, monthly, frozen) in state.data {
        known.days.insert(day, Day { until, events, monthly: monthly == 1, frozen, ..Day::default() });
    }

    let mut sql =
        Sql::new("SELECT table, toUInt32(toDateOrZero(partition)) AS day, sum(rows) FROM system.parts WHERE active AND database = ");
    sql.bind(Value::Text(connection.options().database.clone()));
    sql.push(
        " AND table IN ('events', 'rollup_hours', 'rollup_totals', 'rollup_routes', 'rollup_route_totals', 'rollup_clients', \
        'rollup_targets', 'rollup_sessions') GROUP BY table, day HAVING day > 0",
    );
    let parts: Answer<(String, i64, u64)> = connection.ask(&client, &sql).await?;
    for (table, day, rows) in parts.data {
        let day = known.days.entry(day).or_insert_with(|| Day { until: day * DAY, ..Day::default() });
        match table.as_str() {
            "events" => day.events = rows,
            "rollup_hours" => day.hours = rows,
            "rollup_totals" => day.totals = rows,
            "rollup_route_totals" => day.route_totals = rows,
            "rollup_routes" => day.routes = rows,
            "rollup_clients" => day.clients = rows,
            "rollup_targets" => day.targets = rows,
            _ => day.sessions = rows,
        }
    }
    known.counted = known.days.values().any(|day| day.events > 0);

    let rolled = known.days.iter().filter(|(day, known)| known.until > **day * DAY).map(|(day, _)| *day);
    if let Some(last) = rolled.max() {
        let mut sql = Sql::new("SELECT project, kind, name, sum(rows) AS events FROM rollup_hours WHERE hour >= toDateTime(");
        sql.bind(Value::Integer((last + 1 - SHARE_DAYS) * DAY / 1_000)).push(", 'UTC')");
        // The rest of a kind's names is too little to matter.
        sql.push(" GROUP BY project, kind, name ORDER BY events DESC LIMIT 10000");
        let shares: Answer<(String, String, String, u64)> = connection.ask(&client, &sql).await?;
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let all = shares.data.iter().map(|(.., rows)| *rows as f64).sum::<f64>();
        for (project, kind, name, rows) in shares.data {
            #[allow(clippy::cast_precision_loss, reason = "an estimate")]
            known.shares.entry(project).or_default().entry(kind).or_default().insert(name, rows as f64 / all);
        }
    }
    Ok(known)
}
