//! Fills a store with made-up traffic: visits as the receiver would have taken them, through the sink that it writes with.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};
use monitor_core::{Batch, BatchId, Counts, Enricher, Envelope, Integration, Setup, Sink, enrich::Fingerprint};
use monitor_sink_clickhouse::ClickHouse;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc};

use crate::{
    Result,
    engine::Engine,
    events::now,
    traffic::{DAY, Site, World},
};

/// Events of one insert: what the receiver's lanes reach under load.
const ROWS: usize = 100_000;
/// What an engine that has just merged the hours before has not merged with them, ms.
const OF_LATE: i64 = 2 * 3_600_000;
/// Inserts at the same time.
const WRITERS: usize = 2;

/// What a store was filled with: enough to add what came since, or to ask about what must be in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recipe {
    /// The days.
    pub world: World,
    /// Events before this are in, ms since the Unix epoch.
    pub until: i64,
    /// Projects and their visitors, the largest first.
    pub visitors: Vec<(String, u64)>,
    /// What the largest part of it took to write.
    #[serde(default)]
    pub filled: Filled,
    /// What it took to work its rollups out.
    #[serde(default)]
    pub rolled: Filled,
}

/// What a store should hold.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Another seed gives other visitors.
    pub seed: u64,
    /// About how many events.
    pub events: u64,
    /// How far they reach back.
    pub days: u32,
    /// Where they end, ms since the Unix epoch.
    pub until: Option<i64>,
}

/// What filling a store, or working its rollups out, took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Filled {
    /// Events written or read.
    pub events: u64,
    /// Wall time, s.
    pub seconds: f64,
    /// CPU time of the engine meanwhile, s.
    pub engine_seconds: f64,
}

impl Filled {
    fn add(&mut self, more: &Filled) {
        self.events += more.events;
        self.seconds += more.seconds;
        self.engine_seconds += more.engine_seconds;
    }
}

impl Recipe {
    /// The last `days` up to `until` with about this many events: two fifths of them of one project, a fifth of each of three others.
    fn new(seed: u64, events: u64, days: u32, until: i64) -> Recipe {
        let begin = (until.div_euclid(DAY) - i64::from(days)) * DAY;
        let world = World { seed, begin, days };
        // The days are one more than asked for, of which the first and the last are parts.
        let shares = [0.4, 0.2, 0.2, 0.2];
        let sites = Site::all(&world);
        let visitors = sites.iter().zip(shares).map(|(site, share)| {
            let events = events as f64 * share;
            (site.project.to_owned(), world.visitors_for(site, events as u64))
        });
        Recipe { world, until, visitors: visitors.collect(), filled: Filled::default(), rolled: Filled::default() }
    }

    fn file(data: &Path) -> PathBuf {
        data.with_extension("traffic.json")
    }

    /// The recipe of a store that was filled before.
    pub fn read(data: &Path) -> Result<Option<Recipe>> {
        let file = Recipe::file(data);
        if !file.exists() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&fs::read(&file)?).map_err(|error| format!("{}: {error}", file.display()))?))
    }

    /// Kept beside the data: a store without it was not filled to its end.
    pub fn write(&self, data: &Path) -> Result<()> {
        Ok(fs::write(Recipe::file(data), serde_json::to_vec_pretty(self)?)?)
    }

    /// Its sites with their visitors.
    fn sites(&self) -> Vec<(Site, u64)> {
        let sites = Site::all(&self.world).into_iter();
        sites
            .filter_map(|site| self.visitors.iter().find(|(project, _)| *project == site.project).map(|(_, count)| (site, *count)))
            .collect()
    }

    /// The days in which events of this recipe lie from a time on.
    fn days_from(&self, from: i64) -> std::ops::Range<u32> {
        // A visit can go on after midnight.
        let first = ((from - self.world.begin).div_euclid(DAY) - 1).max(0);
        let last = (self.until - self.world.begin).div_euclid(DAY);
        (first as u32)..(last as u32 + 1)
    }

    /// Fills a new store, or adds to one that was filled before what came since; then settles it. A folder that holds something else is
    /// refused. Without `until` a store is left as it is, or filled up to now.
    pub async fn bring(engine: &Engine, data: &Path, wish: &Wish) -> Result<(Recipe, Filled)> {
        let (mut recipe, from) = match Recipe::read(data)? {
            Some(recipe) if wish.until.is_none_or(|until| until <= recipe.until) => return Ok((recipe, Filled::default())),
            Some(recipe) => {
                let from = recipe.until;
                (Recipe { until: wish.until.unwrap_or(from), ..recipe }, from)
            }
            None => {
                let until = wish.until.unwrap_or_else(now);
                (Recipe::new(wish.seed, wish.events, wish.days, until), until - i64::from(wish.days) * DAY)
            }
        };
        // In a store that runs, what came of late is in small parts beside the large ones of the hours before.
        let until = recipe.until;
        let mut filled = Filled::default();
        for (from, until) in [(from, (until - OF_LATE).max(from)), ((until - OF_LATE).max(from), until)] {
            if from < until {
                filled.add(&Recipe { until, ..recipe.clone() }.fill(engine, from).await?);
                settle(engine).await?;
            }
        }
        if filled.events > recipe.filled.events {
            recipe.filled = filled;
        }
        recipe.write(data)?;
        Ok((recipe, filled))
    }

    /// Writes the events from a time on, day by day. Merges are left for later.
    async fn fill(&self, engine: &Engine, from: i64) -> Result<Filled> {
        let mut setup = Setup::new(Arc::new(Counts::new()));
        Box::new(ClickHouse::new(engine.url()).fsync(false)).install(&mut setup)?;
        let sink = setup.sinks.first().cloned().ok_or("the integration has no sink")?;
        // The schema is made by the first write; one without events would not be.
        let store = setup.store.clone().ok_or("the integration has no store")?;
        let question = monitor_core::query::Query { ..serde_json::from_str(r#"{"project":"shop","from":0,"to":1,"measures":["count"]}"#)? };
        store.query(&monitor_core::Scope::All, &question).await?;
        engine.sql("SYSTEM STOP MERGES monitor.events").await?;

        let days = self.days_from(from);
        let bar = ProgressBar::new(u64::from(days.end - days.start) * 1_000).with_style(style()?);
        let begin = (Instant::now(), engine.cpu());
        let (full, batches) = mpsc::channel::<Batch>(1);
        let batches = Arc::new(Mutex::new(batches));
        let writers: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(write(sink.clone(), batches.clone()))).collect();
        // Without writers nobody receives: then making ends, instead of waiting for ever.
        drop(batches);
        let (recipe, making) = (self.clone(), bar.clone());
        let made = tokio::task::spawn_blocking(move || recipe.make(from, &full, &making)).await?;
        for writer in writers {
            writer.await??;
        }
        let events = made?;
        bar.finish_and_clear();
        engine.sql("SYSTEM START MERGES monitor.events").await?;
        Ok(Filled { events, seconds: begin.0.elapsed().as_secs_f64(), engine_seconds: (engine.cpu() - begin.1).as_secs_f64() })
    }

    /// Makes the events and hands them over in batches; how many there were.
    fn make(&self, from: i64, full: &mpsc::Sender<Batch>, bar: &ProgressBar) -> Result<u64> {
        let sites = self.sites();
        let all: u64 = sites.iter().map(|(_, visitors)| visitors).sum();
        let mut events = 0;
        let mut batches = 0;
        let days = self.days_from(from);
        for day in days.clone() {
            let mut envelopes: Vec<Envelope> = Vec::new();
            let mut rows = 0;
            let mut passed = 0;
            for (site, visitors) in &sites {
                for visit in self.world.visits(site, *visitors, day) {
                    for mut envelope in visit {
                        envelope.events.retain(|event| (from..self.until).contains(&event.time));
                        for event in &mut envelope.events {
                            // It keeps every event.
                            let _ = Fingerprint.enrich(event, &envelope.origin);
                        }
                        rows += envelope.events.len();
                        envelopes.push(envelope);
                    }
                    if rows >= ROWS {
                        batches += 1;
                        events += rows as u64;
                        let batch = Batch::new(
                            BatchId::new(format!("traffic {} {from} {batches}", self.world.seed)),
                            std::mem::take(&mut envelopes),
                        );
                        full.blocking_send(batch).map_err(|_| "a writer failed")?;
                        rows = 0;
                        bar.set_message(format!("{:.1} M events", events as f64 / 1e6));
                    }
                }
                passed += visitors;
                bar.set_position(u64::from(day - days.start) * 1_000 + passed * 1_000 / all.max(1));
            }
            if rows > 0 {
                batches += 1;
                events += rows as u64;
                let batch = Batch::new(BatchId::new(format!("traffic {} {from} {batches}", self.world.seed)), envelopes);
                full.blocking_send(batch).map_err(|_| "a writer failed")?;
            }
        }
        Ok(events)
    }
}

fn style() -> Result<ProgressStyle> {
    Ok(ProgressStyle::with_template("{elapsed_precise} {wide_bar} {percent:>3} %  {msg}  {eta} left")?)
}

async fn write(sink: Arc<dyn Sink>, batches: Arc<Mutex<mpsc::Receiver<Batch>>>) -> Result<()> {
    loop {
        let next = batches.lock().await.recv().await;
        let Some(batch) = next else { return Ok(()) };
        sink.write(&batch).await.map_err(|error| crate::with_causes(&error))?;
    }
}

/// Merges each day that is over into one part, as it is some hours after its end in a store that runs, and lets the engine merge the
/// last one as far as it does by itself.
async fn settle(engine: &Engine) -> Result<()> {
    let days = engine.sql("SELECT partition, if(partition = max(partition) OVER (), 1, count()) FROM system.parts WHERE database = 'monitor' AND table = 'events' AND active GROUP BY partition ORDER BY partition").await?;
    let days: Vec<_> =
        days.lines().filter_map(|line| line.split_once('\t')).filter(|(_, parts)| *parts != "1").map(|(day, _)| day.to_owned()).collect();
    let bar = ProgressBar::new(days.len() as u64).with_style(style()?).with_message("merging");
    // What was merged is removed at once: a store of this size should not be on the disk twice.
    engine.sql("ALTER TABLE events MODIFY SETTING old_parts_lifetime = 1").await?;
    for day in days {
        engine.sql(&format!("OPTIMIZE TABLE events PARTITION '{day}' FINAL")).await?;
        bar.inc(1);
    }
    engine.sql("ALTER TABLE events RESET SETTING old_parts_lifetime").await?;
    // A merge that ended may make room for the next one.
    let mut quiet = 0;
    while quiet < 3 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let merges = engine.sql("SELECT count() FROM system.merges WHERE database = 'monitor'").await?;
        quiet = if merges.trim() == "0" { quiet + 1 } else { 0 };
    }
    bar.finish_and_clear();
    Ok(())
}
