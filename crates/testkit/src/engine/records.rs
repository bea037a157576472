//! Catalogs: records beside the entries.

use prontodb_core::engine::{Catalog, Engine};
use prontodb_core::{Error, ErrorKind};

use super::{HOSTILE_NAMES, read, some_space, write};

/// Nothing is in a catalog that was never written to.
pub fn a_new_engine_has_no_records(engine: &dyn Engine) {
    for catalog in Catalog::ALL {
        assert_eq!(read(engine, |view| view.record(catalog, "k")), None);
        assert_eq!(read(engine, |view| view.records(catalog, "", 9)), []);
        write(engine, |txn| txn.remove_record(catalog, "k"));
    }
}

/// A record is found in its own catalog, under its own key.
pub fn a_record_comes_back(engine: &dyn Engine) {
    for (number, catalog) in Catalog::ALL.into_iter().enumerate() {
        write(engine, |txn| txn.put_record(catalog, "k", &format!("{number}")));
    }
    for (number, catalog) in Catalog::ALL.into_iter().enumerate() {
        assert_eq!(read(engine, |view| view.record(catalog, "k")), Some(format!("{number}")));
        assert_eq!(read(engine, |view| view.record(catalog, "K")), None);
    }
}

/// The last one put is the one that is there.
pub fn a_second_record_replaces_the_first(engine: &dyn Engine) {
    for record in ["1", "2"] {
        write(engine, |txn| txn.put_record(Catalog::Users, "k", record));
    }
    assert_eq!(read(engine, |view| view.records(Catalog::Users, "", 9)), [("k".to_owned(), "2".to_owned())]);
}

/// What is removed is gone, its neighbours are not, and it can come back.
pub fn a_removed_record_is_gone(engine: &dyn Engine) {
    write(engine, |txn| {
        ["a", "b", "c"].iter().try_for_each(|key| txn.put_record(Catalog::Grants, key, key))?;
        txn.remove_record(Catalog::Grants, "b")
    });
    assert_eq!(keys(engine, Catalog::Grants, "", 9), ["a", "c"]);
    write(engine, |txn| txn.put_record(Catalog::Grants, "b", "again"));
    assert_eq!(read(engine, |view| view.record(Catalog::Grants, "b")).as_deref(), Some("again"));
}

/// Records come in the byte order of their keys, behind the one that is named, and no more than are asked for.
pub fn records_come_in_the_byte_order_of_keys(engine: &dyn Engine) {
    write(engine, |txn| {
        for key in ["b", "ä", "B", "a", "aa"] {
            txn.put_record(Catalog::Audit, key, "")?;
        }
        txn.put_record(Catalog::Users, "another", "")
    });
    assert_eq!(keys(engine, Catalog::Audit, "", 9), ["B", "a", "aa", "b", "ä"]);
    assert_eq!(keys(engine, Catalog::Audit, "a", 2), ["aa", "b"]);
    assert_eq!(keys(engine, Catalog::Audit, "ab", 1), ["b"]);
    assert_eq!(keys(engine, Catalog::Audit, "ä", 9), [""; 0]);
}

/// Of its own catalog, whichever was put last.
pub fn the_last_record_has_the_greatest_key(engine: &dyn Engine) {
    for catalog in Catalog::ALL {
        assert_eq!(read(engine, |view| view.last_record(catalog)), None);
        write(engine, |txn| {
            ["b", "c", "a"].iter().try_for_each(|key| txn.put_record(catalog, key, catalog.name()))
        });
    }
    for catalog in Catalog::ALL {
        let last = read(engine, |view| view.last_record(catalog));
        assert_eq!(last, Some(("c".to_owned(), catalog.name().to_owned())));
        write(engine, |txn| txn.remove_record(catalog, "c"));
        let last = read(engine, |view| view.last_record(catalog));
        assert_eq!(last.map(|(key, _)| key).as_deref(), Some("b"));
    }
}

/// Keys and records are data, whatever they look like.
pub fn keys_of_records_are_data(engine: &dyn Engine) {
    for name in HOSTILE_NAMES {
        write(engine, |txn| txn.put_record(Catalog::Sessions, name, name));
    }
    for name in HOSTILE_NAMES {
        assert_eq!(read(engine, |view| view.record(Catalog::Sessions, name)).as_deref(), Some(*name));
    }
}

/// Records are part of the transaction.
pub fn a_failed_write_leaves_records(engine: &dyn Engine) {
    write(engine, |txn| txn.put_record(Catalog::Users, "kept", "1"));
    let failed = engine.write(&mut |txn| {
        txn.put_record(Catalog::Users, "kept", "2")?;
        txn.put_record(Catalog::Users, "new", "2")?;
        txn.put_record(Catalog::ApiKeys, "new", "2")?;
        txn.remove_record(Catalog::Users, "kept")?;
        Err(Error::new(ErrorKind::Conflict, "failing on purpose"))
    });
    assert!(failed.is_err());
    assert_eq!(
        read(engine, |view| view.records(Catalog::Users, "", 9)),
        [("kept".to_owned(), "1".to_owned())]
    );
    assert_eq!(keys(engine, Catalog::ApiKeys, "", 9), [""; 0]);
}

/// Records are no entries, and keeping them is no write of one.
pub fn records_leave_entries_and_the_revision_alone(engine: &dyn Engine) {
    let space = some_space(engine);
    let before = read(engine, |view| view.revision());
    write(engine, |txn| txn.put_record(Catalog::Users, "k", "1"));
    assert_eq!(read(engine, |view| view.revision()), before);
    assert_eq!(read(engine, |view| view.totals(&space, None)).keys, 0);
}

fn keys(engine: &dyn Engine, catalog: Catalog, after: &str, limit: usize) -> Vec<String> {
    let records = read(engine, |view| view.records(catalog, after, limit));
    records.into_iter().map(|(key, _)| key).collect()
}
