//! Starts the helper process, and what every test needs to talk to it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use monitor_core::{
    Batch, BatchId, Counts, Document, Envelope, Event, EventId, Integration, Kind, Labelled, Origin, Scope, Setup, Sink, Store,
    query::{EventPage, EventQuery, Query, Table},
};
use monitor_sink_clickhouse::ClickHouse;
use serde_json::{Value, json};

/// Noon of a day, ms: events of the tests lie around it.
pub(crate) const NOON: i64 = 1_732_104_000_000;
pub(crate) const DAY: i64 = 86_400_000;

/// A running helper. Killed when dropped.
pub(crate) struct Engine {
    child: Child,
    pub(crate) address: String,
}

impl Engine {
    /// Starts a helper on a data directory.
    pub(crate) fn start(data: &Path, listen: &str) -> Engine {
        let mut child = Command::new(program())
            .args(["serve", "--listen", listen, "--threads", "1", "--max-memory", "3000000000", "--path"])
            .arg(data)
            // The helper ends when this closes, so also when the test process is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the helper starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("the helper says where it listens").unwrap();
        let address = line.strip_prefix("listening ").expect("the helper says where it listens").to_owned();
        Engine { child, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// A directory that is removed when dropped.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Directory {
        let path = std::env::temp_dir().join(format!("monitor-clickhouse-{}-{}", std::process::id(), unique()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _may_be_in_use = std::fs::remove_dir_all(&self.0);
    }
}

/// The helper's program, built and with its engine fetched.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = std::env::var_os("MONITOR_ENGINE").map_or_else(build, PathBuf::from);
        let fetched = Command::new(&program).arg("fetch").stdout(Stdio::null()).status().expect("the helper runs");
        assert!(fetched.success(), "the engine cannot be fetched");
        program
    })
}

fn build() -> PathBuf {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/engine/Cargo.toml");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--bin", "monitor-engine", "--message-format=json-render-diagnostics", "--manifest-path", manifest])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "the helper does not build");
    let messages = String::from_utf8(built.stdout).unwrap();
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.expect("cargo names the helper's program")
}

/// The engine that tests share; each has a database of its own.
pub(crate) fn shared() -> &'static Engine {
    static SHARED: OnceLock<(Directory, Engine)> = OnceLock::new();
    &SHARED
        .get_or_init(|| {
            let directory = Directory::new();
            let engine = Engine::start(&directory.0, "127.0.0.1:0");
            (directory, engine)
        })
        .1
}

fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Sink and store of one process that writes to a database.
pub(crate) struct Monitor {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) admin: clickhouse::Client,
}

impl Monitor {
    /// On a new database of the shared engine.
    pub(crate) fn new() -> Monitor {
        Monitor::on(&shared().url(), &format!("test_{}", unique()))
    }

    /// What a restart of the process gives: same database, nothing remembered.
    pub(crate) fn on(url: &str, database: &str) -> Monitor {
        Monitor::with(configuration(url, database), url, database)
    }

    pub(crate) fn with(clickhouse: ClickHouse, url: &str, database: &str) -> Monitor {
        let mut setup = Setup::new(Arc::new(Counts::new()));
        Box::new(clickhouse).install(&mut setup).unwrap();
        let admin = clickhouse::Client::default().with_url(url).with_database(database).with_compression(clickhouse::Compression::None);
        Monitor { sink: setup.sinks.remove(0), store: setup.store.unwrap(), counts: setup.counts, admin }
    }

    /// Another process on the same database.
    pub(crate) fn again(&self) -> Monitor {
        Monitor::on(&shared().url(), self.admin.database().unwrap())
    }

    pub(crate) async fn write(&self, batch: &Batch) {
        self.sink.write(batch).await.unwrap_or_else(|error| panic!("{}", error.report()));
    }

    /// Rows in the table.
    pub(crate) async fn rows(&self) -> u64 {
        self.admin.query("SELECT count() FROM events").fetch_one().await.unwrap()
    }

    pub(crate) fn duplicates(&self, stage: &str) -> u64 {
        self.counts.labelled(Labelled::Duplicate, stage)
    }

    /// Asks about project `shop` around noon, with the given members in addition.
    pub(crate) async fn ask(&self, members: Value) -> Table {
        let query: Query = serde_json::from_value(question(members)).unwrap();
        self.store.query(&Scope::All, &query).await.unwrap()
    }

    /// The only cell of the answer's only row.
    pub(crate) async fn one(&self, members: Value) -> Value {
        let table = self.ask(members).await;
        assert_eq!(table.rows.len(), 1, "{table:?}");
        table.rows[0].last().unwrap().clone()
    }

    pub(crate) async fn events(&self, members: Value) -> EventPage {
        let query: EventQuery = serde_json::from_value(question(members)).unwrap();
        self.store.events(&Scope::All, &query).await.unwrap()
    }

    /// All events around noon, as JSON.
    pub(crate) async fn documents(&self) -> Vec<Value> {
        let page = self.events(json!({"order": "oldest", "limit": 10_000})).await;
        page.events.iter().map(|document| serde_json::to_value(document).unwrap()).collect()
    }
}

/// Without retention, because the tests' events are years old, without work in the background, which tests do by hand, and without flushing, because nobody pulls the plug.
pub(crate) fn configuration(url: &str, database: &str) -> ClickHouse {
    ClickHouse::new(url).database(database).retention_days(0).rollup_retention_days(0).rollups(false).fsync(false)
}

pub(crate) fn question(members: Value) -> Value {
    let mut question = json!({"project": "shop", "from": NOON - 10 * DAY, "to": NOON + 100 * DAY});
    question.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    question
}

/// An event of kind `track` at noon; `change` makes it another.
pub(crate) fn event(id: u128, change: impl FnOnce(&mut Event)) -> Event {
    let mut event = Event::new(EventId(id), NOON, Kind::Track, "x");
    change(&mut event);
    event
}

/// A request of project `shop`.
pub(crate) fn request(events: Vec<Event>) -> Envelope {
    Envelope { origin: Origin::new("shop", NOON + 500), events }
}

pub(crate) fn batch(id: &str, envelopes: Vec<Envelope>) -> Batch {
    Batch::new(BatchId::new(id), envelopes)
}

/// What should come back for a batch, as JSON, in order of time.
pub(crate) fn expected(batch: &Batch) -> Vec<Value> {
    let mut documents: Vec<Document> = batch.events().map(|(origin, event)| Document::new(origin, event)).collect();
    documents.sort_by_key(|document| document.time);
    documents.iter().map(|document| serde_json::to_value(document).unwrap()).collect()
}

/// Not bound to a database.
pub(crate) fn shared_admin() -> clickhouse::Client {
    clickhouse::Client::default().with_url(shared().url()).with_compression(clickhouse::Compression::None)
}
