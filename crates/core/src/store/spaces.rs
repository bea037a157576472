//! Namespaces as a whole: which there are, which are caches, and removing many entries at once.

use super::Store;
use super::cache;
use super::settings::CacheSettings;
use crate::address::{Delimiter, Namespace};
use crate::auth::Action;
use crate::engine::{Cache, Range, Space, Totals, Txn, Usage};
use crate::error::{Error, ErrorKind, Result};
use std::ops::ControlFlow;

/// The most entries that one transaction removes, so that other writers get their turn.
const CHUNK: usize = 10_000;

/// A namespace, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceInfo {
    /// Its space, with the settings if it is a cache.
    pub space: Space,
    /// What is there now.
    pub totals: Totals,
}

/// How many entries a clean-up has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Entries.
    pub entries: u64,
    /// Caches they were in.
    pub caches: u64,
}

impl Store {
    /// The namespaces of `project`, or of all projects, in byte order.
    ///
    /// # Errors
    /// Those of reading.
    pub fn namespaces(&self, project: Option<&str>) -> Result<Vec<Space>> {
        let mut spaces = Vec::new();
        self.engine.read(&mut |view| {
            spaces = view.spaces(project)?;
            spaces.retain(|space| self.may_read(&space.namespace));
            Ok(())
        })?;
        Ok(spaces)
    }

    /// The namespaces of `project`, or of all projects, with what they hold now. Reads every entry's head.
    ///
    /// # Errors
    /// Those of reading.
    pub fn describe_namespaces(&self, project: Option<&str>) -> Result<Vec<NamespaceInfo>> {
        let mut described = Vec::new();
        self.engine.read(&mut |view| {
            let now = self.now();
            let describe = |space: Space| {
                let totals = view.totals(&space, Some(now))?;
                Ok(NamespaceInfo { space, totals })
            };
            let spaces = view.spaces(project)?.into_iter().filter(|space| self.may_read(&space.namespace));
            described = spaces.map(describe).collect::<Result<_>>()?;
            Ok(())
        })?;
        Ok(described)
    }

    /// The names of all projects, in byte order.
    ///
    /// # Errors
    /// Those of reading.
    pub fn projects(&self) -> Result<Vec<String>> {
        let mut projects: Vec<String> =
            self.namespaces(None)?.into_iter().map(|space| space.namespace.project().to_owned()).collect();
        projects.dedup();
        Ok(projects)
    }

    /// Makes `namespace` a cache, or changes the settings of one. Entries that are there stay, without an expiry, as far as
    /// the limits allow; returns how many had to go.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without a timeout.
    pub fn create_cache(&self, namespace: &Namespace, settings: &CacheSettings) -> Result<u64> {
        if settings.timeout.is_none() {
            return Err(Error::new(ErrorKind::Invalid, "a cache needs a timeout"));
        }
        self.allow(Action::Admin, Some(namespace))?;
        let mut evicted = 0;
        self.engine.write(&mut |txn| {
            let space = match txn.space(namespace)? {
                Some(space) => space,
                None => txn.create_space(namespace, self.now())?,
            };
            evicted = self.configure(txn, space, settings)?;
            self.note_done_by_others(txn, "create cache", &named(namespace))
        })?;
        Ok(evicted)
    }

    /// Changes the settings of a cache; returns how many entries had to go for a lower limit.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no cache.
    pub fn set_cache(&self, namespace: &Namespace, settings: &CacheSettings) -> Result<u64> {
        self.allow(Action::Admin, Some(namespace))?;
        let mut evicted = 0;
        self.engine.write(&mut |txn| {
            let space = txn.space(namespace)?.filter(|space| space.cache.is_some());
            evicted = self.configure(txn, space.ok_or_else(not_a_cache)?, settings)?;
            self.note_done_by_others(txn, "set cache", &named(namespace))
        })?;
        Ok(evicted)
    }

    /// Makes a cache an ordinary namespace. Entries that have not expired stay for good, or go too with `discard`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no cache.
    pub fn drop_cache(&self, namespace: &Namespace, discard: bool) -> Result<()> {
        self.allow(Action::Admin, Some(namespace))?;
        self.engine.write(&mut |txn| {
            let space = txn.space(namespace)?.filter(|space| space.cache.is_some());
            let space = space.ok_or_else(not_a_cache)?;
            if discard {
                remove_everything(txn, &space)?;
            }
            self.release(txn, space)?;
            self.note_done_by_others(txn, "drop cache", &named(namespace))
        })
    }

    /// Makes a cache an ordinary namespace.
    pub(super) fn release(&self, txn: &mut dyn Txn, mut space: Space) -> Result<()> {
        txn.version()?;
        while cache::sweep(txn, &mut space, self.now(), CHUNK)? > 0 {}
        txn.rank_all(&space, false)?;
        txn.keep_all(&space)?;
        txn.set_cache(&space, None)
    }

    /// Removes what has expired from the disk, in every cache.
    ///
    /// # Errors
    /// Those of writing.
    pub fn collect_garbage(&self) -> Result<Removed> {
        self.allow(Action::Admin, None)?;
        let mut removed = Removed::default();
        for space in self.namespaces(None)?.iter().filter(|space| space.cache.is_some()) {
            let entries = self.purge(&space.namespace)?;
            removed.entries += entries;
            removed.caches += u64::from(entries > 0);
        }
        if self.identity.is_some() {
            let target = removed.entries.to_string();
            self.engine.write(&mut |txn| self.note_done_by_others(txn, "collect garbage", &target))?;
        }
        Ok(removed)
    }

    /// Removes what has expired in one cache; says how many entries that were.
    fn purge(&self, namespace: &Namespace) -> Result<u64> {
        let mut removed = 0;
        loop {
            let mut swept = 0;
            self.engine.write(&mut |txn| {
                swept = self.sweep_chunk(txn, namespace)?;
                Ok(())
            })?;
            removed += swept as u64;
            if swept < CHUNK {
                return Ok(removed);
            }
        }
    }

    /// Removes what has expired in one cache, unless somebody else is writing.
    pub(super) fn sweep_at_once(&self, namespace: &Namespace) -> Result<()> {
        self.engine.write_at_once(&mut |txn| self.sweep_chunk(txn, namespace).map(drop))
    }

    fn sweep_chunk(&self, txn: &mut dyn Txn, namespace: &Namespace) -> Result<usize> {
        let Some(mut space) = txn.space(namespace)?.filter(|space| space.cache.is_some()) else {
            return Ok(0);
        };
        let swept = cache::sweep(txn, &mut space, self.now(), CHUNK)?;
        if swept > 0 {
            txn.set_cache(&space, space.cache.as_ref())?;
        }
        Ok(swept)
    }

    /// Applies settings, and returns how many entries the limits have driven out.
    pub(super) fn configure(
        &self,
        txn: &mut dyn Txn,
        mut space: Space,
        settings: &CacheSettings,
    ) -> Result<u64> {
        let mut changed = settings.apply(space.cache.as_ref()).ok_or_else(not_a_cache)?;
        let revision = txn.version()?;
        if changed.is_limited() {
            let totals = txn.totals(&space, None)?;
            changed.usage = Usage { items: totals.keys, bytes: totals.bytes, rank: changed.usage.rank };
        } else {
            changed.usage = Usage::default();
        }
        let was_limited = space.cache.as_ref().is_some_and(Cache::is_limited);
        let is_reordered = space.cache.as_ref().is_some_and(|cache| cache.policy != changed.policy);
        if changed.is_limited() != was_limited || (was_limited && is_reordered) {
            txn.rank_all(&space, changed.is_limited())?;
            changed.usage.rank = if changed.is_limited() { revision.0 } else { 0 };
        }
        space.cache = Some(changed);
        let items = |space: &Space| space.cache.as_ref().map_or(0, |cache| cache.usage.items);
        let before = items(&space);
        cache::make_room(txn, &mut space, None, self.now())?;
        txn.set_cache(&space, space.cache.as_ref())?;
        Ok(before - items(&space))
    }
}

/// A namespace as the audit log names it.
fn named(namespace: &Namespace) -> String {
    namespace.display(Delimiter::default())
}

fn not_a_cache() -> Error {
    Error::new(ErrorKind::Invalid, "it is no cache")
}

fn remove_everything(txn: &mut dyn Txn, space: &Space) -> Result<()> {
    loop {
        let mut names = Vec::new();
        txn.scan(space, &Range::default(), &mut |row| {
            names.push(row.name.to_owned());
            if names.len() < CHUNK { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if names.is_empty() {
            return Ok(());
        }
        names.iter().try_for_each(|name| txn.remove(space, name))?;
    }
}
