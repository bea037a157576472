//! Comma-separated values (RFC 4180) with a header: key, value and encoding, which is `base64` for values that are not
//! UTF-8 and empty otherwise; with meta also created, updated, expires and writer.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use csv::{ReaderBuilder, StringRecord, Writer};

use super::lines::{Allowance, Bounded, without_mark};
use super::{Meta, ReadOptions, invalid, meta_columns, on_line};
use crate::address::EntryName;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Head;
use crate::store::{Change, Place};
use crate::stream::shown;

const COLUMNS: [&str; 3] = ["key", "value", "encoding"];
const META: [&str; 4] = ["created", "updated", "expires", "writer"];
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
    // What is read ahead belongs to entries to come.
    let allowance = Allowance::new(options.max_line_bytes.saturating_add(READ_AHEAD));
    let told = |error: csv::Error| allowance.exceeded().unwrap_or_else(|| told(&error));
    let source = Bounded { source: without_mark(source)?, allowance: &allowance };
    let mut reader = ReaderBuilder::new().buffer_capacity(READ_AHEAD).from_reader(source);
    let headers = reader.headers().map_err(told)?.clone();
    if headers.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(&headers)?;
    let (mut record, mut name) = (StringRecord::new(), EntryName::nothing());
    while reader.read_record(&mut record).map_err(told)? {
        allowance.renew();
        let line = record.position().map_or(0, csv::Position::line);
        let shown =
            columns.show(&record, options, &mut name, |name, change| visit(on_line(line), name, change));
        shown.map_err(|error| error.at(on_line(line)))?;
    }
    Ok(())
}

/// Where the columns stand.
struct Columns {
    key: usize,
    value: usize,
    encoding: Option<usize>,
    meta: [Option<usize>; 4],
}

impl Columns {
    fn of(headers: &StringRecord) -> Result<Self> {
        let known = COLUMNS.iter().chain(&META);
        for header in headers {
            if !known.clone().any(|known| *known == header) {
                let header = shown(header);
                let what = format!(
                    "there is no column {header}; key, value, encoding, created, updated, expires and writer are known"
                );
                return Err(invalid(what).at(on_line(1)));
            }
        }
        let mut names: Vec<_> = headers.iter().collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(invalid(format!("the column {} is there twice", twice[0])).at(on_line(1)));
        }
        let place = |name: &str| headers.iter().position(|header| header == name);
        let needed = |name: &str| {
            place(name).ok_or_else(|| invalid(format!("there is no column {name}")).at(on_line(1)))
        };
        Ok(Self {
            key: needed("key")?,
            value: needed("value")?,
            encoding: place("encoding"),
            meta: META.map(place),
        })
    }

    fn show(
        &self,
        record: &StringRecord,
        options: &ReadOptions,
        name: &mut EntryName,
        visit: impl FnOnce(&EntryName, Change<'_>) -> Result<()>,
    ) -> Result<()> {
        name.assign(&record[self.key])?;
        let text = &record[self.value];
        let decoded;
        let value = match self.encoding.map_or("", |encoding| &record[encoding]) {
            "" => text.as_bytes(),
            BASE64 => {
                decoded = STANDARD.decode(text).map_err(|_| invalid("the value is no base64"))?;
                decoded.as_slice()
            }
            _ => return Err(invalid("the encoding is not known; base64 is, and nothing")),
        };
        let [created, updated, expires, writer] =
            self.meta.map(|place| place.and_then(|place| record.get(place)));
        let life = Meta { created, updated, expires, writer }.life(options)?;
        visit(name, Change::Set { value, life })
    }
}

fn told(error: &csv::Error) -> Error {
    let kind = if error.is_io_error() { ErrorKind::Io } else { ErrorKind::Invalid };
    let line = error.position().map(csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("there are {len} columns, and {expected_len} in the header")
        }
        csv::ErrorKind::Utf8 { .. } => "the line is not UTF-8".to_owned(),
        _ => error.to_string(),
    };
    let error = Error::new(kind, what);
    match line {
        Some(line) => error.at(on_line(line)),
        None => error,
    }
}
