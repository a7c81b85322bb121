//! Keeps numbers that cannot be true out of sums and percentiles.

use std::ops::RangeInclusive;

use crate::{Enricher, Event, Kind, Origin, Verdict, attribute};

/// Flags what is impossible or incomplete, and keeps it: it can be counted and looked at, and says what it said.
///
/// - A value outside of its range leaves [`Event::value`], so that no sum and no percentile sees it. The event has `validity`
///   = `out_of_range` and the number as text in `original_value`.
/// - A web vital without a value has `validity` = `incomplete`.
///
/// The ranges are wide: they are meant for what no page can measure (a negative duration, a clock that jumped), not for what is slow.
/// Where a kind or name has none, every finite value is believed.
///
/// | kind | name | range |
/// |---|---|---|
/// | `vital` | `LCP`, `FCP`, `FP`, `TTFB`, `INP`, `TTI`, `TBT` | 0 to 60,000 ms |
/// | `vital` | `CLS` | 0 to 100 |
/// | `navigation`, `longtask` | any | 0 to 600,000 ms (10 minutes) |
/// | `resource`, `request` | any | 0 to 3,600,000 ms (1 hour) |
/// | `time_on_page` | any | 0 to 604,800,000 ms (7 days) |
/// | `scroll_depth` | any | 0 to 100 percent |
///
/// It can run any number of times: what is clean or flagged stays as it is. So it is used by receivers, and again by whoever reads
/// events from a topic that others may write to.
///
/// ```
/// use monitor_core::{Kind, enrich::Validity};
///
/// let validity = Validity::default()
///     .range(Kind::Vital, "LCP", 0.0..=30_000.0)
///     .range(Kind::Track, "cart_value", 0.0..=1e6)
///     .range_of_kind(Kind::Span, 0.0..=3_600_000.0)
///     .require_value(Kind::Span);
/// # let _ = validity;
/// ```
#[derive(Clone, Debug)]
pub struct Validity {
    /// One for each kind that has any rule: few, and most events are of other kinds.
    rules: Vec<Rules>,
    drop_invalid: bool,
}

#[derive(Clone, Debug)]
struct Rules {
    kind: Kind,
    needs_value: bool,
    /// Of names that have a range of their own.
    names: Vec<(Box<str>, RangeInclusive<f64>)>,
    others: RangeInclusive<f64>,
}

/// Values of [`attribute::VALIDITY`].
const OUT_OF_RANGE: &str = "out_of_range";
const INCOMPLETE: &str = "incomplete";

const MINUTE: f64 = 60_000.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

impl Default for Validity {
    /// The ranges of the table.
    fn default() -> Validity {
        let durations = ["LCP", "FCP", "FP", "TTFB", "INP", "TTI", "TBT"];
        let validity = Validity { rules: Vec::new(), drop_invalid: false };
        durations
            .into_iter()
            .fold(validity, |validity, name| validity.range(Kind::Vital, name, 0.0..=MINUTE))
            .range(Kind::Vital, "CLS", 0.0..=100.0)
            .require_value(Kind::Vital)
            .range_of_kind(Kind::Navigation, 0.0..=10.0 * MINUTE)
            .range_of_kind(Kind::Longtask, 0.0..=10.0 * MINUTE)
            .range_of_kind(Kind::Resource, 0.0..=HOUR)
            .range_of_kind(Kind::Request, 0.0..=HOUR)
            .range_of_kind(Kind::TimeOnPage, 0.0..=7.0 * DAY)
            .range_of_kind(Kind::ScrollDepth, 0.0..=100.0)
    }
}

impl Validity {
    /// Sets the range of the events of one kind and name; it comes before the range of the kind.
    pub fn range(mut self, kind: Kind, name: &str, range: RangeInclusive<f64>) -> Validity {
        let names = &mut self.rules_of(kind).names;
        match names.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) => *known = range,
            None => names.push((name.into(), range)),
        }
        self
    }

    /// Sets the range of the events of a kind whose name has none of its own. `f64::MIN..=f64::MAX` takes it away.
    pub fn range_of_kind(mut self, kind: Kind, range: RangeInclusive<f64>) -> Validity {
        self.rules_of(kind).others = range;
        self
    }

    /// Events of this kind are incomplete without a value, as web vitals are.
    pub fn require_value(mut self, kind: Kind) -> Validity {
        self.rules_of(kind).needs_value = true;
        self
    }

    /// Drops what would be flagged, and what was flagged before, with the reason `invalid`. A receiver says so in its answer.
    pub fn drop_invalid(mut self) -> Validity {
        self.drop_invalid = true;
        self
    }

    fn rules_of(&mut self, kind: Kind) -> &mut Rules {
        let at = self.rules.iter().position(|rules| rules.kind == kind).unwrap_or(self.rules.len());
        if at == self.rules.len() {
            self.rules.push(Rules { kind, needs_value: false, names: Vec::new(), others: f64::MIN..=f64::MAX });
        }
        #[allow(clippy::indexing_slicing, reason = "found or pushed above; configuration, not input")]
        &mut self.rules[at]
    }
}

impl Rules {
    /// Also no to what is not a finite number: it is in no range.
    fn allow(&self, name: &str, value: f64) -> bool {
        let own = self.names.iter().find(|(known, _)| **known == *name);
        own.map_or(&self.others, |(_, range)| range).contains(&value)
    }
}

impl Enricher for Validity {
    fn name(&self) -> &'static str {
        "validity"
    }

    fn enrich(&self, event: &mut Event, _origin: &Origin) -> Verdict {
        let Some(rules) = self.rules.iter().find(|rules| rules.kind == event.kind) else { return Verdict::Keep };
        let flag = match event.value {
            Some(value) if rules.allow(&event.name, value) => return Verdict::Keep,
            Some(_) => OUT_OF_RANGE,
            // Flagged before. With a value it is judged anew, whatever its sender says of it.
            None if event.attribute(attribute::VALIDITY) == OUT_OF_RANGE => OUT_OF_RANGE,
            None if rules.needs_value => INCOMPLETE,
            None => return Verdict::Keep,
        };
        if self.drop_invalid {
            return Verdict::Drop("invalid");
        }
        if let Some(value) = event.value.take() {
            event.attributes.insert(attribute::ORIGINAL_VALUE.into(), value.to_string());
        }
        if event.attribute(attribute::VALIDITY) != flag {
            event.attributes.insert(attribute::VALIDITY.into(), flag.into());
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchId, Draft, Each, Envelope, EventId, Processor};

    fn event(kind: Kind, name: &str, value: Option<f64>) -> Event {
        Event { value, ..Event::new(EventId(1), 0, kind, name) }
    }

    fn clean(validity: &Validity, event: &mut Event) -> Verdict {
        validity.enrich(event, &Origin::new("shop", 0))
    }

    /// What is left of the value, and the two attributes.
    fn cleaned(validity: &Validity, kind: Kind, name: &str, value: Option<f64>) -> (Option<f64>, String, String) {
        let mut event = event(kind, name, value);
        assert_eq!(clean(validity, &mut event), Verdict::Keep);
        let attribute = |key| event.attribute(key).to_owned();
        (event.value, attribute("validity"), attribute("original_value"))
    }

    /// Both ends are believed, and what is beyond them is not.
    fn check(kind: Kind, name: &str, most: f64) {
        let validity = Validity::default();
        for value in [0.0, -0.0, most / 2.0, most] {
            assert_eq!(cleaned(&validity, kind.clone(), name, Some(value)), (Some(value), "".into(), "".into()), "{kind} {name}");
        }
        for value in [-0.001, most + 0.001, -1e300, 1e300] {
            let flagged = (None, "out_of_range".into(), value.to_string());
            assert_eq!(cleaned(&validity, kind.clone(), name, Some(value)), flagged, "{kind} {name}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_true_leaves_the_sums_and_is_remembered() {
        for name in ["LCP", "FCP", "FP", "TTFB", "INP", "TTI", "TBT"] {
            check(Kind::Vital, name, 60_000.0);
        }
        check(Kind::Vital, "CLS", 100.0);
        check(Kind::Navigation, "navigation", 600_000.0);
        check(Kind::Longtask, "longtask", 600_000.0);
        check(Kind::Resource, "script", 3_600_000.0);
        check(Kind::Request, "fetch", 3_600_000.0);
        check(Kind::TimeOnPage, "time_on_page", 604_800_000.0);
        check(Kind::ScrollDepth, "scroll_depth", 100.0);
    }

    #[test]
    fn a_slow_page_is_believed() {
        assert_eq!(cleaned(&Validity::default(), Kind::Vital, "LCP", Some(10_500.0)).0, Some(10_500.0));
    }

    #[test]
    fn what_has_no_rule_is_believed() {
        for (kind, name) in
            [(Kind::Vital, "hydration"), (Kind::Track, "LCP"), (Kind::Other("webrtc".into()), "loss"), (Kind::RageClick, "x")]
        {
            for value in [Some(-1e300), Some(1e300), Some(0.0)] {
                assert_eq!(cleaned(&Validity::default(), kind.clone(), name, value), (value, "".into(), "".into()), "{kind} {name}");
            }
        }
    }

    #[test]
    fn a_vital_without_a_value_is_incomplete_and_other_kinds_need_none() {
        for name in ["LCP", "CLS", "hydration"] {
            assert_eq!(cleaned(&Validity::default(), Kind::Vital, name, None), (None, "incomplete".into(), "".into()));
        }
        for kind in Kind::KNOWN.iter().filter(|kind| **kind != Kind::Vital) {
            assert_eq!(cleaned(&Validity::default(), kind.clone(), "x", None), (None, "".into(), "".into()), "{kind}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_in_no_range() {
        for (value, text) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
            for name in ["LCP", "hydration"] {
                assert_eq!(cleaned(&Validity::default(), Kind::Vital, name, Some(value)), (None, "out_of_range".into(), text.into()));
            }
        }
    }

    #[test]
    fn a_host_changes_ranges_and_adds_rules() {
        let validity = Validity::default()
            .range(Kind::Vital, "LCP", 0.0..=10.0)
            .range(Kind::Vital, "MY_METRIC", 0.0..=1e6)
            .range_of_kind(Kind::Other("webrtc".into()), 0.0..=1.0)
            .range(Kind::Other("webrtc".into()), "jitter", 0.0..=50.0)
            .require_value(Kind::Span);
        let flag = |kind: Kind, name: &str, value| cleaned(&validity, kind, name, value).1;
        assert_eq!(flag(Kind::Vital, "LCP", Some(11.0)), "out_of_range");
        assert_eq!(flag(Kind::Vital, "FCP", Some(11.0)), "");
        assert_eq!(flag(Kind::Vital, "MY_METRIC", Some(2e6)), "out_of_range");
        assert_eq!(flag(Kind::Other("webrtc".into()), "loss", Some(2.0)), "out_of_range");
        assert_eq!(flag(Kind::Other("webrtc".into()), "jitter", Some(2.0)), "");
        assert_eq!(flag(Kind::Other("rtc".into()), "loss", Some(2.0)), "");
        assert_eq!(flag(Kind::Span, "checkout", None), "incomplete");
    }

    #[test]
    fn invalid_events_are_dropped_when_the_host_says_so_also_those_that_were_flagged_before() {
        let dropping = Validity::default().drop_invalid();
        for (kind, value) in [(Kind::Request, Some(-1.0)), (Kind::Vital, Some(-1.0)), (Kind::Vital, None)] {
            let mut event = event(kind, "LCP", value);
            assert_eq!(clean(&dropping, &mut event.clone()), Verdict::Drop("invalid"));
            assert_eq!(clean(&Validity::default(), &mut event), Verdict::Keep);
            assert_eq!(clean(&dropping, &mut event), Verdict::Drop("invalid"));
        }
        for (kind, value) in [(Kind::Request, None), (Kind::Vital, Some(1.0)), (Kind::Track, Some(-1.0))] {
            assert_eq!(clean(&dropping, &mut event(kind, "LCP", value)), Verdict::Keep);
        }
    }

    #[test]
    fn a_sender_cannot_keep_its_own_value_from_being_judged() {
        let mut event = event(Kind::Vital, "LCP", Some(-1.0));
        event.attributes.insert("validity".into(), "out_of_range".into());
        event.attributes.insert("original_value".into(), "7".into());
        assert_eq!(clean(&Validity::default(), &mut event), Verdict::Keep);
        assert_eq!((event.value, event.attribute("original_value")), (None, "-1"));
        event.attributes.insert("validity".into(), "fine".into());
        assert_eq!(clean(&Validity::default(), &mut event), Verdict::Keep);
        assert_eq!(event.attribute("validity"), "incomplete");
    }

    proptest::proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(
            kind in proptest::sample::select(Kind::KNOWN),
            name in "LCP|CLS|x",
            value in proptest::option::of(proptest::num::f64::ANY),
            flag in proptest::option::of("out_of_range|incomplete|fine"),
        ) {
            let mut event = event(kind, &name, value);
            event.attributes.extend(flag.map(|flag| ("validity".into(), flag)));
            // As the receiver does, and then the one who reads the topic.
            assert_eq!(clean(&Validity::default(), &mut event), Verdict::Keep);
            let once = serde_json::to_string(&event).unwrap();
            let mut draft = Draft::new(BatchId::new("b"), vec![Envelope { origin: Origin::new("shop", 0), events: vec![event] }]);
            Each(Validity::default()).process(&mut draft);
            let twice: Vec<_> = draft.events().map(|(_, event)| serde_json::to_string(event).unwrap()).collect();
            proptest::prop_assert_eq!(twice, [once]);
        }
    }
}
