//! `auth`: proving who somebody is.

pub mod login;
pub mod logout;
pub mod whoami;

use std::time::Duration;

use prontodb_core::auth::{Credentials, Identity, Role, shown};
use prontodb_core::{Error, Ttl};
use secrecy::{ExposeSecret, SecretString};

use crate::context::{Context, Session};
use crate::exit::Failure;
use crate::output::json::Object;
use crate::secret;

/// How long a session holds unless it is told otherwise.
const SESSION: Duration = Duration::from_secs(12 * 60 * 60);

/// Reads how long a token is to hold.
pub fn holds_for(time: Option<&str>) -> Result<Option<Ttl>, Failure> {
    let Some(time) = time else { return Ok(None) };
    if shown(time) != time {
        return Err(Failure::invalid(format!("`{}` is not a time to live", shown(time))));
    }
    Ok(Some(Ttl::parse(time).map_err(Error::from)?))
}

/// Finds out whose credentials these are, and warns of those that everybody knows.
pub fn identify(cx: &Context, credentials: &Credentials) -> Result<Identity, Failure> {
    let store = cx.open_for_login()?;
    let identity = cx.identify(&store, credentials)?;
    warn_of_known_password(&store, &identity)?;
    Ok(identity)
}

/// Checks credentials, begins a session, and prints its token.
pub fn log_in(cx: &mut Context, credentials: &Credentials, ttl: Option<Ttl>) -> Result<(), Failure> {
    let identity = identify(cx, credentials)?;
    let ttl = ttl.map_or_else(|| Ttl::from_millis(SESSION.as_millis() as u64), Ok);
    let ttl = ttl.map_err(Error::from)?;
    let store = cx.open_to_write_as(Some(identity.clone()))?;
    let token = store.begin_session(&identity, ttl).map_err(|error| cx.with_hint(error.into()))?;
    show_token(cx, &token, &identity.name)
}

/// Prints a token, this once: with `--json` in an object, with whose it is.
pub fn show_token(cx: &mut Context, token: &SecretString, name: &str) -> Result<(), Failure> {
    if cx.json() {
        let mut object = Object::begin(cx.out.buffer());
        object.text("token", token.expose_secret()).text("name", name).end();
        cx.out.push(b"\n");
    } else {
        cx.out.line(token.expose_secret());
    }
    cx.out.flush()
}

/// Prints who somebody is: the name, and the role that holds everywhere.
pub fn show_who(cx: &mut Context, name: &str, role: Option<Role>) -> Result<(), Failure> {
    let role = role.map(|role| role.to_string());
    if cx.json() {
        let mut object = Object::begin(cx.out.buffer());
        object.text("name", name).text_or_null("role", role.as_deref()).end();
        cx.out.push(b"\n");
    } else {
        cx.out.line(&format!("{name}\t{}", role.as_deref().unwrap_or("-")));
    }
    cx.out.flush()
}

/// Warns whoever logs in with the password that everybody knows.
pub fn warn_of_known_password(store: &Session, identity: &Identity) -> Result<(), Failure> {
    if store.has_known_password(&identity.name)? {
        secret::warn_of_known_password(&identity.name);
    }
    Ok(())
}
