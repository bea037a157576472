//! `wait`: until an entry is as it has to be.

use std::thread;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::{Running, Sandbox};

use crate::common::{contents, error_of, json_of, refused, sandbox, sandbox_with};

/// Starts to wait, and gives it time to begin.
fn waiting(s: &Sandbox, args: &[&str]) -> Running {
    let running = s.run(["wait"]).args(args.iter().copied()).args(["--timeout", "20s"]).spawn();
    thread::sleep(Duration::from_millis(150));
    running
}

#[test]
fn what_is_so_already_is_printed_at_once() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["wait", "p.n.k"]).prints("1\n");
    s.run(["wait", "p.n.k", "--raw"]).prints("1");
    s.run(["wait", "p.n.k", "--value", "1"]).prints("1\n");
    s.run(["wait", "-p", "p", "-n", "n", "k"]).prints("1\n");
    s.run(["wait", "p.n.gone", "--absent"]).prints("").stderr_is("");
    s.run(["wait", "p.n.k", "--changed-from", "0", "--meta"]).succeeds().stdout_has("version: 1\n");
    let told = json_of(s.run(["wait", "p.n.k", "--meta", "--json"]));
    assert_eq!((&told["k"], &told["v"], &told["version"]), (&"p.n.k".into(), &"1".into(), &1.into()));
}

#[test]
fn what_is_not_so_is_waited_for_as_long_as_one_is_told() {
    let s = sandbox_with([("p.n.k", "1")]);
    for (args, why) in [
        (&["p.n.gone"][..], "p.n.gone is still not there"),
        (&["p.n.k", "--value", "2"], "p.n.k still has not this value"),
        (&["p.n.k", "--absent"], "p.n.k is still there"),
        (&["p.n.k", "--changed"], "p.n.k is still the same"),
        (&["p.n.k", "--changed-from", "1"], "p.n.k is still the same"),
    ] {
        let begun = Instant::now();
        refused(&s, &[&["wait"], args, &["--timeout", "50ms"]].concat(), 4, "timeout").stderr_has(why);
        assert!(begun.elapsed() >= Duration::from_millis(100), "twice as long");
    }
    let error = error_of(s.run(["wait", "p.n.gone", "--timeout", "1ms", "--json"]).fails(4));
    assert_eq!(error["retryable"], true);
}

#[test]
fn a_write_of_another_process_ends_it() {
    let s = sandbox_with([("p.n.k", "1")]);
    let there = waiting(&s, &["p.n.new"]);
    let two = waiting(&s, &["p.n.k", "--value", "-2"]);
    let changed = waiting(&s, &["p.n.k", "--changed"]);
    s.run(["set", "p.n.k", "1"]).prints("");
    changed.wait().prints("1\n");
    s.run(["set", "p.n.k", "--", "-2"]).prints("");
    two.wait().prints("-2\n");
    s.run(["set", "p.n.new", "3"]).prints("");
    there.wait().prints("3\n");
    let gone = waiting(&s, &["p.n.k", "--absent"]);
    let changed = waiting(&s, &["p.n.k", "--changed"]);
    s.run(["del", "p.n.k"]).succeeds();
    gone.wait().prints("").stderr_is("");
    changed.wait().prints("").stderr_is("prontodb: p.n.k is not there\n");
}

#[test]
fn what_expires_ends_it_though_nobody_writes() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "60"]).prints("");
    s.run(["set", "p.c.k", "v", "--ttl", "600ms"]).prints("");
    let begun = Instant::now();
    s.run(["wait", "p.c.k", "--absent", "--timeout", "20s"]).prints("");
    assert!(begun.elapsed() < Duration::from_secs(5));
    s.run(["keys", "p.c", "--include-expired"]).prints("k\n");
}

#[test]
fn a_database_that_is_not_there_yet_is_waited_for_and_not_made() {
    let s = sandbox();
    s.run(["wait", "p.n.k", "--timeout", "50ms"]).fails(4).stderr_has("still not there");
    s.run(["wait", "p.n.k", "--absent"]).prints("").stderr_has("there is no database");
    assert!(contents(&s).is_empty());
    let running = waiting(&s, &["p.n.k"]);
    s.run(["set", "p.n.k", "1"]).prints("");
    running.wait().prints("1\n");
}

#[test]
fn it_ends_when_nobody_reads_the_answer() {
    let s = sandbox_with([("p.n.k", "1")]);
    let (reader, writer) = std::io::pipe().unwrap();
    let running = s.run(["wait", "p.n.gone"]).stdout_to(writer).spawn();
    thread::sleep(Duration::from_millis(150));
    drop(reader);
    running.wait().succeeds().stderr_is("");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let s = sandbox_with([("p.n.k", "1")]);
    for args in [
        &[][..],
        &["p.n.k", "p.n.l"],
        &["p.n.k", "--absent", "--changed"],
        &["p.n.k", "--value", "1", "--absent"],
        &["p.n.k", "--changed-from", "x"],
        &["p.n.k", "--changed-from", "1", "--value", "2"],
        &["p.n.k", "--raw", "--meta"],
    ] {
        refused(&s, &[&["wait"], args].concat(), 64, "usage");
    }
    refused(&s, &["wait", "a.b.c.d"], 1, "invalid");
    refused(&s, &["wait", "p.n.k", "--timeout", "soon"], 1, "invalid").stderr_has("--timeout: `soon`");
}

#[test]
fn without_any_time_it_is_looked_at_once() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["wait", "p.n.k", "--timeout", "0"]).prints("1\n");
    refused(&s, &["wait", "p.n.none", "--timeout", "0"], 4, "timeout");
    refused(&s, &["wait", "p.n.k", "--absent", "--timeout", "0"], 4, "timeout");
}
