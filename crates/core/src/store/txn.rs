//! Several steps as one: all of them where what was expected is there, else none.

use serde::{Deserialize, Serialize};

use super::change::{Condition, CopyOptions, SetOptions, Writer};
use super::{Answer, Found, Request, Ruling, Store};
use crate::address::Address;
use crate::auth::Action;
use crate::clock::Ttl;
use crate::engine::View;
use crate::error::{Error, ErrorKind, Obstacle, Result};
use crate::record::{Record, Version};

/// The most checks and steps of a transaction, all together: others wait as long as it takes.
pub const MAX_STEPS: usize = 10_000;

/// What is done at once, and on what conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What has to be true.
    pub checks: Vec<Check>,
    /// What is done then.
    pub then: Vec<Step>,
    /// What is read otherwise.
    pub otherwise: Vec<Address>,
}

/// What has to be true of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Which entry.
    pub address: Address,
    /// What of it.
    pub condition: Condition,
}

/// Something that a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sets an entry.
    Set {
        /// Which one.
        address: Address,
        /// Its value.
        value: Vec<u8>,
        /// How long it lives, in a cache.
        ttl: Option<Ttl>,
    },
    /// Removes an entry, if it is there.
    Delete(Address),
    /// Adds to a number, 0 where there is none.
    Increment {
        /// Which one.
        address: Address,
        /// How much.
        by: i64,
    },
    /// Adds to the end of a value, an empty one where there is none.
    Append {
        /// Which one.
        address: Address,
        /// What.
        value: Vec<u8>,
    },
    /// Counts as a write of an entry, which has to be there.
    Touch {
        /// Which one.
        address: Address,
        /// How long it lives from now on, in a cache.
        ttl: Option<Ttl>,
    },
    /// Reads an entry as the steps before have left it.
    Get(Address),
    /// Copies an entry, which has to be there.
    Copy {
        /// Which one.
        from: Address,
        /// Where to.
        to: Address,
    },
    /// Moves an entry, which has to be there.
    Rename {
        /// Which one.
        from: Address,
        /// Where to.
        to: Address,
    },
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepAnswer {
    /// The version that a write has made.
    Written(Version),
    /// Whether there was something to remove.
    Removed(bool),
    /// The sum.
    Sum(i64),
    /// What was read.
    Got(Option<Record>),
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transacted {
    /// All of it is done.
    Done {
        /// The version of the last write by then.
        revision: Version,
        /// What came of each step.
        then: Vec<StepAnswer>,
    },
    /// Nothing is done, for not all was as it was expected.
    Refused {
        /// The version of the last write by then.
        revision: Version,
        /// What was not.
        failed: Vec<Failed>,
        /// What was to be read.
        otherwise: Vec<Option<Record>>,
    },
    /// Nothing is done, for the step of this number needs an entry that is not there.
    Missing {
        /// The version of the last write by then.
        revision: Version,
        /// Which one, from 0.
        step: usize,
    },
}

impl Answer for Transacted {
    fn ruling(&self) -> Ruling {
        if matches!(self, Self::Done { .. }) { Ruling::Done } else { Ruling::Refused }
    }
}

/// A check that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Which one, from 0.
    pub check: usize,
    /// The version of what is there; `None` for no entry.
    pub version: Option<Version>,
}

impl Store {
    /// Makes all steps at once if all checks hold, and else none. What only reads takes no turn among writers.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for more than [`MAX_STEPS`], or more to be read than one value may have; otherwise those of the steps, which say which one
    /// it was, and of [`Store::write_once`].
    pub fn transaction(&self, transaction: &Transaction) -> Result<Transacted> {
        let Transaction { checks, then, otherwise } = transaction;
        let count = checks.len() + then.len() + otherwise.len();
        if count > MAX_STEPS {
            let what = format!("the transaction has {count} checks and steps; there may be {MAX_STEPS}");
            return Err(Error::new(ErrorKind::Limit, what));
        }
        match transaction.gets() {
            Some(gets) if !self.has_op() => self.look_only(transaction, &gets),
            _ => self.write_once(&|request| transaction.describe(request), |writer| transaction.run(writer)),
        }
    }

    /// Runs a transaction that reads alone.
    fn look_only(&self, transaction: &Transaction, gets: &[&Address]) -> Result<Transacted> {
        let Transaction { checks, otherwise, .. } = transaction;
        let read = checks.iter().map(|check| &check.address).chain(gets.iter().copied()).chain(otherwise);
        read.map(|address| &address.namespace).try_for_each(|place| self.allow(Action::Read, Some(place)))?;
        let (mut found, mut answer) = (Vec::new(), None);
        self.read(&mut |view| {
            found.clear();
            let failed = failed(checks, |address| Ok(self.seen(view, address)?.into_visible()))?;
            let wanted = if failed.is_empty() { gets.to_vec() } else { otherwise.iter().collect() };
            let mut read = Reading::within(self.max_value_bytes);
            for address in wanted {
                let seen = self.seen(view, address)?;
                read.add(seen.entry.as_ref().filter(|_| seen.visible))?;
                found.push(seen);
            }
            let revision = view.revision()?;
            answer = Some((revision, failed));
            Ok(())
        })?;
        self.note_reads(&found);
        let (revision, failed) =
            answer.ok_or_else(|| Error::new(ErrorKind::Io, "the engine did not show the data"))?;
        let got = found.into_iter().map(Found::into_visible);
        Ok(match failed.is_empty() {
            true => Transacted::Done { revision, then: got.map(StepAnswer::Got).collect() },
            false => Transacted::Refused { revision, failed, otherwise: got.collect() },
        })
    }

    fn seen<'a>(&self, view: &dyn View, address: &'a Address) -> Result<Found<'a, Record>> {
        let (space, now) = (view.space(&address.namespace)?, self.now());
        let entry = match &space {
            Some(space) => self.coder.record(view, space, address.name.as_str(), Some(now))?,
            None => None,
        };
        let visible = entry.as_ref().is_some_and(|entry| entry.head.visible_at(now));
        Ok(Found { address, space, entry, visible })
    }
}

impl Transaction {
    /// What is read, where nothing else is done.
    fn gets(&self) -> Option<Vec<&Address>> {
        let gets = self.then.iter().map(|step| match step {
            Step::Get(address) => Some(address),
            _ => None,
        });
        gets.collect()
    }

    fn describe(&self, request: &mut Request) {
        let Self { checks, then, otherwise } = self;
        request.text("txn").answers_with_values();
        for Check { address, condition } in checks {
            request.text("if").reads(address).condition(condition);
        }
        for step in then {
            step.describe(request);
        }
        for address in otherwise {
            request.text("else").reads(address);
        }
    }

    fn run(&self, writer: &mut Writer<'_>) -> Result<Transacted> {
        let failed = failed(&self.checks, |address| writer.get(address))?;
        let mut read = Reading::within(writer.max_value_bytes());
        if !failed.is_empty() {
            let mut otherwise = Vec::with_capacity(self.otherwise.len());
            for address in &self.otherwise {
                otherwise.push(read.add(writer.get(address)?)?);
            }
            return Ok(Transacted::Refused { revision: writer.revision()?, failed, otherwise });
        }
        let mut then = Vec::with_capacity(self.then.len());
        for (number, step) in self.then.iter().enumerate() {
            let made = step.make(writer, &mut read);
            match made.map_err(|error| error.at(format_args!("then[{number}]")))? {
                Some(answer) => then.push(answer),
                None => return Ok(Transacted::Missing { revision: writer.revision()?, step: number }),
            }
        }
        Ok(Transacted::Done { revision: writer.revision()?, then })
    }
}

impl Step {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Set { .. } => "set",
            Self::Delete(_) => "del",
            Self::Increment { .. } => "incr",
            Self::Append { .. } => "append",
            Self::Touch { .. } => "touch",
            Self::Get(_) => "get",
            Self::Copy { .. } => "copy",
            Self::Rename { .. } => "rename",
        }
    }

    /// The entry that it is about, or that it begins with.
    pub fn address(&self) -> &Address {
        match self {
            Self::Delete(address) | Self::Get(address) => address,
            Self::Set { address, .. } | Self::Increment { address, .. } => address,
            Self::Append { address, .. } | Self::Touch { address, .. } => address,
            Self::Copy { from, .. } | Self::Rename { from, .. } => from,
        }
    }

    fn describe(&self, request: &mut Request) {
        request.text(self.name());
        match self {
            Self::Set { address, value, ttl } => request.changes(address).value(value).ttl(*ttl),
            Self::Delete(address) => request.changes(address),
            Self::Increment { address, by } => request.changes(address).number(*by),
            Self::Append { address, value } => request.changes(address).value(value),
            Self::Touch { address, ttl } => request.changes(address).ttl(*ttl),
            Self::Get(address) => request.reads(address),
            Self::Copy { from, to } => request.reads(from).changes(to),
            Self::Rename { from, to } => request.changes(from).changes(to),
        };
    }

    /// Does it; `None` where what it needs is not there.
    fn make(&self, writer: &mut Writer<'_>, read: &mut Reading) -> Result<Option<StepAnswer>> {
        Ok(Some(match self {
            Self::Set { address, value, ttl } => {
                let options = SetOptions { ttl: *ttl, ..SetOptions::default() };
                StepAnswer::Written(writer.set(address, value, &options)?.version)
            }
            Self::Delete(address) => StepAnswer::Removed(writer.delete(address, &Condition::default())?),
            Self::Increment { address, by } => StepAnswer::Sum(writer.increment(address, *by)?),
            Self::Append { address, value } => StepAnswer::Written(writer.append(address, value)?),
            Self::Get(address) => StepAnswer::Got(read.add(writer.get(address)?)?),
            Self::Touch { address, ttl } => return Ok(writer.touch(address, *ttl)?.map(StepAnswer::Written)),
            Self::Copy { from, to } => {
                return Ok(writer.copy(from, to, CopyOptions::default())?.map(StepAnswer::Written));
            }
            Self::Rename { from, to } => {
                let options = CopyOptions { move_source: true, ..CopyOptions::default() };
                return Ok(writer.copy(from, to, options)?.map(StepAnswer::Written));
            }
        }))
    }
}

/// The checks that do not hold of what `get` finds.
fn failed(checks: &[Check], mut get: impl FnMut(&Address) -> Result<Option<Record>>) -> Result<Vec<Failed>> {
    let mut failed = Vec::new();
    for (check, Check { address, condition }) in checks.iter().enumerate() {
        let found = get(address).map_err(|error| error.at(format_args!("if[{check}]")))?;
        if !condition.holds(found.as_ref().map(|record| &record.head), found.as_ref()) {
            failed.push(Failed { check, version: found.map(|record| record.head.version) });
        }
    }
    Ok(failed)
}

/// How much of what was read may still come: all of it is in memory at once.
struct Reading {
    limit: u64,
    left: u64,
}

impl Reading {
    fn within(limit: u64) -> Self {
        Self { limit, left: limit }
    }

    fn add<R: std::borrow::Borrow<Record>>(&mut self, record: Option<R>) -> Result<Option<R>> {
        let size = record.as_ref().map_or(0, |record| record.borrow().head.size);
        let Some(left) = self.left.checked_sub(size) else {
            let what = format!("what is to be read has more than {} bytes (max_value_bytes)", self.limit);
            return Err(Error::new(ErrorKind::Limit, what).met(Obstacle::MaxValueBytes));
        };
        self.left = left;
        Ok(record)
    }
}
