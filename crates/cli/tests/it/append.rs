//! `append`: adds bytes to the end of a value.

use std::os::unix::ffi::OsStrExt;

use crate::common::{refused, sandbox, sandbox_with};

#[test]
fn bytes_are_added_to_the_end() {
    let s = sandbox_with([("k", "a")]);
    s.run(["append", "k", "b"]).prints("");
    s.run(["append", "k", "c\n"]).prints("");
    s.run(["append", "k", ""]).prints("");
    s.run(["get", "k", "--raw"]).prints("abc\n");
}

#[test]
fn a_missing_entry_is_made() {
    let s = sandbox();
    s.run(["append", "k", "v"]).prints("");
    s.run(["get", "k", "--raw"]).prints("v");
}

#[test]
fn bytes_that_are_no_utf8_are_kept() {
    let s = sandbox_with([("k", "a")]);
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe").to_owned();
    s.run(["append", "k"]).arg(bytes).prints("");
    s.run(["get", "k", "--raw"]).prints(b"a\xff\xfe");
}

#[test]
fn values_may_start_with_a_dash_after_two() {
    let s = sandbox_with([("k", "a")]);
    s.run(["append", "k", "--", "-b"]).prints("");
    s.run(["get", "k", "--raw"]).prints("a-b");
}

#[test]
fn a_value_that_would_be_too_long_is_refused() {
    let s = sandbox();
    let append = |value| s.run(["append", "k", value]).env("PRONTO_MAX_VALUE_BYTES", "10");
    append("12345").prints("");
    append("67890").prints("");
    append("1").fails(6).stderr_has("10");
    s.run(["get", "k"]).prints("1234567890\n");
}

#[test]
fn missing_and_superfluous_arguments_are_refused() {
    let s = sandbox_with([("k", "v")]);
    refused(&s, &["append"], 64, "usage");
    refused(&s, &["append", "k", "1", "2"], 64, "usage");
    refused(&s, &["append", "k", "-x"], 64, "usage");
}
