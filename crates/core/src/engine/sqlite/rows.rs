//! Rows of SQLite as values of the store, and back.

use rusqlite::Row;
use rusqlite::types::{FromSql, ValueRef};

use crate::address::Namespace;
use crate::clock::{Millis, Ttl};
use crate::engine::{Cache, Candidate, Sealing, Space, Usage};
use crate::metakeys::Metakeys;
use crate::record::{Coding, Deed, Head, Past, Version};

type Result<T> = rusqlite::Result<T>;

/// The columns of a row, however SQLite hands it out.
pub(super) trait Columns {
    /// A column as it is.
    fn column(&self, column: usize) -> Result<ValueRef<'_>>;

    /// A column as what is wanted.
    fn read<T: FromSql>(&self, column: usize) -> Result<T> {
        let value = self.column(column)?;
        T::column_result(value).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), Box::new(error))
        })
    }
}

impl Columns for Row<'_> {
    fn column(&self, column: usize) -> Result<ValueRef<'_>> {
        self.get_ref(column)
    }
}

/// Reads the columns of [`super::sql::SPACE`]: a space without its cache, and whether it has one.
pub(super) fn space(row: &Row<'_>) -> Result<(Space, bool)> {
    let (project, namespace): (String, String) = (row.read(0)?, row.read(1)?);
    let space = Space {
        namespace: Namespace::new(project, namespace).map_err(|_| unreadable(0))?,
        id: unsigned(row, 2)?,
        table: table(row)?,
        created: Millis(row.read(4)?),
        cache: None,
        sealing: sealing(row.read(6)?),
        history: optional(row, 7)?,
    };
    Ok((space, row.read(5)?))
}

/// The column holds nothing, 0 or the number of a data key; below zero as long as some values are not sealed under it.
fn sealing(data_key: Option<i64>) -> Sealing {
    match data_key {
        None => Sealing::Never,
        Some(0) => Sealing::Ended,
        Some(key) if key < 0 => Sealing::Turning(key.unsigned_abs()),
        Some(key) => Sealing::Under(key.unsigned_abs()),
    }
}

/// What the column holds for a space.
pub(super) fn data_key(sealing: Sealing) -> Option<i64> {
    match sealing {
        Sealing::Never => None,
        Sealing::Ended => Some(0),
        Sealing::Turning(key) => Some(-signed(key)),
        Sealing::Under(key) => Some(signed(key)),
    }
}

/// A name that can stand in a statement as it is.
fn table(row: &Row<'_>) -> Result<String> {
    let name: String = row.read(3)?;
    let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_plain && !name.is_empty() { Ok(name) } else { Err(unreadable(3)) }
}

/// Reads the columns of [`super::sql::CACHE`].
pub(super) fn cache(row: &Row<'_>) -> Result<Cache> {
    Ok(Cache {
        timeout: Ttl::from_millis(unsigned(row, 0)?).map_err(|_| unreadable(0))?,
        evict_on_read: row.read(1)?,
        max_items: optional(row, 2)?,
        max_bytes: optional(row, 3)?,
        policy: row.column(4)?.as_str()?.parse().map_err(|_| unreadable(4))?,
        usage: Usage { items: unsigned(row, 5)?, bytes: unsigned(row, 6)?, rank: unsigned(row, 7)? },
    })
}

/// Reads a head from the column `first` on: version, created, updated, expires, writer, rank, size, coding, metakeys.
pub(super) fn head(row: &impl Columns, first: usize) -> Result<Head> {
    Ok(Head {
        version: Version(unsigned(row, first)?),
        created: Millis(row.read(first + 1)?),
        updated: Millis(row.read(first + 2)?),
        expires: row.read::<Option<i64>>(first + 3)?.map(Millis),
        writer: row.read(first + 4)?,
        rank: optional(row, first + 5)?,
        size: unsigned(row, first + 6)?,
        coding: coding(row, first + 7)?,
        metakeys: metakeys(row, first + 8)?,
    })
}

/// Reads the columns of [`super::sql::PAST`].
pub(super) fn past(row: &Row<'_>) -> Result<Past> {
    let deed = row.column(1)?.as_str()?;
    Ok(Past {
        name: row.read(0)?,
        deed: Deed::ALL.into_iter().find(|known| known.name() == deed).ok_or_else(|| unreadable(1))?,
        ended: row.read::<Option<i64>>(2)?.map(Millis),
        reason: row.read(3)?,
        head: head(row, 4)?,
    })
}

/// Reads how a value is kept; the column holds nothing for those that are kept as they are.
pub(super) fn coding(row: &impl Columns, column: usize) -> Result<Coding> {
    Ok(optional(row, column)?.map_or(Coding::PLAIN, Coding::from_number))
}

fn metakeys(row: &impl Columns, column: usize) -> Result<Option<Metakeys>> {
    match row.column(column)? {
        ValueRef::Null => Ok(None),
        json => Metakeys::from_json(json.as_str()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, json.data_type(), Box::new(error))
        }),
    }
}

/// Where the value of an entry is.
pub(super) enum Value<'r> {
    /// In its row.
    Inline(&'r [u8]),
    /// In the row of this number among the large values.
    Large(i64),
}

/// Reads the column that holds a value, or the number of the place where it is.
pub(super) fn value(row: &impl Columns, column: usize) -> Result<Value<'_>> {
    match row.column(column)? {
        ValueRef::Integer(id) => Ok(Value::Large(id)),
        value => Ok(Value::Inline(value.as_blob()?)),
    }
}

/// Reads a name and the length of its value.
pub(super) fn candidate(row: &Row<'_>) -> Result<Candidate> {
    Ok(Candidate { name: row.read(0)?, size: unsigned(row, 1)? })
}

/// Numbers that are never negative, from SQLite's signed ones.
pub(super) fn unsigned(row: &impl Columns, column: usize) -> Result<u64> {
    u64::try_from(row.read::<i64>(column)?).map_err(|_| unreadable(column))
}

fn optional(row: &impl Columns, column: usize) -> Result<Option<u64>> {
    match row.column(column)? {
        ValueRef::Null => Ok(None),
        _ => unsigned(row, column).map(Some),
    }
}

/// The nearest number SQLite can hold; what we count stays far below.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column that holds what this program never writes.
fn unreadable(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "a value out of range".to_owned(), rusqlite::types::Type::Null)
}
