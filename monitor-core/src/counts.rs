//! What happened to every event, as numbers: the conservation law is `received = accepted + rejected + dropped by enrichers`, and
//! `accepted + requeued = pending + delivered + dead-lettered + expired + quarantined` for each lane. Two things can make the
//! right side larger: events whose sender went away before the commit, and what was there when the process started.
//!
//! A consumer of topics has its own, when it writes to one sink: `consumed = delivered + dead-lettered + dropped + duplicate{stage="topic"}`.
//! What a sink leaves out as a copy (the other stages) is delivered, too.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

macro_rules! totals {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A number without labels that only grows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Total {
            $($(#[$doc])* $variant,)*
        }

        impl Total {
            const ALL: &'static [(Total, &'static str)] = &[$((Total::$variant, $name),)*];
        }
    };
}

totals! {
    /// Events found in requests that could be read.
    Received = "events_received",
    /// Events that are durable and whose sender was told so.
    Accepted = "events_accepted",
    /// Requests read.
    Requests = "requests",
    /// Bytes of request bodies read, as sent.
    RequestBytes = "request_bytes",
    /// Commits of the spool.
    SpoolCommits = "spool_commits",
    /// Dead letters that were dropped because there were too many.
    DeadLettersDropped = "dead_letters_dropped",
    /// Messages of topics that were dealt with: written, dead, dropped or known as copies.
    Consumed = "messages_consumed",
    /// Days whose rollups were built, counted as often as they were.
    DaysRolledUp = "rollup_days_built",
}

/// A number with one label that only grows. Labels are stable words chosen by this code; only those of `ClientDiscarded` are a client's,
/// made harmless and bounded in number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Labelled {
    /// Events refused with an answer that says so; label: the code of the refusal.
    Rejected,
    /// Events that an enricher or a rule ended; label: the reason.
    Dropped,
    /// Requests refused as a whole; label: the code.
    RequestsRefused,
    /// Events that a client lost before they reached the receiver, by its own report; label: the reason.
    ClientDiscarded,
    /// Events confirmed by a sink; label: the sink.
    Delivered,
    /// Events that turned out to be copies; label: where this was noticed (`repair`: copies that had been stored and were removed).
    Duplicate,
    /// Events a sink refused for good; label: the sink.
    DeadLettered,
    /// Events that became too old before they were delivered, or were deleted while their sink was not installed; label: the sink.
    Expired,
    /// Events of spooled envelopes that could not be read again; label: the reason.
    Quarantined,
    /// Attempts to write a batch that failed and will be repeated; label: the sink.
    Retried,
    /// Batches written; label: the sink.
    Batches,
    /// Live viewers' events dropped because the viewer was too slow; label: the stream.
    LiveDropped,
    /// Restarts of something supervised; label: what.
    Restarts,
    /// Dead letters that are offered to their sink again: pending once more; label: the sink.
    Requeued,
    /// Receivers that ended though they were not told to, or in another way than they should; label: how.
    ReceiversFailed,
}

impl Labelled {
    const ALL: &'static [(Labelled, &'static str, &'static str)] = &[
        (Labelled::Rejected, "events_rejected", "code"),
        (Labelled::Dropped, "events_dropped", "reason"),
        (Labelled::RequestsRefused, "requests_refused", "code"),
        (Labelled::ClientDiscarded, "client_events_discarded", "reason"),
        (Labelled::Delivered, "events_delivered", "sink"),
        (Labelled::Duplicate, "events_duplicate", "stage"),
        (Labelled::DeadLettered, "events_dead_lettered", "sink"),
        (Labelled::Expired, "events_expired", "sink"),
        (Labelled::Quarantined, "spool_quarantined", "reason"),
        (Labelled::Retried, "batches_retried", "sink"),
        (Labelled::Batches, "batches_delivered", "sink"),
        (Labelled::LiveDropped, "live_events_dropped", "stream"),
        (Labelled::Restarts, "restarts", "what"),
        (Labelled::Requeued, "events_requeued", "sink"),
        (Labelled::ReceiversFailed, "receivers_failed", "how"),
    ];
}

/// A number that goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Gauge {
    /// Events in the spool; label: the lane they wait for.
    SpoolEvents,
    /// Bytes in the spool's entries; no label.
    SpoolBytes,
    /// Age of the oldest undelivered entry, ms; label: the lane.
    SpoolAge,
    /// Dead letters kept; label: the lane.
    DeadLetters,
    /// Bytes of request bodies being read and processed; no label.
    InFlightBytes,
    /// Live viewers; no label.
    LiveViewers,
    /// Messages of a partition that are not dealt with yet; label: topic and partition.
    ConsumerLag,
    /// Days whose rollups are not up to date; no label.
    RollupDays,
}

impl Gauge {
    const ALL: &'static [(Gauge, &'static str, &'static str)] = &[
        (Gauge::SpoolEvents, "spool_events", "sink"),
        (Gauge::SpoolBytes, "spool_bytes", ""),
        (Gauge::SpoolAge, "spool_age_milliseconds", "sink"),
        (Gauge::DeadLetters, "dead_letters", "sink"),
        (Gauge::InFlightBytes, "in_flight_bytes", ""),
        (Gauge::LiveViewers, "live_viewers", ""),
        (Gauge::ConsumerLag, "consumer_lag_messages", "partition"),
        (Gauge::RollupDays, "rollup_days_waiting", ""),
    ];
}

/// All numbers of one monitor. Shared by its parts; cheap to add to.
#[derive(Default)]
pub struct Counts {
    totals: [AtomicU64; Total::ALL.len()],
    labelled: Mutex<BTreeMap<(Labelled, String), u64>>,
    gauges: Mutex<BTreeMap<(Gauge, String), i64>>,
}

/// Most labels a family keeps; what comes after is counted under `other`, so that a bug cannot fill the memory.
const MAX_LABELS: usize = 200;
/// Most labels of which some are a stranger's words: the rest is for those that are known.
const MAX_STRANGE_LABELS: usize = 100;

impl Counts {
    /// All zero.
    pub fn new() -> Counts {
        Counts::default()
    }

    /// Adds to a total.
    pub fn add(&self, total: Total, n: u64) {
        if let Some(counter) = self.totals.get(total as usize) {
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Adds to a labelled number.
    pub fn count(&self, family: Labelled, label: &str, n: u64) {
        if n > 0 {
            self.count_within(family, label, n, MAX_LABELS);
        }
    }

    /// Adds to a labelled number whose label is a stranger's word: however many words strangers make up, known labels find room.
    pub fn count_strange(&self, family: Labelled, label: &str, n: u64) {
        if n > 0 {
            self.count_within(family, label, n, MAX_STRANGE_LABELS);
        }
    }

    /// Shows a labelled number while it is still zero: whoever is alerted when it grows must see what it grew from.
    pub fn announce(&self, family: Labelled, label: &str) {
        self.count_within(family, label, 0, MAX_LABELS);
    }

    fn count_within(&self, family: Labelled, label: &str, n: u64, most: usize) {
        let mut labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = labelled.range_mut((family, label.to_owned())..).next().filter(|((f, l), _)| *f == family && l == label) {
            *count += n;
            return;
        }
        let known = labelled.keys().filter(|(f, _)| *f == family).count();
        let label = if known < most { label } else { "other" };
        *labelled.entry((family, label.to_owned())).or_default() += n;
    }

    /// Sets a gauge.
    pub fn set(&self, gauge: Gauge, label: &str, value: i64) {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.insert((gauge, label.to_owned()), value);
    }

    /// Forgets a gauge: what it told of is no longer this process's.
    pub fn unset(&self, gauge: Gauge, label: &str) {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.remove(&(gauge, label.to_owned()));
    }

    /// The value of a total.
    pub fn total(&self, total: Total) -> u64 {
        self.totals.get(total as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// The value of a labelled number.
    pub fn labelled(&self, family: Labelled, label: &str) -> u64 {
        let labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        labelled.get(&(family, label.to_owned())).copied().unwrap_or(0)
    }

    /// A labelled number over all its labels.
    pub fn sum(&self, family: Labelled) -> u64 {
        let labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        labelled.iter().filter(|((f, _), _)| *f == family).map(|(_, n)| n).sum()
    }

    /// The value of a gauge.
    pub fn gauge(&self, gauge: Gauge, label: &str) -> i64 {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.get(&(gauge, label.to_owned())).copied().unwrap_or(0)
    }

    /// Everything, for an exporter.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples: Vec<Sample> =
            Total::ALL.iter().map(|&(total, name)| Sample { name, label: None, value: Reading::Counter(self.total(total)) }).collect();
        let labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        for ((family, label), n) in labelled.iter() {
            if let Some((_, name, key)) = Labelled::ALL.iter().find(|(f, ..)| f == family) {
                samples.push(Sample { name, label: Some((key, label.clone())), value: Reading::Counter(*n) });
            }
        }
        drop(labelled);
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        for ((gauge, label), n) in gauges.iter() {
            if let Some((_, name, key)) = Gauge::ALL.iter().find(|(g, ..)| g == gauge) {
                let label = if label.is_empty() { None } else { Some((*key, label.clone())) };
                samples.push(Sample { name, label, value: Reading::Gauge(*n) });
            }
        }
        samples
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.samples()).finish()
    }
}

/// One number for an exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Name without prefix and unit suffix: `events_received`.
    pub name: &'static str,
    /// Key and value of its label.
    pub label: Option<(&'static str, String)>,
    /// The number.
    pub value: Reading,
}

/// A number and how it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(i64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_out_under_its_label() {
        let counts = Counts::new();
        counts.add(Total::Accepted, 3);
        counts.count(Labelled::Rejected, "too_deep", 1);
        counts.count(Labelled::Rejected, "too_deep", 1);
        counts.count(Labelled::Rejected, "bad_kind", 5);
        counts.set(Gauge::SpoolBytes, "", 9);
        assert_eq!((counts.total(Total::Accepted), counts.total(Total::Received)), (3, 0));
        assert_eq!((counts.labelled(Labelled::Rejected, "too_deep"), counts.sum(Labelled::Rejected)), (2, 7));
        let sample = Sample { name: "events_rejected", label: Some(("code", "bad_kind".into())), value: Reading::Counter(5) };
        assert!(counts.samples().contains(&sample));
        assert!(counts.samples().contains(&Sample { name: "spool_bytes", label: None, value: Reading::Gauge(9) }));
    }

    #[test]
    fn a_number_that_is_announced_is_shown_while_it_is_zero() {
        let counts = Counts::new();
        counts.count(Labelled::Delivered, "main", 0);
        counts.announce(Labelled::Expired, "main");
        let labelled = |counts: &Counts| counts.samples().into_iter().filter(|sample| sample.label.is_some()).collect::<Vec<_>>();
        let sample = |n| Sample { name: "events_expired", label: Some(("sink", "main".into())), value: Reading::Counter(n) };
        assert_eq!(labelled(&counts), [sample(0)]);
        counts.count(Labelled::Expired, "main", 2);
        counts.announce(Labelled::Expired, "main");
        assert_eq!(labelled(&counts), [sample(2)]);
    }

    #[test]
    fn labels_are_bounded() {
        let counts = Counts::new();
        for n in 0..1_000 {
            counts.count(Labelled::ClientDiscarded, &format!("reason-{n}"), 1);
        }
        assert_eq!(counts.labelled(Labelled::ClientDiscarded, "other"), 800);
        assert_eq!(counts.sum(Labelled::ClientDiscarded), 1_000);
    }

    #[test]
    fn the_lists_are_in_the_order_of_the_enums() {
        assert!(Total::ALL.iter().enumerate().all(|(n, (total, _))| *total as usize == n));
    }
}
