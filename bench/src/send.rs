//! Made-up traffic over HTTP: the envelopes that the browser SDK would send, with the browsers' own headers.
//!
//! Countries do not travel: a receiver learns them from the address, if its host has brought an enricher for that.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use indicatif::{ProgressBar, ProgressStyle};
use monitor_core::Envelope;
use serde_json::json;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Result,
    client::Client,
    events::now,
    traffic::{DAY, Site, World},
};

/// Senders at the same time.
const SENDERS: usize = 16;
/// Envelopes that wait for a sender; the maker waits when there are more.
const WAITING: usize = 64;
/// How often an envelope is sent before it is given up.
const ATTEMPTS: u32 = 8;
/// Visitors of the site whose visits are sent as they happen.
const VISITORS: u64 = 20_000;
/// Visits that are sent as they happen have begun within this time before: the first seconds look like all others. Ms.
const UNDER_WAY: i64 = 120_000;

/// Where traffic is sent, and how fast.
#[derive(Clone, Debug)]
pub struct Road {
    /// The receiver's address.
    pub receiver: SocketAddr,
    /// Its project.
    pub project: String,
    /// The project's public key.
    pub key: String,
    /// Events a second.
    pub rate: f64,
    /// Another seed gives other visitors.
    pub seed: u64,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Events that were answered with 202.
    pub events: u64,
    /// Events that were given up.
    pub refused: u64,
    /// Envelopes that were sent again.
    pub repeated: u64,
}

#[derive(Default)]
struct Counts {
    events: AtomicU64,
    refused: AtomicU64,
    repeated: AtomicU64,
}

/// Senders that run until nothing comes any more.
struct Senders {
    to_send: mpsc::Sender<Envelope>,
    tasks: Vec<JoinHandle<()>>,
    counts: Arc<Counts>,
    bar: ProgressBar,
}

impl Road {
    /// Sends visits of days that are over, one after the other.
    pub async fn past(&self, days: u32, events: u64) -> Result<Sent> {
        let until = now();
        let begin = (until.div_euclid(DAY) - i64::from(days)) * DAY;
        let world = World { seed: self.seed, begin, days };
        let site = Site::shop(&world);
        let visitors = world.visitors_for(&site, events);
        let senders = self.senders(Some(events))?;
        let start = Instant::now();
        let mut made = 0;
        for day in 0..=days {
            for envelope in world.visits(&site, visitors, day).flatten() {
                // The receiver would not believe times that are still to come.
                if envelope.events.iter().all(|event| event.time < until) {
                    self.pace(start, made).await;
                    made += envelope.events.len();
                    senders.to_send.send(envelope).await?;
                }
            }
        }
        senders.finish().await
    }

    /// Sends visits as they happen, until there are as many events.
    pub async fn live(&self, events: Option<u64>) -> Result<Sent> {
        let begin = now();
        let world = World { seed: self.seed, begin: begin.div_euclid(DAY) * DAY - 20 * DAY, days: 30 };
        let site = Site::shop(&world);
        let senders = self.senders(events)?;
        // Envelopes by the time at which the browser sends them; the number keeps those of one moment apart.
        let mut due: BTreeMap<(i64, u64), Envelope> = BTreeMap::new();
        let (mut nth, mut made, mut planned) = (0_u64, 0, 0);
        let start = begin - UNDER_WAY;
        loop {
            let time = now();
            // As many visits as bring the events that are wanted up to this moment.
            while (planned as f64) < (time - start) as f64 / 1_000.0 * self.rate {
                let at = start + (planned as f64 / self.rate * 1_000.0) as i64;
                let key = self.seed.wrapping_add(begin.unsigned_abs()).wrapping_add(nth);
                for envelope in world.visit_at(&site, VISITORS, at, key) {
                    planned += envelope.events.len();
                    due.insert((envelope.origin.sent_at.unwrap_or(at), nth << 16 | due.len() as u64 & 0xffff), envelope);
                }
                nth += 1;
            }
            while let Some(next) = due.first_entry().filter(|next| next.key().0 <= time) {
                let envelope = next.remove();
                made += envelope.events.len() as u64;
                senders.to_send.send(envelope).await?;
                if events.is_some_and(|events| made >= events) {
                    return senders.finish().await;
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn pace(&self, start: Instant, made: usize) {
        sleep_until(start + Duration::from_secs_f64(made as f64 / self.rate.max(0.001))).await;
    }

    fn senders(&self, events: Option<u64>) -> Result<Senders> {
        let bar = match events {
            Some(events) => ProgressBar::new(events).with_style(ProgressStyle::with_template(
                "{elapsed_precise} {wide_bar} {human_pos} of about {human_len} events, {per_sec}  {msg}",
            )?),
            None => ProgressBar::new_spinner()
                .with_style(ProgressStyle::with_template("{elapsed_precise} {spinner} {human_pos} events, {per_sec}  {msg}")?),
        };
        let (to_send, envelopes) = mpsc::channel(WAITING);
        let envelopes = Arc::new(Mutex::new(envelopes));
        let counts = Arc::new(Counts::default());
        let task = |_| tokio::spawn(send_all(self.clone(), Arc::clone(&envelopes), Arc::clone(&counts), bar.clone()));
        Ok(Senders { to_send, tasks: (0..SENDERS).map(task).collect(), counts: Arc::clone(&counts), bar: bar.clone() })
    }
}

impl Senders {
    async fn finish(self) -> Result<Sent> {
        drop(self.to_send);
        for task in self.tasks {
            task.await?;
        }
        self.bar.finish_and_clear();
        let [events, refused, repeated] =
            [&self.counts.events, &self.counts.refused, &self.counts.repeated].map(|count| count.load(Ordering::Relaxed));
        Ok(Sent { events, refused, repeated })
    }
}

async fn send_all(road: Road, envelopes: Arc<Mutex<mpsc::Receiver<Envelope>>>, counts: Arc<Counts>, bar: ProgressBar) {
    let mut client = Client::new(road.receiver);
    loop {
        let next = envelopes.lock().await.recv().await;
        let Some(envelope) = next else { return };
        let events = envelope.events.len() as u64;
        let mut sent = false;
        for attempt in 1..=ATTEMPTS {
            match send_one(&road, &mut client, &envelope, attempt).await {
                Ok(202) => sent = true,
                // Too fast, or not there at the moment: the SDK keeps it, too.
                Ok(429 | 503) | Err(_) if attempt < ATTEMPTS => {
                    counts.repeated.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(200 << attempt.min(6))).await;
                    continue;
                }
                Ok(status) => bar.set_message(format!("the receiver answered {status}")),
                Err(error) => bar.set_message(format!("the receiver does not answer: {error}")),
            }
            break;
        }
        let count = if sent { &counts.events } else { &counts.refused };
        count.fetch_add(events, Ordering::Relaxed);
        bar.inc(events);
    }
}

async fn send_one(road: &Road, client: &mut Client, envelope: &Envelope, attempt: u32) -> Result<u16> {
    let request = Request::post(format!("/api/{}/events?key={}", road.project, road.key))
        .header("host", "localhost")
        .header("content-type", "text/plain")
        .header("user-agent", &envelope.origin.user_agent)
        .body(Full::new(text(envelope, attempt)?))?;
    let (status, _) = client.send(request, Duration::from_secs(10)).await?;
    Ok(status)
}

/// The envelope as the SDK writes it, see `docs/protocol.md`.
fn text(envelope: &Envelope, attempt: u32) -> Result<Bytes> {
    let origin = &envelope.origin;
    let device = &origin.device;
    let mut session = json!({"id": origin.session, "visitor": origin.visitor});
    if !origin.user.is_empty() {
        session["user"] = json!({"id": origin.user});
    }
    let text = serde_json::to_vec(&json!({
        "v": 1,
        "sdk": origin.sdk,
        "sent_at": now(),
        "attempt": attempt,
        "page": origin.page,
        "session": session,
        "release": origin.release,
        "environment": origin.environment,
        "device": {
            "screen": device.screen, "viewport": device.viewport, "language": device.language, "connection": device.connection, "timezone": device.timezone,
        },
        "tags": origin.tags,
        "events": envelope.events,
    }))?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use monitor_core::{
        Event, EventId,
        wire::{Context, Limits, envelope},
    };

    use super::*;

    #[test]
    fn a_receiver_reads_back_what_was_made() {
        let world = World { seed: 3, begin: 20_000 * DAY, days: 30 };
        let site = Site::shop(&world);
        let mut kinds = std::collections::BTreeSet::new();
        for made in (0..30).flat_map(|day| world.visits(&site, 60, day).collect::<Vec<_>>()).flatten() {
            let limits = Limits::default();
            let mut new_id = || EventId(0);
            let mut context = Context { project: "shop", received: made.origin.received, limits: &limits, new_id: &mut new_id };
            let read = envelope(&text(&made, 1).unwrap(), &mut context).unwrap();
            assert!(read.rejected.is_empty() && read.discarded.is_empty());
            let both = |events: &[Event]| serde_json::to_value(events).unwrap();
            assert_eq!(both(&read.envelope.events), both(&made.events));
            let who = |envelope: &Envelope| {
                let origin = &envelope.origin;
                (origin.page.clone(), origin.session.clone(), origin.visitor.clone(), origin.user.clone(), origin.tags.clone())
            };
            assert_eq!(who(&read.envelope), who(&made));
            kinds.extend(made.events.into_iter().map(|event| event.kind));
        }
        assert!(kinds.len() > 10, "{kinds:?}");
    }
}
