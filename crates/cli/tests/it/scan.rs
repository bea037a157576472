//! `scan`: keys with their values.

use serde_json::json;

use crate::common::{json_of, refused, sandbox, sandbox_with};

#[test]
fn keys_and_values_come_in_byte_order() {
    let s = sandbox_with([("p.n.b", "2"), ("p.n.a", "x=y"), ("p.n.a__c", ""), ("q.n.a", "3")]);
    s.run(["scan", "p.n"]).prints("a=x=y\na__c=\nb=2\n").stderr_is("");
    s.run(["scan", "p.n.a"]).prints("a=x=y\na__c=\n");
    s.run(["scan"]).prints("p.n.a=x=y\np.n.a__c=\np.n.b=2\nq.n.a=3\n");
    s.run(["scan", "q"]).prints("q.n.a=3\n");
    s.run(["scan", "-p", "p", "-n", "n", "b"]).prints("b=2\n");
}

#[test]
fn json_is_one_array() {
    let s = sandbox_with([("p.n.a", r#"{"y":1,"x":[]}"#), ("p.n.b", "text"), ("p.n.c", "7")]);
    s.run(["set", "p.n.d"]).stdin(b"\xff").prints("");
    let expected = json!([{"k": "a", "v": r#"{"y":1,"x":[]}"#}, {"k": "b", "v": "text"}, {"k": "c", "v": "7"}, {"k": "d", "v64": "/w=="}]);
    assert_eq!(json_of(s.run(["scan", "p.n", "--json"])), expected);
    assert_eq!(json_of(s.run(["scan", "p.x", "--json"])), json!([]));
}

#[test]
fn jsonl_is_one_object_a_line() {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b", "two\nlines")]);
    s.run(["scan", "p.n", "--jsonl"])
        .prints("{\"k\":\"a\",\"v\":\"1\"}\n{\"k\":\"b\",\"v\":\"two\\nlines\"}\n");
}

#[test]
fn json_of_several_namespaces_has_full_addresses() {
    let s = sandbox_with([("p.n.a", "1"), ("k", "2")]);
    assert_eq!(
        json_of(s.run(["scan", "--json"])),
        json!([{"k": "default.default.k", "v": "2"}, {"k": "p.n.a", "v": "1"}])
    );
}

#[test]
fn options_of_listings_work() {
    let s = sandbox_with([("p.n.a", "1"), ("p.n.b", "2"), ("p.n.b__c", "3"), ("p.n.d", "4")]);
    s.run(["scan", "p.n", "--limit", "1"]).prints("a=1\n");
    s.run(["scan", "p.n", "--after", "b__c"]).prints("d=4\n");
    s.run(["scan", "p.n", "--reverse", "--limit", "2"]).prints("d=4\nb__c=3\n");
    s.run(["scan", "p.n", "--glob", "?"]).prints("a=1\nb=2\nd=4\n");
    s.run(["scan", "p.n", "--context", "c"]).prints("b__c=3\n");
    s.run(["scan", "p.n", "--count"]).prints("4\n");
    s.run(["scan", "p.n.b", "-0"]).prints("b=2\0b__c=3\0");
}

#[test]
fn values_are_printed_byte_for_byte() {
    let s = sandbox();
    s.run(["set", "p.n.k"]).stdin(b"\xff\x00\n\xfe").prints("");
    s.run(["scan", "p.n", "-0"]).prints(b"k=\xff\x00\n\xfe\0");
}

#[test]
fn long_ends_with_key_and_value() {
    let s = sandbox_with([("p.n.a", "one")]);
    let line = s.run(["scan", "p.n", "--long"]).succeeds().stdout();
    let columns: Vec<_> = line.trim_end().split('\t').collect();
    assert_eq!(columns.len(), 6, "{line}");
    assert_eq!((columns[0], columns[3], columns[5]), ("1", "3", "a=one"));
}

#[test]
fn when_nothing_matches_one_line_on_stderr_says_so() {
    let s = sandbox_with([("p.n.a", "1")]);
    for args in [["scan", "p.x"], ["scan", "x"], ["scan", "p.n.x"]] {
        let outcome = s.run(args).prints("");
        outcome.require(outcome.stderr().lines().count() == 1, "expected one line on stderr");
    }
}

#[test]
fn superfluous_arguments_are_refused() {
    let s = sandbox_with([("p.n.a", "1")]);
    refused(&s, &["scan", "p.n", "q.n"], 64, "usage");
    refused(&s, &["scan", "p.n", "--bogus"], 64, "usage");
}
