//! The access control that is built in: API tokens, accounts with passwords, and proxies that say who somebody is.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderName, request::Parts};
use monitor_core::Scope;
use subtle::ConstantTimeEq;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    Identity, PasswordError, ReadAccess, Role, bearer,
    password::{Hashed, LONGEST},
    sessions::{Hash, Sessions, cookies, hash},
    trimmed,
};
use crate::{
    ClientAddr, Network,
    answer::Refusal,
    client::client_key,
    clock,
    limiter::{Buckets, Rate},
};

/// An API token: a long random text for one program, with what that may do.
///
/// Only its SHA-256 is kept. That is enough for a token that nobody can guess, and not for a password.
pub struct Token {
    identity: Identity,
    hash: Hash,
}

impl Token {
    /// A token in plain text, of at least 20 bytes. Line breaks at its end do not belong to it.
    pub fn new(identity: Identity, token: &str) -> Result<Token, AccountsError> {
        let token = trimmed(token);
        if token.len() < 20 {
            return Err(AccountsError::ShortToken(identity.name().to_owned()));
        }
        Ok(Token { identity, hash: hash(token) })
    }

    /// A token of which only the SHA-256 is known, as 64 hexadecimal digits: `printf %s "$TOKEN" | sha256sum`.
    pub fn hashed(identity: Identity, sha256: &str) -> Result<Token, AccountsError> {
        let hash = read_hex(sha256.trim()).ok_or_else(|| AccountsError::BadHash(identity.name().to_owned()))?;
        Ok(Token { identity, hash })
    }

    /// When it stops to open anything, ms since the Unix epoch. Default: never.
    pub fn expires(mut self, at: i64) -> Token {
        self.identity = self.identity.until(Some(at));
        self
    }
}

fn read_hex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 2 * hash.len())?;
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    }
    Some(hash)
}

/// Somebody who logs in with a name and a password.
pub struct User {
    identity: Identity,
    password: Hashed,
}

impl User {
    /// With the hash of the password that [`hash_password`](super::hash_password) made. The identity's name is the name to log in with.
    pub fn new(identity: Identity, password_hash: &str) -> Result<User, PasswordError> {
        Ok(User { identity, password: Hashed::read(password_hash)? })
    }
}

/// Proxies that have authenticated whoever comes through them, and say so in headers.
///
/// The headers are believed from these addresses only. What somebody may do follows from the groups: without one that is known here,
/// nothing can be seen. The proxy must remove the headers from what clients send, as all of these proxies do.
pub struct ProxyHeaders {
    proxies: Vec<Network>,
    user: HeaderName,
    groups: HeaderName,
    grants: BTreeMap<String, Identity>,
}

impl ProxyHeaders {
    /// Believes these addresses in `X-Forwarded-User` and `X-Forwarded-Groups` (names with commas between them).
    pub fn from(proxies: impl IntoIterator<Item = Network>) -> ProxyHeaders {
        ProxyHeaders {
            proxies: proxies.into_iter().collect(),
            user: HeaderName::from_static("x-forwarded-user"),
            groups: HeaderName::from_static("x-forwarded-groups"),
            grants: BTreeMap::new(),
        }
    }

    /// Reads the user and the groups from other headers.
    pub fn headers(mut self, user: HeaderName, groups: HeaderName) -> ProxyHeaders {
        (self.user, self.groups) = (user, groups);
        self
    }

    /// Members of this group have a role in one project.
    pub fn group_in_project(self, group: &str, project: &str, role: Role) -> ProxyHeaders {
        self.grant(group, |held| held.in_project(project, role))
    }

    /// Members of this group have a role in every project.
    pub fn group_everywhere(self, group: &str, role: Role) -> ProxyHeaders {
        self.grant(group, |held| held.everywhere(role))
    }

    fn grant(mut self, group: &str, add: impl FnOnce(Identity) -> Identity) -> ProxyHeaders {
        let held = self.grants.remove(group).unwrap_or_else(|| Identity::new(group));
        self.grants.insert(group.to_owned(), add(held));
        self
    }

    fn identity(&self, request: &Parts) -> Option<Identity> {
        let ClientAddr(peer) = request.extensions.get()?;
        if !self.proxies.iter().any(|proxy| proxy.contains(peer.ip())) {
            return None;
        }
        let mut users = request.headers.get_all(&self.user).iter();
        // Two are one too many: somebody has added one.
        let (user, None) = (users.next()?.to_str().ok()?.trim(), users.next()) else { return None };
        if user.is_empty() {
            return None;
        }
        let groups = request.headers.get_all(&self.groups).iter().filter_map(|line| line.to_str().ok());
        let granted = groups.flat_map(|line| line.split(',')).filter_map(|group| self.grants.get(group.trim()));
        Some(granted.fold(Identity::new(user), Identity::with))
    }
}

/// Why accounts cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// A token that can be guessed.
    #[error("the token of {0:?} has fewer than 20 bytes: make a random one")]
    ShortToken(String),
    /// The text is not a SHA-256.
    #[error("the hash of {0:?} is not 64 hexadecimal digits")]
    BadHash(String),
    /// Two users have the same name.
    #[error("two users are named {0:?}")]
    SameUser(String),
    /// There is no way in.
    #[error("accounts need a token, a user or a proxy")]
    Empty,
}

/// API tokens, users with passwords, and trusted proxies: who may do what.
///
/// ```
/// use monitor_http::access::{Accounts, Identity, Role, Token, User, hash_password};
///
/// let access = Accounts::builder()
///     .token(Token::new(Identity::new("reports").in_project("shop", Role::Viewer), "b8bnhgJ1kVYKs0Fh2Yb0oNM7")?)
///     .user(User::new(Identity::new("anna").everywhere(Role::Admin), &hash_password("correct horse")?)?)
///     .build()?;
/// # Ok::<(), monitor_core::BoxError>(())
/// ```
pub struct Accounts {
    tokens: Vec<Token>,
    users: BTreeMap<String, User>,
    proxies: Option<ProxyHeaders>,
    sessions: Sessions,
    attempts: Attempts,
    /// One hash is computed at a time, of 19 MiB: a flood of logins leaves the other cores to the events.
    hashing: Arc<Semaphore>,
    /// Places of strangers who wait for that.
    waiting: Semaphore,
    /// Compared with when there is no such user, so that time does not tell which names there are.
    nobody: Option<Hashed>,
}

/// Puts [`Accounts`] together.
#[must_use = "a builder does nothing until `build`"]
pub struct AccountsBuilder {
    tokens: Vec<Token>,
    users: Vec<User>,
    proxies: Option<ProxyHeaders>,
    idle: Duration,
    lifetime: Duration,
}

/// How often somebody may try to log in. Successes count as well: a limit that only failures use up would have to wait for the outcome.
struct Attempts {
    by_client: Buckets<IpAddr>,
    /// By a hash of the name.
    by_name: Buckets<u64>,
    /// Clients from which a name has logged in before have attempts of their own for it: whoever guesses at a name, or shares an address
    /// with its owner, does not lock the owner out.
    by_known: Buckets<Known>,
    /// Only a login that succeeded gets in here, so strangers cannot fill it.
    known: Mutex<HashSet<Known>>,
}

/// A client, and a hash of a name.
type Known = (IpAddr, u64);

/// Attempts at once; then one in [`ATTEMPT_EVERY`].
const ATTEMPTS: u32 = 20;
const ATTEMPT_EVERY: Duration = Duration::from_secs(5);
/// Clients and names whose attempts are remembered.
const REMEMBERED: usize = 20_000;
/// Most strangers whose logins wait to be hashed.
const WAITING: usize = 32;
/// Longest time that a login waits for others to be hashed.
const HASHING_WAIT: Duration = Duration::from_secs(5);

/// What somebody logs in with.
pub(crate) enum Login {
    Password { user: String, password: String },
    Token(String),
}

impl Accounts {
    /// Starts to configure.
    pub fn builder() -> AccountsBuilder {
        let (idle, lifetime) = (Duration::from_secs(12 * 3_600), Duration::from_secs(7 * 86_400));
        AccountsBuilder { tokens: Vec::new(), users: Vec::new(), proxies: None, idle, lifetime }
    }

    /// One token that opens everything; none when it is empty.
    pub(super) fn of_one_token(token: &str) -> Accounts {
        let (mut builder, token) = (Accounts::builder(), trimmed(token));
        if token.is_empty() {
            tracing::error!("the token of readers is empty: nobody may read");
        } else {
            builder.tokens.push(Token { identity: Identity::new("token").everywhere(Role::Admin), hash: hash(token) });
        }
        builder.assemble(BTreeMap::new())
    }

    /// Whether there are users who log in with a password.
    pub(crate) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// Whether there are tokens.
    pub(crate) fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Begins a session: its secret name and whose it is.
    pub(crate) async fn log_in(&self, login: Login, client: Option<IpAddr>, now: i64) -> Result<(String, Identity), Refusal> {
        let is_known = self.attempts.take(client, &login, Instant::now().into_std())?;
        let identity = match login {
            Login::Token(token) => self.by_token(&token, now),
            Login::Password { user, password } => {
                // Not more of them than can be served soon. Those who were here before come in between.
                let _place = if is_known { None } else { Some(self.waiting.try_acquire().map_err(|_| Refusal::Overloaded)?) };
                let identity = self.by_password(&user, password).await?;
                if identity.is_some() {
                    self.attempts.remember(client, &user);
                }
                identity
            }
        };
        let identity = identity.ok_or(Refusal::LoginRefused)?;
        self.sessions.begin(identity, now).map_err(|error| {
            tracing::error!(%error, "a session could not begin");
            Refusal::Internal
        })
    }

    /// Ends the sessions that a request has.
    pub(crate) fn log_out(&self, request: &Parts) {
        cookies(request).for_each(|session| self.sessions.end(session));
    }

    /// Whose session a request has. Who brings a token means it: a wrong one is not made good by a cookie.
    pub(crate) fn session(&self, request: &Parts) -> Option<Identity> {
        let now = clock::now();
        bearer(request).is_none().then(|| cookies(request).find_map(|session| self.sessions.find(session, now)))?
    }

    fn by_token(&self, token: &str, now: i64) -> Option<Identity> {
        let given = hash(token);
        // All are compared, and each in a time that does not depend on where it differs.
        let found = self.tokens.iter().fold(None, |found, token| if token.hash.ct_eq(&given).into() { Some(token) } else { found })?;
        found.identity.expires().is_none_or(|expires| now < expires).then(|| found.identity.clone())
    }

    async fn by_password(&self, name: &str, password: String) -> Result<Option<Identity>, Refusal> {
        // Its length is no secret to who sent it.
        if password.len() > LONGEST {
            return Ok(None);
        }
        let user = self.users.get(name);
        let Some(hashed) = user.map(|user| user.password.clone()).or_else(|| self.nobody.clone()) else { return Ok(None) };
        let turn = timeout(HASHING_WAIT, self.hashing.clone().acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Refusal::Overloaded)?;
        let comparing = tokio::task::spawn_blocking(move || {
            // Held here and not by the request: one whose client went away still hashes.
            let _turn = turn;
            hashed.is(&password)
        });
        let is_right = comparing.await.map_err(|_panic| Refusal::Internal)?;
        Ok(user.filter(|_| is_right).map(|user| user.identity.clone()))
    }
}

impl AccountsBuilder {
    /// Adds a token.
    pub fn token(mut self, token: Token) -> AccountsBuilder {
        self.tokens.push(token);
        self
    }

    /// Adds a user.
    pub fn user(mut self, user: User) -> AccountsBuilder {
        self.users.push(user);
        self
    }

    /// Believes proxies in who somebody is.
    pub fn proxies(mut self, proxies: ProxyHeaders) -> AccountsBuilder {
        self.proxies = Some(proxies);
        self
    }

    /// A session ends when it was not used for this time. Default: 12 hours.
    pub fn idle(mut self, idle: Duration) -> AccountsBuilder {
        self.idle = idle;
        self
    }

    /// A session ends after this time. Default: 7 days.
    pub fn lifetime(mut self, lifetime: Duration) -> AccountsBuilder {
        self.lifetime = lifetime;
        self
    }

    /// The access control, for [`HttpServiceBuilder::access`](crate::HttpServiceBuilder::access).
    pub fn build(mut self) -> Result<Arc<Accounts>, AccountsError> {
        if self.tokens.is_empty() && self.users.is_empty() && self.proxies.is_none() {
            return Err(AccountsError::Empty);
        }
        let mut users = BTreeMap::new();
        for user in std::mem::take(&mut self.users) {
            let name = user.identity.name().to_owned();
            if users.insert(name.clone(), user).is_some() {
                return Err(AccountsError::SameUser(name));
            }
        }
        Ok(Arc::new(self.assemble(users)))
    }

    fn assemble(self, users: BTreeMap<String, User>) -> Accounts {
        let start = Instant::now().into_std();
        let rate = Rate::every(ATTEMPT_EVERY, ATTEMPTS);
        Accounts {
            attempts: Attempts {
                by_client: Buckets::new(rate, REMEMBERED, start),
                by_name: Buckets::new(rate, REMEMBERED, start),
                by_known: Buckets::new(rate, REMEMBERED, start),
                known: Mutex::default(),
            },
            // With the cost of the users' own hashes: the first one's stands for all.
            nobody: users.values().next().map(|user| user.password.clone().of_nobody()),
            sessions: Sessions::new(self.idle, self.lifetime),
            hashing: Arc::new(Semaphore::new(1)),
            waiting: Semaphore::new(WAITING),
            tokens: self.tokens,
            proxies: self.proxies,
            users,
        }
    }
}

impl Attempts {
    /// Takes an attempt, and says whether this name has logged in from there before.
    fn take(&self, client: Option<IpAddr>, login: &Login, now: std::time::Instant) -> Result<bool, Refusal> {
        let known = match login {
            Login::Password { user, .. } => self.key(client, user).filter(|key| self.known().contains(key)),
            Login::Token(_) => None,
        };
        if let Some(known) = known {
            self.by_known.take(known, now)?;
            return Ok(true);
        }
        if let Some(client) = client {
            self.by_client.take(client_key(client), now)?;
        }
        if let Login::Password { user, .. } = login {
            self.by_name.take(self.by_name.hash(user), now)?;
        }
        Ok(false)
    }

    /// This name has logged in from there.
    fn remember(&self, client: Option<IpAddr>, user: &str) {
        let Some(key) = self.key(client, user) else { return };
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key);
    }

    fn key(&self, client: Option<IpAddr>, user: &str) -> Option<Known> {
        Some((client_key(client?), self.by_name.hash(user)))
    }

    fn known(&self) -> MutexGuard<'_, HashSet<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ReadAccess for Accounts {
    async fn identify(&self, request: &Parts) -> Option<Scope> {
        self.identity(request).await.map(|identity| identity.scope())
    }

    async fn identity(&self, request: &Parts) -> Option<Identity> {
        if let Some(token) = bearer(request) {
            return self.by_token(token, clock::now());
        }
        self.session(request).or_else(|| self.proxies.as_ref()?.identity(request))
    }

    fn accounts(&self) -> Option<&Accounts> {
        Some(self)
    }

    fn hint(&self) -> &'static str {
        match (self.has_tokens(), self.has_users()) {
            // Only `access::token` makes such accounts.
            (false, false) if self.proxies.is_none() => "reading is closed: the host's token is empty",
            (true, false) => "reading needs `Authorization: Bearer <token>`",
            (_, true) => "reading needs a login or `Authorization: Bearer <token>`",
            (false, false) => "reading needs a proxy that says who reads",
        }
    }
}

/// Without secrets.
impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: Vec<_> = self.tokens.iter().map(|token| &token.identity).collect();
        let users: Vec<_> = self.users.values().map(|user| &user.identity).collect();
        f.debug_struct("Accounts").field("tokens", &tokens).field("users", &users).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(user: &str) -> Login {
        Login::Password { user: user.into(), password: "x".into() }
    }

    #[test]
    fn a_client_and_a_name_have_their_attempts_and_others_theirs() {
        let accounts = Accounts::of_one_token("secret");
        let start = std::time::Instant::now();
        let take = |client: u8, login: &Login, after: Duration| {
            let client = IpAddr::from([192, 0, 2, client]);
            accounts.attempts.take(Some(client), login, start + after).is_ok()
        };
        let at_once = Duration::ZERO;
        assert!((0..20).all(|_| take(1, &Login::Token("guess".into()), at_once)));
        assert!(!take(1, &wrong("anna"), at_once));
        assert!(take(1, &Login::Token("guess".into()), Duration::from_secs(6)));
        assert!(!take(1, &Login::Token("guess".into()), Duration::from_secs(6)));
        // From many clients, one name.
        assert!((2..22).all(|client| take(client, &wrong("bea"), at_once)));
        assert!(!take(100, &wrong("bea"), at_once));
        assert!(take(101, &wrong("chris"), at_once) && take(102, &Login::Token("guess".into()), at_once));
    }

    #[test]
    fn who_guesses_at_a_name_does_not_lock_its_owner_out() {
        let accounts = Accounts::of_one_token("secret");
        let now = std::time::Instant::now();
        let client = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let take = |n: u8, name: &str| accounts.attempts.take(client(n), &wrong(name), now).ok();
        accounts.attempts.remember(client(1), "anna");
        // From everywhere, and from where anna is.
        for stranger in 2..60 {
            let _attempt = take(stranger, "anna");
        }
        assert!((0..20).all(|_| take(1, "bea") == Some(false)));
        assert_eq!((take(1, "bea"), take(60, "anna")), (None, None));
        assert!((0..20).all(|_| take(1, "anna") == Some(true)));
        assert_eq!(take(1, "anna"), None, "nor has a known client more attempts than others");
    }

    #[tokio::test]
    async fn a_flood_of_logins_is_refused_but_for_those_who_were_here_before() {
        let hash = super::super::hash_password("correct horse").unwrap();
        let accounts = Accounts::builder().user(User::new(Identity::new("anna"), &hash).unwrap()).build().unwrap();
        let log_in = || Login::Password { user: "anna".into(), password: "correct horse".into() };
        let home = Some(IpAddr::from([192, 0, 2, 1]));
        assert!(accounts.log_in(log_in(), home, 0).await.is_ok());
        let _flood: Vec<_> = (0..WAITING).map(|_| accounts.waiting.try_acquire().unwrap()).collect();
        let stranger = Some(IpAddr::from([192, 0, 2, 2]));
        assert!(matches!(accounts.log_in(log_in(), stranger, 0).await, Err(Refusal::Overloaded)));
        assert!(accounts.log_in(log_in(), home, 0).await.is_ok());
    }

    #[tokio::test]
    async fn a_session_lasts_no_longer_than_its_token() {
        let token = Token::new(Identity::new("ci").everywhere(Role::Viewer), "token-of-the-ci-server").unwrap().expires(5_000);
        let accounts = Accounts::builder().token(token).build().unwrap();
        assert!(accounts.by_token("token-of-the-ci-server", 4_999).is_some());
        assert!(accounts.by_token("token-of-the-ci-server", 5_000).is_none());
        let (session, identity) = accounts.log_in(Login::Token("token-of-the-ci-server".into()), None, 1_000).await.unwrap();
        assert_eq!(identity.expires(), Some(5_000));
        assert!(accounts.sessions.find(&session, 4_999).is_some() && accounts.sessions.find(&session, 5_000).is_none());
    }

    #[tokio::test]
    async fn a_name_that_is_not_there_costs_a_hash_as_well() {
        let hash = super::super::hash_password("correct horse").unwrap();
        let accounts = Accounts::builder().user(User::new(Identity::new("anna"), &hash).unwrap()).build().unwrap();
        assert!(accounts.nobody.as_ref().is_some_and(|nobody| !nobody.is("correct horse")));
        assert!(accounts.by_password("nobody", "correct horse".into()).await.unwrap().is_none());
        assert_eq!(accounts.by_password("anna", "correct horse".into()).await.unwrap().unwrap().name(), "anna");
        assert!(accounts.by_password("anna", "correct horsf".into()).await.unwrap().is_none());
    }
}
