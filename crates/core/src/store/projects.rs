//! Projects: a name that namespaces share, or that was made before any of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Store;
use super::spaces::{Dropped, NamespaceInfo};
use crate::address::Namespace;
use crate::auth::{Action, Decision, shown};
use crate::clock::Millis;
use crate::engine::{Catalog, View};
use crate::error::{Error, ErrorKind, Result};
use crate::records::{self, Kept};

/// A project, and what its namespaces hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectInfo {
    /// Its name.
    pub name: String,
    /// When it was made; `None` for one that came with its first namespace.
    pub created: Option<Millis>,
    /// Its namespaces.
    pub namespaces: Vec<NamespaceInfo>,
}

/// That a project was made, and is there also without a namespace.
#[derive(Serialize, Deserialize)]
pub(super) struct ProjectRecord {
    /// In milliseconds since 1970.
    created: i64,
}

impl Kept for ProjectRecord {
    const CATALOG: Catalog = Catalog::Projects;
}

impl Store {
    /// The names of all projects, in byte order.
    ///
    /// # Errors
    /// Those of reading.
    pub fn projects(&self) -> Result<Vec<String>> {
        let mut projects = BTreeSet::new();
        self.engine.read(&mut |view| {
            let spaces = view.spaces(None)?.into_iter().filter(|space| self.may_read(&space.namespace));
            projects = spaces.map(|space| space.namespace.project().to_owned()).collect();
            // Those who may see some namespaces alone are not told of others' plans.
            if self.decide(Action::Read, None) == Decision::Allowed {
                projects.extend(records::all::<ProjectRecord, _>(view)?.into_iter().map(|(name, _)| name));
            }
            Ok(())
        })?;
        Ok(projects.into_iter().collect())
    }

    /// Makes a project that is there without any namespace.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for one that is there, and names that none can have; [`ErrorKind::Denied`]; those of writing.
    pub fn create_project(&self, name: &str) -> Result<()> {
        self.allow(Action::Admin, None)?;
        Namespace::new(name, "namespace")?;
        self.transact(&mut |txn| {
            let is_there = records::find::<ProjectRecord, _>(txn, name)?.is_some();
            if is_there || !txn.spaces(Some(name))?.is_empty() {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("there is a project {} already", shown(name)),
                ));
            }
            records::keep(txn, name, &ProjectRecord { created: self.now().0 })?;
            self.note_done_by_others(txn, "create project", name)
        })
    }

    /// A project, and what its namespaces hold now. Reads the head of each of their entries.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none of this name; [`ErrorKind::Denied`]; those of reading.
    pub fn describe_project(&self, name: &str) -> Result<ProjectInfo> {
        self.allow(Action::Admin, None)?;
        let mut found = None;
        self.engine.read(&mut |view| {
            let created = created(view, name)?;
            let namespaces = self.described(view, view.spaces(Some(name))?)?;
            found = (created.is_some() || !namespaces.is_empty()).then(|| ProjectInfo {
                name: name.to_owned(),
                created,
                namespaces,
            });
            Ok(())
        })?;
        found.ok_or_else(|| no_project(name))
    }

    /// Removes a project with all its namespaces, and all they hold.
    ///
    /// The namespaces go at once. Their entries are removed in steps, so that other writers get their turn.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none of this name; [`ErrorKind::Denied`]; those of writing.
    pub fn drop_project(&self, name: &str) -> Result<Dropped> {
        self.allow(Action::Admin, None)?;
        let mut namespaces = Vec::new();
        self.transact(&mut |txn| {
            let spaces = txn.spaces(Some(name))?;
            if spaces.is_empty() && created(txn, name)?.is_none() {
                return Err(no_project(name));
            }
            spaces.iter().try_for_each(|space| self.take_away(txn, space))?;
            txn.remove_record(Catalog::Projects, name)?;
            namespaces = spaces.into_iter().map(|space| space.namespace).collect();
            self.note_done_by_others(txn, "drop project", name)
        })?;
        Ok(Dropped { namespaces, entries: self.sweep_leftovers()? })
    }
}

/// When a project was made, if that is how it came to be.
fn created<V: View + ?Sized>(view: &V, name: &str) -> Result<Option<Millis>> {
    let record = if name.is_empty() { None } else { records::find::<ProjectRecord, _>(view, name)? };
    Ok(record.map(|record| Millis(record.created)))
}

fn no_project(name: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("there is no project {}", shown(name)))
}
