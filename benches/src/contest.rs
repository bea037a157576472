//! Runs commands in turn, A B C A B C …, so that whatever else the machine does strikes all of them alike.

use std::process::Command;

use crate::stats::{Dice, Samples};
use crate::table::{self, Unit};
use crate::{Result, process};

/// A command to be measured.
pub(crate) struct Entrant<'a> {
    name: &'static str,
    command: Box<dyn Fn(Turn) -> Command + 'a>,
}

/// One round of the contest.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// Chosen by chance; says which entry it is about.
    pub(crate) number: u64,
    /// Never the same twice.
    pub(crate) serial: u64,
}

/// How an entrant did.
pub(crate) struct Standing {
    name: &'static str,
    pub(crate) times: Samples,
    cpu: Samples,
    pub(crate) peak_bytes: f64,
}

impl<'a> Entrant<'a> {
    pub(crate) fn new(name: &'static str, command: impl Fn(Turn) -> Command + 'a) -> Self {
        Self { name, command: Box::new(command) }
    }
}

/// Runs each entrant once a round; every one of them has to succeed.
pub(crate) fn hold<const N: usize>(entrants: &[Entrant<'_>; N], rounds: u64) -> Result<[Standing; N]> {
    let mut dice = Dice::new(rounds);
    let mut runs: [Vec<process::Run>; N] = std::array::from_fn(|_| Vec::new());
    for serial in 0..rounds {
        let turn = Turn { number: dice.below(u64::MAX), serial };
        for (entrant, runs) in entrants.iter().zip(&mut runs) {
            runs.push(run(entrant, turn)?);
        }
    }
    let mut runs = runs.into_iter();
    Ok(entrants.each_ref().map(|entrant| Standing::new(entrant.name, runs.next().unwrap_or_default())))
}

fn run(entrant: &Entrant<'_>, turn: Turn) -> Result<process::Run> {
    let run = process::run(&mut (entrant.command)(turn))?;
    if run.usage.status.success() {
        Ok(run)
    } else {
        Err(format!("{}: {}", entrant.name, run.usage.status).into())
    }
}

impl Standing {
    fn new(name: &'static str, runs: Vec<process::Run>) -> Self {
        let peaks = runs.iter().map(|run| run.usage.peak_bytes);
        Self {
            name,
            peak_bytes: peaks.max().unwrap_or_default() as f64,
            cpu: Samples::of_times(runs.iter().map(|run| run.usage.cpu)),
            times: Samples::of_times(runs.iter().map(|run| run.took)),
        }
    }

    /// How many times as long as `other` it took.
    pub(crate) fn times(&self, other: &Self) -> f64 {
        self.times.median() / other.times.median()
    }
}

/// Prints all that was measured; ratios are to the first.
pub(crate) fn print(title: &str, standings: &[Standing]) {
    let microseconds = |seconds: f64| format!("{:.0}", seconds * 1e6);
    let Some(first) = standings.first() else { return };
    let row = |standing: &Standing| {
        [
            standing.name.to_owned(),
            microseconds(standing.times.median()),
            microseconds(standing.times.percentile(10.0)),
            microseconds(standing.times.percentile(99.0)),
            microseconds(standing.cpu.median()),
            Unit::Bytes.show(standing.peak_bytes),
            Unit::Times.show(standing.times(first)),
        ]
    };
    let rows: Vec<_> = standings.iter().map(row).collect();
    table::print([title, "median us", "p10", "p99", "cpu us", "memory", "times the first"], &rows);
}
