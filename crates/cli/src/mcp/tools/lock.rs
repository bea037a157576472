//! `lock`: leases on names.

use prontodb_core::Ttl;
use prontodb_core::store::{Acquired, Fence, Lock};
use serde::Deserialize;

use super::{Answer, Call, Span, needed, nothing_yet, page, refuse_others, span};
use crate::commands::lock::{held_by, push_json};
use crate::exit::{Code, Failure};
use crate::mcp::desk::{Desk, Open};

/// Takes, keeps, gives back and shows locks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locking {
    action: Action,
    name: Option<String>,
    ttl: Option<Span>,
    wait: Option<Span>,
    fence: Option<u64>,
    after: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Acquire,
    Renew,
    Release,
    List,
}

impl Call for Locking {
    fn wait(&self) -> Result<Option<Ttl>, Failure> {
        span("wait", self.wait.as_ref())
    }

    fn run(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        self.check()?;
        match self.action {
            Action::Acquire => self.acquire(desk),
            Action::Renew => {
                let (Open { store, .. }, called, name) = self.open(desk, None)?;
                let lock = store.renew_lock(&name, self.token()?, self.ttl()?)?;
                Ok(Answer::Done(shown_as(called, lock)))
            }
            Action::Release => {
                let (Open { store, .. }, _, name) = self.open(desk, None)?;
                store.release_lock(&name, self.token()?)?;
                Ok(Answer::Done(b"{\"released\":true}".to_vec()))
            }
            Action::List => self.list(desk.reading()?),
        }
    }
}

impl Locking {
    /// Refuses what means nothing to the action.
    fn check(&self) -> Result<(), Failure> {
        let (done, taken): (_, &[_]) = match self.action {
            Action::Acquire => ("acquire", &["name", "ttl", "wait", "fence"]),
            Action::Renew => ("renew", &["name", "ttl", "fence"]),
            Action::Release => ("release", &["name", "fence"]),
            Action::List => ("list", &["after"]),
        };
        let given = [
            ("name", self.name.is_some()),
            ("ttl", self.ttl.is_some()),
            ("wait", self.wait.is_some()),
            ("fence", self.fence.is_some()),
            ("after", self.after.is_some()),
        ];
        refuse_others(done, &given, taken)
    }

    /// The database to write, under a lease if one is worked under, and the name of the lock: here, and there.
    fn open<'d>(&self, desk: &'d mut Desk, fence: Option<u64>) -> Result<(Open<'d>, &str, String), Failure> {
        let open = desk.writing(fence)?;
        let called = needed("name", self.name.as_deref())?;
        let name = open.scope.lock(called)?;
        Ok((open, called, name))
    }

    fn token(&self) -> Result<Fence, Failure> {
        needed("fence", self.fence.as_ref()).map(|token| Fence(*token))
    }

    fn ttl(&self) -> Result<Ttl, Failure> {
        needed("ttl", self.ttl.as_ref())?.ttl("ttl")
    }

    fn acquire(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        let (Open { store, .. }, called, name) = self.open(desk, self.fence)?;
        Ok(match store.acquire_lock(&name, self.ttl()?)? {
            Acquired::Granted(lock) => taken(called, lock),
            Acquired::Held(held) => not_yet(called, &held),
        })
    }

    fn list(&self, Open { scope, store, max_bytes, .. }: Open<'_>) -> Result<Answer, Failure> {
        let locks = store.locks()?.into_iter().filter_map(|lock| {
            let name = scope.own_lock(&lock.name)?.to_owned();
            let is_behind = self.after.as_ref().is_none_or(|after| name > *after);
            is_behind.then_some(Lock { name, ..lock })
        });
        page(max_bytes, None, locks, |lock| &lock.name, push_json)
    }
}

/// A lock under the name that it has in the scope.
fn shown_as(name: &str, lock: Lock) -> Vec<u8> {
    let mut text = Vec::new();
    push_json(&mut text, &Lock { name: name.to_owned(), ..lock });
    text
}

/// A token that nobody has seen holds a lock for nobody.
fn taken(called: &str, lock: Lock) -> Answer {
    let (name, fence) = (lock.name.clone(), lock.fence);
    let undo = move |desk: &mut Desk| Ok(desk.writing(None)?.store.release_lock(&name, fence)?);
    Answer::Taken(shown_as(called, lock), Box::new(undo))
}

fn not_yet(name: &str, held: &Lock) -> Answer {
    nothing_yet(Code::Conflict, "conflict", held_by(name, held))
}
