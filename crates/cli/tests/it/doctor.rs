//! `doctor`: the state of things.

use crate::common::{contents, json_of, refused, sandbox, sandbox_with};

#[test]
fn in_an_empty_home_all_is_well_and_nothing_is_created() {
    let s = sandbox();
    let outcome = s.run(["doctor"]).succeeds();
    outcome.require(!outcome.stdout().is_empty(), "expected a report");
    assert!(contents(&s).is_empty());
}

#[test]
fn a_database_in_order_is_a_success_and_left_alone() {
    let s = sandbox_with([("p.n.k", "v")]);
    let before = contents(&s);
    s.run(["doctor"]).succeeds().stdout_has("pronto.main.prdb");
    assert!(json_of(s.run(["doctor", "--json"])).is_object());
    assert_eq!(before, contents(&s));
}

#[test]
fn a_damaged_database_is_no_success() {
    let s = sandbox();
    std::fs::write(s.path("x.prdb"), "this is no database\n".repeat(50)).unwrap();
    s.run(["-d", "x.prdb", "doctor"]).fails_with_one_of(&[1, 7]);
}

#[test]
fn superfluous_arguments_are_refused() {
    refused(&sandbox(), &["doctor", "x"], 64, "usage");
}
