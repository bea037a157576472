//! `config`: reading and changing the configuration.

pub mod get;
pub mod list;
pub mod path;
pub mod set;

use crate::config::{Entry, Plain};
use crate::output::json::Object;

/// `{"value":…,"source":…}`.
fn push_entry(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let mut object = Object::begin(out);
    match &entry.value {
        Plain::Number(number) => object.number("value", *number),
        Plain::Text(text) => object.text("value", text),
    };
    object.text("source", &entry.source.to_string()).end();
}
