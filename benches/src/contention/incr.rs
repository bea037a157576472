//! A counter that all processes step on: whether it counts every step that was acknowledged, also when some are killed.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{all_at_once, silent};
use crate::lab::Lab;
use crate::stats::{Dice, Samples};
use crate::table::{self, Row, Unit};
use crate::{Result, process};

/// Of each process in each round.
const STEPS: u64 = 25;
const ROUNDS: u64 = 5;
/// One of so many processes is killed.
const KILL_ONE_OF: u64 = 2;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>> {
    let counter = lab.folder("incr")?.join("store.prdb");
    let step = |address: &str| silent(lab.prontodb(&counter, ["incr", address]));
    let read = |address: &str| -> Result<i64> {
        Ok(process::output(&mut lab.prontodb(&counter, ["get", address]))?.trim().parse()?)
    };

    let mut calm = Outcome::default();
    let mut deadly = Outcome::default();
    let steps = lab.scaled(STEPS);
    for round in 0..lab.scaled(ROUNDS) {
        let address = format!("bench.calm.round{round}");
        let fates = together(steps, |_| watch(&mut step(&address), None))?;
        let usual = Samples::of_times(fates.iter().map(|(_, took)| *took)).median();
        calm.add(&fates, read(&address)?);

        let address = format!("bench.deadly.round{round}");
        let fates = together(steps, |dice| {
            let is_victim = dice.below(KILL_ONE_OF) == 0;
            let moment = Duration::from_secs_f64(usual * 2.0 * dice.below(1000) as f64 / 1000.0);
            watch(&mut step(&address), is_victim.then_some(moment))
        })?;
        deadly.add(&fates, read(&address)?);
    }
    print(&[("calm", &calm), ("with kill -9", &deadly)]);
    Ok(rows(&calm, &deadly))
}

/// What became of one process.
enum Fate {
    /// It told that it has counted to this number.
    Acknowledged(i64),
    /// It was killed before it told anything.
    Killed,
    Failed,
}

/// Has every worker take its steps; each has its own dice.
fn together(steps: u64, step: impl Fn(&mut Dice) -> Result<Fate> + Sync) -> Result<Vec<(Fate, Duration)>> {
    let (fates, _) = all_at_once(|worker| {
        let mut dice = Dice::new(worker as u64);
        let timed = |_| {
            let start = Instant::now();
            Ok((step(&mut dice)?, start.elapsed()))
        };
        (0..steps).map(timed).collect::<Result<Vec<_>>>()
    })?;
    Ok(fates.into_iter().flatten().collect())
}

/// Runs one step to its end, or kills it when its time has come.
fn watch(step: &mut Command, kill_after: Option<Duration>) -> Result<Fate> {
    let mut child = step.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    if let Some(delay) = kill_after {
        thread::sleep(delay);
        child.kill()?;
    }
    let output = child.wait_with_output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    Ok(match told.strip_suffix('\n').and_then(|number| number.parse().ok()) {
        Some(number) => Fate::Acknowledged(number),
        None if output.status.code().is_none() => Fate::Killed,
        None => Fate::Failed,
    })
}

/// What came of all rounds.
#[derive(Default)]
struct Outcome {
    acknowledged: u64,
    killed: u64,
    failed: u64,
    /// Steps that were acknowledged and are not in the sum, or that two processes were told to have taken.
    lost: u64,
    /// What the counter is ahead of the acknowledgements.
    surplus: u64,
    /// What it is ahead of all steps that may have been taken.
    invented: u64,
}

impl Outcome {
    fn add(&mut self, fates: &[(Fate, Duration)], sum: i64) {
        let numbers: Vec<_> = fates.iter().filter_map(|(fate, _)| fate.number()).collect();
        let distinct: HashSet<_> = numbers.iter().collect();
        let killed = fates.iter().filter(|(fate, _)| matches!(fate, Fate::Killed)).count() as u64;
        let acknowledged = numbers.len() as u64;
        let sum = sum.unsigned_abs();
        self.acknowledged += acknowledged;
        self.killed += killed;
        self.failed += fates.len() as u64 - acknowledged - killed;
        self.lost += acknowledged.saturating_sub(sum).max(acknowledged - distinct.len() as u64);
        self.surplus += sum.saturating_sub(acknowledged);
        self.invented += sum.saturating_sub(acknowledged + killed);
    }
}

impl Fate {
    fn number(&self) -> Option<i64> {
        match self {
            Self::Acknowledged(number) => Some(*number),
            Self::Killed | Self::Failed => None,
        }
    }
}

fn print(outcomes: &[(&str, &Outcome)]) {
    let row = |(name, outcome): &(&str, &Outcome)| {
        let counts = [outcome.acknowledged, outcome.killed, outcome.failed, outcome.lost, outcome.surplus];
        let [acknowledged, killed, failed, lost, surplus] = counts.map(|count| count.to_string());
        [(*name).to_owned(), acknowledged, killed, failed, lost, surplus]
    };
    let rows: Vec<_> = outcomes.iter().map(row).collect();
    table::print(["incr by all", "acknowledged", "killed", "failed", "lost", "counted unsaid"], &rows);
}

fn rows(calm: &Outcome, deadly: &Outcome) -> Vec<Row> {
    let row = |what: &str, count: u64| Row::new(what, Unit::Count, count as f64).at_most(0.0);
    vec![
        row("incr: failures", calm.failed + deadly.failed),
        row("incr: sum less acknowledgements", calm.surplus + calm.lost),
        row("incr with kill -9: acknowledged and lost", deadly.lost),
        row("incr with kill -9: more than was asked for", deadly.invented),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(acknowledged: &[i64], killed: usize, sum: i64) -> Outcome {
        let told = acknowledged.iter().map(|number| Fate::Acknowledged(*number));
        let fates = told.chain((0..killed).map(|_| Fate::Killed)).map(|fate| (fate, Duration::ZERO));
        let mut outcome = Outcome::default();
        outcome.add(&fates.collect::<Vec<_>>(), sum);
        outcome
    }

    #[test]
    fn a_killed_step_may_count_or_not() {
        for sum in [2, 3] {
            let outcome = outcome(&[1, 2], 1, sum);
            assert_eq!((outcome.lost, outcome.invented), (0, 0), "{sum}");
        }
    }

    #[test]
    fn lost_and_invented_steps_are_found() {
        assert_eq!(outcome(&[1, 2], 0, 1).lost, 1);
        assert_eq!(outcome(&[1, 1], 1, 2).lost, 1);
        assert_eq!(outcome(&[1, 2], 1, 4).invented, 1);
    }
}
