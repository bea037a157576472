//! Overlays: `get K --context prod --fallback` answers `K__prod`, else `K`.

use crate::common::{refused, refuses, sandbox_with};

#[test]
fn the_entry_of_the_context_comes_first() {
    let s = sandbox_with([("p.n.k", "plain"), ("p.n.k__prod", "prod")]);
    s.run(["get", "p.n.k", "--context", "prod", "--fallback"]).prints("prod\n");
}

#[test]
fn with_fallback_the_plain_entry_answers_for_a_missing_context() {
    let s = sandbox_with([("p.n.k", "plain")]);
    s.run(["get", "p.n.k", "--context", "prod", "--fallback"]).prints("plain\n");
    s.run(["--fallback", "--context=prod", "get", "p.n.k"]).prints("plain\n");
}

#[test]
fn without_fallback_there_is_none() {
    let s = sandbox_with([("p.n.k", "plain")]);
    s.run(["get", "p.n.k", "--context", "prod"]).fails(2).stdout_is("");
}

#[test]
fn several_contexts_need_fallback() {
    let s = sandbox_with([("p.n.k", "1"), ("p.n.k__prod", "2")]);
    refused(&s, &["get", "p.n.k", "--context", "eu,prod"], 64, "usage").stderr_has("--fallback");
}

#[test]
fn several_contexts_are_tried_in_their_order() {
    let s = sandbox_with([("p.n.k", "plain"), ("p.n.k__prod", "prod"), ("p.n.k__eu", "eu")]);
    s.run(["get", "p.n.k", "--context", "eu,prod", "--fallback"]).prints("eu\n");
    s.run(["get", "p.n.k", "--context", "prod,eu", "--fallback"]).prints("prod\n");
    s.run(["del", "p.n.k__eu"]).prints("");
    s.run(["get", "p.n.k", "--context", "eu,prod", "--fallback"]).prints("prod\n");
    s.run(["del", "p.n.k__prod"]).prints("");
    s.run(["get", "p.n.k", "--context", "eu,prod", "--fallback"]).prints("plain\n");
    s.run(["del", "p.n.k"]).prints("");
    s.run(["get", "p.n.k", "--context", "eu,prod", "--fallback"]).fails(2).stdout_is("");
}

#[test]
fn fallback_works_in_every_form_of_output() {
    let s = sandbox_with([("p.n.k", "1")]);
    let get = ["get", "p.n.k", "--context", "c", "--fallback"];
    s.run([&get[..], &["--raw"]].concat()).prints("1");
    s.run([&get[..], &["--json"]].concat()).prints("1\n");
    s.run([&get[..], &["--b64"]].concat()).prints("MQ==\n");
}

#[test]
fn fallback_without_a_context_is_refused_not_ignored() {
    let s = sandbox_with([("p.n.k", "1")]);
    refused(&s, &["get", "p.n.k", "--fallback"], 64, "usage").stderr_has("--context");
}

#[test]
fn writing_to_several_contexts_at_once_is_refused() {
    let s = sandbox_with([("p.n.k", "1")]);
    s.run(["set", "p.n.k", "v", "--context", "eu,prod"]).fails_with_one_of(&[1, 64]);
    s.run(["keys", "p.n"]).prints("k\n");
}

#[test]
fn empty_contexts_in_a_list_are_refused() {
    let s = sandbox_with([("p.n.k", "1")]);
    for contexts in ["eu,", ",eu", "eu,,prod", ","] {
        refuses(&s, s.run(["get", "p.n.k", "--fallback", "--context", contexts]), 1).stderr_has("empty");
    }
}
