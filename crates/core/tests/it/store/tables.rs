//! Tables, namespaces and projects come, move and go, whatever else is done meanwhile and whoever dies at it.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use prontodb_core::auth::{Grant, Identity, Pattern, Role};
use prontodb_core::engine::{Awaited, Engine, Mark, Txn, View, Wait};
use prontodb_core::store::{CacheSettings, Query, SetOptions, Table};
use prontodb_core::{Delimiter, Error, ErrorKind, Result, Store};
use rusqlite::Connection;

use super::{Kept, Lab, Place, Shared, address, coding, everything, namespace, open};

on_each_engine! {
    tables_are_made_and_dropped
    names_that_no_table_can_have_are_refused
    namespaces_are_made_where_they_are_to_lie
    what_is_there_is_not_made_again
    what_is_not_there_is_an_error
    a_dropped_namespace_is_gone_and_the_next_one_is_new
    a_table_that_holds_namespaces_is_dropped_on_demand_alone
    a_namespace_moves_with_all_it_holds
    a_table_of_its_own_comes_and_goes_with_its_namespace
    an_encrypted_namespace_moves_and_is_dropped_with_its_keys
    a_cache_that_moves_keeps_its_limits_and_times
    projects_may_be_there_without_namespaces
    a_dropped_project_takes_its_namespaces_along
    only_administrators_do_any_of_it
    a_description_tells_what_there_is
}

/// So many entries that no step can copy or remove them all.
const MANY: usize = 10_300;

/// A value that lies apart, since nothing compresses it.
fn large(seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..3000).map(|_| next()).collect()
}

fn table(name: &str) -> Table {
    name.parse().unwrap()
}

fn error<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    error.to_string()
}

fn table_names(store: &Store) -> Vec<String> {
    store.tables().unwrap().into_iter().map(|table| table.name).collect()
}

/// What users call the table of a namespace.
fn table_of(store: &Store, name: &str) -> String {
    store.describe_namespace(&namespace(name)).unwrap().info.table
}

fn move_to(store: &Store, name: &str, to: &str) -> Result<bool> {
    store.move_namespace(&namespace(name), &table(to))
}

fn tables_are_made_and_dropped(lab: &Lab) {
    assert_eq!(table_names(&lab.store), ["shared"]);
    for name in ["hot", "a", "Z_9-"] {
        lab.store.create_table(name).unwrap();
    }
    assert_eq!(table_names(&lab.store), ["Z_9-", "a", "hot", "shared"]);
    let hot = lab.store.tables().unwrap().into_iter().find(|table| table.name == "hot").unwrap();
    assert_eq!((hot.created, hot.namespaces.len(), hot.leftovers), (Some(lab.now()), 0, 0));
    lab.store.drop_table("hot", false).unwrap();
    assert_eq!(table_names(&lab.store), ["Z_9-", "a", "shared"]);
    lab.store.create_table("hot").unwrap();
}

fn names_that_no_table_can_have_are_refused(lab: &Lab) {
    let long = "x".repeat(65);
    for name in ["", "a b", "a.b", "é", "a'; DROP TABLE entries; --", &long] {
        assert!(error(lab.store.create_table(name)).contains("cannot be the name of a table"), "{name}");
    }
    for name in ["shared", "own", "own-1"] {
        assert!(error(lab.store.create_table(name)).contains("cannot be made"), "{name}");
    }
    assert_eq!(table_names(&lab.store), ["shared"]);
}

fn namespaces_are_made_where_they_are_to_lie(lab: &Lab) {
    lab.store.create_table("hot").unwrap();
    let settings = CacheSettings::parse("60 max_items=2").unwrap();
    lab.store.create_namespace(&namespace("a.shared"), &Table::Shared, None).unwrap();
    lab.store.create_namespace(&namespace("a.hot"), &table("hot"), None).unwrap();
    lab.store.create_namespace(&namespace("a.cache"), &table("hot"), Some(&settings)).unwrap();
    lab.store.create_namespace(&namespace("a.own"), &Table::Own, Some(&settings)).unwrap();
    for name in ["a.shared", "a.hot", "a.cache", "a.own"] {
        for key in ["k", "l", "m"] {
            lab.set(&format!("{name}.{key}"), name);
        }
    }
    assert_eq!(lab.names("a.hot"), ["k", "l", "m"]);
    assert_eq!(lab.names("a.own"), ["l", "m"]);
    assert_eq!(lab.names("a.cache"), ["l", "m"]);
    assert_eq!(lab.value("a.own.m").unwrap(), b"a.own");
    assert_eq!(
        (table_of(&lab.store, "a.shared"), table_of(&lab.store, "a.hot")),
        ("shared".into(), "hot".into())
    );
    assert_eq!(table_of(&lab.store, "a.own"), format!("own-{}", lab.space("a.own").id));
    let (hot, held) = lab.store.describe_table("hot").unwrap();
    assert_eq!(hot.namespaces, [namespace("a.cache"), namespace("a.hot")]);
    assert_eq!(held.iter().map(|info| info.totals.keys).collect::<Vec<_>>(), [2, 3]);
}

fn what_is_there_is_not_made_again(lab: &Lab) {
    lab.set("a.b.k", "1");
    lab.store.create_table("hot").unwrap();
    lab.store.create_project("p").unwrap();
    assert!(error(lab.store.create_table("hot")).contains("there is a table hot already"));
    let create = |to| lab.store.create_namespace(&namespace("a.b"), &to, None);
    assert!(error(create(Table::Shared)).contains("there is a namespace a.b already"));
    assert!(error(create(Table::Own)).contains("already"));
    for project in ["p", "a"] {
        assert!(error(lab.store.create_project(project)).contains("already"));
    }
    assert_eq!((lab.value("a.b.k").unwrap(), table_names(&lab.store).len()), (b"1".to_vec(), 2));
}

fn what_is_not_there_is_an_error(lab: &Lab) {
    lab.set("a.b.k", "1");
    let (here, gone) = (namespace("a.b"), namespace("a.c"));
    for message in [
        error(lab.store.drop_table("hot", true)),
        error(lab.store.describe_table("hot")),
        error(lab.store.create_namespace(&gone, &table("hot"), None)),
        error(lab.store.move_namespace(&here, &table("hot"))),
    ] {
        assert!(message.contains("there is no table hot"), "{message}");
    }
    for message in [
        error(lab.store.drop_namespace(&gone).map(drop)),
        error(lab.store.describe_namespace(&gone)),
        error(lab.store.move_namespace(&gone, &Table::Own)),
    ] {
        assert!(message.contains("there is no namespace a.c"), "{message}");
    }
    assert!(error(lab.store.describe_project("p")).contains("there is no project p"));
    assert!(error(lab.store.drop_project("p")).contains("there is no project p"));
    assert!(error(lab.store.drop_table("shared", true)).contains("stays"));
    assert!(error(lab.store.move_namespace(&here, &table("own-1"))).contains("for one namespace"));
    assert_eq!((lab.names("a.b").len(), lab.store.namespaces(None).unwrap().len()), (1, 1));
}

fn a_dropped_namespace_is_gone_and_the_next_one_is_new(lab: &Lab) {
    lab.cache("a.b", "10ms max_items=20000");
    lab.set_all("a.b", (0..MANY).map(|n| format!("k{n}")), "1");
    lab.set("a.b.large", large(b'v'));
    lab.set("a.c.k", large(b'v'));
    let (before, revision) = (lab.space("a.b"), lab.store.revision().unwrap());
    let dropped = lab.store.drop_namespace(&namespace("a.b")).unwrap();
    assert_eq!((dropped.namespaces, dropped.entries), (vec![namespace("a.b")], MANY as u64 + 1));
    assert!(lab.store.revision().unwrap() > revision, "a write that users can see");
    assert_eq!((lab.names("a.b"), lab.value("a.b.k1")), (vec![], None));
    lab.set("a.b.k", "2");
    let after = lab.space("a.b");
    assert!(after.id != before.id && after.cache.is_none());
    assert_eq!((lab.names("a.b"), lab.names("a.c")), (vec!["k".to_owned()], vec!["k".to_owned()]));
    assert_eq!(lab.value("a.c.k").unwrap(), large(b'v'));
    assert_eq!(lab.store.collect_garbage().unwrap().leftovers, 0);
}

fn a_table_that_holds_namespaces_is_dropped_on_demand_alone(lab: &Lab) {
    lab.store.create_table("hot").unwrap();
    for name in ["a.b", "a.c"] {
        lab.store.create_namespace(&namespace(name), &table("hot"), None).unwrap();
        lab.set(&format!("{name}.k"), "1");
    }
    lab.set("a.d.k", "1");
    assert!(error(lab.store.drop_table("hot", false)).contains("holds a.b and 1 more"));
    assert_eq!(lab.names("a.b"), ["k"]);
    let dropped = lab.store.drop_table("hot", true).unwrap();
    assert_eq!((dropped.namespaces, dropped.entries), (vec![namespace("a.b"), namespace("a.c")], 2));
    assert_eq!(
        (table_names(&lab.store), lab.names("a.d")),
        (vec!["shared".to_owned()], vec!["k".to_owned()])
    );
    assert_eq!(lab.store.namespaces(None).unwrap().len(), 1);
    lab.store.create_table("hot").unwrap();
    lab.store.create_namespace(&namespace("a.b"), &table("hot"), None).unwrap();
    assert_eq!(lab.names("a.b"), [""; 0]);
}

fn a_namespace_moves_with_all_it_holds(lab: &Lab) {
    lab.store.create_table("hot").unwrap();
    lab.store.create_table("cold").unwrap();
    lab.set_all("a.b", (0..MANY).map(|n| format!("k{n}")), "1");
    lab.set("a.b.large", large(b'v'));
    lab.set("a.b.long", "words that come again ".repeat(100));
    lab.set("a.c.k", "1");
    let (before, id) = (everything(&lab.store, &namespace("a.b")), lab.space("a.b").id);
    let revision = lab.store.revision().unwrap();
    for to in ["hot", "cold", "own", "shared", "hot"] {
        assert!(move_to(&lab.store, "a.b", to).unwrap(), "{to}");
        assert!(everything(&lab.store, &namespace("a.b")) == before, "{to}");
        let name = if to == "own" { format!("own-{id}") } else { to.to_owned() };
        assert_eq!(table_of(&lab.store, "a.b"), name);
        assert!(!move_to(&lab.store, "a.b", to).unwrap(), "it lies in {to} already");
        assert_eq!(lab.names("a.c"), ["k"]);
    }
    assert_eq!((lab.space("a.b").id, lab.store.revision().unwrap()), (id, revision));
    lab.set("a.b.k1", "2");
    assert!(lab.delete("a.b.large"));
    assert_eq!((lab.value("a.b.k1").unwrap(), lab.record("a.b.large")), (b"2".to_vec(), None));
    lab.store.drop_table("cold", false).unwrap();
    assert!(
        lab.store.tables().unwrap().iter().all(|table| table.leftovers == 0 && table.arriving.is_empty())
    );
}

fn a_table_of_its_own_comes_and_goes_with_its_namespace(lab: &Lab) {
    lab.set("a.b.k", "1");
    let own = format!("own-{}", lab.space("a.b").id);
    let leave: [&dyn Fn(); 2] = [&|| assert!(move_to(&lab.store, "a.b", "shared").unwrap()), &|| {
        drop(lab.store.drop_namespace(&namespace("a.b")).unwrap());
    }];
    for leave in leave {
        assert!(move_to(&lab.store, "a.b", "own").unwrap());
        assert_eq!(table_names(&lab.store), [own.as_str(), "shared"]);
        assert!(error(lab.store.drop_table(&own, true)).contains("goes when its namespace"));
        assert_eq!(lab.value("a.b.k").unwrap(), b"1");
        leave();
        assert_eq!(table_names(&lab.store), ["shared"]);
    }
}

fn an_encrypted_namespace_moves_and_is_dropped_with_its_keys(lab: &Lab) {
    lab.store.encrypt(&namespace("a.b"), &coding::recipients()).unwrap();
    lab.set("a.b.k", "a secret");
    lab.set("a.b.large", large(b's'));
    assert!(move_to(&lab.store, "a.b", "own").unwrap());
    assert_eq!(lab.another_store().get(&address("a.b.k")).unwrap().unwrap().value, b"a secret");
    assert_eq!(lab.value("a.b.large").unwrap(), large(b's'));
    let readers = lab.store.describe_namespace(&namespace("a.b")).unwrap().readers.unwrap();
    assert_eq!(readers.len(), 1);
    lab.store.rotate_key(&namespace("a.b"), None).unwrap();
    assert_eq!(lab.value("a.b.k").unwrap(), b"a secret");
    lab.store.drop_namespace(&namespace("a.b")).unwrap();
    lab.set("a.b.k", "no secret");
    let details = lab.store.describe_namespace(&namespace("a.b")).unwrap();
    assert_eq!((details.readers, lab.value("a.b.k").unwrap()), (None, b"no secret".to_vec()));
}

fn a_cache_that_moves_keeps_its_limits_and_times(lab: &Lab) {
    lab.cache("a.b", "100ms max_items=3 policy=lru");
    for key in ["k", "l", "m"] {
        lab.set(&format!("a.b.{key}"), "1");
    }
    lab.record("a.b.k");
    assert!(move_to(&lab.store, "a.b", "own").unwrap());
    lab.set("a.b.n", "1");
    assert_eq!((lab.names("a.b"), lab.usage("a.b")), (["k", "m", "n"].map(str::to_owned).to_vec(), (3, 6)));
    lab.wait(100);
    assert_eq!(lab.names("a.b"), [""; 0]);
    assert_eq!(lab.store.describe_namespace(&namespace("a.b")).unwrap().expired, 3);
    assert_eq!(lab.store.collect_garbage().unwrap().entries, 3);
    assert_eq!(lab.store.describe_namespace(&namespace("a.b")).unwrap().expired, 0);
}

fn projects_may_be_there_without_namespaces(lab: &Lab) {
    lab.store.create_project("p").unwrap();
    lab.set("a.b.k", "1");
    assert_eq!(lab.store.projects().unwrap(), ["a", "p"]);
    let p = lab.store.describe_project("p").unwrap();
    assert_eq!((p.created, p.namespaces.len()), (Some(lab.now()), 0));
    let a = lab.store.describe_project("a").unwrap();
    assert_eq!((a.created, a.namespaces[0].totals.keys), (None, 1));
    lab.set("p.n.k", "1");
    lab.store.drop_namespace(&namespace("p.n")).unwrap();
    lab.store.drop_namespace(&namespace("a.b")).unwrap();
    assert_eq!(lab.store.projects().unwrap(), ["p"], "one that was made stays");
    for name in ["", "a\nb"] {
        assert!(lab.store.create_project(name).is_err());
    }
}

fn a_dropped_project_takes_its_namespaces_along(lab: &Lab) {
    lab.store.create_project("p").unwrap();
    for name in ["p.a", "p.b", "pq.a", "q.p"] {
        lab.set(&format!("{name}.k"), "1");
    }
    move_to(&lab.store, "p.b", "own").unwrap();
    let dropped = lab.store.drop_project("p").unwrap();
    assert_eq!((dropped.namespaces, dropped.entries), (vec![namespace("p.a"), namespace("p.b")], 2));
    assert_eq!(
        (lab.store.projects().unwrap(), table_names(&lab.store)),
        (vec!["pq".into(), "q".into()], vec!["shared".to_owned()])
    );
    assert!(error(lab.store.drop_project("p")).contains("no project"));
}

fn only_administrators_do_any_of_it(lab: &Lab) {
    lab.set("a.b.k", "1");
    lab.store.create_project("secret").unwrap();
    let grant = |role| {
        let pattern = Pattern::parse("a.*", Delimiter::default()).unwrap();
        vec![Grant { who: "ann".to_owned(), role, pattern }]
    };
    let ann = |role| lab.another_store().act_as(Identity::vouched_for("ann", None, grant(role)));
    let (b, writer, admin) = (namespace("a.b"), ann(Role::Write), ann(Role::Admin));
    for refused in [
        writer.create_namespace(&namespace("a.c"), &Table::Shared, None),
        writer.drop_namespace(&b).map(drop),
        writer.move_namespace(&b, &Table::Own).map(drop),
        writer.describe_namespace(&b).map(drop),
        admin.create_table("hot"),
        admin.tables().map(drop),
        admin.describe_table("shared").map(drop),
        admin.drop_table("hot", true).map(drop),
        admin.create_project("a2"),
        admin.describe_project("a").map(drop),
        admin.drop_project("a").map(drop),
        admin.create_namespace(&namespace("b.c"), &Table::Shared, None),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    }
    assert_eq!(admin.projects().unwrap(), ["a"]);
    admin.create_namespace(&namespace("a.c"), &Table::Own, None).unwrap();
    admin.move_namespace(&b, &Table::Own).unwrap();
    admin.drop_namespace(&b).unwrap();
    let done: Vec<_> = lab.store.audit_log("", 99).unwrap().into_iter().map(|(_, event)| event).collect();
    let done: Vec<_> = done.iter().filter(|event| event.done).map(|event| event.action.as_str()).collect();
    assert_eq!(done, ["create namespace", "move namespace", "drop namespace"]);
}

fn a_description_tells_what_there_is(lab: &Lab) {
    lab.set("a.b.k", "12345");
    let details = lab.store.describe_namespace(&namespace("a.b")).unwrap();
    assert_eq!((details.info.totals.keys, details.info.totals.bytes), (1, 6));
    assert_eq!((details.info.table.as_str(), details.expired), ("shared", 0));
    assert_eq!((details.readers, details.moving_to), (None, None));
    assert_eq!(details.info.space, lab.space("a.b"));
}

/// An engine whose writes are told to somebody before they begin, who may keep them from being made.
struct Watched<E> {
    engine: E,
    watch: RefCell<Box<dyn FnMut(usize) -> Result<()> + Send>>,
    writes: Cell<usize>,
}

impl<E: Engine> Engine for Watched<E> {
    fn read(&self, body: &mut dyn FnMut(&dyn View) -> Result<()>) -> Result<()> {
        self.engine.read(body)
    }

    fn write(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        let write = self.writes.replace(self.writes.get() + 1);
        (self.watch.borrow_mut())(write)?;
        self.engine.write(body)
    }

    fn mark(&self) -> Result<Mark> {
        self.engine.mark()
    }

    fn await_change(&self, seen: Mark, wait: Wait<'_>) -> Result<Awaited> {
        self.engine.await_change(seen, wait)
    }

    fn scrub(&self) -> Result<bool> {
        self.engine.scrub()
    }
}

/// One more store on the data of a lab, watched.
fn watched(lab: &Lab, watch: impl FnMut(usize) -> Result<()> + Send + 'static) -> Store {
    let (watch, writes) = (RefCell::new(Box::new(watch) as _), Cell::new(0));
    let store = match &lab.place {
        Place::Memory(engine) => Store::new(Watched { engine: Shared(Arc::clone(engine)), watch, writes }),
        Place::File(dir) => Store::new(Watched { engine: open(dir.path()), watch, writes }),
    };
    store.with_clock(Arc::clone(&lab.clock)).with_unlock(coding::unlock())
}

/// A store that dies as it begins its write of this number.
pub fn doomed(lab: &Lab, last: usize) -> Store {
    watched(lab, move |write| if write < last { Ok(()) } else { Err(Error::new(ErrorKind::Io, "killed")) })
}

fn filled(name: &str) -> (Lab, Vec<Kept>) {
    let lab = Lab::on_sqlite();
    lab.store.create_table("hot").unwrap();
    lab.set_all(name, (0..MANY).map(|n| format!("k{n}")), "1");
    lab.set(&format!("{name}.large"), large(b'v'));
    lab.set("a.other.large", large(b'w'));
    let before = everything(&lab.store, &namespace(name));
    (lab, before)
}

/// What lies in the file.
fn count(lab: &Lab, query: &str) -> i64 {
    let Place::File(dir) = &lab.place else { panic!("a lab in a file") };
    count_in(dir.path(), query)
}

fn count_in(dir: &Path, query: &str) -> i64 {
    let connection = Connection::open(dir.join("test.prdb")).unwrap();
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

/// Nothing is in the file but what the stores see.
fn assert_tidy(lab: &Lab) {
    for (query, expected) in [
        ("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'", 0),
        ("SELECT count(*) FROM sys_moves", 0),
        ("SELECT count(*) FROM sys_leftovers", 0),
        (
            "SELECT count(*) FROM entries WHERE ns NOT IN (SELECT id FROM sys_namespaces WHERE location = 'entries')",
            0,
        ),
        ("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'", 0),
    ] {
        let has_table = query.split_whitespace().nth(3).is_none_or(|name| {
            !name.starts_with("sys_")
                || count(lab, &format!("SELECT count(*) FROM sqlite_schema WHERE name = '{name}'")) > 0
        });
        assert!(!has_table || count(lab, query) == expected, "{query}");
    }
}

#[test]
fn a_move_that_is_cut_off_anywhere_goes_on_or_is_undone() {
    for resume in ["hot", "shared", "own"] {
        let mut cuts = 0;
        for last in 0.. {
            let (lab, before) = filled("a.b");
            let cut = move_to(&doomed(&lab, last), "a.b", "hot");
            assert!(everything(&lab.store, &namespace("a.b")) == before, "cut at {last}");
            if cut.is_ok() {
                break;
            }
            cuts += 1;
            lab.set("a.b.k5", "2");
            assert!(lab.delete("a.b.k10299"));
            lab.set("a.b.new", large(b'n'));
            let changed = everything(&lab.store, &namespace("a.b"));
            move_to(&lab.store, "a.b", resume).unwrap();
            assert!(everything(&lab.store, &namespace("a.b")) == changed, "cut at {last}, then {resume}");
            let name = table_of(&lab.store, "a.b");
            assert!(name == resume || name.starts_with("own-"), "{name}");
            assert_tidy(&lab);
            assert_eq!(count(&lab, "SELECT count(*) FROM large_values"), 3);
        }
        assert!(cuts >= 4, "{cuts} steps: begin, copy, copy, sweep");
    }
}

#[test]
fn a_drop_that_is_cut_off_anywhere_is_finished_by_the_next() {
    for last in 0.. {
        let (lab, _) = filled("a.b");
        move_to(&lab.store, "a.b", "own").unwrap();
        let cut = doomed(&lab, last).drop_namespace(&namespace("a.b"));
        let is_there = !lab.names("a.b").is_empty();
        assert_eq!(is_there, last == 0, "it goes at once, as a whole");
        lab.set("a.b.k", "new");
        assert_eq!(lab.names("a.b").len(), if is_there { MANY + 2 } else { 1 });
        if cut.is_ok() {
            assert_tidy(&lab);
            assert!(last >= 3, "{last} steps");
            return;
        }
        if last % 2 == 0 {
            lab.store.collect_garbage().unwrap();
        } else {
            lab.store.drop_namespace(&namespace("a.other")).unwrap();
        }
        assert_tidy(&lab);
        assert_eq!(lab.names("a.b").len(), if is_there { MANY + 2 } else { 1 });
    }
}

/// What happens to a namespace between any two steps of its move, by another store.
type Meanwhile = fn(&Store, usize);

#[test]
fn whatever_happens_during_a_move_is_right() {
    let set = |store: &Store, at: &str, value: &[u8]| {
        store.set(&address(at), value, &SetOptions::default()).map(drop)
    };
    let meanwhile: [(&str, Meanwhile); 5] = [
        ("encrypt", |store, write| {
            if write == 1 {
                store.encrypt(&namespace("a.b"), &coding::recipients()).unwrap();
            }
        }),
        ("rotate", |store, write| match write {
            1 => drop(store.encrypt(&namespace("a.b"), &coding::recipients()).unwrap()),
            2 => drop(store.rotate_key(&namespace("a.b"), None).unwrap()),
            _ => {}
        }),
        ("make it a cache", |store, write| {
            if write == 1 {
                let settings = CacheSettings::parse("60 max_items=10200").unwrap();
                store.create_cache(&namespace("a.b"), &settings).unwrap();
            }
        }),
        ("remove much", |store, write| {
            let query = Query { prefix: format!("k{write}"), ..Query::default() };
            store.delete_matching(&namespace("a.b"), &query).unwrap();
        }),
        ("move it there, too", |store, write| {
            if write == 2 {
                store.move_namespace(&namespace("a.b"), &Table::Named("hot".to_owned())).unwrap();
            }
        }),
    ];
    for (what, act) in meanwhile {
        let (lab, _) = filled("a.b");
        let other = lab.another_store();
        let mover = watched(&lab, move |write| {
            act(&other, write);
            set(&other, &format!("a.b.w{write}"), b"written meanwhile")?;
            set(&other, "a.b.large", &large(write as u8))
        });
        assert!(move_to(&mover, "a.b", "hot").is_ok(), "{what}");
        assert_eq!(table_of(&lab.store, "a.b"), "hot", "{what}");
        // What the target holds is what the source held: the source had every write, and lost what the cache drove out.
        let kept = everything(&lab.store, &namespace("a.b"));
        let keys = kept.iter().filter(|row| row.name.starts_with('w')).count();
        assert!(keys >= 3, "{what}: {keys} writes between the steps");
        assert!(
            kept.iter().filter(|row| row.name.starts_with('w')).all(|row| row.value == b"written meanwhile")
        );
        let info = lab.store.describe_namespace(&namespace("a.b")).unwrap().info;
        if let Some(cache) = &info.space.cache {
            assert_eq!((cache.usage.items, info.totals.keys), (10_200, 10_200));
            assert_eq!(
                count(
                    &lab,
                    "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name <> 'entries' AND sql IS NOT NULL"
                ),
                2
            );
        }
        lab.store.collect_garbage().unwrap();
        assert_tidy(&lab);
        lab.store.drop_namespace(&namespace("a.b")).unwrap();
        assert_eq!(count(&lab, "SELECT count(*) FROM large_values"), 1, "{what}: no large value is left");
    }
}

#[test]
fn a_move_whose_namespace_goes_or_turns_away_is_a_conflict() {
    let elsewhere: [(&str, Meanwhile); 4] = [
        ("dropped", |store, _| drop(store.drop_namespace(&namespace("a.b")).unwrap())),
        ("dropped", |store, _| {
            store.drop_namespace(&namespace("a.b")).unwrap();
            store.set(&address("a.b.k"), b"new", &SetOptions::default()).unwrap();
        }),
        ("moved elsewhere", |store, _| {
            assert!(store.move_namespace(&namespace("a.b"), &Table::Own).unwrap());
        }),
        ("moved elsewhere", |store, _| {
            assert!(!store.move_namespace(&namespace("a.b"), &Table::Shared).unwrap());
        }),
    ];
    for (why, act) in elsewhere {
        let (lab, _) = filled("a.b");
        let other = lab.another_store();
        let mover = watched(&lab, move |write| {
            if write == 2 {
                act(&other, write);
            }
            Ok(())
        });
        let refused = move_to(&mover, "a.b", "hot").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(refused.to_string().contains(why), "{refused}");
        assert_tidy(&lab);
        lab.store.drop_table("hot", false).unwrap();
        let large = 1 + lab.record("a.b.large").iter().len() as i64;
        assert_eq!(count(&lab, "SELECT count(*) FROM large_values"), large);
    }
}

#[test]
fn a_table_that_a_namespace_is_on_its_way_to_is_not_dropped() {
    let (lab, before) = filled("a.b");
    move_to(&doomed(&lab, 2), "a.b", "hot").unwrap_err();
    let (hot, _) = lab.store.describe_table("hot").unwrap();
    assert_eq!((hot.namespaces, hot.arriving), (vec![], vec![namespace("a.b")]));
    assert_eq!(lab.store.describe_namespace(&namespace("a.b")).unwrap().moving_to.as_deref(), Some("hot"));
    assert!(error(lab.store.drop_table("hot", false)).contains("holds a.b"));
    assert_eq!(lab.store.drop_table("hot", true).unwrap().namespaces, []);
    assert!(everything(&lab.store, &namespace("a.b")) == before);
    assert_tidy(&lab);
}

/// A later program whose entries have more columns copies them anew.
#[test]
fn a_move_without_its_triggers_begins_anew() {
    let (lab, _) = filled("a.b");
    move_to(&doomed(&lab, 2), "a.b", "hot").unwrap_err();
    let Place::File(dir) = &lab.place else { panic!("a lab in a file") };
    let connection = Connection::open(dir.path().join("test.prdb")).unwrap();
    connection.execute_batch(&format!("DROP TRIGGER move_{}_insert", lab.space("a.b").id)).unwrap();
    lab.set("a.b.a new one", "1");
    let before = everything(&lab.store, &namespace("a.b"));
    assert!(move_to(&lab.store, "a.b", "hot").unwrap());
    assert!(everything(&lab.store, &namespace("a.b")) == before);
    assert_tidy(&lab);
}

/// As a later version of this program finds a file in the middle of a move.
#[test]
fn a_migration_reaches_every_table_and_what_moves_begins_anew() {
    let (lab, _) = filled("a.b");
    move_to(&doomed(&lab, 2), "a.b", "hot").unwrap_err();
    let Place::File(dir) = &lab.place else { panic!("a lab in a file") };
    let connection = Connection::open(dir.path().join("test.prdb")).unwrap();
    let id = lab.space("a.b").id;
    let more = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'entries_*'";
    let hot: String = connection.query_row(more, [], |row| row.get(0)).unwrap();
    let before = format!(
        "DROP TRIGGER move_{id}_insert; DROP TRIGGER move_{id}_update; DROP TRIGGER move_{id}_delete;
         ALTER TABLE sys_state DROP COLUMN changes; ALTER TABLE sys_namespaces DROP COLUMN history;
         ALTER TABLE entries DROP COLUMN metakeys; ALTER TABLE {hot} DROP COLUMN metakeys;
         CREATE TRIGGER move_{id}_insert AFTER INSERT ON entries BEGIN DELETE FROM {hot}; END;
         PRAGMA user_version = 2"
    );
    connection.execute_batch(&before).unwrap();
    drop(connection);
    let later = lab.another_store();
    later.set(&address("a.b.new"), b"1", &SetOptions::default()).unwrap();
    assert_eq!(columns(&lab, "entries"), columns(&lab, &hot));
    assert_eq!(count(&lab, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"), 0);
    let before = everything(&later, &namespace("a.b"));
    assert_eq!(before.len(), MANY + 2);
    assert!(move_to(&later, "a.b", "hot").unwrap());
    assert!(everything(&later, &namespace("a.b")) == before);
    assert_tidy(&lab);
}

/// Another program may say `OR REPLACE` and `OR IGNORE`, which would hold within the triggers, too.
#[test]
fn what_other_programs_write_during_a_move_goes_along() {
    let (lab, _) = filled("a.b");
    move_to(&doomed(&lab, 2), "a.b", "hot").unwrap_err();
    let Place::File(dir) = &lab.place else { panic!("a lab in a file") };
    let connection = Connection::open(dir.path().join("test.prdb")).unwrap();
    let id = lab.space("a.b").id;
    // The first names are copied already, the last are not.
    for name in ["k0", "k1", "k9999", "x new"] {
        for clause in ["OR IGNORE", "OR REPLACE", "OR ABORT"] {
            let row = "(ns, name, version, created, updated, size, value, metakeys)";
            let values = format!("({id}, '{name}', 9, 9, 9, 1, x'39', '{{}}')");
            let _ = connection.execute_batch(&format!("INSERT {clause} INTO entries {row} VALUES {values}"));
            let update =
                format!("UPDATE {clause} entries SET value = x'38' WHERE ns = {id} AND name = '{name}'");
            connection.execute_batch(&update).unwrap();
        }
    }
    drop(connection);
    let kept = "SELECT count(*) FROM entries WHERE metakeys = '{}'";
    let (before, with_metakeys) = (everything(&lab.store, &namespace("a.b")), count(&lab, kept));
    assert_eq!((lab.value("a.b.k1").unwrap(), with_metakeys), (b"8".to_vec(), 4));
    assert!(move_to(&lab.store, "a.b", "hot").unwrap());
    assert!(everything(&lab.store, &namespace("a.b")) == before);
    assert_eq!(count(&lab, &kept.replace("entries", &lab.space("a.b").table)), 4);
    assert_tidy(&lab);
}

#[test]
fn nothing_of_a_value_is_left_where_a_namespace_was_before_it_was_encrypted() {
    let (lab, _) = filled("a.b");
    lab.set("a.b.k", "an open word");
    // The last write is the sweep of what was left behind.
    for last in 0.. {
        if move_to(&doomed(&lab, last), "a.b", "hot").is_ok() || table_of(&lab.store, "a.b") == "hot" {
            break;
        }
    }
    assert!(lab.store.encrypt(&namespace("a.b"), &coding::recipients()).unwrap().is_scrubbed);
    let Place::File(dir) = &lab.place else { panic!("a lab in a file") };
    for file in ["test.prdb", "test.prdb-wal"] {
        let bytes = std::fs::read(dir.path().join(file)).unwrap_or_default();
        assert!(!bytes.windows(12).any(|window| window == b"an open word"), "{file}");
    }
    assert_eq!(lab.value("a.b.k").unwrap(), b"an open word");
}

#[test]
fn counters_are_exact_while_their_namespace_moves_to_and_fro() {
    const WRITERS: usize = 3;
    let (lab, _) = filled("a.b");
    let movers: Vec<_> = (0..2).map(|_| lab.another_store()).collect();
    let stores: Vec<_> = (0..WRITERS).map(|_| lab.another_store()).collect();
    let over = AtomicBool::new(false);
    let counts: Vec<i64> = thread::scope(|scope| {
        let over = &over;
        let count = |store: Store| {
            scope.spawn(move || {
                let mut count = 0;
                while !over.load(Ordering::Relaxed) {
                    store.increment(&address("a.b.counter"), 1).unwrap();
                    count += 1;
                }
                count
            })
        };
        let counters: Vec<_> = stores.into_iter().map(count).collect();
        for (mover, to) in movers.iter().cycle().zip(["hot", "shared", "own", "hot", "own"]) {
            move_to(mover, "a.b", to).unwrap();
        }
        over.store(true, Ordering::Relaxed);
        counters.into_iter().map(|counter| counter.join().unwrap()).collect()
    });
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    let sum = lab.store.increment(&address("a.b.counter"), 0).unwrap();
    assert_eq!(sum, counts.iter().sum::<i64>());
    assert_eq!(lab.names("a.b").len(), MANY + 2);
    assert_tidy(&lab);
}

#[test]
fn every_table_of_entries_has_the_same_columns() {
    let (lab, _) = filled("a.b");
    move_to(&lab.store, "a.b", "own").unwrap();
    let shared = columns(&lab, "entries");
    assert!(shared.len() >= 13, "{shared:?}");
    assert_eq!(columns(&lab, &lab.space("a.b").table), shared);
}

/// The columns of a table, each with what is said of it.
fn columns(lab: &Lab, table: &str) -> Vec<String> {
    let Place::File(dir) = &lab.place else { panic!("a lab in a file") };
    let connection = Connection::open(dir.path().join("test.prdb")).unwrap();
    let query = format!("SELECT name || ' ' || type || \"notnull\" || pk FROM pragma_table_info('{table}')");
    let mut statement = connection.prepare(&query).unwrap();
    let columns = statement.query_map([], |row| row.get(0)).unwrap();
    columns.collect::<rusqlite::Result<_>>().unwrap()
}
