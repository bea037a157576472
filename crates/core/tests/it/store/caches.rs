//! What is true of limited caches after every request: they are within their limits, their accounts are right, and what
//! had to go was what the policy names.
//!
//! There is no model here: each check compares what was stored before a request with what is stored after it.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use prontodb_core::engine::Policy;
use prontodb_core::store::{CacheSettings, Condition, CopyOptions, Query, SetOptions};
use prontodb_core::{Address, Error, ErrorKind, Namespace, Record, Result, Store, Version};
use prontodb_testkit::properties;

use super::changes::{Answer, Change};
use super::seen::{Contents, Seen, footprint};
use super::{Lab, address, entry_of, namespace, rows, ttl};

/// The first is a cache from the start.
const NAMESPACES: [&str; 2] = ["a.b", "a.c"];
const NAMES: [&str; 6] = ["k", "l", "m", "é", "long name", "m__x"];
const POLICIES: [Policy; 3] = [Policy::Fifo, Policy::Lru, Policy::Ttl];
/// The time to live unless an entry has its own, in milliseconds.
const TIMEOUT: u64 = 30;

#[test]
fn limits_and_accounts_hold_in_memory() {
    check(Lab::in_memory, 800);
}

#[test]
fn limits_and_accounts_hold_on_sqlite() {
    check(Lab::on_sqlite, 120);
}

fn check(lab: fn() -> Lab, cases: u32) {
    let strategy = (settings(), vec((wait(), request()), 1..60));
    properties::check(cases, &strategy, |(settings, requests)| {
        let lab = lab();
        lab.store.create_cache(&namespace(NAMESPACES[0]), &settings)?;
        Trial { lab, reads: BTreeMap::new(), read_count: 0 }.run(&requests)
    });
}

#[derive(Clone, Debug)]
enum Request {
    Change(Change),
    /// Several entries in one transaction.
    SetMany {
        entries: Vec<(Address, Vec<u8>)>,
        fails: bool,
    },
    Read(Read),
    Configure {
        namespace: Namespace,
        settings: CacheSettings,
    },
    DropCache {
        namespace: Namespace,
        discard: bool,
    },
    CollectGarbage,
}

#[derive(Clone, Debug)]
enum Read {
    Get(Address),
    GetMany(Vec<Address>),
    GetFirst(Vec<Address>),
    GetEvenExpired(Address),
    Head(Address),
    List(Namespace),
}

/// Milliseconds before a request: few, so that much of what is stored has not expired.
fn wait() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(0), 1 => 1..20_i64]
}

fn request() -> impl Strategy<Value = Request> {
    let entries = vec((entry(), value()), 1..5);
    prop_oneof![
        12 => change().prop_map(Request::Change),
        1 => (entries, any::<bool>()).prop_map(|(entries, fails)| Request::SetMany { entries, fails }),
        4 => read().prop_map(Request::Read),
        2 => (space(), settings()).prop_map(|(namespace, settings)| Request::Configure { namespace, settings }),
        1 => (space(), any::<bool>()).prop_map(|(namespace, discard)| Request::DropCache { namespace, discard }),
        1 => Just(Request::CollectGarbage),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let options = option::weighted(0.4, 1..40_u64)
        .prop_map(|millis| SetOptions { ttl: millis.map(ttl), ..SetOptions::default() });
    let copying = (any::<bool>(), any::<bool>())
        .prop_map(|(move_source, if_absent)| CopyOptions { move_source, if_absent });
    prop_oneof![
        6 => (entry(), value(), options).prop_map(|(at, value, options)| Change::Set { at, value, options }),
        1 => (entry(), value()).prop_map(|(at, tail)| Change::Append { at, tail }),
        1 => entry().prop_map(|at| Change::Increment { at, by: 1 }),
        1 => entry().prop_map(|at| Change::Touch { at, ttl: None }),
        1 => entry().prop_map(|at| Change::SetMetakey { at, name: "owner", value: "alice" }),
        2 => (entry(), entry(), copying).prop_map(|(from, to, options)| Change::Copy { from, to, options }),
        1 => entry().prop_map(|at| Change::Delete { at, condition: Condition::default() }),
    ]
}

fn read() -> impl Strategy<Value = Read> {
    prop_oneof![
        4 => entry().prop_map(Read::Get),
        1 => vec(entry(), 0..4).prop_map(Read::GetMany),
        1 => vec(entry(), 0..4).prop_map(Read::GetFirst),
        1 => entry().prop_map(Read::GetEvenExpired),
        1 => entry().prop_map(Read::Head),
        1 => space().prop_map(Read::List),
    ]
}

fn settings() -> impl Strategy<Value = CacheSettings> {
    let max_items = option::of(0..6_u64);
    let max_bytes = option::weighted(0.3, prop_oneof![Just(0), 5..60_u64, 900..2000_u64]);
    (option::of(any::<bool>()), max_items, max_bytes, option::of(select(&POLICIES[..]))).prop_map(
        |(evict_on_read, max_items, max_bytes, policy)| CacheSettings {
            timeout: Some(ttl(TIMEOUT)),
            evict_on_read,
            max_items,
            max_bytes,
            policy,
        },
    )
}

fn space() -> impl Strategy<Value = Namespace> {
    select(&NAMESPACES[..]).prop_map(namespace)
}

/// An entry, more often of the first namespace.
fn entry() -> impl Strategy<Value = Address> {
    let space = prop_oneof![3 => Just(NAMESPACES[0]), 1 => Just(NAMESPACES[1])];
    (space, select(&NAMES[..])).prop_map(|(space, name)| address(&format!("{space}.{name}")))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        5 => vec(b'0'..=b'9', 0..4),
        5 => vec(any::<u8>(), 0..30),
        // SQLite begins to keep them apart from their entries.
        1 => (890..905_usize).prop_map(|size| vec![b'v'; size]),
    ]
}

impl Request {
    fn ask(&self, store: &Store) -> Result<Effect> {
        match self {
            Self::Change(change) => {
                let answer = store.write(|writer| change.make(writer))?;
                return Ok(Effect::of(change, &answer));
            }
            Self::SetMany { entries, fails } => {
                set_many(store, entries, *fails)?;
                let written = entries.iter().map(|(at, _)| at.clone()).collect();
                return Ok(Effect { written, ..Effect::default() });
            }
            Self::Read(read) => read.ask(store)?,
            Self::Configure { namespace, settings } => store.create_cache(namespace, settings).map(drop)?,
            Self::DropCache { namespace, discard } => {
                store.drop_cache(namespace, *discard)?;
                let discarded = discard.then(|| namespace.clone());
                return Ok(Effect { discarded, ..Effect::default() });
            }
            Self::CollectGarbage => drop(store.collect_garbage()?),
        }
        Ok(Effect::default())
    }

    /// Why it has to be refused.
    fn refusal(&self, before: &Seen) -> Option<ErrorKind> {
        match self {
            Self::Change(change) => before.refusal(change),
            Self::SetMany { entries, fails } => {
                let over = entries.iter().find_map(|(at, value)| before.over_limit(at, value.len()));
                over.or(fails.then_some(ErrorKind::Denied))
            }
            Self::DropCache { namespace, .. } if before.cache(namespace).is_none() => {
                Some(ErrorKind::Invalid)
            }
            _ => None,
        }
    }
}

fn set_many(store: &Store, entries: &[(Address, Vec<u8>)], fails: bool) -> Result<()> {
    store.write(|writer| {
        for (at, value) in entries {
            writer.set(at, value, &SetOptions::default())?;
        }
        if fails { Err(Error::new(ErrorKind::Denied, "failing on purpose")) } else { Ok(()) }
    })
}

impl Read {
    fn ask(&self, store: &Store) -> Result<()> {
        match self {
            Self::Get(at) => store.get(at).map(drop),
            Self::GetMany(addresses) => store.get_many(addresses).map(drop),
            Self::GetFirst(addresses) => store.get_first(addresses).map(drop),
            Self::GetEvenExpired(at) => store.get_even_expired(at).map(drop),
            Self::Head(at) => store.head(at).map(drop),
            Self::List(namespace) => {
                rows(store, namespace, &Query::default());
                Ok(())
            }
        }
    }

    /// The entries that it uses, in the order of their use.
    fn used(&self, before: &Seen) -> Vec<Address> {
        let asked = match self {
            Self::Get(at) | Self::Head(at) => std::slice::from_ref(at),
            Self::GetMany(addresses) | Self::GetFirst(addresses) => addresses,
            Self::GetEvenExpired(_) | Self::List(_) => &[],
        };
        let limit = if matches!(self, Self::GetFirst(_)) { 1 } else { asked.len() };
        asked.iter().filter(|at| before.there(at).is_some()).take(limit).cloned().collect()
    }
}

/// What a request asked for.
#[derive(Default)]
struct Effect {
    written: Vec<Address>,
    removed: Option<Address>,
    discarded: Option<Namespace>,
}

impl Effect {
    fn of(change: &Change, answer: &Answer) -> Self {
        let (written, removed) = match change {
            Change::Set { at, .. } | Change::Increment { at, .. } | Change::Append { at, .. } => {
                (Some(at), None)
            }
            Change::Delete { at, .. } => (None, Some(at)),
            Change::RemoveMetakeys { .. } => (None, None),
            _ if *answer == Answer::Version(None) => (None, None),
            Change::Touch { at, .. } | Change::SetMetakey { at, .. } => (Some(at), None),
            Change::Copy { from, to, options } => {
                (Some(to), Some(from).filter(|_| options.move_source && from != to))
            }
        };
        Self { written: written.cloned().into_iter().collect(), removed: removed.cloned(), discarded: None }
    }

    fn asks_to_remove(&self, at: &Address) -> bool {
        self.removed.as_ref() == Some(at) || self.discarded.as_ref() == Some(&at.namespace)
    }
}

/// A store under test, and what it has been used for.
struct Trial {
    lab: Lab,
    /// The last read of each entry, where reads count as use.
    reads: BTreeMap<Address, Standing>,
    read_count: u64,
}

/// What decides which of two entries goes first: the one with less.
type Standing = (u64, u64);

impl Trial {
    fn run(mut self, requests: &[(i64, Request)]) -> Result<(), TestCaseError> {
        for (wait, request) in requests {
            self.lab.wait(*wait);
            let before = Seen::of(&self.lab);
            self.reads.retain(|at, _| before.counts_reads(&at.namespace));
            let outcome = request.ask(&self.lab.store);
            let after = Seen::of(&self.lab);
            let refusal = outcome.as_ref().err().map(Error::kind);
            prop_assert_eq!(refusal, request.refusal(&before), "{:?}", request);
            after.check_accounts()?;
            match outcome {
                Ok(effect) => self.check(request, &effect, &before, &after)?,
                Err(_) => prop_assert_eq!(&before, &after, "what is refused changes nothing"),
            }
            self.note_use(request, &before, &after);
        }
        Ok(())
    }

    fn check(
        &self,
        request: &Request,
        effect: &Effect,
        before: &Seen,
        after: &Seen,
    ) -> Result<(), TestCaseError> {
        let is_read = matches!(request, Request::Read(_));
        prop_assert!(!is_read || before.revision == after.revision, "a read is no write");
        if let Some(last) = effect.written.last() {
            prop_assert!(after.record(last).is_some(), "{:?} was just written", last);
        }
        for (namespace, contents) in &before.spaces {
            let left = &after.spaces[namespace];
            let victims = contents.live(before.now).filter(|(name, _)| {
                !left.entries.contains_key(*name) && !effect.asks_to_remove(&entry_of(namespace, name))
            });
            let victims: Vec<_> = victims.collect();
            if victims.is_empty() {
                continue;
            }
            prop_assert!(!is_read, "a read took {:?}", victims);
            // The order in which several writes evict is not told from outside.
            if !matches!(request, Request::SetMany { .. }) && !begins_to_count_reads(namespace, before, after)
            {
                self.check_victims(namespace, &victims, effect, left)?;
            }
        }
        Ok(())
    }

    /// Checks that entries had to go, and before all that stayed.
    fn check_victims(
        &self,
        namespace: &Namespace,
        victims: &[(&String, &Record)],
        effect: &Effect,
        left: &Contents,
    ) -> Result<(), TestCaseError> {
        let cache = left.cache.as_ref().expect("a cache to evict from");
        let standing = |name: &str, record| self.standing(cache.policy, &entry_of(namespace, name), record);
        let last = victims.iter().map(|(name, record)| standing(name, record)).max().expect("a victim");
        let (items, bytes) = left.count();
        let would_fit = |(name, record): &(&String, &Record)| {
            cache.max_items.is_none_or(|max| items < max)
                && cache.max_bytes.is_none_or(|max| bytes + footprint(name, record.value.len()) <= max)
        };
        let mut last_victims = victims.iter().filter(|(name, record)| standing(name, record) == last);
        prop_assert!(!last_victims.all(would_fit), "one of {:?} left in vain", victims);
        let survivors =
            left.entries.iter().filter(|(name, _)| !effect.written.contains(&entry_of(namespace, name)));
        for (name, survivor) in survivors {
            let goes_later = survivor.head.visible_at(self.lab.now()) && standing(name, survivor) >= last;
            prop_assert!(goes_later, "{:?} left, and {} did not: {:?}", victims, name, cache.policy);
        }
        Ok(())
    }

    fn standing(&self, policy: Policy, at: &Address, record: &Record) -> Standing {
        let Version(version) = record.head.version;
        match policy {
            Policy::Fifo => (version, 0),
            Policy::Lru => self.reads.get(at).copied().unwrap_or_default().max((version, 0)),
            Policy::Ttl => (record.head.expires.map_or(u64::MAX, |at| at.0.unsigned_abs()), 0),
        }
    }

    /// Notes what was used. A cache that begins to count reads has all its entries read, so that their order is known.
    fn note_use(&mut self, request: &Request, before: &Seen, after: &Seen) {
        let used = match request {
            Request::Read(read) => read.used(before),
            Request::Configure { namespace, .. } if begins_to_count_reads(namespace, before, after) => {
                let live = after.spaces[namespace].live(after.now);
                let read_all = Read::GetMany(live.map(|(name, _)| entry_of(namespace, name)).collect());
                read_all.ask(&self.lab.store).unwrap();
                read_all.used(after)
            }
            _ => Vec::new(),
        };
        for at in used {
            self.read_count += 1;
            self.reads.insert(at, (after.revision.0, self.read_count));
        }
    }
}

/// Whether a limited cache begins to count reads as use: the order that it starts from is its own affair.
fn begins_to_count_reads(namespace: &Namespace, before: &Seen, after: &Seen) -> bool {
    before.is_limited(namespace) && !before.counts_reads(namespace) && after.counts_reads(namespace)
}
