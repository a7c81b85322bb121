//! The simple forms: one JSON document per event, for senders that are not our SDK. See `docs/protocol.md`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Context, FrameError, Parsed, Rejection,
    capped::Capped,
    envelope::{Tags, bad_json, check_count, limit_texts, read_id, reason, reject_repeated_ids, set_time, tags, url, word},
    frame::{self, Elements, MOST_EVENTS},
    text::{self, Text},
    time,
};
use crate::{Envelope, Event, EventId, Kind, Origin, attribute, query::VITAL_BANDS};

/// Which of the simple forms a path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimpleForm {
    /// `/api/events`: `{"event_type","timestamp","user","page","data"}`
    Events,
    /// `/api/monitoring`: the unified document
    Monitoring,
    /// `/api/report-metric`: `{"name","value","timestamp"}`
    Metric,
    /// `/api/report-metrics`: an array of the same
    Metrics,
}

/// Reads a simple form. A bad document is an error for the forms of one event, a rejection in a list.
pub fn simple(form: SimpleForm, body: &[u8], context: &mut Context<'_>) -> Result<Parsed, FrameError> {
    let body = text::repair(body);
    let text = frame::utf8(&body)?;
    let expected = match form {
        SimpleForm::Metrics => "an array of metrics",
        _ => "a JSON object of this form",
    };
    let bad_frame = |reason: String| FrameError::BadFrame { expected, reason };
    let elements: Elements<'_> = match form {
        SimpleForm::Metrics => match serde_json::from_str::<Capped<&RawValue, MOST_EVENTS>>(text) {
            Ok(list) => list.into(),
            Err(error) => match frame::split_array(text, None) {
                Some((rest, elements)) if rest.trim_ascii() == "[]" => elements,
                _ => return Err(bad_frame(reason(&error))),
            },
        },
        _ => Elements { list: vec![Ok(serde_json::from_str(text).map_err(|error| bad_frame(reason(&error)))?)], found: 1 },
    };
    check_count(elements.found, context)?;
    let mut origin = Origin::new(context.project, context.received);
    let mut events = Vec::with_capacity(elements.found);
    let mut positions = Vec::with_capacity(elements.found);
    let mut rejected = Vec::new();
    for (index, element) in elements.list.into_iter().enumerate() {
        match element.map_err(|error| bad_json(index, &error)).and_then(|raw| read(form, index, raw, &mut origin, context)) {
            Ok(mut event) => {
                limit_texts(&mut event);
                events.push(event);
                positions.push(index);
            }
            Err(Rejection { message, .. }) if form != SimpleForm::Metrics => return Err(bad_frame(message)),
            Err(rejection) => rejected.push(rejection),
        }
    }
    let mut parsed = Parsed { envelope: Envelope { origin, events }, positions, rejected, discarded: Vec::new() };
    reject_repeated_ids(&mut parsed);
    Ok(parsed)
}

fn read(form: SimpleForm, index: usize, raw: &RawValue, origin: &mut Origin, context: &mut Context<'_>) -> Result<Event, Rejection> {
    frame::check_shape(index, raw.get(), context.limits)?;
    let bad = |error: serde_json::Error| bad_json(index, &error);
    match form {
        SimpleForm::Events => serde_json::from_str::<EventDocument<'_>>(raw.get()).map_err(bad)?.into_event(index, origin, context),
        SimpleForm::Monitoring => {
            serde_json::from_str::<MonitoringDocument<'_>>(raw.get()).map_err(bad)?.into_event(index, origin, context)
        }
        SimpleForm::Metric | SimpleForm::Metrics => {
            serde_json::from_str::<MetricDocument<'_>>(raw.get()).map_err(bad)?.into_event(index, context)
        }
    }
}

#[derive(Deserialize)]
struct EventDocument<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    event_type: String,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    page: Option<PageForm>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

/// `"42"` or `{"id":"42"}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum User {
    Id(Text),
    Object {
        #[serde(default)]
        id: Text,
    },
}

/// `"https://…"` or `{"url","title","referrer"}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum PageForm {
    Url(String),
    Object {
        #[serde(default)]
        url: Text,
        #[serde(default)]
        title: Text,
        #[serde(default)]
        referrer: Text,
    },
}

impl EventDocument<'_> {
    fn into_event(self, index: usize, origin: &mut Origin, context: &mut Context<'_>) -> Result<Event, Rejection> {
        let id = read_id(index, self.id, context)?;
        let (kind, name) = match Kind::known(&self.event_type) {
            Some(kind) => (kind, self.event_type),
            None => (Kind::Track, self.event_type),
        };
        if let Some(user) = self.user {
            origin.user = user.into_id();
        }
        if let Some(page) = self.page {
            set_page(origin, page);
        }
        let mut event = Event::new(id, context.received, kind, name);
        set_time(&mut event, time::read(self.timestamp));
        set_data(&mut event, self.data);
        Ok(event)
    }
}

#[derive(Deserialize)]
struct MonitoringDocument<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    level: Text,
    #[serde(default)]
    message: Text,
    #[serde(default)]
    error: Option<ErrorForm>,
    #[serde(default)]
    metric: Option<MetricForm>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(default)]
    url: Text,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    session_id: Text,
    #[serde(default)]
    release: Text,
    #[serde(default)]
    environment: Text,
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(default)]
    breadcrumbs: Option<Box<RawValue>>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct ErrorForm {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    message: Text,
    #[serde(default)]
    stack: Text,
}

/// What an event of an error or of a message has as its data. What the sender put into it stays as it is, byte for byte: its numbers may
/// be larger, or longer, than a number here can hold.
#[derive(Serialize)]
struct Details<'a> {
    message: &'a str,
    #[serde(flatten)]
    error: Option<OfError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breadcrumbs: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct OfError {
    stack: String,
    mechanism: &'static str,
}

#[derive(Deserialize)]
struct MetricForm {
    name: String,
    value: f64,
}

impl MonitoringDocument<'_> {
    fn into_event(self, index: usize, origin: &mut Origin, context: &mut Context<'_>) -> Result<Event, Rejection> {
        let id = read_id(index, self.id, context)?;
        origin.page.url = url(self.url);
        origin.user = self.user.map(User::into_id).unwrap_or_default();
        origin.session = word(self.session_id);
        origin.release = word(self.release);
        origin.environment = word(self.environment);
        origin.tags = tags(self.tags);
        let mut event = if let Some(error) = self.error {
            let name = if error.name.0.is_empty() { "Error".into() } else { error.name.0 };
            let mut event = Event::new(id, context.received, Kind::Error, name);
            let message = if error.message.0.is_empty() { self.message.0 } else { error.message.0 };
            let error = Some(OfError { stack: error.stack.0, mechanism: "manual" });
            let details = Details { message: &message, error, breadcrumbs: self.breadcrumbs, data: self.data };
            set_data(&mut event, serde_json::value::to_raw_value(&details).ok());
            event
        } else if let Some(metric) = self.metric {
            let mut event = metric_event(id, metric.name, metric.value, context);
            set_data(&mut event, self.data);
            event
        } else {
            let kind = self.kind.as_deref().and_then(Kind::known).unwrap_or(Kind::Message);
            let name = self.kind.unwrap_or_else(|| "message".into());
            let mut event = Event::new(id, context.received, kind, name);
            event.attributes.insert(attribute::MESSAGE.into(), self.message.0.chars().take(1_000).collect());
            let details = Details { message: &self.message.0, error: None, breadcrumbs: self.breadcrumbs, data: self.data };
            set_data(&mut event, serde_json::value::to_raw_value(&details).ok());
            event
        };
        if !self.level.0.is_empty() {
            event.attributes.insert("level".into(), word(self.level));
        }
        set_time(&mut event, time::read(self.timestamp));
        Ok(event)
    }
}

#[derive(Deserialize)]
struct MetricDocument<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    name: String,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(default)]
    timestamp: Option<&'a RawValue>,
    #[serde(default)]
    tags: Option<Tags>,
}

impl MetricDocument<'_> {
    fn into_event(self, index: usize, context: &mut Context<'_>) -> Result<Event, Rejection> {
        let value = serde_json::from_str::<f64>(self.value.get()).ok().filter(|value| value.is_finite());
        let value = value.ok_or_else(|| Rejection { index, code: "bad_value", message: "the value is not a finite number".into() })?;
        let mut event = metric_event(read_id(index, self.id, context)?, self.name, value, context);
        event.attributes = tags(self.tags);
        set_time(&mut event, time::read(self.timestamp));
        Ok(event)
    }
}

impl User {
    fn into_id(self) -> String {
        match self {
            User::Id(id) | User::Object { id } => word(id),
        }
    }
}

fn set_page(origin: &mut Origin, page: PageForm) {
    match page {
        PageForm::Url(text) => origin.page.url = url(Text(text)),
        PageForm::Object { url: page_url, title, referrer } => {
            origin.page.url = url(page_url);
            origin.page.title = word(title);
            origin.page.referrer = url(referrer);
        }
    }
}

/// A web vital by its name, anything else is the host's own number.
fn metric_event(id: EventId, name: String, value: f64, context: &Context<'_>) -> Event {
    let vital = VITAL_BANDS.iter().any(|(vital, ..)| *vital == name);
    let mut event = Event::new(id, context.received, if vital { Kind::Vital } else { Kind::Track }, name);
    event.value = Some(value);
    event
}

/// Details must be an object; anything else is wrapped into one.
fn set_data(event: &mut Event, data: Option<Box<RawValue>>) {
    match data {
        None => (),
        Some(data) if data.get() == "null" => (),
        Some(data) if data.get().starts_with('{') => event.data = data,
        Some(data) => {
            let wrapped = serde_json::value::RawValue::from_string(format!("{{\"value\":{}}}", data.get()));
            event.data = wrapped.unwrap_or(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Limits;

    fn read(form: SimpleForm, body: &str) -> Result<Parsed, FrameError> {
        let mut new_id = || EventId(7);
        simple(form, body.as_bytes(), &mut Context { project: "shop", received: 0, limits: &Limits::default(), new_id: &mut new_id })
    }

    #[test]
    fn an_id_that_is_no_id_is_replaced_as_in_an_envelope() {
        for id in ["\"order-17\"", "17", "null", "\"\""] {
            let body = format!(r#"{{"id":{id},"event_type":"x"}}"#);
            assert_eq!(read(SimpleForm::Events, &body).unwrap().envelope.events[0].id, EventId(7), "{id}");
        }
        let parsed = read(SimpleForm::Metric, r#"{"id":"0193480e7c1b7cc2a5d2c0a1f1e2d3c4","name":"x","value":1}"#).unwrap();
        assert_eq!(parsed.envelope.events[0].id, "0193480e7c1b7cc2a5d2c0a1f1e2d3c4".parse().unwrap());
    }

    #[test]
    fn what_a_sender_put_into_a_document_stays_as_it_is() {
        let given = r#"{"z":1,"big":123456789012345678901234567890,"a":0.10,"z":1e999}"#;
        for (about, expected) in [
            (r#""message":"m""#, format!(r#"{{"message":"m","breadcrumbs":[1e999],"data":{given}}}"#)),
            (
                r#""error":{"name":"E","message":"m","stack":"s"}"#,
                format!(r#"{{"message":"m","stack":"s","mechanism":"manual","breadcrumbs":[1e999],"data":{given}}}"#),
            ),
        ] {
            let body = format!(r#"{{{about},"breadcrumbs":[1e999],"data":{given}}}"#);
            assert_eq!(read(SimpleForm::Monitoring, &body).unwrap().envelope.events[0].data.get(), expected);
        }
        let plain = read(SimpleForm::Monitoring, r#"{"message":"m"}"#).unwrap();
        assert_eq!(plain.envelope.events[0].data.get(), r#"{"message":"m"}"#);
    }

    #[test]
    fn tags_are_limited_as_in_an_envelope() {
        let long = "x".repeat(5_000);
        let parsed = read(SimpleForm::Metric, &format!(r#"{{"name":"x","value":1,"tags":{{"{long}":"{long}"}}}}"#)).unwrap();
        let (key, value) = parsed.envelope.events[0].attributes.first().unwrap();
        assert_eq!((key.len(), value.len()), (128, 4_096));
    }

    #[test]
    fn a_complaint_does_not_repeat_the_request() {
        let body = format!(r#"{{"name":"x","value":1,"tags":"{}"}}"#, "x".repeat(100_000));
        assert!(read(SimpleForm::Metric, &body).unwrap_err().to_string().len() < 1_000);
    }
}
