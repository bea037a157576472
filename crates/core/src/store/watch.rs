//! Watching: the changes of entries as they are made, in order and without gaps (docs/design/0020-watching.md).
//!
//! A watch reads the log of changes behind the last one that it has seen, and the entries as they are in the same state of the data.
//! What expires while nobody writes it removes itself, so that this is a change like any other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::changes::{self, Cursor, Logged, Op, Position};
use super::{Scope, Store};
use crate::address::Namespace;
use crate::clock::Millis;
use crate::engine::{Awaited, Mark, Policy, Space, View, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Head, Record, Version};

/// A page ends after this many changes,
const PAGE: usize = 250;
/// or after so many bytes of values.
const PAGE_BYTES: usize = 256 * 1024;
/// How many expired entries one transaction of a watch removes.
const EXPIRED_AT_ONCE: usize = 1000;
/// After how long a watch tries again to remove what it could not.
const HOLD_OFF: Duration = Duration::from_millis(500);
/// How often a watch says that changes are to be kept for longer.
const EXTENDED_EVERY: Duration = Duration::from_secs(60 * 60);

/// A change of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where among all changes it stands.
    pub position: Position,
    /// What it was.
    pub op: Op,
    /// Where the entry lies.
    pub namespace: Namespace,
    /// Its name; `None` where all entries of the namespace have gone.
    pub name: Option<String>,
    /// When it was, by the clock of whoever made it.
    pub at: Millis,
    /// Who made it, if they said.
    pub writer: Option<String>,
    /// Of [`Op::Set`], the entry, as long as it still is what this change made of it. Otherwise another change follows. Its value
    /// is empty for those who want none.
    pub entry: Option<Record>,
}

/// Changes in order, from some position on.
pub struct Watch {
    scope: Scope,
    wants_values: bool,
    seen: Cursor,
    /// When something expires next in the caches that it covers; perhaps sooner than that, never later.
    expiries: BTreeMap<Namespace, Millis>,
    /// Nothing is removed before.
    hold_off: Option<Instant>,
    /// Made before the last look; none while more is there.
    mark: Option<Mark>,
}

/// One look at the log.
struct Page {
    events: Vec<Event>,
    seen: Cursor,
    is_last: bool,
    until: Option<Millis>,
    expiries: Vec<(Namespace, Millis)>,
}

impl Store {
    /// Watches what is changed from now on, or was changed behind a position. Changes are kept from then on, by all who write.
    ///
    /// # Examples
    /// ```
    /// use prontodb_core::store::{Op, Scope};
    /// use prontodb_core::{Listing, Notation, Store};
    ///
    /// let store = Store::in_memory();
    /// let scope = Scope { listing: Listing::All, default_project: "default".into(), context: None };
    /// let mut watch = store.watch(scope, true, None)?;
    /// store.set(&Notation::default().address("shop.prices.apple")?, b"120", &Default::default())?;
    /// let changes = watch.next(&store)?;
    /// assert_eq!((changes[0].op, changes[0].position.to_string()), (Op::Set, "1.1".to_owned()));
    /// # Ok::<(), prontodb_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Missed`] when changes behind the position are not kept, or it has not been reached;
    /// [`ErrorKind::Denied`] to those who may not read the one namespace that is meant; those of writing.
    pub fn watch(&self, scope: Scope, wants_values: bool, from: Option<Position>) -> Result<Watch> {
        scope.allow(self)?;
        loop {
            self.keep_changes(from)?;
            let (mut begun, mut expiries) = (None, BTreeMap::new());
            self.engine.read(&mut |view| {
                begun = begin(view, from)?;
                expiries.clear();
                for space in view.spaces(None)? {
                    if scope.covers(&space.namespace)
                        && let Some(at) = next_expiry(view, &space)?
                    {
                        expiries.insert(space.namespace, at);
                    }
                }
                Ok(())
            })?;
            // Somebody may have ended the log just now.
            if let Some(seen) = begun {
                return Ok(Watch { scope, wants_values, seen, expiries, hold_off: None, mark: None });
            }
        }
    }

    /// Has changes be kept from now on, if they are not, and if that is soon enough.
    fn keep_changes(&self, from: Option<Position>) -> Result<()> {
        let mut is_on = false;
        self.engine.read(&mut |view| {
            is_on = changes::is_on(view)?;
            match from {
                Some(from) if !is_on => refuse_past(from, view.revision()?),
                _ => Ok(()),
            }
        })?;
        while !is_on {
            self.engine.write(&mut |txn| {
                is_on = changes::begin(txn, self.now())?;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Removes some of what has expired in a cache, unless others have; when the next entry expires there.
    fn expire(&self, namespace: &Namespace, now: Millis) -> Result<Option<Millis>> {
        let next = self.next_expiry(namespace)?;
        if next.is_none_or(|next| next > now) {
            return Ok(next);
        }
        // Somebody waits for that, so it has its turn among the writers.
        self.engine.write(&mut |txn| self.sweep_chunk(txn, namespace, EXPIRED_AT_ONCE).map(drop))?;
        self.next_expiry(namespace)
    }

    fn next_expiry(&self, namespace: &Namespace) -> Result<Option<Millis>> {
        let mut next = None;
        self.engine.read(&mut |view| {
            next = match view.space(namespace)? {
                Some(space) => next_expiry(view, &space)?,
                None => None,
            };
            Ok(())
        })?;
        Ok(next)
    }
}

/// Where a watch begins; `None` where changes are not kept.
fn begin(view: &dyn View, from: Option<Position>) -> Result<Option<Cursor>> {
    if !changes::is_on(view)? {
        return Ok(None);
    }
    let (last, revision) = (changes::last(view)?, view.revision()?);
    let Some(from) = from else { return Ok(last) };
    if from.revision > revision {
        return Err(not_yet(from, revision));
    }
    let Some(first) = changes::first(view)? else { return Ok(None) };
    match changes::find(view, from)? {
        Some(seen) => Ok(Some(seen)),
        None => Err(missed(from, first.position)),
    }
}

/// Refuses to begin with the changes behind a position where none are kept, unless there are none.
fn refuse_past(from: Position, revision: Version) -> Result<()> {
    match Position::behind(revision) {
        last if from == last => Ok(()),
        _ if from.revision > revision => Err(not_yet(from, revision)),
        _ => {
            let what = format!("changes behind {from} are not kept, for nobody has watched");
            Err(Error::new(ErrorKind::Missed, what))
        }
    }
}

fn not_yet(from: Position, revision: Version) -> Error {
    let what = format!("there is no revision {} yet, the last one is {revision}", from.revision);
    Error::new(ErrorKind::Missed, what)
}

fn missed(seen: Position, first: Position) -> Error {
    Error::new(
        ErrorKind::Missed,
        format!("changes behind {seen} are not kept any more, but those behind {first}"),
    )
}

impl Watch {
    /// The last change that it has seen, whether it has shown it or not.
    pub fn position(&self) -> Position {
        self.seen.position
    }

    /// The changes that are there to be shown; none when there are none.
    ///
    /// # Errors
    /// [`ErrorKind::Missed`] when changes that it has not seen are not kept any more; those of reading.
    pub fn next(&mut self, store: &Store) -> Result<Vec<Event>> {
        self.scope.allow(store)?;
        self.mark = Some(store.engine.mark()?);
        self.expire(store);
        let mut page = None;
        store.read(&mut |view| {
            page = Some(self.page(store, view)?);
            Ok(())
        })?;
        let Some(page) = page else { return Ok(Vec::new()) };
        self.seen = page.seen;
        if !page.is_last {
            self.mark = None;
        }
        for (namespace, at) in page.expiries {
            let next = self.expiries.entry(namespace).or_insert(at);
            *next = at.min(*next);
        }
        self.extend(store, page.until);
        Ok(page.events)
    }

    /// Waits until there may be something to be shown, which [`Watch::next`] tells. May end sooner than that.
    ///
    /// # Errors
    /// Those of reading.
    pub fn wait(&mut self, store: &Store, wait: Wait<'_>) -> Result<Awaited> {
        let Some(mark) = self.mark else { return Ok(Awaited::Changed) };
        let mut at_most = wait.at_most.min(EXTENDED_EVERY);
        if let Some(next) = self.expiries.values().min() {
            let held_off = self.hold_off.map(|until| until.saturating_duration_since(Instant::now()));
            at_most = at_most.min(store.until(*next).max(held_off.unwrap_or_default()));
        }
        store.engine.await_change(mark, Wait { at_most, ..wait })
    }

    /// Reads what is behind the last change that was seen.
    fn page(&self, store: &Store, view: &dyn View) -> Result<Page> {
        let is_on = changes::is_on(view)?;
        let found = if is_on { changes::behind(view, self.seen, PAGE)? } else { None };
        let Some(found) = found else { return Err(self.missed(view, is_on)) };
        let (now, mut bytes) = (store.now(), 0);
        let mut page = Page {
            events: Vec::new(),
            seen: self.seen,
            is_last: found.len() < PAGE,
            until: view.changes_until()?,
            expiries: Vec::new(),
        };
        let mut spaces: BTreeMap<Namespace, Option<Space>> = BTreeMap::new();
        for (cursor, change) in found {
            if bytes >= PAGE_BYTES {
                page.is_last = false;
                break;
            }
            page.seen = cursor;
            let Some(mut event) = self.event(store, change)? else { continue };
            if let (Op::Set, Some(name)) = (event.op, &event.name) {
                if !spaces.contains_key(&event.namespace) {
                    spaces.insert(event.namespace.clone(), view.space(&event.namespace)?);
                }
                let head = match spaces.get(&event.namespace) {
                    Some(Some(space)) => view.head(space, name)?.map(|head| (space, head)),
                    _ => None,
                };
                if let Some((space, head)) = head.filter(|(_, head)| head.version == event.position.revision)
                {
                    page.expiries.extend(head.expires.map(|at| (event.namespace.clone(), at)));
                    event.entry =
                        self.entry(store, view, space, name, head)?.filter(|it| it.head.visible_at(now));
                }
            }
            bytes += event.entry.as_ref().map_or(0, |entry| entry.value.len());
            page.events.push(event);
        }
        Ok(page)
    }

    /// A change that is to be shown.
    fn event(&self, store: &Store, change: Logged) -> Result<Option<Event>> {
        let position = change.position();
        let Some(op) = change.op else { return Ok(None) };
        let namespace = change.namespace()?;
        let Logged { name, at, writer, .. } = change;
        let is_meant = self.scope.covers(&namespace)
            && name.as_deref().is_none_or(|name| self.scope.has(name))
            && store.may_read(&namespace);
        let event = Event { position, op, namespace, name, at: Millis(at), writer, entry: None };
        Ok(is_meant.then_some(event))
    }

    /// An entry as far as it is wanted.
    fn entry(
        &self,
        store: &Store,
        view: &dyn View,
        space: &Space,
        name: &str,
        head: Head,
    ) -> Result<Option<Record>> {
        match self.wants_values {
            true => store.coder.record(view, space, name, Some(store.now())),
            false => Ok(Some(Record { head: head.of_plain(), value: Vec::new() })),
        }
    }

    fn missed(&self, view: &dyn View, is_on: bool) -> Error {
        let seen = self.seen.position;
        match changes::first(view) {
            Ok(Some(first)) if is_on => missed(seen, first.position),
            _ => Error::new(ErrorKind::Missed, format!("changes behind {seen} are not kept any more")),
        }
    }

    /// Removes what has expired, which tells all who watch. Where that cannot be done now it is tried again.
    fn expire(&mut self, store: &Store) {
        let now = store.now();
        if self.hold_off.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.hold_off = None;
        let due = self.expiries.iter().filter(|(_, at)| **at <= now).map(|(namespace, _)| namespace.clone());
        for namespace in due.collect::<Vec<_>>() {
            match store.expire(&namespace, now) {
                Ok(Some(next)) => drop(self.expiries.insert(namespace, next)),
                Ok(None) => drop(self.expiries.remove(&namespace)),
                Err(_) => self.hold_off = Some(Instant::now() + HOLD_OFF),
            }
        }
    }

    /// Has changes be kept for longer, once in a while. That it failed matters only when it does so for days.
    fn extend(&self, store: &Store, until: Option<Millis>) {
        let now = store.now();
        let kept = until.map_or(0, |until| until.0.saturating_sub(now.0));
        if kept <= changes::KEPT_FOR - EXTENDED_EVERY.as_millis() as i64 {
            let _ = store.engine.write_at_once(&mut |txn| changes::extend(txn, now));
        }
    }
}

/// When the first entry of a cache expires; `None` for none, and where it is no cache.
fn next_expiry(view: &dyn View, space: &Space) -> Result<Option<Millis>> {
    if space.cache.is_none() {
        return Ok(None);
    }
    let Some(first) = view.victims(space, Policy::Ttl, 1)?.pop() else { return Ok(None) };
    Ok(view.head(space, &first.name)?.and_then(|head| head.expires))
}
