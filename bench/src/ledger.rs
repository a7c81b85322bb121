//! Remembers of every event that was sent what it held and how it was answered; afterwards compares with the query API.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    Result,
    client::Client,
    events::{self, Visit},
    figure,
    process::until,
};

/// Where envelopes are posted.
pub const INGEST: &str = "/api/shop/events?key=demo-key";

/// How an event was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// 202: must be visible once.
    Accepted,
    /// Refused for good: must not be visible.
    Rejected,
    /// No answer, or "not now": may be visible, at most once.
    Unknown,
}

struct Entry {
    data: u64,
    state: State,
}

/// Events that are sent together, and together again: the same ids, texts and session.
pub struct Issued {
    visit: Visit,
    /// Ids and JSON texts.
    pub events: Vec<(u128, String)>,
}

impl Issued {
    /// The envelope of this attempt.
    pub fn envelope(&self, attempt: u32) -> String {
        let texts: Vec<_> = self.events.iter().map(|(_, text)| text.clone()).collect();
        events::envelope(&self.visit, attempt, &texts)
    }
}

/// All events of a run.
#[derive(Default)]
pub struct Ledger {
    entries: Mutex<HashMap<u128, Entry>>,
}

/// What the comparison found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Events answered with 2xx.
    pub accepted: usize,
    /// Different ids that the query API returned.
    pub visible: usize,
    /// Accepted, but not visible.
    pub missing: usize,
    /// Visible more than once.
    pub doubled: usize,
    /// Visible, but never sent or refused, or with other data than was sent.
    pub invented: usize,
    /// A few of those that break the promise, to look for in logs.
    pub examples: Vec<String>,
}

/// Most examples of one kind.
const EXAMPLES: usize = 5;

impl Verdict {
    /// Prints the figures, their names with this prefix.
    pub fn report(&self, prefix: &str) {
        for (name, value) in [
            ("accepted", self.accepted),
            ("visible", self.visible),
            ("missing", self.missing),
            ("doubled", self.doubled),
            ("invented", self.invented),
        ] {
            figure(&format!("{prefix}.{name}"), value as f64, "events");
        }
    }

    /// An error when the promise was broken, or too few events were accepted to tell.
    pub fn check(&self, at_least: usize) -> Result<()> {
        if self.missing + self.doubled + self.invented > 0 {
            return Err(format!("events are missing, doubled or invented: {} …", self.examples.join(", ")).into());
        }
        if self.accepted < at_least {
            return Err(format!("only {} events were accepted; {at_least} are needed for a meaningful run", self.accepted).into());
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    events: Vec<Found<'a>>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Found<'a> {
    id: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Answer {
    rejected: Vec<Rejection>,
}

#[derive(Deserialize)]
struct Rejection {
    index: usize,
}

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Ledger {
    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<u128, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a batch of events and writes them down.
    pub fn issue(&self, count: usize) -> Result<Issued> {
        let mut events = Vec::with_capacity(count);
        for seq in 0..count {
            // Version 7: the time, then random bits.
            let id = (u128::try_from(events::now())? << 80) | 0x7 << 76 | (fastrand::u128(..) & ((1 << 76) - 1));
            let text = events::event(id, seq, &format!("{:016x}", fastrand::u64(..)));
            let sent: Sent<'_> = serde_json::from_str(&text)?;
            self.entries().insert(id, Entry { data: fingerprint(sent.data.get()), state: State::Unknown });
            events.push((id, text));
        }
        Ok(Issued { visit: Visit::random(), events })
    }

    /// Sends a batch and writes down how it was answered. `true` when the answer was 202.
    pub async fn send(&self, client: &mut Client, attempt: u32, batch: &Issued) -> bool {
        let body = batch.envelope(attempt);
        let Ok((status, body)) = client.post(INGEST, "text/plain", body.into(), Duration::from_secs(10)).await else { return false };
        if status != 202 {
            return false;
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(&body) else { return false };
        let rejected: Vec<usize> = answer.rejected.iter().map(|rejection| rejection.index).collect();
        self.accepted_but(batch, &rejected);
        true
    }

    /// Writes down that a batch must be visible from now on, but for the events at these places.
    pub fn accepted_but(&self, batch: &Issued, rejected: &[usize]) {
        let mut entries = self.entries();
        for (index, (id, _)) in batch.events.iter().enumerate() {
            if let Some(entry) = entries.get_mut(id) {
                entry.state = if rejected.contains(&index) { State::Rejected } else { State::Accepted };
            }
        }
    }

    /// Events answered with 2xx so far.
    pub fn accepted(&self) -> usize {
        self.entries().values().filter(|entry| entry.state == State::Accepted).count()
    }

    /// Waits until everything accepted is visible, for this long at most, then compares.
    pub async fn compare(&self, addr: SocketAddr, since: i64, patience: Duration) -> Result<Verdict> {
        let mut client = Client::new(addr);
        let deadline = Instant::now() + patience;
        loop {
            let expected = self.accepted() as u64;
            let left = deadline.saturating_duration_since(Instant::now());
            // Not all yet, or the engine is coming back. What is missing at the end is found below.
            until(left, async || count(&mut client, since).await.is_ok_and(|count| count >= expected)).await;
            // What is visible too much may come late.
            sleep(Duration::from_secs(2)).await;
            let verdict = self.verdict(&mut client, since).await?;
            // Events whose answer was lost count, too: as many as were accepted can be visible before all that were accepted are.
            if verdict.missing == 0 || Instant::now() >= deadline {
                return Ok(verdict);
            }
        }
    }

    /// Compares with what can be read now.
    async fn verdict(&self, client: &mut Client, since: i64) -> Result<Verdict> {
        let mut seen: HashMap<u128, u32> = HashMap::new();
        let mut verdict = Verdict::default();
        read_all(client, since, |id, data| {
            *seen.entry(id).or_default() += 1;
            let known = self.entries().get(&id).is_some_and(|entry| entry.state != State::Rejected && entry.data == fingerprint(data));
            if !known {
                verdict.invented += 1;
                if verdict.invented <= EXAMPLES {
                    verdict.examples.push(format!("invented {id:032x}"));
                }
            }
        })
        .await?;
        let entries = self.entries();
        let accepted = || entries.iter().filter(|(_, entry)| entry.state == State::Accepted);
        verdict.accepted = accepted().count();
        verdict.visible = seen.len();
        let missing = || accepted().filter(|(id, _)| !seen.contains_key(id));
        let doubled = || seen.iter().filter(|(_, times)| **times > 1);
        (verdict.missing, verdict.doubled) = (missing().count(), doubled().count());
        verdict.examples.extend(missing().take(EXAMPLES).map(|(id, _)| format!("missing {id:032x}")));
        verdict.examples.extend(doubled().take(EXAMPLES).map(|(id, times)| format!("{times} times {id:032x}")));
        Ok(verdict)
    }
}

/// Shows every event since then: its id and its data.
async fn read_all(client: &mut Client, since: i64, mut each: impl FnMut(u128, &str)) -> Result<()> {
    let mut cursor: Option<String> = None;
    loop {
        let question =
            json!({"project": "shop", "from": since, "to": events::now() + 600_000, "order": "oldest", "limit": 10_000, "cursor": cursor});
        let (status, body) =
            client.post("/query/events", "application/json", serde_json::to_vec(&question)?.into(), Duration::from_secs(120)).await?;
        if status != 200 {
            return Err(format!("/query/events answered {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        let page: Page<'_> = serde_json::from_slice(&body)?;
        for found in &page.events {
            each(u128::from_str_radix(&found.id.replace('-', ""), 16)?, found.data.get());
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

/// An error unless events that are sent to one address now can be queried at the other within this time. There are enough of
/// them, of different sessions, to meet every writer.
pub async fn fresh_events_are_visible(ledger: &Ledger, receiver: SocketAddr, reader: SocketAddr, within: Duration) -> Result<()> {
    let (mut client, mut reader) = (Client::new(receiver), Client::new(reader));
    let since = events::now() - 1_000;
    let mut missing = HashMap::new();
    for _ in 0..20 {
        let batch = ledger.issue(1)?;
        if !ledger.send(&mut client, 1, &batch).await {
            return Err("a fresh event was not accepted".into());
        }
        missing.extend(batch.events);
    }
    let visible = until(within, async || {
        // The engine may be coming back: asked again.
        let _ = read_all(&mut reader, since, |id, _| drop(missing.remove(&id))).await;
        missing.is_empty()
    });
    // A question that hangs is no answer either.
    let visible = timeout(within, visible).await.unwrap_or(false);
    if visible { Ok(()) } else { Err(format!("fresh events were not visible within {} s", within.as_secs()).into()) }
}

/// How many events the store has since then.
pub async fn count(client: &mut Client, since: i64) -> Result<u64> {
    let question = json!({"project": "shop", "from": since, "to": events::now() + 600_000, "measures": ["count"]});
    let answer = client.query("/query", &question).await?;
    Ok(answer.pointer("/rows/0/0").and_then(serde_json::Value::as_u64).unwrap_or(0))
}
