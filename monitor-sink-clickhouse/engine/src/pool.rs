//! A fixed number of engine connections, each owned by its own thread.
//!
//! A request waits for a free connection ([`Pool::run`]); both the number of waiting requests and their wait are bounded,
//! beyond that they are told to come again. The engine's calls block, so nothing of them runs on the async threads.
//!
//! HTTP requests know no sessions, but an engine connection is one: [`Session`] applies a request's database and settings
//! before its statement and takes them back after it. When that fails, the connection is replaced by a fresh one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::exception::{Exception, code};
use crate::library::{Connection, Library};

/// The database every engine starts with.
const DEFAULT_DATABASE: &str = "default";

/// How the engine is started, and how many requests may use it.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// `--name=value` arguments of every connection; those in `settings` are added.
    pub arguments: Vec<String>,
    /// Query settings every statement starts with.
    pub settings: Vec<(String, String)>,
    /// Engine connections, that is statements running at the same time.
    pub connections: usize,
    /// Requests waiting for a connection; more are refused at once.
    pub queue: usize,
    /// The longest wait for a connection.
    pub patience: Duration,
}

impl Options {
    fn connect(&self, library: &Arc<Library>) -> Result<Connection, Exception> {
        let settings = self.settings.iter().map(|(name, value)| format!("--{name}={value}"));
        library.connect(&self.arguments.iter().cloned().chain(settings).collect::<Vec<_>>())
    }
}

type Work = Box<dyn FnOnce(&mut Session) + Send>;

/// Work with the permission to use a connection, given back when the work is done.
struct Task {
    work: Work,
    _permit: OwnedSemaphorePermit,
}

/// The connections. It must be dropped, and [`Threads::join`] called, before the process ends.
pub(crate) struct Pool {
    tasks: mpsc::SyncSender<Task>,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    options: Options,
}

/// What is left to do when the pool is gone.
pub(crate) struct Threads {
    workers: Vec<JoinHandle<()>>,
    /// Keeps the engine up while a worker replaces its connection.
    anchor: Connection,
}

impl Pool {
    /// Starts the engine and opens all connections.
    ///
    /// # Errors
    /// The engine does not start.
    pub(crate) fn start(library: &Arc<Library>, options: Options) -> Result<(Self, Threads), Exception> {
        let anchor = options.connect(library)?;
        let (tasks, queue) = mpsc::sync_channel::<Task>(options.connections);
        let queue = Arc::new(Mutex::new(queue));
        let mut workers = Vec::new();
        for number in 0..options.connections {
            let mut session = Session::open(Arc::clone(library), options.clone())?;
            let queue = Arc::clone(&queue);
            let worker = move || {
                loop {
                    // The lock is held while waiting: one idle thread waits for the task, the others for the lock.
                    let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(task) = task else { return };
                    session.run(task.work);
                }
            };
            let thread = std::thread::Builder::new().name(format!("engine-{number}"));
            workers.push(thread.spawn(worker).map_err(|error| Exception::engine(format_args!("cannot start a thread: {error}")))?);
        }
        let free = Arc::new(Semaphore::new(options.connections));
        Ok((Self { tasks, free, waiting: AtomicUsize::new(0), options }, Threads { workers, anchor }))
    }

    /// Hands `work` to a free connection; returns when it has been taken, not when it is done.
    ///
    /// # Errors
    /// Too many requests are waiting, or none became free in time (code 202).
    pub(crate) async fn run(&self, work: impl FnOnce(&mut Session) + Send + 'static) -> Result<(), Exception> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        let task = Task { work: Box::new(work), _permit: permit };
        // A permit stands for an idle thread: the channel is never full, so that this does not wait.
        self.tasks.send(task).map_err(|_| Exception::engine("the engine is shutting down"))
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, Exception> {
        let guard = Waiting::enter(&self.waiting);
        if guard.before >= self.options.queue {
            return Err(busy(format_args!("{} requests are already waiting", self.options.queue)));
        }
        match tokio::time::timeout(self.options.patience, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Exception::engine("the engine is shutting down")),
            Err(_) => Err(busy(format_args!("no connection became free within {} ms", self.options.patience.as_millis()))),
        }
    }
}

fn busy(message: impl std::fmt::Display) -> Exception {
    Exception::new(code::TOO_MANY_SIMULTANEOUS_QUERIES, "TOO_MANY_SIMULTANEOUS_QUERIES", message)
}

/// Counts a waiting request for as long as it lives, also when the request is dropped.
struct Waiting<'count> {
    count: &'count AtomicUsize,
    before: usize,
}

impl<'count> Waiting<'count> {
    fn enter(count: &'count AtomicUsize) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Threads {
    /// Waits for the threads, which end when the [`Pool`] is dropped and their work is done, then closes the engine.
    pub(crate) fn join(self) {
        for worker in self.workers {
            // A worker that panicked has nothing left to close.
            let _ = worker.join();
        }
        drop(self.anchor);
    }
}

/// One engine connection that forgets between two requests.
pub(crate) struct Session {
    library: Arc<Library>,
    options: Options,
    /// `None` after a connection had to be given up and could not be replaced yet.
    connection: Option<Connection>,
    database: String,
    changed: Vec<String>,
}

impl Session {
    fn open(library: Arc<Library>, options: Options) -> Result<Self, Exception> {
        let connection = Some(options.connect(&library)?);
        Ok(Self { library, options, connection, database: DEFAULT_DATABASE.to_owned(), changed: Vec::new() })
    }

    fn run(&mut self, work: Work) {
        // The request whose work panicked is answered by its closed channel; the connection may be half-way through a
        // statement and is replaced.
        let finished = catch_unwind(AssertUnwindSafe(|| work(self))).is_ok();
        if !finished || !self.restore() {
            self.connection = None;
        }
    }

    /// The connection, with the request's database and settings.
    ///
    /// # Errors
    /// Unknown database or setting, wrong value; or no connection.
    pub(crate) fn prepare(&mut self, database: Option<&str>, settings: &[(String, String)]) -> Result<&mut Connection, Exception> {
        let database = database.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_DATABASE);
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                DEFAULT_DATABASE.clone_into(&mut self.database);
                self.changed.clear();
                self.options.connect(&self.library)?
            }
        };
        let connection = self.connection.insert(connection);
        if self.database != database {
            connection.query(&format!("USE {}", quoted(database, '`')), "Null", &[])?;
            database.clone_into(&mut self.database);
        }
        self.apply(settings)?;
        self.connection()
    }

    /// The connection as it was prepared.
    ///
    /// # Errors
    /// It was not prepared.
    pub(crate) fn connection(&mut self) -> Result<&mut Connection, Exception> {
        self.connection.as_mut().ok_or_else(|| Exception::engine("the connection is not prepared"))
    }

    /// Sets one more setting for this request.
    ///
    /// # Errors
    /// The engine does not take it.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Exception> {
        self.apply(&[(name.to_owned(), value.to_owned())])
    }

    fn apply(&mut self, settings: &[(String, String)]) -> Result<(), Exception> {
        if settings.is_empty() {
            return Ok(());
        }
        if let Some((name, _)) = settings.iter().find(|(name, _)| !is_setting_name(name)) {
            return Err(Exception::new(115, "UNKNOWN_SETTING", format_args!("Unknown setting {}", quoted(name, '\''))));
        }
        // Noted before: a statement that fails may have set the first of them.
        self.changed.extend(settings.iter().map(|(name, _)| name.clone()));
        let list: Vec<String> = settings.iter().map(|(name, value)| format!("{name} = {}", quoted(value, '\''))).collect();
        self.connection()?.query(&format!("SET {}", list.join(", ")), "Null", &[])?;
        Ok(())
    }

    /// Takes the request's settings back; `false` when the connection is not what it was.
    fn restore(&mut self) -> bool {
        let changed = std::mem::take(&mut self.changed);
        let Some(connection) = &mut self.connection else { return true };
        let original = |name: &String| {
            let default = self.options.settings.iter().find(|(setting, _)| setting == name);
            default.map_or_else(|| format!("{name} = DEFAULT"), |(_, value)| format!("{name} = {}", quoted(value, '\'')))
        };
        let all: Vec<String> = changed.iter().map(original).collect();
        if all.is_empty() || connection.query(&format!("SET {}", all.join(", ")), "Null", &[]).is_ok() {
            return true;
        }
        // One of them may be unknown, which is why the request failed; it needs no restoring.
        all.iter().all(|one| match connection.query(&format!("SET {one}"), "Null", &[]) {
            Ok(_) => true,
            Err(exception) => exception.code == 115,
        })
    }
}

fn is_setting_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Writes a text or name as an SQL literal.
pub(crate) fn quoted(text: &str, quote: char) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push(quote);
    for letter in text.chars() {
        match letter {
            '\0' => literal.push_str("\\0"),
            '\\' => literal.push_str("\\\\"),
            letter if letter == quote => literal.extend(['\\', quote]),
            letter => literal.push(letter),
        }
    }
    literal.push(quote);
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_holds_what_it_was_given() {
        assert_eq!(quoted("it's \\ \0", '\''), "'it\\'s \\\\ \\0'");
        assert_eq!(quoted("a`b", '`'), "`a\\`b`");
        assert!(!is_setting_name("a = 1, b") && !is_setting_name(""));
    }
}
