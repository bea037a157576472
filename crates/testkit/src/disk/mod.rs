//! A disk that can lose power and fail.
//!
//! [`install`] puts a system of files in front of the one that SQLite uses, for the whole process. It passes all on, and
//!
//! - [`record`]s what is written and what is synced, so that [`Recording::cut`] can make the files as a power cut at any moment may
//!   leave them: what was synced, and of what came after that anything, in any order, down to sectors that are half written;
//! - [`fail`]s calls: the one that a [`Fault`] names, or that one and all behind it.
//!
//! What a program does to files without SQLite is not seen, but for the syncs of folders, if it tells of them ([`folder_synced`]).

mod recording;
mod vfs;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

pub use self::recording::{Dice, Loss, Recording};
use self::recording::{Event, Recorder};

/// What fails, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The disk is full.
    NoSpace,
    /// Reading or writing fails.
    Io,
    /// A part is written, and then the disk is full. What writes nothing fails.
    Short,
    /// Only waiting for the disk fails: what was written before may be lost, and is not written again.
    Sync,
    /// The process is gone, and the disk does not hear of what it asks for.
    Gone,
}

/// A call that fails.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which one, counted from 0, of those that [`Failure`] is about.
    pub nth: u64,
    /// How.
    pub failure: Failure,
    /// Whether all behind it fail, too.
    pub stays: bool,
}

#[derive(Default)]
struct State {
    recorder: Option<Recorder>,
    fault: Option<Fault>,
    calls: u64,
}

static STATE: Mutex<State> = Mutex::new(State { recorder: None, fault: None, calls: 0 });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a call is about to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Read,
    Write,
    Truncate,
    Sync,
    Delete,
    Share,
}

impl State {
    /// Counts a call, and says whether it fails.
    fn fails(&mut self, kind: Kind) -> Option<Failure> {
        let fault = self.fault?;
        let is_meant = match fault.failure {
            Failure::NoSpace | Failure::Short => matches!(kind, Kind::Open | Kind::Write | Kind::Share),
            Failure::Io | Failure::Gone => true,
            Failure::Sync => kind == Kind::Sync,
        };
        if !is_meant {
            return None;
        }
        let call = self.calls;
        self.calls += 1;
        (call == fault.nth || (fault.stays && call > fault.nth)).then_some(fault.failure)
    }
}

/// Puts the disk in front of SQLite's. Does so once, however often it is called.
///
/// # Panics
/// When SQLite refuses it.
pub fn install() {
    static DONE: Once = Once::new();
    DONE.call_once(vfs::register);
}

/// Records what is done to files in a folder, from now on; what is there now is on disk.
///
/// # Panics
/// When the folder cannot be read, or something is recorded already.
pub fn record(folder: &Path) {
    let recorder = Recorder::begin(folder);
    assert!(state().recorder.replace(recorder).is_none(), "one recording at a time");
}

/// Notes a moment, by a number that means something to the caller: an acknowledgement, for example.
pub fn note(number: u64) {
    add(Event::Note(number));
}

/// Tells that the entries of a folder are on disk.
pub fn folder_synced(folder: &Path) {
    if let Some(recorder) = state().recorder.as_mut().filter(|recorder| recorder.is_of(folder)) {
        recorder.add(Event::SyncFolder);
    }
}

fn add(event: Event) {
    if let Some(recorder) = state().recorder.as_mut() {
        recorder.add(event);
    }
}

/// Ends a recording.
///
/// # Panics
/// When there is none.
pub fn recorded() -> Recording {
    state().recorder.take().expect("a recording").end()
}

/// Has a call fail that is still to come, or none any more.
pub fn fail(fault: Option<Fault>) {
    let mut state = state();
    (state.fault, state.calls) = (fault, 0);
}

/// How many calls there were, since the fault was said, of those that it may be about.
pub fn calls() -> u64 {
    state().calls
}
