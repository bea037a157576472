use prontodb_core::Millis;
use prontodb_core::auth::Event;

use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::printable;

/// How many events are read at a time.
const PAGE: usize = 1000;

/// List who did what, when, from where
///
/// The oldest first: moment, who, from where, done or refused, what, to what. Never values, never secrets.
#[derive(clap::Args)]
pub struct Audit {}

impl Run for Audit {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let store = cx.open_existing()?;
        let (is_json, mut after, mut is_first) = (cx.json(), String::new(), true);
        loop {
            let page = store.audit_log(&after, PAGE).map_err(|error| cx.with_hint(error.into()))?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (_, event) in &page {
                if is_json {
                    cx.out.buffer().push(if is_first { b'[' } else { b',' });
                    push_object(cx.out.buffer(), event);
                } else {
                    cx.out.line(&columns(event));
                }
                is_first = false;
            }
            cx.out.flush()?;
        }
        if is_json {
            cx.out.buffer().extend_from_slice(if is_first { b"[]\n" } else { b"]\n" });
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}

fn columns(Event { at, who, origin, action, target, done }: &Event) -> String {
    // Whatever has written the event, it stays one line of six columns.
    let [who, origin, action, target] = [who, origin, action, target].map(|text| printable(text));
    format!("{}\t{who}\t{origin}\t{}\t{action}\t{target}", Millis(*at), outcome(*done))
}

fn push_object(text: &mut Vec<u8>, event: &Event) {
    Object::begin(text)
        .moment("at", Some(Millis(event.at)))
        .text("who", &event.who)
        .text("origin", &event.origin)
        .text("outcome", outcome(event.done))
        .text("action", &event.action)
        .text("target", &event.target)
        .end();
}

fn outcome(is_done: bool) -> &'static str {
    if is_done { "done" } else { "refused" }
}
