//! Listings of many entries: complete, in order, and in constant memory.

use std::fs;
use std::io::{PipeReader, Read};

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{database_file, json_of, sandbox, sql};

/// The value that every entry has.
const VALUE_BYTES: usize = 200;

/// A sandbox with `p.n.k000001` and so on. As many commands would take too long, so SQLite copies a first entry.
fn sandbox_with_many(count: usize) -> Sandbox {
    let s = sandbox();
    s.run(["set", "p.n.seed", &"v".repeat(VALUE_BYTES)]).prints("");
    let copies = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO entries (ns, name, version, created, updated, expires, writer, rank, size, large, value)
         SELECT ns, printf('k%06d', i), version, created, updated, expires, writer, rank, size, large, value
         FROM n, entries WHERE name = 'seed'"
    );
    sql(&s, &database_file(&s, "main"), &copies);
    s.run(["del", "p.n.seed"]).prints("");
    s
}

#[test]
fn many_keys_come_once_each_and_in_order() {
    let s = sandbox_with_many(20_000);
    let lines =
        |numbers: &mut dyn Iterator<Item = usize>| numbers.map(|i| format!("k{i:06}\n")).collect::<String>();
    s.run(["keys", "p.n"]).prints(lines(&mut (1..=20_000)));
    s.run(["keys", "p.n", "--reverse"]).prints(lines(&mut (1..=20_000).rev()));
    s.run(["keys", "p.n", "--after", "k009999", "--limit", "9000"]).prints(lines(&mut (10_000..19_000)));
    s.run(["keys", "p.n", "--glob", "*00"]).prints(lines(&mut (100..=20_000).step_by(100)));
    s.run(["keys", "p.n", "--count"]).prints("20000\n");
    s.run(["keys", "--count"]).prints("20000\n");
    assert_eq!(json_of(s.run(["scan", "p.n", "--json"])).as_array().map(Vec::len), Some(20_000));
}

#[test]
fn thousands_of_addresses_in_one_call_are_answered() {
    let s = sandbox_with_many(5_000);
    let addresses: Vec<_> = (1..=5_000).map(|i| format!("p.n.k{i:06}")).collect();
    s.run(["exists"].into_iter().chain(addresses.iter().map(String::as_str))).prints("");
    let get = ["get", "--json"].into_iter().chain(addresses.iter().map(String::as_str));
    assert_eq!(json_of(s.run(get)).as_array().map(Vec::len), Some(5_000));
    s.run(["del"].into_iter().chain(addresses.iter().map(String::as_str))).prints("");
    s.run(["keys", "--count"]).prints("0\n");
}

/// The most memory that a process has had so far, in KiB.
fn peak_memory(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")).unwrap().parse().unwrap()
}

fn skip(pipe: &mut PipeReader, bytes: usize) {
    let skipped = std::io::copy(&mut pipe.take(bytes as u64), &mut std::io::sink()).unwrap();
    assert_eq!(skipped, bytes as u64, "the listing is shorter than its values");
}

#[test]
fn listings_use_constant_memory() {
    const ENTRIES: usize = 100_000;
    let s = sandbox_with_many(ENTRIES);
    for args in [
        &["scan", "p.n"][..],
        &["scan"],
        &["scan", "p"],
        &["scan", "p.n", "--json"],
        &["scan", "p.n", "--jsonl", "--reverse"],
        &["scan", "p.n", "--long", "--glob", "k*"],
    ] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let process = s.run(args).stdout_to(writer).spawn();
        let bytes = ENTRIES * VALUE_BYTES;
        skip(&mut reader, bytes / 10);
        let early = peak_memory(process.id());
        skip(&mut reader, bytes / 10 * 8);
        let late = peak_memory(process.id());
        assert!(late < early + 4096, "{args:?}: from {early} to {late} KiB");
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        process.wait().succeeds();
    }
}
