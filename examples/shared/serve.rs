//! What the two processes of the Kafka road have in common: logs, two listeners, signals, and an orderly end.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    time::Duration,
};

use monitor_kit::{
    Monitor,
    http::{HttpService, Server},
};
use tokio::{net::TcpListener, signal::unix, sync::watch};

/// Warnings and errors to stderr; `RUST_LOG` asks for more.
pub fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// A server whose error says where it cannot listen.
pub async fn listen(address: SocketAddr) -> Result<Server, String> {
    let listener = TcpListener::bind(address).await;
    listener.map(Server::from_listener).map_err(|error| format!("cannot listen on {address}: {error}; the file says where"))
}

/// Serves until a signal comes, then ends in order. `greeting` gets the two addresses.
pub async fn serve(
    monitor: Monitor,
    (server, service): (Server, HttpService),
    internal: Server,
    greeting: impl FnOnce(SocketAddr, SocketAddr) -> String,
) -> Result<(), Box<dyn std::error::Error>> {
    let greeting = greeting(server.local_addr()?, internal.local_addr()?);
    let stop = watch::Sender::new(false);
    let stopped = |mut stop: watch::Receiver<bool>| async move {
        // The sender lives as long as this function runs.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let internal_task = tokio::spawn(internal.serve(monitor.service().internal(), stopped(stop.subscribe())));
    let serving = tokio::spawn(server.serve(service, stopped(stop.subscribe())));

    let mut out = std::io::stdout();
    writeln!(out, "\n  Monitor Kit\n\n{greeting}")?;
    out.flush()?;

    signalled().await?;
    // A second signal ends it at once: whatever is not done goes on at the next start.
    tokio::spawn(async {
        if signalled().await.is_ok() {
            std::process::exit(130);
        }
    });
    stop.send_replace(true);
    serving.await?;
    monitor.shutdown(Duration::from_secs(20)).await;
    internal_task.await?;
    Ok(())
}

/// Ctrl-C or SIGTERM.
async fn signalled() -> std::io::Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

/// An error and its causes in one line.
pub fn report(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
