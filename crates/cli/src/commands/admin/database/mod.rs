//! `admin database`: databases by their names.

pub mod create;
pub mod delete;
pub mod describe;
pub mod list;
pub mod rename;
pub mod switch;

use std::fs;
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::cursors::Lead;
use crate::exit::{Code, Failure};
use crate::files;
use crate::paths::cannot_look;
use crate::renamed::Renamed;

/// The file of a database that has to be there.
fn existing(cx: &Context, name: &str) -> Result<PathBuf, Failure> {
    let path = cx.roots().database_file(name)?;
    match files::is_file(&path) {
        Ok(true) => Ok(path),
        Ok(false) => Err(Renamed::from(cx.roots(), &path).map_or_else(|| unknown(name), |it| it.failure())),
        Err(error) => Err(cannot_look(&path, &error)),
    }
}

/// The same for one that is to be moved or removed: the file itself, and not a link to one.
fn own(cx: &Context, name: &str) -> Result<PathBuf, Failure> {
    let path = existing(cx, name)?;
    if !path.is_symlink() {
        return Ok(path);
    }
    let what =
        format!("{} is a link to a file elsewhere, which is not this command's to move", path.display());
    Err(Failure::invalid(what))
}

fn unknown(name: &str) -> Failure {
    Failure::new(Code::Error, "no_database", format!("there is no database {name}")).hint(format!(
        "prontodb admin list-dbs shows which there are; prontodb admin create-db {name} makes it"
    ))
}

fn taken(name: &str) -> Failure {
    Failure::invalid(format!("there is a database {name} already")).hint("take another name")
}

/// What cursor files are called, as users know them.
fn names(leads: &[Lead]) -> Vec<String> {
    leads.iter().map(|lead| lead.stem.clone()).collect()
}

/// Removes the folder of a database that has gone, unless something else is in it.
fn remove_empty_folder(database: &Path) {
    if let Some(folder) = database.parent() {
        // It stays when something of others is in it; they know why.
        let _ = fs::remove_dir(folder);
    }
}

/// Bytes in a database file and its log.
fn bytes_of(path: &Path) -> u64 {
    let size = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    size(path) + size(Path::new(&log))
}

/// A change and what followed it, in one line.
fn told(done: &str, leads: &[String], what: &str) -> String {
    match leads {
        [] => done.to_owned(),
        leads => format!("{done}; {what}: {}", leads.join(", ")),
    }
}
