//! What is known of one thing: a line a field, or a JSON object.

use prontodb_core::Millis;

use super::Out;
use super::json::{Object, push_string};

/// The fields, in the order in which they are shown.
#[derive(Default)]
pub struct Sheet {
    fields: Vec<(&'static str, Value)>,
}

enum Value {
    Text(String),
    Number(u64),
    Truth(bool),
    Moment(Option<Millis>),
    List(Vec<String>),
}

impl Sheet {
    /// Adds a text.
    pub fn text(&mut self, name: &'static str, text: impl Into<String>) -> &mut Self {
        self.add(name, Value::Text(text.into()))
    }

    /// Adds a whole number.
    pub fn number(&mut self, name: &'static str, number: u64) -> &mut Self {
        self.add(name, Value::Number(number))
    }

    /// Adds whether something is so.
    pub fn truth(&mut self, name: &'static str, truth: bool) -> &mut Self {
        self.add(name, Value::Truth(truth))
    }

    /// Adds a moment; `-` or null for none.
    pub fn moment(&mut self, name: &'static str, moment: Option<Millis>) -> &mut Self {
        self.add(name, Value::Moment(moment))
    }

    /// Adds a list: a line for each item, or an array.
    pub fn list(&mut self, name: &'static str, items: impl IntoIterator<Item = String>) -> &mut Self {
        self.add(name, Value::List(items.into_iter().collect()))
    }

    fn add(&mut self, name: &'static str, value: Value) -> &mut Self {
        self.fields.push((name, value));
        self
    }

    /// Keeps it for the next flush of `out`.
    pub fn push(&self, out: &mut Out, is_json: bool) {
        if is_json { self.push_json(out) } else { self.push_lines(out) }
    }

    fn push_json(&self, out: &mut Out) {
        let mut object = Object::begin(out.buffer());
        for (name, value) in &self.fields {
            match value {
                Value::Text(text) => object.text(name, text),
                Value::Number(number) => object.number(name, *number),
                Value::Truth(truth) => object.raw(name, if *truth { "true" } else { "false" }),
                Value::Moment(moment) => object.moment(name, *moment),
                Value::List(items) => object.raw(name, &array(items)),
            };
        }
        object.end();
        out.push(b"\n");
    }

    fn push_lines(&self, out: &mut Out) {
        for (name, value) in &self.fields {
            match value {
                Value::Text(text) => out.line(&format!("{name}: {text}")),
                Value::Number(number) => out.line(&format!("{name}: {number}")),
                Value::Truth(truth) => out.line(&format!("{name}: {}", if *truth { "yes" } else { "no" })),
                Value::Moment(Some(moment)) => out.line(&format!("{name}: {moment}")),
                Value::Moment(None) => out.line(&format!("{name}: -")),
                Value::List(items) => items.iter().for_each(|item| out.line(&format!("{name}: {item}"))),
            }
        }
    }
}

fn array(items: &[String]) -> String {
    let mut text = Vec::new();
    for (place, item) in items.iter().enumerate() {
        text.push(if place == 0 { b'[' } else { b',' });
        push_string(&mut text, item);
    }
    if items.is_empty() { "[]".to_owned() } else { format!("{}]", String::from_utf8_lossy(&text)) }
}
