//! `--user` and `PRONTO_USER`: whose cursors are meant, whose database it is, who wrote.

use std::fs;

use prontodb_testkit::sandbox::{Call, Sandbox};
use serde_json::{Value, json};

use crate::common::{contents, data_folder, database_file, json_of, made_ready, refused, refuses, sandbox};
use crate::contexts::{
    cursor_file, directory_file, follow, good_cursor, home_is_empty, plant, saved, stopped, two_files, work,
};
use crate::help_version::COMMANDS;

/// Every command with arguments that work in [`place_of_alice`].
const LINES: [&str; 137] = [
    "lock acquire job --ttl 1h",
    "lock list",
    "queue push p.jobs work",
    "queue list p.n",
    "prime",
    "set p.n.new 1",
    "get p.n.k",
    "del p.n.k",
    "exists p.n.k",
    "incr p.n.k",
    "append p.n.k 1",
    "touch p.n.k",
    "ttl p.n.k",
    "rename p.n.k p.n.new",
    "copy p.n.k p.n.new",
    "keys p.n",
    "ls p.n",
    "scan p.n",
    "history p.n.k",
    "blame p.n.k",
    "log p.n",
    "undo p.n.k",
    "undo --by alice p.n",
    "stream",
    "export p.n",
    "import p.n",
    "export-fs --root tree --ns p.n",
    "import-fs --root files --ns p.n",
    "sync alice other --dry-run",
    "projects",
    "namespaces -p p",
    "nss",
    "create-cache p.new 90",
    "admin create-cache p.new 90",
    "admin set-cache p.c timeout=80",
    "admin drop-cache p.c",
    "admin gc",
    "admin status",
    "admin check",
    "admin migrate",
    "admin vacuum",
    "admin database create new",
    "admin database list --long",
    "admin database describe alice",
    "admin database switch alice",
    "admin database rename alice new",
    "admin database delete alice --force",
    "admin create-db new",
    "admin list-dbs --json",
    "admin describe-db alice",
    "admin switch-db alice",
    "admin rename-db alice new",
    "admin delete-db alice --force",
    "admin namespace set p.n encrypt=on",
    "admin namespace rotate p.n",
    "admin namespace rewrap p.n",
    "admin user add joe",
    "admin user list",
    "admin user passwd sam",
    "admin user role sam admin",
    "admin user del sam",
    "admin key create other",
    "admin key list",
    "admin key revoke ci",
    "admin key create p.n.new 1",
    "admin key list p.n",
    "admin create-key p.n.new 1",
    "admin list-keys p.n",
    "admin describe-key p.n.k",
    "admin key describe p.n.k",
    "admin drop-key p.n.k --force",
    "admin key drop p.n.k --force",
    "admin rename-key p.n.k p.n.new",
    "admin key rename p.n.k p.n.new",
    "admin set-metakey p.n.k owner bob",
    "admin metakey set p.n.k owner bob",
    "admin get-metakey p.n.k owner",
    "admin metakey get p.n.k owner",
    "admin del-metakey p.n.k owner",
    "admin metakey del p.n.k owner",
    "admin list-metakeys p.n.k",
    "admin metakey list p.n.k",
    "admin grant sam write p.*",
    "admin grants",
    "admin revoke sam p.*",
    "admin audit",
    "auth login sam",
    "auth logout",
    "admin project create new",
    "admin create-project new",
    "admin project list",
    "admin list-projects",
    "admin project describe p",
    "admin describe-project p",
    "admin project drop p --force",
    "admin drop-project p --force",
    "admin namespace create p.new",
    "admin create-namespace p.new",
    "admin namespace list p",
    "admin list-namespaces p",
    "admin namespace describe p.n",
    "admin describe-namespace p.n",
    "admin namespace move p.n --table own",
    "admin move-namespace p.n --table own",
    "admin namespace drop p.n --force",
    "admin drop-namespace p.n --force",
    "admin table create new",
    "admin create-table new",
    "admin table list",
    "admin list-tables",
    "admin table describe shared",
    "admin describe-table shared",
    "admin table drop hot --force",
    "admin drop-table hot --force",
    "watch p.n --snapshot --limit 1",
    "wait p.n.k",
    "auth whoami",
    "proto auth -",
    "config get ns_delim",
    "config set busy_timeout_ms 4000",
    "config list",
    "config path",
    "doctor",
    "cursor set new new.prdb",
    "cursor list",
    "cursor active",
    "cursor delete spare",
    "cursor rename spare new",
    "cursor clear",
    "cursor spare",
    "context",
    "allow sub",
    "deny sub",
    "install",
    "uninstall",
    "completions bash",
    "man",
];

/// A sandbox where alice has the entry `p.n.k`, the cache `p.c` and the cursor `spare`, and nobody else has anything.
fn place_of_alice() -> Sandbox {
    let s = sandbox();
    follow(
        &s,
        &[
            "--user alice set p.n.k 1",
            "--user alice create-cache p.c 90",
            "--user alice cursor set spare spare.prdb",
        ],
    );
    directory_file(&s, "sub", "database = 'other'");
    s
}

/// Whether the data folder holds nothing of anybody but alice.
fn only_alice_was_here(s: &Sandbox) -> bool {
    let cursors = fs::read_dir(data_folder(s).join("cursors")).unwrap();
    let names = cursors.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut cursors = names.filter(|name| name.ends_with(".cursor"));
    cursors.all(|name| name.starts_with("alice.")) && !data_folder(s).join("main").exists()
}

#[track_caller]
fn assert_for_alice(s: &Sandbox, call: Call) {
    call.succeeds().stderr_lacks("pronto.main.prdb").stdout_lacks("pronto.main.prdb");
    assert!(only_alice_was_here(s));
}

/// The command of a line.
fn command_of(line: &str) -> &'static str {
    let is_of = |command: &&&str| line == **command || line.starts_with(&format!("{command} "));
    COMMANDS.iter().find(is_of).copied().unwrap_or("cursor NAME")
}

#[test]
fn every_command_is_tried() {
    for command in COMMANDS {
        let with_arguments = format!("{command} ");
        let is_tried = LINES.iter().any(|line| *line == command || line.starts_with(&with_arguments));
        assert!(is_tried, "{command} is not tried");
    }
}

#[test]
fn the_flag_works_on_every_command_before_and_after_it() {
    for line in LINES {
        let words: Vec<_> = line.split(' ').collect();
        let user = &["--user", "alice"][..];
        let (first, rest) = words.split_at(1);
        for args in [[user, first, rest].concat(), [first, user, rest].concat(), [first, rest, user].concat()]
        {
            let s = place_of_alice();
            assert_for_alice(&s, made_ready(&s, user, command_of(line), s.run(args)));
        }
    }
}

#[test]
fn the_variable_works_on_every_command() {
    for line in LINES {
        let s = place_of_alice();
        let call = s.run(line.split(' ')).env("PRONTO_USER", "alice");
        assert_for_alice(&s, made_ready(&s, &["--user", "alice"], command_of(line), call));
    }
}

// Whose data.

#[test]
fn users_have_databases_of_their_own() {
    let s = sandbox();
    for user in ["alice", "bob", "A-b_9"] {
        s.run(["--user", user, "set", "p.n.k", user]).prints("");
        assert!(database_file(&s, user).is_file());
        assert_eq!(saved(&s, user)["database_path"], json!(database_file(&s, user)));
        assert_eq!(saved(&s, user)["user"], user);
    }
    follow(&s, &["set p.n.k nobody"]);
    for user in ["alice", "bob", "A-b_9"] {
        s.run(["get", "p.n.k", "--user", user]).prints(format!("{user}\n"));
        s.run(["get", "p.n.k"]).env("PRONTO_USER", user).prints(format!("{user}\n"));
        s.run(["get", "p.n.k", "--database", user]).prints(format!("{user}\n"));
        s.run(["keys", "--count", "--user", user]).prints("1\n");
    }
    s.run(["get", "p.n.k"]).prints("nobody\n");
}

#[test]
fn the_first_write_of_a_user_makes_the_selection() {
    let s = sandbox();
    follow(&s, &["--user alice set k v"]);
    let selection = saved(&s, "alice");
    for field in ["default_project", "default_namespace", "cursor"] {
        assert_eq!(selection[field], Value::Null, "{field}");
    }
    assert!(!cursor_file(&s, "default").exists());
    assert!(!database_file(&s, "main").exists());
}

#[test]
fn writes_of_a_user_with_a_stronger_choice_make_no_selection() {
    let s = sandbox();
    follow(&s, &["-d a.prdb set k v --user alice", "--database other set k v --user alice"]);
    assert!(!cursor_file(&s, "alice").exists());
    assert!(!database_file(&s, "alice").exists());
}

#[test]
fn reads_of_a_user_make_nothing() {
    let s = sandbox();
    for (line, code) in [
        ("get k", 2),
        ("exists k", 2),
        ("ttl k", 2),
        ("keys", 0),
        ("scan", 0),
        ("nss", 0),
        ("projects", 0),
        ("namespaces -p p", 0),
        ("doctor", 0),
        ("context", 0),
        ("cursor list", 0),
        ("cursor active", 0),
        ("cursor clear", 0),
    ] {
        s.run(line.split(' ')).arg("--user=carol").fails(code);
        s.run(line.split(' ')).env("PRONTO_USER", "carol").fails(code);
        assert!(home_is_empty(&s), "{line}");
    }
    s.run(["get", "k", "--user", "carol"]).fails(2).stderr_has("carol");
}

#[test]
fn a_user_whose_selection_is_cleared_is_at_home_again() {
    let s = two_files();
    follow(&s, &["--user alice set p.n.k home", "--user alice cursor set a a.prdb", "cursor a --user alice"]);
    s.run(["get", "p.n.k", "--user", "alice"]).prints("a\n");
    follow(&s, &["cursor clear --user alice"]);
    s.run(["get", "p.n.k", "--user", "alice"]).prints("home\n");
    assert!(!cursor_file(&s, "alice").exists(), "reads make no selection");
}

// Whose cursors.

#[test]
fn cursors_of_two_users_may_have_one_name() {
    let s = two_files();
    follow(
        &s,
        &[
            "-d c.prdb set p.n.k c",
            "cursor set work a.prdb --user alice",
            "cursor set work b.prdb --user bob",
            "cursor set work c.prdb",
        ],
    );
    assert_eq!(saved(&s, "alice.work")["user"], "alice");
    assert_eq!(saved(&s, "bob.work")["database_path"], json!(work(&s).join("b.prdb")));
    let get = || s.run(["get", "p.n.k", "--cursor", "work"]);
    get().prints("c\n");
    get().arg("--user=alice").prints("a\n");
    get().env("PRONTO_USER", "bob").prints("b\n");
    follow(&s, &["cursor delete work", "cursor rename work job --user bob"]);
    get().arg("--user=alice").prints("a\n");
    s.run(["cursor", "list", "--user", "bob"]).prints("job\n");
    s.run(["cursor", "list"]).prints("");
}

#[test]
fn a_selection_is_that_of_its_user() {
    let s = two_files();
    follow(
        &s,
        &["cursor set x a.prdb", "cursor set x b.prdb --user alice", "cursor x", "cursor x --user alice"],
    );
    s.run(["get", "p.n.k"]).prints("a\n");
    s.run(["get", "p.n.k", "--user", "alice"]).prints("b\n");
    assert_eq!(saved(&s, "alice")["cursor"], "x");
    assert_eq!(saved(&s, "alice")["user"], "alice");
    follow(&s, &["cursor rename x y", "cursor clear"]);
    assert_eq!(saved(&s, "alice")["cursor"], "x");
    s.run(["get", "p.n.k"]).env("PRONTO_USER", "alice").prints("b\n");
}

#[test]
fn select_remembers_for_its_user() {
    let s = two_files();
    s.run(["get", "p.n.k", "--select", "./a.prdb", "--user", "alice"]).prints("a\n");
    s.run(["get", "p.n.k", "--user", "alice"]).prints("a\n");
    assert!(!cursor_file(&s, "default").exists());
}

#[test]
fn cursors_of_others_are_unknown_and_the_line_to_type_names_the_user() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb", "cursor set x a.prdb --user bob"]);
    for line in ["--cursor x get p.n.k", "--cursor x set p.n.k 1", "cursor x"] {
        let args: Vec<_> = line.split(' ').chain(["--user", "alice"]).collect();
        stopped(&s, &args, 1).stderr_has("prontodb cursor set x PATH").stderr_has("--user alice");
    }
    for line in ["cursor delete x", "cursor rename x y"] {
        let args: Vec<_> = line.split(' ').chain(["--user", "alice"]).collect();
        stopped(&s, &args, 1);
    }
}

#[test]
fn a_cursor_of_the_name_of_a_user_stands_in_the_way_and_is_named() {
    let s = two_files();
    follow(&s, &["cursor set alice a.prdb", "cursor set x b.prdb --user alice"]);
    let before = saved(&s, "alice");
    for line in ["get p.n.k", "set p.n.k 1", "cursor x"] {
        let args: Vec<_> = line.split(' ').chain(["--user", "alice"]).collect();
        stopped(&s, &args, 1).stderr_has("/alice.cursor");
    }
    assert_eq!(saved(&s, "alice"), before);
    s.run(["--cursor", "alice", "get", "p.n.k"]).prints("a\n");
}

#[test]
fn the_selection_of_a_user_is_no_cursor_of_anybody_else() {
    let s = two_files();
    follow(&s, &["--user alice set p.n.k mine", "cursor set x b.prdb"]);
    for line in [
        "--cursor alice get p.n.k",
        "--cursor alice set p.n.k 1",
        "cursor set alice a.prdb",
        "cursor delete alice",
        "cursor rename x alice",
        "cursor rename alice y",
    ] {
        stopped(&s, &line.split(' ').collect::<Vec<_>>(), 1).stderr_has("alice");
    }
    for line in ["--cursor alice get p.n.k", "cursor set alice a.prdb"] {
        s.run(line.split(' ')).fails(1).stderr_has("/alice.cursor");
    }
    s.run(["cursor", "list"]).prints("x\n");
    s.run(["--user", "alice", "get", "p.n.k"]).prints("mine\n");
}

// Nobody in particular.

#[test]
fn the_user_default_is_nobody_in_particular() {
    let s = two_files();
    follow(&s, &["--user alice set p.n.k alice", "--user default set p.n.k nobody"]);
    assert!(database_file(&s, "main").is_file());
    assert!(!database_file(&s, "default").exists());
    assert_eq!(saved(&s, "default")["user"], "default");
    let get = || s.run(["get", "p.n.k", "--user", "default"]).env("PRONTO_USER", "alice");
    get().prints("nobody\n");
    get().env("PRONTO_DB", "a.prdb").prints("a\n");
    s.run(["get", "p.n.k"]).env("PRONTO_USER", "default").prints("nobody\n");
    follow(&s, &["--user default cursor set b b.prdb", "cursor b --user default"]);
    s.run(["get", "p.n.k"]).prints("b\n");
    s.run(["cursor", "list"]).prints("b\n");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let s = sandbox();
    s.run(["set", "k", "v"]).env("PRONTO_USER", "").prints("");
    s.run(["get", "k"]).prints("v\n");
    assert_eq!(saved(&s, "default")["user"], "default");
}

#[test]
fn the_flag_goes_before_the_variable() {
    let s = sandbox();
    s.run(["set", "k", "v", "--user", "alice"]).env("PRONTO_USER", "bob").prints("");
    assert!(database_file(&s, "alice").is_file());
    assert!(!database_file(&s, "bob").exists());
    s.run(["get", "k", "--user", "alice"]).env("PRONTO_USER", "not a name").prints("v\n");
}

// Names.

#[test]
fn names_of_users_are_checked() {
    let s = sandbox();
    let long = "n".repeat(33);
    for name in [
        "1a",
        "_a",
        "-a",
        ".a",
        "a.b",
        "a/b",
        "../a",
        "..",
        "a b",
        "a:b",
        "é",
        "a\n",
        "\u{1b}[1m",
        "${USER}",
        "main",
        "cursors",
        "backups",
        long.as_str(),
    ] {
        let flag = format!("--user={name}");
        for args in [&["get", "k"][..], &["set", "k", "1"], &["cursor", "list"], &["cursor", "set", "x", "y"]]
        {
            refused(&s, &[&[flag.as_str()], args].concat(), 1, "invalid").stderr_lacks("\u{1b}");
            refuses(&s, s.run(args).env("PRONTO_USER", name), 1).stderr_has("PRONTO_USER");
        }
    }
    refused(&s, &["--user=", "get", "k"], 1, "invalid").stderr_has("user");
    assert!(home_is_empty(&s));
}

#[test]
fn the_flag_needs_one_name() {
    let s = sandbox();
    refused(&s, &["get", "k", "--user"], 64, "usage").stderr_has("--user");
    refused(&s, &["--user", "alice", "get", "k", "--user", "bob"], 64, "usage");
}

#[test]
fn the_longest_name_works() {
    let s = sandbox();
    let name = "n".repeat(32);
    s.run(["set", "k", "v", "--user", &name]).prints("");
    s.run(["get", "k", "--user", &name]).prints("v\n");
}

// Who wrote.

/// The writer of the entry `p.n.k` of a database, asked in four ways.
#[track_caller]
fn assert_writer(s: &Sandbox, flags: &[&str], writer: &str) {
    let run = |args: &[&str]| s.run([flags, args].concat());
    run(&["get", "p.n.k", "--meta"]).succeeds().stdout_has(&format!("writer: {writer}\n"));
    assert_eq!(json_of(run(&["get", "p.n.k", "--meta", "--json"]))["writer"], writer);
    let listing = run(&["keys", "p.n", "--long"]).succeeds().stdout();
    assert_eq!(listing.trim_end().split('\t').nth(4), Some(writer), "{listing}");
    assert_eq!(json_of(run(&["keys", "p.n", "--long", "--json"]))[0]["writer"], writer);
}

#[test]
fn the_user_is_recorded_as_the_writer() {
    let s = sandbox();
    follow(&s, &["--user alice set p.n.k v"]);
    assert_writer(&s, &["--user", "alice"], "alice");
    s.run(["-d", "a.prdb", "set", "p.n.k", "v"]).env("PRONTO_USER", "bob").prints("");
    assert_writer(&s, &["-d", "a.prdb"], "bob");
    follow(&s, &["-d a.prdb append p.n.k v --user alice"]);
    assert_writer(&s, &["-d", "a.prdb", "--user", "bob"], "alice");
}

#[test]
fn without_a_user_the_writer_is_whoever_is_logged_in() {
    let s = sandbox();
    follow(&s, &["set p.n.k v"]);
    assert_writer(&s, &[], "tester");
    s.run(["set", "p.n.k", "v", "--user", "default"]).env("PRONTO_USER", "alice").prints("");
    assert_writer(&s, &[], "tester");
    s.run(["set", "p.n.k", "v"]).env_remove("USER").env("LOGNAME", "logged-in").prints("");
    assert_writer(&s, &[], "logged-in");
}

// What others left behind.

#[test]
fn the_selection_of_one_user_says_nothing_about_another() {
    let s = two_files();
    let mut cursor = good_cursor(&s);
    cursor["user"] = json!("alice");
    plant(&s, "alice", cursor.to_string());
    let before = contents(&s);
    s.run(["get", "p.n.k", "--user", "alice"]).prints("a\n");
    s.run(["get", "p.n.k", "--user", "bob"]).fails(2);
    s.run(["get", "p.n.k"]).fails(2);
    assert_eq!(before, contents(&s));
}
