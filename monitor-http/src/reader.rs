//! Answering readers: who they are, what they ask, and for how long they may wait.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Response, header, request::Parts};
use monitor_core::{
    Document, Kind, QueryError, Scope, Store,
    query::{EventPage, EventQuery, Filter, FunnelQuery, IssueQuery, IssueState, PathQuery, Query, RetentionQuery, SessionQuery, Table},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    access::{Identity, Role},
    answer::{self, Refusal},
    clock,
    format::Format,
    ingest::{check_length, check_uri},
    live::{IsAllowed, MOST_KINDS, Wish},
    request::{self, BodyLimits, BodyRef},
    response::Body,
    routes::{Question, Route, Takes},
    service::{SEC_FETCH_SITE, Shared},
    url,
};

/// Largest question, bytes.
const MAX_QUESTION: usize = 256 * 1024;
/// What the service answers, for programs: made and checked by `tests/openapi.rs`.
const DESCRIPTION: &str = include_str!("../openapi.json");

/// A question about one project.
pub(crate) trait Asked: DeserializeOwned + Send + Sync {
    fn project(&self) -> &str;
    fn check(&self) -> Result<(), String>;
}

macro_rules! asked {
    ($($name:ident),*) => {$(
        impl Asked for $name {
            fn project(&self) -> &str {
                &self.project
            }
            fn check(&self) -> Result<(), String> {
                self.validate()
            }
        }
    )*};
}
asked!(Query, EventQuery, FunnelQuery, RetentionQuery, PathQuery, SessionQuery, IssueQuery, IssueState);

impl Shared {
    pub(crate) async fn read(
        self: &Arc<Self>,
        route: &Route,
        prefix: &str,
        parts: &mut Parts,
        body: BodyRef<'_>,
    ) -> Result<Response<Body>, Refusal> {
        if route.takes == Takes::Post {
            check_length(&parts.headers, MAX_QUESTION)?;
        }
        check_uri(parts, self.config.uri_bytes)?;
        self.check_name(parts)?;
        self.check_site(route, parts)?;
        match route.question {
            Question::Description => return Ok(answer::ok("application/json", DESCRIPTION)),
            Question::LoginWays => return Ok(answer::ok_json(&self.login_ways())),
            Question::LogIn => return self.log_in(prefix, parts, body).await,
            Question::LogOut => return Ok(self.log_out(prefix, parts)),
            _ => {}
        }
        let identity = self.access.identity(parts).await.ok_or_else(|| Refusal::Unauthorized(self.access.hint()))?;
        let scope = identity.scope();
        let format = Format::accepted(&parts.headers);
        match route.question {
            Question::Table => {
                let query: Query = self.asked(&identity, Role::Viewer, body).await?;
                self.table(format, |store| async move { store.query(&scope, &query).await }).await
            }
            Question::Funnel => {
                let query: FunnelQuery = self.asked(&identity, Role::Viewer, body).await?;
                self.table(format, |store| async move { store.funnel(&scope, &query).await }).await
            }
            Question::Retention => {
                let query: RetentionQuery = self.asked(&identity, Role::Viewer, body).await?;
                self.table(format, |store| async move { store.retention(&scope, &query).await }).await
            }
            Question::Paths => {
                let query: PathQuery = self.asked(&identity, Role::Viewer, body).await?;
                self.table(format, |store| async move { store.paths(&scope, &query).await }).await
            }
            Question::Sessions => {
                let query: SessionQuery = self.asked(&identity, Role::Viewer, body).await?;
                self.table(format, |store| async move { store.sessions(&scope, &query).await }).await
            }
            Question::Issues => {
                let query: IssueQuery = self.asked(&identity, Role::Viewer, body).await?;
                self.table(format, |store| async move { store.issues(&scope, &query).await }).await
            }
            Question::SetIssue => {
                let state: IssueState = self.asked(&identity, Role::Editor, body).await?;
                self.ask(|store| async move { store.set_issue(&scope, &state, clock::now()).await }).await?;
                Ok(answer::done())
            }
            Question::Events => {
                let query: EventQuery = self.asked(&identity, Role::Viewer, body).await?;
                let page = self.events(&scope, &query).await?;
                format.events(&page, &query)
            }
            Question::Export => {
                let text = self.question(body, MAX_QUESTION).await?;
                self.export(&identity, format, &text, parts).await
            }
            Question::Storage => {
                // Its bytes are of all projects.
                only_for_all(&identity)?;
                self.table(format, |store| async move { store.storage(&scope).await }).await
            }
            Question::System => self.system(&identity).await,
            Question::Projects => Ok(answer::ok_json(&self.list_projects(&identity, prefix, parts))),
            Question::Me => Ok(answer::ok_json(&self.describe(&identity, self.has_session(parts)))),
            Question::Live => self.live(&identity, parts),
            Question::Panels => self.panels(identity, parts),
            Question::Description | Question::LoginWays | Question::LogIn | Question::LogOut => Err(Refusal::Internal),
        }
    }

    /// Where everybody may read, a page whose name was made to point here (DNS rebinding) could, too: to the browser it is the same site.
    /// Nobody can do that to an address or to `localhost`.
    fn check_name(&self, parts: &Parts) -> Result<(), Refusal> {
        if !self.access.is_open() {
            return Ok(());
        }
        let public = self.config.public_url.as_deref().and_then(host_name);
        match host_name(&requested_host(parts)) {
            Some(name) if is_of_no_site(&name) || public.is_some_and(|public| public == name) => Ok(()),
            _ => Err(Refusal::UnknownHost),
        }
    }

    /// Other sites cannot read the answers anyway, there is no CORS here. They need not make us work either; and what a browser sends by
    /// itself, because it has a cookie or because a proxy knows it, must not be what another page wanted.
    fn check_site(&self, route: &Route, parts: &Parts) -> Result<(), Refusal> {
        let headers = &parts.headers;
        let site = headers.get(SEC_FETCH_SITE);
        let changes = route.takes == Takes::Post || route.question == Question::Panels;
        // A bearer token changes nothing: a proxy that knows its users may be what has added it.
        if !changes {
            return if site.is_some_and(|site| site == "cross-site") { Err(Refusal::CrossSite) } else { Ok(()) };
        }
        let origin = headers.get(header::ORIGIN);
        let is_ours = match (site, origin) {
            (Some(site), _) => site == "same-origin" || site == "none",
            (None, Some(origin)) => origin.to_str().is_ok_and(|origin| self.is_own_origin(origin, parts)),
            // Browsers send one of them.
            (None, None) => true,
        };
        if !is_ours {
            return Err(Refusal::CrossSite);
        }
        let is_browser = site.is_some() || origin.is_some() || headers.contains_key(header::COOKIE);
        let has_body = route.takes == Takes::Post && route.question != Question::LogOut;
        if has_body && is_browser && !is_json(headers) { Err(Refusal::NotJson) } else { Ok(()) }
    }

    /// Whether an `Origin` is where this service is.
    fn is_own_origin(&self, origin: &str, parts: &Parts) -> bool {
        let host = |url: &str| url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest).to_ascii_lowercase());
        let Some(origin) = host(origin) else { return false };
        let public = self.config.public_url.as_deref().and_then(host);
        public.is_some_and(|public| public == origin) || host(&requested_host(parts)).is_some_and(|requested| requested == origin)
    }

    /// Reads a question and checks who may ask it.
    async fn asked<Q: Asked>(&self, identity: &Identity, least: Role, body: BodyRef<'_>) -> Result<Q, Refusal> {
        let text = self.question(body, MAX_QUESTION).await?;
        let query: Q = parse(&text)?;
        self.check_project(identity, query.project(), least)?;
        query.check().map_err(Refusal::BadQuery)?;
        Ok(query)
    }

    pub(crate) async fn question(&self, body: BodyRef<'_>, most: usize) -> Result<bytes::Bytes, Refusal> {
        let limits =
            BodyLimits { bytes: most, timeout: self.config.body_timeout, rate: self.config.body_rate, grace: self.config.body_grace };
        let (body, _hold) = request::read(body, &limits, &self.bodies, &self.closing).await?;
        Ok(body)
    }

    /// A project that a reader may not see does not exist for it.
    pub(crate) fn check_project(&self, identity: &Identity, project: &str, least: Role) -> Result<(), Refusal> {
        let role = identity.role(project).filter(|_| self.projects.by_id(project).is_some());
        match role {
            None => Err(Refusal::Query(QueryError::NotFound)),
            Some(role) if role < least => Err(Refusal::Forbidden),
            Some(_) => Ok(()),
        }
    }

    /// A page of events, with what can be read from their data if it is part of the answer.
    pub(crate) async fn events(&self, scope: &Scope, query: &EventQuery) -> Result<EventPage, Refusal> {
        let mut page = self.ask(|store| async move { store.events(scope, query).await }).await?;
        if query.shown().contains("exceptions") {
            page.events.iter_mut().for_each(Document::read_exceptions);
        }
        Ok(page)
    }

    /// Asks the store, when it is this question's turn, and waits only so long.
    pub(crate) async fn ask<A, F>(&self, question: impl FnOnce(Arc<dyn Store>) -> F) -> Result<A, Refusal>
    where
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
        Ok(outcome?)
    }

    async fn table<F>(&self, format: Format, question: impl FnOnce(Arc<dyn Store>) -> F) -> Result<Response<Body>, Refusal>
    where
        F: Future<Output = Result<Table, QueryError>>,
    {
        format.table(&self.ask(question).await?)
    }

    fn list_projects(&self, identity: &Identity, prefix: &str, parts: &Parts) -> ProjectList {
        let base = match &self.config.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}{prefix}", requested_host(parts)),
        };
        let entry = |project: &monitor_core::Project| {
            let role = identity.role(&project.id)?;
            let key = project.keys.first().cloned().unwrap_or_default();
            let (scheme, rest) = base.split_once("://").unwrap_or(("http", &base));
            let dsn = format!("{scheme}://{key}@{rest}/{}", project.id);
            Some(ProjectEntry { dsn, id: project.id.clone(), name: project.name.clone(), key, role })
        };
        ProjectList { projects: self.projects.iter().filter_map(entry).collect() }
    }

    /// What somebody wants to see as it comes.
    pub(crate) fn wish(&self, identity: &Identity, project: &str, kinds: Vec<Kind>, filters: &[Filter]) -> Result<Wish, Refusal> {
        self.check_project(identity, project, Role::Viewer)?;
        Wish::new(project, kinds, filters).map_err(Refusal::BadQuery)
    }

    fn live(self: &Arc<Self>, identity: &Identity, parts: &Parts) -> Result<Response<Body>, Refusal> {
        let text = |name| url::parameter(parts.uri.query(), name).and_then(url::decode).unwrap_or_default();
        let kinds: Result<Vec<Kind>, _> =
            text("kinds").split(',').filter(|kind| !kind.is_empty()).take(MOST_KINDS + 1).map(str::parse).collect();
        let filters = text("filters");
        let filters: Vec<Filter> = if filters.is_empty() { Vec::new() } else { parse(filters.as_bytes())? };
        let project = text("project").into_owned();
        let wish = self.wish(identity, &project, kinds.map_err(|error| Refusal::BadQuery(error.to_string()))?, &filters)?;
        let hub = self.live.as_ref().ok_or(Refusal::NoStore)?;
        if self.is_closing() {
            return Err(Refusal::ShuttingDown);
        }
        let stream = hub.watch(wish, self.config.live_viewers, self.still_allowed(parts, project)).ok_or(Refusal::TooManyViewers)?;
        let mut response = answer::ok("text/event-stream", bytes::Bytes::new());
        // A stream that nobody reads would hold a viewer's place.
        if parts.method != Method::HEAD {
            *response.body_mut() = Body::live(stream);
        }
        // nginx would hold small pieces back.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }

    /// Asks again who sent a request: sessions end, tokens expire, roles change.
    pub(crate) fn still_allowed(self: &Arc<Self>, parts: &Parts, project: String) -> IsAllowed {
        let asked = Arc::new((self.clone(), parts.clone(), project));
        Box::new(move || {
            let asked = asked.clone();
            Box::pin(async move {
                let (shared, request, project) = &*asked;
                let identity = shared.access.identity(request).await;
                identity.is_some_and(|identity| shared.check_project(&identity, project, Role::Viewer).is_ok())
            })
        })
    }
}

/// Figures of the whole process are for those who may see all of it.
pub(crate) fn only_for_all(identity: &Identity) -> Result<(), Refusal> {
    if identity.scope() == Scope::All { Ok(()) } else { Err(Refusal::Forbidden) }
}

pub(crate) fn parse<Q: DeserializeOwned>(text: &[u8]) -> Result<Q, Refusal> {
    serde_json::from_slice(text).map_err(|error| Refusal::BadQuery(error.to_string()))
}

/// The host of a URL, in lower case, without port and brackets.
fn host_name(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority: http::uri::Authority = rest.split('/').next()?.parse().ok()?;
    Some(authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase())
}

fn is_of_no_site(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
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
    role: Role,
}

/// Scheme and host as the reader sees them. Only shown back to the reader itself, so a proxy's word about the scheme is enough.
pub(crate) fn requested_host(parts: &Parts) -> String {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    // Proxies behind one another make a list of it; the first one is the reader's.
    let forwarded = text("x-forwarded-proto").and_then(|list| list.split(',').next()).map(str::trim);
    let scheme = match forwarded.or(parts.uri.scheme_str()) {
        Some("https") => "https",
        _ => "http",
    };
    let host = text(header::HOST.as_str()).or(parts.uri.authority().map(http::uri::Authority::as_str)).unwrap_or("localhost");
    format!("{scheme}://{host}")
}
