//! What the rollups are made of: the statements that work them out of the events of a day.

use monitor_core::{Kind, query::VITAL_BANDS};

use super::bucket;
use crate::sql::{Sql, Value};

/// Version of everything in this file. Days that were built from another one are built again by a newer program.
pub(crate) const DEFINITION: u16 = 7;

/// The kinds of events that `rollup_targets` holds: what they were about tells them apart, and there are few of it.
pub(crate) static TARGETED: [Kind; 6] = [Kind::Request, Kind::Resource, Kind::Click, Kind::RageClick, Kind::DeadClick, Kind::FormSubmit];

/// One of so many visitors is in `rollup_sample`.
pub(crate) const SAMPLED: u64 = 8;

/// The kinds of which it has the events of all visitors: there are few, and each counts.
pub(crate) static UNSAMPLED: [Kind; 2] = [Kind::Error, Kind::Message];

/// The columns of `rollup_sample`, in their order.
const SAMPLE: [&str; 28] = [
    "project",
    "kind",
    "name",
    "time",
    "seq",
    "user_hash",
    "known",
    "session_hash",
    "page_hash",
    "value",
    "weight",
    "release",
    "environment",
    "route",
    "referrer",
    "browser",
    "os",
    "device",
    "language",
    "connection",
    "country",
    "target",
    "method",
    "status",
    "failure",
    "rating",
    "fingerprint",
    "tags",
];

/// What a column of `rollup_sample` (and of `rollup_sessions`, where they have the same) is of an event.
pub(crate) fn of_event(column: &'static str) -> &'static str {
    match column {
        "known" => "notEmpty(visitor)",
        "session_hash" => "if(empty(session), 0, cityHash64(session))",
        "page_hash" => "if(empty(page), 0, toUInt32(cityHash64(page)))",
        same => same,
    }
}

/// One of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rollup {
    Hours,
    Routes,
    Clients,
    Targets,
    Sessions,
    Issues,
    Sample,
    /// Made of [`Hours`](Rollup::Hours).
    Totals,
    /// Made of [`Routes`](Rollup::Routes).
    RouteTotals,
}

impl Rollup {
    /// What others are made of comes before them.
    pub(super) const ALL: [Rollup; 9] = [
        Rollup::Hours,
        Rollup::Routes,
        Rollup::Clients,
        Rollup::Targets,
        Rollup::Sessions,
        Rollup::Issues,
        Rollup::Sample,
        Rollup::Totals,
        Rollup::RouteTotals,
    ];

    pub(super) fn table(self) -> &'static str {
        match self {
            Rollup::Hours => "rollup_hours",
            Rollup::Routes => "rollup_routes",
            Rollup::Clients => "rollup_clients",
            Rollup::Targets => "rollup_targets",
            Rollup::Sessions => "rollup_sessions",
            Rollup::Issues => "rollup_issues",
            Rollup::Sample => "rollup_sample",
            Rollup::Totals => "rollup_totals",
            Rollup::RouteTotals => "rollup_route_totals",
        }
    }

    /// The table of the same rows by month.
    pub(super) fn table_by_month(self) -> &'static str {
        match self {
            Rollup::Hours => "rollup_month_hours",
            Rollup::Routes => "rollup_month_routes",
            Rollup::Clients => "rollup_month_clients",
            Rollup::Targets => "rollup_month_targets",
            Rollup::Sessions => "rollup_month_sessions",
            Rollup::Issues => "rollup_month_issues",
            Rollup::Sample => "rollup_month_sample",
            Rollup::Totals => "rollup_month_totals",
            Rollup::RouteTotals => "rollup_month_route_totals",
        }
    }

    /// The day of a row.
    pub(super) fn day(self) -> &'static str {
        match self {
            Rollup::Hours | Rollup::Totals => "toDate(hour)",
            Rollup::Sample => "toDate(time)",
            Rollup::Routes | Rollup::Clients | Rollup::Targets | Rollup::Sessions | Rollup::Issues | Rollup::RouteTotals => "day",
        }
    }

    /// Whether a row is about a day, and its last column says up to which time of it.
    fn says_until(self) -> bool {
        matches!(self, Rollup::Routes | Rollup::Clients | Rollup::Targets | Rollup::Issues | Rollup::RouteTotals)
    }

    /// The columns that its table by month has, too: there all days are over.
    pub(super) fn columns_by_month(self) -> &'static str {
        if self.says_until() { "* EXCEPT (until)" } else { "*" }
    }

    /// Whether it may be kept when the events of the day are no longer: it names no visitor and quotes no text of an event.
    pub(super) fn outlives_events(self) -> bool {
        matches!(self, Rollup::Hours | Rollup::Routes | Rollup::Clients | Rollup::Totals | Rollup::RouteTotals)
    }

    /// The finer one that it is added up from, instead of the events.
    pub(super) fn finer(self) -> Option<Rollup> {
        match self {
            Rollup::Totals => Some(Rollup::Hours),
            Rollup::RouteTotals => Some(Rollup::Routes),
            _ => None,
        }
    }

    /// `SELECT …`, without where it is read from; [`group`](Rollup::group) comes at the end. `day` is in days since 1970, `until` in ms.
    pub(super) fn select(self, sql: &mut Sql, day: i64, until: i64) {
        self.select_columns(sql, day);
        if self.says_until() {
            sql.push(", toDateTime(").bind(Value::Integer(until / 1_000)).push(", 'UTC')");
        }
    }

    fn select_columns(self, sql: &mut Sql, day: i64) {
        match self {
            Rollup::Hours => {
                sql.push("SELECT project, kind, name, toStartOfHour(toDateTime(time, 'UTC')) AS hour, environment, release, device, ");
                measures(sql);
            }
            Rollup::Routes => {
                sql.push("SELECT project, kind, name, toDate(").bind(Value::Integer(day));
                sql.push(") AS day, route, device, environment, release, ");
                measures(sql);
            }
            Rollup::Clients => {
                sql.push("SELECT project, kind, name, toDate(").bind(Value::Integer(day));
                sql.push(") AS day, country, browser, os, device, connection, environment, ");
                measures(sql);
            }
            Rollup::Targets => {
                sql.push("SELECT project, kind, name, toDate(").bind(Value::Integer(day));
                sql.push(") AS day, target, method, status, failure, environment, ");
                measures(sql);
            }
            Rollup::Sessions => {
                sql.push("SELECT project, toDate(").bind(Value::Integer(day));
                sql.push(SESSIONS);
            }
            Rollup::Issues => {
                sql.push("SELECT project, toDate(").bind(Value::Integer(day));
                sql.push(
                    ") AS day, fingerprint, kind, count(), sum(weight), min(time), max(time), argMax(name, (time, id)), \
                    argMax(message, (time, id)), argMin(release, (time, id)), argMax(release, (time, id))",
                );
            }
            Rollup::Sample => {
                for (n, column) in SAMPLE.into_iter().enumerate() {
                    sql.push(if n == 0 { "SELECT " } else { ", " }).push(of_event(column));
                }
            }
            Rollup::Totals => _ = sql.push("SELECT project, kind, name, hour, environment, ").push(ADDED_UP),
            Rollup::RouteTotals => _ = sql.push("SELECT project, kind, name, day, route, environment, ").push(ADDED_UP),
        }
    }

    /// Which events it is made of: conditions, each with an `AND` behind it.
    pub(super) fn choose(self, sql: &mut Sql) {
        match self {
            Rollup::Issues => _ = sql.push("kind IN ('error', 'message') AND fingerprint != '' AND "),
            Rollup::Targets => _ = sql.push("kind IN ").bind(Value::kinds(&TARGETED)).push(" AND "),
            Rollup::Sample => {
                sql.push("(user_hash < ").bind(Value::Unsigned(u64::MAX / SAMPLED)).push(" OR user_hash = cityHash64('') OR kind IN ");
                sql.bind(Value::kinds(&UNSAMPLED)).push(") AND ");
            }
            Rollup::Hours | Rollup::Routes | Rollup::Clients | Rollup::Sessions | Rollup::Totals | Rollup::RouteTotals => {}
        }
    }

    /// What rows are made of; the end of the statement that [`select`](Rollup::select) begins.
    pub(super) fn group(self) -> &'static str {
        match self {
            Rollup::Hours => " GROUP BY project, kind, name, hour, environment, release, device, failed, band, bucket",
            Rollup::Routes => " GROUP BY project, kind, name, route, device, environment, release, failed, band, bucket",
            Rollup::Clients => " GROUP BY project, kind, name, country, browser, os, device, connection, environment, failed, band, bucket",
            Rollup::Targets => " GROUP BY project, kind, name, target, method, status, failure, environment, failed, band, bucket",
            Rollup::Sessions => {
                " GROUP BY project, user_hash, session, browser, os, device, country, connection, language, release, environment"
            }
            Rollup::Issues => " GROUP BY project, fingerprint, kind",
            // The events as they are.
            Rollup::Sample => "",
            Rollup::Totals => " GROUP BY project, kind, name, hour, environment, failed, band, bucket",
            Rollup::RouteTotals => " GROUP BY project, kind, name, day, route, environment, failed, band, bucket",
        }
    }
}

/// The measures of rows of a finer rollup. All of a bucket have a smallest and a largest value, or none has.
const ADDED_UP: &str =
    "failed, band, bucket, sum(rows), sum(count), sum(total), if(bucket = -32768, nan, min(low)), if(bucket = -32768, nan, max(high))";

/// In the order of the table's columns. Two events of the same millisecond are in the order of their page.
const SESSIONS: &str = ") AS day, user_hash, session, any(visitor), argMaxIf(user, (time, seq), user != ''), \
    browser, os, device, country, connection, language, release, environment, \
    groupBitOr(bitShiftLeft(toUInt32(1), toHour(time))), min(time), max(time), count(), sum(weight), \
    sumIf(weight, kind = 'page_view') AS views, sumIf(weight, kind = 'error'), sumIf(weight, kind = 'click'), \
    sumIf(weight, kind = 'rage_click'), sumIf(weight, failure != ''), \
    if(views > 0, argMinIf(route, (time, seq), kind = 'page_view'), argMin(route, (time, seq))), \
    if(views > 0, argMaxIf(route, (time, seq), kind = 'page_view'), argMax(route, (time, seq))), \
    arraySort(groupUniqArray(route)), arraySort(groupUniqArray(kind)), arraySort(groupUniqArrayIf(fingerprint, fingerprint != '')), \
    arraySort(groupUniqArray(user))";

/// Splits and measures that hours, routes, clients and targets have in common.
fn measures(sql: &mut Sql) {
    sql.push("toUInt8(failure != '') AS failed, ");
    band(sql);
    sql.push(" AS band, ").push(bucket::SQL).push(" AS bucket, ");
    // All values of a bucket are finite or none is: no condition is needed.
    sql.push("count(), sum(weight), sumIf(value * weight, isFinite(value)), if(bucket = -32768, nan, min(value)), if(bucket = -32768, nan, max(value))");
}

/// Rating as a web vital: 1 is good, 2 needs improvement, 3 is poor, 0 is all that has no rating.
pub(crate) fn band(sql: &mut Sql) {
    let names = |sql: &mut Sql| {
        for (n, (name, ..)) in VITAL_BANDS.iter().enumerate() {
            sql.push(if n == 0 { "['" } else { ", '" }).push(name).push("'");
        }
        sql.push("]");
    };
    let above = |sql: &mut Sql, bound: fn(&(&str, f64, f64)) -> f64| {
        sql.push(" + (value > transform(name, ");
        names(sql);
        for (n, vital) in VITAL_BANDS.iter().enumerate() {
            sql.push(if n == 0 { ", [" } else { ", " }).bind(Value::Float(bound(vital)));
        }
        sql.push("], 0.))");
    };
    sql.push("toUInt8(if(kind = 'vital' AND isFinite(value) AND name IN ");
    names(sql);
    sql.push(", 1");
    above(sql, |vital| vital.1);
    above(sql, |vital| vital.2);
    sql.push(", 0))");
}
