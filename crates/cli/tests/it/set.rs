//! `set`: writes one entry and prints nothing.

use std::fs::{self, File};

use crate::common::{refused, refuses, sandbox, sandbox_with, silent_pipe};

/// Every byte there is, and a few that come in threes.
fn every_byte() -> Vec<u8> {
    (0..=255).chain(*b"\r\n\0").collect()
}

#[test]
fn the_first_command_in_an_empty_home_works() {
    let s = sandbox();
    s.run(["set", "p.n.k", "v"]).prints("").stderr_is("");
    s.run(["get", "p.n.k"]).prints("v\n").stderr_is("");
}

#[test]
fn a_second_value_replaces_the_first() {
    let s = sandbox_with([("k", "first, and longer"), ("k", "second")]);
    s.run(["get", "k"]).prints("second\n");
    s.run(["keys", "--count"]).prints("1\n");
}

#[test]
fn values_come_from_stdin_when_none_is_given() {
    let s = sandbox();
    s.run(["set", "k"]).stdin(every_byte()).prints("");
    s.run(["get", "k", "--raw"]).prints(every_byte());
}

#[test]
fn a_dash_is_stdin() {
    let s = sandbox();
    s.run(["set", "k", "-"]).stdin(every_byte()).prints("");
    s.run(["get", "k", "--raw"]).prints(every_byte());
    s.run(["set", "k", "-"]).stdin("").prints("");
    s.run(["get", "k", "--raw"]).prints("");
}

#[test]
fn a_file_on_stdin_is_read() {
    let s = sandbox();
    fs::write(s.path("value"), every_byte()).unwrap();
    s.run(["set", "k"]).stdin_from(File::open(s.path("value")).unwrap()).prints("");
    s.run(["get", "k", "--raw"]).prints(every_byte());
}

#[test]
fn newlines_of_stdin_are_part_of_the_value() {
    let s = sandbox();
    s.run(["set", "k"]).stdin("v\n").prints("");
    s.run(["get", "k", "-r"]).prints("v\n");
    s.run(["get", "k"]).prints("v\n\n");
}

#[test]
fn a_file_becomes_the_value() {
    let s = sandbox();
    fs::write(s.path("value"), every_byte()).unwrap();
    s.run(["set", "k", "--file", "value"]).prints("");
    s.run(["get", "k", "--raw"]).prints(every_byte());
    fs::write(s.path("empty"), "").unwrap();
    s.run(["set", "k", "--file", "empty"]).prints("");
    s.run(["get", "k", "--raw"]).prints("");
}

#[test]
fn files_that_cannot_be_read_are_refused_by_name() {
    let s = sandbox_with([("k", "old")]);
    fs::create_dir(s.path("folder")).unwrap();
    refuses(&s, s.run(["set", "k", "--file", "nowhere"]), 1).stderr_has("nowhere");
    refuses(&s, s.run(["set", "k", "--file", "folder"]), 1).stderr_has("folder");
}

#[test]
fn without_a_value_dev_null_is_refused() {
    let s = sandbox_with([("k", "old")]);
    refused(&s, &["set", "k"], 64, "usage").stderr_has("value");
}

#[test]
fn without_a_value_a_terminal_is_refused() {
    let s = sandbox_with([("k", "old")]);
    let command = format!("'{}' set k", s.program().display());
    s.run_other("script", ["-qec", &command, "/dev/null"]).fails(64);
    s.run(["get", "k"]).prints("old\n");
}

#[test]
fn a_closed_stdin_is_no_value() {
    let s = sandbox_with([("k", "old")]);
    let script = "exec \"$@\" <&-";
    refuses(&s, s.run(["set", "k"]).under(["sh", "-c", script, "sh"]), 64).stderr_has("value");
}

#[test]
fn stdin_is_left_alone_when_a_value_is_given() {
    let s = sandbox();
    s.run(["set", "k", "argument"]).stdin("stdin").prints("");
    s.run(["get", "k"]).stdin("stdin").prints("argument\n");
    let script = "\"$@\" && cat";
    s.run(["set", "k", "argument"]).under(["sh", "-c", script, "sh"]).stdin("rest").prints("rest");
}

#[test]
fn a_pipe_that_nobody_writes_to_does_not_hang_commands_that_need_none() {
    let s = sandbox();
    let (reader, writer) = silent_pipe();
    fs::write(s.path("value"), "file").unwrap();
    let commands: [&[&str]; 6] = [
        &["set", "k", "v"],
        &["set", "k", "--file", "value"],
        &["get", "k"],
        &["append", "k", "v"],
        &["keys"],
        &["del", "k"],
    ];
    for args in commands {
        s.run(args.iter().copied()).stdin_from(reader.try_clone().unwrap()).succeeds();
    }
    drop(writer);
}

#[test]
fn empty_values_are_values() {
    let s = sandbox();
    s.run(["set", "k", ""]).prints("");
    s.run(["get", "k", "--raw"]).prints("");
    s.run(["get", "k"]).prints("\n");
    s.run(["exists", "k"]).succeeds();
}

#[test]
fn values_may_start_with_a_dash_after_two() {
    let s = sandbox();
    for value in ["-v", "--json", "-5", "--", "--ttl=5", "-"] {
        s.run(["set", "k", "--", value]).prints("");
        s.run(["get", "k"]).prints(format!("{value}\n"));
        s.run(["set", "--", "k", value]).prints("");
        s.run(["get", "k"]).prints(format!("{value}\n"));
    }
}

#[test]
fn unknown_flags_are_refused_and_nothing_is_written() {
    let s = sandbox_with([("k", "old")]);
    for flag in ["--bogus", "-5", "-x", "--ttls=5", "--if-absentt"] {
        refused(&s, &["set", "k", "1", flag], 64, "usage").stderr_has(flag.split('=').next().unwrap());
    }
    refused(&s, &["set", "k", "-5"], 64, "usage").stderr_has("--");
}

#[test]
fn superfluous_and_missing_arguments_are_refused() {
    let s = sandbox_with([("k", "old")]);
    refused(&s, &["set"], 64, "usage");
    refused(&s, &["set", "k", "1", "2"], 64, "usage");
    refused(&s, &["set", "k", "1", "--file", "value"], 64, "usage").stderr_has("--file");
    refused(&s, &["set", "k", "--file"], 64, "usage");
}

#[test]
fn json_is_stored_in_canonical_form() {
    let s = sandbox();
    for (given, stored) in [
        (
            r#"{ "b": 1, "a": [1, 2.50, {"z": null, "y": true}] }"#,
            r#"{"a":[1,2.5,{"y":true,"z":null}],"b":1}"#,
        ),
        (" [ ] ", "[]"),
        ("\"\\u0041\\/\"", "\"A/\""),
        ("1e2", "100"),
        ("true", "true"),
        ("\"ü\"", "\"ü\""),
    ] {
        s.run(["set", "k", given, "--json"]).prints("");
        s.run(["get", "k", "--raw"]).prints(stored);
        s.run(["set", "k", "--json"]).stdin(given).prints("");
        s.run(["get", "k", "--raw"]).prints(stored);
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let s = sandbox_with([("k", "old")]);
    for text in
        ["{", "", "nil", "{'a':1}", "[1,]", "1 2", "\"open", "NaN", "01", "{\"a\":1,\"a\":2}", "\"\\ud800\""]
    {
        let error = crate::common::error_of(refuses(&s, s.run(["set", "k", text, "--json"]), 1));
        assert_eq!(error["kind"], "invalid", "{error}");
    }
    refuses(&s, s.run(["set", "k", "--json"]).stdin([b'"', 0xff, b'"']), 1);
}

#[test]
fn large_numbers_are_kept_or_refused_but_never_rounded() {
    let s = sandbox_with([("k", "old")]);
    for number in
        ["12345678901234567890", "9007199254740993", "-9223372036854775808", "0.1234567890123456789"]
    {
        let code = s.run(["set", "k", "--json"]).stdin(number).outcome().code();
        let stored = s.run(["get", "k", "--raw"]).succeeds().stdout();
        assert!(stored == number || (code == Some(1) && stored == "old"), "{number} became {stored}");
        s.run(["set", "k", "old"]).prints("");
    }
}

#[test]
fn deeply_nested_json_is_refused_or_kept() {
    let s = sandbox();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let code = s.run(["set", "k", "--json"]).stdin(deep.as_str()).outcome().code();
    match code {
        Some(0) => drop(s.run(["get", "k", "--raw"]).prints(deep)),
        other => assert_eq!(other, Some(1)),
    }
}

#[test]
fn return_version_prints_the_version() {
    let s = sandbox();
    s.run(["set", "a", "v", "--return", "version"]).prints("1\n");
    s.run(["set", "b", "v", "--return=version"]).prints("2\n");
    s.run(["set", "a", "v", "--return", "version"]).prints("3\n");
}

#[test]
fn versions_never_come_back() {
    let s = sandbox_with([("k", "v"), ("k", "w"), ("k", "x")]);
    s.run(["del", "k"]).prints("");
    let again = s.run(["set", "k", "v", "--return", "version"]).succeeds().stdout();
    assert!(again.trim().parse::<u64>().unwrap() > 3, "{again}");
}

#[test]
fn return_old_prints_what_was_there() {
    let s = sandbox();
    s.run(["set", "k", "first", "--return", "old"]).prints("");
    s.run(["set", "k", "second", "--return", "old"]).prints("first\n");
    s.run(["get", "k"]).prints("second\n");
    s.run(["set", "k", "", "--return", "old"]).prints("second\n");
    s.run(["set", "k", "v", "--return", "old"]).prints("\n");
}

#[test]
fn unknown_returns_are_refused() {
    let s = sandbox_with([("k", "old")]);
    s.run(["set", "k", "v", "--return", "nonsense"]).fails_with_one_of(&[1, 64]);
    s.run(["get", "k"]).prints("old\n");
}
