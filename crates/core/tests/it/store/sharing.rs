//! Stores that share their data: what one writes the others see, and writes that race have one winner.

use std::sync::Arc;
use std::thread;

use prontodb_core::store::{Condition, Presence, Query, SetOptions};
use prontodb_core::{ErrorKind, Result, Store};
use tempfile::TempDir;

use super::{Lab, Pages, address, namespace, open};

on_each_engine! {
    what_one_writes_the_others_see
    settings_of_a_cache_are_everybodys
    a_conflict_is_with_whoever_wrote
    racing_to_be_first_has_one_winner
    no_increment_is_lost
    a_full_cache_stays_within_its_limits
}

const THREADS: usize = 4;

fn value(store: &Store, name: &str) -> Option<Vec<u8>> {
    store.get(&address(name)).unwrap().map(|record| record.value)
}

fn what_one_writes_the_others_see(lab: &Lab) {
    let other = lab.another_store();
    assert_eq!(value(&other, "a.b.k"), None);
    for text in ["1", "2"] {
        lab.set("a.b.k", text);
        assert_eq!(value(&other, "a.b.k").unwrap(), text.as_bytes());
        assert_eq!(other.revision().unwrap(), lab.store.revision().unwrap());
    }
    other.write(|writer| writer.delete(&address("a.b.k"), &Condition::default())).unwrap();
    assert_eq!(lab.names("a.b"), [""; 0]);
}

/// Also to a store that used the namespace before it was a cache.
fn settings_of_a_cache_are_everybodys(lab: &Lab) {
    let other = lab.another_store();
    other.set(&address("a.b.old"), b"1", &SetOptions::default()).unwrap();
    other.get(&address("a.b.old")).unwrap();
    lab.cache("a.b", "10ms max_items=2");
    for name in ["k", "l"] {
        other.set(&address(&format!("a.b.{name}")), b"1", &SetOptions::default()).unwrap();
    }
    assert_eq!((lab.names("a.b"), lab.usage("a.b")), (vec!["k".to_owned(), "l".to_owned()], (2, 4)));
    lab.wait(10);
    assert_eq!(value(&other, "a.b.k"), None);
    lab.store.drop_cache(&namespace("a.b"), false).unwrap();
    other.set(&address("a.b.k"), b"1", &SetOptions::default()).unwrap();
    assert_eq!(lab.expiry("a.b.k"), None);
}

fn a_conflict_is_with_whoever_wrote(lab: &Lab) {
    let other = lab.another_store();
    let seen = lab.set("a.b.k", "1");
    other.set(&address("a.b.k"), b"2", &SetOptions::default()).unwrap();
    let condition = Condition { version: Some(seen), ..Condition::default() };
    let options = SetOptions { condition, ..SetOptions::default() };
    let refused = lab.store.set(&address("a.b.k"), b"3", &options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(lab.value("a.b.k").unwrap(), b"2");
}

/// Runs `body` in several threads at once, each with a store of its own.
fn race<T: Send>(stores: Vec<Store>, body: impl Fn(usize, Store) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let body = &body;
        let start = |(thread, store)| scope.spawn(move || body(thread, store));
        let runners: Vec<_> = stores.into_iter().enumerate().map(start).collect();
        runners.into_iter().map(|runner| runner.join().unwrap()).collect()
    })
}

fn stores(lab: &Lab) -> Vec<Store> {
    (0..THREADS).map(|_| lab.another_store()).collect()
}

fn racing_to_be_first_has_one_winner(lab: &Lab) {
    const ROUNDS: usize = 25;
    let presence = Some(Presence::Absent);
    let condition = Condition { presence, ..Condition::default() };
    let options = SetOptions { condition, ..SetOptions::default() };
    let won = race(stores(lab), |thread, store| {
        let try_to_win = |round| {
            let at = address(&format!("a.b.{round}"));
            match store.set(&at, thread.to_string().as_bytes(), &options) {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict);
                    false
                }
            }
        };
        (0..ROUNDS).map(try_to_win).collect::<Vec<_>>()
    });
    for round in 0..ROUNDS {
        let winners = won.iter().enumerate().filter(|(_, rounds)| rounds[round]);
        let winners: Vec<_> = winners.map(|(thread, _)| thread.to_string().into_bytes()).collect();
        assert_eq!(winners, [lab.value(&format!("a.b.{round}")).unwrap()], "round {round}");
    }
}

fn no_increment_is_lost(lab: &Lab) {
    const STEPS: i64 = 50;
    let sums = race(stores(lab), |_, store| {
        (0..STEPS).map(|_| store.increment(&address("a.b.k"), 1).unwrap()).collect::<Vec<_>>()
    });
    let mut all: Vec<_> = sums.concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=STEPS * THREADS as i64), "each sum is one thread's");
    assert_eq!(lab.store.revision().unwrap().0, STEPS as u64 * THREADS as u64);
}

fn a_full_cache_stays_within_its_limits(lab: &Lab) {
    lab.cache("a.b", "60 max_items=5 max_bytes=40 policy=lru");
    race(stores(lab), |thread, store| {
        for n in 0..25 {
            let at = |n: usize| address(&format!("a.b.{}", n % 9));
            store.set(&at(n + thread), &vec![b'v'; (n * 7) % 11], &SetOptions::default()).unwrap();
            store.get(&at(n * thread)).unwrap();
            store.write(|writer| writer.delete(&at(n * 2 + thread), &Condition::default())).unwrap();
            store.list(&namespace("a.b"), &Query::default(), &mut Pages::default()).unwrap();
        }
    });
    let (items, bytes) = lab.held("a.b");
    assert_eq!(lab.usage("a.b"), (items, bytes));
    assert!(items <= 5 && bytes <= 40, "{items} entries, {bytes} bytes");
}

#[test]
fn a_file_may_be_made_by_several_at_once() {
    let dir = Arc::new(TempDir::new().unwrap());
    let runners: Vec<_> = (0..THREADS)
        .map(|_| {
            let dir = Arc::clone(&dir);
            thread::spawn(move || -> Result<i64> {
                Store::new(open(dir.path())).increment(&address("a.b.k"), 1)
            })
        })
        .collect();
    let mut sums: Vec<_> = runners.into_iter().map(|runner| runner.join().unwrap().unwrap()).collect();
    sums.sort_unstable();
    assert_eq!(sums, [1, 2, 3, 4]);
}
