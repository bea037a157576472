//! What a store needs of the thing that keeps its data, and the engines that provide it.
//!
//! An engine keeps entries in *spaces*, one for each namespace. It knows neither policy nor protocols nor what time it
//! is: the store decides those, and an engine only stores what it is told and hides what has expired at the moment it
//! is asked about. Every engine passes the conformance suite of `prontodb-testkit`.
//!
//! Both entry points take a function and run it as one unit of work, so that no open transaction ever leaves an engine
//! (docs/design/0002-transactions-are-functions.md).

pub mod memory;
pub mod sqlite;
mod wait;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::Namespace;
use crate::clock::{Millis, Ttl};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Coding, Head, Past, Record, Version};

pub use self::wait::{Awaited, Mark, Wait};

/// Keeps spaces of entries, and changes them all or nothing.
pub trait Engine: Send {
    /// Runs `body` on one consistent state of the data. Writes nothing, and never waits for a writer.
    ///
    /// # Errors
    /// Those of `body`, and those of reading.
    fn read(&self, body: &mut dyn FnMut(&dyn View) -> Result<()>) -> Result<()>;

    /// Runs `body` alone among writers, then commits all it did; when it fails, nothing has happened.
    ///
    /// When this returns `Ok`, the change outlives the process. `body` may be run again from the start by engines that
    /// find conflicts only at the end, so what it does must depend on nothing but what it reads.
    ///
    /// # Errors
    /// Those of `body`; [`ErrorKind::Busy`] when another writer did not finish in time; those of writing.
    fn write(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()>;

    /// The same for housekeeping that nobody waits for: gives up at once when another writer is at work.
    ///
    /// # Errors
    /// Those of [`Engine::write`].
    fn write_at_once(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        self.write(body)
    }

    /// From now on waits no longer than this for other writers. Engines that are never kept waiting need not heed it.
    fn set_patience(&mut self, _patience: Duration) {}

    /// A mark of the present state, for [`Engine::await_change`].
    ///
    /// # Errors
    /// Those of [`Engine::read`].
    fn mark(&self) -> Result<Mark>;

    /// Waits until others have changed anything since the state that `seen` marks, whatever it was, or what keeps the data is
    /// another one. Whether this engine's own changes count is left open. May say so when nothing has changed, too; of many
    /// changes in a short time it says so once.
    ///
    /// # Errors
    /// Those of [`Engine::mark`].
    fn await_change(&self, seen: Mark, wait: Wait<'_>) -> Result<Awaited>;

    /// Makes sure that nothing is left on disk of values that have been replaced or removed; false when somebody still
    /// reads a state that holds them, and they have to stay.
    ///
    /// # Errors
    /// Those of [`Engine::write`].
    fn scrub(&self) -> Result<bool> {
        Ok(true)
    }

    /// Writes one consistent state of all the data to a new file at `dest`, which is a whole database of its own. Others read
    /// and write meanwhile, and wait for nothing.
    ///
    /// The copy is readable by its owner alone, and is not synced. When this fails, no file is left.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] of engines that keep no files; [`ErrorKind::NoDatabase`] when there is none;
    /// [`ErrorKind::Invalid`] when something is at `dest` already; those of reading, and of writing the copy.
    fn snapshot(&self, dest: &Path) -> Result<Snapshot> {
        let what = format!("a copy to {} needs a database that is a file", dest.display());
        Err(Error::new(ErrorKind::Unsupported, what))
    }

    /// Hands the same bytes on instead, in their order. The version of the last write in them is the one that is returned, or
    /// a later one.
    ///
    /// # Errors
    /// Those of [`Engine::snapshot`], and those of `_sink`.
    fn copy_to(&self, _sink: &mut dyn CopySink) -> Result<Version> {
        Err(Error::new(ErrorKind::Unsupported, "a copy needs a database that is a file"))
    }
}

/// Takes all bytes of a database, in their order.
pub trait CopySink {
    /// So many will come. Called once, before any do.
    ///
    /// # Errors
    /// What keeps them from being taken.
    fn begin(&mut self, bytes: u64) -> Result<()>;

    /// Takes the next ones. Another buffer may be left in the place of theirs, whatever it holds.
    ///
    /// # Errors
    /// What keeps them from being taken.
    fn take(&mut self, bytes: &mut Vec<u8>) -> Result<()>;
}

/// A copy that [`Engine::snapshot`] has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The file.
    pub path: PathBuf,
    /// The version of the last write that is in it.
    pub revision: Version,
    /// The number of its schema.
    pub schema: u64,
    /// The length of the file.
    pub bytes: u64,
}

/// One consistent state of the data.
pub trait View {
    /// The version of the last write; 0 for none.
    fn revision(&self) -> Result<Version>;

    /// The space of `namespace`, if there is one.
    fn space(&self, namespace: &Namespace) -> Result<Option<Space>>;

    /// All spaces, or those of one project, in the byte order of project and namespace.
    fn spaces(&self, project: Option<&str>) -> Result<Vec<Space>>;

    /// The head of an entry, expired or not.
    fn head(&self, space: &Space, name: &str) -> Result<Option<Head>>;

    /// An entry, expired or not.
    fn get(&self, space: &Space, name: &str) -> Result<Option<Record>>;

    /// Shows `visit` the entries in the range, in order, until it breaks.
    fn scan(
        &self,
        space: &Space,
        range: &Range,
        visit: &mut dyn FnMut(Row<'_>) -> ControlFlow<()>,
    ) -> Result<()>;

    /// The table of spaces that were given no other.
    fn shared_table(&self) -> &'static str;

    /// Whether [`Txn::begin_move`] of a space to a table holds.
    fn is_moving(&self, space: &Space, target: &str) -> Result<bool>;

    /// A record of a catalog.
    fn record(&self, catalog: Catalog, key: &str) -> Result<Option<String>>;

    /// Up to `limit` records of a catalog behind the key `after`, each with its key, in the byte order of keys.
    fn records(&self, catalog: Catalog, after: &str, limit: usize) -> Result<Vec<(String, String)>>;

    /// The last record of a catalog in that order, with its key.
    fn last_record(&self, catalog: Catalog) -> Result<Option<(String, String)>>;

    /// The moment that [`Txn::keep_changes`] has set.
    fn changes_until(&self) -> Result<Option<Millis>>;

    /// Number and size of the entries there at `visible_at`; of all, expired or not, with `None`.
    fn totals(&self, space: &Space, visible_at: Option<Millis>) -> Result<Totals>;

    /// How many entries are kept, expired or not.
    fn count(&self) -> Result<u64> {
        self.spaces(None)?.iter().map(|space| Ok(self.totals(space, None)?.keys)).sum()
    }

    /// How many entries of a space have expired at `now`, and are still kept.
    fn count_expired(&self, space: &Space, now: Millis) -> Result<u64> {
        Ok(self.totals(space, None)?.keys - self.totals(space, Some(now))?.keys)
    }

    /// What is wrong with the way the data are kept, a line each, as far as it can be seen without the values; at most some
    /// hundred. With `quick`, only what is found soon.
    fn problems(&self, _quick: bool) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Up to `limit` entries that have expired at `now`, those that did first at the front.
    fn expired(&self, space: &Space, now: Millis, limit: usize) -> Result<Vec<Candidate>>;

    /// Up to `limit` entries to evict first under `policy`. Entries of equal standing come in the order of their names.
    ///
    /// [`Policy::Fifo`] and [`Policy::Lru`] go by rank and leave out entries without one. [`Policy::Ttl`] goes by
    /// expiry; entries that never expire come last.
    fn victims(&self, space: &Space, policy: Policy, limit: usize) -> Result<Vec<Candidate>>;

    /// Up to `limit` versions of an entry that the history of its space keeps, the newest first; with `before`, only
    /// earlier ones.
    fn past_of(&self, space: &Space, name: &str, before: Option<Version>, limit: usize) -> Result<Vec<Past>>;

    /// The same for all entries of a space: the newest first, and of one version the last name first. With `before`, only
    /// what comes behind that version of the entry of that name.
    fn past(&self, space: &Space, before: Option<&(Version, String)>, limit: usize) -> Result<Vec<Past>>;

    /// The value, as it is kept, of a version of an entry; `None` when the history has no such version, or that has none.
    fn past_value(&self, space: &Space, name: &str, version: Version) -> Result<Option<Vec<u8>>>;
}

/// A state of the data that is being changed.
pub trait Txn: View {
    /// The version of this write. A transaction that asks for it counts as a write, whatever else it does.
    fn version(&mut self) -> Result<Version>;

    /// Makes the space of a namespace that has none.
    fn create_space(&mut self, namespace: &Namespace, now: Millis) -> Result<Space>;

    /// Makes an empty table for spaces, and says what it is called. No two tables ever have the same name.
    fn create_table(&mut self) -> Result<String>;

    /// Removes a table, which has to be empty.
    fn drop_table(&mut self, table: &str) -> Result<()>;

    /// Notes that the entries of a space are in another table. Takes none there.
    fn set_table(&mut self, space: &Space, table: &str) -> Result<()>;

    /// Makes that there is no such space. Its entries are seen by nobody, and stay until [`Txn::sweep`] removes them.
    fn drop_space(&mut self, space: &Space) -> Result<()>;

    /// Removes up to `limit` entries of the space of this number from a table where it is no more; says how many there
    /// were, none only at the end. With `owned`, the parts of them that lie elsewhere go with them: what has been moved
    /// shares those with what it was moved from.
    fn sweep(&mut self, space: u64, table: &str, owned: bool, limit: usize) -> Result<usize>;

    /// From now on whatever is changed in a space is changed in the table `target` alike, by everybody. The space stays
    /// where it is, and no entry of it may be in `target`.
    fn begin_move(&mut self, space: &Space, target: &str) -> Result<()>;

    /// Copies to `target` up to `limit` entries behind the name `after` that are not there yet; returns the last name, or
    /// none behind the last entry.
    fn copy_batch(
        &mut self,
        space: &Space,
        target: &str,
        after: &str,
        limit: usize,
    ) -> Result<Option<String>>;

    /// Ends what [`Txn::begin_move`] began.
    fn end_move(&mut self, space: &Space, target: &str) -> Result<()>;

    /// Makes a space a cache with these settings, or an ordinary space.
    fn set_cache(&mut self, space: &Space, cache: Option<&Cache>) -> Result<()>;

    /// Notes whether the values of a space are sealed. The values stay as they are.
    fn set_sealing(&mut self, space: &Space, sealing: Sealing) -> Result<()>;

    /// Notes how many versions of each entry of a space are to be kept; with `None` it keeps no history. Nothing is added or
    /// removed by it.
    fn set_history(&mut self, space: &Space, versions: Option<u64>) -> Result<()>;

    /// Keeps a version of an entry in the history of its space, in place of what has the same number if there is anything;
    /// `value` is what is kept of it.
    fn keep_past(&mut self, space: &Space, past: &Past, value: Option<&[u8]>) -> Result<()>;

    /// Notes when a version of an entry was no more; says whether the history has that version.
    fn end_past(&mut self, space: &Space, name: &str, version: Version, ended: Millis) -> Result<bool>;

    /// Removes a version of an entry from the history of its space, if it is there.
    fn drop_past(&mut self, space: &Space, name: &str, version: Version) -> Result<()>;

    /// Removes all versions of an entry from the history of its space but the newest `versions`.
    fn trim_past(&mut self, space: &Space, name: &str, versions: u64) -> Result<()>;

    /// Removes up to `limit` versions from the history of a space that were no more at `ended` already; says how many.
    fn forget_past(&mut self, space: &Space, ended: Millis, limit: usize) -> Result<usize>;

    /// Removes up to `limit` versions from the history that a space of this number has had; says how many, none only at the
    /// end.
    fn sweep_past(&mut self, space: u64, limit: usize) -> Result<usize>;

    /// Stores an entry, in place of the one of this name if there is one. `value` is what is kept, as `head.coding` says;
    /// where that is the value itself, `head.size` follows from it.
    fn put(&mut self, space: &Space, name: &str, head: &Head, value: &[u8]) -> Result<()>;

    /// Stores an entry as [`Txn::put`] does, without a look at what it replaces: of that, the moment it was created and the
    /// metakeys stay when it is visible at `head.updated`.
    fn upsert(&mut self, space: &Space, name: &str, head: &Head, value: &[u8]) -> Result<()> {
        let replaced = self.head(space, name)?.filter(|replaced| replaced.visible_at(head.updated));
        match replaced {
            Some(replaced) => {
                let Head { created, metakeys, .. } = replaced;
                self.put(space, name, &Head { created, metakeys, ..head.clone() }, value)
            }
            None => self.put(space, name, head, value),
        }
    }

    /// Stores many entries as [`Txn::upsert`] does, each with this head, whose coding is plain. Quicker than one after the other where
    /// their names ascend and few of them are there already.
    fn upsert_all(&mut self, space: &Space, head: &Head, entries: &mut dyn Entries) -> Result<()> {
        while let Some(Entry { name, value }) = entries.present()? {
            self.upsert(space, name, head, value)?;
            entries.pass()?;
        }
        Ok(())
    }

    /// Replaces the head of an entry that is there; its value stays, and with it size and coding.
    fn put_head(&mut self, space: &Space, name: &str, head: &Head) -> Result<()>;

    /// Removes an entry, if it is there.
    fn remove(&mut self, space: &Space, name: &str) -> Result<()>;

    /// Stores a record of a catalog, in place of the one of this key if there is one.
    fn put_record(&mut self, catalog: Catalog, key: &str, record: &str) -> Result<()>;

    /// Removes a record of a catalog, if it is there.
    fn remove_record(&mut self, catalog: Catalog, key: &str) -> Result<()>;

    /// Notes until when changes of entries are written down, or that they are not.
    fn keep_changes(&mut self, until: Option<Millis>) -> Result<()>;

    /// Gives every entry of a space its version as rank, or takes all ranks away.
    fn rank_all(&mut self, space: &Space, ranked: bool) -> Result<()>;

    /// Makes every entry of a space one that never expires, and so the versions of them that its history has.
    fn keep_all(&mut self, space: &Space) -> Result<()>;
}

/// What is kept beside the entries, as JSON records with keys that are not empty. Most databases have none of it, and pay
/// nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Catalog {
    /// Who may log in.
    Users,
    /// Tokens for programs.
    ApiKeys,
    /// Tokens of those who have logged in.
    Sessions,
    /// Who may do what where.
    Grants,
    /// Who did what, when.
    Audit,
    /// What values are sealed under, itself wrapped.
    DataKeys,
    /// Tables by the names that users gave them.
    Tables,
    /// Namespaces on their way to another table.
    Moves,
    /// Entries of spaces that are no more, or elsewhere.
    Leftovers,
    /// Projects that were made before any namespace of theirs.
    Projects,
    /// Locks by their names, and the leases they are held under.
    Locks,
    /// Leases by their fencing tokens.
    Leases,
    /// Where the items of queues are.
    Queues,
    /// Where the audit log has come to.
    AuditHead,
    /// What was done under an id, and what was answered.
    Ops,
    /// The same by their age.
    OpAges,
    /// What has befallen entries.
    Changes,
    /// For how long namespaces keep what was, where that is not the usual time.
    Histories,
}

impl Catalog {
    /// Every catalog.
    pub const ALL: [Self; 18] = [
        Self::Users,
        Self::ApiKeys,
        Self::Sessions,
        Self::Grants,
        Self::Audit,
        Self::DataKeys,
        Self::Tables,
        Self::Moves,
        Self::Leftovers,
        Self::Projects,
        Self::Locks,
        Self::Leases,
        Self::Queues,
        Self::AuditHead,
        Self::Ops,
        Self::OpAges,
        Self::Changes,
        Self::Histories,
    ];

    /// What it is called where names are needed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "sec_users",
            Self::ApiKeys => "sec_api_keys",
            Self::Sessions => "sec_sessions",
            Self::Grants => "sec_grants",
            Self::Audit => "sec_audit",
            Self::DataKeys => "sec_data_keys",
            Self::Tables => "sys_tables",
            Self::Moves => "sys_moves",
            Self::Leftovers => "sys_leftovers",
            Self::Projects => "sys_projects",
            Self::Locks => "sys_locks",
            Self::Leases => "sys_leases",
            Self::Queues => "sys_queues",
            Self::AuditHead => "sec_audit_head",
            Self::Ops => "sys_ops",
            Self::OpAges => "sys_op_ages",
            Self::Changes => "sys_changes",
            Self::Histories => "sys_histories",
        }
    }
}

/// Where the entries of one namespace are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Number of the space; never used again when the space is gone.
    pub id: u64,
    /// Which namespace it is.
    pub namespace: Namespace,
    /// The physical table that holds it.
    pub table: String,
    /// When it was made.
    pub created: Millis,
    /// Its settings, if it is a cache.
    pub cache: Option<Cache>,
    /// Whether its values are sealed.
    pub sealing: Sealing,
    /// How many versions of each entry are kept, the present one included; `None` keeps no history.
    pub history: Option<u64>,
}

/// Whether the values of a space are sealed, so that nobody without a key can read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sealing {
    /// None is.
    #[default]
    Never,
    /// Those that are written are not, but some of those that are there may still be.
    Ended,
    /// Those that are written are, under the data key of this number; others may be under an earlier one, or not yet.
    Turning(u64),
    /// All are, under the data key of this number.
    Under(u64),
}

impl Sealing {
    /// The number of the data key that values are sealed under as they are written.
    pub fn key(self) -> Option<u64> {
        match self {
            Self::Never | Self::Ended => None,
            Self::Turning(key) | Self::Under(key) => Some(key),
        }
    }
}

/// The settings of a cache, and how full it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The time to live of entries that are written without one.
    pub timeout: Ttl,
    /// Whether a read that meets an expired entry removes it.
    pub evict_on_read: bool,
    /// The most entries it holds.
    pub max_items: Option<u64>,
    /// The most bytes its names and values may take together.
    pub max_bytes: Option<u64>,
    /// Which entries go when it is full.
    pub policy: Policy,
    /// Kept only under a limit, and zero otherwise.
    pub usage: Usage,
}

/// Which entries leave a full cache first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Those written longest ago.
    #[default]
    Fifo,
    /// Those written or read longest ago.
    Lru,
    /// Those that expire soonest.
    Ttl,
}

impl Policy {
    /// The word for it, in settings and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Lru => "lru",
            Self::Ttl => "ttl",
        }
    }
}

impl std::str::FromStr for Policy {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let all = [Self::Fifo, Self::Lru, Self::Ttl];
        let unknown =
            || Error::new(ErrorKind::Invalid, format!("`{name}` is no policy; fifo, lru and ttl are"));
        all.into_iter().find(|policy| policy.name() == name).ok_or_else(unknown)
    }
}

/// How full a limited cache is; expired entries count until they are removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries held.
    pub items: u64,
    /// Bytes of their names and values.
    pub bytes: u64,
    /// The last rank that was given out.
    pub rank: u64,
}

/// Which entries a scan covers. Names compare by their bytes.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// What names start with.
    pub prefix: String,
    /// Begins behind this name, in the direction of the scan.
    pub after: Option<String>,
    /// From the last to the first.
    pub reverse: bool,
    /// Hides what has expired at this moment; `None` hides nothing.
    pub visible_at: Option<Millis>,
    /// Leaves out entries without metakeys.
    pub with_metakeys: bool,
    /// How much of each entry is wanted; less is faster.
    pub fields: Fields,
}

/// How much of each entry a scan shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fields {
    /// The name alone.
    #[default]
    Names,
    /// Name and head.
    Heads,
    /// Name and value.
    Values,
    /// Name, head and value.
    All,
}

/// An entry to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a [u8],
}

impl Entry<'_> {
    /// How long name and value are together.
    pub fn bytes(&self) -> usize {
        self.name.len() + self.value.len()
    }
}

/// Entries to be stored, one after the other.
pub trait Entries {
    /// The one to be stored next, however often that is asked; none behind the last.
    ///
    /// # Errors
    /// Whatever went wrong; it ends the storing.
    fn present(&mut self) -> Result<Option<Entry<'_>>>;

    /// Goes on, for that one has been stored.
    ///
    /// # Errors
    /// Whatever went wrong; it ends the storing.
    fn pass(&mut self) -> Result<()>;
}

/// An entry as a scan shows it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value as it is kept, with [`Fields::Values`] and [`Fields::All`]; else empty.
    pub value: &'a [u8],
    /// How that is kept; plain where names alone are shown.
    pub coding: Coding,
    /// Its head, with [`Fields::Heads`] and [`Fields::All`].
    pub head: Option<&'a Head>,
}

/// An entry that may be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Length of its value in bytes.
    pub size: u64,
}

/// What a namespace holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of entries.
    pub keys: u64,
    /// Bytes of their names and values.
    pub bytes: u64,
    /// When the last of them was written.
    pub last_write: Option<Millis>,
}

/// The first text that is greater than all that start with `prefix`; `None` if there is no such text.
///
/// UTF-8 keeps the order of code points, so it is `prefix` with its last character stepped on by one.
pub fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        if let Some(next) = next_char(last) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

fn next_char(c: char) -> Option<char> {
    match c {
        '\u{d7ff}' => Some('\u{e000}'),
        char::MAX => None,
        _ => char::from_u32(c as u32 + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_steps_over_what_is_no_character() {
        assert_eq!(end_of_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(end_of_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(end_of_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end_of_prefix("\u{10ffff}"), None);
        assert_eq!(end_of_prefix(""), None);
    }
}
