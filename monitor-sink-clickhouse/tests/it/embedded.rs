//! The engine as a part of the process.

use std::{sync::Arc, time::Duration};

use monitor_core::{Counts, Integration, Scope, Setup, query::Query};
use monitor_sink_clickhouse::{ClickHouse, embedded::EmbeddedEngine};
use serde_json::json;

use crate::engine::{Directory, batch, event, program, question, request};

fn install(data: &Directory) -> Setup {
    let mut setup = Setup::new(Arc::new(Counts::new()));
    let engine = EmbeddedEngine::builder(&data.0).helper(program()).threads(1);
    Box::new(ClickHouse::engine(engine).retention_days(0)).install(&mut setup).unwrap();
    setup
}

async fn count(setup: &Setup) -> serde_json::Value {
    let query: Query = serde_json::from_value(question(json!({"measures": ["count"]}))).unwrap();
    setup.store.as_ref().unwrap().query(&Scope::All, &query).await.unwrap().rows[0][0].clone()
}

#[tokio::test]
async fn an_embedded_engine_starts_by_itself_and_keeps_what_it_was_given() {
    let data = Directory::new();
    let setup = install(&data);
    // The first write waits for the engine's start.
    setup.sinks[0].write(&batch("a", vec![request(vec![event(1, |_| {})])])).await.unwrap();
    assert_eq!(count(&setup).await, 1);
    assert!(setup.store.as_ref().unwrap().is_available().await);
    setup.services[0].close(Duration::from_secs(10)).await;
    let error = setup.sinks[0].write(&batch("b", vec![request(vec![event(2, |_| {})])])).await.unwrap_err();
    assert!(error.is_retryable(), "{}", error.report());
    assert!(!setup.store.as_ref().unwrap().is_available().await);

    let again = install(&data);
    assert_eq!(count(&again).await, 1);
    again.services[0].close(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_missing_helper_delays_delivery_and_says_what_is_missing() {
    let data = Directory::new();
    let mut setup = Setup::new(Arc::new(Counts::new()));
    let engine = EmbeddedEngine::builder(&data.0).helper("/nowhere/monitor-engine");
    Box::new(ClickHouse::engine(engine)).install(&mut setup).unwrap();
    let error = setup.sinks[0].write(&batch("a", vec![request(vec![event(1, |_| {})])])).await.unwrap_err();
    assert!(error.is_retryable() && error.report().contains("/nowhere/monitor-engine"), "{}", error.report());
}

#[tokio::test]
async fn closing_during_the_start_leaves_no_helper_behind() {
    let data = Directory::new();
    let setup = install(&data);
    // The helper's id stands in its lock file as soon as it has taken the data; it answers much later.
    let lock = data.0.join("monitor-engine.lock");
    let pid = loop {
        match std::fs::read_to_string(&lock).unwrap_or_default().parse::<u32>() {
            Ok(pid) => break pid,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    setup.services[0].close(Duration::from_secs(20)).await;
    let alive = std::process::Command::new("kill").args(["-0", &pid.to_string()]).stderr(std::process::Stdio::null()).status();
    assert!(!alive.unwrap().success());
}
