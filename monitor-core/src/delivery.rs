//! How a batch is offered to a sink until each of its events is delivered or dead: the decisions, without the waiting.
//!
//! Whoever delivers (a lane of the spool, the consumer of a topic) offers what [`next_part`](Delivery::next_part) gives, tells the outcome, and
//! waits in between for as long as [`BackOff`] says.

use std::time::Duration;

use crate::{Batch, WriteError};

/// One batch on its way into one sink.
#[must_use = "a batch leaves only by being resolved"]
pub struct Delivery {
    /// Parts that are still to be offered, the next one last: never more than one per halving.
    parts: Vec<Batch>,
    delivered: u64,
    dead: Vec<DeadEvent>,
    split: bool,
}

/// An event that a sink refused for good.
#[derive(Debug)]
pub struct DeadEvent {
    /// Holds this event alone. Its id says which batch it was a part of.
    pub batch: Batch,
    /// Why.
    pub error: WriteError,
}

impl Delivery {
    /// Of a whole batch.
    pub fn new(batch: Batch) -> Delivery {
        Delivery { parts: vec![batch], delivered: 0, dead: Vec::new(), split: false }
    }

    /// What to offer next; `None` when every event is resolved.
    pub fn next_part(&mut self) -> Option<Batch> {
        loop {
            let part = self.parts.pop()?;
            if !part.is_empty() {
                return Some(part);
            }
        }
    }

    /// The sink took this part.
    pub fn delivered(&mut self, part: &Batch) {
        self.delivered += part.len() as u64;
    }

    /// The sink refused this part for good: it is halved until the events that cannot be written are alone.
    pub fn refused(&mut self, part: Batch, error: WriteError) {
        self.split = true;
        match part.split() {
            Ok((left, right)) => self.parts.extend([right, left]),
            Err(batch) => self.dead.push(DeadEvent { batch, error }),
        }
    }

    /// Whether parts were offered under ids of their own.
    pub fn is_split(&self) -> bool {
        self.split
    }

    /// How many events were delivered, and those that were refused.
    pub fn end(self) -> (u64, Vec<DeadEvent>) {
        (self.delivered, self.dead)
    }
}

/// Doubles from the first wait to the longest, minus up to half of it by chance, so that many do not come back at once.
#[derive(Clone, Debug)]
pub struct BackOff {
    next: Duration,
    longest: Duration,
}

impl BackOff {
    /// From the first wait to the longest.
    pub fn new(first: Duration, longest: Duration) -> BackOff {
        BackOff { next: first, longest }
    }

    /// The next wait; not shorter than what the sink asked for. `chance` is a random number from 0 to 1.
    pub fn next(&mut self, asked: Option<Duration>, chance: f64) -> Duration {
        let wait = self.next.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0);
        self.next = self.next.saturating_mul(2).min(self.longest);
        wait.max(asked.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchId, Event, EventId, Kind, Origin};

    fn batch(size: u128) -> Batch {
        let events = (0..size).map(|id| Event::new(EventId(id), 0, Kind::Track, "x")).collect();
        Batch::new(BatchId::new("b"), vec![crate::Envelope { origin: Origin::new("shop", 0), events }])
    }

    /// Refuses every part that holds one of these ids. Returns what was delivered, the dead ids and the ids of the offers.
    fn deliver(size: u128, poison: &[u128]) -> (u64, Vec<u128>, usize) {
        let mut delivery = Delivery::new(batch(size));
        let mut offers = 0;
        while let Some(part) = delivery.next_part() {
            offers += 1;
            if part.events().any(|(_, event)| poison.contains(&event.id.0)) {
                delivery.refused(part, WriteError::rejected("poison"));
            } else {
                delivery.delivered(&part);
            }
        }
        assert_eq!(delivery.is_split(), !poison.is_empty());
        let (delivered, dead) = delivery.end();
        (delivered, dead.iter().flat_map(|dead| dead.batch.events().map(|(_, event)| event.id.0)).collect(), offers)
    }

    #[test]
    fn only_what_cannot_be_written_dies() {
        assert_eq!(deliver(10, &[]), (10, vec![], 1));
        assert_eq!(deliver(0, &[]), (0, vec![], 0));
        assert_eq!(deliver(1, &[0]), (0, vec![0], 1));
        let (delivered, dead, offers) = deliver(1_000, &[3, 700]);
        assert_eq!((delivered, dead), (998, vec![3, 700]));
        assert!(offers < 50, "{offers}");
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_millis(300));
        let waits: Vec<u128> = (0..4).map(|_| back_off.next(None, 0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 300, 300]);
        assert_eq!(back_off.next(None, 1.0), Duration::from_millis(150));
        assert_eq!(back_off.next(Some(Duration::from_secs(9)), 0.5), Duration::from_secs(9));
    }
}
