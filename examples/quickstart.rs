//! How do I see it work? Everything on this machine with nothing installed: a shop page that misbehaves, the receiver, the
//! embedded engine and the dashboard.
//!
//! ```text
//! make demo
//! ```
//!
//! `make` builds the SDK and the dashboard and fetches the engine first. With `--clickhouse http://host:8123` it uses a
//! server instead of the embedded engine.

use std::{
    io::{IsTerminal, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Redirect},
    routing::{any, get},
};
use clap::Parser;
use monitor_kit::{
    Monitor, Project,
    access::{self, Accounts, Identity, ReadAccess, Role, Token, User, hash_password},
    clickhouse::ClickHouse,
    http::Server,
};
use tokio::{net::TcpListener, signal::unix, sync::watch};

#[derive(Parser)]
pub(crate) struct Args {
    /// Where the receiver and the dashboard listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the demo shop listens; the next port by default.
    #[arg(long)]
    shop: Option<SocketAddr>,
    /// Where metrics and health are served; by default the port after that, on this machine only. Keep it off the internet.
    #[arg(long)]
    internal: Option<SocketAddr>,
    /// Where everything is stored.
    #[arg(long, default_value = "data/quickstart")]
    data: PathBuf,
    /// Where accepted events wait for the database; a folder in `data` by default.
    #[arg(long)]
    spool: Option<PathBuf>,
    /// Uses this ClickHouse server instead of the embedded engine: http://host:8123
    #[arg(long, conflicts_with = "no_store")]
    clickhouse: Option<String>,
    /// Only receives: events stay in the spool.
    #[arg(long)]
    no_store: bool,
    /// Megabytes that must stay free on the spool's disk; below it, events are refused with 503.
    #[arg(long, default_value_t = 512)]
    min_free_mib: u64,
    /// What readers must send as `Authorization: Bearer`; needed when others than this machine can connect.
    #[arg(long, env = "MONITOR_TOKEN")]
    token: Option<String>,
    /// Somebody who logs in to the dashboard with this name and the password of the environment's `MONITOR_PASSWORD`.
    #[arg(long, env = "MONITOR_USER", requires = "password")]
    user: Option<String>,
    #[arg(long, env = "MONITOR_PASSWORD", hide = true, requires = "user")]
    password: Option<String>,
}

const KEY: &str = "demo-key";

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    eprintln!("quickstart: {line}");
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let args = Args::parse();
    let access = access(&args)?;

    std::fs::create_dir_all(&args.data).map_err(|error| format!("cannot create {}: {error}", args.data.display()))?;
    let mut builder = Monitor::builder()
        // One page view of a visitor is one of at most a few requests; a load test of one machine is not.
        .http(unlimited_clients())
        .project(Project::new("shop", KEY).name("Demo shop").max_events_per_second(1_000_000))
        .spool(args.spool.clone().unwrap_or_else(|| args.data.join("spool")))
        .configure_spool(|spool| spool.min_free_disk(args.min_free_mib << 20))
        .access(access);
    builder = match &args.clickhouse {
        _ if args.no_store => builder,
        Some(url) => builder.integration(ClickHouse::new(url)),
        None => builder.integration(ClickHouse::embedded(args.data.join("clickhouse"))),
    };
    let server = Server::from_listener(listen(args.listen).await?);
    let internal = Server::from_listener(listen(internal_address(&args)).await?);
    let shop = listen(args.shop.unwrap_or_else(|| beside(args.listen, 1))).await?;
    let monitor = builder.build().await?;

    let address = reachable(server.local_addr()?);
    let shop_address = reachable(shop.local_addr()?);
    let dsn = format!("http://{KEY}@{address}/shop");
    let storage = match (&args.clickhouse, args.no_store) {
        (_, true) => "the spool only".to_owned(),
        (Some(url), _) => format!("ClickHouse at {url}"),
        (None, _) => format!("embedded ClickHouse engine in {}, {}", args.data.display(), size(&args.data)),
    };
    let internal_address = internal.local_addr()?;

    let stop = watch::Sender::new(false);
    let stopped = |mut stop: watch::Receiver<bool>| async move {
        // The sender lives as long as main does.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let shop_task = tokio::spawn(
        axum::serve(shop, shop_pages(format!("http://{address}"), dsn.clone()))
            .with_graceful_shutdown(stopped(stop.subscribe()))
            .into_future(),
    );
    let internal_task = tokio::spawn(internal.serve(monitor.service().internal(), stopped(stop.subscribe())));
    let serving = tokio::spawn(server.serve(monitor.service(), stopped(stop.subscribe())));

    let mut out = std::io::stdout();
    writeln!(
        out,
        "\n  Monitor Kit\n\n  \
         Dashboard   http://{address}/\n  \
         Demo shop   http://{shop_address}/shop/   (open it, press its buttons)\n  \
         DSN         {dsn}\n  \
         Snippet     <script src=\"http://{address}/sdk/monitor.js\" data-dsn=\"{dsn}\"></script>\n  \
         Metrics     http://{internal_address}/metrics\n  \
         Storage     {storage}\n\n  \
         ready; Ctrl-C stops it, nothing that was accepted is lost"
    )?;
    out.flush()?;

    signalled().await?;
    // A second signal ends it at once: what was acknowledged is on disk.
    tokio::spawn(async {
        if signalled().await.is_ok() {
            std::process::exit(130);
        }
    });
    stop.send_replace(true);
    serving.await?;
    monitor.shutdown(Duration::from_secs(20)).await;
    internal_task.await?;
    shop_task.abort();
    Ok(())
}

/// The same address, some ports further.
fn beside(address: SocketAddr, offset: u16) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port().saturating_add(offset))
}

/// Where metrics are served. Wherever the receiver listens, these are for this machine, unless somebody says otherwise.
pub(crate) fn internal_address(args: &Args) -> SocketAddr {
    let public = beside(args.listen, 2);
    let private = if public.ip().is_loopback() { public } else { SocketAddr::new(Ipv4Addr::LOCALHOST.into(), public.port()) };
    args.internal.unwrap_or(private)
}

/// Who may read: everybody on this machine, or those who are named.
pub(crate) fn access(args: &Args) -> Result<Arc<dyn ReadAccess>, Box<dyn std::error::Error>> {
    // Of a variable that is set to nothing, or of an empty file.
    if args.token.as_ref().is_some_and(|token| token.trim().is_empty()) {
        return Err("the token is empty: give --token or MONITOR_TOKEN a long random text, or leave it out".into());
    }
    let admin = |name: &str| Identity::new(name).everywhere(Role::Admin);
    match (&args.user, &args.password, &args.token) {
        (Some(user), Some(password), token) => {
            let accounts = Accounts::builder().user(User::new(admin(user), &hash_password(password)?)?);
            Ok(match token {
                Some(token) => accounts.token(Token::new(admin("token"), token)?).build()?,
                None => accounts.build()?,
            })
        }
        (.., Some(token)) => Ok(access::token(token)),
        _ if args.listen.ip().is_loopback() => Ok(access::open()),
        _ => Err("others than this machine can connect: say with --token or --user who may read".into()),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}; choose another with --listen, --shop or --internal"))
}

/// The service's defaults, but for the limit on one client's requests: in a demonstration there is only one.
fn unlimited_clients() -> monitor_kit::http::Config {
    let mut config = monitor_kit::http::Config::default();
    config.requests_per_second_per_client = None;
    config
}

/// Ctrl-C or SIGTERM.
async fn signalled() -> std::io::Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

/// The address to type into a browser on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    SocketAddr::new(ip, address.port())
}

/// Bytes below a folder, for people.
fn size(folder: &Path) -> String {
    fn bytes(folder: &Path) -> u64 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.metadata().map_or(0, |data| if data.is_dir() { bytes(&entry.path()) } else { data.len() })).sum()
    }
    let bytes = bytes(folder);
    if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

/// The shop: another origin than the receiver, as in real life.
fn shop_pages(receiver: String, dsn: String) -> Router {
    let page = include_str!("shop/index.html").replace("{{receiver}}", &receiver).replace("{{dsn}}", &dsn);
    let page = move || {
        let page = page.clone();
        async move { ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page) }
    };
    let file = |kind: &'static str, text: &'static str| get(async move || ([(header::CONTENT_TYPE, kind)], text));
    Router::new()
        .route("/", get(async || Redirect::to("/shop/")))
        .route("/shop/", get(page.clone()))
        .route("/shop/cart", get(page.clone()))
        .route("/shop/account", get(page))
        .route("/shop/shop.css", file("text/css", include_str!("shop/shop.css")))
        .route("/shop/shop.js", file("text/javascript", include_str!("shop/shop.js")))
        .route("/shop/hero.svg", file("image/svg+xml", include_str!("shop/hero.svg")))
        .route("/shop/api/cart", any(async || "[]"))
        .route("/shop/api/checkout", any(async || (StatusCode::INTERNAL_SERVER_ERROR, "the till is broken").into_response()))
}
