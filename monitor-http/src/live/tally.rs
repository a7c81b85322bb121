//! What a panel shows move: how many events of each kind came, and the medians of the web vitals of the last minute.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use monitor_core::{Event, Kind};
use serde::Serialize;
use tokio::time::Instant;

/// Medians are over this time.
const WINDOW: Duration = Duration::from_secs(60);
/// Most values of one vital that are kept; of more, the latest.
const MOST_VALUES: usize = 2_000;
/// Most kinds, and most names of vitals, that are told apart.
const MOST_NAMES: usize = 64;

/// Counts since the last look, and values of the last minute.
#[derive(Default)]
pub(super) struct Tally {
    counts: BTreeMap<String, f64>,
    vitals: BTreeMap<String, VecDeque<(Instant, f64)>>,
}

/// What the tally says.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// By kind, with weights, since the figures before.
    pub(super) counts: BTreeMap<String, f64>,
    /// By name, of the last minute.
    pub(super) vitals: BTreeMap<String, Median>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Median {
    pub(super) count: usize,
    pub(super) p50: f64,
}

impl Tally {
    pub(super) fn add(&mut self, event: &Event, now: Instant) {
        // Kinds are an open set: a client that makes them up does not fill the memory.
        let kind = event.kind.as_str();
        let kind = if self.counts.len() < MOST_NAMES || self.counts.contains_key(kind) { kind } else { "other" };
        *self.counts.entry(kind.to_owned()).or_default() += f64::from(event.weight);
        let Some(value) = event.value.filter(|value| event.kind == Kind::Vital && value.is_finite()) else { return };
        if self.vitals.len() >= MOST_NAMES && !self.vitals.contains_key(&event.name) {
            return;
        }
        let values = self.vitals.entry(event.name.clone()).or_default();
        if values.len() >= MOST_VALUES {
            values.pop_front();
        }
        values.push_back((now, value));
    }

    /// The figures, after which the counts begin anew.
    pub(super) fn take(&mut self, now: Instant) -> Figures {
        self.vitals.retain(|_, values| {
            while values.front().is_some_and(|(then, _)| now.duration_since(*then) > WINDOW) {
                values.pop_front();
            }
            !values.is_empty()
        });
        let median = |values: &VecDeque<(Instant, f64)>| {
            let mut values: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
            let count = values.len();
            let (_, middle, _) = (count > 0).then(|| values.select_nth_unstable_by((count - 1) / 2, f64::total_cmp))?;
            Some(Median { count, p50: *middle })
        };
        let vitals = self.vitals.iter().filter_map(|(name, values)| Some((name.clone(), median(values)?))).collect();
        Figures { counts: std::mem::take(&mut self.counts), vitals }
    }
}

#[cfg(test)]
mod tests {
    use monitor_core::EventId;

    use super::*;

    fn vital(name: &str, value: f64) -> Event {
        let mut event = Event::new(EventId(1), 0, Kind::Vital, name);
        event.value = Some(value);
        event
    }

    #[test]
    fn counts_are_of_a_second_and_medians_of_a_minute() {
        let mut tally = Tally::default();
        let start = Instant::now();
        for value in [3.0, 1.0, 2.0, f64::NAN] {
            tally.add(&vital("LCP", value), start);
        }
        let mut click = Event::new(EventId(2), 0, Kind::Click, "buy");
        click.weight = 2.5;
        tally.add(&click, start);
        let figures = tally.take(start);
        assert_eq!(figures.counts, [("click".to_owned(), 2.5), ("vital".to_owned(), 4.0)].into());
        assert_eq!(figures.vitals, [("LCP".to_owned(), Median { count: 3, p50: 2.0 })].into());
        let later = tally.take(start + Duration::from_secs(60));
        assert!(later.counts.is_empty() && later.vitals.len() == 1);
        assert!(tally.take(start + Duration::from_secs(61)).vitals.is_empty());
    }

    #[test]
    fn made_up_names_do_not_fill_the_memory() {
        let mut tally = Tally::default();
        let start = Instant::now();
        for n in 0..10_000 {
            tally.add(&vital(&format!("v{n}"), 1.0), start);
            tally.add(&vital("v1", 1.0), start);
            tally.add(&Event::new(EventId(1), 0, format!("kind{n}").parse().unwrap(), ""), start);
        }
        let figures = tally.take(start);
        assert_eq!((figures.counts.len(), figures.vitals.len()), (MOST_NAMES + 1, MOST_NAMES));
        assert_eq!(figures.vitals["v1"].count, MOST_VALUES);
        assert_eq!(figures.counts.values().sum::<f64>(), 30_000.0);
    }
}
