//! Whose events of a day are no longer kept.

use std::collections::BTreeSet;

use crate::config::Options;

/// The projects whose retention has passed for a day: all but the named ones, or none but these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expired {
    others: bool,
    named: BTreeSet<String>,
}

impl Expired {
    /// As seen on the day `today` (days since 1970).
    pub(super) fn on(options: &Options, day: i64, today: i64) -> Expired {
        let passed = |days: u32| days > 0 && day + i64::from(days) <= today;
        let others = passed(options.retention_days);
        let named = options.project_retention.iter().filter(|(_, days)| passed(**days) != others).map(|(project, _)| project.clone());
        Expired { others, named: named.collect() }
    }

    pub(super) fn contains(&self, project: &str) -> bool {
        self.others != self.named.contains(project)
    }

    /// No project's.
    pub(super) fn is_empty(&self) -> bool {
        !self.others && self.named.is_empty()
    }

    /// A number that tells it from others; 0 when it is empty.
    pub(super) fn hash(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        // FNV-1a; a project's name has no comma.
        let text =
            self.named.iter().fold(if self.others { "all but".to_owned() } else { "only".to_owned() }, |text, name| text + "," + name);
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(days: u32, projects: &[(&str, u32)]) -> Options {
        let project_retention = projects.iter().map(|(project, days)| ((*project).to_owned(), *days)).collect();
        Options { retention_days: days, project_retention, ..Options::default() }
    }

    #[test]
    fn each_project_has_its_own_time() {
        let options = options(30, &[("short", 7), ("long", 90), ("kept", 0)]);
        let expired = |age: i64| {
            let expired = Expired::on(&options, 1_000, 1_000 + age);
            ["short", "other", "long", "kept"].map(|project| expired.contains(project))
        };
        assert_eq!(expired(6), [false; 4]);
        assert_eq!(expired(7), [true, false, false, false]);
        assert_eq!(expired(30), [true, true, false, false]);
        assert_eq!(expired(90), [true, true, true, false]);
    }

    #[test]
    fn what_differs_has_another_hash() {
        let options = options(30, &[("short", 7), ("long", 90)]);
        let hashes = [0, 7, 30, 90].map(|age| Expired::on(&options, 1_000, 1_000 + age).hash());
        assert_eq!(hashes[0], 0);
        assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), 4);
    }
}
