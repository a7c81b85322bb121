//! Builds one day: into staging tables, from there into place, the state last.

use std::time::{Duration, Instant};

use clickhouse::{
    Client,
    error::{Error, Result},
};

use monitor_core::Total;

use super::{
    DEFINITION, Rollups,
    days::{Dirty, Signature},
    definitions::Rollup,
    lock::{self, Lock},
};
use crate::{
    calendar::Date,
    schema::engine_of,
    sql::{Sql, Value},
};

/// Time for a build, at least, and for each event: five times what a slow machine needs. After it another process may begin anew.
const LEASE: Duration = Duration::from_secs(600);
const LEASE_PER_EVENT: Duration = Duration::from_micros(20);
/// Memory for aggregation, bytes; what is beyond it goes through temporary files.
const MEMORY: u64 = 600 << 20;
/// A thread of the server for so many events: building should leave the server to those who ask.
const EVENTS_PER_THREAD: u64 = 20_000_000;

pub(super) fn lease(events: u64) -> Duration {
    LEASE + LEASE_PER_EVENT.saturating_mul(u32::try_from(events).unwrap_or(u32::MAX))
}

impl Rollups {
    /// A client for everything but the large statements.
    pub(super) async fn client(&self) -> Result<Client> {
        Ok(self.connection.writer().await?.with_setting("output_format_json_quote_64bit_integers", "0"))
    }

    /// A client for statements that read or write all events of a day.
    pub(super) async fn heavy(&self, events: u64) -> Result<Client> {
        let threads = (1 + events / EVENTS_PER_THREAD).min(8);
        let settings = [
            ("max_execution_time", lease(events).as_secs()),
            ("max_threads", threads),
            ("max_insert_threads", 1),
            ("max_bytes_before_external_group_by", MEMORY),
            ("max_bytes_before_external_sort", MEMORY),
            // What is staged is new; that it was inserted before says nothing.
            ("insert_deduplicate", 0),
        ];
        let client = self.client().await?;
        Ok(settings.into_iter().fold(client, |client, (name, value)| client.with_setting(name, value.to_string())))
    }

    /// Builds a day if it is still dirty. `None` when somebody else is building. `now` decides what is dirty, `later` how old a lock is (ms).
    pub(super) async fn build_day(&self, day: &Dirty, now: i64, later: i64) -> Result<Option<u64>> {
        let Some(lock) = self.lock(later, lease(day.signature.rows)).await? else { return Ok(None) };
        let built = self.build_locked(day, now, later, &lock).await;
        lock.release(&self.connection).await;
        self.counts.add(Total::DaysRolledUp, u64::from(built.is_ok()));
        built.map(Some)
    }

    async fn build_locked(&self, day: &Dirty, now: i64, later: i64, lock: &Lock) -> Result<u64> {
        let begin = Instant::now();
        lock::clear_up(&self.connection, later).await?;
        self.bring_back().await?;
        // Somebody else may have built it meanwhile.
        let dirty = self.dirty(now).await?;
        let Some(day) = dirty.iter().find(|dirty| dirty.day == day.day) else { return Ok(0) };
        if day.until <= day.start() {
            self.retire(day).await?;
            return Ok(0);
        }
        for rollup in Rollup::ALL {
            self.stage(rollup.table(), lock).await?;
        }
        if !lock.is_held(&self.connection).await? {
            return Err(Error::Other("another process has taken the lock away".into()));
        }
        let projects = self.projects(day).await?;
        for rollup in Rollup::ALL {
            self.go_on()?;
            self.fill(day, rollup, &projects, lock).await?;
        }
        self.go_on()?;
        for rollup in Rollup::ALL {
            self.put_in_place(Date::of(day.day).partition(), rollup.table(), lock).await?;
        }
        self.record(day, projects.frozen, begin).await?;
        Ok(day.signature.rows)
    }

    /// Makes the staging table of a table.
    pub(super) async fn stage(&self, table: &'static str, lock: &Lock) -> Result<()> {
        self.connection.execute(&self.client().await?, &staging_of(table, &lock.staging(table))).await
    }

    /// Works a rollup out into its staging table.
    async fn fill(&self, day: &Dirty, rollup: Rollup, projects: &Projects, lock: &Lock) -> Result<()> {
        let client = self.heavy(day.signature.rows).await?;
        let limit = lease(day.signature.rows);
        if let Some(finer) = rollup.finer() {
            let mut sql = Sql::new("INSERT INTO ");
            sql.name(&lock.staging(rollup.table())).push(" ");
            rollup.select(&mut sql, day.day, day.until);
            sql.push(" FROM ").name(&lock.staging(finer.table())).push(rollup.group());
            return self.connection.execute_within(&client, &sql, limit).await;
        }
        if rollup.outlives_events() && !projects.frozen.is_empty() {
            let mut sql = Sql::new("INSERT INTO ");
            sql.name(&lock.staging(rollup.table())).push(" SELECT * FROM ").push(rollup.table()).push(" WHERE ");
            sql.push(rollup.day()).push(" = toDate(").bind(Value::Integer(day.day));
            sql.push(") AND project IN ").bind(Value::Texts(projects.frozen.clone()));
            self.connection.execute_within(&client, &sql, limit).await?;
        }
        if projects.alive.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let mut sql = Sql::new("INSERT INTO ");
        sql.name(&lock.staging(rollup.table())).push(" ");
        rollup.select(&mut sql, day.day, day.until);
        sql.push(" FROM events WHERE ");
        rollup.choose(&mut sql);
        sql.push("time >= ").instant(day.start()).push(" AND time < ").instant(day.until);
        if let Some(alive) = &projects.alive {
            sql.push(" AND project IN ").bind(Value::Texts(alive.clone()));
        }
        sql.push(rollup.group());
        self.connection.execute_within(&client, &sql, limit).await
    }

    /// Replaces a partition of a table by what its staging table holds.
    pub(super) async fn put_in_place(&self, partition: u32, table: &'static str, lock: &Lock) -> Result<()> {
        let client = self.client().await?;
        let staging = lock.staging(table);
        let rows = self.rows_of(&staging).await?;
        let mut sql = Sql::new("ALTER TABLE ");
        // A server may refuse to replace something by nothing.
        sql.push(table).push(if rows > 0 { " REPLACE PARTITION ID '" } else { " DROP PARTITION ID '" }).number(partition).push("'");
        if rows > 0 {
            sql.push(" FROM ").name(&staging);
        }
        self.connection.execute(&client, &sql).await
    }

    /// Which projects are built and which are taken over.
    async fn projects(&self, day: &Dirty) -> Result<Projects> {
        let before = day.state.as_ref().map(|state| state.frozen.as_slice()).unwrap_or_default();
        if day.expired.is_empty() && before.is_empty() {
            return Ok(Projects { alive: None, frozen: Vec::new() });
        }
        let of = async |table: &'static str, time: &'static str| {
            let mut sql = Sql::new("SELECT DISTINCT project FROM ");
            sql.push(table).push(" WHERE toDate(").push(time).push(") = toDate(").bind(Value::Integer(day.day)).push(") ORDER BY project");
            let rows = self.connection.ask::<(String,)>(&self.client().await?, &sql).await?.data;
            Ok::<_, Error>(rows.into_iter().map(|(project,)| project).collect::<Vec<_>>())
        };
        let mut alive = of("events", "time").await?;
        alive.retain(|project| !day.expired.contains(project));
        let mut frozen = of("rollup_hours", "hour").await?;
        frozen.retain(|project| day.expired.contains(project) || before.contains(project) && !alive.contains(project));
        Ok(Projects { alive: Some(alive), frozen })
    }

    /// Writes down what the rollups of the day hold now.
    async fn record(&self, day: &Dirty, frozen: Vec<String>, begin: Instant) -> Result<()> {
        let mut sql = Sql::new(
            "INSERT INTO rollup_state (day, until, rows, block, definition, expired, frozen, stored, built, took_ms) SELECT toDate(",
        );
        sql.bind(Value::Integer(day.day)).push("), toDateTime(").bind(Value::Integer(day.until / 1_000)).push(", 'UTC'), ");
        let Signature { rows, block } = day.signature;
        sql.bind(Value::Integer(i64::try_from(rows).unwrap_or(i64::MAX))).push(", ").bind(Value::Integer(block)).push(", ");
        sql.number(DEFINITION.into())
            .push(", toUInt64(")
            .bind(Value::Text(day.expired.hash().to_string()))
            .push("), ")
            .bind(Value::Texts(frozen));
        sql.push(", (SELECT sum(rows) FROM system.parts WHERE active AND database = currentDatabase() AND toDate(partition) = toDate(");
        sql.bind(Value::Integer(day.day));
        let tables = Rollup::ALL.iter().map(|rollup| rollup.table().to_owned()).collect();
        sql.push(") AND table IN ").bind(Value::Texts(tables)).push("), now64(3, 'UTC'), ");
        sql.bind(Value::Integer(i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX)));
        self.connection.execute(&self.client().await?, &sql).await
    }

    /// Lets go of a day that is older than rollups are kept: first nobody reads it, then it is removed.
    async fn retire(&self, day: &Dirty) -> Result<()> {
        self.record(&Dirty { until: day.start(), ..day.clone() }, Vec::new(), Instant::now()).await?;
        let client = self.client().await?;
        for rollup in Rollup::ALL {
            let mut sql = Sql::new("ALTER TABLE ");
            sql.push(rollup.table()).push(" DROP PARTITION ID '").number(Date::of(day.day).partition()).push("'");
            self.connection.execute(&client, &sql).await?;
        }
        Ok(())
    }
}

/// Makes a table with the columns of another. Not with its engine: that of a replicated table has its path in the keeper, which no second
/// table may have.
fn staging_of(table: &'static str, name: &str) -> Sql {
    let mut sql = Sql::new("CREATE TABLE ");
    sql.name(name).push(" AS ").push(table).push(engine_of(table).unwrap_or_default());
    sql
}

/// Of a day.
struct Projects {
    /// Those to be worked out; all when `None`.
    alive: Option<Vec<String>>,
    /// Those whose events are gone, but whose figures stay.
    frozen: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staging_table_is_never_replicated_and_always_partitioned_like_its_table() {
        for rollup in Rollup::ALL {
            for (table, partition) in [(rollup.table(), "\nPARTITION BY "), (rollup.table_by_month(), "\nPARTITION BY toYYYYMM(")] {
                let sql = staging_of(table, "s");
                let begin = format!("CREATE TABLE `s` AS {table}\nENGINE = MergeTree\n");
                assert!(sql.text().starts_with(&begin) && sql.text().contains(partition), "{}", sql.text());
            }
        }
    }
}
