//! The power goes at any moment.

use std::collections::BTreeMap;
use std::env;

use prontodb_core::Store;
use prontodb_core::engine::sqlite::{Durability, Lifetime};
use prontodb_core::store::SetOptions;
use prontodb_testkit::disk::{self, Dice, Failure, Fault, Loss, Recording};
use tempfile::tempdir;

use super::work::{self, Entries, Pair, Step};

/// Steps of one piece of work.
const STEPS: usize = 120;
/// Cuts of one piece of work.
const CUTS_OF_A_WORK: usize = 250;

/// How many cuts there are; `just power` asks for more than the few of every run.
fn cuts() -> usize {
    env::var("PRONTODB_TEST_CUTS").map_or(500, |cuts| cuts.parse().expect("a number of cuts"))
}

/// A piece of work that was recorded.
struct Worked {
    recording: Recording,
    /// What may be there at each revision: more than one thing, where a write failed that the log has.
    states: BTreeMap<u64, Vec<Entries>>,
}

/// Does some work from an empty folder on; where `syncs_fail`, some of what waits for the disk waits in vain.
fn work(seed: u64, durability: Durability, syncs_fail: bool) -> Worked {
    let folder = tempdir().unwrap();
    let (mut dice, mut entries) = (Dice::new(seed), Entries::new());
    let mut states = BTreeMap::from([(0, vec![entries.clone()])]);
    disk::record(folder.path());
    let mut pair = Pair::new(folder.path(), durability);
    for _ in 0..STEPS {
        let step = Step::random(&mut dice);
        let fault = Fault { nth: dice.below(8) as u64, failure: Failure::Sync, stays: false };
        disk::fail(syncs_fail.then_some(fault));
        let Ok(store) = pair.store(&mut dice) else { continue };
        let before = work::revision(store);
        match step.run(store) {
            Ok(()) => step.apply(&mut entries),
            Err(error) if !syncs_fail => panic!("{step:?}: {error}"),
            Err(_) => {
                // It may have been made all the same, now or when the log is read anew.
                let mut made = entries.clone();
                step.apply(&mut made);
                states.entry(before + 1).or_default().push(made);
                entries = work::entries(store).unwrap();
            }
        }
        let revision = work::revision(store);
        states.entry(revision).or_default().push(entries.clone());
        disk::note(revision);
    }
    drop(pair);
    disk::fail(None);
    Worked { recording: disk::recorded(), states }
}

/// What became of the work by cuts: how many acknowledged revisions they cost, the most of any and in all.
#[derive(Default)]
struct Cost {
    cuts: usize,
    most: u64,
    cut_short: usize,
}

impl Worked {
    fn cut(&self, dice: &mut Dice, cost: &mut Cost) {
        let moment = dice.below(self.recording.moments());
        let loss = [Loss::All, Loss::Nothing, Loss::Tail, Loss::Any, Loss::Any, Loss::Any][dice.below(6)];
        let folder = tempdir().unwrap();
        self.recording.cut(moment, loss, dice, folder.path());
        let what = format!("moment {moment} of {}, {loss:?}", self.recording.moments());
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
        cost.cut_short += usize::from(lost > 0);
    }
}

/// What is left can be written.
fn goes_on(store: &Store, revision: u64, what: &str) {
    let written = store.set(&work::address(1), b"after", &SetOptions::default()).unwrap();
    assert!(written.version.0 > revision, "{what}");
    assert!(store.check(true).unwrap().problems.is_empty(), "{what}");
}

fn cuts_of(durability: Durability, syncs_fail: bool) -> Cost {
    let mut cost = Cost::default();
    for seed in 0.. {
        let worked = work(seed, durability, syncs_fail);
        assert!(worked.recording.syncs() > 0 && worked.recording.folder_syncs() > 0);
        let mut dice = Dice::new(seed + 1000);
        for _ in 0..CUTS_OF_A_WORK {
            if cost.cuts == cuts() / 3 {
                return cost;
            }
            worked.cut(&mut dice, &mut cost);
        }
    }
    unreachable!("the loop ends by itself")
}

/// With `durability=full` nothing is lost that was acknowledged. With `normal` the last moments may be, but what is there is what was
/// there at some moment before the cut. Either is whole.
#[test]
fn a_power_cut_costs_what_the_durability_says_and_no_more() {
    let _alone = super::alone();
    let full = cuts_of(Durability::Full, false);
    assert_eq!(full.most, 0, "acknowledged writes were lost by {} of {} cuts", full.cut_short, full.cuts);
    let failing = cuts_of(Durability::Full, true);
    assert_eq!(failing.most, 0, "{} of {} cuts behind syncs that failed", failing.cut_short, failing.cuts);
    let normal = cuts_of(Durability::Normal, false);
    // Otherwise the disk forgets nothing, and the test proves nothing.
    assert!(normal.cut_short > 0, "no cut has cost anything without syncs");
    println!(
        "{} cuts with full durability and {} more where syncs fail, nothing lost; {} with normal, {} of them cost up to {} \
         revisions; all were whole",
        full.cuts, failing.cuts, normal.cuts, normal.cut_short, normal.most
    );
}
