//! `keys` and `ls`: one key a line, in byte order.

use prontodb_testkit::sandbox::Sandbox;
use serde_json::json;

use crate::common::{contents, json_of, refused, refuses, sandbox, sandbox_with, wait_until};

fn some_keys() -> Sandbox {
    sandbox_with([
        ("p.n.b", "1"),
        ("p.n.a", "22"),
        ("p.n.k__c", "333"),
        ("p.n.k", ""),
        ("p.n.kb", "4"),
        ("p.n.K", "5"),
        ("p.m.a", "6"),
        ("q.n.a", "7"),
        ("n.d", "8"),
        ("e", "9"),
    ])
}

#[test]
fn keys_of_a_namespace_come_bare_and_in_byte_order() {
    let s = some_keys();
    s.run(["keys", "p.n"]).prints("K\na\nb\nk\nk__c\nkb\n").stderr_is("");
    s.run(["ls", "p.n"]).prints("K\na\nb\nk\nk__c\nkb\n");
}

#[test]
fn byte_order_is_that_of_utf8() {
    let s = sandbox_with([("é", "1"), ("z", "2"), ("~", "3"), ("\u{ffff}", "4"), ("🗝", "5"), ("A", "6")]);
    s.run(["keys", "default.default"]).prints("A\nz\n~\né\n\u{ffff}\n🗝\n");
}

#[test]
fn a_third_part_is_a_prefix() {
    let s = some_keys();
    s.run(["keys", "p.n.k"]).prints("k\nk__c\nkb\n");
    s.run(["keys", "p.n.k__"]).prints("k__c\n");
    s.run(["keys", "p.n.K"]).prints("K\n");
}

#[test]
fn prefixes_are_literal() {
    let s = sandbox_with([
        ("p.n.%a", ""),
        ("p.n._a", ""),
        ("p.n.*", ""),
        ("p.n.[x]", ""),
        ("p.n.xa", ""),
        ("p.n.?", ""),
    ]);
    for (prefix, shown) in
        [("%", "%a\n"), ("_", "_a\n"), ("*", "*\n"), ("[", "[x]\n"), ("?", "?\n"), ("x", "xa\n")]
    {
        s.run(["keys", &format!("p.n.{prefix}")]).prints(shown);
    }
}

#[test]
fn with_flags_the_argument_is_a_prefix_there() {
    let s = some_keys();
    s.run(["keys", "-p", "p", "-n", "n", "k"]).prints("k\nk__c\nkb\n");
    s.run(["keys", "-p", "p", "-n", "m"]).prints("a\n");
    s.run(["keys", "-n", "n"]).prints("d\n");
    s.run(["keys", "-p", "default"]).prints("e\n");
}

#[test]
fn no_argument_lists_all_as_full_addresses() {
    let s = some_keys();
    let all = "default.default.e\ndefault.n.d\np.m.a\np.n.K\np.n.a\np.n.b\np.n.k\np.n.k__c\np.n.kb\nq.n.a\n";
    s.run(["keys"]).prints(all);
    s.run(["ls"]).prints(all);
}

#[test]
fn one_part_is_a_project_and_a_namespace_of_the_default_project() {
    let s = some_keys();
    s.run(["set", "default.p.x", "v"]).prints("");
    s.run(["keys", "q"]).prints("q.n.a\n");
    s.run(["keys", "n"]).prints("default.n.d\n");
    s.run(["keys", "p"]).prints("default.p.x\np.m.a\np.n.K\np.n.a\np.n.b\np.n.k\np.n.k__c\np.n.kb\n");
    s.run(["keys", "default"]).prints("default.default.e\ndefault.n.d\ndefault.p.x\n");
}

#[test]
fn every_full_address_can_be_used_as_input() {
    let s = some_keys();
    for address in s.run(["keys"]).succeeds().stdout().lines() {
        s.run(["exists", address]).succeeds();
    }
    for key in s.run(["keys", "p.n"]).succeeds().stdout().lines() {
        s.run(["exists", "-p", "p", "-n", "n", key]).succeeds();
    }
}

#[test]
fn when_nothing_matches_one_line_on_stderr_says_so() {
    let s = some_keys();
    for args in [
        &["keys", "p.n.x"][..],
        &["keys", "p.x"],
        &["keys", "x"],
        &["keys", "-p", "x"],
        &["keys", "p.n", "--glob", "x"],
    ] {
        let outcome = s.run(args).prints("");
        outcome.require(outcome.stderr().lines().count() == 1, "expected one line on stderr");
    }
}

#[test]
fn with_json_nothing_is_an_empty_array() {
    let s = some_keys();
    assert_eq!(json_of(s.run(["keys", "p.x", "--json"])), json!([]));
    s.run(["keys", "p.x", "--count"]).prints("0\n");
    s.run(["keys", "p.x", "--jsonl"]).prints("");
}

#[test]
fn limit_after_and_reverse_page_through() {
    let s = some_keys();
    s.run(["keys", "p.n", "--limit", "2"]).prints("K\na\n");
    s.run(["keys", "p.n", "--limit", "2", "--after", "a"]).prints("b\nk\n");
    s.run(["keys", "p.n", "--limit=2", "--after=k"]).prints("k__c\nkb\n");
    s.run(["keys", "p.n", "--after", "kb"]).prints("");
    s.run(["keys", "p.n", "--after", "bb", "--limit", "1"]).prints("k\n");
    s.run(["keys", "p.n", "--reverse"]).prints("kb\nk__c\nk\nb\na\nK\n");
    s.run(["keys", "p.n", "--reverse", "--after", "k", "--limit", "2"]).prints("b\na\n");
    s.run(["keys", "p.n.k", "--reverse", "--limit", "1"]).prints("kb\n");
    s.run(["keys", "p.n.k", "--after", "k"]).prints("k__c\nkb\n");
}

#[test]
fn limit_holds_across_namespaces() {
    let s = some_keys();
    s.run(["keys", "--limit", "3"]).prints("default.default.e\ndefault.n.d\np.m.a\n");
    s.run(["keys", "--reverse", "--limit", "2"]).prints("q.n.a\np.n.kb\n");
}

#[test]
fn limits_that_are_no_numbers_are_refused() {
    let s = some_keys();
    for limit in ["abc", "-1", "", "1.5", "99999999999999999999999"] {
        s.run(["keys", "p.n", &format!("--limit={limit}")]).fails_with_one_of(&[1, 64]).stdout_is("");
    }
}

#[test]
fn globs_match_the_whole_key() {
    let s = some_keys();
    for (glob, shown) in [
        ("k*", "k\nk__c\nkb\n"),
        ("k?", "kb\n"),
        ("?", "K\na\nb\nk\n"),
        ("[ab]", "a\nb\n"),
        ("*c", "k__c\n"),
        ("k", "k\n"),
        ("*", "K\na\nb\nk\nk__c\nkb\n"),
    ] {
        s.run(["keys", "p.n", "--glob", glob]).prints(shown);
    }
    s.run(["keys", "p.n.k", "--glob", "*b"]).prints("kb\n");
    s.run(["keys", "--glob", "a"]).prints("p.m.a\np.n.a\nq.n.a\n");
    s.run(["keys", "p.n", "--glob", "k*", "--limit", "1", "--reverse"]).prints("kb\n");
}

#[test]
fn a_context_keeps_its_entries_alone() {
    let s = some_keys();
    s.run(["keys", "p.n", "--context", "c"]).prints("k__c\n");
    s.run(["keys", "--context", "c"]).prints("p.n.k__c\n");
    s.run(["keys", "p.n.b", "--context", "c"]).prints("");
    s.run(["keys", "p.n", "--context", "c", "--count"]).prints("1\n");
}

#[test]
fn count_prints_the_number_alone() {
    let s = some_keys();
    s.run(["keys", "--count"]).prints("10\n");
    s.run(["keys", "p.n", "--count"]).prints("6\n");
    s.run(["keys", "p.n.k", "--count"]).prints("3\n");
    s.run(["keys", "p.n", "--glob", "k?", "--count"]).prints("1\n");
}

#[test]
fn a_nul_ends_each_item_with_dash_0() {
    let s = some_keys();
    s.run(["keys", "p.n.k", "-0"]).prints("k\0k__c\0kb\0");
}

#[test]
fn json_is_one_array() {
    let s = some_keys();
    assert_eq!(json_of(s.run(["keys", "p.n.k", "--json"])), json!([{"k": "k"}, {"k": "k__c"}, {"k": "kb"}]));
    assert_eq!(json_of(s.run(["keys", "q", "--json"])), json!([{"k": "q.n.a"}]));
    s.run(["keys", "p.n.k", "--json"]).succeeds().stdout_has("{\"k\":\"k__c\"}");
}

#[test]
fn jsonl_is_one_object_a_line() {
    let s = some_keys();
    s.run(["keys", "p.n.k", "--jsonl"]).prints("{\"k\":\"k\"}\n{\"k\":\"k__c\"}\n{\"k\":\"kb\"}\n");
}

#[test]
fn names_that_json_must_escape_come_back() {
    let s = sandbox();
    s.run(["set", "p.n.a\"b\\c/ü", "v"]).prints("");
    assert_eq!(json_of(s.run(["keys", "p.n", "--json"])), json!([{"k": "a\"b\\c/ü"}]));
}

#[test]
fn long_adds_version_age_ttl_size_and_writer() {
    let s = some_keys();
    s.run(["create-cache", "p.c", "1000"]).prints("");
    s.run(["set", "p.c.x", "12345"]).prints("");
    let listing = s.run(["keys", "p.n", "--long"]).succeeds().stdout();
    let rows: Vec<Vec<_>> = listing.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 6, "{listing}");
    for (row, (version, size, name)) in
        rows.iter().zip([(6, 1, "K"), (2, 2, "a"), (1, 1, "b"), (4, 0, "k"), (3, 3, "k__c"), (5, 1, "kb")])
    {
        assert_eq!(row.len(), 6, "{row:?}");
        assert_eq!((row[0], row[3], row[5]), (version.to_string().as_str(), size.to_string().as_str(), name));
        assert!(row.iter().all(|column| !column.is_empty()), "{row:?}");
    }
    let cached = s.run(["keys", "p.c", "--long"]).succeeds().stdout();
    let row: Vec<_> = cached.trim_end().split('\t').collect();
    assert_ne!(row[2], rows[0][2], "an entry that expires shows another ttl than one that never does");
}

#[test]
fn expired_entries_are_not_there() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "1000"]).prints("");
    s.run(["set", "p.c.a", "v"]).prints("");
    s.run(["set", "p.c.b", "v", "--ttl", "1ms"]).prints("");
    wait_until("the entry has expired", || s.run(["exists", "p.c.b"]).outcome().code() == Some(2));
    s.run(["keys", "p.c"]).prints("a\n");
    s.run(["keys"]).prints("p.c.a\n");
    s.run(["keys", "p.c", "--count"]).prints("1\n");
    s.run(["keys", "p.c", "--include-expired"]).prints("a\nb\n");
}

#[test]
fn unknown_flags_and_superfluous_arguments_are_refused() {
    let s = some_keys();
    refused(&s, &["keys", "p.n", "--bogus"], 64, "usage").stderr_has("--bogus");
    refused(&s, &["keys", "p.n", "q.n"], 64, "usage");
    refuses(&s, s.run(["keys", "p.n", "--json", "--jsonl"]), 64);
}

#[test]
fn reads_write_nothing() {
    let s = some_keys();
    let before = contents(&s);
    for args in
        [&["keys"][..], &["keys", "p.n", "--long"], &["keys", "p.x"], &["keys", "--count"], &["ls", "x"]]
    {
        s.run(args).succeeds();
    }
    assert_eq!(before, contents(&s));
}
