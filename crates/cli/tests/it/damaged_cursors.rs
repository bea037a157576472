//! Cursors that cannot be used: damaged, of another user, out of reach.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use prontodb_testkit::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::common::{refused, refuses, sandbox};
use crate::contexts::{
    LITTLE_MEMORY, cursor_file, follow, gigantic_file, good_cursor, plant, saved, stopped, two_files,
    without_privileges,
};

/// Texts that are no cursors.
const NO_CURSORS: [&str; 12] = [
    "",
    "\n",
    "not json",
    "null",
    "5",
    "\"a.prdb\"",
    "[]",
    "{}",
    "{\"database_path\": \"/x.prdb\"",
    "{} {}",
    "\0\0\0\0",
    "database_path = \"/x.prdb\"",
];

/// Values that a field of an active selection cannot have; `Null` for the path stands for a path that is missing, too.
fn bad_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("database_path", Value::Null),
        ("database_path", json!(5)),
        ("database_path", json!(["/x.prdb"])),
        ("database_path", json!("")),
        ("database_path", json!("x.prdb")),
        ("database_path", json!("./x.prdb")),
        ("default_project", json!(5)),
        ("default_project", json!(["app"])),
        ("default_project", json!("a\nb")),
        ("default_project", json!("n".repeat(65))),
        ("default_namespace", json!(true)),
        ("default_namespace", json!({})),
        ("default_namespace", json!("a\u{1}b")),
        ("created_at", json!(5)),
        ("user", json!(5)),
        ("user", json!(["default"])),
        ("cursor", json!(5)),
    ]
}

/// All the texts that are no cursors.
fn damaged_texts(s: &Sandbox) -> Vec<String> {
    let mut texts: Vec<_> = NO_CURSORS.map(str::to_owned).to_vec();
    for (field, value) in bad_fields() {
        let mut cursor = good_cursor(s);
        cursor[field] = value;
        texts.push(cursor.to_string());
    }
    let mut pathless = good_cursor(s);
    pathless.as_object_mut().unwrap().remove("database_path");
    texts.push(pathless.to_string());
    let whole = good_cursor(s).to_string();
    texts.push(whole[..whole.len() / 2].to_owned());
    texts.push(format!("{whole}{whole}"));
    texts
}

#[test]
fn the_cursor_that_tests_damage_is_good() {
    let s = two_files();
    plant(&s, "default", good_cursor(&s).to_string());
    s.run(["get", "p.n.k"]).prints("a\n");
}

#[test]
fn a_damaged_selection_stops_what_comes_down_to_it() {
    let s = sandbox();
    for text in damaged_texts(&s) {
        plant(&s, "default", &text);
        refused(&s, &["get", "p.n.k"], 7, "damaged").stderr_has("default.cursor");
        refused(&s, &["set", "p.n.k", "1"], 7, "damaged").stderr_has("default.cursor");
    }
    for args in [&["keys"][..], &["exists", "p.n.k"], &["nss"], &["cursor", "active"]] {
        refused(&s, args, 7, "damaged").stderr_has("default.cursor");
    }
}

#[test]
fn a_damaged_cursor_of_a_name_is_told() {
    let s = sandbox();
    for text in damaged_texts(&s) {
        // Only active selections have the field, so nothing is said about it here.
        if text.contains("\"cursor\":5") {
            continue;
        }
        plant(&s, "bad", &text);
        refused(&s, &["--cursor", "bad", "get", "p.n.k"], 7, "damaged").stderr_has("bad.cursor");
        refused(&s, &["--cursor", "bad", "set", "p.n.k", "1"], 7, "damaged").stderr_has("bad.cursor");
    }
}

#[test]
fn a_damaged_selection_of_a_user_is_told() {
    let s = two_files();
    let texts = ["", "[]", "{\"database_path\": \"x.prdb\", \"user\": \"alice\"}"];
    for text in texts {
        plant(&s, "alice", text);
        refused(&s, &["--user", "alice", "get", "p.n.k"], 7, "damaged").stderr_has("alice.cursor");
        refused(&s, &["--user", "alice", "set", "p.n.k", "1"], 7, "damaged").stderr_has("alice.cursor");
        s.run(["get", "p.n.k"]).fails(2).stderr_lacks("alice.cursor");
    }
}

#[test]
fn bytes_that_are_no_text_are_damage() {
    let s = two_files();
    plant(&s, "default", b"{\"database_path\": \"/\xff\xfe\"}");
    refused(&s, &["get", "p.n.k"], 7, "damaged").stderr_has("default.cursor");
}

#[test]
fn a_gigantic_cursor_is_damage_and_takes_no_memory() {
    let s = two_files();
    for name in ["default", "big"] {
        gigantic_file(&plant(&s, name, ""));
    }
    for args in [&["get", "p.n.k"][..], &["set", "p.n.k", "1"]] {
        s.run(args).under(LITTLE_MEMORY).fails(7).stdout_is("").stderr_has("default.cursor");
        let call = s.run(args).arg("--cursor=big").under(LITTLE_MEMORY);
        call.fails(7).stdout_is("").stderr_has("big.cursor");
    }
}

#[test]
fn stronger_choices_work_in_spite_of_damage() {
    let s = two_files();
    follow(&s, &["--database other set p.n.k other", "cursor set good b.prdb"]);
    plant(&s, "default", "{");
    plant(&s, "bad", "{");
    s.run(["-d", "a.prdb", "get", "p.n.k"]).prints("a\n");
    s.run(["--database", "other", "get", "p.n.k"]).prints("other\n");
    s.run(["--cursor", "good", "get", "p.n.k"]).prints("b\n");
    s.run(["get", "p.n.k"]).env("PRONTO_DB", "a.prdb").prints("a\n");
    follow(&s, &["-d a.prdb set p.n.k new", "--user alice set p.n.k mine"]);
    s.run(["--user", "alice", "get", "p.n.k"]).prints("mine\n");
    plant(&s, "alice", "{");
    s.run(["-d", "a.prdb", "get", "p.n.k", "--user", "alice"]).prints("new\n");
    s.run(["get", "p.n.k"]).env("PRONTO_USER", "alice").env("PRONTO_DB", "a.prdb").fails(7);
}

#[test]
fn selecting_mends_a_damaged_selection() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb", "cursor set a a.prdb --user alice"]);
    for text in damaged_texts(&s) {
        plant(&s, "default", &text);
        follow(&s, &["cursor a"]);
        s.run(["get", "p.n.k"]).prints("a\n");
    }
    plant(&s, "alice", "{");
    follow(&s, &["cursor a --user alice"]);
    s.run(["get", "p.n.k", "--user", "alice"]).prints("a\n");
}

#[test]
fn clear_removes_a_damaged_selection() {
    let s = sandbox();
    for text in damaged_texts(&s) {
        plant(&s, "default", &text);
        follow(&s, &["cursor clear"]);
        assert!(!cursor_file(&s, "default").exists(), "{text}");
    }
    plant(&s, "alice", "{");
    follow(&s, &["cursor clear --user alice"]);
    assert!(!cursor_file(&s, "alice").exists());
}

#[test]
fn set_and_delete_mend_and_remove_damaged_cursors() {
    let s = two_files();
    for text in damaged_texts(&s) {
        plant(&s, "bad", &text);
        follow(&s, &["cursor set bad b.prdb"]);
        s.run(["--cursor", "bad", "get", "p.n.k"]).prints("b\n");
        plant(&s, "bad", &text);
        follow(&s, &["cursor delete bad"]);
        assert!(!cursor_file(&s, "bad").exists(), "{text}");
    }
}

#[test]
fn a_list_shows_the_others_and_names_the_damaged_one() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb", "cursor set z b.prdb"]);
    plant(&s, "bad", "{");
    s.run(["cursor", "list"]).fails(7).stdout_is("a\nz\n").stderr_has("bad.cursor");
    let long = s.run(["cursor", "list", "--long"]).fails(7).stderr_has("bad.cursor");
    assert_eq!(long.stdout().lines().count(), 2);
    let json = s.run(["cursor", "list", "--json"]).fails(7).stderr_has("damaged").stdout();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap().as_array().map(Vec::len), Some(2), "{json}");
}

#[test]
fn a_cursor_of_another_user_is_refused() {
    let s = two_files();
    let mut cursor = good_cursor(&s);
    cursor["user"] = json!("bob");
    for name in ["default", "x", "alice", "alice.x"] {
        plant(&s, name, cursor.to_string());
    }
    for (flags, file) in [
        (&[][..], "default.cursor"),
        (&["--cursor", "x"], "x.cursor"),
        (&["--user", "alice"], "alice.cursor"),
        (&["--user", "alice", "--cursor", "x"], "alice.x.cursor"),
    ] {
        stopped(&s, &[flags, &["get", "p.n.k"]].concat(), 1).stderr_has(file);
        stopped(&s, &[flags, &["set", "p.n.k", "1"]].concat(), 1).stderr_has(file);
    }
}

#[test]
fn an_unreadable_cursor_is_denied() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb", "cursor a"]);
    for name in ["default", "a"] {
        fs::set_permissions(cursor_file(&s, name), Permissions::from_mode(0o000)).unwrap();
    }
    for (args, file) in [
        (&["get", "p.n.k"][..], "default.cursor"),
        (&["set", "p.n.k", "1"], "default.cursor"),
        (&["get", "p.n.k", "--cursor", "a"], "a.cursor"),
    ] {
        s.run(args).under(without_privileges()).fails(5).stdout_is("").stderr_has(file);
        s.run(args).arg("--json").under(without_privileges()).fails(5).stderr_has("\"denied\"");
    }
    s.run(["-d", "a.prdb", "get", "p.n.k"]).under(without_privileges()).prints("a\n");
}

#[test]
fn a_folder_in_place_of_a_cursor_is_an_error_that_names_it() {
    let s = two_files();
    for name in ["default", "x"] {
        fs::create_dir_all(cursor_file(&s, name)).unwrap();
    }
    for (args, file) in [(&["get", "p.n.k"][..], "default.cursor"), (&["keys", "--cursor", "x"], "x.cursor")]
    {
        s.run(args).fails_with_one_of(&[1, 5, 7]).stdout_is("").stderr_has(file);
    }
    s.run(["-d", "a.prdb", "get", "p.n.k"]).prints("a\n");
}

#[test]
fn a_pipe_in_place_of_a_cursor_keeps_nobody_waiting() {
    let s = two_files();
    plant(&s, "other", "");
    for name in ["default", "x"] {
        s.run_other("mkfifo", [cursor_file(&s, name)]).succeeds();
    }
    for (args, file) in [(&["get", "p.n.k"][..], "default.cursor"), (&["keys", "--cursor", "x"], "x.cursor")]
    {
        s.run(args).fails_with_one_of(&[1, 5, 7]).stdout_is("").stderr_has(file);
    }
}

#[test]
fn what_lies_beside_the_cursors_is_no_cursor() {
    let s = two_files();
    follow(&s, &["cursor set a a.prdb", "cursor set b b.prdb --user alice"]);
    for name in ["notes.txt", ".hidden", "a.cursor.bak", "a b.cursor", ".cursor", "..cursor"] {
        fs::write(cursor_file(&s, "a").with_file_name(name), "{").unwrap();
    }
    s.run(["cursor", "list"]).prints("a\n").stderr_is("");
    s.run(["cursor", "list", "--user", "alice"]).prints("b\n").stderr_is("");
    assert_eq!(saved(&s, "alice.b")["user"], "alice");
}

#[test]
fn a_cursors_folder_that_is_a_file_is_an_error() {
    let s = two_files();
    let folder = cursor_file(&s, "x").parent().unwrap().to_owned();
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    fs::write(&folder, "").unwrap();
    refuses(&s, s.run(["cursor", "set", "x", "a.prdb"]), 1).stderr_has("cursors");
    s.run(["-d", "a.prdb", "get", "p.n.k"]).prints("a\n");
}
