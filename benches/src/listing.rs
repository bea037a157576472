//! What it takes to list a million keys, beside the sqlite3 program.

use crate::Result;
use crate::contest::{self, Entrant};
use crate::lab::Lab;
use crate::rivals::{Rivals, namespace};
use crate::table::{self, Row, Unit};

const KEYS: u64 = 1_000_000;
const ROUNDS: u64 = 9;

pub(crate) fn run(lab: &Lab) -> Result {
    let rivals = Rivals::make(lab, "listing", lab.scaled(KEYS))?;
    let all = namespace(0);
    let entrants = [
        Entrant::new("sqlite3: names", |_| {
            lab.sqlite(&rivals.sqlite, "SELECT name FROM entries WHERE ns = 1 ORDER BY name")
        }),
        Entrant::new("prontodb keys", |_| lab.prontodb(&rivals.store.file, ["keys", &all])),
        Entrant::new("sqlite3: names and values", |_| {
            lab.sqlite(&rivals.sqlite, "SELECT name || '=' || value FROM entries WHERE ns = 1 ORDER BY name")
        }),
        Entrant::new("prontodb scan", |_| lab.prontodb(&rivals.store.file, ["scan", &all])),
    ];
    let standings = contest::hold(&entrants, ROUNDS)?;
    contest::print("listing of all keys", &standings);

    let [names, keys, values, scan] = standings;
    let keys_a_second = rivals.store.keys as f64 / scan.times.median();
    let rows = [
        Row::new("scan: speed, times sqlite3", Unit::Times, 1.0 / scan.times(&values)).at_least(1.8),
        Row::new("keys: speed, times sqlite3", Unit::Times, 1.0 / keys.times(&names)),
        Row::new("scan: keys a second", Unit::Count, keys_a_second),
        Row::new("scan: memory", Unit::Bytes, scan.peak_bytes).at_most(210e6),
        Row::new("keys: memory", Unit::Bytes, keys.peak_bytes).at_most(210e6),
    ];
    table::print_goals("listing", &rows);
    Ok(())
}
