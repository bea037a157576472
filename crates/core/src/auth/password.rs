//! Passwords: what is kept of them, and how they are checked.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::error::{Error, ErrorKind, Result};

/// The longest password, in bytes: what is hashed is held in memory.
const MAX_BYTES: usize = 1024;
/// Checked where there is no such user, so that the time an answer takes does not tell. The password is not known to
/// anybody: it was 32 random bytes.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$Y2xvY2tzdGlja3RvY2tjbG9ja3N0aWNrdG9ja2Nsb2Nr";

/// What is kept of a password: argon2id (RFC 9106) with 19 MiB, 2 passes and 1 lane, the first choice of OWASP's Password
/// Storage Cheat Sheet, as a PHC string with a salt of its own.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a password that is empty or longer than 1,024 bytes.
pub(super) fn hash(password: &SecretString) -> Result<String> {
    let bytes = password.expose_secret().as_bytes();
    if bytes.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "the password is empty"));
    }
    if bytes.len() > MAX_BYTES {
        let what = format!("the password is {} bytes long; at most {MAX_BYTES} are allowed", bytes.len());
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    let hashed = Argon2::default().hash_password(bytes);
    hashed.map(|hash| hash.to_string()).map_err(|error| failed(&error.to_string()))
}

/// Whether `password` is the one of which `kept` was kept; the check takes as long where nothing is kept.
pub(super) fn verify(password: &SecretString, kept: Option<&str>) -> Result<bool> {
    let hash = PasswordHash::new(kept.unwrap_or(NOBODY));
    let hash =
        hash.map_err(|_| Error::new(ErrorKind::Damaged, "what is kept of a password cannot be read"))?;
    let verified = Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash);
    Ok(verified.is_ok() && kept.is_some())
}

/// Whether two secrets are the same, in a time that depends on their lengths alone.
pub(super) fn are_equal(a: &SecretString, b: &SecretString) -> bool {
    a.expose_secret().as_bytes().ct_eq(b.expose_secret().as_bytes()).into()
}

fn failed(why: &str) -> Error {
    Error::new(ErrorKind::Io, format!("the password cannot be hashed; {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again() {
        let (right, wrong) = (SecretString::from("pass word"), SecretString::from("pass word "));
        let kept = hash(&right).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(hash(&right).unwrap(), kept, "the salt is another");
        assert!(verify(&right, Some(&kept)).unwrap());
        assert!(!verify(&wrong, Some(&kept)).unwrap());
        assert!(!verify(&right, None).unwrap());
    }

    #[test]
    fn passwords_have_a_length() {
        for password in [String::new(), "x".repeat(1025)] {
            assert_eq!(hash(&SecretString::from(password)).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
