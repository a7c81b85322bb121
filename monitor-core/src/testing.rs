//! Doubles for tests of hosts and sibling crates: they keep what they were given and fail when told to.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use crate::{Batch, Document, Enricher, Envelope, Event, EventId, Kind, Origin, SendError, Sink, Transport, Verdict, WriteError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A sink that remembers every batch it was offered, and those it took.
#[derive(Default)]
pub struct MemorySink {
    name: String,
    offered: Mutex<Vec<Batch>>,
    written: Mutex<Vec<Batch>>,
    failures: Mutex<VecDeque<WriteError>>,
    poison: Mutex<Option<String>>,
}

impl MemorySink {
    /// An empty sink of that name.
    pub fn new(name: impl Into<String>) -> MemorySink {
        MemorySink { name: name.into(), ..MemorySink::default() }
    }

    /// The next write fails like this; several calls queue up.
    pub fn fail_next(&self, error: WriteError) {
        lock(&self.failures).push_back(error);
    }

    /// Every batch that holds an event of this name is rejected.
    pub fn poison(&self, event_name: impl Into<String>) {
        *lock(&self.poison) = Some(event_name.into());
    }

    /// Every batch that was offered, the failed ones too.
    pub fn offered(&self) -> Vec<Batch> {
        lock(&self.offered).clone()
    }

    /// Every batch that was taken.
    pub fn batches(&self) -> Vec<Batch> {
        lock(&self.written).clone()
    }

    /// Every event that was taken, in order.
    pub fn events(&self) -> Vec<Document> {
        lock(&self.written).iter().flat_map(|batch| batch.events().map(|(o, e)| Document::new(o, e)).collect::<Vec<_>>()).collect()
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        lock(&self.offered).push(batch.clone());
        if let Some(error) = lock(&self.failures).pop_front() {
            return Err(error);
        }
        if let Some(poison) = &*lock(&self.poison)
            && batch.events().any(|(_, event)| event.name == *poison)
        {
            return Err(WriteError::rejected(format!("an event is named {poison}")));
        }
        lock(&self.written).push(batch.clone());
        Ok(())
    }
}

/// An enricher that panics on an event, or a user agent, that is called `bad`.
pub struct Fragile;

#[allow(clippy::panic, reason = "it is what it is for")]
impl Enricher for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }

    fn enrich_origin(&self, origin: &mut Origin) {
        assert!(origin.user_agent != "bad", "on purpose");
    }

    fn enrich(&self, event: &mut Event, _origin: &Origin) -> Verdict {
        assert!(event.name != "bad", "on purpose");
        Verdict::Keep
    }
}

/// A transport that keeps envelopes in memory and refuses when told to.
#[derive(Default)]
pub struct MemoryTransport {
    envelopes: Mutex<Vec<Envelope>>,
    full: Mutex<bool>,
}

impl MemoryTransport {
    /// From now on every send is refused, or not.
    pub fn set_full(&self, full: bool) {
        *lock(&self.full) = full;
    }

    /// What was taken, in order.
    pub fn envelopes(&self) -> Vec<Envelope> {
        lock(&self.envelopes).clone()
    }

    /// The events that were taken, in order.
    pub fn events(&self) -> Vec<Document> {
        let envelopes = lock(&self.envelopes);
        envelopes.iter().flat_map(|envelope| envelope.events.iter().map(|event| Document::new(&envelope.origin, event))).collect()
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn send(&self, envelope: Envelope) -> Result<(), SendError> {
        if *lock(&self.full) {
            return Err(SendError::Full { what: "spool" });
        }
        lock(&self.envelopes).push(envelope);
        Ok(())
    }

    async fn flush(&self, _within: Duration) -> bool {
        true
    }

    async fn close(&self, _within: Duration) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        !*lock(&self.full)
    }
}

/// An envelope of project `shop` with one `track` event per name; ids count from `first_id`.
pub fn envelope(first_id: u128, names: &[&str]) -> Envelope {
    let events = names.iter().zip(first_id..).map(|(name, id)| Event::new(EventId(id), 1_732_096_800_000, Kind::Track, *name)).collect();
    Envelope { origin: Origin::new("shop", 1_732_096_800_500), events }
}
