//! Lists of sessions, with and without rollups, against what the events themselves say.

use std::{
    collections::BTreeMap,
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use monitor_core::{
    Envelope, Event, Kind, Scope,
    query::{SessionQuery, Source, Table},
};
use serde_json::{Value, json};

use crate::engine::{DAY, Monitor, batch, configuration, event, question, request, shared};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// The present, ms: when the rollups are built. They hold the present day up to a whole hour.
static NOW: LazyLock<i64> = LazyLock::new(|| i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap());
/// The midnight three days before, ms: events lie in the four days from it.
static BEGIN: LazyLock<i64> = LazyLock::new(|| *NOW - NOW.rem_euclid(DAY) - 3 * DAY);
const KINDS: [Kind; 5] = [Kind::PageView, Kind::Click, Kind::RageClick, Kind::Error, Kind::Request];

/// A number below `of` that looks like chance, and is the same each time.
fn pick(seed: usize, salt: u64, of: u64) -> usize {
    let mut hash = (seed as u64).wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ (hash >> 31)) % of) as usize
}

/// Sessions of four days: some pass midnight, some log in, get a visitor or change their network on the way, some have no page view.
fn some_requests(sessions: usize) -> Vec<Envelope> {
    let mut requests = Vec::new();
    for n in 0..sessions {
        let begin = *BEGIN + i64::try_from(pick(n, 1, 95 * 3_600_000)).unwrap();
        let length = [10 * MINUTE, 20 * MINUTE, HOUR][pick(n, 2, 3)];
        let changes = pick(n, 3, 6);
        for step in 0..3 + pick(n, 4, 6) {
            let id = n * 100 + step;
            let mut envelope = request(vec![event(id as u128, |event| {
                event.time = begin + i64::try_from(pick(id, 5, length as u64)).unwrap();
                event.kind = KINDS[pick(n, 6, 4).min(1) + pick(id, 7, 4)].clone();
                event.weight = [1.0, 1.0, 3.0][pick(id, 8, 3)];
                event.attributes.insert("plan".into(), ["free", "pro", "team"][pick(id, 9, 3)].into());
                if event.kind == Kind::Error {
                    event.attributes.insert("fingerprint".into(), format!("f{}", pick(id, 19, 6)));
                }
                if event.kind == Kind::Request && pick(id, 10, 2) == 0 {
                    event.attributes.insert("failure".into(), "network".into());
                }
            })]);
            let late = (envelope.events[0].time - begin) * 2 > length;
            let origin = &mut envelope.origin;
            origin.project = if pick(n, 11, 4) == 0 { "bank" } else { "shop" }.into();
            origin.session = if n % 40 == 0 { String::new() } else { format!("s{n}") };
            origin.visitor = if changes == 1 && !late { String::new() } else { format!("v{}", pick(n, 12, 60)) };
            // Somebody logs in, or goes on as somebody else.
            origin.user = match changes {
                2 if late => format!("u{}", pick(n, 13, 5)),
                2 if n % 3 == 0 => "u1".into(),
                _ => String::new(),
            };
            origin.country = if changes == 3 && pick(id, 14, 2) == 0 { "FR" } else { "DE" }.into();
            origin.browser.name = ["Chrome", "Firefox"][pick(n, 15, 2)].into();
            origin.os.name = "Linux".into();
            origin.device.kind = ["desktop", "mobile"][pick(n, 16, 2)].into();
            origin.release = format!("1.{}", pick(n, 17, 3));
            origin.page.route = format!("/r{}", pick(id, 18, 5));
            requests.push(envelope);
        }
    }
    requests
}

/// What the list must be: worked out one event after the other.
fn expected(requests: &[Envelope], query: &SessionQuery, meets: impl Fn(&Envelope, &Event) -> bool) -> Vec<Vec<Value>> {
    let mut sessions: BTreeMap<&str, Vec<(&Envelope, &Event)>> = BTreeMap::new();
    for envelope in requests.iter().filter(|envelope| envelope.origin.project == query.project && !envelope.origin.session.is_empty()) {
        let events = envelope.events.iter().filter(|event| (query.from..query.to).contains(&event.time));
        sessions.entry(&envelope.origin.session).or_default().extend(events.map(|event| (envelope, event)));
    }
    let mut rows: Vec<(i64, u64, Vec<Value>)> = Vec::new();
    for (session, mut events) in sessions {
        events.sort_by_key(|(_, event)| event.time);
        if !events.iter().any(|(envelope, event)| meets(envelope, event)) {
            continue;
        }
        let (begin, finish) = (events[0].1.time, events[events.len() - 1].1.time);
        let sum =
            |of: &dyn Fn(&Event) -> bool| events.iter().filter(|(_, event)| of(event)).map(|(_, event)| event.weight as u64).sum::<u64>();
        let kind = |kind: Kind| sum(&|event| event.kind == kind);
        let views: Vec<_> = events.iter().filter(|(_, event)| event.kind == Kind::PageView).collect();
        let pages = if views.is_empty() { events.iter().collect() } else { views };
        let (entry, exit) = (&pages[0].0.origin.page.route, &pages[pages.len() - 1].0.origin.page.route);
        let last = &events[events.len() - 1].0.origin;
        let user = events.iter().rev().map(|(envelope, _)| &envelope.origin.user).find(|user| !user.is_empty());
        let order = match format!("{:?}", query.order).as_str() {
            "Errors" => kind(Kind::Error),
            "Longest" => (finish - begin) as u64,
            _ => 0,
        };
        let row = json!([
            session,
            null,
            user.cloned().unwrap_or_default(),
            begin,
            finish,
            sum(&|_| true),
            kind(Kind::PageView),
            kind(Kind::Error),
            kind(Kind::Click),
            kind(Kind::RageClick),
            sum(&|event| event.attributes.contains_key("failure")),
            entry,
            exit,
            last.browser.name,
            last.os.name,
            last.device.kind,
            last.country,
            last.release,
        ]);
        rows.push((finish, order, row.as_array().unwrap().clone()));
    }
    rows.sort_by_key(|(finish, order, _)| (u64::MAX - order, -finish));
    rows.into_iter().skip(query.offset as usize).take(query.limit as usize).map(|(.., row)| row).collect()
}

async fn ask(monitor: &Monitor, query: &SessionQuery) -> Table {
    monitor.store.sessions(&Scope::All, query).await.unwrap()
}

fn compare(table: &Table, expected: &[Vec<Value>], what: &str) {
    // Of a session that had no visitor at first any of the two is right.
    let rows: Vec<Vec<Value>> = table.rows.iter().map(|row| [&row[..1], &[Value::Null], &row[2..]].concat()).collect();
    let ids = |rows: &[Vec<Value>]| rows.iter().map(|row| row[0].to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(ids(&rows), ids(expected), "{what}");
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(row, expected, "{what}");
    }
}

#[tokio::test]
async fn sessions_are_listed_alike_from_events_and_from_rollups() {
    type Meets = fn(&Envelope, &Event) -> bool;
    let requests = some_requests(900);
    let is = |field: &str, values: &[&str]| json!({"field": field, "op": "in", "values": values});
    let filters: [(Value, Meets); 13] = [
        (json!([]), |_, _| true),
        (json!([is("browser", &["Firefox"]), is("device", &["mobile"])]), |envelope, _| {
            envelope.origin.browser.name == "Firefox" && envelope.origin.device.kind == "mobile"
        }),
        (json!([is("country", &["FR"])]), |envelope, _| envelope.origin.country == "FR"),
        (json!([is("country", &["FR"]), is("route", &["/r1", "/r2"])]), |envelope, _| {
            envelope.origin.country == "FR" && ["/r1", "/r2"].contains(&envelope.origin.page.route.as_str())
        }),
        (json!([is("kind", &["rage_click"])]), |_, event| event.kind == Kind::RageClick),
        // One event must meet both, which the rollup cannot tell.
        (json!([is("kind", &["error"]), is("route", &["/r0"])]), |envelope, event| {
            event.kind == Kind::Error && envelope.origin.page.route == "/r0"
        }),
        (json!([is("attributes.plan", &["pro"]), is("failure", &["network"])]), |_, event| {
            event.attributes.contains_key("failure") && event.attribute("plan") == "pro"
        }),
        (json!([is("fingerprint", &["f1", "f2"])]), |_, event| {
            event.attributes.get("fingerprint").is_some_and(|fingerprint| ["f1", "f2"].contains(&fingerprint.as_str()))
        }),
        (json!([{"field": "fingerprint", "op": "not_in", "values": ["f1"]}, is("device", &["mobile"])]), |envelope, event| {
            envelope.origin.device.kind == "mobile" && event.attributes.get("fingerprint").is_none_or(|fingerprint| fingerprint != "f1")
        }),
        (json!([is("user", &["u1"])]), |envelope, _| envelope.origin.user == "u1"),
        (json!([is("user", &["", "u3"]), is("device", &["mobile"])]), |envelope, _| {
            ["", "u3"].contains(&envelope.origin.user.as_str()) && envelope.origin.device.kind == "mobile"
        }),
        (json!([{"field": "user", "op": "not_in", "values": ["", "u2"]}]), |envelope, _| {
            !["", "u2"].contains(&envelope.origin.user.as_str())
        }),
        (json!([{"field": "route", "op": "not_in", "values": ["/r0", "/r1", "/r2", "/r3"]}]), |envelope, _| {
            envelope.origin.page.route == "/r4"
        }),
    ];
    let mut questions = Vec::new();
    for (n, (filters, meets)) in filters.iter().enumerate() {
        for order in ["newest", "errors", "longest"] {
            for (from, to) in
                [(*BEGIN, *NOW + DAY), (*BEGIN + 20 * HOUR + 7, *BEGIN + 3 * DAY + 11 * HOUR + 13), (*BEGIN + DAY, *BEGIN + 3 * DAY)]
            {
                for (offset, limit) in [(0, 10_000), (15, 40)] {
                    let members = json!({
                        "from": from, "to": to, "order": order, "filters": filters, "offset": offset, "limit": limit,
                        "project": if n % 2 == 0 { "shop" } else { "bank" },
                    });
                    let query: SessionQuery = serde_json::from_value(question(members)).unwrap();
                    questions.push((expected(&requests, &query, meets), query));
                }
            }
        }
    }
    let monitor = Monitor::new();
    monitor.write(&batch("b", requests)).await;
    for (expected, query) in &questions {
        let table = ask(&monitor, query).await;
        assert_eq!(table.stats.source, Source::Events);
        compare(&table, expected, &format!("of events: {query:?}"));
    }
    let database = monitor.admin.database().unwrap().to_owned();
    configuration(&shared().url(), &database).rollup_job().unwrap().build(*NOW).await.unwrap();
    let monitor = monitor.again();
    for (expected, query) in &questions {
        let table = ask(&monitor, query).await;
        assert_eq!(table.stats.source, Source::Rollup);
        compare(&table, expected, &format!("of rollups: {query:?}"));
    }
    assert!(questions.iter().filter(|(expected, _)| expected.len() >= 20).count() > questions.len() / 2);
}

#[tokio::test]
async fn a_session_that_passes_midnight_is_whole_on_a_page_of_the_newest() {
    let moments = [-50, -10, 5, 20];
    let of = |session: &str, id: u128, minute: i64| {
        let mut envelope = request(vec![event(id, |event| (event.kind, event.time) = (Kind::Click, *BEGIN + DAY + minute * MINUTE))]);
        (envelope.origin.session, envelope.origin.visitor) = (session.into(), format!("of {session}"));
        envelope
    };
    let mut requests: Vec<Envelope> = moments.iter().zip(1..).map(|(minute, id)| of("night", id, *minute)).collect();
    requests.push(of("evening", 9, -5));
    let monitor = Monitor::new();
    monitor.write(&batch("b", requests)).await;
    let database = monitor.admin.database().unwrap().to_owned();
    configuration(&shared().url(), &database).rollup_job().unwrap().build(*BEGIN + 3 * DAY).await.unwrap();
    let members = json!({"from": *BEGIN, "to": *BEGIN + 2 * DAY, "limit": 1});
    let table = ask(&monitor, &serde_json::from_value(question(members)).unwrap()).await;
    assert_eq!(table.stats.source, Source::Rollup);
    let row = &table.rows[0];
    assert_eq!(
        (&row[0], &row[3], &row[4], &row[5]),
        (&json!("night"), &json!(*BEGIN + DAY - 50 * MINUTE), &json!(*BEGIN + DAY + 20 * MINUTE), &json!(4))
    );
}
