//! Another content for a database that others have open: all pages of a file are written into it as one transaction.
//!
//! The file itself stays where it is, and so do its locks and its log. Whoever reads goes on with the old state and sees the
//! new one with the next transaction.

use std::fs;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};

use super::connect::{self, Earlier, FileState, connect, file_error, number};
use super::error::translate;
use super::{Access, OpenOptions, SqliteEngine, again, check, layout, log, side_file, sql};
use crate::engine::Catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;

/// What names of files end in that SQLite and this engine make beside a database.
const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-turn"];

impl SqliteEngine {
    /// Puts the content of the database at `source`, which nobody else may be using, in the place of all there is.
    ///
    /// Before anything is changed, `keep` is called to copy what there is. When somebody writes meanwhile it is called once
    /// more, while nobody can: so what it has copied last is all that was ever acknowledged. `source` is brought to the latest
    /// schema, and its revision above the present one: no version that somebody has seen here is given to another state.
    ///
    /// Returns the revision from then on.
    ///
    /// # Errors
    /// Those of `keep`; [`ErrorKind::Unsupported`] when the pages have another size; [`ErrorKind::Busy`]; those of reading and
    /// writing. Then all is as it was.
    pub fn overwrite(&self, source: &Path, keep: &mut dyn FnMut(&Self) -> Result<()>) -> Result<Version> {
        let patience = self.options.busy_timeout;
        self.set_busy_timeout(patience)?;
        let donor = Self::open_private(source)?;
        self.refuse_other_pages(&donor)?;
        let seen = self.data_version()?;
        keep(self)?;
        let turn = self.turnstile().wait(patience / 2).ok().flatten();
        let mut dest = connect(&OpenOptions { access: Access::Write, ..self.options.clone() })?;
        let path = &self.options.path;
        dest.execute_batch(sql::SYNC_FULL).map_err(|e| translate(e, path))?;
        let backup = Backup::new(&donor.connection, &mut dest).map_err(|e| translate(e, path))?;
        // The first step locks the database, and copies nothing.
        told(backup.step(0), path)?;
        if self.data_version()? != seen {
            keep(self)?;
        }
        self.refuse_moved()?;
        let revision = donor.raise_revision(self.present_revision()?)?;
        let copied = backup.step(-1);
        drop(backup);
        if let Err(error) = &copied {
            again::after_commit(&dest, error);
        }
        told(copied, path)?;
        self.log.fold(&self.connection);
        drop(turn);
        Ok(revision)
    }

    /// Raises the revision of the database at `path`, which nobody else may be using, above another one.
    ///
    /// # Errors
    /// Those of writing.
    pub fn raise(path: &Path, above: Version) -> Result<Version> {
        Self::open_private(path)?.raise_revision(above)
    }

    /// Makes the database at `path`, which nobody else may be using, a file without anything beside it, on disk. It is brought
    /// to the latest schema.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when somebody uses it after all; those of writing.
    pub fn settle(path: &Path) -> Result<()> {
        let engine = Self::open_private(path)?;
        engine.transact(sql::BEGIN_WRITE, &mut || engine.end_what_ran())?;
        if !log::empty(&engine.connection).map_err(|e| translate(e, path))? {
            let what = format!("{} is busy: others have it open", path.display());
            return Err(Error::new(ErrorKind::Busy, what));
        }
        drop(engine);
        for suffix in SIDE_FILES {
            // What is not there need not go.
            let _ = fs::remove_file(side_file(path, suffix));
        }
        let synced = fs::File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|e| file_error(format!("cannot sync {}", path.display()), e))
    }

    /// Opens a copy of a database, and brings it to the latest schema: of a copy no other is kept.
    fn open_private(path: &Path) -> Result<Self> {
        let engine = Self::open(OpenOptions::new(path))?;
        if let FileState::Old(_) = connect::inspect(&engine.connection, path)? {
            connect::migrate(&engine.connection, path, Earlier::Dropped)?;
        }
        Ok(engine)
    }

    fn refuse_other_pages(&self, donor: &Self) -> Result<()> {
        let bytes = |engine: &Self| number(&engine.connection, sql::PAGE_BYTES, &engine.options.path);
        let (ours, theirs) = (bytes(self)?, bytes(donor)?);
        if ours == theirs {
            return Ok(());
        }
        let what = format!(
            "{} has pages of {ours} bytes, and what is to replace it has pages of {theirs}",
            self.options.path.display()
        );
        Err(Error::new(ErrorKind::Unsupported, what))
    }

    fn data_version(&self) -> Result<i64> {
        number(&self.connection, sql::DATA_VERSION, &self.options.path)
    }

    /// The revision; that of a damaged database is not known, and counts as none.
    fn present_revision(&self) -> Result<Version> {
        match number(&self.connection, sql::REVISION, &self.options.path) {
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Io) => Ok(Version(0)),
            revision => Ok(Version(revision?.unsigned_abs())),
        }
    }

    /// Leases of before stand for nothing in a state that comes back: those who had them may have given them back since. And
    /// how it differs from the state that it takes the place of was written down by nobody, so whoever watches has to be told.
    fn end_what_ran(&self) -> Result<()> {
        self.view().forget_changes()?;
        for catalog in [Catalog::Leases, Catalog::Changes] {
            if self.view().has_table(catalog.name())? {
                self.run(&layout::of_table(sql::DELETE_ALL, catalog.name()))?;
            }
        }
        Ok(())
    }

    fn raise_revision(&self, above: Version) -> Result<Version> {
        // One that no database reaches is damage, and no history to go on from.
        let above = Some(above.0).filter(|above| *above <= check::MAX_REVISION).unwrap_or_default();
        let (above, mut revision) = (i64::try_from(above).unwrap_or_default(), 0_i64);
        self.transact(sql::BEGIN_WRITE, &mut || {
            self.end_what_ran()?;
            let raised = self.connection.query_row(sql::RAISE_REVISION, [above], |row| row.get(0));
            revision = raised.map_err(|e| translate(e, &self.options.path))?;
            Ok(())
        })?;
        Ok(Version(revision.unsigned_abs()))
    }
}

/// What came of copying pages, in our words.
fn told(step: rusqlite::Result<StepResult>, path: &Path) -> Result<()> {
    match step {
        Ok(StepResult::Done | StepResult::More) => Ok(()),
        Ok(_) => {
            let what = format!("{} is busy: another program kept it locked for too long", path.display());
            Err(Error::new(ErrorKind::Busy, what))
        }
        Err(error) => Err(translate(error, path)),
    }
}
