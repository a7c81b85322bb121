//! A proxy before the database that makes faults at the moments that matter: around an insert.
//!
//! ```text
//!   writer ── insert ──▶ proxy ── insert ──▶ engine
//!     ▲                    │ here the writer is killed or stopped, the answer lost,
//!     └───── answer ───────┘ the insert refused
//! ```

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::{Body, Frame, Incoming},
    client::conn::http1 as client,
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{Error, Result, process::signal};

/// What happens to one insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The writer is killed when the engine has stored it, before it is told.
    KillAfterWrite,
    /// The writer is killed when a part of the rows has been passed on.
    KillInWrite,
    /// The writer is stopped (SIGSTOP) before the rows are passed on. They are, when [`Proxy::release`] is called.
    StopInWrite,
    /// The engine stores it, the connection is closed instead of an answer.
    LoseAnswer,
}

/// What happens to everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is passed on.
    Pass,
    /// Nothing listens and no connection lives.
    Refuse,
    /// Inserts are refused as by a table with too many parts; questions pass.
    TooManyParts,
}

/// A proxy. It ends when dropped.
pub struct Proxy {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    engine: SocketAddr,
    inserts: Arc<Inserts>,
    mode: watch::Sender<Mode>,
    /// How many armed faults have happened.
    fired: watch::Sender<u64>,
    /// How many held inserts were let go.
    released: watch::Sender<u64>,
    armed: Mutex<Option<Armed>>,
    /// What `fired` will be when the fault armed last has happened.
    due: AtomicU64,
    refused: AtomicU64,
}

struct Armed {
    fault: Fault,
    /// Inserts that pass before.
    after: u32,
    writer: u32,
}

/// Inserts that were seen by the proxies of a group of writers, by their tokens.
#[derive(Default)]
pub struct Inserts {
    tokens: Mutex<HashMap<String, u32>>,
}

impl Inserts {
    fn tokens(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them.
    pub fn seen(&self) -> u64 {
        self.tokens().values().map(|times| u64::from(*times)).sum()
    }

    /// Those whose token had been sent before.
    pub fn repeated(&self) -> u64 {
        self.tokens().values().map(|times| u64::from(*times - 1)).sum()
    }
}

impl Proxy {
    /// Listens on a free port and passes everything on to this engine.
    pub async fn start(engine: SocketAddr, inserts: Arc<Inserts>) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            engine,
            inserts,
            mode: watch::Sender::new(Mode::Pass),
            fired: watch::Sender::new(0),
            released: watch::Sender::new(0),
            armed: Mutex::new(None),
            due: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let task = tokio::spawn(serve(listener, addr, shared.clone()));
        Ok(Proxy { addr, shared, task })
    }

    /// The next insert but `after` ones meets this fault; `writer` is the process that is killed or stopped.
    pub fn arm(&self, fault: Fault, after: u32, writer: u32) {
        self.shared.due.store(*self.shared.fired.borrow() + 1, Ordering::Relaxed);
        *self.shared.armed() = Some(Armed { fault, after, writer });
    }

    /// Waits until the fault that was armed last has happened.
    pub async fn fired(&self, within: Duration) -> Result<()> {
        let due = self.shared.due.load(Ordering::Relaxed);
        let mut fired = self.shared.fired.subscribe();
        timeout(within, fired.wait_for(|count| *count >= due)).await.map_err(|_| "no insert came that could meet the fault")??;
        Ok(())
    }

    /// Lets the inserts go that [`Fault::StopInWrite`] holds.
    pub fn release(&self) {
        self.shared.released.send_modify(|count| *count += 1);
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Inserts answered with an error of our own.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn armed(&self) -> MutexGuard<'_, Option<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault for this insert.
    fn next_fault(&self) -> Option<(Fault, u32)> {
        let mut armed = self.armed();
        let rule = armed.as_mut()?;
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
        armed.take().map(|rule| (rule.fault, rule.writer))
    }

    fn count(&self) {
        self.fired.send_modify(|count| *count += 1);
    }
}

/// Accepts connections; while they are refused nothing listens.
async fn serve(listener: TcpListener, addr: SocketAddr, shared: Arc<Shared>) {
    let mut mode = shared.mode.subscribe();
    let mut listener = Some(listener);
    // Aborted when dropped.
    let mut connections = JoinSet::new();
    loop {
        if *mode.borrow_and_update() == Mode::Refuse {
            listener = None;
            connections.shutdown().await;
            if mode.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            listener = TcpListener::bind(addr).await.ok();
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        tokio::select! {
            _ = mode.changed() => {}
            accepted = open.accept() => if let Ok((stream, _)) = accepted {
                // Only slower without.
                let _ = stream.set_nodelay(true);
                let shared = shared.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| handle(shared.clone(), request));
                    // A connection that breaks is what this is for.
                    let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

type Answer = Response<BoxBody<Bytes, Error>>;

/// An error closes the connection without an answer.
async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer> {
    let Some(token) = insert_token(request.uri()) else { return shared.pass_on(request.map(passing)).await };
    *shared.inserts.tokens().entry(token).or_default() += 1;
    if *shared.mode.borrow() == Mode::TooManyParts {
        // Who is still sending would not see the answer.
        request.into_body().collect().await?;
        shared.refused.fetch_add(1, Ordering::Relaxed);
        return too_many_parts();
    }
    let Some((fault, writer)) = shared.next_fault() else { return shared.pass_on(request.map(passing)).await };
    let cut = |body: Incoming| Cut { body: Some(body), writer, shared: shared.clone() }.boxed();
    match fault {
        Fault::KillInWrite => shared.pass_on(request.map(cut)).await,
        Fault::KillAfterWrite => {
            shared.stored(request).await?;
            signal(writer, Signal::KILL)?;
            shared.count();
            Err("the writer was killed".into())
        }
        Fault::LoseAnswer => {
            shared.stored(request).await?;
            shared.count();
            Err("the answer is lost".into())
        }
        Fault::StopInWrite => {
            let mut released = shared.released.subscribe();
            released.borrow_and_update();
            signal(writer, Signal::STOP)?;
            shared.count();
            released.changed().await?;
            shared.pass_on(request.map(passing)).await
        }
    }
}

impl Shared {
    async fn pass_on(&self, request: Request<BoxBody<Bytes, Error>>) -> Result<Answer> {
        let stream = TcpStream::connect(self.engine).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
        // Its errors are those of the request.
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?.map(passing))
    }

    /// Passes an insert on and makes sure that it was stored.
    async fn stored(&self, request: Request<Incoming>) -> Result<()> {
        let answer = self.pass_on(request.map(passing)).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK {
            return Err(format!("the engine answered {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(())
    }
}

fn passing(body: Incoming) -> BoxBody<Bytes, Error> {
    body.map_err(Error::from).boxed()
}

/// The token of an insert of events; `None` for any other request.
fn insert_token(uri: &Uri) -> Option<String> {
    let parameters = || uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let statement = parameters().find(|(name, _)| *name == "query")?.1.replace('+', " ").replace("%20", " ");
    if !statement.starts_with("INSERT INTO events ") {
        return None;
    }
    let token = parameters().find(|(name, _)| *name == "insert_deduplication_token").map(|(_, token)| token.to_owned());
    // Without a token none is like another.
    Some(token.unwrap_or_else(|| format!("{:032x}", fastrand::u128(..))))
}

/// What ClickHouse answers when merges do not keep up.
fn too_many_parts() -> Result<Answer> {
    let text = "Code: 252. DB::Exception: Too many parts (3000 with average size of 1.00 MiB) in table 'monitor.events'. Merges are processing significantly slower than inserts. (TOO_MANY_PARTS) (version 26.7.2.1)\n";
    let body = Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed();
    Ok(Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).header("x-clickhouse-exception-code", "252").body(body)?)
}

/// Half of the first piece of a body; then the writer is killed and the body breaks off.
struct Cut {
    body: Option<Incoming>,
    writer: u32,
    shared: Arc<Shared>,
}

impl Body for Cut {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if let Some(body) = &mut self.body {
            return match std::task::ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    let piece = frame.into_data().unwrap_or_default();
                    self.body = None;
                    Poll::Ready(Some(Ok(Frame::data(piece.slice(..piece.len() / 2)))))
                }
                Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
                None => Poll::Ready(None),
            };
        }
        let killed = signal(self.writer, Signal::KILL);
        if killed.is_ok() {
            self.shared.count();
        }
        Poll::Ready(Some(Err(killed.err().unwrap_or_else(|| "the writer was killed".into()))))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    use crate::{
        client::Client,
        process::{Process, is_stopped, until},
    };

    use super::*;

    const INSERT: &str = "/?query=INSERT+INTO+events+FORMAT+Native&insert_deduplication_token=a%2F1";
    const QUESTION: &str = "/?query=SELECT+1";
    const WITHIN: Duration = Duration::from_secs(5);

    /// An engine that remembers the bodies that came whole.
    async fn engine() -> (SocketAddr, Arc<Mutex<Vec<Bytes>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stored = Arc::new(Mutex::new(Vec::new()));
        let to = stored.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let to = to.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let to = to.clone();
                    async move {
                        let body = request.into_body().collect().await?.to_bytes();
                        to.lock().unwrap().push(body);
                        Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from("ok"))))
                    }
                });
                tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (addr, stored)
    }

    struct Scene {
        proxy: Proxy,
        stored: Arc<Mutex<Vec<Bytes>>>,
        inserts: Arc<Inserts>,
        writer: Process,
    }

    impl Scene {
        async fn new() -> Scene {
            let (engine, stored) = engine().await;
            let inserts = Arc::new(Inserts::default());
            let proxy = Proxy::start(engine, inserts.clone()).await.unwrap();
            Scene { proxy, stored, inserts, writer: process().await }
        }

        async fn post(&self, path: &str) -> Result<(u16, Bytes)> {
            Client::new(self.proxy.addr).post(path, "text/plain", Bytes::from("rows and rows"), WITHIN).await
        }

        fn stored(&self) -> usize {
            self.stored.lock().unwrap().len()
        }
    }

    /// A process that waits to be killed.
    async fn process() -> Process {
        let path = PathBuf::from(format!("{}/monitor-proxy-{:x}", std::env::temp_dir().display(), fastrand::u64(..)));
        fs::write(&path, "#!/bin/sh\necho ready\nexec sleep 60\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let process = Process::start(&path, &[], "ready", &path.with_extension("log")).await.unwrap();
        fs::remove_file(&path).unwrap();
        fs::remove_file(path.with_extension("log")).unwrap();
        process
    }

    #[tokio::test]
    async fn everything_passes_until_a_fault_is_armed_and_only_the_named_insert_meets_it() {
        let scene = Scene::new().await;
        scene.proxy.arm(Fault::LoseAnswer, 1, 0);
        assert_eq!(scene.post(QUESTION).await.unwrap(), (200, Bytes::from("ok")));
        assert_eq!(scene.post(INSERT).await.unwrap().0, 200);
        assert!(scene.post(INSERT).await.is_err());
        scene.proxy.fired(WITHIN).await.unwrap();
        assert_eq!(scene.stored(), 3, "what was not answered is stored");
        assert_eq!(scene.post(INSERT).await.unwrap().0, 200);
        assert_eq!((scene.inserts.seen(), scene.inserts.repeated()), (3, 2));
    }

    #[tokio::test]
    async fn the_writer_is_killed_when_its_rows_are_stored() {
        let mut scene = Scene::new().await;
        scene.proxy.arm(Fault::KillAfterWrite, 0, scene.writer.pid());
        assert!(scene.post(INSERT).await.is_err());
        assert_eq!(scene.writer.wait(WITHIN).await.unwrap(), None);
        assert_eq!(scene.stored(), 1);
    }

    #[tokio::test]
    async fn the_writer_is_killed_in_the_middle_of_its_rows() {
        let mut scene = Scene::new().await;
        scene.proxy.arm(Fault::KillInWrite, 0, scene.writer.pid());
        assert!(scene.post(INSERT).await.is_err());
        scene.proxy.fired(WITHIN).await.unwrap();
        assert_eq!(scene.writer.wait(WITHIN).await.unwrap(), None);
        assert_eq!(scene.stored(), 0);
    }

    #[tokio::test]
    async fn a_stopped_writers_insert_is_held_until_it_is_released() {
        let scene = Scene::new().await;
        scene.proxy.arm(Fault::StopInWrite, 0, scene.writer.pid());
        let addr = scene.proxy.addr;
        let insert = tokio::spawn(async move { Client::new(addr).post(INSERT, "text/plain", Bytes::from("rows"), WITHIN).await });
        scene.proxy.fired(WITHIN).await.unwrap();
        assert!(until(WITHIN, async || is_stopped(scene.writer.pid())).await);
        assert_eq!(scene.stored(), 0);
        scene.proxy.release();
        assert_eq!(insert.await.unwrap().unwrap().0, 200);
        assert_eq!(scene.stored(), 1);
    }

    #[tokio::test]
    async fn too_many_parts_refuses_inserts_only() {
        let scene = Scene::new().await;
        scene.proxy.set(Mode::TooManyParts);
        let (status, text) = scene.post(INSERT).await.unwrap();
        assert_eq!((status, text.starts_with(b"Code: 252. DB::Exception: Too many parts")), (500, true));
        assert_eq!((scene.proxy.refused(), scene.stored()), (1, 0));
        assert_eq!(scene.post(QUESTION).await.unwrap().0, 200);
    }

    #[tokio::test]
    async fn refused_connections_are_taken_again_on_the_same_port() {
        let scene = Scene::new().await;
        scene.proxy.set(Mode::Refuse);
        assert!(until(WITHIN, async || TcpStream::connect(scene.proxy.addr).await.is_err()).await);
        scene.proxy.set(Mode::Pass);
        assert!(until(WITHIN, async || scene.post(QUESTION).await.is_ok()).await);
    }
}
