//! Copies and renames: what goes along, and what stays.

use prontodb_core::store::CopyOptions;
use prontodb_core::{ErrorKind, Millis, Result, Version};

use super::{Lab, START, address, everything, namespace};

on_each_engine! {
    a_copy_is_an_entry_of_its_own
    a_renamed_entry_keeps_its_age
    nothing_is_copied_from_what_is_missing
    nothing_is_copied_from_what_has_expired
    a_target_that_must_be_absent_is_kept
    a_copy_onto_itself_changes_nothing
    the_time_that_is_left_goes_along_into_a_cache
    what_has_no_time_gets_that_of_the_cache
    the_time_is_dropped_outside_of_caches
    an_expired_target_is_absent
    accounts_follow_what_is_moved
    a_rename_within_a_full_cache_evicts_nothing
    a_copy_may_evict_its_source
    a_refused_rename_keeps_its_source
    a_refused_rename_keeps_its_source_though_the_transaction_goes_on
}

const COPY: CopyOptions = CopyOptions { move_source: false, if_absent: false };
const MOVE: CopyOptions = CopyOptions { move_source: true, if_absent: false };

fn copy(lab: &Lab, from: &str, to: &str, options: CopyOptions) -> Result<Option<Version>> {
    lab.store.write(|writer| writer.copy(&address(from), &address(to), options))
}

fn a_copy_is_an_entry_of_its_own(lab: &Lab) {
    let first = lab.set("a.b.k", [0, 255]);
    lab.wait(5);
    let version = copy(lab, "a.b.k", "c.d.l__x", COPY).unwrap().unwrap();
    let (source, target) = (lab.record("a.b.k").unwrap(), lab.record("c.d.l__x").unwrap());
    assert_eq!((source.head.version, source.head.updated), (first, START));
    assert_eq!(target.value, [0, 255]);
    assert!(version > first);
    assert_eq!((target.head.version, target.head.created), (version, lab.now()));
    lab.set("a.b.k", "changed");
    assert_eq!(lab.value("c.d.l__x").unwrap(), [0, 255]);
}

fn a_renamed_entry_keeps_its_age(lab: &Lab) {
    lab.set("a.b.k", "1");
    lab.wait(5);
    let version = copy(lab, "a.b.k", "a.b.l", MOVE).unwrap().unwrap();
    let head = lab.record("a.b.l").unwrap().head;
    assert_eq!((head.version, head.created, head.updated), (version, START, lab.now()));
    assert_eq!(lab.names("a.b"), ["l"]);
    assert_eq!(lab.store.revision().unwrap(), version);
}

fn nothing_is_copied_from_what_is_missing(lab: &Lab) {
    lab.set("a.b.target", "1");
    let revision = lab.store.revision().unwrap();
    for from in ["a.b.k", "nowhere.at.all"] {
        for to in ["a.b.target", "new.space.k"] {
            assert_eq!(copy(lab, from, to, MOVE).unwrap(), None);
        }
    }
    assert_eq!(lab.value("a.b.target").unwrap(), b"1");
    assert_eq!(lab.store.revision().unwrap(), revision);
    assert_eq!(lab.store.projects().unwrap(), ["a"]);
}

fn nothing_is_copied_from_what_has_expired(lab: &Lab) {
    lab.cache("a.b", "10ms");
    lab.set("a.b.k", "1");
    lab.wait(10);
    assert_eq!(copy(lab, "a.b.k", "a.c.k", COPY).unwrap(), None);
    assert_eq!(lab.record("a.c.k"), None);
}

fn a_target_that_must_be_absent_is_kept(lab: &Lab) {
    lab.set("a.b.k", "1");
    lab.set("a.b.l", "2");
    for move_source in [false, true] {
        let options = CopyOptions { move_source, if_absent: true };
        assert_eq!(copy(lab, "a.b.k", "a.b.l", options).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!((lab.value("a.b.k").unwrap(), lab.value("a.b.l").unwrap()), (b"1".into(), b"2".into()));
    }
    assert!(copy(lab, "a.b.k", "a.b.m", CopyOptions { if_absent: true, ..COPY }).unwrap().is_some());
}

fn a_copy_onto_itself_changes_nothing(lab: &Lab) {
    lab.cache("a.b", "60 max_items=1 max_bytes=5");
    let version = lab.set("a.b.k", "1");
    let before = everything(&lab.store, &namespace("a.b"));
    lab.wait(5);
    for options in [COPY, MOVE] {
        assert_eq!(copy(lab, "a.b.k", "a.b.k", options).unwrap(), Some(version));
    }
    assert_eq!(everything(&lab.store, &namespace("a.b")), before);
    assert_eq!((lab.usage("a.b"), lab.store.revision().unwrap()), ((1, 2), version));
}

fn the_time_that_is_left_goes_along_into_a_cache(lab: &Lab) {
    lab.cache("a.b", "10ms");
    lab.cache("a.c", "99ms");
    lab.set("a.b.k", "1");
    lab.wait(4);
    copy(lab, "a.b.k", "a.c.copied", COPY).unwrap();
    copy(lab, "a.b.k", "a.b.renamed", MOVE).unwrap();
    for name in ["a.c.copied", "a.b.renamed"] {
        assert_eq!(lab.expiry(name), Some(Millis(START.0 + 10)));
    }
}

fn what_has_no_time_gets_that_of_the_cache(lab: &Lab) {
    lab.cache("a.c", "10ms");
    lab.set("a.b.k", "1");
    lab.wait(4);
    copy(lab, "a.b.k", "a.c.k", MOVE).unwrap();
    assert_eq!(lab.expiry("a.c.k"), Some(Millis(START.0 + 14)));
}

fn the_time_is_dropped_outside_of_caches(lab: &Lab) {
    lab.cache("a.b", "10ms");
    lab.set("a.b.k", "1");
    copy(lab, "a.b.k", "a.c.k", MOVE).unwrap();
    lab.wait(1_000_000);
    assert_eq!(lab.expiry("a.c.k"), None);
}

fn an_expired_target_is_absent(lab: &Lab) {
    lab.cache("a.b", "10ms max_items=9");
    lab.set("a.b.expired", "a longer value");
    lab.wait(10);
    lab.set("a.c.k", "1");
    assert!(copy(lab, "a.c.k", "a.b.expired", CopyOptions { if_absent: true, ..COPY }).unwrap().is_some());
    assert_eq!(lab.usage("a.b"), (1, 8));
}

fn accounts_follow_what_is_moved(lab: &Lab) {
    lab.cache("a.b", "60 max_items=9");
    lab.cache("a.c", "60 max_bytes=99");
    lab.set("a.b.k", "1");
    lab.set("a.b.large", "12345");
    lab.set("a.c.k", "1234");
    for (from, to, options, usage) in [
        ("a.b.large", "a.c.k", COPY, [(2, 12), (1, 6)]),
        ("a.b.large", "a.c.large", MOVE, [(1, 2), (2, 16)]),
        ("a.c.large", "a.b.k", MOVE, [(1, 6), (1, 6)]),
        ("a.b.k", "a.b.longer name", MOVE, [(1, 16), (1, 6)]),
        ("a.b.longer name", "a.standing.k", MOVE, [(0, 0), (1, 6)]),
        ("a.standing.k", "a.b.k", COPY, [(1, 6), (1, 6)]),
    ] {
        copy(lab, from, to, options).unwrap().unwrap();
        assert_eq!([lab.usage("a.b"), lab.usage("a.c")], usage, "{from} to {to}");
    }
}

fn a_rename_within_a_full_cache_evicts_nothing(lab: &Lab) {
    lab.cache("a.b", "60 max_items=2 max_bytes=4");
    lab.set("a.b.k", "1");
    lab.set("a.b.l", "1");
    copy(lab, "a.b.l", "a.b.m", MOVE).unwrap();
    assert_eq!((lab.names("a.b"), lab.usage("a.b")), (vec!["k".to_owned(), "m".to_owned()], (2, 4)));
}

fn a_copy_may_evict_its_source(lab: &Lab) {
    lab.cache("a.b", "60 max_items=1");
    lab.set("a.b.k", "1");
    assert!(copy(lab, "a.b.k", "a.b.l", COPY).unwrap().is_some());
    assert_eq!((lab.names("a.b"), lab.usage("a.b")), (vec!["l".to_owned()], (1, 2)));
}

/// Stores an entry that the cache `a.small` has no room for.
fn too_large_to_move(lab: &Lab) -> (&'static str, &'static str) {
    lab.set("a.b.k", "a value of some length");
    lab.cache("a.small", "60 max_bytes=5");
    ("a.b.k", "a.small.k")
}

fn a_refused_rename_keeps_its_source(lab: &Lab) {
    let (from, to) = too_large_to_move(lab);
    assert_eq!(copy(lab, from, to, MOVE).unwrap_err().kind(), ErrorKind::Limit);
    assert!(lab.record(from).is_some());
}

/// Each change checks all it needs before it writes anything.
fn a_refused_rename_keeps_its_source_though_the_transaction_goes_on(lab: &Lab) {
    let (from, to) = too_large_to_move(lab);
    let refused = lab.store.write(|writer| Ok(writer.copy(&address(from), &address(to), MOVE)));
    assert_eq!(refused.unwrap().unwrap_err().kind(), ErrorKind::Limit);
    assert!(lab.record(from).is_some());
}
