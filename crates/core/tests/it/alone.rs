//! A database file that is held alone: nobody else is in it, and nobody comes in.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use prontodb_core::engine::sqlite::{Access, OpenOptions, Reopening, SqliteEngine};
use prontodb_core::store::SetOptions;
use prontodb_core::{Address, ErrorKind, Notation, Result, Store};
use tempfile::TempDir;

/// A folder, and in it a database with one entry.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: TempDir::new().unwrap() };
        set(&place.store(), "first").unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("test.prdb")
    }

    fn store(&self) -> Store {
        store(&self.path(), 5000)
    }

    fn hold(&self) -> Result<prontodb_core::engine::sqlite::Alone> {
        SqliteEngine::hold_alone(&options(&self.path(), 100))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn options(path: &Path, patience: u64) -> OpenOptions {
    OpenOptions { busy_timeout: Duration::from_millis(patience), ..OpenOptions::new(path) }
}

fn store(path: &Path, patience: u64) -> Store {
    Store::new(SqliteEngine::open(options(path, patience)).unwrap())
}

fn reopening(path: &Path, patience: u64) -> Store {
    Store::new(Reopening::open(options(path, patience)).unwrap())
}

fn address() -> Address {
    Notation::default().address("p.n.k").unwrap()
}

fn set(store: &Store, value: &str) -> Result<()> {
    store.set(&address(), value.as_bytes(), &SetOptions::default()).map(drop)
}

fn get(store: &Store) -> Result<Option<Vec<u8>>> {
    Ok(store.get(&address())?.map(|record| record.value))
}

fn first() -> Option<Vec<u8>> {
    Some(b"first".to_vec())
}

#[test]
fn while_a_file_is_held_nobody_reads_or_writes_it() {
    let place = Place::new();
    let alone = place.hold().unwrap();
    assert_eq!(get(&store(&place.path(), 20)).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(set(&store(&place.path(), 20), "second").unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(place.hold().err().unwrap().kind(), ErrorKind::Busy);
    drop(alone);
    assert_eq!(get(&place.store()).unwrap(), first());
    set(&place.store(), "second").unwrap();
}

#[test]
fn the_log_of_a_file_that_is_held_is_empty() {
    let place = Place::new();
    let alone = place.hold().unwrap();
    assert_eq!(fs::metadata(place.dir.path().join("test.prdb-wal")).unwrap().len(), 0);
    let copy = place.dir.path().join("copy.prdb");
    fs::copy(alone.path(), &copy).unwrap();
    assert_eq!(get(&store(&copy, 5000)).unwrap(), first());
}

#[test]
fn a_file_that_others_have_open_is_not_held() {
    let place = Place::new();
    let other = place.store();
    assert_eq!(get(&other).unwrap(), first());
    let error = place.hold().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("others have it open"), "{error}");
    set(&other, "second").unwrap();
    drop(other);
    assert!(place.hold().is_ok());
}

#[test]
fn another_program_that_has_the_file_open_keeps_it_from_being_held() {
    let place = Place::new();
    let mut other = Command::new("sqlite3")
        .args(["-batch", place.path().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = other.stdin.take().unwrap();
    writeln!(input, "SELECT count(*) FROM entries;").unwrap();
    let mut line = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "1\n");
    assert_eq!(place.hold().err().unwrap().kind(), ErrorKind::Busy);
    drop(input);
    other.wait().unwrap();
    let alone = place.hold().unwrap();
    let refused = Command::new("sqlite3")
        .args([place.path().to_str().unwrap(), "SELECT count(*) FROM entries"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("locked"));
    drop(alone);
}

#[test]
fn whoever_waited_for_a_file_that_went_is_told_to_try_again() {
    let place = Place::new();
    let moved = place.dir.path().join("moved.prdb");
    let alone = place.hold().unwrap();
    let waiting: Vec<_> = (0..6)
        .map(|n| {
            // Opened by the old name, and blocked there before the file goes.
            let other = store(&place.path(), 20_000);
            thread::spawn(move || if n % 2 == 0 { set(&other, "lost") } else { get(&other).map(drop) })
        })
        .collect();
    alone.rename(&moved).unwrap();
    drop(alone);
    for waiter in waiting {
        let error = waiter.join().unwrap().unwrap_err();
        assert!(error.is_retryable(), "{error}");
    }
    assert!(!place.path().exists());
    assert!(!place.names().iter().any(|name| name.ends_with("-journal")), "{:?}", place.names());
    assert_eq!(get(&store(&moved, 5000)).unwrap(), first());
}

#[test]
fn whoever_waited_harms_nothing_that_has_the_old_name_by_then() {
    let place = Place::new();
    let moved = place.dir.path().join("moved.prdb");
    let alone = place.hold().unwrap();
    let waiting: Vec<_> = (0..6)
        .map(|n| {
            let other = store(&place.path(), 20_000);
            thread::spawn(move || if n % 2 == 0 { set(&other, "lost") } else { get(&other).map(drop) })
        })
        .collect();
    alone.rename(&moved).unwrap();
    let fresh = place.store();
    set(&fresh, "fresh").unwrap();
    drop(alone);
    for waiter in waiting {
        assert!(waiter.join().unwrap().unwrap_err().is_retryable());
    }
    set(&fresh, "fresher").unwrap();
    drop(fresh);
    assert_eq!(get(&place.store()).unwrap(), Some(b"fresher".to_vec()));
    assert_eq!(get(&store(&moved, 5000)).unwrap(), first());
}

#[test]
fn whoever_waited_for_a_file_that_was_exchanged_goes_on_with_the_other() {
    let place = Place::new();
    let other = place.dir.path().join("other.prdb");
    set(&store(&other, 5000), "other").unwrap();
    SqliteEngine::settle(&other).unwrap();
    let alone = place.hold().unwrap();
    let waiting: Vec<_> = (0..6)
        .map(|n| {
            let waiter = reopening(&place.path(), 20_000);
            let address = Notation::default().address(&format!("p.n.k{n}")).unwrap();
            thread::spawn(move || match n % 2 {
                0 => waiter.set(&address, b"mine", &SetOptions::default()).map(|_| Some(b"other".to_vec())),
                _ => get(&waiter),
            })
        })
        .collect();
    alone.exchange(&other).unwrap();
    alone.sync_names(&other).unwrap();
    drop(alone);
    for waiter in waiting {
        assert_eq!(waiter.join().unwrap().unwrap(), Some(b"other".to_vec()));
    }
    // Connections of this process to the file that went are still there.
    let copy = place.dir.path().join("copy.prdb");
    fs::copy(&other, &copy).unwrap();
    let (present, kept) = (place.store(), store(&copy, 5000));
    assert_eq!(get(&kept).unwrap(), first());
    for n in [0, 2, 4] {
        let address = Notation::default().address(&format!("p.n.k{n}")).unwrap();
        assert_eq!(present.get(&address).unwrap().unwrap().value, b"mine");
        assert!(kept.get(&address).unwrap().is_none());
    }
}

#[test]
fn whoever_waited_for_a_file_that_went_makes_no_other_of_its_name() {
    let place = Place::new();
    let alone = place.hold().unwrap();
    let waiter = reopening(&place.path(), 20_000);
    let waiting = thread::spawn(move || set(&waiter, "lost"));
    alone.rename(&place.dir.path().join("moved.prdb")).unwrap();
    drop(alone);
    assert!(waiting.join().unwrap().unwrap_err().is_retryable());
    assert!(!place.path().exists());
}

#[test]
fn a_name_that_cannot_be_synced_has_changed_all_the_same() {
    let place = Place::new();
    let moved = place.dir.path().join("moved.prdb");
    let alone = place.hold().unwrap();
    alone.rename(&moved).unwrap();
    assert!(alone.sync_names(&place.dir.path().join("no/such/folder")).is_err());
    assert!(moved.is_file() && !place.path().exists());
}

#[test]
fn an_index_of_the_log_that_was_left_behind_is_made_anew() {
    let place = Place::new();
    drop(place.hold().unwrap());
    let index = place.dir.path().join("test.prdb-shm");
    fs::write(&index, [0xa5; 32768]).unwrap();
    assert_eq!(get(&place.store()).unwrap(), first());
    set(&place.store(), "second").unwrap();
    assert_eq!(get(&place.store()).unwrap(), Some(b"second".to_vec()));
}

#[test]
fn nothing_is_put_in_the_place_of_something_else() {
    let place = Place::new();
    let other = place.dir.path().join("other");
    fs::write(&other, "x").unwrap();
    let alone = place.hold().unwrap();
    assert_eq!(alone.rename(&other).unwrap_err().kind(), ErrorKind::Invalid);
    drop(alone);
    assert_eq!(fs::read(&other).unwrap(), b"x");
    assert_eq!(get(&place.store()).unwrap(), first());
}

#[test]
fn a_file_that_is_removed_takes_with_it_what_is_its_own() {
    let place = Place::new();
    for name in ["test.prdb.schema-1", "test.prdb.schema-x", "notes"] {
        fs::write(place.dir.path().join(name), "x").unwrap();
    }
    place.hold().unwrap().remove().unwrap();
    assert_eq!(place.names(), ["notes", "test.prdb.schema-x"]);
    assert_eq!(place.hold().err().unwrap().kind(), ErrorKind::NoDatabase);
}

#[test]
fn a_file_of_another_program_is_not_held() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("other.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE t(a)").unwrap();
    drop(connection);
    let error = SqliteEngine::hold_alone(&options(&path, 100)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Foreign);
    fs::write(&path, "no database ".repeat(100)).unwrap();
    let error = SqliteEngine::hold_alone(&options(&path, 100)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[test]
fn a_read_that_only_looks_at_a_frozen_file_is_refused_when_that_goes() {
    let place = Place::new();
    drop(place.hold().unwrap());
    let read = OpenOptions { access: Access::Read, ..options(&place.path(), 20) };
    let reader = Store::new(SqliteEngine::open(read).unwrap());
    place.hold().unwrap().rename(&place.dir.path().join("moved.prdb")).unwrap();
    assert_eq!(get(&reader).unwrap_err().kind(), ErrorKind::Busy);
}
