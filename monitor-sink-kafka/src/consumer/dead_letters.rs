//! Messages that hold no event, and events that a sink refuses: kept in a topic of their own, as they came, with the reason.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use monitor_core::WriteError;
use rdkafka::{
    ClientConfig,
    error::RDKafkaErrorCode,
    message::{Header, OwnedHeaders},
    producer::BaseRecord,
};

use crate::{
    classify::NotDelivered,
    config::{ConfigError, Connection, Role},
    consumer::chunk::Raw,
    producer::{Flight, Producer},
};

/// Headers of a dead letter.
pub(crate) mod header {
    /// Why it is dead.
    pub(crate) const REASON: &str = "dlq.reason";
    /// The topic it came from.
    pub(crate) const TOPIC: &str = "dlq.topic";
    /// The partition it came from.
    pub(crate) const PARTITION: &str = "dlq.partition";
    /// Its offset there.
    pub(crate) const OFFSET: &str = "dlq.offset";
    /// How many bytes it had, when the broker takes no message as large as that.
    pub(crate) const BYTES: &str = "dlq.bytes";
    /// When it was put aside, ms since the Unix epoch.
    pub(crate) const TIME: &str = "dlq.time";
}

/// Bytes that are left of a message that is too large for the topic of dead letters; no event is as large as that.
const CUT: usize = 512 << 10;
/// Most characters of a reason.
const REASON: usize = 2_000;

/// A message as it came, and why it is dead.
pub(crate) struct DeadLetter {
    key: Vec<u8>,
    payload: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

impl DeadLetter {
    pub(crate) fn new(topic: &str, partition: i32, raw: Raw<'_>, reason: &str) -> DeadLetter {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let headers = vec![
            (header::REASON, reason.chars().take(REASON).collect()),
            (header::TOPIC, topic.to_owned()),
            (header::PARTITION, partition.to_string()),
            (header::OFFSET, raw.offset.to_string()),
            (header::TIME, now.to_string()),
        ];
        DeadLetter { key: raw.key.to_owned(), payload: raw.payload.to_owned(), headers }
    }

    /// Leaves the beginning of one that is larger than any event, because the broker does not take all of it.
    pub(crate) fn cut(&mut self) {
        if self.payload.len() > CUT {
            self.headers.push((header::BYTES, self.payload.len().to_string()));
            self.payload.truncate(CUT);
        }
    }
}

/// Produces messages as they are: dead letters, and those that are put back. The producer is made for the first one, since
/// most processes never need it.
pub(crate) struct Forwarder {
    client: ClientConfig,
    producer: Mutex<Option<Arc<Producer>>>,
    /// Held while messages are enqueued: one at a time waits for room.
    turn: tokio::sync::Mutex<()>,
}

/// A message that is passed on.
pub(crate) struct Forwarded<'a> {
    pub(crate) topic: &'a str,
    /// `None`: as the key says.
    pub(crate) partition: Option<i32>,
    pub(crate) key: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) headers: Vec<(&'a str, &'a [u8])>,
}

impl Forwarder {
    pub(crate) fn new(client: ClientConfig) -> Forwarder {
        Forwarder { client, producer: Mutex::new(None), turn: tokio::sync::Mutex::new(()) }
    }

    fn producer(&self) -> Result<Arc<Producer>, WriteError> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = &*producer {
            return Ok(Arc::clone(producer));
        }
        let made = Arc::new(Producer::start(&self.client).map_err(WriteError::retryable)?);
        Ok(Arc::clone(producer.insert(made)))
    }

    /// Returns when all of them are safe. After an error some may be; the next attempt begins with a new producer.
    pub(crate) async fn send(&self, messages: &[Forwarded<'_>]) -> Result<(), WriteError> {
        let producer = self.producer()?;
        let flight = Arc::new(Flight::default());
        let turn = self.turn.lock().await;
        for Forwarded { topic, partition, key, payload, headers } in messages {
            let list = headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |list, (key, value)| {
                list.insert(Header { key, value: Some(*value) })
            });
            let mut record = BaseRecord::with_opaque_to(topic, Arc::clone(&flight)).key(*key).payload(*payload).headers(list);
            record.partition = *partition;
            flight.take_off();
            while let Err((source, given_back)) = producer.send(record) {
                if source.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    flight.failed(NotDelivered::new(topic, &source));
                    flight.land();
                    break;
                }
                record = given_back;
                producer.room().await;
            }
        }
        drop(turn);
        flight.all_landed().await;
        match flight.failure() {
            None => Ok(()),
            Some(error) => {
                self.producer.lock().unwrap_or_else(PoisonError::into_inner).take();
                Err(error.into())
            }
        }
    }
}

/// For messages as large as they came, whoever produced them: what a broker takes is told by its answer.
pub(crate) fn producer(connection: &Connection) -> Result<ClientConfig, ConfigError> {
    let mut client = connection.without_tuning().client(Role::Producer)?;
    client.set("message.max.bytes", "1000000000").set("queue.buffering.max.kbytes", "2097151");
    Ok(client)
}

/// Puts dead letters into their topic.
pub(crate) struct DeadLetters {
    forwarder: Forwarder,
    topic: String,
}

impl DeadLetters {
    pub(crate) fn new(connection: &Connection, topic: &str) -> Result<DeadLetters, ConfigError> {
        Ok(DeadLetters { forwarder: Forwarder::new(producer(connection)?), topic: topic.to_owned() })
    }

    /// Returns when all of them are safe.
    pub(crate) async fn send(&self, letters: &[DeadLetter]) -> Result<(), WriteError> {
        let mut forwarded = Vec::with_capacity(letters.len());
        for DeadLetter { key, payload, headers } in letters {
            let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            forwarded.push(Forwarded { topic: &self.topic, partition: None, key, payload, headers });
        }
        self.forwarder.send(&forwarded).await
    }
}
