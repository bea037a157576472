//! Reading and writing under the rules: expiry, caches, conditions, limits.
//!
//! A [`Store`] puts the rules around an [`Engine`]. Each of its methods is one unit of work, safe beside any number of
//! other processes; [`Store::write`] makes several changes one unit.

mod blame;
mod cache;
mod care;
mod change;
mod changes;
mod coder;
mod describe;
mod encryption;
mod forecast;
mod history;
mod list;
mod load;
mod locks;
mod metakeys;
mod moves;
mod once;
mod past;
mod projects;
mod queues;
mod scope;
mod settings;
mod spaces;
mod sync;
mod tables;
mod txn;
mod undo;
mod wait;
mod watch;

pub use self::blame::BlamedLine;
pub use self::care::{Census, Checked};
pub use self::change::{Condition, CopyOptions, Deleted, Presence, SetOptions, Writer, Written};
pub use self::changes::{MAX_CHANGES, Op, Position};
pub use self::coder::Unlock;
pub use self::describe::EntryInfo;
pub use self::encryption::Recoded;
pub use self::forecast::Garbage;
pub use self::history::{HistoryChanged, HistorySettings, Reason};
pub use self::list::{Query, Sink};
pub use self::load::{Change, Life, Load, LoadOptions, Loaded, OnConflict, Place};
pub use self::locks::{Acquired, Fence, Lock, MAX_LOCK_NAME};
pub use self::once::{Answer, MAX_OP_ID, OpId, Request, Ruling};
pub use self::past::{LogQuery, Logged};
pub use self::projects::ProjectInfo;
pub use self::queues::{
    Claimed, DEFAULT_PRIORITY, DEFAULT_TRIES, Item, Note, Place as QueuePlace, PushOptions,
};
pub use self::scope::Scope;
pub use self::settings::CacheSettings;
pub use self::spaces::{Dropped, NamespaceDetails, NamespaceInfo, Removed};
pub use self::sync::Difference;
pub use self::tables::{Table, TableInfo};
pub use self::txn::{Check, Failed, MAX_STEPS, Step, StepAnswer, Transacted, Transaction};
pub use self::undo::Undone;
pub use self::wait::{Met, Until};
pub use self::watch::{Event, Watch};

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use self::coder::Coder;
use crate::address::{Address, Namespace};
use crate::auth::Seed;
use crate::auth::policy::{self, Action, Decision, Identity};
use crate::clock::{Clock, Millis, SystemClock, Ttl};
use crate::engine::memory::MemoryEngine;
use crate::engine::{Cache, CopySink, Engine, Policy, Snapshot, Space, Txn, View};
use crate::error::{Error, ErrorKind, Obstacle, Result};
use crate::record::{Head, Record, Version};

/// The largest value that is stored unless a store is told otherwise, in bytes.
pub const DEFAULT_MAX_VALUE_BYTES: u64 = 64 * 1024 * 1024;

/// A key-value store on some engine.
///
/// # Examples
/// ```
/// use prontodb_core::{Notation, Store};
///
/// let store = Store::in_memory();
/// let address = Notation::default().address("shop.prices.apple")?;
/// store.set(&address, b"120", &Default::default())?;
/// let apple = store.get(&address)?.expect("it was just written");
/// assert_eq!(apple.value, b"120");
/// # Ok::<(), prontodb_core::Error>(())
/// ```
pub struct Store {
    engine: Box<dyn Engine>,
    clock: Box<dyn Clock>,
    max_value_bytes: u64,
    writer: Option<String>,
    identity: Option<Identity>,
    origin: &'static str,
    seed: fn() -> Result<Seed>,
    coder: Coder,
    fences: Vec<Fence>,
    op: Option<OpId>,
    reason: Option<Reason>,
    /// What was refused last within a transaction, to be written down behind it.
    refused: Cell<Option<Action>>,
}

impl Store {
    /// A store on `engine`, on the system's clock, with values of up to 64 MiB.
    pub fn new(engine: impl Engine + 'static) -> Self {
        Self {
            engine: Box::new(engine),
            clock: Box::new(SystemClock),
            max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            writer: None,
            identity: None,
            origin: "library",
            seed: || Ok(Seed::default()),
            coder: Coder::default(),
            fences: Vec::new(),
            op: None,
            reason: None,
            refused: Cell::new(None),
        }
    }

    /// An empty store that is gone when it is dropped.
    pub fn in_memory() -> Self {
        Self::new(MemoryEngine::new())
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Refuses values of more than `bytes` bytes.
    #[must_use]
    pub fn with_max_value_bytes(mut self, bytes: u64) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Writes nothing unless the leases of all these tokens stand: see [`Store::acquire_lock`].
    #[must_use]
    pub fn with_fence(mut self, fences: impl IntoIterator<Item = Fence>) -> Self {
        self.set_fence(fences);
        self
    }

    /// The same for a store that is in use already.
    pub fn set_fence(&mut self, fences: impl IntoIterator<Item = Fence>) {
        self.fences = fences.into_iter().collect();
    }

    /// Waits no longer than this for other writers, where the engine waits for any: for whoever has to be back soon.
    pub fn set_patience(&mut self, patience: Duration) {
        self.engine.set_patience(patience);
    }

    /// Does the one operation that it is asked for under this id, and only if nobody has done it under the same before: see
    /// [`Store::write_once`].
    #[must_use]
    pub fn with_op(mut self, op: Option<OpId>) -> Self {
        self.op = op;
        self
    }

    /// Says why it changes entries, in the history of what it changes.
    #[must_use]
    pub fn with_reason(mut self, reason: Option<Reason>) -> Self {
        self.reason = reason;
        self
    }

    /// Compresses values that are longer than `bytes`, where that saves a tenth; `None` compresses none. What has been
    /// compressed is read whatever is set.
    #[must_use]
    pub fn with_compression_above(mut self, bytes: Option<u64>) -> Self {
        self.coder.compress_above = bytes;
        self
    }

    /// Asks `unlock` for what unwraps data keys, once an encrypted value is to be read or written.
    #[must_use]
    pub fn with_unlock(mut self, unlock: Unlock) -> Self {
        self.coder.unlock = unlock;
        self
    }

    /// Records `writer` in every entry it writes.
    #[must_use]
    pub fn with_writer(mut self, writer: Option<String>) -> Self {
        self.writer = writer;
        self
    }

    /// Acts for somebody who has proved who they are, and does only what they may. Without, a store acts for the owner of its
    /// file, who may do everything.
    #[must_use]
    pub fn act_as(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Says in the audit log from where things are done.
    #[must_use]
    pub fn with_origin(mut self, origin: &'static str) -> Self {
        self.origin = origin;
        self
    }

    /// The user there is before anybody has made one, asked for when it matters; why there can be none is the error of
    /// whatever asked.
    #[must_use]
    pub fn with_seed(mut self, seed: fn() -> Result<Seed>) -> Self {
        self.seed = seed;
        self
    }

    /// Who it acts for; `None` is the owner of the file.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    pub(crate) fn set_identity(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    pub(crate) fn origin(&self) -> &'static str {
        self.origin
    }

    pub(crate) fn seed(&self) -> Result<Seed> {
        (self.seed)()
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Refuses what whom it acts for may not do, and writes that down. Every way into the store comes by here.
    pub(crate) fn allow(&self, action: Action, namespace: Option<&Namespace>) -> Result<()> {
        let Decision::Denied(why) = self.decide(action, namespace) else { return Ok(()) };
        if let Some(identity) = &self.identity {
            self.note_refused(identity, &action.to_string(), &why);
        }
        Err(Error::new(ErrorKind::Denied, why))
    }

    /// Refuses a namespace that may not be read by whom it acts for.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] says why.
    pub fn allow_reading(&self, namespace: &Namespace) -> Result<()> {
        self.allow(Action::Read, Some(namespace))
    }

    /// The same within a transaction, where nothing can be written down.
    fn permit(&self, action: Action, namespace: &Namespace) -> Result<()> {
        match self.decide(action, Some(namespace)) {
            Decision::Allowed => Ok(()),
            Decision::Denied(why) => {
                self.refused.set(Some(action));
                Err(Error::new(ErrorKind::Denied, why))
            }
        }
    }

    /// Writes down what a transaction has refused, once it has ended.
    fn note_denied(&self, error: &Error) {
        if let (ErrorKind::Denied, Some(identity)) = (error.kind(), &self.identity) {
            let action = self.refused.take().unwrap_or(Action::Write);
            self.note_refused(identity, &action.to_string(), &error.to_string());
        }
    }

    /// Whether whom it acts for may do something.
    fn decide(&self, action: Action, namespace: Option<&Namespace>) -> Decision {
        let decide = |identity| policy::decide(identity, action, namespace);
        self.identity.as_ref().map_or(Decision::Allowed, decide)
    }

    /// The same for something to be shown or left out.
    fn may_read(&self, namespace: &Namespace) -> bool {
        self.decide(Action::Read, Some(namespace)) == Decision::Allowed
    }

    /// What time it is for this store.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The version of the last write; 0 for none.
    ///
    /// # Errors
    /// Those of reading.
    pub fn revision(&self) -> Result<Version> {
        let mut revision = Version(0);
        self.engine.read(&mut |view| {
            revision = view.revision()?;
            Ok(())
        })?;
        Ok(revision)
    }

    /// Copies all there is to a new file, as it is at one moment; see [`Engine::snapshot`].
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] to all but admins, and those of the engine.
    pub fn snapshot(&self, dest: &Path) -> Result<Snapshot> {
        self.allow(Action::Admin, None)?;
        self.engine.snapshot(dest)
    }

    /// Hands on the bytes of such a copy; see [`Engine::copy_to`].
    ///
    /// # Errors
    /// Those of [`Store::snapshot`], and those of `sink`.
    pub fn copy_to(&self, sink: &mut dyn CopySink) -> Result<Version> {
        self.allow(Action::Admin, None)?;
        self.engine.copy_to(sink)
    }

    /// Refuses whoever may not write in a namespace, or does so under a lease that has ended: for those who have to do something
    /// before they write.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`], [`ErrorKind::Conflict`], and those of reading.
    pub fn require_write(&self, namespace: &Namespace) -> Result<()> {
        self.allow(Action::Write, Some(namespace))?;
        self.require_fence()
    }

    /// Refuses all but admins, and writes that down.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`].
    pub fn require_admin(&self) -> Result<()> {
        self.allow(Action::Admin, None)
    }

    /// Writes down that whom this store acts for has done something with all of it; nothing where that is the owner.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] to all but admins, and those of writing.
    pub fn note(&self, action: &str, target: &str) -> Result<()> {
        self.allow(Action::Admin, None)?;
        match self.identity {
            // It has been done by now, under whatever lease.
            Some(_) => self.engine.write(&mut |txn| self.note_done(txn, action, target)),
            None => Ok(()),
        }
    }

    /// The entry at `address`; `None` when it is missing or has expired.
    ///
    /// # Errors
    /// Those of reading.
    pub fn get(&self, address: &Address) -> Result<Option<Record>> {
        Ok(self.get_many(std::slice::from_ref(address))?.pop().flatten())
    }

    /// The entries at `addresses`, in their order, as they are at one moment.
    ///
    /// # Errors
    /// Those of reading.
    pub fn get_many(&self, addresses: &[Address]) -> Result<Vec<Option<Record>>> {
        let found = self.records(addresses, false)?;
        self.note_reads(&found);
        Ok(found.into_iter().map(Found::into_visible).collect())
    }

    /// The first of `addresses` that holds an entry, and its place among them.
    ///
    /// # Errors
    /// Those of reading.
    pub fn get_first(&self, addresses: &[Address]) -> Result<Option<(usize, Record)>> {
        let found = self.records(addresses, true)?;
        self.note_reads(&found);
        let mut records = found.into_iter().enumerate();
        Ok(records.find_map(|(place, found)| found.into_visible().map(|record| (place, record))))
    }

    /// The entry at `address`, even when it has expired, as long as it has not been removed. Removes nothing.
    ///
    /// # Errors
    /// Those of reading.
    pub fn get_even_expired(&self, address: &Address) -> Result<Option<Record>> {
        let addresses = std::slice::from_ref(address);
        let found = self.records_hiding(addresses, false, None)?;
        Ok(found.into_iter().next().and_then(|found| found.entry))
    }

    /// All that is known of the entry at `address` but its value.
    ///
    /// # Errors
    /// Those of reading.
    pub fn head(&self, address: &Address) -> Result<Option<Head>> {
        let addresses = std::slice::from_ref(address);
        let read =
            |view: &dyn View, space: &Space, name: &str| Ok(view.head(space, name)?.map(Head::of_plain));
        let found = self.find(addresses, false, |head: &Head| head, &read)?;
        self.note_reads(&found);
        Ok(found.into_iter().next().and_then(Found::into_visible))
    }

    /// Reads whole entries; see [`Store::find`].
    fn records<'a>(&self, addresses: &'a [Address], first_only: bool) -> Result<Vec<Found<'a, Record>>> {
        let now = self.now();
        self.records_hiding(addresses, first_only, Some(now))
    }

    /// The same; values of what has expired at `hidden_at` are left out.
    fn records_hiding<'a>(
        &self,
        addresses: &'a [Address],
        first_only: bool,
        hidden_at: Option<Millis>,
    ) -> Result<Vec<Found<'a, Record>>> {
        let read =
            |view: &dyn View, space: &Space, name: &str| self.coder.record(view, space, name, hidden_at);
        self.find(addresses, first_only, |record| &record.head, &read)
    }

    /// Reads entries on one view; with `first_only`, no further than the first that is there.
    fn find<'a, T>(
        &self,
        addresses: &'a [Address],
        first_only: bool,
        head: fn(&T) -> &Head,
        read: Look<'_, T>,
    ) -> Result<Vec<Found<'a, T>>> {
        addresses.iter().try_for_each(|address| self.allow(Action::Read, Some(&address.namespace)))?;
        let mut all = Vec::with_capacity(addresses.len());
        self.read(&mut |view| {
            all.clear();
            let now = self.now();
            for address in addresses {
                let space = view.space(&address.namespace)?;
                let entry = match &space {
                    Some(space) => read(view, space, address.name.as_str())?,
                    None => None,
                };
                let visible = entry.as_ref().is_some_and(|entry| head(entry).visible_at(now));
                all.push(Found { address, space, entry, visible });
                if visible && first_only {
                    break;
                }
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Runs `body` on one consistent state of the data, with the keys it needs.
    fn read(&self, body: &mut dyn FnMut(&dyn View) -> Result<()>) -> Result<()> {
        self.coder.with_keys(|| self.engine.read(body))
    }

    /// Runs `body` alone among writers, if the leases still stand under which this store writes.
    pub(crate) fn transact(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        self.refuse_op()?;
        self.engine.write(&mut |txn| {
            self.check_fence(txn)?;
            body(txn)
        })
    }

    /// Runs `body` in the same way, and undoes what it has done.
    pub(crate) fn rehearse(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        let mut is_done = false;
        let undone = self.transact(&mut |txn| {
            is_done = false;
            body(txn)?;
            is_done = true;
            Err(Error::new(ErrorKind::Conflict, "this was a rehearsal"))
        });
        if is_done { Ok(()) } else { undone }
    }

    /// Does what caches ask for when they are read: removes what was met expired, and notes what was used.
    ///
    /// That is housekeeping, and a reader gets its answer also where nothing can be written just now.
    fn note_reads<T>(&self, found: &[Found<'_, T>]) {
        let noted: Vec<_> = found.iter().filter(|found| found.is_noted()).collect();
        if noted.is_empty() {
            return;
        }
        let _ = self.engine.write_at_once(&mut |txn| {
            let mut writer = self.writer_on(txn);
            noted.iter().try_for_each(|found| writer.note_read(found.address))?;
            writer.finish()
        });
    }
}

/// Reads what is wanted of an entry.
type Look<'l, T> = &'l dyn Fn(&dyn View, &Space, &str) -> Result<Option<T>>;

/// What was found at an address.
struct Found<'a, T> {
    address: &'a Address,
    space: Option<Space>,
    entry: Option<T>,
    visible: bool,
}

impl<T> Found<'_, T> {
    fn into_visible(self) -> Option<T> {
        self.entry.filter(|_| self.visible)
    }

    /// Whether the cache it lies in changes when it is read.
    fn is_noted(&self) -> bool {
        let cache = self.space.as_ref().and_then(|space| space.cache.as_ref());
        match cache {
            Some(cache) if self.visible => cache.is_limited() && cache.policy == Policy::Lru,
            Some(cache) => cache.evict_on_read && self.entry.is_some(),
            None => false,
        }
    }
}

fn check_size(bytes: usize, max: u64) -> Result<()> {
    if bytes as u64 <= max {
        return Ok(());
    }
    let what = format!("the value is {bytes} bytes long; at most {max} are stored (max_value_bytes)");
    Err(Error::new(ErrorKind::Limit, what).met(Obstacle::MaxValueBytes))
}

/// The moment an entry expires that is written at `now` with `ttl`, in `cache` or in no cache.
fn expiry(cache: Option<&Cache>, ttl: Option<Ttl>, now: Millis) -> Result<Option<Millis>> {
    match (cache, ttl) {
        (Some(cache), ttl) => Ok(Some(now.after(ttl.unwrap_or(cache.timeout)))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(no_ttl()),
    }
}

fn no_ttl() -> Error {
    Error::new(ErrorKind::NoTtl, "the namespace is no cache, and keeps no TTL")
}
