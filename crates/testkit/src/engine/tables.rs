//! Tables: spaces lie in one each, move to another one, and leave nothing behind in the end.

use prontodb_core::engine::{Cache, Engine, Policy, Range, Sealing, Space, Usage};
use prontodb_core::{Error, ErrorKind, Millis, Record, Result, Ttl, Version};

use super::{NOW, names, namespace, plain_head, put, read, some_space, space, value, write};

/// Larger than what an engine keeps with an entry.
const LARGE: &[u8] = &[b'v'; 5000];

/// Tables have names, each another one, and none that of the shared one.
pub fn no_two_tables_share_a_name(engine: &dyn Engine) {
    let a = write(engine, |txn| txn.create_table());
    let (b, c) = write(engine, |txn| Ok((txn.create_table()?, txn.create_table()?)));
    write(engine, |txn| txn.drop_table(&c));
    let d = write(engine, |txn| txn.create_table());
    let names = [a, b, c, d, read(engine, |view| Ok(view.shared_table().to_owned()))];
    for (place, name) in names.iter().enumerate() {
        assert!(!name.is_empty() && !names[place + 1..].contains(name), "{names:?}");
    }
}

/// A space that was given no table lies in the shared one.
pub fn a_new_space_lies_in_the_shared_table(engine: &dyn Engine) {
    assert_eq!(some_space(engine).table, read(engine, |view| Ok(view.shared_table().to_owned())));
}

/// What is read, listed and counted of a space in a table of its own is what was written, and spaces in other tables have no
/// part in it.
pub fn a_space_may_lie_in_any_table(engine: &dyn Engine) {
    let spaces = [space_in_new_table(engine, "a"), space(engine, "a", "b"), space_in_new_table(engine, "c")];
    for (number, space) in spaces.iter().enumerate() {
        put(engine, space, "name", number.to_string().as_bytes());
        put(engine, space, "large", LARGE);
        put(engine, space, "gone", b"value");
        write(engine, |txn| txn.remove(space, "gone"));
    }
    assert_eq!(read(engine, |view| view.spaces(None)), spaces);
    for (number, space) in spaces.iter().enumerate() {
        assert_eq!(value(engine, space, "name"), Some(number.to_string().into_bytes()));
        assert_eq!(value(engine, space, "large").as_deref(), Some(LARGE));
        assert_eq!(names(engine, space, &Range::default()), ["large", "name"]);
        assert_eq!(read(engine, |view| view.totals(space, None)).keys, 2);
    }
}

/// Also in a table of its own a space may be a cache, with its ranks and expiries.
pub fn a_cache_may_lie_in_any_table(engine: &dyn Engine) {
    let space = space_in_new_table(engine, "a");
    write(engine, |txn| txn.set_cache(&space, Some(&cache())));
    for (number, name) in ["c", "b", "a"].into_iter().enumerate() {
        let head = prontodb_core::Head {
            version: Version(number as u64 + 1),
            expires: Some(Millis(NOW.0 + number as i64)),
            ..plain_head()
        };
        write(engine, |txn| txn.put(&space, name, &head, b"value"));
    }
    write(engine, |txn| txn.rank_all(&space, true));
    let first = |policy| read(engine, |view| view.victims(&space, policy, 1))[0].name.clone();
    assert_eq!((first(Policy::Fifo), first(Policy::Ttl)), ("c".to_owned(), "c".to_owned()));
    assert_eq!(read(engine, |view| view.expired(&space, NOW, 9)).len(), 1);
    write(engine, |txn| txn.keep_all(&space));
    assert_eq!(read(engine, |view| view.expired(&space, NOW, 9)), []);
}

/// Nobody finds a space that was dropped; the next of its name is another one, and as new as any.
pub fn a_dropped_space_is_gone(engine: &dyn Engine) {
    let (dropped, other) = (space(engine, "a", "b"), space(engine, "a", "c"));
    write(engine, |txn| {
        txn.set_cache(&dropped, Some(&cache()))?;
        txn.set_sealing(&dropped, Sealing::Under(1))
    });
    put(engine, &dropped, "name", b"value");
    write(engine, |txn| txn.drop_space(&dropped));
    assert_eq!(read(engine, |view| view.space(&dropped.namespace)), None);
    assert_eq!(read(engine, |view| view.spaces(None)), [other]);
    let next = space(engine, "a", "b");
    assert_ne!(next.id, dropped.id);
    assert_eq!((next.cache.as_ref(), next.sealing), (None, Sealing::Never));
    assert_eq!(names(engine, &next, &Range::default()), [""; 0]);
    put(engine, &next, "name", b"another");
    while write(engine, |txn| txn.sweep(dropped.id, &dropped.table, true, 1)) > 0 {}
    assert_eq!(value(engine, &next, "name"), Some(b"another".to_vec()));
}

/// What a dropped space held goes in steps of any size, and nothing else goes.
pub fn what_is_left_behind_is_swept_in_steps(engine: &dyn Engine) {
    let (dropped, other) = (some_space(engine), space(engine, "a", "b"));
    for name in ["a", "b", "c", "d", "e"] {
        put(engine, &dropped, name, LARGE);
        put(engine, &other, name, LARGE);
    }
    write(engine, |txn| txn.drop_space(&dropped));
    let sweep = || write(engine, |txn| txn.sweep(dropped.id, &dropped.table, true, 2));
    assert_eq!((sweep(), sweep(), sweep(), sweep()), (2, 2, 1, 0));
    assert_eq!(names(engine, &other, &Range::default()), ["a", "b", "c", "d", "e"]);
    assert_eq!(value(engine, &other, "e").as_deref(), Some(LARGE));
}

/// Every change of a space that moves is there when it has moved: before it was copied, after, and without being copied.
pub fn a_space_that_moves_takes_every_change_along(engine: &dyn Engine) {
    let (moved, other) = (some_space(engine), space(engine, "a", "b"));
    for name in ["a", "b", "c", "d", "e", "f"] {
        put(engine, &moved, name, name.as_bytes());
        put(engine, &other, name, b"another");
    }
    put(engine, &moved, "large", LARGE);
    let target = write(engine, |txn| txn.create_table());
    write(engine, |txn| txn.begin_move(&moved, &target));
    assert!(read(engine, |view| view.is_moving(&moved, &target)));
    let change = |round: &str, gone: &str| {
        let changed = plain_head();
        write(engine, |txn| {
            txn.put(&moved, &format!("new {round}"), &changed, LARGE)?;
            txn.upsert(&moved, "b", &changed, round.as_bytes())?;
            txn.put(&moved, "e", &changed, round.as_bytes())?;
            txn.put_head(
                &moved,
                "f",
                &prontodb_core::Head { writer: Some(round.to_owned()), ..plain_head() },
            )?;
            txn.put(&moved, "large", &changed, round.as_bytes())?;
            txn.put(&moved, "large", &changed, LARGE)?;
            txn.remove(&moved, gone)
        });
    };
    change("before", "a");
    let mut after = write(engine, |txn| txn.copy_batch(&moved, &target, "", 2));
    change("between", "c");
    while let Some(last) = after {
        after = write(engine, |txn| txn.copy_batch(&moved, &target, &last, 2));
    }
    change("behind", "d");
    write(engine, |txn| txn.rank_all(&moved, true));
    let before = all(engine, &moved);
    let moved = arrive(engine, &moved, &target);
    assert!(!read(engine, |view| view.is_moving(&moved, &target)));
    assert_eq!(all(engine, &moved), before);
    let expected = ["b", "e", "f", "large", "new before", "new behind", "new between"];
    assert_eq!(names(engine, &moved, &Range::default()), expected);
    assert_eq!(names(engine, &other, &Range::default()).len(), 6);
}

/// What a space leaves behind where it was is removed without harm to it.
pub fn what_a_move_leaves_behind_is_no_part_of_the_space(engine: &dyn Engine) {
    let moved = some_space(engine);
    put(engine, &moved, "name", b"value");
    put(engine, &moved, "large", LARGE);
    let target = write(engine, |txn| txn.create_table());
    write(engine, |txn| txn.begin_move(&moved, &target));
    copy_all(engine, &moved, &target);
    let (source, moved) = (moved.table.clone(), arrive(engine, &moved, &target));
    put(engine, &moved, "later", LARGE);
    while write(engine, |txn| txn.sweep(moved.id, &source, false, 1)) > 0 {}
    assert_eq!(value(engine, &moved, "name"), Some(b"value".to_vec()));
    assert_eq!(value(engine, &moved, "large").as_deref(), Some(LARGE));
    assert_eq!(value(engine, &moved, "later").as_deref(), Some(LARGE));
    // And back again.
    write(engine, |txn| txn.begin_move(&moved, &source));
    copy_all(engine, &moved, &source);
    let moved = arrive(engine, &moved, &source);
    while write(engine, |txn| txn.sweep(moved.id, &target, false, 100)) > 0 {}
    write(engine, |txn| txn.drop_table(&target));
    assert_eq!(names(engine, &moved, &Range::default()), ["large", "later", "name"]);
    assert_eq!(value(engine, &moved, "later").as_deref(), Some(LARGE));
}

/// A move that is given up leaves the space as it is.
pub fn a_move_may_end_where_it_began(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "name", b"value");
    put(engine, &space, "large", LARGE);
    let target = write(engine, |txn| txn.create_table());
    write(engine, |txn| txn.begin_move(&space, &target));
    copy_all(engine, &space, &target);
    write(engine, |txn| txn.end_move(&space, &target));
    assert!(!read(engine, |view| view.is_moving(&space, &target)));
    put(engine, &space, "name", b"another");
    while write(engine, |txn| txn.sweep(space.id, &target, false, 1)) > 0 {}
    write(engine, |txn| txn.drop_table(&target));
    assert_eq!(value(engine, &space, "name"), Some(b"another".to_vec()));
    assert_eq!(value(engine, &space, "large").as_deref(), Some(LARGE));
}

/// Nothing of all that is done by a write that fails.
pub fn a_failed_write_leaves_tables_and_spaces(engine: &dyn Engine) {
    let (space, other) = (some_space(engine), space(engine, "a", "b"));
    write(engine, |txn| txn.set_cache(&space, Some(&cache())));
    let space = Space { cache: Some(cache()), ..space };
    put(engine, &space, "name", b"value");
    put(engine, &other, "name", b"value");
    let target = write(engine, |txn| txn.create_table());
    let failed = engine.write(&mut |txn| {
        let table = txn.create_table()?;
        txn.begin_move(&other, &target)?;
        txn.set_table(&other, &table)?;
        txn.drop_space(&space)?;
        assert_eq!(txn.space(&space.namespace)?, None);
        txn.sweep(space.id, &space.table, true, 100)?;
        Err(Error::new(ErrorKind::Io, "given up"))
    });
    assert!(failed.is_err());
    let mut expected = [space.clone(), other.clone()];
    expected.sort_by(|a, b| a.namespace.cmp(&b.namespace));
    assert_eq!(read(engine, |view| view.spaces(None)), expected);
    assert_eq!(value(engine, &space, "name"), Some(b"value".to_vec()));
    assert!(!read(engine, |view| view.is_moving(&other, &target)));
}

fn space_in_new_table(engine: &dyn Engine, name: &str) -> Space {
    write(engine, |txn| {
        let space = txn.create_space(&namespace("a", name), NOW)?;
        let table = txn.create_table()?;
        txn.set_table(&space, &table)?;
        Ok(Space { table, ..space })
    })
}

fn copy_all(engine: &dyn Engine, space: &Space, target: &str) {
    let mut after = Some(String::new());
    while let Some(last) = after {
        after = write(engine, |txn| txn.copy_batch(space, target, &last, 3));
    }
}

/// Ends a move, and says what the space is then.
pub(super) fn arrive(engine: &dyn Engine, space: &Space, target: &str) -> Space {
    write(engine, |txn| {
        txn.end_move(space, target)?;
        txn.set_table(space, target)
    });
    let arrived = read(engine, |view| view.space(&space.namespace)).expect("a space that has moved");
    assert_eq!(arrived, Space { table: target.to_owned(), ..space.clone() });
    arrived
}

/// All entries of a space.
pub(super) fn all(engine: &dyn Engine, space: &Space) -> Vec<(String, Record)> {
    let names = names(engine, space, &Range::default());
    let get = |name: String| -> Result<_> {
        let record = read(engine, |view| view.get(space, &name));
        Ok((name, record.expect("an entry that is listed")))
    };
    names.into_iter().map(get).collect::<Result<_>>().expect("entries")
}

fn cache() -> Cache {
    Cache {
        timeout: Ttl::from_millis(1).expect("a time to live"),
        evict_on_read: false,
        max_items: Some(10),
        max_bytes: None,
        policy: Policy::Fifo,
        usage: Usage::default(),
    }
}
