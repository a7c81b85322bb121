//! Reads a range of entries for a lane, on a connection of its own, within bounds of memory. What is still in memory is not decoded.

use monitor_core::Envelope;
use rusqlite::params;

use super::{
    Shared, entry,
    error::Failure,
    table::{Bad, connect_read_only},
};

/// The entries between two numbers that are of interest to a lane.
#[derive(Default)]
pub(crate) struct Range {
    pub(crate) first: i64,
    /// Everything up to here was looked at.
    pub(crate) last: i64,
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) bad: Vec<Bad>,
    /// Of what was looked at, bad entries included.
    pub(crate) events: u64,
    /// Bytes of JSON of the same.
    pub(crate) json: u64,
}

/// Most events, and bytes of JSON, of a range. It may be larger by one entry.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) events: u64,
    pub(crate) json: u64,
}

/// Reads from `first` on, at most up to `last`. Blocks.
pub(crate) fn read(shared: &Shared, lane: &str, first: i64, last: i64, limits: Limits) -> Result<Range, Failure> {
    let _open = shared.gate.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    let connection = connect_read_only(&shared.files.database)?;
    let mut range = Range { first, last, ..Range::default() };
    let mut entries =
        connection.prepare("SELECT seq, lane, project, events, json, crc, payload FROM entry WHERE seq BETWEEN ? AND ? ORDER BY seq")?;
    let mut entries = entries.query(params![first, last])?;
    let mut seen = false;
    while let Some(row) = entries.next()? {
        let seq: i64 = row.get(0)?;
        if !seen {
            range.first = seq;
            seen = true;
        }
        let only = row.get_ref(1)?;
        if only.as_str_or_null().is_ok_and(|only| only.is_some_and(|only| only != lane)) {
            continue;
        }
        let columns = || {
            Some((row.get_ref(2).ok()?.as_str().ok()?, row.get::<_, u32>(3).ok()?, row.get::<_, u32>(4).ok()?, row.get::<_, u32>(5).ok()?))
        };
        let Some((project, count, len, crc)) = columns() else {
            range.bad.push(Bad { seq, reason: "columns" });
            continue;
        };
        let decoded = match shared.fresh.take(seq) {
            Some(envelope) => Ok(envelope),
            None => row.get_ref(6)?.as_blob().map_err(|_| "columns").and_then(|payload| entry::decode(payload, crc)),
        };
        match decoded {
            // The checksum covers the payload; the columns beside it must agree with what it holds.
            Ok(envelope) if envelope.origin.project != project || envelope.events.len() != count as usize => {
                range.bad.push(Bad { seq, reason: "columns" });
            }
            Ok(envelope) => range.envelopes.push(envelope),
            Err(reason) => range.bad.push(Bad { seq, reason }),
        }
        range.events += u64::from(count);
        range.json += u64::from(len);
        if range.events >= limits.events || range.json >= limits.json {
            range.last = seq;
            break;
        }
    }
    Ok(range)
}
