//! Caches: namespaces whose entries expire and are evicted.

use std::thread;
use std::time::{Duration, Instant};

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{contents, refused, sandbox, sandbox_with, seconds_left, wait_until};

fn sandbox_with_cache(settings: &str) -> Sandbox {
    let s = sandbox();
    s.run(["create-cache", "p.c", settings]).prints("");
    s
}

/// Stores an entry that has expired by the time this returns, and is still on disk.
#[track_caller]
fn set_expired(s: &Sandbox, address: &str) {
    s.run(["set", address, "old", "--ttl", "1ms"]).prints("");
    thread::sleep(Duration::from_millis(2));
}

#[track_caller]
fn keys_are(s: &Sandbox, listing: &str) {
    s.run(["keys", "p.c"]).prints(listing);
}

// Making and changing caches.

#[test]
fn every_spelling_makes_the_same_cache() {
    for args in [
        &["create-cache", "p.c", "90"][..],
        &["create-cache", "p.c", "timeout=90"],
        &["create-cache", "p.c", "timeout_sec=90"],
        &["admin", "create-cache", "p.c", "90"],
        &["admin", "create-cache", "p.c", "timeout=90"],
        &["create-cache", "p.c", "timeout=90", "policy=lru", "max_items=5"],
        &["create-cache", "p.c", "timeout=90;policy=lru;max_items=5;max_bytes=100;evict_on_read=1"],
        &["create-cache", "p.c", "timeout=90 policy=ttl max_items=5"],
        &["admin", "create-cache", "p.c", "timeout=90; policy=fifo;", "evict_on_read=0"],
        &["create-cache", "p.c", "90", "policy=lru"],
        &["create-cache", "default.c", "90"],
    ] {
        let s = sandbox();
        s.run(args).prints("");
        let address = format!("{}.k", args.iter().find(|arg| arg.ends_with(".c")).unwrap());
        s.run(["set", &address, "v"]).prints("");
        let left = seconds_left(&s, &address);
        assert!((60..=90).contains(&left), "{args:?}: {left}");
    }
}

#[test]
fn timeouts_that_are_none_are_refused() {
    let s = sandbox_with([("p.n.k", "v")]);
    for timeout in
        ["0", "-5", "abc", "1x", "", "timeout=0", "timeout=-5", "timeout=abc", "timeout=", "timeout"]
    {
        for command in [&["create-cache"][..], &["admin", "create-cache"]] {
            refused(&s, &[command, &["p.c", "--", timeout]].concat(), 1, "invalid");
        }
    }
}

#[test]
fn a_missing_timeout_is_refused() {
    let s = sandbox_with([("p.n.k", "v")]);
    for args in [
        &["create-cache", "p.c"][..],
        &["create-cache", "p.c", "policy=lru"],
        &["admin", "create-cache", "p.c"],
    ] {
        let before = contents(&s);
        let outcome = s.run(args).fails_with_one_of(&[1, 64]);
        let says_why = outcome.stderr().contains("timeout") || outcome.stderr().contains("SECONDS");
        outcome.require(says_why, "expected a reason");
        assert_eq!(before, contents(&s));
    }
}

#[test]
fn addresses_of_other_than_two_parts_are_refused() {
    let s = sandbox_with([("p.n.k", "v")]);
    for address in ["p", "p.n.k", "p.n.k.x", "", ".", "p.", ".n"] {
        refused(&s, &["create-cache", address, "90"], 1, "invalid");
        refused(&s, &["admin", "set-cache", address, "timeout=90"], 1, "invalid");
        refused(&s, &["admin", "drop-cache", address], 1, "invalid");
    }
}

#[test]
fn unknown_settings_and_bad_values_are_refused_by_name() {
    let s = sandbox_with([("p.n.k", "v")]);
    s.run(["create-cache", "p.d", "90"]).prints("");
    for (setting, name) in [
        ("size=5", "size"),
        ("evict_on_read=2", "evict_on_read"),
        ("evict_on_read=yes", "evict_on_read"),
        ("max_items=abc", "max_items"),
        ("max_items=-1", "max_items"),
        ("max_bytes=1k", "max_bytes"),
        ("policy=random", "policy"),
        ("policy=", "policy"),
    ] {
        refused(&s, &["create-cache", "p.c", "90", setting], 1, "invalid").stderr_has(name);
        refused(&s, &["admin", "set-cache", "p.d", setting], 1, "invalid").stderr_has(name);
    }
}

#[test]
fn a_setting_given_twice_is_refused() {
    let s = sandbox_with([("p.n.k", "v")]);
    refused(&s, &["create-cache", "p.c", "timeout=5;timeout=6"], 1, "invalid").stderr_has("timeout");
    refused(&s, &["create-cache", "p.c", "5", "timeout_sec=6"], 1, "invalid").stderr_has("timeout");
}

#[test]
fn creating_it_again_changes_the_settings() {
    let s = sandbox_with_cache("90");
    s.run(["set", "p.c.a", "v"]).prints("");
    s.run(["create-cache", "p.c", "9000"]).prints("");
    s.run(["set", "p.c.b", "v"]).prints("");
    assert!(seconds_left(&s, "p.c.a") <= 90);
    assert!(seconds_left(&s, "p.c.b") > 8900);
}

#[test]
fn set_cache_changes_what_it_names() {
    let s = sandbox_with_cache("timeout=90;max_items=2");
    s.run(["admin", "set-cache", "p.c", "timeout=9000"]).prints("");
    s.run(["set", "p.c.a", "v"]).prints("");
    assert!(seconds_left(&s, "p.c.a") > 8900);
    s.run(["set", "p.c.b", "v"]).prints("");
    s.run(["set", "p.c.d", "v"]).prints("");
    keys_are(&s, "b\nd\n");
}

#[test]
fn set_cache_and_drop_cache_need_a_cache() {
    let s = sandbox_with([("p.n.k", "v")]);
    for namespace in ["p.n", "p.unknown"] {
        refused(&s, &["admin", "set-cache", namespace, "timeout=5"], 1, "invalid").stderr_has(namespace);
        refused(&s, &["admin", "drop-cache", namespace], 1, "invalid").stderr_has(namespace);
        refused(&s, &["admin", "drop-cache", namespace, "--discard"], 1, "invalid").stderr_has(namespace);
    }
}

#[test]
fn making_a_namespace_a_cache_keeps_its_keys() {
    let s = sandbox_with([("p.c.a", "1"), ("p.c.b", "2")]);
    s.run(["create-cache", "p.c", "1"]).prints("");
    s.run(["scan", "p.c"]).prints("a=1\nb=2\n");
    s.run(["set", "p.c.new", "v", "--ttl", "1ms"]).prints("");
    s.run(["admin", "gc"]).succeeds();
    s.run(["scan", "p.c"]).prints("a=1\nb=2\n");
}

#[test]
fn a_dropped_cache_keeps_live_values_without_expiry() {
    let s = sandbox_with_cache("90");
    s.run(["set", "p.c.a", "v"]).prints("");
    s.run(["admin", "drop-cache", "p.c"]).prints("");
    s.run(["get", "p.c.a"]).prints("v\n");
    s.run(["ttl", "p.c.a"]).prints("never\n");
    refused(&s, &["set", "p.c.b", "1", "--ttl", "5"], 2, "no_ttl");
    s.run(["set", "p.c.b", "v"]).prints("");
    s.run(["ttl", "p.c.b"]).prints("never\n");
    s.run(["admin", "drop-cache", "p.c"]).fails(1);
}

#[test]
fn a_dropped_cache_brings_nothing_back_to_life() {
    let s = sandbox_with_cache("90");
    set_expired(&s, "p.c.dead");
    s.run(["admin", "drop-cache", "p.c"]).prints("");
    s.run(["get", "p.c.dead"]).fails(2);
    s.run(["keys", "p.c"]).prints("");
    s.run(["create-cache", "p.c", "90"]).prints("");
    s.run(["get", "p.c.dead"]).fails(2);
}

#[test]
fn a_cache_dropped_with_discard_loses_its_values() {
    let s = sandbox_with_cache("90");
    s.run(["set", "p.c.a", "v"]).prints("");
    s.run(["set", "p.n.a", "v"]).prints("");
    s.run(["admin", "drop-cache", "p.c", "--discard"]).prints("");
    s.run(["keys"]).prints("p.n.a\n");
}

// Expiry.

#[test]
fn entries_get_the_default_time_and_writes_restart_it() {
    let s = sandbox_with_cache("90");
    s.run(["set", "p.c.k", "v", "--ttl", "5"]).prints("");
    assert!(seconds_left(&s, "p.c.k") <= 5);
    s.run(["set", "p.c.k", "v"]).prints("");
    let left = seconds_left(&s, "p.c.k");
    assert!((60..=90).contains(&left), "{left}");
}

#[test]
fn incr_and_append_keep_the_time_that_is_left() {
    let s = sandbox_with_cache("9000");
    s.run(["set", "p.c.k", "1", "--ttl", "90"]).prints("");
    s.run(["incr", "p.c.k"]).prints("2\n");
    s.run(["append", "p.c.k", "0"]).prints("");
    s.run(["get", "p.c.k"]).prints("20\n");
    assert!((60..=90).contains(&seconds_left(&s, "p.c.k")));
    s.run(["incr", "p.c.new"]).prints("1\n");
    assert!(seconds_left(&s, "p.c.new") > 8900);
}

#[test]
fn what_has_expired_is_as_good_as_absent_to_writes() {
    let s = sandbox_with_cache("90");
    for address in ["p.c.if-absent", "p.c.incr", "p.c.append", "p.c.touch", "p.c.present", "p.c.old"] {
        set_expired(&s, address);
    }
    s.run(["touch", "p.c.touch"]).fails(2).stdout_is("");
    s.run(["rename", "p.c.touch", "p.c.x"]).fails(2).stdout_is("");
    s.run(["set", "p.c.present", "v", "--if-present"]).fails(3).stdout_is("");
    s.run(["set", "p.c.if-absent", "v", "--if-absent"]).prints("");
    s.run(["incr", "p.c.incr"]).prints("1\n");
    s.run(["append", "p.c.append", "x"]).prints("");
    s.run(["get", "p.c.append"]).prints("x\n");
    s.run(["set", "p.c.old", "v", "--return", "old"]).prints("");
}

#[test]
fn expiry_is_never_early_and_never_late() {
    let s = sandbox_with_cache("90");
    let ttl = Duration::from_millis(300);
    let before = Instant::now();
    s.run(["set", "p.c.k", "v", "--ttl", "300ms"]).prints("");
    let after = Instant::now();
    loop {
        let asked = Instant::now();
        let code = s.run(["get", "p.c.k"]).outcome().code();
        let answered = Instant::now();
        if code == Some(2) {
            // The clock of the system counts whole milliseconds.
            assert!(
                answered - before + Duration::from_millis(1) >= ttl,
                "early, after {:?}",
                answered - before
            );
            break;
        }
        assert!(asked - after <= ttl, "late, after {:?}", asked - after);
    }
}

#[test]
fn no_command_sees_what_has_expired() {
    let s = sandbox_with_cache("90");
    s.run(["set", "p.c.live", "v"]).prints("");
    set_expired(&s, "p.c.dead");
    s.run(["get", "p.c.dead"]).fails(2).stdout_is("");
    s.run(["exists", "p.c.dead"]).fails(2);
    s.run(["ttl", "p.c.dead"]).fails(2);
    s.run(["keys", "p.c"]).prints("live\n");
    s.run(["scan", "p.c"]).prints("live=v\n");
    s.run(["keys", "--count"]).prints("1\n");
    s.run(["del", "p.c.dead", "--strict"]).fails(2);
    s.run(["copy", "p.c.dead", "p.c.x"]).fails(2);
}

#[test]
fn include_expired_shows_what_is_still_there() {
    let s = sandbox_with_cache("90");
    set_expired(&s, "p.c.dead");
    s.run(["get", "p.c.dead", "--include-expired"]).prints("old\n");
    s.run(["keys", "p.c", "--include-expired"]).prints("dead\n");
    s.run(["scan", "p.c", "--include-expired"]).prints("dead=old\n");
    s.run(["get", "p.c.dead"]).fails(2);
    s.run(["get", "p.c.dead", "--include-expired"]).prints("old\n");
}

#[test]
fn gc_removes_what_has_expired_and_nothing_else() {
    let s = sandbox_with_cache("90");
    s.run(["set", "p.n.k", "v"]).prints("");
    s.run(["set", "p.c.live", "v"]).prints("");
    set_expired(&s, "p.c.dead");
    s.run(["admin", "gc"]).succeeds();
    s.run(["keys", "--include-expired"]).prints("p.c.live\np.n.k\n");
}

#[test]
fn writes_remove_what_has_expired() {
    let s = sandbox_with_cache("90");
    set_expired(&s, "p.c.dead");
    s.run(["set", "p.c.live", "v"]).prints("");
    s.run(["keys", "p.c", "--include-expired"]).prints("live\n");
}

#[test]
fn with_evict_on_read_a_read_removes_what_has_expired() {
    let s = sandbox_with_cache("timeout=90;evict_on_read=1");
    set_expired(&s, "p.c.dead");
    s.run(["get", "p.c.dead"]).fails(2);
    s.run(["get", "p.c.dead", "--include-expired"]).fails(2);
}

#[test]
fn without_evict_on_read_reads_write_nothing() {
    let s = sandbox_with_cache("timeout=90;max_items=5");
    s.run(["set", "p.c.live", "v"]).prints("");
    set_expired(&s, "p.c.dead");
    let before = contents(&s);
    s.run(["get", "p.c.dead"]).fails(2);
    s.run(["get", "p.c.live"]).prints("v\n");
    s.run(["keys", "p.c"]).prints("live\n");
    assert_eq!(before, contents(&s));
}

// Limits.

#[test]
fn fifo_is_the_policy_unless_set() {
    for settings in ["timeout=90;max_items=2", "timeout=90;max_items=2;policy=fifo"] {
        let s = sandbox_with_cache(settings);
        s.run(["set", "p.c.b", "1"]).prints("");
        s.run(["set", "p.c.a", "2"]).prints("");
        s.run(["get", "p.c.b"]).prints("1\n");
        s.run(["set", "p.c.d", "3"]).prints("");
        keys_are(&s, "a\nd\n");
    }
}

#[test]
fn lru_counts_reads_as_use() {
    let s = sandbox_with_cache("timeout=90;max_items=2;policy=lru");
    s.run(["set", "p.c.b", "1"]).prints("");
    s.run(["set", "p.c.a", "2"]).prints("");
    s.run(["get", "p.c.b"]).prints("1\n");
    s.run(["set", "p.c.d", "3"]).prints("");
    keys_are(&s, "b\nd\n");
}

#[test]
fn ttl_evicts_what_expires_soonest() {
    let s = sandbox_with_cache("timeout=90;max_items=2;policy=ttl");
    s.run(["set", "p.c.a", "1"]).prints("");
    s.run(["set", "p.c.b", "2", "--ttl", "50"]).prints("");
    s.run(["set", "p.c.d", "3"]).prints("");
    keys_are(&s, "a\nd\n");
}

#[test]
fn every_write_keeps_to_max_items() {
    let s = sandbox_with_cache("timeout=90;max_items=2");
    let count_is_kept = || {
        let count: u64 = s.run(["keys", "p.c", "--count"]).succeeds().stdout().trim().parse().unwrap();
        assert!(count <= 2, "{count}");
    };
    s.run(["set", "p.n.k", "v"]).prints("");
    for args in [
        &["set", "p.c.a", "v"][..],
        &["set", "p.c.b", "v"],
        &["incr", "p.c.d"],
        &["append", "p.c.e", "v"],
        &["copy", "p.n.k", "p.c.f"],
        &["rename", "p.n.k", "p.c.g"],
    ] {
        s.run(args).succeeds();
        count_is_kept();
    }
    keys_are(&s, "f\ng\n");
}

#[test]
fn writing_an_entry_again_evicts_nobody() {
    let s = sandbox_with_cache("timeout=90;max_items=2");
    for value in ["1", "2", "3"] {
        s.run(["set", "p.c.a", value]).prints("");
        s.run(["set", "p.c.b", value]).prints("");
    }
    keys_are(&s, "a\nb\n");
}

#[test]
fn every_write_keeps_to_max_bytes() {
    let s = sandbox_with_cache("timeout=90;max_bytes=1000");
    let value = "x".repeat(400);
    for key in ["a", "b", "d"] {
        s.run(["set", &format!("p.c.{key}"), &value]).prints("");
    }
    keys_are(&s, "b\nd\n");
    s.run(["append", "p.c.d", &"y".repeat(300)]).prints("");
    keys_are(&s, "d\n");
}

#[test]
fn a_value_that_alone_is_over_max_bytes_is_refused() {
    let s = sandbox_with_cache("timeout=90;max_bytes=1000");
    s.run(["set", "p.c.a", "v"]).prints("");
    refused(&s, &["set", "p.c.b", &format!("\"{}\"", "x".repeat(2000))], 6, "limit");
    keys_are(&s, "a\n");
}

#[test]
fn expired_entries_make_room_before_live_ones_are_evicted() {
    let s = sandbox_with_cache("timeout=90;max_items=2");
    s.run(["set", "p.c.live", "v"]).prints("");
    set_expired(&s, "p.c.dead");
    s.run(["set", "p.c.new", "v"]).prints("");
    keys_are(&s, "live\nnew\n");
}

#[test]
fn a_limit_that_is_lowered_holds_after_the_next_write() {
    let s = sandbox_with_cache("timeout=90;max_items=10");
    for key in ["a", "b", "d", "e"] {
        s.run(["set", &format!("p.c.{key}"), "v"]).prints("");
    }
    s.run(["admin", "set-cache", "p.c", "max_items=2"]).prints("");
    s.run(["set", "p.c.f", "v"]).prints("");
    keys_are(&s, "e\nf\n");
}

#[test]
fn limits_given_to_a_namespace_with_keys_hold_after_the_next_write() {
    let s = sandbox_with([("p.c.a", "1"), ("p.c.b", "2"), ("p.c.d", "3")]);
    s.run(["create-cache", "p.c", "timeout=90;max_items=2"]).prints("");
    s.run(["set", "p.c.e", "4"]).prints("");
    s.run(["keys", "p.c", "--count"]).prints("2\n");
    s.run(["exists", "p.c.e"]).succeeds();
}

#[test]
fn limits_are_those_of_one_cache() {
    let s = sandbox_with_cache("timeout=90;max_items=1");
    s.run(["create-cache", "p.d", "90"]).prints("");
    for address in ["p.d.a", "p.c.a", "p.n.a", "p.d.b", "p.c.b", "p.n.b"] {
        s.run(["set", address, "v"]).prints("");
    }
    s.run(["keys"]).prints("p.c.b\np.d.a\np.d.b\np.n.a\np.n.b\n");
}

#[test]
fn deleting_makes_room() {
    let s = sandbox_with_cache("timeout=90;max_items=2");
    s.run(["set", "p.c.a", "v"]).prints("");
    s.run(["set", "p.c.b", "v"]).prints("");
    s.run(["del", "p.c.b"]).prints("");
    s.run(["set", "p.c.d", "v"]).prints("");
    keys_are(&s, "a\nd\n");
}

#[test]
fn several_writers_keep_to_max_items() {
    let s = sandbox_with_cache("timeout=90;max_items=3");
    let writers: Vec<_> = (0..16).map(|i| s.spawn(["set", &format!("p.c.k{i}"), "v"])).collect();
    for writer in writers {
        writer.wait().prints("");
    }
    s.run(["keys", "p.c", "--count"]).prints("3\n");
}

#[test]
fn one_second_is_one_second() {
    let s = sandbox_with_cache("1");
    let before = Instant::now();
    s.run(["set", "p.c.k", "v"]).prints("");
    wait_until("the entry has expired", || s.run(["exists", "p.c.k"]).outcome().code() == Some(2));
    assert!(before.elapsed() >= Duration::from_millis(999), "{:?}", before.elapsed());
}
