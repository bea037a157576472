//! `get`: the value and one newline, or the value in another form.

use std::fs;

use serde_json::{Value, json};

use crate::common::{contents, error_of, json_of, refused, refuses, sandbox, sandbox_with, silent_pipe};

/// Bytes that are no UTF-8, with an end that looks like text.
const NOT_UTF8: &[u8] = b"\xff\x00\xfe\n";
const NOT_UTF8_IN_BASE64: &str = "/wD+Cg==";

#[test]
fn the_value_comes_with_one_newline() {
    let s = sandbox_with([("k", "v"), ("n", "v\n")]);
    s.run(["get", "k"]).prints("v\n").stderr_is("");
    s.run(["get", "n"]).prints("v\n\n");
}

#[test]
fn raw_gives_the_exact_bytes() {
    let s = sandbox();
    s.run(["set", "k"]).stdin(NOT_UTF8).prints("");
    s.run(["get", "k", "--raw"]).prints(NOT_UTF8);
    s.run(["get", "-r", "k"]).prints(NOT_UTF8);
    s.run(["get", "k"]).prints([NOT_UTF8, b"\n"].concat());
}

#[test]
fn b64_gives_base64_and_a_newline() {
    let s = sandbox_with([("k", "v"), ("empty", "")]);
    s.run(["set", "bytes"]).stdin(NOT_UTF8).prints("");
    s.run(["get", "k", "--b64"]).prints("dg==\n");
    s.run(["get", "bytes", "--b64"]).prints(format!("{NOT_UTF8_IN_BASE64}\n"));
    s.run(["get", "empty", "--b64"]).prints("\n");
}

#[test]
fn json_gives_canonical_json() {
    let s = sandbox_with([("k", r#"{ "b" : 1, "a" : [ 1.0 ] }"#)]);
    s.run(["get", "k", "--json"]).prints("{\"a\":[1],\"b\":1}\n");
    s.run(["get", "k"]).prints("{ \"b\" : 1, \"a\" : [ 1.0 ] }\n");
}

#[test]
fn json_of_a_value_that_is_no_json_is_a_string() {
    let s = sandbox_with([("k", "plain \"text\"\n"), ("empty", "")]);
    assert_eq!(json_of(s.run(["get", "k", "--json"])), "plain \"text\"\n");
    s.run(["get", "empty", "--json"]).prints("\"\"\n");
}

#[test]
fn json_of_a_value_that_is_no_utf8_is_v64() {
    let s = sandbox();
    s.run(["set", "k"]).stdin(NOT_UTF8).prints("");
    assert_eq!(json_of(s.run(["get", "k", "--json"])), json!({"v64": NOT_UTF8_IN_BASE64}));
}

#[test]
fn large_numbers_are_not_rounded() {
    let s = sandbox_with([("k", "12345678901234567890123")]);
    let error = error_of(s.run(["get", "k", "--json"]).fails(1).stdout_is(""));
    assert!(error["message"].as_str().unwrap().contains("12345678901234567890123"), "{error}");
}

#[test]
fn output_writes_the_exact_bytes_to_a_file() {
    let s = sandbox();
    s.run(["set", "k"]).stdin(NOT_UTF8).prints("");
    s.run(["get", "k", "--output", "out"]).prints("");
    assert_eq!(fs::read(s.path("out")).unwrap(), NOT_UTF8);
    s.run(["set", "k", "short"]).prints("");
    s.run(["get", "k", "--output", "out"]).prints("");
    assert_eq!(fs::read(s.path("out")).unwrap(), b"short");
}

#[test]
fn a_missing_entry_leaves_the_output_file_alone() {
    let s = sandbox_with([("k", "v")]);
    fs::write(s.path("out"), "kept").unwrap();
    refuses(&s, s.run(["get", "missing", "--output", "out"]), 2);
    refuses(&s, s.run(["get", "missing", "--output", "new"]), 2);
    assert!(!s.path("new").exists());
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let s = sandbox_with([("k", "v")]);
    fs::create_dir(s.path("folder")).unwrap();
    refuses(&s, s.run(["get", "k", "--output", "folder"]), 1).stderr_has("folder");
    refuses(&s, s.run(["get", "k", "--output", "nowhere/out"]), 1).stderr_has("nowhere/out");
    s.run(["get", "k", "--output", "/dev/full"]).fails(1).stderr_has("/dev/full");
}

#[test]
fn a_missing_entry_is_exit_2_and_a_line_on_stderr() {
    let s = sandbox_with([("p.n.k", "v")]);
    for address in ["p.n.missing", "p.missing.k", "missing.n.k", "k", "p.n.k__c", "p.n.K"] {
        for form in [&[][..], &["--raw"], &["--b64"], &["--meta"], &["--json"]] {
            let call = s.run([&["get", address], form].concat());
            refuses(&s, call, 2).stderr_has(address);
        }
    }
}

#[test]
fn an_address_is_needed() {
    let s = sandbox();
    refused(&s, &["get"], 64, "usage");
}

#[test]
fn forms_of_output_contradict_each_other() {
    let s = sandbox_with([("k", "1")]);
    for forms in [["--raw", "--json"], ["--raw", "--b64"], ["--b64", "--json"]] {
        refuses(&s, s.run([&["get", "k"], &forms[..]].concat()), 64);
    }
}

#[test]
fn an_open_pipe_on_stdin_does_not_matter() {
    let s = sandbox_with([("k", "v")]);
    let (reader, writer) = silent_pipe();
    s.run(["get", "k"]).stdin_from(reader).prints("v\n");
    drop(writer);
}

#[test]
fn several_addresses_give_an_array_in_their_order() {
    let s = sandbox_with([("p.n.a", "1"), ("n.b", "text"), ("q.n.a", "[1]")]);
    s.run(["set", "bytes"]).stdin(NOT_UTF8).prints("");
    assert_eq!(
        json_of(s.run(["get", "q.n.a", "n.b", "bytes", "p.n.a", "--json"])),
        json!([
            {"k": "q.n.a", "v": "[1]"},
            {"k": "default.n.b", "v": "text"},
            {"k": "default.default.bytes", "v64": NOT_UTF8_IN_BASE64},
            {"k": "p.n.a", "v": "1"},
        ])
    );
}

#[test]
fn what_is_missing_of_several_is_null() {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.c", "3")]);
    let outcome = s.run(["get", "-p", "p", "-n", "n", "a", "b", "c", "d", "--json"]).fails(2);
    let array: Value = serde_json::from_slice(outcome.stdout_bytes()).unwrap();
    let expected = json!([
        {"k": "p.n.a", "v": "1"},
        {"k": "p.n.b", "v": null},
        {"k": "p.n.c", "v": "3"},
        {"k": "p.n.d", "v": null},
    ]);
    assert_eq!(array, expected);
    let error = error_of(outcome);
    assert_eq!(error["message"], "missing or expired: p.n.b, p.n.d");
}

#[test]
fn several_addresses_with_b64_give_a_line_each() {
    let s = sandbox_with([("a", "1"), ("b", "")]);
    s.run(["set", "bytes"]).stdin(NOT_UTF8).prints("");
    s.run(["get", "bytes", "b", "a", "--b64"]).prints(format!("{NOT_UTF8_IN_BASE64}\n\nMQ==\n"));
}

#[test]
fn several_with_b64_give_nothing_when_one_is_missing() {
    let s = sandbox_with([("a", "1")]);
    s.run(["get", "a", "missing", "--b64"]).fails(2).stdout_is("").stderr_has("missing");
}

#[test]
fn several_addresses_need_a_form_that_keeps_them_apart() {
    let s = sandbox_with([("a", "1"), ("b", "2")]);
    refuses(&s, s.run(["get", "a", "b"]), 64).stderr_has("--json");
    refuses(&s, s.run(["get", "a", "b", "--raw"]), 64).stderr_has("--json");
}

#[test]
fn one_bad_address_of_several_spoils_the_call() {
    let s = sandbox_with([("a", "1")]);
    refuses(&s, s.run(["get", "a", "a.b.c.d", "--json"]), 1).stderr_has("a.b.c.d");
}

/// The header lines of `get --meta` and the value behind them.
fn split_meta(text: &str) -> (Vec<(&str, &str)>, &str) {
    let (head, value) = text.split_once("\n\n").expect("an empty line behind the header");
    (head.lines().map(|line| line.split_once(": ").expect("name: value")).collect(), value)
}

#[track_caller]
fn assert_is_moment(text: &str) {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(
        ["0000-00-00T00:00:00.000Z", "0000-00-00T00:00:00Z"].contains(&shape.as_str()),
        "{text} is no moment"
    );
}

#[test]
fn meta_adds_a_header() {
    let s = sandbox_with([("k", "first"), ("k", "value")]);
    let text = s.run(["get", "k", "--meta"]).succeeds().stdout();
    let (head, value) = split_meta(&text);
    let names: Vec<_> = head.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["version", "created", "updated", "expires", "writer", "size"]);
    assert_eq!((head[0].1, head[3].1, head[5].1, value), ("2", "never", "5", "value\n"));
    assert_is_moment(head[1].1);
    assert_is_moment(head[2].1);
    assert!(!head[4].1.is_empty());
}

#[test]
fn meta_with_json_is_one_object() {
    let s = sandbox_with([("k", "[1,2]")]);
    let meta = json_of(s.run(["get", "k", "--json", "--meta"]));
    let names: Vec<_> = meta.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = vec!["k", "v", "version", "created", "updated", "expires", "writer", "size"];
    expected.sort_unstable();
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(
        (&meta["k"], &meta["v"], &meta["version"], &meta["size"]),
        (&json!("default.default.k"), &json!("[1,2]"), &json!(1), &json!(5))
    );
}

#[test]
fn meta_with_json_of_bytes_has_v64() {
    let s = sandbox();
    s.run(["set", "k"]).stdin(NOT_UTF8).prints("");
    let meta = json_of(s.run(["get", "k", "--json", "--meta"]));
    assert_eq!(meta["v64"], NOT_UTF8_IN_BASE64);
    assert!(meta.get("v").is_none());
}

#[test]
fn created_stays_and_updated_moves_on() {
    let s = sandbox_with([("k", "1")]);
    let first = json_of(s.run(["get", "k", "--json", "--meta"]));
    std::thread::sleep(std::time::Duration::from_millis(3));
    s.run(["set", "k", "2"]).prints("");
    let second = json_of(s.run(["get", "k", "--json", "--meta"]));
    assert_eq!(first["created"], second["created"]);
    assert!(first["updated"].as_str() < second["updated"].as_str(), "{first} {second}");
    s.run(["del", "k"]).prints("");
    s.run(["set", "k", "3"]).prints("");
    let third = json_of(s.run(["get", "k", "--json", "--meta"]));
    assert!(first["created"].as_str() < third["created"].as_str(), "{first} {third}");
}

#[test]
fn reads_write_nothing() {
    let s = sandbox_with([("p.n.k", "1")]);
    let before = contents(&s);
    for args in [
        &["get", "p.n.k"][..],
        &["get", "p.m.k"],
        &["get", "p.n.k", "--meta"],
        &["get", "p.n.k", "--include-expired"],
    ] {
        s.run(args).ends();
    }
    assert_eq!(before, contents(&s));
}
