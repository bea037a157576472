//! Entries as a stream that says the same.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{BASE64_MARK, META_MARK};
use crate::address::{Delimiter, Namespace};
use crate::clock::Ttl;

/// Writes entries as tokens, with directives where they change something.
///
/// What it writes is read the same whatever the reader's defaults are, and each entry has a line of its own.
///
/// # Examples
/// ```
/// use prontodb_core::{Namespace, stream::Printer};
///
/// let mut printer = Printer::new(Default::default());
/// let mut text = Vec::new();
/// printer.entry(&mut text, &Namespace::new("shop", "prices")?, "apple", None, b"120; sour");
/// assert_eq!(text, b"meta:delim=.;\nmeta:path=shop.prices;\napple=\"120; sour\";\n");
/// # Ok::<(), prontodb_core::address::AddressError>(())
/// ```
#[derive(Debug, Default)]
pub struct Printer {
    /// What to write in where nothing speaks against it.
    preferred: Delimiter,
    /// What the reader has been told by now.
    delimiter: Option<Delimiter>,
    namespace: Option<Namespace>,
    ttl: Option<Ttl>,
}

impl Printer {
    /// A printer for somebody whose delimiter is `preferred`. The reader is told, who may have another one.
    pub fn new(preferred: Delimiter) -> Self {
        Self { preferred, ..Self::default() }
    }

    /// Adds an entry to the end of `out`; `ttl` is how long it is to live.
    pub fn entry(
        &mut self,
        out: &mut Vec<u8>,
        namespace: &Namespace,
        name: &str,
        ttl: Option<Ttl>,
        value: &[u8],
    ) {
        self.place(out, namespace, name);
        if self.ttl != ttl {
            self.ttl = ttl;
            let ttl = ttl.map_or_else(String::new, |ttl| ttl.to_string());
            directive(out, "ttl", &ttl);
        }
        push_key(out, name);
        out.push(b'=');
        push_value(out, value);
        out.extend_from_slice(b";\n");
    }

    /// Says where the entry lies, in a notation that can say it.
    fn place(&mut self, out: &mut Vec<u8>, namespace: &Namespace, name: &str) {
        let parts = [namespace.project(), namespace.namespace(), name];
        let fits = |delimiter: Delimiter| parts.iter().all(|part| !part.contains(delimiter.char()));
        let present = self.delimiter.unwrap_or(self.preferred);
        let all = [present, self.preferred].into_iter().chain(Delimiter::all());
        // There are more delimiters than characters in an address, so one fits.
        let delimiter = all.into_iter().find(|delimiter| fits(*delimiter)).unwrap_or(present);
        if self.delimiter != Some(delimiter) {
            directive(out, "delim", &delimiter.to_string());
            self.delimiter = Some(delimiter);
        }
        if self.namespace.as_ref() != Some(namespace) {
            directive(out, "path", &namespace.display(delimiter));
            self.namespace = Some(namespace.clone());
        }
    }
}

fn directive(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(META_MARK);
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
    push_value(out, value.as_bytes());
    out.extend_from_slice(b";\n");
}

fn push_key(out: &mut Vec<u8>, name: &str) {
    let is_plain = !name.starts_with(['"', '#'])
        && !name.as_bytes().starts_with(META_MARK)
        && !name.contains(['=', ';'])
        && !has_outer_blanks(name.as_bytes());
    if is_plain { out.extend_from_slice(name.as_bytes()) } else { push_quoted(out, name) }
}

/// Adds a value in the plainest way that brings it back.
fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    match std::str::from_utf8(value) {
        Ok(_) if is_bare(value) => out.extend_from_slice(value),
        Ok(text) if quoted_length(value) <= value.len() / 3 * 4 + 16 => push_quoted(out, text),
        _ => {
            out.extend_from_slice(BASE64_MARK);
            out.extend_from_slice(STANDARD.encode(value).as_bytes());
        }
    }
}

/// Whether a value can stand without quotes. One with newlines could, and is easier to read with `\n` for them.
fn is_bare(value: &[u8]) -> bool {
    !value.iter().any(|byte| *byte == b';' || byte.is_ascii_control())
        && !value.starts_with(b"\"")
        && !value.starts_with(BASE64_MARK)
        && !has_outer_blanks(value)
}

fn has_outer_blanks(text: &[u8]) -> bool {
    text.trim_ascii().len() < text.len()
}

fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match escape(byte) {
            Some(escape) => out.extend_from_slice(escape.as_bytes()),
            None => out.push(byte),
        }
    }
    out.push(b'"');
}

fn quoted_length(value: &[u8]) -> usize {
    let lengths = value.iter().map(|byte| escape(*byte).map_or(1, |escape| escape.len()));
    lengths.sum::<usize>() + 2
}

/// What stands for a byte between quotes, if it cannot stand there itself.
fn escape(byte: u8) -> Option<Cow<'static, str>> {
    Some(match byte {
        b'"' => "\\\"".into(),
        b'\\' => "\\\\".into(),
        b'\n' => "\\n".into(),
        b'\t' => "\\t".into(),
        b'\r' => "\\r".into(),
        byte if byte.is_ascii_control() => format!("\\x{byte:02x}").into(),
        _ => return None,
    })
}
