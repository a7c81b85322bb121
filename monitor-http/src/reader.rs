//! Answering readers: who they are, what they ask, and for how long they may wait.

use std::sync::Arc;

use http::{HeaderValue, Method, Response, header, request::Parts};
use monitor_core::{
    Document, Kind, QueryError, Scope, Store,
    query::{EventQuery, Query},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    answer::{self, Refusal},
    ingest::{check_length, check_uri},
    request::{self, BodyLimits, BodyRef},
    response::Body,
    service::{SEC_FETCH_SITE, Shared, only_get},
    url,
};

/// What a reader asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question<'a> {
    Table,
    Events,
    Projects {
        /// Where the host mounted the service.
        prefix: &'a str,
    },
    Live,
}

/// Largest question, bytes.
const MAX_QUESTION: usize = 256 * 1024;

impl Shared {
    pub(crate) async fn read(
        self: &Arc<Self>,
        question: Question<'_>,
        parts: &Parts,
        body: BodyRef<'_>,
    ) -> Result<Response<Body>, Refusal> {
        match question {
            Question::Table | Question::Events if parts.method != Method::POST => return Err(Refusal::MethodNotAllowed("POST")),
            Question::Table | Question::Events => check_length(&parts.headers, MAX_QUESTION)?,
            Question::Projects { .. } | Question::Live => only_get(parts)?,
        }
        check_uri(parts, self.config.uri_bytes)?;
        // Other sites cannot read the answers anyway, there is no CORS here. They need not make us work either.
        if parts.headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site") {
            return Err(Refusal::CrossSite);
        }
        let scope = self.access.identify(parts).await.ok_or_else(|| Refusal::Unauthorized(self.access.hint()))?;
        match question {
            Question::Table => {
                let query: Query = self.question(body).await?;
                self.check_project(&scope, &query.project)?;
                query.validate().map_err(Refusal::BadQuery)?;
                self.ask(|store| async move { store.query(&scope, &query).await }).await
            }
            Question::Events => {
                let query: EventQuery = self.question(body).await?;
                self.check_project(&scope, &query.project)?;
                query.validate().map_err(Refusal::BadQuery)?;
                let events = |store: Arc<dyn Store>| async move {
                    let mut page = store.events(&scope, &query).await?;
                    page.events.iter_mut().for_each(Document::read_exceptions);
                    Ok(page)
                };
                self.ask(events).await
            }
            Question::Projects { prefix } => Ok(answer::ok_json(&self.list_projects(&scope, prefix, parts))),
            Question::Live => self.live(&scope, parts),
        }
    }

    async fn question<Q: DeserializeOwned>(&self, body: BodyRef<'_>) -> Result<Q, Refusal> {
        let limits = BodyLimits {
            bytes: MAX_QUESTION,
            timeout: self.config.body_timeout,
            rate: self.config.body_rate,
            grace: self.config.body_grace,
        };
        let (body, _hold) = request::read(body, &limits, &self.bodies, &self.closing).await?;
        serde_json::from_slice(&body).map_err(|error| Refusal::BadQuery(error.to_string()))
    }

    /// A project that a reader may not see does not exist for it.
    fn check_project(&self, scope: &Scope, project: &str) -> Result<(), Refusal> {
        let exists = scope.allows(project) && self.projects.by_id(project).is_some();
        if exists { Ok(()) } else { Err(Refusal::Query(QueryError::NotFound)) }
    }

    async fn ask<A, F>(&self, question: impl FnOnce(Arc<dyn Store>) -> F) -> Result<Response<Body>, Refusal>
    where
        A: Serialize,
        F: Future<Output = Result<A, QueryError>>,
    {
        let store = self.store.clone().ok_or(Refusal::NoStore)?;
        let answer = async {
            // The semaphore is never closed; if it were, an unlimited query would be the smaller harm.
            let _turn = self.queries.acquire().await;
            question(store).await
        };
        let outcome = timeout(self.config.query_timeout, answer).await.map_err(|_| Refusal::QueryTimeout)?;
        if let Err(error @ (QueryError::Unavailable(cause) | QueryError::Failed(cause))) = &outcome {
            tracing::warn!(%error, %cause, "a question was not answered");
        }
        Ok(answer::ok_json(&outcome?))
    }

    fn list_projects(&self, scope: &Scope, prefix: &str, parts: &Parts) -> ProjectList {
        let base = match &self.config.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}{prefix}", requested_host(parts)),
        };
        let entry = |project: &monitor_core::Project| {
            let key = project.keys.first().cloned().unwrap_or_default();
            let (scheme, rest) = base.split_once("://").unwrap_or(("http", &base));
            ProjectEntry { dsn: format!("{scheme}://{key}@{rest}/{}", project.id), id: project.id.clone(), name: project.name.clone(), key }
        };
        ProjectList { projects: self.projects.iter().filter(|project| scope.allows(&project.id)).map(entry).collect() }
    }

    fn live(&self, scope: &Scope, parts: &Parts) -> Result<Response<Body>, Refusal> {
        let text = |name| url::parameter(parts.uri.query(), name).and_then(url::decode).unwrap_or_default();
        let project = text("project");
        self.check_project(scope, &project)?;
        let kinds: Result<Vec<Kind>, _> = text("kinds").split(',').filter(|kind| !kind.is_empty()).take(64).map(str::parse).collect();
        let kinds = kinds.map_err(|error| Refusal::BadQuery(error.to_string()))?;
        let hub = self.live.as_ref().ok_or(Refusal::NoStore)?;
        if self.is_closing() {
            return Err(Refusal::ShuttingDown);
        }
        let stream = hub.watch(&project, kinds, self.config.live_viewers).ok_or(Refusal::TooManyViewers)?;
        let mut response = answer::ok("text/event-stream", bytes::Bytes::new());
        *response.body_mut() = Body::live(stream);
        // nginx would hold small pieces back.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }
}

#[derive(Serialize)]
struct ProjectList {
    projects: Vec<ProjectEntry>,
}

#[derive(Serialize)]
struct ProjectEntry {
    id: String,
    name: String,
    dsn: String,
    key: String,
}

/// Scheme and host as the reader sees them. Only shown back to the reader itself, so a proxy's word about the scheme is enough.
fn requested_host(parts: &Parts) -> String {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match text("x-forwarded-proto").or(parts.uri.scheme_str()) {
        Some("https") => "https",
        _ => "http",
    };
    let host = text(header::HOST.as_str()).or(parts.uri.authority().map(http::uri::Authority::as_str)).unwrap_or("localhost");
    format!("{scheme}://{host}")
}
