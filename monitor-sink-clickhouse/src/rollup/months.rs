//! Copies closed days into tables by month.
//!
//! A day is replaced as a whole, so it has a part of its own. A question over a month opens one for each day, and that costs more than reading
//! what is in them: a part by month answers it in a third of the time. Days that are built again are read from their own part until the
//! month is copied again; only then their rows in the month's part are the right ones, and `rollup_state.monthly` says so.

use std::{collections::BTreeMap, time::Instant};

use clickhouse::error::{Error, Result};

use super::{
    DEFINITION, RollupError, Rollups,
    build::lease,
    definitions::Rollup,
    lock::{self, Lock},
};
use crate::{
    calendar::Date,
    classify::{ACCESS_DENIED, code_of},
    sql::{Sql, Value},
};

/// A month with fewer closed days is not copied: little would be saved.
const FEWEST_DAYS: usize = 3;
/// Least time between two copies of a month, ms: late events change the days of the last week again and again.
const PAUSE: i64 = 3_600_000;
/// Time between two copies for each row of them, ms: twenty times what copying takes.
const PAUSE_PER_ROW: f64 = 0.02;

/// A month whose copy is not what its days hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stale {
    /// 202611.
    month: u32,
    /// Its closed days, days since 1970.
    days: Vec<i64>,
    /// Rows that are to be copied.
    rows: u64,
    /// When it was copied last, ms; `None` when it was not.
    copied: Option<i64>,
}

impl Stale {
    /// Whether its turn has come.
    pub(super) fn is_due(&self, now: i64) -> bool {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "milliseconds")]
        let pause = PAUSE.max((self.rows as f64 * PAUSE_PER_ROW) as i64);
        self.copied.is_none_or(|copied| now - copied >= pause)
    }
}

/// What is on record about a day, as far as it matters here.
struct Day {
    day: i64,
    stored: u64,
    monthly: bool,
    built: i64,
}

impl Rollups {
    /// Months to copy, newest first.
    pub(super) async fn stale_months(&self) -> Result<Vec<Stale>> {
        let mut sql = Sql::new(
            "SELECT toUInt16(day), argMax(stored, built), argMax(monthly, built), toUnixTimestamp64Milli(max(built)) FROM rollup_state \
            GROUP BY day HAVING argMax(until, built) = toDateTime(day + 1, 'UTC') AND argMax(definition, built) = ",
        );
        sql.bind(Value::Integer(DEFINITION.into()));
        let states = self.connection.ask::<(i64, u64, u8, i64)>(&self.client().await?, &sql).await?.data;
        let mut months = BTreeMap::<u32, Vec<Day>>::new();
        for (day, stored, monthly, built) in states {
            months.entry(Date::of(day).month()).or_default().push(Day { day, stored, monthly: monthly == 1, built });
        }
        let sql = Sql::new(
            "SELECT toUInt32(partition), sum(rows) FROM system.parts WHERE active AND database = currentDatabase() \
            AND startsWith(table, 'rollup_month_') GROUP BY partition",
        );
        let copies: BTreeMap<u32, u64> = self.connection.ask::<(u32, u64)>(&self.client().await?, &sql).await?.data.into_iter().collect();
        Ok(stale(months, &copies))
    }

    /// Copies a month. `false` when somebody else is building.
    pub(super) async fn copy_month(&self, month: &Stale, later: i64) -> Result<bool> {
        let Some(lock) = self.lock(later, lease(month.rows)).await? else { return Ok(false) };
        let copied = self.copy_locked(month.month, later, &lock).await;
        lock.release(&self.connection).await;
        copied.map(|()| true)
    }

    async fn copy_locked(&self, month: u32, later: i64, lock: &Lock) -> Result<()> {
        lock::clear_up(&self.connection, later).await?;
        // Somebody else may have copied it, or built one of its days, meanwhile.
        let stale = self.stale_months().await?;
        let Some(stale) = stale.into_iter().find(|stale| stale.month == month) else { return Ok(()) };
        for rollup in Rollup::ALL {
            self.stage(rollup.table_by_month(), lock).await?;
        }
        if !lock.is_held(&self.connection).await? {
            return Err(Error::Other("another process has taken the lock away".into()));
        }
        for rollup in Rollup::ALL.into_iter().filter(|_| !stale.days.is_empty()) {
            self.go_on()?;
            self.copy_days(&stale, rollup, lock).await?;
        }
        self.go_on()?;
        for rollup in Rollup::ALL {
            self.put_in_place(stale.month, rollup.table_by_month(), lock).await?;
        }
        self.record_monthly(&stale.days).await
    }

    /// Into one part: it may as well be done here.
    async fn copy_days(&self, stale: &Stale, rollup: Rollup, lock: &Lock) -> Result<()> {
        let (client, limit) = (self.heavy(stale.rows).await?, lease(stale.rows));
        let staging = lock.staging(rollup.table_by_month());
        let mut sql = Sql::new("INSERT INTO ");
        sql.name(&staging)
            .push(" SELECT ")
            .push(rollup.columns_by_month())
            .push(" FROM ")
            .push(rollup.table())
            .push(" WHERE ")
            .push(rollup.day())
            .push(" IN ");
        push_days(&mut sql, &stale.days);
        self.connection.execute_within(&client, &sql, limit).await?;
        let mut sql = Sql::new("OPTIMIZE TABLE ");
        sql.name(&staging).push(" FINAL");
        match self.connection.execute_within(&client, &sql, limit).await {
            // A right of its own. Without it the server merges by itself, a little later.
            Err(error) if code_of(&error) == Some(ACCESS_DENIED) => Ok(()),
            result => result,
        }
    }

    /// Writes down that the days, as they are, are in the tables by month.
    async fn record_monthly(&self, days: &[i64]) -> Result<()> {
        if days.is_empty() {
            return Ok(());
        }
        let mut sql = Sql::new(
            "INSERT INTO rollup_state (day, until, rows, block, definition, expired, frozen, stored, built, took_ms, monthly) \
            SELECT day, s.1, s.2, s.3, s.4, s.5, s.6, s.7, greatest(now64(3, 'UTC'), latest + toIntervalMillisecond(1)), s.8, 1 FROM ( \
                SELECT day, argMax((until, rows, block, definition, expired, frozen, stored, took_ms), built) AS s, max(built) AS latest \
                FROM rollup_state WHERE day IN ",
        );
        push_days(&mut sql, days);
        sql.push(" GROUP BY day)");
        self.connection.execute(&self.client().await?, &sql).await
    }

    /// Copies all months that are stale; waits while another process builds.
    pub(super) async fn copy_months(&self, now: i64, begin: Instant) -> Result<(), RollupError> {
        loop {
            let stale = self.stale_months().await?;
            let Some(month) = stale.first() else { return Ok(()) };
            let later = now.saturating_add(i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX));
            if self.copy_month(month, later).await? {
                tracing::info!(month = month.month, days = month.days.len(), "rolled up days were put together by month");
            } else {
                tokio::time::sleep(super::BUSY).await;
            }
        }
    }
}

/// The months whose copy is not what their closed days hold, newest first.
fn stale(mut months: BTreeMap<u32, Vec<Day>>, copies: &BTreeMap<u32, u64>) -> Vec<Stale> {
    // Of some nothing may be kept any more.
    for month in copies.keys() {
        months.entry(*month).or_default();
    }
    let newest_first = months.into_iter().rev().filter_map(|(month, days)| {
        let stored: u64 = days.iter().map(|day| day.stored).sum();
        let copied = copies.get(&month).copied().unwrap_or(0);
        let current = days.iter().all(|day| day.monthly) && stored == copied;
        let little = days.len() < FEWEST_DAYS && copied == 0;
        (!current && !little).then(|| Stale {
            month,
            rows: stored,
            copied: days.iter().filter(|day| day.monthly).map(|day| day.built).max(),
            days: days.into_iter().map(|day| day.day).collect(),
        })
    });
    newest_first.collect()
}

fn push_days(sql: &mut Sql, days: &[i64]) {
    sql.push("(");
    for (n, day) in days.iter().enumerate() {
        sql.push(if n == 0 { "toDate(" } else { ", toDate(" }).bind(Value::Integer(*day)).push(")");
    }
    sql.push(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64, monthly: bool) -> Day {
        Day { day, stored: 10, monthly, built: day * 1_000 }
    }

    fn months(days: Vec<Day>) -> BTreeMap<u32, Vec<Day>> {
        [(202_611, days)].into()
    }

    #[test]
    fn a_month_is_stale_when_one_of_its_days_is_not_in_it_as_it_is() {
        let copied = |rows: u64| BTreeMap::from([(202_611, rows)]);
        assert_eq!(stale(months(vec![day(1, true), day(2, true), day(3, true)]), &copied(30)), []);
        let found = stale(months(vec![day(1, true), day(2, false), day(3, true)]), &copied(30));
        assert_eq!(found, [Stale { month: 202_611, days: vec![1, 2, 3], rows: 30, copied: Some(3_000) }]);
        // Rows are missing, whoever took them.
        assert_eq!(stale(months(vec![day(1, true), day(2, true), day(3, true)]), &copied(29)).len(), 1);
    }

    #[test]
    fn a_month_that_has_just_begun_is_not_copied_and_one_that_is_no_longer_kept_goes() {
        assert_eq!(stale(months(vec![day(1, false), day(2, false)]), &BTreeMap::new()), []);
        assert_eq!(stale(months(vec![day(1, false), day(2, false), day(3, false)]), &BTreeMap::new()).len(), 1);
        let found = stale(BTreeMap::new(), &[(202_501, 5)].into());
        assert_eq!(found, [Stale { month: 202_501, days: vec![], rows: 0, copied: None }]);
    }

    #[test]
    fn a_month_is_copied_again_after_a_while() {
        let stale = Stale { month: 202_611, days: vec![], rows: 1_000_000, copied: Some(5) };
        assert!(!stale.is_due(5 + PAUSE - 1) && stale.is_due(5 + PAUSE));
        let large = Stale { rows: 1_000_000_000, ..stale.clone() };
        assert!(!large.is_due(5 + 19_999_999) && large.is_due(5 + 20_000_000));
        assert!(Stale { copied: None, ..stale }.is_due(0));
    }
}
