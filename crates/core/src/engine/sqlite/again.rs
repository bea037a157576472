//! Writes again what a disk may have dropped.
//!
//! Once a sync has failed, Linux takes what it could not write for written: everybody still reads it, and no later sync writes
//! it, however many succeed (fsync(2); PostgreSQL's developers found out in 2018). For a log that is fatal: what comes behind such a gap is lost with it
//! when the power goes, though it was synced. So whoever's sync fails writes the whole log again, as it is: the next sync, whoever makes it, waits for
//! all of it (docs/design/0028-syncs-that-fail.md).

#![allow(unsafe_code, reason = "SQLite lends its files as pointers")]

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rusqlite::{Connection, ffi};

use super::{sql, torn};

/// How long writing again waits for other writers, however little whoever failed wanted to wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is read and written at a time.
const CHUNK: usize = 64 * 1024;

/// To be called outside of transactions when `error` came of something that writes: writes the log again, if it was a sync that failed.
/// Should that fail as well, there is no more to be done; the error is told in any case.
pub(super) fn if_sync_failed(connection: &Connection, error: &rusqlite::Error) {
    let code = error.sqlite_error().map(|error| error.extended_code);
    if code == Some(ffi::SQLITE_IOERR_FSYNC) {
        let _ = write_log(connection);
    }
}

/// Nobody else writes to the log meanwhile.
#[cold]
fn write_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.execute_batch(sql::BEGIN_WRITE)?;
    let written = File::of(connection, ffi::SQLITE_FCNTL_JOURNAL_POINTER).and_then(|log| log.write_again());
    connection.execute_batch(sql::ROLLBACK)?;
    written
}

/// Puts the first page of a file on disk that has no other. To be called in a transaction that writes, before anything was ever written:
/// then there is nothing that anybody could copy there.
#[cold]
pub(super) fn write_first_page(connection: &Connection) -> rusqlite::Result<()> {
    let file = File::of(connection, ffi::SQLITE_FCNTL_FILE_POINTER)?;
    if file.bytes()? != torn::PAGE as i64 {
        return Ok(());
    }
    file.write_again()?;
    file.sync()
}

/// A file that SQLite has opened.
struct File<'c> {
    file: NonNull<ffi::sqlite3_file>,
    methods: &'c ffi::sqlite3_io_methods,
}

impl<'c> File<'c> {
    /// The one that `which` tells; it must not be closed as long as this lives.
    fn of(connection: &'c Connection, which: c_int) -> rusqlite::Result<Self> {
        let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
        // SAFETY: the connection is open, "main" ends, and SQLite writes a pointer to `file`; what it points to has null in place
        // of methods, or some that live for ever.
        let methods = unsafe {
            let to = (&raw mut file).cast::<c_void>();
            check(ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), which, to))?;
            file.as_ref().and_then(|file| file.pMethods.as_ref())
        };
        match (NonNull::new(file), methods) {
            (Some(file), Some(methods)) => Ok(Self { file, methods }),
            _ => Err(failure(ffi::SQLITE_IOERR)),
        }
    }

    /// Writes all that is in it where it is.
    fn write_again(&self) -> rusqlite::Result<()> {
        let end = self.bytes()?;
        let mut chunk = vec![0; CHUNK];
        let mut at = 0;
        while at < end {
            let count = CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK));
            self.read(&mut chunk[..count], at)?;
            self.write(&chunk[..count], at)?;
            at += count as i64;
        }
        Ok(())
    }

    fn bytes(&self) -> rusqlite::Result<i64> {
        let mut bytes = 0;
        let call = method(self.methods.xFileSize)?;
        // SAFETY: the file is open, here and in all that follow, and SQLite writes to `bytes`.
        check(unsafe { call(self.file.as_ptr(), &raw mut bytes) })?;
        Ok(bytes)
    }

    fn read(&self, to: &mut [u8], at: i64) -> rusqlite::Result<()> {
        let call = method(self.methods.xRead)?;
        // SAFETY: SQLite writes so many bytes to `to`.
        check(unsafe { call(self.file.as_ptr(), to.as_mut_ptr().cast(), length(to), at) })
    }

    fn write(&self, from: &[u8], at: i64) -> rusqlite::Result<()> {
        let call = method(self.methods.xWrite)?;
        // SAFETY: SQLite reads so many bytes of `from`.
        check(unsafe { call(self.file.as_ptr(), from.as_ptr().cast(), length(from), at) })
    }

    fn sync(&self) -> rusqlite::Result<()> {
        let call = method(self.methods.xSync)?;
        // SAFETY: the file is open.
        check(unsafe { call(self.file.as_ptr(), ffi::SQLITE_SYNC_NORMAL) })
    }
}

/// No more than [`CHUNK`].
fn length(bytes: &[u8]) -> c_int {
    bytes.len() as c_int
}

fn method<M>(method: Option<M>) -> rusqlite::Result<M> {
    method.ok_or_else(|| failure(ffi::SQLITE_MISUSE))
}

fn check(code: c_int) -> rusqlite::Result<()> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(failure(code)) }
}

fn failure(code: c_int) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
}
