//! Several changes as one.

use prontodb_core::store::{CacheSettings, Condition, CopyOptions, SetOptions};
use prontodb_core::{Error, ErrorKind, Result};

use super::{Lab, address, everything, namespace, ttl};

on_each_engine! {
    changes_of_one_transaction_share_a_version
    later_changes_see_earlier_ones
    a_body_that_fails_leaves_nothing
    a_body_that_only_looks_is_no_write
    a_refused_change_leaves_nothing_though_the_transaction_goes_on
    all_changes_happen_at_one_moment
    the_writer_is_recorded
    versions_grow_across_namespaces
}

fn changes_of_one_transaction_share_a_version(lab: &Lab) {
    let before = lab.set("a.b.before", "1");
    lab.store
        .write(|writer| {
            writer.set(&address("a.b.k"), b"1", &SetOptions::default())?;
            writer.increment(&address("c.d.k"), 1)
        })
        .unwrap();
    let versions = ["a.b.k", "c.d.k"].map(|name| lab.record(name).unwrap().head.version);
    assert!(versions[0] == versions[1] && versions[0] > before);
    assert_eq!(lab.store.revision().unwrap(), versions[0]);
}

fn later_changes_see_earlier_ones(lab: &Lab) {
    let (k, l) = (address("a.b.k"), address("a.b.l"));
    let seen = lab.store.write(|writer| {
        writer.set(&k, b"1", &SetOptions::default())?;
        let sum = writer.increment(&k, 1)?;
        writer.append(&k, b"0")?;
        writer.copy(&k, &l, CopyOptions { move_source: true, if_absent: true })?;
        Ok((sum, writer.delete(&k, &Condition::default())?, writer.increment(&l, 0)?))
    });
    assert_eq!(seen.unwrap(), (2, false, 20));
    assert_eq!(lab.names("a.b"), ["l"]);
}

fn a_body_that_fails_leaves_nothing(lab: &Lab) {
    lab.cache("a.cache", "60 max_items=3");
    for name in ["a", "b", "c"] {
        lab.set(&format!("a.cache.{name}"), name);
    }
    lab.set_for("a.cache.expired", "1", 1);
    lab.wait(1);
    let look = || (lab.store.namespaces(None).unwrap(), everything(&lab.store, &namespace("a.cache")));
    let (before, revision) = (look(), lab.store.revision().unwrap());
    let failed: Result<()> = lab.store.write(|writer| {
        writer.set(&address("a.cache.new"), b"1", &SetOptions::default())?;
        writer.append(&address("a.cache.b"), b"tail")?;
        writer.touch(&address("a.cache.c"), Some(ttl(99)))?;
        writer.copy(
            &address("a.cache.b"),
            &address("new.space.k"),
            CopyOptions { move_source: true, if_absent: false },
        )?;
        Err(Error::new(ErrorKind::Denied, "failing on purpose"))
    });
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(look(), before);
    assert_eq!(lab.store.revision().unwrap(), revision);
    assert!(lab.set("a.cache.k", "1") > revision);
}

fn a_body_that_only_looks_is_no_write(lab: &Lab) {
    let revision = lab.set("a.b.k", "1");
    let seen = lab.store.write(|writer| {
        let deleted = writer.delete(&address("a.b.missing"), &Condition::default())?;
        let touched = writer.touch(&address("c.d.missing"), None)?;
        Ok((deleted, touched, writer.now()))
    });
    assert_eq!(seen.unwrap(), (false, None, lab.now()));
    assert_eq!(lab.store.revision().unwrap(), revision);
    assert_eq!(lab.store.projects().unwrap(), ["a"]);
}

/// Each change checks all it needs before it writes anything.
fn a_refused_change_leaves_nothing_though_the_transaction_goes_on(lab: &Lab) {
    let settings = CacheSettings::parse("60 max_items=9 max_bytes=20").unwrap();
    lab.store.create_cache(&namespace("a.b"), &settings).unwrap();
    lab.set("a.b.k", "text");
    lab.set("a.c.large", "longer than the cache holds");
    let absent = Condition { value: Some(b"other".to_vec()), ..Condition::default() };
    let conditional = SetOptions { condition: absent.clone(), ..SetOptions::default() };
    let (k, large) = (address("a.b.k"), address("a.c.large"));
    let before = everything(&lab.store, &namespace("a.b"));
    let kinds = lab.store.write(|writer| {
        Ok([
            writer.set(&k, &[0; 20], &SetOptions::default()).map(drop),
            writer.append(&k, &[0; 20]).map(drop),
            writer.copy(&large, &k, CopyOptions::default()).map(drop),
            writer.set(&k, b"1", &conditional).map(drop),
            writer.delete(&k, &absent).map(drop),
            writer.increment(&k, 1).map(drop),
            writer.touch(&large, Some(ttl(5))).map(drop),
        ]
        .map(|refused| refused.unwrap_err().kind()))
    });
    let (limit, conflict) = (ErrorKind::Limit, ErrorKind::Conflict);
    let expected = [limit, limit, limit, conflict, conflict, ErrorKind::Invalid, ErrorKind::NoTtl];
    assert_eq!(kinds.unwrap(), expected);
    assert_eq!(everything(&lab.store, &namespace("a.b")), before);
    assert_eq!(lab.usage("a.b"), (1, 5));
}

fn all_changes_happen_at_one_moment(lab: &Lab) {
    let written = lab.store.write(|writer| {
        writer.set(&address("a.b.k"), b"1", &SetOptions::default())?;
        lab.wait(5);
        writer.set(&address("a.b.l"), b"1", &SetOptions::default())
    });
    written.unwrap();
    let moments = ["a.b.k", "a.b.l"].map(|name| lab.record(name).unwrap().head.updated);
    assert_eq!(moments, [super::START; 2]);
}

fn the_writer_is_recorded(lab: &Lab) {
    let store = lab.another_store().with_writer(Some("it's".to_owned()));
    let writer = || lab.record("a.b.k").unwrap().head.writer;
    store.set(&address("a.b.k"), b"1", &SetOptions::default()).unwrap();
    assert_eq!(writer().as_deref(), Some("it's"));
    lab.set("a.b.k", "2");
    assert_eq!(writer(), None);
    store.write(|writer| writer.touch(&address("a.b.k"), None)).unwrap();
    assert_eq!(writer().as_deref(), Some("it's"));
}

fn versions_grow_across_namespaces(lab: &Lab) {
    let versions = ["a.b.k", "c.d.k", "a.b.k", "a.c.k"].map(|name| lab.set(name, "1"));
    assert!(versions.is_sorted_by(|earlier, later| earlier < later), "{versions:?}");
}
