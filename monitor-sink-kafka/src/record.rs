//! Events to messages and back: one event is one JSON object, as `docs/topics.md` describes it.
//!
//! Both directions are exact: what [`decode`] gives is what [`encode`] was given, but for what no reader of a topic needs (the
//! sender's own clock, the split of the SDK's label). Others may write to the topics as well, so a payload is not trusted.

use std::{borrow::Cow, fmt, io::Write, net::IpAddr};

use monitor_core::{Agent, Attributes, Event, EventId, Kind, MAX_WEIGHT, Origin, attribute};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// Version of the message's form, in its header `schema`. It changes only when a reader of the old form would misread the new one.
pub(crate) const SCHEMA: &str = "1";

/// Longest texts, bytes. A receiver cuts texts to an eighth of it or less; scrubbing may lengthen them again.
mod longest {
    /// Names, words and keys.
    pub(super) const WORD: usize = 4 * 1024;
    /// URLs, titles and the values of attributes and tags.
    pub(super) const TEXT: usize = 32 * 1024;
    /// Anything longer is not an id with extra dashes but abuse.
    pub(super) const ID: usize = 128;
    /// What is kept of a parser's complaint: it quotes what it found.
    pub(super) const REASON: usize = 500;
}

/// Most attributes of an event, and most tags.
const MAX_ATTRIBUTES: usize = 256;

/// Deepest nesting of `data`: parsers that read it later give up at 128 levels.
const MAX_DEPTH: usize = 126;

/// Why a payload is no event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Not JSON, a field is missing, or it has another type.
    #[error("the message is not an event: {0}")]
    Json(String),
    /// A field has a value that it cannot have.
    #[error("the field `{field}` {problem}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// What the messages of one request share, encoded once.
#[derive(Default)]
pub(crate) struct Shared(Vec<u8>);

impl Shared {
    /// Replaces it by the part of that origin.
    pub(crate) fn set(&mut self, origin: &Origin) {
        self.0.clear();
        encode_origin(origin, &mut self.0);
    }
}

/// Appends the message of an event.
pub(crate) fn encode(origin: &Origin, event: &Event, out: &mut Vec<u8>) {
    let mut shared = Shared::default();
    shared.set(origin);
    encode_with(origin, &shared, event, out);
}

/// Appends the message of an event; `shared` is the part of its origin.
pub(crate) fn encode_with(origin: &Origin, shared: &Shared, event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":\"");
    push_id(event.id, out);
    out.extend_from_slice(b"\",\"time\":");
    push(event.time, out);
    out.extend_from_slice(b",\"received\":");
    push(origin.received, out);
    out.extend_from_slice(b",\"kind\":");
    push(event.kind.as_str(), out);
    out.extend_from_slice(b",\"name\":");
    push(event.name.as_str(), out);
    out.extend_from_slice(b",\"project\":");
    push(origin.project.as_str(), out);
    if let Some(seq) = event.seq {
        out.extend_from_slice(b",\"seq\":");
        push(seq, out);
    }
    // An enricher of the host may have divided by nothing: JSON has no word for that.
    if let Some(value) = event.value.filter(|value| value.is_finite()) {
        out.extend_from_slice(b",\"value\":");
        push(value, out);
    }
    let weight = event.weight.clamp(1.0, MAX_WEIGHT);
    if weight > 1.0 {
        out.extend_from_slice(b",\"weight\":");
        push(weight, out);
    }
    let mut others = false;
    for (key, value) in &event.attributes {
        match Promoted::of(key, value) {
            Some((field, Promoted::Text)) => {
                out.extend_from_slice(field);
                push(value.as_str(), out);
            }
            Some((field, Promoted::Number)) => {
                out.extend_from_slice(field);
                out.extend_from_slice(value.as_bytes());
            }
            None => others = true,
        }
    }
    out.extend_from_slice(&shared.0);
    if others {
        let others = event.attributes.iter().filter(|(key, value)| Promoted::of(key, value).is_none());
        push_map(b",\"attributes\":{", others, out);
    }
    let data = event.data.get();
    if data != "{}" {
        out.extend_from_slice(b",\"data\":");
        push_line(data.as_bytes(), out);
    }
    out.push(b'}');
}

/// Appends the fields of an origin, each with a comma before it.
fn encode_origin(origin: &Origin, out: &mut Vec<u8>) {
    macro_rules! texts {
        ($($field:literal: $value:expr,)*) => {$(
            if !$value.is_empty() {
                out.extend_from_slice(concat!(",\"", $field, "\":").as_bytes());
                push($value.as_str(), out);
            }
        )*};
    }
    if origin.attempt != 1 {
        out.extend_from_slice(b",\"attempt\":");
        push(origin.attempt, out);
    }
    texts! {
        "release": origin.release,
        "environment": origin.environment,
        "sdk": origin.sdk_label(),
        "page": origin.page.id,
        "url": origin.page.url,
        "route": origin.page.route,
        "referrer": origin.page.referrer,
        "title": origin.page.title,
        "session": origin.session,
        "visitor": origin.visitor,
        "user": origin.user,
        "browser": origin.browser.name,
        "browser_version": origin.browser.version,
        "os": origin.os.name,
        "os_version": origin.os.version,
        "device": origin.device.kind,
        "screen": origin.device.screen,
        "viewport": origin.device.viewport,
        "language": origin.device.language,
        "connection": origin.device.connection,
        "timezone": origin.device.timezone,
        "country": origin.country,
        "user_agent": origin.user_agent,
    }
    if let Some(ip) = origin.ip {
        out.extend_from_slice(b",\"ip\":\"");
        // Writing to a vector cannot fail.
        let _ = write!(out, "{ip}");
        out.push(b'"');
    }
    if !origin.tags.is_empty() {
        push_map(b",\"tags\":{", origin.tags.iter(), out);
    }
}

/// How an attribute with a field of its own is written there.
enum Promoted {
    Text,
    Number,
}

impl Promoted {
    /// The field of an attribute, with a comma before it. `None`: it has none, or the field would not tell the attribute from a
    /// missing one, and it stays among the attributes.
    fn of(key: &str, value: &str) -> Option<(&'static [u8], Promoted)> {
        let field: &[u8] = match key {
            attribute::FINGERPRINT => b",\"fingerprint\":",
            attribute::MESSAGE => b",\"message\":",
            attribute::METHOD => b",\"method\":",
            attribute::TARGET => b",\"target\":",
            attribute::FAILURE => b",\"failure\":",
            attribute::RATING => b",\"rating\":",
            // `0` says that there was no answer; as a number it would say that nothing is known.
            attribute::STATUS if value.starts_with(|first| matches!(first, '1'..='9')) && value.parse::<u16>().is_ok() => {
                return Some((b",\"status\":", Promoted::Number));
            }
            _ => return None,
        };
        (!value.is_empty()).then_some((field, Promoted::Text))
    }
}

/// Appends a text or number as JSON.
fn push(value: impl serde::Serialize, out: &mut Vec<u8>) {
    // Writing text and finite numbers to a vector cannot fail.
    let _ = serde_json::to_writer(out, &value);
}

fn push_map<'a>(open: &[u8], entries: impl Iterator<Item = (&'a Cow<'static, str>, &'a String)>, out: &mut Vec<u8>) {
    out.extend_from_slice(open);
    for (n, (key, value)) in entries.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        push(&**key, out);
        out.push(b':');
        push(value.as_str(), out);
    }
    out.push(b'}');
}

/// Appends JSON text on one line, for tools that know messages by their lines. Outside of strings a line break is only space, and
/// inside of them there is none.
fn push_line(json: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(json);
    // Without an early end it is done 16 bytes at a time.
    let breaks = json.iter().fold(false, |found, byte| found | matches!(byte, b'\n' | b'\r'));
    if breaks {
        for byte in out.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
    }
}

/// Appends an id as a UUID.
pub(crate) fn push_id(id: EventId, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble & 15)).copied().unwrap_or_default();
    for (n, byte) in id.0.to_be_bytes().into_iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[digit(byte >> 4), digit(byte)]);
    }
}

macro_rules! message {
    ($($field:ident: $type:ty,)*) => {
        /// A message as it is read: texts are still parts of the payload.
        #[derive(Default)]
        struct Message<'a> {
            $($field: $type,)*
        }

        #[allow(non_camel_case_types, reason = "named as the fields are")]
        #[derive(Clone, Copy)]
        enum Field {
            $($field,)*
        }

        /// In the order in which they are written.
        const FIELDS: &[(&str, Field)] = &[$((stringify!($field), Field::$field),)*];

        impl<'a> Message<'a> {
            fn set<M: de::MapAccess<'a>>(&mut self, field: Field, map: &mut M) -> Result<(), M::Error> {
                match field {
                    $(Field::$field => self.$field = map.next_value()?,)*
                }
                Ok(())
            }
        }
    };
}

message! {
    id: Text<'a>,
    time: Option<i64>,
    received: Option<i64>,
    kind: Text<'a>,
    name: Option<Text<'a>>,
    project: Text<'a>,
    seq: Option<u32>,
    value: Option<&'a RawValue>,
    weight: Option<&'a RawValue>,
    failure: Text<'a>,
    fingerprint: Text<'a>,
    message: Text<'a>,
    method: Text<'a>,
    rating: Text<'a>,
    status: Option<u16>,
    target: Text<'a>,
    attempt: Option<u32>,
    release: Text<'a>,
    environment: Text<'a>,
    sdk: Text<'a>,
    page: Text<'a>,
    url: Text<'a>,
    route: Text<'a>,
    referrer: Text<'a>,
    title: Text<'a>,
    session: Text<'a>,
    visitor: Text<'a>,
    user: Text<'a>,
    browser: Text<'a>,
    browser_version: Text<'a>,
    os: Text<'a>,
    os_version: Text<'a>,
    device: Text<'a>,
    screen: Text<'a>,
    viewport: Text<'a>,
    language: Text<'a>,
    connection: Text<'a>,
    timezone: Text<'a>,
    country: Text<'a>,
    user_agent: Text<'a>,
    ip: Text<'a>,
    tags: Option<Attributes>,
    attributes: Option<Attributes>,
    data: Option<&'a RawValue>,
}

impl Field {
    /// Whether it describes the origin: these are written one behind the other.
    fn is_of_origin(self) -> bool {
        (Field::attempt as u64..=Field::tags as u64).contains(&(self as u64))
    }
}

/// Reads members into a message: those of one object, or of several that were one.
struct Members<'m, 'a> {
    message: &'m mut Message<'a>,
    /// A bit for each field that was there.
    seen: u64,
    /// The field after the last one.
    next: usize,
    /// `None`: those of the origin are not expected.
    origin: Option<Part>,
}

impl<'a> Members<'_, 'a> {
    fn read(&mut self, json: &'a str) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        deserializer.deserialize_map(&mut *self)?;
        deserializer.end()
    }
}

impl<'de> de::Visitor<'de> for &mut Members<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some((found, address)) = map.next_key_seed(Key(&mut self.next))? {
            let of_origin = found.is_some_and(|(_, field)| field.is_of_origin());
            match &mut self.origin {
                Some(part) => part.meet(of_origin, address),
                None if of_origin => return Err(de::Error::custom("a field of the origin is not in its place")),
                None => {}
            }
            let Some((name, field)) = found else {
                // Of a newer version.
                map.next_value::<de::IgnoredAny>()?;
                continue;
            };
            let bit = 1 << field as u64;
            if self.seen & bit != 0 {
                return Err(de::Error::duplicate_field(name));
            }
            self.seen |= bit;
            self.message.set(field, &mut map)?;
        }
        Ok(())
    }
}

/// Where in a payload the origin's members are.
#[derive(Default)]
struct Part {
    /// The address of the payload.
    base: usize,
    /// From the comma before the first one to that behind the last one.
    start: Option<usize>,
    end: Option<usize>,
    /// They are not in one piece.
    torn: bool,
}

impl Part {
    fn meet(&mut self, of_origin: bool, address: Option<usize>) {
        if of_origin == (self.start.is_some() && self.end.is_none()) {
            return;
        }
        if of_origin && self.start.is_some() {
            self.torn = true;
        } else if of_origin || self.start.is_some() {
            // Between the comma and the key is its quote. A key with escapes has no address.
            let comma = address.and_then(|address| address.checked_sub(self.base + 2));
            self.torn |= comma.is_none();
            let edge = if of_origin { &mut self.start } else { &mut self.end };
            *edge = comma;
        }
    }

    /// The members, each with a comma before it; `None` when that is not sure.
    fn of<'p>(&self, payload: &'p str) -> Option<&'p str> {
        let end = self.end.unwrap_or(payload.len().saturating_sub(1));
        let part = payload.get(self.start?..end)?;
        let behind = payload.get(end..)?;
        (!self.torn && part.starts_with(",\"") && (behind.starts_with(",\"") || behind == "}")).then_some(part)
    }
}

/// Reads a key, and begins to compare where the field after the last one is: in our own messages it is among the next few, and
/// forty comparisons for each of forty fields would take longer than all the rest.
struct Key<'n>(&'n mut usize);

/// The field of a key, if it is known, and the key's address, if it is a part of the payload.
type Found = (Option<(&'static str, Field)>, Option<usize>);

impl<'de> de::DeserializeSeed<'de> for Key<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> de::Visitor<'de> for Key<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Found, E> {
        Ok((self.find(key), Some(key.as_ptr().addr())))
    }

    fn visit_str<E>(self, key: &str) -> Result<Found, E> {
        Ok((self.find(key), None))
    }
}

impl Key<'_> {
    fn find(self, key: &str) -> Option<(&'static str, Field)> {
        let (before, after) = FIELDS.split_at_checked(*self.0).unwrap_or((&[], FIELDS));
        let steps = after.iter().chain(before).position(|(name, _)| *name == key)?;
        let at = (*self.0 + steps) % FIELDS.len();
        *self.0 = at + 1;
        FIELDS.get(at).copied()
    }
}

/// A text of the payload, `""` for null.
#[derive(Default)]
struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    fn take(&mut self) -> String {
        std::mem::take(&mut self.0).into_owned()
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Reads a message.
pub(crate) fn decode(payload: &[u8]) -> Result<(Origin, Event), DecodeError> {
    let payload = utf8(payload)?;
    let mut message = Message::default();
    // Where they are is of no interest here.
    let origin = Some(Part::default());
    let mut members = Members { message: &mut message, seen: 0, next: 0, origin };
    members.read(payload).map_err(|error| DecodeError::Json(reason(&error)))?;
    let event = message.event()?;
    Ok((message.origin()?, event))
}

/// Reads messages one after the other. Those of one request follow each other and have most of their bytes in common, so that it pays
/// to read the origin only once.
#[derive(Default)]
pub(crate) struct Reader {
    /// The members of the last origin as they are in its messages, each with a comma before it; empty when that is not known.
    part: String,
    /// What belongs to the origin and is elsewhere.
    project: String,
    received: i64,
    /// The rest of a message.
    rest: String,
}

impl Reader {
    /// Reads a message. Without an origin: it is the one that was given last.
    pub(crate) fn read(&mut self, payload: &[u8]) -> Result<(Option<Origin>, Event), DecodeError> {
        let payload = utf8(payload)?;
        if let Some(event) = self.read_rest(payload) {
            return Ok((None, event));
        }
        let mut message = Message::default();
        let origin = Part { base: payload.as_ptr().addr(), ..Part::default() };
        let mut members = Members { message: &mut message, seen: 0, next: 0, origin: Some(origin) };
        members.read(payload).map_err(|error| DecodeError::Json(reason(&error)))?;
        let part = members.origin.and_then(|part| part.of(payload)).unwrap_or_default();
        let event = message.event()?;
        let origin = message.origin()?;
        part.clone_into(&mut self.part);
        origin.project.clone_into(&mut self.project);
        self.received = origin.received;
        Ok((Some(origin), event))
    }

    /// Reads a message that has the same origin in the same bytes. `None`: it has not, or something is wrong with it.
    ///
    /// The bytes alone would not prove it, for they could be a part of `data`. They are the origin's members when what is before them is an
    /// object once it is closed, and what is behind them one once it is opened.
    fn read_rest(&mut self, payload: &str) -> Option<Event> {
        if self.part.is_empty() {
            return None;
        }
        let commas = payload.bytes().enumerate().filter(|(_, byte)| *byte == b',').map(|(at, _)| at);
        let at = commas.into_iter().find(|at| payload.as_bytes().get(*at..).is_some_and(|from| from.starts_with(self.part.as_bytes())))?;
        let (before, behind) = (payload.get(..at)?, payload.get(at + self.part.len()..)?);
        // No comma may be left over: neither the part's own, before which there must be a member, nor one without a member behind it.
        let behind = if behind == "}" { "}" } else { behind.strip_prefix(',').filter(|behind| behind.starts_with('"'))? };
        if !before.starts_with("{\"") {
            return None;
        }
        self.rest.clear();
        self.rest.extend([before, "}{", behind]);
        let (before, behind) = self.rest.split_at_checked(at + 1)?;
        let mut message = Message::default();
        let mut members = Members { message: &mut message, seen: 0, next: 0, origin: None };
        members.read(before).and_then(|()| members.read(behind)).ok()?;
        if message.project.0 != self.project || message.received != Some(self.received) {
            return None;
        }
        message.event().ok()
    }
}

/// Checked as a whole, which is faster than text by text.
fn utf8(payload: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(payload).map_err(|_| DecodeError::Json("it is not UTF-8".into()))
}

impl Message<'_> {
    /// Takes what belongs to the origin.
    fn origin(&mut self) -> Result<Origin, DecodeError> {
        macro_rules! check {
            ($($field:ident: $max:ident,)*) => {$(
                check_length(stringify!($field), &self.$field.0, longest::$max)?;
            )*};
        }
        check! {
            release: WORD, environment: WORD, sdk: WORD, page: WORD, url: TEXT, route: TEXT, referrer: TEXT, title: TEXT, session: WORD,
            visitor: WORD, user: WORD, browser: WORD, browser_version: WORD, os: WORD, os_version: WORD, device: WORD, screen: WORD,
            viewport: WORD, language: WORD, connection: WORD, timezone: WORD, country: WORD, user_agent: TEXT,
        }
        let received = self.received.ok_or_else(missing)?;
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=64).contains(&self.project.0.len()) || !self.project.0.bytes().all(word) {
            return Err(bad("project", "is not 1 to 64 characters of a-z, A-Z, 0-9, _ and -"));
        }
        let mut origin = Origin::new(self.project.take(), received);
        origin.attempt = self.attempt.unwrap_or(1);
        origin.release = self.release.take();
        origin.environment = self.environment.take();
        origin.sdk = match self.sdk.0.rsplit_once('/') {
            // The name of an npm package has a slash as well; a version has none.
            Some((name, version)) => Agent::new(name, version),
            None => Agent::new(self.sdk.take(), ""),
        };
        origin.page.id = self.page.take();
        origin.page.url = self.url.take();
        origin.page.route = self.route.take();
        origin.page.referrer = self.referrer.take();
        origin.page.title = self.title.take();
        origin.session = self.session.take();
        origin.visitor = self.visitor.take();
        origin.user = self.user.take();
        origin.browser = Agent::new(self.browser.take(), self.browser_version.take());
        origin.os = Agent::new(self.os.take(), self.os_version.take());
        origin.device.kind = self.device.take();
        origin.device.screen = self.screen.take();
        origin.device.viewport = self.viewport.take();
        origin.device.language = self.language.take();
        origin.device.connection = self.connection.take();
        origin.device.timezone = self.timezone.take();
        origin.country = self.country.take();
        origin.user_agent = self.user_agent.take();
        origin.ip = match &*self.ip.0 {
            "" => None,
            ip => Some(ip.parse::<IpAddr>().map_err(|_| bad("ip", "is not an IP address"))?),
        };
        origin.tags = limited("tags", self.tags.take())?;
        Ok(origin)
    }

    /// Takes what belongs to the event alone.
    fn event(&mut self) -> Result<Event, DecodeError> {
        let mut attributes = limited("attributes", self.attributes.take())?;
        for (key, value, max) in [
            (attribute::FINGERPRINT, &mut self.fingerprint, longest::WORD),
            (attribute::MESSAGE, &mut self.message, longest::TEXT),
            (attribute::METHOD, &mut self.method, longest::WORD),
            (attribute::TARGET, &mut self.target, longest::TEXT),
            (attribute::FAILURE, &mut self.failure, longest::WORD),
            (attribute::RATING, &mut self.rating, longest::WORD),
        ] {
            if !value.0.is_empty() {
                check_length(key, &value.0, max)?;
                attributes.insert(key.into(), value.take());
            }
        }
        if let Some(status) = self.status.filter(|status| *status != 0) {
            attributes.insert(attribute::STATUS.into(), status.to_string());
        }
        let time = self.time.ok_or_else(missing)?;
        let mut name = self.name.take().ok_or_else(missing)?;
        check_length("name", &name.0, longest::WORD)?;
        let id = Some(&*self.id.0).filter(|id| id.len() <= longest::ID).and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| bad("id", "is not 32 hex digits"))?;
        let kind = self.kind.0.parse::<Kind>().map_err(|error| bad("kind", format!("is {error}")))?;
        let mut event = Event::new(id, time, kind, name.take());
        event.seq = self.seq;
        event.value = match self.value {
            None => None,
            // Parsed by the standard library: to the last digit, and not only to the last but one.
            Some(text) => match text.get().parse::<f64>() {
                Ok(value) if value.is_finite() => Some(value),
                _ => return Err(bad("value", "is not a finite number")),
            },
        };
        if let Some(text) = self.weight {
            event.weight = match text.get().parse::<f32>() {
                Ok(weight) if (1.0..=MAX_WEIGHT).contains(&weight) => weight,
                _ => return Err(bad("weight", "is not a number from 1 to 1000000000")),
            };
        }
        event.attributes = attributes;
        if let Some(data) = self.data {
            check_data(data.get())?;
            event.data = data.to_owned();
        }
        Ok(event)
    }
}

fn missing() -> DecodeError {
    DecodeError::Json("one of time, received and name is missing".into())
}

fn bad(field: &'static str, problem: impl Into<String>) -> DecodeError {
    DecodeError::Field { field, problem: problem.into() }
}

fn check_length(field: &'static str, text: &str, max: usize) -> Result<(), DecodeError> {
    if text.len() > max { Err(bad(field, format!("has {} bytes, {max} are allowed", text.len()))) } else { Ok(()) }
}

fn limited(field: &'static str, map: Option<Attributes>) -> Result<Attributes, DecodeError> {
    let map = map.unwrap_or_default();
    if map.len() > MAX_ATTRIBUTES {
        return Err(bad(field, format!("has {} entries, {MAX_ATTRIBUTES} are allowed", map.len())));
    }
    for (key, value) in &map {
        check_length(field, key, longest::WORD)?;
        check_length(field, value, longest::TEXT)?;
    }
    Ok(map)
}

/// Refuses `data` that those who read it later could not parse: too deeply nested, or with half of a surrogate pair. A parser would
/// say the same, but refuse numbers as well that are only too large for a float.
fn check_data(json: &str) -> Result<(), DecodeError> {
    if !json.starts_with('{') {
        return Err(bad("data", "is not an object"));
    }
    // In pieces whose count fits into a byte, many bytes are compared at once; a sum that is checked for overflow would be worked out
    // one by one.
    let is_open = |byte: &u8| u8::from(matches!(byte, b'{' | b'['));
    let in_piece = |piece: &[u8]| usize::from(piece.iter().fold(0u8, |sum, byte| sum.wrapping_add(is_open(byte))));
    let brackets: usize = json.as_bytes().chunks(128).map(in_piece).sum();
    if brackets <= MAX_DEPTH && (!json.as_bytes().contains(&b'\\') || !json.contains("\\u")) {
        return Ok(());
    }
    let (mut depth, mut in_text, mut high) = (0usize, false, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        let escape = if in_text && byte == b'\\' { bytes.next() } else { None };
        let unit = match escape {
            Some(b'u') => bytes.by_ref().take(4).fold(0, |unit, digit| unit << 4 | char::from(digit).to_digit(16).unwrap_or(0)),
            _ => 0,
        };
        // The second half follows the first and nothing else, and nothing else follows the first.
        if high != matches!(unit, 0xdc00..=0xdfff) {
            return Err(bad("data", "has half of a surrogate pair"));
        }
        high = matches!(unit, 0xd800..=0xdbff);
        match byte {
            _ if escape.is_some() => (),
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => (),
        }
        if depth > MAX_DEPTH {
            return Err(bad("data", format!("is nested deeper than {MAX_DEPTH} levels")));
        }
    }
    Ok(())
}

/// What a parser complains about, for people.
fn reason(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(longest::REASON));
    text
}

#[cfg(test)]
mod tests {
    use monitor_core::PROMOTED;

    use super::*;

    /// Everything that a message can hold, with texts that JSON has to escape.
    fn full() -> (Origin, Event) {
        let mut origin = Origin::new("shop-1_A", 1_732_096_800_600);
        origin.attempt = 3;
        origin.sdk = Agent::new("@acme/monitor", "0.1.0-rc.1");
        origin.page.id = "0193480e7c1b7cc2".into();
        origin.page.url = "https://shop.example/cart?q=\"a\\b\"".into();
        origin.page.route = "/cart".into();
        origin.page.referrer = "https://search.example/".into();
        origin.page.title = "Cart \u{1f600} \u{7f}\u{1}\t\n".into();
        origin.session = "s".into();
        origin.visitor = "v".into();
        origin.user = "42".into();
        origin.release = "1.4.0".into();
        origin.environment = "production".into();
        origin.device.kind = "desktop".into();
        origin.device.screen = "1920x1080".into();
        origin.device.viewport = "1280x720".into();
        origin.device.language = "en-GB".into();
        origin.device.connection = "4g".into();
        origin.device.timezone = "Europe/Paris".into();
        origin.browser = Agent::new("Chrome", "156.0");
        origin.os = Agent::new("Linux", "6.1");
        origin.country = "FR".into();
        origin.ip = Some("2001:db8::1".parse().unwrap());
        origin.user_agent = "Mozilla/5.0 (X11)".into();
        origin.tags = Attributes::from_iter([("tenant".into(), "acme".into()), ("".into(), "é".into())]);
        let mut event = Event::new(EventId(0x0193_480e_7c1b_7cc2_a5d2_c0a1_f1e2_d3c4), 1_732_096_800_123, Kind::Request, "GET \u{fffd}");
        event.seq = Some(0);
        event.value = Some(0.1 + 0.2);
        event.weight = 2.5;
        event.attributes = PROMOTED.iter().map(|key| ((*key).into(), format!("\"{key}\""))).collect();
        event.attributes.insert(attribute::STATUS.into(), "404".into());
        event.attributes.insert("plan".into(), "pro".into());
        event.data = json(r#"{"a":[1,{"b":"\u00e9\\"}],"n":1e400}"#);
        (origin, event)
    }

    fn json(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.into()).unwrap()
    }

    fn text_of(origin: &Origin, event: &Event) -> String {
        let mut out = b"before".to_vec();
        encode(origin, event, &mut out);
        String::from_utf8(out.split_off(6)).unwrap()
    }

    fn as_json(origin: &Origin, event: &Event) -> (String, String) {
        (serde_json::to_string(origin).unwrap(), serde_json::to_string(event).unwrap())
    }

    #[track_caller]
    fn survives(origin: &Origin, event: &Event) {
        let text = text_of(origin, event);
        let (read_origin, read_event) = decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(as_json(&read_origin, &read_event), as_json(origin, event), "{text}");
        assert_eq!(read_event.value.map(f64::to_bits), event.value.map(f64::to_bits));
        assert_eq!(read_event.weight.to_bits(), event.weight.to_bits());
    }

    fn small() -> (Origin, Event) {
        (Origin::new("shop", 2), Event::new(EventId(1), 1, Kind::Track, ""))
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let (origin, event) = small();
        assert_eq!(
            text_of(&origin, &event),
            r#"{"id":"00000000-0000-0000-0000-000000000001","time":1,"received":2,"kind":"track","name":"","project":"shop"}"#
        );
        survives(&origin, &event);
    }

    #[test]
    fn every_field_survives() {
        let (origin, event) = full();
        survives(&origin, &event);
        for key in event.attributes.keys() {
            let mut event = event.clone();
            event.attributes.remove(key);
            survives(&origin, &event);
        }
    }

    #[test]
    fn edges_survive() {
        let (mut origin, mut event) = small();
        for value in [None, Some(0.0), Some(-0.0), Some(f64::MIN_POSITIVE), Some(f64::MAX), Some(5e-324), Some(2311.2), Some(1e21)] {
            event.value = value;
            survives(&origin, &event);
        }
        event.value = None;
        for weight in [1.0, 1.0 + f32::EPSILON, 3.333_333_3, MAX_WEIGHT] {
            event.weight = weight;
            survives(&origin, &event);
        }
        event.weight = 1.0;
        for (seq, id, time) in [(None, 0, 0), (Some(0), u128::MAX, i64::MIN), (Some(u32::MAX), 1 << 127, i64::MAX)] {
            (event.seq, event.id, event.time, origin.received) = (seq, EventId(id), time, time);
            survives(&origin, &event);
        }
        for kind in Kind::KNOWN.iter().cloned().chain([Kind::Other("web-rtc_2".into())]) {
            event.kind = kind;
            survives(&origin, &event);
        }
        // Those that a field would not tell from a missing one.
        for status in ["0", "", "007", "+5", "404", "65535", "65536", "none"] {
            event.attributes = Attributes::from_iter([(attribute::STATUS.into(), status.to_owned())]);
            survives(&origin, &event);
        }
        for key in PROMOTED {
            event.attributes = Attributes::from_iter([((*key).into(), String::new())]);
            survives(&origin, &event);
        }
        for sdk in [Agent::new("a", "1"), Agent::new("@a/b", "1"), Agent::new("a", ""), Agent::new("", "1")] {
            origin.sdk = sdk;
            survives(&origin, &event);
        }
        for ip in ["0.0.0.0", "::", "::ffff:192.0.2.1"] {
            origin.ip = Some(ip.parse().unwrap());
            survives(&origin, &event);
        }
    }

    #[test]
    fn a_message_is_one_line_of_json_whatever_the_data_looks_like() {
        let (origin, mut event) = full();
        event.data = json("{\r\n\t\"a\": [1,\n2]\n}");
        let text = text_of(&origin, &event);
        assert!(!text.contains(['\n', '\r']), "{text}");
        let (_, read) = decode(text.as_bytes()).unwrap();
        let value = |data: &RawValue| serde_json::from_str::<serde_json::Value>(data.get()).unwrap();
        assert_eq!(value(&read.data), value(&event.data));
    }

    #[test]
    fn numbers_that_json_cannot_hold_are_left_out() {
        let (origin, mut event) = small();
        for (value, weight) in [(f64::NAN, f32::NAN), (f64::INFINITY, 0.0), (f64::NEG_INFINITY, -1.0)] {
            (event.value, event.weight) = (Some(value), weight);
            let (_, read) = decode(text_of(&origin, &event).as_bytes()).unwrap();
            assert_eq!((read.value, read.weight), (None, 1.0));
        }
        event.weight = f32::INFINITY;
        assert!(text_of(&origin, &event).contains(r#""weight":1000000000.0"#));
    }

    const LEAST: &str = r#""id":"00000000000000000000000000000001","time":1,"received":2,"kind":"x","name":"n","project":"shop""#;

    fn read(more: &str) -> Result<(Origin, Event), String> {
        decode(format!("{{{LEAST}{more}}}").as_bytes()).map_err(|error| error.to_string())
    }

    /// What a reader of all of them gives, each with its origin.
    fn read_in_a_row(payloads: &[&str]) -> Vec<Result<(Origin, Event), String>> {
        let (mut reader, mut last) = (Reader::default(), None);
        let mut read = |payload: &&str| {
            let (origin, event) = reader.read(payload.as_bytes()).map_err(|error| error.to_string())?;
            last = origin.or(last.take());
            Ok((last.clone().unwrap(), event))
        };
        payloads.iter().map(&mut read).collect()
    }

    #[test]
    fn a_reader_of_many_reads_what_a_reader_of_one_does() {
        let (origin, event) = full();
        let mut reader = Reader::default();
        let mut is_shared = |origin: &Origin, event: &Event| reader.read(text_of(origin, event).as_bytes()).unwrap().0.is_none();
        assert!(!is_shared(&origin, &event));
        let mut other = event.clone();
        (other.id, other.name, other.value, other.data) = (EventId(2), "other, \"x\"".into(), None, json("{}"));
        assert!(is_shared(&origin, &other));
        other.attributes.clear();
        assert!(is_shared(&origin, &other));
        for change in [
            |origin: &mut Origin| origin.received += 1,
            |origin: &mut Origin| origin.attempt = 2,
            |origin: &mut Origin| origin.project = "bank".into(),
            |origin: &mut Origin| origin.user.push('x'),
            |origin: &mut Origin| origin.tags.clear(),
        ] {
            let mut changed = origin.clone();
            change(&mut changed);
            assert!(!is_shared(&changed, &event) && is_shared(&changed, &other) && !is_shared(&origin, &event));
        }
        assert!(!is_shared(&small().0, &small().1) && !is_shared(&small().0, &small().1), "there is nothing to recognise");
    }

    #[test]
    fn only_what_is_in_its_place_is_taken_for_the_origin() {
        let part = r#","release":"1","page":"p","session":"s""#;
        let first = format!("{{{LEAST}{part},\"attributes\":{{\"a\":\"b\"}}}}");
        let second = LEAST.replace("01\"", "02\"");
        for (message, shared) in [
            (format!("{{{second}{part}}}"), true),
            (format!("{{{second}{part},\"data\":{{\"x\":[1,2]}}}}"), true),
            (format!("{{{second}{part},\"later\":1}}"), true),
            (format!("{{{second},\"data\":{{\"x\":1{part}}}}}"), false),
            (format!("{{{second},\"data\":{{\"x\":1{part}}}{part}}}"), false),
            (format!("{{{second},\"data\":{{\"x\":1{part},\"y\":1}}}}"), false),
            (format!("{{{second},\"later\":[{{\"x\":1{part}}}]}}"), false),
            (format!("{{{second}{part},\"user\":\"u\"}}"), false),
            (format!("{{{second},\"os\":\"o\"{part}}}"), false),
            (format!("{{{second}{part} , \"data\":{{}}}}"), false),
            (format!("{{{second}{part}}}\n"), false),
            (format!("{{{second}{part}{part}}}"), false),
            (format!("{{{second}{part},}}"), false),
            (format!("{{{second}{part},\"id\":\"00000000000000000000000000000003\"}}"), false),
            (format!("{{ {part},{second}}}"), false),
            (format!("{{{}}}", part.trim_start_matches(',')), false),
            (format!("{{{second}{part},\"data\":[1]}}"), false),
            (format!("{{{second}{}", part), false),
        ] {
            let mut reader = Reader::default();
            assert!(reader.read(first.as_bytes()).unwrap().0.is_some());
            assert_eq!(reader.read(message.as_bytes()).is_ok_and(|(origin, _)| origin.is_none()), shared, "{message}");
            let alone = |payload: &str| decode(payload.as_bytes()).map_err(|error| error.to_string());
            let in_a_row = read_in_a_row(&[&first, &message, &first]);
            for (payload, together) in [&*first, &message, &first].into_iter().zip(in_a_row) {
                let text = |read: Result<(Origin, Event), String>| read.map(|(origin, event)| as_json(&origin, &event));
                assert_eq!(text(together), text(alone(payload)), "{payload}");
            }
        }
    }

    #[test]
    fn fields_of_newer_versions_and_nulls_are_passed_over_in_any_order() {
        let (origin, event) =
            read(r#","later":{"a":[1]},"status":null,"user":null,"tags":null,"data":null,"value":null,"ip":"","os":"x""#).unwrap();
        assert_eq!((event.data.get(), event.value, origin.os.name.as_str()), ("{}", None, "x"));
        assert!(event.attributes.is_empty() && origin.tags.is_empty() && origin.ip.is_none());
        let backwards: String = LEAST.split(',').rev().collect::<Vec<_>>().join(",");
        assert_eq!(decode(format!("{{{backwards}}}").as_bytes()).unwrap().1.name, "n");
        assert_eq!(read(r#","attempt":0"#).unwrap().0.attempt, 0);
        assert_eq!(read(r#","\u0075ser":"a\u0062c""#).unwrap().0.user, "abc");
    }

    #[test]
    fn a_document_of_the_query_api_is_read_as_well() {
        let (origin, event) = full();
        let document = serde_json::to_vec(&monitor_core::Document::new(&origin, &event)).unwrap();
        let (read_origin, read_event) = decode(&document).unwrap();
        assert_eq!(read_event.attributes, event.attributes);
        assert_eq!((read_origin.page, read_origin.tags), (origin.page, origin.tags));
    }

    #[test]
    fn what_is_no_event_is_refused_with_a_reason() {
        for (payload, reason) in [
            ("", "EOF"),
            ("null", "expected an event"),
            ("[1]", "expected an event"),
            ("{\"id\":1}", "expected a text"),
            ("{}", "time, received and name"),
            (r#"{"time":1,"received":1,"name":"x"}"#, "`id` is not 32 hex digits"),
        ] {
            let error = decode(payload.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{payload}: {error}");
        }
        assert!(decode(b"{\"id\":\"\xff\"}").unwrap_err().to_string().contains("UTF-8"));
        let long = "x".repeat(40_000);
        for (more, reason) in [
            (r#","id":"1""#, "duplicate field `id`"),
            (r#","value":"1""#, "`value` is not a finite"),
            (r#","value":1e999"#, "`value` is not a finite"),
            (r#","value":true"#, "`value` is not a finite"),
            (r#","weight":0.5"#, "`weight` is not a number"),
            (r#","weight":1e10"#, "`weight` is not a number"),
            (r#","status":70000"#, "70000"),
            (r#","seq":-1"#, "-1"),
            (r#","ip":"nowhere""#, "`ip` is not an IP address"),
            (r#","data":[1]"#, "`data` is not an object"),
            (r#","data":{"a":"\ud83d"}"#, "`data` has half"),
            (r#","data":{"a":"\ud83dx\ude00"}"#, "`data` has half"),
            (r#","data":{"\ude00":1}"#, "`data` has half"),
            (r#","user":"\ud83d""#, "hex escape"),
            (r#","tags":{"a":1}"#, "expected a string"),
            (&format!(r#","data":{{"a":{}{}}}"#, "[".repeat(200), "]".repeat(200)), "`data` is nested"),
            (&format!(r#","user":"{long}""#), "`user` has 40000 bytes, 4096"),
            (&format!(r#","url":"{long}""#), "`url` has 40000 bytes, 32768"),
            (&format!(r#","attributes":{{"a":"{long}"}}"#), "`attributes` has 40000 bytes"),
            (&format!(r#","time":"{long}""#), "not an event"),
        ] {
            let error = read(more).map(|_| ()).unwrap_err();
            assert!(error.contains(reason) && error.len() < 700, "{more:.60}: {error}");
        }
        let many: String = (0..300).map(|n| format!(r#","k{n}":"v""#)).collect();
        assert!(read(&format!(r#","tags":{{{}}}"#, &many[1..])).unwrap_err().contains("300 entries"));
        for (from, to) in
            [("\"x\"", "\"A b\""), ("\"shop\"", "\"a b\""), ("\"shop\"", "\"\""), ("\"0000", "\"g000"), ("\"time\":1", "\"time\":1.5")]
        {
            assert!(decode(format!("{{{}}}", LEAST.replace(from, to)).as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn data_that_any_parser_reads_is_taken() {
        let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        for data in [
            r#"{"a":"\ud83d\ude00","b":"\u0000\"[[","c":[1e400]}"#.to_owned(),
            r#"{"\\ud83d":"\\\\"}"#.to_owned(),
            format!("{{\"a\":[{}0]}}", "[],".repeat(1000)),
            deep(126),
        ] {
            let (_, event) = read(&format!(",\"data\":{data}")).unwrap();
            assert_eq!(event.data.get(), data);
        }
        assert!(read(&format!(",\"data\":{}", deep(127))).is_err());
    }

    #[test]
    fn every_field_has_a_bit_of_its_own() {
        assert!(FIELDS.len() <= 64);
    }

    #[test]
    fn the_schema_describes_exactly_what_is_written() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../../docs/schema/event.v1.schema.json")).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        let (origin, mut event) = full();
        event.attributes.insert("other".into(), "x".into());
        let message: serde_json::Value = serde_json::from_str(&text_of(&origin, &event).replace("1e400", "1")).unwrap();
        let written: Vec<&String> = message.as_object().unwrap().keys().collect();
        let mut described: Vec<&String> = properties.keys().collect();
        described.sort();
        assert_eq!(written, described);
        let names: std::collections::BTreeSet<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        assert_eq!(written, names.into_iter().collect::<Vec<_>>());
        let table = include_str!("../../docs/topics.md");
        for (name, value) in message.as_object().unwrap() {
            let property = &properties[name];
            let fits = match property["type"].as_str().unwrap() {
                "string" => value.is_string(),
                "integer" => value.is_i64(),
                "number" => value.is_number(),
                "object" => value.is_object(),
                other => panic!("{name}: {other}"),
            };
            assert!(fits, "{name}: {value}");
            assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
            assert!(table.contains(&format!("| `{name}` |")), "docs/topics.md does not describe {name}");
        }
        let (origin, event) = small();
        let least: serde_json::Value = serde_json::from_str(&text_of(&origin, &event)).unwrap();
        let mut required: Vec<&str> = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        required.sort_unstable();
        assert_eq!(least.as_object().unwrap().keys().collect::<Vec<_>>(), required);
    }
}
