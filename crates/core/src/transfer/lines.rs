//! Lines of a source, with their numbers, none longer than it may be.

use std::io::{BufRead, BufReader, Read};

use super::on_line;
use crate::error::{Error, ErrorKind, Result};

/// Shows `visit` each line that is not blank, without its end, be that `\n` or `\r\n`.
pub(super) fn for_each(
    source: impl Read,
    max_bytes: usize,
    mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut source = BufReader::with_capacity(256 * 1024, source);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let most = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
        let read = source.by_ref().take(most).read_until(b'\n', &mut line);
        if read.map_err(|error| Error::new(ErrorKind::Io, "cannot read the input").because(error))? == 0 {
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
