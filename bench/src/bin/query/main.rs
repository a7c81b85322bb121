//! `make bench-query`: how long questions and dashboard pages take on a store of thirty days, how far their answers are from the exact
//! ones, and what the raw scan and the usual way take for the same, in one run.
//!
//! - Every question is asked once to warm up and then `--rounds` times, each time with a range that ends a moment earlier, and with the
//!   engine's query caches emptied: nothing can answer from memory of the answer.
//! - **raw** is the same question with `exact`, which reads every event. **usual** is what is commonly built for such dashboards: states of
//!   t-digests and of distinct counts for each combination of dimensions, in `AggregatingMergeTree` tables, from the same events.
//! - **error** is the sum of the differences from the exact answer, over the sum of the exact figures, of the worst column.
//! - Pages ask their questions as a browser does: all at once, over at most six connections to a real service.

mod figures;
mod pages;
mod questions;
mod usual;

use std::{path::PathBuf, sync::Arc, time::Instant};

use clap::Parser;
use monitor_bench::{
    Result,
    engine::Engine,
    events::now,
    figure,
    fill::{Filled, Recipe, Wish},
    process::Process,
    with_causes,
};
use monitor_core::{Counts, Integration, Setup};
use monitor_sink_clickhouse::ClickHouse;

/// Measures questions and pages and prints `figure` lines.
#[derive(Parser)]
struct Args {
    /// The store: the folder of an engine that `loadgen store` filled. It is filled when it does not exist.
    #[arg(long, default_value = "test-output/query/engine")]
    data: PathBuf,
    /// About how many events a new store gets.
    #[arg(long, default_value_t = 5_000_000)]
    events: u64,
    /// Adds the events since the store was filled, so that it ends now.
    #[arg(long)]
    fresh: bool,
    /// How often each question is asked.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only what has this in its name; `page_` for all pages.
    #[arg(long, default_value = "")]
    only: String,
    /// Leaves the usual way out: its tables take a while to build.
    #[arg(long)]
    no_usual: bool,
    /// The engine's helper program.
    #[arg(long, default_value = "target/release/monitor-engine")]
    engine: PathBuf,
    /// The quickstart example's binary: the service that pages are asked of.
    #[arg(long, default_value = "target/release/examples/quickstart")]
    service: PathBuf,
    /// What each page asks.
    #[arg(long, default_value = "bench/pages")]
    pages: PathBuf,
    /// Megabytes of memory that the engine may use.
    #[arg(long, default_value_t = 4_000)]
    memory: u64,
}

/// The project that is asked about: the largest.
const PROJECT: &str = "shop";

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let load = std::fs::read_to_string("/proc/loadavg")?;
    println!("load at start {}", load.split(' ').next().unwrap_or("?"));
    let engine = Engine::start(&args.engine, &args.data, args.memory << 20).await?;
    let wish = Wish { seed: 1, events: args.events, days: 30, until: args.fresh.then(now) };
    let (mut recipe, _) = Recipe::bring(&engine, &args.data, &wish).await?;
    let rolled = roll_up(&engine).await?;
    if rolled.events > recipe.rolled.events {
        recipe.rolled = rolled;
        recipe.write(&args.data)?;
    }
    storage(&engine, &recipe).await?;

    let clickhouse = ClickHouse::new(engine.url()).rollups(false);
    let mut setup = Setup::new(Arc::new(Counts::new()));
    Box::new(clickhouse).install(&mut setup)?;
    let store = setup.store.ok_or("the integration has no store")?;
    let wanted = |name: &str| name.contains(&args.only);
    let until = recipe.until;
    let questions: Vec<_> = questions::all(&*store, until).await?.into_iter().filter(|question| wanted(question.name)).collect();
    let usual = if args.no_usual || questions.is_empty() { None } else { Some(usual::Usual::build(&engine).await?) };
    if !questions.is_empty() {
        questions::measure(&engine, &*store, usual.as_ref(), &questions, args.rounds).await?;
    }

    let pages: Vec<_> = pages::read(&args.pages)?.into_iter().filter(|page| wanted(&format!("page_{}", page.name))).collect();
    if !pages.is_empty() {
        let address = monitor_bench::process::free_address()?;
        let service = start_service(&args, &engine, address).await?;
        pages::measure(&engine, &*store, address, &pages, until, args.rounds).await?;
        service.terminate()?;
    }
    figure("query.engine_rss_mb", engine.resident() as f64 / 1e6, "MB");
    engine.stop().await
}

/// Works the rollups out that are missing, and what that took.
async fn roll_up(engine: &Engine) -> Result<Filled> {
    let job = ClickHouse::new(engine.url()).rollup_job()?;
    let (start, cpu) = (Instant::now(), engine.cpu());
    let built = job.build(now()).await.map_err(|error| with_causes(&error))?;
    let rolled =
        Filled { events: built.events, seconds: start.elapsed().as_secs_f64(), engine_seconds: (engine.cpu() - cpu).as_secs_f64() };
    println!("rollups: {} days of {} events worked out in {:.1} s", built.days, built.events, rolled.seconds);
    Ok(rolled)
}

/// What is stored, and what it took to get it there.
async fn storage(engine: &Engine, recipe: &Recipe) -> Result<()> {
    let parts = "FROM system.parts WHERE active AND database = 'monitor' AND table";
    let tables = engine
        .sql(&format!("SELECT table, sum(rows), sum(bytes_on_disk) {parts} != 'schema_migrations' GROUP BY table ORDER BY 3 DESC"))
        .await?;
    let events = engine.number(&format!("SELECT sum(rows) {parts} = 'events'")).await?;
    println!("\n{:<20} {:>14} {:>12} {:>12}", "table", "rows", "MB", "bytes/event");
    let mut rollups = 0.0;
    for line in tables.lines() {
        let [table, rows, bytes] = line.split('\t').collect::<Vec<_>>()[..] else { return Err(format!("an odd answer: {line}").into()) };
        let bytes: f64 = bytes.parse()?;
        println!("{table:<20} {rows:>14} {:>12.1} {:>12.2}", bytes / 1e6, bytes / events);
        if table == "events" {
            figure("query.bytes_per_event", bytes / events, "B");
        } else {
            rollups += bytes;
        }
    }
    figure("query.events", events, "events");
    figure("query.rollup_bytes_per_event", rollups / events, "B");
    // Vitals alone: those of one day in a table of their own.
    let day = "toDate((SELECT max(time) FROM events)) - 3";
    engine.sql("DROP TABLE IF EXISTS vitals_alone SYNC").await?;
    engine.sql("CREATE TABLE vitals_alone AS events").await?;
    engine.sql(&format!("INSERT INTO vitals_alone SELECT * FROM events WHERE kind = 'vital' AND toDate(time) = {day}")).await?;
    engine.sql("OPTIMIZE TABLE vitals_alone FINAL").await?;
    let per_vital = engine.number(&format!("SELECT sum(bytes_on_disk) / sum(rows) {parts} = 'vitals_alone'")).await?;
    engine.sql("DROP TABLE vitals_alone SYNC").await?;
    figure("query.bytes_per_vital", per_vital, "B");
    let Recipe { filled, rolled, .. } = recipe;
    if filled.events > 0 {
        figure("query.load_rows_per_second", filled.events as f64 / filled.seconds, "rows/s");
        figure("query.load_engine_us_per_event", filled.engine_seconds * 1e6 / filled.events as f64, "us");
    }
    if rolled.events > 0 {
        figure("query.rollup_cpu_us_per_event", rolled.engine_seconds * 1e6 / rolled.events as f64, "us");
    }
    Ok(())
}

async fn start_service(args: &Args, engine: &Engine, address: std::net::SocketAddr) -> Result<Process> {
    let folder = args.data.with_extension("service");
    std::fs::create_dir_all(&folder)?;
    let mut line =
        vec!["--clickhouse".to_owned(), engine.url(), "--listen".into(), address.to_string(), "--min-free-mib".into(), "0".into()];
    line.extend(["--shop", "127.0.0.1:0", "--internal", "127.0.0.1:0", "--data"].map(str::to_owned));
    line.push(folder.display().to_string());
    Process::start(&args.service, &line, "ready", &folder.with_extension("service.log")).await
}
