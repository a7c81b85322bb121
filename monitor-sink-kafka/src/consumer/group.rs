//! The member of the consumer group: one thread that reads, commits and hands partitions over.
//!
//! The thread owns everything about partitions. Writers work elsewhere and send [`News`]. librdkafka calls
//! [`rebalance`](ConsumerContext::rebalance) from inside of `poll`, so on this thread, too: a partition that is taken away is given up
//! before the group goes on, and no commit for it can follow.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use monitor_core::{BackOff, Gauge, Labelled};
use rdkafka::{
    ClientContext, Message, Offset, Statistics, TopicPartitionList,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::BorrowedMessage,
    types::RDKafkaRespErr,
};
use tokio::sync::oneshot;

use crate::consumer::{
    Config, Shared,
    chunk::{Chunk, Raw},
    note::Note,
    partition::{Limits, Partition, WentBack},
    turns,
    writer::{self, Lease, News},
};

/// Messages taken before other things are looked at.
const STRIDE: usize = 2_000;
/// Most news that wait to be heard; a partition has two at most.
const NEWS: usize = 10_000;
/// Longest wait for a message while writers may have news.
const TICK: Duration = Duration::from_millis(10);
/// Longest wait for the offsets that the group has committed; without them nothing can be read.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(10);
/// The same complaint of librdkafka is logged once in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// Why reading has to begin anew.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the consumer cannot be made")]
    Create(#[source] KafkaError),
    #[error("the topics cannot be subscribed to")]
    Subscribe(#[source] KafkaError),
    #[error("the consumer is fatally broken")]
    Fatal(#[source] KafkaError),
    #[error("the committed offsets cannot be read")]
    Committed(#[source] KafkaError),
    #[error("partitions could not be taken over")]
    Assign(#[source] KafkaError),
    #[error("messages cannot be read in their order")]
    Order(#[source] WentBack),
    #[error("a writer panicked")]
    Writer,
    #[error("a writer gave up a partition that is still assigned")]
    GivenUp,
}

/// Consumes until `stop` is set. Whatever fails, it begins anew.
pub(crate) fn run(shared: &Arc<Shared>, stop: &AtomicBool) {
    let mut back_off = BackOff::new(Duration::from_secs(1), Duration::from_secs(30));
    while !stop.load(Ordering::SeqCst) {
        let begun = Instant::now();
        let Err(failure) = consume(shared, stop) else { return };
        let report = crate::report(&failure);
        shared.counts.count(Labelled::Restarts, "kafka-consumer", 1);
        if begun.elapsed() > Duration::from_secs(60) {
            back_off = BackOff::new(Duration::from_secs(1), Duration::from_secs(30));
        }
        let wait = back_off.next(None, fastrand::f64());
        tracing::error!(error = report, ?wait, "the consumer of topics failed; it begins anew");
        let end = Instant::now() + wait;
        while Instant::now() < end && !stop.load(Ordering::SeqCst) {
            thread::sleep(TICK);
        }
    }
}

fn consume(shared: &Arc<Shared>, stop: &AtomicBool) -> Result<(), Failure> {
    let member = Member(Mutex::new(State::new(shared)));
    let consumer = BaseConsumer::from_config_and_context(&shared.config.client, member).map_err(Failure::Create)?;
    let topics: Vec<&str> = shared.config.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).map_err(Failure::Subscribe)?;
    let mut stop_until = None;
    loop {
        let (mut wait, mut now) = (TICK, Instant::now());
        for _ in 0..STRIDE {
            let polled = consumer.poll(wait);
            if !wait.is_zero() {
                now = Instant::now();
            }
            match polled {
                Some(Ok(message)) => {
                    let complete = consumer.context().state().take(&consumer, &message, now);
                    // Of a partition whose turn is over, what came behind the chunk would become a small batch.
                    if complete {
                        break;
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(Failure::Fatal(error)),
                Some(Err(error)) => consumer.context().state().complain(&error),
                None => break,
            }
            wait = Duration::ZERO;
        }
        let mut state = consumer.context().state();
        state.listen();
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        if stop.load(Ordering::SeqCst) {
            let until = *stop_until.get_or_insert_with(|| {
                if let Err(error) = consumer.assignment().and_then(|all| consumer.pause(&all)) {
                    state.complain(&error);
                }
                Instant::now() + shared.config.drain
            });
            state.commit(&consumer);
            if !state.partitions.values().any(Partition::is_writing) || Instant::now() > until {
                state.leaving = true;
                drop(state);
                // Leaves the group; what is still being written is formed again by whoever gets the partition.
                return Ok(());
            }
        } else {
            state.plan();
            state.commit(&consumer);
            state.flow(&consumer);
        }
    }
}

/// What librdkafka calls back.
struct Member(Mutex<State>);

/// A topic and a partition of it.
type Place = (Arc<str>, i32);

/// Everything about the partitions that are assigned.
struct State {
    shared: Arc<Shared>,
    partitions: HashMap<Place, Partition>,
    /// Writers that wait for a proof that their partition is ours.
    questions: HashMap<Place, oneshot::Sender<bool>>,
    assignments: u64,
    news: (mpsc::SyncSender<News>, mpsc::Receiver<News>),
    failure: Option<Failure>,
    commit_at: Instant,
    commit_back_off: BackOff,
    complaints: HashMap<String, Instant>,
    last: Option<Place>,
    /// This consumer leaves the group: writers have had their time.
    leaving: bool,
    /// Bytes of messages that are read and not being written.
    waiting_bytes: usize,
    /// Partitions that have such messages.
    waiting: usize,
    /// Chunks that were written, empty: their memory is used again while much waits in the topics.
    spare: Vec<Chunk>,
}

impl State {
    fn new(shared: &Arc<Shared>) -> State {
        State {
            shared: Arc::clone(shared),
            partitions: HashMap::new(),
            questions: HashMap::new(),
            assignments: 0,
            news: mpsc::sync_channel(NEWS),
            failure: None,
            commit_at: Instant::now(),
            commit_back_off: commit_back_off(),
            complaints: HashMap::new(),
            last: None,
            leaving: false,
            waiting_bytes: 0,
            waiting: 0,
            spare: Vec::new(),
        }
    }

    /// When chunks are complete. While much waits they are smaller, so that memory stays bounded: then each partition that has something
    /// gets its share for one chunk that is filled, two that wait and one that is written.
    fn limits(&self) -> Limits {
        let Config { limits, max_buffered_bytes, concurrent_writes, .. } = &self.shared.config;
        let share = max_buffered_bytes / (4 * self.waiting.max(*concurrent_writes));
        if self.waiting_bytes < max_buffered_bytes / 2 { *limits } else { Limits { bytes: limits.bytes.min(share), ..*limits } }
    }

    /// Takes a message that came at about this time. Returns whether it completes a chunk.
    fn take(&mut self, consumer: &BaseConsumer<Member>, message: &BorrowedMessage<'_>, now: Instant) -> bool {
        let limits = self.limits();
        // Messages come in runs of one partition.
        let same = self.last.as_ref().is_some_and(|(topic, id)| *id == message.partition() && **topic == *message.topic());
        if !same {
            self.last = Some((message.topic().into(), message.partition()));
        }
        let Some(place) = &self.last else { return false };
        // Taken away while it was on its way: it is another's.
        let Some(partition) = self.partitions.get_mut(place) else { return false };
        let raw = Raw {
            offset: message.offset(),
            time: message.timestamp().to_millis().filter(|time| *time > 0).unwrap_or_else(unix_time),
            key: message.key().unwrap_or_default(),
            payload: message.payload().unwrap_or_default(),
        };
        let ready = partition.ready();
        let taken = partition.take(raw, limits, now);
        let complete = partition.ready() > ready;
        match taken {
            Ok(missing) if missing.is_empty() => {}
            Ok(missing) => self.miss(consumer, missing),
            Err(error) => self.failure = Some(Failure::Order(error)),
        }
        complete
    }

    /// Counts messages that were deleted before they were written. Other offsets that do not come stand for what is no message, such as the
    /// end of a transaction.
    fn miss(&mut self, consumer: &BaseConsumer<Member>, missing: Range<i64>) {
        let Some(place) = &self.last else { return };
        let first = consumer.fetch_watermarks(&place.0, place.1, COMMITTED_TIMEOUT).map_or(missing.end, |(first, _)| first);
        let lost = u64::try_from(missing.end.min(first) - missing.start).unwrap_or(0);
        if lost > 0 {
            tracing::error!(topic = &*place.0, partition = place.1, messages = lost, "messages were deleted before they were written");
            self.shared.counts.count(Labelled::Expired, "kafka", lost);
        }
    }

    /// Hears what writers have to say.
    fn listen(&mut self) {
        while let Ok(news) = self.news.1.try_recv() {
            self.hear(news);
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Ended { lease, mut chunk, copies, written } => {
                if self.spare.len() < self.shared.config.concurrent_writes {
                    chunk.clear();
                    self.spare.push(chunk);
                }
                let partition = self.partitions.get_mut(&place(&lease)).filter(|partition| *partition.lease() == lease);
                match partition {
                    Some(partition) if written => partition.written(copies),
                    Some(_) => self.failure = Some(Failure::GivenUp),
                    // Handed over in the meantime: the chunk is formed again elsewhere.
                    None => {}
                }
            }
            News::IsMine { lease, answer } => {
                let mine = self.partitions.get(&place(&lease)).is_some_and(|partition| *partition.lease() == lease);
                // Dropping the question says no.
                if mine {
                    self.questions.insert(place(&lease), answer);
                }
            }
            News::Panicked => self.failure = Some(Failure::Writer),
        }
    }

    /// Chooses what to write next: what has waited longest, and not more at the same time than is good for the sinks. What has to wait
    /// grows, so that a sink which is behind gets fewer and larger batches.
    fn plan(&mut self) {
        self.waiting_bytes = self.partitions.values().map(Partition::waiting_bytes).sum();
        self.waiting = self.partitions.values().filter(|partition| partition.waiting_bytes() > 0).count();
        let (limits, now) = (self.limits(), Instant::now());
        let busy = self.partitions.values().filter(|partition| partition.is_busy()).count();
        let mut due: Vec<(Instant, &mut Partition)> =
            self.partitions.values_mut().filter_map(|partition| Some((partition.due(limits, now)?, partition))).collect();
        due.sort_by_key(|(since, _)| *since);
        due.into_iter().take(self.shared.config.concurrent_writes.saturating_sub(busy)).for_each(|(_, partition)| partition.plan(now));
    }

    /// Commits what is written and what is going to be, together, and starts the writers.
    fn commit(&mut self, consumer: &BaseConsumer<Member>) {
        if Instant::now() < self.commit_at || consumer.assignment_lost() {
            return;
        }
        let wish = |(place, partition): (&Place, &Partition)| {
            let wish = partition.wish().or_else(|| self.questions.contains_key(place).then(|| partition.proof()).flatten());
            wish.map(|(offset, note)| (place.clone(), offset, note))
        };
        let wishes: Vec<(Place, i64, Note)> = self.partitions.iter().filter_map(wish).collect();
        if wishes.is_empty() {
            return;
        }
        let asked = Instant::now();
        if let Err(error) = commit(consumer, &wishes) {
            let wait = self.commit_back_off.next(None, fastrand::f64());
            self.commit_at = Instant::now() + wait;
            tracing::warn!(error = crate::report(&error), ?wait, "offsets could not be committed");
            return;
        }
        self.commit_back_off = commit_back_off();
        for (place, offset, note) in wishes {
            if let Some(answer) = self.questions.remove(&place) {
                // Who asked may have been given up.
                let _ = answer.send(true);
            }
            if let Some(work) = self.partitions.get_mut(&place).and_then(|partition| partition.committed(offset, note, asked)) {
                writer::start(Arc::clone(&self.shared), work, self.news.0.clone());
            }
        }
    }

    /// Stops reading partitions of which enough is read or whose turn it is not, and goes on with the others.
    fn flow(&mut self, consumer: &BaseConsumer<Member>) {
        let Config { limits, concurrent_writes, .. } = &self.shared.config;
        let mut all: Vec<&mut Partition> = self.partitions.values_mut().collect();
        let turns = turns::give(&mut all, *concurrent_writes, limits.events, Instant::now());
        if !turns {
            self.spare.clear();
        }
        for partition in all.into_iter().filter(|partition| partition.needs_room()) {
            let Some(spare) = self.spare.pop() else { break };
            partition.furnish(spare);
        }
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        for ((topic, id), partition) in &mut self.partitions {
            let rest = partition.should_rest(turns);
            if rest != partition.paused {
                partition.paused = rest;
                if rest { &mut pause } else { &mut resume }.add_partition(topic, *id);
            }
        }
        let paused = if pause.count() > 0 { consumer.pause(&pause) } else { Ok(()) };
        let resumed = if resume.count() > 0 { consumer.resume(&resume) } else { Ok(()) };
        if let Err(error) = paused.and(resumed) {
            self.complain(&error);
        }
    }

    /// Logs what librdkafka could not do and tries again by itself.
    fn complain(&mut self, error: &KafkaError) {
        let (text, now) = (error.to_string(), Instant::now());
        if self.complaints.get(&text).is_some_and(|last| now.duration_since(*last) < COMPLAIN_EVERY) {
            return;
        }
        let missing =
            matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic));
        let hint = if missing { "; were the topics created?" } else { "" };
        tracing::warn!(error = text, "topics cannot be read{hint}");
        if self.complaints.len() > 100 {
            self.complaints.clear();
        }
        self.complaints.insert(text, now);
    }

    /// Takes partitions over. Returns from where to read them.
    fn assign(&mut self, consumer: &BaseConsumer<Member>, list: &TopicPartitionList) -> Result<TopicPartitionList, Failure> {
        let mut positions = TopicPartitionList::new();
        if list.count() == 0 {
            return Ok(positions);
        }
        let committed = consumer.committed_offsets(list.clone(), COMMITTED_TIMEOUT).map_err(Failure::Committed)?;
        let mut added = Vec::new();
        let deadline = Instant::now() + COMMITTED_TIMEOUT;
        for element in committed.elements() {
            element.error().map_err(Failure::Committed)?;
            let (topic, id) = (element.topic(), element.partition());
            let mut note = element.metadata().parse::<Note>().unwrap_or_else(|error| {
                tracing::warn!(%error, topic, partition = id, "it is taken for none");
                Note::default()
            });
            let mut offset = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            // Of a partition without a leader they are not known, and it cannot be read either: the others must not wait for it.
            let patience = deadline.saturating_duration_since(Instant::now());
            let watermarks = consumer.fetch_watermarks(topic, id, patience).ok();
            if let (Some(committed), Some((_, end))) = (offset, watermarks)
                && committed > end
            {
                // What comes now has offsets that were committed for other messages.
                tracing::error!(topic, partition = id, committed, end, "the topic is shorter than what was read: Kafka has lost messages");
                offset = Some(end);
                // Their content is other, and so is the id of their batch.
                note = Note::default();
            }
            self.assignments += 1;
            let place: Place = (topic.into(), id);
            let lease = Lease { topic: Arc::clone(&place.0), partition: place.1, assignment: self.assignments };
            let mut partition = Partition::new(lease, offset, note, Instant::now());
            if let Some((first, end)) = watermarks {
                partition.learn(first, end);
            }
            let start = partition.start().map_or(Offset::Beginning, Offset::Offset);
            positions.add_partition_offset(&place.0, place.1, start).map_err(Failure::Assign)?;
            added.push((place, partition));
        }
        tracing::info!(partitions = added.len(), "partitions are taken over");
        self.partitions.extend(added);
        Ok(positions)
    }

    fn wait_for_writers(&mut self, places: &[Place]) {
        let deadline = Instant::now() + self.shared.config.drain;
        let writing = |state: &State| places.iter().any(|place| state.partitions.get(place).is_some_and(Partition::is_writing));
        while writing(self) && self.failure.is_none() {
            match self.news.1.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(news) => self.hear(news),
                // It is formed again by whoever gets the partition.
                Err(_) => return,
            }
        }
    }

    /// Gives partitions up: writes that are nearly done may end, and are committed.
    fn revoke(&mut self, consumer: &BaseConsumer<Member>, list: &TopicPartitionList) {
        let places: Vec<Place> = list.elements().iter().map(|element| (element.topic().into(), element.partition())).collect();
        let lost = consumer.assignment_lost();
        if !lost && !self.leaving {
            self.wait_for_writers(&places);
        }
        let done = |place: &Place| self.partitions.get(place)?.done().map(|(offset, note)| (place.clone(), offset, note));
        let done: Vec<_> = places.iter().filter_map(done).collect();
        if !lost
            && !done.is_empty()
            && let Err(error) = commit(consumer, &done)
        {
            tracing::warn!(error = crate::report(&error), "offsets of partitions that were given up are not committed");
        }
        tracing::info!(partitions = places.len(), lost, "partitions are given up");
        for place in &places {
            self.partitions.remove(place);
            self.questions.remove(place);
            self.shared.counts.unset(Gauge::ConsumerLag, &label(place));
        }
    }
}

/// ms since the Unix epoch.
fn unix_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn place(lease: &Lease) -> Place {
    (Arc::clone(&lease.topic), lease.partition)
}

fn label((topic, partition): &Place) -> String {
    format!("{topic}/{partition}")
}

fn commit_back_off() -> BackOff {
    BackOff::new(Duration::from_millis(100), Duration::from_secs(5))
}

/// Returns when the group has stored the offsets; refused when this consumer is no longer a member. A request for each topic: of one with
/// several topics librdkafka does not tell which was refused.
fn commit(consumer: &BaseConsumer<Member>, wishes: &[(Place, i64, Note)]) -> KafkaResult<()> {
    let mut lists: HashMap<&str, TopicPartitionList> = HashMap::new();
    for ((topic, partition), offset, note) in wishes {
        let mut element = lists.entry(topic).or_default().add_partition(topic, *partition);
        element.set_offset(Offset::Offset(*offset))?;
        element.set_metadata(note.to_string());
    }
    lists.values().try_for_each(|list| consumer.commit(list, CommitMode::Sync))
}

impl Member {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::producer::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka reports an error");
    }

    fn stats(&self, statistics: Statistics) {
        let State { partitions, shared, .. } = &mut *self.state();
        for (place, partition) in partitions {
            let known = statistics.topics.get(&*place.0).and_then(|topic| topic.partitions.get(&place.1));
            let Some(known) = known.filter(|known| known.ls_offset >= 0) else { continue };
            // Below zero it is not known.
            partition.learn(known.lo_offset.max(0), known.ls_offset);
            if let Some(lag) = partition.lag(known.ls_offset) {
                shared.counts.set(Gauge::ConsumerLag, &label(place), lag);
            }
        }
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Member>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let mut state = self.state();
        let result = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => match state.assign(consumer, list) {
                // A partition that was paused when it was taken away would still be.
                Ok(positions) => {
                    consumer.incremental_assign(&positions).and_then(|()| consumer.resume(&positions)).map_err(Failure::Assign)
                }
                Err(failure) => Err(failure),
            },
            _ => {
                state.revoke(consumer, list);
                consumer.incremental_unassign(list).map_err(Failure::Assign)
            }
        };
        if let Err(failure) = result {
            // The group takes the partitions for ours although nobody reads them: only leaving it ends that.
            state.failure = Some(failure);
        }
    }
}

/// Called by the thread's owner: joins without blocking a runtime.
pub(crate) fn spawn(shared: Arc<Shared>, stop: Arc<AtomicBool>) -> std::io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("kafka-consumer".into()).spawn(move || {
        // A panic on this thread would otherwise end consuming for good, and nobody would know.
        while std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&shared, &stop))).is_err() {
            shared.counts.count(Labelled::Restarts, "kafka-consumer", 1);
            tracing::error!("the consumer's thread panicked; it begins anew");
            thread::sleep(Duration::from_secs(1));
        }
        // Nobody waits when the host gave up on us.
        let _ = ended.send(());
    })?;
    Ok(end)
}
