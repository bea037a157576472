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

use super::Store;
use crate::auth::{Action, shown};
use crate::clock::{Millis, Ttl, Uptime};
use crate::engine::{Catalog, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;
use crate::records::{self, Kept};

/// The longest name of a lock, in bytes.
pub const MAX_LOCK_NAME: usize = 255;
/// How many leases each grant looks at, to remove those that have ended. More than one, so that they never pile up.
const SWEPT: usize = 8;
/// Spreads numbers evenly (2^64 divided by the golden ratio; Knuth, The Art of Computer Programming, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a holder shows for its lease; each grant has a greater one than all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// A lock, by its name.
#[derive(Serialize, Deserialize)]
struct Holder {
    fence: u64,
}

impl Kept for Holder {
    const CATALOG: Catalog = Catalog::Locks;
}

/// What a token stands for.
#[derive(Clone, Serialize, Deserialize)]
struct Lease {
    lock: String,
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
    /// [`ErrorKind::Invalid`] for a name that none can have; [`ErrorKind::Denied`] to those who may not write; those of writing.
    pub fn acquire_lock(&self, name: &str, ttl: Ttl) -> Result<Acquired> {
        self.allow(Action::Write, None)?;
        check_name(name)?;
        // Whoever waits asks often, and should keep nobody from writing.
        if let Some(held) = self.lock(name)? {
            return Ok(Acquired::Held(held));
        }
        let mut acquired = None;
        self.transact(&mut |txn| {
            acquired = Some(self.lend(txn, name, ttl)?);
            Ok(())
        })?;
        acquired.ok_or_else(|| Error::new(ErrorKind::Io, "the engine did not run the transaction"))
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
        let end = self.clock.uptime().after(ttl);
        let lease = Lease {
            lock: name.to_owned(),
            owner: self.writer.clone(),
            granted: self.now().0,
            boot: format!("{:x}", end.boot),
            end: end.millis,
        };
        records::keep(txn, &Fence(token).key(), &lease)?;
        records::keep(txn, name, &Holder { fence: token })?;
        match self.told(Fence(token), lease) {
            Some(lock) => Ok(Acquired::Granted(lock)),
            None => Err(ended(Fence(token))),
        }
    }

    /// Has the lease of a lock go on for `ttl` from now, or as long as it would anyway if that is longer.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the lease has ended, or is that of another lock; those of writing.
    pub fn renew_lock(&self, name: &str, fence: Fence, ttl: Ttl) -> Result<Lock> {
        self.allow(Action::Write, None)?;
        let mut renewed = None;
        self.transact(&mut |txn| {
            let mut lease = self.lease_of(txn, name, fence)?;
            lease.extend(self.clock.uptime().after(ttl));
            records::keep(txn, &fence.key(), &lease)?;
            renewed = self.told(fence, lease);
            Ok(())
        })?;
        renewed.ok_or_else(|| ended(fence))
    }

    /// Ends the lease of a lock, which is free from then on.
    ///
    /// # Errors
    /// Those of [`Store::renew_lock`].
    pub fn release_lock(&self, name: &str, fence: Fence) -> Result<()> {
        self.allow(Action::Write, None)?;
        self.transact(&mut |txn| {
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

    /// Refuses to write under a lease that has ended.
    pub(super) fn check_fence(&self, txn: &dyn Txn) -> Result<()> {
        let Some(fence) = self.fence else { return Ok(()) };
        match records::find::<Lease, _>(txn, &fence.key())? {
            Some(lease) if self.left(&lease).is_some() => Ok(()),
            _ => Err(ended(fence)),
        }
    }

    /// The lease of a lock that is held under this token.
    fn lease_of(&self, txn: &dyn Txn, name: &str, fence: Fence) -> Result<Lease> {
        let lease = records::find::<Lease, _>(txn, &fence.key())?;
        let lease = lease.filter(|lease| self.left(lease).is_some()).ok_or_else(|| ended(fence))?;
        if lease.lock == name {
            return Ok(lease);
        }
        let what = format!("the token {} is that of the lock {}", fence.0, shown(&lease.lock));
        Err(Error::new(ErrorKind::Conflict, what))
    }

    fn held<V: View + ?Sized>(&self, view: &V, name: &str) -> Result<Option<Lock>> {
        let Some(Holder { fence }) = records::find(view, name)? else { return Ok(None) };
        let lease = records::find::<Lease, _>(view, &Fence(fence).key())?;
        Ok(lease.and_then(|lease| self.told(Fence(fence), lease)))
    }

    /// A lease as others see it; none that has ended.
    fn told(&self, fence: Fence, lease: Lease) -> Option<Lock> {
        let (left, ends) = (self.left(&lease)?, lease.ends());
        let Lease { lock, owner, granted, .. } = lease;
        Some(Lock { name: lock, fence, owner, granted: Millis(granted), left, ends })
    }

    fn left(&self, lease: &Lease) -> Option<Duration> {
        self.clock.uptime().until(lease.ends())
    }

    /// Removes some of the leases that have ended, from another place each time: those of locks that nobody asks for again.
    fn sweep_leases(&self, txn: &mut dyn Txn, token: u64) -> Result<()> {
        let after = Fence(token.wrapping_mul(SPREAD) % token.max(1)).key();
        for (key, record) in txn.records(Catalog::Leases, &after, SWEPT)? {
            let lease: Lease = records::read(&record)?;
            if self.left(&lease).is_some() {
                continue;
            }
            txn.remove_record(Catalog::Leases, &key)?;
            let holder = records::find::<Holder, _>(txn, &lease.lock)?;
            if holder.map(|holder| Fence(holder.fence)) == Fence::of_key(&key) {
                txn.remove_record(Catalog::Locks, &lease.lock)?;
            }
        }
        Ok(())
    }
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

fn ended(fence: Fence) -> Error {
    let what =
        format!("nothing was written; the lease of the token {} was given back or has lapsed", fence.0);
    Error::new(ErrorKind::Conflict, what)
}
