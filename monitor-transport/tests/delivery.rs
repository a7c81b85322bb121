//! What becomes of accepted events: batches, retries, refusals, crashes, expiry, the end.
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
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use common::*;
use monitor_core::{Batch, Counts, Envelope, Gauge, Labelled, SendError, Sink, Total, Transport, WriteError, testing, testing::MemorySink};
use monitor_transport::{Durability, SpoolError};
use serde_json::value::RawValue;

fn memory() -> (Arc<MemorySink>, Arc<dyn Sink>) {
    let sink = Arc::new(MemorySink::new("main"));
    (sink.clone(), sink)
}

#[tokio::test]
async fn accepted_events_are_delivered_in_order_and_then_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, lane) = memory();
    let (spool, counts) = open(dir.path(), &[&lane]).await;
    send_all(&spool, 0..50).await;
    assert!(spool.flush(SOON).await);
    assert_eq!(ids(&sink.batches()), pairs(0..50));
    assert_eq!(counts.labelled(Labelled::Delivered, "main"), 100);
    assert_eq!(spool.pending("main"), Some(0));
    eventually("the entries are deleted", || spool.bytes() == 0).await;
    eventually("the gauges say so", || counts.gauge(Gauge::SpoolBytes, "") == 0 && counts.gauge(Gauge::SpoolEvents, "main") == 0).await;
    assert!(spool.close(SOON).await);
    assert!(matches!(spool.send(pair(1)).await, Err(SendError::Closed)));
}

#[tokio::test]
async fn events_accepted_before_a_restart_are_delivered_after_it() {
    let dir = tempfile::tempdir().unwrap();
    for durability in [Durability::Fsync, Durability::Os] {
        let spool = builder(dir.path()).durability(durability).open(Vec::new(), Arc::new(Counts::new())).await.unwrap();
        send_all(&spool, 0..20).await;
        assert!(spool.close(SOON).await);
        let (sink, lane) = memory();
        let (spool, counts) = open(dir.path(), &[&lane]).await;
        assert!(spool.flush(SOON).await);
        assert_eq!((ids(&sink.batches()), counts.labelled(Labelled::Delivered, "main")), (pairs(0..20), 40));
        eventually("the entries are deleted", || spool.bytes() == 0).await;
        assert!(spool.close(SOON).await);
    }
}

#[tokio::test]
async fn a_crash_between_write_and_confirm_offers_the_same_batch_again() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sink = holding();
    let lane: Arc<dyn Sink> = sink.clone();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    send_all(&spool, 0..10).await;
    eventually("the first batch is offered", || !sink.offered.lock().unwrap().is_empty()).await;
    send_all(&spool, 10..20).await;
    let left = leave(dir.path(), copy.path());
    let before = sink.offered.lock().unwrap()[0].clone();

    let (after, lane) = memory();
    let (second, _) = open(&left, &[&lane]).await;
    assert!(second.flush(SOON).await);
    let batches = after.batches();
    assert_eq!(batches[0].id(), before.id());
    assert_eq!(ids(&batches[..1]), ids(std::slice::from_ref(&before)));
    assert!(batches[0].is_repeated() && !batches[1].is_repeated(), "only what the dead process had begun");
    assert_eq!(ids(&batches), pairs(0..20));
    assert!(second.close(SOON).await);
    assert!(before.id().as_str().len() <= 200);
    spool.close(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_spool_that_is_put_back_gives_other_events_other_batches() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (before, lane) = memory();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    let left = leave(dir.path(), copy.path());
    send_all(&spool, 0..1).await;
    assert!(spool.flush(SOON).await && spool.close(SOON).await);
    // The disk is put back: the same places hold other events now, and a sink that remembers ids must take them.
    let (after, lane) = memory();
    let (spool, _) = open(&left, &[&lane]).await;
    send_all(&spool, 1..2).await;
    assert!(spool.flush(SOON).await && spool.close(SOON).await);
    let (before, after) = (before.batches(), after.batches());
    assert_eq!((ids(&before), ids(&after)), (pairs(0..1), pairs(1..2)));
    let place = |batches: &[Batch]| batches[0].id().as_str().split('~').next().unwrap().to_owned();
    assert_eq!(place(&before), place(&after), "otherwise this shows nothing");
    assert_ne!(before[0].id(), after[0].id());
}

#[tokio::test]
async fn what_a_sink_did_not_get_before_it_was_taken_out_is_counted() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (gone, stays): (Arc<dyn Sink>, Arc<dyn Sink>) = (holding(), Arc::new(MemorySink::new("other")));
    let (spool, _) = open(dir.path(), &[&gone, &stays]).await;
    send_all(&spool, 0..10).await;
    let left = leave(dir.path(), copy.path());
    let (second, counts) = open(&left, &[&stays]).await;
    assert!(second.flush(SOON).await);
    assert_eq!((counts.labelled(Labelled::Expired, "main"), counts.labelled(Labelled::Expired, "other")), (20, 0));
    assert!(second.close(SOON).await);
    spool.close(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn a_sink_that_comes_back_gets_what_is_left_and_nothing_is_counted_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, lane) = memory();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    send_all(&spool, 0..5).await;
    assert!(spool.flush(SOON).await && spool.close(SOON).await);
    // Without any sink, twice: what was delivered is not wanted again, and what comes meanwhile waits.
    for n in [5, 6] {
        let (spool, counts) = open(dir.path(), &[]).await;
        send_all(&spool, n..n + 1).await;
        assert!(spool.close(SOON).await);
        assert_eq!(counts.sum(Labelled::Expired), 0);
    }
    let (back, lane) = memory();
    let (spool, counts) = open(dir.path(), &[&lane]).await;
    assert!(spool.flush(SOON).await);
    assert_eq!((ids(&sink.batches()), ids(&back.batches())), (pairs(0..5), pairs(5..7)));
    assert_eq!(counts.sum(Labelled::Expired), 0);
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn what_was_appended_after_a_sink_was_taken_out_is_no_loss_of_its() {
    let dir = tempfile::tempdir().unwrap();
    let held = holding();
    let (gone, stays): (Arc<dyn Sink>, Arc<dyn Sink>) = (held.clone(), Arc::new(MemorySink::new("other")));
    let (spool, _) = open(dir.path(), &[&gone, &stays]).await;
    send_all(&spool, 0..10).await;
    eventually("a batch is open", || !held.offered.lock().unwrap().is_empty()).await;
    assert!(!spool.close(Duration::from_millis(200)).await);
    for n in [10, 11] {
        let (spool, counts) = open(dir.path(), &[&stays]).await;
        send_all(&spool, n..n + 1).await;
        assert!(spool.flush(SOON).await);
        eventually("the entries are deleted", || spool.bytes() == 0).await;
        assert_eq!(counts.labelled(Labelled::Expired, "main"), if n == 10 { 20 } else { 0 });
        assert!(spool.close(SOON).await);
    }
}

#[tokio::test]
async fn what_grew_old_while_nobody_was_there_is_delivered_by_a_sink_that_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let fill = async || {
        let (spool, _) = open(dir.path(), &[]).await;
        send_all(&spool, 0..5).await;
        assert!(spool.close(SOON).await);
        let database = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
        database.execute("UPDATE entry SET stored = stored - 7200000", []).unwrap();
    };
    fill().await;
    let (sink, lane) = memory();
    let hour = Duration::from_secs(3600);
    let counts = Arc::new(Counts::new());
    let spool = builder(dir.path()).max_age(hour).open(vec![lane], counts.clone()).await.unwrap();
    assert!(spool.flush(SOON).await && spool.close(SOON).await);
    assert_eq!((ids(&sink.batches()), counts.sum(Labelled::Expired)), (pairs(0..5), 0));
    // One that does not take it is not waited for.
    fill().await;
    let counts = Arc::new(Counts::new());
    let (sink, lane) = memory();
    (0..10_000).for_each(|_| sink.fail_next(WriteError::retryable("down")));
    let spool = builder(dir.path()).max_age(hour).batch(2, 1 << 20).open(vec![lane], counts.clone()).await.unwrap();
    eventually("all but the open batch expires", || counts.labelled(Labelled::Expired, "main") == 8).await;
    spool.close(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_and_endless_ones_mean_very_long() {
    let dir = tempfile::tempdir().unwrap();
    let counts = Arc::new(Counts::new());
    let refused = builder(dir.path()).max_age(Duration::ZERO).open(Vec::new(), counts.clone()).await;
    assert!(matches!(refused, Err(SpoolError::BadSetting(_))));
    let (sink, lane) = memory();
    let spool = builder(dir.path()).linger(Duration::MAX).max_age(Duration::MAX).open(vec![lane], counts.clone()).await.unwrap();
    send_all(&spool, 0..1).await;
    assert!(spool.flush(SOON).await && spool.close(SOON).await);
    assert_eq!((ids(&sink.batches()), counts.sum(Labelled::Restarts)), (pairs(0..1), 0));
}

#[tokio::test]
async fn a_batch_whose_first_attempt_is_long_ago_is_offered_as_possibly_written() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, lane) = memory();
    sink.fail_next(WriteError::retryable("busy"));
    sink.fail_next(WriteError::retryable("the answer was lost").after(Duration::from_secs(700)));
    let (spool, _) = open(dir.path(), &[&lane]).await;
    send_all(&spool, 0..1).await;
    eventually("two attempts", || sink.offered().len() == 2).await;
    tokio::task::yield_now().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(701)).await;
    tokio::time::resume();
    assert!(spool.flush(SOON).await);
    let offered = sink.offered();
    assert_eq!(offered.iter().map(Batch::is_repeated).collect::<Vec<_>>(), [false, false, true]);
    assert!(offered.iter().all(|batch| batch.id() == offered[0].id()));
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn a_retryable_error_repeats_the_same_batch_and_respects_the_wish_to_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, lane) = memory();
    sink.fail_next(WriteError::retryable("down"));
    sink.fail_next(WriteError::retryable("busy").after(Duration::from_millis(300)));
    let (spool, counts) = open(dir.path(), &[&lane]).await;
    let start = Instant::now();
    send_all(&spool, 0..1).await;
    assert!(spool.flush(SOON).await);
    assert!(start.elapsed() >= Duration::from_millis(300));
    let offered = sink.offered();
    assert_eq!(offered.len(), 3);
    assert!(offered.iter().all(|batch| batch.id() == offered[0].id() && ids(std::slice::from_ref(batch)) == pairs(0..1)));
    assert_eq!(counts.labelled(Labelled::Retried, "main"), 2);
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn one_poisoned_event_ends_alone_in_the_dead_letters_and_can_be_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, lane) = memory();
    sink.poison("bad");
    let other = Arc::new(MemorySink::new("other"));
    let other_lane: Arc<dyn Sink> = other.clone();
    let (spool, counts) = open(dir.path(), &[&lane, &other_lane]).await;
    let mut names = vec!["good"; 99];
    names.insert(57, "bad");
    spool.send(testing::envelope(0, &names)).await.unwrap();
    assert!(spool.flush(SOON).await);
    assert_eq!(ids(&sink.batches()), (0..100).filter(|&id| id != 57).collect::<Vec<_>>());
    let offered = sink.offered();
    assert!(offered[1..].iter().all(Batch::is_repeated) && offered.len() < 20, "{}", offered.len());
    assert_eq!((counts.labelled(Labelled::Delivered, "main"), counts.labelled(Labelled::DeadLettered, "main")), (99, 1));

    let letters = spool.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].event.0, letters[0].sink.as_str(), letters[0].project.as_str()), (57, "main", "shop"));
    assert_eq!(letters[0].reason, "the sink refuses the batch: an event is named bad");
    assert_eq!(letters[0].envelope.as_ref().unwrap().events[0].name, "bad");
    eventually("the gauge counts it", || counts.gauge(Gauge::DeadLetters, "main") == 1).await;

    assert_eq!(spool.requeue_dead_letters("unknown").await.unwrap(), 0);
    sink.poison("nothing");
    assert_eq!(spool.requeue_dead_letters("main").await.unwrap(), 1);
    assert!(spool.flush(SOON).await);
    assert_eq!(ids(&sink.batches()).last(), Some(&57));
    assert_eq!(other.events().len(), 100, "the other sink does not get it twice");
    assert!(spool.dead_letters(10).await.unwrap().is_empty());
    assert_eq!(counts.labelled(Labelled::Requeued, "main"), 1);
    eventually("the entries are deleted", || spool.bytes() == 0).await;
    assert!(spool.close(SOON).await);
}

/// Refuses what holds event 3, and then fails for everything.
struct RefusesThenFails(MemorySink);

#[async_trait]
impl Sink for RefusesThenFails {
    fn name(&self) -> &str {
        "main"
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let first = self.0.offered().is_empty();
        self.0.write(batch).await?;
        if first { Err(WriteError::rejected("something in it")) } else { Err(WriteError::retryable("down")) }
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_of_halving_offers_the_whole_as_possibly_repeated() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sink = Arc::new(RefusesThenFails(MemorySink::new("main")));
    let lane: Arc<dyn Sink> = sink.clone();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    spool.send(testing::envelope(0, &["a"; 8])).await.unwrap();
    eventually("a half is offered", || sink.0.offered().len() > 2).await;
    let left = leave(dir.path(), copy.path());
    let (after, lane) = memory();
    let (second, _) = open(&left, &[&lane]).await;
    assert!(second.flush(SOON).await);
    assert_eq!(after.batches()[0].id(), sink.0.offered()[0].id());
    assert!(after.batches()[0].is_repeated() && !sink.0.offered()[0].is_repeated());
    assert!(second.close(SOON).await);
    spool.close(SOON).await;
}

#[tokio::test]
async fn dead_letters_are_bounded_and_the_oldest_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, lane) = memory();
    sink.poison("bad");
    let counts = Arc::new(Counts::new());
    let spool = builder(dir.path()).keep_dead_letters(3, 1 << 20).open(vec![lane], counts.clone()).await.unwrap();
    spool.send(testing::envelope(0, &["bad"; 8])).await.unwrap();
    assert!(spool.flush(SOON).await);
    let kept: Vec<_> = spool.dead_letters(10).await.unwrap().iter().map(|letter| letter.event.0).collect();
    assert_eq!(kept, [7, 6, 5]);
    assert_eq!((counts.labelled(Labelled::DeadLettered, "main"), counts.total(Total::DeadLettersDropped)), (8, 5));
    assert!(spool.close(SOON).await);
}

/// Panics at first.
struct Panicking(MemorySink, AtomicU32);

#[async_trait]
impl Sink for Panicking {
    fn name(&self) -> &str {
        "main"
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        assert!(self.1.fetch_add(1, SeqCst) >= 2, "a fault of the sink");
        self.0.write(batch).await
    }
}

#[tokio::test]
async fn a_sink_that_panics_gets_the_batch_again() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(Panicking(MemorySink::new("main"), AtomicU32::new(0)));
    let lane: Arc<dyn Sink> = sink.clone();
    let (spool, counts) = open(dir.path(), &[&lane]).await;
    send_all(&spool, 0..3).await;
    assert!(spool.flush(SOON).await);
    assert_eq!(ids(&sink.0.batches()), pairs(0..3));
    assert_eq!(counts.labelled(Labelled::Restarts, "main"), 2);
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn a_batch_ends_at_its_limits_without_cutting_envelopes() {
    let dir = tempfile::tempdir().unwrap();
    let spool = builder(dir.path()).open(Vec::new(), Arc::new(Counts::new())).await.unwrap();
    send_all(&spool, 0..30).await;
    assert!(spool.close(SOON).await);
    for (events, bytes) in [(7, u64::MAX), (u64::MAX >> 1, 1000)] {
        let copy = tempfile::tempdir().unwrap();
        let (sink, lane) = memory();
        let left = leave(dir.path(), copy.path());
        let spool = builder(&left).batch(events, bytes).open(vec![lane], Arc::new(Counts::new())).await.unwrap();
        assert!(spool.flush(SOON).await);
        assert_eq!(ids(&sink.batches()), pairs(0..30));
        let sizes: Vec<_> = sink.batches().iter().map(Batch::len).collect();
        assert!(sizes.iter().all(|&size| (2..=8).contains(&size)) && sizes.len() > 5, "{sizes:?}");
        assert!(spool.close(SOON).await);
    }
}

#[tokio::test]
async fn every_sink_gets_everything_and_a_slow_one_holds_up_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let quick = Arc::new(MemorySink::new("quick"));
    let quick_lane: Arc<dyn Sink> = quick.clone();
    let slow = holding();
    let slow_lane: Arc<dyn Sink> = slow.clone();
    let (spool, counts) = open(dir.path(), &[&quick_lane, &slow_lane]).await;
    send_all(&spool, 0..10).await;
    eventually("the quick one has all", || quick.events().len() == 20).await;
    assert!(!spool.flush(Duration::from_millis(50)).await);
    eventually("the gauges differ", || counts.gauge(Gauge::SpoolEvents, "quick") == 0 && counts.gauge(Gauge::SpoolEvents, "main") == 20)
        .await;
    assert!(spool.bytes() > 0);
    slow.held.store(false, SeqCst);
    assert!(spool.flush(SOON).await);
    eventually("the entries are deleted", || spool.bytes() == 0).await;
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn a_new_sink_starts_at_the_oldest_entry_and_a_removed_one_pins_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let stuck = holding();
    let lane: Arc<dyn Sink> = stuck.clone();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    send_all(&spool, 0..10).await;
    eventually("a batch is open", || !stuck.offered.lock().unwrap().is_empty()).await;
    assert!(!spool.close(Duration::from_millis(200)).await);
    let added = Arc::new(MemorySink::new("added"));
    let lane: Arc<dyn Sink> = added.clone();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    assert!(spool.flush(SOON).await);
    assert_eq!(ids(&added.batches()), pairs(0..10));
    eventually("the entries are deleted", || spool.bytes() == 0).await;
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn old_entries_expire_but_never_those_of_an_open_batch() {
    let dir = tempfile::tempdir().unwrap();
    let sink = holding();
    let counts = Arc::new(Counts::new());
    let age = Duration::from_millis(400);
    let spool = builder(dir.path()).max_age(age).open(vec![sink.clone()], counts.clone()).await.unwrap();
    send_all(&spool, 0..5).await;
    eventually("a batch is open", || !sink.offered.lock().unwrap().is_empty()).await;
    let open = ids(&sink.offered.lock().unwrap()[..1]);
    send_all(&spool, 5..10).await;
    eventually("the rest expires", || counts.labelled(Labelled::Expired, "main") as usize == 20 - open.len()).await;
    assert_eq!(spool.pending("main"), Some(open.len() as u64));
    sink.held.store(false, SeqCst);
    assert!(spool.flush(SOON).await);
    assert_eq!(ids(&sink.offered.lock().unwrap()), open);
    let (delivered, expired) = (counts.labelled(Labelled::Delivered, "main"), counts.labelled(Labelled::Expired, "main"));
    assert_eq!((delivered as usize, delivered + expired), (open.len(), 20));
    eventually("the entries are deleted", || spool.bytes() == 0).await;
    assert!(spool.close(SOON).await);
}

/// A spool that finds 20 envelopes and delivers four events at a time to a sink that hangs.
async fn backlog(dir: &std::path::Path, age: Duration) -> (Arc<Holding>, Arc<monitor_transport::Spool>, Arc<Counts>) {
    let before = builder(dir).open(Vec::new(), Arc::default()).await.unwrap();
    send_all(&before, 0..20).await;
    assert!(before.close(SOON).await);
    let (sink, counts) = (holding(), Arc::new(Counts::new()));
    let spool = builder(dir).batch(4, 1 << 20).max_age(age).open(vec![sink.clone()], counts.clone()).await.unwrap();
    eventually("a batch is open", || !sink.offered.lock().unwrap().is_empty()).await;
    (sink, spool, counts)
}

#[tokio::test]
async fn what_is_read_ahead_is_delivered_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, spool, counts) = backlog(dir.path(), Duration::from_secs(3600)).await;
    sink.held.store(false, SeqCst);
    send_all(&spool, 20..23).await;
    assert!(spool.flush(SOON).await);
    let offered = sink.offered.lock().unwrap().clone();
    assert_eq!(ids(&offered), pairs(0..23));
    assert!(offered.iter().all(|batch| batch.len() <= 4 && !batch.is_repeated()));
    assert!(offered[..10].iter().all(|batch| batch.len() == 4), "full batches are waiting");
    assert_eq!((counts.labelled(Labelled::Delivered, "main"), counts.labelled(Labelled::Retried, "main")), (46, 0));
    assert!(spool.close(SOON).await);
}

/// Envelopes as they come from browsers: numbers with all their digits, text of all kinds.
fn rich(n: u32) -> Envelope {
    let mut envelope = pair(n.into());
    envelope.origin.user_agent = "Mozilla/5.0 \"ü\" 😀\n".into();
    envelope.origin.ip = Some([192, 0, 2, 0].into());
    for (event, value) in envelope.events.iter_mut().zip([1_234.599_999_999_627_5, 1e300 / f64::from(n + 1)]) {
        event.value = Some(value / 3.0);
        event.weight = 1.0 + n as f32 / 7.0;
        event.attributes.insert("target".into(), "a > b".into());
        event.data = RawValue::from_string(r#"{"at": [1.50, "\u00fc"]}"#.into()).unwrap();
    }
    envelope
}

fn texts(batch: &Batch) -> Vec<String> {
    batch.envelopes().iter().map(|envelope| serde_json::to_string(envelope).unwrap()).collect()
}

#[tokio::test]
async fn what_is_in_memory_is_delivered_as_it_would_be_after_a_crash_without_being_decoded() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sink = holding();
    let linger = Duration::from_millis(500);
    let spool = builder(dir.path()).linger(linger).open(vec![sink.clone()], Arc::default()).await.unwrap();
    for n in 0..50 {
        spool.send(rich(n)).await.unwrap();
    }
    let left = leave(dir.path(), copy.path());
    let database = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    let spoiled = database.execute("UPDATE entry SET payload = ?", [b"nobody can decode this"]).unwrap();
    assert_eq!(spoiled, 50, "all still wait");
    drop(database);
    sink.held.store(false, SeqCst);
    assert!(spool.flush(SOON).await);
    let offered = sink.offered.lock().unwrap().clone();
    assert_eq!(ids(&offered), pairs(0..50));

    let (after, lane) = memory();
    let second = builder(&left).linger(linger).open(vec![lane], Arc::default()).await.unwrap();
    assert!(second.flush(SOON).await);
    let decoded: Vec<_> = after.batches().iter().flat_map(texts).collect();
    assert_eq!(offered.iter().flat_map(texts).collect::<Vec<_>>(), decoded);
    assert!(second.close(SOON).await && spool.close(SOON).await);
}

#[tokio::test]
async fn a_kill_while_some_is_in_memory_and_some_is_not_loses_doubles_and_reorders_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Room for a few envelopes beside those that are being written.
    let open = |dir: &std::path::Path, lane| builder(dir).batch(1 << 40, 1200).open(vec![lane], Arc::default());
    let sink = holding();
    let spool = open(dir.path(), sink.clone()).await.unwrap();
    let mut lives = Vec::new();
    for round in 0..5 {
        send_all(&spool, 10 * round..10 * round + 10).await;
        eventually("a batch is open", || !sink.offered.lock().unwrap().is_empty()).await;
        let copy = tempfile::tempdir().unwrap();
        let offered = sink.offered.lock().unwrap().clone();
        let left = leave(dir.path(), copy.path());
        lives.push((copy, left, offered, 10 * round + 10));
        sink.held.store(false, SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        sink.held.store(true, SeqCst);
    }
    sink.held.store(false, SeqCst);
    assert!(spool.flush(SOON).await && spool.close(SOON).await);
    let whole = sink.offered.lock().unwrap().clone();
    assert_eq!(ids(&whole), pairs(0..50));

    for (_copy, left, before, sent) in lives {
        let (after, lane) = memory();
        let spool = open(&left, lane).await.unwrap();
        assert!(spool.flush(SOON).await && spool.close(SOON).await);
        let after = after.batches();
        // What was offered and is offered again is the same batch; with it left out, the two lives are one.
        let again = before.iter().filter(|batch| after.iter().any(|other| other.id() == batch.id())).count();
        for (old, new) in before.iter().skip(before.len() - again).zip(&after) {
            assert_eq!((old.id(), texts(old)), (new.id(), texts(new)));
            assert!(new.is_repeated());
        }
        let once: Vec<_> = before.iter().take(before.len() - again).chain(&after).cloned().collect();
        assert_eq!(ids(&once), pairs(0..sent));
    }
}

#[tokio::test]
async fn what_expires_after_it_was_read_ahead_is_not_offered() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, spool, counts) = backlog(dir.path(), Duration::from_secs(3)).await;
    let open = ids(&sink.offered.lock().unwrap()[..1]);
    eventually("the rest expires", || counts.labelled(Labelled::Expired, "main") as usize == 40 - open.len()).await;
    sink.held.store(false, SeqCst);
    assert!(spool.flush(SOON).await);
    assert_eq!(ids(&sink.offered.lock().unwrap()), open);
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn what_expires_without_a_sink_is_counted_too() {
    let dir = tempfile::tempdir().unwrap();
    let counts = Arc::new(Counts::new());
    let spool = builder(dir.path()).max_age(Duration::from_millis(50)).open(Vec::new(), counts.clone()).await.unwrap();
    send_all(&spool, 0..5).await;
    eventually("all expires", || counts.labelled(Labelled::Expired, "no_sink") == 10 && spool.bytes() == 0).await;
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn closing_ends_in_time_although_a_sink_hangs_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sink = holding();
    let lane: Arc<dyn Sink> = sink.clone();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    send_all(&spool, 0..10).await;
    eventually("the sink hangs", || !sink.offered.lock().unwrap().is_empty()).await;
    let start = Instant::now();
    assert!(!spool.close(Duration::from_millis(500)).await);
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    let (after, lane) = memory();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    assert!(spool.flush(SOON).await);
    assert_eq!(ids(&after.batches()), pairs(0..10));
    assert_eq!(after.batches()[0].id(), sink.offered.lock().unwrap()[0].id());
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn closing_while_a_sink_is_down_does_not_wait_for_the_back_off() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, lane) = memory();
    sink.fail_next(WriteError::retryable("down").after(Duration::from_secs(3600)));
    let (spool, _) = open(dir.path(), &[&lane]).await;
    send_all(&spool, 0..1).await;
    eventually("the sink failed", || !sink.offered().is_empty()).await;
    let start = Instant::now();
    assert!(spool.close(SOON).await);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn names_of_sinks_must_be_usable_and_differ() {
    let dir = tempfile::tempdir().unwrap();
    let open = |names: Vec<&str>| {
        let sinks = names.into_iter().map(|name| Arc::new(MemorySink::new(name)) as Arc<dyn Sink>).collect();
        builder(dir.path()).open(sinks, Arc::new(Counts::new()))
    };
    assert!(matches!(open(vec!["a", "a"]).await, Err(SpoolError::DuplicateSink(_))));
    assert!(matches!(open(vec![""]).await, Err(SpoolError::BadSinkName(_))));
    assert!(matches!(open(vec![&"x".repeat(65)]).await, Err(SpoolError::BadSinkName(_))));
}

#[tokio::test]
async fn a_sender_that_went_away_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, lane) = memory();
    let spool = builder(dir.path()).commit_delay(Duration::from_millis(20)).open(vec![lane], Arc::new(Counts::new())).await.unwrap();
    for n in 0..20 {
        // Gives up while the group is being gathered: the envelope is taken all the same, or not at all.
        let _ = tokio::time::timeout(Duration::from_millis(1), spool.send(pair(n))).await;
    }
    send_all(&spool, [99]).await;
    assert!(spool.flush(SOON).await);
    let got = ids(&sink.batches());
    assert_eq!(got.last(), Some(&991));
    let mut unique = got.clone();
    unique.dedup();
    assert_eq!(unique, got);
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn what_a_dropped_lane_was_given_counts_as_possibly_repeated_when_its_sink_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let stuck = holding();
    let lane: Arc<dyn Sink> = stuck.clone();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    send_all(&spool, 0..3).await;
    eventually("a batch is open", || !stuck.offered.lock().unwrap().is_empty()).await;
    assert!(!spool.close(Duration::from_millis(200)).await);
    // What did not end in time ends later, and only then lets go of the files.
    let reopened = async {
        loop {
            match builder(dir.path()).open(vec![], Arc::default()).await {
                Ok(spool) => break spool,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let spool = tokio::time::timeout(SOON, reopened).await.unwrap();
    assert!(spool.close(SOON).await);
    let (sink, lane) = memory();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    assert!(spool.flush(SOON).await);
    let before = sink.batches().len();
    assert!(sink.batches().iter().all(monitor_core::Batch::is_repeated));
    send_all(&spool, 3..6).await;
    assert!(spool.flush(SOON).await && spool.close(SOON).await);
    assert_eq!(ids(&sink.batches()), pairs(0..6));
    assert!(sink.batches()[before..].iter().all(|batch| !batch.is_repeated()), "what came later was given to nobody before");
}

/// Refuses everything.
struct Refusing;

#[async_trait]
impl Sink for Refusing {
    fn name(&self) -> &str {
        "main"
    }

    async fn write(&self, _batch: &Batch) -> Result<(), WriteError> {
        Err(WriteError::rejected("no"))
    }
}

#[tokio::test]
async fn the_same_id_of_another_project_is_another_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let lane: Arc<dyn Sink> = Arc::new(Refusing);
    let (spool, _) = open(dir.path(), &[&lane]).await;
    for project in ["bank", "shop"] {
        let mut envelope = pair(1);
        envelope.origin.project = project.into();
        spool.send(envelope).await.unwrap();
    }
    assert!(spool.flush(SOON).await);
    let mut kept: Vec<_> = spool.dead_letters(10).await.unwrap().into_iter().map(|letter| (letter.project, letter.event.0)).collect();
    kept.sort();
    assert_eq!(kept, [("bank", 10), ("bank", 11), ("shop", 10), ("shop", 11)].map(|(project, id)| (project.to_owned(), id)));
    assert!(spool.close(SOON).await);
}

#[tokio::test]
async fn flushing_and_closing_may_have_all_the_time_in_the_world() {
    let dir = tempfile::tempdir().unwrap();
    let (_, lane) = memory();
    let (spool, _) = open(dir.path(), &[&lane]).await;
    assert!(spool.flush(Duration::MAX).await && spool.close(Duration::MAX).await);
}
