//! `get`: values, as far as there is room for them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prontodb_core::Record;
use serde::Deserialize;

use super::{Answer, Call};
use crate::exit::Failure;
use crate::mcp::desk::{Desk, Open};
use crate::output::json::Object;
use crate::output::report::array;

/// Room in an answer for all of an entry but its value.
const AROUND: usize = 256;

/// Reads one entry, or several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    key: Option<String>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    offset: usize,
}

impl Call for Get {
    fn run(&self, desk: &mut Desk) -> Result<Answer, Failure> {
        let Open { scope, store, max_bytes, .. } = desk.reading()?;
        let keys: Vec<_> = self.key.iter().chain(&self.keys).collect();
        let addresses = keys.iter().map(|key| scope.address(key)).collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() || self.offset > 0 && addresses.len() > 1 {
            return Err(Failure::invalid(match addresses.len() {
                0 => "key is missing",
                _ => "offset goes with one key",
            }));
        }
        let max = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let mut text = Vec::new();
        if let (Some(_), [address]) = (&self.key, addresses.as_slice()) {
            push(&mut text, &scope.show(address), store.get(address)?.as_ref(), self.offset, max)?;
            return Ok(Answer::Done(text));
        }
        text.extend_from_slice(b"{\"entries\":[");
        let mut left = addresses.iter().map(|address| (address, scope.show(address))).peekable();
        let mut is_first = true;
        // Values are read one at a time, and none for which there is no room.
        while let Some((address, key)) =
            left.next_if(|(_, key)| is_first || max.saturating_sub(text.len()) >= 2 * AROUND + key.len())
        {
            if !is_first {
                text.push(b',');
            }
            is_first = false;
            let room = max.saturating_sub(text.len());
            push(&mut text, &key, store.get(address)?.as_ref(), self.offset, room)?;
        }
        text.push(b']');
        if left.peek().is_some() {
            text.extend_from_slice(b",\"next\":");
            text.extend_from_slice(array(&left.map(|(_, key)| key).collect::<Vec<_>>()).as_bytes());
        }
        text.push(b'}');
        Ok(Answer::Done(text))
    }
}

/// Adds an entry whose value begins at `offset`, as much of it as `room` holds.
fn push(
    text: &mut Vec<u8>,
    key: &str,
    record: Option<&Record>,
    offset: usize,
    room: usize,
) -> Result<(), Failure> {
    let Some(Record { head, value }) = record else {
        Object::begin(text).text("k", key).raw("v", "null").end();
        return Ok(());
    };
    let mut object = Object::begin(text);
    object.text("k", key);
    push_value(&mut object, value, offset, room.saturating_sub(key.len()))?;
    object.number("version", head.version.0);
    if head.expires.is_some() {
        object.moment("expires", head.expires);
    }
    object.end();
    Ok(())
}

/// Adds a value from `offset` on, as much of it as an answer of `room` bytes holds besides the rest; where that is not all, its
/// size and where to go on.
pub fn push_value(object: &mut Object<'_>, value: &[u8], offset: usize, room: usize) -> Result<(), Failure> {
    let room = room.saturating_sub(AROUND).max(AROUND);
    let rest = value.get(offset..).ok_or_else(|| {
        Failure::invalid(format!("the value has {} bytes, and offset {offset} is behind them", value.len()))
    })?;
    // What is text as a whole is cut between characters.
    let taken = match std::str::from_utf8(value) {
        Ok(whole) => {
            let rest = whole
                .get(offset..)
                .ok_or_else(|| Failure::invalid(format!("offset {offset} is within a character")))?;
            let part = &rest[..fitting(rest, room)];
            object.text("v", part);
            part.len()
        }
        Err(_) => {
            let part = &rest[..rest.len().min(room / 4 * 3)];
            object.text("v64", &STANDARD.encode(part));
            part.len()
        }
    };
    let next = offset + taken;
    if next < value.len() {
        object.number("size", value.len() as u64).number("next_offset", next as u64);
    }
    Ok(())
}

/// How much of a text fits into `room` bytes of JSON; one character does.
fn fitting(text: &str, room: usize) -> usize {
    let mut length = 0;
    for (at, c) in text.char_indices() {
        length += match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            c if c < ' ' => 6,
            c => c.len_utf8(),
        };
        if length > room && at > 0 {
            return at;
        }
    }
    text.len()
}
