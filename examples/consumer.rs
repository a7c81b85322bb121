//! How do events get from Kafka into ClickHouse? This process is a member of a consumer group: it reads topics, writes each event once
//! and answers queries. Start as many as there is work for; they share the partitions.
//!
//! ```text
//! consumer --config examples/kafka.toml
//! consumer --config examples/kafka.toml replay --since 2026-11-21T10:00:00Z
//! consumer --config examples/kafka.toml dead-letters list
//! consumer --config examples/kafka.toml dead-letters replay
//! ```

#[allow(dead_code, unreachable_pub, reason = "each of the two examples uses its part")]
#[path = "shared/config.rs"]
mod config_file;
#[allow(unreachable_pub, reason = "a module of an example")]
#[path = "shared/serve.rs"]
mod serve;

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use config_file::{Config, flat};
use monitor_kit::{
    Each, Kind, Monitor, access,
    clickhouse::ClickHouse,
    enrich::Validity,
    kafka::{DeadMessage, KafkaConsumer},
    process::PerMinute,
};
use serve::{listen, log_to_stderr, report, serve};

#[derive(Parser)]
struct Args {
    /// The TOML file that the receiver reads as well.
    #[arg(long)]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Puts the stopped group back, so that events are read again from this time on; those that are stored are not stored twice.
    Replay {
        /// RFC 3339: 2026-11-21T10:00:00Z
        #[arg(long)]
        since: jiff::Timestamp,
    },
    /// Messages that could not be read or written.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
}

#[derive(Subcommand)]
enum DeadLetters {
    /// Shows those that have not been put back.
    List,
    /// Puts them back into the topics they came from.
    Replay,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    eprintln!("consumer: {}", report(&*error));
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    log_to_stderr();
    let args = Args::parse();
    let config = Config::load(&args.config)?;
    let mut out = std::io::stdout();
    match args.command {
        None => return consume(&config).await,
        Some(Command::Replay { since }) => {
            for partition in consumer(&config)?.replay_since(since.as_millisecond()).await? {
                writeln!(out, "{partition}")?;
            }
        }
        Some(Command::DeadLetters(DeadLetters::List)) => {
            for DeadMessage { topic, partition, offset, reason, payload, .. } in consumer(&config)?.dead_letters(1_000).await? {
                writeln!(out, "{topic}/{partition}/{offset}: {reason}\n    {}", String::from_utf8_lossy(&payload))?;
            }
        }
        Some(Command::DeadLetters(DeadLetters::Replay)) => {
            writeln!(out, "{} messages were put back", consumer(&config)?.replay_dead_letters().await?)?;
        }
    }
    Ok(())
}

/// The consumer group, without what it writes to.
fn consumer(config: &Config) -> Result<KafkaConsumer, Box<dyn std::error::Error>> {
    let kafka = &config.kafka;
    let consumer = KafkaConsumer::new(&kafka.brokers).group(&kafka.group).topics(config.topics()?);
    let settings = flat([&kafka.settings, &kafka.consumer]);
    Ok(settings.into_iter().fold(consumer, |consumer, (key, value)| consumer.set(key, value)))
}

async fn consume(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let clickhouse = match (&config.clickhouse.embedded, &config.clickhouse.url) {
        (Some(folder), None) => {
            std::fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
            ClickHouse::embedded(folder)
        }
        (None, Some(url)) => ClickHouse::new(url),
        _ => return Err("clickhouse: say either url or embedded".into()),
    };
    let mut clickhouse = clickhouse.database(&config.clickhouse.database);
    if let Some(user) = &config.clickhouse.user {
        clickhouse = clickhouse.user(user, &config.clickhouse.password);
    }
    if let Some(reader) = &config.clickhouse.reader {
        clickhouse = clickhouse.reader(reader, &config.clickhouse.reader_password);
    }
    let access = match &config.query.token {
        Some(token) if token.trim().is_empty() => return Err("query: the token is empty, so that nobody could read".into()),
        Some(token) => access::token(token),
        None if config.query.listen.ip().is_loopback() => access::open(),
        None => return Err("query: others than this machine can connect: say with token who may read".into()),
    };
    let mut aggregated: Vec<Kind> = Vec::new();
    for kind in &config.consumer.aggregate {
        aggregated.push(kind.parse().map_err(|error| format!("consumer.aggregate: {kind:?} is {error}"))?);
    }
    let consumer = consumer(config)?
        .batch_events(config.consumer.batch_events)
        .linger(Duration::from_millis(config.consumer.linger_ms))
        // Our own receivers have done that; other programs that write to the topics may not.
        .processor(Each(Validity::default()))
        .processor(PerMinute::of(aggregated))
        .integration(clickhouse);
    let builder = config.projects().into_iter().fold(Monitor::builder(), |builder, project| builder.project(project));
    let server = listen(config.query.listen).await?;
    let internal = listen(config.query.internal).await?;
    let mut http = monitor_kit::http::Config::default();
    http.public_url = config.query.public_url.clone();
    let monitor = builder.access(access).http(http).integration(consumer).build().await?;

    let service = monitor.service().reader();
    let greeting = |address, internal| {
        format!(
            "  Dashboard   http://{address}/\n  \
             Metrics     http://{internal}/metrics\n  \
             Kafka       {brokers}, group {group}\n\n  \
             ready; Ctrl-C stops it, another consumer or the next start goes on",
            brokers = config.kafka.brokers,
            group = config.kafka.group,
        )
    };
    serve(monitor, (server, service), internal, greeting).await
}
