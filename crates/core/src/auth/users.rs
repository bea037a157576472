//! Users: who may log in with a password.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::keys::refuse_taken;
use super::policy::{Grant, Role};
use super::proof::Proof;
use super::records::{self, Kept};
use super::sessions::Session;
use super::{check_name, password, shown};
use crate::clock::Millis;
use crate::engine::{Catalog, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;

/// The user there is before anybody has made one.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The name.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// The password that everybody knows.
pub(super) const KNOWN_PASSWORD: &str = "pronto!";

/// Checks that a user can be called so.
///
/// # Errors
/// [`ErrorKind::Invalid`] for what is no name of a user.
pub fn check_user_name(name: &str) -> Result<()> {
    check_name("user", name)
}

impl Default for Seed {
    fn default() -> Self {
        Self { user: "admin".to_owned(), password: KNOWN_PASSWORD.into() }
    }
}

/// A user, without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserInfo {
    /// The name.
    pub name: String,
    /// The role that holds everywhere.
    pub role: Option<Role>,
    /// When the user was made; `None` for the seeded one as long as nothing has been written of it.
    pub created: Option<Millis>,
    /// Whether the password is the one that everybody knows.
    pub has_known_password: bool,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct User {
    pub password: String,
    pub role: Option<Role>,
    pub created: i64,
    pub has_known_password: bool,
}

impl Kept for User {
    const CATALOG: Catalog = Catalog::Users;
}

impl Store {
    /// All users, by name.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] to all but admins, and those of reading.
    pub fn users(&self) -> Result<Vec<UserInfo>> {
        self.allow_admin()?;
        self.all_users()
    }

    pub(super) fn all_users(&self) -> Result<Vec<UserInfo>> {
        let users: Vec<(String, User)> = self.viewed(|view| records::all(view))?;
        if users.is_empty() {
            return Ok(vec![self.seeded_info()?]);
        }
        let info = |(name, user): (String, User)| UserInfo {
            name,
            role: user.role,
            created: Some(Millis(user.created)),
            has_known_password: user.has_known_password,
        };
        Ok(users.into_iter().map(info).collect())
    }

    fn seeded_info(&self) -> Result<UserInfo> {
        let Seed { user, password } = &self.seed()?;
        let has_known_password = is_known(password);
        Ok(UserInfo { name: user.clone(), role: Some(Role::Admin), created: None, has_known_password })
    }

    /// Makes a user. The first one is made beside the seeded one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name or password that is none, [`ErrorKind::Conflict`] when there is such a user or key,
    /// [`ErrorKind::Denied`].
    pub fn add_user(&self, name: &str, password: &SecretString, role: Option<Role>) -> Result<()> {
        check_user_name(name)?;
        // Hashing takes its time; nobody waits for it.
        let (hash, has_known_password) = (password::hash(password)?, is_known(password));
        self.administer("add user", name, |txn| {
            self.materialise_seed(txn)?;
            refuse_taken(txn, name)?;
            let created = self.now().0;
            records::keep(txn, name, &User { password: hash.clone(), role, created, has_known_password })
        })
    }

    /// Gives a user another password, and ends their sessions.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a password that is none or when there is no such user, [`ErrorKind::Denied`].
    pub fn set_password(&self, name: &str, password: &SecretString) -> Result<()> {
        let (hash, has_known_password) = (password::hash(password)?, is_known(password));
        self.administer("change password", name, |txn| {
            self.materialise_seed(txn)?;
            let user = find_user(txn, name)?;
            end_sessions(txn, name)?;
            records::keep(txn, name, &User { password: hash.clone(), has_known_password, ..user })
        })
    }

    /// Gives a user another role everywhere, or none. It holds at once, for their sessions too; what was granted stays.
    ///
    /// # Errors
    /// Those of [`Store::remove_user`].
    pub fn set_role(&self, name: &str, role: Option<Role>) -> Result<()> {
        let shown = role.map_or_else(|| "none".to_owned(), |role| role.to_string());
        self.administer("change role", &format!("{name} {shown}"), |txn| {
            self.materialise_seed(txn)?;
            let user = find_user(txn, name)?;
            if role != Some(Role::Admin) {
                require_another_admin(&records::all(txn)?, name)?;
            }
            records::keep(txn, name, &User { role, ..user })
        })
    }

    /// Removes a user with their sessions and grants.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is no such user, [`ErrorKind::Conflict`] for the last one who may administer,
    /// [`ErrorKind::Denied`].
    pub fn remove_user(&self, name: &str) -> Result<()> {
        self.administer("remove user", name, |txn| {
            self.materialise_seed(txn)?;
            find_user(txn, name)?;
            require_another_admin(&records::all(txn)?, name)?;
            end_sessions(txn, name)?;
            records::remove_where::<Grant>(txn, |grant| grant.who == name)?;
            txn.remove_record(Catalog::Users, name)
        })
    }

    /// Writes the seeded user down, if there is no user yet: before anything is changed that depends on it.
    pub(super) fn materialise_seed(&self, txn: &mut dyn Txn) -> Result<()> {
        if !txn.records(Catalog::Users, "", 1)?.is_empty() {
            return Ok(());
        }
        let Seed { user, password } = &self.seed()?;
        check_user_name(user)?;
        let has_known_password = is_known(password);
        let (password, role) = (password::hash(password)?, Some(Role::Admin));
        records::keep(txn, user, &User { password, role, created: self.now().0, has_known_password })
    }

    /// The role of a user whose password this is, and the proof of it; `None` where it is not.
    pub(super) fn check_password(
        &self,
        name: &str,
        given: &SecretString,
    ) -> Result<Option<(Option<Role>, Proof)>> {
        let (user, has_users) = self.viewed(|view| {
            let has_users = !view.records(Catalog::Users, "", 1)?.is_empty();
            Ok((records::find::<User, _>(view, name)?, has_users))
        })?;
        if !has_users {
            let Seed { user, password } = &self.seed()?;
            let is_right = password::are_equal(given, password) && user == name;
            return Ok(is_right.then(|| (Some(Role::Admin), Proof::Seed(given.clone()))));
        }
        let is_right = password::verify(given, user.as_ref().map(|user| user.password.as_str()))?;
        Ok(user.filter(|_| is_right).map(|user| (user.role, Proof::Password(user.password))))
    }

    /// The role of a user, where there is one.
    pub(super) fn role_of_user<V: View + ?Sized>(
        &self,
        view: &V,
        name: &str,
    ) -> Result<Option<Option<Role>>> {
        Ok(records::find::<User, _>(view, name)?.map(|user| user.role))
    }
}

/// Whether a password is the one that everybody knows.
fn is_known(password: &SecretString) -> bool {
    password::are_equal(password, &KNOWN_PASSWORD.into())
}

fn find_user(txn: &mut dyn Txn, name: &str) -> Result<User> {
    records::find(txn, name)?.ok_or_else(|| unknown(name))
}

/// The error of a user who is not there.
pub(super) fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("there is no user {}", shown(name)))
}

/// Refuses when nobody but `name` may administer.
fn require_another_admin(users: &[(String, User)], name: &str) -> Result<()> {
    let is_admin = |(other, user): &(String, User)| user.role == Some(Role::Admin) && other != name;
    match users.iter().any(is_admin) {
        true => Ok(()),
        false => Err(is_last_admin(name)),
    }
}

/// The error of the last user who may administer.
pub(super) fn is_last_admin(name: &str) -> Error {
    let what = format!("{name} is the last user who may administer; nothing was changed");
    Error::new(ErrorKind::Conflict, what)
}

fn end_sessions(txn: &mut dyn Txn, name: &str) -> Result<()> {
    records::remove_where::<Session>(txn, |session| session.user == name).map(drop)
}
