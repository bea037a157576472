//! `lock`: leases on names.

use prontodb_core::Ttl;
use prontodb_core::store::{Acquired, Fence, Lock};
use serde::Deserialize;

use super::{Answer, Call, Span, needed, nothing_yet, page, span};
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
        let open = match self.action {
            Action::List => return self.list(desk.reading()?),
            // The lease that is asked for is none that writes are made under.
            _ => desk.writing(None)?,
        };
        let called = needed("name", self.name.as_deref())?;
        let name = open.scope.lock(called)?;
        let token = || needed("fence", self.fence.as_ref()).map(|token| Fence(*token));
        let ttl = || needed("ttl", self.ttl.as_ref())?.ttl("ttl");
        let lock = match self.action {
            Action::Acquire => match open.store.acquire_lock(&name, ttl()?)? {
                Acquired::Granted(lock) => return Ok(taken(called, lock)),
                Acquired::Held(held) => return Ok(not_yet(called, &held)),
            },
            Action::Renew => open.store.renew_lock(&name, token()?, ttl()?)?,
            Action::Release | Action::List => {
                open.store.release_lock(&name, token()?)?;
                return Ok(Answer::Done(b"{\"released\":true}".to_vec()));
            }
        };
        Ok(Answer::Done(shown_as(called, lock)))
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

impl Locking {
    fn list(&self, Open { scope, store, max_bytes, .. }: Open<'_>) -> Result<Answer, Failure> {
        let (prefix, delimiter) = (scope.lock_prefix(), scope.notation.delimiter.char());
        let ours = store.locks()?.into_iter().filter_map(|lock| {
            let name = lock.name.strip_prefix(&prefix)?.to_owned();
            let is_deeper = !prefix.is_empty() && name.contains(delimiter);
            let is_behind = self.after.as_ref().is_none_or(|after| name > *after);
            (is_behind && !is_deeper).then_some(Lock { name, ..lock })
        });
        page(max_bytes, None, ours, |lock| &lock.name, push_json)
    }
}

fn not_yet(name: &str, held: &Lock) -> Answer {
    nothing_yet(Code::Conflict, "conflict", held_by(name, held))
}
