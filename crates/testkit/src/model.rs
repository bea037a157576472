//! The model test: random transactions on an engine, compared with a map that does the same in the plainest way.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use prontodb_core::engine::{Candidate, Engine, Fields, Policy, Range, Row, Space, Totals, Txn, View};
use prontodb_core::{
    Clock, Coding, Error, ErrorKind, Head, ManualClock, Metakeys, Millis, Namespace, Record, Result, Version,
};

use crate::engine::many::listed;
use crate::properties;

/// What names are made of: few characters, so that names collide and start each other; each a trap of its own.
const CHARACTERS: &[&str] = &["a", "A", "_", "%", "*", "'", "é", "\u{ffff}", "😀", "\u{10ffff}"];

/// Projects and namespaces of the spaces that are used; joined by `_`, the first two would meet.
const NAMESPACES: [(&str, &str); 3] = [("a_b", "c"), ("a", "b_c"), ("a", "B_c")];

/// Runs `cases` random histories, each on a fresh engine.
///
/// # Panics
/// When the engine and the model do not agree, with the shortest history found that shows it.
pub fn check(open: &dyn Fn() -> Box<dyn Engine>, cases: u32) {
    properties::check(cases, &vec(batch(), 1..12), |batches| agree(&*open(), &batches));
}

/// One transaction, and what is asked about the state it leads to.
#[derive(Clone, Debug)]
struct Batch {
    /// Milliseconds by which the clock moves before it; sometimes back.
    wait: i64,
    asks_for_version: bool,
    steps: Vec<Step>,
    fails: bool,
    questions: Vec<Question>,
}

/// One change in one of [`NAMESPACES`].
#[derive(Clone, Debug)]
struct Step {
    namespace: Namespace,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    CreateSpace,
    Put { name: String, label: Label, value: Vec<u8> },
    Upsert { name: String, label: Label, value: Vec<u8> },
    UpsertAll { label: Label, entries: Vec<(String, Vec<u8>)> },
    PutHead { name: String, label: Label },
    Remove { name: String },
    RankAll { ranked: bool },
    KeepAll,
}

/// What is random about a head.
#[derive(Clone, Debug)]
struct Label {
    /// Milliseconds since it was created.
    age: i64,
    ttl: Option<i64>,
    writer: Option<&'static str>,
    rank: Option<u64>,
    /// The value of a metakey.
    owner: Option<&'static str>,
}

/// What to ask of each space.
#[derive(Clone, Debug)]
struct Question {
    range: Range,
    hides_expired: bool,
    policy: Policy,
    /// How many rows or candidates are wanted.
    limit: usize,
}

fn batch() -> impl Strategy<Value = Batch> {
    let fails = prop::bool::weighted(0.25);
    (-3..10_i64, any::<bool>(), vec(step(), 0..10), fails, vec(question(), 1..4)).prop_map(
        |(wait, asks_for_version, steps, fails, questions)| Batch {
            wait,
            asks_for_version,
            steps,
            fails,
            questions,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    (select(&NAMESPACES[..]), action()).prop_map(|((project, namespace), action)| Step {
        namespace: Namespace::new(project, namespace).expect("names of namespaces"),
        action,
    })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        1 => Just(Action::CreateSpace),
        9 => (name(), label(), vec(any::<u8>(), 0..6))
            .prop_map(|(name, label, value)| Action::Put { name, label, value }),
        4 => (name(), label(), vec(any::<u8>(), 0..6))
            .prop_map(|(name, label, value)| Action::Upsert { name, label, value }),
        3 => (label(), vec((name(), vec(any::<u8>(), 0..6)), 0..9))
            .prop_map(|(label, entries)| Action::UpsertAll { label, entries }),
        2 => (name(), label()).prop_map(|(name, label)| Action::PutHead { name, label }),
        3 => name().prop_map(|name| Action::Remove { name }),
        1 => any::<bool>().prop_map(|ranked| Action::RankAll { ranked }),
        1 => Just(Action::KeepAll),
    ]
}

fn label() -> impl Strategy<Value = Label> {
    let writer = select(&["", "alice", "it's"][..]);
    let owner = select(&["", "alice", "it's"][..]);
    (0..9_i64, option::of(0..12_i64), option::of(writer), option::of(0..4_u64), option::of(owner))
        .prop_map(|(age, ttl, writer, rank, owner)| Label { age, ttl, writer, rank, owner })
}

fn question() -> impl Strategy<Value = Question> {
    let fields = select(&[Fields::Names, Fields::Heads, Fields::Values, Fields::All][..]);
    let policy = select(&[Policy::Fifo, Policy::Lru, Policy::Ttl][..]);
    let with_metakeys = prop::bool::weighted(0.25);
    let range = (text(0..3), option::of(text(0..4)), any::<bool>(), with_metakeys, fields).prop_map(
        |(prefix, after, reverse, with_metakeys, fields)| Range {
            prefix,
            after,
            reverse,
            visible_at: None,
            with_metakeys,
            fields,
        },
    );
    (range, any::<bool>(), policy, 1..12_usize).prop_map(|(range, hides_expired, policy, limit)| Question {
        range,
        hides_expired,
        policy,
        limit,
    })
}

fn name() -> impl Strategy<Value = String> {
    text(1..3)
}

fn text(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    vec(select(CHARACTERS), length).prop_map(|characters| characters.concat())
}

impl Label {
    fn head(&self, now: Millis) -> Head {
        Head {
            version: Version(now.0.unsigned_abs()),
            created: Millis(now.0 - self.age),
            updated: now,
            expires: self.ttl.map(|ttl| Millis(now.0 + ttl)),
            writer: self.writer.map(ToOwned::to_owned),
            rank: self.rank,
            size: 0,
            coding: Coding::PLAIN,
            metakeys: self.owner.and_then(|owner| Metakeys::with(None, "owner", owner).ok()),
        }
    }
}

impl Action {
    fn names(&self) -> Vec<&String> {
        match self {
            Self::Put { name, .. }
            | Self::Upsert { name, .. }
            | Self::PutHead { name, .. }
            | Self::Remove { name } => vec![name],
            Self::UpsertAll { entries, .. } => entries.iter().map(|(name, _)| name).collect(),
            Self::CreateSpace | Self::RankAll { .. } | Self::KeepAll => Vec::new(),
        }
    }
}

/// Takes an engine and the model through the same history.
fn agree(engine: &dyn Engine, batches: &[Batch]) -> Result<(), TestCaseError> {
    let clock = ManualClock::at(Millis(1000));
    let mut model = Model::default();
    for batch in batches {
        clock.advance(batch.wait);
        let now = clock.now();
        let changed = model.after(batch, now);
        commit(engine, batch, &changed, now)?;
        if !batch.fails {
            model = changed;
        }
        inspect(engine, batch, &model, now)?;
    }
    Ok(())
}

/// Runs the transaction, and looks at what it did before it ends.
fn commit(engine: &dyn Engine, batch: &Batch, changed: &Model, now: Millis) -> Result<(), TestCaseError> {
    let mut seen = Ok(());
    let done = engine.write(&mut |txn| {
        change(txn, batch, now)?;
        seen = compare(txn, batch, changed, now);
        if batch.fails { Err(Error::new(ErrorKind::Conflict, "failing on purpose")) } else { Ok(()) }
    });
    match done {
        Err(error) if !batch.fails || error.kind() != ErrorKind::Conflict => Err(error.into()),
        _ => seen,
    }
}

/// Looks at what the transaction left.
fn inspect(engine: &dyn Engine, batch: &Batch, model: &Model, now: Millis) -> Result<(), TestCaseError> {
    let mut seen = Ok(());
    engine.read(&mut |view| {
        let revision = view.revision()?;
        seen = compare(view, batch, model, now);
        if revision != model.revision {
            seen = Err(TestCaseError::fail(format!("revision {revision}, not {}", model.revision)));
        }
        Ok(())
    })?;
    seen
}

fn change(txn: &mut dyn Txn, batch: &Batch, now: Millis) -> Result<()> {
    if batch.asks_for_version {
        txn.version()?;
    }
    for Step { namespace, action } in &batch.steps {
        let space = match txn.space(namespace)? {
            Some(space) => space,
            None => txn.create_space(namespace, now)?,
        };
        match action {
            Action::CreateSpace => {}
            Action::Put { name, label, value } => txn.put(&space, name, &label.head(now), value)?,
            Action::Upsert { name, label, value } => txn.upsert(&space, name, &label.head(now), value)?,
            Action::UpsertAll { label, entries } => {
                txn.upsert_all(&space, &label.head(now), &mut listed(entries))?;
            }
            Action::PutHead { name, label } => txn.put_head(&space, name, &label.head(now))?,
            Action::Remove { name } => txn.remove(&space, name)?,
            Action::RankAll { ranked } => txn.rank_all(&space, *ranked)?,
            Action::KeepAll => txn.keep_all(&space)?,
        }
    }
    Ok(())
}

/// What an engine ought to hold.
#[derive(Clone)]
struct Model {
    revision: Version,
    spaces: BTreeMap<Namespace, Entries>,
}

type Entries = BTreeMap<String, Record>;

impl Default for Model {
    fn default() -> Self {
        Self { revision: Version(0), spaces: BTreeMap::new() }
    }
}

impl Model {
    /// The model after a batch, as if it succeeded.
    fn after(&self, batch: &Batch, now: Millis) -> Self {
        let mut next = self.clone();
        next.revision.0 += u64::from(batch.asks_for_version);
        for Step { namespace, action } in &batch.steps {
            act(next.spaces.entry(namespace.clone()).or_default(), action, now);
        }
        next
    }
}

fn upsert(entries: &mut Entries, name: &str, label: &Label, value: &[u8], now: Millis) {
    let mut head = Head { size: value.len() as u64, ..label.head(now) };
    if let Some(replaced) = entries.get(name).filter(|replaced| replaced.head.visible_at(now)) {
        head.created = replaced.head.created;
        head.metakeys = replaced.head.metakeys.clone();
    }
    entries.insert(name.to_owned(), Record { head, value: value.to_vec() });
}

fn act(entries: &mut Entries, action: &Action, now: Millis) {
    match action {
        Action::CreateSpace => {}
        Action::Put { name, label, value } => {
            let head = Head { size: value.len() as u64, ..label.head(now) };
            entries.insert(name.clone(), Record { head, value: value.clone() });
        }
        Action::Upsert { name, label, value } => upsert(entries, name, label, value, now),
        Action::UpsertAll { label, entries: all } => {
            all.iter().for_each(|(name, value)| upsert(entries, name, label, value, now));
        }
        Action::PutHead { name, label } => {
            if let Some(record) = entries.get_mut(name) {
                record.head = Head { size: record.head.size, ..label.head(now) };
            }
        }
        Action::Remove { name } => drop(entries.remove(name)),
        Action::RankAll { ranked } => {
            for record in entries.values_mut() {
                record.head.rank = ranked.then_some(record.head.version.0);
            }
        }
        Action::KeepAll => entries.values_mut().for_each(|record| record.head.expires = None),
    }
}

fn compare<V: View + ?Sized>(
    view: &V,
    batch: &Batch,
    model: &Model,
    now: Millis,
) -> Result<(), TestCaseError> {
    let namespaces: Vec<_> = view.spaces(None)?.into_iter().map(|space| space.namespace).collect();
    prop_assert!(namespaces.iter().eq(model.spaces.keys()), "spaces {:?}", namespaces);
    for (namespace, entries) in &model.spaces {
        let Some(space) = view.space(namespace)? else {
            return Err(TestCaseError::fail(format!("no space of {namespace:?}")));
        };
        compare_entries(view, &space, batch, entries)?;
        for visible_at in [None, Some(now)] {
            prop_assert_eq!(view.totals(&space, visible_at)?, totals(entries, visible_at), "{:?}", namespace);
        }
        for question in &batch.questions {
            compare_answers(view, &space, question, entries, now)?;
        }
    }
    Ok(())
}

/// Asks for all entries that should be there, and for those that the batch has touched.
fn compare_entries<V: View + ?Sized>(
    view: &V,
    space: &Space,
    batch: &Batch,
    entries: &Entries,
) -> Result<(), TestCaseError> {
    let touched = batch.steps.iter().flat_map(|step| step.action.names());
    for name in entries.keys().chain(touched) {
        let (record, head) = (view.get(space, name)?, view.head(space, name)?);
        prop_assert_eq!(record.as_ref(), entries.get(name), "entry {:?}", name);
        prop_assert_eq!(head, record.map(|record| record.head), "head of {:?}", name);
    }
    Ok(())
}

fn compare_answers<V: View + ?Sized>(
    view: &V,
    space: &Space,
    question: &Question,
    entries: &Entries,
    now: Millis,
) -> Result<(), TestCaseError> {
    let Question { policy, limit, .. } = *question;
    let range = Range { visible_at: question.hides_expired.then_some(now), ..question.range.clone() };
    prop_assert_eq!(scanned(view, space, &range, limit)?, rows(entries, &range, limit), "{:?}", range);
    prop_assert_eq!(view.expired(space, now, limit)?, expired(entries, now, limit));
    prop_assert_eq!(view.victims(space, policy, limit)?, victims(entries, policy, limit), "{:?}", policy);
    Ok(())
}

/// A row that outlives the scan.
#[derive(Debug, PartialEq)]
struct Kept {
    name: String,
    head: Option<Head>,
    value: Vec<u8>,
}

/// The first `limit` rows; the scan is broken off at the last of them.
fn scanned<V: View + ?Sized>(view: &V, space: &Space, range: &Range, limit: usize) -> Result<Vec<Kept>> {
    let mut rows = Vec::new();
    view.scan(space, range, &mut |row: Row<'_>| {
        rows.push(Kept { name: row.name.to_owned(), head: row.head.cloned(), value: row.value.to_owned() });
        if rows.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(rows)
}

/// What [`scanned`] should answer.
fn rows(entries: &Entries, range: &Range, limit: usize) -> Vec<Kept> {
    let (heads, values) = match range.fields {
        Fields::Names => (false, false),
        Fields::Heads => (true, false),
        Fields::Values => (false, true),
        Fields::All => (true, true),
    };
    let kept = |(name, record): (&String, &Record)| Kept {
        name: name.clone(),
        head: heads.then(|| record.head.clone()),
        value: if values { record.value.clone() } else { Vec::new() },
    };
    let mut rows: Vec<_> =
        entries.iter().filter(|(name, record)| is_in(range, name, record)).map(kept).collect();
    if range.reverse {
        rows.reverse();
    }
    rows.truncate(limit);
    rows
}

fn is_in(range: &Range, name: &str, record: &Record) -> bool {
    let behind = match range.after.as_deref() {
        Some(after) if range.reverse => name.as_bytes() < after.as_bytes(),
        Some(after) => name.as_bytes() > after.as_bytes(),
        None => true,
    };
    behind
        && (!range.with_metakeys || record.head.metakeys.is_some())
        && name.as_bytes().starts_with(range.prefix.as_bytes())
        && is_visible(&record.head, range.visible_at)
}

fn is_visible(head: &Head, visible_at: Option<Millis>) -> bool {
    visible_at.is_none_or(|now| !is_expired(head, now))
}

fn is_expired(head: &Head, now: Millis) -> bool {
    head.expires.is_some_and(|expires| expires.0 <= now.0)
}

fn totals(entries: &Entries, visible_at: Option<Millis>) -> Totals {
    let visible = || entries.iter().filter(|(_, record)| is_visible(&record.head, visible_at));
    Totals {
        keys: visible().count() as u64,
        bytes: visible().map(|(name, record)| (name.len() + record.value.len()) as u64).sum(),
        last_write: visible().map(|(_, record)| record.head.updated).max(),
    }
}

fn expired(entries: &Entries, now: Millis, limit: usize) -> Vec<Candidate> {
    let expired = entries.iter().filter(|(_, record)| is_expired(&record.head, now));
    first(expired, |head| head.expires.map(|at| at.0), limit)
}

fn victims(entries: &Entries, policy: Policy, limit: usize) -> Vec<Candidate> {
    match policy {
        Policy::Fifo | Policy::Lru => {
            let ranked = entries.iter().filter(|(_, record)| record.head.rank.is_some());
            first(ranked, |head| head.rank, limit)
        }
        Policy::Ttl => first(entries.iter(), |head| head.expires.map_or(i64::MAX, |at| at.0), limit),
    }
}

/// The first `limit` entries by `standing`, then by name.
fn first<'a, K: Ord>(
    entries: impl Iterator<Item = (&'a String, &'a Record)>,
    standing: impl Fn(&Head) -> K,
    limit: usize,
) -> Vec<Candidate> {
    let mut sorted: Vec<_> = entries.map(|(name, record)| (standing(&record.head), name, record)).collect();
    sorted.sort_by(|(a, a_name, _), (b, b_name, _)| a.cmp(b).then_with(|| a_name.cmp(b_name)));
    let candidate = |(_, name, record): (K, &String, &Record)| Candidate {
        name: name.clone(),
        size: record.value.len() as u64,
    };
    sorted.into_iter().take(limit).map(candidate).collect()
}
