//! Many processes that share work: whether each task is done once, whoever is killed or stopped, and whether what they saw
//! can have happened one after the other.

mod claims;
mod histories;
mod ledger;
mod objects;

use std::path::Path;

use prontodb_core::clock::{Clock, SystemClock};

use crate::lab::Lab;
use crate::{Result, table};

pub(crate) fn run(lab: &Lab) -> Result {
    let mut rows = claims::run(lab)?;
    rows.extend(claims::speed(lab)?);
    table::print_goals("claims", &rows);
    table::print_goals("histories", &histories::run(lab)?);
    Ok(())
}

/// What one of the processes does.
pub(crate) fn work(task: &[&str]) -> Result {
    match *task {
        ["push", file, items] => claims::push(Path::new(file), items.parse()?),
        ["claim", file, ledger, ttl] => claims::work(Path::new(file), Path::new(ledger), ttl.parse()?),
        ["operate", file, ledger, seed, rounds] => {
            histories::operate(Path::new(file), Path::new(ledger), seed.parse()?, rounds.parse()?)
        }
        _ => Err("no such task".into()),
    }
}

/// Milliseconds on the clock that leases go by.
fn uptime() -> Result<u64> {
    Ok(SystemClock.uptime().ok_or("this system does not tell how long it has been up")?.millis)
}
