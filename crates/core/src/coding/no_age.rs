//! In place of `wrap.rs` in builds without the feature `age`: no data key is made, and none can be read.

use secrecy::SecretString;

use super::{DataKey, Lock, Recipients, Secret};
use crate::error::{Error, ErrorKind, Result};

pub(crate) fn wrap(_: &DataKey, _: &Recipients) -> Result<String> {
    Err(no_age())
}

pub(crate) fn lock_of(_: &str) -> Result<Lock> {
    Err(no_age())
}

pub(crate) fn unwrap(_: &str, _: &Secret) -> Result<DataKey> {
    Err(no_age())
}

/// The recipients that the identities of an identity file stand for.
///
/// # Errors
/// Always [`ErrorKind::Unsupported`]: this build has no age.
pub fn recipients_of(_: &SecretString) -> Result<Vec<String>> {
    Err(no_age())
}

fn no_age() -> Error {
    Error::new(ErrorKind::Unsupported, "this build of prontodb has no encryption (feature `age`)")
}
