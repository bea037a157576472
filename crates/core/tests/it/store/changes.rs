//! Changes as data, so that random ones can be made.

use prontodb_core::store::{Condition, CopyOptions, SetOptions, Writer, Written};
use prontodb_core::{Address, Result, Ttl, Version};

/// One change of a transaction.
#[derive(Clone, Debug)]
pub enum Change {
    Set { at: Address, value: Vec<u8>, options: SetOptions },
    Delete { at: Address, condition: Condition },
    Increment { at: Address, by: i64 },
    Append { at: Address, tail: Vec<u8> },
    Touch { at: Address, ttl: Option<Ttl> },
    Copy { from: Address, to: Address, options: CopyOptions },
    SetMetakey { at: Address, name: &'static str, value: &'static str },
    RemoveMetakeys { at: Address, names: Vec<&'static str> },
}

/// What a change answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Written(Written),
    Removed(bool),
    Sum(i64),
    Version(Option<Version>),
    Missing(Option<Vec<String>>),
}

impl Change {
    /// Makes it in a transaction of the store.
    pub fn make(&self, writer: &mut Writer<'_>) -> Result<Answer> {
        Ok(match self {
            Self::Set { at, value, options } => Answer::Written(writer.set(at, value, options)?),
            Self::Delete { at, condition } => Answer::Removed(writer.delete(at, condition)?),
            Self::Increment { at, by } => Answer::Sum(writer.increment(at, *by)?),
            Self::Append { at, tail } => Answer::Version(Some(writer.append(at, tail)?)),
            Self::Touch { at, ttl } => Answer::Version(writer.touch(at, *ttl)?),
            Self::Copy { from, to, options } => Answer::Version(writer.copy(from, to, *options)?),
            Self::SetMetakey { at, name, value } => Answer::Version(writer.set_metakey(at, name, value)?),
            Self::RemoveMetakeys { at, names } => Answer::Missing(writer.remove_metakeys(at, names)?),
        })
    }
}
