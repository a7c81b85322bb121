//! Events as they come: filtered streams, and a socket for panels that move.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something else than it expects fails"
)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Client, EVENTS, Running, Scene, get, post, post_json, quick, scene_with, serve, store::Recorder};
use futures_util::{SinkExt, StreamExt};
use monitor_core::Labelled;
use monitor_http::{
    Config,
    access::{self, Accounts, Identity, ReadAccess, Role, Token},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

fn serving(access: Arc<dyn ReadAccess>, config: Config) -> (Scene, Running) {
    let scene = scene_with(vec![], None, |builder| builder.store(Arc::new(Recorder::default())).access(access).config(config));
    let server = serve(scene.service.clone(), quick().1);
    (scene, server)
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn report(address: std::net::SocketAddr, release: &str, events: &Value) {
    let mut client = Client::new(address);
    client.send(&post(EVENTS, &[], json!({"v": 1, "release": release, "events": events}).to_string().as_bytes()));
    assert_eq!(client.response().unwrap().status, 202);
}

#[test]
fn a_stream_carries_what_meets_its_filters() {
    let (_scene, server) = serving(access::open(), quick().0);
    let filters = json!([
        {"field": "release", "op": "in", "values": ["2.0"]},
        {"field": "name", "op": "contains", "values": ["ERROR"]},
    ]);
    let mut viewer = server.connect();
    viewer.send(&get(&format!("/live?project=shop&kinds=error&filters={}", encode(&filters.to_string())), &[]));
    assert!(viewer.text_until(": connected").contains("text/event-stream"));
    report(server.address, "1.0", &json!([{"kind": "error", "name": "old TypeError"}]));
    report(server.address, "2.0", &json!([{"kind": "track", "name": "no kind for errors"}, {"kind": "error", "name": "other"}]));
    report(
        server.address,
        "2.0",
        &json!([{"kind": "error", "name": "other"}, {"kind": "error", "name": "TypeError"}, {"kind": "error", "name": "RangeError"}]),
    );
    let text = viewer.text_until("RangeError");
    let data = text.split("data: ").nth(1).unwrap().split("\n\n").next().unwrap();
    let events: Vec<Value> = serde_json::from_str(data).unwrap();
    assert_eq!(events.iter().map(|event| event["name"].as_str().unwrap()).collect::<Vec<_>>(), ["TypeError", "RangeError"]);
    assert!(!text.contains("old TypeError") && !text.contains("other"), "{text}");
    for (wrong, reason) in [
        ("nonsense", "expected"),
        (r#"[{"field":"colour","op":"in","values":["x"]}]"#, "colour"),
        (r#"[{"field":"id","op":"in","values":["x"]}]"#, "event id"),
    ] {
        let answer = server.ask(get(&format!("/live?project=shop&filters={}", encode(wrong)), &[]));
        assert!(answer.code() == "bad_query" && answer.text().contains(reason), "{}", answer.text());
    }
    let many: Vec<String> = (0..65).map(|n| format!("k{n}")).collect();
    let answer = server.ask(get(&format!("/live?project=shop&kinds={}", many.join(",")), &[]));
    assert!(answer.code() == "bad_query" && answer.text().contains("at most 64 kinds"), "{}", answer.text());
}

async fn open(server: &Running, header: Option<(&str, &str)>) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut request = "ws://localhost/live/ws".into_client_request().unwrap();
    if let Some((name, value)) = header {
        request.headers_mut().insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    tokio_tungstenite::client_async(request, stream).await.unwrap().0
}

async fn say(socket: &mut WebSocketStream<TcpStream>, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

/// The next message of a type.
async fn hear(socket: &mut WebSocketStream<TcpStream>, of: &str) -> Value {
    let hearing = async {
        loop {
            if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] == of {
                    return message;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), hearing).await.unwrap_or_else(|_| panic!("no {of}"))
}

async fn reported(server: &Running, release: &'static str, events: Value) {
    let address = server.address;
    tokio::task::spawn_blocking(move || report(address, release, &events)).await.unwrap();
}

#[tokio::test]
async fn panels_get_batches_and_figures_and_may_change_their_mind() {
    let (_scene, server) = serving(access::open(), quick().0);
    let mut socket = open(&server, None).await;
    say(&mut socket, json!({"subscribe": {"project": "shop", "filters": [{"field": "release", "op": "in", "values": ["2.0"]}]}})).await;
    assert_eq!(hear(&mut socket, "subscribed").await["project"], "shop");
    let vital = |value: f64| json!({"kind": "vital", "name": "LCP", "value": value});
    reported(&server, "2.0", json!([vital(900.0), {"kind": "click", "name": "buy", "weight": 3}])).await;
    reported(&server, "1.0", json!([vital(9_000.0)])).await;
    reported(&server, "2.0", json!([vital(1_000.0), vital(1_100.0)])).await;
    let mut names = Vec::new();
    let mut counts = (0.0, 0.0);
    let mut vitals = Value::Null;
    while names.len() < 4 || counts != (3.0, 3.0) {
        let message: Value = match tokio::time::timeout(Duration::from_secs(5), socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        };
        match message["type"].as_str().unwrap() {
            "events" => names.extend(message["events"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap().to_owned())),
            "figures" => {
                counts.0 += message["counts"]["vital"].as_f64().unwrap_or(0.0);
                counts.1 += message["counts"]["click"].as_f64().unwrap_or(0.0);
                vitals = message["vitals"].clone();
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(names, ["LCP", "buy", "LCP", "LCP"]);
    assert_eq!(vitals, json!({"LCP": {"count": 3, "p50": 1_000.0}}));

    // Figures alone, of another kind.
    say(&mut socket, json!({"subscribe": {"project": "shop", "kinds": ["track"], "events": false}})).await;
    hear(&mut socket, "subscribed").await;
    reported(&server, "2.0", json!([{"kind": "track", "name": "a"}, {"kind": "click", "name": "b"}])).await;
    loop {
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(message["type"], "figures");
        if message["counts"] != json!({}) {
            assert_eq!((&message["counts"], &message["vitals"]), (&json!({"track": 1.0}), &json!({})));
            break;
        }
    }

    say(&mut socket, json!({"subscribe": {"project": "shop", "colour": 1}})).await;
    let refused = hear(&mut socket, "error").await;
    assert_eq!(refused["error"]["code"], "bad_query");
    assert!(refused["error"]["message"].as_str().unwrap().contains("colour"));
    // What it watched before goes on.
    hear(&mut socket, "figures").await;
}

/// Events `e0` to `e199`, each in a request of its own.
fn send_two_hundred(server: &Running) -> tokio::task::JoinHandle<()> {
    let address = server.address;
    tokio::task::spawn_blocking(move || {
        let mut client = Client::new(address);
        for n in 0..200 {
            client.send(&post(EVENTS, &[], common::envelope(&[&format!("e{n}")]).as_bytes()));
            assert_eq!(client.response().unwrap().status, 202);
        }
    })
}

#[tokio::test]
async fn events_of_many_requests_come_in_few_messages() {
    let (_scene, server) = serving(access::open(), quick().0);
    let mut socket = open(&server, None).await;
    say(&mut socket, json!({"subscribe": {"project": "shop"}})).await;
    hear(&mut socket, "subscribed").await;
    let sending = send_two_hundred(&server);
    let start = std::time::Instant::now();
    let (mut names, mut messages) = (Vec::new(), 0);
    while names.len() < 200 {
        let message = hear(&mut socket, "events").await;
        names.extend(message["events"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap().to_owned()));
        messages += 1;
    }
    sending.await.unwrap();
    assert_eq!(names, (0..200).map(|n| format!("e{n}")).collect::<Vec<_>>());
    let most = 2 + start.elapsed().as_millis() / 100;
    assert!(messages <= most, "{messages} messages for 200 requests, not at most one in 100 ms");
}

#[tokio::test]
async fn a_panel_that_changes_its_mind_misses_nothing() {
    let (_scene, server) = serving(access::open(), quick().0);
    let mut socket = open(&server, None).await;
    let wish = json!({"subscribe": {"project": "shop"}});
    say(&mut socket, wish.clone()).await;
    hear(&mut socket, "subscribed").await;
    let sending = send_two_hundred(&server);
    let mut names = std::collections::BTreeSet::new();
    for n in 0.. {
        if n % 3 == 0 && !sending.is_finished() {
            say(&mut socket, wish.clone()).await;
        }
        let message = hear(&mut socket, "events").await;
        names.extend(message["events"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap().to_owned()));
        if names.len() == 200 {
            break;
        }
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn a_slow_panel_is_told_what_it_missed_and_slows_nobody() {
    let (config, mut server_config) = quick();
    // Longer than the socket's own patience.
    server_config.write_timeout = Duration::from_secs(30);
    let scene = scene_with(vec![], None, |builder| builder.access(access::open()).config(config));
    let server = serve(scene.service.clone(), server_config);
    let mut socket = open(&server, None).await;
    say(&mut socket, json!({"subscribe": {"project": "shop"}})).await;
    hear(&mut socket, "subscribed").await;
    // Nothing is read here: the sockets' buffers fill, then the queue, then events are dropped.
    let address = server.address;
    let counts = scene.counts.clone();
    let large = "x".repeat(60_000);
    let slowest = tokio::task::spawn_blocking(move || {
        let mut slowest = Duration::ZERO;
        let events: Vec<Value> = (0..15).map(|n| json!({"kind": "track", "name": format!("n{n}"), "data": {"text": large}})).collect();
        let request = post(EVENTS, &[], json!({"v": 1, "events": events}).to_string().as_bytes());
        let mut client = Client::new(address);
        for _ in 0..200 {
            let start = std::time::Instant::now();
            client.send(&request);
            assert_eq!(client.response().unwrap().status, 202);
            slowest = slowest.max(start.elapsed());
            if counts.labelled(Labelled::LiveDropped, "live") > 0 {
                return slowest;
            }
        }
        panic!("nothing was dropped");
    });
    let slowest = slowest.await.unwrap();
    // Far less than the 10 s for which the socket's write waits, on however busy a machine.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let mut dropped = 0;
    while dropped == 0 {
        let message: Value = match tokio::time::timeout(Duration::from_secs(5), socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            _ => continue,
        };
        if message["type"] == "dropped" {
            dropped = message["count"].as_u64().unwrap();
        }
    }
    assert!(dropped >= 15, "{dropped}");
}

#[tokio::test]
async fn a_socket_ends_with_the_service_and_viewers_are_counted() {
    let (mut config, _) = quick();
    config.live_viewers = 1;
    let (_scene, server) = serving(access::open(), config);
    let mut socket = open(&server, None).await;
    say(&mut socket, json!({"subscribe": {"project": "shop"}})).await;
    hear(&mut socket, "subscribed").await;
    let mut second = open(&server, None).await;
    say(&mut second, json!({"subscribe": {"project": "shop"}})).await;
    assert_eq!(hear(&mut second, "error").await["error"]["code"], "too_many_viewers");
    let ended = tokio::task::spawn_blocking(move || server.join());
    let close = async {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Close(frame) => return frame.unwrap().code,
                _ => continue,
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(3), close).await.unwrap(), CloseCode::Away);
    drop(second);
    assert!(ended.await.unwrap());
}

#[tokio::test]
async fn a_session_opens_a_socket() {
    let token = Token::new(Identity::new("wall").in_project("shop", Role::Viewer), "token-of-the-wall-display").unwrap();
    let (_scene, server) = serving(Accounts::builder().token(token).build().unwrap(), quick().0);
    let (server, login) = tokio::task::spawn_blocking(move || {
        let login = server.ask(post_json("/login", &[], &json!({"token": "token-of-the-wall-display"})));
        (server, login)
    })
    .await
    .unwrap();
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let mut socket = open(&server, Some(("cookie", &cookie))).await;
    say(&mut socket, json!({"subscribe": {"project": "shop"}})).await;
    hear(&mut socket, "subscribed").await;
    let refused = tokio::task::spawn_blocking(move || server.ask(get("/live/ws", &["Authorization: Bearer token-of-the-wall-display"])));
    let refused = refused.await.unwrap();
    assert_eq!((refused.status, refused.code()), (426, "upgrade_required".into()));
}
