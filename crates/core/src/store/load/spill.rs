//! The unnamed file for changes that memory is not to hold.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use super::packed;
use super::run::Heap;
use crate::error::{Error, ErrorKind, Result};

/// How much is read or written at a time.
const BLOCK: usize = 64 * 1024;

/// An unnamed file of runs; it is gone when the process is.
pub(super) struct Spill {
    file: Rc<File>,
    end: u64,
    /// For each run, where the changes of each namespace lie, in order.
    runs: Vec<Vec<(u32, Range<u64>)>>,
}

impl Spill {
    /// An empty one, on the file system of `folder`.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|e| trouble("make", &e))?;
        Ok(Self { file: Rc::new(file), end: 0, runs: Vec::new() })
    }

    /// Takes all changes out of a heap that has been sorted.
    pub fn take(&mut self, heap: &mut Heap) -> Result<()> {
        let mut run: Vec<(u32, Range<u64>)> = Vec::new();
        let mut out = BufWriter::with_capacity(BLOCK, &*self.file);
        for (part, record) in heap.records() {
            let record = packed::length(record).and_then(|length| record.get(..length));
            let record = record.ok_or_else(packed::damaged)?;
            out.write_all(record).map_err(|e| trouble("write", &e))?;
            if run.last().is_none_or(|(last, _)| *last != part) {
                run.push((part, self.end..self.end));
            }
            self.end += record.len() as u64;
            if let Some((_, range)) = run.last_mut() {
                range.end = self.end;
            }
        }
        out.flush().map_err(|e| trouble("write", &e))?;
        drop(out);
        self.runs.push(run);
        heap.clear();
        Ok(())
    }

    /// The runs with changes of one namespace, the oldest first.
    pub fn of(&self, part: u32) -> impl Iterator<Item = RunInFile> {
        self.runs.iter().filter_map(move |run| {
            let place = run.binary_search_by_key(&part, |(part, _)| *part).ok()?;
            let unread = run[place].1.clone();
            Some(RunInFile { file: Rc::clone(&self.file), unread, bytes: Vec::new(), at: 0, length: 0 })
        })
    }
}

fn trouble(what: &str, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("cannot {what} a temporary file for what is to be written; {error}"))
}

/// A run in a file, read piece by piece.
pub(super) struct RunInFile {
    file: Rc<File>,
    /// What has not been read.
    unread: Range<u64>,
    bytes: Vec<u8>,
    /// Where the present change begins in `bytes`, and how long it is.
    at: usize,
    length: usize,
}

impl RunInFile {
    /// Goes to the next change; says whether there is one.
    pub fn advance(&mut self) -> Result<bool> {
        self.at += self.length;
        loop {
            if let Some(length) = packed::length(&self.bytes[self.at..])
                && self.at + length <= self.bytes.len()
            {
                self.length = length;
                return Ok(true);
            }
            if self.unread.is_empty() {
                let is_complete = self.at == self.bytes.len();
                return if is_complete { Ok(false) } else { Err(packed::damaged()) };
            }
            self.read_on(BLOCK)?;
        }
    }

    /// The present change, and what follows it.
    pub fn record(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Reads up to `most` bytes behind those that are still wanted.
    fn read_on(&mut self, most: usize) -> Result<()> {
        self.bytes.drain(..self.at);
        self.at = 0;
        let kept = self.bytes.len();
        let unread = usize::try_from(self.unread.end - self.unread.start).unwrap_or(usize::MAX);
        self.bytes.resize(kept + most.min(unread), 0);
        let read = self.file.read_exact_at(&mut self.bytes[kept..], self.unread.start);
        read.map_err(|e| trouble("read", &e))?;
        self.unread.start += (self.bytes.len() - kept) as u64;
        Ok(())
    }

    /// All changes.
    pub fn read_all(mut self) -> Result<Vec<u8>> {
        self.read_on(usize::MAX)?;
        Ok(self.bytes)
    }
}
