//! A producer whose reports are awaited: sends messages, and tells when all of a flight have landed.
//!
//! The messages in flight belong to a [`Flight`], which every message carries as its opaque: a report that comes after the write
//! was given up finds it still there. What is enqueued is bounded by librdkafka's queue.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig},
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::classify::{Class, NotDelivered};

/// How long the polling thread sleeps when nothing happens. Reports wake it at once.
const POLL: Duration = Duration::from_millis(200);
/// How long a producer that ends waits for its last reports.
const LAST_REPORTS: Duration = Duration::from_secs(5);
/// How long an error that comes again and again is in the log only once.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// librdkafka frees room in its queue a moment after the report that said so.
const ROOM_COMES: Duration = Duration::from_millis(1);

/// The messages of one write that are on their way.
#[derive(Default)]
pub(crate) struct Flight {
    /// Those without a report, and one more while the write still enqueues.
    in_air: AtomicUsize,
    last_landed: Notify,
    failure: Mutex<Option<NotDelivered>>,
    failed_topics: Mutex<BTreeSet<String>>,
}

impl Flight {
    pub(crate) fn take_off(&self) {
        self.in_air.fetch_add(1, SeqCst);
    }

    pub(crate) fn land(&self) {
        if self.in_air.fetch_sub(1, SeqCst) == 1 {
            self.last_landed.notify_one();
        }
    }

    pub(crate) async fn all_landed(&self) {
        while self.in_air.load(SeqCst) > 0 {
            self.last_landed.notified().await;
        }
    }

    /// Keeps the worst failure: as long as something can succeed later, nothing is refused. When a producer gives up, the messages
    /// that still waited can be reported before the one that was the cause.
    pub(crate) fn failed(&self, error: NotDelivered) {
        let rank = |error: &NotDelivered| match error.class() {
            Class::Data => 0,
            Class::Busy if error.is_consequence() => 1,
            Class::Busy => 2,
            Class::Setup => 3,
        };
        let mut topics = self.failed_topics.lock().unwrap_or_else(PoisonError::into_inner);
        if !topics.contains(&error.topic) {
            topics.insert(error.topic.clone());
        }
        drop(topics);
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.as_ref().is_none_or(|worst| rank(worst) < rank(&error)) {
            *failure = Some(error);
        }
    }

    pub(crate) fn failure(&self) -> Option<NotDelivered> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Topics of which a message failed; of all others every message that was enqueued is safe, once all have landed.
    pub(crate) fn failed_topics(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.failed_topics.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A producer and the thread that takes its reports. Dropping it ends both, after the reports that are still due: the thread is the
/// last owner, so that nobody else waits for librdkafka to end.
pub(crate) struct Producer {
    inner: Arc<BaseProducer<Reports>>,
}

impl Producer {
    pub(crate) fn start(client: &ClientConfig) -> Result<Producer, KafkaError> {
        let inner: Arc<BaseProducer<Reports>> = Arc::new(client.create_with_context(Reports::default())?);
        let polled = inner.clone();
        let thread = thread::Builder::new().name("monitor-kafka".into()).spawn(move || {
            let reports = polled.context().clone();
            while !reports.stop.load(SeqCst) {
                polled.poll(POLL);
            }
            // Dropping alone would purge as well, but wait half a second only for the reports that come of it.
            let deadline = Instant::now() + LAST_REPORTS;
            while reports.in_queue.load(SeqCst) > 0 && Instant::now() < deadline {
                polled.purge(PurgeConfig::default().queue().inflight());
                polled.poll(Duration::from_millis(10));
            }
            drop(polled);
            reports.ended.notify_one();
        });
        thread.map_err(|error| KafkaError::ClientCreation(format!("its thread cannot be started: {error}")))?;
        Ok(Producer { inner })
    }

    /// Whether it cannot go on, so that the next write needs another one.
    pub(crate) fn is_spent(&self) -> bool {
        self.reports().spent.load(SeqCst)
    }

    /// Says that it cannot go on.
    pub(crate) fn give_up(&self) {
        self.reports().spent.store(true, SeqCst);
    }

    /// Ends it. `false` when that took longer.
    pub(crate) async fn end(&self, within: Duration) -> bool {
        self.reports().stop.store(true, SeqCst);
        timeout(within, self.reports().ended.notified()).await.is_ok()
    }

    fn reports(&self) -> &Reports {
        self.inner.context()
    }

    #[allow(clippy::result_large_err, reason = "what was not taken is given back")]
    pub(crate) fn send<'a>(&self, record: Record<'a>) -> Result<(), (KafkaError, Record<'a>)> {
        // Counted first: the report can be faster than this thread.
        self.reports().in_queue.fetch_add(1, SeqCst);
        self.inner.send(record).inspect_err(|_| {
            self.reports().in_queue.fetch_sub(1, SeqCst);
        })
    }

    /// Waits until half of what is enqueued has been delivered, or has failed.
    pub(crate) async fn room(&self) {
        let reports = self.reports();
        let enough = reports.in_queue.load(SeqCst) / 2;
        reports.wake_at.store(enough, SeqCst);
        while reports.in_queue.load(SeqCst) > enough {
            reports.room.notified().await;
        }
        reports.wake_at.store(0, SeqCst);
        sleep(ROOM_COMES).await;
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.reports().stop.store(true, SeqCst);
    }
}

pub(crate) type Record<'a> = BaseRecord<'a, [u8], [u8], Arc<Flight>>;

/// Where librdkafka reports to.
#[derive(Default)]
struct Reports {
    /// Messages without a report.
    in_queue: AtomicUsize,
    /// Wakes the write that waits for room when so many are left.
    wake_at: AtomicUsize,
    room: Notify,
    /// The producer cannot go on, the next write needs another one.
    spent: AtomicBool,
    stop: AtomicBool,
    ended: Notify,
    /// The last error in the log, and when.
    told: Mutex<Option<(String, Instant)>>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) && !self.spent.swap(true, SeqCst) {
            tracing::error!(reason, "the Kafka producer gave up its guarantee; another one takes its place");
            return;
        }
        // Every error is told twice, and that of a broker that is down again with each attempt to connect.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref().is_none_or(|(last, at)| last != reason || at.elapsed() > SAY_AGAIN) {
            *told = Some((reason.to_owned(), Instant::now()));
            tracing::warn!(reason, "Kafka");
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Flight>;

    fn delivery(&self, result: &DeliveryResult<'_>, flight: Arc<Flight>) {
        if let Err((error, message)) = result {
            flight.failed(NotDelivered::new(message.topic(), error));
        }
        flight.land();
        let left = self.in_queue.fetch_sub(1, SeqCst) - 1;
        if left <= self.wake_at.load(SeqCst) {
            self.room.notify_one();
        }
    }
}

/// A line of librdkafka's log.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
    match level {
        Emerg | Alert | Critical | Error => tracing::error!(target: "librdkafka", facility, "{message}"),
        Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        Notice | Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the flight says of messages that failed so, in this order.
    fn said(codes: &[RDKafkaErrorCode]) -> RDKafkaErrorCode {
        let flight = Flight::default();
        for &code in codes {
            flight.failed(NotDelivered::new("t", &KafkaError::MessageProduction(code)));
        }
        flight.failure().unwrap().source
    }

    #[test]
    fn the_cause_is_told_and_not_what_followed_from_it() {
        use RDKafkaErrorCode::{Fatal, MessageSizeTooLarge, OutOfOrderSequenceNumber, PurgeQueue, UnknownTopic};
        for (worse, better) in
            [(UnknownTopic, OutOfOrderSequenceNumber), (OutOfOrderSequenceNumber, PurgeQueue), (Fatal, MessageSizeTooLarge)]
        {
            assert_eq!(said(&[worse, better]), worse);
            assert_eq!(said(&[better, worse]), worse);
        }
    }
}
