//! `incr`: adds to a number and prints the new one.

use crate::common::{refused, sandbox, sandbox_with};

#[test]
fn a_missing_counter_starts_at_nothing() {
    let s = sandbox();
    s.run(["incr", "p.n.a"]).prints("1\n");
    s.run(["incr", "p.n.b", "5"]).prints("5\n");
    s.run(["incr", "p.n.c", "--", "-5"]).prints("-5\n");
    s.run(["get", "p.n.b"]).prints("5\n");
}

#[test]
fn a_counter_grows_by_one_or_by_what_is_asked() {
    let s = sandbox_with([("k", "41")]);
    s.run(["incr", "k"]).prints("42\n");
    s.run(["incr", "k", "58"]).prints("100\n");
    s.run(["incr", "k", "0"]).prints("100\n");
    s.run(["incr", "k", "--", "-101"]).prints("-1\n");
    s.run(["incr", "k"]).prints("0\n");
    s.run(["get", "k", "--raw"]).prints("0");
}

#[test]
fn counters_reach_the_ends_of_64_bits() {
    let s = sandbox_with([("k", "9223372036854775806"), ("l", "-9223372036854775807")]);
    s.run(["incr", "k"]).prints("9223372036854775807\n");
    s.run(["incr", "l", "--", "-1"]).prints("-9223372036854775808\n");
}

#[test]
fn an_overflow_is_refused() {
    let s = sandbox_with([("k", "9223372036854775807"), ("l", "-9223372036854775808")]);
    refused(&s, &["incr", "k"], 1, "invalid");
    refused(&s, &["incr", "k", "9223372036854775807"], 1, "invalid");
    refused(&s, &["incr", "l", "--", "-1"], 1, "invalid");
}

#[test]
fn what_is_no_64_bit_integer_is_refused() {
    let values = ["", "abc", "1.5", "9223372036854775808", "1e3", "0x10", "1 2", "१"];
    for value in values {
        let s = sandbox_with([("p.n.k", value)]);
        refused(&s, &["incr", "p.n.k"], 1, "invalid").stderr_has("p.n.k");
    }
}

#[test]
fn the_value_that_is_no_number_is_not_shown() {
    let s = sandbox_with([("k", "hunter2 is the password")]);
    refused(&s, &["incr", "k"], 1, "invalid").stderr_lacks("hunter2");
}

#[test]
fn the_step_is_a_64_bit_integer() {
    let s = sandbox_with([("k", "1")]);
    for step in ["abc", "1.5", "", "9223372036854775808"] {
        s.run(["incr", "k", step]).fails_with_one_of(&[1, 64]);
    }
    s.run(["get", "k"]).prints("1\n");
}

#[test]
fn superfluous_and_missing_arguments_are_refused() {
    let s = sandbox_with([("k", "1")]);
    refused(&s, &["incr"], 64, "usage");
    refused(&s, &["incr", "k", "1", "2"], 64, "usage");
}

#[test]
fn each_step_is_a_write_of_its_own() {
    let s = sandbox_with([("k", "1")]);
    s.run(["incr", "k"]).prints("2\n");
    s.run(["set", "k", "v", "--if-version", "1"]).fails(3);
    s.run(["set", "k", "v", "--if-version", "2"]).prints("");
}
