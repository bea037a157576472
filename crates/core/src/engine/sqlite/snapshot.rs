//! A consistent copy of a database as a file of its own, made while others write.
//!
//! A read transaction is open around all of it, so that the pages are of one state and in WAL mode nobody waits. The log
//! cannot begin anew meanwhile: [`super::log::Log::fold`] makes up for that. SQLite's backup API would do, but reads and
//! writes each page by itself, which takes three times as long.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::connect::{connect_frozen, file_error, number, schema_version};
use super::error::translate;
use super::image::Image;
use super::sql;
use crate::engine::{CopySink, Snapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Version;

/// How often a copy is tried while the log changes under the first look at it.
const TRIES: u32 = 5;

/// A file that becomes a copy; it is removed again unless it is finished.
pub(super) struct Copy {
    path: PathBuf,
    file: File,
    is_whole: bool,
}

impl Copy {
    /// Makes an empty file at `path`, where nothing may be yet.
    pub(super) fn begin(path: &Path) -> Result<Self> {
        let made = File::options().write(true).create_new(true).mode(0o600).open(path);
        match made {
            Ok(file) => Ok(Self { path: path.to_owned(), file, is_whole: false }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::new(ErrorKind::Invalid, format!("something is at {} already", path.display())))
            }
            Err(e) => Err(file_error(format!("cannot create {}", path.display()), e)),
        }
    }

    /// Keeps the file. What is wrong with it is wrong with the database at `origin`, of which SQLite has seen the revision `seen`.
    pub(super) fn finish(mut self, origin: &Path, seen: Version) -> Result<Snapshot> {
        let lost = |e| file_error(format!("cannot look at {}", self.path.display()), e);
        let bytes = fs::metadata(&self.path).map_err(lost)?.len();
        let copy = connect_frozen(&self.path)?;
        let (revision, schema) = identify(&copy, origin, seen)?;
        copy.close().map_err(|(_, error)| translate(error, &self.path))?;
        self.is_whole = true;
        Ok(Snapshot { path: self.path.clone(), revision, schema, bytes })
    }
}

impl CopySink for Copy {
    fn begin(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn take(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(|e| file_error(format!("cannot write {}", self.path.display()), e))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.is_whole {
            // What matters is the error that led here.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Copies the database behind `image`, of which a read transaction is open.
pub(super) fn copy(image: &Image, has_log: bool, sink: &mut dyn CopySink) -> Result<()> {
    let go_on = &mut || Ok(());
    if !has_log {
        return image.copy(None, sink, go_on).map(drop);
    }
    let (mut tries, mut sink) = (1..TRIES, Begun { sink, is_begun: false });
    loop {
        let copied = image.look().and_then(|index| image.copy(Some(&index), &mut sink, go_on));
        match copied {
            // A look that cannot be used is noticed before anything is copied; nothing is ever copied twice.
            Err(error) if error.kind() == ErrorKind::Busy && !sink.is_begun && tries.next().is_some() => {}
            copied => return copied.map(drop),
        }
    }
}

/// A sink, and whether it has been given anything.
struct Begun<'a> {
    sink: &'a mut dyn CopySink,
    is_begun: bool,
}

impl CopySink for Begun<'_> {
    fn begin(&mut self, bytes: u64) -> Result<()> {
        self.is_begun = true;
        self.sink.begin(bytes)
    }

    fn take(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.sink.take(bytes)
    }
}

/// The revision and the number of the schema of a copy. What is wrong with it is wrong with the database at `origin`, of which
/// SQLite has seen the revision `seen`.
pub(super) fn identify(copy: &Connection, origin: &Path, seen: Version) -> Result<(Version, u64)> {
    let revision = Version(number(copy, sql::REVISION, origin)?.unsigned_abs());
    if revision < seen {
        // SQLite makes an index of its own where the one beside the file is nobody's and may not be written.
        let what = format!(
            "{} is busy: the index of its log is out of date, and may not be written",
            origin.display()
        );
        return Err(Error::new(ErrorKind::Busy, what));
    }
    Ok((revision, schema_version(copy, origin)?))
}
