//! A server process under test: started, killed, watched through `/proc`.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::Result;

/// A program with its arguments, that can be started again in the same way.
pub struct Service {
    program: PathBuf,
    args: Vec<String>,
    ready: &'static str,
    log: PathBuf,
    /// The process of the last start.
    pub process: Process,
}

impl Service {
    /// See [`Process::start`].
    pub async fn start(program: &Path, args: Vec<String>, ready: &'static str, log: PathBuf) -> Result<Service> {
        let process = Process::start(program, &args, ready, &log).await?;
        Ok(Service { program: program.to_owned(), args, ready, log, process })
    }

    /// An engine helper of its own, on data below this folder.
    pub async fn engine(program: &Path, folder: &Path, listen: SocketAddr) -> Result<Service> {
        let data = folder.join("engine").display().to_string();
        let args = ["serve", "--path", &data, "--listen", &listen.to_string()].map(str::to_owned).to_vec();
        Service::start(program, args, "listening", folder.join("engine.log")).await
    }

    /// Starts it again; a process that still runs is killed.
    pub async fn restart(&mut self) -> Result<()> {
        if self.process.is_running() {
            self.process.kill().await?;
        }
        self.process = Process::start(&self.program, &self.args, self.ready, &self.log).await?;
        Ok(())
    }
}

/// A child process. It is killed when dropped.
pub struct Process {
    child: Child,
    pid: u32,
}

impl Process {
    /// Starts a program and waits until it prints a line that contains `ready`. Its output goes to `log`.
    pub async fn start(program: &Path, args: &[String], ready: &str, log: &Path) -> Result<Process> {
        let errors = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = Command::new(program)
            .args(args)
            // Kept open: the engine helper ends when it closes.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let pid = child.id().ok_or("the process ended at once")?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let wait = async {
            while let Some(line) = lines.next_line().await? {
                if line.contains(ready) {
                    return Ok(());
                }
            }
            Err(std::io::Error::other("the process ended before it was ready"))
        };
        let waited = timeout(Duration::from_secs(60), wait).await.map_err(|_| "not ready after 60 s".to_owned());
        if let Err(error) = waited.and_then(|result| result.map_err(|error| error.to_string())) {
            return Err(format!("{}: {error}; its log is {}", program.display(), log.display()).into());
        }
        // Keep reading: a full pipe would stop the process.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Process { child, pid })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.start_kill()?;
        self.child.wait().await?;
        Ok(())
    }

    /// SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        signal(self.pid, Signal::TERM)
    }

    /// Waits for the end; its exit code, or `None` after a signal.
    pub async fn wait(&mut self, within: Duration) -> Result<Option<i32>> {
        Ok(timeout(within, self.child.wait()).await??.code())
    }

    /// Process ids of its children that run this program.
    pub fn children(&self, program: &str) -> Vec<u32> {
        children(self.pid, program)
    }
}

/// Process ids of the children of a process that run this program.
pub fn children(parent: u32, program: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid: &u32| {
        stat(pid).is_some_and(|(name, fields)| name == program.get(..15).unwrap_or(program) && fields.get(1) == Some(&parent.to_string()))
    })
    .collect()
}

/// Sends a signal to a process that this program started, or to its child.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).ok_or("no such process")?;
    Ok(kill_process(pid, signal)?)
}

/// Whether a process is stopped by SIGSTOP.
pub fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|(_, fields)| fields.first().is_some_and(|state| state == "T"))
}

/// A loopback address on which nothing listens.
pub fn free_address() -> Result<SocketAddr> {
    // Below the ports that the system gives to outgoing connections: under load one of those would take it before the server does.
    let mut ports = std::iter::repeat_with(|| fastrand::u16(15_000..32_000)).take(100);
    let free = ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    Ok(free.ok_or("no port is free")?.local_addr()?)
}

/// Lines of the logs (`*.log`) in a folder that tell of a panic.
pub fn panics(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder)?.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "log") {
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            found.extend(text.lines().filter(|line| line.contains("panicked at")).map(|line| format!("{}: {line}", path.display())));
        }
    }
    Ok(found)
}

/// Program name and the fields from the state on of `/proc/PID/stat`.
fn stat(pid: u32) -> Option<(String, Vec<String>)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(") ")?;
    let name = head.split_once(" (")?.1.to_owned();
    Some((name, tail.split(' ').map(str::to_owned).collect()))
}

/// CPU time of a process so far, user and system.
pub fn cpu(pid: u32) -> Duration {
    let ticks = stat(pid).and_then(|(_, fields)| Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?));
    // The kernel reports in units of 1/100 s on every Linux of today.
    Duration::from_millis(ticks.unwrap_or(0) * 10)
}

/// Resident memory of a process, bytes.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

/// Waits until `done` says so.
pub async fn until(within: Duration, mut done: impl AsyncFnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < within {
        if done().await {
            return true;
        }
        sleep(Duration::from_millis(100)).await;
    }
    false
}
