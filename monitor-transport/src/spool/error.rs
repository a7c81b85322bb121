//! Why a spool cannot be opened or read.

use std::{io, path::PathBuf, sync::Arc};

/// Why a spool could not be opened, or not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The directory or a file in it cannot be created or written.
    #[error("cannot use the spool directory {}", path.display())]
    Directory {
        /// What was tried.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("the spool {} is locked by pid {pid}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who holds it; `?` when it did not say.
        pid: String,
    },
    /// A newer version of this library wrote the files. They were not touched.
    #[error("the spool {} has format {found}, this version reads up to {known}", path.display())]
    NewerFormat {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest one that is understood.
        known: i64,
    },
    /// Two sinks have the same name.
    #[error("two sinks are named {0}")]
    DuplicateSink(String),
    /// A sink's name is empty or longer than 64 bytes.
    #[error("the name of a sink must have 1 to 64 bytes: {0:?}")]
    BadSinkName(String),
    /// A setting makes no sense; the text says which and why.
    #[error("{0}")]
    BadSetting(&'static str),
    /// Lanes are tasks of a tokio runtime; there is none here.
    #[error("a spool must be opened inside a tokio runtime")]
    NoRuntime,
    /// The system refused a thread.
    #[error("cannot start the spool's writer thread")]
    Thread(#[source] io::Error),
    /// The database failed.
    #[error("the spool {} cannot be used", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What it said.
        #[source]
        source: Failure,
    },
    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,
}

/// What the database said. One failed commit is told to everybody who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the spool's database failed")]
pub struct Failure(#[source] Arc<rusqlite::Error>);

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure(Arc::new(error))
    }
}

impl Failure {
    pub(crate) fn remedy(&self) -> Remedy {
        remedy(&self.0)
    }

    /// The error and its cause in one line, for logs.
    pub(crate) fn report(&self) -> String {
        format!("{self}: {}", self.0)
    }
}

/// What to do about an error of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// No room: roll back, refuse, look again later.
    Wait,
    /// A read or write failed: never use this connection again.
    Reopen,
    /// What is in the file makes no sense.
    Salvage,
    /// A fault of ours or of the moment: roll back and go on.
    None,
}

/// Extended codes, <https://www.sqlite.org/rescode.html>.
const IOERR_SHMSIZE: i32 = 4874;

pub(crate) fn remedy(error: &rusqlite::Error) -> Remedy {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase, SystemIoFailure};
    match error.sqlite_error() {
        // The shared-memory file could not grow: the same full disk, met in another file.
        Some(code) if code.extended_code == IOERR_SHMSIZE => Remedy::Wait,
        Some(code) => match code.code {
            DiskFull => Remedy::Wait,
            SystemIoFailure | CannotOpen => Remedy::Reopen,
            DatabaseCorrupt | NotADatabase => Remedy::Salvage,
            _ => Remedy::None,
        },
        None => Remedy::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_error_has_its_remedy() {
        let cases = [
            (13, Remedy::Wait),
            (IOERR_SHMSIZE, Remedy::Wait),
            (10, Remedy::Reopen),
            (1034, Remedy::Reopen), // fsync
            (778, Remedy::Reopen),  // write
            (14, Remedy::Reopen),
            (11, Remedy::Salvage),
            (26, Remedy::Salvage),
            (5, Remedy::None),
            (19, Remedy::None),
        ];
        for (code, expected) in cases {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            assert_eq!(remedy(&error), expected, "{code}");
        }
        assert_eq!(remedy(&rusqlite::Error::QueryReturnedNoRows), Remedy::None);
    }
}
