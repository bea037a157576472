//! Subscriptions: who is told of what, from when on, and what becomes of it when the database is not there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::Sandbox;
use serde_json::{Value, json};

use super::{Session, server, stateless};
use crate::common::{PASSWORD, sandbox, sandbox_with, wait_until};

fn subscribe(session: &mut Session, uri: &str) {
    session.ask("resources/subscribe", json!({"uri": uri}));
}

/// Hears until each of these was named, and nothing else.
#[track_caller]
fn hears(session: &mut Session, uris: &[&str]) {
    let mut heard = BTreeSet::new();
    while heard.len() < uris.len() {
        let uri = session.updated();
        assert!(uris.contains(&uri.as_str()), "{uri} is none of {uris:?}");
        heard.insert(uri);
    }
}

/// Subscribes as clients do that have no session: the id, once that is acknowledged for these.
#[track_caller]
fn listen(session: &mut Session, uris: &[&str]) -> u64 {
    let id = ask_to_listen(session, uris);
    let acknowledged = session.notice();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged", "{acknowledged}");
    assert_eq!(acknowledged["params"]["notifications"]["resourceSubscriptions"], json!(uris));
    id
}

fn ask_to_listen(session: &mut Session, uris: &[&str]) -> u64 {
    let params = json!({"notifications": {"resourceSubscriptions": uris}, "_meta": stateless()});
    session.send("subscriptions/listen", params)
}

fn without_session(s: &Sandbox) -> Session {
    Session::silent(s.run(["mcp"]))
}

#[test]
fn whoever_has_subscribed_is_told_of_changes_there_and_of_no_others() {
    let s = sandbox_with([("shop.site.title", "Pears")]);
    let mut session = server(&s, &[]);
    let [entry, space, part] =
        ["prontodb:///shop/site/title", "prontodb:///shop/jobs", "prontodb:///shop/site?prefix=t%2F"];
    for uri in [entry, space, part] {
        subscribe(&mut session, uri);
    }
    for other in ["shop.site.titles", "shop.site.title__de", "shop.job.x", "other.jobs.x"] {
        s.run(["set", other, "1"]).prints("");
    }
    s.run(["set", "shop.site.title", "Plums"]).prints("");
    hears(&mut session, &[entry]);
    s.run(["set", "shop.jobs.1", "x"]).prints("");
    hears(&mut session, &[space]);
    s.run(["del", "shop.jobs.1"]).succeeds();
    hears(&mut session, &[space]);
    s.run(["set", "shop.site.t/1", "x"]).prints("");
    hears(&mut session, &[part]);
    let read = session.ask("resources/read", json!({"uri": part}));
    assert_eq!(read["contents"][0]["text"], "{\"entries\":[{\"k\":\"t/1\"}],\"next\":null}");
    // All of a namespace at once is a change of each entry.
    s.run(["admin", "drop-namespace", "shop.site", "--force"]).succeeds();
    hears(&mut session, &[entry, part]);
    // What an agent writes itself is told like anything else.
    session.does("set", json!({"key": "shop.site.title", "value": "Quinces"}));
    hears(&mut session, &[entry]);
    session.end();
}

#[test]
fn changes_that_nobody_has_read_yet_are_told_once() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut session = server(&s, &["-p", "p"]);
    subscribe(&mut session, "prontodb:///p/n");
    let stream: String = (0..5000).map(|n| format!("meta:ns=p.n;k{n}=v;\n")).collect();
    s.run(["stream"]).env("PRONTO_SECURITY", "false").stdin(stream).succeeds();
    s.run(["set", "p.n.k", "2"]).prints("");
    session.ask("resources/subscribe", json!({"uri": "prontodb:///p/other"}));
    s.run(["set", "p.other.k", "1"]).prints("");
    let mut told = 0;
    while session.updated() != "prontodb:///p/other" {
        told += 1;
    }
    assert!((1..50).contains(&told), "5000 changes were told {told} times");
    session.end();
}

#[test]
fn what_expires_is_told_though_nobody_writes() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "60"]).succeeds();
    let mut session = server(&s, &[]);
    subscribe(&mut session, "prontodb:///p/c/k");
    s.run(["set", "p.c.k", "1", "--ttl", "500ms"]).prints("");
    hears(&mut session, &["prontodb:///p/c/k"]);
    hears(&mut session, &["prontodb:///p/c/k"]);
    assert_eq!(session.error("resources/read", json!({"uri": "prontodb:///p/c/k"})).0, -32002);
    session.end();
}

#[test]
fn without_subscriptions_nothing_is_told_and_the_database_can_be_moved() {
    let s = sandbox();
    s.run(["--database", "work", "set", "p.n.k", "1"]).prints("");
    let mut session = server(&s, &["--database", "work"]);
    for uri in ["prontodb:///p/n", "prontodb:///p/n/k"] {
        subscribe(&mut session, uri);
        subscribe(&mut session, uri);
    }
    session.ask("resources/unsubscribe", json!({"uri": "prontodb:///p/n"}));
    session.ask("resources/unsubscribe", json!({"uri": "prontodb:///never/was"}));
    s.run(["--database", "work", "set", "p.n.k", "2"]).prints("");
    hears(&mut session, &["prontodb:///p/n/k"]);
    session.ask("resources/unsubscribe", json!({"uri": "prontodb:///p/n/k"}));
    wait_until("the database can be renamed", || {
        s.run(["admin", "rename-db", "work", "done"]).ends().code() == Some(0)
    });
    s.run(["--database", "done", "set", "p.n.k", "3"]).prints("");
    session.ask("ping", json!({}));
    assert!(session.unasked.is_empty(), "{:?}", session.unasked);
    session.end();
}

#[test]
fn a_database_that_was_restored_may_have_changed_everywhere() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["backup", "--output", "old.tar.gz"]).succeeds();
    s.run(["set", "p.n.k", "2"]).prints("");
    let mut session = server(&s, &[]);
    subscribe(&mut session, "prontodb:///p/n/k");
    s.run(["restore", "old.tar.gz"]).succeeds();
    hears(&mut session, &["prontodb:///p/n/k"]);
    let read = session.ask("resources/read", json!({"uri": "prontodb:///p/n/k"}));
    assert_eq!(read["contents"][0]["text"], "1");
    s.run(["set", "p.n.k", "3"]).prints("");
    hears(&mut session, &["prontodb:///p/n/k"]);
    session.end();
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let s = sandbox();
    let refused = |session: &mut Session, uri: &str, code: i64, why: &str| {
        let (found, message) = session.error("resources/subscribe", json!({"uri": uri}));
        assert!(found == code && message.contains(why), "{uri}: {found} {message}");
    };
    let mut reading = server(&s, &["--read-only"]);
    refused(&mut reading, "prontodb:///p/n", -32002, "no database yet");
    s.run(["set", "p.n.k", "1"]).prints("");
    subscribe(&mut reading, "prontodb:///p/n");
    s.run(["set", "p.n.k", "2"]).prints("");
    hears(&mut reading, &["prontodb:///p/n"]);
    reading.end();

    let mut scoped = server(&s, &["-p", "p", "-n", "n"]);
    refused(&mut scoped, "prontodb:///p/other", -32602, "outside of the namespace p.n");
    refused(&mut scoped, "prontodb:///p/n/k/l", -32602, "PROJECT/NAMESPACE/KEY");
    refused(&mut scoped, "file:///etc/passwd", -32602, "PROJECT/NAMESPACE/KEY");
    for n in 0..1000 {
        subscribe(&mut scoped, &format!("prontodb:///p/n/k{n}"));
    }
    refused(&mut scoped, "prontodb:///p/n/k1000", -32602, "1000 URIs");
    subscribe(&mut scoped, "prontodb:///p/n/k999");
    scoped.end();
}

#[test]
fn a_database_that_is_not_there_is_made_to_be_watched() {
    let s = sandbox();
    let mut session = server(&s, &[]);
    subscribe(&mut session, "prontodb:///p/n/k");
    s.run(["set", "p.n.k", "1"]).prints("");
    hears(&mut session, &["prontodb:///p/n/k"]);
    session.end();
}

#[test]
fn users_hear_of_what_they_may_read_and_no_longer_than_that() {
    let s = sandbox_with([("p.n.k", "1"), ("q.n.k", "2")]);
    s.run(["admin", "user", "add", "ann"]).env("PRONTO_PASS", PASSWORD).succeeds();
    s.run(["admin", "grant", "ann", "read", "p.*"]).succeeds();
    s.run(["admin", "grant", "ann", "read", "r.*"]).succeeds();
    let token = s.run(["auth", "login", "ann"]).env("PRONTO_PASS", PASSWORD).succeeds().stdout();
    let call = s.run(["mcp"]).env("PRONTO_SECURITY_LOCAL", "true").env("PRONTO_SESSION", token.trim());
    let mut session = Session::begin(call);
    let (code, why) = session.error("resources/subscribe", json!({"uri": "prontodb:///q/n"}));
    assert!(code == -32602 && why.contains("ann may not"), "{code} {why}");
    subscribe(&mut session, "prontodb:///p/n");
    subscribe(&mut session, "prontodb:///r/n");
    s.run(["set", "p.n.k", "2"]).prints("");
    hears(&mut session, &["prontodb:///p/n"]);
    s.run(["admin", "revoke", "ann", "p.*"]).succeeds();
    s.run(["set", "p.n.k", "3"]).prints("");
    s.run(["set", "r.n.k", "1"]).prints("");
    hears(&mut session, &["prontodb:///r/n"]);
    session.end();
}

#[test]
fn clients_without_a_session_listen_in_calls_that_stay_open() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut session = without_session(&s);
    let [entry, space] = ["prontodb:///p/n/k", "prontodb:///p/jobs"];
    // What changed between the acknowledgement and the beginning of the watch would be missed.
    let first = listen(&mut session, &[entry]);
    hears(&mut session, &[entry]);
    let second = listen(&mut session, &[space, entry]);
    hears(&mut session, &[space, entry]);
    s.run(["set", "p.jobs.1", "x"]).prints("");
    let notice = session.notice();
    assert_eq!(notice["params"]["uri"], space, "{notice}");
    assert_eq!(notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], second, "{notice}");
    session.tell(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": second}})
            .to_string(),
    );
    // Calls are answered beside it.
    let got = session
        .ask("tools/call", json!({"name": "get", "arguments": {"key": "p.n.k"}, "_meta": stateless()}));
    assert!(got.to_string().contains("\\\"v\\\":\\\"1\\\""), "{got}");
    s.run(["set", "p.jobs.2", "x"]).prints("");
    s.run(["set", "p.n.k", "2"]).prints("");
    let notice = session.notice();
    assert_eq!(notice["params"]["uri"], entry, "{notice}");
    assert_eq!(notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], first, "{notice}");
    // The end of input ends it with its result.
    drop(session.to.take());
    assert_eq!(session.hear()["id"], first);
    session.end();
}

#[test]
fn only_so_many_listen_at_a_time_and_only_to_what_there_is() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut session = without_session(&s);
    ask_to_listen(&mut session, &["prontodb:///p/n", "file:///etc/passwd"]);
    let acknowledged = session.notice();
    let accepted = &acknowledged["params"]["notifications"]["resourceSubscriptions"];
    assert_eq!(*accepted, json!(["prontodb:///p/n"]), "{acknowledged}");
    hears(&mut session, &["prontodb:///p/n"]);
    for _ in 1..8 {
        listen(&mut session, &["prontodb:///p/n"]);
        hears(&mut session, &["prontodb:///p/n"]);
    }
    let id = listen(&mut session, &["prontodb:///p/n"]);
    let refused = session.hear();
    assert!(refused["id"] == id && refused.to_string().contains("8 subscriptions"), "{refused}");
    session.ask("tools/list", json!({"_meta": stateless()}));
    drop(session.to.take());
    while let Some(Ok(line)) = session.from.next() {
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{answer}");
    }
    session.end();
}

#[test]
fn a_client_that_does_not_read_what_it_is_told_takes_no_memory_and_can_end() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut session = server(&s, &[]);
    let long = "x".repeat(450);
    for n in 0..200 {
        subscribe(&mut session, &format!("prontodb:///p/n?prefix={long}{n}"));
        subscribe(&mut session, &format!("prontodb:///p/n/{long}{n}"));
    }
    let before = session.peak_kilobytes();
    for round in 0..20 {
        let stream: String = (0..200).map(|n| format!("meta:ns=p.n;{long}{n}={round};\n")).collect();
        s.run(["stream"]).env("PRONTO_SECURITY", "false").stdin(stream).succeeds();
    }
    let after = session.peak_kilobytes();
    assert!(after < before + 4096, "{before} kB, then {after}");
    let begun = Instant::now();
    drop(session.to.take());
    session.running.take().unwrap().wait().succeeds().stderr_is("");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
