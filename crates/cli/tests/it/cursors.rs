//! `cursor set|list|active|delete|rename|clear|NAME`, `--cursor` and `--select`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

use serde_json::{Value, json};

use crate::common::{contents, data_folder, database_file, json_of, mode_of, refused, refuses, sandbox};
use crate::contexts::{cursor_file, directory_file, follow, home_is_empty, saved, stopped, two_files, work};

// Saving.

/// Whether a text looks like `2026-11-24T09:30:00Z`.
fn is_time(text: &str) -> bool {
    let form = "dddd-dd-ddTdd:dd:ddZ";
    let fits = |(c, wanted): (char, char)| if wanted == 'd' { c.is_ascii_digit() } else { c == wanted };
    text.len() == form.len() && text.chars().zip(form.chars()).all(fits)
}

#[test]
fn set_saves_all_fields() {
    let s = sandbox();
    s.run(["cursor", "set", "staging", "a.prdb", "-p", "app", "-n", "prod"]).prints("");
    let cursor = saved(&s, "staging");
    assert_eq!(cursor["database_path"], json!(work(&s).join("a.prdb")));
    assert_eq!(cursor["default_project"], "app");
    assert_eq!(cursor["default_namespace"], "prod");
    assert_eq!(cursor["user"], "default");
    assert!(cursor["created_at"].as_str().is_some_and(is_time), "{cursor}");
    assert!(cursor["cursor"].is_null(), "only active selections have a cursor: {cursor}");
}

#[test]
fn set_saves_null_for_what_is_not_given() {
    let s = sandbox();
    follow(&s, &["cursor set plain a.prdb", "cursor set half a.prdb --namespace prod"]);
    for (name, project, namespace) in
        [("plain", Value::Null, Value::Null), ("half", Value::Null, json!("prod"))]
    {
        let cursor = saved(&s, name);
        let fields = cursor.as_object().unwrap();
        assert_eq!(fields.get("default_project"), Some(&project), "{cursor}");
        assert_eq!(fields.get("default_namespace"), Some(&namespace), "{cursor}");
    }
}

#[test]
fn set_makes_the_cursor_and_neither_a_database_nor_a_selection() {
    let s = sandbox();
    follow(&s, &["cursor set staging a.prdb"]);
    assert_eq!(contents(&s).into_keys().collect::<Vec<_>>(), [cursor_file(&s, "staging")]);
}

#[test]
fn cursors_are_private_whatever_the_umask() {
    for mask in ["000", "022", "077"] {
        let s = sandbox();
        let script = format!("umask {mask}; exec \"$@\"");
        for line in ["cursor set staging a.prdb", "cursor staging", "--user alice set k v"] {
            s.run(line.split(' ')).under(["sh", "-c", &script, "sh"]).prints("");
        }
        for folder in [data_folder(&s), data_folder(&s).join("cursors")] {
            assert_eq!(mode_of(&folder), 0o700, "{} under {mask}", folder.display());
        }
        for name in ["staging", "default", "alice"] {
            assert_eq!(mode_of(&cursor_file(&s, name)), 0o600, "{name} under {mask}");
        }
    }
}

#[test]
fn relative_paths_are_made_absolute_where_the_cursor_is_set() {
    let s = sandbox();
    fs::create_dir(s.path("sub")).unwrap();
    for (name, path) in [("near", "near.prdb"), ("dot", "./dot.prdb"), ("up", "../up.prdb")] {
        s.run(["cursor", "set", name, path]).current_dir("sub").prints("");
        assert!(saved(&s, name)["database_path"].as_str().unwrap().starts_with('/'), "{name}");
        s.run(["--cursor", name, "set", "k", name]).prints("");
    }
    assert_eq!(saved(&s, "near")["database_path"], json!(work(&s).join("sub/near.prdb")));
    for file in ["sub/near.prdb", "sub/dot.prdb", "up.prdb"] {
        assert!(s.path(file).is_file(), "{file}");
    }
}

#[test]
fn absolute_paths_stay_as_they_are() {
    let s = sandbox();
    for path in ["a.prdb", "no/such/folder/a.prdb", "a b'c\".prdb", "ü.prdb"] {
        let file = work(&s).join(path);
        s.run(["cursor", "set", "x"]).arg(&file).prints("");
        assert_eq!(saved(&s, "x")["database_path"], json!(file));
    }
}

#[test]
fn set_replaces_the_whole_cursor() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb -p app -n prod", "cursor set x b.prdb"]);
    assert_eq!(saved(&s, "x")["default_project"], Value::Null);
    assert_eq!(saved(&s, "x")["default_namespace"], Value::Null);
    s.run(["--cursor", "x", "get", "p.n.k"]).prints("b\n");
    s.run(["cursor", "list"]).prints("x\n");
}

#[test]
fn set_refuses_paths_that_are_no_files() {
    let s = sandbox();
    fs::create_dir(s.path("folder")).unwrap();
    for path in ["folder", ".", "/", "${HOME}/x.prdb", "/srv/${USER}/x.prdb", "x${", "~/x.prdb"] {
        stopped(&s, &["cursor", "set", "x", path], 1).stderr_has(path);
    }
    assert!(home_is_empty(&s));
}

#[test]
fn set_refuses_defaults_that_are_no_names() {
    let s = sandbox();
    for name in ["", "a.b", "a\nb", &"n".repeat(65)] {
        refused(&s, &["cursor", "set", "x", "a.prdb", "-p", name], 1, "invalid").stderr_has("project");
        refused(&s, &["cursor", "set", "x", "a.prdb", "-n", name], 1, "invalid").stderr_has("namespace");
    }
}

#[test]
fn missing_and_superfluous_words_are_refused() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb"]);
    for line in [
        "cursor set",
        "cursor set y",
        "cursor set y a.prdb b.prdb",
        "cursor delete",
        "cursor rename",
        "cursor rename x",
        "cursor rename x y z",
        "cursor list x",
        "cursor active x",
        "cursor clear x",
        "cursor x y",
    ] {
        refused(&s, &line.split(' ').collect::<Vec<_>>(), 64, "usage");
    }
}

#[test]
fn the_bare_group_lists_its_commands() {
    let outcome = refused(&sandbox(), &["cursor"], 64, "usage");
    for command in ["set", "list", "active", "delete", "rename", "clear"] {
        outcome.require(outcome.stderr().contains(command), &format!("expected {command}"));
    }
}

// Names.

#[test]
fn names_may_hold_letters_digits_lines_and_dashes() {
    let s = sandbox();
    let long = "n".repeat(64);
    for name in ["a", "7", "_x", "A-b_9", "defaults", "get", long.as_str()] {
        s.run(["cursor", "set", name, "a.prdb"]).prints("");
        s.run(["--cursor", name, "set", "k", name]).prints("");
        s.run(["cursor", name]).prints("");
        s.run(["get", "k"]).prints(format!("{name}\n"));
        s.run(["cursor", "clear"]).prints("");
        s.run(["cursor", "delete", name]).prints("");
    }
}

#[test]
fn names_are_never_paths() {
    let s = sandbox();
    follow(&s, &["cursor set x a.prdb"]);
    let long = "n".repeat(65);
    for name in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/etc/x",
        ".x",
        "-x",
        "a.b",
        "${HOME}",
        "a b",
        "a:b",
        "é",
        "a\nb",
        "\u{1}",
        "\u{1b}[1m",
        "default",
        "set",
        "list",
        "active",
        "delete",
        "rename",
        "clear",
        "help",
        "main",
        long.as_str(),
    ] {
        refused(&s, &["cursor", "set", "--", name, "a.prdb"], 1, "invalid").stderr_lacks("\u{1b}");
        refused(&s, &["cursor", "rename", "--", "x", name], 1, "invalid").stderr_lacks("\u{1b}");
        refused(&s, &[&format!("--cursor={name}"), "get", "p.n.k"], 1, "invalid").stderr_lacks("\u{1b}");
        refused(&s, &[&format!("--cursor={name}"), "set", "p.n.k", "1"], 1, "invalid");
    }
}

#[test]
fn names_that_are_no_text_are_refused() {
    let s = two_files();
    let name = || OsString::from_vec(b"a\xff".to_vec());
    refuses(&s, s.run(["cursor", "set"]).arg(name()).arg("a.prdb"), 64);
    refuses(&s, s.run(["get", "p.n.k", "--cursor"]).arg(name()), 64);
    refuses(&s, s.run(["get", "p.n.k", "--select"]).arg(name()), 1);
}

// Selecting.

#[test]
fn a_selected_cursor_is_remembered() {
    let s = two_files();
    follow(&s, &["cursor set staging a.prdb -p app -n prod"]);
    s.run(["cursor", "staging"]).prints("").stderr_has("staging");
    s.run(["get", "p.n.k"]).prints("a\n");
    let selection = saved(&s, "default");
    for field in ["database_path", "default_project", "default_namespace", "user"] {
        assert_eq!(selection[field], saved(&s, "staging")[field], "{field}");
    }
    assert_eq!(selection["cursor"], "staging");
    assert!(selection["created_at"].as_str().is_some_and(is_time), "{selection}");
}

#[test]
fn a_database_is_selected_where_no_cursor_has_the_name() {
    let s = two_files();
    follow(&s, &["--database other set p.n.k other"]);
    s.run(["cursor", "other"]).prints("").stderr_has("other");
    s.run(["get", "p.n.k"]).prints("other\n");
    let selection = saved(&s, "default");
    assert_eq!(selection["database_path"], json!(database_file(&s, "other")));
    assert_eq!(selection["cursor"], Value::Null);
}

#[test]
fn a_cursor_goes_before_a_database_of_its_name() {
    let s = two_files();
    follow(&s, &["--database both set p.n.k database", "cursor set both a.prdb"]);
    s.run(["--cursor", "both", "get", "p.n.k"]).prints("a\n");
    s.run(["get", "p.n.k", "--select", "both"]).prints("a\n");
    follow(&s, &["cursor clear", "cursor both"]);
    s.run(["get", "p.n.k"]).prints("a\n");
    s.run(["--database", "both", "get", "p.n.k"]).prints("database\n");
}

#[test]
fn a_word_with_a_slash_is_a_file_that_must_be_there() {
    let s = two_files();
    stopped(&s, &["cursor", "./c.prdb"], 1).stderr_has("c.prdb");
    stopped(&s, &["cursor", "no/such/c.prdb"], 1).stderr_has("c.prdb");
    s.run(["cursor", "./b.prdb"]).prints("").stderr_has("b.prdb");
    fs::create_dir(s.path("sub")).unwrap();
    s.run(["get", "p.n.k"]).current_dir("sub").prints("b\n");
}

#[test]
fn selecting_the_unknown_is_refused_with_the_line_to_type() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb", "cursor a"]);
    stopped(&s, &["cursor", "nowhere"], 1).stderr_has("prontodb cursor set nowhere PATH");
    s.run(["get", "p.n.k"]).prints("a\n");
}

#[test]
fn selecting_beneath_something_stronger_says_so() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb"]);
    let both_lines = |outcome: prontodb_testkit::sandbox::Outcome| {
        outcome.require(outcome.stderr().lines().count() == 2, "expected two lines on stderr");
    };
    let select = || s.run(["cursor", "a"]);
    both_lines(select().env("PRONTO_DB", "b.prdb").prints("").stderr_has("PRONTO_DB"));
    directory_file(&s, "", "file = 'b.prdb'");
    follow(&s, &["allow"]);
    both_lines(select().prints("").stderr_has(".prontodb"));
    follow(&s, &["deny"]);
    let outcome = select().prints("");
    outcome.require(outcome.stderr().lines().count() == 1, "expected one line on stderr");
}

// For one command, and from one command on.

#[test]
fn a_cursor_for_one_command_never_sticks() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb", "cursor set b b.prdb", "cursor a"]);
    let before = saved(&s, "default");
    s.run(["--cursor", "b", "get", "p.n.k"]).prints("b\n");
    s.run(["get", "p.n.k", "--cursor=b"]).prints("b\n");
    follow(&s, &["set p.n.new 1 --cursor b"]);
    assert_eq!(saved(&s, "default"), before);
    s.run(["get", "p.n.k"]).prints("a\n");
    s.run(["get", "p.n.new"]).fails(2);
    follow(&s, &["cursor clear", "set p.n.new 2 --cursor b"]);
    assert!(!cursor_file(&s, "default").exists());
}

#[test]
fn an_unknown_cursor_is_refused_with_the_line_to_type() {
    let s = two_files();
    follow(&s, &["--database nowhere set p.n.k 1"]);
    for args in [&["get", "p.n.k"][..], &["keys"], &["set", "p.n.k", "1"], &["del", "p.n.k"]] {
        let args = [&["--cursor", "nowhere"], args].concat();
        stopped(&s, &args, 1).stderr_has("prontodb cursor set nowhere PATH").stderr_lacks("--user");
    }
}

#[test]
fn select_chooses_and_remembers() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb -p p -n n"]);
    s.run(["get", "k", "--select", "a"]).prints("a\n");
    s.run(["get", "k"]).prints("a\n");
    assert_eq!(saved(&s, "default")["cursor"], "a");
    s.run(["--select", "./b.prdb", "get", "p.n.k"]).prints("b\n");
    s.run(["get", "p.n.k"]).prints("b\n");
    assert_eq!(saved(&s, "default")["cursor"], Value::Null);
    assert_eq!(saved(&s, "default")["default_project"], Value::Null);
}

#[test]
fn a_write_that_selects_makes_what_is_not_there() {
    let s = sandbox();
    follow(&s, &["--select fresh set p.n.k name"]);
    assert!(database_file(&s, "fresh").is_file());
    s.run(["get", "p.n.k"]).prints("name\n");
    follow(&s, &["set p.n.k file --select ./fresh.prdb"]);
    assert!(s.path("fresh.prdb").is_file());
    s.run(["get", "p.n.k"]).prints("file\n");
    assert!(!database_file(&s, "main").exists());
}

#[test]
fn a_read_that_selects_what_is_not_there_selects_nothing() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb", "cursor a"]);
    for target in ["nowhere", "./nowhere.prdb"] {
        for args in [&["get", "p.n.k"][..], &["keys"], &["nss"]] {
            stopped(&s, &[&["--select", target], args].concat(), 1).stderr_has("nowhere");
        }
    }
    s.run(["get", "p.n.k"]).prints("a\n");
}

#[test]
fn select_is_refused_where_no_database_is_opened() {
    let s = two_files();
    directory_file(&s, "", "file = 'a.prdb'");
    follow(&s, &["cursor set a a.prdb"]);
    for line in [
        "config list",
        "config path",
        "config get ns_delim",
        "config set ns_delim |",
        "cursor list",
        "cursor active",
        "cursor set b b.prdb",
        "cursor delete a",
        "cursor rename a b",
        "cursor clear",
        "cursor a",
        "context",
        "allow",
        "deny",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        refused(&s, &[&words[..], &["--select", "a"]].concat(), 64, "usage").stderr_has("--select");
    }
}

// The active one.

#[test]
fn the_selection_follows_a_cursor_that_is_set_anew() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb", "cursor x", "cursor set x b.prdb -p p -n n"]);
    s.run(["get", "k"]).prints("b\n");
    assert_eq!(saved(&s, "default")["database_path"], json!(work(&s).join("b.prdb")));
    follow(&s, &["cursor set other a.prdb"]);
    s.run(["get", "k"]).prints("b\n");
}

#[test]
fn the_selection_follows_a_cursor_that_is_renamed() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb", "cursor x", "cursor rename x y"]);
    assert_eq!(saved(&s, "default")["cursor"], "y");
    s.run(["get", "p.n.k"]).prints("a\n");
    follow(&s, &["cursor set y b.prdb"]);
    s.run(["get", "p.n.k"]).prints("b\n");
    stopped(&s, &["cursor", "delete", "y"], 1);
}

#[test]
fn the_active_cursor_is_not_deleted() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb", "cursor x"]);
    stopped(&s, &["cursor", "delete", "x"], 1).stderr_has("prontodb cursor clear");
    follow(&s, &["cursor clear", "cursor delete x"]);
    assert!(!cursor_file(&s, "x").exists());
}

#[test]
fn active_tells_what_is_selected() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb -p app", "cursor x"]);
    let selection = saved(&s, "default");
    let before = contents(&s);
    s.run(["cursor", "active"]).prints(format!(
        "cursor: x\ndatabase_path: {}\ndefault_project: app\ndefault_namespace: -\ncreated_at: {}\nuser: default\n",
        work(&s).join("a.prdb").display(),
        selection["created_at"].as_str().unwrap(),
    ));
    assert_eq!(json_of(s.run(["cursor", "active", "--json"])), selection);
    assert_eq!(before, contents(&s));
}

#[test]
fn active_tells_what_would_be_used_while_nothing_is_selected() {
    let s = sandbox();
    for (user, file) in [("default", database_file(&s, "main")), ("alice", database_file(&s, "alice"))] {
        let active = || s.run(["cursor", "active", "--user", user]);
        let outcome = active().succeeds().stdout_has("cursor: -\n").stdout_has(&format!("user: {user}\n"));
        outcome.require(outcome.stdout().contains(&file.display().to_string()), "expected the database");
        outcome.require(outcome.stderr().lines().count() == 1, "expected one line on stderr");
        let answer = json_of(active().arg("--json"));
        assert_eq!((&answer["database_path"], &answer["cursor"]), (&json!(file), &Value::Null), "{answer}");
    }
    assert!(home_is_empty(&s));
}

#[test]
fn clear_forgets_the_selection_and_nothing_else() {
    let s = two_files();
    s.run(["cursor", "clear"]).prints("");
    assert!(home_is_empty(&s));
    follow(&s, &["cursor set x a.prdb", "cursor x", "cursor clear"]);
    assert!(!cursor_file(&s, "default").exists());
    s.run(["get", "p.n.k"]).fails(2);
    s.run(["--cursor", "x", "get", "p.n.k"]).prints("a\n");
    s.run(["cursor", "clear"]).prints("");
}

// Deleting and renaming.

#[test]
fn delete_removes_the_cursor_and_not_the_data() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb", "cursor delete x"]);
    s.run(["cursor", "list"]).prints("");
    s.run(["-d", "a.prdb", "get", "p.n.k"]).prints("a\n");
    stopped(&s, &["cursor", "delete", "x"], 1).stderr_has("x");
}

#[test]
fn rename_moves_the_cursor_as_it_is() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb -p p -n n"]);
    let before = saved(&s, "x");
    follow(&s, &["cursor rename x y"]);
    assert_eq!(saved(&s, "y"), before);
    s.run(["cursor", "list"]).prints("y\n");
    s.run(["--cursor", "y", "get", "k"]).prints("a\n");
    assert!(!cursor_file(&s, "default").exists());
}

#[test]
fn rename_refuses_what_is_missing_and_what_is_there() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb", "cursor set y b.prdb"]);
    stopped(&s, &["cursor", "rename", "nowhere", "z"], 1).stderr_has("nowhere");
    stopped(&s, &["cursor", "rename", "x", "y"], 1).stderr_has("y");
    s.run(["--cursor", "y", "get", "p.n.k"]).prints("b\n");
}

// Listing.

#[test]
fn list_prints_sorted_names() {
    let s = two_files();
    for name in ["b", "a-b", "Z", "a", "_", "10", "9"] {
        s.run(["cursor", "set", name, "a.prdb"]).prints("");
    }
    follow(&s, &["cursor a", "--user alice set k v", "cursor set mine a.prdb --user alice"]);
    s.run(["cursor", "list"]).prints("10\n9\nZ\n_\na\na-b\nb\n").stderr_is("");
    s.run(["cursor", "list", "--user", "alice"]).prints("mine\n").stderr_is("");
}

#[test]
fn long_lists_have_a_column_for_each_field() {
    let s = two_files();
    follow(&s, &["cursor set one a.prdb -p app -n prod", "cursor set two b.prdb", "cursor two"]);
    let row = |mark: &str, project: &str, namespace: &str, name: &str| {
        let cursor = saved(&s, name);
        let [created, path] = ["created_at", "database_path"].map(|field| cursor[field].as_str().unwrap());
        format!("{mark}\t{project}\t{namespace}\t{created}\t{path}\t{name}\n")
    };
    let expected = row("-", "app", "prod", "one") + &row("*", "-", "-", "two");
    s.run(["cursor", "list", "--long"]).prints(expected).stderr_is("");
}

#[test]
fn json_lists_have_all_fields() {
    let s = two_files();
    follow(&s, &["cursor set one a.prdb -p app -n prod", "cursor set two b.prdb", "cursor two"]);
    let item = |name: &str, project: Value, namespace: Value, active: bool| {
        let cursor = saved(&s, name);
        json!({
            "name": name,
            "database_path": cursor["database_path"],
            "default_project": project,
            "default_namespace": namespace,
            "created_at": cursor["created_at"],
            "user": "default",
            "active": active,
        })
    };
    let expected =
        [item("one", json!("app"), json!("prod"), false), item("two", Value::Null, Value::Null, true)];
    assert_eq!(json_of(s.run(["cursor", "list", "--json"])), json!(expected));
}

#[test]
fn an_empty_list_is_told_on_stderr() {
    let s = sandbox();
    for flag in ["--long", "--user=alice"] {
        let outcome = s.run(["cursor", "list", flag]).prints("");
        outcome.require(outcome.stderr().lines().count() == 1, "expected one line on stderr");
    }
    assert_eq!(json_of(s.run(["cursor", "list", "--json"])), json!([]));
    assert!(home_is_empty(&s));
}

// First use.

#[test]
fn the_first_write_to_main_makes_the_selection() {
    let s = sandbox();
    follow(&s, &["set k v"]);
    let selection = saved(&s, "default");
    assert_eq!(selection["database_path"], json!(database_file(&s, "main")));
    for field in ["default_project", "default_namespace", "cursor"] {
        assert_eq!(selection[field], Value::Null, "{field}");
    }
    assert_eq!(selection["user"], "default");
    follow(&s, &["set k w"]);
    assert_eq!(saved(&s, "default"), selection);
    s.run(["cursor", "list"]).prints("");
}

#[test]
fn reads_and_what_is_refused_make_no_selection() {
    let s = sandbox();
    for line in ["get k", "exists k", "keys", "scan", "nss", "projects", "doctor", "context", "cursor list"] {
        s.run(line.split(' ')).ends();
        assert!(home_is_empty(&s), "{line}");
    }
    for line in ["set a.b.c.d v", "set k", "incr k abc", "create-cache p.c abc"] {
        s.run(line.split(' ')).fails_with_one_of(&[1, 64]);
        assert!(home_is_empty(&s), "{line}");
    }
    follow(&s, &["--database main set p.n.k v"]);
    s.run(["get", "p.n.k"]).prints("v\n");
    assert!(!cursor_file(&s, "default").exists());
}

#[test]
fn writes_elsewhere_make_no_selection() {
    let s = sandbox();
    follow(&s, &["cursor set x x.prdb", "--cursor x set k v", "-d y.prdb set k v", "--database z set k v"]);
    s.run(["set", "k", "v"]).env("PRONTO_DB", "w.prdb").prints("");
    directory_file(&s, "", "database = 'z'");
    follow(&s, &["allow", "set k w"]);
    assert!(!cursor_file(&s, "default").exists());
}

// Databases that are gone.

#[test]
fn a_cursor_whose_database_is_gone_reads_as_empty_and_says_so() {
    let s = sandbox();
    follow(&s, &["cursor set x gone.prdb", "cursor x"]);
    let file = cursor_file(&s, "default");
    let named = [("get k", 2), ("keys", 0), ("nss", 0)];
    for (line, code) in named {
        let outcome = s.run(line.split(' ')).fails(code).stdout_is("");
        outcome.stderr_has("gone.prdb").stderr_has(&file.display().to_string());
        let outcome = s.run(line.split(' ')).arg("--cursor=x").fails(code).stdout_is("");
        outcome.stderr_has("gone.prdb").stderr_has("--cursor");
    }
    assert!(!s.path("gone.prdb").exists());
}

#[test]
fn a_write_makes_the_database_of_a_cursor_again() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb", "cursor x"]);
    for side in ["a.prdb", "a.prdb-wal", "a.prdb-shm"] {
        fs::remove_file(s.path(side)).ok();
    }
    follow(&s, &["set p.n.k again"]);
    s.run(["-d", "a.prdb", "get", "p.n.k"]).prints("again\n");
}

#[test]
fn a_write_where_the_folder_of_a_cursor_is_gone_is_refused_with_a_hint() {
    let s = sandbox();
    follow(&s, &["cursor set x gone/x.prdb", "cursor x"]);
    for args in [&["set", "k", "1"][..], &["--cursor", "x", "set", "k", "1"]] {
        let outcome = stopped(&s, args, 1).stderr_has("gone/x.prdb");
        outcome.require(outcome.stderr().lines().count() == 2, "expected a hint");
    }
    s.run(["get", "k"]).fails(2);
    assert!(!s.path("gone").exists());
}
