//! The backups that lie in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use prontodb_core::store::Unlock;
use prontodb_core::{Error, ErrorKind};

use super::manifest::Manifest;
use super::names::Name;
use super::{archive, cannot_read, source};
use crate::exit::Failure;
use crate::files;

/// A backup, as far as it can be seen from outside.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What it says of itself; `None` where it is encrypted or cannot be read.
    pub manifest: Option<Manifest>,
}

/// The names of all backups in a folder, in no order. Nothing is there where there is no folder.
///
/// # Errors
/// The folder cannot be read.
pub fn names_in(folder: &Path) -> Result<Vec<Name>, Failure> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if files::is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(cannot_read(folder, &error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| cannot_read(folder, &error))?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        names.extend(Name::parse(&entry.file_name()).filter(|_| is_file));
    }
    Ok(names)
}

/// The backups in a folder, by database, the newest first.
///
/// # Errors
/// The folder cannot be read.
pub fn all(folder: &Path, database: Option<&str>) -> Result<Vec<Listed>, Failure> {
    let mut names = names_in(folder)?;
    names.retain(|name| database.is_none_or(|database| name.database == database));
    names.sort_by(|one, other| one.database.cmp(&other.database).then(other.at.cmp(&one.at)));
    Ok(names.into_iter().map(|name| look_at(folder, name)).collect())
}

fn look_at(folder: &Path, name: Name) -> Listed {
    let path = folder.join(name.to_string());
    let bytes = fs::metadata(&path).map_or(0, |about| about.len());
    let never: Unlock = Box::new(|_| Err(Error::new(ErrorKind::Denied, "nobody is asked")));
    let manifest = match name.is_sealed {
        true => None,
        // What cannot be read is listed all the same; --verify says what is wrong with it.
        false => source::read(&path, &never, |from| archive::read_manifest(from, &path)).ok(),
    };
    Listed { name, path, bytes, manifest }
}
