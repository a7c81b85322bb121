//! The way to the server: who asks, in which database, with which limits and time-outs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use clickhouse::{
    Client, Compression,
    error::{Error, Result},
};
use monitor_core::Service;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

use crate::{
    config::Options,
    embedded::{EmbeddedEngine, EmbeddedEngineBuilder},
    sql::Sql,
};

/// Time beyond the server's own limit before we stop waiting: the server's answer says more than our time-out, and it
/// leaves no doubt whether an insert took place.
const GRACE: Duration = Duration::from_secs(10);

/// Settings of one question, by name.
pub(crate) type Settings = &'static [(&'static str, u64)];

/// Clients for writing and reading; cheap to clone, connections are shared.
pub(crate) struct Connection {
    endpoint: Endpoint,
    writer: Client,
    reader: Option<Client>,
    options: Options,
}

/// Where the server is.
pub(crate) enum Endpoint {
    /// Somebody runs it.
    Url(String),
    /// We run it.
    Embedded(Arc<Embedded>),
}

/// The engine of this process: started when it is first needed, restarted by its supervisor.
pub(crate) struct Embedded {
    builder: EmbeddedEngineBuilder,
    engine: OnceCell<EmbeddedEngine>,
    closed: AtomicBool,
}

impl Embedded {
    pub(crate) fn new(builder: EmbeddedEngineBuilder) -> Embedded {
        Embedded { builder, engine: OnceCell::new(), closed: AtomicBool::new(false) }
    }

    /// The running engine. Whoever comes while it starts waits for it; a start that failed is tried again by the next.
    pub(crate) async fn engine(&self) -> Result<&EmbeddedEngine> {
        let start = async {
            if self.closed.load(Ordering::Acquire) {
                return Err(Error::Network("the embedded engine was closed".into()));
            }
            self.builder.clone().start().await.map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "the embedded engine does not start");
                Error::Network(error.into())
            })
        };
        self.engine.get_or_try_init(|| start).await
    }
}

#[async_trait]
impl Service for Embedded {
    async fn close(&self, within: Duration) {
        let begin = Instant::now();
        self.closed.store(true, Ordering::Release);
        // A start that is under way is waited for; none is begun any more.
        if let Ok(Ok(engine)) = tokio::time::timeout(within, self.engine()).await {
            engine.shutdown(within.saturating_sub(begin.elapsed())).await;
        }
    }
}

/// An answer in the `JSONCompact` format.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer<Row> {
    pub(crate) data: Vec<Row>,
    #[serde(default)]
    pub(crate) statistics: Statistics,
}

/// What an answer cost.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Statistics {
    pub(crate) rows_read: u64,
}

impl Connection {
    pub(crate) fn new(endpoint: Endpoint, options: Options) -> Connection {
        let compression = if options.compress { Compression::Lz4 } else { Compression::None };
        let base = Client::default().with_compression(compression).with_database(&options.database);
        let as_user = |client: Client, user: &str, password: &str| client.with_user(user).with_password(password);
        let writer = match &options.user {
            Some((user, password)) => as_user(base.clone(), user, password.reveal()),
            None => base.clone(),
        };
        let reader = options.reader.as_ref().map(|(user, password)| as_user(base, user, password.reveal()));
        Connection { endpoint, writer, reader, options }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Whether the engine is this process's own, and nobody else's.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.endpoint, Endpoint::Embedded(_))
    }

    async fn at_endpoint(&self, client: &Client) -> Result<Client> {
        match &self.endpoint {
            Endpoint::Url(url) => Ok(client.clone().with_url(url)),
            Endpoint::Embedded(embedded) => {
                let engine = embedded.engine().await?;
                // Whoever listens on its port now must not learn the password.
                if engine.pid().is_none() {
                    return Err(Error::Network("the embedded engine is down".into()));
                }
                Ok(client.clone().with_url(engine.url()).with_user(engine.user()).with_password(engine.password()))
            }
        }
    }

    /// A client that may change things. What takes too long is ended by the server, which would go on with it after we
    /// have stopped waiting.
    pub(crate) async fn writer(&self) -> Result<Client> {
        let limit = self.options.query_timeout.as_secs().max(1);
        let client = self.at_endpoint(&self.writer).await?.with_setting("max_execution_time", limit.to_string());
        // Where the table distributes, a statement is done when the shards are.
        Ok(client.with_setting("insert_distributed_sync", "1"))
    }

    /// A client for a question, so many of which are asked at once. It cannot write, and the server ends what grows too expensive.
    pub(crate) async fn reader(&self, settings: Settings, at_once: usize) -> Result<Client> {
        // A read-only user may not set anything: its limits are part of its profile.
        if let Some(reader) = &self.reader {
            return self.at_endpoint(reader).await;
        }
        let options = &self.options;
        let limits = [
            ("readonly", 1),
            ("use_query_cache", 0),
            ("max_execution_time", options.query_timeout.as_secs().max(1)),
            ("max_rows_to_read", options.max_rows_to_read),
            ("max_result_rows", 20_000),
            ("max_result_bytes", options.max_result_bytes),
            ("max_memory_usage", options.max_query_memory),
            ("output_format_json_quote_64bit_integers", 0),
            ("output_format_json_quote_denormals", 0),
            // Some threads are waked for it, which costs more than they save: an answer is short.
            ("output_format_parallel_formatting", 0),
            // The third question of a kind would wait while its expressions become machine code, for longer than that ever saves.
            ("compile_expressions", 0),
            ("compile_aggregate_expressions", 0),
            ("compile_sort_description", 0),
        ];
        let mut client = self.at_endpoint(&self.writer).await?;
        // Questions of one page come together. On one machine each thread more of one is a thread less of the others, and threads that
        // wait for each other cost CPU.
        if let Endpoint::Embedded(_) = self.endpoint
            && at_once > 1
        {
            let threads = std::thread::available_parallelism().map_or(1, usize::from) / at_once;
            client = client.with_setting("max_threads", threads.max(1).to_string());
        }
        Ok(settings.iter().copied().chain(limits).fold(client, |client, (name, value)| client.with_setting(name, value.to_string())))
    }

    /// Longest wait for an answer of a server that stops by itself after `limit`.
    pub(crate) fn patience(limit: Duration) -> Duration {
        limit.saturating_add(GRACE)
    }

    /// Runs a statement that answers nothing.
    pub(crate) async fn execute(&self, client: &Client, sql: &Sql) -> Result<()> {
        self.execute_within(client, sql, self.options.query_timeout).await
    }

    /// Runs a statement that answers nothing and that the server ends after `limit`.
    pub(crate) async fn execute_within(&self, client: &Client, sql: &Sql, limit: Duration) -> Result<()> {
        tokio::time::timeout(Self::patience(limit), sql.query(client).execute()).await.unwrap_or(Err(Error::TimedOut))
    }

    /// Runs a question and reads its answer.
    pub(crate) async fn ask<Row: DeserializeOwned>(&self, client: &Client, sql: &Sql) -> Result<Answer<Row>> {
        self.ask_within(client, sql, self.options.query_timeout).await
    }

    /// Runs a question that the server ends after `limit`.
    pub(crate) async fn ask_within<Row: DeserializeOwned>(&self, client: &Client, sql: &Sql, limit: Duration) -> Result<Answer<Row>> {
        let answer = async {
            let mut cursor = sql.query(client).fetch_bytes("JSONCompact")?;
            let bytes = cursor.collect().await?;
            let rows_read = cursor.summary().and_then(|summary| summary.read_rows()).unwrap_or(0);
            let mut answer: Answer<Row> = serde_json::from_slice(&bytes).map_err(|error| Error::Other(error.into()))?;
            // The header is written before a server is done, the body's figure is missing from the embedded engine.
            answer.statistics.rows_read = answer.statistics.rows_read.max(rows_read);
            Ok(answer)
        };
        tokio::time::timeout(Self::patience(limit), answer).await.unwrap_or(Err(Error::TimedOut))
    }

    /// Whether the server answers within the time.
    pub(crate) async fn ping(&self, within: Duration) -> bool {
        let answer = async {
            let client = self.at_endpoint(self.reader.as_ref().unwrap_or(&self.writer)).await?;
            // Which database exists does not matter to a server that is alive.
            Sql::new("SELECT 1").query(&client.with_database("default")).execute().await
        };
        matches!(tokio::time::timeout(within, answer).await, Ok(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(options: Options) -> Connection {
        Connection::new(Endpoint::Url("http://x".into()), options)
    }

    #[tokio::test]
    async fn questions_are_read_only_and_limited() {
        let reader = connection(Options::default()).reader(&[("max_threads", 1)], 1).await.unwrap();
        let settings = ["readonly", "max_execution_time", "max_rows_to_read", "max_result_bytes", "use_query_cache", "max_threads"];
        assert_eq!(settings.map(|name| reader.get_setting(name).unwrap()), ["1", "30", "2000000000", "67108864", "0", "1"]);
        let writer = connection(Options::default()).writer().await.unwrap();
        assert_eq!((writer.get_setting("readonly"), writer.get_setting("max_execution_time")), (None, Some("30")));
        // A server of its own divides its threads as its operator says.
        assert_eq!(connection(Options::default()).reader(&[], 8).await.unwrap().get_setting("max_threads"), None);
    }

    #[tokio::test]
    async fn a_reader_of_its_own_sets_nothing() {
        let options = Options { reader: Some(("reader".into(), crate::config::Secret::new("x"))), ..Options::default() };
        let reader = connection(options).reader(&[("max_threads", 1)], 1).await.unwrap();
        assert!(
            ["readonly", "max_execution_time", "max_rows_to_read", "max_threads"].iter().all(|name| reader.get_setting(name).is_none())
        );
    }
}
