//! Pages of the dashboard: all their questions at once, of a real service.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use monitor_bench::{Result, client::Client, engine::Engine, figure};
use monitor_core::Store;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    PROJECT,
    figures::{median, p95},
    questions::{ask, forget},
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Browsers open at most as many connections to one address.
const CONNECTIONS: usize = 6;

/// What a page asks when it is opened. In the bodies, `"$from"`, `"$to"` and `"$step"` stand for the range, `"$day_before"` and
/// `"$day_after"` for a day more on either side, `"$fingerprint"` for the largest issue of the range, `"$session"`, `"$session_start"` and
/// `"$session_end"` for its longest session, `"$length_before"` for the beginning of the period before, and
/// `"$before"` and `"$before_to"` for the whole steps before the range.
pub(crate) struct Page {
    pub(crate) name: String,
    questions: Vec<Asked>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What the dashboard calls it.
    name: String,
    path: String,
    body: Value,
}

/// The pages in a folder, one in each file.
pub(crate) fn read(folder: &Path) -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    for file in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().and_then(|name| name.to_str()).ok_or("an odd file name")?.to_owned();
            let questions = serde_json::from_slice(&fs::read(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
            pages.push(Page { name, questions });
        }
    }
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pages)
}

/// Opens each page many times for a month and for a day, and prints what came of it.
pub(crate) async fn measure(
    engine: &Engine,
    store: &dyn Store,
    address: SocketAddr,
    pages: &[Page],
    until: i64,
    rounds: usize,
) -> Result<()> {
    println!(
        "\n{:<22} {:>5} {:>9} {:>8} {:>8} {:>8} {:>11}  slowest question",
        "page", "range", "questions", "p50 ms", "p95 ms", "CPU ms", "rows read"
    );
    let mut failed = 0;
    for (range, length, step) in [("30d", 30 * DAY, DAY), ("24h", DAY, HOUR)] {
        let from = (until - length).div_euclid(step) * step;
        let base = json!({"project": PROJECT, "from": from, "to": until});
        let (issues, _) = ask(store, "/query/issues", &base).await?;
        let sessions = super::questions::with(base, json!({"order": "longest", "limit": 1}));
        let (sessions, _) = ask(store, "/query/sessions", &sessions).await?;
        let first = |answer: &Value, cell: usize| answer.pointer(&format!("/rows/0/{cell}")).cloned().unwrap_or_default();
        let fingerprint = first(&issues, 0);
        let [session, start, end] = [0, 3, 4].map(|cell| first(&sessions, cell));
        'pages: for page in pages {
            let (mut times, mut cpu, mut rows) = (Vec::new(), 0.0, 0);
            let mut by_question: BTreeMap<String, Vec<f64>> = BTreeMap::new();
            for round in 0..=rounds {
                let to = until - i64::try_from(round)?;
                let earlier = (to - from).div_euclid(step) * step;
                let values = [
                    ("$from", json!(from)),
                    ("$to", json!(to)),
                    ("$step", json!(step)),
                    ("$length_before", json!(from - (to - from))),
                    ("$before", json!(from - earlier)),
                    ("$before_to", json!(to - earlier)),
                    ("$day_before", json!(from - DAY)),
                    ("$day_after", json!(to + DAY)),
                    ("$fingerprint", fingerprint.clone()),
                    ("$session", session.clone()),
                    ("$session_start", start.clone()),
                    ("$session_end", json!(end.as_i64().unwrap_or(to) + 1)),
                ];
                let filled = page.questions.iter().map(|asked| (asked.name.clone(), asked.path.clone(), fill(&asked.body, &values)));
                forget(engine).await?;
                let before = engine.cpu();
                let start = Instant::now();
                let answers = match open(address, filled.collect()).await {
                    Ok(answers) => answers,
                    // The others are worth knowing all the same.
                    Err(error) => {
                        println!("{:<22} {range:>5} failed after {:.0} s: {error}", page.name, start.elapsed().as_secs_f64());
                        failed += 1;
                        continue 'pages;
                    }
                };
                let taken = start.elapsed().as_secs_f64() * 1e3;
                // The first is to warm up.
                if round == 0 {
                    continue;
                }
                times.push(taken);
                cpu += (engine.cpu() - before).as_secs_f64() * 1e3 / rounds as f64;
                rows = answers.iter().map(|answer| answer.rows).sum();
                for answer in answers {
                    by_question.entry(answer.name).or_default().push(answer.time);
                }
            }
            let slowest = by_question.iter().map(|(name, times)| (median(times), name)).max_by(|a, b| a.0.total_cmp(&b.0));
            let slowest = slowest.map_or_else(String::new, |(time, name)| format!("{name} {time:.0} ms"));
            println!(
                "{:<22} {range:>5} {:>9} {:>8.1} {:>8.1} {cpu:>8.1} {rows:>11}  {slowest}",
                page.name,
                page.questions.len(),
                median(&times),
                p95(&times)
            );
            let name = if range == "30d" { page.name.clone() } else { format!("{}_{range}", page.name) };
            figure(&format!("query.page_{name}.p50_ms"), median(&times), "ms");
            figure(&format!("query.page_{name}.p95_ms"), p95(&times), "ms");
        }
    }
    if failed > 0 { Err(format!("{failed} pages failed").into()) } else { Ok(()) }
}

/// A body with values in the places of their names.
fn fill(body: &Value, values: &[(&str, Value)]) -> Value {
    match body {
        Value::String(text) => values.iter().find(|(name, _)| name == text).map_or_else(|| body.clone(), |(_, value)| value.clone()),
        Value::Array(list) => list.iter().map(|item| fill(item, values)).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), fill(member, values))).collect(),
        other => other.clone(),
    }
}

struct Answered {
    name: String,
    /// From the opening of the page, ms: what waits for a free connection is waited for.
    time: f64,
    rows: u64,
}

/// Asks all at once; an answer that is no success is an error.
async fn open(address: SocketAddr, questions: VecDeque<(String, String, Value)>) -> Result<Vec<Answered>> {
    let start = Instant::now();
    let waiting = Arc::new(Mutex::new(questions));
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let waiting = Arc::clone(&waiting);
            tokio::spawn(async move {
                let mut client = Client::new(address);
                let mut answers = Vec::new();
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((name, path, body)) = next else { return Result::Ok(answers) };
                    let text = serde_json::to_vec(&body)?;
                    let (status, answer) = client.post(&path, "application/json", text.into(), Duration::from_secs(60)).await?;
                    if status != 200 {
                        return Err(format!("{name}: {status} {} to {body}", String::from_utf8_lossy(&answer)).into());
                    }
                    let answer: Value = serde_json::from_slice(&answer)?;
                    let rows = answer.pointer("/stats/rows_read").and_then(Value::as_u64).unwrap_or(0);
                    answers.push(Answered { name, time: start.elapsed().as_secs_f64() * 1e3, rows });
                }
            })
        })
        .collect();
    let mut answers = Vec::new();
    for connection in connections {
        answers.extend(connection.await??);
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_body_become_values() {
        let body = json!({"from": "$from", "filters": [{"values": ["$session", "$unknown"]}], "limit": 5});
        let filled = fill(&body, &[("$from", json!(7)), ("$session", json!("s"))]);
        assert_eq!(filled, json!({"from": 7, "filters": [{"values": ["s", "$unknown"]}], "limit": 5}));
    }

    #[test]
    fn the_pages_are_questions_that_the_language_knows() {
        use monitor_core::query::{EventQuery, FunnelQuery, IssueQuery, PathQuery, Query, RetentionQuery, SessionQuery};
        fn check<T: serde::de::DeserializeOwned>(
            body: Value,
            validate: impl Fn(&T) -> std::result::Result<(), String>,
        ) -> std::result::Result<(), String> {
            validate(&serde_json::from_value(body).map_err(|error| error.to_string())?)
        }
        let values = [
            ("$from", json!(40 * DAY)),
            ("$to", json!(70 * DAY)),
            ("$step", json!(DAY)),
            ("$length_before", json!(10 * DAY)),
            ("$before", json!(10 * DAY)),
            ("$before_to", json!(40 * DAY)),
            ("$day_before", json!(39 * DAY)),
            ("$day_after", json!(71 * DAY)),
            ("$fingerprint", json!("f")),
            ("$session", json!("s")),
            ("$session_start", json!(50 * DAY)),
            ("$session_end", json!(51 * DAY)),
        ];
        let pages = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pages"))).unwrap();
        assert!(pages.len() > 5);
        for page in pages {
            for asked in page.questions {
                let body = fill(&asked.body, &values);
                let checked = match asked.path.as_str() {
                    "/query" => check(body, Query::validate),
                    "/query/events" => check(body, EventQuery::validate),
                    "/query/funnel" => check(body, FunnelQuery::validate),
                    "/query/retention" => check(body, RetentionQuery::validate),
                    "/query/paths" => check(body, PathQuery::validate),
                    "/query/sessions" => check(body, SessionQuery::validate),
                    "/query/issues" => check(body, IssueQuery::validate),
                    other => Err(format!("nothing is asked at {other}")),
                };
                assert_eq!(checked, Ok(()), "{} {}", page.name, asked.name);
            }
        }
    }
}
