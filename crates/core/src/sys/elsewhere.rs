//! Systems other than Linux: the little that all of them have.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{FileSystem, Roused};

#[derive(Debug)]
pub(super) struct Writes;

impl Writes {
    pub(super) fn expect() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn to(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(super) fn doze(
    limit: Duration,
    _writes: Option<&Writes>,
    _reader: Option<BorrowedFd<'_>>,
) -> io::Result<Roused> {
    std::thread::sleep(limit);
    Ok(Roused::TimedOut)
}

pub(super) use super::look_and_rename as rename_new;

pub(super) fn boot() -> Option<u128> {
    None
}

pub(super) fn uptime_millis() -> Option<u64> {
    None
}

pub(super) fn lock_holder(_path: &Path) -> Option<super::LockHolder> {
    None
}

pub(super) fn record_lock_holder(_path: &Path, _byte: u64) -> Option<super::LockHolder> {
    None
}

pub(super) use super::poll_for_lock as wait_for_lock;

pub(super) fn try_lock_byte(_file: &File, _byte: u16) -> bool {
    false
}

pub(super) fn unlock_byte(_file: &File, _byte: u16) {}

pub(super) fn is_byte_locked(_file: &File, _byte: u16) -> bool {
    false
}

pub(super) fn await_byte(_file: &File, _byte: u16, _limit: Duration) {}

#[derive(Clone, Copy, Debug)]
pub(super) struct Signals;

impl Signals {
    pub(super) fn hold_back() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn spare(&self, _: &mut Command) {}

    pub(super) fn wait(self, limit: std::time::Duration) -> Option<super::Ending> {
        std::thread::sleep(limit);
        None
    }
}

pub(super) fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn peek(_path: &Path, _bytes: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn is_attached_elsewhere(_shm: &Path) -> io::Result<bool> {
    Ok(true)
}

pub(super) fn free_bytes(_path: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

pub(super) fn file_system(_path: &Path) -> io::Result<FileSystem> {
    Ok(FileSystem { name: "unknown", shared: false })
}

pub(super) fn is_writable(_path: &Path) -> bool {
    true
}

pub(super) fn is_marked(_path: &Path) -> bool {
    false
}

pub(super) fn mark(_path: &Path) {}
