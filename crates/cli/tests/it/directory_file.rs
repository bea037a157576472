//! `.prontodb` in a directory, and `prontodb allow` and `deny`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use prontodb_testkit::sandbox::{Call, Sandbox};
use serde_json::json;

use crate::common::{contents, database_file, json_of, mode_of, refused, sandbox};
use crate::contexts::{
    LITTLE_MEMORY, directory_file, follow, gigantic_file, home_is_empty, stopped, two_files, work,
};

/// A sandbox with the databases `a.prdb` and `b.prdb`, and `deep/er` beneath the working directory.
fn place() -> Sandbox {
    let s = two_files();
    fs::create_dir_all(s.path("deep/er")).unwrap();
    s
}

fn get(s: &Sandbox, directory: &str) -> Call {
    s.run(["get", "p.n.k"]).current_dir(directory)
}

/// Expects that `.prontodb` keeps commands in a directory from doing anything.
#[track_caller]
fn assert_denied(s: &Sandbox, directory: &str) {
    for args in [&["get", "p.n.k"][..], &["set", "p.n.k", "1"], &["keys"], &["del", "p.n.k"]] {
        let before = contents(s);
        let run = || s.run(args).current_dir(directory);
        let outcome = run().fails(5).stdout_is("").stderr_has("prontodb allow").stderr_has("prontodb deny");
        outcome.require(outcome.stderr().contains(".prontodb"), "expected the file's path");
        run().arg("--json").fails(5).stdout_is("").stderr_has("\"kind\":\"denied\"");
        assert!(before == contents(s), "{args:?} writes something");
    }
}

// Allowing.

#[test]
fn a_file_that_is_allowed_selects_a_database_of_a_name() {
    let s = place();
    follow(&s, &["--database other set p.n.k other"]);
    directory_file(&s, "", "database = \"other\"\n");
    s.run(["allow"]).prints("").stderr_has("other");
    for directory in ["", "deep", "deep/er"] {
        get(&s, directory).prints("other\n");
    }
}

#[test]
fn a_relative_file_stands_beside_the_directory_file() {
    let s = place();
    directory_file(&s, "deep", "file = '../a.prdb'");
    s.run(["allow", "deep"]).prints("").stderr_has("a.prdb");
    get(&s, "deep").prints("a\n");
    get(&s, "deep/er").prints("a\n");
    get(&s, "").fails(2);
    directory_file(&s, "deep", "file = 'own.prdb'");
    follow(&s, &["allow deep"]);
    s.run(["set", "p.n.k", "own"]).current_dir("deep/er").prints("");
    assert!(s.path("deep/own.prdb").is_file());
}

#[test]
fn an_absolute_file_is_that_file() {
    let s = place();
    directory_file(&s, "deep", format!("file = '{}'", work(&s).join("b.prdb").display()));
    follow(&s, &["allow deep"]);
    get(&s, "deep").prints("b\n");
}

#[test]
fn project_and_namespace_complete_addresses() {
    let s = place();
    directory_file(&s, "", "# Ours.\nfile = 'a.prdb'\nproject = 'p'\nnamespace = 'n'\n");
    follow(&s, &["allow", "set l 2"]);
    s.run(["get", "k"]).prints("a\n");
    s.run(["keys"]).prints("k\nl\n");
    s.run(["-d", "a.prdb", "get", "p.n.l"]).prints("2\n");
    s.run(["-d", "a.prdb", "get", "k"]).fails(2);
}

#[test]
fn allow_takes_the_file_its_directory_or_the_nearest() {
    for (argument, directory) in
        [(None, ""), (None, "deep/er"), (Some("."), ""), (Some(".prontodb"), ""), (Some(".."), "deep")]
    {
        let s = place();
        directory_file(&s, "", "file = 'a.prdb'");
        s.run(["allow"].into_iter().chain(argument)).current_dir(directory).prints("");
        get(&s, "deep").prints("a\n");
    }
}

#[test]
fn allow_without_a_file_is_an_error() {
    let s = place();
    for args in [&["allow"][..], &["allow", "deep"], &["allow", "deep/.prontodb"], &["allow", "nowhere"]] {
        stopped(&s, args, 1);
    }
    assert!(home_is_empty(&s));
}

#[test]
fn what_is_remembered_is_private() {
    fn assert_private(path: &Path) {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode_of(path), wanted, "{}", path.display());
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| assert_private(&entry.unwrap().path()));
        }
    }
    let s = place();
    directory_file(&s, "", "file = 'a.prdb'");
    directory_file(&s, "deep", "file = 'a.prdb'");
    for args in [&["allow"][..], &["deny", "deep"]] {
        s.run(args).under(["sh", "-c", "umask 000; exec \"$@\"", "sh"]).prints("");
    }
    assert_private(&s.home().join(".local/data/odx/prontodb"));
}

#[test]
fn many_may_allow_at_once() {
    let s = two_files();
    let places: Vec<_> = (0..24).map(|i| format!("place{i}")).collect();
    // Each round has other contents, so that what an earlier one remembered is of no use.
    for file in ["a", "b", "a", "b"] {
        for place in &places {
            directory_file(&s, place, format!("file = '../{file}.prdb'"));
        }
        let running: Vec<_> = places.iter().map(|place| s.spawn(["allow", place])).collect();
        for process in running {
            process.wait().prints("");
        }
        for place in &places {
            get(&s, place).prints(format!("{file}\n"));
        }
    }
}

// Not allowed.

#[test]
fn a_file_that_was_never_allowed_stops_what_comes_down_to_it() {
    for text in ["file = 'a.prdb'", "database = 'main'", "", "not toml", "database = '../x'", "\u{0}"] {
        let s = place();
        directory_file(&s, "", text);
        assert_denied(&s, "");
        assert_denied(&s, "deep/er");
    }
}

#[test]
fn a_file_that_changed_since_is_not_allowed_any_more() {
    let s = place();
    let texts = ["file = 'a.prdb'", "file = 'b.prdb'", "file = 'a.prdb' ", ""];
    directory_file(&s, "", texts[0]);
    follow(&s, &["allow"]);
    for text in &texts[1..] {
        directory_file(&s, "", text);
        assert_denied(&s, "");
    }
    directory_file(&s, "", texts[0]);
    get(&s, "").prints("a\n");
    directory_file(&s, "", texts[1]);
    follow(&s, &["allow"]);
    get(&s, "").prints("b\n");
}

#[test]
fn what_is_allowed_in_one_place_is_not_allowed_in_another() {
    let s = place();
    directory_file(&s, "", "database = 'other'");
    follow(&s, &["allow"]);
    directory_file(&s, "deep", "database = 'other'");
    assert_denied(&s, "deep");
    assert_denied(&s, "deep/er");
    get(&s, "").fails(2);
}

#[test]
fn stronger_choices_do_not_look_at_it() {
    let s = place();
    follow(&s, &["--database other set p.n.k other", "cursor set a a.prdb", "--user alice set p.n.k alice"]);
    for text in ["file = 'b.prdb'", "not toml"] {
        directory_file(&s, "", text);
        get(&s, "").arg("--database=other").prints("other\n");
        get(&s, "").arg("-da.prdb").prints("a\n");
        get(&s, "").arg("--cursor=a").prints("a\n");
        get(&s, "").arg("--user=alice").prints("alice\n");
        get(&s, "").env("PRONTO_USER", "alice").prints("alice\n");
        get(&s, "").env("PRONTO_DB", "a.prdb").prints("a\n");
        get(&s, "").arg("--select=./a.prdb").prints("a\n");
        get(&s, "").fails(5);
    }
}

#[test]
fn commands_without_a_database_do_not_look_at_it() {
    let s = place();
    directory_file(&s, "", "file = 'b.prdb'");
    for line in ["config list", "config path", "cursor list", "cursor set x a.prdb", "help", "version"] {
        s.run(line.split(' ')).succeeds();
    }
}

// Bad content.

#[test]
fn bad_content_is_not_allowed() {
    let s = place();
    let file = directory_file(&s, "deep", "");
    for text in [
        "not toml",
        "database = ",
        "database = 'a'\ndatabase = 'b'",
        "",
        "# nothing",
        "project = 'p'\nnamespace = 'n'",
        "database = 'a'\nfile = 'a.prdb'",
        "database = 'a'\nother = 1",
        "database = 'a'\nns_delim = '|'",
        "databse = 'a'",
        "[database]\nname = 'a'",
        "database = 5",
        "database = ['a']",
        "database = ''",
        "database = '../x'",
        "database = 'a/b'",
        "database = '.hidden'",
        "database = 'cursors'",
        "database = 'backups'",
        "database = 'a b'",
        "file = 5",
        "file = ''",
        "database = 'a'\nproject = 5",
        "database = 'a'\nproject = ''",
        "database = 'a'\nnamespace = []",
        "database = 'a'\nnamespace = ''",
    ] {
        fs::write(&file, text).unwrap();
        stopped(&s, &["allow", "deep"], 1).stderr_has(".prontodb");
        get(&s, "deep").fails(5);
    }
    fs::write(&file, b"database = '\xff'").unwrap();
    stopped(&s, &["allow", "deep"], 1);
    get(&s, "deep").fails(5);
    assert!(home_is_empty(&s));
}

#[test]
fn a_gigantic_file_is_refused_and_takes_no_memory() {
    let s = place();
    gigantic_file(&directory_file(&s, "", ""));
    s.run(["allow"]).under(LITTLE_MEMORY).fails(1).stdout_is("").stderr_has(".prontodb");
    get(&s, "").under(LITTLE_MEMORY).fails(5).stdout_is("");
}

// Passing over.

#[test]
fn the_nearest_wins() {
    let s = place();
    directory_file(&s, "", "file = 'a.prdb'");
    directory_file(&s, "deep", "file = '../b.prdb'");
    follow(&s, &["allow", "allow deep"]);
    get(&s, "").prints("a\n");
    get(&s, "deep").prints("b\n");
    get(&s, "deep/er").prints("b\n");
}

#[test]
fn a_file_that_is_denied_is_passed_over_whatever_it_holds() {
    let s = place();
    directory_file(&s, "", "file = 'a.prdb'");
    directory_file(&s, "deep", "file = '../b.prdb'");
    follow(&s, &["allow", "deny deep"]);
    get(&s, "deep/er").prints("a\n");
    for text in ["file = '../other.prdb'", "not toml", ""] {
        directory_file(&s, "deep", text);
        get(&s, "deep/er").prints("a\n");
    }
    follow(&s, &["deny ."]);
    get(&s, "deep/er").fails(2);
    get(&s, "").fails(2);
}

#[test]
fn deny_takes_the_file_its_directory_or_the_nearest() {
    for (argument, directory) in
        [(None, ""), (None, "deep/er"), (Some("."), ""), (Some(".prontodb"), ""), (Some(".."), "deep")]
    {
        let s = place();
        directory_file(&s, "", "file = 'a.prdb'");
        s.run(["deny"].into_iter().chain(argument)).current_dir(directory).prints("");
        get(&s, "deep").fails(2);
    }
}

#[test]
fn allow_and_deny_take_each_other_back() {
    let s = place();
    directory_file(&s, "", "file = 'a.prdb'");
    follow(&s, &["allow", "deny ."]);
    get(&s, "").fails(2);
    follow(&s, &["allow ."]);
    get(&s, "").prints("a\n");
}

#[test]
fn a_write_beneath_a_denied_file_goes_where_it_would_without_it() {
    let s = place();
    directory_file(&s, "", "file = 'a.prdb'");
    follow(&s, &["deny", "set p.n.k main"]);
    s.run(["get", "p.n.k", "--database", "main"]).prints("main\n");
    s.run(["get", "p.n.k", "-d", "a.prdb"]).prints("a\n");
}

#[test]
fn what_is_no_regular_file_is_passed_over() {
    for kind in ["folder", "pipe", "socket", "link to a folder"] {
        let s = place();
        directory_file(&s, "", "file = 'a.prdb'");
        follow(&s, &["allow"]);
        let path = s.path("deep/.prontodb");
        match kind {
            "folder" => fs::create_dir(path).unwrap(),
            "pipe" => drop(s.run_other("mkfifo", [path]).succeeds()),
            "socket" => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
            _ => symlink("er", path).unwrap(),
        }
        get(&s, "deep/er").prints("a\n");
        get(&s, "deep").prints("a\n");
        s.run(["set", "p.n.k", kind]).current_dir("deep").prints("");
        s.run(["-d", "a.prdb", "get", "p.n.k"]).prints(format!("{kind}\n"));
        s.run(["allow", "deep/.prontodb"]).fails(1);
    }
}

#[test]
fn a_link_never_selects_what_was_not_allowed() {
    let s = place();
    fs::write(s.path("target"), "file = '../b.prdb'").unwrap();
    symlink("../target", s.path("deep/.prontodb")).unwrap();
    get(&s, "deep").fails_with_one_of(&[2, 5]).stdout_is("");
    if s.run(["allow", "deep"]).outcome().code() == Some(0) {
        get(&s, "deep").prints("b\n");
    }
    fs::write(s.path("target"), "file = '../a.prdb'").unwrap();
    get(&s, "deep").fails_with_one_of(&[2, 5]).stdout_is("");
}

// Databases that are not there.

#[test]
fn a_database_that_is_not_there_reads_as_empty_and_is_made_by_a_write() {
    for text in ["database = 'fresh'", "file = 'fresh.prdb'"] {
        let s = sandbox();
        let file = directory_file(&s, "", text);
        follow(&s, &["allow"]);
        let before = contents(&s);
        get(&s, "").fails(2).stdout_is("").stderr_has(&file.display().to_string());
        assert_eq!(json_of(s.run(["keys", "--json"])), json!([]));
        assert_eq!(before, contents(&s));
        follow(&s, &["set p.n.k v"]);
        let made = if text.starts_with("file") { s.path("fresh.prdb") } else { database_file(&s, "fresh") };
        assert!(made.is_file(), "{text}");
    }
}

#[test]
fn superfluous_words_are_refused() {
    let s = place();
    directory_file(&s, "", "file = 'a.prdb'");
    for command in ["allow", "deny"] {
        refused(&s, &[command, ".", "deep"], 64, "usage");
        refused(&s, &[command, "--bogus"], 64, "usage").stderr_has("--bogus");
    }
}
