//! `{"k":…,"v":…}`, or `v64` in base64 for values that are not UTF-8: one array of them, or one a line.

use std::fmt;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr_iter;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{GivenMetakeys, Meta, ReadOptions, cannot_read, invalid, lines, on_line};
use crate::address::EntryName;
use crate::error::{Error, ErrorKind, Result};
use crate::metakeys::{Metakeys, Pairs};
use crate::record::Head;
use crate::store::{Change, Life, Place};
use crate::stream::{BYTE_ORDER_MARK, shown};

/// How much is read at a time.
const BLOCK: usize = 256 * 1024;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    metakeys: Option<&'a Metakeys>,
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
    metakeys: Option<Pairs>,
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
            metakeys: head.metakeys.as_ref(),
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
pub(super) fn told(error: &serde_json::Error) -> String {
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
        metakeys: entry.metakeys.as_ref().map_or(GivenMetakeys::Nothing, GivenMetakeys::Pairs),
    };
    visit(on_line(line), &entry.k, Change::Set { value, life: meta.life(options)? })
}

/// Reads an array as it flows, whatever its length.
pub(super) fn read_array(source: impl Read, options: &ReadOptions, visit: Visit<'_>) -> Result<()> {
    let mut text = Text::new(lines::without_mark(source)?);
    let read = read_elements(&mut text, options, visit);
    read.map_err(|error| error.at(on_line(text.line)))
}

fn read_elements(text: &mut Text<impl Read>, options: &ReadOptions, visit: Visit<'_>) -> Result<()> {
    match text.peek()? {
        Some(b'[') => text.take(1),
        Some(b'{') => return Err(invalid("invalid type: map, expected an array of entries; is this jsonl?")),
        Some(_) => return Err(invalid("an array of entries is wanted")),
        None => return Err(invalid("EOF where an array of entries is wanted")),
    }
    let mut is_open = text.peek()? != Some(b']');
    while is_open {
        let line = text.line;
        let entry = text.entry(options.max_line_bytes)?;
        let shown =
            show(&entry, line, options, &mut |at, key, change| visit(at, &EntryName::parse(key)?, change));
        shown.map_err(|error| error.at(on_line(line)))?;
        is_open = match text.peek()? {
            Some(b',') => true,
            Some(b']') => false,
            Some(_) => return Err(invalid("expected `,` or `]`")),
            None => return Err(invalid("EOF in the array")),
        };
        if is_open {
            text.take(1);
            text.peek()?;
        }
    }
    text.take(1);
    match text.peek()? {
        None => Ok(()),
        Some(_) => Err(invalid("trailing characters")),
    }
}

/// Text of a source, of which one entry at a time has to be whole: slices are parsed several times as fast as readers.
struct Text<R> {
    source: R,
    bytes: Vec<u8>,
    /// How much of it has been taken, and the line there.
    taken: usize,
    line: u64,
    /// Whether nothing follows.
    is_last: bool,
}

impl<R: Read> Text<R> {
    fn new(source: R) -> Self {
        Self { source, bytes: Vec::new(), taken: 0, line: 1, is_last: false }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn take(&mut self, length: usize) {
        let end = self.taken + length;
        self.line += memchr_iter(b'\n', &self.bytes[self.taken..end]).count() as u64;
        self.taken = end;
    }

    /// The next byte that is no blank, which is not taken.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
            self.take(self.rest().iter().take_while(is_blank).count());
            if let Some(byte) = self.rest().first() {
                return Ok(Some(*byte));
            }
            if self.is_last {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Reads as much again as there is, so that an entry that is tried again each time is not read too often.
    fn fill(&mut self) -> Result<()> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let wanted = self.bytes.len().max(BLOCK);
        let read = self.source.by_ref().take(wanted as u64).read_to_end(&mut self.bytes);
        self.is_last = read.map_err(cannot_read)? < wanted;
        Ok(())
    }

    /// Takes the entry that begins here.
    fn entry(&mut self, max_bytes: usize) -> Result<Given> {
        loop {
            let mut entries = serde_json::Deserializer::from_slice(self.rest()).into_iter();
            let read = entries.next();
            let length = if let Some(Ok(_)) = read { entries.byte_offset() } else { self.rest().len() };
            match read {
                Some(Err(error)) if self.is_last || !error.is_eof() => {
                    let lines_on = u64::try_from(error.line()).unwrap_or(1).saturating_sub(1);
                    return Err(invalid(told(&error)).at(on_line(self.line + lines_on)));
                }
                _ if length > max_bytes => {
                    let what = format!("an entry is longer than {max_bytes} bytes");
                    return Err(Error::new(ErrorKind::Limit, what));
                }
                Some(Ok(entry)) => {
                    self.take(length);
                    return Ok(entry);
                }
                None if self.is_last => return Err(invalid("EOF in the array")),
                // Cut off, as far as one can tell.
                _ => self.fill()?,
            }
        }
    }
}
