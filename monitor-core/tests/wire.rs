//! What requests become, see `docs/protocol.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use monitor_core::{
    EventId, Kind,
    wire::{self, Context, FrameError, Limits, Parsed, SimpleForm},
};

const RECEIVED: i64 = 1_732_096_801_000;

fn parse(read: impl FnOnce(&mut Context<'_>) -> Result<Parsed, FrameError>) -> Result<Parsed, FrameError> {
    let mut next = 0;
    let mut new_id = || {
        next += 1;
        EventId(next)
    };
    read(&mut Context { project: "shop", received: RECEIVED, limits: &Limits::default(), new_id: &mut new_id })
}

fn envelope(body: &str) -> Result<Parsed, FrameError> {
    parse(|context| wire::envelope(body.as_bytes(), context))
}

fn simple(form: SimpleForm, body: &str) -> Result<Parsed, FrameError> {
    parse(|context| wire::simple(form, body.as_bytes(), context))
}

fn events(list: &str) -> Parsed {
    envelope(&format!(r#"{{"v":1,"events":[{list}]}}"#)).unwrap()
}

fn codes(parsed: &Parsed) -> Vec<(usize, &'static str)> {
    parsed.rejected.iter().map(|rejection| (rejection.index, rejection.code)).collect()
}

#[test]
fn the_documented_envelope_is_read_completely() {
    let document = include_str!("../../docs/protocol.md");
    let example = document.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let parsed = envelope(example).unwrap();
    let origin = &parsed.envelope.origin;
    assert_eq!((origin.project.as_str(), origin.received, origin.sent_at), ("shop", RECEIVED, Some(1_732_096_800_500)));
    assert_eq!((origin.release.as_str(), origin.user.as_str(), origin.page.route.as_str()), ("1.4.0", "42", "/cart"));
    assert_eq!((origin.sdk_label().as_str(), origin.device.connection.as_str()), ("monitor-kit.browser/0.1.0", "4g"));
    assert_eq!(origin.tags.get("tenant").unwrap(), "acme");
    let event = &parsed.envelope.events[0];
    assert_eq!((&event.kind, event.name.as_str(), event.value, event.seq), (&Kind::Vital, "LCP", Some(2_311.2), Some(12)));
    assert_eq!((event.time, event.attribute("target")), (1_732_096_800_123, "#hero > img"));
    assert_eq!(event.attribute("navigation_type"), "navigate");
    assert!(event.data.get().contains("visibility"));
    assert_eq!(parsed.discarded[0].count, 3);
    assert_eq!((parsed.positions, parsed.rejected.len()), (vec![0], 0));
}

#[test]
fn one_bad_event_is_refused_by_itself() {
    let good = r#"{"kind":"track","name":"a"}"#;
    let cases = [
        ("3", "not_an_object"),
        ("{}", "missing_kind"),
        (r#"{"kind":7}"#, "bad_kind"),
        (r#"{"kind":"Track Me"}"#, "bad_kind"),
        (r#"{"kind":"track","value":"x"}"#, "bad_value"),
        (r#"{"kind":"track","value":1e999}"#, "bad_value"),
        (r#"{"kind":"track","value":NaN}"#, "bad_json"),
        (r#"{"kind":"track","weight":0}"#, "bad_weight"),
        (r#"{"kind":"track","weight":0.99}"#, "bad_weight"),
        (r#"{"kind":"track","weight":-2}"#, "bad_weight"),
        (r#"{"kind":"track","weight":1e999}"#, "bad_weight"),
        (r#"{"kind":"track","weight":1e10}"#, "bad_weight"),
        (r#"{"kind":"track","weight":"2"}"#, "bad_weight"),
        (r#"{"kind":"track","weight":NaN}"#, "bad_json"),
        (r#"{"kind":"track","data":{"x":-Infinity}}"#, "bad_json"),
        ("{\"kind\":\"track\",\"data\":{\"x\":\"\u{1}\"}}", "bad_json"),
        (r#"{"kind":"track","kind":"click"}"#, "duplicate_field"),
        (r#"{"kind":"track","attributes":[1]}"#, "bad_attributes"),
        (r#"{"kind":"track","attributes":{"":"x"}}"#, "bad_attributes"),
        (r#"{"kind":"track","data":[1]}"#, "bad_data"),
        (r#"{"kind":"track","data":{"x":01}}"#, "bad_json"),
    ];
    for (bad, code) in cases {
        let parsed = events(&format!("{good},{bad},{good}"));
        assert_eq!(codes(&parsed), [(1, code)], "{bad}");
        assert_eq!(parsed.positions, [0, 2], "{bad}");
    }
    let deep = format!(r#"{{"kind":"track","data":{{"x":{}{}}}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(codes(&events(&format!("{good},{deep},{good}"))), [(1, "too_deep")]);
    let id = format!(r#"{{"kind":"track","id":"{}"}}"#, "a".repeat(200_000));
    assert_eq!(codes(&events(&format!("{good},{id},{good}"))), [(1, "bad_id")]);
}

#[test]
fn an_event_weighs_what_it_says_or_one() {
    let parsed =
        events(r#"{"kind":"track"},{"kind":"track","weight":null},{"kind":"track","weight":3.3333333333},{"kind":"track","weight":1e9}"#);
    let weights: Vec<f32> = parsed.envelope.events.iter().map(|event| event.weight).collect();
    assert_eq!(weights, [1.0, 1.0, 3.333_333_3, 1e9]);
}

#[test]
fn an_envelope_can_report_losses_and_nothing_else() {
    let parsed = envelope(r#"{"v":1,"discarded":[{"reason":"sample_rate","kind":"click","count":7}],"events":[]}"#).unwrap();
    assert!(parsed.envelope.events.is_empty() && parsed.rejected.is_empty());
    assert_eq!((parsed.discarded[0].reason.as_str(), parsed.discarded[0].count), ("sample_rate", 7));
}

#[test]
fn a_count_of_losses_need_not_be_whole() {
    let parsed =
        envelope(r#"{"v":1,"discarded":[{"reason":"a","count":3.5},{"reason":"b","count":-1},{"reason":"c","count":1e12}],"events":[]}"#)
            .unwrap();
    assert_eq!(parsed.discarded.iter().map(|lost| lost.count).collect::<Vec<_>>(), [4, 0, u32::MAX]);
}

#[test]
fn half_an_emoji_and_nul_do_not_cost_the_event() {
    let parsed = events(r#"{"kind":"track","name":"\ud83d","data":{"a":"\u0000","b":"\ude00"}}"#);
    let event = &parsed.envelope.events[0];
    assert_eq!((event.name.as_str(), event.data.get()), ("\u{fffd}", r#"{"a":"\ufffd","b":"\ufffd"}"#));
}

#[test]
fn ids_are_kept_made_or_deduplicated() {
    let id = "0193480e7c1b7cc2a5d2c0a1f1e2d3c4";
    let parsed = events(&format!(
        r#"{{"kind":"track","id":"{id}"}},{{"kind":"track","id":"no id"}},{{"kind":"track"}},{{"kind":"click","id":"{id}"}}"#
    ));
    let ids: Vec<_> = parsed.envelope.events.iter().map(|event| event.id).collect();
    assert_eq!(ids, [id.parse().unwrap(), EventId(1), EventId(2)]);
    assert_eq!(codes(&parsed), [(3, "duplicate_id")]);
    assert_eq!(parsed.positions, [0, 1, 2]);
}

#[test]
fn unreadable_times_become_the_time_of_arrival_and_are_flagged() {
    let parsed = events(r#"{"kind":"track","time":"2026-13-45"},{"kind":"track"},{"kind":"track","time":5}"#);
    let [unreadable, absent, old] = parsed.envelope.events.as_slice() else { panic!("three events") };
    assert_eq!(
        (unreadable.time, unreadable.attribute("clock"), unreadable.attribute("original_time")),
        (RECEIVED, "clamped", "2026-13-45")
    );
    assert_eq!((absent.time, absent.attribute("clock")), (RECEIVED, ""));
    assert_eq!(old.time, 5, "whether a time is plausible is the clock enricher's question");
}

#[test]
fn a_body_that_is_no_envelope_is_refused_as_a_whole() {
    for (body, code) in [
        ("", "empty"),
        (" \n", "empty"),
        ("null", "bad_frame"),
        ("5", "bad_frame"),
        ("{}", "bad_frame"),
        (r#"{"events":[]}"#, "bad_frame"),
        (r#"{"v":1}"#, "bad_frame"),
        (r#"{"v":2,"events":[]}"#, "unsupported_version"),
        (r#"{"v":1,"events":[{"kind":"track"}]"#, "bad_frame"),
        (r#"{"v":1,"events":[{"kind":"track"}]} x"#, "bad_frame"),
        (r#"{"v":1,"events":[{"kind":"track"}]}{}"#, "bad_frame"),
        (r#"{"v":1,"events":[{"kind":"track"}],}"#, "bad_frame"),
        (r#"{'v':1,'events':[]}"#, "bad_frame"),
        (r#"{"v":1,/**/"events":[]}"#, "bad_frame"),
    ] {
        assert_eq!(envelope(body).unwrap_err().code(), code, "{body}");
    }
    let error = parse(|context| wire::envelope(b"{\"v\":1,\"events\":[\xff]}", context)).unwrap_err();
    assert_eq!(error.code(), "not_utf8");
    let many = vec!["{}"; 501].join(",");
    assert_eq!(envelope(&format!(r#"{{"v":1,"events":[{many}]}}"#)).unwrap_err().code(), "too_many_events");
}

#[test]
fn numbers_are_taken_where_pages_set_them_instead_of_text() {
    let parsed =
        envelope(r#"{"v":1,"release":7,"session":{"user":{"id":42}},"tags":{"beta":true,"n":null},"events":[{"kind":"track","name":3}]}"#);
    let parsed = parsed.unwrap();
    let origin = &parsed.envelope.origin;
    assert_eq!((origin.release.as_str(), origin.user.as_str(), origin.tags.get("beta").unwrap().as_str()), ("7", "42", "true"));
    assert_eq!(parsed.envelope.events[0].name, "3");
}

#[test]
fn long_texts_are_cut_and_flagged() {
    let parsed = events(&format!(r#"{{"kind":"track","name":"{}"}}"#, "é".repeat(2_000)));
    let event = &parsed.envelope.events[0];
    assert_eq!((event.name.len(), event.attribute("truncated")), (256, "name"));
}

#[test]
fn the_simple_forms_become_events() {
    let body = r#"{"event_type":"page_view","timestamp":1732096800000,"user":{"id":9},"page":{"url":"https://shop.example/x","title":"X"},"data":{"a":1}}"#;
    let parsed = simple(SimpleForm::Events, body).unwrap();
    assert_eq!((&parsed.envelope.events[0].kind, parsed.envelope.origin.user.as_str()), (&Kind::PageView, "9"));
    assert_eq!(parsed.envelope.origin.page.url, "https://shop.example/x");
    let parsed = simple(SimpleForm::Events, r#"{"event_type":"Added to cart","page":"https://shop.example","data":[1]}"#).unwrap();
    let event = &parsed.envelope.events[0];
    assert_eq!((&event.kind, event.name.as_str(), event.data.get()), (&Kind::Track, "Added to cart", r#"{"value":[1]}"#));

    let body = r#"{"type":"error","level":"error","error":{"name":"TypeError","message":"x","stack":"at a"},"url":"https://s/","user":"u","session_id":"s","release":"1","tags":{"a":"b"}}"#;
    let parsed = simple(SimpleForm::Monitoring, body).unwrap();
    let (origin, event) = (&parsed.envelope.origin, &parsed.envelope.events[0]);
    assert_eq!((&event.kind, event.name.as_str(), event.attribute("level")), (&Kind::Error, "TypeError", "error"));
    assert_eq!((origin.session.as_str(), origin.release.as_str(), origin.user.as_str()), ("s", "1", "u"));

    let parsed = simple(SimpleForm::Metric, r#"{"name":"LCP","value":1200.5,"timestamp":1732096800000}"#).unwrap();
    assert_eq!((&parsed.envelope.events[0].kind, parsed.envelope.events[0].value), (&Kind::Vital, Some(1_200.5)));
    let parsed = simple(SimpleForm::Metrics, r#"[{"name":"LCP","value":1},{"name":"x","value":NaN},{"name":"cart","value":3}]"#).unwrap();
    assert_eq!((codes(&parsed), parsed.positions), (vec![(1, "bad_json")], vec![0, 2]));
    assert_eq!(simple(SimpleForm::Metric, r#"{"name":"LCP"}"#).unwrap_err().code(), "bad_frame");
    assert_eq!(simple(SimpleForm::Events, "[]").unwrap_err().code(), "bad_frame");
}

#[test]
fn what_a_frame_says_in_another_shape_does_not_cost_its_events() {
    for odd in ["true", "7", r#""x""#, "[[1]]", r#"{"a":{"b":[]}}"#, "null", "1.5", "-1"] {
        for member in ["sdk", "page", "session", "device", "tags", "release", "environment", "attempt", "discarded", "sent_at"] {
            let body = format!(r#"{{"v":1,"{member}":{odd},"events":[{{"kind":"track","name":"x"}}]}}"#);
            let parsed = envelope(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!(parsed.envelope.events.len(), 1, "{body}");
        }
        let body = format!(
            r#"{{"v":1,"page":{{"id":"p","route":{odd},"url":"/u"}},"session":{{"id":"s","user":{odd}}},"tags":{{"a":{odd},"b":"c"}},"events":[{{"kind":"track","name":"x"}}]}}"#
        );
        let origin = envelope(&body).unwrap_or_else(|error| panic!("{body}: {error}")).envelope.origin;
        assert_eq!((&*origin.page.id, &*origin.page.url, &*origin.session), ("p", "/u", "s"), "{body}");
        assert_eq!(origin.tags.get("b").map(String::as_str), Some("c"), "{body}");
        let text = match odd {
            r#""x""# => "x",
            "null" => "",
            odd if odd.starts_with(['[', '{']) => "",
            odd => odd,
        };
        assert_eq!((&*origin.page.route, &*origin.user), (text, text), "{body}");
    }
}
