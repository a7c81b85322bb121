//! How do many receivers feed one pipeline? This one takes events over HTTP, keeps them in its spool and sends them to Kafka; the
//! example `consumer` writes them to ClickHouse. Start as many as you like behind a load balancer, each with a spool of its own.
//!
//! ```text
//! kafka_pipeline --config examples/kafka.toml create-topics
//! kafka_pipeline --config examples/kafka.toml
//! ```

#[allow(dead_code, unreachable_pub, reason = "each of the two examples uses its part")]
#[path = "shared/config.rs"]
mod config_file;
#[allow(unreachable_pub, reason = "a module of an example")]
#[path = "shared/serve.rs"]
mod serve;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use config_file::Config;
use monitor_kit::{Monitor, kafka::create_topics};
use serve::{listen, log_to_stderr, report, serve};

#[derive(Parser)]
struct Args {
    /// The TOML file that the consumer reads as well.
    #[arg(long)]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Creates the topics that do not exist yet, and tells how the others differ.
    CreateTopics,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    eprintln!("kafka_pipeline: {}", report(&*error));
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    log_to_stderr();
    let args = Args::parse();
    let config = Config::load(&args.config)?;
    match args.command {
        Some(Command::CreateTopics) => {
            let mut out = std::io::stdout();
            for topic in create_topics(&config.kafka()?, config.kafka.partitions, config.kafka.replication).await? {
                writeln!(out, "{topic}")?;
            }
            Ok(())
        }
        None => receive(&config).await,
    }
}

async fn receive(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let mut http = monitor_kit::http::Config::default();
    http.requests_per_second_per_client = Some(config.http.requests_per_second_per_client).filter(|limit| *limit > 0);
    for proxy in &config.http.trusted_proxies {
        http.trusted_proxies.push(proxy.parse().map_err(|error| format!("http.trusted_proxies: {proxy:?}: {error}"))?);
    }
    // The spool does not make its parent, which may be a volume that is not mounted; the example's own folder is none.
    std::fs::create_dir_all(&config.spool.path).map_err(|error| format!("cannot create {}: {error}", config.spool.path.display()))?;
    let builder = Monitor::builder()
        .http(http)
        .spool(&config.spool.path)
        .configure_spool(|spool| spool.min_free_disk(config.spool.min_free_mib << 20))
        .integration(config.kafka()?);
    let builder = config.projects().into_iter().fold(builder, |builder, project| builder.project(project));
    let server = listen(config.http.listen).await?;
    let internal = listen(config.http.internal).await?;
    let monitor = builder.build().await?;

    let service = monitor.service().ingest();
    let greeting = |address, internal| {
        format!(
            "  Receiver    http://{address}/\n  \
             Metrics     http://{internal}/metrics\n  \
             Kafka       {brokers}\n  \
             Spool       {spool}\n\n  \
             ready; Ctrl-C stops it, nothing that was accepted is lost",
            brokers = config.kafka.brokers,
            spool = config.spool.path.display(),
        )
    };
    serve(monitor, (server, service), internal, greeting).await
}
