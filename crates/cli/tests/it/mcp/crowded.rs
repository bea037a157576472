//! Many calls at once, and large ones: what is heard meanwhile, and how much memory it takes.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Session, client, server};
use crate::common::{LockHolder, sandbox, sandbox_with};

/// More calls than are worked on at a time.
const MANY: u64 = 40;

fn cancel(session: &mut Session, id: u64) {
    let params = json!({"requestId": id});
    session
        .tell(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).to_string());
}

fn call(session: &mut Session, tool: &str, arguments: Value) -> u64 {
    session.send("tools/call", json!({"name": tool, "arguments": arguments}))
}

fn wait_for_lock(session: &mut Session) -> u64 {
    let lock = json!({"action": "acquire", "name": "deploy", "ttl": "1m", "wait": "1h"});
    call(session, "lock", lock)
}

#[test]
fn however_many_calls_wait_pings_and_cancellations_are_heard() {
    let s = sandbox();
    s.run(["lock", "acquire", "deploy", "--ttl", "10m"]).succeeds();
    let mut session = server(&s, &[]);
    let waiting: Vec<_> = (0..MANY).map(|_| wait_for_lock(&mut session)).collect();
    session.ask("ping", json!({}));
    for id in waiting {
        cancel(&mut session, id);
    }
    // Whoever is not worked on yet has its turn when those before have gone.
    session.does("set", json!({"key": "p.n.k", "value": "v"}));
    session.end();
}

#[test]
fn however_many_calls_wait_the_end_of_input_ends_them() {
    let s = sandbox();
    s.run(["lock", "acquire", "deploy", "--ttl", "10m"]).succeeds();
    let mut session = server(&s, &[]);
    for _ in 0..MANY {
        wait_for_lock(&mut session);
    }
    let begun = Instant::now();
    drop(session.to.take());
    for _ in 0..MANY {
        assert_eq!(session.hear()["result"]["isError"], true);
    }
    session.end();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_write_that_is_cancelled_before_it_begins_is_not_done() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut session = server(&s, &["--busy-timeout-ms", "600000"]);
    let holder = LockHolder::of(&s);
    let first = call(&mut session, "set", json!({"key": "p.n.first", "value": "v"}));
    session.ask("ping", json!({}));
    let value = "x".repeat(2 << 20);
    let before = session.peak_kilobytes();
    for n in 0..MANY {
        let id = call(&mut session, "set", json!({"key": format!("p.n.{n}"), "value": value}));
        cancel(&mut session, id);
    }
    session.ask("ping", json!({}));
    let after = session.peak_kilobytes();
    assert!(after < before + 128 * 1024, "{before} kB, then {after}");
    drop(holder);
    assert_eq!(session.hear()["id"], first);
    session.does("set", json!({"key": "p.n.last", "value": "v"}));
    s.run(["keys", "p.n"]).prints("first\nk\nlast\n");
    session.end();
}

#[test]
fn a_claim_that_nobody_heard_of_uses_up_no_try() {
    let s = sandbox();
    s.run(["queue", "push", "p.jobs", "work"]).succeeds();
    let mut session = server(&s, &["--busy-timeout-ms", "600000"]);
    for _ in 0..3 {
        let holder = LockHolder::of(&s);
        let id = call(&mut session, "queue", json!({"action": "claim", "queue": "p.jobs", "ttl": "10m"}));
        // Whether it has begun by then makes no difference to what is seen.
        std::thread::sleep(Duration::from_millis(50));
        cancel(&mut session, id);
        session.ask("ping", json!({}));
        drop(holder);
    }
    let claimed =
        session.does("queue", json!({"action": "claim", "queue": "p.jobs", "ttl": "10m", "wait": "10s"}));
    assert_eq!((&claimed["v"], &claimed["tries"]), (&json!("work"), &json!(1)), "{claimed}");
    session.end();
}

#[test]
fn calls_that_wait_take_a_bounded_room_and_others_are_refused() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut session = server(&s, &["--busy-timeout-ms", "600000"]);
    let holder = LockHolder::of(&s);
    let value = "x".repeat(4 << 20);
    let ids: Vec<_> = (0..10)
        .map(|n| call(&mut session, "set", json!({"key": format!("p.n.{n}"), "value": value})))
        .collect();
    for id in &ids[7..] {
        let refused = session.hear();
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(id), &json!(-32000)), "{refused}");
    }
    drop(holder);
    for id in &ids[..7] {
        assert_eq!(session.hear()["id"], *id);
    }
    session.does("set", json!({"key": "p.n.last", "value": value}));
    s.run(["keys", "p.n", "--count"]).prints("9\n");
    session.end();
}

/// The fastest of many is fast on a busy machine, too, unless something pauses in each of them.
#[test]
fn frames_that_come_together_are_worked_on_at_once() {
    let s = sandbox_with([("p.n.k", "1")]);
    let call = json!({"name": "get", "arguments": {"key": "p.n.k"}});
    let frames = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client("2025-06-18")}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": call}),
    ];
    let input: String = frames.iter().map(|frame| format!("{frame}\n")).collect();
    let conversation = || {
        let begun = Instant::now();
        let answers = s.run(["mcp"]).stdin(&*input).succeeds().stdout().lines().count();
        assert_eq!(answers, 3);
        begun.elapsed()
    };
    let fastest = (0..20).map(|_| conversation()).min().unwrap();
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
}

/// Whatever is in a frame, memory is a few times as long as it.
#[test]
fn a_frame_takes_a_few_times_its_length() {
    const LENGTH: usize = 4 << 20;
    let s = sandbox_with([("p.n.k", "1")]);
    let zeros = format!("[{}0]", "0,".repeat(LENGTH / 2));
    let text = "x".repeat(LENGTH);
    for (method, params) in [
        ("ping", format!("{{\"x\":{zeros}}}")),
        ("no/such", zeros.clone()),
        (
            "initialize",
            format!(
                "{{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{{\"experimental\":{{\"x\":{{\"x\":{zeros}}}}}}},\"clientInfo\":{{\"name\":\"x\",\"version\":\"1\"}}}}"
            ),
        ),
        ("tools/list", format!("{{\"_meta\":{{\"x\":{zeros}}}}}")),
        ("tools/call", format!("{{\"name\":\"set\",\"arguments\":{{\"key\":\"p.n.k\",\"value\":{zeros}}}}}")),
        ("tools/call", format!("{{\"name\":\"get\",\"arguments\":{{\"key\":{zeros}}}}}")),
        (
            "tools/call",
            format!("{{\"name\":\"set\",\"arguments\":{{\"key\":\"p.n.k\",\"value\":\"{text}\"}}}}"),
        ),
    ] {
        let mut session = Session::silent(s.run(["mcp"]));
        if method != "initialize" {
            session.ask("initialize", client("2025-06-18"));
        }
        let before = session.peak_kilobytes();
        let frame = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"{method}\",\"params\":{params}}}\n");
        session.to.as_mut().unwrap().write_all(frame.as_bytes()).unwrap();
        assert_eq!(session.hear()["id"], 7, "{method}");
        let took = (session.peak_kilobytes() - before) * 1024 / LENGTH as u64;
        assert!(took < 10, "{method} of {}: {took} times its length", &params[..60.min(params.len())]);
        session.end();
    }
}

#[test]
fn frames_have_a_limit_of_their_own() {
    let s = sandbox();
    let mut session = server(&s, &[]);
    let value = "x".repeat(15 << 20);
    session.does("set", json!({"key": "p.n.k", "value": value}));
    let too_long = json!({"name": "set", "arguments": {"key": "p.n.k", "value": "x".repeat(17 << 20)}});
    let id = session.send("tools/call", too_long);
    let refused = session.hear();
    assert!(
        refused["id"].is_null() && refused["error"]["message"] == "a frame may have 16777216 bytes",
        "{id} {refused}"
    );
    s.run(["get", "p.n.k"]).prints(value + "\n");
    session.end();
}
