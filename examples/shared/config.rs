//! The configuration that `kafka_pipeline` and `consumer` share: one TOML file, and the environment over it.
//!
//! `MONITOR__KAFKA__BROKERS=kafka-1:9092` stands for `brokers` in `[kafka]`, and so on for every value but the projects.
//! `examples/kafka.toml` has all of them with what they mean.

use std::{
    collections::BTreeMap,
    fmt::Display,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use monitor_kit::{
    Project,
    kafka::{ConfigError, Kafka, KeyStrategy, Partitioner, Topics},
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub http: Http,
    pub query: Query,
    pub spool: Spool,
    pub projects: Vec<ProjectEntry>,
    pub kafka: KafkaEntry,
    pub consumer: Consumer,
    pub clickhouse: ClickHouse,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    pub listen: SocketAddr,
    pub internal: SocketAddr,
    #[serde(deserialize_with = "words")]
    pub trusted_proxies: Vec<String>,
    /// 0 for no limit.
    pub requests_per_second_per_client: u32,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    pub listen: SocketAddr,
    pub internal: SocketAddr,
    pub token: Option<String>,
    /// Where browsers reach the receivers, for the DSNs that the dashboard shows.
    pub public_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spool {
    pub path: PathBuf,
    pub min_free_mib: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectEntry {
    pub id: String,
    pub key: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    #[serde(default)]
    pub max_events_per_second: Option<u32>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaEntry {
    pub brokers: String,
    pub key: String,
    pub partitioner: String,
    pub group: String,
    pub partitions: u16,
    pub replication: u16,
    pub topics: TopicNames,
    pub settings: Settings,
    pub producer: Settings,
    pub consumer: Settings,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct TopicNames {
    pub prefix: String,
    pub others: Option<String>,
    pub dead_letters: Option<String>,
    /// Kind to topic.
    pub routes: BTreeMap<String, String>,
}

/// librdkafka's settings. `"a.b" = 1` and `a.b = 1` are the same.
pub type Settings = BTreeMap<String, Value>;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Consumer {
    pub batch_events: usize,
    pub linger_ms: u64,
    /// Kinds.
    #[serde(deserialize_with = "words")]
    pub aggregate: Vec<String>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClickHouse {
    pub url: Option<String>,
    pub embedded: Option<PathBuf>,
    pub database: String,
    pub user: Option<String>,
    pub password: String,
    pub reader: Option<String>,
    pub reader_password: String,
}

impl Default for Http {
    fn default() -> Http {
        // The library's own limit, where the file says nothing.
        let requests_per_second_per_client = monitor_kit::http::Config::default().requests_per_second_per_client.unwrap_or(0);
        Http { listen: local(8080), internal: local(8082), trusted_proxies: Vec::new(), requests_per_second_per_client }
    }
}

impl Default for Query {
    fn default() -> Query {
        Query { listen: local(8090), internal: local(8092), token: None, public_url: None }
    }
}

impl Default for Spool {
    fn default() -> Spool {
        Spool { path: "data/kafka/spool".into(), min_free_mib: 512 }
    }
}

impl Default for KafkaEntry {
    fn default() -> KafkaEntry {
        KafkaEntry {
            brokers: "127.0.0.1:9092".into(),
            key: "session".into(),
            partitioner: "murmur2".into(),
            group: "monitor".into(),
            partitions: 12,
            replication: 1,
            topics: TopicNames::default(),
            settings: Settings::new(),
            producer: Settings::new(),
            consumer: Settings::new(),
        }
    }
}

impl Default for Consumer {
    fn default() -> Consumer {
        Consumer { batch_events: 50_000, linger_ms: 1_000, aggregate: Vec::new() }
    }
}

impl Default for ClickHouse {
    fn default() -> ClickHouse {
        ClickHouse {
            url: None,
            embedded: None,
            database: "monitor".into(),
            user: None,
            password: String::new(),
            reader: None,
            reader_password: String::new(),
        }
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A list, or a text with commas, as the environment has it.
fn words<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Words::deserialize(deserializer)? {
        Words::List(list) => list,
        Words::Text(text) => text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
    })
}

type Error = Box<dyn std::error::Error>;

impl Config {
    /// Reads the file, and the environment over it.
    pub fn load(file: &Path) -> Result<Config, Error> {
        // Values stay texts until a field asks for a number: a password such as 0012e3 is none.
        let environment = config::Environment::with_prefix("MONITOR").separator("__");
        let sources =
            config::Config::builder().add_source(config::File::from(file).format(config::FileFormat::Toml)).add_source(environment).build();
        Ok(sources.and_then(config::Config::try_deserialize).map_err(|error| format!("{}: {error}", file.display()))?)
    }

    /// The projects that may send.
    pub fn projects(&self) -> Vec<Project> {
        let project = |entry: &ProjectEntry| {
            let project = Project::new(&entry.id, &entry.key).name(entry.name.as_ref().unwrap_or(&entry.id));
            let project = match entry.max_events_per_second {
                Some(limit) => project.max_events_per_second(limit),
                None => project,
            };
            entry.allowed_origins.iter().fold(project, |project, origin| project.allow_origin(origin))
        };
        self.projects.iter().map(project).collect()
    }

    /// The sink of the receiver, and where `create-topics` finds the topics.
    pub fn kafka(&self) -> Result<Kafka, Error> {
        let key: KeyStrategy = self.kafka.key.parse().map_err(|error: ConfigError| error.to_string())?;
        let partitioner: Partitioner = self.kafka.partitioner.parse().map_err(|error: ConfigError| error.to_string())?;
        let kafka = Kafka::new(&self.kafka.brokers).topics(self.topics()?).key(key).partitioner(partitioner);
        let settings = flat([&self.kafka.settings, &self.kafka.producer]);
        Ok(settings.into_iter().fold(kafka, |kafka, (key, value)| kafka.set(key, value)))
    }

    /// Which kinds are in which topics.
    pub fn topics(&self) -> Result<Topics, Error> {
        let names = &self.kafka.topics;
        let mut topics = Topics::default().prefix(&names.prefix);
        if let Some(others) = &names.others {
            topics = topics.others(others);
        }
        if let Some(dead_letters) = &names.dead_letters {
            topics = topics.dead_letters(dead_letters);
        }
        for (kind, topic) in &names.routes {
            topics = topics.route(kind.parse().map_err(|error| format!("kafka.topics.routes: {kind:?} is {error}"))?, topic);
        }
        Ok(topics)
    }
}

/// Settings as librdkafka takes them, those of later lists last.
pub fn flat<const N: usize>(lists: [&Settings; N]) -> Vec<(String, String)> {
    fn add(key: String, value: &Value, settings: &mut Vec<(String, String)>) {
        let text: &dyn Display = match value {
            Value::Object(deeper) => return deeper.iter().for_each(|(name, value)| add(format!("{key}.{name}"), value, settings)),
            Value::String(text) => text,
            other => other,
        };
        settings.push((key, text.to_string()));
    }
    let mut settings = Vec::new();
    for (key, value) in lists.into_iter().flatten() {
        add(key.clone(), value, &mut settings);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_the_file_does_not_name_is_that_of_the_library() {
        let limit = monitor_kit::http::Config::default().requests_per_second_per_client;
        let per_project = Project::new("shop", "demo-key").max_events_per_second;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("short.toml");
        std::fs::write(&file, "[http]\n[[projects]]\nid = \"shop\"\nkey = \"demo-key\"\n").unwrap();
        // The second names them, as what they are without it.
        for file in [&file, Path::new("examples/kafka.toml")] {
            let config = Config::load(file).unwrap();
            assert_eq!(Some(config.http.requests_per_second_per_client), limit, "{}", file.display());
            assert_eq!(config.projects()[0].max_events_per_second, per_project, "{}", file.display());
        }
    }
}
