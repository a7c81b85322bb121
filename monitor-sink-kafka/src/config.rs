//! What a host says about its Kafka: brokers, librdkafka's settings, topics, keys.

use std::{fmt, str::FromStr, sync::Arc};

use monitor_core::{BoxError, Event, Integration, Kind, Origin, Setup};
use rdkafka::{ClientConfig, error::KafkaError};

use crate::sink::KafkaSink;

/// Sends every event to Kafka.
///
/// Installing it waits for nothing: brokers that are absent only delay delivery, events wait in the spool.
///
/// ```
/// use monitor_sink_kafka::{Kafka, KeyStrategy, Topics};
///
/// let kafka = Kafka::new("kafka-1:9092,kafka-2:9092")
///     .topics(Topics::default().prefix("acme."))
///     .key(KeyStrategy::Session)
///     .set("security.protocol", "sasl_plaintext")
///     .set("sasl.mechanism", "PLAIN")
///     .set("sasl.username", "monitor")
///     .set("sasl.password", "secret");
/// assert!(!format!("{kafka:?}").contains("secret"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "an integration does nothing until it is installed"]
pub struct Kafka {
    pub(crate) connection: Connection,
    pub(crate) topics: Topics,
    pub(crate) key: KeyStrategy,
    pub(crate) partitioner: Partitioner,
}

impl Kafka {
    /// Brokers to begin with: `host:port`, several with commas between them.
    pub fn new(brokers: impl Into<String>) -> Kafka {
        Kafka {
            connection: Connection::new(brokers),
            topics: Topics::default(),
            key: KeyStrategy::default(),
            partitioner: Partitioner::default(),
        }
    }

    /// A setting of librdkafka, under any of its names; the last one wins. Those that would break the promise (an event that was
    /// accepted is never lost) are refused when the integration is installed. Defaults that differ from librdkafka's: `acks=all`,
    /// `enable.idempotence=true`, `compression.type=zstd` at `compression.level=1`, `linger.ms=20`, `message.timeout.ms=120000`,
    /// `queue.buffering.max.kbytes=65536`.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Kafka {
        self.connection.set(key, value);
        self
    }

    /// Which kinds go to which topics.
    pub fn topics(mut self, topics: Topics) -> Kafka {
        self.topics = topics;
        self
    }

    /// What keeps events together, in one partition and in order. Default: the session.
    pub fn key(mut self, key: KeyStrategy) -> Kafka {
        self.key = key;
        self
    }

    /// How keys are spread over partitions. Default: as Java's producer does it.
    pub fn partitioner(mut self, partitioner: Partitioner) -> Kafka {
        self.partitioner = partitioner;
        self
    }

    /// The settings of its producer.
    pub(crate) fn producer(&self) -> Result<ClientConfig, ConfigError> {
        let mut client = self.connection.client(Role::Producer)?;
        if self.connection.get("partitioner").is_none() {
            client.set("partitioner", self.partitioner.setting());
        }
        Ok(client)
    }
}

impl Integration for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn install(self: Box<Self>, setup: &mut Setup) -> Result<(), BoxError> {
        let sink = Arc::new(KafkaSink::new(*self)?);
        setup.services.push(sink.clone());
        setup.sinks.push(sink);
        Ok(())
    }
}

/// Which topic a kind goes to. All names are without the [prefix](Topics::prefix).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
    routes: Vec<(Kind, String)>,
    others: String,
    dead_letters: String,
}

impl Default for Topics {
    fn default() -> Topics {
        use Kind::{BlankScreen, Console, Csp, Error, Longtask, Message, Navigation, Report, Request, Resource, Span, Vital};
        let errors = [Error, Message, Csp, Report, BlankScreen, Console];
        let performance = [Vital, Navigation, Resource, Request, Longtask, Span];
        let errors = errors.into_iter().map(|kind| (kind, "monitor.errors".to_owned()));
        let performance = performance.into_iter().map(|kind| (kind, "monitor.performance".to_owned()));
        Topics {
            prefix: String::new(),
            routes: errors.chain(performance).collect(),
            others: "monitor.behavior".into(),
            dead_letters: "monitor.dead-letters".into(),
        }
    }
}

impl Topics {
    /// Sends a kind to a topic of its own, or to another one.
    #[must_use]
    pub fn route(mut self, kind: Kind, topic: impl Into<String>) -> Topics {
        let topic = self.prefix.clone() + &topic.into();
        match self.routes.iter_mut().find(|(routed, _)| *routed == kind) {
            Some((_, routed)) => *routed = topic,
            None => self.routes.push((kind, topic)),
        }
        self
    }

    /// The topic of all kinds without a route, also of those that this version does not know. Default: `monitor.behavior`.
    #[must_use]
    pub fn others(mut self, topic: impl Into<String>) -> Topics {
        self.others = self.prefix.clone() + &topic.into();
        self
    }

    /// Where a consumer puts messages that it cannot read or write. Default: `monitor.dead-letters`.
    #[must_use]
    pub fn dead_letters(mut self, topic: impl Into<String>) -> Topics {
        self.dead_letters = self.prefix.clone() + &topic.into();
        self
    }

    /// Put before every name, also before those given later; replaces the one before. Default: none.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Topics {
        let old = std::mem::replace(&mut self.prefix, prefix.into());
        let names = self.routes.iter_mut().map(|(_, topic)| topic).chain([&mut self.others, &mut self.dead_letters]);
        for name in names {
            let bare = name.strip_prefix(&old).unwrap_or(name);
            *name = format!("{}{bare}", self.prefix);
        }
        self
    }

    /// The topic of a kind.
    pub fn topic(&self, kind: &Kind) -> &str {
        self.routes.iter().find(|(routed, _)| routed == kind).map_or(&self.others, |(_, topic)| topic)
    }

    /// The topic of dead letters.
    pub fn dead_letter_topic(&self) -> &str {
        &self.dead_letters
    }

    /// The topics that events are in, each once, without that of dead letters.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.routes.iter().map(|(_, topic)| topic.as_str()).chain([self.others.as_str()]).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Refuses names that Kafka does not have, and a topic with two meanings.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let names = self.names();
        for name in names.iter().copied().chain([self.dead_letters.as_str()]) {
            let character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            if !(1..=249).contains(&name.len()) || !name.bytes().all(character) || name == "." || name == ".." {
                return Err(ConfigError::Topic(name.to_owned()));
            }
        }
        // What is put back by hand would be read as an event, refused and put back again.
        if names.contains(&self.dead_letters.as_str()) {
            return Err(ConfigError::DeadLetters(self.dead_letters.clone()));
        }
        Ok(())
    }
}

/// What keeps events together: those with the same key are in one partition, in the order they were accepted.
///
/// Copies of one event must meet in one partition, so each of these depends on the event alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeyStrategy {
    /// The session; where there is none the visitor, then the page, then the event's id.
    #[default]
    Session,
    /// The signed-in user; where there is none the visitor, then as [`Session`](KeyStrategy::Session).
    User,
    /// The project. One partition takes all of its load.
    Project,
    /// The kind. One partition takes all of its load.
    Kind,
    /// The event's id: the most even spread, and no order.
    EventId,
}

impl KeyStrategy {
    /// Appends the event's key.
    pub(crate) fn write(self, origin: &Origin, event: &Event, key: &mut Vec<u8>) {
        let text = match self {
            KeyStrategy::Session => first([&origin.session, &origin.visitor, &origin.page.id]),
            KeyStrategy::User => first([&origin.user, &origin.visitor, &origin.session, &origin.page.id]),
            KeyStrategy::Project => &origin.project,
            KeyStrategy::Kind => event.kind.as_str(),
            KeyStrategy::EventId => "",
        };
        if text.is_empty() {
            crate::record::push_id(event.id, key);
        } else {
            key.extend_from_slice(text.as_bytes());
        }
    }

    const NAMES: [(&str, KeyStrategy); 5] = [
        ("session", KeyStrategy::Session),
        ("user", KeyStrategy::User),
        ("project", KeyStrategy::Project),
        ("kind", KeyStrategy::Kind),
        ("event_id", KeyStrategy::EventId),
    ];
}

fn first<const N: usize>(texts: [&String; N]) -> &str {
    texts.into_iter().find(|text| !text.is_empty()).map_or("", String::as_str)
}

impl FromStr for KeyStrategy {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<KeyStrategy, ConfigError> {
        let found = KeyStrategy::NAMES.iter().find(|(name, _)| *name == text);
        let unknown = || ConfigError::Word { what: "key", found: text.to_owned(), expected: "session, user, project, kind or event_id" };
        found.map(|(_, strategy)| *strategy).ok_or_else(unknown)
    }
}

/// How keys are spread over the partitions of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Partitioner {
    /// As Java's own producer, so that keys land where Kafka's tools and stream engines expect them.
    #[default]
    Murmur2,
    /// CRC-32, as librdkafka and its bindings do it unless told otherwise.
    Crc32,
}

impl Partitioner {
    /// librdkafka's word for it.
    fn setting(self) -> &'static str {
        match self {
            Partitioner::Murmur2 => "murmur2_random",
            Partitioner::Crc32 => "consistent_random",
        }
    }
}

impl FromStr for Partitioner {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Partitioner, ConfigError> {
        match text {
            "murmur2" => Ok(Partitioner::Murmur2),
            "crc32" => Ok(Partitioner::Crc32),
            _ => Err(ConfigError::Word { what: "partitioner", found: text.to_owned(), expected: "murmur2 or crc32" }),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No brokers were named.
    #[error("name at least one broker: host:9092")]
    NoBrokers,
    /// A setting that would break the promise.
    #[error("the setting {key}={value} is refused: {reason}")]
    Refused {
        /// librdkafka's name of it.
        key: String,
        /// What it was to be.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// Another name than Kafka allows.
    #[error("{0:?} is not the name of a topic: 1 to 249 characters of a-z, A-Z, 0-9, ., _ and -")]
    Topic(String),
    /// Events and dead letters in one topic.
    #[error("events cannot go to {0:?}, it is the topic of dead letters")]
    DeadLetters(String),
    /// A word that is none of those expected.
    #[error("unknown {what} {found:?}: {expected} is expected")]
    Word {
        /// What it names.
        what: &'static str,
        /// What was given.
        found: String,
        /// What can be given.
        expected: &'static str,
    },
    /// A consumer without a sink.
    #[error("nothing takes what the consumer reads: add an integration that brings a sink")]
    NoSink,
    /// Giving a partition up would take longer than the group waits.
    #[error("writes may hold a partition up for {drain:?}, but session.timeout.ms is {session:?}")]
    Drain {
        /// What was configured.
        drain: std::time::Duration,
        /// It must be less than this.
        session: std::time::Duration,
    },
    /// librdkafka refuses the settings.
    #[error("librdkafka refuses its settings")]
    Settings(#[source] KafkaError),
}

impl ConfigError {
    /// librdkafka's error without the value: that of a misspelt setting may be a password.
    pub(crate) fn settings(error: KafkaError) -> ConfigError {
        ConfigError::Settings(match error {
            KafkaError::ClientConfig(result, text, key, _) => {
                // Its other texts quote no value, or one that it knows.
                let quotes = text.starts_with("Invalid value");
                let text = if quotes { "Invalid value for configuration property".into() } else { text };
                KafkaError::ClientConfig(result, text, key, "…".into())
            }
            KafkaError::Nul(_) => KafkaError::ClientCreation("a setting has a NUL character".into()),
            other => other,
        })
    }
}

/// What a client is for: it decides which settings keep the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Writes events, or dead letters.
    Producer,
    /// Reads events.
    Consumer,
    /// Makes and describes topics.
    Admin,
}

/// Where the brokers are and how to talk to them. Printing it tells which settings there are, not their values: some are secrets.
#[derive(Clone)]
pub(crate) struct Connection {
    brokers: String,
    /// In the order they were given; keys by librdkafka's first name for them, each once.
    settings: Vec<(String, String)>,
}

/// Names that mean the same: librdkafka would take one of two at random.
const ALIASES: &[(&str, &str)] = &[
    ("metadata.broker.list", "bootstrap.servers"),
    ("request.required.acks", "acks"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("message.send.max.retries", "retries"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
];

const PRODUCER: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("compression.type", "zstd"),
    // Events of one batch are alike: higher levels take longer and save next to nothing.
    ("compression.level", "1"),
    ("linger.ms", "20"),
    ("message.timeout.ms", "120000"),
    ("queue.buffering.max.kbytes", "65536"),
];

const CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("check.crcs", "true"),
    // What is read ahead; the consumer itself holds chunks of many messages.
    ("queued.max.messages.kbytes", "32768"),
    // When so much is read ahead, librdkafka looks again after this time: by default a second, of which most is spent idle.
    ("fetch.queue.backoff.ms", "10"),
    // For the lag among the metrics.
    ("statistics.interval.ms", "5000"),
];

/// A setting and the values it may have; an empty list refuses all of them.
struct Rule {
    key: &'static str,
    allowed: &'static [&'static str],
    reason: &'static str,
}

const BOTH_RULES: &[Rule] = &[Rule { key: "bootstrap.servers", allowed: &[], reason: "the brokers are given when the client is made" }];

const PRODUCER_RULES: &[Rule] = &[
    Rule { key: "acks", allowed: &["all", "-1"], reason: "with fewer copies a broker that fails takes accepted events with it" },
    Rule { key: "enable.idempotence", allowed: &["true"], reason: "without it retries double events and change their order" },
    Rule { key: "delivery.report.only.error", allowed: &["false"], reason: "without a report it is not known that an event is safe" },
    Rule { key: "transactional.id", allowed: &[], reason: "the sink uses no transactions, and such a producer waits for one" },
    Rule {
        key: "partitioner",
        allowed: &["murmur2", "murmur2_random", "consistent", "consistent_random", "fnv1a", "fnv1a_random"],
        reason: "events of one key must be in one partition",
    },
];

const CONSUMER_RULES: &[Rule] = &[
    Rule {
        key: "enable.auto.commit",
        allowed: &["false"],
        reason: "offsets are committed when their events are written, not by the clock",
    },
    Rule {
        key: "enable.auto.offset.store",
        allowed: &["false"],
        reason: "an offset counts when its event is written, not when it is read",
    },
    Rule {
        key: "auto.offset.reset",
        allowed: &["earliest", "smallest", "beginning"],
        reason: "events would be skipped, or reading would stop where the retention has deleted some",
    },
    Rule {
        key: "partition.assignment.strategy",
        allowed: &["cooperative-sticky"],
        reason: "the consumer hands partitions over one by one",
    },
];

impl Connection {
    pub(crate) fn new(brokers: impl Into<String>) -> Connection {
        Connection { brokers: brokers.into(), settings: Vec::new() }
    }

    pub(crate) fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let key = key.into();
        let key = ALIASES.iter().find(|(alias, _)| *alias == key).map_or(key, |(_, name)| (*name).to_owned());
        self.settings.retain(|(set, _)| *set != key);
        self.settings.push((key, value.into()));
    }

    /// How to reach the brokers, without what is for reading or writing only.
    pub(crate) fn without_tuning(&self) -> Connection {
        const KEPT: &[&str] =
            &["security.", "sasl.", "ssl.", "enable.ssl", "socket.", "broker.", "client.", "metadata.", "message.max.bytes"];
        let kept = self.settings.iter().filter(|(key, _)| KEPT.iter().any(|prefix| key.starts_with(prefix)));
        Connection { brokers: self.brokers.clone(), settings: kept.cloned().collect() }
    }

    /// The value that was given for a setting, by librdkafka's first name for it.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(set, _)| set == key).map(|(_, value)| value.as_str())
    }

    /// Refuses what would break the promise.
    pub(crate) fn check(&self, role: Role) -> Result<(), ConfigError> {
        if self.brokers.split(',').all(|broker| broker.trim().is_empty()) {
            return Err(ConfigError::NoBrokers);
        }
        let rules = match role {
            Role::Producer => PRODUCER_RULES,
            Role::Consumer => CONSUMER_RULES,
            Role::Admin => &[],
        };
        let refused = |key: &str, value: &str, reason| Err(ConfigError::Refused { key: key.to_owned(), value: value.to_owned(), reason });
        for rule in BOTH_RULES.iter().chain(rules) {
            if let Some(value) = self.get(rule.key)
                && !rule.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(value))
            {
                return refused(rule.key, value, rule.reason);
            }
        }
        // 0 is for ever: the batch would never be tried with another producer.
        if role == Role::Producer && self.get("message.timeout.ms").is_some_and(|value| value.trim().parse() == Ok(0)) {
            return refused("message.timeout.ms", "0", "a batch that waits for ever is never tried again");
        }
        Ok(())
    }

    /// All settings of a client: the defaults of its role, then what was given.
    pub(crate) fn client(&self, role: Role) -> Result<ClientConfig, ConfigError> {
        self.check(role)?;
        let defaults = match role {
            Role::Producer => PRODUCER,
            Role::Consumer => CONSUMER,
            Role::Admin => &[],
        };
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers).set("client.id", "monitor-kit");
        // Another type has other levels.
        let other_type = self.get("compression.type").is_some_and(|name| name != "zstd");
        for (key, value) in defaults.iter().filter(|(key, _)| !(other_type && *key == "compression.level")) {
            client.set(*key, *value);
        }
        for (key, value) in &self.settings {
            client.set(key, value);
        }
        // Whoever makes the client would be told the value as well.
        client.create_native_config().map_err(ConfigError::settings)?;
        Ok(client)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings.iter().map(|(key, _)| key);
        f.debug_struct("Connection").field("brokers", &self.brokers).field("settings", &settings.collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_settings_are_not_printed() {
        let mut connection = Connection::new("kafka:9092");
        for key in ["sasl.password", "sasl.pasword", "ssl.key.pem", "sasl.oauthbearer.config"] {
            connection.set(key, "hush");
        }
        let text = format!("{connection:?}");
        assert!(!text.contains("hush") && text.contains("sasl.pasword") && text.contains("kafka:9092"), "{text}");
    }

    #[test]
    fn a_setting_that_is_refused_is_named_without_its_value() {
        // Unknown, none of some words, one word too many of a list, not a number, and no text of C's.
        let wrong = [
            ("sasl.pasword", "hush"),
            ("sasl.mechanism", " hush,PLAIN"),
            ("security.protocol", "hush"),
            ("debug", "broker,hush"),
            ("retries", "hush"),
            ("client.rack", "hush\0"),
        ];
        for (key, value) in wrong {
            let mut connection = Connection::new("kafka:9092");
            connection.set(key, value);
            for role in [Role::Producer, Role::Consumer, Role::Admin] {
                let error = connection.client(role).unwrap_err();
                let cause = std::error::Error::source(&error).unwrap().to_string();
                let bytes = format!("{:?}", b"hush").replace(['[', ']'], "");
                let text = format!("{error} {error:?} {cause}");
                assert!(!text.contains("hush") && !text.contains(&bytes), "{text}");
                assert!(cause.contains(key) || value.contains('\0'), "{cause}");
            }
        }
        // What else it says is worth reading.
        let mut connection = Connection::new("kafka:9092");
        connection.set("linger.ms", "-5");
        let cause = std::error::Error::source(&connection.client(Role::Producer).unwrap_err()).unwrap().to_string();
        assert!(cause.contains("allowed range"), "{cause}");
    }

    #[test]
    fn every_kind_has_a_topic_and_a_prefix_is_put_before_all() {
        let topics = Topics::default().route(Kind::Span, "traces").prefix("old.").prefix("acme.").others("rest").dead_letters("dead");
        for kind in Kind::KNOWN {
            assert!(topics.names().contains(&topics.topic(kind)), "{kind}");
        }
        assert_eq!(topics.topic(&Kind::Span), "acme.traces");
        assert_eq!(topics.topic(&Kind::Error), "acme.monitor.errors");
        assert_eq!(topics.topic(&Kind::Other("new".into())), "acme.rest");
        assert_eq!(topics.dead_letter_topic(), "acme.dead");
        assert_eq!(topics.names(), ["acme.monitor.errors", "acme.monitor.performance", "acme.rest", "acme.traces"]);
        assert_eq!(Topics::default().names(), ["monitor.behavior", "monitor.errors", "monitor.performance"]);
    }

    #[test]
    fn of_two_names_for_a_setting_the_last_one_given_counts() {
        let mut connection = Connection::new("kafka:9092");
        connection.set("queue.buffering.max.ms", "1");
        connection.set("linger.ms", "2");
        connection.set("delivery.timeout.ms", "3");
        let client = connection.client(Role::Producer).unwrap();
        assert_eq!((client.get("linger.ms"), client.get("queue.buffering.max.ms")), (Some("2"), None));
        assert_eq!((client.get("message.timeout.ms"), client.get("acks")), (Some("3"), Some("all")));
    }

    #[test]
    fn the_level_of_compression_is_that_of_our_own_type_only() {
        let level = |settings: &[(&str, &str)]| {
            let mut connection = Connection::new("kafka:9092");
            settings.iter().for_each(|(key, value)| connection.set(*key, *value));
            connection.client(Role::Producer).unwrap().get("compression.level").map(str::to_owned)
        };
        assert_eq!(level(&[]).as_deref(), Some("1"));
        assert_eq!(level(&[("compression.type", "zstd")]).as_deref(), Some("1"));
        assert_eq!(level(&[("compression.codec", "gzip")]), None);
        assert_eq!(level(&[("compression.type", "gzip"), ("compression.level", "6")]).as_deref(), Some("6"));
    }

    #[test]
    fn a_consumer_that_could_skip_events_is_refused() {
        for (key, value) in [
            ("enable.auto.commit", "true"),
            ("enable.auto.offset.store", "true"),
            ("auto.offset.reset", "latest"),
            ("partition.assignment.strategy", "range"),
        ] {
            let mut connection = Connection::new("kafka:9092");
            connection.set(key, value);
            assert!(matches!(connection.check(Role::Consumer), Err(ConfigError::Refused { .. })), "{key}");
            assert!(connection.check(Role::Producer).is_ok(), "{key} says nothing about a producer");
        }
        assert!(Connection::new("kafka:9092").client(Role::Consumer).is_ok());
    }

    #[test]
    fn words_of_a_configuration_are_read() {
        assert_eq!("event_id".parse::<KeyStrategy>().unwrap(), KeyStrategy::EventId);
        assert_eq!("crc32".parse::<Partitioner>().unwrap(), Partitioner::Crc32);
        let error = "sesion".parse::<KeyStrategy>().unwrap_err().to_string();
        assert_eq!(error, "unknown key \"sesion\": session, user, project, kind or event_id is expected");
    }
}
