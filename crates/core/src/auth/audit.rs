//! The audit log: who did what, when, from where. It only grows, and never holds values or secrets.

use serde::{Deserialize, Serialize};

use super::Identity;
use super::chain::append;
use super::hide::escaped;
use super::records::{self, Kept};
use crate::engine::{Catalog, Txn};
use crate::error::Result;
use crate::store::Store;

/// Something that was done, or tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Who; `owner` is whoever may read the file.
    pub who: String,
    /// From where: the way into the store that was taken.
    pub origin: String,
    /// What was done, a word or two.
    pub action: String,
    /// To what.
    pub target: String,
    /// Whether it was done.
    pub done: bool,
}

impl Kept for Event {
    const CATALOG: Catalog = Catalog::Audit;
}

/// Who acts where nobody had to prove it.
pub(super) const OWNER: &str = "owner";

impl Store {
    /// Up to `limit` events behind the key `after`, the oldest first, each with its key.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Denied`] to all but admins, and those of reading.
    pub fn audit_log(&self, after: &str, limit: usize) -> Result<Vec<(String, Event)>> {
        self.allow_admin()?;
        self.viewed(|view| {
            let records = view.records(Catalog::Audit, after, limit)?;
            records.into_iter().map(|(key, record)| Ok((key, records::read(&record)?))).collect()
        })
    }

    /// An event of this moment and this store. Control characters in what others have named are escaped, so that none of
    /// them makes one event look like two.
    pub(crate) fn event(&self, who: &str, action: &str, target: &str, done: bool) -> Event {
        Event {
            at: self.now().0,
            who: escaped(who),
            origin: self.origin().to_owned(),
            action: action.to_owned(),
            target: escaped(target),
            done,
        }
    }

    /// Adds something that this store's own user has done.
    pub(crate) fn note_done(&self, txn: &mut dyn Txn, action: &str, target: &str) -> Result<()> {
        let who = self.identity().map_or(OWNER, |identity| identity.name.as_str());
        append(txn, &self.event(who, action, target, true))
    }

    /// The same, but nothing where this is the owner: a database without users has no log.
    pub(crate) fn note_done_by_others(&self, txn: &mut dyn Txn, action: &str, target: &str) -> Result<()> {
        match self.identity() {
            Some(_) => self.note_done(txn, action, target),
            None => Ok(()),
        }
    }

    /// Adds that something was refused, where that can be written.
    pub(crate) fn note_refused(&self, identity: &Identity, action: &str, target: &str) {
        self.note_failed(&self.event(&identity.name, action, target, false));
    }

    /// Adds that a log in failed, where that can be written.
    pub(super) fn note_failed_login(&self, who: &str) {
        self.note_failed(&self.event(who, "log in", "", false));
    }

    /// Waits for other writers as any write does. The refusal stands, whether it can be written down or not.
    fn note_failed(&self, event: &Event) {
        let _ = self.engine().write(&mut |txn| append(txn, event));
    }
}
