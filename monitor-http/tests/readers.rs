//! What readers get: every question reaches the store, in every format, and an export ends as it should.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something else than it expects fails"
)]

mod common;

use std::sync::{Arc, atomic::Ordering};

use common::{
    Running, Scene, get, post, post_json, quick, scene_with, serve,
    store::{Recorder, question},
};
use monitor_core::{Labelled, QueryError};
use monitor_http::{
    Config, ServerConfig,
    access::{Accounts, Identity, Role, Token},
};
use serde_json::{Value, json};

const VIEWER: &str = "Authorization: Bearer token-of-the-test-viewer";
const EDITOR: &str = "Authorization: Bearer token-of-the-test-editor";
const CSV: &str = "Accept: text/csv";
const LINES: &str = "Accept: application/x-ndjson";

fn reading(store: Recorder, config: Config) -> (Arc<Recorder>, Scene, Running) {
    let store = Arc::new(store);
    let token =
        |role: Role| Token::new(Identity::new(role.to_string()).in_project("shop", role), &format!("token-of-the-test-{role}")).unwrap();
    let access = Accounts::builder().token(token(Role::Viewer)).token(token(Role::Editor)).build().unwrap();
    let scene = scene_with(vec![], None, |builder| builder.store(store.clone()).access(access).config(config));
    let server = serve(scene.service.clone(), quick().1);
    (store, scene, server)
}

#[test]
fn every_question_reaches_the_store() {
    let (store, _scene, server) = reading(Recorder::with_events(1), quick().0);
    let paths = [
        ("/query", "query"),
        ("/query/events", "events"),
        ("/query/events/export", "events"),
        ("/query/funnel", "funnel"),
        ("/query/retention", "retention"),
        ("/query/paths", "paths"),
        ("/query/sessions", "sessions"),
        ("/query/issues", "issues"),
    ];
    for (path, method) in paths {
        let answer = server.ask(post_json(path, &[VIEWER], &question(path, "shop")));
        assert!(answer.status == 200 && answer.text().contains("secret-of-shop"), "{path}: {}", answer.text());
        assert_eq!(store.calls().last().unwrap(), &(method, "shop".to_owned()), "{path}");
        // What its type does not know, and what the type cannot check.
        let mut wrong = question(path, "shop");
        wrong["sql"] = json!(1);
        let asked = store.calls().len();
        let refused = server.ask(post_json(path, &[VIEWER], &wrong));
        assert_eq!((refused.status, refused.code()), (400, "bad_query".into()), "{path}");
        wrong = question(path, "shop");
        wrong["to"] = json!(0);
        assert!(server.ask(post_json(path, &[VIEWER], &wrong)).text().contains("to must be after from"), "{path}");
        assert_eq!(store.calls().len(), asked);
    }
}

#[test]
fn only_editors_decide_about_issues() {
    let (store, _scene, server) = reading(Recorder::default(), quick().0);
    let state = question("/query/issues/state", "shop");
    let refused = server.ask(post_json("/query/issues/state", &[VIEWER], &state));
    assert_eq!((refused.status, refused.code()), (403, "forbidden".into()));
    assert!(store.calls().is_empty());
    let kept = server.ask(post_json("/query/issues/state", &[EDITOR], &state));
    assert_eq!((kept.status, kept.body.len()), (204, 0));
    assert_eq!(store.calls(), [("set_issue", "shop".to_owned())]);
    let regressed = json!({"project": "shop", "fingerprint": "f", "status": "regressed"});
    assert_eq!(server.ask(post_json("/query/issues/state", &[EDITOR], &regressed)).status, 400);
}

#[test]
fn tables_are_csv_and_lines_too() {
    let (_, _scene, server) = reading(Recorder::default(), quick().0);
    let mut asked = question("/query", "shop");
    asked["measures"] = json!(["any_name", "count", "p75"]);
    asked["from"] = json!(86_400_000);
    asked["to"] = json!(2 * 86_400_000);
    asked["compare"] = json!(true);
    let csv = server.ask(post_json("/query", &[VIEWER, CSV], &asked));
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(csv.text(), "any_name,count,p75,period\r\nsecret-of-shop,1,2,current\r\nsecret-of-shop,1,2,previous\r\n");
    let stats: Value = serde_json::from_str(csv.header("x-monitor-stats").unwrap()).unwrap();
    assert_eq!(stats["source"], "events");
    let lines = server.ask(post_json("/query", &[VIEWER, "Accept: text/html, application/x-ndjson;q=0.9, */*;q=0.1"], &asked));
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let row = |period| json!({"any_name": "secret-of-shop", "count": 1, "p75": 2, "period": period});
    let rows: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, [row("current"), row("previous")]);
    (asked["step"], asked["totals"]) = (json!(86_400_000), json!(true));
    let csv = server.ask(post_json("/query", &[VIEWER, CSV], &asked));
    let text = csv.text();
    let periods: Vec<&str> = text.lines().filter_map(|line| line.rsplit(',').next()).collect();
    assert_eq!(periods, ["period", "current", "current", "previous", "previous"]);
    for other in ["Accept: text/html", "Accept: */*", "Accept: application/json, text/csv;q=0.5", "Accept: text/csv;q=0"] {
        assert_eq!(server.ask(post_json("/query", &[VIEWER, other], &asked)).header("content-type"), Some("application/json"), "{other}");
    }
}

#[test]
fn events_as_csv_keep_their_parts_and_are_no_formulas() {
    let (store, _scene, server) = reading(Recorder::with_events(3), quick().0);
    *store.name.lock().unwrap() = "=HYPERLINK(\"http://evil.example\",\"a\n b\")".into();
    let mut asked = question("/query/events", "shop");
    asked["limit"] = json!(2);
    let answer = server.ask(post_json("/query/events", &[VIEWER, CSV], &asked));
    assert_eq!(answer.header("x-monitor-next"), Some("0_00000000-0000-0000-0000-000000000001"));
    let text = answer.text();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |name: &str| rows[1].get(columns.iter().position(|column| column == name).unwrap()).unwrap();
    assert_eq!((rows.len(), cell("name")), (2, "'=HYPERLINK(\"http://evil.example\",\"a\n b\")"));
    assert_eq!((cell("time"), cell("weight"), cell("kind"), cell("value"), cell("project")), ("1", "1", "error", "", "shop"));
    assert_eq!(cell("data"), r#"{"message":"secret-of-shop","n":1,"price":1.10}"#);
    assert!(serde_json::from_str::<Value>(cell("exceptions")).unwrap()[0]["message"] == "secret-of-shop");
    // Every member of a document has its column.
    let json = server.ask(post_json("/query/events", &[VIEWER], &asked)).json();
    let members = json["events"][0].as_object().unwrap();
    assert!(members.keys().all(|member| columns.iter().any(|column| column == member)), "{members:?}");
    assert_eq!(columns.len(), members.len() + 1, "and the weight, which is left out when it is 1");
}

#[test]
fn only_the_fields_that_are_asked_for_are_answered() {
    let (_store, _scene, server) = reading(Recorder::with_events(2), quick().0);
    let asked = |fields: Value| {
        let mut asked = question("/query/events", "shop");
        asked["fields"] = fields;
        asked
    };
    let page = |fields: Value| server.ask(post_json("/query/events", &[VIEWER], &asked(fields))).json();
    let members = |event: &Value| event.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let page_of_two = page(json!(["name", "kind", "weight"]));
    assert_eq!(members(&page_of_two["events"][1]), "id kind name time weight");
    assert_eq!(page_of_two["events"][1]["weight"], json!(1.0), "what is asked for is there even when it is usual");
    assert_eq!(page_of_two["stats"], page(json!([]))["stats"]);
    let exceptions = page(json!(["exceptions"]));
    assert_eq!(members(&exceptions["events"][0]), "exceptions id time");
    assert_eq!(exceptions["events"][0]["exceptions"][0]["message"], "secret-of-shop");
    // As before when none are named.
    assert_eq!(page(json!([])), server.ask(post_json("/query/events", &[VIEWER], &question("/query/events", "shop"))).json());

    for path in ["/query/events", "/query/events/export"] {
        let csv = server.ask(post_json(path, &[VIEWER, CSV], &asked(json!(["kind", "project", "kind"])))).text();
        assert!(csv.starts_with("id,time,kind,project\r\n"), "{csv}");
        assert!(csv.contains(",1,error,shop\r\n"), "{csv}");
        let lines = server.ask(post_json(path, &[VIEWER, LINES], &asked(json!(["project"])))).text();
        let second: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
        assert_eq!(second, json!({"id": "00000000-0000-0000-0000-000000000001", "time": 1, "project": "shop"}));
        for (fields, reason) in [(json!(["secret"]), "no field"), (json!(["tags.plan"]), "no field"), (json!(vec!["id"; 45]), "at most 44")]
        {
            let refused = server.ask(post_json(path, &[VIEWER, LINES], &asked(fields)));
            assert_eq!((refused.status, refused.code()), (400, "bad_query".into()));
            assert!(refused.text().contains(reason), "{}", refused.text());
        }
    }
}

fn export(limit: Option<u64>) -> Value {
    let mut asked = question("/query/events/export", "shop");
    if let Some(limit) = limit {
        asked["limit"] = json!(limit);
    }
    asked
}

#[test]
fn an_export_goes_on_from_page_to_page_and_says_that_it_is_complete() {
    let (store, _scene, server) = reading(Recorder::with_events(4_500), quick().0);
    let answer = server.ask(post_json("/query/events/export", &[VIEWER, LINES], &export(None)));
    assert_eq!((answer.status, answer.complete), (200, true));
    assert!(answer.header("content-disposition").unwrap().contains("events.ndjson"));
    let text = answer.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["data"]["n"].as_u64()).collect();
    assert_eq!(numbers, (0..4_500).collect::<Vec<u64>>());
    assert_eq!(lines.last().unwrap(), &json!({"end": {"events": 4_500, "next": null}}));
    assert_eq!(store.calls().len(), 3, "pages of 2,000");

    let part = server.ask(post_json("/query/events/export", &[VIEWER], &export(Some(2_001))));
    let end: Value = serde_json::from_str(part.text().lines().last().unwrap()).unwrap();
    assert_eq!(end, json!({"end": {"events": 2_001, "next": "0_00000000-0000-0000-0000-0000000007d0"}}));
    let mut rest = export(None);
    rest["cursor"] = end["end"]["next"].clone();
    let rest = server.ask(post_json("/query/events/export", &[VIEWER], &rest)).text();
    assert_eq!(rest.lines().count(), 4_500 - 2_001 + 1);
    assert!(rest.starts_with("{\"id\":\"00000000-0000-0000-0000-0000000007d1\""));

    let csv = server.ask(post_json("/query/events/export", &[VIEWER, CSV], &export(None)));
    assert_eq!(csv::Reader::from_reader(&*csv.body).records().map(Result::unwrap).count(), 4_500, "one header for all pages");
    // Wherever an export begins, it begins with its header.
    let mut rest = export(Some(3));
    rest["cursor"] = end["end"]["next"].clone();
    let rest = server.ask(post_json("/query/events/export", &[VIEWER, CSV], &rest));
    assert_eq!(csv::Reader::from_reader(&*rest.body).records().map(Result::unwrap).count(), 3);
    assert!(rest.text().starts_with("id,time,"), "{}", rest.text());
}

#[test]
fn an_export_of_large_events_has_smaller_pages() {
    let (store, _scene, server) = reading(Recorder::with_events(1_200), quick().0);
    store.most.store(600, Ordering::Relaxed);
    let text = server.ask(post_json("/query/events/export", &[VIEWER, LINES], &export(None))).text();
    assert_eq!(text.lines().last().unwrap(), r#"{"end":{"events":1200,"next":null}}"#);
    assert_eq!(text.lines().count(), 1_201);
    assert_eq!(store.calls().len(), 5, "2,000 and 1,000 are too many, then three times 500");
    // One that nobody could get says so.
    store.most.store(0, Ordering::Relaxed);
    store.fail_from(0, || QueryError::TooLarge);
    let refused = server.ask(post_json("/query/events/export", &[VIEWER, LINES], &export(None)));
    assert_eq!((refused.status, refused.code()), (422, "too_expensive".into()));
}

#[test]
fn an_export_whose_store_fails_is_never_taken_for_complete() {
    for (accept, last) in [(LINES, r#"{"error":{"code":"unavailable","message":"the store does not answer; try again"}}"#), (CSV, "")] {
        let (store, scene, server) = reading(Recorder::with_events(4_500), quick().0);
        store.fail_from(1, || QueryError::Unavailable("gone".into()));
        let answer = server.ask(post_json("/query/events/export", &[VIEWER, accept], &export(None)));
        assert_eq!((answer.status, answer.complete), (200, false), "{accept}");
        assert!(answer.text().trim_end().ends_with(last) && answer.text().lines().count() >= 2_000);
        assert!(!answer.text().contains("\"end\""));
        assert_eq!(scene.counts.labelled(Labelled::RequestsRefused, "unavailable"), 1);
        // What fails at once is an answer like any other.
        let refused = server.ask(post_json("/query/events/export", &[VIEWER, accept], &export(None)));
        assert_eq!((refused.status, refused.code()), (503, "unavailable".into()));
    }
}

#[test]
fn an_export_ends_with_the_session_it_was_begun_with() {
    // More than the sockets' buffers take: pages are left to ask when the session ends.
    let (_, scene, _quick) = reading(Recorder::with_events(60_000), quick().0);
    // Patient: the client takes nothing while it logs out.
    let server = serve(scene.service.clone(), ServerConfig::default());
    let login = server.ask(post_json("/login", &[], &json!({"token": "token-of-the-test-viewer"})));
    let cookie = format!("Cookie: {}", login.header("set-cookie").unwrap().split(';').next().unwrap());
    let mut slow = server.connect();
    slow.send(&post_json("/query/events/export", &[&cookie], &export(None)));
    assert!(slow.text_until("\"n\":100").contains("200 OK"));
    assert_eq!(server.ask(post("/logout", &[&cookie], b"")).status, 204);
    let rest = slow.text_until("\"error\"");
    assert!(rest.contains("unauthorized") && !rest.contains("\"end\""));
}

#[test]
fn exports_are_limited() {
    let (mut config, _) = quick();
    config.exports = 1;
    // More than the sockets' buffers take, and less than the cap.
    let (_, _scene, server) = reading(Recorder::with_events(200_000), config);
    let mut slow = server.connect();
    slow.send(&post_json("/query/events/export", &[VIEWER], &export(None)));
    assert!(slow.text_until("\"n\":100").contains("200 OK"));
    let refused = server.ask(post_json("/query/events/export", &[VIEWER], &export(None)));
    assert_eq!((refused.status, refused.code(), refused.header("retry-after")), (503, "too_many_exports".into(), Some("30")));
    drop(slow);
    let is_free = || server.ask(post_json("/query/events/export", &[VIEWER], &export(Some(1)))).status == 200;
    assert!(common::eventually(is_free), "its place comes back when its client goes away");
    for (limit, reason) in [(0, "limit must be"), (1_000_001, "limit must be")] {
        assert!(server.ask(post_json("/query/events/export", &[VIEWER], &export(Some(limit)))).text().contains(reason));
    }
}

#[test]
fn the_system_page_has_the_numbers_of_the_metrics() {
    let scene = scene_with(vec![], None, |builder| {
        builder.store(Arc::new(Recorder::default())).access(monitor_http::access::open()).config(quick().0)
    });
    let server = serve(scene.service.clone(), quick().1);
    scene.counts.count(Labelled::Delivered, "clickhouse", 70);
    scene.counts.set(monitor_core::Gauge::SpoolEvents, "clickhouse", 3);
    scene.counts.set(monitor_core::Gauge::SpoolAge, "clickhouse", 250);
    scene.counts.set(monitor_core::Gauge::SpoolBytes, "", 4_096);
    scene.counts.set(monitor_core::Gauge::ConsumerLag, "monitor.errors-3", 17);
    let _refused = server.ask(post(common::EVENTS, &[], b"nonsense"));
    let first = server.ask(get("/query/system", &[])).json();
    assert_eq!((&first["ready"], &first["store_available"]), (&json!(true), &json!(true)));
    let process = &first["process"];
    assert_eq!(process["spool"]["bytes"], 4_096);
    assert_eq!(
        process["spool"]["lanes"]["clickhouse"],
        json!({"events": 3, "age_ms": 250, "dead_letters": 0, "delivered": 70, "retried": 0})
    );
    assert_eq!(process["consumer_lag"]["monitor.errors-3"], 17);
    assert!(
        process["drops"].as_array().unwrap().contains(&json!({"what": "requests_refused", "reason": "bad_frame", "count": 1})),
        "{process}"
    );
    assert!(process["metrics"].as_array().unwrap().contains(&json!({"name": "events_delivered", "label": "clickhouse", "value": 70})));
    scene.counts.count(Labelled::Delivered, "clickhouse", 1_000);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let rates = server.ask(get("/query/system", &[])).json()["process"]["rates"].clone();
    let (seconds, rate) = (rates["over_seconds"].as_f64().unwrap(), rates["per_second"]["events_delivered"].as_f64().unwrap());
    assert!(seconds >= 0.3 && (seconds * rate - 1_000.0).abs() < 1.0, "{rates}");
}
