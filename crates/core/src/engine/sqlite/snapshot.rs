//! A consistent copy of a database as a file of its own, made while others write.
//!
//! SQLite copies page by page. A read transaction is open around all of it, so that the pages are of one state, the copy
//! never begins anew because somebody has written, and in WAL mode nobody waits. The log cannot begin anew meanwhile:
//! [`super::log::Log::fold`] makes up for that.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode};

use super::connect::{connect_private, file_error};
use super::error::translate;
use super::sql;
use crate::engine::Snapshot;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;

/// A file that becomes a copy; it is removed again unless it is finished.
pub(super) struct Copy {
    path: PathBuf,
    is_whole: bool,
}

impl Copy {
    /// Makes an empty file at `path`, where nothing may be yet.
    pub(super) fn begin(path: &Path) -> Result<Self> {
        let made = File::options().write(true).create_new(true).mode(0o600).open(path);
        match made {
            Ok(_) => Ok(Self { path: path.to_owned(), is_whole: false }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::new(ErrorKind::Invalid, format!("something is at {} already", path.display())))
            }
            Err(e) => Err(file_error(format!("cannot create {}", path.display()), e)),
        }
    }

    /// Copies the database of `source`, at `origin`, as the transaction sees it that is open there.
    pub(super) fn fill(&mut self, source: &Connection, origin: &Path) -> Result<()> {
        let mut dest = connect_private(&self.path)?;
        let copied = dest.execute_batch(sql::CARELESS).and_then(|()| copy_pages(source, &mut dest));
        copied.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => translate(error, origin),
            _ => translate(error, &self.path),
        })?;
        dest.close().map_err(|(_, error)| translate(error, &self.path))
    }

    /// Keeps the file.
    pub(super) fn finish(mut self, revision: Version, schema: u64) -> Result<Snapshot> {
        let bytes = fs::metadata(&self.path).map_err(|e| file_error(self.lost(), e))?.len();
        self.is_whole = true;
        Ok(Snapshot { path: self.path.clone(), revision, schema, bytes })
    }

    fn lost(&self) -> String {
        format!("cannot look at {}", self.path.display())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.is_whole {
            // What matters is the error that led here.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// One step, for a process that is killed leaves nothing but a file that nobody takes for a copy.
fn copy_pages(source: &Connection, dest: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(source, dest)?;
    match backup.step(-1)? {
        StepResult::Done => Ok(()),
        // Nobody else knows the copy, and this connection writes nothing.
        _ => Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)),
    }
}
