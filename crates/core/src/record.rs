//! What is stored: a value, and the head that says when it was written, by whom, and how long it lives.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::metakeys::Metakeys;

/// The state a write left behind: 1 for the first write of a database, and greater for each later one.
///
/// An entry's version is the version of the write that made it, so that no two states of an entry ever share one, not
/// even across a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How the bytes that are kept make a value: as they are, or compressed, or sealed under a data key, or first the one
/// and then the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Coding(u64);

impl Coding {
    /// The bytes are the value.
    pub const PLAIN: Self = Self(0);

    /// Compressed or not, and sealed under the data key of a number or under none.
    pub fn new(is_compressed: bool, key: Option<u64>) -> Self {
        Self(key.unwrap_or(0) << 1 | u64::from(is_compressed))
    }

    /// Whether the bytes are the value.
    pub fn is_plain(self) -> bool {
        self == Self::PLAIN
    }

    /// Whether what was sealed, or is kept, is compressed.
    pub fn is_compressed(self) -> bool {
        self.0 & 1 == 1
    }

    /// The number of the data key that the bytes are sealed under.
    pub fn key(self) -> Option<u64> {
        Some(self.0 >> 1).filter(|key| *key > 0)
    }

    /// As the number that engines keep: the data key's, doubled, and one more for compressed bytes.
    pub fn number(self) -> u64 {
        self.0
    }

    /// From the number that engines keep.
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// All that is known of an entry besides its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How the value that comes with it is written; what a store answers is always plain.
    pub coding: Coding,
    /// Named attributes of the key, where it has any.
    pub metakeys: Option<Metakeys>,
}

impl Head {
    /// Whether the entry is there at `now`: it is gone from the millisecond it expires at.
    pub fn visible_at(&self, now: Millis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// The head of the value itself, however that is kept.
    pub(crate) fn of_plain(self) -> Self {
        Self { coding: Coding::PLAIN, ..self }
    }
}

/// An entry: its head and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// All but the value.
    pub head: Head,
    /// The bytes that were stored.
    #[serde(with = "crate::records::base64_text")]
    pub value: Vec<u8>,
}

/// What a change did to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Nothing: the entry was there before its history began.
    Found,
    /// It came into being.
    Created,
    /// It got another value.
    Set,
    /// It got other metakeys, or its time anew; its value stayed.
    Touched,
    /// It was removed.
    Deleted,
    /// It had to leave a cache that was full.
    Evicted,
}

impl Deed {
    /// Every deed.
    pub const ALL: [Self; 6] =
        [Self::Found, Self::Created, Self::Set, Self::Touched, Self::Deleted, Self::Evicted];

    /// The word for it, in listings and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Created => "created",
            Self::Set => "set",
            Self::Touched => "touched",
            Self::Deleted => "deleted",
            Self::Evicted => "evicted",
        }
    }

    /// Whether the entry was gone after it.
    pub fn is_removal(self) -> bool {
        matches!(self, Self::Deleted | Self::Evicted)
    }
}

/// A version of an entry as its history keeps it, but for the value: what a change made of it, who made that change, when
/// and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The name of the entry.
    pub name: String,
    /// What the change did.
    pub deed: Deed,
    /// The head that the entry had from then on, with who made the change as its writer and when as its last write. Of a
    /// removal: who and when, and no value.
    pub head: Head,
    /// When it was no more: replaced, removed or expired, or the moment it expires at; `None` as long as it is there and
    /// nothing ends it. A removal ends at once.
    pub ended: Option<Millis>,
    /// Why the change was made, if that was said.
    pub reason: Option<String>,
}

impl Past {
    /// Its place in the history of a namespace.
    pub fn place(&self) -> (Version, String) {
        (self.head.version, self.name.clone())
    }
}
