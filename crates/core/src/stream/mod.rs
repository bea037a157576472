//! The stream: `key=value;` tokens with directives between them, as `prontodb stream` reads and `scan --stream` writes.
//!
//! [`Parser`] turns text that comes in pieces into [`Item`]s, [`Printer`] turns entries into text: both are grammar, and do
//! no I/O. [`read`] feeds a parser from a reader. docs/stream.md has the grammar on one page.

mod lexer;
mod parser;
mod printer;
mod reader;

use std::fmt;

pub use self::parser::{Item, Options, Parser, Step};
pub use self::printer::Printer;
pub use self::reader::read;
use crate::address::AddressError;
use crate::clock::TtlError;
use crate::error::{Error, ErrorKind};
use crate::store::Place;

/// What some programs write in front of UTF-8 (U+FEFF); it says nothing.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What a value in base64 begins with.
const BASE64_MARK: &[u8] = b"b64:";
/// What the name of a directive begins with.
const META_MARK: &[u8] = b"meta:";

/// Why a text is no stream, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// Line and column; columns count bytes.
    pub place: Place,
    /// What is wrong there.
    pub trouble: Trouble,
}

/// What is wrong with a stream. No message repeats text that might be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// A token without `=`.
    #[error("a token without `=`; key=value is wanted, and meta:name=value")]
    NoEquals,
    /// A quote that nothing closes.
    #[error("the quote that begins here is never closed")]
    Unterminated,
    /// Text between a closing quote and what has to follow it.
    #[error("text behind the closing quote; write `\\\"` for a quote inside")]
    BehindQuote,
    /// A zero byte.
    #[error("a zero byte; write it as \\x00 in quotes, or the value as b64:…")]
    Nul,
    /// A `\` that begins nothing known.
    #[error("an escape that is none of \\\" \\\\ \\n \\t \\r \\xHH")]
    Escape,
    /// Text behind `b64:` that is no base64.
    #[error("no base64 behind `b64:`; write other values that begin so in quotes")]
    Base64,
    /// A token that goes on for too long.
    #[error("a token of more than {0} bytes; is a `;` missing?")]
    TooLong(usize),
    /// A key or directive that is no text.
    #[error("a {0} that is not UTF-8")]
    NotText(&'static str),
    /// A directive that there is not.
    #[error("there is no meta:{0}; path, ns, project, namespace, delim, ttl, op and sec:… are known")]
    UnknownMeta(String),
    /// A directive that takes in the entry behind it, which nobody is to read in a message.
    #[error("a directive that goes on to another `=`; is a `;` missing?")]
    Unended,
    /// A name, a namespace or a delimiter that is none.
    #[error("{0}")]
    Address(#[from] AddressError),
    /// A time to live that is none.
    #[error("{0}")]
    Ttl(#[from] TtlError),
    /// An operation that is none.
    #[error("meta:op is set or del")]
    Op,
    /// A value for a key that is to be removed.
    #[error("meta:op=del takes keys without a value, as in key=")]
    ValueOfDeletion,
    /// No credentials where they are needed.
    #[error(
        "the credentials are missing; they come first, as meta:sec:apikey=K or meta:sec:session=S or meta:sec:pass=P;meta:sec:user=U"
    )]
    NoCredentials,
    /// Credentials behind other tokens, or a second time.
    #[error("credentials come first, and once")]
    LateCredentials,
    /// A user before the password, or none behind it.
    #[error("meta:sec:pass comes first and meta:sec:user behind it")]
    HalfCredentials,
}

/// A name as messages show it: whatever was meant, they stay one line, and short.
pub(crate) fn shown(name: &str) -> String {
    let mut shown = String::new();
    for c in name.chars().take(40) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.trouble)
    }
}

impl std::error::Error for StreamError {}

impl From<StreamError> for Error {
    fn from(error: StreamError) -> Self {
        let kind = match error.trouble {
            Trouble::TooLong(_) => ErrorKind::Limit,
            Trouble::NoCredentials | Trouble::LateCredentials | Trouble::HalfCredentials => ErrorKind::Denied,
            _ => ErrorKind::Invalid,
        };
        Self::new(kind, error.to_string())
    }
}
