//! Who may: users, API keys, sessions, grants, and the log of what they did.
//!
//! A [`Store`] belongs to whoever may read its file, and acts as that owner, until [`Store::act_as`] gives it an
//! [`Identity`]. From then on each of its methods asks [`policy::decide`] before it does anything.

mod audit;
mod chain;
mod endings;
mod grants;
mod hide;
mod keys;
mod password;
pub mod policy;
mod proof;
mod sessions;
mod token;
mod users;

use secrecy::SecretString;

pub use self::audit::Event;
pub(crate) use self::chain::append as append_event;
pub use self::chain::{Break, Chain, Verified};
pub use self::endings::Ending;
pub use self::hide::shown;
pub use self::keys::ApiKeyInfo;
pub use self::password::check as check_password;
pub use self::policy::{Action, Decision, Grant, Identity, Pattern, Role};
use self::proof::Proof;
pub(crate) use self::token::random;
pub use self::users::{Seed, UserInfo, check_user_name};
use crate::engine::{Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::records;
use crate::store::Store;

/// Longest name of a user or API key, in bytes.
const MAX_NAME_BYTES: usize = 32;

/// What proves who somebody is. Shown by nobody: secrets do not print.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A user's password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// The token of an API key.
    ApiKey(SecretString),
    /// The token of a session.
    Session(SecretString),
}

impl Identity {
    /// Somebody of this name and role, with what was granted to them.
    fn load<V: View + ?Sized>(view: &V, name: String, role: Option<Role>, proof: Proof) -> Result<Self> {
        let grants = records::all::<Grant, _>(view)?.into_iter().map(|(_, grant)| grant);
        let grants = grants.filter(|grant| grant.who == name).collect();
        Ok(Self { name, role, grants, proof })
    }
}

impl Store {
    /// Finds out who somebody is. What fails is written to the audit log; a log in that succeeds is when it begins a
    /// session, or when its holder writes.
    ///
    /// A password takes some 20 ms and 19 MiB to check, a token next to nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for credentials that are wrong or have expired, and those of reading.
    pub fn authenticate(&self, credentials: &Credentials) -> Result<Identity> {
        let (who, found) = match credentials {
            Credentials::Password { user, password } => (named(user), self.by_password(user, password)),
            Credentials::ApiKey(token) => ("an API key", self.viewed(|view| self.check_api_key(view, token))),
            Credentials::Session(token) => ("a session", self.viewed(|view| self.check_session(view, token))),
        };
        if found.as_ref().is_err_and(|error| error.kind() == ErrorKind::Denied) {
            self.note_failed_login(who);
        }
        found
    }

    fn by_password(&self, user: &str, password: &SecretString) -> Result<Identity> {
        let (role, proof) = self.check_password(user, password)?.ok_or_else(wrong)?;
        self.viewed(|view| Identity::load(view, user.to_owned(), role, proof.clone()))
    }

    /// Whether the password of `user` is the one that everybody knows.
    ///
    /// # Errors
    /// Those of reading.
    pub fn has_known_password(&self, user: &str) -> Result<bool> {
        Ok(self.all_users()?.iter().any(|info| info.name == user && info.has_known_password))
    }

    /// What a view shows.
    fn viewed<T>(&self, look: impl Fn(&dyn View) -> Result<T>) -> Result<T> {
        let mut seen = None;
        self.engine().read(&mut |view| {
            seen = Some(look(view)?);
            Ok(())
        })?;
        seen.ok_or_else(|| Error::new(ErrorKind::Io, "the engine did not show the data"))
    }

    /// What cannot be read of the records of who may do what.
    pub(crate) fn unreadable_records(view: &dyn View) -> Vec<Error> {
        let read = [
            records::all::<users::User, _>(view).map(drop),
            records::all::<keys::ApiKey, _>(view).map(drop),
            records::all::<sessions::Session, _>(view).map(drop),
            records::all::<Grant, _>(view).map(drop),
            records::all::<Event, _>(view).map(drop),
        ];
        read.into_iter().filter_map(Result::err).collect()
    }

    fn allow_admin(&self) -> Result<()> {
        self.allow(Action::Admin, None)
    }

    /// Changes what holds for others, and writes down that it was done.
    fn administer(
        &self,
        action: &str,
        target: &str,
        change: impl Fn(&mut dyn Txn) -> Result<()>,
    ) -> Result<()> {
        self.allow_admin()?;
        self.transact(&mut |txn| {
            change(txn)?;
            self.note_done(txn, action, target)
        })
    }
}

/// One answer to all credentials that do not fit, so that it tells nothing about what is there.
fn wrong() -> Error {
    Error::new(ErrorKind::Denied, "the credentials are wrong")
}

/// Who tried to log in under a name, as the audit log tells it: what was typed there may be anything, a password too.
fn named(user: &str) -> &str {
    if is_name(user) && user != audit::OWNER { user } else { "an unknown user" }
}

/// Names of users and keys: letters, digits, `_` and `-`, a letter first. What looks like a token is none: it was put in
/// the wrong place.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && !hide::is_like_secret(name)
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Refuses what somebody new cannot be called.
fn check_name(what: &str, name: &str) -> Result<()> {
    if name == audit::OWNER {
        let why = format!("`{name}` cannot be the name of a {what}; it means whoever may read the file");
        return Err(Error::new(ErrorKind::Invalid, why));
    }
    if is_name(name) {
        return Ok(());
    }
    let why = format!(
        "`{}` cannot be the name of a {what}; letters, digits, `_` and `-` can, a letter first, up to {MAX_NAME_BYTES}",
        shown(name)
    );
    Err(Error::new(ErrorKind::Invalid, why))
}
