//! Makes client times comparable: corrects clocks that are wrong and refuses times that cannot be true.

use crate::{Enricher, Event, Origin, Verdict, attribute};

/// Shifts times by the difference between the client's clock and ours, then clamps what is still implausible to the
/// time of arrival. A changed event says so in its attributes: `clock` is `corrected` or `clamped`, and a clamped
/// one keeps what the client said in `original_time`.
///
/// Clamping also protects the store: one client with a hundred different dates in a batch would open a hundred partitions.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Smaller differences between `sent_at` and arrival are taken for the network's latency, ms.
    min_skew: i64,
    /// How old an event may be, ms.
    max_age: i64,
    /// How far in the future an event may be, ms.
    max_ahead: i64,
}

impl Default for Clock {
    /// Corrects from 30 s on; believes 7 days into the past and 1 minute ahead.
    fn default() -> Clock {
        Clock { min_skew: 30_000, max_age: 7 * 24 * 3_600_000, max_ahead: 60_000 }
    }
}

impl Enricher for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn enrich(&self, event: &mut Event, origin: &Origin) -> Verdict {
        let said = event.time;
        // An event without a (readable) time has that of its arrival: our own clock needs no correction.
        let is_ours = said == origin.received;
        let skew = origin.sent_at.filter(|_| !is_ours).map_or(0, |sent_at| origin.received.saturating_sub(sent_at));
        let mut changed = None;
        if skew.saturating_abs() >= self.min_skew {
            event.time = said.saturating_add(skew);
            changed = Some("corrected");
        }
        let oldest = origin.received.saturating_sub(self.max_age);
        let latest = origin.received.saturating_add(self.max_ahead);
        if !(oldest..=latest).contains(&event.time) {
            event.time = origin.received;
            event.attributes.insert(attribute::ORIGINAL_TIME.into(), said.to_string());
            changed = Some("clamped");
        }
        if let Some(changed) = changed {
            // A time that could not even be read is flagged already, with what the client wrote.
            event.attributes.entry(attribute::CLOCK.into()).or_insert_with(|| changed.into());
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventId, Kind};

    const NOW: i64 = 1_732_096_800_000;
    const DAY: i64 = 24 * 3_600_000;

    fn check(time: i64, sent_at: Option<i64>, expected: i64, flag: &str) {
        let mut origin = Origin::new("shop", NOW);
        origin.sent_at = sent_at;
        let mut event = Event::new(EventId(1), time, Kind::Track, "x");
        assert_eq!(Clock::default().enrich(&mut event, &origin), Verdict::Keep);
        assert_eq!((event.time, event.attribute("clock")), (expected, flag), "{time} {sent_at:?}");
        if flag == "clamped" {
            assert_eq!(event.attribute("original_time"), time.to_string());
        }
    }

    #[test]
    fn latency_is_not_skew() {
        check(NOW - 5_000, Some(NOW - 2_000), NOW - 5_000, "");
        check(NOW - 5_000, None, NOW - 5_000, "");
        check(NOW - 3 * DAY, Some(NOW), NOW - 3 * DAY, "");
    }

    #[test]
    fn a_wrong_clock_is_corrected_and_the_order_is_kept() {
        check(NOW + 3 * DAY - 70, Some(NOW + 3 * DAY), NOW - 70, "corrected");
        check(NOW + 3 * DAY - 50, Some(NOW + 3 * DAY), NOW - 50, "corrected");
        check(1_000, Some(2_000), NOW - 1_000, "corrected");
    }

    #[test]
    fn the_time_of_arrival_is_not_corrected() {
        for skew in [-3 * DAY, -40_000, 40_000, 3 * DAY] {
            check(NOW, Some(NOW + skew), NOW, "");
        }
    }

    #[test]
    fn implausible_times_are_clamped_and_remembered() {
        for time in [0, -1, NOW - 8 * DAY, NOW + 61_000, i64::MAX, i64::MIN, 1_000_000_000_000_000_000] {
            check(time, None, NOW, "clamped");
        }
        check(0, Some(NOW + 3 * DAY), NOW, "clamped");
        check(i64::MIN, Some(i64::MAX), NOW, "clamped");
    }
}
