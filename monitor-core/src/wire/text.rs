//! Text repair: what clients really send is not always what JSON and a database accept.

use std::borrow::Cow;

use memchr::memchr;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// Strips a byte order mark and replaces what a JSON parser or a database would refuse for the whole text: escaped lone
/// surrogates (`"\ud83d"`, an emoji that was cut in half) and escaped NUL, each by U+FFFD. Borrows when nothing is to do.
pub(super) fn repair(body: &[u8]) -> Cow<'_, [u8]> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut repaired: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = body.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        let escape = at + found;
        let Some(unit) = unicode_escape(body, escape) else {
            // Another escape, `\\` among them: two bytes.
            at = escape + 2;
            continue;
        };
        at = escape + 6;
        let lone = match unit {
            0 => true,
            0xd800..=0xdbff => match unicode_escape(body, at) {
                Some(0xdc00..=0xdfff) => {
                    at += 6;
                    false
                }
                _ => true,
            },
            0xdc00..=0xdfff => true,
            _ => false,
        };
        if lone && let Some(digits) = repaired.get_or_insert_with(|| body.to_vec()).get_mut(escape + 2..escape + 6) {
            digits.copy_from_slice(b"fffd");
        }
    }
    match repaired {
        Some(repaired) => Cow::Owned(repaired),
        None => Cow::Borrowed(body),
    }
}

/// The code unit of `\uXXXX` at this place.
fn unicode_escape(body: &[u8], at: usize) -> Option<u32> {
    let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Cuts at a character boundary; says whether it had to.
pub(super) fn truncate(text: &mut String, max: usize) -> bool {
    let cut = text.len() > max;
    if cut {
        text.truncate(text.floor_char_boundary(max));
    }
    cut
}

/// Text, or a number or boolean as text, or null as `""`: pages often set a numeric id where a text is meant.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_any(TextVisitor::<false>)
    }
}

/// The same; a list or an object counts as absent. For what a frame says about its events, which are worth more than that.
#[derive(Debug, Default, PartialEq)]
pub(super) struct AnyText(pub(super) Text);

impl<'de> Deserialize<'de> for AnyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AnyText, D::Error> {
        deserializer.deserialize_any(TextVisitor::<true>).map(AnyText)
    }
}

impl From<AnyText> for Text {
    fn from(text: AnyText) -> Text {
        text.0
    }
}

struct TextVisitor<const TAKES_ANYTHING: bool>;

impl<'de, const TAKES_ANYTHING: bool> de::Visitor<'de> for TextVisitor<TAKES_ANYTHING> {
    type Value = Text;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.into()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
        if !TAKES_ANYTHING {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        while list.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        if !TAKES_ANYTHING {
            return Err(de::Error::invalid_type(de::Unexpected::Map, &self));
        }
        while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
}

/// What has another shape than it should counts as absent, see [`AnyText`].
pub(super) fn or_absent<'de, D: Deserializer<'de>, T: de::DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parsers_refuse_is_replaced_in_place() {
        let cases = [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ude00 x""#, r#""\ufffd x""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""a\u0000b""#, r#""a\ufffdb""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            ("\u{feff}{}", "{}"),
            ("\"\\u12", "\"\\u12"),
            ("\\", "\\"),
        ];
        for (given, expected) in cases {
            assert_eq!(std::str::from_utf8(&repair(given.as_bytes())).unwrap(), expected, "{given}");
        }
        assert!(matches!(repair(br#"{"a":"\n\u00e9"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn text_is_cut_between_characters() {
        let mut text = "é😀é".to_owned();
        assert!(truncate(&mut text, 5));
        assert_eq!(text, "é");
        assert!(!truncate(&mut text, 2));
    }

    proptest::proptest! {
        #[test]
        fn repaired_json_strings_always_parse(units in proptest::collection::vec(proptest::num::u16::ANY, 0..20)) {
            let text: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("\"{text}\"");
            let parsed: Result<String, _> = serde_json::from_slice(&repair(json.as_bytes()));
            proptest::prop_assert!(parsed.is_ok_and(|text| !text.contains('\0')));
        }
    }
}
