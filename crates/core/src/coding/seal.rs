//! Sealing with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): nobody without the key reads or changes what is sealed.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretBox};

use crate::error::{Error, ErrorKind, Result};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes of a nonce, long enough to be drawn at random for each value.
const NONCE_BYTES: usize = 24;

/// What the values of a namespace are sealed under.
pub(crate) struct DataKey(SecretBox<[u8; KEY_BYTES]>);

impl DataKey {
    /// A key that nobody has ever had.
    pub(crate) fn generate() -> Result<Self> {
        let mut key = Box::new([0; KEY_BYTES]);
        getrandom::fill(key.as_mut_slice()).map_err(no_randomness)?;
        Ok(Self(SecretBox::new(key)))
    }

    /// A key from its bytes; `None` when they are too few or too many.
    #[cfg_attr(not(feature = "age"), expect(dead_code, reason = "nothing else unwraps keys"))]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key: [u8; KEY_BYTES] = bytes.try_into().ok()?;
        Some(Self(SecretBox::new(Box::new(key))))
    }

    /// The bytes of the key.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// Seals `plain`, which can then be opened with the same `about` alone: nonce, ciphertext, tag.
    pub(crate) fn seal(&self, about: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(no_randomness)?;
        let sealed = self.cipher().encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: about });
        let sealed =
            sealed.map_err(|_| Error::new(ErrorKind::Limit, "the value is too large to be sealed"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when it was sealed under another key or about something else, or has been changed.
    pub(crate) fn open(&self, about: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        let damaged = || Error::new(ErrorKind::Damaged, "a sealed value has been changed, or moved");
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
        let opened = self.cipher().decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: about });
        opened.map_err(|_| damaged())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(Key::from_slice(self.expose()))
    }
}

fn no_randomness(error: getrandom::Error) -> Error {
    Error::new(ErrorKind::Io, "the system gives no random bytes").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_place_alone() {
        let (key, other) = (DataKey::generate().unwrap(), DataKey::generate().unwrap());
        for value in [b"".as_slice(), b"value", &[7; 100_000]] {
            let sealed = key.seal(b"here", value).unwrap();
            assert_eq!(sealed.len(), value.len() + NONCE_BYTES + 16);
            assert_eq!(key.open(b"here", &sealed).unwrap(), value);
            assert!(key.open(b"there", &sealed).is_err());
            assert!(other.open(b"here", &sealed).is_err());
        }
    }

    #[test]
    fn nothing_of_it_can_be_changed() {
        let key = DataKey::generate().unwrap();
        let sealed = key.seal(b"", b"value").unwrap();
        for at in 0..sealed.len() {
            let mut broken = sealed.clone();
            broken[at] ^= 1;
            assert!(key.open(b"", &broken).is_err_and(|error| error.kind() == ErrorKind::Damaged));
            assert!(key.open(b"", &sealed[..at]).is_err());
        }
    }

    #[test]
    fn no_value_is_sealed_the_same_twice() {
        let key = DataKey::generate().unwrap();
        assert_ne!(key.seal(b"", b"value").unwrap(), key.seal(b"", b"value").unwrap());
    }
}
