//! Views and transactions on a connection that is inside of one.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row as SqliteRow, params};

use super::pour::{Incoming, Turns};
use super::rows::{self, Columns, Value, signed};
use super::{check, error, intruders, layout, pour, schema, sql, walk};
use crate::address::Namespace;
use crate::clock::Millis;
use crate::engine::{
    Cache, Candidate, Catalog, Entries, Fields, Policy, Range, Row, Sealing, Space, Totals, Txn, View,
    end_of_prefix,
};
use crate::error::{Error, ErrorKind, Result};
use crate::metakeys::Metakeys;
use crate::record::{Coding, Head, Past, Record, Version};

/// The state of the data that the connection's transaction sees.
#[derive(Clone, Copy)]
pub(super) struct SqliteView<'a> {
    connection: &'a Connection,
    path: &'a Path,
    /// The schema of the file.
    schema: usize,
}

/// The connection's write transaction.
pub(super) struct SqliteTxn<'a> {
    view: SqliteView<'a>,
    version: Option<Version>,
    /// Until when changes are kept; asked once, with the version.
    changes: Cell<Option<Option<Millis>>>,
    /// Whether the file has ever held a large value; asked once.
    has_large: Option<bool>,
    /// Whether the file has triggers; asked once.
    has_triggers: Option<bool>,
    turns: Turns,
    storing: Option<Storing<'a>>,
}

/// The statement that stored the last entry, with what is bound to it: for the next of many, most of that is the same.
struct Storing<'a> {
    template: &'static str,
    space: u64,
    head: Head,
    statement: CachedStatement<'a>,
}

impl<'a> SqliteView<'a> {
    pub(super) fn new(connection: &'a Connection, path: &'a Path, schema: usize) -> Self {
        Self { connection, path, schema }
    }

    fn checked<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(|e| error::translate(e, self.path))
    }

    fn prepare(&self, statement: &str) -> Result<CachedStatement<'a>> {
        let statement = layout::for_schema(self.schema, statement);
        self.checked(self.connection.prepare_cached(&statement))
    }

    fn one<T>(
        &self,
        statement: &str,
        params: impl Params,
        read: impl FnOnce(&SqliteRow<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.prepare(statement)?;
        self.checked(statement.query_row(params, read).optional())
    }

    pub(super) fn all<T>(
        &self,
        statement: &str,
        params: impl Params,
        read: impl FnMut(&SqliteRow<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.prepare(statement)?;
        self.checked(statement.query_map(params, read).and_then(Iterator::collect))
    }

    pub(super) fn number(&self, statement: &str) -> Result<u64> {
        let number = self.prepare(statement)?.query_row([], |row| rows::unsigned(row, 0));
        self.checked(number)
    }

    fn execute(&self, statement: &str, params: impl Params) -> Result<usize> {
        let changed = self.prepare(statement)?.execute(params);
        self.checked(changed)
    }

    /// Shows `read` the value of an entry, wherever it is.
    fn with_value<T>(
        &self,
        row: &impl Columns,
        column: usize,
        read: impl FnOnce(&[u8]) -> T,
    ) -> rusqlite::Result<T> {
        match rows::value(row, column)? {
            Value::Inline(value) => Ok(read(value)),
            Value::Large(id) => {
                let mut statement = self.connection.prepare_cached(sql::GET_LARGE)?;
                statement.query_row([id], |row| Ok(read(row.get_ref(0)?.as_blob()?)))
            }
        }
    }

    fn show(
        &self,
        row: &impl Columns,
        fields: Fields,
        visit: &mut dyn FnMut(Row<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        let name = row.column(0)?.as_str()?;
        match fields {
            Fields::Names => Ok(visit(Row { name, value: &[], coding: Coding::PLAIN, head: None })),
            Fields::Heads => {
                let head = rows::head(row, 1)?;
                Ok(visit(Row { name, value: &[], coding: head.coding, head: Some(&head) }))
            }
            Fields::Values => {
                let coding = rows::coding(row, 1)?;
                self.with_value(row, 2, |value| visit(Row { name, value, coding, head: None }))
            }
            Fields::All => {
                let head = rows::head(row, 1)?;
                let coding = head.coding;
                self.with_value(row, 10, |value| visit(Row { name, value, coding, head: Some(&head) }))
            }
        }
    }

    /// Adds the settings of a cache to its space; most spaces are none, and spare themselves the look.
    fn with_cache(&self, (space, is_cache): (Space, bool)) -> Result<Space> {
        let cache = if is_cache { self.one(sql::CACHE, [signed(space.id)], rows::cache)? } else { None };
        Ok(Space { cache, ..space })
    }
}

impl SqliteView<'_> {
    /// Triggers and views of others.
    pub(super) fn intruders(&self) -> Result<Vec<String>> {
        self.checked(intruders::find(self.connection))
    }

    /// Whether a catalog has ever had a record.
    fn has(&self, catalog: Catalog) -> Result<bool> {
        self.has_table(catalog.name())
    }

    /// Holds for values that are kept as they are; there was nothing else before there was a column for it.
    pub(super) fn plain(&self) -> &'static str {
        if self.schema < 2 { sql::ALWAYS } else { sql::IS_PLAIN }
    }

    /// Notes that no changes are kept.
    pub(super) fn forget_changes(&self) -> Result<()> {
        self.execute(sql::KEEP_CHANGES, [None::<i64>]).map(drop)
    }

    pub(super) fn has_table(&self, name: &str) -> Result<bool> {
        let count = self.one(sql::HAS_TABLE, [name], |row| rows::unsigned(row, 0))?;
        Ok(count.is_some_and(|count| count > 0))
    }
}

impl View for SqliteView<'_> {
    fn revision(&self) -> Result<Version> {
        self.number(sql::REVISION).map(Version)
    }

    fn space(&self, namespace: &Namespace) -> Result<Option<Space>> {
        let found = self.one(sql::SPACE, [namespace.project(), namespace.namespace()], rows::space)?;
        found.map(|found| self.with_cache(found)).transpose()
    }

    fn spaces(&self, project: Option<&str>) -> Result<Vec<Space>> {
        let found = match project {
            Some(project) => self.all(sql::SPACES_OF_PROJECT, [project], rows::space)?,
            None => self.all(sql::SPACES, [], rows::space)?,
        };
        found.into_iter().map(|found| self.with_cache(found)).collect()
    }

    fn head(&self, space: &Space, name: &str) -> Result<Option<Head>> {
        let statement = layout::statement(sql::HEAD, space);
        self.one(&statement, params![signed(space.id), name], |row| rows::head(row, 0))
    }

    fn get(&self, space: &Space, name: &str) -> Result<Option<Record>> {
        let statement = layout::statement(sql::GET, space);
        self.one(&statement, params![signed(space.id), name], |row| {
            let head = rows::head(row, 0)?;
            let value = self.with_value(row, 9, |value| value.to_vec())?;
            Ok(Record { head, value })
        })
    }

    fn scan(
        &self,
        space: &Space,
        range: &Range,
        visit: &mut dyn FnMut(Row<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.checked(walk::provide(self.connection))?;
        let bounds = Bounds::of(range);
        let mut statement = self.prepare(&layout::scan(space, range, bounds.high.is_some()))?;
        let walked = bounds.bind(&mut statement, space, range.visible_at).and_then(|()| {
            walk::walk(statement, sql::SCAN_VISITOR, &mut |row| self.show(row, range.fields, visit))
        });
        self.checked(walked)
    }

    fn totals(&self, space: &Space, visible_at: Option<Millis>) -> Result<Totals> {
        let statement = layout::statement(sql::TOTALS, space);
        let visible_at = visible_at.map_or(i64::MIN, |now| now.0);
        let totals = self.one(&statement, params![signed(space.id), visible_at], |row| {
            Ok(Totals {
                keys: rows::unsigned(row, 0)?,
                bytes: rows::unsigned(row, 1)?,
                last_write: row.get::<_, Option<i64>>(2)?.map(Millis),
            })
        });
        Ok(totals?.unwrap_or_default())
    }

    fn count(&self) -> Result<u64> {
        let tables: Vec<String> = self.all(sql::TABLES_OF_ENTRIES, [], |row| row.get(0))?;
        let count = |table: &String| self.number(&layout::of_table(sql::COUNT_ROWS, table));
        tables.iter().map(count).sum()
    }

    fn count_expired(&self, space: &Space, now: Millis) -> Result<u64> {
        let statement = layout::statement(sql::COUNT_EXPIRED, space);
        let count = self.one(&statement, params![signed(space.id), now.0], |row| rows::unsigned(row, 0))?;
        Ok(count.unwrap_or_default())
    }

    fn problems(&self, quick: bool) -> Result<Vec<String>> {
        check::problems(self, quick)
    }

    fn shared_table(&self) -> &'static str {
        schema::SHARED_TABLE
    }

    fn is_moving(&self, space: &Space, target: &str) -> Result<bool> {
        for (_, template) in schema::MOVE_TRIGGERS {
            let trigger = layout::to_target(template, space, target);
            let found = self.one(sql::HAS_STATEMENT, [trigger], |row| rows::unsigned(row, 0))?;
            if found != Some(1) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn record(&self, catalog: Catalog, key: &str) -> Result<Option<String>> {
        if !self.has(catalog)? {
            return Ok(None);
        }
        self.one(&layout::of_catalog(sql::RECORD, catalog), [key], |row| row.get(0))
    }

    fn records(&self, catalog: Catalog, after: &str, limit: usize) -> Result<Vec<(String, String)>> {
        if !self.has(catalog)? {
            return Ok(Vec::new());
        }
        let statement = layout::of_catalog(sql::RECORDS, catalog);
        self.all(&statement, params![after, signed(limit as u64)], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn last_record(&self, catalog: Catalog) -> Result<Option<(String, String)>> {
        if !self.has(catalog)? {
            return Ok(None);
        }
        let statement = layout::of_catalog(sql::LAST_RECORD, catalog);
        self.one(&statement, [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn changes_until(&self) -> Result<Option<Millis>> {
        Ok(self.one(sql::CHANGES, [], |row| row.get::<_, Option<i64>>(1))?.flatten().map(Millis))
    }

    fn expired(&self, space: &Space, now: Millis, limit: usize) -> Result<Vec<Candidate>> {
        let statement = layout::statement(sql::EXPIRED, space);
        self.all(&statement, params![signed(space.id), now.0, signed(limit as u64)], rows::candidate)
    }

    fn victims(&self, space: &Space, policy: Policy, limit: usize) -> Result<Vec<Candidate>> {
        let find = |template, limit: usize| {
            let statement = layout::statement(template, space);
            self.all(&statement, params![signed(space.id), signed(limit as u64)], rows::candidate)
        };
        if policy != Policy::Ttl {
            return find(sql::VICTIMS_BY_RANK, limit);
        }
        let mut victims = find(sql::VICTIMS_BY_EXPIRY, limit)?;
        if victims.len() < limit {
            victims.extend(find(sql::VICTIMS_LASTING, limit - victims.len())?);
        }
        Ok(victims)
    }

    fn past_of(&self, space: &Space, name: &str, before: Option<Version>, limit: usize) -> Result<Vec<Past>> {
        let params = params![signed(space.id), name, below(before), signed(limit as u64)];
        self.all(sql::PAST_OF, params, rows::past)
    }

    fn past(&self, space: &Space, before: Option<&(Version, String)>, limit: usize) -> Result<Vec<Past>> {
        let name = before.map_or("", |(_, name)| name);
        let version = below(before.map(|(version, _)| *version));
        self.all(sql::PAST, params![signed(space.id), version, name, signed(limit as u64)], rows::past)
    }

    fn past_value(&self, space: &Space, name: &str, version: Version) -> Result<Option<Vec<u8>>> {
        let params = params![signed(space.id), name, signed(version.0)];
        Ok(self.one(sql::PAST_VALUE, params, |row| row.get(0))?.flatten())
    }
}

/// Versions below this number are meant.
fn below(before: Option<Version>) -> i64 {
    before.map_or(i64::MAX, |Version(version)| signed(version))
}

/// A batch of [`Txn::sweep`] and [`Txn::sweep_past`] ends with the large value that makes it so many bytes.
const SWEPT_BYTES: u64 = 4 * 1024 * 1024;

/// The names of a range: from `low`, and below `high` if there is one.
struct Bounds {
    low: String,
    high: Option<String>,
}

impl Bounds {
    fn of(range: &Range) -> Self {
        let (mut low, mut high) = (range.prefix.clone(), end_of_prefix(&range.prefix));
        match &range.after {
            Some(after) if range.reverse => {
                high = Some(high.map_or_else(|| after.clone(), |high| high.min(after.clone())));
            }
            // The least text above `after`.
            Some(after) => low = low.max(format!("{after}\0")),
            None => {}
        }
        Self { low, high }
    }

    /// Binds what [`sql::SCAN`] asks for, but for the visitor.
    fn bind(
        &self,
        statement: &mut CachedStatement<'_>,
        space: &Space,
        visible_at: Option<Millis>,
    ) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(sql::SCAN_SPACE, signed(space.id))?;
        statement.raw_bind_parameter(sql::SCAN_LOW, &self.low)?;
        if let Some(high) = &self.high {
            statement.raw_bind_parameter(sql::SCAN_HIGH, high)?;
        }
        visible_at.map_or(Ok(()), |now| statement.raw_bind_parameter(sql::SCAN_NOW, now.0))
    }
}

impl<'a> SqliteTxn<'a> {
    pub(super) fn new(view: SqliteView<'a>) -> Self {
        let (changes, turns) = (Cell::new(None), Turns::default());
        Self { view, version: None, changes, has_large: None, has_triggers: None, turns, storing: None }
    }

    /// Where the value of the entry is that is stored under this name, if it is a large one.
    fn large_of(&mut self, space: &Space, name: &str) -> Result<Option<i64>> {
        let has_large = match self.has_large {
            Some(known) => known,
            None => self.view.number(sql::LARGE_IDS)? > 0,
        };
        self.has_large = Some(has_large);
        if !has_large {
            return Ok(None);
        }
        self.view
            .one(&layout::statement(sql::LARGE_OF, space), params![signed(space.id), name], |row| row.get(0))
    }

    /// Stores a large value, in place of `replaced`, and returns its number.
    fn put_large(&mut self, replaced: Option<i64>, value: &[u8]) -> Result<i64> {
        let id = match replaced {
            Some(id) => id,
            None => signed(self.view.number(sql::NEXT_LARGE)?),
        };
        if self.has_large != Some(true) {
            self.view.execute(schema::LARGE_TABLE, [])?;
            self.has_large = Some(true);
        }
        self.view.execute(sql::PUT_LARGE, params![id, value])?;
        Ok(id)
    }

    fn remove_large(&mut self, id: Option<i64>) -> Result<()> {
        match id {
            Some(id) => self.view.execute(sql::REMOVE_LARGE, [id]).map(drop),
            None => Ok(()),
        }
    }

    /// The first entries that a space has left behind in a table, with the numbers of their large values; fewer where these
    /// are so large that to remove them takes its time.
    fn left_behind(&self, space: u64, table: &str, limit: usize) -> Result<Vec<(String, Option<i64>)>> {
        let mut statement = self.view.prepare(&layout::of_table(sql::LEFT_BEHIND, table))?;
        let mut found = self.view.checked(statement.query(params![signed(space), signed(limit as u64)]))?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(row) = self.view.checked(found.next())? {
            let large = self.view.checked(row.get::<_, Option<i64>>(1))?;
            if large.is_some() {
                bytes += self.view.checked(rows::unsigned(row, 2))?;
            }
            batch.push((self.view.checked(row.get(0))?, large));
            if bytes >= SWEPT_BYTES {
                break;
            }
        }
        Ok(batch)
    }

    /// Makes the indexes that a space needs where it is going.
    fn make_indexes(&self, space: &Space, target: &str) -> Result<()> {
        let Some(cache) = &space.cache else { return Ok(()) };
        self.view.execute(&layout::of_table(schema::EXPIRY_INDEX, target), [])?;
        if cache.is_limited() {
            self.view.execute(&layout::of_table(schema::RANK_INDEX, target), [])?;
        }
        Ok(())
    }

    /// Whether triggers copy entries elsewhere, as they do for a space that moves. SQLite would collect all that is poured before it
    /// stores the first of it.
    fn has_triggers(&mut self) -> Result<bool> {
        let has_triggers = match self.has_triggers {
            Some(known) => known,
            None => self.view.number(sql::COUNT_TRIGGERS)? > 0,
        };
        self.has_triggers = Some(has_triggers);
        Ok(has_triggers)
    }

    /// Stores entries in one statement, as far as they are new and not large.
    fn pour(&mut self, space: &Space, head: &Head, incoming: &mut Incoming<'_>) -> Result<()> {
        self.view.checked(pour::provide(self.view.connection))?;
        let mut statement = self.view.prepare(&layout::statement(sql::POUR, space))?;
        self.view.checked(bind_head(&mut statement, space, head))?;
        let before = incoming.passed();
        let poured = pour::pour(statement, sql::POUR_ENTRIES, incoming);
        incoming.tell()?;
        let poured = self.view.checked(poured)?;
        let (passed, stored) = (incoming.passed() - before, self.view.connection.changes());
        if passed != stored {
            let what = format!("SQLite has stored {stored} entries of {passed}; nothing was written");
            return Err(Error::new(ErrorKind::Io, what));
        }
        self.turns.note(poured, passed);
        Ok(())
    }

    /// Runs [`sql::PUT`] or [`sql::UPSERT`], with a large value put apart.
    fn store(
        &mut self,
        template: &'static str,
        space: &Space,
        name: &str,
        head: &Head,
        value: &[u8],
    ) -> Result<()> {
        let replaced = self.large_of(space, name)?;
        let (inline, large) = if name.len() + value.len() <= room_in_row(head) {
            self.remove_large(replaced)?;
            (Some(value), None)
        } else {
            (None, Some(self.put_large(replaced, value)?))
        };
        let kept = self.storing.take().filter(|last| last.fits(template, space, head));
        let mut storing = match kept {
            Some(storing) => storing,
            None => Storing::prepare(self.view, template, space, head)?,
        };
        let size = if head.coding.is_plain() { value.len() as u64 } else { head.size };
        self.view.checked(storing.run(name, (size, head.coding), large, inline))?;
        self.storing = Some(storing);
        Ok(())
    }
}

/// How many bytes of name and value fit in a row beside the metakeys; larger values lie apart.
fn room_in_row(head: &Head) -> usize {
    let metakeys = head.metakeys.as_ref().map_or(0, |metakeys| metakeys.to_json().len());
    schema::MAX_INLINE.saturating_sub(metakeys)
}

impl<'a> Storing<'a> {
    fn prepare(view: SqliteView<'a>, template: &'static str, space: &Space, head: &Head) -> Result<Self> {
        let mut statement = view.prepare(&layout::statement(template, space))?;
        view.checked(bind_head(&mut statement, space, head))?;
        Ok(Self { template, space: space.id, head: head.clone(), statement })
    }

    /// Whether it stores entries of this space with a head that differs in size and coding alone.
    fn fits(&self, template: &'static str, space: &Space, head: &Head) -> bool {
        let bound = |head: &Head| (head.version, head.created, head.updated, head.expires, head.rank);
        std::ptr::eq(self.template, template)
            && self.space == space.id
            && bound(&self.head) == bound(head)
            && self.head.writer == head.writer
            && self.head.metakeys == head.metakeys
    }

    fn run(
        &mut self,
        name: &str,
        (size, coding): (u64, Coding),
        large: Option<i64>,
        inline: Option<&[u8]>,
    ) -> rusqlite::Result<()> {
        self.statement.raw_bind_parameter(2, name)?;
        self.statement.raw_bind_parameter(9, signed(size))?;
        self.statement.raw_bind_parameter(10, coding_column(coding))?;
        self.statement.raw_bind_parameter(11, large)?;
        self.statement.raw_bind_parameter(12, inline)?;
        self.statement.raw_execute().map(drop)
    }
}

/// What the column holds for a coding.
fn coding_column(coding: Coding) -> Option<i64> {
    Some(coding.number()).filter(|_| !coding.is_plain()).map(signed)
}

fn bind_head(statement: &mut CachedStatement<'_>, space: &Space, head: &Head) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(1, signed(space.id))?;
    statement.raw_bind_parameter(3, signed(head.version.0))?;
    statement.raw_bind_parameter(4, head.created.0)?;
    statement.raw_bind_parameter(5, head.updated.0)?;
    statement.raw_bind_parameter(6, head.expires.map(|at| at.0))?;
    statement.raw_bind_parameter(7, head.writer.as_deref())?;
    statement.raw_bind_parameter(8, head.rank.map(signed))?;
    statement.raw_bind_parameter(13, head.metakeys.as_ref().map(Metakeys::to_json))
}

impl View for SqliteTxn<'_> {
    fn revision(&self) -> Result<Version> {
        self.view.revision()
    }

    fn space(&self, namespace: &Namespace) -> Result<Option<Space>> {
        self.view.space(namespace)
    }

    fn spaces(&self, project: Option<&str>) -> Result<Vec<Space>> {
        self.view.spaces(project)
    }

    fn head(&self, space: &Space, name: &str) -> Result<Option<Head>> {
        self.view.head(space, name)
    }

    fn get(&self, space: &Space, name: &str) -> Result<Option<Record>> {
        self.view.get(space, name)
    }

    fn scan(
        &self,
        space: &Space,
        range: &Range,
        visit: &mut dyn FnMut(Row<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.view.scan(space, range, visit)
    }

    fn totals(&self, space: &Space, visible_at: Option<Millis>) -> Result<Totals> {
        self.view.totals(space, visible_at)
    }

    fn count(&self) -> Result<u64> {
        self.view.count()
    }

    fn count_expired(&self, space: &Space, now: Millis) -> Result<u64> {
        self.view.count_expired(space, now)
    }

    fn problems(&self, quick: bool) -> Result<Vec<String>> {
        self.view.problems(quick)
    }

    fn shared_table(&self) -> &'static str {
        self.view.shared_table()
    }

    fn is_moving(&self, space: &Space, target: &str) -> Result<bool> {
        self.view.is_moving(space, target)
    }

    fn record(&self, catalog: Catalog, key: &str) -> Result<Option<String>> {
        self.view.record(catalog, key)
    }

    fn records(&self, catalog: Catalog, after: &str, limit: usize) -> Result<Vec<(String, String)>> {
        self.view.records(catalog, after, limit)
    }

    fn last_record(&self, catalog: Catalog) -> Result<Option<(String, String)>> {
        self.view.last_record(catalog)
    }

    fn changes_until(&self) -> Result<Option<Millis>> {
        if let Some(known) = self.changes.get() {
            return Ok(known);
        }
        let until = self.view.changes_until()?;
        self.changes.set(Some(until));
        Ok(until)
    }

    fn expired(&self, space: &Space, now: Millis, limit: usize) -> Result<Vec<Candidate>> {
        self.view.expired(space, now, limit)
    }

    fn victims(&self, space: &Space, policy: Policy, limit: usize) -> Result<Vec<Candidate>> {
        self.view.victims(space, policy, limit)
    }

    fn past_of(&self, space: &Space, name: &str, before: Option<Version>, limit: usize) -> Result<Vec<Past>> {
        self.view.past_of(space, name, before, limit)
    }

    fn past(&self, space: &Space, before: Option<&(Version, String)>, limit: usize) -> Result<Vec<Past>> {
        self.view.past(space, before, limit)
    }

    fn past_value(&self, space: &Space, name: &str, version: Version) -> Result<Option<Vec<u8>>> {
        self.view.past_value(space, name, version)
    }
}

impl Txn for SqliteTxn<'_> {
    fn version(&mut self) -> Result<Version> {
        if let Some(version) = self.version {
            return Ok(version);
        }
        let mut statement = self.view.prepare(sql::NEXT_REVISION)?;
        let taken = statement.query_row([], |row| {
            Ok((rows::unsigned(row, 0)?, rows::unsigned(row, 1)?, row.get::<_, Option<i64>>(2)?))
        });
        let (revision, large, changes) = self.view.checked(taken)?;
        self.changes.set(Some(changes.map(Millis)));
        self.has_large = Some(self.has_large == Some(true) || large > 0);
        self.version = Some(Version(revision));
        Ok(Version(revision))
    }

    fn create_space(&mut self, namespace: &Namespace, now: Millis) -> Result<Space> {
        let id = self.view.number(sql::NEXT_SPACE)?;
        let (project, name) = (namespace.project(), namespace.namespace());
        let row = params![project, name, signed(id), schema::SHARED_TABLE, now.0];
        self.view.execute(sql::CREATE_SPACE, row)?;
        let table = schema::SHARED_TABLE.to_owned();
        let (cache, sealing, history) = (None, Sealing::Never, None);
        Ok(Space { id, namespace: namespace.clone(), table, created: now, cache, sealing, history })
    }

    fn create_table(&mut self) -> Result<String> {
        // The numbers of tables and of spaces come from one row, so neither is used again.
        let table = format!("{}_{}", schema::SHARED_TABLE, self.view.number(sql::NEXT_SPACE)?);
        self.view.execute(&layout::of_table(schema::ENTRIES_TABLE, &table), [])?;
        Ok(table)
    }

    fn drop_table(&mut self, table: &str) -> Result<()> {
        self.storing = None;
        self.view.execute(&layout::of_table(schema::DROP_TABLE, table), []).map(drop)
    }

    fn set_table(&mut self, space: &Space, table: &str) -> Result<()> {
        self.storing = None;
        let (project, name) = (space.namespace.project(), space.namespace.namespace());
        self.view.execute(sql::SET_LOCATION, params![project, name, table, signed(space.id)]).map(drop)
    }

    fn drop_space(&mut self, space: &Space) -> Result<()> {
        let (project, name) = (space.namespace.project(), space.namespace.namespace());
        self.view.execute(sql::DROP_SPACE, params![project, name, signed(space.id)])?;
        self.view.execute(sql::DROP_CACHE, [signed(space.id)]).map(drop)
    }

    fn sweep(&mut self, space: u64, table: &str, owned: bool, limit: usize) -> Result<usize> {
        let batch = self.left_behind(space, table, limit)?;
        let Some((last, _)) = batch.last() else { return Ok(0) };
        if owned && batch.iter().any(|(_, large)| large.is_some()) {
            let remove = layout::of_table(sql::REMOVE_LARGE_UP_TO, table);
            self.view.execute(&remove, params![signed(space), last])?;
        }
        self.view.execute(&layout::of_table(sql::REMOVE_UP_TO, table), params![signed(space), last])
    }

    fn begin_move(&mut self, space: &Space, target: &str) -> Result<()> {
        self.make_indexes(space, target)?;
        self.has_triggers = None;
        for (_, template) in schema::MOVE_TRIGGERS {
            self.view.execute(&layout::to_target(template, space, target), [])?;
        }
        Ok(())
    }

    fn copy_batch(
        &mut self,
        space: &Space,
        target: &str,
        after: &str,
        limit: usize,
    ) -> Result<Option<String>> {
        // Somebody may have made it a cache meanwhile.
        self.make_indexes(space, target)?;
        let end = layout::statement(sql::END_OF_BATCH, space);
        let batch = params![signed(space.id), after, signed(limit as u64)];
        let Some(end) = self.view.one(&end, batch, |row| row.get::<_, Option<String>>(0))?.flatten() else {
            return Ok(None);
        };
        let copy = layout::to_target(sql::COPY_BATCH, space, target);
        self.view.execute(&copy, params![signed(space.id), after, end])?;
        Ok(Some(end))
    }

    fn end_move(&mut self, space: &Space, _target: &str) -> Result<()> {
        self.has_triggers = None;
        for (event, _) in schema::MOVE_TRIGGERS {
            self.view.execute(&layout::drop_trigger(&format!("move_{}_{event}", space.id)), [])?;
        }
        Ok(())
    }

    fn set_cache(&mut self, space: &Space, cache: Option<&Cache>) -> Result<()> {
        let names = (space.namespace.project(), space.namespace.namespace());
        let changed = self.view.execute(sql::MARK_CACHE, params![names.0, names.1, cache.is_some()])?;
        let Some(cache) = cache else {
            return self.view.execute(sql::DROP_CACHE, [signed(space.id)]).map(drop);
        };
        if changed > 0 {
            self.view.execute(&layout::statement(schema::EXPIRY_INDEX, space), [])?;
        }
        let row = params![
            signed(space.id),
            cache.timeout.millis(),
            cache.evict_on_read,
            cache.max_items.map(signed),
            cache.max_bytes.map(signed),
            cache.policy.name(),
            signed(cache.usage.items),
            signed(cache.usage.bytes),
            signed(cache.usage.rank),
        ];
        self.view.execute(sql::SET_CACHE, row).map(drop)
    }

    fn set_sealing(&mut self, space: &Space, sealing: Sealing) -> Result<()> {
        let row = params![space.namespace.project(), space.namespace.namespace(), rows::data_key(sealing)];
        self.view.execute(sql::SET_SEALING, row).map(drop)
    }

    fn set_history(&mut self, space: &Space, versions: Option<u64>) -> Result<()> {
        if versions.is_some() {
            for made in [schema::HISTORY_TABLE, schema::HISTORY_ORDER, schema::HISTORY_ENDS] {
                self.view.execute(made, [])?;
            }
        }
        let row = params![space.namespace.project(), space.namespace.namespace(), versions.map(signed)];
        self.view.execute(sql::SET_HISTORY, row).map(drop)
    }

    fn keep_past(&mut self, space: &Space, past: &Past, value: Option<&[u8]>) -> Result<()> {
        let Past { name, deed, head, ended, reason } = past;
        let row = params![
            signed(space.id),
            name,
            signed(head.version.0),
            deed.name(),
            head.created.0,
            head.updated.0,
            ended.map(|at| at.0),
            head.expires.map(|at| at.0),
            head.writer,
            reason,
            signed(head.size),
            coding_column(head.coding),
            head.metakeys.as_ref().map(Metakeys::to_json),
            value,
        ];
        self.view.execute(sql::KEEP_PAST, row).map(drop)
    }

    fn end_past(&mut self, space: &Space, name: &str, version: Version, ended: Millis) -> Result<bool> {
        let row = params![signed(space.id), name, signed(version.0), ended.0];
        Ok(self.view.execute(sql::END_PAST, row)? > 0)
    }

    fn drop_past(&mut self, space: &Space, name: &str, version: Version) -> Result<()> {
        self.view.execute(sql::DROP_PAST, params![signed(space.id), name, signed(version.0)]).map(drop)
    }

    fn trim_past(&mut self, space: &Space, name: &str, versions: u64) -> Result<()> {
        self.view.execute(sql::TRIM_PAST, params![signed(space.id), name, signed(versions)]).map(drop)
    }

    fn forget_past(&mut self, space: &Space, ended: Millis, limit: usize) -> Result<usize> {
        self.view.execute(sql::FORGET_PAST, params![signed(space.id), ended.0, signed(limit as u64)])
    }

    fn sweep_past(&mut self, space: u64, limit: usize) -> Result<usize> {
        let params = params![signed(space), signed(limit as u64)];
        let left: Vec<(i64, u64)> =
            self.view.all(sql::PAST_LEFT, params, |row| Ok((row.get(0)?, rows::unsigned(row, 1)?)))?;
        let (mut removed, mut bytes) = (0, 0);
        for (row, size) in left {
            self.view.execute(sql::REMOVE_PAST, [row])?;
            removed += 1;
            bytes += size;
            if bytes >= SWEPT_BYTES {
                break;
            }
        }
        Ok(removed)
    }

    fn put(&mut self, space: &Space, name: &str, head: &Head, value: &[u8]) -> Result<()> {
        self.store(sql::PUT, space, name, head, value)
    }

    fn upsert(&mut self, space: &Space, name: &str, head: &Head, value: &[u8]) -> Result<()> {
        self.store(sql::UPSERT, space, name, head, value)
    }

    fn upsert_all(&mut self, space: &Space, head: &Head, entries: &mut dyn Entries) -> Result<()> {
        let room = room_in_row(head);
        let mut incoming = Incoming::of(entries, room);
        self.turns.begin();
        while let Some(entry) = incoming.present()? {
            if entry.bytes() > room || self.turns.next_is_alone() || self.has_triggers()? {
                self.upsert(space, entry.name, head, entry.value)?;
                incoming.pass()?;
            } else {
                self.pour(space, head, &mut incoming)?;
            }
        }
        Ok(())
    }

    fn put_head(&mut self, space: &Space, name: &str, head: &Head) -> Result<()> {
        let row = params![
            signed(space.id),
            name,
            signed(head.version.0),
            head.created.0,
            head.updated.0,
            head.expires.map(|at| at.0),
            head.writer,
            head.rank.map(signed),
            head.metakeys.as_ref().map(Metakeys::to_json),
        ];
        self.view.execute(&layout::statement(sql::PUT_HEAD, space), row).map(drop)
    }

    fn remove(&mut self, space: &Space, name: &str) -> Result<()> {
        let large = self.large_of(space, name)?;
        self.remove_large(large)?;
        self.view.execute(&layout::statement(sql::REMOVE, space), params![signed(space.id), name]).map(drop)
    }

    fn put_record(&mut self, catalog: Catalog, key: &str, record: &str) -> Result<()> {
        self.view.execute(&layout::of_catalog(schema::CATALOG_TABLE, catalog), [])?;
        self.view.execute(&layout::of_catalog(sql::PUT_RECORD, catalog), [key, record]).map(drop)
    }

    fn remove_record(&mut self, catalog: Catalog, key: &str) -> Result<()> {
        if !self.view.has(catalog)? {
            return Ok(());
        }
        self.view.execute(&layout::of_catalog(sql::REMOVE_RECORD, catalog), [key]).map(drop)
    }

    fn keep_changes(&mut self, until: Option<Millis>) -> Result<()> {
        self.changes.set(Some(until));
        self.view.execute(sql::KEEP_CHANGES, [until.map(|at| at.0)]).map(drop)
    }

    fn rank_all(&mut self, space: &Space, ranked: bool) -> Result<()> {
        if ranked {
            self.view.execute(&layout::statement(schema::RANK_INDEX, space), [])?;
        }
        let template = if ranked { sql::RANK_ALL } else { sql::UNRANK_ALL };
        self.view.execute(&layout::statement(template, space), [signed(space.id)]).map(drop)
    }

    fn keep_all(&mut self, space: &Space) -> Result<()> {
        self.view.execute(&layout::statement(sql::KEEP_ALL, space), [signed(space.id)])?;
        if space.history.is_some() {
            self.view.execute(&layout::statement(sql::KEEP_ALL_PAST, space), [signed(space.id)])?;
        }
        Ok(())
    }
}
