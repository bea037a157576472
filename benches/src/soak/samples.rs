//! What the long-lived processes and the files take, looked at again and again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CHANGES_KEPT, CHANGES_MORE, Soak};
use crate::stats::Samples;
use crate::table::{Row, Unit};
use crate::{Result, process};

/// How often, unless the run is short.
const INTERVAL: Duration = Duration::from_secs(10);
/// How many samples there are at the least.
const AT_LEAST: u32 = 60;
const MEGABYTE: f64 = 1e6;

/// What things took at one moment.
pub(super) struct Sample {
    /// Which part of the run was over.
    part: f64,
    /// Bytes of memory and handles of each long-lived process.
    residents: BTreeMap<&'static str, (f64, f64)>,
    log: f64,
    database: f64,
    changes: f64,
    processes: f64,
}

pub(super) fn take(soak: &Soak<'_>) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    while soak.pause(INTERVAL.min(soak.span / AT_LEAST)) {
        samples.push(Sample::take(soak)?);
    }
    Ok(samples)
}

impl Sample {
    fn take(soak: &Soak<'_>) -> Result<Self> {
        let size = |path: &Path| fs::metadata(path).map_or(0.0, |meta| meta.len() as f64);
        let log = PathBuf::from(format!("{}-wal", soak.file.display()));
        let query = "SELECT count(*) FROM sys_changes";
        let changes = process::output(&mut soak.lab.patient_sqlite(&soak.file, query))?;
        let residents = soak.residents().into_iter().filter_map(|(name, pid)| Some((name, resident(pid)?)));
        Ok(Self {
            part: soak.part(),
            residents: residents.collect(),
            log: size(&log),
            database: size(&soak.file),
            changes: changes.trim().parse()?,
            processes: processes(soak.lab.prontodb_binary())? as f64,
        })
    }
}

/// The memory that a process has for itself, and its handles, if it is there. What it maps of files counts for all who do: the program,
/// and the index of the log, which stays as long as the longest log has made it.
fn resident(pid: u32) -> Option<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: f64 = own.trim().strip_suffix(" kB")?.parse().ok()?;
    let handles = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    Some((kibibytes * 1024.0, handles as f64))
}

/// How many processes run the program.
fn processes(program: &Path) -> Result<usize> {
    let program = fs::canonicalize(program)?;
    let runs_it =
        |entry: &fs::DirEntry| fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program);
    Ok(fs::read_dir("/proc")?.flatten().filter(runs_it).count())
}

/// A number of the samples of a quarter of the run.
fn quarter(samples: &[Sample], from: f64, number: impl Fn(&Sample) -> Option<f64>) -> Samples {
    let within = samples.iter().filter(|sample| (from..from + 0.25).contains(&sample.part));
    Samples::new(within.filter_map(number).collect())
}

/// What has grown: see the head of the soak for the rule.
pub(super) fn rows(samples: &[Sample], pinned: (f64, f64)) -> Vec<Row> {
    let both = |number: &dyn Fn(&Sample) -> Option<f64>| {
        (quarter(samples, 0.25, number), quarter(samples, 0.75, number))
    };
    let names: Vec<_> =
        samples.first().map(|sample| sample.residents.keys().copied().collect()).unwrap_or_default();
    let mut rows = vec![Row::new("samples", Unit::Count, samples.len() as f64)];
    for name in names {
        let (second, last) = both(&|sample| sample.residents.get(name).map(|(memory, _)| *memory));
        let goal = second.median() * 1.1 + MEGABYTE;
        rows.push(Row::new(format!("{name}: memory"), Unit::Bytes, last.median()).at_most(goal));
        let (second, last) = both(&|sample| sample.residents.get(name).map(|(_, handles)| *handles));
        rows.push(Row::new(format!("{name}: handles"), Unit::Count, last.max()).at_most(second.max()));
    }
    let (second, last) = both(&|sample| Some(sample.database));
    let goal = second.median() * 1.1 + MEGABYTE;
    rows.push(Row::new("the database", Unit::Bytes, last.median()).at_most(goal));
    let is_pinned = |sample: &&Sample| (pinned.0..=pinned.1).contains(&sample.part);
    let while_pinned = Samples::new(samples.iter().filter(is_pinned).map(|sample| sample.log).collect());
    rows.push(Row::new("the log while it was pinned, at most", Unit::Bytes, while_pinned.max()));
    let (second, last) = both(&|sample| Some(sample.log));
    let goal = second.max() * 1.25 + MEGABYTE;
    rows.push(Row::new("the log afterwards, at most", Unit::Bytes, last.max()).at_most(goal));
    let changes = Samples::new(samples.iter().map(|sample| sample.changes).collect());
    let goal = (CHANGES_KEPT + CHANGES_MORE) as f64;
    rows.push(Row::new("the log of changes, at most", Unit::Count, changes.max()).at_most(goal));
    let (second, last) = both(&|sample| Some(sample.processes));
    rows.push(Row::new("processes, at most", Unit::Count, last.max()).at_most(second.max() + 2.0));
    rows
}
