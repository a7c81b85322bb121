//! Proves the promise under faults: every event answered with 2xx is returned by the query API exactly once, unchanged,
//! and nothing is invented.
//!
//! ```text
//!   ledger ── envelopes ──▶ receiver (killed, stopped, disk full) ──▶ engine (killed, absent)
//!      └────────── compares ids and data ◀── query API ──────────────────┘
//! ```
//!
//! Ends with an error when a scenario does not hold or its fault did not happen.

mod scenarios;

use std::path::PathBuf;

use clap::Parser;
use monitor_bench::Result;

/// Runs the fault scenarios against the quickstart example.
#[derive(Parser)]
struct Args {
    /// The receiver: the quickstart example's binary.
    #[arg(long)]
    receiver: PathBuf,
    /// The engine helper's binary, for the scenarios that start it by themselves.
    #[arg(long)]
    engine: PathBuf,
    /// Where data and logs go; a folder of its own is made in it.
    #[arg(long, default_value = "test-output/faults")]
    output: PathBuf,
    /// Fewer kills and shorter outages, for every test run.
    #[arg(long)]
    short: bool,
    /// Only scenarios whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let run = scenarios::Run {
        receiver: args.receiver.canonicalize().map_err(|error| format!("{}: {error}", args.receiver.display()))?,
        engine: args.engine.canonicalize().map_err(|error| format!("{}: {error}", args.engine.display()))?,
        output: args.output,
        short: args.short,
    };
    let mut failed = Vec::new();
    for name in scenarios::ALL.iter().filter(|name| name.contains(&args.only)) {
        println!("\n== {name}");
        match run.scenario(name).await {
            Ok(()) => println!("   holds"),
            Err(error) => {
                println!("   DOES NOT HOLD: {error}");
                failed.push(format!("{name}: {error}"));
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("did not hold: {}", failed.join("; ")).into()) }
}
