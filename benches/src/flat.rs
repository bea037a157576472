//! Whether commands cost the same however much is stored: few keys or many, one namespace or ten thousand.

use std::path::Path;

use crate::Result;
use crate::contest::{self, Entrant, Turn};
use crate::lab::Lab;
use crate::rivals::{Database, value};
use crate::table::{self, Row, Unit};

const FEW_KEYS: u64 = 10_000;
const MANY_KEYS: u64 = 10_000_000;
const KEYS_IN_NAMESPACES: u64 = 100_000;
const MANY_NAMESPACES: u64 = 10_000;
const ROUNDS: u64 = 500;
const WARM_UP_ROUNDS: u64 = 20;

pub(crate) fn run(lab: &Lab) -> Result {
    let folder = lab.folder("flat")?;
    let mut rows = by_keys(lab, &folder)?;
    rows.extend(by_namespaces(lab, &folder)?);
    table::print_goals("flat", &rows);
    Ok(())
}

fn by_keys(lab: &Lab, folder: &Path) -> Result<Vec<Row>> {
    let few = Database::make(folder.join("few.prdb"), lab.scaled(FEW_KEYS), 1)?;
    let many = Database::make(folder.join("many.prdb"), lab.scaled(MANY_KEYS), 1)?;
    compare(lab, ("10 k keys", &few), ("10 M keys", &many), 1.25)
}

fn by_namespaces(lab: &Lab, folder: &Path) -> Result<Vec<Row>> {
    let keys = lab.scaled(KEYS_IN_NAMESPACES);
    let one = Database::make(folder.join("one.prdb"), keys, 1)?;
    let many = Database::make(folder.join("namespaces.prdb"), keys, lab.scaled(MANY_NAMESPACES))?;
    compare(lab, ("1 namespace", &one), ("10 k namespaces", &many), 1.10)
}

type Named<'a> = (&'static str, &'a Database);

fn compare(lab: &Lab, small: Named<'_>, large: Named<'_>, goal: f64) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for verb in [Verb::Set, Verb::Get, Verb::Keys] {
        let pair = [small, large]
            .map(|(name, store)| Entrant::new(name, move |turn| verb.command(lab, store, turn)));
        contest::hold(&pair, WARM_UP_ROUNDS)?;
        let standings = contest::hold(&pair, lab.scaled(ROUNDS))?;
        contest::print(verb.name(), &standings);
        let [at_small, at_large] = standings;
        let what = format!("{}: {}, times {}", verb.name(), large.0, small.0);
        rows.push(Row::new(what, Unit::Times, at_large.times(&at_small)).at_most(goal));
    }
    Ok(rows)
}

#[derive(Clone, Copy)]
enum Verb {
    Get,
    Set,
    Keys,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Keys => "keys of a prefix",
        }
    }

    fn command(self, lab: &Lab, store: &Database, turn: Turn) -> std::process::Command {
        let address = store.address(turn.number);
        match self {
            Self::Get => lab.prontodb(&store.file, ["get", &address]),
            Self::Set => lab.prontodb(&store.file, ["set", &address, &value(turn.number)]),
            Self::Keys => lab.prontodb(&store.file, ["keys", &store.prefix_of_ten(turn.number)]),
        }
    }
}
