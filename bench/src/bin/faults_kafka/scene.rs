//! What every scenario plays in: a broker, an engine, two receivers, and two consumers with a proxy before the engine each.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use monitor_bench::{
    Result,
    client::{Client, Metrics},
    kafka::{Broker, command, create_topics},
    ledger::{Ledger, count},
    process::{Service, free_address, panics, until},
    proxy::{Inserts, Proxy},
};

/// The consumers' group.
pub const GROUP: &str = "monitor";
/// Where the consumers put what they cannot store.
pub const DEAD_LETTERS: &str = "monitor.dead-letters";

/// What is run.
#[derive(Clone)]
pub struct Programs {
    pub pipeline: PathBuf,
    pub consumer: PathBuf,
    pub engine: PathBuf,
    /// The folder of the jars.
    pub kafka: PathBuf,
}

/// The label of copies that the consumer itself noticed.
const TOPIC: &str = "\"topic\"";

pub struct Receiver {
    pub service: Service,
    pub addr: SocketAddr,
    internal: SocketAddr,
}

pub struct Consumer {
    pub service: Service,
    /// Its way to the engine.
    pub proxy: Proxy,
    /// The query API.
    pub addr: SocketAddr,
    internal: SocketAddr,
}

impl Consumer {
    pub fn pid(&self) -> u32 {
        self.service.process.pid()
    }

    /// Whether it has tried a batch again.
    pub async fn retries(&self) -> bool {
        Metrics::read(self.internal).await.is_ok_and(|metrics| metrics.sum("batches_retried") > 0.0)
    }

    /// Starts it again after something else has ended it.
    pub async fn restart_after_end(&mut self) -> Result<()> {
        self.service.process.wait(Duration::from_secs(10)).await.map_err(|_| "the consumer was not killed")?;
        self.service.restart().await
    }
}

/// What consumers counted, also those that are gone.
#[derive(Default)]
pub struct Counted {
    /// Copies of events that were noticed before they were written.
    pub copies: f64,
    /// Events that were found to be stored already when they were written.
    pub stored: f64,
    /// Batches that were tried again.
    pub retried: f64,
    /// Messages that were read and dealt with.
    pub consumed: f64,
}

pub struct Scene {
    pub broker: Broker,
    pub engine: Service,
    pub receivers: Vec<Receiver>,
    pub consumers: Vec<Consumer>,
    pub inserts: Arc<Inserts>,
    pub counted: Counted,
    programs: Programs,
    folder: PathBuf,
    engine_addr: SocketAddr,
    batch_events: usize,
}

impl Scene {
    /// Starts everything, in a folder of its own; consumers write at most so many events at once.
    pub async fn start(programs: &Programs, folder: &Path, batch_events: usize) -> Result<Scene> {
        let engine_addr = free_address()?;
        let kafka = folder.join("kafka");
        let (broker, engine) = tokio::join!(Broker::start(&programs.kafka, &kafka), Service::engine(&programs.engine, folder, engine_addr));
        let mut scene = Scene {
            broker: broker?,
            engine: engine?,
            receivers: Vec::new(),
            consumers: Vec::new(),
            inserts: Arc::default(),
            counted: Counted::default(),
            programs: programs.clone(),
            folder: folder.to_owned(),
            engine_addr,
            batch_events,
        };
        for n in 0..2 {
            let (addr, internal) = (free_address()?, free_address()?);
            let config = scene.config(&format!("receiver-{n}"), addr, internal, engine_addr)?;
            if n == 0 {
                create_topics(&programs.pipeline, &config).await?;
            }
            let service = scene.service(&programs.pipeline, &config).await?;
            scene.receivers.push(Receiver { service, addr, internal });
        }
        for n in 0..2 {
            let consumer = scene.new_consumer(n).await?;
            scene.consumers.push(consumer);
        }
        Ok(scene)
    }

    /// One more consumer of the group.
    pub async fn new_consumer(&self, n: usize) -> Result<Consumer> {
        let (addr, internal) = (free_address()?, free_address()?);
        let proxy = Proxy::start(self.engine_addr, self.inserts.clone()).await?;
        let config = self.config(&format!("consumer-{n}"), addr, internal, proxy.addr)?;
        let service = self.service(&self.programs.consumer, &config).await?;
        Ok(Consumer { service, proxy, addr, internal })
    }

    async fn service(&self, program: &Path, config: &Path) -> Result<Service> {
        let args = vec!["--config".to_owned(), config.display().to_string()];
        Service::start(program, args, "ready", config.with_extension("log")).await
    }

    fn config(&self, name: &str, addr: SocketAddr, internal: SocketAddr, database: SocketAddr) -> Result<PathBuf> {
        let text = format!(
            r#"[http]
listen = "{addr}"
internal = "{internal}"
trusted_proxies = []
requests_per_second_per_client = 0
[query]
listen = "{addr}"
internal = "{internal}"
[spool]
path = "{folder}/{name}"
min_free_mib = 64
[[projects]]
id = "shop"
key = "demo-key"
max_events_per_second = 1000000
[kafka]
brokers = "{brokers}"
key = "session"
partitioner = "murmur2"
group = "{GROUP}"
partitions = 6
replication = 1
topics = {{ prefix = "" }}
# The group notices quickly that a member is gone.
[kafka.consumer]
"session.timeout.ms" = "6000"
"heartbeat.interval.ms" = "1000"
"max.poll.interval.ms" = "10000"
[consumer]
batch_events = {batch_events}
linger_ms = 300
[clickhouse]
url = "http://{database}"
database = "monitor"
"#,
            folder = self.folder.display(),
            batch_events = self.batch_events,
            brokers = self.broker.address(),
        );
        let path = self.folder.join(format!("{name}.toml"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Addresses of the receivers.
    pub fn ingest(&self) -> Vec<SocketAddr> {
        self.receivers.iter().map(|receiver| receiver.addr).collect()
    }

    /// A consumer by its number.
    pub fn consumer(&mut self, n: usize) -> Result<&mut Consumer> {
        self.consumers.get_mut(n).ok_or_else(|| "no such consumer".into())
    }

    /// Takes what a consumer counted, before it is killed or at the end.
    pub async fn count(&mut self, n: usize) -> Result<()> {
        let internal = self.consumer(n)?.internal;
        let metrics = Metrics::read(internal).await?;
        self.counted.copies += metrics.sum_of("events_duplicate", TOPIC);
        self.counted.stored += metrics.sum("events_duplicate") - metrics.sum_of("events_duplicate", TOPIC);
        self.counted.retried += metrics.sum("batches_retried");
        self.counted.consumed += metrics.sum("messages_consumed");
        Ok(())
    }

    /// What an operator does with the consumer's program; what it prints.
    pub async fn operate(&self, args: &[&str]) -> Result<String> {
        command(&self.programs.consumer, &self.folder.join("consumer-0.toml"), args).await
    }

    /// Has the engine do something, past the proxies; its answer.
    pub async fn ask(&self, sql: &str) -> Result<String> {
        let (status, body) = Client::new(self.engine_addr).post("/", "text/plain", sql.to_owned().into(), Duration::from_secs(30)).await?;
        let text = String::from_utf8_lossy(&body).trim().to_owned();
        if status == 200 { Ok(text) } else { Err(format!("{sql}: the engine answered {status}: {text}").into()) }
    }

    /// An error unless each consumer has an outcome for each message, when nothing is on its way.
    pub async fn all_accounted_for(&self) -> Result<()> {
        for consumer in &self.consumers {
            let metrics = Metrics::read(consumer.internal).await?;
            // What the sink knew to be stored counts as delivered, too.
            let copies = metrics.sum_of("events_duplicate", TOPIC);
            let outcomes = ["events_delivered", "events_dead_lettered", "events_dropped"].map(|name| metrics.sum(name));
            let consumed = metrics.sum("messages_consumed");
            if consumed != outcomes.iter().sum::<f64>() + copies {
                return Err(format!(
                    "{consumed} messages consumed are not {outcomes:?} delivered, dead and dropped ones and {copies} copies"
                )
                .into());
            }
        }
        Ok(())
    }

    /// Inserts that the proxies have refused.
    pub fn refused(&self) -> u64 {
        self.consumers.iter().map(|consumer| consumer.proxy.refused()).sum()
    }

    /// Waits until nothing is on its way any more: everything accepted is visible, and no spool and no partition holds an event
    /// that is not written.
    pub async fn drained(&mut self, ledger: &Ledger, since: i64, within: Duration) -> Result<()> {
        let mut reader = Client::new(self.consumer(0)?.addr);
        let accepted = ledger.accepted() as u64;
        // What is missing is found by the comparison.
        until(within, async || count(&mut reader, since).await.is_ok_and(|count| count >= accepted)).await;
        for receiver in &self.receivers {
            let empty = async || Metrics::read(receiver.internal).await.is_ok_and(|metrics| metrics.sum("spool_events") == 0.0);
            if !until(within, empty).await {
                return Err("a receiver's spool does not become empty".into());
            }
        }
        self.broker.drained(GROUP, within).await
    }

    /// An error when a process has ended by itself or panicked.
    pub fn all_well(&mut self) -> Result<()> {
        let services = self.receivers.iter_mut().map(|receiver| &mut receiver.service);
        let services = services.chain(self.consumers.iter_mut().map(|consumer| &mut consumer.service));
        if !services.chain([&mut self.engine]).all(|service| service.process.is_running()) {
            return Err(format!("a process has ended by itself; the logs are in {}", self.folder.display()).into());
        }
        match panics(&self.folder)?.first() {
            None => Ok(()),
            Some(line) => Err(format!("a process panicked: {line}").into()),
        }
    }
}
