//! `del`: removes entries, and says nothing when there were none.

use crate::common::{contents, refused, refuses, sandbox_with};

#[test]
fn what_is_deleted_is_gone() {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b", "2")]);
    s.run(["del", "p.n.a"]).prints("");
    s.run(["get", "p.n.a"]).fails(2);
    s.run(["get", "p.n.b"]).prints("2\n");
}

#[test]
fn several_addresses_are_deleted_at_once() {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b", "2"), ("q.n.a", "3"), ("k", "4")]);
    s.run(["del", "p.n.a", "q.n.a", "k"]).prints("");
    s.run(["keys"]).prints("p.n.b\n");
}

#[test]
fn deleting_nothing_is_a_success() {
    let s = sandbox_with([("k", "v")]);
    s.run(["del", "missing"]).prints("");
    s.run(["del", "missing", "k"]).prints("");
    s.run(["keys", "--count"]).prints("0\n");
}

#[test]
fn strict_minds_what_is_missing() {
    let s = sandbox_with([("k", "v")]);
    refuses(&s, s.run(["del", "missing", "--strict"]), 2).stderr_has("missing");
    s.run(["del", "k", "--strict"]).prints("");
    s.run(["del", "k", "--strict"]).fails(2);
}

#[test]
fn one_bad_address_spoils_the_whole_call() {
    let s = sandbox_with([("a.b.c", "v")]);
    refused(&s, &["del", "a.b.c", "a.b.c.d"], 1, "invalid").stderr_has("a.b.c.d");
}

#[test]
fn an_address_is_needed() {
    let s = sandbox_with([("k", "v")]);
    refused(&s, &["del"], 64, "usage");
}

#[test]
fn contexts_are_deleted_one_by_one() {
    let s = sandbox_with([("k", "plain"), ("k__c", "context")]);
    s.run(["del", "k", "--context", "c"]).prints("");
    s.run(["get", "k"]).prints("plain\n");
    s.run(["get", "k__c"]).fails(2);
}

#[test]
fn a_prefix_needs_yes_off_a_terminal() {
    let s = sandbox_with([("p.n.xa", "1")]);
    refused(&s, &["del", "--prefix", "p.n.x"], 64, "usage").stderr_has("--yes");
    refuses(&s, s.run(["del", "--prefix", "p.n.x"]).stdin("y\n"), 64).stderr_has("--yes");
}

#[test]
fn a_prefix_deletes_what_starts_with_it_and_says_how_many() {
    let s =
        sandbox_with([("p.n.xa", "1"), ("p.n.xb__c", "2"), ("p.n.y", "3"), ("p.m.xa", "4"), ("p.n.Xa", "5")]);
    s.run(["del", "--prefix", "p.n.x", "--yes"]).prints("").stderr_has("2");
    s.run(["keys"]).prints("p.m.xa\np.n.Xa\np.n.y\n");
}

#[test]
fn a_prefix_with_flags_is_the_start_of_a_key() {
    let s = sandbox_with([("p.n.xa", "1"), ("p.n.y", "2"), ("p.m.xa", "3")]);
    s.run(["del", "-p", "p", "-n", "n", "--prefix", "x", "--yes"]).prints("").stderr_has("1");
    s.run(["keys"]).prints("p.m.xa\np.n.y\n");
}

#[test]
fn prefixes_are_literal() {
    let s = sandbox_with([("p.n.%a", "1"), ("p.n.xa", "2"), ("p.n._b", "3"), ("p.n.*", "4")]);
    for (prefix, left) in [("p.n.%", "*\n_b\nxa\n"), ("p.n.*", "_b\nxa\n"), ("p.n._", "xa\n")] {
        s.run(["del", "--prefix", prefix, "--yes"]).prints("").stderr_has("1");
        s.run(["keys", "p.n"]).prints(left);
    }
}

#[test]
fn a_prefix_that_nothing_starts_with_deletes_none_and_says_so() {
    let s = sandbox_with([("p.n.k", "1")]);
    let before = contents(&s);
    s.run(["del", "--prefix", "p.n.x", "--yes"]).prints("").stderr_has("0");
    assert_eq!(before, contents(&s));
}

#[test]
fn on_a_terminal_a_prefix_asks() {
    let s = sandbox_with([("p.n.xa", "1"), ("p.n.y", "2")]);
    let command = format!("'{}' del --prefix p.n.x", s.program().display());
    let answer =
        |text: &str| s.run_other("script", ["-qec", &command, "/dev/null"]).stdin(text).outcome().code();
    assert_ne!(answer("n\n"), None);
    s.run(["keys", "p.n"]).prints("xa\ny\n");
    assert_eq!(answer("y\n"), Some(0));
    s.run(["keys", "p.n"]).prints("y\n");
}

#[test]
fn a_dry_run_prints_what_would_go() {
    let s = sandbox_with([("p.n.a1", "1"), ("p.n.a2", "2"), ("p.n.b", "3")]);
    s.run(["del", "p.n.a1", "p.n.none", "--dry-run"]).prints("p.n.a1\n").stderr_has("1 entry would go");
    s.run(["del", "p.n.a1", "p.n.none", "--dry-run", "--strict"]).fails(2).stdout_is("");
    s.run(["del", "--prefix", "p.n.a", "--dry-run"])
        .prints("p.n.a1\np.n.a2\n")
        .stderr_has("2 entries would go");
    s.run(["del", "--prefix", "p.n.a", "--dry-run", "--json"]).prints("[\"p.n.a1\",\"p.n.a2\"]\n");
    s.run(["del", "p.n.a1", "--dry-run", "--if-version", "1"]).fails(64);
    s.run(["admin", "key", "drop", "p.n.b", "--dry-run"]).prints("p.n.b\n");
    s.run(["admin", "drop-key", "p.n.none", "--dry-run"]).fails(2);
    s.run(["create-cache", "p.c", "90"]).prints("");
    s.run(["set", "p.c.k", "12345"]).prints("");
    let told = s.run(["admin", "drop-cache", "p.c", "--discard", "--dry-run"]).prints("1\t6\tp.c\n");
    told.stderr_has("its entries would go, and 1 entry");
    s.run(["admin", "drop-cache", "p.n", "--discard", "--dry-run"]).fails(1).stderr_has("it is no cache");
    s.run(["admin", "drop-cache", "p.c", "--dry-run"]).fails(64);
    s.run(["keys", "--count"]).prints("4\n");
}
