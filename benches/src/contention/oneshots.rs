//! Scripts that write at the same time: each starts one `set` after the other.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{all_at_once, silent, watching_size};
use crate::lab::Lab;
use crate::rivals::{Rivals, log_of, namespace, upsert, value};
use crate::stats::Samples;
use crate::table::{self, Row, Unit};
use crate::{Result, process};

const KEYS: u64 = 100_000;
/// Of each process in each round.
const SETS: u64 = 25;
const ROUNDS: u64 = 7;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>> {
    let rivals = Rivals::make(lab, "contention", lab.scaled(KEYS))?;
    let contestants = [
        Contestant { name: "true", file: Path::new(""), set: &|_| lab.nothing(), entries: None },
        Contestant {
            name: "prontodb",
            file: &rivals.store.file,
            set: &|write| lab.prontodb(&rivals.store.file, ["set", &address(&write.key), &write.value]),
            entries: Some(&|prefix| lab.prontodb(&rivals.store.file, ["scan", &address(prefix)])),
        },
        Contestant {
            name: "sqlite3",
            file: &rivals.sqlite,
            set: &|write| lab.patient_sqlite(&rivals.sqlite, &upsert(&write.key, &write.value)),
            entries: Some(&|prefix| lab.sqlite(&rivals.sqlite, &select(prefix))),
        },
    ];
    let mut rushes = contestants.each_ref().map(|_| Vec::new());
    for round in 0..lab.scaled(ROUNDS) {
        for (contestant, rushes) in contestants.iter().zip(&mut rushes) {
            rushes.push(contestant.rush(round, lab.scaled(SETS))?);
        }
    }
    print(&contestants, &rushes);
    Ok(rows(&rushes))
}

/// One entry to be written.
struct Write {
    key: String,
    value: String,
}

impl Write {
    fn new(prefix: &str, worker: usize, number: u64) -> Self {
        Self { key: format!("{prefix}w{worker}k{number}"), value: value(worker as u64 * SETS + number) }
    }
}

fn address(key: &str) -> String {
    format!("{}.{key}", namespace(0))
}

fn select(prefix: &str) -> String {
    format!("SELECT name || '=' || value FROM entries WHERE ns = 1 AND name GLOB '{prefix}*'")
}

/// A program that writes.
struct Contestant<'a> {
    name: &'static str,
    file: &'a Path,
    set: &'a (dyn Fn(&Write) -> Command + Sync),
    /// Prints what it has stored under keys with a prefix, as `key=value`; nothing is, by a program that does nothing.
    entries: Option<&'a (dyn Fn(&str) -> Command + Sync)>,
}

/// A write that was tried.
struct Attempt {
    write: Write,
    took: Duration,
    succeeded: bool,
}

/// What came of one round.
struct Rush {
    waits: Samples,
    writes_a_second: f64,
    failures: usize,
    lost: usize,
    largest_log: u64,
}

impl Contestant<'_> {
    fn rush(&self, round: u64, sets: u64) -> Result<Rush> {
        let prefix = format!("round{round}");
        let write_in_turn = |worker| -> Result<Vec<Attempt>> {
            (0..sets).map(|number| self.attempt(Write::new(&prefix, worker, number))).collect()
        };
        let (done, largest_log) = watching_size(&log_of(self.file), || all_at_once(write_in_turn));
        let (done, elapsed) = done?;
        let done: Vec<_> = done.into_iter().flatten().collect();
        let acknowledged: Vec<_> = done.iter().filter(|attempt| attempt.succeeded).collect();
        Ok(Rush {
            writes_a_second: acknowledged.len() as f64 / elapsed.as_secs_f64(),
            failures: done.len() - acknowledged.len(),
            lost: self.count_lost(&prefix, &acknowledged)?,
            largest_log,
            waits: Samples::of_times(done.iter().map(|attempt| attempt.took)),
        })
    }

    fn attempt(&self, write: Write) -> Result<Attempt> {
        let run = process::run(&mut silent((self.set)(&write)))?;
        Ok(Attempt { write, took: run.took, succeeded: run.usage.status.success() })
    }

    /// How many writes were acknowledged and cannot be read back.
    fn count_lost(&self, prefix: &str, acknowledged: &[&Attempt]) -> Result<usize> {
        let Some(entries) = self.entries else { return Ok(0) };
        let printed = process::output(&mut entries(prefix))?;
        let there: HashSet<_> = printed.lines().collect();
        let is_lost = |write: &Write| !there.contains(format!("{}={}", write.key, write.value).as_str());
        Ok(acknowledged.iter().filter(|attempt| is_lost(&attempt.write)).count())
    }
}

fn median(rushes: &[Rush], number: impl Fn(&Rush) -> f64) -> f64 {
    Samples::new(rushes.iter().map(number).collect()).median()
}

fn worst(rush: &Rush) -> f64 {
    rush.waits.max()
}

fn speed(rush: &Rush) -> f64 {
    rush.writes_a_second
}

fn print<const N: usize>(contestants: &[Contestant<'_>; N], rushes: &[Vec<Rush>; N]) {
    let row = |(contestant, rushes): (&Contestant<'_>, &Vec<Rush>)| {
        let seconds = |number: fn(&Rush) -> f64| Unit::Seconds.show(median(rushes, number));
        let worst_of_all = rushes.iter().map(worst).fold(0.0, f64::max);
        [
            contestant.name.to_owned(),
            Unit::Count.show(median(rushes, speed)),
            seconds(|rush| rush.waits.median()),
            seconds(|rush| rush.waits.percentile(99.0)),
            seconds(worst),
            Unit::Seconds.show(worst_of_all),
            rushes.iter().map(|rush| rush.failures).sum::<usize>().to_string(),
            rushes.iter().map(|rush| rush.lost).sum::<usize>().to_string(),
            Unit::Bytes.show(rushes.iter().map(|rush| rush.largest_log).max().unwrap_or_default() as f64),
        ]
    };
    let rows: Vec<_> = contestants.iter().zip(rushes).map(row).collect();
    table::print(
        ["one-shot sets", "a second", "p50", "p99", "worst", "worst of all", "failed", "lost", "log"],
        &rows,
    );
}

fn rows([nothing, ours, sqlite]: &[Vec<Rush>; 3]) -> Vec<Row> {
    let failures: usize = ours.iter().map(|rush| rush.failures).sum();
    let lost: usize = ours.iter().map(|rush| rush.lost).sum();
    let times = |other, number: fn(&Rush) -> f64| median(ours, number) / median(other, number);
    vec![
        Row::new("one-shot sets: failures", Unit::Count, failures as f64).at_most(0.0),
        Row::new("one-shot sets: lost rows", Unit::Count, lost as f64).at_most(0.0),
        Row::new("one-shot sets: speed, times sqlite3", Unit::Times, times(sqlite, speed)).at_least(2.5),
        Row::new("one-shot sets: speed, times /bin/true", Unit::Times, times(nothing, speed)).at_least(0.6),
        Row::new("one-shot sets: worst, times /bin/true", Unit::Times, times(nothing, worst)).at_most(3.0),
    ]
}
