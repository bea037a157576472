//! What a space holds, and what of it goes first.

use prontodb_core::engine::{Candidate, Engine, Policy, Space, Totals};
use prontodb_core::{Head, Millis};

use super::{NOW, head_that_expires_in, plain_head, put, put_with, read, some_space, space, write};

/// No write of any entry is its last.
pub fn an_empty_space_has_no_totals(engine: &dyn Engine) {
    let space = some_space(engine);
    assert_eq!(totals(engine, &space, None), Totals { keys: 0, bytes: 0, last_write: None });
    assert_eq!(totals(engine, &space, Some(0)), Totals::default());
}

/// In bytes, not in characters; what a value replaced does not count.
pub fn totals_count_entries_and_bytes_of_names_and_values(engine: &dyn Engine) {
    let space = some_space(engine);
    for (name, updated, value) in
        [("a", 3, "a longer value"), ("b", 9, "four"), ("a", 5, "12"), ("ж", 7, "😀"), ("empty", 1, "")]
    {
        put_with(engine, &space, name, &head_updated_at(updated), value.as_bytes());
    }
    let bytes = (1 + 2) + (1 + 4) + (2 + 4) + 5;
    assert_eq!(totals(engine, &space, Some(0)), Totals { keys: 4, bytes, last_write: Some(Millis(9)) });
}

/// The last write of what is there, whatever was written and is gone.
pub fn totals_follow_every_change(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "a", &head_updated_at(1), b"1");
    put_with(engine, &space, "b", &head_updated_at(5), b"22");
    write(engine, |txn| txn.put_head(&space, "a", &head_updated_at(3)));
    assert_eq!(totals(engine, &space, None), Totals { keys: 2, bytes: 5, last_write: Some(Millis(5)) });
    write(engine, |txn| txn.remove(&space, "b"));
    assert_eq!(totals(engine, &space, None), Totals { keys: 1, bytes: 2, last_write: Some(Millis(3)) });
    write(engine, |txn| txn.remove(&space, "a"));
    assert_eq!(totals(engine, &space, None), Totals::default());
}

/// From the millisecond it expires at.
pub fn totals_leave_out_what_has_expired(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "never", &head_updated_at(1), b"1");
    put_with(engine, &space, "at 10", &Head { updated: Millis(2), ..head_that_expires_in(10) }, b"22");
    let both = Totals { keys: 2, bytes: 13, last_write: Some(Millis(2)) };
    let one = Totals { keys: 1, bytes: 6, last_write: Some(Millis(1)) };
    assert_eq!(totals(engine, &space, Some(9)), both);
    assert_eq!(totals(engine, &space, Some(10)), one);
    assert_eq!(totals(engine, &space, Some(11)), one);
}

/// From the millisecond it expires at, and until it is removed.
pub fn what_has_expired_is_counted(engine: &dyn Engine) {
    let space = some_space(engine);
    let expired = |millis| {
        let now = Millis(NOW.0 + millis);
        let read = read(engine, |view| view.count_expired(&space, now));
        assert_eq!(
            write(engine, |txn| txn.count_expired(&space, now)),
            read,
            "a write sees what a read does"
        );
        read
    };
    assert_eq!(expired(10), 0);
    for (name, millis) in [("at 10", 10), ("too", 10), ("at 20", 20)] {
        put_with(engine, &space, name, &head_that_expires_in(millis), b"");
    }
    put_with(engine, &space, "never", &plain_head(), b"");
    assert_eq!([9, 10, 19, 20].map(expired), [0, 2, 2, 3]);
    write(engine, |txn| txn.remove(&space, "too"));
    assert_eq!(expired(20), 2);
}

/// What has expired takes room until it is removed.
pub fn totals_count_all_when_no_moment_is_given(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "long ago", &Head { expires: Some(Millis(0)), ..plain_head() }, b"value");
    assert_eq!(totals(engine, &space, None), Totals { keys: 1, bytes: 13, last_write: Some(NOW) });
}

/// Of all entries, only its own.
pub fn totals_are_those_of_one_space(engine: &dyn Engine) {
    let (a, b) = (space(engine, "p", "a"), space(engine, "p", "b"));
    put(engine, &a, "name", b"value");
    assert_eq!(totals(engine, &a, None), Totals { keys: 1, bytes: 9, last_write: Some(NOW) });
    assert_eq!(totals(engine, &b, None), Totals::default());
}

/// Those that expired first are at the front; of one moment, in the byte order of their names.
pub fn expired_entries_come_by_expiry_then_name(engine: &dyn Engine) {
    let space = some_space(engine);
    for (name, expires) in [("a", 3), ("é", 1), ("B", 2), ("b", 2), ("c", 1), ("😀", 1), ("\u{ffff}", 1)] {
        put_with(engine, &space, name, &head_that_expires_in(expires), b"");
    }
    let all = expired_at(engine, &space, 9, 99);
    assert_eq!(names(&all), ["c", "é", "\u{ffff}", "😀", "B", "b", "a"]);
}

/// Neither a millisecond earlier, nor ever when they have no such millisecond.
pub fn entries_expire_at_their_millisecond(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "never", b"");
    put_with(engine, &space, "at 10", &head_that_expires_in(10), b"");
    assert_eq!(expired_at(engine, &space, 9, 99), []);
    assert_eq!(names(&expired_at(engine, &space, 10, 99)), ["at 10"]);
    assert_eq!(names(&expired_at(engine, &space, 11, 99)), ["at 10"]);
    write(engine, |txn| txn.put_head(&space, "at 10", &head_that_expires_in(20)));
    assert_eq!(expired_at(engine, &space, 11, 99), []);
    write(engine, |txn| txn.put_head(&space, "at 10", &plain_head()));
    assert_eq!(expired_at(engine, &space, 20, 99), []);
}

/// The rest comes when those are gone; no limit is too large.
pub fn expired_entries_stop_at_the_limit(engine: &dyn Engine) {
    let space = some_space(engine);
    for (name, expires) in [("a", 3), ("b", 2), ("c", 1)] {
        put_with(engine, &space, name, &head_that_expires_in(expires), b"");
    }
    assert_eq!(expired_at(engine, &space, 9, 0), []);
    assert_eq!(names(&expired_at(engine, &space, 9, 2)), ["c", "b"]);
    assert_eq!(names(&expired_at(engine, &space, 9, usize::MAX)), ["c", "b", "a"]);
    write(engine, |txn| txn.remove(&space, "c"));
    assert_eq!(names(&expired_at(engine, &space, 9, 2)), ["b", "a"]);
}

/// Whoever removes them counts what becomes free.
pub fn expired_entries_have_the_size_of_their_value(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "a", &head_that_expires_in(0), "ж".as_bytes());
    put_with(engine, &space, "b", &head_that_expires_in(0), b"");
    assert_eq!(expired_at(engine, &space, 0, 9), [candidate("a", 2), candidate("b", 0)]);
}

/// No space lends its room to others.
pub fn expired_entries_are_those_of_one_space(engine: &dyn Engine) {
    let (a, b) = (space(engine, "p", "a"), space(engine, "p", "b"));
    put_with(engine, &a, "a", &head_that_expires_in(0), b"");
    put_with(engine, &b, "b", &head_that_expires_in(0), b"");
    assert_eq!(names(&expired_at(engine, &a, 0, 9)), ["a"]);
    assert_eq!(names(&expired_at(engine, &b, 0, 9)), ["b"]);
}

/// The lowest goes first, expired or not.
pub fn fifo_evicts_by_rank(engine: &dyn Engine) {
    evicts_by_rank(engine, Policy::Fifo);
}

/// The store gives ranks anew on reads; to an engine the order is the same.
pub fn lru_evicts_by_rank(engine: &dyn Engine) {
    evicts_by_rank(engine, Policy::Lru);
}

/// It would have no place among the others.
pub fn what_has_no_rank_is_not_evicted_by_rank(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "ranked", &Head { rank: Some(0), ..plain_head() }, b"");
    put_with(engine, &space, "unranked", &head_that_expires_in(1), b"");
    for policy in [Policy::Fifo, Policy::Lru] {
        assert_eq!(names(&victims(engine, &space, policy, 9)), ["ranked"], "{policy:?}");
    }
    write(engine, |txn| txn.rank_all(&space, false));
    for policy in [Policy::Fifo, Policy::Lru] {
        assert_eq!(victims(engine, &space, policy, 9), [], "{policy:?}");
    }
}

/// Expired or not, ranked or not; what never expires goes last.
pub fn ttl_evicts_what_expires_soonest(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "never", &Head { rank: Some(0), ..plain_head() }, b"");
    put(engine, &space, "nor this", b"");
    for (name, expires) in [("a", 30), ("b", -20), ("c", 10)] {
        put_with(engine, &space, name, &head_that_expires_in(expires), b"");
    }
    assert_eq!(names(&victims(engine, &space, Policy::Ttl, 99)), ["b", "c", "a", "never", "nor this"]);
    assert_eq!(names(&victims(engine, &space, Policy::Ttl, 4)), ["b", "c", "a", "never"]);
    assert_eq!(names(&victims(engine, &space, Policy::Ttl, 2)), ["b", "c"]);
}

/// Under each policy, in byte order.
pub fn equal_victims_come_by_name(engine: &dyn Engine) {
    let space = some_space(engine);
    let sorted = ["A", "a", "aa", "b", "é", "\u{ffff}", "😀"];
    for expires in [None, Some(Millis(NOW.0 + 8))] {
        let head = Head { rank: Some(7), expires, ..plain_head() };
        for name in sorted.iter().rev() {
            put_with(engine, &space, name, &head, b"");
        }
        for policy in POLICIES {
            assert_eq!(names(&victims(engine, &space, policy, 99)), sorted, "{policy:?}");
        }
    }
}

/// Under each policy; no limit is too large.
pub fn victims_stop_at_the_limit(engine: &dyn Engine) {
    let space = some_space(engine);
    for (name, at) in [("a", 3), ("b", 2), ("c", 1)] {
        put_with(engine, &space, name, &head_in_both_orders(at), b"");
    }
    for policy in POLICIES {
        assert_eq!(victims(engine, &space, policy, 0), [], "{policy:?}");
        assert_eq!(names(&victims(engine, &space, policy, 2)), ["c", "b"], "{policy:?}");
        assert_eq!(names(&victims(engine, &space, policy, usize::MAX)), ["c", "b", "a"], "{policy:?}");
    }
}

/// Whoever evicts them counts what becomes free.
pub fn victims_have_the_size_of_their_value(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "a", &ranked_head(), "ж".as_bytes());
    put_with(engine, &space, "b", &ranked_head(), b"");
    for policy in POLICIES {
        assert_eq!(victims(engine, &space, policy, 9), [candidate("a", 2), candidate("b", 0)], "{policy:?}");
    }
}

/// No space makes room for others.
pub fn victims_are_those_of_one_space(engine: &dyn Engine) {
    let (a, b) = (space(engine, "p", "a"), space(engine, "p", "b"));
    put_with(engine, &a, "a", &ranked_head(), b"");
    put_with(engine, &b, "b", &ranked_head(), b"");
    for policy in POLICIES {
        assert_eq!(names(&victims(engine, &a, policy, 9)), ["a"], "{policy:?}");
        assert_eq!(names(&victims(engine, &b, policy, 9)), ["b"], "{policy:?}");
    }
}

/// New ranks and expiries, new values, and removals.
pub fn victims_follow_every_change(engine: &dyn Engine) {
    let space = some_space(engine);
    for (name, at) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        put_with(engine, &space, name, &head_in_both_orders(at), b"");
    }
    write(engine, |txn| txn.put_head(&space, "a", &head_in_both_orders(9)));
    put_with(engine, &space, "b", &head_in_both_orders(8), b"");
    write(engine, |txn| txn.remove(&space, "c"));
    for policy in POLICIES {
        assert_eq!(names(&victims(engine, &space, policy, 9)), ["d", "b", "a"], "{policy:?}");
    }
}

const POLICIES: [Policy; 3] = [Policy::Fifo, Policy::Lru, Policy::Ttl];

fn evicts_by_rank(engine: &dyn Engine, policy: Policy) {
    let space = some_space(engine);
    for (name, rank) in [("a", 30), ("b", 2), ("c", 10), ("d", 0)] {
        put_with(engine, &space, name, &Head { rank: Some(rank), ..plain_head() }, b"");
    }
    let expired = Head { rank: Some(99), ..head_that_expires_in(-1) };
    put_with(engine, &space, "expired", &expired, b"");
    assert_eq!(names(&victims(engine, &space, policy, 99)), ["d", "b", "c", "a", "expired"]);
}

/// The totals so many milliseconds after [`NOW`], or those of everything.
fn totals(engine: &dyn Engine, space: &Space, millis: Option<i64>) -> Totals {
    read(engine, |view| view.totals(space, millis.map(|millis| Millis(NOW.0 + millis))))
}

fn expired_at(engine: &dyn Engine, space: &Space, millis: i64, limit: usize) -> Vec<Candidate> {
    read(engine, |view| view.expired(space, Millis(NOW.0 + millis), limit))
}

fn victims(engine: &dyn Engine, space: &Space, policy: Policy, limit: usize) -> Vec<Candidate> {
    read(engine, |view| view.victims(space, policy, limit))
}

fn head_updated_at(millis: i64) -> Head {
    Head { updated: Millis(millis), ..plain_head() }
}

fn ranked_head() -> Head {
    Head { rank: Some(1), ..plain_head() }
}

/// A head that has the same place by rank and by expiry.
fn head_in_both_orders(place: u32) -> Head {
    Head { rank: Some(place.into()), ..head_that_expires_in(place.into()) }
}

fn candidate(name: &str, size: u64) -> Candidate {
    Candidate { name: name.to_owned(), size }
}

fn names(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|candidate| candidate.name.as_str()).collect()
}
