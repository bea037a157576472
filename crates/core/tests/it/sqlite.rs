//! The engine on SQLite files.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use prontodb_core::engine::sqlite::{Lifetime, OpenOptions, SqliteEngine};
use prontodb_core::engine::{Awaited, Engine, Mark, Range, Space, Txn, View, Wait};
use prontodb_core::store::{Change, HistorySettings, Life, Load, LoadOptions, Place, Query, SetOptions};
use prontodb_core::{
    Address, Coding, ErrorKind, Head, Millis, Namespace, Notation, Record, Result, Store, Version,
};
use rusqlite::Connection;
use tempfile::TempDir;

prontodb_testkit::engine_suite!(conformance, || Box::new(Sandboxed::new()));

#[test]
fn random_histories_agree_with_the_model() {
    prontodb_testkit::model::check(&|| Box::new(Sandboxed::new()), 64);
}

#[test]
fn what_was_committed_outlives_the_engine() {
    let dir = TempDir::new().unwrap();
    let engine = open(&dir);
    let space = create_space(&engine);
    put(&engine, &space, b"value");
    drop(engine);
    assert_eq!(value(&open(&dir), &space).as_deref(), Some(&b"value"[..]));
}

#[test]
#[cfg(target_os = "linux")]
fn looking_whether_others_are_there_leaves_no_files_open() {
    let dir = TempDir::new().unwrap();
    let options = OpenOptions::new(dir.path().join("test.prdb"));
    let engine = SqliteEngine::open(OpenOptions { lifetime: Lifetime::OneShot, ..options }).unwrap();
    let space = create_space(&engine);
    let index = dir.path().canonicalize().unwrap().join("test.prdb-shm");
    let opened = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        files.filter(|file| file.path().read_link().is_ok_and(|path| path == index)).count()
    };
    (0..100).for_each(|_| put(&engine, &space, b"value"));
    let before = opened();
    (0..1000).for_each(|_| put(&engine, &space, b"value"));
    assert_eq!(opened(), before);
}

#[test]
fn a_log_that_a_long_reader_let_grow_is_cut_though_others_are_there() {
    let dir = TempDir::new().unwrap();
    let (reader, writer) = (open(&dir), open(&dir));
    let space = create_space(&writer);
    let length = || dir.path().join("test.prdb-wal").metadata().unwrap().len();
    let write = |times: u8| (0..times).for_each(|byte| put(&writer, &space, &vec![byte; 200_000]));
    let read = reader.read(&mut |view| {
        view.revision()?;
        write(120);
        Ok(())
    });
    read.unwrap();
    assert!(length() > 20_000_000, "{}", length());
    write(60);
    assert!(length() < 10_000_000, "{}", length());
}

#[test]
fn a_read_keeps_its_state_while_another_engine_writes() {
    let dir = TempDir::new().unwrap();
    let (reader, writer) = (open(&dir), open(&dir));
    let space = create_space(&writer);
    put(&writer, &space, b"before");
    let mut seen = Vec::new();
    let read = reader.read(&mut |view| {
        seen.push(view.get(&space, NAME)?.map(|record| record.value));
        put(&writer, &space, b"after");
        seen.push(view.get(&space, NAME)?.map(|record| record.value));
        Ok(())
    });
    read.unwrap();
    assert_eq!(seen, [Some(b"before".to_vec()), Some(b"before".to_vec())]);
    assert_eq!(value(&reader, &space).as_deref(), Some(&b"after"[..]));
}

#[test]
fn a_read_neither_waits_for_a_writer_nor_sees_what_is_not_committed() {
    let dir = TempDir::new().unwrap();
    let (reader, writer) = (open(&dir), open(&dir));
    let space = create_space(&writer);
    put(&writer, &space, b"before");
    let write = writer.write(&mut |txn| {
        txn.put(&space, NAME, &head(), b"after")?;
        assert_eq!(value(&reader, &space).as_deref(), Some(&b"before"[..]));
        Ok(())
    });
    write.unwrap();
    assert_eq!(value(&reader, &space).as_deref(), Some(&b"after"[..]));
}

/// Whatever somebody else has put into the file, whose names SQLite compares without their case.
#[test]
fn loads_store_every_entry_beside_a_trigger_of_others() {
    let dir = TempDir::new().unwrap();
    let store = Store::new(open(&dir));
    let address = |number: usize| Notation::default().address(&format!("p.n.k{number}")).unwrap();
    store.set(&address(5), b"old", &SetOptions::default()).unwrap();
    let trigger = "CREATE TRIGGER t AFTER INSERT ON ENTRIES BEGIN SELECT 1; END";
    Connection::open(dir.path().join("test.prdb")).unwrap().execute_batch(trigger).unwrap();
    let mut load = Load::new(LoadOptions::default());
    for number in 0..10 {
        let Address { namespace, name } = address(number);
        let change = Change::Set { value: b"new", life: Life::Default };
        load.push(Place::default(), &namespace, &name, change).unwrap();
    }
    assert_eq!(load.commit(&store).unwrap().set, 10);
    for number in 0..10 {
        assert_eq!(store.get(&address(number)).unwrap().map(|record| record.value), Some(b"new".to_vec()));
    }
}

/// Statistics that no SQLite makes can bring it to sort what it finds, behind the back of those that it is shown to.
#[test]
fn a_listing_comes_in_order_or_not_at_all() {
    let dir = TempDir::new().unwrap();
    let store = Store::new(open(&dir));
    for key in ["a", "b", "c"] {
        let address = Notation::default().address(&format!("p.n.{key}")).unwrap();
        store.set(&address, b"value", &SetOptions::default()).unwrap();
    }
    let statistics = "ANALYZE; UPDATE sqlite_stat1 SET stat = stat || ' unordered' WHERE tbl = 'entries'";
    Connection::open(dir.path().join("test.prdb")).unwrap().execute_batch(statistics).unwrap();
    let engine = open(&dir);
    let mut met = Vec::new();
    let read = engine.read(&mut |view| {
        let space = view.space(&Namespace::new("p", "n")?)?.unwrap();
        view.scan(&space, &Range { reverse: true, ..Range::default() }, &mut |row| {
            met.push(row.name.to_owned());
            ControlFlow::Break(())
        })
    });
    assert_eq!(met.len(), 1);
    match read {
        Ok(()) => assert_eq!(met, ["c"]),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged),
    }
}

/// A file that an earlier program wrote, with entries of every kind; see the head of the fixture.
fn file_of(fixture: &str, dir: &TempDir) -> PathBuf {
    let path = dir.path().join("test.prdb");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(fixture).unwrap();
    path
}

fn schema_of(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

fn assert_holds_what_schema_1_held(store: &Store) {
    let value = |at: &str| store.get(&Notation::default().address(at).unwrap()).unwrap().unwrap().value;
    assert_eq!(value("shop.prices.apple"), b"120");
    assert_eq!(value("shop.prices.pear__eu"), "1 €".as_bytes());
    assert_eq!(value("shop.blobs.binary"), b"a\0\xff");
    assert_eq!(value("shop.blobs.large"), vec![b'x'; 1500]);
    assert_eq!(value("web.pages.home"), b"<html>");
    let spaces = store.describe_namespaces(None).unwrap();
    let spaces: Vec<_> = spaces.iter().map(|info| (info.totals.keys, info.space.cache.is_some())).collect();
    assert_eq!(spaces, [(2, false), (2, false), (1, true)]);
    let users: Vec<_> = store.users().unwrap().into_iter().map(|user| user.name).collect();
    assert_eq!(users, ["admin", "sam"]);
}

#[test]
fn a_file_of_the_first_schema_is_read_as_it_is_and_migrated_by_a_write() {
    let dir = TempDir::new().unwrap();
    let path = file_of(include_str!("../fixtures/schema-1.sql"), &dir);
    let store = Store::new(open(&dir));
    assert_holds_what_schema_1_held(&store);
    assert_eq!(schema_of(&path), 1);
    let other = Store::new(open(&dir));
    assert_holds_what_schema_1_held(&other);
    let at = Notation::default().address("shop.prices.new").unwrap();
    let long = b"words that come again ".repeat(100);
    let writer = Store::new(open(&dir)).with_compression_above(Some(100));
    writer.set(&at, &long, &SetOptions::default()).unwrap();
    assert_eq!(schema_of(&path), LATEST);
    // One that has read the old schema reads what was written under the new one.
    assert_eq!(other.get(&at).unwrap().unwrap().value, long);
    assert_eq!(store.increment(&Notation::default().address("shop.prices.apple").unwrap(), 1).unwrap(), 121);
    writer.delete_matching(&at.namespace, &Query { prefix: "new".to_owned(), ..Query::default() }).unwrap();
    writer.increment(&Notation::default().address("shop.prices.apple").unwrap(), -1).unwrap();
    assert_holds_what_schema_1_held(&writer);
}

/// What the fixtures hold since there are large, compressed and sealed values.
fn values() -> [(&'static str, Vec<u8>); 7] {
    [
        ("shop.prices.apple", b"120".to_vec()),
        ("shop.prices.pear__eu", "1 €".as_bytes().to_vec()),
        ("shop.blobs.binary", b"a\0\xff".to_vec()),
        ("shop.blobs.large", vec![b'x'; 1500]),
        ("shop.blobs.compressed", b"words that come again ".repeat(1000)),
        ("shop.secrets.pin", b"1234".to_vec()),
        ("web.pages.home", b"<html>".to_vec()),
    ]
}

/// Reads what the fixture holds.
fn assert_holds_what_schema_2_held(store: &Store) {
    let record = |at: &str| store.get(&Notation::default().address(at).unwrap()).unwrap().unwrap();
    for (at, value) in values() {
        let Record { head, value: present } = record(at);
        assert_eq!((present, head.metakeys, head.writer.as_deref()), (value, None, Some("ada")), "{at}");
    }
    let spaces = store.describe_namespaces(None).unwrap();
    let spaces: Vec<_> = spaces.iter().map(|info| (info.totals.keys, info.space.cache.is_some())).collect();
    assert_eq!(spaces, [(3, false), (2, false), (1, false), (1, true)]);
    let users: Vec<_> = store.users().unwrap().into_iter().map(|user| user.name).collect();
    assert_eq!(users, ["admin", "sam"]);
}

#[test]
fn a_file_of_the_second_schema_is_read_as_it_is_and_migrated_by_a_write() {
    let dir = TempDir::new().unwrap();
    let path = file_of(include_str!("../fixtures/schema-2.sql"), &dir);
    let writer = || Some("ada".to_owned());
    let open = || Store::new(open(&dir)).with_writer(writer()).with_unlock(crate::store::unlock());
    let (store, other) = (open(), open());
    assert_holds_what_schema_2_held(&store);
    assert_holds_what_schema_2_held(&other);
    let mut all = 0;
    let chosen = Query { metakeys: vec!["owner".parse().unwrap()], ..Query::default() };
    for space in store.namespaces(None).unwrap() {
        all += store.delete_matching(&space.namespace, &chosen).unwrap();
    }
    assert_eq!((all, schema_of(&path)), (0, 2));
    let at = Notation::default().address("shop.blobs.large").unwrap();
    store.set_metakey(&at, "owner", "alice").unwrap().unwrap();
    assert_eq!(schema_of(&path), LATEST);
    // One that has read the old schema reads what was written under the new one.
    assert_eq!(other.metakeys(&at).unwrap().flatten().unwrap().get("owner"), Some("alice"));
    assert_eq!(store.delete_matching(&at.namespace, &Query { prefix: "x".to_owned(), ..chosen }).unwrap(), 0);
    store.remove_metakeys(&at, &["owner"]).unwrap();
    assert_holds_what_schema_2_held(&store);
    assert_holds_what_schema_2_held(&other);
}

/// Reads what the fixture holds.
fn assert_holds_what_schema_3_held(store: &Store) {
    let record = |at: &str| store.get(&Notation::default().address(at).unwrap()).unwrap().unwrap();
    for (at, value) in values().into_iter().chain([("shop.stock.plums", b"7".to_vec())]) {
        let Record { head, value: present } = record(at);
        assert_eq!((present, head.writer.as_deref()), (value, Some("ada")), "{at}");
        let owner = head.metakeys.as_ref().and_then(|all| all.get("owner"));
        assert_eq!(owner, (at == "shop.prices.apple").then_some("alice"));
    }
    let spaces = store.describe_namespaces(None).unwrap();
    let told: Vec<_> =
        spaces.iter().map(|info| (info.totals.keys, info.table.as_str(), info.space.history)).collect();
    let (shared, hot) = ("shared", "hot");
    assert_eq!(
        told,
        [
            (3, shared, None),
            (1, shared, None),
            (2, shared, None),
            (1, shared, None),
            (1, hot, None),
            (1, shared, None)
        ]
    );
    let items = store.items(&Namespace::new("shop", "jobs").unwrap()).unwrap();
    assert_eq!((items.len(), items[0].id.as_str()), (1, "000000000013"));
}

#[test]
fn a_file_of_the_third_schema_is_read_as_it_is_and_migrated_by_a_write() {
    let dir = TempDir::new().unwrap();
    let path = file_of(include_str!("../fixtures/schema-3.sql"), &dir);
    let open = || {
        let store = Store::new(open(&dir)).with_writer(Some("ada".to_owned()));
        store.with_unlock(crate::store::unlock())
    };
    let (store, other) = (open(), open());
    assert_holds_what_schema_3_held(&store);
    assert_holds_what_schema_3_held(&other);
    let at = Notation::default().address("shop.prices.apple").unwrap();
    assert_eq!(store.versions(&at, None, 9).unwrap_err().to_string(), "shop.prices keeps no history");
    assert!(store.check(false).unwrap().problems.is_empty());
    assert_eq!(schema_of(&path), 3);
    let settings = HistorySettings { versions: Some(5), age: None };
    store.set_history(&at.namespace, &settings).unwrap();
    assert_eq!(schema_of(&path), LATEST);
    // One that has read the old schema reads what was written under the new one.
    assert_eq!(other.versions(&at, None, 9).unwrap().len(), 1);
    store.increment(&at, 1).unwrap();
    assert_eq!(other.versions(&at, None, 9).unwrap().len(), 2);
    store.undo(&at, false).unwrap();
    store.set_history(&at.namespace, &HistorySettings { versions: Some(0), age: None }).unwrap();
    assert_holds_what_schema_3_held(&store);
    assert_holds_what_schema_3_held(&other);
    assert!(store.check(false).unwrap().problems.is_empty());
}

const NAME: &str = "name";

/// The schema that is written today.
const LATEST: i64 = 4;

/// An engine that takes its directory with it.
struct Sandboxed {
    // Fields are dropped in this order.
    engine: SqliteEngine,
    _dir: TempDir,
}

impl Sandboxed {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Self { engine: open(&dir), _dir: dir }
    }
}

impl Engine for Sandboxed {
    fn read(&self, body: &mut dyn FnMut(&dyn View) -> Result<()>) -> Result<()> {
        self.engine.read(body)
    }

    fn write(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        self.engine.write(body)
    }

    fn mark(&self) -> Result<Mark> {
        self.engine.mark()
    }

    fn await_change(&self, seen: Mark, wait: Wait<'_>) -> Result<Awaited> {
        self.engine.await_change(seen, wait)
    }
}

fn open(dir: &TempDir) -> SqliteEngine {
    SqliteEngine::open(OpenOptions::new(dir.path().join("test.prdb"))).unwrap()
}

fn create_space(engine: &SqliteEngine) -> Space {
    let mut space = None;
    let made = engine.write(&mut |txn| {
        space = Some(txn.create_space(&Namespace::default(), Millis(0))?);
        Ok(())
    });
    made.unwrap();
    space.unwrap()
}

fn head() -> Head {
    let now = Millis(0);
    Head {
        version: Version(1),
        created: now,
        updated: now,
        expires: None,
        writer: None,
        rank: None,
        size: 0,
        coding: Coding::PLAIN,
        metakeys: None,
    }
}

fn put(engine: &SqliteEngine, space: &Space, value: &[u8]) {
    engine.write(&mut |txn| txn.put(space, NAME, &head(), value)).unwrap();
}

fn value(engine: &SqliteEngine, space: &Space) -> Option<Vec<u8>> {
    let mut value = None;
    let read = engine.read(&mut |view| {
        value = view.get(space, NAME)?.map(|record| record.value);
        Ok(())
    });
    read.unwrap();
    value
}
