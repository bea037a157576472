//! Files that reach the disk as they are written.
//!
//! What is written otherwise waits in memory until it is synced, and then a gigabyte goes to the disk at once: whoever syncs
//! another file meanwhile, as writers of the database do now and then, waits for all of it.

#![allow(unsafe_code, reason = "the standard library does not know sync_file_range")]

use std::fs::File;
use std::io::{self, IoSlice, Write};

/// After so many bytes the disk is told to begin.
const STEP: u64 = 4 * 1024 * 1024;
/// So many bytes may be on their way.
const AHEAD: u64 = 2 * STEP;

/// A file that is written from its beginning to its end.
pub struct Paced {
    file: File,
    written: u64,
}

impl Paced {
    /// A file to which nothing has been written.
    pub fn new(file: File) -> Self {
        Self { file, written: 0 }
    }

    /// Has the last step that is complete written, and waits for an earlier one.
    fn keep_pace(&self) -> io::Result<()> {
        let end = self.written / STEP * STEP;
        begin(&self.file, end - STEP)?;
        match end.checked_sub(AHEAD + STEP) {
            Some(earlier) => wait(&self.file, earlier),
            None => Ok(()),
        }
    }
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(STEP - self.written % STEP).unwrap_or(usize::MAX);
        let length = self.file.write(&bytes[..bytes.len().min(room)])?;
        self.written += length as u64;
        if length == room {
            self.keep_pace()?;
        }
        Ok(length)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let room = STEP - self.written % STEP;
        if slices.iter().map(|slice| slice.len() as u64).sum::<u64>() >= room {
            // One of them may reach over the end of the step.
            let first = slices.iter().find(|slice| !slice.is_empty());
            return first.map_or(Ok(0), |slice| self.write(slice));
        }
        let length = self.file.write_vectored(slices)?;
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn begin(file: &File, from: u64) -> io::Result<()> {
    sync_range(file, from, libc::SYNC_FILE_RANGE_WRITE)
}

#[cfg(target_os = "linux")]
fn wait(file: &File, from: u64) -> io::Result<()> {
    sync_range(file, from, libc::SYNC_FILE_RANGE_WAIT_BEFORE)
}

/// An error of the disk that is told here is told by no later call.
#[cfg(target_os = "linux")]
fn sync_range(file: &File, from: u64, flags: libc::c_uint) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let [from, length] = [from, STEP].map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    // SAFETY: it takes numbers alone, and the file is open.
    if unsafe { libc::sync_file_range(file.as_raw_fd(), from, length, flags) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Not every kind of file can do this; the sync at the end is what counts.
        Some(libc::EINVAL | libc::ESPIPE | libc::ENOSYS | libc::EOPNOTSUPP | libc::EPERM) => Ok(()),
        _ => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn begin(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn wait(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};

    use super::*;

    #[test]
    fn all_that_is_written_arrives() {
        let mut file = tempfile::tempfile().unwrap();
        let mut paced = Paced::new(file.try_clone().unwrap());
        let bytes: Vec<u8> = (0..u32::try_from(6 * STEP + 12_345).unwrap()).map(|n| (n >> 7) as u8).collect();
        for pieces in bytes.chunks(3_000_001) {
            let (one, other) = pieces.split_at(pieces.len() / 3);
            let written = paced.write_vectored(&[IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(other)]);
            paced.write_all(&pieces[written.unwrap()..]).unwrap();
        }
        let mut back = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut back).unwrap();
        assert!(back == bytes);
    }

    #[test]
    fn what_cannot_be_told_to_begin_is_written_all_the_same() {
        let null = File::options().write(true).open("/dev/null").unwrap();
        Paced::new(null).write_all(&vec![0; 3 * usize::try_from(STEP).unwrap()]).unwrap();
    }
}
