//! In place of `wrap.rs` in builds without the feature `age`: no data key is made, and none can be read.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::marker::PhantomData;

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

/// What would be encrypted; there is none.
pub struct Sealer<W: Write>(Infallible, PhantomData<W>);

impl<W: Write> Sealer<W> {
    /// Writes the end.
    ///
    /// # Errors
    /// None: there is no value of this type.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {}
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}

/// Begins an age file.
///
/// # Errors
/// Always [`ErrorKind::Unsupported`]: this build has no age.
pub fn seal_stream<W: Write>(_: W, _: &Recipients) -> Result<Sealer<W>> {
    Err(no_age())
}

/// What an age file would hold; there is none.
pub struct Opener<R: Read>(Infallible, PhantomData<R>);

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

/// Begins to read an age file.
///
/// # Errors
/// Always [`ErrorKind::Unsupported`]: this build has no age.
pub fn open_stream<R: Read>(_: R, _: &dyn Fn(Lock) -> Result<Secret>) -> Result<Opener<R>> {
    Err(no_age())
}

fn no_age() -> Error {
    Error::new(ErrorKind::Unsupported, "this build of prontodb has no encryption (feature `age`)")
}
