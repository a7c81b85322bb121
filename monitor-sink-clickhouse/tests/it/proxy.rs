//! Stands between sink and engine, and does to inserts what networks and servers do.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What happens to an insert.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The engine carries it out, and the answer is lost.
    LoseAnswer,
    /// The engine never sees it; this is the answer.
    Answer(String),
    /// The engine never sees it, and there is no answer.
    Hang,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Insert {
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Proxy {
    pub(crate) url: String,
    script: Arc<Mutex<VecDeque<Fault>>>,
    inserts: Arc<Mutex<Vec<Insert>>>,
    passing: Arc<AtomicI64>,
}

impl Proxy {
    pub(crate) async fn start(upstream: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (script, inserts) = (Arc::new(Mutex::new(VecDeque::new())), Arc::new(Mutex::new(Vec::new())));
        let passing = Arc::new(AtomicI64::new(i64::MAX));
        let proxy = Proxy { url, script: Arc::clone(&script), inserts: Arc::clone(&inserts), passing: Arc::clone(&passing) };
        let upstream = upstream.to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if passing.fetch_sub(1, Ordering::SeqCst) <= 0 {
                    continue;
                }
                tokio::spawn(serve(client, upstream.clone(), Arc::clone(&script), Arc::clone(&inserts)));
            }
        });
        proxy
    }

    /// The next insert meets this; several queue up, later ones pass.
    pub(crate) fn next(&self, fault: Fault) {
        self.script.lock().unwrap().push_back(fault);
    }

    /// Only so many requests pass from now on: to the engine the client is dead after them.
    pub(crate) fn pass_only(&self, requests: i64) {
        self.passing.store(requests, Ordering::SeqCst);
    }

    /// Every insert that was sent, with its body.
    pub(crate) fn inserts(&self) -> Vec<Insert> {
        self.inserts.lock().unwrap().clone()
    }
}

/// An answer of ClickHouse.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Fault {
    Fault::Answer(format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()))
}

/// Serves one request of the connection and closes it.
async fn serve(mut client: TcpStream, upstream: String, script: Arc<Mutex<VecDeque<Fault>>>, inserts: Arc<Mutex<Vec<Insert>>>) {
    let Some((head, raw, body)) = read_request(&mut client).await else { return };
    let insert = head.contains("insert_deduplication_token");
    let fault = if insert { script.lock().unwrap().pop_front() } else { None };
    if insert {
        inserts.lock().unwrap().push(Insert { target: head.lines().next().unwrap().to_owned(), body });
    }
    match &fault {
        Some(Fault::Answer(answer)) => {
            client.write_all(answer.as_bytes()).await.unwrap();
            return;
        }
        Some(Fault::Hang) => {
            // Until the client has had enough and closes.
            let _closed = client.read(&mut [0; 1]).await;
            return;
        }
        _ => {}
    }
    // Nobody there: the client sees its connection closed.
    let Ok(mut server) = TcpStream::connect(&upstream).await else { return };
    server.write_all(format!("{}\r\nconnection: close\r\n\r\n", head.trim_end()).as_bytes()).await.unwrap();
    server.write_all(&raw).await.unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.unwrap();
    if fault.is_none() {
        let _client_may_be_gone = client.write_all(&answer).await;
    }
}

/// Head, body as sent, body without its chunks.
async fn read_request(client: &mut TcpStream) -> Option<(String, Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let raw = bytes.split_off(end);
    let head = String::from_utf8(bytes).unwrap();
    let mut raw = raw;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(|length| length.parse::<usize>().unwrap()));
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        match length {
            Some(length) if raw.len() >= length => return Some((head, raw.clone(), raw)),
            Some(_) => {}
            None => {
                while let Some(line) = find(&raw[at..], b"\r\n") {
                    let size = usize::from_str_radix(std::str::from_utf8(&raw[at..at + line]).unwrap(), 16).unwrap();
                    let start = at + line + 2;
                    if raw.len() < start + size + 2 {
                        break;
                    }
                    if size == 0 {
                        return Some((head, raw, body));
                    }
                    body.extend_from_slice(&raw[start..start + size]);
                    at = start + size + 2;
                }
            }
        }
        if client.read_buf(&mut raw).await.ok()? == 0 {
            return None;
        }
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
