//! Visitors and sessions from the rollup of sessions, and from the events of the times it does not hold.

use std::ops::Range;

use monitor_core::{QueryError, query::Measure};

use super::{
    filter::{From, condition, group, matching_any, operand, tenant},
    plan::{ALL_HOURS, Cover, Spread, masks, of_days},
    raw::{Ask, OF_DAY, OF_EVENT, Sample, Time},
};
use crate::{
    calendar::{DAY, HOUR},
    rollup::of_event,
    sql::{Sql, Value},
};

/// The question to the rollup and the rest.
pub(super) fn select(ask: &Ask<'_>, cover: &Cover, spread: Spread) -> Result<Sql, QueryError> {
    let keys = ask.keys();
    let sessions = ask.measures.contains(&&Measure::Sessions);
    let mut sql = Sql::new("SELECT ");
    for key in 0..keys {
        sql.column(key).push(", ");
    }
    for (n, measure) in ask.measures.iter().enumerate() {
        sql.push(match measure {
            Measure::Visitors => "uniqExactIf(user_hash, known)",
            Measure::Sessions => "uniqExactIf(session_hash, session_hash != 0)",
            other => return Err(QueryError::Invalid(format!("{other} cannot be computed"))),
        });
        if ask.sample != Sample::ALL {
            sql.push(" * ").bind(Value::Unsigned(ask.sample.0));
        }
        sql.push(" AS ").column(keys + n).push(", ");
    }
    sql.push("1 FROM (");
    let columns = |sql: &mut Sql| {
        sql.push("user_hash, known").push(if sessions { ", session_hash" } else { "" });
    };
    let table = match spread {
        Spread::Row => From::Sessions,
        Spread::Routes => From::SessionRoutes,
        Spread::Kinds => From::SessionKinds,
    };
    for (n, (table, ranges)) in cover.sources(table).enumerate() {
        sql.push(if n == 0 { "" } else { " UNION ALL " });
        rolled(&mut sql, ask, &ranges, spread, table, columns)?;
    }
    if !cover.rest.is_empty() {
        sql.push(" UNION ALL SELECT ");
        ask.push_keys(&mut sql, OF_EVENT, group)?;
        // What the rollup has columns for.
        sql.push("user_hash, ").push(of_event("known")).push(" AS known");
        if sessions {
            sql.push(", ").push(of_event("session_hash")).push(" AS session_hash");
        }
        matching_any(&mut sql, &ask.selection, &cover.rest)?;
        ask.sample.condition(&mut sql);
        ask.push_choice(&mut sql, operand)?;
    }
    sql.push(")");
    ask.finish(&mut sql);
    Ok(sql)
}

fn rolled(
    sql: &mut Sql,
    ask: &Ask<'_>,
    ranges: &[Range<i64>],
    spread: Spread,
    table: From,
    columns: impl Fn(&mut Sql),
) -> Result<(), QueryError> {
    // Within a day the hours tell the steps.
    let by_hour = ask.step.is_some_and(|step| !of_days(step, ask.zone));
    if ask.step.is_some() {
        sql.push("WITH ").push(OF_DAY.sql).push(" AS midnight");
    }
    if by_hour {
        sql.push(", arrayJoin(bitPositionsToArray(");
        bits(sql, &masks(ranges));
        sql.push(")) AS hour");
    }
    sql.push(" SELECT ");
    let time = if by_hour { Time { sql: "(midnight + hour * 3600000)", grain: HOUR } } else { Time { sql: "midnight", grain: DAY } };
    ask.push_keys(sql, time, group)?;
    columns(sql);
    tenant(sql, table, ask.selection.scope, ask.selection.project)?;
    within(sql, ranges);
    if !ask.selection.kinds.is_empty() {
        let kinds = Value::kinds(ask.selection.kinds);
        match spread {
            Spread::Kinds => sql.push(" AND kind IN ").bind(kinds),
            Spread::Row | Spread::Routes => sql.push(" AND hasAny(kinds, ").bind(kinds).push(")"),
        };
    }
    for filter in ask.selection.filters {
        sql.push(" AND ");
        condition(sql, filter)?;
    }
    ask.sample.condition(sql);
    ask.push_choice(sql, operand)
}

/// The hours of a row that count.
fn bits(sql: &mut Sql, masks: &[(Range<i64>, u32)]) {
    let partial = masks.iter().filter(|(_, mask)| *mask != ALL_HOURS);
    sql.push("multiIf(");
    for (days, mask) in partial {
        sql.push("day = ").day(days.start * DAY).push(", bitAnd(hours, ").bind(Value::Integer((*mask).into())).push("), ");
    }
    sql.push("0, 0, hours)");
}

/// ` AND …`: rows with an event in one of the ranges, as [`cut_rows`](super::plan::cut_rows) makes them.
pub(super) fn within(sql: &mut Sql, ranges: &[Range<i64>]) {
    let mut between = " AND (";
    let mut or = |sql: &mut Sql| {
        sql.push(between);
        between = " OR ";
    };
    for range in ranges {
        let (first, last) = (range.start.div_euclid(DAY), range.end.div_euclid(DAY));
        let is_cut = [range.start > first * DAY, range.end > last * DAY];
        let whole = first + i64::from(is_cut[0])..last;
        if whole.start < whole.end {
            or(sql);
            sql.push("day >= ").day(whole.start * DAY).push(" AND day < ").day(whole.end * DAY);
        }
        if first == last && is_cut[0] {
            or(sql);
            // It lies in one day.
            let hours = masks(std::slice::from_ref(range)).first().map_or(0, |(_, mask)| *mask);
            sql.push("day = ").day(first * DAY).push(" AND bitAnd(hours, ").bind(Value::Integer(hours.into())).push(") != 0");
            continue;
        }
        if is_cut[0] {
            or(sql);
            sql.push("day = ").day(first * DAY).push(" AND `end` >= ").instant(range.start);
        }
        if is_cut[1] {
            or(sql);
            sql.push("day = ").day(last * DAY).push(" AND start < ").instant(range.end);
        }
    }
    sql.push(")");
}
