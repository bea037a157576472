//! Every statement the engine runs. `{table}` stands for the table of a space (see `layout`); names from users are
//! always bound.

use std::ffi::CStr;

pub(super) const BEGIN_READ: &str = "BEGIN";
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";
/// Keeps out readers too, where there is no log or locks are kept.
pub(super) const BEGIN_ALONE: &str = "BEGIN EXCLUSIVE";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";
/// Writes the file anew, without pages that hold what has gone,
pub(super) const REBUILD: &str = "VACUUM";
/// and empties the log, unless somebody reads what is in it alone.
pub(super) const EMPTY_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

pub(super) const NO_CHECKPOINTS: &str = "PRAGMA wal_autocheckpoint = 0";
/// Writes a copy of the file as it is now.
pub(super) const COPY_INTO: &str = "VACUUM INTO ?1";

pub(super) const PAGE_BYTES: &str = "PRAGMA page_size";
pub(super) const PAGES: &str = "PRAGMA page_count";
pub(super) const FREE_PAGES: &str = "PRAGMA freelist_count";
/// How many frames the log has, and how many of them have been copied back. Does nothing else.
pub(super) const LOG_FRAMES: &str = "PRAGMA wal_checkpoint(NOOP)";

/// Leaves no journal beside a file that nothing is in yet.
pub(super) const JOURNAL_IN_MEMORY: &str = "PRAGMA journal_mode = MEMORY";

pub(super) const SCHEMA_VERSION: &str = "PRAGMA user_version";
pub(super) const APPLICATION_ID: &str = "PRAGMA application_id";
pub(super) const COUNT_SCHEMA: &str = "SELECT count(*) FROM sqlite_schema";
pub(super) const USE_WAL: &str = "PRAGMA journal_mode = WAL";
pub(super) const JOURNAL_MODE: &str = "PRAGMA journal_mode";
/// Keeps every lock until the connection closes, and takes that on the whole file as the log is opened.
pub(super) const KEEP_LOCKS: &str = "PRAGMA locking_mode = EXCLUSIVE";
/// Changes when somebody else has written.
pub(super) const DATA_VERSION: &str = "PRAGMA data_version";
pub(super) const SYNC_NORMAL: &str = "PRAGMA synchronous = NORMAL";
pub(super) const SYNC_FULL: &str = "PRAGMA synchronous = FULL";

pub(super) const LOCATIONS: &str = "SELECT location, count(*) FROM sys_namespaces GROUP BY location";

pub(super) const REVISION: &str = "SELECT revision FROM sys_state";
/// Above what it was and above another one.
pub(super) const RAISE_REVISION: &str =
    "UPDATE sys_state SET revision = max(revision, ?1) + 1 RETURNING revision";
pub(super) const NEXT_REVISION: &str =
    "UPDATE sys_state SET revision = revision + 1 RETURNING revision, large, changes";
pub(super) const CHANGES: &str = "SELECT revision, changes FROM sys_state";
pub(super) const KEEP_CHANGES: &str = "UPDATE sys_state SET changes = ?1";
pub(super) const LARGE_IDS: &str = "SELECT large FROM sys_state";
pub(super) const NEXT_LARGE: &str = "UPDATE sys_state SET large = large + 1 RETURNING large";
pub(super) const NEXT_SPACE: &str = "UPDATE sys_state SET spaces = spaces + 1 RETURNING spaces";

pub(super) const SPACE: &str = "
    SELECT project, namespace, id, location, created, is_cache, data_key, history
    FROM sys_namespaces WHERE project = ?1 AND namespace = ?2";
pub(super) const SPACES: &str = "
    SELECT project, namespace, id, location, created, is_cache, data_key, history
    FROM sys_namespaces ORDER BY project, namespace";
pub(super) const SPACES_OF_PROJECT: &str = "
    SELECT project, namespace, id, location, created, is_cache, data_key, history
    FROM sys_namespaces WHERE project = ?1 ORDER BY namespace";
pub(super) const CREATE_SPACE: &str = "
    INSERT INTO sys_namespaces (project, namespace, id, location, created, is_cache) VALUES (?1, ?2, ?3, ?4, ?5, 0)";
pub(super) const MARK_CACHE: &str = "
    UPDATE sys_namespaces SET is_cache = ?3 WHERE project = ?1 AND namespace = ?2 AND is_cache <> ?3";

pub(super) const SET_SEALING: &str =
    "UPDATE sys_namespaces SET data_key = ?3 WHERE project = ?1 AND namespace = ?2";

pub(super) const SET_HISTORY: &str =
    "UPDATE sys_namespaces SET history = ?3 WHERE project = ?1 AND namespace = ?2";

pub(super) const SET_LOCATION: &str =
    "UPDATE sys_namespaces SET location = ?3 WHERE project = ?1 AND namespace = ?2 AND id = ?4";
pub(super) const DROP_SPACE: &str =
    "DELETE FROM sys_namespaces WHERE project = ?1 AND namespace = ?2 AND id = ?3";

pub(super) const CACHE: &str = "
    SELECT timeout, evict_on_read, max_items, max_bytes, policy, items, bytes, rank FROM sys_caches WHERE ns = ?1";
pub(super) const SET_CACHE: &str = "
    INSERT OR REPLACE INTO sys_caches
        (ns, timeout, evict_on_read, max_items, max_bytes, policy, items, bytes, rank)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
pub(super) const DROP_CACHE: &str = "DELETE FROM sys_caches WHERE ns = ?1";

pub(super) const HEAD: &str = "
    SELECT version, created, updated, expires, writer, rank, size, coding, metakeys
    FROM {table} WHERE ns = ?1 AND name = ?2";
pub(super) const GET: &str = "
    SELECT version, created, updated, expires, writer, rank, size, coding, metakeys, coalesce(value, large)
    FROM {table} WHERE ns = ?1 AND name = ?2";
/// Stores an entry. What is bound is named once more in place of `excluded`, which takes SQLite longer to read.
pub(super) const PUT: &str = "
    INSERT INTO {table}
        (ns, name, version, created, updated, expires, writer, rank, size, coding, large, value, metakeys)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT DO UPDATE SET
        version = ?3, created = ?4, updated = ?5, expires = ?6, writer = ?7, rank = ?8, size = ?9, coding = ?10,
        large = ?11, value = ?12, metakeys = ?13";
/// The same, and what is replaced passes on when it was created and its metakeys, unless it has expired.
pub(super) const UPSERT: &str = "
    INSERT INTO {table}
        (ns, name, version, created, updated, expires, writer, rank, size, coding, large, value, metakeys)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT DO UPDATE SET
        version = ?3, created = iif(expires <= ?5, ?4, created), updated = ?5, expires = ?6, writer = ?7, rank = ?8,
        size = ?9, coding = ?10, large = ?11, value = ?12, metakeys = iif(expires <= ?5, ?13, metakeys)";
/// Stores new entries alone, from [`super::pour`], and ends at one that is there already. `FAIL` leaves those before it where they are, so SQLite
/// keeps no journal of the statement's own.
pub(super) const POUR: &str = "
    INSERT OR FAIL INTO {table}
        (ns, name, version, created, updated, expires, writer, rank, size, value, metakeys)
    SELECT ?1, name, ?3, ?4, ?5, ?6, ?7, ?8, size, value, ?13 FROM prontodb_new_entries(?2)";
/// What it reads from: what differs from one entry to the next.
pub(super) const NEW_ENTRIES: &CStr = c"CREATE TABLE prontodb_new_entries(name, size, value, source HIDDEN)";
/// The number of the entries among its arguments.
pub(super) const POUR_ENTRIES: usize = 2;
pub(super) const COUNT_TRIGGERS: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'";
pub(super) const PUT_HEAD: &str = "
    UPDATE {table}
    SET version = ?3, created = ?4, updated = ?5, expires = ?6, writer = ?7, rank = ?8, metakeys = ?9
    WHERE ns = ?1 AND name = ?2";
pub(super) const REMOVE: &str = "DELETE FROM {table} WHERE ns = ?1 AND name = ?2";

pub(super) const LARGE_OF: &str =
    "SELECT large FROM {table} WHERE ns = ?1 AND name = ?2 AND large IS NOT NULL";
pub(super) const GET_LARGE: &str = "SELECT value FROM large_values WHERE id = ?1";
pub(super) const PUT_LARGE: &str = "INSERT OR REPLACE INTO large_values (id, value) VALUES (?1, ?2)";
pub(super) const REMOVE_LARGE: &str = "DELETE FROM large_values WHERE id = ?1";

/// Ranges are `low <= name < high`; a `high` of an empty blob is above every text.
/// Shows rows to [`super::walk`] as they are found, so they have to be found in order, and to be wanted: `CASE` asks for that first.
/// It selects the row behind which it ends.
pub(super) const SCAN: &str = "
    SELECT 1 FROM {table} INDEXED BY sqlite_autoindex_{table}_1 WHERE ns = ?1 AND name >= ?2 {end}
    AND CASE WHEN {wanted} THEN visit(?4, {columns}) END ORDER BY name {order}";
/// The end of a range that has one; a look at each row, too.
pub(super) const BELOW: &str = "AND name < ?3";
/// The numbers of its arguments: the space, where names begin and end, the visitor, and the time.
pub(super) const SCAN_SPACE: usize = 1;
pub(super) const SCAN_LOW: usize = 2;
pub(super) const SCAN_HIGH: usize = 3;
pub(super) const SCAN_VISITOR: usize = 4;
pub(super) const SCAN_NOW: usize = 5;
/// Hides what has expired; a look at each row that those do not pay for who want all of them.
pub(super) const VISIBLE: &str = "(expires IS NULL OR expires > ?5)";
/// Passes over entries without metakeys before anything else of them is read.
pub(super) const HAS_METAKEYS: &str = "metakeys IS NOT NULL";

pub(super) const TOTALS: &str = "
    SELECT count(*), coalesce(sum(octet_length(name) + size), 0), max(updated)
    FROM {table} WHERE ns = ?1 AND (expires IS NULL OR expires > ?2)";
pub(super) const EXPIRED: &str = "
    SELECT name, size FROM {table}
    WHERE ns = ?1 AND expires <= ?2 ORDER BY expires, name LIMIT ?3";
pub(super) const VICTIMS_BY_RANK: &str = "
    SELECT name, size FROM {table}
    WHERE ns = ?1 AND rank IS NOT NULL ORDER BY rank, name LIMIT ?2";
pub(super) const VICTIMS_BY_EXPIRY: &str = "
    SELECT name, size FROM {table}
    WHERE ns = ?1 AND expires IS NOT NULL ORDER BY expires, name LIMIT ?2";
/// What the index by expiry leaves out.
pub(super) const VICTIMS_LASTING: &str = "
    SELECT name, size FROM {table} WHERE ns = ?1 AND expires IS NULL ORDER BY name LIMIT ?2";
pub(super) const RANK_ALL: &str = "UPDATE {table} SET rank = version WHERE ns = ?1";
pub(super) const UNRANK_ALL: &str = "UPDATE {table} SET rank = NULL WHERE ns = ?1 AND rank IS NOT NULL";
pub(super) const KEEP_ALL: &str = "UPDATE {table} SET expires = NULL WHERE ns = ?1 AND expires IS NOT NULL";

/// Versions of an entry below a number, the newest first.
pub(super) const PAST_OF: &str = "
    SELECT name, deed, ended, reason, version, created, at, expires, writer, NULL, size, coding, metakeys
    FROM history WHERE ns = ?1 AND name = ?2 AND version < ?3 ORDER BY version DESC LIMIT ?4";
/// The same of all entries of a space.
pub(super) const PAST: &str = "
    SELECT name, deed, ended, reason, version, created, at, expires, writer, NULL, size, coding, metakeys
    FROM history WHERE ns = ?1 AND (version, name) < (?2, ?3) ORDER BY version DESC, name DESC LIMIT ?4";
pub(super) const PAST_VALUE: &str = "SELECT value FROM history WHERE ns = ?1 AND name = ?2 AND version = ?3";
pub(super) const KEEP_PAST: &str = "
    INSERT INTO history
        (ns, name, version, deed, created, at, ended, expires, writer, reason, size, coding, metakeys, value)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
    ON CONFLICT DO UPDATE SET
        deed = ?4, created = ?5, at = ?6, ended = ?7, expires = ?8, writer = ?9, reason = ?10, size = ?11, coding = ?12,
        metakeys = ?13, value = ?14";
pub(super) const END_PAST: &str =
    "UPDATE history SET ended = ?4 WHERE ns = ?1 AND name = ?2 AND version = ?3";
pub(super) const DROP_PAST: &str = "DELETE FROM history WHERE ns = ?1 AND name = ?2 AND version = ?3";
pub(super) const TRIM_PAST: &str = "
    DELETE FROM history
    WHERE ns = ?1 AND name = ?2 AND version <= (
        SELECT version FROM history WHERE ns = ?1 AND name = ?2 ORDER BY version DESC LIMIT 1 OFFSET ?3)";
pub(super) const FORGET_PAST: &str = "
    DELETE FROM history WHERE rowid IN (
        SELECT rowid FROM history WHERE ns = ?1 AND ended <= ?2 ORDER BY ended LIMIT ?3)";
/// Versions that a space has left behind, and how large they are.
pub(super) const PAST_LEFT: &str = "
    SELECT rowid, coalesce(octet_length(value), 0) FROM history WHERE ns = ?1 ORDER BY name, version LIMIT ?2";
pub(super) const REMOVE_PAST: &str = "DELETE FROM history WHERE rowid = ?1";
/// The versions that are there still no longer expire.
pub(super) const KEEP_ALL_PAST: &str = "
    UPDATE history SET expires = NULL, ended = NULL
    WHERE ns = ?1 AND expires IS NOT NULL AND EXISTS (
        SELECT * FROM {table} AS e
        WHERE e.ns = ?1 AND e.name = history.name AND e.version = history.version)";

pub(super) const HAS_TABLE: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
pub(super) const RECORD: &str = "SELECT record FROM {table} WHERE key = ?1";
pub(super) const RECORDS: &str = "SELECT key, record FROM {table} WHERE key > ?1 ORDER BY key LIMIT ?2";
pub(super) const LAST_RECORD: &str = "SELECT key, record FROM {table} ORDER BY key DESC LIMIT 1";
pub(super) const PUT_RECORD: &str = "INSERT OR REPLACE INTO {table} (key, record) VALUES (?1, ?2)";
pub(super) const REMOVE_RECORD: &str = "DELETE FROM {table} WHERE key = ?1";

/// Every table of entries, the shared one first.
pub(super) const TABLES_OF_ENTRIES: &str = "
    SELECT name FROM sqlite_schema
    WHERE type = 'table' AND (name = 'entries' OR name GLOB 'entries_[0-9]*') ORDER BY name";
pub(super) const TRIGGERS_AND_VIEWS: &str = "
    SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view') ORDER BY type, name";
/// Walks the pages and looks at no row.
pub(super) const COUNT_ROWS: &str = "SELECT count(*) FROM {table}";
pub(super) const COUNT_EXPIRED: &str = "SELECT count(*) FROM {table} WHERE ns = ?1 AND expires <= ?2";

/// One row that says `ok`, or a row for each thing that is wrong.
pub(super) const INTEGRITY: &str = "PRAGMA integrity_check(200)";
pub(super) const INTEGRITY_QUICKLY: &str = "PRAGMA quick_check(200)";
pub(super) const STATE_ROWS: &str = "SELECT count(*) FROM sys_state";
pub(super) const SPACES_WITHOUT_TABLE: &str = "
    SELECT project, namespace, location FROM sys_namespaces
    WHERE location NOT IN (SELECT name FROM sqlite_schema WHERE type = 'table') LIMIT 200";
pub(super) const SPACES_WITH_A_BAD_NUMBER: &str = "
    SELECT project, namespace FROM sys_namespaces
    WHERE id > (SELECT spaces FROM sys_state)
       OR id IN (SELECT id FROM sys_namespaces GROUP BY id HAVING count(*) > 1) LIMIT 200";
pub(super) const SPACES_THAT_MISS_A_CACHE: &str = "
    SELECT project, namespace FROM sys_namespaces
    WHERE is_cache <> (id IN (SELECT ns FROM sys_caches)) LIMIT 200";
pub(super) const CACHES_OF_NOBODY: &str =
    "SELECT ns FROM sys_caches WHERE ns NOT IN (SELECT id FROM sys_namespaces) LIMIT 200";
/// Goes from one space to the next by the key, and looks at no entry but the first of each.
pub(super) const ENTRIES_OF_NOBODY: &str = "
    WITH RECURSIVE present(ns) AS (
        SELECT min(ns) FROM {table}
        UNION ALL
        SELECT (SELECT min(t.ns) FROM {table} AS t WHERE t.ns > present.ns) FROM present
        WHERE present.ns IS NOT NULL)
    SELECT ns, (SELECT count(*) FROM {table} AS t WHERE t.ns = present.ns) FROM present
    WHERE ns IS NOT NULL AND ns NOT IN (SELECT id FROM sys_namespaces WHERE location = ?1) LIMIT 200";
/// The spaces that records of a catalog are about.
pub(super) const SPACES_OF_RECORDS: &str = "SELECT json_extract(record, '$.space') FROM {table}";
/// Versions that are kept for no space that keeps any.
pub(super) const PAST_OF_NOBODY: &str = "
    SELECT ns, count(*) FROM history
    WHERE ns NOT IN (SELECT id FROM sys_namespaces WHERE history IS NOT NULL) GROUP BY ns LIMIT 200";
/// Versions that cannot be as they are, and why, as a number. `{deeds}` are all words for what a change does, `{removals}`
/// those that leave nothing.
pub(super) const ODD_PAST: &str = "
    SELECT project, namespace, name, version, CASE
        WHEN deed NOT IN ({deeds}) THEN 0
        WHEN (value IS NULL) <> (deed IN ({removals})) THEN 1
        WHEN coding IS NULL AND size <> coalesce(octet_length(value), 0) THEN 2
        WHEN version > (SELECT revision FROM sys_state) THEN 3
    END AS odd
    FROM history JOIN sys_namespaces AS s ON s.id = ns
    WHERE odd IS NOT NULL LIMIT 200";
/// Entries that cannot be as they are, and why, as a number. `{plain}` holds for values that are kept as they are, and
/// `{large}` is the table of large ones, or an empty one.
pub(super) const ODD_ENTRIES: &str = "
    WITH limited(ns) AS (SELECT ns FROM sys_caches WHERE max_items IS NOT NULL OR max_bytes IS NOT NULL)
    SELECT project, namespace, name, CASE
        WHEN (value IS NULL) = (large IS NULL) THEN 0
        WHEN large IS NOT NULL AND large NOT IN (SELECT id FROM {large}) THEN 1
        WHEN {plain} AND size <> coalesce(
            octet_length(value), (SELECT octet_length(l.value) FROM {large} AS l WHERE l.id = large)) THEN 2
        WHEN expires IS NOT NULL AND NOT is_cache THEN 3
        WHEN rank IS NOT NULL AND ns NOT IN (SELECT ns FROM limited) THEN 4
        WHEN rank IS NULL AND ns IN (SELECT ns FROM limited) THEN 5
        WHEN version > (SELECT revision FROM sys_state) THEN 6
    END AS odd
    FROM {table} JOIN sys_namespaces AS s ON s.id = ns AND s.location = ?1
    WHERE odd IS NOT NULL LIMIT 200";
pub(super) const IS_PLAIN: &str = "coding IS NULL";
pub(super) const ALWAYS: &str = "1";
pub(super) const LARGE_VALUES: &str = "large_values";
pub(super) const NO_LARGE_VALUES: &str = "(SELECT 0 AS id, NULL AS value WHERE 0)";
/// Large values that several entries of a table hold, with the table, and those that none holds. `{used}` is all that entries
/// hold.
pub(super) const ODD_LARGE_VALUES: &str = "
    WITH used(place, id) AS MATERIALIZED ({used})
    SELECT place, id FROM used GROUP BY place, id HAVING count(*) > 1
    UNION ALL
    SELECT NULL, id FROM large_values
    WHERE id NOT IN (SELECT id FROM used) OR id > (SELECT large FROM sys_state)
    LIMIT 200";
pub(super) const NOTHING_USED: &str = "SELECT NULL, NULL WHERE 0";
pub(super) const LARGE_USED: &str = "SELECT '{table}', large FROM {table} WHERE large IS NOT NULL";
/// Entries at the beginning of a space, to be removed: how large those are that lie apart.
pub(super) const LEFT_BEHIND: &str =
    "SELECT name, large, size FROM {table} WHERE ns = ?1 ORDER BY name LIMIT ?2";
pub(super) const REMOVE_LARGE_UP_TO: &str = "
    DELETE FROM large_values
    WHERE id IN (SELECT large FROM {table} WHERE ns = ?1 AND name <= ?2 AND large IS NOT NULL)";
pub(super) const DELETE_ALL: &str = "DELETE FROM {table}";
pub(super) const REMOVE_UP_TO: &str = "DELETE FROM {table} WHERE ns = ?1 AND name <= ?2";

/// The last of the next entries to be copied.
pub(super) const END_OF_BATCH: &str = "
    SELECT max(name) FROM (SELECT name FROM {table} WHERE ns = ?1 AND name > ?2 ORDER BY name LIMIT ?3)";
/// What is in the target already was put there by the triggers, and is as new.
pub(super) const COPY_BATCH: &str = "
    INSERT INTO {target} ({columns})
    SELECT {columns} FROM {table} WHERE ns = ?1 AND name > ?2 AND name <= ?3 ORDER BY name
    ON CONFLICT DO NOTHING";
pub(super) const HAS_STATEMENT: &str = "SELECT count(*) FROM sqlite_schema WHERE sql = ?1";
