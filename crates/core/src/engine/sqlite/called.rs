//! What code of ours needs that SQLite calls in the middle of a statement.

#![allow(unsafe_code, reason = "SQLite keeps notes of a connection's own as pointers")]

use std::any::Any;
use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, Error, Result, ToSql, ffi};

/// Makes something of ours known to a connection, the first time that it is asked for.
pub(super) fn provide(
    connection: &Connection,
    name: &'static CStr,
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    // SAFETY: the handle is that of a connection that lives.
    let noted = unsafe { ffi::sqlite3_get_clientdata(connection.handle(), name.as_ptr()) };
    if !noted.is_null() {
        return Ok(());
    }
    make()?;
    let note = name.as_ptr().cast_mut().cast();
    // SAFETY: as above; what is noted is never looked into.
    check(unsafe { ffi::sqlite3_set_clientdata(connection.handle(), name.as_ptr(), note, None) })
}

/// Something of ours on its way through SQLite to code of ours. Whoever takes it asks for the name; no SQL can make such a pointer.
pub(super) struct Passed(pub *const c_void, pub &'static CStr);

impl ToSql for Passed {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Pointer((self.0, self.1, None)))
    }
}

/// The result of a call, as rusqlite has it.
pub(super) fn check(code: i32) -> Result<()> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(Error::SqliteFailure(ffi::Error::new(code), None)) }
}

/// What has gone wrong in code that SQLite called. It is told when SQLite has come back: no panic may pass through it, and of errors it
/// would keep no more than a number.
pub(super) struct Mishap<E> {
    error: Option<E>,
    panic: Option<Box<dyn Any + Send>>,
}

impl<E> Mishap<E> {
    pub(super) const fn none() -> Self {
        Self { error: None, panic: None }
    }

    /// What `work` returns; `None` when it goes wrong.
    pub(super) fn guard<T>(&mut self, work: impl FnOnce() -> Result<T, E>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => self.error = Some(error),
            Err(panic) => self.panic = Some(panic),
        }
        None
    }

    /// Goes on as if SQLite had not been in between.
    pub(super) fn tell(&mut self) -> Result<(), E> {
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
        self.error.take().map_or(Ok(()), Err)
    }
}
