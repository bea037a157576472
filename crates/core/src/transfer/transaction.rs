//! Transactions as JSON, and what came of them.
//!
//! ```json
//! {"if":[{"k":"shop.stock.pears","version":7}],"then":[{"set":"shop.stock.pears","v":"4"}],"else":[{"get":"shop.stock.pears"}]}
//! ```

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use super::invalid;
use super::json::told;
use crate::address::{Address, Delimiter, Notation};
use crate::clock::Ttl;
use crate::error::{Error, Result};
use crate::record::{Record, Version};
use crate::store::{Check, Condition, Failed, Presence, Step, StepAnswer, Transacted, Transaction};
use crate::stream::BYTE_ORDER_MARK;

/// A transaction as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default, rename = "if")]
    checks: Vec<Object<GivenCheck>>,
    #[serde(default)]
    then: Vec<Object<GivenStep>>,
    #[serde(default, rename = "else")]
    otherwise: Vec<Object<GivenGet>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenCheck {
    k: String,
    #[serde(default, deserialize_with = "some")]
    absent: Option<bool>,
    #[serde(default, deserialize_with = "some")]
    present: Option<bool>,
    #[serde(default, deserialize_with = "some")]
    version: Option<u64>,
    #[serde(default, deserialize_with = "some")]
    v: Option<String>,
    #[serde(default, deserialize_with = "some")]
    v64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenGet {
    get: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenStep {
    #[serde(default, deserialize_with = "some")]
    set: Option<String>,
    #[serde(default, deserialize_with = "some")]
    del: Option<String>,
    #[serde(default, deserialize_with = "some")]
    incr: Option<String>,
    #[serde(default, deserialize_with = "some")]
    append: Option<String>,
    #[serde(default, deserialize_with = "some")]
    touch: Option<String>,
    #[serde(default, deserialize_with = "some")]
    get: Option<String>,
    #[serde(default, deserialize_with = "some")]
    copy: Option<String>,
    #[serde(default, deserialize_with = "some")]
    rename: Option<String>,
    #[serde(default, deserialize_with = "some")]
    v: Option<String>,
    #[serde(default, deserialize_with = "some")]
    v64: Option<String>,
    #[serde(default, deserialize_with = "some")]
    ttl: Option<String>,
    #[serde(default, deserialize_with = "some")]
    by: Option<i64>,
    #[serde(default, deserialize_with = "some")]
    to: Option<String>,
}

/// What is there is not null.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An object, and not the array of values that serde would take as well.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// Reads a transaction, whose addresses are in `notation`.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) for what is none, with the place.
pub fn read_transaction(text: &[u8], notation: &Notation) -> Result<Transaction> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let Object(Given { checks, then, otherwise }) = serde_json::from_slice(text).map_err(|error| {
        invalid(told(&error)).at(format_args!("line {}, column {}", error.line(), error.column()))
    })?;
    if checks.is_empty() && then.is_empty() && otherwise.is_empty() {
        return Err(invalid("there is nothing to check and nothing to do"));
    }
    Ok(Transaction {
        checks: each("if", checks, |check| check.read(notation))?,
        then: each("then", then, |step| step.read(notation))?,
        otherwise: each("else", otherwise, |GivenGet { get }| Ok(notation.address(&get)?))?,
    })
}

/// Reads all of a list, and says of errors where in it they are.
fn each<T, R>(list: &str, given: Vec<Object<T>>, read: impl Fn(T) -> Result<R>) -> Result<Vec<R>> {
    let numbered = given.into_iter().enumerate();
    numbered
        .map(|(number, Object(given))| {
            read(given).map_err(|error| error.at(format_args!("{list}[{number}]")))
        })
        .collect()
}

impl GivenCheck {
    fn read(self, notation: &Notation) -> Result<Check> {
        let Self { k, absent, present, version, v, v64 } = self;
        let presence = match (absent, present) {
            (None, None) => None,
            (Some(true), None) => Some(Presence::Absent),
            (None, Some(true)) => Some(Presence::Present),
            (Some(_), Some(_)) => return Err(invalid("absent and present exclude each other")),
            _ => return Err(invalid("absent and present are true, or left out")),
        };
        let condition = Condition { presence, version: version.map(Version), value: value(v, v64)? };
        if condition == Condition::default() {
            return Err(invalid("one of absent, present, version, v and v64 is wanted"));
        }
        if presence == Some(Presence::Absent) && (condition.version.is_some() || condition.value.is_some()) {
            return Err(invalid("what is absent has no version and no value"));
        }
        Ok(Check { address: notation.address(&k)?, condition })
    }
}

impl GivenStep {
    fn read(mut self, notation: &Notation) -> Result<Step> {
        let steps = [
            ("set", self.set.take()),
            ("del", self.del.take()),
            ("incr", self.incr.take()),
            ("append", self.append.take()),
            ("touch", self.touch.take()),
            ("get", self.get.take()),
            ("copy", self.copy.take()),
            ("rename", self.rename.take()),
        ];
        let mut given = steps.into_iter().filter_map(|(name, address)| Some((name, address?)));
        let (Some((name, address)), None) = (given.next(), given.next()) else {
            return Err(invalid("one of set, del, incr, append, touch, get, copy and rename is wanted"));
        };
        let address = notation.address(&address)?;
        let step = match name {
            "set" => Step::Set { address, value: self.value()?, ttl: self.ttl()? },
            "del" => Step::Delete(address),
            "incr" => Step::Increment { address, by: self.by.take().unwrap_or(1) },
            "append" => Step::Append { address, value: self.value()? },
            "touch" => Step::Touch { address, ttl: self.ttl()? },
            "get" => Step::Get(address),
            "copy" => Step::Copy { from: address, to: self.to(notation)? },
            _ => Step::Rename { from: address, to: self.to(notation)? },
        };
        match self.left() {
            Some(field) => Err(invalid(format!("{field} means nothing to {name}"))),
            None => Ok(step),
        }
    }

    fn value(&mut self) -> Result<Vec<u8>> {
        value(self.v.take(), self.v64.take())?.ok_or_else(|| invalid("one of v and v64 is wanted"))
    }

    fn ttl(&mut self) -> Result<Option<Ttl>> {
        self.ttl.take().map(|text| Ttl::parse(&text)).transpose().map_err(Error::from)
    }

    fn to(&mut self, notation: &Notation) -> Result<Address> {
        let to = self.to.take().ok_or_else(|| invalid("to is wanted"))?;
        Ok(notation.address(&to)?)
    }

    /// A field that nobody has asked for.
    fn left(&self) -> Option<&'static str> {
        let fields = [
            ("v", self.v.is_some()),
            ("v64", self.v64.is_some()),
            ("ttl", self.ttl.is_some()),
            ("by", self.by.is_some()),
            ("to", self.to.is_some()),
        ];
        fields.into_iter().find_map(|(field, is_left)| is_left.then_some(field))
    }
}

fn value(v: Option<String>, v64: Option<String>) -> Result<Option<Vec<u8>>> {
    match (v, v64) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => STANDARD.decode(base64).map(Some).map_err(|_| invalid("v64 is no base64")),
        (Some(_), Some(_)) => Err(invalid("v and v64 exclude each other")),
    }
}

/// What came of a transaction, as one JSON object.
pub fn show_transacted(transaction: &Transaction, transacted: &Transacted, delimiter: Delimiter) -> String {
    let Transaction { checks, then, otherwise } = transaction;
    let shown = match transacted {
        Transacted::Done { revision, then: answers } => {
            let steps: Vec<_> =
                then.iter().zip(answers).map(|(step, answer)| show_step(step, answer, delimiter)).collect();
            json!({"done": true, "revision": revision, "then": steps})
        }
        Transacted::Refused { revision, failed, otherwise: found } => {
            let failed: Vec<_> = failed.iter().map(|failed| show_failed(checks, failed, delimiter)).collect();
            let got = otherwise.iter().zip(found);
            let got: Vec<_> =
                got.map(|(address, found)| show_got(address, found.as_ref(), delimiter)).collect();
            json!({"done": false, "revision": revision, "failed": failed, "else": got})
        }
        Transacted::Missing { revision, step } => {
            let k = then.get(*step).map(|step| step.address().display(delimiter));
            json!({"done": false, "revision": revision, "missing": {"then": step, "k": k}})
        }
    };
    shown.to_string()
}

fn show_failed(checks: &[Check], failed: &Failed, delimiter: Delimiter) -> Value {
    let k = checks.get(failed.check).map(|check| check.address.display(delimiter));
    json!({"if": failed.check, "k": k, "version": failed.version})
}

fn show_step(step: &Step, answer: &StepAnswer, delimiter: Delimiter) -> Value {
    let address = step.address().display(delimiter);
    let mut shown = match (step, answer) {
        (Step::Get(address), StepAnswer::Got(found)) => return show_got(address, found.as_ref(), delimiter),
        (_, StepAnswer::Written(version)) => json!({step.name(): address, "version": version}),
        (_, StepAnswer::Removed(was_there)) => json!({step.name(): address, "removed": was_there}),
        (_, StepAnswer::Sum(sum)) => json!({step.name(): address, "sum": sum}),
        (_, StepAnswer::Got(_)) => json!({step.name(): address}),
    };
    if let Step::Copy { to, .. } | Step::Rename { to, .. } = step {
        shown["to"] = to.display(delimiter).into();
    }
    shown
}

fn show_got(address: &Address, found: Option<&Record>, delimiter: Delimiter) -> Value {
    let get = address.display(delimiter);
    let Some(Record { head, value }) = found else { return json!({"get": get, "v": null}) };
    match std::str::from_utf8(value) {
        Ok(text) => json!({"get": get, "v": text, "version": head.version}),
        Err(_) => json!({"get": get, "v64": STANDARD.encode(value), "version": head.version}),
    }
}
