//! From parsed request to durable envelope: enrichers in order, then the transport, with every early exit counted.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Counts, Enricher, Envelope, Labelled, SendError, Total, Transport, Verdict, enricher::PANICKED};

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
    /// Names of enrichers that panicked, of which the observers were told.
    panicked: Mutex<BTreeSet<&'static str>>,
}

/// Sees envelopes after they became durable, for example to show them live. It must not wait and cannot refuse.
pub trait Observer: Send + Sync {
    /// Asked first, so that nothing is copied for nobody.
    fn is_watching(&self) -> bool;
    /// An envelope became durable.
    fn accepted(&self, envelope: Arc<Envelope>);
    /// An enricher of this name panicked for the first time: somebody should be told. What it panicked on was dropped and counted.
    fn panicked(&self, enricher: &'static str) {
        let _ = enricher;
    }
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
        Pipeline { shared: Arc::new(Shared { enrichers, transport, observers, counts, panicked: Mutex::default() }) }
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
        let Envelope { origin, events } = envelope;
        let of_all = self.ask(|enricher| {
            enricher.enrich_origin(origin);
            Verdict::Keep
        });
        if let Some(reason) = of_all {
            // An address that should have been cut is perhaps still whole.
            return events.drain(..).enumerate().map(|(position, _)| (position, reason)).collect();
        }
        let mut dropped = Vec::new();
        let mut position = 0;
        events.retain_mut(|event| {
            let reason = self.ask(|enricher| enricher.enrich(event, origin));
            dropped.extend(reason.map(|reason| (position, reason)));
            position += 1;
            reason.is_none()
        });
        dropped
    }

    /// Asks the enrichers in order; why the first one drops what it is asked about. A panic drops it, too: an error would make the sender
    /// repeat the same request for ever.
    fn ask(&self, mut enrich: impl FnMut(&dyn Enricher) -> Verdict) -> Option<&'static str> {
        let mut asked = None;
        let answer = catch_unwind(AssertUnwindSafe(|| {
            self.shared.enrichers.iter().find_map(|enricher| {
                asked = Some(enricher);
                match enrich(&**enricher) {
                    Verdict::Keep => None,
                    Verdict::Drop(reason) => Some(reason),
                }
            })
        }));
        // The host's panic hook has told where; the message of a panic may hold data of an event.
        answer.unwrap_or_else(|_panic| {
            asked.into_iter().for_each(|enricher| self.tell_of_panic(enricher.name()));
            Some(PANICKED)
        })
    }

    fn tell_of_panic(&self, enricher: &'static str) {
        let is_news = self.shared.panicked.lock().unwrap_or_else(PoisonError::into_inner).insert(enricher);
        if is_news {
            self.shared.observers.iter().for_each(|observer| observer.panicked(enricher));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Event, Origin,
        testing::{Fragile, MemoryTransport, envelope},
    };

    struct Marks;

    impl Enricher for Marks {
        fn name(&self) -> &'static str {
            "marks"
        }

        fn enrich(&self, event: &mut Event, _origin: &Origin) -> Verdict {
            event.name.push('!');
            Verdict::Keep
        }
    }

    #[derive(Default)]
    struct Told(Mutex<Vec<&'static str>>);

    impl Observer for Told {
        fn is_watching(&self) -> bool {
            false
        }

        fn accepted(&self, _envelope: Arc<Envelope>) {}

        fn panicked(&self, enricher: &'static str) {
            self.0.lock().unwrap().push(enricher);
        }
    }

    fn pipeline() -> (Pipeline, Arc<Told>) {
        let told = Arc::new(Told::default());
        let enrichers: Vec<Box<dyn Enricher>> = vec![Box::new(Fragile), Box::new(Marks)];
        (Pipeline::new(enrichers, Arc::new(MemoryTransport::default()), vec![told.clone()], Arc::default()), told)
    }

    #[test]
    fn an_event_that_makes_an_enricher_panic_is_dropped_and_the_others_go_on() {
        let (pipeline, told) = pipeline();
        let mut envelope = envelope(1, &["a", "bad", "b", "bad"]);
        assert_eq!(pipeline.enrich(&mut envelope), [(1, "enricher_panicked"), (3, "enricher_panicked")]);
        assert_eq!(envelope.events.iter().map(|event| &*event.name).collect::<Vec<_>>(), ["a!", "b!"]);
        assert_eq!(*told.0.lock().unwrap(), ["fragile"], "once");
    }

    #[test]
    fn a_panic_on_what_the_events_share_drops_all_of_them() {
        let (pipeline, told) = pipeline();
        let mut envelope = envelope(1, &["a", "b"]);
        envelope.origin.user_agent = "bad".into();
        assert_eq!(pipeline.enrich(&mut envelope), [(0, "enricher_panicked"), (1, "enricher_panicked")]);
        assert!(envelope.events.is_empty());
        assert_eq!(*told.0.lock().unwrap(), ["fragile"]);
    }
}
