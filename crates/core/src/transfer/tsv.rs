//! `key TAB base64(value)`, a line each; with meta also created, updated, expires, writer and metakeys. Keys hold no control
//! characters, nor does JSON in one line, so nothing has to be escaped.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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
        let line = std::str::from_utf8(line).map_err(|_| invalid("the line is not UTF-8"))?;
        // One more than there can be tells enough.
        let columns: Vec<_> = line.splitn(MOST_COLUMNS + 1, '\t').collect();
        let (key, base64, meta) = match columns[..] {
            [key, base64] => (key, base64, Meta::default()),
            [key, base64, created, updated, expires, writer, ref metakeys @ ..] if metakeys.len() <= 1 => {
                let [created, updated, expires, writer] = [created, updated, expires, writer].map(Some);
                // Those that were written before there were any have no such column.
                let metakeys =
                    metakeys.first().map_or(GivenMetakeys::Nothing, |json| GivenMetakeys::Json(json));
                (key, base64, Meta { created, updated, expires, writer, metakeys })
            }
            [_] => return Err(invalid("there is no tab; key, tab and value in base64 are wanted")),
            _ => {
                let more = if columns.len() > MOST_COLUMNS {
                    format!("more than {MOST_COLUMNS}")
                } else {
                    columns.len().to_string()
                };
                return Err(invalid(format!("there are {more} columns; 2 are wanted, or 7 with meta")));
            }
        };
        name.assign(key)?;
        value.clear();
        STANDARD.decode_vec(base64, &mut value).map_err(|_| invalid("the value is no base64"))?;
        let life = meta.life(options)?;
        visit(on_line(number), &name, Change::Set { value: &value, life })
    })
}
