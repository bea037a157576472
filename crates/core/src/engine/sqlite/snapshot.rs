//! A consistent copy of a database as a file of its own, made while others write.
//!
//! A read transaction is open around all of it, so that the pages are of one state and in WAL mode nobody waits. The log
//! cannot begin anew meanwhile: [`super::log::Log::fold`] makes up for that. SQLite's backup API would do, but reads and
//! writes each page by itself, which takes three times as long.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::connect::{connect_frozen, file_error, number, schema_version};
use super::error::translate;
use super::image::Image;
use super::sql;
use crate::engine::Snapshot;
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

    /// Copies the database behind `image`, of which a read transaction is open. `watch` is shown all that is copied.
    pub(super) fn fill(&mut self, image: &Image, has_log: bool, watch: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut put = |bytes: &[u8]| {
            watch(bytes);
            let written = self.file.write_all(bytes);
            written.map_err(|e| file_error(format!("cannot write {}", self.path.display()), e))
        };
        let go_on = &mut || Ok(());
        if !has_log {
            return image.copy(None, &mut put, go_on).map(drop);
        }
        // A look that cannot be used is noticed before anything is copied.
        for _ in 1..TRIES {
            match image.copy(Some(&image.look()?), &mut put, go_on) {
                Err(error) if error.kind() == ErrorKind::Busy => {}
                copied => return copied.map(drop),
            }
        }
        image.copy(Some(&image.look()?), &mut put, go_on).map(drop)
    }

    /// Keeps the file. What is wrong with it is wrong with the database at `origin`.
    pub(super) fn finish(mut self, origin: &Path) -> Result<Snapshot> {
        let lost = |e| file_error(format!("cannot look at {}", self.path.display()), e);
        let bytes = fs::metadata(&self.path).map_err(lost)?.len();
        let copy = connect_frozen(&self.path)?;
        let revision = Version(number(&copy, sql::REVISION, origin)?.unsigned_abs());
        let schema = schema_version(&copy, origin)?;
        copy.close().map_err(|(_, error)| translate(error, &self.path))?;
        self.is_whole = true;
        Ok(Snapshot { path: self.path.clone(), revision, schema, bytes })
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
