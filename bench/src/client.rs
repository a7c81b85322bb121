//! A keep-alive HTTP/1 client over one connection, reconnecting when it broke.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

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
        let result = timeout(within, self.try_post(path, content_type, body)).await;
        let result = result.unwrap_or_else(|_| Err("timed out".into()));
        if result.is_err() {
            self.sender = None;
        }
        result
    }

    async fn try_post(&mut self, path: &str, content_type: &str, body: Bytes) -> Result<(u16, Bytes)> {
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
        let request = Request::post(path).header("host", "localhost").header("content-type", content_type).body(Full::new(body))?;
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
