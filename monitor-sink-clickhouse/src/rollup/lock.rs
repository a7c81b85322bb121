//! One builder at a time, without a lock service: making a table is atomic, so a table is the lock.
//!
//! The lock's comment names its holder (a random token) and when others may break it. Whoever breaks it renames it to the name of *this*
//! holder's broken lock, which exists already if somebody else was faster, and then drops the holder's staging tables. A holder that is late
//! rather than dead can do no harm: what it would put in place is gone. That is why a holder makes all its staging tables first and then
//! looks whether it [still holds](Lock::is_held) the lock: if it is broken later, the tables were there to be dropped.

use std::time::{Duration, Instant};

use clickhouse::error::{Error, Result};

use crate::{
    classify::{TABLE_ALREADY_EXISTS, UNKNOWN_TABLE, code_of},
    connection::Connection,
    sql::{Sql, Value},
};

/// How long a broken lock is remembered, ms: longer than a breaker that has read it can be under way.
const REMEMBERED: i64 = 86_400_000;

/// The right to replace partitions. Not given back when dropped: see [`release`](Lock::release).
#[derive(Debug)]
pub(super) struct Lock {
    token: String,
    taken: Instant,
    lease: Duration,
}

impl Lock {
    /// Takes the lock if it is free, or if its holder's time was over at `over`. It is ours for the time `lease` from `now` on (ms).
    pub(super) async fn take(connection: &Connection, now: i64, over: i64, lease: Duration) -> Result<Option<Lock>> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| Error::Other(error.to_string().into()))?;
        let lock = Lock { token: format!("{:016x}", u64::from_le_bytes(bytes)), taken: Instant::now(), lease };
        // The second attempt is for a lock that was broken or given back in between.
        for _ in 0..2 {
            if lock.create(connection, now).await? {
                return Ok(Some(lock));
            }
            let Some(holder) = holder(connection).await? else { continue };
            if over < holder.until || !holder.break_lock(connection).await? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    pub(super) async fn is_held(&self, connection: &Connection) -> Result<bool> {
        Ok(holder(connection).await?.is_some_and(|holder| holder.token == self.token))
    }

    async fn create(&self, connection: &Connection, now: i64) -> Result<bool> {
        let until = now.saturating_add(i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX));
        let mut sql = Sql::new("CREATE TABLE rollup_lock (nothing UInt8) ENGINE = Null COMMENT ");
        sql.literal(&format!("{} {now} {until}", self.token));
        match connection.execute(&connection.writer().await?, &sql).await {
            Ok(()) => Ok(true),
            Err(error) if code_of(&error) == Some(TABLE_ALREADY_EXISTS) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Name of this holder's staging table for a table.
    pub(super) fn staging(&self, table: &str) -> String {
        format!("rollup_staging_{}_{table}", self.token)
    }

    /// Removes the staging tables and gives the lock back. What fails here is cleared up by whoever breaks the lock.
    pub(super) async fn release(self, connection: &Connection) {
        let released = async {
            drop_staging(connection, &self.token).await?;
            // Fails when it was broken. If somebody could be about to break it, its broken name must stay taken.
            let broken = rename(connection, &self.token).await?;
            if broken && self.taken.elapsed() < self.lease / 2 {
                let mut sql = Sql::new("DROP TABLE IF EXISTS ");
                sql.name(&broken_name(&self.token)).push(" SYNC");
                connection.execute(&connection.writer().await?, &sql).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = released.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the lock of the rollups was not given back; it ends by itself");
        }
    }
}

/// Who has the lock.
struct Holder {
    token: String,
    until: i64,
}

impl Holder {
    /// `false` when somebody else was faster.
    async fn break_lock(&self, connection: &Connection) -> Result<bool> {
        let broken = rename(connection, &self.token).await?;
        if broken {
            tracing::warn!(holder = self.token, "the lock of the rollups was not given back in time and is broken");
            drop_staging(connection, &self.token).await?;
        }
        Ok(broken)
    }
}

fn broken_name(token: &str) -> String {
    format!("rollup_broken_{token}")
}

/// Takes the lock away from a holder, once.
async fn rename(connection: &Connection, token: &str) -> Result<bool> {
    let mut sql = Sql::new("RENAME TABLE rollup_lock TO ");
    sql.name(&broken_name(token));
    match connection.execute(&connection.writer().await?, &sql).await {
        Ok(()) => Ok(true),
        Err(error) if matches!(code_of(&error), Some(TABLE_ALREADY_EXISTS | UNKNOWN_TABLE)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn holder(connection: &Connection) -> Result<Option<Holder>> {
    let sql = Sql::new("SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = 'rollup_lock'");
    let found = connection.ask::<(String,)>(&connection.writer().await?, &sql).await?.data;
    Ok(found.first().and_then(|(comment,)| {
        let mut words = comment.split(' ');
        let token = words.next()?.to_owned();
        let _taken = words.next();
        Some(Holder { token, until: words.next()?.parse().ok()? })
    }))
}

async fn drop_staging(connection: &Connection, token: &str) -> Result<()> {
    let mut sql = Sql::new("SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, ");
    sql.bind(Value::Text(format!("rollup_staging_{token}_"))).push(")");
    drop_all(connection, &sql).await
}

async fn drop_all(connection: &Connection, sql: &Sql) -> Result<()> {
    let client = connection.writer().await?;
    for (table,) in connection.ask::<(String,)>(&client, sql).await?.data {
        let mut sql = Sql::new("DROP TABLE IF EXISTS ");
        sql.name(&table).push(" SYNC");
        connection.execute(&client, &sql).await?;
    }
    Ok(())
}

/// Removes what is left of holders that lost their lock: staging tables of a breaker that died before it dropped them, and broken locks that
/// are old enough.
pub(super) async fn clear_up(connection: &Connection, now: i64) -> Result<()> {
    let mut sql = Sql::new(
        "WITH broken AS (SELECT substring(name, 15) AS token, toInt64(splitByChar(' ', comment)[2]) AS taken FROM system.tables \
            WHERE database = currentDatabase() AND startsWith(name, 'rollup_broken_')) \
        SELECT name FROM system.tables WHERE database = currentDatabase() AND ( \
            startsWith(name, 'rollup_staging_') AND substring(name, 16, 16) IN (SELECT token FROM broken) \
            OR substring(name, 15) IN (SELECT token FROM broken WHERE taken < ",
    );
    sql.bind(Value::Integer(now - REMEMBERED)).push("))");
    drop_all(connection, &sql).await
}
