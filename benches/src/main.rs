//! The benchmarks of ProntoDB: each measures it beside its rivals in the same run and prints the goals next to the
//! numbers. `bin/bench.sh` builds what they need and starts them.
//!
//! - [`lab`] knows the programs, [`rivals`] gives each of them the same entries, [`contest`] runs them in turn.
//! - [`oneshot`], [`flat`], [`contention`], [`listing`], [`bulk`], [`lifecycle`], [`fleet`], [`watch`] are the benchmarks, [`counts`] the gate that no load disturbs.
//! - [`retries`] does operations under ids, with kills: a proof more than a measurement.
//! - [`soak`] does everything at a time for long, and fails where anything is lost or grows.
//! - [`contexts`] is the part of the gate about cursors, users and the like.
//! - [`worker`] is what further processes of this program do.

#![allow(clippy::print_stdout, reason = "tables on stdout are what this program is for")]

mod bulk;
mod contention;
mod contest;
mod contexts;
mod counts;
mod flat;
mod fleet;
mod lab;
mod lifecycle;
mod listing;
mod oneshot;
mod process;
mod retries;
mod rivals;
mod soak;
mod stats;
mod table;
mod trace;
mod watch;
mod worker;

use std::process::ExitCode;

use lab::Lab;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = (), E = Error> = std::result::Result<T, E>;

const USAGE: &str = "usage: prontodb-benches oneshot|flat|contention|listing|bulk|lifecycle|fleet|watch|retries|counts|all \
                     PRONTODB FLOOR SQLITE3 FOLDER [--quick]\n       \
                     prontodb-benches soak PRONTODB FLOOR SQLITE3 FOLDER MINUTES";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("prontodb-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [worker::WORD, ref task @ ..] => worker::run(task),
        ["soak", prontodb, floor, sqlite, folder, minutes] => {
            soak::run(&Lab::new([prontodb, floor, sqlite, folder], false), minutes.parse()?)
        }
        [name, prontodb, floor, sqlite, folder] => {
            bench(name, &Lab::new([prontodb, floor, sqlite, folder], false))
        }
        [name, prontodb, floor, sqlite, folder, "--quick"] => {
            bench(name, &Lab::new([prontodb, floor, sqlite, folder], true))
        }
        _ => Err(USAGE.into()),
    }
}

fn bench(name: &str, lab: &Lab) -> Result {
    match name {
        "oneshot" => oneshot::run(lab),
        "flat" => flat::run(lab),
        "contention" => contention::run(lab),
        "listing" => listing::run(lab),
        "bulk" => bulk::run(lab),
        "lifecycle" => lifecycle::run(lab),
        "fleet" => fleet::run(lab),
        "retries" => retries::run(lab),
        "watch" => watch::run(lab),
        "counts" => counts::run(lab),
        "all" => {
            let names = ["oneshot", "flat", "contention", "listing", "bulk", "lifecycle", "fleet", "watch"];
            names.iter().try_for_each(|name| bench(name, lab))
        }
        _ => Err(USAGE.into()),
    }
}
