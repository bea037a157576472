//! `context` and `--explain`: what is chosen, and why.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::{contents, database_file, json_of, refused, sandbox};
use crate::contexts::{cursor_file, directory_file, follow, home_is_empty, plant, two_files, work};

/// The lines of `context` in a sandbox where nothing was chosen.
fn usual_lines(database: &Path, exists: &str) -> String {
    format!(
        "database: {} (default)\nexists: {exists}\nproject: default (default)\nnamespace: default (default)\n\
         delimiter: . (default)\nuser: - (default)\nwriter: tester (USER)\n",
        database.display()
    )
}

fn config_file(s: &prontodb_testkit::sandbox::Sandbox) -> String {
    s.home().join(".local/etc/odx/prontodb/pronto.conf").display().to_string()
}

#[test]
fn in_an_empty_home_all_comes_from_defaults_and_nothing_is_made() {
    let s = sandbox();
    let main = database_file(&s, "main");
    s.run(["context"]).prints(usual_lines(&main, "no"));
    s.run(["--explain"]).prints(usual_lines(&main, "no"));
    assert!(home_is_empty(&s));
    follow(&s, &["--database main set k v"]);
    s.run(["context"]).prints(usual_lines(&main, "yes"));
}

#[test]
fn json_says_the_same() {
    let s = sandbox();
    let expected = json!({
        "database": {"value": database_file(&s, "main"), "source": "default"},
        "exists": false,
        "project": {"value": "default", "source": "default"},
        "namespace": {"value": "default", "source": "default"},
        "delimiter": {"value": ".", "source": "default"},
        "user": {"value": null, "source": "default"},
        "writer": {"value": "tester", "source": "USER"},
        "overruled": [],
    });
    assert_eq!(json_of(s.run(["context", "--json"])), expected);
    assert_eq!(json_of(s.run(["--json", "--explain"])), expected);
    assert!(home_is_empty(&s));
}

#[test]
fn a_user_is_told_with_the_selection() {
    let s = sandbox();
    let own = database_file(&s, "alice");
    let context = || s.run(["context"]);
    context().arg("--user=alice").succeeds().stdout_has(&format!("database: {} (--user)\n", own.display()));
    context()
        .env("PRONTO_USER", "alice")
        .succeeds()
        .stdout_has(&format!("database: {} (PRONTO_USER)\n", own.display()))
        .stdout_has("user: alice (PRONTO_USER)\nwriter: alice (PRONTO_USER)\n");
    follow(&s, &["--user alice set k v", "cursor set x x.prdb -p app --user alice", "cursor x --user alice"]);
    let (file, cursor) = (work(&s).join("x.prdb"), cursor_file(&s, "alice"));
    let (file, cursor) = (file.display(), cursor.display());
    context().arg("--user=alice").prints(format!(
        "database: {file} (--user, {cursor})\nexists: no\nproject: app ({cursor})\n\
         namespace: default (default)\ndelimiter: . (default)\nuser: alice (--user)\nwriter: alice (--user)\n"
    ));
    let answer = json_of(context().arg("--json").env("PRONTO_USER", "alice"));
    assert_eq!(answer["database"]["source"], format!("PRONTO_USER, {cursor}"));
    assert_eq!(answer["project"], json!({"value": "app", "source": cursor.to_string()}));
    assert_eq!(answer["user"], json!({"value": "alice", "source": "PRONTO_USER"}));
}

#[test]
fn every_source_of_the_database_is_named() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb", "--database other set k v"]);
    let (a, other) = (work(&s).join("a.prdb"), database_file(&s, "other"));
    let named = |database: &Path, source: &str| format!("database: {} ({source})\n", database.display());
    let cursor = cursor_file(&s, "x");
    let by_cursor = format!("--cursor, {}", cursor.display());
    let context = || s.run(["context"]);
    context().arg("--database=other").succeeds().stdout_has(&named(&other, "--database"));
    context().arg("--cursor=x").succeeds().stdout_has(&named(&a, &by_cursor));
    context().arg("-d").arg(&a).succeeds().stdout_has(&named(&a, "-d"));
    context().env("PRONTO_DB", &a).succeeds().stdout_has(&named(&a, "PRONTO_DB"));
    follow(&s, &["cursor x"]);
    let selection = cursor_file(&s, "default").display().to_string();
    context().succeeds().stdout_has(&named(&a, &selection));
    let file = directory_file(&s, "", "database = 'other'").display().to_string();
    follow(&s, &["allow"]);
    context().succeeds().stdout_has(&named(&other, &file));
}

#[test]
fn a_selection_made_by_the_command_is_named() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb"]);
    for (target, file) in [("x", "a.prdb"), ("./b.prdb", "b.prdb")] {
        let outcome = s.run(["get", "p.n.k", "--explain", "--select", target]).succeeds();
        let stderr = outcome.stderr();
        let line = stderr.lines().find(|line| line.starts_with("database: ")).unwrap();
        assert!(line.contains(&format!("{file} (--select")), "{line}");
    }
}

#[test]
fn every_source_of_project_namespace_and_delimiter_is_named() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb -p app -n prod"]);
    let context = || s.run(["context"]);
    s.run(["context", "-p", "a", "-n", "b", "--ns-delim", "|", "--cursor", "x"])
        .succeeds()
        .stdout_has("\nproject: a (--project)\nnamespace: b (--namespace)\ndelimiter: | (--ns-delim)\n");
    context()
        .env("PRONTO_DEFAULT_PROJECT", "c")
        .env("PRONTO_DEFAULT_NAMESPACE", "d")
        .env("PRONTO_NS_DELIM", ":")
        .succeeds()
        .stdout_has("\nproject: c (PRONTO_DEFAULT_PROJECT)\nnamespace: d (PRONTO_DEFAULT_NAMESPACE)\n")
        .stdout_has("\ndelimiter: : (PRONTO_NS_DELIM)\n");
    let cursor = cursor_file(&s, "x");
    let cursor = cursor.display();
    context()
        .arg("--cursor=x")
        .env("PRONTO_DEFAULT_PROJECT", "c")
        .succeeds()
        .stdout_has(&format!("\nproject: app ({cursor})\nnamespace: prod ({cursor})\n"));
    follow(&s, &["config set default_project e", "config set ns_delim /"]);
    let config = config_file(&s);
    context()
        .succeeds()
        .stdout_has(&format!("\nproject: e ({config})\nnamespace: default (default)\n"))
        .stdout_has(&format!("\ndelimiter: / ({config})\n"));
}

#[test]
fn a_directory_file_is_named_for_what_it_gives() {
    let s = two_files();
    let file = directory_file(&s, "", "file = 'a.prdb'\nnamespace = 'prod'");
    follow(&s, &["allow"]);
    let answer = json_of(s.run(["context", "--json"]));
    assert_eq!(answer["database"], json!({"value": work(&s).join("a.prdb"), "source": file}));
    assert_eq!(answer["namespace"], json!({"value": "prod", "source": file}));
    assert_eq!(answer["project"], json!({"value": "default", "source": "default"}));
    assert_eq!(answer["exists"], true);
}

// Overruled.

/// A sandbox where everything that can be has chosen a database; `PRONTO_DB` is left to the calls.
fn place_of_choices() -> prontodb_testkit::sandbox::Sandbox {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb", "cursor x", "--user alice set p.n.k v"]);
    directory_file(&s, "", "file = 'b.prdb'");
    follow(&s, &["allow"]);
    s
}

#[test]
fn weaker_choices_are_listed_in_order() {
    let s = place_of_choices();
    let own = database_file(&s, "alice");
    let [a, b] = ["a.prdb", "b.prdb"].map(|name| work(&s).join(name).display().to_string());
    let variable = work(&s).join("v.prdb").display().to_string();
    let user = format!("overruled: {} (--user, {})\n", own.display(), cursor_file(&s, "alice").display());
    let by_variable = format!("overruled: {variable} (PRONTO_DB)\n");
    let directory = format!("overruled: {b} ({}/.prontodb)\n", work(&s).display());
    let selection = format!("overruled: {a} ({})\n", cursor_file(&s, "default").display());
    let overruled = |args: &[&str]| {
        let stdout = s.run([&["context"], args].concat()).env("PRONTO_DB", &variable).succeeds().stdout();
        let lines = stdout.split_inclusive('\n').filter(|line| line.starts_with("overruled: "));
        lines.collect::<String>()
    };
    assert_eq!(overruled(&[]), directory.clone() + &selection);
    assert_eq!(overruled(&["--user", "alice"]), by_variable.clone() + &directory + &selection);
    assert_eq!(
        overruled(&["-d", "c.prdb", "--user", "alice"]),
        user + &by_variable + &directory + &selection
    );
}

#[test]
fn json_lists_weaker_choices_too() {
    let s = place_of_choices();
    let answer = json_of(s.run(["context", "--json", "-d", "c.prdb"]));
    let expected = json!([
        {"value": work(&s).join("b.prdb"), "source": work(&s).join(".prontodb")},
        {"value": work(&s).join("a.prdb"), "source": cursor_file(&s, "default")},
    ]);
    assert_eq!(answer["overruled"], expected);
}

#[test]
fn main_and_what_is_not_there_are_never_overruled() {
    let s = two_files();
    follow(&s, &["--database main set k v"]);
    directory_file(&s, "", "file = 'b.prdb'");
    follow(&s, &["deny"]);
    s.run(["context", "-d", "a.prdb"]).env("PRONTO_DB", "").succeeds().stdout_lacks("overruled");
}

#[test]
fn a_broken_weaker_choice_is_told_and_harms_nothing() {
    let s = two_files();
    let selection = plant(&s, "default", "{").display().to_string();
    let planted = directory_file(&s, "", "file = 'b.prdb'").display().to_string();
    let outcome = s.run(["context", "-d", "a.prdb"]).succeeds();
    let stdout = outcome.stdout();
    let lines: Vec<_> = stdout.lines().filter(|line| line.starts_with("overruled: ")).collect();
    assert_eq!(lines.len(), 2, "{stdout}");
    for (line, (path, chooser)) in lines.iter().zip([(planted, ".prontodb"), (selection, "default.cursor")]) {
        assert!(line.contains(&path) && line.ends_with(&format!("({chooser})")), "{line}");
        assert!(!line.contains("b.prdb"), "what is not allowed is not read: {line}");
    }
    let answer = json_of(s.run(["context", "-d", "a.prdb", "--json"]));
    let sources: Vec<_> =
        answer["overruled"].as_array().unwrap().iter().map(|item| &item["source"]).collect();
    assert_eq!(sources, [&json!(".prontodb"), &json!("default.cursor")]);
    s.run(["-d", "a.prdb", "get", "p.n.k", "--explain"]).prints("a\n").stderr_has("overruled");
}

#[test]
fn a_broken_choice_that_decides_is_an_error() {
    let s = two_files();
    plant(&s, "default", "{");
    refused(&s, &["context"], 7, "damaged").stderr_has("default.cursor");
    directory_file(&s, "", "file = 'b.prdb'");
    refused(&s, &["context"], 5, "denied").stderr_has("prontodb allow");
    refused(&s, &["--explain"], 5, "denied").stderr_has("prontodb allow");
}

// With commands.

#[test]
fn explain_tells_on_stderr_and_the_command_runs_as_without_it() {
    let s = place_of_choices();
    let context = s.run(["context"]).succeeds().stdout();
    let before = contents(&s);
    for line in ["get p.n.k", "keys", "scan p.n", "nss", "exists p.n.k", "doctor", "keys --count"] {
        let stdout = s.run(line.split(' ')).succeeds().stderr_is("").stdout();
        // The free room on the disk may change between two calls.
        let without_room = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with("free_bytes"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        for args in [format!("{line} --explain"), format!("--explain {line}")] {
            let outcome = s.run(args.split(' ')).succeeds().stderr_is(&context);
            assert_eq!(without_room(&outcome.stdout()), without_room(&stdout), "{args}");
        }
    }
    assert_eq!(before, contents(&s));
}

#[test]
fn explained_writes_write_and_failures_keep_their_codes() {
    let s = two_files();
    follow(&s, &["cursor set x a.prdb", "cursor x"]);
    let line = format!("database: {} (", work(&s).join("a.prdb").display());
    s.run(["set", "p.n.k", "new", "--explain"]).prints("").stderr_has(&line);
    s.run(["-d", "a.prdb", "get", "p.n.k"]).prints("new\n");
    s.run(["incr", "p.n.i", "--explain"]).prints("1\n").stderr_has(&line);
    s.run(["get", "p.n.missing", "--explain"])
        .fails(2)
        .stdout_is("")
        .stderr_has(&line)
        .stderr_has("p.n.missing");
    s.run(["get", "p.n.k", "--bogus", "--explain"]).fails(64).stdout_is("");
}

#[test]
fn doctor_names_the_same_source() {
    let s = place_of_choices();
    for args in
        [&[][..], &["-d", "a.prdb"], &["--user", "alice"], &["--cursor", "x"], &["--database", "main"]]
    {
        let context = json_of(s.run([&["context", "--json"], args].concat()));
        let doctor = json_of(s.run([&["doctor", "--json"], args].concat()));
        assert_eq!(doctor["chosen_by"], context["database"]["source"], "{args:?}");
        assert_eq!(doctor["database"], context["database"]["value"], "{args:?}");
    }
}

#[test]
fn looking_changes_nothing() {
    let s = place_of_choices();
    fs::remove_file(cursor_file(&s, "alice")).unwrap();
    let before = contents(&s);
    for line in ["context", "context --json", "--explain", "context --user alice", "context -d new.prdb"] {
        s.run(line.split(' ')).succeeds();
    }
    assert_eq!(before, contents(&s));
}

#[test]
fn context_takes_neither_words_nor_select() {
    let s = two_files();
    refused(&s, &["context", "x"], 64, "usage");
    refused(&s, &["context", "--bogus"], 64, "usage").stderr_has("--bogus");
    refused(&s, &["context", "--select", "./a.prdb"], 64, "usage").stderr_has("--select");
    assert_eq!(json_of(s.run(["context", "--json"]))["overruled"], Value::Array(Vec::new()));
}
