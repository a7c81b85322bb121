//! Makes the topics: an explicit command, so that no topic has a broker's defaults by accident.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication},
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    metadata::Metadata,
};
use tokio::task;

use crate::config::{ConfigError, Kafka, Role};

/// How long brokers may take for one answer.
const WITHIN: Duration = Duration::from_secs(30);
/// When brokers that refuse connections are asked again.
const RETRY: Duration = Duration::from_millis(500);
/// Events are kept for a week, so that a database can be lost on a Friday and filled again.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
/// Dead letters wait for a person.
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// What a dead letter has more than its message: the headers that say where it came from and why.
const DEAD_LETTER_MORE: usize = 16 * 1024;
/// Kafka's own default.
const LARGEST_BATCH: usize = 1_048_588;

/// Why topics were not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The configuration cannot be used.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The brokers do not answer, or refuse.
    #[error("the brokers cannot be asked")]
    Brokers(#[source] KafkaError),
    /// A topic was refused.
    #[error("the topic {topic} was not created")]
    Refused {
        /// Its name.
        topic: String,
        /// Kafka's answer.
        source: RDKafkaErrorCode,
    },
    /// The task was stopped.
    #[error("the task that asks the brokers was stopped")]
    Stopped,
}

/// A topic that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// Its name.
    pub topic: String,
    /// It was there before, and nothing of it was changed.
    pub existed: bool,
    /// What is not as a new one would be, for people.
    pub differences: Vec<String>,
}

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.topic, if self.existed { "exists" } else { "created" })?;
        self.differences.iter().try_for_each(|difference| write!(f, "; {difference}"))
    }
}

/// Creates the topics of events with so many partitions, and that of dead letters with one.
///
/// Events are kept for 7 days, dead letters for 30; both are deleted by age only. With three replicas or more a write needs two of
/// them (`min.insync.replicas`), and a replica that misses some is never elected. Topics that exist stay as they are; what differs
/// is told. More partitions can be added to them with Kafka's own tools, but then keys move: copies of an event that are on both
/// sides of the change do not meet in one consumer any more.
pub async fn create_topics(kafka: &Kafka, partitions: u16, replication: u16) -> Result<Vec<Created>, CreateError> {
    kafka.topics.check()?;
    // Asked for its limits, and its settings are those that will be used.
    let producer = kafka.producer()?;
    let largest = producer.get("message.max.bytes").and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0).max(LARGEST_BATCH);
    let admin = kafka.connection.client(Role::Admin)?;
    let admin: AdminClient<Log> = admin.create_with_context(Log).map_err(ConfigError::settings)?;
    let admin = Arc::new(admin);
    let asked = admin.clone();
    let metadata = task::spawn_blocking(move || ask(&asked)).await;
    let metadata = metadata.map_err(|_| CreateError::Stopped)?.map_err(CreateError::Brokers)?;

    let events = kafka.topics.names().into_iter().map(|name| Wanted::new(name, partitions, replication, RETENTION, largest));
    let dead = Wanted::new(kafka.topics.dead_letter_topic(), 1, replication, DEAD_LETTER_RETENTION, largest + DEAD_LETTER_MORE);
    let mut wanted: Vec<Wanted> = events.chain([dead]).collect();
    for topic in metadata.topics() {
        if let Some(wanted) = wanted.iter_mut().find(|wanted| wanted.name == topic.name()) {
            wanted.found = Some((topic.partitions().len(), topic.partitions().first().map_or(0, |first| first.replicas().len())));
        }
    }
    let done = create_missing(&admin, &mut wanted).await;
    let described = match done {
        Ok(()) => describe(&admin, &wanted).await,
        Err(error) => Err(error),
    };
    // It waits for its thread.
    task::spawn_blocking(move || drop(admin)).await.map_err(|_| CreateError::Stopped)?;
    described
}

/// All topics there are: a question about one that is missing may create it. Brokers that have just been started are waited for.
fn ask(admin: &AdminClient<Log>) -> Result<Metadata, KafkaError> {
    let deadline = Instant::now() + WITHIN;
    loop {
        match admin.inner().fetch_metadata(None, deadline.saturating_duration_since(Instant::now())) {
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure)) if Instant::now() + RETRY < deadline => {
                thread::sleep(RETRY)
            }
            answer => return answer,
        }
    }
}

async fn create_missing(admin: &AdminClient<Log>, wanted: &mut [Wanted]) -> Result<(), CreateError> {
    let missing: Vec<NewTopic<'_>> = wanted.iter().filter(|wanted| wanted.found.is_none()).map(Wanted::to_new).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let options = AdminOptions::new().request_timeout(Some(WITHIN)).operation_timeout(Some(WITHIN));
    let answers = admin.create_topics(&missing, &options).await.map_err(CreateError::Brokers)?;
    for answer in answers {
        match answer {
            // Somebody else was faster: what it is like is not known.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => (),
            Err((topic, source)) => return Err(CreateError::Refused { topic, source }),
        }
    }
    Ok(())
}

/// Compares those that existed with what they should be like.
async fn describe(admin: &AdminClient<Log>, wanted: &[Wanted]) -> Result<Vec<Created>, CreateError> {
    let existing: Vec<ResourceSpecifier<'_>> =
        wanted.iter().filter(|wanted| wanted.found.is_some()).map(|wanted| ResourceSpecifier::Topic(&wanted.name)).collect();
    let mut settings: HashMap<String, ConfigResource> = HashMap::new();
    if !existing.is_empty() {
        let options = AdminOptions::new().request_timeout(Some(WITHIN));
        // Who may not read settings is not told of them.
        for resource in admin.describe_configs(&existing, &options).await.map_err(CreateError::Brokers)?.into_iter().flatten() {
            if let OwnedResourceSpecifier::Topic(name) = &resource.specifier {
                settings.insert(name.clone(), resource);
            }
        }
    }
    let created = |wanted: &Wanted| Created {
        topic: wanted.name.clone(),
        existed: wanted.found.is_some(),
        differences: wanted.differences(settings.get(&wanted.name)),
    };
    Ok(wanted.iter().map(created).collect())
}

/// What a topic should be like.
struct Wanted {
    name: String,
    partitions: u16,
    replication: u16,
    settings: Vec<Setting>,
    /// Partitions and replicas of the one that exists.
    found: Option<(usize, usize)>,
}

struct Setting {
    key: &'static str,
    value: String,
    /// More is as good.
    at_least: bool,
}

impl Wanted {
    fn new(name: &str, partitions: u16, replication: u16, retention: Duration, largest: usize) -> Wanted {
        let setting = |key, value: &dyn ToString, at_least| Setting { key, value: value.to_string(), at_least };
        let settings = vec![
            setting("cleanup.policy", &"delete", false),
            setting("retention.ms", &retention.as_millis(), true),
            setting("min.insync.replicas", &if replication > 2 { 2 } else { 1 }, true),
            setting("unclean.leader.election.enable", &false, false),
            setting("max.message.bytes", &largest, true),
        ];
        Wanted { name: name.to_owned(), partitions, replication, settings, found: None }
    }

    fn to_new(&self) -> NewTopic<'_> {
        let topic = NewTopic::new(&self.name, self.partitions.into(), TopicReplication::Fixed(self.replication.into()));
        self.settings.iter().fold(topic, |topic, setting| topic.set(setting.key, &setting.value))
    }

    fn differences(&self, settings: Option<&ConfigResource>) -> Vec<String> {
        let mut differences = Vec::new();
        if let Some((partitions, replicas)) = self.found {
            if partitions != usize::from(self.partitions) {
                differences.push(format!("it has {partitions} partitions instead of {}", self.partitions));
            }
            if replicas != usize::from(self.replication) {
                differences.push(format!("it has {replicas} replicas instead of {}", self.replication));
            }
        }
        for Setting { key, value, at_least } in &self.settings {
            let Some(found) = settings.and_then(|settings| settings.get(key)?.value.as_deref()) else { continue };
            // -1 is for ever.
            let more = || found.parse().is_ok_and(|found: i64| found == -1 || value.parse().is_ok_and(|wanted: i64| found >= wanted));
            if found != value && !(*at_least && more()) {
                differences.push(format!("{key} is {found} instead of {value}"));
            }
        }
        differences
    }
}

/// The administrator's log.
struct Log;

impl ClientContext for Log {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::producer::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka");
    }
}
