//! Waiting for others to change something, without looking at the data again and again.

use std::cell::{Cell, OnceCell};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::{self, Roused, Writes};

/// A state of the data, to be told from the states behind it: see [`Engine::await_change`](super::Engine::await_change).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which thing keeps the data: another file may take the place of one.
    pub place: u64,
    /// Another number after each change that others make there.
    pub change: u64,
}

/// How long to wait, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'w> {
    /// No longer than this.
    pub at_most: Duration,
    /// Where the answer will be written: whoever reads it may go, and nobody waits for it then.
    pub reader: Option<BorrowedFd<'w>>,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Somebody has changed something.
    Changed,
    /// The time is over.
    TimedOut,
    /// Nobody reads the answer any more.
    ReaderGone,
}

impl Wait<'_> {
    /// Waits until the time is over.
    pub fn of(at_most: Duration) -> Self {
        Self { at_most, reader: None }
    }
}

/// A writer tells of what it writes a moment before others can see it, so who is told and sees nothing looks again after this
/// time, twice, four times this and so on,
const FIRST: Duration = Duration::from_millis(1);
/// up to this. Then a look costs less than a hundredth of a percent of a processor, and finds what nobody told of.
const LAST: Duration = Duration::from_secs(1);
/// The time between two looks while one is told again and again, as by a writer that fills the log with one large transaction.
const HASTE: Duration = Duration::from_millis(4);
/// The time between two ends of a wait: changes that follow each other closely are one to those who wait.
const CALM: Duration = Duration::from_millis(5);
/// The time between two looks of those whom nobody can tell.
const UNTOLD: Duration = Duration::from_millis(10);

/// Waits for changes of what many processes share, and looks when a file is written that all of them write.
#[derive(Default)]
pub(super) struct Looks {
    writes: OnceCell<Option<Writes>>,
    /// When a wait ended last because something had changed.
    changed: Cell<Option<Instant>>,
}

impl Looks {
    /// Waits until `has_changed`, which only happens after the file was written that `written` names.
    pub(super) fn until(
        &self,
        written: &dyn Fn() -> PathBuf,
        has_changed: &dyn Fn() -> Result<bool>,
        wait: Wait<'_>,
    ) -> Result<Awaited> {
        let begun = Instant::now();
        let calm = self.changed.get().map_or(Duration::ZERO, |last| CALM.saturating_sub(last.elapsed()));
        if doze(calm.min(wait.at_most), None, wait)? == Roused::ReaderGone {
            return Ok(Awaited::ReaderGone);
        }
        let mut pause = FIRST;
        loop {
            // Before the look: what comes after it is told.
            let is_told = self.is_told_of(&written());
            let looked = Instant::now();
            if has_changed()? {
                self.changed.set(Some(looked));
                return Ok(Awaited::Changed);
            }
            let left = wait.at_most.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(Awaited::TimedOut);
            }
            let rest = Wait { at_most: left, ..wait };
            if self.pause(&mut pause, is_told, looked, rest)? == Roused::ReaderGone {
                return Ok(Awaited::ReaderGone);
            }
        }
    }

    /// Sleeps until it is time for another look, and decides how long to sleep behind that.
    fn pause(&self, pause: &mut Duration, is_told: bool, looked: Instant, wait: Wait<'_>) -> Result<Roused> {
        let writes = self.writes.get().and_then(Option::as_ref).filter(|_| is_told);
        let most = if is_told { *pause } else { UNTOLD.min(*pause) };
        let roused = doze(most.min(wait.at_most), writes, wait)?;
        let was_long = *pause > HASTE;
        *pause = if roused == Roused::Written && was_long { FIRST } else { (*pause * 2).min(LAST) };
        if roused != Roused::Written {
            return Ok(roused);
        }
        let rest = most.min(HASTE).saturating_sub(looked.elapsed());
        doze(rest.min(wait.at_most), None, wait)
    }

    /// Whether writes to the file of this name are told.
    fn is_told_of(&self, path: &Path) -> bool {
        let writes = self.writes.get_or_init(|| Writes::expect().ok());
        writes.as_ref().is_some_and(|writes| writes.to(path).is_ok())
    }
}

/// Waits; whether the reader is still there is asked also when there is no time to wait.
pub(super) fn doze(limit: Duration, writes: Option<&Writes>, wait: Wait<'_>) -> Result<Roused> {
    if limit.is_zero() && wait.reader.is_none() {
        return Ok(Roused::TimedOut);
    }
    sys::doze(limit, writes, wait.reader)
        .map_err(|error| Error::new(ErrorKind::Io, "cannot wait for changes").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_cannot_be_told_looks_often() {
        let looks = Looks { writes: OnceCell::from(None), changed: Cell::default() };
        let (looked, begun) = (Cell::new(0), Instant::now());
        let has_changed = || {
            looked.set(looked.get() + 1);
            Ok(looked.get() == 20)
        };
        let nowhere = || PathBuf::from("nowhere");
        let awaited = looks.until(&nowhere, &has_changed, Wait::of(Duration::from_secs(60))).unwrap();
        assert_eq!(awaited, Awaited::Changed);
        // Pauses that grow as far as those of others take eleven seconds.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let never = || Ok(false);
        let awaited = looks.until(&nowhere, &never, Wait::of(Duration::from_millis(30))).unwrap();
        assert_eq!(awaited, Awaited::TimedOut);
    }
}
