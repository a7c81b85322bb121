//! A store that answers every question with something of its project, and remembers what it was asked.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use monitor_core::{
    Document, Event, EventId, Kind, Origin, QueryError, Scope, Store,
    query::{
        Cursor, EventPage, EventQuery, FunnelQuery, IssueQuery, IssueState, PathQuery, Query, RetentionQuery, STORAGE_COLUMNS,
        SessionQuery, Table,
    },
};
use serde_json::{Value, json};

type Failure = fn() -> QueryError;

#[derive(Default)]
pub struct Recorder {
    /// What was asked: method, scope, project.
    pub asked: Mutex<Vec<(&'static str, Scope, String)>>,
    /// Fails from this question on.
    pub failing: Mutex<Option<(usize, Failure)>>,
    /// Events of each project.
    pub events: AtomicU64,
    /// The name of all events.
    pub name: Mutex<String>,
    /// Most events of an answer that is not too large. 0: no matter how many.
    pub most: AtomicU64,
}

impl Recorder {
    pub fn with_events(events: u64) -> Recorder {
        Recorder { events: AtomicU64::new(events), ..Recorder::default() }
    }

    pub fn fail_from(&self, question: usize, failure: Failure) {
        *self.failing.lock().unwrap() = Some((question, failure));
    }

    pub fn calls(&self) -> Vec<(&'static str, String)> {
        self.asked.lock().unwrap().iter().map(|(method, _, project)| (*method, project.clone())).collect()
    }

    fn answer(&self, method: &'static str, scope: &Scope, project: &str) -> Result<(), QueryError> {
        let mut asked = self.asked.lock().unwrap();
        asked.push((method, scope.clone(), project.to_owned()));
        assert!(scope.allows(project), "the service asked for {project}, which {scope:?} does not hold");
        match *self.failing.lock().unwrap() {
            Some((from, failure)) if asked.len() > from => Err(failure()),
            _ => Ok(()),
        }
    }

    fn table(&self, method: &'static str, scope: &Scope, project: &str, columns: &[impl ToString]) -> Result<Table, QueryError> {
        self.answer(method, scope, project)?;
        let cell = |n: usize| if n == 0 { json!(format!("secret-of-{project}")) } else { json!(n) };
        Ok(Table {
            columns: columns.iter().map(ToString::to_string).collect(),
            rows: vec![(0..columns.len()).map(cell).collect()],
            ..Table::default()
        })
    }
}

#[async_trait]
impl Store for Recorder {
    async fn query(&self, scope: &Scope, query: &Query) -> Result<Table, QueryError> {
        let mut table = self.table("query", scope, &query.project, &query.columns())?;
        table.totals = query.totals.then(|| table.rows.clone());
        table.previous = query.compare.then(|| table.rows.clone());
        table.previous_totals = table.previous.clone().filter(|_| query.totals);
        Ok(table)
    }

    async fn events(&self, scope: &Scope, query: &EventQuery) -> Result<EventPage, QueryError> {
        self.answer("events", scope, &query.project)?;
        let most = self.most.load(Ordering::Relaxed);
        if most > 0 && u64::from(query.limit) > most {
            return Err(QueryError::TooLarge);
        }
        let begin = query.cursor.map_or(0, |cursor| u64::try_from(cursor.id.0).unwrap() + 1);
        let end = (begin + u64::from(query.limit)).min(self.events.load(Ordering::Relaxed));
        let document = |n: u64| {
            let mut event = Event::new(EventId(n.into()), i64::try_from(n).unwrap(), Kind::Error, self.name.lock().unwrap().as_str());
            // With a number as no program here would write it.
            let data = format!(r#"{{"message":"secret-of-{}","n":{n},"price":1.10}}"#, query.project);
            event.data = serde_json::value::RawValue::from_string(data).unwrap();
            Document::new(&Origin::new(&query.project, 7), &event)
        };
        let next = (end < self.events.load(Ordering::Relaxed)).then(|| Cursor { time: 0, id: EventId((end - 1).into()) });
        Ok(EventPage { events: (begin..end).map(document).collect(), next, ..EventPage::default() })
    }

    async fn funnel(&self, scope: &Scope, query: &FunnelQuery) -> Result<Table, QueryError> {
        self.table("funnel", scope, &query.project, &FunnelQuery::COLUMNS)
    }

    async fn retention(&self, scope: &Scope, query: &RetentionQuery) -> Result<Table, QueryError> {
        self.table("retention", scope, &query.project, &RetentionQuery::COLUMNS)
    }

    async fn paths(&self, scope: &Scope, query: &PathQuery) -> Result<Table, QueryError> {
        self.table("paths", scope, &query.project, &PathQuery::COLUMNS)
    }

    async fn sessions(&self, scope: &Scope, query: &SessionQuery) -> Result<Table, QueryError> {
        self.table("sessions", scope, &query.project, &SessionQuery::COLUMNS)
    }

    async fn issues(&self, scope: &Scope, query: &IssueQuery) -> Result<Table, QueryError> {
        self.table("issues", scope, &query.project, &IssueQuery::COLUMNS)
    }

    async fn set_issue(&self, scope: &Scope, state: &IssueState, at: i64) -> Result<(), QueryError> {
        assert!(at > 1_700_000_000_000, "{at} is not now");
        self.answer("set_issue", scope, &state.project)
    }

    async fn storage(&self, scope: &Scope) -> Result<Table, QueryError> {
        assert_eq!(*scope, Scope::All);
        self.table("storage", scope, "closed", &STORAGE_COLUMNS)
    }

    async fn is_available(&self) -> bool {
        self.failing.lock().unwrap().is_none()
    }
}

/// The smallest question that a path takes about a project.
pub fn question(path: &str, project: &str) -> Value {
    let mut question = json!({"project": project, "from": 0, "to": 86_400_000});
    let more = match path {
        "/query" => json!({"measures": ["count", "p75"]}),
        "/query/funnel" => json!({"steps": [{"kinds": ["page_view"]}, {"kinds": ["track"]}]}),
        "/query/issues/state" => return json!({"project": project, "fingerprint": "f1", "status": "resolved"}),
        _ => json!({}),
    };
    question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    question
}
