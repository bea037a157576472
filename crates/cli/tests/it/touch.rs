//! `touch`: writes an entry again as it is.

use crate::common::{json_of, refused, refuses, sandbox_with, seconds_left};

#[test]
fn outside_of_a_cache_it_counts_as_a_write() {
    let s = sandbox_with([("p.n.k", "v")]);
    s.run(["touch", "p.n.k"]).prints("");
    s.run(["get", "p.n.k"]).prints("v\n");
    assert_eq!(json_of(s.run(["get", "p.n.k", "--json", "--meta"]))["version"], 2);
}

#[test]
fn a_missing_entry_is_exit_2() {
    let s = sandbox_with([("k", "v")]);
    refuses(&s, s.run(["touch", "missing"]), 2).stderr_has("missing");
    s.run(["create-cache", "p.c", "100"]).prints("");
    refuses(&s, s.run(["touch", "p.c.missing", "--ttl", "5"]), 2).stderr_has("missing");
}

#[test]
fn a_ttl_outside_of_a_cache_is_refused() {
    let s = sandbox_with([("p.n.k", "v")]);
    refused(&s, &["touch", "p.n.k", "--ttl", "5"], 2, "no_ttl").stderr_has("create-cache");
}

#[test]
fn in_a_cache_it_restarts_the_default_time() {
    let s = sandbox_with([]);
    s.run(["create-cache", "p.c", "1000"]).prints("");
    s.run(["set", "p.c.k", "v", "--ttl", "10"]).prints("");
    s.run(["touch", "p.c.k"]).prints("");
    let left = seconds_left(&s, "p.c.k");
    assert!((900..=1000).contains(&left), "{left}");
    s.run(["get", "p.c.k"]).prints("v\n");
}

#[test]
fn in_a_cache_it_sets_another_time() {
    let s = sandbox_with([]);
    s.run(["create-cache", "p.c", "1000"]).prints("");
    s.run(["set", "p.c.k", "v"]).prints("");
    s.run(["touch", "p.c.k", "--ttl", "2h"]).prints("");
    let left = seconds_left(&s, "p.c.k");
    assert!((7100..=7200).contains(&left), "{left}");
}

#[test]
fn times_that_are_none_are_refused() {
    let s = sandbox_with([]);
    s.run(["create-cache", "p.c", "1000"]).prints("");
    s.run(["set", "p.c.k", "v"]).prints("");
    for ttl in ["0", "abc", "-5", "", "0s"] {
        refused(&s, &["touch", "p.c.k", &format!("--ttl={ttl}")], 1, "invalid");
    }
}
