//! Namespaces that move and go beside other processes, and while the processes that do it are killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use prontodb_testkit::sandbox::{Call, Sandbox};

use crate::common::{assert_whole, database_file, identity_file, sandbox, sql};
use crate::many_processes::{Dice, kill_at_some_moment, kills_of_a_worker};

const ENTRIES: usize = 2500;

/// Fills a namespace with entries of a value, `k0000` and so on.
fn fill(s: &Sandbox, namespace: &str, entries: usize) {
    let lines: String = (0..entries).map(|n| format!("k{n:05}\tdg==\n")).collect();
    s.run(["import", namespace]).env("PRONTO_AGE_IDENTITY", identity_file(s)).stdin(lines).succeeds();
}

/// The same as `scan` prints it.
fn filled(entries: usize) -> BTreeMap<String, String> {
    (0..entries).map(|n| (format!("k{n:05}"), "v".to_owned())).collect()
}

fn with_key(s: &Sandbox, line: &str) -> Call {
    s.run(line.split(' ')).env("PRONTO_AGE_IDENTITY", identity_file(s))
}

#[track_caller]
fn assert_holds(s: &Sandbox, namespace: &str, expected: &BTreeMap<String, String>, when: &str) {
    let listing = with_key(s, &format!("scan {namespace}")).succeeds().stdout();
    let expected: String = expected.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    assert!(listing == expected, "{namespace} is not as it should be, {when}");
}

/// Nothing of moves and drops is left in the file.
fn assert_tidy(s: &Sandbox) {
    let file = database_file(s, "main");
    assert_whole(s, &file);
    for (what, expected) in [
        ("count(*) FROM sqlite_schema WHERE type = 'trigger'", "0"),
        ("count(*) FROM sys_moves", "0"),
        ("count(*) FROM sys_leftovers", "0"),
        (
            "count(*) FROM entries WHERE ns NOT IN (SELECT id FROM sys_namespaces WHERE location = 'entries')",
            "0",
        ),
        (
            "count(*) FROM large_values WHERE id NOT IN (SELECT large FROM entries WHERE large IS NOT NULL)",
            "0",
        ),
        ("count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'entries_*'", "1"),
    ] {
        assert_eq!(sql(s, &file, &format!("SELECT {what}")), expected, "{what}");
    }
}

#[test]
fn writers_lose_nothing_to_a_namespace_that_moves() {
    const WRITERS: usize = 3;
    let s = sandbox();
    s.run(["admin", "table", "create", "hot"]).prints("");
    fill(&s, "p.n", 12_000);
    let large = "v".repeat(3000);
    s.run(["set", "p.n.large", &large]).env("PRONTO_COMPRESS_ABOVE_BYTES", "0").prints("");
    let over = AtomicBool::new(false);
    let work = |worker: usize| {
        let mut done = 0;
        while !over.load(Ordering::Relaxed) {
            s.run(["incr", "p.n.z"]).succeeds();
            s.run(["set", &format!("p.n.w{worker}-{done:04}"), "w"]).prints("");
            s.run(["del", &format!("p.n.k{:05}", worker * 1000 + done)]).prints("");
            done += 1;
        }
        done
    };
    let done: Vec<usize> = thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..WRITERS).map(|worker| scope.spawn(move || work(worker))).collect();
        for table in ["hot", "own", "shared"] {
            s.run(["admin", "namespace", "move", "p.n", "--table", table]).prints("");
        }
        over.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut expected = filled(12_000);
    for (worker, done) in done.iter().enumerate() {
        for n in 0..*done {
            expected.insert(format!("w{worker}-{n:04}"), "w".to_owned());
            expected.remove(&format!("k{:05}", worker * 1000 + n));
        }
    }
    expected.insert("large".to_owned(), large);
    expected.insert("z".to_owned(), done.iter().sum::<usize>().to_string());
    assert!(done.iter().all(|done| *done > 0), "{done:?}");
    assert_holds(&s, "p.n", &expected, "having moved three times");
    assert_tidy(&s);
}

/// One namespace of each kind.
fn kinds(s: &Sandbox) -> BTreeMap<&'static str, BTreeMap<String, String>> {
    s.run(["admin", "table", "create", "hot"]).prints("");
    s.run(["create-cache", "p.cache", "timeout=9999 max_items=90000"]).prints("");
    with_key(s, "admin namespace set p.sealed encrypt=on").succeeds();
    let mut kinds = BTreeMap::new();
    for namespace in ["p.plain", "p.cache", "p.sealed"] {
        fill(s, namespace, ENTRIES);
        let mut expected = filled(ENTRIES);
        for n in 0..5 {
            let (key, value) = (format!("large{n}"), n.to_string().repeat(3000));
            let set = with_key(s, &format!("set {namespace}.{key} -")).stdin(value.clone());
            set.env("PRONTO_COMPRESS_ABOVE_BYTES", "0").prints("");
            expected.insert(key, value);
        }
        kinds.insert(namespace, expected);
    }
    kinds
}

/// How long it takes to move one of them.
fn time_of_a_move(s: &Sandbox) -> u64 {
    let start = Instant::now();
    s.run(["admin", "namespace", "move", "p.plain", "--table", "hot"]).prints("");
    u64::try_from(start.elapsed().as_micros()).unwrap()
}

#[test]
fn moves_that_are_killed_at_any_moment_lose_nothing() {
    let s = sandbox();
    let mut expected = kinds(&s);
    let (mut dice, time, kills) = (Dice(0x9e37_79b9_7f4a_7c15), time_of_a_move(&s), kills_of_a_worker());
    let (mut cut, mut halfway) = (0, 0);
    for round in 0..kills {
        let namespaces: Vec<_> = expected.keys().copied().collect();
        let namespace = namespaces[usize::try_from(dice.below(3)).unwrap()];
        let table = ["hot", "own", "shared"][usize::try_from(dice.below(3)).unwrap()];
        let mover = s.spawn(["admin", "namespace", "move", namespace, "--table", table]);
        let killed = thread::scope(|scope| {
            let kill = scope.spawn(|| kill_at_some_moment(mover, &mut dice, time));
            let key = format!("w{round:05}");
            with_key(&s, &format!("set {namespace}.{key} {round}")).prints("");
            with_key(&s, &format!("incr {namespace}.z")).succeeds();
            let entries = expected.get_mut(namespace).unwrap();
            entries.insert(key, round.to_string());
            let count = entries.get("z").map_or(0, |count| count.parse().unwrap());
            entries.insert("z".to_owned(), (count + 1).to_string());
            kill.join().unwrap()
        });
        assert!(matches!(killed, None | Some(0)), "{killed:?}");
        cut += u64::from(killed.is_none());
        let described = s.run(["admin", "namespace", "describe", namespace]).succeeds().stdout();
        halfway += u64::from(described.contains("moving_to: "));
        for namespace in namespaces {
            assert_holds(&s, namespace, &expected[namespace], &format!("killed in round {round}"));
        }
        assert_whole(&s, &database_file(&s, "main"));
    }
    for (namespace, entries) in &expected {
        s.run(["admin", "namespace", "move", namespace, "--table", "shared"]).prints("");
        assert_holds(&s, namespace, entries, "moved at last");
    }
    s.run(["admin", "gc"]).succeeds();
    assert_tidy(&s);
    let items = "SELECT items - (SELECT count(*) FROM entries WHERE ns = id) FROM sys_caches JOIN sys_namespaces ON id = ns";
    assert_eq!(sql(&s, &database_file(&s, "main"), items), "0");
    println!("{kills} moves, {cut} of them killed, {halfway} halfway; nothing lost");
}

#[test]
fn drops_that_are_killed_at_any_moment_are_whole() {
    let s = sandbox();
    s.run(["admin", "table", "create", "hot"]).prints("");
    s.run(["set", "p.other.k", "v"]).prints("");
    let kills = kills_of_a_worker();
    let (mut dice, mut time, mut cut, mut left) = (Dice(0x2545_f491_4f6c_dd1d), 30_000, 0, 0);
    for round in 0..kills {
        let table = ["hot", "own", "shared"][usize::try_from(round % 3).unwrap()];
        s.run(["admin", "namespace", "create", "p.n", "--table", table]).prints("");
        fill(&s, "p.n", ENTRIES);
        s.run(["set", "p.n.large"])
            .stdin("v".repeat(3000))
            .env("PRONTO_COMPRESS_ABOVE_BYTES", "0")
            .prints("");
        let start = Instant::now();
        let dropper = s.spawn(["admin", "namespace", "drop", "p.n", "--force"]);
        let killed = kill_at_some_moment(dropper, &mut dice, time);
        match killed {
            None => cut += 1,
            Some(code) => {
                assert_eq!(code, 0);
                time = u64::try_from(start.elapsed().as_micros()).unwrap();
            }
        }
        let count = s.run(["keys", "p.n", "--count"]).succeeds().stdout();
        let is_there = count == format!("{}\n", ENTRIES + 1);
        assert!(is_there || count == "0\n", "{count} of {ENTRIES}, killed in round {round}");
        assert!(killed.is_none() || !is_there);
        let leftovers = sql(
            &s,
            &database_file(&s, "main"),
            "SELECT count(*) FROM sqlite_schema WHERE name = 'sys_leftovers'",
        );
        if leftovers == "1"
            && sql(&s, &database_file(&s, "main"), "SELECT count(*) FROM sys_leftovers") != "0"
        {
            left += 1;
        }
        if !is_there {
            s.run(["set", "p.n.k00001", "new"]).prints("");
            s.run(["scan", "p.n"]).prints("k00001=new\n");
        }
        s.run(["admin", "namespace", "drop", "p.n", "--force"]).prints("");
        s.run(["scan", "p.other"]).prints("k=v\n");
        assert_whole(&s, &database_file(&s, "main"));
    }
    assert_eq!(sql(&s, &database_file(&s, "main"), "SELECT count(*) FROM sys_leftovers"), "0");
    assert_eq!(sql(&s, &database_file(&s, "main"), "SELECT count(*) FROM entries"), "1");
    println!("{kills} drops, {cut} of them killed, {left} with entries left behind; all were finished");
}

#[test]
fn what_a_killed_drop_has_left_behind_is_garbage() {
    let s = sandbox();
    fill(&s, "p.n", 15_000);
    let dropper = s.spawn(["admin", "namespace", "drop", "p.n", "--force"]);
    crate::common::wait_until("it is gone", || s.run(["nss"]).succeeds().stdout().is_empty());
    let finished = dropper.kill().code() == Some(0);
    let outcome = s.run(["admin", "gc", "--json"]).succeeds();
    let removed: serde_json::Value = serde_json::from_str(&outcome.stdout()).unwrap();
    assert!(finished || removed["leftovers"].as_u64().unwrap() <= 15_000, "{removed}");
    assert_eq!(sql(&s, &database_file(&s, "main"), "SELECT count(*) FROM entries"), "0");
}
