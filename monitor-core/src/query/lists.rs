//! Lists of what events belong to: sessions and issues.

use serde::{Deserialize, Serialize};

use super::{Filter, MAX_LIMIT, check_filters, check_range};

/// A list of sessions that began in the range or went on in it.
///
/// Answer: a [`Table`](super::Table) with [these columns](SessionQuery::COLUMNS): times in ms, counts of the session's events within the range,
/// `entry` and `exit` are the first and the last route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionQuery {
    /// The project to read.
    pub project: String,
    /// Start, ms since the Unix epoch, inclusive.
    pub from: i64,
    /// End, ms since the Unix epoch, exclusive.
    pub to: i64,
    /// A session is listed when one of its events meets all of them.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// Which come first.
    #[serde(default)]
    pub order: SessionOrder,
    /// Most sessions returned.
    #[serde(default = "a_hundred")]
    pub limit: u32,
    /// How many to pass over.
    #[serde(default)]
    pub offset: u32,
}

/// Order of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionOrder {
    /// By their last event, latest first.
    #[default]
    Newest,
    /// Most errors first.
    Errors,
    /// Longest first.
    Longest,
}

/// A list of issues: errors and messages grouped by their fingerprint.
///
/// Answer: a [`Table`](super::Table) with [these columns](IssueQuery::COLUMNS). `count`, `users` and `sessions` are of the range; `first_seen` and
/// `last_seen` of all that is kept, ms; `spark` has 24 counts, one for each 24th of the range; `release_first` and `release_last` are the releases
/// it was first and last seen in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueQuery {
    /// The project to read.
    pub project: String,
    /// Start, ms since the Unix epoch, inclusive.
    pub from: i64,
    /// End, ms since the Unix epoch, exclusive.
    pub to: i64,
    /// Must hold for the events that are counted.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// Only issues in one of these states; all when empty.
    #[serde(default)]
    pub status: Vec<IssueStatus>,
    /// Only issues whose name or message contains this, whatever the case.
    #[serde(default)]
    pub search: String,
    /// Which come first.
    #[serde(default)]
    pub order: IssueOrder,
    /// Most issues returned.
    #[serde(default = "a_hundred")]
    pub limit: u32,
}

/// Order of issues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueOrder {
    /// Most events first.
    #[default]
    Count,
    /// Most users first.
    Users,
    /// Seen last first.
    LastSeen,
    /// Newest first.
    FirstSeen,
}

/// State of an issue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueStatus {
    /// Nobody has decided about it.
    #[default]
    Open,
    /// Said to be mended, and not seen since.
    Resolved,
    /// Said to be mended, and seen again: after that time, or in another release than the one that mended it when that is named.
    Regressed,
    /// Of no interest.
    Ignored,
}

/// What somebody has decided about an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueState {
    /// Its project.
    pub project: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// `open`, `resolved` or `ignored`; `regressed` is worked out, never set.
    pub status: IssueStatus,
}

fn a_hundred() -> u32 {
    100
}

impl SessionQuery {
    /// Names of the answer's columns, in order.
    pub const COLUMNS: [&str; 18] = [
        "session",
        "visitor",
        "user",
        "start",
        "end",
        "events",
        "views",
        "errors",
        "clicks",
        "rage_clicks",
        "failures",
        "entry",
        "exit",
        "browser",
        "os",
        "device",
        "country",
        "release",
    ];

    /// Checks what the types cannot.
    pub fn validate(&self) -> Result<(), String> {
        check_range(self.from, self.to)?;
        check_filters(&self.filters)?;
        check_limit(self.limit)?;
        if self.offset > MAX_LIMIT { Err(format!("offset must be at most {MAX_LIMIT}")) } else { Ok(()) }
    }
}

impl IssueQuery {
    /// Names of the answer's columns, in order.
    pub const COLUMNS: [&str; 13] = [
        "fingerprint",
        "kind",
        "name",
        "message",
        "status",
        "count",
        "users",
        "sessions",
        "first_seen",
        "last_seen",
        "release_first",
        "release_last",
        "spark",
    ];

    /// Checks what the types cannot.
    pub fn validate(&self) -> Result<(), String> {
        check_range(self.from, self.to)?;
        check_filters(&self.filters)?;
        check_limit(self.limit)?;
        if self.search.len() > 4_096 { Err("search is longer than 4096 bytes".into()) } else { Ok(()) }
    }
}

impl IssueState {
    /// Checks what the types cannot.
    pub fn validate(&self) -> Result<(), String> {
        if self.fingerprint.is_empty() || self.fingerprint.len() > 200 {
            return Err("fingerprint must have 1 to 200 bytes".into());
        }
        if self.status == IssueStatus::Regressed { Err("an issue regresses by itself".into()) } else { Ok(()) }
    }
}

fn check_limit(limit: u32) -> Result<(), String> {
    if (1..=MAX_LIMIT).contains(&limit) { Ok(()) } else { Err(format!("limit must be 1 to {MAX_LIMIT}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_limited() {
        let mut sessions: SessionQuery = serde_json::from_str(r#"{"project":"p","from":0,"to":1000}"#).unwrap();
        assert_eq!((sessions.limit, sessions.validate()), (100, Ok(())));
        sessions.limit = 0;
        assert!(sessions.validate().unwrap_err().contains("limit"));
        let issues: IssueQuery = serde_json::from_str(r#"{"project":"p","from":0,"to":1000,"status":["open","regressed"]}"#).unwrap();
        assert_eq!(issues.validate(), Ok(()));
    }

    #[test]
    fn nobody_can_say_that_an_issue_regressed() {
        let state = |status| IssueState { project: "p".into(), fingerprint: "f".into(), status }.validate();
        assert_eq!(state(IssueStatus::Resolved), Ok(()));
        assert!(state(IssueStatus::Regressed).is_err());
    }
}
