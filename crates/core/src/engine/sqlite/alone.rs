//! Holding a database file alone, so that it can be moved, removed or exchanged as a whole.
//!
//! SQLite finds the log by the name of the database, so a file must not change its name while anybody has it open. Every
//! connection in WAL mode keeps a shared lock on the file from its first access to its end; whoever gets the exclusive
//! lock is therefore the only one that has it open, and keeps all others out. Those wait within their patience, and find
//! afterwards that the file has moved (docs/design/0016-alone.md).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::connect::{self, FileState, leave_files_at_close};
use super::turn::Turnstile;
use super::{OpenOptions, SqliteEngine, copy, error, log, side_file, sql};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;
use crate::sys;

/// What SQLite and this program put beside a database, and can make anew once the log is empty.
const SIDE_FILES: [&str; 2] = ["-wal", "-shm"];

/// The file of a database that nobody else has open, nor can open. Its log is empty, so the file alone is the database;
/// see [`SqliteEngine::hold_to_remove`] for the exception.
///
/// Dropped, it lets the others in again, and leaves whatever lies at the name of the log by then.
pub struct Alone {
    connection: Connection,
    path: PathBuf,
    _turnstile: Turnstile,
}

impl SqliteEngine {
    /// Takes a database file for this process alone, once all others have left it; nobody may have it open in this process
    /// either.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when others have it open for longer than the timeout; [`ErrorKind::NoDatabase`] when it is not
    /// there; those of [`SqliteEngine::open`] for files that are not to be used.
    pub fn hold_alone(options: &OpenOptions) -> Result<Alone> {
        let alone = Self::keep_out_others(options)?;
        alone.empty_log()?;
        Ok(alone)
    }

    /// Takes a database file to remove it. A log that there is no room to copy back stays: whoever is killed then while the
    /// files go may leave the database without what was in the log.
    ///
    /// # Errors
    /// Those of [`SqliteEngine::hold_alone`], but for [`ErrorKind::NoSpace`].
    pub fn hold_to_remove(options: &OpenOptions) -> Result<Alone> {
        let alone = Self::keep_out_others(options)?;
        match alone.empty_log() {
            Err(error) if error.kind() != ErrorKind::NoSpace => Err(error),
            _ => Ok(alone),
        }
    }

    fn keep_out_others(options: &OpenOptions) -> Result<Alone> {
        let start = Instant::now();
        let connection = connect::open_present(options)?;
        leave_files_at_close(&connection, &options.path)?;
        let path = connection.path().map_or_else(|| options.path.clone(), PathBuf::from);
        let turnstile = Turnstile::of(&path);
        if !turnstile.keep(options.busy_timeout).unwrap_or(true) {
            return Err(held_by_others(&path));
        }
        take(&connection, options.busy_timeout.saturating_sub(start.elapsed()), &path)?;
        Ok(Alone { connection, path, _turnstile: turnstile })
    }
}

impl Alone {
    /// Leaves the database in its file alone.
    fn empty_log(&self) -> Result<()> {
        if let FileState::Empty = connect::inspect(&self.connection, &self.path)? {
            return Ok(());
        }
        let is_empty = log::empty(&self.connection).map_err(|e| translate_held(e, &self.path))?;
        if is_empty { Ok(()) } else { Err(held_by_others(&self.path)) }
    }

    /// The file, with links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file another name, at which nothing may be. Copies of earlier schemas go with it, and nothing of it is left
    /// at the old name. [`Alone::sync_names`] makes that last.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when something has that name; those of the file system, with the file where it was.
    pub fn rename(&self, to: &Path) -> Result<()> {
        let from = &self.path;
        // Before the file goes: whoever finds the name free may make another database, with a log of its own.
        remove_side_files(from)?;
        let failure = |e: io::Error| match e.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::new(ErrorKind::Invalid, format!("there is something at {} already", to.display()))
            }
            _ => connect::file_error(format!("cannot rename {} to {}", from.display(), to.display()), e),
        };
        sys::rename_new(from, to).map_err(failure)?;
        // What follows are courtesies: a copy that stays behind is as good there, and an empty file does no harm.
        for copy in copy::all_of(from) {
            if let Some(suffix) = copy::suffix(&copy, from) {
                let _ = sys::rename_new(&copy, &side_file(to, &suffix));
            }
        }
        let _ = fs::remove_file(side_file(from, "-turn"));
        Ok(())
    }

    /// Has the file change places with another one, which is a database of one file that nobody uses: see
    /// [`SqliteEngine::settle`]. Whoever comes from then on opens that one. [`Alone::sync_names`] makes that last.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the two cannot change places in one step; those of the file system. Then both are where
    /// they were.
    pub fn exchange(&self, with: &Path) -> Result<()> {
        let path = &self.path;
        remove_side_files(path)?;
        let what = || format!("{} and {} cannot change places", path.display(), with.display());
        sys::exchange(path, with).map_err(|e| match e.kind() {
            io::ErrorKind::Unsupported | io::ErrorKind::CrossesDevices => {
                Error::new(ErrorKind::Unsupported, what())
            }
            _ => connect::file_error(what(), e),
        })
    }

    /// Makes sure that a power cut does not undo a change of names, with `other` as the other name.
    ///
    /// # Errors
    /// Those of the file system. The names have changed all the same.
    pub fn sync_names(&self, other: &Path) -> Result<()> {
        let synced = [other, &self.path].map(connect::sync_folder);
        synced.into_iter().collect()
    }

    /// The version of the last write, and the number of the schema.
    ///
    /// # Errors
    /// Those of reading.
    pub fn revision_and_schema(&self) -> Result<(Version, u64)> {
        let revision = connect::number(&self.connection, sql::REVISION, &self.path)?;
        Ok((Version(revision.unsigned_abs()), connect::schema_version(&self.connection, &self.path)?))
    }

    /// Removes the file, what lies beside it, and copies of earlier schemas.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove(&self) -> Result<()> {
        let path = &self.path;
        remove_side_files(path)?;
        copy::all_of(path).iter().chain(&copy::unfinished_of(path)).try_for_each(|copy| remove(copy))?;
        remove(path)?;
        connect::sync_folder(path)?;
        let _ = fs::remove_file(side_file(path, "-turn"));
        Ok(())
    }
}

/// Takes the exclusive lock of SQLite.
fn take(connection: &Connection, patience: Duration, path: &Path) -> Result<()> {
    let run = |statement: &str| connection.execute_batch(statement).map_err(|e| translate_held(e, path));
    connection.busy_timeout(connect::patience(patience)).map_err(|e| translate_held(e, path))?;
    // Before the first access: a connection in this mode asks for the exclusive lock as it opens the log.
    run(sql::KEEP_LOCKS)?;
    run(sql::BEGIN_ALONE)?;
    let state = connect::inspect(connection, path)?;
    run(sql::COMMIT)?;
    if connect::has_moved(connection, path)? {
        return Err(connect::moved(path));
    }
    match state {
        FileState::Empty => Ok(()),
        _ => log::begin(connection).map_err(|e| translate_held(e, path)),
    }
}

fn translate_held(error: rusqlite::Error, path: &Path) -> Error {
    match error::translate(error, path) {
        error if error.kind() == ErrorKind::Busy => held_by_others(path),
        error => error,
    }
}

/// The files that make up a database, there or not: itself, what lies beside it, and copies of earlier schemas,
/// whole or not.
pub fn files_of(database: &Path) -> Vec<PathBuf> {
    let beside = ["-wal", "-shm", "-turn"].iter().map(|suffix| side_file(database, suffix));
    let copies = copy::all_of(database).into_iter().chain(copy::unfinished_of(database));
    [database.to_owned()].into_iter().chain(beside).chain(copies).collect()
}

fn held_by_others(path: &Path) -> Error {
    Error::new(ErrorKind::Busy, format!("{} is busy: others have it open", path.display()))
}

fn remove_side_files(database: &Path) -> Result<()> {
    SIDE_FILES.iter().try_for_each(|suffix| remove(&side_file(database, suffix)))
}

/// Removes a file that may have gone already.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(connect::file_error(format!("cannot remove {}", path.display()), e))
        }
        _ => Ok(()),
    }
}
