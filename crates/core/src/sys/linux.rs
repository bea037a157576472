//! Linux.

#![allow(unsafe_code, reason = "timers, signals, record locks and statfs have no safe interface in std")]

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::{Ending, FileSystem, HowToEnd, LockHolder, Roused};

/// An inotify instance.
#[derive(Debug)]
pub(super) struct Writes(OwnedFd);

impl Writes {
    pub(super) fn expect() -> io::Result<Self> {
        Ok(Self(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?))
    }

    pub(super) fn to(&self, path: &Path) -> io::Result<()> {
        Ok(inotify::add_watch(&self.0, path, WatchFlags::MODIFY).map(drop)?)
    }

    /// Forgets what has been told so far.
    fn drain(&self) {
        let mut events = [MaybeUninit::<u8>::uninit(); 1024];
        while let Ok(([_, ..], _)) = rustix::io::read(&self.0, &mut events) {}
    }
}

pub(super) fn doze(
    limit: Duration,
    writes: Option<&Writes>,
    reader: Option<BorrowedFd<'_>>,
) -> io::Result<Roused> {
    // Of a reader that has gone the system tells unasked.
    let reader = reader.map(|reader| PollFd::from_borrowed_fd(reader, PollFlags::empty()));
    let written = writes.map(|writes| PollFd::from_borrowed_fd(writes.0.as_fd(), PollFlags::IN));
    let mut ends: Vec<_> = reader.into_iter().chain(written).collect();
    let limit = Timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(i32::MAX.into()),
        tv_nsec: limit.subsec_nanos().into(),
    };
    match poll(&mut ends, Some(&limit)) {
        Ok(0) | Err(Errno::INTR) => return Ok(Roused::TimedOut),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let is_gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    if ends.iter().any(|end| end.revents().intersects(is_gone)) {
        return Ok(Roused::ReaderGone);
    }
    writes.into_iter().for_each(Writes::drain);
    Ok(Roused::Written)
}

/// How often a wait is interrupted once its time is over, should the first signal come before the wait begins.
const NUDGE: Duration = Duration::from_millis(5);

/// Byte of the WAL index on which every attached process holds a shared lock (`UNIX_SHM_DMS` in SQLite's os_unix.c).
const DEAD_MANS_SWITCH: u16 = 128;

/// The number that the kernel draws as it starts.
pub(super) fn boot() -> Option<u128> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)
}

pub(super) fn uptime_millis() -> Option<u64> {
    // SAFETY: all zeros are a value of this type.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes to `time`, which is as large as it has to be.
    if unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) } != 0 {
        return None;
    }
    let part = |part: i64, times: u64| u64::try_from(part).unwrap_or(0).saturating_mul(times);
    Some(part(time.tv_sec, 1000).saturating_add(part(time.tv_nsec, 1) / 1_000_000))
}

pub(super) fn wait_for_lock(file: &File, deadline: Instant) -> io::Result<bool> {
    if !signal_is_ours() {
        return super::poll_for_lock(file, deadline);
    }
    // SAFETY: flock takes plain integers; the descriptor is open as long as `file` lives.
    wait_until(deadline, || unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) })
}

/// Makes a call that blocks until it succeeds or the time is over; whether it has succeeded.
fn wait_until(deadline: Instant, call: impl Fn() -> libc::c_int) -> io::Result<bool> {
    let _alarm = Alarm::at(deadline)?;
    loop {
        if call() == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted if Instant::now() >= deadline => return Ok(false),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}

pub(super) fn try_lock_byte(file: &File, byte: u16) -> bool {
    lock_byte(file.as_raw_fd(), libc::F_OFD_SETLK, libc::F_WRLCK, byte).is_ok()
}

pub(super) fn unlock_byte(file: &File, byte: u16) {
    // Should it fail, the lock still ends with the file's last descriptor.
    let _ = lock_byte(file.as_raw_fd(), libc::F_OFD_SETLK, libc::F_UNLCK, byte);
}

pub(super) fn is_byte_locked(file: &File, byte: u16) -> bool {
    lock_byte(file.as_raw_fd(), libc::F_OFD_GETLK, libc::F_RDLCK, byte)
        .is_ok_and(|kind| kind != libc::F_UNLCK)
}

pub(super) fn await_byte(file: &File, byte: u16, limit: Duration) {
    let deadline = Instant::now() + limit;
    // To wait for such a lock is to get it, for a moment.
    let lock = || lock_byte(file.as_raw_fd(), libc::F_OFD_SETLKW, libc::F_RDLCK, byte).map_or(-1, |_| 0);
    match signal_is_ours().then(|| wait_until(deadline, lock)) {
        Some(Ok(true)) => unlock_byte(file, byte),
        Some(Ok(false)) => {}
        Some(Err(_)) | None => {
            while is_byte_locked(file, byte) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Sets or asks for the lock on one byte of an open file, and hands on the kind of lock that the kernel answers with.
#[allow(clippy::unnecessary_cast, reason = "the types of the fields differ between C libraries")]
fn lock_byte(
    descriptor: RawFd,
    command: libc::c_int,
    kind: libc::c_int,
    byte: u16,
) -> io::Result<libc::c_int> {
    // SAFETY: all zeros are a value of this type, which outlives the call; to a descriptor that is not open the kernel says so.
    unsafe {
        let mut lock: libc::flock = mem::zeroed();
        lock.l_type = kind as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        lock.l_start = byte.into();
        lock.l_len = 1;
        match libc::fcntl(descriptor, command, &raw mut lock) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(lock.l_type.into()),
        }
    }
}

/// Interrupts blocking system calls of the thread that made it, from a given moment on, until it is dropped.
struct Alarm(libc::timer_t);

impl Alarm {
    fn at(deadline: Instant) -> io::Result<Self> {
        let mut timer: libc::timer_t = ptr::null_mut();
        // SAFETY: all zeros is a valid sigevent; the kernel fills in `timer` before the call returns.
        let made = unsafe {
            let mut event: libc::sigevent = mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGALRM;
            event.sigev_notify_thread_id = libc::gettid();
            libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer)
        };
        if made != 0 {
            return Err(io::Error::last_os_error());
        }
        let alarm = Self(timer);
        let first = deadline.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
        let spec = libc::itimerspec { it_interval: timespec(NUDGE), it_value: timespec(first) };
        // SAFETY: the timer was just made, and `spec` outlives the call.
        match unsafe { libc::timer_settime(alarm.0, 0, &raw const spec, ptr::null_mut()) } {
            0 => Ok(alarm),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: the timer was made by `at` and is deleted once.
        unsafe { libc::timer_delete(self.0) };
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i32::MAX.into()),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Whether SIGALRM interrupts a wait of this thread and does nothing else: where nobody handles it, it is made so.
///
/// A program that has a use of its own for the signal keeps it, and its waits poll.
fn signal_is_ours() -> bool {
    extern "C" fn wake(_: libc::c_int) {}
    let wake = wake as *const () as libc::sighandler_t;
    // SAFETY: all zeros are valid (no flags, so that calls are not restarted; an empty set), each value is filled in
    // before it is read, and `wake` does nothing, which is safe at any point of any thread.
    unsafe {
        let mut present: libc::sigaction = mem::zeroed();
        libc::sigaction(libc::SIGALRM, ptr::null(), &raw mut present);
        if present.sa_sigaction == libc::SIG_DFL || present.sa_sigaction == libc::SIG_IGN {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = wake;
            libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut());
        } else if present.sa_sigaction != wake {
            return false;
        }
        let mut blocked: libc::sigset_t = mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut blocked);
        libc::sigismember(&raw const blocked, libc::SIGALRM) == 0
    }
}

const ENDINGS: [(libc::c_int, HowToEnd); 3] = [
    (libc::SIGINT, HowToEnd::Interrupt),
    (libc::SIGTERM, HowToEnd::Terminate),
    (libc::SIGHUP, HowToEnd::HangUp),
];

/// Those of [`ENDINGS`] that are not ignored; they wait to be fetched.
#[derive(Clone, Copy)]
pub(super) struct Signals(libc::sigset_t);

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SIGINT, SIGTERM, SIGHUP")
    }
}

impl Signals {
    pub(super) fn hold_back() -> io::Result<Self> {
        let heeded = ENDINGS.map(|(signal, _)| signal).into_iter().filter(|signal| !is_ignored(*signal));
        // SAFETY: all zeros is a valid set, which is filled before it is used.
        let (signals, failed) = unsafe {
            let mut signals: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&raw mut signals);
            for signal in heeded {
                libc::sigaddset(&raw mut signals, signal);
            }
            (signals, libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, ptr::null_mut()))
        };
        if failed == 0 { Ok(Self(signals)) } else { Err(io::Error::from_raw_os_error(failed)) }
    }

    pub(super) fn spare(self, command: &mut Command) {
        let let_through = move || {
            // SAFETY: the set lives as long as the call.
            let failed =
                unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const self.0, ptr::null_mut()) };
            if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
        };
        // SAFETY: between fork and exec this makes one system call, and takes no memory and no lock.
        unsafe { command.pre_exec(let_through) };
    }

    pub(super) fn wait(self, limit: Duration) -> Option<Ending> {
        let spec = timespec(limit);
        // SAFETY: all zeros are a value of this type.
        let mut about: libc::siginfo_t = unsafe { mem::zeroed() };
        // SAFETY: set, time and answer outlive the call.
        let signal = unsafe { libc::sigtimedwait(&raw const self.0, &raw mut about, &raw const spec) };
        let (_, how) = ENDINGS.into_iter().find(|(ending, _)| *ending == signal)?;
        // What the kernel sends of itself has a positive code.
        Some(Ending { how, is_typed: about.si_code > 0 })
    }
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: all zeros is a valid action, and the kernel writes to it alone.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        libc::sigaction(signal, ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// The files that have been asked about; never closed.
static ASKED: Mutex<Vec<(PathBuf, File)>> = Mutex::new(Vec::new());

/// A descriptor of a file, the same as long as its path leads to that file.
fn lasting(path: &Path) -> io::Result<RawFd> {
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    for (_, file) in asked.iter().filter(|(of, _)| of == path) {
        let (there, ours) = (path.metadata()?, file.metadata()?);
        if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) {
            return Ok(file.as_raw_fd());
        }
    }
    let file = File::options().read(true).write(true).open(path)?;
    let descriptor = file.as_raw_fd();
    asked.push((path.to_owned(), file));
    Ok(descriptor)
}

pub(super) fn peek(path: &Path, bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the descriptor stays open for good.
    let file = unsafe { BorrowedFd::borrow_raw(lasting(path)?) };
    Ok(rustix::io::pread(file, bytes, 0)?)
}

pub(super) fn is_attached_elsewhere(shm: &Path) -> io::Result<bool> {
    let kind = lock_byte(lasting(shm)?, libc::F_GETLK, libc::F_WRLCK, DEAD_MANS_SWITCH)?;
    Ok(kind != libc::F_UNLCK)
}

/// One line of `/proc/locks`: `1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF`.
struct Lock<'l> {
    kind: &'l str,
    process: u32,
    inode: u64,
    first: u64,
}

impl<'l> Lock<'l> {
    /// Locks that somebody waits for have `->` behind their number.
    fn parse(line: &'l str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (kind, _, access) = (words.next()?, words.next()?, words.next()?);
        if access != "WRITE" {
            return None;
        }
        let process = words.next()?.parse().ok()?;
        let inode = words.next()?.rsplit(':').next()?.parse().ok()?;
        Some(Self { kind, process, inode, first: words.next()?.parse().ok()? })
    }
}

pub(super) fn lock_holder(path: &Path) -> Option<LockHolder> {
    find_holder(path, |lock| lock.kind == "FLOCK")
}

pub(super) fn record_lock_holder(path: &Path, byte: u64) -> Option<LockHolder> {
    find_holder(path, |lock| lock.kind == "POSIX" && lock.first == byte)
}

/// The number of the device is left out: some file systems show another one there than to those who ask for the file.
fn find_holder(path: &Path, is_meant: impl Fn(&Lock<'_>) -> bool) -> Option<LockHolder> {
    let inode = fs::metadata(path).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let mut meant = locks.lines().filter_map(Lock::parse);
    let lock = meant.find(|lock| lock.inode == inode && is_meant(lock))?;
    let name = fs::read_to_string(format!("/proc/{}/comm", lock.process)).unwrap_or_default();
    let (process, running) = (lock.process, running_for(lock.process));
    Some(LockHolder { process, name: name.trim_end().to_owned(), running })
}

fn running_for(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; the start is the twentieth word behind it, in ticks since boot.
    let start: u64 = stat.rsplit(')').next()?.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    // SAFETY: a plain integer goes in and out.
    let ticks = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok().filter(|ticks| *ticks > 0)?;
    let start = Duration::from_millis(start * 1000 / ticks);
    Duration::try_from_secs_f64(uptime).ok().map(|uptime| uptime.saturating_sub(start))
}

pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(from, to, libc::RENAME_NOREPLACE) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => super::look_and_rename(from, to),
        renamed => renamed,
    }
}

pub(super) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    renameat2(one, other, libc::RENAME_EXCHANGE)
}

fn renameat2(from: &Path, to: &Path, flags: libc::c_uint) -> io::Result<()> {
    let (old, new) = (CString::new(from.as_os_str().as_bytes())?, CString::new(to.as_os_str().as_bytes())?);
    // SAFETY: both texts end with NUL and outlive the call, which changes no memory.
    let renamed = unsafe {
        let (old, new) = (old.as_ptr(), new.as_ptr());
        libc::syscall(libc::SYS_renameat2, libc::AT_FDCWD, old, libc::AT_FDCWD, new, flags)
    };
    if renamed == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS) => Err(io::ErrorKind::Unsupported.into()),
        _ => Err(error),
    }
}

#[allow(clippy::unnecessary_cast, reason = "the types of the fields differ between C libraries")]
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = statfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_bsize as u64))
}

#[allow(clippy::unnecessary_cast, reason = "the types of the fields differ between C libraries")]
pub(super) fn file_system(path: &Path) -> io::Result<FileSystem> {
    let stat = statfs(path)?;
    let (name, shared) = named(stat.f_type as i64);
    Ok(FileSystem { name, shared })
}

/// The extended attribute that is the mark.
const MARK: &CStr = c"user.prontodb.named";

pub(super) fn is_marked(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: both texts end with NUL, and a size of 0 asks for the length alone.
    unsafe { libc::getxattr(path.as_ptr(), MARK.as_ptr(), ptr::null_mut(), 0) >= 0 }
}

pub(super) fn mark(path: &Path) {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return };
    // SAFETY: both texts end with NUL, and no byte of the value is read.
    unsafe { libc::setxattr(path.as_ptr(), MARK.as_ptr(), ptr::null(), 0, 0) };
}

pub(super) fn is_writable(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: `path` ends with NUL.
    unsafe { libc::access(path.as_ptr(), libc::W_OK) == 0 }
}

fn statfs(path: &Path) -> io::Result<libc::statfs> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` ends with NUL, and `stat` is written before it is read.
    unsafe {
        let mut stat: libc::statfs = mem::zeroed();
        match libc::statfs(path.as_ptr(), &raw mut stat) {
            0 => Ok(stat),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Names a file system by the magic number that statfs(2) gives, and says whether machines share it; unknown ones count
/// as local.
fn named(magic: i64) -> (&'static str, bool) {
    let shared = |name| (name, true);
    let local = |name| (name, false);
    match magic & 0xffff_ffff {
        0x6969 => shared("nfs"),
        0x517b => shared("smb"),
        0xff53_4d42 => shared("cifs"),
        0xfe53_4d42 => shared("smb2"),
        0x0102_1997 => shared("9p"),
        0x6573_5546 => shared("fuse or virtiofs"),
        0x5346_414f | 0x6b41_4653 => shared("afs"),
        0x7375_7245 => shared("coda"),
        0x00c3_6400 => shared("ceph"),
        0x0116_1970 => shared("gfs2"),
        0x7461_636f => shared("ocfs2"),
        0x0bd0_0bd0 => shared("lustre"),
        0x4750_4653 => shared("gpfs"),
        0x786f_4256 => shared("vboxsf"),
        0xef53 => local("ext4"),
        0x5846_5342 => local("xfs"),
        0x9123_683e => local("btrfs"),
        0xf2f5_2010 => local("f2fs"),
        0x2fc1_2fc1 => local("zfs"),
        0xca45_1a4e => local("bcachefs"),
        0x0102_1994 => local("tmpfs"),
        0x794c_7630 => local("overlayfs"),
        _ => local("unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_that_cross_machines_are_known() {
        for magic in [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x6573_5546] {
            assert!(named(magic).1, "{magic:x}");
        }
        assert!(!named(0xef53).1);
    }

    #[test]
    fn magic_numbers_with_the_sign_bit_survive_a_32_bit_field() {
        assert_eq!(named(i64::from(0xff53_4d42_u32 as i32)).0, "cifs");
    }
}
