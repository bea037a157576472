//! Operations under an id: whoever tries again changes nothing and hears the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use prontodb_core::auth::{Identity, Role};
use prontodb_core::engine::Catalog;
use prontodb_core::store::{
    Acquired, CacheSettings, Change, Check, Condition, CopyOptions, Fence, HistorySettings, Life, Load,
    LoadOptions, MAX_OP_ID, OnConflict, OpId, Place as Line, Presence, PushOptions, Query, Scope, SetOptions,
    Step, Transacted, Transaction,
};
use prontodb_core::{EntryName, Error, ErrorKind, Listing, Result, Store, Version};

use super::coding::recipients;
use super::{Lab, Place, address, namespace, ttl};

on_each_engine! {
    a_retry_changes_nothing_and_hears_the_same
    the_same_id_for_another_request_is_a_conflict
    what_was_refused_is_refused_again
    what_is_missing_is_missing_again
    what_failed_otherwise_is_tried_anew
    ids_of_two_users_are_two
    whoever_may_nothing_hears_no_answer
    a_lease_that_has_ended_holds_up_nothing_that_is_done
    locks_are_granted_once
    items_are_pushed_and_claimed_once
    what_is_open_is_tried_anew
    loads_are_made_once
    many_entries_are_removed_once
    changes_are_taken_back_once
    a_transaction_is_done_once
    what_is_not_remembered_is_refused
    operations_are_forgotten_after_a_day
    no_more_than_so_many_are_remembered
    no_more_bytes_than_so_many_are_remembered
    values_of_claims_that_are_over_are_forgotten
    answers_that_are_too_long_are_refused
    values_of_encrypted_namespaces_are_sealed
    an_answer_whose_key_is_gone_is_forgotten_and_never_given_twice
    what_is_told_of_values_is_forgotten_before_they_are_encrypted
    many_at_once_do_it_once
    ids_are_checked
}

fn under(lab: &Lab, id: &str) -> Store {
    lab.another_store().with_op(Some(OpId::new(id, None).unwrap()))
}

#[track_caller]
fn conflict<T: std::fmt::Debug>(result: Result<T>, says: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

/// The records of a catalog.
fn kept(lab: &Lab, catalog: Catalog) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    lab.change(|txn| {
        kept = txn.records(catalog, "", 1_000_000)?;
        Ok(())
    });
    kept
}

/// What is done with a store, and what is heard, as text.
type Deed = (&'static str, Box<dyn Fn(&Store) -> Result<String>>);

fn deed<T: std::fmt::Debug>(name: &'static str, deed: impl Fn(&Store) -> Result<T> + 'static) -> Deed {
    (name, Box::new(move |store| deed(store).map(|answer| format!("{answer:?}"))))
}

/// A deed of each kind, in a lab with the entries a.b.k and a.b.n.
fn deeds() -> Vec<Deed> {
    let old = || SetOptions { want_old: true, ..SetOptions::default() };
    vec![
        deed("set", move |store| store.set(&address("a.b.k"), b"\xff", &old())),
        deed("incr", |store| store.increment(&address("a.b.n"), 3)),
        deed("append", |store| store.append(&address("a.b.k"), b"tail")),
        deed("touch", |store| store.touch(&address("a.b.k"), None)),
        deed("copy", |store| store.copy(&address("a.b.k"), &address("a.b.m"), CopyOptions::default())),
        deed("metakey", |store| store.set_metakey(&address("a.b.k"), "owner", "ann")),
        deed("push", |store| store.push(&namespace("a.q"), b"job", &PushOptions::default())),
        deed("claim", |store| store.claim(&namespace("a.q"), ttl(1000))),
        deed("load", |store| load(store, &[("x", Some(b"1"))])),
        deed("del", |store| {
            store.delete(&[address("a.b.m"), address("a.b.no")], &Condition::default(), false)
        }),
        deed("matching", |store| store.delete_matching(&namespace("a.b"), &Query::default())),
    ]
}

fn load(store: &Store, changes: &[(&str, Option<&[u8]>)]) -> Result<u64> {
    let mut load = Load::new(LoadOptions { on_conflict: OnConflict::Fail, ..LoadOptions::default() });
    for (name, value) in changes {
        let change = value.map_or(Change::Delete, |value| Change::Set { value, life: Life::Default });
        load.push(Line::default(), &namespace("a.c"), &EntryName::parse(name).unwrap(), change)?;
    }
    Ok(load.commit(store)?.set)
}

fn a_retry_changes_nothing_and_hears_the_same(lab: &Lab) {
    lab.set("a.b.k", "v");
    lab.set("a.b.n", "1");
    for (name, deed) in deeds() {
        let heard = deed(&under(lab, name)).unwrap();
        let revision = lab.store.revision().unwrap();
        lab.wait(1);
        for _ in 0..2 {
            assert_eq!(deed(&under(lab, name)).unwrap(), heard, "{name}");
        }
        assert_eq!(lab.store.revision().unwrap(), revision, "{name}");
    }
    // Whatever came after, the first answer stands.
    for (name, deed) in deeds().into_iter().filter(|(name, _)| *name != "claim") {
        let revision = lab.store.revision().unwrap();
        deed(&under(lab, name)).unwrap();
        assert_eq!(lab.store.revision().unwrap(), revision, "{name}");
    }
}

fn the_same_id_for_another_request_is_a_conflict(lab: &Lab) {
    lab.set("a.b.k", "v");
    lab.set("a.b.n", "1");
    for (name, deed) in deeds() {
        deed(&under(lab, name)).unwrap();
    }
    let before = lab.store.revision().unwrap();
    for (name, deed) in deeds() {
        for (other, _) in deeds().iter().filter(|(other, _)| *other != name && *other != "claim") {
            conflict(deed(&under(lab, other)), "was used for another operation");
        }
    }
    let set =
        |value: &[u8], at: &str, options: &SetOptions| under(lab, "one").set(&address(at), value, options);
    set(b"1", "a.b.k", &SetOptions::default()).unwrap();
    let old = SetOptions { want_old: true, ..SetOptions::default() };
    let present = Condition { presence: Some(Presence::Present), ..Condition::default() };
    let present = SetOptions { condition: present, ..SetOptions::default() };
    conflict(set(b"2", "a.b.k", &SetOptions::default()), "another operation");
    conflict(set(b"1", "a.b.kk", &SetOptions::default()), "another operation");
    conflict(set(b"1", "a.bb.k", &SetOptions::default()), "another operation");
    conflict(set(b"1", "a.b.k", &old), "another operation");
    let nothing = Condition { version: Some(Version(0)), ..Condition::default() };
    let nothing = SetOptions { condition: nothing, ..SetOptions::default() };
    conflict(set(b"1", "a.b.k", &nothing), "another operation");
    conflict(set(b"1", "a.b.k", &present), "another operation");
    assert_eq!(lab.store.revision().unwrap().0, before.0 + 1);
    assert_eq!(lab.value("a.b.k").unwrap(), b"1");
}

fn what_was_refused_is_refused_again(lab: &Lab) {
    let absent = Condition { presence: Some(Presence::Absent), ..Condition::default() };
    let options = SetOptions { condition: absent, ..SetOptions::default() };
    lab.set("a.b.k", "v");
    let set = || under(lab, "s").set(&address("a.b.k"), b"new", &options);
    let heard = set().unwrap_err().to_string();
    assert!(lab.delete("a.b.k"));
    conflict(set(), &heard);
    assert_eq!(lab.value("a.b.k"), None);
    // Under another id it is another operation.
    under(lab, "t").set(&address("a.b.k"), b"new", &options).unwrap();
    conflict(
        load(&under(lab, "l"), &[("x", Some(b"1")), ("y", Some(b"1"))])
            .and(load(&under(lab, "l2"), &[("x", Some(b"2"))])),
        "there already",
    );
    assert!(lab.store.delete_matching(&namespace("a.c"), &Query::default()).unwrap() > 0);
    conflict(load(&under(lab, "l2"), &[("x", Some(b"2"))]), "there already");
}

fn what_is_missing_is_missing_again(lab: &Lab) {
    let (all, none) = ([address("a.b.k"), address("a.b.gone")], Condition::default());
    lab.set("a.b.k", "v");
    let strict = || under(lab, "d").delete(&all, &none, true).unwrap();
    assert_eq!((strict().absent, strict().removed), (Some(1), 0));
    assert_eq!(lab.value("a.b.k").unwrap(), b"v", "nothing is removed where one is missing");
    lab.set("a.b.gone", "v");
    assert_eq!(strict().absent, Some(1));
    let touch = |at: &str, id: &str| under(lab, id).touch(&address(at), None).unwrap();
    assert_eq!(touch("a.b.no", "t"), None);
    lab.set("a.b.no", "v");
    assert_eq!(touch("a.b.no", "t"), None);
    assert!(touch("a.b.no", "t2").is_some());
    assert!(!under(lab, "r").revive(&namespace("a.q"), "7").unwrap());
}

fn what_failed_otherwise_is_tried_anew(lab: &Lab) {
    lab.set("a.b.n", "no number");
    let incr = || under(lab, "i").increment(&address("a.b.n"), 1);
    assert_eq!(incr().unwrap_err().kind(), ErrorKind::Invalid);
    lab.set("a.b.n", "7");
    assert_eq!(incr().unwrap(), 8);
    assert_eq!(incr().unwrap(), 8);
    let timed = || under(lab, "t").touch(&address("a.b.n"), Some(ttl(5)));
    assert_eq!(timed().unwrap_err().kind(), ErrorKind::NoTtl);
    lab.cache("a.b", "timeout=60");
    assert!(timed().unwrap().is_some());
}

fn ids_of_two_users_are_two(lab: &Lab) {
    let incr = |store: Store| store.increment(&address("a.b.n"), 1).unwrap();
    let named = |user: Option<&str>| lab.another_store().with_op(Some(OpId::new("1", user).unwrap()));
    let proved = |user: &str| named(None).act_as(Identity::vouched_for(user, Some(Role::Admin), Vec::new()));
    for _ in 0..2 {
        let heard =
            [named(None), named(Some("ann")), named(Some("bob")), proved("ann"), proved("bob")].map(incr);
        assert_eq!(heard, [1, 2, 3, 4, 5]);
    }
}

fn whoever_may_nothing_hears_no_answer(lab: &Lab) {
    let sam = |role| under(lab, "1").act_as(Identity::vouched_for("sam", role, Vec::new()));
    let incr = |role| sam(role).increment(&address("a.b.n"), 1);
    assert_eq!(incr(Some(Role::Write)).unwrap(), 1);
    assert_eq!(incr(None).unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(incr(Some(Role::Read)).unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(incr(Some(Role::Write)).unwrap(), 1);
}

fn a_lease_that_has_ended_holds_up_nothing_that_is_done(lab: &Lab) {
    let Acquired::Granted(lock) = lab.store.acquire_lock("l", ttl(1000)).unwrap() else { panic!() };
    let incr = |id: &str| under(lab, id).with_fence(Some(lock.fence)).increment(&address("a.b.n"), 1);
    assert_eq!(incr("1").unwrap(), 1);
    lab.wait(1000);
    assert_eq!(incr("1").unwrap(), 1);
    conflict(incr("2"), "the lease of the token");
    // That was no answer to the operation: whoever has the lock by now may do it.
    assert_eq!(under(lab, "2").increment(&address("a.b.n"), 1).unwrap(), 2);
}

fn locks_are_granted_once(lab: &Lab) {
    let acquire = |id: &str| under(lab, id).acquire_lock("l", ttl(1000));
    let Acquired::Granted(first) = acquire("1").unwrap() else { panic!() };
    lab.wait(400);
    let Acquired::Granted(again) = acquire("1").unwrap() else { panic!() };
    assert_eq!((again.fence, again.left.as_millis()), (first.fence, 600));
    assert!(matches!(acquire("2").unwrap(), Acquired::Held(_)));
    let renew = || under(lab, "r").renew_lock("l", first.fence, ttl(2000));
    assert_eq!(renew().unwrap().left.as_millis(), 2000);
    lab.wait(500);
    assert_eq!(renew().unwrap().left.as_millis(), 1500, "another try renews nothing");
    lab.wait(1500);
    // Nobody is told that they hold what they do not hold any more.
    conflict(acquire("1"), "the lease of the token");
    conflict(renew(), "the lease of the token");
    let Acquired::Granted(second) = acquire("2").unwrap() else { panic!() };
    let release = || under(lab, "x").release_lock("l", second.fence);
    release().unwrap();
    let Acquired::Granted(_) = acquire("3").unwrap() else { panic!() };
    release().unwrap();
    assert_eq!(lab.store.locks().unwrap().len(), 1);
}

fn items_are_pushed_and_claimed_once(lab: &Lab) {
    let queue = namespace("a.q");
    let push = |id: &str| under(lab, id).push(&queue, b"job", &PushOptions::default()).unwrap();
    assert_eq!(push("p"), push("p"));
    assert_ne!(push("p"), push("p2"));
    let claim = |id: &str| under(lab, id).claim(&queue, ttl(1000));
    let first = claim("c").unwrap().unwrap();
    assert_eq!(claim("c").unwrap().unwrap(), first);
    assert_eq!(claim("c2").unwrap().unwrap().id, push("p2"));
    let extend = || under(lab, "e").extend(&queue, first.fence, ttl(3000));
    extend().unwrap();
    lab.wait(1500);
    extend().unwrap();
    let ack = || under(lab, "a").ack(&queue, first.fence);
    ack().unwrap();
    ack().unwrap();
    conflict(claim("c"), "the lease of the token");
    let second = claim("c3").unwrap().unwrap();
    let nack = || under(lab, "n").nack(&queue, second.fence, None).unwrap();
    assert_eq!(nack(), nack());
    let third = claim("c4").unwrap().unwrap();
    assert_eq!((third.id.as_str(), third.tries), (second.id.as_str(), 3));
    assert_eq!(nack(), nack());
    lab.store.hand_on(&queue, third.fence, "ann", "").unwrap();
}

fn what_is_open_is_tried_anew(lab: &Lab) {
    let queue = namespace("a.q");
    assert_eq!(under(lab, "c").claim(&queue, ttl(1000)).unwrap(), None);
    lab.store.push(&queue, b"job", &PushOptions::default()).unwrap();
    assert!(under(lab, "c").claim(&queue, ttl(1000)).unwrap().is_some());
    lab.store.acquire_lock("l", ttl(500)).unwrap();
    assert!(matches!(under(lab, "l").acquire_lock("l", ttl(1000)).unwrap(), Acquired::Held(_)));
    lab.wait(500);
    assert!(matches!(under(lab, "l").acquire_lock("l", ttl(1000)).unwrap(), Acquired::Granted(_)));
}

fn loads_are_made_once(lab: &Lab) {
    let two = |store: &Store, value: &[u8], spilled: bool| {
        let folder = spilled.then(std::env::temp_dir);
        let options = LoadOptions { spill_folder: folder, memory_bytes: 64, ..LoadOptions::default() };
        let mut load = Load::new(options);
        for (place, name) in [("a.x", "k"), ("a.y", "k"), ("a.x", "l")] {
            let change = Change::Set { value, life: Life::Default };
            load.push(Line::default(), &namespace(place), &EntryName::parse(name).unwrap(), change)?;
        }
        load.commit(store)
    };
    let revision = |lab: &Lab| lab.store.revision().unwrap().0;
    let before = revision(lab);
    let heard = two(&under(lab, "1"), b"v", true).unwrap();
    assert_eq!((heard.set, revision(lab)), (3, before + 1), "all of it is one transaction");
    assert_eq!(two(&under(lab, "1"), b"v", true).unwrap(), heard);
    conflict(two(&under(lab, "1"), b"w", true), "another operation");
    assert_eq!(revision(lab), before + 1);
    // In a full cache another order is another result.
    let in_order = |names: [&str; 2]| load(&under(lab, "2"), &names.map(|name| (name, Some(&b"v"[..]))));
    in_order(["a", "b"]).unwrap();
    conflict(in_order(["b", "a"]), "another operation");
}

fn many_entries_are_removed_once(lab: &Lab) {
    let query = |prefix: &str| Query { prefix: prefix.to_owned(), ..Query::default() };
    let remove = |prefix: &str| under(lab, "1").delete_matching(&namespace("a.b"), &query(prefix));
    lab.set_all("a.b", ["x1", "x2", "y"], "v");
    assert_eq!(remove("x").unwrap(), 2);
    lab.set("a.b.x3", "v");
    assert_eq!(remove("x").unwrap(), 2);
    assert_eq!(lab.names("a.b"), ["x3", "y"]);
    conflict(remove("y"), "another operation");
    lab.set_all("a.many", (0..10_001).map(|number| format!("k{number}")), "v");
    let all = || under(lab, "2").delete_matching(&namespace("a.many"), &query(""));
    assert_eq!(all().unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(lab.names("a.many").len(), 10_001);
    assert!(lab.delete("a.many.k0"));
    assert_eq!((all().unwrap(), all().unwrap()), (10_000, 10_000));
}

fn changes_are_taken_back_once(lab: &Lab) {
    lab.set("a.b.k", "1");
    lab.store.set_history(&namespace("a.b"), &HistorySettings::parse("history=9").unwrap()).unwrap();
    let ann = lab.another_store().with_writer(Some("ann".to_owned()));
    for value in ["2", "3", "4"] {
        ann.set(&address("a.b.k"), value.as_bytes(), &SetOptions::default()).unwrap();
    }
    let undone = under(lab, "1").undo(&address("a.b.k"), false).unwrap();
    assert_eq!((lab.value("a.b.k").unwrap(), &undone.address), (b"3".to_vec(), &address("a.b.k")));
    let scope = |listing| Scope { listing, default_project: "default".to_owned(), context: None };
    let last = |id: &str, listing| under(lab, id).undo_last(&scope(listing), "ann", 1, false);
    lab.set("a.b.k", "5");
    // Whoever has not heard of it would take back the undo, or what somebody else has written.
    assert_eq!(under(lab, "1").undo(&address("a.b.k"), false).unwrap(), undone);
    assert_eq!(lab.value("a.b.k").unwrap(), b"5");
    conflict(last("2", Listing::All), "a.b.k");
    ann.set(&address("a.b.k"), b"6", &SetOptions::default()).unwrap();
    conflict(last("2", Listing::All), "a.b.k");
    let taken = last("3", Listing::All).unwrap();
    assert_eq!((last("3", Listing::All).unwrap(), lab.value("a.b.k").unwrap()), (taken, b"5".to_vec()));
    for other in [Listing::Project("a".to_owned()), Listing::StartingWith("a".to_owned())] {
        conflict(last("3", other), "another operation");
    }
    conflict(under(lab, "1").undo(&address("a.b.x"), false), "another operation");
}

fn a_transaction_is_done_once(lab: &Lab) {
    let transaction = |id: &str| {
        let condition = Condition { presence: Some(Presence::Absent), ..Condition::default() };
        let transaction = Transaction {
            checks: vec![Check { address: address("a.b.lock"), condition }],
            then: vec![
                Step::Increment { address: address("a.b.n"), by: 1 },
                Step::Get(address("a.b.n")),
                Step::Set { address: address("a.b.lock"), value: b"\xff".to_vec(), ttl: None },
            ],
            otherwise: vec![address("a.b.lock")],
        };
        under(lab, id).transaction(&transaction).unwrap()
    };
    let done = transaction("1");
    assert!(matches!(done, Transacted::Done { .. }));
    assert_eq!(transaction("1"), done);
    let refused = transaction("2");
    assert!(matches!(&refused, Transacted::Refused { otherwise, .. } if otherwise[0].is_some()));
    assert!(lab.delete("a.b.lock"));
    assert_eq!(transaction("2"), refused);
    assert_eq!(lab.value("a.b.n").unwrap(), b"1");
}

fn what_is_not_remembered_is_refused(lab: &Lab) {
    lab.set("a.b.k", "v");
    let store = under(lab, "1");
    let refused = [
        store.write(|writer| writer.increment(&address("a.b.n"), 1)).map(drop),
        store.create_cache(&namespace("a.b"), &CacheSettings::parse("timeout=5").unwrap()).map(drop),
        store.drop_namespace(&namespace("a.b")).map(drop),
        store.collect_garbage().map(drop),
    ];
    for result in refused {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(lab.names("a.b"), ["k"]);
}

fn operations_are_forgotten_after_a_day(lab: &Lab) {
    let incr = |id: &str| under(lab, id).increment(&address("a.b.n"), 1).unwrap();
    for id in 0..20 {
        incr(&format!("old{id}"));
    }
    lab.wait(24 * 60 * 60 * 1000 - 1);
    assert_eq!(incr("old0"), 1);
    incr("young");
    assert_eq!(kept(lab, Catalog::Ops).len(), 21);
    lab.wait(1);
    for id in 0..10 {
        incr(&format!("new{id}"));
    }
    assert_eq!(kept(lab, Catalog::Ops).len(), 11, "each removes more than it adds");
    assert_eq!(kept(lab, Catalog::OpAges).len(), 12, "and the tally");
    assert_eq!(incr("old0"), 32);
    lab.wait(3 * 24 * 60 * 60 * 1000);
    lab.store.collect_garbage().unwrap();
    assert_eq!(
        (kept(lab, Catalog::Ops).len(), kept(lab, Catalog::OpAges)[0].1.as_str()),
        (0, r#"{"count":0}"#)
    );
}

fn no_more_than_so_many_are_remembered(lab: &Lab) {
    let incr = |id: &str| under(lab, id).increment(&address("a.b.n"), 1).unwrap();
    for id in ["1", "2", "3"] {
        incr(id);
        lab.wait(1);
    }
    // As if there had been so many of them.
    lab.change(|txn| txn.put_record(Catalog::OpAges, "tally", r#"{"count":99999}"#));
    incr("4");
    assert_eq!(incr("1"), 1);
    incr("5");
    incr("6");
    let ids: Vec<_> = kept(lab, Catalog::Ops).into_iter().map(|(key, _)| key).collect();
    assert_eq!(ids, ["n\u{1}3", "n\u{1}4", "n\u{1}5", "n\u{1}6"]);
    assert_eq!((incr("3"), incr("1")), (3, 7));
}

/// The tally of what is remembered, in bytes.
fn tally(lab: &Lab) -> u64 {
    let ages = kept(lab, Catalog::OpAges);
    let tally: serde_json::Value = serde_json::from_str(&ages.last().unwrap().1).unwrap();
    tally["bytes"].as_u64().unwrap_or_default()
}

fn no_more_bytes_than_so_many_are_remembered(lab: &Lab) {
    let old = SetOptions { want_old: true, ..SetOptions::default() };
    let incr = |id: &str| under(lab, id).increment(&address("a.b.n"), 1).unwrap();
    for id in 10..40 {
        incr(&id.to_string());
        lab.wait(1);
    }
    let each = tally(lab) / 30;
    lab.set("a.b.k", vec![b'x'; 1000]);
    // As if there was room for a few more like that, but not for a value.
    let filled = 64 * 1024 * 1024 - 2 * each;
    lab.change(|txn| {
        txn.put_record(Catalog::OpAges, "tally", &format!(r#"{{"count":30,"bytes":{filled}}}"#))
    });
    under(lab, "long").set(&address("a.b.k"), b"short", &old).unwrap();
    let ids: Vec<_> = kept(lab, Catalog::Ops).into_iter().map(|(key, _)| key).collect();
    assert!((15..28).contains(&ids.len()) && ids.contains(&"n\u{1}long".to_owned()), "{ids:?}");
    assert!(!ids.contains(&"n\u{1}10".to_owned()) && ids.contains(&"n\u{1}39".to_owned()), "{ids:?}");
    assert!((filled..=64 * 1024 * 1024).contains(&tally(lab)), "{}", tally(lab));
    assert_eq!(incr("39"), 30, "it is remembered");
    lab.wait(24 * 60 * 60 * 1000);
    lab.store.collect_garbage().unwrap();
    assert_eq!((kept(lab, Catalog::Ops).len(), kept(lab, Catalog::OpAges).len()), (0, 1));
}

fn values_of_claims_that_are_over_are_forgotten(lab: &Lab) {
    const VALUE: &str = "a value that is quite long, longer than anything else that is told of a claim";
    for (name, is_sealed) in [("a.q", false), ("a.sealed", true)] {
        if is_sealed {
            encrypt(lab, name);
        }
        let queue = namespace(name);
        let claim = |id: &str| under(lab, &format!("{name}-{id}")).claim(&queue, ttl(1000));
        let push = || lab.store.push(&queue, VALUE.as_bytes(), &PushOptions::default()).unwrap();
        let end: [fn(&Store, &prontodb_core::Namespace, Fence); 5] = [
            |store, queue, fence| store.ack(queue, fence).unwrap(),
            |store, queue, fence| drop(store.nack(queue, fence, None).unwrap()),
            |store, queue, fence| store.hand_on(queue, fence, "ann", "").unwrap(),
            |store, queue, fence| store.unclaim(queue, fence).unwrap(),
            |_, _, _| {},
        ];
        for (number, end) in end.into_iter().enumerate() {
            push();
            let id = number.to_string();
            let claimed = claim(&id).unwrap().unwrap();
            assert_eq!(claim(&id).unwrap().unwrap(), claimed);
            let before = tally(lab);
            end(&lab.store, &queue, claimed.fence);
            if number == 4 {
                lab.wait(1000);
                assert!(lab.store.claim(&queue, ttl(1)).unwrap().is_some());
            }
            assert!(tally(lab) + VALUE.len() as u64 <= before, "{number}: {} {before}", tally(lab));
            conflict(claim(&id), "the lease of the token");
            lab.store.drop_namespace(&queue).unwrap();
            if is_sealed {
                encrypt(lab, name);
            }
        }
    }
    assert!(!told(lab).contains(&base64_of(VALUE)) && told(lab).len() < 12_000, "{}", told(lab).len());
    assert!(lab.store.check(false).unwrap().problems.is_empty());
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn answers_that_are_too_long_are_refused(lab: &Lab) {
    let long = vec![b'x'; 1024 * 1024];
    lab.set("a.b.k", &long);
    let old = SetOptions { want_old: true, ..SetOptions::default() };
    let set = |id: &str| under(lab, id).set(&address("a.b.k"), b"short", &old);
    assert_eq!(set("1").unwrap().old.unwrap().value, long);
    assert_eq!(set("1").unwrap().old.unwrap().value, long);
    lab.set("a.b.k", vec![b'x'; 1024 * 1024 + 256 * 1024]);
    assert_eq!(set("2").unwrap_err().kind(), ErrorKind::Limit);
    assert_ne!(lab.value("a.b.k").unwrap(), b"short");
}

const SECRET: &str = "a text that nobody else may read";

/// What catalogs tell of operations.
fn told(lab: &Lab) -> String {
    kept(lab, Catalog::Ops).into_iter().map(|(_, record)| record).collect()
}

fn encrypt(lab: &Lab, name: &str) {
    lab.store.encrypt(&namespace(name), &recipients()).unwrap();
}

fn stranger(lab: &Lab, id: &str) -> Store {
    under(lab, id)
        .with_unlock(Box::new(|lock| Err(Error::new(ErrorKind::Denied, format!("{lock} is needed")))))
}

fn values_of_encrypted_namespaces_are_sealed(lab: &Lab) {
    encrypt(lab, "a.b");
    encrypt(lab, "a.c");
    lab.set("a.b.k", SECRET);
    let old = SetOptions { want_old: true, ..SetOptions::default() };
    let set = |store: Store| store.set(&address("a.b.k"), b"yes", &old);
    let heard = set(under(lab, "1")).unwrap();
    assert_eq!(heard.old.as_ref().unwrap().value, SECRET.as_bytes());
    assert_eq!(set(under(lab, "1")).unwrap(), heard);
    assert_eq!(set(stranger(lab, "1")).unwrap_err().kind(), ErrorKind::Denied);
    conflict(under(lab, "1").set(&address("a.b.k"), b"no", &old), "another operation");
    // It takes both keys to hear what was done in two namespaces.
    let copy = || {
        let (from, to) = (address("a.b.k"), address("a.c.k"));
        let then = vec![Step::Copy { from, to }, Step::Get(address("a.c.k"))];
        under(lab, "2").transaction(&Transaction { then, ..Transaction::default() }).unwrap()
    };
    assert_eq!(copy(), copy());
    let records = told(lab);
    assert!(
        records.contains("sealed") && !records.contains("told") && !records.contains("digest"),
        "{records}"
    );
    assert!(!records.contains(SECRET));
    // What tells no value needs no key.
    let gone =
        |store: Store| store.delete(&[address("a.b.k")], &Condition::default(), false).unwrap().removed;
    assert_eq!((gone(stranger(lab, "3")), gone(stranger(lab, "3"))), (1, 1));
}

fn an_answer_whose_key_is_gone_is_forgotten_and_never_given_twice(lab: &Lab) {
    encrypt(lab, "a.b");
    let incr = || under(lab, "1").increment(&address("a.b.n"), 1);
    assert_eq!((incr().unwrap(), incr().unwrap()), (1, 1));
    lab.store.rotate_key(&namespace("a.b"), None).unwrap();
    conflict(incr(), "is forgotten, with the key");
    assert_eq!(lab.value("a.b.n").unwrap(), b"1");
    let push = || under(lab, "2").append(&address("a.b.k"), b"x");
    push().unwrap();
    lab.store.drop_namespace(&namespace("a.b")).unwrap();
    conflict(push(), "is forgotten, with the key");
    assert_eq!(lab.value("a.b.k"), None);
}

fn what_is_told_of_values_is_forgotten_before_they_are_encrypted(lab: &Lab) {
    let old = SetOptions { want_old: true, ..SetOptions::default() };
    lab.set("a.b.k", SECRET);
    lab.set("a.c.k", SECRET);
    let set = |at: &str| under(lab, at).set(&address(at), b"yes", &old);
    let other = set("a.c.k").unwrap();
    set("a.b.k").unwrap();
    let in_base64 = "YSB0ZXh0IHRoYXQgbm9ib2R5IGVsc2UgbWF5IHJlYWQ=";
    assert_eq!(told(lab).matches(in_base64).count(), 2);
    encrypt(lab, "a.b");
    assert_eq!(told(lab).matches(in_base64).count(), 1);
    conflict(set("a.b.k"), "is forgotten");
    assert_eq!(lab.value("a.b.k").unwrap(), b"yes");
    assert_eq!(set("a.c.k").unwrap(), other);
    if let Place::File(dir) = &lab.place {
        lab.store.delete_matching(&namespace("a.c"), &Query::default()).unwrap();
        encrypt(lab, "a.c");
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let found = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found(in_base64) && !found(SECRET), "nothing of it is left on disk");
        }
    }
}

fn many_at_once_do_it_once(lab: &Lab) {
    let heard = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            let stores: Vec<_> = (0..25).map(|id| under(lab, &id.to_string())).collect();
            let heard = &heard;
            scope.spawn(move || {
                for store in stores {
                    let sum = store.increment(&address("a.b.n"), 1).unwrap();
                    heard.fetch_add(sum.unsigned_abs(), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(lab.value("a.b.n").unwrap(), b"25");
    assert_eq!(heard.into_inner(), 4 * (1..=25).sum::<u64>(), "each sum was heard four times");
}

fn ids_are_checked(lab: &Lab) {
    for id in ["", "a\nb", "\u{1}", "\u{85}", &"x".repeat(MAX_OP_ID + 1)] {
        assert_eq!(OpId::new(id, None).unwrap_err().kind(), ErrorKind::Invalid, "{id:?}");
    }
    for id in ["x", " ", "--", "'; DROP TABLE sys_ops", "ä/../%00", &"x".repeat(MAX_OP_ID)] {
        let incr = || under(lab, id).increment(&address("a.b.n"), 1).unwrap();
        assert_eq!(incr(), incr(), "{id:?}");
    }
    // A user and an id are never taken for another pair.
    let incr = |user: &str, id: &str| {
        let op = OpId::new(id, Some(user)).unwrap();
        lab.another_store().with_op(Some(op)).increment(&address("a.b.m"), 1).unwrap()
    };
    assert_eq!([incr("ab", "c"), incr("a", "bc"), incr("ab", "c")], [1, 2, 1]);
}
