//! Reading back: the same typed question from the dashboard, alert rules and host code.

use async_trait::async_trait;

use crate::{
    BoxError,
    query::{EventPage, EventQuery, FunnelQuery, IssueQuery, IssueState, PathQuery, Query, RetentionQuery, SessionQuery, Table},
};

/// Answers questions about stored events.
#[async_trait]
pub trait Store: Send + Sync {
    /// Aggregates. `scope` decides what may be seen; `query.project` must lie within it.
    async fn query(&self, scope: &Scope, query: &Query) -> Result<Table, QueryError>;

    /// Whole events, page by page.
    async fn events(&self, scope: &Scope, query: &EventQuery) -> Result<EventPage, QueryError>;

    /// How many get from step to step.
    async fn funnel(&self, scope: &Scope, query: &FunnelQuery) -> Result<Table, QueryError> {
        let _ = (scope, query);
        Err(unsupported("funnels"))
    }

    /// How many come again.
    async fn retention(&self, scope: &Scope, query: &RetentionQuery) -> Result<Table, QueryError> {
        let _ = (scope, query);
        Err(unsupported("retention"))
    }

    /// Which page follows which.
    async fn paths(&self, scope: &Scope, query: &PathQuery) -> Result<Table, QueryError> {
        let _ = (scope, query);
        Err(unsupported("paths"))
    }

    /// A list of sessions.
    async fn sessions(&self, scope: &Scope, query: &SessionQuery) -> Result<Table, QueryError> {
        let _ = (scope, query);
        Err(unsupported("lists of sessions"))
    }

    /// A list of issues.
    async fn issues(&self, scope: &Scope, query: &IssueQuery) -> Result<Table, QueryError> {
        let _ = (scope, query);
        Err(unsupported("lists of issues"))
    }

    /// Keeps what somebody has decided about an issue. `at` is the time of the decision, ms.
    async fn set_issue(&self, scope: &Scope, state: &IssueState, at: i64) -> Result<(), QueryError> {
        let _ = (scope, state, at);
        Err(unsupported("states of issues"))
    }

    /// What is stored, and how much it takes. Answer: a row for each table, see
    /// [`STORAGE_COLUMNS`](crate::query::STORAGE_COLUMNS).
    async fn storage(&self, scope: &Scope) -> Result<Table, QueryError> {
        let _ = scope;
        Err(unsupported("figures of storage"))
    }

    /// Whether the store answers at the moment: the dashboard asks, by `/query/system`. Readiness does not: what is accepted waits in the spool.
    async fn is_available(&self) -> bool;
}

fn unsupported(what: &str) -> QueryError {
    QueryError::Invalid(format!("this store does not answer questions about {what}"))
}

/// What a reader may see. Comes from the authenticated identity, never from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Every project.
    All,
    /// These projects.
    Projects(Vec<String>),
}

impl Scope {
    /// Whether a project may be read.
    pub fn allows(&self, project: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Projects(projects) => projects.iter().any(|allowed| allowed == project),
        }
    }
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The question itself is wrong; the text tells how, for its author.
    #[error("{0}")]
    Invalid(String),
    /// The project does not exist for this reader.
    #[error("no such project")]
    NotFound,
    /// It would read or return more than is allowed.
    #[error("the question is too expensive: {0}")]
    TooExpensive(String),
    /// The answer has more rows or bytes than are allowed: fewer rows of it may pass.
    #[error("the answer is too large: ask for fewer rows")]
    TooLarge,
    /// The store does not answer; the same question may succeed later.
    #[error("the store is not available")]
    Unavailable(#[source] BoxError),
    /// The store failed on a valid question.
    #[error("the store failed")]
    Failed(#[source] BoxError),
}
