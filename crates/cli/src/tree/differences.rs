//! Differences between a tree and a namespace, as they are printed.

use crate::exit::{Code, Failure};
use crate::output::Out;
use crate::output::json::Object;

/// How differences are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line each: the mark, and what it is about.
    Text,
    /// One JSON array of objects.
    Array,
    /// An object a line, for lists without an end.
    Lines,
}

/// Prints differences as they are found.
pub struct Differences<'o> {
    out: &'o mut Out,
    form: Form,
    /// What JSON calls the thing that differs.
    member: &'static str,
    is_begun: bool,
    /// Whether the work goes on when the reader has gone.
    needs_no_reader: bool,
}

impl<'o> Differences<'o> {
    /// Nothing yet; JSON says under `member` what each is about.
    pub fn new(out: &'o mut Out, form: Form, member: &'static str) -> Self {
        Self { out, form, member, is_begun: false, needs_no_reader: false }
    }

    /// Says whether the work goes on when the reader has gone.
    pub fn without_reader(self, needs_no_reader: bool) -> Self {
        Self { needs_no_reader, ..self }
    }

    /// Keeps a difference for the next flush.
    pub fn tell(&mut self, mark: char, what: &str) {
        match self.form {
            Form::Text => return self.out.line(&format!("{mark} {what}")),
            Form::Array => self.out.push(if self.is_begun { b"," } else { b"[" }),
            Form::Lines => {}
        }
        self.is_begun = true;
        let mut object = Object::begin(self.out.buffer());
        object.text("change", mark.encode_utf8(&mut [0; 4])).text(self.member, what).end();
        if self.form == Form::Lines {
            self.out.push(b"\n");
        }
    }

    /// Writes what is kept.
    ///
    /// # Errors
    /// It cannot be written, or nobody reads it and it is written for somebody who does.
    pub fn flush(&mut self) -> Result<(), Failure> {
        match self.out.flush() {
            Err(failure) if failure.code == Code::Done && self.needs_no_reader => Ok(()),
            flushed => flushed,
        }
    }

    /// Writes what is kept, and the end of the list.
    ///
    /// # Errors
    /// Those of [`Differences::flush`].
    pub fn end(&mut self) -> Result<(), Failure> {
        if self.form == Form::Array {
            self.out.push(if self.is_begun { b"]\n" } else { b"[]\n" });
        }
        self.flush()
    }
}
