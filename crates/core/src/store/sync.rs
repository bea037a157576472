//! Making one store like another: what differs between them, and the changes that end it.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::load::{Change, Life, Load, LoadOptions, Loaded, Place};
use super::{CacheSettings, Query, Sink, Store};
use crate::address::{EntryName, Namespace};
use crate::engine::{Cache, Fields, Row, Sealing, Space};
use crate::error::Result;
use crate::record::{Head, Record};

/// How the target of a sync differs from its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference<'d> {
    /// An entry that only the source has.
    Added(&'d str),
    /// An entry with another value, other times or another writer.
    Changed(&'d str),
    /// An entry that only the target has.
    Removed(&'d str),
    /// The namespace is another cache or none, has to be encrypted, or is there without an entry.
    Settings,
}

/// A namespace of either store, as it is in the source and in the target.
struct Pair {
    namespace: Namespace,
    wanted: Option<Space>,
    present: Option<Space>,
}

impl Pair {
    fn wanted_cache(&self) -> Option<&Cache> {
        self.wanted.as_ref()?.cache.as_ref()
    }

    fn present_cache(&self) -> Option<&Cache> {
        self.present.as_ref()?.cache.as_ref()
    }

    /// Whether the source has its values sealed, and the target does not: they must not become readable on the way.
    fn has_to_be_sealed(&self) -> bool {
        let is_sealed = |space: &Option<Space>| {
            space.as_ref().is_some_and(|space| matches!(space.sealing, Sealing::Under(_)))
        };
        is_sealed(&self.wanted) && !is_sealed(&self.present)
    }

    fn is_missing(&self) -> bool {
        self.wanted.is_some() && self.present.is_none()
    }

    fn has_other_cache(&self) -> bool {
        settings(self.wanted_cache()) != settings(self.present_cache())
    }
}

/// Takes the differences between two stores.
type Visit<'v> = &'v mut dyn FnMut(&Namespace, Difference<'_>, Option<&Record>) -> Result<()>;

impl Store {
    /// Shows `visit` how this store differs from `source`, namespace by namespace, in the order of names. Versions do not
    /// count: each store has its own.
    ///
    /// # Errors
    /// Those of reading, and those of `visit`.
    pub fn differences(
        &self,
        source: &Self,
        visit: &mut dyn FnMut(&Namespace, Difference<'_>) -> Result<()>,
    ) -> Result<()> {
        for pair in self.pairs(source)? {
            let is_told = pair.has_other_cache() || pair.has_to_be_sealed();
            if is_told {
                visit(&pair.namespace, Difference::Settings)?;
            }
            let mut is_empty = true;
            let mut visit_entry = |namespace: &Namespace, difference: Difference<'_>, _: Option<&Record>| {
                is_empty = false;
                visit(namespace, difference)
            };
            self.compare(source, &pair.namespace, &mut visit_entry)?;
            if is_empty && pair.is_missing() && !is_told {
                visit(&pair.namespace, Difference::Settings)?;
            }
        }
        Ok(())
    }

    /// Makes this store like `source`: encryption first, then caches without their limits, then all entries in one transaction,
    /// then the limits, under which whatever is changed halfway might be evicted.
    ///
    /// What is encrypted in `source` is encrypted here for the same readers, under a key of its own.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn sync_from(&self, source: &Self, options: LoadOptions) -> Result<Loaded> {
        let mut load = Load::new(LoadOptions { atomic: true, exact: true, ..options });
        let pairs = self.pairs(source)?;
        for Pair { namespace, .. } in &pairs {
            self.compare(source, namespace, &mut |namespace, difference, record| {
                push(&mut load, namespace, difference, record)
            })?;
        }
        for pair in pairs.iter().filter(|pair| pair.has_to_be_sealed()) {
            self.encrypt(&pair.namespace, &source.readers(&pair.namespace)?)?;
        }
        for pair in pairs.iter().filter(|pair| pair.is_missing()) {
            self.make_namespace(&pair.namespace)?;
        }
        let changed: Vec<_> =
            pairs.iter().filter(|pair| !load.is_empty() || pair.has_other_cache()).collect();
        for pair in &changed {
            if let Some(settings) = settings(pair.wanted_cache().or(pair.present_cache())) {
                let unlimited = CacheSettings { max_items: Some(0), max_bytes: Some(0), ..settings };
                self.create_cache(&pair.namespace, &unlimited)?;
            }
        }
        let loaded = if load.is_empty() { Loaded::default() } else { load.commit(self)? };
        for pair in changed {
            match (settings(pair.wanted_cache()), pair.present_cache()) {
                (Some(wanted), _) => self.set_cache(&pair.namespace, &wanted).map(drop)?,
                (None, Some(_)) => self.drop_cache(&pair.namespace, false)?,
                (None, None) => {}
            }
        }
        Ok(loaded)
    }

    /// Every namespace of either store, as it is in the source and here.
    fn pairs(&self, source: &Self) -> Result<Vec<Pair>> {
        let (theirs, ours) = (source.namespaces(None)?, self.namespaces(None)?);
        let mut names: Vec<_> = theirs.iter().chain(&ours).map(|space| space.namespace.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let find = |spaces: &[Space], name: &Namespace| {
            spaces.iter().find(|space| space.namespace == *name).cloned()
        };
        let pair = |namespace| Pair {
            wanted: find(&theirs, &namespace),
            present: find(&ours, &namespace),
            namespace,
        };
        Ok(names.into_iter().map(pair).collect())
    }

    /// Goes through the entries of a namespace in both stores at once.
    fn compare(&self, source: &Self, namespace: &Namespace, visit: Visit<'_>) -> Result<()> {
        let (mut theirs, mut ours) = (Pages::of(source, namespace)?, Pages::of(self, namespace)?);
        loop {
            let order = match (theirs.first(), ours.first()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((their_name, _)), Some((our_name, _))) => their_name.cmp(our_name),
            };
            if let (Ordering::Less, Some((name, record))) = (order, theirs.first()) {
                visit(namespace, Difference::Added(name), Some(record))?;
            }
            if let (Ordering::Greater, Some((name, _))) = (order, ours.first()) {
                visit(namespace, Difference::Removed(name), None)?;
            }
            if let (Ordering::Equal, Some((name, wanted)), Some((_, present))) =
                (order, theirs.first(), ours.first())
                && !are_alike(wanted, present)
            {
                visit(namespace, Difference::Changed(name), Some(wanted))?;
            }
            if order.is_le() {
                theirs.advance()?;
            }
            if order.is_ge() {
                ours.advance()?;
            }
        }
    }
}

fn push(
    load: &mut Load,
    namespace: &Namespace,
    difference: Difference<'_>,
    record: Option<&Record>,
) -> Result<()> {
    let (Difference::Added(name) | Difference::Changed(name) | Difference::Removed(name)) = difference else {
        return Ok(());
    };
    let change = record.map_or(Change::Delete, |record| {
        let Head { created, updated, expires, writer, .. } = record.head.clone();
        Change::Set { value: &record.value, life: Life::Kept { created, updated, expires, writer } }
    });
    load.push(Place::default(), namespace, &EntryName::parse(name)?, change)
}

fn are_alike(a: &Record, b: &Record) -> bool {
    let times = |head: &Head| (head.created, head.updated, head.expires);
    a.value == b.value && times(&a.head) == times(&b.head) && a.head.writer == b.head.writer
}

/// All settings of a cache, those that are not limited included.
fn settings(cache: Option<&Cache>) -> Option<CacheSettings> {
    cache.map(|cache| CacheSettings {
        timeout: Some(cache.timeout),
        evict_on_read: Some(cache.evict_on_read),
        max_items: Some(cache.max_items.unwrap_or(0)),
        max_bytes: Some(cache.max_bytes.unwrap_or(0)),
        policy: Some(cache.policy),
    })
}

/// The entries of a namespace, a page in memory.
struct Pages<'s> {
    store: &'s Store,
    namespace: &'s Namespace,
    page: Page,
}

#[derive(Default)]
struct Page {
    rows: VecDeque<(String, Record)>,
    /// The last name of all that were read.
    last: Option<String>,
}

impl<'s> Pages<'s> {
    fn of(store: &'s Store, namespace: &'s Namespace) -> Result<Self> {
        let mut pages = Self { store, namespace, page: Page::default() };
        pages.fill()?;
        Ok(pages)
    }

    fn first(&self) -> Option<&(String, Record)> {
        self.page.rows.front()
    }

    fn advance(&mut self) -> Result<()> {
        self.page.rows.pop_front();
        if self.page.rows.is_empty() { self.fill() } else { Ok(()) }
    }

    fn fill(&mut self) -> Result<()> {
        let query = Query { after: self.page.last.clone(), fields: Fields::All, ..Query::default() };
        self.store.list(self.namespace, &query, &mut self.page).map(drop)
    }
}

impl Sink for Page {
    fn row(&mut self, row: Row<'_>) {
        if let Some(head) = row.head {
            let record = Record { head: head.clone(), value: row.value.to_owned() };
            self.rows.push_back((row.name.to_owned(), record));
            self.last = Some(row.name.to_owned());
        }
    }

    fn page(&mut self) -> Result<ControlFlow<()>> {
        Ok(if self.rows.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }
}
