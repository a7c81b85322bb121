//! A running server, and a client that says exactly what it is told, byte by byte.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

pub mod store;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use monitor_core::{Counts, Enricher, Pipeline, Project, Projects, Transport, testing::MemoryTransport};
use monitor_http::{Config, HttpService, HttpServiceBuilder, LiveHub, Server, ServerConfig};
use tokio::sync::oneshot;

/// A pipeline that ends in memory, and a service over it.
pub struct Scene {
    pub transport: Arc<MemoryTransport>,
    pub counts: Arc<Counts>,
    pub service: HttpService,
}

pub fn projects() -> Arc<Projects> {
    let shop = Project::new("shop", "public-key").name("Demo shop");
    let closed = Project::new("closed", "closed-key").allow_origin("https://shop.example");
    let slow = Project::new("slow", "slow-key").max_events_per_second(2);
    Arc::new(Projects::new(vec![shop, closed, slow]).unwrap())
}

/// A scene with its own enrichers, transport and builder settings.
pub fn scene_with(
    enrichers: Vec<Box<dyn Enricher>>,
    transport: Option<Arc<dyn Transport>>,
    configure: impl FnOnce(HttpServiceBuilder) -> HttpServiceBuilder,
) -> Scene {
    let counts = Arc::new(Counts::new());
    let memory = Arc::new(MemoryTransport::default());
    let transport = transport.unwrap_or(memory.clone());
    let live = LiveHub::new(counts.clone());
    let pipeline = Pipeline::new(enrichers, transport, vec![live.clone()], counts.clone());
    let service = configure(HttpService::builder(projects(), pipeline).live(live)).build();
    Scene { transport: memory, counts, service }
}

pub fn scene(config: Config) -> Scene {
    scene_with(vec![], None, |builder| builder.config(config))
}

/// The limits of the tests: as documented, but nobody waits for seconds.
pub fn quick() -> (Config, ServerConfig) {
    let mut config = Config::default();
    config.body_timeout = Duration::from_millis(1_500);
    config.body_grace = Duration::from_millis(700);
    config.requests_per_second_per_client = None;
    let mut server = ServerConfig::default();
    server.head_timeout = Duration::from_millis(600);
    server.write_timeout = Duration::from_millis(600);
    server.grace = Duration::from_secs(3);
    (config, server)
}

/// A server on a thread of its own.
pub struct Running {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<bool>>,
}

pub fn serve(service: HttpService, config: ServerConfig) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    let (address, bound) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async move {
            let server = Server::bind("127.0.0.1:0").await.unwrap().config(config);
            address.send(server.local_addr().unwrap()).unwrap();
            let shutdown = async {
                let _stopped_or_dropped = stopped.await;
            };
            server.serve(service, shutdown).await
        })
    });
    Running { address: bound.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
}

impl Running {
    /// Begins to shut down.
    pub fn stop(&mut self) {
        self.stop.take();
    }

    /// Shuts down; whether everything ended in time.
    pub fn join(mut self) -> bool {
        self.stop.take();
        self.thread.take().unwrap().join().unwrap()
    }

    pub fn connect(&self) -> Client {
        Client::new(self.address)
    }

    /// One request on a connection of its own.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect();
        client.send(request.as_ref());
        client.response().expect("an answer")
    }
}

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    pub closed: bool,
    continued: bool,
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub complete: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(8))).unwrap();
        Client { stream, buffer: Vec::new(), closed: false, continued: false }
    }

    /// Sends as much as the server takes; it may hang up early.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub fn close_write(&mut self) {
        let _closed_already = self.stream.shutdown(Shutdown::Write);
    }

    fn fill(&mut self) -> bool {
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => self.closed = true,
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                return true;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.closed = true,
        }
        false
    }

    /// The next answer; `None` when the connection ended or nothing came for 8 s.
    pub fn response(&mut self) -> Option<Response> {
        loop {
            let end = loop {
                match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                    Some(end) => break end,
                    None if !self.fill() => return None,
                    None => {}
                }
            };
            let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            self.buffer.drain(..end + 4);
            let mut lines = head.split("\r\n");
            let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let mut response = Response { status, headers, body: Vec::new(), complete: true };
            // The answer after `100 Continue` is the one that counts.
            if status == 100 {
                self.continued = true;
                continue;
            }
            if response.header("transfer-encoding") == Some("chunked") {
                (response.body, response.complete) = self.chunks();
                return Some(response);
            }
            let len: usize = response.header("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
            while self.buffer.len() < len && self.fill() {}
            response.body = self.buffer.drain(..len.min(self.buffer.len())).collect();
            return Some(response);
        }
    }

    /// The pieces of a body, and whether the last one came.
    fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let Some(line) = self.buffer.windows(2).position(|window| window == b"\r\n") else {
                if self.fill() { continue } else { return (body, false) }
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..line]).unwrap(), 16).unwrap();
            while self.buffer.len() < line + 2 + size + 2 {
                if !self.fill() {
                    return (body, false);
                }
            }
            body.extend_from_slice(&self.buffer[line + 2..line + 2 + size]);
            self.buffer.drain(..line + 2 + size + 2);
            if size == 0 {
                return (body, true);
            }
        }
    }

    /// Whether `100 Continue` came before an answer.
    pub fn saw_continue(&self) -> bool {
        self.continued
    }

    /// Reads what comes within the time.
    pub fn text_within(&mut self, time: Duration) -> String {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.stream.set_read_timeout(Some(left)).unwrap();
            if !self.fill() {
                break;
            }
        }
        self.stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    /// Reads until a text has come; what came, at the latest after 20 s: it may be megabytes, on a busy machine.
    pub fn text_until(&mut self, part: &str) -> String {
        let end = Instant::now() + Duration::from_secs(20);
        let mut text = String::new();
        let mut looked = 0;
        while !text.get(looked..).is_some_and(|new| new.contains(part)) && !self.closed && Instant::now() < end {
            looked = text.floor_char_boundary(text.len().saturating_sub(part.len()));
            text += &self.text_within(Duration::from_millis(50));
        }
        text
    }

    /// Whether the server hangs up within the time, whatever it still says.
    pub fn closes_within(&mut self, time: Duration) -> bool {
        let _said = self.text_within(time);
        self.closed
    }
}

/// Waits until something is so, at most for 5 s.
pub fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A POST with its length and a host.
pub fn post(path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for header in headers {
        request.extend_from_slice(header.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    request
}

pub fn get(path: &str, headers: &[&str]) -> Vec<u8> {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
    for header in headers {
        request += header;
        request += "\r\n";
    }
    (request + "\r\n").into_bytes()
}

pub const EVENTS: &str = "/api/shop/events?key=public-key";

/// A JSON document, as the dashboard sends it.
pub fn post_json(path: &str, headers: &[&str], body: &serde_json::Value) -> Vec<u8> {
    let headers: Vec<&str> = headers.iter().copied().chain(["Content-Type: application/json"]).collect();
    post(path, &headers, body.to_string().as_bytes())
}

/// An envelope with one event per name.
pub fn envelope(names: &[&str]) -> String {
    let events: Vec<_> = names.iter().map(|name| serde_json::json!({"kind": "track", "name": name})).collect();
    serde_json::json!({"v": 1, "events": events}).to_string()
}
