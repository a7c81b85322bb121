//! The tables: numbered migrations, applied before the first write or question.
//!
//! Each migration is one statement that may run twice (`IF NOT EXISTS`), and is recorded in `schema_migrations` after it
//! ran. So it does not matter whether several processes migrate at once or one is interrupted: whoever comes next runs
//! again what is not recorded. ClickHouse has no lock that would do better.
//!
//! A database with a newer schema, or with a migration whose text is another one, is refused: nothing is written to or
//! read from tables that this program does not understand.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use clickhouse::error::{Error, Result};
use tokio::sync::Mutex;

use crate::{
    classify::{ACCESS_DENIED, UNKNOWN_DATABASE, UNKNOWN_TABLE, code_of},
    connection::Connection,
    sql::{Sql, Value},
};

/// In order, without gaps. A released one never changes: what is wrong with it is put right by the next.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "events", sql: include_str!("migrations/0001_events.sql") },
    Migration { version: 2, name: "weight", sql: include_str!("migrations/0002_weight.sql") },
];

const RECORD: &str = "CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32,
    name String,
    checksum String,
    applied DateTime('UTC')
)
ENGINE = MergeTree
ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1";

struct Migration {
    version: u32,
    name: &'static str,
    sql: &'static str,
}

impl Migration {
    /// FNV-1a of the text: notices a change, protects from nobody.
    fn checksum(&self) -> String {
        let hash = self.sql.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{hash:016x}")
    }
}

/// The database holds tables that this program does not understand.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaError {
    /// A newer version of this program has migrated it.
    #[error("the database has schema version {found}, this program knows versions up to {known}")]
    Newer {
        /// Version of the database.
        found: u32,
        /// Latest version this program knows.
        known: u32,
    },
    /// A migration was applied with another text.
    #[error("migration {version} of the database differs from this program's")]
    Changed {
        /// Its version.
        version: u32,
    },
}

/// Sees to it that the tables are there.
pub(crate) struct Schema {
    connection: Arc<Connection>,
    ready: AtomicBool,
    migrating: Mutex<()>,
}

impl Schema {
    pub(crate) fn new(connection: Arc<Connection>) -> Schema {
        Schema { connection, ready: AtomicBool::new(false), migrating: Mutex::new(()) }
    }

    /// Returns when the tables are as this program needs them. Free after the first success.
    pub(crate) async fn ensure(&self) -> Result<()> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let _one_at_a_time = self.migrating.lock().await;
        if !self.ready.load(Ordering::Acquire) {
            self.migrate().await?;
            self.ready.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Looks at an error of a statement: when a table is gone, the schema is looked at again before the next one.
    pub(crate) fn doubt(&self, error: &Error) {
        if matches!(code_of(error), Some(UNKNOWN_TABLE | UNKNOWN_DATABASE)) {
            self.ready.store(false, Ordering::Release);
        }
    }

    async fn migrate(&self) -> Result<()> {
        let applied = self.applied().await?;
        check(&applied).map_err(|error| Error::Other(error.into()))?;
        let client = self.connection.writer().await?;
        for migration in MIGRATIONS.iter().filter(|migration| !applied.iter().any(|(version, _)| *version == migration.version)) {
            self.connection.execute(&client, &Sql::new(migration.sql)).await?;
            let mut record = Sql::new("INSERT INTO schema_migrations (version, name, checksum, applied) SELECT ");
            record.bind(Value::Integer(migration.version.into())).push(", ").bind(Value::Text(migration.name.into()));
            record.push(", ").bind(Value::Text(migration.checksum())).push(", now()");
            self.connection.execute(&client, &record).await?;
            tracing::info!(version = migration.version, name = migration.name, "schema migration applied");
        }
        self.adjust().await
    }

    /// Versions and checksums on record. Makes the database and the record when they do not exist.
    async fn applied(&self) -> Result<Vec<(u32, String)>> {
        let question = Sql::new("SELECT version, checksum FROM schema_migrations GROUP BY version, checksum ORDER BY version");
        let client = self.connection.writer().await?;
        let answer = self.connection.ask(&client, &question).await;
        let missing = match &answer {
            Err(error) => code_of(error),
            Ok(_) => None,
        };
        match missing {
            Some(UNKNOWN_DATABASE) => {
                let mut create = Sql::new("CREATE DATABASE IF NOT EXISTS ");
                create.name(&self.connection.options().database);
                self.connection.execute(&client.clone().with_database("default"), &create).await?;
            }
            Some(UNKNOWN_TABLE) => {}
            _ => return Ok(answer?.data),
        }
        self.connection.execute(&client, &Sql::new(RECORD)).await?;
        Ok(self.connection.ask(&client, &question).await?.data)
    }

    /// Brings what the host can choose (retention, flushing) in line with the configuration. Changes nothing, and needs
    /// no right to change anything, when it already is.
    async fn adjust(&self) -> Result<()> {
        let options = self.connection.options();
        let client = self.connection.writer().await?;
        let mut question = Sql::new("SELECT engine_full FROM system.tables WHERE name = 'events' AND database = ");
        question.bind(Value::Text(options.database.clone()));
        let found = self.connection.ask::<(String,)>(&client, &question).await?.data;
        let Some((engine,)) = found.first() else {
            tracing::warn!("the table's definition cannot be read: retention and flushing are left as they are");
            return Ok(());
        };
        let mut changes = Vec::new();
        let days = options.retention_days;
        if days == 0 && engine.contains(" TTL ") {
            changes.push(Sql::new("ALTER TABLE events REMOVE TTL"));
        } else if days > 0 && !engine.contains(&format!(" TTL toDate(time) + toIntervalDay({days})")) {
            let mut change = Sql::new("ALTER TABLE events MODIFY TTL toDate(time) + toIntervalDay(");
            change.number(days).push(")");
            changes.push(change);
        }
        let flushes = engine.contains("fsync_after_insert = 1") && engine.contains("fsync_part_directory = 1");
        if flushes != options.fsync {
            let mut change = Sql::new("ALTER TABLE events MODIFY SETTING fsync_after_insert = ");
            let flag = u32::from(options.fsync);
            change.number(flag).push(", fsync_part_directory = ").number(flag);
            changes.push(change);
        }
        for change in changes {
            match self.connection.execute(&client, &change).await {
                Err(error) if code_of(&error) == Some(ACCESS_DENIED) => {
                    tracing::warn!(%error, "retention or flushing cannot be changed: they are left as they are");
                }
                result => result?,
            }
        }
        Ok(())
    }
}

fn check(applied: &[(u32, String)]) -> Result<(), SchemaError> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    for (version, checksum) in applied {
        match MIGRATIONS.iter().find(|migration| migration.version == *version) {
            None => return Err(SchemaError::Newer { found: applied.iter().map(|(version, _)| *version).max().unwrap_or(0), known }),
            Some(migration) if migration.checksum() != *checksum => return Err(SchemaError::Changed { version: *version }),
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps() {
        assert!(MIGRATIONS.iter().zip(1..).all(|(migration, version)| migration.version == version));
    }

    #[test]
    fn a_foreign_schema_is_refused() {
        let first = (1, MIGRATIONS[0].checksum());
        let known = MIGRATIONS.last().unwrap().version;
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(std::slice::from_ref(&first)), Ok(()));
        assert_eq!(check(&[first.clone(), (known + 1, "x".into())]), Err(SchemaError::Newer { found: known + 1, known }));
        assert_eq!(check(&[first, (1, "other".into())]), Err(SchemaError::Changed { version: 1 }));
    }
}
