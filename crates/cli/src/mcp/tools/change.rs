//! `set`, `update` and `delete`: changes of one entry; and what a transaction makes of many.

use prontodb_core::store::{Condition, Presence, SetOptions, Writer};
use prontodb_core::{Address, Error, ErrorKind, Result as CoreResult, Version};
use serde::Deserialize;

use super::value::Given;
use super::{Answer, Call, Span, needed, of_entry, refuse_others, span};
use crate::exit::Failure;
use crate::mcp::desk::{Desk, Open};
use crate::mcp::scope::Scope;
use crate::output::json::Object;

/// Sets an entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    key: String,
    value: Given,
    #[serde(default)]
    base64: bool,
    ttl: Option<Span>,
    if_version: Option<u64>,
    fence: Option<u64>,
}

/// Adds to a number or to the end of a value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    key: String,
    add: Option<i64>,
    append: Option<Given>,
    fence: Option<u64>,
}

/// Removes an entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    key: String,
    if_version: Option<u64>,
    fence: Option<u64>,
}

impl Call for Set {
    fn run(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        let step = Step {
            op: Op::Set,
            key: self.key.clone(),
            value: Some(self.value.clone()),
            base64: self.base64,
            ttl: self.ttl.clone(),
            if_version: self.if_version,
            by: None,
        };
        alone(desk, &step, self.fence)
    }
}

impl Call for Update {
    fn run(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        let op = match (self.add, &self.append) {
            (Some(_), None) => Op::Add,
            (None, Some(_)) => Op::Append,
            _ => return Err(Failure::invalid("one of add and append is needed")),
        };
        alone(desk, &Step { by: self.add, value: self.append.clone(), ..Step::of(op, &self.key) }, self.fence)
    }
}

impl Call for Delete {
    fn run(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        alone(desk, &Step { if_version: self.if_version, ..Step::of(Op::Delete, &self.key) }, self.fence)
    }
}

/// Takes a step that is a transaction of its own.
fn alone(desk: &mut Desk, step: &Step, fence: Option<u64>) -> Result<Answer, Failure> {
    let Open { scope, store, .. } = desk.writing(fence)?;
    let step = step.check(scope)?;
    let done = store.write(|writer| step.take(writer));
    Ok(Answer::Done(done.map_err(|error| of_entry(&step.key, error))?))
}

/// What is done to one entry.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Set,
    Add,
    Append,
    Delete,
    Check,
}

/// A step of a transaction, as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    op: Op,
    key: String,
    value: Option<Given>,
    #[serde(default)]
    base64: bool,
    ttl: Option<Span>,
    if_version: Option<u64>,
    by: Option<i64>,
}

/// The same with all that can be checked before it is taken.
pub struct Checked {
    op: Op,
    /// The key as it is shown.
    pub key: String,
    address: Address,
    value: Vec<u8>,
    options: SetOptions,
    by: i64,
}

impl Step {
    fn of(op: Op, key: &str) -> Self {
        Self { op, key: key.to_owned(), value: None, base64: false, ttl: None, if_version: None, by: None }
    }

    /// Checks it.
    pub fn check(&self, scope: &Scope) -> Result<Checked, Failure> {
        let Self { op, key, value, base64, ttl, if_version, by } = self;
        let taken: &[_] = match op {
            Op::Set => &["value", "base64", "ttl", "if_version"],
            Op::Append => &["value", "base64"],
            Op::Add => &["by"],
            Op::Delete | Op::Check => &["if_version"],
        };
        let given = [
            ("value", value.is_some()),
            ("base64", *base64),
            ("ttl", ttl.is_some()),
            ("if_version", if_version.is_some()),
            ("by", by.is_some()),
        ];
        refuse_others(&format!("this change of {key}"), &given, taken)?;
        if *op == Op::Check {
            needed("if_version", if_version.as_ref())?;
        }
        let value = match op {
            Op::Set | Op::Append => needed("value", value.as_ref())?.bytes(*base64)?,
            _ => Vec::new(),
        };
        let condition = match if_version {
            None => Condition::default(),
            Some(0) => Condition { presence: Some(Presence::Absent), ..Condition::default() },
            Some(version) => Condition { version: Some(Version(*version)), ..Condition::default() },
        };
        let address = scope.address(key)?;
        let options = SetOptions { ttl: span("ttl", ttl.as_ref())?, condition, want_old: false };
        Ok(Checked { op: *op, key: scope.show(&address), address, value, options, by: by.unwrap_or(1) })
    }
}

impl Checked {
    /// Takes the step, and says what came of it.
    pub fn take(&self, writer: &mut Writer<'_>) -> CoreResult<Vec<u8>> {
        let Self { op, key, address, value, options, by } = self;
        let mut text = Vec::new();
        let mut object = Object::begin(&mut text);
        object.text("k", key);
        match op {
            Op::Set => drop(object.number("version", writer.set(address, value, options)?.version.0)),
            Op::Append => drop(object.number("version", writer.append(address, value)?.0)),
            Op::Add => drop(object.raw("v", &writer.increment(address, *by)?.to_string())),
            Op::Delete => {
                let was_there = writer.delete(address, &options.condition)?;
                object.raw("deleted", if was_there { "true" } else { "false" });
            }
            Op::Check => {
                let found = writer.get(address)?.map(|record| record.head.version);
                let is_met = match options.condition.version {
                    Some(_) => found == options.condition.version,
                    None => found.is_none(),
                };
                if !is_met {
                    let has = found.map(|version| format!("the entry has version {version}"));
                    let what = has.unwrap_or_else(|| "there is no such entry".to_owned());
                    return Err(Error::new(ErrorKind::Conflict, format!("nothing was written; {what}")));
                }
                object.number_or_null("version", found.map(|version| version.0));
            }
        }
        object.end();
        Ok(text)
    }
}
