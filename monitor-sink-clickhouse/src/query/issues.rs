//! A list of issues, and what people decide about them.

use monitor_core::{
    Kind, QueryError, Scope,
    query::{Field, Filter, IssueOrder, IssueQuery, IssueState, IssueStatus, Source, Stats, Table},
};
use serde_json::Value as Cell;

use super::{
    ClickHouseStore,
    answer::{Shape, count, tidy},
    filter::{From, Selection, condition, like, matching_any, matching_in, tenant, within_days},
    known::Known,
    plan::{self, Cover, tables},
    raw::push_column,
};
use crate::{
    calendar::{DAY, HOUR},
    connection::Answer,
    sql::{Sql, Value},
};

/// Parts that a range is divided into for the small chart.
const SLOTS: usize = 24;
/// The end of all time that the table can hold, ms.
const EVER: i64 = DAY << 16;

/// Answers a question that was checked.
pub(super) async fn answer(store: &ClickHouseStore, known: &Known, scope: &Scope, query: &IssueQuery) -> Result<Table, QueryError> {
    // When an issue was seen first and last in all that is kept.
    let kept = plan::days(&(0..EVER), known);
    // The range reaches the present, give or take an hour: the latest texts of all are as good as its own.
    let ends_last = query.to > super::now() - HOUR || known.days.last_key_value().is_some_and(|(day, _)| (day + 1) * DAY <= query.to);
    let texts_of_kept = ends_last && query.filters.iter().all(|filter| filter.field == Field::Fingerprint);
    // The texts are not in the rollup of samples.
    let cover = if texts_of_kept { plan::errors(&query.filters, &(query.from..query.to), known) } else { None };
    let answer: Answer<Vec<Cell>> = store.ask(&select(scope, query, &kept, texts_of_kept, cover.as_ref())?).await?;
    let rows = answer.data.into_iter().map(|row| {
        let last = IssueQuery::COLUMNS.len() - 1;
        let cells = row.into_iter().zip(IssueQuery::COLUMNS).enumerate().map(|(n, (cell, column))| {
            if n == last {
                return spark(&cell);
            }
            let number = ["count", "users", "sessions", "first_seen", "last_seen"].contains(&column);
            tidy(cell, if number { Shape::Number } else { Shape::Text })
        });
        cells.collect()
    });
    let rows = rows.collect();
    let source = if kept.rolled.is_empty() { Source::Events } else { Source::Rollup };
    let stats = Stats { rows_read: answer.statistics.rows_read, source, ..Stats::default() };
    Ok(Table { columns: IssueQuery::COLUMNS.map(str::to_owned).to_vec(), rows, stats, ..Table::default() })
}

/// `[[slots], [counts]]` as a count for each slot.
fn spark(cell: &Cell) -> Cell {
    let list = |n: usize| cell.get(n).and_then(Cell::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut counts = vec![0_u64; SLOTS];
    for (slot, weight) in list(0).iter().zip(list(1)) {
        let slot = usize::try_from(count(Some(slot))).ok().and_then(|slot| counts.get_mut(slot));
        if let (Some(slot), Some(weight)) = (slot, tidy(weight.clone(), Shape::Number).as_f64()) {
            *slot = whole(weight);
        }
    }
    Cell::from(counts)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and weights are not negative")]
fn whole(weight: f64) -> u64 {
    weight.round() as u64
}

/// With the texts of the latest event that is `kept`, or of the latest in the range, which takes longer: all of them are read. `cover`: the times
/// of which the errors are read from the rollup of samples, where no texts are.
fn select(scope: &Scope, query: &IssueQuery, kept: &Cover, texts_of_kept: bool, cover: Option<&Cover>) -> Result<Sql, QueryError> {
    let kinds = [Kind::Error, Kind::Message];
    let selection = Selection { scope, project: &query.project, kinds: &kinds, filters: &query.filters };
    let mut sql = Sql::new("SELECT r.fingerprint, r.its_kind, its_name, its_message, ");
    sql.push("multiIf(s.status = 'ignored', 'ignored', s.status = 'resolved', if(a.last > s.decided, 'regressed', 'resolved'), 'open') AS state, ");
    sql.push("r.count, r.users, r.sessions, toUnixTimestamp64Milli(a.first), toUnixTimestamp64Milli(a.last), ");
    sql.push("a.release_first, a.release_last, r.spark");
    sql.push(" FROM (SELECT fingerprint, any(toString(kind)) AS its_kind,");
    if !texts_of_kept {
        sql.push(" argMax(toString(name), (time, id)) AS its_name, argMax(message, (time, id)) AS its_message,");
    }
    sql.push(" toUInt64(round(sum(weight))) AS count, uniqExactIf(user_hash, known) AS users,");
    sql.push(" uniqExactIf(session_hash, session_hash != 0) AS sessions,");
    sql.push(" sumMap([toUInt8(intDiv((toUnixTimestamp64Milli(time) - ").bind(Value::Integer(query.from)).push(") * 24, ");
    sql.bind(Value::Integer(query.to - query.from)).push("))], [toFloat64(weight)]) AS spark");
    for (n, (table, ranges)) in tables(query.from..query.to, cover).into_iter().enumerate() {
        sql.push(if n == 0 { " FROM (SELECT " } else { " UNION ALL SELECT " });
        for column in ["known", "session_hash"] {
            push_column(&mut sql, table, column);
            sql.push(", ");
        }
        sql.push("fingerprint, kind, user_hash, weight, time").push(if texts_of_kept { "" } else { ", name, message, id" });
        matching_in(&mut sql, table, &selection, &ranges)?;
        sql.push(" AND fingerprint != ''");
    }
    sql.push(") GROUP BY fingerprint) AS r");

    sql.push(" INNER JOIN (SELECT fingerprint, min(part.first) AS first, max(part.last) AS last, argMin(part.release_first, part.first) AS release_first,");
    sql.push(" argMax(part.release_last, part.last) AS release_last");
    if texts_of_kept {
        sql.push(", argMax(toString(part.name), part.last) AS its_name, argMax(part.message, part.last) AS its_message");
    }
    sql.push(" FROM (");
    // Of single issues nothing else need be read.
    let issues: Vec<Filter> = query.filters.iter().filter(|filter| filter.field == Field::Fingerprint).cloned().collect();
    let texts = if texts_of_kept { ", name, message" } else { "" };
    for (table, ranges) in kept.sources(From::Issues) {
        sql.push("SELECT fingerprint, first, last, release_first, release_last").push(texts);
        tenant(&mut sql, table, scope, &query.project)?;
        within_days(&mut sql, &ranges);
        for filter in &issues {
            condition(sql.push(" AND "), filter)?;
        }
        sql.push(" UNION ALL ");
    }
    sql.push("SELECT fingerprint, time AS first, time AS last, release AS release_first, release AS release_last").push(texts);
    matching_any(&mut sql, &Selection { filters: &issues, ..selection }, &kept.rest)?;
    sql.push(" AND fingerprint != '') AS part GROUP BY fingerprint) AS a ON a.fingerprint = r.fingerprint");

    sql.push(" LEFT JOIN (SELECT fingerprint, status, decided");
    tenant(&mut sql, From::IssueStates, scope, &query.project)?;
    sql.push(") AS s ON s.fingerprint = r.fingerprint WHERE 1");
    if !query.status.is_empty() {
        let states = query.status.iter().map(|status| status_text(*status).to_owned()).collect();
        sql.push(" AND state IN ").bind(Value::Texts(states));
    }
    if !query.search.is_empty() {
        let pattern = like(&query.search);
        sql.push(" AND (lowerUTF8(its_name) LIKE lowerUTF8(").bind(Value::Text(pattern.clone()));
        sql.push(") OR lowerUTF8(its_message) LIKE lowerUTF8(").bind(Value::Text(pattern)).push("))");
    }
    sql.push(match query.order {
        IssueOrder::Count => " ORDER BY r.count DESC, a.last DESC, r.fingerprint",
        IssueOrder::Users => " ORDER BY r.users DESC, r.count DESC, r.fingerprint",
        IssueOrder::LastSeen => " ORDER BY a.last DESC, r.fingerprint",
        IssueOrder::FirstSeen => " ORDER BY a.first DESC, r.fingerprint",
    });
    sql.push(" LIMIT ").bind(Value::Integer(query.limit.into()));
    Ok(sql)
}

fn status_text(status: IssueStatus) -> &'static str {
    match status {
        IssueStatus::Open => "open",
        IssueStatus::Resolved => "resolved",
        IssueStatus::Regressed => "regressed",
        IssueStatus::Ignored => "ignored",
    }
}

/// The statement that keeps a decision.
pub(super) fn decide(scope: &Scope, state: &IssueState, at: i64) -> Result<Sql, QueryError> {
    if !scope.allows(&state.project) {
        return Err(QueryError::NotFound);
    }
    let mut sql = Sql::new("INSERT INTO issue_states (project, fingerprint, status, decided) SELECT ");
    sql.bind(Value::Text(state.project.clone())).push(", ").bind(Value::Text(state.fingerprint.clone())).push(", ");
    sql.bind(Value::Text(status_text(state.status).into())).push(", ").bind_time(at);
    Ok(sql)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_small_chart_has_a_count_for_each_slot() {
        let chart = spark(&json!([[0, 23, 40], [2.6, 1, 9]]));
        assert_eq!(
            (chart[0].as_u64(), chart[1].as_u64(), chart[23].as_u64(), chart.as_array().map(Vec::len)),
            (Some(3), Some(0), Some(1), Some(24))
        );
    }
}
