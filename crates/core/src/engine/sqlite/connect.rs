//! From a path to a connection that can be trusted: the right SQLite, a local disk, a file of ours.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::mem::{self, ManuallyDrop};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, FileControl, MAIN_DB, OpenFlags};

use super::error::translate;
use super::log::{self, Log};
use super::turn::Turnstile;
use super::{Access, Durability, OpenOptions, again, copy, layout, schema, side_file, sql, torn};
use crate::error::{Error, ErrorKind, Obstacle, Result};
use crate::sys;

/// Older ones have a race in the reset of the log that corrupts files under many short processes.
const OLDEST_SQLITE: i32 = 3_051_003;

/// A database has at least one page, and the smallest page SQLite knows has so many bytes.
const SMALLEST_DATABASE: u64 = 512;

/// Where the header of a database has the version that its writers must know, and which one writes to a log first.
const WRITE_VERSION: u64 = 18;
const LOGGED: u8 = 2;

/// Opens the database, and makes it first when it is to be written and is not there.
///
/// A file that this process may only read, or that it may put no log beside, comes with its state where it has no log: SQLite
/// reads it without locks, and whoever reads has to see that nobody wrote meanwhile.
pub(super) fn open(options: &OpenOptions) -> Result<(Connection, Option<FrozenState>)> {
    refuse_old_sqlite()?;
    refuse_shared_file_system(&options.path)?;
    match (look_at(&options.path)?, options.access) {
        (Place::Taken, _) => {}
        (Place::Free, Access::Write) => create(options)?,
        (Place::Free, Access::Read | Access::Change) => return Err(no_database(&options.path)),
    }
    if options.access == Access::Read && !can_have_log(&options.path) {
        let state = FrozenState::of(&options.path);
        if state.log_bytes == 0 {
            return Ok((connect_frozen(&options.path)?, Some(state)));
        }
    }
    let connection = connect(options).map_err(|error| match (error.kind(), options.access) {
        // It was there a moment ago, and somebody has moved it.
        (ErrorKind::NoDatabase, Access::Change | Access::Write) => moved(&options.path),
        _ => error,
    })?;
    set_durability(&connection, options.durability).map_err(|e| translate(e, &options.path))?;
    Ok((connection, None))
}

/// Whether SQLite can read a file as one that others write: it needs the log and its index, or makes them. Where they are
/// there, as is usual, one look tells.
fn can_have_log(path: &Path) -> bool {
    sys::is_writable(&side_file(path, "-shm"))
        || sys::is_writable(path) && sys::is_writable(folder_of(&real_path(path)))
}

/// Opens a file that has to be there, and may be empty, without any access to it.
pub(super) fn open_present(options: &OpenOptions) -> Result<Connection> {
    refuse_old_sqlite()?;
    refuse_shared_file_system(&options.path)?;
    match look_at(&options.path)? {
        Place::Free if !options.path.exists() => Err(no_database(&options.path)),
        Place::Free | Place::Taken => connect(options),
    }
}

fn refuse_old_sqlite() -> Result<()> {
    if rusqlite::version_number() >= OLDEST_SQLITE {
        return Ok(());
    }
    let what = format!(
        "SQLite {} can corrupt databases that many processes write; 3.51.3 is needed",
        rusqlite::version()
    );
    Err(Error::new(ErrorKind::Unsupported, what))
}

fn refuse_shared_file_system(path: &Path) -> Result<()> {
    match sys::file_system(path).or_else(|_| sys::file_system(folder_of(path))) {
        Ok(kind) if kind.shared => {
            let (shown, name) = (path.display(), kind.name);
            let what = format!(
                "{shown} lies on a {name} file system, where locks and shared memory cannot be relied on"
            );
            Err(Error::new(ErrorKind::Unsupported, what).met(Obstacle::FileSystem))
        }
        _ => Ok(()),
    }
}

/// What is at the place of a database.
enum Place {
    /// Nothing, or an empty file, which SQLite takes for an empty database too, or what a power cut has left of its first page.
    Free,
    /// A file that may be a database.
    Taken,
}

fn look_at(path: &Path) -> Result<Place> {
    let shown = path.display();
    match fs::metadata(path) {
        _ if path.as_os_str().is_empty() => {
            Err(Error::new(ErrorKind::Invalid, "the name of the database file is empty"))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Place::Free),
        Err(e) => Err(file_error(format!("cannot open {shown}"), e)),
        Ok(meta) if !meta.is_file() => Err(Error::new(ErrorKind::Invalid, format!("{shown} is no file"))),
        Ok(meta) if meta.nlink() > 1 => {
            let what = format!(
                "{shown} has {} names (hard links), and a log for each would damage it",
                meta.nlink()
            );
            Err(Error::new(ErrorKind::Unsupported, what))
        }
        Ok(meta) if meta.len() == 0 => Ok(Place::Free),
        Ok(meta) if torn::is_torn(path, meta.len()) => Ok(Place::Free),
        // SQLite takes them for empty, and would write over them.
        Ok(meta) if meta.len() < SMALLEST_DATABASE => Err(Error::new(
            ErrorKind::Damaged,
            format!("{shown} is no ProntoDB database, or has been cut off"),
        )),
        Ok(_) => Ok(Place::Taken),
    }
}

pub(super) fn connect(options: &OpenOptions) -> Result<Connection> {
    let path = &options.path;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || Connection::open_with_flags(plain(path), flags);
    // A file that was moved this moment may have been made anew the next one.
    let connection = open().or_else(|_| open()).map_err(|e| why_not_opened(e, path))?;
    connection.busy_timeout(patience(options.busy_timeout)).map_err(|e| translate(e, path))?;
    Ok(connection)
}

/// What shows that a file has been written, by a process that may, or through another mount.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct FrozenState {
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: Option<(i64, i64)>,
    log_bytes: u64,
}

impl FrozenState {
    /// A number that tells it from other states.
    pub(super) fn mark(&self) -> u64 {
        let (seconds, nanos) = self.modified.unwrap_or_default();
        let modified = seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos);
        (modified.cast_unsigned() ^ self.bytes.rotate_left(32)) ^ self.log_bytes
    }

    /// The present state of the file at `path`.
    pub(super) fn of(path: &Path) -> Self {
        let meta = fs::metadata(path).ok();
        Self {
            bytes: meta.as_ref().map_or(0, Metadata::len),
            modified: meta.map(|meta| (meta.mtime(), meta.mtime_nsec())),
            log_bytes: fs::metadata(side_file(&real_path(path), "-wal")).map_or(0, |log| log.len()),
        }
    }
}

/// Opens a file without its log, and without making one.
pub(super) fn connect_frozen(path: &Path) -> Result<Connection> {
    let path = real_path(path);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri(&path), flags).map_err(|e| why_not_opened(e, &path))
}

/// Whether the header of a file says that what is written to it goes to a log first.
///
/// The descriptor stays open for good, as in [`make_file`].
pub(super) fn is_marked_as_logged(path: &Path) -> Result<bool> {
    let mut version = [0];
    let read = File::open(path).map(ManuallyDrop::new).and_then(|file| {
        file.read_exact_at(&mut version, WRITE_VERSION)?;
        Ok(version == [LOGGED])
    });
    read.map_err(|e| file_error(format!("cannot read {}", path.display()), e))
}

/// The name by which SQLite takes a file for one that nobody writes.
fn uri(path: &Path) -> PathBuf {
    let mut uri = b"file://".to_vec();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => uri.extend_from_slice(format!("%{byte:02x}").as_bytes()),
            _ => uri.push(byte),
        }
    }
    uri.extend_from_slice(b"?immutable=1");
    OsString::from_vec(uri).into()
}

/// A path that SQLite takes for one: `:memory:` and `file:…` are names like any other.
fn plain(path: &Path) -> Cow<'_, Path> {
    if path.is_absolute() { Cow::Borrowed(path) } else { Cow::Owned(Path::new(".").join(path)) }
}

/// SQLite says "unable to open" for every reason there is; the system knows better.
fn why_not_opened(error: rusqlite::Error, path: &Path) -> Error {
    let shown = path.display();
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => no_database(path),
        Err(e) => file_error(format!("cannot open {shown}"), e),
        Ok(_) => match File::open(path) {
            Err(e) => file_error(format!("cannot open {shown}"), e),
            Ok(_) => translate(error, path),
        },
    }
}

/// Makes an empty database; of many processes that come at once, one makes it and the others find it made.
fn create(options: &OpenOptions) -> Result<()> {
    let path = real_path(&options.path);
    let cannot = |e| file_error(format!("cannot create {}", options.path.display()), e);
    if !path.exists() {
        make_file(&path).map_err(cannot)?;
    }
    let turnstile = Turnstile::of(&path);
    let turn = turnstile.wait(options.busy_timeout / 2).map_err(cannot)?;
    // Nobody else is about to write the first page.
    if turn.is_some() && fs::metadata(&path).is_ok_and(|meta| torn::is_torn(&path, meta.len())) {
        torn::clear(&path).map_err(cannot)?;
    }
    let mut connection = connect(options)?;
    // The schema is the beginning of the log: were a first sync of that to fail later, all that follows would hang in the air.
    set_durability(&connection, options.durability).map_err(|e| translate(e, &path))?;
    if fs::metadata(&path).is_ok_and(|file| file.len() == 0) {
        // Whoever still has a file open that had this name would take a journal beside the new one for its own, and undo.
        connection.execute_batch(sql::JOURNAL_IN_MEMORY).map_err(|e| translate(e, &path))?;
    }
    migrate(&connection, &path, Earlier::Kept)?;
    // Closing would copy the log back and remove it, only for the next connection to make it again.
    Log::watch(&mut connection, options.lifetime).map_err(|e| translate(e, &path))?.settle(&connection);
    drop(turn);
    Ok(())
}

/// Puts an empty file of mode 0600 at `path`, unless something is there already.
///
/// Its descriptor stays open for good: to close a descriptor of a database drops the locks that this process has on it.
fn make_file(path: &Path) -> io::Result<()> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(mem::forget),
    }
}

/// Makes sure that a power cut does not undo the making of files next to `path`.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    synced.map_err(|e| file_error(format!("cannot sync the folder of {}", path.display()), e))
}

/// What becomes of a file as it was before a migration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Earlier {
    /// A copy of it is kept.
    Kept,
    /// Nothing: the file is itself a copy.
    Dropped,
}

/// Brings the file of `connection` to the latest schema: all of it for a new one, what is missing for an old one.
pub(super) fn migrate(connection: &Connection, path: &Path, earlier: Earlier) -> Result<()> {
    let run = |text: &str| connection.execute_batch(text).map_err(|e| translate(e, path));
    let had_log = journal_mode(connection, path)? == LOGGED_MODE;
    log::begin(connection).map_err(|e| translate(e, path))?;
    run(sql::BEGIN_WRITE)?;
    let migrated = refuse_moved(connection, path).and_then(|()| missing_migrations(connection, path));
    let migrated = migrated.and_then(|missing| {
        let version = schema::LATEST - missing.len();
        if version == 0 && had_log {
            // Whoever has written the first page may have been killed before it was on disk, or have waited for that in vain.
            // SQLite removes the log of a file without one.
            again::write_first_page(connection).map_err(|e| translate(e, path))?;
        }
        if version > 0 && !missing.is_empty() && earlier == Earlier::Kept {
            copy::keep(connection, path, version)?;
        }
        // A new file has one table of entries; an old one may have more.
        let more = if version > 0 { names(connection, schema::MORE_TABLES, path)? } else { Vec::new() };
        missing.iter().try_for_each(|migration| {
            run(migration)?;
            more.iter().try_for_each(|table| run(&schema::for_table(migration, table)))
        })?;
        if !more.is_empty() {
            // What moves begins anew: it was copied by the columns of before.
            let triggers = names(connection, schema::MOVE_TRIGGER_NAMES, path)?;
            triggers.iter().try_for_each(|trigger| run(&layout::drop_trigger(trigger)))?;
        }
        run(&schema::stamp())
    });
    if migrated.is_err() {
        // After some errors SQLite has rolled back already.
        let _ = run(sql::ROLLBACK);
        return migrated;
    }
    connection.execute_batch(sql::COMMIT).map_err(|error| {
        let _ = run(sql::ROLLBACK);
        again::after_commit(connection, &error);
        translate(error, path)
    })
}

/// Names of tables and triggers that this program has made.
fn names(connection: &Connection, query: &str, path: &Path) -> Result<Vec<String>> {
    let names = connection
        .prepare(query)
        .and_then(|mut statement| statement.query_map([], |row| row.get(0)).and_then(Iterator::collect));
    names.map_err(|e| translate(e, path))
}

fn missing_migrations(connection: &Connection, path: &Path) -> Result<&'static [&'static str]> {
    let version = usize::try_from(number(connection, sql::SCHEMA_VERSION, path)?).unwrap_or(usize::MAX);
    if version == 0 && number(connection, sql::COUNT_SCHEMA, path)? > 0 {
        return Err(foreign(path));
    }
    schema::MIGRATIONS.get(version..).ok_or_else(|| newer(path, version))
}

/// What the file behind `connection` is, judged by its header.
pub(super) fn inspect(connection: &Connection, path: &Path) -> Result<FileState> {
    let version = number(connection, sql::SCHEMA_VERSION, path)?;
    if version == schema::LATEST as i64 {
        return Ok(FileState::Current);
    }
    if version == 0 && number(connection, sql::COUNT_SCHEMA, path)? == 0 {
        return Ok(FileState::Empty);
    }
    refuse_foreign(connection, path)?;
    match usize::try_from(version) {
        Ok(version) if version < schema::LATEST => Ok(FileState::Old(version)),
        _ => Err(newer(path, usize::try_from(version).unwrap_or(usize::MAX))),
    }
}

/// The number of migrations that a file has had.
pub(super) fn schema_version(connection: &Connection, path: &Path) -> Result<u64> {
    Ok(number(connection, sql::SCHEMA_VERSION, path)?.max(0).unsigned_abs())
}

/// Refuses a file that is not marked as ours.
pub(super) fn refuse_foreign(connection: &Connection, path: &Path) -> Result<()> {
    match number(connection, sql::APPLICATION_ID, path)? {
        id if id == i64::from(schema::APPLICATION_ID) => Ok(()),
        _ => Err(foreign(path)),
    }
}

/// Whether the file no longer has the name that it was opened by: what is beside it by now may be another one's log.
pub(super) fn has_moved(connection: &Connection, path: &Path) -> Result<bool> {
    let mut moved = 0;
    let asked = connection.file_control(Some(MAIN_DB), FileControl::HasMoved(&mut moved));
    asked.map(|_| moved != 0).map_err(|e| translate(e, path))
}

/// Refuses a file that no longer has its name.
pub(super) fn refuse_moved(connection: &Connection, path: &Path) -> Result<()> {
    if has_moved(connection, path)? { Err(moved(path)) } else { Ok(()) }
}

/// SQLite would copy the log back and remove it by its name, which may be another's by then.
pub(super) fn leave_files_at_close(connection: &Connection, path: &Path) -> Result<()> {
    let mut persist = 1;
    connection
        .file_control(Some(MAIN_DB), FileControl::PersistWal(&mut persist))
        .and_then(|_| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true))
        .map_err(|e| translate(e, path))
        .map(drop)
}

/// The error of a file that has moved.
pub(super) fn moved(path: &Path) -> Error {
    let what = format!("{} is busy: it was moved or replaced just now", path.display());
    Error::new(ErrorKind::Busy, what).met(Obstacle::Replaced)
}

/// How far a file of ours has come.
pub(super) enum FileState {
    /// It has the latest schema.
    Current,
    /// It has had so many migrations, and lacks others.
    Old(usize),
    /// Nothing is in it yet.
    Empty,
}

fn no_database(path: &Path) -> Error {
    Error::new(ErrorKind::NoDatabase, format!("there is no database {}", path.display()))
}

fn foreign(path: &Path) -> Error {
    Error::new(ErrorKind::Foreign, format!("{} is a SQLite database of another program", path.display()))
}

fn newer(path: &Path, version: usize) -> Error {
    let what = format!(
        "{} has schema {version}, from a later version of prontodb; this one knows {} and older",
        path.display(),
        schema::LATEST
    );
    Error::new(ErrorKind::Foreign, what)
}

/// What SQLite calls the mode with a log.
pub(super) const LOGGED_MODE: &str = "wal";

/// In which mode the file is written.
pub(super) fn journal_mode(connection: &Connection, path: &Path) -> Result<String> {
    let mode = connection.query_row(sql::JOURNAL_MODE, [], |row| row.get(0));
    mode.map_err(|e| translate(e, path))
}

pub(super) fn number(connection: &Connection, query: &str, path: &Path) -> Result<i64> {
    let value = connection.prepare_cached(query).and_then(|mut s| s.query_row([], |row| row.get(0)));
    value.map_err(|e| translate(e, path))
}

/// The longest that SQLite can be told to wait is some 24 days.
pub(super) fn patience(timeout: Duration) -> Duration {
    timeout.min(Duration::from_millis(i32::MAX.unsigned_abs().into()))
}

/// Every PRAGMA costs, so the common case is compiled in where the build allows it (`.cargo/config.toml`).
fn set_durability(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let normal_by_default = option_env!("LIBSQLITE3_FLAGS")
        .is_some_and(|flags| flags.contains("SQLITE_DEFAULT_WAL_SYNCHRONOUS=1"));
    match durability {
        Durability::Normal if normal_by_default => Ok(()),
        Durability::Normal => connection.execute_batch(sql::SYNC_NORMAL),
        Durability::Full => connection.execute_batch(sql::SYNC_FULL),
    }
}

/// The file that SQLite will use, with links resolved; the last part need not exist.
fn real_path(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    if let Ok(target) = fs::read_link(path) {
        return folder_of(path).join(target);
    }
    match (fs::canonicalize(folder_of(path)), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

pub(super) fn file_error(what: String, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
        _ => ErrorKind::Io,
    };
    Error::new(kind, what).because(error)
}
