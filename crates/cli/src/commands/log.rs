use std::ffi::OsString;

use prontodb_core::store::{LogQuery, Logged, Scope};
use prontodb_core::{Address, Listing, Millis, Notation, Past, Version};

use super::Run;
use super::history::{front, push_past, reason};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output::bounded::{Bounded, Form};
use crate::output::json::Object;
use crate::output::{self, Out};

/// How many changes are read at a time.
const PAGE: usize = 1000;

/// List the changes of many entries
///
/// The newest first, of all that may be read and that keeps history: version, when, who, what was done, size, address and
/// reason, tabs between. Changes that were made by one write share their version. The argument means what it means to keys.
#[derive(clap::Args)]
pub struct Log {
    /// What keys or addresses start with
    prefix: Option<OsString>,

    /// Only those that this user has made
    #[arg(long, value_name = "USER")]
    by: Option<String>,

    /// No more than so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Begin behind the change of this version and address
    #[arg(long, value_name = "'VERSION ADDRESS'")]
    after: Option<String>,

    /// No more than so many bytes in all, whole changes; then stderr, or "next" in JSON, says what to go on with
    #[arg(long, value_name = "N")]
    max_bytes: Option<u64>,
}

impl Run for Log {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let scope = cx.scope(self.prefix.as_deref())?;
        let store = cx.open_existing()?;
        require_history(cx, &store, &scope)?;
        let query = LogQuery { scope: &scope, by: self.by.as_deref() };
        let list = self.fill(cx, &store, &query)?;
        list.end(&mut cx.out)?;
        cx.out.flush()?;
        list.tell_next();
        if list.shown() == 0 {
            output::note(why_empty(cx, &store, &scope)?);
        }
        Ok(Code::Done)
    }
}

impl Log {
    /// Keeps as many changes as are wanted for the end of the list; without a limit in bytes, what comes first is printed
    /// meanwhile.
    fn fill(&self, cx: &mut Context, store: &Session, query: &LogQuery<'_>) -> Result<Bounded, Failure> {
        let mut after = self.after.as_deref().map(|text| place(cx, text)).transpose()?;
        let (is_json, now) = (cx.json(), store.now());
        let form = if is_json { Form::Json } else { Form::Lines };
        let mut list = Bounded::begin(&mut cx.out, form, self.max_bytes);
        let mut left = self.limit.unwrap_or(usize::MAX);
        while !list.flows() || left > 0 {
            // Where it matters whether there is more, one more than is shown.
            let wanted = if list.flows() { left } else { left.saturating_add(1) };
            let behind = after.as_ref().map(|(version, address)| (*version, address));
            let page = store.log(query, behind, wanted.min(PAGE));
            let page = page.map_err(|error| cx.with_hint(error.into()))?;
            for logged in &page {
                if left == 0 {
                    list.cut();
                    return Ok(list);
                }
                let address = cx.show(&logged.address);
                let version = format!("{} ", logged.past.head.version);
                let is_shown = list.add(&mut cx.out, [&version, &address], |out| match is_json {
                    true => push_json(out, &address, &logged.past),
                    false => out.line(&columns(&address, &logged.past, now)),
                });
                if !is_shown {
                    return Ok(list);
                }
                left -= 1;
            }
            if list.flows() {
                cx.out.flush()?;
            }
            let Some(Logged { address, past }) = page.into_iter().last() else { break };
            after = Some((past.head.version, address));
        }
        Ok(list)
    }
}

/// Reads which change is meant, as `next` names it.
fn place(cx: &Context, text: &str) -> Result<(Version, Address), Failure> {
    let wanted = || Failure::usage("--after wants a version and an address, as in '812 shop.prices.apple'");
    let (version, address) = text.split_once(' ').ok_or_else(wanted)?;
    let version = version.parse().map_err(|_| wanted())?;
    let notation = Notation { delimiter: cx.notation.delimiter, ..Notation::default() };
    let address = notation.address(address).map_err(|error| Failure::usage(format!("--after: {error}")))?;
    Ok((Version(version), address))
}

fn columns(address: &str, past: &Past, now: Millis) -> String {
    format!("{}\t{address}\t{}", front(past, now), reason(past))
}

fn push_json(out: &mut Out, address: &str, past: &Past) {
    let mut object = Object::begin(out.buffer());
    object.text("k", address);
    push_past(&mut object, past);
    object.end();
}

/// Refuses the one namespace that is meant where it keeps no history.
pub fn require_history(cx: &Context, store: &Session, scope: &Scope) -> Result<(), Failure> {
    match &scope.listing {
        Listing::Within { namespace, .. } => {
            store.require_history(namespace).map_err(|error| cx.with_hint(error.into()))
        }
        _ => Ok(()),
    }
}

/// Why there is nothing to list.
fn why_empty(cx: &Context, store: &Session, scope: &Scope) -> Result<&'static str, Failure> {
    let kept = store.histories(scope).map_err(|error| cx.with_hint(error.into()))?;
    Ok(match (kept.is_empty(), &scope.listing) {
        (true, Listing::All | Listing::StartingWith(_)) => {
            "nothing that matches keeps history; prontodb admin namespace set P.N history=20 has a namespace keep it"
        }
        _ => "nothing matches",
    })
}
