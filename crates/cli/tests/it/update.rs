//! `update`: a value that a command changes, whoever else writes; and `run`, which hands values to a command.

use std::fs;
use std::thread;
use std::time::Duration;

use prontodb_testkit::sandbox::{Call, Sandbox};

use crate::common::{sandbox, sandbox_with};

fn update(s: &Sandbox, flags: &[&str], script: &str) -> Call {
    let call = s.run(["update", "p.n.k"]).args(flags.iter().copied());
    call.args(["--", "sh", "-c", script]).env("P", s.program()).within(Duration::from_secs(120))
}

#[test]
fn a_command_makes_the_new_value_of_the_old_one() {
    let s = sandbox_with([("p.n.k", "one")]);
    update(&s, &[], "tr a-z A-Z").prints("");
    s.run(["get", "p.n.k"]).prints("ONE\n");
    update(&s, &[], "cat; echo two").prints("");
    s.run(["get", "--raw", "p.n.k"]).prints("ONE\ntwo");
    // As they are, bytes are neither added nor taken away.
    update(&s, &["--raw"], "cat; printf '\\n\\000'").prints("");
    s.run(["get", "--raw", "p.n.k"]).prints(b"ONE\ntwo\n\0");
    s.run(["update", "p.n.new", "--", "wc", "-c"]).prints("");
    s.run(["get", "p.n.new"]).prints("0\n");
    s.run(["update", "p.n.new", "--json", "--", "echo", "{\"b\": 1, \"a\": [ ]}"]).prints("");
    s.run(["get", "p.n.new"]).prints("{\"a\":[],\"b\":1}\n");
    s.run(["update", "p.n.new", "--json", "--", "echo", "{"]).fails(1).stderr_has("\"kind\":\"invalid\"");
    // Not all of the value has to be read.
    s.run(["set", "p.n.k"]).stdin(vec![b'x'; 1_000_000]).prints("");
    update(&s, &[], "head -c 3").prints("");
    s.run(["get", "p.n.k"]).prints("xxx\n");
}

#[test]
fn nothing_is_written_when_the_command_fails_or_changes_nothing() {
    let s = sandbox_with([("p.n.k", "1")]);
    let version = s.run(["get", "p.n.k", "--meta", "--json"]).succeeds().stdout();
    update(&s, &[], "echo 2; exit 9").fails(9);
    update(&s, &[], "echo 2; kill -9 $$").fails(137);
    update(&s, &[], "cat").prints("");
    s.run(["update", "p.n.k", "--", "no/such/program"]).fails(127).stderr_has("cannot run no/such/program");
    s.run(["update", "p.n.k"]).fails(64).stderr_has("COMMAND");
    s.run(["update", "--", "cat"]).fails(64).stderr_has("the address is missing");
    let too_long = update(&s, &[], "head -c 100000 /dev/zero").env("PRONTO_MAX_VALUE_BYTES", "1000");
    too_long.fails(6).stderr_has("max_value_bytes");
    s.run(["get", "p.n.k", "--meta", "--json"]).prints(version);
}

#[test]
fn the_command_runs_again_when_somebody_else_was_quicker() {
    let s = sandbox_with([("p.n.k", "1")]);
    // The first run is overtaken by a write of its own making.
    let script = r#"read v; [ -e again ] || { touch again; "$P" set p.n.k 10; }; echo $((v + 1))"#;
    update(&s, &[], script).prints("");
    s.run(["get", "p.n.k"]).prints("11\n");
    let always = r#"cat > seen; "$P" incr p.n.k > /dev/null; echo mine"#;
    let outcome = update(&s, &["--tries", "3"], always).fails(3);
    outcome.stderr_has("was changed by others each time; 3 tries");
    s.run(["get", "p.n.k"]).prints("14\n");
    assert_eq!(fs::read_to_string(s.path("seen")).unwrap(), "13\n");
    // Nor is one that came or went meanwhile taken for the one that was seen.
    let gone = r#"cat > /dev/null; [ -e gone ] || { touch gone; "$P" del p.n.k; }; echo new"#;
    update(&s, &[], gone).prints("");
    s.run(["get", "p.n.k"]).prints("new\n");
}

#[test]
fn a_token_that_is_stale_ends_it_at_once() {
    let s = sandbox_with([("p.n.k", "1")]);
    let outcome = update(&s, &["--fence", "99"], "echo x >> runs; echo 2").fails(3);
    outcome.stderr_has("given back or has lapsed");
    assert!(!s.path("runs").exists());
    update(&s, &["--fence", "99"], "cat").fails(3).stderr_has("given back or has lapsed");
    s.run(["get", "p.n.k"]).prints("1\n");
}

#[test]
fn many_updates_at_once_lose_nothing() {
    const PROCESSES: usize = 8;
    const TIMES: usize = 6;
    let s = sandbox();
    thread::scope(|scope| {
        for _ in 0..PROCESSES {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    update(&s, &["--tries", "1000"], "read v; echo $((v + 1))").prints("");
                }
            });
        }
    });
    s.run(["get", "p.n.k"]).prints(format!("{}\n", PROCESSES * TIMES));
}

#[test]
fn what_is_updated_keeps_its_time_and_its_metakeys() {
    let s = sandbox();
    s.run(["create-cache", "p.n", "1000"]).prints("");
    s.run(["set", "p.n.k", "1", "--ttl", "100"]).prints("");
    s.run(["admin", "metakey", "set", "p.n.k", "owner", "ann"]).prints("");
    update(&s, &[], "echo 2").prints("");
    let left: u64 = s.run(["ttl", "p.n.k"]).succeeds().stdout().trim_end().parse().unwrap();
    assert!(left <= 100, "{left}");
    s.run(["admin", "metakey", "get", "p.n.k", "owner"]).prints("ann\n");
}

#[test]
fn a_command_gets_the_entries_of_a_namespace_as_variables() {
    let s = sandbox_with([
        ("p.n.HOST", "here"),
        ("p.n.HOST__eu", "there"),
        ("p.n.HOST__us", "elsewhere"),
        ("p.n.ONLY__eu", "1"),
        ("p.n.no-name", "x"),
        ("p.n.1st", "x"),
        ("p.other.SECRET", "x"),
    ]);
    let script = "echo \"$HOST,$ONLY,$SECRET\"; exit 7";
    let run =
        |flags: &[&str]| s.run(["run", "p.n"]).args(flags.iter().copied()).args(["--", "sh", "-c", script]);
    run(&[])
        .fails(7)
        .stdout_is("here,,\n")
        .stderr_has("2 keys are left out, as no variable can be called like that: 1st, no-name");
    run(&["--context", "eu"]).fails(7).stdout_is("there,1,\n");
    run(&["--context", "asia"]).fails(7).stdout_is("here,,\n");
    s.run(["run", "-p", "p", "-n", "n", "--", "sh", "-c", "echo $HOST"]).succeeds().stdout_is("here\n");
    s.run(["run", "p.n", "--", "no/such/program"]).fails(127).stderr_has("cannot run no/such/program");
    s.run(["run", "p.n", "--", "/"]).fails(126).stderr_has("cannot run /");
    s.run(["run", "p.n", "--json", "--", "no/such"])
        .fails(127)
        .stderr_has(r#""code":127,"kind":"no_command""#);
    s.run(["run", "p.n"]).fails(64).stderr_has("COMMAND");
    s.run(["run", "p.n", "--key", "k", "--", "true"]).fails(64).stderr_has("--key means nothing");
    s.run(["run", "p.none", "--", "echo", "ok"]).prints("ok\n");
    s.run(["set", "p.n.NUL"]).stdin(b"a\0b".to_vec()).prints("");
    s.run(["run", "p.n", "--", "true"]).fails(1).stderr_has("NUL");
}

#[test]
fn a_command_is_not_run_where_nothing_may_be_written() {
    let s = sandbox_with([("p.n.k", "1")]);
    let fence = s.run(["lock", "acquire", "l", "--ttl", "1h"]).succeeds().stdout();
    s.run(["lock", "release", "l", "--fence", fence.trim_end()]).prints("");
    let script = "touch ran; cat";
    update(&s, &["--fence", fence.trim_end()], script).fails(3).stdout_is("");
    fs::write(s.path("pw"), "secret\n").unwrap();
    s.run(["admin", "user", "add", "eve", "--role", "read", "--pass-file", "pw"]).succeeds();
    let session = s.run(["auth", "login", "eve", "--pass-file", "pw"]).succeeds().stdout();
    let as_eve = update(&s, &[], script).env("PRONTO_SECURITY_LOCAL", "true");
    as_eve.env("PRONTO_SESSION", session.trim_end()).fails(5).stderr_has("may not write");
    assert!(!s.path("ran").exists());
    update(&s, &[], script).prints("");
    assert!(s.path("ran").exists());
}
