//! Values that are compressed and encrypted: nobody notices who may read them, and nobody reads them who may not.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use prontodb_core::coding::{self, Lock, Recipients, Secret};
use prontodb_core::engine::{Fields, Sealing};
use prontodb_core::store::{
    Change, Condition, CopyOptions, Life, Load, LoadOptions, Place as Line, Query, SetOptions, Unlock,
};
use prontodb_core::{Error, ErrorKind, Store};
use rusqlite::{Connection, OptionalExtension};
use secrecy::SecretString;

use super::{Lab, Place, address, everything, namespace};

on_each_engine! {
    long_values_come_back_whatever_reads_them
    encrypted_values_come_back_whatever_reads_them
    without_the_key_values_are_refused_and_nothing_else
    what_lies_there_is_encrypted_too
    what_was_encrypted_can_be_plain_again
    a_new_key_takes_the_place_of_the_old_one
    a_rewrapped_key_opens_for_the_new_ones_alone
    encrypting_again_changes_nothing
    what_was_never_encrypted_has_no_key
    versions_and_times_survive_encryption
    a_cache_may_be_encrypted
    a_load_without_the_key_writes_nothing
    a_load_codes_values_as_a_set_does
    what_has_expired_needs_no_key
    encryption_is_in_the_audit_log
}

/// An identity that age-keygen has made for these tests.
const IDENTITY: &str = "AGE-SECRET-KEY-1KXECJF99C4NM09QNET9P6QJ2TSNNTKAD7XU408Y9K6GH4LL0X7LSZZYAG4";
const SECRET: &[u8] = b"a text that nobody else may read";

fn identity() -> SecretString {
    IDENTITY.into()
}

/// What the stores of a lab can unlock.
pub fn unlock() -> Unlock {
    Box::new(|lock| match lock {
        Lock::Identity => Ok(Secret::Identities(identity())),
        Lock::Passphrase => Err(Error::new(ErrorKind::Denied, "there is no passphrase")),
    })
}

/// Whom the stores of a lab encrypt for.
pub fn recipients() -> Recipients {
    Recipients::Age(coding::recipients_of(&identity()).unwrap())
}

/// A store that can unlock nothing.
fn stranger(lab: &Lab) -> Store {
    lab.another_store()
        .with_unlock(Box::new(|lock| Err(Error::new(ErrorKind::Denied, format!("{lock} is needed")))))
}

fn encrypt(lab: &Lab, name: &str) {
    lab.store.encrypt(&namespace(name), &recipients()).unwrap();
}

/// Sets, reads, lists, appends, counts, compares, copies and moves.
fn use_values(lab: &Lab, name: &str, value: &[u8]) {
    let at = |key: &str| address(&format!("{name}.{key}"));
    lab.set(&format!("{name}.k"), value);
    let record = lab.store.get(&at("k")).unwrap().unwrap();
    assert!(record.value == value && record.head.size == value.len() as u64 && record.head.coding.is_plain());
    let head = lab.store.head(&at("k")).unwrap().unwrap();
    assert!(head.size == value.len() as u64 && head.coding.is_plain());
    let rows = everything(&lab.store, &namespace(name));
    assert!(rows.len() == 1 && rows[0].value == value && rows[0].head.as_ref() == Some(&record.head));
    for condition in [Some(value.to_vec()), Some(b"another".to_vec())] {
        let holds = condition.as_deref() == Some(value);
        let condition = Condition { value: condition, ..Condition::default() };
        let set = lab.store.set(&at("k"), value, &SetOptions { condition, ..SetOptions::default() });
        assert_eq!(set.is_ok(), holds);
    }
    lab.store.write(|writer| writer.append(&at("k"), b" and more")).unwrap();
    let longer = [value, b" and more"].concat();
    let options = SetOptions { want_old: true, ..SetOptions::default() };
    let old = lab.store.set(&at("k"), b"41", &options).unwrap().old.unwrap();
    assert!(old.value == longer);
    assert_eq!(lab.store.increment(&at("k"), 1).unwrap(), 42);
    lab.set(&format!("{name}.k"), &longer);
    lab.store.write(|writer| writer.touch(&at("k"), None)).unwrap();
    for move_source in [false, true] {
        let options = CopyOptions { move_source, ..CopyOptions::default() };
        lab.store.write(|writer| writer.copy(&at("k"), &at("l__x"), options)).unwrap();
        assert!(lab.store.get(&at("l__x")).unwrap().unwrap().value == longer);
    }
    assert_eq!(lab.names(name), ["l__x"]);
    assert_eq!(lab.held(name), (1, (longer.len() + 4) as u64));
    assert!(lab.delete(&format!("{name}.l__x")));
}

fn some_values() -> [Vec<u8>; 5] {
    let noise = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    [Vec::new(), b"short".to_vec(), vec![b'v'; 1 << 20], b"words that come again ".repeat(1000), noise]
}

fn long_values_come_back_whatever_reads_them(lab: &Lab) {
    for value in some_values() {
        use_values(lab, "a.b", &value);
    }
}

fn encrypted_values_come_back_whatever_reads_them(lab: &Lab) {
    encrypt(lab, "a.b");
    for value in some_values() {
        use_values(lab, "a.b", &value);
    }
}

fn without_the_key_values_are_refused_and_nothing_else(lab: &Lab) {
    encrypt(lab, "a.b");
    lab.set("a.b.k", SECRET);
    lab.set("a.b.old", SECRET);
    lab.set("a.c.k", "open to all");
    let stranger = stranger(lab);
    let before = everything(&lab.store, &namespace("a.b"));
    let (k, n) = (address("a.b.k"), namespace("a.b"));
    let values = Query { fields: Fields::Values, ..Query::default() };
    let refusals = [
        stranger.get(&k).map(drop),
        stranger.get_first(&[address("a.c.missing"), k.clone()]).map(drop),
        stranger.set(&k, b"new", &SetOptions::default()).map(drop),
        stranger.increment(&k, 1).map(drop),
        stranger.write(|writer| writer.append(&k, b"new")).map(drop),
        stranger.write(|writer| writer.copy(&k, &address("a.c.copy"), CopyOptions::default())).map(drop),
        stranger.write(|writer| writer.copy(&address("a.c.k"), &k, CopyOptions::default())).map(drop),
        stranger.list(&n, &values, &mut super::Pages::default()).map(drop),
        stranger.decrypt(&n).map(drop),
        stranger.rotate_key(&n, None).map(drop),
        stranger.rewrap_key(&n, &recipients()),
    ];
    for (place, refusal) in refusals.into_iter().enumerate() {
        let error = refusal.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{place}");
        assert_eq!(error.to_string(), "a.b is encrypted: an age identity is needed", "{place}");
    }
    assert_eq!(everything(&lab.store, &namespace("a.b")), before);
    assert_eq!(lab.store.sealing(&n).unwrap(), stranger.sealing(&n).unwrap());
    assert_eq!(stranger.get(&address("a.c.k")).unwrap().unwrap().value, b"open to all");
    assert_eq!(stranger.list(&n, &Query::default(), &mut super::Pages::default()).unwrap(), 2);
    assert_eq!(stranger.head(&k).unwrap().unwrap().size, SECRET.len() as u64);
    assert!(stranger.write(|writer| writer.delete(&address("a.b.old"), &Condition::default())).unwrap());
}

fn what_lies_there_is_encrypted_too(lab: &Lab) {
    let names: Vec<String> = (0..12_000).map(|n| format!("k{n:05}")).collect();
    lab.set_all("a.b", &names, "value");
    let before = everything(&lab.store, &namespace("a.b"));
    let done = lab.store.encrypt(&namespace("a.b"), &recipients()).unwrap();
    assert_eq!((done.values, done.is_scrubbed), (12_000, true));
    assert_eq!(everything(&lab.store, &namespace("a.b")), before);
    assert!(stranger(lab).get(&address("a.b.k00000")).is_err());
    assert!(stranger(lab).get(&address("a.b.k11999")).is_err());
}

fn what_was_encrypted_can_be_plain_again(lab: &Lab) {
    encrypt(lab, "a.b");
    for (key, value) in ["a", "b", "c", "d", "e"].iter().zip(some_values()) {
        lab.set(&format!("a.b.{key}"), value);
    }
    let before = everything(&lab.store, &namespace("a.b"));
    assert_eq!(lab.another_store().decrypt(&namespace("a.b")).unwrap().values, 5);
    assert_eq!(lab.store.sealing(&namespace("a.b")).unwrap(), Sealing::Never);
    assert_eq!(everything(&stranger(lab), &namespace("a.b")), before);
}

fn a_new_key_takes_the_place_of_the_old_one(lab: &Lab) {
    encrypt(lab, "a.b");
    lab.set("a.b.k", SECRET);
    let old = lab.store.sealing(&namespace("a.b")).unwrap();
    // One that has used the old key already, and one that has to unwrap it.
    for store in [&lab.store, &lab.another_store()] {
        let before = everything(&lab.store, &namespace("a.b"));
        assert_eq!(store.rotate_key(&namespace("a.b"), None).unwrap().values, 1);
        assert_ne!(store.sealing(&namespace("a.b")).unwrap(), old);
        assert_eq!(everything(&lab.store, &namespace("a.b")), before);
        assert_eq!(everything(&lab.another_store(), &namespace("a.b")), before);
    }
    lab.set("a.b.new", SECRET);
    assert_eq!(lab.another_store().get(&address("a.b.new")).unwrap().unwrap().value, SECRET);
}

fn a_rewrapped_key_opens_for_the_new_ones_alone(lab: &Lab) {
    encrypt(lab, "a.b");
    lab.set("a.b.k", SECRET);
    let knows = |passphrase: &'static str| {
        lab.another_store().with_unlock(Box::new(move |_| Ok(Secret::Passphrase(passphrase.into()))))
    };
    lab.store.rewrap_key(&namespace("a.b"), &Recipients::Passphrase("open".into())).unwrap();
    assert_eq!(knows("open").get(&address("a.b.k")).unwrap().unwrap().value, SECRET);
    let error = knows("wrong").get(&address("a.b.k")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("not the one"), "{error}");
    assert!(stranger(lab).get(&address("a.b.k")).is_err());
    // A new key for the same passphrase.
    knows("open").rotate_key(&namespace("a.b"), None).unwrap();
    assert_eq!(knows("open").get(&address("a.b.k")).unwrap().unwrap().value, SECRET);
    for not_one in [vec!["age1".to_owned()], vec![String::new()], Vec::new()] {
        let error = knows("open").rewrap_key(&namespace("a.b"), &Recipients::Age(not_one)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(knows("open").get(&address("a.b.k")).unwrap().unwrap().value, SECRET);
}

fn encrypting_again_changes_nothing(lab: &Lab) {
    encrypt(lab, "a.b");
    lab.set("a.b.k", SECRET);
    let sealing = lab.store.sealing(&namespace("a.b")).unwrap();
    let other = lab.another_store();
    assert_eq!(other.encrypt(&namespace("a.b"), &recipients()).unwrap().values, 0);
    assert_eq!(other.resume_encryption(&namespace("a.b")).unwrap().values, 0);
    assert_eq!(other.sealing(&namespace("a.b")).unwrap(), sealing);
    assert_eq!(other.get(&address("a.b.k")).unwrap().unwrap().value, SECRET);
}

fn what_was_never_encrypted_has_no_key(lab: &Lab) {
    lab.set("a.b.k", SECRET);
    for name in ["a.b", "a.missing"] {
        let name = namespace(name);
        for refused in [
            lab.store.decrypt(&name).map(drop),
            lab.store.rotate_key(&name, None).map(drop),
            lab.store.rotate_key(&name, Some(&recipients())).map(drop),
            lab.store.rewrap_key(&name, &recipients()),
            lab.store.resume_encryption(&name).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
    assert_eq!(lab.store.namespaces(None).unwrap().len(), 1);
    assert_eq!(stranger(lab).get(&address("a.b.k")).unwrap().unwrap().value, SECRET);
}

fn versions_and_times_survive_encryption(lab: &Lab) {
    lab.cache("a.b", "60 max_items=9 policy=lru");
    lab.set("a.b.first", SECRET);
    lab.wait(1000);
    lab.set("a.b.second", vec![b'v'; 5000]);
    lab.wait(1000);
    let before = (everything(&lab.store, &namespace("a.b")), lab.usage("a.b"));
    encrypt(lab, "a.b");
    assert_eq!((everything(&lab.store, &namespace("a.b")), lab.usage("a.b")), before);
    lab.store.rotate_key(&namespace("a.b"), None).unwrap();
    assert_eq!((everything(&lab.store, &namespace("a.b")), lab.usage("a.b")), before);
    lab.store.decrypt(&namespace("a.b")).unwrap();
    assert_eq!((everything(&lab.store, &namespace("a.b")), lab.usage("a.b")), before);
}

fn a_cache_may_be_encrypted(lab: &Lab) {
    lab.cache("a.b", "1 max_items=2");
    encrypt(lab, "a.b");
    for key in ["a", "b", "c"] {
        lab.set(&format!("a.b.{key}"), key);
    }
    assert_eq!(lab.names("a.b"), ["b", "c"]);
    assert_eq!(lab.value("a.b.c").as_deref(), Some(b"c".as_slice()));
    lab.wait(1000);
    assert_eq!(lab.value("a.b.c"), None);
    assert_eq!(lab.store.get_even_expired(&address("a.b.c")).unwrap().unwrap().value, b"c");
}

fn a_load_without_the_key_writes_nothing(lab: &Lab) {
    encrypt(lab, "b.b");
    let load = || {
        let mut load = Load::new(LoadOptions::default());
        for name in ["a.b.k", "b.b.k"] {
            let at = address(name);
            let change = Change::Set { value: SECRET, life: Life::Default };
            load.push(Line { line: 1, column: 1 }, &at.namespace, &at.name, change).unwrap();
        }
        load
    };
    assert_eq!(load().commit(&stranger(lab)).unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(load().preview(&stranger(lab)).unwrap_err().kind(), ErrorKind::Denied);
    assert!(lab.names("b.b").is_empty() && lab.store.namespaces(None).unwrap().len() == 1);
    assert_eq!(load().commit(&lab.another_store()).unwrap().set, 2);
    assert_eq!(lab.value("b.b.k").as_deref(), Some(SECRET));
}

/// Where many come at once, too: sealed where the namespace is, and compressed where they are long.
fn a_load_codes_values_as_a_set_does(lab: &Lab) {
    encrypt(lab, "b.b");
    let long = "words ".repeat(1000);
    let mut load = Load::new(LoadOptions::default());
    let places = ["a.b.k", "a.b.l", "a.b.m", "b.b.k", "b.b.l", "b.b.m"];
    for name in places {
        let (at, value) = (address(name), if name.starts_with('a') { long.as_bytes() } else { SECRET });
        let change = Change::Set { value, life: Life::Default };
        load.push(Line { line: 1, column: 1 }, &at.namespace, &at.name, change).unwrap();
    }
    assert_eq!(load.commit(&lab.another_store()).unwrap().set, 6);
    for name in places {
        let coding = lab.store.describe(&address(name)).unwrap().unwrap().head.coding;
        let (is_long, is_sealed) = (name.starts_with('a'), name.starts_with('b'));
        assert_eq!((coding.is_compressed(), coding.key().is_some()), (is_long, is_sealed), "{name}");
    }
}

fn what_has_expired_needs_no_key(lab: &Lab) {
    lab.cache("a.b", "1");
    encrypt(lab, "a.b");
    lab.set("a.b.k", SECRET);
    lab.wait(1000);
    assert_eq!(stranger(lab).get(&address("a.b.k")).unwrap(), None);
    let error = stranger(lab).get_even_expired(&address("a.b.k")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let mut removal = Load::new(LoadOptions::default());
    let at = address("a.b.k");
    removal.push(Line::default(), &at.namespace, &at.name, Change::Delete).unwrap();
    removal.commit(&stranger(lab)).unwrap();
}

fn encryption_is_in_the_audit_log(lab: &Lab) {
    encrypt(lab, "a.b");
    encrypt(lab, "a.b");
    lab.store.rotate_key(&namespace("a.b"), None).unwrap();
    lab.store.rewrap_key(&namespace("a.b"), &recipients()).unwrap();
    lab.store.decrypt(&namespace("a.b")).unwrap();
    let events = lab.store.audit_log("", 99).unwrap().into_iter().map(|(_, event)| event);
    let events: Vec<_> = events.map(|event| (event.action, event.target)).collect();
    let expected = ["encrypt", "rotate key", "rewrap key", "decrypt"];
    assert_eq!(events, expected.map(|action| (action.to_owned(), "a.b".to_owned())));
}

/// A compressed value takes the room that it has when it is compressed.
#[test]
fn compressed_values_take_less_room() {
    let lab = Lab::on_sqlite();
    for n in 0..100 {
        lab.set(&format!("a.b.{n}"), b"words that come again ".repeat(1000));
    }
    let kept = "SELECT sum(length(value)) FROM entries";
    let kept: i64 = connect(&lab).query_row(kept, [], |row| row.get(0)).unwrap();
    assert!(kept < 100 * 100, "{kept}");
}

/// Neither the file nor its log, whatever was there before.
#[test]
fn no_value_that_was_encrypted_lies_in_the_files() {
    let lab = Lab::on_sqlite();
    for n in 0..200 {
        lab.set(&format!("a.b.{n}"), [SECRET, n.to_string().as_bytes()].concat());
        lab.set(&format!("a.b.large{n}"), [SECRET.repeat(20), n.to_string().into_bytes()].concat());
    }
    for n in 0..100 {
        lab.delete(&format!("a.b.{n}"));
    }
    assert!(finds(&lab, SECRET));
    encrypt(&lab, "a.b");
    lab.set("a.b.new", SECRET);
    assert!(!finds(&lab, SECRET) && !finds(&lab, &SECRET[7..20]));
    lab.store.decrypt(&namespace("a.b")).unwrap();
    assert!(finds(&lab, SECRET));
}

/// However it was changed, even by somebody who knows the tables.
#[test]
fn encrypted_values_that_are_changed_or_moved_are_damaged() {
    let lab = Lab::on_sqlite();
    encrypt(&lab, "a.b");
    encrypt(&lab, "a.c");
    for key in ["a.b.a", "a.b.b", "a.c.a"] {
        lab.set(key, SECRET);
    }
    for change in [
        "UPDATE entries SET value = (SELECT value FROM entries WHERE name = 'b') WHERE name = 'a' AND ns = 1",
        "UPDATE entries SET value = (SELECT value FROM entries WHERE ns = 2) WHERE name = 'a' AND ns = 1",
        "UPDATE entries SET value = substr(value, 2) WHERE name = 'a' AND ns = 1",
        "UPDATE entries SET coding = coding + 1 WHERE name = 'a' AND ns = 1",
        "UPDATE entries SET coding = coding + 100 WHERE name = 'a' AND ns = 1",
        "UPDATE entries SET coding = 1 WHERE name = 'a' AND ns = 1",
        "UPDATE entries SET size = 1 WHERE name = 'a' AND ns = 1",
        "UPDATE entries SET coding = NULL, value = x'706c61696e', size = 5 WHERE name = 'a' AND ns = 1",
    ] {
        lab.set("a.b.a", SECRET);
        let changed = connect(&lab).execute(change, []).unwrap();
        assert_eq!(changed, 1, "{change}");
        let error = lab.store.get(&address("a.b.a")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{change}");
        assert!(error.to_string().starts_with("a.b.a: "), "{error}");
        let listed = everything_or(&lab.store).unwrap_err();
        assert_eq!(listed.kind(), ErrorKind::Damaged, "{change}");
    }
}

/// What a process that was killed between two steps leaves: some values are sealed and some are not yet.
#[test]
fn what_was_interrupted_is_readable_and_goes_on() {
    let lab = Lab::on_sqlite();
    for n in 0..10 {
        lab.set(&format!("a.b.{n}"), format!("value {n}"));
    }
    let before = everything(&lab.store, &namespace("a.b"));
    let plain_rows: Vec<(String, Vec<u8>)> = rows_of(&lab);
    encrypt(&lab, "a.b");
    for (name, value) in &plain_rows[5..] {
        let row = "UPDATE entries SET value = ?2, coding = NULL WHERE name = ?1";
        connect(&lab).execute(row, (name, value)).unwrap();
    }
    assert_eq!(
        everything_or(&lab.another_store()).unwrap_err().kind(),
        ErrorKind::Damaged,
        "it was finished"
    );
    connect(&lab).execute("UPDATE sys_namespaces SET data_key = -data_key", []).unwrap();
    assert_eq!(everything(&lab.another_store(), &namespace("a.b")), before);
    assert_eq!(lab.store.resume_encryption(&namespace("a.b")).unwrap().values, 5);
    assert_eq!(everything(&lab.another_store(), &namespace("a.b")), before);
    let plain = "SELECT 1 FROM entries WHERE coding IS NULL";
    assert_eq!(connect(&lab).query_row(plain, [], |row| row.get::<_, i64>(0)).optional().unwrap(), None);

    // The same by the command that was interrupted, and not for others.
    connect(&lab).execute("UPDATE sys_namespaces SET data_key = -data_key", []).unwrap();
    let error = lab.store.encrypt(&namespace("a.b"), &Recipients::Passphrase("open".into())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(lab.another_store().encrypt(&namespace("a.b"), &recipients()).unwrap().values, 0);
    let data_key = "SELECT data_key > 0 FROM sys_namespaces";
    assert!(connect(&lab).query_row(data_key, [], |row| row.get::<_, bool>(0)).unwrap());

    // The same on the way back.
    connect(&lab).execute("UPDATE sys_namespaces SET data_key = 0", []).unwrap();
    lab.set("a.b.new", "plain");
    assert_eq!(stranger(&lab).get(&address("a.b.new")).unwrap().unwrap().value, b"plain");
    assert_eq!(lab.store.resume_encryption(&namespace("a.b")).unwrap().values, 10);
    assert_eq!(lab.store.sealing(&namespace("a.b")).unwrap(), Sealing::Never);
    assert_eq!(everything(&stranger(&lab), &namespace("a.b")).len(), 11);
}

fn everything_or(store: &Store) -> prontodb_core::Result<u64> {
    let query = Query { fields: Fields::All, ..Query::default() };
    store.list(&namespace("a.b"), &query, &mut super::Pages::default())
}

/// What a process leaves that was killed while it gave a namespace a new key, for others than before.
#[test]
fn whoever_has_the_new_key_reads_all_that_a_rotation_has_not_come_to() {
    let lab = Lab::on_sqlite();
    let knows = |passphrase: &'static str| {
        lab.another_store().with_unlock(Box::new(move |_| Ok(Secret::Passphrase(passphrase.into()))))
    };
    let open = |passphrase: &str| Recipients::Passphrase(passphrase.into());
    lab.store.encrypt(&namespace("a.b"), &open("old")).unwrap();
    for n in 0..10 {
        lab.set(&format!("a.b.{n}"), format!("value {n}"));
    }
    let before = everything(&knows("old"), &namespace("a.b"));
    let connection = connect(&lab);
    let old_number: i64 =
        connection.query_row("SELECT data_key FROM sys_namespaces", [], |row| row.get(0)).unwrap();
    let interrupted = knows("old");
    connection
        .execute_batch("CREATE TRIGGER cut BEFORE UPDATE ON entries WHEN OLD.name = '5' BEGIN SELECT RAISE(ABORT, 'cut'); END")
        .unwrap();
    interrupted.rotate_key(&namespace("a.b"), Some(&open("new"))).unwrap_err();
    connection.execute_batch("DROP TRIGGER cut").unwrap();
    let keys: i64 = connection.query_row("SELECT count(*) FROM sec_data_keys", [], |row| row.get(0)).unwrap();
    let present: i64 =
        connection.query_row("SELECT data_key FROM sys_namespaces", [], |row| row.get(0)).unwrap();
    assert!(keys == 2 && present < 0 && -present != old_number, "{keys} {present}");
    assert_eq!(everything(&knows("new"), &namespace("a.b")), before);
    assert_eq!(everything_or(&knows("old")).unwrap_err().kind(), ErrorKind::Denied);
    knows("new").set(&address("a.b.new"), SECRET, &SetOptions::default()).unwrap();
    assert_eq!(knows("new").resume_encryption(&namespace("a.b")).unwrap().values, 10);
    assert_eq!(everything(&knows("new"), &namespace("a.b")).len(), 11);
    let keys: i64 = connection.query_row("SELECT count(*) FROM sec_data_keys", [], |row| row.get(0)).unwrap();
    assert_eq!(keys, 1);
}

/// Each namespace asks for what opens it.
#[test]
fn several_passphrases_can_be_asked_for() {
    let lab = Lab::on_sqlite();
    for (name, passphrase) in [("a.b", "one"), ("a.c", "two")] {
        lab.store.encrypt(&namespace(name), &Recipients::Passphrase(passphrase.into())).unwrap();
        lab.set(&format!("{name}.k"), SECRET);
    }
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let answers = ["one", "two"];
    let store = lab.another_store().with_unlock(Box::new(move |_| {
        let number = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Secret::Passphrase(answers[number].into()))
    }));
    for name in ["a.b.k", "a.c.k", "a.b.k"] {
        assert_eq!(store.get(&address(name)).unwrap().unwrap().value, SECRET);
    }
}

/// What is gone needs no key.
#[test]
fn an_empty_namespace_is_freed_from_a_lost_key() {
    let lab = Lab::on_sqlite();
    encrypt(&lab, "a.b");
    lab.set("a.b.k", SECRET);
    let stranger = stranger(&lab);
    assert_eq!(stranger.decrypt(&namespace("a.b")).unwrap_err().kind(), ErrorKind::Denied);
    stranger.write(|writer| writer.delete(&address("a.b.k"), &Condition::default())).unwrap();
    assert_eq!(everything_or(&stranger).unwrap(), 0);
    assert_eq!(stranger.decrypt(&namespace("a.b")).unwrap().values, 0);
    stranger.set(&address("a.b.k"), b"plain", &SetOptions::default()).unwrap();
}

/// The wrapped key is an age file, so that what is encrypted does not depend on this program.
#[test]
fn data_keys_are_wrapped_as_age_files() {
    let lab = Lab::on_sqlite();
    encrypt(&lab, "a.b");
    let record: String =
        connect(&lab).query_row("SELECT record FROM sec_data_keys", [], |row| row.get(0)).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let wrapped = record["wrapped"].as_str().unwrap();
    assert!(wrapped.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"), "{wrapped}");
    assert_eq!(record["recipients"][0], coding::recipients_of(&identity()).unwrap()[0]);
}

fn folder(lab: &Lab) -> &Path {
    match &lab.place {
        Place::File(dir) => dir.path(),
        Place::Memory(_) => panic!("this lab has no files"),
    }
}

pub fn connect(lab: &Lab) -> Connection {
    Connection::open(folder(lab).join("test.prdb")).unwrap()
}

fn rows_of(lab: &Lab) -> Vec<(String, Vec<u8>)> {
    let connection = connect(lab);
    let mut rows = connection.prepare("SELECT name, value FROM entries ORDER BY name").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn files(lab: &Lab) -> impl Iterator<Item = Vec<u8>> {
    let files = fs::read_dir(folder(lab)).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension() != Some(OsStr::new("prdb-shm")));
    files.map(|path| fs::read(path).unwrap()).collect::<Vec<_>>().into_iter()
}

pub fn finds(lab: &Lab, text: &[u8]) -> bool {
    files(lab).any(|file| file.windows(text.len()).any(|part| part == text))
}
