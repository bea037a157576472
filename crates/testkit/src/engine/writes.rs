//! Writes: all or nothing, one version each, and visible to themselves before they are to others.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::slice::from_ref;

use prontodb_core::engine::{Cache, Candidate, Engine, Policy, Range, Sealing, Space, Totals, Txn, Usage};
use prontodb_core::{Error, ErrorKind, Head, Millis, Record, Result, Ttl, Version};

use super::{
    NOW, head, head_that_expires_in, names, names_in, namespace, plain_head, put, put_with, read, some_space,
    value, write,
};

/// Versions start at one, whatever was done before without one.
pub fn the_first_version_is_one(engine: &dyn Engine) {
    some_space(engine);
    assert_eq!(write(engine, |txn| txn.version()), Version(1));
    assert_eq!(revision(engine), Version(1));
}

/// However often it is asked for, and whatever happens in between; the next one is greater.
pub fn a_transaction_has_one_version(engine: &dyn Engine) {
    let space = some_space(engine);
    let mut last = Version(0);
    for _ in 0..3 {
        let (first, second) = write(engine, |txn| {
            let first = txn.version()?;
            txn.put(&space, "name", &plain_head(), b"value")?;
            Ok((first, txn.version()?))
        });
        assert_eq!(first, second);
        assert_eq!(revision(engine), first);
        assert!(first > last, "{first} follows {last}");
        last = first;
    }
}

/// It is no write that anyone has to know of, and part of the transaction.
pub fn how_long_changes_are_kept_comes_back(engine: &dyn Engine) {
    assert_eq!(read(engine, |view| view.changes_until()), None);
    for until in [Some(NOW), Some(Millis(0)), None, Some(NOW)] {
        let before = revision(engine);
        write(engine, |txn| {
            txn.keep_changes(until)?;
            assert_eq!(txn.changes_until()?, until);
            Ok(())
        });
        assert_eq!((read(engine, |view| view.changes_until()), revision(engine)), (until, before));
        write(engine, |txn| {
            txn.version()?;
            assert_eq!(txn.changes_until()?, until);
            Ok(())
        });
    }
    fail(engine, |txn| txn.keep_changes(None));
    assert_eq!(read(engine, |view| view.changes_until()), Some(NOW));
}

/// Even of a transaction that does nothing else.
pub fn asking_for_the_version_is_a_write(engine: &dyn Engine) {
    let before = revision(engine);
    write(engine, |txn| txn.version());
    assert!(revision(engine) > before);
}

/// Tidying up is no write that anyone has to know of.
pub fn the_revision_stays_when_no_version_is_asked_for(engine: &dyn Engine) {
    write(engine, |txn| txn.version());
    let before = revision(engine);
    let space = some_space(engine);
    put(engine, &space, "name", b"value");
    write(engine, |txn| txn.put_head(&space, "name", &head_that_expires_in(1)));
    write(engine, |txn| txn.remove(&space, "name"));
    write(engine, |txn| txn.set_cache(&space, None));
    write(engine, |_| Ok(()));
    assert_eq!(revision(engine), before);
}

/// Although it had asked for its version.
pub fn a_failed_write_leaves_the_revision(engine: &dyn Engine) {
    for _ in 0..2 {
        let before = revision(engine);
        fail(engine, |txn| txn.version().map(drop));
        assert_eq!(revision(engine), before);
        write(engine, |txn| txn.version());
    }
}

/// The failed one leaves no trace in those that follow.
pub fn versions_grow_after_a_failed_write(engine: &dyn Engine) {
    let before = write(engine, |txn| txn.version());
    fail(engine, |txn| txn.version().map(drop));
    let after = write(engine, |txn| txn.version());
    assert!(after > before);
    assert_eq!(revision(engine), after);
}

/// As they are: kind, words and cause.
pub fn errors_of_bodies_come_back(engine: &dyn Engine) {
    let error = || Error::new(ErrorKind::Limit, "doing this").because("that");
    for result in [engine.read(&mut |_| Err(error())), engine.write(&mut |_| Err(error()))] {
        let error = result.expect_err("the error of the body");
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert_eq!(error.to_string(), "doing this");
        assert_eq!(std::error::Error::source(&error).map(ToString::to_string).as_deref(), Some("that"));
    }
}

/// Each kind of change, several of one entry, and changes of what the write itself had made.
pub fn a_failed_write_changes_no_entry(engine: &dyn Engine) {
    let space = some_space(engine);
    for name in ["patched", "removed", "replaced", "several"] {
        put(engine, &space, name, name.as_bytes());
    }
    let before = everything(engine, &space);
    fail(engine, |txn| {
        txn.put(&space, "replaced", &head_that_expires_in(1), b"another value")?;
        txn.put_head(&space, "patched", &head_that_expires_in(2))?;
        txn.remove(&space, "removed")?;
        txn.put(&space, "made", &plain_head(), b"value")?;
        txn.put_head(&space, "made", &head_that_expires_in(3))?;
        several_changes(txn, &space, "several")?;
        several_changes(txn, &space, "made and changed")
    });
    assert_eq!(everything(engine, &space), before);
}

/// However many entries one change reaches.
pub fn a_failed_write_changes_not_all_entries(engine: &dyn Engine) {
    let space = some_space(engine);
    for (name, rank) in [("a", None), ("b", Some(7)), ("c", Some(8))] {
        put_with(engine, &space, name, &Head { rank, ..head_that_expires_in(1) }, b"value");
    }
    let before = everything(engine, &space);
    fail(engine, |txn| txn.rank_all(&space, true));
    fail(engine, |txn| txn.rank_all(&space, false));
    fail(engine, |txn| txn.keep_all(&space));
    assert_eq!(everything(engine, &space), before);
}

/// Nor what it put there; another write can make it.
pub fn a_failed_write_makes_no_space(engine: &dyn Engine) {
    let wanted = namespace("project", "namespace");
    fail(engine, |txn| {
        let space = txn.create_space(&wanted, NOW)?;
        txn.set_cache(&space, Some(&cache()))?;
        txn.put(&space, "name", &plain_head(), b"value")
    });
    assert_eq!(read(engine, |view| view.space(&wanted)), None);
    assert_eq!(read(engine, |view| view.spaces(None)), []);
    let space = some_space(engine);
    assert_eq!(space.cache, None);
    assert_eq!(everything(engine, &space), []);
}

/// Whether it made the space a cache, changed the settings, or took them away.
pub fn a_failed_write_leaves_cache_settings(engine: &dyn Engine) {
    let space = some_space(engine);
    let changed = Cache { max_items: Some(9), ..cache() };
    for kept in [None, Some(cache())] {
        write(engine, |txn| txn.set_cache(&space, kept.as_ref()));
        let expected = Some(Space { cache: kept, ..space.clone() });
        fail(engine, |txn| txn.set_cache(&space, Some(&changed)));
        assert_eq!(read(engine, |view| view.space(&space.namespace)), expected);
        fail(engine, |txn| txn.set_cache(&space, None));
        assert_eq!(read(engine, |view| view.space(&space.namespace)), expected);
    }
}

/// As it was before, whatever that was.
pub fn a_failed_write_leaves_the_sealing(engine: &dyn Engine) {
    let space = some_space(engine);
    for kept in [Sealing::Never, Sealing::Under(2), Sealing::Ended] {
        write(engine, |txn| txn.set_sealing(&space, kept));
        fail(engine, |txn| txn.set_sealing(&space, Sealing::Under(5)));
        let expected = Some(Space { sealing: kept, ..space.clone() });
        assert_eq!(read(engine, |view| view.space(&space.namespace)), expected);
    }
}

/// The panic passes through, and the engine works on.
pub fn a_panic_undoes_the_write(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "name", b"value");
    let before = (revision(engine), everything(engine, &space));
    let panicking = AssertUnwindSafe(|| {
        engine.write(&mut |txn| {
            txn.version()?;
            several_changes(txn, &space, "name")?;
            resume_unwind(Box::new("a panic that prints nothing"));
        })
    });
    assert!(catch_unwind(panicking).is_err());
    assert_eq!((revision(engine), everything(engine, &space)), before);
    put(engine, &space, "name", b"another value");
    assert_eq!(value(engine, &space, "name").as_deref(), Some(&b"another value"[..]));
}

/// Failing leaves nothing open.
pub fn writes_go_on_after_a_failed_one(engine: &dyn Engine) {
    let space = some_space(engine);
    for _ in 0..3 {
        fail(engine, |txn| txn.put(&space, "failed", &plain_head(), b"value"));
        assert!(engine.read(&mut |_| Err(refused())).is_err());
        put(engine, &space, "done", b"value");
        assert_eq!(names(engine, &space, &Range::default()), ["done"]);
    }
}

/// One by one, as they are made.
pub fn a_write_sees_its_own_entries(engine: &dyn Engine) {
    let space = some_space(engine);
    write(engine, |txn| {
        assert_eq!(txn.get(&space, "name")?, None);
        txn.put(&space, "name", &plain_head(), b"value")?;
        let expected = Head { size: 5, ..plain_head() };
        assert_eq!(txn.head(&space, "name")?, Some(expected.clone()));
        assert_eq!(txn.get(&space, "name")?, Some(Record { head: expected, value: b"value".to_vec() }));
        txn.put_head(&space, "name", &head_that_expires_in(1))?;
        assert_eq!(txn.head(&space, "name")?, Some(Head { size: 5, ..head_that_expires_in(1) }));
        txn.remove(&space, "name")?;
        assert_eq!(txn.head(&space, "name")?, None);
        assert_eq!(txn.get(&space, "name")?, None);
        Ok(())
    });
}

/// In scans, totals, and the lists of what may go.
pub fn a_write_sees_its_own_entries_in_every_listing(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "removed", b"value");
    let gone = |name: &str| Candidate { name: name.to_owned(), size: 2 };
    write(engine, |txn| {
        txn.remove(&space, "removed")?;
        txn.put(&space, "kept", &plain_head(), b"four")?;
        txn.put(&space, "expired", &head_that_expires_in(0), b"12")?;
        assert_eq!(names_in(txn, &space, &Range::default())?, ["expired", "kept"]);
        let totals = Totals { keys: 1, bytes: 8, last_write: Some(NOW) };
        assert_eq!(txn.totals(&space, Some(NOW))?, totals);
        assert_eq!(txn.expired(&space, NOW, 9)?, [gone("expired")]);
        assert_eq!(txn.victims(&space, Policy::Ttl, 1)?, [gone("expired")]);
        Ok(())
    });
}

/// And that one is a cache now.
pub fn a_write_sees_its_own_spaces(engine: &dyn Engine) {
    write(engine, |txn| {
        let wanted = namespace("project", "namespace");
        let made = txn.create_space(&wanted, NOW)?;
        assert_eq!(txn.space(&wanted)?.as_ref(), Some(&made));
        txn.set_cache(&made, Some(&cache()))?;
        let expected = Space { cache: Some(cache()), ..made };
        assert_eq!(txn.spaces(Some("project"))?, from_ref(&expected));
        assert_eq!(txn.space(&wanted)?, Some(expected));
        Ok(())
    });
}

/// Spaces, entries and the revision.
pub fn a_write_sees_what_was_written_before_it(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "name", b"value");
    let version = write(engine, |txn| txn.version());
    write(engine, |txn| {
        assert_eq!(txn.revision()?, version);
        assert_eq!(txn.spaces(None)?, from_ref(&space));
        assert_eq!(txn.get(&space, "name")?.map(|record| record.value).as_deref(), Some(&b"value"[..]));
        Ok(())
    });
}

/// When it changes one entry more than once.
pub fn the_last_change_of_a_write_counts(engine: &dyn Engine) {
    let space = some_space(engine);
    write(engine, |txn| {
        several_changes(txn, &space, "removed")?;
        txn.remove(&space, "removed")?;
        several_changes(txn, &space, "put")?;
        txn.put(&space, "put", &plain_head(), b"value")?;
        several_changes(txn, &space, "patched")?;
        txn.put_head(&space, "patched", &plain_head())
    });
    assert_eq!(names(engine, &space, &Range::default()), ["patched", "put"]);
    assert_eq!(value(engine, &space, "put").as_deref(), Some(&b"value"[..]));
    assert_eq!(value(engine, &space, "patched").as_deref(), Some(&b"second value"[..]));
    assert_eq!(head(engine, &space, "patched"), Some(Head { size: 12, ..plain_head() }));
}

/// All that it can be asked agrees.
pub fn a_read_sees_one_state(engine: &dyn Engine) {
    let space = some_space(engine);
    let version = write(engine, |txn| {
        let version = txn.version()?;
        let head = Head { version, ..head_that_expires_in(5) };
        txn.put(&space, "name", &head, b"value")?;
        Ok(version)
    });
    read(engine, |view| {
        for _ in 0..2 {
            assert_eq!(view.revision()?, version);
            assert_eq!(view.space(&space.namespace)?.as_ref(), Some(&space));
            assert_eq!(view.head(&space, "name")?.map(|head| head.version), Some(version));
            assert_eq!(names_in(view, &space, &Range::default())?, ["name"]);
            assert_eq!(view.totals(&space, Some(NOW))?.keys, 1);
            assert_eq!(view.expired(&space, NOW, 9)?, []);
        }
        Ok(())
    });
}

/// Looking at what has expired does not remove it.
pub fn reads_change_nothing(engine: &dyn Engine) {
    let space = some_space(engine);
    write(engine, |txn| txn.set_cache(&space, Some(&cache())));
    write(engine, |txn| {
        txn.put(&space, "name", &Head { expires: Some(Millis(1)), ..plain_head() }, b"value")
    });
    let state = || (revision(engine), read(engine, |view| view.spaces(None)), everything(engine, &space));
    let before = state();
    read(engine, |view| {
        view.get(&space, "name")?;
        view.totals(&space, Some(NOW))?;
        view.expired(&space, NOW, 9)?;
        view.victims(&space, Policy::Lru, 9)?;
        names_in(view, &space, &Range { visible_at: Some(NOW), ..Range::default() })
    });
    assert_eq!(state(), before);
}

/// Runs a write that fails after `body`.
fn fail(engine: &dyn Engine, body: impl Fn(&mut dyn Txn) -> Result<()>) {
    let result = engine.write(&mut |txn| {
        body(txn).expect("a body that succeeds up to its end");
        Err(refused())
    });
    assert_eq!(result.expect_err("the error of the body").kind(), ErrorKind::Conflict);
}

fn refused() -> Error {
    Error::new(ErrorKind::Conflict, "failing on purpose")
}

/// Changes an entry in every way, and leaves it there with an expiry and `second value`.
fn several_changes(txn: &mut dyn Txn, space: &Space, name: &str) -> Result<()> {
    txn.put(space, name, &plain_head(), b"first value")?;
    txn.put_head(space, name, &head_that_expires_in(1))?;
    txn.remove(space, name)?;
    txn.put(space, name, &plain_head(), b"second value")?;
    txn.put_head(space, name, &head_that_expires_in(2))
}

fn revision(engine: &dyn Engine) -> Version {
    read(engine, |view| view.revision())
}

/// All entries of a space.
fn everything(engine: &dyn Engine, space: &Space) -> Vec<(String, Record)> {
    let record = |name: String| {
        let record = read(engine, |view| view.get(space, &name)).expect("an entry that was listed");
        (name, record)
    };
    names(engine, space, &Range::default()).into_iter().map(record).collect()
}

fn cache() -> Cache {
    Cache {
        timeout: Ttl::from_millis(60_000).expect("a time to live"),
        evict_on_read: true,
        max_items: Some(1),
        max_bytes: Some(2),
        policy: Policy::Lru,
        usage: Usage { items: 3, bytes: 4, rank: 5 },
    }
}
