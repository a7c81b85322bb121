//! Which events were seen lately: a bounded memory of their ids.
//!
//! Two generations: ids enter the young one; when it is full the old one is forgotten and the young one becomes old. So
//! the last `generation` ids are always known, at most twice as many are, and the memory stays bounded however many events
//! pass: 17 bytes for each place of two tables, whose places are the next power of two above 8/7 of a generation.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher,
};

use crate::EventId;

/// Stands for one event of one project.
///
/// The event's id, changed by a secret of the project. Within a project different ids have different keys, always; ids of
/// two projects could meet only for a sender who knows this process's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventKey(u128);

/// Makes keys. Those of two makers have nothing in common.
#[derive(Clone, Debug, Default)]
pub struct EventKeys {
    secrets: [RandomState; 2],
}

impl EventKeys {
    /// What the ids of a project are changed by. Work it out once for each request.
    pub fn secret(&self, project: &str) -> u128 {
        let [upper, lower] = &self.secrets;
        u128::from(upper.hash_one(project)) << 64 | u128::from(lower.hash_one(project))
    }

    /// The key of an event of the project with that secret.
    pub fn key(secret: u128, id: EventId) -> EventKey {
        EventKey(id.0 ^ secret)
    }
}

/// A memory of events is asked several times for each event, and the standard library's hash, which is made for texts, takes longer than
/// all the rest of it. Whoever chooses ids cannot choose places in a table: the keys are changed by a secret already.
type Events = HashSet<EventKey, foldhash::quality::RandomState>;

/// See the module.
#[derive(Clone, Debug)]
pub struct RecentEvents {
    young: Events,
    old: Events,
    generation: usize,
    young_since: i64,
    old_since: i64,
}

impl RecentEvents {
    /// Knows at least the last `generation` events. Give what a hash table takes before it grows: a little below 7/8 of a power of two.
    pub fn new(generation: usize) -> RecentEvents {
        RecentEvents { young: Events::default(), old: Events::default(), generation, young_since: i64::MIN, old_since: i64::MIN }
    }

    /// Like [`RecentEvents::new`], with the room for a generation taken at once: for one that is soon full.
    pub fn with_room(generation: usize) -> RecentEvents {
        let mut recent = RecentEvents::new(generation);
        recent.young.reserve(generation);
        recent
    }

    /// Whether it was inserted and is not forgotten.
    pub fn contains(&self, key: EventKey) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }

    /// Remembers an event that was seen at this time, ms; times should ascend. `false` when it is known.
    pub fn insert(&mut self, key: EventKey, seen: i64) -> bool {
        if self.old.contains(&key) {
            return false;
        }
        if self.young.len() >= self.generation {
            if self.young.contains(&key) {
                return false;
            }
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.old_since = self.young_since;
            self.young_since = seen;
        }
        self.young.insert(key)
    }

    /// Says that events which were seen before this time were not inserted.
    pub fn begin(&mut self, time: i64) {
        self.old_since = self.old_since.max(time);
        self.young_since = self.young_since.max(time);
    }

    /// Every event that was seen at this time or later is known; [`i64::MIN`] when nothing was ever forgotten.
    pub fn since(&self) -> i64 {
        self.old_since
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> impl Fn(u128) -> EventKey {
        let secret = EventKeys::default().secret("shop");
        move |n| EventKeys::key(secret, EventId(n))
    }

    #[test]
    fn recent_ids_are_known_and_old_ones_forgotten() {
        let (key, mut recent) = (keys(), RecentEvents::new(100));
        assert!((0..1_000).all(|n| recent.insert(key(n), 0)));
        assert!((900..1_000).all(|n| recent.contains(key(n)) && !recent.insert(key(n), 0)));
        assert!((0..800).all(|n| !recent.contains(key(n))));
        assert!(recent.len() <= 200);
    }

    #[test]
    fn whatever_was_seen_since_is_known() {
        let (key, mut recent) = (keys(), RecentEvents::new(100));
        assert_eq!(recent.since(), i64::MIN);
        (0..150).for_each(|n: i64| assert!(recent.insert(key(n.unsigned_abs().into()), n)));
        assert_eq!(recent.since(), i64::MIN);
        (150..1_000).for_each(|n: i64| assert!(recent.insert(key(n.unsigned_abs().into()), n)));
        let since = recent.since();
        assert!((800..=900).contains(&since), "{since}");
        assert!((since..1_000).all(|n| recent.contains(key(n.unsigned_abs().into()))));
        let mut warmed = RecentEvents::new(100);
        warmed.begin(7);
        assert_eq!(warmed.since(), 7);
    }

    #[test]
    fn the_same_id_of_another_project_is_another_event() {
        let (keys, mut recent) = (EventKeys::default(), RecentEvents::new(10));
        let key = |project| EventKeys::key(keys.secret(project), EventId(7));
        assert!(recent.insert(key("shop"), 0));
        assert!(recent.contains(key("shop")) && !recent.contains(key("bank")));
    }

    #[test]
    fn ids_that_are_alike_are_spread_over_the_table() {
        let secret = EventKeys::default().secret("shop");
        for ids in [|n: u128| n, |n| n << 64, |n| n << 100, |n| n << 64 | n, |n| u128::MAX - (n << 32)] {
            let state = foldhash::quality::RandomState::default();
            let hashes: HashSet<u64> = (0..10_000).map(|n| state.hash_one(EventKeys::key(secret, EventId(ids(n)))) & 0xffff).collect();
            // Of 10,000 balls in 65,536 urns about 9,276 have one of their own.
            assert!(hashes.len() > 9_000, "{}", hashes.len());
        }
    }

    #[test]
    fn a_full_memory_is_bounded() {
        let (key, mut recent) = (keys(), RecentEvents::new(450_000));
        (0..1_500_000).for_each(|n| assert!(recent.insert(key(n), 0)));
        // A table takes 7/8 of its places; each is the key and one byte.
        let places = (recent.young.capacity() + recent.old.capacity()) * 8 / 7;
        assert!(places * (size_of::<EventKey>() + 1) <= 40_000_000);
    }
}
