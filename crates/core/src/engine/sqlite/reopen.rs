//! An engine that goes on with the file that has taken the place of its own.
//!
//! Whoever waits while a file is exchanged has the old one open, and finds so before anything was read or written
//! (docs/design/0016-alone.md). That is no reason to give up: the other file is there.

use std::cell::{Cell, RefCell};
use std::fs;
use std::mem;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Awaited, CopySink, Engine, Looks, Mark, OpenOptions, Snapshot, SqliteEngine, Txn, View, Wait};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;

/// A [`SqliteEngine`] that is opened anew when its file has been exchanged for another one.
pub struct Reopening {
    engine: RefCell<SqliteEngine>,
    /// How many files there have been before this one.
    reopened: Cell<u64>,
    looks: Looks,
}

impl Reopening {
    /// Opens a database.
    ///
    /// # Errors
    /// Those of [`SqliteEngine::open`].
    pub fn open(options: OpenOptions) -> Result<Self> {
        let engine = RefCell::new(SqliteEngine::open(options)?);
        Ok(Self { engine, reopened: Cell::new(0), looks: Looks::default() })
    }

    /// Tries again with the new file, as long as nothing was begun with the old one and `patience` lasts.
    fn persist(
        &self,
        patience: Duration,
        is_begun: &Cell<bool>,
        attempt: &mut dyn FnMut(&SqliteEngine) -> Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            let done = attempt(&self.engine.borrow());
            match done {
                Err(error) if !is_begun.get() && start.elapsed() < patience && self.reopen_after(&error) => {}
                done => return done,
            }
        }
    }

    /// Opens the file that has the name now, if that is another one; a name that nothing has is left alone, for its file has
    /// another name now.
    fn reopen_after(&self, error: &Error) -> bool {
        if error.kind() != ErrorKind::Busy {
            return false;
        }
        // Within a transaction the engine is in use, and stays.
        let Ok(mut engine) = self.engine.try_borrow_mut() else { return false };
        let options = engine.options.clone();
        if engine.refuse_moved().is_ok() || fs::metadata(&options.path).map_or(true, |file| file.len() == 0) {
            return false;
        }
        let Ok(fresh) = SqliteEngine::open(options) else { return false };
        // The old one may have mapped the index of the new log. To close it would drop the locks of this process on that.
        mem::forget(mem::replace(&mut *engine, fresh));
        self.reopened.set(self.reopened.get() + 1);
        true
    }

    fn patience(&self) -> Duration {
        self.engine.borrow().options.busy_timeout
    }
}

impl Engine for Reopening {
    fn read(&self, body: &mut dyn FnMut(&dyn View) -> Result<()>) -> Result<()> {
        let is_begun = Cell::new(false);
        self.persist(self.patience(), &is_begun, &mut |engine| {
            engine.read(&mut |view| {
                is_begun.set(true);
                body(view)
            })
        })
    }

    fn write(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        let is_begun = Cell::new(false);
        self.persist(self.patience(), &is_begun, &mut |engine| {
            engine.write(&mut |txn| {
                is_begun.set(true);
                body(txn)
            })
        })
    }

    fn write_at_once(&self, body: &mut dyn FnMut(&mut dyn Txn) -> Result<()>) -> Result<()> {
        self.engine.borrow().write_at_once(body)
    }

    fn set_patience(&mut self, patience: Duration) {
        self.engine.get_mut().set_patience(patience);
    }

    fn mark(&self) -> Result<Mark> {
        let mut change = 0;
        self.persist(self.patience(), &Cell::new(false), &mut |engine| {
            change = engine.mark()?.change;
            Ok(())
        })?;
        Ok(Mark { place: self.reopened.get(), change })
    }

    fn await_change(&self, seen: Mark, wait: Wait<'_>) -> Result<Awaited> {
        self.looks.until(&|| self.engine.borrow().log_path(), &|| Ok(self.mark()? != seen), wait)
    }

    fn scrub(&self) -> Result<bool> {
        self.engine.borrow().scrub()
    }

    fn copy_to(&self, sink: &mut dyn CopySink) -> Result<Version> {
        self.engine.borrow().copy_to(sink)
    }

    fn snapshot(&self, dest: &Path) -> Result<Snapshot> {
        self.engine.borrow().snapshot(dest)
    }
}
