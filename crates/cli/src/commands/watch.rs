use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use prontodb_core::engine::{Awaited, Fields, Row, Wait};
use prontodb_core::store::{Event, Op, Position, Query, Scope, Sink, Watch as Watching};
use prontodb_core::{Delimiter, Error, ErrorKind, Head, Namespace, Result as CoreResult, Version};

use super::Run;
use crate::context::{Context, Session};
use crate::engines::Lifetime;
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::{self, Out};
use crate::waiting;

/// Print changes of entries as they are made
///
/// A line each, in order, tabs between: its position, what it was, the address. An entry is set, deleted, expired or evicted (its
/// cache had no room for it); dropped is all of a namespace at once. With --jsonl an object each, with the value as long as that is
/// still what the change has made of it; after "superseded":true another change of the entry follows.
///
/// Covers what keys covers. A position is a revision and the number of a change of it, 812.3; --from goes on behind one, or behind
/// all of a revision, and nothing is missing or comes twice. Once somebody has watched, changes are kept for a week, the last
/// 100,000 of them. Those that are not kept any more end the command with exit code 3. A database that is not there yet is waited for,
/// and what its first writes have made comes as with --snapshot.
#[derive(clap::Args)]
pub struct Watch {
    /// What keys or addresses start with
    prefix: Option<OsString>,

    /// Go on behind this position, or behind all of this revision
    #[arg(long, value_name = "REVISION[.N]", conflicts_with = "snapshot")]
    from: Option<String>,

    /// Begin with the entries there are, and a line that says which revision they are of
    #[arg(long)]
    snapshot: bool,

    /// One JSON object a line
    #[arg(long)]
    jsonl: bool,

    /// End after so many lines
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// End with exit code 4 when nothing has changed for so long
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    timeout: Option<String>,
}

impl Run for Watch {
    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let scope = cx.scope(self.prefix.as_deref())?;
        let timeout = self.timeout.as_deref().map(|text| waiting::span("--timeout", text)).transpose()?;
        let timeout = timeout.map(|timeout| timeout.map_or(Duration::ZERO, waiting::duration));
        let from = self.from.as_deref().map(str::parse::<Position>).transpose();
        let from = from.map_err(|error| Failure::usage(format!("--from: {error}")))?;
        cx.lifetime = Lifetime::Long;
        let is_json = self.jsonl || cx.json();
        let (mut store, from, snapshot) = match cx.open_if_there()? {
            Some(store) => (store, from, self.snapshot),
            None => match self.database(cx, &scope, from, timeout)? {
                Some(store) => (store, None, true),
                None => return Ok(Code::Done),
            },
        };
        let watching = self.begin(cx, &store, &scope, from)?;
        if from.is_none() && !snapshot {
            output::note(&format!("watching from revision {} on", watching.position().revision));
        }
        let printer = Printer { is_json, left: self.limit, delimiter: cx.notation.delimiter };
        let mut run = Running { cx, watching, printer, timeout };
        if snapshot && run.snapshot(&store, &scope)?.is_break() {
            return Ok(Code::Done);
        }
        run.follow(&mut store, io::stdout().as_fd())
    }
}

impl Watch {
    /// Begins to watch, unless changes are missing by now.
    fn begin(
        &self,
        cx: &mut Context,
        store: &Session,
        scope: &Scope,
        from: Option<Position>,
    ) -> Result<Watching, Failure> {
        let is_json = self.jsonl || cx.json();
        store.watch(scope.clone(), is_json, from).map_err(|error| match from {
            Some(from) if is_json => ended(cx, store, from, error),
            _ => told(cx, error),
        })
    }

    /// The database, once it is there; `None` when nobody reads the answer any more. Until then it is an empty one, and whoever
    /// goes on behind changes of it has missed them.
    fn database(
        &self,
        cx: &mut Context,
        scope: &Scope,
        from: Option<Position>,
        timeout: Option<Duration>,
    ) -> Result<Option<Session>, Failure> {
        let empty = cx.open_existing()?;
        self.begin(cx, &empty, scope, from)?;
        let begun = Instant::now();
        let left = || timeout.unwrap_or(Duration::MAX).saturating_sub(begun.elapsed());
        match (waiting::database(cx, &left)?, timeout) {
            (None, Some(timeout)) if left().is_zero() => Err(timed_out(timeout)),
            (opened, _) => Ok(opened),
        }
    }
}

/// A watch under way.
struct Running<'a> {
    cx: &'a mut Context,
    watching: Watching,
    printer: Printer,
    timeout: Option<Duration>,
}

impl Running<'_> {
    /// Prints the entries there are. What is written meanwhile is left to the changes that follow.
    fn snapshot(&mut self, store: &Session, scope: &Scope) -> Result<ControlFlow<()>, Failure> {
        let revision = self.watching.position().revision;
        let query = Query {
            prefix: scope.prefix().to_owned(),
            context: scope.context.clone(),
            fields: if self.printer.is_json { Fields::All } else { Fields::Heads },
            ..Query::default()
        };
        let spaces = store.namespaces(None).map_err(|error| told(self.cx, error))?;
        let mut namespaces: Vec<_> = spaces.into_iter().map(|space| space.namespace).collect();
        namespaces.retain(|namespace| scope.covers(namespace));
        if self.printer.is_json {
            // Nothing is printed when some of it cannot be.
            store.require_values(&namespaces).map_err(|error| told(self.cx, error))?;
        }
        for namespace in namespaces {
            if self.printer.left == Some(0) {
                break;
            }
            let mut sink = Entries {
                out: &mut self.cx.out,
                printer: &mut self.printer,
                namespace: &namespace,
                revision,
                failure: None,
            };
            let listed = store.list(&namespace, &query, &mut sink).map(drop);
            sink.failure.map_or(Ok(()), Err)?;
            listed.map_err(|error| told(self.cx, error))?;
        }
        if self.printer.left == Some(0) {
            return Ok(ControlFlow::Break(()));
        }
        self.printer.end_of_snapshot(&mut self.cx.out, revision);
        self.cx.out.flush()?;
        Ok(self.flow())
    }

    /// Prints changes as they come.
    fn follow(&mut self, store: &mut Session, reader: BorrowedFd<'_>) -> Result<Code, Failure> {
        let mut quiet = Instant::now();
        while self.flow().is_continue() {
            store.renew_identity().map_err(|error| told(self.cx, error))?;
            let events = match self.watching.next(store) {
                Ok(events) => events,
                Err(error) if self.printer.is_json => {
                    return Err(ended(self.cx, store, self.watching.position(), error));
                }
                Err(error) => return Err(told(self.cx, error)),
            };
            if events.is_empty() {
                let timeout = self.timeout.unwrap_or(Duration::MAX);
                let at_most = timeout.saturating_sub(quiet.elapsed());
                if let (true, Some(timeout)) = (at_most.is_zero(), self.timeout) {
                    return Err(timed_out(timeout));
                }
                let wait = Wait { at_most, reader: Some(reader) };
                match self.watching.wait(store, wait).map_err(|error| told(self.cx, error))? {
                    Awaited::ReaderGone => break,
                    Awaited::Changed | Awaited::TimedOut => continue,
                }
            }
            events.iter().for_each(|event| self.printer.event(&mut self.cx.out, event));
            self.cx.out.flush()?;
            quiet = Instant::now();
        }
        Ok(Code::Done)
    }

    /// Whether more is wanted.
    fn flow(&self) -> ControlFlow<()> {
        if self.printer.left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Tells that changes behind a position were missed, where they were, in the answer, too.
fn ended(cx: &mut Context, store: &Session, after: Position, error: Error) -> Failure {
    if error.kind() == ErrorKind::Missed {
        let mut object = Object::begin(cx.out.buffer());
        object.text("op", "overflow").text("after", &after.to_string());
        object.number_or_null("revision", store.revision().ok().map(|revision| revision.0));
        object.text("message", &error.to_string()).end();
        cx.out.push(b"\n");
        if let Err(failure) = cx.out.flush() {
            return failure;
        }
    }
    told(cx, error)
}

fn timed_out(timeout: Duration) -> Failure {
    let what = format!("nothing has changed for {timeout:?}");
    Failure { retryable: true, ..Failure::new(Code::TimedOut, "timeout", what) }
}

/// A failure with what to do about it.
fn told(cx: &Context, error: Error) -> Failure {
    match error.kind() {
        ErrorKind::Missed => Failure::from(error).hint("--snapshot begins with all that is there now"),
        _ => cx.with_hint(error.into()),
    }
}

/// Writes entries and changes down, as many as are wanted.
struct Printer {
    is_json: bool,
    left: Option<u64>,
    delimiter: Delimiter,
}

impl Printer {
    /// Counts a line; false when no more are wanted.
    fn counts(&mut self) -> bool {
        let is_wanted = self.left != Some(0);
        self.left = self.left.map(|left| left.saturating_sub(1));
        is_wanted
    }

    fn event(&mut self, out: &mut Out, event: &Event) {
        if !self.counts() {
            return;
        }
        let namespace = event.namespace.display(self.delimiter);
        let address = event.name.as_ref().map(|name| format!("{namespace}{}{name}", self.delimiter));
        if !self.is_json {
            let address = address.as_deref().unwrap_or(&namespace);
            return out.line(&format!("{}\t{}\t{address}", event.position, event.op.name()));
        }
        let mut object = Object::begin(out.buffer());
        object
            .text("position", &event.position.to_string())
            .number("revision", event.position.revision.0)
            .text("op", event.op.name());
        match &address {
            Some(address) => object.text("k", address),
            None => object.text("ns", &namespace),
        };
        object.moment("at", Some(event.at)).text_or_null("writer", event.writer.as_deref());
        match &event.entry {
            Some(entry) => push_entry(object.value(&entry.value), &entry.head),
            None if event.op == Op::Set => drop(object.raw("superseded", "true")),
            None => {}
        }
        object.end();
        out.push(b"\n");
    }

    fn entry(&mut self, out: &mut Out, namespace: &Namespace, row: Row<'_>) {
        if !self.counts() {
            return;
        }
        let address = format!("{}{}{}", namespace.display(self.delimiter), self.delimiter, row.name);
        let Some(head) = row.head.filter(|_| self.is_json) else {
            return out.line(&format!("-\tentry\t{address}"));
        };
        let mut object = Object::begin(out.buffer());
        object.number("revision", head.version.0).text("op", "entry").text("k", &address);
        object.moment("at", Some(head.updated)).text_or_null("writer", head.writer.as_deref());
        push_entry(object.value(row.value), head);
        object.end();
        out.push(b"\n");
    }

    fn end_of_snapshot(&mut self, out: &mut Out, revision: Version) {
        if !self.counts() {
            return;
        }
        if !self.is_json {
            return out.line(&format!("{revision}\tsnapshot\t-"));
        }
        let mut object = Object::begin(out.buffer());
        object.text("position", &revision.to_string()).number("revision", revision.0);
        object.text("op", "snapshot").end();
        out.push(b"\n");
    }
}

/// What is told of an entry besides its value, its version, its last writer and when that was.
fn push_entry(object: &mut Object<'_>, head: &Head) {
    object.moment("created", Some(head.created)).moment("expires", head.expires).number("size", head.size);
    if let Some(metakeys) = &head.metakeys {
        object.raw("metakeys", &metakeys.to_json());
    }
}

/// Prints the entries of a namespace that are as old as a snapshot.
struct Entries<'a> {
    out: &'a mut Out,
    printer: &'a mut Printer,
    namespace: &'a Namespace,
    revision: Version,
    failure: Option<Failure>,
}

impl Sink for Entries<'_> {
    fn row(&mut self, row: Row<'_>) {
        if row.head.is_some_and(|head| head.version <= self.revision) {
            self.printer.entry(self.out, self.namespace, row);
        }
    }

    fn page(&mut self) -> CoreResult<ControlFlow<()>> {
        match self.out.flush() {
            Ok(()) if self.printer.left == Some(0) => Ok(ControlFlow::Break(())),
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(failure) => {
                self.failure = Some(failure);
                Ok(ControlFlow::Break(()))
            }
        }
    }
}
