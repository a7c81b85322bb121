//! Keeps secrets out of everything that is stored: values of telling names in details, attributes, URLs, header lines and JSON that
//! stands in a text, user names in URLs, bearer tokens and JSON web tokens.
//!
//! It works on JSON *text*: one pass of a many-pattern search decides whether there is anything to look at, which for most
//! events there is not. Only then is the text walked, and everything but the secrets is copied byte for byte.

mod json;
mod text;

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use self::{
    json::scrub_json,
    text::{may_have_secret_parameter, scrub_text},
};
use crate::{Attributes, Enricher, Event, Origin, Verdict};

/// What stands in the place of a secret.
const SCRUBBED: &str = "[scrubbed]";

/// A name that contains one of these (letters and digits only, lower case) names a secret.
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
];

/// As the words above, but only as a word of its own: `className` contains it, too.
const SECRET_WHOLE_WORD: &str = "ssn";

/// What every suspicious text contains, unless its only secrets are parameters: a part of each word above that no separator (`api_key`)
/// divides, a user part (`://user:password@host`), a token, or a name that hides behind an escape.
const TRACES: &[&str] = &[
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "auth",
    "cookie",
    "credential",
    "card",
    "cvv",
    "jwt",
    "ssn",
    "@",
    "bearer",
    "basic",
    "eyj",
    "\\u00",
];

/// Names of numbers *about* secrets: `token_count`, `maxTokens`.
const COUNTS: &[&str] = &[
    "age",
    "cookies",
    "count",
    "expires",
    "index",
    "length",
    "limit",
    "max",
    "min",
    "remaining",
    "secrets",
    "size",
    "tokens",
    "total",
    "ttl",
    "used",
];

/// Replaces secrets by `[scrubbed]`, see the module.
#[derive(Debug)]
pub struct Scrub {
    /// Finds texts that may hold a secret; may find too much, never too little.
    suspicious: Option<AhoCorasick>,
}

impl Default for Scrub {
    fn default() -> Scrub {
        let suspicious = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(TRACES)
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
            // A bug in here must lose the details, not let a secret through.
            event.data = serde_json::value::RawValue::from_string(scrubbed).unwrap_or_else(|_| crate::empty_object());
        }
        Verdict::Keep
    }
}

impl Scrub {
    fn is_suspicious(&self, text: &str) -> bool {
        self.suspicious.as_ref().is_none_or(|traces| traces.is_match(text)) || may_have_secret_parameter(text)
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
            if !is_secret_key(key) {
                self.scrub(value);
            } else if may_be_secret(key, value) {
                *value = SCRUBBED.into();
            }
        }
    }
}

/// Letters and digits of a name, in lower case: the same for `api_key`, `apiKey` and `API-Key`.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_secret_key(key: &str) -> bool {
    // The shortest words.
    if key.len() < 3 {
        return false;
    }
    let plain = plain(key);
    SECRET_WORDS.iter().any(|word| plain.contains(word)) || (plain.contains(SECRET_WHOLE_WORD) && has_word(key, &[SECRET_WHOLE_WORD]))
}

/// Whether one of the words stands in a name as a word of its own: `token_count`, `tokenCount`.
fn has_word(name: &str, words: &[&str]) -> bool {
    let mut start = 0;
    let mut is_lower = false;
    for (at, c) in name.char_indices().chain([(name.len(), '_')]) {
        if !c.is_ascii_alphanumeric() || (is_lower && c.is_ascii_uppercase()) {
            let word = name.get(start..at).unwrap_or_default();
            if words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)) {
                return true;
            }
            start = if c.is_ascii_alphanumeric() { at } else { at + c.len_utf8() };
        }
        is_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    false
}

/// Whether the value of a secret key (a JSON value, or plain text) can be the secret. `true`, `null` and counts cannot: `cookieEnabled`, `tokens`.
fn may_be_secret(key: &str, value: &str) -> bool {
    match value {
        "true" | "false" | "null" => false,
        _ if value.starts_with(|c: char| c.is_ascii_digit() || c == '-') && value.parse::<f64>().is_ok() => !has_word(key, COUNTS),
        _ => true,
    }
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
            ("https://h/?password=a)b-c&d=1", "https://h/?password=[scrubbed]&d=1"),
            ("https://h/?password=p;q6&d=1", "https://h/?password=[scrubbed]&d=1"),
            ("https://h/?password=p;q;", "https://h/?password=[scrubbed];"),
            ("password=p;user=me", "password=[scrubbed];user=me"),
            ("password=p; path=/", "password=[scrubbed]; path=/"),
            ("at f (https://h/?token=x)", "at f (https://h/?token=[scrubbed])"),
            ("(eval at f (https://h/?token=x), <anonymous>)", "(eval at f (https://h/?token=[scrubbed]), <anonymous>)"),
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
            (r#"{ "apiKey" : {"x":["}",1]} , "n":1e3}"#, r#"{ "apiKey" : "[scrubbed]" , "n":1e3}"#),
            (
                r#"{"a":[{"X-Auth-Token":17},{"set-cookie":["a=b"]}]}"#,
                r#"{"a":[{"X-Auth-Token":"[scrubbed]"},{"set-cookie":"[scrubbed]"}]}"#,
            ),
            (r#"{"p\u0061ssword":"a"}"#, r#"{"p\u0061ssword":"[scrubbed]"}"#),
            (r#"{"note":"my password is x"}"#, r#"{"note":"my password is x"}"#),
            (r#"{"url":"https://h/?sig=a\u0026b","t":"x=\"1\""}"#, r#"{"url":"https://h/?sig=[scrubbed]&b","t":"x=\"1\""}"#),
            (r#"{"log":"GET https://u:p@h/a \"ok\""}"#, r#"{"log":"GET https://[scrubbed]@h/a \"ok\""}"#),
            (r#"{"secret":"","token":17}"#, r#"{"secret":"[scrubbed]","token":"[scrubbed]"}"#),
            (r#"{"ok":"a\\","token":"b"}"#, r#"{"ok":"a\\","token":"[scrubbed]"}"#),
        ];
        for (given, expected) in cases {
            assert_eq!(data(given), expected);
        }
    }

    #[test]
    fn secrets_are_found_however_they_are_written() {
        let texts = [
            // JSON in a string, once and twice, whole and as a part of a message.
            r#"{"user":"a","password":"planted"}"#,
            r#"{"headers":"{\"authorization\":\"planted\"}"}"#,
            r#"POST failed: {"password": "planted \"quoted\" planted", "a": 1"#,
            r#"POST failed: {\"api_key\":\"planted\\\"planted\",\"a\":1}"#,
            "options { password: 'planted', user: 'x' }",
            r#"sent {"token":{"a":"planted"},"n":1}"#,
            // Pairs and named values, in a body.
            r#"[["accept","*/*"],["authorization","Bearer planted"]]"#,
            r#"{"fields":[{"name":"email","value":"x"},{"value":"planted","name":"password"}]}"#,
            // Header lines, cookies, tokens.
            "Request failed\nAuthorization: Basic planted\nAccept: */*",
            "Cookie: theme=dark; session=planted; x=planted",
            "curl -H 'X-Api-Key: planted' https://h/",
            "theme=dark; PHPSESSID=planted; connect.sid=planted",
            "rejected Bearer planted-7f21",
            "rejected eyJplanted.eyJplanted.planted for you",
            // URLs.
            "GET https://h/cb?code=planted&state=planted failed",
            "https://h/?user%5Bpassword%5D=planted",
            "https://h/?a=1&next=%2Fx%3Ftoken%3Dplanted%26b%3D2",
            "https://h/?a=1&next=%252Fx%253Fa%253D1%2526token%253Dplanted%2526b",
            "https://h/?body=%7B%22password%22%3A%22planted%22%7D",
            "https://h/?session_id=planted#/x?access_token=planted",
            r"https:\/\/planted:planted@h\/x",
            "<a token=\"planted\">",
            "client_secret='planted planted'",
        ];
        for text in texts {
            let json = serde_json::json!({ "x": text }).to_string();
            let html_safe = json.replace('=', "\\u003d").replace('&', "\\u0026").replace('/', "\\/");
            for json in [&json, &html_safe] {
                let scrubbed = data(json);
                assert!(!scrubbed.contains("planted"), "{json}\n{scrubbed}");
                assert!(serde_json::from_str::<serde_json::Value>(&scrubbed).is_ok(), "{scrubbed}");
            }
            // Without the rest of the details to raise suspicion.
            let mut title = text.to_owned();
            Scrub::default().scrub(&mut title);
            assert!(!title.contains("planted") || title.starts_with(['{', '[']), "{title}");
        }
        for json in [r#"{"h":[["x-api-key","planted"]]}"#, r#"{"h":[{"value":"planted","key":"cookie"}]}"#] {
            assert!(!data(json).contains("planted"), "{json}");
        }
    }

    #[test]
    fn what_only_sounds_like_a_secret_stays() {
        let harmless = [
            r#"{"className":"btn","businessName":"x","processName":"y"}"#,
            r#"{"tokens":512,"max_tokens":9,"tokenCount":3,"cookieEnabled":true,"password":null}"#,
            r#"{"keyboard":"qwerty","keyCode":13,"key":"Enter","code":"KeyA","state":"open","author":"me"}"#,
            r#"{"message":"Unexpected token: end of input"}"#,
            r#"{"message":"Unexpected token '<', \"<!doctype \"... is not valid JSON"}"#,
            r#"{"message":"request failed with code=ECONNRESET status=500 key=3"}"#,
            r#"{"message":"Bearer authentication is required, my password is x"}"#,
            r##"{"target":"input[name=email] > a[data-key=x]","fields":["email","name"]}"##,
            r#"{"stack":"at f (https://h/app.js?v=3:10:22)\n    at g@https://h/b.js:1:2"}"#,
        ];
        for json in harmless {
            assert_eq!(data(json), json);
        }
        assert_eq!(
            data(r#"{"stack":"at f (https://h/app.js?key=abc:10:22)"}"#),
            r#"{"stack":"at f (https://h/app.js?key=[scrubbed]:10:22)"}"#,
            "the frame can still be read"
        );
    }

    #[test]
    fn the_largest_event_takes_no_longer_whatever_is_in_it() {
        let pieces = [
            "=",
            ":",
            "a=",
            "%3D",
            "token%3D",
            "%25",
            "%253D",
            "token=",
            "password: '",
            "\"token\":{",
            "://",
            "://@",
            ":\\/\\/",
            "cookie:",
            " ",
            "'",
            "\\",
            "bearer ",
            "bearer bearer",
            "eyJ.",
            "{\"a\":",
            "[",
            "a%3A",
            "\"token\":\\\"",
            "Bearer=",
            ";",
            "é=",
            "; token",
            "\\\"password\\\":",
            "[\"token\",",
        ];
        let start = std::time::Instant::now();
        for piece in pieces {
            let text = piece.repeat(256 * 1024 / piece.len());
            let _ = url(&text);
            let json = serde_json::json!({ "token=": text, "x": [&text] }).to_string();
            let _ = data(&json);
        }
        for piece in
            [r#"["token","a"],"#, r#"{"name":"token","value":"a"},"#, r#"{"token":[["#, "\"\",", r#"{"name":"token"},"#, "[", "       "]
        {
            let json = format!("{{\"token\":0,\"x\":[{}", piece.repeat(256 * 1024 / piece.len()));
            let _ = json::scrub_json(&json);
        }
        // A text of this size is walked in some ms; what is quadratic takes minutes.
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
    }

    #[test]
    fn attributes_and_tags_are_scrubbed() {
        let mut event = Event::new(EventId(1), 0, Kind::Request, "fetch");
        event.attributes.insert("target".into(), "https://h/a?key=1".into());
        event.attributes.insert("session_token".into(), "x".into());
        assert_eq!(Scrub::default().enrich(&mut event, &Origin::new("shop", 0)), Verdict::Keep);
        assert_eq!((event.attribute("target"), event.attribute("session_token")), ("https://h/a?key=[scrubbed]", "[scrubbed]"));
    }

    #[test]
    fn details_that_are_scrubbed_are_scrubbed_once() {
        let once = data(r#"{"a":"token=x&b=1","password":"y","c":"Cookie: a=b"}"#);
        assert_eq!(data(&once), once);
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
        fn json_in_json_stays_json(
            texts in proptest::collection::vec("(.|[\"\\\\{}:=@]|token|password|\"token\":|://|%3D|Bearer |[a-z]){0,20}", 1..4), levels in 0usize..4,
        ) {
            let mut value = serde_json::json!({"a": texts, "password": "planted"});
            for _ in 0..levels {
                value = serde_json::json!({"body": value.to_string()});
            }
            let scrubbed = data(&value.to_string());
            proptest::prop_assert!(!scrubbed.contains("planted"), "{}", scrubbed);
            proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&scrubbed).is_ok(), "{}", scrubbed);
        }

        #[test]
        fn the_first_look_never_misses_what_the_thorough_one_finds(
            text in "([a-z&?#;=%\\[\\].\"'+: ]|code|Email|PHPSESSID|session[_-]id|pi[-_.]n|%3[dD]|%26|%253D|%5B|%63ode|sig|state){0,30}",
        ) {
            let scrub = Scrub::default();
            let changed = matches!(scrub_text(&text), Cow::Owned(_));
            proptest::prop_assert!(!changed || scrub.is_suspicious(&text), "{}", text);
            let json = serde_json::json!({"a": text}).to_string();
            proptest::prop_assert!(scrub_json(&json).is_none() || scrub.is_suspicious(&json), "{}", json);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "(.|[?&#=@%:;\"'\\\\ ]|://|token|password|%3[dD]|%25|%26|eyJ|bearer ){0,40}") {
            let _ = scrub_text(&text);
            let _ = url(&text);
        }
    }
}
