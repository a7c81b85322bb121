//! No answer shows another project's data: every route there is, asked by a reader of one project.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something else than it expects fails"
)]

mod common;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use common::{
    Running, Scene, envelope, get, post, post_json, quick, scene_with, serve,
    store::{Recorder, question},
};
use futures_util::{SinkExt, StreamExt};
use monitor_http::access::{Accounts, Identity, Role, Token};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// What a route does with projects.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Route {
    /// The question names a project.
    Asks,
    /// The address names a project, and the answer does not end.
    Streams,
    /// The first message names a project.
    Socket,
    /// Lists what the reader may see.
    Lists,
    /// Tells of the whole process: refused, or without its figures.
    Process,
    /// Tells nothing of any project.
    Public,
}

/// Every route. A new one is added here, and what it does with projects is thought about.
const ROUTES: &[(&str, &str, Route)] = &[
    ("POST", "/query", Route::Asks),
    ("POST", "/query/events", Route::Asks),
    ("POST", "/query/events/export", Route::Asks),
    ("POST", "/query/funnel", Route::Asks),
    ("POST", "/query/retention", Route::Asks),
    ("POST", "/query/paths", Route::Asks),
    ("POST", "/query/sessions", Route::Asks),
    ("POST", "/query/issues", Route::Asks),
    ("POST", "/query/issues/state", Route::Asks),
    ("GET", "/query/projects", Route::Lists),
    ("GET", "/query/storage", Route::Process),
    ("GET", "/query/system", Route::Process),
    ("GET", "/query/me", Route::Lists),
    ("GET", "/live", Route::Streams),
    ("GET", "/live/ws", Route::Socket),
    ("GET", "/login", Route::Public),
    ("POST", "/login", Route::Public),
    ("POST", "/logout", Route::Public),
    ("GET", "/openapi.json", Route::Public),
];

/// May do everything in `shop`, and nothing in `closed` and `slow`.
const SHOP: &str = "Authorization: Bearer token-of-the-shop-admin";
const ALL: &str = "Authorization: Bearer token-of-all-the-viewers";
/// What only belongs to the other projects.
const OTHERS: [&str; 5] = ["closed", "slow", "closed-key", "slow-key", "secret-of-closed"];

fn server() -> (Arc<Recorder>, Scene, Running) {
    let store = Arc::new(Recorder::with_events(3));
    let access = Accounts::builder()
        .token(Token::new(Identity::new("shop admin").in_project("shop", Role::Admin), "token-of-the-shop-admin").unwrap())
        .token(Token::new(Identity::new("all").everywhere(Role::Viewer), "token-of-all-the-viewers").unwrap())
        .build()
        .unwrap();
    let scene = scene_with(vec![], None, |builder| builder.store(store.clone()).access(access).config(quick().0));
    let server = serve(scene.service.clone(), quick().1);
    (store, scene, server)
}

fn request(route: &(&str, &str, Route), project: &str, headers: &[&str]) -> Vec<u8> {
    match route {
        ("POST", "/login", _) => post_json("/login", headers, &json!({"token": "a wrong one for sure"})),
        ("POST", path, Route::Asks) => post_json(path, headers, &question(path, project)),
        ("POST", path, _) => post(path, headers, b""),
        (_, path, Route::Streams) => get(&format!("{path}?project={project}"), headers),
        (_, path, _) => get(path, headers),
    }
}

fn assert_no_others(text: &str, of: &str) {
    for other in OTHERS {
        let quoted = [format!("\"{other}\""), format!("{other},"), format!("//{other}@"), format!("secret-of-{other}")];
        assert!(!quoted.iter().any(|found| text.contains(found)), "{of} shows {other}: {text}");
    }
}

#[test]
fn every_route_is_in_the_list() {
    let (_, _scene, server) = server();
    let description = server.ask(get("/openapi.json", &[])).json();
    let described: BTreeSet<(String, String)> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())))
        .collect();
    let listed: BTreeSet<(String, String)> = ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(described, listed);
}

#[test]
fn who_is_not_known_is_told_nothing() {
    let (store, _scene, server) = server();
    for route in ROUTES.iter().filter(|(.., route)| *route != Route::Public) {
        for headers in
            [&[][..], &["Authorization: Bearer public-key"], &["Cookie: monitor_session=AAAA"], &["X-Forwarded-User: shop admin"]]
        {
            let answer = server.ask(request(route, "shop", headers));
            assert_eq!((answer.status, answer.code()), (401, "unauthorized".into()), "{route:?} with {headers:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    }
    assert!(store.calls().is_empty());
}

#[test]
fn a_question_about_anothers_project_is_one_about_none() {
    let (store, _scene, server) = server();
    for route in ROUTES.iter().filter(|(.., route)| matches!(route, Route::Asks | Route::Streams)) {
        let none = server.ask(request(route, "nothing", &[SHOP]));
        assert_eq!((none.status, none.code()), (404, "not_found".into()), "{route:?}");
        for format in ["application/json", "text/csv", "application/x-ndjson"] {
            let other = server.ask(request(route, "closed", &[SHOP, &format!("Accept: {format}")]));
            assert_eq!((other.status, &other.body), (404, &none.body), "{route:?} as {format}");
        }
    }
    assert!(store.calls().is_empty(), "the store was asked: {:?}", store.calls());
}

#[test]
fn the_own_project_is_all_there_is_in_the_answers() {
    let (store, _scene, server) = server();
    for route in ROUTES.iter().filter(|(.., route)| !matches!(route, Route::Streams | Route::Socket)) {
        for format in ["application/json", "text/csv", "application/x-ndjson"] {
            let answer = server.ask(request(route, "shop", &[SHOP, &format!("Accept: {format}")]));
            let text = answer.text();
            assert_no_others(&text, &format!("{route:?}"));
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{route:?}");
            match route {
                (_, "/query/issues/state", _) => assert_eq!(answer.status, 204),
                (_, _, Route::Asks) => assert!(answer.status == 200 && text.contains("secret-of-shop"), "{route:?}: {text}"),
                (_, "/query/storage", _) => assert_eq!((answer.status, answer.code()), (403, "forbidden".into())),
                (_, "/query/system", _) => assert_eq!((answer.status, &answer.json()["process"]), (200, &Value::Null)),
                (_, _, Route::Lists) => assert!(answer.status == 200 && text.contains("Demo shop")),
                _ => {}
            }
        }
    }
    assert!(store.calls().iter().all(|(_, project)| project == "shop"), "{:?}", store.calls());
}

#[test]
fn figures_of_the_process_are_for_readers_of_every_project() {
    let (_, _scene, server) = server();
    assert_eq!(server.ask(get("/query/storage", &[ALL])).status, 200);
    assert!(server.ask(get("/query/system", &[ALL])).json()["process"].is_object());
}

#[test]
fn streams_carry_events_of_their_project_only() {
    let (_, _scene, server) = server();
    for (.., path, _) in ROUTES.iter().filter(|(.., route)| *route == Route::Streams) {
        let mut viewer = server.connect();
        viewer.send(&get(&format!("{path}?project=shop"), &[SHOP]));
        assert!(viewer.text_until(": connected").contains("200 OK"));
        assert_eq!(server.ask(post("/api/slow/events?key=slow-key", &[], envelope(&["secret-of-slow"]).as_bytes())).status, 202);
        assert_eq!(server.ask(post(common::EVENTS, &[], envelope(&["own"]).as_bytes())).status, 202);
        let text = viewer.text_until("\"own\"");
        assert!(text.contains("\"own\""), "{text}");
        assert_no_others(&text, path);
    }
}

#[tokio::test]
async fn sockets_carry_events_of_their_project_only() {
    let (_, _scene, server) = server();
    for (.., path, _) in ROUTES.iter().filter(|(.., route)| *route == Route::Socket) {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let mut request = format!("ws://localhost{path}").into_client_request().unwrap();
        let (name, value) = SHOP.split_once(": ").unwrap();
        request.headers_mut().insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let mut said = Vec::new();
        for project in ["nothing", "closed", "shop"] {
            socket.send(Message::text(json!({"subscribe": {"project": project}}).to_string())).await.unwrap();
            said.push(socket.next().await.unwrap().unwrap().into_text().unwrap().to_string());
        }
        assert!(said[0].contains("not_found") && said[0] == said[1] && said[2].contains("subscribed"), "{said:?}");
        let address = server.address;
        tokio::task::spawn_blocking(move || {
            for (path, name) in [("/api/slow/events?key=slow-key", "secret-of-slow"), (common::EVENTS, "own")] {
                let mut client = common::Client::new(address);
                client.send(&post(path, &[], envelope(&[name]).as_bytes()));
                assert_eq!(client.response().unwrap().status, 202);
            }
        })
        .await
        .unwrap();
        let figures = async {
            let mut text = String::new();
            while !text.contains("\"track\":1.0") {
                text += &socket.next().await.unwrap().unwrap().into_text().unwrap();
            }
            text
        };
        let text = tokio::time::timeout(Duration::from_secs(5), figures).await.unwrap();
        assert!(text.contains("\"own\""), "{text}");
        assert_no_others(&text, path);
    }
}
