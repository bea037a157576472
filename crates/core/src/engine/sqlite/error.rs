//! SQLite's errors in the store's words; no other module of the crate sees them.

use std::path::{Path, PathBuf};

use rusqlite::ffi;

use super::connect::folder_of;
use super::side_file;
use crate::error::{Error, ErrorKind};
use crate::sys;

/// Less free space than this, and a failed write is put down to a full disk.
const NEARLY_FULL: u64 = 64 * 1024;

/// Says what an error means for the database at `path`.
pub(super) fn translate(error: rusqlite::Error, path: &Path) -> Error {
    let code = match &error {
        rusqlite::Error::SqliteFailure(_, Some(what)) if is_misshapen(what) => ffi::SQLITE_CORRUPT,
        rusqlite::Error::SqlInputError { msg, .. } if is_misshapen(msg) => ffi::SQLITE_CORRUPT,
        rusqlite::Error::SqliteFailure(failure, _) => failure.extended_code,
        // Columns that hold what this program never writes.
        rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => {
            ffi::SQLITE_CORRUPT
        }
        _ => 0,
    };
    let kind = kind_of(code, path);
    let shown = path.display();
    match kind {
        ErrorKind::Busy => {
            Error::new(kind, format!("{shown} is busy: another program kept it locked for too long"))
        }
        ErrorKind::Damaged if code & 0xff == ffi::SQLITE_NOTADB => {
            Error::new(kind, format!("{shown} is no ProntoDB database, or its beginning is damaged"))
        }
        ErrorKind::Damaged => Error::new(kind, format!("{shown} is damaged")).because(error.to_string()),
        ErrorKind::NoSpace => Error::new(kind, format!("no space left for {shown}")),
        ErrorKind::Denied => {
            let what = format!("{} may not be written", barred(path).display());
            Error::new(kind, what).because(error.to_string())
        }
        _ => Error::new(kind, format!("cannot use {shown}")).because(error.to_string()),
    }
}

/// Which file may not be written: what SQLite has made beside a database got its mode, and keeps it when that is changed.
fn barred(path: &Path) -> PathBuf {
    let beside = ["-wal", "-shm"].map(|suffix| side_file(path, suffix));
    let is_barred = |file: &PathBuf| file.exists() && !sys::is_writable(file);
    let barred = beside.into_iter().find(is_barred).filter(|_| sys::is_writable(path));
    barred.unwrap_or_else(|| path.to_owned())
}

/// The statements are ours, so a table, column or key that they miss is missing in the file.
fn is_misshapen(what: &str) -> bool {
    ["no such table", "no such column", "no such index", "has no column named"]
        .iter()
        .any(|beginning| what.contains(beginning))
}

fn kind_of(code: i32, path: &Path) -> ErrorKind {
    match code & 0xff {
        // A page that ends early: the file was cut off.
        ffi::SQLITE_IOERR if code == ffi::SQLITE_IOERR_SHORT_READ => ErrorKind::Damaged,
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL => ErrorKind::Busy,
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => ErrorKind::Damaged,
        ffi::SQLITE_FULL => ErrorKind::NoSpace,
        ffi::SQLITE_READONLY | ffi::SQLITE_PERM | ffi::SQLITE_AUTH => ErrorKind::Denied,
        ffi::SQLITE_TOOBIG => ErrorKind::Limit,
        ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN if disk_is_full(path) => ErrorKind::NoSpace,
        _ => ErrorKind::Io,
    }
}

fn disk_is_full(path: &Path) -> bool {
    sys::free_bytes(folder_of(path)).is_ok_and(|free| free < NEARLY_FULL)
}
