//! `lock`: leases, fencing tokens, and commands that run under them.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::{Call, Running, Sandbox};

use crate::common::{LockHolder, database_file, json_of, refused, sandbox, sandbox_with, wait_until};

/// Takes a lock; its token.
#[track_caller]
fn acquire(s: &Sandbox, name: &str, ttl: &str) -> String {
    let token = s.run(["lock", "acquire", name, "--ttl", ttl]).succeeds().stdout();
    token.trim_end().to_owned()
}

/// A command of a shell under a lock, which finds the program in `$P`.
fn under(s: &Sandbox, flags: &[&str], script: &str) -> Call {
    let call = s.run(["lock", "run", "job"]).args(flags.iter().copied());
    call.args(["--", "sh", "-c", script]).env("P", s.program()).within(Duration::from_secs(120))
}

/// The same where these tests run under nohup or behind an `&`, which have all they start ignore signals.
fn heeding(call: Call) -> Call {
    call.under(["env", "--default-signal=INT,HUP"])
}

fn signal(running: &Running, signal: &str) {
    let told = Command::new("kill").args([signal, &running.id().to_string()]).status();
    assert!(told.unwrap().success());
}

#[test]
fn a_lock_has_one_holder_and_a_growing_token() {
    let s = sandbox();
    let first = acquire(&s, "deploy", "1h");
    let outcome = refused(&s, &["lock", "acquire", "deploy", "--ttl", "1h"], 3, "conflict");
    outcome.stderr_has("the lock deploy is held by").stderr_has(", for 3600s more");
    let told = s.run(["lock", "acquire", "deploy", "--ttl", "1h", "--json"]).fails(3);
    told.stderr_has("\"kind\":\"conflict\"").stderr_has("\"retryable\":true");
    s.run(["lock", "renew", "deploy", "--ttl", "2h", "--fence", &first]).prints("");
    let listed = json_of(s.run(["lock", "list", "--json"]));
    let lock = &listed.as_array().unwrap()[0];
    assert_eq!((lock["name"].as_str(), lock["fence"].to_string()), (Some("deploy"), first.clone()));
    let left = lock["left_ms"].as_u64().unwrap();
    assert!((7_100_000..=7_200_000).contains(&left), "{left}");
    s.run(["lock", "list"]).succeeds().stdout_has(&format!("deploy\t{first}\t7"));
    s.run(["lock", "release", "deploy", "--fence", &first]).prints("");
    s.run(["lock", "list"]).prints("");
    let second = json_of(s.run(["lock", "acquire", "deploy", "--ttl", "1h", "--json", "--user", "ann"]));
    assert_eq!(second["owner"].as_str(), Some("ann"));
    // Of the user's own database, which begins anew.
    let third = acquire(&s, "deploy", "1h");
    assert!(third.parse::<u64>().unwrap() > first.parse().unwrap());
}

#[test]
fn leases_that_are_not_ones_own_are_neither_renewed_nor_released() {
    let s = sandbox();
    let own = acquire(&s, "a", "1h");
    let other = acquire(&s, "b", "1h");
    for verb in [&["lock", "renew", "a", "--ttl", "1h"][..], &["lock", "release", "a"]] {
        let with =
            |token: &str| [verb, &["--fence", token]].concat().into_iter().map(str::to_owned).collect();
        let words: Vec<String> = with(&other);
        refused(&s, &words.iter().map(String::as_str).collect::<Vec<_>>(), 3, "conflict")
            .stderr_has("lock b");
        let words: Vec<String> = with("999999");
        refused(&s, &words.iter().map(String::as_str).collect::<Vec<_>>(), 3, "conflict")
            .stderr_has("999999");
        refused(&s, verb, 64, "usage").stderr_has("the token of the lease is missing");
    }
    s.run(["lock", "release", "a"]).env("PRONTO_FENCE", &own).prints("");
    refused(&s, &["lock", "release", "a", "--fence", &own], 3, "conflict")
        .stderr_has("given back or has lapsed");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let s = sandbox_with([("p.n.k", "1")]);
    for (args, says) in [
        (&["lock", "acquire", "a"][..], "--ttl"),
        (&["lock", "run", "a"], "COMMAND"),
        (&["lock", "acquire", "a", "--ttl", "1s", "-p", "x"], "--project"),
        (&["set", "p.n.k", "2", "--fence", "x"], "`x` is none"),
        (&["lock"], "acquire, renew, release, list, run"),
    ] {
        s.run(args).fails(64).stderr_has(says);
    }
    for (args, says) in [
        (&["lock", "acquire", "a", "--ttl", "0"][..], "--ttl: a time to live must be longer than zero"),
        (&["lock", "acquire", "a", "--ttl", "-5"], "`-5`"),
        (&["lock", "acquire", "a", "--ttl", "soon"], "`soon`"),
        (&["lock", "acquire", "a", "--ttl", "1s", "--wait", "soon"], "--wait: `soon` is not a time:"),
        (&["lock", "acquire", "a", "--ttl", "1s", "--wait", "200years"], "--wait: a time must be at most"),
        (&["lock", "renew", "a", "--ttl", "0", "--fence", "1"], "--ttl"),
        (&["lock", "run", "a", "--ttl", "0", "--", "true"], "--ttl"),
    ] {
        refused(&s, args, 1, "invalid").stderr_has(says);
    }
    // As everywhere.
    s.run(["create-cache", "p.c", "5"]).succeeds();
    refused(&s, &["set", "p.c.k", "1", "--ttl", "0"], 1, "invalid").stderr_has("longer than zero");
    refused(&s, &["lock", "acquire", "", "--ttl", "1s"], 1, "invalid").stderr_has("it is empty");
    refused(&s, &["lock", "acquire", "a\nb", "--ttl", "1s"], 1, "invalid").stderr_has("control characters");
    s.run(["set", "p.n.k", "2"]).env("PRONTO_FENCE", "none").fails(64).stderr_has("PRONTO_FENCE");
    s.run(["lock", "list"]).prints("");
    s.run(["get", "p.n.k"]).prints("1\n");
}

#[test]
fn whoever_waits_gets_it_when_it_is_free() {
    let s = sandbox();
    acquire(&s, "job", "100ms");
    let begun = Instant::now();
    s.run(["lock", "acquire", "job", "--ttl", "1h", "--wait", "60s"]).succeeds();
    assert!(begun.elapsed() < Duration::from_secs(30));
    let outcome = refused(&s, &["lock", "acquire", "job", "--ttl", "1h", "--wait", "20ms"], 4, "timeout");
    refused(&s, &["lock", "acquire", "job", "--ttl", "1h", "--wait", "0"], 3, "conflict");
    outcome.stderr_has("is held by");
}

#[test]
fn writes_of_every_kind_carry_a_token() {
    let s = sandbox_with([("p.n.k", "1")]);
    let token = acquire(&s, "job", "1h");
    s.run(["set", "p.n.k", "2", "--fence", &token]).prints("");
    s.run(["stream", "-p", "p", "-n", "n", "--fence", &token])
        .env("PRONTO_SECURITY", "false")
        .stdin("a=1;")
        .succeeds();
    s.run(["lock", "release", "job", "--fence", &token]).prints("");
    s.run(["create-cache", "p.c", "90"]).prints("");
    s.run(["backup", "--output", "b.tar.gz"]).succeeds();
    for args in [
        &["set", "p.n.k", "3"][..],
        &["del", "p.n.k"],
        &["incr", "p.n.k"],
        &["append", "p.n.k", "x"],
        &["touch", "p.n.k"],
        &["rename", "p.n.k", "p.n.other"],
        &["copy", "p.n.k", "p.n.other"],
        &["del", "--prefix", "p.n.k", "--yes"],
        &["import", "p.n"],
        &["create-cache", "p.c", "80"],
        &["admin", "metakey", "set", "p.n.k", "owner", "ann"],
        &["admin", "drop-namespace", "p.n", "--force"],
        &["admin", "user", "add", "ann", "--role", "read"],
        &["restore", "b.tar.gz"],
        &["admin", "vacuum"],
        &["admin", "rename-db", "main", "other"],
        &["admin", "delete-db", "main", "--force"],
        &["queue", "push", "p.q", "x"],
    ] {
        let call =
            s.run(args).stdin("k\tOQ==\n").env("PRONTO_FENCE", &token).env("PRONTO_PASS", "long enough");
        let outcome = call.outcome();
        outcome.fails(3).stderr_has("nothing was written");
    }
    let stream = s.run(["stream", "-p", "p", "-n", "n", "--fence", &token]);
    stream.env("PRONTO_SECURITY", "false").stdin("k=3;").fails(3);
    s.run(["scan", "p.n"]).prints("a=1\nk=2\n");
    // A token is that of its database, and nobody else's business.
    let elsewhere = format!("{token}@0@/nowhere/at.prdb");
    s.run(["set", "p.n.k", "4"]).env("PRONTO_FENCE", &elsewhere).prints("");
    s.run(["lock", "release", "job"]).env("PRONTO_FENCE", &elsewhere).fails(3).stderr_has("another database");
}

#[test]
fn whoever_works_under_a_lease_that_has_ended_gets_no_new_one() {
    let s = sandbox();
    s.run(["queue", "push", "p.q", "job"]).succeeds();
    let token = acquire(&s, "outer", "1h");
    s.run(["lock", "release", "outer", "--fence", &token]).prints("");
    for args in [
        &["lock", "acquire", "inner", "--ttl", "1h"][..],
        &["lock", "run", "inner", "--", "touch", "done"],
        &["queue", "claim", "p.q", "--ttl", "1h"],
        &["queue", "claim", "p.none", "--ttl", "1h"],
    ] {
        let ended = s.run(args).env("PRONTO_FENCE", &token).fails(3);
        ended.stderr_has(&format!("the lease of the token {token} was given back or has lapsed"));
    }
    assert!(!s.path("done").exists());
    s.run(["lock", "list"]).prints("");
    s.run(["queue", "list", "p.q"]).succeeds().stdout_has("\tready\t");
}

#[test]
fn a_command_under_two_locks_writes_under_both() {
    let s = sandbox();
    let inner = r#""$P" set p.n.k 1 && touch begun; until [ -e go ]; do sleep 0.01; done
                   "$P" set p.n.k 2; echo $? >code; "$P" set -d other.prdb p.n.k 1; echo $? >elsewhere
                   "$P" lock renew inner --ttl 1h; echo $? >renewed"#;
    let outer = r#""$P" lock run inner -- sh -c "$INNER""#;
    let holder = under(&s, &["--ttl", "1h"], outer).env("INNER", inner).spawn();
    wait_until("the command runs", || s.path("begun").exists());
    let listed = json_of(s.run(["lock", "list", "--json"]));
    let token =
        listed.as_array().unwrap().iter().find(|lock| lock["name"] == "job").unwrap()["fence"].to_string();
    s.run(["lock", "release", "job", "--fence", &token]).prints("");
    std::fs::write(s.path("go"), "").unwrap();
    // Nobody has told the outer holder yet.
    holder.wait().fails(3);
    let code = |name: &str| std::fs::read_to_string(s.path(name)).unwrap();
    assert_eq!(
        (code("code"), code("elsewhere"), code("renewed")),
        ("3\n".into(), "0\n".into(), "0\n".into())
    );
    s.run(["get", "p.n.k"]).prints("1\n");
}

#[test]
fn a_signal_is_passed_on_while_a_renewal_waits() {
    let s = sandbox_with([("p.n.k", "1")]);
    let script = "trap 'touch told; exit 9' INT; touch begun; while :; do sleep 0.02; done";
    let call = under(&s, &["--ttl", "6s"], script).env("PRONTO_BUSY_TIMEOUT_MS", "60000");
    let holder = heeding(call).spawn();
    wait_until("the command runs", || s.path("begun").exists());
    let writer = LockHolder::of(&s);
    // By now a renewal is due, and nobody can write.
    thread::sleep(Duration::from_millis(2500));
    signal(&holder, "-INT");
    let sent = Instant::now();
    wait_until("the command is told", || s.path("told").exists());
    assert!(sent.elapsed() < Duration::from_secs(2), "{:?}", sent.elapsed());
    drop(writer);
    holder.wait().fails(9);
    s.run(["lock", "list"]).prints("");
}

#[test]
fn what_is_run_because_a_lock_is_lost_keeps_no_signal_back() {
    let s = sandbox();
    let script = "trap 'touch told; exit 9' TERM; touch begun; while :; do sleep 0.02; done";
    let on_lost = "trap 'touch ended; exit' TERM; touch lost; while :; do sleep 0.02; done";
    let holder = under(&s, &["--ttl", "300ms", "--on-lost", on_lost], script).spawn();
    wait_until("the command runs", || s.path("begun").exists());
    let listed = json_of(s.run(["lock", "list", "--json"]));
    let token = listed.as_array().unwrap()[0]["fence"].to_string();
    s.run(["lock", "release", "job", "--fence", &token]).prints("");
    wait_until("the lock is lost", || s.path("lost").exists());
    thread::sleep(Duration::from_millis(50));
    signal(&holder, "-TERM");
    holder.wait().fails(3).stderr_has("was lost");
    assert!(s.path("told").exists() && s.path("ended").exists());
}

#[test]
fn a_key_that_is_revoked_keeps_and_gets_no_lock() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["queue", "push", "p.q", "job"]).succeeds();
    let token = s.run(["admin", "key", "create", "ci", "--role", "write"]).succeeds().stdout();
    let held = acquire(&s, "held", "1h");
    let claim = s.run(["queue", "claim", "p.q", "--ttl", "1h"]).succeeds().stdout();
    let as_ci = |call: Call| {
        call.env("PRONTO_SECURITY_LOCAL", "true")
            .env("PRONTO_API_KEY", token.trim_end())
            .within(Duration::from_secs(120))
    };
    let holder = as_ci(under(&s, &["--ttl", "600ms"], "touch begun; exec sleep 600")).spawn();
    let waiting = [
        &["lock", "acquire", "held", "--ttl", "1h", "--wait", "60s"][..],
        &["queue", "claim", "p.q", "--ttl", "1h", "--wait", "60s"],
    ]
    .map(|args| as_ci(s.run(args)).spawn());
    wait_until("the command runs", || s.path("begun").exists());
    thread::sleep(Duration::from_millis(300));
    s.run(["admin", "key", "revoke", "ci"]).succeeds();
    holder
        .wait()
        .fails(3)
        .stderr_has("was lost while the command ran; what proved that this is ci no longer holds");
    s.run(["lock", "release", "held", "--fence", &held]).prints("");
    let claimed = claim.split(' ').next().unwrap();
    s.run(["queue", "nack", "p.q", "--fence", claimed]).prints("");
    for waiting in waiting {
        waiting.wait().fails(5).stdout_is("").stderr_has("the API key was revoked");
    }
    s.run(["queue", "list", "p.q"]).succeeds().stdout_has("\tready\t");
}

#[test]
fn a_command_runs_under_a_lock_and_writes_under_its_token() {
    let s = sandbox();
    let script =
        r#""$P" set p.n.lock "$PRONTO_LOCK"; "$P" set -d other.prdb p.n.k 1; "$P" lock list; exit 7"#;
    under(&s, &[], script).fails(7).stdout_has("job\t1\t");
    s.run(["get", "p.n.lock"]).prints("job\n");
    s.run(["get", "-d", "other.prdb", "p.n.k"]).prints("1\n");
    s.run(["lock", "list"]).prints("");
    under(&s, &[], "kill -9 $$").fails(137);
    s.run(["lock", "run", "job", "--", "no/such/program"])
        .fails(127)
        .stderr_has("cannot run no/such/program");
    s.run(["lock", "list"]).prints("");
    acquire(&s, "job", "1h");
    under(&s, &[], "echo never").fails(3).stdout_is("");
    under(&s, &["--wait", "10ms"], "echo never").fails(4).stdout_is("");
}

#[test]
fn a_lease_that_is_renewed_often_needs_no_more_files() {
    let s = sandbox();
    let script = "ls /proc/$PPID/fd | wc -l > before; sleep 0.6; ls /proc/$PPID/fd | wc -l > after";
    under(&s, &["--ttl", "60ms"], script).ends();
    let count = |name: &str| std::fs::read_to_string(s.path(name)).unwrap().trim().parse::<u32>().unwrap();
    // A few are opened by the first renewal.
    assert!(count("after") <= count("before") + 3, "{} {}", count("before"), count("after"));
}

#[test]
fn a_command_has_the_signals_that_every_command_has() {
    let s = sandbox();
    let status =
        s.run(["lock", "run", "job", "--", "grep", "SigBlk", "/proc/self/status"]).succeeds().stdout();
    assert!(status.trim_end().ends_with("\t0000000000000000"), "{status}");
    let holder = s.run(["lock", "run", "job", "--", "sleep", "600"]).spawn();
    wait_until("the lock is held", || s.run(["lock", "list"]).succeeds().stdout().contains("job"));
    thread::sleep(Duration::from_millis(200));
    signal(&holder, "-TERM");
    holder.wait().fails(143);
}

#[test]
fn a_terminal_that_goes_ends_the_command_and_gives_the_lock_back() {
    let s = sandbox();
    let held = || s.run(["lock", "list"]).succeeds().stdout().contains("job");
    let holder = heeding(s.run(["lock", "run", "job", "--", "sleep", "600"])).spawn();
    wait_until("the lock is held", held);
    thread::sleep(Duration::from_millis(200));
    signal(&holder, "-HUP");
    holder.wait().fails(129);
    assert!(!held());
    // Under nohup nobody takes notice.
    let until_told = ["lock", "run", "job", "--", "sh", "-c", "until [ -e go ]; do sleep 0.05; done"];
    let holder = s.run(until_told).under(["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]).spawn();
    wait_until("the lock is held", held);
    thread::sleep(Duration::from_millis(200));
    signal(&holder, "-HUP");
    std::fs::write(s.path("go"), "").unwrap();
    holder.wait().succeeds();
}

#[test]
fn what_cannot_be_told_is_not_taken() {
    let s = sandbox();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    s.run(["lock", "acquire", "job", "--ttl", "1h"]).stdout_to(full()).fails(1);
    s.run(["lock", "list"]).prints("");
    s.run(["queue", "push", "p.q", "x", "--tries", "2"]).succeeds();
    for _ in 0..3 {
        s.run(["queue", "claim", "p.q", "--ttl", "1h"]).stdout_to(full()).fails(1);
        s.run(["queue", "list", "p.q"]).succeeds().stdout_has("\tready\t100\t0\t2\t-");
    }
}

#[test]
fn leases_do_not_come_back_with_a_restore() {
    let s = sandbox_with([("p.n.k", "1")]);
    let token = acquire(&s, "job", "1h");
    s.run(["queue", "push", "p.q", "x"]).succeeds();
    let claimed = s.run(["queue", "claim", "p.q", "--ttl", "1h"]).succeeds().stdout();
    s.run(["backup", "--output", "b.tar.gz"]).succeeds();
    s.run(["lock", "release", "job", "--fence", &token]).prints("");
    for to in [&[][..], &["--to", "other"]] {
        s.run(["restore", "b.tar.gz"]).args(to.iter().copied()).succeeds();
        let at = |args: &[&str]| {
            s.run(args).env("PRONTO_DB", database_file(&s, if to.is_empty() { "main" } else { "other" }))
        };
        at(&["lock", "list"]).prints("");
        at(&["set", "p.n.k", "2", "--fence", &token]).fails(3);
        let again = at(&["queue", "claim", "p.q", "--ttl", "1h"]).succeeds().stdout();
        assert_ne!(again, claimed);
    }
}

#[test]
fn a_lease_is_renewed_as_long_as_the_command_runs() {
    let s = sandbox();
    let script = r#"sleep 1; "$P" lock acquire job --ttl 1s; [ $? = 3 ] && "$P" set p.n.k 1"#;
    under(&s, &["--ttl", "300ms"], script).succeeds();
    s.run(["get", "p.n.k"]).prints("1\n");
}

#[test]
fn a_holder_that_was_stopped_for_too_long_writes_nothing() {
    let s = sandbox();
    // The command outlives the stop of its holder, and writes when somebody else has the lock.
    let script =
        r#"touch begun; while [ ! -e go ]; do sleep 0.01; done; "$P" set p.n.k stale; echo $? > code"#;
    let holder = under(&s, &["--ttl", "200ms", "--on-lost", "touch lost"], script).spawn();
    wait_until("the command runs", || s.path("begun").exists());
    signal(&holder, "-STOP");
    let next = s.run(["lock", "acquire", "job", "--ttl", "1h", "--wait", "60s"]).succeeds().stdout();
    s.run(["set", "p.n.k", "fresh", "--fence", next.trim_end()]).prints("");
    std::fs::write(s.path("go"), "").unwrap();
    wait_until("the command has written", || s.path("code").exists());
    signal(&holder, "-CONT");
    holder.wait().fails(3).stderr_has("was lost while the command ran");
    assert_eq!(std::fs::read_to_string(s.path("code")).unwrap(), "3\n");
    s.run(["get", "p.n.k"]).prints("fresh\n");
    s.run(["lock", "list"]).succeeds().stdout_has("job\t");
}

#[test]
fn a_command_ends_when_its_lock_is_lost() {
    let s = sandbox();
    let holder = under(&s, &["--ttl", "200ms"], "touch begun; exec sleep 600").spawn();
    wait_until("the command runs", || s.path("begun").exists());
    signal(&holder, "-STOP");
    s.run(["lock", "acquire", "job", "--ttl", "1h", "--wait", "60s"]).succeeds();
    signal(&holder, "-CONT");
    holder.wait().fails(3).stderr_has("was lost");
}

#[test]
fn whoever_ends_it_ends_the_command_and_gives_the_lock_back() {
    let s = sandbox();
    for (sent, code) in [("-TERM", 143), ("-INT", 130)] {
        let _ = std::fs::remove_file(s.path("begun"));
        let holder = heeding(under(&s, &[], "touch begun; exec sleep 600")).spawn();
        wait_until("the command runs", || s.path("begun").exists());
        signal(&holder, sent);
        holder.wait().fails(code);
        s.run(["lock", "list"]).prints("");
    }
}

#[test]
fn whoever_is_killed_keeps_nobody_waiting_for_long() {
    let s = sandbox();
    let holder = under(&s, &["--ttl", "200ms"], "touch begun; exec sleep 1").spawn();
    wait_until("the command runs", || s.path("begun").exists());
    assert_eq!(holder.kill().code(), None);
    s.run(["lock", "acquire", "job", "--ttl", "1h", "--wait", "60s"]).succeeds();
}

#[test]
fn many_who_add_under_a_lock_lose_nothing() {
    const PROCESSES: usize = 8;
    const TIMES: usize = 6;
    let s = sandbox_with([("p.n.k", "0")]);
    let script = r#"v=$("$P" get p.n.k) && "$P" set p.n.k $((v + 1))"#;
    thread::scope(|scope| {
        for _ in 0..PROCESSES {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    under(&s, &["--ttl", "60s", "--wait", "100s"], script).succeeds();
                }
            });
        }
    });
    s.run(["get", "p.n.k"]).prints(format!("{}\n", PROCESSES * TIMES));
}
