//! Listings: what they show, in pages, and what is removed by one.

use std::ops::ControlFlow;

use prontodb_core::engine::{Fields, Row};
use prontodb_core::store::{Condition, CopyOptions, Query, Sink};
use prontodb_core::{Error, ErrorKind, Result};

use super::{Lab, Pages, address, namespace};

on_each_engine! {
    names_come_in_the_order_of_their_bytes
    prefixes_are_literal
    a_listing_begins_behind_a_name
    a_listing_ends_at_its_limit
    patterns_fit_whole_names
    contexts_are_what_follows_the_last_mark
    as_much_is_shown_as_was_asked_for
    a_namespace_that_is_not_there_shows_nothing
    many_entries_come_in_pages
    large_values_come_in_pages
    a_sink_that_breaks_ends_the_listing
    the_error_of_a_sink_comes_back
    a_sink_may_write_between_pages
    what_expires_between_pages_is_hidden
    deleting_removes_what_a_listing_shows
    deleting_stops_at_the_limit
    deleting_goes_on_over_many_entries
    deleting_keeps_the_accounts
    deleting_reads_what_it_deletes
    a_listing_at_once_shows_one_moment
    a_listing_at_once_removes_what_has_expired
}

fn query(prefix: &str) -> Query {
    Query { prefix: prefix.to_owned(), ..Query::default() }
}

fn glob(pattern: &str) -> Query {
    Query { glob: Some(pattern.parse().unwrap()), ..Query::default() }
}

fn context(context: &str) -> Query {
    Query { context: Some(context.to_owned()), ..Query::default() }
}

fn names_come_in_the_order_of_their_bytes(lab: &Lab) {
    lab.set_all("a.b", ["b", "a", "B", "é", "a__x", "aa", "\u{ffff}", "😀", "10", "9", " "], "1");
    let ordered = [" ", "10", "9", "B", "a", "a__x", "aa", "b", "é", "\u{ffff}", "😀"];
    assert_eq!(lab.names("a.b"), ordered);
    let mut backwards = lab.listed("a.b", &Query { reverse: true, ..Query::default() });
    backwards.reverse();
    assert_eq!(backwards, ordered);
}

fn prefixes_are_literal(lab: &Lab) {
    lab.set_all("a.b", ["a%b", "a_b", "a*b", "aXb", "A%b", "a"], "1");
    assert_eq!(lab.listed("a.b", &query("a%")), ["a%b"]);
    assert_eq!(lab.listed("a.b", &query("a_")), ["a_b"]);
    assert_eq!(lab.listed("a.b", &query("a*")), ["a*b"]);
    assert_eq!(lab.listed("a.b", &query("b")), [""; 0]);
}

fn a_listing_begins_behind_a_name(lab: &Lab) {
    lab.set_all("a.b", ["a", "b", "c"], "1");
    let listed = |after: &str, reverse| {
        lab.listed("a.b", &Query { after: Some(after.to_owned()), reverse, ..Query::default() })
    };
    assert_eq!(listed("a", false), ["b", "c"]);
    assert_eq!(listed("aa", false), ["b", "c"]);
    assert_eq!(listed("c", false), [""; 0]);
    assert_eq!(listed("c", true), ["b", "a"]);
    assert_eq!(listed("bb", true), ["b", "a"]);
    assert_eq!(listed("a", true), [""; 0]);
}

/// Counting what is shown, not what was looked at.
fn a_listing_ends_at_its_limit(lab: &Lab) {
    lab.set_all("a.b", ["a", "b__x", "c", "d__x", "e__x"], "1");
    let listed = |limit| lab.listed("a.b", &Query { limit: Some(limit), ..context("x") });
    assert_eq!(listed(0), [""; 0]);
    assert_eq!(listed(2), ["b__x", "d__x"]);
    assert_eq!(listed(9), ["b__x", "d__x", "e__x"]);
}

fn patterns_fit_whole_names(lab: &Lab) {
    lab.set_all("a.b", ["ab", "abc", "b", "ab__x"], "1");
    assert_eq!(lab.listed("a.b", &glob("a?")), ["ab"]);
    assert_eq!(lab.listed("a.b", &glob("*b")), ["ab", "b"]);
    assert_eq!(lab.listed("a.b", &Query { prefix: "ab".to_owned(), ..glob("*[cx]") }), ["ab__x", "abc"]);
}

fn contexts_are_what_follows_the_last_mark(lab: &Lab) {
    lab.set_all("a.b", ["k", "k__x", "k__x__y", "k__xx", "x", "k_x"], "1");
    assert_eq!(lab.listed("a.b", &context("x")), ["k__x"]);
    assert_eq!(lab.listed("a.b", &context("y")), ["k__x__y"]);
    assert_eq!(lab.listed("a.b", &context("")), [""; 0]);
}

fn as_much_is_shown_as_was_asked_for(lab: &Lab) {
    let version = lab.set("a.b.k", "value");
    for (fields, has_head, value) in [
        (Fields::Names, false, ""),
        (Fields::Heads, true, ""),
        (Fields::Values, false, "value"),
        (Fields::All, true, "value"),
    ] {
        let rows = super::rows(&lab.store, &namespace("a.b"), &Query { fields, ..Query::default() });
        assert_eq!(rows[0].head.as_ref().map(|head| head.version), has_head.then_some(version));
        assert_eq!(rows[0].value, value.as_bytes());
    }
}

fn a_namespace_that_is_not_there_shows_nothing(lab: &Lab) {
    assert_eq!(lab.names("a.b"), [""; 0]);
    assert_eq!(lab.store.delete_matching(&namespace("a.b"), &Query::default()).unwrap(), 0);
    assert!(lab.store.namespaces(None).unwrap().is_empty());
}

/// Enough for three pages: most are `kNNNNN`, and before each thousandth there is a `kNNNNN__x`.
fn fill_pages(lab: &Lab) -> Vec<String> {
    let name = |n| if n % 1000 == 999 { format!("k{n:05}__x") } else { format!("k{n:05}") };
    let names: Vec<_> = (0..20_500).map(name).collect();
    lab.set_all("a.b", &names, "1");
    names
}

fn many_entries_come_in_pages(lab: &Lab) {
    let names = fill_pages(lab);
    let last_of_page = Query { after: Some(names[9_999].clone()), ..Query::default() };
    let expect = |query: &Query, expected: Vec<&String>| {
        let shown = lab.listed("a.b", query);
        assert!(shown.iter().eq(expected), "{} by {query:?}", shown.len());
    };
    expect(&Query::default(), names.iter().collect());
    expect(&Query { reverse: true, ..Query::default() }, names.iter().rev().collect());
    expect(&last_of_page, names[10_000..].iter().collect());
    expect(&Query { reverse: true, ..last_of_page }, names[..9_999].iter().rev().collect());
    for limit in [9_999, 10_000, 10_001, 20_000] {
        let limited = Query { limit: Some(limit), ..Query::default() };
        expect(&limited, names.iter().take(limit as usize).collect());
    }
    let last = |query| Query { reverse: true, limit: Some(7), ..query };
    let with_context = || names.iter().filter(|name| name.ends_with("__x"));
    expect(&context("x"), with_context().collect());
    expect(&last(context("x")), with_context().rev().take(7).collect());
    let fit = || names.iter().filter(|name| name.contains("00"));
    expect(&glob("*00*"), fit().collect());
    expect(&Query { after: Some(names[9_000].clone()), limit: Some(99), ..glob("*00*") }, {
        fit().filter(|name| **name > names[9_000]).take(99).collect()
    });
    expect(&query("k2"), names[20_000..].iter().collect());

    let mut pages = Pages::default();
    lab.store.list(&namespace("a.b"), &Query::default(), &mut pages).unwrap();
    assert!(pages.ends.len() > 2, "{:?}", pages.ends);
    assert!(pages.ends.is_sorted_by(|earlier, later| earlier < later), "{:?}", pages.ends);
}

/// So that what a sink keeps between two pages stays small.
fn large_values_come_in_pages(lab: &Lab) {
    let values = ["a", "b", "c", "d", "e"].map(|name| (name, name.repeat(600 * 1024)));
    for (name, value) in &values {
        lab.set(&format!("a.b.{name}"), value);
    }
    for reverse in [false, true] {
        let mut pages = Pages::default();
        let query = Query { fields: Fields::Values, reverse, ..Query::default() };
        assert_eq!(lab.store.list(&namespace("a.b"), &query, &mut pages).unwrap(), 5);
        pages.rows.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(
            pages.rows.iter().map(|row| &row.value[..]).eq(values.iter().map(|(_, value)| value.as_bytes()))
        );
        let mut start = 0;
        for end in pages.ends {
            assert!(end - start <= 2, "{} values of 600 KiB in a page", end - start);
            start = end;
        }
    }
}

/// Takes names, and does something at the end of each page.
struct AtPage<F> {
    names: Vec<String>,
    end: F,
}

impl<F: FnMut(&[String]) -> Result<ControlFlow<()>>> AtPage<F> {
    fn new(end: F) -> Self {
        Self { names: Vec::new(), end }
    }
}

impl<F: FnMut(&[String]) -> Result<ControlFlow<()>>> Sink for AtPage<F> {
    fn row(&mut self, row: Row<'_>) {
        self.names.push(row.name.to_owned());
    }

    fn page(&mut self) -> Result<ControlFlow<()>> {
        (self.end)(&self.names)
    }
}

/// Entries so large that each is a page of its own.
fn fill_with_pages(lab: &Lab, names: &[&str]) -> Query {
    for name in names {
        lab.set(&format!("a.b.{name}"), vec![b'v'; 1024 * 1024]);
    }
    Query { fields: Fields::Values, ..Query::default() }
}

fn a_sink_that_breaks_ends_the_listing(lab: &Lab) {
    let query = fill_with_pages(lab, &["a", "b", "c"]);
    let mut sink = AtPage::new(|names| {
        Ok(if names.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    assert_eq!(lab.store.list(&namespace("a.b"), &query, &mut sink).unwrap(), 2);
    assert_eq!(sink.names, ["a", "b"]);
}

fn the_error_of_a_sink_comes_back(lab: &Lab) {
    let query = fill_with_pages(lab, &["a", "b", "c"]);
    let mut sink = AtPage::new(|_| Err(Error::new(ErrorKind::Denied, "failing on purpose")));
    let error = lab.store.list(&namespace("a.b"), &query, &mut sink).unwrap_err();
    assert_eq!((error.kind(), sink.names), (ErrorKind::Denied, vec!["a".to_owned()]));
}

/// No transaction is open meanwhile.
fn a_sink_may_write_between_pages(lab: &Lab) {
    let query = fill_with_pages(lab, &["a", "b", "c"]);
    let mut sink = AtPage::new(|names| {
        let shown = address(&format!("a.b.{}", names.last().unwrap()));
        lab.store.write(|writer| writer.delete(&shown, &Condition::default()))?;
        lab.store.increment(&address("a.c.pages"), 1)?;
        Ok(ControlFlow::Continue(()))
    });
    assert_eq!(lab.store.list(&namespace("a.b"), &query, &mut sink).unwrap(), 3);
    assert_eq!(sink.names, ["a", "b", "c"]);
    assert_eq!(lab.names("a.b"), [""; 0]);
}

fn what_expires_between_pages_is_hidden(lab: &Lab) {
    lab.cache("a.b", "10ms");
    let query = fill_with_pages(lab, &["a", "b"]);
    let mut sink = AtPage::new(|_| {
        lab.wait(10);
        Ok(ControlFlow::Continue(()))
    });
    lab.store.list(&namespace("a.b"), &query, &mut sink).unwrap();
    assert_eq!(sink.names, ["a"]);
}

fn deleting_removes_what_a_listing_shows(lab: &Lab) {
    let names = ["a", "b", "b__x", "ba", "c", "c__x", "d"];
    let behind = |after: &str, reverse| Query { after: Some(after.to_owned()), reverse, ..Query::default() };
    for query in [
        Query::default(),
        query("b"),
        query("z"),
        glob("?"),
        context("x"),
        behind("c", false),
        behind("c", true),
        Query { prefix: "c".to_owned(), ..context("x") },
    ] {
        lab.set_all("a.b", names, "1");
        let shown = lab.listed("a.b", &query);
        let removed = lab.store.delete_matching(&namespace("a.b"), &query).unwrap();
        assert_eq!(removed, shown.len() as u64, "{query:?}");
        let left: Vec<_> = names.into_iter().filter(|name| !shown.contains(&(*name).to_owned())).collect();
        assert_eq!(lab.names("a.b"), left, "{query:?}");
    }
}

fn deleting_stops_at_the_limit(lab: &Lab) {
    for (limit, reverse, left) in
        [(0, false, &["a", "b", "c"][..]), (2, false, &["c"]), (2, true, &["a"]), (9, false, &[])]
    {
        lab.set_all("a.b", ["a", "b", "c"], "1");
        let query = Query { limit: Some(limit), reverse, ..Query::default() };
        assert_eq!(lab.store.delete_matching(&namespace("a.b"), &query).unwrap(), limit.min(3));
        assert_eq!(lab.names("a.b"), left, "{query:?}");
    }
}

fn deleting_goes_on_over_many_entries(lab: &Lab) {
    let names = fill_pages(lab);
    lab.set("a.b.other", "1");
    lab.set("a.c.k00000", "1");
    let removed = lab.store.delete_matching(&namespace("a.b"), &Query { reverse: true, ..query("k") });
    assert_eq!(removed.unwrap(), names.len() as u64);
    assert_eq!((lab.names("a.b"), lab.names("a.c").len()), (vec!["other".to_owned()], 1));
}

/// A read of a cache with `evict_on_read` removes what has expired, whatever its limit.
fn deleting_reads_what_it_deletes(lab: &Lab) {
    lab.cache("a.b", "1 evict_on_read=1");
    lab.set_for("a.b.k", "1", 1);
    lab.wait(1);
    let nothing = Query { limit: Some(0), ..Query::default() };
    assert_eq!(lab.store.delete_matching(&namespace("a.b"), &nothing).unwrap(), 0);
    assert!(lab.store.get_even_expired(&address("a.b.k")).unwrap().is_none());
}

/// Though some of it expires first.
fn deleting_keeps_the_accounts(lab: &Lab) {
    lab.cache("a.b", "60 max_items=1000");
    for n in 0..100 {
        lab.set_for(&format!("a.b.k{n:02}"), "1", 10);
        lab.set(&format!("a.b.l{n:02}"), "1");
    }
    lab.wait(10);
    let removed = lab.store.delete_matching(&namespace("a.b"), &glob("?[0-4]?"));
    assert_eq!((removed.unwrap(), lab.names("a.b").len()), (50, 50));
    assert_eq!(lab.usage("a.b"), lab.held("a.b"));
}

fn a_listing_at_once_removes_what_has_expired(lab: &Lab) {
    lab.cache("a.b", "1 evict_on_read=1");
    lab.set_for("a.b.k", "1", 1);
    lab.wait(1);
    let shown = lab.store.list_at_once(&namespace("a.b"), &Query::default(), &mut Pages::default());
    assert_eq!(shown.unwrap(), 0);
    assert!(lab.store.get_even_expired(&address("a.b.k")).unwrap().is_none());
}

/// A name that moves from the end to the front between two pages is shown once.
fn a_listing_at_once_shows_one_moment(lab: &Lab) {
    /// Moves the entry as soon as a page is complete.
    struct Mover<'s> {
        other: Option<&'s prontodb_core::Store>,
        names: Vec<String>,
    }

    impl Sink for Mover<'_> {
        fn row(&mut self, row: Row<'_>) {
            self.names.push(row.name.to_owned());
        }

        fn page(&mut self) -> Result<ControlFlow<()>> {
            if let Some(other) = self.other.take() {
                let (from, to) = (address("a.b.z"), address("a.b.a"));
                other.write(|writer| {
                    writer.copy(&from, &to, CopyOptions { move_source: true, ..CopyOptions::default() })
                })?;
            }
            Ok(ControlFlow::Continue(()))
        }
    }

    lab.set_all("a.b", (0..12_000).map(|n| format!("k{n:05}")), "v");
    lab.set("a.b.z", "v");
    let other = lab.another_store();
    // An engine in memory has one lock: nobody writes while somebody reads.
    let writes_beside = matches!(lab.place, super::Place::File(_));
    let mut mover = Mover { other: writes_beside.then_some(&other), names: Vec::new() };
    assert_eq!(lab.store.list_at_once(&namespace("a.b"), &Query::default(), &mut mover).unwrap(), 12_001);
    assert_eq!((mover.names[0].as_str(), mover.names[12_000].as_str()), ("k00000", "z"));
    assert_eq!(lab.names("a.b")[0] == "a", writes_beside);
}
