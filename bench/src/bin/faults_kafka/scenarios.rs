//! The scenarios. Each plays in a scene of its own and leaves its folder behind.

use std::{
    fs,
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant},
};

use monitor_bench::{
    Result,
    client::Client,
    events, figure_line,
    ledger::{Ledger, count, fresh_events_are_visible},
    load::{Load, Sent},
    process::{Process, is_stopped, signal, until},
    proxy::{Fault, Mode},
};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{sleep, sleep_until};

use crate::scene::{Counted, DEAD_LETTERS, GROUP, Programs, Scene};

/// Names, in the order they run.
pub const ALL: &[&str] =
    &["kills", "broker_down", "killed_writing", "rebalances", "stopped", "database_down", "poison", "answer_lost", "replay"];

/// Beyond the consumers' `max.poll.interval.ms` and `session.timeout.ms`, see the scene's configuration.
const STOPPED: Duration = Duration::from_secs(12);
/// Longest wait for an insert that a fault can meet, for the one consumer to take over from the other, or for enough events.
const PATIENCE: Duration = Duration::from_secs(60);
/// Within this time an event is visible when all is well.
const FRESH: Duration = Duration::from_secs(30);
/// Of 1,000 answers this many are not heard by the sender, who repeats the envelope.
const LOST: u16 = 20;

/// Events that consumers write at once.
const BATCH: usize = 5_000;
/// So few that what is read again makes many batches, whose bounds are the same each time.
const SMALL_BATCH: usize = 100;

/// What all scenarios need.
pub struct Run {
    pub programs: Programs,
    pub output: PathBuf,
    pub short: bool,
}

/// What is printed.
#[derive(Default)]
pub struct Figures {
    missing: u64,
    doubled: u64,
    invented: u64,
    accepted: u64,
    fired: u64,
}

impl Figures {
    /// Lines for programs.
    pub fn lines(&self, prefix: &str) -> Vec<String> {
        let figures = [
            ("missing", self.missing, "events"),
            ("doubled", self.doubled, "events"),
            ("invented", self.invented, "events"),
            ("accepted", self.accepted, "events"),
            ("fired", self.fired, "faults"),
        ];
        figures.iter().map(|(name, value, unit)| figure_line(&format!("{prefix}.{name}"), *value as f64, unit)).collect()
    }

    /// Sums.
    pub fn add(&mut self, other: &Figures) {
        self.missing += other.missing;
        self.doubled += other.doubled;
        self.invented += other.invented;
        self.accepted += other.accepted;
        self.fired += other.fired;
    }
}

/// What a scenario prints. Several may run at the same time.
#[derive(Default)]
pub struct Report {
    pub lines: Vec<String>,
    pub figures: Figures,
}

/// A message that cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Poison {
    topic: String,
    key: String,
    value: String,
}

impl Poison {
    /// As it is when it was put back: what can be read says that it is to be looked up.
    fn put_back(self) -> Poison {
        let value = match self.value.strip_suffix('}') {
            Some(fields) if fields.starts_with(r#"{"id":"#) => format!(r#"{fields},"attempt":0}}"#),
            _ => self.value,
        };
        Poison { value, ..self }
    }
}

/// What a scenario did.
#[derive(Default)]
struct Done {
    /// Faults that happened.
    fired: u64,
    /// What the dead letters must hold.
    poison: Vec<Poison>,
    /// The last time that messages were read again.
    replayed: Option<Replayed>,
}

/// Where the group was put back to: sums over the partitions.
#[derive(Clone, Copy, Debug, Default)]
struct Replayed {
    before: u64,
    now: u64,
    /// Rows that the database had lost.
    lost: u64,
}

impl Done {
    /// A fault has happened; says so at once to who watches.
    fn fire(&mut self, what: &str) {
        self.fired += 1;
        progress(what);
    }
}

/// A line to stderr, with the time since the start.
fn progress(what: &str) {
    static START: OnceLock<Instant> = OnceLock::new();
    eprintln!("   {:4} s  {what}", START.get_or_init(Instant::now).elapsed().as_secs());
}

impl Run {
    /// Runs one scenario.
    pub async fn scenario(&self, name: &str, report: &mut Report) -> Result<()> {
        let folder = self.output.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        progress(&format!("{name}: starts"));
        let mut scene = Scene::start(&self.programs, &folder, if name == "replay" { SMALL_BATCH } else { BATCH }).await?;
        let since = events::now() - 60_000;
        // Each round of a replay reads all that was accepted before it, in small batches: of more there is no end.
        let rate = if name == "replay" { 500 } else { self.choose(1_000, 2_000) };
        let load = Load::start(&scene.ingest(), rate, LOST);
        sleep(Duration::from_secs(2)).await;
        let done = match name {
            "kills" => self.kills(&mut scene).await,
            "broker_down" => self.broker_down(&mut scene).await,
            "killed_writing" => self.killed_writing(&mut scene).await,
            "rebalances" => self.rebalances(&mut scene).await,
            "stopped" => self.stopped(&mut scene, load.ledger()).await,
            "database_down" => self.database_down(&mut scene).await,
            "poison" => self.poison(&scene, load.ledger()).await,
            "answer_lost" => self.answer_lost(&mut scene).await,
            "replay" => self.replay(&mut scene, load.ledger(), since).await,
            _ => Err("no such scenario".into()),
        };
        sleep(Duration::from_secs(1)).await;
        // The faster the machine, the sooner a scenario is over. What is too few in spite of the patience, the comparison finds.
        until(PATIENCE, async || load.ledger().accepted() >= self.least()).await;
        let sent = load.stop().await;
        self.judge(name, &mut scene, &sent, done?, since, report).await
    }

    fn choose<T>(&self, short: T, long: T) -> T {
        if self.short { short } else { long }
    }

    /// Events that have to be accepted for a meaningful run.
    fn least(&self) -> usize {
        self.choose(2_000, 50_000)
    }

    /// Waits until all is written, compares, and checks what must hold at the end of every scenario.
    async fn judge(&self, name: &str, scene: &mut Scene, sent: &Sent, done: Done, since: i64, report: &mut Report) -> Result<()> {
        progress(&format!("{name}: {} events accepted, the rest is awaited", sent.ledger().accepted()));
        let drained = scene.drained(sent.ledger(), since, Duration::from_secs(self.choose(60, 180))).await;
        let reader = scene.consumer(0)?.addr;
        let verdict = sent.ledger().compare(reader, since, Duration::from_secs(5)).await?;
        for n in 0..scene.consumers.len() {
            scene.count(n).await?;
        }
        report.lines.push(format!(
            "{} envelopes sent again, {} sends failed; {} inserts, {} of them with a token sent before; {} copies left out, {} events found stored, {} batches tried again, {} inserts refused",
            sent.repeated(),
            sent.refused(),
            scene.inserts.seen(),
            scene.inserts.repeated(),
            scene.counted.copies,
            scene.counted.stored,
            scene.counted.retried,
            scene.refused()
        ));
        progress(&format!("{name}: compared"));
        report.figures = Figures {
            missing: verdict.missing as u64,
            doubled: verdict.doubled as u64,
            invented: verdict.invented as u64,
            accepted: verdict.accepted as u64,
            fired: done.fired,
        };
        verdict.check(self.least())?;
        if matches!(name, "broker_down" | "database_down") && sent.refused() > 0 {
            return Err(format!("{} sends were refused", sent.refused()).into());
        }
        drained?;
        scene.all_well()?;
        scene.all_accounted_for().await?;
        effects(name, scene, sent, done.fired)?;
        if let Some(replayed) = done.replayed {
            report.lines.push(was_read_again(scene, replayed).await?);
        }
        dead_letters_are(scene, done.poison).await?;
        let receiver = scene.receivers.first().ok_or("no receiver")?.addr;
        fresh_events_are_visible(&Ledger::default(), receiver, reader, FRESH).await
    }

    /// SIGKILL of a receiver, a consumer and the broker at random moments.
    async fn kills(&self, scene: &mut Scene) -> Result<Done> {
        let (receivers, consumers, brokers) = self.choose((3, 3, 1), (20, 20, 8));
        let mut victims = [vec!["receiver"; receivers], vec!["consumer"; consumers], vec!["broker"; brokers]].concat();
        fastrand::shuffle(&mut victims);
        let mut done = Done::default();
        for victim in victims {
            sleep(Duration::from_millis(fastrand::u64(300..2_500))).await;
            let n = fastrand::usize(..2);
            let down = Duration::from_millis(fastrand::u64(..1_000));
            match victim {
                "receiver" => {
                    let receiver = scene.receivers.get_mut(n).ok_or("no receiver")?;
                    receiver.service.process.kill().await?;
                    sleep(down).await;
                    receiver.service.restart().await?;
                }
                "consumer" => {
                    scene.count(n).await?;
                    let consumer = scene.consumer(n)?;
                    consumer.service.process.kill().await?;
                    sleep(down).await;
                    consumer.service.restart().await?;
                }
                _ => {
                    scene.broker.kill().await?;
                    sleep(down).await;
                    scene.broker.restart().await?;
                }
            }
            done.fire(&format!("kills: {victim}"));
        }
        Ok(done)
    }

    /// Events are taken while the broker is away, and a consumer can be ended and started.
    async fn broker_down(&self, scene: &mut Scene) -> Result<Done> {
        scene.broker.kill().await?;
        let mut done = Done::default();
        done.fire("broker_down: killed");
        let back = Instant::now() + Duration::from_secs(self.choose(15, 180));
        sleep(Duration::from_secs(3)).await;
        let consumer = scene.consumer(1)?;
        ends_in_order(&mut consumer.service.process).await?;
        consumer.service.restart().await?;
        done.fire("broker_down: a consumer was ended and started");
        sleep_until(back.into()).await;
        scene.broker.restart().await?;
        Ok(done)
    }

    /// A consumer is killed when its batch is stored but not committed, or in the middle of the insert.
    async fn killed_writing(&self, scene: &mut Scene) -> Result<Done> {
        let mut done = Done::default();
        for n in 0..self.choose(2, 10) {
            for fault in [Fault::KillAfterWrite, Fault::KillInWrite] {
                let consumer = scene.consumer(n % 2)?;
                consumer.proxy.arm(fault, fastrand::u32(..3), consumer.pid());
                consumer.proxy.fired(PATIENCE).await?;
                done.fire(&format!("killed_writing: {fault:?}"));
                consumer.restart_after_end().await?;
            }
        }
        Ok(done)
    }

    /// A third consumer joins or leaves every 5 s.
    async fn rebalances(&self, scene: &mut Scene) -> Result<Done> {
        let mut done = Done::default();
        for n in 0..self.choose(3, 30) {
            let mut third = scene.new_consumer(2).await?;
            done.fire("rebalances: joined");
            sleep(Duration::from_secs(5)).await;
            if n % 2 == 0 {
                ends_in_order(&mut third.service.process).await?;
            } else {
                third.service.process.kill().await?;
            }
            done.fire("rebalances: left");
            sleep(Duration::from_secs(5)).await;
        }
        Ok(done)
    }

    /// A consumer is stopped until the group has given its partitions to the other, and goes on then; also while its insert
    /// is on the way, which arrives after the other has written the same.
    async fn stopped(&self, scene: &mut Scene, ledger: &Ledger) -> Result<Done> {
        let mut done = Done::default();
        for n in 0..self.choose(2, 10) {
            // In the short form one of each, with the two consumers in turn.
            let receiver = scene.receivers.first().ok_or("no receiver")?.addr;
            let other = scene.consumer((n + 1) % 2)?.addr;
            let consumer = scene.consumer(n % 2)?;
            let pid = consumer.pid();
            let in_write = n % 2 == 1;
            if in_write {
                consumer.proxy.arm(Fault::StopInWrite, fastrand::u32(..3), pid);
                consumer.proxy.fired(PATIENCE).await?;
            } else {
                signal(pid, Signal::STOP)?;
            }
            if !until(Duration::from_secs(2), async || is_stopped(pid)).await {
                return Err("the consumer was not stopped".into());
            }
            sleep(STOPPED).await;
            // The other one has all partitions now.
            fresh_events_are_visible(ledger, receiver, other, PATIENCE).await?;
            // The late insert arrives before or after its sender goes on.
            if n % 4 == 1 {
                consumer.proxy.release();
                sleep(Duration::from_millis(500)).await;
            }
            signal(pid, Signal::CONT)?;
            sleep(Duration::from_millis(500)).await;
            consumer.proxy.release();
            done.fire(if in_write { "stopped: in the middle of a write" } else { "stopped" });
            sleep(Duration::from_secs(2)).await;
        }
        let back = until(PATIENCE, async || scene.broker.members(GROUP).await.is_ok_and(|members| members == 2));
        if back.await { Ok(done) } else { Err("a consumer that was stopped does not come back to the group".into()) }
    }

    /// The database is killed, refuses inserts, refuses connections; events are taken all the time.
    async fn database_down(&self, scene: &mut Scene) -> Result<Done> {
        let mut done = Done::default();
        scene.engine.process.kill().await?;
        done.fire("database_down: killed");
        sleep(Duration::from_secs(self.choose(8, 90))).await;
        scene.engine.restart().await?;
        for (mode, seconds) in [(Mode::TooManyParts, self.choose(6, 120)), (Mode::Refuse, self.choose(4, 30))] {
            sleep(Duration::from_secs(3)).await;
            scene.consumers.iter().for_each(|consumer| consumer.proxy.set(mode));
            done.fire(&format!("database_down: {mode:?}"));
            sleep(Duration::from_secs(seconds)).await;
            scene.consumers.iter().for_each(|consumer| consumer.proxy.set(Mode::Pass));
        }
        if scene.refused() == 0 {
            return Err("no insert was refused".into());
        }
        Ok(done)
    }

    /// Messages that cannot be stored, good ones around each of them in the same partition.
    async fn poison(&self, scene: &Scene, ledger: &Ledger) -> Result<Done> {
        let mut done = Done::default();
        for round in 0..self.choose(1, 10) {
            for topic in ["monitor.errors", "monitor.performance", "monitor.behavior"] {
                let key = format!("poison-{round}");
                let mut messages = Vec::new();
                for bad in bad_messages(round) {
                    let good = ledger.issue(3)?;
                    for (_, event) in &good.events {
                        messages.push((key.clone(), message(event)?));
                    }
                    ledger.accepted_but(&good, &[]);
                    messages.push((key.clone(), bad.clone()));
                    done.poison.push(Poison { topic: topic.to_owned(), key: key.clone(), value: bad });
                    done.fired += 1;
                }
                scene.broker.produce(topic, &messages).await?;
                progress(&format!("poison: {} messages", done.fired));
            }
        }
        Ok(done)
    }

    /// The group is put back by an operator, to a time in the middle or to the beginning, and a consumer is killed while what was
    /// read before is read again. What the database has lost in between comes back. Dead letters are put back.
    async fn replay(&self, scene: &mut Scene, ledger: &Ledger, since: i64) -> Result<Done> {
        let mut done = Done::default();
        self.all_visible(scene, ledger, since).await?;
        match scene.operate(&["replay", "--since", EVERYTHING]).await {
            Ok(text) => return Err(format!("a replay was not refused while consumers run: {text}").into()),
            Err(error) if error.to_string().contains("stop its consumers first") => {}
            Err(error) => return Err(format!("a replay was refused for another reason: {error}").into()),
        }
        let mut middle = 0;
        for n in 0..self.choose(3, 6) {
            let turn = n % 3;
            if turn == 0 {
                middle = events::now();
                sleep(Duration::from_secs(2)).await;
            }
            self.all_visible(scene, ledger, since).await?;
            for consumer in &mut scene.consumers {
                ends_in_order(&mut consumer.service.process).await?;
            }
            // From here on what was counted is what has been read again, and what is new.
            scene.counted = Counted::default();
            let lost = lose(scene, middle).await?;
            let mut replayed = Replayed::default();
            if turn != 1 {
                replayed = put_group_back(scene, &date(scene, middle).await?).await?;
            }
            // Twice, so that the second time has the batches of the first; and further, before anything is read.
            if turn != 0 {
                let Replayed { before, now, .. } = put_group_back(scene, EVERYTHING).await?;
                replayed = Replayed { before: before.max(replayed.before), now, lost };
            }
            replayed.lost = lost;
            done.replayed = Some(replayed);
            // The first one is in the middle of its part when it is killed.
            scene.consumer(0)?.proxy.set(Mode::Refuse);
            for consumer in &mut scene.consumers {
                consumer.service.restart().await?;
            }
            let consumer = scene.consumer(0)?;
            if turn == 2 {
                if !until(PATIENCE, async || consumer.retries().await).await {
                    return Err("the consumer did not try to write what it reads again".into());
                }
                consumer.service.process.kill().await?;
                consumer.proxy.set(Mode::Pass);
            } else {
                let fault = if turn == 0 { Fault::KillInWrite } else { Fault::KillAfterWrite };
                consumer.proxy.arm(fault, fastrand::u32(..3), consumer.pid());
                consumer.proxy.set(Mode::Pass);
                consumer.proxy.fired(PATIENCE).await?;
            }
            consumer.restart_after_end().await?;
            came_back(scene).await?;
            done.fire(&format!("replay: {} messages, {lost} of them were lost", replayed.before - replayed.now));
        }
        done.poison = put_back(scene, bad_messages(0)).await?;
        done.fire("replay: dead letters");
        Ok(done)
    }

    /// Waits until everything that is accepted now can be queried.
    async fn all_visible(&self, scene: &mut Scene, ledger: &Ledger, since: i64) -> Result<()> {
        let accepted = ledger.accepted() as u64;
        let mut reader = Client::new(scene.consumer(1)?.addr);
        let patience = self.choose(PATIENCE, 3 * PATIENCE);
        let visible = until(patience, async || count(&mut reader, since).await.is_ok_and(|count| count >= accepted)).await;
        if visible { Ok(()) } else { Err("what was accepted does not become visible".into()) }
    }

    /// The engine stores an insert, but its answer is lost.
    async fn answer_lost(&self, scene: &mut Scene) -> Result<Done> {
        let mut done = Done::default();
        for n in 0..self.choose(6, 120) {
            let consumer = scene.consumer(n % 2)?;
            consumer.proxy.arm(Fault::LoseAnswer, fastrand::u32(..3), consumer.pid());
            consumer.proxy.fired(PATIENCE).await?;
            done.fire("answer_lost");
        }
        Ok(done)
    }
}

/// Before any message.
const EVERYTHING: &str = "1970-01-01T00:00:01Z";
/// All that consumers read, as Kafka's tools take it.
const TOPICS: &str = "monitor.errors,monitor.performance,monitor.behavior";

/// The database loses what arrived at this time and later; remembers what that was.
async fn lose(scene: &Scene, since: i64) -> Result<u64> {
    let lost = format!("received >= fromUnixTimestamp64Milli(toInt64({since}))");
    scene.ask("DROP TABLE IF EXISTS default.lost").await?;
    scene.ask(&format!("CREATE TABLE default.lost ENGINE = MergeTree ORDER BY id AS SELECT id FROM monitor.events WHERE {lost}")).await?;
    scene.ask(&format!("ALTER TABLE monitor.events DELETE WHERE {lost} SETTINGS mutations_sync = 1")).await?;
    let left = scene.ask(LOST_ROWS).await?;
    progress(&format!("replay: the database has lost, and still has: {left}"));
    match left.split_once('\t') {
        Some((lost, "0")) if lost != "0" => Ok(lost.parse()?),
        _ => Err(format!("the database did not lose anything: {left}").into()),
    }
}

/// A time as operators write it.
async fn date(scene: &Scene, time: i64) -> Result<String> {
    let text = format!("toString(fromUnixTimestamp64Milli(toInt64({time}), 'UTC'))");
    scene.ask(&format!("SELECT concat(replaceOne({text}, ' ', 'T'), 'Z')")).await
}

/// `consumer … replay`: the group's consumers read again from this time on.
async fn put_group_back(scene: &Scene, since: &str) -> Result<Replayed> {
    let replayed = replayed(&scene.operate(&["replay", "--since", since]).await?)?;
    if replayed.now < replayed.before { Ok(replayed) } else { Err("there was nothing to be read again".into()) }
}

/// How many rows were lost, and how many of them are there.
const LOST_ROWS: &str = "SELECT count(), countIf(id IN (SELECT id FROM monitor.events)) FROM default.lost";

/// How long that may take: new events come in meanwhile, and every one that is read again is looked up.
const RESTORED: Duration = Duration::from_secs(150);

/// Waits until the database has again what it had lost; whether more than once is found by the comparison.
async fn came_back(scene: &Scene) -> Result<()> {
    let all = async || scene.ask(LOST_ROWS).await.is_ok_and(|rows| rows.split_once('\t').is_some_and(|(lost, back)| lost == back));
    if until(RESTORED, all).await {
        return Ok(());
    }
    let rows = scene.ask(LOST_ROWS).await?;
    let again = scene.inserts.repeated();
    Err(format!("of the rows that the database had lost not all came back: {rows}; {again} inserts had a token that was sent before")
        .into())
}

/// What `consumer … replay` printed, such as `monitor.errors/3: 120, 40 messages before 160`, summed up.
fn replayed(text: &str) -> Result<Replayed> {
    let mut sum = Replayed::default();
    for line in text.lines() {
        let (_, rest) = line.split_once(": ").ok_or_else(|| format!("not understood: {line}"))?;
        // A partition without any commit is read from its beginning anyway.
        let Some((now, before)) = rest.split_once(", ") else { continue };
        let before = before.rsplit_once(' ').ok_or_else(|| format!("not understood: {line}"))?.1;
        sum.now += now.parse::<u64>()?;
        sum.before += before.parse::<u64>()?;
    }
    Ok(sum)
}

/// An error unless the consumers, as they were started after the last replay, have read and left out what they were put back by.
async fn was_read_again(scene: &Scene, Replayed { before, now, lost }: Replayed) -> Result<String> {
    let (again, new) = (before - now, scene.broker.messages(TOPICS).await?.saturating_sub(before));
    let Counted { consumed, copies, stored, .. } = scene.counted;
    let text = format!(
        "{again} messages were to be read again, {lost} of them lost, and {new} were new; {consumed} were read, {} were left out as copies",
        copies + stored
    );
    if consumed >= (new + again) as f64 && copies + stored >= (again - lost) as f64 { Ok(text) } else { Err(text.into()) }
}

/// Has messages become dead letters, looks at them and puts them back, so that they become dead letters again. Returns what the
/// topic of dead letters holds then.
async fn put_back(scene: &Scene, bad: Vec<String>) -> Result<Vec<Poison>> {
    let topic = "monitor.behavior";
    let mut poison: Vec<_> = bad.into_iter().map(|value| Poison { topic: topic.to_owned(), key: "poison".to_owned(), value }).collect();
    let messages: Vec<_> = poison.iter().map(|poison| (poison.key.clone(), poison.value.clone())).collect();
    scene.broker.produce(topic, &messages).await?;
    listed(scene, &poison).await?;
    let text = scene.operate(&["dead-letters", "replay"]).await?;
    if text.trim() != format!("{} messages were put back", poison.len()) {
        return Err(format!("{} dead letters were to be put back: {text}", poison.len()).into());
    }
    let again: Vec<_> = poison.iter().cloned().map(Poison::put_back).collect();
    listed(scene, &again).await?;
    poison.extend(again);
    Ok(poison)
}

/// Waits until `consumer … dead-letters list` shows these, each once.
async fn listed(scene: &Scene, poison: &[Poison]) -> Result<()> {
    let mut expected: Vec<&str> = poison.iter().map(|poison| &*poison.value).collect();
    expected.sort_unstable();
    let mut text = String::new();
    let same = until(FRESH, async || {
        text = scene.operate(&["dead-letters", "list"]).await.unwrap_or_else(|error| error.to_string());
        // A line about the message, then the message.
        let mut found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        found.sort_unstable();
        found == expected
    });
    if same.await { Ok(()) } else { Err(format!("{expected:?} should be listed as dead letters, there are:\n{text}").into()) }
}

/// SIGTERM: the process ends by itself, with 0.
async fn ends_in_order(process: &mut Process) -> Result<()> {
    process.terminate()?;
    let code = process.wait(Duration::from_secs(25)).await.map_err(|_| "a process does not end after SIGTERM")?;
    if code == Some(0) { Ok(()) } else { Err(format!("a process ended with {code:?} after SIGTERM").into()) }
}

/// A fault that had no effect proves nothing.
fn effects(name: &str, scene: &Scene, sent: &Sent, fired: u64) -> Result<()> {
    if fired == 0 {
        return Err("the fault did not happen".into());
    }
    if scene.inserts.seen() == 0 {
        return Err("the proxies saw no insert".into());
    }
    if sent.repeated() == 0 || scene.counted.copies == 0.0 {
        return Err("no copy of an event was met".into());
    }
    let again = scene.inserts.repeated() as f64;
    let effect = match name {
        // Every one is sent again, and by nobody else than the one who had no answer.
        "answer_lost" => again >= fired as f64,
        // Whoever takes over writes the same batch again, or finds it written.
        "killed_writing" | "stopped" => again + scene.counted.stored > 0.0,
        "database_down" => scene.counted.retried > 0.0,
        _ => true,
    };
    if effect { Ok(()) } else { Err("the fault had no effect".into()) }
}

/// An error unless the dead letters are exactly these, with their reasons and where they came from.
async fn dead_letters_are(scene: &Scene, mut expected: Vec<Poison>) -> Result<()> {
    let records = scene.broker.read(DEAD_LETTERS).await?;
    let mut found = Vec::with_capacity(records.len());
    for record in records {
        let header = |name: &str| record.header(name).ok_or_else(|| format!("a dead letter without {name}: {record:?}"));
        let topic = header("dlq.topic")?.to_owned();
        if header("dlq.reason")?.is_empty() {
            return Err(format!("a dead letter without a reason: {record:?}").into());
        }
        for number in ["dlq.partition", "dlq.offset"] {
            header(number)?.parse::<u64>().map_err(|_| format!("{number} is not a number: {record:?}"))?;
        }
        header("dlq.time")?;
        found.push(Poison { topic, key: record.key, value: record.value });
    }
    expected.sort();
    found.sort();
    if expected == found {
        return Ok(());
    }
    let not_found = expected.iter().filter(|poison| !found.contains(poison)).take(3).collect::<Vec<_>>();
    let unexpected = found.iter().filter(|poison| !expected.contains(poison)).take(3).collect::<Vec<_>>();
    Err(format!(
        "there are {} dead letters, {} were expected; missing, for example {not_found:?}; unexpected, for example {unexpected:?}",
        found.len(),
        expected.len()
    )
    .into())
}

/// Messages that no consumer can store, each other than those of another round.
fn bad_messages(round: usize) -> Vec<String> {
    let event = |id: &str, time: &str| {
        let received = events::now();
        format!(r#"{{{id}"time":{time},"received":{received},"kind":"track","name":"poison-{round}","project":"shop"}}"#)
    };
    // As our own programs write it.
    let part = |bits: u32| fastrand::u64(..1 << bits);
    let id = || format!(r#""id":"{:08x}-{:04x}-{:04x}-{:04x}-{:012x}","#, part(32), part(16), part(16), part(16), part(48));
    vec![
        format!("no JSON {{ {round}"),
        format!("[{round}]"),
        String::new(),
        format!(r#"{{"id":"{:032x}","time":17321, "name":"cut off \u00"#, fastrand::u128(..)),
        event("", "1732104000000"),
        event(&id(), "-1"),
        event(&id(), "9000000000000000"),
    ]
}

#[derive(Deserialize)]
struct Event<'a> {
    id: &'a str,
    time: i64,
    kind: &'a str,
    name: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The message of an event that did not come through a receiver.
fn message(event: &str) -> Result<String> {
    let Event { id, time, kind, name, data } = serde_json::from_str(event)?;
    let received = events::now();
    Ok(format!(r#"{{"id":"{id}","time":{time},"received":{received},"kind":"{kind}","name":"{name}","project":"shop","data":{data}}}"#))
}
