//! Reads events from the topics as a member of a consumer group and writes each of them once.
//!
//! # How an event is written once, whatever fails
//!
//! One consumer writes each partition. It takes contiguous messages as one chunk and
//!
//! 1. **records the bounds** of the chunk as metadata of the committed offset, which stays where it is ([`note`]). The group
//!    refuses that to a consumer that is no longer a member, so that one cannot begin to write.
//! 2. **writes** the events as one batch. The batch's id is made of topic, partition, bounds and content; a sink that remembers ids
//!    notices that it has written a batch before.
//! 3. **commits the offset** behind the chunk, together with the bounds of the next one.
//!
//! Whoever gets the partition after a crash between 1 and 3 finds the bounds, reads the same messages, forms the same batch under the same
//! id and marks it as repeated, before anything else ([`partition`]). Copies of one event that are in the topic more than once meet in
//! one partition and are found there ([`copies`]). What cannot be read or written goes to the topic of dead letters, with the reason, before
//! the offset moves on ([`dead_letters`]).
//!
//! A consumer that was stopped for a while (a suspended machine) proves that the partition still is its own before it goes on to write.
//!
//! # Threads
//!
//! One thread reads, commits and hands partitions over ([`group`]); each chunk is decoded and written in a task of the host's runtime
//! ([`writer`]). What is read and not written yet is bounded by pausing partitions, never by not asking Kafka for news. While much waits in
//! the topics, partitions take [`turns`].

mod chunk;
mod copies;
mod dead_letters;
mod form;
mod group;
mod note;
mod operate;
mod partition;
mod turns;
mod writer;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use monitor_core::{BoxError, Counts, Integration, Labelled, Pipeline, Processor, Receiver, Setup, Shutdown, Sink};
use rdkafka::ClientConfig;
use tokio::runtime::Handle;

use crate::config::{ConfigError, Connection, Role, Topics};
use dead_letters::DeadLetters;
use partition::Limits;

pub use operate::{DeadMessage, OperateError, Replayed};

/// Reads events from Kafka and writes them to the sinks of the integrations it is given.
///
/// ```
/// # use monitor_core::{BoxError, Integration, Setup};
/// # struct Database;
/// # impl Integration for Database {
/// #     fn name(&self) -> &'static str { "database" }
/// #     fn install(self: Box<Self>, setup: &mut Setup) -> Result<(), BoxError> {
/// #         setup.sinks.push(std::sync::Arc::new(monitor_core::testing::MemorySink::new("memory")));
/// #         Ok(())
/// #     }
/// # }
/// use monitor_core::{Each, enrich::Validity};
/// use monitor_sink_kafka::KafkaConsumer;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// # let mut setup = Setup::new(Default::default());
/// let consumer = KafkaConsumer::new("kafka-1:9092,kafka-2:9092")
///     .group("monitor")
///     .processor(Each(Validity::default()))
///     .integration(Database);
/// Box::new(consumer).install(&mut setup)?;
/// assert_eq!(setup.receivers.len(), 1);
/// # Ok(()) }
/// ```
///
/// Consumers of one group share the partitions of the topics. Start as many as are needed, up to the number of partitions.
#[must_use = "an integration does nothing until it is installed"]
pub struct KafkaConsumer {
    connection: Connection,
    topics: Topics,
    group: String,
    integrations: Vec<Box<dyn Integration>>,
    sinks: Vec<Arc<dyn Sink>>,
    processors: Vec<Arc<dyn Processor>>,
    limits: Limits,
    max_buffered_bytes: usize,
    concurrent_writes: usize,
    drain: Duration,
}

/// What all parts of a running consumer share.
pub(crate) struct Shared {
    config: Config,
    sinks: Vec<Arc<dyn Sink>>,
    dead_letters: DeadLetters,
    counts: Arc<Counts>,
    /// Whoever watches it sees what is written.
    pipeline: Pipeline,
    runtime: Handle,
}

struct Config {
    client: ClientConfig,
    topics: Vec<String>,
    processors: Vec<Arc<dyn Processor>>,
    limits: Limits,
    max_buffered_bytes: usize,
    concurrent_writes: usize,
    /// For how long writes may go on when their partition is given up.
    drain: Duration,
    /// For how long a commit proves that the partition is ours.
    lease: Duration,
    retry_min: Duration,
    retry_max: Duration,
}

impl KafkaConsumer {
    /// Brokers to begin with: `host:port`, several with commas between them.
    pub fn new(brokers: impl Into<String>) -> KafkaConsumer {
        KafkaConsumer {
            connection: Connection::new(brokers),
            topics: Topics::default(),
            group: "monitor".into(),
            integrations: Vec::new(),
            sinks: Vec::new(),
            processors: Vec::new(),
            limits: Limits { events: 50_000, bytes: 64 << 20, linger: Duration::from_secs(1) },
            max_buffered_bytes: 512 << 20,
            concurrent_writes: 4,
            drain: Duration::from_secs(5),
        }
    }

    /// The consumer group. Default: `monitor`. Two groups read everything, each for itself: give them different databases.
    pub fn group(mut self, group: impl Into<String>) -> KafkaConsumer {
        self.group = group.into();
        self
    }

    /// A setting of librdkafka, under any of its names; the last one wins. Those that would lose events or double them are refused when
    /// the integration is installed.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> KafkaConsumer {
        self.connection.set(key, value);
        self
    }

    /// The topics to read, as the producer has them.
    pub fn topics(mut self, topics: Topics) -> KafkaConsumer {
        self.topics = topics;
        self
    }

    /// Adds an integration, for example a database: its sinks get what is read, its store and services become the host's.
    pub fn integration(mut self, integration: impl Integration + 'static) -> KafkaConsumer {
        self.integrations.push(Box::new(integration));
        self
    }

    /// Adds a sink. Of several each gets everything, one after the other.
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> KafkaConsumer {
        self.sinks.push(sink);
        self
    }

    /// Adds a step between reading and writing; they run in this order.
    pub fn processor(mut self, processor: impl Processor + 'static) -> KafkaConsumer {
        self.processors.push(Arc::new(processor));
        self
    }

    /// Most events of one batch. Default: 50,000.
    pub fn batch_events(mut self, events: usize) -> KafkaConsumer {
        self.limits.events = events.max(1);
        self
    }

    /// Most bytes of messages in one batch. Default: 64 MiB; less while half of
    /// [`max_buffered_bytes`](KafkaConsumer::max_buffered_bytes) is used.
    pub fn batch_bytes(mut self, bytes: usize) -> KafkaConsumer {
        self.limits.bytes = bytes.max(1);
        self
    }

    /// How long a batch that is not full waits for more. Default: 1 s.
    pub fn linger(mut self, linger: Duration) -> KafkaConsumer {
        self.limits.linger = linger;
        self
    }

    /// About how many bytes of messages may wait to be written. Default: 512 MiB. Decoding takes about three times the bytes of
    /// each batch that is being written on top, and while much waits in the topics, as many written batches as are written at a time keep their
    /// memory for the next ones.
    pub fn max_buffered_bytes(mut self, bytes: usize) -> KafkaConsumer {
        self.max_buffered_bytes = bytes.max(1 << 20);
        self
    }

    /// Most batches that are written at the same time, each of another partition. Default: 4. More make smaller batches of the same load.
    /// While more waits in the topics than a batch holds, only so many of the partitions that are behind are read at a time, in turns.
    pub fn concurrent_writes(mut self, writes: usize) -> KafkaConsumer {
        self.concurrent_writes = writes.max(1);
        self
    }

    /// How long a partition that another consumer is to have may be held up by a write. Default: 5 s; it must be less than
    /// `session.timeout.ms`. A write that takes longer is done again by the other, which stores nothing twice.
    pub fn drain(mut self, drain: Duration) -> KafkaConsumer {
        self.drain = drain;
        self
    }
}

impl fmt::Debug for KafkaConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConsumer").field("connection", &self.connection).field("group", &self.group).finish_non_exhaustive()
    }
}

impl Integration for KafkaConsumer {
    fn name(&self) -> &'static str {
        "kafka-consumer"
    }

    fn install(self: Box<Self>, setup: &mut Setup) -> Result<(), BoxError> {
        self.topics.check()?;
        let mut client = self.connection.client(Role::Consumer)?;
        client.set("group.id", &self.group);
        let session = Duration::from_millis(client.get("session.timeout.ms").and_then(|value| value.trim().parse().ok()).unwrap_or(45_000));
        if self.drain >= session {
            return Err(ConfigError::Drain { drain: self.drain, session }.into());
        }
        // Bad settings are told now, not by a consumer that begins anew for ever.
        client.create_native_config().map_err(ConfigError::settings)?;
        let dead_letters = DeadLetters::new(&self.connection, self.topics.dead_letter_topic())?;

        let mut inner = Setup::new(Arc::clone(&setup.counts));
        for integration in self.integrations {
            integration.install(&mut inner)?;
        }
        setup.enrichers.extend(inner.enrichers);
        setup.receivers.extend(inner.receivers);
        setup.services.extend(inner.services);
        setup.store = inner.store.or_else(|| setup.store.take());
        let sinks: Vec<Arc<dyn Sink>> = self.sinks.into_iter().chain(inner.sinks).collect();
        if sinks.is_empty() {
            return Err(ConfigError::NoSink.into());
        }
        let config = Config {
            client,
            topics: self.topics.names().into_iter().map(str::to_owned).collect(),
            processors: self.processors,
            limits: self.limits,
            max_buffered_bytes: self.max_buffered_bytes,
            concurrent_writes: self.concurrent_writes,
            drain: self.drain,
            lease: session,
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(30),
        };
        setup.receivers.push(Box::new(Consumer { config, sinks, dead_letters }));
        Ok(())
    }
}

/// The receiver that [`KafkaConsumer`] installs.
struct Consumer {
    config: Config,
    sinks: Vec<Arc<dyn Sink>>,
    dead_letters: DeadLetters,
}

/// Ends the thread, also when its receiver is dropped.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Receiver for Consumer {
    async fn run(self: Box<Self>, pipeline: Pipeline, shutdown: Shutdown) -> Result<(), BoxError> {
        let Consumer { config, sinks, dead_letters } = *self;
        let counts = Arc::clone(pipeline.counts());
        let shared = Shared { config, sinks, dead_letters, counts, pipeline, runtime: Handle::current() };
        for lane in shared.sinks.iter().map(|sink| sink.name()).chain(["unreadable"]) {
            shared.counts.announce(Labelled::DeadLettered, lane);
        }
        shared.counts.announce(Labelled::Expired, "kafka");
        let stop = Stop(Arc::default());
        let mut ended = group::spawn(Arc::new(shared), Arc::clone(&stop.0))?;
        tokio::select! {
            () = shutdown => drop(stop),
            // It only ends when it is told to, or when its thread is gone.
            _ = &mut ended => return Err("the consumer's thread ended".into()),
        }
        // An error says that it has ended, too.
        let _ = ended.await;
        Ok(())
    }
}
