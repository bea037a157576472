//! `queue`: work that is handed to one worker at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::Sandbox;
use serde_json::Value;

use crate::common::{database_file, json_of, refused, sandbox, sandbox_with, sql};

#[track_caller]
fn push(s: &Sandbox, value: &str, flags: &[&str]) -> String {
    let id = s.run(["queue", "push", "p.q", value]).args(flags.iter().copied()).succeeds().stdout();
    id.trim_end().to_owned()
}

/// Claims an item: its token and value.
#[track_caller]
fn claim(s: &Sandbox, ttl: &str) -> (String, String) {
    let claimed = json_of(s.run(["queue", "claim", "p.q", "--ttl", ttl, "--json"]));
    (claimed["fence"].to_string(), claimed["v"].as_str().unwrap().to_owned())
}

#[test]
fn an_item_goes_from_hand_to_hand_until_it_is_done() {
    let s = sandbox();
    let id = push(&s, "resize 1", &[]);
    s.run(["get", &format!("p.q.{id}")]).prints("resize 1\n");
    let claimed = s.run(["queue", "claim", "p.q", "--ttl", "1h"]).succeeds().stdout();
    let (head, value) = claimed.split_once('\n').unwrap();
    let (token, claimed_id) = head.split_once(' ').unwrap();
    assert_eq!((claimed_id, value), (id.as_str(), "resize 1\n"));
    s.run(["queue", "list", "p.q"]).prints(format!("{id}\tclaimed\t100\t1\t5\t{token}\n"));
    s.run(["queue", "claim", "p.q", "--ttl", "1h"]).fails(2).stderr_has("p.q has nothing to hand out");
    s.run(["queue", "extend", "p.q", "--ttl", "2h", "--fence", token]).prints("");
    s.run(["queue", "nack", "p.q", "--fence", token]).prints("");
    refused(&s, &["queue", "ack", "p.q", "--fence", token], 3, "conflict")
        .stderr_has("given back or has lapsed");
    let (token, _) = claim(&s, "1h");
    s.run(["queue", "ack", "p.q"]).env("PRONTO_FENCE", &token).prints("");
    s.run(["queue", "list", "p.q"]).prints("");
    s.run(["keys", "p.q"]).prints("");
}

#[test]
fn priorities_delays_and_tries_decide_who_comes_next() {
    let s = sandbox();
    push(&s, "second", &[]);
    push(&s, "first", &["--priority", "200"]);
    push(&s, "later", &["--delay", "1h"]);
    push(&s, "last", &["--priority", "0", "--tries", "1"]);
    let listed = json_of(s.run(["queue", "list", "p.q", "--json"]));
    let places: Vec<_> =
        listed.as_array().unwrap().iter().map(|item| item["place"].as_str().unwrap()).collect();
    assert_eq!(places, ["ready", "ready", "ready", "delayed"]);
    for value in ["first", "second", "last"] {
        let (token, claimed) = claim(&s, "1h");
        assert_eq!(claimed, value);
        if value == "last" {
            s.run(["queue", "nack", "p.q", "--fence", &token, "--delay", "1s"])
                .prints("")
                .stderr_has("is dead now");
        }
    }
    let dead = s.run(["queue", "list", "p.q"]).succeeds().stdout();
    let dead = dead.lines().find(|line| line.contains("\tdead\t0\t1\t1\t-")).unwrap();
    let id = dead.split('\t').next().unwrap();
    s.run(["queue", "retry", "p.q", id]).prints("");
    s.run(["queue", "retry", "p.q", id]).fails(2).stderr_has("that is dead or handed");
    assert_eq!(claim(&s, "1h").1, "last");
}

#[test]
fn a_claim_lapses_and_whoever_waits_gets_the_item() {
    let s = sandbox();
    push(&s, "job", &[]);
    let (stale, _) = claim(&s, "100ms");
    let begun = Instant::now();
    let next = s.run(["queue", "claim", "p.q", "--ttl", "1h", "--wait", "60s"]).succeeds().stdout();
    assert!(next.ends_with("\njob\n") && begun.elapsed() < Duration::from_secs(30));
    s.run(["set", "p.n.result", "1", "--fence", &stale]).fails(3).stderr_has("nothing was written");
    refused(&s, &["queue", "extend", "p.q", "--ttl", "1h", "--fence", &stale], 3, "conflict");
    s.run(["queue", "claim", "p.q", "--ttl", "1h", "--wait", "20ms"]).fails(4);
}

#[test]
fn values_are_bytes_and_nonsense_is_refused() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["queue", "push", "p.q"]).stdin(b"\0\xff\n".to_vec()).succeeds();
    let claimed = s.run(["queue", "claim", "p.q", "--ttl", "1h"]).succeeds();
    assert!(claimed.stdout_bytes().ends_with(b"\n\0\xff\n\n"));
    for value in ["{\"b\":1, \"a\":2}", "plain text"] {
        let told = json_of(s.run(["queue", "push", "p.q", value, "--json"]));
        let id = told["id"].as_str().unwrap();
        s.run(["get", &format!("p.q.{id}")]).prints(format!("{value}\n"));
    }
    for (args, says) in [
        (&["queue", "push", "p.q", "x", "--priority", "256"][..], "256"),
        (&["queue", "push", "p.q", "x", "--tries", "0"], "1 or more"),
        (&["queue", "claim", "p.q"], "--ttl"),
        (&["queue", "ack", "p.q"], "the token of the lease is missing"),
        (&["queue", "retry", "p.q"], "the id is missing"),
        (&["queue"], "push, claim, ack, nack, extend, handoff, retry, list"),
    ] {
        s.run(args).fails(64).stderr_has(says);
    }
    for (args, says) in [
        (&["queue", "push", "p.q", "x", "--delay", "soon"][..], "--delay: `soon` is not a time:"),
        (&["queue", "nack", "p.q", "--fence", "1", "--delay", "-1"], "--delay"),
        (&["queue", "claim", "p.q", "--ttl", "abc"], "--ttl"),
        (&["queue", "claim", "p.q", "--ttl", "1s", "--wait", "x"], "--wait"),
        (&["queue", "extend", "p.q", "--fence", "1", "--ttl", "0"], "--ttl"),
    ] {
        refused(&s, args, 1, "invalid").stderr_has(says);
    }
    refused(&s, &["queue", "claim", "p.none", "--ttl", "1s"], 2, "not_found");
    refused(&s, &["queue", "claim", "p.none", "--ttl", "1s", "--wait", "0"], 2, "not_found");
    refused(&s, &["queue", "claim", "p.none", "--ttl", "1s", "--wait", "20ms"], 4, "timeout");
    refused(&s, &["queue", "retry", "p.q", "none"], 2, "not_found");
    s.run(["queue", "push", "p.at-once", "x", "--delay", "0"]).succeeds();
    s.run(["queue", "claim", "p.at-once", "--ttl", "1h"]).succeeds();
    s.run(["queue", "push", "p.q", "--max-value-bytes", "x"]).fails(64);
    s.run(["queue", "push", "p.q", "12345"]).env("PRONTO_MAX_VALUE_BYTES", "4").fails(6);
    s.run(["queue", "claim", "p.none", "--ttl", "1s"]).fails(2);
    s.run(["queue", "list", "p.none"]).prints("");
}

#[test]
fn whoever_waits_gets_the_first_item_of_a_database_that_is_made_meanwhile() {
    let s = sandbox();
    let worker = s.run(["queue", "claim", "p.q", "--ttl", "1h", "--wait", "60s"]).spawn();
    thread::sleep(Duration::from_millis(200));
    push(&s, "job", &[]);
    worker.wait().succeeds().stdout_has("\njob\n");
    // Whoever does not wait makes none.
    s.run(["queue", "claim", "p.q", "--ttl", "1h", "--database", "none"]).fails(2);
    assert!(!database_file(&s, "none").exists());
}

#[test]
fn an_item_that_is_listed_as_dead_can_be_tried_again() {
    let s = sandbox();
    let id = push(&s, "job", &["--tries", "1"]);
    claim(&s, "1ms");
    thread::sleep(Duration::from_millis(5));
    s.run(["queue", "list", "p.q"]).prints(format!("{id}\tdead\t100\t1\t1\t-\n"));
    s.run(["queue", "retry", "p.q", &id]).prints("");
    s.run(["queue", "list", "p.q"]).prints(format!("{id}\tready\t100\t0\t1\t-\n"));
    refused(&s, &["queue", "claim", "p.q", "--ttl", "0"], 1, "invalid").stderr_has("longer than zero");
}

#[test]
fn records_that_are_damaged_are_named_and_hold_up_no_others() {
    let s = sandbox();
    push(&s, "broken", &[]);
    claim(&s, "1h");
    s.run(["lock", "acquire", "broken", "--ttl", "1h"]).succeeds();
    let file = database_file(&s, "main");
    for table in ["sys_queues", "sys_leases", "sys_locks"] {
        sql(&s, &file, &format!("UPDATE {table} SET record = '{{broken'"));
    }
    let found = s.run(["admin", "check"]).fails(7).stdout();
    for table in ["sys_queues", "sys_leases", "sys_locks"] {
        assert!(found.contains(&format!("a record of {table} cannot be read")), "{found}");
    }
    s.run(["lock", "acquire", "other", "--ttl", "1h"]).succeeds();
    push(&s, "job", &[]);
    assert_eq!(claim(&s, "1h").1, "job");
}

#[test]
fn an_item_can_be_handed_to_another_user() {
    let s = sandbox();
    let id = push(&s, "job", &[]);
    let (token, _) = claim(&s, "1h");
    let handoff = ["queue", "handoff", "p.q", "--to", "bob", "--note", "see the log", "--fence", &token];
    s.run(handoff).prints("");
    s.run(handoff).fails(3).stderr_has("given back or has lapsed");
    s.run(["queue", "list", "p.q"]).prints(format!("{id}\thanded\t100\t0\t5\tbob\n"));
    s.run(["queue", "claim", "p.q", "--ttl", "1h"]).fails(2);
    let main = database_file(&s, "main");
    let by_bob =
        s.run(["queue", "claim", "p.q", "--ttl", "1h", "-d"]).arg(&main).env("PRONTO_USER", "bob").succeeds();
    by_bob.stdout_has("\njob\n").stderr_has("handed on by tester: see the log");
    s.run(["queue", "handoff", "p.q", "--fence", "1"]).fails(64).stderr_has("--to");
}

#[test]
fn a_place_that_is_damaged_is_told_and_holds_nobody_up() {
    let s = sandbox();
    push(&s, "job", &[]);
    claim(&s, "1ms");
    let file = database_file(&s, "main");
    sql(&s, &file, r#"UPDATE sys_queues SET record = replace(record, '"id":"', '"id":"9')"#);
    refused(&s, &["queue", "claim", "p.q", "--ttl", "1h"], 7, "damaged").stderr_has("a place of a queue");
}

#[test]
fn workers_that_are_killed_lose_no_item_and_none_is_done_twice() {
    const ITEMS: usize = 40;
    let s = sandbox();
    (0..ITEMS).for_each(|number| drop(push(&s, &number.to_string(), &["--tries", "1000"])));
    let done: Mutex<BTreeMap<String, usize>> = Mutex::default();
    thread::scope(|scope| {
        for worker in 0..6 {
            let (s, done) = (&s, &done);
            scope.spawn(move || {
                for turn in worker.. {
                    let call = s.run(["queue", "claim", "p.q", "--ttl", "400ms", "--json"]);
                    let mut outcome = call.outcome();
                    if outcome.code() == Some(2) {
                        if s.run(["queue", "list", "p.q"]).succeeds().stdout().is_empty() {
                            return;
                        }
                        thread::sleep(Duration::from_millis(20));
                        continue;
                    }
                    let claimed: Value = serde_json::from_slice(outcome.stdout_bytes()).unwrap();
                    // Every fourth worker dies with its item in hand.
                    if turn % 4 == 0 {
                        continue;
                    }
                    let ack = s.run(["queue", "ack", "p.q", "--fence", &claimed["fence"].to_string()]);
                    if ack.outcome().code() == Some(0) {
                        *done
                            .lock()
                            .unwrap()
                            .entry(claimed["v"].as_str().unwrap().to_owned())
                            .or_default() += 1;
                    }
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let expected: BTreeSet<_> = (0..ITEMS).map(|number| number.to_string()).collect();
    assert_eq!(done.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert!(done.values().all(|times| *times == 1), "{done:?}");
}
