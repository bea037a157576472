//! All that is stored at one moment, as the store itself tells it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use prontodb_core::engine::{Cache, Policy, Usage};
use prontodb_core::{Address, ErrorKind, Millis, Namespace, Record, Version};

use super::changes::Change;
use super::{Kept, Lab, everything};

#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub now: Millis,
    pub revision: Version,
    pub spaces: BTreeMap<Namespace, Contents>,
}

/// What is stored in one namespace, expired or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    pub cache: Option<Cache>,
    pub entries: BTreeMap<String, Record>,
}

impl Seen {
    pub fn of(lab: &Lab) -> Self {
        let spaces = lab.store.namespaces(None).unwrap().into_iter().map(|space| {
            let record = |row: Kept| (row.name, Record { head: row.head.unwrap(), value: row.value });
            let entries = everything(&lab.store, &space.namespace).into_iter().map(record).collect();
            (space.namespace, Contents { cache: space.cache, entries })
        });
        Self { now: lab.now(), revision: lab.store.revision().unwrap(), spaces: spaces.collect() }
    }

    pub fn record(&self, at: &Address) -> Option<&Record> {
        self.spaces.get(&at.namespace)?.entries.get(at.name.as_str())
    }

    /// The entry, if it has not expired.
    pub fn there(&self, at: &Address) -> Option<&Record> {
        self.record(at).filter(|record| record.head.visible_at(self.now))
    }

    pub fn cache(&self, namespace: &Namespace) -> Option<&Cache> {
        self.spaces.get(namespace)?.cache.as_ref()
    }

    pub fn is_limited(&self, namespace: &Namespace) -> bool {
        self.cache(namespace).is_some_and(Cache::is_limited)
    }

    /// Whether reads count as use.
    pub fn counts_reads(&self, namespace: &Namespace) -> bool {
        self.cache(namespace).is_some_and(|cache| cache.is_limited() && cache.policy == Policy::Lru)
    }

    /// Why a change has to be refused.
    pub fn refusal(&self, change: &Change) -> Option<ErrorKind> {
        match change {
            Change::Set { at, options, .. }
                if options.ttl.is_some() && self.cache(&at.namespace).is_none() =>
            {
                Some(ErrorKind::NoTtl)
            }
            Change::Set { at, value, .. } => self.over_limit(at, value.len()),
            Change::Append { at, tail } => {
                let size = self.there(at).map_or(0, |record| record.value.len());
                self.over_limit(at, size + tail.len())
            }
            Change::Increment { at, by } => match self.number(at) {
                Some(number) => self.over_limit(at, (number + by).to_string().len()),
                None => Some(ErrorKind::Invalid),
            },
            Change::Copy { from, to, options } => {
                let source = self.there(from)?;
                if options.if_absent && self.there(to).is_some() {
                    return Some(ErrorKind::Conflict);
                }
                self.over_limit(to, source.value.len()).filter(|_| from != to)
            }
            Change::Touch { .. }
            | Change::Delete { .. }
            | Change::SetMetakey { .. }
            | Change::RemoveMetakeys { .. } => None,
        }
    }

    /// Refuses an entry that is too large for its cache.
    pub fn over_limit(&self, at: &Address, size: usize) -> Option<ErrorKind> {
        let max_bytes = self.cache(&at.namespace)?.max_bytes?;
        (footprint(at.name.as_str(), size) > max_bytes).then_some(ErrorKind::Limit)
    }

    /// The number at an address, 0 when there is no entry.
    fn number(&self, at: &Address) -> Option<i64> {
        let Some(record) = self.there(at) else { return Some(0) };
        std::str::from_utf8(&record.value).ok()?.parse().ok()
    }

    /// Checks that every cache is within its limits and knows what it holds.
    pub fn check_accounts(&self) -> Result<(), TestCaseError> {
        for (namespace, contents) in &self.spaces {
            let is_limited = self.is_limited(namespace);
            for (name, record) in &contents.entries {
                prop_assert_eq!(record.head.rank.is_some(), is_limited, "the rank of {}", name);
            }
            let Some(cache) = &contents.cache else { continue };
            if is_limited {
                contents.check_limits(cache)?;
            } else {
                prop_assert_eq!(cache.usage, Usage::default(), "{:?} has no limits", namespace);
            }
        }
        Ok(())
    }
}

impl Contents {
    pub fn live(&self, now: Millis) -> impl Iterator<Item = (&String, &Record)> {
        self.entries.iter().filter(move |(_, record)| record.head.visible_at(now))
    }

    /// The number of entries, and the bytes of their names and values.
    pub fn count(&self) -> (u64, u64) {
        let bytes = self.entries.iter().map(|(name, record)| footprint(name, record.value.len()));
        (self.entries.len() as u64, bytes.sum())
    }

    fn check_limits(&self, cache: &Cache) -> Result<(), TestCaseError> {
        let (items, bytes) = self.count();
        prop_assert_eq!((cache.usage.items, cache.usage.bytes), (items, bytes), "the accounts");
        prop_assert!(cache.max_items.is_none_or(|max| items <= max), "{} entries: {:?}", items, cache);
        prop_assert!(cache.max_bytes.is_none_or(|max| bytes <= max), "{} bytes: {:?}", bytes, cache);
        Ok(())
    }
}

/// What an entry counts against `max_bytes`.
pub fn footprint(name: &str, size: usize) -> u64 {
    (name.len() + size) as u64
}
