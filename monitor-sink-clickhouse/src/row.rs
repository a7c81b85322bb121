//! Events to rows: which column an event's parts go to, and in which form.
//!
//! The order of rows is the order of the batch, and nothing here depends on the time or on chance: the same batch gives
//! the same bytes.

use monitor_core::{Attributes, Event, Origin, PROMOTED, attribute};

use crate::{block::Block, calendar::DAY};

/// Days that the table's partition key can tell apart: 1970-01-01 to 2149-06-06.
const DAYS: i64 = 1 << 16;

/// One event to be written.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) event: &'a Event,
}

/// A time that the table cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("event {id}: its {field} of {time} ms is outside of 1970-01-01 to 2149-06-06")]
pub(crate) struct TimeOutOfRange {
    id: monitor_core::EventId,
    field: &'static str,
    time: i64,
}

impl<'a> Row<'a> {
    /// Takes the event if the table can hold it unchanged.
    pub(crate) fn new(origin: &'a Origin, event: &'a Event) -> Result<Row<'a>, TimeOutOfRange> {
        for (field, time) in [("time", event.time), ("time of arrival", origin.received)] {
            if !(0..DAYS * DAY).contains(&time) {
                return Err(TimeOutOfRange { id: event.id, field, time });
            }
        }
        Ok(Row { origin, event })
    }

    /// The day its partition is named after: days since 1970-01-01.
    pub(crate) fn day(&self) -> i64 {
        self.event.time.div_euclid(DAY)
    }
}

/// The rows as the body of an `INSERT INTO events FORMAT Native`.
pub(crate) fn encode(rows: &[Row<'_>]) -> [Vec<u8>; 2] {
    let size = rows.iter().map(|row| 400 + row.event.data.get().len()).sum();
    let mut block = Block::new(rows.len(), size);
    let promoted: Vec<Promoted<'_>> = rows.iter().map(|row| Promoted::new(&row.event.attributes)).collect();

    macro_rules! texts {
        ($($name:literal: $value:expr,)*) => {$(
            block.texts($name, rows.iter().map(|row: &Row<'_>| -> &str { let value: fn(Row<'_>) -> &str = $value; value(*row) }));
        )*};
    }
    macro_rules! dictionaries {
        ($($name:literal: $value:expr,)*) => {$(
            block.dictionary($name, rows.iter().map(|row: &Row<'_>| -> &str { let value: fn(Row<'_>) -> &str = $value; value(*row) }));
        )*};
    }

    block.fixed("id", "UUID", rows.iter().map(|row| uuid(row.event.id.0)));
    block.fixed("time", "DateTime64(3, 'UTC')", rows.iter().map(|row| row.event.time.to_le_bytes()));
    block.fixed("received", "DateTime64(3, 'UTC')", rows.iter().map(|row| row.origin.received.to_le_bytes()));
    block.fixed("seq", "Int64", rows.iter().map(|row| row.event.seq.map_or(-1, i64::from).to_le_bytes()));
    block.fixed("value", "Float64", rows.iter().map(|row| row.event.value.unwrap_or(f64::NAN).to_le_bytes()));
    block.fixed("weight", "Float32", rows.iter().map(|row| row.event.weight.to_le_bytes()));
    block.fixed("status", "UInt16", promoted.iter().map(|row| row.status.to_le_bytes()));

    dictionaries! {
        "kind": |row| row.event.kind.as_str(),
        "name": |row| &row.event.name,
        "project": |row| &row.origin.project,
        "release": |row| &row.origin.release,
        "environment": |row| &row.origin.environment,
        "route": |row| &row.origin.page.route,
        "browser": |row| &row.origin.browser.name,
        "browser_version": |row| &row.origin.browser.version,
        "os": |row| &row.origin.os.name,
        "os_version": |row| &row.origin.os.version,
        "device": |row| &row.origin.device.kind,
        "screen": |row| &row.origin.device.screen,
        "viewport": |row| &row.origin.device.viewport,
        "language": |row| &row.origin.device.language,
        "connection": |row| &row.origin.device.connection,
        "timezone": |row| &row.origin.device.timezone,
        "country": |row| &row.origin.country,
        "user_agent": |row| &row.origin.user_agent,
    }
    block.dictionary("method", promoted.iter().map(|row| row.method));
    block.dictionary("failure", promoted.iter().map(|row| row.failure));
    block.dictionary("rating", promoted.iter().map(|row| row.rating));
    // Made of two texts, so once for each request instead of once for each event.
    let (sdks, ips) = per_origin(rows);
    block.dictionary("sdk", sdks.iter().flat_map(|(label, count)| std::iter::repeat_n(label.as_str(), *count)));
    block.texts("ip", ips.iter().flat_map(|(ip, count)| std::iter::repeat_n(ip.as_str(), *count)));
    texts! {
        "page": |row| &row.origin.page.id,
        "url": |row| &row.origin.page.url,
        "referrer": |row| &row.origin.page.referrer,
        "title": |row| &row.origin.page.title,
        "session": |row| &row.origin.session,
        "visitor": |row| &row.origin.visitor,
        "user": |row| &row.origin.user,
        "data": |row| row.event.data.get(),
    }
    block.texts("fingerprint", promoted.iter().map(|row| row.fingerprint));
    block.texts("message", promoted.iter().map(|row| row.message));
    block.texts("target", promoted.iter().map(|row| row.target));
    block.maps("tags", rows, |row| self::texts(&row.origin.tags));
    block.maps("attributes", rows, |row| others(&row.event.attributes));
    block.finish()
}

/// The attributes that have a column of their own, picked out in one go.
#[derive(Debug, Default, PartialEq, Eq)]
struct Promoted<'a> {
    fingerprint: &'a str,
    message: &'a str,
    status: u16,
    method: &'a str,
    target: &'a str,
    failure: &'a str,
    rating: &'a str,
}

impl<'a> Promoted<'a> {
    fn new(attributes: &'a Attributes) -> Promoted<'a> {
        let mut promoted = Promoted::default();
        for (key, value) in attributes {
            match &**key {
                attribute::FINGERPRINT => promoted.fingerprint = value,
                attribute::MESSAGE => promoted.message = value,
                // As `Event::status` reads it.
                attribute::STATUS => promoted.status = value.parse().unwrap_or(0),
                attribute::METHOD => promoted.method = value,
                attribute::TARGET => promoted.target = value,
                attribute::FAILURE => promoted.failure = value,
                attribute::RATING => promoted.rating = value,
                _ => {}
            }
        }
        promoted
    }
}

fn texts(attributes: &Attributes) -> impl Iterator<Item = (&str, &str)> {
    attributes.iter().map(|(key, value)| (&**key, value.as_str()))
}

/// The attributes without a column of their own.
fn others(attributes: &Attributes) -> impl Iterator<Item = (&str, &str)> {
    texts(attributes).filter(|(key, _)| !PROMOTED.contains(key))
}

type Run = (String, usize);

/// SDK label and address of each run of rows with the same origin.
fn per_origin(rows: &[Row<'_>]) -> (Vec<Run>, Vec<Run>) {
    rows.chunk_by(|a, b| std::ptr::eq(a.origin, b.origin))
        .filter_map(|run| run.first().map(|row| (row.origin, run.len())))
        .map(|(origin, count)| ((origin.sdk_label(), count), (origin.ip.map(|ip| ip.to_string()).unwrap_or_default(), count)))
        .unzip()
}

/// A UUID travels as two little-endian halves, the upper one first.
fn uuid(id: u128) -> [u8; 16] {
    id.rotate_left(64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor_core::{EventId, Kind};

    #[test]
    fn a_uuid_travels_as_two_little_endian_halves() {
        let id = 0x0193_480e_7c1b_7cc2_a5d2_c0a1_f1e2_d3c4;
        let bytes = uuid(id);
        assert_eq!(bytes[..8], 0x0193_480e_7c1b_7cc2u64.to_le_bytes());
        assert_eq!(bytes[8..], 0xa5d2_c0a1_f1e2_d3c4u64.to_le_bytes());
    }

    #[test]
    fn every_promoted_attribute_goes_to_its_column() {
        let mut event = Event::new(EventId(1), 0, Kind::Request, "x");
        event.attributes = PROMOTED.iter().map(|key| ((*key).into(), format!("the {key}"))).collect();
        event.attributes.insert("plan".into(), "pro".into());
        assert_eq!(
            Promoted::new(&event.attributes),
            Promoted {
                fingerprint: "the fingerprint",
                message: "the message",
                status: 0,
                method: "the method",
                target: "the target",
                failure: "the failure",
                rating: "the rating",
            }
        );
        for status in ["404", "0", "65536", "none", ""] {
            event.attributes.insert(attribute::STATUS.into(), status.into());
            assert_eq!(Promoted::new(&event.attributes).status, event.status());
        }
        event.attributes.clear();
        assert_eq!(Promoted::new(&event.attributes), Promoted::default());
    }

    #[test]
    fn a_time_that_the_table_cannot_hold_is_refused() {
        let check = |time, received| {
            let origin = Origin::new("shop", received);
            Row::new(&origin, &Event::new(EventId(1), time, Kind::Track, "x")).map(|row| row.day()).map_err(|error| error.field)
        };
        assert_eq!(check(0, 0), Ok(0));
        assert_eq!(check(DAYS * DAY - 1, 0), Ok(65_535));
        assert_eq!(check(-1, 0), Err("time"));
        assert_eq!(check(DAYS * DAY, 0), Err("time"));
        assert_eq!(check(i64::MAX, 0), Err("time"));
        assert_eq!(check(0, i64::MIN), Err("time of arrival"));
    }
}
