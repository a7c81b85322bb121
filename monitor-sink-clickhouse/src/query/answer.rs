//! Cells as the server sends them to cells as they are answered.

use monitor_core::query::{Field, Measure};
use serde_json::{Number, Value as Cell};

use crate::rollup::bucket;

/// What a column of an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Number,
    Text,
    /// Two lists, of buckets and of their counts.
    Histogram,
}

/// What a group is.
pub(super) fn of_group(field: &Field) -> Shape {
    if *field == Field::Status { Shape::Number } else { Shape::Text }
}

/// What a measure is.
pub(super) fn of_measure(measure: &Measure) -> Shape {
    match measure {
        Measure::AnyName | Measure::AnyMessage | Measure::AnyTarget => Shape::Text,
        Measure::Histogram => Shape::Histogram,
        _ => Shape::Number,
    }
}

/// A cell as it is answered. A number that the server's settings put in quotes becomes a number again; one that JSON cannot hold becomes
/// null.
pub(super) fn tidy(cell: Cell, shape: Shape) -> Cell {
    match (shape, cell) {
        (Shape::Number, Cell::String(text)) => number(&text),
        (Shape::Histogram, Cell::Array(lists)) => histogram(lists),
        (_, cell) => cell,
    }
}

fn number(text: &str) -> Cell {
    let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    whole.or_else(|| text.parse().ok().and_then(Number::from_f64)).map_or(Cell::Null, Cell::Number)
}

/// Values between two bounds, and how many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) count: f64,
}

/// What is in `[[buckets], [counts]]`, in the order of the values.
pub(super) fn buckets(lists: Cell) -> Vec<Bucket> {
    let Cell::Array(lists) = lists else { return Vec::new() };
    let mut lists = lists.into_iter().map(|list| if let Cell::Array(cells) = list { cells } else { Vec::new() });
    let (buckets, counts) = (lists.next().unwrap_or_default(), lists.next().unwrap_or_default());
    let known = buckets.into_iter().zip(counts).filter_map(|(bucket, count)| {
        let bucket = i16::try_from(tidy(bucket, Shape::Number).as_i64()?).ok()?;
        let (lower, upper) = bucket::bounds(bucket)?;
        Some(Bucket { lower, upper, count: tidy(count, Shape::Number).as_f64()? })
    });
    let mut known: Vec<Bucket> = known.collect();
    known.sort_by(|a, b| a.lower.total_cmp(&b.lower));
    known
}

/// `[[buckets], [counts]]` as `[[lower, upper, count], …]`.
fn histogram(lists: Vec<Cell>) -> Cell {
    let bar = |bar: Bucket| Cell::from(vec![Cell::from(bar.lower), Cell::from(bar.upper), whole(bar.count.round())]);
    Cell::Array(buckets(Cell::Array(lists)).into_iter().map(bar).collect())
}

/// A count as a whole number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and counts are not negative")]
pub(super) fn whole(count: f64) -> Cell {
    Cell::from(count as u64)
}

/// A whole number; 0 when the cell holds none.
pub(super) fn count(cell: Option<&Cell>) -> u64 {
    cell.map(|cell| tidy(cell.clone(), Shape::Number)).and_then(|cell| cell.as_u64()).unwrap_or(0)
}

/// A part of a whole; null when there is none.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn share(part: u64, all: u64) -> Cell {
    if all == 0 { Cell::Null } else { Cell::from(part as f64 / all as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quoted_and_impossible_numbers_are_put_right() {
        let text = |text: &str| Cell::String(text.into());
        assert_eq!(tidy(text("18446744073709551615"), Shape::Number), Cell::from(u64::MAX));
        assert_eq!(tidy(text("-1.5"), Shape::Number), Cell::from(-1.5));
        assert_eq!(tidy(text("nan"), Shape::Number), Cell::Null);
        assert_eq!(tidy(text("nan"), Shape::Text), text("nan"));
    }

    #[test]
    fn a_histogram_says_where_its_bars_lie() {
        let cell = tidy(json!([[-13_000, 0, 13_012], [1.0, "2", 3.4]]), Shape::Histogram);
        let (ratio, wide) = (2f64.powf(1.0 / 12.0), 2f64.powf(13.0 / 12.0));
        assert_eq!(cell, json!([[-ratio, -1.0, 1], [0.0, 0.0, 2], [2.0, wide, 3]]));
        assert_eq!(tidy(json!([[], []]), Shape::Histogram), json!([]));
    }
}
