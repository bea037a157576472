//! Faults that were found in use and in review: each was there, and has a test that it stays away.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{LockHolder, assert_whole, database_file, refused, sandbox, sandbox_with, wait_until};

/// Making a database once renamed an empty file over what another process had just made.
#[test]
fn hasty_first_writes_lose_nothing() {
    for _ in 0..3 {
        let s = sandbox();
        let set = |i| s.spawn(["--busy-timeout-ms", "1", "set", &format!("p.n.k{i:02}"), "v"]);
        let writers: Vec<_> = (0..16).map(set).collect();
        let mut acknowledged = String::new();
        for (i, writer) in writers.into_iter().enumerate() {
            let mut outcome = writer.wait();
            let code = outcome.code();
            outcome.require(matches!(code, Some(0 | 4)), "expected success, or too long a wait");
            if code == Some(0) {
                acknowledged.push_str(&format!("k{i:02}\n"));
            }
        }
        s.run(["keys", "p.n"]).prints(acknowledged);
        assert_whole(&s, &database_file(&s, "main"));
    }
}

#[test]
fn a_link_that_leads_nowhere_yet_is_followed() {
    let s = sandbox();
    fs::create_dir(s.path("disk")).unwrap();
    symlink("disk/real.prdb", s.path("link.prdb")).unwrap();
    s.run(["-d", "link.prdb", "set", "p.n.k", "v"]).prints("");
    assert!(s.path("link.prdb").is_symlink() && s.path("disk/real.prdb").is_file());
    s.run(["-d", "disk/real.prdb", "get", "p.n.k"]).prints("v\n");
}

/// What somebody puts where a fresh database is prepared is neither followed nor used.
#[test]
fn planted_links_are_not_written_through() {
    let s = sandbox();
    fs::write(s.path("victim"), "precious").unwrap();
    symlink("victim", s.path("x.prdb-new")).unwrap();
    s.run(["-d", "x.prdb", "set", "p.n.k", "v"]).prints("");
    assert_eq!(fs::read(s.path("victim")).unwrap(), b"precious");
}

/// SIGALRM that the parent ignores is ignored in its children too, and once was what ends the wait.
#[test]
fn waits_end_when_alarms_are_ignored() {
    let s = sandbox_with([("p.n.k", "1")]);
    let turn = database_file(&s, "main").with_extension("prdb-turn");
    let holder = File::options().write(true).open(turn).unwrap();
    holder.lock().unwrap();
    let start = Instant::now();
    let call = s.run(["--busy-timeout-ms", "400", "set", "p.n.k", "2"]);
    call.under(["sh", "-c", "trap '' ALRM; exec \"$0\" \"$@\""])
        .ends()
        .require(start.elapsed() < Duration::from_secs(3), "expected that the wait ends");
}

#[test]
fn readers_of_caches_do_not_wait_for_writers() {
    let s = sandbox();
    s.run(["create-cache", "p.lru", "60 max_items=5 policy=lru"]).prints("");
    s.run(["create-cache", "p.evict", "60 evict_on_read=1"]).prints("");
    s.run(["set", "p.lru.k", "v"]).prints("");
    s.run(["set", "p.evict.k", "v", "--ttl", "1ms"]).prints("");
    let holder = LockHolder::of(&s);
    let start = Instant::now();
    s.run(["get", "p.lru.k"]).prints("v\n");
    s.run(["exists", "p.evict.k"]).fails(2);
    s.run(["keys", "p.evict"]).prints("");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(holder);
}

#[test]
fn another_policy_brings_another_order() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "60 max_items=3 policy=lru"]).prints("");
    for key in ["a", "b", "c"] {
        s.run(["set", &format!("p.c.{key}"), "v"]).prints("");
    }
    s.run(["get", "p.c.a"]).prints("v\n");
    s.run(["admin", "set-cache", "p.c", "policy=fifo"]).prints("");
    s.run(["set", "p.c.d", "v"]).prints("");
    s.run(["keys", "p.c"]).prints("b\nc\nd\n");
}

#[test]
fn a_move_that_does_not_fit_keeps_the_source() {
    let s = sandbox_with([("p.n.k", "a value that is too long")]);
    s.run(["create-cache", "p.c", "60 max_bytes=10"]).prints("");
    refused(&s, &["rename", "p.n.k", "p.c.k"], 6, "limit");
    s.run(["get", "p.n.k"]).prints("a value that is too long\n");
}

#[test]
fn stdout_as_a_file_is_stdout() {
    let s = sandbox_with([("p.n.k", "v")]);
    let script = "echo before; \"$0\" get p.n.k --output /dev/stdout; echo; echo after";
    s.run_other("sh", ["-c", &format!("{{ {script}; }} > out"), s.program().to_str().unwrap()]).succeeds();
    assert_eq!(fs::read_to_string(s.path("out")).unwrap(), "before\nv\nafter\n");
}

#[test]
fn values_of_flags_ask_for_no_help() {
    let s = sandbox_with([("p.n.k", "-h")]);
    s.run(["set", "p.n.k", "new", "--if-value", "-h"]).prints("");
    s.run(["get", "p.n.k"]).prints("new\n");
    s.run(["keys", "p.n", "--glob", "--help"]).prints("").stderr_has("nothing matches");
}

#[test]
fn lines_that_are_no_addresses_are_told_of() {
    let s = sandbox();
    s.run(["--ns-delim", "|", "set", "p|n.x|k", "v"]).prints("");
    s.run(["keys"]).prints("p.n.x.k\n").stderr_has("--ns-delim");
    s.run(["nss"]).prints("p.n.x\n").stderr_has("--ns-delim");
    s.run(["keys", "--ns-delim", "|"]).prints("p|n.x|k\n").stderr_is("");
}

#[test]
fn writers_are_names_of_one_line() {
    let s = sandbox();
    s.run(["set", "p.n.k", "v"]).env("USER", "a\tb\nversion: 9").prints("");
    s.run(["get", "p.n.k", "--meta"]).succeeds().stdout_has("writer: -\n").stdout_lacks("version: 9");
}

/// A row with a large value was once read whole whenever its name was compared.
#[test]
fn large_values_leave_small_ones_alone() {
    let s = sandbox();
    let large = "x".repeat(1 << 20);
    for i in 0..24 {
        s.run(["set", &format!("p.n.large{i:02}")]).stdin(large.clone()).prints("");
        s.run(["set", &format!("p.n.small{i:02}"), "v"]).prints("");
    }
    let trace = s.path("trace");
    s.run(["get", "p.n.small10"])
        .under(["strace", "-o", trace.to_str().unwrap(), "-e", "trace=pread64"])
        .prints("v\n");
    let reads = fs::read_to_string(trace).unwrap();
    let bytes: u64 = reads.lines().filter_map(|line| line.rsplit("= ").next()?.parse::<u64>().ok()).sum();
    assert!(bytes < 1 << 20, "{bytes} bytes were read for a small value");
    s.run(["get", "p.n.large23"]).prints(format!("{large}\n"));
}

/// What a durable write is acknowledged for must be found again: in a file whose name is on disk.
#[test]
fn durable_writes_sync_the_folder_of_a_new_log_once() {
    let s = sandbox_with([("p.n.k", "v")]);
    let syncs_of_folder = |value: &str| {
        let trace = s.path("trace");
        let strace = ["strace", "-y", "-o", trace.to_str().unwrap(), "-e", "trace=fsync,fdatasync"];
        s.run(["--durable", "set", "p.n.k", value]).under(strace).prints("");
        let folder = format!("<{}>", database_file(&s, "main").parent().unwrap().display());
        fs::read_to_string(trace).unwrap().lines().filter(|line| line.contains(&folder)).count()
    };
    assert_eq!([syncs_of_folder("1"), syncs_of_folder("2"), syncs_of_folder("3")], [1, 0, 0]);
    // A program that closes the database last removes the log.
    s.run_other("sqlite3", [database_file(&s, "main").to_str().unwrap(), "PRAGMA user_version"]).succeeds();
    assert_eq!([syncs_of_folder("4"), syncs_of_folder("5")], [1, 0]);
}

/// Two names have two logs, and each would miss what the other holds.
#[test]
fn files_with_two_names_are_refused() {
    let s = sandbox();
    s.run(["-d", "one.prdb", "set", "p.n.k", "v"]).prints("");
    fs::hard_link(s.path("one.prdb"), s.path("two.prdb")).unwrap();
    refused(&s, &["-d", "two.prdb", "set", "p.n.k", "5"], 1, "unsupported")
        .stderr_has("2 names")
        .stderr_lacks("hint");
    refused(&s, &["-d", "one.prdb", "get", "p.n.k"], 1, "unsupported");
    fs::remove_file(s.path("two.prdb")).unwrap();
    s.run(["-d", "one.prdb", "get", "p.n.k"]).prints("v\n");
}

/// Somebody who may only read a database leaves nothing of theirs beside it.
#[test]
fn readers_who_may_not_write_make_no_files() {
    let s = sandbox();
    s.run(["-d", "shared.prdb", "set", "p.n.k", "v"]).prints("");
    s.run_other("sqlite3", ["shared.prdb", "PRAGMA wal_checkpoint(TRUNCATE)"]).succeeds();
    assert!(!s.path("shared.prdb-wal").exists(), "the last to close removes the log");
    for (path, mode) in [(s.path(""), 0o777), (s.path("shared.prdb"), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut outcome = s.run(["-d", "shared.prdb", "get", "p.n.k"]).under(other).ends();
    if outcome.code() == Some(0) {
        outcome.stdout_is("v\n");
    } else {
        // Not root, or a program that others cannot reach: then there is nobody else to be.
        outcome.require(true, "");
    }
    assert!(!s.path("shared.prdb-wal").exists() && !s.path("shared.prdb-shm").exists());
    s.run(["-d", "shared.prdb", "set", "p.n.k", "w"]).prints("");
}

#[test]
fn writes_that_need_an_entry_make_no_database() {
    let s = sandbox();
    for args in [
        &["touch", "a"][..],
        &["rename", "a", "b"],
        &["copy", "a", "b"],
        &["set", "a", "v", "--if-present"],
        &["set", "a", "v", "--if-version", "3"],
        &["admin", "drop-cache", "p.c"],
    ] {
        s.run([&["--database", "typo"], args].concat())
            .fails_with_one_of(&[1, 2, 3])
            .stderr_has("no database");
    }
    s.run(["--database", "typo", "del", "a"]).prints("").stderr_has("no database");
    assert!(!database_file(&s, "typo").exists());
}

#[test]
fn limits_say_how_many_they_drive_out() {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b", "2"), ("p.n.c", "3")]);
    s.run(["create-cache", "p.n", "60 max_items=1"]).prints("").stderr_has("2 entries");
    s.run(["keys", "p.n"]).prints("c\n");
    s.run(["admin", "set-cache", "p.n", "max_items=5"]).prints("").stderr_is("");
}

/// Whether a child of this process has a file open.
fn a_child_has_open(parent: u32, file: &Path) -> bool {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    children.split_whitespace().any(|child| {
        let descriptors = fs::read_dir(format!("/proc/{child}/fd")).into_iter().flatten().flatten();
        descriptors
            .into_iter()
            .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|open| open == file))
    })
}

/// A process that has opened a file which is then moved away must not write to the log that has come in its place.
#[test]
fn a_file_that_was_moved_away_is_not_written() {
    let s = sandbox_with([("p.n.first", "v")]);
    let folder = database_file(&s, "main").parent().unwrap().to_owned();
    let log = folder.join("pronto.main.prdb-wal");
    let slowly = [
        "strace",
        "-o",
        "/dev/null",
        "-P",
        log.to_str().unwrap(),
        "-e",
        "inject=open,openat:delay_enter=2000000",
    ];
    let victim = s.run(["set", "p.n.victim", "v"]).under(slowly).spawn();
    let file = database_file(&s, "main");
    wait_until("the file is open", || a_child_has_open(victim.id(), &file));
    fs::rename(&folder, s.path("aside")).unwrap();
    s.run(["set", "p.n.new", "v"]).prints("");
    let mut outcome = victim.wait();
    let code = outcome.code();
    // Where another file has the name by then, the write goes there.
    outcome.require(matches!(code, Some(0 | 1 | 4)), "expected a refusal, or a write to the file of now");
    s.run(["set", "p.n.last", "v"]).prints("");
    let expected = if code == Some(0) { "last\nnew\nvictim\n" } else { "last\nnew\n" };
    s.run(["keys", "p.n"]).prints(expected);
    s.run(["-d", "aside/pronto.main.prdb", "keys", "p.n"]).prints("first\n");
}
