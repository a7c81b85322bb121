//! Starts the real program with the real engine library and talks to it as clients do.
//!
//! The library is fetched first if it is not there (`npm` and some minutes the first time).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clickhouse::native::builder::BlockBuilder;
use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_monitor-engine");

fn fetch() {
    static FETCHED: OnceLock<()> = OnceLock::new();
    FETCHED.get_or_init(|| {
        let output = Command::new(PROGRAM).arg("fetch").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

/// A running engine. Dropped, it is killed.
struct Engine {
    child: Child,
    stdin: Option<ChildStdin>,
    address: String,
}

impl Engine {
    fn start(path: &Path, arguments: &[&str]) -> Self {
        Self::start_with(path, arguments, None).unwrap()
    }

    /// `Err`: what it wrote to stderr before it ended.
    fn start_with(path: &Path, arguments: &[&str], password: Option<&str>) -> Result<Self, String> {
        fetch();
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg("--path").arg(path).args(["--threads", "2", "--max-memory", "2000000000"]).args(arguments);
        command.env_remove("MONITOR_ENGINE_PASSWORD").envs(password.map(|password| ("MONITOR_ENGINE_PASSWORD", password)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        match line.trim_end().strip_prefix("listening ") {
            Some(address) => Ok(Self { stdin: child.stdin.take(), child, address: address.to_owned() }),
            None => {
                let mut errors = String::new();
                child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                child.wait().unwrap();
                Err(errors)
            }
        }
    }

    /// The unmodified client, without compression as towards any server on loopback.
    fn client(&self) -> Client {
        Client::default().with_url(format!("http://{}", self.address)).with_compression(Compression::None)
    }

    /// One request, byte for byte; the whole answer.
    fn raw(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> String {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(socket, "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n").unwrap();
        socket.write_all(body).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn post(&self, target: &str, body: &str) -> String {
        self.raw("POST", target, "", body.as_bytes())
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn wait(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the engine is still running");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[derive(Row, Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Sample {
    day: u8,
    name: String,
    value: u64,
}

fn sample(day: u8, value: u64) -> Sample {
    Sample { day, name: format!("n{value}"), value }
}

async fn create(client: &Client) {
    let sql = "CREATE TABLE samples (day UInt8, name String, value UInt64) ENGINE = MergeTree PARTITION BY day ORDER BY value \
               SETTINGS non_replicated_deduplication_window = 100";
    client.query(sql).execute().await.unwrap();
}

async fn insert(client: &Client, token: Option<&str>, rows: &[Sample]) -> clickhouse::error::Result<()> {
    let mut insert = client.insert::<Sample>("samples").await?.with_setting("async_insert", "0");
    if let Some(token) = token {
        insert = insert.with_setting("insert_deduplication_token", token);
    }
    for row in rows {
        insert.write(row).await?;
    }
    insert.end().await
}

async fn values(client: &Client) -> Vec<u64> {
    client.query("SELECT value FROM samples ORDER BY value").fetch_all().await.unwrap()
}

#[tokio::test]
async fn the_unmodified_client_inserts_selects_binds_and_reports_errors() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    for compression in [Compression::None, Compression::Lz4] {
        let client = engine.client().with_compression(compression);
        create(&client).await;
        insert(&client, None, &[sample(1, 1), sample(2, 2)]).await.unwrap();

        let rows: Vec<Sample> = client.query("SELECT ?fields FROM samples WHERE value = ?").bind(2).fetch_all().await.unwrap();
        assert_eq!(rows, [sample(2, 2)]);
        let bound: u64 =
            client.query("SELECT value FROM samples WHERE name = {name:String}").param("name", "n1").fetch_one().await.unwrap();
        assert_eq!(bound, 1);

        let error = client.query("SELECT nonsense FROM samples").fetch_one::<u64>().await.unwrap_err().to_string();
        assert!(error.contains("Code: 47. DB::Exception:") && error.contains("UNKNOWN_IDENTIFIER"), "{error}");
        let error = client.query("SELECT * FROM missing").fetch_one::<u64>().await.unwrap_err().to_string();
        assert!(error.contains("Code: 60."), "{error}");
        client.query("DROP TABLE samples SYNC").execute().await.unwrap();
    }
}

#[tokio::test]
async fn native_blocks_are_inserted() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    let client = engine.client();
    create(&client).await;
    let count = 200_000;
    let mut block = BlockBuilder::new();
    block.upsert_column::<u8>("day").unwrap().add_all((0..count).map(|number| (number % 3) as u8)).unwrap();
    block.upsert_column::<String>("name").unwrap().add_all((0..count).map(|number| format!("n{number}"))).unwrap();
    block.upsert_column::<u64>("value").unwrap().add_all(0..count).unwrap();
    let block = block.build().unwrap();
    let mut insert = client.insert_native("samples").with_setting("async_insert", "0");
    insert.write(&block).await.unwrap();
    insert.end().await.unwrap();
    let (rows, sum): (u64, u64) = client.query("SELECT count(), sum(value) FROM samples").fetch_one().await.unwrap();
    assert_eq!((rows, sum), (count, count * (count - 1) / 2));
}

#[tokio::test]
async fn a_row_that_does_not_match_the_table_is_refused_by_validation() {
    #[derive(Row, Serialize)]
    struct Wrong {
        day: u8,
        name: u32,
        value: u64,
    }
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    let client = engine.client();
    create(&client).await;
    let mut insert = client.insert::<Wrong>("samples").await.unwrap();
    // The client's validation panics on a mismatch; that it can is the proof that it read the table's structure.
    let refused = tokio::spawn(async move {
        insert.write(&Wrong { day: 1, name: 2, value: 3 }).await?;
        insert.end().await
    });
    assert!(!matches!(refused.await, Ok(Ok(()))));
    assert!(values(&client).await.is_empty());
}

#[tokio::test]
async fn data_survives_a_kill() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    create(&engine.client()).await;
    for value in 0..20 {
        insert(&engine.client(), None, &[sample(1, value)]).await.unwrap();
    }
    engine.kill();
    let engine = Engine::start(directory.path(), &[]);
    assert_eq!(values(&engine.client()).await, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_token_sent_again_after_a_kill_stores_nothing() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    create(&engine.client()).await;
    let rows = [sample(1, 1), sample(2, 2)];
    insert(&engine.client(), Some("batch-1"), &rows).await.unwrap();
    insert(&engine.client(), Some("batch-1"), &rows).await.unwrap();
    engine.kill();
    let engine = Engine::start(directory.path(), &[]);
    insert(&engine.client(), Some("batch-1"), &rows).await.unwrap();
    assert_eq!(values(&engine.client()).await, [1, 2]);
    insert(&engine.client(), Some("batch-2"), &rows).await.unwrap();
    assert_eq!(values(&engine.client()).await, [1, 1, 2, 2]);
}

/// What the writer leans on: an insert whose first attempt stored only some partitions is completed by sending it again.
#[tokio::test]
async fn a_token_is_remembered_per_partition() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    create(&engine.client()).await;
    let (a, b) = (sample(1, 1), sample(2, 2));
    insert(&engine.client(), Some("batch"), std::slice::from_ref(&a)).await.unwrap();
    engine.kill();
    let engine = Engine::start(directory.path(), &[]);
    let client = engine.client();
    insert(&client, Some("batch"), &[a.clone(), b.clone()]).await.unwrap();
    assert_eq!(values(&client).await, [1, 2], "partition 1 is known, partition 2 is new");
    insert(&client, Some("batch"), &[a, b]).await.unwrap();
    assert_eq!(values(&client).await, [1, 2]);
    // The trap in it: the token alone decides, not the rows.
    insert(&client, Some("batch"), &[sample(1, 99)]).await.unwrap();
    assert_eq!(values(&client).await, [1, 2]);
}

#[tokio::test]
async fn a_half_sent_insert_stores_nothing() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    let client = engine.client();
    create(&client).await;
    // Two million rows are more than one block of the engine: streamed, the first block would be stored.
    let rows: String = (0..2_000_000).map(|value| format!("1\tn\t{value}\n")).collect();
    let mut socket = TcpStream::connect(&engine.address).unwrap();
    let target = "/?query=INSERT+INTO+samples+FORMAT+TSV";
    write!(socket, "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", rows.len() + 1).unwrap();
    socket.write_all(rows.as_bytes()).unwrap();
    drop(socket);
    let mut socket = TcpStream::connect(&engine.address).unwrap();
    write!(socket, "POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n1\tn\t5\n\r\n").unwrap();
    drop(socket);

    // An insert of the client that is dropped without its end.
    let mut insert = client.insert::<Sample>("samples").await.unwrap();
    insert.write(&sample(1, 7)).await.unwrap();
    drop(insert);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(values(&client).await.is_empty());
    // The same body with its last byte is an insert.
    assert!(engine.post(target, &rows).starts_with("HTTP/1.1 200"));
    assert_eq!(values(&client).await.len(), 2_000_000);
}

#[tokio::test]
async fn parameters_carry_any_text() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    let client = engine.client();
    for text in
        ["it's", "back\\slash", "\\'; DROP TABLE samples; --", "tab\tline\nfeed", "nul\0byte", "\\N", "{x:String}", "日本語 🎉", "", "`\"?"]
    {
        let (echo, length): (String, u64) = client
            .query("SELECT {x:String}, length({x:String})")
            .param("x", text)
            .fetch_one()
            .await
            .unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!((echo.as_str(), length), (text, text.len() as u64));
        // In the URL the value has TSV's escapes.
        let escaped = text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\0', "\\0");
        let encoded: String = escaped.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = engine.post(&format!("/?param_x={encoded}"), "SELECT length({x:String}) AS length FORMAT JSONEachRow");
        assert!(
            answer.contains(&format!("{{\"length\":{}}}", text.len())) || answer.contains(&format!("{{\"length\":\"{}\"}}", text.len())),
            "{answer}"
        );
    }
}

/// Rows in many parts arrive in many blocks, each of which the library writes as a document of its own.
#[tokio::test]
async fn a_result_of_many_blocks_is_one_document() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    let client = engine.client();
    create(&client).await;
    for value in 0..10 {
        insert(&client, None, &[sample(value as u8, value)]).await.unwrap();
    }
    let sql = "SELECT number AS value FROM numbers(300000) SETTINGS max_block_size = 1000";
    assert_eq!(client.query(sql).fetch_all::<u64>().await.unwrap(), (0..300_000).collect::<Vec<_>>());
    assert_eq!(values(&client).await, (0..10).collect::<Vec<_>>());
    let body = |format: &str| {
        let answer =
            engine.raw("POST", &format!("/?default_format={format}&wait_end_of_query=1"), "", b"SELECT value FROM samples ORDER BY value");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    assert_eq!(body("CSVWithNames").matches("\"value\"").count(), 1);
    assert_eq!(body("JSON").matches("\"meta\"").count(), 1);
    assert_eq!(body("JSONEachRow").matches("value").count(), 10);
    assert_eq!(body("RowBinaryWithNames").matches("value").count(), 1);
    assert_eq!(body("Values").matches("),(").count(), 9);
    assert_eq!(body("Parquet").matches("PAR1").count(), 2);
}

#[tokio::test]
async fn queries_run_in_parallel() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    let started = Instant::now();
    let queries: Vec<_> = (0..4)
        .map(|_| {
            let client = engine.client();
            tokio::spawn(async move { client.query("SELECT sleep(1)").fetch_one::<u8>().await })
        })
        .collect();
    for query in queries {
        query.await.unwrap().unwrap();
    }
    assert!(started.elapsed() < Duration::from_millis(2500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_request_beyond_the_queue_is_told_to_come_again() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &["--connections", "1", "--queue", "1", "--patience", "300"]);
    let client = engine.client();
    let busy = tokio::spawn(async move { client.query("SELECT sleep(2)").fetch_one::<u8>().await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answer = engine.post("/", "SELECT 1");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("Code: 202. DB::Exception:"), "{answer}");
    busy.await.unwrap().unwrap();
    assert!(engine.post("/", "SELECT 1").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_error_leaves_the_connection_usable() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &["--connections", "1"]);
    let client = engine.client();
    create(&client).await;
    let failing: [(&str, &str, &str); 9] = [
        ("/", "SELECT nonsense", "Code: 47."),
        ("/", "SELEC 1", "Code: 62."),
        ("/", "SELECT 1; DROP TABLE samples", "Code: 62."),
        ("/", "DROP TABLE samples; rubbish", "Code: 62."),
        ("/?no_such_setting=1", "SELECT 1", "Code: 115."),
        ("/?max_threads=x", "SELECT 1", "DB::Exception:"),
        ("/?database=missing", "SELECT 1", "Code: 81."),
        ("/?query=INSERT+INTO+missing+FORMAT+TSV", "1\n", "Code: 60."),
        ("/?query=INSERT+INTO+samples+FORMAT+TSV", "1\tn\t1\nrubbish\n", "DB::Exception:"),
    ];
    for (number, (target, body, expect)) in (0..).zip(failing) {
        let answer = engine.post(target, body);
        assert!(answer.contains(expect) && !answer.starts_with("HTTP/1.1 200"), "{target} {body}: {answer}");
        insert(&client, None, &[sample(1, number)]).await.unwrap();
    }
    assert_eq!(values(&client).await, (0..9).collect::<Vec<_>>());
    let error =
        client.query("SELECT throwIf(number = 150000) FROM numbers(200000) SETTINGS max_block_size = 10000").fetch_all::<u8>().await;
    assert!(error.unwrap_err().to_string().contains("Code: 395."), "an error after the first rows reaches the client");
    assert_eq!(values(&client).await.len(), 9);
}

#[tokio::test]
async fn settings_and_database_hold_for_one_request() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &["--connections", "1"]);
    let ask = |target: &str, sql: &str| engine.post(target, sql);
    assert!(ask("/", "CREATE DATABASE other").starts_with("HTTP/1.1 200"));
    assert!(ask("/?max_threads=1&database=other", "SELECT 'is', getSetting('max_threads'), currentDatabase()").contains("is\t1\tother"));
    assert!(ask("/", "SELECT 'is', getSetting('max_threads'), currentDatabase()").contains("is\t2\tdefault"));
    assert!(ask("/?allow_ddl=0&readonly=1", "SELECT 'is', getSetting('allow_ddl')").contains("is\tfalse"));
    assert!(ask("/", "CREATE TABLE t (a UInt8) ENGINE = Memory").starts_with("HTTP/1.1 200"));
    assert!(ask("/", "SET max_threads = 1").contains("Code: 48."));
    assert!(ask("/", "USE other").contains("Code: 48."));
    assert!(ask("/", "/* */ system  shutdown").contains("Code: 48."));
}

#[tokio::test]
async fn a_get_request_changes_nothing() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    create(&engine.client()).await;
    for sql in
        ["DROP+TABLE+samples", "INSERT+INTO+samples+VALUES+(1,'a',1)", "TRUNCATE+samples", "DROP+TABLE+samples;rubbish", "SYSTEM+SHUTDOWN"]
    {
        let answer = engine.raw("GET", &format!("/?query={sql}"), "", b"");
        assert!(!answer.starts_with("HTTP/1.1 200") && answer.contains("DB::Exception"), "{sql}: {answer}");
    }
    assert!(engine.raw("GET", "/?query=SELECT+41%2B1", "", b"").contains("\r\n42\n"));
    assert!(values(&engine.client()).await.is_empty());
}

#[tokio::test]
async fn inserts_without_a_body_run_as_they_are() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    let client = engine.client();
    create(&client).await;
    client.query("INSERT INTO samples SELECT 1, 'n', number FROM numbers(3)").execute().await.unwrap();
    client.query("INSERT INTO samples VALUES (1, concat('a', 'b'), 3), (1, 'n', 4)").execute().await.unwrap();
    let answer = engine.post("/", "INSERT INTO samples FORMAT JSONEachRow\n{\"day\":1,\"name\":\"n\",\"value\":5}\n");
    assert!(answer.contains("\"written_rows\":\"1\""), "{answer}");
    let answer = engine.post("/?query=INSERT+INTO+samples+(value)", "VALUES (6)");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(values(&client).await, [0, 1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn only_the_password_opens_the_engine() {
    let directory = directory();
    let engine = Engine::start_with(directory.path(), &[], Some("s3cret")).unwrap();
    let answer = engine.post("/", "SELECT 1");
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("x-clickhouse-exception-code: 516"), "{answer}");
    assert!(engine.raw("GET", "/ping", "", b"").ends_with("Ok.\n"));
    let one: u8 = engine.client().with_user("default").with_password("s3cret").query("SELECT 1").fetch_one().await.unwrap();
    assert_eq!(one, 1);
    let wrong = engine.client().with_user("default").with_password("other").query("SELECT 1").fetch_one::<u8>().await;
    assert!(wrong.unwrap_err().to_string().contains("Code: 516."));
}

#[tokio::test]
async fn web_pages_sessions_and_unknown_paths_are_refused() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    let answer = engine.raw("POST", "/", "Origin: http://evil.example\r\n", b"SELECT 1");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let answer = engine.post("/?session_id=x", "SELECT 1");
    assert!(answer.starts_with("HTTP/1.1 501") && answer.contains("session_id"), "{answer}");
    assert!(engine.post("/other", "").starts_with("HTTP/1.1 404"));
    let answer = engine.post("/?query_id=abc&default_format=JSON", "SELECT 1");
    assert!(answer.contains("x-clickhouse-query-id: abc") && answer.contains("x-clickhouse-format: JSON"), "{answer}");
}

#[tokio::test]
async fn a_second_process_on_the_data_is_refused() {
    let directory = directory();
    let engine = Engine::start(directory.path(), &[]);
    let Err(error) = Engine::start_with(directory.path(), &[], None) else { panic!("two processes share the data") };
    assert!(error.contains("used by another process"), "{error}");
    assert!(engine.post("/", "SELECT 1").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn it_ends_in_order_when_its_parent_is_gone() {
    let directory = directory();
    let mut engine = Engine::start(directory.path(), &[]);
    create(&engine.client()).await;
    insert(&engine.client(), None, &[sample(1, 1)]).await.unwrap();
    drop(engine.stdin.take());
    assert!(engine.wait(Duration::from_secs(15)).success());
    let engine = Engine::start(directory.path(), &[]);
    assert_eq!(values(&engine.client()).await, [1]);
}

#[cfg(unix)]
#[tokio::test]
async fn it_ends_although_all_its_sockets_are_taken() {
    let directory = directory();
    let mut engine = Engine::start(directory.path(), &[]);
    // More than are served at a time; each has begun a request, so that it stays.
    let sockets: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut socket = TcpStream::connect(&engine.address).unwrap();
            socket.write_all(b"POST / HTTP/1.1\r\n").unwrap();
            socket
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    drop(engine.stdin.take());
    engine.wait(Duration::from_secs(15));
    drop(sockets);
}

#[tokio::test]
async fn it_ends_in_order_when_asked_to_and_lets_a_request_finish() {
    let directory = directory();
    let mut engine = Engine::start(directory.path(), &[]);
    let client = engine.client();
    let running = tokio::spawn(async move { client.query("SELECT sleep(1)").fetch_one::<u8>().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let killed = Command::new("kill").arg("-TERM").arg(engine.child.id().to_string()).status().unwrap();
    assert!(killed.success());
    running.await.unwrap().unwrap();
    assert!(engine.wait(Duration::from_secs(15)).success());
}

#[test]
fn a_missing_library_names_the_command() {
    let output = Command::new(PROGRAM)
        .args(["serve", "--path"])
        .arg(directory().path())
        .env("MONITOR_LIBCHDB", "/nonexistent/libchdb.so")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("monitor-engine fetch"), "{errors}");
}

#[cfg(unix)]
#[test]
fn a_package_with_another_checksum_is_not_installed() {
    use std::os::unix::fs::PermissionsExt;

    let directory = directory();
    let fake = directory.path().join("npm");
    std::fs::write(&fake, "#!/bin/sh\necho something else > package.tgz\n").unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let engines = directory.path().join("engines");
    let path = std::env::join_paths(
        std::iter::once(directory.path().to_path_buf()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = Command::new(PROGRAM).args(["fetch", "--dir"]).arg(&engines).env("PATH", path.unwrap()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("checksum"), "{errors}");
    let located = Command::new(PROGRAM).args(["locate", "--dir"]).arg(&engines).env_remove("MONITOR_LIBCHDB").output().unwrap();
    assert!(!located.status.success());
    assert!(std::fs::read_dir(&engines).unwrap().flatten().all(|entry| entry.path().extension().is_some_and(|name| name == "lock")));
}
