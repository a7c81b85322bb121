//! Sessions of those who logged in: random names for identities, kept in memory.
//!
//! What a client holds is 256 random bits; what is kept is their SHA-256, so that a picture of the memory opens nothing. There are only so
//! many sessions, in all and of one account: the longest unused ends when there is no room for a new one. All end with the process.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{header, request::Parts};
use sha2::{Digest, Sha256};

use super::Identity;

/// The cookie that holds a session's name.
pub(crate) const COOKIE: &str = "monitor_session";
/// Most sessions.
const MOST: usize = 10_000;
/// Most sessions of one account.
const MOST_OF_ONE: usize = 50;

/// A hash of a secret.
pub(super) type Hash = [u8; 32];

pub(super) fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

pub(super) struct Sessions {
    list: Mutex<HashMap<Hash, Session>>,
    /// A session that is not used for this time ends, ms.
    idle: i64,
    /// A session ends after this time, ms.
    lifetime: i64,
}

struct Session {
    identity: Identity,
    /// ms since the Unix epoch.
    begun: i64,
    used: i64,
    expires: i64,
}

impl Sessions {
    pub(super) fn new(idle: Duration, lifetime: Duration) -> Sessions {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Sessions { list: Mutex::default(), idle: ms(idle), lifetime: ms(lifetime) }
    }

    /// Begins a session and gives its name, and the identity with the session's end.
    pub(super) fn begin(&self, identity: Identity, now: i64) -> Result<(String, Identity), getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let name = URL_SAFE_NO_PAD.encode(secret);
        let expires = now.saturating_add(self.lifetime).min(identity.expires().unwrap_or(i64::MAX));
        let identity = identity.until(Some(expires));
        let mut list = self.list();
        list.retain(|_, session| self.lives(session, now));
        let of_one = list.iter().filter(|(_, session)| session.identity.name() == identity.name());
        let ends = match () {
            () if of_one.clone().count() >= MOST_OF_ONE => of_one.min_by_key(|(_, session)| session.used).map(|(key, _)| *key),
            () if list.len() >= MOST => list.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key),
            () => None,
        };
        if let Some(ends) = ends {
            list.remove(&ends);
        }
        list.insert(hash(&name), Session { identity: identity.clone(), begun: now, used: now, expires });
        Ok((name, identity))
    }

    /// Whose session it is.
    pub(super) fn find(&self, name: &str, now: i64) -> Option<Identity> {
        let key = hash(name);
        let mut list = self.list();
        // Found by its hash: what a comparison takes tells nothing about the secret.
        let session = list.get_mut(&key)?;
        if !self.lives(session, now) {
            list.remove(&key);
            return None;
        }
        session.used = now.max(session.used);
        Some(session.identity.clone())
    }

    pub(super) fn end(&self, name: &str) {
        self.list().remove(&hash(name));
    }

    fn lives(&self, session: &Session, now: i64) -> bool {
        now < session.expires && now.saturating_sub(session.used.max(session.begun)) < self.idle
    }

    fn list(&self) -> MutexGuard<'_, HashMap<Hash, Session>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of sessions that a request brings: a browser can have cookies of the same name for several paths.
pub(super) fn cookies(request: &Parts) -> impl Iterator<Item = &str> {
    let lines = request.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value.trim_matches('"')).take(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn sessions() -> Sessions {
        Sessions::new(Duration::from_secs(3_600), Duration::from_secs(86_400))
    }

    #[test]
    fn a_session_lives_until_it_is_idle_ended_or_old() {
        let sessions = sessions();
        let begin = || sessions.begin(Identity::new("anna"), 0).unwrap().0;
        let idle = begin();
        assert_eq!(idle.len(), 43);
        assert_eq!(sessions.find(&idle, 3_599_999).unwrap().name(), "anna");
        assert!(sessions.find(&idle, 2 * 3_600_000).is_none());
        let ended = begin();
        sessions.end(&ended);
        assert!(sessions.find(&ended, 1).is_none());
        let old = begin();
        assert!((0..DAY).step_by(1_800_000).all(|now| sessions.find(&old, now).is_some()));
        assert!(sessions.find(&old, DAY).is_none());
        assert!(sessions.find("", 0).is_none() && sessions.list().is_empty());
    }

    #[test]
    fn a_session_does_not_outlive_its_token() {
        let (name, identity) = sessions().begin(Identity::new("ci").until(Some(5)), 0).unwrap();
        assert_eq!((name.len(), identity.expires()), (43, Some(5)));
    }

    #[test]
    fn sessions_are_bounded_and_the_longest_unused_ends_first() {
        let sessions = sessions();
        let names: Vec<String> = (0..).take(MOST_OF_ONE + 1).map(|n| sessions.begin(Identity::new("anna"), n).unwrap().0).collect();
        assert_eq!(sessions.list().len(), MOST_OF_ONE);
        assert!(sessions.find(&names[0], 100).is_none() && sessions.find(&names[1], 100).is_some());
        for n in 0..MOST {
            sessions.begin(Identity::new(n.to_string()), 200).unwrap();
        }
        assert_eq!(sessions.list().len(), MOST);
    }

    #[test]
    fn cookies_are_found_among_others() {
        let (mut request, ()) = http::Request::new(()).into_parts();
        request.headers.append(header::COOKIE, "a=b; monitor_session=one;monitor_session=\"two\"; xmonitor_session=3".parse().unwrap());
        assert_eq!(cookies(&request).collect::<Vec<_>>(), ["one", "two"]);
    }
}
