//! Values as they are kept: compressed, sealed under a data key, or as they are; and data keys as they are kept.
//!
//! That is envelope encryption: values are sealed under a data key, and the data key is wrapped for whoever may read
//! them (docs/design/0010-values-are-coded-by-the-store.md).

mod compress;
mod seal;
#[cfg_attr(not(feature = "age"), path = "no_age.rs")]
mod wrap;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

pub(crate) use self::compress::{compress, decompress};
pub(crate) use self::seal::DataKey;
pub(crate) use self::wrap::{lock_of, unwrap, wrap};

/// Whom a data key is wrapped for.
#[derive(Clone, Debug)]
pub enum Recipients {
    /// Those who have one of the identities that belong to these age recipients (`age1…`).
    Age(Vec<String>),
    /// Those who know a passphrase.
    Passphrase(SecretString),
}

/// What unwraps a data key.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The text of an age identity file: lines `AGE-SECRET-KEY-1…`.
    Identities(SecretString),
    /// A passphrase.
    Passphrase(SecretString),
}

impl Secret {
    /// What it unwraps.
    pub fn lock(&self) -> Lock {
        match self {
            Self::Identities(_) => Lock::Identity,
            Self::Passphrase(_) => Lock::Passphrase,
        }
    }

    /// Whether it is the same as another one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let text = |secret: &Self| match secret {
            Self::Identities(text) | Self::Passphrase(text) => text.clone(),
        };
        self.lock() == other.lock() && text(self).expose_secret() == text(other).expose_secret()
    }
}

/// What kind of [`Secret`] a wrapped data key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// An age identity.
    Identity,
    /// A passphrase.
    Passphrase,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "an age identity",
            Self::Passphrase => "a passphrase",
        })
    }
}

/// Finds the recipients that the identities of a file stand for.
///
/// # Errors
/// [`crate::ErrorKind::Invalid`] for a text without identities.
pub use self::wrap::recipients_of;

/// Whole files encrypted as age files, which the `age` program can open and make too.
pub use self::wrap::{Opener, Sealer, open_stream, seal_stream};
