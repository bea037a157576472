//! The one error that store and engines speak.

use std::error::Error as StdError;
use std::fmt;

use crate::address::Namespace;

/// What kind of thing went wrong; decides exit codes and whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request makes no sense: a bad name, a value that is no number.
    Invalid,
    /// A time to live where the namespace keeps none.
    NoTtl,
    /// What it takes is not there, or no longer kept.
    Missing,
    /// A condition of the write was not met; nothing was written.
    Conflict,
    /// Changes that were asked for are not kept, or not any more.
    Missed,
    /// Somebody else held the database for longer than the timeout.
    Busy,
    /// The system does not allow it.
    Denied,
    /// Over a limit: of a value's size, or of a cache's bytes.
    Limit,
    /// The file is damaged, or is no database at all.
    Damaged,
    /// There is no database at this place.
    NoDatabase,
    /// A file of another program, or of a later version of this one.
    Foreign,
    /// Surroundings that would corrupt data: an old SQLite, a network file system.
    Unsupported,
    /// The disk is full.
    NoSpace,
    /// Reading or writing failed otherwise.
    Io,
}

/// What stood in the way, where there is something to be done about it that the kind of error does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The namespace keeps no history.
    NoHistory(Namespace),
    /// The limit of how long a value may be.
    MaxValueBytes,
    /// The file of the database was moved or replaced meanwhile.
    Replaced,
    /// The file system, whose locks do not hold.
    FileSystem,
}

/// A failed request: its kind, what was being done to what, and the cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    is_placed: bool,
    obstacle: Option<Obstacle>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What fallible functions of the store return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; `what` says what was being done to what, as a phrase without a full stop.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), is_placed: false, obstacle: None, source: None }
    }

    /// Keeps the cause.
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says what stood in the way.
    #[must_use]
    pub fn met(mut self, obstacle: Obstacle) -> Self {
        self.obstacle = Some(obstacle);
        self
    }

    /// Says first where in its source the thing stands that it is about, unless that has been said.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        if !self.is_placed {
            self.what = format!("{place}: {}", self.what);
            self.is_placed = true;
        }
        self
    }

    /// Says something more behind it.
    #[must_use]
    pub fn and(mut self, more: impl fmt::Display) -> Self {
        self.what = format!("{}; {more}", self.what);
        self
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What stood in the way, if there is something to be done about it.
    pub fn obstacle(&self) -> Option<&Obstacle> {
        self.obstacle.as_ref()
    }

    /// Whether the same request may succeed later without any change to it.
    pub fn is_retryable(&self) -> bool {
        self.kind == ErrorKind::Busy
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

impl From<crate::address::AddressError> for Error {
    fn from(e: crate::address::AddressError) -> Self {
        Self::new(ErrorKind::Invalid, e.to_string())
    }
}

impl From<crate::clock::TtlError> for Error {
    fn from(e: crate::clock::TtlError) -> Self {
        Self::new(ErrorKind::Invalid, e.to_string())
    }
}
