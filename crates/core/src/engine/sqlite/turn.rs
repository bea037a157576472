//! The turn: a queue in the kernel that writers pass before they ask SQLite for its lock.
//!
//! SQLite lets waiting writers poll, and whoever polls at the right moment wins; under load some never do. For the lock on a
//! side file the kernel keeps a queue. It wakes whoever came first, and still a process that comes while that one
//! starts to run has the lock before it, as no time is lost to it. That is fast, and would again have some wait for ever: so whoever
//! has waited for long closes the gate, at which those who come later wait until it has had its turn (the two modes of Go's
//! sync.Mutex do the same; docs/design/0027-the-gate.md has the figures).
//!
//! All this is a courtesy only: SQLite's own lock keeps writers apart, so a turn that cannot be had, or is not given back, costs
//! fairness and time but never data.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use super::side_file;
use crate::sys;

/// How long a writer waits in line before it closes the gate.
const LONG_WAIT: Duration = Duration::from_millis(20);
/// How long a closed gate is heeded: whoever keeps it closed says so again in time, unless it was stopped.
const HEEDED: Duration = Duration::from_millis(100);
/// The byte of the side file whose lock is the gate.
const GATE: u16 = 0;

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
            .read(true)
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
            Some(file) => Ok(take(file, patience)?.then_some(Turn { file })),
            None => Ok(None),
        }
    }

    /// The same for as long as the turnstile lives; `true` also where there is no line to wait in.
    pub(super) fn keep(&self, patience: Duration) -> io::Result<bool> {
        self.file.as_ref().map_or(Ok(true), |file| take(file, patience))
    }
}

/// Takes the lock of the side file within `patience`; `false` when it was not our turn by then.
fn take(file: &File, patience: Duration) -> io::Result<bool> {
    let start = Instant::now();
    let left = || patience.saturating_sub(start.elapsed());
    while sys::is_byte_locked(file, GATE) && is_heeded(file) {
        if left().is_zero() {
            return Ok(false);
        }
        sys::await_byte(file, GATE, left().min(HEEDED));
    }
    let mut gate: Option<ClosedGate<'_>> = None;
    loop {
        let left = left();
        let limit = left.min(if gate.is_some() { HEEDED / 2 } else { LONG_WAIT });
        if sys::lock_within(file, limit)? {
            return Ok(true);
        }
        if limit == left {
            return Ok(false);
        }
        match &gate {
            Some(gate) => gate.renew(),
            None => gate = ClosedGate::of(file),
        }
    }
}

/// Whether the gate was closed, or kept closed, a short while ago; the side file has that moment.
fn is_heeded(file: &File) -> bool {
    let mut said = [0; 8];
    let said = file.read_exact_at(&mut said, 0).map(|()| u64::from_le_bytes(said));
    said.is_ok_and(|said| u128::from(now().abs_diff(said)) <= HEEDED.as_millis())
}

/// The same for all processes, whatever becomes of the wall clock.
fn now() -> u64 {
    sys::uptime_millis().unwrap_or_default()
}

/// Keeps those who come from now on from the line, until it is dropped.
struct ClosedGate<'a> {
    file: &'a File,
}

impl<'a> ClosedGate<'a> {
    /// `None` when somebody else has closed it, which serves as well, or passes it at this moment.
    fn of(file: &'a File) -> Option<Self> {
        let gate = sys::try_lock_byte(file, GATE).then_some(Self { file })?;
        gate.renew();
        Some(gate)
    }

    /// Without room for it, nobody heeds the gate.
    fn renew(&self) {
        let _ = self.file.write_all_at(&now().to_le_bytes(), 0);
    }
}

impl Drop for ClosedGate<'_> {
    fn drop(&mut self) {
        sys::unlock_byte(self.file, GATE);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Should it fail, the lock still ends with the descriptor.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Two that writers have opened on their own; `None` on a system without gates.
    fn two_turnstiles(folder: &tempfile::TempDir) -> Option<(Turnstile, Turnstile)> {
        let open = || Turnstile::of(&folder.path().join("store.prdb"));
        close_gate(&open())?;
        Some((open(), open()))
    }

    fn side_file_of(turnstile: &Turnstile) -> &File {
        turnstile.file.as_ref().expect("the folder can be written")
    }

    fn close_gate(turnstile: &Turnstile) -> Option<ClosedGate<'_>> {
        ClosedGate::of(side_file_of(turnstile))
    }

    fn is_gate_closed(seen_by: &Turnstile) -> bool {
        sys::is_byte_locked(side_file_of(seen_by), GATE)
    }

    fn await_closed_gate(seen_by: &Turnstile) {
        let start = Instant::now();
        while !is_gate_closed(seen_by) {
            assert!(start.elapsed() < PATIENCE, "nobody closes the gate");
            thread::yield_now();
        }
    }

    #[test]
    fn whoever_has_waited_for_long_is_next_however_fast_another_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let Some((greedy, patient)) = two_turnstiles(&folder) else { return };
        let rounds = 20;
        let times_patient_was_next = (0..rounds).filter(|_| {
            let turn = greedy.wait(PATIENCE).unwrap().unwrap();
            let order = Mutex::new(Vec::new());
            thread::scope(|scope| {
                scope.spawn(|| {
                    let _turn = patient.wait(PATIENCE).unwrap().unwrap();
                    order.lock().unwrap().push("patient");
                });
                await_closed_gate(&greedy);
                drop(turn);
                let _turn = greedy.wait(PATIENCE).unwrap().unwrap();
                order.lock().unwrap().push("greedy");
            });
            assert!(!is_gate_closed(&greedy));
            order.into_inner().unwrap() == ["patient", "greedy"]
        });
        // Where a machine has no time for the patient one, the gate lets the other pass.
        assert!(times_patient_was_next.count() > rounds / 2);
    }

    #[test]
    fn a_gate_is_heeded_as_long_as_somebody_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let Some((waiting, other)) = two_turnstiles(&folder) else { return };
        let gate = close_gate(&waiting).unwrap();
        let (begun, mut said, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
        thread::scope(|scope| {
            let turn = scope.spawn(|| other.wait(PATIENCE).unwrap().is_some());
            while begun.elapsed() < 3 * HEEDED && !turn.is_finished() {
                gate.renew();
                longest = longest.max(said.elapsed());
                said = Instant::now();
                thread::sleep(HEEDED / 20);
            }
            // On a busy machine this thread may have been late itself.
            assert!(begun.elapsed() >= 3 * HEEDED || longest.max(said.elapsed()) > HEEDED / 2);
            // From here on it is as if whoever has closed it was stopped.
            assert!(turn.join().unwrap());
        });
        let start = Instant::now();
        for _ in 0..100 {
            assert!(other.wait(PATIENCE).unwrap().is_some());
        }
        assert!(start.elapsed() < 10 * HEEDED, "a gate that is not heeded keeps nobody");
        assert!(is_gate_closed(&other));
    }

    #[test]
    fn whoever_dies_at_the_gate_or_in_line_leaves_both_open() {
        let folder = tempfile::tempdir().unwrap();
        let Some((dying, other)) = two_turnstiles(&folder) else { return };
        assert!(dying.keep(PATIENCE).unwrap());
        std::mem::forget(close_gate(&dying).unwrap());
        assert!(is_gate_closed(&other));
        drop(dying);
        assert!(!is_gate_closed(&other));
        assert!(other.wait(Duration::ZERO).unwrap().is_some());
    }
}
