//! Writes batches to topics: every event is enqueued in order to an idempotent producer, and the write ends when every delivery
//! report is in.
//!
//! ```text
//! encode all ──► too large? refuse ──► enqueue each ──► all reports in ──► Ok, or the worst failure
//!                                        │   ▲
//!                                   queue full: wait until half of it is delivered
//! ```
//!
//! What is encoded is bounded by the lane's batch, what is enqueued by librdkafka's queue.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use monitor_core::{Batch, BatchId, Envelope, EventId, Service, Sink, WriteError};
use rdkafka::{
    ClientConfig,
    error::RDKafkaErrorCode,
    message::{Header, OwnedHeaders},
    producer::BaseRecord,
};
use tokio::task;

use crate::{
    classify::{NotDelivered, is_missing_topic},
    config::{ConfigError, Kafka, KeyStrategy, Topics},
    producer::{Flight, Producer},
    record::{SCHEMA, Shared, encode_with},
};

/// What a message has besides payload and key: its headers and the protocol's own bytes, with room for more of them.
const OVERHEAD: usize = 512;
/// Events that are encoded or enqueued before other tasks have a turn: about a millisecond.
const STRIDE: usize = 512;

/// Most bytes of memory that are kept between batches: those of a lane's batch, encoded.
const SPARE: usize = 32 << 20;

/// Writes events to Kafka. See [`Kafka`].
pub struct KafkaSink {
    client: ClientConfig,
    topics: Topics,
    key: KeyStrategy,
    /// Largest message, bytes.
    largest: usize,
    /// `None` when the sink was closed.
    producer: Mutex<Option<Arc<Producer>>>,
    /// Held while a batch is enqueued: one write at a time waits for room.
    turn: tokio::sync::Mutex<()>,
    /// The batch that was begun last and is not known to be written.
    begun: Mutex<Option<Begun>>,
    /// The memory of the last batch's messages: fresh memory costs as much as writing into it.
    spare: Mutex<Messages>,
}

/// A batch that was begun.
struct Begun {
    id: BatchId,
    /// Topics that have all of its messages: one that fails for long must not fill the others with copies.
    done: BTreeSet<String>,
}

/// An event does not fit into a message.
#[derive(Debug, thiserror::Error)]
#[error("the message of event {id} has {bytes} bytes, {largest} are allowed (message.max.bytes)")]
struct TooLarge {
    id: EventId,
    bytes: usize,
    largest: usize,
}

/// Nothing is written any more.
#[derive(Debug, thiserror::Error)]
#[error("the sink is closed")]
struct Closed;

impl KafkaSink {
    /// Starts a producer. It connects by itself, and this does not wait for it.
    pub fn new(kafka: Kafka) -> Result<KafkaSink, ConfigError> {
        kafka.topics.check()?;
        let client = kafka.producer()?;
        let number = |key: &str, default: usize| client.get(key).and_then(|value| value.trim().parse().ok()).unwrap_or(default);
        // A message that is larger than the whole queue would wait for room for ever.
        let largest = number("message.max.bytes", 1_000_000).min(number("queue.buffering.max.kbytes", 65_536).saturating_mul(1024));
        let producer = Producer::start(&client).map_err(ConfigError::settings)?;
        let producer = Mutex::new(Some(Arc::new(producer)));
        let turn = tokio::sync::Mutex::new(());
        Ok(KafkaSink {
            client,
            topics: kafka.topics,
            key: kafka.key,
            largest,
            producer,
            turn,
            begun: Mutex::new(None),
            spare: Mutex::default(),
        })
    }

    /// The producer; a new one when the one before cannot go on.
    fn producer(&self) -> Result<Arc<Producer>, WriteError> {
        let mut current = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(producer) = &mut *current else { return Err(WriteError::retryable(Closed)) };
        if producer.is_spent() {
            *producer = Arc::new(Producer::start(&self.client).map_err(WriteError::retryable)?);
        }
        Ok(producer.clone())
    }

    /// Whether this batch was begun before, without a known end, and the topics that have all of it.
    fn begin(&self, id: &BatchId) -> (bool, BTreeSet<String>) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        match &*begun {
            Some(before) if before.id == *id => (true, before.done.clone()),
            _ => {
                *begun = Some(Begun { id: id.clone(), done: BTreeSet::new() });
                (false, BTreeSet::new())
            }
        }
    }

    /// Every message of the batch, or nothing of it. Those that may be in the topic already say so: a consumer whose memory does not
    /// reach back so far looks them up.
    async fn encode(&self, batch: &Batch, repeated: bool) -> Result<Messages, WriteError> {
        let mut messages = std::mem::take(&mut *self.spare.lock().unwrap_or_else(PoisonError::into_inner));
        let Messages { bytes, ends } = &mut messages;
        let mut shared = Shared::default();
        for Envelope { origin, events } in batch.envelopes() {
            let mut declared;
            let mut origin = origin;
            if repeated && origin.attempt == 1 {
                declared = origin.clone();
                declared.attempt = 2;
                origin = &declared;
            }
            shared.set(origin);
            for event in events {
                let start = bytes.len();
                encode_with(origin, &shared, event, bytes);
                let payload = bytes.len();
                self.key.write(origin, event, bytes);
                let size = bytes.len() - start + OVERHEAD;
                if size > self.largest {
                    return Err(WriteError::rejected(TooLarge { id: event.id, bytes: size, largest: self.largest }));
                }
                ends.push((payload, bytes.len()));
                if ends.len() % STRIDE == 0 {
                    task::yield_now().await;
                }
            }
        }
        Ok(messages)
    }

    /// Keeps the memory for the next batch, unless it is unusually much.
    fn keep(&self, mut messages: Messages) {
        if messages.bytes.capacity() <= SPARE {
            messages.bytes.clear();
            messages.ends.clear();
            *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = messages;
        }
    }

    /// Hands all messages over, in order, but for those of topics that have theirs. Of a topic that takes one of them not, no more.
    async fn enqueue(&self, producer: &Producer, flight: &Arc<Flight>, batch: &Batch, messages: &Messages, done: &BTreeSet<String>) {
        let mut closed: Vec<&str> = done.iter().map(String::as_str).collect();
        let _turn = self.turn.lock().await;
        let mut start = 0;
        for (n, ((origin, event), &(payload, end))) in batch.events().zip(&messages.ends).enumerate() {
            if n % STRIDE == STRIDE - 1 {
                task::yield_now().await;
            }
            let (payload, key) =
                (messages.bytes.get(start..payload).unwrap_or_default(), messages.bytes.get(payload..end).unwrap_or_default());
            start = end;
            let topic = self.topics.topic(&event.kind);
            if closed.contains(&topic) {
                continue;
            }
            let header = |key, value| Header { key, value: Some(value) };
            let headers = OwnedHeaders::new_with_capacity(4)
                .insert(header("project", origin.project.as_str()))
                .insert(header("kind", event.kind.as_str()))
                .insert(header("schema", SCHEMA))
                .insert(header("content-type", "application/json"));
            let mut record = BaseRecord::with_opaque_to(topic, flight.clone()).payload(payload).key(key).headers(headers);
            flight.take_off();
            while let Err((error, given_back)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    flight.failed(NotDelivered::new(topic, &error));
                    flight.land();
                    closed.push(topic);
                    break;
                }
                record = given_back;
                producer.room().await;
            }
        }
    }
}

#[async_trait]
impl Sink for KafkaSink {
    fn name(&self) -> &'static str {
        "kafka"
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let (begun_before, done) = self.begin(batch.id());
        let messages = self.encode(batch, begun_before || batch.is_repeated()).await?;
        let producer = self.producer()?;
        let flight = Arc::new(Flight::default());
        flight.take_off();
        self.enqueue(&producer, &flight, batch, &messages, &done).await;
        self.keep(messages);
        flight.land();
        flight.all_landed().await;
        let Some(error) = flight.failure() else {
            self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
            return Ok(());
        };
        let failed = flight.failed_topics();
        if let Some(begun) = &mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner)
            && begun.id == *batch.id()
        {
            let topics: BTreeSet<&str> = batch.events().map(|(_, event)| self.topics.topic(&event.kind)).collect();
            begun.done.extend(topics.into_iter().filter(|topic| !failed.contains(*topic)).map(str::to_owned));
        }
        if is_missing_topic(error.source) {
            tracing::error!(
                topic = error.topic,
                "the topic does not exist; create it, for example with `create_topics`: events wait until then"
            );
            // It would believe that for minutes after the topic was created.
            producer.give_up();
        }
        if error.source == RDKafkaErrorCode::Fatal {
            producer.give_up();
        }
        Err(error.into())
    }
}

#[async_trait]
impl Service for KafkaSink {
    /// Whatever is not confirmed stays in the spool: messages that still wait are not sent any more.
    async fn close(&self, within: Duration) {
        let Some(producer) = self.producer.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if !producer.end(within).await {
            tracing::warn!("the Kafka producer did not end in time");
        }
    }
}

/// The encoded messages of a batch, one behind the other.
#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
    /// Where each payload ends, and the key behind it.
    ends: Vec<(usize, usize)>,
}
