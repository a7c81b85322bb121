//! How many get from step to step.
//!
//! For each visitor (session) the events of the steps are put in order of time. `s` of a step holds, for each event, the beginning of the
//! latest chain that reaches the step with this event in time, or 0; `m` the latest such beginning before each event, `p` the time of the
//! event that reached it. Beginnings never decrease with time, so filling forward gives the maximum: one pass for each step, however
//! many events a visitor has, and the same reach as that of the server's own `windowFunnel`, which keeps no times.

use monitor_core::{
    Kind, QueryError, Scope,
    query::{Filter, FunnelQuery, Source, Table, Who},
};
use serde_json::Value as Cell;

use super::{
    ClickHouseStore,
    answer::{Shape, count, share, tidy},
    counted,
    filter::{Selection, happening, matching_in},
    plan::{self, Cover, tables},
    raw::{Sample, push_column},
};
use crate::{
    connection::Answer,
    sql::{Sql, Value},
};

/// Answers a question that was checked.
pub(super) async fn answer(store: &ClickHouseStore, scope: &Scope, query: &FunnelQuery) -> Result<Table, QueryError> {
    let kinds = kinds(query);
    // Kinds come early in the order of the tables: with them most of it is skipped.
    let selection = Selection { scope, project: &query.project, kinds: &kinds, filters: &query.filters };
    let (sample, cover) = match query.exact {
        true => (Sample::ALL, None),
        false => {
            let steps: Vec<&[Filter]> = query.steps.iter().map(|step| step.filters.as_slice()).collect();
            plan::sample_of_journeys(store.limits(), &*store.known().await?, &selection, &steps, &(query.from..query.to))
        }
    };
    let answer: Answer<Vec<Cell>> = store.ask(&select(query, &selection, sample, cover.as_ref())?).await?;
    let row = answer.data.first().map(Vec::as_slice).unwrap_or_default();
    let reached = |n: usize| count(row.get(2 * n)) * sample.0;
    let mut rows = Vec::with_capacity(query.steps.len());
    for (n, step) in query.steps.iter().enumerate() {
        let median = if n == 0 { Cell::Null } else { tidy(row.get(2 * n + 1).cloned().unwrap_or_default(), Shape::Number) };
        rows.push(vec![
            Cell::from(n + 1),
            Cell::from(step.label.as_str()),
            Cell::from(reached(n)),
            share(reached(n), reached(0)),
            share(reached(n), reached(n.saturating_sub(1))),
            median,
        ]);
    }
    let source = if cover.is_some() { Source::Rollup } else { Source::Events };
    let stats = counted(answer.statistics.rows_read, source, sample, count(row.first()));
    Ok(Table { columns: FunnelQuery::COLUMNS.map(str::to_owned).to_vec(), rows, stats, ..Table::default() })
}

/// The kinds of all steps; none when one of them is of any kind.
fn kinds(query: &FunnelQuery) -> Vec<Kind> {
    if query.steps.iter().any(|step| step.kinds.is_empty()) {
        return Vec::new();
    }
    let mut kinds: Vec<Kind> = query.steps.iter().flat_map(|step| step.kinds.iter().cloned()).collect();
    kinds.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    kinds.dedup();
    kinds
}

/// One row: for each step how many reached it, and the median of the time since the step before.
fn select(query: &FunnelQuery, selection: &Selection<'_>, sample: Sample, cover: Option<&Cover>) -> Result<Sql, QueryError> {
    let steps = query.steps.len();
    let mut sql = Sql::new("SELECT ");
    for n in 0..steps {
        // Where the step is first reached: the position decides both reach and time.
        sql.push(if n == 0 { "countIf(i" } else { ", countIf(i" })
            .numbered("", n)
            .numbered(" > 0), quantileExactInclusiveOrNullIf(0.5)(d", n);
        sql.numbered(", i", n).push(" > 0)");
    }
    sql.push(" FROM (SELECT arraySort(groupArray((toUnixTimestamp64Milli(time), step))) AS e, e.1 AS t, ");
    for n in 0..steps {
        if n == 0 {
            sql.push("arrayMap((time, step) -> if(bitTest(step, 0), time, 0), e.1, e.2) AS s0, ");
        } else {
            sql.numbered("arrayPopBack(arrayPushFront(arrayFill(x -> x != 0, s", n - 1).numbered("), 0)) AS m", n);
            sql.numbered(", arrayPopBack(arrayPushFront(arrayFill(x -> x != 0, arrayMap((x, y) -> if(x != 0, y, 0), s", n - 1);
            sql.numbered(", t)), 0)) AS p", n);
            sql.numbered(", arrayMap((time, step, m) -> if(bitTest(step, ", n).push(") AND m != 0 AND time - m <= ");
            sql.bind(Value::Integer(query.within)).numbered(", m, 0), e.1, e.2, m", n).numbered(") AS s", n).push(", ");
        }
        sql.numbered("arrayFirstIndex(x -> x != 0, s", n).numbered(") AS i", n).push(", ");
        if n == 0 {
            sql.push("0 AS d0, ");
        } else {
            sql.numbered("if(i", n).numbered(" > 0, t[i", n).numbered("] - p", n).numbered("[i", n).numbered("], 0) AS d", n).push(", ");
        }
    }
    let (who, somebody) = match query.by {
        Who::Visitor => ("user_hash", " AND user_hash != cityHash64('')"),
        Who::Session => ("session_hash", " AND session_hash != 0"),
    };
    sql.push(who).push(" FROM (");
    for (n, (table, ranges)) in tables(query.from..query.to, cover).into_iter().enumerate() {
        push_column(sql.push(if n == 0 { "SELECT " } else { " UNION ALL SELECT " }), table, who);
        sql.push(", time, ");
        for (n, step) in query.steps.iter().enumerate() {
            sql.push(if n == 0 { "bitShiftLeft(toUInt16(1" } else { " + bitShiftLeft(toUInt16(1" });
            happening(&mut sql, &step.kinds, &step.filters)?;
            sql.numbered("), ", n).push(")");
        }
        sql.push(" AS step");
        matching_in(&mut sql, table, selection, &ranges)?;
        sample.condition(&mut sql);
        sql.push(somebody).push(" AND step != 0");
    }
    sql.push(") GROUP BY ").push(who).push(")");
    Ok(sql)
}
