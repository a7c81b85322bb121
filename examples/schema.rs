//! How do I set up a ClickHouse cluster? Prints the statements for its operator, in the order to run them.
//!
//! ```text
//! cargo run --example schema -- --cluster main --policy hot_cold --cold-after 7 | clickhouse-client --multiquery
//! ```

#![allow(clippy::print_stdout, reason = "an example that prints")]

use clap::Parser;
use monitor_kit::clickhouse::{ClickHouse, Cluster, ConfigError};

#[derive(Parser)]
struct Arguments {
    /// Name of the cluster in the servers' configuration
    #[arg(long)]
    cluster: String,
    /// Database that programs write to and read from; the shards' own tables are in DATABASE_local
    #[arg(long, default_value = "monitor")]
    database: String,
    /// Days after which events are deleted; 0 keeps them for ever
    #[arg(long, default_value_t = 90)]
    retention: u32,
    /// Storage policy of the events, with a volume for old ones
    #[arg(long)]
    policy: Option<String>,
    /// The policy's volume for old events
    #[arg(long, default_value = "cold")]
    cold: String,
    /// Days after which events move there
    #[arg(long, default_value_t = 7)]
    cold_after: u32,
}

fn main() -> Result<(), ConfigError> {
    let arguments = Arguments::parse();
    let mut cluster = Cluster::new(arguments.cluster);
    if let Some(policy) = arguments.policy {
        cluster = cluster.tiers(policy, arguments.cold, arguments.cold_after);
    }
    // The address does not matter: nothing is sent.
    let clickhouse = ClickHouse::new("http://localhost:8123").database(arguments.database).retention_days(arguments.retention);
    for statement in clickhouse.clustered_schema(&cluster)? {
        println!("{statement};\n");
    }
    Ok(())
}
