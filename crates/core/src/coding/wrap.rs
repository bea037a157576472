//! Data keys wrapped as age files (<https://age-encryption.org/v1>), which the `age` program can open too.

use std::io::{self, BufReader, Read, Write};
use std::iter;
use std::str::FromStr;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use secrecy::{ExposeSecret, SecretString};

use super::{DataKey, Lock, Recipients, Secret};
use crate::auth::shown;
use crate::error::{Error, ErrorKind, Result};

/// N of scrypt is 2 to this: 128 MiB and a third of a second, as OWASP's Password Storage Cheat Sheet advises.
const WORK_FACTOR: u8 = 17;
/// The most work that a file may ask for: what a hostile one could cost.
const MAX_WORK_FACTOR: u8 = 20;

/// The key as an armored age file that `recipients` can open.
pub(crate) fn wrap(key: &DataKey, recipients: &Recipients) -> Result<String> {
    match recipients {
        Recipients::Passphrase(passphrase) => {
            let mut recipient = scrypt::Recipient::new(passphrase.clone());
            recipient.set_work_factor(WORK_FACTOR);
            encrypt(key, iter::once(&recipient as &dyn age::Recipient))
        }
        Recipients::Age(recipients) => {
            let recipients: Vec<_> = recipients.iter().map(|text| recipient(text)).collect::<Result<_>>()?;
            encrypt(key, recipients.iter().map(|recipient| recipient as &dyn age::Recipient))
        }
    }
}

/// What is written to it arrives encrypted; nothing can be read of it before [`Sealer::finish`].
pub struct Sealer<W: Write>(age::stream::StreamWriter<W>);

impl<W: Write> Sealer<W> {
    /// Writes the end.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Begins an age file for `recipients` on `to`.
///
/// # Errors
/// [`ErrorKind::Invalid`] for what is no recipient; [`ErrorKind::Io`] when `to` takes nothing.
pub fn seal_stream<W: Write>(to: W, recipients: &Recipients) -> Result<Sealer<W>> {
    let begin = |encryptor: Result<Encryptor, age::EncryptError>| {
        let encryptor = encryptor
            .map_err(|e| Error::new(ErrorKind::Invalid, format!("nothing can be encrypted; {e}")))?;
        let writer = encryptor.wrap_output(to);
        writer.map(Sealer).map_err(|e| Error::new(ErrorKind::Io, "cannot write what is encrypted").because(e))
    };
    match recipients {
        Recipients::Passphrase(passphrase) => {
            let mut recipient = scrypt::Recipient::new(passphrase.clone());
            recipient.set_work_factor(WORK_FACTOR);
            begin(Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient)))
        }
        Recipients::Age(texts) => {
            let recipients: Vec<_> = texts.iter().map(|text| recipient(text)).collect::<Result<_>>()?;
            begin(Encryptor::with_recipients(
                recipients.iter().map(|recipient| recipient as &dyn age::Recipient),
            ))
        }
    }
}

/// What an age file holds, decrypted as it is read.
pub struct Opener<R: Read>(age::stream::StreamReader<ArmoredReader<BufReader<R>>>);

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Begins to read an age file with what `unlock` gives for it. That something has been changed or cut off shows as it is read:
/// an error of the kind [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`].
///
/// # Errors
/// Those of `unlock`; [`ErrorKind::Denied`] when that does not open it; [`ErrorKind::Damaged`] when nothing could.
pub fn open_stream<R: Read>(from: R, unlock: &dyn Fn(Lock) -> Result<Secret>) -> Result<Opener<R>> {
    let broken = |error: DecryptError| match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
            Error::new(ErrorKind::Denied, "the key or passphrase is not the one that it asks for")
        }
        error => Error::new(ErrorKind::Damaged, format!("its encryption cannot be read; {error}")),
    };
    let decryptor = Decryptor::new(ArmoredReader::new(from)).map_err(broken)?;
    let lock = if decryptor.is_scrypt() { Lock::Passphrase } else { Lock::Identity };
    let reader = match unlock(lock)? {
        Secret::Passphrase(passphrase) => {
            let mut identity = scrypt::Identity::new(passphrase);
            identity.set_max_work_factor(MAX_WORK_FACTOR);
            decryptor.decrypt(iter::once(&identity as &dyn age::Identity))
        }
        Secret::Identities(text) => {
            let identities =
                identities(&text).map_err(|error| Error::new(ErrorKind::Denied, error.to_string()))?;
            decryptor.decrypt(identities.iter().map(|identity| identity as &dyn age::Identity))
        }
    };
    reader.map(Opener).map_err(broken)
}

fn encrypt<'r>(key: &DataKey, recipients: impl Iterator<Item = &'r dyn age::Recipient>) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Invalid, format!("the data key cannot be wrapped; {error}"))
    };
    let mut wrapped = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut wrapped, Format::AsciiArmor).map_err(|e| failed(&e))?;
    let mut writer = Encryptor::with_recipients(recipients)
        .map_err(|e| failed(&e))?
        .wrap_output(armor)
        .map_err(|e| failed(&e))?;
    std::io::Write::write_all(&mut writer, key.expose()).map_err(|e| failed(&e))?;
    writer.finish().and_then(ArmoredWriter::finish).map_err(|e| failed(&e))?;
    String::from_utf8(wrapped).map_err(|e| failed(&e))
}

fn recipient(text: &str) -> Result<x25519::Recipient> {
    x25519::Recipient::from_str(text).map_err(|why| {
        Error::new(ErrorKind::Invalid, format!("`{}` is no age recipient; {why}", shown(text)))
    })
}

/// What kind of secret unwraps a key.
pub(crate) fn lock_of(wrapped: &str) -> Result<Lock> {
    Ok(if decryptor(wrapped)?.is_scrypt() { Lock::Passphrase } else { Lock::Identity })
}

/// The key that was wrapped.
///
/// # Errors
/// [`ErrorKind::Denied`] when the secret does not open it, [`ErrorKind::Damaged`] when nothing could.
pub(crate) fn unwrap(wrapped: &str, secret: &Secret) -> Result<DataKey> {
    match secret {
        Secret::Passphrase(passphrase) => {
            let mut identity = scrypt::Identity::new(passphrase.clone());
            identity.set_max_work_factor(MAX_WORK_FACTOR);
            decrypt(wrapped, iter::once(&identity as &dyn age::Identity))
        }
        Secret::Identities(text) => {
            let identities = identities(text);
            // Whoever has no identity may not read; why they have none makes no difference.
            let identities = identities.map_err(|error| Error::new(ErrorKind::Denied, error.to_string()))?;
            decrypt(wrapped, identities.iter().map(|identity| identity as &dyn age::Identity))
        }
    }
}

fn decrypt<'i>(wrapped: &str, identities: impl Iterator<Item = &'i dyn age::Identity>) -> Result<DataKey> {
    let mut reader = decryptor(wrapped)?.decrypt(identities).map_err(|error| match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
            Error::new(ErrorKind::Denied, "the key or passphrase is not the one that these values ask for")
        }
        error => damaged(&error),
    })?;
    let mut key = Vec::with_capacity(64);
    reader.by_ref().take(64).read_to_end(&mut key).map_err(|error| damaged(&error))?;
    let unwrapped = DataKey::from_bytes(&key);
    key.fill(0);
    unwrapped.ok_or_else(|| damaged(&"it has another length"))
}

fn decryptor(wrapped: &str) -> Result<Decryptor<ArmoredReader<BufReader<&[u8]>>>> {
    Decryptor::new(ArmoredReader::new(wrapped.as_bytes())).map_err(|error| damaged(&error))
}

fn damaged(why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Damaged, format!("a wrapped data key cannot be read; {why}"))
}

/// The recipients that the identities of an identity file stand for.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a text without identities.
pub fn recipients_of(identity_file: &SecretString) -> Result<Vec<String>> {
    Ok(identities(identity_file)?.iter().map(|identity| identity.to_public().to_string()).collect())
}

/// Reads the lines of an identity file that are neither blank nor comments. What stands in them is told to nobody.
fn identities(text: &SecretString) -> Result<Vec<x25519::Identity>> {
    let lines = text.expose_secret().lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let identities: Vec<_> = lines
        .map(|line| {
            line.parse().map_err(|_| {
                let what = "the age identity cannot be read; lines AGE-SECRET-KEY-1… are wanted, as age-keygen writes them";
                Error::new(ErrorKind::Invalid, what)
            })
        })
        .collect::<Result<_>>()?;
    if identities.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "there is no age identity in the file"));
    }
    Ok(identities)
}
