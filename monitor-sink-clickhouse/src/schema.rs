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
    config::Options,
    connection::Connection,
    sql::{Sql, Value},
};

/// In order, without gaps. A released one never changes: what is wrong with it is put right by the next.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "events", sql: include_str!("migrations/0001_events.sql") },
    Migration { version: 2, name: "weight", sql: include_str!("migrations/0002_weight.sql") },
    Migration { version: 3, name: "rollup_hours", sql: include_str!("migrations/0003_rollup_hours.sql") },
    Migration { version: 4, name: "rollup_routes", sql: include_str!("migrations/0004_rollup_routes.sql") },
    Migration { version: 5, name: "rollup_clients", sql: include_str!("migrations/0005_rollup_clients.sql") },
    Migration { version: 6, name: "rollup_sessions", sql: include_str!("migrations/0006_rollup_sessions.sql") },
    Migration { version: 7, name: "rollup_issues", sql: include_str!("migrations/0007_rollup_issues.sql") },
    Migration { version: 8, name: "rollup_state", sql: include_str!("migrations/0008_rollup_state.sql") },
    Migration { version: 9, name: "issue_states", sql: include_str!("migrations/0009_issue_states.sql") },
    Migration { version: 10, name: "repair_state", sql: include_str!("migrations/0010_repair_state.sql") },
    Migration { version: 11, name: "rollup_month_hours", sql: include_str!("migrations/0011_rollup_month_hours.sql") },
    Migration { version: 12, name: "rollup_month_routes", sql: include_str!("migrations/0012_rollup_month_routes.sql") },
    Migration { version: 13, name: "rollup_month_clients", sql: include_str!("migrations/0013_rollup_month_clients.sql") },
    Migration { version: 14, name: "rollup_month_sessions", sql: include_str!("migrations/0014_rollup_month_sessions.sql") },
    Migration { version: 15, name: "rollup_month_issues", sql: include_str!("migrations/0015_rollup_month_issues.sql") },
    Migration { version: 16, name: "rollup_state_monthly", sql: include_str!("migrations/0016_rollup_state_monthly.sql") },
    Migration { version: 17, name: "rollup_targets", sql: include_str!("migrations/0017_rollup_targets.sql") },
    Migration { version: 18, name: "rollup_month_targets", sql: include_str!("migrations/0018_rollup_month_targets.sql") },
    Migration { version: 19, name: "compact_parts", sql: include_str!("migrations/0019_compact_parts.sql") },
    Migration { version: 20, name: "rollup_sample", sql: include_str!("migrations/0020_rollup_sample.sql") },
    Migration { version: 21, name: "rollup_month_sample", sql: include_str!("migrations/0021_rollup_month_sample.sql") },
    Migration { version: 22, name: "rollup_sessions_fingerprints", sql: include_str!("migrations/0022_rollup_sessions_fingerprints.sql") },
    Migration {
        version: 23,
        name: "rollup_month_sessions_fingerprints",
        sql: include_str!("migrations/0023_rollup_month_sessions_fingerprints.sql"),
    },
    Migration { version: 24, name: "rollup_totals", sql: include_str!("migrations/0024_rollup_totals.sql") },
    Migration { version: 25, name: "rollup_month_totals", sql: include_str!("migrations/0025_rollup_month_totals.sql") },
    Migration { version: 26, name: "rollup_route_totals", sql: include_str!("migrations/0026_rollup_route_totals.sql") },
    Migration { version: 27, name: "rollup_month_route_totals", sql: include_str!("migrations/0027_rollup_month_route_totals.sql") },
    Migration { version: 28, name: "rollup_routes_until", sql: include_str!("migrations/0028_rollup_routes_until.sql") },
    Migration { version: 29, name: "rollup_route_totals_until", sql: include_str!("migrations/0029_rollup_route_totals_until.sql") },
    Migration { version: 30, name: "rollup_clients_until", sql: include_str!("migrations/0030_rollup_clients_until.sql") },
    Migration { version: 31, name: "rollup_targets_until", sql: include_str!("migrations/0031_rollup_targets_until.sql") },
    Migration { version: 32, name: "rollup_issues_until", sql: include_str!("migrations/0032_rollup_issues_until.sql") },
    Migration { version: 33, name: "rollup_sessions_users", sql: include_str!("migrations/0033_rollup_sessions_users.sql") },
    Migration { version: 34, name: "rollup_month_sessions_users", sql: include_str!("migrations/0034_rollup_month_sessions_users.sql") },
    Migration { version: 35, name: "rollup_sample_tags", sql: include_str!("migrations/0035_rollup_sample_tags.sql") },
    Migration { version: 36, name: "rollup_month_sample_tags", sql: include_str!("migrations/0036_rollup_month_sample_tags.sql") },
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

pub(crate) struct Migration {
    version: u32,
    name: &'static str,
    pub(crate) sql: &'static str,
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
        if self.is_door().await? {
            tracing::info!(
                database = self.connection.options().database,
                "its tables are doors to those of a cluster, whose operator makes and changes them"
            );
            return Ok(());
        }
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

    /// Whether the tables store nothing by themselves, see `clustered`: then there is nothing here to migrate, and most changes would be refused.
    async fn is_door(&self) -> Result<bool> {
        let mut question = Sql::new("SELECT engine FROM system.tables WHERE name = 'events' AND database = ");
        question.bind(Value::Text(self.connection.options().database.clone()));
        // The database need not be there yet.
        let client = self.connection.writer().await?.with_database("default");
        let found = self.connection.ask::<(String,)>(&client, &question).await?.data;
        Ok(found.first().is_some_and(|(engine,)| !engine.ends_with("MergeTree")))
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
        let mut question = Sql::new("SELECT name, engine_full FROM system.tables WHERE database = ");
        question.bind(Value::Text(options.database.clone()));
        let found = self.connection.ask::<(String, String)>(&client, &question).await?.data;
        let engine = |table: &str| found.iter().find(|(name, _)| name == table).map(|(_, engine)| engine.as_str());
        let Some(events) = engine("events") else {
            tracing::warn!("the table's definition cannot be read: retention and flushing are left as they are");
            return Ok(());
        };
        if events.starts_with("Distributed") || events.starts_with("Replicated") {
            // Tables of a cluster are made, and changed, by its operator: see `clustered`.
            return Ok(());
        }
        let mut changes = Vec::new();
        for retention in retentions(options) {
            let Some(engine) = engine(retention.table) else { continue };
            changes.extend(retention.change(engine));
        }
        // A part that holds projects with different retentions must shrink, not only be dropped as a whole.
        let whole = u32::from(options.project_retention.is_empty());
        if !events.contains(&format!("ttl_only_drop_parts = {whole}")) {
            let mut change = Sql::new("ALTER TABLE events MODIFY SETTING ttl_only_drop_parts = ");
            change.number(whole);
            changes.push(change);
        }
        let flushes = events.contains("fsync_after_insert = 1") && events.contains("fsync_part_directory = 1");
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

/// How long a table keeps its rows.
struct Retention {
    table: &'static str,
    /// The day of a row.
    day: &'static str,
    /// 0 is for ever.
    days: u32,
    /// Those of single projects.
    projects: Vec<(String, u32)>,
}

/// Rollups of sessions, issues, targets and samples go with the events. The others are removed by the job that builds them, which sees to it that nobody reads
/// half of a day; where it does not run, they go two days later.
fn retentions(options: &Options) -> [Retention; 19] {
    let projects: Vec<_> = options.project_retention.iter().map(|(project, days)| (project.clone(), *days)).collect();
    let like_events = |table, day| Retention { table, day, days: options.retention_days, projects: projects.clone() };
    let days = if options.rollup_retention_days == 0 { 0 } else { options.rollup_retention_days.saturating_add(2) };
    let longer = |table, day| Retention { table, day, days, projects: Vec::new() };
    [
        like_events("events", "toDate(time)"),
        like_events("rollup_sessions", "day"),
        like_events("rollup_issues", "day"),
        like_events("rollup_targets", "day"),
        like_events("rollup_sample", "toDate(time)"),
        longer("rollup_hours", "toDate(hour)"),
        longer("rollup_routes", "day"),
        longer("rollup_clients", "day"),
        longer("rollup_totals", "toDate(hour)"),
        longer("rollup_route_totals", "day"),
        like_events("rollup_month_sessions", "day"),
        like_events("rollup_month_issues", "day"),
        like_events("rollup_month_targets", "day"),
        like_events("rollup_month_sample", "toDate(time)"),
        longer("rollup_month_hours", "toDate(hour)"),
        longer("rollup_month_routes", "day"),
        longer("rollup_month_clients", "day"),
        longer("rollup_month_totals", "toDate(hour)"),
        longer("rollup_month_route_totals", "day"),
    ]
}

/// The engine of a table, as the migration says that makes it. On a cluster the table itself has another one, see `clustered`.
pub(crate) fn engine_of(table: &str) -> Option<&'static str> {
    let create = format!("CREATE TABLE IF NOT EXISTS {table}\n");
    let migration = MIGRATIONS.iter().find(|migration| migration.sql.contains(&create))?;
    migration.sql.find("\nENGINE = ").and_then(|at| migration.sql.get(at..))
}

/// The expression after which a table's rows are deleted; `None` when they are kept for ever.
pub(crate) fn expression_of(table: &str, options: &Options) -> Option<String> {
    let retention = retentions(options).into_iter().find(|retention| retention.table == table)?;
    retention.expression().map(|expression| expression.text().to_owned())
}

impl Retention {
    /// The statement that gives a table this retention, if its definition (`engine_full`) says another.
    fn change(&self, engine: &str) -> Option<Sql> {
        let mut sql = Sql::new("ALTER TABLE ");
        sql.push(self.table);
        match self.expression() {
            None => engine.contains(" TTL ").then(|| {
                sql.push(" REMOVE TTL");
                sql
            }),
            Some(expression) => {
                // Followed by the settings, or by nothing.
                let said = engine.split_once(" TTL ").map(|(_, rest)| rest.split_once(" SETTINGS ").map_or(rest, |(ttl, _)| ttl));
                (said != Some(expression.text())).then(|| {
                    sql.push(" MODIFY TTL ").append(&expression);
                    sql
                })
            }
        }
    }

    /// As the server writes it, so that it can be compared.
    fn expression(&self) -> Option<Sql> {
        let kept = |days: u32| if days == 0 { FOR_EVER } else { days.min(FOR_EVER) };
        if self.projects.is_empty() {
            return (self.days > 0).then(|| {
                let mut sql = Sql::default();
                sql.push(self.day).push(" + toIntervalDay(").number(self.days).push(")");
                sql
            });
        }
        // Days since 1970, which must not exceed what a date can hold.
        let mut sql = Sql::default();
        sql.push("toDate(least(toUInt32(").push(self.day).push(") + transform(project, [");
        for (n, (project, _)) in self.projects.iter().enumerate() {
            sql.push(if n == 0 { "" } else { ", " }).literal(project);
        }
        sql.push("], [");
        for (n, (_, days)) in self.projects.iter().enumerate() {
            sql.push(if n == 0 { "" } else { ", " }).number(kept(*days));
        }
        sql.push("], ").number(kept(self.days)).push("), ").number(FOR_EVER).push("))");
        Some(sql)
    }
}

/// The last day a date can hold, in days since 1970.
const FOR_EVER: u32 = 65_535;

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
    fn each_migration_makes_or_changes_a_table_which_is_what_the_schema_for_a_cluster_knows() {
        for migration in MIGRATIONS {
            let statement = migration.sql.lines().find(|line| !line.starts_with("--")).unwrap();
            assert!(["CREATE TABLE IF NOT EXISTS ", "ALTER TABLE "].iter().any(|start| statement.starts_with(start)), "{}", migration.name);
        }
    }

    #[test]
    fn every_table_that_is_made_has_an_engine() {
        let first_lines = MIGRATIONS.iter().filter_map(|migration| migration.sql.lines().find(|line| !line.starts_with("--")));
        let tables: Vec<&str> = first_lines.filter_map(|line| line.strip_prefix("CREATE TABLE IF NOT EXISTS ")).collect();
        assert!(tables.contains(&"events") && tables.contains(&"rollup_hours"));
        for table in tables {
            let engine = engine_of(table).unwrap();
            assert!(engine.starts_with("\nENGINE = ") && engine.contains("MergeTree") && engine.contains("ORDER BY"), "{table}: {engine}");
            assert!(!engine.contains(';'), "{table}: {engine}");
        }
        assert!(engine_of("rollup_hours").unwrap().contains("toDate(hour)"));
        assert_eq!(engine_of("rollup"), None);
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
