//! `--op-id`: a command that is tried again changes nothing and answers the same.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use prontodb_testkit::sandbox::Sandbox;
use serde_json::Value;

use crate::common::{
    RECIPIENT, assert_whole, contents, database_file, databases, identity_file, refused, sandbox,
    sandbox_with, sql,
};
use crate::many_processes::{Dice, kill_at_some_moment, kills_of_a_worker, time_of_one_write};

/// What is written in a database but for what is remembered of operations.
fn entries(s: &Sandbox) -> String {
    s.run(["scan"]).succeeds().stdout()
}

/// Commands that take an id, with what they read.
const ONCE: &[(&str, &str)] = &[
    ("set p.n.k new --return old", ""),
    ("set p.n.new 1 --if-absent --return version", ""),
    ("set p.n.k new --if-absent", ""),
    ("set p.n.nothing new --if-present", ""),
    ("incr p.n.number 5", ""),
    ("append p.n.k tail", ""),
    ("touch p.n.k", ""),
    ("touch p.n.nothing", ""),
    ("copy p.n.k p.n.copy", ""),
    ("copy p.n.k p.n.number --if-absent", ""),
    ("rename p.n.copy p.n.moved", ""),
    ("rename p.n.nothing p.n.moved", ""),
    ("update p.n.number -- sed s/$/0/", ""),
    ("admin metakey set p.n.k owner ann", ""),
    ("admin metakey del p.n.k owner team", ""),
    ("admin metakey del p.n.k owner", ""),
    ("stream -p p -n n", "s=1;t=2;"),
    ("import p.n", "i\tMQ==\n"),
    ("import p.n --on-conflict fail", "k\tMQ==\n"),
    ("txn", r#"{"if":[{"k":"p.n.k","present":true}],"then":[{"incr":"p.n.number"},{"get":"p.n.k"}]}"#),
    (
        "txn",
        r#"{"if":[{"k":"p.n.k","absent":true}],"then":[{"incr":"p.n.number"}],"else":[{"get":"p.n.k"}]}"#,
    ),
    ("txn", r#"{"then":[{"incr":"p.n.number"},{"touch":"p.n.nothing"}]}"#),
    ("lock acquire job --ttl 1h", ""),
    ("queue push p.q one", ""),
    ("queue push p.q two --priority 7", ""),
    ("queue claim p.q --ttl 1h", ""),
    ("queue claim p.q --ttl 1h --json", ""),
    ("undo p.n.k", ""),
    ("undo p.n --by agent --last 2", ""),
    ("del p.n.moved p.n.nothing", ""),
    ("del p.n.k p.n.nothing --strict", ""),
    ("del --prefix p.n.s --yes", ""),
];

#[test]
fn each_command_answers_the_same_and_changes_nothing_more() {
    let s = sandbox_with([("p.n.k", "v"), ("p.n.number", "1")]);
    s.run(["admin", "namespace", "set", "p.n", "history=9"]).succeeds();
    s.run(["set", "p.n.k", "w", "--user", "agent"]).prints("");
    let call = |number: usize, line: &str, input: &str| {
        let id = format!("op {number}");
        // In front, for behind a `--` it would be a word of somebody else.
        let args = ["--op-id", &id].into_iter().chain(line.split(' '));
        s.run(args).env("PRONTO_SECURITY", "false").stdin(input).ends()
    };
    let mut first = Vec::new();
    for (number, (line, input)) in ONCE.iter().enumerate() {
        let mut outcome = call(number, line, input);
        let heard = (outcome.code(), outcome.stdout(), outcome.stderr());
        assert!(matches!(heard.0, Some(0 | 2 | 3)), "{line}: {heard:?}");
        let before = contents(&s);
        let mut again = call(number, line, input);
        assert_eq!((again.code(), again.stdout(), again.stderr()), heard, "{line}");
        assert!(before == contents(&s), "{line} writes nothing when it is tried again");
        first.push(heard);
    }
    let before = contents(&s);
    for (number, (line, input)) in ONCE.iter().enumerate() {
        let mut again = call(number, line, input);
        assert_eq!(
            (again.code(), again.stdout()),
            (first[number].0, first[number].1.clone()),
            "{line}, late"
        );
    }
    assert!(before == contents(&s));
    // All of them are different requests.
    for (number, (line, input)) in ONCE.iter().enumerate().skip(1) {
        let mut other = call(0, line, input);
        assert_eq!(other.code(), Some(3), "{line}: {}", other.stderr());
        other.stderr_has("the id op 0 was used for another operation, at 2");
        assert!(before == contents(&s), "{number}");
    }
}

#[test]
fn what_takes_no_id_refuses_one() {
    let s = sandbox_with([("p.n.k", "1")]);
    for args in [
        &["get", "p.n.k"][..],
        &["keys", "p.n"],
        &["ttl", "p.n.k"],
        &["import-fs", "--root", "x", "--ns", "p.n"],
        &["create-cache", "p.c", "5"],
        &["admin", "gc"],
        &["admin", "user", "add", "ann"],
        &["lock", "run", "job", "--", "true"],
        &["queue", "list", "p.q"],
        &["backup"],
        &["version"],
    ] {
        refused(&s, &[&["--op-id", "1"], args].concat(), 64, "usage")
            .stderr_has("--op-id means nothing to this command");
        s.run(args.iter().copied().chain(["--help"])).succeeds().stdout_lacks("--op-id");
    }
    s.run(["set", "--help"]).succeeds().stdout_has("--op-id");
    for args in [
        &["del", "p.n.k", "--dry-run"][..],
        &["del", "--prefix", "p.n", "--dry-run"],
        &["import", "p.n", "--dry-run"],
        &["undo", "p.n.k", "--dry-run"],
        &["stream", "--chunk", "5"],
    ] {
        refused(&s, &[&["--op-id", "1"], args].concat(), 64, "usage").stderr_has("exclude each other");
    }
    for (id, says) in [("a\nb", "control characters"), (&"x".repeat(256), "more than 255 bytes")] {
        refused(&s, &["set", "p.n.k", "2", "--op-id", id], 1, "invalid").stderr_has(says);
    }
    refused(&s, &["set", "p.n.k", "2", "--op-id="], 1, "invalid").stderr_has("it is empty");
    s.run(["get", "p.n.k"]).prints("1\n");
}

#[test]
fn answers_are_remembered_where_there_was_no_database() {
    let s = sandbox();
    let set = || s.run(["set", "p.n.k", "1", "--if-present", "--op-id", "1"]);
    set().fails(3).stderr_has("there is no such entry");
    s.run(["set", "p.n.k", "0"]).prints("");
    set().fails(3).stderr_has("there is no such entry");
    s.run(["get", "p.n.k"]).prints("0\n");
    assert_eq!(databases(&s).len(), 1);
}

#[test]
fn ids_of_two_users_of_one_database_are_two() {
    let s = sandbox();
    let incr = |user: &str| {
        s.run(["-d", "shared.prdb", "incr", "p.n.k", "--op-id", "1", "--user", user]).env("USER", "whoever")
    };
    incr("ann").prints("1\n");
    incr("bob").prints("2\n");
    incr("ann").env("USER", "somebody-else").prints("1\n");
    incr("bob").env_remove("USER").prints("2\n");
}

#[test]
fn a_lock_that_has_lapsed_is_not_said_to_be_held() {
    let s = sandbox();
    let acquire = |ttl: &str| s.run(["lock", "acquire", "job", "--ttl", ttl, "--op-id", "1"]);
    let token = acquire("200ms").succeeds().stdout();
    thread::sleep(Duration::from_millis(250));
    let outcome = acquire("200ms").fails(3).stdout_is("");
    outcome.stderr_has(&format!("the lease of the token {} was given back or has lapsed", token.trim_end()));
}

#[test]
fn a_token_that_a_reader_has_missed_can_be_asked_for_again() {
    let s = sandbox();
    s.run(["queue", "push", "p.q", "job"]).succeeds();
    for args in [&["lock", "acquire", "job", "--ttl", "1h"][..], &["queue", "claim", "p.q", "--ttl", "1h"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let with_id = [args, &["--op-id", args[0]]].concat();
        s.run(with_id.iter().copied()).stdout_to(writer).succeeds();
        s.run(with_id).succeeds().stdout_has("\n");
        s.run(args.iter().copied()).fails_with_one_of(&[2, 3]);
    }
}

#[test]
fn values_of_encrypted_namespaces_are_remembered_sealed() {
    let s = sandbox();
    let identity = identity_file(&s);
    s.run(["admin", "namespace", "set", "p.n", "encrypt=on", "--recipient", RECIPIENT]).succeeds();
    let run = |args: &[&str]| s.run(args.iter().copied()).env("PRONTO_AGE_IDENTITY", &identity);
    run(&["set", "p.n.k", "attack at dawn"]).prints("");
    let set = ["set", "p.n.k", "retreat", "--return", "old", "--op-id", "1"];
    run(&set).prints("attack at dawn\n");
    run(&set).prints("attack at dawn\n");
    s.run(set).fails(5).stdout_is("").stderr_has("p.n is encrypted");
    run(&["set", "p.n.k", "hold", "--return", "old", "--op-id", "1"]).fails(3);
    let file = database_file(&s, "main");
    let remembered = sql(&s, &file, "SELECT record FROM sys_ops");
    assert!(remembered.contains("\"sealed\"") && !remembered.contains("digest"), "{remembered}");
    let in_base64 = "YXR0YWNrIGF0IGRhd24=";
    for file in std::fs::read_dir(file.parent().unwrap()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let found = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!found("attack") && !found(in_base64) && !found("retreat"));
    }
}

#[test]
fn update_does_not_run_its_command_again() {
    let s = sandbox_with([("p.n.k", "1")]);
    let update = |script: &str| s.run(["update", "p.n.k", "--op-id", "1", "--", "sh", "-c", script]);
    update("echo ran >>ran; sed s/1/2/").prints("");
    update("echo ran >>ran; sed s/1/2/").prints("");
    assert_eq!(std::fs::read_to_string(s.path("ran")).unwrap(), "ran\n");
    update("cat").fails(3).stderr_has("another operation");
    s.run(["get", "p.n.k"]).prints("2\n");
    // That a value stayed the same is an answer, and a command that fails is none.
    let same = || s.run(["update", "p.n.k", "--op-id", "2", "--", "sh", "-c", "tee seen | cat"]);
    same().prints("");
    s.run(["set", "p.n.k", "3"]).prints("");
    same().prints("");
    assert_eq!(std::fs::read_to_string(s.path("seen")).unwrap(), "2\n");
    let fails = || s.run(["update", "p.n.k", "--op-id", "3", "--", "sh", "-c", "test -e ready && echo 4"]);
    fails().fails(1);
    std::fs::write(s.path("ready"), "").unwrap();
    fails().prints("");
    s.run(["get", "p.n.k"]).prints("4\n");
}

#[test]
fn a_full_disk_leaves_neither_the_change_nor_the_answer() {
    let s = sandbox_with([("p.n.k", "1")]);
    let limited = |args: &[&str]| {
        let limit = ["sh", "-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"];
        s.run(args.iter().copied()).under(limit).ends()
    };
    let big = "x".repeat(200_000);
    std::fs::write(s.path("big"), &big).unwrap();
    let mut outcome = limited(&["set", "p.n.k", "--file", "big", "--op-id", "1"]);
    assert_ne!(outcome.code(), Some(0));
    s.run(["get", "p.n.k"]).prints("1\n");
    s.run(["set", "p.n.k", "--file", "big", "--op-id", "1"]).prints("");
    s.run(["get", "p.n.k"]).prints(format!("{big}\n"));
}

/// What [`retries`] has seen.
struct Seen {
    sums: Vec<u64>,
    kills: u64,
}

/// Does operations under ids of its own, each until it is answered; every process may be killed at some moment.
fn retries(s: &Sandbox, worker: u64, operations: u64, time: u64) -> Seen {
    let mut dice = Dice((worker + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut seen = Seen { sums: Vec::new(), kills: 0 };
    for number in 0..operations {
        let id = format!("{worker}-{number}");
        let args = ["incr", "p.n.k", "--op-id", &id, "--busy-timeout-ms", "20000"];
        while kill_at_some_moment(s.spawn(args), &mut dice, time).is_none() {
            seen.kills += 1;
            // Some are dead on arrival every time.
            if dice.below(3) == 0 {
                break;
            }
        }
        let sum = s.run(args).succeeds().stdout();
        seen.sums.push(sum.trim_end().parse().unwrap());
        s.run(args).prints(sum);
    }
    seen
}

#[test]
fn whoever_is_killed_at_any_moment_and_tries_again_does_it_once() {
    const WORKERS: u64 = 8;
    let (s, time, operations) = (sandbox(), WORKERS * time_of_one_write(), kills_of_a_worker());
    let seen: Vec<_> = thread::scope(|scope| {
        let s = &s;
        let workers: Vec<_> =
            (0..WORKERS).map(|worker| scope.spawn(move || retries(s, worker, operations, time))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let kills: u64 = seen.iter().map(|seen| seen.kills).sum();
    let sums: BTreeSet<_> = seen.iter().flat_map(|seen| &seen.sums).copied().collect();
    s.run(["get", "p.n.k"]).prints(format!("{}\n", WORKERS * operations));
    assert_eq!(sums, (1..=WORKERS * operations).collect(), "each operation has a sum of its own");
    assert!(kills > 0, "nobody was killed");
    let file = database_file(&s, "main");
    assert_whole(&s, &file);
    let remembered: Value =
        sql(&s, &file, "SELECT record FROM sys_op_ages WHERE key = 'tally'").parse().unwrap();
    assert_eq!(remembered["count"].as_u64(), Some(WORKERS * operations));
    println!("{} operations, {kills} kills, 0 duplicates; {}", WORKERS * operations, entries(&s));
}
