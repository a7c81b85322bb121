//! Secrets in JSON text: values of telling keys, of pairs (`["password","…"]`), of named values (`{"name":"password","value":"…"}`), and
//! whatever stands in a string, which may be JSON itself.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::value::RawValue;

use super::{SCRUBBED, is_secret_key, may_be_secret, text::scrub_text};

/// Keys whose value names what `value` beside it holds.
const NAMING_KEYS: &[&str] = &["\"name\"", "\"key\"", "\"header\"", "\"field\""];

/// JSON text without its secrets, `None` when there are none. The input is valid JSON (it comes from a parser), so this only has
/// to tell keys, strings and the rest apart.
pub(super) fn scrub_json(json: &str) -> Option<String> {
    let mut walk = Walk { json, open: Vec::new(), replaced: BTreeMap::new() };
    walk.run();
    if walk.replaced.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(json.len());
    let mut copied = 0;
    for (start, (end, replacement)) in walk.replaced {
        out.push_str(json.get(copied..start).unwrap_or_default());
        out.push_str(&replacement);
        copied = end;
    }
    out.push_str(json.get(copied..).unwrap_or_default());
    Some(out)
}

struct Walk<'a> {
    json: &'a str,
    open: Vec<Open>,
    /// Start and end of each value that is replaced, and by what. They do not overlap.
    replaced: BTreeMap<usize, (usize, String)>,
}

/// An object or array that has not ended yet.
#[derive(Default)]
struct Open {
    /// A sibling says that `value` is a secret.
    names_secret: bool,
    /// Start and end of the string under `value`.
    value: Option<(usize, usize)>,
}

impl<'a> Walk<'a> {
    fn run(&mut self) {
        let mut at = 0;
        // The last byte before a string that is no white space.
        let mut before = b' ';
        while let Some(&byte) = self.json.as_bytes().get(at) {
            match byte {
                b'{' | b'[' => self.open.push(Open::default()),
                b'}' | b']' => {
                    if let Some(Open { names_secret: true, value: Some((start, end)) }) = self.open.pop() {
                        self.replace(start, end);
                    }
                }
                b'"' => {
                    at = self.string(at, before);
                    before = b'"';
                    continue;
                }
                _ => (),
            }
            if !byte.is_ascii_whitespace() {
                before = byte;
            }
            at += 1;
        }
    }

    fn replace(&mut self, start: usize, end: usize) {
        self.replaced.insert(start, (end, format!("\"{SCRUBBED}\"")));
    }

    /// Position of the first byte from here on that is no white space.
    fn skip_space(&self, at: usize) -> usize {
        let rest = self.json.get(at..).unwrap_or_default();
        at + (rest.len() - rest.trim_ascii_start().len())
    }

    fn starts(&self, at: usize, with: char) -> bool {
        self.json.get(at..).is_some_and(|rest| rest.starts_with(with))
    }

    /// The string literal that begins here.
    fn literal(&self, at: usize) -> &'a str {
        split_string(self.json.get(at..).unwrap_or_default()).0
    }

    /// Looks at the string that begins here; where to go on.
    fn string(&mut self, at: usize, before: u8) -> usize {
        let literal = self.literal(at);
        let end = at + literal.len();
        let next = self.skip_space(end);
        if self.starts(next, ':') {
            let value = self.skip_space(next + 1);
            let key = unescape(literal);
            if is_secret_key(&key) {
                let length = value_length(self.json.get(value..).unwrap_or_default());
                let text = self.json.get(value..value + length).unwrap_or_default();
                if may_be_secret(&key, text.trim_ascii_end()) {
                    self.replace(value, value + length);
                }
                return value + length;
            }
            self.notice_naming(literal, value);
        } else if before == b'[' && self.starts(next, ',') && names_secret(literal) {
            let value = self.skip_space(next + 1);
            if self.starts(value, '"') {
                let end = value + self.literal(value).len();
                if self.starts(self.skip_space(end), ']') {
                    self.replace(value, end);
                    return end;
                }
            }
        }
        if let Some(scrubbed) = scrub_string(literal) {
            self.replaced.insert(at, (end, scrubbed));
        }
        end
    }

    /// Remembers `"name":"password"` and where `"value":"…"` is.
    fn notice_naming(&mut self, key: &str, value: usize) {
        let is_naming = NAMING_KEYS.contains(&key);
        if (!is_naming && key != "\"value\"") || !self.starts(value, '"') {
            return;
        }
        let literal = self.literal(value);
        if let Some(open) = self.open.last_mut() {
            if is_naming {
                open.names_secret |= names_secret(literal);
            } else {
                open.value = Some((value, value + literal.len()));
            }
        }
    }
}

/// Whether a string is the name of a secret, and not a sentence about one.
fn names_secret(literal: &str) -> bool {
    let text = unescape(literal);
    let name = text.trim_matches('"');
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) && is_secret_key(name)
}

/// A string literal without its secrets, `None` when there are none.
fn scrub_string(literal: &str) -> Option<String> {
    let text = unescape(literal);
    let text = if literal.contains('\\') { &*text } else { literal.trim_matches('"') };
    // A request body, mostly.
    let is_json = text.trim_ascii_start().starts_with(['{', '[']) && serde_json::from_str::<&RawValue>(text).is_ok();
    let scrubbed = if is_json {
        scrub_json(text)?
    } else {
        match scrub_text(text) {
            Cow::Borrowed(_) => return None,
            Cow::Owned(scrubbed) => scrubbed,
        }
    };
    // A string always serialises.
    Some(serde_json::to_string(&scrubbed).unwrap_or_else(|_| format!("\"{SCRUBBED}\"")))
}

/// The string literal at the start of the text, quotes included, and what follows.
fn split_string(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return text.split_at(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    (text, "")
}

/// What a literal with escapes means; one without is given back as it is, with its quotes.
fn unescape(literal: &str) -> Cow<'_, str> {
    if literal.contains('\\') {
        serde_json::from_str::<String>(literal).map_or(Cow::Borrowed(literal), Cow::Owned)
    } else {
        Cow::Borrowed(literal)
    }
}

/// Length of the JSON value at the start of the text.
pub(super) fn value_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let (string, _) = split_string(text.get(at..).unwrap_or_default());
                at += string.len();
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' | b',' if depth == 0 => return at,
            _ => (),
        }
        at += 1;
    }
    text.len()
}
