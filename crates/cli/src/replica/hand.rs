//! What a follower has read and not shipped yet.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use prontodb_core::{Clock as _, Error, ErrorKind, Millis, SystemClock};
use tempfile::SpooledTempFile;

use crate::engines::follow::{Follower, Look, MAX_MOMENTS, Moment, Next, Run, write_segment};
use crate::exit::Failure;

/// So much is taken in hand at most, but for single transactions that are larger; those go to an unnamed file.
const MOST: u64 = 16 << 20;

/// What came of reading the log.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// All there was.
    All,
    /// As much as fits; the rest comes once that has been shipped.
    Full,
    /// Something may be missing; this is why.
    Lost(&'static str),
}

/// How far a log went at a moment.
struct Seen {
    log: [u8; 8],
    frame: u32,
    at: Millis,
}

/// Frames that have been read, and when they were there.
pub struct Hand {
    /// A folder for what does not fit into memory.
    folder: PathBuf,
    frames: SpooledTempFile,
    run: Option<Run>,
    moments: Vec<Moment>,
    /// Looks at what has not been read yet.
    seen: Vec<Seen>,
    /// The last moment.
    last: Millis,
}

impl Hand {
    /// An empty one.
    pub fn new(folder: PathBuf) -> Self {
        let frames = spool(&folder);
        Self { folder, frames, run: None, moments: Vec::new(), seen: Vec::new(), last: Millis(0) }
    }

    /// Forgets everything but the last moment.
    pub fn clear(&mut self) {
        self.frames = spool(&self.folder);
        self.run = None;
        self.moments.clear();
    }

    /// A moment that is later than all before, whatever is done to the clock.
    pub fn moment(&mut self, now: Millis) -> Millis {
        self.last = now.max(Millis(self.last.0 + 1));
        self.last
    }

    /// The first and the last moment of what is to be shipped.
    pub fn span(&self) -> Option<(Millis, Millis)> {
        Some((self.moments.first()?.at, self.moments.last()?.at))
    }

    /// Whether there is so much that it is better shipped now.
    pub fn is_heavy(&self) -> bool {
        self.bytes() > MOST / 2
    }

    /// Bytes that are to be shipped.
    pub fn bytes(&self) -> u64 {
        self.run.as_ref().map_or(0, Run::bytes)
    }

    /// Notes how far the log goes. What a look shows was there before the present moment.
    pub fn note(&mut self, look: &Look) {
        let (log, frame) = (look.log(), look.frames());
        if self.seen.last().is_some_and(|seen| (seen.log, seen.frame) == (log, frame)) {
            return;
        }
        let at = self.moment(SystemClock.now());
        self.seen.push(Seen { log, frame, at });
        if self.seen.len() >= MAX_MOMENTS / 2 {
            thin(&mut self.seen);
        }
    }

    /// Reads what there is, as far as it fits. What is written meanwhile is left for the next time, as that may never end.
    ///
    /// # Errors
    /// Those of reading and of the unnamed file.
    pub fn take(&mut self, follower: &mut Follower) -> Result<Taken, Error> {
        self.take_up_to(MOST, follower)
    }

    /// The same for everything there is, which goes to the unnamed file where it does not fit.
    ///
    /// # Errors
    /// Those of [`Hand::take`].
    pub fn take_all(&mut self, follower: &mut Follower) -> Result<Taken, Error> {
        self.take_up_to(u64::MAX, follower)
    }

    fn take_up_to(&mut self, most: u64, follower: &mut Follower) -> Result<Taken, Error> {
        let look = follower.look()?;
        self.note(&look);
        loop {
            let mut run = match follower.next(&look, MOST)? {
                Next::Nothing => return Ok(Taken::All),
                Next::Lost(why) => return Ok(Taken::Lost(why)),
                Next::Run(run) => run,
            };
            if self
                .run
                .as_ref()
                .is_some_and(|before| !before.is_before(&run) || before.bytes() + run.bytes() > most)
            {
                return Ok(Taken::Full);
            }
            let before = self.bytes();
            self.frames.seek(SeekFrom::Start(before)).map_err(|error| no_room(&error))?;
            if !follower.copy(&look, &mut run, &mut self.frames)? {
                return Ok(Taken::Lost("the log holds other frames than its index says"));
            }
            self.keep(&run);
            follower.move_on()?;
        }
    }

    /// Adds a run behind what there is, with the moments by which its parts were there.
    fn keep(&mut self, run: &Run) {
        let is_in_run =
            |seen: &&Seen| seen.log == run.log() && (run.first()..=run.last()).contains(&seen.frame);
        self.moments
            .extend(self.seen.iter().filter(is_in_run).map(|seen| Moment { at: seen.at, frame: seen.frame }));
        if self.moments.last().is_none_or(|moment| moment.frame != run.last()) {
            // It was seen that there is more, so this was there by then.
            let later = self.seen.iter().find(|seen| seen.log == run.log() && seen.frame > run.last());
            let at = later.map(|seen| seen.at);
            let at = at.unwrap_or_else(|| self.moment(SystemClock.now()));
            self.moments.push(Moment { at, frame: run.last() });
        }
        while self.moments.len() > MAX_MOMENTS / 2 {
            thin(&mut self.moments);
        }
        self.seen.retain(|seen| seen.log == run.log() && seen.frame > run.last());
        match &mut self.run {
            Some(before) => before.join(run),
            None => self.run = Some(run.clone()),
        }
    }

    /// Writes what there is as a segment.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(
        &mut self,
        sink: &mut dyn std::io::Write,
        generation: &str,
        number: u64,
    ) -> Result<(), Failure> {
        let Some(run) = &self.run else { return Ok(()) };
        let cannot = |error: std::io::Error| Failure::io("the replica cannot be written", &error);
        self.frames.seek(SeekFrom::Start(0)).map_err(cannot)?;
        let mut frames = self.frames.by_ref().take(run.bytes());
        write_segment(sink, generation, number, run, &self.moments, &mut frames).map_err(cannot)
    }
}

/// Leaves out every other one, but never the last: what was there by a moment was there by a later one.
fn thin<T>(all: &mut Vec<T>) {
    let mut left = all.len();
    all.retain(|_| {
        left -= 1;
        left.is_multiple_of(2)
    });
}

fn spool(folder: &std::path::Path) -> SpooledTempFile {
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    tempfile::spooled_tempfile_in(most, folder)
}

fn no_room(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("what was read of the log cannot be kept; {error}"))
}
