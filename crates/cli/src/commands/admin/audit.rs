use prontodb_core::Millis;

use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;

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
        let (is_json, mut after, mut events) = (cx.json(), String::new(), Vec::new());
        loop {
            let page = store.audit_log(&after, PAGE).map_err(|error| cx.with_hint(error.into()))?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            events.extend(page.into_iter().map(|(_, event)| event));
        }
        cx.out.list(is_json, &events, |out, event| {
            let (at, outcome) = (Millis(event.at), if event.done { "done" } else { "refused" });
            if is_json {
                let mut object = Object::begin(out.buffer());
                object
                    .moment("at", Some(at))
                    .text("who", &event.who)
                    .text("origin", &event.origin)
                    .text("outcome", outcome)
                    .text("action", &event.action)
                    .text("target", &event.target)
                    .end();
                return;
            }
            let (who, origin, action, target) = (&event.who, &event.origin, &event.action, &event.target);
            out.line(&format!("{at}\t{who}\t{origin}\t{outcome}\t{action}\t{target}"));
        });
        cx.out.flush()?;
        Ok(Code::Done)
    }
}
