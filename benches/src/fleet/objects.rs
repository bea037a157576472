//! What registers, counters, locks and queues promise when they are used one operation at a time.

use std::collections::{BTreeMap, BTreeSet};

use todc_utils::specifications::Specification;

/// What was asked of an object, and what it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// The value and its version.
    Read(Option<(u64, u64)>),
    /// A value; the version it got.
    Write(u64, u64),
    /// A value, and the version that must be there; the version it got, none where another was there.
    WriteIf(u64, u64, Option<u64>),
    /// Whether something was there.
    Delete(bool),
    /// The sum after one more.
    Increment(u64),
    /// The token, none where somebody else had the lock.
    Acquire(Option<u64>),
    /// Its token; whether it was good.
    Release(u64, bool),
    /// The id of the item.
    Push(u64),
    /// Id and token, none where nothing was to be had.
    Claim(Option<(u64, u64)>),
    /// Its token; whether it was good.
    Ack(u64, bool),
}

/// One value that has a version, greater with each write.
pub(super) struct Register;

impl Specification for Register {
    /// Value and version, and the greatest version there has been.
    type State = (Option<(u64, u64)>, u64);
    type Operation = Operation;

    fn init() -> Self::State {
        (None, 0)
    }

    fn apply(operation: &Operation, state: &Self::State) -> (bool, Self::State) {
        let &(entry, last) = state;
        match *operation {
            Operation::Read(seen) => (seen == entry, *state),
            Operation::Write(value, version) if version > last => (true, (Some((value, version)), version)),
            Operation::WriteIf(value, wanted, Some(version)) => {
                let holds = entry.is_some_and(|(_, there)| there == wanted) && version > last;
                if holds { (true, (Some((value, version)), version)) } else { (false, *state) }
            }
            Operation::WriteIf(_, wanted, None) => (entry.is_none_or(|(_, there)| there != wanted), *state),
            Operation::Delete(was_there) if was_there == entry.is_some() => (true, (None, last)),
            _ => (false, *state),
        }
    }
}

/// A number that counts.
pub(super) struct Counter;

impl Specification for Counter {
    type State = u64;
    type Operation = Operation;

    fn init() -> u64 {
        0
    }

    fn apply(operation: &Operation, state: &u64) -> (bool, u64) {
        match *operation {
            Operation::Increment(sum) if sum == state + 1 => (true, sum),
            _ => (false, *state),
        }
    }
}

/// A lock whose leases do not end while it is watched.
pub(super) struct Lock;

impl Specification for Lock {
    /// The token of the holder, and the greatest there has been.
    type State = (Option<u64>, u64);
    type Operation = Operation;

    fn init() -> Self::State {
        (None, 0)
    }

    fn apply(operation: &Operation, state: &Self::State) -> (bool, Self::State) {
        let &(holder, last) = state;
        match *operation {
            Operation::Acquire(Some(token)) if holder.is_none() && token > last => {
                (true, (Some(token), token))
            }
            Operation::Acquire(None) => (holder.is_some(), *state),
            Operation::Release(token, true) if holder == Some(token) => (true, (None, last)),
            Operation::Release(token, false) => (holder != Some(token), *state),
            _ => (false, *state),
        }
    }
}

/// A queue of items of one priority, whose claims do not lapse while it is watched.
pub(super) struct Queue;

impl Specification for Queue {
    /// Items that are ready, and those that are claimed, by token.
    type State = (BTreeSet<u64>, BTreeMap<u64, u64>);
    type Operation = Operation;

    fn init() -> Self::State {
        Self::State::default()
    }

    fn apply(operation: &Operation, state: &Self::State) -> (bool, Self::State) {
        let (mut ready, mut claimed) = state.clone();
        let is_valid = match *operation {
            Operation::Push(id) => ready.insert(id),
            Operation::Claim(Some((id, token))) => {
                let is_first = ready.first() == Some(&id);
                ready.remove(&id);
                is_first && claimed.insert(token, id).is_none()
            }
            Operation::Claim(None) => ready.is_empty(),
            Operation::Ack(token, was_good) => claimed.remove(&token).is_some() == was_good,
            _ => false,
        };
        if is_valid { (true, (ready, claimed)) } else { (false, state.clone()) }
    }
}
