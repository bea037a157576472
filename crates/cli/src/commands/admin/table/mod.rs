//! `admin table`: the physical tables that namespaces lie in.

pub mod create;
pub mod describe;
pub mod drop;
pub mod list;

use prontodb_core::store::Table;

use crate::exit::Failure;

/// Reads the name of a table.
pub fn parse(name: &str) -> Result<Table, Failure> {
    Ok(name.parse()?)
}

/// Adds what to do about a table that is not there.
pub fn explained(failure: Failure) -> Failure {
    if failure.hint.is_none() && failure.message.contains("there is no table") {
        return failure.hint("prontodb admin table list lists the tables");
    }
    failure
}
