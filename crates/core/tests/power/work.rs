//! Work for a store, and what is there after each step of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prontodb_core::engine::sqlite::{Durability, Lifetime, OpenOptions, SqliteEngine};
use prontodb_core::store::{Change, Condition, Life, Load, LoadOptions, Place, SetOptions};
use prontodb_core::{Address, Delimiter, Notation, Result, Store, Version};
use prontodb_testkit::disk::{self, Dice, Failure, Fault};

/// All entries there are: names, and values.
pub(crate) type Entries = BTreeMap<usize, Vec<u8>>;

/// How many entries there may be.
const ENTRIES: usize = 30;

pub(crate) fn open(folder: &Path, durability: Durability, lifetime: Lifetime) -> Result<Store> {
    SqliteEngine::open(OpenOptions { durability, lifetime, ..OpenOptions::new(path(folder)) }).map(Store::new)
}

fn path(folder: &Path) -> PathBuf {
    folder.join("x.prdb")
}

/// Puts what the database of another folder has in the place of what there is.
pub(crate) fn restore(folder: &Path, source: &Path) -> Result<()> {
    let engine = SqliteEngine::open(OpenOptions::new(path(folder)))?;
    engine.overwrite(&path(source), &mut |_| Ok(())).map(drop)
}

/// The address of an entry, in one of two namespaces.
pub(crate) fn address(entry: usize) -> Address {
    let name = if entry.is_multiple_of(5) { "p.m" } else { "p.n" };
    Notation::default().address(&format!("{name}.k{entry}")).expect("an address")
}

/// All entries that a store has.
pub(crate) fn entries(store: &Store) -> Result<Entries> {
    let mut entries = Entries::new();
    for entry in 0..ENTRIES {
        if let Some(record) = store.get(&address(entry))? {
            entries.insert(entry, record.value);
        }
    }
    Ok(entries)
}

/// A step of the work.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Set(usize, Vec<u8>),
    Append(usize, Vec<u8>),
    Delete(usize),
    /// Several at once.
    SetAll(Vec<(usize, Vec<u8>)>),
    /// The same, as streams and imports do it.
    Load(Vec<(usize, Vec<u8>)>),
    DropNamespace,
    Vacuum,
}

impl Step {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..45 => Self::Set(dice.below(ENTRIES), value(dice)),
            45..60 => Self::Append(dice.below(ENTRIES), vec![b'+'; 1 + dice.below(40)]),
            60..78 => Self::Delete(dice.below(ENTRIES)),
            78..87 => Self::SetAll(some(dice)),
            87..96 => Self::Load(some(dice)),
            96..98 => Self::DropNamespace,
            _ => Self::Vacuum,
        }
    }

    /// Does it.
    pub(crate) fn run(&self, store: &Store) -> Result<()> {
        let options = SetOptions::default();
        match self {
            Self::Set(entry, value) => store.set(&address(*entry), value, &options).map(drop),
            Self::Append(entry, tail) => store.append(&address(*entry), tail).map(drop),
            Self::Delete(entry) => store.delete(&[address(*entry)], &Condition::default(), false).map(drop),
            Self::SetAll(all) => store.write(|writer| {
                all.iter()
                    .try_for_each(|(entry, value)| writer.set(&address(*entry), value, &options).map(drop))
            }),
            Self::Load(all) => {
                let mut load = Load::new(LoadOptions { atomic: true, ..LoadOptions::default() });
                for (entry, value) in all {
                    let Address { namespace, name } = address(*entry);
                    load.push(
                        Place::default(),
                        &namespace,
                        &name,
                        Change::Set { value, life: Life::Default },
                    )?;
                }
                load.commit(store).map(drop)
            }
            Self::DropNamespace => {
                let namespace = address(0).namespace;
                let is_there = store.namespaces(None)?.iter().any(|space| space.namespace == namespace);
                if is_there { store.drop_namespace(&namespace).map(drop) } else { Ok(()) }
            }
            Self::Vacuum => store.vacuum().map(drop),
        }
    }

    /// What it makes of entries.
    pub(crate) fn apply(&self, entries: &mut Entries) {
        match self {
            Self::Set(entry, value) => drop(entries.insert(*entry, value.clone())),
            Self::Append(entry, tail) => entries.entry(*entry).or_default().extend_from_slice(tail),
            Self::Delete(entry) => drop(entries.remove(entry)),
            Self::SetAll(all) | Self::Load(all) => entries.extend(all.iter().cloned()),
            Self::DropNamespace => entries.retain(|entry, _| !entry.is_multiple_of(5)),
            Self::Vacuum => {}
        }
    }
}

/// Some entries, some of them perhaps more than once.
fn some(dice: &mut Dice) -> Vec<(usize, Vec<u8>)> {
    (0..2 + dice.below(6)).map(|_| (dice.below(ENTRIES), value(dice))).collect()
}

/// Short ones, ones that lie apart from their rows, and ones of many pages.
fn value(dice: &mut Dice) -> Vec<u8> {
    let length = match dice.below(10) {
        0..6 => dice.below(60),
        6..9 => 900 + dice.below(4000),
        _ => 20_000 + dice.below(60_000),
    };
    let first = dice.below(256);
    (0..length).map(|at| ((first + at * 7 + at / 251) % 256) as u8).collect()
}

/// Two stores on one database, as two processes have them: now and then one of them ends, with or without closing it, and another
/// one comes; or both do, so that the next one finds out by itself what is in the log.
pub(crate) struct Pair<'p> {
    folder: &'p Path,
    durabilities: [Durability; 2],
    stores: [Option<(Store, Lifetime)>; 2],
}

impl<'p> Pair<'p> {
    pub(crate) fn new(folder: &'p Path, durabilities: [Durability; 2]) -> Self {
        Self { folder, durabilities, stores: [None, None] }
    }

    /// One of the two, and what it promises.
    pub(crate) fn store(&mut self, dice: &mut Dice, fault: Option<Fault>) -> Result<(&Store, Durability)> {
        let place = dice.below(2);
        match dice.below(16) {
            0..3 => self.end(place),
            3 => (0..2).for_each(|place| self.end(place)),
            _ => {}
        }
        disk::fail(fault);
        let durability = self.durabilities[place];
        if self.stores[place].is_none() {
            let lifetime = if dice.below(2) == 0 { Lifetime::OneShot } else { Lifetime::Long };
            self.stores[place] = Some((open(self.folder, durability, lifetime)?, lifetime));
        }
        Ok((&self.stores[place].as_ref().expect("it was opened").0, durability))
    }

    fn end(&mut self, place: usize) {
        if let Some((store, lifetime)) = self.stores[place].take() {
            let killed = Fault { nth: 0, failure: Failure::Gone, stays: true };
            disk::fail((lifetime == Lifetime::OneShot).then_some(killed));
            drop(store);
            disk::fail(None);
        }
    }
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        (0..2).for_each(|place| self.end(place));
    }
}

/// The revision that a store has.
pub(crate) fn revision(store: &Store) -> u64 {
    let Version(revision) = store.revision().expect("the revision can be read");
    revision
}

/// Whether the two are the same, without printing them.
#[track_caller]
pub(crate) fn same(found: &Entries, expected: &Entries, what: &str) {
    for entry in 0..ENTRIES {
        let [found, expected] = [found, expected].map(|entries| entries.get(&entry));
        let shown = address(entry).display(Delimiter::default());
        assert!(
            found == expected,
            "{what}: {shown} has {:?} bytes, and {:?} were expected",
            found.map(Vec::len),
            expected.map(Vec::len)
        );
    }
}
