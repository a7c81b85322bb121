//! Answers from rollups and samples against those from all events.

use std::sync::OnceLock;

use monitor_core::{
    Envelope, Event, Kind, QueryError, Scope,
    query::{FunnelQuery, IssueQuery, PathQuery, Query, RetentionQuery, Source, Table},
};
use monitor_sink_clickhouse::ClickHouse;
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::engine::{DAY, Monitor, NOON, batch, configuration, event, question, request, shared, shared_admin};

const HOUR: i64 = 3_600_000;
/// The first midnight, ms; events lie in the four days from it.
const BEGIN: i64 = NOON - DAY / 2;
/// When the rollups are built: the fourth day is open, and in them up to 15:00.
const BUILT: i64 = BEGIN + 3 * DAY + 15 * HOUR + 20 * 60_000;

/// A number below `of` that looks like chance, and is the same each time.
fn pick(seed: u128, salt: u64, of: u64) -> u64 {
    let mut hash = u64::try_from(seed).unwrap().wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (hash ^ (hash >> 31)) % of
}

fn some_event(id: u128) -> Event {
    let pick = |salt, of| pick(id, salt, of);
    event(id, |event| {
        event.time = BEGIN + i64::try_from(pick(1, 4 * 86_400_000)).unwrap();
        let kinds = [Kind::Vital, Kind::Vital, Kind::PageView, Kind::Click, Kind::Request, Kind::Error];
        event.kind = kinds[pick(2, 6) as usize].clone();
        event.name = ["LCP", "CLS", "x"][pick(3, 3) as usize].into();
        event.value = match pick(4, 8) {
            0 => None,
            1 => Some(0.0),
            n if event.name == "CLS" => Some(n as f64 * 0.041),
            _ => Some((6.0 + pick(5, 900) as f64 / 600.0).exp()),
        };
        event.weight = [1.0, 1.0, 1.0, 4.0][pick(6, 4) as usize];
        if pick(7, 9) == 0 {
            event.attributes.insert("failure".into(), "network".into());
        }
        if event.kind == Kind::Error {
            event.attributes.insert("fingerprint".into(), format!("f{}", pick(9, 4)));
        }
        if matches!(event.kind, Kind::Request | Kind::Click) {
            event.attributes.insert("target".into(), format!("/t{}", pick(10, 5)));
            event.attributes.insert("method".into(), ["GET", "POST"][pick(22, 2) as usize].into());
            event.attributes.insert("status".into(), ["200", "404", "503"][pick(21, 3) as usize].into());
        }
        event.attributes.insert("plan".into(), ["free", "pro"][pick(8, 2) as usize].into());
    })
}

/// Requests of `visitors` visitors, with `of_each` events in each of `count` requests.
fn some_requests(count: u128, of_each: u128, visitors: u64) -> Vec<Envelope> {
    let make = |n: u128| {
        let who = pick(n, 11, visitors);
        let mut envelope = request((0..of_each).map(|e| some_event(n * of_each + e)).collect());
        let origin = &mut envelope.origin;
        origin.project = if pick(n, 12, 5) == 0 { "bank" } else { "shop" }.into();
        origin.visitor = if who.is_multiple_of(7) { String::new() } else { format!("v{who}") };
        origin.session = if who.is_multiple_of(11) { String::new() } else { format!("s{who}-{}", pick(n, 13, 3)) };
        origin.page.route = format!("/r{}", pick(n, 14, 4));
        origin.page.id = format!("p{n}");
        origin.page.referrer = ["", "https://search.example/", "https://mail.example/"][pick(n, 23, 3) as usize].into();
        origin.release = format!("1.{}", pick(n, 15, 3));
        origin.environment = ["production", "staging"][pick(n, 16, 2) as usize].into();
        origin.browser.name = ["Chrome", "Firefox"][pick(n, 17, 2) as usize].into();
        origin.os.name = ["Linux", "iOS"][pick(n, 18, 2) as usize].into();
        origin.device.kind = ["desktop", "mobile"][pick(n, 19, 2) as usize].into();
        origin.country = ["DE", "FR", "ES"][pick(n, 20, 3) as usize].into();
        if pick(n, 24, 4) > 0 {
            origin.tags.insert("side".into(), ["left", "right"][pick(n, 25, 2) as usize].into());
        }
        // Within a session, too: somebody logs in, and as somebody else.
        origin.user = ["", "ann", "bob"][pick(n, 24, 3) as usize].into();
        envelope
    };
    (0..count).map(make).collect()
}

/// Names of visitors that are in every sample down to one of 256.
async fn sampled_visitors() -> Vec<String> {
    let sql = "SELECT concat('v', toString(number)) AS name FROM numbers(20000) WHERE cityHash64(name) < intDiv(18446744073709551615, 256)";
    shared_admin().query_raw(sql).fetch_all().await.unwrap()
}

/// Events with their rollups; questions that would read more than `quick` events are planned.
async fn built(requests: Vec<Envelope>, quick: u64) -> Monitor {
    let monitor = Monitor::new();
    monitor.write(&batch("b", requests)).await;
    let database = monitor.admin.database().unwrap().to_owned();
    let url = shared().url();
    configuration(&url, &database).rollup_job().unwrap().build(BUILT).await.unwrap();
    let clickhouse: ClickHouse = configuration(&url, &database).quick_scan(quick);
    Monitor::with(clickhouse, &url, &database)
}

async fn ask(monitor: &Monitor, mut members: Value, exact: bool) -> Table {
    members["exact"] = json!(exact);
    let query: Query = serde_json::from_value(question(members)).unwrap();
    monitor.store.query(&Scope::All, &query).await.unwrap()
}

fn is_percentile(column: &str) -> bool {
    column.starts_with('p') && column[1..].parse::<u32>().is_ok()
}

/// Whether a cell of a rollup is what the events say.
fn agree(column: &str, planned: &Value, exact: &Value) -> bool {
    match (planned.as_f64(), exact.as_f64()) {
        (Some(a), Some(b)) if is_percentile(column) => (a - b).abs() <= 0.06 * b.abs() + 1e-9,
        (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * b.abs(),
        _ => planned == exact,
    }
}

fn compare(planned: &Table, exact: &Table, keys: usize) -> Result<(), TestCaseError> {
    let sorted = |rows: &[Vec<Value>]| {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| Value::from(row[..keys].to_vec()).to_string());
        rows
    };
    let both = [
        (Some(&planned.rows), Some(&exact.rows)),
        (planned.totals.as_ref(), exact.totals.as_ref()),
        (planned.previous.as_ref(), exact.previous.as_ref()),
        (planned.previous_totals.as_ref(), exact.previous_totals.as_ref()),
    ];
    for (planned_rows, exact_rows) in both {
        prop_assert_eq!(planned_rows.is_some(), exact_rows.is_some());
        let (Some(planned_rows), Some(exact_rows)) = (planned_rows, exact_rows) else { continue };
        prop_assert_eq!(planned_rows.len(), exact_rows.len());
        for (a, b) in sorted(planned_rows).iter().zip(sorted(exact_rows)) {
            for ((column, a), b) in planned.columns.iter().zip(a).zip(&b) {
                prop_assert!(agree(column, a, b), "{}: {} instead of {} in {:?}", column, a, b, planned.stats);
            }
        }
    }
    Ok(())
}

fn some_question() -> impl Strategy<Value = (Value, usize)> {
    let range = (0..96i64, 1..97i64, prop::sample::select(vec![0, 0, 0, 1, 754_321]));
    let step = prop::sample::select(vec![None, None, Some(HOUR), Some(6 * HOUR), Some(DAY), Some(HOUR / 2)]);
    let zone = prop::sample::select(vec![0, 0, 0, 2 * HOUR, -5 * HOUR, 11 * HOUR / 2]);
    let kinds = prop::sample::select(vec![
        vec![],
        vec![],
        vec!["vital"],
        vec!["page_view", "click"],
        vec!["error"],
        vec!["request"],
        vec!["click", "request"],
    ]);
    // Fields that one of the rollups holds, or all of them.
    let themes = vec![
        vec!["name", "device", "release", "environment"],
        vec!["name", "route", "device", "release"],
        vec!["name", "browser", "country", "os", "device"],
        vec!["browser", "country", "release", "route"],
        vec!["user", "browser", "country"],
        vec!["fingerprint", "name", "browser", "route", "release", "tags.side"],
        vec!["name", "target", "method", "status", "failure", "environment"],
        vec![
            "name",
            "route",
            "device",
            "browser",
            "release",
            "country",
            "kind",
            "environment",
            "os",
            "attributes.plan",
            "status",
            "failure",
        ],
    ];
    let fields = prop::sample::select(themes).prop_flat_map(|fields| {
        let all = [
            json!({"field": "route", "op": "in", "values": ["/r1", "/r2"]}),
            json!({"field": "route", "op": "not_in", "values": ["/r1"]}),
            json!({"field": "browser", "op": "contains", "values": ["FIRE"]}),
            json!({"field": "device", "op": "in", "values": ["mobile"]}),
            json!({"field": "release", "op": "not_in", "values": ["1.0"]}),
            json!({"field": "name", "op": "in", "values": ["LCP"]}),
            json!({"field": "kind", "op": "not_in", "values": ["vital"]}),
            json!({"field": "country", "op": "in", "values": ["DE", "ES"]}),
            json!({"field": "failure", "op": "in", "values": ["network"]}),
            json!({"field": "status", "op": "not_in", "values": ["200"]}),
            json!({"field": "target", "op": "in", "values": ["/t1", "/t2"]}),
            json!({"field": "fingerprint", "op": "in", "values": ["f1", "f2"]}),
            json!({"field": "tags.side", "op": "in", "values": ["left"]}),
            json!({"field": "tags.side", "op": "not_in", "values": ["", "right"]}),
            json!({"field": "user", "op": "in", "values": ["", "bob"]}),
            json!({"field": "user", "op": "not_in", "values": ["ann"]}),
        ];
        let filters: Vec<Value> = all.into_iter().filter(|filter| fields.iter().any(|field| filter["field"] == *field)).collect();
        let most = filters.len().min(2);
        (prop::sample::subsequence(fields, 0..=2), prop::sample::subsequence(filters, 0..=most))
    });
    let words = vec![
        "count",
        "visitors",
        "sessions",
        "sum",
        "avg",
        "min",
        "max",
        "p50",
        "p75",
        "p99",
        "rate",
        "histogram",
        "failures",
        "failure_rate",
        "good",
        "poor",
        "good_share",
        "needs_improvement_share",
        "count:click",
        "apdex:1000",
    ];
    let measures = prop::sample::subsequence(words, 1..=5);
    (range, step, zone, kinds, fields, measures, 0..8u8).prop_map(|((from, length, odd), step, zone, kinds, (groups, filters), mut measures, extra)| {
        let from = BEGIN + from * HOUR;
        let mut question = json!({
            "from": from, "to": (from + length * HOUR).min(BEGIN + 4 * DAY) + odd, "zone_offset": zone, "kinds": kinds, "filters": filters, "limit": 10_000,
        });
        if let Some(step) = step {
            question["step"] = json!(step);
        }
        if extra == 1 && !groups.is_empty() {
            if !measures.contains(&"count") {
                measures.push("count");
            }
            question["top"] = json!({"n": 2, "by": "count", "others": true});
        }
        if extra == 2 {
            question["order_by"] = json!({"column": measures[measures.len() - 1], "descending": true});
        }
        question["compare"] = json!(extra == 3 || extra == 4);
        question["totals"] = json!(step.is_some() && extra >= 4);
        question["sampling"] = json!(if extra % 2 == 0 { "never" } else { "auto" });
        if extra == 5 && !measures.contains(&"histogram") {
            measures.push("histogram");
        }
        let keys = usize::from(step.is_some()) + groups.len();
        question["group_by"] = json!(groups);
        question["measures"] = json!(measures);
        (question, keys)
    })
}

#[test]
fn whatever_is_asked_rollups_answer_as_the_events_do() {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().unwrap());
    let _entered = runtime.enter();
    // Of 6,000 events no question reads more than 400 without a plan; sessions are not sampled.
    let monitor = runtime.block_on(built(some_requests(1_500, 4, 60), 400));
    let planned = Monitor::with(
        configuration(&shared().url(), monitor.admin.database().unwrap()).quick_scan(400),
        &shared().url(),
        monitor.admin.database().unwrap(),
    );
    let (rolled, summed) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let config = ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&some_question(), |(question, keys)| {
        let (answer, exact) =
            runtime.block_on(async { (ask(&planned, question.clone(), false).await, ask(&monitor, question.clone(), true).await) });
        prop_assert_eq!((exact.stats.source, exact.stats.sample, exact.stats.error), (Source::Events, 1.0, 0.0));
        prop_assert!(answer.stats.sample >= 1.0 || question["sampling"] == "auto");
        if answer.stats.sample < 1.0 {
            return Ok(());
        }
        if answer.stats.source == Source::Rollup {
            rolled.set(rolled.get() + 1);
        }
        compare(&answer, &exact, keys)?;
        if question["totals"] == json!(true) {
            // They are what the question without steps is answered.
            let mut whole = question.clone();
            (whole["step"], whole["totals"]) = (Value::Null, json!(false));
            let whole = runtime.block_on(ask(&monitor, whole, true));
            let untimed =
                |rows: Option<Vec<Vec<Value>>>| rows.map(|rows| rows.into_iter().map(|row| row[1..].to_vec()).collect::<Vec<_>>());
            prop_assert!(answer.totals.iter().flatten().all(|row| row[0].is_null()));
            let totals = Table {
                columns: whole.columns.clone(),
                rows: untimed(answer.totals).unwrap(),
                previous: untimed(answer.previous_totals),
                ..Table::default()
            };
            compare(&totals, &whole, keys - 1)?;
            summed.set(summed.get() + usize::from(answer.stats.source == Source::Rollup));
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(rolled.get() > 15, "of the questions only {} were answered from rollups", rolled.get());
    assert!(summed.get() > 5, "of the questions with totals only {} were answered from rollups", summed.get());
}

/// Requests of visitors who are in every sample: an answer from a sample is that from all events, and what can be multiplied is.
async fn all_sampled() -> Vec<Envelope> {
    let visitors = sampled_visitors().await;
    let mut requests = some_requests(1_500, 4, 60);
    for (n, envelope) in (0..).zip(&mut requests) {
        envelope.origin.visitor.clone_from(&visitors[pick(n, 24, visitors.len() as u64) as usize]);
    }
    requests
}

#[test]
fn a_sample_has_all_events_of_its_visitors_from_the_rollup_and_beside_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let monitor = runtime.block_on(async { built(all_sampled().await, 20).await });
    let multiplied = |column: &str| {
        ["count", "visitors", "sessions", "pages", "sum", "rate", "failures", "good", "poor", "histogram"].contains(&column)
            || column.starts_with("count:")
    };
    let rolled = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&some_question(), |(mut question, keys)| {
        // No other rollup tells referrers apart.
        question["filters"].as_array_mut().unwrap().push(json!({"field": "referrer", "op": "not_in", "values": ["https://mail.example/"]}));
        let measures = question["measures"].as_array_mut().unwrap();
        // Those of a sample say nothing about all; and between values that stand for many there is less to interpolate.
        measures.retain(|measure| measure != "min" && measure != "max" && !is_percentile(measure.as_str().unwrap()));
        measures.push(json!("pages"));
        question["sampling"] = json!("auto");
        // The period before has a sample of its own, and so may the whole have.
        question["compare"] = json!(false);
        question["totals"] = json!(false);
        if question.get("order_by").is_some() {
            question["order_by"]["column"] = json!("pages");
        }
        let (mut answer, exact) =
            runtime.block_on(async { (ask(&monitor, question.clone(), false).await, ask(&monitor, question, true).await) });
        if answer.stats.source == Source::Events || answer.stats.sample > 1.0 / 8.0 {
            return Ok(());
        }
        rolled.set(rolled.get() + 1);
        let columns: Vec<bool> = answer.columns.iter().map(|column| multiplied(column)).collect();
        for row in &mut answer.rows {
            for (cell, _) in row.iter_mut().zip(&columns).skip(keys).filter(|(_, multiplied)| **multiplied) {
                divide(cell, answer.stats.sample);
            }
        }
        compare(&answer, &exact, keys)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(rolled.get() > 20, "only {} questions were answered from the rollup of samples", rolled.get());
}

/// What a number, or those in a list of lists, would be of the sample alone.
fn divide(cell: &mut Value, share: f64) {
    match cell {
        // The last of a bucket's three is how much is in it.
        Value::Array(buckets) => {
            buckets.iter_mut().filter_map(|bucket| bucket.as_array_mut()?.last_mut()).for_each(|count| divide(count, share))
        }
        Value::Number(number) => {
            let divided = number.as_f64().unwrap() * share;
            *cell = if divided.fract() == 0.0 { json!(divided as u64) } else { json!(divided) };
        }
        _ => {}
    }
}

#[tokio::test]
async fn a_question_about_the_open_day_is_right_while_it_is_rolled_up_again() {
    let monitor = built(some_requests(2_000, 10, 300), 1_000).await;
    let questions = [
        json!({"group_by": ["route"], "measures": ["count", "sum", "p75"]}),
        json!({"group_by": ["browser", "country"], "measures": ["count"]}),
        json!({"kinds": ["request"], "group_by": ["target"], "measures": ["count", "failures"]}),
    ];
    let issues = json!({"project": "shop", "from": BEGIN, "to": BEGIN + 4 * DAY});
    let issues: IssueQuery = serde_json::from_value(issues).unwrap();
    let check = async || {
        for members in &questions {
            let mut members = members.clone();
            (members["from"], members["to"]) = (json!(BEGIN), json!(BEGIN + 4 * DAY));
            let (planned, exact) = (ask(&monitor, members.clone(), false).await, ask(&monitor, members.clone(), true).await);
            compare(&planned, &exact, members["group_by"].as_array().unwrap().len()).unwrap();
            assert_eq!(planned.stats.source, Source::Rollup);
        }
        let table = monitor.store.issues(&Scope::All, &issues).await.unwrap();
        (table.rows, table.stats.rows_read)
    };
    let (before, read) = check().await;
    // The store still knows what was there before.
    let database = monitor.admin.database().unwrap();
    let job = configuration(&shared().url(), database).rollup_job().unwrap();
    for hour in 1..4 {
        assert_eq!(job.build(BUILT + hour * HOUR).await.unwrap().days, 1);
        let (after, read_now) = check().await;
        assert_eq!(after, before);
        assert!(read_now > read, "the open day was read from the events");
    }
}

#[tokio::test]
async fn journeys_from_the_rollup_of_samples_are_those_of_the_events() {
    let monitor = built(all_sampled().await, 40).await;
    let filters = json!([{"field": "referrer", "op": "not_in", "values": ["https://mail.example/"]}]);
    let range = json!({"from": BEGIN + 754_321, "to": BEGIN + 4 * DAY - 754_321});
    let question = |members: &Value, exact: bool| {
        let mut question = question(members.clone());
        for (name, value) in range.as_object().unwrap() {
            question[name] = value.clone();
        }
        question["filters"] = filters.clone();
        question["exact"] = json!(exact);
        question
    };
    let check = |what: &str, rolled: Table, exact: Table, columns: &[usize]| {
        assert_eq!((rolled.stats.source, exact.stats.source), (Source::Rollup, Source::Events), "{what}");
        assert!(rolled.stats.sample <= 1.0 / 8.0, "{what}: {:?}", rolled.stats);
        let mut rows = rolled.rows;
        rows.iter_mut().for_each(|row| columns.iter().for_each(|column| divide(&mut row[*column], rolled.stats.sample)));
        let same = |rows: &[Vec<Value>]| -> Vec<Vec<Value>> {
            let plain = |cell: &Value| cell.as_f64().map_or_else(|| cell.clone(), |number| json!(number));
            rows.iter().map(|row| row.iter().map(plain).collect()).collect()
        };
        assert!(!exact.rows.is_empty(), "{what}");
        assert_eq!(same(&rows), same(&exact.rows), "{what}");
    };
    for by in ["visitor", "session"] {
        let steps = json!([
            {"kinds": ["page_view"]},
            {"kinds": ["click"], "filters": [{"field": "target", "op": "in", "values": ["/t1", "/t2"]}]},
            {"kinds": ["request"], "filters": [{"field": "attributes.method", "op": "in", "values": ["POST"]}]},
        ]);
        let ask = async |exact| {
            let query: FunnelQuery = serde_json::from_value(question(&json!({"steps": steps, "within": DAY, "by": by}), exact)).unwrap();
            monitor.store.funnel(&Scope::All, &query).await.unwrap()
        };
        check(by, ask(false).await, ask(true).await, &[2]);
    }
    let ask = async |exact| {
        let query: PathQuery = serde_json::from_value(question(&json!({"depth": 4}), exact)).unwrap();
        monitor.store.paths(&Scope::All, &query).await.unwrap()
    };
    check("paths", ask(false).await, ask(true).await, &[3]);
    let ask = async |exact| {
        let query: RetentionQuery = serde_json::from_value(question(&json!({"again": {"kinds": ["click"]}}), exact)).unwrap();
        monitor.store.retention(&Scope::All, &query).await.unwrap()
    };
    check("retention", ask(false).await, ask(true).await, &[2]);
}

#[tokio::test]
async fn a_question_is_divided_and_put_together() {
    let monitor = built(some_requests(1_500, 4, 60), 400).await;
    let members = json!({
        "from": BEGIN, "to": BEGIN + 3 * DAY, "group_by": ["route"], "measures": ["visitors", "count", "p75"],
        "order_by": {"column": "visitors", "descending": true},
    });
    let (planned, exact) = (ask(&monitor, members.clone(), false).await, ask(&monitor, members, true).await);
    assert_eq!((planned.stats.source, planned.stats.sample), (Source::Rollup, 1.0));
    assert!(planned.stats.error > 0.05 && planned.stats.error < 0.06, "percentiles are as good as the buckets: {:?}", planned.stats);
    compare(&planned, &exact, 1).unwrap();
    let visitors: Vec<u64> = planned.rows.iter().map(|row| row[1].as_u64().unwrap()).collect();
    assert!(visitors.is_sorted_by(|a, b| a >= b));
    assert!(planned.stats.rows_read > 0);
}

#[tokio::test]
async fn a_sample_stands_for_all_within_the_error_it_names() {
    let monitor = built(some_requests(8_000, 5, 3_000), 1_000).await;
    let plan = json!([{"field": "attributes.plan", "op": "in", "values": ["pro"]}]);
    let members = json!({"filters": plan, "kinds": ["vital", "request"], "measures": ["count", "visitors", "sessions", "pages", "p90", "avg", "good_share"]});
    let (sample, all) = (ask(&monitor, members.clone(), false).await, ask(&monitor, members.clone(), true).await);
    assert_eq!((sample.stats.source, all.stats.source), (Source::Events, Source::Events));
    assert!(sample.stats.sample <= 1.0 / 8.0 && sample.stats.error > 0.01 && sample.stats.error < 0.3, "{:?}", sample.stats);
    for ((column, a), b) in sample.columns.iter().zip(&sample.rows[0]).zip(&all.rows[0]) {
        let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
        assert!((a / b - 1.0).abs() < 1.5 * sample.stats.error, "{column}: {a} instead of {b}, error {}", sample.stats.error);
    }
    // Whoever wants no sample gets none.
    let mut unsampled = members;
    unsampled["sampling"] = json!("never");
    let whole = ask(&monitor, unsampled, false).await;
    assert_eq!((whole.stats.sample, whole.stats.error, &whole.rows), (1.0, 0.0, &all.rows));
    // Of so few visitors any sample would be too uncertain: all of them are read after all.
    let members = json!({"from": BEGIN, "to": BEGIN + 4 * DAY, "measures": ["visitors", "sessions"]});
    let monitor = built(some_requests(8_000, 5, 3_000), 100).await;
    let (answer, all) = (ask(&monitor, members.clone(), false).await, ask(&monitor, members, true).await);
    assert_eq!((answer.stats.source, answer.stats.error), (Source::Rollup, 0.0));
    assert_eq!(answer.rows, all.rows);
}

#[tokio::test]
async fn events_of_nobody_are_in_every_sample_and_not_multiplied() {
    let mut requests = some_requests(3_000, 5, 1_000);
    for envelope in &mut requests {
        (envelope.origin.visitor, envelope.origin.session) = (String::new(), String::new());
        envelope.origin.user = String::new();
    }
    let monitor = built(requests, 500).await;
    let members =
        json!({"filters": [{"field": "attributes.plan", "op": "in", "values": ["pro"]}], "measures": ["count", "visitors", "pages"]});
    let (sample, all) = (ask(&monitor, members.clone(), false).await, ask(&monitor, members, true).await);
    assert!(sample.stats.sample < 1.0);
    assert_eq!(sample.rows, all.rows);
}

#[tokio::test]
async fn percentiles_of_a_sample_count_the_visitors_that_stand_for_others_as_often() {
    // Events of nobody are all in the sample; a few of them must not outweigh the many of which it has a part.
    let mut requests = some_requests(6_000, 5, 4_000);
    for (n, envelope) in requests.iter_mut().enumerate() {
        let of_nobody = n % 3 == 0;
        envelope.origin.project = "shop".into();
        (envelope.origin.visitor, envelope.origin.session) =
            if of_nobody { (String::new(), String::new()) } else { (format!("v{n}"), format!("s{n}")) };
        for event in &mut envelope.events {
            event.value = Some(if of_nobody { 10.0 } else { 1_000.0 });
        }
    }
    let monitor = built(requests, 1_000).await;
    let members = json!({"filters": [{"field": "attributes.plan", "op": "in", "values": ["pro", "free"]}], "measures": ["p50"]});
    let (sample, all) = (ask(&monitor, members.clone(), false).await, ask(&monitor, members, true).await);
    assert!(sample.stats.sample <= 0.25, "{}", sample.stats.sample);
    assert_eq!((all.rows, sample.rows), (vec![vec![json!(1_000)]], vec![vec![json!(1_000)]]));
}

#[tokio::test]
async fn journeys_of_a_sample_are_near_those_of_all() {
    let monitor = built(some_requests(8_000, 5, 3_000), 1_000).await;
    let steps = json!([{"kinds": ["page_view"]}, {"kinds": ["click"]}, {"kinds": ["request"]}]);
    let near = |name: &str, a: &Table, b: &Table, column: usize| {
        assert!(a.stats.sample < 1.0 && (b.stats.sample - 1.0).abs() < f64::EPSILON, "{name}: {:?} {:?}", a.stats, b.stats);
        let most = |table: &Table| table.rows.iter().filter_map(|row| row[column].as_f64()).fold(0.0, f64::max);
        assert!((most(a) / most(b) - 1.0).abs() < 1.5 * a.stats.error, "{name}: {} instead of {}, {:?}", most(a), most(b), a.stats);
    };
    let funnel = async |exact: bool| {
        let query: FunnelQuery = serde_json::from_value(question(json!({"steps": steps, "within": 4 * DAY, "exact": exact}))).unwrap();
        monitor.store.funnel(&Scope::All, &query).await.unwrap()
    };
    near("funnel", &funnel(false).await, &funnel(true).await, 2);
    let paths = async |exact: bool| {
        let query: PathQuery = serde_json::from_value(question(json!({"exact": exact}))).unwrap();
        monitor.store.paths(&Scope::All, &query).await.unwrap()
    };
    near("paths", &paths(false).await, &paths(true).await, 3);
}

#[tokio::test]
async fn retention_from_sessions_is_that_of_the_events() {
    let monitor = built(some_requests(1_500, 4, 60), 400).await;
    let ask = async |members: &Value, exact: bool| {
        let mut members = members.clone();
        members["exact"] = json!(exact);
        let query: RetentionQuery = serde_json::from_value(question(members)).unwrap();
        monitor.store.retention(&Scope::All, &query).await.unwrap()
    };
    for members in [
        json!({"from": BEGIN, "to": BEGIN + 4 * DAY}),
        json!({"from": BEGIN + 90 * 60_000, "to": BEGIN + 3 * DAY + 17 * HOUR, "first": {"kinds": ["page_view"]}, "again": {"kinds": ["click", "error"]}}),
        json!({"from": BEGIN, "to": BEGIN + 4 * DAY, "period": "week", "filters": [{"field": "country", "op": "in", "values": ["DE"]}]}),
    ] {
        let (rolled, exact) = (ask(&members, false).await, ask(&members, true).await);
        assert_eq!((rolled.stats.source, exact.stats.source), (Source::Rollup, Source::Events), "{members}");
        assert_eq!(rolled.rows, exact.rows, "{members}");
    }
}

#[tokio::test]
async fn issues_are_dated_the_same_with_and_without_rollups() {
    let query: IssueQuery = serde_json::from_value(question(json!({"from": BEGIN + 2 * DAY, "to": BEGIN + 3 * DAY}))).unwrap();
    let monitor = Monitor::new();
    monitor.write(&batch("b", some_requests(1_500, 4, 60))).await;
    let without = monitor.store.issues(&Scope::All, &query).await.unwrap();
    let database = monitor.admin.database().unwrap().to_owned();
    configuration(&shared().url(), &database).rollup_job().unwrap().build(BUILT).await.unwrap();
    let with = monitor.again().store.issues(&Scope::All, &query).await.unwrap();
    assert_eq!((without.stats.source, with.stats.source), (Source::Events, Source::Rollup));
    assert_eq!((without.rows.len(), &without.rows), (4, &with.rows));
    assert!(with.rows.iter().all(|row| row[8].as_i64().unwrap() < BEGIN + DAY && row[9].as_i64().unwrap() > BEGIN + 3 * DAY));
}

#[tokio::test]
async fn s05_rollups_are_seen_by_the_readers_of_their_project_only() {
    let monitor = built(some_requests(1_500, 4, 60), 400).await;
    let query = |project: &str, measures: Value| -> Query {
        serde_json::from_value(question(json!({"project": project, "measures": measures}))).unwrap()
    };
    let bank = Scope::Projects(vec!["bank".into()]);
    for measures in [json!(["count"]), json!(["visitors"]), json!(["pages"])] {
        let refused = monitor.store.query(&bank, &query("shop", measures.clone())).await;
        assert!(matches!(refused, Err(QueryError::NotFound)), "{measures}");
        let own = query("bank", measures.clone());
        let all = Query { exact: true, ..own.clone() };
        let (own, all) = (monitor.store.query(&bank, &own).await.unwrap(), monitor.store.query(&Scope::All, &all).await.unwrap());
        assert!(own.rows[0][0].as_u64() > Some(0) && (own.stats.sample < 1.0 || own.rows == all.rows), "{measures}");
    }
}

#[tokio::test]
async fn facets_are_what_each_field_alone_would_be_answered() {
    let monitor = built(some_requests(1_500, 4, 60), 400).await;
    let fields = ["browser", "status", "tags.side", "route", "fingerprint", "attributes.plan"];
    for (fields, kinds, source) in [
        (&fields[..5], vec!["error"], Source::Rollup),
        (&fields[..], vec!["error"], Source::Events),
        (&fields[1..4], vec![], Source::Events),
    ] {
        let members = |fields: &[&str], more: Value| {
            let mut members = json!({
                "kinds": kinds, "group_by": fields, "measures": ["count", "visitors", "p75"], "sampling": "never", "limit": 3,
                "order_by": {"column": "count", "descending": true},
            });
            members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            members
        };
        let all = ask(&monitor, members(fields, json!({"facets": true})), false).await;
        assert_eq!(all.stats.source, source, "{fields:?}");
        let mut expected = Vec::new();
        for (n, field) in fields.iter().enumerate() {
            let alone = ask(&monitor, members(&[field], json!({"exact": true})), true).await;
            assert!(!alone.rows.is_empty());
            expected.extend(alone.rows.into_iter().map(|row| {
                let mut cells = vec![Value::Null; fields.len()];
                cells[n] = row[0].clone();
                cells.into_iter().chain(row.into_iter().skip(1)).collect::<Vec<_>>()
            }));
        }
        assert_eq!(all.rows, expected, "{fields:?}");
    }
}
