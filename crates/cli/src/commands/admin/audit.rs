use prontodb_core::Millis;
use prontodb_core::auth::{Chain, Event, Verified};

use crate::commands::{Addressing, Run};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output::bounded::{Bounded, Bounds, Form};
use crate::output::json::Object;
use crate::output::{self, counted, printable};

/// How many events are read at a time.
const PAGE: usize = 1000;

/// List who did what, when, from where
///
/// The oldest first: moment, who, from where, done or refused, what, to what. Never values, never secrets. Each record has the
/// hash of the one before it in its own. --verify looks whether all of them fit, names the first that does not, with exit code 1,
/// and else prints the hashes of the first and the last: note the last one elsewhere, and --expect HASH looks whether that record
/// is still there.
#[derive(clap::Args)]
pub struct Audit {
    /// Look whether each record follows the one before it, and list none
    #[arg(long, conflicts_with_all = ["max_bytes", "after"])]
    verify: bool,

    /// The hash of a record that has to be there
    #[arg(long, value_name = "HASH", requires = "verify")]
    expect: Option<String>,

    #[command(flatten)]
    bounds: Bounds,
}

impl Run for Audit {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let store = cx.open_existing()?;
        if self.verify {
            let verified = store.verify_audit_log(self.expect.as_deref());
            return told(cx, verified.map_err(|error| cx.with_hint(error.into()))?);
        }
        let list = self.fill(cx, &store)?;
        list.end(&mut cx.out)?;
        cx.out.flush()?;
        list.tell_next();
        if list.shown() == 0 && self.bounds.after.is_none() {
            output::note("nothing is in the audit log");
        }
        Ok(Code::Done)
    }
}

impl Audit {
    /// Keeps as many events as are wanted for the end of the list; without a limit in bytes, what comes first is printed
    /// meanwhile.
    fn fill(&self, cx: &mut Context, store: &Session) -> Result<Bounded, Failure> {
        let is_json = cx.json();
        let form = if is_json { Form::Json } else { Form::Lines };
        let mut list = Bounded::begin(&mut cx.out, form, self.bounds.max_bytes);
        let mut after = self.bounds.after.clone().unwrap_or_default();
        loop {
            let page = store.audit_log(&after, PAGE).map_err(|error| cx.with_hint(error.into()))?;
            for (key, event) in &page {
                let is_shown = list.add(&mut cx.out, [key, ""], |out| match is_json {
                    true => push_object(out.buffer(), event),
                    false => out.line(&columns(event)),
                });
                if !is_shown {
                    return Ok(list);
                }
            }
            if list.flows() {
                cx.out.flush()?;
            }
            let Some((last, _)) = page.into_iter().last() else { return Ok(list) };
            after = last;
        }
    }
}

/// Prints what was found, or fails with what does not fit.
fn told(cx: &mut Context, verified: Verified) -> Result<Code, Failure> {
    let Chain { records, unchained, first, last } = match verified {
        Verified::Whole(chain) => chain,
        Verified::Broken(broken) => {
            let place = broken.key.map_or_else(String::new, |key| format!(" at record {}", printable(&key)));
            let what = format!("the audit log does not fit{place}; {}", broken.what);
            return Err(Failure::new(Code::Error, "audit_log", what));
        }
    };
    if cx.json() {
        Object::begin(cx.out.buffer())
            .number("records", records)
            .number("unchained", unchained)
            .text_or_null("first", first.as_deref())
            .text_or_null("last", last.as_deref())
            .end();
        cx.out.push(b"\n");
    } else {
        cx.out.line(&format!("records\t{records}"));
        if let (Some(first), Some(last)) = (first, last) {
            cx.out.line(&format!("first\t{first}\nlast\t{last}"));
        }
    }
    cx.out.flush()?;
    if unchained > 0 && !cx.json() {
        let before = counted(unchained, "record of an earlier program is", "records of earlier programs are");
        output::note(&format!("{before} in no chain, which begins behind that"));
    }
    Ok(Code::Done)
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
