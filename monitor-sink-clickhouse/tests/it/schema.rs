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
    assert_eq!(versions, 1);
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

#[tokio::test]
async fn a_newer_or_changed_schema_is_neither_written_nor_read() {
    for (row, text) in [
        ("99, 'future', 'x'", "schema version 99, this program knows versions up to 1"),
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
