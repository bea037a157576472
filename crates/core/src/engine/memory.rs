//! An engine without a file: what it keeps ends with it.
//!
//! A write changes the maps in place and notes what it replaced, so undoing it costs as much as it changed, however
//! much is kept.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ops::{Bound, ControlFlow};
use std::sync::{Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::{
    Awaited, Cache, Candidate, Catalog, Engine, Fields, Mark, Policy, Range, Row, Sealing, Space, Totals,
    Txn, View, Wait, end_of_prefix, wait,
};
use crate::address::Namespace;
use crate::clock::Millis;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Coding, Head, Past, Record, Version};
use crate::sys::Roused;

/// How often whoever waits looks whether somebody still reads the answer.
const READER_LOOK: Duration = Duration::from_millis(50);

/// The table of spaces that were given no other. Tables are labels here: entries lie by their space.
const TABLE: &str = "memory";

/// Keeps everything in memory. An empty one allocates nothing.
///
/// Writers wait for readers and readers for writers, so a body must not call the engine that runs it.
#[derive(Default)]
pub struct MemoryEngine {
    state: RwLock<State>,
    /// How many writes there have been.
    writes: Mutex<u64>,
    written: Condvar,
}

impl MemoryEngine {
    /// An engine that keeps nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Keeps the same, and goes its own way from then on.
impl Clone for MemoryEngine {
    fn clone(&self) -> Self {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner).clone();
        Self { state: RwLock::new(state), ..Self::default() }
    }
}

impl Engine for MemoryEngine {
    fn read(&self, body: &mut dyn FnMut(&dyn View) -> Result<()>) -> Result<()> {
        // A write that panics poisons the lock, but is undone before it lets go of it.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        body(&*state)
    }

    fn write(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let attempt = Attempt(&mut state);
        body(&mut *attempt.0)?;
        attempt.commit();
        drop(state);
        *self.writes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.written.notify_all();
        Ok(())
    }

    fn mark(&self) -> Result<Mark> {
        let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Mark { place: 0, change: *writes })
    }

    fn await_change(&self, seen: Mark, wait: Wait<'_>) -> Result<Awaited> {
        let begun = Instant::now();
        let most = if wait.reader.is_some() { READER_LOOK } else { Duration::MAX };
        loop {
            let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
            let left = wait.at_most.saturating_sub(begun.elapsed());
            let (writes, _) = self
                .written
                .wait_timeout_while(writes, left.min(most), |writes| *writes == seen.change)
                .unwrap_or_else(PoisonError::into_inner);
            if *writes != seen.change {
                return Ok(Awaited::Changed);
            }
            drop(writes);
            if wait::doze(Duration::ZERO, None, wait)? == Roused::ReaderGone {
                return Ok(Awaited::ReaderGone);
            }
            if begun.elapsed() >= wait.at_most {
                return Ok(Awaited::TimedOut);
            }
        }
    }
}

/// A write under way; undone unless it is committed, also when its body panics.
struct Attempt<'a>(&'a mut State);

impl Attempt<'_> {
    fn commit(self) {
        self.0.journal = Journal::default();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.undo();
    }
}

#[derive(Clone, Default)]
struct State {
    /// The version of the last write.
    revision: u64,
    /// The last id given to a space. Failed writes do not take it back: somebody may still hold the space they made.
    last_id: u64,
    spaces: BTreeMap<Namespace, Space>,
    entries: BTreeMap<u64, Entries>,
    /// Versions of entries that histories keep, by the number of the space, name and version.
    past: BTreeMap<PastKey, Kept>,
    /// Records of catalogs, by catalog and key.
    records: BTreeMap<(Catalog, String), String>,
    /// Spaces on their way to a table.
    moves: BTreeSet<(u64, String)>,
    /// Until when changes are kept.
    changes: Option<Millis>,
    journal: Journal,
}

/// The entries of one space.
type Entries = BTreeMap<String, Record>;

/// The number of a space, the name of an entry, the number of a version.
type PastKey = (u64, String, u64);

/// A version, and its value.
type Kept = (Past, Option<Vec<u8>>);

/// What the write under way has replaced; empty between writes.
#[derive(Clone, Default)]
struct Journal {
    /// The revision before this write, once it has asked for its version.
    revision: Option<u64>,
    changes: Vec<Change>,
}

/// One change, with what was there before it.
#[derive(Clone)]
enum Change {
    Space { namespace: Namespace, before: Option<Space> },
    Entry { space: u64, name: String, before: Option<Record> },
    Head { space: u64, name: String, before: Head },
    Record { key: (Catalog, String), before: Option<String> },
    Past { key: PastKey, before: Option<Kept> },
    Move { of: (u64, String), was_there: bool },
    Changes { before: Option<Millis> },
}

impl State {
    fn undo(&mut self) {
        let journal = mem::take(&mut self.journal);
        for change in journal.changes.into_iter().rev() {
            self.revert(change);
        }
        if let Some(revision) = journal.revision {
            self.revision = revision;
        }
    }

    fn revert(&mut self, change: Change) {
        match change {
            Change::Space { namespace, before } => self.revert_space(namespace, before),
            Change::Entry { space, name, before } => {
                let entries = self.entries.entry(space).or_default();
                match before {
                    Some(record) => drop(entries.insert(name, record)),
                    None => drop(entries.remove(&name)),
                }
            }
            Change::Record { key, before } => match before {
                Some(record) => drop(self.records.insert(key, record)),
                None => drop(self.records.remove(&key)),
            },
            Change::Changes { before } => self.changes = before,
            Change::Past { key, before } => match before {
                Some(kept) => drop(self.past.insert(key, kept)),
                None => drop(self.past.remove(&key)),
            },
            Change::Move { of, was_there: true } => drop(self.moves.insert(of)),
            Change::Move { of, was_there: false } => drop(self.moves.remove(&of)),
            Change::Head { space, name, before } => {
                if let Some(record) = self.entries.entry(space).or_default().get_mut(&name) {
                    record.head = before;
                }
            }
        }
    }

    fn revert_space(&mut self, namespace: Namespace, before: Option<Space>) {
        if let Some(space) = before {
            self.spaces.insert(namespace, space);
        } else if let Some(space) = self.spaces.remove(&namespace) {
            self.entries.remove(&space.id);
        }
    }

    fn entry(&self, space: &Space, name: &str) -> Option<&Record> {
        self.entries.get(&space.id)?.get(name)
    }

    fn heads(&self, space: &Space) -> impl Iterator<Item = (&str, &Head)> {
        let entries = self.entries.get(&space.id).into_iter().flatten();
        entries.map(|(name, record)| (name.as_str(), &record.head))
    }

    /// What histories keep of an entry.
    fn past_of_entry(&self, space: &Space, name: &str) -> impl DoubleEndedIterator<Item = &Past> {
        let key = |version| (space.id, name.to_owned(), version);
        self.past.range(key(0)..=key(u64::MAX)).map(|(_, (past, _))| past)
    }

    /// What the history of the space of this number keeps.
    fn past_of_space(&self, space: u64) -> impl Iterator<Item = (&PastKey, &Kept)> {
        self.past.range((space, String::new(), 0)..).take_while(move |((of, _, _), _)| *of == space)
    }

    /// Changes what a history keeps, or removes it.
    fn change_past(&mut self, key: PastKey, kept: Option<Kept>) {
        let before = match kept {
            Some(kept) => self.past.insert(key.clone(), kept),
            None => self.past.remove(&key),
        };
        self.journal.changes.push(Change::Past { key, before });
    }

    fn remove_past(&mut self, keys: Vec<PastKey>) -> usize {
        let count = keys.len();
        keys.into_iter().for_each(|key| self.change_past(key, None));
        count
    }

    fn entries_mut(&mut self, space: &Space) -> Result<&mut Entries> {
        self.entries.get_mut(&space.id).ok_or_else(|| gone(space))
    }

    fn change_space(&mut self, space: &Space, change: impl FnOnce(&mut Space)) -> Result<()> {
        let kept = self.spaces.get_mut(&space.namespace).filter(|kept| kept.id == space.id);
        let kept = kept.ok_or_else(|| gone(space))?;
        let before = Some(kept.clone());
        change(kept);
        self.journal.changes.push(Change::Space { namespace: space.namespace.clone(), before });
        Ok(())
    }

    fn change_heads(&mut self, space: &Space, change: impl Fn(&mut Head)) -> Result<()> {
        let entries = self.entries.get_mut(&space.id).ok_or_else(|| gone(space))?;
        for (name, record) in entries {
            let before = record.head.clone();
            change(&mut record.head);
            self.journal.changes.push(Change::Head { space: space.id, name: name.clone(), before });
        }
        Ok(())
    }
}

/// The error of writing to a space that a failed write made, or another engine.
fn gone(space: &Space) -> Error {
    Error::new(ErrorKind::Invalid, format!("writing to space {}, which does not exist", space.id))
}

impl View for State {
    fn revision(&self) -> Result<Version> {
        Ok(Version(self.revision))
    }

    fn space(&self, namespace: &Namespace) -> Result<Option<Space>> {
        Ok(self.spaces.get(namespace).cloned())
    }

    fn spaces(&self, project: Option<&str>) -> Result<Vec<Space>> {
        let wanted = |space: &&Space| project.is_none_or(|project| project == space.namespace.project());
        Ok(self.spaces.values().filter(wanted).cloned().collect())
    }

    fn head(&self, space: &Space, name: &str) -> Result<Option<Head>> {
        Ok(self.entry(space, name).map(|record| record.head.clone()))
    }

    fn get(&self, space: &Space, name: &str) -> Result<Option<Record>> {
        Ok(self.entry(space, name).cloned())
    }

    fn scan(
        &self,
        space: &Space,
        range: &Range,
        visit: &mut dyn FnMut(Row<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let Some(entries) = self.entries.get(&space.id) else { return Ok(()) };
        if range.reverse {
            show(backward(entries, range), range, visit);
        } else {
            show(forward(entries, range), range, visit);
        }
        Ok(())
    }

    fn totals(&self, space: &Space, visible_at: Option<Millis>) -> Result<Totals> {
        let mut totals = Totals::default();
        for (name, head) in self.heads(space).filter(|(_, head)| shows(visible_at, head)) {
            totals.keys += 1;
            totals.bytes += name.len() as u64 + head.size;
            totals.last_write = totals.last_write.max(Some(head.updated));
        }
        Ok(totals)
    }

    fn shared_table(&self) -> &'static str {
        TABLE
    }

    fn is_moving(&self, space: &Space, target: &str) -> Result<bool> {
        Ok(self.moves.contains(&(space.id, target.to_owned())))
    }

    fn record(&self, catalog: Catalog, key: &str) -> Result<Option<String>> {
        Ok(self.records.get(&(catalog, key.to_owned())).cloned())
    }

    fn records(&self, catalog: Catalog, after: &str, limit: usize) -> Result<Vec<(String, String)>> {
        let behind = self.records.range((Bound::Excluded((catalog, after.to_owned())), Bound::Unbounded));
        let of_catalog = behind.take_while(|((of, _), _)| *of == catalog);
        Ok(of_catalog.take(limit).map(|((_, key), record)| (key.clone(), record.clone())).collect())
    }

    fn last_record(&self, catalog: Catalog) -> Result<Option<(String, String)>> {
        let next = Catalog::ALL.into_iter().find(|next| *next > catalog);
        let end = next.map_or(Bound::Unbounded, |next| Bound::Excluded((next, String::new())));
        let mut of_catalog = self.records.range((Bound::Included((catalog, String::new())), end));
        Ok(of_catalog.next_back().map(|((_, key), record)| (key.clone(), record.clone())))
    }

    fn changes_until(&self) -> Result<Option<Millis>> {
        Ok(self.changes)
    }

    fn expired(&self, space: &Space, now: Millis, limit: usize) -> Result<Vec<Candidate>> {
        let expired = self.heads(space).filter(|(_, head)| !head.visible_at(now));
        Ok(first(expired.collect(), by_expiry, limit))
    }

    fn victims(&self, space: &Space, policy: Policy, limit: usize) -> Result<Vec<Candidate>> {
        let heads = self.heads(space);
        Ok(match policy {
            Policy::Fifo | Policy::Lru => {
                first(heads.filter(|(_, head)| head.rank.is_some()).collect(), by_rank, limit)
            }
            Policy::Ttl => first(heads.collect(), by_expiry, limit),
        })
    }

    fn past_of(&self, space: &Space, name: &str, before: Option<Version>, limit: usize) -> Result<Vec<Past>> {
        let earlier = |past: &&Past| before.is_none_or(|before| past.head.version < before);
        Ok(self.past_of_entry(space, name).rev().filter(earlier).take(limit).cloned().collect())
    }

    fn past(&self, space: &Space, before: Option<&(Version, String)>, limit: usize) -> Result<Vec<Past>> {
        let mut found: Vec<_> = self.past_of_space(space.id).map(|(_, (past, _))| past).collect();
        found.retain(|past| before.is_none_or(|before| past.place() < *before));
        found.sort_by_key(|past| std::cmp::Reverse(past.place()));
        Ok(found.into_iter().take(limit).cloned().collect())
    }

    fn past_value(&self, space: &Space, name: &str, version: Version) -> Result<Option<Vec<u8>>> {
        let kept = self.past.get(&(space.id, name.to_owned(), version.0));
        Ok(kept.and_then(|(_, value)| value.clone()))
    }
}

impl Txn for State {
    fn version(&mut self) -> Result<Version> {
        if self.journal.revision.is_none() {
            self.journal.revision = Some(self.revision);
            self.revision += 1;
        }
        Ok(Version(self.revision))
    }

    fn create_space(&mut self, namespace: &Namespace, now: Millis) -> Result<Space> {
        if let Some(space) = self.spaces.get(namespace) {
            let what = format!("creating a space where space {} is", space.id);
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        self.last_id += 1;
        let namespace = namespace.clone();
        let (table, cache, sealing) = (TABLE.to_owned(), None, Sealing::Never);
        let space = Space { id: self.last_id, namespace, table, created: now, cache, sealing, history: None };
        self.entries.insert(space.id, Entries::new());
        self.spaces.insert(space.namespace.clone(), space.clone());
        self.journal.changes.push(Change::Space { namespace: space.namespace.clone(), before: None });
        Ok(space)
    }

    fn create_table(&mut self) -> Result<String> {
        self.last_id += 1;
        Ok(format!("{TABLE}_{}", self.last_id))
    }

    fn drop_table(&mut self, _table: &str) -> Result<()> {
        Ok(())
    }

    fn set_table(&mut self, space: &Space, table: &str) -> Result<()> {
        self.change_space(space, |kept| table.clone_into(&mut kept.table))
    }

    fn drop_space(&mut self, space: &Space) -> Result<()> {
        self.change_space(space, |_| {})?;
        self.spaces.remove(&space.namespace);
        Ok(())
    }

    fn sweep(&mut self, space: u64, _table: &str, _owned: bool, limit: usize) -> Result<usize> {
        // What has moved has left nothing behind.
        if self.spaces.values().any(|live| live.id == space) {
            return Ok(0);
        }
        let names: Vec<_> =
            self.entries.get(&space).into_iter().flat_map(|kept| kept.keys().take(limit).cloned()).collect();
        for name in &names {
            let before = self.entries.get_mut(&space).and_then(|kept| kept.remove(name));
            self.journal.changes.push(Change::Entry { space, name: name.clone(), before });
        }
        Ok(names.len())
    }

    fn begin_move(&mut self, space: &Space, target: &str) -> Result<()> {
        let of = (space.id, target.to_owned());
        let was_there = !self.moves.insert(of.clone());
        self.journal.changes.push(Change::Move { of, was_there });
        Ok(())
    }

    fn copy_batch(&mut self, _: &Space, _: &str, _: &str, _: usize) -> Result<Option<String>> {
        Ok(None)
    }

    fn end_move(&mut self, space: &Space, target: &str) -> Result<()> {
        let of = (space.id, target.to_owned());
        let was_there = self.moves.remove(&of);
        self.journal.changes.push(Change::Move { of, was_there });
        Ok(())
    }

    fn set_cache(&mut self, space: &Space, cache: Option<&Cache>) -> Result<()> {
        self.change_space(space, |kept| kept.cache = cache.cloned())
    }

    fn set_sealing(&mut self, space: &Space, sealing: Sealing) -> Result<()> {
        self.change_space(space, |kept| kept.sealing = sealing)
    }

    fn set_history(&mut self, space: &Space, versions: Option<u64>) -> Result<()> {
        self.change_space(space, |kept| kept.history = versions)
    }

    fn keep_past(&mut self, space: &Space, past: &Past, value: Option<&[u8]>) -> Result<()> {
        let key = (space.id, past.name.clone(), past.head.version.0);
        self.change_past(key, Some((past.clone(), value.map(<[u8]>::to_vec))));
        Ok(())
    }

    fn end_past(&mut self, space: &Space, name: &str, version: Version, ended: Millis) -> Result<bool> {
        let key = (space.id, name.to_owned(), version.0);
        let Some((past, value)) = self.past.get(&key).cloned() else { return Ok(false) };
        self.change_past(key, Some((Past { ended: Some(ended), ..past }, value)));
        Ok(true)
    }

    fn drop_past(&mut self, space: &Space, name: &str, version: Version) -> Result<()> {
        let key = (space.id, name.to_owned(), version.0);
        let kept = self.past.contains_key(&key).then_some(key);
        self.remove_past(kept.into_iter().collect());
        Ok(())
    }

    fn trim_past(&mut self, space: &Space, name: &str, versions: u64) -> Result<()> {
        let kept = usize::try_from(versions).unwrap_or(usize::MAX);
        let beyond = self.past_of_entry(space, name).rev().skip(kept);
        let beyond = beyond.map(|past| (space.id, name.to_owned(), past.head.version.0)).collect();
        self.remove_past(beyond);
        Ok(())
    }

    fn forget_past(&mut self, space: &Space, ended: Millis, limit: usize) -> Result<usize> {
        let over = |(_, (past, _)): &(&PastKey, &Kept)| past.ended.is_some_and(|at| at <= ended);
        let mut over: Vec<_> = self.past_of_space(space.id).filter(over).collect();
        over.sort_by_key(|(_, (past, _))| past.ended);
        let keys = over.into_iter().take(limit).map(|(key, _)| key.clone()).collect();
        Ok(self.remove_past(keys))
    }

    fn sweep_past(&mut self, space: u64, limit: usize) -> Result<usize> {
        let keys = self.past_of_space(space).take(limit).map(|(key, _)| key.clone()).collect();
        Ok(self.remove_past(keys))
    }

    fn put(&mut self, space: &Space, name: &str, head: &Head, value: &[u8]) -> Result<()> {
        let size = if head.coding.is_plain() { value.len() as u64 } else { head.size };
        let head = Head { size, ..head.clone() };
        let record = Record { head, value: value.to_owned() };
        let before = self.entries_mut(space)?.insert(name.to_owned(), record);
        self.journal.changes.push(Change::Entry { space: space.id, name: name.to_owned(), before });
        Ok(())
    }

    fn put_head(&mut self, space: &Space, name: &str, head: &Head) -> Result<()> {
        let Some(record) = self.entries_mut(space)?.get_mut(name) else { return Ok(()) };
        let head = Head { size: record.head.size, coding: record.head.coding, ..head.clone() };
        let before = mem::replace(&mut record.head, head);
        self.journal.changes.push(Change::Head { space: space.id, name: name.to_owned(), before });
        Ok(())
    }

    fn remove(&mut self, space: &Space, name: &str) -> Result<()> {
        let Some((name, record)) = self.entries_mut(space)?.remove_entry(name) else { return Ok(()) };
        self.journal.changes.push(Change::Entry { space: space.id, name, before: Some(record) });
        Ok(())
    }

    fn put_record(&mut self, catalog: Catalog, key: &str, record: &str) -> Result<()> {
        let key = (catalog, key.to_owned());
        let before = self.records.insert(key.clone(), record.to_owned());
        self.journal.changes.push(Change::Record { key, before });
        Ok(())
    }

    fn remove_record(&mut self, catalog: Catalog, key: &str) -> Result<()> {
        let key = (catalog, key.to_owned());
        let before = self.records.remove(&key);
        self.journal.changes.push(Change::Record { key, before });
        Ok(())
    }

    fn keep_changes(&mut self, until: Option<Millis>) -> Result<()> {
        let before = mem::replace(&mut self.changes, until);
        self.journal.changes.push(Change::Changes { before });
        Ok(())
    }

    fn rank_all(&mut self, space: &Space, ranked: bool) -> Result<()> {
        self.change_heads(space, |head| head.rank = ranked.then_some(head.version.0))
    }

    fn keep_all(&mut self, space: &Space) -> Result<()> {
        self.change_heads(space, |head| head.expires = None)?;
        let kept: Vec<_> =
            self.heads(space).map(|(name, head)| (space.id, name.to_owned(), head.version.0)).collect();
        for key in kept {
            if let Some((mut past, value)) = self.past.get(&key).cloned() {
                (past.head.expires, past.ended) = (None, None);
                self.change_past(key, Some((past, value)));
            }
        }
        Ok(())
    }
}

/// The entries from the start of the range on; [`show`] knows where it ends.
fn forward<'a>(entries: &'a Entries, range: &Range) -> impl Iterator<Item = (&'a String, &'a Record)> {
    let start = match range.after.as_deref() {
        Some(after) if after >= range.prefix.as_str() => Bound::Excluded(after),
        _ => Bound::Included(range.prefix.as_str()),
    };
    entries.range::<str, _>((start, Bound::Unbounded))
}

/// The same from the end of the range back.
fn backward<'a>(entries: &'a Entries, range: &Range) -> impl Iterator<Item = (&'a String, &'a Record)> {
    let end = [range.after.clone(), end_of_prefix(&range.prefix)].into_iter().flatten().min();
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    entries.range::<str, _>((Bound::Unbounded, end)).rev()
}

/// Shows `visit` what is visible, until it breaks or names leave the prefix: those that share it stand together.
fn show<'a>(
    entries: impl Iterator<Item = (&'a String, &'a Record)>,
    range: &Range,
    visit: &mut dyn FnMut(Row<'_>) -> ControlFlow<()>,
) {
    for (name, record) in entries.take_while(|(name, _)| name.starts_with(&range.prefix)) {
        let is_wanted = !range.with_metakeys || record.head.metakeys.is_some();
        if is_wanted
            && shows(range.visible_at, &record.head)
            && visit(row(name, record, range.fields)).is_break()
        {
            return;
        }
    }
}

/// Whether an entry is shown to those who ask for what is visible at this moment, or for everything.
fn shows(visible_at: Option<Millis>, head: &Head) -> bool {
    visible_at.is_none_or(|now| head.visible_at(now))
}

fn row<'a>(name: &'a str, record: &'a Record, fields: Fields) -> Row<'a> {
    let coding = record.head.coding;
    let (head, coding, value): (_, _, &[u8]) = match fields {
        Fields::Names => (None, Coding::PLAIN, &[]),
        Fields::Heads => (Some(&record.head), coding, &[]),
        Fields::Values => (None, coding, &record.value),
        Fields::All => (Some(&record.head), coding, &record.value),
    };
    Row { name, value, coding, head }
}

fn by_rank(a: &Head, b: &Head) -> Ordering {
    a.rank.cmp(&b.rank)
}

/// Those that never expire come last.
fn by_expiry(a: &Head, b: &Head) -> Ordering {
    let key = |head: &Head| (head.expires.is_none(), head.expires);
    key(a).cmp(&key(b))
}

/// The first `limit` of `entries`, which come by name: the sort is stable, so equals stay in that order.
fn first(
    mut entries: Vec<(&str, &Head)>,
    order: fn(&Head, &Head) -> Ordering,
    limit: usize,
) -> Vec<Candidate> {
    entries.sort_by(|(_, a), (_, b)| order(a, b));
    let candidate = |(name, head): (&str, &Head)| Candidate { name: name.to_owned(), size: head.size };
    entries.into_iter().take(limit).map(candidate).collect()
}
