//! The flat form of one event, with its origin inlined: what readers of the query API, of the live stream and of topics see.

use std::borrow::Cow;

use serde::{
    Deserialize, Serialize,
    ser::{SerializeMap, Serializer},
};

use crate::{
    Attributes, Event, EventId, Exception, Json, Kind, Origin, attribute,
    event::{is_one, one},
};

macro_rules! document {
    ($($(#[$meta:meta])* $field:ident: $type:ty,)*) => {
        /// One event as readers see it. Unknown text is empty. The fields are described in `docs/query-api.md`.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(default = "Document::unknown")]
        #[allow(missing_docs)]
        #[non_exhaustive]
        pub struct Document {
            $($(#[$meta])* pub $field: $type,)*
        }

        impl Document {
            /// Names of the fields, in their order.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field),)*];
        }

        impl Serialize for Only<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if self.fields == FieldSet::ALL {
                    return self.document.serialize(serializer);
                }
                let mut map = serializer.serialize_map(None)?;
                let mut shown = self.fields.in_order();
                $(if shown.next() == Some(true) {
                    map.serialize_entry(stringify!($field), &self.document.$field)?;
                })*
                map.end()
            }
        }
    };
}

document! {
    id: EventId,
    time: i64,
    received: i64,
    seq: Option<u32>,
    kind: Kind,
    name: String,
    value: Option<f64>,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    weight: f32,
    project: String,
    release: String,
    environment: String,
    sdk: String,
    page: String,
    url: String,
    route: String,
    referrer: String,
    title: String,
    session: String,
    visitor: String,
    user: String,
    browser: String,
    browser_version: String,
    os: String,
    os_version: String,
    device: String,
    screen: String,
    viewport: String,
    language: String,
    connection: String,
    timezone: String,
    country: String,
    ip: String,
    user_agent: String,
    fingerprint: String,
    message: String,
    status: u16,
    method: String,
    target: String,
    failure: String,
    rating: String,
    tags: Attributes,
    /// Those without a field of their own.
    attributes: Attributes,
    data: Json,
    /// What `data` says about an error, read on demand: empty until [`Document::read_exceptions`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exceptions: Vec<Exception>,
}

/// Fields of a document: a bit for each of [`Document::FIELDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSet(u64);

impl FieldSet {
    /// All of them.
    pub const ALL: FieldSet = FieldSet(u64::MAX);

    /// Those that a question for fields of these names gets: all when none are named, and always `id` and `time`. Without these a page has
    /// no order, and nothing could be asked about one of its events.
    pub(crate) fn of(names: &[String]) -> FieldSet {
        if names.is_empty() {
            return FieldSet::ALL;
        }
        let asked = |field: &str| matches!(field, "id" | "time") || names.iter().any(|name| name == field);
        FieldSet(Document::FIELDS.iter().rev().fold(0, |bits, field| bits << 1 | u64::from(asked(field))))
    }

    /// Whether each field is one of them.
    fn in_order(self) -> impl Iterator<Item = bool> {
        (0..u64::BITS).map(move |n| self.0 >> n & 1 != 0)
    }

    /// Whether this field is one of them.
    pub fn contains(self, field: &str) -> bool {
        Document::FIELDS.iter().zip(self.in_order()).any(|(name, shown)| shown && *name == field)
    }
}

/// A document of which only some fields are written; from [`Document::only`].
#[derive(Clone, Copy, Debug)]
pub struct Only<'a> {
    document: &'a Document,
    fields: FieldSet,
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
    /// What a document is read into: a store gives only the fields that were asked for.
    fn unknown() -> Document {
        Document::new(&Origin::new("", 0), &Event::new(EventId(0), 0, Kind::Track, ""))
    }

    /// To be written with these fields only.
    pub fn only(&self, fields: FieldSet) -> Only<'_> {
        Only { document: self, fields }
    }

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
    pub fn other_attributes(&self) -> impl Iterator<Item = (&Cow<'static, str>, &String)> {
        self.attributes.iter().filter(|(key, _)| !PROMOTED.contains(&&***key))
    }
}

impl Origin {
    /// `name/version` of the SDK, `""` when unknown.
    pub fn sdk_label(&self) -> String {
        if self.sdk.is_empty() { String::new() } else { format!("{}/{}", self.sdk.name, self.sdk.version) }
    }
}
