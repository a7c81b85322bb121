//! Groups errors that have the same cause.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{Enricher, Event, Kind, Origin, Verdict, attribute, stack};

/// Gives every error a `fingerprint` (16 hex digits), and errors and messages a `message` (at most 1,000 characters).
///
/// Two errors belong together when they have the same type and the same innermost frames, whatever the line numbers,
/// host, query and build hashes of their scripts. Without a stack the message decides, its variable parts (numbers,
/// ids, quoted values, URLs) left out. A fingerprint that the client sent stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fingerprint;

/// Frames that decide. The innermost ones name the cause; what called them varies.
const FRAMES: usize = 5;

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    stack: Option<Cow<'a, str>>,
}

impl Enricher for Fingerprint {
    fn name(&self) -> &'static str {
        "fingerprint"
    }

    fn enrich(&self, event: &mut Event, _origin: &Origin) -> Verdict {
        if !matches!(event.kind, Kind::Error | Kind::Message) {
            return Verdict::Keep;
        }
        // Details of another shape are no reason to lose the error: it is grouped by its type.
        let details = serde_json::from_str(event.data.get()).unwrap_or(Details { message: None, stack: None });
        let message = details.message.as_deref().unwrap_or_default();
        if event.kind == Kind::Error && event.attribute(attribute::FINGERPRINT).is_empty() {
            let stack = details.stack.as_deref().unwrap_or_default();
            let fingerprint = compute(&event.name, message, stack, event.attribute(attribute::TARGET));
            event.attributes.insert(attribute::FINGERPRINT.into(), fingerprint);
        }
        if !message.is_empty() {
            event.attributes.entry(attribute::MESSAGE.into()).or_insert_with(|| message.chars().take(1_000).collect());
        }
        Verdict::Keep
    }
}

fn compute(name: &str, message: &str, stack: &str, target: &str) -> String {
    let mut hash = Fnv::new();
    hash.part(name.as_bytes());
    // The browser's own code and WebAssembly have no line, and change with the browser and with each build.
    let frames: Vec<_> = stack::frames(stack).into_iter().filter(|frame| frame.line > 0).collect();
    if frames.is_empty() {
        let about = if target.is_empty() { message } else { script(target) };
        hash.part(stable_words(about).as_bytes());
    }
    for frame in frames.iter().take(FRAMES) {
        hash.part(frame.short_function().as_bytes());
        let file = if frame.is_eval { "<anonymous>" } else { &frame.file };
        hash.part(stable_words(script(file)).as_bytes());
    }
    format!("{:016x}", hash.0)
}

/// The path of a URL: neither host nor query says what went wrong.
fn script(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => url,
    }
}

/// A text without what differs from one occurrence to the next: each run of letters and digits that has a digit in it
/// (numbers, ids, build hashes), and quoted values.
fn stable_words(text: &str) -> String {
    let mut stable = String::with_capacity(text.len().min(512));
    let mut quote = None;
    let mut word = String::new();
    for character in text.chars().take(512).chain([' ']) {
        if let Some(open) = quote {
            if character == open {
                quote = None;
            }
            continue;
        }
        if character.is_alphanumeric() {
            word.push(character);
            continue;
        }
        stable.push_str(if word.bytes().any(|byte| byte.is_ascii_digit()) { "0" } else { &word });
        // An apostrophe within a word (`can't`) opens no quotation.
        if matches!(character, '"' | '`') || (character == '\'' && word.is_empty()) {
            quote = Some(character);
        }
        word.clear();
        stable.push(character);
    }
    // The space that ended the last word.
    stable.pop();
    stable
}

/// FNV-1a, 64 bits: fixed for all times, as fingerprints are stored. Source: the FNV reference, isthe.com/chongo/tech/comp/fnv.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    /// A part and its end, so that `("ab", "c")` and `("a", "bc")` differ.
    fn part(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain([&0xff]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventId;

    fn fingerprint(name: &str, message: &str, stack: &str) -> String {
        let mut event = Event::new(EventId(1), 0, Kind::Error, name);
        let data = serde_json::json!({"message": message, "stack": stack});
        event.data = serde_json::value::to_raw_value(&data).unwrap();
        assert_eq!(Fingerprint.enrich(&mut event, &Origin::new("shop", 0)), Verdict::Keep);
        assert_eq!(event.attribute("message"), message);
        event.attribute("fingerprint").to_owned()
    }

    #[test]
    fn the_same_cause_has_the_same_fingerprint() {
        let same = [
            ("at add (https://a.example/app.js:1:2)\nat click (https://a.example/app.js:9:9)", "x of undefined"),
            ("at add (https://b.example/app.js?v=2:5:7)\nat click (https://b.example/app.js:1:1)", "y of undefined"),
            ("add@https://a.example/app.js:1:2\nclick@https://a.example/app.js:1:1", "z"),
        ];
        let prints: Vec<_> = same.iter().map(|(stack, message)| fingerprint("TypeError", message, stack)).collect();
        assert!(prints.iter().all(|print| *print == prints[0] && print.len() == 16), "{prints:?}");
        assert_ne!(fingerprint("RangeError", "z", same[2].0), prints[0]);
        assert_ne!(fingerprint("TypeError", "z", "remove@https://a.example/app.js:1:2"), prints[0]);
        assert_eq!(
            fingerprint("E", "", "f@https://a.example/static/main.4f2a91.js:1:2"),
            fingerprint("E", "", "f@https://a.example/static/main.9b00c7.js:1:2"),
        );
    }

    #[test]
    fn without_a_stack_the_message_decides_but_for_its_variable_parts() {
        let print = |message: &str| fingerprint("Error", message, "");
        assert_eq!(print("order 17 can't be loaded"), print("order 99 can't be loaded"));
        assert_eq!(print("unexpected token 'a'"), print("unexpected token 'bcd'"));
        assert_eq!(print("id 9f2c-77aa gone"), print("id 1b3d-00cc gone"));
        assert_ne!(print("order 17 can't be loaded"), print("order 17 can't be saved"));
    }

    #[test]
    fn the_value_never_changes_between_versions() {
        let stacks = [
            ("", "2797ff84bd1d3110"),
            (
                "TypeError: a is not a function\n    at Cart.add (https://shop.example/app.js?v=1:10:22)\n    at https://shop.example/app.js:3:1",
                "4f953b3a20cddf29",
            ),
            (
                "    at async load (https://shop.example/app.js:3:1)\n    at new Item [as make] (webpack:///src/item.ts:7:9)\n    at Array.map (<anonymous>)",
                "7428f13e32262124",
            ),
            (
                "    at Object.<anonymous> (/srv/app/index.js:1:2)\n    at node:internal/main:1:2\n    at eval (webpack-internal:///./src/x.js:12:3)",
                "c16ac9c56fab618d",
            ),
            ("    at f (chrome-extension://abcdef/content.js:1:2)\n    at Promise.all (index 0)\n    at native", "768c6f629670f5c8"),
            (
                "add@https://shop.example/app.js:10:22\nload/inner<@https://shop.example/app.js:3:1\n@https://shop.example/app.js:1:1",
                "244d9076b1fd5b61",
            ),
            (
                "global code@https://shop.example/app.js:1:1\nforEach@[native code]\nmodule code@https://shop.example/m.js:2:2",
                "4970e289fb71c98e",
            ),
            ("f@https://shop.example/app.js:12", "bc27ef04a871c69a"),
            ("https://shop.example/app.js:9:8", "267b709ba1572d3c"),
        ];
        for (stack, expected) in stacks {
            assert_eq!(fingerprint("TypeError", "a is not a function", stack), expected, "{stack}");
        }
    }

    #[test]
    fn a_message_has_its_text_and_no_fingerprint() {
        let mut event = Event::new(EventId(1), 0, Kind::Message, "info");
        event.data = serde_json::value::RawValue::from_string(r#"{"message":"cart is empty"}"#.into()).unwrap();
        assert_eq!(Fingerprint.enrich(&mut event, &Origin::new("shop", 0)), Verdict::Keep);
        assert_eq!((event.attribute("message"), event.attribute("fingerprint")), ("cart is empty", ""));
    }

    #[test]
    fn details_of_another_shape_do_not_cost_the_error() {
        let mut event = Event::new(EventId(1), 0, Kind::Error, "E");
        event.data = serde_json::value::RawValue::from_string(r#"{"message":{"a":1}}"#.into()).unwrap();
        assert_eq!(Fingerprint.enrich(&mut event, &Origin::new("shop", 0)), Verdict::Keep);
        assert_eq!(event.attribute("fingerprint").len(), 16);
    }
}
