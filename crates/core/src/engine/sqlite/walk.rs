//! Scans that SQLite walks through in one step: each row is shown to a function of ours from within the statement that finds it.
//! To be asked for row after row, and for each column by several calls, takes as long as all the rest of a scan
//! (docs/design/0030-many-rows-in-one-statement.md).

#![allow(unsafe_code, reason = "SQLite takes a function as a C function, and lends it values as pointers")]

use std::ffi::{CStr, c_int, c_void};
use std::ops::ControlFlow;
use std::{ptr, slice};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Error, Result, ToSql, ffi};

use super::called::{self, Mishap};
use super::rows::Columns;

/// The name of the function in statements; its first argument is a [`Visitor`], the others are columns.
const FUNCTION: &CStr = c"visit";
/// Only a pointer that was bound under this name is taken for a visitor, and no SQL can make one. Names are compared for each row, so
/// it is short.
const VISITOR: &CStr = c"v";

/// The columns of the row that is shown.
pub(super) struct Shown<'a>(&'a [*mut ffi::sqlite3_value]);

impl Columns for Shown<'_> {
    fn column(&self, column: usize) -> Result<ValueRef<'_>> {
        let value = *self.0.get(column).ok_or(Error::InvalidColumnIndex(column))?;
        // SAFETY: SQLite lends the values of a row until the function returns, and says how long texts and blobs are.
        unsafe {
            Ok(match ffi::sqlite3_value_type(value) {
                ffi::SQLITE_INTEGER => ValueRef::Integer(ffi::sqlite3_value_int64(value)),
                ffi::SQLITE_FLOAT => ValueRef::Real(ffi::sqlite3_value_double(value)),
                ffi::SQLITE_TEXT => {
                    let text = ffi::sqlite3_value_text(value);
                    ValueRef::Text(bytes(text, ffi::sqlite3_value_bytes(value)))
                }
                ffi::SQLITE_BLOB => {
                    let blob = ffi::sqlite3_value_blob(value);
                    ValueRef::Blob(bytes(blob.cast(), ffi::sqlite3_value_bytes(value)))
                }
                _ => ValueRef::Null,
            })
        }
    }
}

/// What SQLite says lies at `start`; it is null where nothing does.
unsafe fn bytes<'a>(start: *const u8, count: c_int) -> &'a [u8] {
    match usize::try_from(count) {
        // SAFETY: so many bytes are there, as the caller says.
        Ok(count) if !start.is_null() => unsafe { slice::from_raw_parts(start, count) },
        _ => &[],
    }
}

/// Takes the rows of a walk.
type Take<'a> = dyn FnMut(&Shown<'_>) -> Result<ControlFlow<()>> + 'a;

/// Whom rows are shown to.
struct Visitor<'a> {
    take: &'a mut Take<'a>,
    mishap: Mishap<Error>,
}

/// A visitor on its way through SQLite.
struct Passed(*const c_void);

impl ToSql for Passed {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Pointer((self.0, VISITOR, None)))
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
    // SAFETY: SQLite passes so many arguments, and a pointer of this name is one that [`walk`] has bound and waits for.
    unsafe {
        let arguments = slice::from_raw_parts(arguments, usize::try_from(count).unwrap_or_default());
        let Some((&visitor, columns)) = arguments.split_first() else { return };
        let visitor = ffi::sqlite3_value_pointer(visitor, VISITOR.as_ptr()).cast::<Visitor<'_>>();
        let Some(Visitor { take, mishap }) = visitor.as_mut() else { return };
        // The statement selects rows behind which the walk ends. Where nothing is said, that is null, and no such row.
        if mishap.guard(|| take(&Shown(columns))).is_none_or(|flow| flow.is_break()) {
            ffi::sqlite3_result_int(context, 1);
        }
    }
}

/// Runs a statement that shows rows to the visitor that is its argument number `parameter`; the others have been bound.
pub(super) fn walk<'a>(
    statement: &mut CachedStatement<'_>,
    parameter: usize,
    take: &'a mut Take<'a>,
) -> Result<()> {
    let mut visitor = Visitor { take, mishap: Mishap::none() };
    statement.raw_bind_parameter(parameter, Passed((&raw mut visitor).cast()))?;
    let ended = statement.raw_query().next().map(drop);
    visitor.mishap.tell()?;
    ended
}
