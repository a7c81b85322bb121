//! Runs the embedded engine: starts the helper process `monitor-engine` and keeps it running.
//!
//! ```text
//! host process                                   helper process
//! ┌───────────────────────────┐   stdin (open as long as we live)
//! │ EmbeddedEngine ─ task ────┼──────────────────▸┌──────────────────────────┐
//! │                           │◂──────────────────┤ "listening 127.0.0.1:P"  │ stdout
//! │ ClickHouse client ────────┼── HTTP, password ▸│ ClickHouse engine ─ data │
//! └───────────────────────────┘                   └──────────────────────────┘
//! ```
//!
//! - The helper ends when its standard input closes, so it never outlives the host, however that ends.
//! - When the helper dies it is started again, after 0.2 s, 0.4 s … at most 10 s, with the same password, and with the
//!   same port unless somebody else took it. Until then requests fail, and the spool in front of the sink holds the events.
//! - The password is random, made for each [`EmbeddedEngine`], and handed over in the environment, which other users of
//!   the machine cannot read; without it the helper answers nothing but `/ping`.
//! - Nothing here installs signal handlers or touches the host's standard streams; the helper's output goes to `tracing`.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Name of the helper program.
const HELPER: &str = "monitor-engine";
/// Environment variable that names the helper program.
const HELPER_VARIABLE: &str = "MONITOR_ENGINE";
/// The helper's only user.
const USER: &str = "default";
/// Pauses before a restart: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A helper that ran this long was healthy: the next pause is short again.
const HEALTHY: Duration = Duration::from_secs(60);
/// Time for the helper to open its data and listen.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the first start waits for a predecessor that still holds the data.
const PREDECESSOR: Duration = Duration::from_secs(20);
/// Time to end when nobody says how long.
const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(10);
/// Attempts with another port when the chosen one was taken in between.
const PORT_ATTEMPTS: usize = 5;
/// A line of the helper's output is cut here, in bytes.
const MAX_LINE: usize = 1000;
/// Lines of the helper's output kept for an error message.
const KEPT_LINES: usize = 10;

/// The helper's exit codes that mean something to us.
mod exit_code {
    pub(super) const LIBRARY_MISSING: i32 = 3;
    pub(super) const DATA_IN_USE: i32 = 4;
    pub(super) const ADDRESS_IN_USE: i32 = 5;
}

/// Why the embedded engine did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// There is no helper program.
    #[error(
        "the program {HELPER} was not found (looked for {}): install it with `cargo install {HELPER}` or set {HELPER_VARIABLE}=/path/to/{HELPER}",
        .searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    HelperMissing {
        /// The places looked at.
        searched: Vec<PathBuf>,
    },
    /// The helper has no engine library.
    #[error("the engine library is missing, run `{HELPER} fetch`: {message}")]
    LibraryMissing {
        /// What the helper said.
        message: String,
    },
    /// The data directory is in use by another process, and stays so.
    #[error("the data of the embedded engine is in use: {message}")]
    DataInUse {
        /// What the helper said.
        message: String,
    },
    /// The helper could not be started.
    #[error("cannot start {}", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The helper ended before it was ready.
    #[error("the embedded engine ended while starting ({status}): {message}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// Its last words.
        message: String,
    },
    /// The helper was not ready in time.
    #[error("the embedded engine was not ready within {} s", START_TIMEOUT.as_secs())]
    Timeout,
    /// No port, no randomness, or the helper's pipes broke.
    #[error("cannot prepare the embedded engine")]
    Prepare(#[source] io::Error),
}

/// How the embedded engine is to run; from [`EmbeddedEngine::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `start`"]
pub struct EmbeddedEngineBuilder {
    data: PathBuf,
    helper: Option<PathBuf>,
    max_memory: Option<u64>,
    threads: Option<u16>,
    connections: Option<u16>,
    variables: Vec<(OsString, OsString)>,
}

impl EmbeddedEngineBuilder {
    /// The helper program. Default: `MONITOR_ENGINE`, else `monitor-engine` next to the running program, in the
    /// directory above (for examples and tests), or in `PATH`.
    pub fn helper(mut self, program: impl Into<PathBuf>) -> Self {
        self.helper = Some(program.into());
        self
    }

    /// Memory the engine may use, in bytes. Default: 90 % of the machine's. Below about 500 MB queries fail.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// Threads one statement may use. Default: one per core.
    pub fn threads(mut self, threads: u16) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Statements that may run at the same time, 1 to 64. Default: 4. More wait, for 10 s at most.
    pub fn connections(mut self, connections: u16) -> Self {
        self.connections = Some(connections);
        self
    }

    /// An environment variable for the helper, such as `MONITOR_LIBCHDB` (the library) or `MONITOR_ENGINE_DIR` (where
    /// libraries are installed).
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Starts the engine and waits until it answers; from then on it is restarted whenever it dies.
    ///
    /// # Errors
    /// See [`EmbeddedError`]. After the first start errors are logged and tried again.
    pub async fn start(self) -> Result<EmbeddedEngine, EmbeddedError> {
        let program = find_helper(self.helper.as_deref())?;
        let password = random_password()?;
        let deadline = Instant::now() + PREDECESSOR;
        let mut ports_left = PORT_ATTEMPTS;
        let mut address = free_address()?;
        loop {
            let launch = Launch { builder: self.clone(), program: program.clone(), address, password: password.clone() };
            match launch.run().await {
                Ok(running) => return Ok(EmbeddedEngine::supervise(launch, running)),
                Err(Failure::AddressInUse(_)) if ports_left > 0 => {
                    ports_left -= 1;
                    address = free_address()?;
                }
                Err(Failure::Other(EmbeddedError::DataInUse { .. })) if Instant::now() < deadline => sleep(BACKOFF.0).await,
                Err(Failure::AddressInUse(error) | Failure::Other(error)) => return Err(error),
            }
        }
    }
}

/// A ClickHouse engine in a process of its own, for this process alone.
///
/// Dropped without [`EmbeddedEngine::shutdown`], the helper is told to end and does so on its own.
#[derive(Debug)]
pub struct EmbeddedEngine {
    address: Arc<Mutex<SocketAddr>>,
    password: String,
    data: PathBuf,
    /// The helper's process id while it answers; closed when the supervisor has ended.
    pid: watch::Receiver<Option<u32>>,
    restarts: Arc<AtomicU64>,
    stop: mpsc::Sender<Stop>,
    /// Owned so that the supervisor's end can be awaited.
    task: Mutex<Option<JoinHandle<()>>>,
}

/// The order to end, with the time for it and the way to say whether it ended in order.
struct Stop {
    within: Duration,
    done: oneshot::Sender<bool>,
}

impl EmbeddedEngine {
    /// An engine whose data lives in the directory `data`, which is made if missing. One process at a time can use it.
    pub fn builder(data: impl Into<PathBuf>) -> EmbeddedEngineBuilder {
        EmbeddedEngineBuilder { data: data.into(), helper: None, max_memory: None, threads: None, connections: None, variables: Vec::new() }
    }

    fn supervise(launch: Launch, running: Running) -> Self {
        let (pid_sender, pid) = watch::channel(running.child.id());
        let (stop, stopped) = mpsc::channel(1);
        let restarts = Arc::new(AtomicU64::new(0));
        let address = Arc::new(Mutex::new(launch.address));
        let (password, data) = (launch.password.clone(), launch.builder.data.clone());
        let supervisor = Supervisor { launch, address: Arc::clone(&address), pid: pid_sender, restarts: Arc::clone(&restarts), stopped };
        let task = Mutex::new(Some(tokio::spawn(supervisor.run(running))));
        Self { address, password, data, pid, restarts, stop, task }
    }

    /// Where the engine answers, for example `http://127.0.0.1:40123`. A restart changes it only when another process has
    /// taken the port meanwhile: ask anew before each use, and send nothing while [`pid`](EmbeddedEngine::pid) is `None`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user to send.
    pub fn user(&self) -> &str {
        USER
    }

    /// The password to send. The same through all restarts.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The helper's process id while it answers.
    pub fn pid(&self) -> Option<u32> {
        *self.pid.borrow()
    }

    /// How often the helper was started again after it had died.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Waits until the engine answers; `false` when it was shut down.
    pub async fn ready(&self) -> bool {
        self.pid.clone().wait_for(Option::is_some).await.is_ok()
    }

    /// Size of the data on disk, in bytes.
    ///
    /// # Errors
    /// The data directory cannot be read.
    pub async fn storage_bytes(&self) -> io::Result<u64> {
        let data = self.data.clone();
        tokio::task::spawn_blocking(move || directory_size(&data)).await.map_err(io::Error::other)?
    }

    /// Lets running requests end, closes the engine, waits for that, and kills the helper when it takes longer than
    /// `within`. `true` when it ended in order; stored data is safe either way. A second call waits for the first.
    pub async fn shutdown(&self, within: Duration) -> bool {
        let (done, ended) = oneshot::channel();
        // Both fail only when the supervisor has ended already, which is what is asked for.
        let in_order = match self.stop.send(Stop { within, done }).await {
            Ok(()) => ended.await.unwrap_or(true),
            Err(_) => true,
        };
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // It does not panic; and if it did, the helper is gone with it.
            let _ = task.await;
        }
        in_order
    }
}

/// Keeps one helper running.
struct Supervisor {
    launch: Launch,
    /// What others see of the launch's address.
    address: Arc<Mutex<SocketAddr>>,
    pid: watch::Sender<Option<u32>>,
    restarts: Arc<AtomicU64>,
    stopped: mpsc::Receiver<Stop>,
}

impl Supervisor {
    async fn run(mut self, mut running: Running) {
        let mut pause = BACKOFF.0;
        loop {
            let started = Instant::now();
            self.pid.send_replace(running.child.id());
            let status = tokio::select! {
                status = running.child.wait() => status,
                stop = self.stopped.recv() => return end(running, stop, &self.pid).await,
            };
            self.pid.send_replace(None);
            match status {
                Ok(status) => tracing::warn!(%status, "the embedded engine died and is started again"),
                Err(error) => tracing::warn!(%error, "the embedded engine is lost and is started again"),
            }
            if started.elapsed() >= HEALTHY {
                pause = BACKOFF.0;
            }
            running = loop {
                // Dropping a half-made start kills its process.
                let start = async {
                    sleep(pause).await;
                    self.launch.run().await
                };
                let started = tokio::select! {
                    started = start => started,
                    stop = self.stopped.recv() => {
                        if let Some(stop) = stop {
                            // The caller may have given up waiting.
                            let _ = stop.done.send(true);
                        }
                        return;
                    }
                };
                pause = (pause * 2).min(BACKOFF.1);
                match started {
                    Ok(running) => break running,
                    Err(Failure::AddressInUse(_)) => self.move_away(),
                    Err(Failure::Other(error)) => {
                        tracing::error!(error = &error as &dyn std::error::Error, "the embedded engine does not start again");
                    }
                }
            };
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Chooses another port: who holds ours may keep it for ever.
    fn move_away(&mut self) {
        match free_address() {
            Ok(address) => {
                tracing::warn!(taken = %self.launch.address, %address, "the embedded engine's port was taken; it moves to another");
                self.launch.address = address;
                *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
            }
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "there is no port for the embedded engine"),
        }
    }
}

/// Ends the helper: closes its input, waits, kills.
async fn end(mut running: Running, stop: Option<Stop>, pid: &watch::Sender<Option<u32>>) {
    pid.send_replace(None);
    drop(running.stdin);
    let within = stop.as_ref().map_or(DEFAULT_SHUTDOWN, |stop| stop.within);
    let in_order = match timeout(within, running.child.wait()).await {
        Ok(status) => status.is_ok_and(|status| status.success()),
        Err(_) => {
            tracing::warn!("the embedded engine did not end in time and is killed");
            // Fails only when it has ended by itself in this moment.
            let _ = running.child.kill().await;
            false
        }
    };
    if let Some(stop) = stop {
        // The caller may have given up waiting.
        let _ = stop.done.send(in_order);
    }
}

/// A helper that answers.
struct Running {
    child: Child,
    /// Kept apart from `child`, which would close it when waited for.
    stdin: Option<ChildStdin>,
}

/// Why a start failed: the port is the one thing the first start can change.
enum Failure {
    AddressInUse(EmbeddedError),
    Other(EmbeddedError),
}

/// All that is needed to start the helper, again and again.
struct Launch {
    builder: EmbeddedEngineBuilder,
    program: PathBuf,
    address: SocketAddr,
    password: String,
}

impl Launch {
    fn command(&self) -> Command {
        let builder = &self.builder;
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--path").arg(&builder.data).args(["--listen", &self.address.to_string()]);
        for (name, value) in [
            ("--max-memory", builder.max_memory.map(|bytes| bytes.to_string())),
            ("--threads", builder.threads.map(|threads| threads.to_string())),
            ("--connections", builder.connections.map(|connections| connections.to_string())),
        ] {
            if let Some(value) = value {
                command.args([name, &value]);
            }
        }
        command.envs(builder.variables.iter().map(|(name, value)| (name, value)));
        command.env("MONITOR_ENGINE_USER", USER).env("MONITOR_ENGINE_PASSWORD", &self.password);
        // Out of reach of a Ctrl-C meant for us (we end it in order) and of what it may send to its own group.
        #[cfg(unix)]
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Starts the helper and waits until it listens.
    async fn run(&self) -> Result<Running, Failure> {
        let spawned = self.command().spawn();
        let mut child = spawned.map_err(|source| Failure::Other(EmbeddedError::Spawn { program: self.program.clone(), source }))?;
        let stdin = child.stdin.take();
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let errors = child.stderr.take().map(|stderr| tokio::spawn(log_lines(stderr, Some(Arc::clone(&kept)))));
        let Some(mut stdout) = child.stdout.take() else {
            return Err(Failure::Other(EmbeddedError::Prepare(io::ErrorKind::BrokenPipe.into())));
        };
        match timeout(START_TIMEOUT, listening(&mut stdout)).await {
            Err(_) => return Err(Failure::Other(EmbeddedError::Timeout)),
            Ok(true) => {
                // The engine may write to its standard output too; a full pipe would stop it.
                tokio::spawn(log_lines(stdout, None));
                return Ok(Running { child, stdin });
            }
            Ok(false) => {}
        }
        // It ends, or has closed its output, in which case it is of no use to us.
        drop(stdin);
        let status = match timeout(DEFAULT_SHUTDOWN, child.wait()).await {
            Ok(status) => status.map_err(|error| Failure::Other(EmbeddedError::Prepare(error)))?,
            Err(_) => return Err(Failure::Other(EmbeddedError::Timeout)),
        };
        if let Some(errors) = errors {
            // Only for the message below, which must not wait for long.
            let _ = timeout(Duration::from_secs(1), errors).await;
        }
        let message = Vec::from(std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner))).join("; ");
        Err(match status.code() {
            Some(exit_code::ADDRESS_IN_USE) => Failure::AddressInUse(EmbeddedError::Ended { status, message }),
            Some(exit_code::LIBRARY_MISSING) => Failure::Other(EmbeddedError::LibraryMissing { message }),
            Some(exit_code::DATA_IN_USE) => Failure::Other(EmbeddedError::DataInUse { message }),
            _ => Failure::Other(EmbeddedError::Ended { status, message }),
        })
    }
}

/// Reads the helper's output up to the line that says that it listens; `false` when the output ends before.
async fn listening(stdout: &mut ChildStdout) -> bool {
    let mut lines = Lines::new(stdout);
    while let Some(line) = lines.next().await {
        if line.starts_with("listening ") {
            return true;
        }
    }
    false
}

/// Hands the helper's output to the host's log, and keeps the last lines for an error message if asked to.
async fn log_lines(output: impl AsyncRead + Unpin, kept: Option<Arc<Mutex<VecDeque<String>>>>) {
    let mut lines = Lines::new(output);
    while let Some(line) = lines.next().await {
        tracing::info!(target: "monitor_engine", "{line}");
        if let Some(kept) = &kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == KEPT_LINES {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    }
}

/// Lines of at most [`MAX_LINE`] bytes; the rest of a longer line is dropped.
struct Lines<R> {
    source: R,
    buffer: VecDeque<u8>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(source: R) -> Self {
        Self { source, buffer: VecDeque::new(), ended: false }
    }

    /// The next line that is not empty; `None` at the end of the output.
    async fn next(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            while let Some(byte) = self.buffer.pop_front() {
                match byte {
                    b'\n' if line.is_empty() => {}
                    b'\n' => return Some(String::from_utf8_lossy(&line).into_owned()),
                    _ if line.len() < MAX_LINE => line.push(byte),
                    _ => {}
                }
            }
            if self.ended {
                return (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned());
            }
            let mut chunk = [0; 1024];
            match self.source.read(&mut chunk).await {
                Ok(0) | Err(_) => self.ended = true,
                Ok(count) => self.buffer.extend(chunk.iter().take(count)),
            }
        }
    }
}

/// Finds the helper program.
fn find_helper(chosen: Option<&Path>) -> Result<PathBuf, EmbeddedError> {
    let named =
        chosen.map(Path::to_path_buf).or_else(|| std::env::var_os(HELPER_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from));
    let searched = match named {
        Some(path) => vec![path],
        None => {
            let file = format!("{HELPER}{}", std::env::consts::EXE_SUFFIX);
            let program = std::env::current_exe().ok();
            let beside = program.as_deref().and_then(Path::parent);
            let above = beside.and_then(Path::parent);
            let path = std::env::var_os("PATH").unwrap_or_default();
            let directories = beside.into_iter().chain(above).map(Path::to_path_buf).chain(std::env::split_paths(&path));
            directories.map(|directory| directory.join(&file)).collect()
        }
    };
    match searched.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(EmbeddedError::HelperMissing { searched }),
    }
}

/// A loopback address nobody listens on at this moment.
fn free_address() -> Result<SocketAddr, EmbeddedError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(EmbeddedError::Prepare)?;
    listener.local_addr().map_err(EmbeddedError::Prepare)
}

/// 128 random bits as text.
fn random_password() -> Result<String, EmbeddedError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| EmbeddedError::Prepare(io::Error::other(error.to_string())))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Adds up a directory. What the engine removes meanwhile is not counted.
fn directory_size(directory: &Path) -> io::Result<u64> {
    let mut total = 0;
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                // The engine links its table directories; what they point to is counted where it is.
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) => total += metadata.len(),
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests;
