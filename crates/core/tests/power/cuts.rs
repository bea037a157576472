//! The power goes at any moment.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;

use prontodb_core::engine::sqlite::{Durability, Lifetime};
use prontodb_core::store::SetOptions;
use prontodb_core::{ErrorKind, Store};
use prontodb_testkit::disk::{self, Dice, Failure, Fault, Loss, Recording};
use tempfile::tempdir;

use super::work::{self, Entries, Pair, Step};

/// Steps of one piece of work.
const STEPS: usize = 120;
/// Cuts of one piece of work, at most.
const CUTS_OF_A_WORK: usize = 250;
/// Pieces of work of each kind, at least.
const WORKS: usize = 4;

/// Kinds of work.
const KINDS: usize = 5;

/// How many cuts there are; `just power` asks for more than the few of every run.
fn cuts() -> usize {
    env::var("PRONTODB_TEST_CUTS").map_or(500, |cuts| cuts.parse().expect("a number of cuts"))
}

/// A piece of work that was recorded.
struct Worked {
    /// Which work it was.
    name: String,
    recording: Recording,
    /// What may be there at each revision: more than one thing, where a write failed that the log has.
    states: BTreeMap<u64, Vec<Entries>>,
}

/// Does some work from an empty folder on; where `syncs_fail`, some of what waits for the disk waits in vain. What the more careful
/// of two has written is noted.
fn work(seed: u64, durabilities: [Durability; 2], syncs_fail: bool) -> Worked {
    let folder = tempdir().unwrap();
    let mut dice = Dice::new(seed);
    let mut states = BTreeMap::from([(0, vec![Entries::new()])]);
    disk::record(folder.path());
    let mut pair = Pair::new(folder.path(), durabilities);
    for _ in 0..STEPS {
        let step = Step::random(&mut dice);
        let fault = Fault { nth: dice.below(8) as u64, failure: Failure::Sync, stays: false };
        let opened = pair.store(&mut dice, syncs_fail.then_some(fault));
        // Reading makes what a killed process has begun.
        let read = opened.and_then(|(store, durability)| Ok((store, durability, work::entries(store)?)));
        let (store, durability, mut entries) = match read {
            Ok(read) => read,
            Err(_) if syncs_fail => continue,
            Err(error) => panic!("{step:?}: {error}"),
        };
        let before = work::revision(store);
        let ran = step.run(store);
        let mut made = entries.clone();
        step.apply(&mut made);
        match &ran {
            Ok(()) => entries = made,
            Err(error) if !syncs_fail => panic!("{step:?}: {error}"),
            Err(_) => {
                // It may have been made all the same, now or when the log is read anew.
                states.entry(before + 1).or_default().push(made);
                entries = work::entries(store).unwrap();
            }
        }
        let revision = work::revision(store);
        states.entry(revision).or_default().push(entries);
        // Who finds that there is nothing to do acknowledges nothing.
        let is_acknowledged = ran.is_ok() && revision > before;
        if is_acknowledged && (durability == Durability::Full || !durabilities.contains(&Durability::Full)) {
            disk::note(revision);
        }
    }
    drop(pair);
    disk::fail(None);
    let syncs = if syncs_fail { ", syncs fail" } else { "" };
    let name = format!("{durabilities:?}{syncs}, seed {seed}");
    Worked { name, recording: disk::recorded(), states }
}

/// What became of the work by cuts: how many acknowledged revisions they cost, the most of any and in all.
#[derive(Default)]
struct Cost {
    cuts: usize,
    most: u64,
    cut_short: usize,
    /// The first that cost something.
    first: String,
}

impl Worked {
    fn cut(&self, dice: &mut Dice, cost: &mut Cost) {
        let moment = dice.below(self.recording.moments());
        let loss = [Loss::All, Loss::Nothing, Loss::Tail, Loss::Any, Loss::Any, Loss::Any][dice.below(6)];
        let folder = tempdir().unwrap();
        self.recording.cut(moment, loss, dice, folder.path());
        let what = format!("{}, moment {moment} of {}, {loss:?}", self.name, self.recording.moments());
        let store = work::open(folder.path(), Durability::Normal, Lifetime::Long)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let problems = store.check(false).unwrap().problems;
        assert!(problems.is_empty(), "{what}: {problems:?}");
        let revision = work::revision(&store);
        let possible =
            self.states.get(&revision).unwrap_or_else(|| panic!("{what}: no step made {revision}"));
        let found = work::entries(&store).unwrap();
        if !possible.contains(&found) {
            work::same(&found, &possible[0], &what);
        }
        goes_on(&store, revision, &what);
        let lost = self.recording.noted(moment).unwrap_or(0).saturating_sub(revision);
        cost.cuts += 1;
        cost.most = cost.most.max(lost);
        if lost > 0 && cost.cut_short == 0 {
            cost.first = what;
        }
        cost.cut_short += usize::from(lost > 0);
    }
}

/// What is left can be written.
fn goes_on(store: &Store, revision: u64, what: &str) {
    let written = store.set(&work::address(1), b"after", &SetOptions::default()).unwrap();
    assert!(written.version.0 > revision, "{what}");
    assert!(store.check(true).unwrap().problems.is_empty(), "{what}");
}

fn cuts_of(durabilities: [Durability; 2], syncs_fail: bool) -> Cost {
    let mut cost = Cost::default();
    for seed in 0.. {
        let worked = work(seed, durabilities, syncs_fail);
        let recording = &worked.recording;
        assert!(recording.syncs() > 0 && recording.folder_syncs() > 0);
        assert!(recording.noted(recording.moments() - 1) > Some(STEPS as u64 / 4));
        let mut dice = Dice::new(seed + 1000);
        for _ in 0..CUTS_OF_A_WORK.min(cuts() / KINDS / WORKS) {
            if cost.cuts == cuts() / KINDS {
                return cost;
            }
            worked.cut(&mut dice, &mut cost);
        }
    }
    unreachable!("the loop ends by itself")
}

/// With `durability=full` nothing is lost that was acknowledged, whatever else is done to the same database. With `normal` the last
/// moments may be, but what is there is what was there at some moment before the cut. Either is whole, also where syncs fail.
#[test]
fn a_power_cut_costs_what_the_durability_says_and_no_more() {
    use Durability::{Full, Normal};
    let _alone = super::alone();
    let mut told = Vec::new();
    for (durabilities, syncs_fail) in [
        ([Full, Full], false),
        ([Full, Full], true),
        ([Full, Normal], true),
        ([Normal, Normal], false),
        ([Normal, Normal], true),
    ] {
        let Cost { cuts, most, cut_short, first } = cuts_of(durabilities, syncs_fail);
        let syncs = if syncs_fail { ", some syncs fail" } else { "" };
        let what = format!(
            "{cuts} cuts of {durabilities:?}{syncs}: {cut_short} cost acknowledged revisions, {most} at most"
        );
        if durabilities.contains(&Full) {
            assert_eq!(most, 0, "{what}, first {first}");
        } else {
            // Otherwise the disk forgets nothing, and the test proves nothing.
            assert!(cut_short > 0, "{what}");
        }
        told.push(what);
    }
    println!("{}; all were whole", told.join("\n"));
}

/// The next one finds the first page whole, and must not rely on it.
#[test]
fn a_database_whose_first_sync_has_failed_is_begun_anew() {
    let _alone = super::alone();
    let (folder, left) = (tempdir().unwrap(), tempdir().unwrap());
    disk::record(folder.path());
    for attempt in 1..=2 {
        disk::fail(Some(Fault { nth: 0, failure: Failure::Sync, stays: false }));
        let open = || work::open(folder.path(), Durability::Full, Lifetime::OneShot);
        let written = open().and_then(|store| Step::Set(1, b"lost".to_vec()).run(&store));
        assert_eq!(written.unwrap_err().kind(), ErrorKind::Io, "attempt {attempt}");
    }
    disk::fail(None);
    let store = work::open(folder.path(), Durability::Full, Lifetime::OneShot).unwrap();
    Step::Set(1, b"there".to_vec()).run(&store).unwrap();
    let recording = disk::recorded();
    std::mem::forget(store);
    recording.cut(recording.moments() - 1, Loss::All, &mut Dice::new(0), left.path());
    let store = work::open(left.path(), Durability::Full, Lifetime::OneShot).unwrap();
    assert_eq!(work::entries(&store).unwrap(), Entries::from([(1, b"there".to_vec())]));
}

fn open_careful(folder: &Path) -> Store {
    work::open(folder, Durability::Full, Lifetime::Long).unwrap()
}

/// Cuts the power, which costs all that was not synced: what is left is whole, and all that the store had.
fn cut_now(store: Store, what: &str) -> Entries {
    let left = tempdir().unwrap();
    let there = work::entries(&store).unwrap();
    let recording = disk::recorded();
    recording.cut(recording.moments() - 1, Loss::All, &mut Dice::new(0), left.path());
    drop(store);
    let store = open_careful(left.path());
    let problems = store.check(false).unwrap().problems;
    assert!(problems.is_empty(), "{what}: {problems:?}");
    work::same(&work::entries(&store).unwrap(), &there, what);
    there
}

/// What a writer could not put on disk is still what the next one finds in the log, and it must not go on from there.
#[test]
fn nothing_hangs_on_a_write_whose_sync_has_failed() {
    let _alone = super::alone();
    let folder = tempdir().unwrap();
    disk::record(folder.path());
    let store = open_careful(folder.path());
    Step::Set(1, b"before".to_vec()).run(&store).unwrap();
    disk::fail(Some(Fault { nth: 0, failure: Failure::Sync, stays: false }));
    let written = Step::Set(2, b"failed".to_vec()).run(&store);
    assert_eq!(written.unwrap_err().kind(), ErrorKind::Io);
    drop(store);
    let store = open_careful(folder.path());
    Step::Set(3, b"after".to_vec()).run(&store).unwrap();
    let there = cut_now(store, "after the cut");
    assert_eq!(there.get(&3).map(Vec::as_slice), Some(&b"after"[..]));
}

/// Frames of a log that is copied back as the last store closes.
const LONG_LOG: usize = 70;

fn set_long(store: &Store, seed: u8) {
    let value = vec![seed; LONG_LOG * 4096];
    Step::Set(7, value).run(store).unwrap();
}

/// Whatever power cut comes while and after the log is copied back, behind a sync of it that has failed.
#[test]
fn a_log_whose_sync_has_failed_is_copied_back_safely() {
    let _alone = super::alone();
    let folder = tempdir().unwrap();
    let open = |folder: &Path| work::open(folder, Durability::Normal, Lifetime::Long).unwrap();
    disk::record(folder.path());
    set_long(&open(folder.path()), b'a');
    let store = open(folder.path());
    set_long(&store, b'b');
    disk::fail(Some(Fault { nth: 0, failure: Failure::Sync, stays: false }));
    drop(store);
    disk::fail(None);
    let store = open(folder.path());
    Step::Set(1, b"more".to_vec()).run(&store).unwrap();
    disk::note(1);
    drop(store);
    let recording = disk::recorded();
    let (mut dice, mut cuts) = (Dice::new(0), 0);
    for moment in (0..recording.moments()).filter(|moment| recording.noted(*moment).is_some()) {
        for loss in [Loss::All, Loss::Any] {
            let left = tempdir().unwrap();
            recording.cut(moment, loss, &mut dice, left.path());
            let problems = open(left.path()).check(false).unwrap().problems;
            assert!(problems.is_empty(), "moment {moment}, {loss:?}: {problems:?}");
            cuts += 1;
        }
    }
    assert!(cuts > LONG_LOG, "the log was copied back");
}

/// Frames that were copied back while somebody still read older ones are synced with a later copy only.
#[test]
fn a_file_whose_sync_has_failed_has_all_that_was_copied_back() {
    let _alone = super::alone();
    let folder = tempdir().unwrap();
    let connect = || rusqlite::Connection::open(folder.path().join("x.prdb")).unwrap();
    let copy_back = |how: &str| {
        let copied =
            connect().query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| row.get::<_, i64>(0));
        assert_eq!(copied.unwrap(), 0, "{how}");
    };
    disk::record(folder.path());
    let (store, other) = (open_careful(folder.path()), open_careful(folder.path()));
    set_long(&store, b'a');
    let reader = connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
    Step::Set(1, b"more".to_vec()).run(&store).unwrap();
    copy_back("PASSIVE");
    drop(reader);
    // First the log is synced, which succeeds, and in the end the file.
    disk::fail(Some(Fault { nth: 1, failure: Failure::Sync, stays: false }));
    drop(store);
    disk::fail(None);
    copy_back("TRUNCATE");
    Step::Set(2, b"most".to_vec()).run(&other).unwrap();
    cut_now(other, "after the cut");
}

/// Whichever sync of a restore fails, the next writer goes on from what it finds, and a power cut costs it nothing.
#[test]
fn nothing_hangs_on_a_restore_whose_sync_has_failed() {
    let _alone = super::alone();
    let mut failed = 0;
    for nth in 0.. {
        let (folder, source) = (tempdir().unwrap(), tempdir().unwrap());
        set_long(&open_careful(source.path()), b's');
        disk::record(folder.path());
        Step::Set(1, b"before".to_vec()).run(&open_careful(folder.path())).unwrap();
        disk::fail(Some(Fault { nth, failure: Failure::Sync, stays: false }));
        let restored = work::restore(folder.path(), source.path());
        let has_failed = disk::calls() > nth;
        disk::fail(None);
        let store = open_careful(folder.path());
        Step::Set(3, b"after".to_vec()).run(&store).unwrap();
        let there = cut_now(store, &format!("sync {nth}"));
        assert_eq!(there.contains_key(&7), !there.contains_key(&1), "sync {nth}: one state or the other");
        failed += usize::from(restored.is_err());
        if !has_failed {
            restored.unwrap();
            break;
        }
    }
    assert!(failed > 0, "a sync that fails is told");
}
