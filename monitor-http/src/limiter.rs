//! Rates with bounded memory: how much a client or a project may do per second.
//!
//! A rate is kept as one number, the time up to which its allowance is used up (the generic cell rate algorithm).
//! Clients are remembered in two generations of a map: when the young one is full it becomes the old one, and what was only in
//! the old one is forgotten. A million addresses therefore cost no more than the configured number.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    mem,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So many per second, and so many at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Nanoseconds per unit.
    interval: u64,
    /// How far ahead of the clock the allowance may be used, ns.
    tolerance: u64,
}

/// Try again after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

impl Rate {
    /// A rate of 0 lets one unit through per second of `at_once`, which nobody wants: it is read as 1.
    pub(crate) fn new(per_second: u32, at_once: u32) -> Rate {
        let interval = 1_000_000_000 / u64::from(per_second.max(1));
        Rate { interval, tolerance: interval.saturating_mul(at_once.max(1).into()) }
    }

    /// One in a time, and so many at once.
    pub(crate) fn every(interval: Duration, at_once: u32) -> Rate {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Rate { interval, tolerance: interval.saturating_mul(at_once.max(1).into()) }
    }

    /// Takes `n` units, or says when the next unit is free. A taker of many units may overdraw once and then waits longer.
    fn take(self, used_up_to: &mut u64, now: u64, n: u64) -> Result<(), Wait> {
        let ahead = used_up_to.saturating_sub(now);
        let excess = ahead.saturating_add(self.interval).saturating_sub(self.tolerance);
        if excess > 0 {
            return Err(Wait(Duration::from_nanos(excess)));
        }
        *used_up_to = (*used_up_to).max(now).saturating_add(self.interval.saturating_mul(n));
        Ok(())
    }
}

fn since(start: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX)
}

/// The rate of one thing.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    start: Instant,
    used_up_to: Mutex<u64>,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, start: Instant) -> Bucket {
        Bucket { rate, start, used_up_to: Mutex::new(0) }
    }

    /// Takes `n` units; with 0 only asks whether there are any.
    pub(crate) fn take(&self, now: Instant, n: usize) -> Result<(), Wait> {
        let mut used_up_to = self.used_up_to.lock().unwrap_or_else(PoisonError::into_inner);
        self.rate.take(&mut used_up_to, since(self.start, now), n as u64)
    }
}

/// The rate of each of many things, of which the most recent are remembered.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    rate: Rate,
    start: Instant,
    hasher: RandomState,
    shards: Vec<Mutex<Generations<K>>>,
    shard_capacity: usize,
}

#[derive(Debug)]
struct Generations<K> {
    young: HashMap<K, u64>,
    old: HashMap<K, u64>,
}

const SHARDS: usize = 16;

impl<K: Hash + Eq + Copy> Buckets<K> {
    /// Remembers at most `capacity` keys.
    pub(crate) fn new(rate: Rate, capacity: usize, start: Instant) -> Buckets<K> {
        let shards = (0..SHARDS).map(|_| Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() })).collect();
        Buckets { rate, start, hasher: RandomState::new(), shards, shard_capacity: (capacity / SHARDS / 2).max(1) }
    }

    /// A hash to use as key for what is too long to be one.
    pub(crate) fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text)
    }

    /// Takes one unit of a key's allowance.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), Wait> {
        let shard = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(shard) else { return Ok(()) };
        let mut generations = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { young, old } = &mut *generations;
        if !young.contains_key(&key) && young.len() >= self.shard_capacity {
            *old = mem::take(young);
        }
        let used_up_to = young.entry(key).or_insert_with(|| old.get(&key).copied().unwrap_or(0));
        self.rate.take(used_up_to, since(self.start, now), 1)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let count = |shard: &Mutex<Generations<K>>| shard.lock().map_or(0, |g| g.young.len() + g.old.len());
        self.shards.iter().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let bucket = Bucket::new(Rate::new(10, 20), start);
        assert!((0..20).all(|_| bucket.take(start, 1).is_ok()));
        let Wait(wait) = bucket.take(start, 1).unwrap_err();
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        assert!(bucket.take(start + Duration::from_millis(101), 1).is_ok());
        assert!(bucket.take(start + Duration::from_millis(102), 1).is_err());
    }

    #[test]
    fn a_large_taker_may_overdraw_once_and_then_waits_longer() {
        let start = Instant::now();
        let bucket = Bucket::new(Rate::new(100, 100), start);
        assert!(bucket.take(start, 500).is_ok());
        let Wait(wait) = bucket.take(start, 0).unwrap_err();
        assert!(wait > Duration::from_millis(3_900) && wait < Duration::from_millis(4_100), "{wait:?}");
    }

    #[test]
    fn a_million_clients_cost_no_more_than_the_configured_number() {
        let start = Instant::now();
        let buckets = Buckets::new(Rate::new(1, 1), 1_000, start);
        for client in 0..1_000_000u32 {
            assert!(buckets.take(client, start).is_ok());
        }
        assert!(buckets.len() <= 1_000);
    }

    #[test]
    fn a_client_that_keeps_coming_is_not_forgotten_when_others_come() {
        let start = Instant::now();
        let buckets = Buckets::new(Rate::new(1, 1), 1_000, start);
        assert!(buckets.take(7, start).is_ok());
        for other in 8..2_000u32 {
            let _other = buckets.take(other, start);
            assert!(buckets.take(7, start).is_err());
        }
    }
}
