//! Lines of a source, with their numbers: none longer than it may be.

use std::io::{self, BufRead, BufReader, Read};

use memchr::memchr;

use super::{cannot_read, on_line};
use crate::error::{Error, ErrorKind, Result};
use crate::stream::BYTE_ORDER_MARK;

/// A source without the byte order mark that it may begin with.
pub(super) fn without_mark(mut source: impl Read) -> Result<impl Read> {
    let mut start = Vec::new();
    source.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start).map_err(cannot_read)?;
    if start == BYTE_ORDER_MARK {
        start.clear();
    }
    Ok(io::Cursor::new(start).chain(source))
}

/// Shows `visit` each line that is not blank, without its end, be that `\n` or `\r\n`.
pub(super) fn for_each(
    source: impl Read,
    max_bytes: usize,
    mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut source = BufReader::with_capacity(256 * 1024, without_mark(source)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        read_line(&mut source, max_bytes.saturating_add(1), &mut line).map_err(cannot_read)?;
        if line.is_empty() {
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if text.len() > max_bytes {
            let what = format!("the line is longer than {max_bytes} bytes");
            return Err(Error::new(ErrorKind::Limit, what).at(on_line(number)));
        }
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        // The key of a TSV line may be a blank, and its value empty: what makes a line one is the tab.
        let is_blank = text.trim_ascii().is_empty() && !text.contains(&b'\t');
        if !is_blank {
            visit(number, text).map_err(|error| error.at(on_line(number)))?;
        }
    }
    Ok(())
}

/// Adds what comes next, up to the end of a line, which is taken along, or until the line has `most` bytes. `read_until` of the
/// standard library does the same, and looks at no more than eight bytes at a time.
fn read_line(source: &mut impl BufRead, most: usize, line: &mut Vec<u8>) -> io::Result<()> {
    while line.len() < most {
        let there = match source.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            there => there?,
        };
        let there = &there[..there.len().min(most - line.len())];
        let end = memchr(b'\n', there);
        let length = end.map_or(there.len(), |at| at + 1);
        line.extend_from_slice(&there[..length]);
        source.consume(length);
        if end.is_some() || length == 0 {
            break;
        }
    }
    Ok(())
}
