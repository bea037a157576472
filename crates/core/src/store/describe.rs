//! All that is known of an entry, and of where it lies.

use super::tables::TableNames;
use super::{Found, Store};
use crate::address::Address;
use crate::engine::{Space, View};
use crate::error::Result;
use crate::record::Head;

/// An entry without its value, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryInfo {
    /// Its head, with the coding that its value is kept in.
    pub head: Head,
    /// The space of its namespace.
    pub space: Space,
    /// What users call the table it lies in.
    pub table: String,
}

impl Store {
    /// All that is known of the entry at `address`; `None` when it is missing or has expired.
    ///
    /// # Errors
    /// Those of reading.
    pub fn describe(&self, address: &Address) -> Result<Option<EntryInfo>> {
        let addresses = std::slice::from_ref(address);
        let read = |view: &dyn View, space: &Space, name: &str| view.head(space, name);
        let found = self.find(addresses, false, |head: &Head| head, &read)?;
        self.note_reads(&found);
        let Some(Found { entry: Some(head), space: Some(space), visible: true, .. }) =
            found.into_iter().next()
        else {
            return Ok(None);
        };
        let mut table = String::new();
        self.engine.read(&mut |view| {
            table = TableNames::of(view)?.name(&space.table);
            Ok(())
        })?;
        Ok(Some(EntryInfo { head, space, table }))
    }
}
