//! `exists`: an exit code and nothing else.

use crate::common::{refused, sandbox_with};

#[test]
fn what_is_there_is_exit_0() {
    let s = sandbox_with([("p.n.k", "")]);
    s.run(["exists", "p.n.k"]).prints("").stderr_is("");
}

#[test]
fn what_is_missing_is_exit_2_and_nothing_on_stdout() {
    let s = sandbox_with([("p.n.k", "v")]);
    for address in ["p.n.x", "p.m.k", "k", "p.n.k__c"] {
        s.run(["exists", address]).fails(2).stdout_is("");
    }
}

#[test]
fn all_of_several_must_be_there() {
    let s = sandbox_with([("a", "1"), ("b", "2")]);
    s.run(["exists", "a", "b"]).prints("");
    s.run(["exists", "a", "missing", "b"]).fails(2).stdout_is("");
    s.run(["exists", "missing", "a"]).fails(2).stdout_is("");
}

#[test]
fn an_address_is_needed() {
    let s = sandbox_with([("k", "v")]);
    refused(&s, &["exists"], 64, "usage");
}
