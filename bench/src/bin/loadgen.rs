//! Makes traffic: visitors with their sessions, page views, web vitals, errors, requests and orders.
//!
//! ```text
//! loadgen store --data data/demo --events 5000000     fills an embedded store with 30 days, in minutes
//! loadgen send --receiver 127.0.0.1:8080 --rate 200   sends what is happening now to a running receiver, until Ctrl-C
//! loadgen send --days 6 --events 500000               sends the last six days, as browsers do that were offline
//! ```
//!
//! The same seed gives the same visitors; see `bench/src/traffic`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use monitor_bench::{
    Result,
    engine::Engine,
    events::now,
    fill::{Recipe, Wish},
    send::{Road, Sent},
};

/// Makes traffic of made-up visitors.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fills an embedded store, through the receiver's own sink; adds what came since to one that was filled before.
    Store(Store),
    /// Sends to a running receiver, as the browser SDK does.
    Send(Send),
}

#[derive(clap::Args)]
struct Store {
    /// The engine's folder; made if missing. No other process may use it meanwhile.
    #[arg(long)]
    data: PathBuf,
    /// About how many events: two fifths of the project `shop`, a fifth each of `fashion`, `garden` and `books`.
    #[arg(long, default_value_t = 5_000_000)]
    events: u64,
    /// How far they reach back, days.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Where they end, ms since the Unix epoch. Default: now.
    #[arg(long)]
    until: Option<i64>,
    /// Another seed gives other visitors.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The engine's helper program.
    #[arg(long, default_value = "target/release/monitor-engine")]
    engine: PathBuf,
    /// Megabytes of memory that the engine may use.
    #[arg(long, default_value_t = 4_000)]
    memory: u64,
}

#[derive(clap::Args)]
struct Send {
    /// Where the receiver listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    receiver: SocketAddr,
    /// Its project.
    #[arg(long, default_value = "shop")]
    project: String,
    /// The project's public key.
    #[arg(long, default_value = "demo-key")]
    key: String,
    /// Events a second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Days that are over, up to 6, whose visits are sent; 0 sends visits as they happen.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=6))]
    days: u32,
    /// About how many events; without end when visits are sent as they happen.
    #[arg(long)]
    events: Option<u64>,
    /// Another seed gives other visitors.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Args::parse().task {
        Task::Store(args) => store(args).await,
        Task::Send(args) => send(args).await,
    }
}

async fn store(args: Store) -> Result<()> {
    if args.data.exists() && Recipe::read(&args.data)?.is_none() && args.data.read_dir()?.next().is_some() {
        return Err(format!("{} holds something else: choose another folder with --data", args.data.display()).into());
    }
    let engine = Engine::start(&args.engine, &args.data, args.memory << 20).await?;
    let wish = Wish { seed: args.seed, events: args.events, days: args.days, until: Some(args.until.unwrap_or_else(now)) };
    let (_, filled) = Recipe::bring(&engine, &args.data, &wish).await?;
    println!(
        "{} events in {:.0} s, {:.0} a second; {:.2} µs of the engine's time for each",
        filled.events,
        filled.seconds,
        filled.events as f64 / filled.seconds,
        filled.engine_seconds * 1e6 / filled.events as f64
    );
    engine.stop().await
}

async fn send(args: Send) -> Result<()> {
    let Send { receiver, project, key, rate, days, events, seed } = args;
    let road = Road { receiver, project, key, rate, seed };
    let sent = tokio::select! {
        sent = async {
            match days {
                0 => road.live(events).await,
                days => road.past(days, events.unwrap_or(100_000)).await,
            }
        } => sent?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
    };
    let Sent { events, refused, repeated } = sent;
    println!("{events} events sent, {repeated} envelopes repeated, {refused} events refused");
    Ok(())
}
