//! `admin user`: who may log in.

pub mod add;
pub mod del;
pub mod list;
pub mod passwd;
pub mod role;

use crate::args::Words;
use crate::context::{Context, Session};
use crate::exit::Failure;
use crate::secret;

/// The names of all roles.
pub const ROLES: Words = Words(&["read", "write", "admin"]);
/// The same, and the word for none.
const ROLES_AND_NONE: Words = Words(&["read", "write", "admin", "none"]);

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

#[cfg(test)]
mod tests {
    use prontodb_core::auth::Role;

    use super::*;

    #[test]
    fn the_words_for_roles_are_those_of_roles() {
        assert!(ROLES.0.iter().all(|name| name.parse::<Role>().is_ok()));
        assert_eq!(ROLES_AND_NONE.0, [ROLES.0, &["none"]].concat());
    }
}
