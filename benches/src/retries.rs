//! Operations under ids, tried again and again by processes of which many are killed: whether each is done once, and answers
//! the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::stats::{Dice, Samples};
use crate::table::{self, Row, Unit};
use crate::{Result, process};

/// Of all workers together.
const OPERATIONS: u64 = 100_000;
const WORKERS: u64 = 8;
/// One of so many first tries is killed, and of those after it, until one comes through or these are too many.
const KILL_ONE_OF: u64 = 2;
const MOST_KILLS: u64 = 5;
/// How many operations are looked at to know how long one takes.
const PROBES: u64 = 20;

pub(crate) fn run(lab: &Lab) -> Result {
    let database = lab.folder("retries")?.join("store.prdb");
    let usual = probe(lab, &database)?;
    let share = lab.scaled(OPERATIONS) / WORKERS;
    let start = Instant::now();
    let worked: Vec<Worked> = thread::scope(|scope| {
        let database = &database;
        let start = |worker| scope.spawn(move || work(lab, database, worker, share, usual));
        let workers: Vec<_> = (0..WORKERS).map(start).collect();
        let joined = workers.into_iter().map(|worker| worker.join().map_err(|_| "a thread has panicked")?);
        joined.collect::<Result<_>>()
    })?;
    let took = start.elapsed();
    let outcome = Outcome::of(lab, &database, &worked)?;
    outcome.print(took);
    Ok(())
}

/// What an operation is.
#[derive(Clone, Copy)]
enum Kind {
    Incr,
    Append,
    Push,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Incr, Self::Append, Self::Push];

    fn arguments(self) -> [&'static str; 3] {
        match self {
            Self::Incr => ["incr", "bench.once.counter", "1"],
            Self::Append => ["append", "bench.once.tail", "x"],
            Self::Push => ["queue push", "bench.jobs", "job"],
        }
    }
}

fn command(lab: &Lab, database: &Path, kind: Kind, id: &str) -> Command {
    let [verb, place, value] = kind.arguments();
    let mut command = lab.prontodb(database, ["--busy-timeout-ms", "60000", "--op-id", id]);
    command.args(verb.split(' ')).args([place, value]).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// How long an operation takes when nobody else is there, in seconds.
fn probe(lab: &Lab, database: &Path) -> Result<f64> {
    let times = (0..PROBES).map(|number| {
        let start = Instant::now();
        process::output(&mut lab.prontodb(database, ["set", "bench.probe.k", &number.to_string()]))?;
        Ok(start.elapsed())
    });
    Ok(Samples::of_times(times.collect::<Result<Vec<_>>>()?).median())
}

/// What a worker has seen.
#[derive(Default)]
struct Worked {
    /// Of each kind, how many operations there were.
    operations: [u64; Kind::ALL.len()],
    /// What counters and queues have answered.
    answers: [Vec<String>; Kind::ALL.len()],
    kills: u64,
    failures: u64,
    /// Answers that were others when the operation was tried again.
    differing: u64,
}

fn work(lab: &Lab, database: &Path, worker: u64, operations: u64, usual: f64) -> Result<Worked> {
    let (mut dice, mut worked) = (Dice::new(worker + 1), Worked::default());
    for number in 0..operations {
        let kind = Kind::ALL[(number % Kind::ALL.len() as u64) as usize];
        let id = format!("{worker}/{number}");
        for _ in 0..MOST_KILLS {
            if dice.below(KILL_ONE_OF) == 0 {
                let moment =
                    Duration::from_secs_f64(usual * WORKERS as f64 * dice.below(1000) as f64 / 1000.0);
                worked.kills += u64::from(kill_after(command(lab, database, kind, &id), moment)?);
            } else {
                break;
            }
        }
        let heard = process::output(&mut command(lab, database, kind, &id));
        let again = process::output(&mut command(lab, database, kind, &id));
        worked.operations[kind as usize] += 1;
        match (heard, again) {
            (Ok(heard), Ok(again)) => {
                worked.differing += u64::from(heard != again);
                worked.answers[kind as usize].push(heard);
            }
            _ => worked.failures += 1,
        }
    }
    Ok(worked)
}

/// Starts a command and kills it at a moment; whether it was still there.
fn kill_after(mut command: Command, moment: Duration) -> Result<bool> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    thread::sleep(moment);
    child.kill()?;
    Ok(child.wait()?.code().is_none())
}

/// What all have seen, and what is in the database.
struct Outcome {
    operations: u64,
    kills: u64,
    failures: u64,
    differing: u64,
    /// What is there more often than it was asked for.
    duplicates: u64,
    /// What was answered and is not there.
    lost: u64,
}

impl Outcome {
    fn of(lab: &Lab, database: &Path, worked: &[Worked]) -> Result<Self> {
        let sum = |count: fn(&Worked) -> u64| worked.iter().map(count).sum();
        let read = |args: [&str; 2]| process::output(&mut lab.prontodb(database, args));
        let asked = |kind: Kind| worked.iter().map(|worked| worked.operations[kind as usize]).sum::<u64>();
        let found = [
            (Kind::Incr, read(["get", "bench.once.counter"])?.trim().parse()?),
            (Kind::Append, read(["get", "bench.once.tail"])?.trim().len() as u64),
            (
                Kind::Push,
                process::output(&mut lab.prontodb(database, ["keys", "bench.jobs", "--count"]))?
                    .trim()
                    .parse()?,
            ),
        ];
        let distinct = |kind: Kind| {
            let all: Vec<_> = worked.iter().flat_map(|worked| &worked.answers[kind as usize]).collect();
            all.len() as u64 - all.iter().collect::<BTreeSet<_>>().len() as u64
        };
        let more = found.iter().map(|(kind, found)| found.saturating_sub(asked(*kind))).sum::<u64>();
        Ok(Self {
            operations: Kind::ALL.into_iter().map(asked).sum(),
            kills: sum(|worked| worked.kills),
            failures: sum(|worked| worked.failures),
            differing: sum(|worked| worked.differing),
            duplicates: more + distinct(Kind::Incr) + distinct(Kind::Push),
            lost: found.iter().map(|(kind, found)| asked(*kind).saturating_sub(*found)).sum(),
        })
    }

    fn print(&self, took: Duration) {
        let Self { operations, kills, failures, differing, duplicates, lost } = self;
        let row = |what: &str, count: u64| Row::new(what, Unit::Count, count as f64).at_most(0.0);
        let rows = [
            Row::new("operations under ids", Unit::Count, *operations as f64),
            Row::new("tries that were killed", Unit::Count, *kills as f64),
            Row::new("seconds", Unit::Count, took.as_secs_f64().round()),
            row("failures", *failures),
            row("answers that differ", *differing),
            row("duplicates", *duplicates),
            row("lost", *lost),
        ];
        table::print_goals("retries with kill -9", &rows);
    }
}
