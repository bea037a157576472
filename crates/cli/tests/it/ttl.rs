//! `ttl`, and `--ttl` on writes.

use crate::common::{refused, refuses, sandbox, sandbox_with, seconds_left, wait_until};

#[test]
fn an_entry_outside_of_a_cache_never_expires() {
    let s = sandbox_with([("p.n.k", "v")]);
    s.run(["ttl", "p.n.k"]).prints("never\n");
}

#[test]
fn a_missing_entry_is_exit_2() {
    let s = sandbox_with([("p.n.k", "v")]);
    refuses(&s, s.run(["ttl", "p.n.missing"]), 2).stderr_has("p.n.missing");
    refused(&s, &["ttl"], 64, "usage");
}

#[test]
fn whole_seconds_are_left_rounded_up() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "100"]).prints("");
    s.run(["set", "p.c.k", "v", "--ttl", "400ms"]).prints("");
    wait_until("the entry has expired", || {
        let mut outcome = s.run(["ttl", "p.c.k"]).outcome();
        match outcome.code() {
            Some(0) => outcome.require(outcome.stdout() == "1\n", "expected one second, rounded up"),
            code => assert_eq!(code, Some(2)),
        }
        outcome.stdout().is_empty()
    });
}

#[test]
fn times_are_seconds_or_have_units() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "100"]).prints("");
    for (ttl, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200)] {
        s.run(["set", "p.c.k", "v", "--ttl", ttl]).prints("");
        let left = seconds_left(&s, "p.c.k");
        assert!((seconds - 20..=seconds).contains(&left), "{ttl}: {left}");
    }
}

#[test]
fn a_time_outside_of_a_cache_is_refused_and_says_how_to_make_one() {
    let s = sandbox_with([("p.n.k", "v")]);
    refused(&s, &["set", "p.n.k", "1", "--ttl", "5"], 2, "no_ttl").stderr_has("create-cache");
    refused(&s, &["--ttl", "5m", "set", "p.n.new", "1"], 2, "no_ttl").stderr_has("create-cache");
    refused(&s, &["set", "p.new.k", "1", "--ttl", "5"], 2, "no_ttl").stderr_has("create-cache");
    refused(&s, &["set", "k", "1", "--ttl", "5"], 2, "no_ttl").stderr_has("create-cache");
}

#[test]
fn times_that_are_none_are_refused_in_caches_and_elsewhere() {
    let s = sandbox_with([("p.n.k", "v")]);
    s.run(["create-cache", "p.c", "100"]).prints("");
    for ttl in ["abc", "0", "0s", "-5", "", "5x", "1.5", "999999999999999999999", "200years"] {
        let flag = format!("--ttl={ttl}");
        refused(&s, &["set", "p.c.k", "1", &flag], 1, "invalid");
        refused(&s, &["set", "p.n.k", "1", &flag], 1, "invalid");
    }
    refused(&s, &["set", "p.c.k", "1", "--ttl"], 64, "usage");
}
