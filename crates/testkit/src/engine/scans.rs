//! Scans: which entries they show, in which order, and how much of each.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use prontodb_core::engine::{Engine, Fields, Range, Row, Space};
use prontodb_core::{Coding, Head, Millis};

use super::{
    HOSTILE_NAMES, NOW, head_that_expires_in, metakeys, names, names_in, plain_head, put, put_with, read,
    some_space, space, write,
};

/// Names in the order of their bytes, in which characters of one to four bytes meet.
///
/// The last three would come the other way round in UTF-16.
const SORTED: &[&str] = &[
    "\"",
    "%",
    "-",
    "0",
    "10",
    "2",
    "A",
    "B",
    "Z",
    "_",
    "a",
    "a ",
    "aB",
    "a_",
    "aa",
    "b",
    "z",
    "~",
    "é",
    "ж",
    "中",
    "\u{d7ff}",
    "\u{e000}",
    "\u{ffff}",
    "\u{10000}",
    "😀",
    "\u{10ffff}",
];

/// Whatever is asked for.
pub fn an_empty_space_shows_nothing(engine: &dyn Engine) {
    let space = some_space(engine);
    for reverse in [false, true] {
        for prefix in ["", "a", "\u{10ffff}"] {
            let range = Range { reverse, ..starting_with(prefix) };
            assert!(names(engine, &space, &range).is_empty(), "{range:?}");
        }
    }
}

/// It is the same panic, and the engine works on; scans within a scan are none the wiser.
pub fn a_panic_passes_through_a_scan(engine: &dyn Engine) {
    let space = sorted_space(engine);
    let mut met = Vec::new();
    let scanning = AssertUnwindSafe(|| {
        engine.read(&mut |view| {
            view.scan(&space, &Range::default(), &mut |row| {
                met.push(row.name.to_owned());
                let within = names_in(view, &space, &starting_with(row.name));
                assert!(within.is_ok_and(|names| names.first().is_some_and(|name| name == row.name)));
                if met.len() == 3 {
                    resume_unwind(Box::new("a panic that prints nothing"));
                }
                ControlFlow::Continue(())
            })
        })
    });
    let payload = catch_unwind(scanning).expect_err("a panic");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"a panic that prints nothing"));
    assert_eq!(met, &SORTED[..3]);
    assert_eq!(names(engine, &space, &Range::default()), SORTED);
}

/// An empty prefix is that of all names; the order in which they were put is of no account.
pub fn names_come_in_the_order_of_their_bytes(engine: &dyn Engine) {
    let space = sorted_space(engine);
    assert_eq!(names(engine, &space, &Range::default()), SORTED);
}

/// From the last to the first.
pub fn reverse_is_the_same_order_backwards(engine: &dyn Engine) {
    let space = sorted_space(engine);
    let backwards: Vec<_> = SORTED.iter().copied().rev().collect();
    assert_eq!(names(engine, &space, &reversed(Range::default())), backwards);
}

/// It starts and ends with the entries of its own, in both directions.
pub fn a_scan_stays_in_its_space(engine: &dyn Engine) {
    let spaces = ["a", "b", "c"].map(|name| space(engine, "project", name));
    for (space, names) in spaces.iter().zip([["x", "z"], ["w", "y"], ["a", "b"]]) {
        for name in names {
            put(engine, space, name, b"");
        }
    }
    assert_eq!(names(engine, &spaces[1], &Range::default()), ["w", "y"]);
    assert_eq!(names(engine, &spaces[1], &reversed(Range::default())), ["y", "w"]);
    assert_eq!(names(engine, &spaces[1], &after("w")), ["y"]);
    assert_eq!(names(engine, &spaces[1], &reversed(after("y"))), ["w"]);
}

/// The name that is the prefix itself included.
pub fn a_prefix_selects_what_starts_with_it(engine: &dyn Engine) {
    let space = space_of(engine, &["a", "b", "ba", "b\u{10ffff}", "bé", "b😀", "bb", "c", "ab"]);
    let expected = ["b", "ba", "bb", "bé", "b😀", "b\u{10ffff}"];
    assert_eq!(names(engine, &space, &starting_with("b")), expected);
    let backwards: Vec<_> = expected.into_iter().rev().collect();
    assert_eq!(names(engine, &space, &reversed(starting_with("b"))), backwards);
    assert!(names(engine, &space, &starting_with("bc")).is_empty());
}

/// No character of a prefix stands for others.
pub fn prefixes_are_literal(engine: &dyn Engine) {
    let space = space_of(engine, HOSTILE_NAMES);
    for prefix in HOSTILE_NAMES {
        let mut expected: Vec<_> =
            HOSTILE_NAMES.iter().copied().filter(|name| name.starts_with(prefix)).collect();
        expected.sort_unstable();
        assert_eq!(names(engine, &space, &starting_with(prefix)), expected, "{prefix:?}");
        expected.reverse();
        assert_eq!(names(engine, &space, &reversed(starting_with(prefix))), expected, "{prefix:?}");
    }
}

/// Small letters are not large ones, nor é its two halves.
pub fn prefixes_are_case_sensitive(engine: &dyn Engine) {
    let space = space_of(engine, &["Ab", "ab", "aB", "éa", "Éa", "e\u{301}a"]);
    assert_eq!(names(engine, &space, &starting_with("a")), ["aB", "ab"]);
    assert_eq!(names(engine, &space, &starting_with("A")), ["Ab"]);
    assert_eq!(names(engine, &space, &starting_with("é")), ["éa"]);
}

/// No text that starts with it is the greatest.
pub fn a_prefix_may_end_in_the_last_character(engine: &dyn Engine) {
    let last = "\u{10ffff}";
    let space = space_of(engine, &["a", "a\u{10ffff}", "a\u{10ffff}z", "b", last, "\u{10ffff}\u{10ffff}z"]);
    assert_eq!(names(engine, &space, &starting_with("a\u{10ffff}")), ["a\u{10ffff}", "a\u{10ffff}z"]);
    assert_eq!(
        names(engine, &space, &reversed(starting_with("a\u{10ffff}"))),
        ["a\u{10ffff}z", "a\u{10ffff}"]
    );
    assert_eq!(names(engine, &space, &starting_with(last)), [last, "\u{10ffff}\u{10ffff}z"]);
    assert_eq!(names(engine, &space, &reversed(starting_with(last))), ["\u{10ffff}\u{10ffff}z", last]);
    assert_eq!(names(engine, &space, &starting_with("\u{10ffff}\u{10ffff}")), ["\u{10ffff}\u{10ffff}z"]);
}

/// The surrogates, which are no characters, lie behind U+D7FF.
pub fn a_prefix_may_end_before_a_gap_in_the_characters(engine: &dyn Engine) {
    let space = space_of(engine, &["\u{d7fe}", "\u{d7ff}", "\u{d7ff}\u{10ffff}", "\u{e000}"]);
    let expected = ["\u{d7ff}", "\u{d7ff}\u{10ffff}"];
    assert_eq!(names(engine, &space, &starting_with("\u{d7ff}")), expected);
}

/// The name itself is not shown again.
pub fn after_begins_behind_a_name(engine: &dyn Engine) {
    let space = sorted_space(engine);
    for (at, name) in SORTED.iter().enumerate() {
        assert_eq!(names(engine, &space, &after(name)), SORTED[at + 1..], "{name:?}");
    }
}

/// In reverse, behind is towards the first.
pub fn after_begins_ahead_of_a_name_in_reverse(engine: &dyn Engine) {
    let space = sorted_space(engine);
    for (at, name) in SORTED.iter().enumerate() {
        let expected: Vec<_> = SORTED[..at].iter().copied().rev().collect();
        assert_eq!(names(engine, &space, &reversed(after(name))), expected, "{name:?}");
    }
}

/// A place to resume stays one when its entry is removed.
pub fn after_need_not_be_there(engine: &dyn Engine) {
    let space = space_of(engine, &["a", "c", "e"]);
    for (name, behind, ahead) in [
        ("", &["a", "c", "e"][..], &[][..]),
        ("b", &["c", "e"], &["a"]),
        ("a\u{10ffff}", &["c", "e"], &["a"]),
        ("c ", &["e"], &["c", "a"]),
        ("f", &[], &["e", "c", "a"]),
    ] {
        assert_eq!(names(engine, &space, &after(name)), behind, "{name:?}");
        assert_eq!(names(engine, &space, &reversed(after(name))), ahead, "{name:?}");
    }
}

/// Both limits hold together.
pub fn after_with_a_prefix_stays_within_it(engine: &dyn Engine) {
    let space = space_of(engine, &["a", "b", "b1", "b2", "b3", "c"]);
    for (name, behind, ahead) in [
        ("b", &["b1", "b2", "b3"][..], &[][..]),
        ("b1", &["b2", "b3"], &["b"]),
        ("b22", &["b3"], &["b2", "b1", "b"]),
        ("b3", &[], &["b2", "b1", "b"]),
    ] {
        let range = Range { prefix: "b".to_owned(), ..after(name) };
        assert_eq!(names(engine, &space, &range), behind, "{name:?}");
        assert_eq!(names(engine, &space, &reversed(range)), ahead, "{name:?}");
    }
}

/// All when the scan has yet to reach the prefix, nothing when it is past.
pub fn after_outside_of_the_prefix_shows_all_or_nothing(engine: &dyn Engine) {
    let space = space_of(engine, &["a", "aa", "b", "b1", "c", "ca"]);
    for (name, behind, ahead) in [("a", &["b", "b1"][..], &[][..]), ("ca", &[], &["b1", "b"])] {
        let range = Range { prefix: "b".to_owned(), ..after(name) };
        assert_eq!(names(engine, &space, &range), behind, "{name:?}");
        assert_eq!(names(engine, &space, &reversed(range)), ahead, "{name:?}");
    }
}

/// Whatever else is wanted of them.
pub fn a_scan_can_be_of_those_with_metakeys_alone(engine: &dyn Engine) {
    let space = some_space(engine);
    let labelled = Head { metakeys: metakeys(&[("owner", "alice")]), ..plain_head() };
    let expired = Head { expires: Some(NOW), ..labelled.clone() };
    put(engine, &space, "a", b"1");
    put_with(engine, &space, "b", &labelled, b"2");
    put_with(engine, &space, "bb", &labelled, b"3");
    put_with(engine, &space, "c", &expired, b"4");
    let range = |prefix: &str| Range { prefix: prefix.to_owned(), with_metakeys: true, ..Range::default() };
    for fields in [Fields::Names, Fields::Heads, Fields::Values, Fields::All] {
        assert_eq!(names(engine, &space, &Range { fields, ..range("") }), ["b", "bb", "c"]);
        let visible_at = Some(NOW);
        assert_eq!(
            names(engine, &space, &Range { fields, visible_at, reverse: true, ..range("") }),
            ["bb", "b"]
        );
    }
    assert_eq!(names(engine, &space, &range("bb")), ["bb"]);
    write(engine, |txn| txn.put_head(&space, "bb", &plain_head()));
    assert_eq!(names(engine, &space, &range("")), ["b", "c"]);
}

/// Neither a millisecond earlier nor one later, in both directions.
pub fn entries_are_hidden_from_the_millisecond_they_expire_at(engine: &dyn Engine) {
    let space = expiring_space(engine);
    for (now, mut visible) in [
        (NOW.0 + 9, vec!["at 10", "at 11", "never"]),
        (NOW.0 + 10, vec!["at 11", "never"]),
        (NOW.0 + 11, vec!["never"]),
        (i64::MAX, vec!["never"]),
        (i64::MIN, vec!["at 10", "at 11", "never"]),
    ] {
        let range = Range { visible_at: Some(Millis(now)), ..Range::default() };
        assert_eq!(names(engine, &space, &range), visible, "{now}");
        visible.reverse();
        assert_eq!(names(engine, &space, &reversed(range)), visible, "{now}");
    }
}

/// So can what has not been removed be looked at.
pub fn expired_entries_are_shown_when_no_moment_is_given(engine: &dyn Engine) {
    let space = expiring_space(engine);
    put_with(engine, &space, "long ago", &Head { expires: Some(Millis(0)), ..plain_head() }, b"");
    assert_eq!(names(engine, &space, &Range::default()), ["at 10", "at 11", "long ago", "never"]);
}

/// Neither value nor head.
pub fn fields_names_shows_names_alone(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "name", b"value");
    assert_eq!(shown(engine, &space, Fields::Names), [row("name", None, b"")]);
}

/// Heads are those that `head` answers.
pub fn fields_heads_shows_no_values(engine: &dyn Engine) {
    let (space, heads) = two_entries(engine);
    let [a, b] = heads;
    assert_eq!(shown(engine, &space, Fields::Heads), [row("a", Some(a), b""), row("b", Some(b), b"")]);
}

/// Values are those that were put, of any bytes.
pub fn fields_values_shows_no_heads(engine: &dyn Engine) {
    let (space, _) = two_entries(engine);
    assert_eq!(shown(engine, &space, Fields::Values), [row("a", None, b"\0\xff"), row("b", None, b"")]);
}

/// Value and head.
pub fn fields_all_shows_everything(engine: &dyn Engine) {
    let (space, heads) = two_entries(engine);
    let [a, b] = heads;
    assert_eq!(shown(engine, &space, Fields::All), [row("a", Some(a), b"\0\xff"), row("b", Some(b), b"")]);
}

/// How much is shown of an entry has no say in whether it is.
pub fn every_choice_of_fields_shows_the_same_names(engine: &dyn Engine) {
    let space = expiring_space(engine);
    for fields in [Fields::Names, Fields::Heads, Fields::Values, Fields::All] {
        for reverse in [false, true] {
            let range =
                Range { fields, reverse, visible_at: Some(Millis(NOW.0 + 10)), ..starting_with("at") };
            assert_eq!(names(engine, &space, &range), ["at 11"], "{range:?}");
            let range = Range { after: Some("at 11".to_owned()), prefix: String::new(), ..range };
            let expected: &[&str] = if reverse { &[] } else { &["never"] };
            assert_eq!(names(engine, &space, &range), expected, "{range:?}");
        }
    }
}

/// The visitor is not called again, and the scan is no failure.
pub fn a_break_ends_the_scan(engine: &dyn Engine) {
    let space = space_of(engine, &["a", "b", "c"]);
    for (reverse, expected) in [(false, ["a", "b"]), (true, ["c", "b"])] {
        let range = Range { reverse, ..Range::default() };
        let seen = read(engine, |view| {
            let mut seen = Vec::new();
            view.scan(&space, &range, &mut |row| {
                seen.push(row.name.to_owned());
                if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            Ok(seen)
        });
        assert_eq!(seen, expected);
    }
}

/// A row that outlives the scan.
#[derive(Debug, PartialEq)]
struct Kept {
    name: String,
    head: Option<Head>,
    value: Vec<u8>,
}

fn row(name: &str, head: Option<Head>, value: &[u8]) -> Kept {
    Kept { name: name.to_owned(), head, value: value.to_owned() }
}

fn shown(engine: &dyn Engine, space: &Space, fields: Fields) -> Vec<Kept> {
    read(engine, |view| {
        let mut rows = Vec::new();
        view.scan(space, &Range { fields, ..Range::default() }, &mut |shown: Row<'_>| {
            rows.push(row(shown.name, shown.head.cloned(), shown.value));
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    })
}

/// Wherever more than names is shown.
pub fn scans_show_how_values_are_coded(engine: &dyn Engine) {
    let space = some_space(engine);
    let coding = Coding::new(true, Some(4));
    put_with(engine, &space, "coded", &Head { size: 3, coding, ..plain_head() }, b"kept");
    put(engine, &space, "plain", b"value");
    for fields in [Fields::Heads, Fields::Values, Fields::All] {
        let codings = read(engine, |view| {
            let mut codings = Vec::new();
            view.scan(&space, &Range { fields, ..Range::default() }, &mut |row: Row<'_>| {
                codings.push(row.coding);
                assert!(row.head.is_none_or(|head| head.coding == row.coding));
                ControlFlow::Continue(())
            })?;
            Ok(codings)
        });
        assert_eq!(codings, [coding, Coding::PLAIN], "{fields:?}");
    }
}

fn starting_with(prefix: &str) -> Range {
    Range { prefix: prefix.to_owned(), ..Range::default() }
}

fn after(name: &str) -> Range {
    Range { after: Some(name.to_owned()), ..Range::default() }
}

fn reversed(range: Range) -> Range {
    Range { reverse: true, ..range }
}

/// A space of these names, put from the last to the first.
fn space_of(engine: &dyn Engine, names: &[&str]) -> Space {
    let space = some_space(engine);
    write(engine, |txn| names.iter().rev().try_for_each(|name| txn.put(&space, name, &plain_head(), b"")));
    space
}

fn sorted_space(engine: &dyn Engine) -> Space {
    space_of(engine, SORTED)
}

/// Entries named for when they expire, in milliseconds after [`NOW`].
fn expiring_space(engine: &dyn Engine) -> Space {
    let space = some_space(engine);
    put_with(engine, &space, "at 10", &head_that_expires_in(10), b"value");
    put_with(engine, &space, "at 11", &head_that_expires_in(11), b"value");
    put(engine, &space, "never", b"value");
    space
}

/// A full head with a binary value, and a plain one with an empty value.
fn two_entries(engine: &dyn Engine) -> (Space, [Head; 2]) {
    let space = some_space(engine);
    let full = Head { writer: Some("alice".to_owned()), rank: Some(7), size: 2, ..head_that_expires_in(1) };
    put_with(engine, &space, "a", &full, b"\0\xff");
    put(engine, &space, "b", b"");
    (space, [full, plain_head()])
}
