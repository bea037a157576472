//! Scans that SQLite walks through in one step: each row is shown to a function of ours from within the statement that finds it.
//! To be asked for row after row, and for each column by several calls, takes as long as all the rest of a scan
//! (docs/design/0030-many-rows-in-one-statement.md).

#![allow(unsafe_code, reason = "SQLite takes a function as a C function, and lends it values as pointers")]

use std::ffi::{CStr, c_int};
use std::ops::ControlFlow;
use std::{ptr, slice};

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Error, Result, StatementStatus, ffi};

use super::called::{self, Mishap, Passed};
use super::rows::Columns;

/// The name of the function in statements; its first argument is a [`Visitor`], the others are columns.
const FUNCTION: &CStr = c"visit";
/// The name under which a [`Visitor`] is passed. It is compared for each row, so it is short.
const VISITOR: &CStr = c"v";

/// The columns of the row that is shown.
pub(super) struct Shown<'a>(&'a [*mut ffi::sqlite3_value]);

impl Columns for Shown<'_> {
    fn column(&self, column: usize) -> Result<ValueRef<'_>> {
        let value = *self.0.get(column).ok_or_else(|| Error::InvalidColumnIndex(column))?;
        // SAFETY: SQLite lends the values of a row until the function returns, and says how long texts and blobs are.
        unsafe {
            Ok(match ffi::sqlite3_value_type(value) {
                ffi::SQLITE_INTEGER => ValueRef::Integer(ffi::sqlite3_value_int64(value)),
                ffi::SQLITE_FLOAT => ValueRef::Real(ffi::sqlite3_value_double(value)),
                ffi::SQLITE_TEXT => {
                    let text = ffi::sqlite3_value_text(value);
                    ValueRef::Text(bytes(text, ffi::sqlite3_value_bytes(value))?)
                }
                ffi::SQLITE_BLOB => {
                    let blob = ffi::sqlite3_value_blob(value);
                    ValueRef::Blob(bytes(blob.cast(), ffi::sqlite3_value_bytes(value))?)
                }
                _ => ValueRef::Null,
            })
        }
    }
}

/// So many bytes at `start`, which is null where there are none, and where there was no memory for them.
unsafe fn bytes<'a>(start: *const u8, count: c_int) -> Result<&'a [u8]> {
    match usize::try_from(count) {
        Ok(0) => Ok(&[]),
        // SAFETY: so many bytes are there, as the caller says.
        Ok(count) if !start.is_null() => Ok(unsafe { slice::from_raw_parts(start, count) }),
        _ => Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_NOMEM), None)),
    }
}

/// What is done with each row.
type Show<'a> = dyn FnMut(&Shown<'_>) -> Result<ControlFlow<()>> + 'a;

/// Whom rows are shown to.
struct Visitor<'a> {
    show: &'a mut Show<'a>,
    /// No more of them are wanted.
    is_over: bool,
    mishap: Mishap<Error>,
}

impl Visitor<'_> {
    fn visit(&mut self, row: &Shown<'_>) {
        let Self { show, is_over, mishap } = self;
        // SQLite ends at the row that it is told to end at, unless a plan of its own makes it collect them first.
        if !*is_over {
            *is_over = mishap.guard(|| show(row)).is_none_or(|flow| flow.is_break());
        }
    }
}

/// Makes the function known to a connection.
pub(super) fn provide(connection: &Connection) -> Result<()> {
    called::provide(connection, FUNCTION, || {
        // Nothing that lies in a file, as triggers and views do, may call it.
        let flags = ffi::SQLITE_UTF8 | ffi::SQLITE_DIRECTONLY;
        let any_number = -1;
        // SAFETY: the handle is that of a connection that lives, and the function needs no data.
        called::check(unsafe {
            ffi::sqlite3_create_function_v2(
                connection.handle(),
                FUNCTION.as_ptr(),
                any_number,
                flags,
                ptr::null_mut(),
                Some(visit),
                None,
                None,
                None,
            )
        })
    })
}

unsafe extern "C" fn visit(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite passes so many arguments.
    let arguments = unsafe { slice::from_raw_parts(arguments, usize::try_from(count).unwrap_or_default()) };
    let Some((&visitor, columns)) = arguments.split_first() else { return };
    // SAFETY: a pointer of this name is one that [`walk`] has bound, which waits until the statement has ended.
    let visitor =
        unsafe { ffi::sqlite3_value_pointer(visitor, VISITOR.as_ptr()).cast::<Visitor<'_>>().as_mut() };
    let Some(visitor) = visitor else { return };
    visitor.visit(&Shown(columns));
    // The statement selects rows behind which the walk ends. Where nothing is said, that is null, and no such row.
    if visitor.is_over {
        // SAFETY: the context is that of this call.
        unsafe { ffi::sqlite3_result_int(context, 1) };
    }
}

/// Runs a statement that shows rows to the visitor that is its argument number `parameter`; the others have been bound.
pub(super) fn walk<'a>(
    mut statement: CachedStatement<'_>,
    parameter: usize,
    show: &'a mut Show<'a>,
) -> Result<()> {
    let mut visitor = Visitor { show, is_over: false, mishap: Mishap::none() };
    statement.raw_bind_parameter(parameter, Passed((&raw mut visitor).cast(), VISITOR))?;
    let ended = statement.raw_query().next().map(drop);
    visitor.mishap.tell()?;
    ended?;
    if statement.get_status(StatementStatus::Sort) > 0 {
        // Rows were shown in another order. Only statistics that somebody has put into the file can bring SQLite to that.
        let what = "its statistics (sqlite_stat1) are not those of SQLite".to_owned();
        return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(what)));
    }
    Ok(())
}
