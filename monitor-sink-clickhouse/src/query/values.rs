//! Counts and figures of values from a histogram rollup, and from the events of the times it does not hold.
//!
//! Both are brought into the shape of a rollup's row and added up by group and bucket, then by group:
//!
//! ```text
//! rollup ─┐
//!         ├─ by groups and bucket ─ by groups, with the list of buckets and their counts ─ measures
//! events ─┘
//! ```
//!
//! A percentile is looked for as in the list of all values: between the two ranks next to `p * (n - 1)`. A value of a rank is taken from
//! its place within its bucket, in log space; that is done here, as the server would take longer to understand the expression. The group's
//! smallest and largest value would bound it more closely, but they are columns that hardly compress: reading them takes longer than all the
//! rest, for errors that a bucket's width bounds already.
//!
//! Only what the measures need is added up.

use std::ops::Range;

use monitor_core::{QueryError, query::Measure};
use serde_json::Value as Cell;

use super::{
    aggregate::MOST_ROWS,
    answer::{Bucket, buckets},
    filter::{From, group, happening, matching_any, operand, tenant, within_days},
    plan::{Cover, Cube},
    raw::{Ask, OF_DAY, OF_EVENT, OF_HOUR, list},
};
use crate::{
    calendar::HOUR,
    rollup::{band, bucket},
    sql::{Sql, Value},
};

/// Largest relative error of a percentile: the width of a bucket. Where in its bucket a value lies is guessed.
pub(super) const ERROR: f64 = 0.0595;

/// Whether a measure needs the distribution of values.
pub(super) fn distributed(measure: &Measure) -> bool {
    level(measure).is_some() || matches!(measure, Measure::Histogram)
}

/// The share of values below a percentile.
fn level(measure: &Measure) -> Option<f64> {
    Some(match measure {
        Measure::P50 => 0.5,
        Measure::P75 => 0.75,
        Measure::P90 => 0.9,
        Measure::P95 => 0.95,
        Measure::P99 => 0.99,
        _ => return None,
    })
}

/// Whether rows are in the order of a percentile, which the server does not know.
fn ordered_by_percentile(ask: &Ask<'_>) -> Option<(usize, bool)> {
    let (column, descending) = ask.order?;
    let measure = ask.measures.get(column.checked_sub(ask.keys())?)?;
    level(measure).map(|_| (column, descending))
}

/// The question to a rollup and the rest; its answer goes through [`finish`]. A server takes longer to understand a long question than to
/// answer it from a rollup, so nothing is said that the measures do not need.
pub(super) fn select(ask: &Ask<'_>, cube: Cube, cover: &Cover) -> Result<Sql, QueryError> {
    let keys = ask.keys();
    let buckets = ask.measures.iter().any(|measure| distributed(measure));
    let percentiles = ask.measures.iter().any(|measure| level(measure).is_some());
    let mut sql = Sql::new("WITH ");
    if buckets {
        // Those of several steps hold a bucket more than once.
        sql.push(if ask.totals { "sumMapIf([bucket], [c_]" } else { "groupArrayIf((bucket, c_)" });
        sql.push(", bucket != -32768 AND c_ > 0) AS h, h.1 AS hb, h.2 AS hc, ");
        push_sums(&mut sql, ask, Sums::Added);
    } else {
        push_sums(&mut sql, ask, Sums::OfGroups);
    }
    sql.push(" SELECT ");
    keys_of(&mut sql, keys);
    for (n, measure) in ask.measures.iter().enumerate() {
        push_measure(&mut sql, n, measure, ask)?;
        sql.push(" AS ").column(keys + n).push(", ");
    }
    sql.push(if percentiles { "(hb, hc)" } else { "1" });
    ask.push_kind(&mut sql);
    sql.push(" FROM (");
    if buckets {
        sql.push("SELECT ");
        keys_of(&mut sql, keys);
        sql.push("bucket, ");
        push_sums(&mut sql, ask, Sums::OfBuckets);
        sql.push(" FROM (");
    }
    rolled(&mut sql, ask, cube, cover)?;
    if !cover.rest.is_empty() {
        sql.push(" UNION ALL ");
        rest(&mut sql, ask, &cover.rest)?;
    }
    if buckets {
        sql.push(") GROUP BY ");
        keys_of(&mut sql, keys);
        sql.push("bucket");
    }
    sql.push(")");
    // Nothing found has no groups, but without groups it is a row all the same.
    match ordered_by_percentile(ask) {
        None => ask.finish(&mut sql),
        // One more than a server may answer: it says that it is too much, instead of leaving some out.
        Some(_) => Ask { order: None, limit: MOST_ROWS + 2, ..ask.clone() }.finish(&mut sql),
    }
    Ok(sql)
}

/// Puts the percentiles into an answer's rows, and the rows in their order.
pub(super) fn finish(ask: &Ask<'_>, rows: &mut Vec<Vec<Cell>>) {
    let keys = ask.keys();
    let levels: Vec<(usize, f64)> =
        ask.measures.iter().enumerate().filter_map(|(n, measure)| level(measure).map(|level| (keys + n, level))).collect();
    if levels.is_empty() {
        return;
    }
    for row in rows.iter_mut() {
        let spread = row.pop().map(buckets).unwrap_or_default();
        for (column, level) in &levels {
            if let Some(cell) = row.get_mut(*column) {
                *cell = percentile(&spread, *level).map_or(Cell::Null, Cell::from);
            }
        }
    }
    if let Some((column, descending)) = ordered_by_percentile(ask) {
        let value = |row: &Vec<Cell>| row.get(column).and_then(Cell::as_f64);
        rows.sort_by(|a, b| match (value(a), value(b)) {
            (Some(a), Some(b)) if descending => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        rows.truncate(ask.limit as usize);
    }
}

/// A percentile of values that are counted by buckets: between the two ranks next to `level * (n - 1)`, each at its place within its bucket.
fn percentile(spread: &[Bucket], level: f64) -> Option<f64> {
    let all: f64 = spread.iter().map(|bucket| bucket.count).sum();
    let rank = level * (all - 1.0).max(0.0);
    let lower = of_rank(spread, rank.floor())?;
    let upper = of_rank(spread, rank.ceil())?;
    Some(lower + (upper - lower) * (rank - rank.floor()))
}

fn of_rank(spread: &[Bucket], rank: f64) -> Option<f64> {
    let mut before = 0.0;
    for (n, bucket) in spread.iter().enumerate() {
        // Rounding may leave the last rank beyond all buckets.
        if before + bucket.count > rank || n + 1 == spread.len() {
            let within = ((rank + 0.5 - before) / bucket.count).clamp(0.0, 1.0);
            return Some(if bucket.lower == 0.0 { 0.0 } else { bucket.lower * (bucket.upper / bucket.lower).powf(within) });
        }
        before += bucket.count;
    }
    None
}

/// Sums in one step, or in two: of each bucket of a group, and those added up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sums {
    OfGroups,
    OfBuckets,
    Added,
}

/// The sums that the measures need, the last one the count.
fn push_sums(sql: &mut Sql, ask: &Ask<'_>, sums: Sums) {
    for (n, measure) in ask.measures.iter().enumerate() {
        if let Measure::CountKind(kind) = measure {
            push_sum(sql, sums, "sum", ("k_", Some(n)), |sql| {
                sql.push("sumIf(count, kind = ").bind(Value::Text(kind.clone())).push(")");
            });
            sql.push(", ");
        }
    }
    // Where there are buckets, they tell how many values there are.
    if sums == Sums::Added && ask.measures.iter().any(|measure| matches!(measure, Measure::Sum | Measure::Avg)) {
        sql.push("sumIf(c_, bucket != -32768) AS n, ");
    }
    for need in needs(ask).filter(|need| need.name != VALUES || sums == Sums::OfGroups) {
        push_sum(sql, sums, need.again, (need.name, None), |sql| {
            sql.push(need.sum);
        });
        sql.push(", ");
    }
    push_sum(sql, sums, "sum", ("c", None), |sql| {
        sql.push("sum(count)");
    });
}

/// A sum with its name: what `first` writes, or those of the buckets put together by `again`.
fn push_sum(sql: &mut Sql, sums: Sums, again: &'static str, (name, n): (&'static str, Option<usize>), first: impl FnOnce(&mut Sql)) {
    let push_name = |sql: &mut Sql| {
        match n {
            Some(n) => sql.numbered(name, n),
            None => sql.push(name),
        };
    };
    if sums == Sums::Added {
        sql.push(again).push("(");
        push_name(sql);
        sql.push("_)");
    } else {
        first(sql);
    }
    sql.push(" AS ");
    push_name(sql);
    // That of a bucket has a name of its own: an alias must not be what it is made of.
    sql.push(if sums == Sums::OfBuckets { "_" } else { "" });
}

/// A sum that only some measures need: of which column, and how those of buckets are put together.
struct Need {
    of: fn(&Measure) -> bool,
    column: &'static str,
    sum: &'static str,
    again: &'static str,
    name: &'static str,
}

/// How many values there are.
const VALUES: &str = "n";

const NEEDS: [Need; 8] = [
    Need {
        of: |measure| matches!(measure, Measure::Sum | Measure::Avg) || distributed(measure),
        column: "bucket",
        sum: "sumIf(count, bucket != -32768)",
        again: "sum",
        name: VALUES,
    },
    Need { of: |measure| matches!(measure, Measure::Sum | Measure::Avg), column: "total", sum: "sum(total)", again: "sum", name: "t" },
    Need { of: |measure| *measure == Measure::Min, column: "low", sum: "minOrNullIf(low, isFinite(low))", again: "min", name: "lowest" },
    Need {
        of: |measure| *measure == Measure::Max,
        column: "high",
        sum: "maxOrNullIf(high, isFinite(high))",
        again: "max",
        name: "highest",
    },
    Need {
        of: |measure| matches!(measure, Measure::Failures | Measure::FailureRate),
        column: "failed",
        sum: "sumIf(count, failed = 1)",
        again: "sum",
        name: "f",
    },
    Need { of: banded, column: "band", sum: "sumIf(count, band = 1)", again: "sum", name: "good" },
    Need { of: banded, column: "band", sum: "sumIf(count, band = 2)", again: "sum", name: "middle" },
    Need { of: banded, column: "band", sum: "sumIf(count, band = 3)", again: "sum", name: "poor" },
];

fn needs<'a>(ask: &'a Ask<'_>) -> impl Iterator<Item = &'static Need> + 'a {
    NEEDS.iter().filter(|need| ask.measures.iter().any(|measure| (need.of)(measure)))
}

/// What is read of the rows of both sides, beside the groups and the count.
fn columns(ask: &Ask<'_>) -> Vec<&'static str> {
    let kind = ask.measures.iter().any(|measure| matches!(measure, Measure::CountKind(_))).then_some("kind");
    let mut columns: Vec<_> = kind.into_iter().chain(needs(ask).map(|need| need.column)).collect();
    columns.dedup();
    columns
}

/// Whether a measure needs the ratings of web vitals.
pub(super) fn banded(measure: &Measure) -> bool {
    use Measure::{Good, GoodShare, NeedsImprovement, NeedsImprovementShare, Poor, PoorShare};
    matches!(measure, Good | NeedsImprovement | Poor | GoodShare | NeedsImprovementShare | PoorShare)
}

fn keys_of(sql: &mut Sql, keys: usize) {
    list(sql, 0..keys);
    sql.push(if keys > 0 { ", " } else { "" });
}

fn rolled(sql: &mut Sql, ask: &Ask<'_>, cube: Cube, cover: &Cover) -> Result<(), QueryError> {
    let table = match cube {
        Cube::Hours => From::Hours,
        Cube::Totals => From::Totals,
        Cube::Routes => From::Routes,
        Cube::RouteTotals => From::RouteTotals,
        Cube::Clients => From::Clients,
        Cube::Targets => From::Targets,
    };
    for (n, (table, ranges)) in cover.sources(table).enumerate() {
        sql.push(if n == 0 { "" } else { " UNION ALL " });
        rolled_in(sql, ask, cube, table, &ranges)?;
    }
    Ok(())
}

fn rolled_in(sql: &mut Sql, ask: &Ask<'_>, cube: Cube, table: From, ranges: &[Range<i64>]) -> Result<(), QueryError> {
    sql.push("SELECT ");
    let by_hour = cube.grain() == HOUR;
    let time = if by_hour { OF_HOUR } else { OF_DAY };
    ask.push_keys(sql, time, group)?;
    for column in columns(ask) {
        sql.push(column).push(", ");
    }
    sql.push("count");
    tenant(sql, table, ask.selection.scope, ask.selection.project)?;
    if by_hour {
        for (n, range) in ranges.iter().enumerate() {
            sql.push(if n == 0 { " AND (" } else { " OR " });
            sql.push("hour >= ").instant(range.start).push(" AND hour < ").instant(range.end);
        }
        sql.push(")");
    } else {
        within_days(sql, ranges);
    }
    happening(sql, ask.selection.kinds, ask.selection.filters)?;
    ask.push_choice(sql, operand)
}

fn rest(sql: &mut Sql, ask: &Ask<'_>, ranges: &[Range<i64>]) -> Result<(), QueryError> {
    sql.push("SELECT ");
    ask.push_keys(sql, OF_EVENT, group)?;
    for column in columns(ask) {
        match column {
            "bucket" => _ = sql.push(bucket::SQL),
            "failed" => _ = sql.push("toUInt8(failure != '')"),
            "total" => _ = sql.push("if(isFinite(value), value * weight, 0)"),
            "low" | "high" => _ = sql.push("value"),
            "band" => band(sql),
            same => _ = sql.push(same),
        }
        sql.push(" AS ").push(column).push(", ");
    }
    sql.push("toFloat64(weight) AS count");
    matching_any(sql, &ask.selection, ranges)?;
    ask.push_choice(sql, operand)
}

/// A measure of a group's sums.
fn push_measure(sql: &mut Sql, n: usize, measure: &Measure, ask: &Ask<'_>) -> Result<(), QueryError> {
    match measure {
        Measure::Count => sql.push("toUInt64(round(c))"),
        Measure::Rate => sql.push("c / ").bind(Value::Float(ask.minutes())),
        Measure::Sum => sql.push("if(n = 0, NULL, t)"),
        Measure::Avg => sql.push("if(n = 0, NULL, t / n)"),
        Measure::Min => sql.push("lowest"),
        Measure::Max => sql.push("highest"),
        Measure::Failures => sql.push("toUInt64(round(f))"),
        Measure::FailureRate => sql.push("f / c"),
        Measure::Good => sql.push("toUInt64(round(good))"),
        Measure::NeedsImprovement => sql.push("toUInt64(round(middle))"),
        Measure::Poor => sql.push("toUInt64(round(poor))"),
        Measure::GoodShare => sql.push("good / (good + middle + poor)"),
        Measure::NeedsImprovementShare => sql.push("middle / (good + middle + poor)"),
        Measure::PoorShare => sql.push("poor / (good + middle + poor)"),
        Measure::CountKind(_) => sql.numbered("toUInt64(round(k_", n).push("))"),
        Measure::Histogram => sql.push("(hb, hc)"),
        // Filled in afterwards.
        other if level(other).is_some() => sql.push("NULL"),
        other => return Err(QueryError::Invalid(format!("{other} cannot be computed"))),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Vec<Bucket> {
        let bucket = |value: &f64| {
            let (lower, upper) = bucket::bounds(bucket::of(*value)).unwrap();
            Bucket { lower, upper, count: 1.0 }
        };
        values.iter().map(bucket).collect()
    }

    #[test]
    fn a_percentile_lies_between_two_ranks_and_within_their_buckets() {
        let near = |found: Option<f64>, exact: f64| (found.unwrap() - exact).abs() <= exact.abs() * 0.03;
        assert!(near(percentile(&spread(&[100.0, 1_000.0]), 0.5), 550.0));
        assert!(near(percentile(&spread(&[100.0, 1_000.0]), 0.75), 775.0));
        assert!(near(percentile(&spread(&[-8.0, -4.0, 0.0, 4.0, 100.0]), 0.25), -4.0));
        assert_eq!(percentile(&spread(&[-8.0, 0.0, 7.0]), 0.5), Some(0.0));
        assert!(near(percentile(&spread(&[7.0]), 0.99), 7.0));
        assert_eq!(percentile(&[], 0.5), None);
        // A thousand values spread over one bucket in log space.
        let many = [Bucket { lower: 100.0, upper: 106.0, count: 1_000.0 }];
        assert!((percentile(&many, 0.5).unwrap() - 100.0 * 1.06_f64.sqrt()).abs() < 0.01);
    }
}
