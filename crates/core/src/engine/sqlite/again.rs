//! Writes again what a disk may have dropped.
//!
//! Once a sync has failed, Linux takes what it could not write for written: it is still read from memory, and no later sync writes
//! it, however many succeed (fsync(2); PostgreSQL's developers found out in 2018). For a log that is fatal: what comes behind such a gap is lost with it
//! when the power goes, though it was synced. So whoever's sync fails writes again what it was about, as it is (docs/design/0028-syncs-that-fail.md).

#![allow(unsafe_code, reason = "SQLite lends its files as pointers")]

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};

use super::{sql, torn};

/// How long writing again waits for others, however little whoever failed wanted to wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is read and written at a time.
const CHUNK: usize = 64 * 1024;
/// Which lock of the log's index whoever copies the log back has (`WAL_CKPT_LOCK` in SQLite's wal.c).
const COPYING_BACK: c_int = 1;

/// To be called when a commit has failed, and its transaction has ended: writes the log again, if it was for want of a sync.
/// Should that fail as well, there is no more to be done; the error is told in any case.
pub(super) fn after_commit(connection: &Connection, error: &rusqlite::Error) {
    if is_failed_sync(error) {
        let _ = while_nobody_writes(connection, write_log);
    }
}

/// The same when copying the log back has failed. SQLite counts frames as copied that it has not synced yet, so the file is written again, too.
pub(super) fn after_copying_back(connection: &Connection, error: &rusqlite::Error) {
    if is_failed_sync(error) {
        let _ = while_nobody_writes(connection, |connection| {
            write_log(connection)?;
            let _alone = Copying::keep_off(connection)?;
            File::of(connection, ffi::SQLITE_FCNTL_FILE_POINTER)?.write_to_disk()
        });
    }
}

fn is_failed_sync(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_FSYNC)
}

#[cold]
fn while_nobody_writes(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.execute_batch(sql::BEGIN_WRITE)?;
    let done = work(connection);
    connection.execute_batch(sql::ROLLBACK)?;
    done
}

fn write_log(connection: &Connection) -> rusqlite::Result<()> {
    File::of(connection, ffi::SQLITE_FCNTL_JOURNAL_POINTER)?.write_to_disk()
}

/// Puts the first page of a file on disk that has no other. To be called in a transaction that writes, before anything was ever written.
#[cold]
pub(super) fn write_first_page(connection: &Connection) -> rusqlite::Result<()> {
    let _alone = Copying::keep_off(connection)?;
    let file = File::of(connection, ffi::SQLITE_FCNTL_FILE_POINTER)?;
    if file.bytes()? != torn::PAGE as i64 {
        return Ok(());
    }
    file.write_again()?;
    file.sync()
}

/// Keeps others from copying the log back, until it is dropped. They are the only ones that write to the file.
struct Copying<'c>(File<'c>);

impl<'c> Copying<'c> {
    /// Waits for whoever does that at the moment. `None` where nobody else can have the file open, and there are no such locks.
    fn keep_off(connection: &'c Connection) -> rusqlite::Result<Option<Self>> {
        let file = File::of(connection, ffi::SQLITE_FCNTL_FILE_POINTER)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.lock_index(ffi::SQLITE_SHM_LOCK)? {
                ffi::SQLITE_OK => return Ok(Some(Self(file))),
                ffi::SQLITE_IOERR_SHMLOCK => return Ok(None),
                ffi::SQLITE_BUSY if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                code => return Err(failure(code)),
            }
        }
    }
}

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        // Should it fail, the lock still ends with the connection.
        let _ = self.0.lock_index(ffi::SQLITE_SHM_UNLOCK);
    }
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

    /// Writes all that is in it again, and waits for the disk. Where that fails once more, the next sync is to find something to write.
    fn write_to_disk(&self) -> rusqlite::Result<()> {
        self.write_again()?;
        self.sync().or_else(|_| self.write_again())
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

    /// Takes or gives back the lock of whoever copies the log back; the code of SQLite that comes of it.
    fn lock_index(&self, what: c_int) -> rusqlite::Result<c_int> {
        let call = method(self.methods.xShmLock)?;
        // SAFETY: the file is open, and the lock is one of those there are.
        Ok(unsafe { call(self.file.as_ptr(), COPYING_BACK, 1, what | ffi::SQLITE_SHM_EXCLUSIVE) })
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
