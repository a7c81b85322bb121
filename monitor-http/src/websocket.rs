//! Events over a WebSocket: one envelope per text message, answered by one text message, in order.
//!
//! One message is worked on at a time. A client that sends faster is slowed down by TCP, so a socket never holds more than one
//! message of the largest size, [paid for](crate::meter) from the budget of all requests. A message that has begun must be complete
//! within the time for a body.

use std::{net::IpAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Response, Version, header, request::Parts};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use monitor_core::{Counts, Labelled, Total};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        error::{CapacityError, ProtocolError},
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    answer::{self, Refusal, Taken},
    ingest::{Form, Sender, check_uri},
    meter::{Metered, is_used_up},
    response::Body,
    service::Shared,
};

/// Longest time for the switch of protocols and for sending one message.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// This many pings without a sign of life, and the client is gone.
const MISSED_PINGS: u32 = 3;
/// A client's ping or pong without its payload, bytes: type, length and mask.
const CONTROL_HEADER: usize = 6;

impl Shared {
    pub(crate) fn web_socket(self: &Arc<Self>, project: &str, parts: &mut Parts) -> Result<Response<Body>, Refusal> {
        check_uri(parts, self.config.uri_bytes)?;
        let accept = check_handshake(parts)?;
        let client = {
            let Sender { project, ip, user_agent } = self.admit(Some(project), parts)?;
            Client { project: project.id.clone(), ip, user_agent: user_agent.to_owned() }
        };
        let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or(Refusal::UpgradeRequired)?;
        let place = self.sockets.take(client.ip)?;
        let shared = self.clone();
        tokio::spawn(async move {
            let _place = place;
            let counts = shared.pipeline.counts().clone();
            let work = AssertUnwindSafe(run(shared, client, upgrade)).catch_unwind();
            if work.await.is_err() {
                tracing::error!("a WebSocket made the service panic");
                counts.count(Labelled::RequestsRefused, Refusal::Internal.told().code, 1);
            }
        });
        Ok(answer::switching(accept))
    }
}

/// Who opened the socket.
struct Client {
    project: String,
    ip: Option<IpAddr>,
    user_agent: String,
}

/// Checks the request of RFC 6455, section 4.2.1, and gives the value of `Sec-WebSocket-Accept`.
pub(crate) fn check_handshake(parts: &Parts) -> Result<HeaderValue, Refusal> {
    let headers = &parts.headers;
    let is_upgrade = parts.version == Version::HTTP_11
        && has_token(headers, &header::CONNECTION, "upgrade")
        && has_token(headers, &header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    if !is_upgrade {
        return Err(Refusal::UpgradeRequired);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24).ok_or(Refusal::BadUpgrade)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| Refusal::BadUpgrade)
}

fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

async fn run(shared: Arc<Shared>, client: Client, upgrade: OnUpgrade) {
    // The client went away during the handshake: nothing was sent, nothing is lost.
    let Ok(Ok(upgraded)) = timeout(WRITE_TIMEOUT, upgrade).await else { return };
    let size = shared.config.body_bytes;
    let config = WebSocketConfig::default()
        .max_message_size(Some(size))
        .max_frame_size(Some(size))
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(256 * 1024);
    let Ok(hold) = shared.bodies.hold(0) else { return };
    let stream = Metered::new(TokioIo::new(upgraded), hold);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let code = converse(&shared, &client, &mut socket).await;
    if let Some(code) = code {
        let frame = CloseFrame { code, reason: Utf8Bytes::default() };
        // A client that does not take the goodbye is dropped all the same.
        let _goodbye = timeout(WRITE_TIMEOUT, socket.close(Some(frame))).await;
    }
}

/// Talks until one side ends it; `Some` when that was ours.
async fn converse(shared: &Arc<Shared>, client: &Client, socket: &mut WebSocketStream<Metered<TokioIo<Upgraded>>>) -> Option<CloseCode> {
    let mut closing = shared.closing.subscribe();
    let mut missed = 0;
    loop {
        let message = tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => return Some(CloseCode::Away),
            message = timeout(shared.config.web_socket_idle, socket.next()) => message,
        };
        let reply = match message {
            Err(_idle) if socket.get_ref().is_late(shared.config.body_timeout) => return Some(too_slow(shared.pipeline.counts())),
            Err(_idle) if missed >= MISSED_PINGS - 1 => return Some(CloseCode::Policy),
            Err(_idle) => {
                missed += 1;
                Message::Ping(bytes::Bytes::new())
            }
            Ok(None) => return None,
            Ok(Some(Err(error))) => return goodbye(&error, shared.pipeline.counts()),
            Ok(Some(Ok(message))) => {
                missed = 0;
                match message {
                    Message::Text(text) => {
                        let outcome = take(shared, client, &text).await;
                        if let Err(refusal) = &outcome {
                            shared.pipeline.counts().count(Labelled::RequestsRefused, refusal.told().code, 1);
                        }
                        socket.get_mut().settle();
                        Message::text(answer::frame(&outcome))
                    }
                    Message::Binary(_) => {
                        shared.pipeline.counts().count(Labelled::RequestsRefused, Refusal::UnsupportedType.told().code, 1);
                        return Some(CloseCode::Unsupported);
                    }
                    // Pings are answered by the protocol layer. They may stand between the pieces of a message.
                    Message::Ping(payload) | Message::Pong(payload) => {
                        socket.get_mut().settle_part(CONTROL_HEADER + payload.len());
                        if socket.get_ref().is_late(shared.config.body_timeout) {
                            return Some(too_slow(shared.pipeline.counts()));
                        }
                        continue;
                    }
                    // A close is followed by the end of the stream.
                    Message::Close(_) | Message::Frame(_) => continue,
                }
            }
        };
        match timeout(WRITE_TIMEOUT, socket.send(reply)).await {
            Ok(Ok(())) => {}
            _ => return None,
        }
    }
}

async fn take(shared: &Arc<Shared>, client: &Client, text: &Utf8Bytes) -> Result<Taken, Refusal> {
    let project = shared.projects.by_id(&client.project).ok_or(Refusal::UnknownKey)?;
    shared.check_rates(project, client.ip)?;
    let _request = shared.requests.hold(1)?;
    let counts = shared.pipeline.counts();
    counts.add(Total::Requests, 1);
    counts.add(Total::RequestBytes, text.len() as u64);
    let sender = Sender { project, ip: client.ip, user_agent: &client.user_agent };
    shared.submit(Form::Envelope, sender, text.as_bytes()).await
}

fn too_slow(counts: &Counts) -> CloseCode {
    counts.count(Labelled::RequestsRefused, Refusal::TooSlow.told().code, 1);
    CloseCode::Policy
}

fn goodbye(error: &Error, counts: &Counts) -> Option<CloseCode> {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            counts.count(Labelled::RequestsRefused, Refusal::TooLarge.told().code, 1);
            Some(CloseCode::Size)
        }
        Error::Io(error) if is_used_up(error) => {
            counts.count(Labelled::RequestsRefused, Refusal::Overloaded.told().code, 1);
            Some(CloseCode::Again)
        }
        Error::Utf8(_) => {
            counts.count(Labelled::RequestsRefused, "not_utf8", 1);
            Some(CloseCode::Invalid)
        }
        // One that goes away without a word has sent all that it wanted to.
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => {
            counts.count(Labelled::RequestsRefused, "bad_frame", 1);
            Some(CloseCode::Protocol)
        }
        _ => None,
    }
}
