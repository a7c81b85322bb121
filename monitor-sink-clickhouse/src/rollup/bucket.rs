//! Which bucket a value falls into: the one function that Rust and SQL must agree on.
//!
//! ```text
//! v < 0: -(13000 + p)      v = 0: 0      v > 0: 13000 + p      no finite value: -32768
//!                p = floor(log2(|v|) * 12)
//! ```
//!
//! Buckets grow with the value, so an order of buckets is an order of values. Each is a twelfth of an octave wide, 5.9 %: its middle is at
//! most 2.9 % away from any value in it. The exponent of the smallest number is -1074 and that of the largest 1024, so `p` lies between
//! -12888 and 12288, and `13000 + p` is always positive.
//!
//! At the very edge of a bucket the two implementations may differ by one, because `log2` is not the same to the last bit everywhere.

/// The bucket of events without a finite value.
pub(crate) const NONE: i16 = i16::MIN;
/// Buckets of one octave.
const PER_OCTAVE: f64 = 12.0;
/// The bucket of 1.
const ONE: i16 = 13_000;

/// The bucket of the column `value`, as SQL.
pub(crate) const SQL: &str = "if(isFinite(value), if(value = 0, toInt16(0), \
    toInt16(if(value > 0, 1, -1) * (13000 + toInt32(floor(log2(abs(value)) * 12))))), toInt16(-32768))";

/// The bucket of a value, as [`SQL`] says.
#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "between -12888 and 12288, see above")]
pub(crate) fn of(value: f64) -> i16 {
    if !value.is_finite() {
        return NONE;
    }
    if value == 0.0 {
        return 0;
    }
    let bucket = ONE + (value.abs().log2() * PER_OCTAVE).floor() as i16;
    if value > 0.0 { bucket } else { -bucket }
}

/// Where a bucket begins and ends: values `v` with `lower <= v < upper` fall into it (`lower < v <= upper` below zero).
/// `None` for [`NONE`].
pub(crate) fn bounds(bucket: i16) -> Option<(f64, f64)> {
    if bucket == NONE {
        return None;
    }
    if bucket == 0 {
        return Some((0.0, 0.0));
    }
    // The logarithm of the largest number is rounded up to 1024, whose power is beyond it.
    let power = |p: i32| (f64::from(p) / PER_OCTAVE).exp2().min(f64::MAX);
    let p = i32::from(bucket.abs()) - i32::from(ONE);
    let (near, far) = (power(p), power(p + 1));
    Some(if bucket > 0 { (near, far) } else { (-far, -near) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_within_the_bounds_of_its_bucket() {
        for value in [f64::MIN_POSITIVE, 5e-324, 1e-9, 0.03, 0.1, 0.99, 1.0, 1.5, 7.0, 2_311.2, 1e12, f64::MAX] {
            for value in [value, -value] {
                let (lower, upper) = bounds(of(value)).unwrap();
                assert!(
                    lower <= value * (1.0 + value.signum() * 1e-12) && value * (1.0 - value.signum() * 1e-12) <= upper,
                    "{value}: {lower} to {upper}"
                );
                assert!(upper - lower <= 0.06 * value.abs() || value.abs() < 1e-300, "{value}: {lower} to {upper}");
            }
        }
    }

    #[test]
    fn the_order_of_buckets_is_the_order_of_values() {
        let values = [-f64::MAX, -5.0, -1.0, -0.5, -5e-324, 0.0, 5e-324, 0.5, 1.0, 5.0, f64::MAX];
        assert!(values.windows(2).all(|pair| of(pair[0]) < of(pair[1])));
        assert!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].iter().all(|value| of(*value) == NONE));
    }
}
