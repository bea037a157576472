//! The schema as an ordered list of migrations. A file says in `user_version` how many of them it has had.
//!
//! Migrations are appended, never edited: files that had the old text are out there.

/// Marks a SQLite file as ours: "prdb" in ASCII.
pub(super) const APPLICATION_ID: i32 = 0x7072_6462;

/// The version of files that this program writes.
pub(super) const LATEST: usize = MIGRATIONS.len();

/// The table that holds the entries of every namespace without a table of its own.
pub(super) const SHARED_TABLE: &str = "entries";

/// Number `n` takes a file from version `n` to `n + 1`.
///
/// Every process parses the schema as it opens the file, so it is short: what only caches need is made with the first cache
/// ([`EXPIRY_INDEX`], [`RANK_INDEX`]), what only large values need with the first of them ([`LARGE_TABLE`]).
pub(super) const MIGRATIONS: &[&str] = &["CREATE TABLE sys_state(revision INTEGER NOT NULL,spaces INTEGER NOT NULL,large INTEGER NOT NULL)STRICT;
INSERT INTO sys_state VALUES(0,0,0);
CREATE TABLE sys_namespaces(
project TEXT NOT NULL,namespace TEXT NOT NULL,id INTEGER NOT NULL,location TEXT NOT NULL,
created INTEGER NOT NULL,is_cache INTEGER NOT NULL,
PRIMARY KEY(project,namespace))STRICT,WITHOUT ROWID;
CREATE TABLE sys_caches(
ns INTEGER PRIMARY KEY,timeout INTEGER NOT NULL,evict_on_read INTEGER NOT NULL,max_items INTEGER,max_bytes INTEGER,
policy TEXT NOT NULL,items INTEGER NOT NULL,bytes INTEGER NOT NULL,rank INTEGER NOT NULL)STRICT;
CREATE TABLE entries(
ns INTEGER NOT NULL,name TEXT NOT NULL,version INTEGER NOT NULL,created INTEGER NOT NULL,updated INTEGER NOT NULL,
expires INTEGER,writer TEXT,rank INTEGER,size INTEGER NOT NULL,large INTEGER,value BLOB,
PRIMARY KEY(ns,name))STRICT,WITHOUT ROWID;",
// Values that are compressed or sealed.
"ALTER TABLE entries ADD COLUMN coding INTEGER;
ALTER TABLE sys_namespaces ADD COLUMN data_key INTEGER;",
// Named attributes of keys.
"ALTER TABLE entries ADD COLUMN metakeys TEXT;",
// Until when changes are kept, and how many versions of entries.
"ALTER TABLE sys_state ADD COLUMN changes INTEGER;
ALTER TABLE sys_namespaces ADD COLUMN history INTEGER;"];

/// One more table of entries, like the shared one after all migrations. Whoever adds a column there adds it here and to
/// [`COLUMNS`]; files that have such tables already get it by [`for_table`].
pub(super) const ENTRIES_TABLE: &str = "CREATE TABLE {table}(
ns INTEGER NOT NULL,name TEXT NOT NULL,version INTEGER NOT NULL,created INTEGER NOT NULL,updated INTEGER NOT NULL,
expires INTEGER,writer TEXT,rank INTEGER,size INTEGER NOT NULL,large INTEGER,value BLOB, coding INTEGER, metakeys TEXT,
PRIMARY KEY(ns,name))STRICT,WITHOUT ROWID";

/// All columns of a table of entries, for whatever takes a row from one to another.
pub(super) const COLUMNS: &str =
    "ns, name, version, created, updated, expires, writer, rank, size, large, value, coding, metakeys";

/// While a space moves, they keep `{target}` in step with `{table}`, whichever process writes. What was there is deleted
/// and not replaced: within a trigger `OR REPLACE` means what the statement says that set it off.
pub(super) const MOVE_TRIGGERS: [(&str, &str); 3] = [
    (
        "insert",
        "CREATE TRIGGER move_{ns}_insert AFTER INSERT ON {table} WHEN NEW.ns={ns} BEGIN
DELETE FROM {target} WHERE ns=NEW.ns AND name=NEW.name;
INSERT INTO {target}({columns})VALUES({new_columns});
END",
    ),
    (
        "update",
        "CREATE TRIGGER move_{ns}_update AFTER UPDATE ON {table} WHEN OLD.ns={ns} BEGIN
DELETE FROM {target} WHERE ns=OLD.ns AND name IN(OLD.name,NEW.name);
INSERT INTO {target}({columns})VALUES({new_columns});
END",
    ),
    (
        "delete",
        "CREATE TRIGGER move_{ns}_delete AFTER DELETE ON {table} WHEN OLD.ns={ns} BEGIN
DELETE FROM {target} WHERE ns=OLD.ns AND name=OLD.name;
END",
    ),
];

/// Which triggers of moves there are: those of an earlier schema leave out columns.
pub(super) const MOVE_TRIGGER_NAMES: &str =
    "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name GLOB 'move_[0-9]*'";
pub(super) const DROP_TRIGGER: &str = "DROP TRIGGER IF EXISTS {trigger}";

/// The tables of entries besides the shared one.
pub(super) const MORE_TABLES: &str =
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'entries_[0-9]*'";

pub(super) const DROP_TABLE: &str = "DROP TABLE IF EXISTS {table}";

/// What a migration does to the shared table, for another table of entries: its statements that begin so, a line each.
pub(super) fn for_table(migration: &str, table: &str) -> String {
    let alter = format!("ALTER TABLE {SHARED_TABLE} ");
    let statements = migration.lines().filter_map(|line| line.strip_prefix(&alter));
    statements.map(|rest| format!("ALTER TABLE {table} {rest}\n")).collect()
}

/// Finds what has expired; for tables with a cache in them.
pub(super) const EXPIRY_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS {table}_by_expiry ON {table}(ns,expires)WHERE expires IS NOT NULL";

/// Finds what to evict; for tables with a limited cache in them.
pub(super) const RANK_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS {table}_by_rank ON {table}(ns,rank)WHERE rank IS NOT NULL";

/// Holds values that would make a row of entries spill from its page.
pub(super) const LARGE_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS large_values(id INTEGER PRIMARY KEY,value BLOB NOT NULL)STRICT";

/// Holds versions of the entries of spaces that keep history, large ones too; made with the first such space.
pub(super) const HISTORY_TABLE: &str = "CREATE TABLE IF NOT EXISTS history(
ns INTEGER NOT NULL,name TEXT NOT NULL,version INTEGER NOT NULL,deed TEXT NOT NULL,created INTEGER NOT NULL,
at INTEGER NOT NULL,ended INTEGER,expires INTEGER,writer TEXT,reason TEXT,size INTEGER NOT NULL,coding INTEGER,
metakeys TEXT,value BLOB,UNIQUE(ns,name,version))STRICT";
/// Finds the changes of a space in their order,
pub(super) const HISTORY_ORDER: &str =
    "CREATE INDEX IF NOT EXISTS history_by_version ON history(ns,version,name)";
/// and what was no more at some moment.
pub(super) const HISTORY_ENDS: &str =
    "CREATE INDEX IF NOT EXISTS history_by_end ON history(ns,ended)WHERE ended IS NOT NULL";

/// Holds the records of a catalog; made with the first of them.
pub(super) const CATALOG_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS {table}(key TEXT PRIMARY KEY,record TEXT NOT NULL)STRICT,WITHOUT ROWID";

/// The most bytes of name and value that a row of entries holds. SQLite keeps 1,002 bytes of a row on its page of 4,096
/// (https://sqlite.org/fileformat2.html, "Cell Payload Overflow Pages") and reads the whole of a longer one whenever it
/// compares names; the numbers of the row take up to 80.
pub(super) const MAX_INLINE: usize = 900;

/// Writes into a file what it is, and that it has had all migrations. PRAGMAs take no bound values.
pub(super) fn stamp() -> String {
    format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {LATEST}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_alters_every_table_of_entries() {
        let migration = "ALTER TABLE entries ADD COLUMN a TEXT;\nALTER TABLE sys_state ADD COLUMN b TEXT;\nALTER TABLE entries ADD COLUMN c TEXT;";
        let expected = "ALTER TABLE entries_7 ADD COLUMN a TEXT;\nALTER TABLE entries_7 ADD COLUMN c TEXT;\n";
        assert_eq!(for_table(migration, "entries_7"), expected);
        assert_eq!(for_table(MIGRATIONS[0], "entries_7"), "");
    }
}
