//! What is known of one thing: a line a field, or a JSON object.

use prontodb_core::Millis;

use super::Out;
use super::report::{self, Line, Value};

/// The fields, in the order in which they are shown.
#[derive(Default)]
pub struct Sheet {
    fields: Vec<Line>,
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
        self.add(name, Value::Items(items.into_iter().collect()))
    }

    fn add(&mut self, name: &'static str, value: Value) -> &mut Self {
        self.fields.push((name, value));
        self
    }

    /// Keeps it for the next flush of `out`.
    pub fn push(&self, out: &mut Out, is_json: bool) {
        report::push(out, is_json, &self.fields);
    }
}
