//! What an error of ClickHouse means: the only file that knows its error codes.
//!
//! Codes are matched exactly. A code that is not listed is taken for a wrong configuration: the batch waits and somebody
//! is told, because guessing "bad data" would throw a whole stream away and guessing "busy" would hide the fault.

use std::time::Duration;

use clickhouse::error::Error;
use monitor_core::{QueryError, WriteError};

use Class::{Busy, Data, Expensive, Setup};

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The server is absent, overloaded or in trouble that passes: try the same again.
    Busy,
    /// The limits of a question were reached. An insert that meets one is tried again.
    Expensive,
    /// Table, permission, setting or disk are not as they should be: a person must act, until then nothing may be given up.
    Setup,
    /// The rows themselves cannot be stored: trying them again is useless.
    Data,
}

/// How long a batch waits when a person must act.
const WAIT_FOR_SETUP: Duration = Duration::from_secs(60);

/// There is no such table.
pub(crate) const UNKNOWN_TABLE: u32 = 60;
/// The table exists already.
pub(crate) const TABLE_ALREADY_EXISTS: u32 = 57;
/// There is no such database.
pub(crate) const UNKNOWN_DATABASE: u32 = 81;
/// The user may not do that.
pub(crate) const ACCESS_DENIED: u32 = 497;

/// `throwIf`: a day that is not over has been rolled up again since the question was planned.
pub(crate) const ROLLED_UP_SINCE: u32 = 395;

/// ClickHouse's error codes that mean something to us, with their names there.
const CODES: &[(u32, &str, Class)] = &[
    (3, "UNEXPECTED_END_OF_FILE", Busy),
    (6, "CANNOT_PARSE_TEXT", Data),
    (16, "NO_SUCH_COLUMN_IN_TABLE", Setup),
    (23, "CANNOT_READ_FROM_ISTREAM", Busy),
    (24, "CANNOT_WRITE_TO_OSTREAM", Busy),
    (25, "CANNOT_PARSE_ESCAPE_SEQUENCE", Data),
    (26, "CANNOT_PARSE_QUOTED_STRING", Data),
    (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", Data),
    // A body that broke off on its way is cut, not wrong: we know the bytes were right when they left.
    (32, "ATTEMPT_TO_READ_AFTER_EOF", Busy),
    (33, "CANNOT_READ_ALL_DATA", Busy),
    (38, "CANNOT_PARSE_DATE", Data),
    (41, "CANNOT_PARSE_DATETIME", Data),
    (46, "UNKNOWN_FUNCTION", Setup),
    (47, "UNKNOWN_IDENTIFIER", Setup),
    (53, "TYPE_MISMATCH", Setup),
    (TABLE_ALREADY_EXISTS, "TABLE_ALREADY_EXISTS", Setup),
    (UNKNOWN_TABLE, "UNKNOWN_TABLE", Setup),
    (62, "SYNTAX_ERROR", Setup),
    (69, "ARGUMENT_OUT_OF_BOUND", Data),
    (70, "CANNOT_CONVERT_TYPE", Data),
    (72, "CANNOT_PARSE_NUMBER", Data),
    (UNKNOWN_DATABASE, "UNKNOWN_DATABASE", Setup),
    (107, "FILE_DOESNT_EXIST", Busy),
    (115, "UNKNOWN_SETTING", Setup),
    (117, "INCORRECT_DATA", Data),
    (131, "TOO_LARGE_STRING_SIZE", Data),
    (158, "TOO_MANY_ROWS", Expensive),
    (159, "TIMEOUT_EXCEEDED", Expensive),
    (160, "TOO_SLOW", Expensive),
    (164, "READONLY", Setup),
    (173, "CANNOT_ALLOCATE_MEMORY", Busy),
    (190, "SIZES_OF_ARRAYS_DONT_MATCH", Data),
    (192, "UNKNOWN_USER", Setup),
    (193, "WRONG_PASSWORD", Setup),
    (194, "REQUIRED_PASSWORD", Setup),
    (198, "DNS_ERROR", Busy),
    (201, "QUOTA_EXCEEDED", Busy),
    (202, "TOO_MANY_SIMULTANEOUS_QUERIES", Busy),
    (203, "NO_FREE_CONNECTION", Busy),
    (209, "SOCKET_TIMEOUT", Busy),
    (210, "NETWORK_ERROR", Busy),
    (225, "NO_ZOOKEEPER", Busy),
    (236, "ABORTED", Busy),
    (241, "MEMORY_LIMIT_EXCEEDED", Expensive),
    (242, "TABLE_IS_READ_ONLY", Busy),
    (243, "NOT_ENOUGH_SPACE", Busy),
    // 252 also means the opposite, see `TOO_MANY_PARTITIONS`.
    (252, "TOO_MANY_PARTS", Busy),
    (279, "ALL_CONNECTION_TRIES_FAILED", Busy),
    (285, "TOO_FEW_LIVE_REPLICAS", Busy),
    (291, "DATABASE_ACCESS_DENIED", Setup),
    (307, "TOO_MANY_BYTES", Expensive),
    (319, "UNKNOWN_STATUS_OF_INSERT", Busy),
    (335, "BARRIER_TIMEOUT", Busy),
    (341, "UNFINISHED", Busy),
    (349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", Data),
    (376, "CANNOT_PARSE_UUID", Data),
    (394, "QUERY_WAS_CANCELLED", Busy),
    (ROLLED_UP_SINCE, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", Busy),
    (396, "TOO_MANY_ROWS_OR_BYTES", Expensive),
    (416, "TOO_MANY_REDIRECTS", Setup),
    (425, "SYSTEM_ERROR", Busy),
    (439, "CANNOT_SCHEDULE_TASK", Busy),
    (452, "SETTING_CONSTRAINT_VIOLATION", Setup),
    (469, "VIOLATED_CONSTRAINT", Data),
    (473, "DEADLOCK_AVOIDED", Busy),
    (ACCESS_DENIED, "ACCESS_DENIED", Setup),
    (499, "S3_ERROR", Busy),
    (516, "AUTHENTICATION_FAILED", Setup),
    (517, "CANNOT_ASSIGN_ALTER", Busy),
    (574, "TOO_MANY_PENDING_TASKS", Busy),
    (999, "KEEPER_EXCEPTION", Busy),
    (1002, "UNKNOWN_EXCEPTION", Busy),
];

/// `TOO_MANY_ROWS_OR_BYTES`: of the answer.
const TOO_LARGE: u32 = 396;
/// 252 with this text: one insert touches more days than the server allows. Waiting does not help, halving does.
const TOO_MANY_PARTITIONS: &str = "Too many partitions";

/// What an error means.
pub(crate) fn classify(error: &Error) -> Class {
    match error {
        Error::Network(_) | Error::TimedOut => Busy,
        Error::BadResponse(text) => classify_text(text),
        // A wrong URL, an unsupported scheme, an answer that is not ClickHouse's.
        _ => Setup,
    }
}

fn classify_text(text: &str) -> Class {
    match code(text) {
        Some(252) if text.contains(TOO_MANY_PARTITIONS) => Data,
        Some(code) => CODES.iter().find(|(listed, ..)| *listed == code).map_or(Setup, |(.., class)| *class),
        None => classify_status(text),
    }
}

/// The code of an exception: `Code: 252. DB::Exception: …`.
pub(crate) fn code(text: &str) -> Option<u32> {
    let digits = text.trim_start().strip_prefix("Code: ")?;
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// The code of an error that is an exception of the server.
pub(crate) fn code_of(error: &Error) -> Option<u32> {
    match error {
        Error::BadResponse(text) => code(text),
        _ => None,
    }
}

/// An answer without a code comes from something in between, a proxy: its status is all there is, and often in the text.
fn classify_status(text: &str) -> Class {
    // Too large for the proxy: halves may pass.
    if text.starts_with("413 ") || text.contains("413 Request Entity Too Large") {
        return Data;
    }
    let refused = ["400 ", "401 ", "403 ", "404 ", "405 ", "407 "];
    if refused.iter().any(|status| text.starts_with(status)) { Setup } else { Busy }
}

/// The outcome of an insert that failed.
pub(crate) fn write_error(error: Error) -> WriteError {
    match classify(&error) {
        Busy | Expensive => WriteError::retryable(error),
        Setup => WriteError::retryable(error).after(WAIT_FOR_SETUP),
        Data => WriteError::rejected(error),
    }
}

/// The outcome of something a batch needs first (schema, look-up): it never refuses the batch.
pub(crate) fn preparation_error(error: Error) -> WriteError {
    match classify(&error) {
        Busy | Expensive => WriteError::retryable(error),
        Setup | Data => WriteError::retryable(error).after(WAIT_FOR_SETUP),
    }
}

/// The outcome of a question that failed.
pub(crate) fn query_error(error: Error) -> QueryError {
    match classify(&error) {
        Busy => QueryError::Unavailable(error.into()),
        Expensive if code_of(&error) == Some(TOO_LARGE) => QueryError::TooLarge,
        Expensive => QueryError::TooExpensive(limit(&error).into()),
        Setup | Data => QueryError::Failed(error.into()),
    }
}

/// Whether a question met a day that has been rolled up again since it was planned.
pub(crate) fn is_rolled_up_since(error: &QueryError) -> bool {
    matches!(error, QueryError::Unavailable(cause) if cause.downcast_ref::<Error>().and_then(code_of) == Some(ROLLED_UP_SINCE))
}

/// Which limit was reached, in words for the reader: the server's text may name tables and settings.
fn limit(error: &Error) -> &'static str {
    match code_of(error) {
        Some(159 | 160) => "it takes too long",
        Some(158 | 307) => "it reads too much",
        _ => "it needs too much memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(code: u32, text: &str) -> Error {
        Error::BadResponse(format!("Code: {code}. DB::Exception: {text} (version 26.7.2.1)"))
    }

    #[test]
    fn every_listed_code_leads_to_its_outcome() {
        for &(code, name, class) in CODES {
            assert_eq!(classify(&exception(code, name)), class, "{code} {name}");
            let error = write_error(exception(code, name));
            assert_eq!(error.is_retryable(), class != Data, "{code} {name}");
            assert_eq!(error.retry_after().is_some(), class == Setup, "{code} {name}");
            assert!(preparation_error(exception(code, name)).is_retryable(), "{code} {name}");
            let question = query_error(exception(code, name));
            assert_eq!(matches!(question, QueryError::TooExpensive(_) | QueryError::TooLarge), class == Expensive, "{code} {name}");
            assert_eq!(matches!(question, QueryError::TooLarge), name == "TOO_MANY_ROWS_OR_BYTES", "{code} {name}");
            assert_eq!(matches!(question, QueryError::Unavailable(_)), class == Busy, "{code} {name}");
        }
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0), "a code is listed twice or out of order");
    }

    #[test]
    fn the_two_meanings_of_252_are_told_apart() {
        assert_eq!(classify(&exception(252, "Too many parts (3000 with average size of 1 MiB) in table")), Busy);
        assert_eq!(classify(&exception(252, "Too many partitions for single INSERT block (more than 100)")), Data);
    }

    #[test]
    fn codes_are_matched_as_a_whole() {
        assert_eq!(classify(&exception(6, "x")), Data);
        for code in [0, 61, 600, 2410, 1241] {
            assert_eq!(classify(&exception(code, "x")), Setup, "{code}");
        }
        assert_eq!(code("Code: 99999999999999. DB::Exception"), None);
        assert_eq!(code("no Code: 241. here"), None);
    }

    #[test]
    fn answers_of_proxies_are_told_by_their_status() {
        let classify = |text: &str| classify(&Error::BadResponse(text.into()));
        assert_eq!(classify("503 Service Unavailable"), Busy);
        assert_eq!(classify("<html>bad gateway</html>"), Busy);
        assert_eq!(classify("403 Forbidden"), Setup);
        assert_eq!(classify("<h1>413 Request Entity Too Large</h1>"), Data);
    }

    #[test]
    fn what_is_not_an_answer_is_tried_again() {
        assert_eq!(classify(&Error::TimedOut), Busy);
        assert_eq!(classify(&Error::Network("refused".into())), Busy);
        assert_eq!(classify(&Error::Unsupported("https".into())), Setup);
    }

    #[test]
    fn readers_are_not_told_the_servers_text() {
        let error = query_error(exception(241, "(total) memory limit exceeded while reading secret.table"));
        assert_eq!(error.to_string(), "the question is too expensive: it needs too much memory");
    }
}
