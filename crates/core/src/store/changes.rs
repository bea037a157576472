//! The log of changes: what befell which entry, in order, for those who watch (docs/design/0020-watching.md).
//!
//! It is kept while somebody watches, and for a while after that; a database that nobody watches has none. Its records have
//! running numbers without gaps as their keys. New ones come at the end, and old ones go from the front, so that the first of
//! them marks the place behind which nothing is missing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::Namespace;
use crate::clock::Millis;
use crate::engine::{Catalog, Space, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;
use crate::records::{self, Kept};

/// The most changes that are kept.
pub const MAX_CHANGES: u64 = 100_000;
/// How long changes are kept after somebody has watched, in milliseconds.
pub(super) const KEPT_FOR: i64 = 7 * 24 * 60 * 60 * 1000;
/// After so many changes the oldest go,
const PRUNED_EVERY: u64 = 64;
/// up to so many at once, so that writes stay short.
const PRUNED_AT_ONCE: usize = 128;
/// How many records of a log that has ended one transaction removes when another one is to begin.
const CLEARED_AT_ONCE: usize = 10_000;
/// In place of a moment: changes are not kept any more, and records of them have still to be removed.
const ENDED: Millis = Millis(0);

/// What has befallen an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// It was written: its value, its expiry or its metakeys.
    Set,
    /// Somebody has removed it.
    Deleted,
    /// Its time was over.
    Expired,
    /// Its cache had no room for it.
    Evicted,
    /// All entries of its namespace have gone at once, most often with the namespace.
    Dropped,
}

impl Op {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::Dropped => "dropped",
        }
    }
}

/// A place among all changes: the revision that made one, and which of its changes it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The version of the transaction.
    pub revision: Version,
    /// Which of its changes, from 1.
    pub number: u64,
}

impl Position {
    /// Behind all changes of a revision.
    pub fn behind(revision: Version) -> Self {
        Self { revision, number: u64::MAX }
    }
}

/// `REVISION.NUMBER`, or the revision alone behind all its changes.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            u64::MAX => self.revision.fmt(f),
            number => write!(f, "{}.{number}", self.revision),
        }
    }
}

/// Reads what is printed.
impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let position = match text.split_once('.') {
            Some((revision, change)) => number(revision).zip(number(change)),
            None => number(text).map(|revision| (revision, u64::MAX)),
        };
        let position = position.map(|(revision, number)| Self { revision: Version(revision), number });
        let what = || format!("`{text}` is no position; a revision (812) and a change of one (812.3) are");
        position.ok_or_else(|| Error::new(ErrorKind::Invalid, what()))
    }
}

/// A change as it is kept; the one with which the log began has nothing but its revision.
#[derive(Serialize, Deserialize)]
pub(super) struct Logged {
    revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    project: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Milliseconds since 1970.
    #[serde(default)]
    pub at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
}

impl Kept for Logged {
    const CATALOG: Catalog = Catalog::Changes;
}

impl Logged {
    pub(super) fn position(&self) -> Position {
        Position { revision: Version(self.revision), number: self.number.unwrap_or(u64::MAX) }
    }

    pub(super) fn namespace(&self) -> Result<Namespace> {
        Ok(Namespace::new(self.project.as_str(), self.namespace.as_str())?)
    }
}

/// A record of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// Its running number.
    n: u64,
    pub position: Position,
}

/// Writes down what is about to befall an entry, or all of a namespace.
pub(super) fn note(
    txn: &mut dyn Txn,
    (namespace, name): (&Namespace, Option<&str>),
    op: Op,
    at: Millis,
    writer: Option<&str>,
) -> Result<()> {
    if is_kept(txn, at)? { add(txn, (namespace, name), op, at, writer) } else { Ok(()) }
}

/// Writes down that an entry is about to be written, and before that that the one in its place has expired, where nobody has
/// removed that. An entry that this transaction has written before has been written down already.
pub(super) fn note_set(
    txn: &mut dyn Txn,
    space: &Space,
    name: &str,
    at: Millis,
    writer: Option<&str>,
) -> Result<()> {
    if !is_kept(txn, at)? {
        return Ok(());
    }
    let place = (&space.namespace, Some(name));
    match txn.head(space, name)? {
        Some(stored) if !stored.visible_at(at) => add(txn, place, Op::Expired, at, None)?,
        Some(stored) if stored.version == txn.version()? => return Ok(()),
        _ => {}
    }
    add(txn, place, Op::Set, at, writer)
}

/// Whether changes are kept; ends that when its time is over.
pub(super) fn is_kept(txn: &mut dyn Txn, now: Millis) -> Result<bool> {
    match txn.changes_until()? {
        None => Ok(false),
        Some(until) if until > now => Ok(true),
        Some(until) => end(txn, until).map(|()| false),
    }
}

/// Removes some of a log that has ended.
fn end(txn: &mut dyn Txn, until: Millis) -> Result<()> {
    let is_over = clear(txn, PRUNED_AT_ONCE)?;
    let next = if is_over { None } else { Some(ENDED) };
    if next == Some(until) { Ok(()) } else { txn.keep_changes(next) }
}

/// Removes up to `limit` records from the front; says whether that were all.
fn clear(txn: &mut dyn Txn, limit: usize) -> Result<bool> {
    let front = txn.records(Catalog::Changes, "", limit)?;
    front.iter().try_for_each(|(key, _)| txn.remove_record(Catalog::Changes, key))?;
    Ok(front.len() < limit)
}

fn add(
    txn: &mut dyn Txn,
    (namespace, name): (&Namespace, Option<&str>),
    op: Op,
    at: Millis,
    writer: Option<&str>,
) -> Result<()> {
    let Version(revision) = txn.version()?;
    // Somebody else has removed them: those who watch are told.
    let Some(last) = last(txn)? else { return txn.keep_changes(None) };
    let n = last.n + 1;
    let number =
        if last.position.revision.0 == revision { last.position.number.wrapping_add(1).max(1) } else { 1 };
    let change = Logged {
        revision,
        number: Some(number),
        op: Some(op),
        project: namespace.project().to_owned(),
        namespace: namespace.namespace().to_owned(),
        name: name.map(str::to_owned),
        at: at.0,
        writer: writer.map(str::to_owned),
    };
    records::keep(txn, &key(n), &change)?;
    if n.is_multiple_of(PRUNED_EVERY) { prune(txn, n) } else { Ok(()) }
}

/// Removes some of what is too much.
fn prune(txn: &mut dyn Txn, last: u64) -> Result<()> {
    for (key, _) in txn.records(Catalog::Changes, "", PRUNED_AT_ONCE)? {
        if last - number_of(&key)? < MAX_CHANGES {
            break;
        }
        txn.remove_record(Catalog::Changes, &key)?;
    }
    Ok(())
}

/// Has changes be kept from now on, if they are not; false when that takes one more transaction.
pub(super) fn begin(txn: &mut dyn Txn, now: Millis) -> Result<bool> {
    if is_on(txn)? {
        return Ok(true);
    }
    if !clear(txn, CLEARED_AT_ONCE)? {
        txn.keep_changes(Some(ENDED))?;
        return Ok(false);
    }
    let Version(revision) = txn.revision()?;
    let first = Logged {
        revision,
        number: None,
        op: None,
        project: String::new(),
        namespace: String::new(),
        name: None,
        at: now.0,
        writer: None,
    };
    records::keep(txn, &key(0), &first)?;
    txn.keep_changes(Some(Millis(now.0 + KEPT_FOR)))?;
    Ok(true)
}

/// Has changes be kept for longer, if they are.
pub(super) fn extend(txn: &mut dyn Txn, now: Millis) -> Result<()> {
    if is_on(txn)? { txn.keep_changes(Some(Millis(now.0 + KEPT_FOR))) } else { Ok(()) }
}

/// Whether nothing is missing of the log up to now: it is kept, and nobody has noticed yet that its time is over.
pub(super) fn is_on<V: View + ?Sized>(view: &V) -> Result<bool> {
    let is_kept = view.changes_until()?.is_some_and(|until| until != ENDED);
    Ok(is_kept && first(view)?.is_some())
}

/// The last record.
pub(super) fn last<V: View + ?Sized>(view: &V) -> Result<Option<Cursor>> {
    let last = view.last_record(Catalog::Changes)?;
    last.map(|(key, record)| cursor(&key, &record)).transpose()
}

/// The first record: what is behind it is kept.
pub(super) fn first<V: View + ?Sized>(view: &V) -> Result<Option<Cursor>> {
    let first = view.records(Catalog::Changes, "", 1)?.pop();
    first.map(|(key, record)| cursor(&key, &record)).transpose()
}

/// The last record that is not behind a position; `None` when even the first one is.
pub(super) fn find<V: View + ?Sized>(view: &V, position: Position) -> Result<Option<Cursor>> {
    let Some((mut low, mut high)) = first(view)?.zip(last(view)?) else { return Ok(None) };
    if position < low.position {
        return Ok(None);
    }
    if position >= high.position {
        return Ok(Some(high));
    }
    // Between the two a record lies at each number.
    while high.n - low.n > 1 {
        let middle = key(low.n + (high.n - low.n) / 2);
        let record = view.record(Catalog::Changes, &middle)?.ok_or_else(damaged)?;
        let middle = cursor(&middle, &record)?;
        if middle.position <= position { low = middle } else { high = middle }
    }
    Ok(Some(low))
}

/// Up to `limit` records behind one; `None` when that is not there any more.
pub(super) fn behind<V: View + ?Sized>(
    view: &V,
    seen: Cursor,
    limit: usize,
) -> Result<Option<Vec<(Cursor, Logged)>>> {
    let before = seen.n.checked_sub(1).map(key).unwrap_or_default();
    let mut found = view.records(Catalog::Changes, &before, limit + 1)?.into_iter();
    let is_there = match found.next() {
        Some((key, record)) => {
            let first = cursor(&key, &record)?;
            first.n == seen.n && first.position == seen.position
        }
        None => false,
    };
    if !is_there {
        return Ok(None);
    }
    let read = |(key, record): (String, String)| Ok((cursor(&key, &record)?, records::read(&record)?));
    found.map(read).collect::<Result<_>>().map(Some)
}

fn cursor(key: &str, record: &str) -> Result<Cursor> {
    Ok(Cursor { n: number_of(key)?, position: records::read::<Logged>(record)?.position() })
}

fn key(n: u64) -> String {
    format!("{n:016x}")
}

fn number_of(key: &str) -> Result<u64> {
    u64::from_str_radix(key, 16).map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::new(ErrorKind::Damaged, "the log of changes has records that are none of it")
}

/// Reads a record of the log.
pub(super) fn check_record(key: &str, record: &str) -> Result<()> {
    cursor(key, record).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_are_printed() {
        for text in ["0", "812", "812.3", "812.0", "1.18446744073709551614"] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        for text in ["", ".", "1.", ".1", "-1", "+1", "1.+1", "1.2.3", "a", " 1", "18446744073709551616"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
        let position = |text: &str| text.parse::<Position>().unwrap();
        assert!(position("811") < position("812.0") && position("812.3") < position("812"));
    }
}
