//! Locks: one holder at a time, by a clock that nobody sets, and no write under a lease that has ended.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use prontodb_core::engine::{Catalog, Engine, View};
use prontodb_core::store::{Acquired, Fence, Lock, MAX_LOCK_NAME, SetOptions};
use prontodb_core::{ErrorKind, Millis, Store};

use super::{Lab, Place, address, namespace, open, ttl};

on_each_engine! {
    a_lock_has_one_holder_until_its_lease_ends
    whoever_holds_a_lock_can_keep_it_and_give_it_back
    nothing_is_written_under_a_lease_that_has_ended
    of_several_leases_each_has_to_stand
    what_cannot_be_read_holds_no_other_lock_up
    clocks_that_are_set_and_machines_that_start_anew_fool_nobody
    each_grant_has_a_greater_token
    names_of_locks_are_checked
    locks_that_nobody_asks_for_again_do_not_pile_up
    one_of_many_gets_a_lock
}

#[track_caller]
fn granted(store: &Store, name: &str, millis: u64) -> Lock {
    match store.acquire_lock(name, ttl(millis)).unwrap() {
        Acquired::Granted(lock) => lock,
        Acquired::Held(lock) => panic!("{lock:?} holds it"),
    }
}

#[track_caller]
fn held(store: &Store, name: &str) -> Lock {
    match store.acquire_lock(name, ttl(1000)).unwrap() {
        Acquired::Held(lock) => lock,
        Acquired::Granted(lock) => panic!("{lock:?} was granted"),
    }
}

#[track_caller]
fn is_conflict<T: std::fmt::Debug>(result: prontodb_core::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict);
}

/// How many records there are.
fn kept(lab: &Lab, catalog: Catalog) -> usize {
    let mut kept = 0;
    let count: &mut dyn FnMut(&dyn View) -> prontodb_core::Result<()> = &mut |view| {
        kept = view.records(catalog, "", 1000)?.len();
        Ok(())
    };
    match &lab.place {
        Place::Memory(engine) => engine.read(count),
        Place::File(dir) => open(dir.path()).read(count),
    }
    .unwrap();
    kept
}

fn a_lock_has_one_holder_until_its_lease_ends(lab: &Lab) {
    let ann = lab.another_store().with_writer(Some("ann".to_owned()));
    let first = granted(&ann, "deploy", 1000);
    assert_eq!((first.owner.as_deref(), first.left), (Some("ann"), Duration::from_secs(1)));
    lab.wait(400);
    let seen = held(&lab.store, "deploy");
    assert_eq!((seen.fence, seen.left), (first.fence, Duration::from_millis(600)));
    assert_eq!(lab.store.lock("deploy").unwrap(), Some(seen.clone()));
    assert_eq!(lab.store.locks().unwrap(), [seen]);
    granted(&lab.store, "another", 1000);
    lab.wait(599);
    held(&lab.store, "deploy");
    lab.wait(1);
    assert_eq!(lab.store.lock("deploy").unwrap(), None);
    assert!(granted(&lab.store, "deploy", 1000).fence > first.fence);
}

fn whoever_holds_a_lock_can_keep_it_and_give_it_back(lab: &Lab) {
    let lock = granted(&lab.store, "deploy", 1000);
    lab.wait(900);
    let kept = lab.store.renew_lock("deploy", lock.fence, ttl(1000)).unwrap();
    assert_eq!((kept.fence, kept.left, kept.granted), (lock.fence, Duration::from_secs(1), lock.granted));
    // A renewal never makes a lease shorter.
    let kept = lab.store.renew_lock("deploy", lock.fence, ttl(10)).unwrap();
    assert_eq!(kept.left, Duration::from_secs(1));
    let other = granted(&lab.store, "other", 1000);
    is_conflict(lab.store.renew_lock("deploy", other.fence, ttl(1000)));
    is_conflict(lab.store.release_lock("deploy", other.fence));
    is_conflict(lab.store.release_lock("deploy", Fence(lock.fence.0 + 1000)));
    held(&lab.store, "deploy");
    lab.store.release_lock("deploy", lock.fence).unwrap();
    is_conflict(lab.store.release_lock("deploy", lock.fence));
    is_conflict(lab.store.renew_lock("deploy", lock.fence, ttl(1000)));
    let next = granted(&lab.store, "deploy", 1000);
    lab.wait(1000);
    is_conflict(lab.store.renew_lock("deploy", next.fence, ttl(1000)));
}

fn nothing_is_written_under_a_lease_that_has_ended(lab: &Lab) {
    let lock = granted(&lab.store, "deploy", 1000);
    let fenced = lab.another_store().with_fence(Some(lock.fence));
    let set = |value: &[u8]| fenced.set(&address("p.n.k"), value, &SetOptions::default());
    set(b"1").unwrap();
    lab.wait(1000);
    is_conflict(set(b"2"));
    // Nor is it once somebody else holds the lock.
    let next = granted(&lab.store, "deploy", 1000);
    is_conflict(set(b"2"));
    is_conflict(fenced.increment(&address("p.n.k"), 1));
    is_conflict(fenced.write(|writer| writer.delete(&address("p.n.k"), &Default::default())));
    is_conflict(fenced.create_project("q"));
    is_conflict(fenced.drop_namespace(&namespace("p.n")));
    is_conflict(fenced.require_fence());
    // Whoever holds nothing any more is granted nothing; leases of their own they may keep and give back.
    is_conflict(fenced.acquire_lock("another", ttl(1000)));
    is_conflict(fenced.acquire_lock("deploy", ttl(1000)));
    let other = granted(&lab.store, "other", 1000);
    fenced.renew_lock("other", other.fence, ttl(2000)).unwrap();
    fenced.release_lock("other", other.fence).unwrap();
    assert_eq!(lab.value("p.n.k").unwrap(), b"1");
    lab.another_store().with_fence(Some(next.fence)).increment(&address("p.n.k"), 1).unwrap();
    lab.store.release_lock("deploy", next.fence).unwrap();
    is_conflict(lab.another_store().with_fence(Some(next.fence)).increment(&address("p.n.k"), 1));
    is_conflict(lab.another_store().with_fence(Some(Fence(0))).increment(&address("p.n.k"), 1));
    assert_eq!(lab.value("p.n.k").unwrap(), b"2");
}

fn of_several_leases_each_has_to_stand(lab: &Lab) {
    let outer = granted(&lab.store, "outer", 1000);
    let inner = granted(&lab.another_store().with_fence([outer.fence]), "inner", 5000);
    let fenced = lab.another_store().with_fence([outer.fence, inner.fence]);
    fenced.increment(&address("p.n.k"), 1).unwrap();
    lab.wait(1000);
    let error = fenced.increment(&address("p.n.k"), 1).unwrap_err();
    assert!(error.to_string().contains(&format!("the token {} ", outer.fence.0)), "{error}");
    is_conflict(fenced.require_fence());
    is_conflict(fenced.acquire_lock("third", ttl(1000)));
    lab.another_store().with_fence([inner.fence]).increment(&address("p.n.k"), 1).unwrap();
    assert_eq!(lab.value("p.n.k").unwrap(), b"2");
}

fn what_cannot_be_read_holds_no_other_lock_up(lab: &Lab) {
    let lock = granted(&lab.store, "broken", 1000);
    let broken = |catalog, key: &str| {
        lab.change(|txn| txn.put_record(catalog, key, "{broken"));
        for number in 0..20 {
            let other = granted(&lab.store, &format!("other{number}"), 1000);
            lab.store.release_lock(&other.name, other.fence).unwrap();
        }
    };
    broken(Catalog::Locks, "broken");
    lab.wait(1000);
    broken(Catalog::Leases, &format!("{:016x}", lock.fence.0));
    assert_eq!(lab.store.acquire_lock("broken", ttl(1)).unwrap_err().kind(), ErrorKind::Damaged);
}

fn clocks_that_are_set_and_machines_that_start_anew_fool_nobody(lab: &Lab) {
    const DAY: i64 = 86_400_000;
    let lock = granted(&lab.store, "deploy", 1000);
    for set in [-DAY, 3 * DAY, -DAY] {
        lab.clock.set(set);
        assert_eq!(held(&lab.store, "deploy").left, Duration::from_secs(1));
    }
    lab.clock.set(-2 * DAY);
    lab.wait(1000);
    let next = granted(&lab.store, "deploy", 86_400_000);
    is_conflict(lab.store.renew_lock("deploy", lock.fence, ttl(1000)));
    // Whoever held it has ended with the machine, however long its lease was.
    lab.clock.reboot();
    assert_eq!(lab.store.locks().unwrap(), []);
    is_conflict(lab.store.renew_lock("deploy", next.fence, ttl(1000)));
    is_conflict(lab.another_store().with_fence(Some(next.fence)).increment(&address("p.n.k"), 1));
    assert!(granted(&lab.store, "deploy", 1000).fence > next.fence);
}

fn each_grant_has_a_greater_token(lab: &Lab) {
    let mut last = Fence(0);
    for number in 0..50 {
        lab.set("p.n.k", number.to_string());
        let lock = granted(&lab.store, if number % 2 == 0 { "a" } else { "b" }, 1000);
        assert!(lock.fence > last);
        assert_eq!(lock.granted, Millis(lab.now().0));
        last = lock.fence;
        lab.wait(1000);
    }
}

fn names_of_locks_are_checked(lab: &Lab) {
    let longest = "n".repeat(MAX_LOCK_NAME);
    for name in ["a", "shop.deploy", "with blanks", "ümlaut/1", &longest] {
        granted(&lab.store, name, 1000);
    }
    let names: Vec<_> = lab.store.locks().unwrap().into_iter().map(|lock| lock.name).collect();
    assert!(names.is_sorted() && names.len() == 5);
    for name in ["", "a\nb", "\0", &"n".repeat(MAX_LOCK_NAME + 1)] {
        let error = lab.store.acquire_lock(name, ttl(1000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}");
    }
}

fn locks_that_nobody_asks_for_again_do_not_pile_up(lab: &Lab) {
    for number in 0..400 {
        granted(&lab.store, &format!("job{number}"), 1000);
        lab.wait(100);
    }
    // Nine are held by now; the others go sooner or later.
    assert_eq!(lab.store.locks().unwrap().len(), 9);
    let leases = kept(lab, Catalog::Leases);
    assert!(leases < 100, "{leases}");
    assert_eq!(kept(lab, Catalog::Locks), leases);
}

fn one_of_many_gets_a_lock(lab: &Lab) {
    let winners = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..8 {
            let (store, winners) = (lab.another_store(), &winners);
            scope.spawn(move || {
                for round in 0..20 {
                    let name = format!("round{round}");
                    if let Acquired::Granted(lock) = store.acquire_lock(&name, ttl(100_000)).unwrap() {
                        winners.lock().unwrap().push((round, number, lock.fence));
                    }
                }
            });
        }
    });
    let winners = winners.into_inner().unwrap();
    let rounds: BTreeSet<_> = winners.iter().map(|(round, ..)| round).collect();
    let fences: BTreeSet<_> = winners.iter().map(|(.., fence)| fence).collect();
    assert_eq!((winners.len(), rounds.len(), fences.len()), (20, 20, 20));
}
