//! Takes a request apart into raw events without trusting any of them, and checks each one's size and shape.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{FrameError, Limits, Rejection, capped::Capped};

/// Most events that a request can be allowed to have, see [`Limits::events`].
pub(super) const MOST_EVENTS: usize = 10_000;

/// The elements of a JSON array, each by itself.
#[derive(Default)]
pub(super) struct Elements<'a> {
    /// `Err` for an element that is not JSON. Of too many only so much as to tell that they are.
    pub(super) list: Vec<Result<&'a RawValue, serde_json::Error>>,
    /// All of them.
    pub(super) found: usize,
}

impl<'a> From<Capped<&'a RawValue, MOST_EVENTS>> for Elements<'a> {
    fn from(Capped { kept, found }: Capped<&'a RawValue, MOST_EVENTS>) -> Elements<'a> {
        Elements { list: kept.into_iter().map(Ok).collect(), found }
    }
}

/// Reads the whole text as UTF-8.
pub(super) fn utf8(body: &[u8]) -> Result<&str, FrameError> {
    let text = std::str::from_utf8(body).map_err(|_| FrameError::NotUtf8)?;
    if text.trim_ascii().is_empty() {
        return Err(FrameError::Empty);
    }
    Ok(text)
}

/// A frame whose events are not all JSON: the text without them, and the events one by one.
///
/// A parser gives up at the first bad byte, wherever it is. This only follows strings and brackets, so that the
/// damage in one element stays there. `None` when the brackets do not match or there is no such array.
pub(super) fn split_array<'a>(text: &'a str, key: Option<&str>) -> Option<(Cow<'a, str>, Elements<'a>)> {
    let mut scanner = Scanner { text, at: 0 };
    let open = match key {
        None => {
            scanner.skip_space();
            scanner.at
        }
        Some(key) => scanner.find_key(key)?,
    };
    if text.as_bytes().get(open) != Some(&b'[') {
        return None;
    }
    scanner.at = open + 1;
    let mut elements = Elements::default();
    let close = loop {
        let start = scanner.at;
        let end = scanner.skip_until(|byte| matches!(byte, b',' | b']'))?;
        let element = text.get(start..end)?.trim_ascii();
        let last = text.as_bytes().get(end) == Some(&b']');
        // `[]` is a list; `[1,]` and `[1,,2]` are not.
        match (element.is_empty(), last && elements.found == 0) {
            (false, _) => {
                elements.found += 1;
                if elements.found <= MOST_EVENTS {
                    elements.list.push(serde_json::from_str(element));
                }
            }
            (true, true) => (),
            (true, false) => return None,
        }
        scanner.at = end + 1;
        if last {
            break end;
        }
    };
    let rest = Cow::Owned(format!("{}{}", text.get(..=open)?, text.get(close..)?));
    Some((rest, elements))
}

/// Follows strings and brackets of text that need not be JSON.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Moves behind the string that opens here.
    fn skip_string(&mut self) -> Option<()> {
        loop {
            self.at += 1;
            match self.byte()? {
                b'"' => break,
                b'\\' => self.at += 1,
                _ => (),
            }
        }
        self.at += 1;
        Some(())
    }

    /// Position of the first byte outside strings and brackets that `wanted` says is the end.
    fn skip_until(&mut self, wanted: impl Fn(u8) -> bool) -> Option<usize> {
        let mut depth = 0usize;
        loop {
            let byte = self.byte()?;
            if depth == 0 && wanted(byte) {
                return Some(self.at);
            }
            match byte {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => (),
            }
            self.at += 1;
        }
    }

    /// Position of the value of this key of the outermost object.
    fn find_key(&mut self, key: &str) -> Option<usize> {
        self.skip_space();
        if self.byte()? != b'{' {
            return None;
        }
        loop {
            self.at += 1;
            self.skip_space();
            let start = self.at;
            if self.byte()? != b'"' {
                return None;
            }
            self.skip_string()?;
            let found = self.text.get(start + 1..self.at - 1)? == key;
            self.skip_space();
            if self.byte()? != b':' {
                return None;
            }
            self.at += 1;
            self.skip_space();
            if found {
                return Some(self.at);
            }
            let end = self.skip_until(|byte| matches!(byte, b',' | b'}'))?;
            if self.text.as_bytes().get(end) == Some(&b'}') {
                return None;
            }
        }
    }
}

/// Refuses an event that is too large, too deep or has too many keys. Runs over the text once and without
/// recursion, before any parser that keeps a stack sees it.
pub(super) fn check_shape(index: usize, raw: &str, limits: &Limits) -> Result<(), Rejection> {
    let reject = |code, message| Err(Rejection { index, code, message });
    if raw.len() > limits.event_bytes {
        return reject("too_large", format!("the event has {} bytes, {} are allowed", raw.len(), limits.event_bytes));
    }
    if !raw.starts_with('{') {
        return reject("not_an_object", "an event is a JSON object".into());
    }
    // With so few brackets and colons in all, wherever they stand, nothing can be too deep or have too many keys. In pieces whose counts
    // fit into a byte, many bytes are compared at once.
    let (mut open, mut colons) = (0, 0);
    for piece in raw.as_bytes().chunks(128) {
        open += usize::from(piece.iter().map(|byte| u8::from(matches!(byte, b'{' | b'['))).sum::<u8>());
        colons += usize::from(piece.iter().map(|byte| u8::from(*byte == b':')).sum::<u8>());
    }
    if open <= limits.depth && colons <= limits.keys {
        return Ok(());
    }
    // Keys are counted per open object; arrays share the stack and count nothing.
    let mut keys: Vec<usize> = Vec::with_capacity(8);
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => loop {
                match bytes.next() {
                    Some(b'\\') => {
                        bytes.next();
                    }
                    Some(b'"') | None => break,
                    _ => (),
                }
            },
            b'{' | b'[' => {
                if keys.len() == limits.depth {
                    return reject("too_deep", format!("the event nests deeper than {} levels", limits.depth));
                }
                keys.push(0);
            }
            b'}' | b']' => {
                keys.pop();
            }
            b':' => {
                if let Some(count) = keys.last_mut() {
                    *count += 1;
                    if *count > limits.keys {
                        return reject("too_many_keys", format!("an object of the event has more than {} keys", limits.keys));
                    }
                }
            }
            _ => (),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, key: Option<&str>) -> Option<(String, Vec<Option<String>>)> {
        let (rest, elements) = split_array(text, key)?;
        Some((rest.into_owned(), elements.list.into_iter().map(|element| element.ok().map(|raw| raw.get().to_owned())).collect()))
    }

    #[test]
    fn one_bad_element_does_not_hide_the_others() {
        let text =
            "{\"v\":1, \"a\":[\"]\",{\"events\":3}], \"events\" : [ {\"a\":\"]},\\\"\"} , {\"b\":NaN}, {\"c\":\"\u{1}\"},{}] , \"z\":{}}";
        let (rest, elements) = split(text, Some("events")).unwrap();
        assert_eq!(rest, "{\"v\":1, \"a\":[\"]\",{\"events\":3}], \"events\" : [] , \"z\":{}}");
        assert_eq!(elements, [Some("{\"a\":\"]},\\\"\"}".into()), None, None, Some("{}".into())]);
        assert_eq!(split("[]", None).unwrap().1, []);
    }

    #[test]
    fn of_far_too_many_elements_not_all_are_kept() {
        let text = format!("[{}x]", "x,".repeat(MOST_EVENTS));
        let (_, elements) = split_array(&text, None).unwrap();
        assert_eq!((elements.list.len(), elements.found), (MOST_EVENTS, MOST_EVENTS + 1));
    }

    #[test]
    fn unbalanced_text_is_not_split() {
        for text in [
            "",
            "{",
            "[",
            "{\"events\":[{}",
            "{\"events\":[\"",
            "{\"events\":[}]",
            "{\"events\":3}",
            "{\"a\":[]}",
            "{]",
            "{\"events\"",
            "{\"events\":[1,]}",
            "{\"events\":[1,,2]}",
        ] {
            assert!(split(text, Some("events")).is_none(), "{text}");
        }
    }

    #[test]
    fn shape_is_limited_without_recursion() {
        let limits = Limits { depth: 4, keys: 2, event_bytes: 3_000_000, ..Limits::default() };
        let check = |raw: &str| check_shape(0, raw, &limits).map_err(|rejection| rejection.code);
        assert_eq!(check(r#"{"a":[[[1]]],"b":"[[[[[["}"#), Ok(()));
        assert_eq!(check(r#"{"a":[[[[1]]]]}"#), Err("too_deep"));
        assert_eq!(check(&format!(r#"{{"a":{}"#, "[".repeat(1_000_000))), Err("too_deep"));
        assert_eq!(check(r#"{"a":{"x":1,"y":2},"b":{"x":1}}"#), Ok(()));
        assert_eq!(check(r#"{"a":{"x":1,"y":2,"z":3}}"#), Err("too_many_keys"));
        assert_eq!(check("[]"), Err("not_an_object"));
        assert_eq!(check(&format!("{{\"a\":\"{}\"}}", "x".repeat(3_000_000))), Err("too_large"));
    }

    proptest::proptest! {
        #[test]
        fn splitting_arbitrary_text_never_panics(text in ".*", key in proptest::option::of("events|[a-z\"\\\\]*")) {
            let _ = split_array(&text, key.as_deref());
            let _ = check_shape(0, &text, &Limits::default());
        }

        #[test]
        fn the_elements_of_a_json_array_are_found(values in proptest::collection::vec("[a-z\\[\\]{},:\"\\\\]*", 0..6)) {
            let text = serde_json::to_string(&values).unwrap();
            let (_, elements) = split_array(&text, None).unwrap();
            let found: Vec<String> = elements.list.into_iter().map(|e| serde_json::from_str(e.unwrap().get()).unwrap()).collect();
            proptest::prop_assert_eq!(found, values);
        }
    }
}
