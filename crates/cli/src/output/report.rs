//! Reports: lines with names, or one JSON object.

use prontodb_core::Millis;

use super::json::{Object, push_string};
use super::{Out, printable};
use crate::exit::Failure;

/// A line of a report: a name, and what it says.
pub type Line = (&'static str, Value);

/// What a line says.
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Truth(bool),
    /// Several texts, a line each.
    List(Vec<String>),
    /// The same, and no line where there is none.
    Items(Vec<String>),
    /// A moment; `-` for none.
    Moment(Option<Millis>),
    /// Nothing, and how that is told.
    Nothing(&'static str),
}

/// A text.
pub fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// A number, where it is known.
pub fn number(number: Option<u64>) -> Value {
    number.map_or(Value::Nothing("unknown"), Value::Number)
}

/// Prints a report.
///
/// # Errors
/// Those of writing standard output.
pub fn print(out: &mut Out, is_json: bool, lines: &[Line]) -> Result<(), Failure> {
    push(out, is_json, lines);
    out.flush()
}

/// Keeps a report for the next flush of `out`.
pub fn push(out: &mut Out, is_json: bool, lines: &[Line]) {
    if is_json {
        push_object(out.buffer(), lines);
        out.push(b"\n");
    } else {
        lines.iter().for_each(|line| push_text(out, line));
    }
}

fn push_object(out: &mut Vec<u8>, lines: &[Line]) {
    let mut object = Object::begin(out);
    for (name, value) in lines {
        match value {
            Value::Text(text) => object.text(name, text),
            Value::Number(number) => object.number(name, *number),
            Value::Truth(truth) => object.raw(name, if *truth { "true" } else { "false" }),
            Value::List(texts) | Value::Items(texts) => object.raw(name, &array(texts)),
            Value::Moment(moment) => object.moment(name, *moment),
            Value::Nothing(_) => object.raw(name, "null"),
        };
    }
    object.end();
}

/// Texts as a JSON array.
pub fn array(texts: &[String]) -> String {
    let mut array = b"[".to_vec();
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            array.push(b',');
        }
        push_string(&mut array, text);
    }
    array.push(b']');
    String::from_utf8_lossy(&array).into_owned()
}

fn push_text(out: &mut Out, (name, value): &Line) {
    match value {
        Value::Text(text) => out.line(&format!("{name}: {}", printable(text))),
        Value::Number(number) => out.line(&format!("{name}: {number}")),
        Value::Truth(truth) => out.line(&format!("{name}: {}", if *truth { "yes" } else { "no" })),
        Value::List(texts) if texts.is_empty() => out.line(&format!("{name}: none")),
        Value::Moment(moment) => {
            let told = moment.map_or_else(|| "-".to_owned(), |at| at.to_string());
            out.line(&format!("{name}: {told}"));
        }
        Value::List(texts) | Value::Items(texts) => {
            texts.iter().for_each(|text| out.line(&format!("{name}: {}", printable(text))));
        }
        Value::Nothing(told) => out.line(&format!("{name}: {told}")),
    }
}
