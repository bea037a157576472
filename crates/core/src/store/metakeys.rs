//! Metakeys of entries that are there. Those of entries that are not there yet come with them: by a copy, or from elsewhere.

use super::change::Writer;
use super::{Request, Store};
use crate::address::Address;
use crate::error::Result;
use crate::metakeys::{self, Metakeys, Selector};
use crate::record::{Head, Version};

impl Store {
    /// The metakeys of the entry at `address`, none included; `None` when there is no entry.
    ///
    /// # Errors
    /// Those of reading.
    pub fn metakeys(&self, address: &Address) -> Result<Option<Option<Metakeys>>> {
        Ok(self.head(address)?.map(|head| head.metakeys))
    }

    /// Sets a metakey of an entry; see [`Writer::set_metakey`].
    ///
    /// # Errors
    /// Those of [`Metakeys::new`], and those of [`Store::write`].
    pub fn set_metakey(&self, address: &Address, name: &str, value: &str) -> Result<Option<Version>> {
        let describe = |request: &mut Request| {
            request.text("metakey set").changes(address).text(name).text(value);
        };
        self.write_once(&describe, |writer| writer.set_metakey(address, name, value))
    }

    /// Removes metakeys of an entry; see [`Writer::remove_metakeys`].
    ///
    /// # Errors
    /// Those of [`Store::write`].
    pub fn remove_metakeys(&self, address: &Address, names: &[&str]) -> Result<Option<Vec<String>>> {
        self.write(|writer| writer.remove_metakeys(address, names))
    }
}

impl Writer<'_> {
    /// Sets a metakey of an entry, in place of the one of this name if there is one. That is a write of the entry: its version,
    /// its time and its writer change, its value and its expiry stay. Returns `None` when there is no such entry.
    ///
    /// # Errors
    /// Those of [`Metakeys::new`], and those of writing.
    pub fn set_metakey(&mut self, address: &Address, name: &str, value: &str) -> Result<Option<Version>> {
        let Some(present) = self.present_head(address)? else { return Ok(None) };
        let metakeys = Metakeys::with(present.metakeys.as_ref(), name, value)?;
        self.put_head(address, Head { metakeys: Some(metakeys), ..present }).map(Some)
    }

    /// Removes metakeys of an entry, which is a write of it if any of them was there. Returns the names that none of its
    /// metakeys had; `None` when there is no such entry.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what is no name of a metakey, and those of writing.
    pub fn remove_metakeys(&mut self, address: &Address, names: &[&str]) -> Result<Option<Vec<String>>> {
        names.iter().try_for_each(|name| metakeys::check_name(name))?;
        let Some(present) = self.present_head(address)? else { return Ok(None) };
        let is_missing =
            |name: &&&str| present.metakeys.as_ref().is_none_or(|metakeys| metakeys.get(name).is_none());
        let missing: Vec<_> = names.iter().filter(is_missing).map(|name| (*name).to_owned()).collect();
        if missing.len() < names.len() {
            let metakeys = present.metakeys.as_ref().and_then(|metakeys| metakeys.without(names));
            self.put_head(address, Head { metakeys, ..present })?;
        }
        Ok(Some(missing))
    }

    /// Whether the entry at an address, expired or not, is one that all of `selectors` choose.
    pub(super) fn is_chosen(&mut self, address: &Address, selectors: &[Selector]) -> Result<bool> {
        let metakeys = self.stored_head(address)?.and_then(|head| head.metakeys);
        Ok(selectors.iter().all(|selector| selector.chooses(metakeys.as_ref())))
    }
}
