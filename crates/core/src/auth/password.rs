//! Passwords: what is kept of them, and how they are checked.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::error::{Error, ErrorKind, Result};

/// The longest password, in bytes: what is hashed is held in memory.
const MAX_BYTES: usize = 1024;
/// The most that a check may cost, whatever the file says: anybody may have made it.
const MAX_KIBIBYTES: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
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
    check(password)?;
    let hashed = Argon2::default().hash_password(password.expose_secret().as_bytes());
    hashed.map(|hash| hash.to_string()).map_err(|error| failed(&error.to_string()))
}

/// Checks that a password can be one.
///
/// # Errors
/// [`ErrorKind::Invalid`] for one that is empty or longer than 1,024 bytes.
pub fn check(password: &SecretString) -> Result<()> {
    match password.expose_secret().len() {
        0 => Err(Error::new(ErrorKind::Invalid, "the password is empty")),
        1..=MAX_BYTES => Ok(()),
        length => {
            let what = format!("the password is {length} bytes long; at most {MAX_BYTES} are allowed");
            Err(Error::new(ErrorKind::Invalid, what))
        }
    }
}

/// Whether `password` is the one of which `kept` was kept; the check takes as long where nothing is kept.
///
/// # Errors
/// [`ErrorKind::Damaged`] for what this program has not kept: no hash at all, or one that would cost too much.
pub(super) fn verify(password: &SecretString, kept: Option<&str>) -> Result<bool> {
    let damaged = |why: &str| Error::new(ErrorKind::Damaged, format!("what is kept of a password {why}"));
    let hash = PasswordHash::new(kept.unwrap_or(NOBODY)).map_err(|_| damaged("cannot be read"))?;
    let params = Params::try_from(&hash).map_err(|_| damaged("cannot be read"))?;
    if params.m_cost() > MAX_KIBIBYTES || params.t_cost() > MAX_PASSES || params.p_cost() > MAX_LANES {
        return Err(damaged("asks for more memory or time than any check takes"));
    }
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
    fn what_a_check_may_cost_has_an_end() {
        let tail = "$c29tZXNhbHRzb21lc2FsdA$Y2xvY2tzdGlja3RvY2tjbG9ja3N0aWNrdG9ja2Nsb2Nr";
        for params in
            ["m=262145,t=2,p=1", "m=19456,t=17,p=1", "m=19456,t=1,p=17", "m=4294967295,t=4294967295,p=1"]
        {
            let kept = format!("$argon2id$v=19${params}{tail}");
            let error = verify(&SecretString::from("x"), Some(&kept)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{params}");
        }
        assert!(
            !verify(&SecretString::from("x"), Some(&format!("$argon2id$v=19$m=128,t=16,p=16{tail}")))
                .unwrap()
        );
        for kept in
            ["", "x", "$argon2id$v=19$m=x,t=1,p=1$a$b", "$scrypt$ln=99,r=8,p=1$c29tZXNhbHQ$c29tZXNhbHQ"]
        {
            let error = verify(&SecretString::from("x"), Some(kept)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{kept}");
        }
    }

    #[test]
    fn passwords_have_a_length() {
        for password in [String::new(), "x".repeat(1025)] {
            assert_eq!(hash(&SecretString::from(password)).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
