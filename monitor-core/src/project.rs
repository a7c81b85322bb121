//! Projects: whose events these are, and who may send them.

use std::{collections::HashMap, net::Ipv6Addr};

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
    /// Origins that may send (`https://shop.example`, `https://*.shop.example`); all when empty. [`Projects::new`] writes them as browsers do.
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

    /// Adds an origin that may send: `https://shop.example`, or `https://*.shop.example` for all its subdomains. Without any, all may.
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
    let Some((scheme, domain)) = pattern.split_once("://*.") else { return pattern.eq_ignore_ascii_case(origin) };
    let Some((sent, host)) = origin.split_once("://") else { return false };
    let split = host.split_at_checked(host.len().saturating_sub(domain.len()));
    let is_sub = |(sub, end): (&str, &str)| sub.len() > 1 && sub.ends_with('.') && end.eq_ignore_ascii_case(domain);
    sent.eq_ignore_ascii_case(scheme) && split.is_some_and(is_sub)
}

/// The origin as browsers write it; `None` for what none of them sends.
fn as_browsers_write(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    // Pages without an origin of their own, and files in a web view.
    if matches!(origin.as_str(), "null" | "file://") {
        return Some(origin);
    }
    let (scheme, rest) = origin.strip_suffix('/').unwrap_or(&origin).split_once("://")?;
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_scheme) {
        return None;
    }
    // Between the brackets of an IPv6 address a colon begins no port.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse::<u16>().ok()?),
        Some(_) => return None,
        None => None,
    };
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => format!("[{}]", address.parse::<Ipv6Addr>().ok()?),
        None if is_domain(host.strip_prefix("*.").unwrap_or(host)) => host.to_owned(),
        None => return None,
    };
    Some(match (scheme, port) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    })
}

/// Labels with dots between them; one may follow the last.
fn is_domain(host: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    host.strip_suffix('.').unwrap_or(host).split('.').all(is_label)
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
    /// No browser sends such an origin: it would never match.
    #[error(
        "project {project:?} cannot allow the origin {origin:?}: expected is https://shop.example, or https://*.shop.example for all \
         subdomains; without a list, every origin may send"
    )]
    BadOrigin {
        /// The id of the project.
        project: String,
        /// What was to be allowed.
        origin: String,
    },
}

impl Projects {
    /// Checks and indexes the projects.
    pub fn new(mut list: Vec<Project>) -> Result<Projects, ProjectError> {
        for project in &mut list {
            for origin in &mut project.allowed_origins {
                let bad = || ProjectError::BadOrigin { project: project.id.clone(), origin: origin.clone() };
                *origin = as_browsers_write(origin).ok_or_else(bad)?;
            }
        }
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

    #[test]
    fn an_origin_matches_however_its_owner_writes_it() {
        for (written, sent) in [
            ("https://shop.example/", "https://shop.example"),
            ("https://shop.example:443", "https://shop.example"),
            ("http://shop.example:80/", "http://shop.example"),
            ("https://shop.example:8443", "https://shop.example:8443"),
            ("https://shop.example:80", "https://shop.example:80"),
            ("HTTPS://Shop.example", "https://shop.example"),
            ("https://*.Shop.example", "https://eu.shop.example"),
            ("https://*.shop.example:443", "https://eu.shop.example"),
            ("https://*.shop.example:8443", "https://a.b.shop.example:8443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]", "http://[::1]"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("file://", "file://"),
            ("null", "null"),
        ] {
            let projects = Projects::new(vec![Project::new("a", "k").allow_origin(written)]).unwrap();
            let project = projects.by_id("a").unwrap();
            assert!(project.allows_origin(Some(sent)), "{written}");
            assert!(!project.allows_origin(Some("https://other.example")), "{written}");
            assert!(!project.allows_origin(Some("https://.shop.example")), "{written}");
        }
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused() {
        for origin in [
            "",
            "*",
            "shop.example",
            "*.shop.example",
            "//shop.example",
            "://shop.example",
            "https://",
            "https://*",
            "https://*.",
            "https://*.*.example",
            "https://shop.*",
            "https://*shop.example",
            "https://.shop.example",
            "https://shop..example",
            "https://shop.example/shop",
            "https://shop.example//",
            "https://shop.example?a",
            "https://shop.example:",
            "https://shop.example:*",
            "https://shop.example:65536",
            "https://shop.example:+1",
            "https://me@shop.example",
            "https://[::1",
            "https://[*.::1]",
            "https://[shop]",
            "https://sh\u{f6}p.example",
            " https://shop.example",
            "https://shop.example ",
            "https://a.example,https://b.example",
        ] {
            let error = Projects::new(vec![Project::new("a", "k").allow_origin(origin)]).unwrap_err().to_string();
            assert!(error.contains(&format!("{origin:?}")) && error.contains("https://*.shop.example"), "{error}");
        }
    }
}
