//! `monitor-engine`: the embedded ClickHouse engine of Monitor Kit, as a process of its own.
//!
//! The engine is ClickHouse as a library, half a gigabyte of foreign code. It runs here and not in the host's process, so
//! that its crash, its memory and its signal handling stay out of there, and it speaks ClickHouse's HTTP interface, so
//! that one client library serves the embedded engine, a single server and a cluster.
//!
//! ```text
//! HTTP ─ request ─ body (memory, then file) ─ pool ─ engine thread ─ library
//!          └──────────── server ◂─ answer (few pieces) ◂─┘
//! ```
//!
//! The process ends when its standard input closes, so that it never outlives its parent, and on SIGTERM and SIGINT.
//! Exit codes: 0 in order, 1 any other failure, 2 wrong arguments, 3 no engine library, 4 the data is in use by another
//! process, 5 the address is taken.

#![allow(clippy::print_stdout, reason = "a command line program")]

mod answer;
mod body;
mod compress;
mod exception;
mod fetch;
mod library;
mod pool;
mod request;
mod run;
mod server;
mod statement;

use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::body::Intake;
use crate::fetch::FetchError;
use crate::library::{Library, OpenError};
use crate::pool::{Options, Pool, Threads};
use crate::request::Credentials;
use crate::server::Shared;

/// Memory for request bodies that wait, all together.
const BODY_MEMORY: usize = 128 << 20;
/// The longest pause between two pieces of a body.
const BODY_IDLE: Duration = Duration::from_secs(60);
/// Time for running requests to end at shutdown, and again for the engine to close.
const GRACE: Duration = Duration::from_secs(10);

/// The embedded ClickHouse engine of Monitor Kit.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch the engine library for this platform (once; needs npm)
    Fetch {
        /// Where engines are installed [default: $MONITOR_ENGINE_DIR, or the user's cache directory]
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Print where the engine library is
    Locate {
        /// Where engines are installed [default: $MONITOR_ENGINE_DIR, or the user's cache directory]
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Print the versions of this program and of the engine library
    Version,
    /// Serve ClickHouse's HTTP interface; prints `listening HOST:PORT` when ready
    Serve(Serve),
}

#[derive(clap::Args)]
struct Serve {
    /// Directory of the data; made if missing. One process at a time
    #[arg(long)]
    path: PathBuf,
    /// Address to listen on; port 0 chooses a free one. Anything but loopback needs a password
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Statements that run at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// Threads one statement may use [default: one per core]
    #[arg(long)]
    threads: Option<u16>,
    /// Memory the engine may use, in bytes [default: 90 % of the machine's]
    #[arg(long)]
    max_memory: Option<u64>,
    /// Largest request body, in bytes, before and after decompression
    #[arg(long, default_value_t = 1 << 30)]
    max_body: u64,
    /// Requests that may wait for a free connection; more are refused
    #[arg(long, default_value_t = 64)]
    queue: usize,
    /// Longest wait for a free connection, in milliseconds
    #[arg(long, default_value_t = 10_000)]
    patience: u64,
    /// The user's name
    #[arg(long, env = "MONITOR_ENGINE_USER", default_value = "default")]
    user: String,
    /// The user's password; only from the environment, where other users cannot read it
    #[arg(skip = std::env::var("MONITOR_ENGINE_PASSWORD").ok().filter(|password| !password.is_empty()))]
    password: Option<String>,
    /// Keep running when the standard input closes
    #[arg(long)]
    ignore_stdin: bool,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Task::Fetch { dir } => fetch::fetch(dir).map(|path| println!("{}", path.display())).map_err(Into::into),
        Task::Locate { dir } => fetch::locate(dir).map(|path| println!("{}", path.display())).map_err(Into::into),
        Task::Version => version(),
        Task::Serve(options) => serve(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("monitor-engine: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                text.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            eprintln!("{text}");
            exit_code(error.as_ref())
        }
    }
}

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Reasons not to serve that the parent tells apart.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the data directory {} is used by another process ({owner})", .path.display())]
    DataInUse { path: PathBuf, owner: String },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

fn exit_code(error: &(dyn Error + 'static)) -> ExitCode {
    if error.is::<FetchError>() || error.is::<OpenError>() {
        return ExitCode::from(3);
    }
    match error.downcast_ref::<Refusal>() {
        Some(Refusal::DataInUse { .. }) => ExitCode::from(4),
        Some(Refusal::Listen { source, .. }) if source.kind() == std::io::ErrorKind::AddrInUse => ExitCode::from(5),
        _ => ExitCode::FAILURE,
    }
}

fn version() -> Result<()> {
    println!("monitor-engine {}", env!("CARGO_PKG_VERSION"));
    println!("engine pinned {}", fetch::VERSION);
    if let Ok(path) = fetch::locate(None) {
        println!("engine library {} ({})", Library::open(&path)?.version(), path.display());
    }
    Ok(())
}

fn serve(options: Serve) -> Result<()> {
    if !options.listen.ip().is_loopback() && options.password.is_none() {
        return Err("listening beyond loopback needs a password: set MONITOR_ENGINE_PASSWORD".into());
    }
    let library = Library::open(&fetch::locate(None)?)?;
    fs::create_dir_all(&options.path)?;
    let path = options.path.canonicalize()?;
    // Held until the process ends. The engine has a lock too, but says nothing useful when it is taken.
    let _lock = lock(&path)?;
    let temporary = path.join("bodies");
    fs::create_dir_all(&temporary)?;
    // Bound before the engine starts: an address in use should cost nothing.
    let listener = std::net::TcpListener::bind(options.listen).map_err(|source| Refusal::Listen { address: options.listen, source })?;
    listener.set_nonblocking(true)?;
    let (pool, threads) = Pool::start(&library, engine_options(&options, &path))?;
    let credentials = Credentials { user: options.user, password: options.password };
    let intake = Intake::new(BODY_MEMORY, temporary, options.max_body, BODY_IDLE);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(async {
        let (version, timezone) = ask_engine(&pool).await?;
        let shared = Arc::new(Shared { pool, intake, credentials, version, timezone });
        let listener = TcpListener::from_std(listener)?;
        announce(listener.local_addr()?)?;
        let stop = stopped(options.ignore_stdin)?;
        Ok(server::serve(listener, shared, stop, GRACE).await)
    });
    // Drops what still holds the pool, which lets the engine's threads end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    close(threads);
    match served {
        Ok(true) => Ok(()),
        Ok(false) => Err("some requests did not end in time and were cut off".into()),
        Err(error) => Err(error),
    }
}

fn engine_options(options: &Serve, path: &Path) -> Options {
    let mut arguments = vec![
        format!("--path={}", path.display()),
        // The defaults are those of a large server.
        "--mark_cache_size=67108864".to_owned(),
        "--uncompressed_cache_size=0".to_owned(),
        // Questions are small reads of what the system has in memory: handing them to other threads costs more than reading.
        "--local_filesystem_read_method=pread".to_owned(),
    ];
    if let Some(bytes) = options.max_memory {
        arguments.push(format!("--max_server_memory_usage={bytes}"));
    }
    let settings = options.threads.map(|threads| ("max_threads".to_owned(), threads.to_string()));
    Options {
        arguments,
        settings: settings.into_iter().collect(),
        connections: usize::from(options.connections),
        queue: options.queue,
        patience: Duration::from_millis(options.patience),
    }
}

/// Makes sure that no other process uses the data.
fn lock(path: &Path) -> Result<File> {
    let file_name = path.join("monitor-engine.lock");
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&file_name)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the message.
            let _ = file.read_to_string(&mut owner);
            Err(Refusal::DataInUse { path: path.to_path_buf(), owner }.into())
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Version and time zone; also the proof that the engine answers.
async fn ask_engine(pool: &Pool) -> Result<(String, String)> {
    let (answer, result) = oneshot::channel();
    pool.run(move |session| {
        let text = session.prepare(None, &[]).and_then(|connection| {
            let output = connection.query("SELECT version(), timezone()", "TabSeparated", &[])?;
            Ok(String::from_utf8_lossy(output.bytes()).trim_end().to_owned())
        });
        // The receiver waits for it, a few lines below.
        let _ = answer.send(text);
    })
    .await?;
    let text = result.await??;
    let (version, timezone) = text.split_once('\t').ok_or("the engine did not tell its version")?;
    Ok((version.to_owned(), timezone.to_owned()))
}

/// The one line the parent waits for.
fn announce(address: SocketAddr) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "listening {address}")?;
    output.flush()?;
    Ok(())
}

/// Resolves when it is time to end.
fn stopped(ignore_stdin: bool) -> Result<impl Future<Output = ()>> {
    let (closed, stdin) = oneshot::channel::<()>();
    // A thread of its own: the runtime's standard input would hold the shutdown up until a byte arrives.
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut ignored = [0; 64];
        let mut input = std::io::stdin().lock();
        while !ignore_stdin && matches!(input.read(&mut ignored), Ok(1..)) {}
        if ignore_stdin {
            // The channel must stay open, or it would mean the same as a closed input.
            std::mem::forget(closed);
        }
    })?;
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        let terminated = async move { terminate.recv().await };
        #[cfg(not(unix))]
        let terminated = std::future::pending::<Option<()>>();
        tokio::select! {
            _ = stdin => {}
            _ = terminated => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    })
}

/// Closes the engine. One that does not close in time is left to the operating system: stored data is safe, and leaving
/// in the ordinary way with open connections can fault.
fn close(threads: Threads) {
    let (done, closed) = std::sync::mpsc::sync_channel(1);
    let closer = std::thread::spawn(move || {
        threads.join();
        // The receiver may have given up.
        let _ = done.send(());
    });
    if closed.recv_timeout(GRACE).is_err() {
        eprintln!("monitor-engine: the engine did not close in time");
        library::exit_without_cleanup(1);
    }
    // It has sent its word and ends now.
    let _ = closer.join();
}
