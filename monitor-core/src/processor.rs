//! Steps between reading a batch from a topic and writing it: cleaning, first aggregation, a host's own rules.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{BatchId, Counts, Enricher, Envelope, Event, Labelled, Origin, Verdict, enricher::PANICKED};

/// Works on all events of a batch, before it is written.
///
/// Implement it for what a single event cannot tell, for example to aggregate; for rules on single events an [`Enricher`] does, through
/// [`Each`]. Processors run in the order they were added.
///
/// A processor must be a function of the batch alone: after a crash the same batch is read and processed again, and what was written
/// the first time is then taken for what would be written the second time. So: no clock (there is [`Origin::received`]), no chance, no
/// memory of earlier batches that a restart would lose; ids of events that it adds are made from [`Draft::id`].
pub trait Processor: Send + Sync {
    /// A stable word for logs.
    fn name(&self) -> &'static str;

    /// Changes, drops or adds events.
    fn process(&self, draft: &mut Draft);
}

/// The events of a batch that is not sealed yet.
#[derive(Debug)]
pub struct Draft {
    id: BatchId,
    envelopes: Vec<Envelope>,
    dropped: Vec<(&'static str, u64)>,
}

impl Draft {
    /// Of a batch of this id.
    pub fn new(id: BatchId, envelopes: Vec<Envelope>) -> Draft {
        Draft { id, envelopes, dropped: Vec::new() }
    }

    /// Repeatable, and of no other batch.
    pub fn id(&self) -> &BatchId {
        &self.id
    }

    /// Every event with its origin, in the order they were read.
    pub fn events(&self) -> impl Iterator<Item = (&Origin, &Event)> {
        self.envelopes.iter().flat_map(|envelope| envelope.events.iter().map(move |event| (&envelope.origin, event)))
    }

    /// Every event with its origin, to be changed.
    pub fn events_mut(&mut self) -> impl Iterator<Item = (&Origin, &mut Event)> {
        self.envelopes.iter_mut().flat_map(|Envelope { origin, events }| events.iter_mut().map(|event| (&*origin, event)))
    }

    /// Asks about each event; those that are dropped are counted under the reason.
    pub fn retain(&mut self, mut judge: impl FnMut(&Origin, &mut Event) -> Verdict) {
        let dropped = &mut self.dropped;
        for Envelope { origin, events } in &mut self.envelopes {
            events.retain_mut(|event| match judge(origin, event) {
                Verdict::Keep => true,
                Verdict::Drop(reason) => {
                    add(dropped, reason, 1);
                    false
                }
            });
        }
    }

    /// Adds events. Their ids must be made from [`id`](Draft::id), so that a second run makes the same ones.
    pub fn push(&mut self, envelope: Envelope) {
        self.envelopes.push(envelope);
    }

    /// The events, and why others were dropped. Whoever writes the batch counts that when it is written.
    pub fn end(self) -> (Vec<Envelope>, Vec<(&'static str, u64)>) {
        (self.envelopes, self.dropped)
    }
}

fn add(dropped: &mut Vec<(&'static str, u64)>, reason: &'static str, events: u64) {
    match dropped.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, count)) => *count += events,
        None => dropped.push((reason, events)),
    }
}

/// Counts what a draft dropped.
pub fn count_dropped(counts: &Counts, dropped: &[(&'static str, u64)]) {
    for (reason, n) in dropped {
        counts.count(Labelled::Dropped, reason, *n);
    }
}

/// Runs an enricher on each event of a batch. What it panics on is dropped, as in a [`Pipeline`](crate::Pipeline): the same batch would come
/// again and again.
pub struct Each<E>(pub E);

impl<E: Enricher> Processor for Each<E> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn process(&self, draft: &mut Draft) {
        for Envelope { origin, events } in &mut draft.envelopes {
            if catch_unwind(AssertUnwindSafe(|| self.0.enrich_origin(origin))).is_err() {
                add(&mut draft.dropped, PANICKED, std::mem::take(events).len() as u64);
            }
        }
        let enrich = |event: &mut Event, origin: &Origin| catch_unwind(AssertUnwindSafe(|| self.0.enrich(event, origin)));
        draft.retain(|origin, event| enrich(event, origin).unwrap_or(Verdict::Drop(PANICKED)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fragile, envelope};

    struct NoClicks;

    impl Enricher for NoClicks {
        fn name(&self) -> &'static str {
            "no_clicks"
        }

        fn enrich(&self, event: &mut Event, _origin: &Origin) -> Verdict {
            if event.name == "click" { Verdict::Drop("click") } else { Verdict::Keep }
        }
    }

    #[test]
    fn an_enricher_works_as_a_processor_and_its_drops_are_counted() {
        let mut draft = Draft::new(BatchId::new("b"), vec![envelope(1, &["a", "click"]), envelope(3, &["click", "b"])]);
        Each(NoClicks).process(&mut draft);
        let names: Vec<_> = draft.events().map(|(_, event)| event.name.clone()).collect();
        assert_eq!(names, ["a", "b"]);
        let counts = Counts::new();
        count_dropped(&counts, &draft.end().1);
        assert_eq!(counts.labelled(Labelled::Dropped, "click"), 2);
    }

    #[test]
    fn what_an_enricher_panics_on_is_dropped_and_the_rest_goes_on() {
        let mut bad = envelope(5, &["c", "d"]);
        bad.origin.user_agent = "bad".into();
        let mut draft = Draft::new(BatchId::new("b"), vec![envelope(1, &["a", "bad", "b"]), bad]);
        Each(Fragile).process(&mut draft);
        let (envelopes, dropped) = draft.end();
        let names: Vec<_> = envelopes.iter().flat_map(|envelope| &envelope.events).map(|event| &*event.name).collect();
        assert_eq!((names, dropped), (vec!["a", "b"], vec![("enricher_panicked", 3)]));
    }
}
