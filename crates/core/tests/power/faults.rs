//! The disk fails at any call, in any way: whoever is told that a write was made finds it, and nothing is half there.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::process::Command;

use prontodb_core::engine::sqlite::{Durability, Lifetime};
use prontodb_core::{Error, ErrorKind};
use prontodb_testkit::disk::{self, Failure, Fault};
use tempfile::{TempDir, tempdir};

use super::work::{self, Entries, Step};

const FAILURES: [Failure; 4] = [Failure::NoSpace, Failure::Io, Failure::Short, Failure::Sync];

/// Of so many calls one is tried; `just power` tries all.
fn stride() -> u64 {
    env::var("PRONTODB_TEST_FAULT_STRIDE").map_or(29, |stride| stride.parse().expect("a number of calls"))
}

/// Steps with all there is to a database: first entries, values that lie apart, a log that is copied back, removals.
fn steps() -> Vec<Step> {
    let long = |byte: u8| vec![byte; 30_000];
    vec![
        Step::Set(1, b"one".to_vec()),
        Step::Set(2, long(2)),
        Step::SetAll(vec![(3, long(3)), (4, b"four".to_vec()), (5, vec![5; 2000])]),
        Step::Append(1, b" more".to_vec()),
        Step::SetAll((6..16).map(|entry| (entry, long(6))).collect()),
        Step::SetAll((6..16).map(|entry| (entry, long(7))).collect()),
        Step::Load((12..22).map(|entry| (entry, if entry == 20 { long(8) } else { vec![8; 300] })).collect()),
        Step::Delete(2),
        Step::DropNamespace,
        Step::Vacuum,
        Step::Set(1, b"last".to_vec()),
    ]
}

/// What came of the steps under a fault.
struct Outcome {
    /// What may be there: the state behind each step that was made, and behind those that failed.
    possible: Vec<Entries>,
    errors: Vec<Error>,
}

/// Makes the steps, each with a store of its own, as commands do, or all with one.
fn run(folder: &Path, is_one_store: bool) -> Outcome {
    let mut outcome = Outcome { possible: vec![Entries::new()], errors: Vec::new() };
    let lifetime = if is_one_store { Lifetime::Long } else { Lifetime::OneShot };
    let mut kept = None;
    for step in steps() {
        let opened = match kept.take() {
            Some(store) => Ok(store),
            None => work::open(folder, Durability::Full, lifetime),
        };
        let done = opened.and_then(|store| {
            let done = step.run(&store);
            kept = is_one_store.then_some(store);
            done
        });
        let after = |entries: &Entries| {
            let mut entries = entries.clone();
            step.apply(&mut entries);
            entries
        };
        let stepped: Vec<_> = outcome.possible.iter().map(after).collect();
        match done {
            Ok(()) => outcome.possible = stepped,
            // Nobody knows whether an error came before or after the commit; half of it must not be.
            Err(error) => {
                outcome.errors.push(error);
                outcome.possible.extend(stepped);
            }
        }
        outcome.possible.sort();
        outcome.possible.dedup();
    }
    outcome
}

/// How many calls there are that a failure is about.
fn calls(failure: Failure, is_one_store: bool) -> u64 {
    let folder = tempdir().unwrap();
    disk::fail(Some(Fault { nth: u64::MAX, failure, stays: false }));
    let outcome = run(folder.path(), is_one_store);
    let calls = disk::calls();
    disk::fail(None);
    assert!(outcome.errors.is_empty(), "nothing has failed yet: {:?}", outcome.errors);
    calls
}

/// Does the work with a fault; what is there behind it, on a disk that works again, is one of what may be.
fn survives(fault: Fault, is_one_store: bool) -> Vec<Error> {
    let folder: TempDir = tempdir().unwrap();
    let what = format!("{fault:?}, one store: {is_one_store}");
    disk::fail(Some(fault));
    let outcome = run(folder.path(), is_one_store);
    disk::fail(None);
    let store = work::open(folder.path(), Durability::Full, Lifetime::Long)
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let problems = store.check(false).unwrap().problems;
    assert!(problems.is_empty(), "{what}: {problems:?}");
    let found = work::entries(&store).unwrap();
    if !outcome.possible.contains(&found) {
        let first = &outcome.possible[outcome.possible.len() - 1];
        work::same(
            &found,
            first,
            &format!("{what}, errors {:?}, one of {}", outcome.errors, outcome.possible.len()),
        );
    }
    Step::Set(1, b"after".to_vec()).run(&store).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    outcome.errors
}

/// Which failure a process is about.
const ONE: &str = "PRONTODB_TEST_FAILURE";

/// Each failure has a process of its own, and they run side by side: of each database that a process has made it keeps a descriptor.
#[test]
fn whatever_call_fails_nothing_is_lost_that_was_acknowledged() {
    if let Ok(name) = env::var(ONE) {
        let failure = FAILURES.into_iter().find(|failure| format!("{failure:?}") == name);
        return println!("{}", fail_each_call(failure.expect("a failure")));
    }
    let this = "faults::whatever_call_fails_nothing_is_lost_that_was_acknowledged";
    let program = env::current_exe().unwrap();
    let children = FAILURES.map(|failure| {
        let mut child = Command::new(&program);
        child.args(["--exact", this, "--nocapture"]).env(ONE, format!("{failure:?}")).spawn().unwrap()
    });
    for (failure, mut child) in FAILURES.into_iter().zip(children) {
        assert!(child.wait().unwrap().success(), "{failure:?}");
    }
}

/// What came of it.
fn fail_each_call(failure: Failure) -> String {
    let _alone = super::alone();
    let (mut tried, mut told) = (0, BTreeMap::<String, usize>::new());
    for is_one_store in [false, true] {
        let calls = calls(failure, is_one_store);
        assert!(calls > 10, "{failure:?}: {calls} calls");
        for stays in [false, true] {
            for nth in (0..calls).step_by(usize::try_from(stride()).unwrap()) {
                for error in survives(Fault { nth, failure, stays }, is_one_store) {
                    let kind = error.kind();
                    // What happens to a disk is neither the caller's fault nor a state of the data.
                    assert!(
                        !matches!(kind, ErrorKind::Missing | ErrorKind::Conflict | ErrorKind::Limit),
                        "{failure:?} {nth}: {error}"
                    );
                    *told.entry(format!("{kind:?}")).or_default() += 1;
                }
                tried += 1;
            }
        }
    }
    format!("{failure:?}: {tried} failing calls, nothing lost; told as {told:?}")
}
