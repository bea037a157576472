//! `key TAB base64(value)`, a line each; with meta also created, updated, expires, writer and metakeys. Keys hold no control
//! characters, nor does JSON in one line, so nothing has to be escaped.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr_iter;

use super::{GivenMetakeys, Meta, ReadOptions, invalid, lines, meta_columns, on_line};
use crate::address::EntryName;
use crate::error::Result;
use crate::record::Head;
use crate::store::{Change, Place};
use crate::stream::BYTE_ORDER_MARK;

/// Key, value, and what meta adds.
const MOST_COLUMNS: usize = 7;

/// Makes sure that the start of the first key is not taken for a byte order mark: blank lines are free.
pub(super) fn guard(out: &mut Vec<u8>, name: &str) {
    if name.as_bytes().starts_with(BYTE_ORDER_MARK) {
        out.push(b'\n');
    }
}

pub(super) fn push(out: &mut Vec<u8>, name: &str, value: &[u8], meta: Option<&Head>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'\t');
    out.extend_from_slice(STANDARD.encode(value).as_bytes());
    for column in meta.into_iter().flat_map(meta_columns) {
        out.push(b'\t');
        out.extend_from_slice(column.as_bytes());
    }
    out.push(b'\n');
}

pub(super) fn read(
    source: impl Read,
    options: &ReadOptions,
    visit: &mut dyn FnMut(Place, &EntryName, Change<'_>) -> Result<()>,
) -> Result<()> {
    let (mut name, mut value) = (EntryName::nothing(), Vec::new());
    lines::for_each(source, options.max_line_bytes, |number, line| {
        let mut columns = [&b""[..]; MOST_COLUMNS + 1];
        let (key, base64, meta) = match *split(line, &mut columns) {
            [key, base64] => (key, base64, Meta::default()),
            [key, base64, created, updated, expires, writer, ref metakeys @ ..] if metakeys.len() <= 1 => {
                // Those that were written before there were any have no such column.
                let metakeys = match metakeys.first() {
                    Some(json) => GivenMetakeys::Json(text(json)?),
                    None => GivenMetakeys::Nothing,
                };
                let [created, updated] = [Some(text(created)?), Some(text(updated)?)];
                let [expires, writer] = [Some(text(expires)?), Some(text(writer)?)];
                (key, base64, Meta { created, updated, expires, writer, metakeys })
            }
            [_] => return Err(invalid("there is no tab; key, tab and value in base64 are wanted")),
            ref columns => {
                let more = if columns.len() > MOST_COLUMNS {
                    format!("more than {MOST_COLUMNS}")
                } else {
                    columns.len().to_string()
                };
                return Err(invalid(format!("there are {more} columns; 2 are wanted, or 7 with meta")));
            }
        };
        name.assign(text(key)?)?;
        value.clear();
        STANDARD.decode_vec(base64, &mut value).map_err(|_| invalid("the value is no base64"))?;
        let life = meta.life(options)?;
        visit(on_line(number), &name, Change::Set { value: &value, life })
    })
}

/// What stands between the tabs of a line; one column more than there can be, which has all the rest, tells enough.
fn split<'c, 'l>(line: &'l [u8], columns: &'c mut [&'l [u8]; MOST_COLUMNS + 1]) -> &'c [&'l [u8]] {
    let (mut count, mut start) = (0, 0);
    for tab in memchr_iter(b'\t', line).take(MOST_COLUMNS) {
        columns[count] = &line[start..tab];
        (count, start) = (count + 1, tab + 1);
    }
    columns[count] = &line[start..];
    &columns[..=count]
}

fn text(column: &[u8]) -> Result<&str> {
    std::str::from_utf8(column).map_err(|_| invalid("the line is not UTF-8"))
}
