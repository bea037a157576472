//! What the program says: answers on stdout, everything else on stderr.

pub mod bounded;
pub mod file;
pub mod json;
pub mod progress;
pub mod report;
pub mod sheet;

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::{Code, Failure};

/// Standard output, written only where somebody says so: between transactions, and at the end.
pub struct Out {
    kept: Vec<u8>,
}

impl Out {
    /// The program's standard output.
    pub fn stdout() -> Self {
        Self { kept: Vec::new() }
    }

    /// Keeps bytes for the next flush.
    pub fn push(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    /// Keeps a line.
    pub fn line(&mut self, text: &str) {
        self.push(text.as_bytes());
        self.push(b"\n");
    }

    /// Keeps a list: with `is_json` an array, whose members `show` writes without anything between them.
    pub fn list<T>(&mut self, is_json: bool, items: &[T], show: impl Fn(&mut Self, &T)) {
        if is_json {
            self.push(b"[");
        }
        for (number, item) in items.iter().enumerate() {
            if is_json && number > 0 {
                self.push(b",");
            }
            show(self, item);
        }
        if is_json {
            self.push(b"]\n");
        }
    }

    /// What is kept, for writers of formats.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.kept
    }

    /// Writes what is kept.
    ///
    /// # Errors
    /// See [`Out::write`].
    pub fn flush(&mut self) -> Result<(), Failure> {
        let written = self.write(&self.kept);
        self.kept.clear();
        written
    }

    /// The same for what a change has answered, which is made already.
    ///
    /// # Errors
    /// See [`Out::write`]; it says that the change is made.
    pub fn flush_done(&mut self) -> Result<(), Failure> {
        self.flush().map_err(|failure| match failure.code {
            Code::Done => failure,
            _ => Failure { message: format!("the change is made; {}", failure.message), ..failure }
                .hint("look at what is there before you run it again"),
        })
    }

    /// Writes bytes as they are, without keeping them.
    ///
    /// # Errors
    /// A reader that has gone is no failure to report: the failure has the code of success, and nothing is told.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Code::Done, "closed_pipe", "the reader has gone"))
            }
            Err(error) => Err(Failure::io("cannot write standard output", &error)),
        }
    }
}

/// Whether stderr is for programs: a JSON object a line.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// What is to be told with the failure that follows, or else at the end.
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Has everything be told as JSON from now on.
pub fn speak_json() {
    IS_JSON.store(true, Ordering::Relaxed);
}

/// Tells a failure on stderr: a line and a hint, or JSON.
pub fn tell(failure: &Failure, as_json: bool) {
    if let Code::Done | Code::Interrupted = failure.code {
        return;
    }
    if as_json {
        let kept = take_kept().join("; ");
        let hints = [failure.hint.as_deref().unwrap_or_default(), &kept];
        return say(&json::failure(failure, &hints));
    }
    let mut text = format!("prontodb: {}", printable(&failure.message));
    if let Some(hint) = &failure.hint {
        text.push_str("\nhint: ");
        text.push_str(&printable(hint));
    }
    say(&text);
}

/// Tells on stderr how things stand.
pub fn note(text: &str) {
    match IS_JSON.load(Ordering::Relaxed) {
        true => say(&json::message("note", text)),
        false => say(&format!("prontodb: {}", printable(text))),
    }
}

/// The same for what may be why a command fails: as JSON it is part of that failure, so that there is one object.
pub fn note_or_hint(text: &str) {
    match (IS_JSON.load(Ordering::Relaxed), KEPT.lock()) {
        (true, Ok(mut kept)) => kept.push(text.to_owned()),
        _ => note(text),
    }
}

/// Tells what has been kept for a failure that did not come.
pub fn tell_kept() {
    take_kept().iter().for_each(|text| note(text));
}

fn take_kept() -> Vec<String> {
    KEPT.lock().map(|mut kept| std::mem::take(&mut *kept)).unwrap_or_default()
}

/// A number of things: `1 entry`, `2 entries`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Tells on stderr of something that looks wrong and does no harm.
pub fn warn(text: &str) {
    match IS_JSON.load(Ordering::Relaxed) {
        true => say(&json::message("warning", text)),
        false => say(&format!("prontodb: warning: {}", printable(text))),
    }
}

/// A text that does nothing to a terminal: control characters from names and paths are shown as escapes.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// A word as shells take it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:,@%+=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", printable(word).replace('\'', r"'\''"))
}

/// One write for each message, so that those of many processes do not mix. There is no one to tell when it fails.
pub fn say(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_cut_them() {
        for (word, expected) in
            [("a.b.c", "a.b.c"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("a|b", "'a|b'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}
