//! `watch`: changes as they are made, by many processes, none twice, and none missed in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, PipeReader};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::{Running, Sandbox};
use serde_json::Value;

use crate::common::{
    assert_whole, contents, data_folder, database_file, error_of, refused, refuses, sandbox, sandbox_with,
    sql,
};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A watch whose lines are read as they come.
struct Watcher {
    running: Running,
    lines: Receiver<String>,
}

impl Watcher {
    /// Starts one that is about to tell of whatever is written from then on.
    fn start(s: &Sandbox, args: &[&str]) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let running = s.run(["watch"]).args(args.iter().copied()).stdout_to(writer).within(LONG).spawn();
        Self { running, lines: lines_of(reader) }
    }

    /// Starts one behind all that has been written so far.
    fn from_now(s: &Sandbox, args: &[&str]) -> Self {
        // Whoever watches has changes be kept for all who do.
        s.run(["watch", "--timeout", "1ms"]).fails(4);
        let now = sql(s, &database_file(s, "main"), "SELECT revision FROM sys_state");
        Self::start(s, &[&["--from", &now], args].concat())
    }

    /// The next line.
    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(20)).expect("a line within twenty seconds")
    }

    #[track_caller]
    fn event(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Whatever comes until nothing has come for a while.
    fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(500)) {
            rest.push(line);
        }
        rest
    }
}

fn lines_of(reader: PipeReader) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n') {
            let line = String::from_utf8(line.unwrap()).unwrap();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn signal(running: &Running, signal: &str) {
    let told = Command::new("kill").args([signal, &running.id().to_string()]).status();
    assert!(told.unwrap().success());
}

#[test]
fn changes_are_lines_or_objects_from_where_one_is_told_to_begin() {
    let s = sandbox_with([("shop.prices.apple", "120")]);
    s.run(["watch", "--timeout", "10ms"]).fails(4).stdout_is("").stderr_has("watching from revision 1 on");
    s.run(["set", "shop.prices.pear", "95"]).prints("");
    s.run(["set", "shop.prices.pear", "96", "--user", "ann", "--database", "main"]).prints("");
    s.run(["set", "other.x.k"]).stdin([0xff]).prints("");
    s.run(["del", "shop.prices.apple"]).succeeds();
    let from = ["watch", "--from", "1"];
    let all = "2.1\tset\tshop.prices.pear\n3.1\tset\tshop.prices.pear\n4.1\tset\tother.x.k\n5.1\tdeleted\tshop.prices.apple\n";
    s.run(from).args(["--limit", "4"]).prints(all).stderr_is("");
    s.run(["watch", "--from", "3.1", "--limit", "1"]).prints("4.1\tset\tother.x.k\n");
    s.run(["watch", "shop", "--from", "3", "--limit", "1"]).prints("5.1\tdeleted\tshop.prices.apple\n");
    s.run(from).args(["shop.prices.p", "--limit", "2"]).succeeds().stdout_has("3.1\tset\tshop.prices.pear\n");
    s.run(from)
        .args(["-p", "shop", "-n", "prices", "a", "--limit", "1"])
        .prints("5.1\tdeleted\tshop.prices.apple\n");
    s.run(from)
        .args(["--timeout", "20ms"])
        .fails(4)
        .stdout_is(all)
        .stderr_is("prontodb: nothing has changed for 20ms\n");
    let told = s.run(from).args(["--limit", "4", "--jsonl"]).succeeds().stdout();
    assert_eq!(told, s.run(from).args(["--limit", "4", "--json"]).succeeds().stdout());
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told[0]["superseded"], true);
    assert!(told[0].get("v").is_none());
    let pear = &told[1];
    assert_eq!(
        (&pear["position"], &pear["revision"], &pear["op"]),
        (&"3.1".into(), &3.into(), &"set".into())
    );
    assert_eq!(
        (&pear["k"], &pear["v"], &pear["writer"]),
        (&"shop.prices.pear".into(), &"96".into(), &"ann".into())
    );
    assert!(pear["at"].is_string() && pear["created"].is_string() && pear["expires"].is_null());
    assert_eq!(told[2]["v64"], "/w==");
    assert_eq!((&told[3]["op"], told[3].get("v")), (&"deleted".into(), None));
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let s = sandbox_with([("p.n.k", "1"), ("p.n.k", "2")]);
    for from in ["x", "", "1.x", "-1", "1.2.3", "99999999999999999999"] {
        refused(&s, &["watch", &format!("--from={from}")], 64, "usage").stderr_has("--from");
    }
    for args in [&["--limit", "x"][..], &["--from", "2", "--snapshot"]] {
        refused(&s, &[&["watch"], args].concat(), 64, "usage");
    }
    refused(&s, &["watch", "a.b.c.d"], 1, "invalid");
    for (from, why) in [("1", "nobody has watched"), ("3", "there is no revision 3 yet")] {
        refuses(&s, s.run(["watch", "--from", from]), 3).stderr_has(why).stderr_has("--snapshot");
        assert_eq!(error_of(s.run(["watch", "--from", from, "--json"]).fails(3))["kind"], "missed");
    }
    refused(&s, &["watch", "--timeout", "soon"], 1, "invalid").stderr_has("--timeout: `soon`");
}

#[test]
fn a_database_that_is_not_there_yet_is_waited_for_and_not_made() {
    let s = sandbox();
    let outcome = s.run(["watch", "--timeout", "50ms"]).fails(4).stdout_is("");
    outcome.stderr_has("there is no database").stderr_has("nothing has changed for 50ms");
    let refused =
        s.run(["watch", "--from", "1", "--jsonl"]).fails(3).stderr_has("there is no revision 1 yet");
    let told: Value = serde_json::from_str(&refused.stdout()).unwrap();
    assert_eq!(
        (&told["op"], &told["after"], &told["revision"]),
        (&"overflow".into(), &"1".into(), &0.into())
    );
    let watchers = [&[][..], &["--from", "0"], &["--snapshot"]].map(|args| Watcher::start(&s, args));
    thread::sleep(Duration::from_millis(150));
    assert!(contents(&s).is_empty());
    s.run(["set", "p.n.k", "1"]).prints("");
    for watcher in &watchers {
        // It is seen in the database, or as it comes to one that is there already.
        let first = watcher.line();
        let seen = if first.ends_with("snapshot\t-") { watcher.line() } else { first };
        assert!(seen.ends_with("\tp.n.k"), "{seen}");
    }
    s.run(["set", "p.n.k", "2"]).prints("");
    for watcher in watchers {
        let next = watcher.line();
        let next = if next.ends_with("snapshot\t-") { watcher.line() } else { next };
        assert_eq!(next, "2.1\tset\tp.n.k");
        watcher.running.kill().code();
    }
}

#[test]
fn nobody_waits_for_a_database_whom_nobody_reads() {
    for command in [&["watch"][..], &["wait", "p.n.k"]] {
        let s = sandbox();
        let (reader, writer) = std::io::pipe().unwrap();
        let running = s.run(command).stdout_to(writer).spawn();
        drop(reader);
        running.wait().succeeds();
        assert!(contents(&s).is_empty());
    }
}

#[test]
fn what_was_missed_before_the_beginning_is_told_in_the_answer() {
    let s = sandbox_with([("p.n.k", "0")]);
    s.run(["set", "p.n.k", "1"]).prints("");
    s.run(["watch", "--timeout", "1ms"]).fails(4);
    for (from, why) in [("1.1", "not kept any more"), ("99", "there is no revision 99 yet")] {
        let outcome = s.run(["watch", "--from", from, "--jsonl"]).fails(3);
        let told: Value = serde_json::from_str(&outcome.stdout()).unwrap();
        let parts = (&told["op"], &told["after"], &told["revision"]);
        assert_eq!(parts, (&"overflow".into(), &from.into(), &2.into()));
        assert!(told["message"].as_str().unwrap().contains(why), "{told}");
        outcome.stderr_has(why).stderr_has("--snapshot begins with all");
        s.run(["watch", "--from", from]).fails(3).stdout_is("");
    }
}

#[test]
fn what_expires_is_told_though_nobody_writes() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "60"]).prints("");
    let watchers: Vec<_> = (0..3).map(|_| Watcher::from_now(&s, &["p.c", "--jsonl"])).collect();
    s.run(["set", "p.c.k", "v", "--ttl", "700ms"]).prints("");
    let begun = Instant::now();
    for watcher in &watchers {
        assert_eq!(watcher.event()["op"], "set");
    }
    let expired: Vec<_> = watchers.iter().map(Watcher::event).collect();
    let took = begun.elapsed();
    assert!(Duration::from_millis(600) < took && took < Duration::from_secs(5), "{took:?}");
    assert!(expired.iter().all(|event| *event == expired[0] && event["op"] == "expired"), "{expired:?}");
    s.run(["keys", "p.c", "--include-expired"]).prints("");
    for watcher in watchers {
        assert_eq!(watcher.rest(), [""; 0]);
        watcher.running.kill().code();
    }
}

#[test]
fn a_watch_ends_when_nobody_reads_it() {
    let s = sandbox_with([("p.n.k", "1")]);
    let (reader, writer) = std::io::pipe().unwrap();
    let running = s.run(["watch"]).stdout_to(writer).spawn();
    thread::sleep(Duration::from_millis(200));
    drop(reader);
    running.wait().succeeds().stderr_has("watching from");
}

#[test]
fn a_snapshot_is_what_is_there_and_changes_follow() {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b", "2"), ("q.m.c", "3")]);
    let watcher = Watcher::start(&s, &["p", "--snapshot", "--jsonl"]);
    let [first, second, end] = [watcher.event(), watcher.event(), watcher.event()];
    assert_eq!(
        (&first["op"], &first["k"], &first["v"], &first["revision"]),
        (&"entry".into(), &"p.n.a".into(), &"1".into(), &1.into())
    );
    assert_eq!(second["k"], "p.n.b");
    assert_eq!(
        (&end["op"], &end["revision"], &end["position"]),
        (&"snapshot".into(), &3.into(), &"3".into())
    );
    s.run(["set", "p.n.a", "9"]).prints("");
    let change = watcher.event();
    assert_eq!(
        (&change["op"], &change["position"], &change["v"]),
        (&"set".into(), &"4.1".into(), &"9".into())
    );
    watcher.running.kill().code();
    s.run(["watch", "p.n", "--snapshot", "--limit", "3"])
        .prints("-\tentry\tp.n.a\n-\tentry\tp.n.b\n4\tsnapshot\t-\n");
    s.run(["watch", "p.n", "--snapshot", "--limit", "1"]).prints("-\tentry\tp.n.a\n");
}

/// Tells the writers of a test to end, also when it fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes and notes what was acknowledged: key and version, until it is told to end.
fn write_in_turn(s: &Sandbox, writer: usize, ends: &AtomicBool) -> Vec<(String, u64)> {
    let mut ledger = Vec::new();
    for number in 0.. {
        if ends.load(Ordering::Relaxed) {
            return ledger;
        }
        let key = format!("p.n{}.k{}", writer % 3, number % 5 + writer * 10);
        let set = s.run(["set", &key, &number.to_string(), "--return", "version"]).within(LONG);
        let version = set.succeeds().stdout().trim_end().parse().unwrap();
        ledger.push((key, version));
    }
    ledger
}

/// Eight writers, and a watcher that is killed again and again and resumes behind the last line that was whole.
#[test]
fn whoever_is_killed_and_resumes_sees_each_change_once() {
    let s = sandbox_with([("p.n0.k", "0")]);
    s.run(["watch", "--timeout", "1ms"]).fails(4);
    let ends = AtomicBool::new(false);
    let (ledger, seen) = thread::scope(|scope| {
        let end = End(&ends);
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (s, ends) = (&s, &ends);
                scope.spawn(move || write_in_turn(s, writer, ends))
            })
            .collect();
        let (mut position, mut seen) = ("1".to_owned(), Vec::new());
        for round in 0..12 {
            let watcher = Watcher::start(&s, &["--from", &position, "--jsonl"]);
            thread::sleep(Duration::from_millis(150 + 40 * round));
            watcher.running.kill().code();
            while let Ok(line) = watcher.lines.recv_timeout(LONG) {
                // What was cut off is no event.
                let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
                position = event["position"].as_str().unwrap().to_owned();
                seen.push((event["k"].as_str().unwrap().to_owned(), event["revision"].as_u64().unwrap()));
            }
        }
        drop(end);
        let ledger: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        let last = Watcher::start(&s, &["--from", &position, "--jsonl"]);
        seen.extend(last.rest().iter().map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            (event["k"].as_str().unwrap().to_owned(), event["revision"].as_u64().unwrap())
        }));
        last.running.kill().code();
        (ledger, seen)
    });
    assert!(ledger.len() > 50, "{} writes", ledger.len());
    assert!(seen.windows(2).all(|pair| pair[0].1 < pair[1].1), "in order");
    let (ledger, seen): (BTreeSet<_>, BTreeSet<_>) =
        (ledger.into_iter().collect(), seen.into_iter().collect());
    assert_eq!(ledger, seen);
}

/// Whoever has a snapshot and all changes behind it has what is there in the end.
#[test]
fn a_snapshot_beside_writers_misses_nothing_and_repeats_nothing() {
    let s = sandbox();
    let lines: String =
        (0..3000).map(|number| format!("{{\"k\":\"p.n0.old{number}\",\"v\":\"{number}\"}}\n")).collect();
    s.run(["stream", "--format", "jsonl"]).env("PRONTO_SECURITY", "false").stdin(lines).succeeds();
    let ends = AtomicBool::new(false);
    let lines = thread::scope(|scope| {
        let end = End(&ends);
        for writer in 0..3 {
            let (s, ends) = (&s, &ends);
            scope.spawn(move || write_in_turn(s, writer, ends));
        }
        thread::sleep(Duration::from_millis(100));
        let watcher = Watcher::start(&s, &["--snapshot", "--jsonl"]);
        let mut lines = vec![watcher.line()];
        thread::sleep(Duration::from_millis(500));
        drop(end);
        lines.extend(watcher.rest());
        watcher.running.kill().code();
        lines
    });
    let (mut known, mut versions) = (BTreeMap::new(), BTreeSet::new());
    for line in lines {
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["op"] == "snapshot" {
            assert!(known.len() >= 3000, "{} entries", known.len());
            continue;
        }
        let (key, revision) = (event["k"].as_str().unwrap().to_owned(), event["revision"].as_u64().unwrap());
        assert!(versions.insert((key.clone(), revision)), "twice: {event}");
        if let Some(value) = event["v"].as_str() {
            known.insert(key, value.to_owned());
        }
    }
    let there: String = known.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    s.run(["scan"]).prints(there);
}

/// A reader that never reads keeps nobody from writing, and is told in the end that it has missed something.
#[test]
fn whoever_falls_behind_is_told_so() {
    let s = sandbox_with([("p.n.k", "0")]);
    let (reader, writer) = std::io::pipe().unwrap();
    s.run(["watch", "--timeout", "1ms"]).fails(4);
    let running = s.run(["watch", "--from", "1", "--jsonl"]).stdout_to(writer).within(LONG).spawn();
    let value = "v".repeat(1000);
    for number in 0..100 {
        s.run(["set", "p.n.k", &format!("{number}{value}")]).prints("");
    }
    // It waits for its reader by now. A program that does not tell of its changes says that by ending the log of them.
    sql(&s, &database_file(&s, "main"), "UPDATE sys_state SET revision = revision + 1, changes = NULL");
    let lines = lines_of(reader);
    let all: Vec<String> = lines.iter().collect();
    let outcome = running.wait().fails(3);
    let last: Value = serde_json::from_str(all.last().unwrap()).unwrap();
    let before: Value = serde_json::from_str(&all[all.len() - 2]).unwrap();
    assert_eq!(
        (&last["op"], &last["after"], &last["revision"]),
        (&"overflow".into(), &before["position"], &102.into())
    );
    outcome.stderr_has("are not kept any more").stderr_has("--snapshot begins with all");
    let revision = before["revision"].as_u64().unwrap();
    assert_eq!(all.len() as u64, revision, "none is missing before");
    let text = Watcher::from_now(&s, &[]);
    sql(&s, &database_file(&s, "main"), "UPDATE sys_state SET revision = revision + 1, changes = NULL");
    let outcome = text.running.wait().fails(3);
    outcome.stderr_has("changes behind 102 are not kept any more");
}

#[test]
fn whoever_watches_is_told_of_a_restore() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["backup", "--output", "b.tar.gz"]).succeeds();
    let watcher = Watcher::from_now(&s, &["--json"]);
    s.run(["set", "p.n.k", "2"]).prints("");
    assert_eq!(watcher.event()["v"], "2");
    s.run(["restore", "b.tar.gz"]).succeeds();
    assert_eq!(watcher.event()["op"], "overflow");
    let error = error_of(watcher.running.wait().fails(3));
    assert_eq!((&error["kind"], &error["retryable"]), (&"missed".into(), &false.into()));
    s.run(["get", "p.n.k"]).prints("1\n");
    refuses(&s, s.run(["watch", "--from", "2"]), 3).stderr_has("not kept");
}

#[test]
fn a_database_that_is_watched_is_neither_renamed_nor_deleted() {
    let s = sandbox();
    s.run(["set", "p.n.k", "1", "--database", "other"]).prints("");
    let watcher = Watcher::start(&s, &["--database", "other", "--snapshot"]);
    assert_eq!([watcher.line(), watcher.line()], ["-\tentry\tp.n.k", "1\tsnapshot\t-"]);
    for args in [&["admin", "rename-db", "other", "new"][..], &["admin", "delete-db", "other", "--force"]] {
        s.run(args).args(["--busy-timeout-ms", "200"]).fails(4).stderr_has("busy");
    }
    s.run(["set", "p.n.k", "2", "--database", "other"]).prints("");
    assert_eq!(watcher.line(), "2.1\tset\tp.n.k");
    // Programs that know nothing of ours do it all the same.
    fs::rename(data_folder(&s).join("other"), data_folder(&s).join("new")).unwrap();
    watcher.running.wait().fails_with_one_of(&[1, 4]).stderr_has("pronto.other.prdb");
    s.run(["-d"]).arg(data_folder(&s).join("new/pronto.other.prdb")).args(["get", "p.n.k"]).prints("2\n");
}

/// A writer may be stopped at any moment, also between its last write to the log and the moment that others see it.
#[test]
fn writers_that_are_stopped_and_killed_hide_nothing() {
    let s = sandbox_with([("p.n.k", "0")]);
    let watcher = Watcher::from_now(&s, &["--jsonl"]);
    let acknowledged = AtomicUsize::new(0);
    thread::scope(|scope| {
        for writer in 0..2 {
            let (s, acknowledged) = (&s, &acknowledged);
            scope.spawn(move || {
                for number in 0..40_u64 {
                    let key = format!("p.n.w{writer}");
                    let running = s.run(["incr", &key]).within(LONG).spawn();
                    thread::sleep(Duration::from_micros(number * 97 % 4000));
                    signal(&running, "-STOP");
                    thread::sleep(Duration::from_millis(15));
                    let mut outcome = if number % 4 == 0 {
                        running.kill()
                    } else {
                        signal(&running, "-CONT");
                        running.wait()
                    };
                    acknowledged.fetch_add(usize::from(outcome.code() == Some(0)), Ordering::Relaxed);
                }
            });
        }
    });
    let seen: Vec<Value> = watcher.rest().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(seen.len() >= acknowledged.load(Ordering::Relaxed));
    for writer in 0..2 {
        let key = format!("p.n.w{writer}");
        let of_writer = seen.iter().filter(|event| event["k"] == key.as_str()).count();
        s.run(["get", &key]).prints(format!("{of_writer}\n"));
    }
    watcher.running.kill().code();
    assert_whole(&s, &database_file(&s, "main"));
}

/// What is written is seen soon, whoever writes it: the median of some, on a machine that does other things, too.
#[test]
fn changes_are_seen_soon() {
    let s = sandbox_with([("p.n.k", "0")]);
    let watcher = Watcher::from_now(&s, &[]);
    let mut times = Vec::new();
    for number in 0..15 {
        // Long enough that whoever is not told looks once a second.
        thread::sleep(Duration::from_millis(if number < 2 { 1200 } else { 30 }));
        s.run(["set", "p.n.k", "1"]).prints("");
        let written = Instant::now();
        watcher.line();
        times.push(written.elapsed());
    }
    watcher.running.kill().code();
    times.sort();
    assert!(times[7] < Duration::from_millis(100), "{times:?}");
}

#[test]
fn nothing_is_kept_and_nothing_written_where_nobody_watches() {
    let s = sandbox_with([("p.n.k", "0")]);
    s.run(["set", "p.n.k", "1"]).prints("");
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'sys_changes'";
    assert_eq!(sql(&s, &database_file(&s, "main"), tables), "0");
    s.run(["watch", "--timeout", "1ms"]).fails(4);
    let before = contents(&s);
    s.run(["watch", "--timeout", "1ms"]).fails(4);
    s.run(["watch", "--snapshot", "--limit", "1"]).succeeds();
    assert!(before == contents(&s), "a second watch writes nothing");
}
