//! What operators ask for: reading again from a time on, looking at dead letters and putting them back.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use monitor_core::WriteError;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    config::ClientConfig,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
};
use tokio::{runtime::Handle, task};

use crate::{
    config::{ConfigError, Role},
    consumer::{
        KafkaConsumer,
        copies::PUT_BACK,
        dead_letters::{Forwarded, Forwarder, header, producer},
        note::{Again, Note},
    },
    record::{SCHEMA, decode, encode},
};

/// Longest wait for one answer of the brokers.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// The configuration cannot be used.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The brokers did not do what they were asked for.
    #[error("{doing} failed")]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: KafkaError,
    },
    /// Its members would go on from where they are.
    #[error("the group {0:?} has members: stop its consumers first")]
    Active(String),
    /// A dead letter was not put back; those before it were.
    #[error("a dead letter could not be put back")]
    Write(#[source] WriteError),
    /// The command's thread is gone.
    #[error("the command was interrupted")]
    Interrupted,
}

/// What became of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// From where it was to be read.
    pub before: Option<i64>,
    /// From where it is read now.
    pub now: i64,
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replayed { topic, partition, before, now } = self;
        match before {
            Some(before) => write!(f, "{topic}/{partition}: {now}, {} messages before {before}", before - now),
            None => write!(f, "{topic}/{partition}: {now}"),
        }
    }
}

/// A message that was put aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadMessage {
    /// Why.
    pub reason: String,
    /// The topic it came from.
    pub topic: String,
    /// The partition it came from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// When it was put aside, ms since the Unix epoch.
    pub time: i64,
    /// As it came.
    pub key: Vec<u8>,
    /// As it came.
    pub payload: Vec<u8>,
}

impl KafkaConsumer {
    /// Puts the group back, so that its consumers read again what was produced at `since` (ms since the Unix epoch; 0 for everything)
    /// and later: for example when the database lost its latest data. Events that are still there are looked up and not stored again;
    /// what a processor aggregated has no ids that could be looked up, and is counted again.
    ///
    /// The consumers of the group must be stopped. Partitions that are not as far as that are left where they are.
    pub async fn replay_since(&self, since: i64) -> Result<Vec<Replayed>, OperateError> {
        let client = self.client(&self.group)?;
        let group = self.group.clone();
        let topics: Vec<String> = self.topics.names().into_iter().map(str::to_owned).collect();
        blocking(move || replay_since(&client, &group, &topics, since)).await
    }

    /// The dead letters that have not been put back, oldest first within each partition, at most so many.
    pub async fn dead_letters(&self, at_most: usize) -> Result<Vec<DeadMessage>, OperateError> {
        let (client, topic) = (self.client(&self.dead_letter_group())?, self.topics.dead_letter_topic().to_owned());
        let read = move || {
            let mut letters = Vec::new();
            read_dead_letters(&client, &topic, at_most, |letter, _, _| {
                letters.push(letter);
                Ok(())
            })?;
            Ok(letters)
        };
        blocking(read).await
    }

    /// Puts dead letters back into the topics they came from, oldest first within each partition, and remembers that. Returns how many.
    ///
    /// For when the reason is gone: what still cannot be written becomes a dead letter again. Interrupted, it may put one back twice;
    /// events are stored once all the same.
    pub async fn replay_dead_letters(&self) -> Result<u64, OperateError> {
        let (client, topic) = (self.client(&self.dead_letter_group())?, self.topics.dead_letter_topic().to_owned());
        let forwarder = Forwarder::new(producer(&self.connection)?);
        let runtime = Handle::current();
        let topics: Vec<String> = self.topics.names().into_iter().map(str::to_owned).collect();
        let replay = move || {
            let mut count = 0;
            read_dead_letters(&client, &topic, usize::MAX, |letter, place, consumer| {
                if topics.contains(&letter.topic) {
                    runtime.block_on(put_back(&forwarder, &letter)).map_err(OperateError::Write)?;
                    count += 1;
                } else {
                    // Whoever can write dead letters must not be able to write anywhere else.
                    tracing::warn!(topic = letter.topic, offset = letter.offset, "a dead letter of another topic is passed over");
                }
                consumer.commit(place, CommitMode::Sync).map_err(failed("remembering what was put back"))
            })?;
            Ok(count)
        };
        blocking(replay).await
    }

    /// As a member of the group that is not subscribed to anything.
    fn client(&self, group: &str) -> Result<ClientConfig, ConfigError> {
        let mut client = self.connection.client(Role::Consumer)?;
        client.set("group.id", group);
        Ok(client)
    }

    /// Its committed offsets say what has been put back.
    fn dead_letter_group(&self) -> String {
        format!("{}.dead-letters", self.group)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, OperateError> + Send + 'static) -> Result<T, OperateError> {
    task::spawn_blocking(work).await.map_err(|_| OperateError::Interrupted)?
}

fn failed(doing: &'static str) -> impl FnOnce(KafkaError) -> OperateError {
    move |source| OperateError::Kafka { doing, source }
}

/// All partitions of these topics.
fn partitions(consumer: &BaseConsumer, topics: &[String]) -> Result<TopicPartitionList, OperateError> {
    let mut list = TopicPartitionList::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(failed("reading which partitions there are"))?;
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            list.add_partition(topic, partition.id());
        }
    }
    Ok(list)
}

fn replay_since(client: &ClientConfig, group: &str, topics: &[String], since: i64) -> Result<Vec<Replayed>, OperateError> {
    let consumer: BaseConsumer = client.create().map_err(failed("making a consumer"))?;
    let groups = consumer.fetch_group_list(Some(group), TIMEOUT).map_err(failed("asking who is in the group"))?;
    if groups.groups().iter().any(|group| !group.members().is_empty()) {
        return Err(OperateError::Active(group.to_owned()));
    }
    let list = partitions(&consumer, topics)?;
    let committed = consumer.committed_offsets(list.clone(), TIMEOUT).map_err(failed("reading the committed offsets"))?;
    let mut times = list;
    let since = if since <= 0 { Offset::Beginning } else { Offset::Offset(since) };
    times.set_all_offsets(since).map_err(failed("asking for offsets"))?;
    let found = consumer.offsets_for_times(times, TIMEOUT).map_err(failed("finding the offsets of that time"))?;

    let number = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
    let mut target = TopicPartitionList::new();
    let mut replayed = Vec::new();
    for element in committed.elements() {
        element.error().map_err(failed("reading the committed offsets"))?;
        let (topic, partition) = (element.topic(), element.partition());
        let Offset::Offset(before) = element.offset() else {
            replayed.push(Replayed { topic: topic.to_owned(), partition, before: None, now: 0 });
            continue;
        };
        // Without a message of that time or later there is no offset.
        let now = match found.find_partition(topic, partition).map(|element| element.offset()) {
            Some(Offset::Offset(offset)) => offset.min(before),
            _ => before,
        };
        replayed.push(Replayed { topic: topic.to_owned(), partition, before: Some(before), now });
        if now < before {
            // What may have been written already, a chunk that is open and an earlier replay included, is looked up.
            let note: Note = element.metadata().parse().unwrap_or_default();
            let below = [Some(before), note.open.map(|open| open + 1), note.again.map(|again| again.below)].into_iter().flatten().max();
            let mut element = target.add_partition(topic, partition);
            element.set_offset(Offset::Offset(now)).map_err(failed("choosing an offset"))?;
            element.set_metadata(Note { open: None, again: below.map(|below| Again { below, number }) }.to_string());
        }
    }
    if target.count() > 0 {
        consumer.commit(&target, CommitMode::Sync).map_err(|source| match source.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::IllegalGeneration | RDKafkaErrorCode::RebalanceInProgress) => {
                OperateError::Active(group.to_owned())
            }
            _ => failed("committing the offsets")(source),
        })?;
    }
    Ok(replayed)
}

/// Gives each dead letter that has not been put back, and the position behind it.
fn read_dead_letters(
    client: &ClientConfig,
    topic: &str,
    at_most: usize,
    mut each: impl FnMut(DeadMessage, &TopicPartitionList, &BaseConsumer) -> Result<(), OperateError>,
) -> Result<(), OperateError> {
    let consumer: BaseConsumer = client.create().map_err(failed("making a consumer"))?;
    let list = partitions(&consumer, &[topic.to_owned()])?;
    let committed = consumer.committed_offsets(list, TIMEOUT).map_err(failed("reading the committed offsets"))?;
    let mut left = at_most;
    for element in committed.elements() {
        let partition = element.partition();
        let (low, high) = consumer.fetch_watermarks(topic, partition, TIMEOUT).map_err(failed("finding the end of the topic"))?;
        let start = match element.offset() {
            Offset::Offset(offset) => offset.max(low),
            _ => low,
        };
        let mut position = TopicPartitionList::new();
        position.add_partition_offset(topic, partition, Offset::Offset(start)).map_err(failed("choosing an offset"))?;
        consumer.assign(&position).map_err(failed("reading the topic"))?;
        let mut next = start;
        while next < high && left > 0 {
            let message = match consumer.poll(TIMEOUT) {
                Some(message) => message.map_err(failed("reading the topic"))?,
                None => return Err(failed("reading the topic")(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))),
            };
            next = message.offset() + 1;
            left -= 1;
            let mut behind = TopicPartitionList::new();
            behind.add_partition_offset(topic, partition, Offset::Offset(next)).map_err(failed("choosing an offset"))?;
            each(dead_message(&message), &behind, &consumer)?;
        }
    }
    Ok(())
}

fn dead_message(message: &BorrowedMessage<'_>) -> DeadMessage {
    let text = |name: &str| {
        let found = message.headers().and_then(|headers| headers.iter().find(|header| header.key == name));
        found.and_then(|header| header.value).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    DeadMessage {
        reason: text(header::REASON),
        topic: text(header::TOPIC),
        partition: text(header::PARTITION).parse().unwrap_or(-1),
        offset: text(header::OFFSET).parse().unwrap_or(-1),
        time: text(header::TIME).parse().unwrap_or(0),
        key: message.key().unwrap_or_default().to_owned(),
        payload: message.payload().unwrap_or_default().to_owned(),
    }
}

/// To the partition it came from, where its copies are.
async fn put_back(forwarder: &Forwarder, letter: &DeadMessage) -> Result<(), WriteError> {
    let DeadMessage { topic, key, payload, .. } = letter;
    let partition = Some(letter.partition).filter(|partition| *partition >= 0);
    let Ok((mut origin, event)) = decode(payload) else {
        return forwarder.send(&[Forwarded { topic, partition, key, payload, headers: Vec::new() }]).await;
    };
    // The consumer has seen it and would take it for a copy.
    origin.attempt = PUT_BACK;
    let mut payload = Vec::with_capacity(payload.len() + 16);
    encode(&origin, &event, &mut payload);
    let headers = vec![
        ("project", origin.project.as_bytes()),
        ("kind", event.kind.as_str().as_bytes()),
        ("schema", SCHEMA.as_bytes()),
        ("content-type", b"application/json"),
    ];
    forwarder.send(&[Forwarded { topic, partition, key, payload: &payload, headers }]).await
}
