//! How do I mount it in plain hyper? It is a `tower` service, under any path prefix.
//!
//! ```text
//! cargo run --example hyper
//! open http://127.0.0.1:3001/monitor/      (token: demo-token)
//! ```

use std::time::Duration;

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use monitor_kit::{Monitor, Project, access, clickhouse::ClickHouse, http::ClientAddr};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all("./data/hyper")?;
    let monitor = Monitor::builder()
        .project(Project::new("shop", "demo-key"))
        .spool("./data/hyper/spool")
        .integration(ClickHouse::embedded("./data/hyper/clickhouse"))
        .access(access::token("demo-token"))
        .build()
        .await?;
    let service = TowerToHyperService::new(monitor.service().under("/monitor"));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    eprintln!("the monitor: http://127.0.0.1:3001/monitor/ (token: demo-token)");
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => break,
        };
        let service = service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ClientAddr(peer));
            hyper::service::Service::call(&service, request)
        });
        // The timer is what makes hyper's header timeout work; upgrades are for the WebSocket.
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        // A client that breaks off is no error of ours.
        tokio::spawn(connection);
    }
    // It closes the service first: live streams and WebSockets end.
    monitor.shutdown(Duration::from_secs(20)).await;
    Ok(())
}
