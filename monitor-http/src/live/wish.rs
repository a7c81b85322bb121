//! What a viewer wants to see: the filters of the query language, on an event that was just accepted.
//!
//! They mean what they mean to the store, which has its own words for them: the values of fields are those of a
//! [`Document`](monitor_core::Document), and an unknown text is empty.

use std::borrow::Cow;

use monitor_core::{
    Attributes, Event, EventId, Kind, Origin, attribute,
    query::{Field, Filter, MAX_VALUES, Op},
};

/// Most filters of a viewer.
const MOST_FILTERS: usize = 20;
/// Most kinds of a viewer.
pub(crate) const MOST_KINDS: usize = 64;
/// Longest value, bytes.
const LONGEST_VALUE: usize = 4_096;

/// Events of one project, of some kinds, that meet all conditions.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) project: String,
    /// All kinds when empty.
    kinds: Vec<Kind>,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    field: Field,
    test: Test,
}

#[derive(Debug)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    /// In lower case.
    Contains(String),
}

impl Wish {
    /// Checks what the types cannot.
    pub(crate) fn new(project: &str, kinds: Vec<Kind>, filters: &[Filter]) -> Result<Wish, String> {
        if kinds.len() > MOST_KINDS || filters.len() > MOST_FILTERS {
            return Err(format!("at most {MOST_KINDS} kinds and {MOST_FILTERS} filters"));
        }
        let conditions = filters.iter().map(Condition::new).collect::<Result<_, _>>()?;
        Ok(Wish { project: project.to_owned(), kinds, conditions })
    }

    /// Whether an event is of a wanted kind: cheap enough to be asked while it is accepted.
    pub(crate) fn wants_kind(&self, event: &Event) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&event.kind)
    }

    /// Whether an event is wanted.
    pub(crate) fn wants(&self, origin: &Origin, event: &Event) -> bool {
        self.wants_kind(event) && self.conditions.iter().all(|condition| condition.holds(origin, event))
    }
}

impl Condition {
    fn new(filter: &Filter) -> Result<Condition, String> {
        let Filter { field, op, values } = filter;
        let most = if *op == Op::Contains { 1 } else { MAX_VALUES };
        if !(1..=most).contains(&values.len()) {
            return Err(format!("the filter on {field} takes 1 to {most} values"));
        }
        if values.iter().any(|value| value.len() > LONGEST_VALUE) {
            return Err(format!("a value of the filter on {field} is longer than {LONGEST_VALUE} bytes"));
        }
        let mut values = values.clone();
        if *field == Field::Id {
            if *op == Op::Contains {
                return Err("ids can be compared with in and not_in only".into());
            }
            for value in &mut values {
                let id: EventId =
                    value.parse().map_err(|_| format!("{:?} is not an event id", value.chars().take(64).collect::<String>()))?;
                *value = id.to_string();
            }
        }
        let test = match op {
            Op::In => Test::In(values),
            Op::NotIn => Test::NotIn(values),
            Op::Contains => Test::Contains(values.concat().to_lowercase()),
        };
        Ok(Condition { field: field.clone(), test })
    }

    fn holds(&self, origin: &Origin, event: &Event) -> bool {
        let found = value(&self.field, origin, event);
        match &self.test {
            Test::In(values) => values.iter().any(|value| *value == found),
            Test::NotIn(values) => !values.iter().any(|value| *value == found),
            Test::Contains(part) => found.to_lowercase().contains(part.as_str()),
        }
    }
}

/// The text that a field has in an event.
fn value<'a>(field: &Field, origin: &'a Origin, event: &'a Event) -> Cow<'a, str> {
    let text = |attributes: &'a Attributes, key: &str| attributes.get(key).map_or("", String::as_str);
    Cow::Borrowed(match field {
        Field::Id => return Cow::Owned(event.id.to_string()),
        Field::Status => return Cow::Owned(event.status().to_string()),
        // As the store has it, in a column of numbers.
        Field::Attribute(key) if key == attribute::STATUS => {
            return Cow::Owned(Some(event.status()).filter(|status| *status != 0).map(|status| status.to_string()).unwrap_or_default());
        }
        Field::Sdk => return Cow::Owned(origin.sdk_label()),
        Field::Kind => event.kind.as_str(),
        Field::Name => &event.name,
        Field::Route => &origin.page.route,
        Field::Url => &origin.page.url,
        Field::Referrer => &origin.page.referrer,
        Field::Title => &origin.page.title,
        Field::Page => &origin.page.id,
        Field::Release => &origin.release,
        Field::Environment => &origin.environment,
        Field::Browser => &origin.browser.name,
        Field::BrowserVersion => &origin.browser.version,
        Field::Os => &origin.os.name,
        Field::OsVersion => &origin.os.version,
        Field::Device => &origin.device.kind,
        Field::Country => &origin.country,
        Field::Connection => &origin.device.connection,
        Field::Language => &origin.device.language,
        Field::Session => &origin.session,
        Field::Visitor => &origin.visitor,
        Field::User => &origin.user,
        Field::Fingerprint => event.attribute(attribute::FINGERPRINT),
        Field::Message => event.attribute(attribute::MESSAGE),
        Field::Method => event.attribute(attribute::METHOD),
        Field::Target => event.attribute(attribute::TARGET),
        Field::Failure => event.attribute(attribute::FAILURE),
        Field::Rating => event.attribute(attribute::RATING),
        Field::Attribute(key) => text(&event.attributes, key),
        Field::Tag(key) => text(&origin.tags, key),
        // A field that came later has no value here yet.
        _ => "",
    })
}

#[cfg(test)]
mod tests {
    use monitor_core::{Document, testing};
    use serde_json::{Value, json};

    use super::*;

    fn wish(filters: Value) -> Result<Wish, String> {
        let filters: Vec<Filter> = serde_json::from_value(filters).unwrap();
        Wish::new("shop", vec![], &filters)
    }

    fn event() -> (Origin, Event) {
        let envelope = testing::envelope(1, &["TypeError"]);
        let (mut origin, mut event) = (Origin::clone(&envelope.origin), envelope.events[0].clone());
        origin.release = "1.2.0".into();
        origin.page.route = "/Cart".into();
        origin.session = "s1".into();
        origin.tags.insert("team".into(), "till".into());
        for (key, value) in [(attribute::FINGERPRINT, "f1"), (attribute::STATUS, "502"), ("plan", "pro")] {
            event.attributes.insert(key.into(), value.into());
        }
        (origin, event)
    }

    #[test]
    fn filters_mean_what_they_mean_in_questions() {
        let (origin, event) = event();
        let id = event.id.to_string();
        let cases = [
            (json!([{"field": "release", "op": "in", "values": ["1.1.0", "1.2.0"]}]), true),
            (json!([{"field": "release", "op": "not_in", "values": ["1.2.0"]}]), false),
            (json!([{"field": "route", "op": "contains", "values": ["cART"]}]), true),
            (json!([{"field": "route", "op": "in", "values": ["/cart"]}]), false),
            (json!([{"field": "session", "op": "in", "values": ["s1"]}, {"field": "fingerprint", "op": "in", "values": ["f1"]}]), true),
            (json!([{"field": "session", "op": "in", "values": ["s1"]}, {"field": "fingerprint", "op": "in", "values": ["f2"]}]), false),
            (json!([{"field": "status", "op": "in", "values": ["502"]}]), true),
            (json!([{"field": "attributes.status", "op": "in", "values": ["502"]}]), true),
            (
                json!([{"field": "attributes.plan", "op": "in", "values": ["pro"]}, {"field": "tags.team", "op": "in", "values": ["till"]}]),
                true,
            ),
            (json!([{"field": "country", "op": "in", "values": [""]}]), true),
            (json!([{"field": "id", "op": "in", "values": [id.to_uppercase()]}]), true),
        ];
        for (filters, expected) in cases {
            assert_eq!(wish(filters.clone()).unwrap().wants(&origin, &event), expected, "{filters}");
        }
    }

    #[test]
    fn a_status_that_is_none_is_no_attribute_as_in_questions() {
        let (origin, mut event) = event();
        for (status, found) in [("0", ""), ("abc", ""), ("99999", ""), ("0200", "200"), ("404", "404")] {
            event.attributes.insert(attribute::STATUS.into(), status.into());
            let is = |value: &str| wish(json!([{"field": "attributes.status", "op": "in", "values": [value]}])).unwrap();
            assert!(is(found).wants(&origin, &event), "{status}");
            assert!(found == status || !is(status).wants(&origin, &event), "{status}");
        }
    }

    #[test]
    fn every_field_of_a_document_is_found() {
        let (mut origin, mut event) = event();
        origin.browser.name = "Firefox".into();
        origin.device.language = "fr".into();
        event.attributes.insert(attribute::TARGET.into(), "#buy".into());
        let Value::Object(document) = serde_json::to_value(Document::new(&origin, &event)).unwrap() else { panic!() };
        for (member, expected) in document {
            let Ok(field) = member.parse::<Field>() else { continue };
            let expected = expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
            assert_eq!(value(&field, &origin, &event), expected, "{member}");
        }
    }

    #[test]
    fn wrong_filters_are_refused_with_a_reason() {
        for (filters, reason) in [
            (json!([{"field": "id", "op": "in", "values": ["x"]}]), "not an event id"),
            (json!([{"field": "id", "op": "contains", "values": ["x"]}]), "in and not_in only"),
            (json!([{"field": "name", "op": "contains", "values": ["a", "b"]}]), "1 to 1"),
            (json!([{"field": "name", "op": "in", "values": []}]), "1 to 1000"),
            (json!([{"field": "name", "op": "in", "values": ["x".repeat(5_000)]}]), "longer than"),
        ] {
            assert!(wish(filters).unwrap_err().contains(reason), "{reason}");
        }
    }
}
