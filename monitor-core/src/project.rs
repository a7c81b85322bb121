//! Projects: whose events these are, and who may send them.

use std::collections::HashMap;

/// One monitored application (a business line, a site).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Project {
    /// Id, 1–64 characters of `a-z A-Z 0-9 _ -`: part of the DSN and of every stored event.
    pub id: String,
    /// For people.
    pub name: String,
    /// Public, write-only ingest keys; several, so that they can be rotated.
    pub keys: Vec<String>,
    /// Origins that may send (`https://shop.example`, `https://*.shop.example`); all when empty.
    pub allowed_origins: Vec<String>,
    /// Most events per second; more are refused with 429.
    pub max_events_per_second: u32,
}

impl Project {
    /// A project with one key, open to every origin, at most 50,000 events per second.
    pub fn new(id: impl Into<String>, key: impl Into<String>) -> Project {
        let id = id.into();
        Project { name: id.clone(), id, keys: vec![key.into()], allowed_origins: Vec::new(), max_events_per_second: 50_000 }
    }

    /// The name people see; the id by default.
    pub fn name(mut self, name: impl Into<String>) -> Project {
        self.name = name.into();
        self
    }

    /// Adds an origin that may send; without any, all may.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Project {
        self.allowed_origins.push(origin.into());
        self
    }

    /// Most events per second; 50,000 by default.
    pub fn max_events_per_second(mut self, limit: u32) -> Project {
        self.max_events_per_second = limit;
        self
    }

    /// Whether a page of that origin may send. A sender without an `Origin` header is not a browser page and is asked for its key only.
    pub fn allows_origin(&self, origin: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        self.allowed_origins.is_empty() || self.allowed_origins.iter().any(|pattern| matches_origin(pattern, origin))
    }
}

/// `https://*.shop.example` matches every subdomain, not the domain itself.
fn matches_origin(pattern: &str, origin: &str) -> bool {
    match pattern.split_once("://*.") {
        Some((scheme, domain)) => origin
            .strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"))
            .and_then(|host| host.strip_suffix(domain))
            .is_some_and(|sub| sub.len() > 1 && sub.ends_with('.')),
        None => pattern.eq_ignore_ascii_case(origin),
    }
}

/// The projects of one monitor, by id and by key.
#[derive(Clone, Debug, Default)]
pub struct Projects {
    list: Vec<Project>,
    by_key: HashMap<String, usize>,
}

/// The projects contradict each other.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// The id has other characters or a wrong length.
    #[error("project id {0:?} is not 1 to 64 characters of a-z, A-Z, 0-9, _ and -")]
    BadId(String),
    /// Two projects have the same id.
    #[error("project {0:?} is defined twice")]
    SameId(String),
    /// A key is empty, longer than 128 bytes or has characters that do not fit into a URL.
    #[error("a key of project {0:?} is not 1 to 128 characters of a-z, A-Z, 0-9, _ and -")]
    BadKey(String),
    /// Two projects have the same key.
    #[error("projects {0:?} and {1:?} share a key")]
    SameKey(String, String),
}

impl Projects {
    /// Indexes the projects.
    pub fn new(list: Vec<Project>) -> Result<Projects, ProjectError> {
        let mut by_key: HashMap<String, usize> = HashMap::new();
        for (n, project) in list.iter().enumerate() {
            if !is_word(&project.id, 64) {
                return Err(ProjectError::BadId(project.id.clone()));
            }
            if list.iter().take(n).any(|other| other.id == project.id) {
                return Err(ProjectError::SameId(project.id.clone()));
            }
            for key in &project.keys {
                if !is_word(key, 128) {
                    return Err(ProjectError::BadKey(project.id.clone()));
                }
                if let Some(other) = by_key.insert(key.clone(), n)
                    && other != n
                {
                    let other = list.get(other).map(|project| project.id.clone()).unwrap_or_default();
                    return Err(ProjectError::SameKey(other, project.id.clone()));
                }
            }
        }
        Ok(Projects { list, by_key })
    }

    /// The project a key opens.
    pub fn by_key(&self, key: &str) -> Option<&Project> {
        self.by_key.get(key).and_then(|&n| self.list.get(n))
    }

    /// The project of that id.
    pub fn by_id(&self, id: &str) -> Option<&Project> {
        self.list.iter().find(|project| project.id == id)
    }

    /// All, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Project> {
        self.list.iter()
    }
}

fn is_word(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_its_project_only() {
        let projects = Projects::new(vec![Project::new("a", "key-a"), Project::new("b", "key-b")]).unwrap();
        assert_eq!(projects.by_key("key-b").unwrap().id, "b");
        assert!(projects.by_key("key-c").is_none());
    }

    #[test]
    fn contradictions_are_refused() {
        let check = |list| Projects::new(list).unwrap_err().to_string();
        assert!(check(vec![Project::new("a b", "k")]).contains("a b"));
        assert!(check(vec![Project::new("a", "k"), Project::new("a", "l")]).contains("twice"));
        assert!(check(vec![Project::new("a", "k"), Project::new("b", "k")]).contains("share"));
        assert!(check(vec![Project::new("a", "")]).contains("key"));
    }

    #[test]
    fn origins_match_exactly_or_by_subdomain() {
        let project = Project::new("a", "k").allow_origin("https://shop.example").allow_origin("https://*.cdn.example");
        for (origin, allowed) in [
            (Some("https://shop.example"), true),
            (Some("https://eu.cdn.example"), true),
            (Some("https://cdn.example"), false),
            (Some("https://evilcdn.example"), false),
            (Some("http://shop.example"), false),
            (Some("null"), false),
            (None, true),
        ] {
            assert_eq!(project.allows_origin(origin), allowed, "{origin:?}");
        }
        assert!(Project::new("a", "k").allows_origin(Some("https://any.example")));
    }
}
