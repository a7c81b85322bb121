//! The live stream over a WebSocket, for panels that move: batches of events, and each second how many of each kind came and the medians
//! of the web vitals.
//!
//! The client says what it wants to see, and may change its mind:
//!
//! ```text
//! > {"subscribe":{"project":"shop","kinds":["vital"],"filters":[],"events":true}}
//! < {"type":"subscribed","project":"shop"}
//! < {"type":"events","events":[…]}
//! < {"type":"figures","time":1732096800000,"counts":{"vital":12},"vitals":{"LCP":{"count":340,"p50":1840.5}}}
//! < {"type":"dropped","count":31}
//! ```
//!
//! A client that takes nothing for [`WRITE_TIMEOUT`] is dropped. Who may see what is asked again every now and then, so that a socket does
//! not outlive the session it was opened with.

use std::{future::poll_fn, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{
    FutureExt, SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::{Response, request::Parts};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use monitor_core::{Kind, Labelled, query::Filter};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        protocol::{CloseFrame, Role as Side, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    CHECK_EVERY, Piece, Watching,
    tally::{Figures, Tally},
};
use crate::{
    ClientAddr,
    access::{Identity, Role},
    answer::{self, Refusal},
    client::client_ip,
    clock,
    reader::parse,
    response::Body,
    service::Shared,
    websocket::{WRITE_TIMEOUT, check_handshake},
};

/// Events wait for others so long, unless they are as many bytes.
const BATCH_TIME: Duration = Duration::from_millis(100);
const BATCH_BYTES: usize = 64 * 1024;
/// Batches between two figures: a second.
const FIGURES_EVERY: u32 = 10;
/// A client that was not heard of for this time is gone.
const SILENCE: Duration = Duration::from_secs(95);
/// Largest message of a client, bytes.
const MAX_MESSAGE: usize = 64 * 1024;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    subscribe: Subscription,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscription {
    project: String,
    #[serde(default)]
    kinds: Vec<Kind>,
    #[serde(default)]
    filters: Vec<Filter>,
    /// Whether the events themselves are wanted, too.
    #[serde(default = "yes")]
    events: bool,
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Reply<'a> {
    Subscribed {
        project: &'a str,
    },
    Figures {
        /// ms since the Unix epoch.
        time: i64,
        #[serde(flatten)]
        figures: Figures,
    },
    Dropped {
        count: u64,
    },
}

impl Shared {
    pub(crate) fn panels(self: &Arc<Self>, identity: Identity, parts: &mut Parts) -> Result<Response<Body>, Refusal> {
        let accept = check_handshake(parts)?;
        if self.live.is_none() {
            return Err(Refusal::NoStore);
        }
        if self.is_closing() {
            return Err(Refusal::ShuttingDown);
        }
        let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or(Refusal::UpgradeRequired)?;
        let peer = parts.extensions.get::<ClientAddr>().copied();
        let place = self.sockets.take(client_ip(&parts.headers, peer, &self.config.trusted_proxies, self.config.forwarded_header))?;
        let reader = Reader { shared: self.clone(), identity, request: parts.clone() };
        let counts = self.pipeline.counts().clone();
        tokio::spawn(async move {
            let _place = place;
            if AssertUnwindSafe(run(reader, upgrade)).catch_unwind().await.is_err() {
                tracing::error!("a live socket made the service panic");
                counts.count(Labelled::RequestsRefused, Refusal::Internal.told().code, 1);
            }
        });
        Ok(answer::switching(accept))
    }
}

async fn run(reader: Reader, upgrade: OnUpgrade) {
    // The client went away during the handshake.
    let Ok(Ok(upgraded)) = timeout(WRITE_TIMEOUT, upgrade).await else { return };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(16 * 1024 * 1024);
    let socket: Socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Side::Server, Some(config)).await;
    let (mut out, mut incoming) = socket.split();
    let code = converse(reader, &mut out, &mut incoming).await;
    if let Some(code) = code {
        let goodbye = Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::default() }));
        // A client that does not take the goodbye is dropped all the same.
        let _goodbye = timeout(WRITE_TIMEOUT, out.send(goodbye)).await;
    }
}

/// Who opened the socket.
struct Reader {
    shared: Arc<Shared>,
    identity: Identity,
    /// The head of the request that opened it, to ask again who that is.
    request: Parts,
}

/// What a client watches.
struct Watched {
    watching: Watching,
    tally: Tally,
    with_events: bool,
    /// An unfinished message with events, empty without any.
    batch: String,
    dropped: u64,
}

/// Talks until one side ends it; `Some` when that was ours.
async fn converse(mut reader: Reader, out: &mut SplitSink<Socket, Message>, incoming: &mut SplitStream<Socket>) -> Option<CloseCode> {
    let mut closing = reader.shared.closing.subscribe();
    let mut watched: Option<Watched> = None;
    let mut ticks = interval(BATCH_TIME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut n: u32 = 0;
    let mut heard = Instant::now();
    // By the clock: a client that is slow to take what it is sent makes batches rare.
    let mut checked = Instant::now();
    loop {
        let piece = async {
            match &watched {
                Some(watched) => poll_fn(|context| watched.watching.poll_next(context)).await,
                None => std::future::pending().await,
            }
        };
        let closed = async {
            // An error means that the service is gone, which is a reason to end, too.
            let _closing_or_gone = closing.wait_for(|closing| *closing).await;
        };
        tokio::select! {
            biased;
            () = closed => return Some(CloseCode::Away),
            message = incoming.next() => {
                heard = Instant::now();
                let reply = match message {
                    None | Some(Err(_)) => return None,
                    Some(Ok(Message::Text(text))) => match reader.subscribe(&text) {
                        Ok((now_watched, reply)) => {
                            if let Some(mut before) = watched.replace(now_watched) {
                                // What came before it changed its mind.
                                before.drain();
                                before.flush(out).await?;
                            }
                            reply
                        }
                        Err(refusal) => refused(&refusal),
                    },
                    Some(Ok(Message::Binary(_))) => return Some(CloseCode::Unsupported),
                    // Pings are answered by the protocol layer; a close is followed by the end of the stream.
                    Some(Ok(_)) => continue,
                };
                send(out, Message::text(reply)).await?;
            }
            _ = ticks.tick() => {
                n = n.wrapping_add(1);
                if heard.elapsed() > SILENCE {
                    return Some(CloseCode::Policy);
                }
                if checked.elapsed() >= CHECK_EVERY {
                    checked = Instant::now();
                    let project = watched.as_ref().map(|watched| watched.watching.viewer.wish.project.clone());
                    if !reader.may_still_read(project.as_deref()).await {
                        return Some(CloseCode::Policy);
                    }
                    send(out, Message::Ping(bytes::Bytes::new())).await?;
                }
                if let Some(watched) = &mut watched {
                    watched.flush(out).await?;
                    if n.is_multiple_of(FIGURES_EVERY) {
                        let figures = watched.tally.take(Instant::now());
                        send(out, text(&Reply::Figures { time: clock::now(), figures })).await?;
                    }
                }
            }
            piece = piece => {
                let Some(piece) = piece else { return Some(CloseCode::Away) };
                if let Some(watched) = &mut watched {
                    watched.take(&piece);
                    if watched.batch.len() >= BATCH_BYTES {
                        watched.flush(out).await?;
                    }
                }
            }
        }
    }
}

/// `None` when the client takes nothing.
async fn send(out: &mut SplitSink<Socket, Message>, message: Message) -> Option<()> {
    timeout(WRITE_TIMEOUT, out.send(message)).await.ok()?.ok()
}

fn text(reply: &Reply<'_>) -> Message {
    // Numbers and texts always serialise.
    Message::text(serde_json::to_string(reply).unwrap_or_default())
}

fn refused(refusal: &Refusal) -> String {
    let told = refusal.told();
    #[derive(Serialize)]
    struct Error<E> {
        r#type: &'static str,
        #[serde(flatten)]
        error: E,
    }
    serde_json::to_string(&Error { r#type: "error", error: answer::error(&told) }).unwrap_or_default()
}

impl Reader {
    fn subscribe(&self, text: &Utf8Bytes) -> Result<(Watched, String), Refusal> {
        let Request { subscribe: Subscription { project, kinds, filters, events } } = parse(text.as_bytes())?;
        let wish = self.shared.wish(&self.identity, &project, kinds, &filters)?;
        let hub = self.shared.live.as_ref().ok_or(Refusal::NoStore)?;
        let watching = hub.join(wish, self.shared.config.live_viewers).ok_or(Refusal::TooManyViewers)?;
        let reply = serde_json::to_string(&Reply::Subscribed { project: &project }).unwrap_or_default();
        Ok((Watched { watching, tally: Tally::default(), with_events: events, batch: String::new(), dropped: 0 }, reply))
    }

    /// Asks again who it is: sessions end, tokens expire, roles change.
    async fn may_still_read(&mut self, project: Option<&str>) -> bool {
        let Some(identity) = self.shared.access.identity(&self.request).await else { return false };
        self.identity = identity;
        project.is_none_or(|project| self.shared.check_project(&self.identity, project, Role::Viewer).is_ok())
    }
}

impl Watched {
    /// Takes what has come already.
    fn drain(&mut self) {
        while let Some(Some(piece)) = poll_fn(|context| self.watching.poll_next(context)).now_or_never() {
            self.take(&piece);
        }
    }

    fn take(&mut self, piece: &Piece) {
        self.dropped += piece.dropped;
        let Some(accepted) = &piece.accepted else { return };
        let now = Instant::now();
        let Watched { watching, tally, .. } = self;
        watching.wanted(accepted).for_each(|(_, event)| tally.add(event, now));
        if !self.with_events {
            return;
        }
        let before = self.batch.len();
        // One array of several: the closing bracket of the one before becomes a comma, the opening one of the next a blank.
        if before == 0 {
            self.batch.push_str(r#"{"type":"events","events":"#);
        }
        let start = self.batch.len();
        let has_some = self.watching.write_events(accepted, &mut self.batch);
        match has_some {
            false => self.batch.truncate(before),
            true if before > 0 => self.batch.replace_range(start - 1..=start, ", "),
            true => {}
        }
    }

    /// Sends what waits; `None` when the client takes nothing.
    async fn flush(&mut self, out: &mut SplitSink<Socket, Message>) -> Option<()> {
        if !self.batch.is_empty() {
            let mut batch = std::mem::take(&mut self.batch);
            batch.push('}');
            send(out, Message::text(batch)).await?;
        }
        if self.dropped > 0 {
            let count = std::mem::take(&mut self.dropped);
            send(out, text(&Reply::Dropped { count })).await?;
        }
        Some(())
    }
}
