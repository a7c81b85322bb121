//! The flat form of one event, with its origin inlined: what readers of the query API, of the live stream and of topics see.

use serde::{Deserialize, Serialize};

use crate::{
    Attributes, Event, EventId, Exception, Json, Kind, Origin, attribute,
    event::{is_one, one},
};

/// One event as readers see it. Unknown text is empty. The fields are described in `docs/query-api.md`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
#[non_exhaustive]
pub struct Document {
    pub id: EventId,
    pub time: i64,
    pub received: i64,
    pub seq: Option<u32>,
    pub kind: Kind,
    pub name: String,
    pub value: Option<f64>,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f32,
    pub project: String,
    pub release: String,
    pub environment: String,
    pub sdk: String,
    pub page: String,
    pub url: String,
    pub route: String,
    pub referrer: String,
    pub title: String,
    pub session: String,
    pub visitor: String,
    pub user: String,
    pub browser: String,
    pub browser_version: String,
    pub os: String,
    pub os_version: String,
    pub device: String,
    pub screen: String,
    pub viewport: String,
    pub language: String,
    pub connection: String,
    pub timezone: String,
    pub country: String,
    pub ip: String,
    pub user_agent: String,
    pub fingerprint: String,
    pub message: String,
    pub status: u16,
    pub method: String,
    pub target: String,
    pub failure: String,
    pub rating: String,
    pub tags: Attributes,
    /// Those without a field of their own.
    pub attributes: Attributes,
    pub data: Json,
    /// What `data` says about an error, read on demand: empty until [`Document::read_exceptions`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
}

/// The attributes that have a field (and a column) of their own.
pub const PROMOTED: &[&str] = &[
    attribute::FINGERPRINT,
    attribute::MESSAGE,
    attribute::STATUS,
    attribute::METHOD,
    attribute::TARGET,
    attribute::FAILURE,
    attribute::RATING,
];

impl Document {
    /// The flat form of an event.
    pub fn new(origin: &Origin, event: &Event) -> Document {
        let attribute = |key: &str| event.attribute(key).to_owned();
        Document {
            id: event.id,
            time: event.time,
            received: origin.received,
            seq: event.seq,
            kind: event.kind.clone(),
            name: event.name.clone(),
            value: event.value,
            weight: event.weight,
            project: origin.project.clone(),
            release: origin.release.clone(),
            environment: origin.environment.clone(),
            sdk: origin.sdk_label(),
            page: origin.page.id.clone(),
            url: origin.page.url.clone(),
            route: origin.page.route.clone(),
            referrer: origin.page.referrer.clone(),
            title: origin.page.title.clone(),
            session: origin.session.clone(),
            visitor: origin.visitor.clone(),
            user: origin.user.clone(),
            browser: origin.browser.name.clone(),
            browser_version: origin.browser.version.clone(),
            os: origin.os.name.clone(),
            os_version: origin.os.version.clone(),
            device: origin.device.kind.clone(),
            screen: origin.device.screen.clone(),
            viewport: origin.device.viewport.clone(),
            language: origin.device.language.clone(),
            connection: origin.device.connection.clone(),
            timezone: origin.device.timezone.clone(),
            country: origin.country.clone(),
            ip: origin.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            user_agent: origin.user_agent.clone(),
            fingerprint: attribute(attribute::FINGERPRINT),
            message: attribute(attribute::MESSAGE),
            status: event.status(),
            method: attribute(attribute::METHOD),
            target: attribute(attribute::TARGET),
            failure: attribute(attribute::FAILURE),
            rating: attribute(attribute::RATING),
            tags: origin.tags.clone(),
            attributes: event.other_attributes().map(|(key, value)| (key.clone(), value.clone())).collect(),
            data: event.data.clone(),
            exceptions: Vec::new(),
        }
    }
}

impl Event {
    /// The HTTP status among the attributes; 0 when there is none or it is not a number.
    pub fn status(&self) -> u16 {
        self.attribute(attribute::STATUS).parse().unwrap_or(0)
    }

    /// The attributes without a column of their own.
    pub fn other_attributes(&self) -> impl Iterator<Item = (&String, &String)> {
        self.attributes.iter().filter(|(key, _)| !PROMOTED.contains(&key.as_str()))
    }
}

impl Origin {
    /// `name/version` of the SDK, `""` when unknown.
    pub fn sdk_label(&self) -> String {
        if self.sdk.is_empty() { String::new() } else { format!("{}/{}", self.sdk.name, self.sdk.version) }
    }
}
