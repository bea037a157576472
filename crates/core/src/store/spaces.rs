//! Namespaces as a whole: which there are, which are caches, how they come and go, and removing many entries at once.

use super::changes::{self, Op};
use super::coder::keys_of;
use super::history::{self, By, Made};
use super::settings::CacheSettings;
use super::tables::{Table, TableNames};
use super::{Store, cache, moves};
use crate::address::{Delimiter, Namespace};
use crate::auth::Action;
use crate::clock::Ttl;
use crate::engine::{Cache, Fields, Range, Space, Totals, Txn, Usage, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Deed;
use std::ops::ControlFlow;

/// The most entries that one transaction removes, so that other writers get their turn.
const CHUNK: usize = 10_000;

/// Runs a transaction, or tries it.
type Run<'r> = dyn FnMut(&mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> + 'r;

/// A namespace, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceInfo {
    /// Its space, with the settings if it is a cache.
    pub space: Space,
    /// What users call the table it lies in.
    pub table: String,
    /// What is there now.
    pub totals: Totals,
}

/// All there is to tell of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceDetails {
    /// What it is, and what it holds.
    pub info: NamespaceInfo,
    /// Entries that have expired and are still on disk.
    pub expired: u64,
    /// Whom the key of its values is wrapped for, where they are encrypted; nobody in particular where that is whoever knows a
    /// passphrase.
    pub readers: Option<Vec<String>>,
    /// The table that it is on its way to.
    pub moving_to: Option<String>,
    /// For how long its history keeps a version after its end, where it has one; `None` is for good.
    pub history_age: Option<Ttl>,
}

/// What was dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The namespaces that are no more.
    pub namespaces: Vec<Namespace>,
    /// Entries that were removed from disk.
    pub entries: u64,
}

/// How many entries a clean-up has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Entries.
    pub entries: u64,
    /// Caches they were in.
    pub caches: u64,
    /// Entries of namespaces that had been dropped or moved.
    pub leftovers: u64,
    /// Versions in histories that were older than they may be.
    pub versions: u64,
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
            let spaces = view.spaces(project)?.into_iter().filter(|space| self.may_read(&space.namespace));
            described = self.described(view, spaces)?;
            Ok(())
        })?;
        Ok(described)
    }

    /// What spaces hold now, and where.
    pub(super) fn described(
        &self,
        view: &dyn View,
        spaces: impl IntoIterator<Item = Space>,
    ) -> Result<Vec<NamespaceInfo>> {
        let (now, tables) = (self.now(), TableNames::of(view)?);
        let describe = |space: Space| {
            let totals = view.totals(&space, Some(now))?;
            Ok(NamespaceInfo { table: tables.name(&space.table), space, totals })
        };
        spaces.into_iter().map(describe).collect()
    }

    /// All there is to tell of a namespace. Reads the head of each entry.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none of this name; [`ErrorKind::Denied`]; those of reading.
    pub fn describe_namespace(&self, namespace: &Namespace) -> Result<NamespaceDetails> {
        self.allow(Action::Admin, Some(namespace))?;
        let mut details = None;
        self.engine.read(&mut |view| {
            let space = view.space(namespace)?.ok_or_else(|| missing(namespace))?;
            let mut keys = keys_of(view, &space)?.into_iter();
            let present = keys.find(|record| space.sealing.key() == Some(record.key));
            let expired = match space.cache {
                Some(_) => view.totals(&space, None)?.keys,
                None => 0,
            };
            let tables = TableNames::of(view)?;
            let moving_to = moves::target_of(view, &space)?.map(|target| tables.name(&target));
            let history_age = if space.history.is_some() { history::age_of(view, &space)? } else { None };
            for info in self.described(view, [space])? {
                details = Some(NamespaceDetails {
                    expired: expired.saturating_sub(info.totals.keys),
                    info,
                    readers: present.as_ref().map(|record| record.recipients.clone()),
                    moving_to: moving_to.clone(),
                    history_age,
                });
            }
            Ok(())
        })?;
        details.ok_or_else(|| missing(namespace))
    }

    /// Makes an empty namespace in `table`; with `settings`, a cache.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for one that is there, a table that is not, and settings without a timeout;
    /// [`ErrorKind::Denied`]; those of writing.
    pub fn create_namespace(
        &self,
        namespace: &Namespace,
        table: &Table,
        settings: Option<&CacheSettings>,
    ) -> Result<()> {
        self.allow(Action::Admin, Some(namespace))?;
        if settings.is_some_and(|settings| settings.timeout.is_none()) {
            return Err(Error::new(ErrorKind::Invalid, "a cache needs a timeout"));
        }
        self.transact(&mut |txn| {
            if txn.space(namespace)?.is_some() {
                let what = format!("there is a namespace {} already", named(namespace));
                return Err(Error::new(ErrorKind::Invalid, what));
            }
            txn.version()?;
            let mut space = txn.create_space(namespace, self.now())?;
            space.table = self.location(txn, &space, table)?;
            txn.set_table(&space, &space.table)?;
            if let Some(settings) = settings {
                self.configure(txn, space, settings)?;
            }
            self.note_done_by_others(txn, "create namespace", &named(namespace))
        })
    }

    /// Removes a namespace with all it holds. It is gone at once; its entries are removed from disk in steps, so that other
    /// writers get their turn, and what is interrupted is left to the next of such calls or [`Store::collect_garbage`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none of this name; [`ErrorKind::Denied`]; those of writing.
    pub fn drop_namespace(&self, namespace: &Namespace) -> Result<Dropped> {
        self.allow(Action::Admin, Some(namespace))?;
        self.transact(&mut |txn| {
            let space = txn.space(namespace)?.ok_or_else(|| missing(namespace))?;
            self.take_away(txn, &space)?;
            self.note_done_by_others(txn, "drop namespace", &named(namespace))
        })?;
        Ok(Dropped { namespaces: vec![namespace.clone()], entries: self.sweep_leftovers()? })
    }

    /// Makes `namespace` a cache, or changes the settings of one. Entries that are there stay, without an expiry, as far as
    /// the limits allow; returns how many had to go.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] without a timeout.
    pub fn create_cache(&self, namespace: &Namespace, settings: &CacheSettings) -> Result<u64> {
        self.cache_created(namespace, settings, &mut |body| self.transact(body))
    }

    /// How many entries [`Store::create_cache`] would drive out.
    ///
    /// # Errors
    /// Those of [`Store::create_cache`].
    pub fn would_create_cache(&self, namespace: &Namespace, settings: &CacheSettings) -> Result<u64> {
        self.cache_created(namespace, settings, &mut |body| self.rehearse(body))
    }

    fn cache_created(
        &self,
        namespace: &Namespace,
        settings: &CacheSettings,
        run: &mut Run<'_>,
    ) -> Result<u64> {
        if settings.timeout.is_none() {
            return Err(Error::new(ErrorKind::Invalid, "a cache needs a timeout"));
        }
        self.allow(Action::Admin, Some(namespace))?;
        let mut evicted = 0;
        run(&mut |txn| {
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
        self.cache_set(namespace, settings, &mut |body| self.transact(body))
    }

    /// How many entries [`Store::set_cache`] would drive out.
    ///
    /// # Errors
    /// Those of [`Store::set_cache`].
    pub fn would_set_cache(&self, namespace: &Namespace, settings: &CacheSettings) -> Result<u64> {
        self.cache_set(namespace, settings, &mut |body| self.rehearse(body))
    }

    fn cache_set(&self, namespace: &Namespace, settings: &CacheSettings, run: &mut Run<'_>) -> Result<u64> {
        self.allow(Action::Admin, Some(namespace))?;
        let mut evicted = 0;
        run(&mut |txn| {
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
        self.transact(&mut |txn| {
            let space = txn.space(namespace)?.filter(|space| space.cache.is_some());
            let space = space.ok_or_else(not_a_cache)?;
            if discard {
                changes::note(txn, (namespace, None), Op::Dropped, self.now(), self.writer.as_deref())?;
                remove_everything(txn, &space, &self.by(self.now()))?;
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

    /// Removes from the disk what has expired, in every cache, what histories have kept for long enough, and what is left of
    /// namespaces that are no more.
    ///
    /// # Errors
    /// Those of writing.
    pub fn collect_garbage(&self) -> Result<Removed> {
        self.allow(Action::Admin, None)?;
        let mut removed = Removed::default();
        for space in self.namespaces(None)? {
            if space.cache.is_some() {
                let entries = self.purge(&space.namespace)?;
                removed.entries += entries;
                removed.caches += u64::from(entries > 0);
            }
            if space.history.is_some() {
                removed.versions += self.forget_history(&space.namespace)?;
            }
        }
        removed.leftovers = self.sweep_leftovers()? + self.sweep_queues()?;
        self.sweep_ops()?;
        if self.identity.is_some() {
            let target = removed.entries.to_string();
            self.transact(&mut |txn| self.note_done_by_others(txn, "collect garbage", &target))?;
        }
        Ok(removed)
    }

    /// Removes what has expired in one cache; says how many entries that were.
    fn purge(&self, namespace: &Namespace) -> Result<u64> {
        let mut removed = 0;
        loop {
            let mut swept = 0;
            self.transact(&mut |txn| {
                swept = self.sweep_chunk(txn, namespace, CHUNK)?;
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
        self.engine.write_at_once(&mut |txn| self.sweep_chunk(txn, namespace, CHUNK).map(drop))
    }

    /// Removes up to `limit` entries that have expired in one cache; says how many there were.
    pub(super) fn sweep_chunk(
        &self,
        txn: &mut dyn Txn,
        namespace: &Namespace,
        limit: usize,
    ) -> Result<usize> {
        let Some(mut space) = txn.space(namespace)?.filter(|space| space.cache.is_some()) else {
            return Ok(0);
        };
        let swept = cache::sweep(txn, &mut space, self.now(), limit)?;
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
        cache::make_room(txn, &mut space, None, &self.by(self.now()))?;
        txn.set_cache(&space, space.cache.as_ref())?;
        Ok(before - items(&space))
    }
}

pub(super) fn missing(namespace: &Namespace) -> Error {
    Error::new(ErrorKind::Invalid, format!("there is no namespace {}", named(namespace)))
}

/// A namespace as messages and the audit log name it.
pub(super) fn named(namespace: &Namespace) -> String {
    namespace.display(Delimiter::default())
}

fn not_a_cache() -> Error {
    Error::new(ErrorKind::Invalid, "it is no cache")
}

fn remove_everything(txn: &mut dyn Txn, space: &Space, by: &By<'_>) -> Result<()> {
    loop {
        let mut heads = Vec::new();
        txn.scan(space, &Range { fields: Fields::Heads, ..Range::default() }, &mut |row| {
            heads.push((row.name.to_owned(), row.head.cloned()));
            if heads.len() < CHUNK { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if heads.is_empty() {
            return Ok(());
        }
        for (name, head) in heads {
            if head.as_ref().is_some_and(|head| head.visible_at(by.now)) {
                history::note(txn, space, &name, head.as_ref(), &Made::Removed(Deed::Deleted), by)?;
            }
            txn.remove(space, &name)?;
        }
    }
}
