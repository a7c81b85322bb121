//! What the examples do where somebody would not look: failures, crashes, bad configuration.

#![cfg(all(feature = "server", feature = "clickhouse"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that finds something else than it expects fails")]

use std::path::Path;

use clap::Parser;
use monitor_kit::{Batch, BatchId, Sink, testing::envelope};

#[allow(dead_code, reason = "its `main` is not run")]
#[path = "../examples/custom_sink.rs"]
mod custom_sink;
#[allow(dead_code, reason = "its `main` is not run")]
#[path = "../examples/quickstart.rs"]
mod quickstart;

use custom_sink::LinesFile;

fn batch(id: &str, names: &[&str]) -> Batch {
    Batch::new(BatchId::new(id), vec![envelope(1, names)])
}

/// Names of events and ids of batches, in the order of the file.
fn read(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| line.get("name").or(line.get("batch")).unwrap().as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_custom_sink_has_each_batch_once_and_whole_after_a_crash() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("events.ndjson");
    let sink = LinesFile::open(&path).unwrap();
    sink.write(&batch("b1", &["a", "b"])).await.unwrap();
    sink.write(&batch("b1", &["a", "b"])).await.unwrap();
    drop(sink);

    // The answer was lost with the process: the next one is offered the same batch.
    let sink = LinesFile::open(&path).unwrap();
    sink.write(&batch("b1", &["a", "b"])).await.unwrap();
    sink.write(&batch("b2", &["c"])).await.unwrap();
    assert_eq!(read(&path), ["a", "b", "b1", "c", "b2"]);

    // The process ended, or the disk was full, in the middle of a line, and of a letter.
    for torn in [&b"{\"id\":\"x\",\"name\":\"\xc3"[..], b"{\"name\":\"d\"}\n{\"batch\":\"b3"] {
        let complete = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&complete[..], torn].concat()).unwrap();
        let sink = LinesFile::open(&path).unwrap();
        sink.write(&batch("b2", &["c"])).await.unwrap();
        sink.write(&batch("b3", &["d"])).await.unwrap();
        assert_eq!(read(&path), ["a", "b", "b1", "c", "b2", "d", "b3"]);
        std::fs::write(&path, complete).unwrap();
    }
}

#[tokio::test]
async fn the_custom_sink_takes_back_what_it_wrote_before_a_failure() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("events.ndjson");
    let sink = LinesFile::open(&path).unwrap();
    sink.write(&batch("b1", &["a"])).await.unwrap();
    // As a write that failed half-way leaves it.
    let complete = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&complete[..], b"{\"name\":"].concat()).unwrap();
    sink.write(&batch("b2", &["b"])).await.unwrap();
    assert_eq!(read(&path), ["a", "b1", "b", "b2"]);
}

fn args(line: &[&str]) -> quickstart::Args {
    quickstart::Args::parse_from([&["quickstart"], line].concat())
}

#[test]
fn quickstart_does_not_start_with_a_token_that_nobody_can_send() {
    for empty in ["", "\n", " "] {
        let refused = quickstart::access(&args(&["--token", empty])).err().unwrap();
        assert!(refused.to_string().contains("token is empty"), "{refused}");
    }
    assert!(quickstart::access(&args(&["--token", "secret", "--listen", "0.0.0.0:8080"])).is_ok());
}

#[test]
fn quickstart_keeps_its_metrics_on_this_machine() {
    let internal = |line: &[&str]| quickstart::internal_address(&args(line)).to_string();
    assert_eq!(internal(&[]), "127.0.0.1:8082");
    assert_eq!(internal(&["--listen", "0.0.0.0:80"]), "127.0.0.1:82");
    assert_eq!(internal(&["--listen", "[::]:80"]), "127.0.0.1:82");
    assert_eq!(internal(&["--listen", "[::1]:80"]), "[::1]:82");
    assert_eq!(internal(&["--internal", "10.0.0.1:90"]), "10.0.0.1:90");
}
