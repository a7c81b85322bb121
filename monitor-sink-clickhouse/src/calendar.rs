//! Days and hours of UTC, as the tables are divided.

use std::fmt;

/// ms.
pub(crate) const HOUR: i64 = 3_600_000;
/// ms.
pub(crate) const DAY: i64 = 24 * HOUR;

/// A date, from its day since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    /// Howard Hinnant's `civil_from_days`.
    pub(crate) fn of(day: i64) -> Date {
        let day = day + 719_468;
        let era = day.div_euclid(146_097);
        let of_era = day.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Date { year: year + era * 400 + i64::from(month <= 2), month, day }
    }

    /// The number that a day's partition is named after: 20241120.
    pub(crate) fn partition(self) -> u32 {
        u32::try_from(self.year * 10_000 + self.month * 100 + self.day).unwrap_or(0)
    }

    /// The number that the partition of its month is named after: 202411.
    pub(crate) fn month(self) -> u32 {
        self.partition() / 100
    }
}

/// `2024-11-20`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_after_their_day() {
        for (day, name) in
            [(0, 19_700_101), (59, 19_700_301), (11_016, 20_000_229), (11_017, 20_000_301), (20_047, 20_241_120), (65_535, 21_490_606)]
        {
            assert_eq!(Date::of(day).partition(), name, "{day}");
        }
        assert_eq!((Date::of(20_047).to_string().as_str(), Date::of(20_047).month()), ("2024-11-20", 202_411));
    }
}
