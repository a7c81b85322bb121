//! Rollups and repair in the background of the process that installed [`ClickHouse`](crate::ClickHouse).

use std::{
    error::Error as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use monitor_core::{Gauge, Service};
use tokio::{sync::watch, task::JoinHandle};

use super::{RollupError, Rollups};
use crate::{
    calendar::{DAY, HOUR},
    sql::{Sql, Value},
};

/// Pause between two looks at what is dirty, and how much longer it may be by chance, so that processes do not look at the same moment.
const PAUSE: (Duration, Duration) = (Duration::from_secs(50), Duration::from_secs(20));
/// Longest pause after errors.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Days are looked at for copies of events once in this time, in the quietest hour; later when the process did not run in that hour.
const REPAIR_AT_MOST: Duration = Duration::from_secs(2 * 3_600);
const REPAIR_AT_LEAST: Duration = Duration::from_secs(25 * 3_600);

/// A task that keeps the rollups up to date.
pub(crate) struct Background {
    rollups: Arc<Rollups>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Background {
    /// Starts it. Must be called inside of a runtime.
    pub(crate) fn start(rollups: Rollups) -> Background {
        let rollups = Arc::new(rollups);
        let (stop, stopped) = watch::channel(false);
        let task = Mutex::new(Some(tokio::spawn(run(Arc::clone(&rollups), stopped))));
        Background { rollups, stop, task }
    }
}

#[async_trait]
impl Service for Background {
    async fn close(&self, within: Duration) {
        self.rollups.close();
        self.stop.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task {
            // The statement that runs is waited for, the next one is not begun. What is aborted leaves a lock that ends by itself.
            if tokio::time::timeout(within, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

async fn run(rollups: Arc<Rollups>, mut stopped: watch::Receiver<bool>) {
    let mut failures = 0;
    let mut repaired = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause(failures)) => {}
            // Fails only when the service is gone, which means the same.
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        let worked = async {
            if !rollups.are_local().await? {
                return Ok(false);
            }
            rollups.recover(now()).await?;
            rollups.catch_up().await?;
            let waited = repaired.elapsed();
            if waited > REPAIR_AT_LEAST || waited > REPAIR_AT_MOST && rollups.is_quietest_hour(now()).await? {
                rollups.repair(now()).await?;
                repaired = Instant::now();
            }
            Ok::<_, RollupError>(true)
        };
        match worked.await {
            Ok(true) => failures = 0,
            Ok(false) => {
                tracing::info!("the events are on other servers, and so is the work on rollups");
                return;
            }
            Err(_) if *stopped.borrow() => return,
            Err(error) => {
                failures += 1;
                tracing::warn!(error = error.source(), "{error}");
            }
        }
    }
}

fn pause(failures: u32) -> Duration {
    let mut bytes = [0; 4];
    // Without chance, all pauses are the same, which costs a little.
    let _ = getrandom::fill(&mut bytes);
    let chance = PAUSE.1.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX));
    (PAUSE.0 + chance).saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Rollups {
    /// Builds what is due, as long as nobody else does.
    async fn catch_up(&self) -> Result<(), RollupError> {
        loop {
            let now = now();
            let dirty = self.dirty(now).await?;
            self.counts.set(Gauge::RollupDays, "", i64::try_from(dirty.len()).unwrap_or(i64::MAX));
            let Some(day) = dirty.iter().find(|day| day.is_due(now)) else { break };
            if self.build_day(day, now, now).await?.is_none() {
                return Ok(());
            }
            tracing::info!(%day, left = dirty.len() - 1, "a day was rolled up");
        }
        for month in self.stale_months().await?.iter().filter(|month| month.is_due(now())) {
            if !self.copy_month(month, now()).await? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the fewest events of yesterday came in this hour of the day.
    async fn is_quietest_hour(&self, now: i64) -> Result<bool, RollupError> {
        let mut sql = Sql::new("SELECT toHour(hour) AS hour, sum(rows) FROM rollup_hours WHERE toDate(hour) = toDate(");
        sql.bind(Value::Integer(now.div_euclid(DAY) - 1)).push(") GROUP BY hour");
        let hours = self.connection.ask::<(i64, u64)>(&self.client().await?, &sql).await?.data;
        let rows = |hour: i64| hours.iter().find(|(found, _)| *found == hour).map_or(0, |(_, rows)| *rows);
        Ok((0..24).min_by_key(|hour| rows(*hour)) == Some(now.rem_euclid(DAY) / HOUR))
    }
}
