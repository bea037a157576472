//! The model test: random requests to two stores that share their data, compared with the [`Model`].

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use prontodb_core::engine::{Fields, Policy};
use prontodb_core::store::{
    CacheSettings, Condition, CopyOptions, HistorySettings, NamespaceInfo, Position, Presence, Query,
    Removed, SetOptions, Table, Watch,
};
use prontodb_core::{
    Address, Error, ErrorKind, Head, Millis, Namespace, Record, Result, Store, Ttl, Version,
};
use prontodb_testkit::properties;

use super::changes::{Answer, Change};
use super::coding::recipients;
use super::model::{MAX_VALUE_BYTES, Model, Pattern};
use super::tables::doomed;
use super::watching;
use super::{Kept, Lab, address, everything, namespace, rows, ttl};

/// Few, so that requests meet.
const NAMESPACES: [&str; 3] = ["a.b", "a.c", "b.b"];
const NAMES: [&str; 5] = ["k", "k__x", "k__y", "l", "é__x"];

/// What values are made of: numbers with room for more and without, text, and what is neither.
const VALUES: [&[u8]; 8] =
    [b"", b"7", b"-1", b"9223372036854775807", b"-9223372036854775808", b"text", b"\xff\0", b"+1"];

/// Values of metakeys, one of them too long.
const METAKEY_VALUES: [&str; 4] = ["alice", "", "it's \"ключ\" = 🗝", TOO_LONG];
const TOO_LONG: &str = match std::str::from_utf8(&[b'v'; 1025]) {
    Ok(text) => text,
    Err(_) => "",
};

/// Sizes about which SQLite begins to keep a value apart from its entry.
const LARGE: std::ops::Range<usize> = 890..905;

#[test]
fn random_histories_in_memory_agree_with_the_model() {
    check(Lab::in_memory, 400);
}

#[test]
fn random_histories_on_sqlite_agree_with_the_model() {
    check(Lab::on_sqlite, 100);
}

/// Values that are sealed and compressed are like others.
#[test]
fn random_histories_of_encrypted_values_agree_with_the_model() {
    let lab = || {
        let lab = Lab::in_memory();
        let stores = lab.another_store();
        for name in &NAMESPACES[..2] {
            stores.encrypt(&namespace(name), &recipients()).unwrap();
        }
        lab
    };
    check(lab, 100);
}

/// Whoever has seen all changes, now at once and now later, knows all that is there.
#[test]
fn random_histories_are_seen_by_those_who_watch() {
    properties::check(200, &vec(step(), 1..40), |steps| watched(&Lab::in_memory(), &steps));
    properties::check(50, &vec(step(), 1..40), |steps| watched(&Lab::on_sqlite(), &steps));
}

fn watched(lab: &Lab, steps: &[Step]) -> Result<(), TestCaseError> {
    lab.store.create_table("hot")?;
    let mut watch = watching::watch(&lab.another_store(), None);
    let (mut known, mut last) = (BTreeMap::new(), watch.position());
    for Step { wait, is_second_store, request } in steps {
        if let Wait::For(millis) = wait {
            lab.wait((*millis).max(0) * 2);
        }
        // What is refused is no change.
        let _ = ask(lab, &lab.store, request);
        if *is_second_store {
            see(lab, &mut watch, &mut known, &mut last)?;
        }
    }
    see(lab, &mut watch, &mut known, &mut last)?;
    see(lab, &mut watch, &mut known, &mut last)?;
    let mut there = BTreeMap::new();
    for name in NAMESPACES {
        let all = Query { fields: Fields::All, ..Query::default() };
        for row in rows(&lab.store, &namespace(name), &all) {
            there.insert(format!("{name}.{}", row.name), (row.head.unwrap().version, row.value));
        }
    }
    prop_assert_eq!(known, there);
    Ok(())
}

fn see(
    lab: &Lab,
    watch: &mut Watch,
    known: &mut BTreeMap<String, (Version, Vec<u8>)>,
    last: &mut Position,
) -> Result<(), TestCaseError> {
    for event in watching::events(watch, &lab.store) {
        prop_assert!(event.position > *last, "{} behind {}", event.position, last);
        *last = event.position;
        watching::apply(known, &event);
    }
    Ok(())
}

/// Entries whose past is kept are like others, and the newest version of each is what is there.
#[test]
fn random_histories_of_kept_versions_in_memory_agree_with_the_model() {
    check_kept(Lab::in_memory, 200);
}

#[test]
fn random_histories_of_kept_versions_on_sqlite_agree_with_the_model() {
    check_kept(Lab::on_sqlite, 60);
}

fn check(lab: fn() -> Lab, cases: u32) {
    properties::check(cases, &vec(step(), 1..30), |steps| agree(&lab(), &steps));
}

fn check_kept(lab: fn() -> Lab, cases: u32) {
    properties::check(cases, &vec(step(), 1..30), |steps| {
        let lab = lab();
        for (name, settings) in NAMESPACES[..2].iter().zip(["history=3", "history=1;history_age=50ms"]) {
            let settings = HistorySettings::parse(settings)?;
            lab.store.set_history(&namespace(name), &settings)?;
        }
        agree(&lab, &steps)?;
        prop_assert_eq!(lab.store.check(false)?.problems, Vec::<String>::new());
        for space in lab.store.namespaces(None)?.iter().filter(|space| space.history.is_some()) {
            for row in everything(&lab.store, &space.namespace) {
                let at = super::entry_of(&space.namespace, &row.name);
                let Some(record) = lab.store.get(&at)? else { continue };
                let newest = lab.store.versions(&at, None, 1)?;
                prop_assert_eq!(newest[0].head.version, record.head.version);
                prop_assert_eq!(newest[0].head.expires, record.head.expires);
                prop_assert_eq!(lab.store.get_version(&at, record.head.version)?, Some(record));
            }
        }
        Ok(())
    });
}

/// A request, when it is made, and which of the two stores gets it.
#[derive(Clone, Debug)]
struct Step {
    wait: Wait,
    is_second_store: bool,
    request: Request,
}

#[derive(Clone, Debug)]
enum Wait {
    /// Milliseconds; sometimes back.
    For(i64),
    /// Until some entry expires.
    ForExpiry(prop::sample::Index),
    /// Until the last millisecond of some entry.
    ForLastMoment(prop::sample::Index),
}

#[derive(Clone, Debug)]
enum Request {
    Write {
        changes: Vec<(Change, Demand)>,
        fails: bool,
    },
    Get(Address),
    GetMany(Vec<Address>),
    GetFirst(Vec<Address>),
    GetEvenExpired(Address),
    Head(Address),
    List(Namespace, Query, Option<Pattern>),
    DeleteMatching(Namespace, Query, Option<Pattern>),
    CreateCache(Namespace, CacheSettings),
    SetCache(Namespace, CacheSettings),
    DropCache {
        namespace: Namespace,
        discard: bool,
    },
    CollectGarbage,
    Move(Namespace, Table),
    /// A move by somebody who dies once it has begun.
    BeginMove(Namespace, Table),
    DropNamespace(Namespace),
}

/// A condition that is not known before the state it speaks of: whether it shall hold for what is stored.
#[derive(Clone, Debug)]
struct Demand {
    presence: Option<Presence>,
    version_fits: Option<bool>,
    value_fits: Option<bool>,
}

/// What a request answers.
#[derive(Debug, PartialEq)]
enum Reply {
    Answers(Vec<Answer>),
    Records(Vec<Option<Record>>),
    First(Option<(usize, Record)>),
    Head(Option<Head>),
    Rows(Vec<Kept>),
    Count(u64),
    Removed(Removed),
    Done,
}

fn step() -> impl Strategy<Value = Step> {
    (wait(), any::<bool>(), request()).prop_map(|(wait, is_second_store, request)| Step {
        wait,
        is_second_store,
        request,
    })
}

fn wait() -> impl Strategy<Value = Wait> {
    prop_oneof![
        4 => (-2..6_i64).prop_map(Wait::For),
        1 => any::<prop::sample::Index>().prop_map(Wait::ForExpiry),
        1 => any::<prop::sample::Index>().prop_map(Wait::ForLastMoment),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        12 => write(),
        1 => entry().prop_map(Request::Get),
        1 => vec(entry(), 0..5).prop_map(Request::GetMany),
        1 => vec(entry(), 0..5).prop_map(Request::GetFirst),
        1 => entry().prop_map(Request::GetEvenExpired),
        1 => entry().prop_map(Request::Head),
        3 => (space(), query(), pattern()).prop_map(|(of, query, glob)| Request::List(of, query, glob)),
        1 => (space(), query(), pattern()).prop_map(|(of, query, glob)| Request::DeleteMatching(of, query, glob)),
        3 => (space(), settings()).prop_map(|(of, settings)| Request::CreateCache(of, settings)),
        1 => (space(), settings()).prop_map(|(of, settings)| Request::SetCache(of, settings)),
        1 => (space(), any::<bool>()).prop_map(|(namespace, discard)| Request::DropCache { namespace, discard }),
        1 => Just(Request::CollectGarbage),
        1 => (space(), table()).prop_map(|(of, table)| Request::Move(of, table)),
        2 => (space(), table()).prop_map(|(of, table)| Request::BeginMove(of, table)),
        1 => space().prop_map(Request::DropNamespace),
    ]
}

/// Most transactions make one change.
fn write() -> impl Strategy<Value = Request> {
    let changes = prop_oneof![3 => vec(change(), 1), 1 => vec(change(), 2..5)];
    (changes, prop::bool::weighted(0.1)).prop_map(|(changes, fails)| Request::Write { changes, fails })
}

fn change() -> impl Strategy<Value = (Change, Demand)> {
    let by = prop_oneof![-3..4_i64, Just(i64::MAX), Just(i64::MIN)];
    let copying = (any::<bool>(), any::<bool>())
        .prop_map(|(move_source, if_absent)| CopyOptions { move_source, if_absent });
    let set = (entry(), value(), option::weighted(0.3, lifetime()), any::<bool>());
    let change = prop_oneof![
        6 => set.prop_map(|(at, value, ttl, want_old)| {
            Change::Set { at, value, options: SetOptions { ttl, want_old, ..SetOptions::default() } }
        }),
        2 => entry().prop_map(|at| Change::Delete { at, condition: Condition::default() }),
        2 => (entry(), by).prop_map(|(at, by)| Change::Increment { at, by }),
        2 => (entry(), value()).prop_map(|(at, tail)| Change::Append { at, tail }),
        2 => (entry(), option::of(lifetime())).prop_map(|(at, ttl)| Change::Touch { at, ttl }),
        4 => (entry(), metakey(), select(&METAKEY_VALUES[..]))
            .prop_map(|(at, name, value)| Change::SetMetakey { at, name, value }),
        2 => (entry(), vec(metakey(), 1..3)).prop_map(|(at, names)| Change::RemoveMetakeys { at, names }),
        4 => (entry(), entry(), copying).prop_map(|(from, to, options)| Change::Copy { from, to, options }),
    ];
    (change, demand())
}

fn demand() -> impl Strategy<Value = Demand> {
    let presence = select(&[Presence::Absent, Presence::Present][..]);
    let fits = || prop::bool::weighted(0.7);
    (option::weighted(0.2, presence), option::weighted(0.2, fits()), option::weighted(0.2, fits()))
        .prop_map(|(presence, version_fits, value_fits)| Demand { presence, version_fits, value_fits })
}

fn query() -> impl Strategy<Value = Query> {
    let prefix = select(&["", "", "k", "k__", "é"][..]);
    let after = option::of(select(&["", "a", "k", "k__x", "m"][..]));
    let context = option::weighted(0.2, select(&["x", "y", ""][..]));
    let fields = select(&[Fields::Names, Fields::Heads, Fields::Values, Fields::All][..]);
    let chosen = select(&["owner", "owner=alice", "team="][..]).prop_map(|text| text.parse().unwrap());
    let metakeys = prop_oneof![3 => Just(Vec::new()), 1 => vec(chosen, 1..3)];
    let shape = (prefix, after, context, option::weighted(0.3, 0..4_u64), metakeys);
    (shape, any::<bool>(), any::<bool>(), fields).prop_map(
        |((prefix, after, context, limit, metakeys), reverse, include_expired, fields)| Query {
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            reverse,
            limit,
            glob: None,
            context: context.map(str::to_owned),
            metakeys,
            include_expired,
            fields,
        },
    )
}

fn pattern() -> impl Strategy<Value = Option<Pattern>> {
    let patterns = [Pattern::StartsWithK, Pattern::EndsWithX, Pattern::OneCharacter];
    option::weighted(0.3, select(patterns.to_vec()))
}

/// Settings of a cache without limits; a limit of 0 is none.
fn settings() -> impl Strategy<Value = CacheSettings> {
    let policy = select(&[Policy::Fifo, Policy::Lru, Policy::Ttl][..]);
    let no_limit = || option::of(Just(0));
    (option::weighted(0.8, lifetime()), option::of(any::<bool>()), no_limit(), no_limit(), option::of(policy))
        .prop_map(|(timeout, evict_on_read, max_items, max_bytes, policy)| CacheSettings {
            timeout,
            evict_on_read,
            max_items,
            max_bytes,
            policy,
        })
}

fn space() -> impl Strategy<Value = Namespace> {
    select(&NAMESPACES[..]).prop_map(namespace)
}

fn table() -> impl Strategy<Value = Table> {
    select(&["shared", "own", "hot"][..]).prop_map(|name| name.parse().unwrap())
}

fn entry() -> impl Strategy<Value = Address> {
    (select(&NAMESPACES[..]), select(&NAMES[..]))
        .prop_map(|(space, name)| address(&format!("{space}.{name}")))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => select(&VALUES[..]).prop_map(<[u8]>::to_vec),
        1 => LARGE.prop_map(|size| vec![b'v'; size]),
        1 => Just(vec![b'v'; MAX_VALUE_BYTES]),
        1 => Just(vec![b'v'; MAX_VALUE_BYTES + 1]),
    ]
}

fn metakey() -> impl Strategy<Value = &'static str> {
    select(&["owner", "team", "="][..])
}

fn lifetime() -> impl Strategy<Value = Ttl> {
    (1..12_u64).prop_map(ttl)
}

/// Takes two stores on the same data and the model through the same history.
fn agree(lab: &Lab, steps: &[Step]) -> Result<(), TestCaseError> {
    let writer = |is_second| if is_second { Some("second") } else { None };
    let stores = [false, true].map(|is_second| {
        let store = lab.another_store().with_max_value_bytes(MAX_VALUE_BYTES as u64);
        store.with_writer(writer(is_second).map(str::to_owned))
    });
    lab.store.create_table("hot")?;
    let mut model = Model::of(lab);
    for Step { wait, is_second_store, request } in steps {
        lab.wait(wait.millis(&model, lab.now()));
        let request = request.aimed_at(&model);
        let expected = expect(&mut model, &request, lab.now(), writer(*is_second_store));
        let reply = ask(lab, &stores[usize::from(*is_second_store)], &request);
        prop_assert_eq!(reply.map_err(|error| error.kind()), expected, "{:?}", request);
        compare(&lab.store, &model, lab.now())?;
    }
    Ok(())
}

impl Wait {
    fn millis(&self, model: &Model, now: Millis) -> i64 {
        let (index, short_of) = match self {
            Self::For(millis) => return *millis,
            Self::ForExpiry(index) => (index, 0),
            Self::ForLastMoment(index) => (index, 1),
        };
        let records = model.spaces.values().flat_map(|contents| contents.entries.values());
        let moments: Vec<_> = records.filter_map(|record| record.head.expires).collect();
        if moments.is_empty() { 0 } else { index.get(&moments).0 - short_of - now.0 }
    }
}

impl Request {
    /// Makes conditions of demands.
    fn aimed_at(&self, model: &Model) -> Self {
        let Self::Write { changes, fails } = self else { return self.clone() };
        let mut changes = changes.clone();
        for (change, demand) in &mut changes {
            match change {
                Change::Set { at, options, .. } => options.condition = demand.condition(model.stored(at)),
                Change::Delete { at, condition } => *condition = demand.condition(model.stored(at)),
                _ => {}
            }
        }
        Self::Write { changes, fails: *fails }
    }
}

impl Demand {
    fn condition(&self, stored: Option<&Record>) -> Condition {
        let version = stored.map_or(Version(0), |stored| stored.head.version);
        let value = stored.map_or(&b""[..], |stored| &stored.value);
        Condition {
            presence: self.presence,
            version: self.version_fits.map(|fits| if fits { version } else { Version(version.0 + 1) }),
            value: self.value_fits.map(|fits| if fits { value.to_vec() } else { [value, b"?"].concat() }),
        }
    }
}

fn ask(lab: &Lab, store: &Store, request: &Request) -> Result<Reply> {
    Ok(match request {
        Request::Write { changes, fails } => Reply::Answers(store.write(|writer| {
            let made = changes.iter().map(|(change, _)| change.make(writer)).collect::<Result<_>>()?;
            if *fails { Err(Error::new(ErrorKind::Denied, "failing on purpose")) } else { Ok(made) }
        })?),
        Request::Get(at) => Reply::Records(vec![store.get(at)?]),
        Request::GetMany(addresses) => Reply::Records(store.get_many(addresses)?),
        Request::GetFirst(addresses) => Reply::First(store.get_first(addresses)?),
        Request::GetEvenExpired(at) => Reply::Records(vec![store.get_even_expired(at)?]),
        Request::Head(at) => Reply::Head(store.head(at)?),
        Request::List(namespace, query, pattern) => {
            Reply::Rows(rows(store, namespace, &with_glob(query, *pattern)))
        }
        Request::DeleteMatching(namespace, query, pattern) => {
            Reply::Count(store.delete_matching(namespace, &with_glob(query, *pattern))?)
        }
        Request::CreateCache(namespace, settings) => done(store.create_cache(namespace, settings).map(drop)?),
        Request::SetCache(namespace, settings) => done(store.set_cache(namespace, settings).map(drop)?),
        Request::DropCache { namespace, discard } => done(store.drop_cache(namespace, *discard)?),
        // What moves and drops have left behind is nobody's.
        Request::CollectGarbage => Reply::Removed(Removed { leftovers: 0, ..store.collect_garbage()? }),
        Request::Move(namespace, table) => {
            store.move_namespace(namespace, table)?;
            Reply::Done
        }
        Request::BeginMove(namespace, table) => match doomed(lab, 1).move_namespace(namespace, table) {
            Err(error) if error.kind() != ErrorKind::Io => return Err(error),
            _ => Reply::Done,
        },
        Request::DropNamespace(namespace) => done(store.drop_namespace(namespace).map(drop)?),
    })
}

/// What [`ask`] should answer.
fn expect(
    model: &mut Model,
    request: &Request,
    now: Millis,
    writer: Option<&str>,
) -> Result<Reply, ErrorKind> {
    Ok(match request {
        Request::Write { changes, fails } => {
            let changes: Vec<_> = changes.iter().map(|(change, _)| change.clone()).collect();
            let mut changed = model.clone();
            let answers = changed.write(&changes, now, writer)?;
            if *fails {
                return Err(ErrorKind::Denied);
            }
            *model = changed;
            Reply::Answers(answers)
        }
        Request::Get(at) => Reply::Records(vec![model.get(at, now)]),
        Request::GetMany(addresses) => {
            Reply::Records(addresses.iter().map(|at| model.get(at, now)).collect())
        }
        Request::GetFirst(addresses) => Reply::First(model.get_first(addresses, now)),
        Request::GetEvenExpired(at) => Reply::Records(vec![model.stored(at).cloned()]),
        Request::Head(at) => Reply::Head(model.get(at, now).map(|record| record.head)),
        Request::List(namespace, query, pattern) => Reply::Rows(model.list(namespace, query, *pattern, now)),
        Request::DeleteMatching(namespace, query, pattern) => {
            Reply::Count(model.delete_matching(namespace, query, *pattern, now))
        }
        Request::CreateCache(namespace, settings) => done(model.create_cache(namespace, settings, now)?),
        Request::SetCache(namespace, settings) => done(model.set_cache(namespace, settings)?),
        Request::DropCache { namespace, discard } => done(model.drop_cache(namespace, *discard, now)?),
        Request::CollectGarbage => Reply::Removed(model.collect_garbage(now)),
        Request::Move(namespace, _) | Request::BeginMove(namespace, _) => {
            model.spaces.get(namespace).ok_or(ErrorKind::Invalid)?;
            Reply::Done
        }
        Request::DropNamespace(namespace) => done(model.drop_namespace(namespace)?),
    })
}

fn done((): ()) -> Reply {
    Reply::Done
}

fn with_glob(query: &Query, pattern: Option<Pattern>) -> Query {
    let glob = pattern.map(|pattern| pattern.glob().parse().unwrap());
    Query { glob, ..query.clone() }
}

/// Compares all that is stored.
fn compare(store: &Store, model: &Model, now: Millis) -> Result<(), TestCaseError> {
    prop_assert_eq!(store.revision()?, model.revision, "the revision");
    let described = store.describe_namespaces(None)?;
    prop_assert_eq!(described.len(), model.spaces.len(), "the namespaces: {:?}", described);
    for (NamespaceInfo { space, totals, .. }, (namespace, contents)) in described.iter().zip(&model.spaces) {
        prop_assert_eq!(&space.namespace, namespace);
        prop_assert_eq!(&space.cache, &contents.cache, "settings of {:?}", namespace);
        prop_assert_eq!(space.created, contents.created, "creation of {:?}", namespace);
        prop_assert_eq!(*totals, contents.totals(now), "totals of {:?}", namespace);
        let stored = everything(store, namespace).into_iter().map(|row| {
            let head = row.head.expect("the head that was asked for");
            (row.name, Record { head, value: row.value })
        });
        let stored: Vec<_> = stored.collect();
        let expected: Vec<_> = contents.entries.clone().into_iter().collect();
        prop_assert_eq!(stored, expected, "entries of {:?}", namespace);
    }
    Ok(())
}
