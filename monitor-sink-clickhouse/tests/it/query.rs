//! Every measure, field and comparison; hostile values; pages; tenants; limits.

use std::collections::HashSet;

use monitor_core::{
    Document, Event, Kind, Origin, QueryError, Scope,
    query::{Cursor, EventQuery, Query},
};
use monitor_sink_clickhouse::ClickHouse;
use serde_json::{Value, json};

use crate::engine::{Monitor, NOON, batch, configuration, event, question, request, shared};

const HOUR: i64 = 3_600_000;

fn vital(id: u128, name: &str, value: f64) -> Event {
    event(id, |event| {
        event.kind = Kind::Vital;
        event.name = name.into();
        event.value = Some(value);
    })
}

async fn with(events: Vec<Event>) -> Monitor {
    let monitor = Monitor::new();
    monitor.write(&batch("b", vec![request(events)])).await;
    monitor
}

fn close(cell: &Value, expected: f64) {
    let value = cell.as_f64().unwrap_or_else(|| panic!("{cell} is not a number"));
    assert!((value - expected).abs() < 1e-9, "{value} instead of {expected}");
}

#[tokio::test]
async fn numbers_of_values_are_exact_and_ignore_what_has_no_value() {
    let mut events: Vec<Event> = (1..=101u32).map(|n| event(n.into(), |event| event.value = Some(f64::from(n)))).collect();
    events.push(event(200, |_| {}));
    let infinite = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    events.extend(infinite.iter().zip(300u128..).map(|(value, id)| event(id, |event| event.value = Some(*value))));
    let monitor = with(events).await;
    let measures = ["count", "sum", "avg", "min", "max", "p50", "p75", "p90", "p95", "p99"];
    let table = monitor.ask(json!({"measures": measures})).await;
    assert_eq!(table.columns, measures);
    let expected = [105.0, 5_151.0, 51.0, 1.0, 101.0, 51.0, 76.0, 91.0, 96.0, 100.0];
    for (cell, expected) in table.rows[0].iter().zip(expected) {
        close(cell, expected);
    }
    assert!(table.stats.rows_read >= 105 && table.stats.elapsed_ms > 0.0);
    // Interpolated between the two nearest.
    let two = with(vec![event(1, |event| event.value = Some(10.0)), event(2, |event| event.value = Some(20.0))]).await;
    close(&two.one(json!({"measures": ["p75"]})).await, 17.5);
}

#[tokio::test]
async fn without_values_measures_are_null_and_counts_zero() {
    let monitor = with(vec![event(1, |_| {})]).await;
    let values = ["sum", "avg", "min", "max", "p50", "p99"];
    assert_eq!(monitor.ask(json!({"measures": values})).await.rows, [vec![Value::Null; 6]]);
    let nobody = monitor.ask(json!({"kinds": ["error"], "measures": ["count", "visitors", "good", "first_seen", "last_seen", "any_name", "any_message", "p75"]})).await;
    assert_eq!(nobody.rows, [vec![json!(0), json!(0), json!(0), Value::Null, Value::Null, Value::Null, Value::Null, Value::Null]]);
    assert!(monitor.ask(json!({"kinds": ["error"], "group_by": ["name"], "measures": ["count"]})).await.rows.is_empty());
}

#[tokio::test]
async fn a_row_counts_as_many_events_as_it_weighs() {
    let weighted = |id: u128, value: f64, weight: f32| {
        event(id, |event| {
            (event.kind, event.name, event.value, event.weight) = (Kind::Vital, "LCP".into(), Some(value), weight);
        })
    };
    let error = |id: u128, weight: f32| {
        event(id, |event| {
            (event.kind, event.name, event.weight) = (Kind::Error, "TypeError".into(), weight);
            event.attributes.insert("failure".into(), "x".into());
            event.attributes.insert("fingerprint".into(), "9f2c".into());
        })
    };
    let events = vec![
        weighted(1, 1_000.0, 1.0),
        weighted(2, 3_000.0, 2.5),
        weighted(3, 5_000.0, 10.0 / 3.0),
        error(4, 1.0),
        error(5, 40.0),
        error(6, 10.0 / 3.0),
    ];
    let monitor = with(events).await;
    let counts = ["count", "count:vital", "count:error", "count:click", "failures", "good", "needs_improvement", "poor"];
    // 1 + 2.5 + 3.33 and 1 + 40 + 3.33: rounded once, at the end.
    assert_eq!(
        monitor.ask(json!({"measures": counts})).await.rows,
        [vec![51, 7, 44, 0, 44, 1, 2, 3].into_iter().map(Value::from).collect::<Vec<_>>()]
    );
    let group = monitor.ask(json!({"kinds": ["error"], "group_by": ["fingerprint"], "measures": ["count", "visitors"]})).await;
    assert_eq!(group.rows, [vec![json!("9f2c"), json!(44), json!(0)]]);

    let vitals = json!({"kinds": ["vital"], "measures": ["sum", "avg", "min", "max", "p50", "p75"]});
    let row = monitor.ask(vitals).await.rows.remove(0);
    let total = 1_000.0 + 2.5 * 3_000.0 + 10.0 / 3.0 * 5_000.0;
    for (cell, expected) in row.iter().zip([total, total / (3.5 + 10.0 / 3.0), 1_000.0, 5_000.0]) {
        let value = cell.as_f64().unwrap();
        assert!((value / expected - 1.0).abs() < 1e-6, "{value} instead of {expected}");
    }
    // As of 1000, 3000, 3000, 5000, 5000, 5000.
    close(&row[4], 4_000.0);
    close(&row[5], 5_000.0);

    let shown: Vec<Value> = monitor.documents().await.into_iter().map(|document| document["weight"].clone()).collect();
    assert_eq!(shown, [Value::Null, json!(2.5), json!(3.333_333_3_f32), Value::Null, json!(40.0), json!(3.333_333_3_f32)]);
}

#[tokio::test]
async fn people_are_counted_once_and_the_unknown_not_at_all() {
    let monitor = Monitor::new();
    let visit = |visitor: &str, session: &str, page: &str, id: u128| {
        let mut envelope = request(vec![event(id, |_| {}), event(id + 1, |_| {})]);
        (envelope.origin.visitor, envelope.origin.session, envelope.origin.page.id) = (visitor.into(), session.into(), page.into());
        envelope
    };
    let visits = vec![visit("v1", "s1", "p1", 10), visit("v1", "s2", "p2", 20), visit("v2", "s3", "p3", 30), visit("", "", "", 40)];
    monitor.write(&batch("b", visits)).await;
    let table = monitor.ask(json!({"measures": ["visitors", "sessions", "pages", "count"]})).await;
    assert_eq!(table.rows, [vec![json!(2), json!(3), json!(3), json!(8)]]);
}

#[tokio::test]
async fn web_vitals_are_counted_by_their_bands() {
    let values = [
        ("LCP", 2_500.0),
        ("LCP", 2_500.1),
        ("LCP", 4_000.0),
        ("LCP", 4_000.1),
        ("CLS", 0.1),
        ("CLS", 0.25),
        ("CLS", 0.3),
        ("INP", 200.0),
        ("FCP", 1_801.0),
        ("TTFB", 1_801.0),
    ];
    let mut events: Vec<Event> = values.iter().zip(1u128..).map(|((name, value), id)| vital(id, name, *value)).collect();
    events.push(vital(50, "XYZ", 1.0));
    events.push(vital(51, "LCP", f64::INFINITY));
    // Not a vital, though it has the name of one.
    events.push(event(52, |event| (event.name, event.value) = ("LCP".into(), Some(1.0))));
    let monitor = with(events).await;
    let table = monitor.ask(json!({"measures": ["good", "needs_improvement", "poor"]})).await;
    assert_eq!(table.rows, [vec![json!(3), json!(4), json!(3)]]);
}

#[tokio::test]
async fn counts_of_kinds_failures_and_the_latest_event() {
    let monitor = with(vec![
        event(1, |event| {
            (event.kind, event.name) = (Kind::Error, "TypeError".into());
            event.attributes.insert("message".into(), "first".into());
        }),
        event(2, |event| {
            (event.kind, event.name, event.time) = (Kind::Request, "fetch".into(), NOON + 7);
            event.attributes.insert("failure".into(), "network".into());
            event.attributes.insert("target".into(), "/api".into());
        }),
        event(3, |event| event.kind = Kind::Other("web-rtc".into())),
    ])
    .await;
    let measures = [
        "count:error",
        "count:request",
        "count:web-rtc",
        "count:click",
        "failures",
        "first_seen",
        "last_seen",
        "any_name",
        "any_message",
        "any_target",
    ];
    let table = monitor.ask(json!({"measures": measures})).await;
    let expected = json!([1, 1, 1, 0, 1, NOON, NOON + 7, "fetch", "", "/api"]);
    assert_eq!(Value::from(table.rows[0].clone()), expected);
}

#[tokio::test]
async fn steps_groups_order_and_limit() {
    let events = (0..60u128).map(|n| {
        event(n, |event| {
            event.time += i64::try_from(n).unwrap() * 60_000;
            event.name = ["b", "a", "c"][n as usize % 3].into();
        })
    });
    let monitor = with(events.collect()).await;
    let question = json!({"from": NOON, "to": NOON + HOUR, "step": HOUR / 2, "group_by": ["name", "status"], "measures": ["count"]});
    let table = monitor.ask(question.clone()).await;
    assert_eq!(table.columns, ["time", "name", "status", "count"]);
    let expected: Vec<Vec<Value>> = [NOON, NOON + HOUR / 2]
        .iter()
        .flat_map(|time| ["a", "b", "c"].map(|name| vec![json!(time), json!(name), json!(0), json!(10)]))
        .collect();
    assert_eq!(table.rows, expected);

    let with = |members: Value| {
        let mut all = question.clone();
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        all
    };
    let latest = monitor.ask(with(json!({"order_by": {"column": "time", "descending": true}, "limit": 2}))).await;
    assert_eq!(latest.rows, [expected[3].clone(), expected[4].clone()]);
    // Steps begin at multiples of the step, also when the range does not.
    let odd = monitor.ask(json!({"from": NOON + 60_000, "to": NOON + HOUR, "step": HOUR, "measures": ["count"]})).await;
    assert_eq!(odd.rows, [vec![json!(NOON), json!(59)]]);
    let values = monitor.ask(json!({"group_by": ["name"], "measures": ["p50"], "order_by": {"column": "p50"}})).await;
    assert_eq!(values.rows.len(), 3);
}

#[tokio::test]
async fn the_range_is_half_open() {
    let monitor = with(vec![event(1, |_| {}), event(2, |event| event.time += 1_000)]).await;
    assert_eq!(monitor.one(json!({"from": NOON, "to": NOON + 1_000, "measures": ["count"]})).await, 1);
    assert_eq!(monitor.one(json!({"from": NOON + 1, "to": NOON + 1_001, "measures": ["count"]})).await, 1);
}

#[tokio::test]
async fn every_field_filters_and_groups() {
    let monitor = Monitor::new();
    let mut envelope = request(vec![event(7, |event| {
        (event.kind, event.name) = (Kind::Request, "value-name".into());
        for key in ["fingerprint", "message", "method", "target", "failure", "rating"] {
            event.attributes.insert(key.into(), format!("value-{key}"));
        }
        event.attributes.insert("status".into(), "404".into());
        event.attributes.insert("plan".into(), "value-plan".into());
    })]);
    let origin = &mut envelope.origin;
    (origin.session, origin.visitor, origin.user) = ("value-session".into(), "value-visitor".into(), "value-user".into());
    (origin.release, origin.environment, origin.country) = ("value-release".into(), "value-environment".into(), "value-country".into());
    (origin.page.id, origin.page.url, origin.page.route) = ("value-page".into(), "value-url".into(), "value-route".into());
    (origin.browser.name, origin.browser.version, origin.os.name) =
        ("value-browser".into(), "value-browser_version".into(), "value-os".into());
    (origin.device.kind, origin.device.connection, origin.device.language) =
        ("value-device".into(), "value-connection".into(), "value-language".into());
    monitor.write(&batch("b", vec![envelope, request(vec![event(8, |_| {})])])).await;

    let fields = [
        "name",
        "route",
        "url",
        "release",
        "environment",
        "browser",
        "browser_version",
        "os",
        "device",
        "country",
        "connection",
        "language",
        "session",
        "visitor",
        "user",
        "page",
        "fingerprint",
        "message",
        "method",
        "target",
        "failure",
        "rating",
        "kind",
        "status",
    ];
    let count = async |field: &str, op: &str, value: &str| {
        monitor.one(json!({"filters": [{"field": field, "op": op, "values": [value]}], "measures": ["count"]})).await
    };
    for field in fields {
        let value = match field {
            "kind" => "request".to_owned(),
            "status" => "404".to_owned(),
            field => format!("value-{field}"),
        };
        assert_eq!(count(field, "in", &value).await, 1, "{field}");
        assert_eq!(count(field, "not_in", &value).await, 1, "{field}");
        assert_eq!(count(field, "contains", &value[1..].to_uppercase()).await, 1, "{field}");
        assert_eq!(count(field, "in", "nobody").await, 0, "{field}");
        let groups = monitor.ask(json!({"group_by": [field], "measures": ["count"]})).await;
        let expected = if field == "status" { json!(404) } else { json!(value) };
        assert!(groups.rows.contains(&vec![expected, json!(1)]), "{groups:?}");
    }
    for (field, value) in [
        ("attributes.plan", "value-plan"),
        ("attributes.message", "value-message"),
        ("attributes.status", "404"),
        ("id", "00000000-0000-0000-0000-000000000007"),
    ] {
        assert_eq!(count(field, "in", value).await, 1, "{field}");
        assert_eq!(count(field, "not_in", value).await, 1, "{field}");
    }
    assert_eq!(count("attributes.plan", "contains", "PLAN").await, 1);
    assert_eq!(count("attributes.status", "in", "").await, 1);
    assert_eq!(
        monitor.one(json!({"filters": [{"field": "name", "op": "in", "values": ["value-name", "x"]}], "measures": ["count"]})).await,
        2
    );
}

#[tokio::test]
async fn s03_values_are_values_whatever_they_say() {
    let hostile = [
        "'",
        "\"",
        "`",
        "\\",
        "\\'",
        "\\\\",
        "' OR 1=1 --",
        "');DROP TABLE events;--",
        "{p0:String}",
        "{x:Identifier}",
        "?",
        "??",
        "a\0b",
        "\0",
        "\t",
        "\r\n",
        "\\N",
        "\\0",
        "\\x41",
        "[]",
        "['a']",
        "%",
        "_",
        "50%",
        "a_b",
        "é",
        "😀",
        "\u{feff}",
        "--\r\nContent-Disposition: form-data; name=\"param_p0\"\r\n\r\nx",
        " ",
        "",
    ];
    let events = hostile.iter().zip(1u128..).map(|(text, id)| {
        event(id, |event| {
            event.name = (*text).into();
            event.attributes.insert("message".into(), (*text).into());
            event.attributes.insert((*text).into(), "here".into());
        })
    });
    let monitor = with(events.collect()).await;
    let count = async |field: &str, op: &str, values: Value| {
        monitor.one(json!({"filters": [{"field": field, "op": op, "values": values}], "measures": ["count"]})).await
    };
    for text in hostile {
        assert_eq!(count("name", "in", json!([text])).await, 1, "{text:?}");
        assert_eq!(count("name", "in", json!([text, "nobody"])).await, 1, "{text:?}");
        assert_eq!(count("name", "not_in", json!([text])).await, hostile.len() - 1, "{text:?}");
        for field in ["name", "message"] {
            let containing = hostile.iter().filter(|other| other.to_lowercase().contains(&text.to_lowercase())).count();
            assert_eq!(count(field, "contains", json!([text])).await, containing, "{field} {text:?}");
        }
        if !text.is_empty() {
            assert_eq!(count(&format!("attributes.{text}"), "in", json!(["here"])).await, 1, "{text:?}");
        }
    }
    assert_eq!(monitor.rows().await, hostile.len() as u64, "the table is still there");
    let strange: Query = serde_json::from_value(question(json!({"project": "' OR '1'='1", "measures": ["count"]}))).unwrap();
    assert_eq!(monitor.store.query(&Scope::All, &strange).await.unwrap().rows, [[json!(0)]]);
}

#[tokio::test]
async fn s04_a_question_cannot_change_anything() {
    // The store's own connection refuses to write, whatever a future mistake in this crate would send.
    let monitor = with(vec![event(1, |_| {})]).await;
    let client = monitor.admin.clone().with_setting("readonly", "1");
    let error = client.query("DROP TABLE events").execute().await.unwrap_err().to_string();
    assert!(error.contains("Code: 164") || error.contains("Code: 392"), "{error}");
    assert_eq!(monitor.rows().await, 1);
}

#[tokio::test]
async fn s05_a_project_is_seen_by_its_readers_only() {
    let monitor = with(vec![event(1, |_| {})]).await;
    let mut bank = request(vec![event(2, |_| {})]);
    bank.origin = Origin::new("bank", NOON);
    monitor.write(&batch("bank", vec![bank])).await;
    let scopes = [
        (Scope::All, true),
        (Scope::Projects(vec!["shop".into()]), true),
        (Scope::Projects(vec!["bank".into()]), false),
        (Scope::Projects(vec![]), false),
    ];
    for (scope, allowed) in scopes {
        let query: Query = serde_json::from_value(question(json!({"measures": ["count"]}))).unwrap();
        let events: EventQuery = serde_json::from_value(question(json!({}))).unwrap();
        let (table, page) = (monitor.store.query(&scope, &query).await, monitor.store.events(&scope, &events).await);
        if allowed {
            assert_eq!(table.unwrap().rows, [[json!(1)]]);
            assert!(page.unwrap().events.iter().all(|document| document.project == "shop"));
        } else {
            assert!(matches!(table, Err(QueryError::NotFound)) && matches!(page, Err(QueryError::NotFound)));
        }
    }
}

#[tokio::test]
async fn pages_are_complete_and_without_doubles_when_times_are_equal() {
    let events = (0..500u128)
        .map(|n| event(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), |event| event.time += i64::try_from(n / 100).unwrap()));
    let monitor = with(events.collect()).await;
    for order in ["newest", "oldest"] {
        let mut seen = HashSet::new();
        let mut times = Vec::new();
        let mut cursor: Option<Cursor> = None;
        let mut pages = 0;
        loop {
            let page = monitor.events(json!({"order": order, "limit": 70, "cursor": cursor.map(|cursor| cursor.to_string())})).await;
            assert!(page.events.iter().all(|document| seen.insert(document.id)), "an event came twice");
            times.extend(page.events.iter().map(|document| document.time));
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            assert_eq!(page.events.len(), 70);
        }
        assert_eq!((seen.len(), pages), (500, 8));
        if order == "newest" {
            times.reverse();
        }
        assert!(times.is_sorted());
    }
    let exact = monitor.events(json!({"limit": 500})).await;
    assert!(exact.events.len() == 500 && exact.next.is_none(), "a last page that is full has no successor");
}

#[tokio::test]
async fn fields_are_the_same_whether_asked_for_alone_or_all_together() {
    let filled = |event: &mut Event| {
        event.kind = Kind::Error;
        event.value = Some(2.5);
        event.attributes =
            [("fingerprint", "f"), ("status", "404"), ("plan", "pro")].map(|(key, value)| (key.into(), value.into())).into_iter().collect();
        event.data = serde_json::value::to_raw_value(&json!({"message": "m", "n": [1, 2.50]})).unwrap();
    };
    let monitor = with(vec![event(1, filled), event(2, |_| {})]).await;
    let mut whole = monitor.events(json!({"order": "oldest"})).await.events;
    whole.iter_mut().for_each(Document::read_exceptions);
    for field in Document::FIELDS {
        let query: EventQuery = serde_json::from_value(question(json!({"order": "oldest", "fields": [field]}))).unwrap();
        let page = monitor.store.events(&Scope::All, &query).await.unwrap();
        assert_eq!(page.events.len(), whole.len());
        for (mut part, whole) in page.events.into_iter().zip(&whole) {
            part.read_exceptions();
            let json = |document: &Document| serde_json::to_string(&document.only(query.shown())).unwrap();
            assert_eq!(json(&part), json(whole));
            assert!(json(&part).contains(&format!("\"{field}\":")));
        }
    }
    let page = monitor.events(json!({"order": "oldest", "fields": ["name"]})).await;
    assert!(page.events[0].data.get() == "{}" && page.events[0].fingerprint.is_empty(), "what is not asked for is not read");
    assert_eq!(whole[0].fingerprint, "f");
}

#[tokio::test]
async fn questions_that_are_wrong_or_too_expensive_say_so() {
    let monitor = with((0..5_000).map(|id| event(id, |_| {})).collect()).await;
    let url = shared().url();
    let ask = async |clickhouse: ClickHouse, members: Value| {
        let limited = Monitor::with(clickhouse, &url, monitor.admin.database().unwrap());
        let query: Query = serde_json::from_value(question(members)).unwrap();
        limited.store.query(&Scope::All, &query).await
    };
    let base = || configuration(&url, monitor.admin.database().unwrap());
    let wrong = ask(base(), json!({"to": 0, "measures": ["count"]})).await;
    assert!(matches!(wrong, Err(QueryError::Invalid(_))), "{wrong:?}");
    for (limited, large) in
        [(base().max_rows_to_read(10), false), (base().max_query_memory(1_000), false), (base().max_result_bytes(1), true)]
    {
        let refused = ask(limited, json!({"measures": ["visitors", "p50"], "group_by": ["name"]})).await;
        let told = if large { matches!(refused, Err(QueryError::TooLarge)) } else { matches!(refused, Err(QueryError::TooExpensive(_))) };
        assert!(told, "{refused:?}");
    }
    assert!(ask(base(), json!({"measures": ["visitors", "p50"], "group_by": ["name"]})).await.is_ok());
}

#[tokio::test]
async fn a_search_in_messages_uses_the_index() {
    let monitor = with(vec![event(1, |event| drop(event.attributes.insert("message".into(), "Cannot read É of undefined".into())))]).await;
    let plan = "EXPLAIN indexes = 1 SELECT count() FROM events WHERE lowerUTF8(message) LIKE lowerUTF8({p:String})";
    let lines = monitor.admin.query_raw(plan).param("p", "%nothing like it%").fetch_all::<String>().await.unwrap().join("\n");
    assert!(lines.contains("message_text") && lines.contains("Granules: 0/1"), "{lines}");
    assert_eq!(
        monitor.one(json!({"filters": [{"field": "message", "op": "contains", "values": ["READ é OF"]}], "measures": ["count"]})).await,
        1
    );
}

#[tokio::test]
async fn attributes_and_tags_group_and_the_new_fields_filter() {
    let monitor = Monitor::new();
    let mut envelope = request(vec![
        event(1, |event| drop(event.attributes.insert("plan".into(), "pro".into()))),
        event(2, |event| drop(event.attributes.insert("status".into(), "404".into()))),
    ]);
    envelope.origin.tags.insert("tenant".into(), "acme".into());
    (envelope.origin.os.version, envelope.origin.page.referrer, envelope.origin.page.title) = ("15".into(), "/from".into(), "Cart".into());
    monitor.write(&batch("b", vec![envelope, request(vec![event(3, |_| {})])])).await;
    let plans = monitor.ask(json!({"group_by": ["attributes.plan"], "measures": ["count"]})).await;
    assert_eq!(plans.rows, [vec![json!(""), json!(2)], vec![json!("pro"), json!(1)]]);
    let tags = monitor.ask(json!({"group_by": ["tags.tenant", "attributes.status"], "measures": ["count"]})).await;
    let row = |tenant: &str, status: &str| vec![json!(tenant), json!(status), json!(1)];
    assert_eq!(tags.rows, [row("", ""), row("acme", ""), row("acme", "404")]);
    for (field, value, count) in
        [("tags.tenant", "acme", 2), ("os_version", "15", 2), ("referrer", "/from", 2), ("title", "Cart", 2), ("sdk", "", 3)]
    {
        let filter = json!({"filters": [{"field": field, "op": "in", "values": [value]}], "measures": ["count"]});
        assert_eq!(monitor.one(filter).await, count, "{field}");
    }
}

#[tokio::test]
async fn steps_begin_at_midnight_of_the_zone() {
    let hourly = (0..48u128).map(|n| event(n, |event| event.time = NOON + i64::try_from(n).unwrap() * HOUR)).collect();
    let monitor = with(hourly).await;
    let range = json!({"from": NOON, "to": NOON + 48 * HOUR, "step": 24 * HOUR, "measures": ["count"]});
    let with_zone = |zone: i64| {
        let mut question = range.clone();
        question["zone_offset"] = json!(zone);
        question
    };
    // NOON is 12:00 UTC: 13:30 in a zone of +1:30, 07:00 in one of -5.
    for (zone, first) in [(0, 12), (3 * HOUR / 2, 11), (-5 * HOUR, 17)] {
        let rows = monitor.ask(with_zone(zone)).await.rows;
        assert_eq!((&rows[0][1], &rows[1][1]), (&json!(first), &json!(24)), "{zone}");
        let start = rows[0][0].as_i64().unwrap();
        assert!((start + zone) % (24 * HOUR) == 0 && start <= NOON && NOON < start + 24 * HOUR);
    }
}

#[tokio::test]
async fn rates_shares_apdex_and_histograms() {
    let mut events: Vec<Event> =
        [100.0, 500.0, 501.0, 2_000.0, 2_001.0, 0.0].iter().zip(1u128..).map(|(value, id)| vital(id, "TTFB", *value)).collect();
    events.push(event(20, |event| drop(event.attributes.insert("failure".into(), "x".into()))));
    events.push(event(21, |event| event.weight = 3.0));
    let monitor = with(events).await;
    let measures = ["rate", "failure_rate", "good_share", "needs_improvement_share", "poor_share", "apdex:500"];
    let row = monitor.ask(json!({"from": NOON, "to": NOON + 5 * 60_000, "measures": measures})).await.rows.remove(0);
    // Ten events by weight in five minutes; three satisfied, two tolerated, one frustrated.
    for (cell, expected) in row.iter().zip([2.0, 0.1, 4.0 / 6.0, 0.0, 2.0 / 6.0, 4.0 / 6.0]) {
        close(cell, expected);
    }
    let nobody = monitor.ask(json!({"kinds": ["click"], "measures": ["rate", "failure_rate", "good_share", "apdex:1", "histogram"]})).await;
    assert_eq!(nobody.rows, [vec![json!(0), Value::Null, Value::Null, Value::Null, json!([])]]);
    let bars = monitor.one(json!({"kinds": ["vital"], "measures": ["histogram"]})).await;
    let bars = bars.as_array().unwrap();
    assert_eq!(bars[0], json!([0.0, 0.0, 1]));
    let counts: Vec<u64> = bars.iter().map(|bar| bar[2].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 1, 2, 2], "500 and 501 are neighbours, as are 2000 and 2001");
    assert!(bars[1..].iter().all(|bar| bar[0].as_f64() < bar[1].as_f64()));
}

#[tokio::test]
async fn only_the_largest_groups_are_lines_and_the_others_one_more() {
    let of = |name: &str, minute: i64, count: u128, id: u128| {
        let name = name.to_owned();
        (0..count)
            .map(move |n| event(id + n, |event| (event.name, event.time) = (name.clone(), NOON + minute * 60_000)))
            .collect::<Vec<_>>()
    };
    let events = [of("a", 0, 5, 100), of("b", 1, 4, 200), of("b", 0, 3, 300), of("c", 0, 2, 400), of("d", 1, 1, 500)].concat();
    let monitor = with(events).await;
    let top = |others: bool| json!({"group_by": ["name", "kind"], "step": 60_000, "from": NOON, "to": NOON + 120_000, "measures": ["count"], "top": {"n": 2, "by": "count", "others": others}});
    let row = |minute: i64, name: Value, count: u64| {
        let kind = if name.is_null() { Value::Null } else { json!("track") };
        vec![json!(NOON + minute * 60_000), name, kind, json!(count)]
    };
    let largest = vec![row(0, json!("a"), 5), row(0, json!("b"), 3), row(1, json!("b"), 4)];
    assert_eq!(monitor.ask(top(false)).await.rows, largest);
    let all = vec![largest[0].clone(), largest[1].clone(), row(0, Value::Null, 2), largest[2].clone(), row(1, Value::Null, 1)];
    assert_eq!(monitor.ask(top(true)).await.rows, all);
    let single = monitor.ask(json!({"group_by": ["status"], "measures": ["count"], "top": {"n": 1, "by": "count", "others": true}})).await;
    assert_eq!(single.rows, [vec![json!(0), json!(15)]]);
    let nobody =
        monitor.ask(json!({"kinds": ["click"], "group_by": ["name"], "measures": ["count"], "top": {"n": 1, "by": "count"}})).await;
    assert!(nobody.rows.is_empty());

    // As many totals as rows at most, and neither takes room from the other.
    let mut totals = top(true);
    (totals["totals"], totals["limit"]) = (json!(true), json!(3));
    let total = |name: Value, count: u64| {
        let kind = if name.is_null() { Value::Null } else { json!("track") };
        vec![Value::Null, name, kind, json!(count)]
    };
    let answer = monitor.ask(totals).await;
    assert_eq!(answer.rows, all[..3]);
    let mut found = answer.totals.unwrap();
    found.sort_by_key(|row| row[1].to_string());
    assert_eq!(found, [total(json!("a"), 5), total(json!("b"), 7), total(Value::Null, 3)]);
    // Of nothing there is a total, too, as without steps.
    let nothing =
        json!({"kinds": ["click"], "step": 60_000, "from": NOON, "to": NOON + 120_000, "measures": ["count", "p75"], "totals": true});
    let nothing = monitor.ask(nothing).await;
    assert_eq!((nothing.rows.len(), nothing.totals.unwrap()), (0, vec![vec![Value::Null, json!(0), Value::Null]]));
}

#[tokio::test]
async fn the_period_before_comes_with_its_times_moved() {
    let at = |id: u128, name: &str, minute: i64| event(id, |event| (event.name, event.time) = (name.into(), NOON + minute * 60_000));
    let events = vec![at(1, "a", 0), at(2, "a", 7), at(3, "b", -10), at(4, "b", -9), at(5, "b", -2), at(6, "a", -1), at(7, "b", -11)];
    let monitor = with(events).await;
    // Ten minutes are no multiple of three: steps of both periods begin at the same times all the same.
    let table = monitor.ask(json!({"from": NOON, "to": NOON + 600_000, "step": 180_000, "compare": true, "measures": ["count"]})).await;
    let row = |minute: i64, count: u64| vec![json!(NOON + minute * 60_000), json!(count)];
    assert_eq!(table.rows, [row(0, 1), row(6, 1)]);
    assert_eq!(table.previous.unwrap(), [row(0, 2), row(6, 1), row(9, 1)]);
    let question = json!({"from": NOON, "to": NOON + 600_000, "step": 180_000, "compare": true, "totals": true, "measures": ["count"]});
    let table = monitor.ask(question).await;
    assert_eq!((table.rows.len(), table.totals.unwrap()), (2, vec![vec![Value::Null, json!(2)]]));
    assert_eq!((table.previous.unwrap().len(), table.previous_totals.unwrap()), (3, vec![vec![Value::Null, json!(4)]]));
    // A list that was cut is compared with the same groups, one that just fits also with what there was before.
    let list = async |minutes: i64| {
        let (from, to) = (NOON - 120_000, NOON + (minutes - 2) * 60_000);
        let order = json!({"column": "count", "descending": true});
        monitor
            .ask(json!({"from": from, "to": to, "group_by": ["name"], "limit": 1, "order_by": order, "compare": true, "measures": ["count"]}))
            .await
    };
    let row = |name: &str, count: u64| vec![json!(name), json!(count)];
    let cut = list(10).await;
    assert_eq!((cut.rows, cut.previous.unwrap()), (vec![row("a", 3)], vec![]));
    let fits = list(1).await;
    assert_eq!((fits.rows, fits.previous.unwrap()), (vec![row("b", 1)], vec![]));
    let question = json!({"from": NOON, "to": NOON + 600_000, "group_by": ["name"], "limit": 1, "compare": true, "measures": ["count"],
        "order_by": {"column": "count", "descending": true}});
    let fits = monitor.ask(question).await;
    assert_eq!((fits.rows, fits.previous.unwrap()), (vec![row("a", 2)], vec![row("b", 3), row("a", 1)]));
}

#[tokio::test]
async fn a_group_of_a_short_list_is_compared_though_there_were_more_and_larger_ones_before() {
    let at = |id: u128, name: &str, minute: i64| event(id, |event| (event.name, event.time) = (name.into(), NOON + minute * 60_000));
    let before = ["b", "b", "b", "c", "c", "a"].into_iter().zip(2..).map(|(name, id)| at(id, name, -5));
    let monitor = with([at(1, "a", 1)].into_iter().chain(before).collect()).await;
    let table = monitor
        .ask(json!({"from": NOON, "to": NOON + 600_000, "group_by": ["name"], "limit": 2, "compare": true, "measures": ["count"],
            "order_by": {"column": "count", "descending": true}}))
        .await;
    let row = |name: &str, count: u64| vec![json!(name), json!(count)];
    assert_eq!((table.rows, table.previous.unwrap()), (vec![row("a", 1)], vec![row("b", 3), row("c", 2), row("a", 1)]));
}
