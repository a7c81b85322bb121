//! From request to batch: an [`Envelope`] holds the events of one request, a [`Batch`] is what a sink writes at once.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Event, Origin};

/// The events of one request and what they share. One envelope is one row of the spool: it becomes durable as a whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Who sent the events.
    pub origin: Origin,
    /// In the order they were sent.
    pub events: Vec<Event>,
}

/// Names a batch. The same events in the same order carry the same id, also after a crash:
/// a sink can use it to recognise a batch that it has already written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(Arc<str>);

impl BatchId {
    /// Wraps a text that is unique per batch and repeatable.
    pub fn new(id: impl Into<Arc<str>>) -> BatchId {
        BatchId(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the n-th half of a batch that is split: as repeatable as its parent's.
    pub fn part(&self, n: usize) -> BatchId {
        BatchId(format!("{}.{n}", self.0).into())
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a sink writes at once: whole envelopes, in the order they became durable.
#[derive(Clone, Debug)]
pub struct Batch {
    id: BatchId,
    envelopes: Vec<Envelope>,
    repeated: bool,
}

impl Batch {
    /// A batch that has not been handed to a sink before.
    pub fn new(id: BatchId, envelopes: Vec<Envelope>) -> Batch {
        Batch { id, envelopes, repeated: false }
    }

    /// Marks that some of these events may already have been written under another batch id (a part of a batch
    /// that was split after an attempt). A sink that can look ids up does so for every event of such a batch.
    pub fn mark_repeated(mut self) -> Batch {
        self.repeated = true;
        self
    }

    /// Whether events may already have been written under another id, see [`mark_repeated`](Batch::mark_repeated).
    pub fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// The repeatable name.
    pub fn id(&self) -> &BatchId {
        &self.id
    }

    /// The requests the events came in.
    pub fn envelopes(&self) -> &[Envelope] {
        &self.envelopes
    }

    /// Every event with its origin.
    pub fn events(&self) -> impl Iterator<Item = (&Origin, &Event)> {
        self.envelopes.iter().flat_map(|envelope| envelope.events.iter().map(move |event| (&envelope.origin, event)))
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.envelopes.iter().map(|envelope| envelope.events.len()).sum()
    }

    /// No events at all.
    pub fn is_empty(&self) -> bool {
        self.envelopes.iter().all(|envelope| envelope.events.is_empty())
    }

    /// Two halves with ids made from this one's, or the batch itself when it has fewer than two events.
    /// Both halves are marked as repeated: an attempt to write the whole came before.
    pub fn split(self) -> Result<(Batch, Batch), Batch> {
        let len = self.len();
        if len < 2 {
            return Err(self);
        }
        let mut room = len / 2;
        let mut left = Vec::new();
        let mut right = Vec::new();
        for mut envelope in self.envelopes {
            let take = room.min(envelope.events.len());
            room -= take;
            let rest = envelope.events.split_off(take);
            if !rest.is_empty() {
                right.push(Envelope { origin: envelope.origin.clone(), events: rest });
            }
            if take > 0 {
                left.push(envelope);
            }
        }
        let half = |n, envelopes| Batch { id: self.id.part(n), envelopes, repeated: true };
        Ok((half(0, left), half(1, right)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventId, Kind};

    fn batch(sizes: &[usize]) -> Batch {
        let mut next = 0;
        let envelopes = sizes
            .iter()
            .map(|&size| {
                let events = (0..size)
                    .map(|_| {
                        next += 1;
                        Event::new(EventId(next), 0, Kind::Track, "x")
                    })
                    .collect();
                Envelope { origin: Origin::new("shop", 0), events }
            })
            .collect();
        Batch::new(BatchId::new("b"), envelopes)
    }

    #[test]
    fn halves_keep_the_order_and_have_repeatable_ids() {
        for sizes in [&[5usize][..], &[1, 1], &[3, 0, 4], &[1, 2, 3, 4]] {
            let whole: Vec<_> = batch(sizes).events().map(|(_, event)| event.id).collect();
            let (left, right) = batch(sizes).split().unwrap();
            let halves: Vec<_> = left.events().chain(right.events()).map(|(_, event)| event.id).collect();
            assert_eq!(halves, whole);
            assert!(left.len().abs_diff(right.len()) <= 1);
            assert_eq!((left.id().as_str(), right.id().as_str()), ("b.0", "b.1"));
            assert!(left.is_repeated() && right.is_repeated());
        }
    }

    #[test]
    fn a_single_event_cannot_be_split() {
        assert_eq!(batch(&[1]).split().unwrap_err().len(), 1);
        assert_eq!(batch(&[0]).split().unwrap_err().len(), 0);
    }
}
