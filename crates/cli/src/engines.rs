//! The engines this program knows, and which one a place belongs to: the one file of the CLI that names them.

use std::path::Path;
use std::sync::Arc;

/// Following a database, and making it again of what was read.
pub use prontodb_core::engine::sqlite::follow;
pub use prontodb_core::engine::sqlite::{
    Access, Alone, Durability, Lifetime, LockHolder, OpenOptions, ReadAt, Report, Verified, files_of,
    library_version, share_allocator,
};
use prontodb_core::engine::sqlite::{Reopening, SqliteEngine};
use prontodb_core::engine::{Engine, Snapshot};
use prontodb_core::{Error, Store, Version};

/// What the names of files end in that lie beside a database.
pub const SIDE_FILES: [&str; 4] = ["-wal", "-shm", "-turn", "-journal"];

/// Opens the store at the place that `options` name; every place is a SQLite file, and another one may take its place.
pub fn open(options: &OpenOptions) -> Result<Store, Error> {
    Reopening::open(options.clone()).map(Store::new)
}

/// Tells about the file of a store, and what it lies on.
pub fn report(options: &OpenOptions) -> Result<Report, Error> {
    SqliteEngine::open(options.clone())?.report()
}

/// Checks the file of a database that nobody uses.
pub fn verify(path: &Path) -> Result<Verified, Error> {
    SqliteEngine::verify(path)
}

/// The bytes of a file.
pub fn lend_file(path: &Path) -> Result<Arc<dyn ReadAt>, Error> {
    SqliteEngine::lend_file(path)
}

/// Checks a database that lies in something else, a copy of the one at `path`.
pub fn verify_lent(lent: &Arc<dyn ReadAt>, path: &Path) -> Result<Verified, Error> {
    SqliteEngine::verify_lent(lent, path)
}

/// Says of which revision and schema such a copy is; of an earlier revision than `seen` it may not be.
pub fn identify_lent(lent: &Arc<dyn ReadAt>, path: &Path, seen: Version) -> Result<(Version, u64), Error> {
    SqliteEngine::identify_lent(lent, path, seen)
}

/// Copies the database at `path`, for whoever may read the file.
pub fn snapshot_of(path: &Path, dest: &Path) -> Result<Snapshot, Error> {
    let options = OpenOptions { access: Access::Read, ..OpenOptions::new(path) };
    SqliteEngine::open(options)?.snapshot(dest)
}

/// Leaves of a database that nobody uses one file, of the latest schema and on disk.
pub fn settle(path: &Path) -> Result<(), Error> {
    SqliteEngine::settle(path)
}

/// Raises the revision of a database that nobody uses above another one.
pub fn raise(path: &Path, above: Version) -> Result<Version, Error> {
    SqliteEngine::raise(path, above)
}

/// Copies what there is to the file that it is given.
pub type CopyTo<'a> = &'a dyn Fn(&Path) -> Result<Snapshot, Error>;

/// Puts the content of the database at `source` in the place of that of a database in use, once `keep` has copied what there
/// is; it is called again when somebody writes meanwhile.
pub fn overwrite(
    options: &OpenOptions,
    source: &Path,
    keep: &mut dyn FnMut(CopyTo<'_>) -> Result<(), Error>,
) -> Result<Version, Error> {
    SqliteEngine::open(options.clone())?
        .overwrite(source, &mut |engine| keep(&|dest: &Path| engine.snapshot(dest)))
}

/// Takes the file of a store to remove it.
pub fn hold_to_remove(options: &OpenOptions) -> Result<Alone, Error> {
    SqliteEngine::hold_to_remove(options)
}

/// Takes the file of a store for this process alone.
pub fn hold_alone(options: &OpenOptions) -> Result<Alone, Error> {
    SqliteEngine::hold_alone(options)
}
