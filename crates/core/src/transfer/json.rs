//! `{"k":…,"v":…}`, or `v64` in base64 for values that are not UTF-8: one array of them, or one a line.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::lines::{Allowance, Bounded};
use super::{Meta, ReadOptions, invalid, lines, on_line};
use crate::address::EntryName;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Head;
use crate::store::{Change, Life, Place};
use crate::stream::{BYTE_ORDER_MARK, shown};

/// An entry as it is written.
#[derive(Serialize)]
struct Written<'a> {
    k: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v64: Option<String>,
    #[serde(flatten)]
    meta: Option<WrittenMeta<'a>>,
}

#[derive(Serialize)]
struct WrittenMeta<'a> {
    created: String,
    updated: String,
    expires: Option<String>,
    writer: Option<&'a str>,
}

/// An entry as it is read: an object, and not the array of values that serde would take as well.
struct Given(Members);

/// What stands in an entry. What `scan --long --json` prints besides is known, and passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    k: String,
    v: Option<String>,
    v64: Option<String>,
    created: Option<String>,
    updated: Option<String>,
    expires: Option<String>,
    writer: Option<String>,
    #[serde(rename = "version")]
    _version: Option<IgnoredAny>,
    #[serde(rename = "size")]
    _size: Option<IgnoredAny>,
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Given, A::Error> {
        Members::deserialize(MapAccessDeserializer::new(members)).map(Given)
    }
}

pub(super) fn push(out: &mut Vec<u8>, name: &str, value: &[u8], meta: Option<&Head>) {
    let text = std::str::from_utf8(value).ok();
    let entry = Written {
        k: name,
        v: text,
        v64: text.is_none().then(|| STANDARD.encode(value)),
        meta: meta.map(|head| WrittenMeta {
            created: head.created.to_string(),
            updated: head.updated.to_string(),
            expires: head.expires.map(|at| at.to_string()),
            writer: head.writer.as_deref(),
        }),
    };
    // Writing texts to memory cannot fail.
    let _ = serde_json::to_writer(out, &entry);
}

type Visit<'v> = &'v mut dyn FnMut(Place, &EntryName, Change<'_>) -> Result<()>;

pub(super) fn read_lines(source: impl Read, options: &ReadOptions, visit: Visit<'_>) -> Result<()> {
    read_keyed_lines(source, options, &mut |at, key, change| visit(at, &EntryName::parse(key)?, change))
}

/// Shows `visit` the entries of JSON lines whose keys may be more than names: what `k` is, is for the caller to say.
///
/// # Errors
/// Those of [`read`](super::read).
pub fn read_keyed_lines(
    source: impl Read,
    options: &ReadOptions,
    visit: &mut dyn FnMut(Place, &str, Change<'_>) -> Result<()>,
) -> Result<()> {
    lines::for_each(source, options.max_line_bytes, |number, line| {
        let entry: Given = serde_json::from_slice(line).map_err(|error| invalid(told(&error)))?;
        show(&entry, number, options, visit)
    })
}

/// Reads the one entry that `bytes` hold.
pub(super) fn read_one(bytes: &[u8], options: &ReadOptions) -> Result<(EntryName, Vec<u8>, Life)> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let entry: Given = serde_json::from_slice(bytes)
        .map_err(|error| invalid(told(&error)).at(on_line(error.line().try_into().unwrap_or(0))))?;
    let mut read = None;
    show(&entry, 1, options, &mut |_, key, change| {
        if let Change::Set { value, life } = change {
            read = Some((EntryName::parse(key)?, value.to_vec(), life));
        }
        Ok(())
    })?;
    read.ok_or_else(|| invalid("there is no entry"))
}

/// What is wrong, without the place, for lines have theirs already, and without what was given, which may be a secret.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    let Some((given, wanted)) = text.rsplit_once(", expected ") else { return text.to_owned() };
    let given = match given.strip_prefix("unknown field `") {
        Some(name) => format!("unknown field `{}`", shown(name.strip_suffix('`').unwrap_or(name))),
        // Behind the type stands the value, in quotes of some kind.
        None => given.split(['`', '"']).next().unwrap_or_default().trim_end().to_owned(),
    };
    format!("{given}, expected {wanted}")
}

fn show(
    Given(entry): &Given,
    line: u64,
    options: &ReadOptions,
    visit: &mut dyn FnMut(Place, &str, Change<'_>) -> Result<()>,
) -> Result<()> {
    let decoded;
    let value = match (&entry.v, &entry.v64) {
        (Some(text), None) => text.as_bytes(),
        (None, Some(base64)) => {
            decoded = STANDARD.decode(base64).map_err(|_| invalid("v64 is no base64"))?;
            decoded.as_slice()
        }
        _ => return Err(invalid("one of v and v64 is wanted")),
    };
    let meta = Meta {
        created: entry.created.as_deref(),
        updated: entry.updated.as_deref(),
        expires: entry.expires.as_deref(),
        writer: entry.writer.as_deref(),
    };
    visit(on_line(line), &entry.k, Change::Set { value, life: meta.life(options)? })
}

/// Reads an array as it flows, whatever its length.
pub(super) fn read_array(source: impl Read, options: &ReadOptions, visit: Visit<'_>) -> Result<()> {
    let line = Cell::new(1);
    let allowance = Allowance::new(options.max_line_bytes);
    let source = Bounded {
        source: BufReader::with_capacity(256 * 1024, lines::without_mark(source)?),
        allowance: &allowance,
    };
    let source = Counted { source, line: &line };
    let mut deserializer = serde_json::Deserializer::from_reader(source);
    let mut failed = None;
    let entries = Entries { options, visit, line: &line, allowance: &allowance, failed: &mut failed };
    let read = deserializer.deserialize_seq(entries).and_then(|()| deserializer.end());
    let failed = failed.or_else(|| allowance.exceeded().map(|error| error.at(on_line(line.get()))));
    match (failed, read) {
        (Some(error), _) => Err(error),
        (None, Err(error)) if error.is_io() => {
            Err(Error::new(ErrorKind::Io, format!("cannot read the input; {error}")))
        }
        (None, Err(error)) => Err(invalid(told(&error)).at(on_line(error.line().try_into().unwrap_or(0)))),
        (None, Ok(())) => Ok(()),
    }
}

/// Counts lines as they are read; the parser reads a byte at a time, so the count is that of the present one.
struct Counted<'l, R> {
    source: R,
    line: &'l Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        let newlines = buffer[..read].iter().filter(|byte| **byte == b'\n').count();
        self.line.set(self.line.get() + newlines as u64);
        Ok(read)
    }
}

struct Entries<'e> {
    options: &'e ReadOptions,
    visit: Visit<'e>,
    line: &'e Cell<u64>,
    allowance: &'e Allowance,
    /// What ended it, where that was not the parser.
    failed: &'e mut Option<Error>,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element::<Given>()? {
            self.allowance.renew();
            if let Err(error) = show(&entry, self.line.get(), self.options, &mut |at, key, change| {
                (self.visit)(at, &EntryName::parse(key)?, change)
            }) {
                *self.failed = Some(error.at(on_line(self.line.get())));
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
