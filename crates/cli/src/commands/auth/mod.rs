//! `auth`: proving who somebody is.

pub mod login;
pub mod logout;
pub mod whoami;

use std::time::Duration;

use prontodb_core::Ttl;
use prontodb_core::auth::{Credentials, Identity};
use secrecy::ExposeSecret;

use crate::context::{Context, Session};
use crate::exit::Failure;
use crate::secret;

/// How long a session holds unless it is told otherwise.
const SESSION: Duration = Duration::from_secs(12 * 60 * 60);

/// Checks credentials, begins a session, and prints its token.
pub fn log_in(cx: &mut Context, credentials: &Credentials, ttl: Option<Ttl>) -> Result<(), Failure> {
    let store = cx.open_for_login()?;
    let identity = store.authenticate(credentials).map_err(|error| cx.with_hint(error.into()))?;
    warn_of_known_password(&store, &identity)?;
    let ttl = ttl.map_or_else(|| Ttl::from_millis(SESSION.as_millis() as u64), Ok);
    let ttl = ttl.map_err(prontodb_core::Error::from)?;
    let store = cx.open_to_write_as(Some(identity.clone()))?;
    let token = store.begin_session(&identity, ttl).map_err(|error| cx.with_hint(error.into()))?;
    cx.out.line(token.expose_secret());
    cx.out.flush()
}

/// Warns whoever logs in with the password that everybody knows.
pub fn warn_of_known_password(store: &Session, identity: &Identity) -> Result<(), Failure> {
    if store.has_known_password(&identity.name)? {
        secret::warn_of_known_password(&identity.name);
    }
    Ok(())
}
