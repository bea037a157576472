//! Processes that stay and write one entry after the other through the library.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};

use super::{PROCESSES, watching_size};
use crate::Result;
use crate::lab::Lab;
use crate::rivals::Database;
use crate::stats::Samples;
use crate::table::{self, Row, Unit};
use crate::worker::{self, Tally};

const KEYS: u64 = 100_000;
const ROUNDS: u64 = 3;
const SECONDS: u64 = 4;

pub(super) fn run(lab: &Lab) -> Result<Vec<Row>> {
    let store = Database::make(lab.folder("writers")?.join("store.prdb"), lab.scaled(KEYS), 1)?;
    let mut rounds = Vec::new();
    let seconds = lab.scaled(SECONDS);
    for _ in 0..lab.scaled(ROUNDS) {
        let (tallies, largest_log) = watching_size(&store.log(), || write_together(&store, seconds));
        rounds.push(Round::new(&tallies?, seconds, largest_log));
    }
    print(&rounds);
    Ok(rows(&rounds))
}

/// Starts the writers, lets them begin at once, and collects what they report.
fn write_together(store: &Database, seconds: u64) -> Result<Vec<Tally>> {
    let mut writers = Vec::new();
    for index in 0..PROCESSES {
        writers.push(Writer::start(store, index, seconds)?);
    }
    for writer in &mut writers {
        writer.wait_until_ready()?;
    }
    for writer in &mut writers {
        writer.begin();
    }
    writers.into_iter().map(Writer::finish).collect()
}

/// A process that writes.
pub(crate) struct Writer {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Writer {
    pub(crate) fn start(store: &Database, index: usize, seconds: u64) -> Result<Self> {
        let mut child = worker::writer(store, index, seconds)?.spawn()?;
        let stdout = child.stdout.take().ok_or("a writer has no output")?;
        Ok(Self { child, stdout: BufReader::new(stdout) })
    }

    pub(crate) fn wait_until_ready(&mut self) -> Result {
        self.stdout.read_line(&mut String::new())?;
        Ok(())
    }

    pub(crate) fn begin(&mut self) {
        drop(self.child.stdin.take());
    }

    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    pub(crate) fn finish(mut self) -> Result<Tally> {
        let mut report = String::new();
        self.stdout.read_to_string(&mut report)?;
        self.child.wait()?;
        Tally::parse(&report)
    }
}

/// What came of one round.
struct Round {
    writes_a_second: f64,
    failures: u64,
    worst_wait: f64,
    slowest_over_fastest: f64,
    largest_log: u64,
}

impl Round {
    fn new(tallies: &[Tally], seconds: u64, largest_log: u64) -> Self {
        let writes = Samples::new(tallies.iter().map(|tally| tally.writes as f64).collect());
        Self {
            writes_a_second: tallies.iter().map(|tally| tally.writes).sum::<u64>() as f64 / seconds as f64,
            failures: tallies.iter().map(|tally| tally.failures).sum(),
            worst_wait: tallies.iter().map(|tally| tally.worst_wait.as_secs_f64()).fold(0.0, f64::max),
            slowest_over_fastest: writes.min() / writes.max(),
            largest_log,
        }
    }
}

fn print(rounds: &[Round]) {
    let row = |(number, round): (usize, &Round)| {
        [
            format!("round {}", number + 1),
            Unit::Count.show(round.writes_a_second),
            Unit::Seconds.show(round.worst_wait),
            Unit::Times.show(round.slowest_over_fastest),
            round.failures.to_string(),
            Unit::Bytes.show(round.largest_log as f64),
        ]
    };
    let rows: Vec<_> = rounds.iter().enumerate().map(row).collect();
    table::print(
        ["long-lived writers", "writes a second", "worst wait", "slowest / fastest", "failed", "log"],
        &rows,
    );
}

fn rows(rounds: &[Round]) -> Vec<Row> {
    let median = |number: fn(&Round) -> f64| Samples::new(rounds.iter().map(number).collect()).median();
    let failures: u64 = rounds.iter().map(|round| round.failures).sum();
    vec![
        Row::new("writers: failures", Unit::Count, failures as f64).at_most(0.0),
        Row::new("writers: worst wait", Unit::Seconds, median(|round| round.worst_wait)).at_most(1.2),
        Row::new("writers: slowest / fastest", Unit::Times, median(|round| round.slowest_over_fastest))
            .at_least(0.25),
        Row::new("writers: writes a second", Unit::Count, median(|round| round.writes_a_second)),
        Row::new("writers: largest log", Unit::Bytes, median(|round| round.largest_log as f64)),
    ]
}
