use std::ffi::OsString;

use prontodb_core::store::{Item, QueuePlace};

use super::only_queue;
use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::bounded::Bounds;
use crate::output::json::Object;
use crate::output::{Out, printable};

/// List the items of a queue
///
/// The ready ones in the order in which they are handed out, then those that are delayed, handed to somebody, claimed and dead. A line
/// each: id, place, priority, claims so far and at most, and behind that when a delay is over, who gets it, or the token of the claim;
/// tabs between.
#[derive(clap::Args)]
pub struct List {
    /// The queue; nothing with -p or -n
    #[arg(value_name = "PROJECT.NAMESPACE")]
    words: Vec<OsString>,

    #[command(flatten)]
    bounds: Bounds,
}

impl Run for List {
    const ADDRESSING: Addressing = Addressing::Namespace;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let queue = only_queue(cx, &self.words)?;
        let items = cx.open_existing()?.items(&queue).map_err(|error| cx.with_hint(error.into()))?;
        let is_json = cx.json();
        let show = |out: &mut Out, item: &Item| match is_json {
            true => push_json(out.buffer(), item),
            false => out.line(&shown(item)),
        };
        let Bounds { max_bytes, after } = self.bounds;
        let items = after.as_deref().map_or(Ok(&items[..]), |after| behind(&items, after))?;
        Bounds { max_bytes, after: None }.print(&mut cx.out, is_json, items, |item| &item.id, show)?;
        Ok(Code::Done)
    }
}

/// The items behind the one with this id; they do not come by their ids, and it may have gone.
fn behind<'i>(items: &'i [Item], after: &str) -> Result<&'i [Item], Failure> {
    let place = items.iter().position(|item| item.id == after);
    place.map(|place| &items[place + 1..]).ok_or_else(|| {
        let what = format!("there is no item {} any more, where the list is to go on", printable(after));
        Failure::invalid(what).hint("begin the list anew, without --after")
    })
}

fn word(place: &QueuePlace) -> &'static str {
    match place {
        QueuePlace::Ready => "ready",
        QueuePlace::Delayed(_) => "delayed",
        QueuePlace::Handed(_) => "handed",
        QueuePlace::Claimed(_) => "claimed",
        QueuePlace::Dead => "dead",
    }
}

fn shown(item: &Item) -> String {
    let more = match &item.place {
        QueuePlace::Ready | QueuePlace::Dead => "-".to_owned(),
        QueuePlace::Delayed(until) => until.to_string(),
        QueuePlace::Handed(user) => printable(user),
        QueuePlace::Claimed(fence) => fence.0.to_string(),
    };
    let Item { id, place, priority, tries, most_tries } = item;
    format!("{id}\t{}\t{priority}\t{tries}\t{most_tries}\t{more}", word(place))
}

/// An item as a JSON object.
pub fn push_json(out: &mut Vec<u8>, item: &Item) {
    let mut object = Object::begin(out);
    object
        .text("id", &item.id)
        .text("place", word(&item.place))
        .number("priority", item.priority.into())
        .number("tries", item.tries.into())
        .number("most_tries", item.most_tries.into());
    match &item.place {
        QueuePlace::Ready | QueuePlace::Dead => {}
        QueuePlace::Delayed(until) => drop(object.text("until", &until.to_string())),
        QueuePlace::Handed(user) => drop(object.text("to", user)),
        QueuePlace::Claimed(fence) => drop(object.number("fence", fence.0)),
    }
    object.end();
}
