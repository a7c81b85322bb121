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
//! its place within its bucket, in log space. The group's smallest and largest value would bound it more closely, but they are columns
//! that hardly compress: reading them takes longer than all the rest, for errors that a bucket's width bounds already.
//!
//! Only what the measures need is added up.

use std::ops::Range;

use monitor_core::{QueryError, query::Measure};

use super::{
    filter::{From, group, happening, matching_any, operand, tenant},
    plan::{Cover, Cube},
    raw::{Ask, Band, in_band, list},
};
use crate::{
    rollup::bucket,
    sql::{Sql, Value},
};

/// Largest relative error of a percentile: half the width of a bucket.
pub(super) const ERROR: f64 = 0.029;

/// Whether a measure needs the distribution of values.
pub(super) fn distributed(measure: &Measure) -> bool {
    level(measure).is_some() || matches!(measure, Measure::Histogram | Measure::Apdex(_))
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

/// The question to a rollup and the rest.
pub(super) fn select(ask: &Ask<'_>, cube: Cube, cover: &Cover) -> Result<Sql, QueryError> {
    let keys = ask.keys();
    let buckets = ask.measures.iter().any(|measure| distributed(measure));
    let mut sql = Sql::new("SELECT ");
    keys_of(&mut sql, keys);
    for (n, measure) in ask.measures.iter().enumerate() {
        push_measure(&mut sql, n, measure, ask)?;
        sql.push(" AS ").column(keys + n).push(", ");
    }
    sql.push("1 FROM (SELECT ");
    keys_of(&mut sql, keys);
    if buckets {
        sql.push("arraySort(groupArrayIf((bucket, count0), bucket != -32768 AND count0 > 0)) AS h, h.1 AS hb, h.2 AS hc, arrayCumSum(hc) AS hs, ");
    }
    for (n, measure) in ask.measures.iter().enumerate() {
        if matches!(measure, Measure::CountKind(_)) {
            sql.numbered("sum(kind", n).numbered(") AS k", n).push(", ");
        }
    }
    let needs: Vec<&Need> = NEEDS.iter().filter(|need| ask.measures.iter().any(|measure| (need.of)(measure))).collect();
    for need in &needs {
        sql.push(need.outer).push(", ");
    }
    // All values of a group are in its buckets.
    sql.push(if buckets { "arraySum(hc) AS n, " } else { "sum(finite0) AS n, " });
    sql.push("sum(count0) AS c FROM (SELECT ");
    keys_of(&mut sql, keys);
    sql.push(if buckets { "bucket, " } else { "sumIf(count, bucket != -32768) AS finite0, " });
    for (n, measure) in ask.measures.iter().enumerate() {
        if let Measure::CountKind(kind) = measure {
            sql.push("sumIf(count, kind = ").bind(Value::Text(kind.clone())).numbered(") AS kind", n).push(", ");
        }
    }
    for need in &needs {
        sql.push(need.inner).push(", ");
    }
    sql.push("sum(count) AS count0 FROM (");
    rolled(&mut sql, ask, cube, cover)?;
    if !cover.rest.is_empty() {
        sql.push(" UNION ALL ");
        rest(&mut sql, ask, &cover.rest)?;
    }
    sql.push(")");
    let inner = keys + usize::from(buckets);
    if inner > 0 {
        sql.push(" GROUP BY ");
        list(&mut sql, 0..keys);
        sql.push(if buckets && keys > 0 { ", " } else { "" }).push(if buckets { "bucket" } else { "" });
    }
    sql.push(")");
    if keys > 0 {
        sql.push(" GROUP BY ");
        list(&mut sql, 0..keys);
    }
    sql.push(")");
    // Nothing found has no groups, but without groups it is a row all the same.
    ask.finish(&mut sql, false);
    Ok(sql)
}

/// A sum that only some measures need, by group and bucket, and by group.
struct Need {
    of: fn(&Measure) -> bool,
    inner: &'static str,
    outer: &'static str,
}

const NEEDS: [Need; 7] = [
    Need { of: |measure| matches!(measure, Measure::Sum | Measure::Avg), inner: "sum(total) AS total0", outer: "sum(total0) AS t" },
    Need { of: |measure| *measure == Measure::Min, inner: "minOrNullIf(low, isFinite(low)) AS low0", outer: "min(low0) AS low" },
    Need { of: |measure| *measure == Measure::Max, inner: "maxOrNullIf(high, isFinite(high)) AS high0", outer: "max(high0) AS high" },
    Need {
        of: |measure| matches!(measure, Measure::Failures | Measure::FailureRate),
        inner: "sumIf(count, failed = 1) AS failed0",
        outer: "sum(failed0) AS f",
    },
    Need { of: banded, inner: "sumIf(count, band = 1) AS good0", outer: "sum(good0) AS b1" },
    Need { of: banded, inner: "sumIf(count, band = 2) AS middle0", outer: "sum(middle0) AS b2" },
    Need { of: banded, inner: "sumIf(count, band = 3) AS poor0", outer: "sum(poor0) AS b3" },
];

fn banded(measure: &Measure) -> bool {
    use Measure::{Good, GoodShare, NeedsImprovement, NeedsImprovementShare, Poor, PoorShare};
    matches!(measure, Good | NeedsImprovement | Poor | GoodShare | NeedsImprovementShare | PoorShare)
}

fn keys_of(sql: &mut Sql, keys: usize) {
    list(sql, 0..keys);
    sql.push(if keys > 0 { ", " } else { "" });
}

/// What is read of the rows of both sides, beside the groups.
fn needs_kind(ask: &Ask<'_>) -> bool {
    ask.measures.iter().any(|measure| matches!(measure, Measure::CountKind(_)))
}

fn rolled(sql: &mut Sql, ask: &Ask<'_>, cube: Cube, cover: &Cover) -> Result<(), QueryError> {
    let table = match cube {
        Cube::Hours => From::Hours,
        Cube::Routes => From::Routes,
        Cube::Clients => From::Clients,
    };
    for (n, (table, ranges)) in cover.sources(table).enumerate() {
        sql.push(if n == 0 { "" } else { " UNION ALL " });
        rolled_in(sql, ask, cube, table, &ranges)?;
    }
    Ok(())
}

fn rolled_in(sql: &mut Sql, ask: &Ask<'_>, cube: Cube, table: From, ranges: &[Range<i64>]) -> Result<(), QueryError> {
    sql.push("SELECT ");
    let time = match cube {
        Cube::Hours => "toUnixTimestamp(hour) * 1000",
        Cube::Routes | Cube::Clients => "toUnixTimestamp(toDateTime(day, 'UTC')) * 1000",
    };
    ask.push_keys(sql, time, group)?;
    sql.push(if needs_kind(ask) { "kind, " } else { "" });
    sql.push("bucket, failed, band, count, total, low, high");
    tenant(sql, table, ask.selection.scope, ask.selection.project)?;
    sql.push(" AND (");
    for (n, range) in ranges.iter().enumerate() {
        sql.push(if n == 0 { "" } else { " OR " });
        if cube == Cube::Hours {
            sql.push("hour >= ").bind_second(range.start).push(" AND hour < ").bind_second(range.end);
        } else {
            sql.push("day >= ").bind_day(range.start).push(" AND day < ").bind_day(range.end);
        }
    }
    sql.push(")");
    happening(sql, ask.selection.kinds, ask.selection.filters)?;
    ask.push_choice(sql, operand)
}

fn rest(sql: &mut Sql, ask: &Ask<'_>, ranges: &[Range<i64>]) -> Result<(), QueryError> {
    sql.push("SELECT ");
    ask.push_keys(sql, "toUnixTimestamp64Milli(time)", group)?;
    sql.push(if needs_kind(ask) { "kind, " } else { "" });
    sql.push(bucket::SQL).push(" AS bucket, toUInt8(failure != '') AS failed, toUInt8(multiIf(");
    for (band, number) in [(Band::Good, "1"), (Band::NeedsImprovement, "2"), (Band::Poor, "3")] {
        in_band(sql, band).push(", ").push(number).push(", ");
    }
    sql.push("0)) AS band, toFloat64(weight) AS count, if(isFinite(value), value * weight, 0) AS total, value AS low, value AS high");
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
        Measure::Min => sql.push("low"),
        Measure::Max => sql.push("high"),
        Measure::Failures => sql.push("toUInt64(round(f))"),
        Measure::FailureRate => sql.push("f / c"),
        Measure::Good => sql.push("toUInt64(round(b1))"),
        Measure::NeedsImprovement => sql.push("toUInt64(round(b2))"),
        Measure::Poor => sql.push("toUInt64(round(b3))"),
        Measure::GoodShare => sql.push("b1 / (b1 + b2 + b3)"),
        Measure::NeedsImprovementShare => sql.push("b2 / (b1 + b2 + b3)"),
        Measure::PoorShare => sql.push("b3 / (b1 + b2 + b3)"),
        Measure::CountKind(_) => sql.numbered("toUInt64(round(k", n).push("))"),
        Measure::Histogram => sql.push("(hb, hc)"),
        Measure::Apdex(_) => {
            let target = measure.apdex_target().ok_or_else(|| QueryError::Invalid("apdex takes its target in ms: apdex:500".into()))?;
            sql.push("if(n = 0, NULL, (");
            up_to(sql, target).push(" + ");
            up_to(sql, target * 4.0).push(") / 2 / n)")
        }
        other => match level(other) {
            Some(level) => percentile(sql, level),
            None => return Err(QueryError::Invalid(format!("{other} cannot be computed"))),
        },
    };
    Ok(())
}

/// How much lies at or below a positive value: whole buckets, and of its own the part below it, in log space.
fn up_to(sql: &mut Sql, value: f64) -> &mut Sql {
    let bucket = bucket::of(value);
    let within = bucket::bounds(bucket).map_or(0.0, |(lower, upper)| (value / lower).ln() / (upper / lower).ln());
    sql.push("arraySum(arrayMap((b, c) -> multiIf(b < ").bind(Value::Integer(bucket.into()));
    sql.push(", c, b = ").bind(Value::Integer(bucket.into())).push(", c * ").bind(Value::Float(within)).push(", 0), hb, hc))")
}

fn percentile(sql: &mut Sql, level: f64) -> &mut Sql {
    // `r`: the two ranks. `i`: the bucket of a rank. `w`: where in it, 0 to 1.
    sql.push("if(n = 0, NULL, arrayReduce('sum', arrayMap((r, share) -> share * arrayMap(i -> arrayMap(w -> ");
    sql.push("multiIf(hb[i] = 0, 0, hb[i] > 0, exp2((hb[i] - 13000 + w) / 12), -exp2((-hb[i] - 13000 + 1 - w) / 12)), ");
    sql.push("[least(1, greatest(0, (r + 0.5 - hs[i] + hc[i]) / hc[i]))])[1], ");
    sql.push("[if(arrayFirstIndex(s -> s > r, hs) = 0, length(hs), arrayFirstIndex(s -> s > r, hs))])[1], ");
    let rank = |sql: &mut Sql, round: &'static str| {
        sql.push(round).push("(greatest(0, ").bind(Value::Float(level)).push(" * (n - 1)))");
    };
    sql.push("[");
    rank(sql, "floor");
    sql.push(", ");
    rank(sql, "ceil");
    // The share of the upper one is how far the exact rank is from the lower one.
    let fraction = |sql: &mut Sql| {
        sql.push("(greatest(0, ").bind(Value::Float(level)).push(" * (n - 1)) - ");
        rank(sql, "floor");
        sql.push(")");
    };
    sql.push("], [1 - ");
    fraction(sql);
    sql.push(", ");
    fraction(sql);
    sql.push("])))")
}
