//! The questions, and how they are measured.

use std::time::Instant;

use monitor_bench::{Result, engine::Engine, figure, with_causes};
use monitor_core::{
    QueryError, Scope, Store,
    query::{EventPage, Table},
};
use serde_json::{Value, json};

use super::{
    PROJECT,
    figures::{error, median, p95},
    usual::Usual,
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A question by the path that the service takes it at.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) body: Value,
    /// Leading cells that say what a row is about.
    keys: usize,
}

/// The questions for a store whose events end at `until`, as the dashboard asks them: ranges begin on a whole hour or day, and end now.
pub(crate) async fn all(store: &dyn Store, until: i64) -> Result<Vec<Question>> {
    let since = |length: i64, step: i64| (until - length).div_euclid(step) * step;
    let is = |field: &str, value: &str| json!({"field": field, "op": "in", "values": [value]});
    let month = |more: Value| with(json!({"project": PROJECT, "from": since(30 * DAY, DAY), "to": until}), more);
    let lcp = |filters: &[Value]| {
        let filters: Vec<_> = [is("name", "LCP")].into_iter().chain(filters.iter().cloned()).collect();
        month(json!({"kinds": ["vital"], "filters": filters, "measures": ["p50", "p75", "p95"]}))
    };
    let visitors = |filters: &[Value]| month(json!({"filters": filters, "measures": ["visitors"]}));
    let three = [is("device", "mobile"), is("country", "DE"), is("browser", "Chrome")];
    let day = json!({"project": PROJECT, "from": since(DAY, HOUR), "to": until});
    let week = json!({"project": PROJECT, "from": since(7 * DAY, HOUR), "to": until});
    let step = |name: &str| json!({"label": name, "kinds": ["track"], "filters": [is("name", name)]});

    let steps = ["view_product", "add_to_cart", "purchase"].map(step);

    let issues = week.clone();
    let (answer, _) = ask(store, "/query/issues", &issues).await?;
    let fingerprint = answer.pointer("/rows/0/0").and_then(Value::as_str).ok_or("there are no issues in the last seven days")?;
    let latest = json!({"kinds": ["error", "message"], "filters": [is("fingerprint", fingerprint)], "order": "newest", "limit": 20});
    let routes = json!({
        "kinds": ["page_view", "vital"], "filters": [{"field": "name", "op": "in", "values": ["page_view", "LCP"]}], "group_by": ["route"],
        "measures": ["count:page_view", "p75"], "order_by": {"column": "count:page_view", "descending": true}, "limit": 20,
    });
    let list = [
        (
            "lcp_day_hours",
            "/query",
            with(day, json!({"kinds": ["vital"], "filters": [is("name", "LCP")], "step": HOUR, "measures": ["p75"]})),
            1,
        ),
        ("lcp_30d", "/query", lcp(&[]), 0),
        ("lcp_30d_filter1", "/query", lcp(&[is("device", "mobile")]), 0),
        ("lcp_30d_filters3", "/query", lcp(&three), 0),
        ("lcp_30d_attribute", "/query", lcp(&[is("attributes.plan", "pro")]), 0),
        ("uv_30d", "/query", visitors(&[]), 0),
        ("uv_30d_filter1", "/query", visitors(&three[..1]), 0),
        ("uv_30d_filters3", "/query", visitors(&three), 0),
        ("uv_30d_whole", "/query", with(visitors(&[]), json!({"sampling": "never"})), 0),
        ("uv_by_day", "/query", month(json!({"step": DAY, "measures": ["visitors"]})), 1),
        ("top_routes", "/query", month(routes), 1),
        ("issues_7d", "/query/issues", issues, 1),
        ("issue_events", "/query/events", with(week, latest), 0),
        ("funnel", "/query/funnel", month(json!({"steps": steps})), 2),
        ("retention_day7", "/query/retention", month(json!({"period": "day"})), 2),
    ];
    Ok(list.into_iter().map(|(name, path, body, keys)| Question { name, path, body, keys }).collect())
}

/// The members of one object, and those of another.
pub(crate) fn with(mut body: Value, more: Value) -> Value {
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

/// Asks the store what a request to this path would ask. The answer as JSON, and how long it took, ms.
pub(crate) async fn ask(store: &dyn Store, path: &str, body: &Value) -> Result<(Value, f64)> {
    fn table(answer: std::result::Result<Table, QueryError>) -> Result<Value> {
        Ok(serde_json::to_value(answer.map_err(|error| with_causes(&error))?)?)
    }
    let scope = &Scope::All;
    let read = |error: serde_json::Error| format!("{path} {body}: {error}");
    let text = body.to_string();
    let start = Instant::now();
    let answer = match path {
        "/query" => table(store.query(scope, &serde_json::from_str(&text).map_err(read)?).await),
        "/query/funnel" => table(store.funnel(scope, &serde_json::from_str(&text).map_err(read)?).await),
        "/query/retention" => table(store.retention(scope, &serde_json::from_str(&text).map_err(read)?).await),
        "/query/paths" => table(store.paths(scope, &serde_json::from_str(&text).map_err(read)?).await),
        "/query/sessions" => table(store.sessions(scope, &serde_json::from_str(&text).map_err(read)?).await),
        "/query/issues" => table(store.issues(scope, &serde_json::from_str(&text).map_err(read)?).await),
        "/query/events" => {
            let page: std::result::Result<EventPage, _> = store.events(scope, &serde_json::from_str(&text).map_err(read)?).await;
            Ok(serde_json::to_value(page.map_err(|error| with_causes(&error))?)?)
        }
        other => Err(format!("nothing is asked at {other}").into()),
    };
    let answer = answer.map_err(|error| format!("{path} {body}: {error}"))?;
    Ok((answer, start.elapsed().as_secs_f64() * 1e3))
}

/// The question of the n-th round: its range ends a little earlier, so that no answer of a round before will do.
pub(crate) fn of_round(body: &Value, round: usize) -> Value {
    let mut body = body.clone();
    if let Some(to) = body.get("to").and_then(Value::as_i64) {
        body["to"] = (to - i64::try_from(round).unwrap_or(0)).into();
    }
    body
}

/// Makes the engine forget what it has answered, and which blocks of rows had nothing.
pub(crate) async fn forget(engine: &Engine) -> Result<()> {
    engine.sql("SYSTEM DROP QUERY CACHE").await?;
    engine.sql("SYSTEM DROP QUERY CONDITION CACHE").await?;
    Ok(())
}

fn rows(answer: &Value) -> Vec<Vec<Value>> {
    answer.get("rows").and_then(|rows| serde_json::from_value(rows.clone()).ok()).unwrap_or_default()
}

/// Asks each question many times, and prints what came of it.
pub(crate) async fn measure(
    engine: &Engine,
    store: &dyn Store,
    usual: Option<&Usual>,
    questions: &[Question],
    rounds: usize,
) -> Result<()> {
    println!(
        "\n{:<18} {:>8} {:>8} {:>8} {:>11} {:>7} {:>7} {:>7} {:>7} | {:>8} {:>11} | {:>8} {:>7}",
        "question",
        "p50 ms",
        "p95 ms",
        "CPU ms",
        "rows read",
        "source",
        "sample",
        "said",
        "error",
        "raw ms",
        "rows read",
        "usual ms",
        "error"
    );
    for question in questions {
        let Question { name, path, body, keys } = question;
        let (mut times, mut cpu, mut last) = (Vec::new(), 0.0, Value::Null);
        for round in 0..=rounds {
            forget(engine).await?;
            let before = engine.cpu();
            let (answer, time) = ask(store, path, &of_round(body, round)).await?;
            // The first is to warm up.
            if round > 0 {
                times.push(time);
                cpu += (engine.cpu() - before).as_secs_f64() * 1e3 / rounds as f64;
            }
            last = answer;
        }
        // Of the same moment as the last one.
        let (mut raw, mut raw_times) = (None, Vec::new());
        if matches!(*path, "/query" | "/query/funnel" | "/query/retention") {
            let exact = with(of_round(body, rounds), json!({"exact": true}));
            for _ in 0..rounds.min(3) {
                forget(engine).await?;
                let (answer, time) = ask(store, path, &exact).await?;
                raw_times.push(time);
                raw = Some(answer);
            }
        }
        let off = raw.as_ref().map(|raw| error(&rows(&last), &rows(raw), *keys));
        let stat = |answer: &Value, name: &str| answer.get("stats").and_then(|stats| stats.get(name)).cloned().unwrap_or(Value::Null);
        let read = |answer: &Value| stat(answer, "rows_read").as_u64().unwrap_or(0);
        let by_usual = match usual {
            Some(usual) => usual.measure(engine, name, &of_round(body, rounds), raw.as_ref().map(rows).as_deref(), rounds).await?,
            None => None,
        };
        let dash = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        println!(
            "{name:<18} {:>8.1} {:>8.1} {cpu:>8.1} {:>11} {:>7} {:>7.4} {:>7.4} {:>7} | {:>8} {:>11} | {:>8} {:>7}",
            median(&times),
            p95(&times),
            read(&last),
            stat(&last, "source").as_str().unwrap_or("-"),
            stat(&last, "sample").as_f64().unwrap_or(f64::NAN),
            stat(&last, "error").as_f64().unwrap_or(f64::NAN),
            dash(off, 4),
            dash(raw.as_ref().map(|_| median(&raw_times)), 1),
            raw.as_ref().map_or("-".to_owned(), |raw| read(raw).to_string()),
            dash(by_usual.map(|usual| usual.0), 1),
            dash(by_usual.and_then(|usual| usual.1), 4),
        );
        figure(&format!("query.{name}.p50_ms"), median(&times), "ms");
        figure(&format!("query.{name}.p95_ms"), p95(&times), "ms");
        figure(&format!("query.{name}.cpu_ms"), cpu, "ms");
        for (what, value, unit) in [
            ("error", off, "1"),
            ("raw_ms", raw.as_ref().map(|_| median(&raw_times)), "ms"),
            ("usual_ms", by_usual.map(|usual| usual.0), "ms"),
            ("usual_error", by_usual.and_then(|usual| usual.1), "1"),
        ] {
            if let Some(value) = value {
                figure(&format!("query.{name}.{what}"), value, unit);
            }
        }
    }
    Ok(())
}
