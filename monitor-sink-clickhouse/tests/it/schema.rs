//! Migrations by several processes, interrupted ones, foreign ones; what the host can change later.

use monitor_core::{QueryError, Scope};
use monitor_sink_clickhouse::ClickHouse;
use serde_json::json;

use crate::engine::{Monitor, batch, configuration, event, question, request, shared};

async fn engine_of_events(monitor: &Monitor) -> String {
    let sql = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'events'";
    monitor.admin.query(sql).fetch_one().await.unwrap()
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
    assert_eq!(versions, 2);
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
    assert_eq!(versions, [1, 2]);
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
        ("99, 'future', 'x'", "schema version 99, this program knows versions up to 2"),
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
