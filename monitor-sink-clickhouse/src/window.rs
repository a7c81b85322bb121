//! Ids of events that are known to be stored: a bounded memory of the recent ones.
//!
//! Two generations: ids enter the young one; when it is full the old one is forgotten and the young one becomes old. So
//! the last 450,000 ids are always known, at most twice as many are, and the memory stays below 18 MB however many
//! events pass (2 × 2¹⁹ places of 17 bytes).

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher,
};

use monitor_core::EventId;

/// Ids of one generation: what a table of 2¹⁹ places takes before it would grow.
const GENERATION: usize = 450_000;

/// Stands for one event of one project.
///
/// The event's id, changed by a secret of the project. Within a project different ids have different keys, always; ids of
/// two projects could meet only for a sender who knows this process's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

/// See the module.
pub(crate) struct Window {
    young: HashSet<Key>,
    old: HashSet<Key>,
    generation: usize,
    secrets: [RandomState; 2],
}

impl Default for Window {
    fn default() -> Window {
        Window::new(GENERATION)
    }
}

impl Window {
    fn new(generation: usize) -> Window {
        Window { young: HashSet::new(), old: HashSet::new(), generation, secrets: [RandomState::new(), RandomState::new()] }
    }

    /// What the ids of a project are changed by. Worked out once for each request.
    pub(crate) fn secret(&self, project: &str) -> u128 {
        let [upper, lower] = &self.secrets;
        u128::from(upper.hash_one(project)) << 64 | u128::from(lower.hash_one(project))
    }

    /// The key of an event of the project with that secret.
    pub(crate) fn key(secret: u128, id: EventId) -> Key {
        Key(id.0 ^ secret)
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }

    /// Only for events that are stored: whoever is found here is not written again.
    pub(crate) fn insert(&mut self, key: Key) {
        if self.young.len() >= self.generation {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_ids_are_known_and_old_ones_forgotten() {
        let mut window = Window::new(100);
        let secret = window.secret("shop");
        let key = |n| Window::key(secret, EventId(n));
        (0..1_000).for_each(|n| window.insert(key(n)));
        assert!((900..1_000).all(|n| window.contains(key(n))));
        assert!((0..800).all(|n| !window.contains(key(n))));
        assert!(window.young.len() + window.old.len() <= 200);
    }

    #[test]
    fn the_same_id_of_another_project_is_another_event() {
        let mut window = Window::default();
        let (shop, bank) = (window.secret("shop"), window.secret("bank"));
        window.insert(Window::key(shop, EventId(7)));
        assert!(window.contains(Window::key(shop, EventId(7))));
        assert!(!window.contains(Window::key(bank, EventId(7))));
    }

    #[test]
    fn a_full_window_fits_its_memory() {
        let mut window = Window::default();
        (0..3 * GENERATION as u128).for_each(|n| window.insert(Key(n)));
        // A table takes 7/8 of its places; each is the key and one byte.
        let places = (window.young.capacity() + window.old.capacity()) * 8 / 7;
        assert!(places * (size_of::<Key>() + 1) <= 40_000_000);
    }
}
