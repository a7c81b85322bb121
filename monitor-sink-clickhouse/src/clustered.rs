//! The schema for a cluster: statements for an operator to run, made of the same migrations as everybody's tables.
//!
//! ```text
//! monitor         events, rollup_…   Distributed: what programs write to and read from
//!                 rollup_state       a view: what all shards have rolled up
//!                 issue_states       one table, the same on all servers
//! monitor_local   events, rollup_…   ReplicatedMergeTree: the shard's own; a job on each shard builds its rollups
//! ```
//!
//! Events are sharded by visitor (by session, when there is none), so a visitor's events are on one shard, and distinct visitors and sessions
//! of the shards add up.

use crate::{
    config::{ConfigError, Options},
    schema::{MIGRATIONS, expression_of},
    sql::Sql,
};

/// What [`ClickHouse::clustered_schema`](crate::ClickHouse::clustered_schema) needs to know of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it only describes a cluster"]
pub struct Cluster {
    name: String,
    tiers: Option<Tiers>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tiers {
    policy: String,
    cold: String,
    after_days: u32,
}

impl Cluster {
    /// A cluster by its name in the servers' configuration. The servers' macros must define `shard` and `replica`.
    pub fn new(name: impl Into<String>) -> Cluster {
        Cluster { name: name.into(), tiers: None }
    }

    /// Keeps events in a storage policy and moves them to its volume `cold` after some days. The policy and its volumes are part of the servers'
    /// configuration; new parts go to its first volume.
    pub fn tiers(mut self, policy: impl Into<String>, cold: impl Into<String>, after_days: u32) -> Cluster {
        self.tiers = Some(Tiers { policy: policy.into(), cold: cold.into(), after_days });
        self
    }

    fn check(&self) -> Result<(), ConfigError> {
        let names = [Some(&self.name), self.tiers.as_ref().map(|tiers| &tiers.policy), self.tiers.as_ref().map(|tiers| &tiers.cold)];
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        match names.into_iter().flatten().find(|name| !is_name(name)) {
            Some(name) => Err(ConfigError::Cluster(name.clone())),
            None => Ok(()),
        }
    }
}

/// Where a table's replicas find each other, and each its own name.
const REPLICATED: &str = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'";
/// The same for a table that is not sharded.
const EVERYWHERE: &str = "'/clickhouse/tables/all/{database}/{table}', '{shard}_{replica}'";

/// The statements, in order. Each may run twice.
pub(crate) fn statements(options: &Options, cluster: &Cluster) -> Result<Vec<String>, ConfigError> {
    cluster.check()?;
    let quoted = |name: &str| Sql::default().name(name).text().to_owned();
    let (database, local) = (quoted(&options.database), quoted(&format!("{}_local", options.database)));
    let on_cluster = format!("ON CLUSTER '{}'", cluster.name);
    let mut statements: Vec<String> =
        [&database, &local].iter().map(|database| format!("CREATE DATABASE IF NOT EXISTS {database} {on_cluster}")).collect();
    let mut doors = Vec::new();
    for migration in MIGRATIONS {
        let sql: String =
            migration.sql.lines().filter(|line| !line.starts_with("--")).map(|line| line.trim_end().to_owned() + "\n").collect();
        let sql = sql.trim_end().replace("\n\n", "\n");
        if let Some((table, change)) = sql.strip_prefix("ALTER TABLE ").and_then(|rest| rest.split_once(' ')) {
            statements.push(format!("ALTER TABLE {local}.{table} {on_cluster} {change}"));
            // One that an earlier version of these statements has made does not know the column. It stores nothing, so nothing is compressed.
            if change.starts_with("ADD COLUMN ") && table != "rollup_state" {
                doors.push(format!("ALTER TABLE {database}.{table} {on_cluster} {}", change.replacen(" CODEC(ZSTD(1))", "", 1)));
            }
            continue;
        }
        let Some(table) = sql.strip_prefix("CREATE TABLE IF NOT EXISTS ").and_then(|rest| rest.lines().next()) else { continue };
        let (home, replicated) = if table == "issue_states" { (&database, EVERYWHERE) } else { (&local, REPLICATED) };
        let mut made = sql.replacen(&format!("EXISTS {table}"), &format!("EXISTS {home}.{table} {on_cluster}"), 1);
        made = made.replacen("\nAS ", &format!("\nAS {home}."), 1);
        made = made.replacen("ENGINE = MergeTree", &format!("ENGINE = ReplicatedMergeTree({replicated})"), 1);
        made = made.replacen("ENGINE = ReplacingMergeTree(", &format!("ENGINE = ReplicatedReplacingMergeTree({replicated}, "), 1);
        made = made.replace(
            "non_replicated_deduplication_window = 10000",
            "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800",
        );
        statements.push(with_retention(made, table, options, cluster));
        match table {
            "issue_states" | "repair_state" => {}
            "rollup_state" => doors.push(format!(
                "CREATE OR REPLACE VIEW {database}.rollup_state {on_cluster} AS\n\
                SELECT day, min(until) AS until, max(definition) AS definition, sum(rows) AS rows, min(monthly) AS monthly, max(built) AS built,\n\
                \x20   groupUniqArrayArray(frozen) AS frozen\n\
                FROM (SELECT _shard_num AS shard, day, argMax(until, built) AS until, argMax(definition, built) AS definition,\n\
                \x20       argMax(rows, built) AS rows, argMax(monthly, built) AS monthly, argMax(frozen, built) AS frozen, max(built) AS built\n\
                \x20   FROM cluster('{}', {local}.rollup_state) GROUP BY shard, day)\n\
                GROUP BY day HAVING count() = (SELECT uniqExact(shard_num) FROM system.clusters WHERE cluster = '{}') AND min(definition) = max(definition)",
                cluster.name, cluster.name
            )),
            table => {
                // The expression of the column `user_hash`, which the servers work out only when they store a row.
                let key = if table == "events" { ", cityHash64(if(visitor = '', session, visitor))" } else { "" };
                doors.push(format!(
                    "CREATE TABLE IF NOT EXISTS {database}.{table} {on_cluster} AS {local}.{table}\n\
                    ENGINE = Distributed('{}', {local}, {table}{key})",
                    cluster.name
                ));
            }
        }
    }
    statements.extend(doors);
    Ok(statements)
}

/// Adds the `TTL` and the storage policy to the statement that makes a table.
fn with_retention(sql: String, table: &str, options: &Options, cluster: &Cluster) -> String {
    let delete = expression_of(table, options);
    let tiers = cluster.tiers.as_ref().filter(|_| table == "events");
    let cold = tiers.map(|tiers| format!("toDate(time) + toIntervalDay({}) TO VOLUME '{}'", tiers.after_days, tiers.cold));
    let ttl: Vec<String> = delete.into_iter().chain(cold).collect();
    let mut sql = sql;
    if !ttl.is_empty() {
        sql = sql.replacen("\nSETTINGS ", &format!("\nTTL {}\nSETTINGS ", ttl.join(", ")), 1);
    }
    if table == "events" && !options.project_retention.is_empty() {
        sql = sql.replacen("ttl_only_drop_parts = 1", "ttl_only_drop_parts = 0", 1);
    }
    if let Some(tiers) = tiers {
        sql = sql.replacen("\nSETTINGS ", &format!("\nSETTINGS storage_policy = '{}', ", tiers.policy), 1);
    }
    sql
}
