//! Looking after a file: copies before a migration, checks that find what is wrong, counts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use prontodb_core::engine::Engine;
use prontodb_core::engine::sqlite::{Access, OpenOptions, SqliteEngine};
use prontodb_core::store::{CacheSettings, Condition, SetOptions};
use prontodb_core::{ErrorKind, ManualClock, Millis, Notation, Store, Ttl};
use rusqlite::Connection;
use tempfile::TempDir;

const AT: &str = "shop.prices.apple";

fn store(path: &Path) -> Store {
    Store::new(SqliteEngine::open(OpenOptions::new(path)).unwrap())
}

fn run(path: &Path, statements: &str) {
    Connection::open(path).unwrap().execute_batch(statements).unwrap();
}

fn schema_of(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// A file as the first program wrote it.
fn old_file(dir: &TempDir) -> PathBuf {
    let path = dir.path().join("test.prdb");
    run(&path, include_str!("../fixtures/schema-1.sql"));
    path
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

fn value(store: &Store, at: &str) -> Vec<u8> {
    store.get(&Notation::default().address(at).unwrap()).unwrap().unwrap().value
}

#[test]
fn before_a_migration_a_copy_is_kept() {
    let dir = TempDir::new().unwrap();
    let path = old_file(&dir);
    let copy = beside(&path, ".schema-1");
    assert_eq!(value(&store(&path), AT), b"120");
    assert!(!copy.exists(), "a read makes a copy");
    store(&path).increment(&Notation::default().address(AT).unwrap(), 1).unwrap();
    assert!(schema_of(&path) > 1);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!beside(&path, "-new-schema-1").exists());
    assert_eq!(schema_of(&copy), 1);
    assert_eq!(value(&store(&copy), AT), b"120");
    assert_eq!(value(&store(&path), AT), b"121");
}

#[test]
fn a_copy_of_an_earlier_try_gives_way_to_the_state_of_now() {
    let dir = TempDir::new().unwrap();
    let path = old_file(&dir);
    let copy = beside(&path, ".schema-1");
    fs::write(&copy, "half a copy").unwrap();
    fs::write(beside(&path, "-new-schema-1"), "less than half of one").unwrap();
    store(&path).migrate().unwrap();
    assert_eq!(value(&store(&copy), AT), b"120");
    assert!(store(&copy).check(false).unwrap().problems.is_empty());
    assert!(!beside(&path, "-new-schema-1").exists());
}

#[test]
fn where_no_copy_can_be_kept_nothing_changes() {
    let dir = TempDir::new().unwrap();
    let path = old_file(&dir);
    // Nothing can be written at this name.
    fs::create_dir_all(beside(&path, "-new-schema-1").join("x")).unwrap();
    let error = store(&path).migrate().unwrap_err();
    assert!(error.to_string().contains("nothing has changed"), "{error}");
    let at = Notation::default().address(AT).unwrap();
    store(&path).set(&at, b"1", &SetOptions::default()).unwrap_err();
    assert_eq!(schema_of(&path), 1);
    assert_eq!(value(&store(&path), AT), b"120");
}

#[test]
fn of_a_file_that_is_a_copy_itself_no_copy_is_made() {
    let dir = TempDir::new().unwrap();
    let path = old_file(&dir);
    // Nothing can be written at this name.
    fs::create_dir_all(beside(&path, "-new-schema-1").join("x")).unwrap();
    SqliteEngine::settle(&path).unwrap();
    assert!(schema_of(&path) > 1);
    assert_eq!(value(&store(&path), AT), b"120");
    assert!(!beside(&path, ".schema-1").exists());
}

#[test]
fn a_newer_file_is_refused_by_all_that_look_after_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("test.prdb");
    store(&path).migrate().unwrap();
    run(&path, "PRAGMA user_version = 999");
    let before = fs::read(&path).unwrap();
    let held = SqliteEngine::hold_alone(&OpenOptions::new(&path)).err().unwrap();
    for refused in [
        held,
        store(&path).migrate().unwrap_err(),
        store(&path).vacuum().unwrap_err(),
        store(&path).check(false).unwrap_err(),
        store(&path).census().unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Foreign, "{refused}");
        assert!(refused.to_string().contains("later version"), "{refused}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// A file with something of every kind, and the numbers of its namespaces: 1 `shop.prices`, 2 `web.pages`, a cache with a
/// limit, 3 `web.hours`, a cache without.
fn furnished(dir: &TempDir) -> PathBuf {
    let path = dir.path().join("test.prdb");
    let store = store(&path).with_compression_above(Some(2000));
    let notation = Notation::default();
    let set = |at: &str, value: &[u8]| {
        store.set(&notation.address(at).unwrap(), value, &SetOptions::default()).unwrap();
    };
    set("shop.prices.apple", b"120");
    set("shop.prices.pear__eu", b"1");
    set("shop.prices.large", &[b'x'; 1500]);
    set("shop.prices.long", &b"words that come again ".repeat(200));
    for (cache, settings) in [("web.pages", "timeout=60 max_items=10"), ("web.hours", "timeout=60")] {
        let namespace = notation.address(&format!("{cache}.x")).unwrap().namespace;
        store.create_cache(&namespace, &CacheSettings::parse(settings).unwrap()).unwrap();
        set(&format!("{cache}.home"), b"<html>");
    }
    set("web.pages.large", &[b'y'; 1500]);
    path
}

fn problems(path: &Path) -> Vec<String> {
    store(path).check(false).unwrap().problems
}

#[test]
fn a_file_in_order_has_no_problems() {
    let dir = TempDir::new().unwrap();
    let path = furnished(&dir);
    let checked = store(&path).check(false).unwrap();
    assert_eq!((checked.problems, checked.values, checked.is_cut), (Vec::new(), 7, false));
    assert_eq!(store(&path).check(true).unwrap().values, 0);
    assert_eq!(problems(&old_file(&TempDir::new().unwrap())), Vec::<String>::new());
}

#[test]
fn what_is_not_as_this_program_keeps_it_is_found() {
    for (damage, found) in [
        ("UPDATE sys_namespaces SET location = 'elsewhere' WHERE id = 1", "shop.prices: its table elsewhere"),
        ("UPDATE sys_namespaces SET id = 2 WHERE id = 1", "shop.prices: its number is another's"),
        (
            "UPDATE sys_namespaces SET is_cache = 1 WHERE id = 1",
            "shop.prices: it is a cache without settings",
        ),
        ("DELETE FROM sys_caches WHERE ns = 3", "web.hours: it is a cache without settings"),
        ("INSERT INTO sys_caches VALUES (9, 1, 0, NULL, NULL, 'fifo', 0, 0, 0)", "a namespace 9"),
        ("INSERT INTO sys_state (revision, spaces, large) VALUES (1, 2, 3)", "sys_state has 2 rows"),
        ("DELETE FROM sys_namespaces WHERE id = 1", "entries has 4 entries of no namespace (1)"),
        (
            "UPDATE entries SET size = 5 WHERE name = 'apple'",
            "shop.prices.apple: the entry has a value of another length",
        ),
        (
            "UPDATE large_values SET value = x'00'",
            "shop.prices.large: the entry has a value of another length",
        ),
        ("DELETE FROM large_values", "shop.prices.large: the entry has lost its large value"),
        ("UPDATE entries SET large = NULL", "shop.prices.large: the entry has no value"),
        (
            "UPDATE entries SET large = 1 WHERE name = 'apple'",
            "shop.prices.apple: the entry has no value, or two",
        ),
        ("UPDATE entries SET large = 1 WHERE large = 2", "the large value 1 belongs to several"),
        ("INSERT INTO large_values VALUES (0, x'00')", "the large value 0 belongs to no entry"),
        ("UPDATE entries SET expires = 1 WHERE name = 'apple'", "shop.prices.apple: the entry expires"),
        ("UPDATE entries SET rank = 1 WHERE name = 'apple'", "shop.prices.apple: the entry has a rank"),
        ("UPDATE entries SET rank = NULL", "web.pages.home: the entry has no rank"),
        (
            "UPDATE entries SET version = 999 WHERE name = 'apple'",
            "shop.prices.apple: the entry is of a write",
        ),
        ("UPDATE sys_caches SET items = 9 WHERE ns = 2", "web.pages: the cache holds 2 entries"),
        (
            "CREATE TABLE sec_users(key TEXT PRIMARY KEY, record TEXT); INSERT INTO sec_users VALUES ('x', '{')",
            "a record of sec_users cannot be read",
        ),
        ("CREATE TABLE sec_users(name TEXT)", "no such column"),
        ("UPDATE entries SET value = zeroblob(length(value)) WHERE name = 'long'", "shop.prices.long"),
        ("ALTER TABLE sys_caches DROP COLUMN bytes", "no such column"),
        ("DROP TABLE sys_caches", "no such table"),
    ] {
        let dir = TempDir::new().unwrap();
        let path = furnished(&dir);
        run(&path, damage);
        let problems = problems(&path);
        assert!(problems.iter().any(|line| line.contains(found)), "{damage}: {problems:#?}");
        assert!(problems.iter().all(|line| !line.contains('\n')), "{damage}: {problems:#?}");
    }
}

#[test]
fn what_belongs_to_nobody_for_the_time_being_is_no_problem_and_not_counted() {
    let dir = TempDir::new().unwrap();
    let path = furnished(&dir);
    let entries = |path: &Path| store(path).census().unwrap().entries;
    let left: i64 = Connection::open(&path)
        .and_then(|file| file.query_row("SELECT count(*) FROM entries WHERE ns = 1", [], |row| row.get(0)))
        .unwrap();
    let before = entries(&path);
    run(
        &path,
        "DELETE FROM sys_namespaces WHERE id = 1; CREATE TABLE sys_leftovers(key TEXT, record TEXT);
         INSERT INTO sys_leftovers VALUES ('1', '{\"space\":1,\"table\":\"entries\",\"owned\":true}')",
    );
    assert_eq!(problems(&path), Vec::<String>::new());
    assert!(left > 0);
    assert_eq!(entries(&path), before - left.unsigned_abs());
}

#[test]
fn records_of_moves_and_tables_that_cannot_be_read_are_found() {
    for table in ["sys_tables", "sys_projects", "sys_moves", "sys_leftovers"] {
        let dir = TempDir::new().unwrap();
        let path = furnished(&dir);
        run(
            &path,
            &format!("CREATE TABLE {table}(key TEXT, record TEXT); INSERT INTO {table} VALUES ('1', '{{}}')"),
        );
        assert!(problems(&path).iter().any(|problem| problem.contains(table)), "{table}");
    }
}

#[test]
fn records_that_nobody_meets_for_long_are_found() {
    for table in ["sys_locks", "sys_leases", "sys_queues", "sys_ops", "sys_op_ages", "sys_changes"] {
        let dir = TempDir::new().unwrap();
        let path = furnished(&dir);
        run(
            &path,
            &format!(
                "CREATE TABLE IF NOT EXISTS {table}(key TEXT PRIMARY KEY, record TEXT) WITHOUT ROWID;
                 INSERT INTO {table} VALUES ('0a', '{{broken'), ('0b', '{{broken')"
            ),
        );
        let problems = problems(&path);
        assert_eq!(problems.len(), 2, "{problems:?}");
        for (problem, key) in problems.iter().zip(["0a: ", "0b: "]) {
            assert!(problem.starts_with(key) && problem.contains(table), "{problem}");
        }
    }
}

#[test]
fn triggers_and_views_of_others_are_found_and_those_of_moves_are_not() {
    for (statement, found) in [
        (
            "CREATE TRIGGER silence BEFORE INSERT ON entries BEGIN SELECT RAISE(IGNORE); END",
            "trigger silence",
        ),
        (
            "CREATE TRIGGER move_1_insert AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
            "trigger move_1_insert",
        ),
        ("CREATE VIEW entries_9 AS SELECT 1", "view entries_9"),
    ] {
        let dir = TempDir::new().unwrap();
        let path = furnished(&dir);
        run(&path, statement);
        assert!(problems(&path)[0].contains(found), "{:?}", problems(&path));
        let error = SqliteEngine::verify(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Foreign);
        assert!(error.to_string().contains(found), "{error}");
    }
    let dir = TempDir::new().unwrap();
    let path = furnished(&dir);
    let engine = SqliteEngine::open(OpenOptions::new(&path)).unwrap();
    let begun = engine.write(&mut |txn| {
        let target = txn.create_table()?;
        let space = txn.spaces(None)?.remove(0);
        txn.begin_move(&space, &target)
    });
    begun.unwrap();
    drop(engine);
    assert_eq!(problems(&path), Vec::<String>::new());
    run(&path, "PRAGMA wal_checkpoint(TRUNCATE)");
    SqliteEngine::verify(&path).unwrap();
}

#[test]
fn a_table_of_another_shape_is_damage_and_no_text_of_sql() {
    let dir = TempDir::new().unwrap();
    let path = furnished(&dir);
    run(&path, "CREATE TABLE sec_users(name TEXT)");
    let error = store(&path).users().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().ends_with("is damaged"), "{error}");
}

#[test]
fn what_is_there_is_counted() {
    let dir = TempDir::new().unwrap();
    let path = furnished(&dir);
    let engine = SqliteEngine::open(OpenOptions::new(&path)).unwrap();
    let later = Store::new(engine).with_clock(ManualClock::at(Millis(i64::MAX / 2)));
    let census = later.census().unwrap();
    assert_eq!((census.namespaces, census.caches, census.encrypted), (3, 2, 0));
    assert_eq!((census.entries, census.expired), (7, 3));
    assert_eq!((census.users, census.api_keys), (1, 0));
    assert_eq!(census.revision, later.revision().unwrap().0);
    later.create_api_key("ci", None, Some(Ttl::from_millis(1000).unwrap())).unwrap();
    assert_eq!(later.census().unwrap().api_keys, 1);
    assert_eq!(Store::in_memory().census().unwrap().entries, 0);
}

#[test]
fn a_vacuum_gives_room_back_and_keeps_the_rest() {
    let dir = TempDir::new().unwrap();
    let path = furnished(&dir);
    let report = |path: &Path| {
        let options = OpenOptions { access: Access::Read, ..OpenOptions::new(path) };
        SqliteEngine::open(options).unwrap().report().unwrap()
    };
    let filler = Notation::default().address("shop.prices.filler").unwrap();
    store(&path).set(&filler, &vec![7; 1 << 20], &SetOptions::default()).unwrap();
    store(&path).write(|writer| writer.delete(&filler, &Condition::default())).unwrap();
    assert!(report(&path).unused_bytes > 1 << 19);
    assert!(store(&path).vacuum().unwrap());
    let after = report(&path);
    assert!(after.unused_bytes == 0 && after.database_bytes < 1 << 17, "{after:?}");
    assert_eq!(problems(&path), Vec::<String>::new());
}
