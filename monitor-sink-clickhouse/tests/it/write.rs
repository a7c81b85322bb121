//! What is written comes back, once.

use monitor_core::{Agent, Envelope, Kind, Origin};
use serde_json::json;

use crate::engine::{DAY, Monitor, NOON, batch, event, expected, request};

/// An event that uses every field, with texts that could be mistaken for something else.
fn full() -> Envelope {
    let mut origin = Origin::new("shop", NOON + 500);
    let hostile = "it's \"quoted\" \\ `tick` \0 \t\r\n {p0:String} 😀 é 中";
    origin.sdk = Agent::new("monitor-kit.browser", "0.1.0");
    origin.page.id = "page-1".into();
    origin.page.url = format!("https://shop.example/?q={hostile}");
    origin.page.route = "/cart/:id".into();
    origin.page.referrer = "https://search.example/".into();
    origin.page.title = hostile.into();
    origin.session = "session-1".into();
    origin.visitor = "visitor-1".into();
    origin.user = hostile.into();
    origin.release = "1.4.0".into();
    origin.environment = "production".into();
    origin.device.kind = "desktop".into();
    origin.device.screen = "1920x1080".into();
    origin.device.viewport = "1280x720".into();
    origin.device.language = "en-GB".into();
    origin.device.connection = "4g".into();
    origin.device.timezone = "Europe/Paris".into();
    origin.browser = Agent::new("Chrome", "156.0");
    origin.os = Agent::new("Linux", "6");
    origin.country = "FR".into();
    origin.ip = Some("192.0.2.0".parse().unwrap());
    origin.user_agent = "Mozilla/5.0".into();
    origin.tags.insert("tenant".into(), hostile.into());
    let event = event(0x0193_480e_7c1b_7cc2_a5d2_c0a1_f1e2_d3c4, |event| {
        event.seq = Some(u32::MAX);
        event.kind = Kind::Other("web-rtc".into());
        event.name = hostile.into();
        event.value = Some(0.1 + 0.2);
        for (key, value) in [("message", hostile), ("status", "404"), ("method", "GET"), ("target", hostile), ("failure", "http")] {
            event.attributes.insert(key.into(), value.into());
        }
        for (key, value) in [("rating", "poor"), ("fingerprint", "9f2c"), ("plan", hostile), (hostile, "key")] {
            event.attributes.insert(key.into(), value.into());
        }
        event.data = serde_json::value::RawValue::from_string(format!(
            "{{ \"b\": 1.0, \"a\":[1e2,\"\\u0000é\"], \"long\":\"{}\" }}",
            "x".repeat(70_000)
        ))
        .unwrap();
    });
    Envelope { origin, events: vec![event] }
}

#[tokio::test]
async fn every_field_comes_back_as_it_was_written() {
    let monitor = Monitor::new();
    let batch = batch("b", vec![full(), request(vec![event(2, |event| event.time += 1), event(3, |event| event.time += 2)])]);
    monitor.write(&batch).await;
    assert_eq!(monitor.documents().await, expected(&batch));
    let page = monitor.events(json!({"kinds": ["web-rtc"]})).await;
    assert_eq!(page.events[0].data.get(), full().events[0].data.get(), "the details come back byte for byte");
    assert!(page.stats.rows_read > 0 && page.stats.elapsed_ms > 0.0);
}

#[tokio::test]
async fn what_travels_compressed_comes_back_too() {
    let database = Monitor::new();
    let (url, name) = (crate::engine::shared().url(), database.admin.database().unwrap());
    let monitor = Monitor::with(crate::engine::configuration(&url, name).compress(true), &url, name);
    let batch = batch("b", vec![full(), request((2..3_000).map(|id| event(id, |event| event.time += id as i64)).collect())]);
    monitor.write(&batch).await;
    assert_eq!(monitor.documents().await, expected(&batch));
}

#[tokio::test]
async fn the_user_hash_is_the_documented_one() {
    let monitor = Monitor::new();
    let mut anonymous = request(vec![event(2, |_| {})]);
    anonymous.origin.session = "session-2".into();
    monitor.write(&batch("b", vec![full(), anonymous])).await;
    let wrong: u64 = monitor
        .admin
        .query("SELECT countIf(user_hash != cityHash64(if(visitor = '', session, visitor))) + countIf(user_hash = 0) FROM events")
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(wrong, 0);
}

#[tokio::test]
async fn a_large_batch_with_many_different_texts_is_one_part() {
    let monitor = Monitor::new();
    let envelopes = (0..700u128).map(|n| {
        let mut envelope = request((0..100).map(|k| event(n * 100 + k, |event| event.name = format!("name {}", n * 100 + k))).collect());
        envelope.origin.user_agent = format!("agent {n}");
        envelope
    });
    monitor.write(&batch("b", envelopes.collect())).await;
    assert_eq!(monitor.one(json!({"measures": ["count"]})).await, 70_000);
    let (names, agents, parts): (u64, u64, u64) =
        monitor.admin.query("SELECT uniqExact(name), uniqExact(user_agent), uniqExact(_part) FROM events").fetch_one().await.unwrap();
    assert_eq!((names, agents, parts), (70_000, 700, 1));
}

#[tokio::test]
async fn the_same_batch_is_stored_once() {
    let monitor = Monitor::new();
    let batch = batch("b", vec![request((1..=20).map(|id| event(id, |_| {})).collect())]);
    monitor.write(&batch).await;
    monitor.write(&batch).await;
    monitor.again().write(&batch).await;
    assert_eq!(monitor.rows().await, 20);
}

#[tokio::test]
async fn copies_within_a_batch_are_stored_once_and_counted() {
    let monitor = Monitor::new();
    monitor
        .write(&batch("b", vec![request(vec![event(1, |_| {}), event(2, |_| {})]), request(vec![event(1, |event| event.time += DAY)])]))
        .await;
    assert_eq!((monitor.rows().await, monitor.duplicates("batch")), (2, 1));
}

#[tokio::test]
async fn a_copy_in_another_batch_is_found_in_the_window() {
    let monitor = Monitor::new();
    monitor.write(&batch("a", vec![request(vec![event(1, |_| {})])])).await;
    monitor.write(&batch("b", vec![request(vec![event(1, |_| {}), event(2, |_| {})])])).await;
    assert_eq!((monitor.rows().await, monitor.duplicates("window")), (2, 1));
    // A batch of nothing but copies is confirmed without an insert.
    monitor.write(&batch("c", vec![request(vec![event(1, |_| {}), event(2, |_| {})])])).await;
    assert_eq!((monitor.rows().await, monitor.duplicates("window")), (2, 3));
}

#[tokio::test]
async fn a_copy_after_a_restart_is_found_because_the_window_is_filled_from_the_store() {
    let monitor = Monitor::new();
    monitor.write(&batch("a", vec![request(vec![event(1, |_| {})])])).await;
    let restarted = monitor.again();
    restarted.write(&batch("b", vec![request(vec![event(1, |_| {}), event(2, |_| {})])])).await;
    assert_eq!((monitor.rows().await, restarted.duplicates("window")), (2, 1));
}

/// The first send; then a second one, four hours later and with another time, of which the window knows nothing.
async fn sent_again(mark: impl FnOnce(Envelope) -> monitor_core::Batch) -> (u64, u64) {
    sent_again_with(NOON, 4 * 3_600_000, NOON + DAY, mark).await
}

/// Two sends of the same events, the second `later` than the first, with the times that they were stored and sent again with.
async fn sent_again_with(time: i64, later: i64, time_then: i64, mark: impl FnOnce(Envelope) -> monitor_core::Batch) -> (u64, u64) {
    let monitor = Monitor::new();
    monitor.write(&batch("a", vec![request((0..1_500).map(|id| event(id, |event| event.time = time)).collect())])).await;
    let mut envelope = request((0..1_501).map(|id| event(id, |event| event.time = time_then)).collect());
    envelope.origin.received += later;
    let restarted = monitor.again();
    restarted.write(&mark(envelope)).await;
    assert_eq!(restarted.duplicates("window"), 0);
    (monitor.rows().await, restarted.duplicates("store"))
}

#[tokio::test]
async fn a_declared_repeat_is_looked_up_in_the_store() {
    let mark = |mut envelope: Envelope| {
        envelope.origin.attempt = 2;
        batch("b", vec![envelope])
    };
    assert_eq!(sent_again(mark).await, (1_501, 1_500));
}

#[tokio::test]
async fn a_declared_repeat_is_found_whatever_became_of_its_time() {
    let second_attempt = |mut envelope: Envelope| {
        envelope.origin.attempt = 2;
        batch("b", vec![envelope])
    };
    for (time, later, time_then) in [
        // Six days old and believed, then too old and replaced by the time of arrival.
        (NOON - 6 * DAY, 3 * DAY, NOON + 3 * DAY),
        // Replaced at first; then the clock was set and the time believed.
        (NOON, DAY, NOON - 6 * DAY),
        // Sent again after a week.
        (NOON, 7 * DAY, NOON + 7 * DAY),
    ] {
        assert_eq!(sent_again_with(time, later, time_then, second_attempt).await, (1_501, 1_500), "{time} {later} {time_then}");
    }
}

#[tokio::test]
async fn events_of_a_repeated_batch_are_looked_up_in_the_store() {
    assert_eq!(sent_again(|envelope| batch("b", vec![envelope]).mark_repeated()).await, (1_501, 1_500));
}

#[tokio::test]
async fn an_undeclared_copy_that_the_window_has_forgotten_is_the_one_that_gets_through() {
    // Not a wish but a statement: it shows that the two tests above find something.
    assert_eq!(sent_again(|envelope| batch("b", vec![envelope])).await, (3_001, 0));
}

#[tokio::test]
async fn the_same_id_in_another_project_is_another_event() {
    let monitor = Monitor::new();
    let mut bank = request(vec![event(1, |_| {})]);
    bank.origin = Origin::new("bank", NOON);
    bank.origin.attempt = 2;
    monitor.write(&batch("a", vec![request(vec![event(1, |_| {})])])).await;
    monitor.write(&batch("b", vec![bank])).await;
    assert_eq!(monitor.rows().await, 2);
    assert_eq!(monitor.counts.sum(monitor_core::Labelled::Duplicate), 0);
}

#[tokio::test]
async fn a_batch_of_which_one_day_was_stored_is_completed() {
    let monitor = Monitor::new();
    let day = |id, days: i64| event(id, |event| event.time += days * DAY);
    // What is left when the server stops between the two parts of an insert: the first day, under the batch's token.
    monitor.write(&batch("b", vec![request(vec![day(1, 0), day(2, 0)])])).await;
    let whole = batch("b", vec![request(vec![day(1, 0), day(3, 1), day(2, 0), day(4, 1)])]);
    // With and without knowledge of the first half.
    monitor.again().write(&whole).await;
    assert_eq!(monitor.rows().await, 4);
    monitor.write(&whole).await;
    assert_eq!(monitor.rows().await, 4);
}

#[tokio::test]
async fn a_token_is_known_to_each_partition_by_itself() {
    // The claim about the server on which the sink's header builds, without the sink's other layers.
    let monitor = Monitor::new();
    monitor.write(&batch("other", vec![request(vec![event(1, |_| {})])])).await;
    let insert = |days: &str| {
        let sql = format!(
            "INSERT INTO events (id, time, project, received) SELECT generateUUIDv4(), toDateTime64('2024-12-01 00:00:00', 3, 'UTC') + toIntervalDay(arrayJoin({days})), 'shop', now64(3)"
        );
        monitor.admin.query(&sql).with_setting("insert_deduplication_token", "t").with_setting("async_insert", "0").execute()
    };
    insert("[0, 0]").await.unwrap();
    assert_eq!(monitor.rows().await, 3);
    insert("[0, 1]").await.unwrap();
    assert_eq!(monitor.rows().await, 4, "the first day's rows are dropped, the second's are stored");
}

#[tokio::test]
async fn events_of_many_days_are_written_in_inserts_of_fifty() {
    let monitor = Monitor::new();
    let whole = batch("b", vec![request((0..120).map(|n| event(n as u128, |event| event.time += (n % 60) * DAY)).collect())]);
    monitor.write(&whole).await;
    monitor.again().write(&whole).await;
    assert_eq!(monitor.rows().await, 120);
    let days: u64 = monitor.admin.query("SELECT uniqExact(_partition_id) FROM events").fetch_one().await.unwrap();
    assert_eq!(days, 60);
}

#[tokio::test]
async fn a_time_that_cannot_be_stored_refuses_the_batch_until_the_event_is_alone() {
    let monitor = Monitor::new();
    let poisoned = batch("b", vec![request(vec![event(1, |_| {}), event(2, |event| event.time = i64::MAX)])]);
    let error = monitor.sink.write(&poisoned).await.unwrap_err();
    assert!(!error.is_retryable());
    assert!(error.report().contains("outside of 1970-01-01 to 2149-06-06"), "{}", error.report());
    let (left, right) = poisoned.split().unwrap();
    monitor.write(&left).await;
    assert!(!monitor.sink.write(&right).await.unwrap_err().is_retryable());
    assert_eq!(monitor.rows().await, 1);
}

#[tokio::test]
async fn an_empty_batch_is_confirmed() {
    Monitor::on("http://127.0.0.1:9", "none").write(&batch("b", vec![])).await;
}
