//! Which rows a question reads: the tenant, the range, kinds and filters, for every table.

use std::ops::Range;

use monitor_core::{
    EventId, Kind, QueryError, Scope, attribute,
    query::{Field, Filter, Op},
};

use crate::{
    calendar::DAY,
    sql::{Sql, Value},
};

/// What all questions have in common: who asks about what.
#[derive(Clone, Copy)]
pub(super) struct Selection<'a> {
    pub(super) scope: &'a Scope,
    pub(super) project: &'a str,
    /// Only these kinds; all when empty.
    pub(super) kinds: &'a [Kind],
    /// All must hold.
    pub(super) filters: &'a [Filter],
}

/// The tables that answer questions. All have a column `project`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Events,
    Hours,
    Totals,
    Routes,
    RouteTotals,
    Clients,
    Targets,
    Sessions,
    /// A row for each route of a session.
    SessionRoutes,
    /// A row for each kind of events of a session.
    SessionKinds,
    Issues,
    Sample,
    MonthHours,
    MonthTotals,
    MonthRoutes,
    MonthRouteTotals,
    MonthClients,
    MonthTargets,
    MonthSessions,
    MonthSessionRoutes,
    MonthSessionKinds,
    MonthIssues,
    MonthSample,
    IssueStates,
}

impl From {
    /// The table of the same rows by month. Only rollups have one.
    pub(super) fn by_month(self) -> From {
        match self {
            From::Hours => From::MonthHours,
            From::Totals => From::MonthTotals,
            From::Routes => From::MonthRoutes,
            From::RouteTotals => From::MonthRouteTotals,
            From::Clients => From::MonthClients,
            From::Targets => From::MonthTargets,
            From::Sessions => From::MonthSessions,
            From::SessionRoutes => From::MonthSessionRoutes,
            From::SessionKinds => From::MonthSessionKinds,
            From::Issues => From::MonthIssues,
            From::Sample => From::MonthSample,
            other => other,
        }
    }
}

/// ` AND …`: rows of a rollup of days. A range that ends within a day is about an open one: all its rows must be about the hours up to that
/// end. When the day has been built again since, the server refuses the statement ([`ROLLED_UP_SINCE`](crate::classify::ROLLED_UP_SINCE)).
pub(super) fn within_days(sql: &mut Sql, ranges: &[Range<i64>]) {
    for (n, range) in ranges.iter().enumerate() {
        sql.push(if n == 0 { " AND (" } else { " OR " });
        sql.push("day >= ").day(range.start).push(" AND day <= ").day(range.end - 1);
    }
    sql.push(")");
    for open in ranges.iter().map(|range| range.end).filter(|end| end % DAY != 0) {
        sql.push(" AND throwIf(day = ").day(open).push(" AND until != ").instant(open).push(") = 0");
    }
}

/// `FROM … WHERE project = …`. The project comes from the question, whether it may be seen from the reader's identity; for
/// whom it may not be seen it does not exist. The only way to a table of events.
pub(super) fn tenant(sql: &mut Sql, from: From, scope: &Scope, project: &str) -> Result<(), QueryError> {
    if !scope.allows(project) {
        return Err(QueryError::NotFound);
    }
    sql.push(match from {
        From::Events => " FROM events WHERE project = ",
        From::Hours => " FROM rollup_hours WHERE project = ",
        From::Totals => " FROM rollup_totals WHERE project = ",
        From::Routes => " FROM rollup_routes WHERE project = ",
        From::RouteTotals => " FROM rollup_route_totals WHERE project = ",
        From::Clients => " FROM rollup_clients WHERE project = ",
        From::Targets => " FROM rollup_targets WHERE project = ",
        From::Sessions => " FROM rollup_sessions WHERE project = ",
        From::SessionRoutes => " FROM rollup_sessions ARRAY JOIN routes AS route WHERE project = ",
        From::SessionKinds => " FROM rollup_sessions ARRAY JOIN kinds AS kind WHERE project = ",
        From::Issues => " FROM rollup_issues WHERE project = ",
        From::MonthHours => " FROM rollup_month_hours WHERE project = ",
        From::MonthTotals => " FROM rollup_month_totals WHERE project = ",
        From::MonthRoutes => " FROM rollup_month_routes WHERE project = ",
        From::MonthRouteTotals => " FROM rollup_month_route_totals WHERE project = ",
        From::MonthClients => " FROM rollup_month_clients WHERE project = ",
        From::MonthTargets => " FROM rollup_month_targets WHERE project = ",
        From::MonthSessions => " FROM rollup_month_sessions WHERE project = ",
        From::MonthSessionRoutes => " FROM rollup_month_sessions ARRAY JOIN routes AS route WHERE project = ",
        From::MonthSessionKinds => " FROM rollup_month_sessions ARRAY JOIN kinds AS kind WHERE project = ",
        From::MonthIssues => " FROM rollup_month_issues WHERE project = ",
        From::Sample => " FROM rollup_sample WHERE project = ",
        From::MonthSample => " FROM rollup_month_sample WHERE project = ",
        From::IssueStates => " FROM issue_states FINAL WHERE project = ",
    });
    sql.bind(Value::Text(project.into()));
    Ok(())
}

/// `FROM events WHERE` with the conditions that every question about events has.
pub(super) fn matching(sql: &mut Sql, selection: &Selection<'_>, range: Range<i64>) -> Result<(), QueryError> {
    matching_any(sql, selection, &[range])
}

/// The same for events in any of several ranges.
pub(super) fn matching_any(sql: &mut Sql, selection: &Selection<'_>, ranges: &[Range<i64>]) -> Result<(), QueryError> {
    matching_in(sql, From::Events, selection, ranges)
}

/// The same for any table of events.
pub(super) fn matching_in(sql: &mut Sql, table: From, selection: &Selection<'_>, ranges: &[Range<i64>]) -> Result<(), QueryError> {
    tenant(sql, table, selection.scope, selection.project)?;
    sql.push(" AND (");
    for (n, range) in ranges.iter().enumerate() {
        sql.push(if n == 0 { "time >= " } else { " OR time >= " }).instant(range.start);
        sql.push(" AND time < ").instant(range.end);
    }
    sql.push(")");
    happening(sql, selection.kinds, selection.filters)
}

/// ` AND …` for kinds and filters.
pub(super) fn happening(sql: &mut Sql, kinds: &[Kind], filters: &[Filter]) -> Result<(), QueryError> {
    if !kinds.is_empty() {
        sql.push(" AND kind IN ").bind(Value::kinds(kinds));
    }
    for filter in filters {
        sql.push(" AND ");
        condition(sql, filter)?;
    }
    Ok(())
}

/// Whether filters pick out something that has so few events that they fill no page of answers: a range is then looked at as a whole at once.
pub(super) fn pick_few(filters: &[Filter]) -> bool {
    filters.iter().any(|filter| filter.op == Op::In && matches!(filter.field, Field::Id | Field::Session | Field::Page))
}

/// One filter as a condition.
pub(super) fn condition(sql: &mut Sql, filter: &Filter) -> Result<(), QueryError> {
    compare(sql, filter, |sql| operand(sql, &filter.field))
}

/// The comparison of a filter with what `operand` writes.
pub(super) fn compare(sql: &mut Sql, filter: &Filter, operand: impl FnOnce(&mut Sql) -> Result<(), QueryError>) -> Result<(), QueryError> {
    match filter.op {
        Op::In | Op::NotIn => {
            operand(sql)?;
            sql.push(if filter.op == Op::In { " IN " } else { " NOT IN " });
            sql.bind(if filter.field == Field::Id { ids(&filter.values)? } else { Value::Texts(filter.values.clone()) });
        }
        // In this form the index on the message can answer it.
        Op::Contains => {
            sql.push("lowerUTF8(");
            operand(sql)?;
            let text = filter.values.first().map(String::as_str).unwrap_or_default();
            sql.push(") LIKE lowerUTF8(").bind(Value::Text(like(text))).push(")");
        }
    }
    Ok(())
}

fn ids(texts: &[String]) -> Result<Value, QueryError> {
    let ids = texts.iter().map(|text| text.parse::<EventId>().map(|id| id.to_string()));
    ids.collect::<Result<_, _>>().map(Value::Ids).map_err(|error| QueryError::Invalid(error.to_string()))
}

/// A pattern that matches what contains the text.
pub(super) fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// What a filter compares, as text (ids as UUID).
pub(super) fn operand(sql: &mut Sql, field: &Field) -> Result<(), QueryError> {
    match field {
        Field::Status => sql.push("toString(status)"),
        Field::Attribute(key) => match promoted(key) {
            Some(Field::Status) => sql.push("if(status = 0, '', toString(status))"),
            Some(field) => sql.push(column(&field)?),
            None => sql.push("attributes[").bind(Value::Text(key.clone())).push("]"),
        },
        Field::Tag(key) => sql.push("tags[").bind(Value::Text(key.clone())).push("]"),
        field => sql.push(column(field)?),
    };
    Ok(())
}

/// What rows are grouped by: a text, but for the status.
pub(super) fn group(sql: &mut Sql, field: &Field) -> Result<(), QueryError> {
    if *field == Field::Status {
        sql.push("status");
        return Ok(());
    }
    operand(sql, field)
}

/// The field that holds an attribute which has a column of its own.
pub(super) fn promoted(key: &str) -> Option<Field> {
    Some(match key {
        attribute::FINGERPRINT => Field::Fingerprint,
        attribute::MESSAGE => Field::Message,
        attribute::STATUS => Field::Status,
        attribute::METHOD => Field::Method,
        attribute::TARGET => Field::Target,
        attribute::FAILURE => Field::Failure,
        attribute::RATING => Field::Rating,
        _ => return None,
    })
}

fn column(field: &Field) -> Result<&'static str, QueryError> {
    Ok(match field {
        Field::Id => "id",
        Field::Kind => "kind",
        Field::Name => "name",
        Field::Route => "route",
        Field::Url => "url",
        Field::Release => "release",
        Field::Environment => "environment",
        Field::Browser => "browser",
        Field::BrowserVersion => "browser_version",
        Field::Os => "os",
        Field::OsVersion => "os_version",
        Field::Referrer => "referrer",
        Field::Title => "title",
        Field::Sdk => "sdk",
        Field::Device => "device",
        Field::Country => "country",
        Field::Connection => "connection",
        Field::Language => "language",
        Field::Session => "session",
        Field::Visitor => "visitor",
        Field::User => "user",
        Field::Page => "page",
        Field::Fingerprint => "fingerprint",
        Field::Message => "message",
        Field::Status => "status",
        Field::Method => "method",
        Field::Target => "target",
        Field::Failure => "failure",
        Field::Rating => "rating",
        other => return Err(QueryError::Invalid(format!("{other} cannot be used here"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_its_own_signs_literally() {
        assert_eq!(like(r"50%_a\b"), r"%50\%\_a\\b%");
    }

    #[test]
    fn a_project_out_of_scope_does_not_exist() {
        let scope = Scope::Projects(vec!["bank".into()]);
        let tables = [
            From::Events,
            From::Hours,
            From::Totals,
            From::Routes,
            From::RouteTotals,
            From::Clients,
            From::Targets,
            From::Sessions,
            From::Issues,
            From::Sample,
            From::IssueStates,
        ];
        for table in tables.into_iter().flat_map(|table| [table, table.by_month()]) {
            assert!(matches!(tenant(&mut Sql::default(), table, &scope, "shop"), Err(QueryError::NotFound)), "{table:?}");
            assert!(tenant(&mut Sql::default(), table, &scope, "bank").is_ok(), "{table:?}");
        }
    }
}
