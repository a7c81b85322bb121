//! The files of a spool: lock, opening, and what is done about damage.
//!
//! ```text
//! spool.lock                 held by the process that uses the directory; its pid is inside
//! spool.db, -wal, -shm       the database
//! spool.undelivered          how many events were not delivered a moment ago: how much is lost when the database says nothing any more
//! spool.reserve              room that is given up when the disk is full, so that delivering can go on
//! spool.db.corrupt-<ms>…     a damaged database, set aside; never read again, never deleted
//! spool.db.rebuilding        what is being saved from a damaged database; incomplete, thrown away at the next start
//! spool.db.rebuilt           the same, complete: it takes the place of `spool.db` as soon as that is set aside
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use monitor_core::{Counts, Labelled};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    SpoolError,
    config::Config,
    entry,
    error::{Remedy, remedy},
    table::{self, Book, FORMAT, Usage},
};

/// A database up to this size is checked as a whole when it is opened; damage in a larger one is noticed when it is read.
const CHECKED: u64 = 64 << 20;
/// No database is smaller than the smallest page.
const SMALLEST: u64 = 512;
/// Room that is kept for the time when the disk is full: without it nothing could be confirmed and deleted, and the disk stayed full.
/// Larger than the log gets between two checkpoints, so that the log can be copied into the database and its room used again.
pub(crate) const RESERVE: u64 = 6 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
    pub(crate) database: PathBuf,
}

/// An open database and what is in it.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) book: Book,
    pub(crate) usage: Usage,
}

pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Files {
    pub(crate) fn new(dir: &Path) -> Files {
        Files { dir: dir.to_owned(), database: dir.join("spool.db") }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.database.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    fn trouble(&self, error: rusqlite::Error) -> SpoolError {
        SpoolError::Database { path: self.database.clone(), source: error.into() }
    }

    /// Makes sure that the directory can be used, by this process alone. The lock lasts as long as the file is kept.
    pub(crate) fn lock(&self) -> Result<File, SpoolError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| SpoolError::Directory { path, source }
        };
        match make_dir(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&self.dir)(error)),
            _ => {}
        }
        let path = self.dir.join("spool.lock");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Without a pid the message is poorer, nothing else.
                let _ = file.take(20).read_to_string(&mut pid);
                let pid = Some(pid.trim().to_owned()).filter(|pid| !pid.is_empty()).unwrap_or_else(|| "?".into());
                return Err(SpoolError::Locked { path: self.dir.clone(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path)(error)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", process::id())?;
            // A directory that can be entered but not written shows only when a file is made in it.
            let probe = self.dir.join("spool.probe");
            File::create(&probe)?.write_all(b"x")?;
            fs::remove_file(&probe)
        };
        match write(&mut file) {
            // A full disk is no reason to refuse: what is stored can be delivered, which makes room.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(file),
            Err(error) => Err(failed(&self.dir)(error)),
            Ok(()) => Ok(file),
        }
    }

    /// Opens the database, saving what can be saved of a damaged one.
    pub(crate) fn open(&self, config: &Config, lanes: &[Arc<str>], counts: &Counts) -> Result<Opened, SpoolError> {
        self.finish_rebuild().map_err(|source| SpoolError::Directory { path: self.database.clone(), source })?;
        match self.try_open(config, lanes) {
            Err(SpoolError::Database { source, .. }) if source.remedy() == Remedy::Salvage => {
                tracing::error!(path = %self.database.display(), error = %source.report(), "the spool is damaged");
                self.salvage(counts)?;
                self.try_open(config, lanes)
            }
            other => other,
        }
    }

    fn try_open(&self, config: &Config, lanes: &[Arc<str>]) -> Result<Opened, SpoolError> {
        let damaged = || self.trouble(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), None));
        let size = |path: &Path| fs::metadata(path).map(|file| file.len()).unwrap_or(0);
        let (len, log) = (size(&self.database), size(&self.beside("-wal")));
        if (len == 0 && log > 0) || (1..SMALLEST).contains(&len) {
            // SQLite would take it for an empty database, delete the log and start anew. Such files are never made: it was cut.
            return Err(damaged());
        }
        if len > 0 {
            // Looked at without writing: files of a newer version must stay as they are.
            let connection = table::connect_read_only(&self.database).map_err(|error| self.trouble(error))?;
            match table::format(&connection) {
                Ok(Some(found)) if found > FORMAT => {
                    return Err(SpoolError::NewerFormat { path: self.database.clone(), found, known: FORMAT });
                }
                Ok(_) => {}
                // Tables without a format, or a format that is no number, were not made by us.
                Err(error) if matches!(remedy(&error), Remedy::None) => return Err(damaged()),
                Err(error) => return Err(self.trouble(error)),
            }
        }
        if len == 0 {
            // Made apart and then moved here: while SQLite makes a database in place, a failed sync is tried again.
            self.replace(None)?;
        }
        let open = || {
            let connection = table::connect(&self.database, config)?;
            if len + log <= CHECKED {
                let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
                if verdict != "ok" {
                    return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(verdict)));
                }
            }
            let (book, usage) = match Book::load(&connection, lanes) {
                // Tables or values that we need are not there.
                Err(error) if remedy(&error) == Remedy::None && !is_of_the_moment(&error) => {
                    return Err(rusqlite::Error::SqliteFailure(
                        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                        Some(error.to_string()),
                    ));
                }
                other => other?,
            };
            Ok(Opened { connection, book, usage })
        };
        open().map_err(|error| self.trouble(error))
    }

    /// Opens the database again after a read or write failed. What reached the page cache only must not be built upon: the whole log
    /// is copied into the database and synced through new handles, then the log starts anew.
    pub(crate) fn reopen(&self, config: &Config, lanes: &[Arc<str>], counts: &Counts) -> Result<Opened, SpoolError> {
        let opened = self.open(config, lanes, counts)?;
        checkpoint(&opened.connection, "TRUNCATE").map_err(|error| self.trouble(error))?;
        Ok(opened)
    }

    /// Saves what can be read of a damaged database into a new one and sets the old files aside. Every connection must be closed.
    pub(crate) fn salvage(&self, counts: &Counts) -> Result<(), SpoolError> {
        let noted = self.noted();
        let saved = self.replace(Some(&self.database))?;
        let lost = saved.lost(noted);
        counts.count(Labelled::Quarantined, "file", lost);
        tracing::error!(
            entries = saved.entries,
            events = saved.events,
            lost,
            "what could be read of the damaged spool was taken over; the damaged files are kept beside it"
        );
        Ok(())
    }

    /// Makes a note of how many events are not delivered. It is as old as a second, and only for the log and the counters.
    pub(crate) fn note(&self, undelivered: u64) {
        let write = || {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(self.dir.join("spool.undelivered"))?
                .write_all(format!("{undelivered:020}").as_bytes())
        };
        if let Err(error) = write() {
            tracing::debug!(%error, "how much is not delivered could not be noted");
        }
    }

    fn noted(&self) -> Option<u64> {
        fs::read_to_string(self.dir.join("spool.undelivered")).ok()?.trim().parse().ok()
    }

    /// Makes a new database, with what can be read of an old one, and puts it into its place.
    fn replace(&self, old: Option<&Path>) -> Result<Saved, SpoolError> {
        let (rebuilding, rebuilt) = (self.beside(".rebuilding"), self.beside(".rebuilt"));
        let failed = |source| SpoolError::Directory { path: rebuilding.clone(), source };
        remove(&rebuilding).map_err(failed)?;
        let saved = rebuild(old, &rebuilding).map_err(|error| self.trouble(error))?;
        let swap = || {
            File::open(&rebuilding)?.sync_all()?;
            fs::rename(&rebuilding, &rebuilt)?;
            self.sync_dir()?;
            self.finish_rebuild()
        };
        swap().map_err(failed)?;
        Ok(saved)
    }

    /// Puts a rebuilt database into its place. Can be interrupted anywhere and repeated.
    fn finish_rebuild(&self) -> io::Result<()> {
        for suffix in [".rebuilding", ".rebuilding-journal", ".rebuilding-wal", ".rebuilding-shm"] {
            remove(&self.beside(suffix))?;
        }
        let rebuilt = self.beside(".rebuilt");
        if !rebuilt.exists() {
            return Ok(());
        }
        // The log before the database: a log left behind would be applied to the new database.
        let mut time = now();
        while self.beside(&format!(".corrupt-{time}")).exists() {
            time += 1;
        }
        for suffix in ["-wal", "-shm", ""] {
            if fs::metadata(self.beside(suffix)).is_ok_and(|file| file.len() == 0) {
                remove(&self.beside(suffix))?;
            }
            match fs::rename(self.beside(suffix), self.beside(&format!(".corrupt-{time}{suffix}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.sync_dir()?;
        fs::rename(&rebuilt, &self.database)?;
        self.sync_dir()
    }

    fn sync_dir(&self) -> io::Result<()> {
        match File::open(&self.dir).and_then(|dir| dir.sync_all()) {
            // Not every system can sync a directory; the order of the renames protects against all but a power loss.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            #[cfg(not(unix))]
            Err(_) => Ok(()),
            other => other,
        }
    }

    /// Makes the reserve if it is not there; whether it is there now.
    pub(crate) fn keep_reserve(&self) -> bool {
        let path = self.dir.join("spool.reserve");
        let kept = || fs::metadata(&path).is_ok_and(|file| file.len() == RESERVE);
        // Written, not only made long: a file with a hole takes no room.
        let make = || File::create(&path)?.write_all(&vec![0xff; usize::try_from(RESERVE).unwrap_or(0)]);
        let made: io::Result<()> = if kept() { Ok(()) } else { make() };
        if made.is_err() {
            self.give_up_reserve();
        }
        made.is_ok()
    }

    pub(crate) fn give_up_reserve(&self) {
        if let Err(error) = remove(&self.dir.join("spool.reserve")) {
            tracing::debug!(%error, "the reserve could not be given up");
        }
    }

    /// Bytes that are free for us on the disk of the spool; `None` when the system does not tell.
    pub(crate) fn free(&self) -> Option<u64> {
        #[cfg(unix)]
        {
            let disk = rustix::fs::statvfs(&self.dir).ok()?;
            Some(disk.f_bavail.saturating_mul(disk.f_frsize))
        }
        #[cfg(not(unix))]
        None
    }
}

/// Makes a directory that only its owner can enter: what visitors sent is nobody else's business.
fn make_dir(path: &Path) -> io::Result<()> {
    let mut dir = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut dir, 0o700);
    dir.create(path)
}

/// Whether it says nothing about what is in the file: its rights, memory and locks can be mended.
fn is_of_the_moment(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        AuthorizationForStatementDenied, DatabaseBusy, DatabaseLocked, FileLockingProtocolFailed, OperationInterrupted, OutOfMemory,
        PermissionDenied, ReadOnly,
    };
    matches!(
        error.sqlite_error_code(),
        Some(
            DatabaseBusy
                | DatabaseLocked
                | ReadOnly
                | OutOfMemory
                | PermissionDenied
                | AuthorizationForStatementDenied
                | FileLockingProtocolFailed
                | OperationInterrupted
        )
    )
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies the log into the database. `PASSIVE` never waits; `TRUNCATE` fails when it cannot be complete.
pub(crate) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    let busy: i64 = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0))?;
    if busy != 0 && mode == "TRUNCATE" {
        return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None));
    }
    Ok(())
}

#[derive(Default)]
struct Saved {
    entries: u64,
    events: u64,
    /// Events that the old database says it had.
    expected: Option<u64>,
    /// Entries that must have been there, where that is all that is known.
    missing: u64,
}

impl Saved {
    /// Events that could not be read; at least 1, as something was damaged.
    fn lost(&self, noted: Option<u64>) -> u64 {
        let lost = match self.expected.or(noted) {
            Some(expected) => expected.saturating_sub(self.events),
            None => self.missing,
        };
        lost.max(1)
    }
}

/// Copies everything readable from one database to a new one. Errors of the old one are met by skipping, those of the new one end it.
fn rebuild(old: Option<&Path>, new: &Path) -> rusqlite::Result<Saved> {
    let target = Connection::open(new)?;
    // Without syncs and a way back, both from the start: the caller syncs the finished file, or throws it away.
    target.pragma_update(None, "synchronous", "OFF")?;
    target.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
    target.pragma_update(None, "page_size", 4096)?;
    target.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    table::create(&target)?;
    target.execute_batch("BEGIN")?;
    let mut saved = Saved::default();
    // Read-only, so that the damaged files stay what they are. A database that cannot be opened at all has nothing to give.
    if let Some(Ok(source)) = old.map(table::connect_read_only) {
        let number = |sql: &str| source.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).optional().ok().flatten().flatten();
        let first = number("SELECT seq FROM entry ORDER BY seq LIMIT 1")
            .or_else(|| number("SELECT seq FROM entry INDEXED BY entry_size ORDER BY seq LIMIT 1"));
        let given = number("SELECT seq FROM sqlite_sequence WHERE name = 'entry'");
        let newest = number("SELECT max(seq) FROM entry")
            .into_iter()
            .chain(number("SELECT max(seq) FROM entry INDEXED BY entry_size"))
            .chain(given)
            .max();
        let mut highest = given.unwrap_or(0);
        if let Some(newest) = newest {
            let first = first.unwrap_or_else(|| number("SELECT min(confirmed) FROM lane").unwrap_or(0) + 1);
            let expected = number("SELECT sum(events) FROM entry INDEXED BY entry_size");
            (saved.entries, saved.events) = copy_entries(&source, &target, first, newest)?;
            highest = highest.max(newest);
            saved.expected = expected.and_then(|events| u64::try_from(events).ok());
            saved.missing = u64::try_from(newest - first + 1).unwrap_or(0).saturating_sub(saved.entries);
        }
        copy_rest(&source, &target)?;
        let known: i64 = target.query_row("SELECT coalesce(max(confirmed), 0) FROM lane", [], |row| row.get(0))?;
        highest = highest.max(known);
        // Numbers are never given twice, and what may have been written under the old ids is marked.
        target.execute("DELETE FROM sqlite_sequence WHERE name = 'entry'", [])?;
        target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('entry', ?)", [highest])?;
        table::set_meta(&target, "repeated_through", highest)?;
    }
    target.execute_batch("COMMIT")?;
    target.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    target.close().map_err(|(_, error)| error)?;
    Ok(saved)
}

type Row = (i64, i64, Option<String>, String, i64, i64, i64, u32, Vec<u8>);

const COLUMNS: &str = "seq, stored, lane, project, events, json, bytes, crc, payload";

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?))
}

/// Returns how many entries and events it copied.
fn copy_entries(source: &Connection, target: &Connection, first: i64, newest: i64) -> rusqlite::Result<(u64, u64)> {
    let mut insert = target.prepare(&format!("INSERT OR IGNORE INTO entry ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"))?;
    let mut copied = (0, 0);
    let mut take = |(seq, stored, lane, project, events, json, bytes, crc, payload): Row| -> rusqlite::Result<()> {
        // Only what is whole is worth taking over; the rest stays in the old file.
        let whole = entry::decode(&payload, crc).is_ok() && usize::try_from(bytes) == Ok(payload.len());
        if whole {
            copied.0 += 1;
            copied.1 += u64::try_from(events).unwrap_or(0);
            insert.execute(params![seq, stored, lane, project, events, json, bytes, crc, payload])?;
        }
        Ok(())
    };
    let mut next = first;
    while next <= newest {
        // A run of readable rows.
        if let Ok(mut run) = source.prepare_cached(&format!("SELECT {COLUMNS} FROM entry WHERE seq BETWEEN ? AND ? ORDER BY seq"))
            && let Ok(mut rows) = run.query([next, newest])
        {
            let ended = loop {
                match rows.next() {
                    Ok(Some(found)) => match row(found) {
                        Ok(found) => {
                            next = found.0.max(next) + 1;
                            take(found)?;
                        }
                        Err(_) => break false,
                    },
                    Ok(None) => break true,
                    Err(_) => break false,
                }
            };
            if ended {
                break;
            }
        }
        // The run broke: feel the way forward one by one, past the page that is damaged.
        let mut skipped = 0;
        while next <= newest {
            let found = source
                .prepare_cached(&format!("SELECT {COLUMNS} FROM entry WHERE seq = ?"))
                .and_then(|mut one| one.query_row([next], row).optional());
            next += 1;
            match found {
                Ok(Some(found)) => {
                    take(found)?;
                    if skipped > 0 {
                        break;
                    }
                }
                _ => skipped += 1,
            }
        }
    }
    Ok(copied)
}

/// Lanes, dead letters and quarantine, as far as they can be read. Open batches are not taken over: their rows may be others now.
fn copy_rest(source: &Connection, target: &Connection) -> rusqlite::Result<()> {
    let copies = [
        ("SELECT name, confirmed FROM lane", "INSERT OR IGNORE INTO lane (name, confirmed) VALUES (?, ?)"),
        ("SELECT key, value FROM meta WHERE key LIKE 'rests:%'", "INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)"),
        (
            "SELECT id, lane, event, batch, time, reason, project, json, bytes, crc, payload FROM dead_letter",
            "INSERT OR IGNORE INTO dead_letter (id, lane, event, batch, time, reason, project, json, bytes, crc, payload)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ),
        (
            "SELECT seq, time, reason, lane, project, events, bytes, crc, payload FROM quarantine",
            "INSERT OR IGNORE INTO quarantine (seq, time, reason, lane, project, events, bytes, crc, payload)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ),
    ];
    for (select, insert) in copies {
        let mut insert = target.prepare(insert)?;
        let Ok(mut select) = source.prepare(select) else { continue };
        let columns = select.column_count();
        let Ok(mut rows) = select.query([]) else { continue };
        while let Ok(Some(found)) = rows.next() {
            let Ok(values) = (0..columns).map(|column| found.get::<_, rusqlite::types::Value>(column)).collect::<Result<Vec<_>, _>>()
            else {
                continue;
            };
            // A value of the wrong type is damage too.
            match insert.execute(rusqlite::params_from_iter(values)) {
                Err(error) if remedy(&error) != Remedy::None => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
