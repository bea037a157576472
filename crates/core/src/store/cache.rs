//! The rules of caches: what leaves, and when.

use super::changes::{self, Op};
use super::history::{self, By};
use crate::clock::Millis;
use crate::engine::{Cache, Candidate, Space, Txn};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Head;

/// How many expired entries the first write of a transaction to a cache removes at most, so that writes stay quick.
pub(super) const SWEEP: usize = 32;
/// How many entries one round of eviction asks for.
const ROUND: usize = 64;

impl Cache {
    /// Whether it has a limit, and so keeps count.
    pub fn is_limited(&self) -> bool {
        self.max_items.is_some() || self.max_bytes.is_some()
    }

    /// Whether it holds more than it may.
    fn is_over(&self) -> bool {
        self.max_items.is_some_and(|max| self.usage.items > max)
            || self.max_bytes.is_some_and(|max| self.usage.bytes > max)
    }

    /// The place of an entry that is written or used now; `None` without limits.
    pub(super) fn next_rank(&mut self) -> Option<u64> {
        self.is_limited().then(|| {
            self.usage.rank += 1;
            self.usage.rank
        })
    }

    /// Counts an entry in, in place of `replaced`, and gives it its rank.
    pub(super) fn admit(&mut self, name: &str, size: u64, replaced: Option<&Head>) -> Result<Option<u64>> {
        self.check_fits(footprint(name, size))?;
        if let Some(replaced) = replaced {
            self.subtract(name, replaced.size);
        }
        if self.is_limited() {
            self.usage.items += 1;
            self.usage.bytes += footprint(name, size);
        }
        Ok(self.next_rank())
    }

    /// Refuses an entry of so many bytes that would not fit if the cache were empty.
    pub(super) fn check_fits(&self, bytes: u64) -> Result<()> {
        match self.max_bytes {
            Some(max) if bytes > max => {
                let what = format!("the entry takes {bytes} bytes, and the cache holds {max} (max_bytes)");
                Err(Error::new(ErrorKind::Limit, what))
            }
            _ => Ok(()),
        }
    }

    /// Counts an entry that has gone.
    pub(super) fn subtract(&mut self, name: &str, size: u64) {
        if self.is_limited() {
            self.usage.items = self.usage.items.saturating_sub(1);
            self.usage.bytes = self.usage.bytes.saturating_sub(footprint(name, size));
        }
    }
}

/// What an entry counts against `max_bytes`.
pub(super) fn footprint(name: &str, size: u64) -> u64 {
    name.len() as u64 + size
}

/// Removes up to `limit` entries that have expired; says how many there were.
pub(super) fn sweep(txn: &mut dyn Txn, space: &mut Space, now: Millis, limit: usize) -> Result<usize> {
    let expired = txn.expired(space, now, limit)?;
    expired.iter().try_for_each(|candidate| remove(txn, space, candidate, Op::Expired, now))?;
    Ok(expired.len())
}

/// Removes entries until the cache is within its limits: what has expired, then by policy, but never `kept`.
pub(super) fn make_room(txn: &mut dyn Txn, space: &mut Space, kept: Option<&str>, by: &By<'_>) -> Result<()> {
    while is_over(space) && sweep(txn, space, by.now, ROUND)? > 0 {}
    while let Some(cache) = space.cache.as_ref().filter(|cache| cache.is_over()) {
        let mut victims = txn.victims(space, cache.policy, ROUND)?;
        victims.retain(|victim| Some(victim.name.as_str()) != kept);
        if victims.is_empty() {
            return Ok(());
        }
        for victim in victims {
            if is_over(space) {
                history::note_eviction(txn, space, &victim.name, by)?;
                remove(txn, space, &victim, Op::Evicted, by.now)?;
            }
        }
    }
    Ok(())
}

fn is_over(space: &Space) -> bool {
    space.cache.as_ref().is_some_and(Cache::is_over)
}

fn remove(txn: &mut dyn Txn, space: &mut Space, candidate: &Candidate, op: Op, now: Millis) -> Result<()> {
    changes::note(txn, (&space.namespace, Some(&candidate.name)), op, now, None)?;
    txn.remove(space, &candidate.name)?;
    if let Some(cache) = &mut space.cache {
        cache.subtract(&candidate.name, candidate.size);
    }
    Ok(())
}
