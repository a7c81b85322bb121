//! Rollups give the figures that the events give, whatever happens while they are built.

use monitor_core::{Event, Kind, query::Source};
use monitor_sink_clickhouse::Rollups;
use serde_json::json;

use crate::{
    engine::{DAY, Monitor, NOON, batch, configuration, event, request, shared},
    proxy::Proxy,
};

/// Midnight of the tests' day, ms.
const MIDNIGHT: i64 = NOON - DAY / 2;
const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;
/// Half an hour into the next day.
const NEXT_DAY: i64 = MIDNIGHT + DAY + HOUR / 2;

fn job(monitor: &Monitor) -> Rollups {
    configuration(&shared().url(), monitor.admin.database().unwrap()).rollup_job().unwrap()
}

/// A day's worth of events of many kinds; `seed` makes them others. Deterministic, so that a failure can be repeated.
fn mixed(seed: u128, count: u128) -> Vec<Event> {
    let make = |n: u128| {
        let id = seed * 1_000_000 + n;
        let pick = |of: usize, salt: u128| usize::try_from((id * 2_654_435_761 + salt * 40_503) / 7 % of as u128).unwrap();
        event(id, |event| {
            event.time = MIDNIGHT + i64::try_from(pick(86_400, 1)).unwrap() * 1_000 + i64::try_from(pick(1_000, 2)).unwrap();
            let kinds = [Kind::Vital, Kind::PageView, Kind::Click, Kind::Error, Kind::Request];
            event.kind = kinds[pick(kinds.len(), 3)].clone();
            event.name = ["LCP", "CLS", "INP", "x"][pick(4, 4)].into();
            event.value = [Some(0.0), None, Some(-3.5), Some(0.07), Some(1_234.5), Some(2_600.0), Some(5e6)][pick(7, 5)];
            event.weight = [1.0, 1.0, 4.0, 12.5][pick(4, 6)];
            if event.kind == Kind::Error {
                event.attributes.insert("fingerprint".into(), format!("f{}", pick(5, 7)));
                event.attributes.insert("message".into(), format!("message {}", pick(9, 8)));
            }
            if pick(6, 9) == 0 {
                event.attributes.insert("failure".into(), "network".into());
            }
        })
    };
    (0..count).map(make).collect()
}

/// The events in requests of several visitors and devices.
fn requests(events: Vec<Event>) -> Vec<monitor_core::Envelope> {
    let visitor = |(n, events): (usize, &[Event])| {
        let mut envelope = request(events.to_vec());
        let origin = &mut envelope.origin;
        origin.project = if n % 5 == 4 { "blog" } else { "shop" }.into();
        origin.session = format!("s{}", n % 11);
        origin.visitor = if n % 3 == 0 { String::new() } else { format!("v{}", n % 7) };
        origin.release = format!("1.{}", n % 2);
        origin.page.route = format!("/r{}", n % 4);
        origin.tags.insert("side".into(), format!("{}", n % 3));
        envelope
    };
    events.chunks(7).enumerate().map(visitor).collect()
}

/// Rollups and events, each asked the same; the texts must be equal.
const SAME: [(&str, &str, &str); 10] = [
    (
        "hours",
        "SELECT project, kind, name, hour, environment, release, device, failed, band, sum(rows), sum(count), round(sum(total), 3), \
            minIf(low, bucket > -32768), maxIf(high, bucket > -32768) FROM rollup_hours WHERE hour < {until:DateTime('UTC')} \
            GROUP BY ALL ORDER BY ALL",
        "SELECT project, kind, name, toStartOfHour(toDateTime(time, 'UTC')) AS hour, environment, release, device, toUInt8(failure != '') AS failed, \
            toUInt8(multiIf(kind != 'vital' OR NOT isFinite(value), 0, name = 'LCP', multiIf(value <= 2500, 1, value <= 4000, 2, 3), \
            name = 'INP', multiIf(value <= 200, 1, value <= 500, 2, 3), name = 'CLS', multiIf(value <= 0.1, 1, value <= 0.25, 2, 3), 0)) AS band, \
            count(), sum(weight), round(sumIf(value * weight, isFinite(value)), 3), minIf(value, isFinite(value)), maxIf(value, isFinite(value)) \
            FROM events WHERE time < {until:DateTime('UTC')} GROUP BY ALL ORDER BY ALL",
    ),
    (
        "routes",
        "SELECT project, kind, name, day, route, device, environment, release, failed, sum(rows), sum(count), round(sum(total), 3) \
            FROM rollup_routes GROUP BY ALL ORDER BY ALL",
        "SELECT project, kind, name, toDate(time) AS day, route, device, environment, release, toUInt8(failure != '') AS failed, count(), \
            sum(weight), round(sumIf(value * weight, isFinite(value)), 3) FROM events \
            WHERE time < {until:DateTime('UTC')} GROUP BY ALL ORDER BY ALL",
    ),
    (
        "totals",
        "SELECT project, kind, name, hour, environment, failed, band, bucket, rows, count, round(total, 3), low, high FROM rollup_totals \
            WHERE hour < {until:DateTime('UTC')} ORDER BY ALL",
        "SELECT project, kind, name, hour, environment, failed, band, bucket, sum(rows), sum(count), round(sum(total), 3), \
            min(low), max(high) FROM rollup_hours WHERE hour < {until:DateTime('UTC')} GROUP BY ALL ORDER BY ALL",
    ),
    (
        "route totals",
        "SELECT project, kind, name, day, route, environment, failed, sum(rows), sum(count), round(sum(total), 3), \
            minIf(low, bucket > -32768), maxIf(high, bucket > -32768) FROM rollup_route_totals GROUP BY ALL ORDER BY ALL",
        "SELECT project, kind, name, toDate(time) AS day, route, environment, toUInt8(failure != '') AS failed, count(), sum(weight), \
            round(sumIf(value * weight, isFinite(value)), 3), minIf(value, isFinite(value)), maxIf(value, isFinite(value)) FROM events \
            WHERE time < {until:DateTime('UTC')} GROUP BY ALL ORDER BY ALL",
    ),
    (
        "clients",
        "SELECT project, kind, name, day, country, browser, os, device, connection, environment, failed, sum(rows), sum(count) \
            FROM rollup_clients GROUP BY ALL ORDER BY ALL",
        "SELECT project, kind, name, toDate(time) AS day, country, browser, os, device, connection, environment, toUInt8(failure != '') AS failed, \
            count(), sum(weight) FROM events WHERE time < {until:DateTime('UTC')} GROUP BY ALL ORDER BY ALL",
    ),
    (
        "targets",
        "SELECT project, kind, name, day, target, method, status, failure, environment, failed, sum(rows), sum(count), round(sum(total), 3) \
            FROM rollup_targets GROUP BY ALL ORDER BY ALL",
        "SELECT project, kind, name, toDate(time) AS day, target, method, status, failure, environment, toUInt8(failure != '') AS failed, count(), \
            sum(weight), round(sumIf(value * weight, isFinite(value)), 3) FROM events \
            WHERE kind IN ('request', 'resource', 'click', 'rage_click', 'dead_click', 'form_submit') \
            AND time < {until:DateTime('UTC')} GROUP BY ALL ORDER BY ALL",
    ),
    (
        "sessions",
        "SELECT project, day, user_hash, session, visitor, release, hours, start, end, rows, events, views, errors, clicks, failures, \
            entry, exit, routes, kinds, fingerprints, users FROM rollup_sessions ORDER BY ALL",
        "SELECT project, toDate(time) AS day, user_hash, session, visitor, release, groupBitOr(bitShiftLeft(toUInt32(1), toHour(time))), \
            min(time), max(time), count(), sum(weight), sumIf(weight, kind = 'page_view'), sumIf(weight, kind = 'error'), sumIf(weight, kind = 'click'), \
            sumIf(weight, failure != ''), \
            if(countIf(kind = 'page_view') > 0, argMinIf(route, time, kind = 'page_view'), argMin(route, time)), \
            if(countIf(kind = 'page_view') > 0, argMaxIf(route, time, kind = 'page_view'), argMax(route, time)), \
            arraySort(groupUniqArray(route)), arraySort(groupUniqArray(kind)), arraySort(groupUniqArrayIf(fingerprint, fingerprint != '')), \
            arraySort(groupUniqArray(user)) FROM events WHERE time < {until:DateTime('UTC')} GROUP BY project, day, user_hash, session, visitor, release ORDER BY ALL",
    ),
    (
        "visitors by hour",
        "SELECT toUInt8(hour) AS hour, uniqExactIf(user_hash, visitor != ''), uniqExactIf(session, session != '') FROM rollup_sessions \
            ARRAY JOIN bitPositionsToArray(hours) AS hour WHERE project = 'shop' GROUP BY ALL ORDER BY ALL",
        "SELECT toHour(time) AS hour, uniqExactIf(visitor, visitor != ''), uniqExactIf(session, session != '') FROM events \
            WHERE project = 'shop' AND time < {until:DateTime('UTC')} GROUP BY ALL ORDER BY ALL",
    ),
    (
        "issues",
        "SELECT project, day, fingerprint, kind, rows, count, first, last, name, message, release_first, release_last FROM rollup_issues ORDER BY ALL",
        "SELECT project, toDate(time) AS day, fingerprint, kind, count(), sum(weight), min(time), max(time), argMax(name, (time, id)), \
            argMax(message, (time, id)), argMin(release, (time, id)), argMax(release, (time, id)) FROM events \
            WHERE kind IN ('error', 'message') AND fingerprint != '' AND time < {until:DateTime('UTC')} GROUP BY ALL ORDER BY ALL",
    ),
    (
        "sample",
        "SELECT * FROM rollup_sample ORDER BY ALL",
        "SELECT project, kind, name, time, seq, user_hash, visitor != '', if(session = '', 0, cityHash64(session)), \
            if(page = '', 0, toUInt32(cityHash64(page))), value, weight, release, environment, route, referrer, browser, os, device, language, \
            connection, country, target, method, status, failure, rating, fingerprint, tags FROM events \
            WHERE (user_hash < 2305843009213693951 OR user_hash = cityHash64('') OR kind IN ('error', 'message')) AND time < {until:DateTime('UTC')} ORDER BY ALL",
    ),
];

/// Checks all rollups against the events before `until`. Returns the rows of the hours' rollup.
async fn check(monitor: &Monitor, until: i64) -> u64 {
    for (what, rollup, events) in SAME {
        let mut answers = Vec::new();
        for question in [rollup, events] {
            let query = monitor.admin.query_raw(question).param("until", until / 1_000);
            let bytes = query.fetch_bytes("TabSeparated").unwrap().collect().await.unwrap();
            answers.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        assert_eq!(answers[0], answers[1], "{what}");
    }
    for table in ["routes", "route_totals", "clients", "targets", "issues"] {
        let sql =
            format!("SELECT countIf(until != least(toDateTime({}, 'UTC'), toDateTime(day + 1, 'UTC'))) FROM rollup_{table}", until / 1_000);
        assert_eq!(monitor.admin.query(&sql).fetch_one::<u64>().await.unwrap(), 0, "{table} says otherwise up to when it is");
    }
    monitor.admin.query("SELECT sum(rows) FROM rollup_hours").fetch_one().await.unwrap()
}

/// Checks that the tables by month hold the rows of the days of which the state says so, and no others. Returns those days.
async fn check_months(monitor: &Monitor) -> Vec<u32> {
    let days = "SELECT toYYYYMMDD(day) FROM rollup_state GROUP BY day HAVING argMax(monthly, built) = 1 ORDER BY day";
    for (table, day) in [
        ("hours", "toDate(hour)"),
        ("routes", "day"),
        ("clients", "day"),
        ("targets", "day"),
        ("sessions", "day"),
        ("issues", "day"),
        ("sample", "toDate(time)"),
        ("totals", "toDate(hour)"),
        ("route_totals", "day"),
    ] {
        let rows = async |from: &str| {
            let sql = format!("SELECT toString(tuple(* EXCEPT (until))) AS row FROM {from} ORDER BY row");
            monitor.admin.query(&sql).fetch_all::<String>().await.unwrap()
        };
        let daily = rows(&format!("rollup_{table} WHERE toYYYYMMDD({day}) IN ({days})")).await;
        assert!(daily == rows(&format!("rollup_month_{table}")).await && !daily.is_empty(), "{table}");
    }
    monitor.admin.query(days).fetch_all().await.unwrap()
}

/// Tables that a job makes for itself.
async fn leftovers(monitor: &Monitor) -> Vec<String> {
    let sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, '^(rollup_(staging|lock)|repair_(aside|returning))')";
    monitor.admin.query(sql).fetch_all().await.unwrap()
}

#[tokio::test]
async fn rollups_of_a_closed_day_give_the_figures_of_its_events() {
    let monitor = Monitor::new();
    monitor.write(&batch("b", requests(mixed(1, 3_000)))).await;
    let job = job(&monitor);
    let built = job.build(NEXT_DAY).await.unwrap();
    assert_eq!((built.days, built.events), (1, 3_000));
    assert_eq!(check(&monitor, MIDNIGHT + DAY).await, 3_000);
    assert_eq!(job.build(NEXT_DAY).await.unwrap().days, 0, "nothing is dirty");
    assert!(leftovers(&monitor).await.is_empty());
}

#[tokio::test]
async fn the_day_that_is_not_over_is_rolled_up_to_the_hour() {
    let monitor = Monitor::new();
    monitor.write(&batch("b", requests(mixed(1, 3_000)))).await;
    let job = job(&monitor);
    assert_eq!(job.build(MIDNIGHT + HOUR).await.unwrap().days, 0, "the first hour may still get events");
    for (now, until) in [
        (NOON + MINUTE, NOON - HOUR),
        (NOON + 2 * MINUTE, NOON),
        (MIDNIGHT + DAY + MINUTE, MIDNIGHT + 23 * HOUR),
        (NEXT_DAY, MIDNIGHT + DAY),
    ] {
        assert_eq!(job.build(now).await.unwrap().days, 1, "{now}");
        check(&monitor, until).await;
        let recorded: u32 =
            monitor.admin.query("SELECT argMax(toUnixTimestamp(until), built) FROM rollup_state").fetch_one().await.unwrap();
        assert_eq!(i64::from(recorded) * 1_000, until);
    }
}

#[tokio::test]
async fn an_open_day_is_built_again_for_late_events_and_not_for_new_ones() {
    let monitor = Monitor::new();
    monitor.write(&batch("b", requests(mixed(1, 500)))).await;
    let job = job(&monitor);
    job.build(NOON + 5 * MINUTE).await.unwrap();
    let at = async |id, time| monitor.write(&batch(&format!("c{id}"), vec![request(vec![event(id, |event| event.time = time)])])).await;
    at(1, NOON + MINUTE).await;
    assert_eq!(job.build(NOON + 6 * MINUTE).await.unwrap().days, 0);
    at(2, NOON - MINUTE).await;
    assert_eq!(job.build(NOON + 6 * MINUTE).await.unwrap().days, 1);
    check(&monitor, NOON).await;
}

#[tokio::test]
async fn days_are_built_newest_first_and_only_when_something_has_changed() {
    let monitor = Monitor::new();
    let on = |seed, days: i64| {
        let mut events = mixed(seed, 200);
        events.iter_mut().for_each(|event| event.time += days * DAY);
        batch(&format!("{seed}"), requests(events))
    };
    for (seed, days) in [(1, 0), (2, -3), (3, 5)] {
        monitor.write(&on(seed, days)).await;
    }
    let job = job(&monitor);
    // The one that is in the future is not touched.
    assert_eq!(job.build(NEXT_DAY).await.unwrap().days, 2);
    let order: Vec<i64> = monitor
        .admin
        .query("SELECT toInt64(day) - toInt64(toDate('2024-11-20')) FROM rollup_state ORDER BY built")
        .fetch_all()
        .await
        .unwrap();
    assert_eq!(order, [0, -3]);
    monitor.write(&on(4, -3)).await;
    let built = job.build(NEXT_DAY).await.unwrap();
    assert_eq!((built.days, built.events), (1, 400));
    assert_eq!(job.build(NEXT_DAY + 5 * DAY).await.unwrap().days, 1);
    assert_eq!(check(&monitor, NEXT_DAY + 5 * DAY).await, 800);
}

#[tokio::test]
async fn deletions_mutations_and_lost_parts_are_noticed() {
    let monitor = Monitor::new();
    monitor.write(&batch("b", requests(mixed(1, 2_000)))).await;
    let job = job(&monitor);
    job.build(NEXT_DAY).await.unwrap();
    for change in [
        "ALTER TABLE events DELETE WHERE session = 's3' SETTINGS mutations_sync = 2",
        "ALTER TABLE events UPDATE route = '/elsewhere' WHERE route = '/r1' SETTINGS mutations_sync = 2",
        "DELETE FROM events WHERE session = 's4'",
        "ALTER TABLE rollup_sessions DROP PARTITION ID '20241120'",
        "OPTIMIZE TABLE rollup_hours FINAL",
        "ALTER TABLE events DROP PARTITION ID '20241120'",
    ] {
        monitor.admin.query_raw(change).execute().await.unwrap();
        let built = job.build(NEXT_DAY).await.unwrap();
        assert_eq!(built.days, u64::from(!change.starts_with("OPTIMIZE")), "{change}");
        check(&monitor, MIDNIGHT + DAY).await;
    }
    assert_eq!(check(&monitor, MIDNIGHT + DAY).await, 0);
}

#[tokio::test]
async fn a_job_that_is_killed_anywhere_is_finished_by_the_next() {
    let monitor = Monitor::new();
    let proxy = Proxy::start(&shared().address).await;
    let mut rows = 0;
    for requests_before in 0.. {
        monitor.write(&batch(&format!("b{requests_before}"), requests(mixed(requests_before, 100)))).await;
        rows += 100;
        let dying = configuration(&proxy.url, monitor.admin.database().unwrap()).rollup_job().unwrap();
        proxy.pass_only(i64::try_from(requests_before).unwrap());
        let now = NEXT_DAY + 2 * HOUR * i64::try_from(requests_before).unwrap();
        let done = dying.build(now).await.is_ok();
        // An hour later nobody believes that the dead one is still at work.
        job(&monitor).build(now + HOUR).await.unwrap();
        assert_eq!(check(&monitor, MIDNIGHT + DAY).await, rows, "killed after {requests_before}");
        if done {
            assert!(requests_before > 25, "all statements were tried");
            assert!(leftovers(&monitor).await.is_empty(), "{:?}", leftovers(&monitor).await);
            return;
        }
    }
}

#[tokio::test]
async fn several_jobs_at_once_build_each_day_once_and_right() {
    let monitor = Monitor::new();
    for seed in 0..4 {
        let mut events = mixed(seed, 500);
        events.iter_mut().for_each(|event| event.time -= i64::try_from(seed).unwrap() * DAY);
        monitor.write(&batch(&format!("{seed}"), requests(events))).await;
    }
    let jobs: Vec<_> = (0..3).map(|_| job(&monitor)).map(|job| tokio::spawn(async move { job.build(NEXT_DAY).await.unwrap() })).collect();
    // Events come while they are at work.
    for seed in 4..10 {
        monitor.write(&batch(&format!("{seed}"), requests(mixed(seed, 100)))).await;
    }
    for job in jobs {
        job.await.unwrap();
    }
    job(&monitor).build(NEXT_DAY).await.unwrap();
    assert_eq!(check(&monitor, MIDNIGHT + DAY).await, 4 * 500 + 6 * 100);
}

/// Stores every event of the even minutes a second time.
async fn duplicate(monitor: &Monitor) {
    let sql = "INSERT INTO events SELECT * FROM events WHERE toMinute(time) % 2 = 0 SETTINGS insert_deduplicate = 0";
    monitor.admin.query_raw(sql).execute().await.unwrap();
}

#[tokio::test]
async fn copies_are_removed_from_days_that_are_over_and_rollups_follow() {
    let monitor = Monitor::new();
    monitor.write(&batch("b", requests(mixed(1, 2_000)))).await;
    let job = job(&monitor);
    assert_eq!(job.repair(NEXT_DAY).await.unwrap().copies, 0);
    assert_eq!(job.repair(NEXT_DAY).await.unwrap().days, 0, "an unchanged day is not looked at again");
    let documents = monitor.documents().await;
    duplicate(&monitor).await;
    let doubled = monitor.rows().await;
    assert!(doubled > 2_500);
    assert_eq!(job.repair(NOON).await.unwrap().days, 0, "the day is not over");
    job.build(NEXT_DAY).await.unwrap();
    assert_eq!(check(&monitor, MIDNIGHT + DAY).await, doubled);
    assert_eq!(job.repair(NEXT_DAY).await.unwrap().copies, doubled - 2_000);
    assert!(documents == monitor.documents().await, "the events are what they were");
    assert_eq!(job.repair(NEXT_DAY).await.unwrap().days, 0);
    job.build(NEXT_DAY).await.unwrap();
    assert_eq!(check(&monitor, MIDNIGHT + DAY).await, 2_000);
}

#[tokio::test]
async fn a_repair_that_is_killed_anywhere_loses_nothing() {
    let monitor = Monitor::new();
    let proxy = Proxy::start(&shared().address).await;
    monitor.write(&batch("b", requests(mixed(1, 500)))).await;
    let documents = monitor.documents().await;
    let mut missing = 0;
    for requests_before in 0.. {
        duplicate(&monitor).await;
        let dying = configuration(&proxy.url, monitor.admin.database().unwrap()).rollup_job().unwrap();
        proxy.pass_only(requests_before);
        let now = NEXT_DAY + 2 * HOUR * requests_before;
        let done = dying.repair(now).await.is_ok();
        missing += u64::from(monitor.rows().await == 0);
        job(&monitor).repair(now + HOUR).await.unwrap();
        assert!(documents == monitor.documents().await, "killed after {requests_before}");
        if done {
            assert!(missing > 0, "it was killed between moving and attaching, too");
            job(&monitor).build(now + HOUR).await.unwrap();
            assert_eq!(check(&monitor, MIDNIGHT + DAY).await, 500);
            assert!(leftovers(&monitor).await.is_empty());
            return;
        }
    }
}

#[tokio::test]
async fn figures_without_personal_data_outlive_the_events_of_a_project() {
    // Of today, because the server's clock decides what its own retention deletes: time passes for the job alone.
    let midnight =
        i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap() / DAY * DAY;
    let today = |seed, count| {
        let mut events = mixed(seed, count);
        events.iter_mut().for_each(|event| event.time += midnight - MIDNIGHT);
        requests(events)
    };
    let next_day = midnight + DAY + HOUR / 2;
    let monitor = Monitor::new();
    monitor.write(&batch("b", today(1, 2_000))).await;
    job(&monitor).build(next_day).await.unwrap();
    let with = |days: u32| {
        let clickhouse = configuration(&shared().url(), monitor.admin.database().unwrap());
        clickhouse.retention("blog", days).rollup_retention_days(10).rollup_job().unwrap()
    };
    let rows = async |table: &str| -> Vec<(String, u64)> {
        let sql = format!("SELECT project, toUInt64(sum(rows)) FROM {table} GROUP BY project ORDER BY project");
        monitor.admin.query(&sql).fetch_all().await.unwrap()
    };
    let before = rows("rollup_hours").await;
    assert_eq!(before.len(), 2);
    let job = with(2);
    // A change of the retention rewrites all parts, which looks like a change of their events.
    job.build(next_day).await.unwrap();
    assert_eq!(job.build(next_day + DAY).await.unwrap().days, 1, "two days after its day");
    for gone in [false, true] {
        if gone {
            monitor.admin.query("ALTER TABLE events DELETE WHERE project = 'blog' SETTINGS mutations_sync = 2").execute().await.unwrap();
            assert_eq!(job.build(next_day + DAY).await.unwrap().days, 1);
        }
        for table in ["rollup_hours", "rollup_routes", "rollup_clients", "rollup_totals", "rollup_route_totals"] {
            assert_eq!(rows(table).await, before, "{table}");
        }
        for table in ["rollup_sessions", "rollup_issues"] {
            let left = rows(table).await;
            assert!(left.len() == 1 && left[0].0 == "shop", "{table}: {left:?}");
        }
    }
    // Of a small project, too, whose events would be read otherwise.
    let reader = Monitor::with(
        configuration(&shared().url(), monitor.admin.database().unwrap()),
        &shared().url(),
        monitor.admin.database().unwrap(),
    );
    let range = json!({"project": "blog", "from": midnight, "to": next_day + DAY, "step": DAY, "measures": ["count"]});
    let table = reader.ask(range).await;
    assert_eq!((table.rows.len(), table.stats.source), (1, Source::Rollup), "{:?}", table.rows);
    assert!(table.rows[0][1].as_u64().unwrap() > 100, "{:?}", table.rows);
    // A longer retention does not bring events back, and takes nothing away either.
    assert!(with(50).build(next_day + DAY).await.unwrap().days > 0);
    assert_eq!(rows("rollup_hours").await, before);
    monitor.write(&batch("late", today(2, 7))).await;
    with(50).build(next_day + DAY).await.unwrap();
    let after = rows("rollup_hours").await;
    assert_eq!((after[0].1, after[1].1), (before[0].1, before[1].1 + 7));

    assert_eq!(with(50).build(next_day + 9 * DAY).await.unwrap().days, 1);
    assert!(rows("rollup_hours").await.is_empty() && rows("rollup_sessions").await.is_empty());
    assert_eq!(with(50).build(next_day + 9 * DAY).await.unwrap().days, 0);
}

#[tokio::test]
async fn the_buckets_of_the_server_hold_the_values_they_should() {
    let monitor = Monitor::new();
    let value = |n: u128| {
        let size = 10f64.powf(-8.0 + 20.0 * (n as f64) / 1_000.0);
        event(n, |event| event.value = Some(if n.is_multiple_of(2) { size } else { -size }))
    };
    monitor.write(&batch("b", vec![request((1..1_000).map(value).collect())])).await;
    job(&monitor).build(NEXT_DAY).await.unwrap();
    let buckets: Vec<(i16, f64, f64)> = monitor.admin.query("SELECT bucket, low, high FROM rollup_hours").fetch_all().await.unwrap();
    assert!(buckets.len() > 500);
    for (bucket, low, high) in buckets {
        for value in [low, high] {
            let expected = 13_000 + (value.abs().log2() * 12.0).floor() as i16;
            assert_eq!(bucket, if value > 0.0 { expected } else { -expected }, "{value}");
        }
    }
}

/// Events of so many days, the last of them the tests' day.
async fn write_days(monitor: &Monitor, days: u128, each: u128) {
    for seed in 0..days {
        let mut events = mixed(seed, each);
        events.iter_mut().for_each(|event| event.time -= i64::try_from(seed).unwrap() * DAY);
        monitor.write(&batch(&format!("{seed}"), requests(events))).await;
    }
}

#[tokio::test]
async fn months_hold_their_days_as_they_are() {
    let monitor = Monitor::new();
    let job = job(&monitor);
    write_days(&monitor, 2, 300).await;
    job.build(NEXT_DAY).await.unwrap();
    let copied = "SELECT count() FROM rollup_month_hours";
    assert_eq!(monitor.admin.query(copied).fetch_one::<u64>().await.unwrap(), 0, "two days are not worth it");
    let parts = "SELECT groupArray(name) FROM (SELECT name FROM system.parts WHERE active AND database = currentDatabase() \
        AND startsWith(table, 'rollup_month') ORDER BY name)";
    // 2024-11-20 and the 22 days before it are of two months.
    write_days(&monitor, 23, 60).await;
    job.build(NEXT_DAY).await.unwrap();
    let days = check_months(&monitor).await;
    assert_eq!((days.len(), days[0], days[22]), (23, 20_241_029, 20_241_120));
    let before: Vec<String> = monitor.admin.query(parts).fetch_one().await.unwrap();
    assert_eq!(before.len(), 2 * 9, "each month is one part of each table");
    job.build(NEXT_DAY).await.unwrap();
    assert_eq!(monitor.admin.query(parts).fetch_one::<Vec<String>>().await.unwrap(), before, "nothing is copied for nothing");

    // A late event; a day that is gone; rows that are gone.
    let counted = monitor.again().one(json!({"measures": ["count"]})).await.as_u64().unwrap();
    // Of an even weight: halves are rounded to even.
    let late = event(9_999_999, |event| (event.time, event.weight) = (NOON - 3 * DAY, 2.0));
    monitor.write(&batch("late", vec![request(vec![late])])).await;
    job.build(NEXT_DAY).await.unwrap();
    assert_eq!(check_months(&monitor).await.len(), 23);
    assert_eq!(monitor.again().one(json!({"measures": ["count"]})).await, counted + 2);
    monitor.admin.query("ALTER TABLE events DROP PARTITION '2024-11-19'").execute().await.unwrap();
    monitor
        .admin
        .query("ALTER TABLE rollup_month_clients DELETE WHERE day = '2024-11-18' SETTINGS mutations_sync = 2")
        .execute()
        .await
        .unwrap();
    job.build(NEXT_DAY).await.unwrap();
    check_months(&monitor).await;
}

#[tokio::test]
async fn a_day_that_is_not_in_its_month_as_it_is_is_read_by_itself() {
    let monitor = Monitor::new();
    write_days(&monitor, 6, 300).await;
    job(&monitor).build(NEXT_DAY).await.unwrap();
    check_months(&monitor).await;
    let question = json!({"to": MIDNIGHT + DAY, "group_by": ["route"], "measures": ["count", "p75", "visitors"]});
    let planned = || async {
        let database = monitor.admin.database().unwrap();
        let planned = Monitor::with(configuration(&shared().url(), database).quick_scan(50), &shared().url(), database);
        let answer = planned.ask(question.clone()).await;
        assert_eq!(answer.stats.source, Source::Rollup);
        answer.rows
    };
    let all = planned().await;
    // Nobody reads what a month holds of a day that it does not hold as it is.
    monitor.admin.query_raw(
        "INSERT INTO rollup_state SELECT * REPLACE (0 AS monthly, built + INTERVAL 1 SECOND AS built) FROM rollup_state FINAL WHERE day = '2024-11-18'",
    )
    .execute().await.unwrap();
    for table in ["hours", "totals", "routes", "route_totals", "clients", "sessions"] {
        let day = if matches!(table, "hours" | "totals") { "toDate(hour)" } else { "day" };
        let sql = format!("ALTER TABLE rollup_month_{table} DELETE WHERE {day} = '2024-11-18' SETTINGS mutations_sync = 2");
        monitor.admin.query(&sql).execute().await.unwrap();
    }
    assert_eq!(planned().await, all);
    // Of the others it is the only one that is read.
    monitor.admin.query("TRUNCATE TABLE rollup_month_totals").execute().await.unwrap();
    monitor.admin.query("TRUNCATE TABLE rollup_month_route_totals").execute().await.unwrap();
    assert_ne!(planned().await, all);
    job(&monitor).build(NEXT_DAY).await.unwrap();
    check_months(&monitor).await;
    assert_eq!(planned().await, all);
}

#[tokio::test]
async fn a_job_that_is_killed_while_it_copies_a_month_leaves_right_answers() {
    let monitor = Monitor::new();
    let proxy = Proxy::start(&shared().address).await;
    write_days(&monitor, 4, 100).await;
    job(&monitor).build(NEXT_DAY).await.unwrap();
    let mut rows = 400;
    for attempt in 0.. {
        // Every third statement: building the day is tried elsewhere.
        let requests_before = 3 * attempt;
        let late = mixed(100 + u128::try_from(attempt).unwrap(), 20);
        monitor.write(&batch(&format!("late {attempt}"), requests(late))).await;
        rows += 20;
        let dying = configuration(&proxy.url, monitor.admin.database().unwrap()).rollup_job().unwrap();
        proxy.pass_only(requests_before);
        let now = NEXT_DAY + 2 * HOUR * attempt;
        let done = dying.build(now).await.is_ok();
        let asked = json!({"from": MIDNIGHT - 5 * DAY, "to": MIDNIGHT + DAY, "measures": ["sum"], "kinds": ["vital"]});
        let exact = monitor.one({
            let mut exact = asked.clone();
            exact["exact"] = json!(true);
            exact
        });
        let exact = exact.await.as_f64().unwrap();
        job(&monitor).build(now + HOUR).await.unwrap();
        check_months(&monitor).await;
        let database = monitor.admin.database().unwrap();
        let planned = Monitor::with(configuration(&shared().url(), database).quick_scan(50), &shared().url(), database);
        let answer = planned.one(asked).await.as_f64().unwrap();
        assert!((answer - exact).abs() <= exact.abs() * 1e-9, "killed after {requests_before}: {answer}, {exact}");
        assert_eq!(check(&monitor, MIDNIGHT + DAY).await, rows, "killed after {requests_before}");
        if done {
            assert!(requests_before > 40, "all statements were tried");
            assert!(leftovers(&monitor).await.is_empty(), "{:?}", leftovers(&monitor).await);
            return;
        }
    }
}
