//! Which page follows which.

use monitor_core::{
    Kind, QueryError, Scope,
    query::{PathQuery, Source, Table},
};
use serde_json::Value as Cell;

use super::{
    ClickHouseStore,
    answer::{Shape, count, share, tidy},
    counted,
    filter::{Selection, matching_in},
    plan::{self, Cover, tables},
    raw::{Sample, push_column},
};
use crate::{
    connection::Answer,
    sql::{Sql, Value},
};

/// Answers a question that was checked.
pub(super) async fn answer(store: &ClickHouseStore, scope: &Scope, query: &PathQuery) -> Result<Table, QueryError> {
    let selection = Selection { scope, project: &query.project, kinds: &[Kind::PageView], filters: &query.filters };
    let (sample, cover) = match query.exact {
        true => (Sample::ALL, None),
        false => plan::sample_of_journeys(store.limits(), &*store.known().await?, &selection, &[], &(query.from..query.to)),
    };
    let answer: Answer<Vec<Cell>> = store.ask(&select(query, &selection, sample, cover.as_ref())?).await?;
    let most = answer.data.iter().map(|row| count(row.get(3))).max().unwrap_or(0);
    let rows = answer.data.into_iter().map(|row| {
        let (sessions, of) = (count(row.get(3)), count(row.get(4)));
        let shapes = [Shape::Number, Shape::Text, Shape::Text];
        let passage = row.into_iter().zip(shapes).map(|(cell, shape)| tidy(cell, shape));
        passage.chain([Cell::from(sessions * sample.0), share(sessions, of)]).collect()
    });
    let rows = rows.collect();
    let source = if cover.is_some() { Source::Rollup } else { Source::Events };
    let stats = counted(answer.statistics.rows_read, source, sample, most);
    Ok(Table { columns: PathQuery::COLUMNS.map(str::to_owned).to_vec(), rows, stats, ..Table::default() })
}

/// Rows of step, source, target, sessions, and how many sessions have the step.
fn select(query: &PathQuery, selection: &Selection<'_>, sample: Sample, cover: Option<&Cover>) -> Result<Sql, QueryError> {
    let mut sql = Sql::new(
        "SELECT step, way[step] AS source, if(step < length(way), toNullable(way[step + 1]), NULL) AS target, count() AS sessions, \
        sum(sessions) OVER (PARTITION BY step)",
    );
    sql.push(" FROM (SELECT arraySlice(routes, ");
    match &query.start {
        Some(start) => sql.push("indexOf(routes, ").bind(Value::Text(start.clone())).push(")"),
        None => sql.push("1"),
    };
    // A route that is seen again at once (a reload) is no passage.
    sql.push(", ").bind(Value::Integer(i64::from(query.depth) + 1)).push(") AS way FROM (SELECT session_hash,");
    sql.push(" arrayCompact(arrayMap(view -> view.3, arraySort(groupArray((time, seq, toString(route)))))) AS routes FROM (");
    for (n, (table, ranges)) in tables(query.from..query.to, cover).into_iter().enumerate() {
        push_column(sql.push(if n == 0 { "SELECT " } else { " UNION ALL SELECT " }), table, "session_hash");
        sql.push(", time, seq, route");
        matching_in(&mut sql, table, selection, &ranges)?;
        sample.condition(&mut sql);
        sql.push(" AND session_hash != 0");
    }
    sql.push(") GROUP BY session_hash)");
    if let Some(start) = &query.start {
        sql.push(" WHERE has(routes, ").bind(Value::Text(start.clone())).push(")");
    }
    sql.push(") ARRAY JOIN range(1, least(length(way), ").bind(Value::Integer(query.depth.into())).push(") + 1) AS step");
    sql.push(" GROUP BY step, source, target ORDER BY step, sessions DESC, source, target LIMIT ").bind(Value::Integer(query.limit.into()));
    sql.push(" BY step");
    Ok(sql)
}
