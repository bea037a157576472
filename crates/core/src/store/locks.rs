//! Locks: names that one holder has at a time, for as long as a lease lasts.
//!
//! A lease ends by itself, so that whoever dies or stalls keeps nobody waiting. A holder who stalls does not notice that: so
//! each grant has a *fencing token*, the revision that it was made by, and a write that carries one is refused once its lease has ended. The
//! check and the write are one transaction, and so is a grant; between a check and its write nobody is granted anything.
//! (Martin Kleppmann, "How to do distributed locking", 2016, has the idea, for stores that only see tokens.)
//!
//! The end of a lease is a moment on a clock that nobody can set. What was held before the machine started anew is free.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::once::Guard;
use super::{Answer, Request, Ruling, Store};
use crate::auth::{Action, shown};
use crate::clock::{Millis, Ttl, Uptime};
use crate::engine::{Catalog, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;
use crate::records::{self, Kept};

/// The longest name of a lock, in bytes.
pub const MAX_LOCK_NAME: usize = 255;
/// How many leases each grant looks at, to remove those that have ended: more than the one that it adds.
const SWEPT: usize = 8;
/// Spreads numbers evenly (2^64 divided by the golden ratio; Knuth, The Art of Computer Programming, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a holder shows for its lease; each grant has a greater one than all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence(pub u64);

impl Fence {
    /// Where its lease is kept; in the order of tokens.
    fn key(self) -> String {
        format!("{:016x}", self.0)
    }

    fn of_key(key: &str) -> Option<Self> {
        u64::from_str_radix(key, 16).ok().map(Self)
    }
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its name.
    pub name: String,
    /// The token of its lease.
    pub fence: Fence,
    /// Who holds it, if they said.
    pub owner: Option<String>,
    /// When it was granted.
    pub granted: Millis,
    /// How long its lease goes on from now.
    pub left: Duration,
    /// When it ends.
    pub ends: Uptime,
}

/// What came of asking for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is held by whoever asked.
    Granted(Lock),
    /// It is held by somebody else.
    Held(Lock),
}

/// What an operation has made of a lock: remembered is the token alone, for the rest changes.
#[derive(Serialize, Deserialize)]
struct Asked {
    fence: Option<u64>,
    #[serde(skip)]
    acquired: Option<Acquired>,
}

impl Asked {
    fn of(acquired: Acquired) -> Self {
        let fence = match &acquired {
            Acquired::Granted(lock) => Some(lock.fence.0),
            Acquired::Held(_) => None,
        };
        Self { fence, acquired: Some(acquired) }
    }
}

impl Answer for Asked {
    fn ruling(&self) -> Ruling {
        if self.fence.is_some() { Ruling::Done } else { Ruling::Open }
    }
}

/// A lock, by its name.
#[derive(Serialize, Deserialize)]
struct Holder {
    fence: u64,
}

impl Kept for Holder {
    const CATALOG: Catalog = Catalog::Locks;
}

/// An item of a queue that somebody has claimed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Claim {
    /// The space of the queue.
    pub space: u64,
    /// The id of the item.
    pub item: String,
}

/// What a token stands for: a lock or a claim.
#[derive(Clone, Serialize, Deserialize)]
struct Lease {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<Claim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Milliseconds since 1970.
    granted: i64,
    /// Which start of the machine, in hexadecimal digits.
    boot: String,
    /// Milliseconds since that.
    end: u64,
}

impl Kept for Lease {
    const CATALOG: Catalog = Catalog::Leases;
}

impl Lease {
    fn ends(&self) -> Uptime {
        // What is no number is no start of this machine.
        let boot = u128::from_str_radix(&self.boot, 16).unwrap_or(u128::MAX);
        Uptime { boot, millis: self.end }
    }

    /// Goes on until `end`, if that is later.
    fn extend(&mut self, end: Uptime) {
        if self.ends().boot != end.boot || self.end < end.millis {
            (self.boot, self.end) = (format!("{:x}", end.boot), end.millis);
        }
    }
}

impl Store {
    /// Asks for a lock, and holds it for `ttl` from the moment of the grant if nobody does.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that none can have; [`ErrorKind::Conflict`] when a lease has ended that this store writes
    /// under; [`ErrorKind::Denied`] to those who may not write; those of writing.
    pub fn acquire_lock(&self, name: &str, ttl: Ttl) -> Result<Acquired> {
        self.allow(Action::Write, None)?;
        check_name(name)?;
        let describe = |request: &mut Request| {
            request.text("lock acquire").text(name).ttl(Some(ttl));
        };
        // Whoever waits asks often, and should keep nobody from writing.
        if let Some(held) = self.lock(name)? {
            return match self.answer_given(&describe)? {
                Some(asked) => self.acquired(asked),
                None => self.require_fence().map(|()| Acquired::Held(held)),
            };
        }
        let asked = self.once(Guard::Fence, &describe, |txn| Ok(Asked::of(self.lend(txn, name, ttl)?)))?;
        self.acquired(asked)
    }

    /// What came of asking; of what was granted before, only as long as its lease stands.
    fn acquired(&self, asked: Asked) -> Result<Acquired> {
        if let Some(acquired) = asked.acquired {
            return Ok(acquired);
        }
        let fence = Fence(asked.fence.unwrap_or_default());
        let mut lock = None;
        self.engine.read(&mut |view| {
            let lease = records::find::<Lease, _>(view, &fence.key())?;
            lock = lease.map_or(Ok(None), |lease| self.told(fence, lease))?;
            Ok(())
        })?;
        lock.map(Acquired::Granted).ok_or_else(|| ended(fence))
    }

    fn lend(&self, txn: &mut dyn Txn, name: &str, ttl: Ttl) -> Result<Acquired> {
        if let Some(held) = self.held(txn, name)? {
            return Ok(Acquired::Held(held));
        }
        let Version(token) = txn.version()?;
        self.sweep_leases(txn, token)?;
        if let Some(Holder { fence }) = records::find(txn, name)? {
            txn.remove_record(Catalog::Leases, &Fence(fence).key())?;
        }
        let lease = self.lease(Some(name.to_owned()), None, ttl)?;
        records::keep(txn, &Fence(token).key(), &lease)?;
        records::keep(txn, name, &Holder { fence: token })?;
        match self.told(Fence(token), lease)? {
            Some(lock) => Ok(Acquired::Granted(lock)),
            None => Err(ended(Fence(token))),
        }
    }

    fn lease(&self, lock: Option<String>, claim: Option<Claim>, ttl: Ttl) -> Result<Lease> {
        let end = self.uptime()?.after(ttl);
        let (owner, granted) = (self.writer.clone(), self.now().0);
        Ok(Lease { lock, claim, owner, granted, boot: format!("{:x}", end.boot), end: end.millis })
    }

    /// Lends an item of a queue.
    pub(super) fn lend_item(&self, txn: &mut dyn Txn, fence: Fence, claim: Claim, ttl: Ttl) -> Result<()> {
        self.sweep_leases(txn, fence.0)?;
        records::keep(txn, &fence.key(), &self.lease(None, Some(claim), ttl)?)
    }

    /// The claim that a token stands for.
    pub(super) fn claim_under(&self, txn: &dyn Txn, fence: Fence) -> Result<Claim> {
        match self.standing(txn, fence)?.claim {
            Some(claim) => Ok(claim),
            None => Err(of_another(fence, "a lock")),
        }
    }

    /// Has a lease go on for `ttl` from now, or as long as it would anyway if that is longer.
    pub(super) fn extend_lease(&self, txn: &mut dyn Txn, fence: Fence, ttl: Ttl) -> Result<()> {
        let mut lease = self.standing(txn, fence)?;
        lease.extend(self.uptime()?.after(ttl));
        records::keep(txn, &fence.key(), &lease)
    }

    /// Ends a lease.
    pub(super) fn end_lease(&self, txn: &mut dyn Txn, fence: Fence) -> Result<()> {
        txn.remove_record(Catalog::Leases, &fence.key())
    }

    /// Whether the lease of a token stands.
    pub(super) fn stands<V: View + ?Sized>(&self, view: &V, fence: Fence) -> Result<bool> {
        Ok(self.left_of(view, fence)?.is_some())
    }

    /// For how long the lease of a token goes on, if it stands.
    pub(super) fn left_of<V: View + ?Sized>(&self, view: &V, fence: Fence) -> Result<Option<Duration>> {
        let lease = records::find::<Lease, _>(view, &fence.key())?;
        lease.map_or(Ok(None), |lease| self.left(&lease))
    }

    /// The lease of a token, as long as it stands.
    fn standing(&self, txn: &dyn Txn, fence: Fence) -> Result<Lease> {
        match records::find::<Lease, _>(txn, &fence.key())? {
            Some(lease) if self.left(&lease)?.is_some() => Ok(lease),
            _ => Err(ended(fence)),
        }
    }

    /// Has the lease of a lock go on for `ttl` from now, or as long as it would anyway if that is longer.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the lease has ended, or is that of another lock; those of writing.
    pub fn renew_lock(&self, name: &str, fence: Fence, ttl: Ttl) -> Result<Lock> {
        self.allow(Action::Write, None)?;
        let describe = |request: &mut Request| {
            request.text("lock renew").text(name).fence(fence).ttl(Some(ttl));
        };
        let asked = self.once(Guard::Own, &describe, |txn| {
            let mut lease = self.lease_of(txn, name, fence)?;
            lease.extend(self.uptime()?.after(ttl));
            records::keep(txn, &fence.key(), &lease)?;
            let lock = self.told(fence, lease)?;
            lock.map(|lock| Asked::of(Acquired::Granted(lock))).ok_or_else(|| ended(fence))
        })?;
        match self.acquired(asked)? {
            Acquired::Granted(lock) => Ok(lock),
            Acquired::Held(_) => Err(ended(fence)),
        }
    }

    /// Ends the lease of a lock, which is free from then on.
    ///
    /// # Errors
    /// Those of [`Store::renew_lock`].
    pub fn release_lock(&self, name: &str, fence: Fence) -> Result<()> {
        self.allow(Action::Write, None)?;
        let describe = |request: &mut Request| {
            request.text("lock release").text(name).fence(fence);
        };
        self.once(Guard::Own, &describe, |txn| {
            self.lease_of(txn, name, fence)?;
            txn.remove_record(Catalog::Leases, &fence.key())?;
            txn.remove_record(Catalog::Locks, name)
        })
    }

    /// The lock of this name, if it is held.
    ///
    /// # Errors
    /// Those of reading.
    pub fn lock(&self, name: &str) -> Result<Option<Lock>> {
        self.allow(Action::Read, None)?;
        let mut lock = None;
        self.engine.read(&mut |view| {
            lock = self.held(view, name)?;
            Ok(())
        })?;
        Ok(lock)
    }

    /// All locks that are held, in the byte order of their names.
    ///
    /// # Errors
    /// Those of reading.
    pub fn locks(&self) -> Result<Vec<Lock>> {
        self.allow(Action::Read, None)?;
        let mut locks = Vec::new();
        self.engine.read(&mut |view| {
            let names = records::all::<Holder, _>(view)?.into_iter().map(|(name, _)| name);
            let held = names.map(|name| self.held(view, &name)).collect::<Result<Vec<_>>>()?;
            locks = held.into_iter().flatten().collect();
            Ok(())
        })?;
        Ok(locks)
    }

    /// Refuses to go on under a lease that has ended; for what is no change of entries, and takes no transaction.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`], and those of reading.
    pub fn require_fence(&self) -> Result<()> {
        if self.fences.is_empty() {
            return Ok(());
        }
        self.engine.read(&mut |view| self.check_fence(view))
    }

    /// Refuses to write under a lease that has ended.
    pub(super) fn check_fence<V: View + ?Sized>(&self, view: &V) -> Result<()> {
        self.fences.iter().try_for_each(|fence| match self.stands(view, *fence)? {
            true => Ok(()),
            false => Err(ended(*fence)),
        })
    }

    /// The lease of a lock that is held under this token.
    fn lease_of(&self, txn: &dyn Txn, name: &str, fence: Fence) -> Result<Lease> {
        let lease = self.standing(txn, fence)?;
        match &lease.lock {
            Some(lock) if lock == name => Ok(lease),
            Some(lock) => Err(of_another(fence, &format!("the lock {}", shown(lock)))),
            None => Err(of_another(fence, "an item of a queue")),
        }
    }

    fn held<V: View + ?Sized>(&self, view: &V, name: &str) -> Result<Option<Lock>> {
        let Some(Holder { fence }) = records::find(view, name)? else { return Ok(None) };
        let lease = records::find::<Lease, _>(view, &Fence(fence).key())?;
        lease.map_or(Ok(None), |lease| self.told(Fence(fence), lease))
    }

    /// A lease as others see it; none that has ended.
    fn told(&self, fence: Fence, lease: Lease) -> Result<Option<Lock>> {
        let (left, ends) = (self.left(&lease)?, lease.ends());
        let Lease { lock, owner, granted, .. } = lease;
        let granted = Millis(granted);
        Ok(left.zip(lock).map(|(left, name)| Lock { name, fence, owner, granted, left, ends }))
    }

    fn left(&self, lease: &Lease) -> Result<Option<Duration>> {
        Ok(self.uptime()?.until(lease.ends()))
    }

    /// The moment on the clock that leases go by.
    fn uptime(&self) -> Result<Uptime> {
        self.clock.uptime().ok_or_else(|| {
            let what =
                "this system does not tell which start of the machine it is, and so no lease can be trusted";
            Error::new(ErrorKind::Unsupported, what)
        })
    }

    /// Removes some of the leases that have ended, from another place each time: those of locks that nobody asks for again. What
    /// cannot be read stays, and holds nobody up.
    fn sweep_leases(&self, txn: &mut dyn Txn, token: u64) -> Result<()> {
        let after = Fence(spread(token)).key();
        for (key, record) in txn.records(Catalog::Leases, &after, SWEPT)? {
            let Ok(lease) = records::read::<Lease>(&record) else { continue };
            if self.left(&lease)?.is_some() {
                continue;
            }
            txn.remove_record(Catalog::Leases, &key)?;
            let Some(lock) = lease.lock else { continue };
            let Some(holder) = txn.record(Catalog::Locks, &lock)? else { continue };
            let held = records::read::<Holder>(&holder).ok().map(|holder| Fence(holder.fence));
            if held.is_some() && held == Fence::of_key(&key) {
                txn.remove_record(Catalog::Locks, &lock)?;
            }
        }
        Ok(())
    }
}

/// Reads what is kept of a lock.
pub(super) fn check_holder(_key: &str, record: &str) -> Result<()> {
    records::read::<Holder>(record).map(drop)
}

/// Reads what is kept of a lease.
pub(super) fn check_lease(_key: &str, record: &str) -> Result<()> {
    records::read::<Lease>(record).map(drop)
}

fn check_name(name: &str) -> Result<()> {
    let why = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > MAX_LOCK_NAME {
        format!("it has more than {MAX_LOCK_NAME} bytes")
    } else if name.chars().any(char::is_control) {
        "it has control characters in it".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Invalid, format!("no lock can have this name; {why}")))
}

/// Some number below a token, another one for each.
pub(super) fn spread(token: u64) -> u64 {
    token.wrapping_mul(SPREAD) % token.max(1)
}

pub(super) fn of_another(fence: Fence, what: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("the token {} is that of {what}", fence.0))
}

pub(super) fn ended(fence: Fence) -> Error {
    let what =
        format!("nothing was written; the lease of the token {} was given back or has lapsed", fence.0);
    Error::new(ErrorKind::Conflict, what)
}
