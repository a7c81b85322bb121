//! Who may read: queries, the live stream, the list of projects.

use std::sync::Arc;

use async_trait::async_trait;
use http::{header, request::Parts};
use monitor_core::Scope;
use subtle::ConstantTimeEq;

/// Decides what a reader may see.
///
/// Implement it to bring your host's own authentication: a session cookie, a JSON web token, a header set by a proxy. The service asks it
/// for every request of a reader; `None` is answered with 401.
/// Ingest keys are public and never open anything here.
#[async_trait]
pub trait ReadAccess: Send + Sync {
    /// What the sender of this request may see; `None` if it is nobody known.
    async fn identify(&self, request: &Parts) -> Option<Scope>;

    /// Tells those who are refused what is missing.
    fn hint(&self) -> &'static str {
        "reading needs a valid identity"
    }
}

/// Nobody may read. This is what a service does that was not told otherwise.
pub fn closed() -> Arc<dyn ReadAccess> {
    Arc::new(Closed)
}

/// Everybody may read everything: for development on one's own machine, or behind a proxy that checks.
pub fn open() -> Arc<dyn ReadAccess> {
    Arc::new(Open)
}

/// Those who send `Authorization: Bearer <token>` may read everything. An empty token opens nothing.
pub fn token(token: impl Into<String>) -> Arc<dyn ReadAccess> {
    Arc::new(Token(token.into()))
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
}

/// Has no `Debug` and no `PartialEq`, so that it is neither printed nor compared byte by byte.
struct Token(String);

#[async_trait]
impl ReadAccess for Token {
    async fn identify(&self, request: &Parts) -> Option<Scope> {
        let given = bearer(request)?;
        let is_same: bool = self.0.as_bytes().ct_eq(given.as_bytes()).into();
        (is_same && !self.0.is_empty()).then_some(Scope::All)
    }

    fn hint(&self) -> &'static str {
        "reading needs `Authorization: Bearer <token>`"
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
    async fn closed_is_closed_and_open_is_open() {
        assert!(!may_read(closed(), Some("Bearer secret")).await);
        assert!(may_read(open(), None).await);
    }
}
