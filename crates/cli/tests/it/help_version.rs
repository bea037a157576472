//! Help and version in every spelling, and what happens without a command.

use crate::common::{contents, error_of, refused, refuses, sandbox, sandbox_with};

/// Every command, by the words that name it, but those that run a command behind `--`, go by a token, or read what they do from
/// standard input: their own tests have them.
pub(crate) const COMMANDS: [&str; 133] = [
    "set",
    "get",
    "del",
    "exists",
    "incr",
    "append",
    "touch",
    "ttl",
    "rename",
    "copy",
    "keys",
    "ls",
    "scan",
    "stream",
    "lock acquire",
    "lock list",
    "queue push",
    "queue list",
    "prime",
    "watch",
    "wait",
    "history",
    "blame",
    "log",
    "undo",
    "export",
    "import",
    "export-fs",
    "import-fs",
    "sync",
    "projects",
    "namespaces",
    "nss",
    "create-cache",
    "admin create-cache",
    "admin set-cache",
    "admin drop-cache",
    "admin gc",
    "admin project create",
    "admin create-project",
    "admin project list",
    "admin list-projects",
    "admin project describe",
    "admin describe-project",
    "admin project drop",
    "admin drop-project",
    "admin namespace create",
    "admin create-namespace",
    "admin namespace list",
    "admin list-namespaces",
    "admin namespace describe",
    "admin describe-namespace",
    "admin namespace move",
    "admin move-namespace",
    "admin namespace drop",
    "admin drop-namespace",
    "admin table create",
    "admin create-table",
    "admin table list",
    "admin list-tables",
    "admin table describe",
    "admin describe-table",
    "admin table drop",
    "admin drop-table",
    "admin status",
    "admin check",
    "admin migrate",
    "admin vacuum",
    "admin database create",
    "admin database list",
    "admin database describe",
    "admin database switch",
    "admin database rename",
    "admin database delete",
    "admin create-db",
    "admin list-dbs",
    "admin describe-db",
    "admin switch-db",
    "admin rename-db",
    "admin delete-db",
    "admin namespace set",
    "admin namespace rotate",
    "admin namespace rewrap",
    "admin user add",
    "admin user list",
    "admin user passwd",
    "admin user role",
    "admin user del",
    "admin key create",
    "admin key list",
    "admin key revoke",
    "admin create-key",
    "admin list-keys",
    "admin describe-key",
    "admin key describe",
    "admin drop-key",
    "admin key drop",
    "admin rename-key",
    "admin key rename",
    "admin set-metakey",
    "admin metakey set",
    "admin get-metakey",
    "admin metakey get",
    "admin del-metakey",
    "admin metakey del",
    "admin list-metakeys",
    "admin metakey list",
    "admin grant",
    "admin grants",
    "admin revoke",
    "admin audit",
    "auth login",
    "auth logout",
    "auth whoami",
    "proto auth",
    "config get",
    "config set",
    "config list",
    "config path",
    "cursor set",
    "cursor list",
    "cursor active",
    "cursor rename",
    "cursor delete",
    "cursor clear",
    "context",
    "allow",
    "deny",
    "doctor",
    "install",
    "uninstall",
    "completions",
    "man",
];

fn words<'a>(before: &[&'a str], command: &'a str, after: &[&'a str]) -> Vec<&'a str> {
    before.iter().copied().chain(command.split(' ')).chain(after.iter().copied()).collect()
}

#[test]
fn every_spelling_of_help_prints_the_same() {
    let s = sandbox();
    let help = s.run(["help"]).succeeds().stderr_is("").stdout();
    s.run(["-h"]).prints(&help).stderr_is("");
    s.run(["--help"]).prints(&help).stderr_is("");
    for command in COMMANDS {
        let first = command.split(' ').next().unwrap();
        assert!(help.contains(first), "{command} is not in\n{help}");
    }
    assert!(contents(&s).is_empty());
}

#[test]
fn every_command_has_help_in_every_spelling() {
    let s = sandbox();
    for command in COMMANDS {
        let help = s.run(words(&["help"], command, &[])).succeeds().stderr_is("").stdout();
        assert!(help.contains(command), "{command} is not in\n{help}");
        for spelling in ["--help", "-h", "help"] {
            s.run(words(&[], command, &[spelling])).prints(&help).stderr_is("");
        }
        s.run(words(&["--help"], command, &[])).prints(&help);
    }
    assert!(contents(&s).is_empty());
}

#[test]
fn help_of_a_command_shows_its_flags() {
    let s = sandbox();
    for (command, flags) in [
        (
            "set",
            &[
                "--ttl",
                "--if-absent",
                "--if-present",
                "--if-version",
                "--if-value",
                "--return",
                "--file",
                "--json",
            ][..],
        ),
        ("get", &["--raw", "--b64", "--output", "--meta", "--include-expired", "--fallback", "--json"]),
        ("keys", &["--limit", "--after", "--reverse", "--glob", "--count", "--long", "--jsonl"]),
        ("del", &["--prefix", "--yes", "--strict"]),
        ("copy", &["--move", "--if-absent"]),
        ("admin drop-cache", &["--discard"]),
        ("create-cache", &["timeout", "evict_on_read", "max_items", "max_bytes", "policy"]),
        ("exists", &["--project", "--namespace", "--ns-delim", "--database", "--context"]),
    ] {
        let help = s.run(words(&["help"], command, &[])).succeeds();
        for flag in flags {
            help.require(help.stdout().contains(flag), &format!("expected {flag} in the help of {command}"));
        }
    }
}

#[test]
fn groups_have_help() {
    let s = sandbox();
    for (group, members) in [
        ("admin", &["create-cache", "set-cache", "drop-cache", "gc"]),
        ("config", &["get", "set", "list", "path"]),
    ] {
        let help = s.run(["help", group]).succeeds().stdout();
        for member in members {
            assert!(help.contains(member), "{member} is not in\n{help}");
        }
        for spelling in ["--help", "-h", "help"] {
            s.run([group, spelling]).prints(&help);
        }
    }
}

#[test]
fn help_of_what_is_no_command_is_refused() {
    let s = sandbox();
    refused(&s, &["help", "nonsense"], 64, "usage").stderr_has("nonsense");
    refused(&s, &["help", "admin", "nonsense"], 64, "usage").stderr_has("nonsense");
    refused(&s, &["help", "get", "nonsense"], 64, "usage");
}

#[test]
fn help_works_next_to_other_flags_and_writes_nothing() {
    let s = sandbox_with([("k", "v")]);
    let before = contents(&s);
    s.run(["set", "k", "w", "--help"]).succeeds().stdout_has("set");
    s.run(["set", "k", "w", "--ttl", "nonsense", "-h"]).succeeds().stdout_has("set");
    s.run(["-d", "nowhere.prdb", "del", "k", "--help"]).succeeds().stdout_has("del");
    assert_eq!(before, contents(&s));
}

#[test]
fn the_word_help_is_an_ordinary_value() {
    let s = sandbox();
    s.run(["set", "k", "help"]).prints("");
    s.run(["get", "k"]).prints("help\n");
    s.run(["set", "--", "help", "v"]).prints("");
    s.run(["get", "--", "help"]).prints("v\n");
    s.run(["get", "--", "-h"]).fails(2);
    s.run(["set", "k", "--", "--help"]).prints("");
    s.run(["get", "k"]).prints("--help\n");
    s.run(["set", "k", "v", "--if-value=--help"]).prints("");
    s.run(["get", "k"]).prints("v\n");
}

#[test]
fn every_spelling_of_version_prints_it() {
    let s = sandbox();
    for spelling in ["version", "-v", "-V", "--version"] {
        let version = s.run([spelling]).succeeds().stderr_is("").stdout();
        assert_eq!(version.lines().next(), Some(concat!("prontodb ", env!("CARGO_PKG_VERSION"))));
    }
    assert!(contents(&s).is_empty());
}

#[test]
fn version_takes_no_arguments() {
    let s = sandbox();
    refused(&s, &["version", "x"], 64, "usage");
    refused(&s, &["version", "--bogus"], 64, "usage").stderr_has("--bogus");
    refused(&s, &["help", "--bogus"], 64, "usage").stderr_has("--bogus");
    refused(&s, &["--bogus"], 64, "usage");
}

#[test]
fn no_command_lists_the_commands_on_stderr() {
    let s = sandbox();
    let outcome = s.run([""; 0]).fails(64).stdout_is("");
    for command in ["set", "get", "keys", "scan", "admin", "config", "doctor"] {
        outcome.require(outcome.stderr().contains(command), &format!("expected {command}"));
    }
    s.run(["--ns-delim", "|"]).fails(64).stdout_is("").stderr_has("scan");
    s.run(["--"]).fails(64).stdout_is("");
}

#[test]
fn a_bare_group_lists_its_commands_on_stderr() {
    let s = sandbox();
    let admin = s.run(["admin"]).fails(64).stdout_is("");
    for command in ["create-cache", "set-cache", "drop-cache", "gc"] {
        admin.require(admin.stderr().contains(command), &format!("expected {command}"));
    }
    let config = s.run(["config"]).fails(64).stdout_is("");
    for command in ["get", "set", "list", "path"] {
        config.require(config.stderr().contains(command), &format!("expected {command}"));
    }
}

#[test]
fn no_command_with_json_is_an_error_object() {
    let s = sandbox();
    for args in [&["--json"][..], &["--json", "admin"], &["config", "--json"]] {
        assert_eq!(error_of(s.run(args).fails(64).stdout_is(""))["kind"], "usage");
    }
}

#[test]
fn unknown_commands_are_refused_with_the_one_that_is_close() {
    let s = sandbox();
    refused(&s, &["gett", "k"], 64, "usage").stderr_has("gett").stderr_has("`prontodb get`");
    refused(&s, &["sacn"], 64, "usage").stderr_has("`prontodb scan`");
    refused(&s, &["admin", "drop-cach", "p.c"], 64, "usage").stderr_has("drop-cache");
    refused(&s, &["delete", "k"], 64, "usage").stderr_has("`prontodb del`");
    refused(&s, &["admn"], 64, "usage").stderr_has("`prontodb admin`");
    refused(&s, &["admin", "databse", "list"], 64, "usage");
    for (words, hint) in [
        (&["admin", "bogus"][..], "hint: prontodb help admin lists the commands"),
        (&["help", "nosuch"], "hint: prontodb help lists the commands"),
        (&["queue", "pop"], "hint: prontodb help queue lists the commands"),
        (&["xyzzy"], "hint: prontodb help lists the commands"),
    ] {
        refused(&s, words, 64, "usage").stderr_has(words[words.len() - 1]).stderr_has(hint);
    }
    refuses(&s, s.run(["SET", "k", "v"]), 64);
    refuses(&s, s.run([""]), 64);
}
