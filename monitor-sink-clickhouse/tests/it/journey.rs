//! Funnels, retention and paths; lists of sessions and issues; what is stored.

use monitor_core::{
    Event, Kind, Origin, QueryError, Scope,
    query::{FunnelQuery, IssueQuery, IssueState, IssueStatus, PathQuery, RetentionQuery, SessionQuery, Table},
};
use serde_json::{Value, json};

use crate::engine::{DAY, Monitor, NOON, batch, event, question, request};

const MINUTE: i64 = 60_000;

/// What somebody does: visitor, session, and (minute, kind, route).
fn visit(id: &mut u128, visitor: &str, session: &str, steps: &[(i64, Kind, &str)]) -> Vec<monitor_core::Envelope> {
    let mut envelopes = Vec::new();
    for (minute, kind, route) in steps {
        *id += 1;
        let mut envelope = request(vec![event(*id, |event| (event.kind, event.time) = (kind.clone(), NOON + minute * MINUTE))]);
        (envelope.origin.visitor, envelope.origin.session, envelope.origin.page.route) = (visitor.into(), session.into(), (*route).into());
        envelopes.push(envelope);
    }
    envelopes
}

/// Visitor, session and what happens in it.
type Visit<'a> = (&'a str, &'a str, &'a [(i64, Kind, &'a str)]);

async fn with(visits: &[Visit<'_>]) -> Monitor {
    let monitor = Monitor::new();
    let mut id = 0;
    let envelopes = visits.iter().flat_map(|(visitor, session, steps)| visit(&mut id, visitor, session, steps)).collect();
    monitor.write(&batch("b", envelopes)).await;
    monitor
}

async fn funnel(monitor: &Monitor, members: Value) -> Vec<Vec<Value>> {
    let query: FunnelQuery = serde_json::from_value(question(members)).unwrap();
    let table = monitor.store.funnel(&Scope::All, &query).await.unwrap();
    assert_eq!(table.columns, FunnelQuery::COLUMNS);
    table.rows
}

#[tokio::test]
async fn a_funnel_counts_who_makes_the_steps_in_order_and_in_time() {
    use Kind::{Click, PageView as View};
    let monitor = with(&[
        ("all", "s1", &[(0, View, "/"), (2, View, "/cart"), (5, Click, "/cart")]),
        // The first chain runs out of time, a later one does not.
        ("late", "s2", &[(0, View, "/"), (100, View, "/"), (101, View, "/cart"), (104, Click, "/cart")]),
        ("slow", "s3", &[(0, View, "/"), (1, View, "/cart"), (200, Click, "/cart")]),
        ("backwards", "s4", &[(0, Click, "/cart"), (1, View, "/cart"), (2, View, "/")]),
        ("two sessions", "s5", &[(0, View, "/")]),
        ("two sessions", "s6", &[(4, View, "/cart")]),
        // Nobody: neither visitor nor session.
        ("", "", &[(0, View, "/"), (1, View, "/cart")]),
    ])
    .await;
    let route = |route: &str| json!([{"field": "route", "op": "in", "values": [route]}]);
    let steps = json!([
        {"label": "home", "kinds": ["page_view"], "filters": route("/")},
        {"label": "cart", "kinds": ["page_view"], "filters": route("/cart")},
        {"kinds": ["click"]},
    ]);
    let rows = funnel(&monitor, json!({"steps": steps, "within": 10 * MINUTE})).await;
    // Cart after 2, 1, 1 and 4 minutes; click after 3 and 3.
    assert_eq!(
        rows,
        [
            vec![json!(1), json!("home"), json!(5), json!(1.0), json!(1.0), Value::Null],
            vec![json!(2), json!("cart"), json!(4), json!(0.8), json!(0.8), json!(90_000)],
            vec![json!(3), json!(""), json!(2), json!(0.4), json!(0.5), json!(180_000)],
        ]
    );
    let sessions = funnel(&monitor, json!({"steps": steps, "within": 10 * MINUTE, "by": "session"})).await;
    assert_eq!([&sessions[0][2], &sessions[1][2], &sessions[2][2]], [5, 3, 2]);
    let nobody = funnel(&monitor, json!({"steps": [{"kinds": ["csp"]}, {"kinds": ["click"]}]})).await;
    assert_eq!(nobody[0], [json!(1), json!(""), json!(0), Value::Null, Value::Null, Value::Null]);
    // The same step twice takes two events.
    let twice = funnel(&monitor, json!({"steps": [{"filters": route("/")}, {"filters": route("/")}]})).await;
    assert_eq!([&twice[0][2], &twice[1][2]], [5, 1]);
}

#[tokio::test]
async fn retention_counts_who_comes_again_by_period() {
    use Kind::{Click, PageView as View};
    let day = DAY / MINUTE;
    let monitor = with(&[
        ("a", "1", &[(0, View, "/"), (day, View, "/"), (3 * day, View, "/")]),
        ("b", "2", &[(0, Click, "/"), (day, Click, "/")]),
        ("c", "3", &[(day, View, "/"), (2 * day, Click, "/")]),
    ])
    .await;
    let midnight = NOON - NOON % DAY;
    let ask = async |members: Value| {
        let mut all = json!({"from": midnight, "to": midnight + 4 * DAY});
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let query: RetentionQuery = serde_json::from_value(question(all)).unwrap();
        monitor.store.retention(&Scope::All, &query).await.unwrap()
    };
    let table = ask(json!({})).await;
    assert_eq!(table.columns, RetentionQuery::COLUMNS);
    let row =
        |cohort: i64, period: i64, count: u64, share: f64| vec![json!(midnight + cohort * DAY), json!(period), json!(count), json!(share)];
    assert_eq!(
        table.rows,
        [
            row(0, 0, 2, 1.0),
            row(0, 1, 2, 1.0),
            row(0, 2, 0, 0.0),
            row(0, 3, 1, 0.5),
            row(1, 0, 1, 1.0),
            row(1, 1, 1, 1.0),
            row(1, 2, 0, 0.0),
        ]
    );
    // Members by a view, again by a click: only c does so.
    let clicks = ask(json!({"first": {"kinds": ["page_view"]}, "again": {"kinds": ["click"]}})).await;
    assert_eq!(
        clicks.rows,
        [
            row(0, 0, 1, 1.0),
            row(0, 1, 0, 0.0),
            row(0, 2, 0, 0.0),
            row(0, 3, 0, 0.0),
            row(1, 0, 1, 1.0),
            row(1, 1, 1, 1.0),
            row(1, 2, 0, 0.0),
        ]
    );
    // 2024-11-20 is a Wednesday: the week began on Monday before.
    let weeks = ask(json!({"period": "week"})).await;
    assert_eq!(weeks.rows, [vec![json!(midnight - 2 * DAY), json!(0), json!(3), json!(1.0)]]);
}

#[tokio::test]
async fn paths_follow_the_pages_of_a_session() {
    use Kind::{Click, PageView as View};
    let monitor = with(&[
        ("a", "1", &[(0, View, "/"), (1, View, "/"), (2, View, "/list"), (3, Click, "/x"), (4, View, "/item")]),
        ("b", "2", &[(0, View, "/"), (1, View, "/list")]),
        ("c", "3", &[(0, View, "/news"), (1, View, "/"), (2, View, "/item")]),
    ])
    .await;
    let ask = async |members: Value| {
        let query: PathQuery = serde_json::from_value(question(members)).unwrap();
        monitor.store.paths(&Scope::All, &query).await.unwrap()
    };
    let table = ask(json!({"depth": 2})).await;
    assert_eq!(table.columns, PathQuery::COLUMNS);
    let row = |step: u64, source: &str, target: Option<&str>, count: u64, of: f64| {
        vec![json!(step), json!(source), json!(target), json!(count), json!(count as f64 / of)]
    };
    assert_eq!(
        table.rows,
        [
            row(1, "/", Some("/list"), 2, 3.0),
            row(1, "/news", Some("/"), 1, 3.0),
            row(2, "/", Some("/item"), 1, 3.0),
            row(2, "/list", Some("/item"), 1, 3.0),
            row(2, "/list", None, 1, 3.0),
        ]
    );
    let from_home = ask(json!({"start": "/", "limit": 1})).await;
    // A share is of all sessions that got there, also of those whose passages are not listed.
    assert_eq!(from_home.rows, [row(1, "/", Some("/list"), 2, 3.0), row(2, "/item", None, 1, 3.0), row(3, "/item", None, 1, 1.0)]);
}

#[tokio::test]
async fn sessions_are_listed_with_what_happened_in_them() {
    use Kind::{Click, Error, PageView as View};
    let monitor = with(&[
        ("a", "one", &[(0, View, "/"), (1, Error, "/"), (2, View, "/cart")]),
        ("b", "two", &[(5, Click, "/x"), (6, Click, "/y")]),
        ("c", "three", &[(-9, View, "/"), (1, Error, "/"), (1, Error, "/")]),
    ])
    .await;
    let ask = async |members: Value| -> Table {
        let query: SessionQuery = serde_json::from_value(question(members)).unwrap();
        monitor.store.sessions(&Scope::All, &query).await.unwrap()
    };
    let names = |table: &Table| table.rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let table = ask(json!({})).await;
    assert_eq!(table.columns, SessionQuery::COLUMNS);
    assert_eq!(names(&table), ["two", "one", "three"]);
    let one = json!(["one", "a", "", NOON, NOON + 2 * MINUTE, 3, 2, 1, 0, 0, 0, "/", "/cart", "", "", "", "", ""]);
    assert_eq!(Value::from(table.rows[1].clone()), one);
    assert_eq!([&table.rows[0][11], &table.rows[0][12]], ["/x", "/y"], "without views: the first and the last event");
    assert_eq!(names(&ask(json!({"order": "errors"})).await), ["three", "one", "two"]);
    assert_eq!(names(&ask(json!({"order": "longest"})).await), ["three", "one", "two"]);
    assert_eq!(names(&ask(json!({"limit": 1, "offset": 1})).await), ["one"]);
    // Listed when one event meets the filters, counted with all.
    let failing = ask(json!({"filters": [{"field": "kind", "op": "in", "values": ["error"]}]})).await;
    assert_eq!((names(&failing), &failing.rows[0][5]), (vec!["one".to_owned(), "three".to_owned()], &json!(3)));
    // Of the range only.
    let early = ask(json!({"to": NOON + 1})).await;
    assert_eq!((names(&early), &early.rows[1][5]), (vec!["one".to_owned(), "three".to_owned()], &json!(1)));
}

fn failure(id: u128, minute: i64, fingerprint: &str, message: &str, release: &str) -> monitor_core::Envelope {
    let mut envelope = request(vec![event(id, |event: &mut Event| {
        (event.kind, event.name, event.time) = (Kind::Error, "TypeError".into(), NOON + minute * MINUTE);
        event.attributes.insert("fingerprint".into(), fingerprint.into());
        event.attributes.insert("message".into(), message.into());
    })]);
    (envelope.origin.visitor, envelope.origin.session, envelope.origin.release) =
        (format!("v{}", id % 2), format!("s{}", id % 3), release.into());
    envelope
}

#[tokio::test]
async fn issues_are_counted_in_the_range_and_dated_by_all_that_is_kept() {
    let monitor = Monitor::new();
    let envelopes = vec![
        failure(1, -60, "f1", "old words", "1.0"),
        failure(2, 0, "f1", "x is undefined", "1.1"),
        failure(3, 23, "f1", "y is undefined", "1.2"),
        failure(4, 1, "f2", "Boom 100%", "1.1"),
        failure(5, 90, "f2", "later", "1.3"),
        failure(6, 1, "", "without a group", "1.1"),
    ];
    monitor.write(&batch("b", envelopes)).await;
    let ask = async |members: Value| -> Table {
        let mut all = json!({"from": NOON, "to": NOON + 24 * MINUTE});
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let query: IssueQuery = serde_json::from_value(question(all)).unwrap();
        monitor.store.issues(&Scope::All, &query).await.unwrap()
    };
    let names = |table: &Table| table.rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let table = ask(json!({})).await;
    assert_eq!(table.columns, IssueQuery::COLUMNS);
    let mut spark = vec![0; 24];
    (spark[0], spark[23]) = (1, 1);
    let first =
        json!(["f1", "error", "TypeError", "y is undefined", "open", 2, 2, 2, NOON - 60 * MINUTE, NOON + 23 * MINUTE, "1.0", "1.2", spark]);
    assert_eq!(Value::from(table.rows[0].clone()), first);
    assert_eq!(names(&table), ["f1", "f2"]);
    assert_eq!(table.rows[1][9], NOON + 90 * MINUTE, "seen last after the range");
    // To the end of the last day: nothing is later.
    let of_day = async |search: &str| ask(json!({"to": NOON + 12 * 60 * MINUTE, "search": search})).await;
    assert_eq!(of_day("").await.rows[0][2..4], ["TypeError", "later"]);
    assert_eq!((names(&of_day("later").await), names(&of_day("boom").await)), (vec!["f2".to_owned()], vec![]));
    assert_eq!(names(&ask(json!({"order": "last_seen"})).await), ["f2", "f1"]);
    assert_eq!(names(&ask(json!({"order": "first_seen"})).await), ["f2", "f1"]);
    assert_eq!(names(&ask(json!({"search": "BOOM 100%"})).await), ["f2"]);
    assert_eq!(names(&ask(json!({"search": "typeerror", "limit": 1})).await), ["f1"]);
    let filtered = ask(json!({"filters": [{"field": "release", "op": "in", "values": ["1.2"]}]})).await;
    assert_eq!((names(&filtered), &filtered.rows[0][5]), (vec!["f1".to_owned()], &json!(1)));

    let decide = async |fingerprint: &str, status: IssueStatus, at: i64| {
        let state = IssueState { project: "shop".into(), fingerprint: fingerprint.into(), status };
        monitor.store.set_issue(&Scope::All, &state, at).await.unwrap();
    };
    let states = async || ask(json!({})).await.rows.iter().map(|row| row[4].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    decide("f1", IssueStatus::Ignored, NOON).await;
    decide("f2", IssueStatus::Resolved, NOON + 89 * MINUTE).await;
    assert_eq!(states().await, ["ignored", "regressed"]);
    assert_eq!(names(&ask(json!({"status": ["regressed", "resolved"]})).await), ["f2"]);
    // The latest decision counts, whichever was written last.
    decide("f2", IssueStatus::Resolved, NOON + 91 * MINUTE).await;
    decide("f2", IssueStatus::Ignored, NOON + 90 * MINUTE).await;
    decide("f1", IssueStatus::Open, NOON + 1).await;
    assert_eq!(states().await, ["open", "resolved"]);
    let foreign = IssueState { project: "shop".into(), fingerprint: "f1".into(), status: IssueStatus::Ignored };
    let refused = monitor.store.set_issue(&Scope::Projects(vec!["bank".into()]), &foreign, NOON).await;
    assert!(matches!(refused, Err(QueryError::NotFound)));
}

#[tokio::test]
async fn s05_no_question_shows_another_project() {
    use Kind::{Click, Error, PageView as View};
    let monitor = with(&[("a", "1", &[(0, View, "/"), (1, Error, "/"), (2, Click, "/")])]).await;
    let mut foreign = failure(99, 0, "f1", "secret", "9.9");
    let (session, visitor) = (foreign.origin.session.clone(), foreign.origin.visitor.clone());
    foreign.origin = Origin::new("bank", NOON);
    (foreign.origin.session, foreign.origin.visitor) = (session, visitor);
    monitor.write(&batch("bank", vec![foreign])).await;
    for scope in [Scope::Projects(vec!["bank".into()]), Scope::Projects(vec![])] {
        let funnel: FunnelQuery = serde_json::from_value(question(json!({"steps": [{}, {}]}))).unwrap();
        let retention: RetentionQuery = serde_json::from_value(question(json!({"from": NOON, "to": NOON + DAY}))).unwrap();
        let paths: PathQuery = serde_json::from_value(question(json!({}))).unwrap();
        let sessions: SessionQuery = serde_json::from_value(question(json!({}))).unwrap();
        let issues: IssueQuery = serde_json::from_value(question(json!({}))).unwrap();
        let answers = [
            monitor.store.funnel(&scope, &funnel).await,
            monitor.store.retention(&scope, &retention).await,
            monitor.store.paths(&scope, &paths).await,
            monitor.store.sessions(&scope, &sessions).await,
            monitor.store.issues(&scope, &issues).await,
        ];
        assert!(answers.iter().all(|answer| matches!(answer, Err(QueryError::NotFound))), "{answers:?}");
    }
    let issues: IssueQuery = serde_json::from_value(question(json!({}))).unwrap();
    assert!(
        monitor.store.issues(&Scope::All, &issues).await.unwrap().rows.is_empty(),
        "its errors have no group, those of the bank are not shown"
    );
    let sessions: SessionQuery = serde_json::from_value(question(json!({}))).unwrap();
    assert_eq!(monitor.store.sessions(&Scope::All, &sessions).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn storage_is_told_by_table() {
    let monitor = with(&[("a", "1", &[(0, Kind::PageView, "/"), (DAY / MINUTE, Kind::PageView, "/")])]).await;
    let table = monitor.store.storage(&Scope::All).await.unwrap();
    assert_eq!(table.columns, monitor_core::query::STORAGE_COLUMNS);
    let events = table.rows.iter().find(|row| row[0] == "events").unwrap();
    assert_eq!((&events[1], &events[3]), (&json!(2), &json!(NOON - NOON % DAY)));
    assert!(events[2].as_u64().unwrap() > 1_000);
}
