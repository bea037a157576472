use std::ffi::OsString;

use prontodb_core::{Address, Head, Millis, Past, Record, Version};

use super::Run;
use crate::context::{Context, Session};
use crate::exit::{Code, Failure};
use crate::output::bounded::{Bounded, Form};
use crate::output::json::Object;
use crate::output::{self, Out, printable};

/// How many versions are read at a time.
const PAGE: usize = 1000;

/// List the versions of an entry that are kept
///
/// The newest first, a line each: version, when, who, what was done, size and reason, tabs between. What was done is found (it
/// was there before the history began), created, set, touched, deleted or evicted; behind it stands `expired` where the
/// version has. The namespace keeps versions from admin namespace set P.N history=N on; get --version prints one.
#[derive(clap::Args)]
pub struct History {
    /// Whose versions
    address: Option<OsString>,

    /// No more than so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Begin behind this version, with the one before it
    #[arg(long, value_name = "VERSION")]
    after: Option<u64>,

    /// No more than so many bytes in all, whole versions; then stderr, or "next" in JSON, says what to go on with
    #[arg(long, value_name = "N")]
    max_bytes: Option<u64>,

    /// The values, too; with --json
    #[arg(long)]
    values: bool,
}

impl Run for History {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        if self.values && !cx.json() {
            return Err(Failure::usage("--values needs --json, so that values and lines can be told apart"));
        }
        let address = cx.take_only_address(self.address.as_slice())?;
        let store = cx.open_existing()?;
        let list = self.fill(cx, &store, &address)?;
        if list.shown() == 0 && !list.is_cut() && self.limit != Some(0) {
            match self.after {
                Some(_) => output::note("no version that is kept comes behind that"),
                None => {
                    let what = format!("there is no version of {} that is kept", cx.show(&address));
                    return Err(Failure::new(Code::Missing, "not_found", what));
                }
            }
        }
        list.end(&mut cx.out)?;
        cx.out.flush()?;
        list.tell_next();
        Ok(Code::Done)
    }
}

impl History {
    /// Keeps as many versions as are wanted for the end of the list; without a limit in bytes, what comes first is printed
    /// meanwhile.
    fn fill(&self, cx: &mut Context, store: &Session, address: &Address) -> Result<Bounded, Failure> {
        let (is_json, now) = (cx.json(), store.now());
        let form = if is_json { Form::Json } else { Form::Lines };
        let mut list = Bounded::begin(&mut cx.out, form, self.max_bytes);
        let (mut left, mut before) = (self.limit.unwrap_or(usize::MAX), self.after.map(Version));
        loop {
            // Where it matters whether there is more, one more than is shown.
            let wanted = if list.flows() { left } else { left.saturating_add(1) };
            let page = store.versions(address, before, wanted.min(PAGE));
            let page = page.map_err(|error| cx.with_hint(error.into()))?;
            for past in &page {
                if left == 0 {
                    list.cut();
                    return Ok(list);
                }
                let value = self.value(cx, store, address, past)?;
                let version = past.head.version.to_string();
                let is_shown = list.add(&mut cx.out, [&version, ""], |out| match is_json {
                    true => self.push_json(out, past, value),
                    false => out.line(&columns(past, now)),
                });
                if !is_shown {
                    return Ok(list);
                }
                left -= 1;
            }
            before = page.last().map(|past| past.head.version);
            if before.is_none() || (list.flows() && left == 0) {
                return Ok(list);
            }
            if list.flows() {
                cx.out.flush()?;
            }
        }
    }

    /// The value of a version, where it is wanted and has one.
    fn value(
        &self,
        cx: &Context,
        store: &Session,
        address: &Address,
        past: &Past,
    ) -> Result<Option<Record>, Failure> {
        match self.values && !past.deed.is_removal() {
            true => store.get_version(address, past.head.version).map_err(|error| cx.with_hint(error.into())),
            false => Ok(None),
        }
    }

    fn push_json(&self, out: &mut Out, past: &Past, value: Option<Record>) {
        let mut object = Object::begin(out.buffer());
        push_past(&mut object, past);
        match value {
            Some(record) => drop(object.value(&record.value)),
            None if self.values => drop(object.raw("v", "null")),
            None => {}
        }
        object.end();
    }
}

/// Version, moment, writer, deed and size of a change, tabs between.
pub fn front(past: &Past, now: Millis) -> String {
    let Head { version: Version(version), updated, writer, size, .. } = &past.head;
    let is_expired = past.ended.is_some_and(|ended| Some(ended) == past.head.expires && ended <= now);
    let expired = if is_expired { ", expired" } else { "" };
    let size = if past.deed.is_removal() { "-".to_owned() } else { size.to_string() };
    let writer = printable(writer.as_deref().unwrap_or("-"));
    format!("{version}\t{updated}\t{writer}\t{}{expired}\t{size}", past.deed.name())
}

/// The reason of a change, if there is one.
pub fn reason(past: &Past) -> String {
    printable(past.reason.as_deref().unwrap_or("-"))
}

fn columns(past: &Past, now: Millis) -> String {
    format!("{}\t{}", front(past, now), reason(past))
}

/// Adds all of a change but its value.
pub fn push_past(object: &mut Object<'_>, past: &Past) {
    let head = &past.head;
    object
        .number("version", head.version.0)
        .moment("at", Some(head.updated))
        .text_or_null("writer", head.writer.as_deref())
        .text("what", past.deed.name())
        .number_or_null("size", Some(head.size).filter(|_| !past.deed.is_removal()))
        .moment("expires", head.expires)
        .moment("ended", past.ended)
        .text_or_null("reason", past.reason.as_deref());
    if let Some(metakeys) = &head.metakeys {
        object.raw("metakeys", &metakeys.to_json());
    }
}
