//! What receiving costs: CPU per event, events per second, latency and memory, beside a bare hyper server and a Node
//! service of the kind this project replaces, in one run.
//!
//! Rounds are interleaved and medians are quoted; every server gets the same bytes and answers when they are on disk (the
//! floor answers at once). Latency is measured open-loop: a request is due at its time whether or not the one before it was
//! answered, and a time-out is a sample.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Parser;
use monitor_bench::{
    Result,
    client::Client,
    events, figure,
    process::{Process, cpu, free_address, resident},
};
use serde_json::json;
use tokio::time::{sleep, sleep_until};

/// Measures ingest and prints `figure` lines.
#[derive(Parser)]
struct Args {
    /// The quickstart example's binary, built for release.
    #[arg(long)]
    receiver: PathBuf,
    /// The floor's binary, built for release.
    #[arg(long)]
    floor: PathBuf,
    /// The folder of the Node service, its packages installed.
    #[arg(long, default_value = "bench/peers/node")]
    node: PathBuf,
    /// Where data goes.
    #[arg(long, default_value = "test-output/bench")]
    output: PathBuf,
    /// Seconds of one round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

const PATH: &str = "/api/shop/events?key=demo-key";
const EVENTS: u64 = 10;
const CONNECTIONS: usize = 32;

/// Envelopes whose ids can be overwritten in place, so that the generator does not spend its time formatting.
struct Templates(Vec<(Vec<u8>, Vec<usize>)>);

impl Templates {
    fn new() -> Templates {
        let marker = u128::MAX - 0xabcdef;
        let text = format!("{marker:032x}");
        let make = || {
            let list: Vec<_> = (0..EVENTS as usize).map(|seq| events::event(marker, seq, "bench")).collect();
            let envelope = events::envelope(&events::Visit::random(), 1, &list);
            let places = envelope.match_indices(&format!("\"id\":\"{text}\"")).map(|(at, _)| at + 6).collect();
            (envelope.into_bytes(), places)
        };
        Templates((0..256).map(|_| make()).collect())
    }

    /// An envelope that was never sent before.
    fn next(&self) -> Bytes {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let (template, places) = &self.0[fastrand::usize(..self.0.len())];
        let mut body = template.clone();
        for &place in places {
            let id = fastrand::u128(..);
            for (n, byte) in body[place..place + 32].iter_mut().enumerate() {
                *byte = HEX[(id >> (4 * n)) as usize & 15];
            }
        }
        body.into()
    }
}

/// A server under test and the processes whose CPU counts.
struct Subject {
    name: &'static str,
    addr: SocketAddr,
    /// Where its metrics are.
    internal: SocketAddr,
    process: Process,
    helper: &'static str,
}

impl Subject {
    fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.process.pid()];
        if !self.helper.is_empty() {
            pids.extend(self.process.children(self.helper));
        }
        pids
    }

    fn cpu(&self) -> Vec<Duration> {
        self.pids().into_iter().map(cpu).collect()
    }
}

#[derive(Clone, Default)]
struct Round {
    events_per_second: f64,
    /// µs per event, by process.
    cpu: Vec<f64>,
}

impl Round {
    fn total(&self) -> f64 {
        self.cpu.iter().sum()
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.output.exists() {
        fs::remove_dir_all(&args.output)?;
    }
    fs::create_dir_all(&args.output)?;
    let output = args.output.canonicalize()?;
    let load = fs::read_to_string("/proc/loadavg")?;
    println!("load at start {}", load.split(' ').next().unwrap_or("?"));
    let templates = Arc::new(Templates::new());
    let body = templates.next().len();
    println!("envelopes of {EVENTS} events, {body} bytes, {} bytes an event", body as u64 / EVENTS);

    let subjects = [
        start("receiver", &args.receiver, &["--no-store"], "", &output).await?,
        start("floor", &args.floor, &[], "", &output).await?,
        start_node(&args.node, &output).await?,
        start("chain", &args.receiver, &[], "monitor-engine", &output).await?,
    ];
    // Everything warms up: code, caches, page files, the engine's tables.
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); subjects.len()];
    for subject in &subjects {
        saturate(subject, &templates, Duration::from_secs(2)).await?;
    }
    for _ in 0..args.rounds {
        for (subject, rounds) in subjects.iter().zip(&mut rounds) {
            rounds.push(saturate(subject, &templates, Duration::from_secs(args.seconds)).await?);
        }
    }
    println!("\n{:<10} {:>12} {:>14} {:>10}  by process", "", "events/s", "CPU µs/event", "spread");
    let mut noisy = false;
    for (subject, rounds) in subjects.iter().zip(&rounds) {
        let spread = spread(rounds.iter().map(Round::total));
        noisy |= spread > 0.2;
        let processes = rounds.iter().map(|round| round.cpu.len()).min().unwrap_or(0);
        let split: Vec<_> = (0..processes).map(|n| format!("{:.1}", median(rounds.iter().map(|round| round.cpu[n])))).collect();
        println!(
            "{:<10} {:>12.0} {:>14.2} {:>9.0}%  {}",
            subject.name,
            median(rounds.iter().map(|round| round.events_per_second)),
            median(rounds.iter().map(Round::total)),
            spread * 100.0,
            split.join(" + ")
        );
    }
    if noisy {
        println!("noisy: a spread exceeds 20 %");
    }
    let cost = |n: usize| median(rounds[n].iter().map(Round::total));
    let rate = median(rounds[0].iter().map(|round| round.events_per_second));
    figure("ingest.cpu_us_per_event", cost(0), "us");
    figure("ingest.events_per_second", rate, "events/s");
    figure("ingest.ratio_to_floor", cost(0) / cost(1), "x");
    figure("ingest.ratio_to_node", cost(2) / cost(0), "x");
    figure("chain.cpu_us_per_event", cost(3), "us");
    figure("chain.events_per_second", median(rounds[3].iter().map(|round| round.events_per_second)), "events/s");

    println!("\nlatency, open loop, receiver with its engine");
    for (label, events_per_second) in [("at 5,000 events/s", 5_000.0), ("at 70 % of the receiver's saturation", rate * 0.7)] {
        let subject = if events_per_second <= 5_000.0 { &subjects[3] } else { &subjects[0] };
        let mut latencies = open_loop(subject.addr, &templates, events_per_second, Duration::from_secs(args.seconds * 3)).await?;
        latencies.sort_unstable();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "  {label} ({}): p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, {} requests",
            subject.name,
            at(0.5),
            at(0.99),
            at(0.999),
            latencies.len()
        );
        if events_per_second > 5_000.0 {
            figure("ingest.p50_ms_at_70pct", at(0.5), "ms");
            figure("ingest.p99_ms_at_70pct", at(0.99), "ms");
            figure("ingest.p999_ms_at_70pct", at(0.999), "ms");
        } else {
            figure("ingest.p99_ms_at_5000", at(0.99), "ms");
        }
    }
    let receiver = subjects[3].process.pid();
    figure("ingest.rss_mb", resident(receiver) as f64 / 1e6, "MB");
    for pid in subjects[3].process.children("monitor-engine") {
        figure("engine.rss_mb", resident(pid) as f64 / 1e6, "MB");
    }
    Ok(())
}

async fn start(name: &'static str, program: &Path, more: &[&str], helper: &'static str, output: &Path) -> Result<Subject> {
    let addr = free_address()?;
    let internal = free_address()?;
    let args = if name == "floor" {
        vec![addr.to_string()]
    } else {
        let mut args = vec!["--listen".into(), addr.to_string(), "--data".into(), output.join(name).display().to_string()];
        args.extend(["--shop".into(), "127.0.0.1:0".into(), "--internal".into(), internal.to_string()]);
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    };
    let process = Process::start(program, &args, "ready", &output.join(format!("{name}.log"))).await?;
    Ok(Subject { name, addr, internal, process, helper })
}

async fn start_node(folder: &Path, output: &Path) -> Result<Subject> {
    let addr = free_address()?;
    let args = vec![folder.join("server.mjs").display().to_string(), addr.to_string(), output.join("node.ndjson").display().to_string()];
    let process = Process::start(Path::new("node"), &args, "ready", &output.join("node.log")).await?;
    Ok(Subject { name: "node", addr, internal: addr, process, helper: "" })
}

/// Closed loop over many connections: throughput and CPU per event. What was answered must have been stored.
async fn saturate(subject: &Subject, templates: &Arc<Templates>, length: Duration) -> Result<Round> {
    let before = stored(subject).await?;
    let cpu_before = subject.cpu();
    let start = Instant::now();
    let answered = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (templates, answered, addr) = (templates.clone(), answered.clone(), subject.addr);
            tokio::spawn(async move {
                let mut client = Client::new(addr);
                while start.elapsed() < length {
                    let (status, body) = client.post(PATH, "text/plain", templates.next(), Duration::from_secs(10)).await?;
                    match status {
                        202 | 204 => answered.fetch_add(EVENTS, Ordering::Relaxed),
                        _ => return Err(format!("answered {status}: {}", String::from_utf8_lossy(&body)).into()),
                    };
                }
                Result::Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.await?.map_err(|error| format!("{}: {error}", subject.name))?;
    }
    let wall = start.elapsed().as_secs_f64();
    let answered = answered.load(Ordering::Relaxed);
    // The chain's cost includes bringing everything into the engine.
    let mut found = 0;
    for _ in 0..600 {
        found = stored(subject).await? - before;
        if found >= answered || subject.name == "floor" {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    if subject.name != "floor" && found != answered {
        return Err(format!("{} answered {answered} events and stored {found}", subject.name).into());
    }
    let cpu = subject.cpu().iter().zip(cpu_before).map(|(after, before)| (*after - before).as_secs_f64() * 1e6 / answered as f64).collect();
    Ok(Round { events_per_second: answered as f64 / wall, cpu })
}

/// How many events a subject has stored so far.
async fn stored(subject: &Subject) -> Result<u64> {
    match subject.name {
        "chain" => {
            let now = events::now();
            let question = json!({"project": "shop", "from": now - 3_600_000, "to": now + 600_000, "measures": ["count"]});
            let answer = Client::new(subject.addr).query("/query", &question).await?;
            Ok(answer.pointer("/rows/0/0").and_then(serde_json::Value::as_u64).unwrap_or(0))
        }
        "receiver" => {
            let metrics = get(subject.internal, "/metrics").await?;
            let line = metrics.lines().find_map(|line| line.strip_prefix("monitor_events_accepted_total "));
            Ok(line.ok_or("no monitor_events_accepted_total among the metrics")?.trim().parse()?)
        }
        "node" => {
            let path = subject_file(subject)?;
            Ok(fs::read(path)?.iter().filter(|byte| **byte == b'\n').count() as u64)
        }
        _ => Ok(0),
    }
}

fn subject_file(subject: &Subject) -> Result<PathBuf> {
    let arguments = fs::read(format!("/proc/{}/cmdline", subject.process.pid()))?;
    let file = arguments.split(|byte| *byte == 0).rfind(|argument| !argument.is_empty()).ok_or("no arguments")?;
    Ok(PathBuf::from(String::from_utf8_lossy(file).into_owned()))
}

async fn get(addr: SocketAddr, path: &str) -> Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(addr).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Requests at a fixed rate; latency from the time each was due. A time-out counts as its length.
async fn open_loop(addr: SocketAddr, templates: &Arc<Templates>, events_per_second: f64, length: Duration) -> Result<Vec<Duration>> {
    let per_second = events_per_second / EVENTS as f64;
    let total = (per_second * length.as_secs_f64()) as usize;
    let next = Arc::new(AtomicUsize::new(0));
    let start = tokio::time::Instant::now() + Duration::from_millis(100);
    let workers: Vec<_> = (0..128)
        .map(|_| {
            let (templates, next) = (templates.clone(), next.clone());
            tokio::spawn(async move {
                let mut client = Client::new(addr);
                let mut latencies = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= total {
                        return latencies;
                    }
                    let due = start + Duration::from_secs_f64(n as f64 / per_second);
                    let body = templates.next();
                    sleep_until(due).await;
                    let ok = client.post(PATH, "text/plain", body, Duration::from_secs(5)).await.is_ok_and(|(status, _)| status == 202);
                    latencies.push(if ok { due.elapsed() } else { Duration::from_secs(5).max(due.elapsed()) });
                }
            })
        })
        .collect();
    let mut latencies = Vec::with_capacity(total);
    for worker in workers {
        latencies.extend(worker.await?);
    }
    Ok(latencies)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Largest distance from the median, as a share of it.
fn spread(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<_> = values.collect();
    let middle = median(values.iter().copied());
    values.iter().map(|value| (value / middle - 1.0).abs()).fold(0.0, f64::max)
}
