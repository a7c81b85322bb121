//! Questions about what visitors do one after the other: funnels, retention, paths.

use serde::{Deserialize, Serialize};

use super::{Field, Filter, check_filters, check_range};
use crate::Kind;

/// Something that happens: an event of one of these kinds that meets all filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Happening {
    /// Only these kinds; all when empty.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// All must hold.
    #[serde(default)]
    pub filters: Vec<Filter>,
}

/// Whose events belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Those of a visitor (of a session, when the visitor is not known).
    #[default]
    Visitor,
    /// Those of a session.
    Session,
}

/// How many get from one step to the next, in this order, within a time.
///
/// Answer: a [`Table`](super::Table) with a row for each step: `step` (from 1), `label`, `count`, `share` (of those who made the first step,
/// 0 to 1), `share_of_previous`, `median_ms` (time since the step before; null for the first).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunnelQuery {
    /// The project to read.
    pub project: String,
    /// Start, ms since the Unix epoch, inclusive.
    pub from: i64,
    /// End, ms since the Unix epoch, exclusive.
    pub to: i64,
    /// Must hold for every event that is looked at.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// 2 to 10 steps.
    pub steps: Vec<FunnelStep>,
    /// Longest time from the first step to the last, ms. Default: a day.
    #[serde(default = "a_day")]
    pub within: i64,
    /// Who makes the steps.
    #[serde(default)]
    pub by: Who,
    /// Reads every event instead of a sample.
    #[serde(default)]
    pub exact: bool,
}

/// A step of a funnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunnelStep {
    /// What it is called in the answer.
    #[serde(default)]
    pub label: String,
    /// Only these kinds; all when empty.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// All must hold.
    #[serde(default)]
    pub filters: Vec<Filter>,
}

/// Which share of those who came in a period comes again in the periods after it.
///
/// Answer: a [`Table`](super::Table) with a row for each cohort and period: `cohort` (start of its period, ms), `period` (0 is the cohort's own),
/// `count`, `share` (of the cohort, 0 to 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionQuery {
    /// The project to read.
    pub project: String,
    /// Start, ms since the Unix epoch, inclusive.
    pub from: i64,
    /// End, ms since the Unix epoch, exclusive.
    pub to: i64,
    /// Must hold for every event that is looked at.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// Length of a period.
    #[serde(default)]
    pub period: Period,
    /// What makes somebody a member of a cohort: the first such event in the range. Default: any event.
    #[serde(default)]
    pub first: Happening,
    /// What counts as coming again. Default: any event.
    #[serde(default)]
    pub again: Happening,
    /// Reads every event instead of a rollup or a sample.
    #[serde(default)]
    pub exact: bool,
}

/// Length of a period of a [`RetentionQuery`], in UTC; weeks begin on Monday.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day.
    #[default]
    Day,
    /// A week.
    Week,
}

/// Which pages visitors see one after the other within a session.
///
/// Answer: a [`Table`](super::Table) with a row for each passage: `step` (from 1), `source`, `target` (routes; a target of null is the end of the
/// session), `count` (sessions).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathQuery {
    /// The project to read.
    pub project: String,
    /// Start, ms since the Unix epoch, inclusive.
    pub from: i64,
    /// End, ms since the Unix epoch, exclusive.
    pub to: i64,
    /// Must hold for every event that is looked at.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// Begin at the first view of this route; at the first view of the session without it.
    #[serde(default)]
    pub start: Option<String>,
    /// Passages followed: 1 to 10. Default: 4.
    #[serde(default = "four")]
    pub depth: u32,
    /// Passages of each step that are told apart: 1 to 100. Default: 20.
    #[serde(default = "twenty")]
    pub limit: u32,
    /// Reads every event instead of a sample.
    #[serde(default)]
    pub exact: bool,
}

fn a_day() -> i64 {
    86_400_000
}

fn four() -> u32 {
    4
}

fn twenty() -> u32 {
    20
}

impl FunnelQuery {
    /// Names of the answer's columns, in order.
    pub const COLUMNS: [&str; 6] = ["step", "label", "count", "share", "share_of_previous", "median_ms"];

    /// Checks what the types cannot.
    pub fn validate(&self) -> Result<(), String> {
        check_range(self.from, self.to)?;
        check_filters(&self.filters)?;
        if !(2..=10).contains(&self.steps.len()) {
            return Err("a funnel has 2 to 10 steps".into());
        }
        if !(1_000..=super::MAX_RANGE).contains(&self.within) {
            return Err("within must be 1 second to 400 days, in ms".into());
        }
        for step in &self.steps {
            check_filters(&step.filters)?;
            if step.label.len() > 200 {
                return Err("a label has at most 200 bytes".into());
            }
        }
        Ok(())
    }
}

impl RetentionQuery {
    /// Names of the answer's columns, in order.
    pub const COLUMNS: [&str; 4] = ["cohort", "period", "count", "share"];

    /// Checks what the types cannot.
    pub fn validate(&self) -> Result<(), String> {
        check_range(self.from, self.to)?;
        check_filters(&self.filters)?;
        check_filters(&self.first.filters)?;
        check_filters(&self.again.filters)?;
        if self.to - self.from > 100 * self.period.ms() {
            return Err("a question about retention spans at most 100 periods".into());
        }
        Ok(())
    }
}

impl Period {
    /// Its length, ms.
    pub fn ms(self) -> i64 {
        match self {
            Period::Day => 86_400_000,
            Period::Week => 7 * 86_400_000,
        }
    }
}

impl PathQuery {
    /// Names of the answer's columns, in order.
    pub const COLUMNS: [&str; 5] = ["step", "source", "target", "count", "share"];

    /// Checks what the types cannot.
    pub fn validate(&self) -> Result<(), String> {
        check_range(self.from, self.to)?;
        check_filters(&self.filters)?;
        if !(1..=10).contains(&self.depth) {
            return Err("depth must be 1 to 10".into());
        }
        if !(1..=100).contains(&self.limit) {
            return Err("limit must be 1 to 100".into());
        }
        if self.filters.iter().any(|filter| filter.field == Field::Kind) {
            return Err("paths are made of page views: kinds cannot be filtered".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_funnel_has_steps_and_a_time() {
        let funnel = |steps: &str, within: i64| {
            let json = format!(r#"{{"project":"p","from":0,"to":1000,"within":{within},"steps":{steps}}}"#);
            serde_json::from_str::<FunnelQuery>(&json).map_err(|error| error.to_string())?.validate()
        };
        assert_eq!(funnel(r#"[{"kinds":["page_view"]},{"kinds":["click"]}]"#, 60_000), Ok(()));
        assert!(funnel(r#"[{"kinds":["page_view"]}]"#, 60_000).unwrap_err().contains("2 to 10"));
        assert!(funnel(r#"[{},{}]"#, 5).unwrap_err().contains("within"));
        assert!(funnel(r#"[{},{"sql":1}]"#, 60_000).unwrap_err().contains("unknown field"));
    }

    #[test]
    fn retention_and_paths_are_limited() {
        let days = |days: i64| format!(r#"{{"project":"p","from":0,"to":{}}}"#, days * 86_400_000);
        let retention = |json: &str| serde_json::from_str::<RetentionQuery>(json).unwrap().validate();
        assert_eq!(retention(&days(30)), Ok(()));
        assert!(retention(&days(101)).unwrap_err().contains("100 periods"));
        let mut path: PathQuery = serde_json::from_str(&days(1)).unwrap();
        assert_eq!((path.depth, path.limit, path.validate()), (4, 20, Ok(())));
        path.depth = 11;
        assert!(path.validate().unwrap_err().contains("depth"));
    }
}
