//! Which entries a command is about that is about many.

use super::{Request, Store};
use crate::address::{CONTEXT_MARK, Listing, Namespace};
use crate::auth::Action;
use crate::error::Result;

/// The entries that a listing covers, of one context or of all.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Which namespaces, and what keys start with.
    pub listing: Listing,
    /// The project of namespaces that are named without one.
    pub default_project: String,
    /// The context that names have.
    pub context: Option<String>,
}

impl Scope {
    /// Refuses the one namespace that is meant where that may not be read; of more of them some are left out.
    pub(super) fn allow(&self, store: &Store) -> Result<()> {
        match &self.listing {
            Listing::Within { namespace, .. } => store.allow(Action::Read, Some(namespace)),
            Listing::StartingWith(_) | Listing::Project(_) | Listing::All => Ok(()),
        }
    }

    /// Whether it has anything to do with a namespace.
    pub fn covers(&self, namespace: &Namespace) -> bool {
        self.listing.covers(namespace, &self.default_project)
    }

    /// Whether it has an entry of this name in the namespaces that it covers.
    pub(super) fn has(&self, name: &str) -> bool {
        let context = || name.rfind(CONTEXT_MARK).map(|at| &name[at + CONTEXT_MARK.len()..]);
        name.starts_with(self.prefix())
            && self.context.as_deref().is_none_or(|wanted| context() == Some(wanted))
    }

    /// What the names of its entries start with.
    pub fn prefix(&self) -> &str {
        match &self.listing {
            Listing::Within { prefix, .. } => prefix,
            Listing::StartingWith(_) | Listing::Project(_) | Listing::All => "",
        }
    }

    /// Says what it is, of an operation that is done once.
    pub(super) fn describe(&self, request: &mut Request) {
        match &self.listing {
            Listing::Within { namespace, prefix } => {
                request.text("within").text(namespace.project()).text(namespace.namespace()).text(prefix)
            }
            Listing::StartingWith(start) => request.text("starting with").text(start),
            Listing::Project(project) => request.text("project").text(project),
            Listing::All => request.text("all"),
        };
        request.text(&self.default_project).optional(self.context.as_deref());
    }
}
