//! Which page follows which.

use monitor_core::{
    Kind, QueryError, Scope,
    query::{PathQuery, Source, Table},
};
use serde_json::Value as Cell;

use super::{
    ClickHouseStore,
    answer::{Shape, count, tidy},
    counted,
    filter::{Selection, matching},
    plan,
    raw::Sample,
};
use crate::{
    connection::Answer,
    sql::{Sql, Value},
};

/// Answers a question that was checked.
pub(super) async fn answer(store: &ClickHouseStore, scope: &Scope, query: &PathQuery) -> Result<Table, QueryError> {
    let sample = match query.exact {
        true => Sample::ALL,
        false => {
            let known = store.known().await?;
            plan::sample_of_events(store.limits(), &known, &query.project, &[Kind::PageView], &query.filters, &(query.from..query.to))
        }
    };
    let answer: Answer<Vec<Cell>> = store.ask(&select(scope, query, sample)?).await?;
    let most = answer.data.iter().map(|row| count(row.get(3))).max().unwrap_or(0);
    let rows = answer.data.into_iter().map(|row| {
        let sessions = count(row.get(3)) * sample.0;
        let shapes = [Shape::Number, Shape::Text, Shape::Text];
        let passage = row.into_iter().zip(shapes).map(|(cell, shape)| tidy(cell, shape));
        passage.chain([Cell::from(sessions)]).collect()
    });
    let rows = rows.collect();
    let stats = counted(answer.statistics.rows_read, Source::Events, sample, most);
    Ok(Table { columns: PathQuery::COLUMNS.map(str::to_owned).to_vec(), rows, previous: None, stats })
}

/// Rows of step, source, target and sessions.
fn select(scope: &Scope, query: &PathQuery, sample: Sample) -> Result<Sql, QueryError> {
    let mut sql = Sql::new(
        "SELECT step, way[step] AS source, if(step < length(way), toNullable(way[step + 1]), NULL) AS target, count() AS sessions",
    );
    sql.push(" FROM (SELECT arraySlice(routes, ");
    match &query.start {
        Some(start) => sql.push("indexOf(routes, ").bind(Value::Text(start.clone())).push(")"),
        None => sql.push("1"),
    };
    // A route that is seen again at once (a reload) is no passage.
    sql.push(", ").bind(Value::Integer(i64::from(query.depth) + 1)).push(") AS way FROM (SELECT session,");
    sql.push(" arrayCompact(arrayMap(view -> view.3, arraySort(groupArray((time, seq, toString(route)))))) AS routes");
    let selection = Selection { scope, project: &query.project, kinds: &[Kind::PageView], filters: &query.filters };
    matching(&mut sql, &selection, query.from..query.to)?;
    sample.condition(&mut sql);
    sql.push(" AND session != '' GROUP BY session)");
    if let Some(start) = &query.start {
        sql.push(" WHERE has(routes, ").bind(Value::Text(start.clone())).push(")");
    }
    sql.push(") ARRAY JOIN range(1, least(length(way), ").bind(Value::Integer(query.depth.into())).push(") + 1) AS step");
    sql.push(" GROUP BY step, source, target ORDER BY step, sessions DESC, source, target LIMIT ").bind(Value::Integer(query.limit.into()));
    sql.push(" BY step");
    Ok(sql)
}
