//! Loads that SQLite pours into a table in one statement, which asks a table of ours for row after row. A statement for each row would
//! look for the place of each from the root of the tree, and start, bind and end (docs/design/0030-many-rows-in-one-statement.md).

#![allow(unsafe_code, reason = "SQLite hands on what a table of ours reads from as a pointer")]

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;

use rusqlite::types::ToSqlOutput;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor,
};
use rusqlite::{CachedStatement, Connection, ToSql, ffi};

use super::called::{self, Mishap};
use super::rows::signed;
use super::{schema, sql};
use crate::engine::Entries;
use crate::error::{Error, Result};

/// The name of the table in statements.
const TABLE: &CStr = c"new_entries";
/// The column that says where the others come from.
const SOURCE: c_int = 3;
/// Only a pointer that was bound under this name is taken for a source, and no SQL can make one.
const PASSED: &CStr = c"prontodb entries";

/// Entries on their way into a table.
pub(super) struct Rows<'a> {
    entries: &'a mut dyn Entries,
    name: String,
    value: Vec<u8>,
    /// Whether the present entry is still to be stored.
    is_waiting: bool,
    stored: u64,
    mishap: Mishap<Error>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(entries: &'a mut dyn Entries) -> Self {
        let (name, value, mishap) = (String::new(), Vec::new(), Mishap::none());
        Self { entries, name, value, is_waiting: false, stored: 0, mishap }
    }

    /// The entry that is to be stored next.
    pub(super) fn next(&mut self) -> Result<Option<(&str, &[u8])>> {
        self.mishap.tell()?;
        self.fetch();
        self.mishap.tell()?;
        Ok(self.is_waiting.then_some((self.name.as_str(), self.value.as_slice())))
    }

    /// It has been stored.
    pub(super) fn pass(&mut self) {
        self.stored += u64::from(self.is_waiting);
        self.is_waiting = false;
    }

    /// How many have been stored by now.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    fn fetch(&mut self) {
        let Self { entries, name, value, is_waiting, mishap, .. } = self;
        if *is_waiting {
            return;
        }
        let fetched = mishap.guard(|| {
            let Some(entry) = entries.next()? else { return Ok(false) };
            name.clear();
            name.push_str(entry.name);
            value.clear();
            value.extend_from_slice(entry.value);
            Ok(true)
        });
        *is_waiting = fetched.unwrap_or(false);
    }

    /// Whether the present entry can be poured: large values lie apart.
    fn is_pourable(&self) -> bool {
        self.is_waiting && self.name.len() + self.value.len() <= schema::MAX_INLINE
    }
}

/// Rows on their way through SQLite.
struct Passed(*const c_void);

impl ToSql for Passed {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Pointer((self.0, PASSED, None)))
    }
}

/// How a statement has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Poured {
    /// No more of them can be poured, for now.
    All,
    /// The present one is there already.
    Taken,
}

/// Runs a statement that reads from the rows that are its argument number `parameter`; the others have been bound.
pub(super) fn pour(
    statement: &mut CachedStatement<'_>,
    parameter: usize,
    rows: &mut Rows<'_>,
) -> rusqlite::Result<Poured> {
    let cell = RefCell::new(rows);
    let ended = statement
        .raw_bind_parameter(parameter, Passed((&raw const cell).cast()))
        .and_then(|()| statement.raw_execute());
    match ended {
        Ok(_) => Ok(Poured::All),
        Err(error) if is_taken(&error) => Ok(Poured::Taken),
        Err(error) => Err(error),
    }
}

fn is_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}

/// Makes the table known to a connection.
pub(super) fn provide(connection: &Connection) -> rusqlite::Result<()> {
    const MODULE: Module<'_, Source> = Module::eponymous_only_module();
    called::provide(connection, TABLE, || connection.create_module(TABLE, &MODULE, None))
}

#[repr(C)]
struct Source {
    base: ffi::sqlite3_vtab,
}

// SAFETY: what SQLite knows of it stands in front.
unsafe impl<'v> VTab<'v> for Source {
    type Aux = ();
    type Cursor = Cursor<'v>;

    fn connect(
        connection: &mut VTabConnection,
        _aux: Option<&()>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        // Nothing that lies in a file, as triggers and views do, may read from it.
        connection.config(VTabConfig::DirectOnly)?;
        Ok((Cow::Borrowed(sql::NEW_ENTRIES), Self { base: ffi::sqlite3_vtab::default() }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        let is_source = info.constraints().position(|constraint| {
            constraint.column() == SOURCE
                && constraint.operator() == IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ
                && constraint.is_usable()
        });
        let Some(place) = is_source else { return Ok(false) };
        let mut usage = info.constraint_usage(place);
        usage.set_argv_index(1);
        usage.set_omit(true);
        Ok(true)
    }

    fn open(&'v mut self) -> rusqlite::Result<Cursor<'v>> {
        Ok(Cursor { base: ffi::sqlite3_vtab_cursor::default(), rows: None, table: PhantomData })
    }
}

#[repr(C)]
struct Cursor<'v> {
    base: ffi::sqlite3_vtab_cursor,
    rows: Option<&'static RefCell<&'static mut Rows<'static>>>,
    table: PhantomData<&'v Source>,
}

// SAFETY: what SQLite knows of it stands in front.
unsafe impl VTabCursor for Cursor<'_> {
    fn filter(
        &mut self,
        _number: c_int,
        _text: Option<&str>,
        arguments: &Filters<'_>,
    ) -> rusqlite::Result<()> {
        // SAFETY: a pointer of this name is one that [`pour`] has bound, which waits until the statement has ended.
        self.rows = unsafe { arguments.get_pointer(0, PASSED) };
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        if let Some(rows) = self.rows {
            let mut rows = rows.borrow_mut();
            rows.pass();
            rows.fetch();
        }
        Ok(())
    }

    fn eof(&self) -> bool {
        self.rows.is_none_or(|rows| !rows.borrow().is_pourable())
    }

    fn column(&self, context: &mut Context, column: c_int) -> rusqlite::Result<()> {
        let Some(rows) = self.rows else { return Ok(()) };
        let rows = rows.borrow();
        match column {
            0 => context.set_result(&rows.name),
            1 => context.set_result(signed(rows.value.len() as u64)),
            2 => context.set_result(&rows.value),
            _ => Ok(()),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(0)
    }
}
