//! Runs programs to their end and says what they used: std waits, but does not tell.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A program that has run.
pub(crate) struct Run {
    pub(crate) took: Duration,
    pub(crate) usage: Usage,
}

/// How a program ended, and what it used.
pub(crate) struct Usage {
    pub(crate) status: ExitStatus,
    pub(crate) cpu: Duration,
    /// Never less than what the parent itself uses: the kernel counts from the fork.
    pub(crate) peak_bytes: u64,
    pub(crate) minor_faults: u64,
}

/// Runs `command` with its output thrown away. It is started by `posix_spawn`, so this process's size costs nothing.
pub(crate) fn run(command: &mut Command) -> io::Result<Run> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let usage = wait(command.spawn()?)?;
    Ok(Run { took: start.elapsed(), usage })
}

/// Runs `command` and returns its output; fails when the program does.
pub(crate) fn output(command: &mut Command) -> crate::Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Waits for `child`, and uses it up: its number is free for others afterwards.
#[expect(unsafe_code, reason = "wait4 has no safe interface in std")]
#[expect(clippy::needless_pass_by_value, reason = "a child that was waited for is no longer one")]
pub(crate) fn wait(child: Child) -> io::Result<Usage> {
    let pid = child.id() as libc::pid_t;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live memory of the right type, and all zeroes are a valid rusage.
    let (waited, usage) =
        unsafe { (libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()), usage.assume_init()) };
    if waited != pid {
        return Err(io::Error::last_os_error());
    }
    Ok(Usage {
        status: ExitStatus::from_raw(status),
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        peak_bytes: usage.ru_maxrss as u64 * 1024,
        minor_faults: usage.ru_minflt as u64,
    })
}

fn duration(time: libc::timeval) -> Duration {
    Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000)
}
