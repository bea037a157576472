//! One store made like another.

use prontodb_core::auth::{Identity, Role};
use prontodb_core::store::{CacheSettings, Condition, Difference, LoadOptions, SetOptions};
use prontodb_core::{ErrorKind, Store};
use prontodb_testkit::properties;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Lab, address, namespace, ttl};

const SPACES: [&str; 3] = ["a.b", "a.c", "d.e"];

/// What is made in a store: a cache, or an entry, some of them with a time to live of their own.
#[derive(Clone, Debug)]
enum Step {
    Cache { space: &'static str, settings: &'static str },
    Drop { space: &'static str },
    Set { space: &'static str, key: u8, value: Vec<u8>, ttl: Option<u64> },
    Metakey { space: &'static str, key: u8, value: &'static str },
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let space = || select(&SPACES[..]);
    let settings = select(&["60", "90 max_items=3", "60 evict_on_read=1;policy=ttl"][..]);
    let step = prop_oneof![
        2 => (space(), settings).prop_map(|(space, settings)| Step::Cache { space, settings }),
        1 => space().prop_map(|space| Step::Drop { space }),
        9 => (space(), 0..9_u8, prop::collection::vec(any::<u8>(), 0..4), prop::option::of(1..50_u64))
            .prop_map(|(space, key, value, ttl)| Step::Set { space, key, value, ttl }),
        3 => (space(), 0..9_u8, select(&["alice", "bob"][..]))
            .prop_map(|(space, key, value)| Step::Metakey { space, key, value }),
        1 => (0..20_i64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..25)
}

fn follow(lab: &Lab, steps: &[Step]) {
    for step in steps {
        // What makes no sense, such as a time to live where there is no cache, leaves the store as it is.
        match step {
            Step::Cache { space, settings } => lab.cache(space, settings),
            Step::Drop { space } => drop(lab.store.drop_cache(&namespace(space), false)),
            Step::Set { space, key, value, ttl: millis } => {
                let options = SetOptions { ttl: millis.map(ttl), ..SetOptions::default() };
                let address = address(&format!("{space}.k{key}"));
                drop(lab.store.set(&address, value, &options));
            }
            Step::Metakey { space, key, value } => {
                let address = address(&format!("{space}.k{key}"));
                lab.store.set_metakey(&address, "owner", value).unwrap();
            }
            Step::Wait(millis) => lab.wait(*millis),
        }
    }
}

fn differences(target: &Store, source: &Store) -> Vec<String> {
    let mut all = Vec::new();
    let told = target.differences(source, &mut |namespace, difference| {
        all.push(format!("{} {difference:?}", namespace.namespace()));
        Ok(())
    });
    told.unwrap();
    all
}

#[test]
fn after_a_sync_nothing_differs() {
    properties::check(150, &(steps(), steps()), |(source_steps, target_steps)| {
        let (source, target) = (Lab::in_memory(), Lab::on_sqlite());
        follow(&source, &source_steps);
        follow(&target, &target_steps);
        // Both go by the same time from here on.
        let ahead = source.now().0 - target.now().0;
        target.wait(ahead.max(0));
        source.wait((-ahead).max(0));
        target.store.sync_from(&source.store, LoadOptions::default()).unwrap();
        prop_assert_eq!(differences(&target.store, &source.store), [""; 0]);
        let again = target.store.sync_from(&source.store, LoadOptions::default()).unwrap();
        prop_assert_eq!((again.set, again.deleted), (0, 0));
        Ok(())
    });
}

#[test]
fn differences_come_in_order_and_say_what_they_are() {
    let (source, target) = (Lab::in_memory(), Lab::in_memory());
    for (name, value) in [("a.b.added", "1"), ("a.b.changed", "1"), ("a.b.same", "1")] {
        source.set(name, value);
    }
    for (name, value) in [("a.b.changed", "2"), ("a.b.removed", "1"), ("a.b.same", "1"), ("x.y.k", "1")] {
        target.set(name, value);
    }
    source.cache("c.d", "60");
    let mut all = Vec::new();
    let told = target.store.differences(&source.store, &mut |space, difference| {
        all.push(match difference {
            Difference::Added(name) => format!("+ {}.{name}", space.namespace()),
            Difference::Changed(name) => format!("~ {}.{name}", space.namespace()),
            Difference::Removed(name) => format!("- {}.{name}", space.namespace()),
            Difference::Settings => format!("* {}", space.namespace()),
        });
        Ok(())
    });
    told.unwrap();
    assert_eq!(all, ["+ b.added", "~ b.changed", "- b.removed", "* d", "- y.k"]);
}

#[test]
fn many_entries_are_compared_page_by_page() {
    let (source, target) = (Lab::in_memory(), Lab::in_memory());
    let names = |range: std::ops::Range<u32>| range.map(|number| format!("k{number:06}")).collect::<Vec<_>>();
    source.set_all("a.b", names(0..25_000), "v");
    target.set_all("a.b", names(10_000..30_000), "v");
    let loaded = target.store.sync_from(&source.store, LoadOptions::default()).unwrap();
    assert_eq!((loaded.set, loaded.deleted), (10_000, 5_000));
    assert_eq!(differences(&target.store, &source.store), [""; 0]);
}

#[test]
fn a_cache_that_is_none_in_the_source_becomes_none() {
    let (source, target) = (Lab::in_memory(), Lab::in_memory());
    source.set("a.b.k", "1");
    target.cache("a.b", "60");
    target.set("a.b.k", "1");
    target.store.sync_from(&source.store, LoadOptions::default()).unwrap();
    assert_eq!(target.space("a.b").cache, None);
    assert_eq!(target.expiry("a.b.k"), None);
    let settings = CacheSettings::parse("60").unwrap();
    source.store.create_cache(&namespace("a.b"), &settings).unwrap();
    target.store.sync_from(&source.store, LoadOptions::default()).unwrap();
    assert_eq!(target.expiry("a.b.k"), None, "what was kept when it became a cache does not expire");
}

#[test]
fn a_namespace_without_entries_is_made_too() {
    let (source, target) = (Lab::in_memory(), Lab::in_memory());
    source.set("a.b.k", "1");
    source.store.write(|writer| writer.delete(&address("a.b.k"), &Condition::default())).unwrap();
    source.set("c.d.k", "1");
    assert_eq!(differences(&target.store, &source.store), ["b Settings", "d Added(\"k\")"]);
    target.store.sync_from(&source.store, LoadOptions::default()).unwrap();
    assert_eq!(target.space("a.b").cache, None);
    assert_eq!(differences(&target.store, &source.store), [""; 0]);
}

#[test]
fn a_cache_that_is_alike_keeps_its_order() {
    let (source, target) = (Lab::in_memory(), Lab::on_sqlite());
    for lab in [&source, &target] {
        lab.cache("a.b", "60 max_items=3 policy=lru");
        for key in ["a", "b", "c"] {
            lab.set(&format!("a.b.{key}"), "1");
        }
    }
    assert!(target.value("a.b.a").is_some(), "which makes it the one used last");
    source.set("x.y.k", "1");
    target.store.sync_from(&source.store, LoadOptions::default()).unwrap();
    target.set("a.b.d", "1");
    assert_eq!(target.names("a.b"), ["a", "c", "d"]);
    assert_eq!(target.usage("a.b").0, 3);
}

#[test]
fn a_sync_that_fails_changes_nothing() {
    let (source, target) = (Lab::in_memory(), Lab::on_sqlite());
    source.cache("a.b", "60 max_items=2");
    source.set("a.b.k", "1");
    source.set("d.e.cut", "1");
    target.cache("a.b", "90 max_items=5");
    target.set("a.b.old", "1");
    let before = (target.space("a.b").cache, target.names("a.b"));
    let cut = "CREATE TRIGGER cut BEFORE INSERT ON entries WHEN NEW.name = 'cut' BEGIN SELECT RAISE(ABORT, 'cut'); END";
    super::coding::connect(&target).execute_batch(cut).unwrap();
    target.store.sync_from(&source.store, LoadOptions::default()).unwrap_err();
    assert_eq!((target.space("a.b").cache, target.names("a.b")), before);
}

#[test]
fn values_of_any_size_go_along() {
    let (source, target) = (Lab::in_memory(), Lab::on_sqlite());
    source.set("a.b.k", vec![b'v'; 3000]);
    let strict = target.another_store().with_max_value_bytes(1000);
    strict.sync_from(&source.store, LoadOptions::default()).unwrap();
    assert_eq!(target.value("a.b.k").unwrap().len(), 3000);
}

#[test]
fn whoever_may_only_write_syncs_nothing() {
    let (source, target) = (Lab::in_memory(), Lab::on_sqlite());
    source.set("a.b.k", "1");
    let writer = Identity::vouched_for("sam", Some(Role::Write), Vec::new());
    let refused = target.another_store().act_as(writer).sync_from(&source.store, LoadOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    assert!(target.store.namespaces(None).unwrap().is_empty());
    let log = target.store.audit_log("", 9).unwrap();
    assert!(log.len() == 1 && !log[0].1.done, "{log:?}");
}
