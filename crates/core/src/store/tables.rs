//! Tables as users name them, and which namespaces lie in which.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Store;
use super::moves::{LeftoverRecord, MoveRecord};
use super::spaces::{Dropped, NamespaceInfo, named};
use crate::address::Namespace;
use crate::auth::{Action, shown};
use crate::clock::Millis;
use crate::engine::{Catalog, Space, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::records::{self, Kept};

/// Longest name of a table, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// What users call the table of namespaces that were given no other.
const SHARED: &str = "shared";
/// What they call a table that a namespace has to itself, as a wish; its name is this and the number of the space.
const OWN: &str = "own";

/// A table that a namespace is to lie in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Table {
    /// The one of namespaces that were given no other.
    #[default]
    Shared,
    /// One that is made for this namespace alone, and goes when the namespace leaves it.
    Own,
    /// One that has been made under this name.
    Named(String),
}

impl FromStr for Table {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        match name {
            SHARED => Ok(Self::Shared),
            OWN => Ok(Self::Own),
            _ if is_name => Ok(Self::Named(name.to_owned())),
            _ => Err(invalid(format!(
                "`{}` cannot be the name of a table; letters, digits, `_` and `-` can, up to {MAX_NAME_BYTES}",
                shown(name)
            ))),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => SHARED,
            Self::Own => OWN,
            Self::Named(name) => name,
        })
    }
}

/// A table, and which namespaces lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// What users call it.
    pub name: String,
    /// When it was made; `None` of the shared one, which is as old as the database.
    pub created: Option<Millis>,
    /// Those that are there.
    pub namespaces: Vec<Namespace>,
    /// Those that are on their way to it.
    pub arriving: Vec<Namespace>,
    /// Namespaces of which entries are still to be removed from it.
    pub leftovers: u64,
}

/// What is known of a table by its name.
#[derive(Serialize, Deserialize)]
pub(super) struct TableRecord {
    /// What the engine calls it.
    pub location: String,
    /// In milliseconds since 1970.
    pub created: i64,
}

impl Kept for TableRecord {
    const CATALOG: Catalog = Catalog::Tables;
}

/// What users call the tables of an engine.
pub(super) struct TableNames {
    shared: &'static str,
    names: BTreeMap<String, String>,
}

impl TableNames {
    pub(super) fn of<V: View + ?Sized>(view: &V) -> Result<Self> {
        let tables = records::all::<TableRecord, _>(view)?.into_iter();
        let names = tables.map(|(name, table)| (table.location, name)).collect();
        Ok(Self { shared: view.shared_table(), names })
    }

    pub(super) fn name(&self, location: &str) -> String {
        let fallback = if location == self.shared { SHARED } else { location };
        self.names.get(location).cloned().unwrap_or_else(|| fallback.to_owned())
    }
}

impl Store {
    /// Makes an empty table.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for one that is there, and names that none can have; [`ErrorKind::Denied`]; those of writing.
    pub fn create_table(&self, name: &str) -> Result<()> {
        self.allow(Action::Admin, None)?;
        let is_free = matches!(name.parse()?, Table::Named(_)) && !is_own(name);
        if !is_free {
            return Err(invalid(format!(
                "`{name}` cannot be made: `{SHARED}` is there, and `{OWN}` is for one namespace"
            )));
        }
        self.transact(&mut |txn| {
            if records::find::<TableRecord, _>(txn, name)?.is_some() {
                return Err(invalid(format!("there is a table {name} already")));
            }
            self.new_table(txn, name)?;
            self.note_done_by_others(txn, "create table", name)
        })
    }

    /// Makes a table under a name that none has, and says what the engine calls it.
    fn new_table(&self, txn: &mut dyn Txn, name: &str) -> Result<String> {
        let location = txn.create_table()?;
        let record = TableRecord { location: location.clone(), created: self.now().0 };
        records::keep(txn, name, &record)?;
        Ok(location)
    }

    /// All tables, in the byte order of their names.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`], and those of reading.
    pub fn tables(&self) -> Result<Vec<TableInfo>> {
        self.allow(Action::Admin, None)?;
        let mut tables = Vec::new();
        self.engine.read(&mut |view| {
            tables = all(view)?.into_iter().map(|(_, info)| info).collect();
            Ok(())
        })?;
        Ok(tables)
    }

    /// A table, and what the namespaces in it hold now. Reads the head of each of their entries.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none of this name; [`ErrorKind::Denied`]; those of reading.
    pub fn describe_table(&self, name: &str) -> Result<(TableInfo, Vec<NamespaceInfo>)> {
        self.allow(Action::Admin, None)?;
        let mut found = None;
        self.engine.read(&mut |view| {
            let table = all(view)?.into_iter().find(|(_, info)| info.name == name);
            let (location, info) = table.ok_or_else(|| no_table(name))?;
            let spaces = view.spaces(None)?.into_iter().filter(|space| space.table == location);
            found = Some((info, self.described(view, spaces)?));
            Ok(())
        })?;
        found.ok_or_else(|| no_table(name))
    }

    /// Removes a table; `with_namespaces` those in it, too, and with them all they hold.
    ///
    /// The namespaces go at once. Their entries are removed in steps, so that other writers get their turn.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none of this name, when it cannot be dropped, and when it holds namespaces that
    /// are to stay; [`ErrorKind::Denied`]; those of writing.
    pub fn drop_table(&self, name: &str, with_namespaces: bool) -> Result<Dropped> {
        self.allow(Action::Admin, None)?;
        refuse_fixed(name)?;
        let mut namespaces = Vec::new();
        self.transact(&mut |txn| {
            let record: TableRecord = records::find(txn, name)?.ok_or_else(|| no_table(name))?;
            let spaces = spaces_in(txn, &record.location)?;
            namespaces = spaces.iter().map(|space| space.namespace.clone()).collect();
            let arriving = moving_to(txn, &record.location)?;
            if let Some(first) = spaces.iter().chain(arriving.iter().map(|(space, _)| space)).next()
                && !with_namespaces
            {
                let more = spaces.len() + arriving.len() - 1;
                let others = if more > 0 { format!(" and {more} more") } else { String::new() };
                return Err(invalid(format!(
                    "the table {name} holds {}{others}; nothing was dropped",
                    named(&first.namespace)
                )));
            }
            for (space, moving) in &arriving {
                self.undo_move(txn, space, moving)?;
            }
            spaces.iter().try_for_each(|space| self.take_away(txn, space))?;
            txn.remove_record(Catalog::Tables, name)?;
            retire(txn, &record.location)?;
            self.note_done_by_others(txn, "drop table", name)
        })?;
        Ok(Dropped { namespaces, entries: self.sweep_leftovers()? })
    }

    /// What the engine calls a table that a space is to lie in; the space's own one is made where it is not there.
    pub(super) fn location(&self, txn: &mut dyn Txn, space: &Space, table: &Table) -> Result<String> {
        match table {
            Table::Shared => Ok(txn.shared_table().to_owned()),
            Table::Own => {
                let name = format!("{OWN}-{}", space.id);
                match records::find::<TableRecord, _>(txn, &name)? {
                    Some(record) => Ok(record.location),
                    None => self.new_table(txn, &name),
                }
            }
            Table::Named(name) if is_own(name) => {
                Err(invalid(format!("the table {name} is for one namespace, which says `{OWN}`")))
            }
            Table::Named(name) => {
                Ok(records::find::<TableRecord, _>(txn, name)?.ok_or_else(|| no_table(name))?.location)
            }
        }
    }
}

/// Every table, each with what the engine calls it, in the order of names.
fn all(view: &dyn View) -> Result<Vec<(String, TableInfo)>> {
    let info = |name: &str, created| TableInfo {
        name: name.to_owned(),
        created,
        namespaces: Vec::new(),
        arriving: Vec::new(),
        leftovers: 0,
    };
    let mut tables = vec![(view.shared_table().to_owned(), info(SHARED, None))];
    for (name, record) in records::all::<TableRecord, _>(view)? {
        tables.push((record.location, info(&name, Some(Millis(record.created)))));
    }
    tables.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    let (spaces, moves) = (view.spaces(None)?, records::all::<MoveRecord, _>(view)?);
    let leftovers = records::all::<LeftoverRecord, _>(view)?;
    for (location, info) in &mut tables {
        for space in &spaces {
            if space.table == *location {
                info.namespaces.push(space.namespace.clone());
            }
            if moves.iter().any(|(_, moving)| moving.space == space.id && moving.target == *location) {
                info.arriving.push(space.namespace.clone());
            }
        }
        info.leftovers = leftovers.iter().filter(|(_, left)| left.table == *location).count() as u64;
    }
    Ok(tables)
}

fn spaces_in(txn: &dyn Txn, location: &str) -> Result<Vec<Space>> {
    let mut spaces = txn.spaces(None)?;
    spaces.retain(|space| space.table == location);
    Ok(spaces)
}

/// Spaces on their way to a table.
fn moving_to(txn: &dyn Txn, location: &str) -> Result<Vec<(Space, MoveRecord)>> {
    let moves = records::all::<MoveRecord, _>(txn)?.into_iter().map(|(_, moving)| moving);
    let moves: Vec<_> = moves.filter(|moving| moving.target == location).collect();
    if moves.is_empty() {
        return Ok(Vec::new());
    }
    let mut spaces = txn.spaces(None)?;
    let with_space = |moving: MoveRecord| {
        let at = spaces.iter().position(|space| space.id == moving.space)?;
        Some((spaces.swap_remove(at), moving))
    };
    Ok(moves.into_iter().filter_map(with_space).collect())
}

/// Removes a table that has no name any more, or is some namespace's own, once nothing is in it.
pub(super) fn retire(txn: &mut dyn Txn, location: &str) -> Result<()> {
    let tables = records::all::<TableRecord, _>(txn)?.into_iter();
    let name = tables.filter(|(_, table)| table.location == location).map(|(name, _)| name).next();
    let stays = location == txn.shared_table() || name.as_ref().is_some_and(|name| !is_own(name));
    let mut leftovers = records::all::<LeftoverRecord, _>(txn)?.into_iter();
    if stays
        || leftovers.any(|(_, left)| left.table == location)
        || !spaces_in(txn, location)?.is_empty()
        || !moving_to(txn, location)?.is_empty()
    {
        return Ok(());
    }
    if let Some(name) = name {
        txn.remove_record(Catalog::Tables, &name)?;
    }
    txn.drop_table(location)
}

/// Whether a name is that of a table that some namespace has to itself.
fn is_own(name: &str) -> bool {
    name.strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Refuses to drop what comes and goes by itself.
fn refuse_fixed(name: &str) -> Result<()> {
    match name {
        SHARED => Err(invalid(format!("the table {SHARED} stays; every database has it"))),
        _ if is_own(name) => {
            Err(invalid(format!("the table {name} goes when its namespace is moved or dropped")))
        }
        _ => Ok(()),
    }
}

fn no_table(name: &str) -> Error {
    invalid(format!("there is no table {}", shown(name)))
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::Invalid, what)
}
