//! The consumer against librdkafka's mock cluster: what is written once, and how it goes on after a crash.

// Clippy's exception for tests covers test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use monitor_core::{
    Batch, BatchId, Counts, Envelope, Event, EventId, Integration, Kind, Labelled, Origin, Pipeline, Setup, Sink, Total, WriteError,
    async_trait,
    testing::{MemorySink, MemoryTransport},
};
use monitor_sink_kafka::{Kafka, KafkaConsumer, KafkaSink};
use rdkafka::{
    ClientConfig,
    config::FromClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};
use tokio::{sync::oneshot, task::JoinHandle};

const PARTITIONS: i32 = 3;

struct Cluster(MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    fn new() -> Cluster {
        let cluster = MockCluster::new(1).unwrap();
        for topic in ["monitor.behavior", "monitor.errors", "monitor.performance"] {
            cluster.create_topic(topic, PARTITIONS, 1).unwrap();
        }
        cluster.create_topic("monitor.dead-letters", 1, 1).unwrap();
        Cluster(cluster)
    }

    fn brokers(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// As a receiver produces them.
    async fn produce(&self, events: &[(u128, &str, u32)]) {
        let sink = KafkaSink::new(Kafka::new(self.brokers())).unwrap();
        let envelope = |(id, session, attempt): &(u128, &str, u32)| {
            let mut origin = Origin::new("shop", 1_732_096_800_500);
            origin.session = (*session).to_owned();
            origin.attempt = *attempt;
            Envelope { origin, events: vec![Event::new(EventId(*id), 1_732_096_800_000, Kind::Track, format!("event {id}"))] }
        };
        let batch = Batch::new(BatchId::new("b"), events.iter().map(envelope).collect());
        sink.write(&batch).await.unwrap();
    }

    /// As some other program might.
    fn produce_raw(&self, payload: &str, partition: i32) {
        let config = ClientConfig::new().set("bootstrap.servers", self.brokers()).to_owned();
        let producer = BaseProducer::from_config(&config).unwrap();
        producer.send(BaseRecord::<(), _>::to("monitor.behavior").payload(payload).partition(partition)).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
    }

    fn consumer(&self) -> KafkaConsumer {
        KafkaConsumer::new(self.brokers())
            .linger(Duration::from_millis(200))
            .drain(Duration::from_millis(100))
            .set("session.timeout.ms", "6000")
    }
}

/// A consumer that runs until it is stopped.
struct Running {
    counts: Arc<Counts>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(consumer: KafkaConsumer, sink: Arc<dyn Sink>) -> Running {
        let counts = Arc::new(Counts::new());
        let mut setup = Setup::new(Arc::clone(&counts));
        Box::new(consumer.sink(sink)).install(&mut setup).unwrap();
        let pipeline = Pipeline::new(Vec::new(), Arc::new(MemoryTransport::default()), Vec::new(), Arc::clone(&counts));
        let (stop, stopped) = oneshot::channel::<()>();
        let receiver = setup.receivers.pop().unwrap();
        let task = tokio::spawn(async move { receiver.run(pipeline, Box::pin(async { _ = stopped.await })).await.unwrap() });
        Running { counts, stop, task }
    }

    async fn consumed(&self, messages: u64) {
        let begun = Instant::now();
        while self.counts.total(Total::Consumed) < messages {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", self.counts);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(30), self.task).await.unwrap().unwrap();
    }
}

fn sink() -> Arc<MemorySink> {
    Arc::new(MemorySink::new("memory"))
}

fn ids(sink: &MemorySink) -> Vec<u128> {
    let mut ids: Vec<u128> = sink.events().iter().map(|event| event.id.0).collect();
    ids.sort_unstable();
    ids
}

fn events(ids: std::ops::Range<u128>) -> Vec<(u128, &'static str, u32)> {
    ids.map(|id| (id, ["anna", "bert", "cleo", "dora", "emil"][usize::try_from(id % 5).unwrap()], 1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_written_once_and_a_restart_goes_on_behind_it() {
    let (cluster, first, second) = (Cluster::new(), sink(), sink());
    cluster.produce(&events(0..1_000)).await;
    let running = Running::start(cluster.consumer().batch_events(100), first.clone());
    running.consumed(1_000).await;
    running.stop().await;
    assert_eq!(ids(&first), (0..1_000).collect::<Vec<_>>());

    cluster.produce(&events(1_000..1_200)).await;
    let running = Running::start(cluster.consumer(), second.clone());
    running.consumed(200).await;
    running.stop().await;
    assert_eq!(ids(&second), (1_000..1_200).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_session_keep_their_order() {
    let (cluster, sink) = (Cluster::new(), sink());
    cluster.produce(&events(0..500)).await;
    let running = Running::start(cluster.consumer().batch_events(50), sink.clone());
    running.consumed(500).await;
    running.stop().await;
    let mut sessions: BTreeMap<String, Vec<u128>> = BTreeMap::new();
    for event in sink.events() {
        sessions.entry(event.session).or_default().push(event.id.0);
    }
    assert_eq!(sessions.len(), 5);
    assert!(sessions.values().all(|ids| ids.is_sorted()), "{sessions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_written_before_a_crash_is_offered_again_as_the_same_batch() {
    let (cluster, first, second) = (Cluster::new(), sink(), sink());
    // The database answers nobody: it may have stored what it was offered.
    for _ in 0..1_000 {
        first.fail_next(WriteError::retryable("no answer"));
    }
    cluster.produce(&events(0..50)).await;
    let running = Running::start(cluster.consumer(), first.clone());
    let begun = Instant::now();
    while first.offered().iter().map(|batch| batch.id().to_string()).collect::<std::collections::BTreeSet<_>>().len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop().await;

    // More has come in the meantime, and the next consumer would make larger batches.
    cluster.produce(&events(50..200)).await;
    let running = Running::start(cluster.consumer(), second.clone());
    running.consumed(200).await;
    running.stop().await;
    assert_eq!(ids(&second), (0..200).collect::<Vec<_>>());
    for offered in first.offered() {
        let again = second.batches().into_iter().find(|batch| batch.id() == offered.id());
        let again = again.unwrap_or_else(|| panic!("{} was not offered again", offered.id()));
        assert!(again.is_repeated() && !offered.is_repeated());
        let ids = |batch: &Batch| batch.events().map(|(_, event)| event.id).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&offered));
    }
    assert!(second.batches().iter().any(|batch| !batch.is_repeated()));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_left_out_also_when_the_first_was_written_by_another_consumer() {
    let (cluster, first, second) = (Cluster::new(), sink(), sink());
    cluster.produce(&events(0..20)).await;
    let running = Running::start(cluster.consumer(), first.clone());
    running.consumed(20).await;
    running.stop().await;

    // The receiver did not learn of its success, and the SDK sent some again as well.
    let again: Vec<_> = events(0..20).into_iter().map(|(id, session, _)| (id, session, 1 + u32::from(id % 2 == 0))).collect();
    cluster.produce(&again).await;
    cluster.produce(&events(20..25)).await;
    let running = Running::start(cluster.consumer(), second.clone());
    running.consumed(25).await;
    assert_eq!(running.counts.labelled(Labelled::Duplicate, "topic"), 20);
    running.stop().await;
    assert_eq!(ids(&second), (20..25).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_or_written_is_put_aside_and_can_be_put_back() {
    let (cluster, sink) = (Cluster::new(), sink());
    sink.poison("event 7");
    cluster.produce(&events(0..10)).await;
    cluster.produce_raw("{\"id\":", 0);
    let running = Running::start(cluster.consumer(), sink.clone());
    running.consumed(11).await;
    assert_eq!(ids(&sink), [0, 1, 2, 3, 4, 5, 6, 8, 9]);
    assert_eq!(running.counts.sum(Labelled::DeadLettered), 2);
    running.stop().await;

    let mut letters = cluster.consumer().dead_letters(10).await.unwrap();
    letters.sort_by_key(|letter| letter.payload.len());
    let [unreadable, refused] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(unreadable.payload, b"{\"id\":");
    assert!(refused.reason.contains("an event is named event 7"), "{}", refused.reason);
    assert_eq!((refused.topic.as_str(), refused.key.as_slice()), ("monitor.behavior", &b"cleo"[..]));

    // The reason is gone.
    assert_eq!(cluster.consumer().replay_dead_letters().await.unwrap(), 2);
    assert!(cluster.consumer().dead_letters(10).await.unwrap().is_empty());
    let mended = self::sink();
    let running = Running::start(cluster.consumer(), mended.clone());
    running.consumed(2).await;
    running.stop().await;
    // The consumer before it took note of the event when it put it aside: a copy that is put back must not be taken for one.
    assert_eq!(ids(&mended), [7]);
}

/// Takes nothing until it is told to.
struct Gate {
    inner: MemorySink,
    open: AtomicBool,
}

#[async_trait]
impl Sink for Gate {
    fn name(&self) -> &str {
        "gate"
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        if self.open.load(SeqCst) { self.inner.write(batch).await } else { Err(WriteError::retryable("closed")) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_given_up_while_it_was_paused_is_read_when_it_comes_back() {
    let cluster = Cluster::new();
    let gate = || Arc::new(Gate { inner: MemorySink::new("memory"), open: AtomicBool::new(false) });
    cluster.produce(&events(0..1_000)).await;
    let first = gate();
    let running = Running::start(cluster.consumer().batch_events(10), first.clone());
    // Long enough to read all that it will before it pauses.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let other = Running::start(cluster.consumer().batch_events(10), gate());
    tokio::time::sleep(Duration::from_secs(8)).await;
    other.stop().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    first.open.store(true, SeqCst);
    running.consumed(1_000).await;
    running.stop().await;
    assert_eq!(ids(&first.inner), (0..1_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_larger_than_any_event_is_put_aside_too() {
    let (cluster, sink) = (Cluster::new(), sink());
    cluster.produce_raw(&"x".repeat(999_000), 0);
    let running = Running::start(cluster.consumer(), sink);
    running.consumed(1).await;
    running.stop().await;
    let letters = cluster.consumer().dead_letters(10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.payload.len()).collect::<Vec<_>>(), [999_000]);
}
