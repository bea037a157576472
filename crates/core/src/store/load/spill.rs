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

/// How much is written at a time, and read of each run,
const BLOCK: usize = 64 * 1024;
/// unless there are so many runs that they take more than this together,
const ALL_BLOCKS: usize = 16 * 1024 * 1024;
/// and then not less than this.
const LEAST_BLOCK: usize = 4 * 1024;

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
            let record = packed::length(record).and_then(|length| record.get(..length.whole));
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
        let block = (ALL_BLOCKS / self.runs.len().max(1)).clamp(LEAST_BLOCK, BLOCK);
        self.runs.iter().filter_map(move |run| {
            let place = run.binary_search_by_key(&part, |(part, _)| *part).ok()?;
            Some(RunInFile::new(Rc::clone(&self.file), run[place].1.clone(), block))
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

/// A run in a file, read piece by piece: no more than a block, and the value that is asked for.
pub(super) struct RunInFile {
    file: Rc<File>,
    block: usize,
    /// What lies behind `bytes` in the file.
    unread: Range<u64>,
    bytes: Vec<u8>,
    /// Where the present change begins in `bytes`, which hold all of it but perhaps its value, and how long it is.
    at: usize,
    length: usize,
}

impl RunInFile {
    fn new(file: Rc<File>, unread: Range<u64>, block: usize) -> Self {
        Self { file, block, unread, bytes: Vec::new(), at: 0, length: 0 }
    }

    /// Goes to the next change; says whether there is one.
    pub fn advance(&mut self) -> Result<bool> {
        self.drop_front(self.at + self.length)?;
        self.length = 0;
        loop {
            if let Some(length) = packed::length(&self.bytes[self.at..])
                && self.at + length.front <= self.bytes.len()
            {
                self.length = length.whole;
                return Ok(true);
            }
            if self.unread.is_empty() {
                let is_complete = self.at == self.bytes.len();
                return if is_complete { Ok(false) } else { Err(packed::damaged()) };
            }
            self.drop_front_for_good();
            self.read_on(self.block)?;
        }
    }

    /// The present change, perhaps without its value.
    pub fn front(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// The present change, and what follows it.
    pub fn record(&mut self) -> Result<&[u8]> {
        let missing = (self.at + self.length).saturating_sub(self.bytes.len());
        if missing > 0 {
            self.drop_front_for_good();
            self.read_on(missing)?;
        }
        Ok(&self.bytes[self.at..])
    }

    /// Passes over bytes in front of `end`, read or not.
    fn drop_front(&mut self, end: usize) -> Result<()> {
        let beyond = end.saturating_sub(self.bytes.len());
        self.unread.start += beyond as u64;
        self.at = end - beyond;
        if self.unread.start > self.unread.end { Err(packed::damaged()) } else { Ok(()) }
    }

    /// Forgets bytes in front of the present change, and the room that a large one took.
    fn drop_front_for_good(&mut self) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.shrink_to(2 * self.block);
    }

    /// Reads up to `most` bytes behind those that are still wanted.
    fn read_on(&mut self, most: usize) -> Result<()> {
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
