//! Backups that are taken while others write: each is the state of one moment, exactly.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{json_of, sandbox_with};

/// What a writer was told: the revision of its write, the key, and the value.
type Write = (u64, String, String);

const WRITERS: usize = 3;
const KEYS_OF_A_WRITER: usize = 40;

/// How many backups are taken; `just backups` asks for more than the few of every run.
fn backups() -> usize {
    std::env::var("PRONTODB_TEST_BACKUPS").map_or(4, |count| count.parse().unwrap())
}

#[test]
fn a_backup_is_the_state_of_its_revision_whoever_writes() {
    let s = sandbox_with([("p.n.first", "1")]);
    let is_over = AtomicBool::new(false);
    let (seen, mut ledger) = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (s, is_over) = (&s, &is_over);
                scope.spawn(move || write_until(s, writer, is_over))
            })
            .collect();
        let seen: Vec<_> = (0..backups()).map(|number| restored(&s, number)).collect();
        is_over.store(true, Ordering::Relaxed);
        let ledger: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        (seen, ledger)
    });
    ledger.push((1, "first".to_owned(), "1".to_owned()));
    ledger.sort_unstable();
    for (revision, listing) in &seen {
        assert_eq!(listing, &listing_at(&ledger, *revision), "the state of revision {revision}");
    }
    let (first, last) = (seen[0].0, seen[seen.len() - 1].0);
    assert!(first < last, "somebody wrote between the backups");
    println!("{} backups beside {} writes, 0 that differ", seen.len(), ledger.len());
}

/// Writes keys of its own, one after the other, and keeps what it was told.
fn write_until(s: &Sandbox, writer: usize, is_over: &AtomicBool) -> Vec<Write> {
    let mut ledger = Vec::new();
    for step in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        // A long value lies apart from its row, a short one does not.
        let length = if step % 7 == 0 { 3000 } else { 20 };
        let (key, value) = (format!("k{writer}-{}", step % KEYS_OF_A_WRITER), format!("{step:0length$}"));
        let set = s.run(["set", &format!("p.n.{key}"), &value, "--return", "version"]);
        let version = set.succeeds().stdout().trim_end().parse().unwrap();
        ledger.push((version, key, value));
    }
    ledger
}

/// Takes a backup and restores it elsewhere: its revision, and all that is in it.
fn restored(s: &Sandbox, number: usize) -> (u64, String) {
    let (archive, copy) = (format!("taken-{number}.tar.gz"), format!("copy-{number}.prdb"));
    s.run(["backup", "--output", &archive]).succeeds();
    s.run(["restore", &archive, "-d", &copy]).succeeds();
    let revision = json_of(s.run(["doctor", "--json", "-d", &copy]))["revision"].as_u64().unwrap();
    let listing = s.run(["scan", "p.n", "-d", &copy]).succeeds().stdout();
    for file in fs::read_dir(s.path("")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() {
            fs::remove_file(file).unwrap();
        }
    }
    (revision, listing)
}

/// What a listing shows when all writes up to a revision have been made.
fn listing_at(ledger: &[Write], revision: u64) -> String {
    let mut state = BTreeMap::new();
    for (_, key, value) in ledger.iter().filter(|(version, ..)| *version <= revision) {
        state.insert(key, value);
    }
    state.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}
