//! `queue`: work that is handed out.

use prontodb_core::store::{Claimed, Fence, PushOptions, QueuePlace};
use prontodb_core::{Namespace, Ttl};
use serde::Deserialize;
use serde_json::Value;

use super::get::push_value;
use super::{Answer, Call, Span, bytes, needed, nothing_yet, page, span};
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
    value: Option<Value>,
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
        let open = match self.action {
            Action::List | Action::Claim => desk.reading()?,
            Action::Push => desk.writing(self.fence)?,
            // The token is that of the claim.
            _ => desk.writing(None)?,
        };
        let namespace = open.scope.queue(self.queue.as_deref())?;
        if self.action == Action::List {
            return self.list(&open, &namespace);
        }
        let token = || needed("fence", self.fence.as_ref()).map(|token| Fence(*token));
        let ttl = || needed("ttl", self.ttl.as_ref())?.ttl("ttl");
        let delay = span("delay", self.delay.as_ref())?;
        let mut text = Vec::new();
        let mut object = Object::begin(&mut text);
        match self.action {
            Action::Push => {
                let value = bytes(needed("value", self.value.as_ref())?, false)?;
                let plain = PushOptions::default();
                let priority = self.priority.unwrap_or(plain.priority);
                let id = open.store.push(&namespace, &value, &PushOptions { priority, delay, ..plain })?;
                object.text("id", &id);
            }
            Action::Claim => {
                let Some(claimed) = open.store.claim(&namespace, ttl()?)? else {
                    let what = "the queue has nothing to hand out".to_owned();
                    return Ok(nothing_yet(Code::Missing, "not_found", what));
                };
                let Claimed { id, fence, tries, value, note, .. } = claimed;
                object.text("id", &id).number("fence", fence.0).number("tries", tries.into());
                let max = usize::try_from(open.max_bytes).unwrap_or(usize::MAX);
                push_value(&mut object, &value, 0, max)?;
                if let Some(note) = note {
                    object.text_or_null("from", note.from.as_deref()).text("note", &note.text);
                }
                object.end();
                // An item that nobody has seen is nobody's.
                let undo = move |desk: &mut Desk| {
                    desk.writing(None)?.store.nack(&namespace, fence, None)?;
                    Ok(())
                };
                return Ok(Answer::Taken(text, Box::new(undo)));
            }
            Action::Ack => {
                open.store.ack(&namespace, token()?)?;
                object.raw("done", "true");
            }
            Action::Nack => {
                let place = open.store.nack(&namespace, token()?, delay)?;
                object.text("place", if place == QueuePlace::Dead { "dead" } else { "ready" });
            }
            Action::Extend => {
                open.store.extend(&namespace, token()?, ttl()?)?;
                object.raw("extended", "true");
            }
            Action::Handoff | Action::List => {
                let to = needed("to", self.to.as_deref())?;
                open.store.hand_on(&namespace, token()?, to, self.note.as_deref().unwrap_or_default())?;
                object.text("to", to);
            }
        }
        object.end();
        Ok(Answer::Done(text))
    }
}

impl Queue {
    fn list(&self, open: &Open<'_>, namespace: &Namespace) -> Result<Answer, Failure> {
        let items = open.store.items(namespace)?;
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
