//! `admin user`: who may log in.

pub mod add;
pub mod del;
pub mod list;
pub mod passwd;
pub mod role;

use crate::context::{Context, Session};
use crate::exit::Failure;
use crate::secret;

/// Warns while somebody may log in with the password that everybody knows.
fn warn_of_known_password(store: &Session) -> Result<(), Failure> {
    for user in store.users()?.iter().filter(|user| user.has_known_password) {
        secret::warn_of_known_password(&user.name);
    }
    Ok(())
}

fn explained<T>(cx: &Context, done: prontodb_core::Result<T>) -> Result<T, Failure> {
    done.map_err(|error| cx.with_hint(error.into()))
}
