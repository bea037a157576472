//! Keeps the write-ahead log short.
//!
//! SQLite would copy the log back whenever the last connection closes: four fsyncs for each `set` of a script. Instead
//! processes leave without closing, and a writer copies the log back when it has grown enough. Every first open replays
//! the log, which costs nothing up to some 64 frames and is felt from a thousand on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, FileControl, MAIN_DB};

use super::{Lifetime, again, connect, side_file, sql};
use crate::error::Result;
use crate::sys;

/// From here on a process that is alone with the database empties the log.
const FRAMES_WHEN_ALONE: i32 = 64;
/// From here on any process copies back what it can without making others wait.
const FRAMES_IN_COMPANY: i32 = 1000;

/// A log of so many bytes has some [`FRAMES_IN_COMPANY`] frames of the usual size.
const LONG_LOG_BYTES: u64 = FRAMES_IN_COMPANY as u64 * 4096;
/// One that is longer was kept from being begun anew by a long reader, and is cut as soon as nobody reads: no later one needs its length.
const OVERLONG_LOG_BYTES: u64 = 4 * LONG_LOG_BYTES;

/// Counts the frames of one connection's log, and copies them back in time.
pub(super) struct Log {
    frames: Arc<AtomicI32>,
    lifetime: Lifetime,
}

impl Log {
    /// Watches the commits of `connection`, in place of SQLite's automatic checkpoints.
    pub(super) fn watch(connection: &mut Connection, lifetime: Lifetime) -> rusqlite::Result<Self> {
        let frames = Arc::new(AtomicI32::new(0));
        let count = Arc::clone(&frames);
        connection.wal_hook(Some(move |_: &mut _, pages| {
            count.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { frames, lifetime })
    }

    /// To be called after a commit while it is still this writer's turn, so that nobody adds to the log meanwhile and it
    /// can be copied back whole.
    ///
    /// A process that is alone empties a log of some length; in company, a long one is copied back without waiting for
    /// readers, and one that is too long is cut when there are none at the moment.
    pub(super) fn shorten(&self, connection: &Connection) {
        let frames = self.frames.load(Ordering::Relaxed);
        if self.lifetime == Lifetime::OneShot && frames >= FRAMES_WHEN_ALONE && is_alone(connection) {
            self.checkpoint(connection, CheckpointMode::TRUNCATE);
        } else if frames >= FRAMES_IN_COMPANY {
            let is_overlong = bytes_of_log(connection) > OVERLONG_LOG_BYTES;
            let mode = if is_overlong { CheckpointMode::TRUNCATE } else { CheckpointMode::PASSIVE };
            self.checkpoint(connection, mode);
        }
    }

    /// To be called when a long reader is done, during which nobody could begin the log anew: copies back a log that has grown
    /// meanwhile, so that no writer stops for that. Nobody waits for it.
    pub(super) fn fold(&self, connection: &Connection) {
        if bytes_of_log(connection) < LONG_LOG_BYTES {
            return;
        }
        let _ = connection.busy_timeout(std::time::Duration::ZERO);
        self.checkpoint(connection, CheckpointMode::PASSIVE);
        if is_alone(connection) {
            self.checkpoint(connection, CheckpointMode::TRUNCATE);
        }
    }

    /// To be called before the connection closes: leaves a short log, and has SQLite leave the files as they are.
    pub(super) fn settle(&self, connection: &Connection) {
        let mut persist = 1;
        // Should either fail, SQLite checkpoints as it closes: slower, and as safe.
        let _ = connection.file_control(Some(MAIN_DB), FileControl::PersistWal(&mut persist));
        let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        if self.frames.load(Ordering::Relaxed) >= FRAMES_WHEN_ALONE {
            // Others may be reading or writing: not for them to wait on, nor for us.
            let _ = connection.busy_timeout(std::time::Duration::ZERO);
            self.checkpoint(connection, CheckpointMode::TRUNCATE);
        }
    }

    fn checkpoint(&self, connection: &Connection, mode: CheckpointMode) {
        if copy_back(connection, mode) {
            self.frames.store(0, Ordering::Relaxed);
        }
    }
}

/// Has the file be written by way of a log. Its first page is written and synced after the pragma has answered, and `execute_batch` heeds the answer alone.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql::USE_WAL)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Copies the log back. What fails is done by a later writer; what was committed is safe in the log.
pub(super) fn copy_back(connection: &Connection, mode: CheckpointMode) -> bool {
    name_if_possible(connection);
    let copied = connection.wal_checkpoint_v2(Some(MAIN_DB), mode);
    copied.map(drop).inspect_err(|error| again::after_copying_back(connection, error)).is_ok()
}

/// Copies all of the log back and cuts it to nothing; `false` when others read what is in it alone.
pub(super) fn empty(connection: &Connection) -> rusqlite::Result<bool> {
    name_if_possible(connection);
    let is_busy = connection.query_row(sql::EMPTY_LOG, [], |row| row.get::<_, i64>(0));
    is_busy.map(|busy| busy == 0).inspect_err(|error| again::after_copying_back(connection, error))
}

/// Makes sure that the name of the log is on disk. Without that a power cut may lose all that was synced
/// to the log, and when it comes while the log is copied back, it leaves half of that and no log.
///
/// SQLite would sync the folder in every process; the log bears a mark once that has been done for it.
pub(super) fn name(connection: &Connection) -> Result<()> {
    let Some(path) = connection.path() else { return Ok(()) };
    let log = side_file(Path::new(path), "-wal");
    if !sys::is_marked(&log) {
        connect::sync_folder(&log)?;
        sys::mark(&log);
    }
    Ok(())
}

/// The same before the log is copied back. In a folder that cannot be synced that has to do without, as in SQLite: the log must not grow
/// for ever.
fn name_if_possible(connection: &Connection) {
    let _ = name(connection);
}

fn bytes_of_log(connection: &Connection) -> u64 {
    let log = connection.path().map(|path| side_file(Path::new(path), "-wal"));
    log.and_then(|log| log.metadata().ok()).map_or(0, |log| log.len())
}

fn is_alone(connection: &Connection) -> bool {
    connection.path().is_some_and(|path| {
        sys::is_attached_elsewhere(&side_file(Path::new(path), "-shm")).is_ok_and(|other| !other)
    })
}
