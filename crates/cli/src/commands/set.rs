use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use prontodb_core::store::{Condition, Presence, SetOptions, Written};
use prontodb_core::{Address, Error, ErrorKind, Ttl, Version, json};

use super::Run;
use super::get::push_json;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::stdin;

/// Write one entry
///
/// The value is the second argument, `-` for standard input, or a file. Without any of them it is what is piped in.
/// Nothing is printed. A refused condition exits with 3, and nothing is written.
#[derive(clap::Args)]
pub struct Set {
    /// Where to; with --key this is the value
    address: Option<OsString>,

    /// What to write
    value: Option<OsString>,

    /// Take the value from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// How long it lives, in a cache: seconds, or 90s, 15m, 2h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    ttl: Option<String>,

    /// Print what was there before, or the version of the new entry
    #[arg(long = "return", value_name = "WHAT")]
    answer: Option<Answer>,

    #[command(flatten)]
    conditions: Conditions,
}

/// What has to be true of the entry that is there.
#[derive(clap::Args)]
#[command(next_help_heading = "Conditions")]
pub struct Conditions {
    /// Only where there is no entry
    #[arg(long, conflicts_with_all = ["if_present", "if_version", "if_value"])]
    if_absent: bool,

    /// Only where there is an entry
    #[arg(long)]
    if_present: bool,

    /// Only where the entry has this version; 0 is that of an entry that is not there
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,

    /// Only where the entry has this value
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    if_value: Option<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Answer {
    /// The value that was there before
    Old,
    /// The version of the new entry
    Version,
}

impl Run for Set {
    const ONCE: bool = true;
    const CHANGES_ENTRIES: bool = true;

    fn run(mut self, cx: &mut Context) -> Result<Code, Failure> {
        let (address, word) = cx.address_and_word(self.address.take(), self.value.take())?;
        let value = value(cx, word, self.file.as_deref())?;
        let options = SetOptions {
            ttl: self.ttl.as_deref().map(Ttl::parse).transpose().map_err(Error::from)?,
            condition: self.conditions.into_condition(),
            want_old: matches!(self.answer, Some(Answer::Old)),
        };
        let condition = &options.condition;
        let needs_entry = condition.version.is_some_and(|version| version > Version(0))
            || condition.value.is_some()
            || condition.presence == Some(Presence::Present);
        let store = if needs_entry { cx.open_to_change()? } else { cx.open_to_write()? };
        let written = store.set(&address, &value, &options);
        let written = written.map_err(|error| explain(cx, &address, error))?;
        print(cx, self.answer, written)
    }
}

impl Set {
    /// A write of an entry that must not be there yet.
    pub fn of_new(
        address: Option<OsString>,
        value: Option<OsString>,
        file: Option<PathBuf>,
        ttl: Option<String>,
    ) -> Self {
        let conditions = Conditions { if_absent: true, if_present: false, if_version: None, if_value: None };
        Self { address, value, file, ttl, answer: None, conditions }
    }
}

/// The value of a command: its word, a file, or what is piped in; with --json as canonical JSON.
fn value(cx: &Context, word: Option<OsString>, file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let value = bytes(cx, word, file)?;
    // One that is too long is refused by the store, which says so.
    if cx.json() && value.len() as u64 <= cx.settings.max_value_bytes.value {
        return Ok(json::canonical(&value)?);
    }
    Ok(value)
}

/// The same, whatever it is.
pub fn bytes(cx: &Context, word: Option<OsString>, file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let max_bytes = cx.settings.max_value_bytes.value;
    Ok(match (word, file) {
        (Some(_), Some(_)) => return Err(Failure::usage("a value and --file exclude each other")),
        (Some(word), None) if word == "-" && !cx.has_dashes => stdin::read(max_bytes)?,
        (Some(word), None) => word.into_encoded_bytes(),
        (None, Some(file)) => stdin::read_file(file, max_bytes)?,
        (None, None) => stdin::read_if_given(max_bytes)?,
    })
}

impl Conditions {
    /// As the store wants them.
    pub fn into_condition(self) -> Condition {
        let presence = match (self.if_absent, self.if_present) {
            (true, _) => Some(Presence::Absent),
            (_, true) => Some(Presence::Present),
            _ => None,
        };
        let value = self.if_value.map(OsString::into_encoded_bytes);
        Condition { presence, version: self.if_version.map(Version), value }
    }
}

/// Names the entry in an error, and says what helps.
pub fn explain(cx: &Context, address: &Address, error: Error) -> Failure {
    let kind = error.kind();
    let mut failure = Failure::from(error);
    match kind {
        ErrorKind::NoTtl => {
            let namespace = address.namespace.display(cx.notation.delimiter);
            failure.message = format!("{} takes no TTL; {namespace} is no cache", cx.show(address));
            failure.hint(format!("prontodb create-cache {namespace} SECONDS makes it one"))
        }
        ErrorKind::Conflict | ErrorKind::Limit | ErrorKind::Invalid => {
            failure.message = format!("{}: {}", cx.show(address), failure.message);
            cx.with_hint(failure)
        }
        _ => cx.with_hint(failure),
    }
}

fn print(cx: &mut Context, answer: Option<Answer>, written: Written) -> Result<Code, Failure> {
    match (answer, written.old) {
        (Some(Answer::Version), _) => cx.out.line(&written.version.to_string()),
        (Some(Answer::Old), Some(old)) => {
            match cx.json() {
                true => push_json(cx.out.buffer(), &old.value)?,
                false => cx.out.push(&old.value),
            }
            cx.out.push(b"\n");
        }
        _ => {}
    }
    cx.out.flush_done()?;
    Ok(Code::Done)
}
