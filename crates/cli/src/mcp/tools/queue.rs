//! `queue`: work that is handed out.

use prontodb_core::store::{Claimed, Fence, PushOptions, QueuePlace};
use prontodb_core::{Namespace, Ttl};
use serde::Deserialize;

use super::get::push_value;
use super::value::Given;
use super::{Answer, Call, Span, needed, nothing_yet, page, refuse_others, span};
use crate::commands::queue::list::push_json;
use crate::exit::{Code, Failure};
use crate::mcp::desk::{Desk, Open};
use crate::output::json::Object;

/// Puts work into a queue, and takes it out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    action: Action,
    queue: Option<String>,
    value: Option<Given>,
    priority: Option<u8>,
    delay: Option<Span>,
    ttl: Option<Span>,
    wait: Option<Span>,
    fence: Option<u64>,
    to: Option<String>,
    note: Option<String>,
    after: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Push,
    Claim,
    Ack,
    Nack,
    Extend,
    Handoff,
    List,
}

impl Call for Queue {
    fn wait(&self) -> Result<Option<Ttl>, Failure> {
        span("wait", self.wait.as_ref())
    }

    fn run(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        self.check()?;
        let mut text = Vec::new();
        let mut object = Object::begin(&mut text);
        match self.action {
            Action::List => return self.list(desk),
            Action::Claim => return self.claim(desk),
            Action::Push => {
                let id = self.push(desk)?;
                object.text("id", &id);
            }
            Action::Ack => {
                let (open, queue) = self.open(desk, None)?;
                open.store.ack(&queue, self.token()?)?;
                object.raw("done", "true");
            }
            Action::Nack => {
                let (open, queue) = self.open(desk, None)?;
                let place = open.store.nack(&queue, self.token()?, self.delay()?)?;
                object.text("place", if place == QueuePlace::Dead { "dead" } else { "ready" });
            }
            Action::Extend => {
                let (open, queue) = self.open(desk, None)?;
                open.store.extend(&queue, self.token()?, self.ttl()?)?;
                object.raw("extended", "true");
            }
            Action::Handoff => {
                let (open, queue) = self.open(desk, None)?;
                let (to, note) = (needed("to", self.to.as_deref())?, self.note.as_deref());
                open.store.hand_on(&queue, self.token()?, to, note.unwrap_or_default())?;
                object.text("to", to);
            }
        }
        object.end();
        Ok(Answer::Done(text))
    }
}

impl Queue {
    /// Refuses what means nothing to the action.
    fn check(&self) -> Result<(), Failure> {
        let (done, taken): (_, &[_]) = match self.action {
            Action::Push => ("push", &["value", "priority", "delay", "fence"]),
            Action::Claim => ("claim", &["ttl", "wait", "fence"]),
            Action::Ack => ("ack", &["fence"]),
            Action::Nack => ("nack", &["fence", "delay"]),
            Action::Extend => ("extend", &["fence", "ttl"]),
            Action::Handoff => ("handoff", &["fence", "to", "note"]),
            Action::List => ("list", &["after"]),
        };
        let given = [
            ("value", self.value.is_some()),
            ("priority", self.priority.is_some()),
            ("delay", self.delay.is_some()),
            ("ttl", self.ttl.is_some()),
            ("wait", self.wait.is_some()),
            ("fence", self.fence.is_some()),
            ("to", self.to.is_some()),
            ("note", self.note.is_some()),
            ("after", self.after.is_some()),
        ];
        refuse_others(done, &given, taken)
    }

    /// The database to write, under a lease if one is worked under, and the queue.
    fn open<'d>(&self, desk: &'d mut Desk, fence: Option<u64>) -> Result<(Open<'d>, Namespace), Failure> {
        let open = desk.writing(fence)?;
        let queue = open.scope.queue(self.queue.as_deref())?;
        Ok((open, queue))
    }

    /// The token of a claim.
    fn token(&self) -> Result<Fence, Failure> {
        needed("fence", self.fence.as_ref()).map(|token| Fence(*token))
    }

    fn ttl(&self) -> Result<Ttl, Failure> {
        needed("ttl", self.ttl.as_ref())?.ttl("ttl")
    }

    fn delay(&self) -> Result<Option<Ttl>, Failure> {
        span("delay", self.delay.as_ref())
    }

    fn push(&self, desk: &mut Desk) -> Result<String, Failure> {
        let (open, queue) = self.open(desk, self.fence)?;
        let value = needed("value", self.value.as_ref())?.bytes(false)?;
        let plain = PushOptions::default();
        let priority = self.priority.unwrap_or(plain.priority);
        let options = PushOptions { priority, delay: self.delay()?, ..plain };
        Ok(open.store.push(&queue, &value, &options)?)
    }

    fn claim(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        let open = desk.changing(self.fence)?;
        let queue = open.scope.queue(self.queue.as_deref())?;
        let Some(claimed) = open.store.claim(&queue, self.ttl()?)? else {
            let what = "the queue has nothing to hand out".to_owned();
            return Ok(nothing_yet(Code::Missing, "not_found", what));
        };
        let Claimed { id, fence, tries, value, note, .. } = claimed;
        let mut text = Vec::new();
        let mut object = Object::begin(&mut text);
        object.text("id", &id).number("fence", fence.0).number("tries", tries.into());
        let max = usize::try_from(open.max_bytes).unwrap_or(usize::MAX);
        push_value(&mut object, &value, 0, max)?;
        if let Some(note) = note {
            object.text_or_null("from", note.from.as_deref()).text("note", &note.text);
        }
        object.end();
        // An item that nobody has seen is nobody's, and was not tried.
        let undo = move |desk: &mut Desk| Ok(desk.writing(None)?.store.unclaim(&queue, fence)?);
        Ok(Answer::Taken(text, Box::new(undo)))
    }

    fn list(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        let open = desk.reading()?;
        let queue = open.scope.queue(self.queue.as_deref())?;
        let items = open.store.items(&queue)?;
        let begin = match &self.after {
            Some(after) => {
                let at = items.iter().position(|item| item.id == *after);
                let gone =
                    || Failure::invalid(format!("there is no item {after} any more; list without after"));
                at.ok_or_else(gone)? + 1
            }
            None => 0,
        };
        page(open.max_bytes, None, &items[begin..], |item| &item.id, |text, item| push_json(text, item))
    }
}
