//! Many changes at once: they come out as if each had been made by itself.

use std::fs;

use prontodb_core::auth::{Identity, Role};
use prontodb_core::store::{
    Change, Condition, Life, Load, LoadOptions, Loaded, OnConflict, Place, SetOptions,
};
use prontodb_core::{EntryName, ErrorKind, Metakeys, Millis, Namespace, Result, Store};
use prontodb_testkit::properties;
use proptest::prelude::*;
use proptest::sample::select;
use tempfile::TempDir;

use super::watching::{events, watch};
use super::{Lab, address, everything, namespace, ttl};

on_each_engine! {
    changes_come_out_as_if_made_one_by_one
    what_a_namespace_cannot_hold_stops_all
    entries_that_are_there_are_replaced_kept_or_stop_all
    repeated_entries_are_refused_where_that_is_asked_for
    each_namespace_is_a_transaction_unless_all_are_one
    kept_times_come_back
    a_preview_writes_nothing_and_tells_what_would_be
    a_deletion_makes_no_namespace
    whoever_watches_or_keeps_account_is_told_of_each_entry
}

fn name(text: &str) -> EntryName {
    EntryName::parse(text).unwrap()
}

fn at(line: u64) -> Place {
    Place { line, column: 0 }
}

fn set(value: &str) -> Change<'_> {
    Change::Set { value: value.as_bytes(), life: Life::Default }
}

fn set_for(value: &str, millis: u64) -> Change<'_> {
    Change::Set { value: value.as_bytes(), life: Life::Ttl(ttl(millis)) }
}

/// Loads changes whose lines are their places from 1.
fn load(store: &Store, options: LoadOptions, changes: &[(&str, &str, Change<'_>)]) -> Result<Loaded> {
    collected(options, changes)?.commit(store)
}

fn collected(options: LoadOptions, changes: &[(&str, &str, Change<'_>)]) -> Result<Load> {
    let mut load = Load::new(options);
    for (line, (space, key, change)) in (1..).zip(changes) {
        load.push(at(line), &namespace(space), &name(key), change.clone())?;
    }
    assert_eq!(load.len(), changes.len() as u64);
    Ok(load)
}

const SPACES: [&str; 4] = ["a.plain", "a.cache", "a.small", "new.space"];

/// A change that is made up: which namespace, which key, what.
#[derive(Clone, Debug)]
struct Step {
    space: usize,
    key: u8,
    deletes: bool,
    value: Vec<u8>,
    ttl: Option<u64>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = |length| prop::collection::vec(any::<u8>(), length);
    let value = prop_oneof![9 => bytes(0..20_usize), 1 => bytes(900..2000)];
    let step = (0..SPACES.len(), 0..12_u8, prop::bool::weighted(0.2), value, prop::option::of(1..50_u64));
    let step = step.prop_map(|(space, key, deletes, value, ttl)| Step { space, key, deletes, value, ttl });
    prop::collection::vec(step, 0..60)
}

impl Step {
    fn key(&self) -> String {
        format!("a-rather-long-key__{}", self.key)
    }

    fn ttl(&self) -> Option<u64> {
        self.ttl.filter(|_| self.space == 1 || self.space == 2)
    }

    fn change(&self) -> Change<'_> {
        let life = self.ttl().map_or(Life::Default, |millis| Life::Ttl(ttl(millis)));
        if self.deletes { Change::Delete } else { Change::Set { value: &self.value, life } }
    }

    fn make(&self, store: &Store) -> Result<()> {
        let address = address(&format!("{}.{}", SPACES[self.space], self.key()));
        store.write(|writer| {
            if self.deletes {
                return writer.delete(&address, &Condition::default()).map(drop);
            }
            let options = SetOptions { ttl: self.ttl().map(ttl), ..SetOptions::default() };
            writer.set(&address, &self.value, &options).map(drop)
        })
    }
}

/// An entry without its version: a load makes one where many changes make many.
type Unversioned = (String, Vec<u8>, Millis, Millis, Option<Millis>);

/// All that must agree.
fn state(lab: &Lab) -> Vec<Unversioned> {
    let rows = |space: &&str| {
        let rows = everything(&lab.store, &namespace(space)).into_iter();
        rows.map(|row| {
            let head = row.head.unwrap();
            (format!("{space} {}", row.name), row.value, head.created, head.updated, head.expires)
        })
        .collect::<Vec<_>>()
    };
    SPACES.iter().flat_map(rows).collect()
}

fn changes_come_out_as_if_made_one_by_one(lab: &Lab) {
    let is_in_memory = matches!(lab.place, super::Place::Memory(_));
    let fresh = move || {
        let lab = if is_in_memory { Lab::in_memory() } else { Lab::on_sqlite() };
        lab.cache("a.cache", "10");
        lab.cache("a.small", "10 max_items=5");
        lab
    };
    let strategy = (steps(), steps(), select(&[1, 100, 1000, usize::MAX][..]), any::<bool>());
    properties::check(40, &strategy, |(before, after, memory_bytes, atomic)| {
        let (one_by_one, loaded) = (fresh(), fresh());
        let folder = TempDir::new().unwrap();
        for lab in [&one_by_one, &loaded] {
            before.iter().try_for_each(|step| step.make(&lab.store)).unwrap();
            lab.wait(20);
        }
        after.iter().try_for_each(|step| step.make(&one_by_one.store)).unwrap();
        let spill_folder = Some(folder.path().to_owned());
        let options = LoadOptions { memory_bytes, atomic, spill_folder, ..LoadOptions::default() };
        let mut load = Load::new(options);
        for (line, step) in (1..).zip(&after) {
            load.push(at(line), &namespace(SPACES[step.space]), &name(&step.key()), step.change()).unwrap();
        }
        load.commit(&loaded.store).unwrap();
        prop_assert_eq!(state(&loaded), state(&one_by_one));
        prop_assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "files left behind");
        Ok(())
    });
}

fn what_a_namespace_cannot_hold_stops_all(lab: &Lab) {
    lab.cache("a.small", "10 max_bytes=10");
    for (change, space, kind) in [
        (set_for("v", 5), "a.plain", ErrorKind::NoTtl),
        (set_for("v", 5), "not.there", ErrorKind::NoTtl),
        (set("more than ten"), "a.small", ErrorKind::Limit),
    ] {
        let changes = [("a.first", "k", set("v")), (space, "k", set("v")), (space, "l", change)];
        let error = load(&lab.store, LoadOptions::default(), &changes).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().starts_with("line 3: "), "{error}");
        assert!(lab.names("a.first").is_empty());
    }
}

#[test]
fn a_value_that_is_too_large_is_refused_as_it_comes() {
    let value = vec![0; usize::try_from(super::MAX_VALUE_BYTES).unwrap() + 1];
    let max_value_bytes = super::MAX_VALUE_BYTES;
    let mut load = Load::new(LoadOptions { max_value_bytes, ..LoadOptions::default() });
    let place = Place { line: 7, column: 3 };
    let change = Change::Set { value: &value, life: Life::Default };
    let error = load.push(place, &namespace("a.b"), &name("k"), change).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().starts_with("line 7, column 3: the value is 2097153 bytes long"), "{error}");
}

fn entries_that_are_there_are_replaced_kept_or_stop_all(lab: &Lab) {
    let changes = [("a.b", "new", set("2")), ("a.b", "old", set("2"))];
    for (on_conflict, old, loaded) in [
        (OnConflict::Replace, "2", Some(Loaded { set: 2, ..Loaded::default() })),
        (OnConflict::Skip, "1", Some(Loaded { set: 1, skipped: 1, ..Loaded::default() })),
        (OnConflict::Fail, "1", None),
    ] {
        lab.set("a.b.old", "1");
        lab.delete("a.b.new");
        let done = load(&lab.store, LoadOptions { on_conflict, ..LoadOptions::default() }, &changes);
        assert_eq!(lab.value("a.b.old").unwrap(), old.as_bytes());
        assert_eq!(lab.value("a.b.new").is_some(), loaded.is_some());
        match (done, loaded) {
            (Ok(done), Some(loaded)) => assert_eq!(done, loaded),
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::Conflict);
                assert!(error.to_string().starts_with("line 2: the key `old` is there already"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

fn repeated_entries_are_refused_where_that_is_asked_for(lab: &Lab) {
    let folder = TempDir::new().unwrap();
    let changes =
        [("a.b", "k", set("1")), ("c.d", "k", set("2")), ("a.b", "l", set("3")), ("a.b", "k", set("4"))];
    for memory_bytes in [1, usize::MAX] {
        let spill_folder = Some(folder.path().to_owned());
        let options = LoadOptions { unique: true, memory_bytes, spill_folder, ..LoadOptions::default() };
        let error = load(&lab.store, options.clone(), &changes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.to_string(), "the key `k` is there twice, in lines 1 and 4");
        assert!(lab.store.namespaces(None).unwrap().is_empty());
        assert!(collected(options.clone(), &changes).unwrap().preview(&lab.store).is_err());
        // One namespace alone, where they are found while it is written; and one that is written in another order.
        let changes = [("a.b", "k", set("1")), ("a.b", "j", set("3")), ("a.b", "k", set("4"))];
        let error = load(&lab.store, options.clone(), &changes).unwrap_err();
        assert_eq!(error.to_string(), "the key `k` is there twice, in lines 1 and 3");
        assert!(lab.store.namespaces(None).unwrap().is_empty());
        let other = Lab::in_memory();
        other.cache("a.b", "60 max_items=9");
        load(&other.store, options, &changes).unwrap_err();
        assert!(other.names("a.b").is_empty());
    }
    load(&lab.store, LoadOptions::default(), &changes).unwrap();
    assert_eq!(lab.value("a.b.k").unwrap(), b"4");
}

fn each_namespace_is_a_transaction_unless_all_are_one(lab: &Lab) {
    let changes = [("z.z", "k", set("1")), ("a.a", "k", set("2")), ("z.z", "l", set("3"))];
    load(&lab.store, LoadOptions::default(), &changes).unwrap();
    let version = |name: &str| lab.record(name).unwrap().head.version.0;
    assert_eq!(["z.z.k", "z.z.l", "a.a.k"].map(version), [1, 1, 2]);
    load(&lab.store, LoadOptions { atomic: true, ..LoadOptions::default() }, &changes).unwrap();
    assert_eq!(["z.z.k", "z.z.l", "a.a.k"].map(version), [3, 3, 3]);
}

fn kept_times_come_back(lab: &Lab) {
    lab.cache("a.cache", "60");
    let kept = |expires: Option<i64>| Life::Kept {
        created: Millis(5),
        updated: Millis(7),
        expires: expires.map(|millis| Millis(lab.now().0 + millis)),
        writer: Some("somebody".to_owned()),
        metakeys: Metakeys::with(None, "owner", "alice").ok(),
    };
    let set = |life| Change::Set { value: b"v", life };
    let changes = [
        ("a.cache", "ended", set(kept(Some(0)))),
        ("a.cache", "lasting", set(kept(Some(90_000)))),
        ("a.cache", "without", set(kept(None))),
        ("a.plain", "without", set(kept(None))),
    ];
    let loaded = load(&lab.store, LoadOptions::default(), &changes).unwrap();
    assert_eq!(loaded, Loaded { set: 3, skipped: 1, ..Loaded::default() });
    let now = lab.now().0;
    for (name, expires) in
        [("a.cache.lasting", Some(now + 90_000)), ("a.cache.without", None), ("a.plain.without", None)]
    {
        let head = lab.record(name).unwrap().head;
        assert_eq!((head.created, head.updated), (Millis(5), Millis(7)), "{name}");
        assert_eq!(head.metakeys.unwrap().get("owner"), Some("alice"), "{name}");
        assert_eq!(
            (head.expires.map(|at| at.0), head.writer.as_deref()),
            (expires, Some("somebody")),
            "{name}"
        );
    }
    assert_eq!(lab.names("a.cache"), ["lasting", "without"]);
    let error =
        load(&lab.store, LoadOptions::default(), &[("a.plain", "k", set(kept(Some(1))))]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoTtl);
}

fn a_preview_writes_nothing_and_tells_what_would_be(lab: &Lab) {
    for key in ["old", "gone"] {
        lab.set(&format!("a.b.{key}"), "1");
    }
    let before = lab.store.revision().unwrap();
    let changes = [
        ("a.b", "old", set("2")),
        ("a.b", "gone", Change::Delete),
        ("a.b", "gone", Change::Delete),
        ("a.b", "gone", set("3")),
        ("c.d", "new", set("4")),
        ("c.d", "new", set("5")),
    ];
    let preview = |on_conflict| {
        let options = LoadOptions { on_conflict, ..LoadOptions::default() };
        collected(options, &changes).unwrap().preview(&lab.store)
    };
    let loaded = preview(OnConflict::Replace).unwrap();
    assert_eq!(loaded, Loaded { set: 4, replaced: 2, deleted: 1, skipped: 0 });
    let loaded = preview(OnConflict::Skip).unwrap();
    assert_eq!(loaded, Loaded { set: 2, replaced: 0, deleted: 1, skipped: 2 });
    assert_eq!(preview(OnConflict::Fail).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(lab.store.revision().unwrap(), before);
    assert_eq!(lab.names("a.b"), ["gone", "old"]);
}

fn a_deletion_makes_no_namespace(lab: &Lab) {
    let loaded = load(&lab.store, LoadOptions::default(), &[("not.there", "k", Change::Delete)]).unwrap();
    assert_eq!(loaded, Loaded::default());
    assert_eq!(lab.store.namespaces(None).unwrap(), []);
    assert_eq!(lab.store.revision().unwrap().0, 0);
}

fn whoever_watches_or_keeps_account_is_told_of_each_entry(lab: &Lab) {
    let keys = ["a", "b", "c", "d"];
    let changes: Vec<_> = keys.map(|key| ("a.b", key, set("value"))).into();
    let joe = lab.another_store().act_as(Identity::vouched_for("joe", Some(Role::Write), Vec::new()));
    load(&joe, LoadOptions::default(), &changes).unwrap();
    let log = lab.store.audit_log("", 99).unwrap();
    let writes: Vec<_> = log.iter().filter(|(_, event)| event.action == "write").collect();
    assert!(matches!(writes.as_slice(), [(_, event)] if event.target == "a.b 4"), "{writes:?}");

    let mut watch = watch(&lab.store, None);
    assert!(events(&mut watch, &lab.store).is_empty());
    load(&lab.store, LoadOptions::default(), &changes).unwrap();
    let told: Vec<_> = events(&mut watch, &lab.store).into_iter().filter_map(|event| event.name).collect();
    assert_eq!(told, keys);
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let spill_folder = Some("/not/there".into());
    let mut load = Load::new(LoadOptions { memory_bytes: 1, spill_folder, ..LoadOptions::default() });
    let space = Namespace::new("a", "b").unwrap();
    let error = load.push(at(1), &space, &name("k"), set("v")).unwrap_err();
    assert!(error.to_string().starts_with("cannot make a temporary file"), "{error}");
}

#[test]
fn a_writer_that_no_command_records_is_refused() {
    for writer in ["x".repeat(1025), "x".repeat(70_000), "a\tb".to_owned()] {
        let (created, updated, writer) = (Millis(1), Millis(1), Some(writer));
        let life = Life::Kept { created, updated, expires: None, writer, metakeys: None };
        let mut load = Load::new(LoadOptions::default());
        let change = Change::Set { value: b"v", life };
        let error = load.push(at(4), &namespace("a.b"), &name("k"), change).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with("line 4: the writer is no name"), "{error}");
    }
}
