//! Follows a database: what is written to its log, as it is written (docs/design/0017-following-the-log.md).
//!
//! SQLite begins its log anew once all of it has been copied back into the database and nobody reads it. So a follower
//! always has a read transaction open, and begins the next one before it ends the last: then a log that was begun anew had
//! been read to its end. How many transactions the index counts has to agree with how many were read, and the sums over
//! the frames with the sum in the index.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, FileControl, MAIN_DB};

use super::connect::{self, FileState};
use super::error::translate;
use super::image::Image;
pub use super::segment::{MAX_MOMENTS, Moment, Replay, Replayed, Run, write_segment};
use super::turn::Turnstile;
use super::wal::{FRAME_HEAD_BYTES, Index, LogHead, Salts, Sum};
use super::{Access, Lifetime, OpenOptions, log, sql};
use crate::engine::CopySink;
use crate::error::{Error, ErrorKind, Result};

/// From here on the follower copies the log back, as writers do.
const LONG_LOG: u32 = 1000;
/// How often the follower steps aside at one end of the log.
const STEPS_ASIDE: u32 = 3;

/// A place in a log, up to which everything is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub(super) salts: Salts,
    pub(super) frame: u32,
    pub(super) sum: Sum,
    /// What the index counted there.
    pub(super) change: u32,
}

impl Position {
    /// Reads what [`Position`] prints.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut number = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            u64::from_str_radix(part, 16).ok()
        };
        let (salts, frame, sum) = (number(16)?, number(8)?, number(16)?);
        let high = |number: u64| u32::try_from(number >> 32).unwrap_or(0);
        let low = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0);
        let rest = parts.next().is_none();
        rest.then_some(Self {
            salts: salts.to_be_bytes(),
            frame: low(frame),
            sum: Sum(high(sum), low(sum)),
            change: 0,
        })
    }
}

/// In hexadecimal digits: the salts of the log, the frame, the sum up to it.
impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (salts, Sum(first, second)) = (u64::from_be_bytes(self.salts), self.sum);
        write!(f, "{salts:016x}-{:08x}-{first:08x}{second:08x}", self.frame)
    }
}

/// How far the log went at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look(Index);

impl Look {
    /// What tells this log from others.
    pub fn log(&self) -> [u8; 8] {
        self.0.salts
    }

    /// The last frame that is committed.
    pub fn frames(&self) -> u32 {
        self.0.frames
    }

    /// Bytes of the log up to there.
    pub fn bytes(&self) -> u64 {
        u64::from(self.0.frames) * (FRAME_HEAD_BYTES + self.0.page_size) as u64
    }
}

/// What there is to read.
#[derive(Debug)]
pub enum Next {
    /// Nothing.
    Nothing,
    /// These frames.
    Run(Run),
    /// It cannot be shown that nothing is missing; this is why.
    Lost(&'static str),
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// Where in the log it was taken.
    pub position: Position,
    /// Bytes of the database.
    pub bytes: u64,
}

/// What shows that nobody has written to the file of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMark {
    /// Its number on its file system.
    pub inode: u64,
    /// Its length.
    pub bytes: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub modified: i64,
}

/// A reader of the log that nothing escapes.
pub struct Follower {
    path: PathBuf,
    /// Two readers, of which one holds on to the log while the other begins.
    readers: [Connection; 2],
    holder: Option<usize>,
    /// Copies the log back.
    keeper: Connection,
    turnstile: Turnstile,
    image: Image,
    at: Option<Position>,
    /// How far the log went when it was held, as long as that has not been read.
    owed: Option<Index>,
    /// The log that was copied back as a whole, and its last frame then.
    shortened: Option<(Salts, u32)>,
    /// Where the log ended when the follower stepped aside last, and how often it has done so there.
    aside: ((Salts, u32), u32),
}

impl Follower {
    /// Opens a database that is there, and holds on to its log.
    ///
    /// # Errors
    /// Those of opening and reading; [`ErrorKind::Unsupported`] for a file that may not be written, as the log has to be kept
    /// short, and for one without a log.
    pub fn open(path: &Path, busy_timeout: Duration) -> Result<Self> {
        let options = OpenOptions {
            access: Access::Read,
            busy_timeout,
            lifetime: Lifetime::Long,
            ..OpenOptions::new(path)
        };
        let readers = [reader(&options)?, reader(&options)?];
        let keeper = reader(&options)?;
        let real = readers[0].path().map_or_else(|| path.to_owned(), PathBuf::from);
        refuse_without_log(&readers[0], path)?;
        // A connection that has read nothing does not know that there is a log.
        connect::schema_version(&keeper, path)?;
        begin(&readers[0], path)?;
        Ok(Self {
            turnstile: Turnstile::of(&real),
            image: Image::open(path, &real)?,
            path: path.to_owned(),
            readers,
            holder: Some(0),
            keeper,
            at: None,
            owed: None,
            shortened: None,
            aside: (([0; 8], 0), 0),
        })
    }

    /// Looks how far the log goes.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when the index stays unreadable; [`ErrorKind::Io`] when the file has been moved or replaced.
    pub fn look(&self) -> Result<Look> {
        self.image.look().map(Look)
    }

    /// Where it has come to; none before the first snapshot, and after it has let go.
    pub fn position(&self) -> Option<Position> {
        self.at
    }

    /// Holds on to the log as it is now, and lets go of what was held before, once that has been read; else it stays.
    ///
    /// # Errors
    /// Those of reading; then what was held is held still.
    pub fn move_on(&mut self) -> Result<()> {
        if self.owed.is_some() {
            return Ok(());
        }
        let next = self.holder.map_or(0, |holder| 1 - holder);
        begin(&self.readers[next], &self.path)?;
        let owed = self.look().inspect_err(|_| {
            let _ = end(&self.readers[next], &self.path);
        });
        self.owed = Some(owed?.0);
        self.settle();
        if let Some(holder) = self.holder.replace(next) {
            end(&self.readers[holder], &self.path)?;
        }
        Ok(())
    }

    /// Holds no frame of the log any more once all of it has been read and copied back, so that whoever empties the log does
    /// not wait for that, and writers not for them.
    ///
    /// # Errors
    /// Those of reading.
    pub fn step_aside(&mut self, look: &Look) -> Result<()> {
        let end = (look.0.salts, look.0.frames);
        let is_read = self.at.is_some_and(|at| (at.salts, at.frame) == end);
        if !is_read || self.holder.is_none() || look.0.backfilled < look.0.frames {
            return Ok(());
        }
        if self.aside.0 != end {
            self.aside = (end, 0);
        }
        // Whoever copies back at this very moment may keep it from that.
        if self.aside.1 < STEPS_ASIDE {
            self.aside.1 += 1;
            self.move_on()?;
        }
        Ok(())
    }

    /// Notes whether everything has been read that was in the log when it was held. As long as that is held the log goes on,
    /// or begins anew when all of it had been read.
    fn settle(&mut self) {
        let Some(owed) = self.owed else { return };
        let is_read = self.at.is_none_or(|at| at.salts == owed.salts && at.frame >= owed.frames);
        if is_read || owed.frames == 0 {
            self.owed = None;
        }
    }

    /// Lets go of the log, so that it can begin anew; then all that helps is another snapshot.
    ///
    /// # Errors
    /// Those of reading.
    pub fn let_go(&mut self) -> Result<()> {
        (self.at, self.owed) = (None, None);
        match self.holder.take() {
            Some(holder) => end(&self.readers[holder], &self.path),
            None => Ok(()),
        }
    }

    /// Finds what there is to read up to a look: whole transactions, as many as come to `most` bytes, but at least one.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next(&self, look: &Look, most: u64) -> Result<Next> {
        let Some(at) = self.at else { return Ok(Next::Lost("nothing was read before")) };
        let Look(index) = look;
        let is_same_log = at.salts == index.salts;
        if is_same_log && index.frames < at.frame {
            return Ok(Next::Lost("the log has become shorter"));
        }
        if index.frames == 0 || is_same_log && index.frames == at.frame {
            return Ok(Next::Nothing);
        }
        let Some(log) = self.image.log_head(index)? else {
            return Ok(Next::Lost("the log is not the one that its index belongs to"));
        };
        let (first, before) = match is_same_log && at.frame > 0 {
            true => (at.frame + 1, at.sum),
            false => (1, log.sum),
        };
        if !is_same_log && !self.counts_agree(&log, &at, index)? {
            return Ok(Next::Lost("the log was begun anew, and transactions are missing"));
        }
        let most = u32::try_from(most / log.frame_bytes() as u64).unwrap_or(u32::MAX);
        let Some((last, commits)) = self.find_end(&log, first, index.frames, most)? else {
            return Ok(Next::Lost("the log ends within a transaction"));
        };
        Ok(Next::Run(Run { log, first, last, before, after: before, commits }))
    }

    /// Whether a log that was begun anew has all the transactions that the index has counted since; where sectors are
    /// filled up it may seem to have more.
    fn counts_agree(&self, log: &LogHead, at: &Position, index: &Index) -> Result<bool> {
        let counted = index.change.wrapping_sub(at.change);
        let found = self.find_end(log, 1, index.frames, u32::MAX)?;
        Ok(found.is_some_and(|(last, commits)| last == index.frames && counted <= commits))
    }

    /// The last end of a transaction among so many frames from `first` on, or else the first behind them; and how many
    /// transactions end up to it.
    fn find_end(&self, log: &LogHead, first: u32, last: u32, most: u32) -> Result<Option<(u32, u32)>> {
        let (mut found, mut commits) = (None, 0);
        for number in first..=last {
            if found.is_some() && number - first >= most {
                break;
            }
            if self.image.frame_head(log, number)?.pages > 0 {
                commits += 1;
                found = Some((number, commits));
            }
        }
        Ok(found)
    }

    /// Copies the frames of a run as they are, and checks them; false when they are not those that the index means.
    /// What was copied counts as read from then on.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn copy(&mut self, look: &Look, run: &mut Run, sink: &mut dyn Write) -> Result<bool> {
        let Look(index) = look;
        let mut sum = run.before;
        let mut bytes = vec![0; run.log.frame_bytes()];
        for number in run.first..=run.last {
            self.image.read_frame(&run.log, number, &mut bytes)?;
            let Some(frame) = run.log.check(sum, &bytes) else { return Ok(false) };
            sum = frame.sum;
            sink.write_all(&bytes).map_err(cannot_keep)?;
        }
        let is_all = run.last == index.frames;
        if is_all && sum != index.sum {
            return Ok(false);
        }
        run.after = sum;
        let before = self.at.map_or(0, |at| at.change);
        let change = if is_all { index.change } else { before.wrapping_add(run.commits) };
        self.at = Some(Position { salts: run.log.salts, frame: run.last, sum, change });
        self.settle();
        Ok(true)
    }

    /// Copies the whole database as it is at a look that was taken while the log is held, and follows it from there.
    /// `pause` is called again and again meanwhile.
    ///
    /// # Errors
    /// Those of reading, of writing and of `pause`; [`ErrorKind::Busy`] when it has to be tried again with another look.
    pub fn snapshot(
        &mut self,
        look: &Look,
        sink: &mut dyn Write,
        pause: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<Base> {
        if self.holder.is_none() {
            return Err(Error::new(ErrorKind::Busy, "nobody holds on to the log"));
        }
        let Look(index) = look;
        let bytes = self.image.copy(Some(index), &mut Written(sink), &mut || pause(self))?;
        let position =
            Position { salts: index.salts, frame: index.frames, sum: index.sum, change: index.change };
        self.at = Some(position);
        self.settle();
        Ok(Base { position, bytes })
    }

    /// Goes on where an earlier follower came to, if it can be shown that nothing has been missed since. With `unchanged`
    /// that is also so when the log is empty, as it was then, and nobody has written the database.
    ///
    /// # Errors
    /// Those of reading.
    pub fn resume(&mut self, from: Position, unchanged: bool) -> Result<bool> {
        let Look(index) = self.look()?;
        self.at = self.proved(from, &index, unchanged)?;
        self.owed = self.at.map(|_| index);
        self.settle();
        Ok(self.at.is_some())
    }

    /// The place of an earlier follower, as it is called by now; none if something may have been missed since.
    fn proved(&self, from: Position, index: &Index, unchanged: bool) -> Result<Option<Position>> {
        let is_same_log = from.salts == index.salts && from.salts != [0; 8];
        if index.frames == 0 {
            let now = Position { salts: index.salts, frame: 0, sum: index.sum, change: index.change };
            return Ok((from.frame == 0 && (unchanged || is_same_log)).then_some(now));
        }
        let Some(log) = self.image.log_head(index)?.filter(|_| is_same_log && from.frame <= index.frames)
        else {
            return Ok(None);
        };
        if from.frame > 0 && self.image.frame_head(&log, from.frame)?.sum != from.sum {
            return Ok(None);
        }
        let since = self.find_end(&log, from.frame + 1, index.frames, u32::MAX)?;
        let change = index.change.wrapping_sub(since.map_or(0, |(_, commits)| commits));
        Ok(Some(Position { change, ..from }))
    }

    /// What shows whether the database has been written.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn mark(&self) -> Result<FileMark> {
        let meta = self.image.metadata()?;
        let modified = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
        Ok(FileMark { inode: meta.ino(), bytes: meta.len(), modified })
    }

    /// Whether the log has become long, and has not been copied back since it came there.
    pub fn is_long(&self, look: &Look) -> bool {
        look.0.frames >= LONG_LOG && self.shortened != Some((look.0.salts, look.0.frames))
    }

    /// Copies a long log back, so that the next writer begins it anew. To be called with everything in hand.
    ///
    /// Writers that never stop would always be ahead of the copy; so for the last of it the follower takes its turn among
    /// them. `catch_up` then takes in hand what they have written, and says whether that was all.
    ///
    /// # Errors
    /// Those of reading, and of `catch_up`.
    pub fn shorten(&mut self, catch_up: &mut dyn FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        self.move_on()?;
        // One that fails is made later, by this follower or by a writer.
        log::copy_back(&self.keeper, CheckpointMode::PASSIVE);
        let turnstile = std::mem::replace(&mut self.turnstile, Turnstile::none());
        let shortened = self.shorten_in_turn(&turnstile, catch_up);
        self.turnstile = turnstile;
        shortened
    }

    fn shorten_in_turn(
        &mut self,
        turnstile: &Turnstile,
        catch_up: &mut dyn FnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let turn = turnstile.wait(Duration::from_millis(200)).ok().flatten();
        if !catch_up(self)? {
            return Ok(());
        }
        // What is held from here on was copied back as a whole, so the next writer may begin anew.
        self.move_on()?;
        // One that fails is made later, by this follower or by a writer.
        log::copy_back(&self.keeper, CheckpointMode::PASSIVE);
        let moved = self.move_on();
        drop(turn);
        self.shortened = self.at.map(|at| (at.salts, at.frame));
        moved
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        for connection in self.readers.iter().chain([&self.keeper]) {
            // Should it fail, SQLite copies the log back as it closes: slower, and as safe.
            let mut persist = 1;
            let _ = connection.file_control(Some(MAIN_DB), FileControl::PersistWal(&mut persist));
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

/// A connection that reads, and leaves the log alone.
fn reader(options: &OpenOptions) -> Result<Connection> {
    match connect::open(options)? {
        (connection, None) => {
            // In place of automatic checkpoints, of which a reader makes none, but the keeper counts as a writer.
            connection.execute_batch(sql::NO_CHECKPOINTS).map_err(|e| translate(e, &options.path))?;
            Ok(connection)
        }
        (_, Some(_)) => {
            let what = format!(
                "{} may not be written, and a follower has to keep its log short",
                options.path.display()
            );
            Err(Error::new(ErrorKind::Unsupported, what))
        }
    }
}

fn refuse_without_log(connection: &Connection, path: &Path) -> Result<()> {
    match connect::inspect(connection, path)? {
        FileState::Empty => {
            let what = format!("there is no database in {} yet", path.display());
            return Err(Error::new(ErrorKind::NoDatabase, what));
        }
        FileState::Current | FileState::Old(_) => connect::refuse_foreign(connection, path)?,
    }
    if connect::journal_mode(connection, path)? == connect::LOGGED_MODE {
        return Ok(());
    }
    let what = format!("{} has no log to follow yet; the first write makes one", path.display());
    Err(Error::new(ErrorKind::Unsupported, what))
}

/// Begins a read transaction, and takes hold of the state that it sees.
fn begin(connection: &Connection, path: &Path) -> Result<()> {
    let begun = connection.execute_batch(sql::BEGIN_READ).map_err(|e| translate(e, path));
    begun.and_then(|()| connect::schema_version(connection, path)).map(drop).inspect_err(|_| {
        let _ = connection.execute_batch(sql::ROLLBACK);
    })
}

fn end(connection: &Connection, path: &Path) -> Result<()> {
    connection.execute_batch(sql::COMMIT).map_err(|e| translate(e, path))
}

/// Writes what it takes.
struct Written<'a>(&'a mut dyn Write);

impl CopySink for Written<'_> {
    fn begin(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn take(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.0.write_all(bytes).map_err(cannot_keep)
    }
}

fn cannot_keep(error: io::Error) -> Error {
    connect::file_error("cannot keep what was read".to_owned(), error)
}
