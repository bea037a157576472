//! Conditional writes: a refused condition is exit 3, nothing is written, and stderr says what is there.

use prontodb_testkit::sandbox::{Outcome, Sandbox};

use crate::common::{refused, refuses, sandbox, sandbox_with};

const SECRET: &str = "0123456789";

fn sandbox_with_secret() -> Sandbox {
    sandbox_with([("other", "1"), ("k", SECRET)])
}

/// Expects that stderr speaks of the version that is there, which is 2, and not of the value.
#[track_caller]
fn says_what_is_there(outcome: Outcome) {
    outcome.stderr_has("version 2").stderr_lacks(SECRET);
}

/// Expects that stderr says that nothing is there.
#[track_caller]
fn says_it_is_absent(outcome: Outcome) {
    outcome.stderr_has("no such entry");
}

#[test]
fn if_absent_writes_what_is_not_there() {
    let s = sandbox();
    s.run(["set", "k", "v", "--if-absent"]).prints("");
    s.run(["get", "k"]).prints("v\n");
}

#[test]
fn if_absent_is_refused_when_something_is_there() {
    let s = sandbox_with_secret();
    says_what_is_there(refused(&s, &["set", "k", "1", "--if-absent"], 3, "conflict"));
    says_what_is_there(refused(&s, &["--if-absent", "set", "k", "1"], 3, "conflict"));
}

#[test]
fn if_present_writes_over_what_is_there() {
    let s = sandbox_with_secret();
    s.run(["set", "k", "v", "--if-present"]).prints("");
    s.run(["get", "k"]).prints("v\n");
}

#[test]
fn if_present_is_refused_when_nothing_is_there() {
    let s = sandbox_with_secret();
    says_it_is_absent(refused(&s, &["set", "missing", "1", "--if-present"], 3, "conflict"));
}

#[test]
fn if_version_writes_over_that_version_alone() {
    let s = sandbox_with_secret();
    s.run(["set", "k", "v", "--if-version", "2", "--return", "version"]).prints("3\n");
    refused(&s, &["set", "k", "1", "--if-version", "2"], 3, "conflict").stderr_has("version 3");
    refused(&s, &["set", "k", "1", "--if-version", "4"], 3, "conflict").stderr_has("version 3");
}

#[test]
fn if_version_is_refused_when_nothing_is_there() {
    let s = sandbox_with_secret();
    says_it_is_absent(refused(&s, &["set", "missing", "1", "--if-version", "1"], 3, "conflict"));
}

#[test]
fn version_0_is_that_of_an_entry_that_is_not_there() {
    let s = sandbox();
    s.run(["set", "new", "1", "--if-version", "0"]).prints("");
    refused(&s, &["set", "new", "2", "--if-version", "0"], 3, "conflict").stderr_has("version 1");
    refused(&s, &["del", "new", "--if-version", "0"], 3, "conflict").stderr_has("version 1");
    s.run(["del", "other", "--if-version", "0"]).prints("");
    let checked = r#"{"if":[{"k":"other","version":0}],"then":[{"set":"other","v":"1"}]}"#;
    s.run(["txn"]).stdin(checked).succeeds();
    s.run(["txn"]).stdin(checked).fails(3);
}

#[test]
fn a_version_of_a_former_entry_is_no_match() {
    let s = sandbox();
    let version = s.run(["set", "k", "v", "--return", "version"]).succeeds().stdout();
    s.run(["del", "k"]).prints("");
    s.run(["set", "k", "v"]).prints("");
    s.run(["set", "k", "w", "--if-version", version.trim()]).fails(3);
    s.run(["get", "k"]).prints("v\n");
}

#[test]
fn if_value_writes_over_that_value_alone() {
    let s = sandbox_with_secret();
    says_what_is_there(refused(&s, &["set", "k", "1", "--if-value", "012345678"], 3, "conflict"));
    says_what_is_there(refused(&s, &["set", "k", "1", "--if-value", ""], 3, "conflict"));
    s.run(["set", "k", "v", "--if-value", SECRET]).prints("");
    s.run(["get", "k"]).prints("v\n");
}

#[test]
fn if_value_is_refused_when_nothing_is_there() {
    let s = sandbox_with_secret();
    says_it_is_absent(refused(&s, &["set", "missing", "1", "--if-value", "v"], 3, "conflict"));
    says_it_is_absent(refused(&s, &["set", "missing", "1", "--if-value", ""], 3, "conflict"));
}

#[test]
fn values_to_compare_with_may_start_with_a_dash() {
    let s = sandbox_with([("k", "-1")]);
    s.run(["set", "k", "v", "--if-value=-1"]).prints("");
    s.run(["get", "k"]).prints("v\n");
}

#[test]
fn a_refused_condition_returns_nothing() {
    let s = sandbox_with_secret();
    for wanted in ["old", "version"] {
        refuses(&s, s.run(["set", "k", "v", "--if-absent", "--return", wanted]), 3).stderr_lacks(SECRET);
    }
}

#[test]
fn conditions_and_returns_go_together() {
    let s = sandbox_with_secret();
    s.run(["set", "k", "v", "--if-version", "2", "--return", "old"]).prints(format!("{SECRET}\n"));
    s.run(["set", "k", "w", "--if-present", "--if-value", "v"]).prints("");
    s.run(["set", "k", "x", "--if-present", "--if-value", "v"]).fails(3);
    s.run(["get", "k"]).prints("w\n");
}

#[test]
fn contradicting_conditions_are_refused() {
    let s = sandbox_with_secret();
    for other in [&["--if-present"][..], &["--if-version", "2"], &["--if-value", SECRET]] {
        refused(&s, &[&["set", "k", "1", "--if-absent"], other].concat(), 64, "usage")
            .stderr_has("--if-absent");
    }
}

#[test]
fn versions_are_numbers() {
    let s = sandbox_with_secret();
    for text in ["abc", "", "1.5", "99999999999999999999999"] {
        s.run(["set", "k", "v", &format!("--if-version={text}")]).fails_with_one_of(&[1, 64]);
    }
    s.run(["get", "k"]).prints(format!("{SECRET}\n"));
}

#[test]
fn conditions_look_at_one_context_only() {
    let s = sandbox_with([("k", "v")]);
    s.run(["set", "k__c", "v", "--if-absent"]).prints("");
    s.run(["set", "k", "v", "--context", "c", "--if-absent"]).fails(3);
}
