use std::ffi::OsString;
use std::time::Duration;

use prontodb_core::store::Claimed;
use prontodb_core::{Error, Namespace, Ttl};

use super::only_queue;
use crate::commands::lock::lasts;
use crate::commands::{Addressing, Run};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output;
use crate::output::json::Object;
use crate::waiting::{self, Waiting};

/// Take the next item of a queue for a while
///
/// Prints a line with the token of the claim and the id, then the value; with --json an object. Nobody else gets the item before the
/// claim ends: queue ack removes it when it is done, queue nack gives it back, queue extend keeps it for longer. Otherwise the
/// claim lapses, and somebody else gets the item; writes with --fence TOKEN are refused from then on. Where there is nothing to be had
/// the exit code is 2; 4 when --wait was not long enough.
#[derive(clap::Args)]
pub struct Claim {
    /// The queue; nothing with -p or -n
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,

    /// How long the claim lasts: seconds, or 1m30s
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ttl: String,

    /// How long to wait for an item
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    wait: Option<String>,
}

impl Run for Claim {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const ONCE: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let queue = only_queue(cx, &self.words)?;
        let ttl = lasts(&self.ttl)?;
        let wait = waiting::span_of("--wait", self.wait.as_deref())?;
        // Who waits for the first item may be here before the database is.
        let mut store = if wait.is_some() { cx.open_to_write()? } else { cx.open_to_change()? };
        let claimed = claim(cx, &mut store, &queue, ttl, wait)?;
        let note = claimed.note.as_ref().map(|note| match &note.from {
            Some(from) => format!("{from}: {}", note.text),
            None => note.text.clone(),
        });
        if cx.json() {
            Object::begin(cx.out.buffer())
                .text("id", &claimed.id)
                .number("fence", claimed.fence.0)
                .number("tries", claimed.tries.into())
                .number("priority", claimed.priority.into())
                .value(&claimed.value)
                .text_or_null("note", note.as_deref())
                .end();
        } else {
            cx.out.line(&format!("{} {}", claimed.fence.0, claimed.id));
            cx.out.push(&claimed.value);
        }
        cx.out.push(b"\n");
        if let (Some(note), false) = (&note, cx.json()) {
            output::note(&format!("handed on by {}", output::printable(note)));
        }
        // An item that nobody has seen is nobody's, unless it is asked for again.
        let is_asked_again = cx.op.is_some();
        cx.out.flush().inspect_err(|_| {
            if !is_asked_again {
                drop(store.unclaim(&queue, claimed.fence));
            }
        })?;
        Ok(Code::Done)
    }
}

fn claim(
    cx: &Context,
    store: &mut Session,
    queue: &Namespace,
    ttl: Ttl,
    wait: Option<Ttl>,
) -> Result<Claimed, Failure> {
    let explain = |error: Error| cx.with_hint(error.into());
    let waiting = Waiting::begin(wait);
    loop {
        let mark = waiting.mark(cx, store)?;
        if let Some(claimed) = store.claim(queue, ttl).map_err(explain)? {
            return Ok(claimed);
        }
        let next = match mark {
            Some(_) => store.until_next(queue).map_err(explain)?,
            None => None,
        };
        if !waiting.pause(cx, store, mark, next.unwrap_or(Duration::MAX))? {
            let (code, kind) =
                if wait.is_some() { (Code::TimedOut, "timeout") } else { (Code::Missing, "not_found") };
            let what = format!("{} has nothing to hand out", queue.display(cx.notation.delimiter));
            return Err(Failure { retryable: true, ..Failure::new(code, kind, what) });
        }
        // Whoever waits may have lost the right to it meanwhile.
        store.renew_identity().map_err(explain)?;
    }
}
