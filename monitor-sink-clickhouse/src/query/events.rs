//! Whole events, page by page.
//!
//! The table is not sorted by time alone, so the newest events of a long range cannot be read off its end. The range is walked instead:
//! from its newest (oldest) minutes on, in windows that grow until the page is full. A page costs what its own window holds, not what the
//! range holds.

use std::ops::Range;

use clickhouse::error::{Error, Result as Outcome};
use monitor_core::{
    Document, QueryError,
    query::{EventOrder, EventQuery},
};
use serde_json::value::RawValue;

use super::filter::{Selection, matching, pick_few};
use crate::{
    calendar::{DAY, HOUR},
    sql::{Sql, Value},
};

/// The fields of a document.
const DOCUMENT: &[Column] = &[
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

/// A field, and the SQL that gives it.
pub(super) type Column = (&'static str, &'static str);

/// The fields that a question needs.
pub(super) fn columns(query: &EventQuery) -> Vec<Column> {
    let read = query.read();
    DOCUMENT.iter().filter(|(field, _)| read.contains(field)).copied().collect()
}

/// The question for the events of a window. `limit` is the number of rows, not of the page.
pub(super) fn select_events(
    columns: &[Column],
    selection: &Selection<'_>,
    query: &EventQuery,
    window: Range<i64>,
    limit: usize,
) -> Result<Sql, QueryError> {
    let mut sql = Sql::new("SELECT ");
    for (n, (_, expression)) in columns.iter().enumerate() {
        sql.push(if n == 0 { "" } else { ", " }).push(expression);
    }
    matching(&mut sql, selection, window)?;
    let newest = query.order == EventOrder::Newest;
    if let Some(cursor) = query.cursor {
        sql.push(if newest { " AND (time, id) < (" } else { " AND (time, id) > (" }).bind_time(cursor.time);
        sql.push(", ").bind(Value::Id(cursor.id.to_string())).push(")");
    }
    sql.push(if newest { " ORDER BY time DESC, id DESC" } else { " ORDER BY time ASC, id ASC" });
    sql.push(" LIMIT ").bind(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    Ok(sql)
}

/// What is left of the range behind the cursor.
fn remaining(query: &EventQuery) -> Range<i64> {
    match query.cursor {
        Some(cursor) if query.order == EventOrder::Newest => query.from..query.to.min(cursor.time.saturating_add(1)),
        Some(cursor) => query.from.max(cursor.time)..query.to,
        None => query.from..query.to,
    }
}

/// The windows of a walk through the range.
///
/// The first are some minutes and an hour: what is new lies in small parts of its own. The next end (begin) at the borders of days: a day is
/// a partition of the table, so a window that ended within one would have it read twice. Then each is twice as long as the one before.
pub(super) struct Windows {
    rest: Range<i64>,
    newest: bool,
    length: i64,
}

/// Length of the first window, ms.
const FIRST: i64 = 600_000;

impl Windows {
    pub(super) fn new(query: &EventQuery) -> Windows {
        let rest = remaining(query);
        // All would be walked through anyway, and an index finds it.
        let length = if pick_few(&query.filters) { rest.end.saturating_sub(rest.start).max(1) } else { FIRST };
        Windows { rest, newest: query.order == EventOrder::Newest, length }
    }
}

impl Iterator for Windows {
    type Item = Range<i64>;

    fn next(&mut self) -> Option<Range<i64>> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.length;
        self.length = match length {
            FIRST => HOUR,
            HOUR => DAY,
            length => length.saturating_mul(2),
        };
        let unit = length.min(DAY);
        let window = if self.newest {
            let start = self.rest.end.saturating_sub(length);
            let start = start - start.rem_euclid(unit);
            let start = start.max(self.rest.start);
            let window = start..self.rest.end;
            self.rest.end = start;
            window
        } else {
            let end = self.rest.start.saturating_add(length);
            let end = end.saturating_add((-end).rem_euclid(unit)).min(self.rest.end);
            let window = self.rest.start..end;
            self.rest.start = end;
            window
        };
        Some(window)
    }
}

/// A row as a document. Cells are moved as JSON text, so that `data` comes back byte for byte.
pub(super) fn document(columns: &[Column], row: &[Box<RawValue>]) -> Outcome<Document> {
    let other = |error: serde_json::Error| Error::Other(error.into());
    let mut json = String::with_capacity(2_048);
    for ((field, _), cell) in columns.iter().zip(row) {
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
    use monitor_core::{
        Event, EventId, Kind, Origin,
        query::{Field, Filter, Op},
    };

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

    fn question(range: Range<i64>, order: EventOrder) -> EventQuery {
        let (from, to) = (range.start, range.end);
        EventQuery { project: "shop".into(), from, to, kinds: vec![], filters: vec![], order, limit: 100, cursor: None, fields: vec![] }
    }

    #[test]
    fn windows_cover_the_range_once_and_end_with_days() {
        let range = 1_732_104_000_123..1_732_104_000_123 + 400 * DAY;
        for order in [EventOrder::Newest, EventOrder::Oldest] {
            let windows: Vec<Range<i64>> = Windows::new(&question(range.clone(), order)).collect();
            assert!(windows.len() < 13, "{windows:?}");
            let mut sorted = windows.clone();
            sorted.sort_by_key(|window| window.start);
            assert!(sorted.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!((sorted[0].start, sorted[sorted.len() - 1].end), (range.start, range.end));
            let edge = |window: &Range<i64>| if order == EventOrder::Newest { window.start } else { window.end };
            assert_eq!(edge(&windows[0]) % FIRST, 0);
            assert_eq!(edge(&windows[1]) % HOUR, 0);
            assert!(windows[2..windows.len() - 1].iter().all(|window| edge(window) % DAY == 0));
        }
        assert_eq!(Windows::new(&question(5..5, EventOrder::Newest)).next(), None);
        assert_eq!(Windows::new(&question(5..9, EventOrder::Oldest)).next(), Some(5..9));
        let session = vec![Filter { field: Field::Session, op: Op::In, values: vec!["s".into()] }];
        for order in [EventOrder::Newest, EventOrder::Oldest] {
            let windows = Windows::new(&EventQuery { filters: session.clone(), ..question(range.clone(), order) });
            assert_eq!(windows.collect::<Vec<_>>(), std::slice::from_ref(&range));
        }
    }
}
