//! Finds copies of events among the messages of one partition.
//!
//! All copies of an event are in one partition, because its key depends on the event alone. A second copy can come about in three ways:
//!
//! 1. The SDK sent the event again, perhaps to another receiver. It says so: `attempt` is above 1.
//! 2. A receiver produced it again, because it did not learn of the first success. It says so in the same way.
//! 3. Another program that writes to the topic doubled it, and does not say so.
//!
//! Against 1 and 2: of two copies at least one is declared. If the declared one comes second, the sink looks it up in the store. If
//! it came first, it is among the declared events of this partition, which are few, so that the memory of them reaches far back;
//! a copy so old that even this memory may have forgotten its twin is declared here, so that it is looked up, too. Against 3 helps the
//! memory of the latest events of all kinds.
//!
//! What an operator puts back has attempt 0: it was seen before and not written, so only the store knows whether it is a copy.

use monitor_core::{Event, EventKeys, Origin, RecentEvents};

use crate::record::decode;

/// Events that are always known; the places of two tables of 2¹⁷, 4.5 MB.
pub(crate) const RECENT: usize = 114_000;
/// Declared repeats that are always known.
const DECLARED: usize = 57_000;
/// How far the times of two messages may be out of order, ms: a message gets its time when it is enqueued, and is given up after
/// `message.timeout.ms`, 120 s; the rest is for clocks.
const SKEW: i64 = 130_000;

/// The attempt of an event that an operator puts back.
pub(crate) const PUT_BACK: u32 = 0;

/// The memory of one partition.
pub(crate) struct Copies {
    keys: EventKeys,
    recent: RecentEvents,
    declared: RecentEvents,
    project: (String, u128),
}

impl Default for Copies {
    /// Knows nothing yet.
    fn default() -> Copies {
        let keys = EventKeys::default();
        let project = (String::new(), keys.secret(""));
        Copies { keys, recent: RecentEvents::new(RECENT), declared: RecentEvents::new(DECLARED), project }
    }
}

impl Copies {
    /// Says that messages which were produced before this time, ms, are not known.
    pub(crate) fn begin(&mut self, time: i64) {
        self.recent.begin(time);
        self.declared.begin(time);
    }

    /// Takes note of a message that was dealt with before. One that holds no event became a dead letter, and has no copies.
    pub(crate) fn remember(&mut self, payload: &[u8], produced: i64) {
        if let Ok((origin, event)) = decode(payload) {
            let key = EventKeys::key(self.secret(&origin.project), event.id);
            self.recent.insert(key, produced);
            if origin.attempt > 1 {
                self.declared.insert(key, produced);
            }
        }
    }

    /// The attempt under which this event goes on; `None` when it is a copy of one that was seen before. `attempt` is what its message
    /// says. An event that may be a copy of something forgotten is declared as a repeat.
    pub(crate) fn attempt(&mut self, attempt: u32, origin: &Origin, event: &Event, produced: i64) -> Option<u32> {
        let key = EventKeys::key(self.secret(&origin.project), event.id);
        if attempt == PUT_BACK {
            self.recent.insert(key, produced);
            self.declared.insert(key, produced);
            return Some(2);
        }
        if self.declared.contains(key) || !self.recent.insert(key, produced) {
            return None;
        }
        if attempt > 1 {
            self.declared.insert(key, produced);
        } else if origin.received < self.declared.since().saturating_add(SKEW) {
            return Some(2);
        }
        Some(attempt)
    }

    fn secret(&mut self, project: &str) -> u128 {
        if self.project.0 != project {
            self.project = (project.to_owned(), self.keys.secret(project));
        }
        self.project.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor_core::{EventId, Kind};

    struct Scene(Copies);

    impl Scene {
        /// Whether it is a copy, and whether it would be looked up.
        fn see(&mut self, id: u128, attempt: u32, received: i64, produced: i64) -> (bool, bool) {
            let event = Event::new(EventId(id), 0, Kind::Track, "x");
            let attempt = self.0.attempt(attempt, &Origin::new("shop", received), &event, produced);
            (attempt.is_none(), attempt.is_some_and(|attempt| attempt > 1))
        }
    }

    #[test]
    fn a_copy_is_known_however_it_comes() {
        let mut scene = Scene(Copies::default());
        assert_eq!(scene.see(1, 1, 10, 10), (false, false));
        assert_eq!(scene.see(1, 1, 10, 20), (true, false));
        assert!(scene.see(1, 2, 15, 20).0);
        assert_eq!(scene.see(2, 2, 30, 30), (false, true));
        assert!(scene.see(2, 1, 20, 40).0);
    }

    #[test]
    fn an_undeclared_copy_is_known_long_after_its_declared_twin() {
        let mut scene = Scene(Copies::default());
        assert_eq!(scene.see(u128::MAX, 2, 10_000, 10_000), (false, true));
        for n in 0..3 * RECENT as u128 {
            assert_eq!(scene.see(n, 1, 20_000, 20_000), (false, false));
        }
        assert!(scene.see(u128::MAX, 1, 9_000, 20_000).0);
    }

    #[test]
    fn what_may_be_a_copy_of_something_forgotten_is_looked_up() {
        let mut scene = Scene(Copies::default());
        scene.0.begin(1_000_000);
        assert_eq!(scene.see(1, 1, 900_000, 1_100_000), (false, true));
        assert_eq!(scene.see(2, 1, 1_000_000 + SKEW, 1_200_000), (false, false));
    }

    #[test]
    fn what_is_put_back_is_no_copy_of_itself_but_looked_up() {
        let mut scene = Scene(Copies::default());
        assert_eq!(scene.see(1, 1, 10, 10), (false, false));
        assert_eq!(scene.see(1, PUT_BACK, 10, 20), (false, true));
        assert!(scene.see(1, 1, 10, 30).0);
    }

    #[test]
    fn what_was_read_back_is_known() {
        let mut scene = Scene(Copies::default());
        let payload =
            r#"{"id":"00000000000000000000000000000007","time":1,"received":1,"kind":"track","name":"x","project":"shop","attempt":2}"#;
        scene.0.remember(payload.as_bytes(), 5);
        scene.0.remember(b"no event", 5);
        scene.0.remember(br#"{"id":"00000000000000000000000000000008","project":"shop"}"#, 5);
        assert!(!scene.see(8, 1, 1, 6).0, "what could not be read was not written");
        assert!(scene.see(7, 1, 1, 6).0);
    }
}
