use std::ffi::OsString;

use prontodb_core::store::{LogQuery, Logged, Scope};
use prontodb_core::{Listing, Millis};

use super::Run;
use super::history::{front, push_past, reason};
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output::{self, json::Object};

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
}

impl Run for Log {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let scope = cx.scope(self.prefix.as_deref())?;
        let store = cx.open_existing()?;
        require_history(cx, &store, &scope)?;
        let query = LogQuery { scope: &scope, by: self.by.as_deref() };
        let shown = print(cx, &store, &query, self.limit.unwrap_or(usize::MAX))?;
        if shown == 0 {
            output::note(why_empty(cx, &store, &scope)?);
        }
        Ok(Code::Done)
    }
}

fn print(cx: &mut Context, store: &Session, query: &LogQuery<'_>, limit: usize) -> Result<usize, Failure> {
    let (is_json, now) = (cx.json(), store.now());
    let (mut shown, mut after) = (0, None);
    while shown < limit {
        let page = store.log(query, after.as_ref(), PAGE.min(limit - shown));
        let page = page.map_err(|error| cx.with_hint(error.into()))?;
        for logged in &page {
            if is_json {
                cx.out.push(if shown == 0 { b"[" } else { b"," });
                push_json(cx, logged);
            } else {
                let line = columns(cx, logged, now);
                cx.out.line(&line);
            }
            shown += 1;
        }
        cx.out.flush()?;
        let Some(last) = page.into_iter().last() else { break };
        after = Some(last);
    }
    if is_json {
        cx.out.push(if shown == 0 { b"[]\n" } else { b"]\n" });
    }
    cx.out.flush()?;
    Ok(shown)
}

fn columns(cx: &Context, Logged { address, past }: &Logged, now: Millis) -> String {
    format!("{}\t{}\t{}", front(past, now), cx.show(address), reason(past))
}

fn push_json(cx: &mut Context, Logged { address, past }: &Logged) {
    let shown = cx.show(address);
    let mut object = Object::begin(cx.out.buffer());
    object.text("k", &shown);
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
