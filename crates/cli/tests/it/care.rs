//! `admin migrate`, `check`, `vacuum` and `status`: looking after a database.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{
    LockHolder, assert_whole, contents, data_folder, database_file, fold_log, json_of, mode_of, refused,
    sandbox, sandbox_with, side_file, sql,
};
use crate::many_processes::{Dice, kill_at_some_moment, kills_of_a_worker};

const PAGE: usize = 4096;

/// Puts a file of the first schema in the place of `main`.
fn put_old_file(s: &Sandbox) -> PathBuf {
    let file = database_file(s, "main");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    for left in fs::read_dir(file.parent().unwrap()).unwrap() {
        fs::remove_file(left.unwrap().path()).unwrap();
    }
    let statements = include_str!("../../../core/tests/fixtures/schema-1.sql");
    s.run_other("sqlite3", [&file]).stdin(statements).succeeds();
    file
}

fn schema_of(s: &Sandbox, file: &Path) -> u64 {
    sql(s, file, "PRAGMA user_version").parse().unwrap()
}

#[test]
fn a_read_leaves_an_old_file_as_it_is_and_migrate_brings_it_up_to_date() {
    let s = sandbox();
    let file = put_old_file(&s);
    s.run(["get", "shop.prices.apple"]).prints("120\n");
    let told = json_of(s.run(["admin", "migrate", "--check", "--json"]));
    assert_eq!((&told["from"], &told["migrated"]), (&1.into(), &false.into()));
    assert_eq!(schema_of(&s, &file), 1);
    let latest = told["to"].as_u64().unwrap();
    let copy = side_file(&file, ".schema-1");
    assert!(latest > 1 && !copy.exists());
    s.run(["admin", "migrate"]).succeeds().stdout_has("migrated: yes").stdout_has(copy.to_str().unwrap());
    assert_eq!((schema_of(&s, &file), schema_of(&s, &copy), mode_of(&copy)), (latest, 1, 0o600));
    s.run(["admin", "migrate"]).succeeds().stdout_has("migrated: no").stderr_has("nothing to do");
    s.run(["get", "shop.prices.apple"]).prints("120\n");
    s.run(["-d", copy.to_str().unwrap(), "get", "shop.prices.apple"]).prints("120\n");
}

#[test]
fn where_nothing_is_there_is_nothing_to_look_after() {
    let s = sandbox();
    for command in ["migrate", "check", "vacuum", "status"] {
        s.run(["admin", command]).succeeds().stderr_has("no database");
    }
    assert!(contents(&s).is_empty());
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let s = sandbox_with([("p.n.k", "v")]);
    sql(&s, &database_file(&s, "main"), "PRAGMA user_version = 999");
    for command in ["migrate", "check", "vacuum", "status"] {
        refused(&s, &["admin", command], 1, "foreign").stderr_has("later version");
    }
    refused(&s, &["admin", "migrate", "--check"], 1, "foreign");
    refused(&s, &["admin", "vacuum", "--dry-run"], 1, "foreign");
}

#[test]
fn of_many_first_writers_to_an_old_file_one_migrates_it() {
    let s = sandbox();
    let file = put_old_file(&s);
    let writers: Vec<_> = (10..26).map(|i| s.spawn(["set", &format!("new.n.k{i}"), "v"])).collect();
    let readers: Vec<_> = (0..8).map(|_| s.spawn(["get", "shop.prices.apple"])).collect();
    for writer in writers {
        writer.wait().prints("").stderr_is("");
    }
    for reader in readers {
        reader.wait().prints("120\n");
    }
    s.run(["keys", "new.n", "--count"]).prints("16\n");
    let copy = side_file(&file, ".schema-1");
    assert_eq!(sql(&s, &copy, "SELECT count(*) FROM sys_namespaces"), "3", "the copy is of before");
    assert!(schema_of(&s, &file) > 1 && !side_file(&file, "-new-schema-1").exists());
    assert_whole(&s, &file);
}

#[test]
fn a_migration_that_is_killed_loses_nothing() {
    let s = sandbox();
    put_old_file(&s);
    let start = Instant::now();
    s.run(["admin", "migrate"]).succeeds();
    let time = 2 * u64::try_from(start.elapsed().as_micros()).unwrap();
    let (mut dice, mut kills) = (Dice(0x2545_f491_4f6c_dd1d), 0);
    for _ in 0..kills_of_a_worker() {
        let file = put_old_file(&s);
        kills += u64::from(kill_at_some_moment(s.spawn(["admin", "migrate"]), &mut dice, time).is_none());
        s.run(["get", "shop.prices.apple"]).prints("120\n");
        let (copy, is_old) = (side_file(&file, ".schema-1"), schema_of(&s, &file) == 1);
        assert!(is_old || copy.exists(), "it is migrated, and there is no copy");
        if copy.exists() {
            assert_whole(&s, &copy);
            assert_eq!(schema_of(&s, &copy), 1);
        }
        s.run(["set", "shop.prices.new", "v"]).prints("");
        assert!(schema_of(&s, &file) > 1 && copy.exists());
        assert!(!side_file(&file, "-new-schema-1").exists(), "what was left is cleared away");
        s.run(["admin", "check"]).succeeds();
    }
    println!("{kills} kills");
}

/// Sets a value that is kept as it is.
fn set_long(s: &Sandbox, address: &str, length: usize) {
    let call = s.run(["set", address]).env("PRONTO_COMPRESS_ABOVE_BYTES", "0");
    call.stdin("y".repeat(length)).prints("");
}

/// A database with entries on many pages, all in the file.
fn filled() -> (Sandbox, PathBuf) {
    let s = sandbox();
    let entries: String = (0..400).map(|i| format!("k{i:03}={};", "x".repeat(100))).collect();
    s.run(["stream", "-p", "p", "-n", "n"]).env("PRONTO_SECURITY", "false").stdin(entries).succeeds();
    s.run(["create-cache", "p.c", "timeout=600 max_items=100"]).succeeds();
    for i in 0..5 {
        s.run(["set", &format!("p.c.k{i}"), "v"]).prints("");
    }
    set_long(&s, "p.n.large", 20_000);
    let file = database_file(&s, "main");
    fold_log(&s, &file);
    (s, file)
}

#[test]
fn a_database_in_order_is_said_to_be_whole() {
    let (s, _) = filled();
    let before = contents(&s);
    s.run(["admin", "check"]).prints("").stderr_has("is whole; 406 values were read");
    s.run(["admin", "check", "--quick"]).prints("").stderr_has("is whole\n");
    let told = json_of(s.run(["admin", "check", "--json"]));
    assert_eq!(told, serde_json::json!({"state":"good","problems":[],"more":false,"values":406,"unread":[]}));
    assert_eq!(before, contents(&s));
}

#[test]
fn damage_is_found_on_whatever_page_it_is() {
    let (s, file) = filled();
    let whole = fs::read(&file).unwrap();
    let pages = whole.len() / PAGE;
    assert!(pages > 10);
    for page in 0..pages {
        // Of a page that holds the rest of a long value, all is content but the number of the next one.
        for at in [0, 3] {
            let mut bytes = whole.clone();
            let place = page * PAGE + at + if page == 0 { 100 } else { 0 };
            bytes[place] ^= 0x5a;
            fs::write(&file, &bytes).unwrap();
            for suffix in ["-wal", "-shm"] {
                let _ = fs::remove_file(side_file(&file, suffix));
            }
            for args in
                [&["admin", "check"][..], &["admin", "check", "--quick"], &["admin", "check", "--json"]]
            {
                s.run(args).fails(7).stderr_has("damaged");
            }
        }
    }
}

#[test]
fn a_file_that_was_cut_off_is_damaged() {
    let (s, file) = filled();
    let whole = fs::read(&file).unwrap();
    for length in [100, PAGE, PAGE + 1, whole.len() / 2, whole.len() - PAGE, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(side_file(&file, suffix));
        }
        s.run(["admin", "check"]).fails(7).stderr_lacks("whole");
    }
}

#[test]
fn an_index_that_misses_rows_is_found_unless_the_look_is_quick() {
    let (s, file) = filled();
    let index = "(SELECT * FROM sqlite_schema WHERE name = 'entries_by_rank')";
    sql(&s, &file, &format!("CREATE TABLE kept AS SELECT * FROM {index}"));
    let unsafely = ".dbconfig defensive off\nPRAGMA writable_schema = ON;\n";
    for statements in [
        "DELETE FROM sqlite_schema WHERE name = 'entries_by_rank';",
        "UPDATE entries SET rank = rank + 100 WHERE name = 'k0';",
        "INSERT INTO sqlite_schema SELECT * FROM kept; DELETE FROM sqlite_schema WHERE name = 'kept';",
    ] {
        let script = format!("{unsafely}{statements}");
        s.run_other("sqlite3", [file.as_os_str()]).stdin(script).succeeds();
    }
    s.run(["admin", "check"]).fails(7).stdout_has("entries_by_rank");
}

#[test]
fn a_value_that_cannot_be_decoded_is_found_by_its_name() {
    let s = sandbox();
    s.run(["set", "p.n.long"]).stdin("words that come again ".repeat(1000)).prints("");
    sql(&s, &database_file(&s, "main"), "UPDATE entries SET value = zeroblob(length(value))");
    s.run(["admin", "check"]).fails(7).stdout_has("p.n.long").stderr_has("1 problem");
    s.run(["admin", "check", "--quick"]).succeeds();
    let outcome = s.run(["admin", "check", "--json"]).fails(7);
    let told: serde_json::Value = serde_json::from_str(&outcome.stdout()).unwrap();
    assert_eq!((&told["state"], told["problems"].as_array().unwrap().len()), (&"damaged".into(), 1));
}

#[test]
fn names_in_what_is_found_do_nothing_to_a_terminal() {
    let s = sandbox();
    s.run(["set", "p.n.k", "v"]).prints("");
    sql(
        &s,
        &database_file(&s, "main"),
        "UPDATE entries SET name = 'a' || char(27) || '[2J' || char(10), size = 9",
    );
    let outcome = s.run(["admin", "check"]).fails(7);
    outcome.require(outcome.stdout().lines().count() == 1, "expected one line");
    outcome.stdout_lacks("\u{1b}");
}

#[test]
fn encrypted_values_are_read_where_there_is_a_key() {
    let s = sandbox();
    let with = |args: &[&str]| s.run(args).env("PRONTO_PASSPHRASE", "open");
    with(&["admin", "namespace", "set", "p.n", "encrypt=on"]).succeeds();
    with(&["set", "p.n.k", "v"]).succeeds();
    with(&["admin", "check"]).prints("").stderr_has("1 value was read");
    s.run(["admin", "check"]).prints("").stderr_has("no key for the encrypted values of p.n");
    assert_eq!(json_of(s.run(["admin", "check", "--json"]))["unread"], serde_json::json!(["p.n"]));
    sql(&s, &database_file(&s, "main"), "UPDATE entries SET value = zeroblob(length(value))");
    with(&["admin", "check"]).fails(7).stdout_has("p.n.k");
}

/// A database most of which has been removed.
fn hollow() -> (Sandbox, PathBuf) {
    let (s, file) = filled();
    set_long(&s, "p.n.huge", 2_000_000);
    s.run(["del", "p.n.huge"]).prints("");
    fold_log(&s, &file);
    (s, file)
}

#[test]
fn a_vacuum_says_what_it_has_won() {
    let (s, file) = hollow();
    let listing = s.run(["scan"]).succeeds().stdout();
    let dry = json_of(s.run(["admin", "vacuum", "--dry-run", "--json"]));
    assert!(dry["unused_bytes"].as_u64().unwrap() > 1_000_000);
    let done = json_of(s.run(["admin", "vacuum", "--json"]));
    let number = |name: &str| done[name].as_u64().unwrap();
    assert!(number("bytes_before") > number("bytes_after") + 1_000_000, "{done}");
    assert_eq!(number("bytes_after"), fs::metadata(&file).unwrap().len());
    s.run(["scan"]).prints(listing);
    s.run(["admin", "check"]).succeeds();
}

#[test]
fn a_vacuum_waits_for_writers_no_longer_than_it_is_told() {
    let (s, _) = hollow();
    let holder = LockHolder::of(&s);
    s.run(["admin", "vacuum", "--busy-timeout-ms", "30"]).fails(4).stderr_has("busy");
    drop(holder);
    s.run(["admin", "vacuum"]).succeeds();
}

#[test]
fn a_vacuum_that_finds_no_room_changes_nothing() {
    let (s, file) = hollow();
    let listing = s.run(["scan"]).succeeds().stdout();
    let before = fs::read(&file).unwrap();
    let little = ["sh", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"];
    let mut outcome = s.run(["admin", "vacuum"]).under(little).outcome();
    assert_eq!(outcome.code(), Some(1), "{}", outcome.stderr());
    assert!(fs::read(&file).unwrap() == before);
    s.run(["scan"]).prints(listing);
    s.run(["admin", "check"]).succeeds();
}

#[test]
fn a_vacuum_that_is_killed_loses_nothing() {
    let (s, file) = hollow();
    let listing = s.run(["scan"]).succeeds().stdout();
    let whole = fs::read(&file).unwrap();
    let start = Instant::now();
    s.run(["admin", "vacuum"]).succeeds();
    let time = 2 * u64::try_from(start.elapsed().as_micros()).unwrap();
    let (mut dice, mut kills) = (Dice(0x9e37_79b9_7f4a_7c15), 0);
    for _ in 0..kills_of_a_worker() {
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(side_file(&file, suffix));
        }
        fs::write(&file, &whole).unwrap();
        kills += u64::from(kill_at_some_moment(s.spawn(["admin", "vacuum"]), &mut dice, time).is_none());
        s.run(["scan"]).prints(&listing);
        s.run(["set", "p.n.k000", &"x".repeat(100)]).prints("");
        assert_whole(&s, &file);
    }
    println!("{kills} kills");
}

#[test]
fn status_tells_how_things_stand() {
    let (s, _) = hollow();
    let before = contents(&s);
    let told = json_of(s.run(["admin", "status", "--json"]));
    for (name, value) in
        [("namespaces", 2), ("caches", 1), ("encrypted", 0), ("entries", 406), ("expired", 0)]
    {
        assert_eq!(told[name], value, "{name}");
    }
    assert_eq!((&told["state"], &told["concerns"]), (&"good".into(), &serde_json::json!([])));
    assert!(told["unused_bytes"].as_u64().unwrap() > 1_000_000 && told["log_frames"].is_u64());
    assert!(told["turn"].is_null() && told["write_lock"].is_null() && told["last_backup"].is_null());
    s.run(["admin", "status"]).succeeds().stdout_has("turn: free\n").stdout_has("entries: 406\n");
    assert_eq!(before, contents(&s));
}

#[test]
fn status_names_who_holds_the_locks() {
    let s = sandbox_with([("p.n.k", "v")]);
    let turn = File::open(side_file(&database_file(&s, "main"), "-turn")).unwrap();
    turn.lock().unwrap();
    let holder = LockHolder::of(&s);
    let told = json_of(s.run(["admin", "status", "--json"]));
    let names = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    assert!(names("turn").contains(&format!("process {} ", std::process::id())), "{told}");
    assert!(names("write_lock").contains(&format!("process {} (sqlite3", holder.0.id())), "{told}");
}

#[test]
fn status_knows_the_newest_backup_of_this_database() {
    let s = sandbox_with([("p.n.k", "v")]);
    let backups = data_folder(&s).join("backups");
    fs::create_dir(&backups).unwrap();
    for name in ["prontodb_main_20261125.tar.gz", "prontodb_other_20261126.tar.gz", "prontodb_main_x.tar.gz"]
    {
        fs::write(backups.join(name), "x").unwrap();
    }
    let told = json_of(s.run(["admin", "status", "--json"]));
    assert_eq!(told["last_backup"], backups.join("prontodb_main_20261125.tar.gz").to_str().unwrap());
}

#[test]
fn status_tells_of_an_old_schema() {
    let s = sandbox();
    put_old_file(&s);
    s.run(["admin", "status"])
        .succeeds()
        .stdout_has("schema 1 is old")
        .stdout_has("state: good, with concerns");
}

#[test]
fn a_catalog_of_another_shape_is_damage() {
    let s = sandbox_with([("p.n.k", "v")]);
    sql(&s, &database_file(&s, "main"), "CREATE TABLE sec_users(name TEXT)");
    refused(&s, &["admin", "user", "list"], 7, "damaged");
    s.run(["admin", "check"]).fails(7).stdout_has("sec_users");
}

#[test]
fn a_page_that_is_damaged_is_no_reason_to_lose_the_others() {
    let (s, file) = filled();
    File::options().write(true).open(&file).unwrap().write_all_at(&[0xff; 8], 8 * PAGE as u64).unwrap();
    s.run(["admin", "check"]).fails(7).stderr_has("restore the last backup");
    let codes =
        (0..400).step_by(10).map(|i| s.run(["get", &format!("p.n.k{i:03}")]).outcome().code().unwrap());
    let read =
        codes.inspect(|code| assert!([0, 7].contains(code), "{code}")).filter(|code| *code == 0).count();
    assert!((20..40).contains(&read), "{read} of 40 were read");
}
