//! Lines of a source, with their numbers: none longer than it may be.

use std::io::{self, BufRead, BufReader, Read};

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
        let most = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
        let read = source.by_ref().take(most).read_until(b'\n', &mut line);
        if read.map_err(cannot_read)? == 0 {
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
