//! Copies of files as they were before a later schema, beside them: `<file>.schema-<number>`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags};

use super::connect::{self, file_error, leave_files_at_close};
use super::{error, side_file, sql};
use crate::error::{Error, Result};

/// What the name of a copy adds to that of its file, before the number of the schema.
const MARK: &str = ".schema-";
/// The same while it is being written.
const UNFINISHED: &str = "-new-schema-";

/// Keeps a copy of the file behind `connection`, which holds the write lock: so the copy is what the migration finds, and of
/// many processes one makes it.
///
/// One of an earlier try gives way to it: others may have written since. Until it is whole it has another name.
pub(super) fn keep(connection: &Connection, path: &Path, schema: usize) -> Result<()> {
    let database = connection.path().map_or_else(|| path.to_owned(), PathBuf::from);
    let copy = side_file(&database, &format!("{MARK}{schema}"));
    let unfinished = side_file(&database, &format!("{UNFINISHED}{schema}"));
    let kept = write(&database, &unfinished).and_then(|()| put_in_place(&unfinished, &copy));
    kept.map_err(|error| {
        // Half a copy is no use to anybody.
        let _ = fs::remove_file(&unfinished);
        let what = format!(
            "{} has to be brought up to date, and no copy of it can be kept first; nothing has changed",
            database.display()
        );
        Error::new(error.kind(), what).because(error)
    })
}

/// Writes the copy, and makes sure that it is on disk.
fn write(database: &Path, copy: &Path) -> Result<()> {
    let cannot = |e: io::Error| file_error(format!("cannot write {}", copy.display()), e);
    // What a process that died has left.
    match fs::remove_file(copy) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(cannot(e)),
        _ => {}
    }
    // SQLite fills an empty file that is there, and leaves its mode alone.
    File::options().write(true).create_new(true).mode(0o600).open(copy).map_err(cannot)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(database, flags).map_err(|e| error::translate(e, database))?;
    leave_files_at_close(&reader, database)?;
    let name = ToSqlOutput::Borrowed(ValueRef::Text(copy.as_os_str().as_encoded_bytes()));
    reader.execute(sql::COPY_INTO, [name]).map_err(|e| error::translate(e, copy))?;
    File::open(copy).and_then(|file| file.sync_all()).map_err(cannot)
}

fn put_in_place(unfinished: &Path, copy: &Path) -> Result<()> {
    fs::rename(unfinished, copy).map_err(|e| file_error(format!("cannot write {}", copy.display()), e))?;
    connect::sync_folder(copy)
}

/// The copies beside a file.
pub(super) fn all_of(database: &Path) -> Vec<PathBuf> {
    beside(database, MARK)
}

/// What a process that died has left of copies.
pub(super) fn unfinished_of(database: &Path) -> Vec<PathBuf> {
    beside(database, UNFINISHED)
}

fn beside(database: &Path, mark: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(connect::folder_of(database)) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| marked(path, database, mark).is_some()).collect()
}

/// What follows the name of `database` in that of a copy of it.
pub(super) fn suffix(copy: &Path, database: &Path) -> Option<String> {
    marked(copy, database, MARK)
}

fn marked(copy: &Path, database: &Path, mark: &str) -> Option<String> {
    let suffix = copy.file_name()?.to_str()?.strip_prefix(database.file_name()?.to_str()?)?;
    let number = suffix.strip_prefix(mark)?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then(|| suffix.to_owned())
}
