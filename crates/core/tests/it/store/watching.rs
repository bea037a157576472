//! Watching: all changes in order, none twice, and none missed in silence.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use prontodb_core::auth::Identity;
use prontodb_core::auth::policy::{Grant, Pattern, Role};
use prontodb_core::engine::Catalog;
use prontodb_core::store::{
    Condition, CopyOptions, Event, MAX_CHANGES, Op, Position, Scope, SetOptions, Watch,
};
use prontodb_core::{ErrorKind, Listing, Store, Version};

use super::coding::recipients;
use super::{Lab, address, namespace};

const DAY: i64 = 24 * 60 * 60 * 1000;

on_each_engine! {
    changes_come_in_order_with_what_they_made
    a_transaction_is_several_changes_of_one_revision
    whoever_resumes_misses_nothing_and_sees_nothing_twice
    what_is_not_kept_is_missed_and_said_so
    nothing_is_kept_where_nobody_watches
    changes_are_kept_for_a_week_after_somebody_has_watched
    what_expires_is_a_change_though_nobody_writes
    what_expired_unnoticed_expires_before_it_is_replaced
    what_a_cache_has_no_room_for_is_evicted
    what_goes_with_its_namespace_is_one_change
    a_watch_shows_what_its_scope_covers
    nobody_sees_changes_of_what_they_may_not_read
    encrypted_values_are_shown_to_those_with_the_key
    what_users_do_not_see_is_no_change
    clocks_that_are_set_lose_nothing
}

fn scope(listing: Listing) -> Scope {
    Scope { listing, default_project: "default".to_owned(), context: None }
}

pub fn watch(store: &Store, from: Option<Position>) -> Watch {
    store.watch(scope(Listing::All), true, from).unwrap()
}

/// All there is to be shown by now.
#[track_caller]
pub fn events(watch: &mut Watch, store: &Store) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let events = watch.next(store).unwrap();
        if events.is_empty() {
            return all;
        }
        all.extend(events);
    }
}

/// An event in a few words: position, what, where, and the value.
fn told(event: &Event) -> String {
    let Event { position, op, namespace, name, entry, .. } = event;
    let name = name.as_ref().map(|name| format!(".{name}")).unwrap_or_default();
    let place = format!("{}.{}{name}", namespace.project(), namespace.namespace());
    match entry {
        Some(entry) => format!("{position} {} {place}={}", op.name(), String::from_utf8_lossy(&entry.value)),
        None => format!("{position} {} {place}", op.name()),
    }
}

#[track_caller]
fn sees(watch: &mut Watch, lab: &Lab, expected: &[&str]) {
    let seen: Vec<_> = events(watch, &lab.store).iter().map(told).collect();
    assert_eq!(seen, expected);
}

#[track_caller]
fn is_missed<T>(result: prontodb_core::Result<T>) -> String {
    let error = result.err().expect("changes that were missed");
    assert_eq!(error.kind(), ErrorKind::Missed);
    error.to_string()
}

/// How many records the log has.
fn kept(lab: &Lab) -> usize {
    let mut count = 0;
    let read = lab.engine().read(&mut |view| {
        count = view.records(Catalog::Changes, "", usize::MAX >> 1)?.len();
        Ok(())
    });
    read.unwrap();
    count
}

fn changes_come_in_order_with_what_they_made(lab: &Lab) {
    lab.set("a.b.before", "v");
    let mut watch = watch(&lab.store, None);
    sees(&mut watch, lab, &[]);
    let other = lab.another_store().with_writer(Some("ann".to_owned()));
    other.set(&address("a.b.k"), b"1", &SetOptions::default()).unwrap();
    sees(&mut watch, lab, &["2.1 set a.b.k=1"]);
    lab.set("a.b.k", "2");
    other.increment(&address("a.b.k"), 5).unwrap();
    lab.set("a.b__c.l__x", "v");
    other.set_metakey(&address("a.b.k"), "owner", "ann").unwrap();
    lab.delete("a.b.before");
    lab.delete("a.b.before");
    // What is not the last change of an entry is told, but not what it made.
    sees(
        &mut watch,
        lab,
        &[
            "3.1 set a.b.k",
            "4.1 set a.b.k",
            "5.1 set a.b__c.l__x=v",
            "6.1 set a.b.k=7",
            "7.1 deleted a.b.before",
        ],
    );
    let copied = CopyOptions { move_source: true, ..CopyOptions::default() };
    lab.store.write(|writer| writer.copy(&address("a.b.k"), &address("a.z.k"), copied)).unwrap();
    let all = events(&mut watch, &lab.store);
    assert_eq!(all.iter().map(told).collect::<Vec<_>>(), ["8.1 deleted a.b.k", "8.2 set a.z.k=7"]);
    let Event { at, writer, entry, .. } = &all[1];
    assert_eq!((*at, writer.as_deref()), (lab.now(), None));
    let head = &entry.as_ref().unwrap().head;
    assert_eq!((head.version, head.metakeys.as_ref().unwrap().get("owner")), (Version(8), Some("ann")));
}

fn a_transaction_is_several_changes_of_one_revision(lab: &Lab) {
    let mut watch = watch(&lab.store, None);
    let written = lab.store.write(|writer| {
        let mut set =
            |name: &str, value: &[u8]| writer.set(&address(name), value, &SetOptions::default()).map(drop);
        set("a.b.z", b"1")?;
        set("a.b.a", b"1")?;
        set("a.b.z", b"2")?;
        set("a.b.gone", b"")?;
        writer.increment(&address("a.b.a"), 1)?;
        writer.delete(&address("a.b.gone"), &Condition::default())
    });
    assert!(written.unwrap());
    let expected = ["1.1 set a.b.z=2", "1.2 set a.b.a=2", "1.3 set a.b.gone", "1.4 deleted a.b.gone"];
    sees(&mut watch, lab, &expected);
    let failed = lab.store.write(|writer| {
        writer.set(&address("a.b.a"), b"3", &SetOptions::default())?;
        writer.increment(&address("a.b.z"), i64::MAX)
    });
    failed.unwrap_err();
    sees(&mut watch, lab, &[]);
    assert_eq!(lab.set("a.b.a", "4"), Version(2));
    sees(&mut watch, lab, &["2.1 set a.b.a=4"]);
}

fn whoever_resumes_misses_nothing_and_sees_nothing_twice(lab: &Lab) {
    lab.set("a.b.k", "0");
    let begun = watch(&lab.store, None).position();
    for number in 0..20 {
        lab.set_all("a.b", (0..number % 4 + 1).map(|key| format!("k{key}")), &number.to_string());
        // A revision without a change.
        lab.store.create_namespace(&namespace(&format!("c.n{number}")), &Default::default(), None).unwrap();
    }
    let all = events(&mut watch(&lab.store, Some(begun)), &lab.store);
    assert_eq!(all.len(), 50);
    for (place, event) in all.iter().enumerate() {
        let rest = events(&mut watch(&lab.store, Some(event.position)), &lab.store);
        assert!(rest == all[place + 1..], "behind {}", event.position);
        let behind = Position::behind(event.position.revision);
        let rest = events(&mut watch(&lab.store, Some(behind)), &lab.store);
        let expected: Vec<_> = all.iter().filter(|event| event.position > behind).cloned().collect();
        assert!(rest == expected, "behind {behind}");
    }
    let revision = Position::behind(lab.store.revision().unwrap());
    assert_eq!(events(&mut watch(&lab.store, Some(revision)), &lab.store), []);
}

fn what_is_not_kept_is_missed_and_said_so(lab: &Lab) {
    lab.set("a.b.k", "1");
    lab.set("a.b.k", "2");
    let from = |text: &str| lab.store.watch(scope(Listing::All), true, Some(text.parse().unwrap()));
    assert_eq!(is_missed(from("1")), "changes behind 1 are not kept, for nobody has watched");
    is_missed(from("2.1"));
    is_missed(from("3"));
    assert_eq!(kept(lab), 0);
    from("2").unwrap();
    assert_eq!(is_missed(from("1")), "changes behind 1 are not kept any more, but those behind 2");
    assert_eq!(is_missed(from("2.1")), "changes behind 2.1 are not kept any more, but those behind 2");
    assert_eq!(is_missed(from("3")), "there is no revision 3 yet, the last one is 2");
    lab.set("a.b.k", "3");
    is_missed(from("1"));
    sees(&mut from("2").unwrap(), lab, &["3.1 set a.b.k=3"]);
}

fn nothing_is_kept_where_nobody_watches(lab: &Lab) {
    lab.cache("a.b", "1");
    lab.set("a.b.k", "v");
    lab.wait(2000);
    lab.delete("a.b.k");
    assert_eq!((kept(lab), lab.store.revision().unwrap()), (0, Version(2)));
}

fn changes_are_kept_for_a_week_after_somebody_has_watched(lab: &Lab) {
    let mut seeing = watch(&lab.store, None);
    lab.set("a.b.k", "1");
    for _ in 0..10 {
        // Whoever goes on watching has them be kept.
        lab.wait(DAY);
        seeing.next(&lab.store).unwrap();
    }
    lab.wait(7 * DAY - 1);
    lab.set("a.b.k", "2");
    sees(&mut seeing, lab, &["2.1 set a.b.k=2"]);
    let mut late = watch(&lab.store, None);
    lab.wait(7 * DAY);
    lab.set("a.b.k", "3");
    assert_eq!(is_missed(late.next(&lab.store)), "changes behind 2.1 are not kept any more");
    is_missed(seeing.next(&lab.store));
    lab.set("a.b.k", "4");
    assert_eq!(kept(lab), 0);
    let mut anew = watch(&lab.store, None);
    is_missed(seeing.next(&lab.store));
    lab.set("a.b.k", "5");
    sees(&mut anew, lab, &["5.1 set a.b.k=5"]);
    is_missed(seeing.next(&lab.store));
}

fn what_expires_is_a_change_though_nobody_writes(lab: &Lab) {
    lab.cache("a.b", "1");
    lab.set_for("a.b.early", "v", 100);
    let (mut one, mut other) = (watch(&lab.store, None), watch(&lab.store, None));
    lab.set_for("a.b.k", "v", 50);
    lab.set_for("a.b.l", "v", 70);
    sees(&mut one, lab, &["3.1 set a.b.k=v", "4.1 set a.b.l=v"]);
    lab.wait(49);
    sees(&mut one, lab, &[]);
    lab.wait(1);
    sees(&mut one, lab, &["5.1 expired a.b.k"]);
    sees(&mut one, lab, &[]);
    lab.wait(50);
    sees(&mut one, lab, &["6.1 expired a.b.l", "6.2 expired a.b.early"]);
    // Whoever comes late has seen neither begin, but both end, once.
    sees(
        &mut other,
        lab,
        &[
            "3.1 set a.b.k",
            "4.1 set a.b.l",
            "5.1 expired a.b.k",
            "6.1 expired a.b.l",
            "6.2 expired a.b.early",
        ],
    );
    assert_eq!(lab.stored("a.b"), [""; 0]);
    // What was set when it had expired already, for this watch, expires all the same.
    lab.set_for("a.b.k", "v", 5);
    lab.wait(5);
    sees(&mut one, lab, &["7.1 set a.b.k", "8.1 expired a.b.k"]);
}

fn what_expired_unnoticed_expires_before_it_is_replaced(lab: &Lab) {
    lab.cache("a.b", "1");
    let mut seeing = watch(&lab.store, None);
    // More than a write removes on its way.
    lab.set_all("a.b", (0..40).map(|number| format!("k{number:02}")), "old");
    assert_eq!(events(&mut seeing, &lab.store).len(), 40);
    lab.wait(1000);
    lab.set("a.b.k35", "new");
    let present =
        Condition { presence: Some(prontodb_core::store::Presence::Absent), ..Condition::default() };
    let options = SetOptions { condition: present, ..SetOptions::default() };
    lab.store.set(&address("a.b.k36"), b"new", &options).unwrap();
    lab.set_for("a.b.k36", "new", 500);
    let all: Vec<_> = events(&mut seeing, &lab.store).iter().map(told).collect();
    assert_eq!(all.len(), 43, "{all:?}");
    assert_eq!(all[32..34], ["3.33 expired a.b.k35", "3.34 set a.b.k35=new"]);
    assert!(all.contains(&"4.1 expired a.b.k32".to_owned()));
    let of = |name: &str| {
        all.iter()
            .filter(|told| told.contains(name))
            .map(|told| told.split(' ').nth(1).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("k36"), ["expired", "set", "set"]);
    lab.wait(500);
    assert!(!lab.delete("a.b.k36"));
    sees(&mut seeing, lab, &["6.1 expired a.b.k36"]);
}

fn what_a_cache_has_no_room_for_is_evicted(lab: &Lab) {
    lab.cache("a.b", "timeout=60 max_items=2");
    let mut seeing = watch(&lab.store, None);
    lab.set("a.b.k", "1");
    lab.set("a.b.l", "2");
    lab.set("a.b.m", "3");
    sees(&mut seeing, lab, &["2.1 set a.b.k", "3.1 set a.b.l=2", "4.1 set a.b.m=3", "4.2 evicted a.b.k"]);
    lab.store
        .set_cache(&namespace("a.b"), &prontodb_core::store::CacheSettings::parse("max_items=1").unwrap())
        .unwrap();
    sees(&mut seeing, lab, &["5.1 evicted a.b.l"]);
}

fn what_goes_with_its_namespace_is_one_change(lab: &Lab) {
    lab.cache("a.cache", "60");
    lab.set_all("a.b", ["k", "l"], "v");
    lab.set_all("a.cache", ["k", "l"], "v");
    let mut seeing = watch(&lab.store, None);
    lab.set("a.b.k", "w");
    lab.store.drop_namespace(&namespace("a.b")).unwrap();
    lab.set("a.b.k", "x");
    lab.store.drop_cache(&namespace("a.cache"), true).unwrap();
    sees(&mut seeing, lab, &["4.1 set a.b.k", "5.1 dropped a.b", "6.1 set a.b.k=x", "7.1 dropped a.cache"]);
}

fn a_watch_shows_what_its_scope_covers(lab: &Lab) {
    let within = |prefix: &str| Listing::Within { namespace: namespace("a.b"), prefix: prefix.to_owned() };
    let scopes = [
        scope(within("k")),
        scope(Listing::StartingWith("a".to_owned())),
        Scope { context: Some("x".to_owned()), ..scope(Listing::All) },
    ];
    let mut watches = scopes.map(|scope| lab.store.watch(scope, false, None).unwrap());
    for name in ["a.b.k", "a.b.l__x", "a.b.kk__x", "a.c.k", "b.a.k", "default.a.k", "b.b.k__y__x"] {
        lab.set(name, "v");
    }
    lab.store.drop_namespace(&namespace("a.b")).unwrap();
    let shown = watches.each_mut().map(|watch| {
        let seen = events(watch, &lab.store);
        assert!(seen.iter().all(|event| event.entry.as_ref().is_none_or(|entry| entry.value.is_empty())));
        let numbers = seen.iter().map(|event| event.position.revision.0.to_string());
        numbers.collect::<Vec<_>>().join(" ")
    });
    assert_eq!(shown, ["1 3 8", "1 2 3 4 6 8", "2 3 7 8"]);
}

fn nobody_sees_changes_of_what_they_may_not_read(lab: &Lab) {
    let pattern = Pattern { project: "a".to_owned(), namespace: "b".to_owned() };
    let grant = Grant { who: "ann".to_owned(), role: Role::Read, pattern };
    let ann = lab.another_store().act_as(Identity::vouched_for("ann", None, vec![grant]));
    let mut seeing = watch(&ann, None);
    let within = |name: &str| scope(Listing::Within { namespace: namespace(name), prefix: String::new() });
    ann.watch(within("a.b"), true, None).unwrap();
    assert_eq!(ann.watch(within("a.c"), true, None).err().unwrap().kind(), ErrorKind::Denied);
    lab.cache("a.cache", "1");
    for name in ["a.b.k", "a.c.k", "a.cache.k"] {
        lab.set(name, "v");
    }
    lab.wait(1000);
    lab.store.drop_namespace(&namespace("a.c")).unwrap();
    let seen: Vec<_> = events(&mut seeing, &ann).iter().map(told).collect();
    assert_eq!(seen, ["2.1 set a.b.k=v"]);
}

fn encrypted_values_are_shown_to_those_with_the_key(lab: &Lab) {
    lab.store.encrypt(&namespace("a.b"), &recipients()).unwrap();
    let mut seeing = watch(&lab.another_store(), None);
    lab.set("a.b.k", "secret");
    sees(&mut seeing, lab, &["2.1 set a.b.k=secret"]);
    let stranger = lab
        .another_store()
        .with_unlock(Box::new(|_| Err(prontodb_core::Error::new(ErrorKind::Denied, "no key"))));
    let mut strange = watch(&stranger, Some("1".parse().unwrap()));
    assert_eq!(strange.next(&stranger).unwrap_err().kind(), ErrorKind::Denied);
    let mut names = stranger.watch(scope(Listing::All), false, Some("1".parse().unwrap())).unwrap();
    assert_eq!(events(&mut names, &stranger).len(), 1);
}

fn what_users_do_not_see_is_no_change(lab: &Lab) {
    lab.cache("a.lru", "timeout=60 max_items=9 policy=lru");
    lab.set("a.b.k", "v");
    lab.set("a.lru.k", "v");
    let mut seeing = watch(&lab.store, None);
    lab.record("a.lru.k");
    lab.store.create_table("hot").unwrap();
    lab.store.move_namespace(&namespace("a.b"), &"hot".parse().unwrap()).unwrap();
    lab.store.encrypt(&namespace("a.b"), &recipients()).unwrap();
    lab.store.drop_cache(&namespace("a.lru"), false).unwrap();
    lab.store.collect_garbage().unwrap();
    sees(&mut seeing, lab, &[]);
    lab.set("a.b.k", "w");
    assert_eq!(events(&mut seeing, &lab.store).len(), 1);
}

fn clocks_that_are_set_lose_nothing(lab: &Lab) {
    lab.cache("a.b", "60");
    let mut seeing = watch(&lab.store, None);
    lab.set("a.b.k", "1");
    lab.clock.set(-DAY);
    lab.set("a.b.l", "2");
    sees(&mut seeing, lab, &["2.1 set a.b.k=1", "3.1 set a.b.l=2"]);
    lab.clock.set(60_000);
    sees(&mut seeing, lab, &["4.1 expired a.b.l"]);
    lab.clock.set(2 * DAY);
    sees(&mut seeing, lab, &["5.1 expired a.b.k"]);
    // Further than changes are kept: nobody has written meanwhile, so nothing is missing.
    lab.clock.set(30 * DAY);
    sees(&mut seeing, lab, &[]);
    lab.set("a.b.k", "3");
    sees(&mut seeing, lab, &["6.1 set a.b.k=3"]);
}

#[test]
fn a_log_that_others_have_emptied_keeps_nobody_from_writing() {
    let lab = Lab::on_sqlite();
    let mut seeing = watch(&lab.store, None);
    lab.set("a.b.k", "1");
    super::coding::connect(&lab).execute("DELETE FROM sys_changes", []).unwrap();
    lab.set("a.b.k", "2");
    is_missed(seeing.next(&lab.store));
    let mut anew = watch(&lab.store, None);
    lab.set("a.b.k", "3");
    sees(&mut anew, &lab, &["3.1 set a.b.k=3"]);
    is_missed(seeing.next(&lab.store));
}

#[test]
fn what_could_not_be_removed_in_time_expires_later() {
    let mut lab = Lab::on_sqlite();
    lab.cache("a.b", "1");
    let mut seeing = watch(&lab.store, None);
    lab.set_for("a.b.k", "v", 50);
    sees(&mut seeing, &lab, &["2.1 set a.b.k=v"]);
    lab.store.set_patience(Duration::ZERO);
    let other = super::coding::connect(&lab);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    lab.wait(50);
    sees(&mut seeing, &lab, &[]);
    // For longer than it holds off before it tries again.
    thread::sleep(Duration::from_millis(600));
    other.execute_batch("ROLLBACK").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut later = Vec::new();
    while later.is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
        later = events(&mut seeing, &lab.store);
    }
    assert_eq!(later.iter().map(told).collect::<Vec<_>>(), ["3.1 expired a.b.k"]);
}

/// A load of more changes than are kept is one, too.
#[test]
fn old_changes_go_as_new_ones_come() {
    let lab = &Lab::in_memory();
    let mut slow = watch(&lab.store, None);
    lab.set("a.b.first", "v");
    let names = (0..MAX_CHANGES + 500).map(|number| format!("{number:07}"));
    lab.set_all("a.b", names, "");
    let kept = kept(lab) as u64;
    assert!((MAX_CHANGES..MAX_CHANGES + 200).contains(&kept), "{kept} changes are kept");
    let missed = is_missed(slow.next(&lab.store));
    assert!(missed.starts_with("changes behind 0 are not kept any more, but those behind 2."), "{missed}");
    let first: Position = missed.rsplit(' ').next().unwrap().parse().unwrap();
    let rest = events(&mut watch(&lab.store, Some(first)), &lab.store);
    assert_eq!(rest.len() as u64, kept - 1);
    assert_eq!(rest[0].position.number, first.number + 1);
    assert_eq!(rest.last().unwrap().position.number, MAX_CHANGES + 500);
    let before = Position { number: first.number - 1, ..first };
    is_missed(lab.store.watch(scope(Listing::All), true, Some(before)));
    for _ in 0..130 {
        lab.set("a.b.last", "v");
    }
    assert!(self::kept(lab) as u64 <= MAX_CHANGES + 64);
}

/// What somebody knows who has seen these events.
pub fn apply(known: &mut BTreeMap<String, (Version, Vec<u8>)>, event: &Event) {
    let place = format!("{}.{}.", event.namespace.project(), event.namespace.namespace());
    let Some(name) = &event.name else { return known.retain(|key, _| !key.starts_with(&place)) };
    let key = format!("{place}{name}");
    match (&event.entry, event.op) {
        (Some(entry), Op::Set) => drop(known.insert(key, (entry.head.version, entry.value.clone()))),
        _ => drop(known.remove(&key)),
    }
}
