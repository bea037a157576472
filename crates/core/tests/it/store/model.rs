//! What a store ought to do to namespaces without limits, in the plainest way: a map that is copied for each write.

use std::collections::BTreeMap;

use prontodb_core::engine::{Cache, Fields, Policy, Totals, Usage};
use prontodb_core::store::{
    CacheSettings, Condition, CopyOptions, Presence, Query, Removed, SetOptions, Written,
};
use prontodb_core::{
    Address, Coding, ErrorKind, Head, Metakeys, Millis, Namespace, Record, Result, Ttl, Version,
};

use super::changes::{Answer, Change};
use super::{Kept, Lab, entry_of};

/// The largest value that is stored.
pub const MAX_VALUE_BYTES: usize = 1000;

/// What a name looks like, as the glob that is given to the store and as the plain question.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    StartsWithK,
    EndsWithX,
    OneCharacter,
}

impl Pattern {
    pub fn glob(self) -> &'static str {
        match self {
            Self::StartsWithK => "k*",
            Self::EndsWithX => "*x",
            Self::OneCharacter => "?",
        }
    }

    fn fits(self, name: &str) -> bool {
        match self {
            Self::StartsWithK => name.starts_with('k'),
            Self::EndsWithX => name.ends_with('x'),
            Self::OneCharacter => name.chars().count() == 1,
        }
    }
}

/// What a store ought to hold.
#[derive(Clone, Debug)]
pub struct Model {
    pub revision: Version,
    pub spaces: BTreeMap<Namespace, Contents>,
}

/// A namespace, and what lies in it, expired or not.
#[derive(Clone, Debug)]
pub struct Contents {
    pub created: Millis,
    pub cache: Option<Cache>,
    pub entries: BTreeMap<String, Record>,
}

impl Model {
    /// What a store holds that has namespaces at most.
    pub fn of(lab: &Lab) -> Self {
        let spaces = lab.store.namespaces(None).unwrap().into_iter();
        let spaces = spaces.map(|space| (space.namespace, Contents::new(space.created)));
        Self { revision: lab.store.revision().unwrap(), spaces: spaces.collect() }
    }

    pub fn stored(&self, at: &Address) -> Option<&Record> {
        self.spaces.get(&at.namespace)?.entries.get(at.name.as_str())
    }

    /// All changes, or none.
    pub fn write(
        &mut self,
        changes: &[Change],
        now: Millis,
        writer: Option<&str>,
    ) -> Result<Vec<Answer>, ErrorKind> {
        let version = Version(self.revision.0 + 1);
        let mut attempt = Attempt { model: self.clone(), version, now, writer };
        let answers = changes.iter().map(|change| attempt.change(change)).collect::<Result<_, _>>()?;
        *self = attempt.model;
        Ok(answers)
    }

    pub fn get(&mut self, at: &Address, now: Millis) -> Option<Record> {
        let contents = self.spaces.get_mut(&at.namespace)?;
        let stored = contents.entries.get(at.name.as_str()).cloned()?;
        if is_visible(&stored, now) {
            return Some(stored);
        }
        contents.evict_on_read(now);
        None
    }

    pub fn get_first(&mut self, addresses: &[Address], now: Millis) -> Option<(usize, Record)> {
        let mut places = addresses.iter().enumerate();
        places.find_map(|(place, at)| Some((place, self.get(at, now)?)))
    }

    /// What a listing shows; `pattern` is what the query's glob means.
    pub fn list(
        &mut self,
        namespace: &Namespace,
        query: &Query,
        pattern: Option<Pattern>,
        now: Millis,
    ) -> Vec<Kept> {
        let Some(contents) = self.spaces.get_mut(namespace) else { return Vec::new() };
        let mut shown: Vec<_> = contents.entries.iter().collect();
        shown.retain(|(name, record)| {
            is_in(query, pattern, name, &record.head) && (query.include_expired || is_visible(record, now))
        });
        if query.reverse {
            shown.reverse();
        }
        shown.truncate(query.limit.map_or(usize::MAX, |limit| limit as usize));
        let rows = shown.into_iter().map(|(name, record)| kept(name, record, query.fields)).collect();
        if !query.include_expired {
            contents.evict_on_read(now);
        }
        rows
    }

    /// Removes what a listing shows; says how many entries were there.
    pub fn delete_matching(
        &mut self,
        namespace: &Namespace,
        query: &Query,
        pattern: Option<Pattern>,
        now: Millis,
    ) -> u64 {
        let shown = self.list(namespace, query, pattern, now);
        let delete = |row: Kept| Change::Delete {
            at: entry_of(namespace, &row.name),
            condition: Condition::default(),
        };
        let changes: Vec<_> = shown.into_iter().map(delete).collect();
        let answers = self.write(&changes, now, None).expect("deletes without conditions");
        answers.iter().filter(|answer| **answer == Answer::Removed(true)).count() as u64
    }

    pub fn create_cache(
        &mut self,
        namespace: &Namespace,
        settings: &CacheSettings,
        now: Millis,
    ) -> Result<(), ErrorKind> {
        let timeout = settings.timeout.ok_or(ErrorKind::Invalid)?;
        let contents = self.spaces.entry(namespace.clone()).or_insert_with(|| Contents::new(now));
        let new = Cache {
            timeout,
            evict_on_read: false,
            max_items: None,
            max_bytes: None,
            policy: Policy::Fifo,
            usage: Usage::default(),
        };
        change_settings(contents.cache.get_or_insert(new), settings);
        self.revision.0 += 1;
        Ok(())
    }

    pub fn set_cache(&mut self, namespace: &Namespace, settings: &CacheSettings) -> Result<(), ErrorKind> {
        let cache = self.spaces.get_mut(namespace).and_then(|contents| contents.cache.as_mut());
        change_settings(cache.ok_or(ErrorKind::Invalid)?, settings);
        self.revision.0 += 1;
        Ok(())
    }

    pub fn drop_cache(&mut self, namespace: &Namespace, discard: bool, now: Millis) -> Result<(), ErrorKind> {
        let contents = self.spaces.get_mut(namespace).filter(|contents| contents.cache.is_some());
        let contents = contents.ok_or(ErrorKind::Invalid)?;
        contents.entries.retain(|_, record| !discard && is_visible(record, now));
        contents.entries.values_mut().for_each(|record| record.head.expires = None);
        contents.cache = None;
        self.revision.0 += 1;
        Ok(())
    }

    pub fn drop_namespace(&mut self, namespace: &Namespace) -> Result<(), ErrorKind> {
        self.spaces.remove(namespace).ok_or(ErrorKind::Invalid)?;
        self.revision.0 += 1;
        Ok(())
    }

    pub fn collect_garbage(&mut self, now: Millis) -> Removed {
        let mut removed = Removed::default();
        for contents in self.spaces.values_mut() {
            let entries = contents.remove_expired(now);
            removed.entries += entries;
            removed.caches += u64::from(entries > 0);
        }
        removed
    }
}

impl Contents {
    fn new(created: Millis) -> Self {
        Self { created, cache: None, entries: BTreeMap::new() }
    }

    fn remove_expired(&mut self, now: Millis) -> u64 {
        let before = self.entries.len();
        self.entries.retain(|_, record| is_visible(record, now));
        (before - self.entries.len()) as u64
    }

    fn evict_on_read(&mut self, now: Millis) {
        if self.cache.as_ref().is_some_and(|cache| cache.evict_on_read) {
            self.remove_expired(now);
        }
    }

    pub fn totals(&self, now: Millis) -> Totals {
        let visible = || self.entries.iter().filter(|(_, record)| is_visible(record, now));
        Totals {
            keys: visible().count() as u64,
            bytes: visible().map(|(name, record)| (name.len() + record.value.len()) as u64).sum(),
            last_write: visible().map(|(_, record)| record.head.updated).max(),
        }
    }
}

/// A transaction under way.
struct Attempt<'a> {
    model: Model,
    version: Version,
    now: Millis,
    writer: Option<&'a str>,
}

impl Attempt<'_> {
    fn change(&mut self, change: &Change) -> Result<Answer, ErrorKind> {
        Ok(match change {
            Change::Set { at, value, options } => Answer::Written(self.set(at, value, options)?),
            Change::Delete { at, condition } => Answer::Removed(self.delete(at, condition)?),
            Change::Increment { at, by } => Answer::Sum(self.increment(at, *by)?),
            Change::Append { at, tail } => Answer::Version(Some(self.append(at, tail)?)),
            Change::Touch { at, ttl } => Answer::Version(self.touch(at, *ttl)?),
            Change::Copy { from, to, options } => Answer::Version(self.copy(from, to, *options)?),
            Change::SetMetakey { at, name, value } => Answer::Version(self.set_metakey(at, name, value)?),
            Change::RemoveMetakeys { at, names } => Answer::Missing(self.remove_metakeys(at, names)?),
        })
    }

    fn set(&mut self, at: &Address, value: &[u8], options: &SetOptions) -> Result<Written, ErrorKind> {
        check_size(value)?;
        let old = self.find(at);
        check(&options.condition, old.as_ref())?;
        let expires = self.expiry(&at.namespace, options.ttl)?;
        let created = old.as_ref().map_or(self.now, |old| old.head.created);
        let metakeys = old.as_ref().and_then(|old| old.head.metakeys.clone());
        let version = self.put(at, value.to_vec(), created, expires, metakeys);
        Ok(Written { version, old: old.filter(|_| options.want_old) })
    }

    fn delete(&mut self, at: &Address, condition: &Condition) -> Result<bool, ErrorKind> {
        let old = self.find(at);
        check(condition, old.as_ref())?;
        if old.is_some() {
            self.remove(at);
        }
        Ok(old.is_some())
    }

    fn increment(&mut self, at: &Address, by: i64) -> Result<i64, ErrorKind> {
        let old = self.find(at);
        let number = match &old {
            Some(old) => std::str::from_utf8(&old.value).ok().and_then(|text| text.parse::<i64>().ok()),
            None => Some(0),
        };
        let sum = number.and_then(|number| number.checked_add(by)).ok_or(ErrorKind::Invalid)?;
        self.replace(at, old, sum.to_string().into_bytes())?;
        Ok(sum)
    }

    fn append(&mut self, at: &Address, tail: &[u8]) -> Result<Version, ErrorKind> {
        let old = self.find(at);
        let head = old.as_ref().map_or(&[][..], |old| &old.value);
        let value = [head, tail].concat();
        check_size(&value)?;
        self.replace(at, old, value)
    }

    fn touch(&mut self, at: &Address, ttl: Option<Ttl>) -> Result<Option<Version>, ErrorKind> {
        let old = self.find(at);
        let expires = self.expiry(&at.namespace, ttl)?;
        Ok(old.map(|old| self.put(at, old.value, old.head.created, expires, old.head.metakeys)))
    }

    fn set_metakey(&mut self, at: &Address, name: &str, value: &str) -> Result<Option<Version>, ErrorKind> {
        let Some(Record { head, value: kept }) = self.find(at) else { return Ok(None) };
        if name == "=" {
            return Err(ErrorKind::Invalid);
        }
        if value.len() > 1024 {
            return Err(ErrorKind::Limit);
        }
        let metakeys = Metakeys::with(head.metakeys.as_ref(), name, value).expect("a metakey");
        Ok(Some(self.put(at, kept, head.created, head.expires, Some(metakeys))))
    }

    fn remove_metakeys(&mut self, at: &Address, names: &[&str]) -> Result<Option<Vec<String>>, ErrorKind> {
        if names.contains(&"=") {
            return Err(ErrorKind::Invalid);
        }
        let Some(Record { head, value }) = self.find(at) else { return Ok(None) };
        let kept: Vec<_> = head.metakeys.iter().flat_map(Metakeys::iter).collect();
        let is_there = |wanted: &&str| kept.iter().any(|(name, _)| name == wanted);
        let (present, missing): (Vec<&str>, Vec<&str>) = names.iter().copied().partition(is_there);
        if !present.is_empty() {
            let left = kept.iter().filter(|(name, _)| !names.contains(name));
            let left = left.fold(None, |all: Option<Metakeys>, (name, value)| {
                Metakeys::with(all.as_ref(), name, value).ok()
            });
            self.put(at, value, head.created, head.expires, left);
        }
        Ok(Some(missing.into_iter().map(str::to_owned).collect()))
    }

    fn copy(
        &mut self,
        from: &Address,
        to: &Address,
        options: CopyOptions,
    ) -> Result<Option<Version>, ErrorKind> {
        let Some(source) = self.find(from) else { return Ok(None) };
        if self.find(to).is_some() && options.if_absent {
            return Err(ErrorKind::Conflict);
        }
        if from == to {
            return Ok(Some(source.head.version));
        }
        let expires = match self.expiry(&to.namespace, None)? {
            Some(default) => Some(source.head.expires.unwrap_or(default)),
            None => None,
        };
        let created = if options.move_source { source.head.created } else { self.now };
        if options.move_source {
            self.remove(from);
        }
        Ok(Some(self.put(to, source.value, created, expires, source.head.metakeys)))
    }

    /// The entry that is there. What has expired around it is removed: a write does that to the caches it looks at.
    fn find(&mut self, at: &Address) -> Option<Record> {
        let contents = self.model.spaces.get_mut(&at.namespace)?;
        contents.remove_expired(self.now);
        contents.entries.get(at.name.as_str()).cloned()
    }

    fn expiry(&self, namespace: &Namespace, ttl: Option<Ttl>) -> Result<Option<Millis>, ErrorKind> {
        let cache = self.model.spaces.get(namespace).and_then(|contents| contents.cache.as_ref());
        match (cache, ttl) {
            (Some(cache), ttl) => Ok(Some(Millis(self.now.0 + ttl.unwrap_or(cache.timeout).millis()))),
            (None, Some(_)) => Err(ErrorKind::NoTtl),
            (None, None) => Ok(None),
        }
    }

    fn replace(&mut self, at: &Address, old: Option<Record>, value: Vec<u8>) -> Result<Version, ErrorKind> {
        let (created, expires, metakeys) = match old {
            Some(Record { head, .. }) => (head.created, head.expires, head.metakeys),
            None => (self.now, self.expiry(&at.namespace, None)?, None),
        };
        Ok(self.put(at, value, created, expires, metakeys))
    }

    fn put(
        &mut self,
        at: &Address,
        value: Vec<u8>,
        created: Millis,
        expires: Option<Millis>,
        metakeys: Option<Metakeys>,
    ) -> Version {
        let head = Head {
            version: self.version,
            created,
            updated: self.now,
            expires,
            writer: self.writer.map(str::to_owned),
            rank: None,
            size: value.len() as u64,
            coding: Coding::PLAIN,
            metakeys,
        };
        self.model.revision = self.version;
        let contents =
            self.model.spaces.entry(at.namespace.clone()).or_insert_with(|| Contents::new(self.now));
        contents.entries.insert(at.name.as_str().to_owned(), Record { head, value });
        self.version
    }

    fn remove(&mut self, at: &Address) {
        self.model.revision = self.version;
        let contents = self.model.spaces.get_mut(&at.namespace);
        contents.and_then(|contents| contents.entries.remove(at.name.as_str())).expect("an entry to remove");
    }
}

fn is_visible(record: &Record, now: Millis) -> bool {
    record.head.expires.is_none_or(|expires| now.0 < expires.0)
}

fn is_in(query: &Query, pattern: Option<Pattern>, name: &str, head: &Head) -> bool {
    let behind = match query.after.as_deref() {
        Some(after) if query.reverse => name < after,
        Some(after) => name > after,
        None => true,
    };
    let context = name.split_once("__").map(|(_, context)| context);
    behind
        && name.starts_with(&query.prefix)
        && pattern.is_none_or(|pattern| pattern.fits(name))
        && query.metakeys.iter().all(|selector| selector.chooses(head.metakeys.as_ref()))
        && query.context.as_deref().is_none_or(|wanted| context == Some(wanted))
}

fn kept(name: &str, record: &Record, fields: Fields) -> Kept {
    let (shows_head, shows_value) = match fields {
        Fields::Names => (false, false),
        Fields::Heads => (true, false),
        Fields::Values => (false, true),
        Fields::All => (true, true),
    };
    Kept {
        name: name.to_owned(),
        head: shows_head.then(|| record.head.clone()),
        value: if shows_value { record.value.clone() } else { Vec::new() },
    }
}

fn check(condition: &Condition, old: Option<&Record>) -> Result<(), ErrorKind> {
    let holds = match condition.presence {
        Some(Presence::Absent) => old.is_none(),
        Some(Presence::Present) => old.is_some(),
        None => true,
    } && condition
        .version
        .is_none_or(|version| old.map_or(Version(0), |old| old.head.version) == version)
        && condition.value.as_ref().is_none_or(|value| old.map(|old| &old.value) == Some(value));
    if holds { Ok(()) } else { Err(ErrorKind::Conflict) }
}

fn check_size(value: &[u8]) -> Result<(), ErrorKind> {
    if value.len() > MAX_VALUE_BYTES { Err(ErrorKind::Limit) } else { Ok(()) }
}

fn change_settings(cache: &mut Cache, settings: &CacheSettings) {
    cache.timeout = settings.timeout.unwrap_or(cache.timeout);
    cache.evict_on_read = settings.evict_on_read.unwrap_or(cache.evict_on_read);
    cache.policy = settings.policy.unwrap_or(cache.policy);
}
