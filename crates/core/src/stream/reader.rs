//! A stream that comes from somewhere, block by block.

use std::io::{self, Read};

use super::parser::{Item, Options, Parser, Step};
use crate::error::{Error, ErrorKind, Result};

/// How much is asked for at a time.
const BLOCK: usize = 256 * 1024;

/// Shows `visit` all items of the stream that comes from `source`, in memory that grows with the longest token only.
///
/// # Errors
/// Those of the grammar, with their place, those of the source, and those of `visit`; each ends it.
pub fn read<E: From<Error>>(
    source: impl Read,
    options: Options,
    mut visit: impl FnMut(Item<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut parser = Parser::new(options);
    let mut buffer = Buffer::new(source);
    loop {
        let mut text = buffer.text();
        loop {
            match parser.next(&mut text, buffer.is_last).map_err(Error::from)? {
                Step::Item(item) => visit(item)?,
                Step::NeedsMore => break,
                Step::End => return Ok(()),
            }
        }
        let left = text.len();
        buffer.fill(left)?;
    }
}

/// Text that has been read and not taken.
struct Buffer<R> {
    source: R,
    bytes: Vec<u8>,
    filled: usize,
    /// Whether nothing follows it.
    is_last: bool,
}

impl<R: Read> Buffer<R> {
    fn new(source: R) -> Self {
        Self { source, bytes: Vec::new(), filled: 0, is_last: false }
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Keeps the last `left` bytes, and reads some behind them.
    fn fill(&mut self, left: usize) -> Result<()> {
        // A token that comes in many pieces is moved once.
        if left < self.filled {
            self.bytes.copy_within(self.filled - left..self.filled, 0);
            self.filled = left;
        }
        if self.bytes.len() < left + BLOCK {
            self.bytes.resize((2 * left).max(left + BLOCK), 0);
        }
        let read = loop {
            match self.source.read(&mut self.bytes[left..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let read =
            read.map_err(|error| Error::new(ErrorKind::Io, "cannot read the stream").because(error))?;
        self.filled += read;
        self.is_last = read == 0;
        Ok(())
    }
}
