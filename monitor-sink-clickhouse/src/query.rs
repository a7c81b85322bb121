//! Typed questions to SQL, and rows to answers.
//!
//! Every piece of SQL here is a literal that an enum selects; whatever a reader wrote is a bound value (see
//! [`Sql`]). The tenant filter is added in one place, [`matching`].
//!
//! A row stands for as many events as its `weight` says. Counts are sums of weights, rounded at the end; sums and means of
//! values are weighted. Percentiles are those of the list in which each value stands as often as its weight says, rounded to a
//! whole number because the server's function takes no other: exact, with linear interpolation between the two nearest. All
//! measures of `value` are of finite values only. Visitors, sessions and pages are those seen: what a sample left out cannot be
//! told apart from what it holds. Time steps begin at multiples of the step since 1970, so the first can begin before `from`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use clickhouse::error::{Error, Result as Outcome};
use monitor_core::{
    Document, Kind, QueryError, Scope, Store, attribute,
    query::{Cursor, EventOrder, EventPage, EventQuery, Field, Filter, Measure, Op, Query, Stats, Table, VITAL_BANDS},
};
use serde_json::{Number, Value as Cell, value::RawValue};

use crate::{
    classify::query_error,
    connection::{Answer, Connection},
    schema::Schema,
    sql::{Sql, Value},
};

/// How long the readiness probe waits.
const PING: Duration = Duration::from_secs(2);

/// Answers questions from the `events` table.
pub struct ClickHouseStore {
    connection: Arc<Connection>,
    schema: Arc<Schema>,
}

impl ClickHouseStore {
    pub(crate) fn new(connection: Arc<Connection>, schema: Arc<Schema>) -> ClickHouseStore {
        ClickHouseStore { connection, schema }
    }

    async fn ask<Row: serde::de::DeserializeOwned>(&self, sql: &Sql) -> Result<Answer<Row>, QueryError> {
        let answer = async {
            self.schema.ensure().await?;
            self.connection.ask(&self.connection.reader().await?, sql).await
        };
        answer.await.map_err(|error| {
            self.schema.doubt(&error);
            let answer = query_error(error);
            if let QueryError::Failed(error) = &answer {
                tracing::error!(%error, "a question failed");
            }
            answer
        })
    }
}

#[async_trait]
impl Store for ClickHouseStore {
    async fn query(&self, scope: &Scope, query: &Query) -> Result<Table, QueryError> {
        let begin = Instant::now();
        query.validate().map_err(QueryError::Invalid)?;
        let sql = aggregate(scope, query)?;
        let answer: Answer<Vec<Cell>> = self.ask(&sql).await?;
        let columns = query.columns();
        let numbers = numeric_columns(query);
        let rows = answer.data.into_iter().map(|row| row.into_iter().zip(&numbers).map(|(cell, number)| tidy(cell, *number)).collect());
        Ok(Table { columns, rows: rows.collect(), stats: stats(begin, answer.statistics.rows_read) })
    }

    async fn events(&self, scope: &Scope, query: &EventQuery) -> Result<EventPage, QueryError> {
        let begin = Instant::now();
        query.validate().map_err(QueryError::Invalid)?;
        let answer: Answer<Vec<Box<RawValue>>> = self.ask(&select_events(scope, query)?).await?;
        let limit = query.limit as usize;
        let more = answer.data.len() > limit;
        let events = answer.data.iter().take(limit).map(|row| document(row)).collect::<Outcome<Vec<Document>>>().map_err(query_error)?;
        let next = events.last().filter(|_| more).map(|last| Cursor { time: last.time, id: last.id });
        Ok(EventPage { events, next, stats: stats(begin, answer.statistics.rows_read) })
    }

    async fn is_available(&self) -> bool {
        self.connection.ping(PING).await
    }
}

fn stats(begin: Instant, rows_read: u64) -> Stats {
    Stats { elapsed_ms: begin.elapsed().as_secs_f64() * 1e3, rows_read }
}

/// `FROM events WHERE` with the conditions that every question has. The project comes from the question, whether it may
/// be seen from the reader's identity; for whom it may not be seen it does not exist.
fn matching(
    sql: &mut Sql,
    scope: &Scope,
    project: &str,
    range: std::ops::Range<i64>,
    kinds: &[Kind],
    filters: &[Filter],
) -> Result<(), QueryError> {
    if !scope.allows(project) {
        return Err(QueryError::NotFound);
    }
    sql.push(" FROM events WHERE project = ").bind(Value::Text(project.into()));
    sql.push(" AND time >= ").bind_time(range.start);
    sql.push(" AND time < ").bind_time(range.end);
    if !kinds.is_empty() {
        sql.push(" AND kind IN ").bind(Value::Texts(kinds.iter().map(|kind| kind.as_str().to_owned()).collect()));
    }
    for filter in filters {
        sql.push(" AND ");
        condition(sql, filter)?;
    }
    Ok(())
}

fn condition(sql: &mut Sql, filter: &Filter) -> Result<(), QueryError> {
    match filter.op {
        Op::In | Op::NotIn => {
            operand(sql, &filter.field)?;
            sql.push(if filter.op == Op::In { " IN " } else { " NOT IN " });
            sql.bind(if filter.field == Field::Id { ids(&filter.values)? } else { Value::Texts(filter.values.clone()) });
        }
        // In this form the index on the message can answer it.
        Op::Contains => {
            sql.push("lowerUTF8(");
            operand(sql, &filter.field)?;
            let text = filter.values.first().map(String::as_str).unwrap_or_default();
            sql.push(") LIKE lowerUTF8(").bind(Value::Text(like(text))).push(")");
        }
    }
    Ok(())
}

fn ids(texts: &[String]) -> Result<Value, QueryError> {
    let ids = texts.iter().map(|text| text.parse::<monitor_core::EventId>().map(|id| id.to_string()));
    ids.collect::<Result<_, _>>().map(Value::Ids).map_err(|error| QueryError::Invalid(error.to_string()))
}

/// A pattern that matches what contains the text.
fn like(text: &str) -> String {
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
fn operand(sql: &mut Sql, field: &Field) -> Result<(), QueryError> {
    match field {
        Field::Status => sql.push("toString(status)"),
        Field::Attribute(key) => match promoted(key) {
            Some(Field::Status) => sql.push("if(status = 0, '', toString(status))"),
            Some(field) => sql.push(column(&field)?),
            None => sql.push("attributes[").bind(Value::Text(key.clone())).push("]"),
        },
        field => sql.push(column(field)?),
    };
    Ok(())
}

/// The field that holds an attribute which has a column of its own.
fn promoted(key: &str) -> Option<Field> {
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

fn aggregate(scope: &Scope, query: &Query) -> Result<Sql, QueryError> {
    let mut sql = Sql::new("SELECT ");
    let mut columns = 0;
    let mut end_column = |sql: &mut Sql| {
        sql.push(" AS ").column(columns).push(", ");
        columns += 1;
    };
    if let Some(step) = query.step {
        sql.push("intDiv(toUnixTimestamp64Milli(time), ").bind(Value::Integer(step));
        sql.push(") * ").bind(Value::Integer(step));
        end_column(&mut sql);
    }
    for field in &query.group_by {
        sql.push(column(field)?);
        end_column(&mut sql);
    }
    let groups = usize::from(query.step.is_some()) + query.group_by.len();
    for measure in &query.measures {
        push_measure(&mut sql, measure)?;
        end_column(&mut sql);
    }
    // Closes the list; not part of the answer's columns that are read.
    sql.push("1");
    matching(&mut sql, scope, &query.project, query.from..query.to, &query.kinds, &query.filters)?;
    if groups > 0 {
        sql.push(" GROUP BY ");
        list(&mut sql, 0..groups);
    }
    let order = query.order_by.as_ref().and_then(|order| {
        let column = query.columns().iter().position(|column| *column == order.column)?;
        Some((column, order.descending))
    });
    if order.is_some() || groups > 0 {
        sql.push(" ORDER BY ");
    }
    if let Some((column, descending)) = order {
        sql.column(column).push(if descending { " DESC NULLS LAST" } else { " ASC NULLS LAST" });
        sql.push(if groups > 0 { ", " } else { "" });
    }
    list(&mut sql, 0..groups);
    sql.push(" LIMIT ").bind(Value::Integer(query.limit.into()));
    Ok(sql)
}

fn list(sql: &mut Sql, columns: std::ops::Range<usize>) {
    for column in columns.clone() {
        sql.push(if column == columns.start { "" } else { ", " }).column(column);
    }
}

fn push_measure(sql: &mut Sql, measure: &Measure) -> Result<(), QueryError> {
    match measure {
        Measure::Count => sql.push("toUInt64(round(sum(weight)))"),
        Measure::Visitors => sql.push("uniqExactIf(visitor, visitor != '')"),
        Measure::Sessions => sql.push("uniqExactIf(session, session != '')"),
        Measure::Pages => sql.push("uniqExactIf(page, page != '')"),
        Measure::Sum => sql.push("sumOrNullIf(value * weight, isFinite(value))"),
        Measure::Avg => sql.push("avgWeightedOrNullIf(value, weight, isFinite(value))"),
        Measure::Min => sql.push("minOrNullIf(value, isFinite(value))"),
        Measure::Max => sql.push("maxOrNullIf(value, isFinite(value))"),
        Measure::P50 => quantile(sql, "[1]"),
        Measure::P75 => quantile(sql, "[2]"),
        Measure::P90 => quantile(sql, "[3]"),
        Measure::P95 => quantile(sql, "[4]"),
        Measure::P99 => quantile(sql, "[5]"),
        Measure::Failures => sql.push("toUInt64(round(sumIf(weight, failure != '')))"),
        Measure::Good => band(sql, |sql, good, _| sql.push("value <= ").bind(good)),
        Measure::NeedsImprovement => band(sql, |sql, good, poor| sql.push("value > ").bind(good).push(" AND value <= ").bind(poor)),
        Measure::Poor => band(sql, |sql, _, poor| sql.push("value > ").bind(poor)),
        Measure::FirstSeen => sql.push("toUnixTimestamp64Milli(minOrNull(time))"),
        Measure::LastSeen => sql.push("toUnixTimestamp64Milli(maxOrNull(time))"),
        Measure::AnyName => sql.push("argMaxOrNull(toString(name), (time, id))"),
        Measure::AnyMessage => sql.push("argMaxOrNull(message, (time, id))"),
        Measure::AnyTarget => sql.push("argMaxOrNull(target, (time, id))"),
        Measure::CountKind(kind) => sql.push("toUInt64(round(sumIf(weight, kind = ").bind(Value::Text(kind.clone())).push(")))"),
        other => return Err(QueryError::Invalid(format!("{other} cannot be computed"))),
    };
    Ok(())
}

/// One of five percentiles. They are always computed together: the server recognises the expression and sorts once.
fn quantile<'a>(sql: &'a mut Sql, position: &'static str) -> &'a mut Sql {
    sql.push("if(countIf(isFinite(value)) = 0, NULL, quantilesExactWeightedInterpolatedIf(0.5, 0.75, 0.9, 0.95, 0.99)");
    sql.push("(value, toUInt64(round(weight)), isFinite(value))").push(position).push(")")
}

/// Counts web vitals whose value lies in a band.
fn band(sql: &mut Sql, range: fn(&mut Sql, Value, Value) -> &mut Sql) -> &mut Sql {
    sql.push("toUInt64(round(sumIf(weight, kind = 'vital' AND isFinite(value) AND (");
    for (n, &(name, good, poor)) in VITAL_BANDS.iter().enumerate() {
        sql.push(if n == 0 { "(name = " } else { " OR (name = " }).bind(Value::Text(name.into())).push(" AND ");
        range(sql, Value::Float(good), Value::Float(poor)).push(")");
    }
    sql.push("))))")
}

/// Which columns of the answer hold numbers.
fn numeric_columns(query: &Query) -> Vec<bool> {
    let time = query.step.map(|_| true);
    let groups = query.group_by.iter().map(|field| *field == Field::Status);
    let texts = [Measure::AnyName, Measure::AnyMessage, Measure::AnyTarget];
    time.into_iter().chain(groups).chain(query.measures.iter().map(|measure| !texts.contains(measure))).collect()
}

/// A number that the server's settings put in quotes becomes a number again; one that JSON cannot hold becomes null.
fn tidy(cell: Cell, number: bool) -> Cell {
    match cell {
        Cell::String(text) if number => {
            let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok();
            whole.or_else(|| text.parse().ok().and_then(Number::from_f64)).map_or(Cell::Null, Cell::Number)
        }
        cell => cell,
    }
}

/// The fields of a document, with the SQL that gives each.
const DOCUMENT: &[(&str, &str)] = &[
    ("id", "id"),
    ("time", "toUnixTimestamp64Milli(time)"),
    ("received", "toUnixTimestamp64Milli(received)"),
    ("seq", "nullIf(seq, -1)"),
    ("kind", "kind"),
    ("name", "name"),
    ("value", "if(isFinite(value), value, NULL)"),
    ("weight", "weight"),
    ("project", "project"),
    ("release", "release"),
    ("environment", "environment"),
    ("sdk", "sdk"),
    ("page", "page"),
    ("url", "url"),
    ("route", "route"),
    ("referrer", "referrer"),
    ("title", "title"),
    ("session", "session"),
    ("visitor", "visitor"),
    ("user", "user"),
    ("browser", "browser"),
    ("browser_version", "browser_version"),
    ("os", "os"),
    ("os_version", "os_version"),
    ("device", "device"),
    ("screen", "screen"),
    ("viewport", "viewport"),
    ("language", "language"),
    ("connection", "connection"),
    ("timezone", "timezone"),
    ("country", "country"),
    ("ip", "ip"),
    ("user_agent", "user_agent"),
    ("fingerprint", "fingerprint"),
    ("message", "message"),
    ("status", "status"),
    ("method", "method"),
    ("target", "target"),
    ("failure", "failure"),
    ("rating", "rating"),
    ("tags", "tags"),
    ("attributes", "attributes"),
    ("data", "data"),
];

/// Fields that are numbers, and the one that is a JSON document in a text.
const NUMBERS: &[&str] = &["time", "received", "seq", "value", "weight", "status"];
const JSON: &str = "data";

fn select_events(scope: &Scope, query: &EventQuery) -> Result<Sql, QueryError> {
    let mut sql = Sql::new("SELECT ");
    for (n, (_, expression)) in DOCUMENT.iter().enumerate() {
        sql.push(if n == 0 { "" } else { ", " }).push(expression);
    }
    matching(&mut sql, scope, &query.project, query.from..query.to, &query.kinds, &query.filters)?;
    let newest = query.order == EventOrder::Newest;
    if let Some(cursor) = query.cursor {
        // The time alone comes first: the pair says nothing to the partition key.
        sql.push(if newest { " AND time <= " } else { " AND time >= " }).bind_time(cursor.time);
        sql.push(if newest { " AND (time, id) < (" } else { " AND (time, id) > (" }).bind_time(cursor.time);
        sql.push(", ").bind(Value::Id(cursor.id.to_string())).push(")");
    }
    sql.push(if newest { " ORDER BY time DESC, id DESC" } else { " ORDER BY time ASC, id ASC" });
    // One more than asked for tells whether there is a next page.
    sql.push(" LIMIT ").bind(Value::Integer(i64::from(query.limit) + 1));
    Ok(sql)
}

/// A row as a document. Cells are moved as JSON text, so that `data` comes back byte for byte.
fn document(row: &[Box<RawValue>]) -> Outcome<Document> {
    let other = |error: serde_json::Error| Error::Other(error.into());
    let mut json = String::with_capacity(2_048);
    for ((field, _), cell) in DOCUMENT.iter().zip(row) {
        json.push(if json.is_empty() { '{' } else { ',' });
        json.push('"');
        json.push_str(field);
        json.push_str("\":");
        if *field == JSON {
            json.push_str(&serde_json::from_str::<String>(cell.get()).map_err(other)?);
        } else if NUMBERS.contains(field) {
            json.push_str(cell.get().trim_matches('"'));
        } else {
            json.push_str(cell.get());
        }
    }
    json.push('}');
    serde_json::from_str(&json).map_err(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor_core::{Event, EventId, Origin};

    #[test]
    fn every_field_of_a_document_is_selected() {
        let mut event = Event::new(EventId(1), 2, Kind::Track, "x");
        event.weight = 2.0;
        let document = serde_json::to_value(Document::new(&Origin::new("shop", 3), &event)).unwrap();
        let mut fields: Vec<&String> = document.as_object().unwrap().keys().collect();
        let mut selected: Vec<String> = DOCUMENT.iter().map(|(field, _)| (*field).to_owned()).collect();
        fields.sort();
        selected.sort();
        assert_eq!(fields, selected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_pattern_takes_its_own_signs_literally() {
        assert_eq!(like(r"50%_a\b"), r"%50\%\_a\\b%");
    }

    #[test]
    fn quoted_and_impossible_numbers_are_put_right() {
        let text = |text: &str| Cell::String(text.into());
        assert_eq!(tidy(text("18446744073709551615"), true), Cell::from(u64::MAX));
        assert_eq!(tidy(text("-1.5"), true), Cell::from(-1.5));
        assert_eq!(tidy(text("nan"), true), Cell::Null);
        assert_eq!(tidy(text("nan"), false), text("nan"));
    }

    #[test]
    fn a_project_out_of_scope_does_not_exist() {
        let mut sql = Sql::default();
        let scope = Scope::Projects(vec!["bank".into()]);
        assert!(matches!(matching(&mut sql, &scope, "shop", 0..1, &[], &[]), Err(QueryError::NotFound)));
        assert!(matching(&mut sql, &scope, "bank", 0..1, &[], &[]).is_ok());
    }
}
