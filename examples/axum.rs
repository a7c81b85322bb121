//! How do I add it to the axum service I already run? Mount it under any path.
//!
//! ```text
//! cargo run --example axum
//! open http://127.0.0.1:3000/monitor/      (token: demo-token)
//! ```

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    middleware::{self, Next},
    response::{Html, Response},
    routing::get,
};
use monitor_kit::{Monitor, Project, access, clickhouse::ClickHouse, http::ClientAddr};

/// Tells the monitor who the client is: axum knows the peer, the monitor reads it from here.
async fn client_addr(ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(ClientAddr(peer));
    next.run(request).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all("./data/axum")?;
    let monitor = Monitor::builder()
        .project(Project::new("shop", "demo-key"))
        .spool("./data/axum/spool")
        .integration(ClickHouse::embedded("./data/axum/clickhouse"))
        .access(access::token("demo-token"))
        .build()
        .await?;

    let page = r#"<!doctype html><title>My service</title><h1>My service</h1>
        <script src="/monitor/sdk/monitor.js" data-dsn="http://demo-key@127.0.0.1:3000/monitor/shop"></script>"#;
    let service = monitor.service();
    let app = Router::new()
        .route("/", get(async move || Html(page)))
        .nest_service("/monitor", service.clone().under("/monitor"))
        .layer(middleware::from_fn(client_addr));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    eprintln!("the service: http://127.0.0.1:3000/, its monitor: http://127.0.0.1:3000/monitor/ (token: demo-token)");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            // Without a handler for Ctrl-C the example just ends, which is safe, too.
            let _ = tokio::signal::ctrl_c().await;
            // axum waits for open answers, and a viewer's live stream ends by nothing else.
            service.close();
        })
        .await?;
    monitor.shutdown(Duration::from_secs(20)).await;
    Ok(())
}
