//! Whether a file that nobody uses is a database of ours, and a sound one.

use std::fs;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rusqlite::Connection;

use super::connect::{FileState, connect_frozen, file_error, inspect, refuse_foreign, schema_version};
use super::error::translate;
use super::lent::{self, ReadAt};
use super::view::SqliteView;
use super::{SqliteEngine, check, intruders, snapshot, sql};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;

/// After how many instructions of SQLite's machine a look finds out that it is over.
const STEPS_A_LOOK: i32 = 100_000;

/// What was found in a sound database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of its schema.
    pub schema: u64,
    /// The version of the last write.
    pub revision: Version,
    /// How many namespaces it has.
    pub namespaces: u64,
    /// The length of the file.
    pub bytes: u64,
}

impl SqliteEngine {
    /// Reads all of the file at `path`, which nobody may be using, and checks that it is a whole and sound database. What may
    /// be in a log beside it is not looked at. Nothing is written.
    ///
    /// # Errors
    /// [`ErrorKind::Foreign`] for files of other programs and of later versions, and those with triggers or views of
    /// others; [`ErrorKind::Damaged`] for what is no database, is cut off or not sound; those of reading.
    pub fn verify(path: &Path) -> Result<Verified> {
        let bytes =
            fs::metadata(path).map_err(|e| file_error(format!("cannot open {}", path.display()), e))?.len();
        verify(path, bytes, &|| connect_frozen(path))
    }

    /// The same for a database that lies in something else, which `path` is the name of in messages.
    ///
    /// # Errors
    /// Those of [`SqliteEngine::verify`].
    pub fn verify_lent(lent: &Arc<dyn ReadAt>, path: &Path) -> Result<Verified> {
        verify(path, lent.bytes(), &|| connect_lent(lent, path))
    }

    /// The bytes of the file at `path`, which nobody may be using.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn lend_file(path: &Path) -> Result<Arc<dyn ReadAt>> {
        lent::whole_file(path).map_err(|e| file_error(format!("cannot open {}", path.display()), e))
    }

    /// The version of the last write in a copy of the database at `origin`, and the number of its schema. `seen` is what
    /// [`Engine::copy_to`](crate::engine::Engine::copy_to) has said of it.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when it is older than that; those of reading.
    pub fn identify_lent(lent: &Arc<dyn ReadAt>, origin: &Path, seen: Version) -> Result<(Version, u64)> {
        snapshot::identify(&connect_lent(lent, origin)?, origin, seen)
    }
}

fn connect_lent(lent: &Arc<dyn ReadAt>, path: &Path) -> Result<Connection> {
    lent::connect(Arc::clone(lent)).map_err(|e| translate(e, path))
}

/// Checks a file that `connect` opens, which it does twice.
fn verify(path: &Path, bytes: u64, connect: &dyn Fn() -> Result<Connection>) -> Result<Verified> {
    let connection = connect()?;
    if let FileState::Empty = inspect(&connection, path)? {
        return Err(unsound(path, "nothing is in it"));
    }
    // Files of the latest schema are taken for ours by that alone where it is quick that counts.
    refuse_foreign(&connection, path)?;
    let schema = schema_version(&connection, path)?;
    // What others have put in would be run by a look at the tables.
    let intruders = intruders::find(&connection);
    let problems = match &intruders {
        Ok(found) if found.is_empty() => look_at_all((&connection, connect()?), path, schema)?,
        _ => look_at_pages(&connection, path).map(|()| Ok(Vec::new()))?,
    };
    if let Some(intruder) = intruders.map_err(|e| misshapen(e, path))?.first() {
        let what = format!("{} holds the {intruder}, which prontodb has not made", path.display());
        return Err(Error::new(ErrorKind::Foreign, what));
    }
    if let Some(problem) = problems?.first() {
        return Err(unsound(path, problem));
    }
    let revision = connection.query_row(sql::REVISION, [], |row| row.get::<_, i64>(0));
    let revision = Version(revision.map_err(|e| misshapen(e, path))?.unsigned_abs());
    let namespaces = count_namespaces(&connection, path)?;
    Ok(Verified { schema, revision, namespaces, bytes })
}

/// Has SQLite check pages and indexes, and looks at what they hold on another thread meanwhile. What is found wrong there means
/// something only where SQLite finds nothing; where it does, that alone is told, and the other look ends.
fn look_at_all(
    (connection, mut other): (&Connection, Connection),
    path: &Path,
    schema: u64,
) -> Result<Result<Vec<String>>> {
    let is_unsound = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&is_unsound);
    let ended = other.progress_handler(STEPS_A_LOOK, Some(move || is_over.load(Ordering::Relaxed)));
    ended.map_err(|e| translate(e, path))?;
    thread::scope(|scope| {
        let structure = scope.spawn(move || {
            let view = SqliteView::new(&other, path, usize::try_from(schema).unwrap_or(usize::MAX));
            check::structure(&view)
        });
        let pages = look_at_pages(connection, path);
        is_unsound.store(pages.is_err(), Ordering::Relaxed);
        let structure = structure.join().unwrap_or_else(|panic| resume_unwind(panic));
        pages.map(|()| structure)
    })
}

/// Has SQLite check pages and indexes.
fn look_at_pages(connection: &Connection, path: &Path) -> Result<()> {
    let verdict = connection.query_row(sql::INTEGRITY, [], |row| row.get::<_, String>(0));
    match verdict.map_err(|e| translate(e, path))? {
        verdict if verdict == "ok" => Ok(()),
        verdict => Err(unsound(path, &verdict)),
    }
}

/// Counts the namespaces, each of which has to have a table.
fn count_namespaces(connection: &Connection, path: &Path) -> Result<u64> {
    let mut namespaces = 0;
    let located: rusqlite::Result<Vec<(String, i64)>> = connection
        .prepare(sql::LOCATIONS)
        .and_then(|mut s| s.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect());
    for (table, count) in located.map_err(|e| misshapen(e, path))? {
        let tables = connection.query_row(sql::HAS_TABLE, [&table], |row| row.get::<_, i64>(0));
        // Such a name becomes a part of statements.
        let is_name = table.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !is_name || tables.map_err(|e| translate(e, path))? == 0 {
            return Err(unsound(path, "a namespace lies in a table that is not there"));
        }
        namespaces += count.unsigned_abs();
    }
    Ok(namespaces)
}

/// Tables and rows that every database has are not there.
fn misshapen(error: rusqlite::Error, path: &Path) -> Error {
    let why = error.to_string();
    match translate(error, path) {
        error if error.kind() == ErrorKind::Io => unsound(path, &why),
        error => error,
    }
}

fn unsound(path: &Path, why: &str) -> Error {
    // SQLite puts a headline in front of what it has found.
    let why = why.lines().find(|line| !line.starts_with("***")).unwrap_or_default().to_owned();
    Error::new(ErrorKind::Damaged, format!("{} is damaged", path.display())).because(why)
}
