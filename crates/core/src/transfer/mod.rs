//! Entries as files, and back: one file of this module for each format.
//!
//! A [`Writer`] appends entries to a buffer, [`read`] shows those that a source holds, one at a time and in memory that
//! does not grow with the source. Neither knows where bytes come from or go to. docs/moving-data.md has the formats.

mod csv;
mod json;
mod lines;
mod transaction;
pub mod tree;
mod tsv;

use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

pub use self::json::read_keyed_lines;
pub use self::transaction::{read_transaction, show_transacted};
use crate::address::{Delimiter, EntryName, Namespace};
use crate::clock::{Millis, Ttl};
use crate::error::{Error, ErrorKind, Result};
use crate::metakeys::{Metakeys, Pairs};
use crate::record::Head;
use crate::store::{Change, Life, Place};
use crate::stream::{self, Item, Printer};

/// Room in an entry for all but its value: the key, the quotes, times and the writer.
const ENTRY_OVERHEAD: u64 = 64 * 1024;

/// How entries are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Key and value in base64, a tab between them, a line each.
    #[default]
    Tsv,
    /// One array of objects.
    Json,
    /// An object a line.
    JsonLines,
    /// Comma-separated values with a header (RFC 4180).
    Csv,
    /// What `prontodb stream` reads.
    Stream,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Tsv, Self::Json, Self::JsonLines, Self::Csv, Self::Stream];

    /// The word for it, which is what names of such files end in, too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Stream => "stream",
        }
    }

    /// The longest line, entry or token that this format needs for a value of so many bytes.
    pub fn longest_entry(self, value_bytes: u64) -> usize {
        let written = match self {
            // Base64; values of streams that would get longer by escapes are in base64, too.
            Self::Tsv | Self::Stream => (value_bytes / 3).saturating_mul(4),
            // Quotes are doubled.
            Self::Csv => value_bytes.saturating_mul(2),
            // A control character becomes `\u0001`.
            Self::Json | Self::JsonLines => value_bytes.saturating_mul(6),
        };
        usize::try_from(written.saturating_add(ENTRY_OVERHEAD)).unwrap_or(usize::MAX)
    }

    /// The format that a file's name ends in.
    pub fn of_file(path: &Path) -> Option<Self> {
        path.extension()?.to_str()?.to_ascii_lowercase().parse().ok()
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || {
            Error::new(
                ErrorKind::Invalid,
                format!("`{name}` is no format; tsv, json, jsonl, csv and stream are"),
            )
        };
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(unknown)
    }
}

/// Appends entries of one namespace to a buffer.
pub struct Writer {
    format: Format,
    with_meta: bool,
    namespace: Namespace,
    stream: Printer,
    count: u64,
}

impl Writer {
    /// Writes `format`; with `with_meta` also when entries were made, when they end, who wrote them, and metakeys.
    pub fn new(format: Format, with_meta: bool, namespace: Namespace, delimiter: Delimiter) -> Self {
        Self { format, with_meta, namespace, stream: Printer::new(delimiter), count: 0 }
    }

    /// Appends what comes first.
    pub fn begin(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => out.push(b'['),
            Format::Csv => csv::header(out, self.with_meta),
            Format::Tsv | Format::JsonLines | Format::Stream => {}
        }
    }

    /// Appends an entry; `now` is when it was read.
    pub fn entry(&mut self, out: &mut Vec<u8>, name: &str, value: &[u8], head: &Head, now: Millis) {
        let meta = self.with_meta.then_some(head);
        match self.format {
            Format::Tsv => {
                if self.count == 0 {
                    tsv::guard(out, name);
                }
                tsv::push(out, name, value, meta);
            }
            Format::Csv => csv::push(out, name, value, meta),
            Format::Json => {
                out.extend_from_slice(if self.count == 0 { b"\n" } else { b",\n" });
                json::push(out, name, value, meta);
            }
            Format::JsonLines => {
                json::push(out, name, value, meta);
                out.push(b'\n');
            }
            Format::Stream => {
                let left =
                    head.expires.map(|at| u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0).max(1));
                let ttl = left.and_then(|millis| Ttl::from_millis(millis).ok());
                self.stream.entry(out, &self.namespace, name, ttl, value);
            }
        }
        self.count += 1;
    }

    /// Appends what comes last.
    pub fn end(&self, out: &mut Vec<u8>) {
        match (self.format, self.count) {
            (Format::Json, 0) => out.extend_from_slice(b"]\n"),
            (Format::Json, _) => out.extend_from_slice(b"\n]\n"),
            _ => {}
        }
    }
}

/// How to read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The format.
    pub format: Format,
    /// Takes times, writers and metakeys from the source, which has to have the times; else all of it is passed over.
    pub with_meta: bool,
    /// Where entries go.
    pub namespace: Namespace,
    /// The delimiter that streams begin with.
    pub delimiter: Delimiter,
    /// The longest line, entry or token; see [`Format::longest_entry`].
    pub max_line_bytes: usize,
}

/// Shows `visit` the entries that `source` holds.
///
/// # Errors
/// [`ErrorKind::Invalid`] for what is no such format, with its line; [`ErrorKind::Limit`] for lines that are too long; those of
/// the source and of `visit`.
pub fn read(
    source: impl Read,
    options: &ReadOptions,
    visit: &mut dyn FnMut(Place, &EntryName, Change<'_>) -> Result<()>,
) -> Result<()> {
    match options.format {
        Format::Tsv => tsv::read(source, options, visit),
        Format::Json => json::read_array(source, options, visit),
        Format::JsonLines => json::read_lines(source, options, visit),
        Format::Csv => csv::read(source, options, visit),
        Format::Stream => read_stream(source, options, visit),
    }
}

fn read_stream(
    source: impl Read,
    options: &ReadOptions,
    visit: &mut dyn FnMut(Place, &EntryName, Change<'_>) -> Result<()>,
) -> Result<()> {
    let stream_options = stream::Options {
        namespace: options.namespace.clone(),
        delimiter: options.delimiter,
        needs_credentials: false,
        max_token_bytes: options.max_line_bytes,
    };
    stream::read(source, stream_options, |item| match item {
        Item::Credentials(_) => Err(Error::new(ErrorKind::Invalid, "credentials are for prontodb stream")),
        Item::Entry { at, change: Change::Delete, .. } => {
            let what = "entries are imported, and none is removed; prontodb stream does that";
            Err(Error::new(ErrorKind::Invalid, what).at(at))
        }
        Item::Entry { at, namespace, name, change } if *namespace == options.namespace => {
            visit(at, name, change)
        }
        Item::Entry { at, namespace, .. } => {
            let (project, namespace) = (namespace.project(), namespace.namespace());
            let what = format!(
                "this entry is for namespace {namespace} of project {project}; prontodb stream writes it there"
            );
            Err(Error::new(ErrorKind::Invalid, what).at(at))
        }
    })
}

/// What is known of an entry besides its value, as texts.
#[derive(Default)]
struct Meta<'a> {
    created: Option<&'a str>,
    updated: Option<&'a str>,
    expires: Option<&'a str>,
    writer: Option<&'a str>,
    metakeys: GivenMetakeys<'a>,
}

/// Metakeys as a format has them.
#[derive(Default)]
enum GivenMetakeys<'a> {
    #[default]
    Nothing,
    /// An object as text; an empty text is none.
    Json(&'a str),
    /// An object that has been read.
    Pairs(&'a Pairs),
}

impl Meta<'_> {
    /// The times of the entry, as far as the reader wants them.
    fn life(&self, options: &ReadOptions) -> Result<Life> {
        if !options.with_meta {
            return Ok(Life::Default);
        }
        let moment = |name: &str, text: Option<&str>| match text {
            Some(text) if !text.is_empty() => {
                let moment = Millis::parse(text);
                let wanted = || invalid(format!("{name} is no moment as in 2026-11-21T09:30:00.000Z"));
                moment.map(Some).ok_or_else(wanted)
            }
            _ => Ok(None),
        };
        let needed = |name: &str, text| {
            moment(name, text)?.ok_or_else(|| invalid(format!("{name} is missing; --with-meta needs it")))
        };
        Ok(Life::Kept {
            created: needed("created", self.created)?,
            updated: needed("updated", self.updated)?,
            expires: moment("expires", self.expires)?,
            writer: self.writer.filter(|writer| !writer.is_empty()).map(str::to_owned),
            metakeys: self.metakeys.read()?,
        })
    }
}

impl GivenMetakeys<'_> {
    fn read(&self) -> Result<Option<Metakeys>> {
        match self {
            Self::Nothing | Self::Json("") => Ok(None),
            Self::Json(text) => Metakeys::from_json(text),
            Self::Pairs(pairs) => Metakeys::new((*pairs).clone()),
        }
    }
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

fn cannot_read(error: io::Error) -> Error {
    Error::new(ErrorKind::Io, "cannot read the input").because(error)
}

fn on_line(line: u64) -> Place {
    Place { line, column: 0 }
}

/// The moments of a head as texts, who wrote, and metakeys as JSON; nothing where there is none.
fn meta_columns(head: &Head) -> [String; 5] {
    let expires = head.expires.map_or_else(String::new, |at| at.to_string());
    let writer =
        head.writer.as_deref().filter(|writer| !writer.contains(char::is_control)).unwrap_or_default();
    let metakeys = head.metakeys.as_ref().map(Metakeys::to_json).unwrap_or_default();
    [head.created.to_string(), head.updated.to_string(), expires, writer.to_owned(), metakeys]
}
