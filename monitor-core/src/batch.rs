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

    /// The id of a batch of these events: numbers that name their places do not suffice where the same places can come to hold other
    /// events, as when a machine's disk is put back to an earlier state. A sink that remembers ids would take the new ones for the old.
    #[must_use]
    pub fn of_content(&self, envelopes: &[Envelope]) -> BatchId {
        BatchId(format!("{}~{:016x}", self.way(), content(envelopes)).into())
    }

    /// The id of the n-th half of a batch that is split: made of the way to it and of the events in it. Another attempt at the same batch
    /// can know more copies, leave them out and halve in another place; its halves must not pass for these.
    fn half(&self, n: usize, envelopes: &[Envelope]) -> BatchId {
        BatchId(format!("{}.{n}~{:016x}", self.way(), content(envelopes)).into())
    }

    /// The id without what tells of the content.
    fn way(&self) -> &str {
        self.0.split_once('~').map_or(&self.0, |(way, _)| way)
    }
}

/// Of the ids of the events. FNV-1a: it tells apart, it protects from nobody.
fn content(envelopes: &[Envelope]) -> u64 {
    let ids = envelopes.iter().flat_map(|envelope| &envelope.events).flat_map(|event| event.id.0.to_le_bytes());
    ids.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
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
        let half = |n, envelopes: Vec<Envelope>| Batch { id: self.id.half(n, &envelopes), envelopes, repeated: true };
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
            assert!(left.id().as_str().starts_with("b.0~") && right.id().as_str().starts_with("b.1~"), "{} {}", left.id(), right.id());
            assert!(left.is_repeated() && right.is_repeated());
            let again = batch(sizes).split().unwrap();
            assert_eq!((left.id(), right.id()), (again.0.id(), again.1.id()));
        }
    }

    #[test]
    fn halves_with_other_events_have_other_ids() {
        let (five, six) = (batch(&[5]).split().unwrap(), batch(&[6]).split().unwrap());
        assert_ne!(five.0.id(), six.0.id());
        let quarter = six.0.split().unwrap().1;
        assert!(quarter.id().as_str().starts_with("b.0.1~"), "{}", quarter.id());
    }

    #[test]
    fn a_single_event_cannot_be_split() {
        assert_eq!(batch(&[1]).split().unwrap_err().len(), 1);
        assert_eq!(batch(&[0]).split().unwrap_err().len(), 0);
    }
}
