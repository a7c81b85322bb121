//! The same answer in three formats: JSON, CSV (RFC 4180) for spreadsheets, lines of JSON for programs that read as it comes.
//!
//! CSV and lines have no place for what goes with an answer: its cost and the cursor of the next page are in headers.

use std::{borrow::Cow, collections::HashMap};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use monitor_core::{
    Document, Only,
    query::{Cursor, EventPage, EventQuery, Stats, Table},
};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, value::RawValue};

use crate::{
    answer::{self, Refusal},
    response::Body,
};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
    Lines,
}

/// What says which rows are of the period before, where a table has both.
const PERIOD: &str = "period";
/// The cursor of the next page.
const NEXT: HeaderName = HeaderName::from_static("x-monitor-next");
/// What the answer cost.
const STATS: HeaderName = HeaderName::from_static("x-monitor-stats");

impl Format {
    /// What the client likes best of what there is; JSON when it does not say.
    pub(crate) fn accepted(headers: &HeaderMap) -> Format {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let offers = lines.flat_map(|line| line.split(',')).filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next()?.to_ascii_lowercase().as_str() {
                "text/csv" => Format::Csv,
                "application/x-ndjson" | "application/jsonl" => Format::Lines,
                "application/json" | "application/*" | "*/*" => Format::Json,
                _ => return None,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            Some((format, quality))
        });
        let best = offers.filter(|(_, quality)| *quality > 0.0).reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map_or(Format::Json, |(format, _)| format)
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Lines => "application/x-ndjson",
        }
    }

    /// A table.
    pub(crate) fn table(self, table: &Table) -> Result<Response<Body>, Refusal> {
        let compared = table.previous.is_some();
        let parts = [
            ("current", Some(&table.rows)),
            ("current", table.totals.as_ref()),
            ("previous", table.previous.as_ref()),
            ("previous", table.previous_totals.as_ref()),
        ];
        let rows = || parts.into_iter().flat_map(|(period, rows)| rows.into_iter().flatten().map(move |row| (period, row)));
        let text = match self {
            Format::Json => return Ok(answer::ok_json(table)),
            Format::Csv => {
                let mut csv = Csv::new();
                let period = compared.then_some(PERIOD);
                csv.row(table.columns.iter().map(|column| safe(Cow::Borrowed(column))).chain(period.map(Cow::Borrowed)))?;
                for (period, row) in rows() {
                    let period = compared.then_some(Cow::Borrowed(period));
                    csv.row(row.iter().map(cell).chain(period))?;
                }
                csv.finish()?
            }
            Format::Lines => {
                let mut text = Vec::new();
                for (period, row) in rows() {
                    write_line(&mut text, &Row { columns: &table.columns, cells: row, period: compared.then_some(period) })?;
                }
                text.into()
            }
        };
        let mut response = answer::ok(self.content_type(), text);
        set_stats(&mut response, &table.stats);
        Ok(response)
    }

    /// A page of events, with the fields that the question is for.
    pub(crate) fn events(self, page: &EventPage, query: &EventQuery) -> Result<Response<Body>, Refusal> {
        if self == Format::Json {
            let fields = query.shown();
            let events = page.events.iter().map(|event| event.only(fields)).collect();
            return Ok(answer::ok_json(&Page { events, next: page.next.as_ref(), stats: &page.stats }));
        }
        let mut response = answer::ok(self.content_type(), self.documents(&page.events, query, true)?);
        set_stats(&mut response, &page.stats);
        if let Some(next) = page.next.and_then(|next| HeaderValue::try_from(next.to_string()).ok()) {
            response.headers_mut().insert(NEXT, next);
        }
        Ok(response)
    }

    /// Events as text: lines, or CSV with or without its header.
    pub(crate) fn documents(self, events: &[Document], query: &EventQuery, with_header: bool) -> Result<Bytes, Refusal> {
        let fields = query.shown();
        let mut events = events.iter().map(|event| event.only(fields));
        if self != Format::Csv {
            let mut text = Vec::new();
            events.try_for_each(|event| write_line(&mut text, &event))?;
            return Ok(text.into());
        }
        // What has members of its own is JSON text.
        let columns: Vec<&str> = Document::FIELDS.iter().copied().filter(|field| fields.contains(field)).collect();
        let mut csv = Csv::new();
        if with_header {
            csv.row(columns.iter().map(|column| Cow::Borrowed(*column)))?;
        }
        for event in events {
            // What clients sent stays text: its numbers may be larger, or longer, than a number here can hold.
            let text = serde_json::to_string(&event).map_err(|_| Refusal::Internal)?;
            let members: HashMap<&str, &RawValue> = serde_json::from_str(&text).map_err(|_| Refusal::Internal)?;
            csv.row(columns.iter().map(|column| match members.get(column) {
                Some(raw) => raw_cell(raw),
                // A document leaves out what is usual.
                None if *column == "weight" => Cow::Borrowed("1"),
                None => Cow::Borrowed(""),
            }))?;
        }
        csv.finish()
    }
}

fn set_stats(response: &mut Response<Body>, stats: &Stats) {
    if let Some(stats) = serde_json::to_string(stats).ok().and_then(|stats| HeaderValue::try_from(stats).ok()) {
        response.headers_mut().insert(STATS, stats);
    }
}

/// One JSON text and a line feed. Raw JSON from clients may be laid out: its line breaks mean nothing and would end the line.
pub(crate) fn write_line(text: &mut Vec<u8>, line: &impl Serialize) -> Result<(), Refusal> {
    let start = text.len();
    serde_json::to_writer(&mut *text, line).map_err(|_| Refusal::Internal)?;
    let breaks = text.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r'));
    breaks.for_each(|byte| *byte = b' ');
    text.push(b'\n');
    Ok(())
}

/// An [`EventPage`] as it is written.
#[derive(serde::Serialize)]
struct Page<'a> {
    events: Vec<Only<'a>>,
    next: Option<&'a Cursor>,
    stats: &'a Stats,
}

/// A row as an object.
struct Row<'a> {
    columns: &'a [String],
    cells: &'a [Value],
    period: Option<&'a str>,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (column, cell) in self.columns.iter().zip(self.cells) {
            map.serialize_entry(column, cell)?;
        }
        if let Some(period) = self.period {
            map.serialize_entry(PERIOD, period)?;
        }
        map.end()
    }
}

struct Csv(csv::Writer<Vec<u8>>);

impl Csv {
    fn new() -> Csv {
        Csv(csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).flexible(true).from_writer(Vec::new()))
    }

    fn row<'a>(&mut self, cells: impl Iterator<Item = Cow<'a, str>>) -> Result<(), Refusal> {
        self.0.write_record(cells.map(|cell| cell.into_owned().into_bytes())).map_err(|_| Refusal::Internal)
    }

    fn finish(self) -> Result<Bytes, Refusal> {
        self.0.into_inner().map(Bytes::from).map_err(|_| Refusal::Internal)
    }
}

fn cell(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => safe(Cow::Borrowed(text)),
        // Numbers, truth, and what has parts, as JSON: none of them begins like a formula but a negative number, which is one.
        other => Cow::Owned(other.to_string()),
    }
}

/// The same of JSON text.
fn raw_cell(raw: &RawValue) -> Cow<'_, str> {
    match raw.get() {
        "null" => Cow::Borrowed(""),
        text if text.starts_with('"') => serde_json::from_str::<String>(text).map_or(Cow::Borrowed(""), |text| safe(Cow::Owned(text))),
        json => Cow::Borrowed(json),
    }
}

/// Text from strangers that a spreadsheet would take for a formula gets an apostrophe before it, which spreadsheets do not show.
/// Source: owasp.org/www-community/attacks/CSV_Injection.
fn safe(text: Cow<'_, str>) -> Cow<'_, str> {
    // Some read the full-width forms like the plain ones, and some pass over blanks before them.
    let first = text.trim_start_matches([' ', '\u{a0}', '\u{feff}']).chars().next();
    match first {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\0' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}') => {
            Cow::Owned(format!("'{text}"))
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_a_cell_is_left_as_it_is() {
        let cell = |json: &str| raw_cell(serde_json::from_str(json).unwrap()).into_owned();
        for json in [r#"{"a":1e999,"b":0.10,"a":2}"#, "123456789012345678901234567890", "-1.50", "true"] {
            assert_eq!(cell(json), json);
        }
        assert_eq!((cell(r#""a\"b""#), cell(r#""=1""#), cell("null")), ("a\"b".into(), "'=1".into(), String::new()));
    }
}
