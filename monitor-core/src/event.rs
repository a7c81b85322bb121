//! The event: columns every event has; what only its kind has stays JSON text.

use std::{
    borrow::Cow,
    fmt,
    ops::{Deref, DerefMut},
    str::FromStr,
};

use litemap::LiteMap;
use serde::{Deserialize, Serialize, de};
use serde_json::value::RawValue;

/// A small text map: what can be filtered and grouped. A sorted list, because a tree takes half a kilobyte for its first entry; keys that
/// are known beforehand take no memory at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Attributes(LiteMap<Cow<'static, str>, String>);

impl Attributes {
    /// Without entries.
    pub const fn new() -> Attributes {
        Attributes(LiteMap::new_vec())
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Deref for Attributes {
    type Target = LiteMap<Cow<'static, str>, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Attributes {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// An object, also when there is nothing in it: the list would be an empty list then.
impl Serialize for Attributes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl FromIterator<(Cow<'static, str>, String)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (Cow<'static, str>, String)>>(entries: I) -> Attributes {
        Attributes(entries.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Attributes {
    type Item = (&'a Cow<'static, str>, &'a String);
    type IntoIter = <&'a LiteMap<Cow<'static, str>, String> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (&self.0).into_iter()
    }
}

impl<'a> IntoIterator for &'a mut Attributes {
    type Item = (&'a Cow<'static, str>, &'a mut String);
    type IntoIter = <&'a mut LiteMap<Cow<'static, str>, String> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (&mut self.0).into_iter()
    }
}

/// JSON text that is passed through and not parsed on the hot path.
pub type Json = Box<RawValue>;

/// One thing that happened in a browser (or any other client).
///
/// What all events of one request share is in its [`Origin`](crate::Origin).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Made by the SDK when the event is captured and repeated on every re-send: it makes a second delivery harmless.
    pub id: EventId,
    /// Milliseconds since the Unix epoch; the client's clock, corrected by the clock enricher.
    pub time: i64,
    /// Number of the event on its page, from 0; `None` from senders that do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u32>,
    /// What family the event belongs to.
    pub kind: Kind,
    /// What a dashboard groups by: `TypeError`, `LCP`, `page_view`.
    pub name: String,
    /// The number to aggregate: ms for durations, a plain number for CLS and counts. Always finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// How many events of its like it stands for, itself included: 1 / sample rate, times the repeats that were folded into it.
    /// From 1 to [`MAX_WEIGHT`].
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f32,
    /// What can be filtered: set by SDK and enrichers. Well-known keys are in [`attribute`].
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// The details, a JSON object; read when a person looks at one event.
    pub data: Json,
}

impl Event {
    /// An event of weight 1 without value, attributes and data.
    pub fn new(id: EventId, time: i64, kind: Kind, name: impl Into<String>) -> Event {
        let attributes = Attributes::new();
        Event { id, time, seq: None, kind, name: name.into(), value: None, weight: 1.0, attributes, data: empty_object() }
    }

    /// The attribute of that key, `""` when absent.
    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

/// Largest [`Event::weight`].
pub const MAX_WEIGHT: f32 = 1e9;

/// The weight of an event that does not say it.
pub(crate) fn one() -> f32 {
    1.0
}

#[allow(clippy::float_cmp, clippy::trivially_copy_pass_by_ref, reason = "asked by serde; exactly 1 is what is left out")]
pub(crate) fn is_one(weight: &f32) -> bool {
    *weight == 1.0
}

/// `{}` as [`Json`].
pub fn empty_object() -> Json {
    RawValue::from_string("{}".into()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Keys of [`Event::attributes`] that have a meaning (and a typed column in the store).
pub mod attribute {
    /// What was acted on: a selector, the URL of a resource or request.
    pub const TARGET: &str = "target";
    /// HTTP method of a request.
    pub const METHOD: &str = "method";
    /// HTTP status of a request, decimal; `0` when there was no answer.
    pub const STATUS: &str = "status";
    /// Why a request failed: `network`, `abort`, `timeout`, `http`.
    pub const FAILURE: &str = "failure";
    /// `good`, `needs-improvement` or `poor`.
    pub const RATING: &str = "rating";
    /// Text of an error or message, at most 1,000 characters.
    pub const MESSAGE: &str = "message";
    /// Groups errors that have the same cause; 16 hex digits.
    pub const FINGERPRINT: &str = "fingerprint";
    /// `corrected` or `clamped` when the receiver changed the event's time.
    pub const CLOCK: &str = "clock";
    /// What the client said the time was, when it could not be believed.
    pub const ORIGINAL_TIME: &str = "original_time";
    /// `out_of_range` when the event's value was taken out of it, `incomplete` when it lacks the value it needs.
    pub const VALIDITY: &str = "validity";
    /// The value that was out of range, decimal.
    pub const ORIGINAL_VALUE: &str = "original_value";
    /// Names the fields that were cut to their limit.
    pub const TRUNCATED: &str = "truncated";
}

/// 128 bits that name an event; written as a UUID, read from 32 hex digits with or without dashes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId(pub u128);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            id >> 96,
            id >> 80 & 0xffff,
            id >> 64 & 0xffff,
            id >> 48 & 0xffff,
            id & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 32 hex digits.
#[derive(Debug, thiserror::Error)]
#[error("not an event id: expected 32 hex digits")]
pub struct ParseIdError;

impl FromStr for EventId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<EventId, ParseIdError> {
        let mut id = 0u128;
        let mut digits = 0;
        for byte in text.bytes() {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                b'-' => continue,
                _ => return Err(ParseIdError),
            };
            digits += 1;
            if digits > 32 {
                return Err(ParseIdError);
            }
            id = id << 4 | u128::from(digit);
        }
        if digits == 32 { Ok(EventId(id)) } else { Err(ParseIdError) }
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<EventId, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = EventId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 hex digits")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<EventId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The family of an event. The set is open: a kind that is not listed is stored too.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
            /// A kind this version does not know: 1–64 characters of `a-z 0-9 _ -`.
            Other(Box<str>),
        }

        impl Kind {
            /// Every kind that has a name here.
            pub const KNOWN: &'static [Kind] = &[$(Kind::$variant,)*];

            /// The kind as it is written in JSON and in the store.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Kind::$variant => $text,)*
                    Kind::Other(text) => text,
                }
            }

            /// The listed kind of that name.
            pub fn known(text: &str) -> Option<Kind> {
                match text {
                    $($text => Some(Kind::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A script error, an unhandled rejection, a resource that failed to load.
    Error = "error",
    /// A text that the host page reported.
    Message = "message",
    /// A web vital.
    Vital = "vital",
    /// Timing of a page load.
    Navigation = "navigation",
    /// Timing of a resource.
    Resource = "resource",
    /// A `fetch` or `XMLHttpRequest`.
    Request = "request",
    /// The main thread was blocked: a long task, a long animation frame.
    Longtask = "longtask",
    /// A page was shown.
    PageView = "page_view",
    /// A click.
    Click = "click",
    /// Several clicks in anger.
    RageClick = "rage_click",
    /// A click that changed nothing.
    DeadClick = "dead_click",
    /// A form was sent.
    FormSubmit = "form_submit",
    /// How long a page was visible.
    TimeOnPage = "time_on_page",
    /// How far a page was scrolled.
    ScrollDepth = "scroll_depth",
    /// A part of the page came into view.
    Exposure = "exposure",
    /// What the host page chose to count.
    Track = "track",
    /// A line on the browser's console.
    Console = "console",
    /// A violated content security policy.
    Csp = "csp",
    /// The browser's own report: a deprecation, an intervention, a crash.
    Report = "report",
    /// A page that stayed empty.
    BlankScreen = "blank_screen",
    /// A session began or ended.
    Session = "session",
    /// A timed operation.
    Span = "span",
}

/// The text is not 1–64 characters of `a-z 0-9 _ -`.
#[derive(Debug, thiserror::Error)]
#[error("not a kind: expected 1 to 64 characters of a-z, 0-9, _ and -")]
pub struct ParseKindError;

impl FromStr for Kind {
    type Err = ParseKindError;

    fn from_str(text: &str) -> Result<Kind, ParseKindError> {
        if let Some(kind) = Kind::known(text) {
            return Ok(kind);
        }
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if valid { Ok(Kind::Other(text.into())) } else { Err(ParseKindError) }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Kind;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a kind")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Kind, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_with_and_without_dashes_and_written_as_a_uuid() {
        let plain: EventId = "0193480e7c1b7cc2a5d2c0a1f1e2d3c4".parse().unwrap();
        let dashed: EventId = "0193480E-7C1B-7CC2-A5D2-C0A1F1E2D3C4".parse().unwrap();
        assert_eq!(plain, dashed);
        assert_eq!(plain.to_string(), "0193480e-7c1b-7cc2-a5d2-c0a1f1e2d3c4");
        for bad in ["", "12", "g193480e7c1b7cc2a5d2c0a1f1e2d3c4", "0193480e7c1b7cc2a5d2c0a1f1e2d3c45"] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_kinds_are_kept_and_malformed_ones_are_not() {
        assert_eq!("page_view".parse::<Kind>().unwrap(), Kind::PageView);
        assert_eq!("web-rtc_2".parse::<Kind>().unwrap().as_str(), "web-rtc_2");
        for bad in ["", "Error", "a b", &"x".repeat(65), "é"] {
            assert!(bad.parse::<Kind>().is_err(), "{bad}");
        }
    }

    #[test]
    fn attributes_are_an_object_also_without_entries() {
        let mut attributes = Attributes::new();
        let text = |attributes: &Attributes| serde_json::to_string(attributes).unwrap();
        assert_eq!(text(&attributes), "{}");
        assert_eq!(serde_json::from_str::<Attributes>("{}").unwrap(), attributes);
        attributes.insert("plan".into(), "pro".into());
        attributes.insert("level".into(), "info".into());
        assert_eq!(text(&attributes), r#"{"level":"info","plan":"pro"}"#);
        assert_eq!(serde_json::from_str::<Attributes>(r#"{"plan":"pro","level":"x","level":"info"}"#).unwrap(), attributes);
        let document = crate::Document::new(&crate::Origin::new("shop", 0), &Event::new(EventId(1), 0, Kind::Track, "x"));
        let document = serde_json::to_value(document).unwrap();
        assert_eq!((&document["attributes"], &document["tags"]), (&serde_json::json!({}), &serde_json::json!({})));
    }

    #[test]
    fn an_event_survives_json() {
        let mut event = Event::new(EventId(7), 5, Kind::Vital, "LCP");
        event.value = Some(2311.2);
        event.weight = 2.5;
        event.attributes.insert("rating".into(), "good".into());
        let text = serde_json::to_string(&event).unwrap();
        let back: Event = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }

    #[test]
    fn a_weight_of_one_is_not_written_and_a_missing_one_is_one() {
        let text = serde_json::to_string(&Event::new(EventId(7), 5, Kind::Click, "click")).unwrap();
        assert!(!text.contains("weight"), "{text}");
        assert!(is_one(&serde_json::from_str::<Event>(&text).unwrap().weight));
    }
}
