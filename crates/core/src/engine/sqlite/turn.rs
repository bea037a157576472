//! The turn: a queue in the kernel that writers pass before they ask SQLite for its lock.
//!
//! SQLite lets waiting writers poll, and whoever polls at the right moment wins; under load some never do. The lock on a
//! side file is handed on in the order of arrival. It is a courtesy only: SQLite's own lock keeps writers apart, so a
//! turn that cannot be had, or is not given back, costs fairness and time but never data.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use super::side_file;
use crate::sys;

/// The side file of one database.
pub(super) struct Turnstile {
    file: Option<File>,
}

/// The right to be the next writer, given back when it is dropped.
pub(super) struct Turn<'a> {
    file: &'a File,
}

impl Turnstile {
    /// Opens the side file of the database at `path`, and makes it if need be.
    ///
    /// Where it cannot be made, writers go without: then the database's folder cannot be written either, and SQLite
    /// gives the better error.
    pub(super) fn of(path: &Path) -> Self {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(side_file(path, "-turn"));
        Self { file: file.ok() }
    }

    /// One that everybody passes at once.
    pub(super) fn none() -> Self {
        Self { file: None }
    }

    /// Waits in line for at most `patience`; `None` when it was not our turn by then.
    pub(super) fn wait(&self, patience: Duration) -> io::Result<Option<Turn<'_>>> {
        match &self.file {
            Some(file) => Ok(sys::lock_within(file, patience)?.then_some(Turn { file })),
            None => Ok(None),
        }
    }

    /// The same for as long as the turnstile lives; `true` also where there is no line to wait in.
    pub(super) fn keep(&self, patience: Duration) -> io::Result<bool> {
        self.file.as_ref().map_or(Ok(true), |file| sys::lock_within(file, patience))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Should it fail, the lock still ends with the descriptor.
        let _ = self.file.unlock();
    }
}
