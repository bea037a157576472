//! The engine that keeps everything in memory.

use prontodb_core::engine::memory::MemoryEngine;
use prontodb_core::engine::{Engine, Space};
use prontodb_core::{Error, ErrorKind, Millis, Namespace};

prontodb_testkit::engine_suite!(conformance, || Box::new(MemoryEngine::new()));

#[test]
fn random_histories_agree_with_the_model() {
    prontodb_testkit::model::check(&|| Box::new(MemoryEngine::new()), 256);
}

#[test]
fn a_clone_keeps_the_same_and_goes_its_own_way() {
    let engine = MemoryEngine::new();
    let made = create_space(&engine);
    let clone = engine.clone();
    assert_eq!(spaces(&clone), [made]);
    remove_spaces(&clone);
    assert_eq!((spaces(&engine).len(), spaces(&clone).len()), (1, 0));
}

fn spaces(engine: &MemoryEngine) -> Vec<Space> {
    let mut spaces = Vec::new();
    let read = engine.read(&mut |view| {
        spaces = view.spaces(None)?;
        Ok(())
    });
    read.unwrap();
    spaces
}

fn remove_spaces(engine: &MemoryEngine) {
    let remove =
        engine.write(&mut |txn| txn.spaces(None)?.iter().try_for_each(|space| txn.drop_space(space)));
    remove.unwrap();
}

#[test]
fn a_space_of_a_failed_write_is_no_later_space() {
    let engine = MemoryEngine::new();
    let failed = space_of_a_failed_write(&engine);
    let made = create_space(&engine);
    assert_ne!(failed.id, made.id);
}

#[test]
fn writing_to_a_space_that_is_not_there_is_an_error() {
    let engine = MemoryEngine::new();
    let failed = space_of_a_failed_write(&engine);
    create_space(&engine);
    for result in [
        engine.write(&mut |txn| txn.remove(&failed, "name")),
        engine.write(&mut |txn| txn.keep_all(&failed)),
        engine.write(&mut |txn| txn.set_cache(&failed, None)),
    ] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

fn create_space(engine: &MemoryEngine) -> Space {
    let mut space = None;
    let made = engine.write(&mut |txn| {
        space = Some(txn.create_space(&Namespace::default(), Millis(0))?);
        Ok(())
    });
    made.unwrap();
    space.unwrap()
}

/// A space that never came to be.
fn space_of_a_failed_write(engine: &MemoryEngine) -> Space {
    let mut space = None;
    let failed = engine.write(&mut |txn| {
        space = Some(txn.create_space(&Namespace::default(), Millis(0))?);
        Err(Error::new(ErrorKind::Conflict, "failing on purpose"))
    });
    assert!(failed.is_err());
    space.unwrap()
}
