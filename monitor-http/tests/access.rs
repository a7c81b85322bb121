//! Who gets in, how, and for how long.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something else than it expects fails"
)]

mod common;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use common::{
    Response, Running, Scene, get, post, post_json, quick, scene_with, serve,
    store::{Recorder, question},
};
use monitor_core::Scope;
use monitor_http::{
    Config,
    access::{self, Accounts, AccountsBuilder, AccountsError, Identity, ProxyHeaders, ReadAccess, Role, Token, User, hash_password},
};
use serde_json::{Value, json};

fn serving(access: Arc<dyn ReadAccess>, config: Config) -> (Scene, Running) {
    let scene = scene_with(vec![], None, |builder| builder.store(Arc::new(Recorder::with_events(1))).access(access).config(config));
    let server = serve(scene.service.clone().under("/monitor"), quick().1);
    (scene, server)
}

fn accounts() -> AccountsBuilder {
    let anna = Identity::new("anna").in_project("shop", Role::Editor);
    let ci = Identity::new("ci").everywhere(Role::Viewer);
    Accounts::builder()
        .user(User::new(anna, &hash_password("correct horse").unwrap()).unwrap())
        .token(Token::new(ci, "token-of-the-ci-server").unwrap())
}

fn log_in(server: &Running, headers: &[&str], login: &Value) -> Response {
    server.ask(post_json("/monitor/login", headers, login))
}

fn password() -> Value {
    json!({"user": "anna", "password": "correct horse"})
}

/// The cookie header with a login's session.
fn cookie(login: &Response) -> String {
    format!("Cookie: {}", login.header("set-cookie").unwrap().split(';').next().unwrap())
}

fn me(server: &Running, headers: &[&str]) -> Response {
    server.ask(get("/monitor/query/me", headers))
}

#[test]
fn a_session_begins_with_a_password_and_ends_with_a_logout() {
    let (_scene, server) = serving(accounts().build().unwrap(), quick().0);
    assert_eq!(server.ask(get("/monitor/login", &[])).json(), json!({"password": true, "token": true}));
    let login = log_in(&server, &[], &password());
    assert_eq!(login.status, 200);
    assert_eq!(login.json()["projects"], json!([{"id": "shop", "name": "Demo shop", "role": "editor"}]));
    let set = login.header("set-cookie").unwrap();
    assert!(set.starts_with("monitor_session=") && set.ends_with("; Path=/monitor; HttpOnly; SameSite=Strict"), "{set}");
    let cookie = cookie(&login);
    let mine = me(&server, &[&cookie]).json();
    assert_eq!((&mine["name"], &mine["everywhere"], &mine["can_log_out"]), (&json!("anna"), &Value::Null, &json!(true)));
    let state = question("/query/issues/state", "shop");
    assert_eq!(server.ask(post_json("/monitor/query/issues/state", &[&cookie], &state)).status, 204);

    let out = server.ask(post("/monitor/logout", &[&cookie], b""));
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").unwrap().contains("monitor_session=;") && out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(me(&server, &[&cookie]).status, 401);
}

#[test]
fn a_token_opens_by_itself_and_for_a_session() {
    let (_scene, server) = serving(accounts().build().unwrap(), quick().0);
    let mine = me(&server, &["Authorization: Bearer token-of-the-ci-server"]).json();
    assert_eq!((&mine["name"], &mine["everywhere"], &mine["can_log_out"]), (&json!("ci"), &json!("viewer"), &json!(false)));
    let login = log_in(&server, &[], &json!({"token": "token-of-the-ci-server"}));
    let cookie = cookie(&login);
    assert_eq!((login.status, me(&server, &[&cookie]).json()["name"].clone()), (200, json!("ci")));
    // Who brings a token means it.
    assert_eq!(me(&server, &[&cookie, "Authorization: Bearer another"]).status, 401);
}

#[test]
fn wrong_logins_are_all_the_same() {
    let (_scene, server) = serving(accounts().build().unwrap(), quick().0);
    let wrong = [
        json!({"user": "anna", "password": "correct horsf"}),
        json!({"user": "nobody", "password": "correct horse"}),
        json!({"user": "ci", "password": "token-of-the-ci-server"}),
        json!({"token": "correct horse"}),
        json!({"token": ""}),
    ];
    let answers: Vec<Response> = wrong.iter().map(|login| log_in(&server, &[], login)).collect();
    for answer in &answers {
        assert_eq!((answer.status, answer.code(), answer.header("set-cookie")), (401, "login_refused".into(), None));
        assert_eq!(answer.body, answers[0].body);
    }
    for malformed in
        [json!({}), json!({"user": "anna"}), json!({"user": "anna", "password": "x", "token": "y"}), json!({"name": "x"}), json!("x")]
    {
        assert_eq!(log_in(&server, &[], &malformed).code(), "bad_query", "{malformed}");
    }
}

#[test]
fn guessing_is_slow() {
    let (_scene, server) = serving(accounts().build().unwrap(), quick().0);
    // One more is let through every 5 s, however slow the machine is.
    let answers: Vec<Response> = (0..60).map(|n| log_in(&server, &[], &json!({"token": format!("guess {n}")}))).collect();
    assert!(answers[..20].iter().all(|answer| answer.status == 401));
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.code(), "rate_limited");
    assert!((1..=5).contains(&refused.header("retry-after").unwrap().parse().unwrap()));
}

#[test]
fn a_cookie_is_secure_where_the_service_is() {
    let (mut config, _) = quick();
    let (_scene, server) = serving(accounts().build().unwrap(), config.clone());
    let is_secure = |answer: &Response| answer.header("set-cookie").unwrap().contains("; Secure");
    assert!(!is_secure(&log_in(&server, &[], &password())));
    assert!(is_secure(&log_in(&server, &["X-Forwarded-Proto: https"], &password())));
    assert!(is_secure(&log_in(&server, &["X-Forwarded-Proto: https, http"], &password())));
    config.public_url = Some("https://monitor.example/monitor".into());
    let (_scene, server) = serving(accounts().build().unwrap(), config);
    assert!(is_secure(&log_in(&server, &[], &password())));
}

#[test]
fn what_another_page_makes_a_browser_send_is_refused() {
    let (mut config, _) = quick();
    config.public_url = Some("https://monitor.example/monitor".into());
    let (_scene, server) = serving(accounts().build().unwrap(), config);
    let cookie = cookie(&log_in(&server, &[], &password()));
    let state = question("/query/issues/state", "shop");
    let send = |headers: &[&str]| {
        let headers: Vec<&str> = [cookie.as_str()].iter().chain(headers).copied().collect();
        server.ask(post("/monitor/query/issues/state", &headers, state.to_string().as_bytes()))
    };
    const JSON: &str = "Content-Type: application/json; charset=utf-8";
    for (headers, status, code) in [
        (&[JSON][..], 204, ""),
        (&[JSON, "Sec-Fetch-Site: same-origin", "Origin: https://anything.example"], 204, ""),
        (&[JSON, "Sec-Fetch-Site: none"], 204, ""),
        (&[JSON, "Sec-Fetch-Site: cross-site"], 403, "cross_site"),
        (&[JSON, "Sec-Fetch-Site: same-site"], 403, "cross_site"),
        (&[JSON, "Origin: http://localhost"], 204, ""),
        (&[JSON, "Origin: https://monitor.example"], 204, ""),
        (&[JSON, "Origin: https://evil.example"], 403, "cross_site"),
        (&[JSON, "Origin: null"], 403, "cross_site"),
        (&["Content-Type: text/plain"], 415, "unsupported_media_type"),
        (&["Content-Type: application/x-www-form-urlencoded"], 415, "unsupported_media_type"),
        (&[], 415, "unsupported_media_type"),
    ] {
        let answer = send(headers);
        assert_eq!((answer.status, answer.code()), (status, code.into()), "{headers:?}");
    }
    // Programs say nothing about pages, and send it as anything. A proxy may add a token to what a page of another site wanted.
    let token = "Authorization: Bearer token-of-the-ci-server";
    let ask = |headers: &[&str]| server.ask(post("/monitor/query", headers, question("/query", "shop").to_string().as_bytes()));
    assert_eq!(ask(&[token]).status, 200);
    for page in ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"] {
        assert_eq!(ask(&[token, JSON, page]).code(), "cross_site", "{page}");
    }
    // Logging somebody in, or out, is a change, too.
    for path in ["/monitor/login", "/monitor/logout"] {
        assert_eq!(server.ask(post_json(path, &["Sec-Fetch-Site: cross-site"], &password())).code(), "cross_site");
    }
    let form = post("/monitor/login", &["Origin: http://localhost", "Content-Type: text/plain"], password().to_string().as_bytes());
    assert_eq!(server.ask(form).code(), "unsupported_media_type");
    let socket = get("/monitor/live/ws", &[&cookie, "Origin: https://evil.example", "Connection: Upgrade", "Upgrade: websocket"]);
    assert_eq!(server.ask(socket).code(), "cross_site");
}

#[test]
fn an_open_service_answers_only_under_names_that_no_site_can_take() {
    let (mut config, _) = quick();
    config.public_url = Some("https://monitor.example:8443/monitor".into());
    let (_scene, server) = serving(access::open(), config.clone());
    let ask = |server: &Running, path: &str, host: &str| {
        let answer = server.ask(format!("GET /monitor{path} HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: same-origin\r\n\r\n"));
        (answer.status, answer.code())
    };
    for host in ["127.0.0.1:8080", "[::1]:8080", "192.0.2.7", "LOCALHOST:8080", "shop.localhost", "monitor.example", "Monitor.Example:1"] {
        assert_eq!(ask(&server, "/query/me", host).0, 200, "{host}");
    }
    for host in ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "notlocalhost", "x.monitor.example", ""] {
        for path in ["/query/me", "/query/projects", "/query/system", "/live?project=shop", "/openapi.json"] {
            assert_eq!(ask(&server, path, host), (403, "unknown_host".into()), "{path} at {host}");
        }
    }
    // Pages send events to whatever name the receiver has.
    let pixel = server.ask("GET /monitor/api/shop/pixel.gif?key=public-key HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_ne!(pixel.code(), "unknown_host");
    // Who has to say who it is may do so under any name.
    let (_scene, server) = serving(accounts().build().unwrap(), config);
    assert_eq!(ask(&server, "/query/me", "evil.example").1, "unauthorized");
}

#[test]
fn a_login_is_no_larger_than_a_login_can_be() {
    let (_scene, server) = serving(accounts().build().unwrap(), quick().0);
    let with = |bytes: usize| log_in(&server, &[], &json!({"user": "anna", "password": "x".repeat(bytes)})).code();
    assert_eq!((with(5_000), with(9_000)), ("login_refused".into(), "too_large".into()));
}

#[test]
fn tokens_and_sessions_end() {
    const ENDED: &str = "a-token-that-has-ended";
    let ended = Token::new(Identity::new("ended").everywhere(Role::Viewer), ENDED).unwrap().expires(1_700_000_000_000);
    let lasting = Token::new(Identity::new("ci").everywhere(Role::Viewer), "token-of-the-ci-server").unwrap().expires(4_000_000_000_000);
    let access = Accounts::builder().token(ended).token(lasting).idle(Duration::ZERO).build().unwrap();
    let (_scene, server) = serving(access, quick().0);
    assert_eq!(me(&server, &[&format!("Authorization: Bearer {ENDED}")]).status, 401);
    assert_eq!(log_in(&server, &[], &json!({"token": ENDED})).code(), "login_refused");
    assert_eq!(me(&server, &["Authorization: Bearer token-of-the-ci-server"]).json()["expires"], 4_000_000_000_000_i64);
    // A session that may not be idle at all ends at once.
    let login = log_in(&server, &[], &json!({"token": "token-of-the-ci-server"}));
    assert_eq!((login.status, me(&server, &[&cookie(&login)]).status), (200, 401));
}

#[test]
fn a_proxy_says_who_comes_and_only_a_trusted_one() {
    let proxies = |network: &str| {
        ProxyHeaders::from([network.parse().unwrap()])
            .group_everywhere("admins", Role::Admin)
            .group_in_project("shop-team", "shop", Role::Editor)
            .group_in_project("guests", "shop", Role::Viewer)
    };
    let (_scene, server) = serving(Accounts::builder().proxies(proxies("127.0.0.0/8")).build().unwrap(), quick().0);
    let roles = |headers: &[&str]| {
        let answer = me(&server, headers);
        let mine = answer.json();
        (answer.status, mine["name"].clone(), mine["everywhere"].clone(), mine["projects"][0]["role"].clone())
    };
    let editor = ["X-Forwarded-User: bea", "X-Forwarded-Groups: guests, shop-team,others"];
    assert_eq!(roles(&editor), (200, json!("bea"), Value::Null, json!("editor")));
    let admin = ["X-Forwarded-User: bea", "X-Forwarded-Groups: guests", "X-Forwarded-Groups: admins"];
    assert_eq!(roles(&admin), (200, json!("bea"), json!("admin"), json!("admin")));
    assert_eq!(roles(&["X-Forwarded-User: bea"]), (200, json!("bea"), Value::Null, Value::Null));
    for nobody in [
        &["X-Forwarded-Groups: admins"][..],
        &["X-Forwarded-User: ", "X-Forwarded-Groups: admins"],
        &["X-Forwarded-User: a", "X-Forwarded-User: b"],
    ] {
        assert_eq!(me(&server, nobody).status, 401, "{nobody:?}");
    }
    assert_eq!(server.ask(get("/monitor/login", &[])).json(), json!({"password": false, "token": false}));

    let (_scene, elsewhere) = serving(Accounts::builder().proxies(proxies("10.0.0.0/8")).build().unwrap(), quick().0);
    assert_eq!(me(&elsewhere, &admin).status, 401);
}

#[test]
fn one_token_is_an_admin_and_an_empty_one_is_nobody() {
    let (_scene, server) = serving(access::token("secret"), quick().0);
    assert_eq!(me(&server, &["Authorization: Bearer secret"]).json()["everywhere"], "admin");
    for wrong in ["Bearer secre", "Bearer secret2", "Basic secret", "secret", "Bearer "] {
        assert_eq!(me(&server, &[&format!("Authorization: {wrong}")]).status, 401, "{wrong}");
    }
    assert_eq!(log_in(&server, &[], &json!({"token": "secret"})).status, 200);
    let (_scene, server) = serving(access::token(""), quick().0);
    let refused = me(&server, &["Authorization: Bearer "]);
    assert_eq!((refused.status, refused.text().contains("token is empty")), (401, true), "{}", refused.text());
    assert_eq!(log_in(&server, &[], &json!({"token": ""})).status, 401);
}

/// A host that knows its readers and has never heard of roles.
struct OldHost;

#[async_trait]
impl ReadAccess for OldHost {
    async fn identify(&self, _request: &http::request::Parts) -> Option<Scope> {
        Some(Scope::Projects(vec!["shop".into()]))
    }
}

#[test]
fn a_host_that_only_knows_scopes_has_viewers() {
    let (_scene, server) = serving(Arc::new(OldHost), quick().0);
    assert_eq!(me(&server, &[]).json()["projects"][0]["role"], "viewer");
    let state = question("/query/issues/state", "shop");
    assert_eq!(server.ask(post_json("/monitor/query/issues/state", &[], &state)).code(), "forbidden");
    assert_eq!(log_in(&server, &[], &password()).code(), "no_login");
    assert_eq!(server.ask(post("/monitor/logout", &[], b"")).status, 204);
}

#[test]
fn accounts_that_cannot_work_are_refused() {
    let identity = || Identity::new("x").everywhere(Role::Viewer);
    assert!(matches!(Token::new(identity(), "short"), Err(AccountsError::ShortToken(name)) if name == "x"));
    for text in ["", "xyz", &"0".repeat(63), &"g".repeat(64)] {
        assert!(matches!(Token::hashed(identity(), text), Err(AccountsError::BadHash(_))), "{text}");
    }
    assert!(matches!(Accounts::builder().build(), Err(AccountsError::Empty)));
    let twice = accounts().user(User::new(Identity::new("anna"), &hash_password("another one").unwrap()).unwrap()).build();
    assert!(matches!(twice, Err(AccountsError::SameUser(name)) if name == "anna"));

    // The hash of "token-of-the-ci-server", as sha256sum prints it.
    let hashed = Token::hashed(identity(), "  2A229203fd46f963f12bc984cc71253fdc4605f57c318e3367dc5f7b1d960efc\n").unwrap();
    let access = Accounts::builder().token(hashed).build().unwrap();
    assert!(!format!("{access:?}").to_lowercase().contains("2a229203"), "{access:?}");
    let (_scene, server) = serving(access, quick().0);
    assert_eq!(me(&server, &["Authorization: Bearer token-of-the-ci-server"]).status, 200);
    assert_eq!(me(&server, &["Authorization: Bearer 2a229203fd46f963f12bc984cc71253fdc4605f57c318e3367dc5f7b1d960efc"]).status, 401);
}
