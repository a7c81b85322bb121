//! SQL that outside text cannot get into: the text of a statement is made of literals of this program (`'static`) and of digits; every text
//! from outside is bound as a parameter, which the server reads as a value.
//!
//! A server takes about a tenth of a millisecond to read a parameter or a function of a constant, and a question has dozens: therefore
//! numbers, days and times are written out, from their own types.

use std::fmt::Write;

use clickhouse::query::Query;
use monitor_core::Kind;
use serde::Serialize;

use crate::calendar::{DAY, Date};

/// The last time that the server's columns hold, ms: 2299-12-31.
const LAST_TIME: i64 = 10_413_791_999_999;

/// A statement and its bound values.
#[derive(Debug, Default)]
pub(crate) struct Sql {
    text: String,
    values: Vec<Value>,
}

/// A value; the variant decides its type in SQL where it is bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Text(String),
    Texts(Vec<String>),
    /// Ids as text.
    Ids(Vec<String>),
    Id(String),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
}

impl Value {
    /// Kinds as a list.
    pub(crate) fn kinds(kinds: &[Kind]) -> Value {
        Value::Texts(kinds.iter().map(|kind| kind.as_str().to_owned()).collect())
    }

    fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "String",
            Value::Texts(_) => "Array(String)",
            Value::Ids(_) => "Array(UUID)",
            Value::Id(_) => "UUID",
            Value::Integer(_) => "Int64",
            Value::Unsigned(_) => "UInt64",
            Value::Float(_) => "Float64",
        }
    }
}

impl Sql {
    /// Begins a statement.
    pub(crate) fn new(text: &'static str) -> Sql {
        Sql { text: text.into(), values: Vec::new() }
    }

    /// Adds text of this program.
    pub(crate) fn push(&mut self, text: &'static str) -> &mut Sql {
        self.text.push_str(text);
        self
    }

    /// Adds a value: of a number its digits, of others a place holder (`{p3:String}`), the same one for the same value.
    pub(crate) fn bind(&mut self, value: Value) -> &mut Sql {
        // Writing to a `String` cannot fail.
        let _ = match &value {
            Value::Integer(number) => write!(self.text, "{number}"),
            Value::Unsigned(number) => write!(self.text, "{number}"),
            Value::Float(number) if number.is_finite() => write!(self.text, "{number:?}"),
            _ => {
                let known = self.values.iter().position(|known| *known == value);
                let place = known.unwrap_or(self.values.len());
                let written = write!(self.text, "{{p{place}:{}}}", value.kind());
                if known.is_none() {
                    self.values.push(value);
                }
                written
            }
        };
        self
    }

    /// Adds a list of numbers, to look a column up in.
    pub(crate) fn numbers(&mut self, numbers: impl IntoIterator<Item = u64>) -> &mut Sql {
        self.push("(");
        for (n, number) in numbers.into_iter().enumerate() {
            self.push(if n == 0 { "" } else { ", " }).bind(Value::Unsigned(number));
        }
        self.push(")")
    }

    /// Adds a time in ms as a value of its own type.
    pub(crate) fn bind_time(&mut self, time: i64) -> &mut Sql {
        self.push("fromUnixTimestamp64Milli(").bind(Value::Integer(time)).push(", 'UTC')")
    }

    /// Adds a time in ms, to compare a column of such times with.
    pub(crate) fn instant(&mut self, time: i64) -> &mut Sql {
        let time = time.clamp(0, LAST_TIME);
        let (day, of_day) = (time.div_euclid(DAY), time.rem_euclid(DAY));
        let (second, ms) = (of_day / 1_000, of_day % 1_000);
        // Writing to a `String` cannot fail.
        let _ = write!(self.text, "'{} {:02}:{:02}:{:02}", Date::of(day), second / 3_600, second / 60 % 60, second % 60);
        // A column of seconds reads no more than these.
        let _ = if ms > 0 { write!(self.text, ".{ms:03}'") } else { write!(self.text, "'") };
        self
    }

    /// Adds the day of a time in ms, to compare a column of days with.
    pub(crate) fn day(&mut self, time: i64) -> &mut Sql {
        // Writing to a `String` cannot fail.
        let _ = write!(self.text, "'{}'", Date::of(time.div_euclid(DAY).clamp(0, u16::MAX.into())));
        self
    }

    /// Adds the name of the n-th column of the answer.
    pub(crate) fn column(&mut self, n: usize) -> &mut Sql {
        self.numbered("c", n)
    }

    /// Adds the n-th of several names that begin alike.
    pub(crate) fn numbered(&mut self, name: &'static str, n: usize) -> &mut Sql {
        // Writing to a `String` cannot fail.
        let _ = write!(self.text, "{name}{n}");
        self
    }

    /// Adds a number, for statements that take no parameters (`ALTER`).
    pub(crate) fn number(&mut self, number: u32) -> &mut Sql {
        // Writing to a `String` cannot fail.
        let _ = write!(self.text, "{number}");
        self
    }

    /// Adds a quoted name for `CREATE DATABASE`. What is not a letter, digit or underscore is left out: names of
    /// databases are checked when the configuration is installed.
    pub(crate) fn name(&mut self, name: &str) -> &mut Sql {
        self.text.push('`');
        self.text.extend(name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_'));
        self.text.push('`');
        self
    }

    /// Adds a text in quotes, for statements that take no parameters (`CREATE`, `ALTER`). Whatever is not a letter, digit, space, `_` or `-` is
    /// left out: such texts are ours or checked when the configuration is installed.
    pub(crate) fn literal(&mut self, text: &str) -> &mut Sql {
        self.text.push('\'');
        self.text.extend(text.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, ' ' | '_' | '-')));
        self.text.push('\'');
        self
    }

    /// Adds another statement's text, which has no bound values.
    pub(crate) fn append(&mut self, other: &Sql) -> &mut Sql {
        debug_assert!(other.values.is_empty(), "its place holders would be taken for others");
        self.text.push_str(&other.text);
        self
    }

    /// The statement for the server.
    pub(crate) fn query(&self, client: &clickhouse::Client) -> Query {
        let query = client.query_raw(&self.text);
        self.values.iter().enumerate().fold(query, |query, (n, value)| query.param(&format!("p{n}"), value))
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_referred_to_and_never_part_of_the_text() {
        let mut sql = Sql::new("SELECT ");
        sql.column(0).push(" WHERE a IN ").bind(Value::Texts(vec!["' OR 1=1 --".into()])).push(" AND b = ").bind(Value::Integer(5));
        sql.push(" AND c = ").bind(Value::Text("x".into())).push(" AND d = ").bind(Value::Float(f64::NAN));
        sql.push(" AND e = ").bind(Value::Text("x".into())).push(" AND f = ").bind(Value::Ids(vec!["x".into()]));
        assert_eq!(
            sql.text(),
            "SELECT c0 WHERE a IN {p0:Array(String)} AND b = 5 AND c = {p1:String} AND d = {p2:Float64} AND e = {p1:String} AND f = {p3:Array(UUID)}"
        );
        assert_eq!(sql.values.len(), 4);
    }

    #[test]
    fn numbers_are_written_as_digits() {
        let mut sql = Sql::new("");
        sql.bind(Value::Integer(-5)).push(" ").bind(Value::Unsigned(u64::MAX)).push(" ").bind(Value::Float(0.1)).push(" ");
        sql.bind(Value::Float(2_500.0)).push(" ").bind(Value::Float(1e21));
        assert_eq!((sql.text(), sql.values.len()), ("-5 18446744073709551615 0.1 2500.0 1e21", 0));
    }

    #[test]
    fn days_and_times_are_written_as_their_columns_read_them() {
        let text = |time: i64| {
            let mut sql = Sql::new("");
            sql.day(time).push(" ").instant(time);
            sql.text
        };
        assert_eq!(text(0), "'1970-01-01' '1970-01-01 00:00:00'");
        assert_eq!(text(1_709_251_199_999), "'2024-02-29' '2024-02-29 23:59:59.999'");
        // Nothing is later.
        assert_eq!(text(253_402_300_799_999), "'2149-06-06' '2299-12-31 23:59:59.999'");
        assert_eq!(text(-1), "'1970-01-01' '1970-01-01 00:00:00'");
    }
}
