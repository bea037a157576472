//! Grants: roles of users and API keys in namespaces.

use super::keys::is_taken;
use super::policy::{Grant, Pattern, Role};
use super::records::{self, Kept};
use super::shown;
use crate::address::Delimiter;
use crate::engine::{Catalog, View};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;

impl Kept for Grant {
    const CATALOG: Catalog = Catalog::Grants;
}

impl Store {
    /// All grants, by who has them and where.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] to all but admins, and those of reading.
    pub fn grants(&self) -> Result<Vec<Grant>> {
        self.allow_admin()?;
        let grants: Vec<(String, Grant)> = self.viewed(|view| records::all(view))?;
        Ok(grants.into_iter().map(|(_, grant)| grant).collect())
    }

    /// Gives somebody a role in the namespaces that a pattern means, in place of the one they have by the same pattern.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is neither a user nor an API key of this name, and for a pattern that holds control
    /// characters, as no name of a namespace does; [`ErrorKind::Denied`].
    pub fn grant(&self, who: &str, role: Role, pattern: &Pattern) -> Result<()> {
        pattern.refuse_control_characters()?;
        let target = format!("{who} {role} {}", pattern.display(Delimiter::default()));
        self.administer("grant", &target, |txn| {
            self.materialise_seed(txn)?;
            if !is_taken(txn, who)? {
                let what = format!("there is no user and no API key {}", shown(who));
                return Err(Error::new(ErrorKind::Invalid, what));
            }
            let grant = Grant { who: who.to_owned(), role, pattern: pattern.clone() };
            records::keep(txn, &key_of(who, pattern), &grant)
        })
    }

    /// Takes back what was granted to somebody by this pattern.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is no such grant, [`ErrorKind::Denied`].
    pub fn revoke_grant(&self, who: &str, pattern: &Pattern) -> Result<()> {
        let by = pattern.display(Delimiter::default());
        self.administer("revoke", &format!("{who} {by}"), |txn| {
            find(txn, who, pattern)?;
            txn.remove_record(Catalog::Grants, &key_of(who, pattern))
        })
    }
}

/// What was granted to somebody by this pattern.
pub(super) fn find<V: View + ?Sized>(view: &V, who: &str, pattern: &Pattern) -> Result<Grant> {
    let missing = || {
        let by = pattern.display(Delimiter::default());
        Error::new(ErrorKind::Invalid, format!("nothing is granted to {} by {}", shown(who), shown(&by)))
    };
    records::find(view, &key_of(who, pattern))?.ok_or_else(missing)
}

/// Names of users hold no blanks; the parts of a pattern hold no newlines.
fn key_of(who: &str, pattern: &Pattern) -> String {
    format!("{who} {}\n{}", pattern.project, pattern.namespace)
}
