//! Servers that die, answers that are lost, errors that are not what they seem.

use std::time::Duration;

use serde_json::json;

use crate::{
    engine::{DAY, Directory, Engine, Monitor, batch, configuration, event, request, shared},
    proxy::{Fault, Proxy, answer},
};

fn three() -> monitor_core::Batch {
    batch("b", vec![request((1..=3).map(|id| event(id, |_| {})).collect())])
}

async fn behind_proxy() -> (Proxy, Monitor) {
    let proxy = Proxy::start(&shared().address).await;
    let database = Monitor::new();
    let database = database.admin.database().unwrap();
    let clickhouse = configuration(&proxy.url, database).send_timeout(Duration::from_secs(5));
    let monitor = Monitor::with(clickhouse, &shared().url(), database);
    (proxy, monitor)
}

#[tokio::test]
async fn a_batch_is_stored_once_when_the_engine_is_killed_and_the_batch_comes_again() {
    let directory = Directory::new();
    let engine = Engine::start(&directory.0, "127.0.0.1:0");
    let with_fsync = |url: &str| Monitor::with(configuration(url, "kill").fsync(true), url, "kill");
    let days = batch("b", vec![request((0..300).map(|n| event(n as u128, |event| event.time += n % 3 * DAY)).collect())]);
    let monitor = with_fsync(&engine.url());
    monitor.write(&days).await;
    engine.kill();
    let error = monitor.sink.write(&batch("c", vec![request(vec![event(1_000, |_| {})])])).await.unwrap_err();
    assert!(error.is_retryable(), "{}", error.report());
    assert!(!monitor.store.is_available().await);

    let engine = Engine::start(&directory.0, "127.0.0.1:0");
    let monitor = with_fsync(&engine.url());
    assert_eq!(monitor.rows().await, 300, "what was confirmed survives a kill");
    monitor.write(&days).await;
    assert_eq!(monitor.rows().await, 300);
}

#[tokio::test]
async fn the_token_alone_keeps_a_batch_single_across_a_kill() {
    let directory = Directory::new();
    let engine = Engine::start(&directory.0, "127.0.0.1:0");
    // Arrival times so far apart that the window is not filled with the events of the first attempt.
    let attempt = |received: i64| {
        let mut envelope = request((0..50).map(|id| event(id, |_| {})).collect());
        envelope.origin.received += received;
        batch("b", vec![envelope])
    };
    Monitor::on(&engine.url(), "kill").write(&attempt(0)).await;
    engine.kill();
    let engine = Engine::start(&directory.0, "127.0.0.1:0");
    let monitor = Monitor::on(&engine.url(), "kill");
    monitor.write(&attempt(DAY)).await;
    assert_eq!((monitor.rows().await, monitor.duplicates("window")), (50, 0));
}

#[tokio::test]
async fn an_absent_engine_is_waited_for() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let monitor = Monitor::on(&format!("http://{free}"), "late");
    let error = monitor.sink.write(&three()).await.unwrap_err();
    assert!(error.is_retryable() && error.retry_after().is_none(), "{}", error.report());
    assert!(!monitor.store.is_available().await);
    let query = serde_json::from_value(crate::engine::question(json!({"measures": ["count"]}))).unwrap();
    let answer = monitor.store.query(&monitor_core::Scope::All, &query).await;
    assert!(matches!(answer, Err(monitor_core::QueryError::Unavailable(_))), "{answer:?}");

    let directory = Directory::new();
    let _engine = Engine::start(&directory.0, &free);
    monitor.write(&three()).await;
    assert!(monitor.store.is_available().await);
    assert_eq!(monitor.one(json!({"measures": ["count"]})).await, 3);
}

#[tokio::test]
async fn f07_a_lost_answer_is_followed_by_the_same_token_and_bytes() {
    let (proxy, monitor) = behind_proxy().await;
    proxy.next(Fault::LoseAnswer);
    let error = monitor.sink.write(&three()).await.unwrap_err();
    assert!(error.is_retryable(), "{}", error.report());
    assert_eq!(monitor.rows().await, 3, "the fault was real: the rows are there");
    monitor.write(&three()).await;
    assert_eq!(monitor.rows().await, 3);
    let inserts = proxy.inserts();
    assert_eq!(inserts.len(), 2);
    assert_eq!(inserts[0], inserts[1]);
    for setting in ["async_insert=0", "insert_deduplication_token=b", "wait_end_of_query=1", "insert_deduplicate=1"] {
        assert!(inserts[0].target.split(['?', '&', ' ']).any(|pair| pair == setting), "{}", inserts[0].target);
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_declared_repeat_is_found_by_looking_up() {
    let (proxy, monitor) = behind_proxy().await;
    proxy.next(Fault::LoseAnswer);
    let batch = three().mark_repeated();
    monitor.sink.write(&batch).await.unwrap_err();
    monitor.write(&batch).await;
    assert_eq!((monitor.rows().await, monitor.duplicates("store"), proxy.inserts().len()), (3, 3, 1));
}

#[tokio::test]
async fn f08_a_server_that_never_answers_is_given_up_in_time() {
    let proxy = Proxy::start(&shared().address).await;
    let database = Monitor::new();
    let database = database.admin.database().unwrap();
    let clickhouse = configuration(&proxy.url, database).insert_timeout(Duration::from_secs(1));
    let monitor = Monitor::with(clickhouse, &shared().url(), database);
    proxy.next(Fault::Hang);
    let begin = std::time::Instant::now();
    let error = monitor.sink.write(&three()).await.unwrap_err();
    assert!(error.is_retryable(), "{}", error.report());
    assert!(begin.elapsed() < Duration::from_secs(20));
    monitor.write(&three()).await;
    assert_eq!(monitor.rows().await, 3);
}

#[tokio::test]
async fn f09_an_exception_behind_a_200_is_a_failure() {
    let (proxy, monitor) = behind_proxy().await;
    proxy.next(answer("200 OK", "", "Code: 241. DB::Exception: Memory limit (total) exceeded (version 26.7.2.1 (official build))\n"));
    proxy.next(answer("200 OK", "x-clickhouse-exception-code: 241\r\n", ""));
    for _ in 0..2 {
        let error = monitor.sink.write(&three()).await.unwrap_err();
        assert!(error.is_retryable() && error.report().contains("241"), "{}", error.report());
    }
    monitor.write(&three()).await;
    assert_eq!(monitor.rows().await, 3);
}

#[tokio::test]
async fn f10_too_many_parts_is_waited_out_and_a_wrong_password_too() {
    let (proxy, monitor) = behind_proxy().await;
    proxy.next(answer(
        "500 Internal Server Error",
        "",
        "Code: 252. DB::Exception: Too many parts (3000). (TOO_MANY_PARTS) (version 26.7.2.1)",
    ));
    proxy.next(answer("403 Forbidden", "x-clickhouse-exception-code: 516\r\n", "Code: 516. DB::Exception: writer: Authentication failed"));
    let busy = monitor.sink.write(&three()).await.unwrap_err();
    assert!(busy.is_retryable() && busy.retry_after().is_none());
    let wrong = monitor.sink.write(&three()).await.unwrap_err();
    assert!(wrong.is_retryable() && wrong.retry_after() >= Some(Duration::from_secs(30)));
    monitor.write(&three()).await;
    assert_eq!(monitor.rows().await, 3);
}

#[tokio::test]
async fn f12_one_row_that_the_server_refuses_is_isolated_by_halving() {
    let monitor = Monitor::new();
    monitor.write(&batch("first", vec![request(vec![event(1, |_| {})])])).await;
    monitor.admin.query("ALTER TABLE events ADD CONSTRAINT no_poison CHECK name != 'poison'").execute().await.unwrap();
    let poisoned = (2..=101).map(|id| {
        event(id, |event| {
            if id == 77 {
                event.name = "poison".into()
            }
        })
    });
    let mut waiting = vec![batch("b", vec![request(poisoned.collect())])];
    let mut dead = Vec::new();
    while let Some(batch) = waiting.pop() {
        match monitor.sink.write(&batch).await {
            Ok(()) => {}
            Err(error) => {
                assert!(!error.is_retryable(), "{}", error.report());
                match batch.split() {
                    Ok((left, right)) => waiting.extend([left, right]),
                    Err(single) => dead.extend(single.events().map(|(_, event)| (event.id.0, error.report()))),
                }
            }
        }
    }
    assert_eq!(dead.len(), 1);
    assert!(dead[0].0 == 77 && dead[0].1.contains("no_poison"), "{dead:?}");
    assert_eq!(monitor.rows().await, 100);
}

#[tokio::test]
async fn too_many_partitions_for_the_server_is_solved_by_halving() {
    let (proxy, monitor) = behind_proxy().await;
    proxy.next(answer(
        "500 Internal Server Error",
        "",
        "Code: 252. DB::Exception: Too many partitions for single INSERT block (more than 2).",
    ));
    let days = batch("b", vec![request((0..4).map(|n| event(n as u128, |event| event.time += n * DAY)).collect())]);
    assert!(!monitor.sink.write(&days).await.unwrap_err().is_retryable());
    let (left, right) = days.split().unwrap();
    monitor.write(&left).await;
    monitor.write(&right).await;
    assert_eq!(monitor.rows().await, 4);
}
