//! A number of things (bytes, requests, sockets) that may be in use at the same time, and the part of it that one user holds.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::client::client_key;

/// What may be in use at the same time.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    most: usize,
}

/// Everything is in use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsedUp;

impl fmt::Display for UsedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("everything is in use")
    }
}

impl Error for UsedUp {}

impl Budget {
    pub(crate) fn new(most: usize) -> Arc<Budget> {
        Arc::new(Budget { used: AtomicUsize::new(0), most })
    }

    /// In use now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Takes `n`, given back when the hold is dropped.
    pub(crate) fn hold(self: &Arc<Self>, n: usize) -> Result<Hold, UsedUp> {
        let mut hold = Hold { budget: self.clone(), held: 0 };
        hold.grow(n)?;
        Ok(hold)
    }
}

/// A part of a budget.
#[derive(Debug)]
pub(crate) struct Hold {
    budget: Arc<Budget>,
    held: usize,
}

impl Hold {
    /// Takes `n` more.
    pub(crate) fn grow(&mut self, n: usize) -> Result<(), UsedUp> {
        let Budget { used, most } = &*self.budget;
        let take = |used: usize| used.checked_add(n).filter(|sum| sum <= most);
        used.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).map_err(|_| UsedUp)?;
        self.held += n;
        Ok(())
    }

    /// Gives `n` back, or all if it holds less.
    pub(crate) fn shrink(&mut self, n: usize) {
        let n = n.min(self.held);
        self.budget.used.fetch_sub(n, Ordering::AcqRel);
        self.held -= n;
    }

    /// What it holds.
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.held, Ordering::AcqRel);
    }
}

/// Places for connections: so many in all, and so many for each client.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Budget>,
    most_per_client: usize,
    /// Has no entry for a client without a place, so it is never larger than the budget.
    by_client: Mutex<HashMap<IpAddr, usize>>,
}

impl Places {
    pub(crate) fn new(most: usize, most_per_client: usize) -> Arc<Places> {
        Arc::new(Places { all: Budget::new(most), most_per_client, by_client: Mutex::default() })
    }

    /// Taken now.
    pub(crate) fn used(&self) -> usize {
        self.all.used()
    }

    /// A place for a client, or for somebody who may have as many as there are.
    pub(crate) fn take(self: &Arc<Self>, client: Option<IpAddr>) -> Result<Place, UsedUp> {
        let hold = self.all.hold(1)?;
        let client = client.map(client_key);
        if let Some(client) = client {
            let mut by_client = self.by_client();
            let taken = by_client.get(&client).copied().unwrap_or(0);
            if taken >= self.most_per_client {
                return Err(UsedUp);
            }
            by_client.insert(client, taken + 1);
        }
        Ok(Place { _hold: hold, client, places: self.clone() })
    }

    fn by_client(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held as long as a connection is open.
#[derive(Debug)]
pub(crate) struct Place {
    _hold: Hold,
    client: Option<IpAddr>,
    places: Arc<Places>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut by_client = self.places.by_client();
        if let Some(taken) = by_client.get_mut(&client) {
            *taken -= 1;
            if *taken == 0 {
                by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_comes_back_and_no_more_is_given_than_there_is() {
        let budget = Budget::new(10);
        let mut first = budget.hold(6).unwrap();
        assert!(budget.hold(5).is_err());
        assert!(first.grow(usize::MAX).is_err());
        first.grow(4).unwrap();
        assert_eq!(budget.used(), 10);
        first.shrink(3);
        assert_eq!((budget.used(), first.held()), (7, 7));
        first.shrink(usize::MAX);
        assert_eq!(budget.used(), 0);
        first.grow(5).unwrap();
        drop(first);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_client_has_its_share_of_the_places_and_leaves_nothing_behind() {
        let places = Places::new(3, 2);
        let client = |text: &str| Some(text.parse().unwrap());
        let first = places.take(client("2001:db8::1")).unwrap();
        let second = places.take(client("2001:db8::2")).unwrap();
        assert!(places.take(client("2001:db8::3")).is_err());
        let other = places.take(client("192.0.2.1")).unwrap();
        assert!(places.take(None).is_err());
        drop((first, second, other));
        assert_eq!((places.used(), places.by_client().len()), (0, 0));
    }
}
