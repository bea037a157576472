//! Spaces: how they are made and found, and that they may be caches.

use std::slice::from_ref;

use prontodb_core::engine::{Cache, Engine, Policy, Range, Sealing, Space, Totals, Usage};
use prontodb_core::{Millis, Namespace, Ttl, Version};

use super::{HOSTILE_NAMES, NOW, names, namespace, put, read, some_space, space, value, write};

/// Nothing was ever written to a new engine.
pub fn a_new_engine_is_empty(engine: &dyn Engine) {
    assert_eq!(read(engine, |view| view.revision()), Version(0));
    assert_eq!(read(engine, |view| view.spaces(None)), []);
    assert_eq!(found(engine, &Namespace::default()), None);
}

/// Nothing is in a new space.
pub fn a_new_space_is_empty_and_ordinary(engine: &dyn Engine) {
    let space = some_space(engine);
    assert_eq!(space.cache, None);
    assert_eq!(read(engine, |view| view.totals(&space, None)), Totals::default());
    assert_eq!(read(engine, |view| view.get(&space, "name")), None);
}

/// Nor is any other thing of it that nobody asked for.
pub fn a_new_space_is_not_sealed(engine: &dyn Engine) {
    assert_eq!(some_space(engine).sealing, Sealing::Never);
}

/// Every way to find the space tells it, and nothing else of the space changes.
pub fn the_sealing_of_a_space_comes_back(engine: &dyn Engine) {
    let (space, other) = (space(engine, "a", "b"), space(engine, "a", "c"));
    put(engine, &space, "name", b"value");
    for sealing in
        [Sealing::Turning(1), Sealing::Under(1), Sealing::Under(1 << 61), Sealing::Ended, Sealing::Never]
    {
        write(engine, |txn| txn.set_sealing(&space, sealing));
        let expected = Space { sealing, ..space.clone() };
        assert_eq!(found(engine, &space.namespace), Some(expected.clone()));
        assert_eq!(read(engine, |view| view.spaces(Some("a"))), [expected.clone(), other.clone()]);
        assert_eq!(read(engine, |view| view.spaces(None)), [expected.clone(), other.clone()]);
        assert_eq!(value(engine, &expected, "name"), Some(b"value".to_vec()));
    }
}

/// What made the space and what finds it say the same, and what was asked for.
pub fn a_space_is_found_as_it_was_made(engine: &dyn Engine) {
    let wanted = namespace("project", "namespace");
    let made = write(engine, |txn| txn.create_space(&wanted, Millis(1234)));
    assert_eq!(made.namespace, wanted);
    assert_eq!(made.created, Millis(1234));
    assert!(!made.table.is_empty());
    assert_eq!(found(engine, &wanted).as_ref(), Some(&made));
    assert_eq!(read(engine, |view| view.spaces(None)), [made]);
}

/// Neither half of a name is enough to find a space, nor are both the wrong way round.
pub fn an_unknown_namespace_has_no_space(engine: &dyn Engine) {
    space(engine, "a", "b");
    for (project, name) in [("a", "c"), ("c", "b"), ("b", "a"), ("A", "b"), ("a", "B")] {
        assert_eq!(found(engine, &namespace(project, name)), None, "{project}.{name}");
    }
}

/// Spaces of one project, of one write and of several have different numbers.
pub fn no_two_spaces_share_an_id(engine: &dyn Engine) {
    let a = space(engine, "a", "a");
    let (b, c) = write(engine, |txn| {
        let b = txn.create_space(&namespace("a", "b"), NOW)?;
        Ok((b, txn.create_space(&namespace("b", "b"), NOW)?))
    });
    assert_ne!(a.id, b.id);
    assert_ne!(a.id, c.id);
    assert_ne!(b.id, c.id);
}

/// Making a space where one is fails, and leaves that one and what it holds.
pub fn a_namespace_has_one_space(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "name", b"value");
    let again = engine.write(&mut |txn| txn.create_space(&space.namespace, NOW).map(drop));
    assert!(again.is_err());
    assert_eq!(read(engine, |view| view.spaces(None)), from_ref(&space));
    assert_eq!(value(engine, &space, "name").as_deref(), Some(&b"value"[..]));
}

/// Projects order spaces before namespaces do, and both by bytes: not by the text of the address.
pub fn spaces_come_in_the_byte_order_of_project_and_namespace(engine: &dyn Engine) {
    let sorted = [
        ("B", "b"),
        ("a", "B"),
        ("a", "b"),
        ("a", "b!"),
        ("a", "z"),
        ("a!", "a"),
        ("b", "a"),
        ("é", "a"),
        ("\u{ffff}", "a"),
        ("😀", "a"),
    ];
    let mut mixed = sorted;
    mixed.reverse();
    mixed.swap(1, 6);
    for (project, name) in mixed {
        space(engine, project, name);
    }
    assert_eq!(listed(engine, None), sorted.map(|(project, name)| namespace(project, name)));
}

/// The start of a project's name, or the name in other letters, is another name; no character stands for others.
pub fn spaces_are_found_by_the_whole_name_of_their_project(engine: &dyn Engine) {
    for project in ["a", "ab", "A", "a%", "a_", "%", "*"] {
        space(engine, project, "n");
        space(engine, project, "m");
    }
    for project in ["a", "A", "a%", "%", "*"] {
        let expected = [namespace(project, "m"), namespace(project, "n")];
        assert_eq!(listed(engine, Some(project)), expected, "{project}");
    }
    assert_eq!(listed(engine, Some("b")), []);
    assert_eq!(listed(engine, Some("")), []);
}

/// However names are joined, two namespaces are two.
pub fn namespaces_that_look_alike_never_meet(engine: &dyn Engine) {
    let alike =
        [("x_y", "z"), ("x", "y_z"), ("x.y", "z"), ("x", "y.z"), ("x.y.z", "."), ("xy", "z"), ("x", "yz")];
    let spaces = alike.map(|(project, name)| space(engine, project, name));
    for space in &spaces {
        put(engine, space, "name", space.namespace.project().as_bytes());
    }
    for space in &spaces {
        assert_eq!(found(engine, &space.namespace).as_ref(), Some(space));
        assert_eq!(value(engine, space, "name").as_deref(), Some(space.namespace.project().as_bytes()));
    }
    assert_eq!(listed(engine, None).len(), alike.len());
}

/// No name of a project or a namespace has a meaning.
pub fn names_of_namespaces_are_data(engine: &dyn Engine) {
    for name in HOSTILE_NAMES {
        let made = space(engine, name, name);
        assert_eq!(found(engine, &namespace(name, name)), Some(made.clone()), "{name:?}");
        assert_eq!(read(engine, |view| view.spaces(Some(name))), [made], "{name:?}");
    }
    assert_eq!(listed(engine, None).len(), HOSTILE_NAMES.len());
}

/// Each field of the settings is kept, alone and with the others.
pub fn cache_settings_come_back_field_by_field(engine: &dyn Engine) {
    let space = some_space(engine);
    let large = i64::MAX.unsigned_abs();
    for cache in [
        cache(),
        Cache { timeout: ttl(86_400_000), ..cache() },
        Cache { evict_on_read: true, ..cache() },
        Cache { max_items: Some(7), ..cache() },
        Cache { max_items: Some(0), max_bytes: Some(0), ..cache() },
        Cache { max_bytes: Some(large), ..cache() },
        Cache { policy: Policy::Lru, ..cache() },
        Cache { policy: Policy::Ttl, ..cache() },
        Cache { usage: Usage { items: 1, bytes: 2, rank: 3 }, ..cache() },
        Cache { usage: Usage { items: large, bytes: large, rank: large }, ..cache() },
        full_cache(),
    ] {
        write(engine, |txn| txn.set_cache(&space, Some(&cache)));
        let expected = Space { cache: Some(cache), ..space.clone() };
        assert_eq!(read(engine, |view| view.spaces(None)), from_ref(&expected));
        assert_eq!(found(engine, &space.namespace), Some(expected));
    }
}

/// `None` takes all settings away, and they can be given again.
pub fn a_space_stops_being_a_cache(engine: &dyn Engine) {
    let space = some_space(engine);
    for cache in [None, Some(full_cache()), None, Some(cache())] {
        write(engine, |txn| txn.set_cache(&space, cache.as_ref()));
        assert_eq!(found(engine, &space.namespace), Some(Space { cache, ..space.clone() }));
    }
}

/// The settings of one space are no other's.
pub fn cache_settings_are_those_of_one_space(engine: &dyn Engine) {
    let spaces = [space(engine, "a", "a"), space(engine, "a", "b"), space(engine, "b", "a")];
    write(engine, |txn| txn.set_cache(&spaces[1], Some(&full_cache())));
    let caches: Vec<_> =
        read(engine, |view| view.spaces(None)).into_iter().map(|space| space.cache).collect();
    assert_eq!(caches, [None, Some(full_cache()), None]);
}

/// The store gives rules their effect; an engine only keeps them.
pub fn cache_settings_leave_the_entries_alone(engine: &dyn Engine) {
    let space = some_space(engine);
    for name in ["a", "b"] {
        put(engine, &space, name, b"value");
    }
    let all = || read(engine, |view| Ok((view.get(&space, "a")?, view.get(&space, "b")?)));
    let before = all();
    let small = Cache { max_items: Some(1), max_bytes: Some(1), evict_on_read: true, ..cache() };
    write(engine, |txn| txn.set_cache(&space, Some(&small)));
    assert_eq!(all(), before);
    write(engine, |txn| txn.set_cache(&space, None));
    assert_eq!(all(), before);
    assert_eq!(names(engine, &space, &Range::default()), ["a", "b"]);
}

fn found(engine: &dyn Engine, namespace: &Namespace) -> Option<Space> {
    read(engine, |view| view.space(namespace))
}

fn listed(engine: &dyn Engine, project: Option<&str>) -> Vec<Namespace> {
    read(engine, |view| view.spaces(project)).into_iter().map(|space| space.namespace).collect()
}

fn ttl(millis: u64) -> Ttl {
    Ttl::from_millis(millis).expect("a time to live")
}

/// A cache without limits.
fn cache() -> Cache {
    Cache {
        timeout: ttl(1),
        evict_on_read: false,
        max_items: None,
        max_bytes: None,
        policy: Policy::Fifo,
        usage: Usage::default(),
    }
}

/// A cache in which no field has its usual value, and no two fields have the same.
fn full_cache() -> Cache {
    Cache {
        timeout: ttl(60_000),
        evict_on_read: true,
        max_items: Some(100),
        max_bytes: Some(2000),
        policy: Policy::Lru,
        usage: Usage { items: 3, bytes: 400, rank: 5 },
    }
}
