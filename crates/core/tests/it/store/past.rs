//! What was: the versions of entries that a namespace keeps, who wrote which line, and how changes are taken back.

use std::collections::BTreeMap;

use prontodb_core::auth::{Grant, Identity, Pattern, Role};
use prontodb_core::store::{
    Change, Condition, CopyOptions, HistoryChanged, HistorySettings, Life, Load, LoadOptions, LogQuery,
    Logged, Place, PushOptions, Reason, Removed, Scope, SetOptions, Table, Undone,
};
use prontodb_core::{
    Address, Deed, Delimiter, EntryName, ErrorKind, Listing, Metakeys, Millis, Past, Record, Result, Store,
    Version,
};
use prontodb_testkit::properties;
use proptest::prelude::*;
use proptest::sample::select;

use super::coding::{connect, recipients};
use super::{Lab, START, address, namespace, ttl};

on_each_engine! {
    changes_are_kept_with_who_made_them_when_and_why
    what_a_history_finds_is_kept_when_it_goes
    only_so_many_versions_of_an_entry_are_kept
    versions_go_so_long_after_their_end
    metakeys_and_touches_make_versions
    a_move_ends_one_name_and_begins_another
    what_leaves_a_full_cache_is_kept
    expiry_is_no_change_and_ends_a_version
    a_cache_that_is_none_any_more_keeps_its_versions
    every_way_to_write_is_kept
    a_transaction_makes_one_version_of_an_entry
    what_comes_and_goes_in_a_transaction_is_no_change
    a_failed_write_is_in_no_history
    a_reason_is_not_lost
    a_history_that_ends_is_gone_and_the_next_one_is_new
    a_dropped_namespace_takes_its_history_along
    a_namespace_that_moves_keeps_its_history
    fewer_versions_and_a_shorter_time_hold_at_once
    settings_that_make_no_sense_are_refused
    the_log_is_that_of_all_that_may_be_read
    the_log_goes_on_behind_any_change
    lines_are_of_the_version_that_brought_them
    an_undo_brings_back_what_was_before
    an_undo_brings_nothing_back_that_has_expired
    what_is_not_kept_cannot_be_undone
    the_last_changes_of_somebody_are_undone_together
    what_others_have_changed_since_stops_an_undo
    evictions_are_undone_with_what_they_were_part_of
    a_dry_undo_changes_nothing
    histories_are_encrypted_with_their_namespace
    roles_decide_about_histories_too
}

const KEPT: &str = "a.b";

/// Has the namespace `a.b` keep history.
fn keep(lab: &Lab, settings: &str) -> HistoryChanged {
    lab.store.set_history(&namespace(KEPT), &HistorySettings::parse(settings).unwrap()).unwrap()
}

/// A store on the same data for somebody.
fn by(lab: &Lab, writer: &str) -> Store {
    lab.another_store().with_writer(Some(writer.to_owned()))
}

fn set(store: &Store, at: &str, value: &str) -> Version {
    store.set(&address(at), value.as_bytes(), &SetOptions::default()).unwrap().version
}

fn versions(lab: &Lab, at: &str) -> Vec<Past> {
    lab.store.versions(&address(at), None, usize::MAX).unwrap()
}

fn numbers(lab: &Lab, at: &str) -> Vec<u64> {
    versions(lab, at).iter().map(|past| past.head.version.0).collect()
}

/// What was done to an entry, the last first.
fn deeds(lab: &Lab, at: &str) -> Vec<Deed> {
    versions(lab, at).iter().map(|past| past.deed).collect()
}

/// The value of a version.
fn then(lab: &Lab, at: &str, version: Version) -> Option<Vec<u8>> {
    lab.store.get_version(&address(at), version).unwrap().map(|record| record.value)
}

fn reason(text: &str) -> Option<Reason> {
    Some(Reason::new(text, true).unwrap())
}

/// All contexts of what a listing covers.
fn scope(listing: Listing) -> Scope {
    Scope { listing, default_project: "default".to_owned(), context: None }
}

fn within(place: &str, prefix: &str) -> Listing {
    Listing::Within { namespace: namespace(place), prefix: prefix.to_owned() }
}

/// All of the log, as deed, address and version.
fn log(store: &Store, by: Option<&str>) -> Vec<String> {
    log_of(store, &LogQuery { scope: &scope(Listing::All), by })
}

fn log_of(store: &Store, query: &LogQuery<'_>) -> Vec<String> {
    let shown = |Logged { address, past }| {
        format!(
            "{} {} {}",
            past.deed.name(),
            Address::display(&address, Delimiter::default()),
            past.head.version
        )
    };
    store.log(query, None, usize::MAX).unwrap().into_iter().map(shown).collect()
}

fn undo(lab: &Lab, at: &str) -> Result<Undone> {
    lab.store.undo(&address(at), false)
}

fn undo_last(store: &Store, by: &str, count: usize) -> Result<Vec<Undone>> {
    store.undo_last(&scope(Listing::All), by, count, false)
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, says: &str) {
    let error = result.unwrap_err();
    assert!(error.kind() == kind && error.to_string().contains(says), "{:?}: {error}", error.kind());
}

fn changes_are_kept_with_who_made_them_when_and_why(lab: &Lab) {
    assert!(keep(lab, "history=9").is_new);
    let first = set(&by(lab, "ann").with_reason(reason("to begin")), "a.b.k", "1");
    lab.wait(5);
    let second = set(&by(lab, "bob"), "a.b.k", "2");
    lab.wait(5);
    let bob = by(lab, "bob").with_reason(reason("no more"));
    assert!(bob.write(|writer| writer.delete(&address("a.b.k"), &Condition::default())).unwrap());
    let [deletion, change, creation] = versions(lab, "a.b.k").try_into().unwrap();
    assert_eq!((creation.deed, change.deed, deletion.deed), (Deed::Created, Deed::Set, Deed::Deleted));
    let told = |past: &Past| (past.head.updated.0 - START.0, past.head.writer.clone().unwrap());
    assert_eq!(told(&creation), (0, "ann".to_owned()));
    assert_eq!(told(&change), (5, "bob".to_owned()));
    assert_eq!(told(&deletion), (10, "bob".to_owned()));
    let reasons = [&creation, &change, &deletion].map(|past| past.reason.as_deref());
    assert_eq!(reasons, [Some("to begin"), None, Some("no more")]);
    let ends = [&creation, &change, &deletion].map(|past| past.ended.unwrap().0 - START.0);
    assert_eq!(ends, [5, 10, 10]);
    assert_eq!((creation.head.version, change.head.version), (first, second));
    assert_eq!((creation.head.created, change.head.created, change.head.size), (START, START, 1));
    assert_eq!(then(lab, "a.b.k", first).as_deref(), Some(&b"1"[..]));
    assert_eq!(then(lab, "a.b.k", second).as_deref(), Some(&b"2"[..]));
    assert_eq!(then(lab, "a.b.k", deletion.head.version), None);
    for version in [0, first.0 + 100, u64::MAX] {
        assert_eq!(then(lab, "a.b.k", Version(version)), None);
    }
}

fn what_a_history_finds_is_kept_when_it_goes(lab: &Lab) {
    let large = "v".repeat(5000);
    let before = set(&by(lab, "ann"), "a.b.k", &large);
    lab.store.set_metakey(&address("a.b.k"), "owner", "ann").unwrap().unwrap();
    let touched = lab.record("a.b.k").unwrap();
    lab.set("a.b.gone", "x");
    assert!(!keep(lab, "history=9").is_new);
    assert_eq!(deeds(lab, "a.b.k"), [Deed::Found]);
    assert_eq!(
        lab.store.get_version(&address("a.b.k"), touched.head.version).unwrap(),
        Some(touched.clone())
    );
    lab.wait(7);
    lab.set("a.b.k", "new");
    lab.delete("a.b.gone");
    assert_eq!(deeds(lab, "a.b.k"), [Deed::Set, Deed::Found]);
    assert_eq!(deeds(lab, "a.b.gone"), [Deed::Deleted, Deed::Found]);
    let found = versions(lab, "a.b.k").pop().unwrap();
    assert_eq!(found.ended, Some(Millis(START.0 + 7)));
    assert_eq!(lab.store.get_version(&address("a.b.k"), touched.head.version).unwrap(), Some(touched));
    // What was before that nobody has kept.
    assert_eq!(then(lab, "a.b.k", before), None);
}

fn only_so_many_versions_of_an_entry_are_kept(lab: &Lab) {
    keep(lab, "history=3");
    let all: Vec<_> = (0..6).map(|n| lab.set("a.b.k", n.to_string())).collect();
    lab.set("a.b.other", "1");
    assert_eq!(numbers(lab, "a.b.k"), [all[5].0, all[4].0, all[3].0]);
    lab.delete("a.b.k");
    assert_eq!(deeds(lab, "a.b.k"), [Deed::Deleted, Deed::Set, Deed::Set]);
    assert_eq!(numbers(lab, "a.b.other").len(), 1);
    keep(lab, "history=1");
    lab.set("a.b.k", "back");
    assert_eq!(deeds(lab, "a.b.k"), [Deed::Created]);
}

fn versions_go_so_long_after_their_end(lab: &Lab) {
    keep(lab, "history=9 history_age=10s");
    lab.set("a.b.stays", "1");
    lab.set("a.b.k", "1");
    lab.wait(1000);
    lab.set("a.b.k", "2");
    lab.set("a.b.gone", "1");
    lab.delete("a.b.gone");
    lab.wait(9999);
    lab.set("a.b.k", "3");
    assert_eq!((numbers(lab, "a.b.k").len(), numbers(lab, "a.b.gone").len()), (3, 2));
    lab.wait(1);
    // A write removes some of what is too old, of whatever entry.
    lab.set("a.b.stays", "2");
    assert_eq!((numbers(lab, "a.b.k").len(), numbers(lab, "a.b.gone").len()), (2, 0));
    lab.wait(1_000_000);
    let removed = lab.store.collect_garbage().unwrap();
    assert_eq!(removed, Removed { versions: 2, ..Removed::default() });
    assert_eq!((deeds(lab, "a.b.k"), deeds(lab, "a.b.stays")), (vec![Deed::Set], vec![Deed::Set]));
    keep(lab, "history_age=0");
    lab.set("a.b.k", "4");
    lab.wait(i64::from(i32::MAX) * 1000);
    lab.set("a.b.other", "5");
    assert_eq!(numbers(lab, "a.b.k").len(), 2);
}

fn metakeys_and_touches_make_versions(lab: &Lab) {
    keep(lab, "history=9");
    let first = lab.set("a.b.k", "value");
    let second = lab.store.set_metakey(&address("a.b.k"), "owner", "ann").unwrap().unwrap();
    let third = lab.store.write(|writer| writer.touch(&address("a.b.k"), None)).unwrap().unwrap();
    lab.store.remove_metakeys(&address("a.b.k"), &["owner"]).unwrap().unwrap();
    assert_eq!(deeds(lab, "a.b.k"), [Deed::Touched, Deed::Touched, Deed::Touched, Deed::Created]);
    let record = |version| lab.store.get_version(&address("a.b.k"), version).unwrap().unwrap();
    for (version, owner) in [(first, None), (second, Some("ann")), (third, Some("ann"))] {
        let Record { head, value } = record(version);
        assert_eq!(value, b"value");
        assert_eq!(head.metakeys.as_ref().and_then(|all: &Metakeys| all.get("owner")), owner);
    }
}

fn a_move_ends_one_name_and_begins_another(lab: &Lab) {
    keep(lab, "history=9");
    lab.set("a.b.old", "1");
    lab.set("a.b.there", "2");
    let options = CopyOptions { move_source: true, ..CopyOptions::default() };
    let moved = |from: &str, to: &str| {
        lab.store.write(|writer| writer.copy(&address(from), &address(to), options)).unwrap().unwrap()
    };
    let version = moved("a.b.old", "a.b.new");
    assert_eq!(deeds(lab, "a.b.old"), [Deed::Deleted, Deed::Created]);
    assert_eq!((deeds(lab, "a.b.new"), numbers(lab, "a.b.new")), (vec![Deed::Created], vec![version.0]));
    moved("a.b.new", "a.b.there");
    assert_eq!(deeds(lab, "a.b.there"), [Deed::Set, Deed::Created]);
    // To where nothing is kept, and from there.
    moved("a.b.there", "a.c.away");
    assert_eq!(deeds(lab, "a.b.there")[0], Deed::Deleted);
    moved("a.c.away", "a.b.there");
    assert_eq!(deeds(lab, "a.b.there")[..2], [Deed::Created, Deed::Deleted]);
}

fn what_leaves_a_full_cache_is_kept(lab: &Lab) {
    lab.cache(KEPT, "60 max_items=2");
    keep(lab, "history=9");
    lab.set("a.b.1", "first");
    lab.set("a.b.2", "second");
    let ann = by(lab, "ann").with_reason(reason("for the third"));
    let third = set(&ann, "a.b.3", "third");
    assert_eq!(deeds(lab, "a.b.1"), [Deed::Evicted, Deed::Created]);
    let evicted = &versions(lab, "a.b.1")[0];
    assert_eq!((evicted.head.version, evicted.head.writer.as_deref()), (third, Some("ann")));
    assert_eq!(evicted.reason, None, "it is why the third came");
    assert_eq!(undo(lab, "a.b.1").unwrap().like, Some(versions(lab, "a.b.1")[2].head.version));
    assert_eq!(lab.names(KEPT), ["1", "3"]);
    lab.cache(KEPT, "60 max_items=1");
    assert_eq!(deeds(lab, "a.b.3"), [Deed::Evicted, Deed::Created]);
    lab.store.drop_cache(&namespace(KEPT), true).unwrap();
    assert_eq!(deeds(lab, "a.b.1")[0], Deed::Deleted);
}

fn expiry_is_no_change_and_ends_a_version(lab: &Lab) {
    lab.cache(KEPT, "60");
    keep(lab, "history=9;history_age=60s");
    lab.set_for("a.b.k", "1", 1000);
    let expires = Some(Millis(START.0 + 1000));
    assert_eq!(versions(lab, "a.b.k")[0].ended, expires);
    lab.wait(1000);
    // The write removes it.
    lab.set("a.b.other", "1");
    assert_eq!(deeds(lab, "a.b.k"), [Deed::Created]);
    assert_eq!(lab.value("a.b.k"), None);
    lab.wait(1000);
    lab.set_for("a.b.k", "2", 500);
    assert_eq!(deeds(lab, "a.b.k"), [Deed::Created, Deed::Created]);
    assert_eq!(versions(lab, "a.b.k")[1].ended, expires);
    // Replaced in time, a version ends with that.
    lab.wait(100);
    lab.set_for("a.b.k", "3", 500);
    assert_eq!(versions(lab, "a.b.k")[1].ended, Some(Millis(START.0 + 2100)));
    lab.wait(70_000);
    assert_eq!(lab.store.collect_garbage().unwrap().versions, 3);
}

fn a_cache_that_is_none_any_more_keeps_its_versions(lab: &Lab) {
    lab.cache(KEPT, "60");
    keep(lab, "history=9;history_age=60s");
    lab.set("a.b.k", "1");
    lab.set("a.b.k", "2");
    lab.store.drop_cache(&namespace(KEPT), false).unwrap();
    lab.wait(10_000_000);
    assert_eq!(lab.store.collect_garbage().unwrap().versions, 1);
    let [present] = versions(lab, "a.b.k").try_into().unwrap();
    assert_eq!((present.head.expires, present.ended, present.deed), (None, None, Deed::Set));
    assert!(lab.store.check(false).unwrap().problems.is_empty());
}

fn every_way_to_write_is_kept(lab: &Lab) {
    keep(lab, "history=99");
    let at = address("a.b.k");
    lab.store.increment(&at, 5).unwrap();
    lab.store.write(|writer| writer.append(&at, b"0")).unwrap();
    let seen = lab.record("a.b.k").map(|record| record.head.version);
    lab.store.write(|writer| writer.replace_if(&at, seen, b"51")).unwrap();
    let condition = Condition { value: Some(b"51".to_vec()), ..Condition::default() };
    lab.store.set(&at, b"52", &SetOptions { condition, ..SetOptions::default() }).unwrap();
    let values: Vec<_> =
        versions(lab, "a.b.k").iter().map(|past| then(lab, "a.b.k", past.head.version).unwrap()).collect();
    assert_eq!(values, [&b"52"[..], b"51", b"50", b"5"]);

    let (past, importer) = (Millis(5), by(lab, "importer").with_reason(reason("import 7")));
    let life = Life::Kept {
        created: past,
        updated: past,
        expires: None,
        writer: Some("ann".to_owned()),
        metakeys: None,
    };
    let mut load = Load::new(LoadOptions::default());
    let name = |text: &str| EntryName::parse(text).unwrap();
    let value = b"loaded";
    load.push(Place::default(), &namespace(KEPT), &name("k"), Change::Delete).unwrap();
    load.push(Place::default(), &namespace(KEPT), &name("l"), Change::Set { value, life: Life::Default })
        .unwrap();
    load.push(Place::default(), &namespace(KEPT), &name("m"), Change::Set { value, life }).unwrap();
    load.commit(&importer).unwrap();
    assert_eq!((deeds(lab, "a.b.k")[0], deeds(lab, "a.b.l")), (Deed::Deleted, vec![Deed::Created]));
    // The history knows who brought it when, the entry who wrote it.
    let [loaded] = versions(lab, "a.b.m").try_into().unwrap();
    assert_eq!((loaded.head.writer.as_deref(), loaded.head.updated), (Some("importer"), START));
    assert_eq!(loaded.reason.as_deref(), Some("import 7"));
    assert_eq!(lab.record("a.b.m").unwrap().head.writer.as_deref(), Some("ann"));

    let id = lab.store.push(&namespace(KEPT), b"item", &PushOptions::default()).unwrap();
    let claimed = lab.store.claim(&namespace(KEPT), ttl(1000)).unwrap().unwrap();
    lab.store.ack(&namespace(KEPT), claimed.fence).unwrap();
    assert_eq!(deeds(lab, &format!("a.b.{id}")), [Deed::Deleted, Deed::Created]);

    let other = Lab::in_memory();
    other.set("a.b.k", "synced");
    lab.store.sync_from(&other.store, LoadOptions::default()).unwrap();
    assert_eq!((deeds(lab, "a.b.k")[0], deeds(lab, "a.b.l")[0]), (Deed::Created, Deed::Deleted));
}

fn a_transaction_makes_one_version_of_an_entry(lab: &Lab) {
    keep(lab, "history=9");
    lab.set("a.b.old", "1");
    let (new, old, brief) = (address("a.b.new"), address("a.b.old"), address("a.b.brief"));
    let done = lab.store.write(|writer| {
        writer.set(&new, b"a", &SetOptions::default())?;
        writer.set(&new, b"b", &SetOptions::default())?;
        writer.set_metakey(&new, "owner", "ann")?;
        writer.delete(&old, &Condition::default())?;
        writer.set(&old, b"2", &SetOptions::default())?;
        writer.set(&brief, b"", &SetOptions::default())?;
        writer.delete(&brief, &Condition::default()).map(drop)
    });
    done.unwrap();
    assert_eq!(deeds(lab, "a.b.new"), [Deed::Created]);
    assert_eq!(deeds(lab, "a.b.old"), [Deed::Set, Deed::Created]);
    assert_eq!(deeds(lab, "a.b.brief"), []);
    let record = lab.record("a.b.new").unwrap();
    assert_eq!(lab.store.get_version(&new, record.head.version).unwrap(), Some(record));
    undo(lab, "a.b.old").unwrap();
    undo(lab, "a.b.new").unwrap();
    assert_eq!((lab.value("a.b.old").as_deref(), lab.value("a.b.new")), (Some(&b"1"[..]), None));
    fails(undo(lab, "a.b.brief"), ErrorKind::Missing, "no change of a.b.brief");
}

fn what_comes_and_goes_in_a_transaction_is_no_change(lab: &Lab) {
    keep(lab, "history=9");
    lab.set("a.b.a", "1");
    let (a, b, new, gone) = (address("a.b.a"), address("a.b.b"), address("a.b.new"), address("a.b.gone"));
    lab.set("a.b.gone", "1");
    lab.store.delete(std::slice::from_ref(&gone), &Condition::default(), false).unwrap();
    let done = lab.store.write(|writer| {
        let moved = CopyOptions { move_source: true, ..CopyOptions::default() };
        writer.copy(&a, &b, moved)?;
        writer.copy(&b, &a, moved)?;
        for entry in [&new, &gone] {
            writer.set(entry, b"1", &SetOptions::default())?;
            writer.delete(entry, &Condition::default())?;
        }
        writer.set(&new, b"2", &SetOptions::default())
    });
    done.unwrap();
    assert_eq!(deeds(lab, "a.b.a"), [Deed::Set, Deed::Created]);
    assert_eq!(deeds(lab, "a.b.b"), []);
    assert_eq!(deeds(lab, "a.b.new"), [Deed::Created]);
    assert_eq!(deeds(lab, "a.b.gone"), [Deed::Deleted, Deed::Created]);
    for entry in ["a.b.a", "a.b.new", "a.b.gone"] {
        undo(lab, entry).unwrap();
    }
    assert_eq!(lab.value("a.b.a").as_deref(), Some(&b"1"[..]));
    assert_eq!((lab.value("a.b.new"), lab.value("a.b.gone").as_deref()), (None, Some(&b"1"[..])));
    assert!(lab.store.check(false).unwrap().problems.is_empty());
}

fn a_failed_write_is_in_no_history(lab: &Lab) {
    keep(lab, "history=9");
    lab.set("a.b.k", "1");
    let failed = lab.store.write(|writer| {
        writer.set(&address("a.b.k"), b"2", &SetOptions::default())?;
        let condition = Condition { version: Some(Version(0)), ..Condition::default() };
        writer.delete(&address("a.b.k"), &condition)
    });
    fails(failed, ErrorKind::Conflict, "nothing was written");
    let [only] = versions(lab, "a.b.k").try_into().unwrap();
    assert_eq!((only.deed, only.ended), (Deed::Created, None));
}

fn a_reason_is_not_lost(lab: &Lab) {
    lab.set("a.c.k", "1");
    keep(lab, "history=9");
    lab.set("a.b.k", "1");
    let strict = lab.another_store().with_reason(reason("why"));
    let at = address("a.c.k");
    let kinds: [Result<()>; 6] = [
        strict.set(&at, b"2", &SetOptions::default()).map(drop),
        strict.set(&address("a.new.k"), b"2", &SetOptions::default()).map(drop),
        strict.increment(&at, 1).map(drop),
        strict.write(|writer| writer.touch(&at, None)).map(drop),
        strict.write(|writer| writer.delete(&at, &Condition::default())).map(drop),
        strict.write(|writer| writer.copy(&address("a.b.k"), &at, CopyOptions::default())).map(drop),
    ];
    let revision = lab.store.revision().unwrap();
    for refused in kinds {
        fails(refused, ErrorKind::Invalid, "keeps no history, and the reason would be lost");
    }
    assert_eq!((lab.store.revision().unwrap(), lab.value("a.c.k").unwrap()), (revision, b"1".to_vec()));
    assert_eq!(lab.store.namespaces(Some("a")).unwrap().len(), 2);
    // Nothing was changed, and so nothing is lost.
    assert!(!strict.write(|writer| writer.delete(&address("a.c.none"), &Condition::default())).unwrap());
    let lenient = lab.another_store().with_reason(Some(Reason::new("why", false).unwrap()));
    lenient.set(&at, b"2", &SetOptions::default()).unwrap();
    lenient.set(&address("a.b.k"), b"2", &SetOptions::default()).unwrap();
    assert_eq!(versions(lab, "a.b.k")[0].reason.as_deref(), Some("why"));
}

fn a_history_that_ends_is_gone_and_the_next_one_is_new(lab: &Lab) {
    keep(lab, "history=9 history_age=5s");
    for n in 0..700 {
        lab.set(&format!("a.b.k{}", n % 7), n.to_string());
    }
    assert_eq!(keep(lab, "history=0"), HistoryChanged { age: keep_usual(), ..HistoryChanged::default() });
    fails(lab.store.versions(&address("a.b.k1"), None, 9), ErrorKind::Invalid, "a.b keeps no history");
    fails(lab.store.get_version(&address("a.b.k1"), Version(1)), ErrorKind::Invalid, "a.b keeps no history");
    let present = lab.record("a.b.k1").unwrap();
    assert_eq!(lab.store.get_version(&address("a.b.k1"), present.head.version).unwrap(), Some(present));
    assert_eq!(log(&lab.store, None), [""; 0]);
    keep(lab, "history=9");
    assert_eq!(deeds(lab, "a.b.k1"), [Deed::Found]);
    assert_eq!(lab.store.describe_namespace(&namespace(KEPT)).unwrap().history_age, keep_usual());
    assert!(lab.store.check(false).unwrap().problems.is_empty());
}

/// The time for which versions are kept unless another is given.
fn keep_usual() -> Option<prontodb_core::Ttl> {
    Some(ttl(30 * 24 * 60 * 60 * 1000))
}

fn a_dropped_namespace_takes_its_history_along(lab: &Lab) {
    keep(lab, "history=9 history_age=1s");
    for n in 0..30 {
        lab.set("a.b.k", n.to_string());
    }
    assert_eq!(lab.store.drop_namespace(&namespace(KEPT)).unwrap().entries, 1);
    assert!(lab.store.versions(&address("a.b.k"), None, 9).unwrap().is_empty());
    lab.set("a.b.k", "new");
    fails(lab.store.versions(&address("a.b.k"), None, 9), ErrorKind::Invalid, "keeps no history");
    keep(lab, "history=9");
    assert_eq!(deeds(lab, "a.b.k"), [Deed::Found]);
    assert!(lab.store.check(false).unwrap().problems.is_empty());
}

fn a_namespace_that_moves_keeps_its_history(lab: &Lab) {
    keep(lab, "history=9");
    lab.set("a.b.k", "1");
    lab.set("a.b.k", "2");
    let before = versions(lab, "a.b.k");
    assert!(lab.store.move_namespace(&namespace(KEPT), &Table::Own).unwrap());
    assert_eq!(versions(lab, "a.b.k"), before);
    lab.set("a.b.k", "3");
    assert_eq!(deeds(lab, "a.b.k"), [Deed::Set, Deed::Set, Deed::Created]);
    assert!(lab.store.check(false).unwrap().problems.is_empty());
}

fn fewer_versions_and_a_shorter_time_hold_at_once(lab: &Lab) {
    keep(lab, "history=9");
    for n in 0..1600 {
        lab.store.increment(&address(&format!("a.b.{}", n % 400)), 1).unwrap();
    }
    keep(lab, "history=2");
    assert!((0..400).all(|n| numbers(lab, &format!("a.b.{n}")).len() == 2));
    lab.wait(2000);
    let changed = keep(lab, "history_age=1s");
    assert_eq!((changed.versions, changed.age, changed.is_new), (Some(2), Some(ttl(1000)), false));
    assert!((0..400).all(|n| numbers(lab, &format!("a.b.{n}")).len() == 1));
    // The other setting stays as it is.
    assert_eq!(keep(lab, "history=5").age, Some(ttl(1000)));
}

fn settings_that_make_no_sense_are_refused(lab: &Lab) {
    let set = |name: &str, settings: &str| {
        lab.store.set_history(&namespace(name), &HistorySettings::parse(settings).unwrap())
    };
    fails(set("a.b", "history=0"), ErrorKind::Invalid, "there is no namespace a.b");
    fails(set("a.b", "history_age=5s"), ErrorKind::Invalid, "keeps no history that could have an age");
    fails(set("a.b", ""), ErrorKind::Invalid, "keeps no history");
    lab.set("a.b.k", "1");
    fails(set("a.b", "history_age=5s"), ErrorKind::Invalid, "keeps no history that could have an age");
    assert!(set("a.b", "history=0").is_ok());
    assert_eq!(lab.store.revision().unwrap(), Version(2));
}

fn the_log_is_that_of_all_that_may_be_read(lab: &Lab) {
    keep(lab, "history=9");
    lab.store.set_history(&namespace("a.d"), &HistorySettings::parse("history=9").unwrap()).unwrap();
    let ann = by(lab, "ann");
    set(&ann, "a.b.k", "1");
    set(&by(lab, "bob"), "a.d.k__ctx", "2");
    set(&ann, "a.c.k", "not kept");
    let both = ann.write(|writer| {
        writer.set(&address("a.d.m"), b"3", &SetOptions::default())?;
        writer.set(&address("a.b.m"), b"3", &SetOptions::default())?;
        writer.set(&address("a.b.l"), b"3", &SetOptions::default())
    });
    let Version(last) = both.unwrap().version;
    let [b, d] = [last - 3, last - 2];
    assert_eq!(
        log(&lab.store, None),
        [
            format!("created a.d.m {last}"),
            format!("created a.b.m {last}"),
            format!("created a.b.l {last}"),
            format!("created a.d.k__ctx {d}"),
            format!("created a.b.k {b}"),
        ]
    );
    assert_eq!(log(&lab.store, Some("bob")), [format!("created a.d.k__ctx {d}")]);
    assert_eq!(log(&lab.store, Some("")), [""; 0]);
    let within = |prefix: &str, context: Option<&str>| {
        let scope = Scope { context: context.map(str::to_owned), ..scope(within("a.d", prefix)) };
        log_of(&lab.store, &LogQuery { scope: &scope, by: None })
    };
    assert_eq!(within("k", None), [format!("created a.d.k__ctx {d}")]);
    assert_eq!(within("", Some("ctx")), [format!("created a.d.k__ctx {d}")]);
    assert_eq!(within("", Some("x")), [""; 0]);
    let reader = lab.another_store().act_as(somebody("eve", Role::Read, "a.d"));
    assert_eq!(log(&reader, None), [format!("created a.d.m {last}"), format!("created a.d.k__ctx {d}")]);
}

/// Somebody who has a role in one place.
fn somebody(who: &str, role: Role, place: &str) -> Identity {
    let pattern = Pattern::parse(place, Delimiter::default()).unwrap();
    Identity::vouched_for(who, None, vec![Grant { who: who.to_owned(), role, pattern }])
}

/// Also where many changes have one version, and namespaces take turns.
fn the_log_goes_on_behind_any_change(lab: &Lab) {
    for name in ["a.b", "a.c", "b.b"] {
        lab.store.set_history(&namespace(name), &HistorySettings::parse("history=99").unwrap()).unwrap();
    }
    for round in 0..4 {
        let names: Vec<_> = (0..50).map(|n| format!("k{}", n * 7 % 50)).collect();
        let wrote = lab.store.write(|writer| {
            for (n, name) in names.iter().enumerate() {
                let space = ["a.b", "a.c", "b.b"][(n + round) % 3];
                writer.set(&address(&format!("{space}.{name}")), b"", &SetOptions::default())?;
            }
            Ok(())
        });
        wrote.unwrap();
        lab.set("a.c.single", "");
    }
    let all = scope(Listing::All);
    let query = LogQuery { scope: &all, by: None };
    let all = lab.store.log(&query, None, usize::MAX).unwrap();
    assert_eq!(all.len(), 204);
    let place = |logged: &Logged| (logged.past.head.version, logged.address.clone());
    assert!(all.windows(2).all(|pair| place(&pair[0]) > place(&pair[1])));
    for (place, logged) in all.iter().enumerate().step_by(11) {
        let behind = (logged.past.head.version, &logged.address);
        let rest = lab.store.log(&query, Some(behind), 60).unwrap();
        assert!(rest.iter().eq(all[place + 1..].iter().take(60)), "behind number {place}");
    }
}

fn lines_are_of_the_version_that_brought_them(lab: &Lab) {
    let blame = || {
        let lines = lab.store.blame(&address("a.b.k")).unwrap().unwrap();
        let shown = |line: prontodb_core::store::BlamedLine| {
            let mark = if line.or_before { "^" } else { "" };
            format!("{mark}{} {}", line.past.head.version, String::from_utf8_lossy(&line.line))
        };
        lines.into_iter().map(shown).collect::<Vec<_>>()
    };
    lab.set("a.b.k", "one\ntwo\n");
    keep(lab, "history=3");
    assert_eq!(lab.store.blame(&address("a.b.none")).unwrap(), None);
    let first = lab.record("a.b.k").unwrap().head.version;
    assert_eq!(blame(), [format!("^{first} one\n"), format!("^{first} two\n")]);
    let second = lab.set("a.b.k", "one\n2\ntwo\nthree");
    assert_eq!(
        blame(),
        [
            format!("^{first} one\n"),
            format!("{second} 2\n"),
            format!("^{first} two\n"),
            format!("{second} three")
        ]
    );
    lab.store.write(|writer| writer.touch(&address("a.b.k"), None)).unwrap();
    lab.store.write(|writer| writer.touch(&address("a.b.k"), None)).unwrap();
    // The first two are not kept any more.
    let third = Version(second.0 + 1);
    assert!(
        blame()
            .iter()
            .all(|line| line.starts_with(&format!("^{third} ")) || line.starts_with(&format!("^{second} ")))
    );
    lab.delete("a.b.k");
    assert_eq!(lab.store.blame(&address("a.b.k")).unwrap(), None);
    let again = lab.set("a.b.k", b"one\n\xff");
    let lines = lab.store.blame(&address("a.b.k")).unwrap().unwrap();
    assert_eq!((lines.len(), lines[0].past.head.version, lines[0].or_before), (1, again, false));
    assert_eq!(lines[0].line, b"one\n\xff");
}

fn an_undo_brings_back_what_was_before(lab: &Lab) {
    lab.set("a.b.found", "1");
    keep(lab, "history=99");
    let at = address("a.b.k");
    let first = lab.set("a.b.k", "1");
    lab.wait(10);
    lab.store.set_metakey(&at, "owner", "ann").unwrap().unwrap();
    let second = lab.set("a.b.k", "2");
    lab.store.remove_metakeys(&at, &["owner"]).unwrap();
    // Metakeys, then the value.
    undo(lab, "a.b.k").unwrap();
    let record = lab.record("a.b.k").unwrap();
    assert_eq!(record.head.metakeys.unwrap().get("owner"), Some("ann"));
    let redone = undo(lab, "a.b.k").unwrap();
    assert_eq!(redone.versions, [record.head.version]);
    assert_eq!(lab.record("a.b.k").unwrap().head.metakeys, None);
    assert!(lab.record("a.b.k").unwrap().head.version > second);
    assert_eq!(versions(lab, "a.b.k")[0].reason.as_deref(), Some("undo"));
    // A deletion, which comes back as it was, and older than its return.
    lab.delete("a.b.k");
    lab.wait(10);
    undo(lab, "a.b.k").unwrap();
    let record = lab.record("a.b.k").unwrap();
    assert_eq!((record.value.as_slice(), record.head.created), (&b"2"[..], START));
    // That is a creation, and is undone as one.
    assert_eq!(undo(lab, "a.b.k").unwrap().like, None);
    assert_eq!(lab.value("a.b.k"), None);
    let why = lab.another_store().with_reason(reason("on second thoughts"));
    why.undo(&at, false).unwrap();
    assert_eq!(versions(lab, "a.b.k")[0].reason.as_deref(), Some("on second thoughts"));
    assert_eq!(then(lab, "a.b.k", first).as_deref(), Some(&b"1"[..]));
    // What was there before there was a history.
    fails(undo(lab, "a.b.found"), ErrorKind::Missing, "no change of a.b.found that could be undone");
    lab.set("a.b.found", "2");
    undo(lab, "a.b.found").unwrap();
    assert_eq!(lab.value("a.b.found").as_deref(), Some(&b"1"[..]));
}

fn an_undo_brings_nothing_back_that_has_expired(lab: &Lab) {
    lab.cache(KEPT, "60");
    keep(lab, "history=9");
    lab.set_for("a.b.k", "1", 1000);
    lab.wait(500);
    lab.set_for("a.b.k", "2", 1000);
    lab.wait(400);
    undo(lab, "a.b.k").unwrap();
    assert_eq!(
        (lab.value("a.b.k").unwrap(), lab.expiry("a.b.k")),
        (b"1".to_vec(), Some(Millis(START.0 + 1000)))
    );
    undo(lab, "a.b.k").unwrap();
    assert_eq!(lab.expiry("a.b.k"), Some(Millis(START.0 + 1500)));
    lab.wait(100);
    let revision = lab.store.revision().unwrap();
    fails(undo(lab, "a.b.k"), ErrorKind::Missing, "was before version");
    assert_eq!(lab.value("a.b.k").unwrap(), b"2");
    lab.wait(500);
    fails(undo(lab, "a.b.k"), ErrorKind::Missing, "a.b.k has expired");
    assert_eq!((lab.value("a.b.k"), lab.store.revision().unwrap()), (None, revision));
    lab.set("a.b.k", "3");
    lab.delete("a.b.k");
    lab.wait(60_000);
    fails(undo(lab, "a.b.k"), ErrorKind::Missing, "has expired");
    lab.set("a.b.k", "4");
    assert_eq!(undo(lab, "a.b.k").unwrap().like, None);
}

fn what_is_not_kept_cannot_be_undone(lab: &Lab) {
    fails(undo(lab, "a.b.k"), ErrorKind::Missing, "no change of a.b.k");
    lab.set("a.b.k", "1");
    fails(undo(lab, "a.b.k"), ErrorKind::Invalid, "a.b keeps no history");
    keep(lab, "history=1");
    fails(undo(lab, "a.b.none"), ErrorKind::Missing, "no change of a.b.none");
    lab.set("a.b.k", "2");
    fails(undo(lab, "a.b.k"), ErrorKind::Missing, "is not kept");
    assert_eq!(lab.value("a.b.k").as_deref(), Some(&b"2"[..]));
}

fn the_last_changes_of_somebody_are_undone_together(lab: &Lab) {
    keep(lab, "history=99");
    lab.store.set_history(&namespace("a.d"), &HistorySettings::parse("history=99").unwrap()).unwrap();
    let (ann, bob) = (by(lab, "ann"), by(lab, "bob"));
    set(&bob, "a.b.k", "bob");
    set(&bob, "a.d.k", "bob");
    set(&ann, "a.b.k", "1");
    set(&ann, "a.b.k", "2");
    set(&ann, "a.d.new", "3");
    set(&bob, "a.b.bob", "bob");
    ann.write(|writer| writer.delete(&address("a.d.k"), &Condition::default())).unwrap();
    // More than there are is all there are.
    let undone = undo_last(&bob, "ann", 100).unwrap();
    assert_eq!(undone.len(), 3);
    let like: Vec<_> = undone.iter().map(|undone| (undone.versions.len(), undone.like.is_some())).collect();
    assert_eq!(like, [(2, true), (1, true), (1, false)]);
    assert_eq!(
        (lab.value("a.b.k").unwrap(), lab.value("a.d.k").unwrap()),
        (b"bob".to_vec(), b"bob".to_vec())
    );
    assert_eq!(lab.names("a.d"), ["k"]);
    // The undo is one write, and bob's.
    assert_eq!(versions(lab, "a.b.k")[0].head.version, versions(lab, "a.d.k")[0].head.version);
    assert_eq!(undo_last(&ann, "bob", 3).unwrap().len(), 3);
    assert_eq!((lab.value("a.b.k").unwrap(), lab.value("a.d.k")), (b"2".to_vec(), None));
    fails(undo_last(&ann, "nobody", 1), ErrorKind::Missing, "no change by nobody");
}

fn what_others_have_changed_since_stops_an_undo(lab: &Lab) {
    keep(lab, "history=99");
    let (ann, bob) = (by(lab, "ann"), by(lab, "bob"));
    set(&ann, "a.b.k", "1");
    set(&ann, "a.b.l", "1");
    set(&bob, "a.b.k", "2");
    let revision = lab.store.revision().unwrap();
    fails(undo_last(&ann, "ann", 2), ErrorKind::Conflict, "a.b.k has been changed since by bob");
    assert_eq!(lab.store.revision().unwrap(), revision);
    assert_eq!(undo_last(&ann, "ann", 1).unwrap().len(), 1);
    assert_eq!(lab.names(KEPT), ["k"]);
    // Between two of ann's.
    set(&ann, "a.b.k", "3");
    fails(undo_last(&ann, "ann", 4), ErrorKind::Conflict, "a.b.k has been changed since by bob");
    assert_eq!(undo_last(&ann, "ann", 1).unwrap()[0].like, Some(versions(lab, "a.b.k")[2].head.version));
    assert_eq!(lab.value("a.b.k").unwrap(), b"2");
    // An entry from before the history is nobody's change.
    set(&ann, "a.c.k", "1");
    lab.store.set_history(&namespace("a.c"), &HistorySettings::parse("history=9").unwrap()).unwrap();
    set(&bob, "a.c.k", "2");
    fails(ann.undo_last(&scope(within("a.c", "")), "ann", 9, false), ErrorKind::Missing, "no change by ann");
}

fn evictions_are_undone_with_what_they_were_part_of(lab: &Lab) {
    lab.cache(KEPT, "60 max_items=2");
    keep(lab, "history=99");
    let ann = by(lab, "ann");
    for name in ["z1", "z2", "a3"] {
        set(&ann, &format!("a.b.{name}"), name);
    }
    assert_eq!(lab.names(KEPT), ["a3", "z2"]);
    let undone = undo_last(&ann, "ann", 1).unwrap();
    assert_eq!(undone[0].address, address("a.b.a3"));
    assert_eq!(lab.names(KEPT), ["z2"]);
}

fn a_dry_undo_changes_nothing(lab: &Lab) {
    keep(lab, "history=9");
    let ann = by(lab, "ann");
    let first = set(&ann, "a.b.k", "1");
    let second = set(&ann, "a.b.k", "2");
    let expected = Undone { address: address("a.b.k"), versions: vec![second], like: Some(first) };
    assert_eq!(lab.store.undo(&address("a.b.k"), true).unwrap(), expected);
    let told = lab.store.undo_last(&scope(Listing::All), "ann", 1, true).unwrap();
    assert_eq!(told.as_slice(), std::slice::from_ref(&expected));
    assert_eq!(lab.store.revision().unwrap(), second);
    assert_eq!(lab.store.undo(&address("a.b.k"), false).unwrap(), expected);
}

fn histories_are_encrypted_with_their_namespace(lab: &Lab) {
    keep(lab, "history=9");
    let long = "words that come again ".repeat(100);
    let all = ["1", long.as_str(), "3"].map(|value| lab.set("a.b.k", value));
    lab.set("a.b.gone", "1");
    lab.delete("a.b.gone");
    let check = |store: &Store| {
        for (version, value) in all.iter().zip(["1", long.as_str(), "3"]) {
            let record = store.get_version(&address("a.b.k"), *version).unwrap().unwrap();
            assert!(record.value == value.as_bytes() && record.head.coding.is_plain());
        }
        assert!(store.check(false).unwrap().problems.is_empty());
    };
    lab.store.encrypt(&namespace(KEPT), &recipients()).unwrap();
    check(&lab.another_store());
    let stranger = lab.another_store().with_unlock(Box::new(|lock| {
        Err(prontodb_core::Error::new(ErrorKind::Denied, format!("{lock} is needed")))
    }));
    fails(stranger.get_version(&address("a.b.k"), all[0]), ErrorKind::Denied, "encrypted");
    fails(stranger.blame(&address("a.b.k")), ErrorKind::Denied, "encrypted");
    fails(stranger.undo(&address("a.b.k"), false), ErrorKind::Denied, "encrypted");
    // Who and when can be read, as of entries.
    assert_eq!(stranger.versions(&address("a.b.k"), None, 9).unwrap().len(), 3);
    lab.store.rotate_key(&namespace(KEPT), None).unwrap();
    check(&lab.another_store());
    // A history that alone has values needs the keys still.
    lab.delete("a.b.k");
    fails(stranger.decrypt(&namespace(KEPT)), ErrorKind::Denied, "encrypted");
    lab.store.decrypt(&namespace(KEPT)).unwrap();
    check(&stranger);
    undo(lab, "a.b.k").unwrap();
    assert_eq!(lab.value("a.b.k").unwrap(), b"3");
}

fn roles_decide_about_histories_too(lab: &Lab) {
    keep(lab, "history=9");
    let first = lab.set("a.b.k", "1");
    lab.set("a.b.k", "2");
    let at = address("a.b.k");
    let as_role = |role, place| lab.another_store().act_as(somebody("eve", role, place));
    let reader = as_role(Role::Read, "a.b");
    assert_eq!(reader.versions(&at, None, 9).unwrap().len(), 2);
    assert!(reader.get_version(&at, first).unwrap().is_some() && reader.blame(&at).unwrap().is_some());
    let settings = HistorySettings::parse("history=3").unwrap();
    let writer = as_role(Role::Write, "a.b");
    fails(reader.undo(&at, false), ErrorKind::Denied, "");
    fails(undo_last(&reader, "nobody", 1), ErrorKind::Missing, "no change by");
    fails(writer.set_history(&namespace(KEPT), &settings), ErrorKind::Denied, "");
    let ann = by(lab, "ann");
    set(&ann, "a.b.k", "3");
    fails(undo_last(&reader, "ann", 1), ErrorKind::Denied, "");
    undo_last(&writer, "ann", 1).unwrap();
    assert_eq!(lab.value("a.b.k").unwrap(), b"2");
    let elsewhere = as_role(Role::Admin, "a.c");
    fails(elsewhere.versions(&at, None, 9), ErrorKind::Denied, "");
    fails(elsewhere.get_version(&at, first), ErrorKind::Denied, "");
    fails(elsewhere.blame(&at), ErrorKind::Denied, "");
    fails(elsewhere.undo(&at, true), ErrorKind::Denied, "");
    fails(undo_last(&elsewhere, "ann", 1), ErrorKind::Missing, "no change by ann");
    as_role(Role::Admin, "a.b").set_history(&namespace(KEPT), &settings).unwrap();
}

/// Neither the file nor its log, as of entries.
#[test]
fn no_version_that_was_encrypted_lies_in_the_files() {
    const SECRET: &str = "a text that nobody else may read";
    let lab = Lab::on_sqlite();
    keep(&lab, "history=99");
    for n in 0..100 {
        lab.set("a.b.k", format!("{SECRET} {n}"));
    }
    lab.delete("a.b.k");
    assert!(super::coding::finds(&lab, SECRET.as_bytes()));
    lab.store.encrypt(&namespace(KEPT), &recipients()).unwrap();
    assert!(!super::coding::finds(&lab, SECRET.as_bytes()));
}

/// What is no longer as it was kept is told, and nothing else is.
#[test]
fn a_check_finds_a_damaged_history() {
    let lab = Lab::on_sqlite();
    keep(&lab, "history=9");
    for value in ["1", "22", "333"] {
        lab.set("a.b.k", value);
    }
    lab.store.set_history(&namespace("a.c"), &HistorySettings::parse("history=9").unwrap()).unwrap();
    let long = "words that come again ".repeat(100);
    lab.set("a.c.long", &long);
    assert!(lab.store.check(false).unwrap().problems.is_empty());
    for (damage, says) in [
        (
            "UPDATE history SET deed = 'grown' WHERE size = 1",
            "a.b.k: version 2 is of a change that there is no word for",
        ),
        ("UPDATE history SET value = NULL WHERE size = 2", "has no value, or has one and is of a removal"),
        (
            "UPDATE history SET deed = 'deleted' WHERE size = 2",
            "has no value, or has one and is of a removal",
        ),
        ("UPDATE history SET size = 9 WHERE size = 3", "has a value of another length than it says"),
        ("UPDATE history SET version = 999 WHERE size = 3", "is of a write that has not been yet"),
        ("UPDATE history SET ns = 77 WHERE size = 3", "history has 1 versions of no namespace (77)"),
        (
            "UPDATE history SET size = 9 WHERE name = 'long'",
            "a.c.long: version 6 in the history cannot be read",
        ),
        (
            "UPDATE history SET value = x'00' WHERE name = 'long'",
            "a.c.long: version 6 in the history cannot be read",
        ),
        ("UPDATE history SET metakeys = '{' WHERE name = 'long'", "metakeys are no JSON object"),
    ] {
        let connection = connect(&lab);
        connection.execute_batch("BEGIN; CREATE TABLE before AS SELECT * FROM history;").unwrap();
        assert_eq!(connection.execute(damage, []).unwrap(), 1, "{damage}");
        connection.execute_batch("COMMIT").unwrap();
        let problems = lab.another_store().check(false).unwrap().problems;
        assert!(problems.len() == 1 && problems[0].contains(says), "{damage}: {problems:?}");
        connection
            .execute_batch(
                "DELETE FROM history; INSERT INTO history SELECT * FROM before; DROP TABLE before;",
            )
            .unwrap();
        assert!(lab.another_store().check(false).unwrap().problems.is_empty());
    }
}

/// What a process that was killed between two steps leaves: a history that has ended, and is there still.
#[test]
fn a_history_that_was_ended_halfway_is_no_part_of_the_next_one() {
    let lab = Lab::on_sqlite();
    keep(&lab, "history=9");
    lab.set("a.b.k", "1");
    lab.set("a.b.k", "2");
    let connection = connect(&lab);
    connection.execute_batch("CREATE TABLE before AS SELECT * FROM history").unwrap();
    keep(&lab, "history=0");
    connection
        .execute_batch(
            "INSERT INTO history SELECT * FROM before; DROP TABLE before;
             INSERT INTO sys_leftovers VALUES('00000000000000000001 history','{\"space\":1,\"table\":\"history\",\"owned\":true}')",
        )
        .unwrap();
    assert!(lab.store.check(false).unwrap().problems.is_empty());
    assert_eq!(log(&lab.store, None), [""; 0]);
    lab.set("a.b.k", "3");
    keep(&lab, "history=9");
    assert_eq!(deeds(&lab, "a.b.k"), [Deed::Found]);
    let left: i64 = connection.query_row("SELECT count(*) FROM sys_leftovers", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

/// A file without histories has no trace of them.
#[test]
fn who_keeps_no_history_has_no_table_for_it() {
    let lab = Lab::on_sqlite();
    lab.set("a.b.k", "1");
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'history%' OR name = 'sys_histories'";
    let count = || connect(&lab).query_row(tables, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 0);
    keep(&lab, "history=1");
    assert_eq!(count(), 3);
}

/// What is done to the entries of one namespace.
#[derive(Clone, Debug)]
enum Step {
    Set(&'static str, Vec<u8>),
    Delete(&'static str),
    Touch(&'static str),
    Undo(&'static str),
    UndoLast(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || select(&["k", "l", "k__x"][..]);
    let step = prop_oneof![
        5 => (name(), prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(name, value)| Step::Set(name, value)),
        2 => name().prop_map(Step::Delete),
        1 => name().prop_map(Step::Touch),
        3 => name().prop_map(Step::Undo),
        1 => (1..4_usize).prop_map(Step::UndoLast),
    ];
    prop::collection::vec(step, 0..30)
}

/// A state of an entry, and the version that made it.
type State = (&'static str, Version, Option<Vec<u8>>);

/// Every version is what was there then, and an undo makes what was there before.
#[test]
fn versions_and_undos_agree_with_a_list_of_states() {
    for lab in [Lab::in_memory, Lab::on_sqlite] {
        properties::check(60, &steps(), |steps| {
            let lab = lab();
            keep(&lab, "history=1000");
            let ann = by(&lab, "ann");
            let mut past: Vec<State> = Vec::new();
            for step in steps {
                let before = lab.store.revision()?;
                let made = follow(&ann, &step, &past)?;
                let now = lab.store.revision()?;
                prop_assert_eq!(now > before, !made.is_empty(), "{:?}", step);
                past.extend(made.into_iter().map(|(name, value)| (name, now, value)));
                for (name, version, value) in &past {
                    prop_assert_eq!(&then(&lab, &format!("a.b.{name}"), *version), value, "{:?}", step);
                }
            }
            Ok(())
        });
    }
}

/// An entry, and what it is now.
type Made = (&'static str, Option<Vec<u8>>);

/// Makes a step, and says what it has to make of which entries; nothing where it is refused, or changes nothing.
fn follow(ann: &Store, step: &Step, past: &[State]) -> Result<Vec<Made>> {
    let at = |name: &str| address(&format!("a.b.{name}"));
    let states = |name: &str| -> Vec<_> {
        past.iter().filter(|(of, ..)| *of == name).map(|(.., value)| value.clone()).collect()
    };
    // What an entry was before the last so many changes.
    let before = |name: &str, count: usize| {
        let all = states(name);
        all.len().checked_sub(count + 1).and_then(|place| all[place].clone())
    };
    Ok(match *step {
        Step::Set(name, ref value) => {
            ann.set(&at(name), value, &SetOptions::default())?;
            vec![(name, Some(value.clone()))]
        }
        Step::Delete(name) => {
            let was_there = ann.write(|writer| writer.delete(&at(name), &Condition::default()))?;
            was_there.then_some((name, None)).into_iter().collect()
        }
        Step::Touch(name) => {
            let touched = ann.write(|writer| writer.touch(&at(name), None))?;
            touched.map(|_| (name, before(name, 0))).into_iter().collect()
        }
        Step::Undo(name) => {
            let done = ann.undo(&at(name), false);
            assert_eq!(done.is_ok(), !states(name).is_empty());
            done.map_or(Vec::new(), |_| vec![(name, before(name, 1))])
        }
        Step::UndoLast(count) => {
            let done = undo_last(ann, "ann", count);
            assert_eq!(done.is_ok(), !past.is_empty());
            let mut last: Vec<_> = past.iter().map(|(name, version, _)| (*version, *name)).collect();
            last.sort_unstable();
            let mut undone = BTreeMap::new();
            last.iter().rev().take(count).for_each(|(_, name)| *undone.entry(*name).or_insert(0) += 1);
            let made = undone.into_iter().map(|(name, count)| (name, before(name, count)));
            // What is gone already does not go once more.
            made.filter(|(name, value)| value.is_some() || before(name, 0).is_some()).collect()
        }
    })
}

/// The spaces of a namespace that keeps history, for whoever asks which there are.
#[test]
fn namespaces_that_keep_history_are_listed() {
    let lab = Lab::in_memory();
    lab.set("a.c.k", "1");
    keep(&lab, "history=1");
    assert_eq!(lab.store.histories(&scope(Listing::All)).unwrap(), [namespace(KEPT)]);
    assert_eq!(lab.store.histories(&scope(Listing::Project("b".to_owned()))).unwrap(), []);
    fails(lab.store.require_history(&namespace("a.c")), ErrorKind::Invalid, "a.c keeps no history");
    assert!(lab.store.require_history(&namespace(KEPT)).is_ok());
    assert!(lab.store.require_history(&namespace("a.none")).is_ok());
}
