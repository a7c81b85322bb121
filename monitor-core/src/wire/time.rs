//! Reading a client's idea of when something happened.

use serde_json::value::RawValue;

/// A time as a client wrote it.
#[derive(Debug, PartialEq)]
pub(super) enum ClientTime {
    /// Not said.
    Absent,
    /// Milliseconds since the Unix epoch; not yet checked for plausibility.
    Millis(i64),
    /// Neither a number of milliseconds nor RFC 3339: the text, for the record.
    Unreadable(String),
}

/// Reads a number of milliseconds or an RFC 3339 text.
pub(super) fn read(raw: Option<&RawValue>) -> ClientTime {
    let Some(raw) = raw.map(RawValue::get).filter(|raw| *raw != "null") else { return ClientTime::Absent };
    let millis = match serde_json::from_str::<Number>(raw) {
        Ok(Number::Integer(millis)) => Some(millis),
        Ok(Number::Float(millis)) if millis.is_finite() && millis.abs() < 9e15 =>
        {
            #[allow(clippy::cast_possible_truncation, reason = "in range by the guard")]
            Some(millis.round() as i64)
        }
        Ok(Number::Text(text)) => text.parse().ok().map(|time: jiff::Timestamp| time.as_millisecond()),
        _ => None,
    };
    match millis {
        Some(millis) => ClientTime::Millis(millis),
        None => ClientTime::Unreadable(raw.trim_matches('"').chars().take(64).collect()),
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Number {
    Integer(i64),
    Float(f64),
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_rfc_3339_are_read_and_the_rest_is_kept_as_text() {
        let cases = [
            ("1732096800123", ClientTime::Millis(1_732_096_800_123)),
            ("1732096800123.6", ClientTime::Millis(1_732_096_800_124)),
            ("-1", ClientTime::Millis(-1)),
            ("\"2024-11-20T10:00:00.123Z\"", ClientTime::Millis(1_732_096_800_123)),
            ("\"2024-11-20T11:00:00.123+01:00\"", ClientTime::Millis(1_732_096_800_123)),
            ("null", ClientTime::Absent),
            ("\"2026-13-45\"", ClientTime::Unreadable("2026-13-45".into())),
            ("1e300", ClientTime::Unreadable("1e300".into())),
            ("99999999999999999999", ClientTime::Unreadable("99999999999999999999".into())),
            ("{}", ClientTime::Unreadable("{}".into())),
        ];
        for (json, expected) in cases {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(read(Some(raw)), expected, "{json}");
        }
        assert_eq!(read(None), ClientTime::Absent);
    }
}
