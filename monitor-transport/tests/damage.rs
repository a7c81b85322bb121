//! Damaged files: nothing panics, nothing blocks, what can be read is delivered, and the damaged files are kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)] // a test may fail loudly

mod common;

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use common::*;
use monitor_core::{Counts, Labelled, Sink, Transport, testing::MemorySink};
use monitor_transport::SpoolError;

/// A closed spool of that many envelopes.
async fn stored(dir: &Path, envelopes: u128) {
    let (spool, _) = open(dir, &[]).await;
    send_all(&spool, 0..envelopes).await;
    assert!(spool.close(SOON).await);
}

/// What a spool in that directory delivers, and what it counted. It must still take and deliver new events.
async fn delivered(dir: &Path) -> (Vec<u128>, Arc<Counts>) {
    let sink = Arc::new(MemorySink::new("main"));
    let lane: Arc<dyn Sink> = sink.clone();
    let (spool, counts) = open(dir, &[&lane]).await;
    // What shares its commit with the discovery of the damage is refused.
    let send = async {
        while spool.send(pair(1_000_000)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, send).await.unwrap();
    assert!(spool.flush(SOON).await);
    assert!(spool.close(SOON).await);
    let mut ids = ids(&sink.batches());
    assert_eq!(ids.split_off(ids.len() - 2), pairs([1_000_000]));
    (ids, counts)
}

fn set_aside(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".corrupt-")).collect()
}

fn cut(path: &Path, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[tokio::test]
async fn one_damaged_entry_is_quarantined_and_the_others_are_delivered() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), 20).await;
    let database = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    database
        .execute("UPDATE entry SET payload = CAST(substr(payload, 1, 40) || x'00' || substr(payload, 42) AS BLOB) WHERE seq = 7", [])
        .unwrap();
    database.execute("UPDATE entry SET project = 'other' WHERE seq = 9", []).unwrap();
    drop(database);
    let (got, counts) = delivered(dir.path()).await;
    assert_eq!(got, pairs((0..20).filter(|n| ![6, 8].contains(n))));
    assert_eq!((counts.labelled(Labelled::Quarantined, "checksum"), counts.labelled(Labelled::Quarantined, "columns")), (2, 2));
    let database = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    let kept: i64 = database.query_row("SELECT count(*) FROM quarantine WHERE seq IN (7, 9)", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn damage_inside_an_open_batch_gives_it_another_id() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    stored(dir.path(), 10).await;
    let sink = holding();
    let lane: Arc<dyn Sink> = sink.clone();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    eventually("a batch is open", || !sink.offered.lock().unwrap().is_empty()).await;
    let before = sink.offered.lock().unwrap()[0].clone();
    let left = leave(dir.path(), copy.path());
    let database = rusqlite::Connection::open(left.join("spool.db")).unwrap();
    database.execute("UPDATE entry SET crc = crc + 1 WHERE seq = 3", []).unwrap();
    drop(database);
    let after = Arc::new(MemorySink::new("main"));
    let lane: Arc<dyn Sink> = after.clone();
    let (second, _) = open(&left, &[&lane]).await;
    assert!(second.flush(SOON).await);
    let batch = &after.batches()[0];
    assert_eq!(ids(std::slice::from_ref(batch)), pairs((0..10).filter(|&n| n != 2)));
    assert!(batch.is_repeated() && batch.id() != before.id());
    assert!(second.close(SOON).await);
    sink.held.store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_set_aside_and_work_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("spool.db"), [b'x'; 10_000]).unwrap();
    let (got, counts) = delivered(dir.path()).await;
    assert_eq!((got, counts.labelled(Labelled::Quarantined, "file")), (vec![], 1));
    let aside = set_aside(dir.path());
    assert_eq!(fs::read(dir.path().join(&aside[0])).unwrap(), [b'x'; 10_000]);
}

#[tokio::test]
async fn when_nothing_can_be_read_the_loss_is_what_was_not_delivered_a_moment_ago() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let lane: Arc<dyn Sink> = holding();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    send_all(&spool, 0..30).await;
    let note = dir.path().join("spool.undelivered");
    eventually("it is noted", || fs::read_to_string(&note).is_ok_and(|note| note.trim_start_matches('0') == "60")).await;
    let left = leave(dir.path(), copy.path());
    fs::copy(&note, left.join("spool.undelivered")).unwrap();
    fs::remove_file(left.join("spool.db-wal")).unwrap();
    fs::write(left.join("spool.db"), vec![0x55; 40_960]).unwrap();
    let (got, counts) = delivered(&left).await;
    assert_eq!((got, counts.labelled(Labelled::Quarantined, "file")), (vec![], 60));
    spool.close(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_damaged_page_costs_the_entries_on_it_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), 300).await;
    let path = dir.path().join("spool.db");
    let pages = fs::metadata(&path).unwrap().len() / 4096;
    let (mut hopeless, mut damaged) = (0, 0);
    for page in 1..pages {
        let copy = tempfile::tempdir().unwrap();
        let left = leave(dir.path(), copy.path());
        let mut file = OpenOptions::new().write(true).open(left.join("spool.db")).unwrap();
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xa5; 4096]).unwrap();
        drop(file);
        let (got, counts) = delivered(&left).await;
        let mut sorted = got.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted, got, "page {page}");
        assert!(got.iter().all(|id| pairs(0..300).contains(id)));
        let lost = counts.sum(Labelled::Quarantined) > 0;
        assert!(lost || got.len() == 600, "page {page}: a loss that is not counted");
        damaged += usize::from(lost);
        // The root of the table takes everything with it, a leaf what is on it.
        hopeless += usize::from(got.len() < 560);
    }
    assert!(damaged > 20 && hopeless <= 1, "{damaged} {hopeless}");
}

#[tokio::test]
async fn f28_a_log_cut_anywhere_keeps_what_was_committed_before_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), 3).await;
    let (spool, _) = open(dir.path(), &[]).await;
    let log = dir.path().join("spool.db-wal");
    // The first checkpoint comes with the start; after it the log only grows.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut ends = Vec::new();
    for n in 3..15 {
        send_all(&spool, [n]).await;
        ends.push((n, fs::metadata(&log).unwrap().len()));
    }
    let len = fs::metadata(&log).unwrap().len();
    assert!(ends.windows(2).all(|pair| pair[0].1 < pair[1].1) && len < 1 << 20);
    let mut cuts = 0;
    for at in (len.saturating_sub(64 << 10)..=len).step_by(512) {
        let copy = tempfile::tempdir().unwrap();
        let left = leave(dir.path(), copy.path());
        cut(&left.join("spool.db-wal"), at);
        let (got, _) = delivered(&left).await;
        let committed = ends.iter().filter(|(_, end)| *end <= at).count() as u128;
        assert_eq!(got, pairs(0..3 + committed), "cut at {at} of {len}");
        cuts += 1;
    }
    assert!(cuts > 50);
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn f28_a_database_cut_anywhere_opens_and_gives_what_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), 300).await;
    let len = fs::metadata(dir.path().join("spool.db")).unwrap().len();
    let mut most = 0;
    for at in (len.saturating_sub(64 << 10)..=len).step_by(512).chain([0, 1, 100, 512, 4096]) {
        let copy = tempfile::tempdir().unwrap();
        let left = leave(dir.path(), copy.path());
        cut(&left.join("spool.db"), at);
        let (got, _) = delivered(&left).await;
        assert!(got.iter().all(|id| pairs(0..300).contains(id)));
        if at < len && at > 0 {
            assert!(!set_aside(&left).is_empty(), "cut at {at} of {len}");
            most = most.max(got.len());
        }
        if at == len {
            assert_eq!(got, pairs(0..300));
        }
    }
    assert!(most > 400, "{most}");
}

#[tokio::test]
async fn an_interrupted_rescue_is_taken_up_again() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), 10).await;
    let copy = tempfile::tempdir().unwrap();
    // Complete, but not in its place yet; the damaged database has lost its log already.
    fs::rename(leave(dir.path(), copy.path()).join("spool.db"), dir.path().join("spool.db.rebuilt")).unwrap();
    fs::write(dir.path().join("spool.db"), "damaged").unwrap();
    fs::write(dir.path().join("spool.db.rebuilding"), "incomplete").unwrap();
    let (got, _) = delivered(dir.path()).await;
    assert_eq!(got, pairs(0..10));
    assert!(set_aside(dir.path()).iter().any(|name| fs::read(dir.path().join(name)).unwrap() == b"damaged"));
    assert!(!dir.path().join("spool.db.rebuilding").exists());
}

#[tokio::test]
async fn f51_a_newer_format_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), 3).await;
    let path = dir.path().join("spool.db");
    rusqlite::Connection::open(&path).unwrap().execute("UPDATE meta SET value = 2 WHERE key = 'format'", []).unwrap();
    let before = fs::read(&path).unwrap();
    let error = builder(dir.path()).open(Vec::new(), Arc::new(Counts::new())).await.unwrap_err();
    assert!(matches!(error, SpoolError::NewerFormat { found: 2, known: 1, .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(set_aside(dir.path()).is_empty());
}

/// Makes a database too large to be checked as a whole when it is opened.
fn add_free_pages(path: &Path) {
    let database = rusqlite::Connection::open(path).unwrap();
    database
        .execute_batch(
            "PRAGMA synchronous = OFF; CREATE TABLE ballast (bytes BLOB);
             INSERT INTO ballast VALUES (zeroblob(70 << 20)); DROP TABLE ballast; PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
}

#[tokio::test]
async fn an_index_that_misses_an_entry_is_made_anew_and_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), 10).await;
    let path = dir.path().join("spool.db");
    let alter = |sql: &str| {
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch(&format!("PRAGMA writable_schema = ON; {sql}")).unwrap();
    };
    // Filled while its definition leaves an entry out.
    alter("UPDATE sqlite_schema SET sql = sql || ' WHERE seq <> 4' WHERE name = 'entry_size'");
    alter("REINDEX entry_size");
    alter("UPDATE sqlite_schema SET sql = replace(sql, ' WHERE seq <> 4', '') WHERE name = 'entry_size'");
    add_free_pages(&path);
    let (got, _) = delivered(dir.path()).await;
    assert_eq!(got, pairs(0..10));
    assert!(!set_aside(dir.path()).is_empty());
}

#[tokio::test]
async fn damage_among_the_free_pages_is_noticed_when_they_are_given_back() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), 10).await;
    let path = dir.path().join("spool.db");
    add_free_pages(&path);
    let mut bytes = fs::read(&path).unwrap();
    let trunk = u32::from_be_bytes(bytes[32..36].try_into().unwrap()) as usize;
    bytes[(trunk - 1) * 4096..][..8].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let (got, _) = delivered(dir.path()).await;
    assert_eq!(got, pairs(0..10));
    assert!(!set_aside(dir.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_that_meet_the_same_damage_have_the_file_rebuilt_once() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), 300).await;
    let path = dir.path().join("spool.db");
    add_free_pages(&path);
    let mut bytes = fs::read(&path).unwrap();
    // A leaf of a table (13) with many rows (bytes 3 and 4) is one of entries.
    let leaf = bytes.chunks_mut(4096).skip(1).find(|page| page[0] == 13 && page[3..5] > [0, 4][..]).unwrap();
    leaf.fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let sinks = ["a", "b", "c", "d"].map(|name| Arc::new(MemorySink::new(name)));
    let lanes = sinks.clone().map(|sink| sink as Arc<dyn Sink>);
    let (spool, counts) = open(dir.path(), &lanes.each_ref()).await;
    assert!(spool.flush(SOON).await && spool.close(SOON).await);
    assert!(sinks.iter().all(|sink| ids(&sink.batches()) == ids(&sinks[0].batches())));
    assert!(counts.labelled(Labelled::Quarantined, "file") > 1);
    let databases = set_aside(dir.path()).into_iter().filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).count();
    assert_eq!(databases, 1);
}
