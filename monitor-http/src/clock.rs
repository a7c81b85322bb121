//! The time of day, and the longest time that anything waits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longer times are not told from this one: a deadline must be a time that the clock can show.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Ms since the Unix epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
