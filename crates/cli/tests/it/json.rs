//! `--json`: errors as JSON on stderr, answers as JSON on stdout.

use std::fs;

use serde_json::Value;

use crate::common::{error_of, json_of, refuses, sandbox, sandbox_with};

/// The error of a call that fails with `code`.
#[track_caller]
fn error(s: &prontodb_testkit::sandbox::Sandbox, args: &[&str], code: i32) -> Value {
    let error = error_of(refuses(s, s.run(args), code));
    assert_eq!(error["code"], code, "{error}");
    error
}

#[test]
fn every_exit_code_has_its_error_object() {
    let s = sandbox_with([("p.n.k", "1")]);
    fs::write(s.path("no-database"), "just text, and more of it\n".repeat(100)).unwrap();
    let big = "1".repeat(100);
    let too_big = s.run(["--json", "set", "p.n.x", &big]).env("PRONTO_MAX_VALUE_BYTES", "99");
    for (error, code, kind) in [
        (error(&s, &["--json", "get", "a.b.c.d"], 1), 1, "invalid"),
        (error(&s, &["--json", "set", "p.n.k", "1", "--ttl", "5"], 2), 2, "no_ttl"),
        (error(&s, &["--json", "set", "p.n.k", "1", "--if-absent"], 3), 3, "conflict"),
        (error_of(refuses(&s, too_big, 6)), 6, "limit"),
        (error(&s, &["--json", "-d", "no-database", "get", "p.n.k"], 7), 7, "damaged"),
        (error(&s, &["--json", "get"], 64), 64, "usage"),
        (error(&s, &["--json", "nonsense"], 64), 64, "usage"),
        (error(&s, &["--json", "get", "p.n.k", "--bogus"], 64), 64, "usage"),
    ] {
        assert_eq!((&error["code"], &error["kind"]), (&code.into(), &kind.into()), "{error}");
        assert_eq!(error["retryable"], false, "{error}");
    }
}

#[test]
fn a_missing_entry_is_an_error_object_too() {
    let s = sandbox_with([("p.n.k", "1")]);
    for args in [["--json", "get", "p.n.x"], ["--json", "ttl", "p.n.x"], ["--json", "touch", "p.n.x"]] {
        let error = error(&s, &args, 2);
        assert!(error["message"].as_str().unwrap().contains("p.n.x"), "{error}");
        assert_ne!(error["kind"], "no_ttl");
    }
}

#[test]
fn json_works_before_and_after_the_command() {
    let s = sandbox();
    for args in [["--json", "get", "a.b.c.d"], ["get", "--json", "a.b.c.d"], ["get", "a.b.c.d", "--json"]] {
        error(&s, &args, 1);
    }
}

#[test]
fn json_behind_two_dashes_is_an_argument() {
    let s = sandbox();
    refuses(&s, s.run(["get", "--", "a.b.c.d", "--json"]), 64).stderr_has("prontodb: ");
}

#[test]
fn hints_have_a_place_of_their_own() {
    let s = sandbox_with([("p.n.k", "1")]);
    let error = error(&s, &["--json", "set", "p.n.k", "1", "--ttl", "5"], 2);
    assert!(error["hint"].as_str().unwrap().contains("create-cache"), "{error}");
    let plain = s.run(["set", "p.n.k", "1", "--ttl", "5"]).fails(2).stderr();
    let lines: Vec<_> = plain.lines().collect();
    assert_eq!(lines.len(), 2, "{plain}");
    assert_eq!(lines[0], format!("prontodb: {}", error["message"].as_str().unwrap()));
    assert!(lines[1].ends_with(error["hint"].as_str().unwrap()), "{plain}");
}

#[test]
fn messages_with_quotes_and_newlines_stay_json() {
    let s = sandbox();
    error(&s, &["--json", "get", "a\"b\\.c.d.e"], 1);
    error(&s, &["--json", "get", "a\nb"], 1);
    error(&s, &["--json", "nonsense\"\n"], 64);
}

#[test]
fn successes_write_no_json_to_stderr() {
    let s = sandbox();
    s.run(["--json", "set", "p.n.k", "1"]).prints("").stderr_is("");
    s.run(["--json", "get", "p.n.k"]).prints("1\n").stderr_is("");
}

#[test]
fn answers_are_one_json_text() {
    let s = sandbox_with([("p.n.k", "1")]);
    for args in [
        &["keys", "--json"][..],
        &["keys", "p.n", "--json"],
        &["keys", "p.n", "--json", "--long"],
        &["keys", "p.n", "--json", "--count"],
        &["scan", "--json"],
        &["scan", "p.n", "--json", "--long"],
        &["get", "p.n.k", "--json"],
        &["ttl", "p.n.k", "--json"],
        &["incr", "p.n.i", "--json"],
        &["set", "p.n.k", "2", "--return", "version", "--json"],
        &["projects", "--json"],
        &["namespaces", "-p", "p", "--json"],
        &["nss", "--json"],
        &["config", "list", "--json"],
        &["doctor", "--json"],
        &["version", "--json"],
    ] {
        json_of(s.run(args));
    }
}

#[test]
fn without_a_database_stderr_is_one_error_object() {
    let s = sandbox();
    for (args, code) in [
        (&["get", "a.b.c"][..], 2),
        (&["touch", "a.b.c"], 2),
        (&["undo", "a.b.c"], 2),
        (&["lock", "release", "l", "--fence", "1"], 3),
        (&["queue", "ack", "a.b", "--fence", "1"], 3),
    ] {
        let error = error_of(refuses(&s, s.run([args, &["--json"]].concat()), code));
        assert!(error["hint"].as_str().unwrap().contains("there is no database"), "{args:?}: {error}");
    }
}

#[test]
fn with_json_each_line_of_stderr_is_an_object() {
    let s = sandbox();
    for args in [
        &["exists", "a.b.c"][..],
        &["keys"],
        &["scan", "a.b"],
        &["watch", "--timeout", "50ms"],
        &["admin", "gc"],
        &["cursor", "list"],
        &["del", "a.b.", "--prefix", "--dry-run"],
    ] {
        let outcome = s.run([args, &["--json"]].concat()).ends();
        for line in outcome.stderr().lines() {
            let told: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{args:?}: {line}"));
            assert!(["note", "warning", "error"].iter().any(|kind| told[kind] != Value::Null), "{told}");
        }
    }
}

#[test]
fn what_else_is_told_in_words_is_one_json_text_too() {
    let s = sandbox_with([("p.n.k", "1")]);
    assert_eq!(json_of(s.run(["export", "p.n", "--json"])), serde_json::json!([{"k": "k", "v": "1"}]));
    s.run(["export", "p.n", "--json", "--format", "tsv"]).fails(64).stderr_has("--format tsv");
    json_of(s.run(["export", "p.n", "--json", "--format", "json"]));
    let import = |flags: &[&str]| {
        json_of(s.run(["import", "p.m", "--json"]).args(flags.iter().copied()).stdin("k\tMQ==\n"))
    };
    let told = |imported| serde_json::json!({"imported": imported, "set": 1, "removed": 0, "skipped": 0});
    assert_eq!(import(&["--dry-run"]), told(false));
    assert_eq!(import(&[]), told(true));
    let told = json_of(s.run(["admin", "namespace", "set", "p.n", "history=3", "--json"]));
    assert_eq!((&told["namespace"], &told["history"]), (&"p.n".into(), &3.into()));
    let told = json_of(s.run(["sync", "main", "copy", "--json"]));
    assert_eq!(told, serde_json::json!({"set": 2, "removed": 0}));
    s.run(["set", "p.n.k", "2"]).prints("");
    let told = json_of(s.run(["sync", "main", "copy", "--dry-run", "--json"]));
    assert_eq!(told, serde_json::json!([{"change": "~", "address": "p.n.k"}]));
    let told = json_of(s.run(["admin", "rename-db", "copy", "other", "--json"]));
    assert_eq!(told, serde_json::json!({"database": "other", "was": "copy", "cursors": []}));
    let told = json_of(s.run(["admin", "switch-db", "other", "--json"]));
    assert_eq!(told["selected"], "other");
    let told = json_of(s.run(["cursor", "main", "--json"]));
    assert!(told["path"].as_str().unwrap().ends_with("pronto.main.prdb"));
    let told = json_of(s.run(["admin", "delete-db", "other", "--force", "--json"]));
    assert_eq!(told, serde_json::json!({"gone": "other", "cursors": []}));
}
