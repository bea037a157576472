//! What ends with a user, a key or a grant, told before it does.

use super::keys::{self, ApiKey};
use super::policy::{Grant, Pattern, Role};
use super::records;
use super::sessions::Session;
use super::{grants, users};
use crate::engine::View;
use crate::error::Result;
use crate::store::Store;

/// What ends together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Whose it is.
    pub who: String,
    /// How many sessions, of a user.
    pub sessions: Option<u64>,
    /// What was granted.
    pub grants: Vec<Grant>,
}

impl Store {
    /// What [`Store::remove_user`] would end.
    ///
    /// # Errors
    /// Those of [`Store::remove_user`], but for those of writing.
    pub fn would_remove_user(&self, name: &str) -> Result<Ending> {
        let users = self.users()?;
        if !users.iter().any(|user| user.name == name) {
            return Err(users::unknown(name));
        }
        if !users.iter().any(|user| user.role == Some(Role::Admin) && user.name != name) {
            return Err(users::is_last_admin(name));
        }
        self.viewed(|view| {
            let sessions = records::all::<Session, _>(view)?;
            let sessions = sessions.iter().filter(|(_, session)| session.user == name).count() as u64;
            Ok(Ending { who: name.to_owned(), sessions: Some(sessions), grants: grants_of(view, name)? })
        })
    }

    /// What [`Store::revoke_api_key`] would end.
    ///
    /// # Errors
    /// Those of [`Store::revoke_api_key`], but for those of writing.
    pub fn would_revoke_api_key(&self, id_or_name: &str) -> Result<Ending> {
        self.allow_admin()?;
        self.viewed(|view| {
            let (_, ApiKey { name, .. }) = keys::find(view, id_or_name)?;
            let grants = grants_of(view, &name)?;
            Ok(Ending { who: name, sessions: None, grants })
        })
    }

    /// What [`Store::revoke_grant`] would end.
    ///
    /// # Errors
    /// Those of [`Store::revoke_grant`], but for those of writing.
    pub fn would_revoke_grant(&self, who: &str, pattern: &Pattern) -> Result<Ending> {
        self.allow_admin()?;
        self.viewed(|view| {
            let grants = vec![grants::find(view, who, pattern)?];
            Ok(Ending { who: who.to_owned(), sessions: None, grants })
        })
    }
}

fn grants_of(view: &dyn View, who: &str) -> Result<Vec<Grant>> {
    let grants = records::all::<Grant, _>(view)?.into_iter().map(|(_, grant)| grant);
    Ok(grants.filter(|grant| grant.who == who).collect())
}
