//! Who may read, and who may decide: queries, the live stream, the list of projects, states of issues.
//!
//! Every request of a reader is asked one question, [`ReadAccess::identity`]; what its answer allows is the only thing that opens a
//! project. Ingest keys are public and never open anything here.

mod accounts;
mod identity;
mod password;
mod sessions;

use std::sync::Arc;

use async_trait::async_trait;
use http::{header, request::Parts};
use monitor_core::Scope;

pub(crate) use self::{accounts::Login, sessions::COOKIE};
pub use self::{
    accounts::{Accounts, AccountsBuilder, AccountsError, ProxyHeaders, Token, User},
    identity::{Identity, Role},
    password::{PasswordError, hash_password},
};

/// Decides what a reader may see.
///
/// Implement it to bring your host's own authentication: a session cookie, a JSON web token, a header set by a proxy. The service asks it
/// for every request of a reader; `None` is answered with 401. [`Accounts`] is the one that is built in.
///
/// Requests that a browser sends by itself, with a cookie or from another page, are checked for their origin before this is asked.
#[async_trait]
pub trait ReadAccess: Send + Sync {
    /// What the sender of this request may see; `None` if it is nobody known.
    async fn identify(&self, request: &Parts) -> Option<Scope>;

    /// Who the sender of this request is, and as what; `None` if it is nobody known. This is what the service asks. Without an
    /// implementation of its own, whoever is [identified](ReadAccess::identify) may look and change nothing.
    async fn identity(&self, request: &Parts) -> Option<Identity> {
        self.identify(request).await.map(Identity::from)
    }

    /// Accounts that one can log in to with `POST /login`; `None` where the host has a login of its own.
    fn accounts(&self) -> Option<&Accounts> {
        None
    }

    /// Whether everybody may read. Such a service answers only under names that no other site can take, see [`open`].
    fn is_open(&self) -> bool {
        false
    }

    /// Tells those who are refused what is missing.
    fn hint(&self) -> &'static str {
        "reading needs a valid identity"
    }
}

/// Nobody may read. This is what a service does that was not told otherwise.
pub fn closed() -> Arc<dyn ReadAccess> {
    Arc::new(Closed)
}

/// Everybody may do everything: for development on one's own machine, or behind a proxy that checks.
///
/// Any site can give its own name the address of this machine, and its pages would then read everything as if they were ours. So
/// requests of readers are answered when their `Host` is an IP address, `localhost`, or that of
/// [`public_url`](crate::Config::public_url), and refused otherwise.
pub fn open() -> Arc<dyn ReadAccess> {
    Arc::new(Open)
}

/// Whoever has this token may do everything: as `Authorization: Bearer <token>`, or by logging in with it. Line breaks at its end, as of a
/// secret that is read from a file, do not belong to it. An empty token opens nothing, which is logged as an error.
/// For more than one reader there are [`Accounts`].
pub fn token(token: impl Into<String>) -> Arc<dyn ReadAccess> {
    Arc::new(Accounts::of_one_token(&token.into()))
}

/// A token without the line break that a file ends with.
fn trimmed(token: &str) -> &str {
    token.trim_end_matches(['\r', '\n'])
}

struct Closed;

#[async_trait]
impl ReadAccess for Closed {
    async fn identify(&self, _request: &Parts) -> Option<Scope> {
        None
    }

    fn hint(&self) -> &'static str {
        "reading is closed: the host has to say who may read, with a token or its own `ReadAccess`"
    }
}

struct Open;

#[async_trait]
impl ReadAccess for Open {
    async fn identify(&self, _request: &Parts) -> Option<Scope> {
        Some(Scope::All)
    }

    async fn identity(&self, _request: &Parts) -> Option<Identity> {
        Some(Identity::new("anybody").everywhere(Role::Admin))
    }

    fn is_open(&self) -> bool {
        true
    }
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(request: &Parts) -> Option<&str> {
    let value = request.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn may_read(access: Arc<dyn ReadAccess>, authorization: Option<&str>) -> bool {
        let mut request = http::Request::new(());
        if let Some(value) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        access.identify(&request.into_parts().0).await.is_some()
    }

    #[tokio::test]
    async fn only_the_token_opens() {
        assert!(may_read(token("secret"), Some("Bearer secret")).await);
        assert!(may_read(token("secret"), Some("bearer secret")).await);
        for wrong in [None, Some("Bearer secre"), Some("Bearer secret2"), Some("Basic secret"), Some("secret"), Some("Bearer ")] {
            assert!(!may_read(token("secret"), wrong).await, "{wrong:?}");
        }
        assert!(!may_read(token(""), Some("Bearer ")).await);
    }

    #[tokio::test]
    async fn a_token_from_a_file_has_no_line_break() {
        assert!(may_read(token("secret\r\n"), Some("Bearer secret")).await);
        assert!(!may_read(token("\n"), Some("Bearer ")).await);
        let identity = || Identity::new("ci").everywhere(Role::Viewer);
        let file = Token::new(identity(), "token-of-the-ci-server\n").unwrap();
        assert!(may_read(Accounts::builder().token(file).build().unwrap(), Some("Bearer token-of-the-ci-server")).await);
        assert!(Token::new(identity(), &"\n".repeat(20)).is_err());
    }

    #[test]
    fn an_empty_token_does_not_ask_for_a_proxy() {
        assert!(token("").hint().contains("token is empty"), "{}", token("").hint());
    }

    #[tokio::test]
    async fn closed_is_closed_and_open_is_open() {
        assert!(!may_read(closed(), Some("Bearer secret")).await);
        assert!(may_read(open(), None).await);
    }
}
