//! The producer side against librdkafka's mock cluster: what a write promises when brokers fail.

// Clippy's exception for tests covers test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use monitor_core::{Batch, BatchId, Counts, Envelope, Event, EventId, Integration, Kind, Origin, Setup, Sink, WriteError};
use monitor_sink_kafka::{Kafka, KafkaSink, KeyStrategy, Topics};
use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::Headers as _,
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

type Cluster = MockCluster<'static, DefaultProducerContext>;

const PARTITIONS: i32 = 4;
const TOPICS: [&str; 3] = ["monitor.behavior", "monitor.errors", "monitor.performance"];

/// A cluster of one broker with the default topics.
fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    for topic in TOPICS {
        cluster.create_topic(topic, PARTITIONS, 1).unwrap();
    }
    cluster
}

fn kafka(cluster: &Cluster) -> Kafka {
    Kafka::new(cluster.bootstrap_servers())
}

fn sink(kafka: Kafka) -> KafkaSink {
    KafkaSink::new(kafka).unwrap()
}

/// One event for each session and number, in the order of the numbers.
fn batch(first: u128, events: u128, sessions: u128) -> Batch {
    let envelopes = (first..first + events).map(|n| {
        let mut origin = Origin::new("shop", 1_732_096_800_600);
        origin.session = format!("session-{}", n % sessions);
        Envelope { origin, events: vec![Event::new(EventId(n), 1_732_096_800_000, kind(n), format!("event-{n}"))] }
    });
    Batch::new(BatchId::new(format!("{first}-{events}")), envelopes.collect())
}

fn kind(n: u128) -> Kind {
    [Kind::Click, Kind::Error, Kind::Vital][usize::try_from(n % 3).unwrap()].clone()
}

struct Read {
    topic: String,
    partition: i32,
    key: String,
    headers: BTreeMap<String, String>,
    value: serde_json::Value,
}

impl Read {
    fn number(&self) -> u128 {
        self.value["id"].as_str().unwrap().parse::<EventId>().unwrap().0
    }
}

/// Everything in the topics, each partition in its order. Waits until there are at least so many.
fn read(cluster: &Cluster, least: usize) -> Vec<Read> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "check")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for topic in TOPICS {
        for partition in 0..PARTITIONS {
            assignment.add_partition_offset(topic, partition, rdkafka::Offset::Beginning).unwrap();
        }
    }
    consumer.assign(&assignment).unwrap();
    let mut found = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut quiet = 0;
    while Instant::now() < deadline && (found.len() < least || quiet < 3) {
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            quiet += 1;
            continue;
        };
        quiet = 0;
        let message = message.unwrap();
        let headers = message.headers().unwrap().iter();
        found.push(Read {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            key: std::str::from_utf8(message.key().unwrap()).unwrap().to_owned(),
            headers: headers.map(|header| (header.key.to_owned(), String::from_utf8(header.value.unwrap().to_vec()).unwrap())).collect(),
            value: serde_json::from_slice(message.payload().unwrap()).unwrap(),
        });
    }
    found
}

/// Every event of `first..first + events` is there; how often is told.
#[track_caller]
fn all_there(found: &[Read], first: u128, events: u128) -> usize {
    let mut numbers: Vec<u128> = found.iter().map(Read::number).collect();
    let read = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (first..first + events).collect::<Vec<_>>());
    read
}

async fn write_until_it_works(sink: &KafkaSink, batch: &Batch, within: Duration) -> Vec<WriteError> {
    let deadline = Instant::now() + within;
    let mut errors = Vec::new();
    while let Err(error) = sink.write(batch).await {
        assert!(error.is_retryable() && Instant::now() < deadline, "{}", error.report());
        errors.push(error);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    errors
}

#[tokio::test]
async fn every_event_is_in_its_topic_once_with_key_and_headers() {
    let cluster = cluster();
    sink(kafka(&cluster)).write(&batch(1, 3000, 50)).await.unwrap();
    let found = read(&cluster, 3000);
    assert_eq!(all_there(&found, 1, 3000), 3000);
    for message in &found {
        let n = message.number();
        assert_eq!(message.key, format!("session-{}", n % 50));
        assert_eq!(message.value["session"], message.key);
        let kind = kind(n);
        assert_eq!(message.topic, Topics::default().topic(&kind));
        let expected = [("content-type", "application/json"), ("kind", kind.as_str()), ("project", "shop"), ("schema", "1")];
        assert_eq!(message.headers, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }
}

#[tokio::test]
async fn events_of_one_key_are_in_one_partition_in_order() {
    let cluster = cluster();
    let sink = sink(kafka(&cluster));
    for first in [1, 1001, 2001] {
        sink.write(&batch(first, 1000, 7)).await.unwrap();
    }
    let mut last: BTreeMap<(String, String), (i32, u128)> = BTreeMap::new();
    let found = read(&cluster, 3000);
    assert_eq!(found.len(), 3000);
    for message in found {
        let n = message.number();
        let before = last.insert((message.topic.clone(), message.key.clone()), (message.partition, n));
        assert!(before.is_none_or(|(partition, before)| partition == message.partition && before < n), "{before:?} {n}");
    }
    assert_eq!(last.len(), 21);
}

#[tokio::test]
async fn keys_are_made_as_the_strategy_says() {
    let mut origin = Origin::new("shop", 1);
    let event = Event::new(EventId(7), 1, Kind::Click, "x");
    let id = "00000000-0000-0000-0000-000000000007";
    let expect = async |origin: &Origin, strategy: &str, key: &str| {
        let cluster = cluster();
        let sink = sink(kafka(&cluster).key(strategy.parse::<KeyStrategy>().unwrap()));
        let envelope = Envelope { origin: origin.clone(), events: vec![event.clone()] };
        sink.write(&Batch::new(BatchId::new("b"), vec![envelope])).await.unwrap();
        assert_eq!(read(&cluster, 1)[0].key, key, "{strategy}");
    };
    for (strategy, key) in [("session", id), ("user", id), ("project", "shop"), ("kind", "click"), ("event_id", id)] {
        expect(&origin, strategy, key).await;
    }
    origin.page.id = "p".into();
    expect(&origin, "session", "p").await;
    origin.visitor = "v".into();
    expect(&origin, "session", "v").await;
    origin.session = "s".into();
    expect(&origin, "session", "s").await;
    expect(&origin, "user", "v").await;
    origin.user = "u".into();
    expect(&origin, "user", "u").await;
    expect(&origin, "event_id", id).await;
}

#[tokio::test]
async fn a_broker_that_is_down_only_delays() {
    let cluster = cluster();
    cluster.broker_down(-1).unwrap();
    let started = Instant::now();
    let sink = sink(kafka(&cluster).set("message.timeout.ms", "1500"));
    assert!(started.elapsed() < Duration::from_secs(1), "building waits for nothing");
    let error = sink.write(&batch(1, 10, 3)).await.unwrap_err();
    assert!(error.is_retryable(), "{}", error.report());
    let up = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.broker_up(-1).unwrap();
    };
    let ten = batch(1, 10, 3);
    tokio::join!(write_until_it_works(&sink, &ten, Duration::from_secs(30)), up);
    all_there(&read(&cluster, 10), 1, 10);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_before_any_is_sent() {
    let cluster = cluster();
    let sink = sink(kafka(&cluster).set("message.max.bytes", "5000"));
    let mut envelopes = batch(1, 20, 3).envelopes().to_vec();
    envelopes[13].events[0].attributes.insert("long".into(), "x".repeat(6000));
    let whole = Batch::new(BatchId::new("b"), envelopes);
    let error = sink.write(&whole).await.unwrap_err();
    assert!(!error.is_retryable() && error.report().contains("00000000000e has 6"), "{}", error.report());
    assert!(read(&cluster, 0).is_empty());
    // As the lane does it: halves, until it is alone.
    let mut refused = Vec::new();
    let mut parts = vec![whole];
    while let Some(part) = parts.pop() {
        if sink.write(&part).await.is_err() {
            match part.split() {
                Ok((left, right)) => parts.extend([right, left]),
                Err(single) => refused.extend(single.events().map(|(_, event)| event.id.0).collect::<Vec<_>>()),
            }
        }
    }
    assert_eq!(refused, [14]);
    let mut numbers: Vec<u128> = read(&cluster, 19).iter().map(Read::number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).filter(|n| *n != 14).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_queue_makes_the_write_wait_and_loses_nothing() {
    let cluster = cluster();
    cluster.broker_round_trip_time(-1, Duration::from_millis(50)).unwrap();
    let sink = sink(kafka(&cluster).set("queue.buffering.max.messages", "100").set("linger.ms", "5"));
    // Polled once for each time it is woken.
    let mut polls = 0;
    let whole = batch(1, 3000, 50);
    let mut write = std::pin::pin!(sink.write(&whole));
    std::future::poll_fn(|context| {
        polls += 1;
        write.as_mut().poll(context)
    })
    .await
    .unwrap();
    assert_eq!(all_there(&read(&cluster, 3000), 1, 3000), 3000);
    assert!((30..1500).contains(&polls), "the queue was filled {polls} times");
}

#[tokio::test]
async fn a_producer_that_gives_up_is_replaced_and_nothing_is_lost() {
    let cluster = cluster();
    let sink = sink(kafka(&cluster));
    sink.write(&batch(1, 30, 3)).await.unwrap();
    // A broker that does not know the sequence any more: the producer's guarantee is gone, and it refuses everything from now on.
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
    let errors = write_until_it_works(&sink, &batch(31, 30, 3), Duration::from_secs(60)).await;
    assert!(errors.first().is_some_and(|error| error.report().contains("OutOfOrderSequenceNumber")), "{errors:?}");
    all_there(&read(&cluster, 60), 1, 60);
}

#[tokio::test]
async fn errors_of_brokers_are_retried_until_they_end() {
    let cluster = cluster();
    let sink = sink(kafka(&cluster));
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
    ] {
        cluster.request_errors(RDKafkaApiKey::Produce, &[error; 2]);
        write_until_it_works(&sink, &batch(1, 30, 3), Duration::from_secs(30)).await;
    }
    all_there(&read(&cluster, 120), 1, 30);
}

#[tokio::test]
async fn what_a_broker_says_is_too_large_is_refused() {
    let cluster = cluster();
    let sink = sink(kafka(&cluster));
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let error = sink.write(&batch(1, 1, 1)).await.unwrap_err();
    assert!(!error.is_retryable(), "{}", error.report());
    sink.write(&batch(1, 30, 3)).await.unwrap();
    all_there(&read(&cluster, 30), 1, 30);
}

#[tokio::test]
async fn a_topic_that_is_missing_is_waited_for() {
    let cluster = cluster();
    let missing = |error| cluster.topic_error("monitor.behavior", error).unwrap();
    missing(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    let sink = sink(kafka(&cluster).set("topic.metadata.propagation.max.ms", "500"));
    let error = sink.write(&batch(1, 30, 3)).await.unwrap_err();
    assert!(error.is_retryable() && error.retry_after() == Some(Duration::from_secs(30)), "{}", error.report());
    assert!(error.report().contains("monitor.behavior"), "{}", error.report());
    missing(RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    let started = Instant::now();
    sink.write(&batch(1, 30, 3)).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "it is found at once");
    assert_eq!(all_there(&read(&cluster, 30), 1, 30), 30, "the other topics get theirs once");
}

#[tokio::test]
async fn what_may_be_in_the_topic_already_says_so() {
    let cluster = cluster();
    let attempts = |found: Vec<Read>| found.iter().map(|read| (read.number(), read.value["attempt"].as_u64())).collect::<BTreeMap<_, _>>();
    let sink = sink(kafka(&cluster));
    sink.write(&batch(1, 1, 1)).await.unwrap();
    sink.write(&batch(2, 1, 1).mark_repeated()).await.unwrap();
    // Given up in the middle, offered again, and then the next one.
    let begun = tokio::time::timeout(Duration::ZERO, sink.write(&batch(3, 1, 1))).await;
    assert!(begun.is_err());
    sink.write(&batch(3, 1, 1)).await.unwrap();
    sink.write(&batch(4, 1, 1)).await.unwrap();
    let found = attempts(read(&cluster, 4));
    assert_eq!(found, [(1, None), (2, Some(2)), (3, Some(2)), (4, None)].into());
}

#[tokio::test]
async fn a_write_that_is_given_up_leaves_the_next_one_alone() {
    let cluster = cluster();
    cluster.broker_round_trip_time(-1, Duration::from_millis(300)).unwrap();
    let sink = sink(kafka(&cluster).set("queue.buffering.max.messages", "100"));
    let given_up = tokio::time::timeout(Duration::from_millis(100), sink.write(&batch(1, 3000, 5))).await;
    assert!(given_up.is_err());
    sink.write(&batch(1, 300, 5)).await.unwrap();
    let found = read(&cluster, 300);
    let mut numbers: Vec<u128> = found.iter().map(Read::number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.starts_with(&(1..=300).collect::<Vec<_>>()));
}

#[tokio::test]
async fn closing_ends_the_producer_with_what_is_still_on_its_way() {
    let cluster = cluster();
    cluster.broker_down(-1).unwrap();
    let mut setup = Setup::new(Arc::new(Counts::new()));
    Box::new(kafka(&cluster)).install(&mut setup).unwrap();
    let (sink, service) = (setup.sinks.remove(0), setup.services.remove(0));
    assert_eq!(sink.name(), "kafka");
    let whole = batch(1, 30, 3);
    let close = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let started = Instant::now();
        service.close(Duration::from_secs(10)).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    };
    let (written, ()) = tokio::join!(sink.write(&whole), close);
    assert!(written.is_err_and(|error| error.is_retryable()));
    assert!(sink.write(&whole).await.unwrap_err().report().contains("closed"));
}

#[test]
fn settings_that_break_the_promise_are_refused_with_the_reason() {
    let refused = |key: &str, value: &str| KafkaSink::new(Kafka::new("127.0.0.1:1").set(key, value)).err().map(|error| error.to_string());
    for (key, value, reason) in [
        ("acks", "1", "broker that fails"),
        ("request.required.acks", "0", "broker that fails"),
        ("enable.idempotence", "false", "double"),
        ("delivery.report.only.error", "true", "report"),
        ("transactional.id", "x", "transactions"),
        ("delivery.timeout.ms", "0", "never tried again"),
        ("partitioner", "random", "one partition"),
        ("metadata.broker.list", "x:1", "brokers are given"),
        ("max.in.flight", "6", "librdkafka refuses"),
        ("no.such.setting", "1", "librdkafka refuses"),
    ] {
        let error = refused(key, value).unwrap_or_else(|| panic!("{key}={value} was taken"));
        assert!(error.contains(reason), "{key}={value}: {error}");
    }
    for (key, value) in [("acks", "-1"), ("acks", "all"), ("linger.ms", "5"), ("compression.codec", "lz4"), ("partitioner", "fnv1a")] {
        assert_eq!(refused(key, value), None, "{key}={value}");
    }
    assert!(KafkaSink::new(Kafka::new(" , ")).is_err());
    assert!(KafkaSink::new(Kafka::new("127.0.0.1:1").topics(Topics::default().others("a b"))).is_err());
    assert!(KafkaSink::new(Kafka::new("127.0.0.1:1").topics(Topics::default().others("monitor.dead-letters"))).is_err());
}
