//! Comma-separated values (RFC 4180) with a header: key, value and encoding, which is `base64` for values that are not
//! UTF-8 and empty otherwise; with meta also created, updated, expires, writer and metakeys.

use std::io::{BufRead, BufReader, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use csv::Writer;
use csv_core::ReadRecordResult;
use memchr::{memchr, memchr_iter};

use super::lines::without_mark;
use super::{GivenMetakeys, Meta, ReadOptions, cannot_read, invalid, meta_columns, on_line};
use crate::address::EntryName;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Head;
use crate::store::{Change, Place};
use crate::stream::shown;

const COLUMNS: [&str; 3] = ["key", "value", "encoding"];
const META: [&str; 5] = ["created", "updated", "expires", "writer", "metakeys"];
/// How many there can be: each is there once.
const MOST_COLUMNS: usize = COLUMNS.len() + META.len();
/// How much is read at a time.
const READ_AHEAD: usize = 256 * 1024;
const BASE64: &str = "base64";

pub(super) fn header(out: &mut Vec<u8>, with_meta: bool) {
    let meta = META.iter().filter(|_| with_meta);
    record(out, COLUMNS.iter().chain(meta).copied());
}

pub(super) fn push(out: &mut Vec<u8>, name: &str, value: &[u8], meta: Option<&Head>) {
    let base64;
    let (value, encoding) = match std::str::from_utf8(value) {
        Ok(text) => (text, ""),
        Err(_) => {
            base64 = STANDARD.encode(value);
            (base64.as_str(), BASE64)
        }
    };
    let meta: Vec<_> = meta.into_iter().flat_map(meta_columns).collect();
    record(out, [name, value, encoding].into_iter().chain(meta.iter().map(String::as_str)));
}

fn record<'f>(out: &mut Vec<u8>, fields: impl Iterator<Item = &'f str>) {
    // Writing to memory cannot fail.
    let mut writer = Writer::from_writer(out);
    let _ = writer.write_record(fields);
    let _ = writer.flush();
}

pub(super) fn read(
    source: impl Read,
    options: &ReadOptions,
    visit: &mut dyn FnMut(Place, &EntryName, Change<'_>) -> Result<()>,
) -> Result<()> {
    let mut records = Records::new(without_mark(source)?, options.max_line_bytes);
    let Some(header) = records.next()? else { return Ok(()) };
    let columns = Columns::of(header.fields()).map_err(|error| error.at(on_line(header.line)))?;
    let mut name = EntryName::nothing();
    while let Some(record) = records.next()? {
        let at = on_line(record.line);
        let shown = columns.show(record.fields(), options, &mut name, |name, change| visit(at, name, change));
        shown.map_err(|error| error.at(at))?;
    }
    Ok(())
}

/// Cuts a source into records: none longer than it may be, and none with more columns than are known, however many come.
struct Records<R> {
    source: BufReader<R>,
    parser: csv_core::Reader,
    max_bytes: usize,
    /// The fields of the present record, one behind the other, and where each ends.
    text: Vec<u8>,
    ends: [usize; MOST_COLUMNS + 1],
}

struct Record<'r> {
    line: u64,
    fields: [&'r str; MOST_COLUMNS + 1],
    count: usize,
}

impl<'r> Record<'r> {
    fn fields(&self) -> &[&'r str] {
        &self.fields[..self.count]
    }
}

impl<R: Read> Records<R> {
    fn new(source: R, max_bytes: usize) -> Self {
        let source = BufReader::with_capacity(READ_AHEAD, source);
        let (mut parser, mut text, mut ends) =
            (csv_core::Reader::new(), vec![0; 4096], [0; MOST_COLUMNS + 1]);
        // It would take a byte order mark for none that stands behind blank lines, but only where a block begins.
        parser.read_record(b"\n", &mut text, &mut ends);
        parser.set_line(1);
        Self { source, parser, max_bytes, text, ends }
    }

    fn next(&mut self) -> Result<Option<Record<'_>>> {
        self.skip_blank_lines()?;
        let line = self.parser.line();
        match self.cut().map_err(|error| error.at(on_line(line)))? {
            Some(count) => self.record(line, count).map(Some).map_err(|error| error.at(on_line(line))),
            None => Ok(None),
        }
    }

    /// Passes over ends of lines, so that what comes next begins a record.
    fn skip_blank_lines(&mut self) -> Result<()> {
        loop {
            let text = self.source.fill_buf().map_err(cannot_read)?;
            let blank = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if blank == 0 {
                return Ok(());
            }
            let lines = memchr_iter(b'\n', &text[..blank]).count() as u64;
            self.parser.set_line(self.parser.line() + lines);
            self.source.consume(blank);
        }
    }

    /// Reads a record; says how many fields it has.
    fn cut(&mut self) -> Result<Option<usize>> {
        let (mut taken, mut filled, mut count, mut quotes) = (0, 0, 0, Quotes::Start);
        loop {
            let source = self.source.fill_buf().map_err(cannot_read)?;
            let (result, read, written, ended) =
                self.parser.read_record(source, &mut self.text[filled..], &mut self.ends[count..]);
            quotes = quotes.after(&source[..read])?;
            self.source.consume(read);
            (taken, filled, count) = (taken + read, filled + written, count + ended);
            // The end of the line, be that of two bytes, is no part of it.
            if taken > self.max_bytes.saturating_add(2) {
                let what = format!("an entry is longer than {} bytes", self.max_bytes);
                return Err(Error::new(ErrorKind::Limit, what));
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => {
                    return Err(invalid(format!("there are more than {MOST_COLUMNS} columns")));
                }
                // The parser would take all that follows for the field.
                ReadRecordResult::Record if quotes == Quotes::Open => {
                    return Err(invalid("a quote is never closed; two stand for one in quotes"));
                }
                ReadRecordResult::Record => return Ok(Some(count)),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn record(&self, line: u64, count: usize) -> Result<Record<'_>> {
        let mut fields = [""; MOST_COLUMNS + 1];
        let mut start = 0;
        for (field, end) in fields.iter_mut().zip(&self.ends[..count]) {
            let text = std::str::from_utf8(&self.text[start..*end]);
            *field = text.map_err(|_| invalid("the line is not UTF-8"))?;
            start = *end;
        }
        Ok(Record { line, fields, count })
    }
}

/// Where a record stands with its quotes. The parser takes quotes that stand where none may for a part of the value, or leaves them out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// At the start of a field.
    Start,
    /// In a field without quotes.
    Bare,
    /// In a field with quotes.
    Open,
    /// Behind a quote in such a field: its end, or the first of two.
    Closed,
}

impl Quotes {
    fn after(self, bytes: &[u8]) -> Result<Self> {
        let is_plain = matches!(self, Self::Start | Self::Bare) && memchr(b'"', bytes).is_none();
        // Without a quote the last byte says all.
        let first = if is_plain { bytes.len().saturating_sub(1) } else { 0 };
        bytes[first..].iter().try_fold(self, |quotes, byte| quotes.after_byte(*byte))
    }

    fn after_byte(self, byte: u8) -> Result<Self> {
        match (self, byte) {
            (Self::Start | Self::Closed, b'"') => Ok(Self::Open),
            (Self::Open, b'"') => Ok(Self::Closed),
            (Self::Open, _) => Ok(Self::Open),
            (_, b',' | b'\n' | b'\r') => Ok(Self::Start),
            (Self::Bare, b'"') | (Self::Closed, _) => Err(invalid(
                "a quote stands where none may: quotes stand around a whole field, and two in it for one",
            )),
            _ => Ok(Self::Bare),
        }
    }
}

/// Where the columns stand.
struct Columns {
    count: usize,
    key: usize,
    value: usize,
    encoding: Option<usize>,
    meta: [Option<usize>; META.len()],
}

impl Columns {
    fn of(header: &[&str]) -> Result<Self> {
        let is_known = |name: &&str| COLUMNS.contains(name) || META.contains(name);
        if let Some(other) = header.iter().find(|name| !is_known(name)) {
            let what = format!(
                "there is no column {}; key, value, encoding, created, updated, expires, writer and metakeys are known",
                shown(other)
            );
            return Err(invalid(what));
        }
        let mut names = header.to_vec();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(invalid(format!("the column {} is there twice", twice[0])));
        }
        let place = |name: &str| header.iter().position(|column| *column == name);
        let needed = |name: &str| place(name).ok_or_else(|| invalid(format!("there is no column {name}")));
        Ok(Self {
            count: header.len(),
            key: needed("key")?,
            value: needed("value")?,
            encoding: place("encoding"),
            meta: META.map(place),
        })
    }

    fn show(
        &self,
        record: &[&str],
        options: &ReadOptions,
        name: &mut EntryName,
        visit: impl FnOnce(&EntryName, Change<'_>) -> Result<()>,
    ) -> Result<()> {
        if record.len() != self.count {
            let what = format!("there are {} columns, and {} in the header", record.len(), self.count);
            return Err(invalid(what));
        }
        name.assign(record[self.key])?;
        let text = record[self.value];
        let decoded;
        let value = match self.encoding.map_or("", |encoding| record[encoding]) {
            "" => text.as_bytes(),
            BASE64 => {
                decoded = STANDARD.decode(text).map_err(|_| invalid("the value is no base64"))?;
                decoded.as_slice()
            }
            _ => return Err(invalid("the encoding is not known; base64 is, and nothing")),
        };
        let [created, updated, expires, writer, metakeys] =
            self.meta.map(|place| place.map(|place| record[place]));
        let metakeys = metakeys.map_or(GivenMetakeys::Nothing, GivenMetakeys::Json);
        let life = Meta { created, updated, expires, writer, metakeys }.life(options)?;
        visit(name, Change::Set { value, life })
    }
}
