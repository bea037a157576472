//! Metakeys: they belong to their key, go where it goes, and end when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prontodb_core::auth::{Identity, Role};
use prontodb_core::engine::memory::MemoryEngine;
use prontodb_core::engine::{Awaited, Engine, Fields, Mark, Txn, View, Wait};
use prontodb_core::store::{CopyOptions, LoadOptions, Presence, Query, SetOptions};
use prontodb_core::{ErrorKind, ManualClock, Metakeys, Result, Store, Version};

use super::{Lab, Shared, address, namespace};

on_each_engine! {
    setting_one_is_a_write_that_leaves_the_value_and_its_time
    removing_what_is_not_there_writes_nothing
    every_write_of_a_value_leaves_them
    they_end_with_their_entry
    they_go_along_with_copies_and_moves
    they_are_not_counted_by_caches
    listings_choose_by_them
    they_stay_when_values_are_encrypted
    they_are_for_those_who_may_write_and_read
    a_description_tells_how_a_value_lies
}

/// The owner of an entry, in whatever way it is read.
#[track_caller]
fn owner(lab: &Lab, at: &str) -> Option<String> {
    let of = |metakeys: Option<Metakeys>| metakeys.and_then(|all| all.get("owner").map(str::to_owned));
    let owner = of(lab.store.metakeys(&address(at)).unwrap().flatten());
    assert_eq!(of(lab.record(at).and_then(|record| record.head.metakeys)), owner, "{at}");
    owner
}

fn label(lab: &Lab, at: &str) -> Version {
    lab.store.set_metakey(&address(at), "owner", "alice").unwrap().expect("an entry")
}

fn setting_one_is_a_write_that_leaves_the_value_and_its_time(lab: &Lab) {
    lab.cache("a.cache", "60");
    for at in ["a.cache.k", "a.plain.k", "a.plain.large"] {
        let value = if at.ends_with("large") { "x".repeat(5000) } else { "v".to_owned() };
        lab.set(at, &value);
        let before = lab.record(at).unwrap();
        lab.wait(1000);
        let store = lab.another_store().with_writer(Some("ann".to_owned()));
        let version = store.set_metakey(&address(at), "owner", "alice").unwrap().unwrap();
        let after = lab.record(at).unwrap();
        assert_eq!((after.head.version, after.head.updated), (version, lab.now()), "{at}");
        assert!(version > before.head.version, "{at}");
        assert_eq!(after.head.writer.as_deref(), Some("ann"));
        assert_eq!(
            (after.head.created, after.head.expires, after.head.size),
            (before.head.created, before.head.expires, before.head.size),
            "{at}"
        );
        assert_eq!((after.value, owner(lab, at)), (before.value, Some("alice".to_owned())), "{at}");
    }
    assert_eq!(lab.store.set_metakey(&address("a.plain.nothing"), "owner", "alice").unwrap(), None);
    let error = lab.store.set_metakey(&address("a.plain.k"), "a=b", "v").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

fn removing_what_is_not_there_writes_nothing(lab: &Lab) {
    lab.set("a.b.k", "v");
    let remove = |names: &[&str]| lab.store.remove_metakeys(&address("a.b.k"), names).unwrap();
    let before = lab.store.revision().unwrap();
    assert_eq!(remove(&["owner"]), Some(vec!["owner".to_owned()]));
    assert_eq!(lab.store.remove_metakeys(&address("a.b.nothing"), &["owner"]).unwrap(), None);
    assert_eq!(lab.store.revision().unwrap(), before);
    label(lab, "a.b.k");
    assert_eq!(remove(&["team", "owner"]), Some(vec!["team".to_owned()]));
    assert_eq!(lab.record("a.b.k").unwrap().head.version.0, before.0 + 2);
    assert_eq!(lab.store.metakeys(&address("a.b.k")).unwrap(), Some(None));
}

fn every_write_of_a_value_leaves_them(lab: &Lab) {
    lab.cache("a.limited", "60 max_items=9");
    for space in ["a.b", "a.limited"] {
        let at = address(&format!("{space}.k"));
        let is_alice = || assert_eq!(owner(lab, &format!("{space}.k")).as_deref(), Some("alice"), "{space}");
        lab.store.set(&at, b"1", &SetOptions::default()).unwrap();
        label(lab, &format!("{space}.k"));
        lab.store.set(&at, b"2", &SetOptions::default()).unwrap();
        is_alice();
        let mut options = SetOptions { want_old: true, ..SetOptions::default() };
        options.condition.presence = Some(Presence::Present);
        lab.store.set(&at, b"3", &options).unwrap();
        is_alice();
        lab.store.increment(&at, 1).unwrap();
        is_alice();
        lab.store.write(|writer| writer.append(&at, b"0")).unwrap();
        is_alice();
        lab.store.write(|writer| writer.touch(&at, None)).unwrap();
        is_alice();
        lab.store.write(|writer| writer.copy(&at, &at, CopyOptions::default())).unwrap();
        is_alice();
        lab.store.set(&at, "x".repeat(5000).as_bytes(), &SetOptions::default()).unwrap();
        is_alice();
    }
}

fn they_end_with_their_entry(lab: &Lab) {
    lab.cache("a.cache", "60");
    lab.cache("a.limited", "60 max_items=9");
    lab.set("a.b.k", "v");
    label(lab, "a.b.k");
    lab.store.delete_matching(&namespace("a.b"), &Query::default()).unwrap();
    lab.set("a.b.k", "v");
    assert_eq!(owner(lab, "a.b.k"), None);
    for at in ["a.cache.k", "a.limited.k"] {
        lab.set(at, "v");
        label(lab, at);
    }
    lab.wait(60_000);
    for at in ["a.cache.k", "a.limited.k"] {
        assert_eq!(lab.store.set_metakey(&address(at), "owner", "bob").unwrap(), None, "{at}");
        lab.set(at, "v");
        assert_eq!(owner(lab, at), None, "{at}");
    }
}

fn they_go_along_with_copies_and_moves(lab: &Lab) {
    lab.cache("a.cache", "60");
    lab.set("a.b.k", "v");
    label(lab, "a.b.k");
    lab.set("a.b.there", "v");
    lab.store.set_metakey(&address("a.b.there"), "team", "red").unwrap();
    for (to, move_source) in [("a.cache.copy", false), ("a.b.there", false), ("a.c.moved", true)] {
        let options = CopyOptions { move_source, ..CopyOptions::default() };
        lab.store.write(|writer| writer.copy(&address("a.b.k"), &address(to), options)).unwrap();
        let metakeys = lab.store.metakeys(&address(to)).unwrap().flatten().unwrap();
        assert_eq!(metakeys.iter().collect::<Vec<_>>(), [("owner", "alice")], "{to}");
    }
    let target = Store::in_memory().with_clock(ManualClock::at(lab.now()));
    target.sync_from(&lab.store, LoadOptions::default()).unwrap();
    assert_eq!(
        target.metakeys(&address("a.c.moved")).unwrap(),
        lab.store.metakeys(&address("a.c.moved")).unwrap()
    );
    lab.store.set_metakey(&address("a.c.moved"), "owner", "bob").unwrap();
    let mut differences = 0;
    let count = &mut |_: &_, _: prontodb_core::store::Difference<'_>| {
        differences += 1;
        Ok(())
    };
    target.differences(&lab.store, count).unwrap();
    assert_eq!(differences, 1);
}

fn they_are_not_counted_by_caches(lab: &Lab) {
    lab.cache("a.cache", "60 max_bytes=6");
    lab.set("a.cache.k", "v");
    lab.set("a.cache.l", "v");
    lab.store.set_metakey(&address("a.cache.k"), "owner", &"v".repeat(1000)).unwrap();
    assert!(lab.record("a.cache.k").is_some() && lab.record("a.cache.l").is_some());
    // It counts as a write: what was written before it goes first.
    lab.set("a.cache.m", "v");
    lab.set("a.cache.n", "v");
    assert!(lab.record("a.cache.k").is_some() && lab.record("a.cache.l").is_none());
}

fn listings_choose_by_them(lab: &Lab) {
    for (at, owner, team) in [
        ("a.b.k", Some("alice"), None),
        ("a.b.l", Some("alice"), Some("red")),
        ("a.b.l__x", Some("bob"), Some("red")),
        ("a.b.m", None, None),
    ] {
        lab.set(at, "v");
        for (name, value) in [("owner", owner), ("team", team)] {
            if let Some(value) = value {
                lab.store.set_metakey(&address(at), name, value).unwrap();
            }
        }
    }
    let chosen = |selectors: &[&str]| Query {
        metakeys: selectors.iter().map(|text| text.parse().unwrap()).collect(),
        ..Query::default()
    };
    assert_eq!(lab.listed("a.b", &chosen(&["owner=alice"])), ["k", "l"]);
    assert_eq!(lab.listed("a.b", &chosen(&["owner"])), ["k", "l", "l__x"]);
    assert_eq!(lab.listed("a.b", &chosen(&["owner=alice", "team"])), ["l"]);
    assert_eq!(lab.listed("a.b", &chosen(&["owner=alic"])), [""; 0]);
    assert_eq!(lab.listed("a.b", &Query { limit: Some(1), reverse: true, ..chosen(&["team"]) }), ["l__x"]);
    for fields in [Fields::Names, Fields::Heads, Fields::Values, Fields::All] {
        let rows =
            |query: &Query| super::rows(&lab.store, &namespace("a.b"), &Query { fields, ..query.clone() });
        let all = rows(&Query::default());
        assert_eq!(rows(&chosen(&["owner=alice"])), all[..2], "{fields:?}");
    }
    assert_eq!(lab.store.delete_matching(&namespace("a.b"), &chosen(&["owner=alice"])).unwrap(), 2);
    assert_eq!(lab.listed("a.b", &Query::default()), ["l__x", "m"]);
}

fn they_stay_when_values_are_encrypted(lab: &Lab) {
    lab.set("a.b.k", "v");
    label(lab, "a.b.k");
    lab.store.encrypt(&namespace("a.b"), &super::coding::recipients()).unwrap();
    assert_eq!(owner(lab, "a.b.k").as_deref(), Some("alice"));
    let locked = lab
        .another_store()
        .with_unlock(Box::new(|_| Err(prontodb_core::Error::new(ErrorKind::Denied, "nobody has a key"))));
    locked.set_metakey(&address("a.b.k"), "owner", "bob").unwrap().unwrap();
    let query = Query { metakeys: vec!["owner=bob".parse().unwrap()], ..Query::default() };
    assert_eq!(super::rows(&locked, &namespace("a.b"), &query).len(), 1);
    assert_eq!(owner(lab, "a.b.k").as_deref(), Some("bob"));
    lab.store.decrypt(&namespace("a.b")).unwrap();
    assert_eq!(owner(lab, "a.b.k").as_deref(), Some("bob"));
}

fn they_are_for_those_who_may_write_and_read(lab: &Lab) {
    lab.set("a.b.k", "v");
    label(lab, "a.b.k");
    let at = address("a.b.k");
    let of = |role| lab.another_store().act_as(Identity::vouched_for("joe", role, Vec::new()));
    let denied = |result: Result<bool>| result.is_err_and(|e| e.kind() == ErrorKind::Denied);
    for (role, may_read, may_write) in
        [(None, false, false), (Some(Role::Read), true, false), (Some(Role::Write), true, true)]
    {
        let store = of(role);
        assert_eq!(denied(store.metakeys(&at).map(|_| true)), !may_read, "{role:?}");
        assert_eq!(denied(store.describe(&at).map(|_| true)), !may_read, "{role:?}");
        assert_eq!(denied(store.set_metakey(&at, "owner", "bob").map(|_| true)), !may_write, "{role:?}");
        assert_eq!(denied(store.remove_metakeys(&at, &["owner"]).map(|_| true)), !may_write, "{role:?}");
    }
    let events = lab.store.audit_log("", 99).unwrap();
    let done = events.iter().filter(|(_, event)| event.done && event.action == "write").count();
    assert_eq!(done, 2);
}

fn a_description_tells_how_a_value_lies(lab: &Lab) {
    lab.cache("a.cache", "60");
    lab.set("a.cache.k", "words ".repeat(1000));
    let info = lab.store.describe(&address("a.cache.k")).unwrap().unwrap();
    assert!(info.head.coding.is_compressed() && info.head.size == 6000);
    assert_eq!(info.space.namespace, namespace("a.cache"));
    assert!(lab.store.describe(&address("a.cache.l")).unwrap().is_none());
    assert!(lab.store.describe(&address("a.nothing.l")).unwrap().is_none());
    lab.wait(60_000);
    assert!(lab.store.describe(&address("a.cache.k")).unwrap().is_none());
}

/// An engine on which somebody else gives an entry to bob right before the first write.
struct Meddled {
    engine: Arc<MemoryEngine>,
    is_done: AtomicBool,
}

impl Engine for Meddled {
    fn read(&self, body: &mut dyn FnMut(&dyn View) -> Result<()>) -> Result<()> {
        self.engine.read(body)
    }

    fn write(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            let other = Store::new(Shared(Arc::clone(&self.engine)));
            other.set_metakey(&address("a.b.k"), "owner", "bob")?;
        }
        self.engine.write(body)
    }

    fn mark(&self) -> Result<Mark> {
        self.engine.mark()
    }

    fn await_change(&self, seen: Mark, wait: Wait<'_>) -> Result<Awaited> {
        self.engine.await_change(seen, wait)
    }
}

#[test]
fn what_is_no_longer_as_wanted_is_not_removed() {
    let lab = Lab::in_memory();
    for at in ["a.b.k", "a.b.l"] {
        lab.set(at, "v");
        label(&lab, at);
    }
    let super::Place::Memory(engine) = &lab.place else { panic!("a lab in memory") };
    let store = Store::new(Meddled { engine: Arc::clone(engine), is_done: AtomicBool::new(false) });
    let query = Query { metakeys: vec!["owner=alice".parse().unwrap()], ..Query::default() };
    assert_eq!(store.delete_matching(&namespace("a.b"), &query).unwrap(), 1);
    assert_eq!(lab.names("a.b"), ["k"]);
}
