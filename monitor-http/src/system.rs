//! How the process is doing, for the dashboard: the numbers of `/metrics`, and how fast they grow.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::Response;
use monitor_core::{Reading, Sample, Scope};
use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::{
    access::Identity,
    answer::{self, Refusal},
    clock,
    response::Body,
    service::Shared,
};

/// Rates are over this time, or as near to it as there were questions.
const WINDOW: Duration = Duration::from_secs(60);
/// Readings are at least this far apart.
const SPACING: Duration = Duration::from_secs(1);
/// A store that does not say in this time whether it is there, is not.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// What was read before: rates need two readings. There is no task that reads; a dashboard that shows the figures does so all the time.
pub(crate) struct History {
    started: Instant,
    /// ms since the Unix epoch.
    started_at: i64,
    readings: Mutex<VecDeque<(Instant, Totals)>>,
}

/// What only grows, by its name, over all labels.
type Totals = BTreeMap<&'static str, u64>;

impl History {
    pub(crate) fn new() -> History {
        History { started: Instant::now(), started_at: clock::now(), readings: Mutex::default() }
    }

    /// How much everything grew per second, and over how many seconds. The first answer is over all the time since the start.
    fn rates(&self, totals: Totals, now: Instant) -> (f64, BTreeMap<&'static str, f64>) {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest of those that are old enough stays as what to compare with.
        while readings.get(1).is_some_and(|(then, _)| now.duration_since(*then) >= WINDOW) {
            readings.pop_front();
        }
        let none = Totals::new();
        let (then, before) = readings.front().map_or((self.started, &none), |(then, before)| (*then, before));
        let seconds = now.duration_since(then).as_secs_f64().max(0.001);
        let rate = |(name, total): (&&'static str, &u64)| {
            let grown = total.saturating_sub(before.get(name).copied().unwrap_or(0)) as f64;
            (*name, grown / seconds)
        };
        let rates = totals.iter().map(rate).collect();
        if readings.back().is_none_or(|(last, _)| now.duration_since(*last) >= SPACING) {
            readings.push_back((now, totals));
        }
        (seconds, rates)
    }
}

#[derive(Serialize)]
struct System {
    version: &'static str,
    /// Start of the process's service, ms since the Unix epoch.
    started: i64,
    uptime_seconds: f64,
    /// Whether events are taken and the host's other parts run: what `/readyz` says.
    ready: bool,
    store_available: bool,
    /// `None` for those who may not see the whole process.
    process: Option<Process>,
}

#[derive(Serialize)]
struct Process {
    rates: Rates,
    spool: Spool,
    /// Messages of topics that wait, by partition.
    consumer_lag: BTreeMap<String, i64>,
    drops: Vec<Drop>,
    live_viewers: i64,
    /// Everything, under the names of `/metrics`.
    metrics: Vec<Metric>,
}

#[derive(Serialize)]
struct Rates {
    /// What they are means of.
    over_seconds: f64,
    per_second: BTreeMap<&'static str, f64>,
}

#[derive(Serialize)]
struct Spool {
    bytes: i64,
    lanes: BTreeMap<String, Lane>,
}

/// One sink's way out of the spool.
#[derive(Default, Serialize)]
struct Lane {
    events: i64,
    age_ms: i64,
    dead_letters: i64,
    delivered: u64,
    retried: u64,
}

/// Events or requests that ended early.
#[derive(Serialize)]
struct Drop {
    what: &'static str,
    reason: String,
    count: u64,
}

#[derive(Serialize)]
struct Metric {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    value: i128,
}

/// The counts that tell of losses, by their names in `/metrics`.
const DROPS: [&str; 9] = [
    "events_rejected",
    "events_dropped",
    "requests_refused",
    "client_events_discarded",
    "events_duplicate",
    "events_dead_lettered",
    "events_expired",
    "spool_quarantined",
    "live_events_dropped",
];

impl Shared {
    pub(crate) async fn system(&self, identity: &Identity) -> Result<Response<Body>, Refusal> {
        let store_available = match &self.store {
            Some(store) => timeout(STORE_PATIENCE, store.is_available()).await.unwrap_or(false),
            None => false,
        };
        let now = Instant::now();
        let sees_all = identity.scope() == Scope::All;
        Ok(answer::ok_json(&System {
            version: env!("CARGO_PKG_VERSION"),
            started: self.history.started_at,
            uptime_seconds: now.duration_since(self.history.started).as_secs_f64(),
            ready: self.check_ready().is_ok(),
            store_available,
            process: sees_all.then(|| process(&self.history, self.samples(), now)),
        }))
    }
}

fn process(history: &History, samples: Vec<Sample>, now: Instant) -> Process {
    let mut totals = Totals::new();
    let mut spool = Spool { bytes: 0, lanes: BTreeMap::new() };
    let mut consumer_lag = BTreeMap::new();
    let mut drops = Vec::new();
    let mut live_viewers = 0;
    let mut metrics = Vec::new();
    for Sample { name, label, value } in samples {
        let label = label.map(|(_, label)| label);
        if let Reading::Counter(n) = value {
            *totals.entry(name).or_default() += n;
        }
        match (name, &label, value) {
            ("spool_bytes", _, Reading::Gauge(n)) => spool.bytes = n,
            ("live_viewers", _, Reading::Gauge(n)) => live_viewers = n,
            ("consumer_lag_messages", Some(partition), Reading::Gauge(n)) => {
                consumer_lag.insert(partition.clone(), n);
            }
            ("spool_events", Some(sink), Reading::Gauge(n)) => spool.lane(sink).events = n,
            ("spool_age_milliseconds", Some(sink), Reading::Gauge(n)) => spool.lane(sink).age_ms = n,
            ("dead_letters", Some(sink), Reading::Gauge(n)) => spool.lane(sink).dead_letters = n,
            ("events_delivered", Some(sink), Reading::Counter(n)) => spool.lane(sink).delivered = n,
            ("batches_retried", Some(sink), Reading::Counter(n)) => spool.lane(sink).retried = n,
            (what, Some(reason), Reading::Counter(count)) if DROPS.contains(&what) => {
                drops.push(Drop { what, reason: reason.clone(), count });
            }
            _ => {}
        }
        let value = match value {
            Reading::Counter(n) => n.into(),
            Reading::Gauge(n) => n.into(),
        };
        metrics.push(Metric { name, label, value });
    }
    let (over_seconds, per_second) = history.rates(totals, now);
    Process { rates: Rates { over_seconds, per_second }, spool, consumer_lag, drops, live_viewers, metrics }
}

impl Spool {
    fn lane(&mut self, sink: &str) -> &mut Lane {
        self.lanes.entry(sink.to_owned()).or_default()
    }
}
