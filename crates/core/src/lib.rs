//! The store behind `prontodb`, as a library.
//!
//! The parts, from the bottom up; each knows only those above it in this list:
//! - [`address`], [`record`], [`clock`], [`error`]: plain data and the rules of names and time.
//! - [`coding`]: values compressed and sealed, and the keys for it.
//! - [`engine`]: what keeps the data. [`engine::sqlite`] for files, [`engine::memory`] for none.
//! - [`store`]: reading and writing under the rules of caches, expiry and conditions. Start at [`Store`].
//! - [`auth`]: who may do what; users, API keys, sessions, grants.
//! - [`stream`]: the text form of many writes, as grammar alone.
//! - [`transfer`]: entries as files, and back.
//! - [`json`] and [`glob`]: canonical JSON for values, patterns for keys. [`metakeys`]: named attributes of keys.
//!
//! The crate reads no environment, prints nothing, and needs no async runtime.

pub mod address;
pub mod auth;
pub mod clock;
pub mod coding;
pub mod engine;
pub mod error;
pub mod glob;
pub mod json;
pub mod metakeys;
pub mod record;
mod records;
pub mod store;
pub mod stream;
mod sys;
pub mod transfer;

pub use address::{Address, Delimiter, EntryName, Listing, Namespace, Notation};
pub use clock::{Clock, ManualClock, Millis, SystemClock, Ttl, Uptime};
pub use error::{Error, ErrorKind, Obstacle, Result};
pub use metakeys::Metakeys;
pub use record::{Coding, Deed, Head, Past, Record, Version};
pub use store::Store;
pub use sys::{Ending, Endings, HowToEnd};
