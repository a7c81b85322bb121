//! Our own envelope, see `docs/protocol.md`.

use std::{borrow::Cow, collections::HashSet};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    Context, Discarded, FrameError, Parsed, Rejection,
    capped::{Capped, CappedMap},
    frame::{self, Elements, MOST_EVENTS},
    text::{self, AnyText, Text, or_absent},
    time::{self, ClientTime},
};
use crate::{Agent, Attributes, Envelope, Event, EventId, Kind, MAX_WEIGHT, Origin, attribute, empty_object};

/// Longest texts of columns, bytes. What is longer is cut.
mod longest {
    pub(super) const NAME: usize = 256;
    pub(super) const WORD: usize = 200;
    pub(super) const URL: usize = 4_096;
    pub(super) const KEY: usize = 128;
    pub(super) const ATTRIBUTE: usize = 4_096;
    pub(super) const REASON: usize = 500;
    /// Anything longer is not an id with extra dashes but abuse.
    pub(super) const ID: usize = 128;
}

/// Most attributes of an event, and most tags of an envelope.
const MAX_ATTRIBUTES: usize = 64;

/// Most entries of what a client says that it lost.
const MAX_DISCARDED: usize = 64;

/// Tags as they are read.
pub(super) type Tags = CappedMap<Text, MAX_ATTRIBUTES>;

#[derive(Deserialize)]
struct Frame<'a> {
    v: u64,
    #[serde(default, deserialize_with = "or_absent")]
    sdk: Option<Sdk>,
    #[serde(borrow, default)]
    sent_at: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "or_absent")]
    attempt: Option<u32>,
    #[serde(default, deserialize_with = "or_absent")]
    page: Option<FramePage>,
    #[serde(default, deserialize_with = "or_absent")]
    session: Option<FrameSession>,
    #[serde(default)]
    release: AnyText,
    #[serde(default)]
    environment: AnyText,
    #[serde(default, deserialize_with = "or_absent")]
    device: Option<FrameDevice>,
    #[serde(default, deserialize_with = "or_absent")]
    tags: Option<CappedMap<AnyText, MAX_ATTRIBUTES>>,
    #[serde(default, deserialize_with = "or_absent")]
    discarded: Option<Capped<Discarded, MAX_DISCARDED>>,
    #[serde(borrow)]
    events: Capped<&'a RawValue, MOST_EVENTS>,
}

#[derive(Deserialize)]
struct Sdk {
    #[serde(default)]
    name: AnyText,
    #[serde(default)]
    version: AnyText,
}

#[derive(Deserialize)]
struct FramePage {
    #[serde(default)]
    id: AnyText,
    #[serde(default)]
    url: AnyText,
    #[serde(default)]
    route: AnyText,
    #[serde(default)]
    referrer: AnyText,
    #[serde(default)]
    title: AnyText,
}

#[derive(Deserialize)]
struct FrameSession {
    #[serde(default)]
    id: AnyText,
    #[serde(default)]
    visitor: AnyText,
    #[serde(default, deserialize_with = "user")]
    user: AnyText,
}

#[derive(Deserialize)]
struct FrameUser {
    #[serde(default)]
    id: AnyText,
}

/// The id of a user, also where it stands for the user.
fn user<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AnyText, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?.get();
    let user = serde_json::from_str::<Option<FrameUser>>(raw).map(|user| user.map_or_else(AnyText::default, |user| user.id));
    Ok(user.or_else(|_| serde_json::from_str(raw)).unwrap_or_default())
}

#[derive(Deserialize)]
struct FrameDevice {
    #[serde(default)]
    screen: AnyText,
    #[serde(default)]
    viewport: AnyText,
    #[serde(default)]
    language: AnyText,
    #[serde(default)]
    connection: AnyText,
    #[serde(default)]
    timezone: AnyText,
}

/// Reads the envelope of `docs/protocol.md`. Bad events are rejected one by one; an error means that nothing can be taken.
pub fn envelope(body: &[u8], context: &mut Context<'_>) -> Result<Parsed, FrameError> {
    const EXPECTED: &str = "an envelope";
    let body = text::repair(body);
    let text = frame::utf8(&body)?;
    let bad_frame = |error: serde_json::Error| FrameError::BadFrame { expected: EXPECTED, reason: reason(&error) };
    match serde_json::from_str::<Frame<'_>>(text) {
        Ok(mut frame) => {
            let elements = std::mem::take(&mut frame.events).into();
            read(frame, elements, context)
        }
        Err(error) => {
            // Perhaps only one of the events is not JSON.
            let Some((rest, elements)) = frame::split_array(text, Some("events")) else { return Err(bad_frame(error)) };
            read(serde_json::from_str(&rest).map_err(bad_frame)?, elements, context)
        }
    }
}

fn read(frame: Frame<'_>, elements: Elements<'_>, context: &mut Context<'_>) -> Result<Parsed, FrameError> {
    if frame.v != 1 {
        return Err(FrameError::Version(frame.v));
    }
    check_count(elements.found, context)?;
    let mut discarded = Vec::new();
    let origin = origin(frame, context, &mut discarded);
    let mut parsed = read_events(elements, origin, context);
    parsed.discarded = discarded;
    Ok(parsed)
}

/// Refuses a request with more events than allowed.
pub(super) fn check_count(found: usize, context: &Context<'_>) -> Result<(), FrameError> {
    let allowed = context.limits.events.min(MOST_EVENTS);
    if found > allowed { Err(FrameError::TooManyEvents { found, allowed }) } else { Ok(()) }
}

fn origin(frame: Frame<'_>, context: &Context<'_>, discarded: &mut Vec<Discarded>) -> Origin {
    let mut origin = Origin::new(context.project, context.received);
    if let ClientTime::Millis(sent_at) = time::read(frame.sent_at) {
        origin.sent_at = Some(sent_at);
    }
    origin.attempt = frame.attempt.unwrap_or(1).max(1);
    origin.release = word(frame.release);
    origin.environment = word(frame.environment);
    if let Some(sdk) = frame.sdk {
        origin.sdk = Agent::new(word(sdk.name), word(sdk.version));
    }
    if let Some(page) = frame.page {
        origin.page.id = word(page.id);
        origin.page.url = cut(page.url, longest::URL);
        origin.page.route = cut(page.route, longest::URL);
        origin.page.referrer = cut(page.referrer, longest::URL);
        origin.page.title = cut(page.title, longest::NAME);
    }
    if let Some(session) = frame.session {
        origin.session = word(session.id);
        origin.visitor = word(session.visitor);
        origin.user = word(session.user);
    }
    if let Some(device) = frame.device {
        origin.device.screen = word(device.screen);
        origin.device.viewport = word(device.viewport);
        origin.device.language = word(device.language);
        origin.device.connection = word(device.connection);
        origin.device.timezone = word(device.timezone);
    }
    origin.tags = tags(frame.tags);
    discarded.extend(frame.discarded.unwrap_or_default().kept);
    origin
}

pub(super) fn word(text: impl Into<Text>) -> String {
    cut(text, longest::WORD)
}

pub(super) fn url(text: Text) -> String {
    cut(text, longest::URL)
}

/// The tags of an envelope, or of a document of a simple form.
pub(super) fn tags<T: Into<Text>>(read: Option<CappedMap<T, MAX_ATTRIBUTES>>) -> Attributes {
    let read = read.unwrap_or_default().kept.into_iter();
    read.map(|(key, value)| (cut(Text(key), longest::KEY).into(), cut(value, longest::ATTRIBUTE))).collect()
}

fn cut(text: impl Into<Text>, max: usize) -> String {
    let Text(mut text) = text.into();
    text::truncate(&mut text, max);
    text
}

/// Reads events one by one, in the form that the envelope and the lists of other forms share.
fn read_events(elements: Elements<'_>, origin: Origin, context: &mut Context<'_>) -> Parsed {
    let mut events = Vec::with_capacity(elements.found);
    let mut positions = Vec::with_capacity(elements.found);
    let mut rejected = Vec::new();
    for (index, element) in elements.list.into_iter().enumerate() {
        match element.map_err(|error| bad_json(index, &error)).and_then(|raw| read_event(index, raw.get(), context)) {
            Ok(event) => {
                events.push(event);
                positions.push(index);
            }
            Err(rejection) => rejected.push(rejection),
        }
    }
    let mut parsed = Parsed { envelope: Envelope { origin, events }, positions, rejected, discarded: Vec::new() };
    reject_repeated_ids(&mut parsed);
    parsed
}

/// The same id twice in one request is the same event twice: the first stays.
pub(super) fn reject_repeated_ids(parsed: &mut Parsed) {
    let Parsed { envelope, positions, rejected, .. } = parsed;
    let mut seen = HashSet::with_capacity(envelope.events.len());
    if envelope.events.iter().all(|event| seen.insert(event.id)) {
        return;
    }
    seen.clear();
    let mut at = positions.iter();
    let mut kept = Vec::with_capacity(positions.len());
    envelope.events.retain(|event| {
        let index = at.next().copied().unwrap_or_default();
        let first = seen.insert(event.id);
        if first {
            kept.push(index);
        } else {
            let message = format!("event {} is in the request already", event.id);
            rejected.push(Rejection { index, code: "duplicate_id", message });
        }
        first
    });
    *positions = kept;
    rejected.sort_by_key(|rejection| rejection.index);
}

pub(super) fn bad_json(index: usize, error: &serde_json::Error) -> Rejection {
    Rejection { index, code: "bad_json", message: reason(error) }
}

/// What a parser complains about, for people. It quotes what it found, which may be as long as the request.
pub(super) fn reason(error: &serde_json::Error) -> String {
    cut(Text(error.to_string()), longest::REASON)
}

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    seq: Option<&'a RawValue>,
    #[serde(default)]
    time: Option<&'a RawValue>,
    #[serde(default)]
    kind: Option<&'a RawValue>,
    #[serde(default)]
    name: Text,
    #[serde(default)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    weight: Option<&'a RawValue>,
    #[serde(default)]
    attributes: Option<&'a RawValue>,
    #[serde(default)]
    data: Option<&'a RawValue>,
}

fn read_event(index: usize, raw: &str, context: &mut Context<'_>) -> Result<Event, Rejection> {
    frame::check_shape(index, raw, context.limits)?;
    let reject = |code, message: &str| Rejection { index, code, message: message.into() };
    let raw: RawEvent<'_> = serde_json::from_str(raw).map_err(|error| {
        let text = reason(&error);
        let code = if text.starts_with("duplicate field") { "duplicate_field" } else { "bad_json" };
        Rejection { index, code, message: text }
    })?;
    let kind = match raw.kind.map(|kind| serde_json::from_str::<Cow<'_, str>>(kind.get())) {
        None => return Err(reject("missing_kind", "an event needs a kind")),
        Some(Ok(kind)) => kind.parse::<Kind>().map_err(|error| reject("bad_kind", &error.to_string()))?,
        Some(Err(_)) => return Err(reject("bad_kind", "the kind is not a text")),
    };
    let id = read_id(index, raw.id, context)?;
    let mut event = Event::new(id, context.received, kind, raw.name.0);
    if event.name.is_empty() {
        event.name = event.kind.to_string();
    }
    if let Some(attributes) = raw.attributes {
        event.attributes = read_attributes(attributes).map_err(|message| Rejection { index, code: "bad_attributes", message })?;
    }
    set_time(&mut event, time::read(raw.time));
    event.seq = raw.seq.and_then(|seq| serde_json::from_str(seq.get()).ok());
    event.value = match raw.value.map(RawValue::get) {
        None | Some("null") => None,
        Some(value) => {
            let value = serde_json::from_str::<f64>(value).ok().filter(|value| value.is_finite());
            Some(value.ok_or_else(|| reject("bad_value", "the value is not a finite number"))?)
        }
    };
    event.weight = match raw.weight.map(RawValue::get) {
        None | Some("null") => 1.0,
        Some(weight) => {
            let weight = serde_json::from_str::<f64>(weight).ok().filter(|weight| (1.0..=f64::from(MAX_WEIGHT)).contains(weight));
            #[allow(clippy::cast_possible_truncation, reason = "in range; seven digits are enough for an estimate")]
            weight.map(|weight| weight as f32).ok_or_else(|| reject("bad_weight", "the weight is not a number from 1 to 1000000000"))?
        }
    };
    event.data = match raw.data.map(RawValue::get) {
        None | Some("null") => empty_object(),
        Some(data) if data.starts_with('{') => raw.data.map_or_else(empty_object, ToOwned::to_owned),
        Some(_) => return Err(reject("bad_data", "data is not a JSON object")),
    };
    limit_texts(&mut event);
    Ok(event)
}

pub(super) fn read_id(index: usize, raw: Option<&RawValue>, context: &mut Context<'_>) -> Result<EventId, Rejection> {
    let Some(raw) = raw.map(RawValue::get) else { return Ok((context.new_id)()) };
    if raw.len() > longest::ID {
        return Err(Rejection {
            index,
            code: "bad_id",
            message: format!("the id has {} bytes, 128 bits as hex digits are expected", raw.len()),
        });
    }
    // An id that is no id is replaced: losing the event would be worse than not recognising its copy.
    Ok(raw.trim_matches('"').parse().unwrap_or_else(|_| (context.new_id)()))
}

fn read_attributes(raw: &RawValue) -> Result<Attributes, String> {
    if raw.get() == "null" {
        return Ok(Attributes::new());
    }
    let read: Tags = serde_json::from_str(raw.get()).map_err(|error| reason(&error))?;
    if read.found > MAX_ATTRIBUTES {
        return Err(format!("{} attributes are more than the {MAX_ATTRIBUTES} allowed", read.found));
    }
    if read.kept.keys().any(|key| key.is_empty() || key.len() > longest::KEY) {
        return Err(format!("an attribute's key is empty or longer than {} bytes", longest::KEY));
    }
    Ok(read.kept.into_iter().map(|(key, Text(value))| (key.into(), value)).collect())
}

/// Sets the event's time; one that cannot be read becomes the time of arrival, and what the client said is kept.
pub(super) fn set_time(event: &mut Event, time: ClientTime) {
    match time {
        ClientTime::Absent => (),
        ClientTime::Millis(millis) => event.time = millis,
        ClientTime::Unreadable(text) => {
            event.attributes.insert(attribute::CLOCK.into(), "clamped".into());
            event.attributes.insert(attribute::ORIGINAL_TIME.into(), text);
        }
    }
}

/// Cuts what is too long for a column and names it.
pub(super) fn limit_texts(event: &mut Event) {
    let mut cut = Vec::new();
    if text::truncate(&mut event.name, longest::NAME) {
        cut.push("name");
    }
    for (key, value) in &mut event.attributes {
        if text::truncate(value, longest::ATTRIBUTE) {
            cut.push(key);
        }
    }
    if !cut.is_empty() {
        let cut = cut.join(",");
        event.attributes.insert(attribute::TRUNCATED.into(), cut);
    }
}
