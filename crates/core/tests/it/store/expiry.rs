//! Time: when entries expire, and who sees it.

use prontodb_core::engine::Fields;
use prontodb_core::store::{CacheSettings, Condition, CopyOptions, Presence, Query, Removed, SetOptions};
use prontodb_core::{ErrorKind, Millis};

use super::{Lab, START, address, namespace, ttl};

on_each_engine! {
    entries_are_there_until_the_last_millisecond
    everybody_sees_an_entry_expire_at_once
    each_entry_has_its_own_time
    writing_again_restarts_the_clock
    touching_restarts_the_clock
    changing_a_value_leaves_the_clock
    an_expired_entry_is_absent_for_every_write
    an_expired_entry_is_no_source_and_no_obstacle
    the_longest_life_is_kept
    a_time_to_live_outside_of_a_cache_is_refused
    what_was_there_before_the_cache_stays
    new_settings_leave_the_time_of_what_is_there
    a_dropped_cache_keeps_what_is_live_for_good
    a_discarded_cache_keeps_nothing
    only_caches_are_changed_and_dropped
    reads_leave_what_has_expired
    reads_remove_what_has_expired_where_that_is_asked
    a_read_removes_what_it_meets_whatever_else_has_expired
    listings_remove_what_has_expired_where_that_is_asked
    showing_what_has_expired_removes_nothing
    garbage_is_collected_in_every_cache
    garbage_is_collected_however_much_there_is
    what_is_created_is_listed_though_empty
}

/// Stores `k` for ten milliseconds, and `live` for a minute.
fn two_lifetimes(lab: &Lab, settings: &str) {
    lab.cache("a.b", &format!("60 {settings}"));
    lab.set("a.b.live", "1");
    lab.set_for("a.b.k", "1", 10);
}

fn entries_are_there_until_the_last_millisecond(lab: &Lab) {
    lab.cache("a.b", "10ms");
    lab.set("a.b.k", "1");
    assert_eq!(lab.expiry("a.b.k"), Some(Millis(START.0 + 10)));
    lab.wait(9);
    assert!(lab.record("a.b.k").is_some());
    lab.wait(1);
    assert_eq!(lab.record("a.b.k"), None);
}

fn everybody_sees_an_entry_expire_at_once(lab: &Lab) {
    two_lifetimes(lab, "");
    let k = [address("a.b.k")];
    let shows = |query| lab.listed("a.b", &query).contains(&"k".to_owned());
    let sights = || {
        let store = &lab.store;
        [
            store.get(&k[0]).unwrap().is_some(),
            store.get_many(&k).unwrap()[0].is_some(),
            store.get_first(&k).unwrap().is_some(),
            store.head(&k[0]).unwrap().is_some(),
            shows(Query::default()),
            shows(Query { fields: Fields::Heads, ..Query::default() }),
            shows(Query { fields: Fields::Values, ..Query::default() }),
            shows(Query { fields: Fields::All, prefix: "k".to_owned(), ..Query::default() }),
            shows(Query { reverse: true, ..Query::default() }),
            store.describe_namespaces(None).unwrap()[0].totals.keys == 2,
        ]
    };
    lab.wait(9);
    assert_eq!(sights(), [true; 10]);
    lab.wait(1);
    assert_eq!(sights(), [false; 10]);
}

fn each_entry_has_its_own_time(lab: &Lab) {
    lab.cache("a.b", "20ms");
    lab.set_for("a.b.short", "1", 10);
    lab.set("a.b.default", "1");
    lab.set_for("a.b.long", "1", 30);
    for (wait, names) in
        [(10, &["default", "long"][..]), (9, &["default", "long"]), (1, &["long"]), (9, &["long"]), (1, &[])]
    {
        lab.wait(wait);
        assert_eq!(lab.names("a.b"), names);
    }
}

fn writing_again_restarts_the_clock(lab: &Lab) {
    lab.cache("a.b", "10ms");
    lab.set("a.b.k", "1");
    lab.wait(9);
    lab.set("a.b.k", "1");
    lab.wait(9);
    assert!(lab.record("a.b.k").is_some());
    lab.set_for("a.b.k", "1", 5);
    lab.wait(5);
    assert_eq!(lab.record("a.b.k"), None);
}

fn touching_restarts_the_clock(lab: &Lab) {
    lab.cache("a.b", "10ms");
    lab.set("a.b.k", "1");
    lab.wait(9);
    let touch = |ttl| lab.store.write(|writer| writer.touch(&address("a.b.k"), ttl)).unwrap();
    assert_eq!(touch(None), Some(lab.store.revision().unwrap()));
    assert_eq!(lab.expiry("a.b.k"), Some(Millis(lab.now().0 + 10)));
    touch(Some(ttl(3)));
    assert_eq!(lab.expiry("a.b.k"), Some(Millis(lab.now().0 + 3)));
    lab.wait(3);
    assert_eq!(touch(None), None);
}

fn changing_a_value_leaves_the_clock(lab: &Lab) {
    lab.cache("a.b", "10ms");
    lab.set("a.b.k", "1");
    lab.wait(4);
    lab.store.increment(&address("a.b.k"), 1).unwrap();
    lab.store.write(|writer| writer.append(&address("a.b.k"), b"0")).unwrap();
    assert_eq!(lab.expiry("a.b.k"), Some(Millis(START.0 + 10)));
    lab.store.increment(&address("a.b.new"), 1).unwrap();
    assert_eq!(lab.expiry("a.b.new"), Some(Millis(lab.now().0 + 10)));
}

/// Lets entries expire behind so many others that the next writes do not come to remove them.
fn expire(lab: &Lab, settings: &str, names: &[&str]) {
    lab.cache("a.b", &format!("10ms {settings}"));
    lab.set_all("a.b", (0..300).map(|n| format!("other {n}")), "1");
    lab.wait(1);
    lab.set_all("a.b", names, "41");
    lab.wait(10);
}

fn an_expired_entry_is_absent_for_every_write(lab: &Lab) {
    expire(lab, "max_items=9999", &["set", "incremented", "appended", "touched", "deleted"]);
    let revision = lab.store.revision().unwrap();
    assert!(!lab.delete("a.b.deleted"));
    let touched = lab.store.write(|writer| writer.touch(&address("a.b.touched"), None));
    assert_eq!(touched.unwrap(), None);
    assert_eq!(lab.store.revision().unwrap(), revision);
    let absent = Condition { presence: Some(Presence::Absent), ..Condition::default() };
    let options = SetOptions { condition: absent, want_old: true, ..SetOptions::default() };
    let written = lab.store.set(&address("a.b.set"), b"new", &options).unwrap();
    assert_eq!(written.old, None);
    assert_eq!(lab.record("a.b.set").unwrap().head.created, lab.now());
    assert_eq!(lab.store.increment(&address("a.b.incremented"), 1).unwrap(), 1);
    lab.store.write(|writer| writer.append(&address("a.b.appended"), b"tail")).unwrap();
    assert_eq!(lab.value("a.b.appended").unwrap(), b"tail");
    assert_eq!(lab.names("a.b"), ["appended", "incremented", "set"]);
    let stored = lab.stored("a.b");
    assert!(stored.contains(&"touched".to_owned()) && !stored.contains(&"deleted".to_owned()));
    assert_eq!(lab.usage("a.b"), lab.held("a.b"));
}

fn an_expired_entry_is_no_source_and_no_obstacle(lab: &Lab) {
    expire(lab, "max_bytes=99999", &["source", "target"]);
    let options = CopyOptions { if_absent: true, move_source: true };
    let copy = |from: &str, to: &str| {
        lab.store.write(|writer| writer.copy(&address(from), &address(to), options)).unwrap()
    };
    assert_eq!(copy("a.b.source", "a.c.k"), None);
    lab.set("a.c.k", "a longer value");
    assert!(copy("a.c.k", "a.b.target").is_some());
    assert_eq!(lab.names("a.b"), ["target"]);
    assert!(lab.stored("a.b").contains(&"source".to_owned()));
    assert_eq!(lab.usage("a.b"), lab.held("a.b"));
}

fn the_longest_life_is_kept(lab: &Lab) {
    lab.cache("a.b", "36600days");
    lab.set("a.b.k", "1");
    lab.wait(36_600 * 24 * 60 * 60 * 1000 - 1);
    assert!(lab.record("a.b.k").is_some());
    lab.wait(1);
    assert_eq!(lab.record("a.b.k"), None);
}

fn a_time_to_live_outside_of_a_cache_is_refused(lab: &Lab) {
    lab.set("a.b.k", "1");
    let revision = lab.store.revision().unwrap();
    let options = SetOptions { ttl: Some(ttl(10)), ..SetOptions::default() };
    for refused in [
        lab.store.set(&address("a.b.k"), b"2", &options).map(drop),
        lab.store.set(&address("a.new.k"), b"2", &options).map(drop),
        lab.store.write(|writer| writer.touch(&address("a.b.k"), options.ttl).map(drop)),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoTtl);
    }
    assert_eq!(lab.value("a.b.k").unwrap(), b"1");
    assert_eq!(lab.store.revision().unwrap(), revision);
    assert_eq!(lab.store.namespaces(None).unwrap().len(), 1);
}

fn what_was_there_before_the_cache_stays(lab: &Lab) {
    lab.set("a.b.old", "1");
    lab.set("a.b.written again", "1");
    lab.cache("a.b", "10ms");
    lab.set("a.b.written again", "2");
    assert_eq!(lab.expiry("a.b.old"), None);
    lab.wait(1_000_000);
    assert_eq!(lab.names("a.b"), ["old"]);
}

fn new_settings_leave_the_time_of_what_is_there(lab: &Lab) {
    lab.cache("a.b", "10ms");
    lab.set("a.b.k", "1");
    lab.store.set_cache(&namespace("a.b"), &CacheSettings::parse("timeout=99ms").unwrap()).unwrap();
    lab.set("a.b.l", "1");
    assert_eq!(lab.expiry("a.b.k"), Some(Millis(START.0 + 10)));
    assert_eq!(lab.expiry("a.b.l"), Some(Millis(START.0 + 99)));
}

fn a_dropped_cache_keeps_what_is_live_for_good(lab: &Lab) {
    two_lifetimes(lab, "");
    lab.wait(10);
    lab.store.drop_cache(&namespace("a.b"), false).unwrap();
    assert_eq!(lab.space("a.b").cache, None);
    assert_eq!(lab.stored("a.b"), ["live"]);
    lab.wait(1_000_000);
    assert_eq!(lab.expiry("a.b.live"), None);
    lab.set("a.b.k", "1");
    assert_eq!(lab.expiry("a.b.k"), None);
}

fn a_discarded_cache_keeps_nothing(lab: &Lab) {
    lab.set("a.b.old", "1");
    two_lifetimes(lab, "max_items=9");
    lab.wait(10);
    lab.store.drop_cache(&namespace("a.b"), true).unwrap();
    assert_eq!(lab.space("a.b").cache, None);
    assert_eq!(lab.stored("a.b"), [""; 0]);
}

fn only_caches_are_changed_and_dropped(lab: &Lab) {
    lab.set("a.b.k", "1");
    let revision = lab.store.revision().unwrap();
    let settings = CacheSettings::parse("timeout=60").unwrap();
    for name in ["a.b", "a.nowhere"] {
        let set = lab.store.set_cache(&namespace(name), &settings);
        assert_eq!(set.unwrap_err().kind(), ErrorKind::Invalid);
        let dropped = lab.store.drop_cache(&namespace(name), true);
        assert_eq!(dropped.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(lab.names("a.b"), ["k"]);
    assert_eq!(lab.store.revision().unwrap(), revision);
}

fn reads_leave_what_has_expired(lab: &Lab) {
    two_lifetimes(lab, "");
    lab.wait(10);
    lab.record("a.b.k");
    lab.names("a.b");
    assert_eq!(lab.stored("a.b"), ["k", "live"]);
}

fn reads_remove_what_has_expired_where_that_is_asked(lab: &Lab) {
    let (k, other) = (address("a.b.k"), address("a.b.live"));
    let read: [&dyn Fn(); 4] = [
        &|| drop(lab.store.get(&k).unwrap()),
        &|| drop(lab.store.get_many(&[other.clone(), k.clone()]).unwrap()),
        &|| drop(lab.store.get_first(&[k.clone(), other.clone()]).unwrap()),
        &|| drop(lab.store.head(&k).unwrap()),
    ];
    for (way, read) in read.iter().enumerate() {
        two_lifetimes(lab, "evict_on_read=1 max_items=9");
        let revision = lab.store.revision().unwrap();
        lab.wait(9);
        read();
        assert_eq!(lab.stored("a.b"), ["k", "live"], "way {way}, too early");
        lab.wait(1);
        read();
        assert_eq!((lab.stored("a.b"), lab.usage("a.b")), (vec!["live".to_owned()], (1, 5)), "way {way}");
        assert_eq!(lab.store.revision().unwrap(), revision);
    }
}

fn a_read_removes_what_it_meets_whatever_else_has_expired(lab: &Lab) {
    expire(lab, "max_items=9999 evict_on_read=1", &["k"]);
    assert_eq!(lab.record("a.b.k"), None);
    let stored = lab.stored("a.b");
    assert!(!stored.is_empty() && !stored.contains(&"k".to_owned()));
    assert_eq!(lab.usage("a.b"), lab.held("a.b"));
}

fn listings_remove_what_has_expired_where_that_is_asked(lab: &Lab) {
    two_lifetimes(lab, "evict_on_read=1 max_items=9");
    lab.wait(10);
    assert_eq!(lab.names("a.b"), ["live"]);
    assert_eq!((lab.stored("a.b"), lab.usage("a.b")), (vec!["live".to_owned()], (1, 5)));
}

fn showing_what_has_expired_removes_nothing(lab: &Lab) {
    two_lifetimes(lab, "evict_on_read=1");
    lab.wait(10);
    for _ in 0..2 {
        assert_eq!(lab.stored("a.b"), ["k", "live"]);
        assert_eq!(lab.store.get_even_expired(&address("a.b.k")).unwrap().unwrap().value, b"1");
    }
}

fn garbage_is_collected_in_every_cache(lab: &Lab) {
    for name in ["a.one", "a.two", "b.three"] {
        lab.cache(name, "10ms");
        lab.set(&format!("{name}.k"), "1");
    }
    lab.set("a.one.l", "1");
    lab.set("a.standing.k", "1");
    lab.set_for("b.three.k", "1", 11);
    assert_eq!(lab.store.collect_garbage().unwrap(), Removed::default());
    lab.wait(10);
    let revision = lab.store.revision().unwrap();
    assert_eq!(
        lab.store.collect_garbage().unwrap(),
        Removed { entries: 3, caches: 2, leftovers: 0, versions: 0 }
    );
    assert_eq!(lab.store.revision().unwrap(), revision);
    let stored = ["a.one", "a.two", "b.three", "a.standing"].map(|name| lab.stored(name).len());
    assert_eq!(stored, [0, 0, 1, 1]);
}

/// More than one transaction removes. Dropping the cache is one, whatever it holds.
fn garbage_is_collected_however_much_there_is(lab: &Lab) {
    let fill = || lab.set_all("a.b", (0..10_500).map(|n| n.to_string()), "1");
    lab.cache("a.b", "10ms");
    fill();
    lab.wait(10);
    assert_eq!(
        lab.store.collect_garbage().unwrap(),
        Removed { entries: 10_500, caches: 1, leftovers: 0, versions: 0 }
    );
    assert_eq!(lab.stored("a.b"), [""; 0]);
    for (wait, discard) in [(10, false), (0, true)] {
        lab.cache("a.b", "10ms");
        fill();
        lab.wait(wait);
        lab.store.drop_cache(&namespace("a.b"), discard).unwrap();
        assert_eq!(lab.stored("a.b"), [""; 0]);
    }
}

fn what_is_created_is_listed_though_empty(lab: &Lab) {
    lab.cache("b.empty", "60");
    lab.set("a.k.k", "1");
    lab.delete("a.k.k");
    let spaces = lab.store.namespaces(None).unwrap();
    assert!(spaces.iter().map(|space| &space.namespace).eq([&namespace("a.k"), &namespace("b.empty")]));
    assert_eq!(lab.store.projects().unwrap(), ["a", "b"]);
    assert_eq!(lab.store.namespaces(Some("b")).unwrap().len(), 1);
}
