//! What proved who somebody is, and whether it still does: a store may act for them for long.

use secrecy::SecretString;

use super::keys::ApiKey;
use super::policy::{Identity, Role};
use super::sessions::Session;
use super::users::{Seed, User};
use super::{password, records};
use crate::engine::{Catalog, View};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;

/// What proved who somebody is.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// The word of the caller.
    Vouched,
    /// The API key of this id.
    ApiKey(String),
    /// The session of this id.
    Session(String),
    /// The password of which this is kept.
    Password(String),
    /// The password of the seeded user, while nothing was kept of it.
    Seed(SecretString),
}

impl Store {
    /// Looks again whether what proved whom it acts for still holds, and what they may by now. For whatever goes on for
    /// long: before each of its steps, so that a key that is revoked, a session that ends, and a role or grant that
    /// changes are heeded from the next step on. Costs a few look-ups and no hashing; for the owner of the file nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it does not hold any more, which is written to the audit log, and those of reading.
    pub fn renew_identity(&mut self) -> Result<()> {
        let Some(identity) = self.identity() else { return Ok(()) };
        match self.viewed(|view| self.renewed(view, identity)) {
            Ok(renewed) => {
                self.set_identity(renewed);
                Ok(())
            }
            Err(error) => {
                if error.kind() == ErrorKind::Denied {
                    self.note_refused(identity, "go on", &error.to_string());
                }
                Err(error)
            }
        }
    }

    /// Somebody as they are by now.
    fn renewed<V: View + ?Sized>(&self, view: &V, identity: &Identity) -> Result<Identity> {
        if let Proof::Vouched = identity.proof {
            return Ok(identity.clone());
        }
        let (role, proof) = self.prove_again(view, identity)?;
        Identity::load(view, identity.name.clone(), role, proof)
    }

    /// The role that somebody has everywhere, and what proves them from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when the proof does not hold any more.
    pub(super) fn prove_again<V: View + ?Sized>(
        &self,
        view: &V,
        identity: &Identity,
    ) -> Result<(Option<Role>, Proof)> {
        let Identity { name, role, proof, .. } = identity;
        let found = match proof {
            Proof::Vouched => Some(*role),
            Proof::ApiKey(id) => records::find::<ApiKey, _>(view, id)?
                .filter(|key| key.name == *name && !key.has_expired(self.now()))
                .map(|key| key.role),
            Proof::Session(id) => {
                let session = records::find::<Session, _>(view, id)?;
                match session.filter(|session| session.user == *name && !session.has_expired(self.now())) {
                    Some(_) => self.role_of_user(view, name)?,
                    None => None,
                }
            }
            Proof::Password(kept) => records::find::<User, _>(view, name)?
                .filter(|user| user.password == *kept)
                .map(|user| user.role),
            Proof::Seed(password) => return self.prove_seed_again(view, name, password),
        };
        let role = found.ok_or_else(|| no_longer(name, proof))?;
        Ok((role, proof.clone()))
    }

    /// The same for the seeded user. Where something is kept of the password by now, it is checked by that, once.
    fn prove_seed_again<V: View + ?Sized>(
        &self,
        view: &V,
        name: &str,
        given: &SecretString,
    ) -> Result<(Option<Role>, Proof)> {
        let proof = || Proof::Seed(given.clone());
        if view.records(Catalog::Users, "", 1)?.is_empty() {
            let Seed { user, password } = &self.seed()?;
            return match user == name && password::are_equal(given, password) {
                true => Ok((Some(Role::Admin), proof())),
                false => Err(no_longer(name, &proof())),
            };
        }
        match records::find::<User, _>(view, name)? {
            Some(user) if password::verify(given, Some(&user.password))? => {
                Ok((user.role, Proof::Password(user.password)))
            }
            _ => Err(no_longer(name, &proof())),
        }
    }
}

fn no_longer(name: &str, proof: &Proof) -> Error {
    let why = match proof {
        Proof::ApiKey(_) => "the API key was revoked or has expired",
        Proof::Session(_) => "the session has ended",
        Proof::Vouched | Proof::Password(_) | Proof::Seed(_) => {
            "the user was removed or has another password by now"
        }
    };
    Error::new(ErrorKind::Denied, format!("what proved that this is {name} no longer holds; {why}"))
}
