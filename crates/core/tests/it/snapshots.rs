//! Copies of databases that others write meanwhile, and what is found to be a sound one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::{fs, io};

use prontodb_core::auth::Identity;
use prontodb_core::engine::sqlite::{Access, OpenOptions, ReadAt, SqliteEngine};
use prontodb_core::engine::{CopySink, Engine};
use prontodb_core::store::SetOptions;
use prontodb_core::{Address, ErrorKind, Notation, Result, Store, Version};
use rusqlite::Connection;
use tempfile::TempDir;

/// Keeps what it takes.
#[derive(Default)]
struct Taken {
    announced: u64,
    bytes: Vec<u8>,
}

impl CopySink for Taken {
    fn begin(&mut self, bytes: u64) -> Result<()> {
        self.announced = bytes;
        Ok(())
    }

    fn take(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        // Whatever is left in its place is read over.
        *bytes = vec![7; 3];
        Ok(())
    }
}

/// A database between other bytes, some of which cannot be read.
struct Within {
    bytes: Vec<u8>,
    unreadable: Option<u64>,
}

const BEFORE: usize = 1001;

impl Within {
    fn lent(database: &[u8], unreadable: Option<u64>) -> Arc<dyn ReadAt> {
        let bytes = [&vec![1; BEFORE][..], database, &[2; 77]].concat();
        Arc::new(Self { bytes, unreadable })
    }
}

impl ReadAt for Within {
    fn bytes(&self) -> u64 {
        (self.bytes.len() - BEFORE - 77) as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        assert!(offset + buffer.len() as u64 <= self.bytes(), "no byte of others is asked for");
        if self.unreadable.is_some_and(|at| (offset..offset + buffer.len() as u64).contains(&at)) {
            return Err(io::ErrorKind::Other.into());
        }
        let from = BEFORE + usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.bytes[from..from + buffer.len()]);
        Ok(())
    }
}

fn at(address: &str) -> Address {
    Notation::default().address(address).unwrap()
}

fn engine(path: &Path) -> SqliteEngine {
    SqliteEngine::open(OpenOptions::new(path)).unwrap()
}

fn store(path: &Path) -> Store {
    Store::new(engine(path))
}

/// A database with a few entries, large ones among them.
fn database(dir: &TempDir) -> PathBuf {
    let path = dir.path().join("test.prdb");
    let store = store(&path);
    for number in 0..50 {
        let value = vec![b'x'; number * 100];
        store.set(&at(&format!("p.n.k{number}")), &value, &SetOptions::default()).unwrap();
    }
    path
}

fn number_at(store: &Store, address: &str) -> u64 {
    let value = store.get(&at(address)).unwrap().unwrap().value;
    String::from_utf8(value).unwrap().parse().unwrap()
}

#[test]
fn a_copy_is_a_whole_file_of_its_own() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let copy = dir.path().join("copy.prdb");
    let made = store(&path).snapshot(&copy).unwrap();
    assert_eq!(made.revision, Version(50));
    assert_eq!(made.bytes, fs::metadata(&copy).unwrap().len());
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    let of_copy = names.iter().filter(|name| name.to_str().unwrap().starts_with("copy"));
    assert_eq!(of_copy.count(), 1, "{names:?}");
    // The bytes that say "write-ahead log" in the header of the file.
    assert_eq!(fs::read(&copy).unwrap()[18..20], [2, 2]);
    let found = SqliteEngine::verify(&copy).unwrap();
    assert_eq!((found.revision, found.namespaces, found.bytes), (Version(50), 1, made.bytes));
    let copied = store(&copy);
    for number in 0..50 {
        let value = copied.get(&at(&format!("p.n.k{number}"))).unwrap().unwrap().value;
        assert_eq!(value.len(), number * 100);
    }
}

#[test]
fn a_copy_holds_what_is_in_the_log_alone() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let writer = store(&path);
    writer.set(&at("p.n.last"), b"1", &SetOptions::default()).unwrap();
    assert!(fs::metadata(dir.path().join("test.prdb-wal")).unwrap().len() > 0);
    let copy = dir.path().join("copy.prdb");
    store(&path).snapshot(&copy).unwrap();
    assert_eq!(store(&copy).get(&at("p.n.last")).unwrap().unwrap().value, b"1");
}

#[test]
fn files_without_a_log_are_copied_too() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    connection.close().unwrap();
    let read = OpenOptions { access: Access::Read, ..OpenOptions::new(&path) };
    let copy = dir.path().join("copy.prdb");
    let engine = SqliteEngine::open(read).unwrap();
    let made = engine.snapshot(&copy).unwrap();
    let mut seen = Taken::default();
    assert_eq!(engine.copy_to(&mut seen).unwrap(), made.revision);
    assert_eq!(made.revision, Version(50));
    let copied = fs::read(&copy).unwrap();
    assert!(copied == fs::read(&path).unwrap() && copied == seen.bytes);
    assert_eq!(seen.announced, copied.len() as u64);
    SqliteEngine::verify(&copy).unwrap();
}

#[test]
fn a_database_is_checked_where_it_lies() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let (mut taken, copy) = (Taken::default(), dir.path().join("copy.prdb"));
    let seen = engine(&path).copy_to(&mut taken).unwrap();
    engine(&path).snapshot(&copy).unwrap();
    let sound = Within::lent(&taken.bytes, None);
    assert_eq!(SqliteEngine::verify_lent(&sound, &path).unwrap(), SqliteEngine::verify(&copy).unwrap());
    assert_eq!(SqliteEngine::identify_lent(&sound, &path, seen).unwrap().0, Version(50));
    let outdated = SqliteEngine::identify_lent(&sound, &path, Version(51)).unwrap_err();
    assert_eq!(outdated.kind(), ErrorKind::Busy);
    let error_of = |bytes: &[u8], unreadable| {
        SqliteEngine::verify_lent(&Within::lent(bytes, unreadable), &path).unwrap_err().kind()
    };
    assert_eq!(error_of(&taken.bytes[..taken.bytes.len() - 4096], None), ErrorKind::Damaged);
    assert_eq!(error_of(&taken.bytes[..100], None), ErrorKind::Damaged);
    let end = taken.bytes.len();
    // What cannot be read is a finding of the check like any other.
    assert_eq!(error_of(&taken.bytes, Some(end as u64 - 1)), ErrorKind::Damaged);
    taken.bytes[end / 2..end / 2 + 4096].fill(0xee);
    assert_eq!(error_of(&taken.bytes, None), ErrorKind::Damaged);
    assert_eq!(error_of(b"", None), ErrorKind::Damaged);
}

#[test]
fn each_copy_is_of_one_moment_while_others_write_and_the_log_stays_short() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let first = store(&path);
    let pair = [at("p.n.left"), at("q.n.right")];
    let write_pair = |store: &Store| {
        store
            .write(|writer| {
                let left = writer.increment(&pair[0], 1)?;
                // Pages enough that a copy of two states would show.
                writer.set(&at("p.n.ballast"), &vec![left as u8; 40_000], &SetOptions::default())?;
                writer.increment(&pair[1], 1).map(drop)
            })
            .unwrap();
    };
    write_pair(&first);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let writer = store(&path);
            while !is_over.load(Ordering::Relaxed) {
                write_pair(&writer);
            }
        });
        for round in 0..20 {
            let copy = dir.path().join(format!("copy{round}.prdb"));
            let made = first.snapshot(&copy).unwrap();
            let copied = store(&copy);
            assert_eq!(number_at(&copied, "p.n.left"), number_at(&copied, "q.n.right"));
            assert_eq!(copied.revision().unwrap(), made.revision);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let log = fs::metadata(dir.path().join("test.prdb-wal")).unwrap().len();
    assert!(log < 64 << 20, "{log}");
    SqliteEngine::verify(&dir.path().join("copy19.prdb")).unwrap();
}

#[test]
fn a_log_that_grew_during_a_copy_is_copied_back() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let (holder, writer) = (engine(&path), store(&path));
    // Somebody reads an old state, so that the log can be neither copied back nor begun anew.
    holder
        .read(&mut |view| {
            view.revision()?;
            for number in 0..200 {
                writer.set(&at(&format!("p.n.g{number}")), &vec![b'x'; 50_000], &SetOptions::default())?;
            }
            Ok(())
        })
        .unwrap();
    let log = dir.path().join("test.prdb-wal");
    assert!(fs::metadata(&log).unwrap().len() > 5 << 20);
    drop(writer);
    // What nobody else uses is emptied, and with it the file as it lies is all there is.
    engine(&path).snapshot(&dir.path().join("copy.prdb")).unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    assert_eq!(SqliteEngine::verify(&path).unwrap().revision, Version(250));
}

#[test]
fn a_file_that_is_there_is_not_replaced() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let taken = dir.path().join("taken");
    fs::write(&taken, "mine").unwrap();
    let error = store(&path).snapshot(&taken).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(fs::read(&taken).unwrap(), b"mine");
    let error = store(&path).snapshot(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(store(&path).revision().unwrap(), Version(50));
}

#[test]
fn what_cannot_be_copied_leaves_no_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("other.prdb");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1)").unwrap();
    let copy = dir.path().join("copy.prdb");
    let read = OpenOptions { access: Access::Read, ..OpenOptions::new(&path) };
    let error = SqliteEngine::open(read).unwrap().snapshot(&copy).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Foreign);
    assert!(!copy.exists());
    let error = Store::in_memory().snapshot(&copy).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let nobody = Identity::vouched_for("ann", None, Vec::new());
    let error = store(&database(&dir)).act_as(nobody).snapshot(&copy).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(!copy.exists());
}

#[test]
fn files_that_are_no_sound_database_are_found_out() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let copy = dir.path().join("copy.prdb");
    store(&path).snapshot(&copy).unwrap();
    let whole = fs::read(&copy).unwrap();
    let kind_of = |bytes: &[u8]| {
        fs::write(&copy, bytes).unwrap();
        SqliteEngine::verify(&copy).unwrap_err().kind()
    };
    assert_eq!(kind_of(b""), ErrorKind::Damaged);
    assert_eq!(kind_of(&[b'x'; 5000]), ErrorKind::Damaged);
    for part in 1..16 {
        assert_eq!(kind_of(&whole[..whole.len() * part / 16]), ErrorKind::Damaged, "{part}/16");
    }
    for page in 1..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..page * 4096 + 8].fill(0xff);
        // A page in the middle of a large value has no structure that could be wrong but the link to the next one.
        assert_eq!(kind_of(&bytes), ErrorKind::Damaged, "page {page}");
    }
    fs::write(&copy, &whole).unwrap();
    let statement = |text: &str| {
        fs::write(&copy, &whole).unwrap();
        let connection = Connection::open(&copy).unwrap();
        connection.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
        connection.execute_batch(text).unwrap();
        connection.close().unwrap();
        SqliteEngine::verify(&copy).unwrap_err().kind()
    };
    assert_eq!(statement("PRAGMA user_version = 99"), ErrorKind::Foreign);
    assert_eq!(statement("PRAGMA application_id = 99"), ErrorKind::Foreign);
    assert_eq!(statement("DELETE FROM sys_state"), ErrorKind::Damaged);
    assert_eq!(statement("DROP TABLE sys_state"), ErrorKind::Damaged);
    assert_eq!(statement("DROP TABLE entries"), ErrorKind::Damaged);
    assert_eq!(statement("UPDATE sys_namespaces SET location = 'entries; --'"), ErrorKind::Damaged);
}

#[test]
fn what_others_have_put_in_is_not_run_by_a_check() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let connection = Connection::open(&path).unwrap();
    // A look at it would never end.
    let endless = "WITH RECURSIVE n(ns) AS (SELECT 1 UNION ALL SELECT ns + 1 FROM n) SELECT ns FROM n";
    connection.execute_batch(&format!("DROP TABLE sys_caches; CREATE VIEW sys_caches AS {endless}")).unwrap();
    connection.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    connection.close().unwrap();
    assert_eq!(SqliteEngine::verify(&path).unwrap_err().kind(), ErrorKind::Foreign);
}

/// A copy of the database at `path` as it is now.
fn copy_of(path: &Path, name: &str) -> PathBuf {
    let copy = path.with_file_name(name);
    store(path).snapshot(&copy).unwrap();
    copy
}

#[test]
fn a_database_that_others_have_open_gets_another_content() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let reader = store(&path);
    let old = copy_of(&path, "old.prdb");
    reader.set(&at("p.n.k1"), b"new", &SetOptions::default()).unwrap();
    reader.set(&at("p.n.more"), &vec![b'y'; 300_000], &SetOptions::default()).unwrap();
    let kept = dir.path().join("kept.prdb");
    let mut calls = 0;
    let revision = engine(&path)
        .overwrite(&old, &mut |engine| {
            calls += 1;
            engine.snapshot(&kept).map(drop)
        })
        .unwrap();
    assert_eq!((calls, revision), (1, Version(53)));
    assert_eq!(reader.get(&at("p.n.k1")).unwrap().unwrap().value, vec![b'x'; 100]);
    assert!(reader.get(&at("p.n.more")).unwrap().is_none());
    assert_eq!(reader.revision().unwrap(), Version(53));
    reader.set(&at("p.n.next"), b"1", &SetOptions::default()).unwrap();
    assert_eq!(reader.head(&at("p.n.next")).unwrap().unwrap().version, Version(54));
    assert_eq!(store(&kept).get(&at("p.n.k1")).unwrap().unwrap().value, b"new");
    let copy = copy_of(&path, "copy.prdb");
    SqliteEngine::verify(&copy).unwrap();
}

#[test]
fn what_is_written_while_it_is_kept_is_kept_too() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let old = copy_of(&path, "old.prdb");
    let writer = store(&path);
    let kept = dir.path().join("kept.prdb");
    let mut calls = 0;
    let overwritten = engine(&path).overwrite(&old, &mut |engine| {
        calls += 1;
        let _ = fs::remove_file(&kept);
        engine.snapshot(&kept)?;
        if calls == 1 {
            writer.set(&at("p.n.late"), b"1", &SetOptions::default())?;
        }
        Ok(())
    });
    overwritten.unwrap();
    assert_eq!(calls, 2);
    assert_eq!(store(&kept).get(&at("p.n.late")).unwrap().unwrap().value, b"1");
    assert!(writer.get(&at("p.n.late")).unwrap().is_none());
}

#[test]
fn nothing_changes_when_it_cannot_be_kept() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let old = copy_of(&path, "old.prdb");
    let holder = store(&path);
    holder.set(&at("p.n.k1"), b"new", &SetOptions::default()).unwrap();
    let failed =
        engine(&path).overwrite(&old, &mut |_| Err(prontodb_core::Error::new(ErrorKind::NoSpace, "x")));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::NoSpace);
    let other_pages = dir.path().join("pages.prdb");
    Connection::open(&other_pages)
        .unwrap()
        .execute_batch(&format!(
            "ATTACH '{}' AS o; PRAGMA page_size = 8192; VACUUM o INTO '{}'",
            old.display(),
            dir.path().join("big.prdb").display()
        ))
        .unwrap();
    let failed = engine(&path).overwrite(&dir.path().join("big.prdb"), &mut |_| Ok(()));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unsupported);
    let foreign = dir.path().join("foreign.prdb");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t(x)").unwrap();
    assert_eq!(engine(&path).overwrite(&foreign, &mut |_| Ok(())).unwrap_err().kind(), ErrorKind::Foreign);
    assert_eq!(holder.get(&at("p.n.k1")).unwrap().unwrap().value, b"new");
    assert_eq!(holder.revision().unwrap(), Version(51));
}

#[test]
fn a_file_that_is_settled_has_nothing_beside_it() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    SqliteEngine::settle(&path).unwrap();
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["test.prdb"]);
    assert_eq!(SqliteEngine::verify(&path).unwrap().revision, Version(50));
}

#[test]
fn a_database_that_nobody_has_open_changes_places_with_another() {
    let dir = TempDir::new().unwrap();
    let path = database(&dir);
    let other = copy_of(&path, "other.prdb");
    store(&path).set(&at("p.n.k1"), b"new", &SetOptions::default()).unwrap();
    let options = OpenOptions { busy_timeout: std::time::Duration::ZERO, ..OpenOptions::new(&path) };
    let holder = store(&path);
    assert_eq!(holder.get(&at("p.n.k1")).unwrap().unwrap().value, b"new");
    assert_eq!(SqliteEngine::hold_alone(&options).err().unwrap().kind(), ErrorKind::Busy);
    drop(holder);
    let alone = SqliteEngine::hold_alone(&options).unwrap();
    assert_eq!(alone.revision_and_schema().unwrap(), (Version(51), 4));
    assert_eq!(SqliteEngine::raise(&other, Version(51)).unwrap(), Version(52));
    SqliteEngine::settle(&other).unwrap();
    alone.exchange(&other).unwrap();
    let now = store(&path);
    assert_eq!(now.get(&at("p.n.k1")).unwrap().unwrap().value, vec![b'x'; 100]);
    now.set(&at("p.n.k2"), b"after", &SetOptions::default()).unwrap();
    drop(alone);
    drop(now);
    let now = store(&path);
    assert_eq!(now.head(&at("p.n.k2")).unwrap().unwrap().version, Version(53));
    assert_eq!(store(&other).get(&at("p.n.k1")).unwrap().unwrap().value, b"new");
}
