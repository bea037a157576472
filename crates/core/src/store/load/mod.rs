//! Many changes at once: collected and checked first, then written in the order of their names.
//!
//! What comes is packed into memory, and sorted and spilled to an unnamed file where it grows large; so memory stays small
//! whatever comes, and nothing is written before all of it has been seen. Entries are then written in the order in which
//! the file keeps them: an insertion next to the last one costs a third of one at a random place (external merge sort;
//! Knuth, The Art of Computer Programming, volume 3, section 5.4).

mod packed;
mod run;
mod spill;

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use self::packed::Packed;
use self::run::{Heap, Merge};
use self::spill::Spill;
use super::change::{Condition, SetOptions, Writer};
use super::{Answer, Request, Store};
use crate::address::{Address, EntryName, Namespace};
use crate::auth::Action;
use crate::clock::{Millis, Ttl};
use crate::engine::{Cache, Entries, Entry, Space, View};
use crate::error::{Error, ErrorKind, Result};
use crate::metakeys::Metakeys;
use crate::record::Head;

/// How much is collected in memory before it is spilled, unless a load is told otherwise.
const MEMORY_BYTES: usize = 32 * 1024 * 1024;

/// The most that is ever collected in memory: places in it are counted in 32 bits, a change behind the last one included.
const MAX_HEAP_BYTES: usize = 1024 * 1024 * 1024;
/// After how many changes whoever waits hears of it.
const TELL_EVERY: u64 = 10_000;
/// The longest name of a writer that is taken over, in bytes.
const MAX_WRITER_BYTES: usize = 1024;

/// How to load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where the unnamed file is made for what does not fit in memory. Without, all stays in memory.
    pub spill_folder: Option<PathBuf>,
    /// Bytes that are collected in memory before they are spilled; 32 MiB unless set.
    pub memory_bytes: usize,
    /// What becomes of entries that are there already.
    pub on_conflict: OnConflict,
    /// One transaction for all, and not one for each namespace.
    pub atomic: bool,
    /// Refuses two changes of one entry.
    pub unique: bool,
    /// Refuses larger values as they come; 64 MiB unless set.
    pub max_value_bytes: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            spill_folder: None,
            memory_bytes: MEMORY_BYTES,
            on_conflict: OnConflict::default(),
            atomic: false,
            unique: false,
            max_value_bytes: super::DEFAULT_MAX_VALUE_BYTES,
        }
    }
}

/// What becomes of an entry that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// It is replaced.
    #[default]
    Replace,
    /// It stays.
    Skip,
    /// Nothing is written, of all that the transaction holds.
    Fail,
}

/// Where in its source a change stands, for messages. Both begin at 1; the default is for sources without lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The byte within the line; 0 where only the line is known.
    pub column: u64,
}

impl Place {
    /// Says first where the thing stands that an error is about, as far as that is known.
    pub(crate) fn named_in(self, error: Error) -> Error {
        if self.line > 0 { error.at(self) } else { error }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { line, column: 0 } => write!(f, "line {line}"),
            Self { line, column } => write!(f, "line {line}, column {column}"),
        }
    }
}

/// What is done to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// It gets this value.
    Set {
        /// The bytes.
        value: &'a [u8],
        /// Its times.
        life: Life,
    },
    /// It is removed, if it is there.
    Delete,
}

/// The times of an entry that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// As those of an entry that is set without further words.
    #[default]
    Default,
    /// It lives so long from now on; only in caches.
    Ttl(Ttl),
    /// Those that another store has kept, and what else it has. One that expires needs a cache; one that does not expires
    /// in none.
    Kept {
        /// When it came into being.
        created: Millis,
        /// When it was last written.
        updated: Millis,
        /// When it is gone.
        expires: Option<Millis>,
        /// Who wrote it.
        writer: Option<String>,
        /// The metakeys of its key.
        metakeys: Option<Metakeys>,
    },
}

/// What a load has done, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Entries set, some of them in place of others.
    pub set: u64,
    /// Of those, entries that are there already; counted by [`Load::preview`] alone.
    pub replaced: u64,
    /// Entries removed; those that were not there do not count.
    pub deleted: u64,
    /// Changes left out: the entry was there, or what was to be set had expired.
    pub skipped: u64,
}

impl Answer for Loaded {}

/// Changes that are collected to be made together.
///
/// # Examples
/// ```
/// use prontodb_core::store::{Change, Life, Load, LoadOptions, Place};
/// use prontodb_core::{EntryName, Namespace, Store};
///
/// let mut load = Load::new(LoadOptions::default());
/// let prices = Namespace::new("shop", "prices")?;
/// let change = Change::Set { value: b"120", life: Life::Default };
/// load.push(Place { line: 1, column: 1 }, &prices, &EntryName::parse("apple")?, change)?;
/// assert_eq!(load.commit(&Store::in_memory())?.set, 1);
/// # Ok::<(), prontodb_core::Error>(())
/// ```
pub struct Load {
    options: LoadOptions,
    parts: Vec<Part>,
    numbers: BTreeMap<Namespace, u32>,
    heap: Heap,
    spill: Option<Spill>,
    changes: u64,
}

/// What is known of the changes of one namespace.
struct Part {
    namespace: Namespace,
    /// Where the first entry stands that needs a namespace with expiry.
    expires: Option<Place>,
    /// Bytes of the largest entry, and where it stands.
    largest: Option<(u64, Place)>,
    /// Whether an entry brings its times and its writer.
    has_kept: bool,
}

impl Load {
    /// Begins to collect changes.
    pub fn new(options: LoadOptions) -> Self {
        let (parts, numbers, heap) = (Vec::new(), BTreeMap::new(), Heap::default());
        Self { options, parts, numbers, heap, spill: None, changes: 0 }
    }

    /// Adds a change, which `at` names in messages. Those of one entry are made in the order in which they are added.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for a value that is too large, and for more than a gibibyte without a folder to spill it to;
    /// [`ErrorKind::Invalid`] for a kept writer that is no name; those of the unnamed file.
    pub fn push(
        &mut self,
        at: Place,
        namespace: &Namespace,
        name: &EntryName,
        change: Change<'_>,
    ) -> Result<()> {
        self.check_packable(&change).map_err(|error| at.named_in(error))?;
        let part = self.part(namespace);
        if let Change::Set { value, life } = &change {
            self.parts[part as usize].note(at, name, value, life);
        }
        let packed = Packed { order: self.heap.next_order(), line: at.line, name: name.as_str(), change };
        self.heap.push(part, &packed);
        self.changes += 1;
        if self.heap.size() >= self.options.memory_bytes.min(MAX_HEAP_BYTES) { self.spill() } else { Ok(()) }
    }

    /// Refuses what is too large to be collected.
    fn check_packable(&self, change: &Change<'_>) -> Result<()> {
        let Change::Set { value, life } = change else { return Ok(()) };
        super::check_size(value.len(), self.options.max_value_bytes.min(MAX_HEAP_BYTES as u64))?;
        if let Life::Kept { writer: Some(writer), .. } = life {
            check_writer(writer)?;
        }
        if self.options.spill_folder.is_none() && self.heap.size() >= MAX_HEAP_BYTES {
            let what =
                format!("there are more than {MAX_HEAP_BYTES} bytes to load, and no folder to spill them to");
            return Err(Error::new(ErrorKind::Limit, what));
        }
        Ok(())
    }

    /// How many changes have been added.
    pub fn len(&self) -> u64 {
        self.changes
    }

    /// Whether none has been added.
    pub fn is_empty(&self) -> bool {
        self.changes == 0
    }

    /// Checks all changes against what is in `store`, then makes them: one transaction for each namespace in the order in which
    /// they first appeared, or one for all. Under the id of an operation it is always one.
    ///
    /// # Errors
    /// Before anything is written, [`ErrorKind::NoTtl`] for an entry that expires where the namespace is no cache,
    /// [`ErrorKind::Limit`] for one that its cache has no room for, and [`ErrorKind::Invalid`] for a repeated entry where
    /// those are refused. [`ErrorKind::Conflict`] for an entry that is there, and the errors of writing, leave the
    /// transactions before them as they are.
    pub fn commit(self, store: &Store) -> Result<Loaded> {
        self.commit_telling(store, &mut |_| {})
    }

    /// The same; `told` hears now and then how many changes of the present transaction have been made.
    ///
    /// # Errors
    /// Those of [`Load::commit`].
    pub fn commit_telling(mut self, store: &Store, told: &mut dyn FnMut(u64)) -> Result<Loaded> {
        if store.has_op() {
            return self.commit_once(store, told);
        }
        self.check_to_write(store)?;
        let parts: Vec<u32> = (0..).take(self.parts.len()).collect();
        if self.options.atomic {
            return store.write(|writer| self.make_parts(writer, &parts, told));
        }
        let mut loaded = Loaded::default();
        for part in parts {
            let written = store.write(|writer| self.make_parts(writer, &[part], told));
            loaded.add(written.map_err(|error| error.after(&loaded, part))?);
        }
        Ok(loaded)
    }

    /// Makes all changes in one transaction, if nobody has done so before under the same id.
    fn commit_once(mut self, store: &Store, told: &mut dyn FnMut(u64)) -> Result<Loaded> {
        self.options.atomic = true;
        self.close();
        let asked = self.digest()?;
        if let Some(loaded) = store.answer_given(&|request| self.describe(&asked, request))? {
            return Ok(loaded);
        }
        self.check_to_write(store)?;
        let parts: Vec<u32> = (0..).take(self.parts.len()).collect();
        let describe = |request: &mut Request| self.describe(&asked, request);
        store.write_once(&describe, |writer| self.make_parts(writer, &parts, told))
    }

    fn describe(&self, changes: &[u8], request: &mut Request) {
        request.text("load").number(self.options.on_conflict as i64).flag(self.options.unique);
        for part in &self.parts {
            request.namespace(part.action(), &part.namespace);
        }
        request.value(changes);
    }

    /// A digest of all changes, those of each namespace in the order in which they came: in a full cache that makes a difference.
    fn digest(&self) -> Result<[u8; 32]> {
        let (mut hash, mut bytes) = (blake3::Hasher::new(), Vec::new());
        for part in (0..).take(self.parts.len()) {
            run::as_they_came(part, self.spill.as_ref(), &self.heap, |packed| {
                bytes.clear();
                packed::append(
                    &mut bytes,
                    &Packed { order: 0, line: 0, name: packed.name, change: packed.change.clone() },
                );
                hash.update(&bytes);
                Ok(())
            })?;
            hash.update(b"end");
        }
        Ok(hash.finalize().into())
    }

    /// What [`Load::commit`] would do to `store`. Writes nothing.
    ///
    /// # Errors
    /// Those that it would return.
    pub fn preview(mut self, store: &Store) -> Result<Loaded> {
        self.check(store)?;
        let mut loaded = Loaded::default();
        let now = store.now();
        store.engine.read(&mut |view| {
            loaded = Loaded::default();
            for (part, number) in self.parts.iter().zip(0..) {
                let space = view.space(&part.namespace)?;
                let mut preview = Preview { load: &self, view, space: space.as_ref(), now, last: None };
                self.in_order(number, |packed| {
                    loaded.count(preview.make(packed)?);
                    Ok(())
                })?;
            }
            Ok(())
        })?;
        Ok(loaded)
    }

    fn part(&mut self, namespace: &Namespace) -> u32 {
        if let Some(&number) = self.numbers.get(namespace) {
            return number;
        }
        let number = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        self.parts.push(Part { namespace: namespace.clone(), expires: None, largest: None, has_kept: false });
        self.numbers.insert(namespace.clone(), number);
        number
    }

    /// Moves what has been collected to the unnamed file, if there may be one.
    fn spill(&mut self) -> Result<()> {
        let Some(folder) = &self.options.spill_folder else { return Ok(()) };
        let spill = match &mut self.spill {
            Some(spill) => spill,
            None => self.spill.insert(Spill::in_folder(folder)?),
        };
        self.heap.sort();
        spill.take(&mut self.heap)
    }

    /// Shows `visit` the changes of a namespace in the order of their names.
    fn in_order(&self, part: u32, visit: impl FnMut(&Packed<'_>) -> Result<()>) -> Result<()> {
        Merge::of(part, self.spill.as_ref(), &self.heap)?.for_each(visit)
    }

    /// Finds out, as far as that is possible beforehand, whether all changes can be made; [`Load::commit`] does so, too.
    ///
    /// # Errors
    /// Those of [`Load::commit`] that come before anything is written.
    pub fn check(&mut self, store: &Store) -> Result<()> {
        self.parts.iter().try_for_each(|part| store.allow(part.action(), Some(&part.namespace)))?;
        self.close();
        if self.options.unique {
            (0..).take(self.parts.len()).try_for_each(|part| self.refuse_repeated(part))?;
        }
        self.check_against(store)
    }

    /// The same, but for repeated entries where they are found in time as they are written: going through all of them once
    /// more takes its time.
    fn check_to_write(&mut self, store: &Store) -> Result<()> {
        if self.options.unique && !self.is_one_transaction() {
            return self.check(store);
        }
        self.parts.iter().try_for_each(|part| store.allow(part.action(), Some(&part.namespace)))?;
        self.close();
        self.check_against(store)
    }

    fn is_one_transaction(&self) -> bool {
        self.options.atomic || self.parts.len() == 1
    }

    /// Checks what namespaces allow.
    fn check_against(&self, store: &Store) -> Result<()> {
        store.read(&mut |view| {
            self.parts.iter().try_for_each(|part| {
                let space = view.space(&part.namespace)?;
                // To remove a value nobody has to read or write one.
                if let (Some(space), Some(_)) = (&space, part.largest) {
                    store.coder.require_to_write(view, space)?;
                }
                part.check(space.as_ref())
            })
        })
    }

    /// To be called when nothing more is added, and before anything is read.
    pub(super) fn close(&mut self) {
        self.heap.sort();
    }

    /// Whether a change of an entry of `namespace` has been added.
    pub(super) fn concerns(&self, namespace: &Namespace) -> bool {
        self.numbers.contains_key(namespace)
    }

    fn refuse_repeated(&self, part: u32) -> Result<()> {
        let mut last = Last::default();
        self.in_order(part, |packed| last.refuse_repeated(packed))
    }

    /// Makes all changes in a transaction; the load has been closed.
    pub(super) fn make_all(&self, writer: &mut Writer<'_>) -> Result<Loaded> {
        let parts: Vec<u32> = (0..).take(self.parts.len()).collect();
        self.make_parts(writer, &parts, &mut |_| {})
    }

    /// Makes the changes of some namespaces.
    fn make_parts(
        &self,
        writer: &mut Writer<'_>,
        parts: &[u32],
        told: &mut dyn FnMut(u64),
    ) -> Result<Loaded> {
        let mut tally = Tally { loaded: Loaded::default(), made: 0, told };
        parts.iter().try_for_each(|part| self.apply(writer, *part, &mut tally))?;
        Ok(tally.loaded)
    }

    fn apply(&self, writer: &mut Writer<'_>, part: u32, tally: &mut Tally<'_>) -> Result<()> {
        let namespace = self.parts[part as usize].namespace.clone();
        // In a cache with limits the order of writing decides what is evicted later.
        let keeps_order = writer.cache(&namespace)?.is_some_and(Cache::is_limited);
        let mut address = Address { namespace, name: EntryName::nothing() };
        if !keeps_order {
            return self.apply_in_order(writer, part, &mut address, tally);
        }
        if self.options.unique {
            self.refuse_repeated(part)?;
        }
        run::as_they_came(part, self.spill.as_ref(), &self.heap, |packed| {
            address.name.become_checked(packed.name);
            tally.note(self.make(writer, &address, packed)?);
            Ok(())
        })
    }

    /// Makes the changes of a namespace in the order of their names; many at a time, where it is all the same to it.
    fn apply_in_order(
        &self,
        writer: &mut Writer<'_>,
        part: u32,
        address: &mut Address,
        tally: &mut Tally<'_>,
    ) -> Result<()> {
        let has_values = self.parts[part as usize].largest.is_some();
        let takes_many = match self.options.on_conflict {
            OnConflict::Replace if has_values => writer.takes_many(&address.namespace)?,
            _ => None,
        };
        let merge = Merge::of(part, self.spill.as_ref(), &self.heap)?;
        let last = self.options.unique.then(Last::default);
        let mut changes = InOrder { merge, last, is_new: true, longest: takes_many, tally };
        while let Some(packed) = changes.present()? {
            if takes_many.is_some_and(|longest| plain(&packed.change, longest).is_some()) {
                writer.set_many(&address.namespace, &mut changes)?;
                continue;
            }
            address.name.become_checked(packed.name);
            let made = self.make(writer, address, &packed)?;
            changes.pass(made)?;
        }
        Ok(())
    }

    fn make(&self, writer: &mut Writer<'_>, address: &Address, packed: &Packed<'_>) -> Result<Made> {
        let Change::Set { value, life } = &packed.change else {
            let was_there = writer.delete(address, &Condition::default())?;
            return Ok(if was_there { Made::Deleted } else { Made::Nothing });
        };
        if self.options.on_conflict != OnConflict::Replace && writer.is_there(address)? {
            return self.on_conflict(packed);
        }
        let written = match life {
            Life::Default => writer.set(address, value, &SetOptions::default()).map(drop),
            Life::Ttl(ttl) => {
                writer.set(address, value, &SetOptions { ttl: Some(*ttl), ..SetOptions::default() }).map(drop)
            }
            life if life.has_ended(writer.now()) => return Ok(Made::Skipped),
            Life::Kept { created, updated, expires, writer: by, metakeys } => {
                let times = (*created, *updated, *expires);
                writer.set_as_kept(address, value, times, by.as_deref(), metakeys.as_ref())
            }
        };
        written.map_err(|error| match error.kind() {
            ErrorKind::Limit | ErrorKind::NoTtl | ErrorKind::Invalid => {
                Place { line: packed.line, column: 0 }.named_in(error)
            }
            // It has nothing to do with this line.
            _ => error,
        })?;
        Ok(Made::Set { replaced: false })
    }

    /// What becomes of a change whose entry is there, unless that is replaced.
    fn on_conflict(&self, packed: &Packed<'_>) -> Result<Made> {
        if self.options.on_conflict == OnConflict::Skip {
            return Ok(Made::Skipped);
        }
        let what =
            format!("line {}: the key `{}` is there already; nothing was written", packed.line, packed.name);
        Err(Error::new(ErrorKind::Conflict, what))
    }
}

/// Refuses names of writers that no command records: they come from files that anybody may have made.
fn check_writer(writer: &str) -> Result<()> {
    if writer.len() > MAX_WRITER_BYTES || writer.contains(char::is_control) {
        let what =
            format!("the writer is no name of up to {MAX_WRITER_BYTES} bytes without control characters");
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    Ok(())
}

impl Part {
    /// Notes what the namespace has to allow for this entry.
    fn note(&mut self, at: Place, name: &EntryName, value: &[u8], life: &Life) {
        if matches!(life, Life::Ttl(_) | Life::Kept { expires: Some(_), .. }) {
            self.expires = self.expires.or(Some(at));
        }
        self.has_kept |= matches!(life, Life::Kept { .. });
        let size = super::cache::footprint(name.as_str(), value.len() as u64);
        if self.largest.is_none_or(|(largest, _)| size > largest) {
            self.largest = Some((size, at));
        }
    }

    /// What has to be allowed for its changes.
    fn action(&self) -> Action {
        if self.has_kept { Action::Admin } else { Action::Write }
    }

    fn no_ttl(&self) -> Error {
        let (project, namespace) = (self.namespace.project(), self.namespace.namespace());
        let what = format!("namespace {namespace} of project {project} is no cache, and keeps no TTL");
        Error::new(ErrorKind::NoTtl, what)
    }

    fn check(&self, space: Option<&Space>) -> Result<()> {
        let cache = space.and_then(|space| space.cache.as_ref());
        if let (Some(at), None) = (self.expires, cache) {
            return Err(at.named_in(self.no_ttl()));
        }
        match (cache, self.largest) {
            (Some(cache), Some((size, at))) => cache.check_fits(size).map_err(|error| at.named_in(error)),
            _ => Ok(()),
        }
    }
}

impl Life {
    /// Whether an entry with this head has these times, this writer and these metakeys, as far as they are told.
    pub fn is_of(&self, head: &Head) -> bool {
        match self {
            Self::Kept { created, updated, expires, writer, metakeys } => {
                (created, updated, expires, writer, metakeys)
                    == (&head.created, &head.updated, &head.expires, &head.writer, &head.metakeys)
            }
            Self::Default | Self::Ttl(_) => true,
        }
    }

    /// Whether what it belongs to is gone at `now`.
    fn has_ended(&self, now: Millis) -> bool {
        matches!(self, Self::Kept { expires: Some(expires), .. } if *expires <= now)
    }
}

/// The changes of a namespace in the order of their names. As entries, they are those up to the next that is more than a value under a name.
struct InOrder<'l, 't> {
    merge: Merge<'l>,
    /// The last one, where none may come twice.
    last: Option<Last>,
    /// Whether the present one has not been compared with it.
    is_new: bool,
    /// The bytes of the longest value that is one of many; none where all are made alone.
    longest: Option<u64>,
    tally: &'l mut Tally<'t>,
}

impl InOrder<'_, '_> {
    /// The present change; none behind the last.
    fn present(&mut self) -> Result<Option<Packed<'_>>> {
        let Some(packed) = self.merge.present()? else { return Ok(None) };
        if let Some(last) = &mut self.last
            && mem::take(&mut self.is_new)
        {
            last.refuse_repeated(&packed)?;
        }
        Ok(Some(packed))
    }

    /// Goes on, for this has become of the present one.
    fn pass(&mut self, made: Made) -> Result<()> {
        self.tally.note(made);
        self.is_new = true;
        self.merge.advance()
    }
}

impl Entries for InOrder<'_, '_> {
    fn present(&mut self) -> Result<Option<Entry<'_>>> {
        let Some(longest) = self.longest else { return Ok(None) };
        let Some(packed) = self.present()? else { return Ok(None) };
        Ok(plain(&packed.change, longest).map(|value| Entry { name: packed.name, value }))
    }

    fn pass(&mut self) -> Result<()> {
        self.pass(Made::Set { replaced: false })
    }
}

/// The value that a change sets, if that is all it does and it is no longer than that.
fn plain<'a>(change: &Change<'a>, longest: u64) -> Option<&'a [u8]> {
    match change {
        Change::Set { value, life: Life::Default } if value.len() as u64 <= longest => Some(value),
        _ => None,
    }
}

/// The last of changes that come in the order of their names.
#[derive(Default)]
struct Last {
    name: String,
    line: Option<u64>,
}

impl Last {
    /// Refuses a change of the same entry.
    fn refuse_repeated(&mut self, &Packed { line, name, .. }: &Packed<'_>) -> Result<()> {
        if let Some(before) = self.line.filter(|_| self.name == name) {
            let what = format!("the key `{name}` is there twice, in lines {before} and {line}");
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        self.name.clear();
        self.name.push_str(name);
        self.line = Some(line);
        Ok(())
    }
}

/// What became of a change.
enum Made {
    Set { replaced: bool },
    Deleted,
    Skipped,
    Nothing,
}

/// What has been made in a transaction by now, and who hears of it.
struct Tally<'t> {
    loaded: Loaded,
    made: u64,
    told: &'t mut dyn FnMut(u64),
}

impl Tally<'_> {
    fn note(&mut self, made: Made) {
        self.loaded.count(made);
        self.made += 1;
        if self.made.is_multiple_of(TELL_EVERY) {
            (self.told)(self.made);
        }
    }
}

impl Error {
    /// Says what was done before, in the namespaces in front of number `part`.
    fn after(self, loaded: &Loaded, part: u32) -> Self {
        match part {
            0 => self,
            _ => self.and(format!(
                "what is for the {part} namespaces before is written: {} entries set, {} removed",
                loaded.set, loaded.deleted
            )),
        }
    }
}

impl Loaded {
    fn count(&mut self, made: Made) {
        match made {
            Made::Set { replaced } => {
                self.set += 1;
                self.replaced += u64::from(replaced);
            }
            Made::Deleted => self.deleted += 1,
            Made::Skipped => self.skipped += 1,
            Made::Nothing => {}
        }
    }

    /// Adds what another load has done.
    pub fn add(&mut self, other: Self) {
        self.set += other.set;
        self.replaced += other.replaced;
        self.deleted += other.deleted;
        self.skipped += other.skipped;
    }
}

/// Follows the changes of one namespace without making them.
struct Preview<'v> {
    load: &'v Load,
    view: &'v dyn View,
    space: Option<&'v Space>,
    now: Millis,
    /// The last entry, and whether it would be there by now.
    last: Option<(String, bool)>,
}

impl Preview<'_> {
    fn make(&mut self, packed: &Packed<'_>) -> Result<Made> {
        let is_there = self.is_there(packed.name)?;
        let made = match &packed.change {
            Change::Delete if is_there => Made::Deleted,
            Change::Delete => Made::Nothing,
            Change::Set { .. } if is_there && self.load.options.on_conflict != OnConflict::Replace => {
                self.load.on_conflict(packed)?
            }
            Change::Set { life, .. } if life.has_ended(self.now) => Made::Skipped,
            Change::Set { .. } => Made::Set { replaced: is_there },
        };
        let is_there = match made {
            Made::Set { .. } => true,
            Made::Deleted => false,
            Made::Skipped | Made::Nothing => is_there,
        };
        self.last = Some((packed.name.to_owned(), is_there));
        Ok(made)
    }

    fn is_there(&self, name: &str) -> Result<bool> {
        match (&self.last, self.space) {
            (Some((last, is_there)), _) if last == name => Ok(*is_there),
            (_, Some(space)) => {
                let head = self.view.head(space, name)?;
                Ok(head.is_some_and(|head| head.visible_at(self.now)))
            }
            (_, None) => Ok(false),
        }
    }
}
