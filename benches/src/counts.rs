//! What a `get` and a `set` cost in instructions, system calls, page faults and waits for the disk, held against
//! `counts.txt`. The numbers are the same on a busy machine, so this is a gate where times are not.

use std::fs;
use std::process::Command;

use crate::lab::Lab;
use crate::rivals::{Database, value};
use crate::table::{self, Row, Unit};
use crate::{Result, contexts, process, trace, worker};

const KEYS: u64 = 100_000;
const LIMITS: &str = include_str!("../counts.txt");
/// How many `set`s share the cost of emptying the log.
const SETS: u64 = 200;
/// An entry in the middle.
const ENTRY: u64 = 4242;

pub(crate) fn run(lab: &Lab) -> Result {
    let store = Database::make(lab.folder("counts")?.join("store.prdb"), lab.scaled(KEYS), 1)?;
    let address = store.address(ENTRY);
    let mut serial = 0;
    let mut set = || {
        serial += 1;
        lab.prontodb(&store.file, ["set", &address, &value(serial)])
    };
    let get = || lab.prontodb(&store.file, ["get", &address]);

    let mut counts = Vec::new();
    let sets_a_cycle = empty_log(&store, &mut set)?;
    counts.extend(Counts::of(|_| get())?.named("get"));
    counts.extend(contexts::count(lab, &store, &address)?);
    counts.extend(Counts::of(|_| set())?.named("set"));
    empty_log(&store, &mut set)?;
    for _ in 1..sets_a_cycle {
        process::output(&mut set())?;
    }
    counts.extend(Counts::of(|_| get())?.named("get_behind_longest_log"));
    counts.push(("set.fsyncs".to_owned(), syncs_a_set(lab, &store, false)?));
    counts.push(("set_durable.fsyncs".to_owned(), syncs_a_set(lab, &store, true)?));
    judge(&counts)
}

/// Writes until the log has been emptied, and says how many writes that took.
pub(crate) fn empty_log(store: &Database, mut set: impl FnMut() -> Command) -> Result<u64> {
    let size = || fs::metadata(store.log()).map_or(0, |log| log.len());
    for sets in 1..=SETS {
        let before = size();
        process::output(&mut set())?;
        if size() < before {
            return Ok(sets);
        }
    }
    Err(format!("{SETS} sets have not emptied the log").into())
}

/// What one command costs.
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    pub(crate) system_calls: f64,
    pub(crate) page_faults: f64,
}

impl Counts {
    pub(crate) fn of(mut command: impl FnMut(u64) -> Command) -> Result<Self> {
        Ok(Self {
            instructions: trace::instructions(&command(ENTRY))?,
            system_calls: trace::system_calls(&command(ENTRY))?,
            page_faults: trace::page_faults(|| command(ENTRY))?,
        })
    }

    fn named(&self, command: &str) -> [(String, f64); 3] {
        [
            (format!("{command}.instructions"), self.instructions),
            (format!("{command}.system_calls"), self.system_calls),
            (format!("{command}.page_faults"), self.page_faults),
        ]
    }
}

/// How often a `set` waits for the disk, over many of them.
pub(crate) fn syncs_a_set(lab: &Lab, store: &Database, durable: bool) -> Result<f64> {
    let sets = worker::sets_in_turn(lab.prontodb_binary(), store, SETS, durable)?;
    Ok(trace::syncs(&sets)? / SETS as f64)
}

/// Prints each count beside its limits, and fails when one is over.
fn judge(counts: &[(String, f64)]) -> Result {
    let mut rows = Vec::new();
    for line in LIMITS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        rows.push(row(line, counts)?);
    }
    table::print_goals("count", &rows);
    let missed = rows.iter().filter(|row| row.misses_goal()).count();
    if missed == 0 { Ok(()) } else { Err(format!("{missed} of {} limits are not kept", rows.len()).into()) }
}

fn row(line: &str, counts: &[(String, f64)]) -> Result<Row> {
    let malformed =
        || format!("counts.txt: `{line}` is not `NAME <=|>= NUMBER` of something that is counted");
    let [name, relation, limit] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err(malformed().into());
    };
    let (_, count) = counts.iter().find(|(counted, _)| counted == name).ok_or_else(malformed)?;
    let limit = limit.parse().map_err(|_| malformed())?;
    let unit = match name.rsplit('.').next() {
        Some("fsyncs") => Unit::Each,
        Some("times_instructions") => Unit::Times,
        _ => Unit::Count,
    };
    let row = Row::new(name, unit, *count);
    match relation {
        "<=" => Ok(row.at_most(limit)),
        ">=" => Ok(row.at_least(limit)),
        _ => Err(malformed().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(count: f64) -> Vec<(String, f64)> {
        vec![("get.instructions".to_owned(), count)]
    }

    #[test]
    fn a_count_over_its_limit_is_told() {
        assert!(!row("get.instructions <= 5", &counted(5.0)).unwrap().misses_goal());
        assert!(row("get.instructions <= 5", &counted(6.0)).unwrap().misses_goal());
        assert!(row("get.instructions >= 7", &counted(6.0)).unwrap().misses_goal());
    }

    #[test]
    fn a_limit_of_what_is_not_counted_is_an_error() {
        for line in
            ["get.instruction <= 5", "get.instructions 5", "get.instructions < 5", "get.instructions <= x"]
        {
            assert!(row(line, &counted(1.0)).is_err(), "{line}");
        }
    }
}
