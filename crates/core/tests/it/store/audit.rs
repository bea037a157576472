//! The audit log as a chain: what somebody has changed in it is found.

use prontodb_core::auth::{Break, Chain, Identity, Role, Verified};
use prontodb_core::engine::{Catalog, Engine, Txn};
use prontodb_core::store::SetOptions;
use prontodb_core::{ErrorKind, Result};

use super::{Lab, Place, address, open};

on_each_engine! {
    each_record_follows_the_one_before
    a_record_that_was_changed_is_named
    a_record_that_was_removed_is_missed
    a_record_that_was_inserted_is_named
    what_is_missing_at_the_end_is_missed
    a_chain_that_was_made_anew_has_not_the_hash_that_was_noted
    a_clock_that_is_set_back_breaks_nothing
    records_of_earlier_programs_stand_before_the_chain
    what_stands_before_the_chain_is_what_stood_there_when_it_began
    what_is_no_hash_is_refused
    a_long_log_is_walked_by_pages
}

/// Does to the data what no method of a store does.
fn tamper(lab: &Lab, mut deed: impl FnMut(&mut dyn Txn) -> Result<()>) {
    match &lab.place {
        Place::Memory(engine) => engine.write(&mut deed),
        Place::File(dir) => open(dir.path()).write(&mut deed),
    }
    .unwrap();
}

/// Grants of which each is an event.
fn note(lab: &Lab, count: u64) {
    for number in 0..count {
        lab.store.create_api_key(&format!("key{number}-{}", lab.now().0), Some(Role::Read), None).unwrap();
        lab.wait(1);
    }
}

fn whole(lab: &Lab) -> Chain {
    match lab.store.verify_audit_log(None).unwrap() {
        Verified::Whole(chain) => chain,
        Verified::Broken(broken) => panic!("{broken:?}"),
    }
}

fn broken(lab: &Lab) -> Break {
    match lab.store.verify_audit_log(None).unwrap() {
        Verified::Broken(broken) => broken,
        Verified::Whole(chain) => panic!("{chain:?}"),
    }
}

fn records(lab: &Lab) -> Vec<(String, String)> {
    let mut found = Vec::new();
    tamper(lab, |txn| {
        found = txn.records(Catalog::Audit, "", 100_000)?;
        Ok(())
    });
    found
}

fn each_record_follows_the_one_before(lab: &Lab) {
    assert_eq!(whole(lab), Chain::default());
    note(lab, 3);
    let chain = whole(lab);
    assert_eq!((chain.records, chain.unchained), (3, 0));
    let (first, last) = (chain.first.unwrap(), chain.last.unwrap());
    note(lab, 1);
    let longer = whole(lab);
    assert_eq!((longer.records, longer.first.as_ref()), (4, Some(&first)));
    assert_ne!(longer.last.as_ref(), Some(&last));
    for noted in [first, last.clone(), last.to_uppercase()] {
        assert!(matches!(lab.store.verify_audit_log(Some(&noted)).unwrap(), Verified::Whole(_)));
    }
}

fn a_record_that_was_changed_is_named(lab: &Lab) {
    note(lab, 3);
    let (key, record) = records(lab).remove(1);
    for (from, to) in
        [("owner", "alice"), ("create key", "delete key"), ("true", "false"), ("\"at\":1", "\"at\":2")]
    {
        tamper(lab, |txn| txn.put_record(Catalog::Audit, &key, &record.replace(from, to)));
        let found = broken(lab);
        assert_eq!((found.key.as_ref(), found.what), (Some(&key), "it was changed"), "{from}");
    }
    for added in [r#"{"extra":"x","#, r#"{"done":true,"#, r#"{"hash2":null,"#] {
        tamper(lab, |txn| txn.put_record(Catalog::Audit, &key, &record.replacen('{', added, 1)));
        assert_eq!(broken(lab).key.as_ref(), Some(&key), "{added}");
    }
    tamper(lab, |txn| txn.put_record(Catalog::Audit, &key, "no record"));
    assert_eq!((broken(lab).key, broken(lab).what), (Some(key.clone()), "it cannot be read"));
    tamper(lab, |txn| txn.put_record(Catalog::Audit, &key, &record));
    assert_eq!(whole(lab).records, 3);
}

fn a_record_that_was_removed_is_missed(lab: &Lab) {
    note(lab, 3);
    let all = records(lab);
    for (place, (key, record)) in all.iter().enumerate() {
        tamper(lab, |txn| txn.remove_record(Catalog::Audit, key));
        let next = all.get(place + 1).map(|(key, _)| key.clone());
        assert_eq!(broken(lab).key, next);
        tamper(lab, |txn| txn.put_record(Catalog::Audit, key, record));
    }
    assert_eq!(whole(lab).records, 3);
}

fn a_record_that_was_inserted_is_named(lab: &Lab) {
    note(lab, 3);
    let all = records(lab);
    let key = format!("{}0", all[0].0);
    let plain = r#"{"at":1,"who":"a","origin":"b","action":"c","target":"d","done":true}"#;
    for forged in [plain, &all[0].1] {
        tamper(lab, |txn| txn.put_record(Catalog::Audit, &key, forged));
        assert_eq!(broken(lab).key.as_ref(), Some(&key));
    }
    tamper(lab, |txn| txn.remove_record(Catalog::Audit, &key));
    assert_eq!(whole(lab).records, 3);
}

fn what_is_missing_at_the_end_is_missed(lab: &Lab) {
    note(lab, 3);
    let last = records(lab).pop().unwrap();
    tamper(lab, |txn| txn.remove_record(Catalog::Audit, &last.0));
    assert_eq!(broken(lab).key, None);
    let all = records(lab);
    tamper(lab, |txn| all.iter().try_for_each(|(key, _)| txn.remove_record(Catalog::Audit, key)));
    assert_eq!(broken(lab).key, None);
}

fn a_chain_that_was_made_anew_has_not_the_hash_that_was_noted(lab: &Lab) {
    note(lab, 3);
    let noted = whole(lab).last.unwrap();
    let all = records(lab);
    tamper(lab, |txn| {
        all.iter().try_for_each(|(key, _)| txn.remove_record(Catalog::Audit, key))?;
        txn.remove_record(Catalog::AuditHead, "head")
    });
    note(lab, 4);
    assert_eq!(whole(lab).records, 4);
    let Verified::Broken(found) = lab.store.verify_audit_log(Some(&noted)).unwrap() else {
        panic!("a hash was found that cannot be there");
    };
    assert!(found.key.is_none() && found.what.starts_with("no record has the hash"), "{found:?}");
}

fn a_clock_that_is_set_back_breaks_nothing(lab: &Lab) {
    note(lab, 2);
    lab.clock.set(-1_000_000);
    note(lab, 2);
    lab.clock.set(2_000_000);
    note(lab, 2);
    assert_eq!(whole(lab).records, 6);
    let log = lab.store.audit_log("", 99).unwrap();
    let moments: Vec<_> = log.iter().map(|(_, event)| event.at).collect();
    assert!(moments[2] < moments[1] && moments[4] > moments[3], "events keep their own moments: {moments:?}");
}

fn records_of_earlier_programs_stand_before_the_chain(lab: &Lab) {
    let old = r#"{"at":1,"who":"a","origin":"b","action":"c","target":"d","done":true}"#;
    // The second is from a clock that was in advance.
    let later = format!("{:015}-000003", lab.now().0 + 5_000);
    tamper(lab, |txn| {
        txn.put_record(Catalog::Audit, "000000000000001-000000", old)?;
        txn.put_record(Catalog::Audit, &later, old)
    });
    let none = whole(lab);
    assert_eq!((none.records, none.unchained, none.last), (0, 2, None));
    note(lab, 2);
    let chain = whole(lab);
    assert_eq!((chain.records, chain.unchained), (2, 2));
    assert!(records(lab)[2].0 > later);
}

fn what_stands_before_the_chain_is_what_stood_there_when_it_began(lab: &Lab) {
    let old = r#"{"at":1,"who":"a","origin":"b","action":"c","target":"d","done":true}"#;
    let put = |key: &'static str, record: String| {
        tamper(lab, move |txn| txn.put_record(Catalog::Audit, key, &record));
    };
    let remove = |key: &'static str| tamper(lab, move |txn| txn.remove_record(Catalog::Audit, key));
    // A chain with nothing before it.
    note(lab, 2);
    let first = records(lab)[0].0.clone();
    let noted = whole(lab).last.unwrap();
    put("000", old.to_owned());
    assert_eq!(broken(lab).key.as_ref(), Some(&first));
    assert!(matches!(lab.store.verify_audit_log(Some(&noted)).unwrap(), Verified::Broken(_)));
    // One that begins behind what stands there already.
    let all = records(lab);
    tamper(lab, |txn| {
        all[1..].iter().try_for_each(|(key, _)| txn.remove_record(Catalog::Audit, key))?;
        txn.remove_record(Catalog::AuditHead, "head")
    });
    put("0001", old.to_owned());
    note(lab, 2);
    let (chain, first) = (whole(lab), records(lab)[2].0.clone());
    assert_eq!((chain.records, chain.unchained), (2, 2));
    put("0002", old.to_owned());
    assert_eq!(broken(lab).key.as_ref(), Some(&first), "one was inserted");
    remove("0002");
    put("0001", old.replace("\"a\"", "\"b\""));
    assert_eq!(broken(lab).key.as_ref(), Some(&first), "one was changed");
    remove("0001");
    assert_eq!(broken(lab).key.as_ref(), Some(&first), "one was removed");
    put("0001", old.to_owned());
    assert_eq!(whole(lab), chain);
}

fn what_is_no_hash_is_refused(lab: &Lab) {
    for text in ["", "x", "pass=hunter2", &"0".repeat(63), &"g".repeat(64), &"ä".repeat(32)] {
        let error = lab.store.verify_audit_log(Some(text)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

fn a_long_log_is_walked_by_pages(lab: &Lab) {
    let sam = lab.another_store().act_as(Identity::vouched_for("sam", Some(Role::Admin), Vec::new()));
    for _ in 0..1100 {
        sam.set(&address("p.n.k"), b"v", &SetOptions::default()).unwrap();
    }
    assert_eq!(whole(lab).records, 1100);
    let (key, record) = records(lab).remove(1050);
    tamper(lab, |txn| txn.put_record(Catalog::Audit, &key, &record.replace("p.n 1", "p.n 2")));
    assert_eq!(broken(lab).key, Some(key));
}
