//! The tables, and every statement that changes them. Nothing here commits: the writer thread does.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use monitor_core::{BatchId, EventId};
use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig, params};

use super::{
    config::{Config, Durability},
    entry::{Damage, Encoded},
};

/// The newest format this version reads, and the one it writes.
pub(crate) const FORMAT: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE entry (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        stored INTEGER NOT NULL,
        lane TEXT,
        project TEXT NOT NULL,
        events INTEGER NOT NULL,
        json INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        crc INTEGER NOT NULL,
        payload BLOB NOT NULL
    ) STRICT;
    CREATE INDEX entry_size ON entry (seq, stored, lane, project, events, json, bytes);
    CREATE TABLE lane (
        name TEXT PRIMARY KEY,
        confirmed INTEGER NOT NULL,
        sealed_first INTEGER,
        sealed_last INTEGER,
        sealed_rows INTEGER NOT NULL DEFAULT 0,
        generation INTEGER NOT NULL DEFAULT 0,
        split INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE dead_letter (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        lane TEXT NOT NULL,
        event BLOB NOT NULL,
        batch TEXT NOT NULL,
        time INTEGER NOT NULL,
        reason TEXT NOT NULL,
        project TEXT NOT NULL,
        json INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        crc INTEGER NOT NULL,
        payload BLOB NOT NULL,
        UNIQUE (lane, project, event)
    ) STRICT;
    CREATE INDEX dead_letter_size ON dead_letter (id, lane, bytes);
    CREATE TABLE quarantine (
        seq INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        reason TEXT NOT NULL,
        lane TEXT,
        project TEXT NOT NULL,
        events INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        crc INTEGER NOT NULL,
        payload BLOB NOT NULL
    ) STRICT;
";

/// Damaged entries that are kept for inspection.
const QUARANTINE_ROWS: i64 = 1000;
const QUARANTINE_BYTES: i64 = 64 << 20;

pub(crate) fn connect(path: &Path, config: &Config) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    prepare(&connection)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some("the file system does not support a write-ahead log".into()),
        ));
    }
    let synchronous = match config.durability {
        Durability::Fsync => "FULL",
        Durability::Os => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // Checkpoints are made by the writer thread, between commits, so that their errors are seen.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// For readers: nothing they do can change the files.
pub(crate) fn connect_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    prepare(&connection)?;
    connection.pragma_update(None, "cache_size", -2048)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    // Closing after a failed sync must not sync again on the same handle.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // A damaged schema must not run anything.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(())
}

/// The format of an existing database; `None` when it holds nothing yet.
pub(crate) fn format(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(None);
    }
    connection.query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0)).map(Some)
}

/// Makes the tables. The caller has set what must be set before there are any.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    set_meta(connection, "format", FORMAT)?;
    set_meta(connection, "id", uuid::Uuid::new_v4().simple().to_string())
}

pub(crate) fn set_meta(connection: &Connection, key: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<()> {
    connection
        .execute("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", params![key, value])?;
    Ok(())
}

/// What is in the tables, as far as decisions need it. Changed on a copy, which takes the place of the original when the
/// commit succeeded: so it can neither run ahead of the tables nor fall behind.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    pub(crate) id: Arc<str>,
    /// Entries up to this one may have been written under other batch ids: the spool was damaged, or a lane was dropped.
    pub(crate) repeated_through: i64,
    /// The newest entry there ever was.
    pub(crate) last: i64,
    pub(crate) lanes: Vec<LaneBook>,
    pub(crate) letters: u64,
    pub(crate) letter_bytes: u64,
    /// Lanes of sinks that are not installed any more.
    pub(crate) resting: Vec<Resting>,
}

/// The lane of a sink that is not installed any more. Nothing waits for it; what is deleted without it is lost to it, and counted. Should the
/// sink come back, it gets what is left.
#[derive(Clone, Debug)]
pub(crate) struct Resting {
    name: Arc<str>,
    confirmed: i64,
    /// What was appended later is no business of its.
    until: i64,
}

impl Resting {
    fn misses(&self, seq: i64, only: Option<&str>) -> bool {
        (self.confirmed + 1..=self.until).contains(&seq) && only.is_none_or(|only| *only == *self.name)
    }
}

/// Key in `meta` of the last entry that a resting lane wants.
fn rests(name: &str) -> String {
    format!("rests:{name}")
}

#[derive(Clone, Debug)]
pub(crate) struct LaneBook {
    pub(crate) name: Arc<str>,
    /// Everything up to here is done with.
    pub(crate) confirmed: i64,
    pub(crate) sealed: Option<Sealed>,
    /// Events and bytes of JSON that were not confirmed yet.
    pub(crate) pending_events: u64,
    pub(crate) pending_json: u64,
    pub(crate) letters: u64,
}

/// A batch that may have been offered to the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) rows: u64,
    /// Counts how often the rows were found to be others than when the batch was sealed.
    pub(crate) generation: u32,
    /// Parts of it may have been written under ids of their own.
    pub(crate) split: bool,
}

/// What a project's entries use, by project.
pub(crate) type Usage = HashMap<Box<str>, u64>;

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Book {
    /// Reads everything anew, and brings the lanes in line with the sinks there are.
    pub(crate) fn load(connection: &Connection, names: &[Arc<str>]) -> rusqlite::Result<(Book, Usage)> {
        let id: String = connection.query_row("SELECT value FROM meta WHERE key = 'id'", [], |row| row.get(0))?;
        let repeated: Option<i64> =
            connection.query_row("SELECT value FROM meta WHERE key = 'repeated_through'", [], |row| row.get(0)).optional()?;
        let given: Option<i64> =
            connection.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'entry'", [], |row| row.get(0)).optional()?;
        let mut book = Book {
            id: id.into(),
            repeated_through: repeated.unwrap_or(0),
            last: given.unwrap_or(0),
            lanes: Vec::new(),
            letters: 0,
            letter_bytes: 0,
            resting: Vec::new(),
        };
        let mut known = connection.prepare("SELECT name FROM lane")?;
        let known = known.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        for gone in known.iter().filter(|known| !names.iter().any(|name| **name == *known.as_str())) {
            book.rest(connection, gone)?;
        }
        for name in names {
            connection.execute("DELETE FROM meta WHERE key = ?", [rests(name)])?;
            connection.execute("INSERT OR IGNORE INTO lane (name, confirmed) VALUES (?, 0)", [&**name])?;
            let lane = connection.query_row(
                "SELECT confirmed, sealed_first, sealed_last, sealed_rows, generation, split FROM lane WHERE name = ?",
                [&**name],
                |row| {
                    let first: Option<i64> = row.get(1)?;
                    let last: Option<i64> = row.get(2)?;
                    let (rows, generation, split): (i64, u32, bool) = (row.get(3)?, row.get(4)?, row.get(5)?);
                    let sealed = first.zip(last).map(|(first, last)| Sealed { first, last, rows: unsigned(rows), generation, split });
                    Ok(LaneBook { name: name.clone(), confirmed: row.get(0)?, sealed, pending_events: 0, pending_json: 0, letters: 0 })
                },
            )?;
            book.last = book.last.max(lane.confirmed);
            book.lanes.push(lane);
        }
        let mut usage = Usage::new();
        let mut entries = connection.prepare("SELECT seq, lane, project, events, json, bytes FROM entry INDEXED BY entry_size")?;
        let mut entries = entries.query([])?;
        while let Some(row) = entries.next()? {
            let seq: i64 = row.get(0)?;
            let only = row.get_ref(1)?.as_str_or_null()?;
            let project = row.get_ref(2)?.as_str()?;
            let (events, json, bytes) = (unsigned(row.get(3)?), unsigned(row.get(4)?), unsigned(row.get(5)?));
            match usage.get_mut(project) {
                Some(used) => *used += bytes,
                None => drop(usage.insert(project.into(), bytes)),
            }
            for lane in book.lanes.iter_mut().filter(|lane| lane.wants(seq, only)) {
                lane.pending_events += events;
                lane.pending_json += json;
            }
        }
        let mut letters = connection.prepare("SELECT lane, bytes FROM dead_letter INDEXED BY dead_letter_size")?;
        let mut letters = letters.query([])?;
        while let Some(row) = letters.next()? {
            let name = row.get_ref(0)?.as_str()?;
            book.letters += 1;
            book.letter_bytes += unsigned(row.get(1)?);
            if let Some(lane) = book.lanes.iter_mut().find(|lane| &*lane.name == name) {
                lane.letters += 1;
            }
        }
        Ok((book, usage))
    }

    /// Keeps account of what a sink that is not installed any more has not got.
    fn rest(&mut self, connection: &Connection, gone: &str) -> rusqlite::Result<()> {
        let until: Option<i64> =
            connection.query_row("SELECT value FROM meta WHERE key = ?", [rests(gone)], |row| row.get(0)).optional()?;
        let resting = Resting {
            name: gone.into(),
            confirmed: connection.query_row("SELECT confirmed FROM lane WHERE name = ?", [gone], |row| row.get(0))?,
            until: until.unwrap_or(self.last),
        };
        let undelivered: i64 = connection.query_row(
            "SELECT coalesce(sum(events), 0) FROM entry INDEXED BY entry_size WHERE (lane IS NULL OR lane = ?1) AND seq > ?2 AND seq <= ?3",
            params![gone, resting.confirmed, resting.until],
            |row| row.get(0),
        )?;
        if until.is_none() {
            tracing::warn!(
                sink = gone,
                undelivered,
                "the spool knows a sink that is not installed any more; events that it did not get are kept only as long as others need them"
            );
            // Should it come back, part of what it was offered last may be given to it again, in other batches.
            self.repeated_through = self.last;
            set_meta(connection, "repeated_through", self.last)?;
            set_meta(connection, &rests(gone), resting.until)?;
            connection.execute(
                "UPDATE lane SET sealed_first = NULL, sealed_last = NULL, sealed_rows = 0, generation = 0, split = 0 WHERE name = ?",
                [gone],
            )?;
        }
        if undelivered > 0 {
            self.resting.push(resting);
        } else {
            connection.execute("DELETE FROM lane WHERE name = ?", [gone])?;
            connection.execute("DELETE FROM meta WHERE key = ?", [rests(gone)])?;
        }
        Ok(())
    }

    /// What every lane is done with, if there is any lane.
    pub(crate) fn confirmed_by_all(&self) -> i64 {
        self.lanes.iter().map(|lane| lane.confirmed).min().unwrap_or(0)
    }
}

impl LaneBook {
    fn wants(&self, seq: i64, only: Option<&str>) -> bool {
        seq > self.confirmed && only.is_none_or(|only| *only == *self.name)
    }

    fn forget(&mut self, events: u64, json: u64) {
        self.pending_events = self.pending_events.saturating_sub(events);
        self.pending_json = self.pending_json.saturating_sub(json);
    }
}

/// What a transaction does beside the tables, applied when it is committed.
#[derive(Default)]
pub(crate) struct Effects {
    /// The numbers of the entries, in the order they were appended.
    pub(crate) appended: Vec<i64>,
    /// Bytes that are not used any more, by project.
    pub(crate) freed: Usage,
    pub(crate) used: Usage,
    pub(crate) delivered: Vec<(Arc<str>, u64)>,
    pub(crate) dead: Vec<(Arc<str>, u64)>,
    pub(crate) expired: Vec<(Arc<str>, u64)>,
    pub(crate) quarantined: Vec<(Damage, u64)>,
    pub(crate) requeued: Vec<(String, u64)>,
    pub(crate) letters_dropped: u64,
    pub(crate) batches: Vec<Arc<str>>,
}

/// An entry that was deleted.
struct Removed {
    events: u64,
    /// Who had not got it.
    lanes: Vec<Arc<str>>,
    resting: Vec<Arc<str>>,
}

fn damaged_index() -> rusqlite::Error {
    let text = "the index and the table of the entries disagree".to_owned();
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(text))
}

fn add(usage: &mut Usage, project: &str, bytes: u64) {
    match usage.get_mut(project) {
        Some(used) => *used += bytes,
        None => drop(usage.insert(project.into(), bytes)),
    }
}

/// One event that a sink refused. Cheap to copy: the confirmation it belongs to may have to be repeated.
#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) event: EventId,
    pub(crate) batch: BatchId,
    pub(crate) reason: Arc<str>,
    pub(crate) encoded: Arc<Encoded>,
}

/// An entry that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    pub(crate) seq: i64,
    pub(crate) reason: Damage,
}

/// Answer to a wish to seal.
#[derive(Clone, Debug)]
pub(crate) enum Seal {
    /// The batch may be offered under this id.
    Sealed { id: BatchId, repeated: bool },
    /// Another batch is open: it must be written first.
    Resume(Sealed),
    /// The rows are not those that were read: read again.
    Changed,
}

/// A transaction under way.
pub(crate) struct Change<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) book: Book,
    pub(crate) effects: Effects,
    /// The spool's clock, ms since the epoch.
    pub(crate) now: i64,
}

impl Change<'_> {
    pub(crate) fn append(&mut self, entry: &Encoded) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT INTO entry (stored, project, events, json, bytes, crc, payload) VALUES (?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![self.now, entry.project, entry.events, entry.json, signed(entry.len()), entry.crc, entry.payload])?;
        self.book.last = self.connection.last_insert_rowid();
        self.effects.appended.push(self.book.last);
        for lane in &mut self.book.lanes {
            lane.pending_events += u64::from(entry.events);
            lane.pending_json += u64::from(entry.json);
        }
        Ok(())
    }

    /// Rows, events and bytes of JSON between two entries that are of interest to a lane.
    fn sum(&self, lane: &str, first: i64, last: i64) -> rusqlite::Result<(u64, u64, u64)> {
        self.connection
            .prepare_cached(
                "SELECT count(*), coalesce(sum(events), 0), coalesce(sum(json), 0) FROM entry INDEXED BY entry_size
                 WHERE seq BETWEEN ?1 AND ?2 AND (lane IS NULL OR lane = ?3)",
            )?
            .query_row(params![first, last, lane], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?), unsigned(row.get(2)?))))
    }

    /// How many of these rows the table itself has.
    fn rows(&self, lane: &str, first: i64, last: i64) -> rusqlite::Result<u64> {
        self.connection
            .prepare_cached("SELECT count(*) FROM entry NOT INDEXED WHERE seq BETWEEN ?1 AND ?2 AND (lane IS NULL OR lane = ?3)")?
            .query_row(params![first, last, lane], |row| Ok(unsigned(row.get(0)?)))
    }

    pub(crate) fn seal(&mut self, lane: usize, first: i64, last: i64, rows: u64, bad: &[Bad]) -> rusqlite::Result<Seal> {
        self.quarantine(bad)?;
        let Some(LaneBook { name, sealed, confirmed, .. }) = self.book.lanes.get(lane).cloned() else {
            return Ok(Seal::Changed);
        };
        if first <= confirmed {
            return Ok(Seal::Changed);
        }
        // Offered by the process before this one, which may have written it without living to confirm it. The id says so to a sink
        // that remembers ids; one whose memory is short can look the events up.
        let resumed = sealed.is_some();
        let sealed = match sealed {
            Some(open) if (open.first, open.last) != (first, last) => return Ok(Seal::Resume(open)),
            Some(open) if open.rows == rows && bad.is_empty() => open,
            // Rows went bad between two attempts. A sink may have written them under the old id, and would take the new rows
            // under it for the old ones: so the id changes.
            Some(open) => Sealed { rows, generation: open.generation + 1, ..open },
            None => Sealed { first, last, rows, generation: 0, split: false },
        };
        let found = self.sum(&name, first, last)?.0;
        if found != rows {
            // Either rows expired since they were read, or the index, which counts, and the table, which is read, disagree: reading
            // again would then go on for ever.
            return if self.rows(&name, first, last)? == found { Ok(Seal::Changed) } else { Err(damaged_index()) };
        }
        self.store_seal(lane, &name, sealed)?;
        let Sealed { generation, split, .. } = sealed;
        let spool = &self.book.id;
        let id = match generation {
            0 => format!("{spool}-{name}-{first}-{last}"),
            n => format!("{spool}-{name}-{first}-{last}-{n}"),
        };
        Ok(Seal::Sealed { id: BatchId::new(id), repeated: resumed || split || first <= self.book.repeated_through })
    }

    fn store_seal(&mut self, lane: usize, name: &str, sealed: Sealed) -> rusqlite::Result<()> {
        let Sealed { first, last, rows, generation, split } = sealed;
        self.connection
            .prepare_cached("UPDATE lane SET sealed_first = ?, sealed_last = ?, sealed_rows = ?, generation = ?, split = ? WHERE name = ?")?
            .execute(params![first, last, signed(rows), generation, split, name])?;
        if let Some(lane) = self.book.lanes.get_mut(lane) {
            lane.sealed = Some(sealed);
        }
        Ok(())
    }

    /// From now on, parts of the open batch may be written under ids of their own.
    pub(crate) fn split(&mut self, lane: usize) -> rusqlite::Result<()> {
        match self.book.lanes.get(lane).cloned() {
            Some(LaneBook { name, sealed: Some(sealed), .. }) => self.store_seal(lane, &name, Sealed { split: true, ..sealed }),
            _ => Ok(()),
        }
    }

    pub(crate) fn confirm(&mut self, lane: usize, last: i64, delivered: u64, dead: &[Letter], config: &Config) -> rusqlite::Result<()> {
        let Some(LaneBook { name, confirmed, .. }) = self.book.lanes.get(lane).cloned() else {
            return Ok(());
        };
        if last <= confirmed {
            return Ok(());
        }
        let (_, events, json) = self.sum(&name, confirmed + 1, last)?;
        self.connection
            .prepare_cached(
                "UPDATE lane SET confirmed = ?, sealed_first = NULL, sealed_last = NULL, sealed_rows = 0, generation = 0, split = 0
                 WHERE name = ?",
            )?
            .execute(params![last, &*name])?;
        let mut added = 0;
        for letter in dead {
            let Letter { event, batch, reason, encoded } = letter;
            let new = self
                .connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO dead_letter (lane, event, batch, time, reason, project, json, bytes, crc, payload)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    &*name,
                    event.0.to_be_bytes(),
                    batch.as_str(),
                    self.now,
                    &**reason,
                    encoded.project,
                    encoded.json,
                    signed(encoded.len()),
                    encoded.crc,
                    encoded.payload
                ])?;
            if new > 0 {
                added += 1;
                self.book.letters += 1;
                self.book.letter_bytes += encoded.len();
            }
        }
        if let Some(lane) = self.book.lanes.get_mut(lane) {
            lane.confirmed = last;
            lane.sealed = None;
            lane.forget(events, json);
            lane.letters += added;
        }
        self.effects.delivered.push((name.clone(), delivered));
        self.effects.dead.push((name.clone(), dead.len() as u64));
        if delivered > 0 {
            self.effects.batches.push(name);
        }
        while self.book.letters > config.dead_letters || self.book.letter_bytes > config.dead_letter_bytes {
            if !self.drop_oldest_letter()? {
                break;
            }
        }
        Ok(())
    }

    fn drop_oldest_letter(&mut self) -> rusqlite::Result<bool> {
        let oldest = self
            .connection
            .prepare_cached("SELECT id, lane, bytes FROM dead_letter INDEXED BY dead_letter_size ORDER BY id LIMIT 1")?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)))
            .optional()?;
        let Some((id, lane, bytes)) = oldest else { return Ok(false) };
        self.connection.prepare_cached("DELETE FROM dead_letter WHERE id = ?")?.execute([id])?;
        self.forget_letter(&lane, unsigned(bytes));
        self.effects.letters_dropped += 1;
        Ok(true)
    }

    fn forget_letter(&mut self, lane: &str, bytes: u64) {
        self.book.letters = self.book.letters.saturating_sub(1);
        self.book.letter_bytes = self.book.letter_bytes.saturating_sub(bytes);
        if let Some(lane) = self.book.lanes.iter_mut().find(|known| *known.name == *lane) {
            lane.letters = lane.letters.saturating_sub(1);
        }
    }

    /// Makes entries of a lane's dead letters again, for that lane alone, as long as there is `room` bytes.
    pub(crate) fn requeue(&mut self, lane: &str, mut room: u64) -> rusqlite::Result<u64> {
        if !self.book.lanes.iter().any(|known| *known.name == *lane) {
            // Entries for a sink that is not there would be nobody's; as dead letters they wait for it.
            return Ok(0);
        }
        let mut found =
            self.connection.prepare_cached("SELECT id, project, bytes, json FROM dead_letter WHERE lane = ? ORDER BY id LIMIT 1000")?;
        let found = found
            .query_map([lane], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let mut moved = 0;
        for (id, project, bytes, json) in found {
            let Some(left) = room.checked_sub(unsigned(bytes)) else { break };
            room = left;
            self.connection
                .prepare_cached(
                    "INSERT INTO entry (stored, lane, project, events, json, bytes, crc, payload)
                     SELECT ?, lane, project, 1, json, bytes, crc, payload FROM dead_letter WHERE id = ?",
                )?
                .execute(params![self.now, id])?;
            self.book.last = self.connection.last_insert_rowid();
            self.connection.prepare_cached("DELETE FROM dead_letter WHERE id = ?")?.execute([id])?;
            self.forget_letter(lane, unsigned(bytes));
            add(&mut self.effects.used, &project, unsigned(bytes));
            if let Some(lane) = self.book.lanes.iter_mut().find(|known| *known.name == *lane) {
                lane.pending_events += 1;
                lane.pending_json += unsigned(json);
            }
            moved += 1;
        }
        self.effects.requeued.push((lane.to_owned(), moved));
        Ok(moved)
    }

    fn quarantine(&mut self, bad: &[Bad]) -> rusqlite::Result<()> {
        for Bad { seq, reason } in bad {
            self.connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO quarantine (seq, time, reason, lane, project, events, bytes, crc, payload)
                     SELECT seq, ?, ?, lane, project, events, bytes, crc, payload FROM entry WHERE seq = ?",
                )?
                .execute(params![self.now, reason, seq])?;
            for gone in self.remove(*seq, *seq, i64::MAX, 1)? {
                self.effects.quarantined.push((reason, gone.events));
            }
        }
        if !bad.is_empty() {
            self.connection.execute(
                "DELETE FROM quarantine WHERE seq NOT IN (SELECT seq FROM quarantine ORDER BY time DESC, seq DESC LIMIT ?)",
                [QUARANTINE_ROWS],
            )?;
            self.connection.execute(
                "DELETE FROM quarantine WHERE seq IN (
                    SELECT seq FROM (SELECT seq, sum(bytes) OVER (ORDER BY time DESC, seq DESC) AS total FROM quarantine) WHERE total > ?)",
                [QUARANTINE_BYTES],
            )?;
        }
        Ok(())
    }

    /// Deletes at most `limit` entries between two, stopping at the first that was stored at `before` or later. Lanes that still
    /// wait for one forget it.
    fn remove(&mut self, first: i64, last: i64, before: i64, limit: usize) -> rusqlite::Result<Vec<Removed>> {
        let mut gone = Vec::new();
        let mut end = None;
        {
            let mut entries = self.connection.prepare_cached(
                "SELECT seq, stored, lane, project, events, json, bytes FROM entry INDEXED BY entry_size
                 WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
            )?;
            let mut entries = entries.query(params![first, last, i64::try_from(limit).unwrap_or(i64::MAX)])?;
            while let Some(row) = entries.next()? {
                let (seq, stored): (i64, i64) = (row.get(0)?, row.get(1)?);
                if stored >= before {
                    break;
                }
                let only = row.get_ref(2)?.as_str_or_null()?;
                let (events, json, bytes) = (unsigned(row.get(4)?), unsigned(row.get(5)?), unsigned(row.get(6)?));
                add(&mut self.effects.freed, row.get_ref(3)?.as_str()?, bytes);
                let mut lanes = Vec::new();
                for lane in self.book.lanes.iter_mut().filter(|lane| lane.wants(seq, only)) {
                    lane.forget(events, json);
                    lanes.push(lane.name.clone());
                }
                let resting = self.book.resting.iter().filter(|lane| lane.misses(seq, only)).map(|lane| lane.name.clone()).collect();
                gone.push(Removed { events, lanes, resting });
                end = Some(seq);
            }
        }
        if let Some(end) = end {
            self.connection.prepare_cached("DELETE FROM entry WHERE seq BETWEEN ? AND ?")?.execute([first, end])?;
        }
        Ok(gone)
    }

    /// Deletes entries that every lane is done with; `true` when there may be more.
    pub(crate) fn delete_confirmed(&mut self, limit: usize) -> rusqlite::Result<bool> {
        let confirmed = self.book.confirmed_by_all();
        let gone = self.remove(0, confirmed, i64::MAX, limit)?;
        for Removed { events, resting, .. } in &gone {
            self.effects.expired.extend(resting.iter().map(|lane| (lane.clone(), *events)));
        }
        Ok(gone.len() == limit)
    }

    /// Gives up entries that are too old and not part of an open batch; `true` when there may be more. `spared` is up to which entry a lane is
    /// spared.
    pub(crate) fn expire(&mut self, before: i64, limit: usize, spared: impl Fn(usize) -> Option<i64>) -> rusqlite::Result<bool> {
        let lanes = || self.book.lanes.iter().enumerate();
        let sealed = lanes().filter_map(|(_, lane)| lane.sealed).map(|sealed| (sealed.first, sealed.last));
        let waited = lanes().filter_map(|(index, lane)| Some((lane.confirmed + 1, spared(index)?)));
        let mut kept: Vec<(i64, i64)> = sealed.chain(waited).filter(|(first, last)| first <= last).collect();
        kept.sort_unstable();
        let mut first = 0;
        let mut gaps = Vec::new();
        for (begin, end) in kept {
            gaps.push((first, begin - 1));
            first = first.max(end + 1);
        }
        gaps.push((first, i64::MAX));
        let mut left = limit;
        for (first, last) in gaps {
            for Removed { events, lanes, resting } in self.remove(first, last, before, left)? {
                left -= 1;
                if self.book.lanes.is_empty() && resting.is_empty() {
                    // Nobody was there to deliver to; it is a loss all the same.
                    self.effects.expired.push(("no_sink".into(), events));
                }
                self.effects.expired.extend(lanes.into_iter().chain(resting).map(|lane| (lane, events)));
            }
        }
        Ok(left == 0)
    }

    /// When the oldest entry that a lane has not confirmed was stored.
    pub(crate) fn oldest(connection: &Connection, lane: &LaneBook) -> rusqlite::Result<Option<i64>> {
        connection
            .prepare_cached(
                "SELECT stored FROM entry INDEXED BY entry_size WHERE seq > ? AND (lane IS NULL OR lane = ?) ORDER BY seq LIMIT 1",
            )?
            .query_row(params![lane.confirmed, &*lane.name], |row| row.get(0))
            .optional()
    }
}
