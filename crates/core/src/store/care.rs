//! Looking after a database as a whole: how much is in it, whether it is in order, bringing it up to date, making it small.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::coder::{DataKeyRecord, check_length};
use super::history::HistoryRecord;
use super::moves::{LeftoverRecord, MoveRecord};
use super::projects::ProjectRecord;
use super::tables::TableRecord;
use super::{Store, changes, locks, once, queues};
use crate::address::Delimiter;
use crate::auth::policy::Decision;
use crate::auth::{self, Action};
use crate::engine::{Catalog, Fields, Range, Row, Sealing, Space, View};
use crate::error::{Error, ErrorKind, Result};
use crate::records;

/// How many versions of a history are read at a time,
const PAGE: usize = 1000;
/// and how many records: some of them have values.
const RECORDS: usize = 64;
/// Reads the record of a key.
type ReadRecord = fn(&str, &str) -> Result<()>;
/// Records that nobody meets for long, each of which is read.
const LOOKED_AT: [(Catalog, ReadRecord); 5] = [
    (Catalog::Locks, locks::check_holder),
    (Catalog::Leases, locks::check_lease),
    (Catalog::Queues, queues::check_place),
    (Catalog::OpAges, once::check_age),
    (Catalog::Changes, changes::check_record),
];

/// More problems than this are not told.
const MAX_PROBLEMS: usize = 500;

/// How much there is in a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// The version of the last write.
    pub revision: u64,
    /// Namespaces.
    pub namespaces: u64,
    /// Those of them that are caches.
    pub caches: u64,
    /// Those of them whose values are encrypted.
    pub encrypted: u64,
    /// Those of them that keep history.
    pub histories: u64,
    /// Entries that are kept, expired or not.
    pub entries: u64,
    /// Those of them that have expired, and are not removed yet.
    pub expired: u64,
    /// Users, the first one included.
    pub users: u64,
    /// API keys that have not expired.
    pub api_keys: u64,
}

/// What a look at all of a database has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is wrong, a line each; none when all is in order.
    pub problems: Vec<String>,
    /// Whether there were more of them.
    pub is_cut: bool,
    /// Entries whose values were read.
    pub values: u64,
    /// Namespaces whose values are encrypted, and that there was no key for.
    pub sealed: Vec<String>,
}

impl Store {
    /// Whether whom it acts for may do something in the database as a whole; nothing is written down.
    pub fn is_allowed(&self, action: Action) -> bool {
        self.decide(action, None) == Decision::Allowed
    }

    /// Brings the database up to date, as any write does.
    ///
    /// # Errors
    /// Those of writing.
    pub fn migrate(&self) -> Result<()> {
        self.require_admin()?;
        self.transact(&mut |txn| self.note_done_by_others(txn, "migrate", ""))
    }

    /// Writes the database anew, without room for what has gone; false when others still read what was there before, and
    /// the room is not given back yet.
    ///
    /// # Errors
    /// Those of writing.
    pub fn vacuum(&self) -> Result<bool> {
        self.require_admin()?;
        self.require_fence()?;
        // A file that is not to be used is found by a look at it.
        self.engine.read(&mut |_| Ok(()))?;
        let done = self.engine.scrub()?;
        if self.identity.is_some() {
            self.engine.write(&mut |txn| self.note_done_by_others(txn, "vacuum", ""))?;
        }
        Ok(done)
    }

    /// Counts what is there. Entries of namespaces are not told apart, which would take a look at each.
    ///
    /// # Errors
    /// Those of reading.
    pub fn census(&self) -> Result<Census> {
        self.require_admin()?;
        let (users, now) = (self.users()?.len() as u64, self.now());
        let api_keys =
            self.api_keys()?.iter().filter(|key| key.expires.is_none_or(|at| at > now)).count() as u64;
        let mut census = Census::default();
        self.engine.read(&mut |view| {
            let spaces = view.spaces(None)?;
            let mut expired = 0;
            for space in spaces.iter().filter(|space| space.cache.is_some()) {
                expired += view.count_expired(space, now)?;
            }
            let count = |is_meant: fn(&&Space) -> bool| spaces.iter().filter(is_meant).count() as u64;
            census = Census {
                revision: view.revision()?.0,
                namespaces: spaces.len() as u64,
                caches: count(|space| space.cache.is_some()),
                encrypted: count(|space| space.sealing.key().is_some()),
                histories: count(|space| space.history.is_some()),
                entries: count_entries(view, &spaces)?,
                expired,
                users,
                api_keys,
            };
            Ok(())
        })?;
        Ok(census)
    }

    /// Looks at all there is, as it was at one moment: whether the file is whole, and what is in it is as it should be. With
    /// `quick`, values are not read.
    ///
    /// # Errors
    /// Those of reading, but for damage: that is what is told.
    pub fn check(&self, quick: bool) -> Result<Checked> {
        self.require_admin()?;
        let openable = if quick { Vec::new() } else { self.openable()? };
        let mut checked = Checked::default();
        // After some errors SQLite has ended the transaction, and it cannot be committed.
        let found = || Error::new(ErrorKind::Damaged, "something is wrong");
        let looked = self.read(&mut |view| {
            checked = Checked { problems: view.problems(quick)?, ..Checked::default() };
            // Damaged pages say nothing about what is in them.
            if !checked.problems.is_empty() {
                return Err(found());
            }
            checked.problems = Self::unreadable_records(view).iter().map(told).collect();
            let others = [
                records::all::<DataKeyRecord, _>(view).map(drop),
                records::all::<TableRecord, _>(view).map(drop),
                records::all::<ProjectRecord, _>(view).map(drop),
                records::all::<MoveRecord, _>(view).map(drop),
                records::all::<LeftoverRecord, _>(view).map(drop),
                records::all::<HistoryRecord, _>(view).map(drop),
            ];
            others.into_iter().try_for_each(|read| checked.note(read))?;
            for (catalog, read) in LOOKED_AT {
                checked.check_records(view, catalog, read)?;
            }
            if !quick {
                checked.check_records(view, Catalog::Ops, once::check_op)?;
            }
            for space in view.spaces(None)? {
                let used = self.check_usage(view, &space);
                checked.note(used)?;
                let is_locked = space.sealing != Sealing::Never && !openable.contains(&space.id);
                match quick {
                    true => {}
                    false if is_locked => checked.sealed.push(shown(&space)),
                    false => {
                        self.check_values(view, &space, &mut checked)?;
                        self.check_history(view, &space, &mut checked)?;
                    }
                }
            }
            if checked.problems.is_empty() { Ok(()) } else { Err(found()) }
        });
        if checked.problems.is_empty() {
            checked.note(looked)?;
        }
        checked.is_cut = checked.problems.len() > MAX_PROBLEMS;
        checked.problems.truncate(MAX_PROBLEMS);
        Ok(checked)
    }

    /// The numbers of encrypted spaces whose keys are at hand.
    fn openable(&self) -> Result<Vec<u64>> {
        let mut sealed = Vec::new();
        let listed = self.engine.read(&mut |view| {
            sealed = view.spaces(None)?;
            sealed.retain(|space| space.sealing != Sealing::Never);
            Ok(())
        });
        match listed {
            Err(error) if error.kind() == ErrorKind::Damaged => return Ok(Vec::new()),
            listed => listed?,
        }
        let mut openable = Vec::new();
        for space in sealed {
            match self.read(&mut |view| self.coder.require_all(view, &space)) {
                Ok(()) => openable.push(space.id),
                Err(error) if [ErrorKind::Denied, ErrorKind::Damaged].contains(&error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(openable)
    }

    /// Whether a cache with a limit holds as much as it says.
    fn check_usage(&self, view: &dyn View, space: &Space) -> Result<()> {
        let Some(cache) = space.cache.as_ref().filter(|cache| cache.is_limited()) else { return Ok(()) };
        let (totals, usage) = (view.totals(space, None)?, cache.usage);
        if (totals.keys, totals.bytes) == (usage.items, usage.bytes) {
            return Ok(());
        }
        let (name, keys, bytes) = (shown(space), totals.keys, totals.bytes);
        let what = format!(
            "{name}: the cache holds {keys} entries of {bytes} bytes, and counts {} of {}",
            usage.items, usage.bytes
        );
        Err(Error::new(ErrorKind::Damaged, what))
    }

    /// Reads every value of a space.
    fn check_values(&self, view: &dyn View, space: &Space, findings: &mut Checked) -> Result<()> {
        let mut stopped = Ok(());
        let range = Range { fields: Fields::All, ..Range::default() };
        let scanned = view.scan(space, &range, &mut |row| {
            findings.values += 1;
            let looked = self.check_value(view, space, row);
            stopped = findings.note(looked);
            match stopped {
                Ok(()) if findings.problems.len() <= MAX_PROBLEMS => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        });
        stopped?;
        findings.note(scanned)
    }

    /// Reads every value of a history.
    fn check_history(&self, view: &dyn View, space: &Space, findings: &mut Checked) -> Result<()> {
        let mut before = None;
        while space.history.is_some() && findings.problems.len() <= MAX_PROBLEMS {
            let mut page = Vec::new();
            let looked = view.past(space, before.as_ref(), PAGE).map(|found| page = found);
            findings.note(looked)?;
            let Some(last) = page.last() else { break };
            before = Some(last.place());
            for past in page.into_iter().filter(|past| !past.deed.is_removal()) {
                findings.values += 1;
                let (name, version) = (past.name.clone(), past.head.version);
                let read = self.record_of(view, space, past).map(drop);
                findings.note(read.map_err(|error| {
                    match error.kind() {
                        ErrorKind::Damaged => Error::new(
                            ErrorKind::Damaged,
                            format!(
                                "{}.{}: version {version} in the history cannot be read",
                                shown(space),
                                name.escape_debug()
                            ),
                        )
                        .because(error),
                        _ => error,
                    }
                }))?;
            }
        }
        Ok(())
    }

    fn check_value(&self, view: &dyn View, space: &Space, row: Row<'_>) -> Result<()> {
        let value = self.coder.value(view, space, row.name, (row.coding, Cow::Borrowed(row.value)))?;
        row.head.map_or(Ok(()), |head| check_length(space, row.name, &value, head))
    }
}

impl Checked {
    /// Reads every record of a catalog.
    fn check_records(&mut self, view: &dyn View, catalog: Catalog, read: ReadRecord) -> Result<()> {
        let mut after = String::new();
        while self.problems.len() <= MAX_PROBLEMS {
            let mut page = Vec::new();
            let looked = view.records(catalog, &after, RECORDS).map(|found| page = found);
            self.note(looked)?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (key, record) in &page {
                self.note(read(key, record).map_err(|error| error.at(auth::shown(key))))?;
            }
        }
        Ok(())
    }

    /// Notes damage; other errors stay what they are.
    fn note(&mut self, looked: Result<()>) -> Result<()> {
        match looked {
            Err(error) if error.kind() == ErrorKind::Damaged => {
                self.problems.push(told(&error));
                Ok(())
            }
            looked => looked,
        }
    }
}

fn shown(space: &Space) -> String {
    space.namespace.display(Delimiter::default())
}

/// An error and its causes, as one line.
fn told(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        line = format!("{line}; {inner}");
        cause = inner.source();
    }
    line
}

/// Counts entries by pages, unless there are copies of some under way, or some that nobody sees any more.
fn count_entries(view: &dyn View, spaces: &[Space]) -> Result<u64> {
    let is_settled = view.records(Catalog::Moves, "", 1)?.is_empty()
        && view.records(Catalog::Leftovers, "", 1)?.is_empty();
    if is_settled {
        return view.count();
    }
    spaces.iter().map(|space| Ok(view.totals(space, None)?.keys)).sum()
}
