//! The engines this program knows, and which one a place belongs to: the one file of the CLI that names them.

use prontodb_core::engine::sqlite::SqliteEngine;
pub use prontodb_core::engine::sqlite::{
    Access, Alone, Durability, Lifetime, LockHolder, OpenOptions, Report, files_of, library_version,
    share_allocator,
};
use prontodb_core::{Error, Store};

/// Opens the store at the place that `options` name; every place is a SQLite file.
pub fn open(options: &OpenOptions) -> Result<Store, Error> {
    SqliteEngine::open(options.clone()).map(Store::new)
}

/// Tells about the file of a store, and what it lies on.
pub fn report(options: &OpenOptions) -> Result<Report, Error> {
    SqliteEngine::open(options.clone())?.report()
}

/// Takes the file of a store for this process alone.
pub fn hold_alone(options: &OpenOptions) -> Result<Alone, Error> {
    SqliteEngine::hold_alone(options)
}
