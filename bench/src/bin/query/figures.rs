//! Numbers about numbers.

use serde_json::Value;

/// The middle of these.
pub(crate) fn median(values: &[f64]) -> f64 {
    at(values, 0.5)
}

/// What 95 of 100 of these do not exceed; the largest of a few.
pub(crate) fn p95(values: &[f64]) -> f64 {
    at(values, 0.95)
}

fn at(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// How far one answer is from another: the sum of the differences over the sum of the exact figures, of the worst column. Rows belong
/// together by their first `keys` cells; one that only one of both has counts as zero in the other.
pub(crate) fn error(rows: &[Vec<Value>], exact: &[Vec<Value>], keys: usize) -> f64 {
    let key = |row: &Vec<Value>| row.iter().take(keys).map(ToString::to_string).collect::<Vec<_>>();
    let columns = exact.iter().chain(rows).map(Vec::len).max().unwrap_or(0);
    let number = |row: Option<&Vec<Value>>, column: usize| row.and_then(|row| row.get(column)).and_then(Value::as_f64).unwrap_or(0.0);
    let find = |rows: &'_ [Vec<Value>], wanted: &Vec<Value>| rows.iter().find(|row| key(row) == key(wanted)).cloned();
    let worst = (keys..columns).map(|column| {
        let known: f64 = exact.iter().map(|row| (number(find(rows, row).as_ref(), column) - number(Some(row), column)).abs()).sum();
        let invented: f64 = rows.iter().filter(|row| find(exact, row).is_none()).map(|row| number(Some(row), column).abs()).sum();
        let all: f64 = exact.iter().map(|row| number(Some(row), column).abs()).sum();
        if known + invented == 0.0 { 0.0 } else { (known + invented) / all }
    });
    worst.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(rows: Value) -> Vec<Vec<Value>> {
        serde_json::from_value(rows).unwrap()
    }

    #[test]
    fn the_error_is_that_of_the_worst_column_over_all_rows() {
        let exact = rows(json!([["a", 100, 10], ["b", 300, 30]]));
        let close = |answer: Value, expected: f64| {
            let found = error(&rows(answer), &exact, 1);
            assert!((found - expected).abs() < 1e-9, "{found}");
        };
        close(json!([["b", 300, 30], ["a", 100, 10]]), 0.0);
        close(json!([["a", 110, 10], ["b", 290, 30]]), 0.05);
        close(json!([["a", 100, 10], ["b", 300, 34]]), 0.1);
        close(json!([["a", 100, 10]]), 0.75);
        close(json!([["a", 100, 10], ["b", 300, 30], ["c", 40, 0]]), 0.1);
    }

    #[test]
    fn the_largest_of_a_few_is_their_p95() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!((median(&values), p95(&values)), (3.0, 5.0));
    }
}
