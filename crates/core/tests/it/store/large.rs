//! Large values: they come and go like others, and their room is used again.

use std::fs;

use prontodb_core::store::{CacheSettings, CopyOptions, Query};

use super::{Lab, Place, address, namespace};

on_each_engine! {
    sizes_are_told_without_the_values
    a_value_may_grow_and_shrink
}

const MIB: usize = 1024 * 1024;

fn sizes_are_told_without_the_values(lab: &Lab) {
    lab.cache("a.b", "60 max_bytes=9999999");
    for (name, size) in [("small", 10), ("large", MIB), ("larger", 2 * MIB)] {
        lab.set(&format!("a.b.{name}"), vec![b'v'; size]);
        assert_eq!(lab.store.head(&address(&format!("a.b.{name}"))).unwrap().unwrap().size, size as u64);
    }
    let bytes = (3 * MIB + 10 + "smalllargelarger".len()) as u64;
    assert_eq!(lab.usage("a.b"), (3, bytes));
    assert_eq!(lab.store.describe_namespaces(None).unwrap()[0].totals.bytes, bytes);
}

fn a_value_may_grow_and_shrink(lab: &Lab) {
    for size in [1, MIB, 2 * MIB, 1000, 100, 900, 0] {
        let value: Vec<_> = (0..size).map(|n| n as u8).collect();
        lab.set("a.b.k", &value);
        assert!(lab.value("a.b.k").unwrap() == value, "{size} bytes");
        lab.store.write(|writer| writer.touch(&address("a.b.k"), None)).unwrap();
        lab.store.write(|writer| writer.append(&address("a.b.k"), b"")).unwrap();
        let copied = CopyOptions { move_source: true, ..CopyOptions::default() };
        lab.store.write(|writer| writer.copy(&address("a.b.k"), &address("a.c.l"), copied)).unwrap();
        assert!(lab.value("a.c.l").unwrap() == value, "{size} bytes");
    }
}

/// Whatever it is that removes a value.
#[test]
fn what_is_removed_gives_its_room_back() {
    let lab = Lab::on_sqlite();
    let removals: [&dyn Fn(); 9] = [
        &|| assert!(lab.delete("a.b.k")),
        &|| {
            lab.set("a.b.k", "small");
        },
        &|| {
            let options = CopyOptions { move_source: true, ..CopyOptions::default() };
            lab.set("a.c.k", "small");
            lab.store.write(|writer| writer.copy(&address("a.c.k"), &address("a.b.k"), options)).unwrap();
        },
        &|| assert_eq!(lab.store.delete_matching(&namespace("a.b"), &Query::default()).unwrap(), 1),
        &|| lab.store.drop_cache(&namespace("a.b"), true).unwrap(),
        &|| {
            lab.store.set_cache(&namespace("a.b"), &CacheSettings::parse("max_items=1").unwrap()).unwrap();
            lab.set("a.b.other", "small");
        },
        &|| {
            let settings = CacheSettings::parse("max_bytes=9").unwrap();
            assert_eq!(lab.store.set_cache(&namespace("a.b"), &settings).unwrap(), 2);
        },
        &|| {
            lab.wait(10);
            assert_eq!(lab.store.collect_garbage().unwrap().entries, 1);
        },
        &|| {
            lab.store
                .set_cache(&namespace("a.b"), &CacheSettings::parse("evict_on_read=1").unwrap())
                .unwrap();
            lab.wait(10);
            assert_eq!(lab.record("a.b.k"), None);
        },
    ];
    for _ in 0..2 {
        for (way, removal) in removals.iter().enumerate() {
            lab.cache("a.b", "10ms max_items=0 max_bytes=0 evict_on_read=0");
            lab.set("a.b.k", vec![b'v'; MIB]);
            removal();
            let left = lab.value("a.b.k");
            assert!(left.is_none_or(|value| value == b"small"), "way {way} left it");
        }
    }
    let Lab { store, place: Place::File(dir), .. } = lab else { unreachable!("a lab on SQLite has a file") };
    drop(store);
    let bytes = fs::metadata(dir.path().join("test.prdb")).unwrap().len();
    assert!(bytes < 3 * MIB as u64, "{bytes} bytes");
}
