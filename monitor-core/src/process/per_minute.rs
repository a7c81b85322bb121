//! First aggregation: one event for all of its like that a user caused within a minute.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::{
    Attributes, BatchId, Device, Draft, Envelope, Event, EventId, Json, Kind, MAX_WEIGHT, Origin, Page, Processor, Verdict, attribute,
    empty_object,
};

/// Replaces the events of a user, minute and route by one that stands for them. For kinds that come in masses, where nobody looks at
/// the single event.
///
/// Events go together when they have the same kind, name and minute (UTC), the same project, user, visitor and session, and agree in
/// every field that a query can group by: route, release, environment, browser, system, device, country, connection, language and the
/// attributes `status`, `method`, `failure`, `rating`, `fingerprint`, `message` and `validity`; those with a value never go with those
/// without. Only `page`, `url` and `target` may differ; [`by_attribute`](PerMinute::by_attribute) tells attributes apart too. The
/// one event has
///
/// - the sum of their weights as `weight` and the weighted mean of their values as `value`,
/// - the earliest of their times, and the latest time of arrival,
/// - an id made from the batch's id and all that they agree in,
/// - whatever tags, attributes, page and device they have in common, no `seq`, and as data
///   `{"aggregated":true,"count":3,"sum":412.5,"min":80.5,"max":201,"from":1732096800123,"to":1732096859999}`: how many events there
///   were, the weighted sum and the extremes of their values (left out when they have none), their first and last time, ms.
///
/// # What stays the same
///
/// Counts, `sum` and `avg` of every question that is about whole minutes and does not ask for page, URL, target or an attribute that
/// is not named above, to the seven digits of a weight. What becomes coarser: `min`, `max` and percentiles see the mean of each group; `pages` misses pages
/// that went together. A batch ends where it ends: a minute has one such event for each batch that it is in. So this saves rows,
/// and is no table of minutes.
///
/// # What is left alone
///
/// Events that nothing goes with; those of nobody (neither user, visitor nor session is known: they would be those of everybody); those
/// that may be copies ([`Origin::attempt`] above 1), because they are looked up in the store by id, one by one; and what is
/// aggregated already.
///
/// # What it costs: exactly once has two guards instead of three
///
/// A copy of an event is recognised by what was read of the topic before (the window of recent ids, which is in front of all
/// processors), by the batch it is in (read again after a crash it has the same id, becomes the same events with the same ids
/// and is recognised as a whole), and by its own id in the store. Of an aggregated event the store does not know that id. So when an
/// event went into an aggregate and is *sent again*, or produced again, after the window has forgotten it, it is counted a second
/// time. And who reads a topic again on purpose forms other batches: aggregates that the database still has are counted again. Where that
/// matters more than rows, do not aggregate.
///
/// The members are counted as dropped for the reason `aggregated`; the events that stand for them come on top.
///
/// ```
/// use monitor_core::{Kind, process::PerMinute};
///
/// let first = PerMinute::of([Kind::Request, Kind::Resource]).by_attribute("target");
/// # let _ = first;
/// ```
#[derive(Clone, Debug)]
pub struct PerMinute {
    kinds: Vec<Kind>,
    apart: Vec<String>,
}

/// Attributes that are counted by: their columns, but for the target, which differs nearly always.
const APART: [&str; 7] = [
    attribute::STATUS,
    attribute::METHOD,
    attribute::FAILURE,
    attribute::RATING,
    attribute::FINGERPRINT,
    attribute::MESSAGE,
    attribute::VALIDITY,
];

const MINUTE: i64 = 60_000;

/// How the data of what this made begins.
const MARK: &str = r#"{"aggregated":true,"#;

impl PerMinute {
    /// Aggregates the events of these kinds.
    pub fn of(kinds: impl IntoIterator<Item = Kind>) -> PerMinute {
        PerMinute { kinds: kinds.into_iter().collect(), apart: APART.into_iter().map(Into::into).collect() }
    }

    /// Keeps events apart that differ in this attribute, too.
    pub fn by_attribute(mut self, key: impl Into<String>) -> PerMinute {
        self.apart.push(key.into());
        self
    }

    /// What the events of a group have in common; `None` for an event that is left alone.
    fn key<'a>(&self, origin: &'a Origin, event: &'a Event) -> Option<Key<'a>> {
        let is_meant = self.kinds.contains(&event.kind) && origin.attempt <= 1;
        // A weight that is none, from another producer, must not spoil those of the others.
        if !is_meant || !(1.0..=MAX_WEIGHT).contains(&event.weight) || event.data.get().starts_with(MARK) {
            return None;
        }
        // Taken apart completely: a field that is added must be thought of here and in `common_origin`.
        let Origin {
            project,
            user,
            visitor,
            session,
            release,
            environment,
            page,
            device,
            browser,
            os,
            country,
            received: _,
            sent_at: _,
            attempt: _,
            sdk: _,
            ip: _,
            user_agent: _,
            tags: _,
        } = origin;
        let Page { route, id: _, url: _, referrer: _, title: _ } = page;
        let Device { kind: device, language, connection, screen: _, viewport: _, timezone: _ } = device;
        if user.is_empty() && visitor.is_empty() && session.is_empty() {
            return None;
        }
        let (browser, browser_version, os, os_version) = (&browser.name, &browser.version, &os.name, &os.version);
        Some(Key {
            minute: event.time.div_euclid(MINUTE),
            kind: &event.kind,
            name: &event.name,
            has_value: value(event).is_some(),
            person: [project, user, visitor, session],
            scene: [release, environment, route, browser, browser_version, os, os_version, device, country, connection, language],
            attributes: self.apart.iter().map(|key| event.attribute(key)).collect(),
        })
    }

    /// The events that stand for others, in the order in which the first of each group was read, and the positions of those others.
    fn aggregate(&self, draft: &Draft) -> (Vec<Envelope>, HashSet<usize>) {
        let mut groups: HashMap<Key<'_>, Vec<Group<'_>>> = HashMap::new();
        for (position, (origin, event)) in draft.events().enumerate() {
            let Some(key) = self.key(origin, event) else { continue };
            let parts = groups.entry(key).or_default();
            match parts.last_mut() {
                Some(group) if group.has_room(event) => group.add(position, origin, event),
                _ => {
                    let mut group = Group::default();
                    group.add(position, origin, event);
                    parts.push(group);
                }
            }
        }
        let mut made: Vec<(usize, Envelope)> = Vec::new();
        let mut replaced = HashSet::new();
        for (key, parts) in &groups {
            for (part, group) in (0..).zip(parts).filter(|(_, group)| group.members.len() > 1) {
                replaced.extend(group.members.iter().map(|(position, ..)| *position));
                made.extend(group.to_event(key.id(draft.id(), part)));
            }
        }
        // A map has no order that a second run would find again.
        made.sort_unstable_by_key(|(position, _)| *position);
        (made.into_iter().map(|(_, envelope)| envelope).collect(), replaced)
    }
}

impl Processor for PerMinute {
    fn name(&self) -> &'static str {
        "per_minute"
    }

    fn process(&self, draft: &mut Draft) {
        let (aggregates, replaced) = self.aggregate(draft);
        if aggregates.is_empty() {
            return;
        }
        let mut positions = 0..;
        draft.retain(|_, _| match positions.next() {
            Some(position) if replaced.contains(&position) => Verdict::Drop("aggregated"),
            _ => Verdict::Keep,
        });
        aggregates.into_iter().for_each(|envelope| draft.push(envelope));
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    minute: i64,
    kind: &'a Kind,
    name: &'a str,
    /// A mean over some, times the weight of all, would be another sum.
    has_value: bool,
    person: [&'a str; 4],
    scene: [&'a str; 11],
    attributes: Vec<&'a str>,
}

impl Key<'_> {
    /// FNV-1a of 128 bits over the batch's id and what the group has in common. So it is of no other group; and the same when the batch
    /// is read again and one event more or less of it is recognised as a copy, so that the store knows what it has.
    ///
    /// Whoever made two groups collide would hit the own project only, in which every sender chooses ids. Source: the FNV reference,
    /// isthe.com/chongo/tech/comp/fnv.
    fn id(&self, batch: &BatchId, part: u32) -> EventId {
        let Key { minute, kind, name, has_value, person, scene, attributes } = self;
        let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
        let mut add = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
            }
        };
        add(&minute.to_be_bytes());
        add(&part.to_be_bytes());
        add(&[u8::from(*has_value)]);
        for text in [batch.as_str(), kind.as_str(), name].iter().chain(person).chain(scene).chain(attributes) {
            add(text.as_bytes());
            // No text has this byte: it ends one.
            add(&[0xff]);
        }
        EventId(hash)
    }
}

/// Events that go together, in the order they were read.
#[derive(Default)]
struct Group<'a> {
    members: Vec<(usize, &'a Origin, &'a Event)>,
    weight: f64,
    /// Of values times weights.
    sum: f64,
}

/// What the data of an aggregated event says.
#[derive(Serialize)]
struct Summary {
    aggregated: bool,
    count: usize,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    values: Option<Values>,
    from: i64,
    to: i64,
}

#[derive(Clone, Copy, Serialize)]
struct Values {
    sum: f64,
    min: f64,
    max: f64,
}

impl<'a> Group<'a> {
    /// Whether the sums stay what an event can hold.
    fn has_room(&self, event: &Event) -> bool {
        let weight = f64::from(event.weight);
        self.weight + weight <= f64::from(MAX_WEIGHT) && (self.sum + value(event).unwrap_or(0.0) * weight).is_finite()
    }

    fn add(&mut self, position: usize, origin: &'a Origin, event: &'a Event) {
        let weight = f64::from(event.weight);
        self.members.push((position, origin, event));
        self.weight += weight;
        self.sum += value(event).unwrap_or(0.0) * weight;
    }

    /// The event that stands for the group, and the position of its first; `None` for no group.
    fn to_event(&self, id: EventId) -> Option<(usize, Envelope)> {
        let (position, origin, first) = self.members.first()?;
        let times = || self.members.iter().map(|(.., event)| event.time);
        let (from, to) = (times().min()?, times().max()?);
        let values = self.members.iter().filter_map(|(.., event)| value(event)).fold(None, |values: Option<Values>, value| {
            let Values { sum, min, max } = values.unwrap_or(Values { sum: self.sum, min: value, max: value });
            Some(Values { sum, min: min.min(value), max: max.max(value) })
        });
        let mut event = Event::new(id, from, first.kind.clone(), first.name.clone());
        // Rounding must not lead out of what there was.
        event.value = values.map(|Values { sum, min, max }| (sum / self.weight).max(min).min(max));
        #[allow(clippy::cast_possible_truncation, reason = "in range; seven digits are enough for an estimate")]
        let weight = self.weight as f32;
        event.weight = weight;
        event.attributes = common(self.members.iter().map(|(.., event)| &event.attributes));
        let summary = Summary { aggregated: true, count: self.members.len(), values, from, to };
        event.data = to_json(&summary);
        let origin = common_origin(origin, self.members.iter().map(|(_, origin, _)| *origin));
        Some((*position, Envelope { origin, events: vec![event] }))
    }
}

/// A value that sums see.
fn value(event: &Event) -> Option<f64> {
    event.value.filter(|value| value.is_finite())
}

fn to_json(summary: &Summary) -> Json {
    // Numbers and a boolean: there is nothing in it that JSON could not say.
    serde_json::value::to_raw_value(summary).unwrap_or_else(|_| empty_object())
}

/// The entries that are the same in all.
fn common<'a>(mut maps: impl Iterator<Item = &'a Attributes>) -> Attributes {
    let mut common = maps.next().cloned().unwrap_or_default();
    maps.for_each(|map| common.retain(|key, value| map.get(key) == Some(value)));
    common
}

/// The first origin without what others say differently. What is in [`Key`] they all say alike.
fn common_origin<'a>(first: &Origin, all: impl Iterator<Item = &'a Origin> + Clone) -> Origin {
    fn keep_if_same<T: PartialEq + Default>(kept: &mut T, other: &T) {
        if kept != other {
            *kept = T::default();
        }
    }
    let mut origin = first.clone();
    origin.tags = common(all.clone().map(|other| &other.tags));
    for other in all {
        origin.received = origin.received.max(other.received);
        keep_if_same(&mut origin.sent_at, &other.sent_at);
        keep_if_same(&mut origin.sdk, &other.sdk);
        keep_if_same(&mut origin.page.id, &other.page.id);
        keep_if_same(&mut origin.page.url, &other.page.url);
        keep_if_same(&mut origin.page.referrer, &other.page.referrer);
        keep_if_same(&mut origin.page.title, &other.page.title);
        keep_if_same(&mut origin.device.screen, &other.device.screen);
        keep_if_same(&mut origin.device.viewport, &other.device.viewport);
        keep_if_same(&mut origin.device.timezone, &other.device.timezone);
        keep_if_same(&mut origin.ip, &other.ip);
        keep_if_same(&mut origin.user_agent, &other.user_agent);
    }
    origin
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::Document;

    /// The start of a minute.
    const START: i64 = 1_732_096_800_000;

    /// A request of one user on one page, received a second after it.
    fn request(id: u128, after: i64, value: f64) -> Envelope {
        let mut origin = Origin::new("shop", START + after + 1_000);
        (origin.user, origin.session) = ("42".into(), "s".into());
        (origin.page.id, origin.page.route) = ("p".into(), "/cart".into());
        let mut event = Event::new(EventId(id), START + after, Kind::Request, "fetch");
        event.value = Some(value);
        event.seq = Some(7);
        event.data = serde_json::value::to_raw_value(&json!({"url": id.to_string()})).unwrap();
        Envelope { origin, events: vec![event] }
    }

    fn with(mut envelope: Envelope, change: impl Fn(&mut Origin, &mut Event)) -> Envelope {
        envelope.events.iter_mut().for_each(|event| change(&mut envelope.origin, event));
        envelope
    }

    fn attribute(key: &'static str, value: &'static str) -> impl Fn(&mut Origin, &mut Event) {
        move |_, event| {
            event.attributes.insert(key.into(), value.into());
        }
    }

    fn documents(draft: &Draft) -> Vec<Document> {
        draft.events().map(|(origin, event)| Document::new(origin, event)).collect()
    }

    fn run(processor: &PerMinute, batch: &str, envelopes: Vec<Envelope>) -> (Vec<Document>, Vec<(&'static str, u64)>) {
        let mut draft = Draft::new(BatchId::new(batch), envelopes);
        processor.process(&mut draft);
        (documents(&draft), draft.end().1)
    }

    fn requests() -> PerMinute {
        PerMinute::of([Kind::Request, Kind::Resource])
    }

    fn ids(envelopes: Vec<Envelope>) -> Vec<u128> {
        run(&requests(), "b", envelopes).0.iter().map(|event| event.id.0).collect()
    }

    #[test]
    fn one_event_stands_for_those_of_a_minute() {
        let weigh = |_: &mut Origin, event: &mut Event| event.weight = 3.0;
        let (events, dropped) =
            run(&requests(), "b", vec![request(1, 59_999, 10.0), with(request(2, 100, 30.0), weigh), request(3, 60_000, 5.0)]);
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].id, EventId(3));
        let one = &events[1];
        assert_eq!((one.time, one.received, one.seq), (START + 100, START + 60_999, None));
        assert_eq!((&one.kind, one.name.as_str(), one.value), (&Kind::Request, "fetch", Some(25.0)));
        assert!((one.weight - 4.0).abs() < f32::EPSILON);
        assert_eq!((one.user.as_str(), one.page.as_str(), one.route.as_str()), ("42", "p", "/cart"));
        let data: Value = serde_json::from_str(one.data.get()).unwrap();
        let (from, to) = (START + 100, START + 59_999);
        assert_eq!(data, json!({"aggregated": true, "count": 2, "sum": 100.0, "min": 10.0, "max": 30.0, "from": from, "to": to}));
        assert!(one.data.get().starts_with(MARK));
        assert_eq!(dropped, [("aggregated", 2)]);
    }

    #[test]
    fn only_what_all_have_in_common_is_kept() {
        let change = |n: &'static str| {
            move |origin: &mut Origin, event: &mut Event| {
                for (key, value) in [("target", n), ("code", "7"), (n, n)] {
                    event.attributes.insert(key.into(), value.into());
                }
                origin.tags = Attributes::from_iter([("tenant".into(), "acme".to_owned()), ("tab".into(), n.to_owned())]);
                (origin.page.id, origin.page.url, origin.page.title) = (n.into(), n.into(), "Cart".into());
                (origin.ip, origin.sent_at) = (format!("192.0.2.{n}").parse().ok(), Some(7));
            }
        };
        // The third is like the first again: what was found to differ stays out.
        let same = [("1", 1), ("2", 2), ("1", 3)].map(|(n, id)| with(request(id, 0, 1.0), change(n)));
        let (events, _) = run(&requests(), "b", same.into());
        assert_eq!(events.len(), 1);
        let one = &events[0];
        assert_eq!(one.attributes, Attributes::from_iter([("code".into(), "7".to_owned())]));
        assert_eq!(one.tags, Attributes::from_iter([("tenant".into(), "acme".to_owned())]));
        assert_eq!(
            (one.target.as_str(), one.page.as_str(), one.url.as_str(), one.title.as_str(), one.ip.as_str()),
            ("", "", "", "Cart", "")
        );
    }

    #[test]
    fn what_is_counted_by_keeps_events_apart() {
        type Change = Box<dyn Fn(&mut Origin, &mut Event)>;
        let changes: Vec<Change> = vec![
            Box::new(|origin, _| origin.project = "bank".into()),
            Box::new(|origin, _| origin.user = "43".into()),
            Box::new(|origin, _| origin.visitor = "v".into()),
            Box::new(|origin, _| origin.session = "t".into()),
            Box::new(|origin, _| origin.page.route = "/".into()),
            Box::new(|origin, _| origin.release = "2".into()),
            Box::new(|origin, _| origin.environment = "test".into()),
            Box::new(|origin, _| origin.browser.name = "Firefox".into()),
            Box::new(|origin, _| origin.browser.version = "9".into()),
            Box::new(|origin, _| origin.os.name = "Linux".into()),
            Box::new(|origin, _| origin.device.kind = "mobile".into()),
            Box::new(|origin, _| origin.device.language = "fr".into()),
            Box::new(|origin, _| origin.device.connection = "3g".into()),
            Box::new(|origin, _| origin.country = "FR".into()),
            Box::new(|_, event| event.kind = Kind::Resource),
            Box::new(|_, event| event.name = "xhr".into()),
            Box::new(|_, event| event.value = None),
            Box::new(|_, event| event.value = Some(f64::NAN)),
            Box::new(|_, event| event.time = START - 1),
            Box::new(attribute("status", "500")),
            Box::new(attribute("method", "POST")),
            Box::new(attribute("failure", "http")),
            Box::new(attribute("rating", "poor")),
            Box::new(attribute("fingerprint", "0")),
            Box::new(attribute("message", "no")),
            Box::new(attribute("validity", "out_of_range")),
        ];
        for (n, change) in changes.iter().enumerate() {
            assert_eq!(ids(vec![request(1, 0, 1.0), with(request(2, 0, 1.0), change)]), [1, 2], "{n}");
        }
        let targets = || vec![with(request(1, 0, 1.0), attribute("target", "/a")), with(request(2, 0, 1.0), attribute("target", "/b"))];
        assert_eq!(run(&requests(), "b", targets()).0.len(), 1);
        assert_eq!(run(&requests().by_attribute("target"), "b", targets()).0.len(), 2);
    }

    #[test]
    fn copies_and_events_of_nobody_and_other_kinds_are_left_alone() {
        let pair = |change: fn(&mut Origin, &mut Event)| ids(vec![with(request(1, 0, 1.0), change), with(request(2, 0, 1.0), change)]);
        assert_eq!(pair(|origin, _| origin.attempt = 2), [1, 2]);
        assert_eq!(pair(|_, event| event.kind = Kind::Track), [1, 2]);
        assert_eq!(pair(|_, event| event.weight = f32::NAN), [1, 2]);
        assert_eq!(pair(|_, event| event.weight = 0.0), [1, 2]);
        assert_eq!(
            pair(|origin, _| {
                origin.user.clear();
                origin.session.clear();
            }),
            [1, 2]
        );
        assert_eq!(ids(vec![request(1, 0, 1.0)]), [1]);
        assert_eq!(pair(|origin, _| origin.user.clear()).len(), 1);
    }

    #[test]
    fn what_is_aggregated_stays_as_it_is() {
        let mut draft = Draft::new(BatchId::new("b"), (0..4).map(|n| request(n, 0, 1.0)).collect());
        requests().process(&mut draft);
        let once = format!("{:?}", documents(&draft));
        let (envelopes, _) = draft.end();
        let more = envelopes.iter().cloned().chain(envelopes.iter().cloned()).collect();
        let (twice, dropped) = run(&requests(), "b", more);
        assert_eq!((twice.len(), dropped), (2, vec![]));
        assert_eq!(format!("{:?}", &twice[..1]), once);
    }

    #[test]
    fn events_without_values_have_none_together() {
        let without = |_: &mut Origin, event: &mut Event| event.value = None;
        let (events, _) = run(&requests(), "b", vec![with(request(1, 0, 1.0), without), with(request(2, 5, 1.0), without)]);
        let data: Value = serde_json::from_str(events[0].data.get()).unwrap();
        assert_eq!(data, json!({"aggregated": true, "count": 2, "from": START, "to": START + 5}));
        assert_eq!(events[0].value, None);
    }

    #[test]
    fn what_one_event_cannot_hold_becomes_two() {
        let heavy = |_: &mut Origin, event: &mut Event| event.weight = 4e8;
        let (events, _) = run(&requests(), "b", (1..=5).map(|id| with(request(id, 0, 1.0), heavy)).collect());
        assert_eq!(events.iter().map(|event| event.weight).collect::<Vec<_>>(), [4e8, 8e8, 8e8]);
        assert_ne!(events[1].id, events[2].id);
        let (events, _) = run(&requests(), "b", (1..=4).map(|id| request(id, 0, f64::MAX / 1.5)).collect());
        assert_eq!(events.len(), 4);
        assert!(events.iter().all(|event| event.value.is_some_and(f64::is_finite)));
    }

    #[test]
    fn the_id_is_of_this_batch_and_group_and_never_changes_between_versions() {
        let id = |batch, user: &str, ids: &[u128]| {
            let envelopes = ids.iter().map(|id| with(request(*id, 0, 1.0), |origin, _| origin.user = user.into())).collect();
            run(&requests(), batch, envelopes).0[0].id
        };
        assert_eq!(id("b", "42", &[1, 2]).to_string(), "a08ccd6b-b388-8b72-fb3b-bc5ae47f9b65");
        assert_ne!(id("b", "42", &[1, 2]), id("c", "42", &[1, 2]));
        assert_ne!(id("b", "42", &[1, 2]), id("b", "43", &[1, 2]));
    }

    #[test]
    fn a_group_is_recognised_when_one_of_its_events_is_missing_the_second_time() {
        let made = |ids: &[u128]| run(&requests(), "b", ids.iter().map(|id| request(*id, 0, 1.0)).collect()).0[0].id;
        assert_eq!(made(&[1, 2, 3]), made(&[2, 3]));
    }

    /// What a question over whole minutes adds up, by what it can group by: events, weight, weighted sum of values.
    fn totals(events: &[Document]) -> BTreeMap<String, (u64, f64, f64)> {
        let mut totals = BTreeMap::new();
        for event in events {
            let key = format!(
                "{:?}",
                (&event.kind, event.time.div_euclid(MINUTE), &event.user, &event.route, event.status, event.value.is_some())
            );
            let data: Value = serde_json::from_str(event.data.get()).unwrap();
            let weight = f64::from(event.weight);
            let total = totals.entry(key).or_insert((0, 0.0, 0.0));
            total.0 += data["count"].as_u64().unwrap_or(1);
            total.1 += weight;
            total.2 += event.value.unwrap_or(0.0) * weight;
        }
        totals
    }

    /// Few different values each, so that many go together.
    fn envelopes() -> impl Strategy<Value = Vec<Envelope>> {
        let event = (0..180_000i64, 0..3u8, prop::option::of(0.0..1e5f64), prop_oneof![Just(1.0f32), 1.0..1e3f32], 0..2u16, 0..3u8);
        let envelope = (prop::sample::select(vec!["", "1", "2"]), 0..2u8, 1..3u32, prop::collection::vec(event, 0..8));
        prop::collection::vec(envelope, 0..20).prop_map(|envelopes| {
            let mut id = 0;
            let mut next = |(time, kind, value, weight, status, target): (i64, u8, Option<f64>, f32, u16, u8)| {
                id += 1;
                let kind = [Kind::Request, Kind::Resource, Kind::Click][usize::from(kind)].clone();
                let attributes =
                    Attributes::from_iter([("status".into(), (status * 200).to_string()), ("target".into(), target.to_string())]);
                Event { value, weight, attributes, ..Event::new(EventId(id), START + time, kind, "x") }
            };
            let envelope = |(user, route, attempt, events): (&str, u8, u32, Vec<_>)| {
                let mut origin = Origin::new("shop", START + 200_000);
                (origin.user, origin.page.route, origin.attempt) = (user.into(), format!("/{route}"), attempt);
                Envelope { origin, events: events.into_iter().map(&mut next).collect() }
            };
            envelopes.into_iter().map(envelope).collect()
        })
    }

    proptest! {
        #[test]
        fn counts_weights_and_sums_stay_and_a_second_run_makes_the_same(envelopes in envelopes()) {
            let before = documents(&Draft::new(BatchId::new("b"), envelopes.clone()));
            let (after, dropped) = run(&requests(), "b", envelopes.clone());
            let (expected, found) = (totals(&before), totals(&after));
            prop_assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
            for (expected, found) in expected.values().zip(found.values()) {
                let close = |a: f64, b: f64| (a - b).abs() <= a.abs() * 1e-6;
                prop_assert!(expected.0 == found.0 && close(expected.1, found.1) && close(expected.2, found.2), "{expected:?} {found:?}");
            }

            let is_old = |event: &&Document| event.id.0 <= before.len() as u128;
            let made: Vec<_> = after.iter().filter(|event| !is_old(event)).collect();
            let members: u64 = made.iter().map(|event| serde_json::from_str::<Value>(event.data.get()).unwrap()["count"].as_u64().unwrap()).sum();
            prop_assert_eq!(members, dropped.iter().map(|(_, count)| count).sum::<u64>());
            prop_assert_eq!(before.len() as u64 - members, after.iter().filter(is_old).count() as u64);
            // No two are left that could go together.
            let keys: HashSet<_> = made.iter().map(|event| format!("{:?}", totals(&[(**event).clone()]).into_keys())).collect();
            prop_assert_eq!(keys.len(), made.len());

            let text = |events: &[Document]| serde_json::to_string(events).unwrap();
            prop_assert_eq!(text(&run(&requests(), "b", envelopes).0), text(&after));
        }
    }
}
