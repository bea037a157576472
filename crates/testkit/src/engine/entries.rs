//! Single entries: what is put comes back, and nothing else does.

use prontodb_core::engine::{Engine, Range, Space};
use prontodb_core::{Coding, Head, Millis, Record, Version};

use super::{
    HOSTILE_NAMES, NOW, head, head_that_expires_in, metakeys, names, plain_head, put, put_with, read,
    some_space, space, value, write,
};

/// Neither an empty space nor one with neighbours has an entry that was not put.
pub fn an_absent_entry_is_none(engine: &dyn Engine) {
    let space = some_space(engine);
    assert_eq!(record(engine, &space, "b"), None);
    put(engine, &space, "a", b"value");
    put(engine, &space, "bb", b"value");
    assert_eq!(record(engine, &space, "b"), None);
    assert_eq!(head(engine, &space, "b"), None);
}

/// `get` and `head` agree on it.
pub fn an_entry_comes_back(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "name", b"value");
    let expected = Head { size: 5, ..plain_head() };
    assert_eq!(head(engine, &space, "name"), Some(expected.clone()));
    let expected = Record { head: expected, value: b"value".to_vec() };
    assert_eq!(record(engine, &space, "name"), Some(expected));
}

/// Nothing of the first stays, neither of a longer value nor of a fuller head.
pub fn a_second_put_replaces_value_and_head(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "name", &full_head(), b"a long value");
    put(engine, &space, "name", b"short");
    let expected = Record { head: Head { size: 5, ..plain_head() }, value: b"short".to_vec() };
    assert_eq!(record(engine, &space, "name"), Some(expected));
    assert_eq!(names(engine, &space, &Range::default()), ["name"]);
}

/// Whatever size the head claims.
pub fn the_size_follows_from_the_value(engine: &dyn Engine) {
    let space = some_space(engine);
    for text in ["", "1", "twenty-one characters", "ключ"] {
        put_with(engine, &space, "name", &Head { size: 99, ..plain_head() }, text.as_bytes());
        assert_eq!(head(engine, &space, "name").map(|head| head.size), Some(text.len() as u64), "{text:?}");
    }
}

/// With the size that its head says: engines do not know how long the value is that was made into it.
pub fn a_coded_value_comes_back_as_it_was_kept(engine: &dyn Engine) {
    let space = some_space(engine);
    let codings = [(true, None), (false, Some(1)), (true, Some(7)), (false, Some(u64::MAX >> 2))];
    for (is_compressed, key) in codings {
        let coding = Coding::new(is_compressed, key);
        assert_eq!((coding.is_compressed(), coding.key()), (is_compressed, key));
        for (size, value) in [(5, b"longer than that".to_vec()), (1 << 20, vec![7; 5000]), (0, Vec::new())] {
            let kept = Head { size, coding, ..plain_head() };
            put_with(engine, &space, "name", &kept, &value);
            assert_eq!(head(engine, &space, "name"), Some(kept.clone()));
            assert_eq!(record(engine, &space, "name"), Some(Record { head: kept, value }));
        }
    }
    put(engine, &space, "name", b"value");
    assert_eq!(head(engine, &space, "name"), Some(Head { size: 5, ..plain_head() }));
}

/// Whatever the new head says.
pub fn put_head_keeps_the_coding(engine: &dyn Engine) {
    let space = some_space(engine);
    let coded = Head { size: 99, coding: Coding::new(true, Some(3)), ..plain_head() };
    put_with(engine, &space, "name", &coded, b"value");
    write(engine, |txn| txn.put_head(&space, "name", &full_head()));
    let expected = Head { size: 99, coding: coded.coding, ..full_head() };
    assert_eq!(record(engine, &space, "name"), Some(Record { head: expected, value: b"value".to_vec() }));
}

/// Each field of the head is kept, alone and with the others, by `put` and by `put_head`.
pub fn heads_come_back_field_by_field(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "patched", b"value");
    for wanted in [
        Head { version: Version(77), ..plain_head() },
        Head { created: Millis(1), ..plain_head() },
        Head { updated: Millis(2), ..plain_head() },
        Head { created: Millis(0), updated: Millis(0), expires: Some(Millis(0)), ..plain_head() },
        Head { expires: Some(Millis(3)), ..plain_head() },
        Head { writer: Some("alice".to_owned()), ..plain_head() },
        Head { writer: Some("it's \"ключ\"".to_owned()), ..plain_head() },
        Head { writer: Some(String::new()), ..plain_head() },
        Head { rank: Some(4), ..plain_head() },
        Head { rank: Some(0), ..plain_head() },
        Head { metakeys: metakeys(&[("owner", "")]), ..plain_head() },
        full_head(),
        plain_head(),
    ] {
        put_with(engine, &space, "put", &wanted, b"value");
        write(engine, |txn| txn.put_head(&space, "patched", &wanted));
        let expected = Some(Head { size: 5, ..wanted });
        assert_eq!(head(engine, &space, "put"), expected);
        assert_eq!(head(engine, &space, "patched"), expected);
        assert_eq!(record(engine, &space, "put").map(|record| record.head), expected);
    }
}

/// What is there keeps the moment it was created and its metakeys, as long as it is visible at the moment of the write; all
/// else is replaced.
pub fn upsert_keeps_what_belongs_to_the_key(engine: &dyn Engine) {
    let space = some_space(engine);
    let (old, new) = (metakeys(&[("owner", "alice")]), metakeys(&[("owner", "bob")]));
    let written = Head { created: Millis(9), updated: NOW, metakeys: new.clone(), size: 3, ..plain_head() };
    for (expires, is_there) in [(None, true), (Some(NOW.0 + 1), true), (Some(NOW.0), false)] {
        let expires = expires.map(Millis);
        let kept = Head { created: Millis(5), expires, metakeys: old.clone(), ..full_head() };
        put_with(engine, &space, "name", &kept, b"old value");
        write(engine, |txn| txn.upsert(&space, "name", &written, b"new"));
        let (created, metakeys) = if is_there { (kept.created, &old) } else { (written.created, &new) };
        let expected = Head { created, metakeys: metakeys.clone(), ..written.clone() };
        assert_eq!(head(engine, &space, "name"), Some(expected), "{expires:?}");
        assert_eq!(value(engine, &space, "name").as_deref(), Some(&b"new"[..]));
    }
    write(engine, |txn| txn.upsert(&space, "fresh", &written, b"new"));
    assert_eq!(head(engine, &space, "fresh"), Some(written));
}

/// Whatever lengths of values and metakeys come together, and one after the other.
pub fn metakeys_of_all_sizes_come_back(engine: &dyn Engine) {
    let space = some_space(engine);
    let all: Vec<_> = ["a", "b", "c"].map(|name| (name, "v".repeat(1000))).into();
    let pairs: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for value in [0, 800, 2000] {
        for count in [3, 0, 1] {
            let wanted = Head { metakeys: metakeys(&pairs[..count]), size: value, ..plain_head() };
            let bytes = vec![b'x'; usize::try_from(value).expect("a short value")];
            put_with(engine, &space, "put", &wanted, &bytes);
            put(engine, &space, "patched", &bytes);
            write(engine, |txn| txn.put_head(&space, "patched", &wanted));
            for name in ["put", "patched"] {
                let expected = Record { head: wanted.clone(), value: bytes.clone() };
                assert_eq!(record(engine, &space, name), Some(expected), "{value} and {count}");
            }
        }
    }
}

/// Nothing is rounded, as it would be on the way through floating point.
pub fn numbers_of_heads_may_be_large(engine: &dyn Engine) {
    let space = some_space(engine);
    let (large, late) = (i64::MAX.unsigned_abs(), Millis(i64::MAX));
    let wanted = Head {
        version: Version(large),
        created: late,
        updated: late,
        expires: Some(late),
        rank: Some(large),
        ..plain_head()
    };
    put_with(engine, &space, "name", &wanted, b"");
    assert_eq!(head(engine, &space, "name"), Some(wanted));
}

/// Even when the head claims another size.
pub fn put_head_keeps_value_and_size(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "name", b"value");
    write(engine, |txn| txn.put_head(&space, "name", &Head { size: 99, ..full_head() }));
    let expected = Record { head: Head { size: 5, ..full_head() }, value: b"value".to_vec() };
    assert_eq!(record(engine, &space, "name"), Some(expected));
}

/// An entry needs a value.
pub fn put_head_makes_no_entry(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "names", b"value");
    write(engine, |txn| txn.put_head(&space, "name", &full_head()));
    assert_eq!(record(engine, &space, "name"), None);
    assert_eq!(names(engine, &space, &Range::default()), ["names"]);
}

/// For every way to ask.
pub fn a_removed_entry_is_gone(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "name", b"value");
    write(engine, |txn| txn.remove(&space, "name"));
    assert_eq!(record(engine, &space, "name"), None);
    assert_eq!(head(engine, &space, "name"), None);
    assert!(names(engine, &space, &Range::default()).is_empty());
}

/// With nothing of its earlier life.
pub fn a_removed_entry_can_come_back(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "name", &full_head(), b"first");
    write(engine, |txn| txn.remove(&space, "name"));
    put(engine, &space, "name", b"second");
    let expected = Record { head: Head { size: 6, ..plain_head() }, value: b"second".to_vec() };
    assert_eq!(record(engine, &space, "name"), Some(expected));
}

/// Removing is about how things are afterwards.
pub fn removing_what_is_absent_is_no_error(engine: &dyn Engine) {
    let space = some_space(engine);
    write(engine, |txn| txn.remove(&space, "name"));
    put(engine, &space, "other", b"value");
    write(engine, |txn| txn.remove(&space, "name"));
    assert_eq!(names(engine, &space, &Range::default()), ["other"]);
}

/// Neither a name that starts with the removed one goes with it, nor one that it would match as a pattern.
pub fn removing_leaves_the_neighbours(engine: &dyn Engine) {
    let space = some_space(engine);
    for name in ["%", "A", "a", "a%", "a_", "aa"] {
        put(engine, &space, name, b"value");
    }
    for name in ["a", "%"] {
        write(engine, |txn| txn.remove(&space, name));
    }
    assert_eq!(names(engine, &space, &Range::default()), ["A", "a%", "a_", "aa"]);
}

/// What expiry means for a single entry is for the store to say.
pub fn expired_entries_are_still_got(engine: &dyn Engine) {
    let space = some_space(engine);
    let long_gone = Head { expires: Some(Millis(1)), size: 5, ..plain_head() };
    put_with(engine, &space, "name", &long_gone, b"value");
    assert_eq!(value(engine, &space, "name").as_deref(), Some(&b"value"[..]));
    assert_eq!(head(engine, &space, "name"), Some(long_gone));
}

/// It is not taken for none.
pub fn an_empty_value_is_a_value(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "name", b"");
    assert_eq!(value(engine, &space, "name"), Some(Vec::new()));
    assert_eq!(head(engine, &space, "name").map(|head| head.size), Some(0));
    assert_eq!(names(engine, &space, &Range::default()), ["name"]);
}

/// Zero bytes and line ends included, alone and together.
pub fn every_byte_comes_back(engine: &dyn Engine) {
    let space = some_space(engine);
    let all: Vec<u8> = (0..=u8::MAX).collect();
    put(engine, &space, "all", &all);
    assert_eq!(value(engine, &space, "all"), Some(all));
    for byte in 0..=u8::MAX {
        put(engine, &space, "one", &[byte]);
        assert_eq!(value(engine, &space, "one"), Some(vec![byte]));
    }
}

/// Values are not text.
pub fn invalid_utf8_comes_back(engine: &dyn Engine) {
    let space = some_space(engine);
    for bytes in [&b"\xff\xfe"[..], b"\xc3", b"cut \xf0\x9f", b"\xed\xa0\x80", b"end\0", b"\0"] {
        put(engine, &space, "name", bytes);
        assert_eq!(value(engine, &space, "name").as_deref(), Some(bytes));
    }
}

/// An engine that keeps values in several places mixes none up.
pub fn values_of_all_sizes_replace_each_other(engine: &dyn Engine) {
    let space = some_space(engine);
    let sizes = [0, 890, 901, 100_000, 3, 70_000, 895, 100_001, 896, 897, 1];
    for (round, size) in (0..).zip(sizes) {
        let value = vec![round; size];
        for name in ["k1", "k2", "k3"] {
            put(engine, &space, name, &value);
        }
        put(engine, &space, "k2", b"other");
        let stored = |name| record(engine, &space, name).map(|record| (record.head.size, record.value));
        assert_eq!(stored("k1"), Some((size as u64, value.clone())));
        assert_eq!(stored("k2"), Some((5, b"other".to_vec())));
        assert_eq!(stored("k3"), Some((size as u64, value)));
    }
}

/// An entry that comes back small, or under another name, has nothing of the large one.
pub fn large_values_that_are_removed_stay_away(engine: &dyn Engine) {
    let space = some_space(engine);
    let large = vec![7; 50_000];
    put(engine, &space, "a", &large);
    put(engine, &space, "b", &large);
    write(engine, |txn| txn.remove(&space, "a"));
    write(engine, |txn| txn.put_head(&space, "b", &full_head()));
    assert_eq!(record(engine, &space, "a"), None);
    assert_eq!(record(engine, &space, "b").map(|record| record.value), Some(large.clone()));
    put(engine, &space, "a", b"small");
    put(engine, &space, "c", &vec![8; 60_000]);
    assert_eq!(record(engine, &space, "a").map(|record| record.value), Some(b"small".to_vec()));
    assert_eq!(record(engine, &space, "b").map(|record| record.value), Some(large));
}

/// Values larger than any page or buffer are whole.
pub fn a_value_of_a_mebibyte_comes_back(engine: &dyn Engine) {
    let space = some_space(engine);
    let large: Vec<u8> =
        (0..1 << 20).map(|at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    put(engine, &space, "large", &large);
    put(engine, &space, "small", b"value");
    assert_eq!(head(engine, &space, "large").map(|head| head.size), Some(1 << 20));
    assert!(value(engine, &space, "large") == Some(large));
    assert_eq!(value(engine, &space, "small").as_deref(), Some(&b"value"[..]));
}

/// No name has a meaning, and each can be removed without the others.
pub fn names_are_data(engine: &dyn Engine) {
    let space = some_space(engine);
    for name in HOSTILE_NAMES {
        put(engine, &space, name, name.as_bytes());
    }
    let mut left: Vec<_> = HOSTILE_NAMES.to_vec();
    left.sort_unstable();
    while let Some(name) = left.pop() {
        assert_eq!(value(engine, &space, name).as_deref(), Some(name.as_bytes()), "{name:?}");
        write(engine, |txn| txn.remove(&space, name));
        assert_eq!(names(engine, &space, &Range::default()), left, "{name:?} was removed");
    }
}

/// Names are equal when their bytes are: whatever their case, normal form, blanks or look.
pub fn names_that_look_alike_never_meet(engine: &dyn Engine) {
    let space = some_space(engine);
    let alike = [
        "a",
        "A",
        " a",
        "a ",
        "a\u{a0}",
        "а",
        "ａ",
        "é",
        "e\u{301}",
        "É",
        "k",
        "k_",
        "k__c",
        "k_c",
        "1",
        "1.0",
        "01",
        "ß",
        "ss",
        "ﬁ",
        "fi",
        "a\u{200b}",
    ];
    for name in alike {
        put(engine, &space, name, name.as_bytes());
    }
    for name in alike {
        assert_eq!(value(engine, &space, name).as_deref(), Some(name.as_bytes()), "{name:?}");
    }
    assert_eq!(names(engine, &space, &Range::default()).len(), alike.len());
}

/// A key and a context of 512 bytes each, and names that differ in the last byte only.
pub fn names_may_be_as_long_as_addresses_allow(engine: &dyn Engine) {
    let space = some_space(engine);
    let long = format!("{}__{}", "k".repeat(512), "c".repeat(511));
    let (a, b) = (format!("{long}a"), format!("{long}b"));
    put(engine, &space, &a, b"a");
    put(engine, &space, &b, b"b");
    assert_eq!(value(engine, &space, &a).as_deref(), Some(&b"a"[..]));
    assert_eq!(value(engine, &space, &b).as_deref(), Some(&b"b"[..]));
    assert_eq!(value(engine, &space, &long), None);
}

/// They are written, patched and removed apart.
pub fn one_name_in_two_spaces_is_two_entries(engine: &dyn Engine) {
    let (a, b) = (space(engine, "a", "n"), space(engine, "b", "n"));
    put(engine, &a, "name", b"a");
    assert_eq!(value(engine, &b, "name"), None);
    put(engine, &b, "name", b"b");
    write(engine, |txn| txn.put_head(&b, "name", &head_that_expires_in(1)));
    assert_eq!(value(engine, &a, "name").as_deref(), Some(&b"a"[..]));
    assert_eq!(head(engine, &a, "name").map(|head| head.expires), Some(None));
    write(engine, |txn| txn.remove(&a, "name"));
    assert_eq!(value(engine, &b, "name").as_deref(), Some(&b"b"[..]));
}

/// In place of the rank it had; nothing else changes.
pub fn ranking_all_gives_each_entry_its_version(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "full", &full_head(), b"value");
    put_with(engine, &space, "plain", &Head { version: Version(9), ..plain_head() }, b"value");
    write(engine, |txn| txn.rank_all(&space, true));
    let full = Head { rank: Some(2), size: 5, ..full_head() };
    assert_eq!(record(engine, &space, "full"), Some(Record { head: full, value: b"value".to_vec() }));
    let plain = Head { version: Version(9), rank: Some(9), size: 5, ..plain_head() };
    assert_eq!(record(engine, &space, "plain"), Some(Record { head: plain, value: b"value".to_vec() }));
}

/// Nothing else changes.
pub fn unranking_all_takes_every_rank_away(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "full", &full_head(), b"value");
    put(engine, &space, "plain", b"value");
    write(engine, |txn| txn.rank_all(&space, false));
    let full = Head { rank: None, size: 5, ..full_head() };
    assert_eq!(record(engine, &space, "full"), Some(Record { head: full, value: b"value".to_vec() }));
    assert_eq!(head(engine, &space, "plain"), Some(Head { size: 5, ..plain_head() }));
}

/// Also from what has expired; nothing else changes.
pub fn keeping_all_takes_every_expiry_away(engine: &dyn Engine) {
    let space = some_space(engine);
    put_with(engine, &space, "full", &full_head(), b"value");
    put_with(engine, &space, "expired", &head_that_expires_in(-1), b"value");
    put(engine, &space, "plain", b"value");
    write(engine, |txn| txn.keep_all(&space));
    let full = Head { expires: None, size: 5, ..full_head() };
    assert_eq!(record(engine, &space, "full"), Some(Record { head: full, value: b"value".to_vec() }));
    for name in ["expired", "plain"] {
        assert_eq!(head(engine, &space, name), Some(Head { size: 5, ..plain_head() }), "{name}");
    }
}

/// All means all of one space.
pub fn changes_of_all_stay_in_their_space(engine: &dyn Engine) {
    let spaces = ["a", "b", "c"].map(|name| space(engine, "project", name));
    for space in &spaces {
        put_with(engine, space, "name", &full_head(), b"");
    }
    write(engine, |txn| txn.rank_all(&spaces[1], true));
    write(engine, |txn| txn.keep_all(&spaces[1]));
    let changed = Head { rank: Some(2), expires: None, ..full_head() };
    let heads = spaces.map(|space| head(engine, &space, "name"));
    assert_eq!(heads, [Some(full_head()), Some(changed), Some(full_head())]);
}

fn record(engine: &dyn Engine, space: &Space, name: &str) -> Option<Record> {
    read(engine, |view| view.get(space, name))
}

/// A head in which no field has its usual value, and no two fields have the same.
fn full_head() -> Head {
    Head {
        version: Version(2),
        created: Millis(NOW.0 + 3),
        updated: Millis(NOW.0 + 4),
        expires: Some(Millis(NOW.0 + 5)),
        writer: Some("alice".to_owned()),
        rank: Some(6),
        size: 0,
        coding: Coding::PLAIN,
        metakeys: metakeys(&[("owner", "alice"), ("it's \"ключ\"", "\\ = 🗝")]),
    }
}
