//! Proves the promise on the road through Kafka: every event answered with 2xx is returned by the query API exactly once,
//! unchanged, and nothing is invented.
//!
//! ```text
//!   ledger ── envelopes ──▶ receivers ──▶ broker ──▶ consumers ── proxies ──▶ engine
//!     │                     (killed)     (killed)   (killed, stopped)  (faults)  (killed)
//!     └────── compares ids and data ◀── query API ─────┘
//! ```
//!
//! The broker is Apache Kafka's own. Ends with an error when a scenario does not hold or its fault did not happen.

mod scenarios;
mod scene;

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use clap::Parser;
use monitor_bench::Result;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    task::{LocalSet, spawn_local},
};

use scenarios::{Figures, Report, Run};
use scene::Programs;

/// Runs the fault scenarios against the examples `kafka_pipeline` and `consumer`.
#[derive(Parser)]
struct Args {
    /// The receiver: the binary of the example `kafka_pipeline`.
    #[arg(long)]
    pipeline: PathBuf,
    /// The binary of the example `consumer`.
    #[arg(long)]
    consumer: PathBuf,
    /// The engine helper's binary.
    #[arg(long)]
    engine: PathBuf,
    /// The folder of Kafka's jars.
    #[arg(long)]
    kafka: PathBuf,
    /// Where data and logs go; a folder of its own is made in it.
    #[arg(long, default_value = "test-output/faults-kafka")]
    output: PathBuf,
    /// Fewer kills and shorter outages, for every test run.
    #[arg(long)]
    short: bool,
    /// Scenarios that run at the same time, each with a broker of its own: they wait most of the time.
    #[arg(long, default_value_t = 1)]
    parallel: usize,
    /// Only scenarios whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let absolute = |path: &Path| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
    fs::create_dir_all(&args.output)?;
    let run = Rc::new(Run {
        programs: Programs {
            pipeline: absolute(&args.pipeline)?,
            consumer: absolute(&args.consumer)?,
            engine: absolute(&args.engine)?,
            kafka: absolute(&args.kafka)?,
        },
        output: absolute(&args.output)?,
        short: args.short,
    });
    let scenarios = LocalSet::new();
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        // What takes time runs on other threads: brokers, senders, proxies.
        result = scenarios.run_until(run_all(run, &args.only, args.parallel)) => result,
        // Ends what was started.
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        _ = terminated.recv() => Err("terminated".into()),
    }
}

async fn run_all(run: Rc<Run>, only: &str, parallel: usize) -> Result<()> {
    let turns = Rc::new(Semaphore::new(parallel));
    let start = |name: &'static str| {
        let (run, turns) = (run.clone(), turns.clone());
        spawn_local(async move {
            // In the order they were started; the semaphore lives as long as its tasks.
            let _turn = turns.acquire().await;
            let mut report = Report::default();
            let result = run.scenario(name, &mut report).await;
            (report, result)
        })
    };
    let names = scenarios::ALL.iter().copied().filter(|name| name.contains(only));
    let running: Vec<_> = names.map(|name| (name, start(name))).collect();

    let (mut failed, mut sums) = (Vec::new(), Figures::default());
    for (name, scenario) in running {
        let (report, result) = scenario.await?;
        println!("\n== {name}");
        report.lines.iter().for_each(|line| println!("   {line}"));
        report.figures.lines(&format!("faults_kafka.{name}")).iter().for_each(|line| println!("{line}"));
        match result {
            Ok(()) => println!("   holds"),
            Err(error) => {
                println!("   DOES NOT HOLD: {error}");
                failed.push(format!("{name}: {error}"));
            }
        }
        sums.add(&report.figures);
    }
    println!();
    sums.lines("faults_kafka").iter().for_each(|line| println!("{line}"));
    if failed.is_empty() { Ok(()) } else { Err(format!("did not hold: {}", failed.join("; ")).into()) }
}
