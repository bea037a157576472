//! The tools of a server: what an agent may call.
//!
//! A tool is its arguments and what is done with them; [`definitions`] has what is told of it, and the table below its name.

mod change;
mod get;
mod list;
mod lock;
mod queue;
mod txn;
mod value;

use prontodb_core::{Error, Ttl};
use rmcp::model::{JsonObject, Tool};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Number;

use super::desk::Desk;
use super::scope::{Reach, Scope};
use crate::exit::{Code, Failure};
use crate::output::Out;
use crate::output::bounded::{Bounded, Form};

/// What a call comes to.
pub enum Answer {
    /// It is done: JSON.
    Done(Vec<u8>),
    /// The same, and how it is undone where nobody waits for the answer any more.
    Taken(Vec<u8>, Undo),
    /// It cannot be done yet, and why; whoever waits tries again.
    NotYet(Failure),
}

/// Gives back what a call has taken.
pub type Undo = Box<dyn FnOnce(&mut Desk) -> Result<(), Failure> + Send>;

/// A call whose arguments have been read.
pub trait Call: Send + Sync {
    /// How long it waits where it cannot be done yet.
    fn wait(&self) -> Result<Option<Ttl>, Failure> {
        Ok(None)
    }

    /// Does it.
    fn run(&self, desk: &mut Desk) -> Result<Answer, Failure>;
}

type Read = fn(&[u8]) -> Result<Box<dyn Call>, Failure>;

/// A tool: its name, whether it changes anything, and how its arguments are read.
struct Entry {
    name: &'static str,
    writes: bool,
    read: Read,
}

const fn reader<C: Call + DeserializeOwned + 'static>(name: &'static str) -> Entry {
    Entry { name, writes: false, read: read::<C> }
}

const fn writer<C: Call + DeserializeOwned + 'static>(name: &'static str) -> Entry {
    Entry { name, writes: true, read: read::<C> }
}

static TOOLS: &[Entry] = &[
    reader::<get::Get>("get"),
    reader::<list::List>("list"),
    writer::<change::Set>("set"),
    writer::<change::Update>("update"),
    writer::<change::Delete>("delete"),
    writer::<txn::Transaction>("txn"),
    writer::<lock::Locking>("lock"),
    writer::<queue::Queue>("queue"),
];

/// Reads the arguments of a tool; `None` where this server has no such tool.
pub fn call(name: &str, arguments: &[u8], read_only: bool) -> Option<Result<Box<dyn Call>, Failure>> {
    let tool = TOOLS.iter().find(|tool| tool.name == name && !(read_only && tool.writes))?;
    Some((tool.read)(arguments))
}

/// What is told of the tools.
pub fn definitions(scope: &Scope, read_only: bool) -> Vec<Tool> {
    let text = include_str!("definitions.json").replace("ADDRESS", &scope.form());
    let text = text.replace("PREFIX", &scope.prefix_form()).replace("QUEUE", &scope.queue_form());
    let told: Vec<Told> = serde_json::from_str(&text).unwrap_or_default();
    let is_there =
        |tool: &Told| TOOLS.iter().any(|entry| entry.name == tool.name && !(read_only && entry.writes));
    told.into_iter().filter(is_there).map(|tool| tool.definition(scope)).collect()
}

/// What is told of a tool, without what is the same for all.
#[derive(Deserialize)]
struct Told {
    name: String,
    about: String,
    arguments: JsonObject,
    #[serde(default)]
    required: Vec<String>,
}

impl Told {
    fn definition(mut self, scope: &Scope) -> Tool {
        if self.name == "queue" && scope.reach == Reach::Namespace {
            self.arguments.remove("queue");
        }
        let mut schema = JsonObject::new();
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), self.arguments.into());
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), self.required.into());
        }
        Tool::new(self.name, self.about, schema)
    }
}

fn read<C: Call + DeserializeOwned + 'static>(arguments: &[u8]) -> Result<Box<dyn Call>, Failure> {
    match serde_json::from_slice::<C>(arguments) {
        Ok(call) => Ok(Box::new(call)),
        Err(error) => Err(Failure::invalid(format!("the arguments are not those of the tool: {error}"))),
    }
}

/// A time: seconds as a number or a text, or `1m30s`.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Span {
    Seconds(Number),
    Text(String),
}

impl Span {
    fn ttl(&self, what: &str) -> Result<Ttl, Failure> {
        let text = match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Text(text) => text.clone(),
        };
        Ttl::parse(&text).map_err(|error| Failure::invalid(format!("{what}: {error}")))
    }
}

/// Reads a time that need not be there.
fn span(what: &str, span: Option<&Span>) -> Result<Option<Ttl>, Failure> {
    span.map(|span| span.ttl(what)).transpose()
}

/// An argument that this action needs.
fn needed<'a, T: ?Sized>(what: &str, argument: Option<&'a T>) -> Result<&'a T, Failure> {
    argument.ok_or_else(|| Failure::invalid(format!("{what} is missing")))
}

/// Refuses arguments that mean nothing to what is done: each with whether it is given, and which ones are taken.
fn refuse_others(done: &str, given: &[(&str, bool)], taken: &[&str]) -> Result<(), Failure> {
    match given.iter().find(|(name, is_given)| *is_given && !taken.contains(name)) {
        Some((name, _)) => Err(Failure::invalid(format!("{name} means nothing to {done}"))),
        None => Ok(()),
    }
}

/// What is told of a failure: its kind, what went wrong, and what to do.
pub fn told(failure: &Failure) -> String {
    let advice = match failure.kind {
        "conflict" if failure.message.contains("the entry has version") => {
            Some("get it again, and use the version that it has now")
        }
        "conflict" if failure.message.contains("held by") => Some("wait for it with wait"),
        "busy" => Some("try again"),
        "no_ttl" => Some("leave out ttl, or take a namespace that is a cache"),
        _ => None,
    };
    let advice = advice.map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("{}: {}{advice}", failure.kind, failure.message)
}

/// A page of a list: as many entries as fit into `max_bytes` and are wanted, and where to go on. `name` is what an entry is
/// called, and `show` writes it.
fn page<T>(
    max_bytes: u64,
    limit: Option<u64>,
    entries: impl IntoIterator<Item = T>,
    name: impl Fn(&T) -> &str,
    show: impl Fn(&mut Vec<u8>, &T),
) -> Result<Answer, Failure> {
    let mut out = Out::stdout();
    let mut list = Bounded::begin(&mut out, Form::Json, Some(max_bytes));
    for entry in entries {
        if limit == Some(list.shown()) {
            if list.shown() > 0 {
                list.cut();
            }
            break;
        }
        if !list.add(&mut out, [name(&entry), ""], |out| show(out.buffer(), &entry)) {
            break;
        }
    }
    list.end(&mut out)?;
    Ok(Answer::Done(std::mem::take(out.buffer())))
}

/// A failure of an entry, which says which one it is about.
fn of_entry(key: &str, error: Error) -> Failure {
    Failure::from(error.at(key))
}

/// Nothing is there that could be handed out.
fn nothing_yet(code: Code, kind: &'static str, what: String) -> Answer {
    Answer::NotYet(Failure { retryable: true, ..Failure::new(code, kind, what) })
}
