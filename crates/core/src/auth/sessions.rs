//! Sessions: tokens that stand for a user who has logged in.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::proof::Proof;
use super::records::{self, Kept};
use super::token::{self, Fresh, Kind};
use super::{Identity, append_event, wrong};
use crate::clock::{Millis, Ttl};
use crate::engine::{Catalog, View};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;

#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    pub user: String,
    digest: String,
    created: i64,
    expires: i64,
}

impl Session {
    pub fn has_expired(&self, now: Millis) -> bool {
        now.0 >= self.expires
    }
}

impl Kept for Session {
    const CATALOG: Catalog = Catalog::Sessions;
}

impl Store {
    /// Begins a session of a user who has just proved who they are, and returns its token, which cannot be had again.
    /// Sessions that have expired are removed by the way.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an identity that is no user, [`ErrorKind::Denied`] when what proved it does not hold any
    /// more, and those of writing.
    pub fn begin_session(&self, identity: &Identity, ttl: Ttl) -> Result<SecretString> {
        let Fresh { id, digest, text } = Fresh::new(Kind::Session)?;
        self.engine().write(&mut |txn| {
            self.prove_again(txn, identity)?;
            self.materialise_seed(txn)?;
            if self.role_of_user(txn, &identity.name)?.is_none() {
                let what = format!("{} is no user; sessions are for users", identity.name);
                return Err(Error::new(ErrorKind::Invalid, what));
            }
            let now = self.now();
            records::remove_where::<Session>(txn, |session| session.has_expired(now))?;
            let (user, digest) = (identity.name.clone(), digest.clone());
            let session = Session { user, digest, created: now.0, expires: now.after(ttl).0 };
            records::keep(txn, &id, &session)?;
            append_event(txn, &self.event(&identity.name, "log in", "", true))
        })?;
        Ok(text)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] for a token of no session, and those of writing.
    pub fn end_session(&self, token: &SecretString) -> Result<()> {
        let id = token::id_of(Kind::Session, token).ok_or_else(wrong)?;
        self.engine().write(&mut |txn| {
            let session = records::find::<Session, _>(txn, id)?;
            let is_meant = |session: &Session| token::is_kept_as(Kind::Session, token, &session.digest);
            let session = session.filter(is_meant).ok_or_else(wrong)?;
            txn.remove_record(Catalog::Sessions, id)?;
            append_event(txn, &self.event(&session.user, "log out", "", true))
        })
    }

    /// Whose a session is.
    pub(super) fn check_session<V: View + ?Sized>(&self, view: &V, token: &SecretString) -> Result<Identity> {
        let id = token::id_of(Kind::Session, token).ok_or_else(wrong)?;
        let session = records::find::<Session, _>(view, id)?;
        let is_meant = |session: &Session| token::is_kept_as(Kind::Session, token, &session.digest);
        let session = session.filter(is_meant).ok_or_else(wrong)?;
        if session.has_expired(self.now()) {
            return Err(Error::new(ErrorKind::Denied, "the session has expired"));
        }
        let role = self.role_of_user(view, &session.user)?.ok_or_else(wrong)?;
        Identity::load(view, session.user, role, Proof::Session(id.to_owned()))
    }
}
