//! What one command costs: `get` and `set` beside the floor, the sqlite3 program, and a program that does nothing.

use crate::contest::{self, Entrant, Standing, Turn};
use crate::counts::{Counts, empty_log, syncs_a_set};
use crate::lab::Lab;
use crate::rivals::Rivals;
use crate::table::{self, Row, Unit};
use crate::{Result, trace};

const KEYS: u64 = 100_000;
const ROUNDS: u64 = 500;
/// Afterwards the caches are warm and the logs are neither empty nor long, as in daily use.
const WARM_UP_ROUNDS: u64 = 20;

pub(crate) fn run(lab: &Lab) -> Result {
    let rivals = Rivals::make(lab, "oneshot", lab.scaled(KEYS))?;
    let counts = rows_of_counts(lab, &rivals)?;
    contest::hold(&sets(lab, &rivals, 0), WARM_UP_ROUNDS)?;
    let gets = contest::hold(&gets(lab, &rivals), lab.scaled(ROUNDS))?;
    let sets = contest::hold(&sets(lab, &rivals, WARM_UP_ROUNDS), lab.scaled(ROUNDS))?;
    contest::print("get", &gets);
    contest::print("set", &sets);

    let mut rows = rows_of_gets(&gets);
    rows.extend(rows_of_sets(&sets));
    rows.extend(counts);
    rows.extend(rows_of_sizes(lab, &gets)?);
    table::print_goals("one-shot", &rows);
    Ok(())
}

fn gets<'a>(lab: &'a Lab, rivals: &'a Rivals<'_>) -> [Entrant<'a>; 4] {
    [
        Entrant::new("true", |_| lab.nothing()),
        Entrant::new("floor", |turn: Turn| rivals.floor_get(turn.number)),
        Entrant::new("prontodb", |turn: Turn| rivals.get(turn.number)),
        Entrant::new("sqlite3", |turn: Turn| rivals.sqlite_get(turn.number)),
    ]
}

/// Its values start at `serial`, so that none comes twice.
fn sets<'a>(lab: &'a Lab, rivals: &'a Rivals<'_>, serial: u64) -> [Entrant<'a>; 4] {
    [
        Entrant::new("true", |_| lab.nothing()),
        Entrant::new("floor", move |turn: Turn| rivals.floor_set(turn.number, serial + turn.serial)),
        Entrant::new("prontodb", move |turn: Turn| rivals.set(turn.number, serial + turn.serial)),
        Entrant::new("sqlite3", move |turn: Turn| rivals.sqlite_set(turn.number, serial + turn.serial)),
    ]
}

fn rows_of_gets([nothing, floor, ours, sqlite]: &[Standing; 4]) -> Vec<Row> {
    vec![
        Row::new("get, times /bin/true", Unit::Times, ours.times(nothing)).at_most(1.3).stretch(1.0),
        Row::new("get, times sqlite3", Unit::Times, ours.times(sqlite)).at_most(0.40).stretch(0.28),
        Row::new("get, times the floor", Unit::Times, ours.times(floor)),
    ]
}

fn rows_of_sets([nothing, floor, ours, sqlite]: &[Standing; 4]) -> Vec<Row> {
    vec![
        Row::new("set, times /bin/true", Unit::Times, ours.times(nothing)).at_most(1.5).stretch(1.1),
        Row::new("set, times sqlite3", Unit::Times, ours.times(sqlite)).at_most(0.35).stretch(0.25),
        Row::new("set, times the floor", Unit::Times, ours.times(floor)),
    ]
}

fn rows_of_counts(lab: &Lab, rivals: &Rivals<'_>) -> Result<Vec<Row>> {
    if !trace::tools_are_there() {
        return Ok(Vec::new());
    }
    let mut serial = 0;
    empty_log(&rivals.store, || {
        serial += 1;
        rivals.set(0, serial)
    })?;
    let get = Counts::of(|number| rivals.get(number))?;
    let floor = Counts::of(|number| rivals.floor_get(number))?;
    Ok(vec![
        Row::new("get: instructions", Unit::Count, get.instructions).at_most(500e3).stretch(300e3),
        Row::new("get: system calls", Unit::Count, get.system_calls).at_most(110.0).stretch(95.0),
        Row::new("get: page faults", Unit::Count, get.page_faults).at_most(100.0).stretch(60.0),
        Row::new("the floor's get: instructions", Unit::Count, floor.instructions),
        Row::new("the floor's get: system calls", Unit::Count, floor.system_calls),
        Row::new("the floor's get: page faults", Unit::Count, floor.page_faults),
        Row::new("fsyncs a set", Unit::Each, syncs_a_set(lab, &rivals.store, false)?).at_most(0.12),
        Row::new("fsyncs a set --durable", Unit::Each, syncs_a_set(lab, &rivals.store, true)?).at_least(1.0),
    ])
}

fn rows_of_sizes(lab: &Lab, [nothing, _, ours, _]: &[Standing; 4]) -> Result<Vec<Row>> {
    let binary = lab.prontodb_binary().metadata()?.len() as f64;
    Ok(vec![
        Row::new("size of the program", Unit::Bytes, binary).at_most(6e6).stretch(3e6),
        Row::new("memory of a get", Unit::Bytes, ours.peak_bytes).at_most(10e6).stretch(5e6),
        Row::new("memory of /bin/true, measured alike", Unit::Bytes, nothing.peak_bytes),
    ])
}
