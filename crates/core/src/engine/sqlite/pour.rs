//! Loads that SQLite pours into a table in one statement, which asks a table of ours for entry after entry. A statement for each would
//! look for the place of each from the root of the tree, and start, bind and end (docs/design/0030-many-rows-in-one-statement.md).

#![allow(unsafe_code, reason = "SQLite hands on what a table of ours reads from as a pointer")]

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;

use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor,
};
use rusqlite::{CachedStatement, Connection, ffi};

use super::called::{self, Mishap, Passed};
use super::rows::signed;
use super::sql;
use crate::engine::{Entries, Entry};
use crate::error::{Error, Result};

/// The name of the table in statements.
const TABLE: &CStr = c"prontodb_new_entries";
/// The column that says where the others come from.
const SOURCE: c_int = 3;
/// The name under which [`Incoming`] entries are passed.
const INCOMING: &CStr = c"prontodb incoming entries";

/// Entries on their way into a table.
pub(super) struct Incoming<'a> {
    entries: &'a mut dyn Entries,
    /// How many bytes of an entry are poured; larger ones are not.
    room: usize,
    /// The present one, if it is poured.
    name: String,
    value: Vec<u8>,
    is_poured: bool,
    passed: u64,
    mishap: Mishap<Error>,
}

impl<'a> Incoming<'a> {
    pub(super) fn of(entries: &'a mut dyn Entries, room: usize) -> Self {
        let (name, value, mishap) = (String::new(), Vec::new(), Mishap::none());
        Self { entries, room, name, value, is_poured: false, passed: 0, mishap }
    }

    /// The entry that is to be stored next.
    pub(super) fn present(&mut self) -> Result<Option<Entry<'_>>> {
        self.entries.present()
    }

    /// It has been stored.
    pub(super) fn pass(&mut self) -> Result<()> {
        self.passed += 1;
        self.entries.pass()
    }

    /// How many have been stored by now.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// What went wrong with them while they were poured.
    pub(super) fn tell(&mut self) -> Result<()> {
        self.mishap.tell()
    }

    /// Takes the present entry, if it is one that is poured. SQLite reads it column by column.
    fn take(&mut self) {
        let Self { entries, room, name, value, is_poured, mishap, .. } = self;
        let taken = mishap.guard(|| {
            let Some(entry) = entries.present()? else { return Ok(false) };
            if entry.bytes() > *room {
                return Ok(false);
            }
            name.clear();
            name.push_str(entry.name);
            value.clear();
            value.extend_from_slice(entry.value);
            Ok(true)
        });
        *is_poured = taken.unwrap_or(false);
    }

    /// Goes to the next one.
    fn advance(&mut self) {
        self.passed += 1;
        let Self { entries, mishap, .. } = self;
        match mishap.guard(|| entries.pass()) {
            Some(()) => self.take(),
            None => self.is_poured = false,
        }
    }
}

/// How a statement has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Poured {
    /// Behind all that can be poured, for now.
    All,
    /// At an entry that is there already.
    Present,
}

/// Whether the next of many entries is stored alone, as the first is: often it is the only one. Where one was there already, more of them
/// are likely to be, so twice as many are alone each time before pouring is tried again.
#[derive(Default)]
pub(super) struct Turns {
    /// So many are, before pouring is tried again.
    left: u64,
    /// How many that were the last time, for one was there already.
    streak: u64,
}

impl Turns {
    const LONGEST: u64 = 1000;

    /// Many more are to come.
    pub(super) fn begin(&mut self) {
        self.left = self.left.max(1);
    }

    pub(super) fn next_is_alone(&mut self) -> bool {
        let is_alone = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_alone
    }

    /// A statement has stored so many, and has ended like this.
    pub(super) fn note(&mut self, poured: Poured, stored: u64) {
        self.streak = match poured {
            Poured::All if stored > 0 => 0,
            _ if stored > self.streak => 1,
            _ => (2 * self.streak).clamp(1, Self::LONGEST),
        };
        self.left = self.streak;
    }
}

/// Runs a statement that reads from the entries that are its argument number `parameter`; the others have been bound.
pub(super) fn pour(
    mut statement: CachedStatement<'_>,
    parameter: usize,
    incoming: &mut Incoming<'_>,
) -> rusqlite::Result<Poured> {
    incoming.take();
    let cell = RefCell::new(incoming);
    statement.raw_bind_parameter(parameter, Passed((&raw const cell).cast(), INCOMING))?;
    match statement.raw_execute() {
        Ok(_) => Ok(Poured::All),
        Err(error) if is_present(&error) => Ok(Poured::Present),
        Err(error) => Err(error),
    }
}

fn is_present(error: &rusqlite::Error) -> bool {
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
        let source = info.constraints().position(|constraint| {
            constraint.column() == SOURCE
                && constraint.operator() == IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ
                && constraint.is_usable()
        });
        let Some(place) = source else { return Ok(false) };
        let mut usage = info.constraint_usage(place);
        usage.set_argv_index(1);
        usage.set_omit(true);
        Ok(true)
    }

    fn open(&'v mut self) -> rusqlite::Result<Cursor<'v>> {
        Ok(Cursor { base: ffi::sqlite3_vtab_cursor::default(), incoming: None, table: PhantomData })
    }
}

#[repr(C)]
struct Cursor<'v> {
    base: ffi::sqlite3_vtab_cursor,
    /// For as long as the statement runs, and no longer.
    incoming: Option<&'static RefCell<&'static mut Incoming<'static>>>,
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
        self.incoming = unsafe { arguments.get_pointer(0, INCOMING) };
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        if let Some(incoming) = self.incoming {
            incoming.borrow_mut().advance();
        }
        Ok(())
    }

    fn eof(&self) -> bool {
        self.incoming.is_none_or(|incoming| !incoming.borrow().is_poured)
    }

    fn column(&self, context: &mut Context, column: c_int) -> rusqlite::Result<()> {
        let Some(incoming) = self.incoming else { return Ok(()) };
        let incoming = incoming.borrow();
        match column {
            0 => context.set_result(&incoming.name),
            1 => context.set_result(signed(incoming.value.len() as u64)),
            2 => context.set_result(&incoming.value),
            _ => Ok(()),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(0)
    }
}
