//! Which database a command works in, and what becomes of its files.

use std::fs;
use std::path::Path;

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{
    assert_whole, contents, data_folder, database_file, json_of, mode_of, refused, refuses, sandbox,
    sandbox_with, side_file,
};

/// Whether anything at all stands beneath the home or the working directory.
fn is_untouched(s: &Sandbox) -> bool {
    let is_empty = |folder: &Path| fs::read_dir(folder).unwrap().next().is_none();
    is_empty(&s.home()) && is_empty(&s.path(""))
}

#[test]
fn the_default_database_is_main() {
    let s = sandbox_with([("k", "v")]);
    assert!(database_file(&s, "main").is_file());
    s.run(["--database", "main", "get", "k"]).prints("v\n");
}

#[test]
fn a_write_creates_the_database_of_a_name() {
    let s = sandbox();
    s.run(["set", "k", "v", "--database", "other.db-1_x"]).prints("");
    assert!(data_folder(&s).join("other.db-1_x/pronto.other.db-1_x.prdb").is_file());
    s.run(["get", "k", "--database", "other.db-1_x"]).prints("v\n");
    s.run(["get", "k"]).fails(2);
}

#[test]
fn a_file_anywhere_is_a_database() {
    let s = sandbox();
    s.run(["-d", "here.prdb", "set", "k", "v"]).prints("");
    s.run(["get", "k", "-d", "here.prdb"]).prints("v\n");
    s.run(["get", "k"]).env("PRONTO_DB", s.path("here.prdb")).prints("v\n");
    s.run(["get", "k"]).env("PRONTO_DB", "here.prdb").prints("v\n");
    assert!(s.path("here.prdb").is_file());
    assert!(!s.home().join(".local").exists(), "a database elsewhere needs nothing at home");
}

#[test]
fn a_database_by_file_needs_no_home() {
    let s = sandbox();
    s.run(["-d", "x.prdb", "set", "k", "v"]).env_remove("HOME").prints("");
    s.run(["-d", "x.prdb", "get", "k"]).env("HOME", "/dev/null").prints("v\n");
}

#[test]
fn flags_win_over_the_environment() {
    let s = sandbox();
    s.run(["-d", "a.prdb", "set", "k", "a"]).prints("");
    s.run(["--database", "b", "set", "k", "b"]).env("PRONTO_DB", "a.prdb").prints("");
    s.run(["get", "k"]).env("PRONTO_DB", "a.prdb").prints("a\n");
    s.run(["get", "k", "--database", "b"]).env("PRONTO_DB", "a.prdb").prints("b\n");
    s.run(["get", "k", "-d", "a.prdb"]).env("PRONTO_DB", "nowhere.prdb").prints("a\n");
}

#[test]
fn two_databases_at_once_are_refused() {
    let s = sandbox_with([("k", "v")]);
    refused(&s, &["-d", "x.prdb", "--database", "main", "get", "k"], 64, "usage").stderr_has("--database");
    refused(&s, &["-d", "x.prdb", "--database", "main", "set", "k", "1"], 64, "usage").stderr_has("-d");
}

#[test]
fn reads_of_a_database_that_does_not_exist_create_nothing_and_say_so() {
    let s = sandbox();
    for (args, code) in [
        (&["get", "k"][..], 2),
        (&["exists", "k"], 2),
        (&["ttl", "k"], 2),
        (&["keys"], 0),
        (&["keys", "p.n"], 0),
        (&["scan"], 0),
        (&["projects"], 0),
        (&["namespaces", "-p", "p"], 0),
        (&["nss"], 0),
    ] {
        for place in [
            &[][..],
            &["--database", "nowhere"],
            &["-d", "nowhere.prdb"],
            &["-d", "no/such/folder/nowhere.prdb"],
        ] {
            let outcome = s.run([place, args].concat()).fails(code).stdout_is("");
            outcome.require(!outcome.stderr().is_empty(), "expected a line on stderr");
            if let Some(name) = place.last() {
                outcome.require(outcome.stderr().contains(name), "expected the database on stderr");
            }
            assert!(is_untouched(&s), "{args:?}");
        }
    }
}

#[test]
fn reads_of_a_database_that_does_not_exist_answer_as_an_empty_one_would() {
    let s = sandbox();
    s.run(["keys", "--count"]).prints("0\n");
    assert_eq!(json_of(s.run(["keys", "--json"])), serde_json::json!([]));
    assert_eq!(json_of(s.run(["nss", "--json"])), serde_json::json!([]));
    assert!(is_untouched(&s));
}

#[test]
fn refused_commands_create_no_database() {
    let s = sandbox();
    for args in [
        &["set", "a.b.c.d", "v"][..],
        &["set", "k"],
        &["set", "k", "v", "--bogus"],
        &["set", "k", "{", "--json"],
        &["create-cache", "p.c", "abc"],
        &["set", "k", "v", "--ttl", "abc"],
        &["incr", "k", "abc"],
        &["nonsense"],
        &["help"],
        &["doctor"],
        &["config", "list"],
    ] {
        s.run(args).ends();
        assert!(is_untouched(&s), "{args:?}");
    }
}

#[test]
fn names_of_databases_are_never_paths() {
    let s = sandbox();
    for name in ["../x", "a/b", "/etc/x", ".hidden", "..", ".", "", "a b", "é", "a\n", "a:b", "a%b"] {
        refuses(&s, s.run(["--database", name, "set", "k", "v"]), 1).stderr_has("database");
        refuses(&s, s.run(["--database", name, "get", "k"]), 1).stderr_has("database");
    }
    assert!(is_untouched(&s));
}

#[test]
fn cursors_and_backups_are_reserved() {
    let s = sandbox();
    for name in ["cursors", "backups"] {
        refused(&s, &["--database", name, "set", "k", "1"], 1, "invalid").stderr_has(name);
        refused(&s, &["--database", name, "get", "k"], 1, "invalid").stderr_has(name);
    }
    assert!(is_untouched(&s));
}

#[test]
fn names_of_files_are_names_of_files() {
    let s = sandbox();
    for file in [":memory:", "file:x?mode=memory", "a b'c\".prdb", "x.prdb?immutable=1", "ü"] {
        s.run(["-d", file, "set", "k", file]).prints("");
        s.run(["-d", file, "get", "k"]).prints(format!("{file}\n"));
        assert!(s.path(file).is_file(), "{file}");
    }
}

#[test]
fn an_empty_file_name_is_refused() {
    let s = sandbox();
    s.run(["-d", "", "set", "k", "v"]).fails_with_one_of(&[1, 64]);
    assert!(is_untouched(&s));
}

#[test]
fn files_are_0600_and_folders_0700_whatever_the_umask() {
    for mask in ["000", "022", "077"] {
        let s = sandbox();
        let script = format!("umask {mask}; exec \"$@\"");
        let under = ["sh", "-c", &script, "sh"];
        s.run(["set", "k", "v"]).under(under).prints("");
        s.run(["-d", "x.prdb", "set", "k", "v"]).under(under).prints("");
        s.run(["get", "k"]).under(under).prints("v\n");
        for folder in [".local/data/odx/prontodb/main", ".local/data/odx/prontodb"] {
            assert_eq!(mode_of(&s.home().join(folder)), 0o700, "{folder} under {mask}");
        }
        for file in [database_file(&s, "main"), s.path("x.prdb")] {
            assert_eq!(mode_of(&file), 0o600, "{} under {mask}", file.display());
            for suffix in ["-wal", "-shm", "-turn"] {
                let side = side_file(&file, suffix);
                assert!(!side.exists() || mode_of(&side) == 0o600, "{} under {mask}", side.display());
            }
        }
    }
}

#[test]
fn ten_databases_live_side_by_side() {
    let s = sandbox();
    let names: Vec<_> = (0..10).map(|i| format!("db{i}")).collect();
    let writers: Vec<_> =
        names.iter().map(|name| s.spawn(["--database", name, "set", "p.n.k", name])).collect();
    for writer in writers {
        writer.wait().prints("");
    }
    for name in &names {
        s.run(["--database", name, "get", "p.n.k"]).prints(format!("{name}\n"));
        s.run(["--database", name, "keys", "--count"]).prints("1\n");
    }
    assert_eq!(contents(&s).len(), 10);
}

#[test]
fn other_programs_find_the_database_whole() {
    let s = sandbox_with([("p.n.k", "v"), ("p.n.l", "w")]);
    assert_whole(&s, &database_file(&s, "main"));
    s.run(["set", "p.n.m", "x"]).prints("");
    s.run(["scan", "p.n"]).prints("k=v\nl=w\nm=x\n");
}

#[test]
fn a_symbolic_link_to_a_database_is_that_database() {
    let s = sandbox();
    s.run(["-d", "real.prdb", "set", "k", "v"]).prints("");
    std::os::unix::fs::symlink("real.prdb", s.path("link.prdb")).unwrap();
    s.run(["-d", "link.prdb", "get", "k"]).prints("v\n");
    s.run(["-d", "link.prdb", "set", "k", "w"]).prints("");
    s.run(["-d", "real.prdb", "get", "k"]).prints("w\n");
}
