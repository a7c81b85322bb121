//! The scenarios. Each starts its own receiver in a fresh folder and leaves the folder behind when it fails.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use monitor_bench::{
    Result,
    client::Client,
    events, figure,
    process::{Process, signal, until},
};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::ledger::{Ledger, Verdict, count};

/// Names, in the order they run.
pub const ALL: &[&str] = &["kills", "engine_absent", "spool_full", "half_sent_request", "corrupt_spool"];

const INGEST: &str = "/api/shop/events?key=demo-key";
const HELPER: &str = "monitor-engine";

/// What all scenarios need.
pub struct Run {
    pub receiver: PathBuf,
    pub engine: PathBuf,
    pub output: PathBuf,
    pub short: bool,
}

/// A receiver that can be started again on the same data.
struct Receiver {
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
    addr: SocketAddr,
    process: Process,
}

impl Receiver {
    async fn restart(&mut self) -> Result<()> {
        self.process = Process::start(&self.program, &self.args, "ready", &self.log).await?;
        Ok(())
    }
}

impl Run {
    /// Runs one scenario.
    pub async fn scenario(&self, name: &str) -> Result<()> {
        let folder = self.output.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        match name {
            "kills" => self.kills(&folder).await,
            "engine_absent" => self.engine_absent(&folder).await,
            "spool_full" => self.spool_full(&folder).await,
            "half_sent_request" => self.half_sent_request(&folder).await,
            "corrupt_spool" => self.corrupt_spool(&folder).await,
            _ => Err("no such scenario".into()),
        }
    }

    async fn start(&self, folder: &Path, more: &[&str]) -> Result<Receiver> {
        let addr = free_address()?;
        let mut args = vec!["--listen".into(), addr.to_string(), "--data".into(), folder.join("data").display().to_string()];
        // Not looked at here; any free port.
        args.extend(["--shop", "127.0.0.1:0", "--internal", "127.0.0.1:0"].map(str::to_owned));
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let log = folder.join("receiver.log");
        let process = Process::start(&self.receiver, &args, "ready", &log).await?;
        Ok(Receiver { program: self.receiver.clone(), args, log, addr, process })
    }

    /// SIGKILL of the receiver and of the engine at random moments, under load.
    async fn kills(&self, folder: &Path) -> Result<()> {
        let (receiver_kills, engine_kills) = if self.short { (6, 2) } else { (25, 8) };
        let since = events::now() - 60_000;
        let mut receiver = self.start(folder, &[]).await?;
        let load = Load::start(receiver.addr, 5_000);
        let mut victims: Vec<bool> = (0..receiver_kills + engine_kills).map(|n| n < engine_kills).collect();
        fastrand::shuffle(&mut victims);
        let mut fired = (0, 0);
        for engine in victims {
            sleep(Duration::from_millis(fastrand::u64(300..2_500))).await;
            if engine {
                let found = until(Duration::from_secs(10), async || !receiver.process.children(HELPER).is_empty()).await;
                let pid = receiver.process.children(HELPER).first().copied().filter(|_| found).ok_or("the engine is not running")?;
                signal(pid, Signal::KILL)?;
                fired.1 += 1;
            } else {
                receiver.process.kill().await?;
                fired.0 += 1;
                receiver.restart().await?;
            }
        }
        sleep(Duration::from_secs(2)).await;
        let sent = load.stop().await;
        let verdict = sent.ledger.compare(receiver.addr, since, Duration::from_secs(180)).await?;
        println!(
            "   {} receiver kills, {} engine kills, {} envelopes sent again, {} refused for a while",
            fired.0, fired.1, sent.repeated, sent.refused
        );
        report("faults", &verdict);
        figure("faults.fired", f64::from(fired.0 + fired.1), "kills");
        figure("faults.repeated", sent.repeated as f64, "envelopes");
        if fired != (receiver_kills, engine_kills) || sent.repeated == 0 {
            return Err("the faults did not happen".into());
        }
        check(&verdict, 5_000)?;
        fresh_event_is_visible(receiver.addr).await
    }

    /// Events are taken while the engine is away, and are there when it comes.
    async fn engine_absent(&self, folder: &Path) -> Result<()> {
        let outage = Duration::from_secs(if self.short { 8 } else { 60 });
        let since = events::now() - 60_000;
        let engine = free_address()?;
        let receiver = self.start(folder, &["--clickhouse", &format!("http://{engine}")]).await?;
        let load = Load::start(receiver.addr, 2_000);
        sleep(outage).await;
        let sent = load.stop().await;
        if sent.refused > 0 {
            return Err(format!("{} envelopes were refused while the engine was away", sent.refused).into());
        }
        let args = ["serve", "--path", &folder.join("engine").display().to_string(), "--listen", &engine.to_string()].map(str::to_owned);
        let _engine = Engine::start(&self.engine, &args, folder)?;
        let verdict = sent.ledger.compare(receiver.addr, since, Duration::from_secs(120)).await?;
        report("faults.engine_absent", &verdict);
        check(&verdict, 5_000)
    }

    /// A full disk refuses clearly and recovers without a restart.
    async fn spool_full(&self, folder: &Path) -> Result<()> {
        let since = events::now() - 60_000;
        let disk = folder.join("disk");
        fs::create_dir_all(&disk)?;
        let _mount = Mount::tmpfs(&disk, "24m")?;
        let filler = disk.join("filler");
        fs::File::create(&filler)?.write_all(&vec![1; 6 << 20])?;
        let engine = free_address()?;
        let spool = disk.join("spool").display().to_string();
        let url = format!("http://{engine}");
        let receiver = self.start(folder, &["--clickhouse", &url, "--spool", &spool, "--min-free-mib", "0"]).await?;
        let ledger = Ledger::default();
        let mut client = Client::new(receiver.addr);
        let mut full = None;
        for _ in 0..20_000 {
            let batch = ledger.issue(50)?;
            if !ledger.send(&mut client, INGEST, 1, &batch).await {
                full = Some(batch);
                break;
            }
        }
        let refused = full.ok_or("the spool never filled up")?;
        let taken = ledger.accepted();
        let answer = raw_post(receiver.addr, &refused).await?;
        if !answer.starts_with("HTTP/1.1 503") || !answer.to_ascii_lowercase().contains("\r\nretry-after:") {
            return Err(format!("a full disk was answered with {answer}").into());
        }
        let not_ready = raw_get(receiver.addr, "/readyz").await?;
        if !not_ready.starts_with("HTTP/1.1 503") {
            return Err(format!("/readyz answered {not_ready}").into());
        }
        fs::remove_file(&filler)?;
        let recovered = until(Duration::from_secs(20), async || ledger.send(&mut client, INGEST, 2, &refused).await).await;
        if !recovered {
            return Err("writes did not resume when there was room again".into());
        }
        let args = ["serve", "--path", &folder.join("engine").display().to_string(), "--listen", &engine.to_string()].map(str::to_owned);
        let _engine = Engine::start(&self.engine, &args, folder)?;
        let verdict = ledger.compare(receiver.addr, since, Duration::from_secs(120)).await?;
        println!("   {taken} events were taken before the disk was full");
        report("faults.spool_full", &verdict);
        check(&verdict, 500)
    }

    /// SIGTERM while a request is half sent: it gets 503, what was complete gets 202, the process ends with 0.
    async fn half_sent_request(&self, folder: &Path) -> Result<()> {
        let since = events::now() - 60_000;
        let mut receiver = self.start(folder, &[]).await?;
        let ledger = Ledger::default();
        let mut client = Client::new(receiver.addr);
        let complete = ledger.issue(10)?;
        if !ledger.send(&mut client, INGEST, 1, &complete).await {
            return Err("the first request was not accepted".into());
        }
        let half = ledger.issue(10)?;
        let texts: Vec<_> = half.iter().map(|(_, text)| text.clone()).collect();
        let request = request("POST", INGEST, &events::envelope(1, &texts));
        let (last, rest) = request.as_bytes().split_last().ok_or("empty")?;
        let mut stream = TcpStream::connect(receiver.addr).await?;
        stream.write_all(rest).await?;
        sleep(Duration::from_millis(300)).await;
        receiver.process.terminate()?;
        sleep(Duration::from_millis(300)).await;
        // The receiver may have answered and closed already.
        let _ = stream.write_all(&[*last]).await;
        let mut answer = String::new();
        let _ = timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await?;
        if !answer.starts_with("HTTP/1.1 503") {
            return Err(format!("the half-sent request was answered with {answer:?}").into());
        }
        let code = receiver.process.wait(Duration::from_secs(25)).await?;
        if code != Some(0) {
            return Err(format!("the receiver ended with {code:?} after SIGTERM").into());
        }
        if TcpStream::connect(receiver.addr).await.is_ok() {
            return Err("connections are still taken after the end".into());
        }
        receiver.restart().await?;
        let verdict = ledger.compare(receiver.addr, since, Duration::from_secs(60)).await?;
        report("faults.half_sent_request", &verdict);
        if verdict.visible != complete.len() {
            return Err(format!("{} events are visible, {} were accepted", verdict.visible, complete.len()).into());
        }
        check(&verdict, 10)
    }

    /// Garbage in the spool file is put aside, not deleted, and work goes on.
    async fn corrupt_spool(&self, folder: &Path) -> Result<()> {
        let engine = free_address()?;
        let url = format!("http://{engine}");
        let spool = folder.join("spool");
        let mut receiver = self.start(folder, &["--clickhouse", &url, "--spool", &spool.display().to_string()]).await?;
        let ledger = Ledger::default();
        let mut client = Client::new(receiver.addr);
        for _ in 0..200 {
            let batch = ledger.issue(10)?;
            if !ledger.send(&mut client, INGEST, 1, &batch).await {
                return Err("a request was not accepted".into());
            }
        }
        receiver.process.kill().await?;
        let damaged = damage(&spool)?;
        receiver.restart().await?;
        let after = Ledger::default();
        let batch = after.issue(10)?;
        let mut client = Client::new(receiver.addr);
        if !after.send(&mut client, INGEST, 1, &batch).await {
            return Err("nothing is accepted after the damage".into());
        }
        let kept: Vec<_> = fs::read_dir(&spool)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        println!("   damaged {}; the folder now holds {}", damaged.display(), kept.join(", "));
        if !kept.iter().any(|name| name.contains("corrupt")) {
            return Err("the damaged file was not put aside".into());
        }
        Ok(())
    }
}

/// Overwrites the header and the middle of the spool's database with garbage.
fn damage(folder: &Path) -> Result<PathBuf> {
    let database = folder.join("spool.db");
    // What was committed may still be in the log beside it: damage both.
    for path in [database.clone(), PathBuf::from(format!("{}-wal", database.display()))] {
        if path.exists() {
            let mut bytes = fs::read(&path)?;
            let middle = bytes.len() / 2;
            for at in (0..100).chain(middle..middle + 20_000) {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = fastrand::u8(..);
                }
            }
            fs::write(&path, bytes)?;
        }
    }
    Ok(database)
}

fn report(prefix: &str, verdict: &Verdict) {
    for (name, value) in [
        ("accepted", verdict.accepted),
        ("visible", verdict.visible),
        ("missing", verdict.missing),
        ("doubled", verdict.doubled),
        ("invented", verdict.invented),
    ] {
        figure(&format!("{prefix}.{name}"), value as f64, "events");
    }
}

fn check(verdict: &Verdict, at_least: usize) -> Result<()> {
    if verdict.missing + verdict.doubled + verdict.invented > 0 {
        return Err("events are missing, doubled or invented".into());
    }
    if verdict.accepted < at_least {
        return Err(format!("only {} events were accepted; {at_least} are needed for a meaningful run", verdict.accepted).into());
    }
    Ok(())
}

async fn fresh_event_is_visible(addr: SocketAddr) -> Result<()> {
    let mut client = Client::new(addr);
    let ledger = Ledger::default();
    let since = events::now();
    let batch = ledger.issue(1)?;
    if !ledger.send(&mut client, INGEST, 1, &batch).await {
        return Err("a fresh event was not accepted".into());
    }
    let visible = until(Duration::from_secs(30), async || count(&mut client, since - 1_000).await.is_ok_and(|n| n > 0)).await;
    if visible { Ok(()) } else { Err("a fresh event was not visible within 30 s".into()) }
}

/// Senders at a steady rate until stopped. As an SDK would, they send an envelope again with the same ids when it was not
/// answered, most of the time; some are given up.
struct Load {
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    repeated: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    senders: Vec<JoinHandle<Result<()>>>,
}

struct Sent {
    ledger: Arc<Ledger>,
    repeated: u64,
    refused: u64,
}

const EVENTS_PER_ENVELOPE: usize = 10;

impl Load {
    fn start(addr: SocketAddr, events_per_second: u64) -> Load {
        let (ledger, stop) = (Arc::new(Ledger::default()), Arc::new(AtomicBool::new(false)));
        let (repeated, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let connections = 20;
        let pause = Duration::from_micros(1_000_000 * connections * EVENTS_PER_ENVELOPE as u64 / events_per_second);
        let senders = (0..connections)
            .map(|_| {
                let (ledger, stop) = (ledger.clone(), stop.clone());
                let (repeated, refused) = (repeated.clone(), refused.clone());
                tokio::spawn(async move {
                    let mut client = Client::new(addr);
                    let mut tick = tokio::time::interval(pause);
                    while !stop.load(Ordering::Relaxed) {
                        tick.tick().await;
                        let batch = ledger.issue(EVENTS_PER_ENVELOPE)?;
                        let mut attempt = 1;
                        while !ledger.send(&mut client, INGEST, attempt, &batch).await {
                            refused.fetch_add(1, Ordering::Relaxed);
                            if fastrand::u8(..10) == 0 || attempt > 60 {
                                break;
                            }
                            sleep(Duration::from_millis(fastrand::u64(50..400))).await;
                            attempt += 1;
                            repeated.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        Load { ledger, stop, repeated, refused, senders }
    }

    async fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        for sender in self.senders {
            // A sender that failed has sent less; the comparison asks for a minimum.
            let _ = sender.await;
        }
        Sent { ledger: self.ledger, repeated: self.repeated.load(Ordering::Relaxed), refused: self.refused.load(Ordering::Relaxed) }
    }
}

/// An engine helper of its own; it lives as long as its stdin is open.
struct Engine(std::process::Child);

impl Engine {
    fn start(program: &Path, args: &[String], folder: &Path) -> Result<Engine> {
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("engine.log"))?;
        let child = std::process::Command::new(program)
            .args(args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Engine(child))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A small disk, unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(at: &Path, size: &str) -> Result<Mount> {
        let status = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).status()?;
        if !status.success() {
            return Err("mounting a tmpfs needs root: run this scenario as root".into());
        }
        Ok(Mount(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: the receiver that uses it is killed at about the same time.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn raw_post(addr: SocketAddr, batch: &[(u128, String)]) -> Result<String> {
    let texts: Vec<_> = batch.iter().map(|(_, text)| text.clone()).collect();
    exchange(addr, &request("POST", INGEST, &events::envelope(2, &texts))).await
}

async fn raw_get(addr: SocketAddr, path: &str) -> Result<String> {
    exchange(addr, &request("GET", path, "")).await
}

async fn exchange(addr: SocketAddr, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
