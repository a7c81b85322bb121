//! The service from outside: over real sockets, mounted in other servers, and when things go wrong.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something else than it expects fails"
)]

mod common;

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{Client, EVENTS, Scene, envelope, eventually, get, post, quick, scene, scene_with, serve};
use flate2::{Compression, write::GzEncoder};
use monitor_core::{
    Document, Enricher, Envelope, Event, EventId, Kind, Labelled, Origin, QueryError, Scope, SendError, Store, Total, Transport, Verdict,
    query::{EventPage, EventQuery, Query, Table},
    testing::Fragile,
};
use monitor_http::{ClientAddr, Config, HttpService, access};
use serde_json::json;
use tokio::net::TcpListener;

/// Answers every table with the number of measures it was asked for, and fails as it is told.
struct EchoStore(Option<fn() -> QueryError>);

#[async_trait]
impl Store for EchoStore {
    async fn query(&self, _scope: &Scope, query: &Query) -> Result<Table, QueryError> {
        match self.0 {
            Some(error) => Err(error()),
            None => Ok(Table { columns: query.columns(), rows: vec![vec![json!(query.measures.len())]], ..Table::default() }),
        }
    }

    async fn events(&self, _scope: &Scope, _query: &EventQuery) -> Result<EventPage, QueryError> {
        let mut error = Event::new(EventId(1), 5, Kind::Error, "TypeError");
        let data = json!({
            "message": "cart is gone",
            "stack": "TypeError: cart is gone\n    at Cart.add (https://shop.example/app.js:10:22)",
            "causes": [{"name": "NetworkError", "message": "no answer", "stack": "load@https://shop.example/net.js:1:2"}],
        });
        error.data = serde_json::value::to_raw_value(&data).unwrap();
        Ok(EventPage { events: vec![Document::new(&Origin::new("shop", 6), &error)], ..EventPage::default() })
    }

    async fn is_available(&self) -> bool {
        true
    }
}

/// May read one project with this token.
struct OneProject;

#[async_trait]
impl access::ReadAccess for OneProject {
    async fn identify(&self, request: &http::request::Parts) -> Option<Scope> {
        let token = request.headers.get("authorization")?;
        (token == "Bearer shop-reader").then(|| Scope::Projects(vec!["shop".into()]))
    }
}

fn reading(store: EchoStore, access: Arc<dyn access::ReadAccess>) -> Scene {
    scene_with(vec![], None, |builder| builder.store(Arc::new(store)).access(access).config(quick().0))
}

fn question(project: &str) -> String {
    json!({"project": project, "from": 0, "to": 1000, "measures": ["count", "p75"]}).to_string()
}

const READER: &[&str] = &["Authorization: Bearer shop-reader"];

#[test]
fn a_reader_gets_answers_about_its_own_projects_only() {
    let scene = reading(EchoStore(None), Arc::new(OneProject));
    let server = serve(scene.service.clone().under("/monitor"), quick().1);
    let answer = server.ask(post("/monitor/query", READER, question("shop").as_bytes()));
    assert_eq!((answer.status, &answer.json()["columns"]), (200, &json!(["count", "p75"])));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    // Another's project and one that does not exist are the same thing.
    let other = server.ask(post("/monitor/query", READER, question("closed").as_bytes()));
    let none = server.ask(post("/monitor/query", READER, question("nothing").as_bytes()));
    assert_eq!((other.status, other.body), (404, none.body.clone()));
    assert_eq!((none.status, none.code()), (404, "not_found".into()));

    let events = json!({"project": "shop", "from": 0, "to": 1000}).to_string();
    assert_eq!(server.ask(post("/monitor/query/events", READER, events.as_bytes())).status, 200);

    let projects = server.ask(get("/monitor/query/projects", READER)).json();
    let dsn = "http://public-key@localhost/monitor/shop";
    assert_eq!(projects, json!({"projects": [{"id": "shop", "name": "Demo shop", "dsn": dsn, "key": "public-key", "role": "viewer"}]}));
}

#[test]
fn errors_come_with_their_stacks_in_frames() {
    let scene = reading(EchoStore(None), access::open());
    let server = serve(scene.service.clone(), quick().1);
    let answer = server.ask(post("/query/events", &[], br#"{"project":"shop","from":0,"to":9}"#));
    let event = &answer.json()["events"][0];
    let exceptions = &event["exceptions"];
    assert_eq!((&exceptions[0]["role"], &exceptions[0]["message"]), (&json!("error"), &json!("cart is gone")));
    let frame = json!({"function": "Cart.add", "file": "https://shop.example/app.js", "line": 10, "column": 22, "in_app": true});
    assert_eq!(exceptions[0]["frames"], json!([frame]));
    assert_eq!((&exceptions[1]["role"], &exceptions[1]["frames"][0]["function"]), (&json!("cause"), &json!("load")));
    assert!(event["data"]["stack"].as_str().is_some_and(|stack| stack.contains("Cart.add")), "the text stays");
}

#[test]
fn who_is_not_known_reads_nothing() {
    for access in [Arc::new(OneProject) as Arc<dyn access::ReadAccess>, access::closed(), access::token("secret")] {
        let scene = reading(EchoStore(None), access);
        let server = serve(scene.service.clone(), quick().1);
        for request in [
            post("/query", &[], question("shop").as_bytes()),
            post("/query/events?key=public-key", &["Authorization: Bearer public-key"], b"{}"),
            get("/query/projects", &[]),
            get("/live?project=shop", &[]),
        ] {
            let answer = server.ask(request);
            assert_eq!((answer.status, answer.code()), (401, "unauthorized".into()));
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
}

#[test]
fn a_wrong_question_is_told_what_is_wrong() {
    let scene = reading(EchoStore(None), access::open());
    let server = serve(scene.service.clone(), quick().1);
    for (body, part) in [
        (json!({"project": "shop", "from": 0, "to": 1, "measures": ["count"], "group_by": ["colour"]}), "colour"),
        (json!({"project": "shop", "from": 1, "to": 0, "measures": ["count"]}), ""),
        (json!({"project": "shop", "from": 0, "to": 1, "measures": []}), "measures"),
        (json!("x"), "expected"),
    ] {
        let answer = server.ask(post("/query", &[], body.to_string().as_bytes()));
        assert_eq!((answer.status, answer.code()), (400, "bad_query".into()), "{body}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(part), "{}", answer.text());
    }
    assert_eq!(server.ask(get("/query", &[])).header("allow"), Some("POST"));
    let cross = server.ask(post("/query", &["Sec-Fetch-Site: cross-site"], question("shop").as_bytes()));
    assert_eq!((cross.status, cross.code()), (403, "cross_site".into()));
}

#[test]
fn failures_of_the_store_have_stable_codes_and_no_details() {
    type Failure = fn() -> QueryError;
    let cases: [(Failure, u16, &str); 4] = [
        (|| QueryError::Unavailable("ch-3.internal refused".into()), 503, "unavailable"),
        (|| QueryError::Failed("Code: 47. DB::Exception".into()), 500, "store_failed"),
        (|| QueryError::TooExpensive("it reads too much".into()), 422, "too_expensive"),
        (|| QueryError::Invalid("no such column".into()), 400, "bad_query"),
    ];
    for (error, status, code) in cases {
        let scene = reading(EchoStore(Some(error)), access::open());
        let server = serve(scene.service.clone(), quick().1);
        let answer = server.ask(post("/query", &[], question("shop").as_bytes()));
        assert_eq!((answer.status, answer.code()), (status, code.into()));
        assert!(!answer.text().contains("internal") && !answer.text().contains("DB::"), "{}", answer.text());
    }
}

#[test]
fn live_viewers_see_events_when_they_are_accepted() {
    let scene = reading(EchoStore(None), access::open());
    let server = serve(scene.service.clone(), quick().1);
    let mut viewer = server.connect();
    viewer.send(&get("/live?project=shop&kinds=track%2Cclick", &[]));
    let hello = viewer.text_until(": connected");
    assert!(hello.contains("text/event-stream") && hello.contains(": connected"), "{hello}");
    assert_eq!(server.ask(post(EVENTS, &[], envelope(&["seen live"]).as_bytes())).status, 202);
    let text = viewer.text_until("seen live");
    assert!(text.contains("event: events\ndata: [{") && text.contains("seen live"), "{text}");
    assert_eq!(server.ask(get("/live?project=nothing", &[])).status, 404);
    assert_eq!(server.ask(get("/live?project=shop&kinds=A+B", &[])).status, 400);
    // A shutdown ends the stream and does not wait for it.
    let start = Instant::now();
    let mut server = server;
    server.stop();
    assert!(viewer.closes_within(Duration::from_secs(3)));
    drop(viewer);
    assert!(server.join() && start.elapsed() < Duration::from_secs(3));
}

#[test]
fn what_was_taken_and_refused_adds_up() {
    struct DropClicks;
    impl Enricher for DropClicks {
        fn name(&self) -> &'static str {
            "drop_clicks"
        }
        fn enrich(&self, event: &mut Event, _origin: &Origin) -> Verdict {
            if event.kind.as_str() == "click" { Verdict::Drop("unwanted") } else { Verdict::Keep }
        }
    }
    let scene = scene_with(vec![Box::new(DropClicks)], None, |builder| builder);
    let server = serve(scene.service.clone(), quick().1);
    let body = json!({
        "v": 1,
        "discarded": [{"reason": "Queue overflow", "kind": "vital", "count": 3}],
        "events": [{"kind": "track"}, 7, {"kind": "click"}, {"kind": "Bad"}, {"kind": "track"}, {"kind": "click"}],
    });
    let answer = server.ask(post(EVENTS, &["User-Agent: tester/1"], body.to_string().as_bytes()));
    let rejected: Vec<_> = answer.json()["rejected"].as_array().unwrap().iter().map(|r| (r["index"].clone(), r["code"].clone())).collect();
    assert_eq!(answer.json()["accepted"], 2);
    let expected = [(1, "not_an_object"), (2, "unwanted"), (3, "bad_kind"), (5, "unwanted")];
    assert_eq!(rejected, expected.map(|(n, code)| (json!(n), json!(code))));

    let counts = &scene.counts;
    let rejected = counts.sum(Labelled::Rejected);
    assert_eq!((rejected, counts.sum(Labelled::Dropped), counts.total(Total::Accepted)), (2, 2, 2));
    assert_eq!(counts.total(Total::Received), 6);
    assert_eq!(counts.labelled(Labelled::ClientDiscarded, "queue_overflow"), 3);
    assert_eq!((counts.total(Total::Requests), counts.total(Total::RequestBytes)), (1, body.to_string().len() as u64));
    let events = scene.transport.events();
    assert_eq!((events[0].user_agent.as_str(), events[0].ip.as_str()), ("tester/1", "127.0.0.1"));
}

#[test]
fn losses_can_be_reported_without_events() {
    let scene = scene(quick().0);
    let server = serve(scene.service.clone(), quick().1);
    let body =
        r#"{"v":1,"discarded":[{"reason":"sample_rate","kind":"click","count":7},{"reason":"queue_overflow","count":2}],"events":[]}"#;
    let answer = server.ask(post(EVENTS, &[], body.as_bytes()));
    assert_eq!((answer.status, answer.json()), (202, json!({"accepted": 0, "rejected": []})));
    let discarded = |reason| scene.counts.labelled(Labelled::ClientDiscarded, reason);
    assert_eq!((discarded("sample_rate"), discarded("queue_overflow")), (7, 2));
    assert_eq!(scene.counts.total(Total::Received), 0);
    assert!(scene.transport.events().is_empty());
}

#[test]
fn a_compressed_body_needs_no_header_at_all() {
    let scene = scene(quick().0);
    let server = serve(scene.service.clone(), quick().1);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(envelope(&["packed"]).as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    // A `Uint8Array` is sent without a content type.
    let head = format!("POST {EVENTS}&encoding=gzip HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", packed.len());
    let answer = server.ask([head.into_bytes(), packed].concat());
    assert_eq!((answer.status, scene.transport.events()[0].name.as_str()), (202, "packed"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("Retry-After"));
}

#[test]
fn a_full_transport_is_answered_with_503_and_a_time() {
    let scene = scene(quick().0);
    let server = serve(scene.service.clone(), quick().1);
    assert_eq!(server.ask(get("/readyz", &[])).status, 200);
    scene.transport.set_full(true);
    let answer = server.ask(post(EVENTS, &[], envelope(&["x"]).as_bytes()));
    assert_eq!((answer.status, answer.code()), (503, "not_ready".into()));
    assert!(answer.header("retry-after").is_some() && answer.header("access-control-allow-origin") == Some("*"));
    assert_eq!(server.ask(get("/readyz", &[])).status, 503);
    assert_eq!(server.ask(get("/livez", &[])).status, 200);
    scene.transport.set_full(false);
    assert_eq!(server.ask(post(EVENTS, &[], envelope(&["x"]).as_bytes())).status, 202);
    assert_eq!(scene.counts.labelled(Labelled::RequestsRefused, "not_ready"), 1);
}

#[test]
fn an_image_comes_when_it_is_decided_and_does_not_when_it_should_come_again() {
    let scene = scene(quick().0);
    let server = serve(scene.service.clone(), quick().1);
    let pixel = |key: &str| {
        let envelope = "eyJ2IjoxLCJldmVudHMiOlt7ImtpbmQiOiJjbGljayIsIm5hbWUiOiJ4In1dfQ";
        let answer = server.ask(get(&format!("/api/shop/pixel.gif?key={key}&d={envelope}"), &[]));
        (answer.status, answer.header("content-type").unwrap_or_default().to_owned())
    };
    assert_eq!(pixel("public-key"), (202, "image/gif".into()));
    assert_eq!(pixel("another-key"), (403, "image/gif".into()));
    scene.transport.set_full(true);
    assert_eq!(pixel("public-key"), (503, "application/json".into()));
}

/// Says that it is ready and then does something else.
struct Stubborn(fn() -> Result<(), SendError>, Duration);

#[async_trait]
impl Transport for Stubborn {
    async fn send(&self, _envelope: Envelope) -> Result<(), SendError> {
        tokio::time::sleep(self.1).await;
        (self.0)()
    }
    async fn flush(&self, _within: Duration) -> bool {
        true
    }
    async fn close(&self, _within: Duration) -> bool {
        true
    }
    fn is_ready(&self) -> bool {
        true
    }
}

fn over(transport: Stubborn) -> Scene {
    scene_with(vec![], Some(Arc::new(transport)), |builder| builder.config(quick().0))
}

#[test]
fn every_refusal_of_the_transport_is_told() {
    type Outcome = fn() -> Result<(), SendError>;
    let cases: [(Outcome, &str); 3] = [
        (|| Err(SendError::Full { what: "disk" }), "disk_full"),
        (|| Err(SendError::Closed), "shutting_down"),
        (|| Err(SendError::Failed("disk error at /dev/x".into())), "spool_failed"),
    ];
    for (outcome, code) in cases {
        let scene = over(Stubborn(outcome, Duration::ZERO));
        let server = serve(scene.service.clone(), quick().1);
        let answer = server.ask(post(EVENTS, &[], envelope(&["x"]).as_bytes()));
        assert_eq!((answer.status, answer.code()), (503, code.into()));
        assert!(!answer.text().contains("/dev"));
        assert_eq!((scene.counts.total(Total::Accepted), scene.counts.total(Total::Received)), (0, 0));
    }
}

#[test]
fn a_panic_is_one_answer_and_not_the_end() {
    let scene = over(Stubborn(|| panic!("on purpose"), Duration::ZERO));
    let server = serve(scene.service.clone(), quick().1);
    for _ in 0..2 {
        let answer = server.ask(post(EVENTS, &[], envelope(&["x"]).as_bytes()));
        assert_eq!((answer.status, answer.code()), (500, "internal".into()));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    assert_eq!(scene.counts.labelled(Labelled::RequestsRefused, "internal"), 2);
}

#[test]
fn an_enricher_that_panics_costs_the_event_and_is_not_asked_again_by_the_sender() {
    let scene = scene_with(vec![Box::new(Fragile)], None, |builder| builder);
    let server = serve(scene.service.clone(), quick().1);
    let answer = server.ask(post(EVENTS, &[], envelope(&["a", "bad", "b"]).as_bytes()));
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &json!(2)));
    assert_eq!((&answer.json()["rejected"][0]["index"], &answer.json()["rejected"][0]["code"]), (&json!(1), &json!("enricher_panicked")));
    let answer = server.ask(post(EVENTS, &["User-Agent: bad"], envelope(&["a", "b"]).as_bytes()));
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &json!(0)));
    let counts = &scene.counts;
    assert_eq!((counts.total(Total::Received), counts.total(Total::Accepted)), (5, 2));
    assert_eq!((counts.labelled(Labelled::Dropped, "enricher_panicked"), counts.sum(Labelled::RequestsRefused)), (3, 0));
}

#[test]
fn the_host_has_a_say_in_readiness() {
    let runs = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = runs.clone();
    let scene = scene_with(vec![], None, |builder| builder.readiness(move || asked.load(std::sync::atomic::Ordering::SeqCst)));
    let server = serve(scene.service.clone(), quick().1);
    assert_eq!(server.ask(get("/readyz", &[])).status, 200);
    runs.store(false, std::sync::atomic::Ordering::SeqCst);
    let answer = server.ask(get("/readyz", &[]));
    assert_eq!((answer.status, answer.code()), (503, "not_ready".into()));
    assert_eq!(server.ask(get("/livez", &[])).status, 200);
    assert_eq!(server.ask(post(EVENTS, &[], envelope(&["x"]).as_bytes())).status, 202, "what comes is safe all the same");
}

#[test]
fn nothing_panics_when_it_may_take_for_ever() {
    let (mut config, mut limits) = quick();
    (config.body_timeout, config.body_grace) = (Duration::MAX, Duration::MAX);
    (limits.head_timeout, limits.write_timeout, limits.grace) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let scene = scene(config);
    let server = serve(scene.service.clone(), limits);
    assert_eq!(server.ask(post(EVENTS, &[], envelope(&["x"]).as_bytes())).status, 202);
    assert!(server.join());
}

#[test]
fn a_shutdown_answers_what_was_read_and_refuses_the_rest() {
    let scene = over(Stubborn(|| Ok(()), Duration::from_millis(1_200)));
    let mut server = serve(scene.service.clone(), quick().1);
    let whole = post(EVENTS, &[], envelope(&["whole"]).as_bytes());
    let mut complete = server.connect();
    complete.send(&whole);
    let mut half = server.connect();
    half.send(&whole[..whole.len() - 10]);
    let mut idle = server.connect();
    idle.send(&get("/livez", &[]));
    assert_eq!(idle.response().unwrap().status, 200);
    std::thread::sleep(Duration::from_millis(300));
    server.stop();
    let refused = half.response().unwrap();
    assert_eq!((refused.status, refused.code()), (503, "shutting_down".into()));
    assert_eq!(refused.header("connection"), Some("close"));
    assert_eq!(complete.response().unwrap().status, 202);
    assert!(idle.closes_within(Duration::from_secs(1)));
    assert!(server.join());
    assert_eq!(scene.counts.total(Total::Accepted), 1);
}

#[test]
fn a_refused_request_does_not_cost_the_connection() {
    let server = serve(scene(quick().0).service, quick().1);
    let mut client = server.connect();
    let refused = post("/api/shop/events?key=nobody", &[], &vec![b' '; 60_000]);
    client.send(&refused[..30_000]);
    std::thread::sleep(Duration::from_millis(50));
    client.send(&refused[30_000..]);
    assert_eq!(client.response().unwrap().status, 403);
    client.send(&post(EVENTS, &[], envelope(&["x"]).as_bytes()));
    assert_eq!(client.response().unwrap().status, 202);
}

#[test]
fn a_client_that_hangs_up_is_counted() {
    let scene = over(Stubborn(|| Ok(()), Duration::from_millis(300)));
    let server = serve(scene.service.clone(), quick().1);
    let whole = post(EVENTS, &[], envelope(&["x"]).as_bytes());
    let mut client = server.connect();
    client.send(&whole[..whole.len() - 5]);
    std::thread::sleep(Duration::from_millis(50));
    drop(client);
    assert!(eventually(|| scene.counts.labelled(Labelled::RequestsRefused, "client_abort") == 1));
}

#[test]
fn projects_and_clients_have_rates_of_their_own() {
    let (mut config, server_config) = quick();
    config.requests_per_second_per_client = Some(5);
    let scene = scene(config);
    let server = serve(scene.service.clone(), server_config);
    let slow = "/api/slow/events?key=slow-key";
    assert_eq!(server.ask(post(slow, &[], envelope(&["a", "b", "c"]).as_bytes())).status, 202);
    let refused = server.ask(post(slow, &[], envelope(&["a"]).as_bytes()));
    assert_eq!((refused.status, refused.code()), (429, "rate_limited".into()));
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&after), "{after}");
    assert_eq!(refused.header("access-control-expose-headers"), Some("Retry-After"));

    // The other project still has its rate, until the client itself is too fast.
    let statuses: Vec<_> = (0..40).map(|_| server.ask(post(EVENTS, &[], envelope(&["a"]).as_bytes())).status).collect();
    assert_eq!(statuses[0], 202);
    assert!(statuses.iter().filter(|status| **status == 429).count() > 10, "{statuses:?}");
    assert_eq!(server.ask(get("/livez", &[])).status, 200);
}

#[test]
fn behind_a_trusted_proxy_each_client_has_its_own_address_and_rate() {
    let (mut config, server_config) = quick();
    config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    config.requests_per_second_per_client = Some(1);
    let scene = scene(config);
    let server = serve(scene.service.clone(), server_config);
    let send = |hops: &str| {
        let forwarded = format!("X-Forwarded-For: {hops}");
        server.ask(post(EVENTS, &[&forwarded], envelope(&["x"]).as_bytes())).status
    };
    // An attacker cannot use up the rate of an address that it only claims to be.
    let attacks: Vec<_> = (0..4).map(|_| send("192.0.2.1, 198.51.100.9")).collect();
    assert_eq!(attacks, [202, 202, 429, 429]);
    assert_eq!(send("192.0.2.1"), 202);
    let addresses: Vec<_> = scene.transport.events().iter().map(|event| event.ip.clone()).collect();
    assert_eq!(addresses, ["198.51.100.9", "198.51.100.9", "192.0.2.1"]);
}

#[test]
fn bodies_together_may_not_take_more_than_the_budget() {
    let (mut config, server_config) = quick();
    config.in_flight_bytes = 10_000;
    let scene = scene(config);
    let server = serve(scene.service.clone(), server_config);
    let mut body = envelope(&["x"]).into_bytes();
    body.resize(9_000, b' ');
    let mut holding = server.connect();
    let request = post(EVENTS, &[], &body);
    holding.send(&request[..request.len() - 1]);
    std::thread::sleep(Duration::from_millis(300));
    let refused = server.ask(post(EVENTS, &[], &body));
    assert_eq!((refused.status, refused.code()), (503, "overloaded".into()));
    holding.send(&request[request.len() - 1..]);
    assert_eq!(holding.response().unwrap().status, 202);
    assert_eq!(server.ask(post(EVENTS, &[], &body)).status, 202);
}

#[test]
fn connections_are_capped_for_each_client() {
    let (config, mut server_config) = quick();
    server_config.connections_per_client = 2;
    let scene = scene(config);
    let server = serve(scene.service.clone(), server_config);
    let open: Vec<Client> = (0..2).map(|_| server.connect()).collect();
    assert!(server.connect().closes_within(Duration::from_secs(3)));
    assert_eq!(scene.counts.labelled(Labelled::RequestsRefused, "too_many_connections"), 1);
    drop(open);
    let is_let_in = || {
        let mut client = server.connect();
        client.send(&get("/livez", &[]));
        client.response().is_some_and(|response| response.status == 200)
    };
    assert!(eventually(is_let_in));
}

#[test]
fn a_connection_ends_after_its_requests() {
    let (config, mut server_config) = quick();
    server_config.requests_per_connection = 2;
    let server = serve(scene(config).service, server_config);
    let mut client = server.connect();
    client.send(&[get("/livez", &[]), get("/livez", &[]), get("/livez", &[])].concat());
    assert_eq!(client.response().unwrap().header("connection"), None);
    assert_eq!(client.response().unwrap().header("connection"), Some("close"));
    assert!(client.response().is_none());
}

#[test]
fn each_part_has_its_paths_and_no_others() {
    let scene = reading(EchoStore(None), access::open());
    let paths: [(&str, Vec<u8>); 6] = [
        ("ingest", post(EVENTS, &[], envelope(&["x"]).as_bytes())),
        ("ingest", get("/sdk/monitor.js", &[])),
        ("reader", get("/", &[])),
        ("reader", get("/query/projects", &[])),
        ("reader", post("/query", &[], question("shop").as_bytes())),
        ("internal", get("/metrics", &[])),
    ];
    let parts = [("ingest", scene.service.ingest()), ("reader", scene.service.reader()), ("internal", scene.service.internal())];
    for (part, service) in parts {
        let server = serve(service, quick().1);
        for (of, request) in &paths {
            let status = server.ask(request).status;
            let line = String::from_utf8_lossy(request).lines().next().unwrap().to_owned();
            assert_eq!(status != 404, *of == part, "{part} answers {line} with {status}");
        }
        assert_eq!(server.ask(get("/livez", &[])).status, 200);
    }
}

#[test]
fn metrics_are_text_for_prometheus() {
    let scene = reading(EchoStore(None), access::open());
    let public = serve(scene.service.clone(), quick().1);
    assert_eq!(public.ask(post(EVENTS, &[], envelope(&["a", "b"]).as_bytes())).status, 202);
    let internal = serve(scene.service.internal(), quick().1);
    let answer = internal.ask(get("/metrics", &[]));
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(answer.text().contains("monitor_events_accepted_total 2\n"), "{}", answer.text());
    assert!(answer.text().contains("monitor_in_flight_bytes 0\n") && answer.text().ends_with("# EOF\n"));
}

#[test]
fn the_dashboard_is_framed_by_nobody_and_runs_only_its_own_scripts() {
    let scene = reading(EchoStore(None), access::closed());
    let server = serve(scene.service.clone().under("monitor/"), quick().1);
    let page = server.ask(get("/monitor/", &[]));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self' 'sha256-", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")] {
        assert_eq!(page.header(name), Some(value));
    }
    for name in ["access-control-allow-origin", "server"] {
        assert_eq!(page.header(name), None);
    }
    let bare = server.ask(get("/monitor?tab=errors", &[]));
    assert_eq!((bare.status, bare.header("location")), (308, Some("/monitor/?tab=errors")));
    for path in ["/monitor/../Cargo.toml", "/monitor/%2e%2e/x", "/monitor/nothing.js", "/monitorx/"] {
        assert_eq!(server.ask(get(path, &[])).status, 404, "{path}");
    }
    let script = server.ask(get("/monitor/sdk/monitor.js", &["Origin: https://shop.example"]));
    assert_eq!((script.status, script.header("access-control-allow-origin")), (200, Some("*")));
    assert_eq!(script.header("cross-origin-resource-policy"), Some("cross-origin"));
    let head = server.ask("HEAD /monitor/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, page.header("content-length")));
}

#[tokio::test]
async fn it_mounts_in_axum_with_and_without_the_prefix() {
    let scene = scene(Config::default());
    let mounted = scene.service.clone().under("/monitor");
    let app: axum::Router = axum::Router::new().nest_service("/monitor", mounted.clone()).nest_service("/other", scene.service.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let statuses = tokio::task::spawn_blocking(move || {
        ["/monitor", "/other"].map(|prefix| {
            let mut client = Client::new(address);
            client.send(&post(&format!("{prefix}{EVENTS}"), &[], envelope(&["x"]).as_bytes()));
            let taken = client.response().unwrap().status;
            client.send(&get(&format!("{prefix}/"), &[]));
            let page = client.response().unwrap().status;
            client.send(&web_socket_request(&format!("{prefix}/api/shop/ws?key=public-key")));
            (taken, page, client.response().unwrap().status)
        })
    });
    assert_eq!(statuses.await.unwrap(), [(202, 200, 101); 2]);
    assert_eq!(scene.transport.events().len(), 2);
    server.abort();
}

#[tokio::test]
async fn a_live_viewer_does_not_hold_up_the_shutdown_of_axum() {
    let scene = scene_with(vec![], None, |builder| builder.store(Arc::new(EchoStore(None))).access(access::open()));
    let app: axum::Router = axum::Router::new().nest_service("/monitor", scene.service.clone().under("/monitor"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = scene.service.clone();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _stopped = stopped.await;
        service.close();
    });
    let server = tokio::spawn(serving.into_future());
    let viewer = tokio::task::spawn_blocking(move || {
        let mut viewer = Client::new(address);
        viewer.send(&get("/monitor/live?project=shop", &[]));
        viewer.text_until(": connected");
        viewer
    });
    let _viewer = viewer.await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server).await.expect("the server ends").unwrap().unwrap();
}

#[tokio::test]
async fn it_runs_in_plain_hyper_under_a_prefix() {
    let scene = scene(Config::default());
    let service = scene.service.clone().under("/monitor");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let service = service.clone();
            let with_peer = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(ClientAddr(peer));
                hyper::service::Service::call(&service, request)
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, with_peer).with_upgrades();
            tokio::spawn(connection);
        }
    });
    let answer = tokio::task::spawn_blocking(move || {
        let mut client = Client::new(address);
        client.send(&post(&format!("/monitor{EVENTS}"), &[], envelope(&["x"]).as_bytes()));
        client.response().unwrap().status
    });
    assert_eq!(answer.await.unwrap(), 202);
    assert_eq!(scene.transport.events()[0].ip, "127.0.0.1");
    server.abort();
}

#[tokio::test]
async fn it_takes_any_body_without_a_server() {
    use tower_service::Service;
    fn assert_mountable<T: Clone + Send + Sync + 'static>(_: &T) {}
    let scene = scene(Config::default());
    let mut service: HttpService = scene.service.clone();
    assert_mountable(&service);
    let body = http_body_util::Full::new(bytes::Bytes::from(envelope(&["x"])));
    let request = http::Request::post(EVENTS).header("host", "localhost").body(body).unwrap();
    assert_eq!(service.call(request).await.unwrap().status(), 202);
    let none = http::Request::get("/livez").header("host", "localhost").body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    assert_eq!(service.call(none).await.unwrap().status(), 200);
}

fn web_socket_request(path: &str) -> Vec<u8> {
    let key = format!("Sec-WebSocket-Key: {}", STANDARD.encode([7; 16]));
    get(path, &["Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", &key])
}

mod web_socket {
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpStream;
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{Message, protocol::frame::coding::CloseCode},
    };

    use super::*;

    async fn open(server: &common::Running) -> WebSocketStream<TcpStream> {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let url = "ws://localhost/api/shop/ws?key=public-key";
        tokio_tungstenite::client_async(url, stream).await.unwrap().0
    }

    async fn ask(socket: &mut WebSocketStream<TcpStream>, text: String) -> serde_json::Value {
        socket.send(Message::text(text)).await.unwrap();
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn close_code(socket: &mut WebSocketStream<TcpStream>) -> Option<CloseCode> {
        loop {
            match socket.next().await? {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    #[tokio::test]
    async fn each_message_is_answered_in_order() {
        let scene = scene(quick().0);
        let server = serve(scene.service.clone(), quick().1);
        let mut socket = open(&server).await;
        assert_eq!(ask(&mut socket, envelope(&["a", "b"])).await, json!({"status": 202, "accepted": 2, "rejected": []}));
        let bad = ask(&mut socket, "nonsense".into()).await;
        assert_eq!((&bad["status"], &bad["error"]["code"]), (&json!(400), &json!("bad_frame")));
        scene.transport.set_full(true);
        let full = ask(&mut socket, envelope(&["c"])).await;
        assert_eq!((&full["status"], &full["error"]["code"], &full["retry_after"]), (&json!(503), &json!("spool_full"), &json!(5)));
        scene.transport.set_full(false);
        assert_eq!(ask(&mut socket, envelope(&["d"])).await["accepted"], 1);
        assert_eq!(scene.transport.events().iter().map(|event| event.name.clone()).collect::<Vec<_>>(), ["a", "b", "d"]);
    }

    #[tokio::test]
    async fn a_large_or_binary_message_ends_the_socket() {
        let (mut config, server_config) = quick();
        config.body_bytes = 10_000;
        let scene = scene(config);
        let server = serve(scene.service.clone(), server_config);
        let mut socket = open(&server).await;
        socket.send(Message::text(" ".repeat(10_001))).await.unwrap();
        assert_eq!(close_code(&mut socket).await, Some(CloseCode::Size));
        let mut socket = open(&server).await;
        socket.send(Message::binary(vec![1])).await.unwrap();
        assert_eq!(close_code(&mut socket).await, Some(CloseCode::Unsupported));
        let refused = |code| scene.counts.labelled(Labelled::RequestsRefused, code);
        assert_eq!((refused("too_large"), refused("unsupported_media_type")), (1, 1));
    }

    #[tokio::test]
    async fn sockets_are_capped_for_each_client_and_end_when_they_are_silent() {
        let (mut config, server_config) = quick();
        config.web_sockets_per_client = 1;
        config.web_socket_idle = Duration::from_millis(200);
        let scene = scene(config);
        let server = serve(scene.service.clone(), server_config);
        // A raw client answers no pings.
        let mut silent = server.connect();
        silent.send(&web_socket_request("/api/shop/ws?key=public-key"));
        let (status, refused) = tokio::task::spawn_blocking(move || {
            let status = silent.response().unwrap().status;
            let refused = server.ask(web_socket_request("/api/shop/ws?key=public-key")).status;
            let start = Instant::now();
            assert!(silent.closes_within(Duration::from_secs(5)));
            assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
            // Its place is free again.
            let mut next = server.connect();
            next.send(&web_socket_request("/api/shop/ws?key=public-key"));
            assert_eq!(next.response().unwrap().status, 101);
            (status, refused)
        })
        .await
        .unwrap();
        assert_eq!((status, refused), (101, 503));
    }

    /// A masked frame of a client, its mask zero.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first, 0x80 | 126];
        frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload);
        frame
    }

    /// The code of the close frame with which a raw client's socket ends.
    async fn end_of(config: Config, frames: Vec<(Vec<u8>, Duration)>) -> (u16, Scene) {
        let scene = scene(config);
        let server = serve(scene.service.clone(), quick().1);
        let end = tokio::task::spawn_blocking(move || {
            let mut client = std::net::TcpStream::connect(server.address).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            std::io::Write::write_all(&mut client, &web_socket_request("/api/shop/ws?key=public-key")).unwrap();
            for (frame, pause) in frames {
                // The service may have ended it already.
                let _ended = std::io::Write::write_all(&mut client, &frame);
                std::thread::sleep(pause);
            }
            let mut all = Vec::new();
            let _reset = std::io::Read::read_to_end(&mut client, &mut all);
            let close = all.windows(2).rposition(|pair| pair == [0x88, 2]).unwrap();
            u16::from_be_bytes([all[close + 2], all[close + 3]])
        });
        (end.await.unwrap(), scene)
    }

    #[tokio::test]
    async fn pieces_of_a_message_are_paid_for_as_they_come() {
        let (mut config, _) = quick();
        config.in_flight_bytes = 100_000;
        let piece = vec![b'x'; 30_000];
        let frames = (0..4).map(|n| (frame(u8::from(n == 0), &piece), Duration::ZERO)).collect();
        let (code, scene) = end_of(config, frames).await;
        assert_eq!(code, u16::from(CloseCode::Again));
        assert_eq!(scene.counts.labelled(Labelled::RequestsRefused, "overloaded"), 1);
    }

    #[tokio::test]
    async fn pings_do_not_keep_half_a_message_alive() {
        let (mut config, _) = quick();
        config.body_timeout = Duration::from_millis(300);
        let mut frames = vec![(frame(0x01, b"half a message"), Duration::from_millis(50))];
        frames.extend((0..10).map(|_| (vec![0x89, 0x80, 0, 0, 0, 0], Duration::from_millis(100))));
        let (code, scene) = end_of(config, frames).await;
        assert_eq!(code, u16::from(CloseCode::Policy));
        assert_eq!(scene.counts.labelled(Labelled::RequestsRefused, "too_slow"), 1);
    }

    #[tokio::test]
    async fn a_shutdown_says_goodbye() {
        let scene = scene(quick().0);
        let server = serve(scene.service.clone(), quick().1);
        let mut socket = open(&server).await;
        assert_eq!(ask(&mut socket, envelope(&["a"])).await["accepted"], 1);
        let ended = tokio::task::spawn_blocking(move || server.join());
        assert_eq!(close_code(&mut socket).await, Some(CloseCode::Away));
        assert!(ended.await.unwrap());
    }
}

#[test]
fn errors_are_json_with_a_stable_code() {
    let server = serve(scene(quick().0).service, quick().1);
    let answer = server.ask(post("/api/shop/events", &[], b"{}"));
    assert_eq!(answer.text(), r#"{"error":{"code":"missing_key","message":"the request has no well-formed key"}}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}
