//! `mcp`: frames in, frames out; what an agent may do, and that nothing it sends does harm.

mod crowded;
mod memory;
mod subscriptions;

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{BufRead as _, BufReader, Lines, PipeReader, PipeWriter, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::{Call, Running, Sandbox};
use serde_json::{Value, json};

use crate::common::{
    IDENTITY, LockHolder, PASSWORD, assert_whole, database_file, identity_file, json_of, sandbox,
    sandbox_with, silent_pipe, wait_until,
};

/// A server and its client.
struct Session {
    to: Option<PipeWriter>,
    from: Lines<BufReader<PipeReader>>,
    running: Option<Running>,
    id: u64,
    /// What it was told without asking, while it waited for an answer.
    unasked: VecDeque<Value>,
}

impl Session {
    /// Starts a server and greets it.
    fn begin(call: Call) -> Self {
        let mut session = Self::silent(call);
        let greeting = session.ask("initialize", client("2025-06-18"));
        assert_eq!(greeting["serverInfo"]["name"], "prontodb", "{greeting}");
        session.tell("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
        session
    }

    /// Starts a server.
    fn silent(call: Call) -> Self {
        let (stdin, to) = silent_pipe();
        let (from, stdout) = silent_pipe();
        let running = call.stdin_from(stdin).stdout_to(stdout).spawn();
        Self {
            to: Some(to),
            from: BufReader::new(from).lines(),
            running: Some(running),
            id: 0,
            unasked: VecDeque::new(),
        }
    }

    fn tell(&mut self, frame: &str) {
        let to = self.to.as_mut().unwrap();
        to.write_all(format!("{frame}\n").as_bytes()).unwrap();
    }

    /// The next frame.
    #[track_caller]
    fn hear(&mut self) -> Value {
        let line = self.from.next().expect("the server has ended").unwrap();
        let frame: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert_eq!(frame["jsonrpc"], "2.0", "{line}");
        frame
    }

    /// What it is told without asking.
    #[track_caller]
    fn notice(&mut self) -> Value {
        match self.unasked.pop_front() {
            Some(frame) => frame,
            None => self.hear(),
        }
    }

    /// The URI of what is said to have changed.
    #[track_caller]
    fn updated(&mut self) -> String {
        let notice = self.notice();
        assert_eq!(notice["method"], "notifications/resources/updated", "{notice}");
        notice["params"]["uri"].as_str().unwrap().to_owned()
    }

    fn send(&mut self, method: &str, params: Value) -> u64 {
        self.id += 1;
        self.tell(&json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}).to_string());
        self.id
    }

    /// Asks, and returns the whole answer.
    #[track_caller]
    fn answer(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        loop {
            let frame = self.hear();
            if frame["id"].is_null() && frame["method"].is_string() {
                self.unasked.push_back(frame);
                continue;
            }
            assert_eq!(frame["id"], id, "{frame}");
            return frame;
        }
    }

    #[track_caller]
    fn ask(&mut self, method: &str, params: Value) -> Value {
        let frame = self.answer(method, params);
        assert!(frame["error"].is_null(), "{frame}");
        frame["result"].clone()
    }

    /// Calls a tool: whether it failed, and the text it answers.
    #[track_caller]
    fn call(&mut self, tool: &str, arguments: Value) -> (bool, String) {
        let result = self.ask("tools/call", json!({"name": tool, "arguments": arguments}));
        let [content] = result["content"].as_array().unwrap().as_slice() else { panic!("{result}") };
        (result["isError"] == true, content["text"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    fn does(&mut self, tool: &str, arguments: Value) -> Value {
        let (failed, text) = self.call(tool, arguments.clone());
        assert!(!failed, "{tool} {arguments}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{tool} {arguments}: {text}"))
    }

    #[track_caller]
    fn refuses(&mut self, tool: &str, arguments: Value, why: &str) {
        let (failed, text) = self.call(tool, arguments.clone());
        assert!(failed && text.contains(why), "{tool} {arguments}: expected {why}, found {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[track_caller]
    fn error(&mut self, method: &str, params: Value) -> (i64, String) {
        let error = self.answer(method, params)["error"].clone();
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    /// The most memory that the server had so far.
    fn peak_kilobytes(&self) -> u64 {
        let process = self.running.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        peak.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Ends the input, and expects that the server ends with exit code 0 and has said nothing else.
    #[track_caller]
    fn end(mut self) {
        drop(self.to.take());
        self.running.take().unwrap().wait().succeeds().stderr_is("");
        assert!(self.from.next().is_none());
    }
}

fn client(version: &str) -> Value {
    json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}})
}

fn server(s: &Sandbox, flags: &[&str]) -> Session {
    Session::begin(s.run([&["mcp"], flags].concat()))
}

/// What a request of the protocol without sessions carries.
fn stateless() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

#[test]
fn the_list_of_tools_is_short() {
    let s = sandbox();
    for flags in [&[][..], &["-p", "shop"], &["-p", "shop", "-n", "site"]] {
        let mut with_session = server(&s, flags);
        let legacy = with_session.answer("tools/list", json!({}));
        with_session.end();
        let mut without = Session::silent(s.run([&["mcp"], flags].concat()));
        let modern = without.answer("tools/list", json!({"_meta": stateless()}));
        without.end();
        for answer in [legacy, modern] {
            let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
            assert!(
                tools.len() <= 8 && answer.to_string().len() < 3000,
                "{} {answer}",
                answer.to_string().len()
            );
            assert!(tools.iter().all(|tool| tool["inputSchema"]["type"] == "object"), "{answer}");
        }
    }
    let mut reading = server(&s, &["--read-only"]);
    let tools = reading.ask("tools/list", json!({}));
    let names: Vec<_> = tools["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["get", "list"]);
    reading.end();
}

#[test]
fn tools_do_what_commands_do() {
    let s = sandbox_with([("shop.site.title", "Pears")]);
    let mut session = server(&s, &[]);
    let title = session.does("get", json!({"key": "shop.site.title"}));
    let version = title["version"].as_u64().unwrap();
    assert_eq!(title, json!({"k": "shop.site.title", "v": "Pears", "version": version}));
    let set = session.does("set", json!({"key": "shop.site.title", "value": "Plums", "if_version": version}));
    s.run(["get", "shop.site.title"]).prints("Plums\n");
    session.refuses(
        "set",
        json!({"key": "shop.site.title", "value": "x", "if_version": version}),
        "the version that it has now",
    );
    session.refuses("set", json!({"key": "shop.site.title", "value": "x", "if_version": 0}), "conflict");
    assert!(set["version"].as_u64().unwrap() > version);
    session.does("set", json!({"key": "shop.site.limits", "value": {"b": 1, "a": [true, "x"]}}));
    s.run(["get", "shop.site.limits"]).prints("{\"a\":[true,\"x\"],\"b\":1}\n");
    session.does("set", json!({"key": "shop.site.bytes", "value": "/wD+", "base64": true}));
    s.run(["get", "shop.site.bytes", "--raw"]).prints(b"\xff\x00\xfe");
    assert_eq!(session.does("get", json!({"key": "shop.site.bytes"}))["v64"], "/wD+");
    assert_eq!(session.does("update", json!({"key": "shop.count.visits", "add": 41}))["v"], 41);
    session.does("update", json!({"key": "shop.count.log", "append": "one;"}));
    let many =
        session.does("get", json!({"keys": ["shop.count.visits", "shop.count.none", "shop.count.log"]}));
    let values: Vec<_> = many["entries"].as_array().unwrap().iter().map(|entry| entry["v"].clone()).collect();
    assert_eq!(values, [json!("41"), Value::Null, json!("one;")]);
    assert_eq!(session.does("delete", json!({"key": "shop.count.log"}))["deleted"], true);
    assert_eq!(session.does("delete", json!({"key": "shop.count.log"}))["deleted"], false);
    s.run(["create-cache", "shop.cache", "90"]).succeeds();
    session.does("set", json!({"key": "shop.cache.k", "value": "v", "ttl": "60s"}));
    session.does("set", json!({"key": "shop.cache.k", "value": "v", "ttl": 60}));
    assert!(session.does("get", json!({"key": "shop.cache.k"}))["expires"].is_string());
    session.refuses("set", json!({"key": "shop.site.title", "value": "v", "ttl": "60s"}), "leave out ttl");
    let namespaces = session.does("list", json!({"show": "namespaces"}));
    let names: Vec<_> =
        namespaces["entries"].as_array().unwrap().iter().map(|entry| entry["namespace"].clone()).collect();
    assert_eq!(names, ["shop.cache", "shop.count", "shop.site"]);
    assert_eq!(namespaces["entries"][0]["ttl"], "90s");
    let values = session.does("list", json!({"prefix": "shop.site.t", "show": "values"}));
    assert_eq!(values, json!({"entries": [{"k": "shop.site.title", "v": "Plums"}], "next": null}));
    let meta = session.does("list", json!({"prefix": "shop.site", "show": "meta", "glob": "t*"}));
    assert_eq!(meta["entries"][0]["writer"], "tester");
    session.end();
}

#[test]
fn a_transaction_is_all_or_nothing() {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b", "2")]);
    let mut session = server(&s, &[]);
    let version = session.does("get", json!({"key": "p.n.a"}))["version"].clone();
    let ops = json!([
        {"op": "check", "key": "p.n.a", "if_version": version},
        {"op": "check", "key": "p.n.none", "if_version": 0},
        {"op": "set", "key": "p.n.c", "value": "3", "if_version": 0},
        {"op": "add", "key": "p.n.b", "by": 40},
        {"op": "append", "key": "p.n.a", "value": "0"},
        {"op": "delete", "key": "q.n.none"},
    ]);
    let done = session.does("txn", json!({"ops": ops}));
    assert_eq!(done["results"][3]["v"], 42);
    assert_eq!(done["results"][5]["deleted"], false);
    s.run(["scan", "p.n"]).prints("a=10\nb=42\nc=3\n");
    session.refuses("txn", json!({"ops": ops}), "p.n.a: nothing was written");
    let wrong = json!({"ops": [{"op": "set", "key": "p.n.d", "value": "4"}, {"op": "add", "key": "p.n.d", "by": "x"}]});
    session.refuses("txn", wrong, "arguments");
    let wrong = json!({"ops": [{"op": "set", "key": "p.n.d", "value": "x"}, {"op": "add", "key": "p.n.d"}]});
    session.refuses("txn", wrong, "no 64-bit integer");
    let wrong = json!({"ops": [{"op": "set", "key": "p.n.d", "value": "x"}, {"op": "delete", "key": "p.n.d", "value": "x"}]});
    session.refuses("txn", wrong, "value means nothing");
    session.refuses("txn", json!({"ops": []}), "ops is empty");
    s.run(["scan", "p.n"]).prints("a=10\nb=42\nc=3\n");
    session.end();
}

#[test]
fn locks_and_queues_are_those_of_the_commands() {
    let s = sandbox();
    let mut session = server(&s, &[]);
    let lock = session.does("lock", json!({"action": "acquire", "name": "deploy", "ttl": "10m"}));
    let fence = lock["fence"].clone();
    s.run(["lock", "acquire", "deploy", "--ttl", "1m"]).fails(3);
    session.refuses("lock", json!({"action": "acquire", "name": "deploy", "ttl": "10m"}), "held by tester");
    session.does("set", json!({"key": "p.n.k", "value": "1", "fence": fence}));
    session.does("lock", json!({"action": "renew", "name": "deploy", "fence": fence, "ttl": "20m"}));
    assert_eq!(session.does("lock", json!({"action": "list"}))["entries"][0]["name"], "deploy");
    session.does("lock", json!({"action": "release", "name": "deploy", "fence": fence}));
    session.refuses("set", json!({"key": "p.n.k", "value": "2", "fence": fence}), "lease of the token");
    session.does("set", json!({"key": "p.n.k", "value": "3"}));
    session.refuses("lock", json!({"action": "acquire", "name": "x"}), "ttl is missing");
    session.refuses("lock", json!({"action": "steal", "name": "x"}), "unknown variant");

    let id =
        session.does("queue", json!({"action": "push", "queue": "p.jobs", "value": "work"}))["id"].clone();
    session.does("queue", json!({"action": "push", "queue": "p.jobs", "value": {"n": 1}, "priority": 200}));
    let claimed = session.does("queue", json!({"action": "claim", "queue": "p.jobs", "ttl": "5m"}));
    assert_eq!(claimed["v"], "{\"n\":1}");
    session.does(
        "queue",
        json!({"action": "extend", "queue": "p.jobs", "fence": claimed["fence"], "ttl": "6m"}),
    );
    session.does("queue", json!({"action": "ack", "queue": "p.jobs", "fence": claimed["fence"]}));
    let claimed = session.does("queue", json!({"action": "claim", "queue": "p.jobs", "ttl": "5m"}));
    assert_eq!(claimed["id"], id);
    let handoff = json!({"action": "handoff", "queue": "p.jobs", "fence": claimed["fence"], "to": "tester", "note": "yours"});
    session.does("queue", handoff);
    let claimed = session.does("queue", json!({"action": "claim", "queue": "p.jobs", "ttl": "5m"}));
    assert_eq!((&claimed["from"], &claimed["note"]), (&json!("tester"), &json!("yours")));
    session.does(
        "queue",
        json!({"action": "nack", "queue": "p.jobs", "fence": claimed["fence"], "delay": "1h"}),
    );
    session.refuses(
        "queue",
        json!({"action": "claim", "queue": "p.jobs", "ttl": "5m"}),
        "nothing to hand out",
    );
    assert_eq!(
        session.does("queue", json!({"action": "list", "queue": "p.jobs"}))["entries"][0]["place"],
        "delayed"
    );
    session.refuses("queue", json!({"action": "claim", "queue": "jobs", "ttl": "5m"}), "project.namespace");
    session.end();
}

#[test]
fn whoever_waits_gets_the_lock_and_the_item_when_they_are_free() {
    let s = sandbox();
    let token = s.run(["lock", "acquire", "deploy", "--ttl", "10m"]).succeeds().stdout();
    let mut session = server(&s, &[]);
    let call = |tool: &str, arguments: Value| json!({"name": tool, "arguments": arguments});
    let lock = json!({"action": "acquire", "name": "deploy", "ttl": "10m", "wait": "20s"});
    let waiting = session.send("tools/call", call("lock", lock.clone()));
    let claim = json!({"action": "claim", "queue": "p.jobs", "ttl": "10m", "wait": "20s"});
    let hungry = session.send("tools/call", call("queue", claim));
    let again = json!({"jsonrpc": "2.0", "id": waiting, "method": "ping"}).to_string();
    session.tell(&again);
    let frame = session.hear();
    assert!(frame["id"].is_null() && frame["error"]["code"] == -32600, "{frame}");
    // A call that waits keeps no other from being answered.
    assert_eq!(session.does("set", json!({"key": "p.n.k", "value": "v"}))["k"], "p.n.k");
    s.run(["lock", "release", "deploy", "--fence", token.trim()]).succeeds();
    let frame = session.hear();
    assert_eq!((&frame["id"], &frame["result"]["isError"]), (&json!(waiting), &json!(false)), "{frame}");
    s.run(["queue", "push", "p.jobs", "work"]).succeeds();
    let frame = session.hear();
    assert_eq!((&frame["id"], &frame["result"]["isError"]), (&json!(hungry), &json!(false)), "{frame}");
    // Whoever does not wait any more gets nothing, and has no answer.
    let cancelled = session.send("tools/call", call("lock", lock));
    session.tell(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": cancelled}})
            .to_string(),
    );
    session.refuses(
        "lock",
        json!({"action": "acquire", "name": "deploy", "ttl": "1m", "wait": "20ms"}),
        "held by tester",
    );
    session.end();
}

#[test]
fn a_scope_is_all_that_there_is() {
    let s = sandbox_with([
        ("shop.site.a", "1"),
        ("shop.jobs.b", "2"),
        ("other.site.c", "3"),
        ("shopping.site.d", "4"),
    ]);
    let mut project = server(&s, &["-p", "shop"]);
    let keys = project.does("list", json!({}));
    assert_eq!(keys["entries"], json!([{"k": "jobs.b"}, {"k": "site.a"}]));
    assert_eq!(project.does("list", json!({"prefix": "site"}))["entries"], json!([{"k": "site.a"}]));
    assert_eq!(project.does("list", json!({"after": "jobs.b"}))["entries"], json!([{"k": "site.a"}]));
    assert_eq!(project.does("get", json!({"key": "site.a"}))["v"], "1");
    assert_eq!(project.does("get", json!({"key": "shop.site.a"}))["k"], "site.a");
    for key in ["other.site.c", "shopping.site.d", "a.b.c.d", "", ".", "..a", "site."] {
        project.refuses("get", json!({"key": key}), "invalid");
        project.refuses("set", json!({"key": key, "value": "x"}), "invalid");
        project.refuses("txn", json!({"ops": [{"op": "delete", "key": key}]}), "invalid");
    }
    project.refuses("list", json!({"prefix": "site.a.b"}), "invalid");
    project.refuses("list", json!({"after": "other.site.a"}), "outside");
    project.does("set", json!({"key": "k", "value": "v"}));
    s.run(["get", "shop.default.k"]).prints("v\n");
    project.does("queue", json!({"action": "push", "queue": "jobs2", "value": "w"}));
    project.refuses("queue", json!({"action": "push", "queue": "other.jobs", "value": "w"}), "invalid");
    let names = project.does("list", json!({"show": "namespaces"}));
    assert!(!names.to_string().contains("other") && names.to_string().contains("jobs2"), "{names}");
    let lock = project.does("lock", json!({"action": "acquire", "name": "deploy", "ttl": "1m"}));
    assert_eq!(lock["name"], "deploy");
    s.run(["lock", "list"]).succeeds().stdout_has("shop.deploy\t");
    project.refuses("lock", json!({"action": "acquire", "name": "a.b", "ttl": "1m"}), "hold no");
    for uri in ["prontodb:///other/site", "prontodb:///other/site/c", "prontodb:///shopping/site/d"] {
        let (code, why) = project.error("resources/read", json!({"uri": uri}));
        assert!(code == -32602 && why.contains("outside of the project shop"), "{uri}: {why}");
    }
    let listed = project.ask("resources/list", json!({})).to_string();
    assert!(listed.contains("prontodb:///shop/site") && !listed.contains("other"), "{listed}");
    project.end();

    let mut namespace = server(&s, &["-p", "shop", "-n", "site"]);
    assert_eq!(namespace.does("list", json!({}))["entries"], json!([{"k": "a"}]));
    assert_eq!(namespace.does("get", json!({"key": "a"}))["v"], "1");
    for key in ["jobs.b", "shop.jobs.b", "other.site.c"] {
        namespace.refuses("get", json!({"key": key}), "delimiter");
    }
    assert_eq!(namespace.does("lock", json!({"action": "list"}))["entries"], json!([]));
    namespace.does("lock", json!({"action": "acquire", "name": "deploy", "ttl": "1m"}));
    s.run(["lock", "list"]).succeeds().stdout_has("shop.site.deploy\t");
    namespace.does("queue", json!({"action": "push", "value": "w"}));
    namespace.refuses(
        "queue",
        json!({"action": "push", "queue": "jobs", "value": "w"}),
        "leave out its name",
    );
    let (_, why) = namespace.error("resources/read", json!({"uri": "prontodb:///shop/jobs/b"}));
    assert!(why.contains("outside"), "{why}");
    namespace.end();
    s.run(["get", "other.site.c"]).prints("3\n");
}

#[test]
fn a_scope_has_one_lock_of_a_name_however_it_is_written() {
    let s = sandbox();
    let deploy = || json!({"action": "acquire", "name": "deploy", "ttl": "1m"});
    let mut dots = server(&s, &["-p", "shop", "-n", "site"]);
    let mut bars = server(&s, &["-p", "shop", "-n", "site", "--ns-delim", "|"]);
    dots.does("lock", deploy());
    bars.refuses("lock", deploy(), "held by tester");
    assert_eq!(bars.does("lock", json!({"action": "list"}))["entries"][0]["name"], "deploy");
    s.run(["lock", "list"]).succeeds().stdout_has("shop.site.deploy\t");
    bars.refuses("lock", json!({"action": "acquire", "name": "a.b", "ttl": "1m"}), "hold no");
    dots.end();
    bars.end();
    // The names of another scope may hold what stands between parts.
    let mut other = server(&s, &["-p", "shop.site", "--ns-delim", "|"]);
    other.does("lock", deploy());
    assert_eq!(other.does("lock", json!({"action": "list"}))["entries"].as_array().unwrap().len(), 1);
    other.end();
}

#[test]
fn arguments_that_mean_nothing_to_an_action_are_refused() {
    let s = sandbox();
    let mut session = server(&s, &[]);
    for (tool, arguments, what) in [
        ("lock", json!({"action": "acquire", "name": "x", "ttl": 9, "after": "y"}), "after"),
        ("lock", json!({"action": "renew", "name": "x", "ttl": 9, "fence": 1, "wait": 1}), "wait"),
        ("lock", json!({"action": "release", "name": "x", "fence": 1, "ttl": 9}), "ttl"),
        ("lock", json!({"action": "list", "name": "x"}), "name"),
        ("queue", json!({"action": "push", "queue": "p.q", "value": "x", "ttl": "5m"}), "ttl"),
        ("queue", json!({"action": "push", "queue": "p.q", "value": "x", "to": "ann"}), "to"),
        ("queue", json!({"action": "claim", "queue": "p.q", "ttl": "5m", "priority": 7}), "priority"),
        ("queue", json!({"action": "ack", "queue": "p.q", "fence": 1, "note": "x"}), "note"),
        ("queue", json!({"action": "nack", "queue": "p.q", "fence": 1, "ttl": 9}), "ttl"),
        ("queue", json!({"action": "extend", "queue": "p.q", "fence": 1, "ttl": 9, "delay": 1}), "delay"),
        ("queue", json!({"action": "handoff", "queue": "p.q", "fence": 1, "to": "x", "value": 1}), "value"),
        ("queue", json!({"action": "list", "queue": "p.q", "fence": 1}), "fence"),
        ("txn", json!({"ops": [{"op": "delete", "key": "p.n.k", "base64": true}]}), "base64"),
    ] {
        let action = arguments["action"].as_str().unwrap_or("this change of p.n.k").to_owned();
        session.refuses(tool, arguments, &format!("{what} means nothing to {action}"));
    }
    session.end();
}

#[test]
fn locks_and_items_are_handed_out_under_leases_that_stand() {
    let s = sandbox();
    let mut session = server(&s, &[]);
    let lock = session.does("lock", json!({"action": "acquire", "name": "outer", "ttl": "10m"}));
    let fence = lock["fence"].clone();
    let acquire = json!({"action": "acquire", "name": "inner", "ttl": "10m", "fence": fence});
    let claim = json!({"action": "claim", "queue": "p.jobs", "ttl": "5m", "fence": fence});
    for _ in 0..2 {
        session.does("queue", json!({"action": "push", "queue": "p.jobs", "value": "x", "fence": fence}));
    }
    let inner = session.does("lock", acquire.clone());
    session.does("queue", claim.clone());
    session.does("lock", json!({"action": "release", "name": "inner", "fence": inner["fence"]}));
    session.does("lock", json!({"action": "release", "name": "outer", "fence": fence}));
    session.refuses("lock", acquire, "lease of the token");
    session.refuses("queue", claim, "lease of the token");
    session.does("lock", json!({"action": "acquire", "name": "inner", "ttl": "10m"}));
    session.end();
}

#[test]
fn a_server_that_only_reads_writes_nothing() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut session = server(&s, &["--read-only"]);
    for tool in ["set", "update", "delete", "txn", "lock", "queue"] {
        let (code, why) =
            session.error("tools/call", json!({"name": tool, "arguments": {"key": "p.n.k", "value": "x"}}));
        assert!(code == -32602 && why.contains("only reads; there are get, list"), "{why}");
    }
    assert_eq!(session.does("get", json!({"key": "p.n.k"}))["v"], "1");
    session.end();
    s.run(["get", "p.n.k"]).prints("1\n");
    let mut memory = server(&s, &["--memory", "--read-only"]);
    let entity = json!([{"name": "a", "entityType": "t", "observations": []}]);
    let (failed, why) = memory.call("create_entities", json!({"entities": entity}));
    assert!(failed && why.contains("not found"), "{why}");
    memory.end();
    s.run(["keys", "memory.graph"]).prints("");
}

#[test]
fn a_database_that_is_not_there_is_empty_and_made_by_the_first_write() {
    let s = sandbox();
    let mut session = server(&s, &[]);
    assert_eq!(session.does("get", json!({"key": "p.n.k"}))["v"], Value::Null);
    assert_eq!(session.does("list", json!({}))["entries"], json!([]));
    session.refuses("queue", json!({"action": "claim", "queue": "p.n", "ttl": 5}), "nothing to hand out");
    assert!(!database_file(&s, "main").exists());
    session.does("set", json!({"key": "p.n.k", "value": "1"}));
    assert_eq!(session.does("get", json!({"key": "p.n.k"}))["v"], "1");
    session.end();
    s.run(["get", "p.n.k"]).prints("1\n");
}

#[test]
fn long_answers_are_cut_and_go_on_without_gaps() {
    let s = sandbox();
    let value: String = (0..5_000).map(|n| format!("{n} \"ä\n")).collect();
    let bytes: Vec<u8> = (0..9_000_u32).map(|n| (n * 7 % 251) as u8 | 0x80).collect();
    s.run(["set", "p.n.text"]).stdin(value.clone()).prints("");
    s.run(["set", "p.n.bytes"]).stdin(bytes.clone()).prints("");
    for n in 0..300 {
        s.run(["set", &format!("p.many.key-{n:03}"), "v"]).prints("");
    }
    let mut session = server(&s, &["--max-bytes", "2000"]);
    let (mut whole, mut offset) = (String::new(), json!(0));
    while !offset.is_null() {
        let (failed, text) = session.call("get", json!({"key": "p.n.text", "offset": offset}));
        assert!(!failed && text.len() <= 2000, "{} {text}", text.len());
        let part: Value = serde_json::from_str(&text).unwrap();
        whole.push_str(part["v"].as_str().unwrap());
        offset = part["next_offset"].clone();
    }
    assert_eq!(whole, value);
    let part = session.does("get", json!({"key": "p.n.bytes"}));
    assert_eq!(part["size"], 9_000);
    assert!(part["next_offset"].as_u64().unwrap() > 1_000);
    session.refuses("get", json!({"key": "p.n.text", "offset": 1_000_000}), "behind them");
    session.refuses("get", json!({"key": "p.n.text", "offset": 4}), "within a character");
    let some = session.does("get", json!({"keys": ["p.n.text", "p.n.bytes", "p.many.key-001"]}));
    assert_eq!(some["next"], json!(["p.n.bytes", "p.many.key-001"]));

    let (mut keys, mut after) = (Vec::new(), Value::Null);
    loop {
        let (failed, text) = session.call("list", json!({"prefix": "p.many", "after": after}));
        assert!(!failed && text.len() <= 2000, "{} {text}", text.len());
        let page: Value = serde_json::from_str(&text).unwrap();
        keys.extend(
            page["entries"].as_array().unwrap().iter().map(|entry| entry["k"].as_str().unwrap().to_owned()),
        );
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(keys, (0..300).map(|n| format!("p.many.key-{n:03}")).collect::<Vec<_>>());
    session.refuses("list", json!({"prefix": "p.n", "show": "values"}), "get it in parts");
    session.end();
}

#[test]
fn resources_are_entries_and_namespaces() {
    let s = sandbox_with([("shop.site.a b", "1"), ("shop.site.ключ", "\u{1F5DD}")]);
    s.run(["set", "shop.site.raw"]).stdin(b"\xff\xfe".to_vec()).prints("");
    s.run(["set", "shop.big.k"]).stdin(vec![b'x'; 2 * 1024 * 1024]).prints("");
    let mut session = server(&s, &[]);
    let listed = session.ask("resources/list", json!({}));
    assert_eq!(listed["resources"][1]["uri"], "prontodb:///shop/site");
    let templates = session.ask("resources/templates/list", json!({}));
    assert_eq!(templates["resourceTemplates"][0]["uriTemplate"], "prontodb:///{project}/{namespace}/{key}");
    let mut read = |uri: &str| session.ask("resources/read", json!({"uri": uri}))["contents"][0].clone();
    assert_eq!(read("prontodb:///shop/site/a%20b")["text"], "1");
    assert_eq!(read("prontodb:///shop/site/%D0%BA%D0%BB%D1%8E%D1%87")["text"], "\u{1F5DD}");
    assert_eq!(read("prontodb:///shop/site/raw")["blob"], "//4=");
    let keys: Value = serde_json::from_str(read("prontodb:///shop/site")["text"].as_str().unwrap()).unwrap();
    assert_eq!(keys, json!({"entries": [{"k": "a b"}, {"k": "raw"}, {"k": "ключ"}], "next": null}));
    let rest = read("prontodb:///shop/site?after=raw")["text"].clone();
    assert!(!rest.as_str().unwrap().contains("a b"), "{rest}");
    for (uri, code, why) in [
        ("prontodb:///shop/site/none", -32002, "there is no shop.site.none"),
        ("prontodb:///shop/site/a/b", -32602, "PROJECT/NAMESPACE/KEY"),
        ("file:///etc/passwd", -32602, "PROJECT/NAMESPACE/KEY"),
        ("prontodb:///shop/big/k", -32602, "reads it in parts"),
    ] {
        let (found, message) = session.error("resources/read", json!({"uri": uri}));
        assert!(found == code && message.contains(why), "{uri}: {found} {message}");
    }
    session.end();
}

#[test]
fn namespaces_of_any_number_are_listed_by_pages() {
    let s = sandbox();
    let stream: String = (0..250).map(|n| format!("meta:ns=p.n{n:03};k=v;\n")).collect();
    s.run(["stream"]).env("PRONTO_SECURITY", "false").stdin(stream).succeeds();
    let mut session = server(&s, &[]);
    let (mut uris, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page = session
            .ask("resources/list", if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) });
        uris.extend(
            page["resources"].as_array().unwrap().iter().map(|it| it["uri"].as_str().unwrap().to_owned()),
        );
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(uris, (0..250).map(|n| format!("prontodb:///p/n{n:03}")).collect::<Vec<_>>());
    session.end();
}

#[test]
fn frames_that_are_no_calls_are_answered_as_the_protocol_says() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut session = Session::silent(s.run(["mcp"]).env("PRONTO_MAX_VALUE_BYTES", "1000"));
    // What comes before the greeting harms nobody.
    session.tell("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    session.tell("{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{}}");
    session.tell("\r");
    assert_eq!(session.error("tools/call", json!({"name": "get", "arguments": {"key": "p.n.k"}})).0, -32602);
    assert_eq!(session.error("initialize", json!({"protocolVersion": 5})).0, -32602);
    let mut refuses = |frame: &[u8], id: Value, code: i64| {
        session.to.as_mut().unwrap().write_all(frame).unwrap();
        session.tell("");
        let answer = session.hear();
        let shown = String::from_utf8_lossy(&frame[..frame.len().min(100)]).into_owned();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&id, &json!(code)), "{shown} {answer}");
    };
    refuses(b"{\"jsonrpc\":\"2.0\",", Value::Null, -32700);
    refuses(b"\xff\xfe\x00binary\x01", Value::Null, -32700);
    refuses(&[b'['; 100_000], Value::Null, -32600);
    refuses(&[b'['; 1_000], Value::Null, -32700);
    refuses(&[b'x'; 300_000], Value::Null, -32600);
    refuses(b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", Value::Null, -32600);
    refuses(b"{\"jsonrpc\":\"1.0\",\"id\":\"x\",\"method\":\"ping\"}", json!("x"), -32600);
    refuses(b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", Value::Null, -32600);
    refuses(b"{\"jsonrpc\":\"2.0\",\"id\":7}", json!(7), -32600);
    let greeting = session.ask("initialize", client("2025-11-25"));
    assert_eq!(greeting["protocolVersion"], "2025-11-25");
    for (method, params, code) in [
        ("no/such", json!({}), -32601),
        ("prompts/list", json!({}), -32601),
        ("resources/subscribe", json!({}), -32602),
        ("resources/subscribe", json!({"uri": "prontodb:///p"}), -32602),
        ("resources/unsubscribe", json!({"uri": 5}), -32602),
        ("subscriptions/listen", json!({}), -32602),
        ("tools/call", json!({}), -32602),
        ("tools/call", json!({"name": 5}), -32602),
        ("tools/call", json!({"name": "get", "arguments": []}), -32602),
        ("tools/call", json!({"name": "drop", "arguments": {}}), -32602),
        ("resources/read", json!({}), -32602),
    ] {
        assert_eq!(session.error(method, params.clone()).0, code, "{method} {params}");
    }
    for (tool, arguments) in [
        ("get", json!({})),
        ("get", json!({"key": 5})),
        ("get", json!({"key": "p.n.k", "ky": 1})),
        ("get", json!({"key": "p.n.k", "offset": -1})),
        ("get", json!({"key": "k__"})),
        ("get", json!({"key": "a\u{0}b"})),
        ("list", json!({"limit": "x"})),
        ("list", json!({"show": "all"})),
        ("set", json!({"key": "p.n.k"})),
        ("set", json!({"key": "p.n.k", "value": "x", "ttl": "soon"})),
        ("set", json!({"key": "p.n.k", "value": "%%", "base64": true})),
        ("set", json!({"key": "p.n.k", "value": "x".repeat(1001)})),
        ("update", json!({"key": "p.n.k"})),
        ("update", json!({"key": "p.n.k", "add": 1, "append": "x"})),
        ("update", json!({"key": "p.n.k", "add": 1.5})),
        ("txn", json!({"ops": "x"})),
    ] {
        assert!(session.call(tool, arguments.clone()).0, "{tool} {arguments}");
    }
    assert_eq!(session.does("get", json!({"key": "p.n.k"}))["v"], "1");
    session.end();
}

/// Memory is that of some frames, whatever comes.
#[test]
fn an_endless_line_takes_no_memory() {
    let s = sandbox();
    let mut session = Session::silent(s.run(["mcp"]).env("PRONTO_MAX_VALUE_BYTES", "100000"));
    let chunk = vec![b'x'; 1024 * 1024];
    for _ in 0..64 {
        session.to.as_mut().unwrap().write_all(&chunk).unwrap();
    }
    let peak = session.peak_kilobytes();
    assert!(peak < 48 * 1024, "{peak} kB");
    session.tell("");
    assert_eq!(session.hear()["error"]["code"], -32600);
    session.ask("initialize", client("2025-06-18"));
    session.end();
}

#[test]
fn the_end_of_input_ends_it_when_all_is_answered() {
    let s = sandbox();
    let call = |id: usize| {
        let add = json!({"name": "update", "arguments": {"key": "p.n.k", "add": 1}});
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": add}).to_string() + "\n"
    };
    let mut frames =
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client("2025-06-18")})
            .to_string()
            + "\n";
    (1..=200).for_each(|id| frames.push_str(&call(id)));
    let answers = s.run(["mcp"]).stdin(frames).succeeds().stderr_is("").stdout();
    let ids: BTreeSet<_> = answers
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, (0..=200).collect());
    s.run(["get", "p.n.k"]).prints("200\n");
    s.run(["mcp"]).prints("");
    s.run(["mcp"]).stdin("{\"jsonrpc\":").succeeds().stdout_has("-32700");
}

#[test]
fn the_end_of_input_ends_calls_that_wait() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["lock", "acquire", "deploy", "--ttl", "10m"]).succeeds();
    let mut session = server(&s, &[]);
    let lock = json!({"action": "acquire", "name": "deploy", "ttl": "1m", "wait": "1h"});
    session.send("tools/call", json!({"name": "lock", "arguments": lock}));
    let begun = Instant::now();
    drop(session.to.take());
    assert_eq!(session.hear()["result"]["isError"], true);
    session.running.take().unwrap().wait().succeeds();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());

    let holder = LockHolder::of(&s);
    let mut session = Session::begin(s.run(["mcp", "--busy-timeout-ms", "600000"]));
    session.send("tools/call", json!({"name": "set", "arguments": {"key": "p.n.k", "value": "2"}}));
    let begun = Instant::now();
    drop(session.to.take());
    session.running.take().unwrap().wait().succeeds();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(session.from.next().is_none());
    drop(holder);
    s.run(["get", "p.n.k"]).prints("1\n");
    assert_whole(&s, &database_file(&s, "main"));
}

#[test]
fn a_client_that_does_not_read_is_no_failure() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut session = server(&s, &[]);
    let (gone, _) = silent_pipe();
    session.from = BufReader::new(gone).lines();
    session.send("tools/call", json!({"name": "set", "arguments": {"key": "p.n.k", "value": "2"}}));
    drop(session.to.take());
    session.running.take().unwrap().wait().succeeds().stderr_is("");
    s.run(["get", "p.n.k"]).prints("2\n");

    // It reads nothing, and does not close its end: what is written fills the pipe.
    s.run(["set", "p.n.long"]).stdin(vec![b'x'; 60_000]).prints("");
    let mut session = server(&s, &["--max-bytes", "100000"]);
    for _ in 0..20 {
        session.send("tools/call", json!({"name": "get", "arguments": {"key": "p.n.long"}}));
    }
    drop(session.to.take());
    session.running.take().unwrap().wait().succeeds().stderr_is("");
}

#[test]
fn many_servers_lose_nothing() {
    let s = sandbox();
    thread::scope(|scope| {
        for agent in 0..8 {
            let s = &s;
            scope.spawn(move || {
                let mut session = server(s, &[]);
                for n in 0..25 {
                    session.does("update", json!({"key": "p.n.sum", "add": 1}));
                    session.does("set", json!({"key": format!("p.n.{agent}-{n}"), "value": "v"}));
                }
                session.end();
            });
        }
    });
    s.run(["get", "p.n.sum"]).prints("200\n");
    s.run(["keys", "p.n", "--count"]).prints("201\n");
    assert_whole(&s, &database_file(&s, "main"));
}

#[test]
fn users_may_what_they_may_elsewhere_and_no_longer_than_that() {
    let s = sandbox_with([("p.n.k", "1"), ("q.n.k", "2")]);
    s.run(["admin", "user", "add", "ann"]).env("PRONTO_PASS", PASSWORD).succeeds();
    s.run(["admin", "grant", "ann", "read", "p.*"]).succeeds();
    let token = s.run(["auth", "login", "ann"]).env("PRONTO_PASS", PASSWORD).succeeds().stdout();
    let call = s.run(["mcp"]).env("PRONTO_SECURITY_LOCAL", "true").env("PRONTO_SESSION", token.trim());
    let mut session = Session::begin(call);
    assert_eq!(session.does("get", json!({"key": "p.n.k"}))["v"], "1");
    assert_eq!(session.does("list", json!({}))["entries"], json!([{"k": "p.n.k"}]));
    session.refuses("get", json!({"key": "q.n.k"}), "denied: ann may not");
    session.refuses("set", json!({"key": "p.n.k", "value": "x"}), "ann may not write");
    session.refuses("update", json!({"key": "p.n.k", "add": 1}), "ann may not write");
    session.refuses("lock", json!({"action": "acquire", "name": "x", "ttl": 9}), "denied");
    assert_eq!(session.error("resources/read", json!({"uri": "prontodb:///q/n/k"})).0, -32602);
    s.run(["admin", "revoke", "ann", "p.*"]).succeeds();
    session.refuses("get", json!({"key": "p.n.k"}), "denied");
    session.end();
    s.run(["admin", "audit"]).succeeds().stdout_has("mcp");
    let mut nobody = Session::begin(s.run(["mcp"]).env("PRONTO_SECURITY_LOCAL", "true"));
    nobody.refuses("get", json!({"key": "p.n.k"}), "asks for proof");
    nobody.end();
}

#[test]
fn values_that_are_encrypted_are_read_with_the_key_alone() {
    let s = sandbox();
    let identity = identity_file(&s);
    assert!(fs::read_to_string(&identity).unwrap().contains(IDENTITY));
    s.run(["admin", "namespace", "set", "p.secret", "encrypt=on"])
        .env("PRONTO_AGE_IDENTITY", &identity)
        .succeeds();
    let mut with_key = Session::begin(s.run(["mcp"]).env("PRONTO_AGE_IDENTITY", &identity));
    with_key.does("set", json!({"key": "p.secret.k", "value": "hidden"}));
    assert_eq!(with_key.does("get", json!({"key": "p.secret.k"}))["v"], "hidden");
    with_key.end();
    let mut without = server(&s, &[]);
    without.refuses("get", json!({"key": "p.secret.k"}), "denied");
    assert_eq!(without.does("list", json!({}))["entries"], json!([{"k": "p.secret.k"}]));
    without.end();
}

#[test]
fn a_server_that_is_idle_keeps_nobody_from_moving_the_database() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["-d", "x.prdb", "set", "p.n.k", "1"]).prints("");
    s.run(["admin", "create-db", "work"]).succeeds();
    let mut session = server(&s, &["--database", "work"]);
    session.does("set", json!({"key": "p.n.k", "value": "1"}));
    wait_until("the database can be renamed", || {
        s.run(["admin", "rename-db", "work", "done"]).ends().code() == Some(0)
    });
    s.run(["--database", "done", "get", "p.n.k"]).prints("1\n");
    session.end();
}

#[test]
fn the_protocol_without_sessions_is_spoken_too() {
    let s = sandbox_with([("p.n.k", "1")]);
    let mut session = Session::silent(s.run(["mcp"]));
    let found = session.ask("server/discover", json!({"_meta": stateless()}));
    assert!(found["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")), "{found}");
    let call = json!({"name": "get", "arguments": {"key": "p.n.k"}, "_meta": stateless()});
    let got = session.ask("tools/call", call);
    assert!(got["content"][0]["text"].as_str().unwrap().contains("\"v\":\"1\""), "{got}");
    session.end();
}

#[test]
fn prime_is_short_and_its_commands_work() {
    let s = sandbox();
    for flags in [&[][..], &["--database", "work", "-p", "shop", "-n", "site", "--ns-delim", "|"]] {
        let told = s.run([&["prime"], flags].concat()).succeeds().stdout();
        assert!(told.chars().count() <= 1600, "{}: {told}", told.chars().count());
        let json = json_of(s.run([&["prime", "--json"], flags].concat()));
        assert_eq!(json["prime"], told.as_str());
        assert!(told.contains(json["database"].as_str().unwrap()), "{told}");
        let delimiter = if flags.is_empty() { "." } else { "|" };
        let commands: Vec<_> = told.lines().filter(|line| line.starts_with("prontodb ")).collect();
        assert!(commands.len() >= 10, "{told}");
        let script = format!(
            "set -e\nprontodb() {{ '{}' --ns-delim '{delimiter}' \"$@\"; }}\n{}\n",
            s.program().display(),
            commands.join("\n")
        );
        s.run_other("sh", ["-c", &script]).succeeds();
    }
    let told = s.run(["prime", "--database", "work", "-p", "shop", "-n", "site", "--user", "ann"]).succeeds();
    told.stdout_has("project is shop and namespace site")
        .stdout_has("pronto.work.prdb")
        .stdout_has("you write as ann");
    s.run(["cursor", "set", "here", "here.prdb", "--project", "fruit"]).succeeds();
    s.run(["prime", "--cursor", "here"]).succeeds().stdout_has("here.prdb").stdout_has("project is fruit");
}
