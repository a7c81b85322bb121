//! What the Kafka road costs: receiver to Kafka beside librdkafka's own producer, the OpenTelemetry collector and a NestJS service;
//! Kafka to ClickHouse beside the engine's own speed with the same inserts from memory. In one run, against one broker.
//!
//! ```text
//!   raw      messages in memory ─────────────────────► Kafka      drain    spool ──► Kafka        (÷ raw: produce_ratio)
//!   receive  HTTP ──► spool ──► Kafka                             peers    HTTP ──► Kafka
//!   insert   blocks in memory ──► engine                          consume  Kafka ──► engine       (÷ insert: consume_ratio)
//! ```
//!
//! Rounds are interleaved and medians are quoted. Everyone awaits all in-sync replicas and compresses with zstd. What was counted is
//! what arrived: the ends of the partitions are compared with what was sent, and the rows are counted by the query API.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1 as client, server::conn::http1 as server, service::service_fn};
use hyper_util::rt::TokioIo;
use monitor_bench::{
    Error, Result,
    client::{Client, Metrics},
    events, figure,
    kafka::{Broker, create_topics},
    ledger::count,
    process::{Process, Service, children, cpu, free_address, until},
};
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    message::{DeliveryResult, Header, Headers, OwnedHeaders},
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, block_in_place},
    time::sleep,
};

/// Measures the Kafka road and prints `figure` lines.
#[derive(Parser)]
struct Args {
    /// The `kafka_pipeline` example's binary, built for release.
    #[arg(long)]
    pipeline: PathBuf,
    /// The `consumer` example's binary, built for release.
    #[arg(long)]
    consumer: PathBuf,
    /// The engine's binary, built for release.
    #[arg(long)]
    engine: PathBuf,
    /// The folder of Kafka's jars.
    #[arg(long)]
    kafka: PathBuf,
    /// The OpenTelemetry collector, built from `bench/peers/otel`; left out when it is not given.
    #[arg(long)]
    otel: Option<PathBuf>,
    /// The folder of the NestJS service, its packages installed; left out when it is not given.
    #[arg(long)]
    nest: Option<PathBuf>,
    /// Where data goes.
    #[arg(long, default_value = "test-output/bench-kafka")]
    output: PathBuf,
    /// Messages of a round.
    #[arg(long, default_value_t = 2_000_000)]
    events: usize,
    /// Seconds of a round over HTTP.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Partitions of each of the three topics.
    #[arg(long, default_value_t = 12)]
    partitions: i32,
}

const PATH: &str = "/api/shop/events?key=demo-key";
/// Events of one request.
const EVENTS: usize = 10;
const CONNECTIONS: usize = 32;
/// Rows of a large insert: what a batch of the consumer has at most.
const LARGE: u64 = 50_000;
/// The database of the consumer whose inserts are recorded.
const RECORDED: &str = "bench_recorded";
const TOPICS: [&str; 3] = ["monitor.errors", "monitor.performance", "monitor.behavior"];
/// Longest wait for something to become done.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is looked whether something is done.
const GLANCE: Duration = Duration::from_millis(25);

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.output.exists() {
        fs::remove_dir_all(&args.output)?;
    }
    fs::create_dir_all(&args.output)?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load: f64 = load.split(' ').next().unwrap_or_default().parse()?;
    println!("load at start {load}");
    let bench = Bench::start(args).await?;
    let mut table = Table::default();
    let events = bench.produce(&mut table).await?;
    bench.consume(&mut table, events).await?;
    table.print(load);
    Ok(())
}

/// What everything runs against.
struct Bench {
    args: Args,
    output: PathBuf,
    broker: Broker,
    broker_pid: u32,
    engine: Service,
    engine_addr: SocketAddr,
}

impl Bench {
    async fn start(args: Args) -> Result<Bench> {
        let output = args.output.canonicalize()?;
        let broker = Broker::start(&args.kafka, &output.join("kafka")).await?;
        let broker_pid = children(std::process::id(), "java").first().copied().ok_or("the broker is no child")?;
        let engine_addr = free_address()?;
        let engine = Service::engine(&args.engine, &output, engine_addr).await?;
        Ok(Bench { args, output, broker, broker_pid, engine, engine_addr })
    }

    /// Configuration of a receiver or a consumer. Both listen on `public` and `internal`.
    fn config(&self, name: &str, brokers: SocketAddr, prefix: &str, database: (SocketAddr, &str)) -> Result<Ours> {
        let (public, internal) = (free_address()?, free_address()?);
        let text = format!(
            r#"[http]
listen = "{public}"
internal = "{internal}"
requests_per_second_per_client = 0
[query]
listen = "{public}"
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
group = "{name}"
partitions = {partitions}
topics = {{ prefix = "{prefix}" }}
[clickhouse]
url = "http://{}"
database = "{}"
"#,
            database.0,
            database.1,
            folder = self.output.display(),
            partitions = self.args.partitions,
        );
        let file = self.output.join(format!("{name}.toml"));
        fs::write(&file, text)?;
        Ok(Ours { file, spool: self.output.join(name), public, internal })
    }

    fn receiver(&self, name: &str, brokers: SocketAddr, prefix: &str) -> Result<Ours> {
        self.config(name, brokers, prefix, (self.engine_addr, "monitor"))
    }

    fn meter(&self, subject: u32) -> Meter {
        let pids = [subject, self.broker_pid, self.engine.process.pid(), std::process::id()];
        Meter { pids, before: pids.map(cpu), start: Instant::now() }
    }

    /// For a process that has just started: what it has used so far counts.
    fn meter_of_new(&self, process: &Process) -> Meter {
        let mut meter = self.meter(process.pid());
        if let Some(subject) = meter.before.first_mut() {
            *subject = Duration::ZERO;
        }
        meter
    }

    /// Messages of the topics with this prefix.
    fn stored(&self, prefix: &str) -> Result<u64> {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.broker.address().to_string()).create()?;
        let mut sum = 0;
        for topic in TOPICS {
            for partition in 0..self.args.partitions {
                let ends = consumer.fetch_watermarks(&format!("{prefix}{topic}"), partition, Duration::from_secs(10))?;
                sum += u64::try_from(ends.1)?;
            }
        }
        Ok(sum)
    }

    // --- to Kafka ---------------------------------------------------------------------------------------------------------

    /// Everything that produces. Returns how many messages the topics have that `consume` reads.
    async fn produce(&self, table: &mut Table) -> Result<u64> {
        let templates = Arc::new(Templates::new());
        for prefix in ["full.", "raw.", "drain.", "receive.", "otel.", "otelwhole.", "nest."] {
            let ours = self.receiver("topics", self.broker.address(), prefix)?;
            create_topics(&self.args.pipeline, &ours.file).await?;
        }
        // A spool that could not get rid of anything.
        let nowhere = self.receiver("full", free_address()?, "full.")?;
        let mut receiver = nowhere.start(&self.args.pipeline).await?;
        let to_send = self.args.events.div_ceil(EVENTS);
        saturate(nowhere.public, PATH, "text/plain", templates.clone(), Until::Requests(to_send)).await?;
        let events = (to_send * EVENTS) as u64;
        receiver.kill().await?;
        println!("{events} events in the spool");

        // The first drain fills what is consumed and read back, and warms the broker up.
        self.drain("full", "full.", events).await?;
        let (messages, read) = block_in_place(|| self.read_back(events))?;
        table.add("read", read);
        println!("{} messages, {} bytes each", messages.list.len(), messages.bytes.len() / messages.list.len().max(1));

        let receive = self.receiver("receive", self.broker.address(), "receive.")?;
        let mut subjects = vec![Subject {
            name: "receive",
            prefix: "receive.",
            addr: receive.public,
            path: PATH,
            content_type: "text/plain",
            bodies: templates.clone(),
            messages_per_request: EVENTS as u64,
            internal: Some(receive.internal),
            process: receive.start(&self.args.pipeline).await?,
        }];
        subjects.extend(self.peers(templates).await?);
        for subject in &subjects {
            self.receive(subject, Duration::from_secs(2)).await?;
        }
        for _ in 0..self.args.rounds {
            let raw = block_in_place(|| self.raw(&messages))?;
            table.add("raw", raw);
            table.add("drain", self.drain("full", "drain.", events).await?);
            for subject in &subjects {
                table.add(subject.name, self.receive(subject, Duration::from_secs(self.args.seconds)).await?);
            }
        }
        Ok(events)
    }

    /// librdkafka's producer with the sink's settings and the sink's messages.
    fn raw(&self, messages: &Messages) -> Result<Round> {
        let before = self.stored("raw.")?;
        let meter = self.meter(std::process::id());
        let producer: ThreadedProducer<Refused> = ClientConfig::new()
            .set("bootstrap.servers", self.broker.address().to_string())
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "zstd")
            .set("compression.level", "1")
            .set("linger.ms", "20")
            .set("queue.buffering.max.kbytes", "65536")
            .set("partitioner", "murmur2_random")
            .create_with_context(Refused::default())?;
        let topics = TOPICS.map(|topic| format!("raw.{topic}"));
        for message in &messages.list {
            let header = |key, value: &'static str| Header { key, value: Some(value) };
            let headers = OwnedHeaders::new_with_capacity(4)
                .insert(header("project", "shop"))
                .insert(Header { key: "kind", value: messages.kinds.get(message.kind) })
                .insert(header("schema", "1"))
                .insert(header("content-type", "application/json"));
            let (key, payload) = messages.of(message);
            let topic = topics.get(message.topic).ok_or("no such topic")?;
            let mut record = BaseRecord::to(topic).key(key).payload(payload).headers(headers);
            while let Err((error, given_back)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                record = given_back;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        producer.flush(PATIENCE)?;
        let round = meter.end(messages.list.len() as u64).without_generator();
        let refused = producer.context().0.load(Ordering::Relaxed);
        let stored = self.stored("raw.")? - before;
        if refused > 0 || stored != messages.list.len() as u64 {
            return Err(format!("raw: {refused} refused, {stored} of {} stored", messages.list.len()).into());
        }
        Ok(round)
    }

    /// A receiver that finds a full spool, and nobody sends: what the lane does alone.
    async fn drain(&self, template: &str, prefix: &str, events: u64) -> Result<Round> {
        let before = self.stored(prefix)?;
        let ours = self.receiver("drain", self.broker.address(), prefix)?;
        copy(&self.output.join(template), &ours.spool)?;
        let mut receiver = ours.start(&self.args.pipeline).await?;
        let meter = self.meter_of_new(&receiver);
        until_done(async || Ok(Metrics::read(ours.internal).await?.sum("events_delivered") as u64 >= events)).await?;
        let round = meter.end(events);
        receiver.kill().await?;
        fs::remove_dir_all(&ours.spool)?;
        let stored = self.stored(prefix)? - before;
        if stored != events {
            return Err(format!("drain: {stored} of {events} stored").into());
        }
        Ok(round)
    }

    /// Closed loop over many connections, until Kafka has everything.
    async fn receive(&self, subject: &Subject, length: Duration) -> Result<Round> {
        let before = self.stored(subject.prefix)?;
        let meter = self.meter(subject.process.pid());
        let until = Until::Time(Instant::now() + length);
        let answered = saturate(subject.addr, subject.path, subject.content_type, subject.bodies.clone(), until).await;
        let answered = answered.map_err(|error| format!("{}: {error}", subject.name))?;
        if let Some(internal) = subject.internal {
            wait_until_empty(internal).await?;
        }
        let round = meter.end(answered * EVENTS as u64);
        let (stored, expected) = (self.stored(subject.prefix)? - before, answered * subject.messages_per_request);
        if stored != expected {
            return Err(format!("{}: {stored} of {expected} messages stored", subject.name).into());
        }
        Ok(round)
    }

    async fn peers(&self, templates: Arc<Templates>) -> Result<Vec<Subject>> {
        let mut peers = Vec::new();
        let broker = self.broker.address();
        if let Some(otel) = &self.args.otel {
            let logs =
                Arc::new(Templates(templates.0.iter().map(|(body, _)| Result::Ok((otlp(body)?, Vec::new()))).collect::<Result<_>>()?));
            // One message for each event, as ours; and the collector's default, one message for each request.
            for (name, prefix, encoding, messages) in
                [("otel", "otel.", "raw", EVENTS as u64), ("otelwhole", "otelwhole.", "otlp_proto", 1)]
            {
                let addr = free_address()?;
                let config = include_str!("../../peers/otel/config.yaml")
                    .replace("LISTEN", &addr.to_string())
                    .replace("BROKER", &broker.to_string())
                    .replace("TOPIC", &format!("{prefix}monitor.behavior"))
                    .replace("ENCODING", encoding);
                let file = self.output.join(format!("{name}.yaml"));
                fs::write(&file, config)?;
                let args = ["--config".to_owned(), file.display().to_string()];
                let process = Process::start(otel, &args, "Everything is ready", &self.output.join(format!("{name}.log"))).await?;
                peers.push(Subject {
                    name,
                    prefix,
                    addr,
                    path: "/v1/logs",
                    content_type: "application/json",
                    bodies: logs.clone(),
                    messages_per_request: messages,
                    internal: None,
                    process,
                });
            }
        }
        if let Some(folder) = &self.args.nest {
            let addr = free_address()?;
            let args = [folder.join("server.mjs").display().to_string(), addr.to_string(), broker.to_string(), "nest.".to_owned()];
            let process = Process::start(Path::new("node"), &args, "ready", &self.output.join("nest.log")).await?;
            peers.push(Subject {
                name: "nest",
                prefix: "nest.",
                addr,
                path: PATH,
                content_type: "text/plain",
                bodies: templates,
                messages_per_request: EVENTS as u64,
                internal: None,
                process,
            });
        }
        Ok(peers)
    }

    /// Reads what the first drain has produced. What it costs is librdkafka's part of the consumer.
    fn read_back(&self, events: u64) -> Result<(Messages, Round)> {
        let mut messages = Messages::default();
        let meter = self.meter(std::process::id());
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.address().to_string())
            .set("group.id", "bench-read")
            // Polling ends at each commit, too.
            .set("enable.auto.commit", "false")
            .set("check.crcs", "true")
            .create()?;
        let mut assignment = TopicPartitionList::new();
        let topics = TOPICS.map(|topic| format!("full.{topic}"));
        for topic in &topics {
            for partition in 0..self.args.partitions {
                assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&assignment)?;
        while (messages.list.len() as u64) < events {
            let message = consumer
                .poll(Duration::from_secs(20))
                .ok_or_else(|| format!("{} of {events} messages could be read", messages.list.len()))??;
            let topic = topics.iter().position(|topic| topic == message.topic()).ok_or("another topic")?;
            let headers = message.headers().ok_or("no headers")?;
            let kind = headers.iter().find(|header| header.key == "kind").and_then(|header| header.value).ok_or("no kind")?;
            messages.push(topic, kind, message.key().unwrap_or_default(), message.payload().unwrap_or_default());
        }
        let round = meter.end(events).without_generator();
        messages.sort()?;
        Ok((messages, round))
    }

    // --- to ClickHouse ----------------------------------------------------------------------------------------------------

    async fn consume(&self, table: &mut Table, events: u64) -> Result<()> {
        // The first consumer warms up, and its inserts are recorded.
        let recorder = Recorder::start(self.engine_addr).await?;
        self.consume_once(RECORDED, recorder.addr, events).await?;
        let inserts = recorder.end();
        let bytes: usize = inserts.list.iter().map(|(_, body)| body.len()).sum();
        println!(
            "{} inserts of {:.0} rows, {} bytes a row, at most {} at the same time",
            inserts.list.len(),
            events as f64 / inserts.list.len().max(1) as f64,
            bytes as u64 / events,
            inserts.together
        );
        let (inserts, large) = (Arc::new(inserts.clone()), Arc::new(inserts.merged(bytes / events.div_ceil(LARGE) as usize)));
        for n in 0..self.args.rounds {
            table.add("insert", self.insert(n, inserts.clone(), events).await?);
            table.add("large", self.insert(n, large.clone(), events).await?);
            table.add("consume", self.consume_once(&format!("bench_{n}"), self.engine_addr, events).await?);
        }
        Ok(())
    }

    /// A new group and a new database: from the start of the topics until the query API has counted all events.
    async fn consume_once(&self, name: &str, database: SocketAddr, events: u64) -> Result<Round> {
        let ours = self.config(name, self.broker.address(), "full.", (database, name))?;
        let mut consumer = ours.start(&self.args.consumer).await?;
        let meter = self.meter_of_new(&consumer);
        let delivered = until_done(async || {
            let metrics = Metrics::read(ours.internal).await?;
            Ok(metrics.sum_of("events_delivered", "clickhouse") as u64 >= events)
        });
        delivered.await?;
        let mut reader = Client::new(ours.public);
        let since = events::now() - 6 * 3_600_000;
        let all = until(PATIENCE, async || count(&mut reader, since).await.is_ok_and(|count| count >= events)).await;
        let round = meter.end(events);
        if !all || count(&mut reader, since).await? != events {
            return Err(format!("consume: {} of {events} rows", count(&mut reader, since).await?).into());
        }
        consumer.terminate()?;
        consumer.wait(Duration::from_secs(30)).await?;
        if name != RECORDED {
            self.sql(&format!("DROP DATABASE {name}")).await?;
        }
        Ok(round)
    }

    /// The recorded inserts once more, from memory, into a table of the same form.
    async fn insert(&self, n: usize, inserts: Arc<Inserts>, events: u64) -> Result<Round> {
        let database = format!("bench_raw_{n}");
        self.sql(&format!("CREATE DATABASE {database}")).await?;
        self.sql(&format!("CREATE TABLE {database}.events AS {RECORDED}.events")).await?;
        let meter = self.meter(self.engine.process.pid());
        let next = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..inserts.together.clamp(1, 16))
            .map(|_| {
                let (next, inserts, database, addr) = (next.clone(), inserts.clone(), database.clone(), self.engine_addr);
                tokio::spawn(async move {
                    let mut client = Client::new(addr);
                    while let Some((path, body)) = inserts.list.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let path = path.replace(RECORDED, &database);
                        let (status, answer) = client.post(&path, "application/octet-stream", body.clone(), PATIENCE).await?;
                        if status != 200 {
                            return Err(format!("the engine answered {status}: {}", String::from_utf8_lossy(&answer)).into());
                        }
                    }
                    Result::Ok(())
                })
            })
            .collect();
        for worker in workers {
            worker.await??;
        }
        let round = meter.end(events);
        let rows: u64 = self.sql(&format!("SELECT count() FROM {database}.events")).await?.trim().parse()?;
        if rows != events {
            return Err(format!("insert: {rows} of {events} rows").into());
        }
        self.sql(&format!("DROP DATABASE {database}")).await?;
        Ok(round)
    }

    async fn sql(&self, statement: &str) -> Result<String> {
        let body = Bytes::from(statement.to_owned());
        let (status, answer) = Client::new(self.engine_addr).post("/", "text/plain", body, PATIENCE).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if status == 200 { Ok(answer) } else { Err(format!("{statement}: {answer}").into()) }
    }
}

/// A receiver or a consumer: its configuration and where it listens.
struct Ours {
    file: PathBuf,
    spool: PathBuf,
    public: SocketAddr,
    internal: SocketAddr,
}

impl Ours {
    async fn start(&self, program: &Path) -> Result<Process> {
        let args = ["--config".to_owned(), self.file.display().to_string()];
        Process::start(program, &args, "ready", &self.file.with_extension("log")).await
    }
}

/// A server that is sent events to.
struct Subject {
    name: &'static str,
    /// Of its topics.
    prefix: &'static str,
    addr: SocketAddr,
    path: &'static str,
    content_type: &'static str,
    bodies: Arc<Templates>,
    messages_per_request: u64,
    /// Where its metrics are, when it answers before Kafka has the events.
    internal: Option<SocketAddr>,
    process: Process,
}

/// Bodies of requests, with the places of their ids, which are overwritten: the generator should not spend its time formatting.
struct Templates(Vec<(Vec<u8>, Vec<usize>)>);

impl Templates {
    fn new() -> Templates {
        let marker = u128::MAX - 0xabcdef;
        let id = format!("\"id\":\"{marker:032x}\"");
        let make = || {
            let list: Vec<_> = (0..EVENTS).map(|seq| events::event(marker, seq, "bench")).collect();
            let envelope = events::envelope(&events::Visit::random(), 1, &list);
            let places = envelope.match_indices(&id).map(|(at, _)| at + 6).collect();
            (envelope.into_bytes(), places)
        };
        // As many visits as are going on: keys spread as they would.
        Templates((0..4096).map(|_| make()).collect())
    }

    /// A body that was never sent before.
    fn next(&self) -> Bytes {
        let Some((template, places)) = fastrand::choice(&self.0) else { return Bytes::new() };
        let mut body = template.clone();
        for place in places {
            let id = format!("{:032x}", fastrand::u128(..));
            if let Some(bytes) = body.get_mut(*place..place + id.len()) {
                bytes.copy_from_slice(id.as_bytes());
            }
        }
        body.into()
    }
}

/// An envelope as an OTLP request: a log record for each event, the bytes of its JSON as body; what they have in common as
/// attributes of the resource.
fn otlp(envelope: &[u8]) -> Result<Vec<u8>> {
    use serde_json::{Value, json, value::RawValue};
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
    }
    let Envelope { events } = serde_json::from_slice(envelope)?;
    let whole: Value = serde_json::from_slice(envelope)?;
    let text = |pointer: &str| whole.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let attribute = |(key, pointer)| json!({"key": key, "value": {"stringValue": text(pointer)}});
    let attributes = [
        ("session.id", "/session/id"),
        ("visitor.id", "/session/visitor"),
        ("user.id", "/session/user/id"),
        ("page.id", "/page/id"),
        ("url.full", "/page/url"),
        ("http.route", "/page/route"),
        ("http.referrer", "/page/referrer"),
        ("page.title", "/page/title"),
        ("service.version", "/release"),
        ("deployment.environment", "/environment"),
        ("device.screen", "/device/screen"),
        ("device.language", "/device/language"),
        ("tenant", "/tags/tenant"),
    ];
    let record = |event: &&RawValue| json!({"timeUnixNano": (events::now() * 1_000_000).to_string(), "body": {"bytesValue": base64(event.get().as_bytes())}});
    let request = json!({"resourceLogs": [{
        "resource": {"attributes": attributes.map(attribute)},
        "scopeLogs": [{"scope": {"name": "monitor-kit.browser"}, "logRecords": events.iter().map(record).collect::<Vec<_>>()}],
    }]});
    Ok(serde_json::to_vec(&request)?)
}

/// How OTLP writes bytes in JSON.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let letters = (0..4).map(|n| LETTERS.get((bits >> (18 - 6 * n) & 63) as usize).map_or('=', |letter| char::from(*letter)));
        text.extend(letters.take(three.len() + 1));
        text.extend(std::iter::repeat_n('=', 3 - three.len()));
    }
    text
}

#[derive(Clone, Copy)]
enum Until {
    Time(Instant),
    Requests(usize),
}

/// Closed loop over many connections. Returns how many requests were answered.
async fn saturate(addr: SocketAddr, path: &'static str, content_type: &'static str, bodies: Arc<Templates>, until: Until) -> Result<u64> {
    let sent = Arc::new(AtomicUsize::new(0));
    let answered = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (bodies, sent, answered) = (bodies.clone(), sent.clone(), answered.clone());
            tokio::spawn(async move {
                let mut client = Client::new(addr);
                loop {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    let done = match until {
                        Until::Time(end) => Instant::now() >= end,
                        Until::Requests(count) => number >= count,
                    };
                    if done {
                        return Result::Ok(());
                    }
                    let (status, body) = client.post(path, content_type, bodies.next(), Duration::from_secs(60)).await?;
                    if !(200..300).contains(&status) {
                        return Err(format!("answered {status}: {}", String::from_utf8_lossy(&body)).into());
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok(answered.load(Ordering::Relaxed))
}

async fn wait_until_empty(internal: SocketAddr) -> Result<()> {
    until_done(async || Ok(Metrics::read(internal).await?.sum("spool_events") == 0.0)).await
}

async fn until_done(mut done: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !done().await? {
        if start.elapsed() > PATIENCE {
            return Err(format!("not done after {PATIENCE:?}").into());
        }
        sleep(GLANCE).await;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy(&entry.path(), &to)? } else { fs::copy(entry.path(), to).map(drop)? }
    }
    Ok(())
}

/// Messages that the producer gave up.
#[derive(Default)]
struct Refused(AtomicU64);

impl ClientContext for Refused {}

impl ProducerContext for Refused {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Messages as they were read from the topics, one behind the other.
#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
    kinds: Vec<Vec<u8>>,
    list: Vec<Position>,
}

#[derive(Clone, Copy)]
struct Position {
    topic: usize,
    kind: usize,
    start: usize,
    payload: usize,
    end: usize,
}

impl Messages {
    fn push(&mut self, topic: usize, kind: &[u8], key: &[u8], payload: &[u8]) {
        let kind = self.kinds.iter().position(|known| known == kind).unwrap_or_else(|| {
            self.kinds.push(kind.to_vec());
            self.kinds.len() - 1
        });
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let between = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.list.push(Position { topic, kind, start, payload: between, end: self.bytes.len() });
    }

    /// Key and payload.
    fn of(&self, message: &Position) -> (&[u8], &[u8]) {
        let part = |from, to| self.bytes.get(from..to).unwrap_or_default();
        (part(message.start, message.payload), part(message.payload, message.end))
    }

    /// In the order in which they were received, that is, in which our sink produces them.
    fn sort(&mut self) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Head {
            received: i64,
        }
        let received = |message: &Position| Ok::<_, Error>(serde_json::from_slice::<Head>(self.of(message).1)?.received);
        let mut list = self.list.iter().map(|message| Ok((received(message)?, *message))).collect::<Result<Vec<_>>>()?;
        list.sort_by_key(|(received, _)| *received);
        self.list = list.into_iter().map(|(_, message)| message).collect();
        Ok(())
    }
}

/// A proxy before the engine that keeps the inserts.
struct Recorder {
    addr: SocketAddr,
    shared: Arc<Recorded>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Recorded {
    inserts: Mutex<Inserts>,
    now: AtomicUsize,
}

#[derive(Clone, Default)]
struct Inserts {
    /// Path with query, and body.
    list: Vec<(String, Bytes)>,
    /// Most at the same time.
    together: usize,
}

impl Inserts {
    /// The same rows in fewer inserts of at least so many bytes: blocks of the Native format may follow one another.
    fn merged(self, bytes: usize) -> Inserts {
        let mut list: Vec<(String, Vec<u8>)> = Vec::new();
        for (path, body) in self.list {
            match list.last_mut().filter(|(_, before)| before.len() < bytes) {
                Some((_, before)) => before.extend_from_slice(&body),
                None => list.push((path, body.into())),
            }
        }
        Inserts { list: list.into_iter().map(|(path, body)| (path, body.into())).collect(), together: 2 }
    }
}

impl Recorder {
    async fn start(engine: SocketAddr) -> Result<Recorder> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let shared: Arc<Recorded> = Arc::default();
        let to = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let to = to.clone();
                let service = service_fn(move |request| pass_on(engine, to.clone(), request));
                tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Recorder { addr, shared, task })
    }

    fn end(self) -> Inserts {
        self.task.abort();
        std::mem::take(&mut *self.shared.inserts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn pass_on(engine: SocketAddr, to: Arc<Recorded>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let body = body.collect().await?.to_bytes();
    let is_insert = path.contains("INSERT+INTO+events+") || path.contains("INSERT%20INTO%20events%20");
    if is_insert {
        let together = to.now.fetch_add(1, Ordering::Relaxed) + 1;
        let mut inserts = to.inserts.lock().unwrap_or_else(PoisonError::into_inner);
        inserts.together = inserts.together.max(together);
        inserts.list.push((path.clone(), body.clone()));
    }
    let (mut sender, connection) = client::handshake(TokioIo::new(TcpStream::connect(engine).await?)).await?;
    // Its errors are those of the request.
    tokio::spawn(connection);
    let mut onward = Request::new(Full::new(body));
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = parts.uri;
    *onward.headers_mut() = parts.headers;
    // The body is whole now.
    onward.headers_mut().remove("transfer-encoding");
    let answer = sender.send_request(onward).await?;
    let (parts, body) = answer.into_parts();
    let mut back = Response::new(Full::new(body.collect().await?.to_bytes()));
    *back.status_mut() = parts.status;
    *back.headers_mut() = parts.headers;
    back.headers_mut().remove("transfer-encoding");
    if is_insert {
        to.now.fetch_sub(1, Ordering::Relaxed);
    }
    Ok(back)
}

/// CPU so far: of the subject, the broker, the engine and this program.
struct Meter {
    pids: [u32; 4],
    before: [Duration; 4],
    start: Instant,
}

impl Meter {
    fn end(self, events: u64) -> Round {
        let seconds = self.start.elapsed().as_secs_f64();
        let mut cpu = self
            .pids
            .map(cpu)
            .into_iter()
            .zip(self.before)
            .map(|(after, before)| after.saturating_sub(before).as_secs_f64() * 1e6 / events as f64);
        let mut next = || cpu.next().unwrap_or(f64::NAN);
        Round { per_second: events as f64 / seconds, cpu: next(), broker: next(), engine: next(), generator: next() }
    }
}

/// Events per second, and CPU in µs per event.
#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    cpu: f64,
    broker: f64,
    engine: f64,
    generator: f64,
}

impl Round {
    /// This program is the subject.
    fn without_generator(self) -> Round {
        Round { generator: 0.0, ..self }
    }
}

/// Rounds by what was measured, in the order of their first.
#[derive(Default)]
struct Table(Vec<(&'static str, Vec<Round>)>);

/// What a row means.
const ROWS: [(&str, &str); 9] = [
    ("raw", "librdkafka's producer from memory: the sink's settings and messages"),
    ("drain", "ours, spool to Kafka: a receiver that finds a full spool; from its first answer until the spool is empty"),
    ("receive", "ours, HTTP to Kafka: until the spool is empty again"),
    ("otel", "OpenTelemetry collector, one message for each event; no parsing of events, nothing on disk"),
    ("otelwhole", "the same with its default encoding, one message for each request"),
    ("nest", "NestJS on fastify, kafkajs; one message for each event, nothing on disk"),
    ("insert", "the consumer's inserts from memory, as many at the same time"),
    ("large", "the same rows from memory in inserts of 50,000, two at the same time"),
    ("consume", "ours, Kafka to ClickHouse: from the consumer's first answer until the query API counts all rows"),
];

impl Table {
    fn add(&mut self, name: &'static str, round: Round) {
        println!("{name:<10} {:>9.0}/s {:>7.2} µs", round.per_second, round.cpu);
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(round),
            None => self.0.push((name, vec![round])),
        }
    }

    fn median(&self, name: &str, of: impl Fn(&Round) -> f64) -> Option<f64> {
        let (_, rounds) = self.0.iter().find(|(known, _)| *known == name)?;
        let mut values: Vec<_> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// Largest distance from the median, as a share of it.
    fn spread(&self, name: &str, of: impl Fn(&Round) -> f64) -> f64 {
        let middle = self.median(name, &of).unwrap_or(f64::NAN);
        let rounds = self.0.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, rounds)| rounds);
        rounds.iter().map(|round| (of(round) / middle - 1.0).abs()).fold(0.0, f64::max)
    }

    fn print(&self, load: f64) {
        println!(
            "\n{:<10} {:>10} {:>7} {:>10} {:>7} {:>9} {:>9} {:>10}",
            "", "events/s", "spread", "CPU µs", "spread", "broker µs", "engine µs", "sender µs"
        );
        let mut noisy = load > 1.0;
        for (name, meaning) in ROWS {
            let Some(rate) = self.median(name, |round| round.per_second) else { continue };
            let value = |of: fn(&Round) -> f64| self.median(name, of).unwrap_or(f64::NAN);
            let spreads = [self.spread(name, |round| round.per_second), self.spread(name, |round| round.cpu)];
            noisy |= spreads.iter().any(|spread| *spread > 0.2);
            let [of_rate, of_cpu] = spreads.map(|spread| spread * 100.0);
            println!(
                "{name:<10} {rate:>10.0} {of_rate:>6.0}% {:>10.2} {of_cpu:>6.0}% {:>9.2} {:>9.2} {:>10.2}  {meaning}",
                value(|round| round.cpu),
                value(|round| round.broker),
                value(|round| round.engine),
                value(|round| round.generator),
            );
        }
        println!("CPU per event; of `raw` that of this program, of `insert` and `large` that of the engine.");
        if noisy {
            println!("noisy: a spread exceeds 20 %, or the machine was not idle at the start");
        }
        let rate = |name| self.median(name, |round: &Round| round.per_second);
        let cost = |name| self.median(name, |round: &Round| round.cpu);
        let ratio = |ours: Option<f64>, theirs: Option<f64>| Some(ours? / theirs?);
        let figures = [
            ("kafka.produce_ratio", ratio(rate("drain"), rate("raw")), "x"),
            ("kafka.receive_ratio", ratio(rate("receive"), rate("raw")), "x"),
            ("kafka.consume_ratio", ratio(rate("consume"), rate("insert")), "x"),
            ("kafka.receiver_cpu_us_per_event", cost("receive"), "us"),
            ("kafka.events_per_second", rate("receive"), "events/s"),
            ("kafka.drain_cpu_us_per_event", cost("drain"), "us"),
            ("kafka.drain_events_per_second", rate("drain"), "events/s"),
            ("kafka.raw_cpu_us_per_event", cost("raw"), "us"),
            ("kafka.raw_messages_per_second", rate("raw"), "messages/s"),
            ("kafka.read_cpu_us_per_event", cost("read"), "us"),
            ("kafka.consumer_cpu_us_per_event", cost("consume"), "us"),
            ("kafka.consumer_rows_per_second", rate("consume"), "rows/s"),
            ("kafka.insert_rows_per_second", rate("insert"), "rows/s"),
            ("kafka.insert_large_rows_per_second", rate("large"), "rows/s"),
            ("kafka.otel_cpu_us_per_event", cost("otel"), "us"),
            ("kafka.otel_events_per_second", rate("otel"), "events/s"),
            ("kafka.otel_whole_cpu_us_per_event", cost("otelwhole"), "us"),
            ("kafka.otel_whole_events_per_second", rate("otelwhole"), "events/s"),
            ("kafka.nest_cpu_us_per_event", cost("nest"), "us"),
            ("kafka.nest_events_per_second", rate("nest"), "events/s"),
        ];
        for (name, value, unit) in figures {
            if let Some(value) = value {
                figure(name, value, unit);
            }
        }
    }
}
