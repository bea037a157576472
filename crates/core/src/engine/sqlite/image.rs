//! The files of a database, read without SQLite: many pages at a time, and knowing at which frame of the log.
//!
//! The state at a frame is the file of the database with the newer pages of the log over it. Whoever reads it keeps a read
//! transaction open that began before the look at the index: so the log is not begun anew meanwhile, and nothing newer is copied
//! back into the file. A page that is just being copied back is in the log as well, and its state in the file does not matter.
//!
//! POSIX drops all locks that a process has on a file when it closes any descriptor of it, so those of the database and of the
//! index of its log are never closed. The log itself is never locked.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::mem::ManuallyDrop;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::connect::file_error;
use super::side_file;
use super::wal::{FRAME_HEAD_BYTES, FrameHead, INDEX_BYTES, Index, LOG_HEAD_BYTES, LogHead, is_page_size};
use crate::engine::CopySink;
use crate::error::{Error, ErrorKind, Result};

/// How often a look at the index is tried while somebody changes it, which takes no time unless they are stopped there,
const GLANCES: u32 = 500;
/// and how long it waits in between.
const PAUSE: Duration = Duration::from_millis(1);
/// Bytes of the database that are read at once.
const CHUNK: usize = 256 * 1024;
/// After so many new frames the log is synced.
const FRAMES_A_SYNC: u32 = 1000;
/// How many frames are read between two pauses.
const FRAMES_A_PAUSE: u32 = 1024;

/// The files of one database.
pub(super) struct Image {
    /// How the user calls the database.
    path: PathBuf,
    /// Where it is.
    real: PathBuf,
    database: ManuallyDrop<File>,
    log: OnceCell<LogFiles>,
}

/// The log of a database, and its index.
struct LogFiles {
    index: ManuallyDrop<File>,
    log: File,
}

/// How large a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    page_bytes: usize,
    pages: u32,
}

/// The pages that are newer in the log than in the database, and the frames that hold them.
struct Newer {
    log: LogHead,
    frames: HashMap<u32, u32>,
}

impl Image {
    /// Opens the database that the user calls `path`.
    pub(super) fn open(path: &Path, real: &Path) -> Result<Self> {
        let database = ManuallyDrop::new(open(real)?);
        Ok(Self { path: path.to_owned(), real: real.to_owned(), database, log: OnceCell::new() })
    }

    fn log(&self) -> Result<&LogFiles> {
        if let Some(files) = self.log.get() {
            return Ok(files);
        }
        let index = ManuallyDrop::new(open(&side_file(&self.real, "-shm"))?);
        let files = LogFiles { index, log: open(&side_file(&self.real, "-wal"))? };
        Ok(self.log.get_or_init(|| files))
    }

    /// Looks how far the log goes.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when the index stays unreadable; [`ErrorKind::Io`] when the file has been moved or replaced.
    pub(super) fn look(&self) -> Result<Index> {
        let files = self.log()?;
        self.refuse_moved(files)?;
        let mut bytes = [0; INDEX_BYTES];
        for _ in 0..GLANCES {
            files.index.read_exact_at(&mut bytes, 0).map_err(|e| self.cannot_read("-shm", e))?;
            if let Some(index) = Index::parse(&bytes) {
                return Ok(index);
            }
            thread::sleep(PAUSE);
        }
        let what = format!("the index of {} is busy", self.path.display());
        Err(Error::new(ErrorKind::Busy, what))
    }

    /// Refuses a file that is not at its place any more: what is there by now has another log.
    fn refuse_moved(&self, files: &LogFiles) -> Result<()> {
        let is_same = |there: &Path, file: &File| {
            let (there, own) = (fs::metadata(there).ok()?, file.metadata().ok()?);
            Some((there.dev(), there.ino()) == (own.dev(), own.ino()))
        };
        let log = side_file(&self.real, "-wal");
        if is_same(&self.real, &self.database) == Some(true) && is_same(&log, &files.log) == Some(true) {
            return Ok(());
        }
        let what = format!("{} was moved, replaced or removed", self.path.display());
        Err(Error::new(ErrorKind::Io, what))
    }

    /// What the system says of the file of the database.
    pub(super) fn metadata(&self) -> Result<Metadata> {
        self.database.metadata().map_err(|e| self.cannot_read("", e))
    }

    /// The head of the log, if it is the one that the index speaks of.
    pub(super) fn log_head(&self, index: &Index) -> Result<Option<LogHead>> {
        let mut bytes = [0; LOG_HEAD_BYTES];
        match self.log()?.log.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(LogHead::parse(bytes).filter(|head| head.salts == index.salts)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(self.cannot_read("-wal", e)),
        }
    }

    /// The head of a frame.
    pub(super) fn frame_head(&self, log: &LogHead, number: u32) -> Result<FrameHead> {
        let mut head = [0; FRAME_HEAD_BYTES];
        self.read_log(log.offset_of(number), &mut head)?;
        Ok(FrameHead::parse(&head))
    }

    /// Reads a whole frame.
    pub(super) fn read_frame(&self, log: &LogHead, number: u32, frame: &mut [u8]) -> Result<()> {
        self.read_log(log.offset_of(number), frame)
    }

    fn read_log(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.log()?.log.read_exact_at(bytes, offset).map_err(|e| self.cannot_read("-wal", e))
    }

    /// Hands all of the database on as it is at a look, in order; its length. `pause` is called again and again meanwhile.
    /// Without a look it is the file alone.
    ///
    /// # Errors
    /// Those of reading, of `sink` and of `pause`; [`ErrorKind::Busy`] when it has to be tried again with another look.
    pub(super) fn copy(
        &self,
        look: Option<&Index>,
        sink: &mut dyn CopySink,
        pause: &mut dyn FnMut() -> Result<()>,
    ) -> Result<u64> {
        let size = self.size(look)?;
        let newer = match look {
            Some(index) => self.newer(index, pause)?,
            None => None,
        };
        let pages_a_chunk = u32::try_from((CHUNK / size.page_bytes).max(1)).unwrap_or(1);
        let bytes = u64::from(size.pages) * size.page_bytes as u64;
        sink.begin(bytes)?;
        let (mut buffer, mut synced) = (Vec::new(), look.copied());
        for first in (1..=size.pages).step_by(pages_a_chunk as usize) {
            pause()?;
            if let Some(synced) = &mut synced {
                self.sync_log(synced);
            }
            let count = pages_a_chunk.min(size.pages - first + 1);
            buffer.resize(count as usize * size.page_bytes, 0);
            let read = self.read_pages(&mut buffer, u64::from(first - 1) * size.page_bytes as u64)?;
            // What is behind the end of the file is in the log, or holds nothing.
            buffer[read..].fill(0);
            if let Some(newer) = &newer {
                self.read_newer(newer, first, &mut buffer)?;
            }
            sink.take(&mut buffer)?;
        }
        Ok(bytes)
    }

    /// Has the log written to the disk once it has grown since `synced`. While it cannot begin anew it may grow by much, and the
    /// first writer that copies it back would have to wait for the disk to take all of it.
    fn sync_log(&self, synced: &mut Index) {
        let mut bytes = [0; INDEX_BYTES];
        let Ok(files) = self.log() else { return };
        let read = files.index.read_exact_at(&mut bytes, 0);
        let Some(now) = read.ok().and_then(|()| Index::parse(&bytes)) else { return };
        if now.frames.abs_diff(synced.frames) >= FRAMES_A_SYNC {
            // That writer syncs it in any case, and is told what goes wrong.
            let _ = files.log.sync_data();
            *synced = now;
        }
    }

    /// What the index says; that of a log without frames may not know, and then the file does.
    fn size(&self, look: Option<&Index>) -> Result<Size> {
        if let Some(index) = look.filter(|index| index.pages > 0 && is_page_size(index.page_size)) {
            return Ok(Size { page_bytes: index.page_size, pages: index.pages });
        }
        let mut head = [0; 18];
        self.database.read_exact_at(&mut head, 0).map_err(|e| self.cannot_read("", e))?;
        let page_bytes = match u16::from_be_bytes([head[16], head[17]]) {
            // 65536 does not fit.
            1 => 65536,
            size => usize::from(size),
        };
        let bytes = self.metadata()?.len();
        match is_page_size(page_bytes) {
            true => {
                Ok(Size { page_bytes, pages: u32::try_from(bytes / page_bytes as u64).unwrap_or(u32::MAX) })
            }
            false => Err(Error::new(ErrorKind::Damaged, format!("{} is damaged", self.path.display()))),
        }
    }

    /// Which pages are newer in the log; none where all of it has been copied back, for it may be begun anew by now.
    fn newer(&self, index: &Index, pause: &mut dyn FnMut() -> Result<()>) -> Result<Option<Newer>> {
        if index.backfilled >= index.frames {
            return Ok(None);
        }
        let changed = || Error::new(ErrorKind::Busy, format!("{} is busy", self.path.display()));
        let log = self.log_head(index)?.ok_or_else(changed)?;
        let (mut frames, mut sum) = (HashMap::new(), log.sum);
        // To make the sums over all of a long log would take so long that it grows by as much meanwhile.
        for number in 1..=index.frames {
            if number.is_multiple_of(FRAMES_A_PAUSE) {
                pause()?;
            }
            let frame = self.frame_head(&log, number)?;
            if frame.salts != log.salts {
                return Err(changed());
            }
            sum = frame.sum;
            frames.insert(frame.page, number);
        }
        if sum == index.sum { Ok(Some(Newer { log, frames })) } else { Err(changed()) }
    }

    /// Puts the newer pages over those from `first` on.
    fn read_newer(&self, newer: &Newer, first: u32, pages: &mut [u8]) -> Result<()> {
        for (page, bytes) in (first..).zip(pages.chunks_mut(newer.log.page_size)) {
            if let Some(frame) = newer.frames.get(&page) {
                self.read_log(newer.log.offset_of(*frame) + FRAME_HEAD_BYTES as u64, bytes)?;
            }
        }
        Ok(())
    }

    /// Reads as much of the database as there is; how much that is.
    fn read_pages(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.database.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.cannot_read("", e)),
            }
        }
        Ok(filled)
    }

    fn cannot_read(&self, suffix: &str, error: io::Error) -> Error {
        file_error(format!("cannot read {}{suffix}", self.path.display()), error)
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| file_error(format!("cannot read {}", path.display()), e))
}
