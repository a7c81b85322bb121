//! Who a reader is, and what it may do where.

use std::{collections::BTreeMap, fmt, str::FromStr};

use monitor_core::Scope;
use serde::{Deserialize, Serialize};

/// What a reader may do in a project. Later ones include earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Look.
    Viewer,
    /// Decide about issues.
    Editor,
    /// All there is. (The figures of the whole process are for whoever may look at every project.)
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Viewer => "viewer",
            Role::Editor => "editor",
            Role::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        [Role::Viewer, Role::Editor, Role::Admin]
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or_else(|| format!("unknown role {:?}: it is viewer, editor or admin", text.chars().take(64).collect::<String>()))
    }
}

/// Who a reader is: a name, a role in some projects or in all.
///
/// ```
/// use monitor_http::access::{Identity, Role};
///
/// let anna = Identity::new("anna").in_project("shop", Role::Editor).in_project("blog", Role::Viewer);
/// assert_eq!(anna.role("shop"), Some(Role::Editor));
/// assert_eq!(anna.role("bank"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    name: String,
    everywhere: Option<Role>,
    projects: BTreeMap<String, Role>,
    expires: Option<i64>,
}

impl Identity {
    /// Somebody who may see nothing yet.
    pub fn new(name: impl Into<String>) -> Identity {
        Identity { name: name.into(), everywhere: None, projects: BTreeMap::new(), expires: None }
    }

    /// Gives a role in every project, those to come included. A larger role in a single project stays.
    pub fn everywhere(mut self, role: Role) -> Identity {
        self.everywhere = Some(role);
        self
    }

    /// Gives a role in one project. Of two the larger one counts.
    pub fn in_project(mut self, project: impl Into<String>, role: Role) -> Identity {
        let held = self.projects.entry(project.into()).or_insert(role);
        *held = role.max(*held);
        self
    }

    /// When it ends, ms since the Unix epoch; only to tell its owner. Default: never.
    pub fn until(mut self, expires: Option<i64>) -> Identity {
        self.expires = expires;
        self
    }

    /// Its name, for its owner and for logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The role in all projects.
    pub fn role_everywhere(&self) -> Option<Role> {
        self.everywhere
    }

    /// What it may do in a project; `None` when the project does not exist for it.
    pub fn role(&self, project: &str) -> Option<Role> {
        self.projects.get(project).copied().max(self.everywhere)
    }

    /// When it ends, ms since the Unix epoch.
    pub fn expires(&self) -> Option<i64> {
        self.expires
    }

    /// With everything that another one may do.
    pub(super) fn with(self, other: &Identity) -> Identity {
        let everywhere = self.everywhere.max(other.everywhere);
        let all = other.projects.iter().fold(self, |all, (project, role)| all.in_project(project, *role));
        Identity { everywhere, ..all }
    }

    /// The projects that it may see: the tenant filter, made here and nowhere else.
    pub fn scope(&self) -> Scope {
        match self.everywhere {
            Some(_) => Scope::All,
            None => Scope::Projects(self.projects.keys().cloned().collect()),
        }
    }
}

/// A reader of whom only the scope is known may look.
impl From<Scope> for Identity {
    fn from(scope: Scope) -> Identity {
        let reader = Identity::new("reader");
        match scope {
            Scope::All => reader.everywhere(Role::Viewer),
            Scope::Projects(projects) => projects.into_iter().fold(reader, |reader, project| reader.in_project(project, Role::Viewer)),
            // A scope that this version does not know opens nothing.
            _ => reader,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_is_what_the_roles_say() {
        let anna = Identity::new("anna").in_project("shop", Role::Admin).in_project("shop", Role::Viewer).in_project("blog", Role::Viewer);
        assert_eq!(anna.scope(), Scope::Projects(vec!["blog".into(), "shop".into()]));
        assert_eq!((anna.role("shop"), anna.role("blog"), anna.role("bank")), (Some(Role::Admin), Some(Role::Viewer), None));
        assert_eq!(Identity::new("nobody").scope(), Scope::Projects(vec![]));
        let all = Identity::new("all").everywhere(Role::Viewer).in_project("shop", Role::Editor);
        assert_eq!((all.scope(), all.role("shop"), all.role("bank")), (Scope::All, Some(Role::Editor), Some(Role::Viewer)));
    }

    #[test]
    fn a_scope_alone_may_only_look() {
        let reader = Identity::from(Scope::Projects(vec!["shop".into()]));
        assert_eq!((reader.role("shop"), reader.role("blog")), (Some(Role::Viewer), None));
        assert_eq!(Identity::from(Scope::All).role_everywhere(), Some(Role::Viewer));
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in [Role::Viewer, Role::Editor, Role::Admin] {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.to_string());
        }
        assert!("root".parse::<Role>().unwrap_err().contains("viewer, editor or admin"));
    }
}
