//! The engine that keeps its data in a SQLite file, shared by any number of processes.
//!
//! The file is in WAL mode: readers never wait, writers take turns (`turn`), the log stays short (`log`), and a process
//! may die at any moment. docs/formats.md describes the file so that other programs can read it.

mod again;
mod alone;
mod called;
mod check;
mod connect;
mod copy;
mod error;
pub mod follow;
mod image;
mod intruders;
mod layout;
mod lent;
mod log;
mod memory;
mod overwrite;
mod pour;
mod reopen;
mod rows;
mod schema;
mod segment;
mod snapshot;
mod sql;
mod torn;
mod turn;
mod verify;
mod view;
mod wal;
mod walk;

use std::cell::{Cell, OnceCell};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

pub use self::alone::{Alone, files_of};
use self::connect::{Earlier, FileState, FrozenState};
use self::image::Image;
pub use self::lent::ReadAt;
use self::log::Log;
pub use self::memory::share_allocator;
pub use self::reopen::Reopening;
use self::turn::Turnstile;
pub use self::verify::Verified;
use self::view::{SqliteTxn, SqliteView};
use super::memory::MemoryEngine;
use super::wait::{Awaited, Looks, Mark, Wait};
use super::{CopySink, Engine, Snapshot, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;
use crate::sys;
pub use crate::sys::{FileSystem, LockHolder};

/// Byte of the index of the log that writers lock (`WAL_WRITE_LOCK` in SQLite's wal.c).
const WRITE_LOCK: u64 = 120;

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The file.
    pub path: PathBuf,
    /// Whether it is made when it is not there.
    pub access: Access,
    /// How long to wait for other writers.
    pub busy_timeout: Duration,
    /// What a power cut may cost.
    pub durability: Durability,
    /// How long this process will live.
    pub lifetime: Lifetime,
}

/// What the database is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading; a database that is not there is an error of kind [`ErrorKind::NoDatabase`].
    Read,
    /// Writing; a database that is not there is such an error, too.
    Change,
    /// Writing; a database that is not there is made.
    Write,
}

/// What a power cut may cost. A killed process never costs anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The last moments; never order, never integrity.
    #[default]
    Normal,
    /// Nothing: each write is on disk before it is acknowledged.
    Full,
}

/// How long the process that opens a database will live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// One command, after which the process exits without closing the database.
    OneShot,
    /// Long; it closes the database in the end.
    #[default]
    Long,
}

impl OpenOptions {
    /// The usual way to open `path`: for writing, five seconds of patience, durable against everything but a power cut.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            access: Access::Write,
            busy_timeout: Duration::from_millis(5000),
            durability: Durability::default(),
            lifetime: Lifetime::default(),
        }
    }
}

/// An engine on one SQLite file.
pub struct SqliteEngine {
    connection: Connection,
    frozen: Option<FrozenState>,
    log: Log,
    turnstile: OnceCell<Turnstile>,
    image: OnceCell<Image>,
    looks: Looks,
    /// The schema of the file, once that is known to be the latest or for the transaction that it was looked up in.
    schema: Cell<usize>,
    options: OpenOptions,
}

/// What [`SqliteEngine::report`] tells about a database and what it lies on.
#[derive(Clone, Debug)]
pub struct Report {
    /// The version of SQLite in this program.
    pub sqlite: &'static str,
    /// What the file lies on; `None` where the system does not say.
    pub file_system: Option<FileSystem>,
    /// The number of the file's schema.
    pub schema: u64,
    /// The number of the schema that this program writes.
    pub latest_schema: u64,
    /// SQLite's journal mode; `wal` unless something is wrong.
    pub journal_mode: String,
    /// Bytes in the file.
    pub database_bytes: u64,
    /// Bytes in the write-ahead log.
    pub log_bytes: u64,
    /// Bytes that may still be written to the disk.
    pub free_bytes: Option<u64>,
    /// Bytes in the file that hold nothing any more, and that new entries will use.
    pub unused_bytes: u64,
    /// Pages in the log; `None` where that cannot be told.
    pub log_frames: Option<u64>,
    /// Those of them that are not in the file yet.
    pub log_frames_pending: Option<u64>,
    /// Who is the next to write, or writing.
    pub turn_holder: Option<LockHolder>,
    /// Who holds SQLite's lock for writers.
    pub write_lock_holder: Option<LockHolder>,
}

impl SqliteEngine {
    /// Opens a database.
    ///
    /// # Errors
    /// [`ErrorKind::NoDatabase`] when it is not there and only to be read; [`ErrorKind::Unsupported`] for surroundings that
    /// would corrupt it; [`ErrorKind::Foreign`], [`ErrorKind::Damaged`] and [`ErrorKind::Denied`] for files that are not
    /// to be used, which are found at the first access where that is cheaper.
    pub fn open(options: OpenOptions) -> Result<Self> {
        let (mut connection, frozen) = connect::open(&options)?;
        let log =
            Log::watch(&mut connection, options.lifetime).map_err(|e| error::translate(e, &options.path))?;
        Ok(Self {
            connection,
            frozen,
            log,
            turnstile: OnceCell::new(),
            image: OnceCell::new(),
            looks: Looks::default(),
            schema: Cell::new(0),
            options,
        })
    }

    /// Tells about the file, its surroundings and the library underneath.
    ///
    /// # Errors
    /// Those of reading.
    pub fn report(&self) -> Result<Report> {
        let path = &self.options.path;
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
        let (real_path, frames) = (self.real_path(), self.log_frames());
        Ok(Report {
            sqlite: library_version(),
            file_system: sys::file_system(path).ok(),
            schema: connect::schema_version(&self.connection, path)?,
            latest_schema: schema::LATEST as u64,
            journal_mode: self.journal_mode()?,
            database_bytes: size(path),
            log_bytes: size(&side_file(&real_path, "-wal")),
            free_bytes: sys::free_bytes(path).ok(),
            unused_bytes: self.unused_bytes()?,
            log_frames: frames.map(|(all, _)| all),
            log_frames_pending: frames.map(|(all, done)| all.saturating_sub(done)),
            turn_holder: sys::lock_holder(&side_file(&real_path, "-turn")),
            write_lock_holder: sys::record_lock_holder(&side_file(&real_path, "-shm"), WRITE_LOCK),
        })
    }

    /// SQLite's journal mode. Without locks SQLite knows of none, and the file says it.
    fn journal_mode(&self) -> Result<String> {
        if self.frozen.is_some() && connect::is_marked_as_logged(&self.real_path())? {
            return Ok(connect::LOGGED_MODE.to_owned());
        }
        connect::journal_mode(&self.connection, &self.options.path)
    }

    /// Bytes in pages that hold nothing.
    fn unused_bytes(&self) -> Result<u64> {
        let number = |query| connect::number(&self.connection, query, &self.options.path);
        Ok((number(sql::FREE_PAGES)? * number(sql::PAGE_BYTES)?).unsigned_abs())
    }

    /// How many frames the log has, and how many of them are in the file already.
    fn log_frames(&self) -> Option<(u64, u64)> {
        let frames = self.connection.query_row(sql::LOG_FRAMES, [], |row| Ok((row.get(1)?, row.get(2)?)));
        let (all, done): (i64, i64) = frames.ok()?;
        // A file without a log says -1.
        Some((u64::try_from(all).ok()?, u64::try_from(done).ok()?))
    }

    /// The file as SQLite knows it, with links resolved.
    fn real_path(&self) -> PathBuf {
        self.connection.path().map_or_else(|| self.options.path.clone(), PathBuf::from)
    }

    fn set_busy_timeout(&self, patience: Duration) -> Result<()> {
        self.connection
            .busy_timeout(connect::patience(patience))
            .map_err(|e| error::translate(e, &self.options.path))
    }

    /// Where the log is, which every writer writes to.
    fn log_path(&self) -> PathBuf {
        side_file(&self.real_path(), "-wal")
    }

    /// Whether the log is there; other programs remove it when they close the database last.
    fn has_log(&self) -> bool {
        self.log_path().exists()
    }

    /// Whether what is written goes to a log first.
    fn is_logged(&self) -> Result<bool> {
        if self.frozen.is_some() {
            return Ok(false);
        }
        self.journal_mode().map(|mode| mode == connect::LOGGED_MODE)
    }

    /// The files, to be read without SQLite.
    fn image(&self) -> Result<&Image> {
        if let Some(image) = self.image.get() {
            return Ok(image);
        }
        let image = Image::open(&self.options.path, &self.real_path())?;
        Ok(self.image.get_or_init(|| image))
    }

    /// Sets the mode of a file without a log: copies that other programs make may be in another one.
    fn begin_log(&self) -> Result<()> {
        let path = &self.options.path;
        match self.or_moved(connect::inspect(&self.connection, path))? {
            FileState::Empty => {}
            FileState::Current | FileState::Old(_) => connect::refuse_foreign(&self.connection, path)?,
        }
        // With the look came a lock that nobody moves the file under.
        self.refuse_moved()?;
        log::begin(&self.connection).map_err(|e| error::translate(e, path))
    }

    fn run(&self, statement: &str) -> Result<()> {
        self.try_run(statement).map_err(|e| error::translate(e, &self.options.path))
    }

    fn try_run(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement).and_then(|mut s| s.raw_execute()).map(drop)
    }

    /// Checks once that the file is ours; within a transaction, so that the check costs no lock of its own.
    fn inspect(&self, begin: &str) -> Result<()> {
        if self.schema.get() == schema::LATEST {
            return Ok(());
        }
        match connect::inspect(&self.connection, &self.options.path)? {
            FileState::Current => self.schema.set(schema::LATEST),
            // Reads write nothing, and this may be a medium that nobody can write to.
            FileState::Old(version) if begin == sql::BEGIN_READ => self.schema.set(version),
            FileState::Empty if self.options.access == Access::Read => {
                let what = format!("there is no database in {} yet", self.options.path.display());
                return Err(Error::new(ErrorKind::NoDatabase, what));
            }
            // A process died while it made the file, or an earlier program wrote it.
            FileState::Empty | FileState::Old(_) => {
                self.refuse_moved()?;
                self.run(sql::ROLLBACK)?;
                connect::migrate(&self.connection, &self.options.path, Earlier::Kept)?;
                self.schema.set(schema::LATEST);
                self.run(begin)?;
            }
        }
        Ok(())
    }

    /// Writes, and waits for other writers no longer than `patience`.
    fn write_within(
        &self,
        patience: Duration,
        body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        // Half of the patience is for the line; the rest is for SQLite's lock, should the one ahead have stalled.
        let turn = self.turnstile().wait(patience / 2).ok().flatten();
        self.set_busy_timeout(patience.saturating_sub(start.elapsed()))?;
        if !self.has_log() {
            self.begin_log()?;
        }
        self.transact(sql::BEGIN_WRITE, &mut || body(&mut SqliteTxn::new(self.view())))?;
        if self.options.durability == Durability::Full {
            log::name(&self.connection)?;
        }
        self.set_busy_timeout(Duration::ZERO)?;
        self.log.shorten(&self.connection);
        drop(turn);
        Ok(())
    }

    /// Refuses to write the file anew where it would not fit beside itself.
    fn refuse_narrow_disk(&self) -> Result<()> {
        let path = &self.options.path;
        let pages = connect::number(&self.connection, sql::PAGES, path)?.unsigned_abs();
        let page_bytes = connect::number(&self.connection, sql::PAGE_BYTES, path)?.unsigned_abs();
        let needed = (pages * page_bytes).saturating_sub(self.unused_bytes()?);
        match sys::free_bytes(path) {
            Ok(free) if free < needed => {
                let what = format!(
                    "no space left to write {} anew; it takes {needed} bytes for a while, and {free} are free",
                    path.display()
                );
                Err(Error::new(ErrorKind::NoSpace, what))
            }
            _ => Ok(()),
        }
    }

    /// What the transaction sees that is under way.
    fn view(&self) -> SqliteView<'_> {
        SqliteView::new(&self.connection, &self.options.path, self.schema.get())
    }

    /// Where writers queue.
    fn turnstile(&self) -> &Turnstile {
        self.turnstile.get_or_init(|| Turnstile::of(&self.real_path()))
    }

    /// Refuses a file that no longer has its name: what is beside it by now may be another one's log.
    fn refuse_moved(&self) -> Result<()> {
        if self.frozen.is_some() {
            return Ok(());
        }
        connect::refuse_moved(&self.connection, &self.options.path)
    }

    /// What failed because the file was moved while this one waited for it, says so.
    fn or_moved<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Err(error) if error.kind() != ErrorKind::Busy => Err(self.refuse_moved().err().unwrap_or(error)),
            result => result,
        }
    }

    /// Refuses what was read from a file without locks when somebody wrote to it meanwhile.
    fn refuse_thawed(&self, read: Result<()>) -> Result<()> {
        match &self.frozen {
            Some(state) if *state != FrozenState::of(&self.options.path) => {
                let what = format!(
                    "{} is busy: it can only be read here, and is written elsewhere",
                    self.options.path.display()
                );
                Err(Error::new(ErrorKind::Busy, what))
            }
            _ => read,
        }
    }

    /// What failed may have failed because the file is another program's that counts its versions as we do.
    fn reconsider(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Io | ErrorKind::Damaged => {
                connect::refuse_foreign(&self.connection, &self.options.path).err().unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Ends the transaction that `begin` starts: commits when `body` succeeds, rolls back when it fails or panics.
    fn transact(&self, begin: &str, body: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.or_moved(self.run(begin))?;
        let rollback = RollBack(self);
        // Nobody moves a file that somebody has a lock on. Writers have it from here on, readers from the first look.
        if begin != sql::BEGIN_READ {
            self.refuse_moved()?;
        }
        self.or_moved(self.inspect(begin))?;
        if begin == sql::BEGIN_READ {
            self.refuse_moved()?;
        }
        body().map_err(|error| self.reconsider(error))?;
        if let Err(error) = self.try_run(sql::COMMIT) {
            drop(rollback);
            again::after_commit(&self.connection, &error);
            return Err(error::translate(error, &self.options.path));
        }
        std::mem::forget(rollback);
        Ok(())
    }
}

/// The version of the SQLite in this program.
pub fn library_version() -> &'static str {
    rusqlite::version()
}

/// A file next to a database, named after it.
fn side_file(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Rolls back what has not been committed when it goes out of scope.
struct RollBack<'a>(&'a SqliteEngine);

impl Drop for RollBack<'_> {
    fn drop(&mut self) {
        if !self.0.connection.is_autocommit() {
            // Should it fail, the transaction ends with the connection.
            let _ = self.0.run(sql::ROLLBACK);
        }
    }
}

impl Engine for SqliteEngine {
    fn read(&self, body: &mut dyn FnMut(&dyn View) -> Result<()>) -> Result<()> {
        self.set_busy_timeout(self.options.busy_timeout)?;
        let read = self.transact(sql::BEGIN_READ, &mut || body(&self.view()));
        match self.refuse_thawed(read) {
            // Another process is making the file at this moment: nothing is in it.
            Err(error) if error.kind() == ErrorKind::NoDatabase => MemoryEngine::new().read(body),
            done => done,
        }
    }

    fn write(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        self.write_within(self.options.busy_timeout, body)
    }

    fn write_at_once(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        self.write_within(Duration::ZERO, body)
    }

    fn set_patience(&mut self, patience: Duration) {
        self.options.busy_timeout = patience;
    }

    fn mark(&self) -> Result<Mark> {
        if self.frozen.is_some() {
            return Ok(Mark { place: 0, change: FrozenState::of(&self.options.path).mark() });
        }
        self.set_busy_timeout(self.options.busy_timeout)?;
        let mut change = 0;
        let looked = self.transact(sql::BEGIN_READ, &mut || {
            change = connect::number(&self.connection, sql::DATA_VERSION, &self.options.path)?.unsigned_abs();
            Ok(())
        });
        match looked {
            // Another process is making the file at this moment.
            Err(error) if error.kind() == ErrorKind::NoDatabase => Ok(Mark { place: 0, change: 0 }),
            looked => looked.map(|()| Mark { place: 0, change }),
        }
    }

    fn await_change(&self, seen: Mark, wait: Wait<'_>) -> Result<Awaited> {
        self.looks.until(&|| self.log_path(), &|| Ok(self.mark()? != seen), wait)
    }

    fn scrub(&self) -> Result<bool> {
        let patience = self.options.busy_timeout;
        let turn = self.turnstile().wait(patience / 2).ok().flatten();
        self.set_busy_timeout(patience)?;
        self.refuse_narrow_disk()?;
        let rebuilt = self.try_run(sql::REBUILD);
        if let Err(error) = &rebuilt {
            again::after_commit(&self.connection, error);
        }
        let emptied = log::empty(&self.connection);
        drop(turn);
        // Also when that failed: what it wrote to the log is of no use, and others may need the room.
        rebuilt.and(emptied).map_err(|e| error::translate(e, &self.options.path))
    }

    fn copy_to(&self, sink: &mut dyn CopySink) -> Result<Version> {
        self.set_busy_timeout(self.options.busy_timeout)?;
        let mut seen = Version(0);
        let copied = self.transact(sql::BEGIN_READ, &mut || {
            // The transaction takes hold of a state with the first look at it.
            seen = self.view().revision()?;
            snapshot::copy(self.image()?, self.is_logged()?, sink)
        });
        self.refuse_thawed(copied)?;
        if self.frozen.is_none() {
            self.log.fold(&self.connection);
        }
        Ok(seen)
    }

    fn snapshot(&self, dest: &Path) -> Result<Snapshot> {
        let mut copy = snapshot::Copy::begin(dest)?;
        let seen = self.copy_to(&mut copy)?;
        copy.finish(&self.options.path, seen)
    }
}

impl Drop for SqliteEngine {
    fn drop(&mut self) {
        self.log.settle(&self.connection);
    }
}
