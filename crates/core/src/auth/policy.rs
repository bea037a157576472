//! Who may do what where: plain data, and the one function that decides.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hide::shown;
use super::proof::Proof;
use crate::address::{Delimiter, Namespace};
use crate::error::{Error, ErrorKind};
use crate::glob::Glob;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// See entries, or that they are there.
    Read,
    /// Change entries.
    Write,
    /// Change what holds for others: caches, users, keys, grants.
    Admin,
}

/// What somebody may do; each role may do what the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// [`Action::Read`].
    Read,
    /// [`Action::Write`].
    Write,
    /// [`Action::Admin`].
    Admin,
}

/// Which namespaces are meant: patterns of their project and of their name within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pattern {
    /// The project, as a glob.
    pub project: String,
    /// The namespace within it, as a glob.
    pub namespace: String,
}

/// That somebody has a role somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The user, or the name of the API key.
    pub who: String,
    /// The role.
    pub role: Role,
    /// Where it holds.
    #[serde(flatten)]
    pub pattern: Pattern,
}

/// Somebody who has proved who they are, and what they may do.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user, or the name of the API key.
    pub name: String,
    /// The role they have everywhere.
    pub role: Option<Role>,
    /// The roles they have in places.
    pub grants: Vec<Grant>,
    /// What proved it, to be looked at again.
    pub(super) proof: Proof,
}

/// The answer to "may I?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed,
    /// No, and why.
    Denied(String),
}

/// Decides whether `identity` may do `action` in `namespace`; without one, in the database as a whole.
pub fn decide(identity: &Identity, action: Action, namespace: Option<&Namespace>) -> Decision {
    let granted =
        identity.grants.iter().filter(|grant| grant.pattern.covers(namespace)).map(|grant| grant.role);
    let role = granted.chain(identity.role).max();
    if role.is_some_and(|role| role.may(action)) {
        return Decision::Allowed;
    }
    let place = namespace.map_or_else(
        || "the database as a whole".to_owned(),
        |namespace| format!("namespace {} of project {}", namespace.namespace(), namespace.project()),
    );
    let has =
        role.map_or_else(|| "has no role there".to_owned(), |role| format!("has the role {role} there"));
    Decision::Denied(format!("{} may not {action} in {place}; {} {has}", identity.name, identity.name))
}

impl Identity {
    /// Somebody whom the caller knows: no proof is asked for, and what they may stays as it is.
    pub fn vouched_for(name: impl Into<String>, role: Option<Role>, grants: Vec<Grant>) -> Self {
        Self { name: name.into(), role, grants, proof: Proof::Vouched }
    }
}

impl Role {
    fn may(self, action: Action) -> bool {
        match action {
            Action::Read => self >= Self::Read,
            Action::Write => self >= Self::Write,
            Action::Admin => self >= Self::Admin,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "administer",
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let all = [Self::Read, Self::Write, Self::Admin];
        let unknown = || {
            Error::new(ErrorKind::Invalid, format!("`{}` is no role; read, write and admin are", shown(name)))
        };
        all.into_iter().find(|role| role.to_string() == name).ok_or_else(unknown)
    }
}

impl Pattern {
    /// Reads `project.namespace`, each a glob, or `*` alone for everything.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for other numbers of parts, empty ones, and globs that are none.
    pub fn parse(text: &str, delimiter: Delimiter) -> Result<Self, Error> {
        let parts: Vec<_> = text.split(delimiter.char()).collect();
        let (project, namespace) = match parts[..] {
            ["*"] => ("*", "*"),
            [project, namespace] if !project.is_empty() && !namespace.is_empty() => (project, namespace),
            _ => {
                let what = format!(
                    "`{}` is no pattern of namespaces; write project{delimiter}namespace or *",
                    shown(text)
                );
                return Err(Error::new(ErrorKind::Invalid, what));
            }
        };
        for part in [project, namespace] {
            part.parse::<Glob>()?;
        }
        Ok(Self { project: project.to_owned(), namespace: namespace.to_owned() })
    }

    /// Refuses what could make a list of grants look like another.
    pub(super) fn refuse_control_characters(&self) -> Result<(), Error> {
        let Self { project, namespace } = self;
        if !project.contains(char::is_control) && !namespace.contains(char::is_control) {
            return Ok(());
        }
        let what = format!(
            "`{}` holds control characters; no namespace does",
            shown(&self.display(Delimiter::default()))
        );
        Err(Error::new(ErrorKind::Invalid, what))
    }

    /// The way users write it.
    pub fn display(&self, delimiter: Delimiter) -> String {
        format!("{}{delimiter}{}", self.project, self.namespace)
    }

    /// Whether it means `namespace`; without one, whether it means every one there may be.
    fn covers(&self, namespace: Option<&Namespace>) -> bool {
        let matches = |glob: &str, name: &str| glob.parse::<Glob>().is_ok_and(|glob| glob.matches(name));
        match namespace {
            Some(namespace) => {
                matches(&self.project, namespace.project()) && matches(&self.namespace, namespace.namespace())
            }
            None => self.project == "*" && self.namespace == "*",
        }
    }
}
