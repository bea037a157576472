//! Waiting until an entry is as somebody wants it.

use std::thread;
use std::time::{Duration, Instant};

use prontodb_core::auth::Identity;
use prontodb_core::engine::Wait;
use prontodb_core::store::{Met, Until};
use prontodb_core::{ErrorKind, Version};

use super::{Lab, address};

on_each_engine! {
    what_is_so_already_is_told_at_once
    what_is_not_so_is_waited_for
    what_expires_is_absent_from_that_moment_on
    whoever_may_not_read_may_not_wait
    a_write_ends_the_wait_of_another_process
}

/// Looks once.
fn look(lab: &Lab, until: &Until) -> Met {
    let mut store = lab.another_store();
    store.await_entry(&address("a.b.k"), until, Wait::of(Duration::ZERO)).unwrap()
}

fn value(met: Met) -> Option<Vec<u8>> {
    let Met::Met(record) = met else { panic!("{met:?}") };
    record.map(|record| record.value)
}

fn what_is_so_already_is_told_at_once(lab: &Lab) {
    assert_eq!(value(look(lab, &Until::Absent)), None);
    let version = lab.set("a.b.k", "v");
    assert_eq!(value(look(lab, &Until::Present)).unwrap(), b"v");
    assert_eq!(value(look(lab, &Until::Value(b"v".to_vec()))).unwrap(), b"v");
    assert_eq!(value(look(lab, &Until::Changed(Some(Version(0))))).unwrap(), b"v");
    lab.delete("a.b.k");
    assert_eq!(value(look(lab, &Until::Changed(Some(version)))), None);
}

fn what_is_not_so_is_waited_for(lab: &Lab) {
    let waits = |until: Until| assert_eq!(look(lab, &until), Met::TimedOut, "{until:?}");
    waits(Until::Present);
    waits(Until::Value(Vec::new()));
    waits(Until::Changed(None));
    waits(Until::Changed(Some(Version(0))));
    let version = lab.set("a.b.k", "v");
    waits(Until::Absent);
    waits(Until::Value(b"w".to_vec()));
    waits(Until::Changed(None));
    waits(Until::Changed(Some(version)));
}

fn what_expires_is_absent_from_that_moment_on(lab: &Lab) {
    lab.cache("a.b", "1");
    lab.set_for("a.b.k", "v", 10);
    let version = lab.record("a.b.k").unwrap().head.version;
    lab.wait(9);
    assert_eq!(look(lab, &Until::Absent), Met::TimedOut);
    lab.wait(1);
    assert_eq!(look(lab, &Until::Present), Met::TimedOut);
    assert_eq!(value(look(lab, &Until::Absent)), None);
    assert_eq!(value(look(lab, &Until::Changed(Some(version)))), None);
    assert_eq!(lab.stored("a.b"), ["k"], "to wait removes nothing");
}

fn whoever_may_not_read_may_not_wait(lab: &Lab) {
    let mut store = lab.another_store().act_as(Identity::vouched_for("ann", None, Vec::new()));
    let wait = store.await_entry(&address("a.b.k"), &Until::Absent, Wait::of(Duration::ZERO));
    assert_eq!(wait.unwrap_err().kind(), ErrorKind::Denied);
}

/// The entry of the one that waits is not the only one that is written.
fn a_write_ends_the_wait_of_another_process(lab: &Lab) {
    lab.set("a.b.other", "v");
    let mut waiter = lab.another_store();
    let wait = move || {
        let until = Until::Value(b"2".to_vec());
        let met = waiter.await_entry(&address("a.b.k"), &until, Wait::of(Duration::from_secs(20)));
        (met.unwrap(), Instant::now())
    };
    thread::scope(|scope| {
        let waiting = scope.spawn(wait);
        // By then whoever looks without being told looks once a second, and would do so in some 800 ms.
        thread::sleep(Duration::from_millis(2200));
        lab.set("a.b.other", "w");
        lab.set("a.b.k", "1");
        lab.set("a.b.k", "2");
        let written = Instant::now();
        let (met, seen) = waiting.join().unwrap();
        assert_eq!(value(met).unwrap(), b"2");
        let took = seen.saturating_duration_since(written);
        assert!(took < Duration::from_millis(500), "seen after {took:?}");
    });
}
