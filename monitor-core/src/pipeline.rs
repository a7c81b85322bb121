//! From parsed request to durable envelope: enrichers in order, then the transport, with every early exit counted.

use std::sync::Arc;

use crate::{Counts, Enricher, Envelope, Labelled, SendError, Total, Transport, Verdict};

/// The way of accepted events. Clone it freely.
#[derive(Clone)]
pub struct Pipeline {
    shared: Arc<Shared>,
}

struct Shared {
    enrichers: Vec<Box<dyn Enricher>>,
    transport: Arc<dyn Transport>,
    observers: Vec<Arc<dyn Observer>>,
    counts: Arc<Counts>,
}

/// Sees envelopes after they became durable, for example to show them live. It must not wait and cannot refuse.
pub trait Observer: Send + Sync {
    /// Asked first, so that nothing is copied for nobody.
    fn is_watching(&self) -> bool;
    /// An envelope became durable.
    fn accepted(&self, envelope: Arc<Envelope>);
}

/// What became of an envelope's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "the sender must be told which events were dropped"]
pub struct Submitted {
    /// Events that are durable now.
    pub accepted: usize,
    /// Position in the envelope and reason of each event that an enricher dropped, in ascending order.
    pub dropped: Vec<(usize, &'static str)>,
}

impl Pipeline {
    /// Enrichers run in this order; observers see what became durable.
    pub fn new(
        enrichers: Vec<Box<dyn Enricher>>,
        transport: Arc<dyn Transport>,
        observers: Vec<Arc<dyn Observer>>,
        counts: Arc<Counts>,
    ) -> Pipeline {
        Pipeline { shared: Arc::new(Shared { enrichers, transport, observers, counts }) }
    }

    /// Enriches the envelope and makes it durable. `Ok` means that every event which no enricher dropped is safe;
    /// after an error nothing of it may be reported as accepted.
    pub async fn submit(&self, mut envelope: Envelope) -> Result<Submitted, SendError> {
        let Shared { transport, observers, counts, .. } = &*self.shared;
        let dropped = self.enrich(&mut envelope);
        let accepted = envelope.events.len();
        if accepted > 0 {
            let watching = observers.iter().any(|observer| observer.is_watching());
            let copy = watching.then(|| Arc::new(envelope.clone()));
            transport.send(envelope).await?;
            if let Some(copy) = copy {
                observers.iter().for_each(|observer| observer.accepted(copy.clone()));
            }
        }
        for &(_, reason) in &dropped {
            counts.count(Labelled::Dropped, reason, 1);
        }
        counts.add(Total::Received, (accepted + dropped.len()) as u64);
        counts.add(Total::Accepted, accepted as u64);
        Ok(Submitted { accepted, dropped })
    }

    fn enrich(&self, envelope: &mut Envelope) -> Vec<(usize, &'static str)> {
        let enrichers = &self.shared.enrichers;
        for enricher in enrichers {
            enricher.enrich_origin(&mut envelope.origin);
        }
        let mut dropped = Vec::new();
        let mut position = 0;
        let origin = &envelope.origin;
        envelope.events.retain_mut(|event| {
            let verdicts = enrichers.iter().map(|enricher| enricher.enrich(event, origin));
            let reason = verdicts.into_iter().find_map(|verdict| match verdict {
                Verdict::Keep => None,
                Verdict::Drop(reason) => Some(reason),
            });
            dropped.extend(reason.map(|reason| (position, reason)));
            position += 1;
            reason.is_none()
        });
        dropped
    }

    /// Shows envelopes to the observers that became durable on another way, as a consumer's do.
    pub fn show(&self, envelopes: &[Envelope]) {
        let observers = &self.shared.observers;
        if observers.iter().any(|observer| observer.is_watching()) {
            for envelope in envelopes {
                let copy = Arc::new(envelope.clone());
                observers.iter().for_each(|observer| observer.accepted(copy.clone()));
            }
        }
    }

    /// The transport behind it.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.shared.transport
    }

    /// Where it counts.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.shared.counts
    }
}
