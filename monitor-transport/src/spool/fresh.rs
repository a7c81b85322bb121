//! Envelopes that were committed a moment ago and are still in memory: reading and decoding them again would cost more than encoding them did.
//!
//! This only saves time. Which entries there are, and in which order, is read from the table; a reader finds the envelope of an entry here or
//! decodes the stored one. So whatever is not here, or was taken by a reader that failed, costs what it costs without this.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use monitor_core::Envelope;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An envelope that is kept, and the room it takes.
pub(crate) struct Held {
    envelope: Envelope,
    _room: OwnedSemaphorePermit,
}

pub(crate) struct Fresh {
    /// Bytes of JSON that may still be held: before and after the commit.
    room: Arc<Semaphore>,
    /// By the number of their entry, ascending.
    entries: Mutex<VecDeque<(i64, Held)>>,
}

impl Fresh {
    /// Holds envelopes of so many bytes of JSON at most.
    pub(crate) fn new(json: u64) -> Fresh {
        let json = usize::try_from(json).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Fresh { room: Arc::new(Semaphore::new(json)), entries: Mutex::default() }
    }

    /// Keeps an envelope of so many bytes of JSON for the commit it waits for, if there is room.
    pub(crate) fn hold(&self, envelope: Envelope, json: u32) -> Option<Held> {
        // JSON has no word for these: what was offered after a crash would differ.
        let finite = envelope.events.iter().all(|event| event.value.is_none_or(f64::is_finite) && event.weight.is_finite());
        let _room = self.room.clone().try_acquire_many_owned(json).ok().filter(|_| finite)?;
        Some(Held { envelope, _room })
    }

    /// The entries of a commit, in order. Numbers ascend from one commit to the next.
    pub(crate) fn committed(&self, entries: impl Iterator<Item = (i64, Held)>) {
        self.lock().extend(entries);
    }

    /// The envelope of an entry. Those of entries before it are dropped: readers ascend.
    pub(crate) fn take(&self, seq: i64) -> Option<Envelope> {
        let mut entries = self.lock();
        let mut found = None;
        while entries.front().is_some_and(|(held, _)| *held <= seq) {
            found = entries.pop_front().filter(|(held, _)| *held == seq);
        }
        found.map(|(_, held)| held.envelope)
    }

    /// Forgets all: the numbers may soon stand for other entries.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(i64, Held)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use monitor_core::testing::envelope;

    use super::*;

    fn commit(fresh: &Fresh, seq: i64) -> bool {
        let held = fresh.hold(envelope(u128::try_from(seq).unwrap(), &["a"]), 10);
        let is_held = held.is_some();
        fresh.committed(held.into_iter().map(|held| (seq, held)));
        is_held
    }

    fn take(fresh: &Fresh, seq: i64) -> Option<u128> {
        fresh.take(seq).map(|envelope| envelope.events.first().unwrap().id.0)
    }

    #[test]
    fn every_entry_is_there_once_and_what_a_reader_passed_over_is_dropped() {
        let fresh = Fresh::new(100);
        assert!([3, 4, 6, 7, 9].iter().all(|seq| commit(&fresh, *seq)));
        let taken: Vec<_> = [1, 3, 3, 5, 7, 6, 8].iter().map(|seq| take(&fresh, *seq)).collect();
        assert_eq!(taken, [None, Some(3), None, None, Some(7), None, None]);
        fresh.clear();
        assert_eq!((take(&fresh, 9), fresh.room.available_permits()), (None, 100));
    }

    #[test]
    fn there_is_room_for_so_many_bytes_and_again_when_they_are_taken() {
        let fresh = Fresh::new(29);
        assert_eq!([1, 2, 3].map(|seq| commit(&fresh, seq)), [true, true, false]);
        assert_eq!(take(&fresh, 1), Some(1));
        assert_eq!([4, 5].map(|seq| commit(&fresh, seq)), [true, false]);
        assert!(!commit(&Fresh::new(0), 1));
    }

    #[test]
    fn what_json_cannot_say_is_decoded_like_everything_after_a_crash() {
        let fresh = Fresh::new(100);
        for wrong in [(Some(f64::NAN), 1.0), (None, f32::INFINITY)] {
            let mut given = envelope(1, &["a"]);
            let event = given.events.first_mut().unwrap();
            (event.value, event.weight) = wrong;
            assert!(fresh.hold(given, 10).is_none());
        }
        assert_eq!(fresh.room.available_permits(), 100);
    }
}
