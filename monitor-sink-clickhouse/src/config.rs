//! What a host says about its ClickHouse.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use monitor_core::{BoxError, Counts, FOR_EVER, Integration, Service, Setup};
use url::Url;

use crate::{
    clustered::{self, Cluster},
    connection::{Connection, Embedded, Endpoint},
    embedded::{EmbeddedEngine, EmbeddedEngineBuilder},
    query::ClickHouseStore,
    rollup::{Rollups, service::Background},
    schema::Schema,
    sink::ClickHouseSink,
};

/// Stores events in ClickHouse and answers questions about them.
///
/// Installing it waits for nothing: the database and its tables are made before the first write or question, and a
/// server that is absent only delays delivery.
///
/// ```
/// use monitor_sink_clickhouse::ClickHouse;
///
/// let clickhouse = ClickHouse::new("http://localhost:8123").database("monitor").user("writer", "secret").retention_days(30);
/// assert!(!format!("{clickhouse:?}").contains("secret"));
/// ```
#[derive(Debug)]
#[must_use = "an integration does nothing until it is installed"]
pub struct ClickHouse {
    place: Place,
    options: Options,
}

enum Place {
    Url(String),
    Embedded(EmbeddedEngineBuilder),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // One that is refused may hold a password.
            Place::Url(url) => f.debug_tuple("Url").field(check_url(url).as_ref().map_or(&"(refused)", |()| url)).finish(),
            Place::Embedded(builder) => f.debug_tuple("Embedded").field(builder).finish(),
        }
    }
}

/// Everything but the place.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) database: String,
    pub(crate) user: Option<(String, Secret)>,
    pub(crate) reader: Option<(String, Secret)>,
    pub(crate) compress: bool,
    pub(crate) fsync: bool,
    pub(crate) retention_days: u32,
    pub(crate) project_retention: BTreeMap<String, u32>,
    pub(crate) rollups: bool,
    pub(crate) rollup_retention_days: u32,
    pub(crate) send_timeout: Duration,
    pub(crate) insert_timeout: Duration,
    pub(crate) query_timeout: Duration,
    pub(crate) max_rows_to_read: u64,
    pub(crate) max_result_bytes: u64,
    pub(crate) max_query_memory: u64,
    pub(crate) quick_scan: u64,
}

/// A password that does not show in logs.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

/// The configuration cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not the URL of an HTTP interface.
    #[error("the URL must begin with http:// or https:// and name a host, and a port if it is another than 80 or 443")]
    Url,
    /// The URL says who asks: such credentials would not be sent.
    #[error("the URL must not name a user or a password: give them with `user` and `reader`")]
    UrlUser,
    /// The URL has a query or a fragment.
    #[error("the URL must end before any ? or #: there is a method for each setting")]
    UrlQuery,
    /// The URL needs a feature of this crate that is switched off.
    #[error("https:// URLs need the feature `tls` of monitor-sink-clickhouse, which is `clickhouse-tls` of monitor-kit")]
    Tls,
    /// The name would need quoting somewhere.
    #[error("the database name {0:?} must be 1 to 64 letters, digits and underscores and not begin with a digit")]
    Database(String),
    /// No project has such a name.
    #[error("the project {0:?} must be made of letters, digits, '_' and '-'")]
    Project(String),
    /// A name of a cluster, storage policy or volume would need quoting.
    #[error("the name {0:?} must be made of letters, digits, '_' and '-'")]
    Cluster(String),
}

impl ClickHouse {
    /// A server somebody runs, by the URL of its HTTP interface: `http://localhost:8123`.
    /// `https://` needs the feature `tls`. Who asks is said by [`user`](ClickHouse::user), not in the URL.
    pub fn new(url: impl Into<String>) -> ClickHouse {
        ClickHouse { place: Place::Url(url.into()), options: Options::default() }
    }

    /// ClickHouse as a part of this process: an engine in a helper process, with its data in a directory of its own. It
    /// starts when the integration is installed, and is closed with the monitor. See [`embedded`](crate::embedded).
    pub fn embedded(data: impl Into<PathBuf>) -> ClickHouse {
        ClickHouse::engine(EmbeddedEngine::builder(data))
    }

    /// Like [`embedded`](ClickHouse::embedded), with limits and places of the engine chosen.
    pub fn engine(engine: EmbeddedEngineBuilder) -> ClickHouse {
        ClickHouse { place: Place::Embedded(engine), options: Options::default() }
    }

    /// The database that holds the tables. Default: `monitor`. It is made when it does not exist.
    pub fn database(mut self, name: impl Into<String>) -> ClickHouse {
        self.options.database = name.into();
        self
    }

    /// Who writes (and reads, unless there is a [`reader`](ClickHouse::reader)). Default: the server's `default` user.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> ClickHouse {
        self.options.user = Some((name.into(), Secret::new(password)));
        self
    }

    /// Who answers questions, if not the writer. Such a user should be read-only and see `events`, `issue_states` and the `rollup_…` tables alone; its
    /// limits (`max_execution_time`, `max_rows_to_read`, `max_result_bytes` …) belong into its profile on the server,
    /// because a read-only user cannot set any. Default: the writer, with `readonly` and the limits set for each question.
    pub fn reader(mut self, name: impl Into<String>, password: impl Into<String>) -> ClickHouse {
        self.options.reader = Some((name.into(), Secret::new(password)));
        self
    }

    /// Whether data travels compressed (LZ4). Default: no, which is right for a server nearby.
    pub fn compress(mut self, compress: bool) -> ClickHouse {
        self.options.compress = compress;
        self
    }

    /// Whether the server flushes each insert to its disk before it confirms. Default: yes. Without it the last seconds
    /// of confirmed events are lost when the server's machine loses power; replicated servers may do without.
    pub fn fsync(mut self, fsync: bool) -> ClickHouse {
        self.options.fsync = fsync;
        self
    }

    /// Days after which events are deleted, counted from their day; 0 keeps them for ever. Default: 90. Of several
    /// processes with different values the one that started last wins.
    pub fn retention_days(mut self, days: u32) -> ClickHouse {
        self.options.retention_days = days;
        self
    }

    /// The same for one project. A project that is not named here has the [common](ClickHouse::retention_days) retention.
    pub fn retention(mut self, project: impl Into<String>, days: u32) -> ClickHouse {
        self.options.project_retention.insert(project.into(), days);
        self
    }

    /// Days after which rollups without personal data (counts and values by hour, route and client) are deleted; 0 keeps them for ever.
    /// Default: 400. They may be kept longer than the events; rollups of sessions and issues go with the events.
    pub fn rollup_retention_days(mut self, days: u32) -> ClickHouse {
        self.options.rollup_retention_days = days;
        self
    }

    /// Whether this process keeps the rollups up to date. Default: yes. Several may, one works at a time. Without any, new days are read
    /// from the events, which is slower, and late events of days that are rolled up do not show.
    pub fn rollups(mut self, rollups: bool) -> ClickHouse {
        self.options.rollups = rollups;
        self
    }

    /// Longest time for the server to take the next megabyte of an insert. Default: 30 s.
    pub fn send_timeout(mut self, timeout: Duration) -> ClickHouse {
        self.options.send_timeout = timeout.min(FOR_EVER);
        self
    }

    /// Longest time for the server to store an insert, full seconds. Default: 120 s. The server is told to give up then;
    /// we wait 10 s longer, because giving up first would leave open whether the insert took place.
    pub fn insert_timeout(mut self, timeout: Duration) -> ClickHouse {
        self.options.insert_timeout = timeout.min(FOR_EVER);
        self
    }

    /// Longest time for the server to work on a question, full seconds. Default: 30 s. Longer questions are too expensive.
    pub fn query_timeout(mut self, timeout: Duration) -> ClickHouse {
        self.options.query_timeout = timeout.min(FOR_EVER);
        self
    }

    /// Most rows a question may read. Default: 2,000,000,000.
    pub fn max_rows_to_read(mut self, rows: u64) -> ClickHouse {
        self.options.max_rows_to_read = rows;
        self
    }

    /// Largest answer, bytes. Default: 64 MiB.
    pub fn max_result_bytes(mut self, bytes: u64) -> ClickHouse {
        self.options.max_result_bytes = bytes;
        self
    }

    /// Most memory of the server that a question may use, bytes. Default: 4 GiB.
    pub fn max_query_memory(mut self, bytes: u64) -> ClickHouse {
        self.options.max_query_memory = bytes;
        self
    }

    /// What keeps the rollups up to date, to be run by hand: after an import, or in a process that does nothing else. Without the engine of a
    /// running monitor: of an [embedded](ClickHouse::embedded) one it starts its own, which takes the data for itself until it is dropped.
    ///
    /// # Errors
    /// The configuration cannot work.
    pub fn rollup_job(self) -> Result<Rollups, ConfigError> {
        self.check()?;
        let endpoint = match self.place {
            Place::Url(url) => Endpoint::Url(url),
            Place::Embedded(builder) => Endpoint::Embedded(Arc::new(Embedded::new(builder))),
        };
        let connection = Arc::new(Connection::new(endpoint, self.options));
        let schema = Arc::new(Schema::new(Arc::clone(&connection)));
        Ok(Rollups::new(connection, schema, Arc::new(Counts::new())))
    }

    /// Events that any question may read: those of more are answered from the rollups, or from a sample of about as many, unless
    /// they ask for the exact answer. Default: 200,000, a few milliseconds of one core.
    pub fn quick_scan(mut self, events: u64) -> ClickHouse {
        self.options.quick_scan = events;
        self
    }

    /// The schema for a cluster, as statements for its operator to run in this order: replicated tables on each shard, tables that distribute,
    /// retention as configured here. See `docs/storage.md`. Nothing is sent anywhere.
    ///
    /// # Errors
    /// A name cannot be used.
    ///
    /// ```
    /// use monitor_sink_clickhouse::{ClickHouse, Cluster};
    ///
    /// let clickhouse = ClickHouse::new("http://localhost:8123").retention_days(30);
    /// let statements = clickhouse.clustered_schema(&Cluster::new("main").tiers("hot_cold", "cold", 7))?;
    /// assert!(statements[0].starts_with("CREATE DATABASE IF NOT EXISTS `monitor` ON CLUSTER 'main'"));
    /// # Ok::<(), monitor_sink_clickhouse::ConfigError>(())
    /// ```
    pub fn clustered_schema(&self, cluster: &Cluster) -> Result<Vec<String>, ConfigError> {
        self.check()?;
        clustered::statements(&self.options, cluster)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if let Place::Url(url) = &self.place {
            check_url(url)?;
        }
        let name = &self.options.database;
        let valid = (1..=64).contains(&name.len())
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !valid {
            return Err(ConfigError::Database(name.clone()));
        }
        let is_name =
            |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        match self.options.project_retention.keys().find(|project| !is_name(project)) {
            Some(project) => Err(ConfigError::Project(project.clone())),
            None => Ok(()),
        }
    }
}

/// What is wrong with it must not be quoted: it may hold a password.
fn check_url(text: &str) -> Result<(), ConfigError> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(ConfigError::Url)?;
    // The parser passes over slashes until it finds a host.
    if rest.starts_with(['/', '\\']) {
        return Err(ConfigError::Url);
    }
    let url = Url::parse(text).map_err(|_| ConfigError::Url)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::UrlUser);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ConfigError::UrlQuery);
    }
    if url.scheme() == "https" && !cfg!(feature = "tls") {
        return Err(ConfigError::Tls);
    }
    Ok(())
}

impl Default for Options {
    fn default() -> Options {
        Options {
            database: "monitor".into(),
            user: None,
            reader: None,
            compress: false,
            fsync: true,
            retention_days: 90,
            project_retention: BTreeMap::new(),
            rollups: true,
            rollup_retention_days: 400,
            send_timeout: Duration::from_secs(30),
            insert_timeout: Duration::from_secs(120),
            query_timeout: Duration::from_secs(30),
            max_rows_to_read: 2_000_000_000,
            max_result_bytes: 64 << 20,
            max_query_memory: 4 << 30,
            quick_scan: 200_000,
        }
    }
}

impl Integration for ClickHouse {
    fn name(&self) -> &'static str {
        "clickhouse"
    }

    fn install(self: Box<Self>, setup: &mut Setup) -> Result<(), BoxError> {
        self.check()?;
        let rollups = self.options.rollups;
        let endpoint = match self.place {
            Place::Url(url) => Endpoint::Url(url),
            Place::Embedded(builder) => {
                let embedded = Arc::new(Embedded::new(builder));
                setup.services.push(Arc::clone(&embedded) as Arc<dyn Service>);
                let starting = Arc::clone(&embedded);
                // Logs a failure itself; the first write tries again.
                tokio::spawn(async move { starting.engine().await.is_ok() });
                Endpoint::Embedded(embedded)
            }
        };
        let connection = Arc::new(Connection::new(endpoint, self.options));
        let schema = Arc::new(Schema::new(Arc::clone(&connection)));
        setup.sinks.push(Arc::new(ClickHouseSink::new(Arc::clone(&connection), Arc::clone(&schema), Arc::clone(&setup.counts))));
        if rollups {
            let rollups = Rollups::new(Arc::clone(&connection), Arc::clone(&schema), Arc::clone(&setup.counts));
            // Closed before the engine, which was pushed before it.
            setup.services.push(Arc::new(Background::start(rollups)));
        }
        setup.store = Some(Arc::new(ClickHouseStore::new(connection, schema)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor_core::Counts;

    fn install(clickhouse: ClickHouse) -> Result<Setup, String> {
        let mut setup = Setup::new(Arc::new(Counts::new()));
        Box::new(clickhouse).install(&mut setup).map(|()| setup).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn installing_adds_a_sink_and_a_store_without_a_server() {
        let setup = install(ClickHouse::new("http://127.0.0.1:9")).unwrap();
        assert_eq!(setup.sinks[0].name(), "clickhouse");
        assert!(setup.store.is_some());
    }

    #[tokio::test]
    async fn what_cannot_work_is_refused_when_it_is_installed() {
        let urls = ["", "localhost:8123", "https://", "http://", "http://:8123", "ftp://x", "http:///x"];
        for url in urls.into_iter().chain(["http://h:99999", "http://h:port", "http://h h:8123", "http://h?database=x", "http://h/#x"]) {
            assert!(install(ClickHouse::new(url)).is_err_and(|error| error.contains("URL")), "{url}");
        }
        for name in ["", "a b", "a`b", "1a", "a;b", &"x".repeat(65)] {
            assert!(install(ClickHouse::new("http://x").database(name)).is_err_and(|error| error.contains("database")), "{name}");
        }
    }

    #[tokio::test]
    async fn https_is_accepted_when_it_can_be_spoken() {
        assert_eq!(install(ClickHouse::new("https://x")).is_ok(), cfg!(feature = "tls"));
    }

    #[tokio::test]
    async fn a_url_with_credentials_is_refused_and_not_quoted() {
        for url in ["http://writer:hunter2@h:8123", "http://hunter2@h", "http://:hunter2@h", "http://writer:hunter2@h:99999"] {
            assert!(!format!("{:?}", ClickHouse::new(url)).contains("hunter2"), "{url}");
            assert!(install(ClickHouse::new(url)).is_err_and(|error| error.contains("URL") && !error.contains("hunter2")), "{url}");
        }
        assert!(install(ClickHouse::new("http://writer:hunter2@h:8123")).is_err_and(|error| error.contains("`user`")));
        assert!(format!("{:?}", ClickHouse::new("http://h:8123/proxy")).contains("http://h:8123/proxy"));
    }

    #[test]
    fn the_longest_time_outs_are_times_that_can_be_waited_for() {
        let longest = Duration::MAX;
        let clickhouse = ClickHouse::new("http://x").send_timeout(longest).insert_timeout(longest).query_timeout(longest);
        let Options { send_timeout, insert_timeout, query_timeout, .. } = clickhouse.options;
        for timeout in [send_timeout, insert_timeout, query_timeout] {
            assert!(std::time::Instant::now().checked_add(Connection::patience(timeout)).is_some());
        }
    }

    #[test]
    fn passwords_do_not_show() {
        let clickhouse = ClickHouse::new("http://x").user("writer", "hunter2").reader("reader", "hunter3");
        let text = format!("{clickhouse:?}");
        assert!(text.contains("writer") && text.contains("reader") && !text.contains("hunter"), "{text}");
    }
}
