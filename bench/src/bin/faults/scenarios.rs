//! The scenarios. Each starts its own receiver in a fresh folder and leaves the folder behind when it fails.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use monitor_bench::{
    Result,
    client::{Client, exchange, request},
    events, figure,
    ledger::{INGEST, Ledger, fresh_events_are_visible},
    load::Load,
    process::{Service, free_address, signal, until},
};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// Names, in the order they run.
pub const ALL: &[&str] = &["kills", "engine_absent", "spool_full", "half_sent_request", "corrupt_spool"];

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
    service: Service,
    addr: SocketAddr,
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
        let service = Service::start(&self.receiver, args, "ready", folder.join("receiver.log")).await?;
        Ok(Receiver { service, addr })
    }

    /// SIGKILL of the receiver and of the engine at random moments, under load.
    async fn kills(&self, folder: &Path) -> Result<()> {
        let (receiver_kills, engine_kills) = if self.short { (6, 2) } else { (25, 8) };
        let since = events::now() - 60_000;
        let mut receiver = self.start(folder, &[]).await?;
        let load = Load::start(&[receiver.addr], 5_000, 0);
        let mut victims: Vec<bool> = (0..receiver_kills + engine_kills).map(|n| n < engine_kills).collect();
        fastrand::shuffle(&mut victims);
        let mut fired = (0, 0);
        for engine in victims {
            sleep(Duration::from_millis(fastrand::u64(300..2_500))).await;
            if engine {
                let found = until(Duration::from_secs(10), async || !receiver.service.process.children(HELPER).is_empty()).await;
                let pid =
                    receiver.service.process.children(HELPER).first().copied().filter(|_| found).ok_or("the engine is not running")?;
                signal(pid, Signal::KILL)?;
                fired.1 += 1;
            } else {
                receiver.service.process.kill().await?;
                fired.0 += 1;
                receiver.service.restart().await?;
            }
        }
        sleep(Duration::from_secs(2)).await;
        let sent = load.stop().await;
        let verdict = sent.ledger().compare(receiver.addr, since, Duration::from_secs(180)).await?;
        println!(
            "   {} receiver kills, {} engine kills, {} envelopes sent again, {} refused for a while",
            fired.0,
            fired.1,
            sent.repeated(),
            sent.refused()
        );
        verdict.report("faults");
        figure("faults.fired", f64::from(fired.0 + fired.1), "kills");
        figure("faults.repeated", sent.repeated() as f64, "envelopes");
        if fired != (receiver_kills, engine_kills) || sent.repeated() == 0 {
            return Err("the faults did not happen".into());
        }
        verdict.check(5_000)?;
        fresh_events_are_visible(&Ledger::default(), receiver.addr, receiver.addr, Duration::from_secs(30)).await
    }

    /// Events are taken while the engine is away, and are there when it comes.
    async fn engine_absent(&self, folder: &Path) -> Result<()> {
        let outage = Duration::from_secs(if self.short { 8 } else { 60 });
        let since = events::now() - 60_000;
        let engine = free_address()?;
        let receiver = self.start(folder, &["--clickhouse", &format!("http://{engine}")]).await?;
        let load = Load::start(&[receiver.addr], 2_000, 0);
        sleep(outage).await;
        let sent = load.stop().await;
        if sent.refused() > 0 {
            return Err(format!("{} envelopes were refused while the engine was away", sent.refused()).into());
        }
        let _engine = Service::engine(&self.engine, folder, engine).await?;
        let verdict = sent.ledger().compare(receiver.addr, since, Duration::from_secs(120)).await?;
        verdict.report("faults.engine_absent");
        verdict.check(5_000)
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
            if ledger.send(&mut client, 1, &batch).await {
                continue;
            }
            // The log gives its room back when it was copied into the database: then the disk is not full yet.
            sleep(Duration::from_secs(1)).await;
            let answer = exchange(receiver.addr, &request("POST", INGEST, &batch.envelope(2))).await?;
            if answer.starts_with("HTTP/1.1 202") {
                ledger.accepted_but(&batch, &[]);
            } else {
                full = Some((batch, answer));
                break;
            }
        }
        let (refused, answer) = full.ok_or("the spool never filled up")?;
        let taken = ledger.accepted();
        if !answer.starts_with("HTTP/1.1 503") || !answer.to_ascii_lowercase().contains("\r\nretry-after:") {
            return Err(format!("a full disk was answered with {answer}").into());
        }
        let not_ready = exchange(receiver.addr, &request("GET", "/readyz", "")).await?;
        if !not_ready.starts_with("HTTP/1.1 503") {
            return Err(format!("/readyz answered {not_ready}").into());
        }
        fs::remove_file(&filler)?;
        let recovered = until(Duration::from_secs(20), async || ledger.send(&mut client, 3, &refused).await).await;
        if !recovered {
            return Err("writes did not resume when there was room again".into());
        }
        let _engine = Service::engine(&self.engine, folder, engine).await?;
        let verdict = ledger.compare(receiver.addr, since, Duration::from_secs(120)).await?;
        println!("   {taken} events were taken before the disk was full");
        verdict.report("faults.spool_full");
        verdict.check(500)
    }

    /// SIGTERM while a request is half sent: it gets 503, what was complete gets 202, the process ends with 0.
    async fn half_sent_request(&self, folder: &Path) -> Result<()> {
        let since = events::now() - 60_000;
        let mut receiver = self.start(folder, &[]).await?;
        let ledger = Ledger::default();
        let mut client = Client::new(receiver.addr);
        let complete = ledger.issue(10)?;
        if !ledger.send(&mut client, 1, &complete).await {
            return Err("the first request was not accepted".into());
        }
        let half = ledger.issue(10)?;
        let request = request("POST", INGEST, &half.envelope(1));
        let (last, rest) = request.as_bytes().split_last().ok_or("empty")?;
        let mut stream = TcpStream::connect(receiver.addr).await?;
        stream.write_all(rest).await?;
        sleep(Duration::from_millis(300)).await;
        receiver.service.process.terminate()?;
        sleep(Duration::from_millis(300)).await;
        // The receiver may have answered and closed already.
        let _ = stream.write_all(&[*last]).await;
        let mut answer = String::new();
        let _ = timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await?;
        if !answer.starts_with("HTTP/1.1 503") {
            return Err(format!("the half-sent request was answered with {answer:?}").into());
        }
        let code = receiver.service.process.wait(Duration::from_secs(25)).await?;
        if code != Some(0) {
            return Err(format!("the receiver ended with {code:?} after SIGTERM").into());
        }
        if TcpStream::connect(receiver.addr).await.is_ok() {
            return Err("connections are still taken after the end".into());
        }
        receiver.service.restart().await?;
        let verdict = ledger.compare(receiver.addr, since, Duration::from_secs(60)).await?;
        verdict.report("faults.half_sent_request");
        if verdict.visible != complete.events.len() {
            return Err(format!("{} events are visible, {} were accepted", verdict.visible, complete.events.len()).into());
        }
        verdict.check(10)
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
            if !ledger.send(&mut client, 1, &batch).await {
                return Err("a request was not accepted".into());
            }
        }
        receiver.service.process.kill().await?;
        let damaged = damage(&spool)?;
        receiver.service.restart().await?;
        let after = Ledger::default();
        let batch = after.issue(10)?;
        let mut client = Client::new(receiver.addr);
        if !after.send(&mut client, 1, &batch).await {
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
