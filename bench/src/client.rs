//! A keep-alive HTTP/1 client over one connection, reconnecting when it broke.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::Result;

/// One connection.
pub struct Client {
    addr: SocketAddr,
    sender: Option<http1::SendRequest<Full<Bytes>>>,
}

impl Client {
    /// Connects with the first request.
    pub fn new(addr: SocketAddr) -> Client {
        Client { addr, sender: None }
    }

    /// Status and body of the answer. An error leaves it open whether the request had an effect.
    pub async fn post(&mut self, path: &str, content_type: &str, body: Bytes, within: Duration) -> Result<(u16, Bytes)> {
        let request = Request::post(path).header("host", "localhost").header("content-type", content_type).body(Full::new(body))?;
        self.send(request, within).await
    }

    /// As [`post`](Client::post), with a request of any kind. It needs a `host` header.
    pub async fn send(&mut self, request: Request<Full<Bytes>>, within: Duration) -> Result<(u16, Bytes)> {
        let result = timeout(within, self.try_send(request)).await;
        let result = result.unwrap_or_else(|_| Err("timed out".into()));
        if result.is_err() {
            self.sender = None;
        }
        result
    }

    async fn try_send(&mut self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes)> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => {
                let stream = TcpStream::connect(self.addr).await?;
                stream.set_nodelay(true)?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
        };
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok((status, body))
    }

    /// Posts JSON and reads JSON back; an answer other than 200 is an error.
    pub async fn query(&mut self, path: &str, question: &serde_json::Value) -> Result<serde_json::Value> {
        let (status, body) = self.post(path, "application/json", serde_json::to_vec(question)?.into(), Duration::from_secs(120)).await?;
        if status != 200 {
            return Err(format!("{path} answered {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// The text of a request, after whose answer the connection is closed.
pub fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Sends the text of a request over a connection of its own; the text of the answer.
pub async fn exchange(addr: SocketAddr, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What `/metrics` said.
pub struct Metrics(String);

impl Metrics {
    /// Asks a process's internal listener.
    pub async fn read(addr: SocketAddr) -> Result<Metrics> {
        let answer = exchange(addr, &request("GET", "/metrics", "")).await?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(format!("/metrics answered {}", answer.lines().next().unwrap_or_default()).into());
        }
        Ok(Metrics(answer))
    }

    /// The sum of a number over its labels; 0 when nothing has been counted yet.
    pub fn sum(&self, name: &str) -> f64 {
        self.sum_of(name, "")
    }

    /// The sum over those labels that hold this text.
    pub fn sum_of(&self, name: &str, label: &str) -> f64 {
        let value = |line: &str| {
            let (key, value) = line.strip_prefix("monitor_")?.rsplit_once(' ')?;
            let (key, labels) = key.split_once('{').unwrap_or((key, ""));
            let matches = key.strip_suffix("_total").unwrap_or(key) == name && labels.contains(label);
            if matches { value.parse::<f64>().ok() } else { None }
        };
        self.0.lines().filter_map(value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE monitor_events_duplicate counter\nmonitor_events_duplicate_total{stage=\"a b\"} 2\nmonitor_events_duplicate_total{stage=\"c\"} 3\nmonitor_spool_bytes 9\n";
        let metrics = Metrics(text.into());
        assert_eq!((metrics.sum("events_duplicate"), metrics.sum_of("events_duplicate", "\"c\"")), (5.0, 3.0));
        assert_eq!((metrics.sum("spool_bytes"), metrics.sum("events")), (9.0, 0.0));
    }
}
