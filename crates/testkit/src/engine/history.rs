//! Histories: versions of entries come back as they were kept, in order, and go as they are told to.

use prontodb_core::engine::{Engine, Space};
use prontodb_core::{Coding, Deed, Error, ErrorKind, Head, Millis, Past, Result, Version};

use super::{HOSTILE_NAMES, NOW, metakeys, names, plain_head, put_with, read, some_space, space, write};

/// A version that is a new value.
fn past(name: &str, version: u64) -> Past {
    let head = Head { version: Version(version), ..plain_head() };
    Past { name: name.to_owned(), deed: Deed::Set, head, ended: None, reason: None }
}

/// A space that keeps history.
fn keeping(engine: &dyn Engine, namespace: &str) -> Space {
    let made = space(engine, "project", namespace);
    write(engine, |txn| txn.set_history(&made, Some(3)));
    Space { history: Some(3), ..made }
}

/// Keeps a version without much to tell.
fn keep(engine: &dyn Engine, space: &Space, name: &str, version: u64) {
    write(engine, |txn| txn.keep_past(space, &past(name, version), Some(b"")));
}

/// The numbers of all versions of an entry.
fn versions(engine: &dyn Engine, space: &Space, name: &str) -> Vec<u64> {
    let found = read(engine, |view| view.past_of(space, name, None, usize::MAX));
    found.into_iter().map(|past| past.head.version.0).collect()
}

/// All versions of a space, in their order.
fn all(engine: &dyn Engine, space: &Space) -> Vec<(u64, String)> {
    let found = read(engine, |view| view.past(space, None, usize::MAX));
    found.into_iter().map(|past| (past.head.version.0, past.name)).collect()
}

/// Nothing is kept unless that is said.
pub fn a_new_space_keeps_no_history(engine: &dyn Engine) {
    assert_eq!(some_space(engine).history, None);
    assert_eq!(read(engine, |view| view.spaces(None))[0].history, None);
}

/// How many versions are to be kept comes back, and nothing else changes with it.
pub fn how_much_history_is_kept_comes_back(engine: &dyn Engine) {
    let (space, other) = (some_space(engine), space(engine, "a", "b"));
    for versions in [Some(1), Some(1_000_000), None, Some(7)] {
        write(engine, |txn| txn.set_history(&space, versions));
        let expected = Space { history: versions, ..space.clone() };
        assert_eq!(read(engine, |view| view.space(&space.namespace)), Some(expected));
        assert_eq!(read(engine, |view| view.space(&other.namespace)), Some(other.clone()));
    }
}

/// All that is told of a version comes back, and its value, with every byte.
pub fn versions_come_back_field_by_field(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    for (number, deed) in (1_u64..).zip(Deed::ALL) {
        let head = Head {
            version: Version(number),
            created: Millis(-1),
            updated: Millis(NOW.0 + 1),
            expires: Some(Millis(NOW.0 + 2)),
            writer: Some("wer".to_owned()),
            rank: None,
            size: 7,
            coding: Coding::from_number(9),
            metakeys: metakeys(&[("owner", "ä")]),
        };
        let reason = Some("why; it's \"so\"".to_owned());
        let full = Past { name: "n".to_owned(), deed, head, ended: Some(Millis(NOW.0 + 3)), reason };
        let value = (!deed.is_removal()).then_some(bytes.as_slice());
        write(engine, |txn| txn.keep_past(&space, &full, value));
        assert_eq!(read(engine, |view| view.past_of(&space, "n", None, 1)), [full]);
        let kept = read(engine, |view| view.past_value(&space, "n", Version(number)));
        assert_eq!(kept.as_deref(), value);
    }
    keep(engine, &space, "plain", 1);
    assert_eq!(read(engine, |view| view.past_of(&space, "plain", None, 1)), [past("plain", 1)]);
    assert_eq!(read(engine, |view| view.past_value(&space, "plain", Version(1))), Some(Vec::new()));
    assert_eq!(read(engine, |view| view.past_value(&space, "plain", Version(2))), None);
}

/// The newest version comes first; what is not earlier than asked is left out, and so is what is beyond the limit.
pub fn versions_come_newest_first(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    for version in [3, 1, 10, 2] {
        keep(engine, &space, "n", version);
        keep(engine, &space, "n2", version + 100);
    }
    assert_eq!(versions(engine, &space, "n"), [10, 3, 2, 1]);
    assert_eq!(versions(engine, &space, "N"), [0; 0]);
    for (before, limit, expected) in [
        (Some(10), 9, &[3, 2, 1][..]),
        (Some(4), 2, &[3, 2]),
        (Some(1), 9, &[]),
        (None, 1, &[10]),
        (None, 0, &[]),
    ] {
        let found = read(engine, |view| view.past_of(&space, "n", before.map(Version), limit));
        assert_eq!(found.iter().map(|past| past.head.version.0).collect::<Vec<_>>(), expected);
    }
}

/// Of one number there is one version of an entry, the last that was kept.
pub fn a_version_gives_way_to_one_of_the_same_number(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    keep(engine, &space, "n", 1);
    let second = Past { deed: Deed::Deleted, ended: Some(NOW), ..past("n", 1) };
    write(engine, |txn| txn.keep_past(&space, &second, None));
    assert_eq!(read(engine, |view| view.past_of(&space, "n", None, 9)), [second]);
    assert_eq!(read(engine, |view| view.past_value(&space, "n", Version(1))), None);
}

/// The changes of a space come by version, then by name, the last first; and on from any of them.
pub fn changes_of_a_space_come_in_one_order(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    for (name, version) in [("b", 1), ("a", 2), ("b", 2), ("ä", 2), ("a", 3)] {
        keep(engine, &space, name, version);
    }
    let expected = [(3, "a"), (2, "ä"), (2, "b"), (2, "a"), (1, "b")].map(|(at, name)| (at, name.to_owned()));
    assert_eq!(all(engine, &space), expected);
    for (place, (version, name)) in expected.iter().enumerate() {
        let rest = read(engine, |view| view.past(&space, Some(&(Version(*version), name.clone())), 2));
        let rest: Vec<_> = rest.into_iter().map(|past| (past.head.version.0, past.name)).collect();
        assert_eq!(rest, expected[place + 1..].iter().take(2).cloned().collect::<Vec<_>>());
    }
}

/// That a version has ended is noted where it is kept, and its end is all that changes.
pub fn ends_are_noted_of_versions_that_are_kept(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    keep(engine, &space, "n", 1);
    keep(engine, &space, "n", 2);
    assert!(write(engine, |txn| txn.end_past(&space, "n", Version(1), NOW)));
    for (name, version) in [("n", 3), ("N", 1), ("", 1)] {
        assert!(!write(engine, |txn| txn.end_past(&space, name, Version(version), NOW)));
    }
    let ended = Past { ended: Some(NOW), ..past("n", 1) };
    assert_eq!(read(engine, |view| view.past_of(&space, "n", None, 9)), [past("n", 2), ended]);
}

/// A version that is dropped is gone, and nothing else is.
pub fn one_version_can_be_dropped(engine: &dyn Engine) {
    let (space, other) = (keeping(engine, "a"), keeping(engine, "b"));
    for version in 1..=3 {
        for name in ["n", "n2"] {
            keep(engine, &space, name, version);
        }
        keep(engine, &other, "n", version);
    }
    for version in [2, 2, 7] {
        write(engine, |txn| txn.drop_past(&space, "n", Version(version)));
        assert_eq!(versions(engine, &space, "n"), [3, 1]);
    }
    assert_eq!(
        (versions(engine, &space, "n2"), versions(engine, &other, "n")),
        (vec![3, 2, 1], vec![3, 2, 1])
    );
}

/// Trimmed, an entry has its newest versions; others keep theirs.
pub fn trimming_leaves_the_newest(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    for version in 1..=5 {
        keep(engine, &space, "n", version);
        keep(engine, &space, "n2", version);
    }
    for (most, expected) in [(9, &[5, 4, 3, 2, 1][..]), (3, &[5, 4, 3]), (3, &[5, 4, 3]), (1, &[5]), (0, &[])]
    {
        write(engine, |txn| txn.trim_past(&space, "n", most));
        assert_eq!(versions(engine, &space, "n"), expected);
    }
    assert_eq!(versions(engine, &space, "n2"), [5, 4, 3, 2, 1]);
}

/// What has ended by a moment goes, the longest ended first, and what has not ended stays.
pub fn what_has_ended_is_forgotten(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    for (version, ended) in [(1, Some(5)), (2, Some(3)), (3, None), (4, Some(6)), (5, Some(4))] {
        let ended = ended.map(Millis);
        write(engine, |txn| txn.keep_past(&space, &Past { ended, ..past("n", version) }, Some(b"v")));
    }
    let forget = |at, limit| write(engine, |txn| txn.forget_past(&space, Millis(at), limit));
    assert_eq!((forget(2, 9), forget(5, 1)), (0, 1));
    assert_eq!(versions(engine, &space, "n"), [5, 4, 3, 1]);
    assert_eq!((forget(5, 9), forget(5, 9)), (2, 0));
    assert_eq!(versions(engine, &space, "n"), [4, 3]);
    assert_eq!(forget(i64::MAX, 9), 1);
    assert_eq!(versions(engine, &space, "n"), [3]);
}

/// Each space has a history of its own, whatever names its entries share with others.
pub fn histories_are_those_of_one_space(engine: &dyn Engine) {
    let (one, other) = (keeping(engine, "a"), keeping(engine, "b"));
    for space in [&one, &other] {
        keep(engine, space, "n", 1);
        keep(engine, space, "n", 2);
    }
    write(engine, |txn| {
        txn.trim_past(&one, "n", 1)?;
        txn.end_past(&one, "n", Version(2), NOW)?;
        txn.forget_past(&one, NOW, 9).map(drop)
    });
    assert_eq!(all(engine, &one), []);
    assert_eq!(versions(engine, &other, "n"), [2, 1]);
    assert_eq!(read(engine, |view| view.past_of(&other, "n", None, 1)), [past("n", 2)]);
}

/// What a history held goes in steps of any size, and nothing else goes.
pub fn a_history_is_swept_in_steps(engine: &dyn Engine) {
    let (swept, other) = (keeping(engine, "a"), keeping(engine, "b"));
    for version in 1..=5 {
        keep(engine, &swept, "n", version);
        keep(engine, &other, "n", version);
    }
    write(engine, |txn| txn.drop_space(&swept));
    let sweep = || write(engine, |txn| txn.sweep_past(swept.id, 2));
    assert_eq!((sweep(), sweep(), sweep(), sweep()), (2, 2, 1, 0));
    assert_eq!(versions(engine, &other, "n"), [5, 4, 3, 2, 1]);
}

/// When the entries of a space no longer expire, neither do the versions that are there; earlier ones keep what they had.
pub fn keeping_all_is_for_the_versions_that_are_there(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    let expires = Some(Millis(NOW.0 + 5));
    let head = |version| Head { version: Version(version), expires, ..plain_head() };
    put_with(engine, &space, "n", &head(2), b"value");
    let versions = [1, 2].map(|version| Past { head: head(version), ended: expires, ..past("n", version) });
    write(engine, |txn| versions.iter().try_for_each(|past| txn.keep_past(&space, past, Some(b"value"))));
    write(engine, |txn| txn.keep_all(&space));
    let [earlier, _] = versions;
    assert_eq!(read(engine, |view| view.past_of(&space, "n", None, 9)), [past("n", 2), earlier]);
}

/// A write that fails leaves histories, and how much of them is kept, as they were.
pub fn a_failed_write_leaves_histories(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    for version in 1..=3 {
        keep(engine, &space, "n", version);
    }
    let failed: Result<()> = engine.write(&mut |txn| {
        txn.set_history(&space, None)?;
        txn.keep_past(&space, &Past { deed: Deed::Deleted, ..past("n", 1) }, None)?;
        txn.keep_past(&space, &past("new", 4), Some(b"value"))?;
        txn.end_past(&space, "n", Version(2), NOW)?;
        txn.drop_past(&space, "n", Version(3))?;
        txn.trim_past(&space, "n", 2)?;
        txn.forget_past(&space, NOW, 9)?;
        txn.sweep_past(space.id, 1)?;
        Err(Error::new(ErrorKind::Conflict, "on second thoughts"))
    });
    assert_eq!(failed.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    assert_eq!(read(engine, |view| view.space(&space.namespace)), Some(space.clone()));
    let expected = [past("n", 3), past("n", 2), past("n", 1)];
    assert_eq!(read(engine, |view| view.past(&space, None, 9)), expected);
}

/// Names in histories are data, whatever they look like, and meet nobody else's.
pub fn names_in_histories_are_data(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    for (version, name) in (1..).zip(HOSTILE_NAMES) {
        keep(engine, &space, name, version);
    }
    for (version, name) in (1..).zip(HOSTILE_NAMES) {
        assert_eq!(versions(engine, &space, name), [version], "{name}");
        write(engine, |txn| txn.trim_past(&space, name, 0));
    }
    assert_eq!(all(engine, &space), []);
}

/// Histories are no entries: they are in no listing and count for nothing.
pub fn histories_leave_entries_alone(engine: &dyn Engine) {
    let space = keeping(engine, "a");
    keep(engine, &space, "n", 1);
    assert_eq!(names(engine, &space, &prontodb_core::engine::Range::default()), [""; 0]);
    assert_eq!(read(engine, |view| view.totals(&space, None)).keys, 0);
    assert_eq!(read(engine, |view| view.count()), 0);
    assert_eq!(read(engine, |view| view.revision()), Version(0));
}
