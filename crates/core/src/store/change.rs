//! Changes to entries: each checks all it needs before it writes anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::changes::{self, Op};
use super::history::{self, By, Made, Reason};
use super::list::{Progress, Query, Sink};
use super::{Answer, Request, Ruling, Store, cache, expiry};
use crate::address::{Address, Delimiter, Namespace};
use crate::auth::{self, Action};
use crate::clock::{Millis, Ttl};
use crate::engine::{Cache, Entries, Policy, Space, Txn, Usage, View};
use crate::error::{Error, ErrorKind, Result};
use crate::metakeys::Metakeys;
use crate::record::{Coding, Deed, Head, Past, Record, Version};

/// How to set an entry.
#[derive(Clone, Debug, Default)]
pub struct SetOptions {
    /// How long it lives, where the namespace is a cache; `None` takes the cache's own time.
    pub ttl: Option<Ttl>,
    /// What has to be true of the entry that is there.
    pub condition: Condition,
    /// Whether to read what was there before.
    pub want_old: bool,
}

/// What has to be true of an entry for it to be written. All that is set must hold; an expired entry is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Whether it is there.
    pub presence: Option<Presence>,
    /// The version it has; 0 is that of an entry that is not there.
    pub version: Option<Version>,
    /// The value it has.
    pub value: Option<Vec<u8>>,
}

/// Whether an entry is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is missing or has expired.
    Absent,
    /// It is there.
    Present,
}

/// What a write has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The version it made.
    pub version: Version,
    /// What was there before, when it was asked for.
    pub old: Option<Record>,
}

impl Answer for Written {}

/// What came of removing entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// How many were there.
    pub removed: u64,
    /// Which of them was not there and had to be: nothing was removed then.
    pub absent: Option<usize>,
}

impl Answer for Deleted {
    fn ruling(&self) -> Ruling {
        if self.absent.is_some() { Ruling::Refused } else { Ruling::Done }
    }
}

/// How to copy an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// Removes the source in the same step.
    pub move_source: bool,
    /// Refuses to replace an entry.
    pub if_absent: bool,
}

/// A write transaction under the store's rules; see [`Store::write`].
pub struct Writer<'t> {
    txn: &'t mut dyn Txn,
    now: Millis,
    max_value_bytes: u64,
    writer: Option<&'t str>,
    /// Why it changes entries, for their histories.
    reason: Option<&'t str>,
    spaces: Spaces,
    store: &'t Store,
    /// How many changes were made where; counted for everybody but the owner, for the audit log.
    changed: BTreeMap<Namespace, u64>,
}

/// The spaces that a transaction has met, as it has left them.
#[derive(Default)]
struct Spaces {
    opened: Vec<Opened>,
    numbers: BTreeMap<Namespace, usize>,
    /// The one that was asked for last; most often it is the next one, too.
    last: usize,
}

/// A space, and how full it was when it was first met.
struct Opened {
    space: Space,
    stored: Option<Usage>,
}

/// The parts of an entry that a change decides.
struct Entry<'a> {
    value: &'a [u8],
    created: Millis,
    updated: Millis,
    expires: Option<Millis>,
    writer: Option<&'a str>,
    metakeys: Option<&'a Metakeys>,
}

impl Store {
    /// Makes all changes of `body` at once, or none when it fails.
    ///
    /// A store with the id of an operation refuses this: what is done once has to be described, as for [`Store::write_once`].
    ///
    /// `body` may run more than once (see [`Engine::write`](crate::engine::Engine::write)); it must change nothing but what
    /// it is handed.
    ///
    /// # Errors
    /// Those of `body`; [`ErrorKind::Busy`] when other writers took too long; those of writing.
    pub fn write<T>(&self, mut body: impl FnMut(&mut Writer<'_>) -> Result<T>) -> Result<T> {
        let mut answer = None;
        let written = self.coder.with_keys(|| {
            self.transact(&mut |txn| {
                let mut writer = self.writer_on(txn);
                answer = Some(body(&mut writer)?);
                writer.finish()
            })
        });
        written.inspect_err(|error| self.note_denied(error))?;
        answer.ok_or_else(|| Error::new(ErrorKind::Io, "the engine did not run the transaction"))
    }

    /// A writer that applies this store's rules to a transaction.
    pub(super) fn writer_on<'t>(&'t self, txn: &'t mut dyn Txn) -> Writer<'t> {
        Writer {
            txn,
            now: self.now(),
            max_value_bytes: self.max_value_bytes,
            writer: self.writer.as_deref(),
            reason: self.reason.as_ref().map(Reason::text),
            spaces: Spaces::default(),
            store: self,
            changed: BTreeMap::new(),
        }
    }

    /// Sets the entry at `address`.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the condition does not hold, [`ErrorKind::NoTtl`], [`ErrorKind::Limit`], and those of
    /// [`Store::write`].
    pub fn set(&self, address: &Address, value: &[u8], options: &SetOptions) -> Result<Written> {
        let describe = |request: &mut Request| {
            let SetOptions { ttl, condition, want_old } = options;
            request.text("set").changes(address).value(value).ttl(*ttl).condition(condition).flag(*want_old);
        };
        self.write_once(&describe, |writer| writer.set(address, value, options))
    }

    /// Removes entries at once; with `strict` all of them have to be there, else none is removed.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the condition does not hold for one of them, and those of [`Store::write`].
    pub fn delete(&self, addresses: &[Address], condition: &Condition, strict: bool) -> Result<Deleted> {
        let describe = |request: &mut Request| {
            request.text("del").flag(strict).condition(condition);
            for address in addresses {
                request.changes(address);
            }
        };
        self.write_once(&describe, |writer| {
            let mut deleted = Deleted::default();
            for (place, address) in addresses.iter().enumerate() {
                if writer.delete(address, condition)? {
                    deleted.removed += 1;
                } else if strict {
                    return Ok(Deleted { removed: 0, absent: Some(place) });
                }
            }
            Ok(deleted)
        })
    }

    /// Adds to the number at `address`, 0 when there is none; see [`Writer::increment`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no number or would overflow, and those of [`Store::write`].
    pub fn increment(&self, address: &Address, by: i64) -> Result<i64> {
        let describe = |request: &mut Request| {
            request.text("incr").changes(address).number(by).answers_with_values();
        };
        self.write_once(&describe, |writer| writer.increment(address, by))
    }

    /// Adds bytes to the end of the value at `address`; see [`Writer::append`].
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when the value grows too large, and those of [`Store::write`].
    pub fn append(&self, address: &Address, tail: &[u8]) -> Result<Version> {
        let describe = |request: &mut Request| {
            request.text("append").changes(address).value(tail);
        };
        self.write_once(&describe, |writer| writer.append(address, tail))
    }

    /// Counts as a write of the entry at `address`; see [`Writer::touch`].
    ///
    /// # Errors
    /// [`ErrorKind::NoTtl`], and those of [`Store::write`].
    pub fn touch(&self, address: &Address, ttl: Option<Ttl>) -> Result<Option<Version>> {
        let describe = |request: &mut Request| {
            request.text("touch").changes(address).ttl(ttl);
        };
        self.write_once(&describe, |writer| writer.touch(address, ttl))
    }

    /// Copies the entry at `from`, or moves it; see [`Writer::copy`].
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the target is there and must not be, and those of [`Store::write`].
    pub fn copy(&self, from: &Address, to: &Address, options: CopyOptions) -> Result<Option<Version>> {
        let describe = |request: &mut Request| {
            let CopyOptions { move_source, if_absent } = options;
            request.text("copy").flag(move_source).flag(if_absent).changes(to);
            if move_source {
                request.changes(from)
            } else {
                request.reads(from)
            };
        };
        self.write_once(&describe, |writer| writer.copy(from, to, options))
    }
}

impl<'t> Writer<'t> {
    /// The moment of this transaction.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// The entry at an address, as this transaction has left it; `None` when it is missing or has expired.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] to those who may not read there, and those of reading.
    pub fn get(&mut self, address: &Address) -> Result<Option<Record>> {
        let record = self.record_for(Action::Read, address)?;
        let space = self.spaces.find(self.txn, &address.namespace, self.now)?;
        let counts_use = |cache: &Cache| cache.is_limited() && cache.policy == Policy::Lru;
        if record.is_some() && space.and_then(|space| space.cache.as_ref()).is_some_and(counts_use) {
            self.note_read(address)?;
        }
        Ok(record)
    }

    /// The version of this transaction if it has written something by now, else that of the last one that did.
    ///
    /// # Errors
    /// Those of reading.
    pub fn revision(&self) -> Result<Version> {
        self.txn.revision()
    }

    /// Shows `sink` what [`Store::list`] would, as this transaction finds it; pages follow each other at once.
    ///
    /// # Errors
    /// Those of reading, and those of the sink.
    pub fn list(&mut self, namespace: &Namespace, query: &Query, sink: &mut dyn Sink) -> Result<()> {
        self.allow(Action::Read, namespace)?;
        let mut progress = Progress::of(query);
        while !progress.is_over {
            self.store.page(self.txn, namespace, query, self.now, &mut progress, sink)?;
            progress.is_over |= sink.page()?.is_break();
        }
        Ok(())
    }

    /// Sets an entry.
    ///
    /// # Errors
    /// See [`Store::set`].
    pub fn set(&mut self, address: &Address, value: &[u8], options: &SetOptions) -> Result<Written> {
        self.check_size(value.len())?;
        if options.is_plain() && !self.has_to_look(&address.namespace)? {
            let expires = self.expiry(&address.namespace, options.ttl)?;
            let version = self.upsert(address, value, expires)?;
            return Ok(Written { version, old: None });
        }
        let stored = self.stored_head(address)?;
        let present = self.visible(stored.as_ref());
        let old =
            if options.want_old || options.condition.value.is_some() { self.record(address)? } else { None };
        options.condition.check(present, old.as_ref())?;
        let created = present.map_or(self.now, |head| head.created);
        let metakeys = present.and_then(|head| head.metakeys.as_ref());
        let expires = self.expiry(&address.namespace, options.ttl)?;
        let version = self.put(address, stored.as_ref(), &self.entry(value, created, expires, metakeys))?;
        Ok(Written { version, old: old.filter(|_| options.want_old) })
    }

    /// Up to which length values may be set by [`Writer::set_many`]: none, where it matters what they replace, or somebody is told of each.
    pub(super) fn takes_many(&mut self, namespace: &Namespace) -> Result<Option<u64>> {
        let is_told = self.store.identity.is_some() || changes::is_kept(self.txn, self.now)?;
        if is_told || self.has_to_look(namespace)? {
            return Ok(None);
        }
        let space = self.spaces.find(self.txn, namespace, self.now)?;
        let kept_plain = self.store.coder.keeps_plain(space.map(|space| &*space));
        Ok(kept_plain.map(|bytes| bytes.min(self.max_value_bytes)))
    }

    /// Sets entries of a namespace, of which there is one at least and none longer than it [takes](Self::takes_many).
    pub(super) fn set_many(&mut self, namespace: &Namespace, entries: &mut dyn Entries) -> Result<()> {
        let expires = self.expiry(namespace, None)?;
        let version = self.txn.version()?;
        let (created, updated, writer) = (self.now, self.now, self.writer.map(str::to_owned));
        let (rank, size, coding, metakeys) = (None, 0, Coding::PLAIN, None);
        let head = Head { version, created, updated, expires, writer, rank, size, coding, metakeys };
        let space = self.spaces.find_or_create(self.txn, namespace, self.now)?;
        self.txn.upsert_all(space, &head, entries)
    }

    /// Removes an entry; says whether it was there.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the condition does not hold, and those of writing.
    pub fn delete(&mut self, address: &Address, condition: &Condition) -> Result<bool> {
        let stored = self.stored_head(address)?;
        let present = self.visible(stored.as_ref());
        let old = if condition.value.is_some() { self.record(address)? } else { None };
        condition.check(present, old.as_ref())?;
        let was_there = present.is_some();
        if let Some(head) = stored {
            self.remove(address, &head)?;
        }
        Ok(was_there)
    }

    /// Adds to the number at an address, 0 when there is none, and returns the sum. An expiry stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the value is no 64-bit integer in decimal, or the sum none.
    pub fn increment(&mut self, address: &Address, by: i64) -> Result<i64> {
        let old = self.record(address)?;
        let before = old.as_ref().map_or(Ok(0), |record| parse_integer(&record.value))?;
        let sum = before.checked_add(by).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("{before} plus {by} is beyond a 64-bit integer"))
        })?;
        self.replace(address, old.as_ref(), sum.to_string().as_bytes())?;
        Ok(sum)
    }

    /// Adds bytes to the end of a value, an empty one when there is none. An expiry stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when the value grows too large.
    pub fn append(&mut self, address: &Address, tail: &[u8]) -> Result<Version> {
        let mut old = self.record(address)?;
        let mut value = old.as_mut().map(|record| std::mem::take(&mut record.value)).unwrap_or_default();
        self.check_size(value.len() + tail.len())?;
        value.extend_from_slice(tail);
        self.replace(address, old.as_ref(), &value)
    }

    /// Sets the value of an entry that still has the version that was seen, or of one that was not there and is not yet. Expiry
    /// and metakeys stay as they are.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when somebody else has written meanwhile, and [`ErrorKind::Limit`].
    pub fn replace_if(&mut self, address: &Address, seen: Option<Version>, value: &[u8]) -> Result<Version> {
        self.check_size(value.len())?;
        let old = self.record(address)?;
        let presence = if seen.is_none() { Some(Presence::Absent) } else { None };
        let condition = Condition { presence, version: seen, value: None };
        condition.check(old.as_ref().map(|record| &record.head), None)?;
        self.replace(address, old.as_ref(), value)
    }

    /// Counts as a write of an entry without changing its value: in a cache, its time starts anew.
    ///
    /// Returns `None` when there is no such entry.
    ///
    /// # Errors
    /// [`ErrorKind::NoTtl`] when there is a `ttl` and the namespace is no cache.
    pub fn touch(&mut self, address: &Address, ttl: Option<Ttl>) -> Result<Option<Version>> {
        let expires = self.expiry(&address.namespace, ttl)?;
        match self.present_head(address)? {
            Some(present) => self.put_head(address, Head { expires, ..present }).map(Some),
            None => Ok(None),
        }
    }

    /// Who changes entries, and why.
    fn by(&self) -> By<'t> {
        let must_be_kept = self.store.reason.as_ref().is_some_and(|reason| reason.must_be_kept);
        By { now: self.now, writer: self.writer, reason: self.reason, must_be_kept }
    }

    /// Says why it changes entries, unless that has been said.
    pub(super) fn give_reason(&mut self, reason: &'t str) {
        self.reason = self.reason.or(Some(reason));
    }

    /// The head of an entry that is there now, and is to be changed.
    pub(super) fn present_head(&mut self, address: &Address) -> Result<Option<Head>> {
        Ok(self.stored_head(address)?.filter(|head| head.visible_at(self.now)))
    }

    /// Counts as a write of an entry that is there, with the expiry and the metakeys of `head`; its value stays.
    pub(super) fn put_head(&mut self, address: &Address, head: Head) -> Result<Version> {
        let (version, by) = (self.txn.version()?, self.by());
        let (updated, writer) = (self.now, self.writer.map(str::to_owned));
        let space = self.spaces.find_or_create(self.txn, &address.namespace, self.now)?;
        let rank = space.cache.as_mut().and_then(Cache::next_rank);
        let stored = space.history.is_some().then(|| head.clone());
        let head = Head { version, updated, writer, rank, ..head };
        changes::note_set(self.txn, space, address.name.as_str(), self.now, self.writer)?;
        history::note(self.txn, space, address.name.as_str(), stored.as_ref(), &Made::Headed(&head), &by)?;
        self.txn.put_head(space, address.name.as_str(), &head)?;
        self.note_change(&address.namespace);
        Ok(version)
    }

    /// Copies an entry, or moves it; `None` when there is nothing to copy.
    ///
    /// Metakeys go along, and a remaining time to live where the target is a cache. A move to itself changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the target is there and must not be, [`ErrorKind::Limit`].
    pub fn copy(&mut self, from: &Address, to: &Address, options: CopyOptions) -> Result<Option<Version>> {
        let now = self.now;
        if options.move_source {
            self.allow(Action::Write, &from.namespace)?;
        }
        self.allow(Action::Write, &to.namespace)?;
        let Some(source) = self.record_for(Action::Read, from)? else { return Ok(None) };
        let target = self.stored_head(to)?;
        if options.if_absent {
            let absent = Condition { presence: Some(Presence::Absent), ..Condition::default() };
            absent.check(self.visible(target.as_ref()), None)?;
        }
        if from == to {
            return Ok(Some(source.head.version));
        }
        let expires = match (self.cache(&to.namespace)?, source.head.expires) {
            (Some(_), Some(at)) => Some(at),
            (cache, _) => expiry(cache, None, now)?,
        };
        let created = if options.move_source { source.head.created } else { self.now };
        if let Some(cache) = self.cache(&to.namespace)? {
            cache.check_fits(cache::footprint(to.name.as_str(), source.head.size))?;
        }
        if options.move_source {
            self.remove(from, &source.head)?;
        }
        let entry = self.entry(&source.value, created, expires, source.head.metakeys.as_ref());
        self.put(to, target.as_ref(), &entry).map(Some)
    }

    /// Does what a cache asks for when one of its entries is read.
    pub(super) fn note_read(&mut self, address: &Address) -> Result<()> {
        let Some(space) = self.spaces.find(self.txn, &address.namespace, self.now)? else { return Ok(()) };
        let Some(stored) = self.txn.head(space, address.name.as_str())? else { return Ok(()) };
        if !stored.visible_at(self.now) {
            return self.remove(address, &stored);
        }
        let rank = space.cache.as_mut().and_then(Cache::next_rank);
        self.txn.put_head(space, address.name.as_str(), &Head { rank, ..stored })
    }

    /// The largest value that is taken.
    pub(super) fn max_value_bytes(&self) -> u64 {
        self.max_value_bytes
    }

    fn check_size(&self, bytes: usize) -> Result<()> {
        super::check_size(bytes, self.max_value_bytes)
    }

    /// Whether an entry is there.
    pub(super) fn is_there(&mut self, address: &Address) -> Result<bool> {
        let stored = self.stored_head(address)?;
        Ok(self.visible(stored.as_ref()).is_some())
    }

    /// Sets an entry with times, a writer and metakeys that were kept elsewhere.
    pub(super) fn set_as_kept(
        &mut self,
        address: &Address,
        value: &[u8],
        (created, updated, expires): (Millis, Millis, Option<Millis>),
        writer: Option<&str>,
        metakeys: Option<&Metakeys>,
    ) -> Result<()> {
        // Whoever may only write writes here and now, and in their own name.
        self.allow(Action::Admin, &address.namespace)?;
        self.check_size(value.len())?;
        if expires.is_some() && self.cache(&address.namespace)?.is_none() {
            return Err(super::no_ttl());
        }
        let stored = self.stored_head(address)?;
        let entry = Entry { value, created, updated, expires, writer, metakeys };
        self.put(address, stored.as_ref(), &entry).map(drop)
    }

    /// Brings a version of an entry back as a new write.
    pub(super) fn bring_back(&mut self, space: &Space, address: &Address, past: &Past) -> Result<()> {
        let Record { head, value } = self.store.record_of(self.txn, space, past.clone())?;
        self.check_size(value.len())?;
        let expires = head.expires.filter(|_| space.cache.is_some());
        let stored = self.stored_head(address)?;
        let entry = self.entry(&value, head.created, expires, head.metakeys.as_ref());
        self.put(address, stored.as_ref(), &entry).map(drop)
    }

    /// Looks at the state that the changes so far have left.
    pub(super) fn look<T>(&self, look: impl FnOnce(&dyn View) -> Result<T>) -> Result<T> {
        look(self.txn)
    }

    /// Refuses what whom it acts for may not do.
    fn allow(&self, action: Action, namespace: &Namespace) -> Result<()> {
        self.store.permit(action, namespace)
    }

    /// Counts a change for the audit log.
    fn note_change(&mut self, namespace: &Namespace) {
        if self.store.identity.is_some() {
            *self.changed.entry(namespace.clone()).or_default() += 1;
        }
    }

    /// The head of what lies at an address, expired or not.
    pub(super) fn stored_head(&mut self, address: &Address) -> Result<Option<Head>> {
        self.allow(Action::Write, &address.namespace)?;
        match self.spaces.find(self.txn, &address.namespace, self.now)? {
            Some(space) => self.txn.head(space, address.name.as_str()),
            None => Ok(None),
        }
    }

    /// The entry at an address, if it is there now.
    fn record(&mut self, address: &Address) -> Result<Option<Record>> {
        self.record_for(Action::Write, address)
    }

    /// The same for what is not to be changed by it.
    fn record_for(&mut self, action: Action, address: &Address) -> Result<Option<Record>> {
        self.allow(action, &address.namespace)?;
        let record = match self.spaces.find(self.txn, &address.namespace, self.now)? {
            Some(space) => self.store.coder.record(self.txn, space, address.name.as_str(), Some(self.now))?,
            None => None,
        };
        Ok(record.filter(|record| record.head.visible_at(self.now)))
    }

    fn visible<'h>(&self, head: Option<&'h Head>) -> Option<&'h Head> {
        head.filter(|head| head.visible_at(self.now))
    }

    pub(super) fn cache(&mut self, namespace: &Namespace) -> Result<Option<&Cache>> {
        self.allow(Action::Write, namespace)?;
        let space = self.spaces.find(self.txn, namespace, self.now)?;
        Ok(space.and_then(|space| space.cache.as_ref()))
    }

    /// Whether it matters to a namespace what a new value replaces.
    fn has_to_look(&mut self, namespace: &Namespace) -> Result<bool> {
        let has_reason = self.reason.is_some();
        self.allow(Action::Write, namespace)?;
        let space = self.spaces.find(self.txn, namespace, self.now)?;
        Ok(has_reason
            || space.is_some_and(|space| {
                space.history.is_some() || space.cache.as_ref().is_some_and(Cache::is_limited)
            }))
    }

    fn expiry(&mut self, namespace: &Namespace, ttl: Option<Ttl>) -> Result<Option<Millis>> {
        let now = self.now;
        expiry(self.cache(namespace)?, ttl, now)
    }

    /// Writes a new value for an entry and leaves expiry and metakeys alone; a new entry takes the default.
    fn replace(&mut self, address: &Address, old: Option<&Record>, value: &[u8]) -> Result<Version> {
        let entry = match old {
            Some(Record { head, .. }) => {
                self.entry(value, head.created, head.expires, head.metakeys.as_ref())
            }
            None => {
                let expires = self.expiry(&address.namespace, None)?;
                self.entry(value, self.now, expires, None)
            }
        };
        let stored = self.stored_head(address)?;
        self.put(address, stored.as_ref(), &entry)
    }

    /// An entry as it is written here and now.
    fn entry<'e>(
        &self,
        value: &'e [u8],
        created: Millis,
        expires: Option<Millis>,
        metakeys: Option<&'e Metakeys>,
    ) -> Entry<'e>
    where
        't: 'e,
    {
        Entry { value, created, updated: self.now, expires, writer: self.writer, metakeys }
    }

    /// Stores an entry in place of whatever is there; not for caches with limits, which count what they hold.
    fn upsert(&mut self, address: &Address, value: &[u8], expires: Option<Millis>) -> Result<Version> {
        let version = self.txn.version()?;
        let (created, updated, size) = (self.now, self.now, value.len() as u64);
        let writer = self.writer.map(str::to_owned);
        let space = self.spaces.find_or_create(self.txn, &address.namespace, self.now)?;
        let name = address.name.as_str();
        let (coding, kept) = self.store.coder.keep(self.txn, space, name, value)?;
        changes::note_set(self.txn, space, name, self.now, self.writer)?;
        let head =
            Head { version, created, updated, expires, writer, rank: None, size, coding, metakeys: None };
        self.txn.upsert(space, name, &head, &kept)?;
        self.note_change(&address.namespace);
        Ok(version)
    }

    /// Stores an entry in place of `stored`, and keeps its cache within limits.
    fn put(&mut self, address: &Address, stored: Option<&Head>, entry: &Entry<'_>) -> Result<Version> {
        let (version, by) = (self.txn.version()?, self.by());
        let space = self.spaces.find_or_create(self.txn, &address.namespace, self.now)?;
        let (name, size) = (address.name.as_str(), entry.value.len() as u64);
        let rank = match &mut space.cache {
            Some(cache) => cache.admit(name, size, stored)?,
            None => None,
        };
        let &Entry { value, created, updated, expires, writer, metakeys } = entry;
        let (writer, metakeys) = (writer.map(str::to_owned), metakeys.cloned());
        let (coding, kept) = self.store.coder.keep(self.txn, space, name, value)?;
        let head = Head { version, created, updated, expires, writer, rank, size, coding, metakeys };
        changes::note_set(self.txn, space, name, self.now, self.writer)?;
        history::note(self.txn, space, name, stored, &Made::Stored(&head, &kept), &by)?;
        self.txn.put(space, name, &head, &kept)?;
        cache::make_room(self.txn, space, Some(name), &By { reason: None, ..by })?;
        self.note_change(&address.namespace);
        Ok(version)
    }

    /// Removes an entry that is stored; if it is there for users too, that is a write.
    fn remove(&mut self, address: &Address, stored: &Head) -> Result<()> {
        let by = self.by();
        let space = self.spaces.find_or_create(self.txn, &address.namespace, self.now)?;
        let name = address.name.as_str();
        if stored.visible_at(self.now) {
            self.txn.version()?;
            history::note(self.txn, space, name, Some(stored), &Made::Removed(Deed::Deleted), &by)?;
        }
        let (op, writer) =
            if stored.visible_at(self.now) { (Op::Deleted, self.writer) } else { (Op::Expired, None) };
        changes::note(self.txn, (&space.namespace, Some(name)), op, self.now, writer)?;
        self.txn.remove(space, name)?;
        if let Some(cache) = &mut space.cache {
            cache.subtract(name, stored.size);
        }
        self.note_change(&address.namespace);
        Ok(())
    }

    /// Stores how full the caches are that have changed, and who has changed what.
    pub(super) fn finish(mut self) -> Result<()> {
        if let Some(identity) = &self.store.identity {
            for (namespace, count) in &self.changed {
                let target = format!("{} {count}", namespace.display(Delimiter::default()));
                auth::append_event(self.txn, &self.store.event(&identity.name, "write", &target, true))?;
            }
        }
        self.settle_caches()
    }

    /// Stores how full the caches are that have changed, and looks at each anew from here on.
    fn settle_caches(&mut self) -> Result<()> {
        for Opened { space, stored } in std::mem::take(&mut self.spaces).opened {
            let usage = space.cache.as_ref().map(|cache| cache.usage);
            if usage != stored {
                self.txn.set_cache(&space, space.cache.as_ref())?;
            }
        }
        Ok(())
    }

    /// Changes what namespaces are, between changes of their entries.
    pub(super) fn reshape(&mut self, change: impl FnOnce(&Store, &mut dyn Txn) -> Result<()>) -> Result<()> {
        self.settle_caches()?;
        change(self.store, self.txn)
    }

    /// Takes values of any size, for they were taken elsewhere.
    pub(super) fn take_any_size(&mut self) {
        self.max_value_bytes = u64::MAX;
    }
}

impl Spaces {
    /// The space of a namespace, if there is one.
    fn find(&mut self, txn: &mut dyn Txn, namespace: &Namespace, now: Millis) -> Result<Option<&mut Space>> {
        let known = match self.opened.get(self.last) {
            Some(last) if last.space.namespace == *namespace => Some(self.last),
            _ => self.numbers.get(namespace).copied(),
        };
        if let Some(known) = known {
            self.last = known;
        } else {
            let Some(space) = txn.space(namespace)? else { return Ok(None) };
            self.meet(txn, space, now)?;
        }
        Ok(self.opened.get_mut(self.last).map(|opened| &mut opened.space))
    }

    /// The space of a namespace, made when it is not there.
    fn find_or_create(
        &mut self,
        txn: &mut dyn Txn,
        namespace: &Namespace,
        now: Millis,
    ) -> Result<&mut Space> {
        if self.find(txn, namespace, now)?.is_none() {
            let space = txn.create_space(namespace, now)?;
            self.meet(txn, space, now)?;
        }
        Ok(&mut self.opened[self.last].space)
    }

    /// Remembers a space. Some of what has expired in a cache goes first, so that all that follows finds it gone.
    fn meet(&mut self, txn: &mut dyn Txn, mut space: Space, now: Millis) -> Result<()> {
        let stored = space.cache.as_ref().map(|cache| cache.usage);
        if space.cache.is_some() {
            cache::sweep(txn, &mut space, now, cache::SWEEP)?;
        }
        history::forget_some(txn, &space, now)?;
        self.last = self.opened.len();
        self.numbers.insert(space.namespace.clone(), self.last);
        self.opened.push(Opened { space, stored });
        Ok(())
    }
}

impl SetOptions {
    /// Whether what is there already makes no difference.
    fn is_plain(&self) -> bool {
        !self.want_old && self.condition == Condition::default()
    }
}

impl Condition {
    /// Whether it holds of what is there; `record` is needed only for a condition on the value.
    pub(super) fn holds(&self, present: Option<&Head>, record: Option<&Record>) -> bool {
        let value = record.map(|record| record.value.as_slice());
        let presence_holds = match self.presence {
            Some(Presence::Absent) => present.is_none(),
            Some(Presence::Present) => present.is_some(),
            None => true,
        };
        let version = present.map_or(Version(0), |head| head.version);
        let version_holds = self.version.is_none_or(|wanted| wanted == version);
        let value_holds = self.value.as_deref().is_none_or(|wanted| value == Some(wanted));
        presence_holds && version_holds && value_holds
    }

    /// Checks it against what is there, as [`Condition::holds`] does.
    fn check(&self, present: Option<&Head>, record: Option<&Record>) -> Result<()> {
        if self.holds(present, record) {
            return Ok(());
        }
        let what = match present {
            None => "nothing was written; there is no such entry".to_owned(),
            Some(head) => format!("nothing was written; the entry has version {}", head.version),
        };
        Err(Error::new(ErrorKind::Conflict, what))
    }
}

fn parse_integer(value: &[u8]) -> Result<i64> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::new(ErrorKind::Invalid, "the value is no 64-bit integer"))
}
