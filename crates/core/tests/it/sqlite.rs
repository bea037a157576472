//! The engine on SQLite files.

use prontodb_core::engine::sqlite::{OpenOptions, SqliteEngine};
use prontodb_core::engine::{Engine, Space, Txn, View};
use prontodb_core::{Head, Millis, Namespace, Result, Version};
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

const NAME: &str = "name";

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
    Head { version: Version(1), created: now, updated: now, expires: None, writer: None, rank: None, size: 0 }
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
