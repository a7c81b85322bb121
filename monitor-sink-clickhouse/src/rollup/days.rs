//! Which days are dirty.

use std::{collections::BTreeMap, fmt, iter};

use clickhouse::error::Result;

use super::{DEFINITION, Rollups, SETTLE, definitions::Rollup, retention::Expired};
use crate::{
    calendar::{DAY, Date, HOUR},
    sql::{Sql, Value},
};

/// A day that has to be built.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dirty {
    /// Days since 1970.
    pub(super) day: i64,
    /// Events before this are to be in, ms.
    pub(super) until: i64,
    /// The signature of its events as it is now.
    pub(super) signature: Signature,
    pub(super) expired: Expired,
    pub(super) state: Option<State>,
}

/// What is the same only as long as the events of a day are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) rows: u64,
    pub(super) block: i64,
}

/// What is on record about a day.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) until: i64,
    pub(super) signature: Signature,
    definition: u16,
    expired: u64,
    pub(super) frozen: Vec<String>,
    stored: u64,
    built: i64,
    took: i64,
}

/// Parts of a day: its events, and rows of its rollups.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    pub(super) events: Signature,
    stored: u64,
}

impl Dirty {
    pub(super) fn start(&self) -> i64 {
        self.day * DAY
    }

    /// Whether its turn has come: at once for a reason that time brings, else so seldom that building takes a twentieth of the time.
    pub(super) fn is_due(&self, now: i64) -> bool {
        self.is_dirty_without_signature() || self.state.as_ref().is_none_or(|state| now - state.built >= (20 * state.took).max(60_000))
    }

    /// Whether the day is over.
    pub(super) fn is_closed(&self) -> bool {
        self.until == self.start() + DAY
    }
}

/// `2024-11-20`.
impl fmt::Display for Dirty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Date::of(self.day).fmt(f)
    }
}

impl Rollups {
    /// The days to build, newest first.
    pub(super) async fn dirty(&self, now: i64) -> Result<Vec<Dirty>> {
        self.schema.ensure().await?;
        let states = self.states().await?;
        let parts = self.parts().await?;
        let options = self.connection.options();
        let today = now.div_euclid(DAY);
        let over = (now - SETTLE).div_euclid(HOUR) * HOUR;

        let mut days: Vec<i64> = parts.keys().chain(states.keys()).copied().collect();
        days.sort_unstable_by(|a, b| b.cmp(a));
        days.dedup();
        let mut dirty = Vec::new();
        for day in days {
            let kept = options.rollup_retention_days == 0 || today < day + i64::from(options.rollup_retention_days);
            let state = states.get(&day).cloned();
            let parts = parts.get(&day).copied().unwrap_or_default();
            // Never less than there is: the clock of another process may be ahead of ours.
            let until = if kept { over.min((day + 1) * DAY).max(state.as_ref().map_or(0, |state| state.until)) } else { day * DAY };
            let day = Dirty { day, until, signature: parts.events, expired: Expired::on(options, day, today), state };
            let intact = day.state.as_ref().is_some_and(|state| state.stored == parts.stored);
            if day.is_dirty(parts.stored) && !(intact && self.has_all_before(&day).await?) {
                dirty.push(day);
            }
        }
        Ok(dirty)
    }

    /// Whether the only thing new about a day that is not over are events of the hours that are not rolled up yet, which is so all day long.
    async fn has_all_before(&self, day: &Dirty) -> Result<bool> {
        let Some(state) = &day.state else { return Ok(false) };
        if day.is_closed() || state.signature == day.signature || day.is_dirty_without_signature() {
            return Ok(false);
        }
        let mut sql = Sql::new("SELECT (SELECT count() FROM events WHERE time >= ");
        sql.bind_time(day.start())
            .push(" AND time < ")
            .bind_time(day.until)
            .push(") = (SELECT sum(rows) FROM rollup_hours WHERE toDate(hour) = toDate(");
        sql.bind(Value::Integer(day.day)).push("))");
        let answer = self.connection.ask::<(u8,)>(&self.client().await?, &sql).await?;
        Ok(answer.data.first().is_some_and(|(equal,)| *equal == 1))
    }

    async fn states(&self) -> Result<BTreeMap<i64, State>> {
        type Row = (i64, (i64, u64, i64, u16, u64, Vec<String>, u64, i64), i64);
        let sql = Sql::new(
            "SELECT toUInt16(day), argMax((toUnixTimestamp(until), rows, block, definition, expired, frozen, stored, took_ms), built), \
            toUnixTimestamp64Milli(max(built)) FROM rollup_state GROUP BY day",
        );
        let rows = self.connection.ask::<Row>(&self.client().await?, &sql).await?.data;
        let state = |(day, (until, rows, block, definition, expired, frozen, stored, took), built): Row| {
            let signature = Signature { rows, block };
            (day, State { until: until * 1_000, signature, definition, expired, frozen, stored, built, took })
        };
        Ok(rows.into_iter().map(state).collect())
    }

    /// Parts of events and rollups, by day.
    pub(super) async fn parts(&self) -> Result<BTreeMap<i64, Parts>> {
        let mut sql = Sql::new(
            "SELECT toUInt16(toDate(partition)), sumIf(rows, table = 'events'), \
            maxIf(greatest(max_block_number, toInt64(data_version)), table = 'events'), sumIf(rows, table != 'events') \
            FROM system.parts WHERE active AND database = currentDatabase() \
            AND table IN ",
        );
        let tables = iter::once("events").chain(Rollup::ALL.map(Rollup::table)).map(str::to_owned).collect();
        sql.bind(Value::Texts(tables)).push(" GROUP BY partition");
        let rows = self.connection.ask::<(i64, u64, i64, u64)>(&self.client().await?, &sql).await?.data;
        let parts = rows.into_iter().map(|(day, rows, block, stored)| (day, Parts { events: Signature { rows, block }, stored }));
        Ok(parts.collect())
    }
}

impl Dirty {
    fn is_dirty(&self, stored: u64) -> bool {
        let nothing = self.until <= self.start();
        match &self.state {
            // Nothing of it is over yet, or it is too old; it must not be there.
            None if nothing => stored > 0,
            None => self.signature != Signature::default(),
            Some(state) if state.definition > DEFINITION => false,
            Some(state) if nothing => stored > 0 || state.until > self.start(),
            Some(state) => self.is_dirty_without_signature() || state.signature != self.signature || state.stored != stored,
        }
    }

    /// For another reason than its events.
    fn is_dirty_without_signature(&self) -> bool {
        self.state
            .as_ref()
            .is_none_or(|state| state.definition != DEFINITION || state.until != self.until || state.expired != self.expired.hash())
    }
}
