//! Tokens: what programs and sessions show in place of a password.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::error::{Error, ErrorKind, Result};

/// Random bytes of the public and of the secret part.
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// What a token is for; it shows in its text, so that a lost one is recognised for what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ApiKey,
    Session,
}

impl Kind {
    fn mark(self) -> &'static str {
        match self {
            Self::ApiKey => "pdbk",
            Self::Session => "pdbs",
        }
    }
}

/// A new token: `mark_id_secret`, both in hexadecimal.
pub(super) struct Fresh {
    /// Names it, and is no secret.
    pub id: String,
    /// What is kept of it.
    pub digest: String,
    /// The token, to be shown once.
    pub text: SecretString,
}

impl Fresh {
    pub fn new(kind: Kind) -> Result<Self> {
        let (id, secret) = (random::<ID_BYTES>()?, random::<SECRET_BYTES>()?);
        Ok(Self { digest: digest(&secret), text: format!("{}_{id}_{secret}", kind.mark()).into(), id })
    }
}

/// The id of a token of this kind; `None` for what is none.
pub(super) fn id_of(kind: Kind, token: &SecretString) -> Option<&str> {
    parts(kind, token).map(|(id, _)| id)
}

/// Whether `kept` was kept of this token.
pub(super) fn is_kept_as(kind: Kind, token: &SecretString, kept: &str) -> bool {
    parts(kind, token).is_some_and(|(_, secret)| digest(secret).as_bytes().ct_eq(kept.as_bytes()).into())
}

fn parts(kind: Kind, token: &SecretString) -> Option<(&str, &str)> {
    token.expose_secret().strip_prefix(kind.mark())?.strip_prefix('_')?.split_once('_')
}

/// 256 random bits need no slow hash: nobody can try them all.
fn digest(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}

/// Random bytes, in hexadecimal.
pub(crate) fn random<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Io, format!("the system gives no random numbers; {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
