//! Input that is no text, and files that are no database of ours.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prontodb_testkit::sandbox::Sandbox;

use crate::common::{
    assert_whole, database_file, fold_log, refused, refuses, sandbox, sandbox_with, side_file, sql,
};

const NOT_UTF8: &[u8] = b"\xff\xfe\x80abc\xc3\x28";

fn not_utf8() -> OsString {
    OsString::from_vec(NOT_UTF8.to_vec())
}

fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

// Bytes that are no UTF-8.

#[test]
fn keys_that_are_no_utf8_are_refused() {
    let s = sandbox_with([("k", "v")]);
    for command in ["get", "set", "del", "exists", "incr", "append", "touch", "ttl", "keys", "scan"] {
        let mut args = words([command]);
        args.push(not_utf8());
        args.extend(words(["1"]).into_iter().take(usize::from(["set", "append"].contains(&command))));
        refuses(&s, s.run(args), 1).stderr_has("UTF-8");
    }
    for command in ["rename", "copy"] {
        refuses(&s, s.run([OsString::from(command), "k".into(), not_utf8()]), 1).stderr_has("UTF-8");
        refuses(&s, s.run([OsString::from(command), not_utf8(), "k".into()]), 1).stderr_has("UTF-8");
    }
    refuses(&s, s.run([OsString::from("create-cache"), not_utf8(), "5".into()]), 1).stderr_has("UTF-8");
}

#[test]
fn flags_that_are_no_utf8_are_refused() {
    let s = sandbox_with([("k", "v")]);
    for flag in ["-p", "-n", "--key", "--context", "--ns-delim", "--database"] {
        let outcome = s.run(words([flag])).arg(not_utf8()).arg("get").arg("k").fails_with_one_of(&[1, 64]);
        outcome.require(outcome.stderr().starts_with("prontodb: "), "expected a reason");
    }
    refuses(&s, s.run([not_utf8()]), 64);
    let long = [&b"--"[..], NOT_UTF8].concat();
    refuses(&s, s.run(words(["get", "k"])).arg(OsString::from_vec(long)), 64);
}

#[test]
fn files_may_have_names_that_are_no_utf8() {
    let s = sandbox();
    s.run(words(["set", "k", "v", "-d"])).arg(not_utf8()).prints("");
    s.run(words(["get", "k", "-d"])).arg(not_utf8()).prints("v\n");
    s.run(words(["get", "k", "--output"])).arg(not_utf8()).fails(2);
    fs::write(s.path("").join(std::ffi::OsStr::from_bytes(b"\xfe")), "of a file").unwrap();
    s.run(words(["set", "k", "--file"])).arg(OsString::from_vec(b"\xfe".to_vec())).prints("");
    s.run(["get", "k"]).prints("of a file\n");
}

#[test]
fn values_that_are_no_utf8_are_kept_by_every_way_in_and_out() {
    let s = sandbox();
    fs::write(s.path("value"), NOT_UTF8).unwrap();
    s.run(words(["set", "p.n.argument"])).arg(not_utf8()).prints("");
    s.run(["set", "p.n.stdin"]).stdin(NOT_UTF8).prints("");
    s.run(["set", "p.n.dash", "-"]).stdin(NOT_UTF8).prints("");
    s.run(["set", "p.n.file", "--file", "value"]).prints("");
    s.run(words(["append", "p.n.append"])).arg(not_utf8()).prints("");
    s.run(["copy", "p.n.stdin", "p.n.copy"]).prints("");
    for key in ["argument", "stdin", "dash", "file", "append", "copy"] {
        let address = format!("p.n.{key}");
        s.run(["get", &address, "--raw"]).prints(NOT_UTF8);
        s.run(["get", &address]).prints([NOT_UTF8, b"\n"].concat());
        s.run(["get", &address, "--b64"]).prints(format!("{}\n", BASE64_STANDARD.encode(NOT_UTF8)));
        s.run(["get", &address, "--output", "out"]).prints("");
        assert_eq!(fs::read(s.path("out")).unwrap(), NOT_UTF8);
    }
    s.run(["scan", "p.n.file", "-0"]).prints([b"file=", NOT_UTF8, b"\0"].concat());
}

#[test]
fn values_to_compare_with_may_be_no_utf8() {
    let s = sandbox();
    s.run(["set", "k"]).stdin(NOT_UTF8).prints("");
    s.run(words(["set", "k", "v", "--if-value"])).arg(not_utf8()).prints("");
    s.run(words(["set", "k", "w", "--if-value"])).arg(not_utf8()).fails(3);
    s.run(["get", "k"]).prints("v\n");
}

#[test]
fn json_that_is_no_utf8_is_refused() {
    let s = sandbox_with([("k", "v")]);
    refuses(&s, s.run(words(["--json", "set", "k"])).arg(not_utf8()), 1);
}

// Files that are no database of ours.

/// Expects that reads and writes of a file fail with this code and leave the file alone; returns what they say.
#[track_caller]
fn is_left_alone(s: &Sandbox, file: &str, code: i32) -> String {
    let before = fs::read(s.path(file)).unwrap();
    let mut said = String::new();
    for args in [
        &["get", "p.n.k"][..],
        &["set", "p.n.k", "v"],
        &["keys"],
        &["scan", "p.n"],
        &["del", "p.n.k"],
        &["incr", "p.n.k"],
        &["nss"],
        &["create-cache", "p.c", "5"],
        &["admin", "gc"],
    ] {
        let outcome = s.run([&["-d", file], args].concat()).fails(code).stdout_is("").stderr_has(file);
        assert!(fs::read(s.path(file)).unwrap() == before, "{args:?} has changed {file}");
        outcome.require(outcome.stderr().starts_with("prontodb: "), "expected a reason");
        said = outcome.stderr_lacks("delete").stderr_lacks("rm ").stderr();
    }
    said
}

#[test]
fn a_text_file_is_no_database_and_left_alone() {
    let s = sandbox();
    fs::write(s.path("notes.txt"), "Things to buy: bread, milk and a database.\n".repeat(100)).unwrap();
    let said = is_left_alone(&s, "notes.txt", 7);
    assert!(said.contains("ProntoDB database"), "{said}");
}

#[test]
fn a_short_text_file_is_no_database_and_left_alone() {
    let s = sandbox();
    for text in ["x", "xy", "SQLite format 3\0", "SQLite format 3\0 but no more than that"] {
        fs::write(s.path("short"), text).unwrap();
        is_left_alone(&s, "short", 7);
    }
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let s = sandbox();
    sql(&s, &s.path("bookmarks.db"), "CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')");
    let said = is_left_alone(&s, "bookmarks.db", 1);
    assert!(said.contains("another program"), "{said}");
    refused(&s, &["-d", "bookmarks.db", "set", "k", "1"], 1, "foreign");
}

#[test]
fn a_database_of_another_program_with_our_version_number_is_left_alone() {
    let s = sandbox();
    sql(&s, &s.path("bookmarks.db"), "PRAGMA user_version = 1; CREATE TABLE entries (url TEXT)");
    is_left_alone(&s, "bookmarks.db", 1);
}

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let s = sandbox();
    s.run(["-d", "later.prdb", "set", "p.n.k", "v"]).prints("");
    sql(&s, &s.path("later.prdb"), "PRAGMA user_version = 1000000");
    fold_log(&s, &s.path("later.prdb"));
    let said = is_left_alone(&s, "later.prdb", 1);
    assert!(said.contains("newer") || said.contains("later version"), "{said}");
}

/// A database in one file, with enough entries for many pages.
fn sizeable_database(s: &Sandbox) -> PathBuf {
    for i in 0..8 {
        s.run(["-d", "x.prdb", "set", &format!("p.n.k{i}")]).stdin("v".repeat(5000)).prints("");
    }
    s.run(["-d", "x.prdb", "set", "p.n.k", "v"]).prints("");
    let file = s.path("x.prdb");
    fold_log(s, &file);
    file
}

#[test]
fn a_truncated_database_is_damaged_and_left_alone() {
    let s = sandbox();
    let file = sizeable_database(&s);
    let whole = fs::read(&file).unwrap();
    for length in [whole.len() / 2, 5000, 4096, 4095, 512, 99, 20] {
        fs::write(&file, &whole[..length]).unwrap();
        let said = is_left_alone(&s, "x.prdb", 7);
        assert!(!said.contains("busy"), "{said}");
    }
    fs::write(&file, &whole).unwrap();
    s.run(["-d", "x.prdb", "get", "p.n.k"]).prints("v\n");
}

#[test]
fn an_overwritten_database_is_damaged_and_left_alone() {
    let s = sandbox();
    let file = sizeable_database(&s);
    let mut bytes = fs::read(&file).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(&file, &bytes).unwrap();
    refuses(&s, s.run(["-d", "x.prdb", "get", "p.n.k"]), 7).stderr_has("x.prdb");
    refuses(&s, s.run(["-d", "x.prdb", "set", "p.n.k", "w"]), 7).stderr_has("x.prdb");
    assert!(fs::read(&file).unwrap() == bytes);
}

#[test]
fn damage_is_told_apart_in_json() {
    let s = sandbox();
    fs::write(s.path("x.prdb"), "no database\n".repeat(100)).unwrap();
    refused(&s, &["-d", "x.prdb", "get", "k"], 7, "damaged");
}

#[test]
fn an_empty_file_becomes_a_database() {
    let s = sandbox();
    fs::write(s.path("x.prdb"), "").unwrap();
    s.run(["-d", "x.prdb", "get", "k"]).fails(2);
    assert_eq!(fs::read(s.path("x.prdb")).unwrap(), b"");
    s.run(["-d", "x.prdb", "set", "k", "v"]).prints("");
    s.run(["-d", "x.prdb", "get", "k"]).prints("v\n");
}

#[test]
fn side_files_of_garbage_harm_nothing() {
    let s = sandbox();
    let file = sizeable_database(&s);
    for suffix in ["-wal", "-shm"] {
        fs::write(side_file(&file, suffix), "garbage\n".repeat(5000)).unwrap();
    }
    s.run(["-d", "x.prdb", "get", "p.n.k"]).prints("v\n");
    s.run(["-d", "x.prdb", "set", "p.n.k", "w"]).prints("");
    s.run(["-d", "x.prdb", "get", "p.n.k"]).prints("w\n");
    assert_whole(&s, &file);
}

#[test]
fn places_that_hold_no_files_are_refused_and_do_not_hang() {
    let s = sandbox();
    fs::create_dir(s.path("folder")).unwrap();
    s.run_other("mkfifo", [s.path("fifo")]).succeeds();
    for place in ["folder", "fifo", "/dev/null", "/dev/zero", "/dev/full"] {
        for args in [&["set", "k", "v"][..], &["get", "k"]] {
            let call = s.run([&["-d", place], args].concat()).within(Duration::from_secs(15));
            call.fails_with_one_of(&[1, 5, 7]).stdout_is("").stderr_has(place);
        }
    }
}

// Homes that are none.

#[test]
fn homes_that_are_none_are_refused_by_name() {
    let s = sandbox();
    for args in [["set", "k", "v"].as_slice(), &["get", "k"], &["keys"]] {
        s.run(args).env_remove("HOME").fails(1).stdout_is("").stderr_has("HOME");
        s.run(args).env("HOME", "").fails(1).stdout_is("").stderr_has("HOME");
        s.run(args).env("HOME", "relative").fails(1).stdout_is("").stderr_has("HOME");
    }
    assert!(!s.path("relative").exists());
}

#[test]
fn a_home_that_is_no_folder_cannot_be_written_to() {
    let s = sandbox();
    s.run(["set", "k", "v"]).env("HOME", "/dev/null").fails(1).stdout_is("").stderr_has("/dev/null");
    s.run(["get", "k"]).env("HOME", "/dev/null").ends().stdout_is("").stderr_has("/dev/null");
}

#[test]
fn help_and_version_need_no_home() {
    let s = sandbox();
    s.run(["help"]).env_remove("HOME").succeeds();
    s.run(["version"]).env_remove("HOME").succeeds();
    s.run(["get", "--help"]).env("HOME", "/dev/null").succeeds();
}

#[test]
fn home_is_data_as_well() {
    let s = sandbox();
    let home = s.path("it's a \"home\"; $(touch pwned) ?mode=memory#x");
    fs::create_dir(&home).unwrap();
    s.run(["set", "k", "v"]).env("HOME", &home).prints("");
    s.run(["get", "k"]).env("HOME", &home).prints("v\n");
    assert!(home.join(".local/data/odx/prontodb/main/pronto.main.prdb").is_file());
}

#[test]
fn a_file_in_place_of_a_folder_is_an_error_by_name() {
    let s = sandbox();
    fs::write(s.home().join(".local"), "a file").unwrap();
    s.run(["set", "k", "v"]).fails(1).stdout_is("").stderr_has(".local");
    assert_eq!(fs::read(s.home().join(".local")).unwrap(), b"a file");
    assert!(!database_file(&s, "main").exists());
}
