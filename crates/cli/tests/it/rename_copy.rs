//! `rename` and `copy`.

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{json_of, refused, refuses, sandbox_with, seconds_left};

/// A sandbox with `p.n.k` and a cache `p.c`.
fn sandbox_with_cache() -> Sandbox {
    let s = sandbox_with([("p.n.k", "v")]);
    s.run(["create-cache", "p.c", "1000"]).prints("");
    s
}

#[test]
fn rename_moves_an_entry() {
    let s = sandbox_with([("p.n.a", "v")]);
    s.run(["rename", "p.n.a", "q.m.b__c"]).prints("");
    s.run(["keys"]).prints("q.m.b__c\n");
    s.run(["get", "q.m.b__c"]).prints("v\n");
}

#[test]
fn copy_leaves_the_source() {
    let s = sandbox_with([("p.n.a", "v")]);
    s.run(["copy", "p.n.a", "p.n.b"]).prints("");
    s.run(["get", "p.n.a"]).prints("v\n");
    s.run(["get", "p.n.b"]).prints("v\n");
}

#[test]
fn copy_with_move_is_a_rename() {
    let s = sandbox_with([("p.n.a", "v")]);
    s.run(["copy", "p.n.a", "q.n.a", "--move"]).prints("");
    s.run(["keys"]).prints("q.n.a\n");
}

#[test]
fn every_byte_arrives() {
    let bytes: Vec<u8> = (0..=255).collect();
    let s = sandbox_with([]);
    s.run(["set", "a"]).stdin(bytes.clone()).prints("");
    s.run(["copy", "a", "b"]).prints("");
    s.run(["rename", "b", "c"]).prints("");
    s.run(["get", "c", "--raw"]).prints(bytes);
}

#[test]
fn a_missing_source_is_exit_2() {
    let s = sandbox_with([("b", "v")]);
    refuses(&s, s.run(["rename", "missing", "b"]), 2).stderr_has("missing");
    refuses(&s, s.run(["copy", "missing", "b"]), 2).stderr_has("missing");
    refuses(&s, s.run(["copy", "missing", "b", "--move"]), 2).stderr_has("missing");
}

#[test]
fn an_existing_target_is_replaced() {
    let s = sandbox_with([("a", "new"), ("b", "old"), ("c", "old")]);
    s.run(["copy", "a", "b"]).prints("");
    s.run(["get", "b"]).prints("new\n");
    s.run(["rename", "a", "c"]).prints("");
    s.run(["get", "c"]).prints("new\n");
    s.run(["get", "a"]).fails(2);
}

#[test]
fn if_absent_refuses_an_existing_target() {
    let s = sandbox_with([("a", "new"), ("b", "0123456789")]);
    for command in [&["copy", "a", "b"][..], &["rename", "a", "b"], &["copy", "--move", "a", "b"]] {
        let args = [command, &["--if-absent"]].concat();
        refused(&s, &args, 3, "conflict").stderr_has("version 2").stderr_lacks("0123456789");
    }
    s.run(["rename", "a", "c", "--if-absent"]).prints("");
    s.run(["copy", "c", "d", "--if-absent"]).prints("");
    s.run(["keys", "default.default"]).prints("b\nc\nd\n");
}

#[test]
fn onto_itself_nothing_is_lost() {
    let s = sandbox_with([("a", "v")]);
    for args in
        [&["rename", "a", "a"][..], &["copy", "a", "a"], &["copy", "a", "default.default.a", "--move"]]
    {
        s.run(args).fails_with_one_of(&[0, 1, 3]);
        s.run(["get", "a"]).prints("v\n");
    }
}

#[test]
fn bad_addresses_are_refused_on_either_side() {
    let s = sandbox_with([("a", "v")]);
    for command in ["rename", "copy"] {
        refused(&s, &[command, "a", "a.b.c.d"], 1, "invalid").stderr_has("a.b.c.d");
        refused(&s, &[command, "a..b", "c"], 1, "invalid").stderr_has("empty");
        refused(&s, &[command, "a"], 64, "usage");
        refused(&s, &[command], 64, "usage");
        refused(&s, &[command, "a", "b", "c"], 64, "usage");
    }
}

#[test]
fn a_copy_has_a_version_of_its_own() {
    let s = sandbox_with([("a", "v")]);
    s.run(["copy", "a", "b"]).prints("");
    assert_eq!(json_of(s.run(["get", "b", "--json", "--meta"]))["version"], 2);
    assert_eq!(json_of(s.run(["get", "a", "--json", "--meta"]))["version"], 1);
}

#[test]
fn the_time_left_goes_along_into_a_cache() {
    let s = sandbox_with_cache();
    s.run(["create-cache", "q.c", "5"]).prints("");
    s.run(["set", "p.c.a", "v", "--ttl", "100"]).prints("");
    s.run(["copy", "p.c.a", "q.c.a"]).prints("");
    assert!((50..=100).contains(&seconds_left(&s, "q.c.a")));
    s.run(["rename", "p.c.a", "p.c.b"]).prints("");
    assert!((50..=100).contains(&seconds_left(&s, "p.c.b")));
}

#[test]
fn the_time_left_stays_behind_where_none_is_kept() {
    let s = sandbox_with_cache();
    s.run(["set", "p.c.a", "v", "--ttl", "100"]).prints("");
    s.run(["copy", "p.c.a", "p.n.a"]).prints("");
    s.run(["ttl", "p.n.a"]).prints("never\n");
    s.run(["rename", "p.c.a", "p.n.b"]).prints("");
    s.run(["ttl", "p.n.b"]).prints("never\n");
}

#[test]
fn what_comes_into_a_cache_without_a_time_gets_the_default() {
    let s = sandbox_with_cache();
    s.run(["copy", "p.n.k", "p.c.k"]).prints("");
    assert!((900..=1000).contains(&seconds_left(&s, "p.c.k")));
}
