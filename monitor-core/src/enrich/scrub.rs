//! Keeps secrets out of everything that is stored: values of telling keys in details and attributes, and of telling
//! parameters and user names in URLs, wherever a URL stands in a text.
//!
//! It works on JSON *text*: one pass of a many-pattern search decides whether there is anything to look at, which for most
//! events there is not. Only then is the text walked, and everything but the secrets is copied byte for byte.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::{Attributes, Enricher, Event, Json, Origin, Verdict};

/// What stands in the place of a secret.
const SCRUBBED: &str = "[scrubbed]";

/// A key or parameter whose name contains one of these (letters and digits only, lower case) holds a secret.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
    "cookie",
    "credential",
    "creditcard",
    "cardnumber",
    "cvv",
    "jwt",
    "ssn",
];

/// As the words above are written in practice: with a separator.
const SPELLINGS: &[&str] = &[
    "api_key",
    "api-key",
    "access_key",
    "access-key",
    "private_key",
    "private-key",
    "credit_card",
    "credit-card",
    "card_number",
    "card-number",
];

/// A URL parameter of exactly this name holds a secret, too; as a key of an object these words are harmless.
const SECRET_PARAMETERS: &[&str] =
    &["auth", "code", "email", "key", "mail", "otp", "pass", "pin", "sessionid", "sid", "sig", "signature", "state"];

/// Replaces secrets by `[scrubbed]`, see the module.
#[derive(Debug)]
pub struct Scrub {
    /// Finds texts that may hold a secret; may find too much, never too little.
    suspicious: Option<AhoCorasick>,
}

impl Default for Scrub {
    fn default() -> Scrub {
        let mut patterns: Vec<String> = SECRET_WORDS.iter().chain(SPELLINGS).map(|word| (*word).to_owned()).collect();
        for name in SECRET_PARAMETERS {
            patterns.push(format!("{name}="));
            patterns.push(format!("{name}%3d"));
        }
        // `://user:password@host`, and a key that hides behind an escape.
        patterns.extend(["@".into(), "\\u00".into()]);
        let suspicious = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(patterns)
            // Fails closed: without the search every text is walked.
            .ok();
        Scrub { suspicious }
    }
}

impl Enricher for Scrub {
    fn name(&self) -> &'static str {
        "scrub"
    }

    fn enrich_origin(&self, origin: &mut Origin) {
        let page = &mut origin.page;
        for text in [&mut page.url, &mut page.route, &mut page.referrer, &mut page.title] {
            self.scrub(text);
        }
        self.scrub_attributes(&mut origin.tags);
    }

    fn enrich(&self, event: &mut Event, _origin: &Origin) -> Verdict {
        self.scrub(&mut event.name);
        self.scrub_attributes(&mut event.attributes);
        if self.is_suspicious(event.data.get())
            && let Some(scrubbed) = scrub_json(event.data.get())
        {
            event.data = scrubbed;
        }
        Verdict::Keep
    }
}

impl Scrub {
    fn is_suspicious(&self, text: &str) -> bool {
        self.suspicious.as_ref().is_none_or(|words| words.is_match(text))
    }

    fn scrub(&self, text: &mut String) {
        if self.is_suspicious(text)
            && let Cow::Owned(scrubbed) = scrub_text(text)
        {
            *text = scrubbed;
        }
    }

    fn scrub_attributes(&self, attributes: &mut Attributes) {
        for (key, value) in attributes {
            if is_secret_key(key) {
                *value = SCRUBBED.into();
            } else {
                self.scrub(value);
            }
        }
    }
}

fn is_secret_key(key: &str) -> bool {
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    SECRET_WORDS.iter().any(|word| plain.contains(word))
}

fn is_secret_parameter(name: &str) -> bool {
    is_secret_key(name) || SECRET_PARAMETERS.iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// JSON text with the values of secret keys replaced and every other string scrubbed as text. The input is valid JSON (it
/// comes from a parser), so this only has to tell keys, strings and the rest apart. `None` when nothing changed.
fn scrub_json(json: &str) -> Option<Json> {
    let mut out = String::with_capacity(json.len());
    let mut changed = false;
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (before, from_quote) = rest.split_at(start);
        out.push_str(before);
        let (string, after) = split_string(from_quote);
        let is_key = after.trim_ascii_start().starts_with(':');
        if is_key && is_secret_key(&unescape(string)) {
            let colon = after.find(':').map_or(0, |at| at + 1);
            let (between, value) = after.split_at(colon);
            let value = value.trim_ascii_start();
            out.push_str(string);
            out.push_str(between);
            out.push('"');
            out.push_str(SCRUBBED);
            out.push('"');
            rest = value.get(value_length(value)..).unwrap_or_default();
            changed = true;
        } else {
            match scrub_text(string) {
                Cow::Borrowed(same) => out.push_str(same),
                Cow::Owned(scrubbed) => {
                    out.push_str(&scrubbed);
                    changed = true;
                }
            }
            rest = after;
        }
    }
    out.push_str(rest);
    if !changed {
        return None;
    }
    // A bug in here must lose the details, not let a secret through.
    Some(serde_json::value::RawValue::from_string(out).unwrap_or_else(|_| crate::empty_object()))
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

fn unescape(literal: &str) -> Cow<'_, str> {
    if literal.contains('\\') {
        serde_json::from_str::<String>(literal).map_or(Cow::Borrowed(literal), Cow::Owned)
    } else {
        Cow::Borrowed(literal)
    }
}

/// Length of the JSON value at the start of the text.
fn value_length(text: &str) -> usize {
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

/// Replaces the values of secret parameters (`?token=…`, `&email=…`, `#access_token=…`, percent-encoded ones too) and
/// the user part of URLs (`https://user:password@host`). Works on plain text and inside a JSON string literal alike.
fn scrub_text(text: &str) -> Cow<'_, str> {
    let text = scrub_user_part(Cow::Borrowed(text));
    let mut out = String::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(sign) = next_equals(&text, from) {
        let name = parameter_name(text.get(from..sign.start).unwrap_or_default());
        from = sign.end;
        if !is_secret_parameter(name) {
            continue;
        }
        let value = text.get(sign.end..).unwrap_or_default();
        let length = value_end(value, sign.encoded);
        out.push_str(text.get(copied..sign.end).unwrap_or_default());
        out.push_str(SCRUBBED);
        copied = sign.end + length;
        from = copied;
    }
    if copied == 0 {
        return text;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

struct Equals {
    start: usize,
    end: usize,
    /// Written as `%3D`, as in a URL that is itself a parameter.
    encoded: bool,
}

fn next_equals(text: &str, from: usize) -> Option<Equals> {
    let rest = text.get(from..)?;
    let plain = rest.find('=').map(|at| Equals { start: from + at, end: from + at + 1, encoded: false });
    let encoded =
        rest.find("%3D").into_iter().chain(rest.find("%3d")).min().map(|at| Equals { start: from + at, end: from + at + 3, encoded: true });
    match (plain, encoded) {
        (Some(plain), Some(encoded)) if encoded.start < plain.start => Some(encoded),
        (plain, encoded) => plain.or(encoded),
    }
}

/// The name right before an equals sign.
fn parameter_name(before: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']' | '$');
    let name = before.rsplit(|c| !is_name(c)).next().unwrap_or_default();
    // `%26token`: the two digits of an encoded delimiter look like a part of the name.
    let encoded = before.len() > name.len() && before.as_bytes().get(before.len() - name.len() - 1) == Some(&b'%');
    if encoded { name.get(2..).unwrap_or_default() } else { name }
}

/// Length of a parameter's value.
fn value_end(value: &str, encoded: bool) -> usize {
    let plain = value
        .find(|c: char| c.is_whitespace() || matches!(c, '&' | '#' | ';' | '"' | '\'' | '\\' | '<' | '>' | ')'))
        .unwrap_or(value.len());
    if !encoded {
        return plain;
    }
    ["%26", "%23", "%3B", "%3b"].iter().filter_map(|end| value.find(end)).min().map_or(plain, |end| end.min(plain))
}

fn scrub_user_part(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains('@') {
        return text;
    }
    let mut out = String::new();
    let mut rest: &str = &text;
    let mut changed = false;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        out.push_str(before);
        let authority =
            after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\\' | '<' | '>' | ')')).unwrap_or(after.len());
        match after.get(..authority).and_then(|authority| authority.rfind('@')) {
            Some(at) => {
                out.push_str(SCRUBBED);
                changed = true;
                rest = after.get(at..).unwrap_or_default();
            }
            None => rest = after,
        }
    }
    if !changed {
        return text;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventId, Kind};

    fn data(json: &str) -> String {
        let mut event = Event::new(EventId(1), 0, Kind::Track, "x");
        event.data = serde_json::value::RawValue::from_string(json.into()).unwrap();
        assert_eq!(Scrub::default().enrich(&mut event, &Origin::new("shop", 0)), Verdict::Keep);
        event.data.get().to_owned()
    }

    fn url(text: &str) -> String {
        let mut origin = Origin::new("shop", 0);
        origin.page.url = text.into();
        Scrub::default().enrich_origin(&mut origin);
        origin.page.url
    }

    #[test]
    fn secrets_in_urls_are_replaced() {
        let cases = [
            ("https://x/?token=abc&a=1", "https://x/?token=[scrubbed]&a=1"),
            ("https://x/?a=1&Email=me@example.org#access_token=zz", "https://x/?a=1&Email=[scrubbed]#access_token=[scrubbed]"),
            ("https://u:p@h/x?y=1", "https://[scrubbed]@h/x?y=1"),
            ("https://h/x?reset_password_code=9&code=7", "https://h/x?reset_password_code=[scrubbed]&code=[scrubbed]"),
            (
                "https://h/?next=https%3A%2F%2Fx%3Fa%3D1%26token%3Dabc%26b%3D2&c=3",
                "https://h/?next=https%3A%2F%2Fx%3Fa%3D1%26token%3D[scrubbed]%26b%3D2&c=3",
            ),
            ("https://h/?user[password]=x", "https://h/?user[password]=[scrubbed]"),
            ("https://h/?zipcode=1&keyword=2&a=b", "https://h/?zipcode=1&keyword=2&a=b"),
            ("mail me@example.org", "mail me@example.org"),
        ];
        for (given, expected) in cases {
            assert_eq!(url(given), expected);
        }
    }

    #[test]
    fn secrets_in_details_are_replaced_and_the_rest_is_kept_byte_for_byte() {
        let cases = [
            (r#"{"password":"a","b":1.0}"#, r#"{"password":"[scrubbed]","b":1.0}"#),
            (r#"{ "apiKey" : {"x":["}",1]} , "n":1e3}"#, r#"{ "apiKey" :"[scrubbed]" , "n":1e3}"#),
            (
                r#"{"a":[{"X-Auth-Token":17},{"set-cookie":["a=b"]}]}"#,
                r#"{"a":[{"X-Auth-Token":"[scrubbed]"},{"set-cookie":"[scrubbed]"}]}"#,
            ),
            (r#"{"p\u0061ssword":"a"}"#, r#"{"p\u0061ssword":"[scrubbed]"}"#),
            (r#"{"note":"my password is x"}"#, r#"{"note":"my password is x"}"#),
            (r#"{"url":"https://h/?sig=a\u0026b","t":"x=\"1\""}"#, r#"{"url":"https://h/?sig=[scrubbed]\u0026b","t":"x=\"1\""}"#),
            (r#"{"log":"GET https://u:p@h/a \"ok\""}"#, r#"{"log":"GET https://[scrubbed]@h/a \"ok\""}"#),
            (r#"{"secret":null,"token":true}"#, r#"{"secret":"[scrubbed]","token":"[scrubbed]"}"#),
            (r#"{"ok":"a\\","token":"b"}"#, r#"{"ok":"a\\","token":"[scrubbed]"}"#),
        ];
        for (given, expected) in cases {
            assert_eq!(data(given), expected);
        }
    }

    #[test]
    fn attributes_and_tags_are_scrubbed() {
        let mut event = Event::new(EventId(1), 0, Kind::Request, "fetch");
        event.attributes.insert("target".into(), "https://h/a?key=1".into());
        event.attributes.insert("session_token".into(), "x".into());
        assert_eq!(Scrub::default().enrich(&mut event, &Origin::new("shop", 0)), Verdict::Keep);
        assert_eq!((event.attribute("target"), event.attribute("session_token")), ("https://h/a?key=[scrubbed]", "[scrubbed]"));
    }

    proptest::proptest! {
        #[test]
        fn scrubbing_keeps_json_valid_and_removes_the_secret(
            key in "[a-z\"\\\\é]{0,6}(password|TOKEN|api-key)[a-z\"]{0,4}", value in ".{0,20}", other in ".{0,30}",
        ) {
            let json = serde_json::json!({"a": {"other": other, key.clone(): format!("planted-{value}")}}).to_string();
            let scrubbed = data(&json);
            proptest::prop_assert!(!scrubbed.contains("planted-"), "{}", scrubbed);
            let parsed: serde_json::Value = serde_json::from_str(&scrubbed).unwrap();
            proptest::prop_assert_eq!(&parsed["a"][&key], SCRUBBED);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "(.|[?&#=@%]|://|token|%3[dD]|%26){0,40}") {
            let _ = scrub_text(&text);
            let _ = url(&text);
        }
    }
}
