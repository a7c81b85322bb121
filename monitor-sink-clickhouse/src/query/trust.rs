//! How far an answer can be trusted: the largest relative error to expect of the figures of its largest group, at 95 %.
//!
//! A sample holds some of the visitors with all of their events, so what counts is how much visitors differ. Their hash puts them into 16
//! parts, whose sums tell it: with mean `m` and deviation `s` of the 16 sums, the sum of all has the relative standard error
//! `s / (4 m)`, times `sqrt(1 - f)` for the share `f` that was read; 95 % lie within 2.13 of these (Student, 15 degrees of freedom).
//!
//! - Counts, sums and what is made of them: that.
//! - Visitors, sessions: `1.96 * sqrt((1 - f) / n)`, `n` being how many were seen.
//! - Percentiles: the sum's error makes the sample worth `n = 1 / error^2` values; the rank of a percentile `p` is then
//!   off by `1.96 * sqrt(p (1 - p) / n)`, and the value by that times the slope between the percentiles next to it.
//! - Percentiles of a rollup: the width of a bucket, 5.9 %.

use monitor_core::query::Measure;
use serde_json::Value as Cell;

use super::{
    answer::{Shape, tidy},
    plan::Source,
    raw::{Ask, Sample, is_percentile},
    values,
};

/// The error of visitors and sessions above which a larger sample is asked for. A figure is read, a course over time looked at.
pub(super) fn tolerable(is_course: bool) -> f64 {
    if is_course { 0.03 } else { 0.02 }
}

/// The error of an answer as the server sent it.
pub(super) fn error(ask: &Ask<'_>, source: &Source, rows: &[Vec<Cell>]) -> f64 {
    match source {
        Source::Values(..) if ask.measures.iter().any(|measure| values::distributed(measure)) => values::ERROR,
        Source::Values(..) => 0.0,
        _ if ask.sample == Sample::ALL => 0.0,
        Source::People(..) => distinct(ask, rows),
        Source::Events | Source::Sample(_) => events(ask, rows).max(distinct(ask, rows)).min(1.0),
    }
}

/// The error of numbers of different ones, of the row with most of them.
fn distinct(ask: &Ask<'_>, rows: &[Vec<Cell>]) -> f64 {
    let keys = ask.keys();
    let of = |(n, _): (usize, &&Measure)| {
        let most = rows.iter().filter_map(|row| number(row.get(keys + n)?)).fold(0.0, f64::max);
        of_seen(most * ask.sample.share(), ask.sample)
    };
    let counted =
        ask.measures.iter().enumerate().filter(|(_, measure)| matches!(measure, Measure::Visitors | Measure::Sessions | Measure::Pages));
    counted.map(of).fold(0.0, f64::max)
}

/// The error of a number of which so many were seen.
pub(super) fn of_seen(seen: f64, sample: Sample) -> f64 {
    match sample {
        Sample::ALL => 0.0,
        _ if seen < 1.0 => 1.0,
        _ => (1.96 * ((1.0 - sample.share()) / seen).sqrt()).min(1.0),
    }
}

/// The error of sums, of the row with the largest one, and of percentiles, of the largest row that has any.
fn events(ask: &Ask<'_>, rows: &[Vec<Cell>]) -> f64 {
    let keys = ask.keys() + ask.measures.len();
    let list = |row: &Vec<Cell>, n: usize| -> Vec<f64> {
        row.get(keys + n).and_then(Cell::as_array).into_iter().flatten().filter_map(number).collect()
    };
    let mut lists: Vec<_> = rows.iter().map(|row| (list(row, 0), list(row, 1))).collect();
    lists.sort_by(|(a, _), (b, _)| b.iter().sum::<f64>().total_cmp(&a.iter().sum::<f64>()));
    let Some((sums, _)) = lists.first() else { return 1.0 };
    let percentiles = ask.measures.iter().filter(|measure| is_percentile(measure)).count();
    let values = match lists.iter().find(|(_, quantiles)| quantiles.iter().any(|value| value.is_finite())) {
        Some((sums, quantiles)) => {
            let relative = of_sums(sums, ask.sample) / 1.96;
            ask.measures.iter().filter_map(|measure| of_percentile(measure, quantiles, relative)).fold(0.0, f64::max)
        }
        None => 0.0,
    };
    if percentiles < ask.measures.len() { of_sums(sums, ask.sample).max(values) } else { values }
}

#[allow(clippy::cast_precision_loss, reason = "16 parts")]
fn of_sums(sums: &[f64], sample: Sample) -> f64 {
    let parts = sums.len() as f64;
    let mean = sums.iter().sum::<f64>() / parts;
    let variance = sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / (parts - 1.0);
    let relative = (variance / parts).sqrt() / mean;
    if relative.is_finite() { 2.13 * relative * (1.0 - sample.share()).sqrt() } else { 1.0 }
}

/// The relative error of a percentile, if the measure is one. `relative` is the standard error of the sum.
fn of_percentile(measure: &Measure, quantiles: &[f64], relative: f64) -> Option<f64> {
    // Level, its place, and the neighbours that tell the slope.
    let (level, at, below, above, apart): (f64, usize, usize, usize, f64) = match measure {
        Measure::P50 => (0.5, 0, 0, 1, 0.25),
        Measure::P75 => (0.75, 1, 0, 2, 0.4),
        Measure::P90 => (0.9, 2, 1, 3, 0.2),
        Measure::P95 => (0.95, 3, 2, 4, 0.09),
        Measure::P99 => (0.99, 4, 3, 4, 0.04),
        _ => return None,
    };
    let (value, below, above) = (quantiles.get(at)?, quantiles.get(below)?, quantiles.get(above)?);
    let rank = 1.96 * (level * (1.0 - level)).sqrt() * relative;
    let error = rank * (above - below) / apart / value.abs();
    Some(if error.is_finite() { error.min(1.0) } else { 0.0 })
}

fn number(cell: &Cell) -> Option<f64> {
    tidy(cell.clone(), Shape::Number).as_f64()
}

#[cfg(test)]
mod tests {
    use monitor_core::Scope;
    use serde_json::json;

    use super::*;
    use crate::query::filter::Selection;

    #[test]
    fn equal_parts_leave_no_doubt_and_unequal_ones_do() {
        assert_eq!(of_sums(&[5.0; 16], Sample(4)), 0.0);
        let sums: Vec<f64> = (0..16).map(|n| if n % 2 == 0 { 90.0 } else { 110.0 }).collect();
        // Deviation 10.33 of a mean of 100: a sixteenth root of it, times 2.13, times the root of 3/4.
        assert!((of_sums(&sums, Sample(4)) - 2.13 * 10.328 / 400.0 * 0.75_f64.sqrt()).abs() < 1e-4);
        assert_eq!(of_sums(&[], Sample(4)), 1.0);
    }

    #[test]
    fn the_error_of_percentiles_is_that_of_a_row_that_has_values() {
        let measures = [Measure::P75];
        let ask = Ask {
            selection: Selection { scope: &Scope::All, project: "shop", kinds: &[], filters: &[] },
            range: 0..1,
            step: None,
            zone: 0,
            group_by: &[],
            chosen: None,
            measures: measures.iter().collect(),
            order: None,
            limit: 10,
            sample: Sample(4),
            totals: false,
            facets: false,
        };
        let sums = |each: f64| (0..16).map(|n| each + f64::from(n % 2)).collect::<Vec<_>>();
        // The larger row has no values: the server says `nan`, which arrives as text.
        let larger = vec![Cell::Null, json!(sums(100.0)), json!(["nan", "nan", "nan", "nan", "nan"])];
        let smaller = vec![json!(75), json!(sums(10.0)), json!([50, 75, 90, 95, 99])];
        let error = events(&ask, &[larger.clone(), smaller.clone()]);
        assert!(error > 0.0 && error < 0.1, "{error}");
        assert_eq!(error, events(&ask, &[smaller]));
        assert_eq!(events(&ask, &[larger]), 0.0);
    }

    #[test]
    fn a_percentile_is_as_uncertain_as_its_rank_and_slope() {
        // Of values spread evenly from 0 to 100: the rank's error times 100 / 75.
        let error = of_percentile(&Measure::P75, &[50.0, 75.0, 90.0, 95.0, 99.0], 0.01).unwrap();
        assert!((error - 1.96 * 0.433 * 0.01 * 100.0 / 75.0).abs() < 1e-4);
        assert_eq!(of_percentile(&Measure::Count, &[], 0.01), None);
    }
}
