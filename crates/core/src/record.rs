//! What is stored: a value, and the head that says when it was written, by whom, and how long it lives.

use std::fmt;

use crate::clock::Millis;

/// The state a write left behind: 1 for the first write of a database, and greater for each later one.
///
/// An entry's version is the version of the write that made it, so that no two states of an entry ever share one, not
/// even across a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All that is known of an entry besides its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The write that made this state.
    pub version: Version,
    /// When the entry came into being.
    pub created: Millis,
    /// When it was last written.
    pub updated: Millis,
    /// When it is gone; `None` is never.
    pub expires: Option<Millis>,
    /// Who wrote it last, where that was said.
    pub writer: Option<String>,
    /// Its place in the order of eviction, the lowest first; only in caches with limits.
    pub rank: Option<u64>,
    /// Length of the value in bytes.
    pub size: u64,
}

impl Head {
    /// Whether the entry is there at `now`: it is gone from the millisecond it expires at.
    pub fn visible_at(&self, now: Millis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// An entry: its head and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// All but the value.
    pub head: Head,
    /// The bytes that were stored.
    pub value: Vec<u8>,
}
