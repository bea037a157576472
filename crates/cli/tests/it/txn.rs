//! `txn`: several things at once, or none of them.

use std::thread;

use prontodb_testkit::sandbox::{Call, Sandbox};

use crate::common::{LockHolder, PASSWORD, contents, json_of, make_people, refuses, sandbox, sandbox_with};

fn txn(s: &Sandbox, input: impl Into<Vec<u8>>) -> Call {
    s.run(["txn"]).stdin(input)
}

#[test]
fn all_steps_are_done_or_none() {
    let s = sandbox_with([("p.n.a", "10"), ("p.n.b", "0")]);
    let move_three = r#"{"if":[{"k":"p.n.a","v":"10"}],"then":[{"incr":"p.n.a","by":-3},{"incr":"p.n.b","by":3}],"else":[{"get":"p.n.a"}]}"#;
    txn(&s, move_three).prints(
        "{\"done\":true,\"revision\":3,\"then\":[{\"incr\":\"p.n.a\",\"sum\":7},{\"incr\":\"p.n.b\",\"sum\":3}]}\n",
    );
    let before = contents(&s);
    let refused = txn(&s, move_three).fails(3);
    refused.stdout_is(
        "{\"done\":false,\"else\":[{\"get\":\"p.n.a\",\"v\":\"7\",\"version\":3}],\"failed\":[{\"if\":0,\"k\":\"p.n.a\",\"version\":3}],\"revision\":3}\n",
    ).stderr_has("nothing was written; if[0] does not hold of p.n.a: the entry has version 3");
    let missing = txn(&s, r#"{"then":[{"set":"p.n.c","v":"1"},{"touch":"p.n.no"}]}"#).fails(2);
    missing.stdout_has("\"missing\":{\"k\":\"p.n.no\",\"then\":1}").stderr_has("then[1]: p.n.no is missing");
    assert!(before == contents(&s));
    let told = json_of(txn(&s, r#"{"then":[{"set":"p.n.c","v64":"/w=="},{"get":"p.n.c"}]}"#).arg("--json"));
    assert_eq!(told["then"][1]["v64"], "/w==");
}

#[test]
fn addresses_are_those_of_the_command_line() {
    let s = sandbox();
    s.run(["txn", "-p", "p", "-n", "n"]).stdin(r#"{"then":[{"set":"k__x","v":"1"}]}"#).succeeds();
    s.run(["txn", "--ns-delim", "|"])
        .stdin(r#"{"then":[{"set":"p|n|a.b","v":"2"}]}"#)
        .succeeds()
        .stdout_has("p|n|a.b");
    s.run(["-p", "p", "-n", "n", "--ns-delim", "|", "scan"]).prints("a.b=2\nk__x=1\n");
    s.run(["txn", "--key", "k"]).stdin("{}").fails(64).stderr_has("--key means nothing");
}

#[test]
fn what_is_no_transaction_changes_nothing() {
    let s = sandbox_with([("p.n.k", "1")]);
    for (input, code, says) in [
        ("", 1, "empty"),
        (" \n", 1, "empty"),
        ("{", 1, "line 1, column 1"),
        ("[1]", 1, "one JSON object"),
        ("{}", 1, "nothing to do"),
        (r#"{"then":[{"set":"p.n.k","v":"2"},{"set":"p.n.k","w":"3"}]}"#, 1, "unknown field `w`"),
        (r#"{"then":[{"set":"p.n.k","v":"2"},{"set":"p.n.k.x","v":"3"}]}"#, 1, "then[1]: "),
        (
            r#"{"then":[{"set":"p.n.k","v":"2"},{"set":"p.n.l","v":"3","ttl":"5s"}]}"#,
            2,
            "then[1]: the namespace is no cache",
        ),
        (
            r#"{"then":[{"append":"p.n.k","v":"x"},{"incr":"p.n.k"}]}"#,
            1,
            "then[1]: the value is no 64-bit integer",
        ),
        ("meta:path=p.n; k=2", 5, "credentials are missing"),
    ] {
        refuses(&s, txn(&s, input), code).stderr_has(says);
    }
    s.run(["txn"]).fails(64).stderr_has("the transaction is missing");
    let many = vec![r#"{"del":"p.n.k"}"#; 10_001].join(",");
    refuses(&s, txn(&s, format!(r#"{{"then":[{many}]}}"#)), 6)
        .stderr_has("10001 checks and steps; there may be 10000");
    let long = format!(r#"{{"then":[{{"set":"p.n.k","v":"{}"}}]}}"#, "x".repeat(2000));
    refuses(&s, txn(&s, long.clone()).env("PRONTO_MAX_VALUE_BYTES", "1000"), 6).stderr_has("max_value_bytes");
    s.run(["get", "p.n.k"]).prints("1\n");
}

#[test]
fn a_stream_is_a_transaction_too() {
    let s = sandbox_with([("p.n.gone", "1")]);
    let stream = "meta:path=p.n; a=1; b=b64:/w==; meta:op=del; gone=; meta:path=q.n; meta:op=set; c=3;";
    txn(&s, stream).env("PRONTO_SECURITY", "false").succeeds().stdout_has("\"removed\":true");
    s.run(["keys"]).prints("p.n.a\np.n.b\nq.n.c\n");
    make_people(&s, &[]);
    let login = s.run(["auth", "login", "sam"]).env("PRONTO_PASS", PASSWORD).succeeds().stdout();
    txn(&s, "meta:path=p.n; d=4").env("PRONTO_SESSION", login.trim_end()).succeeds();
    txn(&s, format!("meta:sec:session={}; meta:path=p.n; e=5", login.trim_end())).succeeds();
    s.run(["admin", "audit"]).succeeds().stdout_has("\tsam\tcli\tdone\twrite\tp.n 1\n");
    refuses(&s, txn(&s, "meta:path=p.n; f=6; g").env("PRONTO_SECURITY", "false"), 1).stderr_has("line 1");
    s.run(["keys", "p.n"]).prints("a\nb\nd\ne\n");
}

#[test]
fn a_byte_order_mark_says_nothing() {
    let s = sandbox();
    for (text, value) in
        [("{\"then\":[{\"set\":\"p.n.a\",\"v\":\"b=c\"}]}", "b=c"), ("meta:path=p.n; a=d;", "d")]
    {
        for input in [format!("\u{feff}{text}"), format!("\u{feff}\n {text}")] {
            txn(&s, input).env("PRONTO_SECURITY", "false").succeeds();
            s.run(["scan"]).prints(format!("p.n.a={value}\n"));
            s.run(["del", "p.n.a"]).succeeds();
        }
    }
    txn(&s, "\u{feff}").fails(1).stderr_has("the transaction is empty");
}

#[test]
fn what_only_reads_writes_nothing_and_waits_for_nobody() {
    let s = sandbox();
    let look = r#"{"if":[{"k":"p.n.k","present":true}],"then":[{"get":"p.n.k"}]}"#;
    txn(&s, look).fails(3).stdout_has("\"version\":null");
    assert!(contents(&s).is_empty(), "a look makes no database");
    s.run(["set", "p.n.k", "1"]).prints("");
    let before = contents(&s);
    let holder = LockHolder::of(&s);
    txn(&s, look).succeeds().stdout_has("\"v\":\"1\"");
    txn(&s, r#"{"then":[{"incr":"p.n.k"}]}"#).args(["--busy-timeout-ms", "50"]).fails(4);
    drop(holder);
    assert!(before == contents(&s));
}

#[test]
fn whoever_may_not_gets_nothing() {
    let s = sandbox_with([("p.n.k", "hunter2"), ("q.n.k", "1")]);
    make_people(&s, &[]);
    for line in ["admin user add ann", "admin grant ann write q.*"] {
        s.run(line.split(' ')).env("PRONTO_PASS", PASSWORD).succeeds();
    }
    let token = s.run(["auth", "login", "ann"]).env("PRONTO_PASS", PASSWORD).succeeds().stdout();
    let ann = |input: &str| {
        txn(&s, input).env("PRONTO_SECURITY_LOCAL", "true").env("PRONTO_SESSION", token.trim_end())
    };
    for input in [
        r#"{"if":[{"k":"p.n.k","v":"hunter2"}],"then":[{"incr":"q.n.k"}]}"#,
        r#"{"then":[{"incr":"q.n.k"},{"get":"p.n.k"}]}"#,
        r#"{"then":[{"copy":"p.n.k","to":"q.n.x"}]}"#,
        r#"{"then":[{"del":"p.n.k"}]}"#,
        r#"{"if":[{"k":"q.n.k","absent":true}],"then":[{"get":"q.n.k"}],"else":[{"get":"p.n.k"}]}"#,
    ] {
        ann(input).fails(5).stdout_is("").stderr_has("ann may not");
    }
    ann(r#"{"then":[{"incr":"q.n.k"}]}"#).succeeds();
    s.run(["scan"]).prints("p.n.k=hunter2\nq.n.k=2\n");
}

#[test]
fn many_that_move_money_at_once_lose_none() {
    let s = sandbox_with([("p.n.a", "100"), ("p.n.b", "100")]);
    thread::scope(|scope| {
        for worker in 0..4 {
            let s = &s;
            scope.spawn(move || {
                let (from, to) = if worker % 2 == 0 { ("p.n.a", "p.n.b") } else { ("p.n.b", "p.n.a") };
                for _ in 0..10 {
                    let input =
                        format!(r#"{{"then":[{{"incr":"{from}","by":-1}},{{"incr":"{to}","by":1}}]}}"#);
                    txn(s, input).succeeds();
                    let seen = json_of(txn(s, r#"{"then":[{"get":"p.n.a"},{"get":"p.n.b"}]}"#));
                    let number = |at: usize| seen["then"][at]["v"].as_str().unwrap().parse::<i64>().unwrap();
                    assert_eq!(number(0) + number(1), 200, "{seen}");
                }
            });
        }
    });
    s.run(["scan", "p.n"]).prints("a=100\nb=100\n");
}

#[test]
fn an_array_is_no_transaction() {
    let told = sandbox().run(["txn"]).stdin(r#"[{"set":"p.n.k","v":"1"}]"#).fails(1).stdout_is("");
    told.stderr_has("one JSON object, and this is an array").stderr_has("{\"then\":[…]}");
}
