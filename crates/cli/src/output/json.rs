//! JSON as the program prints it: compact, one object an entry.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prontodb_core::{Head, Millis};

use crate::exit::Failure;

/// Builds one JSON object, in the order in which its members are added.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Begins an object at the end of `out`.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Adds a member whose value is JSON already.
    pub fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        push_string(self.out, name);
        self.out.push(b':');
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    /// Adds a text.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.raw(name, "");
        push_string(self.out, text);
        self
    }

    /// Adds a text, or null.
    pub fn text_or_null(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.raw(name, "null"),
        }
    }

    /// Adds a whole number.
    pub fn number(&mut self, name: &str, number: u64) -> &mut Self {
        self.raw(name, &number.to_string())
    }

    /// Adds a whole number, or null.
    pub fn number_or_null(&mut self, name: &str, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(name, number),
            None => self.raw(name, "null"),
        }
    }

    /// Adds a moment, or null.
    pub fn moment(&mut self, name: &str, moment: Option<Millis>) -> &mut Self {
        self.text_or_null(name, moment.map(|at| at.to_string()).as_deref())
    }

    /// Adds the bytes of a value: `v` when they are text, `v64` in base64 when they are not.
    pub fn value(&mut self, bytes: &[u8]) -> &mut Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text("v", text),
            Err(_) => self.text("v64", &STANDARD.encode(bytes)),
        }
    }

    /// Adds all of a head.
    pub fn head(&mut self, head: &Head) -> &mut Self {
        self.number("version", head.version.0)
            .moment("created", Some(head.created))
            .moment("updated", Some(head.updated))
            .moment("expires", head.expires)
            .text_or_null("writer", head.writer.as_deref())
            .number("size", head.size);
        match &head.metakeys {
            Some(metakeys) => self.raw("metakeys", &metakeys.to_json()),
            None => self,
        }
    }

    /// Ends the object.
    pub fn end(&mut self) {
        self.out.push(b'}');
    }
}

/// Adds a text as a JSON string.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// A message that is no failure, as programs read it.
pub fn message(kind: &str, text: &str) -> String {
    let mut object = Vec::new();
    Object::begin(&mut object).text(kind, text).end();
    String::from_utf8_lossy(&object).into_owned()
}

/// A failure, as programs read it, with all that helps.
pub fn failure(failure: &Failure, hints: &[&str]) -> String {
    let hints: Vec<_> = hints.iter().copied().filter(|hint| !hint.is_empty()).collect();
    let hint = Some(hints.join("; ")).filter(|hint| !hint.is_empty());
    let mut inner = Vec::new();
    let mut object = Object::begin(&mut inner);
    object
        .number("code", u64::from(failure.code.number()))
        .text("kind", failure.kind)
        .text("message", &failure.message)
        .text_or_null("hint", hint.as_deref())
        .raw("retryable", if failure.retryable { "true" } else { "false" })
        .end();
    format!("{{\"error\":{}}}", String::from_utf8_lossy(&inner))
}
