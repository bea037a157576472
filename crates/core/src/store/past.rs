//! Reading what was: the versions of an entry, and the changes of many.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use super::history::{found, keeps_none};
use super::{Scope, Store};
use crate::address::{Address, EntryName, Namespace};
use crate::auth::Action;
use crate::clock::Millis;
use crate::engine::{Space, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Coding, Head, Past, Record, Version};

/// How many changes of a space are read at a time.
const PAGE: usize = 64;

/// Which changes are meant.
pub struct LogQuery<'q> {
    /// Of which entries.
    pub scope: &'q Scope,
    /// Who made them.
    pub by: Option<&'q str>,
}

impl LogQuery<'_> {
    fn is_of(&self, past: &Past) -> bool {
        self.scope.has(&past.name) && self.by.is_none_or(|by| past.head.writer.as_deref() == Some(by))
    }
}

/// A change, and where it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The entry.
    pub address: Address,
    /// What became of it.
    pub past: Past,
}

impl Store {
    /// Up to `limit` versions of an entry that are kept, the newest first; with `before`, only earlier ones. One that is
    /// there and that the history has not seen yet is among them.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the namespace keeps no history; [`ErrorKind::Denied`]; those of reading.
    pub fn versions(&self, address: &Address, before: Option<Version>, limit: usize) -> Result<Vec<Past>> {
        self.allow(Action::Read, Some(&address.namespace))?;
        let mut versions = Vec::new();
        self.engine.read(&mut |view| {
            versions = match view.space(&address.namespace)? {
                Some(space) if space.history.is_none() => return Err(keeps_none(&address.namespace)),
                Some(space) => states(view, &space, address.name.as_str(), before, self.now(), limit)?,
                None => Vec::new(),
            };
            Ok(())
        })?;
        Ok(versions.into_iter().map(plain).collect())
    }

    /// An entry as a version left it; `None` when that is not kept, or was its removal.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the namespace keeps no history and the entry has another version;
    /// [`ErrorKind::Denied`]; those of reading.
    pub fn get_version(&self, address: &Address, version: Version) -> Result<Option<Record>> {
        self.allow(Action::Read, Some(&address.namespace))?;
        let (name, mut record) = (address.name.as_str(), None);
        self.read(&mut |view| {
            let Some(space) = view.space(&address.namespace)? else { return Ok(()) };
            let present = view.head(&space, name)?.filter(|head| head.visible_at(self.now()));
            if present.is_some_and(|head| head.version == version) {
                record = self.coder.record(view, &space, name, None)?;
                return Ok(());
            }
            if space.history.is_none() {
                return Err(keeps_none(&address.namespace));
            }
            let before = version.0.checked_add(1).map(Version);
            let past = view.past_of(&space, name, before, 1)?.pop();
            record = match past.filter(|past| past.head.version == version && !past.deed.is_removal()) {
                Some(past) => Some(self.record_of(view, &space, past)?),
                None => None,
            };
            Ok(())
        })?;
        Ok(record)
    }

    /// Up to `limit` changes that are kept, the newest first, as far as their namespaces may be read; of those that were
    /// made by one write, the last address first. With `after`, only those that come behind the one of this version and address.
    ///
    /// # Errors
    /// Those of reading.
    pub fn log(
        &self,
        query: &LogQuery<'_>,
        after: Option<(Version, &Address)>,
        limit: usize,
    ) -> Result<Vec<Logged>> {
        let mut found = Vec::new();
        self.engine.read(&mut |view| {
            found.clear();
            let mut changes = Changes::of(view, self.kept_spaces(view, query)?, after)?;
            while found.len() < limit
                && let Some((space, past)) = changes.next(query)?
            {
                found.push(Logged { address: address_in(space, &past.name)?, past: plain(past) });
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The namespaces of a scope that keep history, of those that may be read, in order.
    ///
    /// # Errors
    /// Those of reading.
    pub fn histories(&self, scope: &Scope) -> Result<Vec<Namespace>> {
        let mut kept = self.namespaces(None)?;
        kept.retain(|space| space.history.is_some() && scope.covers(&space.namespace));
        Ok(kept.into_iter().map(|space| space.namespace).collect())
    }

    /// Refuses a namespace that is there and keeps no history.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for one of these; [`ErrorKind::Denied`]; those of reading.
    pub fn require_history(&self, namespace: &Namespace) -> Result<()> {
        self.allow(Action::Read, Some(namespace))?;
        self.engine.read(&mut |view| match view.space(namespace)? {
            Some(space) if space.history.is_none() => Err(keeps_none(namespace)),
            _ => Ok(()),
        })
    }

    /// The spaces that a query covers, that keep history and may be read.
    pub(super) fn kept_spaces<V: View + ?Sized>(&self, view: &V, query: &LogQuery<'_>) -> Result<Vec<Space>> {
        let mut spaces = view.spaces(None)?;
        spaces.retain(|space| {
            space.history.is_some() && query.scope.covers(&space.namespace) && self.may_read(&space.namespace)
        });
        Ok(spaces)
    }

    /// A version that had a value, with that.
    pub(super) fn record_of(&self, view: &dyn View, space: &Space, past: Past) -> Result<Record> {
        let kept = view.past_value(space, &past.name, past.head.version)?;
        let Some(kept) = kept else {
            let what = "a version has lost its value";
            return Err(Error::new(ErrorKind::Damaged, what).at(past.name.escape_debug()));
        };
        let value = self.coder.value(view, space, &past.name, (past.head.coding, kept.into()))?.into_owned();
        super::coder::check_length(space, &past.name, &value, &past.head)?;
        Ok(Record { head: past.head.of_plain(), value })
    }
}

/// The address of an entry of a space.
pub(super) fn address_in(space: &Space, name: &str) -> Result<Address> {
    Ok(Address { namespace: space.namespace.clone(), name: EntryName::parse(name)? })
}

/// The versions of an entry, the newest first, with what is there and in no history yet.
pub(super) fn states<V: View + ?Sized>(
    view: &V,
    space: &Space,
    name: &str,
    before: Option<Version>,
    now: Millis,
    limit: usize,
) -> Result<Vec<Past>> {
    let mut versions = view.past_of(space, name, before, limit)?;
    let present = view.head(space, name)?.filter(|head| head.visible_at(now));
    let newest = match before {
        None => versions.first().cloned(),
        Some(_) => view.past_of(space, name, None, 1)?.pop(),
    };
    // What other programs write is in no history either.
    let is_unseen = |head: &Head| newest.as_ref().is_none_or(|newest| newest.head.version < head.version);
    if let Some(head) = present.filter(is_unseen).filter(|head| before.is_none_or(|at| head.version < at)) {
        versions.insert(0, found(name, head));
        versions.truncate(limit);
    }
    Ok(versions)
}

/// What was kept of a version, without how its value is.
fn plain(past: Past) -> Past {
    Past { head: Head { coding: Coding::PLAIN, ..past.head }, ..past }
}

/// The changes of several spaces, the newest first.
pub(super) struct Changes<'v, V: ?Sized> {
    view: &'v V,
    sources: Vec<Source>,
    /// The next change of each space.
    next: BinaryHeap<Next>,
}

/// A space, and some of its changes that come next.
struct Source {
    space: Space,
    page: VecDeque<Past>,
    /// Where to read on.
    before: Option<(Version, String)>,
}

/// A change that is the next one of the source of this number; greater is what comes first.
struct Next {
    past: Past,
    source: usize,
}

impl Next {
    fn place(&self) -> (Version, usize, &str) {
        (self.past.head.version, self.source, &self.past.name)
    }
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next {}

impl<'v, V: View + ?Sized> Changes<'v, V> {
    /// The changes of `spaces`, which are in order; with `after`, only those behind that one.
    pub(super) fn of(view: &'v V, spaces: Vec<Space>, after: Option<(Version, &Address)>) -> Result<Self> {
        let begin = |space: Space| {
            let before = after.map(|(Version(at), address)| match space.namespace.cmp(&address.namespace) {
                Ordering::Less => (Version(at.saturating_add(1)), String::new()),
                Ordering::Equal => (Version(at), address.name.as_str().to_owned()),
                Ordering::Greater => (Version(at), String::new()),
            });
            Source { space, page: VecDeque::new(), before }
        };
        let sources: Vec<_> = spaces.into_iter().map(begin).collect();
        let mut changes = Self { view, sources, next: BinaryHeap::new() };
        (0..changes.sources.len()).try_for_each(|source| changes.refill(source))?;
        Ok(changes)
    }

    /// Puts the next change of a source among those that may come next.
    fn refill(&mut self, number: usize) -> Result<()> {
        let source = &mut self.sources[number];
        if source.page.is_empty() {
            source.page = self.view.past(&source.space, source.before.as_ref(), PAGE)?.into();
            source.before = source.page.back().map(Past::place);
        }
        if let Some(past) = source.page.pop_front() {
            self.next.push(Next { past, source: number });
        }
        Ok(())
    }

    /// The next change that a query means.
    pub(super) fn next(&mut self, query: &LogQuery<'_>) -> Result<Option<(&Space, Past)>> {
        while let Some(Next { past, source }) = self.next.pop() {
            self.refill(source)?;
            if query.is_of(&past) {
                return Ok(Some((&self.sources[source].space, past)));
            }
        }
        Ok(None)
    }
}
