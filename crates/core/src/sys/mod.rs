//! What differs between operating systems: locks that time out, who else has a file open, who writes to one, kinds of file
//! system.
//!
//! Linux first. Elsewhere waiting is less fair, logs are never found to be alone, and every file system counts as local.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

use std::cell::Cell;
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(not(target_os = "linux"))]
use self::elsewhere as platform;
#[cfg(target_os = "linux")]
use self::linux as platform;
use crate::clock::Uptime;

/// Takes the exclusive lock on `file`, waiting for at most `limit`; `false` when the time ran out.
///
/// Waiters queue in the kernel, which wakes them in the order they came; but whoever asks before the one that is woken
/// runs has it first. The lock ends with the file's last descriptor, thus also when the process is killed.
pub(crate) fn lock_within(file: &File, limit: Duration) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => platform::wait_for_lock(file, Instant::now() + limit),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Waits for the lock without a place in the line.
fn poll_for_lock(file: &File, deadline: Instant) -> io::Result<bool> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(false),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Takes the lock on one byte of `file` if nobody has it; `false` also where the system has no such locks. It is another one
/// than that of [`lock_within`], and ends in the same way.
pub(crate) fn try_lock_byte(file: &File, byte: u16) -> bool {
    platform::try_lock_byte(file, byte)
}

/// Gives it back.
pub(crate) fn unlock_byte(file: &File, byte: u16) {
    platform::unlock_byte(file, byte);
}

/// Whether somebody who has opened the file on its own has the lock on one byte of it.
pub(crate) fn is_byte_locked(file: &File, byte: u16) -> bool {
    platform::is_byte_locked(file, byte)
}

/// Waits until nobody has it, for at most `limit`. The file must be open for reading.
pub(crate) fn await_byte(file: &File, byte: u16, limit: Duration) {
    platform::await_byte(file, byte, limit);
}

/// What kind of file system a path lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its usual name.
    pub name: &'static str,
    /// Whether locks and shared memory cannot be relied on there.
    pub shared: bool,
}

/// The kind of file system at `path`, which has to exist.
pub(crate) fn file_system(path: &Path) -> io::Result<FileSystem> {
    platform::file_system(path)
}

/// Whether this process may write the file at `path`.
pub(crate) fn is_writable(path: &Path) -> bool {
    platform::is_writable(path)
}

/// Whether the file at `path` bears our mark; `false` where files cannot bear any.
pub(crate) fn is_marked(path: &Path) -> bool {
    platform::is_marked(path)
}

/// Marks a file for as long as it exists, under whatever name. A mark that cannot be made, or is lost, is no error.
pub(crate) fn mark(path: &Path) {
    platform::mark(path);
}

/// Bytes that an ordinary user may still write at `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    platform::free_bytes(path)
}

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// Its number.
    pub process: u32,
    /// What it is called; empty where the system does not say.
    pub name: String,
    /// How long it has been running, and thus the longest that it can have had the lock.
    pub running: Option<Duration>,
}

/// Who holds the lock on a file that [`lock_within`] takes; `None` also where the system does not say.
pub(crate) fn lock_holder(path: &Path) -> Option<LockHolder> {
    platform::lock_holder(path)
}

/// Who holds a record lock for writing on a byte of a file; `None` also where the system does not say.
pub(crate) fn record_lock_holder(path: &Path, byte: u64) -> Option<LockHolder> {
    platform::record_lock_holder(path, byte)
}

/// Gives a file a name that nothing has yet; [`io::ErrorKind::AlreadyExists`] when something does.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    platform::rename_new(from, to)
}

/// Has two files change places in one step. An error of the kind [`io::ErrorKind::Unsupported`] where the system cannot.
pub(crate) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    platform::exchange(one, other)
}

/// Where the system has no such call: somebody may take the name in between.
fn look_and_rename(from: &Path, to: &Path) -> io::Result<()> {
    match to.symlink_metadata() {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::rename(from, to),
        Err(error) => Err(error),
    }
}

/// Reads the beginning of a file, through a descriptor that is never closed, as in [`is_attached_elsewhere`].
pub(crate) fn peek(path: &Path, bytes: &mut [u8]) -> io::Result<usize> {
    platform::peek(path, bytes)
}

/// Whether a process other than this one has the WAL index `shm` mapped.
///
/// The descriptor that it takes to ask is never closed: POSIX would drop SQLite's own locks on the file with it. There is one for
/// each file.
pub(crate) fn is_attached_elsewhere(shm: &Path) -> io::Result<bool> {
    platform::is_attached_elsewhere(shm)
}

/// The wish of whoever runs this process that it ends: SIGINT, SIGTERM and SIGHUP, which are seen by [`Endings::wait`] alone
/// from when this was made. What the process was started to ignore, by `nohup` for one, it goes on to ignore. Elsewhere than
/// on Linux they end the process, as ever.
#[derive(Debug)]
pub struct Endings {
    signals: platform::Signals,
    has_come: Cell<bool>,
}

/// That somebody wishes this process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How it was said.
    pub how: HowToEnd,
    /// It was typed at a terminal, and has come to all processes in front of it.
    pub is_typed: bool,
}

/// The signal that asks a process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowToEnd {
    /// SIGINT: somebody at the terminal.
    Interrupt,
    /// SIGTERM: a program.
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
}

impl Endings {
    /// Takes these signals for the calling thread and those that it starts.
    ///
    /// # Errors
    /// The system refuses.
    pub fn expect() -> io::Result<Self> {
        Ok(Self { signals: platform::Signals::hold_back()?, has_come: Cell::new(false) })
    }

    /// Has a command begin as if nothing was held back: it would inherit that, and few programs ever change it.
    pub fn spare(&self, command: &mut Command) {
        self.signals.spare(command);
    }

    /// Waits for so long, but no longer than until the process is to end; whether it is.
    pub fn wait(&self, limit: Duration) -> bool {
        if !self.has_come.get() {
            self.has_come.set(self.signals.wait(limit).is_some());
        }
        self.has_come.get()
    }

    /// Waits for so long, but no longer than until the next wish; for processes that pass it on.
    pub fn next(&self, limit: Duration) -> Option<Ending> {
        self.signals.wait(limit)
    }
}

/// Tells when files are written, by whichever process.
#[derive(Debug)]
pub(crate) struct Writes(platform::Writes);

impl Writes {
    /// Tells of no file yet; an error where the system cannot tell, or has no room for one more that does.
    pub(crate) fn expect() -> io::Result<Self> {
        platform::Writes::expect().map(Self)
    }

    /// From now on tells of the file that has this name at this moment, too. To say so twice changes nothing.
    pub(crate) fn to(&self, path: &Path) -> io::Result<()> {
        self.0.to(path)
    }
}

/// What ended a [`doze`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roused {
    /// A file was written.
    Written,
    /// Nobody reads any more.
    ReaderGone,
    /// The time was over.
    TimedOut,
}

/// Waits for so long, but no longer than until `writes` tells of something or whoever reads from the other end of `reader` has
/// gone. A pipe alone tells the latter.
pub(crate) fn doze(
    limit: Duration,
    writes: Option<&Writes>,
    reader: Option<BorrowedFd<'_>>,
) -> io::Result<Roused> {
    platform::doze(limit, writes.map(|writes| &writes.0), reader)
}

/// How long this machine has been up, and which start that was; `None` where the system does not say both.
pub(crate) fn uptime() -> Option<Uptime> {
    static BOOT: OnceLock<Option<u128>> = OnceLock::new();
    Some(Uptime { boot: (*BOOT.get_or_init(platform::boot))?, millis: uptime_millis()? })
}

/// The same without saying which start.
pub(crate) fn uptime_millis() -> Option<u64> {
    platform::uptime_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_is_given_up_at_the_deadline() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let holder = file.reopen().unwrap();
        holder.lock().unwrap();
        let waiter = file.reopen().unwrap();
        let start = Instant::now();
        assert!(!lock_within(&waiter, Duration::from_millis(30)).unwrap());
        assert!(start.elapsed() >= Duration::from_millis(30));
        drop(holder);
        assert!(lock_within(&waiter, Duration::from_millis(30)).unwrap());
    }

    #[test]
    fn a_lock_that_is_released_reaches_the_waiter() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let holder = file.reopen().unwrap();
        holder.lock().unwrap();
        let waiter = file.reopen().unwrap();
        let wait = std::thread::spawn(move || lock_within(&waiter, Duration::from_secs(20)).unwrap());
        std::thread::sleep(Duration::from_millis(10));
        drop(holder);
        assert!(wait.join().unwrap());
    }
}
