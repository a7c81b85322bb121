//! The query language: typed questions, so that no text from outside ever becomes SQL.
//!
//! Parsed from the JSON described in `docs/query-api.md`; a store turns it into its own language.

mod journey;
mod lists;
mod words;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    journey::{FunnelQuery, FunnelStep, Happening, PathQuery, Period, RetentionQuery, Who},
    lists::{IssueOrder, IssueQuery, IssueState, IssueStatus, SessionOrder, SessionQuery},
    words::{Field, Measure},
};
use crate::{Document, FieldSet, Kind};

/// Longest range a question may span, ms.
pub const MAX_RANGE: i64 = 400 * 24 * 3_600_000;
/// Most rows or events in an answer.
pub const MAX_LIMIT: u32 = 10_000;
/// Most steps in an answer.
pub const MAX_STEPS: i64 = 2_000;
/// Most fields that are counted each on its own.
pub const MAX_FACETS: usize = 10;
/// Most values in one filter.
pub const MAX_VALUES: usize = 1_000;

/// An aggregating question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The project to read.
    pub project: String,
    /// Start, ms since the Unix epoch, inclusive.
    pub from: i64,
    /// End, ms since the Unix epoch, exclusive.
    pub to: i64,
    /// Only these kinds; all when empty.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// All must hold.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// One row per combination of values.
    #[serde(default)]
    pub group_by: Vec<Field>,
    /// Width of time buckets, ms; no time column without it.
    #[serde(default)]
    pub step: Option<i64>,
    /// Where buckets begin: at multiples of the step in a zone that is this much ahead of UTC, ms.
    #[serde(default)]
    pub zone_offset: i64,
    /// What to compute.
    pub measures: Vec<Measure>,
    /// Order of the rows; by time and groups without it.
    #[serde(default)]
    pub order_by: Option<OrderBy>,
    /// Most rows returned.
    #[serde(default = "default_limit")]
    pub limit: u32,
    /// Keeps only the largest groups of the whole range, so that a chart over time has few lines.
    #[serde(default)]
    pub top: Option<Top>,
    /// Asks the same of the whole range, too: the groups without steps.
    #[serde(default)]
    pub totals: bool,
    /// Groups by each of the fields on its own instead of by their combinations. In a row all but one of them are null.
    #[serde(default)]
    pub facets: bool,
    /// Asks the same of the period before, of the same length.
    #[serde(default)]
    pub compare: bool,
    /// Whether a sample of the visitors may answer.
    #[serde(default)]
    pub sampling: Sampling,
    /// Reads every event instead of a sample or a rollup.
    #[serde(default)]
    pub exact: bool,
}

/// When a sample of the visitors answers for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// When all would take long. The answer tells the error to expect.
    #[default]
    Auto,
    /// Never, however long it takes. Rollups may answer.
    Never,
}

/// The largest groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Top {
    /// How many: 1 to 100.
    pub n: u32,
    /// The measure that decides; one of the question's.
    pub by: Measure,
    /// Whether all others are one more group, whose cells are null.
    #[serde(default)]
    pub others: bool,
}

fn default_limit() -> u32 {
    1_000
}

/// A question for whole events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// The project to read.
    pub project: String,
    /// Start, ms since the Unix epoch, inclusive.
    pub from: i64,
    /// End, ms since the Unix epoch, exclusive.
    pub to: i64,
    /// Only these kinds; all when empty.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// All must hold.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// Which come first.
    #[serde(default)]
    pub order: EventOrder,
    /// Most events returned.
    #[serde(default = "default_event_limit")]
    pub limit: u32,
    /// Where the page before ended.
    #[serde(default)]
    pub cursor: Option<Cursor>,
    /// Only these fields of each event, beside its `id` and `time`; all when empty. Names are those of [`Document::FIELDS`]; in a page's
    /// documents other fields may be as if unknown.
    #[serde(default)]
    pub fields: Vec<String>,
}

fn default_event_limit() -> u32 {
    100
}

/// Order of events by time, then id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventOrder {
    /// Latest first.
    #[default]
    Newest,
    /// Earliest first.
    Oldest,
}

/// Position in a list of events: the last event of the page before. Written as `<time>_<id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its time, ms.
    pub time: i64,
    /// Its id.
    pub id: crate::EventId,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.time, self.id)
    }
}

impl FromStr for Cursor {
    type Err = String;
    fn from_str(text: &str) -> Result<Cursor, String> {
        let parsed = text.split_once('_').and_then(|(time, id)| Some(Cursor { time: time.parse().ok()?, id: id.parse().ok()? }));
        parsed.ok_or_else(|| "malformed cursor".into())
    }
}

/// Row order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderBy {
    /// A column of the answer.
    pub column: String,
    /// Largest first.
    #[serde(default)]
    pub descending: bool,
}

/// A condition on a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// What is compared.
    pub field: Field,
    /// How.
    pub op: Op,
    /// With what.
    pub values: Vec<String>,
}

/// Comparison of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Equal to one of the values.
    In,
    /// Equal to none of the values.
    NotIn,
    /// Contains the one value, whatever the case.
    Contains,
}

/// Thresholds of the web vitals: up to the first is good, above the second is poor.
/// Source: web.dev/articles/vitals.
pub const VITAL_BANDS: &[(&str, f64, f64)] =
    &[("LCP", 2_500.0, 4_000.0), ("FCP", 1_800.0, 3_000.0), ("TTFB", 800.0, 1_800.0), ("INP", 200.0, 500.0), ("CLS", 0.1, 0.25)];

/// Columns of the answer about storage: the table (`events`, or a rollup), its rows, its bytes on disk (of all projects: storage is shared) and its
/// oldest day (ms).
pub const STORAGE_COLUMNS: [&str; 4] = ["table", "rows", "bytes", "oldest"];

/// Columns and rows; cells are numbers, texts or null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Names, in the order of the cells.
    pub columns: Vec<String>,
    /// One array of cells per row.
    pub rows: Vec<Vec<Value>>,
    /// With `totals`: the rows of the whole range, whose time is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Vec<Vec<Value>>>,
    /// With `compare`: the rows of the period before, their times moved forward by the length of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Vec<Vec<Value>>>,
    /// With both: the totals of the period before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_totals: Option<Vec<Vec<Value>>>,
    /// What it cost.
    pub stats: Stats,
}

/// A page of events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Document>,
    /// Pass it on to get the next page; `None` at the end.
    pub next: Option<Cursor>,
    /// What it cost.
    pub stats: Stats,
}

/// What an answer cost, and how far it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Time from question to answer, ms.
    pub elapsed_ms: f64,
    /// Rows the store read.
    pub rows_read: u64,
    /// What was read.
    pub source: Source,
    /// Share of the visitors whose events were read, 0 to 1. Counts are of all: they were multiplied.
    pub sample: f64,
    /// Largest relative error to expect of the figures of the largest group, at 95 %: from sampling, and of percentiles also from the
    /// width of the rollups' buckets. 0 is exact.
    pub error: f64,
}

impl Default for Stats {
    fn default() -> Stats {
        Stats { elapsed_ms: 0.0, rows_read: 0, source: Source::Events, sample: 1.0, error: 0.0 }
    }
}

/// What an answer was read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The events themselves, or a sample of them.
    #[default]
    Events,
    /// Figures worked out before, and the events of the days that are not closed.
    Rollup,
}

impl Query {
    /// Checks what the types cannot: range, limits, names of columns.
    pub fn validate(&self) -> Result<(), String> {
        check_range(self.from, self.to)?;
        check_filters(&self.filters)?;
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(format!("limit must be 1 to {MAX_LIMIT}"));
        }
        if self.measures.is_empty() || self.measures.len() > 40 {
            return Err("measures must name 1 to 40 measures".into());
        }
        let most = if self.facets { MAX_FACETS } else { 5 };
        if self.group_by.len() > most {
            return Err(format!("group_by takes at most {most} fields"));
        }
        if self.facets {
            self.check_facets()?;
        }
        if self.group_by.contains(&Field::Id) {
            return Err("ids can be filtered by, not grouped".into());
        }
        for measure in &self.measures {
            measure.check()?;
        }
        if self.zone_offset.unsigned_abs() > 14 * 3_600_000 {
            return Err("zone_offset must be at most 14 hours".into());
        }
        if let Some(top) = &self.top {
            if self.group_by.is_empty() {
                return Err("top needs group_by".into());
            }
            if !(1..=100).contains(&top.n) {
                return Err("top takes 1 to 100 groups".into());
            }
            if !self.measures.contains(&top.by) {
                return Err(format!("top names {}, which is not a measure of the question", top.by));
            }
        }
        if let Some(step) = self.step {
            if step < 1_000 {
                return Err("step must be at least 1000 ms".into());
            }
            if (self.to - self.from) / step > MAX_STEPS {
                return Err(format!("the range has more than {MAX_STEPS} steps"));
            }
        }
        if self.totals && self.step.is_none() {
            return Err("totals need a step: without one the rows are the totals".into());
        }
        if self.compare && self.from < self.to - self.from {
            return Err("there is no period before 1970 to compare with".into());
        }
        let columns = self.columns();
        if let Some(column) = columns.iter().enumerate().find_map(|(n, column)| columns.iter().skip(n + 1).find(|other| *other == column)) {
            return Err(format!("column {column:?} is asked for twice"));
        }
        if let Some(order) = &self.order_by
            && !columns.contains(&order.column)
        {
            return Err(format!("order_by names {:?}, which is not a column of the answer", order.column));
        }
        Ok(())
    }

    fn check_facets(&self) -> Result<(), String> {
        if self.group_by.is_empty() {
            return Err("facets need group_by".into());
        }
        if self.step.is_some() || self.top.is_some() || self.compare {
            return Err("facets cannot be combined with step, top or compare".into());
        }
        if self.limit as usize * self.group_by.len() > MAX_LIMIT as usize {
            return Err(format!("limit is that of each facet; together they must not exceed {MAX_LIMIT}"));
        }
        Ok(())
    }

    /// Names of the answer's columns, in order.
    pub fn columns(&self) -> Vec<String> {
        let time = self.step.map(|_| "time".to_owned());
        let groups = self.group_by.iter().map(ToString::to_string);
        time.into_iter().chain(groups).chain(self.measures.iter().map(ToString::to_string)).collect()
    }
}

impl EventQuery {
    /// Checks what the types cannot: range and limits.
    pub fn validate(&self) -> Result<(), String> {
        check_range(self.from, self.to)?;
        check_filters(&self.filters)?;
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(format!("limit must be 1 to {MAX_LIMIT}"));
        }
        if self.fields.len() > Document::FIELDS.len() {
            return Err(format!("at most {} fields", Document::FIELDS.len()));
        }
        match self.fields.iter().find(|field| !Document::FIELDS.contains(&field.as_str())) {
            Some(unknown) => Err(format!("events have no field {:?}", unknown.chars().take(64).collect::<String>())),
            None => Ok(()),
        }
    }

    /// The fields of the events in the answer.
    pub fn shown(&self) -> FieldSet {
        FieldSet::of(&self.fields)
    }

    /// The fields to read: those of the answer, and what one of them is worked out from.
    pub fn read(&self) -> FieldSet {
        let shown = self.shown();
        if !shown.contains("exceptions") || shown == FieldSet::ALL {
            return shown;
        }
        let needed = ["kind", "name", "data"].map(str::to_owned);
        FieldSet::of(&[&self.fields[..], &needed].concat())
    }
}

fn check_range(from: i64, to: i64) -> Result<(), String> {
    // 9999-12-31: later times have no four-digit year and no meaning here.
    let last = 253_402_300_799_999;
    if !(0..=last).contains(&from) || !(0..=last).contains(&to) {
        return Err("from and to must be milliseconds since 1970".into());
    }
    if to <= from {
        return Err("to must be after from".into());
    }
    if to - from > MAX_RANGE {
        return Err("the range must not exceed 400 days".into());
    }
    Ok(())
}

fn check_filters(filters: &[Filter]) -> Result<(), String> {
    if filters.len() > 20 {
        return Err("at most 20 filters".into());
    }
    for filter in filters {
        let most = if filter.op == Op::Contains { 1 } else { MAX_VALUES };
        if !(1..=most).contains(&filter.values.len()) {
            return Err(format!("the filter on {} takes 1 to {most} values", filter.field));
        }
        if filter.values.iter().any(|value| value.len() > 4_096) {
            return Err(format!("a value of the filter on {} is longer than 4096 bytes", filter.field));
        }
        if filter.field == Field::Id {
            if filter.op == Op::Contains {
                return Err("ids can be compared with in and not_in only".into());
            }
            if let Some(bad) = filter.values.iter().find(|value| value.parse::<crate::EventId>().is_err()) {
                return Err(format!("{:?} is not an event id", bad.chars().take(64).collect::<String>()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(json: &str) -> Result<Query, String> {
        let query: Query = serde_json::from_str(json).map_err(|error| error.to_string())?;
        query.validate().map(|()| query)
    }

    #[test]
    fn a_question_is_read_and_its_columns_are_known() {
        let query = query(
            r#"{"project":"shop","from":0,"to":3600000,"kinds":["vital"],"group_by":["name"],"step":60000,
                "filters":[{"field":"attributes.plan","op":"in","values":["pro"]}],"measures":["count","p75","count:error"],
                "order_by":{"column":"p75","descending":true}}"#,
        )
        .unwrap();
        assert_eq!(query.columns(), ["time", "name", "count", "p75", "count:error"]);
        assert_eq!(query.filters[0].field, Field::Attribute("plan".into()));
        let again: Query = serde_json::from_str(&serde_json::to_string(&query).unwrap()).unwrap();
        assert_eq!(again, query);
    }

    #[test]
    fn wrong_questions_are_refused_with_a_reason() {
        let cases = [
            (r#"{"project":"p","from":0,"to":1,"measures":["count","count"]}"#, "twice"),
            (r#"{"project":"p","from":0,"to":1,"measures":[]}"#, "1 to 40"),
            (r#"{"project":"p","from":5,"to":5,"measures":["count"]}"#, "after from"),
            (r#"{"project":"p","from":-5,"to":5,"measures":["count"]}"#, "since 1970"),
            (r#"{"project":"p","from":0,"to":9000000000000000000,"measures":["count"]}"#, "since 1970"),
            (r#"{"project":"p","from":0,"to":100000000000,"measures":["count"]}"#, "400 days"),
            (r#"{"project":"p","from":0,"to":9,"measures":["p42"]}"#, "unknown measure \"p42\""),
            (r#"{"project":"p","from":0,"to":9,"group_by":["colour`"],"measures":["count"]}"#, "unknown field \"colour`\""),
            (r#"{"project":"p","from":0,"to":9,"measures":["count"],"order_by":{"column":"x; drop"}}"#, "not a column"),
            (r#"{"project":"p","from":0,"to":9,"measures":["count"],"limit":0}"#, "limit"),
            (r#"{"project":"p","from":0,"to":9,"measures":["count"],"step":1}"#, "at least 1000"),
            (r#"{"project":"p","from":0,"to":9,"measures":["count"],"totals":true}"#, "need a step"),
            (r#"{"project":"p","from":0,"to":9,"measures":["count"],"sql":"x"}"#, "unknown field"),
            (r#"{"project":"p","from":0,"to":9,"measures":["count"],"facets":true}"#, "need group_by"),
            (r#"{"project":"p","from":0,"to":9,"measures":["count"],"facets":true,"group_by":["os"],"compare":true}"#, "combined"),
            (r#"{"project":"p","from":0,"to":9,"measures":["count"],"facets":true,"group_by":["os","os"]}"#, "twice"),
            (r#"{"project":"p","from":0,"to":9,"measures":["count"],"facets":true,"group_by":["os","browser"],"limit":5001}"#, "10000"),
            (
                r#"{"project":"p","from":0,"to":9,"measures":["count"],"filters":[{"field":"id","op":"in","values":["x"]}]}"#,
                "not an event id",
            ),
            (
                r#"{"project":"p","from":0,"to":9,"measures":["count"],"filters":[{"field":"name","op":"contains","values":["a","b"]}]}"#,
                "1 to 1",
            ),
        ];
        for (json, reason) in cases {
            let error = query(json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }

    #[test]
    fn a_cursor_survives_its_text() {
        let cursor = Cursor { time: 1_732_096_800_123, id: crate::EventId(77) };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        assert!("12".parse::<Cursor>().is_err() && "x_y".parse::<Cursor>().is_err());
    }
}
