//! Making one store like another: what differs between them, and the changes that end it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use super::coder::{DataKeyRecord, keys_of};
use super::list::Progress;
use super::load::{Change, Life, Load, LoadOptions, Loaded, Place};
use super::{CacheSettings, Query, Sink, Store};
use crate::address::{Delimiter, EntryName, Namespace};
use crate::auth::Action;
use crate::clock::Millis;
use crate::engine::{Cache, Fields, Row, Sealing, Space, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Head, Record};

/// How the target of a sync differs from its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference<'d> {
    /// An entry that only the source has.
    Added(&'d str),
    /// An entry with another value, other times, another writer or other metakeys.
    Changed(&'d str),
    /// An entry that only the target has.
    Removed(&'d str),
    /// The namespace is another cache or none, has to be encrypted, or is there without an entry.
    Settings,
}

/// A namespace of either store, as it is in the source and in the target.
struct Pair {
    namespace: Namespace,
    wanted: Option<Side>,
    present: Option<Side>,
}

/// A namespace as one store has it.
struct Side {
    space: Space,
    /// The data key that values are sealed under as they are written, where they are.
    key: Option<DataKeyRecord>,
}

/// Two stores, each as it is at one moment.
struct Both<'b> {
    theirs: Snapshot<'b>,
    ours: Snapshot<'b>,
}

#[derive(Clone, Copy)]
struct Snapshot<'s> {
    store: &'s Store,
    view: &'s dyn View,
    now: Millis,
}

impl Pair {
    fn wanted_cache(&self) -> Option<&Cache> {
        self.wanted.as_ref()?.space.cache.as_ref()
    }

    fn present_cache(&self) -> Option<&Cache> {
        self.present.as_ref()?.space.cache.as_ref()
    }

    fn is_missing(&self) -> bool {
        self.wanted.is_some() && self.present.is_none()
    }

    fn has_other_cache(&self) -> bool {
        settings(self.wanted_cache()) != settings(self.present_cache())
    }

    /// The keys of both, where the source has its values sealed: they must not become readable on the way.
    fn keys(&self) -> Option<(&DataKeyRecord, Option<&DataKeyRecord>)> {
        let wanted = self.wanted.as_ref()?.key.as_ref()?;
        Some((wanted, self.present.as_ref().and_then(|side| side.key.as_ref())))
    }

    /// Whether the target is sealed for others, as far as that can be seen: of a passphrase it cannot.
    fn is_for_others(&self) -> bool {
        let readers = |key: &DataKeyRecord| key.recipients.iter().cloned().collect::<BTreeSet<_>>();
        self.keys()
            .is_some_and(|(wanted, present)| present.is_some_and(|key| readers(key) != readers(wanted)))
    }

    fn has_to_be_sealed(&self) -> bool {
        self.keys().is_some_and(|(_, present)| present.is_none())
    }

    fn differs(&self) -> bool {
        self.has_other_cache() || self.has_to_be_sealed() || self.is_for_others()
    }
}

/// Takes the differences between two stores.
type Visit<'v> = &'v mut dyn FnMut(&Namespace, Difference<'_>, Option<&Record>) -> Result<()>;

impl Store {
    /// Shows `visit` how this store differs from `source`, namespace by namespace, in the order of names; each of the two as
    /// it is at one moment. Versions do not count: each store has its own.
    ///
    /// # Errors
    /// Those of reading, and those of `visit`.
    pub fn differences(
        &self,
        source: &Self,
        visit: &mut dyn FnMut(&Namespace, Difference<'_>) -> Result<()>,
    ) -> Result<()> {
        self.beside(source, &mut |both| {
            both.pairs()?
                .iter()
                .try_for_each(|pair| both.show(pair, &mut |name, difference, _| visit(name, difference)))
        })
    }

    /// Makes this store like `source`, as that is at one moment: caches and entries in one transaction.
    ///
    /// What is encrypted in `source` is encrypted here first, for the same readers, under a key of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] for what is encrypted here for others; those of reading and writing.
    pub fn sync_from(&self, source: &Self, options: LoadOptions) -> Result<Loaded> {
        let (mut load, mut pairs) = (Load::new(LoadOptions::default()), Vec::new());
        self.beside(source, &mut |both| {
            load = Load::new(options.clone());
            pairs = both.pairs()?;
            pairs.iter().try_for_each(|pair| {
                both.compare(&pair.namespace, &mut |namespace, difference, record| {
                    push(&mut load, namespace, difference, record)
                })
            })
        })?;
        load.close();
        let changed: Vec<_> = pairs
            .iter()
            .filter(|pair| pair.has_other_cache() || pair.is_missing() || load.concerns(&pair.namespace))
            .collect();
        // Before anything is written, and before the transaction: a refusal is written to the audit log.
        changed.iter().try_for_each(|pair| self.allow(Action::Admin, Some(&pair.namespace)))?;
        self.seal_like(source, &pairs)?;
        if changed.is_empty() {
            return Ok(Loaded::default());
        }
        self.write(|writer| {
            writer.take_any_size();
            changed.iter().try_for_each(|pair| writer.reshape(|store, txn| store.begin_like(txn, pair)))?;
            let loaded = load.make_all(writer)?;
            changed.iter().try_for_each(|pair| writer.reshape(|store, txn| store.end_like(txn, pair)))?;
            Ok(loaded)
        })
    }

    /// Encrypts what is encrypted in the source, and refuses before that what is encrypted for others here.
    fn seal_like(&self, source: &Self, pairs: &[Pair]) -> Result<()> {
        for Pair { namespace, .. } in
            pairs.iter().filter(|pair| pair.keys().is_some_and(|(_, present)| present.is_some()))
        {
            if !self.present_key(namespace)?.is_for(&source.readers(namespace)?) {
                let what = format!(
                    "{} is encrypted in the target for others than in the source; nothing was written",
                    namespace.display(Delimiter::default())
                );
                return Err(Error::new(ErrorKind::Conflict, what));
            }
        }
        for Pair { namespace, .. } in pairs.iter().filter(|pair| pair.has_to_be_sealed()) {
            self.encrypt(namespace, &source.readers(namespace)?)?;
        }
        Ok(())
    }

    /// Makes a namespace the kind of cache that it is in the source, but for limits: under them whatever is changed halfway
    /// might be evicted. A cache that keeps its policy keeps its order, too.
    fn begin_like(&self, txn: &mut dyn Txn, pair: &Pair) -> Result<()> {
        let present = txn.space(&pair.namespace)?;
        let space = present.map_or_else(|| txn.create_space(&pair.namespace, self.now()), Ok)?;
        match settings(pair.wanted_cache()) {
            Some(wanted) => {
                let endless = |limit: Option<u64>| limit.map(|limit| if limit > 0 { ENDLESS } else { 0 });
                let (max_items, max_bytes) = (endless(wanted.max_items), endless(wanted.max_bytes));
                self.configure(txn, space, &CacheSettings { max_items, max_bytes, ..wanted }).map(drop)
            }
            None if space.cache.is_some() => self.release(txn, space),
            None => Ok(()),
        }
    }

    /// Gives a cache its limits.
    fn end_like(&self, txn: &mut dyn Txn, pair: &Pair) -> Result<()> {
        let (Some(wanted), Some(space)) = (settings(pair.wanted_cache()), txn.space(&pair.namespace)?) else {
            return Ok(());
        };
        self.configure(txn, space, &wanted).map(drop)
    }

    /// Runs `body` on one state of `source` and one of this store, with the keys of all values.
    fn beside(&self, source: &Self, body: &mut dyn FnMut(&Both<'_>) -> Result<()>) -> Result<()> {
        [self, source].iter().try_for_each(|store| store.allow(Action::Read, None))?;
        source.read(&mut |theirs| {
            let theirs = Snapshot::of(source, theirs);
            theirs.require_values()?;
            self.read(&mut |ours| {
                let ours = Snapshot::of(self, ours);
                ours.require_values()?;
                body(&Both { theirs, ours })
            })
        })
    }
}

/// More than any cache holds.
const ENDLESS: u64 = i64::MAX.unsigned_abs();

impl<'s> Snapshot<'s> {
    fn of(store: &'s Store, view: &'s dyn View) -> Self {
        Self { store, view, now: store.now() }
    }

    /// Asks for all keys before any value is shown.
    fn require_values(&self) -> Result<()> {
        let spaces = self.view.spaces(None)?;
        let mut sealed = spaces.iter().filter(|space| space.sealing != Sealing::Never);
        sealed.try_for_each(|space| self.store.require_values_of(self.view, space))
    }

    fn sides(&self) -> Result<BTreeMap<Namespace, Side>> {
        let side = |space: Space| {
            let mut keys = keys_of(self.view, &space)?.into_iter();
            let key = keys.find(|record| space.sealing.key() == Some(record.key));
            Ok((space.namespace.clone(), Side { space, key }))
        };
        self.view.spaces(None)?.into_iter().map(side).collect()
    }
}

impl Both<'_> {
    /// Every namespace of either store, as it is in the source and in the target, in order.
    fn pairs(&self) -> Result<Vec<Pair>> {
        let (mut theirs, mut ours) = (self.theirs.sides()?, self.ours.sides()?);
        let names: BTreeSet<_> = theirs.keys().chain(ours.keys()).cloned().collect();
        let pair = |namespace: Namespace| Pair {
            wanted: theirs.remove(&namespace),
            present: ours.remove(&namespace),
            namespace,
        };
        Ok(names.into_iter().map(pair).collect())
    }

    /// Shows `visit` how a namespace differs.
    fn show(&self, pair: &Pair, visit: Visit<'_>) -> Result<()> {
        if pair.differs() {
            visit(&pair.namespace, Difference::Settings, None)?;
        }
        let mut is_told = pair.differs();
        self.compare(&pair.namespace, &mut |namespace, difference, record| {
            is_told = true;
            visit(namespace, difference, record)
        })?;
        if pair.is_missing() && !is_told {
            visit(&pair.namespace, Difference::Settings, None)?;
        }
        Ok(())
    }

    /// Goes through the entries of a namespace in both stores at once.
    fn compare(&self, namespace: &Namespace, visit: Visit<'_>) -> Result<()> {
        let (mut theirs, mut ours) = (Pages::of(self.theirs, namespace)?, Pages::of(self.ours, namespace)?);
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
        let Head { created, updated, expires, writer, metakeys, .. } = record.head.clone();
        let life = Life::Kept { created, updated, expires, writer, metakeys };
        Change::Set { value: &record.value, life }
    });
    load.push(Place::default(), namespace, &EntryName::parse(name)?, change)
}

fn are_alike(a: &Record, b: &Record) -> bool {
    let times = |head: &Head| (head.created, head.updated, head.expires);
    let is_same = times(&a.head) == times(&b.head) && a.head.writer == b.head.writer;
    is_same && a.head.metakeys == b.head.metakeys && a.value == b.value
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
    snapshot: Snapshot<'s>,
    namespace: &'s Namespace,
    query: Query,
    progress: Progress,
    rows: Page,
}

#[derive(Default)]
struct Page(VecDeque<(String, Record)>);

impl<'s> Pages<'s> {
    fn of(snapshot: Snapshot<'s>, namespace: &'s Namespace) -> Result<Self> {
        let query = Query { fields: Fields::All, ..Query::default() };
        let progress = Progress::of(&query);
        let mut pages = Self { snapshot, namespace, query, progress, rows: Page::default() };
        pages.fill()?;
        Ok(pages)
    }

    fn first(&self) -> Option<&(String, Record)> {
        self.rows.0.front()
    }

    fn advance(&mut self) -> Result<()> {
        self.rows.0.pop_front();
        self.fill()
    }

    /// Reads on until there is an entry, or nothing follows.
    fn fill(&mut self) -> Result<()> {
        let Snapshot { store, view, now } = self.snapshot;
        while self.rows.0.is_empty() && !self.progress.is_over {
            store.page(view, self.namespace, &self.query, now, &mut self.progress, &mut self.rows)?;
        }
        Ok(())
    }
}

impl Sink for Page {
    fn row(&mut self, row: Row<'_>) {
        if let Some(head) = row.head {
            let record = Record { head: head.clone(), value: row.value.to_owned() };
            self.0.push_back((row.name.to_owned(), record));
        }
    }

    fn page(&mut self) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}
