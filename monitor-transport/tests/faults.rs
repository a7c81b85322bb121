//! Processes that die, disks that fail: this test starts itself again as a child and looks at what is left.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)] // a test may fail loudly

mod common;

use std::{
    collections::{BTreeSet, HashMap},
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use common::*;
use monitor_core::{Batch, Counts, Sink, Transport, WriteError};

/// Appends a line per batch to a file, as a database would keep it; every third write fails.
struct Ledger {
    file: Mutex<fs::File>,
    writes: AtomicU64,
}

impl Ledger {
    fn open(path: &Path) -> Ledger {
        let file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        Ledger { file: Mutex::new(file), writes: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Sink for Ledger {
    fn name(&self) -> &str {
        "main"
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        if self.writes.fetch_add(1, SeqCst) % 3 == 2 {
            return Err(WriteError::retryable("every third"));
        }
        let ids: Vec<_> = ids(std::slice::from_ref(batch)).iter().map(u128::to_string).collect();
        self.file.lock().unwrap().write_all(format!("{} {}\n", batch.id(), ids.join(",")).as_bytes()).unwrap();
        Ok(())
    }
}

/// The child: opens the spool (twice at most), sends from several tasks, and prints what was acknowledged.
async fn child(dir: PathBuf, from: u128, count: u128) {
    let sinks = || vec![Arc::new(Ledger::open(&dir.with_extension("ledger"))) as Arc<dyn Sink>];
    let open = || builder(&dir).commit_delay(Duration::from_millis(1)).open(sinks(), Arc::new(Counts::new()));
    let spool = match open().await {
        Ok(spool) => spool,
        Err(error) => {
            println!("\nrefused {error}");
            open().await.unwrap()
        }
    };
    println!("\nready");
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let spool = spool.clone();
            tokio::spawn(async move {
                for n in (from..from + count).filter(|n| n % 4 == sender) {
                    match spool.send(pair(n)).await {
                        Ok(()) => println!("ack {n}"),
                        Err(error) => println!("failed {n} {error:?}"),
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    println!("done {}", spool.is_ready());
    spool.close(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_of_the_other_tests_acknowledges_and_delivers() {
    if let Ok(dir) = env::var("CHILD_DIR") {
        let number = |name| env::var(name).unwrap().parse().unwrap();
        child(dir.into(), number("CHILD_FROM"), number("CHILD_COUNT")).await;
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("spool");
    child(dir.clone(), 0, 20).await;
    let (spool, _) = open(&dir, &[&(Arc::new(Ledger::open(&dir.with_extension("ledger"))) as Arc<dyn Sink>)]).await;
    assert!(spool.flush(SOON).await && spool.close(SOON).await);
    assert_eq!(ledger(&dir).0, (0..20).flat_map(|n| [10 * n, 10 * n + 1]).collect());
}

fn spawn(dir: &Path, from: u128, count: u128, set_up: impl FnOnce(&mut Command)) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["the_child_of_the_other_tests", "--nocapture", "--test-threads=1"]);
    command.env("CHILD_DIR", dir).env("CHILD_FROM", from.to_string()).env("CHILD_COUNT", count.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    set_up(&mut command);
    command.spawn().unwrap()
}

/// The events in the ledger, each counted once per batch id; the same id must always stand for the same events.
fn ledger(dir: &Path) -> (BTreeSet<u128>, usize) {
    let text = fs::read_to_string(dir.with_extension("ledger")).unwrap();
    let mut batches: HashMap<&str, &str> = HashMap::new();
    let mut events = BTreeSet::new();
    let mut again = 0;
    for line in text.lines() {
        let (id, list) = line.split_once(' ').unwrap();
        match batches.insert(id, list) {
            Some(before) => {
                assert_eq!(before, list, "batch {id} came back with other events");
                again += 1;
            }
            None => {
                for event in list.split(',') {
                    assert!(events.insert(event.parse().unwrap()), "event {event} is in two batches");
                }
            }
        }
    }
    (events, again)
}

async fn drain(dir: &Path) {
    let sink: Arc<dyn Sink> = Arc::new(Ledger::open(&dir.with_extension("ledger")));
    let (spool, _) = open(dir, &[&sink]).await;
    assert!(spool.flush(SOON).await);
    assert!(spool.close(SOON).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f01_a_killed_process_loses_nothing_that_it_acknowledged() {
    const ROUNDS: u64 = 15;
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("spool");
    let (mut acknowledged, mut sent) = (BTreeSet::new(), 0);
    for round in 0..ROUNDS {
        let mut child = spawn(&dir, sent, 1_000_000, |_| {});
        sent += 1_000_000;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut killer = None;
        for line in lines.map_while(Result::ok) {
            if line.starts_with("ready") {
                let id = child.id();
                // At another moment in every round, from the first commit on.
                let wait = Duration::from_millis(5 + round * 13);
                killer = Some(thread::spawn(move || {
                    thread::sleep(wait);
                    assert!(Command::new("kill").args(["-9", &id.to_string()]).status().unwrap().success());
                }));
            }
            if let Some(n) = line.strip_prefix("ack ").and_then(|n| n.parse::<u128>().ok()) {
                acknowledged.extend([10 * n, 10 * n + 1]);
            }
        }
        killer.expect("the child was ready").join().unwrap();
        assert!(!child.wait().unwrap().success());
    }
    drain(&dir).await;
    let (delivered, again) = ledger(&dir);
    assert!(acknowledged.len() > 200, "{}", acknowledged.len());
    let lost: Vec<_> = acknowledged.difference(&delivered).collect();
    assert!(lost.is_empty(), "{lost:?}");
    println!("{} events acknowledged, {} delivered, {again} batches offered again", acknowledged.len(), delivered.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_a_failed_sync_costs_its_group_and_nothing_that_was_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let shim = home.path().join("shim.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source).arg("-ldl").status().unwrap();
    assert!(built.success());
    let (mut fired, mut refused) = (0, 0);
    for k in 1..=20 {
        let dir = home.path().join(k.to_string());
        let (hit, again) = (dir.with_extension("fired"), dir.with_extension("again"));
        let child = spawn(&dir, 0, 80, |command| {
            command.env("LD_PRELOAD", &shim).env("SHIM_FAIL_SYNC", k.to_string());
            command.env("SHIM_FIRED", &hit).env("SHIM_AGAIN", &again);
        });
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("done true"), "k={k} {text}");
        let acknowledged: BTreeSet<u128> =
            text.lines().filter_map(|line| line.strip_prefix("ack ")?.parse().ok()).flat_map(|n: u128| [10 * n, 10 * n + 1]).collect();
        let failed = text.lines().filter(|line| line.starts_with("failed ")).count();
        assert_eq!(acknowledged.len() / 2 + failed, 80, "k={k}");
        assert!(failed <= 4, "k={k}: {failed} failed, one group has at most one envelope of each sender");
        fired += usize::from(hit.exists());
        refused += usize::from(failed > 0 || text.contains("refused "));
        assert!(!again.exists(), "k={k}: a failed handle was synced again");
        drain(&dir).await;
        let (delivered, _) = ledger(&dir);
        assert!(acknowledged.is_subset(&delivered), "k={k}");
    }
    assert!(fired == 20 && refused >= 10, "{fired} {refused}");
}

#[test]
fn f30_a_directory_that_cannot_be_written_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("spool");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Root may write anywhere, so the child is somebody else, with a program that this user can read.
    let program = home.path().join("program");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(["the_child_of_the_other_tests", "--nocapture", "--test-threads=1"]).current_dir(home.path());
    command.env("CHILD_DIR", &dir).env("CHILD_FROM", "0").env("CHILD_COUNT", "1").env("TMPDIR", home.path());
    if fs::write(dir.join("probe"), "x").is_ok() {
        fs::remove_file(dir.join("probe")).unwrap();
        command.uid(65534).gid(65534);
        // The ledger must not be what fails.
        fs::write(dir.with_extension("ledger"), "").unwrap();
        fs::set_permissions(dir.with_extension("ledger"), fs::Permissions::from_mode(0o666)).unwrap();
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains(&format!("refused cannot use the spool directory {}", dir.display())), "{text}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f31_a_second_process_is_refused_with_the_pid_of_the_first() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("spool");
    let (spool, _) = open(&dir, &[]).await;
    let output = spawn(&dir, 0, 1, |_| {}).wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("is locked by pid {}", std::process::id())), "{text}");
    assert!(!output.status.success());
    assert!(spool.close(SOON).await);
}
