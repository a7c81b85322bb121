//! Bytes from clients to events: the only module that reads untrusted bytes.
//!
//! The frame is read first, as a list of raw events; then each event by itself, so that one bad event is refused and
//! the others live. What a request may contain is in [`Limits`].

mod capped;
mod envelope;
mod frame;
mod simple;
mod text;
mod time;

use crate::{Envelope, EventId};

pub use envelope::envelope;
pub use simple::{SimpleForm, simple};

/// What the receiver knows about a request before reading its body.
pub struct Context<'a> {
    /// The project that the key opened.
    pub project: &'a str,
    /// Now, ms since the Unix epoch.
    pub received: i64,
    /// Caps on what is read.
    pub limits: &'a Limits,
    /// Makes an id for an event that brought none.
    pub new_id: &'a mut dyn FnMut() -> EventId,
}

/// Caps on one request. Lengths are bytes of JSON text unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most events in a request; 500, and never more than 10,000.
    pub events: usize,
    /// Largest event; 256 KiB.
    pub event_bytes: usize,
    /// Deepest nesting of an event; 32.
    pub depth: usize,
    /// Most keys of one object; 256.
    pub keys: usize,
    /// Longest text in bytes; longer text of a column is cut, 32 KiB.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { events: 500, event_bytes: 256 * 1024, depth: 32, keys: 256, text: 32 * 1024 }
    }
}

/// A request that could be read.
#[derive(Debug)]
pub struct Parsed {
    /// The good events and who sent them. The receiver still adds the client's address and user agent to the origin.
    pub envelope: Envelope,
    /// Position in the request of each event of the envelope.
    pub positions: Vec<usize>,
    /// The bad events.
    pub rejected: Vec<Rejection>,
    /// What the client lost before this request, by its own report.
    pub discarded: Vec<Discarded>,
}

/// Why one event was refused.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rejection {
    /// Position in the request, from 0.
    pub index: usize,
    /// A stable word.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// Events that a client lost.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Discarded {
    /// Why, in the client's words; at most 64 characters are kept.
    pub reason: String,
    /// Which kind.
    #[serde(default)]
    pub kind: String,
    /// How many; a fraction, as sums of weights may be, is rounded.
    #[serde(deserialize_with = "whole")]
    pub count: u32,
}

/// A count that is not whole must not cost the envelope that tells of it.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and less than nothing is nothing")]
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    <f64 as serde::Deserialize>::deserialize(deserializer).map(|count| count.round() as u32)
}

/// Why a request was refused as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// Not UTF-8.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Not JSON, or not of the right shape.
    #[error("the body is not {expected}: {reason}")]
    BadFrame {
        /// What it should be.
        expected: &'static str,
        /// What is wrong, for people.
        reason: String,
    },
    /// A version of the envelope that this receiver does not know.
    #[error("envelope version {0} is not supported; this receiver reads version 1")]
    Version(u64),
    /// More events than allowed: the sender should split them.
    #[error("{found} events are more than the {allowed} allowed in one request")]
    TooManyEvents {
        /// How many there are.
        found: usize,
        /// How many are allowed.
        allowed: usize,
    },
}

impl FrameError {
    /// A stable word for answers and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            FrameError::Empty => "empty",
            FrameError::NotUtf8 => "not_utf8",
            FrameError::BadFrame { .. } => "bad_frame",
            FrameError::Version(_) => "unsupported_version",
            FrameError::TooManyEvents { .. } => "too_many_events",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, enrich};

    #[test]
    fn the_largest_request_takes_no_longer_whatever_is_in_it() {
        let fill = |piece: &str, bytes: usize| piece.repeat(bytes / piece.len());
        let mut bodies: Vec<String> = Vec::new();
        for piece in
            ["{", "[", "\"", "\\", "{},", "{\"events\":", "\"events\":[", "\"\":\"\",", "[\"]", " ", "\\ud83d", "\u{feff}", "1,", "NaN,"]
        {
            let piece = fill(piece, 1024 * 1024);
            for frame in ["@", "{\"v\":1,\"events\":[@]}", "{\"v\":1,\"events\":[{\"kind\":\"x\",\"data\":{\"a\":[@]}}]}", "[@]"] {
                bodies.push(frame.replace('@', &piece));
            }
        }
        for piece in [
            "at ",
            "at f (",
            "eval at ",
            " > ",
            " line ",
            ":wasm-function[",
            "x@",
            "@",
            "a@b:1:1\\n",
            ":1",
            ", ",
            "://",
            "/",
            ".",
            " [as ",
            "\\n",
            "at a (b:1:1)\\n",
            "'",
            "async ",
        ] {
            let text = fill(piece, 250 * 1024);
            bodies.push(format!(r#"{{"v":1,"events":[{{"kind":"error","data":{{"message":"{text}","stack":"{text}"}}}}]}}"#));
        }
        let enrichers = enrich::standard();
        let limits = Limits { event_bytes: 1024 * 1024, ..Limits::default() };
        let start = std::time::Instant::now();
        for body in &bodies {
            for form in [None, Some(SimpleForm::Events), Some(SimpleForm::Metrics)] {
                let mut next = 0;
                let mut new_id = || {
                    next += 1;
                    EventId(next)
                };
                let mut context = Context { project: "shop", received: 0, limits: &limits, new_id: &mut new_id };
                let mut parsed = match form {
                    None => envelope(body.as_bytes(), &mut context),
                    Some(form) => simple(form, body.as_bytes(), &mut context),
                };
                for event in parsed.iter_mut().flat_map(|parsed| &mut parsed.envelope.events) {
                    for enricher in &enrichers {
                        let _ = enricher.enrich(event, &Origin::new("shop", 0));
                    }
                }
            }
        }
        // Each is read in some ms; what is quadratic takes minutes.
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
    }
}
