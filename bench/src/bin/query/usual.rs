//! The usual way to make such dashboards quick: states of t-digests and of distinct counts for each combination of dimensions.
//!
//! Filled from the same events, day by day, as a materialised view would have done on their way in. Only of the project that is asked
//! about, of LCP and of page views: more would only make the tables larger. What is not a dimension cannot be asked.

use std::time::Instant;

use monitor_bench::{Result, engine::Engine};
use serde_json::{Value, json};

use super::{
    PROJECT,
    figures::{error, median},
    questions::forget,
};

const DIMENSIONS: &str = "release, environment, device, browser, os, country, connection";

/// The tables are there.
pub(crate) struct Usual;

impl Usual {
    /// Builds the tables that are missing.
    pub(crate) async fn build(engine: &Engine) -> Result<Usual> {
        let columns = DIMENSIONS.split(", ").map(|name| format!("{name} LowCardinality(String)")).collect::<Vec<_>>().join(", ");
        let tables = [
            (
                "lcp",
                format!(
                    "hour DateTime('UTC'), route LowCardinality(String), {columns}, value AggregateFunction(quantilesTDigest(0.5, 0.75, 0.95), Float64)"
                ),
                format!("hour, route, {DIMENSIONS}"),
                "toStartOfHour(time) AS hour, route",
                "quantilesTDigestState(0.5, 0.75, 0.95)(value)",
                "kind = 'vital' AND name = 'LCP'",
            ),
            (
                "visitors",
                format!("day Date, {columns}, value AggregateFunction(uniq, UInt64)"),
                format!("day, {DIMENSIONS}"),
                "toDate(time) AS day",
                "uniqState(user_hash)",
                "visitor != ''",
            ),
            (
                "views",
                format!("day Date, route LowCardinality(String), {columns}, value AggregateFunction(sum, Float64)"),
                format!("day, route, {DIMENSIONS}"),
                "toDate(time) AS day, route",
                "sumState(toFloat64(weight))",
                "kind = 'page_view'",
            ),
        ];
        engine.sql("CREATE DATABASE IF NOT EXISTS usual").await?;
        let days = engine.sql(&format!("SELECT DISTINCT toDate(time) FROM events WHERE project = '{PROJECT}' ORDER BY 1")).await?;
        let start = Instant::now();
        for (table, columns, order, keys, state, which) in tables {
            if engine.number(&format!("SELECT count() FROM system.tables WHERE database = 'usual' AND name = '{table}'")).await? > 0.0 {
                continue;
            }
            let new = format!("usual.new_{table}");
            engine.sql(&format!("DROP TABLE IF EXISTS {new} SYNC")).await?;
            let partition = if keys.contains("hour") { "toDate(hour)" } else { "day" };
            engine
                .sql(&format!("CREATE TABLE {new} ({columns}) ENGINE = AggregatingMergeTree PARTITION BY {partition} ORDER BY ({order})"))
                .await?;
            for day in days.lines() {
                let from = format!("FROM events WHERE project = '{PROJECT}' AND {which} AND toDate(time) = '{day}'");
                engine.sql(&format!("INSERT INTO {new} SELECT {keys}, {DIMENSIONS}, {state} {from} GROUP BY {order}")).await?;
            }
            engine.sql(&format!("OPTIMIZE TABLE {new} FINAL")).await?;
            engine.sql(&format!("RENAME TABLE {new} TO usual.{table}")).await?;
        }
        let sizes = "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'usual' GROUP BY table ORDER BY table";
        println!("\nthe usual way's tables, {:.0} s:", start.elapsed().as_secs_f64());
        for line in engine.sql(sizes).await?.lines() {
            let cells: Vec<_> = line.split('\t').collect();
            if let [table, rows, bytes] = cells[..] {
                println!("  {table:<10} {rows:>10} rows {:>8.1} MB", bytes.parse::<f64>()? / 1e6);
            }
        }
        Ok(Usual)
    }

    /// Its time for a question (median, ms), and its error; `None` for what these tables cannot answer.
    pub(crate) async fn measure(
        &self,
        engine: &Engine,
        name: &str,
        body: &Value,
        exact: Option<&[Vec<Value>]>,
        rounds: usize,
    ) -> Result<Option<(f64, Option<f64>)>> {
        let times = ["from", "to"].map(|member| body.get(member).and_then(Value::as_i64).unwrap_or(0) / 1_000);
        let days = format!("day >= toDate(toDateTime({}, 'UTC')) AND day <= toDate(toDateTime({}, 'UTC'))", times[0], times[1] - 1);
        let hours = format!("hour >= toDateTime({}, 'UTC') AND hour < toDateTime({}, 'UTC')", times[0], times[1]);
        let filters = match name {
            name if name.ends_with("filter1") => " AND device = 'mobile'",
            name if name.ends_with("filters3") => " AND device = 'mobile' AND country = 'DE' AND browser = 'Chrome'",
            _ => "",
        };
        const QUANTILES: &str = "quantilesTDigestMerge(0.5, 0.75, 0.95)(value)";
        let statement = match name {
            "lcp_day_hours" => {
                format!("SELECT toUnixTimestamp(hour) * 1000, {QUANTILES}[2] FROM usual.lcp WHERE {hours} GROUP BY hour ORDER BY hour")
            }
            "lcp_30d" | "lcp_30d_filter1" | "lcp_30d_filters3" => {
                format!("WITH {QUANTILES} AS q SELECT q[1], q[2], q[3] FROM usual.lcp WHERE {hours}{filters}")
            }
            "uv_30d" | "uv_30d_filter1" | "uv_30d_filters3" => format!("SELECT uniqMerge(value) FROM usual.visitors WHERE {days}{filters}"),
            "uv_by_day" => format!(
                "SELECT toUnixTimestamp(toDateTime(day, 'UTC')) * 1000, uniqMerge(value) FROM usual.visitors WHERE {days} GROUP BY day ORDER BY day"
            ),
            "top_routes" => format!(
                "SELECT route, views, p75 FROM (SELECT route, sumMerge(value) AS views FROM usual.views WHERE {days} GROUP BY route) AS seen \
                 LEFT JOIN (SELECT route, {QUANTILES}[2] AS p75 FROM usual.lcp WHERE {hours} GROUP BY route) AS timed USING route ORDER BY views DESC LIMIT 20"
            ),
            _ => return Ok(None),
        };
        let (mut taken, mut answer) = (Vec::new(), String::new());
        for _ in 0..rounds {
            forget(engine).await?;
            let start = Instant::now();
            answer = engine.sql(&statement).await?;
            taken.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let cell = |text: &str| {
            text.parse::<f64>()
                .map_or_else(|_| json!(text), |number| if number.fract() == 0.0 { json!(number as i64) } else { json!(number) })
        };
        let rows: Vec<Vec<Value>> = answer.lines().map(|line| line.split('\t').map(cell).collect()).collect();
        let keys = usize::from(matches!(name, "lcp_day_hours" | "uv_by_day" | "top_routes"));
        Ok(Some((median(&taken), exact.map(|exact| error(&rows, exact, keys)))))
    }
}
