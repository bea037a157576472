//! Queues: each item has one worker at a time and is done once, whoever dies; in the order of priority and age.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use prontodb_core::engine::Catalog;
use prontodb_core::store::{Claimed, Fence, PushOptions, QueuePlace, SetOptions};
use prontodb_core::{ErrorKind, Millis, Store};

use super::{Lab, START, address, namespace, ttl};

on_each_engine! {
    items_come_by_priority_and_age
    an_item_has_one_worker_until_the_claim_ends
    what_is_done_is_gone_and_what_is_given_back_comes_again
    items_that_nobody_manages_are_dead_until_they_are_revived
    delayed_items_wait_until_their_time_has_come
    writes_of_a_worker_whose_claim_has_ended_are_refused
    tokens_of_others_are_refused
    what_is_deleted_is_handed_to_nobody_and_leaves_nothing
    machines_that_start_anew_give_all_claims_back
    an_item_that_is_handed_on_is_for_one_user_alone
    an_item_that_nobody_has_seen_was_not_claimed
    whoever_works_under_a_lease_that_has_ended_gets_no_item
    of_many_items_that_are_due_the_first_comes_first
    many_claims_that_lapse_are_brought_back
    an_item_whose_last_claim_has_lapsed_can_be_revived
    what_cannot_be_read_keeps_no_other_item_back
    many_workers_do_each_item_once
}

fn push(lab: &Lab, value: &str) -> String {
    lab.store.push(&namespace("p.q"), value.as_bytes(), &PushOptions::default()).unwrap()
}

fn push_with(lab: &Lab, value: &str, options: PushOptions) -> String {
    lab.store.push(&namespace("p.q"), value.as_bytes(), &options).unwrap()
}

fn claim(store: &Store) -> Option<Claimed> {
    store.claim(&namespace("p.q"), ttl(1000)).unwrap()
}

/// The value of the next item.
fn next(lab: &Lab) -> Option<String> {
    claim(&lab.store).map(|claimed| String::from_utf8(claimed.value).unwrap())
}

fn places(lab: &Lab) -> Vec<QueuePlace> {
    lab.store.items(&namespace("p.q")).unwrap().into_iter().map(|item| item.place).collect()
}

#[track_caller]
fn is_conflict<T: std::fmt::Debug>(result: prontodb_core::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict);
}

fn items_come_by_priority_and_age(lab: &Lab) {
    assert_eq!(next(lab), None);
    let priority = |priority| PushOptions { priority, ..PushOptions::default() };
    push(lab, "1");
    push_with(lab, "low", priority(0));
    push(lab, "2");
    push_with(lab, "high", priority(255));
    push(lab, "3");
    let listed = lab.store.items(&namespace("p.q")).unwrap();
    let values: Vec<_> = listed.iter().map(|item| lab.value(&format!("p.q.{}", item.id)).unwrap()).collect();
    assert_eq!(values, [&b"high"[..], b"1", b"2", b"3", b"low"]);
    for value in ["high", "1", "2", "3", "low"] {
        assert_eq!(next(lab).as_deref(), Some(value));
    }
    assert_eq!(next(lab), None);
}

fn an_item_has_one_worker_until_the_claim_ends(lab: &Lab) {
    let id = push(lab, "job");
    let first = claim(&lab.store).unwrap();
    assert_eq!((first.id.as_str(), first.tries, first.value.as_slice()), (id.as_str(), 1, &b"job"[..]));
    assert_eq!(places(lab), [QueuePlace::Claimed(first.fence)]);
    lab.wait(999);
    assert_eq!(claim(&lab.another_store()), None);
    lab.store.extend(&namespace("p.q"), first.fence, ttl(1000)).unwrap();
    lab.wait(999);
    assert_eq!(claim(&lab.another_store()), None);
    lab.wait(1);
    assert_eq!(places(lab), [QueuePlace::Ready]);
    let second = claim(&lab.another_store()).unwrap();
    assert_eq!((second.id, second.tries), (id, 2));
    assert!(second.fence > first.fence);
    is_conflict(lab.store.ack(&namespace("p.q"), first.fence));
    is_conflict(lab.store.extend(&namespace("p.q"), first.fence, ttl(1000)));
    lab.store.ack(&namespace("p.q"), second.fence).unwrap();
}

fn what_is_done_is_gone_and_what_is_given_back_comes_again(lab: &Lab) {
    let id = push(lab, "job");
    push(lab, "other");
    let first = claim(&lab.store).unwrap();
    assert_eq!(lab.store.nack(&namespace("p.q"), first.fence, None).unwrap(), QueuePlace::Ready);
    is_conflict(lab.store.nack(&namespace("p.q"), first.fence, None));
    // It is as old as before.
    let again = claim(&lab.store).unwrap();
    assert_eq!((&again.id, again.tries), (&id, 2));
    lab.store.ack(&namespace("p.q"), again.fence).unwrap();
    is_conflict(lab.store.ack(&namespace("p.q"), again.fence));
    assert_eq!(lab.value(&format!("p.q.{id}")), None);
    assert_eq!(next(lab).as_deref(), Some("other"));
    assert_eq!(next(lab), None);
}

fn items_that_nobody_manages_are_dead_until_they_are_revived(lab: &Lab) {
    let id = push_with(lab, "job", PushOptions { tries: 2, ..PushOptions::default() });
    let first = claim(&lab.store).unwrap();
    assert_eq!(lab.store.nack(&namespace("p.q"), first.fence, None).unwrap(), QueuePlace::Ready);
    let second = claim(&lab.store).unwrap();
    assert_eq!(lab.store.nack(&namespace("p.q"), second.fence, Some(ttl(5))).unwrap(), QueuePlace::Dead);
    assert_eq!((next(lab), places(lab)), (None, vec![QueuePlace::Dead]));
    // The value is there still.
    assert_eq!(lab.value(&format!("p.q.{id}")).unwrap(), b"job");
    assert!(!lab.store.revive(&namespace("p.q"), "none").unwrap());
    assert!(lab.store.revive(&namespace("p.q"), &id).unwrap());
    assert!(!lab.store.revive(&namespace("p.q"), &id).unwrap());
    // A claim that lapses is one that came to nothing.
    assert_eq!(claim(&lab.store).unwrap().tries, 1);
    lab.wait(1000);
    assert_eq!(claim(&lab.store).unwrap().tries, 2);
    lab.wait(1000);
    assert_eq!((next(lab), places(lab)), (None, vec![QueuePlace::Dead]));
}

fn delayed_items_wait_until_their_time_has_come(lab: &Lab) {
    push_with(lab, "later", PushOptions { delay: Some(ttl(500)), ..PushOptions::default() });
    push_with(lab, "soon", PushOptions { delay: Some(ttl(200)), ..PushOptions::default() });
    push(lab, "now");
    assert_eq!(next(lab).as_deref(), Some("now"));
    assert_eq!(next(lab), None);
    let at = |millis| QueuePlace::Delayed(Millis(START.0 + millis));
    assert_eq!(places(lab)[..2], [at(200), at(500)]);
    lab.wait(200);
    assert_eq!(next(lab).as_deref(), Some("soon"));
    assert_eq!(next(lab), None);
    lab.wait(300);
    let later = claim(&lab.store).unwrap();
    lab.store.nack(&namespace("p.q"), later.fence, Some(ttl(100))).unwrap();
    lab.wait(99);
    assert_eq!(next(lab), None);
    lab.wait(1);
    assert_eq!(next(lab).as_deref(), Some("later"));
}

fn writes_of_a_worker_whose_claim_has_ended_are_refused(lab: &Lab) {
    push(lab, "job");
    let claimed = claim(&lab.store).unwrap();
    let worker = lab.another_store().with_fence(Some(claimed.fence));
    let set = |value: &[u8]| worker.set(&address("p.results.r"), value, &SetOptions::default());
    set(b"1").unwrap();
    lab.wait(1000);
    is_conflict(set(b"2"));
    let again = claim(&lab.store).unwrap();
    is_conflict(set(b"2"));
    let worker = lab.another_store().with_fence(Some(again.fence));
    worker.ack(&namespace("p.q"), again.fence).unwrap();
    is_conflict(worker.set(&address("p.results.r"), b"3", &SetOptions::default()));
    assert_eq!(lab.value("p.results.r").unwrap(), b"1");
}

fn tokens_of_others_are_refused(lab: &Lab) {
    push(lab, "job");
    lab.store.push(&namespace("p.other"), b"x", &PushOptions::default()).unwrap();
    let claimed = claim(&lab.store).unwrap();
    is_conflict(lab.store.ack(&namespace("p.other"), claimed.fence));
    is_conflict(lab.store.nack(&namespace("p.none"), claimed.fence, None));
    is_conflict(lab.store.ack(&namespace("p.q"), Fence(claimed.fence.0 + 100)));
    is_conflict(lab.store.release_lock("job", claimed.fence));
    let prontodb_core::store::Acquired::Granted(lock) = lab.store.acquire_lock("job", ttl(1000)).unwrap()
    else {
        panic!("nobody holds it")
    };
    is_conflict(lab.store.ack(&namespace("p.q"), lock.fence));
    lab.store.ack(&namespace("p.q"), claimed.fence).unwrap();
}

fn what_is_deleted_is_handed_to_nobody_and_leaves_nothing(lab: &Lab) {
    let [first, second, third] = ["1", "2", "3"].map(|value| push(lab, value));
    let claimed = claim(&lab.store).unwrap();
    lab.delete(&format!("p.q.{first}"));
    lab.delete(&format!("p.q.{second}"));
    lab.store.nack(&namespace("p.q"), claimed.fence, None).unwrap();
    assert_eq!(lab.store.items(&namespace("p.q")).unwrap().len(), 1);
    assert_eq!(claim(&lab.store).unwrap().id, third);
    push(lab, "4");
    let gone = claim(&lab.store).unwrap();
    lab.store.drop_namespace(&namespace("p.q")).unwrap();
    assert_eq!((next(lab), places(lab).len()), (None, 0));
    let error = lab.store.ack(&namespace("p.q"), gone.fence).unwrap_err();
    assert!(error.to_string().contains("given back or has lapsed"), "{error}");
    assert_eq!(lab.store.collect_garbage().unwrap().leftovers, 2);
    // A queue of the same name is another one.
    push(lab, "new");
    assert_eq!(next(lab).as_deref(), Some("new"));
}

fn machines_that_start_anew_give_all_claims_back(lab: &Lab) {
    push(lab, "job");
    let claimed = lab.store.claim(&namespace("p.q"), ttl(86_400_000)).unwrap().unwrap();
    lab.clock.set(-86_400_000);
    assert_eq!(next(lab), None);
    lab.clock.reboot();
    assert_eq!(next(lab).as_deref(), Some("job"));
    is_conflict(lab.store.ack(&namespace("p.q"), claimed.fence));
}

fn an_item_that_is_handed_on_is_for_one_user_alone(lab: &Lab) {
    let [ann, bob] = ["ann", "bob"].map(|name| lab.another_store().with_writer(Some(name.to_owned())));
    let id = push(lab, "job");
    push(lab, "other");
    let claimed = claim(&ann).unwrap();
    assert_eq!((&claimed.id, claimed.note), (&id, None));
    for nobody in ["", "a\u{1}b"] {
        let refused = ann.hand_on(&namespace("p.q"), claimed.fence, nobody, "");
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    ann.hand_on(&namespace("p.q"), claimed.fence, "bob", "half done").unwrap();
    is_conflict(ann.ack(&namespace("p.q"), claimed.fence));
    assert_eq!(places(lab), [QueuePlace::Ready, QueuePlace::Handed("bob".to_owned())]);
    assert_eq!(claim(&ann).unwrap().value, b"other");
    assert_eq!((claim(&ann), next(lab)), (None, None));
    let handed = claim(&bob).unwrap();
    assert_eq!((&handed.id, handed.tries), (&id, 1));
    let note = handed.note.unwrap();
    assert_eq!((note.from.as_deref(), note.text.as_str()), (Some("ann"), "half done"));
    // Whoever gives it back gives it to everybody.
    bob.nack(&namespace("p.q"), handed.fence, None).unwrap();
    let again = claim(&ann).unwrap();
    assert_eq!((&again.id, again.tries), (&id, 2));
    // What is handed to somebody who never comes can be had back.
    ann.hand_on(&namespace("p.q"), again.fence, "nobody", "").unwrap();
    assert_eq!(claim(&ann), None);
    assert!(lab.store.revive(&namespace("p.q"), &id).unwrap());
    assert_eq!(claim(&ann).unwrap().id, id);
}

fn an_item_that_nobody_has_seen_was_not_claimed(lab: &Lab) {
    let (queue, ann) = (namespace("p.q"), lab.another_store().with_writer(Some("ann".to_owned())));
    let id = push_with(lab, "job", PushOptions { tries: 1, ..PushOptions::default() });
    for _ in 0..3 {
        let claimed = claim(&lab.store).unwrap();
        assert_eq!((&claimed.id, claimed.tries), (&id, 1));
        // Under whatever lease somebody else writes.
        lab.another_store().with_fence([Fence(0)]).unclaim(&queue, claimed.fence).unwrap();
        is_conflict(lab.store.unclaim(&queue, claimed.fence));
        assert_eq!(places(lab), [QueuePlace::Ready]);
    }
    let claimed = claim(&lab.store).unwrap();
    lab.store.hand_on(&queue, claimed.fence, "ann", "for you").unwrap();
    for _ in 0..2 {
        let claimed = claim(&ann).unwrap();
        assert_eq!(claimed.note.unwrap().text, "for you");
        ann.unclaim(&queue, claimed.fence).unwrap();
        assert_eq!(places(lab), [QueuePlace::Handed("ann".to_owned())]);
    }
    let claimed = claim(&ann).unwrap();
    assert_eq!(ann.nack(&queue, claimed.fence, None).unwrap(), QueuePlace::Dead);
}

fn whoever_works_under_a_lease_that_has_ended_gets_no_item(lab: &Lab) {
    let stale = lab.another_store().with_fence([Fence(7)]);
    is_conflict(stale.claim(&namespace("p.q"), ttl(1000)));
    push(lab, "job");
    is_conflict(stale.claim(&namespace("p.q"), ttl(1000)));
    assert_eq!(places(lab), [QueuePlace::Ready]);
}

fn of_many_items_that_are_due_the_first_comes_first(lab: &Lab) {
    let delayed =
        |priority, delay| PushOptions { priority, delay: Some(ttl(delay)), ..PushOptions::default() };
    for number in 0..600 {
        push_with(lab, &number.to_string(), delayed(1, 100));
    }
    push_with(lab, "high", delayed(200, 101));
    push_with(lab, "later", delayed(255, 103));
    lab.wait(102);
    assert_eq!(next(lab).as_deref(), Some("high"));
    assert_eq!(next(lab).as_deref(), Some("0"));
    lab.wait(1);
    assert_eq!(next(lab).as_deref(), Some("later"));
}

fn many_claims_that_lapse_are_brought_back(lab: &Lab) {
    let once = PushOptions { tries: 1, ..PushOptions::default() };
    for number in 0..600 {
        push_with(lab, &number.to_string(), once);
        claim(&lab.store).unwrap();
    }
    push(lab, "job");
    lab.wait(1000);
    assert_eq!(next(lab).as_deref(), Some("job"));
    let left = kept(lab, 'c');
    assert!(left > 500, "a claim has brought back {} items", 601 - left);
    // Where nothing else is left, all of them come back, in more than one transaction.
    assert_eq!((next(lab), kept(lab, 'c'), kept(lab, 'x')), (None, 1, 600));
}

/// How many records of a place there are.
fn kept(lab: &Lab, letter: char) -> usize {
    let mut kept = 0;
    lab.change(|txn| {
        let records = txn.records(Catalog::Queues, "", 10_000)?;
        kept = records.iter().filter(|(key, _)| key[16..].starts_with(letter)).count();
        Ok(())
    });
    kept
}

fn an_item_whose_last_claim_has_lapsed_can_be_revived(lab: &Lab) {
    let id = push_with(lab, "job", PushOptions { tries: 1, ..PushOptions::default() });
    claim(&lab.store).unwrap();
    assert!(!lab.store.revive(&namespace("p.q"), &id).unwrap(), "somebody has it");
    lab.wait(1000);
    assert_eq!(places(lab), [QueuePlace::Dead]);
    assert!(lab.store.revive(&namespace("p.q"), &id).unwrap());
    assert_eq!(claim(&lab.store).unwrap().tries, 1);
}

fn what_cannot_be_read_keeps_no_other_item_back(lab: &Lab) {
    let queue = namespace("p.q");
    let delayed = PushOptions { delay: Some(ttl(1)), ..PushOptions::default() };
    let high = PushOptions { priority: 255, ..PushOptions::default() };
    push(lab, "claimed");
    claim(&lab.store).unwrap();
    push(lab, "lease");
    let leased = claim(&lab.store).unwrap();
    push_with(lab, "delayed", delayed);
    push_with(lab, "ready", high);
    lab.change(|txn| {
        for (key, _) in txn.records(Catalog::Queues, "", 100)? {
            if !key.ends_with(&leased.id) {
                txn.put_record(Catalog::Queues, &key, "{broken")?;
            }
        }
        txn.put_record(Catalog::Leases, &format!("{:016x}", leased.fence.0), "{broken")
    });
    push(lab, "job");
    lab.wait(2000);
    assert_eq!(next(lab).as_deref(), Some("job"));
    assert!(lab.store.until_next(&queue).unwrap().is_some());
    // Where there is nothing else, it is told.
    let error = lab.store.claim(&queue, ttl(1000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let problems = lab.store.check(true).unwrap().problems;
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert_eq!(lab.store.collect_garbage().unwrap().leftovers, 0);
    lab.store.drop_namespace(&queue).unwrap();
    assert!(lab.store.collect_garbage().unwrap().leftovers > 3);
}

fn many_workers_do_each_item_once(lab: &Lab) {
    const ITEMS: usize = 60;
    (0..ITEMS).for_each(|number| drop(push(lab, &number.to_string())));
    let done = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for worker in 0..6 {
            let (store, done) = (lab.another_store(), &done);
            scope.spawn(move || {
                let mut turn = worker;
                while let Some(claimed) = store.claim(&namespace("p.q"), ttl(100_000)).unwrap() {
                    turn += 1;
                    // Some give it back.
                    if turn % 5 == 0 && claimed.tries < 3 {
                        store.nack(&namespace("p.q"), claimed.fence, None).unwrap();
                        continue;
                    }
                    store.ack(&namespace("p.q"), claimed.fence).unwrap();
                    *done.lock().unwrap().entry(claimed.value).or_insert(0) += 1;
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    assert_eq!(done.len(), ITEMS);
    assert!(done.values().all(|times| *times == 1));
}
