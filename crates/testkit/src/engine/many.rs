//! Many entries that are stored at once.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use prontodb_core::engine::{Engine, Entries, Entry, Range, Space};
use prontodb_core::{Error, ErrorKind, Head, Millis, Result, Version};

use super::tables::{all, arrive};
use super::{
    NOW, head_that_expires_in, metakeys, names, plain_head, put, put_with, some_space, space, value, write,
};

/// Entries from a list, and what comes behind them.
struct Listed<'l> {
    entries: std::slice::Iter<'l, (String, Vec<u8>)>,
    end: fn() -> Result<()>,
}

impl Entries for Listed<'_> {
    fn present(&mut self) -> Result<Option<Entry<'_>>> {
        match self.entries.as_slice().first() {
            Some((name, value)) => Ok(Some(Entry { name, value })),
            None => (self.end)().map(|()| None),
        }
    }

    fn pass(&mut self) -> Result<()> {
        self.entries.next();
        Ok(())
    }
}

/// What is stored at once from a list.
pub(crate) fn listed(entries: &[(String, Vec<u8>)]) -> impl Entries {
    Listed { entries: entries.iter(), end: || Ok(()) }
}

/// Entries in all orders: long runs of new ones, others between those that are there, twice the same, long and empty values.
fn mixed() -> Vec<(String, Vec<u8>)> {
    let value = |number: usize| match number % 97 {
        0 => vec![b'x'; 5000],
        1 => Vec::new(),
        rest => format!("value {rest}").into_bytes(),
    };
    let sorted = (0..3000).map(|number| (format!("key {number:05}"), value(number)));
    let scattered = (0..500).map(|number| (format!("key {:05}", number * 7919 % 6000), value(number + 3)));
    let twice = [("twice", "1"), ("twice", "2"), ("", "no name"), ("ключ", "text")];
    let twice = twice.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    sorted.chain(scattered).chain(twice).collect()
}

/// Entries that are there before: with what belongs to their keys, large ones, and ones that have expired.
fn fill(engine: &dyn Engine, space: &Space) {
    let kept = Head { created: Millis(5), metakeys: metakeys(&[("owner", "alice")]), ..plain_head() };
    for number in (0..2000).step_by(3) {
        let head = if number % 2 == 0 { kept.clone() } else { head_that_expires_in(-1) };
        let value = if number % 5 == 0 { vec![b'o'; 3000] } else { b"old".to_vec() };
        put_with(engine, space, &format!("key {number:05}"), &head, &value);
    }
}

/// In the end all is as if they had come one by one, whatever is there, in what order they come, and how large they are.
pub fn many_entries_are_stored_like_one_after_the_other(engine: &dyn Engine) {
    let (one_by_one, at_once, other) = (some_space(engine), space(engine, "a", "b"), space(engine, "z", "z"));
    put(engine, &other, "key 00001", b"another");
    let written = Head { version: Version(9), created: NOW, updated: NOW, ..plain_head() };
    let entries = mixed();
    for is_empty in [true, false] {
        if !is_empty {
            fill(engine, &one_by_one);
            fill(engine, &at_once);
        }
        write(engine, |txn| {
            entries.iter().try_for_each(|(name, value)| txn.upsert(&one_by_one, name, &written, value))
        });
        write(engine, |txn| txn.upsert_all(&at_once, &written, &mut listed(&entries)));
        let expected = all(engine, &one_by_one);
        assert!(expected.len() > 3000);
        assert_eq!(all(engine, &at_once), expected);
    }
    assert_eq!(names(engine, &other, &Range::default()), ["key 00001"]);
    assert_eq!(value(engine, &other, "key 00001").as_deref(), Some(&b"another"[..]));
}

/// A write sees them, and goes on.
pub fn many_entries_may_be_none_or_one(engine: &dyn Engine) {
    let space = some_space(engine);
    let one = [("name".to_owned(), b"value".to_vec())];
    write(engine, |txn| {
        txn.upsert_all(&space, &plain_head(), &mut listed(&[]))?;
        assert_eq!(txn.get(&space, "name")?, None);
        txn.upsert_all(&space, &plain_head(), &mut listed(&one))?;
        assert_eq!(txn.get(&space, "name")?.map(|record| record.value), Some(b"value".to_vec()));
        txn.upsert_all(&space, &plain_head(), &mut listed(&one))?;
        txn.upsert(&space, "another", &plain_head(), b"value")
    });
    assert_eq!(names(engine, &space, &Range::default()), ["another", "name"]);
}

/// What went wrong is told as it was, and nothing stays of what came before.
pub fn entries_that_break_off_are_not_stored(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "key 00010", b"old");
    let entries = mixed();
    let broken = || {
        let end = || Err(Error::new(ErrorKind::Limit, "a source that breaks off"));
        engine.write(&mut |txn| {
            txn.upsert_all(&space, &plain_head(), &mut Listed { entries: entries.iter(), end })
        })
    };
    let error = broken().expect_err("a source that breaks off");
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Limit, "a source that breaks off"));
    let mut panicking = || {
        let end = || resume_unwind(Box::new("a panic that prints nothing"));
        engine.write(&mut |txn| {
            txn.upsert_all(&space, &plain_head(), &mut Listed { entries: entries.iter(), end })
        })
    };
    let payload = catch_unwind(AssertUnwindSafe(&mut panicking)).expect_err("a panic");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"a panic that prints nothing"));
    assert_eq!(names(engine, &space, &Range::default()), ["key 00010"]);
    assert_eq!(value(engine, &space, "key 00010").as_deref(), Some(&b"old"[..]));
    put(engine, &space, "name", b"value");
}

/// Each of them is where the space arrives.
pub fn many_entries_are_taken_along_by_a_move(engine: &dyn Engine) {
    let moved = some_space(engine);
    fill(engine, &moved);
    let target = write(engine, |txn| txn.create_table());
    write(engine, |txn| txn.begin_move(&moved, &target));
    write(engine, |txn| txn.upsert_all(&moved, &plain_head(), &mut listed(&mixed())));
    let mut after = Some(String::new());
    while let Some(last) = after {
        after = write(engine, |txn| txn.copy_batch(&moved, &target, &last, 1000));
    }
    let expected = all(engine, &moved);
    let arrived = arrive(engine, &moved, &target);
    assert_eq!(all(engine, &arrived), expected);
}
