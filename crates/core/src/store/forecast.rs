//! What would be removed, without removing it.

use std::collections::HashMap;

use super::Store;
use super::history::{self, HistorySettings};
use super::moves::LeftoverRecord;
use super::spaces::missing;
use crate::address::Namespace;
use crate::auth::Action;
use crate::clock::{Millis, Ttl};
use crate::engine::{Space, View};
use crate::error::Result;
use crate::record::Past;
use crate::records;

/// How many versions of a history are read at a time.
const PAGE: usize = 1000;

/// What [`Store::collect_garbage`] would find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Entries that have expired.
    pub entries: u64,
    /// Caches they are in.
    pub caches: u64,
    /// Versions in histories that are older than they may be.
    pub versions: u64,
    /// Places that still hold something of namespaces that are no more or elsewhere.
    pub left_behind: u64,
}

/// What is kept of a history.
struct Kept {
    /// The most versions of each entry.
    versions: u64,
    /// For how long after its end each is; `None` is for good.
    age: Option<Ttl>,
}

impl Store {
    /// Counts what [`Store::collect_garbage`] would remove.
    ///
    /// # Errors
    /// Those of reading.
    pub fn garbage(&self) -> Result<Garbage> {
        self.allow(Action::Admin, None)?;
        let (now, mut found) = (self.now(), Garbage::default());
        self.engine.read(&mut |view| {
            found = Garbage::default();
            for space in view.spaces(None)? {
                let expired = if space.cache.is_some() { view.count_expired(&space, now)? } else { 0 };
                found.entries += expired;
                found.caches += u64::from(expired > 0);
                if space.history.is_some() {
                    let kept = Kept { versions: u64::MAX, age: history::age_of(view, &space)? };
                    found.versions += kept.excess(view, &space, now)?;
                }
            }
            found.left_behind = records::all::<LeftoverRecord, _>(view)?.len() as u64;
            Ok(())
        })?;
        Ok(found)
    }

    /// Counts the versions that [`Store::set_history`] would remove.
    ///
    /// # Errors
    /// Those of [`Store::set_history`], but for those of writing.
    pub fn would_forget(&self, namespace: &Namespace, settings: &HistorySettings) -> Result<u64> {
        self.allow(Action::Admin, Some(namespace))?;
        let mut removed = 0;
        self.engine.read(&mut |view| {
            let space = view.space(namespace)?;
            let had = space.as_ref().and_then(|space| space.history);
            let versions = history::versions_kept(namespace, space.as_ref(), settings)?;
            removed = match (space, had) {
                (None, _) if versions.is_none() => return Err(missing(namespace)),
                (Some(space), Some(_)) => {
                    let age = settings.age.map_or_else(|| history::age_of(view, &space), Ok)?;
                    Kept { versions: versions.unwrap_or(0), age }.excess(view, &space, self.now())?
                }
                _ => 0,
            };
            Ok(())
        })?;
        Ok(removed)
    }
}

impl Kept {
    /// How many versions are too much.
    fn excess(&self, view: &dyn View, space: &Space, now: Millis) -> Result<u64> {
        let ended = self.age.map(|age| now.0.saturating_sub(age.millis()));
        let is_old = |past: &Past| past.ended.zip(ended).is_some_and(|(at, ended)| at.0 <= ended);
        let (mut seen, mut excess, mut before) = (HashMap::<String, u64>::new(), 0, None);
        loop {
            let page = view.past(space, before.as_ref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(excess) };
            before = Some(last.place());
            for past in page {
                let is_much = self.versions == 0 || is_old(&past);
                let number = seen.entry(past.name).or_default();
                *number += 1;
                excess += u64::from(is_much || *number > self.versions);
            }
        }
    }
}
