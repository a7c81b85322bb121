//! Aggregates of the events themselves, or of those that the rollup of samples holds.
//!
//! A row stands for as many events as its `weight` says, and in a sample for those of the visitors that were left out as well: `w` is
//! both together. Counts are sums of `w`, rounded at the end; sums and means of values are weighted by it. Percentiles are those of the
//! list in which each value stands as often as `w` says, rounded to a whole number because the server's function takes no other:
//! exact, with linear interpolation between the two nearest. All measures of `value` are of finite values only.

use std::ops::Range;

use monitor_core::{
    QueryError,
    query::{Field, Measure},
};

use super::{
    filter::{From, Selection, group, matching, matching_in, operand},
    plan::Cover,
    values::banded,
};
use crate::{
    calendar::{DAY, HOUR},
    rollup::{band, bucket, of_event},
    sql::{Sql, Value},
};

/// An aggregating question about one period, with everything settled that needs no figures.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub(super) selection: Selection<'a>,
    pub(super) range: Range<i64>,
    pub(super) step: Option<i64>,
    /// Steps begin at multiples of the step of the time plus this, ms.
    pub(super) zone: i64,
    pub(super) group_by: &'a [Field],
    /// Only these groups.
    pub(super) chosen: Option<&'a Chosen>,
    pub(super) measures: Vec<&'a Measure>,
    /// Column (of time, groups and measures) and direction.
    pub(super) order: Option<(usize, bool)>,
    pub(super) limit: u32,
    /// Share of the visitors that is read.
    pub(super) sample: Sample,
    /// Rows of the whole range are among those of the steps; the last column tells them apart, see [`Ask::push_kind`].
    pub(super) totals: bool,
    /// Rows of each field on its own, as the last column tells.
    pub(super) facets: bool,
}

/// Groups that were chosen before the question is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// For each field its values, as texts: the groups column by column.
    pub(super) values: Vec<Vec<String>>,
    /// Whether all others are one more group.
    pub(super) others: bool,
}

/// One of this many visitors is read, chosen by their hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample(pub(super) u64);

impl Sample {
    pub(super) const ALL: Sample = Sample(1);

    /// The share of the visitors, 0 to 1.
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    pub(super) fn share(self) -> f64 {
        1.0 / self.0 as f64
    }

    /// The sample that would have had a smaller error, of the same visitors: its square grows with the size less one, see `trust::of_seen`.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 1 and the number itself"
    )]
    pub(super) fn for_error(self, error: f64, wanted: f64) -> Sample {
        let most = 1.0 + (self.0 as f64 - 1.0) * (wanted / error).powi(2);
        Sample(if most < 2.0 { 1 } else { 1 << (most.log2() as u64) })
    }

    /// ` AND …`: visitors in the sample. Events of nobody share one hash: they are all read, and not multiplied.
    pub(super) fn condition(self, sql: &mut Sql) {
        if self != Sample::ALL {
            sql.push(" AND (user_hash < ").bind(Value::Unsigned(u64::MAX / self.0)).push(" OR user_hash = cityHash64(''))");
        }
    }

    /// What each row stands for, beside its weight.
    pub(super) fn factor(self, sql: &mut Sql) {
        if self == Sample::ALL {
            sql.push("1");
        } else {
            sql.push("if(user_hash = cityHash64(''), 1, ").bind(Value::Unsigned(self.0)).push(")");
        }
    }
}

impl Ask<'_> {
    /// Columns before the measures.
    pub(super) fn keys(&self) -> usize {
        usize::from(self.step.is_some()) + self.group_by.len()
    }

    /// Minutes that a row of the answer is about.
    #[allow(clippy::cast_precision_loss, reason = "lengths of ranges are far below 2^53")]
    pub(super) fn minutes(&self) -> f64 {
        self.step.unwrap_or(self.range.end - self.range.start) as f64 / 60_000.0
    }

    /// The last column, with a comma before it: 1 in rows of the whole range; of facets a bit for each field, 0 for the one that the row is about.
    pub(super) fn push_kind(&self, sql: &mut Sql) {
        if self.totals {
            sql.push(", grouping(c0) AS row_kind");
        } else if self.facets {
            sql.push(", grouping(");
            list(sql, 0..self.keys());
            sql.push(") AS row_kind");
        }
    }

    /// ` GROUP BY …`, `ORDER BY …`, `LIMIT …` by the names of the columns.
    pub(super) fn finish(&self, sql: &mut Sql) {
        let keys = self.keys();
        if self.totals {
            // The time is the first to be left out; without any group, too, would be one too many.
            sql.push(" GROUP BY ");
            list(sql, 1..keys);
            sql.push(if keys > 1 { ", c0 WITH ROLLUP HAVING grouping(" } else { "c0 WITH ROLLUP" });
            if keys > 1 {
                sql.column(keys - 1).push(") = 0");
            }
        } else if keys > 0 {
            sql.push(" GROUP BY ");
            if self.facets {
                for key in 0..keys {
                    sql.push(if key == 0 { "GROUPING SETS ((" } else { "), (" }).column(key);
                }
                sql.push("))");
            } else {
                list(sql, 0..keys);
            }
        }
        if self.order.is_some() || keys > 0 {
            sql.push(" ORDER BY ");
        }
        // The first field has the highest bit.
        sql.push(if self.facets { "row_kind, " } else { "" });
        if let Some((column, descending)) = self.order {
            sql.column(column).push(if descending { " DESC NULLS LAST" } else { " ASC NULLS LAST" });
            sql.push(if keys > 0 { ", " } else { "" });
        }
        list(sql, 0..keys);
        sql.push(" LIMIT ").bind(Value::Integer(self.limit.into()));
        // Of each kind of rows so many.
        sql.push(if self.totals || self.facets { " BY row_kind" } else { "" });
    }

    /// The columns of time and groups, each with its name and a comma.
    pub(super) fn push_keys(
        &self,
        sql: &mut Sql,
        time: Time,
        group: fn(&mut Sql, &Field) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let mut column = 0;
        let mut name = |sql: &mut Sql| {
            sql.push(" AS ").column(column).push(", ");
            column += 1;
        };
        if let Some(step) = self.step {
            step_of(sql, time, step, self.zone);
            name(sql);
        }
        for field in self.group_by {
            match self.chosen {
                Some(chosen) if chosen.others => {
                    sql.push("if(");
                    self.push_chosen(sql, chosen, group)?;
                    sql.push(", toNullable(");
                    if *field == Field::Status {
                        group(sql, field)?;
                    } else {
                        sql.push("toString(");
                        group(sql, field)?;
                        sql.push(")");
                    }
                    sql.push("), NULL)");
                }
                _ => group(sql, field)?,
            }
            name(sql);
        }
        Ok(())
    }

    /// ` AND …`: rows of the chosen groups, unless all others are a group as well.
    pub(super) fn push_choice(&self, sql: &mut Sql, group: fn(&mut Sql, &Field) -> Result<(), QueryError>) -> Result<(), QueryError> {
        match self.chosen {
            Some(chosen) if !chosen.others => {
                sql.push(" AND ");
                self.push_chosen(sql, chosen, group)
            }
            _ => Ok(()),
        }
    }

    fn push_chosen(&self, sql: &mut Sql, chosen: &Chosen, group: fn(&mut Sql, &Field) -> Result<(), QueryError>) -> Result<(), QueryError> {
        // A tuple of one is no tuple in SQL.
        sql.push(if self.group_by.len() > 1 { "(" } else { "" });
        for (n, field) in self.group_by.iter().enumerate() {
            sql.push(if n == 0 { "" } else { ", " }).push("toString(");
            group(sql, field)?;
            sql.push(")");
        }
        sql.push(if self.group_by.len() > 1 { ") IN arrayZip(" } else { " IN (" });
        for (n, values) in chosen.values.iter().enumerate() {
            sql.push(if n == 0 { "" } else { ", " }).bind(Value::Texts(values.clone()));
        }
        sql.push(")");
        Ok(())
    }
}

/// A time of a row: an expression, ms as `Int64`.
#[derive(Clone, Copy)]
pub(super) struct Time {
    pub(super) sql: &'static str,
    /// It is a multiple of this, ms.
    pub(super) grain: i64,
}

/// Of an event.
pub(super) const OF_EVENT: Time = Time { sql: "toUnixTimestamp64Milli(time)", grain: 1 };
/// Of a row about an hour.
pub(super) const OF_HOUR: Time = Time { sql: "toInt64(hour) * 1000", grain: HOUR };
/// Of a row about a day.
pub(super) const OF_DAY: Time = Time { sql: "toInt64(day) * 86400000", grain: DAY };

/// The beginning of the step in which a time lies.
pub(super) fn step_of(sql: &mut Sql, time: Time, step: i64, zone: i64) {
    let (number, whole) = (Value::Integer, Value::Integer(step));
    if time.grain % step == 0 && zone % step == 0 {
        sql.push(time.sql);
    } else if zone == 0 {
        sql.push("intDiv(").push(time.sql).push(", ").bind(number(step)).push(") * ").bind(whole);
    } else {
        // Of a time before the first step of 1970, too.
        sql.push(time.sql).push(" - positiveModulo(").push(time.sql).push(" + ").bind(number(zone)).push(", ").bind(whole).push(")");
    }
}

pub(super) fn list(sql: &mut Sql, columns: Range<usize>) {
    for column in columns.clone() {
        sql.push(if column == columns.start { "" } else { ", " }).column(column);
    }
}

/// The question to `events`; of a sample that its rollup covers, to that one, and to the events of the times it does not hold.
pub(super) fn select(ask: &Ask<'_>, cover: Option<&Cover>) -> Result<Sql, QueryError> {
    let mut sql = Sql::new("WITH weight * ");
    ask.sample.factor(&mut sql);
    sql.push(" AS w");
    if ask.measures.iter().any(|measure| banded(measure)) {
        sql.push(", ");
        band(&mut sql);
        sql.push(" AS rated");
    }
    sql.push(" SELECT ");
    let keys = ask.keys();
    match cover {
        None => ask.push_keys(&mut sql, OF_EVENT, group)?,
        Some(_) => (0..keys).for_each(|key| _ = sql.column(key).push(", ")),
    }
    for (n, measure) in ask.measures.iter().enumerate() {
        match (measure, cover) {
            (Measure::Visitors, Some(_)) => _ = distinct(&mut sql, "uniqExactIf(user_hash, known)", ask.sample),
            (Measure::Sessions, Some(_)) => _ = distinct(&mut sql, "uniqExactIf(session_hash, session_hash != 0)", ask.sample),
            (Measure::Pages, Some(_)) => _ = pages(&mut sql, "uniqExactIf(page_hash, page_hash != 0", ask.sample),
            (measure, _) => push_measure(&mut sql, measure, ask)?,
        }
        sql.push(" AS ").column(keys + n).push(", ");
    }
    // Closes the list; of a sample also what tells how far it can be trusted, see `trust`.
    if ask.sample == Sample::ALL {
        sql.push("1");
    } else {
        sql.push("sumResample(0, 16, 1)(w, bitAnd(user_hash, 15)), ");
        sql.push(if ask.measures.iter().any(|measure| is_percentile(measure)) { QUANTILES } else { "[]" });
    }
    ask.push_kind(&mut sql);
    match cover {
        None => {
            matching(&mut sql, &ask.selection, ask.range.clone())?;
            ask.sample.condition(&mut sql);
            ask.push_choice(&mut sql, operand)?;
        }
        Some(cover) => sampled(&mut sql, ask, cover)?,
    }
    ask.finish(&mut sql);
    Ok(sql)
}

/// ` FROM (…)`: groups and the columns that the measures need.
fn sampled(sql: &mut Sql, ask: &Ask<'_>, cover: &Cover) -> Result<(), QueryError> {
    for (n, (table, ranges)) in cover.of_sample().enumerate() {
        sql.push(if n == 0 { " FROM (SELECT " } else { " UNION ALL SELECT " });
        ask.push_keys(sql, OF_EVENT, group)?;
        sql.push("user_hash, weight");
        let needed = NEEDED.iter().filter(|(_, needs)| ask.measures.iter().any(|measure| needs(measure)));
        needed.for_each(|(column, _)| push_column(sql.push(", "), table, column));
        matching_in(sql, table, &ask.selection, &ranges)?;
        ask.sample.condition(sql);
        ask.push_choice(sql, operand)?;
    }
    sql.push(")");
    Ok(())
}

type Needs = fn(&Measure) -> bool;

/// Columns of `rollup_sample`, and the measures that are made of them.
const NEEDED: [(&str, Needs); 7] = [
    ("known", |measure| *measure == Measure::Visitors),
    ("session_hash", |measure| *measure == Measure::Sessions),
    ("page_hash", |measure| *measure == Measure::Pages),
    ("failure", |measure| matches!(measure, Measure::Failures | Measure::FailureRate)),
    ("kind", |measure| banded(measure) || matches!(measure, Measure::CountKind(_))),
    ("name", banded),
    ("value", |measure| {
        use Measure::{Count, CountKind, FailureRate, Failures, Pages, Rate, Sessions, Visitors};
        !matches!(measure, Count | Rate | Visitors | Sessions | Pages | Failures | FailureRate | CountKind(_))
    }),
];

/// A column of `rollup_sample`, made of an event where those are read.
pub(super) fn push_column(sql: &mut Sql, table: From, column: &'static str) {
    match (table, of_event(column)) {
        (From::Events, of_event) if of_event != column => _ = sql.push(of_event).push(" AS ").push(column),
        _ => _ = sql.push(column),
    }
}

fn push_measure(sql: &mut Sql, measure: &Measure, ask: &Ask<'_>) -> Result<(), QueryError> {
    match measure {
        Measure::Count => sql.push("toUInt64(round(sum(w)))"),
        Measure::Rate => sql.push("sum(w) / ").bind(Value::Float(ask.minutes())),
        Measure::Visitors => distinct(sql, "uniqExactIf(user_hash, notEmpty(visitor))", ask.sample),
        Measure::Sessions => distinct(sql, "uniqExactIf(session, notEmpty(session))", ask.sample),
        Measure::Pages => pages(sql, "uniqExactIf(page, notEmpty(page)", ask.sample),
        Measure::Sum => sql.push("sumOrNullIf(value * w, isFinite(value))"),
        Measure::Avg => sql.push("avgWeightedOrNullIf(value, w, isFinite(value))"),
        Measure::Min => sql.push("minOrNullIf(value, isFinite(value))"),
        Measure::Max => sql.push("maxOrNullIf(value, isFinite(value))"),
        Measure::P50 => quantile(sql, "[1]"),
        Measure::P75 => quantile(sql, "[2]"),
        Measure::P90 => quantile(sql, "[3]"),
        Measure::P95 => quantile(sql, "[4]"),
        Measure::P99 => quantile(sql, "[5]"),
        Measure::Histogram => sql.push("sumMapIf([").push(bucket::SQL).push("], [toFloat64(w)], isFinite(value))"),
        Measure::Apdex(_) => {
            let target = measure.apdex_target().ok_or_else(|| QueryError::Invalid("apdex takes its target in ms: apdex:500".into()))?;
            sql.push("(sumIf(w, isFinite(value) AND value <= ").bind(Value::Float(target));
            sql.push(") + sumIf(w, isFinite(value) AND value <= ").bind(Value::Float(target * 4.0));
            sql.push(")) / 2 / sumIf(w, isFinite(value))")
        }
        Measure::Failures => sql.push("toUInt64(round(sumIf(w, failure != '')))"),
        Measure::FailureRate => sql.push("sumIf(w, failure != '') / sum(w)"),
        Measure::Good => rounded(sql, GOOD),
        Measure::NeedsImprovement => rounded(sql, MIDDLE),
        Measure::Poor => rounded(sql, POOR),
        Measure::GoodShare => share(sql, GOOD),
        Measure::NeedsImprovementShare => share(sql, MIDDLE),
        Measure::PoorShare => share(sql, POOR),
        Measure::FirstSeen => sql.push("toUnixTimestamp64Milli(minOrNull(time))"),
        Measure::LastSeen => sql.push("toUnixTimestamp64Milli(maxOrNull(time))"),
        Measure::AnyName => sql.push("argMaxOrNull(toString(name), (time, id))"),
        Measure::AnyMessage => sql.push("argMaxOrNull(message, (time, id))"),
        Measure::AnyTarget => sql.push("argMaxOrNull(target, (time, id))"),
        Measure::CountKind(kind) => sql.push("toUInt64(round(sumIf(w, kind = ").bind(Value::Text(kind.clone())).push(")))"),
        other => return Err(QueryError::Invalid(format!("{other} cannot be computed"))),
    };
    Ok(())
}

/// A number of different ones: those of a sample stand for as many as its size says.
fn distinct<'a>(sql: &'a mut Sql, seen: &'static str, sample: Sample) -> &'a mut Sql {
    sql.push(seen);
    if sample == Sample::ALL { sql } else { sql.push(" * ").bind(Value::Unsigned(sample.0)) }
}

/// The same of pages, of which some may be nobody's: those are all read. `seen` is not closed.
fn pages<'a>(sql: &'a mut Sql, seen: &'static str, sample: Sample) -> &'a mut Sql {
    sql.push(seen);
    if sample == Sample::ALL {
        return sql.push(")");
    }
    sql.push(" AND user_hash != cityHash64('')) * ").bind(Value::Unsigned(sample.0));
    sql.push(" + ").push(seen).push(" AND user_hash = cityHash64(''))")
}

/// One of five percentiles. They are always computed together: the server recognises the expression and sorts once.
fn quantile<'a>(sql: &'a mut Sql, position: &'static str) -> &'a mut Sql {
    sql.push("if(countIf(isFinite(value)) = 0, NULL, ").push(QUANTILES).push(position).push(")")
}

const QUANTILES: &str = "quantilesExactWeightedInterpolatedIf(0.5, 0.75, 0.9, 0.95, 0.99)(value, toUInt64(round(w)), isFinite(value))";

pub(super) fn is_percentile(measure: &Measure) -> bool {
    matches!(measure, Measure::P50 | Measure::P75 | Measure::P90 | Measure::P95 | Measure::P99)
}

/// The weight of web vitals of a rating, see [`band`].
const GOOD: &str = "sumIf(w, rated = 1)";
const MIDDLE: &str = "sumIf(w, rated = 2)";
const POOR: &str = "sumIf(w, rated = 3)";

fn rounded<'a>(sql: &'a mut Sql, of_rating: &'static str) -> &'a mut Sql {
    sql.push("toUInt64(round(").push(of_rating).push("))")
}

fn share<'a>(sql: &'a mut Sql, of_rating: &'static str) -> &'a mut Sql {
    sql.push(of_rating).push(" / sumIf(w, rated > 0)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_error_takes_four_times_the_visitors() {
        assert_eq!(Sample(64).for_error(0.04, 0.02), Sample(16));
        assert_eq!(Sample(64).for_error(0.05, 0.02), Sample(8));
        // Half of them, as that is right but for the other half.
        assert_eq!(Sample(8).for_error(0.05, 0.02), Sample(2));
        assert_eq!(Sample(8).for_error(1.0, 0.02), Sample::ALL);
    }
}
