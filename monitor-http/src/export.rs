//! Very many events, as they come: page after page from the store, never more than one of them in memory.
//!
//! The first page is asked before the answer begins, so that what is wrong with the question is a plain refusal. What fails later
//! ends the answer early: the connection is cut, so that no client takes a part for the whole, and lines say before why. Lines
//! that are complete end with `{"end":{"events":n,"next":null}}`.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header, request::Parts};
use monitor_core::{
    QueryError, Scope,
    query::{Cursor, EventPage, EventQuery},
};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Duration, Instant, sleep},
};

use crate::{
    access::{Identity, Role},
    answer::{self, Refusal},
    format::{Format, write_line},
    live::IsAllowed,
    reader::parse,
    response::{Body, Broken},
    service::Shared,
};

/// Most events of an export.
const MOST: u32 = 1_000_000;
/// Most events that are in memory at the same time; fewer when they are so large that a store does not give so many at once.
const PAGE: u32 = 2_000;
/// An export that takes longer ends, so that a client that reads slowly does not hold its place for ever.
const LONGEST: Duration = Duration::from_secs(3_600);
/// Time between the reason why an export ends early and its end.
const FAREWELL: Duration = Duration::from_millis(200);

struct Export {
    shared: Arc<Shared>,
    scope: Scope,
    query: EventQuery,
    format: Format,
    /// Events that may still come, those of the next step included.
    left: u32,
    /// Most events of a page.
    page: u32,
    sent: u64,
    /// A page was written. The first one has the header, wherever it begins.
    begun: bool,
    until: Instant,
    /// Asked before each page but the first: an export must not outlive the session it was begun with.
    is_allowed: IsAllowed,
    _place: OwnedSemaphorePermit,
}

enum Step {
    Write(EventPage),
    Ask,
    End(Option<Cursor>),
    Break,
    Done,
}

impl Shared {
    pub(crate) async fn export(
        self: &Arc<Self>,
        identity: &Identity,
        format: Format,
        text: &[u8],
        parts: &Parts,
    ) -> Result<Response<Body>, Refusal> {
        let (query, limit) = read_question(text)?;
        self.check_project(identity, &query.project, Role::Viewer)?;
        query.validate().map_err(Refusal::BadQuery)?;
        let place = self.exports.clone().try_acquire_owned().map_err(|_| Refusal::TooManyExports)?;
        // There is no end that a JSON array could have when the store fails in the middle.
        let format = if format == Format::Json { Format::Lines } else { format };
        let until = Instant::now() + LONGEST;
        let mut export = Export {
            is_allowed: self.still_allowed(parts, query.project.clone()),
            shared: self.clone(),
            scope: identity.scope(),
            query,
            format,
            left: limit,
            page: PAGE,
            sent: 0,
            begun: false,
            until,
            _place: place,
        };
        let first = export.ask().await?;
        let steps = stream::unfold((export, Step::Write(first)), |(mut export, step)| async move {
            let (piece, step) = export.step(step).await?;
            Some((piece, (export, step)))
        });
        let mut response = answer::ok(format.content_type(), Bytes::new());
        *response.body_mut() = Body::stream(Box::pin(steps));
        let name = if format == Format::Csv { "attachment; filename=\"events.csv\"" } else { "attachment; filename=\"events.ndjson\"" };
        response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
        // A proxy would otherwise keep on its disk what is made to be streamed.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }
}

/// The question for events, but with a larger limit.
fn read_question(text: &[u8]) -> Result<(EventQuery, u32), Refusal> {
    let mut members: Map<String, Value> = parse(text)?;
    let limit = match members.remove("limit") {
        None => MOST,
        Some(limit) => serde_json::from_value(limit).map_err(|error| Refusal::BadQuery(format!("limit: {error}")))?,
    };
    if !(1..=MOST).contains(&limit) {
        return Err(Refusal::BadQuery(format!("limit must be 1 to {MOST}")));
    }
    let query = serde_json::from_value(Value::Object(members)).map_err(|error| Refusal::BadQuery(error.to_string()))?;
    Ok((query, limit))
}

impl Export {
    async fn ask(&mut self) -> Result<EventPage, Refusal> {
        loop {
            if self.shared.is_closing() {
                return Err(Refusal::ShuttingDown);
            }
            if Instant::now() >= self.until {
                return Err(Refusal::QueryTimeout);
            }
            self.query.limit = self.left.min(self.page);
            match self.shared.events(&self.scope, &self.query).await {
                // Large events follow one another, so the pages stay small.
                Err(Refusal::Query(QueryError::TooLarge)) if self.query.limit > 1 => self.page = self.query.limit / 2,
                answer => return answer,
            }
        }
    }

    /// The next piece of the answer, and what is to do after it; `None` at the end.
    async fn step(&mut self, step: Step) -> Option<(Result<Bytes, Broken>, Step)> {
        match step {
            Step::Write(page) => Some(self.write(page)),
            Step::Ask if !(self.is_allowed)().await => Some(self.fail(&Refusal::Unauthorized(self.shared.access.hint()))),
            Step::Ask => match self.ask().await {
                // A page can be empty, and still have another one after it.
                Ok(page) => Some(self.write(page)),
                Err(refusal) => Some(self.fail(&refusal)),
            },
            Step::End(next) => {
                #[derive(Serialize)]
                struct Line {
                    end: End,
                }
                #[derive(Serialize)]
                struct End {
                    events: u64,
                    next: Option<Cursor>,
                }
                let line = self.line(&Line { end: End { events: self.sent, next } });
                Some((Ok(line), Step::Done))
            }
            Step::Break => {
                // Servers throw away what they have not written yet when a body fails: the reason goes out first.
                sleep(FAREWELL).await;
                Some((Err(Broken), Step::Done))
            }
            Step::Done => None,
        }
    }

    fn write(&mut self, page: EventPage) -> (Result<Bytes, Broken>, Step) {
        let text = match self.format.documents(&page.events, &self.query, !std::mem::replace(&mut self.begun, true)) {
            Ok(text) => text,
            Err(refusal) => return self.fail(&refusal),
        };
        let events = u32::try_from(page.events.len()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(events);
        self.sent += u64::from(events);
        let step = match page.next {
            // A store that gives the same cursor again would never end.
            Some(next) if self.left > 0 && self.query.cursor != Some(next) => {
                self.query.cursor = Some(next);
                Step::Ask
            }
            next => Step::End(next),
        };
        (Ok(text), step)
    }

    fn fail(&self, refusal: &Refusal) -> (Result<Bytes, Broken>, Step) {
        let told = refusal.told();
        self.shared.pipeline.counts().count(monitor_core::Labelled::RequestsRefused, told.code, 1);
        (Ok(self.line(&answer::error(&told))), Step::Break)
    }

    /// A line beside the events; nothing in CSV, which has no place for it.
    fn line(&self, line: &impl Serialize) -> Bytes {
        let mut text = Vec::new();
        if self.format == Format::Lines && write_line(&mut text, line).is_err() {
            text.clear();
        }
        text.into()
    }
}
