//! SQL that outside text cannot get into: the text of a statement is made of literals of this program only (`'static`),
//! everything else is bound as a parameter that the server reads as a value.

use std::fmt::Write;

use clickhouse::query::Query;
use monitor_core::Kind;
use serde::Serialize;

/// A statement and its bound values.
#[derive(Debug, Default)]
pub(crate) struct Sql {
    text: String,
    values: Vec<Value>,
}

/// A bound value; the variant decides its type in SQL.
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

    /// Adds a place holder (`{p3:String}`) and its value.
    pub(crate) fn bind(&mut self, value: Value) -> &mut Sql {
        // Writing to a `String` cannot fail.
        let _ = write!(self.text, "{{p{}:{}}}", self.values.len(), value.kind());
        self.values.push(value);
        self
    }

    /// Adds a time in ms as a bound value.
    pub(crate) fn bind_time(&mut self, time: i64) -> &mut Sql {
        self.push("fromUnixTimestamp64Milli(").bind(Value::Integer(time)).push(", 'UTC')")
    }

    /// Adds the second of a time in ms as a bound value.
    pub(crate) fn bind_second(&mut self, time: i64) -> &mut Sql {
        self.push("toDateTime(").bind(Value::Integer(time.div_euclid(1_000))).push(", 'UTC')")
    }

    /// Adds the day of a time in ms as a bound value.
    pub(crate) fn bind_day(&mut self, time: i64) -> &mut Sql {
        self.push("toDate(toUInt16(").bind(Value::Integer(time.div_euclid(86_400_000))).push("))")
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
        assert_eq!(sql.text(), "SELECT c0 WHERE a IN {p0:Array(String)} AND b = {p1:Int64}");
    }
}
