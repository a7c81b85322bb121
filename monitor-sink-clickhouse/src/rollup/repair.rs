//! Removes events that are stored more than once from days that are over.
//!
//! The sink keeps events single; what can still slip through is listed in its documentation and is rare, so a day is only looked at again
//! when its events have changed, and only rewritten when there are copies.
//!
//! ```text
//! 1. staging ◂── one of each event of the day               (signature unchanged? else another night)
//! 2. events ── MOVE PARTITION ──▸ aside                      takes exactly the parts there are
//! 3. events ◂── ATTACH PARTITION ── staging
//! 4. aside has more than was read in 1? the rest ──▸ events; drop aside
//! ```
//!
//! `REPLACE PARTITION` would do 2 and 3 in one step, but an event that is written between reading and replacing would be gone. Between 2 and
//! 3, some milliseconds, a question misses the day. Whoever is killed there leaves `aside`, and the next holder of the lock, before anything
//! else, brings back what is in it and not in `events`.

use std::time::Instant;

use clickhouse::error::{Error, Result};
use monitor_core::Labelled;

use super::{
    BUSY, Repaired, RollupError, Rollups, SETTLE,
    build::lease,
    days::Signature,
    lock::{self, Lock},
};
use crate::{
    calendar::{DAY, Date, HOUR},
    sql::{Sql, Value},
};

/// Events that are compared at once: 16 bytes of memory for each.
const COMPARED: u64 = 20_000_000;
/// Events that are rewritten at once: about 100 bytes of memory for each.
const REWRITTEN: u64 = 4_000_000;
/// What holds the parts of a day for a moment; its day and the lock's token follow.
const ASIDE: &str = "repair_aside_";
/// What it is called when somebody brings it back.
const RETURNING: &str = "repair_returning_";

impl Rollups {
    /// Removes copies from all days that are over and have changed since this was last done. `now` is the time, ms since the Unix epoch.
    /// Waits while another process builds or repairs. Replicated tables are only looked at: their parts cannot be moved to another table.
    ///
    /// # Errors
    /// The server does not answer, or refuses a statement.
    pub async fn repair(&self, now: i64) -> Result<Repaired, RollupError> {
        let begin = Instant::now();
        let mut repaired = Repaired::default();
        let engine = self.engine_of_events().await?;
        if !engine.ends_with("MergeTree") {
            return Err(RollupError("the events are on other servers: repair them there".into()));
        }
        let replicated = engine.starts_with("Replicated");
        self.recover(now).await?;
        for (day, signature) in self.changed(now).await? {
            self.go_on()?;
            repaired.days += 1;
            let copies = self.copies(day, signature.rows).await?;
            if copies > 0 && replicated {
                tracing::warn!(
                    day = Date::of(day).partition(),
                    copies,
                    "events are stored more than once in a replicated table, and stay so"
                );
            }
            if copies == 0 || replicated {
                self.looked(day, signature, 0).await?;
                continue;
            }
            let lock = loop {
                let later = now.saturating_add(i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX));
                match self.lock(later, lease(signature.rows)).await? {
                    Some(lock) => break lock,
                    None => tokio::time::sleep(BUSY).await,
                }
            };
            let removed = self.rewrite(day, now, &lock).await;
            lock.release(&self.connection).await;
            if let Some(copies) = removed? {
                tracing::warn!(day = Date::of(day).partition(), copies, "events that were stored more than once were removed");
                self.counts.count(Labelled::Duplicate, "repair", copies);
                repaired.copies += copies;
            }
        }
        Ok(repaired)
    }

    /// Days that are over and not as they were when they were last looked at, newest first.
    async fn changed(&self, now: i64) -> Result<Vec<(i64, Signature)>> {
        let sql = Sql::new("SELECT toUInt16(day), argMax((rows, block), looked) FROM repair_state GROUP BY day");
        let looked = self.connection.ask::<(i64, (u64, i64))>(&self.client().await?, &sql).await?.data;
        let over = (now - SETTLE).div_euclid(HOUR) * HOUR;
        let parts = self.parts().await?.into_iter().rev().map(|(day, parts)| (day, parts.events));
        let changed = parts.filter(|(day, signature)| {
            let same = looked.iter().any(|(seen, (rows, block))| seen == day && *rows == signature.rows && *block == signature.block);
            !same && signature.rows > 0 && (day + 1) * DAY <= over
        });
        Ok(changed.collect())
    }

    /// How many events of a day are stored besides one of each.
    async fn copies(&self, day: i64, rows: u64) -> Result<u64> {
        let mut copies = 0;
        let shares = 1 + rows / COMPARED;
        for share in 0..shares {
            let mut sql = Sql::new("SELECT count() - uniqExact(cityHash64(project, id)) FROM events WHERE ");
            of_share(&mut sql, day, share, shares);
            let found = self.connection.ask_within::<(u64,)>(&self.heavy(rows).await?, &sql, lease(rows)).await?.data;
            copies += found.first().map_or(0, |(copies,)| *copies);
        }
        Ok(copies)
    }

    async fn looked(&self, day: i64, signature: Signature, copies: u64) -> Result<()> {
        let mut sql = Sql::new("INSERT INTO repair_state SELECT toDate(");
        sql.bind(Value::Integer(day)).push(")");
        for number in [i64::try_from(signature.rows), Ok(signature.block), i64::try_from(copies)] {
            sql.push(", ").bind(Value::Integer(number.unwrap_or(i64::MAX)));
        }
        sql.push(", now64(3, 'UTC')");
        self.connection.execute(&self.client().await?, &sql).await
    }

    async fn signature(&self, day: i64) -> Result<Signature> {
        Ok(self.parts().await?.get(&day).map(|parts| parts.events).unwrap_or_default())
    }

    /// Rewrites a day. Returns how many copies that removed, `None` when it is left to another time.
    async fn rewrite(&self, day: i64, now: i64, lock: &Lock) -> Result<Option<u64>> {
        lock::clear_up(&self.connection, now).await?;
        self.bring_back().await?;
        let client = self.client().await?;
        let staging = lock.staging("events");
        let aside = format!("{ASIDE}{}_{}", Date::of(day).partition(), lock.token());
        for table in [&staging, &aside] {
            let mut sql = Sql::new("CREATE TABLE ");
            sql.name(table).push(" AS events");
            self.connection.execute(&client, &sql).await?;
        }
        if !lock.is_held(&self.connection).await? {
            return Err(Error::Other("another process has taken the lock away".into()));
        }
        let before = self.signature(day).await?;
        let limit = lease(before.rows);
        let shares = 1 + before.rows / REWRITTEN;
        for share in 0..shares {
            self.go_on()?;
            let mut sql = Sql::new("INSERT INTO ");
            sql.name(&staging).push(" SELECT * FROM events WHERE ");
            of_share(&mut sql, day, share, shares);
            sql.push(" LIMIT 1 BY project, id");
            self.connection.execute_within(&self.heavy(before.rows).await?, &sql, limit).await?;
        }
        let single = self.rows_of(&staging).await?;
        let moved = self.signature(day).await? == before && single < before.rows;
        if moved {
            self.exchange(day, &staging, &aside).await?;
        }
        let held = self.rows_of(&aside).await?;
        if held != if moved { before.rows } else { 0 } {
            // Written between looking and moving.
            self.bring_back().await?;
        } else {
            self.drop_table(&aside).await?;
        }
        if !moved {
            return Ok(None);
        }
        let copies = before.rows - single;
        self.looked(day, self.signature(day).await?, copies).await?;
        Ok(Some(copies))
    }

    /// Steps 2 and 3.
    async fn exchange(&self, day: i64, staging: &str, aside: &str) -> Result<()> {
        let client = self.client().await?;
        let mut sql = Sql::new("ALTER TABLE events MOVE PARTITION ID '");
        sql.number(Date::of(day).partition()).push("' TO TABLE ").name(aside);
        self.connection.execute(&client, &sql).await?;
        let mut sql = Sql::new("ALTER TABLE events ATTACH PARTITION ID '");
        sql.number(Date::of(day).partition()).push("' FROM ").name(staging);
        let attached = self.connection.execute(&client, &sql).await;
        if attached.is_err() {
            // If this fails, too, the next holder of the lock does it.
            self.bring_back().await?;
        }
        attached
    }

    /// Finishes a repair that was killed in the middle, if there is one and its time is over.
    pub(super) async fn recover(&self, now: i64) -> Result<()> {
        let sql =
            Sql::new("SELECT count() FROM system.tables WHERE database = currentDatabase() AND match(name, '^repair_(aside|returning)_')");
        let left = self.connection.ask::<(u64,)>(&self.client().await?, &sql).await?.data;
        if left.first().is_none_or(|(left,)| *left == 0) {
            return Ok(());
        }
        let Some(lock) = self.lock(now, lease(0)).await? else { return Ok(()) };
        let recovered = async {
            lock::clear_up(&self.connection, now).await?;
            self.bring_back().await
        };
        let recovered = recovered.await;
        lock.release(&self.connection).await;
        recovered
    }

    /// Brings back into `events` what repairs that did not end had put aside. Only for the holder of the lock.
    pub(super) async fn bring_back(&self) -> Result<()> {
        let client = self.client().await?;
        for (prefix, returning) in [(ASIDE, false), (RETURNING, true)] {
            let mut sql = Sql::new("SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, ");
            sql.bind(Value::Text(prefix.into())).push(")");
            for (table,) in self.connection.ask::<(String,)>(&client, &sql).await?.data {
                let Some((day, token)) = table.strip_prefix(prefix).and_then(|rest| rest.split_once('_')) else { continue };
                let back = format!("{RETURNING}{day}_{token}");
                if !returning {
                    // A holder that is late rather than dead can move nothing into it any more.
                    let mut sql = Sql::new("RENAME TABLE ");
                    sql.name(&table).push(" TO ").name(&back);
                    self.connection.execute(&client, &sql).await?;
                }
                self.return_from(&back).await?;
            }
        }
        Ok(())
    }

    async fn return_from(&self, table: &str) -> Result<()> {
        let rows = self.rows_of(table).await?;
        let shares = 1 + rows / REWRITTEN;
        let sql_of = |share: u64| {
            let mut sql = Sql::new("INSERT INTO events SELECT * FROM ");
            let residue = |sql: &mut Sql| {
                sql.push("cityHash64(id) % ").bind(integer(shares)).push(" = ").bind(integer(share));
            };
            sql.name(table).push(" WHERE ");
            residue(&mut sql);
            sql.push(" AND (project, id) NOT IN (SELECT project, id FROM events WHERE toDate(time) IN (SELECT toDate(time) FROM ")
                .name(table);
            sql.push(") AND ");
            residue(&mut sql);
            sql.push(") LIMIT 1 BY project, id");
            sql
        };
        for share in 0..if rows == 0 { 0 } else { shares } {
            self.connection.execute_within(&self.heavy(rows).await?, &sql_of(share), lease(rows)).await?;
        }
        self.drop_table(table).await
    }

    pub(super) async fn rows_of(&self, table: &str) -> Result<u64> {
        let mut sql = Sql::new("SELECT sum(rows) FROM system.parts WHERE active AND database = currentDatabase() AND table = ");
        sql.bind(Value::Text(table.into()));
        Ok(self.connection.ask::<(u64,)>(&self.client().await?, &sql).await?.data.first().map_or(0, |(rows,)| *rows))
    }

    async fn drop_table(&self, table: &str) -> Result<()> {
        let mut sql = Sql::new("DROP TABLE IF EXISTS ");
        sql.name(table).push(" SYNC");
        self.connection.execute(&self.client().await?, &sql).await
    }
}

/// Conditions for the events of a day whose ids fall into one of several shares.
fn of_share(sql: &mut Sql, day: i64, share: u64, shares: u64) {
    sql.push("time >= ").instant(day * DAY).push(" AND time < ").instant((day + 1) * DAY);
    sql.push(" AND cityHash64(id) % ").bind(integer(shares)).push(" = ").bind(integer(share));
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
