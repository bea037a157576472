//! Renaming a database in steps that may be interrupted: a mark beside the file says what it was called, until all that led to
//! it has followed. Until then the database is found by its old name as well.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::cursors::Turn;
use crate::exit::{Code, Failure};
use crate::files;
use crate::paths::{RENAME_MARK, Roots};

/// A database that has its new name, while what leads to it has the old one.
pub struct Renamed {
    /// The old name.
    pub old: String,
    /// The new name.
    pub new: String,
    /// The file.
    pub path: PathBuf,
}

impl Renamed {
    /// The database that was to be at `path`, where nothing is.
    pub fn from(roots: Roots<'_>, path: &Path) -> Option<Self> {
        if !roots.is_by_name(path) || path.symlink_metadata().is_ok() {
            return None;
        }
        let old = name_of(path)?;
        let folders = fs::read_dir(roots.data_dir().ok()?).ok()?;
        let names = folders.filter_map(|folder| folder.ok()?.file_name().into_string().ok());
        let mut files = names.filter_map(|name| roots.database_file(&name).ok());
        files.find_map(|file| Self::to(roots, &file).filter(|found| found.old == old))
    }

    /// The one at `path`, if that is one. What is at the old name by now has it for its own.
    pub fn to(roots: Roots<'_>, path: &Path) -> Option<Self> {
        let held = String::from_utf8(files::read_small(&mark_beside(path)).ok()??).ok()?;
        let (old, _) = held.split_once(' ')?;
        let is_free = roots.database_file(old).is_ok_and(|old| old.symlink_metadata().is_err());
        let is_of_this = mark_of(old, path).is_some_and(|mark| mark == held);
        (is_free && is_of_this).then(|| Self {
            old: old.to_owned(),
            new: name_of(path).unwrap_or_default(),
            path: path.to_owned(),
        })
    }

    /// What there is to tell of it.
    pub fn message(&self) -> String {
        let Self { old, new, .. } = self;
        format!("the database {old} is called {new} now, and what leads to it has not followed yet")
    }

    /// What there is to do about it.
    pub fn hint(&self) -> String {
        format!("prontodb admin rename-db {} {} finishes what was interrupted", self.old, self.new)
    }

    /// The failure of whoever needs the old name for something else.
    pub fn failure(&self) -> Failure {
        Failure::new(Code::Conflict, "conflict", self.message()).hint(self.hint())
    }
}

/// Refuses to make something at `path` while that is the old name of a database which is being renamed.
///
/// # Errors
/// It is.
pub fn refuse_old_name(roots: Roots<'_>, path: &Path) -> Result<(), Failure> {
    Renamed::from(roots, path).map_or(Ok(()), |renamed| Err(renamed.failure()))
}

/// Has what leads to the old name of the database at `path` follow, where that was interrupted: what comes next would make its
/// mark worth nothing.
///
/// # Errors
/// Those of cursors, and a mark that cannot be removed.
pub fn finish(cx: &Context, path: &Path) -> Result<(), Failure> {
    if Renamed::to(cx.roots(), path).is_none() {
        return Ok(());
    }
    let cursors = cx.cursors()?;
    finish_in_turn(cx, &cursors.turn(cx.patience())?, path)
}

/// The same for whoever has the turn at the cursors.
///
/// # Errors
/// Those of [`finish`].
pub fn finish_in_turn(cx: &Context, turn: &Turn<'_>, path: &Path) -> Result<(), Failure> {
    let Some(renamed) = Renamed::to(cx.roots(), path) else { return Ok(()) };
    let old = cx.roots().database_file(&renamed.old)?;
    cx.cursors()?.leading_to(&old)?.iter().try_for_each(|lead| turn.redirect(lead, path))?;
    let mark = mark_beside(path);
    fs::remove_file(&mark)
        .map_err(|error| Failure::io(format_args!("cannot remove {}", mark.display()), &error))
}

/// The file of the mark of a database.
pub fn mark_beside(database: &Path) -> PathBuf {
    database.with_file_name(RENAME_MARK)
}

/// The name that a database had, and which file it is: so an old mark beside another file means nothing.
pub fn mark_of(old: &str, file: &Path) -> Option<String> {
    let inode = file.metadata().ok()?.ino();
    Some(format!("{old} {inode}"))
}

/// The name of a database in the data directory, which its folder has.
fn name_of(path: &Path) -> Option<String> {
    Some(path.parent()?.file_name()?.to_str()?.to_owned())
}
