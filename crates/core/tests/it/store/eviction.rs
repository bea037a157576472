//! Limited caches: what leaves, when, and why.

use prontodb_core::engine::Usage;
use prontodb_core::store::{CacheSettings, CopyOptions, SetOptions};
use prontodb_core::{ErrorKind, Store};

use super::{Lab, address, namespace, ttl};

on_each_engine! {
    fifo_evicts_what_was_written_first
    writing_again_is_writing_last
    reads_are_no_use_under_fifo
    lru_evicts_what_was_not_used_for_longest
    every_way_of_reading_is_use
    showing_what_has_expired_is_no_use
    lru_reads_are_no_writes
    ttl_evicts_what_expires_soonest
    ttl_evicts_what_never_expires_last
    expired_entries_leave_before_live_ones
    the_entry_just_written_stays
    one_write_may_evict_many
    lowering_a_limit_evicts_at_once
    a_new_limit_evicts_what_was_written_first
    fifo_after_lru_goes_by_writing
    a_cache_without_limits_keeps_no_accounts
    an_entry_larger_than_the_cache_is_refused
    bytes_are_those_of_names_and_values
    an_evicted_entry_is_gone_within_its_transaction
    a_write_removes_some_of_what_has_expired
    a_cache_that_is_made_anew_counts_what_it_holds
}

fn fifo_evicts_what_was_written_first(lab: &Lab) {
    lab.cache("a.b", "60 max_items=3");
    for name in ["d", "a", "c", "b"] {
        lab.set(&format!("a.b.{name}"), name);
    }
    assert_eq!(lab.names("a.b"), ["a", "b", "c"]);
}

fn writing_again_is_writing_last(lab: &Lab) {
    lab.cache("a.b", "60 max_items=5");
    for name in ["set", "touched", "appended", "incremented", "left alone"] {
        lab.set(&format!("a.b.{name}"), "1");
    }
    lab.set("a.b.set", "2");
    lab.store.write(|writer| writer.touch(&address("a.b.touched"), None)).unwrap();
    lab.store.write(|writer| writer.append(&address("a.b.appended"), b"0")).unwrap();
    lab.store.increment(&address("a.b.incremented"), 1).unwrap();
    lab.set("a.b.new", "1");
    assert_eq!(lab.names("a.b"), ["appended", "incremented", "new", "set", "touched"]);
}

fn reads_are_no_use_under_fifo(lab: &Lab) {
    lab.cache("a.b", "60 max_items=2");
    lab.set("a.b.first", "1");
    lab.set("a.b.second", "2");
    lab.value("a.b.first");
    lab.set("a.b.third", "3");
    assert_eq!(lab.names("a.b"), ["second", "third"]);
}

fn lru_evicts_what_was_not_used_for_longest(lab: &Lab) {
    lab.cache("a.b", "60 max_items=3 policy=lru");
    for name in ["a", "b", "c"] {
        lab.set(&format!("a.b.{name}"), name);
    }
    lab.value("a.b.b");
    lab.value("a.b.a");
    lab.set("a.b.d", "d");
    assert_eq!(lab.names("a.b"), ["a", "b", "d"]);
    lab.set("a.b.e", "e");
    assert_eq!(lab.names("a.b"), ["a", "d", "e"]);
}

fn every_way_of_reading_is_use(lab: &Lab) {
    let read: [fn(&Store); 4] = [
        |store| drop(store.get(&address("a.b.old")).unwrap()),
        |store| drop(store.get_many(&[address("a.b.none"), address("a.b.old")]).unwrap()),
        |store| drop(store.get_first(&[address("a.b.none"), address("a.b.old")]).unwrap()),
        |store| drop(store.head(&address("a.b.old")).unwrap()),
    ];
    for (way, read) in read.iter().enumerate() {
        lab.cache("a.b", "60 max_items=2 policy=lru");
        lab.set("a.b.old", "1");
        lab.set("a.b.newer", "2");
        read(&lab.store);
        lab.set("a.b.newest", "3");
        assert_eq!(lab.names("a.b"), ["newest", "old"], "way {way}");
        lab.store.drop_cache(&namespace("a.b"), true).unwrap();
    }
}

/// And neither are listings, nor what `get_first` did not come to.
fn showing_what_has_expired_is_no_use(lab: &Lab) {
    lab.cache("a.b", "60 max_items=2 policy=lru");
    lab.set("a.b.old", "1");
    lab.set("a.b.newer", "2");
    lab.store.get_even_expired(&address("a.b.old")).unwrap();
    lab.store.get_first(&[address("a.b.newer"), address("a.b.old")]).unwrap();
    lab.names("a.b");
    lab.stored("a.b");
    lab.set("a.b.newest", "3");
    assert_eq!(lab.names("a.b"), ["newer", "newest"]);
}

fn lru_reads_are_no_writes(lab: &Lab) {
    lab.cache("a.b", "60 max_items=2 policy=lru");
    let version = lab.set("a.b.k", "1");
    let usage = lab.usage("a.b");
    lab.wait(5);
    lab.value("a.b.k");
    let head = lab.record("a.b.k").unwrap().head;
    assert_eq!((head.version, head.updated.0), (version, lab.now().0 - 5));
    assert_eq!(lab.store.revision().unwrap(), version);
    assert_eq!(lab.usage("a.b"), usage);
}

fn ttl_evicts_what_expires_soonest(lab: &Lab) {
    lab.cache("a.b", "60 max_items=2 policy=ttl");
    lab.set_for("a.b.soon", "1", 10);
    lab.set_for("a.b.late", "2", 30);
    lab.value("a.b.soon");
    lab.set_for("a.b.later", "3", 20);
    assert_eq!(lab.names("a.b"), ["late", "later"]);
}

fn ttl_evicts_what_never_expires_last(lab: &Lab) {
    lab.set("a.b.never", "1");
    lab.cache("a.b", "60 max_items=2 policy=ttl");
    lab.set("a.b.late", "2");
    lab.set("a.b.later", "3");
    assert_eq!(lab.names("a.b"), ["later", "never"]);
}

fn expired_entries_leave_before_live_ones(lab: &Lab) {
    for policy in ["fifo", "lru", "ttl"] {
        lab.cache("a.b", &format!("60 max_items=3 policy={policy}"));
        lab.set("a.b.live", "1");
        lab.set_for("a.b.expired", "2", 10);
        lab.set("a.b.live too", "3");
        lab.wait(10);
        lab.set("a.b.new", "4");
        assert_eq!(lab.stored("a.b"), ["live", "live too", "new"], "{policy}");
        lab.store.drop_cache(&namespace("a.b"), true).unwrap();
    }
}

fn the_entry_just_written_stays(lab: &Lab) {
    lab.cache("a.b", "60 max_items=2 policy=ttl");
    lab.set("a.b.a", "1");
    lab.set("a.b.b", "2");
    lab.set_for("a.b.short", "3", 1);
    assert_eq!(lab.names("a.b"), ["b", "short"]);
    lab.cache("a.b", "60 max_items=1");
    lab.set_for("a.b.shortest", "4", 1);
    assert_eq!(lab.names("a.b"), ["shortest"]);
}

fn one_write_may_evict_many(lab: &Lab) {
    lab.cache("a.b", "60 max_bytes=1000");
    lab.set_all("a.b", (0..200).map(|n| format!("{n:04}")), "");
    assert_eq!(lab.usage("a.b"), (200, 800));
    lab.set("a.b.large", [b'v'; 990]);
    assert_eq!((lab.names("a.b"), lab.usage("a.b")), (vec!["0199".to_owned(), "large".to_owned()], (2, 999)));
}

fn lowering_a_limit_evicts_at_once(lab: &Lab) {
    lab.cache("a.b", "60 max_items=1000");
    for n in 0..150 {
        lab.set(&format!("a.b.{n:03}"), "12");
    }
    lab.cache("a.b", "60 max_items=100");
    assert_eq!((lab.names("a.b").first().unwrap().as_str(), lab.usage("a.b")), ("050", (100, 500)));
    lab.store.set_cache(&namespace("a.b"), &CacheSettings::parse("max_bytes=12").unwrap()).unwrap();
    assert_eq!((lab.names("a.b"), lab.usage("a.b")), (vec!["148".to_owned(), "149".to_owned()], (2, 10)));
}

fn a_new_limit_evicts_what_was_written_first(lab: &Lab) {
    for name in ["c", "a", "b"] {
        lab.set(&format!("a.b.{name}"), name);
    }
    lab.cache("a.b", "60 max_items=2 policy=lru");
    assert_eq!((lab.names("a.b"), lab.usage("a.b")), (vec!["a".to_owned(), "b".to_owned()], (2, 4)));
    lab.set("a.b.d", "d");
    assert_eq!(lab.names("a.b"), ["b", "d"]);
}

/// What was read while reads counted does not stay longer afterwards.
fn fifo_after_lru_goes_by_writing(lab: &Lab) {
    lab.cache("a.b", "60 max_items=2 policy=lru");
    lab.set("a.b.first", "1");
    lab.set("a.b.second", "2");
    lab.value("a.b.first");
    lab.cache("a.b", "60 policy=fifo");
    lab.set("a.b.third", "3");
    assert_eq!(lab.names("a.b"), ["second", "third"]);
}

fn a_cache_without_limits_keeps_no_accounts(lab: &Lab) {
    lab.cache("a.b", "60 max_items=5");
    lab.set("a.b.k", "1");
    lab.cache("a.b", "60 max_items=0");
    lab.set("a.b.l", "1");
    assert_eq!(lab.space("a.b").cache.unwrap().usage, Usage::default());
    assert_eq!(lab.record("a.b.k").unwrap().head.rank, None);
}

fn an_entry_larger_than_the_cache_is_refused(lab: &Lab) {
    lab.cache("a.b", "60 max_bytes=10");
    lab.set("a.b.k", "12345");
    lab.set("a.c.large", "1234567890");
    let (revision, at) = (lab.store.revision().unwrap(), address("a.b.k"));
    let refused = [
        lab.store.set(&at, b"1234567890", &SetOptions::default()).map(drop),
        lab.store.write(|writer| writer.append(&at, b"67890").map(drop)),
        lab.store.write(|writer| writer.copy(&address("a.c.large"), &at, CopyOptions::default()).map(drop)),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Limit);
    }
    assert_eq!(lab.value("a.b.k").unwrap(), b"12345");
    assert_eq!((lab.usage("a.b"), lab.store.revision().unwrap()), ((1, 6), revision));
    lab.set("a.b.k", "123456789");
    assert_eq!(lab.usage("a.b"), (1, 10));
}

/// Not characters; a context belongs to the name.
fn bytes_are_those_of_names_and_values(lab: &Lab) {
    lab.cache("a.b", "60 max_bytes=100");
    lab.set("a.b.é", "ü");
    lab.set("a.b.k__x", [0, 255]);
    assert_eq!(lab.usage("a.b"), (2, 10));
    lab.set("a.b.k__x", "");
    lab.delete("a.b.é");
    assert_eq!(lab.usage("a.b"), (1, 4));
}

fn an_evicted_entry_is_gone_within_its_transaction(lab: &Lab) {
    lab.cache("a.b", "60 max_items=1");
    let (k, l) = (address("a.b.k"), address("a.b.l"));
    let seen = lab.store.write(|writer| {
        writer.set(&k, b"1", &SetOptions::default())?;
        writer.set(&l, b"1", &SetOptions::default())?;
        let touched = writer.touch(&k, Some(ttl(5)))?;
        Ok((touched, writer.increment(&k, 1)?))
    });
    assert_eq!(seen.unwrap(), (None, 1));
    assert_eq!((lab.names("a.b"), lab.usage("a.b")), (vec!["k".to_owned()], (1, 2)));
}

/// Not all of it, so that writes stay quick; what is left stays hidden, and counts until it is removed.
fn a_write_removes_some_of_what_has_expired(lab: &Lab) {
    lab.cache("a.b", "1s max_items=1000");
    lab.set_all("a.b", (0..100).map(|n| format!("{n:03}")), "12");
    lab.wait(1000);
    lab.set("a.b.k", "1");
    assert_eq!(lab.names("a.b"), ["k"]);
    assert_eq!((lab.stored("a.b").len(), lab.usage("a.b")), (69, (69, 68 * 5 + 2)));
    lab.set("a.b.099", "replaced");
    assert_eq!((lab.stored("a.b").len(), lab.usage("a.b")), (37, (37, 35 * 5 + 2 + 11)));
    lab.store.collect_garbage().unwrap();
    assert_eq!((lab.stored("a.b"), lab.usage("a.b")), (vec!["099".to_owned(), "k".to_owned()], (2, 13)));
}

fn a_cache_that_is_made_anew_counts_what_it_holds(lab: &Lab) {
    lab.cache("a.b", "60 max_items=3");
    lab.set("a.b.k", "1");
    lab.store.drop_cache(&namespace("a.b"), false).unwrap();
    lab.set("a.b.l", "12");
    lab.cache("a.b", "60 max_items=2");
    assert_eq!(lab.usage("a.b"), (2, 5));
    lab.set("a.b.m", "123");
    assert_eq!((lab.names("a.b"), lab.usage("a.b")), (vec!["l".to_owned(), "m".to_owned()], (2, 7)));
}
