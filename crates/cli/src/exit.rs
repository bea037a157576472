//! Exit codes, and how failures are told: the one place where errors become words on stderr.

use std::error::Error as _;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use prontodb_core::auth::shown;
use prontodb_core::{Error, ErrorKind, Obstacle};

/// What an exit code means; the numbers are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It is done.
    Done,
    /// An error that no other code names.
    Error,
    /// The key is missing or has expired, or the namespace keeps no TTL.
    Missing,
    /// A condition was not met.
    Conflict,
    /// Waited too long.
    TimedOut,
    /// Not allowed.
    Denied,
    /// Over a limit.
    Limit,
    /// Damaged data.
    Damaged,
    /// The command line makes no sense.
    Usage,
    /// Ctrl-C was typed at a question; what a shell says of a program that the signal ends.
    Interrupted,
    /// A command that was run has ended like this.
    Child(u8),
}

impl Code {
    /// How this process ends after a command has ended so; as in a shell, a signal counts from 128.
    pub fn of_child(status: ExitStatus) -> Self {
        let code = status.code().or(status.signal().map(|signal| 128 + signal));
        Self::Child(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }

    /// The number that the process ends with.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Missing => 2,
            Self::Conflict => 3,
            Self::TimedOut => 4,
            Self::Denied => 5,
            Self::Limit => 6,
            Self::Damaged => 7,
            Self::Usage => 64,
            Self::Interrupted => 130,
            Self::Child(code) => code,
        }
    }
}

/// Why a command did not do what it was asked: one line, and a hint where there is one.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// A stable word for programs.
    pub kind: &'static str,
    /// What went wrong, and why.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the same command may succeed when it is run again.
    pub retryable: bool,
    /// What stood in the way, where the store has said so.
    pub obstacle: Option<Obstacle>,
}

impl Failure {
    /// A failure that is not worth a retry.
    pub fn new(code: Code, kind: &'static str, message: impl Into<String>) -> Self {
        Self { code, kind, message: message.into(), hint: None, retryable: false, obstacle: None }
    }

    /// A command line that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, "usage", message)
    }

    /// Whoever was asked for a secret has typed Ctrl-C. Of that nothing is told.
    pub fn interrupted() -> Self {
        Self::new(Code::Interrupted, "interrupted", "interrupted")
    }

    /// Input that is refused.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Error, "invalid", message)
    }

    /// Reading or writing `what` failed.
    pub fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        let (code, kind) = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (Code::Denied, "denied"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (Code::Error, "no_space"),
            _ => (Code::Error, "io"),
        };
        Self::new(code, kind, format!("{what}; {error}"))
    }

    /// A command could not be run; the exit code is the one that shells have for that.
    pub fn not_run(program: &OsStr, error: &io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        let what = format!("cannot run {}; {error}", shown(&program.to_string_lossy()));
        Self::new(Code::Child(code), "no_command", what)
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The cause of an error of the store, where that is [`Failure::interrupted`].
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, kind) = code_and_kind(error.kind());
        let mut message = error.to_string();
        let (mut cause, mut obstacle) = (error.source(), error.obstacle());
        while let Some(inner) = cause {
            if inner.is::<Interrupted>() {
                return Self::interrupted();
            }
            obstacle = obstacle.or_else(|| inner.downcast_ref::<Error>()?.obstacle());
            message.push_str("; ");
            message.push_str(&inner.to_string());
            cause = inner.source();
        }
        let (retryable, obstacle) = (error.is_retryable(), obstacle.cloned());
        Self { code, kind, message, hint: None, retryable, obstacle }
    }
}

fn code_and_kind(kind: ErrorKind) -> (Code, &'static str) {
    match kind {
        ErrorKind::Invalid => (Code::Error, "invalid"),
        ErrorKind::NoTtl => (Code::Missing, "no_ttl"),
        ErrorKind::Missing => (Code::Missing, "not_found"),
        ErrorKind::Conflict => (Code::Conflict, "conflict"),
        ErrorKind::Missed => (Code::Conflict, "missed"),
        ErrorKind::Busy => (Code::TimedOut, "busy"),
        ErrorKind::Denied => (Code::Denied, "denied"),
        ErrorKind::Limit => (Code::Limit, "limit"),
        ErrorKind::Damaged => (Code::Damaged, "damaged"),
        ErrorKind::NoDatabase => (Code::Error, "no_database"),
        ErrorKind::Foreign => (Code::Error, "foreign"),
        ErrorKind::Unsupported => (Code::Error, "unsupported"),
        ErrorKind::NoSpace => (Code::Error, "no_space"),
        _ => (Code::Error, "io"),
    }
}
