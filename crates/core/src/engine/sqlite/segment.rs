//! Segments: runs of frames of a log as files of their own, and databases made of them.
//!
//! A segment holds whole transactions and says when each of them was there at the latest. docs/formats.md has the layout.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::follow::Position;
use super::wal::{FRAME_HEAD_BYTES, LOG_HEAD_BYTES, LogHead, Sum, is_page_size};
use crate::clock::Millis;
use crate::error::{Error, ErrorKind, Result};

/// What a segment begins with: the last two bytes are the version.
const MAGIC: &[u8; 8] = b"prdbwa01";
/// Bytes before the name of the generation.
const FIXED_BYTES: usize = 8 + 8 + LOG_HEAD_BYTES + 4 + 4 + 8 + 4 + 4;
/// Longer names of generations, and more moments, are no segment's.
const MAX_GENERATION: usize = 255;
/// The most moments that one segment tells apart.
pub const MAX_MOMENTS: usize = 4096;
/// Bytes of the hash at the end.
const HASH_BYTES: usize = blake3::OUT_LEN;

/// A moment by which all frames up to one of them were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The moment.
    pub at: Millis,
    /// The number of the frame in its log, the last of a transaction.
    pub frame: u32,
}

/// A run of frames of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub(super) log: LogHead,
    /// The first and the last frame, by their numbers in the log.
    pub(super) first: u32,
    pub(super) last: u32,
    /// The sum before the first, and up to the last.
    pub(super) before: Sum,
    pub(super) after: Sum,
    /// How many frames end a transaction.
    pub(super) commits: u32,
}

impl Run {
    /// How many frames it has.
    pub fn frames(&self) -> u32 {
        self.last - self.first + 1
    }

    /// The number of its first frame in the log.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// The number of its last frame in the log.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// What tells its log from others.
    pub fn log(&self) -> [u8; 8] {
        self.log.salts
    }

    /// Whether another run goes on where this one ends.
    pub fn is_before(&self, next: &Self) -> bool {
        self.log == next.log && self.last.checked_add(1) == Some(next.first) && self.after == next.before
    }

    /// Bytes of all its frames.
    pub fn bytes(&self) -> u64 {
        u64::from(self.frames()) * self.log.frame_bytes() as u64
    }

    /// Makes it one with the run that it is before.
    pub fn join(&mut self, next: &Self) {
        (self.last, self.after) = (next.last, next.after);
        self.commits += next.commits;
    }
}

/// Writes a segment: all but the frames of `run`, which come from `frames` as they stand in the log.
///
/// # Errors
/// Those of reading and writing.
pub fn write_segment(
    sink: &mut dyn Write,
    generation: &str,
    number: u64,
    run: &Run,
    moments: &[Moment],
    frames: &mut dyn Read,
) -> io::Result<()> {
    let mut sink = Hashing { inner: sink, hash: blake3::Hasher::new() };
    sink.write_all(&head(generation, number, run, moments))?;
    let copied = io::copy(&mut frames.take(run.bytes()), &mut sink)?;
    if copied != run.bytes() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let hash = sink.hash.finalize();
    sink.inner.write_all(hash.as_bytes())
}

fn head(generation: &str, number: u64, run: &Run, moments: &[Moment]) -> Vec<u8> {
    let mut head = Vec::with_capacity(FIXED_BYTES + generation.len() + 12 * moments.len());
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&number.to_le_bytes());
    head.extend_from_slice(&run.log.bytes);
    let (first, last) = (run.first, run.last);
    for number in [first, last, run.before.0, run.before.1, short(moments.len()), short(generation.len())] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    head.extend_from_slice(generation.as_bytes());
    for moment in moments {
        head.extend_from_slice(&moment.at.0.to_le_bytes());
        head.extend_from_slice(&moment.frame.to_le_bytes());
    }
    head
}

fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Passes bytes on, and hashes them.
struct Hashing<'w> {
    inner: &'w mut dyn Write,
    hash: blake3::Hasher,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A segment that is being read: what stands before its frames.
struct Segment<'r> {
    source: &'r mut dyn Read,
    hash: blake3::Hasher,
    generation: String,
    number: u64,
    log: LogHead,
    first: u32,
    last: u32,
    before: Sum,
    moments: Vec<Moment>,
}

impl<'r> Segment<'r> {
    fn begin(source: &'r mut dyn Read) -> Result<Self> {
        let mut hash = blake3::Hasher::new();
        let mut fixed = [0; FIXED_BYTES];
        fill(source, &mut hash, &mut fixed)?;
        let short = |at: usize| fixed[at..].first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
        let log = fixed[16..].first_chunk().and_then(|bytes| LogHead::parse(*bytes));
        let (Some(log), true) = (log, fixed.starts_with(MAGIC)) else {
            return Err(damaged("it does not begin as one"));
        };
        let behind = 16 + LOG_HEAD_BYTES;
        let (first, last) = (short(behind), short(behind + 4));
        let before = Sum(short(behind + 8), short(behind + 12));
        let (moments, generation) = (short(behind + 16) as usize, short(behind + 20) as usize);
        if moments == 0 || moments > MAX_MOMENTS || generation > MAX_GENERATION || first == 0 || last < first
        {
            return Err(damaged("its beginning makes no sense"));
        }
        let mut name = vec![0; generation];
        fill(source, &mut hash, &mut name)?;
        let generation = String::from_utf8(name).map_err(|_| damaged("its beginning makes no sense"))?;
        let mut bytes = vec![0; 12 * moments];
        fill(source, &mut hash, &mut bytes)?;
        let (twelves, _) = bytes.as_chunks::<12>();
        let moments = twelves.iter().map(moment).collect();
        let number = fixed[8..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
        Ok(Self { source, hash, generation, number, log, first, last, before, moments })
    }

    fn next(&mut self, frame: &mut [u8]) -> Result<()> {
        fill(self.source, &mut self.hash, frame)
    }

    /// Expects that what was read is what was written, and that nothing follows.
    fn end(self) -> Result<()> {
        let mut hash = [0; HASH_BYTES];
        self.source.read_exact(&mut hash).map_err(unreadable)?;
        if self.hash.finalize() != hash {
            return Err(damaged("its hash is another one"));
        }
        match self.source.read(&mut [0]).map_err(unreadable)? {
            0 => Ok(()),
            _ => Err(damaged("something follows its end")),
        }
    }
}

fn moment(bytes: &[u8; 12]) -> Moment {
    let [a, b, c, d, e, f, g, h, frame @ ..] = *bytes;
    let at = Millis(i64::from_le_bytes([a, b, c, d, e, f, g, h]));
    Moment { at, frame: u32::from_le_bytes(frame) }
}

fn fill(source: &mut dyn Read, hash: &mut blake3::Hasher, bytes: &mut [u8]) -> Result<()> {
    source.read_exact(bytes).map_err(unreadable)?;
    hash.update(bytes);
    Ok(())
}

fn unreadable(error: io::Error) -> Error {
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off",
        _ => "it cannot be read",
    };
    damaged(what).because(error)
}

fn damaged(why: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("no segment of a log; {why}"))
}

/// A database that is made of a snapshot and the segments behind it.
#[derive(Debug)]
pub struct Replay {
    file: File,
    generation: String,
    page_size: usize,
    pages: u32,
    /// The number of the next segment.
    number: u64,
    /// Where the last segment ends.
    end: Position,
}

/// How far a segment was heeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The last moment that was heeded; none of a segment that is later as a whole.
    pub moment: Option<Millis>,
    /// Whether that was all of it.
    pub is_whole: bool,
}

impl Replay {
    /// Begins with a file that holds the snapshot of a generation, which was taken at `start`.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when that is no database.
    pub fn begin(file: File, generation: &str, start: Position) -> Result<Self> {
        let mut head = [0; 18];
        let read = file.read_exact_at(&mut head, 0);
        let page_size = match u16::from_be_bytes([head[16], head[17]]) {
            1 => 65536,
            size => usize::from(size),
        };
        let bytes = file.metadata().map_err(cannot_write)?.len();
        let is_database = read.is_ok() && head.starts_with(b"SQLite format 3\0") && is_page_size(page_size);
        if !is_database || bytes % page_size as u64 != 0 {
            return Err(Error::new(ErrorKind::Damaged, "the snapshot is no database"));
        }
        let pages = u32::try_from(bytes / page_size as u64).unwrap_or(u32::MAX);
        Ok(Self { file, generation: generation.to_owned(), page_size, pages, number: 1, end: start })
    }

    /// Applies what was there until a moment, and reads the segment to its end only when that is all of it.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] for a segment that is damaged or is not the next one. Then the file is of no use.
    pub fn apply(&mut self, source: &mut dyn Read, until: Millis) -> Result<Replayed> {
        let mut segment = Segment::begin(source)?;
        self.expect(&segment)?;
        let last = segment.moments.iter().rev().find(|moment| moment.at <= until).copied();
        let Some(Moment { at, frame: last }) = last else {
            return Ok(Replayed { moment: None, is_whole: false });
        };
        let mut sum = segment.before;
        let mut bytes = vec![0; segment.log.frame_bytes()];
        for number in segment.first..=last.min(segment.last) {
            segment.next(&mut bytes)?;
            let frame = segment.log.check(sum, &bytes).ok_or_else(|| damaged("a frame has another sum"))?;
            let offset = u64::from(frame.page - 1) * self.page_size as u64;
            self.file.write_all_at(&bytes[FRAME_HEAD_BYTES..], offset).map_err(cannot_write)?;
            sum = frame.sum;
            if number == last && frame.pages == 0 {
                return Err(damaged("it ends within a transaction"));
            }
            if frame.pages > 0 {
                self.pages = frame.pages;
            }
        }
        self.number += 1;
        self.end = Position { salts: segment.log.salts, frame: last, sum, change: 0 };
        let is_whole = last == segment.last;
        if is_whole {
            segment.end()?;
        }
        Ok(Replayed { moment: Some(at), is_whole })
    }

    /// Refuses a segment that is not the next one.
    fn expect(&self, segment: &Segment<'_>) -> Result<()> {
        if (segment.generation.as_str(), segment.number) != (self.generation.as_str(), self.number) {
            return Err(damaged("it belongs elsewhere"));
        }
        if segment.log.page_size != self.page_size {
            return Err(damaged("its pages have another size"));
        }
        let begins_log = segment.first == 1 && segment.before == segment.log.sum;
        let end = &self.end;
        let is_next = match end.salts == segment.log.salts && end.frame > 0 {
            true => end.frame.checked_add(1) == Some(segment.first) && end.sum == segment.before,
            false => begins_log,
        };
        let in_order = segment.moments.is_sorted_by_key(|moment| (moment.at, moment.frame));
        let ends = segment.moments.last().is_some_and(|moment| moment.frame == segment.last);
        match is_next && in_order && ends && segment.moments[0].frame >= segment.first {
            true => Ok(()),
            false => Err(damaged("it does not follow the one before")),
        }
    }

    /// Gives the file the length of the database and makes sure that it is on disk.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(self) -> Result<()> {
        let bytes = u64::from(self.pages) * self.page_size as u64;
        self.file.set_len(bytes).and_then(|()| self.file.sync_all()).map_err(cannot_write)
    }
}

fn cannot_write(error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
        _ => ErrorKind::Io,
    };
    Error::new(kind, "the database cannot be written").because(error)
}
