//! Conditional writes: what they compare with, and what they leave when they are refused.

use prontodb_core::store::{Condition, Presence, SetOptions};
use prontodb_core::{ErrorKind, Version};

use super::{Lab, MAX_VALUE_BYTES, address};

on_each_engine! {
    absent_is_what_is_not_there
    present_is_what_is_there
    a_version_is_never_that_of_another_state
    a_value_has_to_be_the_same_byte_for_byte
    all_conditions_have_to_hold
    a_refused_write_changes_nothing
    a_conditional_delete_compares_first
    a_condition_is_checked_before_the_time_to_live
    what_was_there_before_comes_back_when_it_is_asked_for
    numbers_stay_within_64_bits
    what_is_no_number_is_not_incremented
    values_stay_below_their_limit
}

fn presence(presence: Presence) -> Condition {
    Condition { presence: Some(presence), ..Condition::default() }
}

fn version(version: Version) -> Condition {
    Condition { version: Some(version), ..Condition::default() }
}

fn value(value: &[u8]) -> Condition {
    Condition { value: Some(value.to_vec()), ..Condition::default() }
}

/// Whether `a.b.k` is written under a condition.
fn writes(lab: &Lab, condition: Condition, value: &str) -> bool {
    let options = SetOptions { condition, ..SetOptions::default() };
    match lab.store.set(&address("a.b.k"), value.as_bytes(), &options) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Conflict);
            false
        }
    }
}

fn absent_is_what_is_not_there(lab: &Lab) {
    assert!(writes(lab, presence(Presence::Absent), "first"));
    assert!(!writes(lab, presence(Presence::Absent), "second"));
    lab.delete("a.b.k");
    assert!(writes(lab, presence(Presence::Absent), "third"));
    assert_eq!(lab.value("a.b.k").unwrap(), b"third");
}

fn present_is_what_is_there(lab: &Lab) {
    assert!(!writes(lab, presence(Presence::Present), "first"));
    assert!(lab.store.namespaces(None).unwrap().is_empty());
    lab.set("a.b.k", "second");
    assert!(writes(lab, presence(Presence::Present), "third"));
}

/// Not even of one that looks the same, or of an entry that was deleted in between.
fn a_version_is_never_that_of_another_state(lab: &Lab) {
    let first = lab.set("a.b.k", "same");
    let second = lab.set("a.b.k", "same");
    assert!(!writes(lab, version(first), "1"));
    lab.delete("a.b.k");
    let third = lab.set("a.b.k", "same");
    assert!(first < second && second < third);
    assert!(!writes(lab, version(second), "2"));
    lab.store.write(|writer| writer.touch(&address("a.b.k"), None)).unwrap();
    assert!(!writes(lab, version(third), "3"));
    assert!(writes(lab, version(lab.record("a.b.k").unwrap().head.version), "4"));
}

fn a_value_has_to_be_the_same_byte_for_byte(lab: &Lab) {
    assert!(!writes(lab, value(b""), "absent is not empty"));
    lab.set("a.b.k", "Value\0");
    for other in [&b"Value"[..], b"value\0", b"Value\0\0", b""] {
        assert!(!writes(lab, value(other), "new"));
    }
    assert!(writes(lab, value(b"Value\0"), "new"));
}

fn all_conditions_have_to_hold(lab: &Lab) {
    let seen = lab.set("a.b.k", "1");
    let all =
        Condition { presence: Some(Presence::Present), version: Some(seen), value: Some(b"1".to_vec()) };
    let broken = [
        Condition { presence: Some(Presence::Absent), ..all.clone() },
        Condition { version: Some(Version(seen.0 + 1)), ..all.clone() },
        Condition { value: Some(b"2".to_vec()), ..all.clone() },
    ];
    for condition in broken {
        assert!(!writes(lab, condition, "2"));
    }
    assert!(writes(lab, all, "2"));
}

fn a_refused_write_changes_nothing(lab: &Lab) {
    lab.set("a.b.k", "1");
    let (record, revision) = (lab.record("a.b.k"), lab.store.revision().unwrap());
    lab.wait(5);
    assert!(!writes(lab, presence(Presence::Absent), "2"));
    assert_eq!((lab.record("a.b.k"), lab.store.revision().unwrap()), (record, revision));
}

fn a_conditional_delete_compares_first(lab: &Lab) {
    let seen = lab.set("a.b.k", "1");
    let delete = |condition| lab.store.write(|writer| writer.delete(&address("a.b.k"), &condition));
    for condition in [presence(Presence::Absent), version(Version(seen.0 + 1)), value(b"2")] {
        assert_eq!(delete(condition).unwrap_err().kind(), ErrorKind::Conflict);
    }
    assert!(delete(version(seen)).unwrap());
    assert_eq!(lab.record("a.b.k"), None);
    assert_eq!(delete(version(seen)).unwrap_err().kind(), ErrorKind::Conflict);
    assert!(!delete(presence(Presence::Absent)).unwrap());
}

fn a_condition_is_checked_before_the_time_to_live(lab: &Lab) {
    lab.set("a.b.k", "1");
    let options = SetOptions {
        ttl: Some(super::ttl(5)),
        condition: presence(Presence::Absent),
        ..SetOptions::default()
    };
    let refused = lab.store.set(&address("a.b.k"), b"2", &options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
}

fn what_was_there_before_comes_back_when_it_is_asked_for(lab: &Lab) {
    let set = |value: &[u8], want_old, condition| {
        let options = SetOptions { want_old, condition, ..SetOptions::default() };
        lab.store.set(&address("a.b.k"), value, &options).unwrap().old
    };
    assert_eq!(set(b"1", true, Condition::default()), None);
    let first = lab.record("a.b.k");
    assert_eq!(set(b"2", true, Condition::default()), first);
    assert_eq!(set(b"3", false, value(b"2")), None);
}

fn numbers_stay_within_64_bits(lab: &Lab) {
    let add = |by| lab.store.increment(&address("a.b.k"), by);
    assert_eq!(add(i64::MAX).unwrap(), i64::MAX);
    assert_eq!(add(1).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(lab.value("a.b.k").unwrap(), b"9223372036854775807");
    assert_eq!(add(i64::MIN).unwrap(), -1);
    assert_eq!(add(i64::MIN).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(lab.value("a.b.k").unwrap(), b"-1");
}

fn what_is_no_number_is_not_incremented(lab: &Lab) {
    for text in ["", " 1", "1 ", "1.0", "1e3", "0x1", "one", "9223372036854775808", "\u{0661}"] {
        lab.set("a.b.k", text);
        let refused = lab.store.increment(&address("a.b.k"), 1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{text:?}");
        assert_eq!(lab.value("a.b.k").unwrap(), text.as_bytes());
    }
}

fn values_stay_below_their_limit(lab: &Lab) {
    let largest = vec![0; MAX_VALUE_BYTES as usize];
    lab.set("a.b.k", &largest);
    let longer = [&largest[..], b"1"].concat();
    let refused = [
        lab.store.set(&address("a.b.k"), &longer, &SetOptions::default()).map(drop),
        lab.store.write(|writer| writer.append(&address("a.b.k"), b"1").map(drop)),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Limit);
    }
    assert!(lab.value("a.b.k").unwrap() == largest);
}
