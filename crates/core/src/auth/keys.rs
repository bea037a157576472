//! API keys: tokens for programs, with a role of their own.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::policy::{Grant, Role};
use super::proof::Proof;
use super::records::{self, Kept};
use super::token::{self, Fresh, Kind};
use super::users::User;
use super::{Identity, check_name, shown, wrong};
use crate::clock::{Millis, Ttl};
use crate::engine::{Catalog, Txn, View};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyInfo {
    /// What names it.
    pub id: String,
    /// Whose it is: a name of its own.
    pub name: String,
    /// The role that holds everywhere.
    pub role: Option<Role>,
    /// When it was made.
    pub created: Millis,
    /// When it ends.
    pub expires: Option<Millis>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ApiKey {
    pub name: String,
    digest: String,
    pub role: Option<Role>,
    created: i64,
    expires: Option<i64>,
}

impl ApiKey {
    pub fn has_expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|expires| now.0 >= expires)
    }
}

impl Kept for ApiKey {
    const CATALOG: Catalog = Catalog::ApiKeys;
}

impl Store {
    /// All API keys, by id.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] to all but admins, and those of reading.
    pub fn api_keys(&self) -> Result<Vec<ApiKeyInfo>> {
        self.allow_admin()?;
        let keys: Vec<(String, ApiKey)> = self.viewed(|view| records::all(view))?;
        let info = |(id, key): (String, ApiKey)| ApiKeyInfo {
            id,
            name: key.name,
            role: key.role,
            created: Millis(key.created),
            expires: key.expires.map(Millis),
        };
        Ok(keys.into_iter().map(info).collect())
    }

    /// Makes an API key and returns the token, which cannot be had again.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that is none, [`ErrorKind::Conflict`] for one that is taken, [`ErrorKind::Denied`].
    pub fn create_api_key(&self, name: &str, role: Option<Role>, ttl: Option<Ttl>) -> Result<SecretString> {
        check_name("key", name)?;
        let Fresh { id, digest, text } = Fresh::new(Kind::ApiKey)?;
        self.administer("create key", name, |txn| {
            self.materialise_seed(txn)?;
            refuse_taken(txn, name)?;
            let (name, digest, now) = (name.to_owned(), digest.clone(), self.now());
            let expires = ttl.map(|ttl| now.after(ttl).0);
            records::keep(txn, &id, &ApiKey { name, digest, role, created: now.0, expires })
        })?;
        Ok(text)
    }

    /// Ends an API key, named by its id or name, and its grants.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none, [`ErrorKind::Denied`].
    pub fn revoke_api_key(&self, id_or_name: &str) -> Result<()> {
        self.administer("revoke key", id_or_name, |txn| {
            let (id, key) = find(txn, id_or_name)?;
            records::remove_where::<Grant>(txn, |grant| grant.who == key.name)?;
            txn.remove_record(Catalog::ApiKeys, &id)
        })
    }

    /// Whose an API key is.
    pub(super) fn check_api_key<V: View + ?Sized>(&self, view: &V, token: &SecretString) -> Result<Identity> {
        let id = token::id_of(Kind::ApiKey, token).ok_or_else(wrong)?;
        let key = records::find::<ApiKey, _>(view, id)?;
        let key = key.filter(|key| token::is_kept_as(Kind::ApiKey, token, &key.digest)).ok_or_else(wrong)?;
        if key.has_expired(self.now()) {
            return Err(Error::new(ErrorKind::Denied, format!("the API key {} has expired", key.name)));
        }
        Identity::load(view, key.name, key.role, Proof::ApiKey(id.to_owned()))
    }
}

/// The key of this id or name, with its id.
pub(super) fn find<V: View + ?Sized>(view: &V, id_or_name: &str) -> Result<(String, ApiKey)> {
    let keys = records::all::<ApiKey, _>(view)?;
    let found = keys.into_iter().find(|(id, key)| id == id_or_name || key.name == id_or_name);
    found.ok_or_else(|| Error::new(ErrorKind::Invalid, format!("there is no API key {}", shown(id_or_name))))
}

/// Whether a user or a key has this name: grants are by name.
pub(super) fn is_taken(txn: &mut dyn Txn, name: &str) -> Result<bool> {
    Ok(records::find::<User, _>(txn, name)?.is_some()
        || records::all::<ApiKey, _>(txn)?.iter().any(|(_, key)| key.name == name))
}

/// Refuses a name for somebody new that somebody has.
pub(super) fn refuse_taken(txn: &mut dyn Txn, name: &str) -> Result<()> {
    match is_taken(txn, name)? {
        true => Err(Error::new(ErrorKind::Conflict, format!("there is a user or key {name} already"))),
        false => Ok(()),
    }
}
