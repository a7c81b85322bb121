//! Run the real helper with the real engine library: `MONITOR_ENGINE` names the helper, or it is found beside the test.

use super::*;

use std::process::Command as StdCommand;
use std::sync::OnceLock;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A directory of its own for each test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("monitor-embedded-{name}-{}", random_password().unwrap()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn builder(directory: &Directory) -> EmbeddedEngineBuilder {
    static FETCHED: OnceLock<()> = OnceLock::new();
    FETCHED.get_or_init(|| {
        let helper = find_helper(None).expect("build the helper first: cargo build -p monitor-engine");
        let fetched = StdCommand::new(helper).arg("fetch").output().unwrap();
        assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    });
    EmbeddedEngine::builder(&directory.0).threads(2).max_memory(1_500_000_000)
}

async fn ask(engine: &EmbeddedEngine, password: &str, sql: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(engine.address()).await?;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-ClickHouse-User: {}\r\nX-ClickHouse-Key: {password}\r\nContent-Length: {}\r\n\r\n{sql}",
        engine.user(),
        sql.len(),
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn query(engine: &EmbeddedEngine, sql: &str) -> String {
    let answer = ask(engine, engine.password(), sql).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{sql}: {answer}");
    answer
}

fn kill_9(pid: u32) {
    assert!(StdCommand::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

fn is_alive(pid: u32) -> bool {
    StdCommand::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}

/// Waits until a new helper, not `old`, answers.
async fn restarted(engine: &EmbeddedEngine, old: u32) -> u32 {
    let mut pid = engine.pid.clone();
    let wait = pid.wait_for(|pid| pid.is_some_and(|pid| pid != old));
    timeout(Duration::from_secs(30), wait).await.unwrap().unwrap().unwrap()
}

#[tokio::test]
async fn a_killed_engine_comes_back_on_the_same_url_with_its_data() {
    let directory = Directory::new("kill");
    let engine = builder(&directory).start().await.unwrap();
    assert!(engine.ready().await);
    query(&engine, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a").await;
    let (url, mut pid) = (engine.url(), engine.pid().unwrap());
    for round in 1..=3 {
        query(&engine, &format!("INSERT INTO t VALUES ({round})")).await;
        kill_9(pid);
        pid = restarted(&engine, pid).await;
        assert_eq!(engine.url(), url);
        assert!(query(&engine, "SELECT 'rows', count() FROM t").await.contains(&format!("rows\t{round}")));
    }
    assert!(engine.ready().await);
    assert!(
        timeout(Duration::from_secs(5), async {
            while engine.restarts() != 3 {
                sleep(Duration::from_millis(5)).await
            }
        })
        .await
        .is_ok()
    );
    assert!(engine.storage_bytes().await.unwrap() > 0);
    assert!(engine.shutdown(Duration::from_secs(15)).await);
    assert!(!is_alive(pid) && engine.pid().is_none() && !engine.ready().await);
    assert!(engine.shutdown(Duration::from_secs(1)).await, "a second shutdown finds nothing to do");
}

#[tokio::test]
async fn an_engine_whose_port_was_taken_comes_back_on_another() {
    let directory = Directory::new("port");
    let engine = builder(&directory).start().await.unwrap();
    let (address, pid) = (engine.address(), engine.pid().unwrap());
    kill_9(pid);
    let thief = timeout(Duration::from_secs(5), async {
        loop {
            match TcpListener::bind(address) {
                Ok(listener) => return listener,
                Err(_) => sleep(Duration::from_millis(1)).await,
            }
        }
    });
    let _thief = thief.await.unwrap();
    restarted(&engine, pid).await;
    assert_ne!(engine.address(), address);
    query(&engine, "SELECT 1").await;
    engine.shutdown(Duration::from_secs(15)).await;
}

#[tokio::test]
async fn only_the_password_opens_it() {
    let directory = Directory::new("password");
    let engine = builder(&directory).start().await.unwrap();
    assert!(ask(&engine, "", "SELECT 1").await.unwrap().starts_with("HTTP/1.1 403"));
    assert!(ask(&engine, "wrong", "SELECT 1").await.unwrap().starts_with("HTTP/1.1 403"));
    assert!(
        !format!("{:?}", StdCommand::new("ps").args(["-o", "args=", "-p", &engine.pid().unwrap().to_string()]).output())
            .contains(engine.password())
    );
    query(&engine, "SELECT 1").await;
    engine.shutdown(Duration::from_secs(15)).await;
}

#[tokio::test]
async fn a_dropped_engine_ends_its_helper() {
    let directory = Directory::new("drop");
    let engine = builder(&directory).start().await.unwrap();
    let pid = engine.pid().unwrap();
    drop(engine);
    let gone = timeout(Duration::from_secs(15), async {
        while is_alive(pid) {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(gone.await.is_ok());
}

#[tokio::test]
async fn a_start_waits_for_its_predecessor_on_the_same_data() {
    let directory = Directory::new("predecessor");
    let first = builder(&directory).start().await.unwrap();
    query(&first, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a").await;
    let second = tokio::spawn(builder(&directory).start());
    sleep(Duration::from_millis(500)).await;
    assert!(!second.is_finished());
    assert!(first.shutdown(Duration::from_secs(15)).await);
    let second = second.await.unwrap().unwrap();
    query(&second, "SELECT count() FROM t").await;
    second.shutdown(Duration::from_secs(15)).await;
}

#[tokio::test]
async fn a_shutdown_that_takes_too_long_kills() {
    let directory = Directory::new("slow");
    let engine = builder(&directory).start().await.unwrap();
    let pid = engine.pid().unwrap();
    let mut socket = TcpStream::connect(engine.address()).await.unwrap();
    let request =
        format!("POST / HTTP/1.1\r\nHost: x\r\nX-ClickHouse-Key: {}\r\nContent-Length: 15\r\n\r\nSELECT sleep(3)", engine.password());
    socket.write_all(request.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    let started = Instant::now();
    assert!(!engine.shutdown(Duration::from_millis(200)).await);
    assert!(started.elapsed() < Duration::from_secs(2) && !is_alive(pid));
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_command_that_brings_it() {
    let directory = Directory::new("missing");
    let error = EmbeddedEngine::builder(&directory.0).helper("/nonexistent/monitor-engine").start().await.unwrap_err();
    assert!(matches!(error, EmbeddedError::HelperMissing { .. }), "{error}");
    assert!(error.to_string().contains("cargo install monitor-engine"), "{error}");
    let error = builder(&directory).environment("MONITOR_LIBCHDB", "/nonexistent/libchdb.so").start().await.unwrap_err();
    assert!(matches!(error, EmbeddedError::LibraryMissing { .. }), "{error}");
    assert!(error.to_string().contains("monitor-engine fetch"), "{error}");
}

#[tokio::test]
async fn long_lines_are_cut() {
    let text = format!("a\n\n{}\nlast", "x".repeat(5000));
    let mut lines = Lines::new(text.as_bytes());
    assert_eq!(lines.next().await.as_deref(), Some("a"));
    assert_eq!(lines.next().await.map(|line| line.len()), Some(MAX_LINE));
    assert_eq!(lines.next().await.as_deref(), Some("last"));
    assert_eq!(lines.next().await, None);
}
