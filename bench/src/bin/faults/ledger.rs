//! Remembers of every event that was sent what it held and how it was answered; afterwards compares with the query API.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use monitor_bench::{Result, client::Client, events};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

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
    pub fn issue(&self, count: usize) -> Result<Vec<(u128, String)>> {
        let mut batch = Vec::with_capacity(count);
        for seq in 0..count {
            // Version 7: the time, then random bits.
            let id = (u128::try_from(events::now())? << 80) | 0x7 << 76 | (fastrand::u128(..) & ((1 << 76) - 1));
            let text = events::event(id, seq, &format!("{:016x}", fastrand::u64(..)));
            let sent: Sent<'_> = serde_json::from_str(&text)?;
            self.entries().insert(id, Entry { data: fingerprint(sent.data.get()), state: State::Unknown });
            batch.push((id, text));
        }
        Ok(batch)
    }

    /// Sends a batch and writes down how it was answered. `true` when the answer was 202.
    pub async fn send(&self, client: &mut Client, path: &str, attempt: u32, batch: &[(u128, String)]) -> bool {
        let texts: Vec<_> = batch.iter().map(|(_, text)| text.clone()).collect();
        let body = events::envelope(attempt, &texts);
        let Ok((status, body)) = client.post(path, "text/plain", body.into(), Duration::from_secs(10)).await else { return false };
        if status != 202 {
            return false;
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(&body) else { return false };
        let mut entries = self.entries();
        for (index, (id, _)) in batch.iter().enumerate() {
            if let Some(entry) = entries.get_mut(id) {
                let rejected = answer.rejected.iter().any(|rejection| rejection.index == index);
                entry.state = if rejected { State::Rejected } else { State::Accepted };
            }
        }
        true
    }

    /// Events answered with 2xx so far.
    pub fn accepted(&self) -> usize {
        self.entries().values().filter(|entry| entry.state == State::Accepted).count()
    }

    /// Waits until everything accepted is visible or nothing changes any more, then compares.
    pub async fn compare(&self, addr: SocketAddr, since: i64, patience: Duration) -> Result<Verdict> {
        let mut client = Client::new(addr);
        let start = std::time::Instant::now();
        let expected = self.accepted() as u64;
        while start.elapsed() < patience {
            match count(&mut client, since).await {
                Ok(count) if count >= expected => break,
                // Not all yet, or the engine is coming back.
                _ => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
        // What is visible too much may come late.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut seen: HashMap<u128, u32> = HashMap::new();
        let mut verdict = Verdict::default();
        let mut cursor: Option<String> = None;
        loop {
            let question = json!({"project": "shop", "from": since, "to": events::now() + 600_000, "order": "oldest", "limit": 10_000, "cursor": cursor});
            let (status, body) =
                client.post("/query/events", "application/json", serde_json::to_vec(&question)?.into(), Duration::from_secs(120)).await?;
            if status != 200 {
                return Err(format!("/query/events answered {status}: {}", String::from_utf8_lossy(&body)).into());
            }
            let page: Page<'_> = serde_json::from_slice(&body)?;
            let entries = self.entries();
            for found in &page.events {
                let id = u128::from_str_radix(&found.id.replace('-', ""), 16)?;
                let times = seen.entry(id).or_default();
                *times += 1;
                let known =
                    entries.get(&id).is_some_and(|entry| entry.state != State::Rejected && entry.data == fingerprint(found.data.get()));
                if !known {
                    verdict.invented += 1;
                }
            }
            drop(entries);
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let entries = self.entries();
        let accepted = || entries.iter().filter(|(_, entry)| entry.state == State::Accepted);
        verdict.accepted = accepted().count();
        verdict.visible = seen.len();
        verdict.missing = accepted().filter(|(id, _)| !seen.contains_key(id)).count();
        verdict.doubled = seen.values().filter(|times| **times > 1).count();
        Ok(verdict)
    }
}

/// How many events the store has since then.
pub async fn count(client: &mut Client, since: i64) -> Result<u64> {
    let question = json!({"project": "shop", "from": since, "to": events::now() + 600_000, "measures": ["count"]});
    let answer = client.query("/query", &question).await?;
    Ok(answer.pointer("/rows/0/0").and_then(serde_json::Value::as_u64).unwrap_or(0))
}
