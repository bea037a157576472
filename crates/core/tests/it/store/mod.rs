//! The store: its rules on both engines, with a clock that moves by hand.

/// Makes two tests of each function, which gets a [`Lab`]: one on each engine.
macro_rules! on_each_engine {
    ($($test:ident)*) => {
        mod in_memory {
            $(#[test]
            fn $test() {
                super::$test(&crate::store::Lab::in_memory());
            })*
        }

        mod on_sqlite {
            $(#[test]
            fn $test() {
                super::$test(&crate::store::Lab::on_sqlite());
            })*
        }
    };
}

mod audit;
mod caches;
mod changes;
mod coding;
mod conditions;
mod copies;
mod eviction;
mod expiry;
mod histories;
mod large;
mod listing;
mod load;
mod locks;
mod metakeys;
mod model;
mod once;
mod past;
mod queues;
mod seen;
mod sharing;
mod sync;
mod tables;
mod transactions;
mod txn;
mod waiting;
mod watching;

pub use self::coding::unlock;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use prontodb_core::engine::memory::MemoryEngine;
use prontodb_core::engine::sqlite::{OpenOptions, SqliteEngine};
use prontodb_core::engine::{Awaited, Cache, Engine, Fields, Mark, Row, Space, Txn, View, Wait};
use prontodb_core::store::{CacheSettings, Condition, Query, SetOptions, Sink};
use prontodb_core::{
    Address, Clock, Delimiter, EntryName, Head, ManualClock, Millis, Namespace, Notation, Record, Result,
    Store, Ttl, Version,
};
use tempfile::TempDir;

/// Some moment to begin at.
const START: Millis = Millis(1_795_253_400_000);
/// The largest value in a [`Lab`].
const MAX_VALUE_BYTES: u64 = 2 * 1024 * 1024;

/// What is longer is compressed in a [`Lab`], where that helps.
const COMPRESS_ABOVE: u64 = 800;

/// A store with nothing in it, and the clock it goes by.
struct Lab {
    // Fields are dropped in this order.
    store: Store,
    clock: Arc<ManualClock>,
    place: Place,
}

/// Where the data lies.
enum Place {
    Memory(Arc<MemoryEngine>),
    File(TempDir),
}

impl Lab {
    fn in_memory() -> Self {
        Self::in_place(Place::Memory(Arc::default()))
    }

    fn on_sqlite() -> Self {
        Self::in_place(Place::File(TempDir::new().unwrap()))
    }

    fn in_place(place: Place) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        Self { store: place.open(&clock), clock, place }
    }

    /// One more engine on the same data.
    fn engine(&self) -> Box<dyn Engine> {
        match &self.place {
            Place::Memory(engine) => Box::new(Shared(Arc::clone(engine))),
            Place::File(dir) => Box::new(open(dir.path())),
        }
    }

    /// One more store on the same data and clock.
    fn another_store(&self) -> Store {
        self.place.open(&self.clock)
    }

    /// Changes the data without the store.
    fn change(&self, mut deed: impl FnMut(&mut dyn Txn) -> Result<()>) {
        match &self.place {
            Place::Memory(engine) => engine.write(&mut deed),
            Place::File(dir) => open(dir.path()).write(&mut deed),
        }
        .unwrap();
    }

    fn wait(&self, millis: i64) {
        self.clock.advance(millis);
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Makes a namespace a cache with settings as users write them.
    fn cache(&self, name: &str, settings: &str) {
        self.store.create_cache(&namespace(name), &CacheSettings::parse(settings).unwrap()).unwrap();
    }

    fn set(&self, name: &str, value: impl AsRef<[u8]>) -> Version {
        self.store.set(&address(name), value.as_ref(), &SetOptions::default()).unwrap().version
    }

    /// Sets entries of a namespace, all in one transaction.
    fn set_all<S: AsRef<str>>(&self, name: &str, entries: impl IntoIterator<Item = S>, value: &str) {
        let entries = entries.into_iter().map(|entry| entry_of(&namespace(name), entry.as_ref()));
        let entries: Vec<_> = entries.collect();
        let set = self.store.write(|writer| {
            let mut set = |at: &Address| writer.set(at, value.as_bytes(), &SetOptions::default());
            entries.iter().try_for_each(|at| set(at).map(drop))
        });
        set.unwrap();
    }

    /// Sets an entry that lives for `millis` milliseconds.
    fn set_for(&self, name: &str, value: impl AsRef<[u8]>, millis: u64) {
        let options = SetOptions { ttl: Some(ttl(millis)), ..SetOptions::default() };
        self.store.set(&address(name), value.as_ref(), &options).unwrap();
    }

    fn delete(&self, name: &str) -> bool {
        self.store.write(|writer| writer.delete(&address(name), &Condition::default())).unwrap()
    }

    fn record(&self, name: &str) -> Option<Record> {
        self.store.get(&address(name)).unwrap()
    }

    fn value(&self, name: &str) -> Option<Vec<u8>> {
        self.record(name).map(|record| record.value)
    }

    /// When an entry that is there expires.
    fn expiry(&self, name: &str) -> Option<Millis> {
        self.record(name).unwrap().head.expires
    }

    /// The names that a listing of a namespace shows.
    fn names(&self, name: &str) -> Vec<String> {
        self.listed(name, &Query::default())
    }

    /// The names that a listing shows.
    fn listed(&self, name: &str, query: &Query) -> Vec<String> {
        rows(&self.store, &namespace(name), query).into_iter().map(|row| row.name).collect()
    }

    /// The names that are stored, expired or not.
    fn stored(&self, name: &str) -> Vec<String> {
        self.listed(name, &Query { include_expired: true, ..Query::default() })
    }

    fn space(&self, name: &str) -> Space {
        let spaces = self.store.namespaces(None).unwrap();
        spaces.into_iter().find(|space| space.namespace == namespace(name)).unwrap()
    }

    /// How many entries are stored, and how many bytes their names and values have.
    fn held(&self, name: &str) -> (u64, u64) {
        let stored = everything(&self.store, &namespace(name));
        let bytes: usize = stored.iter().map(|row| row.name.len() + row.value.len()).sum();
        (stored.len() as u64, bytes as u64)
    }

    /// The same as a limited cache counts it.
    fn usage(&self, name: &str) -> (u64, u64) {
        let Cache { usage, .. } = self.space(name).cache.unwrap();
        (usage.items, usage.bytes)
    }
}

impl Place {
    fn open(&self, clock: &Arc<ManualClock>) -> Store {
        let store = match self {
            Self::Memory(engine) => Store::new(Shared(Arc::clone(engine))),
            Self::File(dir) => Store::new(open(dir.path())),
        };
        let store = store.with_clock(Arc::clone(clock)).with_max_value_bytes(MAX_VALUE_BYTES);
        store.with_compression_above(Some(COMPRESS_ABOVE)).with_unlock(coding::unlock())
    }
}

fn open(dir: &Path) -> SqliteEngine {
    SqliteEngine::open(OpenOptions::new(dir.join("test.prdb"))).unwrap()
}

/// An engine in memory for several stores.
struct Shared(Arc<MemoryEngine>);

impl Engine for Shared {
    fn read(&self, body: &mut dyn FnMut(&dyn View) -> Result<()>) -> Result<()> {
        self.0.read(body)
    }

    fn write(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        self.0.write(body)
    }

    fn mark(&self) -> Result<Mark> {
        self.0.mark()
    }

    fn await_change(&self, seen: Mark, wait: Wait<'_>) -> Result<Awaited> {
        self.0.await_change(seen, wait)
    }
}

fn address(text: &str) -> Address {
    Notation::default().address(text).unwrap()
}

fn namespace(text: &str) -> Namespace {
    Namespace::parse(text, Delimiter::default()).unwrap()
}

/// The address of a name as listings show it.
fn entry_of(namespace: &Namespace, name: &str) -> Address {
    Address { namespace: namespace.clone(), name: EntryName::parse(name).unwrap() }
}

fn ttl(millis: u64) -> Ttl {
    Ttl::from_millis(millis).unwrap()
}

/// A row that outlives its page.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    name: String,
    head: Option<Head>,
    value: Vec<u8>,
}

/// Keeps what a listing shows, page by page.
#[derive(Default)]
struct Pages {
    rows: Vec<Kept>,
    /// How many rows there were at the end of each page.
    ends: Vec<usize>,
}

impl Sink for Pages {
    fn row(&mut self, row: Row<'_>) {
        let (name, value) = (row.name.to_owned(), row.value.to_owned());
        self.rows.push(Kept { name, head: row.head.cloned(), value });
    }

    fn page(&mut self) -> Result<ControlFlow<()>> {
        self.ends.push(self.rows.len());
        Ok(ControlFlow::Continue(()))
    }
}

/// What a listing shows; as much as it says.
fn rows(store: &Store, namespace: &Namespace, query: &Query) -> Vec<Kept> {
    let mut pages = Pages::default();
    let shown = store.list(namespace, query, &mut pages).unwrap();
    assert_eq!(shown, pages.rows.len() as u64, "the number that the listing gives");
    let mut at_once = Pages::default();
    assert_eq!(store.list_at_once(namespace, query, &mut at_once).unwrap(), shown);
    assert!(at_once.rows == pages.rows, "what is listed at once is the same");
    pages.rows
}

/// All that is stored in a namespace, expired or not. Changes nothing.
fn everything(store: &Store, namespace: &Namespace) -> Vec<Kept> {
    rows(store, namespace, &Query { include_expired: true, fields: Fields::All, ..Query::default() })
}
