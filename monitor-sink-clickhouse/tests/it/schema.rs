//! Migrations by several processes, interrupted ones, foreign ones; what the host can change later.

use monitor_core::{QueryError, Scope};
use monitor_sink_clickhouse::{ClickHouse, Cluster};
use serde_json::json;

use crate::engine::{DAY, Monitor, NOON, batch, configuration, event, question, request, shared, shared_admin};

/// Version of the schema that this program makes.
const LATEST: u64 = 36;

async fn engine_of_events(monitor: &Monitor) -> String {
    engine_of(monitor, "events").await
}

async fn engine_of(monitor: &Monitor, table: &str) -> String {
    let sql = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = ?";
    monitor.admin.query(sql).bind(table).fetch_one().await.unwrap()
}

#[tokio::test]
async fn several_processes_migrate_at_once() {
    let first = Monitor::new();
    let others: Vec<Monitor> = (0..4).map(|_| first.again()).collect();
    let writes = others.into_iter().zip(1u128..).map(|(monitor, id)| {
        tokio::spawn(async move { monitor.write(&batch(&format!("b{id}"), vec![request(vec![event(id, |_| {})])])).await })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap();
    }
    assert_eq!(first.one(json!({"measures": ["count"]})).await, 4);
    let versions: u64 = first.admin.query("SELECT uniqExact(version, checksum) FROM schema_migrations").fetch_one().await.unwrap();
    assert_eq!(versions, LATEST);
}

#[tokio::test]
async fn an_interrupted_migration_is_finished_by_the_next_process() {
    let monitor = Monitor::new();
    monitor.ask(json!({"measures": ["count"]})).await;
    // The table was made and the process died before it was recorded; and before that, before the table.
    monitor.admin.query("TRUNCATE TABLE schema_migrations").execute().await.unwrap();
    assert_eq!(monitor.again().one(json!({"measures": ["count"]})).await, 0);
    monitor.admin.query("TRUNCATE TABLE schema_migrations").execute().await.unwrap();
    monitor.admin.query("DROP TABLE events SYNC").execute().await.unwrap();
    assert_eq!(monitor.again().one(json!({"measures": ["count"]})).await, 0);
}

/// A row as the first version wrote it.
const FIRST: &str = "INSERT INTO events (id, time, received, kind, name, project, data) \
    SELECT generateUUIDv4(), fromUnixTimestamp64Milli(1732104000000), fromUnixTimestamp64Milli(1732104000500), 'click', 'old', 'shop', '{}'";

#[tokio::test]
async fn a_database_of_the_first_version_keeps_its_events_and_takes_new_ones() {
    let monitor = Monitor::new();
    let database = monitor.admin.database().unwrap();
    let server = monitor.admin.clone().with_database("default");
    server.query(&format!("CREATE DATABASE {database}")).execute().await.unwrap();
    let table = include_str!("../../src/migrations/0001_events.sql");
    let record = "CREATE TABLE schema_migrations (version UInt32, name String, checksum String, applied DateTime('UTC')) ENGINE = MergeTree ORDER BY version";
    let checksum = table.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let applied = format!("INSERT INTO schema_migrations SELECT 1, 'events', '{checksum:016x}', now()");
    for statement in [table, record, &applied, FIRST] {
        monitor.admin.query_raw(statement).execute().await.unwrap();
    }

    let weighty = event(1, |event| event.weight = 40.0);
    monitor.write(&batch("b", vec![request(vec![weighty, event(2, |_| {})])])).await;
    // A process that does not know the column yet goes on writing.
    monitor.admin.query_raw(FIRST).execute().await.unwrap();
    let counts = monitor.ask(json!({"group_by": ["name"], "measures": ["count"]})).await;
    assert_eq!(counts.rows, [vec![json!("old"), json!(2)], vec![json!("x"), json!(41)]]);
    let old = monitor.documents().await.into_iter().filter(|document| document["name"] == "old");
    assert!(old.clone().count() == 2 && old.clone().all(|document| document["weight"].is_null()));
    let versions: Vec<u32> =
        monitor.admin.query("SELECT DISTINCT version FROM schema_migrations ORDER BY version").fetch_all().await.unwrap();
    assert_eq!(versions, (1..=u32::try_from(LATEST).unwrap()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_native_block_without_the_weight_weighs_one() {
    // What a process of the first version sends: a block that names its columns, and none of them the weight.
    let monitor = Monitor::new();
    monitor.ask(json!({"measures": ["count"]})).await;
    let mut block = vec![1, 1, 4];
    block.extend_from_slice(b"name\x06String\x03old");
    let mut insert = monitor.admin.insert_formatted_with("INSERT INTO events FORMAT Native");
    insert.send(block.into()).await.unwrap();
    insert.end().await.unwrap();
    let weights: Vec<f32> = monitor.admin.query("SELECT weight FROM events").fetch_all().await.unwrap();
    assert_eq!(weights, [1.0]);
}

#[tokio::test]
async fn a_newer_or_changed_schema_is_neither_written_nor_read() {
    for (row, text) in [
        ("99, 'future', 'x'", "schema version 99, this program knows versions up to 36"),
        ("1, 'events', 'other'", "migration 1 of the database differs"),
    ] {
        let monitor = Monitor::new();
        monitor.ask(json!({"measures": ["count"]})).await;
        monitor.admin.query(&format!("INSERT INTO schema_migrations SELECT {row}, now()")).execute().await.unwrap();
        let late = monitor.again();
        let error = late.sink.write(&batch("b", vec![request(vec![event(1, |_| {})])])).await.unwrap_err();
        assert!(error.is_retryable() && error.retry_after().is_some(), "a stream waits for its operator");
        assert!(error.report().contains(text), "{}", error.report());
        let query = serde_json::from_value(question(json!({"measures": ["count"]}))).unwrap();
        assert!(matches!(late.store.query(&Scope::All, &query).await, Err(QueryError::Failed(_))));
        assert_eq!(monitor.rows().await, 0);
    }
}

#[tokio::test]
async fn a_lost_table_is_noticed_and_a_lost_database_made_again() {
    let monitor = Monitor::new();
    let write = async |id| monitor.sink.write(&batch(&format!("b{id}"), vec![request(vec![event(id, |_| {})])])).await;
    write(1).await.unwrap();
    let database = monitor.admin.database().unwrap().to_owned();
    monitor.admin.clone().with_database("default").query(&format!("DROP DATABASE {database} SYNC")).execute().await.unwrap();
    let error = write(2).await.unwrap_err();
    assert!(error.is_retryable() && error.retry_after().is_some(), "{}", error.report());
    write(2).await.unwrap();
    assert_eq!(monitor.rows().await, 1);
}

#[tokio::test]
async fn retention_and_flushing_follow_the_configuration() {
    let monitor = Monitor::new();
    let database = monitor.admin.database().unwrap();
    let url = shared().url();
    let with = async |change: fn(ClickHouse) -> ClickHouse| {
        let monitor = Monitor::with(change(ClickHouse::new(&url).database(database)), &url, database);
        monitor.ask(json!({"measures": ["count"]})).await;
        engine_of_events(&monitor).await
    };
    let engine = with(|clickhouse| clickhouse).await;
    assert!(engine.contains("TTL toDate(time) + toIntervalDay(90) "), "{engine}");
    assert!(engine.contains("non_replicated_deduplication_window = 10000"), "{engine}");
    assert!(engine.contains("fsync_after_insert = 1") && engine.contains("fsync_part_directory = 1"), "{engine}");
    let engine = with(|clickhouse| clickhouse.retention_days(9).fsync(false)).await;
    assert!(engine.contains("TTL toDate(time) + toIntervalDay(9) ") && engine.contains("fsync_after_insert = 0"), "{engine}");
    let engine = with(|clickhouse| clickhouse.retention_days(0)).await;
    assert!(!engine.contains("TTL") && engine.contains("fsync_after_insert = 1"), "{engine}");
}

#[tokio::test]
async fn events_beyond_the_retention_are_deleted() {
    let (url, database) = (shared().url(), Monitor::new().admin.database().unwrap().to_owned());
    let monitor = Monitor::with(configuration(&url, &database).retention_days(30), &url, &database);
    // The tests' events are years old; one of today stays.
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let today = event(2, |event| event.time = i64::try_from(today).unwrap());
    monitor.write(&batch("b", vec![request(vec![event(1, |_| {}), today])])).await;
    monitor.admin.query("OPTIMIZE TABLE events FINAL").execute().await.unwrap();
    assert_eq!(monitor.rows().await, 1);
}

#[tokio::test]
async fn each_project_has_its_own_retention_and_mixed_parts_shrink() {
    let (url, database) = (shared().url(), Monitor::new().admin.database().unwrap().to_owned());
    let configured = |change: fn(ClickHouse) -> ClickHouse| Monitor::with(change(configuration(&url, &database)), &url, &database);
    let monitor = configured(|clickhouse| clickhouse.retention_days(30).retention("kept", 0).retention("long-lived", 36_500));
    let of = |project: &str, id, time| {
        let mut envelope = request(vec![event(id, |event| event.time = time)]);
        envelope.origin.project = project.into();
        envelope
    };
    let today = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let events = [("shop", 1, NOON), ("kept", 2, NOON), ("long-lived", 3, NOON), ("shop", 4, today), ("kept", 5, 0)];
    let envelopes = events.map(|(project, id, time)| of(project, id, time));
    monitor.write(&batch("b", envelopes.into())).await;
    monitor.admin.query("OPTIMIZE TABLE events FINAL").execute().await.unwrap();
    let left: Vec<String> = monitor.admin.query("SELECT project FROM events ORDER BY id").fetch_all().await.unwrap();
    assert_eq!(left, ["kept", "long-lived", "shop", "kept"]);

    // The next process finds everything as it should be, and alters nothing: a change of the TTL rewrites every part.
    let versions = "SELECT max(data_version) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'events'";
    let before: u64 = monitor.admin.query(versions).fetch_one().await.unwrap();
    let definition = engine_of_events(&monitor).await;
    let again = configured(|clickhouse| clickhouse.retention("long-lived", 36_500).retention_days(30).retention("kept", 0));
    again.ask(json!({"measures": ["count"]})).await;
    assert_eq!(monitor.admin.query(versions).fetch_one::<u64>().await.unwrap(), before);
    assert_eq!(engine_of_events(&monitor).await, definition);
    assert!(definition.contains("ttl_only_drop_parts = 0"), "{definition}");

    let common = configured(|clickhouse| clickhouse.retention_days(30).rollup_retention_days(100));
    common.ask(json!({"measures": ["count"]})).await;
    let definition = engine_of_events(&monitor).await;
    assert!(
        definition.contains(" TTL toDate(time) + toIntervalDay(30) ") && definition.contains("ttl_only_drop_parts = 1"),
        "{definition}"
    );
    assert!(engine_of(&monitor, "rollup_sessions").await.contains(" TTL day + toIntervalDay(30) "));
    assert!(engine_of(&monitor, "rollup_hours").await.contains(" TTL toDate(hour) + toIntervalDay(102) "));
}

#[tokio::test]
async fn the_schema_for_a_cluster_is_understood_by_the_server() {
    let clickhouse = ClickHouse::new("http://x").database("watch").retention_days(30).retention("short", 7);
    for cluster in [Cluster::new("main"), Cluster::new("main").tiers("hot_cold", "cold", 5)] {
        let statements = clickhouse.clustered_schema(&cluster).unwrap();
        for statement in &statements {
            let tree: String =
                shared_admin().query_raw(&format!("EXPLAIN AST {statement}")).fetch_all::<String>().await.unwrap().join("\n");
            assert!(tree.contains("Create") || tree.contains("Alter"), "{statement}\n{tree}");
            assert!(statement.contains("ON CLUSTER 'main'"), "{statement}");
        }
        let all = statements.join(";\n");
        assert_eq!(all.matches("ENGINE = Replicated").count(), 22, "{all}");
        assert!(all.contains("Distributed('main', `watch_local`, events, cityHash64(if(visitor = '', session, visitor)))"), "{all}");
        assert!(
            !all.contains("non_replicated") && !all.contains("ENGINE = MergeTree") && !all.contains("ENGINE = ReplacingMergeTree"),
            "{all}"
        );
        // What a program reads has the columns of later migrations, too, also where it was made before them.
        let door = all.find("ALTER TABLE `watch`.rollup_sessions ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS fingerprints");
        assert!(door > all.find("CREATE TABLE IF NOT EXISTS `watch`.rollup_sessions "), "{all}");
        assert!(all.contains("transform(project, ['short'], [7], 30)") && all.contains("ttl_only_drop_parts = 0"), "{all}");
        assert_eq!(all.contains("storage_policy = 'hot_cold'"), all.contains("toDate(time) + toIntervalDay(5) TO VOLUME 'cold'"));
    }
    assert!(clickhouse.clustered_schema(&Cluster::new("ma'in")).is_err());
}

#[tokio::test]
async fn the_columns_of_a_cluster_are_those_of_a_single_server() {
    // Without its replication, which needs a keeper, the schema for a cluster makes the same tables as the migrations.
    let single = Monitor::new();
    single.ask(json!({"measures": ["count"]})).await;
    let name = single.admin.database().unwrap();
    let clickhouse = ClickHouse::new("http://x").database(format!("{name}_cluster"));
    let door = format!("ALTER TABLE `{name}_cluster`.");
    let is_table =
        |statement: &&String| !statement.contains("Distributed(") && !statement.contains(" VIEW ") && !statement.starts_with(&door);
    for statement in clickhouse.clustered_schema(&Cluster::new("c")).unwrap().iter().filter(is_table) {
        let (head, tail) = statement.split_once(" ON CLUSTER 'c'").unwrap();
        let mut local = format!("{head}{tail}");
        for (path, replica) in [("{shard}", "{replica}"), ("all", "{shard}_{replica}")] {
            local = local.replace(&format!("'/clickhouse/tables/{path}/{{database}}/{{table}}', '{replica}', "), "");
            local = local.replace(&format!("'/clickhouse/tables/{path}/{{database}}/{{table}}', '{replica}'"), "");
        }
        let local = local
            .replace("ENGINE = Replicated", "ENGINE = ")
            .replace(", replicated_deduplication_window_seconds = 604800", "")
            .replace("replicated_deduplication_window", "non_replicated_deduplication_window");
        shared_admin().query_raw(&local).execute().await.unwrap_or_else(|error| panic!("{local}: {error}"));
    }
    let columns = format!(
        "SELECT count(), uniqExact(table) FROM (SELECT table, name, type, position, count() AS copies FROM system.columns \
        WHERE database IN ('{name}', '{name}_cluster', '{name}_cluster_local') AND table != 'schema_migrations' GROUP BY ALL HAVING copies != 2)"
    );
    let differing: (u64, u64) = shared_admin().query_raw(&columns).fetch_one().await.unwrap();
    assert_eq!(differing, (0, 0));

    // A job that is pointed at them builds their rollups, from staging tables that are not replicated wherever these are.
    let (url, local) = (shared().url(), format!("{name}_cluster_local"));
    let shard = Monitor::with(configuration(&url, &local), &url, &local);
    shard.write(&batch("b", vec![request(vec![event(1, |_| {}), event(2, |_| {})])])).await;
    let built = configuration(&url, &local).rollup_job().unwrap().build(NOON + 3 * DAY).await.unwrap();
    assert_eq!((built.days, built.events), (1, 2));
    let rolled: u64 = shard.admin.query("SELECT sum(rows) FROM rollup_hours").fetch_one().await.unwrap();
    assert_eq!(rolled, 2);
}

#[tokio::test]
async fn doors_to_the_tables_of_a_cluster_are_used_as_they_are() {
    let local = Monitor::new();
    local.write(&batch("b", vec![request(vec![event(1, |_| {}), event(2, |_| {})])])).await;
    let (name, url) = (local.admin.database().unwrap().to_owned(), shared().url());
    let door = format!("{name}_door");
    let admin = shared_admin();
    let run = async |sql: String| admin.query_raw(&sql).execute().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    run(format!("CREATE DATABASE {door}")).await;
    let tables: Vec<String> =
        local.admin.query("SELECT name FROM system.tables WHERE database = currentDatabase()").fetch_all().await.unwrap();
    for table in tables.iter().filter(|table| *table != "schema_migrations") {
        // There is no cluster here. Like a Distributed table, this one stores nothing and refuses most changes.
        let engine = if table == "rollup_state" {
            format!("CREATE VIEW {door}.{table} AS SELECT * FROM {name}.{table}")
        } else {
            format!("CREATE TABLE {door}.{table} AS {name}.{table} ENGINE = Merge('{name}', '^{table}$')")
        };
        run(engine).await;
    }
    let reader = Monitor::with(configuration(&url, &door), &url, &door);
    assert_eq!(reader.one(json!({"measures": ["count"]})).await, 2);
    let made: u64 = reader.admin.query("SELECT count() FROM system.tables WHERE database = currentDatabase()").fetch_one().await.unwrap();
    assert_eq!(made, tables.len() as u64 - 1, "nothing was added");
}
