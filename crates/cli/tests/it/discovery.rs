//! `projects`, `namespaces` and `nss`: what there is.

use prontodb_testkit::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::common::{contents, json_of, refused, sandbox, sandbox_with};

fn some_namespaces() -> Sandbox {
    let s = sandbox_with([
        ("q.n.k", "1"),
        ("p.b.k", "22"),
        ("p.b.l", "333"),
        ("p.a.k", "4"),
        ("k", "5"),
        ("P.a.k", "6"),
    ]);
    s.run(["create-cache", "p.c", "90"]).prints("");
    s
}

#[test]
fn projects_are_bare_sorted_names() {
    some_namespaces().run(["projects"]).prints("P\ndefault\np\nq\n").stderr_is("");
}

#[test]
fn namespaces_of_a_project_are_bare_sorted_names() {
    let s = some_namespaces();
    s.run(["namespaces", "-p", "p"]).prints("a\nb\nc\n");
    s.run(["--project", "default", "namespaces"]).prints("default\n");
}

#[test]
fn namespaces_without_a_project_is_refused_and_says_so() {
    let s = some_namespaces();
    refused(&s, &["namespaces"], 64, "usage").stderr_has("-p");
}

#[test]
fn nss_lists_all_as_project_and_namespace() {
    some_namespaces().run(["nss"]).prints("P.a\ndefault.default\np.a\np.b\np.c\nq.n\n");
}

#[test]
fn what_was_created_is_listed_even_when_empty() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "90"]).prints("");
    s.run(["nss"]).prints("p.c\n");
    s.run(["set", "p.n.k", "v"]).prints("");
    s.run(["del", "p.n.k"]).prints("");
    s.run(["nss"]).prints("p.c\np.n\n");
    s.run(["projects"]).prints("p\n");
    s.run(["namespaces", "-p", "p"]).prints("c\nn\n");
}

#[test]
fn an_empty_answer_is_told_on_stderr() {
    let s = sandbox_with([("p.n.k", "v")]);
    let outcome = s.run(["namespaces", "-p", "x"]).prints("");
    outcome.require(outcome.stderr().lines().count() == 1, "expected one line on stderr");
}

/// The one of `list` that has this name, whichever field holds it.
#[track_caller]
fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let has_name =
        |item: &&Value| item.as_object().is_some_and(|fields| fields.values().any(|field| field == name));
    list.as_array()
        .and_then(|items| items.iter().find(has_name))
        .unwrap_or_else(|| panic!("no {name} in {list}"))
}

#[test]
fn json_adds_kind_time_counts_table_and_last_write() {
    let s = some_namespaces();
    let all = json_of(s.run(["nss", "--json"]));
    assert_eq!(all.as_array().unwrap().len(), 6);
    let ordinary = named(&all, "p.b");
    assert_eq!((&ordinary["kind"], &ordinary["keys"]), (&json!("std"), &json!(2)), "{ordinary}");
    assert!(ordinary["bytes"].as_u64() >= Some(5), "{ordinary}");
    let cache = named(&all, "p.c");
    assert_eq!(
        (&cache["kind"], &cache["keys"], &cache["bytes"]),
        (&json!("ttl"), &json!(0), &json!(0)),
        "{cache}"
    );
    for item in [ordinary, cache] {
        let fields = item.as_object().unwrap();
        assert!(
            fields.len() >= 7,
            "a name, kind, default ttl, keys, bytes, table and last write are not all in {item}"
        );
        assert!(item["table"].is_string(), "{item}");
    }
    assert!(cache.as_object().unwrap().values().any(|field| *field == 90_000 || *field == "90s"), "{cache}");
}

#[test]
fn json_of_namespaces_has_bare_names() {
    let s = some_namespaces();
    let list = json_of(s.run(["namespaces", "-p", "p", "--json"]));
    assert_eq!(list.as_array().unwrap().len(), 3);
    assert_eq!(named(&list, "c")["kind"], "ttl");
}

#[test]
fn json_of_projects_counts_their_keys() {
    let s = some_namespaces();
    let list = json_of(s.run(["projects", "--json"]));
    assert_eq!(list.as_array().unwrap().len(), 4);
    assert_eq!(named(&list, "p")["keys"], 3);
}

#[test]
fn long_adds_columns_to_the_names() {
    let s = some_namespaces();
    for args in [&["nss", "--long"][..], &["namespaces", "-p", "p", "--long"], &["projects", "--long"]] {
        let listing = s.run(args).succeeds().stdout();
        let widths: Vec<_> = listing.lines().map(|line| line.split('\t').count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0] && *width > 1), "{listing}");
    }
    let listing = s.run(["nss", "--long"]).succeeds().stdout();
    let kind_of = |name: &str| {
        let line = listing.lines().find(|line| line.split('\t').any(|column| column == name));
        line.unwrap_or_else(|| panic!("no {name} in {listing}"))
            .split('\t')
            .find(|column| ["std", "ttl"].contains(column))
    };
    assert_eq!((kind_of("p.b"), kind_of("p.c")), (Some("std"), Some("ttl")));
}

#[test]
fn expired_entries_are_not_counted() {
    let s = sandbox();
    s.run(["create-cache", "p.c", "90"]).prints("");
    s.run(["set", "p.c.k", "v", "--ttl", "1ms"]).prints("");
    crate::common::wait_until("the entry has expired", || {
        s.run(["exists", "p.c.k"]).outcome().code() == Some(2)
    });
    assert_eq!(named(&json_of(s.run(["nss", "--json"])), "p.c")["keys"], 0);
}

#[test]
fn superfluous_arguments_are_refused() {
    let s = some_namespaces();
    for command in ["projects", "nss"] {
        refused(&s, &[command, "x"], 64, "usage");
        refused(&s, &[command, "--bogus"], 64, "usage");
    }
}

#[test]
fn reads_write_nothing() {
    let s = some_namespaces();
    let before = contents(&s);
    for args in [&["projects"][..], &["nss", "--long"], &["namespaces", "-p", "x"], &["nss", "--json"]] {
        s.run(args).succeeds();
    }
    assert_eq!(before, contents(&s));
}
